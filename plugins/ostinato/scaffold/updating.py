"""`ostinato update`: a project brought to what its template makes today, with all that was changed by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ostinato.errors import ParameterError, UsageError

from .answers import COLUMNS, columns_of
from .finding import Template, find_template
from .making import lasting, named
from .merging import Change, changes, git
from .origin import ANSWERS, Origin, origin_of
from .pristine import Files
from .rendering import questions, render, usual_columns

NOTES = "NOTES.md"  # of a template: a heading a version, the newest first


@dataclass(frozen=True)
class Update:
    """What an update does, or would do.

    Attributes:
        origin: what the project will remember then.
        before: the version it was made from, if its template has versions.
        changes: to its files.
        notes: what its template says of the versions between, in Markdown.
        scripts: the paths of files that can be executed.
    """

    origin: Origin
    before: str | None
    changes: list[Change]
    notes: str
    scripts: frozenset[str] = frozenset()

    @property
    def conflicts(self) -> list[str]:
        return [change.path for change in self.changes if change.fate == "conflict"]


def planned(folder: Path, more: Mapping[str, Any] | None = None, *, template: str | None = None) -> Update:
    """What an update would do to a project; nothing is written.

    Args:
        more: answers by key that are to change.
        template: where a template that was a folder is now.

    Raises:
        UsageError: it is no project, its template is gone, or it was made by a newer version.
    """
    origin = origin_of(folder)
    found = _template(folder, origin, template)
    _refuse_newer(origin, found, folder)
    made = render(found, _answers(origin.answers, more or {}, questions(found)))
    theirs = {**made.files, **{path: origin.files[path] for path in origin.drawn if path in origin.files}}
    place = origin.template if template is None else named(found, folder)
    after = replace(origin, template=place, version=found.version, answers=made.answers, files=theirs)
    if replace(after, version=origin.version) == origin:
        return Update(origin, origin.version, [], "")
    ours, others = _present(folder, {*origin.files, *theirs})
    found_changes = [
        replace(change, fate="kept", content=None) if change.path in others else change
        for change in changes(origin.files, ours, theirs)
    ]
    return Update(after, origin.version, found_changes, _notes(found, origin.version), made.scripts)


def apply(folder: Path, update: Update) -> None:
    """Write an update.

    Raises:
        UsageError: there are changes that are not committed, or it is no git repository: nobody could take it back.
    """
    refuse_uncommitted(folder)
    for change in update.changes:
        place = folder / change.path
        if change.fate == "removed":
            place.unlink()
            _remove_empty(place.parent, folder)
        elif change.content is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(change.content)
            if change.fate == "added" and change.path in update.scripts:
                place.chmod(place.stat().st_mode | 0o111)
    # the compressed file last: an update that was killed before it finds the rest done when it is made again
    for path, content in update.origin.written().items():
        (folder / path).write_bytes(content)


def refuse_uncommitted(folder: Path) -> None:
    """An update goes over committed files only, so that `git diff` shows it and `git checkout` takes it back.

    Raises:
        UsageError: with what to do first.
    """
    said = ("-c", "core.quotePath=false", "status", "--porcelain", "--untracked-files=normal", "--", ".")
    state = git("-C", str(folder), *said)
    error = state.stderr.decode(errors="replace").strip()
    if state.returncode != 0 and "not a git repository" not in error:
        raise UsageError(f"git cannot tell whether all changes are committed: {error}")
    if state.returncode != 0:
        raise UsageError(
            f"{folder} is in no git repository, so that an update could not be taken back. "
            'First: git init && git add -A && git commit -m "As it is"'
        )
    if lines := state.stdout.decode(errors="replace").splitlines():
        raise UsageError(
            f"{folder} has changes that are not committed ({lines[0][3:]}"
            f"{f' and {len(lines) - 1} more' if len(lines) > 1 else ''}); nothing was touched. "
            "Commit or stash them first."
        )
    if git("-C", str(folder), "ls-files", "--error-unmatch", "--", ANSWERS).returncode != 0:
        raise UsageError(
            f"git ignores {folder / ANSWERS}, and with it perhaps the project, so that an update could not be taken "
            "back. Take it out of .gitignore and commit it."
        )


def _template(folder: Path, origin: Origin, moved: str | None) -> Template:
    if moved is not None:
        return find_template(moved)
    of_package = origin.version is not None
    try:
        return find_template(origin.template if of_package else str(folder / origin.template))
    except UsageError as error:
        hint = f"Version {origin.version} came with a package: install it."
        raise UsageError(f"{error} {hint if of_package else 'If it was moved, write --template PATH.'}") from None


def _refuse_newer(origin: Origin, template: Template, folder: Path) -> None:
    if origin.version and template.version and _order(origin.version) > _order(template.version):
        raise UsageError(
            f"{folder / ANSWERS} is from {origin.template} {origin.version}, newer than the {template.version} that is "
            "installed here: upgrade ostinato, or the package that the template comes with."
        )


def _answers(now: Mapping[str, Any], more: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of before, as far as they are still asked for, and those that change."""
    if more.get("name", now.get("name")) != now.get("name"):
        raise ParameterError("The name of a project stays: its package has it. Make a new one, `ostinato new`.")
    answers = {**{key: value for key, value in now.items() if key in asked}, **more}
    if COLUMNS in asked:
        usual, before, chosen = usual_columns(asked), now.get(COLUMNS) or {}, more.get(COLUMNS) or {}
        known, named_now = {role: before.get(role, name) for role, name in usual.items()}, columns_of(usual, chosen)
        answers[COLUMNS] = {**known, **{role: named_now[role] for role in chosen}}
    if more.get("source"):
        answers["source"] = lasting(str(more["source"]))
    elif "source" in more:
        del answers["source"]  # the template's default again
    return answers


def _present(folder: Path, paths: set[str]) -> tuple[Files, set[str]]:
    """The files there are; and where something else is in the way, a link or a folder, which is its owner's."""
    files, others = {}, set()
    for path in paths:
        place = folder / path
        above = [folder.joinpath(*place.relative_to(folder).parts[:depth]) for depth in range(1, path.count("/") + 1)]
        if place.is_symlink() or place.is_dir() or any(each.is_symlink() or each.is_file() for each in above):
            others.add(path)
        elif place.is_file():
            files[path] = place.read_bytes()
    return files, others


def _remove_empty(place: Path, above: Path) -> None:
    while place != above and not any(place.iterdir()):
        place.rmdir()
        place = place.parent


def _notes(template: Template, since: str | None) -> str:
    """The template's notes since the version that the project was made from; of one without versions the newest."""
    places = [place / NOTES for place in (template.folder, template.under) if place and (place / NOTES).is_file()]
    sections = [part for place in places for part in re.split(r"^(?=## )", place.read_text("utf-8"), flags=re.M)[1:]]
    newer = sections[:1] if since is None else [part for part in sections if _order(_version(part)) > _order(since)]
    return "\n".join(part.strip() for part in newer)


def _version(section: str) -> str:
    return section[2:].split("\n", 1)[0].strip()


def _order(version: str) -> Any:
    """A version as one that can be compared; what is none comes before all."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version)
    except InvalidVersion:
        return Version("0")

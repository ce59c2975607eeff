"""`ostinato new`: a project from a template."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.errors import ParameterError, UsageError
from ostinato.workspace import is_remote

from .answers import COLUMNS, columns_of, named_after, without_password
from .finding import Template
from .inspection import Inspection, inspect
from .origin import FOLDER as ORIGIN
from .origin import Origin
from .pristine import Files
from .rendering import SUITE, questions, render, usual_columns, usual_rules

# To learn from and to judge on, by the defaults of the pipelines; fraud looks back on 30 days and waits for 7.
_DAYS = {"fraud_detection": 51, "recommendation_retraining": 21, "bring_your_model": 14}


@dataclass(frozen=True)
class Made:
    """A project that was made; `seen` is what the table told, where one was given."""

    folder: Path
    answers: Mapping[str, Any]
    seen: Inspection | None = None


def refuse_full(folder: Path) -> None:
    """A project is made where nothing is yet.

    Raises:
        UsageError: there is something, which stays as it is.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is there already and is no folder: choose another.")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is there already and not empty; nothing was touched. Choose another folder.")


def look(template: Template, given: Mapping[str, Any]) -> Inspection | None:
    """What the table of `source` tells: a proposal for its columns, a suite, warnings. None if none is named.

    Raises:
        DataError: it cannot be read.
        ParameterError: a column that was named is not there.
    """
    if not given.get("source"):
        return None
    return inspect(
        str(given["source"]),
        usual_columns(questions(template)),
        chosen=given.get(COLUMNS, {}),
        usual=lambda columns: usual_rules(template.name, columns),
        dataset=str(given.get("name") or "table"),
        needs_days=_DAYS.get(template.name),
    )


def make(
    template: Template, folder: Path, given: Mapping[str, Any], *, seen: Inspection | None = None, ask: bool = False
) -> Made:
    """Write a project, whole or not at all.

    Args:
        given: answers by key; the rest is asked, or the template's defaults. An empty source is the default, unasked.
        seen: what `look` found at the source.
        ask: whether there is a person to ask.

    Raises:
        UsageError: the folder is not empty, the template cannot be used, an answer is not of its kind.
    """
    refuse_full(folder)
    asked = questions(template)
    answers = {**({"name": named_after(folder.resolve().name)} if "name" in asked else {}), **given}
    if COLUMNS in asked and (COLUMNS in given or seen):
        answers[COLUMNS] = _columns(usual_columns(asked), given.get(COLUMNS, {}), seen)
    unasked = [key for key in ("source",) if answers.get(key) == ""]
    for key in unasked:
        del answers[key]
    if "source" in answers:
        answers["source"] = lasting(str(answers["source"]))
    made = render(template, answers, ask=ask, unasked=unasked)
    files, drawn = _with_suite(made.files, str(made.answers.get("name", "")), seen)
    origin = Origin(named(template, folder), template.version, made.answers, drawn, files)
    _write(folder, {**files, **origin.written()}, made.scripts)
    return Made(folder, made.answers, seen)


def lasting(source: str) -> str:
    """A source as it is found from any folder: a path from the root; other addresses as they are, but for passwords."""
    is_path = not is_remote(source) and (":" not in source or os.path.exists(source))
    return os.path.abspath(os.path.expanduser(source)) if is_path else without_password(source)


def _columns(usual: Mapping[str, Any], chosen: Mapping[str, Any], seen: Inspection | None) -> dict[str, Any]:
    if seen is None:
        return columns_of(usual, chosen)
    if seen.missing:
        role = seen.missing[0]
        raise ParameterError(
            f"No column of the table looks like the {role}: name it, -a columns.{role}=NAME. "
            f"It has {', '.join(map(repr, seen.names))}."
        )
    return seen.columns


def _with_suite(files: Files, name: str, seen: Inspection | None) -> tuple[Files, tuple[str, ...]]:
    """The files, with the rules drafted from the table where there is one."""
    path = f"{name}/{SUITE}"
    if seen is None or path not in files:
        return files, ()
    return {**files, path: seen.suite.encode()}, (path,)


def named(template: Template, folder: Path) -> str:
    """A template as the project finds it again: a folder of one's own, from the project's."""
    return template.name if template.version else os.path.relpath(template.folder, folder.resolve())


def _write(folder: Path, files: Mapping[str, bytes], scripts: Collection[str]) -> None:
    """All files, in a scratch folder first; a folder that is there already stays the one it is."""
    place = folder.resolve()
    parent = place if place.exists() else place.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{place.name[:40]}-", dir=parent))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error}") from error
    try:
        whole = part / "project"
        for path, content in files.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_bytes(content)
            if path in scripts:
                (whole / path).chmod((whole / path).stat().st_mode | 0o111)
        if parent == place:
            _move_into(place, whole, part)
        else:
            whole.rename(place)  # over an empty folder, too
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        refuse_full(folder)  # somebody was faster
        raise UsageError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move_into(place: Path, whole: Path, part: Path) -> None:
    """What is in `whole`, into a folder in which there is nothing but `part`; what made it a project comes last."""
    if any(other != part for other in place.iterdir()):
        raise FileExistsError(place)
    moved: list[Path] = []
    try:
        for entry in sorted(whole.iterdir(), key=lambda entry: (entry.name == ORIGIN, entry.name)):
            moved.append(entry.rename(place / entry.name))
    except BaseException:
        for entry in moved:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        raise

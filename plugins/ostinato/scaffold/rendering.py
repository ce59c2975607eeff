"""A template and answers made into files, nowhere but in memory."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ostinato.catalog import BUILT_IN
from ostinato.errors import MissingPackage, ParameterError, UsageError, suggest
from ostinato.suites.naming import named
from ostinato.suites.writing import suite_text

from .answers import COLUMNS, checked
from .finding import Template
from .pipeline_source import PLACEHOLDER, names_in, renamed, with_answers
from .pristine import Files

SUITE = "suite.yaml"
_HEAD = """\
# What the table must be like; rows that break a rule with `on_fail: quarantine` are set aside. Change it, add to it:
# `ostinato suite draft TABLE` proposes rules that good data meets, with the reasons for them.
"""
_NOT_COPIED = shutil.ignore_patterns(".git", "__pycache__", "*.py[co]", "*_cache")
_TRACED_ONLY = re.compile(r"  # noqa: B00[68]\b.*$", re.MULTILINE)  # the project's ruff does not ask


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A project in memory.

    Attributes:
        files: by path.
        answers: what they were made with, defaults among them.
        scripts: the paths of those that can be executed.
    """

    files: Files
    answers: dict[str, Any]
    scripts: frozenset[str] = frozenset()


def questions(template: Template) -> dict[str, Any]:
    """What a template asks, by key, as its copier.yml says it; `columns` has the usual name of each role.

    Raises:
        MissingPackage: Copier is not installed.
        UsageError: the questions cannot be read, or ask for a secret.
    """
    from_copier = _copier()
    with put_together(template) as source, from_copier.refusals(template.name, source):
        found: dict[str, Any] = from_copier.asked(source)
    if secret := next((key for key, said in found.items() if said.get("secret")), None):
        raise UsageError(
            f"The template {template.name} asks for a secret, {secret}. Answers are kept in the project, for all to "
            "read: let it ask for the name of an environment variable."
        )
    return found


def usual_columns(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the questions of a template say of columns: the usual name of each role."""
    from ruamel.yaml import YAML

    said = asked.get(COLUMNS, {}).get("default")
    if isinstance(said, str):
        said = YAML(typ="safe", pure=True).load(said)
    return dict(said) if isinstance(said, Mapping) else {}


def render(
    template: Template, answers: Mapping[str, Any], *, ask: bool = False, unasked: Collection[str] = ()
) -> Rendered:
    """The project's files.

    Args:
        answers: by key; what is not among them is asked, or takes the template's default.
        ask: whether there is a person to ask.
        unasked: keys that take their default all the same.

    Raises:
        ParameterError: an answer that the template does not ask for, or cannot take.
        UsageError: the template wants to run commands, write elsewhere, or is not well-formed.
    """
    asked = questions(template)
    for key in answers:
        if key not in asked:
            raise ParameterError(f"The template {template.name} does not ask for {key!r}. {suggest(key, asked)}")
    from_copier, good = _copier(), checked(answers)
    with put_together(template) as source, from_copier.refusals(template.name, source):
        out = source.with_name("out")
        given = from_copier.copy(source, out, good, ask=ask, unasked=unasked)
        made = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
        files = {path: place.read_bytes() for path, place in made.items()}
        scripts = frozenset(path for path, place in made.items() if place.stat().st_mode & stat.S_IXUSR)
    _refuse_git(template, files)
    kept = (key for key, said in asked.items() if key in given and (key == COLUMNS or said.get("when") is not False))
    taken = checked({key: given[key] for key in kept})
    return Rendered(_own(template, files, taken), taken, scripts)


def _copier() -> Any:
    """Copier is loaded when a project is made."""
    try:
        return importlib.import_module("ostinato.integrations.copier_templates")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "copier":
            raise
        raise MissingPackage("Copier", "templates") from error


@contextlib.contextmanager
def put_together(template: Template) -> Iterator[Path]:
    """The template in a folder of its own, over the files it shares: Copier would ask git about any other."""
    with tempfile.TemporaryDirectory(prefix="ostinato-") as scratch:
        place = Path(scratch).resolve() / "template"
        for folder in (template.under, template.folder):
            if folder is not None:
                _refuse_links_out_of(folder, template)
                try:
                    shutil.copytree(folder, place, ignore=_NOT_COPIED, dirs_exist_ok=True)
                except OSError as error:
                    raise UsageError(f"The template {template.name} cannot be read: {error}") from None
        if template.of_package:
            (place / "__init__.py").unlink(missing_ok=True)  # the package's, not the project's
        yield place


def _refuse_links_out_of(folder: Path, template: Template) -> None:
    """A link may point to what lies in the folder, but to no folder that it lies in itself."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            continue
        target = path.resolve()
        if not target.is_relative_to(folder.resolve()) or path.parent.resolve().is_relative_to(target):
            raise UsageError(f"The template {template.name} holds a link out of its folder: {path.relative_to(folder)}")


def _refuse_git(template: Template, files: Files) -> None:
    """What lies in .git is run by git."""
    for path in files:
        if ".git" in (part.lower().rstrip(". ") for part in PurePosixPath(path).parts):
            raise UsageError(f"The template {template.name} wants to write into a git repository: {path}")


# --- what is done to Python files -------------------------------------------------------------------------------


def _own(template: Template, files: Files, answers: Mapping[str, Any]) -> Files:
    """Files with the project's name for the placeholder; pipeline and suite with the answers."""
    name = str(answers.get("name", ""))
    if not name:
        return files
    if (ready_made := f"{name}/pipeline.py") not in files and template.name in BUILT_IN["pipelines"] and template.under:
        module = importlib.import_module(f"ostinato.pipelines.{template.name}")
        files[ready_made] = renamed(inspect.getsource(module), template.name, PLACEHOLDER).encode()
        files[f"{name}/{SUITE}"] = _usual_suite(template.name, answers).encode()
    own: Files = {}
    for path in sorted(files):
        try:
            own[path] = _filled(path, files, name, answers)
        except (SyntaxError, UnicodeDecodeError) as error:
            raise UsageError(f"The template {template.name} makes a {path} that is no Python: {error}") from None
    return own


def _filled(path: str, files: Files, name: str, answers: Mapping[str, Any]) -> bytes:
    if not path.endswith(".py"):
        return files[path]
    source = files[path].decode("utf-8-sig")
    if PurePosixPath(path).name == "pipeline.py":
        if name in names_in(source):
            raise ParameterError(f"name={name!r} stands for something else in {path} already: choose another.")
        # the name first: an answer may hold the placeholder
        source = renamed(_TRACED_ONLY.sub("", source), PLACEHOLDER, name)
        ours = {"model": name, **({"suite": f"{name}:{SUITE}"} if f"{name}/{SUITE}" in files else {})}
        given = {key: answers[key] for key in ("source", COLUMNS) if answers.get(key)}
        options = {key: answers[key] for key in ("owner", "schedule") if answers.get(key)}
        if answers.get("slack"):
            options["on_failure"] = f"slack:{answers['slack']}"
        return with_answers(source, name, {**given, **ours}, options).encode()
    return renamed(source, PLACEHOLDER, name).encode()


def _usual_suite(pipeline: str, answers: Mapping[str, Any]) -> str:
    """The rules that the ready-made pipeline has by itself, as a file to read and change."""
    rules = usual_rules(pipeline, answers[COLUMNS])
    assert rules is not None  # every ready-made pipeline with a template has some
    return _HEAD + suite_text(rules)


def usual_rules(pipeline: str, columns: Mapping[str, Any]) -> dict[str, Any] | None:
    """A ready-made pipeline's own rules, for a table of these columns; None for other pipelines."""
    from ostinato.suites import usual

    rules = {"fraud_detection": usual.TRANSACTIONS, "recommendation_retraining": usual.INTERACTIONS}.get(pipeline)
    return None if rules is None else named(rules, {**columns, "most_a_day": 1000})

"""Where templates are: the ready-made ones, those of installed packages, those in a folder."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ostinato import __version__
from ostinato.catalog import names
from ostinato.errors import UsageError, suggest

BUILT_IN = Path(__file__).resolve().parents[1] / "templates"
FRAME = "shared"
_QUESTIONS = ("copier.yml", "copier.yaml")


@dataclass(frozen=True)
class Template:
    """A Copier template.

    Attributes:
        name: a name of `ostinato list`, or a path.
        folder: where its files are; above them lie those of `under`, if there is one.
        version: of what it came with, none for a folder of one's own.
        under: a folder of files that it shares with others.
    """

    name: str
    folder: Path
    version: str | None = None
    under: Path | None = None

    @property
    def of_package(self) -> bool:
        """Whether it came with a package other than this one."""
        return self.version is not None and self.under is None


def built_in() -> list[str]:
    """The names of the ready-made templates."""
    return sorted(place.name for place in BUILT_IN.iterdir() if place.name != FRAME and _has_questions(place))


def described() -> dict[str, str]:
    """All templates that have names, each with the first line of its questions, a comment."""
    found = {name: BUILT_IN / name for name in built_in()}
    return {name: _first_line(place) for name, place in found.items()} | {
        name: f"from {place}" for name, place in names("templates").items()
    }


def _first_line(folder: Path) -> str:
    with (folder / _QUESTIONS[0]).open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def find_template(name: str) -> Template:
    """A template by its name or by the path of a folder.

    Raises:
        UsageError: there is no such template, with the nearest; or the folder is none.
    """
    if name in built_in():
        return Template(name, BUILT_IN / name, version=__version__, under=BUILT_IN / FRAME)
    installed = names("templates")
    if name in installed:
        return _of_package(name, installed[name])
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not _has_questions(folder):
            raise UsageError(f"{name} is no template: a Copier template has its questions in copier.yml.")
        return Template(name, folder.resolve())
    if re.match(r"[\w+.-]+://|git@|g[hl]:", name):
        raise UsageError(f"{name} is somewhere else: git clone it, and name the folder.")
    if os.sep in name:
        raise UsageError(f"There is no folder {name}.")
    raise UsageError(f"There is no template {name!r}. {suggest(name, [*built_in(), *installed])}")


def _of_package(name: str, place: str) -> Template:
    """The folder of the package that an entry point names; nothing of it is executed but what Python must."""
    try:
        spec = importlib.util.find_spec(place.partition(":")[0])
    except ImportError as error:
        raise UsageError(f"The template {name!r} is said to be the package {place!r}: {error}.") from None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders or not _has_questions(Path(folders[0])):
        raise UsageError(f"The template {name!r} is said to be the package {place!r}, which has no copier.yml.")
    entry = next(entry for entry in metadata.entry_points(group="ostinato.templates") if entry.name == name)
    return Template(name, Path(folders[0]), version=entry.dist.version if entry.dist else None)


def _has_questions(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _QUESTIONS)

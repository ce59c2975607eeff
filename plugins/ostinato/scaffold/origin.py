"""What a project remembers of its template: which, of which version, the answers, the files as they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato.errors import UsageError
from ostinato.suites.writing import spelled

from .pristine import Files, packed, unpacked

FOLDER = ".ostinato-template"
ANSWERS = f"{FOLDER}/answers.yaml"
PRISTINE = f"{FOLDER}/pristine.tar.xz"
_HEAD = """\
# What this project was made from. `ostinato update` reads it, and writes it anew; commit it.
# To answer otherwise, write `ostinato update -a key=value`.
"""


@dataclass(frozen=True)
class Origin:
    """Where a project comes from.

    Attributes:
        template: a name, or the path of a folder, from the project's.
        version: of what the template came with; None for a folder.
        answers: by key.
        drawn: files that were drawn up from data: an update leaves them.
        files: all as the template made them.
    """

    template: str
    version: str | None
    answers: Mapping[str, Any]
    drawn: tuple[str, ...] = ()
    files: Files = field(default_factory=dict)

    def written(self) -> Files:
        """The two files that keep it."""
        lines = [f"template: {spelled(self.template)}", f"version: {spelled(self.version)}", "answers:"]
        lines += [f"  {spelled(key)}: {spelled(value)}" for key, value in self.answers.items()] or ["  {}"]
        lines += [f"drawn: {spelled(self.drawn)}"] if self.drawn else []
        return {ANSWERS: (_HEAD + "\n".join(lines) + "\n").encode(), PRISTINE: packed(self.files)}


def origin_of(folder: Path) -> Origin:
    """What a project remembers.

    Raises:
        UsageError: it is no project of a template, or what it remembers cannot be read.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    answers, pristine = folder / ANSWERS, folder / PRISTINE
    if not answers.is_file():
        raise UsageError(f"{folder} was not made by `ostinato new`: it has no {ANSWERS}.")
    if not pristine.is_file():
        raise UsageError(f"{pristine} is not there; updates compare with it: git checkout -- {PRISTINE}")
    try:
        said = YAML(typ="safe", pure=True).load(answers.read_text(encoding="utf-8"))
        template, version, given = str(said["template"]), said["version"], dict(said["answers"])
        drawn = tuple(str(path) for path in said.get("drawn") or ())
    except (YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"{answers} cannot be read ({why}): git checkout -- {ANSWERS}") from None
    files = unpacked(pristine.read_bytes(), PRISTINE)
    return Origin(template, None if version is None else str(version), given, drawn, files)

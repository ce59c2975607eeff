"""A template of a few files, in versions, and projects of it that git looks after."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ostinato.scaffold.finding import find_template
from ostinato.scaffold.making import make

QUESTIONS = "name: {type: str}\nowner: {type: str, default: ''}\n"


def written(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder with these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def template(folder: Path, files: Mapping[str, str | bytes], questions: str = QUESTIONS) -> Path:
    """A Copier template in a folder."""
    return written(folder, {"copier.yml": questions, **files})


def project(template: Path | str, folder: Path, **answers: str) -> Path:
    """A project of a template, committed."""
    make(find_template(str(template)), folder, answers)
    git(folder, "init", "-q")
    commit(folder)
    return folder


def installed(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str = "team_templates.churn",
    *,
    name: str = "churn",
    version: str = "2.1",
) -> Path:
    """A team's package with a template, as pip leaves it; a later version takes the place of the one before."""
    about = f"team_templates-{version}.dist-info"
    files: dict[str, str | bytes] = {
        "team_templates/__init__.py": "",
        "team_templates/churn/__init__.py": "",
        "team_templates/churn/copier.yml": QUESTIONS,
        "team_templates/churn/{{ name }}/__init__.py": f'"""The package of project_name, {version}."""\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: team-templates\nVersion: {version}\n",
        f"{about}/entry_points.txt": f"[ostinato.templates]\n{name} = {value}\n",
    }
    for module in [module for module in sys.modules if module.startswith("team_templates")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(str(written(place, files)))
    return place / "team_templates" / "churn"


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "As it is")


def git(folder: Path, *arguments: str) -> str:
    """What git says, with no configuration but that of the project."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for who in ("AUTHOR", "COMMITTER"):
        nobody |= {f"GIT_{who}_NAME": "Somebody", f"GIT_{who}_EMAIL": "somebody@example.com"}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, env={**os.environ, **nobody}
    )
    return done.stdout


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files with the moment they were last written and what is in them, git's own left out."""
    places = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in places}

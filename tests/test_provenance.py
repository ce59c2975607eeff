"""Provenance: what a run was made of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ostinato
from ostinato.catalog import import_path
from ostinato.provenance import code_version, packages, tags


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The list of packages is read once in a process; not in these tests."""
    packages.cache_clear()
    yield
    packages.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@bank", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one committed file, whatever the caller's git says."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "mine.py").write_text("def nightly(): ...\n")
    (folder / "README").write_text("mine\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def nightly(folder: Path) -> Callable[..., Any]:
    found: Callable[..., Any] = import_path(f"{folder / 'pipelines' / 'mine.py'}:nightly")
    return found


def test_committed_code_is_its_commit(repository: Path) -> None:
    """Anybody can look it up."""
    assert code_version(nightly(repository)) == f"git:{git(repository, 'rev-parse', 'HEAD')}"


def test_an_untracked_file_beside_it_changes_nothing(repository: Path) -> None:
    """Outputs and notes lie around in every repository."""
    (repository / "notes.txt").write_text("x")
    assert not code_version(nightly(repository)).endswith("+dirty")


def test_edited_code_is_dirty(repository: Path) -> None:
    """Anywhere in the repository: a pipeline imports its neighbours."""
    (repository / "README").write_text("edited\n")
    assert code_version(nightly(repository)) == f"git:{git(repository, 'rev-parse', 'HEAD')}+dirty"


def test_code_that_is_in_no_commit_is_the_digest_of_its_file(tmp_path: Path, repository: Path) -> None:
    """Outside a repository, and new inside one."""
    (tmp_path / "pipelines").mkdir()
    (repository / "new").mkdir()
    (repository / "new" / "pipelines").mkdir()
    versions = []
    for folder in (tmp_path, repository / "new"):
        file = folder / "pipelines" / "mine.py"
        file.write_text("def nightly(): ...\n")
        versions.append(code_version(nightly(folder)))
    assert versions[0].startswith("sha256:")
    assert versions[0] == versions[1]


def test_code_without_a_file_is_unknown() -> None:
    """A function typed into a REPL, a builtin."""
    scope: dict[str, Any] = {}
    exec("def typed(): ...", scope)
    assert code_version(scope["typed"]) == "unknown"
    assert code_version(len) == "unknown"


def test_without_git_the_file_speaks(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has the code and no git."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert code_version(nightly(repository)).startswith("sha256:")


def test_every_installed_package_counts() -> None:
    """By name and version, in a defined order."""
    found = packages()
    assert found["duckdb"]
    assert list(found) == sorted(found)


def test_a_broken_package_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip leaves folders without metadata behind when it is interrupted."""
    (tmp_path / "~roken-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert packages()["ostinato"] == ostinato.__version__


def test_another_package_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is of all of them."""
    before = tags(code_version)
    packages.cache_clear()
    (tmp_path / "acme-1.0.dist-info").mkdir()
    (tmp_path / "acme-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    after = tags(code_version)
    assert before["environment"] != after["environment"]
    assert set(before) == {"code", "environment", "python", "ostinato"}

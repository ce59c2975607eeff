"""The workspace: where things lie, and how a file gets into it whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import ConfigurationError
from ostinato.workspace import (
    Workspace,
    filesystem,
    is_remote,
    local_path,
    read_text,
    to_uri,
    whole,
    write_json,
    write_text,
)


def test_the_workspace_is_the_one_named() -> None:
    """By argument, else by OSTINATO_HOME."""
    assert Workspace.here("/a/b").home == "/a/b"
    assert Workspace.here().home == os.environ["OSTINATO_HOME"]


def test_without_a_name_the_workspace_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.ostinato/`, as an absolute path: steps may change folders."""
    monkeypatch.delenv("OSTINATO_HOME")
    monkeypatch.chdir(tmp_path)
    assert Workspace.here().home == str(tmp_path / ".ostinato")
    assert Workspace.here("sub").home == str(tmp_path / "sub")


@pytest.mark.parametrize(
    ("given", "home"),
    [("file:///a/b%20c", "/a/b c"), ("s3://bank/ostinato/", "s3://bank/ostinato"), ("memory://x", "memory://x")],
)
def test_a_workspace_may_be_a_url(given: str, home: str) -> None:
    """`file://` is a folder; anything else is fsspec's."""
    assert Workspace.here(given).home == home
    assert Workspace.here(given).remote == is_remote(given) == (not given.startswith("file"))


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where no shell has looked at it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Workspace.here("~/ml").home == str(tmp_path / "ml")


def test_databases_lie_in_the_workspace_unless_the_environment_says_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OSTINATO_RECORDS and MLFLOW_TRACKING_URI win."""
    workspace = Workspace.here()
    assert workspace.records_url == f"sqlite:///{home}/records.db"
    assert workspace.tracking_uri == f"sqlite:///{home}/mlflow.db"
    monkeypatch.setenv("OSTINATO_RECORDS", "postgresql+psycopg://db/ostinato")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert workspace.records_url == "postgresql+psycopg://db/ostinato"
    assert workspace.tracking_uri == "http://mlflow:5000"


@pytest.mark.parametrize("folder", ["q?m", "p%20c", "h#sh", "a b", "größe", "a;b=c&d"])
def test_a_database_is_where_the_workspace_is_whatever_it_is_called(folder: str) -> None:
    """Nothing in the path is taken for a part of the URL."""
    url = sa.make_url(Workspace(f"/tmp/{folder}").records_url)
    assert url.database == f"/tmp/{folder}/records.db"
    assert not url.query


@pytest.mark.parametrize(
    ("variable", "ask"),
    [
        ("OSTINATO_RECORDS", lambda workspace: workspace.records_url),
        ("MLFLOW_TRACKING_URI", lambda workspace: workspace.tracking_uri),
    ],
)
def test_a_remote_workspace_asks_for_its_databases(variable: str, ask: Any) -> None:
    """With a sentence: a database file in an object store cannot be."""
    with pytest.raises(
        ConfigurationError, match=rf"s3://bank is remote, so {variable} must name.*e.g. {variable}=postgres"
    ):
        ask(Workspace.here("s3://bank"))


def test_a_workspace_below_a_file_cannot_be_prepared(tmp_path: Path) -> None:
    """Said before anything runs, with the way out."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        ConfigurationError, match=r"file/ostinato cannot be written \(Not a directory\). Set OSTINATO_HOME to a folder"
    ):
        Workspace.here(tmp_path / "file" / "ostinato").prepare()


def test_a_workspace_that_is_a_file_cannot_be_prepared(tmp_path: Path) -> None:
    """As unusual as it is clear."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match=r"cannot be written \(File exists\)"):
        Workspace.here(tmp_path / "file").prepare()


@pytest.mark.skipif(not Path("/proc").exists(), reason="Linux: a place nobody can write to")
def test_a_read_only_workspace_cannot_be_prepared() -> None:
    """Even by root."""
    with pytest.raises(ConfigurationError, match="/proc/ostinato cannot be written"):
        Workspace.here("/proc/ostinato").prepare()


def test_preparing_makes_the_folder(home: Path) -> None:
    """And leaves nothing in it but the empty scratch folder."""
    Workspace.here().prepare()
    assert list(home.rglob("*")) == [Workspace.here().scratch()]


def test_the_scratch_folder_of_a_remote_workspace_is_on_this_disk() -> None:
    """DuckDB spills to disk, never to an object store."""
    assert Workspace("s3://bank").scratch().is_dir()
    assert Workspace.here().scratch().is_relative_to(Workspace.here().home)


def test_an_unknown_protocol_is_a_configuration_error() -> None:
    """With the URL."""
    with pytest.raises(ConfigurationError, match="nowhere://x cannot be opened"):
        filesystem("nowhere://x")


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1).filter(lambda name: name not in "..~")
)
def test_a_path_makes_the_trip_through_its_uri(name: str) -> None:
    """Whatever letters are in it."""
    path = f"/data/{name}"
    assert str(local_path(to_uri(path))) == path
    assert to_uri("s3://bank/x") == "s3://bank/x"


# --- whole or not at all ------------------------------------------------------------------------------------------


def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    """And nothing beside it."""
    target = tmp_path / "file"
    write_text(str(target), "old")
    with contextlib.suppress(KeyError), whole(str(target)) as part:
        part.write_text("new")
        raise KeyError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_kill_in_the_middle_leaves_the_old_target(kind: str, tmp_path: Path) -> None:
    """No handler runs on SIGKILL; the old one is still there, whole."""
    target = tmp_path / "target"
    inside = target / "rows" if kind == "folder" else target
    inside.parent.mkdir(exist_ok=True)
    inside.write_text("old")
    code = f"""
import os, signal
from ostinato.workspace import whole
with whole({str(target)!r}) as part:
    if {kind == "folder"}:
        part.mkdir()
        part = part / "rows"
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert inside.read_text() == "old"


def test_a_folder_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    """Of all that was in it."""
    target = tmp_path / "target"
    for names in ("ab", "bc"):
        with whole(str(target)) as part:
            part.mkdir()
            for name in names:
                (part / name).write_text(names)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"b": "bc", "c": "bc"}
    assert os.listdir(tmp_path) == ["target"]


RACER = """
import sys
from ostinato.workspace import write_text
for _ in range(60):
    write_text(sys.argv[1], sys.argv[2] * 200_000)
"""


def test_racing_writers_leave_one_whole_file(tmp_path: Path) -> None:
    """A reader at any moment sees the one or the other, never a mixture, never a piece."""
    target = tmp_path / "file"
    write_text(str(target), "a" * 200_000)
    writers = [subprocess.Popen([sys.executable, "-c", RACER, str(target), letter]) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        text = target.read_text()
        assert len(text) == 200_000
        assert len(set(text)) == 1
        seen.add(text[0])
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(seen) > 1, "nobody raced"
    assert os.listdir(tmp_path) == ["file"]


def test_racing_threads_write_different_files_side_by_side(tmp_path: Path) -> None:
    """Into a folder that none of them found."""
    place = tmp_path / "new" / "folder"
    threads = [threading.Thread(target=write_text, args=(f"{place}/{n}", str(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_text() for path in place.iterdir()) == [str(n) for n in range(8)]


def test_a_file_goes_to_a_remote_place_and_comes_back() -> None:
    """By upload; a second one replaces it."""
    place = f"memory://{uuid.uuid4().hex}/x.json"
    for value in ({"a": 1}, {"b": "ü"}):
        write_json(place, value)
        assert json.loads(read_text(place)) == value


def test_a_failed_upload_leaves_the_old_file() -> None:
    """Nothing is sent before it is whole."""
    place = f"memory://{uuid.uuid4().hex}/x"
    write_text(place, "old")
    with contextlib.suppress(KeyError), whole(place) as part:
        part.write_text("new")
        raise KeyError
    assert read_text(place) == "old"


def test_json_is_strict_and_always_the_same(tmp_path: Path) -> None:
    """Sorted keys, no NaN: another language can read it, and the same value is the same file."""
    target = str(tmp_path / "x.json")
    write_json(target, {"b": 1, "a": 2})
    first = Path(target).read_bytes()
    write_json(target, {"a": 2, "b": 1})
    assert Path(target).read_bytes() == first
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, {"a": float("nan")})
    assert Path(target).read_bytes() == first


def test_what_a_killed_process_left_in_scratch_is_removed_by_the_next_run(home: Path) -> None:
    """Spilled data of a dead process goes, that of a living one stays."""
    workspace = Workspace.here()
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    mine = workspace.scratch() / workspace.scratch_name("duckdb")
    left = workspace.scratch() / workspace.scratch_name("duckdb").replace(str(os.getpid()), str(dead.pid))
    for folder in (mine, left):
        folder.mkdir()
        (folder / "spilled").touch()
    workspace.prepare()
    assert mine.exists()
    assert not left.exists()

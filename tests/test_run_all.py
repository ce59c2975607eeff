"""What `make test` runs: five sessions in three environments, two at a time, with stand-ins for their pytest."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ENVIRONMENTS = (".venv", ".venv-airflow", ".venv-prefect")
SESSIONS = (*ENVIRONMENTS, ".venv, pipelines", ".venv, projects")  # in the order in which they begin
PYTEST = f"""#!{sys.executable}
import json, pathlib, sys, time
root, environment = pathlib.Path(sys.argv[0]).parents[2], pathlib.Path(sys.argv[0]).parents[1].name
name = environment + "".join(f", {{part}}" for part in ("pipelines", "projects") if part in sys.argv)
told = json.loads((root / f"{{name}}.told").read_text())
ran = {{"arguments": sys.argv[1:], "began": time.time()}}
(root / f"{{name}}.began").touch()
print(name, "begins", flush=True)
try:
    time.sleep(told["seconds"])
except KeyboardInterrupt:
    time.sleep(0.5)
    told["code"] = 2
    ran["tidied"] = True
print(name, "ends", flush=True)
(root / f"{{name}}.ran").write_text(json.dumps({{**ran, "ended": time.time()}}))
sys.exit(told["code"])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with three environments."""
    (tmp_path / "tests").mkdir()
    shutil.copy(Path(__file__).with_name("run_all.py"), tmp_path / "tests")
    for name in ENVIRONMENTS:
        (tmp_path / name / "bin").mkdir(parents=True)
        program = tmp_path / name / "bin" / "pytest"
        program.write_text(PYTEST)
        program.chmod(0o755)
    for name in SESSIONS:
        tell(tmp_path, name)
    return tmp_path


def tell(root: Path, name: str, code: int = 0, seconds: float = 0.0) -> None:
    """Let a session take so long and end so."""
    (root / f"{name}.told").write_text(json.dumps({"code": code, "seconds": seconds}))


def ran(root: Path, name: str) -> dict[str, object]:
    """What a session's pytest was given, and when it ran."""
    found: dict[str, object] = json.loads((root / f"{name}.ran").read_text())
    return found


def run_all(root: Path, *chosen: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "tests" / "run_all.py"), *chosen]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_others_run_beside_the_first_and_one_after_the_other(root: Path) -> None:
    """And each says what it says in one piece, the first one first."""
    tell(root, ".venv", seconds=4)
    tell(root, ".venv-airflow", seconds=0.5)
    tell(root, ".venv-prefect", seconds=0.5)
    tell(root, ".venv, projects", seconds=5)
    done = run_all(root)
    assert done.returncode == 0, done.stderr
    here, *others = (ran(root, name) for name in SESSIONS)
    assert others[0]["began"] < here["ended"]
    assert all(one["ended"] <= other["began"] < here["ended"] for one, other in pairwise(others))
    lines = [f"{name} {word}" for name in SESSIONS for word in ("begins", "ends")]
    assert done.stdout.splitlines()[1:] == [*lines, "All tests passed."]


def test_whoever_is_ready_first_takes_the_next(root: Path) -> None:
    """Both sides are at work to the end."""
    tell(root, ".venv", seconds=2)
    tell(root, ".venv-prefect", seconds=6)
    done = run_all(root)
    assert done.returncode == 0, done.stderr
    here, _, prefect, pipelines, projects = (ran(root, name) for name in SESSIONS)
    assert here["ended"] <= pipelines["began"] <= projects["began"] < prefect["ended"]
    assert done.stdout.splitlines()[3:7] == [
        f".venv, {part} {word}" for part in ("pipelines", "projects") for word in ("begins", "ends")
    ]


def test_each_session_takes_its_own_tests_of_what_is_chosen(root: Path) -> None:
    """Whatever marks were chosen; what it remembers of them is its own."""
    run_all(root, "-k", "a or b", "-m", "slow")
    chosen = ["-k", "a or b", "-m", "slow"]
    for part, name in (("others", ".venv"), *((part, f".venv, {part}") for part in ("pipelines", "projects"))):
        own = ["-o", f"cache_dir=.pytest_cache/{part}", "--part", part]
        assert ran(root, name)["arguments"] == [*own, *chosen]
    for engine in ("airflow", "prefect"):
        own = ["-o", f"cache_dir=.pytest_cache/{engine}", "-o", "testpaths=tests/engines"]
        assert ran(root, f".venv-{engine}")["arguments"] == [*own, *chosen, "-m", engine]


def test_the_parts_are_all_tests_and_none_twice() -> None:
    """Counted by pytest itself, in a few folders."""
    root = Path(__file__).parents[1]
    paths = ["tests/pipelines", "tests/scaffold", "tests/templates", "tests/test_run_all.py", "tests/samples"]

    def collected(*options: str) -> set[str]:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options, *paths]
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120).stdout
        return {line for line in said.splitlines() if "::" in line}

    parts = {part: collected("--part", part) for part in ("others", "pipelines", "projects")}
    assert sum(map(len, parts.values())) == len(collected())
    assert set.union(*parts.values()) == collected()
    folders = {part: {name.split("/")[1] for name in found} for part, found in parts.items()}
    assert folders["pipelines"] == {"pipelines"}
    assert folders["projects"] == {"scaffold", "templates"}


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize(("code", "chosen", "fine"), [(1, ["-x"], False), (5, [], False), (5, ["-x"], True)])
def test_all_run_and_any_failure_is_one(root: Path, name: str, code: int, chosen: list[str], fine: bool) -> None:
    """To have nothing to do is one, unless something was chosen."""
    tell(root, name, code=code)
    done = run_all(root, *chosen)
    assert done.returncode == (0 if fine else 1)
    assert done.stdout.splitlines()[-1] == ("All tests passed." if fine else f"{name}: pytest ended with {code}")
    assert all(ran(root, one) for one in SESSIONS)


def test_an_environment_that_is_not_there_is_a_failure(root: Path) -> None:
    """It does not pass for one without tests."""
    (root / ".venv-prefect" / "bin" / "pytest").unlink()
    done = run_all(root, "-x")
    assert done.returncode == 1
    assert ".venv-prefect: did not run" in done.stdout.splitlines()


@pytest.fixture
def going_on(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Tests that take long, in a process group as of a terminal's command."""
    for name in SESSIONS:
        tell(root, name, seconds=50)
    command = [sys.executable, str(root / "tests" / "run_all.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        until = time.monotonic() + 30
        while not all((root / f"{name}.began").exists() for name in SESSIONS[:2]):
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(0.2)  # they have said so, and sleep now
        yield process


@pytest.mark.parametrize("how", ["Ctrl-C", "kill"])
def test_whoever_is_ended_ends_all_and_waits_until_they_have_tidied_up(
    going_on: subprocess.Popen[str], root: Path, how: str
) -> None:
    """A terminal tells the whole group, `kill` only the one: every session hears of it once, and no other begins."""
    if how == "kill":
        going_on.terminate()
    else:
        os.killpg(going_on.pid, signal.SIGINT)
    said, _ = going_on.communicate(timeout=30)
    assert going_on.returncode == 130
    assert all(ran(root, name)["tidied"] for name in SESSIONS[:2])
    assert not any((root / f"{name}.began").exists() for name in SESSIONS[2:])
    assert ".venv-airflow ends" in said
    assert said.splitlines()[-3:] == [f"{name}: did not run" for name in SESSIONS[2:]]

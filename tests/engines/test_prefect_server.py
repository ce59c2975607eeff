"""The Prefect that tests run, and the demo's: it runs what it is given, keeps others out, and goes without a trace."""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

from engines.prefect_server import Refused, Server, demo, prefect_server, processes

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

FLOWS = """
import time

import ostinato
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

@task
def greet(name):
    get_run_logger().info("hello %s", name)
    create_markdown_artifact(f"# {name}", key="greeting")
    return name

@task
def count(name, times):
    return len(name) * times

@flow
def greeting(name: str = "you"):
    name = greet(name)
    return [count(name, times) for times in (1, 2)]

@flow
def sleep():
    time.sleep(600)
"""
DEMO = (sys.executable, str(demo.__file__))
ELSEWHERE = "http://127.0.0.1:9/api"


def write_project(folder: Path, *names: str) -> Path:
    """A project whose .env would lead elsewhere."""
    entries = [f"- name: {name}\n  entrypoint: flows.py:{name}\n  work_pool: {{name: ostinato}}\n" for name in names]
    folder.mkdir(exist_ok=True)
    (folder / "flows.py").write_text(FLOWS)
    (folder / ".env").write_text(f"PREFECT_API_URL={ELSEWHERE}\nPREFECT_API_KEY=other\n")
    (folder / "prefect.yaml").write_text("deployments:\n" + "".join(entries))
    return folder


@pytest.fixture(scope="module", autouse=True)
def checking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """`make prefect` with --check, which takes its time while the other tests run."""
    command = [
        *DEMO,
        "--check",
        "--project",
        str(write_project(tmp_path_factory.mktemp("checked"), "greeting", "sleep")),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = write_project(tmp_path_factory.mktemp("project"), "greeting", "sleep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", ELSEWHERE)
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", "somebody:else")
        with prefect_server(tmp_path_factory.mktemp("prefect"), project=project) as server:
            yield server


def test_a_run_succeeds_and_can_be_read(server: Server) -> None:
    """Task runs, logs, artifacts and events come through the API, and ostinato can be imported."""
    run_id = server.run("greeting", {"name": "Ada"}, tags=["by hand"])
    assert server.wait_for(run_id) == "Completed"
    assert sorted(name.rpartition("-")[0] for name in server.task_runs(run_id)) == ["count", "count", "greet"]
    assert set(server.task_runs(run_id).values()) == {"Completed"}
    assert "hello Ada" in server.logs(run_id)
    assert [(one["key"], one["data"]) for one in server.artifacts(run_id)] == [("greeting", "# Ada")]
    assert [(run["id"], run["tags"]) for run in server.flow_runs("greeting/greeting")] == [(run_id, ["by hand"])]
    assert server.events("prefect.flow-run.Completed", f"prefect.flow-run.{run_id}")


@pytest.mark.parametrize("path", ["/api/flows/count", "/api/admin/version", "/api/flow_runs/filter"])
def test_nobody_gets_in_without_the_password(server: Server, path: str) -> None:
    """Neither without one nor with another, and the refusal carries its status."""
    for authorization in (None, "Basic YWRtaW46YWRtaW4=", "Bearer x"):
        with pytest.raises(Refused) as refusal:
            demo.send("POST" if "f" in path else "GET", server.url + path, {}, authorization)
        assert refusal.value.status == 401


def test_the_password_is_private(server: Server) -> None:
    """It is in no command line and no log, and nobody else may read the file that keeps it."""
    kept = server.home / "password"
    assert kept.read_text() == server.password
    assert kept.stat().st_mode & 0o777 == 0o600
    assert server.home.stat().st_mode & 0o777 == 0o700
    for pid in server.processes():
        assert server.password not in Path(f"/proc/{pid}/cmdline").read_text()
    for log in server.home.glob("*.log"):
        assert server.password not in log.read_text()


def test_prefect_knows_every_setting(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was misspelt, or that a later version calls otherwise, would be passed over in silence."""
    from prefect.settings import Settings

    given = {name: value for name, value in server.environment.items() if name.startswith("PREFECT_")}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert set(given) <= set(Settings().to_environment_variables(exclude_unset=True))


def test_the_page_of_the_browser_is_there(server: Server) -> None:
    """It asks for the password itself, and finds the API where it is."""
    request = urllib.request.Request(server.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert "<title>Prefect" in answer.read().decode()
    settings = demo.send("GET", f"{server.url}/ui-settings")
    assert (settings["api_url"], settings["auth"]) == (server.api, "BASIC")


def test_a_home_and_a_port_are_for_one(server: Server, tmp_path: Path) -> None:
    """A second Prefect in the same home is told which processes are in its way; a port that is taken is replaced."""
    with pytest.raises(demo.InUse, match=f"already: stop it first .*{server.running['worker'].pid}"):
        Server.at(server.home)
    other = Server.at(tmp_path / "other", port=server.port)
    assert other.port != server.port
    assert other.stop() == set()


def test_what_is_listed_is_compared_with_what_is_there(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both what is missing and what nobody has listed is said."""
    assert demo._check(server) == 0
    assert "Deployments: greeting/greeting, sleep/sleep." in capsys.readouterr().out
    monkeypatch.setattr(server, "project", write_project(tmp_path / "p", "greeting", "new"))
    assert demo._check(server) == 1
    said = capsys.readouterr().out
    assert "new (flows.py:new) was not deployed." in said
    assert "sleep (flows.py:sleep) is not in prefect.yaml." in said


def test_what_cannot_be_deployed_is_shown(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Prefect's own error."""
    monkeypatch.setattr(server, "project", write_project(tmp_path / "p", "nonesuch"))
    with pytest.raises(demo.Died, match=r"(?s)`prefect deploy` failed.*'nonesuch' not found"):
        server.deploy()


def test_a_killed_worker_is_noticed_and_its_runs_end_all_the_same(server: Server) -> None:
    """They live in sessions of their own, which have no parent any more. (It is the last of this server: it stops.)"""
    run_id = server.run("sleep")
    server.wait_for_state(run_id, "Running")
    assert len(server.worker_pids) > 1
    for process in server.running.values():
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert server.processes()
    with pytest.raises(demo.Died, match="ended with -9"):
        server.check_alive()
    assert server.stop() == set()
    assert server.processes() == set()


def test_the_demo_says_where_it_is_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    """Stopped in the middle of a run, all processes go, none has to be killed, and the run is on record as crashed."""
    home = tmp_path / "home"
    given = ["--project", str(write_project(tmp_path / "project", "sleep")), "--home", str(home), "--port", "0"]
    with subprocess.Popen([*DEMO, *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        _, _, url, user, password, *_ = (next(process.stdout).split()[-1:] for _ in range(6))
        login = base64.b64encode(f"{user[0]}:{password[0]}".encode()).decode()

        def ask(method: str, path: str, body: Any = None) -> Any:
            return demo.ask(method, f"{url[0]}/api/{path}", body, f"Basic {login}")

        try:
            deployment = ask("GET", "deployments/name/sleep/sleep")["id"]
            run = ask("POST", f"deployments/{deployment}/create_flow_run", {})["id"]
            until = time.monotonic() + 60
            while ask("GET", f"flow_runs/{run}")["state_type"] != "RUNNING" and time.monotonic() < until:
                time.sleep(0.2)
            pids = processes.family({process.pid}) | processes.marked("PREFECT__FLOW_RUN_ID", run)
        finally:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.rstrip().endswith("Prefect has stopped.")
    assert len(pids) > 3
    assert processes.family(pids) == set()
    with sqlite3.connect(home / "prefect.db") as database:
        assert database.execute("select state_type from flow_run").fetchall() == [("CRASHED",)]


def test_the_demo_checks_itself(checking: subprocess.Popen[str]) -> None:
    """Where all is well it says so and stops."""
    said, errors = checking.communicate(timeout=120)
    assert checking.returncode == 0, errors
    assert "Deployments: greeting/greeting, sleep/sleep." in said
    assert "All of prefect.yaml is there, and the worker is online." in said


def test_the_demo_needs_something_to_deploy(tmp_path: Path) -> None:
    """A folder without prefect.yaml is named at once."""
    done = subprocess.run([*DEMO, "--project", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"there is no file {tmp_path / 'prefect.yaml'}" in done.stderr

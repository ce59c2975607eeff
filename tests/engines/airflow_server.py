"""The real Airflow for a while: its four processes on a free loopback port, in a folder, gone when the block ends."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest


def _demo() -> Any:
    """The module behind `make airflow`."""
    file = Path(__file__).parents[2] / "demo" / "start_airflow.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


demo = _demo()
Refused = demo.Refused
USERS = {"admin": ("admin", "admin"), "vic": ("viewer", "vic")}
QUICK = {
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",  # a task whose supervisor was killed is given up then
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",  # also of people who were asked and do not answer
}
ENDED = ("success", "failed")
WORST_FIRST = (
    "failed upstream_failed up_for_retry restarting running queued scheduled deferred awaiting_input up_for_reschedule "
    "none removed skipped success"
).split()


@dataclass
class Server(demo.Airflow):  # type: ignore[misc, name-defined]
    """A running Airflow and what one asks of it. `request` and the rest of its base speak for themselves."""

    def request(self, method: str, path: str, body: Any = None, user: str = "admin") -> Any:
        """Ask the API, and again where its sqlite was locked by the others for too long."""
        for tries in range(5):
            try:
                return super().request(method, path, body, user)
            except Refused as error:
                if tries == 4 or error.status != 500 or "Database error" not in str(error):
                    raise
                time.sleep(1)
        raise AssertionError

    def unpause(self, dag_id: str) -> None:
        """Let its runs begin; new DAGs are paused."""
        self.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def wait_for_dag(self, dag_id: str, seconds: float = 240) -> None:
        """Return when the DAG's file was read."""
        self._wait(seconds, lambda: dag_id in self.dags(), lambda: f"no DAG {dag_id}; {self.import_errors()}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, logical_date: str | None = None) -> str:
        """Start a run by hand, as the form in the browser does (which unpauses); the answer is the run's id."""
        self.wait_for_dag(dag_id)
        self.unpause(dag_id)
        given = {"logical_date": logical_date, "conf": dict(conf or {})}
        return str(self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", given)["dag_run_id"])

    def backfill(self, dag_id: str, start: str, end: str, conf: Mapping[str, Any] | None = None) -> list[str]:
        """Run every interval from `start` to `end`; the answer is the runs' ids in the order of their dates."""
        self.wait_for_dag(dag_id)
        before = {run["dag_run_id"] for run in self.runs(dag_id)}
        given = {"dag_id": dag_id, "from_date": start, "to_date": end, "dag_run_conf": dict(conf or {})}
        self._wait(60, lambda: self._backfilled(given), lambda: "sqlite is locked")
        self.unpause(dag_id)
        made = [run for run in self.runs(dag_id) if run["run_type"] == "backfill" and run["dag_run_id"] not in before]
        return [run["dag_run_id"] for run in sorted(made, key=lambda run: run["logical_date"])]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, as the API describes them."""
        return list(self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100")["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run, as the API describes it."""
        return dict(self.request("GET", _path(dag_id, run_id)))

    def wait_for(self, dag_id: str, run_id: str, seconds: float = 300) -> str:
        """Return how the run ended: `success` or `failed`."""
        self._wait(
            seconds,
            lambda: self.run(dag_id, run_id)["state"] in ENDED,
            lambda: f"{dag_id} has not ended: {self.states(dag_id, run_id)}\n{self.tail('scheduler')}",
        )
        return str(self.run(dag_id, run_id)["state"])

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, state: str, seconds: float = 240) -> None:
        """Return when the task is in that state."""
        self._wait(
            seconds,
            lambda: self.states(dag_id, run_id).get(task_id) == state,
            lambda: f"{task_id} is not {state}: {self.states(dag_id, run_id)}",
        )

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, as the API describes them: `state`, `map_index`, `try_number`, `pid` …"""
        return list(self.request("GET", f"{_path(dag_id, run_id)}/taskInstances?limit=100")["task_instances"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of every task; a mapped task's is that of its worst item, and one not yet looked at has `none`."""
        found: dict[str, list[str]] = {}
        for task in self.tasks(dag_id, run_id):
            found.setdefault(task["task_id"], []).append(task["state"] or "none")
        return {task_id: min(states, key=WORST_FIRST.index) for task_id, states in found.items()}

    def output(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """What the task returned."""
        entry = f"{_path(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}"
        return self.request("GET", entry)["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """What one attempt of a task has said, tracebacks included."""
        asked = urlencode({"full_content": "true", "map_index": map_index})
        log = self.request("GET", f"{_path(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}?{asked}")
        return "\n".join(map(_line, log["content"]))

    def hitl(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        choice: str,
        params_input: Mapping[str, Any] | None = None,
        user: str = "admin",
    ) -> None:
        """Answer a task that asks people, once it asks and the scheduler has heard so.

        An answer in that very moment makes Airflow 3.3 take the first process's end for a failure of the task.
        """
        self.wait_for_task(dag_id, run_id, task_id, "awaiting_input", 240)
        heard = f"Received executor event with state success for task instance TaskInstanceKey(dag_id='{dag_id}', "
        heard += f"task_id='{task_id}', run_id='{run_id}'"
        log = self.home / "scheduler.log"
        self._wait(60, lambda: heard in log.read_text(errors="replace"), lambda: f"nobody heard of {task_id}")
        answer = {"chosen_options": [choice], "params_input": dict(params_input or {})}
        self.request("PATCH", f"{_path(dag_id, run_id)}/taskInstances/{task_id}/-1/hitlDetails", answer, user)

    def _backfilled(self, given: dict[str, Any]) -> bool:
        try:
            self.request("POST", "/api/v2/backfills", given)
        except Refused as refusal:
            if refusal.status != 503:  # so Airflow says that sqlite is locked, after cleaning up
                raise
            return False
        return True

    def _wait(self, seconds: float, done: Callable[[], bool], complaint: Callable[[], str]) -> None:
        until = time.monotonic() + seconds
        while not done():
            self.check_alive()
            assert time.monotonic() < until, f"After {seconds:.0f} s: {complaint()}"
            time.sleep(0.2)


@contextmanager
def airflow_server(
    folder: Path,
    *,
    dags: Path,
    plugins: Path | None = None,
    environment: Mapping[str, str] | None = None,
    database: str | None = None,
) -> Iterator[Server]:
    """A healthy Airflow with the users `admin` (password `admin`) and `vic`, a viewer (password `vic`).

    Of ostinato's configuration nothing is inherited; its workspace is in the folder, or where `environment` says.
    The block fails at its end if a process had to be killed.
    """
    with _memory() as memory:
        outer = {"OSTINATO_HOME": str(folder / "ostinato")}
        # psycopg speaks both ways; asked for nothing, Airflow would want asyncpg for the other one.
        both = ("", "_ASYNC") if database else ("",)
        url = database or f"sqlite:///{memory}/airflow.db"
        outer |= {f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN{kind}": url for kind in both}
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.copy():
                if name.startswith(("OSTINATO_", "PYTEST_")) or name == "MLFLOW_TRACKING_URI":
                    patch.delenv(name)
            server = Server.at(
                folder / "airflow",
                dags=dags,
                plugins=plugins or folder / "no-plugins",
                users=USERS,
                environment={**QUICK, **outer, **(environment or {})},
            )
        try:
            server.start()
            server.wait_until_healthy()
            yield server
        finally:
            forced = server.stop(grace=10)
            assert not server.processes(), f"still alive: {server.processes()}"
    assert not forced, f"only SIGKILL could end {forced}"


def _memory() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: a slow disk makes four processes that share a sqlite wait for too long."""
    place = "/dev/shm"
    return tempfile.TemporaryDirectory(prefix="airflow-", dir=place if os.access(place, os.W_OK) else None)


def _path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _line(entry: dict[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    causes = [f"{one['exc_type']}: {one['exc_value']}" for one in entry.get("error_detail") or []]
    return "\n".join([entry["event"], *causes])

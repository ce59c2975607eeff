"""The real Prefect for a while: a server on a free loopback port and a worker, gone when the block ends."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

sys.path.append(str(Path(__file__).parents[2] / "demo"))
import processes
import start_prefect as demo

Refused = demo.Refused
QUICK = {
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",  # how often "this did not happen" is looked at
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.5",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "0.5",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(kw_only=True)
class Server(demo.Prefect):  # type: ignore[misc, name-defined]
    """A running Prefect and what one asks of it. `request` and the rest of its base speak for themselves.

    A deployment is called by its name, or by the flow's and its own: `fraud_detection/production`.
    """

    @property
    def worker_pids(self) -> set[int]:
        """The worker and the processes of its flow runs."""
        return self.processes() - processes.family({self.running["server"].pid})

    def run_pids(self, run_id: str) -> set[int]:
        """The processes of one flow run."""
        return processes.marked("PREFECT__FLOW_RUN_ID", run_id)

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment, as the API describes it."""
        if "/" in name:
            return dict(self.request("GET", f"/deployments/name/{quote(name)}"))
        found = self.request("POST", "/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        assert len(found) == 1, f"{len(found)} deployments are called {name}; there are {self.deployments()}"
        return dict(found[0])

    def run(self, deployment: str, parameters: Mapping[str, Any] | None = None, tags: Sequence[str] = ()) -> str:
        """Start a run by hand, as the form in the browser does; the answer is the flow run's id."""
        given = {"parameters": dict(parameters or {}), "tags": list(tags)}
        made = self.request("POST", f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", given)
        return str(made["id"])

    def flow_runs(self, deployment: str) -> list[dict[str, Any]]:
        """All runs of a deployment, the first first, as the API describes them."""
        wanted = {"deployments": {"id": {"any_": [self.deployment(deployment)["id"]]}}, "sort": "START_TIME_ASC"}
        return list(self.request("POST", "/flow_runs/filter", wanted))

    def flow_run(self, run_id: str) -> dict[str, Any]:
        """One run, as the API describes it: `state_name`, `state_type`, `parameters`, `tags` …"""
        return dict(self.request("GET", f"/flow_runs/{run_id}"))

    def wait_for(self, run_id: str, seconds: float = 120) -> str:
        """Return the name of the state in which the run ended, `Completed`, `Failed`, `Crashed` …, once its process has
        ended too: what it logs and tells of its tasks is sent off behind."""
        self.wait_until(
            lambda: self.flow_run(run_id)["state_type"] in FINAL and not self.run_pids(run_id),
            lambda: f"the run has not ended: {self._described(run_id)}\n{self.tail('worker')}",
            seconds,
        )
        return str(self.flow_run(run_id)["state_name"])

    def wait_for_state(self, run_id: str, name: str, seconds: float = 60) -> None:
        """Return when the run's state has that name: `Running`, `Paused`, `AwaitingConcurrencySlot` …"""
        self.wait_until(
            lambda: self.flow_run(run_id)["state_name"] == name,
            lambda: f"the run is not {name}: {self._described(run_id)}\n{self.tail('worker')}",
            seconds,
        )

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """All task runs of a flow run, as the API describes them; of one that has ended, when all were heard of.

        They come by events, which the server may take in late: wait until none runs and nothing changes.
        """
        before, until = None, time.monotonic() + 10
        while True:
            found = self._tasks(run_id)
            states = {task["id"]: task["state_type"] for task in found}
            settled = states == before and "RUNNING" not in states.values()
            if settled or self.flow_run(run_id)["state_type"] not in FINAL or time.monotonic() > until:
                return found
            before = states
            time.sleep(0.5)

    def task_runs(self, run_id: str) -> dict[str, str]:
        """The name of every task run's state, by the task run's name."""
        return {task["name"]: task["state_name"] for task in self.tasks(run_id)}

    def logs(self, run_id: str) -> str:
        """What the run and its tasks have logged, line by line."""
        wanted = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        lines: list[str] = []
        while page := self.request("POST", "/logs/filter", {**wanted, "offset": len(lines)}):
            lines += [one["message"] for one in page]
        return "\n".join(lines)

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """What the run shows: `key`, `type`, `data`, `description`."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}
        return list(self.request("POST", "/artifacts/filter", wanted))

    def resume(self, run_id: str, run_input: Mapping[str, Any] | None = None) -> None:
        """Answer a paused run, as the form in the browser does; an answer that does not fit is an error."""
        done = self.request("POST", f"/flow_runs/{run_id}/resume", {"run_input": dict(run_input or {})})
        assert done["status"] == "ACCEPT", done

    def emit(self, event: str, resource: str, payload: Mapping[str, Any] | None = None) -> str:
        """Tell of an event of a resource, `model.fraud.v7`; the answer is the event's id."""
        told = {
            "id": str(uuid.uuid4()),
            "event": event,
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": resource},
            "payload": dict(payload or {}),
        }
        self.request("POST", "/events", [told])
        return str(told["id"])

    def events(self, event: str = "", resource: str = "") -> list[dict[str, Any]]:
        """The last fifty events, the last first, of those that are called or whose resource is called so.

        Both may be prefixes, when they end in `.*` or `*`.
        """
        wanted: dict[str, Any] = {}
        if event:
            wanted["event"] = {"prefix": [event.removesuffix("*")]} if event.endswith("*") else {"name": [event]}
        if resource:
            wanted["resource"] = {"id_prefix" if resource.endswith("*") else "id": [resource.removesuffix("*")]}
        return list(self.request("POST", "/events/filter", {"filter": wanted, "limit": 50})["events"])

    def automations(self) -> list[dict[str, Any]]:
        """What the server does by itself, triggers of deployments included."""
        return list(self.request("POST", "/automations/filter", {}))

    def keep_secret(self, name: str, value: str) -> None:
        """Save a block of Prefect's type Secret."""
        kind = self.request("GET", "/block_types/slug/secret")["id"]
        (schema, *_) = self.request(
            "POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}}
        )
        document = {"name": name, "data": {"value": value}, "block_type_id": kind, "block_schema_id": schema["id"]}
        self.request("POST", "/block_documents/", document)

    def wait_until(self, done: Callable[[], bool], complaint: Callable[[], str], seconds: float = 60) -> None:
        """Return when it is done; fail with the complaint when it takes too long, or when a process has died."""
        until = time.monotonic() + seconds
        while not done():
            self.check_alive()
            assert time.monotonic() < until, f"After {seconds:.0f} s: {complaint()}"
            time.sleep(0.2)

    def _tasks(self, run_id: str) -> list[dict[str, Any]]:
        wanted = {"task_runs": {"flow_run_id": {"any_": [run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return list(self.request("POST", "/task_runs/filter", wanted))

    def _described(self, run_id: str) -> str:
        run = self.flow_run(run_id)
        tasks = {task["name"]: task["state_name"] for task in self._tasks(run_id)}
        return f"{run['state_name']} ({run['state']['message']}), {tasks}"


@contextmanager
def prefect_server(
    folder: Path, *, project: Path = demo.ROOT, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A healthy Prefect that has deployed what `project` lists in its prefect.yaml.

    Nothing of ostinato's or Prefect's configuration is inherited; ostinato's workspace is in the folder, or where
    `environment` says. The block fails at its end if a process had to be killed.
    """
    with _memory() as memory:
        outer = {
            "OSTINATO_HOME": str(folder / "ostinato"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{memory}/prefect.db",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.copy():
                if name.startswith(("OSTINATO_", "PYTEST_")) or name == "MLFLOW_TRACKING_URI":
                    patch.delenv(name)
            settings = {**QUICK, **outer, **(environment or {})}
            server = Server.at(folder / "prefect", project=project, environment=settings)
        try:
            server.start()
            server.wait_until_healthy()
            yield server
        finally:
            forced = server.stop(grace=10)
            assert not server.processes(), f"still alive: {server.processes()}"
    assert not forced, f"only SIGKILL could end {forced}"


def _memory() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: on a slow disk sqlite is locked for too long."""
    place = "/dev/shm"
    return tempfile.TemporaryDirectory(prefix="prefect-", dir=place if os.access(place, os.W_OK) else None)

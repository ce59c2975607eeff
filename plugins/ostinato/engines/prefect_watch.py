"""What no run can tell of itself: that it could not begin, has died, or says nothing any more.

Prefect starts this flow itself, by the triggers of its deployment in `prefect.yaml`.
"""

from __future__ import annotations

import os
import time
from typing import Any, Literal
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Crashed
from prefect.utilities.urls import url_for

from ostinato import alerts, catalog, separate
from ostinato.context import today
from ostinato.errors import OstinatoError
from ostinato.graph import Pipeline
from ostinato.records import RunRecord

from .prefect_closing import RunEnded, tell
from .prefect_run import record_id, records_here

_FOLDER = "prefect.deployments.steps.set_working_directory"
OURS = "ostinato"
"""The tag of the deployments that are watched."""


@flow(name="watch")
def watch(what: Literal["not started", "silent", "ended"], subject: str, why: str = "", number: int | str = 0) -> None:
    """Close what has ended without a word, and tell its people.

    Args:
        what: "not started", where an automation could not start its run; "silent", where a run has sent no heartbeat;
            "ended", where it has crashed or failed.
        subject: the automation or flow run, as events name it.
        why: what the automation's action says.
        number: which of the automation's actions; a number, or text where a server makes text of it.
    """
    found = UUID(subject.rpartition(".")[2])
    if what == "not started":
        _not_started(found, why, int(number or 0))
    else:
        _ended(found, silent=what == "silent")


def _ended(flow_run_id: UUID, *, silent: bool) -> None:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
        named = client.read_flow(run.flow_id)
        state = run.state
        if silent and state is not None and _has_process(state):
            state = Crashed(
                message="Its process has sent no heartbeat any more: it was killed, or its machine is away."
            )
            client.set_flow_run_state(flow_run_id, state, force=True)
        deployment = client.read_deployment(run.deployment_id) if run.deployment_id else None
    if state is not None and state.is_final() and not state.is_completed():
        why = _cannot_be_loaded(deployment) if state.is_crashed() and deployment else ""
        get_run_logger().info("%s of %s: %s", run.name, named.name, why or state.message)
        RunEnded(_pipeline(named.name))(named, run, state, why)


def _has_process(state: Any) -> bool:
    """Whether a run in this state has a process that sends heartbeats; one that is suspended has none."""
    return bool(state.is_running() or state.is_cancelling() or state.name == "Paused")


def _cannot_be_loaded(deployment: Any) -> str:
    """Why the file of a deployment's flow cannot be loaded, which no state of its run says; empty where it can.

    It is loaded in a process of its own: a stranger's file may exit.
    """
    file, _, _ = (deployment.entrypoint or "").rpartition(":")
    folder = next((step[_FOLDER]["directory"] for step in deployment.pull_steps or () if _FOLDER in step), ".")
    place = os.path.abspath(os.path.join(folder, file))
    if not os.path.isfile(place):
        return ""
    asked = {"folder": folder, "files": [place], "uses": []}
    code = "from ostinato.flow_loading import look; said = look(**asked)"
    try:
        found = separate.answer(code, asked, path=[], environment=os.environ)["files"][place]
    except RuntimeError as error:
        return f"{file} cannot be loaded: {error}"
    return f"{file} cannot be loaded: {found['error']}" if found.get("error") else ""


def _not_started(automation_id: UUID, why: str, number: int) -> None:
    """Put the run that was to be on record, as one that failed."""
    deployment, name = _meant(automation_id, number)
    if deployment is None or OURS not in deployment.tags:
        get_run_logger().info("It is no deployment with the tag %s: %s", OURS, why)
        return
    here, now, pipeline = FlowRunContext.get(), time.time(), _pipeline(name)
    assert here is not None  # it is called by the flow
    assert here.flow_run is not None
    record = RunRecord(
        run_id=record_id(name, here.flow_run.id),  # one for each event, however many come at once
        pipeline=name,
        engine="prefect",
        state="failed",
        as_of=today().isoformat(),
        started=now,
        ended=now,
        parameters={},
        graph=pipeline.graph.to_json() if pipeline else {"pipeline": name, "nodes": []},
        path=pipeline.path if pipeline else "",
        tags={**(alerts.addressed(pipeline) if pipeline else {}), "page": _page(automation_id)},
        report=None,
        error={
            "type": "NotStarted",
            "message": f"an event was to start it, and Prefect refused: {why}",
            "transient": False,
        },
    )
    records_here().open_run(record)
    tell("ended", record.run_id)


def _meant(automation_id: UUID, number: int) -> tuple[Any, str]:
    """The deployment that an action of an automation was to run, and its flow's name; None where it was to do else."""
    with get_client(sync_client=True) as client:
        answer = client.request("GET", "/automations/{id}", path_params={"id": automation_id}).json()
        actions = answer["actions"]
        chosen = actions[number].get("deployment_id") if number < len(actions) else None
        if chosen is None:
            return None, ""
        deployment = client.read_deployment(chosen)
        return deployment, client.read_flow(deployment.flow_id).name


def _page(automation_id: UUID) -> str:
    return url_for("automation", obj_id=automation_id) or ""


def _pipeline(name: str) -> Pipeline[...] | None:
    """The ready-made pipeline of that name, for who is to be told."""
    try:
        return catalog.find_pipeline(name)
    except OstinatoError:
        return None

"""What no run can tell of itself: that it could not begin, has died, or says nothing any more.

Prefect starts this flow itself, by the triggers of its deployment in `prefect.yaml`.
"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any, Literal
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import MissingFlowError, ScriptError
from prefect.flows import load_flow_from_entrypoint
from prefect.logging import get_run_logger
from prefect.states import Crashed
from prefect.utilities.urls import url_for

from ostinato import alerts, catalog
from ostinato.context import today
from ostinato.errors import OstinatoError
from ostinato.graph import Pipeline
from ostinato.records import RunRecord

from .prefect_closing import RunEnded, tell
from .prefect_run import record_id, records_here

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
        if silent and state is not None and not state.is_final():
            state = Crashed(
                message="Its process has sent no heartbeat any more: it was killed, or its machine is away."
            )
            client.set_flow_run_state(flow_run_id, state, force=True)
        deployment = client.read_deployment(run.deployment_id) if run.deployment_id else None
    if state is not None and state.is_final() and not state.is_completed():
        why = _cannot_be_loaded(deployment.entrypoint) if state.is_crashed() and deployment else ""
        get_run_logger().info("%s of %s: %s", run.name, named.name, why or state.message)
        RunEnded(_pipeline(named.name))(named, run, state, why)


def _cannot_be_loaded(entrypoint: str | None) -> str:
    """Why the file of a flow cannot be loaded, which the state of its run does not say; empty where it can."""
    if not entrypoint or not os.path.exists(entrypoint.rpartition(":")[0]):
        return ""
    try:
        load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except ScriptError as error:
        return f"{entrypoint} cannot be loaded: {type(error.user_exc).__name__}: {error.user_exc}"
    except MissingFlowError as error:
        return str(error)
    return ""


def _not_started(automation_id: UUID, why: str, number: int) -> None:
    """Put the run that was to be on record, as one that failed."""
    deployment, name = _meant(automation_id, number)
    if deployment is None or OURS not in deployment.tags:
        get_run_logger().info("It is no deployment with the tag %s: %s", OURS, why)
        return
    flow_run, now = SimpleNamespace(id=f"{automation_id}.{time.time():.0f}"), time.time()
    pipeline = _pipeline(name)
    record = RunRecord(
        run_id=record_id(name, flow_run.id),
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
            "type": "UsageError",
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

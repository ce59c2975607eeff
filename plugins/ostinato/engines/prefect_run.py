"""One flow run as one run of ours: its name in the records, the moment it stands for, its parameters."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefect.utilities.urls import url_for

from ostinato import parameters
from ostinato.errors import ConfigurationError, ParameterError, UnknownName
from ostinato.graph import Pipeline
from ostinato.records import ENDED, Records, RunRecord
from ostinato.runner import moment, records_of
from ostinato.workspace import Workspace

from .prefect_secrets import resolve

_TELLING = 3.0  # seconds that a run may wait at its start


@dataclass(frozen=True)
class Opened:
    """A run on record; `again` where it goes on after an earlier attempt, whose results are taken as they are."""

    record: RunRecord
    again: bool = False


def record_id(flow_name: str, flow_run_id: Any) -> str:
    """What a flow run is called in the records and in the workspace."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", flow_name)[:60].strip("-.")
    return f"{clean or 'flow'}.{flow_run_id}"


def workspace_here() -> Workspace:
    """The workspace: `OSTINATO_HOME`, else `.ostinato/` in the current folder.

    Raises:
        ConfigurationError: a worker has put the run into a passing folder, with which the workspace would be lost.
    """
    if not os.environ.get("OSTINATO_HOME") and _is_passing(os.getcwd()) and os.environ.get("PREFECT__FLOW_RUN_ID"):
        raise ConfigurationError(
            f"The worker runs flows in {os.getcwd()}, which is removed afterwards: set OSTINATO_HOME for it, or let "
            "the deployment set its folder (`pull: - prefect.deployments.steps.set_working_directory`)."
        )
    return Workspace.here()


def _is_passing(folder: str) -> bool:
    place, passing = os.path.realpath(folder), os.path.realpath(tempfile.gettempdir())
    return os.path.dirname(place) == passing and os.path.basename(place).startswith("tmp")


def records_here() -> Records:
    """The records of that workspace, which is made where it is not there yet."""
    workspace = workspace_here()
    if not workspace.remote and not os.path.isdir(workspace.home):
        workspace.prepare()
    return records_of(workspace.home)


def opened(
    flow_name: str,
    flow_run: Any,
    pipeline: Pipeline[...] | None,
    given: Mapping[str, Any],
    asked: Mapping[str, Any],
    as_of: Any = None,
    graph: Mapping[str, Any] | None = None,
) -> Opened:
    """The record of a flow run, opened by whoever comes first.

    Args:
        flow_run: as Prefect describes it.
        pipeline: None in a flow that somebody wrote by hand.
        given: parameters that the flow's file gives.
        asked: those of the run, as its form has them.
        as_of: what the run is said to stand for.
        graph: of a flow written by hand, what it is made of.

    Raises:
        ParameterError: what the run was given is outside the pipeline's schema.
    """
    records, name = records_here(), record_id(flow_name, flow_run.id)
    values, wrong = _parameters(pipeline, given, asked)
    stands_for, odd = _moment(as_of, flow_run)
    try:
        known = records.run(name)
    except UnknownName:
        record = _record(name, flow_name, flow_run, pipeline, values, stands_for, graph)
        found = Opened(records.open_once(record))
    else:
        now = (
            {} if pipeline is None else {"parameters": values, "graph": pipeline.graph.to_json(), "path": pipeline.path}
        )
        found = Opened(_going_on(records, known, now), again=flow_run.run_count > 1)
    if error := wrong or odd:
        raise error
    return found


def _parameters(
    pipeline: Pipeline[...] | None, given: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[dict[str, Any], ParameterError | None]:
    """The run's parameters, checked; as they came where they are refused."""
    if pipeline is None:
        return dict(asked), None
    try:
        return parameters.resolve(pipeline, parameters.over_given(pipeline, given, asked)), None
    except ParameterError as error:
        return dict(asked), error


def _moment(given: Any, flow_run: Any) -> tuple[datetime, ParameterError | None]:
    """What a run stands for: what was given, else the tick of its schedule, else the UTC day on which it was to run."""
    due = moment(flow_run.expected_start_time or flow_run.created or flow_run.start_time)
    day = due.replace(hour=0, minute=0, second=0, microsecond=0)
    if not given:
        return due if flow_run.auto_scheduled else day, None
    try:
        return moment(given), None
    except ParameterError as error:
        return day, error


def _going_on(records: Records, run: RunRecord, now: Mapping[str, Any]) -> RunRecord:
    """A run that was begun before: as it is now, after what was deployed since; one that had ended is opened again."""
    from ostinato import alerts
    from ostinato.delivery import deliver

    if run.state not in ENDED:
        records.change_run(run.run_id, **now) if now else None
        return replace(run, **now)
    records.open_run(run)
    for step in records.steps(run.run_id):
        if step.state not in ("succeeded", "skipped"):  # what it did before it was tried again counts no more
            records.write_step(run.run_id, step.step, step.map_key, state="pending", error=None)
    records.change_run(run.run_id, report=None, **now)
    if records.claim(f"{run.run_id}/resumed/{run.ended}", by="prefect"):
        alerts.resumed(records, run.run_id)
        deliver(records, workspace_here(), resolve=resolve, seconds=_TELLING)
    return replace(run, state="running", ended=None, error=None, report=None, **now)


def _record(
    name: str,
    flow_name: str,
    flow_run: Any,
    pipeline: Pipeline[...] | None,
    values: dict[str, Any],
    as_of: datetime,
    graph: Mapping[str, Any] | None,
) -> RunRecord:
    from ostinato import alerts
    from ostinato.provenance import tags

    told = {"flow_run_id": str(flow_run.id), "flow_run_name": str(flow_run.name)}
    told |= {"page": page} if (page := url_for("flow-run", obj_id=flow_run.id)) else {}
    told |= {"deployment": str(flow_run.deployment_id)} if flow_run.deployment_id else {}
    told |= {"backfill": "true"} if "backfill" in flow_run.tags else {}
    told |= {"triggered_by": str(flow_run.created_by.display_value)} if flow_run.created_by else {}
    told |= alerts.addressed(pipeline) if pipeline else {}
    return RunRecord(
        run_id=name,
        pipeline=pipeline.name if pipeline else flow_name,
        engine="prefect",
        state="running",
        as_of=as_of.isoformat(),
        started=time.time(),
        ended=None,
        parameters=values,
        graph=pipeline.graph.to_json() if pipeline else dict(graph or {"pipeline": flow_name, "nodes": []}),
        path=pipeline.path if pipeline else "",
        tags={**tags(pipeline.function if pipeline else opened), **told},
        report=None,
        error=None,
    )

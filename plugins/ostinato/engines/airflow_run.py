"""One DAG run as one run of ours: its name in the records, the moment it stands for, its parameters."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow.sdk import conf

from ostinato import parameters
from ostinato.catalog import find_pipeline
from ostinato.errors import ParameterError, UnknownName
from ostinato.graph import Pipeline
from ostinato.records import ENDED, Records, RunRecord
from ostinato.runner import moment, records_of
from ostinato.workspace import Workspace

from .airflow_secrets import resolve

_TELLING = 3.0  # seconds that a task may wait at its start


def record_id(dag_id: str, run_id: str) -> str:
    """What a DAG run is called in the records and in the workspace: readable, safe as a folder's name, unique."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{dag_id}.{run_id}".replace("__", "-"))[:84].strip("-.")
    return f"{clean}-{hashlib.sha256(f'{dag_id}/{run_id}'.encode()).hexdigest()[:10]}"


def workspace_here() -> Workspace:
    """The workspace of this Airflow: `OSTINATO_HOME`, else a folder in AIRFLOW_HOME: every process has a folder of its
    own as the current one.
    """
    home = os.environ.get("AIRFLOW_HOME") or os.path.expanduser("~/airflow")
    return Workspace.here(os.environ.get("OSTINATO_HOME") or f"{home}/ostinato")


def records_here() -> Records:
    """The records of that workspace, which is made where it is not there yet."""
    workspace = workspace_here()
    if not workspace.remote and not os.path.isdir(workspace.home):
        workspace.prepare()
    return records_of(workspace.home)


def opened(
    context: Mapping[str, Any], pipeline: str | None, given: Mapping[str, Any], *, reopen: bool = True
) -> RunRecord:
    """The record of the DAG run that a task belongs to; the first of its tasks opens it.

    Args:
        context: Airflow's.
        pipeline: the import path of the pipeline; None in a DAG that somebody wrote by hand.
        given: parameters that the DAG file gives.
        reopen: whether a run that has ended goes on, for tasks of it were cleared.

    Raises:
        ParameterError: what the run was triggered with is outside the pipeline's schema.
    """
    run, found = context["dag_run"], find_pipeline(pipeline) if pipeline else None
    name, records = record_id(run.dag_id, run.run_id), records_here()
    values, wrong = _parameters(run, found, given)
    as_of, odd = _moment_or_day(context)
    try:
        record = records.run(name)
    except UnknownName:
        record = records.open_once(_record(context, name, found, values, as_of))
    if reopen and record.state in ENDED:
        record = _again(records, record, values, as_of)
    if run.run_type == "backfill" and "backfill" not in record.tags:  # a backfill may take over a run that failed
        record = replace(record, tags={**record.tags, "backfill": "true"})
        records.change_run(name, tags=record.tags)
    if error := wrong or odd:
        raise error
    return record


def _again(records: Records, run: RunRecord, values: dict[str, Any], as_of: datetime) -> RunRecord:
    """A run that has ended and goes on, for tasks of it were cleared; with what it is to do now."""
    from ostinato import alerts  # only now: a DAG file, which loads this one, is loaded every half minute
    from ostinato.delivery import deliver

    records.open_run(run)
    changed: dict[str, Any] = {"parameters": values, "as_of": as_of.isoformat(), "report": None}
    records.change_run(run.run_id, **changed)
    if records.claim(f"{run.run_id}/resumed/{run.ended}", by="airflow"):  # of tasks that start together, one tells
        alerts.resumed(records, run.run_id)
        deliver(records, workspace_here(), resolve=resolve, seconds=_TELLING)
    return replace(run, state="running", ended=None, error=None, **changed)


def _record(
    context: Mapping[str, Any], name: str, pipeline: Pipeline[...] | None, values: dict[str, Any], as_of: datetime
) -> RunRecord:
    from ostinato import alerts
    from ostinato.provenance import tags

    run, dag = context["dag_run"], context["dag"]
    told = {"dag_id": run.dag_id, "dag_run_id": run.run_id, "page": page_of(run.dag_id, run.run_id)}
    told |= {"backfill": "true"} if run.run_type == "backfill" else {}
    told |= {"triggered_by": run.triggering_user_name} if run.triggering_user_name else {}
    told |= alerts.addressed(pipeline) if pipeline else {"owner": dag.owner} if dag.owner else {}
    return RunRecord(
        run_id=name,
        pipeline=pipeline.name if pipeline else run.dag_id,
        engine="airflow",
        state="running",
        as_of=as_of.isoformat(),
        started=time.time(),
        ended=None,
        parameters=values,
        graph=pipeline.graph.to_json() if pipeline else _graph_of(dag),
        path=pipeline.path if pipeline else "",
        tags={**tags(pipeline.function if pipeline else opened), **told},
        report=None,
        error=None,
    )


def page_of(dag_id: str, run_id: str) -> str:
    """Airflow's own page of a DAG run."""
    from urllib.parse import quote

    base = str(conf.get("api", "base_url", fallback="") or "http://localhost:8080").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id)}"


def _graph_of(dag: Any) -> dict[str, Any]:
    """What a DAG written by hand is made of, as far as our steps go."""
    ours = [task for task in dag.tasks if hasattr(task, "function")]
    nodes = [{"name": task.task_id, "kind": "step", "step": task.function, "inputs": {}} for task in ours]
    return {"pipeline": dag.dag_id, "nodes": nodes}


def _parameters(
    run: Any, pipeline: Pipeline[...] | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], ParameterError | None]:
    """The run's parameters, checked against the pipeline's signature; as they came where they are refused."""
    asked = {name: value for name, value in (run.conf or {}).items() if name not in parameters.RESERVED}
    if pipeline is None:
        return asked, None
    try:
        return parameters.resolve(pipeline, parameters.over_given(pipeline, given, asked)), None
    except ParameterError as error:
        return asked, error


# --- the moment a run stands for ----------------------------------------------------------------------------------


def moment_of(context: Mapping[str, Any]) -> datetime:
    """What a DAG run stands for; never the clock inside a task.

    That which was given, else the end of its data interval, else what the event says that triggered it, else the tick
    of its schedule, else the UTC day on which it was to run.
    """
    run = context["dag_run"]
    if given := (run.conf or {}).get("as_of"):
        return moment(str(given))
    start, end = run.data_interval_start, run.data_interval_end
    if start is not None and end is not None and start < end:
        return moment(end)
    if told := _told_by_events(context):
        return max(told)
    if end is not None and (run.run_type == "scheduled" or _ticks(context["dag"].schedule)):
        return moment(end)
    return _day_of(run)


def _day_of(run: Any) -> datetime:
    return moment(run.run_after).replace(hour=0, minute=0, second=0, microsecond=0)


def _moment_or_day(context: Mapping[str, Any]) -> tuple[datetime, ParameterError | None]:
    """The moment; the day, and what is wrong, where form or event say something that is no date."""
    try:
        return moment_of(context), None
    except ParameterError as error:
        return _day_of(context["dag_run"]), error


def _told_by_events(context: Mapping[str, Any]) -> list[datetime]:
    """The moments that the events which triggered a run speak of."""
    arrived = (context.get("triggering_asset_events") or {}).values()
    told = [event.extra.get("as_of") for events in arrived for event in events if event.extra]
    return [moment(str(one)) for one in told if one]


def _ticks(schedule: Any) -> bool:
    """Whether a schedule is a clock, rather than none or the arrival of data."""
    return isinstance(schedule, str) or type(schedule).__name__.startswith(("Cron", "Delta", "timedelta"))


# --- what Airflow knows of the others -----------------------------------------------------------------------------


def states_of(context: Mapping[str, Any], task_ids: list[str]) -> dict[str, str]:
    """Airflow's states of tasks of this run; those of a mapped one under `<task id>_<index>`."""
    run = context["dag_run"]
    found = context["ti"].get_task_states(dag_id=run.dag_id, task_ids=task_ids, run_ids=[run.run_id])
    return {name: str(state) for name, state in found.get(run.run_id, {}).items()}

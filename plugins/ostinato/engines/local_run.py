"""Run a pipeline here, without a server: what every other engine must do the same.

    from ostinato.engines.local_run import run

    result = run(fraud_detection, source="transactions/")
    result["state"], result["metrics"], result["report"]

Steps run in worker processes: independent ones side by side, a hung one is killed when its time is over, and a killed
run is resumed with `resume=`. A step whose function no other process can import (a notebook's) runs in this one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ostinato import alerts
from ostinato import parameters as pipeline_parameters
from ostinato.catalog import find_pipeline
from ostinato.errors import UsageError
from ostinato.graph import Pipeline
from ostinato.outbox import is_gone, this_process
from ostinato.outcome import outcome
from ostinato.provenance import tags
from ostinato.records import RunRecord
from ostinato.runner import moment, records_of
from ostinato.workspace import Workspace

from .local_alerts import Courier, Look, look, look_thoroughly, telling
from .local_play import Ask, Listener, Play


def run(
    pipeline: Pipeline[...],
    given: Mapping[str, Any] | None = None,
    *,
    as_of: str | date | None = None,
    home: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    ask: Ask | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Run a pipeline to its end and give the outcome (see `ostinato.outcome`); a failed step is a failed state.

    Args:
        pipeline: what `@pipeline` made.
        given: parameters by name, nested ones as dicts or dotted; or as keywords.
        as_of: the moment the run stands for, a date or ISO text, UTC unless it says otherwise. By default the
            pipeline's own choice, else the UTC day.
        home: the workspace (default `OSTINATO_HOME`, else `.ostinato/`).
        listener: hears every change as it happens.
        ask: asks a person: gets `{run_id, pipeline, step, inputs, seconds}`, gives `{granted, by, why}`, or None where
            the time is over. Without it nobody can be asked, which means no.

    Raises:
        UsageError: something is wrong before anything ran: parameters, graph, workspace.
    """
    values = pipeline_parameters.resolve(pipeline, {**(given or {}), **more})
    graph = pipeline.graph  # before anything is written
    workspace = Workspace.here(home)
    workspace.prepare()
    found = _bury(workspace)
    record = RunRecord(
        run_id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        pipeline=pipeline.name,
        engine="local",
        state="running",
        as_of=None if as_of is None else moment(as_of).isoformat(),
        started=time.time(),
        ended=None,
        parameters=values,
        graph=graph.to_json(),
        path=pipeline.path,
        tags={**tags(pipeline.function), **alerts.addressed(pipeline)},
        report=None,
        error=None,
    )
    with (
        _held(workspace, record.run_id) as lock,
        telling(workspace, record.run_id, listener, found.unsent) as hear,
    ):
        return Play(pipeline, record, workspace, lock, hear, ask).play()


def resume(
    run_id: str,
    pipeline: Pipeline[...] | None = None,
    *,
    home: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    ask: Ask | None = None,
) -> dict[str, Any]:
    """Run what did not finish in an earlier run; what succeeded is taken as it is.

    Args:
        run_id: the run's id or the beginning of it.
        pipeline: needed where it cannot be imported again.

    Raises:
        UsageError: no such run, still running, or the pipeline has changed since.
    """
    workspace = Workspace.here(home)
    workspace.prepare()
    found = _bury(workspace)
    records = records_of(workspace.home)
    record = records.run(run_id)
    again = pipeline or find_pipeline(record.path)
    if again.graph.to_json() != record.graph:
        raise UsageError(f"{record.pipeline} has changed since run {record.run_id}; start a new run instead.")
    with _held(workspace, record.run_id) as lock:
        now = records.run(record.run_id)
        with telling(workspace, record.run_id, listener, found.unsent) as hear:
            if now.state == "succeeded" and now.report:  # else it was killed between its last step and its report
                return outcome(records, record.run_id)
            return Play(again, record, workspace, lock, hear, ask).play()


def tend(home: str | os.PathLike[str] | None = None, seconds: float = 3.0) -> None:
    """What every command does first: bury the dead, send what waits. Costs next to nothing where there is neither.

    Args:
        seconds: the longest it may take to send; what does not arrive stays for the next command.
    """
    workspace = Workspace.here(home)
    found = look(workspace)
    if found is None:
        return  # a database elsewhere is looked at by the commands that open it
    if any(_may_be_dead(workspace, run_id) for run_id in found.running) or found.untold:
        found = _bury(workspace)
    if found.unsent:
        courier = Courier(records_of(workspace.home), workspace, seconds)
        courier.send()
        courier.finish()


def bury(home: str) -> list[str]:
    """Close the records of local runs whose process is gone, and open their incidents; gives their ids."""
    workspace = Workspace(home)
    return _close(workspace, look(workspace) or look_thoroughly(workspace))


def _bury(workspace: Workspace) -> Look:
    """The same; gives what was found, with what is to be sent now."""
    found = look(workspace) or look_thoroughly(workspace)
    closed = _close(workspace, found)
    return replace(found, unsent=found.unsent or bool(closed or found.untold))


def _close(workspace: Workspace, found: Look) -> list[str]:
    closed = []
    for run_id in [run_id for run_id in found.running if _may_be_dead(workspace, run_id)]:
        records = records_of(workspace.home)
        with contextlib.suppress(UsageError), _held(workspace, run_id):
            if records.run(run_id).state in ("running", "waiting"):
                error = {"type": "StepLost", "message": "The process of the run was killed.", "transient": True}
                records.close_run(run_id, "failed", error=error)
                closed.append(run_id)
    for run_id in [*found.untold, *closed]:
        with contextlib.suppress(Exception):  # told by whoever comes next
            alerts.ended(records_of(workspace.home), run_id)
    return closed


def _may_be_dead(workspace: Workspace, run_id: str) -> bool:
    """Whether a run that counts as running was one of this machine, and its process is gone."""
    try:
        with open(_lock_file(workspace, run_id)) as file:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return is_gone(file.read())  # its workers are about to end
    except OSError:
        return False


def _lock_file(workspace: Workspace, run_id: str) -> Path:
    if workspace.remote:
        return Path(tempfile.gettempdir(), f"ostinato-{os.getuid()}", f"{run_id}.lock")
    return Path(workspace.run_folder(run_id), f"{run_id}.lock")


@contextlib.contextmanager
def _held(workspace: Workspace, run_id: str) -> Iterator[int]:
    """Hold a run's lock. Its workers hold it too, so nobody resumes while one still writes."""
    file = _lock_file(workspace, run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(20):  # a killed run's workers need a moment to end
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.1)
        else:
            raise UsageError(f"Run {run_id} is still running, in another process.")
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, this_process().encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)

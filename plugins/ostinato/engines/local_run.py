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
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ostinato import parameters as pipeline_parameters
from ostinato.catalog import find_pipeline
from ostinato.errors import UsageError
from ostinato.graph import Pipeline
from ostinato.outcome import outcome
from ostinato.provenance import tags
from ostinato.records import RunRecord
from ostinato.runner import moment, records_of
from ostinato.workspace import Workspace

from .local_play import Listener, Play


def run(
    pipeline: Pipeline[...],
    given: Mapping[str, Any] | None = None,
    *,
    as_of: str | date | None = None,
    home: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
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

    Raises:
        UsageError: something is wrong before anything ran: parameters, graph, workspace.
    """
    values = pipeline_parameters.resolve(pipeline, {**(given or {}), **more})
    graph = pipeline.graph  # before anything is written
    workspace = Workspace.here(home)
    workspace.prepare()
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
        tags=tags(pipeline.function),
        report=None,
        error=None,
    )
    with _held(workspace, record.run_id) as lock:
        return Play(pipeline, record, workspace, lock, listener).play()


def resume(
    run_id: str,
    pipeline: Pipeline[...] | None = None,
    *,
    home: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
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
    records = records_of(workspace.home)
    record = records.run(run_id)
    again = pipeline or find_pipeline(record.path)
    if again.graph.to_json() != record.graph:
        raise UsageError(f"{record.pipeline} has changed since run {record.run_id}; start a new run instead.")
    with _held(workspace, record.run_id) as lock:
        if records.run(record.run_id).state == "succeeded":
            return outcome(records, record.run_id)
        return Play(again, record, workspace, lock, listener).play()


def bury(home: str) -> list[str]:
    """Close the records of local runs whose process is gone; gives their ids."""
    workspace, records, found = Workspace(home), records_of(home), []
    for record in records.runs(most=50):
        if record.engine != "local" or record.state not in ("running", "waiting"):
            continue
        with contextlib.suppress(UsageError), _held(workspace, record.run_id):
            if records.run(record.run_id).state in ("running", "waiting"):
                error = {"type": "StepLost", "message": "The process of the run was killed.", "transient": True}
                records.close_run(record.run_id, "failed", error=error)
                found.append(record.run_id)
    return found


@contextlib.contextmanager
def _held(workspace: Workspace, run_id: str) -> Iterator[int]:
    """Hold a run's lock. Its workers hold it too, so nobody resumes while one still writes."""
    if workspace.remote:
        folder = Path(tempfile.gettempdir(), f"ostinato-{os.getuid()}")
    else:
        folder = Path(workspace.run_folder(run_id))
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{run_id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(20):  # a killed run's workers need a moment to end
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.1)
        else:
            raise UsageError(f"Run {run_id} is still running, in another process.")
        yield descriptor
    finally:
        os.close(descriptor)

"""Runs on record, as an engine writes them, to tell of without having to run anything."""

from __future__ import annotations

import os
import time
from typing import Any

from ostinato.records import Records, RunRecord
from ostinato.runner import records_of
from ostinato.workspace import Workspace

DATA_ERROR = {"type": "DataError", "message": "No rows before 2026-03-01.", "transient": False, "where": "x.py:1"}


def records() -> Records:
    """The records of the workspace here."""
    Workspace.here().prepare()
    return records_of(os.environ["OSTINATO_HOME"])


def open_run(run_id: str = "r1", *, nodes: str = "load fit", **changes: Any) -> RunRecord:
    """A run of the pipeline `fraud` that has just begun."""
    named = [{"name": name, "kind": "step", "step": f"m:{name}", "inputs": {}} for name in nodes.split()]
    values: dict[str, Any] = {
        "run_id": run_id,
        "pipeline": "fraud",
        "engine": "local",
        "state": "running",
        "as_of": "2026-03-01T00:00:00+00:00",
        "started": time.time(),
        "ended": None,
        "parameters": {},
        "graph": {"pipeline": "fraud", "nodes": named},
        "path": "m:fraud",
        "tags": {"owner": "risk-ml"},
        "report": None,
        "error": None,
    }
    run = RunRecord(**{**values, **changes})
    records().open_run(run)
    return run


def fail_step(run_id: str = "r1", step: str = "fit", map_key: str = "", **changes: Any) -> None:
    """A step that has failed for good."""
    now = time.time()
    values = {"state": "failed", "attempts": 1, "started": now, "ended": now, "error": DATA_ERROR, "log": f"{step}.log"}
    records().write_step(run_id, step, map_key, **{**values, **changes})


def succeed_step(run_id: str, step: str, output: Any) -> None:
    """A step and its result."""
    now = time.time()
    records().write_step(run_id, step, state="succeeded", attempts=1, started=now, ended=now, output=output)


def close_run(run_id: str = "r1", state: str = "failed", **more: Any) -> None:
    """The end of a run."""
    records().close_run(run_id, state, report=f"{run_id}.html", **more)


def promotion(version: str = "7", *, promoted: bool = True) -> dict[str, Any]:
    """What `promote` gives."""
    facts = {"promoted": promoted, "name": "fraud", "version": version, "replaced": "6", "entry": 4}
    facts |= {"kind": "promote", "who": "ada", "why": "all checks passed"}
    return {"kind": "Promotion", "uri": "file:///p.json", "digest": "sha256:0", "facts": facts}


def validation(*warnings: str) -> dict[str, Any]:
    """What `validate` gives."""
    facts = {"suite": "transactions", "subject": "fraud/transactions", "rules": {"pass": 8, "fail": len(warnings)}}
    facts |= {"outcome": "warned" if warnings else "passed", "rows": 1000, "quarantined": 0, "share": 0.0}
    facts |= {"warnings": list(warnings), "page": "file:///runs/validation.html", "docs": None}
    return {"kind": "Validation", "uri": "file:///v.json", "digest": "sha256:1", "facts": facts}


def titles(run_id: str | None = None) -> list[str]:
    """The first lines of all messages, in their order."""
    return [message.body["title"] for message in records().outbox.messages(run_id=run_id)]


def texts() -> str:
    """Everything that is written down to be sent."""
    return "\n".join(str(message.body) for message in records().outbox.messages())

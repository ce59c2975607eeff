"""A run as one JSON object: what `--json` prints and every page shows, read from the records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .artifacts import is_reference
from .records import Records, RunRecord, StepRecord
from .scrubbing import hide
from .workspace import presentable, public

LONGEST_LABEL = 60  # characters


def outcome(records: Records, run_id: str) -> dict[str, Any]:
    """`{run_id, pipeline, engine, state, as_of, parameters, steps, metrics, verdict, model, report, …}`.

    `approval`, `promotion` and `deployment` are the facts of the last one, None where there is none.
    """
    run = records.run(run_id)
    steps = _in_graph_order(run, records.steps(run.run_id))
    items = {node["name"]: node["item"] for node in run.graph["nodes"] if "item" in node}
    verdict = _last(steps, "Verdict")
    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "engine": run.engine,
        "state": run.state,
        "as_of": run.as_of,
        "parameters": presentable(run.parameters),
        "steps": [_step(step, items.get(step.step)) for step in steps],
        "metrics": _metrics(steps, verdict),
        "verdict": verdict and {**verdict["facts"], "digest": verdict["digest"], "uri": verdict["uri"]},
        "model": _last(steps, "Model"),
        "approval": _said(steps, "Approval"),
        "promotion": _said(steps, "Promotion"),
        "deployment": _said(steps, "Deployment"),
        "validations": [{"step": step.step, **found["facts"]} for step in steps for found in validations(step)],
        "report": run.report,
        "started": run.started,
        "seconds": round(run.seconds, 3),
        "tags": run.tags,
        "error": presentable(run.error),
    }


def label(item: Any, place: str) -> str:
    """What people call an item of a mapped step: itself where it is a short text, a number or a truth, else its place.

    It names nothing but lines for people to read: two items may have the same one.
    """
    if not isinstance(item, (str, int, float)):
        return place
    text = public(hide(item)) if isinstance(item, str) else json.dumps(item)
    return text if len(text) <= LONGEST_LABEL and text.isprintable() and text.strip() == text != "" else place


def title(step: Mapping[str, Any]) -> str:
    """What people call a step of an outcome: its name, of an item of a mapped one `search[ease]`."""
    return str(step["name"]) + (f"[{step.get('label', step['map_key'])}]" if "map_key" in step else "")


def _step(step: StepRecord, item: str | None) -> dict[str, Any]:
    """A step as JSON; `item` is the argument that an item of a mapped one is."""
    shown = {
        "name": step.step,
        "state": step.state,
        "seconds": None if step.seconds is None else round(step.seconds, 3),
        "attempts": step.attempts,
        "outputs": step.output,
        "cpu_seconds": None if step.cpu_seconds is None else round(step.cpu_seconds, 3),
        "peak_bytes": step.peak_bytes,
    }
    if step.map_key:
        shown |= {"map_key": step.map_key, "label": label((step.inputs or {}).get(item), step.map_key)}
    if step.error and step.state != "succeeded":
        shown |= {"error": presentable(step.error), "log": step.log}
    return shown


def _in_graph_order(run: RunRecord, steps: list[StepRecord]) -> list[StepRecord]:
    """Steps as the pipeline names them; those that never started are pending."""
    known: dict[str, list[StepRecord]] = {}
    for step in steps:
        known.setdefault(step.step, []).append(step)
    ordered: list[StepRecord] = []
    for node in run.graph["nodes"]:
        found = sorted(known.get(node["name"], ()), key=lambda step: (len(step.map_key), step.map_key))
        pending = StepRecord(node["name"], "", "pending", 0, None, None, None, None, None, None, None, None)
        ordered += found or [pending]
    return ordered


def references(value: Any) -> list[dict[str, Any]]:
    """Every reference in a step's result, in order, each before those among its own facts."""
    if is_reference(value):
        return [dict(value), *references(dict(value["facts"]))]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [reference for part in parts for reference in references(part)]


def validations(step: StepRecord) -> list[dict[str, Any]]:
    """What a step found of its table, whether it went on or stopped for it."""
    evidence = (step.error or {}).get("evidence") if step.state != "succeeded" else None
    return [reference for reference in references([step.output, evidence]) if reference["kind"] == "Validation"]


def _last(steps: list[StepRecord], kind: str) -> dict[str, Any] | None:
    found = [ref for step in steps for ref in references(step.output) if ref["kind"] == kind]
    return found[-1] if found else None


def _said(steps: list[StepRecord], kind: str) -> dict[str, Any] | None:
    """The facts of the last reference of a kind, as people may read them."""
    found = _last(steps, kind)
    return found and presentable(found["facts"])


def _metrics(steps: list[StepRecord], verdict: dict[str, Any] | None) -> dict[str, float]:
    """All Metrics of the run together, the verdict's last."""
    values: dict[str, float] = {}
    for step in steps:
        for reference in references(step.output):
            if reference["kind"] == "Metrics":
                values |= reference["facts"]["values"]
    return values | (verdict["facts"]["metrics"] if verdict else {})

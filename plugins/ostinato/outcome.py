"""A run as one JSON object: what `--json` prints and every page shows, read from the records."""

from __future__ import annotations

from typing import Any

from .artifacts import is_reference
from .records import Records, RunRecord, StepRecord
from .workspace import presentable


def outcome(records: Records, run_id: str) -> dict[str, Any]:
    """`{run_id, pipeline, engine, state, as_of, parameters, steps, metrics, verdict, model, report, …}`.

    `approval`, `promotion` and `deployment` are the facts of the last one, None where there is none.
    """
    run = records.run(run_id)
    steps = _in_graph_order(run, records.steps(run.run_id))
    verdict = _last(steps, "Verdict")
    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "engine": run.engine,
        "state": run.state,
        "as_of": run.as_of,
        "parameters": presentable(run.parameters),
        "steps": [_step(step) for step in steps],
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


def _step(step: StepRecord) -> dict[str, Any]:
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
        shown["map_key"] = step.map_key
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

"""The page of a run: the decision, the numbers, what ran and what it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .markup import badge, cell, document, number, table
from .outcome import references
from .records import sentence


def page(outcome: Mapping[str, Any]) -> str:
    """The HTML of a run's outcome (see `ostinato.outcome`); self-contained, everything from outside escaped."""
    title = f"{outcome['pipeline']} · {outcome['run_id']}"
    parts = [
        f"<h1>{escape(title)} {badge(outcome['state'])}</h1>",
        f'<p class="lead">{escape(decision(outcome))}</p>',
        _failures(outcome),
        _checks(outcome["verdict"]),
        _validations(outcome["validations"]),
        _pairs("Metrics", {name: number(value) for name, value in outcome["metrics"].items()}),
        _steps(outcome["steps"]),
        _artifacts(outcome["steps"]),
        _pairs("Parameters", {"as_of": outcome["as_of"], **outcome["parameters"]}),
        _pairs("Made of", outcome["tags"]),
    ]
    return document(title, parts)


def decision(outcome: Mapping[str, Any]) -> str:
    """What a run came to, in one sentence."""
    if outcome["state"] in ("running", "waiting"):
        return f"The run is {outcome['state']}."
    if outcome["state"] != "succeeded":
        at = dict.fromkeys(step["name"] for step in outcome["steps"] if step["state"] in ("failed", "cancelled"))
        return f"The run {'was cancelled' if outcome['state'] == 'cancelled' else 'failed'}{_at(at)}."
    verdict, model = outcome["verdict"], outcome["model"]
    if verdict is None:
        return "The run succeeded."
    if not verdict["passed"]:
        failed = ", ".join(check["name"] for check in verdict["checks"] if check["outcome"] != "pass")
        return f"The candidate was rejected: {failed}."
    if model is not None and "version" in model["facts"]:
        version = model["uri"].removeprefix("models:/").replace("/", " version ")
        if model["facts"].get("unchanged"):
            return f"The candidate passed, and is no other than {version}: unchanged."
        return f"The candidate passed and is {version}."
    return "The candidate passed."


def _at(steps: Iterable[str]) -> str:
    names = ", ".join(steps)
    return f" at {names}" if names else ""


def _pairs(title: str, values: dict[str, Any]) -> str:
    if not values:
        return ""
    rows = [[f"<td>{escape(name)}</td>", cell(value)] for name, value in values.items()]
    return f"<h2>{escape(title)}</h2>{table(('name', 'value'), rows)}"


def _checks(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return ""
    rows = [
        [
            cell(check["name"]),
            cell(number(check.get("value")), right=True),
            cell(number(check.get("bound")), right=True),
            f"<td>{badge(check['outcome'])}</td>",
        ]
        for check in verdict["checks"]
    ]
    return f"<h2>Verdict</h2>{table(('check', 'value', 'bound', 'outcome'), rows)}"


def _validations(found: Sequence[Mapping[str, Any]]) -> str:
    """Each table that was checked, with the way to its own page."""
    rows = [
        [
            cell(facts["subject"]),
            f"<td>{badge(facts['outcome'])}</td>",
            cell(number(facts["rows"]), right=True),
            cell(f"{facts['quarantined']:,} ({facts['share']:.2%})", right=True),
            cell("; ".join(facts["warnings"]) or None),
            f'<td><a href="{escape(facts["page"], quote=True)}">all rules</a></td>',
        ]
        for facts in found
    ]
    head = ("table", "outcome", "rows", "quarantined", "warnings", "page")
    return f"<h2>Data</h2>{table(head, rows)}" if rows else ""


def validated(facts: Mapping[str, Any]) -> str:
    """What was found of a table, in one sentence."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in facts["counts"].items())
    aside = f"{facts['quarantined']:,} of {facts['rows']:,} rows ({facts['share']:.2%}) quarantined"
    return f"{facts['outcome']}: {counts}; {aside}"


def _steps(steps: list[dict[str, Any]]) -> str:
    rows = [
        [
            cell(step["name"] + (f"[{step['map_key']}]" if "map_key" in step else "")),
            f"<td>{badge(step['state'])}</td>",
            cell(number(step["seconds"]), right=True),
            cell(number(step["cpu_seconds"]), right=True),
            cell(None if step["peak_bytes"] is None else f"{step['peak_bytes'] / 1e6:,.0f}", right=True),
            cell(step["attempts"], right=True),
        ]
        for step in steps
    ]
    return f"<h2>Steps</h2>{table(('step', 'state', 'seconds', 'CPU s', 'peak MB', 'attempts'), rows)}"


def _artifacts(steps: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            cell(step["name"]),
            cell(reference["kind"]),
            cell(number(reference["facts"].get("rows")), right=True),
            cell(_span(reference["facts"].get("time"))),
            f"<td><code>{escape(reference['digest'].removeprefix('sha256:')[:16])}</code></td>",
        ]
        for step in steps
        for reference in references(step["outputs"])
    ]
    head = ("step", "kind", "rows", "from – until (UTC)", "content digest")
    return f"<h2>Artifacts</h2>{table(head, rows)}" if rows else ""


def _span(time: Mapping[str, Any] | None) -> str | None:
    return f"{time['from'][:16]} – {time['until'][:16]}" if time and time["from"] else None


def _failures(outcome: Mapping[str, Any]) -> str:
    errors = [(step["name"], step["error"]) for step in outcome["steps"] if step.get("error")]
    if outcome["error"]:
        errors.append((outcome["pipeline"], outcome["error"]))
    shown = [f"<p><b>{escape(name)}</b></p><pre>{escape(sentence(error))}</pre>" for name, error in errors]
    return f"<h2>What went wrong</h2>{''.join(shown)}" if shown else ""

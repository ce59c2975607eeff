"""The page of a run: the decision, the numbers, what ran and what it was made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .outcome import references
from .records import sentence

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .4rem}
table{border-collapse:collapse;width:100%}h1 .badge{font-size:1rem;vertical-align:middle}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e3e7ed}
th{vertical-align:top;font-weight:600;color:#566}td.n{text-align:right;font-variant-numeric:tabular-nums}
.badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-weight:600;color:#fff;background:#667}
.succeeded,.pass{background:#1a7f4b}.failed,.fail{background:#b3261e}.skipped,.cancelled{background:#8a6d00}
code,pre{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}.lead{font-size:1.1rem}
"""


def page(outcome: Mapping[str, Any]) -> str:
    """The HTML of a run's outcome (see `ostinato.outcome`); self-contained, everything from outside escaped."""
    title = f"{outcome['pipeline']} · {outcome['run_id']}"
    parts = [
        f"<h1>{escape(title)} {_badge(outcome['state'])}</h1>",
        f'<p class="lead">{escape(decision(outcome))}</p>',
        _failures(outcome),
        _checks(outcome["verdict"]),
        _pairs("Metrics", {name: number(value) for name, value in outcome["metrics"].items()}),
        _steps(outcome["steps"]),
        _artifacts(outcome["steps"]),
        _pairs("Parameters", {"as_of": outcome["as_of"], **outcome["parameters"]}),
        _pairs("Made of", outcome["tags"]),
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


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


def _badge(state: str) -> str:
    return f'<span class="badge {escape(state)}">{escape(state)}</span>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{lines}</table>"


def _cell(value: Any, *, right: bool = False) -> str:
    return f"<td{' class=n' if right else ''}>{escape(_text(value))}</td>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number(value: Any) -> str:
    """A number as a person reads it: 20,790 or 0.5088; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _text(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"


def _pairs(title: str, values: dict[str, Any]) -> str:
    if not values:
        return ""
    rows = [[f"<td>{escape(name)}</td>", _cell(value)] for name, value in values.items()]
    return f"<h2>{escape(title)}</h2>{_table(('name', 'value'), rows)}"


def _checks(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return ""
    rows = [
        [
            _cell(check["name"]),
            _cell(number(check.get("value")), right=True),
            _cell(number(check.get("bound")), right=True),
            f"<td>{_badge(check['outcome'])}</td>",
        ]
        for check in verdict["checks"]
    ]
    return f"<h2>Verdict</h2>{_table(('check', 'value', 'bound', 'outcome'), rows)}"


def _steps(steps: list[dict[str, Any]]) -> str:
    rows = [
        [
            _cell(step["name"] + (f"[{step['map_key']}]" if "map_key" in step else "")),
            f"<td>{_badge(step['state'])}</td>",
            _cell(number(step["seconds"]), right=True),
            _cell(number(step["cpu_seconds"]), right=True),
            _cell(None if step["peak_bytes"] is None else f"{step['peak_bytes'] / 1e6:,.0f}", right=True),
            _cell(step["attempts"], right=True),
        ]
        for step in steps
    ]
    return f"<h2>Steps</h2>{_table(('step', 'state', 'seconds', 'CPU s', 'peak MB', 'attempts'), rows)}"


def _artifacts(steps: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            _cell(step["name"]),
            _cell(reference["kind"]),
            _cell(number(reference["facts"].get("rows")), right=True),
            _cell(_span(reference["facts"].get("time"))),
            f"<td><code>{escape(reference['digest'].removeprefix('sha256:')[:16])}</code></td>",
        ]
        for step in steps
        for reference in references(step["outputs"])
    ]
    head = ("step", "kind", "rows", "from – until (UTC)", "content digest")
    return f"<h2>Artifacts</h2>{_table(head, rows)}" if rows else ""


def _span(time: Mapping[str, Any] | None) -> str | None:
    return f"{time['from'][:16]} – {time['until'][:16]}" if time and time["from"] else None


def _failures(outcome: Mapping[str, Any]) -> str:
    errors = [(step["name"], step["error"]) for step in outcome["steps"] if step.get("error")]
    if outcome["error"]:
        errors.append((outcome["pipeline"], outcome["error"]))
    shown = [f"<p><b>{escape(name)}</b></p><pre>{escape(sentence(error))}</pre>" for name, error in errors]
    return f"<h2>What went wrong</h2>{''.join(shown)}" if shown else ""

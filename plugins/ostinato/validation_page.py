"""The page of a table against its suite: what was set aside, what each rule found, how it was in the last runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .markup import badge, cell, document, number, table
from .records import day_of

_STYLE = """
svg{width:100%;height:auto;margin:.4rem 0}svg text{font:12px system-ui,sans-serif;fill:#566}
rect{fill:#3b6fb5}rect.stopped{fill:#b3261e}rect.warned{fill:#8a6d00}.limit{stroke:#b3261e;stroke-dasharray:5 4}
.why{color:#566;font-size:.9rem}td{vertical-align:top}
"""


def page(found: Mapping[str, Any], history: Sequence[Mapping[str, Any]], links: Mapping[str, str]) -> str:
    """The HTML of a validation; self-contained, everything from outside escaped.

    Args:
        found: what `validate` writes down.
        history: this and earlier runs, oldest first: `{started, rows, quarantined, share, outcome}`.
        links: where more is to be found, by what it is: files beside the page.
    """
    title = f"{found['subject']} · {found['suite']}"
    parts = [
        f"<h1>{escape(title)} {badge(found['outcome'])}</h1>",
        f'<p class="lead">{escape(_lead(found))}</p>',
        f"<h2>Rules</h2>{_rules(found['rules'])}",
        _history(history, found["max_quarantine"]),
        _links(links),
    ]
    return document(title, parts, _STYLE)


def _lead(found: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in found["counts"].items())
    share = f"{found['quarantined']:,} of {found['rows']:,} rows ({found['share']:.2%}) quarantined"
    limit = f"at most {found['max_quarantine']:.2%} may be"
    said = f" {found['said']}" if found["said"] else ""
    return f"{share}; {limit}. {len(found['rules'])} rules: {counts}.{said}"


_GRAVITY = ("error", "fail", "quarantined", "skipped", "pass")


def _rules(rules: Sequence[Mapping[str, Any]]) -> str:
    """The gravest first."""
    rows = [
        [
            f"<td>{_rule(rule)}</td>",
            cell("set rows aside" if rule["quarantine"] else rule["severity"]),
            f"<td>{badge(rule['outcome'])}</td>",
            cell(None if rule["unexpected"] is None else number(rule["unexpected"]), right=True),
            cell(_share(rule), right=True),
            cell(None if rule["observed"] is None else number(rule["observed"])[:19]),
        ]
        for rule in sorted(rules, key=lambda rule: _GRAVITY.index(rule["outcome"]))
    ]
    return table(("rule", "if not met", "outcome", "rows", "share", "found"), rows)


def _rule(rule: Mapping[str, Any]) -> str:
    """The columns, what is wanted of them, and why; its name as it stands beside rows set aside."""
    what = rule["type"].removeprefix("expect_").removeprefix("column_").replace("_", " ")
    columns = ", ".join(rule["columns"])
    head = f"<b>{escape(columns)}</b> {escape(what)}" if columns else f"<b>{escape(what)}</b>"
    said = [rule["expected"], rule["why"], rule["error"], *(f"e.g. {example}" for example in rule.get("examples", ()))]
    short = rule["type"].removeprefix("expect_")
    named = [] if rule["name"] in (short, f"{short}: {columns}") else [rule["name"]]
    return head + "".join(f'<div class="why">{escape(line)}</div>' for line in [*named, *said] if line)


def _share(rule: Mapping[str, Any]) -> str | None:
    return f"{rule['unexpected'] / rule['judged']:.3%}" if rule["unexpected"] is not None and rule["judged"] else None


def _history(history: Sequence[Mapping[str, Any]], limit: float) -> str:
    """The share set aside in the last runs, as bars, with the share that may be."""
    if not history:
        return ""
    width, height, left, bottom = 720, 160, 60, 22
    top = max([limit * 1.25, *(run["share"] for run in history)]) or 0.01
    step = (width - left) / max(len(history), 8)

    def y(share: float) -> float:
        return (height - bottom) * (1 - share / top) + 4

    bars = "".join(
        f'<rect x="{left + place * step + 2:.1f}" y="{y(run["share"]):.1f}" width="{step - 4:.1f}" '
        f'height="{max(y(0) - y(run["share"]), 1):.1f}" class="{escape(run["outcome"])}">'
        f"<title>{escape(_told(run))}</title></rect>"
        for place, run in enumerate(history)
    )
    ends = {0: history[0], len(history) - 1: history[-1]}
    dates = "".join(
        f'<text x="{left + place * step + 2:.1f}" y="{height - 4}">{day_of(run["started"])}</text>'
        for place, run in ends.items()
    )
    return (
        f"<h2>Share quarantined in {'this run' if len(history) == 1 else f'the last {len(history)} runs'}</h2>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="share of rows quarantined, run by run">'
        f'<line class="limit" x1="{left}" x2="{width}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>'
        f'<text x="0" y="{y(limit) + 4:.1f}">≤ {limit:.2%}</text><text x="0" y="{y(0):.1f}">0 %</text>'
        f'<line x1="{left}" x2="{width}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#99a"/>{bars}{dates}</svg>'
    )


def _told(run: Mapping[str, Any]) -> str:
    share = f"{run['quarantined']:,} of {run['rows']:,} rows, {run['share']:.2%}"
    return f"{day_of(run['started'])}: {share}, {run['outcome']}"


def _links(links: Mapping[str, str]) -> str:
    rows = [
        [cell(name), f'<td><a href="{escape(place, quote=True)}"><code>{escape(place)}</code></a></td>']
        for name, place in links.items()
    ]
    return f"<h2>More</h2>{table(('what', 'where'), rows)}" if rows else ""

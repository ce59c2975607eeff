"""The pieces of the pages people read: self-contained HTML, everything from outside escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .4rem}
table{border-collapse:collapse;width:100%}h1 .badge{font-size:1rem;vertical-align:middle}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e3e7ed}
th{vertical-align:top;font-weight:600;color:#566}.n{text-align:right;font-variant-numeric:tabular-nums}
.badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-weight:600;color:#fff;background:#667}
.succeeded,.pass,.passed{background:#1a7f4b}.failed,.fail,.stopped,.error{background:#b3261e}
.skipped,.cancelled,.warned,.warning,.quarantined{background:#8a6d00}
code,pre{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}.lead{font-size:1.1rem}
"""


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole page of parts that are HTML already."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}{style}</style><body>{''.join(body)}</body></html>\n"
    )


def badge(state: str) -> str:
    """A state as a coloured word."""
    return f'<span class="badge {escape(state)}">{escape(state)}</span>'


_RIGHT = "<td class=n>"


def table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already; a column whose cells stand on the right has its head there too."""
    listed = [list(row) for row in rows]
    right = [all(row[place].startswith(_RIGHT) for row in listed) for place, _ in enumerate(head)]
    heads = "".join(f"<th{' class=n' * right[place]}>{escape(name)}</th>" for place, name in enumerate(head))
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in listed)
    return f"<table><tr>{heads}</tr>{lines}</table>"


def cell(value: Any, *, right: bool = False) -> str:
    """A table's cell; numbers stand on the right."""
    return f"{_RIGHT if right else '<td>'}{escape(text(value))}</td>"


def text(value: Any) -> str:
    """A value as text: a dash for none, JSON for what is no text."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number(value: Any) -> str:
    """A number as a person reads it: 20,790 or 0.5088; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return text(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"

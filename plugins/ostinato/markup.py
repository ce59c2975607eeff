"""The pieces of the pages people read: self-contained HTML, everything from outside escaped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;color:#1c2430;
background:#fff;max-width:62rem;margin:0 auto;padding:2rem 1.25rem 3rem;overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.25;margin:0}h2{font-size:1.2rem;line-height:1.3;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .3rem}h1 .badge{font-size:1rem;vertical-align:middle}
a{color:#0b4f96}.lead{font-size:1.1rem}
table{border-collapse:collapse;width:100%}caption{text-align:left;color:#4a5565;padding-bottom:.4rem}
th,td{text-align:left;vertical-align:top;padding:.35rem 1rem .35rem 0;border-bottom:1px solid #e3e7ed}
thead th{font-weight:600;color:#4a5565;border-bottom:1px solid #aab2bf;vertical-align:bottom}
tbody th{font-weight:600;min-width:8rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll{overflow-x:auto}
.badge{display:inline-block;padding:.05rem .6rem;border-radius:1rem;font-weight:600;color:#fff;background:#556070;
white-space:nowrap}
.succeeded,.pass,.passed{background:#1a7f4b}.failed,.fail,.stopped,.error{background:#b3261e}
.skipped,.cancelled,.warned,.warning,.quarantined,.not-enough-data{background:#7a6000}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;
white-space:pre-wrap}
@media print{@page{margin:16mm 14mm}body{font-size:10.5pt;max-width:none;padding:0}.scroll{overflow:visible}
table{font-size:9pt}th,td{padding-right:.6rem}tbody th{min-width:0}.n,.badge{white-space:normal}
thead{display:table-header-group}tr,figure,svg,pre{break-inside:avoid}h2,h3,caption,summary{break-after:avoid}
.badge{color:#000;background:none;border:1px solid #556070}a{color:inherit;text-decoration:none}
details::details-content{content-visibility:visible;display:block;height:auto;opacity:1}}
"""


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole page of parts that are HTML already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def badge(state: str) -> str:
    """A state as a coloured word."""
    return f'<span class="badge {escape(state)}">{escape(state.replace("-", " "))}</span>'


_RIGHT = "<td class=n>"


def table(head: Sequence[str], rows: Iterable[Iterable[str]], caption: str = "") -> str:
    """A table of cells that are HTML already; a column whose cells stand on the right has its head there too.

    On a narrow screen it is moved sideways by itself, not with the page.
    """
    listed = [list(row) for row in rows]
    right = [all(row[place].startswith(_RIGHT) for row in listed) for place, _ in enumerate(head)]
    heads = "".join(f"<th scope=col{' class=n' * right[place]}>{escape(name)}</th>" for place, name in enumerate(head))
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in listed)
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    label = escape(caption or ", ".join(head), quote=True)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>{told}'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def cell(value: Any, *, right: bool = False) -> str:
    """A table's cell; numbers stand on the right."""
    return f"{_RIGHT if right else '<td>'}{escape(text(value))}</td>"


def first(value: Any) -> str:
    """The cell that says what its row is about."""
    return f"<th scope=row>{escape(text(value))}</th>"


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


_TURNS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")  # with them a text can be read as another


def finite(value: Any) -> float | None:
    """A value as a number, where it is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def printable(text: str) -> str:
    """A text without the characters that no page or picture may hold, and without those that turn its direction."""
    known = _TURNS.sub("\N{REPLACEMENT CHARACTER}", text)
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", known)

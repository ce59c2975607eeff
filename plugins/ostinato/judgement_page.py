"""What a run's page shows of its judgement: figures, checks, plots, parts, candidates, examples, money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from . import grids
from .evidence import Catalogue, Evidence, Shown
from .grids import Column, Grid
from .markup import badge, cell, first, number, table
from .pictures import Plot, svg
from .wording import Yardstick, capital, demanded, measured, metric, named, quantity

STYLE = """
.users{list-style:none;margin:1rem 0 0;padding:0;display:grid;gap:1rem}
.users>li{border:1px solid #dde2e8;border-radius:.4rem;padding:.7rem .9rem;min-width:0;break-inside:avoid}
.items{display:flex;flex-wrap:wrap;gap:.3rem;list-style:none;margin:0;padding:0}
.items li{border:1px solid #c9d0d9;border-radius:.3rem;padding:0 .45rem;min-width:0;max-width:100%;
overflow-wrap:anywhere;font-size:.92rem}
.items .found{border-color:#1a7f4b;background:#f0f8f3;font-weight:600}
@media(min-width:46rem){.users dl{grid-template-columns:8.5rem 1fr;row-gap:.4rem}}
"""
MOST_USERS, MOST_ITEMS, LONGEST_ITEM = 8, 20, 40

_KEY = (
    "recall_at_",
    "card_precision_at_",
    "cost_saved_share",
    "coverage",
    "cold_users_share",
    "rows",
    "users",
)
_OF_THE_TEST = ("rows", "users")  # which a champion has no other number of


def figures(outcome: Mapping[str, Any], catalogue: Catalogue | None = None) -> list[tuple[str, str, str]]:
    """Value, name and what to compare it with, of the few numbers to know."""
    metrics, yardstick = outcome["metrics"], Yardstick.of(outcome["verdict"])
    known = [name for start in _KEY for name in metrics if name.startswith(start) and name != yardstick.metric]
    chosen = [yardstick.metric, *known] if yardstick.metric in metrics else list(metrics)[:5]
    found = [(quantity(name, metrics[name]), metric(name), _beside(name, outcome, catalogue)) for name in chosen]
    if not found:
        for facts in outcome["validations"][:2]:
            aside = f"{facts['quarantined']:,} set aside ({facts['share']:.2%})"
            found.append((number(facts["rows"]), f"rows of {facts['subject']}", aside))
    return found


def _beside(name: str, outcome: Mapping[str, Any], catalogue: Catalogue | None) -> str:
    metrics, yardstick = outcome["metrics"], Yardstick.of(outcome["verdict"])
    champion = ((outcome["verdict"] or {}).get("champion") or {}).get("metrics") or {}
    said = [f"champion {quantity(name, champion[name])}"] if name in champion and name not in _OF_THE_TEST else []
    if name == yardstick.metric and yardstick.baseline in metrics:
        said.append(f"{yardstick.beside} {_unskilled(yardstick, metrics[yardstick.baseline])}")
    if name == "cost_saved_share" and "cost_of_doing_nothing" in metrics:
        said.append(f"{number(metrics['cost'])} instead of {number(metrics['cost_of_doing_nothing'])}")
    if name == "rows" and "positives" in metrics:
        said.append(f"{number(metrics['positives'])} of them positive")
    if name == "coverage" and catalogue is not None:
        more = f" ({number(catalogue.new)} new ones aside)" if catalogue.new else ""
        said.append(f"of {number(catalogue.items)} items{more}")
    if name == "cold_users_share" and "cold_items_share" in metrics:
        said.append(f"{quantity('cold_items_share', metrics['cold_items_share'])} of the interactions with cold items")
    if name == "users" and "interactions" in metrics:
        said.append(f"with {number(metrics['interactions'])} interactions")
    return " · ".join(said)


def _unskilled(yardstick: Yardstick, value: Any) -> str:
    """What is reached without skill, as the number that it is beside the candidate's."""
    if yardstick.baseline == "base_rate" and isinstance(value, float):  # anywhere else it is a share in percent
        return f"{value:.2g}"
    return quantity(yardstick.baseline, value)


def figures_row(outcome: Mapping[str, Any], catalogue: Catalogue | None) -> str:
    """The numbers that matter most, in a row."""
    shown = [
        f"<li><b>{escape(value)}</b><span>{escape(name)}</span><small>{escape(beside)}</small></li>"
        for value, name, beside in figures(outcome, catalogue)
    ]
    return f'<ul class="figures" aria-label="Key figures">{"".join(shown)}</ul>' if shown else ""


def checks(verdict: Mapping[str, Any] | None, evidence: Evidence) -> str:
    """What was asked of the candidate; slices that did not fail have a table of their own."""
    if verdict is None:
        return ""
    rows = [
        [
            first(capital(named(check))),
            cell(measured(check), right=True),
            cell(demanded(check), right=True),
            f"<td>{badge(check['outcome'])}</td>",
            cell(check.get("why") or ""),
        ]
        for check in verdict["checks"]
        if check.get("group") != "slices" or check["outcome"] == "fail" or not evidence.slices
    ]
    return table(("check", "found", "asked", "outcome", "why"), rows, "A candidate is released only if all pass.")


def figure(drawn: Iterable[Plot]) -> str:
    """Plots with title and hint, beside one another where there is room."""
    shown = [
        f'<figure class="{plot.name}"><figcaption><b>{escape(plot.title)}</b> '
        f"<span>{escape(plot.hint)}</span></figcaption>{svg(plot)}</figure>"
        for plot in drawn
    ]
    return f'<div class="plots">{"".join(shown)}</div>' if shown else ""


def slices(evidence: Evidence, drawn: Iterable[Plot]) -> str:
    """The parts as a picture and as tables."""
    return figure(drawn) + "".join(map(grid, grids.slices(evidence))) if evidence.slices else ""


def candidates(evidence: Evidence, drawn: Iterable[Plot]) -> str:
    """What was tried as a picture and as a table."""
    return figure(drawn) + grid(grids.candidates(evidence)) if evidence.candidates else ""


def grid(found: Grid) -> str:
    """A table of text as HTML; nothing where it is empty."""
    rows = zip(*(_cells(column) for column in found.columns), strict=True)
    return table(found.head, rows, found.said) if found.columns else ""


def _cells(column: Column) -> list[str]:
    if column.kind in ("name", "word"):
        return [first(capital(one or "") if column.kind == "word" else one) for one in column.cells]
    if column.kind == "outcome":
        return [f"<td>{badge(one)}</td>" if one else cell(None) for one in column.cells]
    return [cell(one, right=column.kind == "number") for one in column.cells]


def shown(evidence: Evidence) -> str:
    """What a few users took lately, what they would be shown, and what of it they then took."""
    users = "".join(f"<li>{_user(one)}</li>" for one in evidence.shown[:MOST_USERS])
    said = "A few of those it was judged on, each with the items the candidate puts first; ✓ marks what they then took."
    return f'<p class="note">{said}</p><ul class="users">{users}</ul>' if users else ""


def _user(one: Shown) -> str:
    came = f"{len(one.found)} of them" if one.found else "none of them"
    told = [("Took lately", _items(one.recent)), ("Would be shown", _items(one.recommended, one.found))]
    lines = "".join(f"<dt>{name}</dt><dd>{items}</dd>" for name, items in told if items)
    return f"<b>{escape(_whose(one))}</b><dl>{lines}<dt>Then took</dt><dd>{escape(came)}</dd></dl>"


def _whose(one: Shown) -> str:
    if one.history is None:
        return "A user"
    if one.history < 1:
        return "A cold user, whom training has never seen"
    return f"A user who took {number(one.history)} item{'s' if one.history > 1 else ''} before"


def _items(given: Sequence[str], found: Sequence[str] = ()) -> str:
    """Ids of items in their order; each keeps its direction of writing to itself."""
    told = [
        f'<li class="found"><bdi>{escape(_cut(item))}</bdi> ✓</li>'
        if item in found
        else f"<li><bdi>{escape(_cut(item))}</bdi></li>"
        for item in given[:MOST_ITEMS]
    ]
    more = f"<li>and {len(given) - MOST_ITEMS} more</li>" if len(given) > MOST_ITEMS else ""
    return f'<ol class="items">{"".join(told)}{more}</ol>' if told else ""


def _cut(item: str) -> str:
    """An id of a length that fits, its beginning and its end; one that is only spaces in quotes."""
    if len(item) > LONGEST_ITEM:
        return f"{item[: LONGEST_ITEM - 9]}…{item[-8:]}"
    return item if item.strip() else f'"{item}"'


def money(metrics: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> str:
    """What mistakes cost, where rows have a price."""
    champion = ((verdict or {}).get("champion") or {}).get("metrics") or {}
    names = [name for name in ("cost_of_doing_nothing", "cost", "cost_saved_share", "alerts") if name in metrics]
    rows = [
        [
            first(capital(metric(name))),
            cell(quantity(name, metrics[name]), right=True),
            *([cell(quantity(name, champion.get(name)), right=True)] if champion else []),
        ]
        for name in names
    ]
    head = ("what", "candidate", "champion")[: 3 if champion else 2]
    said = "What positives that are missed and reviews cost over the test days, at the cheapest threshold, in the unit "
    return table(head, rows, f"{said}of the amounts") if rows else ""

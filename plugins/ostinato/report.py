"""The page of a run: the decision first, then the numbers, the plots, the data, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from inspect import cleandoc
from typing import Any
from urllib.parse import urlsplit

from . import grids
from . import judgement_page as judged
from .decision import circumstances, decided
from .evidence import Evidence, evidence_of
from .glossary import terms
from .lineage import lineage
from .markup import badge, cell, document, first, number, table
from .model_card import CARD, card
from .outcome import title
from .plots import plots
from .records import day_of, sentence
from .wording import day, metric, quantity
from .workspace import write_text

PAGE = "report.html"
_ELSEWHERE = ("slices", "candidates")  # plots that stand in sections of their own
STYLE = """
.decision{border-left:.5rem solid #556070;background:#f4f6f8;padding:1.1rem 1.4rem}
.good{border-color:#1a7f4b;background:#f0f8f3}.bad{border-color:#b3261e;background:#fcf3f2}
.over{margin:0;color:#4a5565}h1{font-size:2.1rem}.decision .lead{font-size:1.2rem;margin:.4rem 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:.8rem 0 0}
dt{color:#4a5565}dd{margin:0;min-width:0}
.figures{display:flex;flex-wrap:wrap;gap:.8rem;list-style:none;margin:1.2rem 0 0;padding:0}
.figures li{flex:1 1 9rem;max-width:20rem;border:1px solid #dde2e8;border-radius:.4rem;
padding:.6rem .9rem;break-inside:avoid}
.figures b{display:block;font-size:1.6rem;line-height:1.25;font-variant-numeric:tabular-nums}
.figures span{display:block}.figures small{display:block;color:#4a5565;font-size:.85rem}
.scroll+.scroll{margin-top:1.4rem}.plots{margin-bottom:1.2rem}
.plots{display:flex;flex-wrap:wrap;gap:1rem 2rem;align-items:flex-start}
figure{margin:1rem 0 0;flex:1 1 20rem;min-width:0;max-width:30rem}
figure.comparison{flex-basis:100%;max-width:none}figure.comparison svg{max-width:34rem}
figure svg{display:block;width:100%;height:auto}
figcaption{margin-bottom:.4rem}figcaption b{display:block}figcaption span,.note{color:#4a5565;font-size:.92rem}
.wrong{border-left:.3rem solid #b3261e;padding:.1rem 0 .1rem 1rem;margin:.6rem 0}.wrong pre{margin:.2rem 0}
.lineage{list-style:none;margin:0;padding:0}.lineage li{border-left:2px solid #aab2bf;padding:0 0 .8rem 1.1rem;
position:relative;break-inside:avoid}.lineage li:last-child{padding-bottom:0}
.lineage li::before{content:"";position:absolute;left:-.4rem;top:.45rem;width:.6rem;height:.6rem;border-radius:50%;
background:#0b5cad}.lineage code{color:#4a5565}
.bar{display:block;height:.55rem;margin-top:.45rem;background:#0b5cad;min-width:1px;print-color-adjust:exact;
-webkit-print-color-adjust:exact}
td.time{width:22%;min-width:5rem}details{margin:.6rem 0}summary{cursor:pointer;font-weight:600;padding:.3rem 0}
.terms{display:block}.terms dt{color:inherit;font-weight:600}.terms dd{margin:0 0 .5rem;color:#3a4555}
footer{margin-top:3rem;padding-top:.6rem;border-top:1px solid #dde2e8;color:#4a5565;font-size:.85rem}
@media(max-width:34rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}.decision{padding:1rem}}
@media(min-width:46rem){.terms{columns:2;column-gap:2.5rem}.terms div{break-inside:avoid}}
@media print{h1{font-size:20pt}.figures li{flex-basis:24%}figure{max-width:86mm;flex-basis:80mm}.terms{columns:2}
.decision{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def page(outcome: Mapping[str, Any], evidence: Evidence | None = None, purpose: str = "") -> str:
    """The HTML of a run's outcome; self-contained, everything from outside escaped.

    Args:
        outcome: see `ostinato.outcome`.
        evidence: what its verdict was judged on; without it there are no plots.
        purpose: what the pipeline is for, in its own words.
    """
    found = evidence or Evidence()
    drawn, verdict = plots(found), outcome["verdict"]
    parts = [
        _head(outcome, purpose),
        judged.figures_row(outcome, found.catalogue),
        _failures(outcome),
        _section("Checks", judged.checks(verdict, found)),
        _section("How good it is", judged.figure(plot for plot in drawn if not plot.name.startswith(_ELSEWHERE))),
        _section("What a few users would be shown", judged.shown(found)),
        _section("Slices", judged.slices(found, [plot for plot in drawn if plot.name.startswith("slices")])),
        _section("Candidates", judged.candidates(found, [plot for plot in drawn if plot.name == "candidates"])),
        _section("Money", judged.money(outcome["metrics"], verdict)),
        _section("Data", _validations(outcome["validations"]) + judged.grid(grids.windows(outcome))),
        _section("Lineage", _lineage(outcome)),
        _section("Steps", _steps(outcome)),
        _section("Details", _details(outcome, found)),
        _section("Terms", _terms(outcome, found)),
        _foot(outcome),
    ]
    named = f"{decided(outcome).word} · {outcome['pipeline']} · {outcome['run_id']}"
    return document(named, parts, STYLE + judged.STYLE)


def written(outcome: Mapping[str, Any], folder: str, about: str = "") -> dict[str, str]:
    """Write a run's page, and its model's card where there is one; gives where they lie, by file name.

    Args:
        about: the pipeline's docstring; its first paragraph says what it is for.
    """
    found, purpose = evidence_of(outcome), " ".join(cleandoc(about).partition("\n\n")[0].split())
    texts = {PAGE: page(outcome, found, purpose), CARD: card(outcome, found, purpose)}
    places = {name: f"{folder}/{name}" for name, text in texts.items() if text}
    for name, place in places.items():
        write_text(place, texts[name])
    return places


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _terms_of(pairs: Iterable[tuple[str, Any]]) -> str:
    """A list of names and what they stand for; empty ones are left out."""
    rows = [f"<dt>{escape(name)}</dt><dd>{escape(str(said))}</dd>" for name, said in pairs if said not in (None, "")]
    return f"<dl>{''.join(rows)}</dl>" if rows else ""


# --- the decision -------------------------------------------------------------------------------------------------


def _head(outcome: Mapping[str, Any], purpose: str) -> str:
    found = decided(outcome)
    as_of = f", as of {day(outcome['as_of'])}" if outcome["as_of"] else ""
    why = f'<p class="note">{escape(purpose)}</p>' if purpose else ""
    return (
        f'<header><div class="decision {found.tone}"><p class="over">{escape(outcome["pipeline"] + as_of)}</p>'
        f'<h1>{escape(found.word)}</h1><p class="lead">{escape(found.sentence)}</p>'
        f"{_terms_of(circumstances(outcome))}</div>{why}</header>"
    )


def _failures(outcome: Mapping[str, Any]) -> str:
    errors = [(step["name"], step["error"], step.get("log")) for step in outcome["steps"] if step.get("error")]
    if outcome["error"]:
        errors.append((outcome["pipeline"], outcome["error"], None))
    shown = [
        f'<div class="wrong"><h3>{escape(name)}</h3><pre>{escape(sentence(error))}</pre>'
        + (f'<p class="note">log: <code>{escape(log)}</code></p></div>' if log else "</div>")
        for name, error, log in errors
    ]
    return _section("What went wrong", "".join(shown))


# --- the data -----------------------------------------------------------------------------------------------------


def _validations(found: Sequence[Mapping[str, Any]]) -> str:
    """Each table that was checked, with the way to its own page."""
    rows = [
        [
            first(facts["subject"]),
            f"<td>{badge(facts['outcome'])}</td>",
            cell(number(facts["rows"]), right=True),
            cell(f"{facts['quarantined']:,} ({facts['share']:.2%})", right=True),
            cell("; ".join(facts["warnings"]) or None),
            f"<td>{_link(facts['page'], 'all rules')}</td>",
        ]
        for facts in found
    ]
    head = ("table", "outcome", "rows", "quarantined", "warnings", "page")
    return table(head, rows, "Tables that were checked against their rules") if rows else ""


def _link(place: str, text: str) -> str:
    """A link where a browser may follow it: to a file, or to a page of a server."""
    if urlsplit(place).scheme not in ("file", "http", "https", ""):
        return escape(place)
    return f'<a href="{escape(place, quote=True)}">{escape(text)}</a>'


def validated(facts: Mapping[str, Any]) -> str:
    """What was found of a table, in one sentence."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in facts["counts"].items())
    aside = f"{facts['quarantined']:,} of {facts['rows']:,} rows ({facts['share']:.2%}) quarantined"
    return f"{facts['outcome']}: {counts}; {aside}"


def _lineage(outcome: Mapping[str, Any]) -> str:
    shown = [
        f"<li><b>{escape(link.name)}</b> {escape(link.said)}"
        + (f" <code>{escape(link.digest)}</code></li>" if link.digest else "</li>")
        for link in lineage(outcome)
    ]
    return f'<ol class="lineage">{"".join(shown)}</ol>' if shown else ""


# --- how it ran ---------------------------------------------------------------------------------------------------


def _steps(outcome: Mapping[str, Any]) -> str:
    steps = outcome["steps"]
    longest = max((step["seconds"] or 0.0 for step in steps), default=0.0)
    rows = [
        [
            first(title(step)),
            f"<td>{badge(step['state'])}</td>",
            cell(number(step["seconds"] if step["attempts"] else None), right=True),
            f'<td class="time">{_bar(step["seconds"], longest)}</td>',
            cell(number(step["cpu_seconds"]), right=True),
            cell(None if step["peak_bytes"] is None else f"{step['peak_bytes'] / 1e6:,.0f}", right=True),
            cell(step["attempts"], right=True),
        ]
        for step in steps
    ]
    head = ("step", "state", "seconds", "", "CPU s", "peak MB", "attempts")
    return table(head, rows, compute(outcome)) if rows else ""


def _bar(seconds: float | None, longest: float) -> str:
    if not seconds or not longest:
        return ""
    return f'<span class="bar" aria-hidden="true" style="width:{100 * seconds / longest:.1f}%"></span>'


def compute(outcome: Mapping[str, Any]) -> str:
    """What the run cost the machine, in one sentence."""
    cpu = sum(step["cpu_seconds"] or 0.0 for step in outcome["steps"])
    peak = max((step["peak_bytes"] or 0 for step in outcome["steps"]), default=0)
    return f"{outcome['seconds']:,.1f} seconds, {cpu:,.1f} of CPU, at most {peak / 1e6:,.0f} MB of memory in a step"


def _details(outcome: Mapping[str, Any], evidence: Evidence) -> str:
    named = {metric(name): quantity(name, value) for name, value in outcome["metrics"].items()}
    return (
        _folded("Metrics", named, ("metric", "value"))
        + _days(evidence)
        + _folded("Parameters", {"as_of": outcome["as_of"], **outcome["parameters"]}, ("parameter", "value"))
        + _folded("Made of", outcome["tags"], ("what", "version"))
    )


def _folded(title: str, values: Mapping[str, Any], head: Sequence[str]) -> str:
    if not values:
        return ""
    rows = [[first(name), cell(value)] for name, value in values.items()]
    return f"<details><summary>{title}</summary>{table(head, rows, title)}</details>"


def _days(evidence: Evidence) -> str:
    listed = judged.grid(grids.days(evidence))
    return f"<details><summary>Days</summary>{listed}</details>" if listed else ""


def _terms(outcome: Mapping[str, Any], evidence: Evidence) -> str:
    """What the terms mean that a page with a judgement speaks of."""
    verdict = outcome["verdict"]
    if not verdict:
        return ""
    names = {*outcome["metrics"], *evidence.names, *(str(check["name"]) for check in verdict["checks"])}
    told = [f"<div><dt>{escape(term)}</dt><dd>{escape(said)}</dd></div>" for term, said in terms(names).items()]
    return f'<dl class="terms">{"".join(told)}</dl>'


def _foot(outcome: Mapping[str, Any]) -> str:
    engine, version = outcome["engine"], outcome["tags"].get("ostinato", "")
    said = f"Run {outcome['run_id']} on {engine}, started {day_of(outcome['started'])}; ostinato {version}"
    return f"<footer>{escape(said.strip())}</footer>"

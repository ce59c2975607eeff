"""From the data to what serves: what a run learnt from, what it judged on, and what was made of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .decision import version_of
from .markup import number
from .outcome import references, title
from .wording import day

_KINDS = ("Dataset", "Model", "Verdict")


class Window(NamedTuple):
    """Rows that a model learnt from, or was judged on, and what is known of them."""

    name: str
    rows: Any
    positives: Any
    users: Any
    items: Any
    first: str | None
    last: str | None


class Link(NamedTuple):
    """One of the things a run made, or was made of."""

    name: str
    said: str
    digest: str = ""


def windows(outcome: Mapping[str, Any]) -> list[Window]:
    """What was learnt from, and what was judged on, as far as the run tells."""
    model, verdict = outcome["model"], outcome["verdict"]
    tables = {found["digest"]: found["facts"] for found, _ in _made(outcome) if found["kind"] == "Dataset"}
    found = []
    if model is not None and {"rows", "window"} & model["facts"].keys():
        facts = model["facts"]
        found.append(_window("training", facts, facts, facts.get("window")))
    if verdict is not None:
        rows, facts = verdict.get("rows") or {}, tables.get(verdict.get("data")) or {}
        if facts or rows.get("count"):
            facts = {"rows": rows.get("count"), "time": rows, **facts}
            found.append(_window("judgement", facts, verdict["metrics"], facts["time"]))
    return found


def _window(name: str, table: Mapping[str, Any], told: Mapping[str, Any], time: Any) -> Window:
    known = {what: told.get(what) for what in ("positives", "users", "items")}
    first, last = _span(time)
    return Window(name, table.get("rows"), **known, first=first, last=last)


def lineage(outcome: Mapping[str, Any]) -> list[Link]:
    """The code, the data, the model, the version, the ledger's entry, the place it serves at."""
    code = outcome["tags"].get("code")
    links = [Link("code", code)] if code else []
    seen: set[str] = set()
    for reference, step in _made(outcome):
        if reference["kind"] in _KINDS and reference["digest"] not in seen:
            seen.add(reference["digest"])
            links.append(Link(step + _role(reference, outcome), _said(reference), short(reference["digest"])))
    return links + list(_released(outcome))


def short(digest: str) -> str:
    """A digest as people compare it: its first sixteen digits."""
    return digest.removeprefix("sha256:")[:16]


def _made(outcome: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for step in outcome["steps"]:
        for reference in references(step["outputs"]):
            yield reference, title(step)


def _role(reference: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    """What a table was for, where a step made several."""
    model, verdict = outcome["model"] or {"facts": {}}, outcome["verdict"] or {}
    roles = {model["facts"].get("data"): ", training", verdict.get("data"): ", judgement"}
    return roles.get(reference["digest"], "")


def _said(reference: Mapping[str, Any]) -> str:
    facts = reference["facts"]
    if reference["kind"] == "Verdict":
        outcome = facts.get("outcome") or ("pass" if facts.get("passed") else "fail")
        return f"verdict: {str(outcome).replace('-', ' ')}"
    if reference["kind"] == "Model":
        estimator = str(facts.get("estimator") or "model").rpartition(":")[2]
        features = f", {len(facts['features'])} features" if facts.get("features") else ""
        kind = f" ({found})" if (found := chosen(facts)) else ""
        return f"{estimator}{kind}{features}, {reference['uri'].removeprefix('models:/')}"
    first, last = _span(facts.get("time"))
    rows = f"{number(facts['rows'])} rows" if "rows" in facts else "table"
    return f"{rows}, {first} to {last}" if first else rows


def chosen(facts: Mapping[str, Any]) -> str:
    """Which of the candidates that its facts tell of a model is; empty where there was no choice."""
    given = facts.get("candidates")
    listed = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
    return next((str(one.get("name")) for one in listed if one.get("chosen") is True), "")


def _span(time: Any) -> tuple[str | None, str | None]:
    """The first and the last day."""
    known = time if isinstance(time, Mapping) else {}
    found = known.get("from"), known.get("until")
    first, last = (day(str(moment)[:10]) if moment else None for moment in found)
    return first, last


def _released(outcome: Mapping[str, Any]) -> Iterator[Link]:
    model, promotion, deployment = outcome["model"], outcome.get("promotion"), outcome.get("deployment")
    if model is not None and "version" in model["facts"]:
        yield Link("version", version_of(model["uri"]))
    if promotion and promotion.get("entry") is not None:
        yield Link("ledger", f"entry {promotion['entry']} ({promotion.get('kind', 'promote')})")
    if deployment and deployment["deployed"]:
        yield Link("deployed", f"{deployment['place']} ({deployment['target']})")

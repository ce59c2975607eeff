"""The page of all pipelines: how they ran lately, what they came to, who is champion, what was set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from . import catalog
from .context import Context, running
from .decision import decided
from .errors import OstinatoError
from .ledger import Ledger, trouble
from .markup import badge, cell, document, first, number, table
from .outcome import outcome
from .records import RunRecord
from .runner import records_of
from .wording import day, percent
from .workspace import Workspace

SHOWN = 5  # runs of a pipeline
LOOKED_AT = 50  # the latest runs of a pipeline, which may be that of several DAGs
STYLE = """
body{max-width:76rem}h1{font-size:1.8rem}section{margin-top:2.5rem}h2{margin:0 0 .3rem}
.note{color:#4a5565;font-size:.92rem}td small{display:block;color:#4a5565}
.word{font-weight:600}.good{color:#1a7f4b}.bad{color:#b3261e}
"""

Outcome = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """How a pipeline stands: its last runs (see `ostinato.outcome`), newest first; its models' champions, in words."""

    name: str
    runs: Sequence[Outcome]
    champions: Mapping[str, str] = field(default_factory=dict)


def owner(run: RunRecord) -> str:
    """Whose run it is where permissions are asked for: its DAG's, or, without one, its pipeline's."""
    return run.tags.get("dag_id") or run.pipeline


def has_records(workspace: Workspace) -> bool:
    """Whether anything was recorded yet: to ask the records themselves would make them."""
    return _is_there(workspace.records_url)


def standings(workspace: Workspace, may_read: Callable[[str], bool]) -> list[Standing]:
    """All pipelines that somebody may read and that ran lately, the latest first.

    Args:
        may_read: whether the one who looks may read the runs of an `owner`.
    """
    if not has_records(workspace):
        return []
    records = records_of(workspace.home)
    owned: dict[str, list[RunRecord]] = {}
    for pipeline in records.pipelines():
        for run in records.runs(pipeline, most=LOOKED_AT):
            owned.setdefault(owner(run), []).append(run)
    told = {
        name: [outcome(records, run.run_id) for run in runs[:SHOWN]] for name, runs in owned.items() if may_read(name)
    }
    models = {name: _models(runs) for name, runs in told.items()}
    known = champions(workspace, dict.fromkeys(model for named in models.values() for model in named))
    return [
        Standing(name, runs, {model: known[model] for model in models[name] if model in known})
        for name, runs in told.items()
    ]


def champions(workspace: Workspace, names: Iterable[str]) -> dict[str, str]:
    """The champion of each model and since when, in words; a model without one is left out.

    Where the store is away, or its ledger is broken, the words say so: a page must not fail for it.
    """
    wanted, said = list(names), dict[str, str]()
    with running(Context(workspace, run_id="overview", step="overview")):
        for place, name in enumerate(wanted):
            try:
                if not _is_there(workspace.tracking_uri):
                    return {}
                found: Ledger = catalog.find("store", "mlflow").read(name)
            except (OstinatoError, ImportError) as error:  # the next one would wait for the same store
                return said | dict.fromkeys(wanted[place:], f"not known now: {error}")
            if sentence := _champion(found):
                said[name] = sentence
    return said


def _is_there(database: str) -> bool:
    """Whether a database may be asked: looking must not make one's file."""
    if not database.startswith("sqlite"):
        return True
    from sqlalchemy import make_url

    name = make_url(database).database
    return not name or name.startswith((":", "file:")) or Path(name).exists()


def _champion(found: Ledger) -> str | None:
    if wrong := trouble(found):
        return wrong
    if not found.effective:
        return None
    head = found.effective[-1]
    return f"{found.name} version {head.to}, since {day(head.at)}, by {head.who}"


def _models(runs: Iterable[Outcome]) -> list[str]:
    """What the models of a pipeline are called: as its runs name them, else like itself."""
    facts = [run["promotion"] or (run["model"] or {}).get("facts") or {} for run in runs]
    return list(dict.fromkeys(known["name"] for known in facts if known.get("name"))) or [
        *dict.fromkeys(run["pipeline"] for run in runs)
    ]


# --- the page -----------------------------------------------------------------------------------------------------


def page(found: Sequence[Standing], link: Callable[[Outcome], str]) -> str:
    """The HTML of it; self-contained, everything from outside escaped.

    Args:
        link: the address of a run's report.
    """
    if not found:
        said = "No pipeline that you may read has run yet."
        return document("Pipelines", ["<h1>Pipelines</h1>", f'<p class="lead">{said}</p>'], STYLE)
    parts = ["<header><h1>Pipelines</h1>", '<p class="note">Times are UTC.</p></header>', _summary(found, link)]
    return document("Pipelines", [*parts, *(_section(one, link) for one in found)], STYLE)


def _summary(found: Iterable[Standing], link: Callable[[Outcome], str]) -> str:
    rows = [
        [
            first(one.name),
            f"<td>{_when(one.runs[0], link)} {badge(one.runs[0]['state'])}</td>",
            f"<td>{_word(one.runs[0])}<small>{escape(decided(one.runs[0]).sentence)}</small></td>",
            cell("; ".join(one.champions.values()) or None),
            cell(next((aside for run in one.runs if (aside := _aside(run))), None)),
        ]
        for one in found
    ]
    return table(("pipeline", "last run", "came to", "champion", "rows set aside"), rows, "How they stand")


def _section(one: Standing, link: Callable[[Outcome], str]) -> str:
    rows = [
        [
            f"<th scope=row>{_when(run, link)}</th>",
            f"<td>{badge(run['state'])}</td>",
            f"<td>{_word(run)}</td>",
            cell(day(run["as_of"]) if run["as_of"] else None),
            cell(number(run["seconds"]), right=True),
            cell(number(_cpu(run)), right=True),
            cell(_peak(run), right=True),
            cell(_aside(run)),
        ]
        for run in one.runs
    ]
    head = ("run", "state", "came to", "as of", "seconds", "CPU s", "peak MB", "rows set aside")
    return f"<section><h2>{escape(one.name)}</h2>{table(head, rows, 'The last runs')}</section>"


def _when(run: Outcome, link: Callable[[Outcome], str]) -> str:
    started = day(datetime.fromtimestamp(run["started"], UTC).isoformat())
    return f'<a href="{escape(link(run), quote=True)}">{escape(started)}</a>'


def _word(run: Outcome) -> str:
    found = decided(run)
    return f'<span class="word {found.tone}">{escape(found.word)}</span>'


def _cpu(run: Outcome) -> float | None:
    known = [step["cpu_seconds"] for step in run["steps"] if step["cpu_seconds"] is not None]
    return sum(known) if known else None


def _peak(run: Outcome) -> str | None:
    most = max((step["peak_bytes"] or 0 for step in run["steps"]), default=0)
    return f"{most / 1e6:,.0f}" if most else None


def _aside(run: Outcome) -> str | None:
    """How many of the rows that were checked are in quarantine; None where none were checked."""
    rows = sum(facts["rows"] for facts in run["validations"])
    aside = sum(facts["quarantined"] for facts in run["validations"])
    return f"{aside:,} of {rows:,} ({percent(aside / rows)})" if rows else None

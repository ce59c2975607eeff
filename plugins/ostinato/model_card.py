"""The card of a model: what it is for, what it learnt from, how it was judged and where it falls short, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import grids
from .decision import circumstances, decided, missed, version_of
from .evidence import Evidence
from .grids import Grid
from .lineage import chosen, lineage
from .markup import finite, number, printable, text
from .wording import Yardstick, capital, day, demanded, measured, metric, named, percent, quantity

CARD = "model_card.md"
MUCH = 0.2  # the share of cold users, or of interactions with cold items, from which a card speaks of it
LONGEST = 5000  # characters that MLflow keeps of a version's description


def card(outcome: Mapping[str, Any], evidence: Evidence | None = None, purpose: str = "") -> str:
    """A run's candidate as a model card; empty where there is none.

    Args:
        outcome: see `ostinato.outcome`.
        evidence: what its verdict was judged on.
        purpose: what the pipeline is for, in its own words.
    """
    if outcome["model"] is None:
        return ""
    found, said = evidence or Evidence(), decided(outcome)
    parts = [
        f"# {_safe(_name(outcome))}",
        f"**{_safe(said.word)}.** {_safe(said.sentence)}",
        _section("Model", _list(_model(outcome))),
        _section("Intended use", _safe(purpose)),
        _section("Data", _grid(grids.windows(outcome))),
        _section("Evaluation", _evaluation(outcome)),
        _section("Checks", _table(("check", "found", "asked", "outcome"), _checks(outcome))),
        _section("Limitations", "\n".join(f"- {_safe(line)}" for line in limitations(outcome, found))),
        _section("Decision", _list(circumstances(outcome))),
        _section("Slices", "\n\n".join(map(_grid, grids.slices(found)))),
        _section("Candidates", _grid(grids.candidates(found))),
        _section("Calibration", _calibration(found)),
        _section("Lineage", _list((link.name, f"{link.said} {link.digest}".strip()) for link in lineage(outcome))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def shortened(card: str, most: int = LONGEST) -> str:
    """A card of at most so many characters: the last sections go first, and that is said."""
    left = f"\n\n*The whole card is `{CARD}` among the run's artifacts.*\n"
    if len(card) <= most:
        return card
    sections = re.split(r"\n\n(?=## )", card)
    while len(sections) > 1 and len("\n\n".join(sections)) + len(left) > most:
        sections.pop()
    return "\n\n".join(sections)[: most - len(left)] + left


def limitations(outcome: Mapping[str, Any], evidence: Evidence) -> list[str]:
    """What the judgement does not show, and what stood against the model."""
    verdict, said = outcome["verdict"], []
    if verdict is None:
        return ["The model has not been judged."]
    alone = [check for check in verdict["checks"] if check.get("group") != "slices" or not evidence.slices]
    said += [capital(missed(check)) for check in alone if check["outcome"] != "pass"]
    for kind, words in (("fail", "Failed in"), ("not-enough-data", "Not enough data to judge")):
        names = [one.name for one in evidence.slices if one.outcome == kind]
        if names:
            said.append(f"{words} {'this slice' if len(names) == 1 else 'these slices'}: {', '.join(names)}")
    if "champion" in verdict and verdict["champion"] is None:
        only = f"the model is only known to be better than {Yardstick.of(verdict).unskilled}"
        said.append(f"There was no champion to compare with: {only}")
    said += _cold(verdict["metrics"])
    for facts in outcome["validations"]:
        said += [f"Data, {facts['subject']}: {warning}" for warning in facts["warnings"]]
        if facts["quarantined"]:
            aside = f"{facts['quarantined']:,} rows ({facts['share']:.2%}) were set aside"
            said.append(f"Data, {facts['subject']}: {aside}")
    said.append("It is known for the time it was judged on, and for data like it")
    return [f"{line.rstrip('.')}." for line in said]


def _cold(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What a model could know nothing of, where that is much of what it was judged on."""
    said = {
        "cold_users_share": ("", " of the users it was judged on: it knows nothing of their taste"),
        "cold_items_share": ("the items of ", " of the interactions it was judged on: it could find none of these"),
    }
    for name, (before, after) in said.items():
        share = finite(metrics.get(name))
        if share is not None and share > MUCH:
            yield f"Training has never seen {before}{percent(share)}{after}"


def _name(outcome: Mapping[str, Any]) -> str:
    model = outcome["model"]
    return version_of(model["uri"]) if "version" in model["facts"] else f"{outcome['pipeline']}, candidate"


def _model(outcome: Mapping[str, Any]) -> list[tuple[str, Any]]:
    facts = outcome["model"]["facts"]
    features = facts.get("features") or ()
    return [
        ("Place", outcome["model"]["uri"]),
        ("Estimator", facts.get("estimator")),
        ("Chosen among the candidates", chosen(facts)),
        ("Split", facts.get("split")),
        ("Features", f"{len(features)}: {', '.join(map(str, features))}" if features else None),
        ("Size", f"{facts['size'] / 1e6:,.2f} MB" if "size" in facts else None),
        ("Digest", outcome["model"]["digest"]),
        ("As of", day(outcome["as_of"]) if outcome["as_of"] else None),
        ("Run", outcome["run_id"]),
    ]


def _evaluation(outcome: Mapping[str, Any]) -> str:
    champion = ((outcome["verdict"] or {}).get("champion") or {}).get("metrics") or {}
    rows = [
        [metric(name), quantity(name, value), quantity(name, champion.get(name)) if champion else None]
        for name, value in outcome["metrics"].items()
    ]
    if champion:
        return _table(("metric", "candidate", "champion"), rows)
    return _table(("metric", "value"), [row[:2] for row in rows])


def _checks(outcome: Mapping[str, Any]) -> list[list[Any]]:
    return [
        [named(check), measured(check), demanded(check), check["outcome"]]
        for check in (outcome["verdict"] or {"checks": ()})["checks"]
    ]


def _calibration(evidence: Evidence) -> str:
    rows = [[number(value) for value in one] for one in evidence.calibration.get("candidate", ())]
    return _table(("probability given", "share positive", "rows"), rows)


# --- Markdown -----------------------------------------------------------------------------------------------------


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _list(pairs: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(f"- {_safe(name)}: {_safe(said)}" for name, said in pairs if said not in (None, ""))


def _grid(found: Grid) -> str:
    return _table([_safe(name) for name in found.head], found.rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *([_safe(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _safe(value: Any) -> str:
    """A value as text in one line that Markdown takes as it is."""
    plain = " ".join(printable(text(value)).split())
    return re.sub(r"([\\`*_\[\]<>|#~!])", r"\\\1", plain)

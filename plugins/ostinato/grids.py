"""The tables of a judgement as text, the same for a page and for a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from . import lineage
from .evidence import Evidence, Group, Tried
from .markup import number
from .wording import capital, day, interval, percent, quantity, signed

T = TypeVar("T")
Kind = Literal["name", "word", "number", "text", "outcome"]


class Column(NamedTuple):
    """A column: "name" says what a row is about ("word" in a word of ours), "outcome" what came of it."""

    head: str
    kind: Kind
    cells: list[str | None]


class Grid(NamedTuple):
    """A table: what it tells, and its columns, without those that nothing is known of."""

    said: str
    columns: list[Column]

    @property
    def head(self) -> list[str]:
        """What its columns are called."""
        return [column.head for column in self.columns]

    @property
    def rows(self) -> list[tuple[str | None, ...]]:
        """Its cells, line by line."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def slices(evidence: Evidence) -> list[Grid]:
    """The parts of what was judged on, a table for each group of them."""
    return [_slices(evidence, group) for group in evidence.groups]


def _slices(evidence: Evidence, group: Group) -> Grid:
    yardstick = evidence.yardstick
    other = "the champion" if any(one.champion is not None for one in evidence.slices) else yardstick.against
    where = f"by {group.column}" if group.column else f"in parts of the {yardstick.units}"

    def score(value: float | None) -> str | None:
        return None if value is None else quantity(yardstick.metric, value)

    return _grid(
        f"{capital(yardstick.said)} {where}, and its difference to {other}",
        group.slices,
        (f"by {group.column}" if group.column else "slice", "name", group.label),
        (yardstick.units, "number", lambda one: _number(one.rows)),
        ("positives", "number", lambda one: _number(one.positives)),
        ("candidate", "number", lambda one: score(one.candidate)),
        ("champion", "number", lambda one: score(one.champion)),
        (yardstick.rival, "number", lambda one: score(one.baseline)),
        ("difference", "number", lambda one: None if one.difference is None else signed(one.difference)),
        ("interval", "number", interval),
        ("outcome", "outcome", lambda one: one.outcome or None),
    )


def candidates(evidence: Evidence) -> Grid:
    """The kinds of models that were tried, the best first."""
    yardstick = evidence.yardstick
    return _grid(
        "What was tried on the validation part; the chosen one was trained again on all training data",
        evidence.candidates,
        ("candidate", "name", lambda one: one.name),
        (yardstick.said, "number", lambda one: None if one.score is None else quantity(yardstick.metric, one.score)),
        ("trials", "number", lambda one: _number(one.trials)),
        ("options", "text", lambda one: one.options or None),
        ("came to", "text", _came_to),
    )


def _came_to(one: Tried) -> str | None:
    if one.chosen:
        return "chosen"
    if one.score is None:
        return f"not tried: {one.why}" if one.why else "not tried"
    return one.why or None


def windows(outcome: Mapping[str, Any]) -> Grid:
    """What was learnt from, and what was judged on."""
    return _grid(
        "What was learnt from, and what was judged on (UTC)",
        lineage.windows(outcome),
        ("window", "word", lambda one: one.name),
        ("rows", "number", lambda one: _number(one.rows)),
        ("positives", "number", lambda one: _number(one.positives)),
        ("users", "number", lambda one: _number(one.users)),
        ("items", "number", lambda one: _number(one.items)),
        ("first day", "text", lambda one: one.first),
        ("last day", "text", lambda one: one.last),
    )


def days(evidence: Evidence) -> Grid:
    """The last days that were judged."""
    return _grid(
        "The last days that were judged",
        evidence.days,
        ("day", "name", lambda one: day(one.day)),
        ("rows", "number", lambda one: _number(one.rows)),
        ("positives", "number", lambda one: _number(one.positives)),
        ("card precision", "number", lambda one: None if one.card_precision is None else percent(one.card_precision)),
    )


def _number(value: Any) -> str | None:
    return None if value is None else number(value)


def _grid(said: str, rows: Sequence[T], *columns: tuple[str, Kind, Callable[[T], str | None]]) -> Grid:
    found = [Column(head, kind, [tell(one) for one in rows]) for head, kind, tell in columns]
    return Grid(said, [column for column in found if any(cell is not None for cell in column.cells)])

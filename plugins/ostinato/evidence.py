"""What a verdict was judged on, from its own file: what plots and tables are made of.

Whatever is missing, or is not as it should be, is left out: a page without a plot is better than no page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from .artifacts import Verdict
from .errors import OstinatoError
from .markup import finite, printable, text

T = TypeVar("T")
_RANGES = ("above ", "up to ")  # how parts of a column of numbers are called
MODELS = ("candidate", "champion")


class Bin(NamedTuple):
    """Rows given about the same probability: the one given on average, the share that was positive, how many."""

    predicted: float
    observed: float
    rows: float | None


class Slice(NamedTuple):
    """A part of the rows and how the models do on it; `difference` is candidate minus champion."""

    name: str
    rows: float | None
    positives: float | None
    candidate: float | None
    champion: float | None
    difference: float | None
    low: float | None
    high: float | None
    outcome: str


class Day(NamedTuple):
    """What one of the last days had, and how it went."""

    day: str
    rows: float | None
    positives: float | None
    card_precision: float | None


class Comparison(NamedTuple):
    """Candidate minus champion with its interval, and the bound that the lower end must reach."""

    difference: float
    low: float
    high: float
    bound: float


@dataclass(frozen=True)
class Evidence:
    """What there is, by model ("candidate", "champion") where there are two."""

    precision_recall: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)
    calibration: Mapping[str, list[Bin]] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    slice_bound: float | None = None
    days: list[Day] = field(default_factory=list)
    comparison: Comparison | None = None
    base_rate: float | None = None

    @classmethod
    def of(cls, given: Any, verdict: Mapping[str, Any] | None = None) -> Evidence:
        """The evidence in a verdict's file, whatever it looks like; `verdict` has what belongs to it."""
        found, facts = _mapping(given), verdict or {}
        slices = list(_each(found.get("slices"), _slice))
        return cls(
            _by_model(found.get("precision_recall"), _point),
            _by_model(found.get("calibration"), _bin),
            slices,
            _slice_bound(found.get("slice_margin"), slices),
            list(_each(found.get("days"), _day)),
            _comparison(found.get("comparison")),
            finite(_mapping(facts.get("metrics")).get("base_rate")),
        )


def evidence_of(outcome: Mapping[str, Any]) -> Evidence:
    """The evidence of a run's verdict; empty where there is none, or its file is gone."""
    verdict = outcome["verdict"]
    if not verdict or not verdict.get("uri"):
        return Evidence()
    try:
        content = Verdict(verdict["uri"], verdict["digest"]).read()
    except (OSError, ValueError, OstinatoError):
        content = {}
    return Evidence.of(_mapping(content).get("evidence"), verdict)


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _each(given: Any, read: Callable[[Any], T | None]) -> Iterator[T]:
    for one in given if isinstance(given, list) else ():
        found = read(one)
        if found is not None:
            yield found


def _by_model(given: Any, read: Callable[[Any], T | None]) -> dict[str, list[T]]:
    listed = {name: list(_each(_mapping(given).get(name), read)) for name in MODELS}
    return {name: found for name, found in listed.items() if found}


def _numbers(given: Iterable[Any]) -> list[float] | None:
    found = [finite(value) for value in given]
    return None if None in found else [value for value in found if value is not None]


def _point(given: Any) -> tuple[float, float] | None:
    found = _numbers(given) if isinstance(given, list) and len(given) == 2 else None
    return (found[0], found[1]) if found else None


def _bin(given: Any) -> Bin | None:
    one = _mapping(given)
    found = _numbers((one.get("predicted"), one.get("observed")))
    return Bin(found[0], found[1], finite(one.get("rows"))) if found else None


def _slice(given: Any) -> Slice | None:
    one = _mapping(given)
    if "column" not in one:
        return None
    column, value = text(one["column"]), text(one.get("value"))
    name = printable(f"{column} {value}" if value.startswith(_RANGES) else f"{column} = {value}")
    numbers = {known: finite(one.get(known)) for known in Slice._fields[1:-1]}
    return Slice(name, **numbers, outcome=str(one.get("outcome") or ""))


def _day(given: Any) -> Day | None:
    one = _mapping(given)
    numbers = {known: finite(one.get(known)) for known in Day._fields[1:]}
    return Day(text(one["day"]), **numbers) if "day" in one else None


def _comparison(given: Any) -> Comparison | None:
    numbers = _numbers(_mapping(given).get(name) for name in Comparison._fields)
    return Comparison(*numbers) if numbers else None


def _slice_bound(margin: Any, slices: Sequence[Slice]) -> float | None:
    """What the difference must reach: against the champion a margin below nought, against the base rate nought."""
    if not slices:
        return None
    if all(one.champion is None for one in slices):
        return 0.0
    found = finite(margin)
    return None if found is None else -found

"""What a verdict was judged on, from its own file: what plots and tables are made of.

Whatever is missing, or is not as it should be, is left out: a page without a plot is better than no page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from .artifacts import Verdict
from .errors import OstinatoError
from .markup import finite, number, printable, text
from .wording import Yardstick

T = TypeVar("T")
_RANGE = re.compile(r"(above|more than|up to) .*|\d[\d,]* to \d[\d,]*|\d[\d,]* (and|or) more")
MODELS = ("candidate", "champion")
RIVALS = (*MODELS, "popularity")


class Bin(NamedTuple):
    """Rows given about the same probability: the one given on average, the share that was positive, how many."""

    predicted: float
    observed: float
    rows: float | None


class Slice(NamedTuple):
    """A part of what was judged on, and how the models do on it.

    `difference` is candidate minus champion, or minus what is reached without skill; that is `baseline`, where told.
    `rows` counts what the verdict counts, such as users.
    """

    name: str
    column: str
    value: str
    rows: float | None
    positives: float | None
    candidate: float | None
    champion: float | None
    baseline: float | None
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


class Group(NamedTuple):
    """Slices that belong together: of one column, or, where it has no name, of any."""

    column: str
    slices: list[Slice]

    def label(self, one: Slice) -> str:
        """What a slice is called among these."""
        return one.value if self.column else one.name


class Tried(NamedTuple):
    """A kind of model that was tried on the validation part; `why` tells why one was not, or was not chosen."""

    name: str
    score: float | None
    trials: float | None
    options: str
    chosen: bool
    why: str


class Shown(NamedTuple):
    """What a user would be shown who took `history` items before; `found` of it is what they then took."""

    history: float | None
    recent: list[str]
    recommended: list[str]
    found: list[str]


class Catalogue(NamedTuple):
    """How many items can be recommended, and how many more there are that training has never seen."""

    items: float
    new: float | None


@dataclass(frozen=True)
class Evidence:
    """What there is, by model ("candidate", "champion", for exposure also "popularity") where there are several."""

    precision_recall: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)
    calibration: Mapping[str, list[Bin]] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    slice_bound: float | None = None
    days: list[Day] = field(default_factory=list)
    comparison: Comparison | None = None
    base_rate: float | None = None
    candidates: list[Tried] = field(default_factory=list)
    exposure: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)
    catalogue: Catalogue | None = None
    yardstick: Yardstick = field(default_factory=Yardstick)

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
            sorted(_each(found.get("candidates"), _tried), key=_rank),
            _by_model(found.get("exposure"), _share, RIVALS),
            list(_each(found.get("shown"), _shown)),
            _catalogue(found.get("catalogue")),
            Yardstick.of(facts),
        )

    @property
    def names(self) -> set[str]:
        """What there is, by name; of slices also by what they are parts."""
        there = {name for name, value in vars(self).items() if value not in (None, [], {})}
        return there | {group.column for group in self.groups}

    @property
    def groups(self) -> list[Group]:
        """The slices: those of rows together, those of anything else by column."""
        if self.yardstick.units == "rows":
            return [Group("", self.slices)] if self.slices else []
        columns = dict.fromkeys(one.column for one in self.slices)
        return [Group(column, [one for one in self.slices if one.column == column]) for column in columns]


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


def _by_model(given: Any, read: Callable[[Any], T | None], models: Sequence[str] = MODELS) -> dict[str, list[T]]:
    listed = {name: list(_each(_mapping(given).get(name), read)) for name in models}
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
    column, value = printable(text(one["column"])), printable(text(one.get("value")))
    name = f"{column} {value}" if _RANGE.fullmatch(value) else f"{column} = {value}"
    numbers = {known: finite(one.get(known)) for known in Slice._fields[3:-1]}
    return Slice(name, column, value, **numbers, outcome=str(one.get("outcome") or ""))


def _day(given: Any) -> Day | None:
    one = _mapping(given)
    numbers = {known: finite(one.get(known)) for known in Day._fields[1:]}
    return Day(text(one["day"]), **numbers) if "day" in one else None


def _comparison(given: Any) -> Comparison | None:
    numbers = _numbers(_mapping(given).get(name) for name in Comparison._fields)
    return Comparison(*numbers) if numbers else None


def _slice_bound(margin: Any, slices: Sequence[Slice]) -> float | None:
    """What the difference must reach: against the champion a margin below nought, against no skill nought."""
    if not slices:
        return None
    if all(one.champion is None for one in slices):
        return 0.0
    found = finite(margin)
    return None if found is None else -found


def _share(given: Any) -> tuple[float, float] | None:
    """A point of a curve of shares."""
    found = _point(given)
    return found if found and 0 <= found[0] <= 1 and 0 <= found[1] <= 1 else None


def _tried(given: Any) -> Tried | None:
    one = _mapping(given)
    if "name" not in one:
        return None
    options = ", ".join(f"{name} {number(value)}" for name, value in _mapping(one.get("options")).items())
    told = printable(text(one["name"])), finite(one.get("score")), finite(one.get("trials")), printable(options)
    return Tried(*told, one.get("chosen") is True, printable(str(one.get("why") or "")))


def _rank(one: Tried) -> tuple[bool, float]:
    """The best first, those that were not tried last."""
    return one.score is None, -(one.score or 0.0)


def _shown(given: Any) -> Shown | None:
    """What somebody would be shown; whoever would be shown nothing is no example."""
    one = _mapping(given)
    recommended = _items(one.get("recommended"))
    if not recommended:
        return None
    found = [item for item in _items(one.get("found")) if item in recommended]
    return Shown(finite(one.get("history")), _items(one.get("recent")), recommended, found)


def _items(given: Any) -> list[str]:
    """Ids of items as text, whatever they are."""
    return [printable(text(one)) for one in given] if isinstance(given, list) else []


def _catalogue(given: Any) -> Catalogue | None:
    items = finite(_mapping(given).get("items"))
    return None if items is None else Catalogue(items, finite(_mapping(given).get("new")))

"""The decision about a candidate: from what was measured to named checks. Pure functions, without models or tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .bootstrap import Interval

Compare = Literal["noninferior", "superior", "none"]
Check = dict[str, Any]

FEWEST_POSITIVES = 10
LOWER_IS_BETTER = frozenset({"alerts", "calibration_error", "cost"})
VARYING = ("latency_ms", "size_mb")  # checks whose value differs from run to run
SLICES = "slices"


@dataclass(frozen=True)
class Rules:
    """What is asked of a candidate; a bound that is None is not asked."""

    floor: float | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    compare: Compare = "noninferior"
    margin: float = 0.01
    slice_rows: int = 500
    slice_margin: float = 0.05
    max_calibration_error: float | None = None
    max_latency_ms: float | None = None
    max_size_mb: float | None = None


@dataclass(frozen=True)
class Opponent:
    """The champion, as far as it could be compared.

    Attributes:
        trouble: why it could not be scored on rows it has not seen; empty where it could.
        difference: the candidate's average precision less its own; None where chance cannot be told from skill.
    """

    version: str
    digest: str
    trouble: str = ""
    difference: Interval | None = None


@dataclass(frozen=True)
class Part:
    """A slice: the rows with one value of a column, and the average precision of the models on them.

    Attributes:
        difference: the candidate's less the champion's; without a champion, less the base rate.
    """

    column: str
    value: str
    rows: int
    positives: int
    candidate: float | None = None
    champion: float | None = None
    difference: Interval | None = None

    @property
    def name(self) -> str:
        return f"slice {self.column} = {self.value}"


@dataclass(frozen=True)
class Measured:
    """What was found of a candidate. What is not defined on these rows is missing, or None.

    Attributes:
        lift: the lower bound of what its average precision exceeds the base rate by.
        opponent: None where nobody is champion yet.
        tells_probabilities: whether its scores are probabilities; calibration is asked of nothing else.
    """

    digest: str
    metrics: Mapping[str, float]
    lift: float | None = None
    opponent: Opponent | None = None
    parts: Sequence[Part] = ()
    tells_probabilities: bool = True
    latency_ms: float | None = None
    size_mb: float | None = None

    @property
    def scarce(self) -> str:
        """Why these rows are too few to say anything about a ranking; empty where they are enough."""
        return scarce(int(self.metrics["rows"]), int(self.metrics["positives"]))


def scarce(rows: int, positives: int) -> str:
    """Why rows are too few to say anything about a ranking; empty where they are enough."""
    if positives < FEWEST_POSITIVES:
        word = "positive" if positives == 1 else "positives"
        return f"{positives} {word} among {rows:,} rows; it takes {FEWEST_POSITIVES} to tell skill from luck"
    return f"all {rows:,} rows are positive; there is nothing to tell them from" if positives == rows else ""


def judge(measured: Measured, rules: Rules) -> list[Check]:
    """The checks of a candidate, in the order in which people ask."""
    return [
        *_unchanged(measured),
        _ranking(measured, rules),
        *(_floor(measured, name, bound) for name, bound in rules.floors.items()),
        *_comparison(measured, rules),
        *(_slice(part, rules) for part in measured.parts),
        *_calibration(measured, rules),
        *_limit("latency_ms", measured.latency_ms, rules.max_latency_ms, "ms to score a row"),
        *_limit("size_mb", measured.size_mb, rules.max_size_mb, "MB of files"),
    ]


def same(measured: Measured) -> bool:
    """Whether the candidate is the champion itself."""
    return measured.opponent is not None and measured.opponent.digest == measured.digest


def _unchanged(measured: Measured) -> Iterator[Check]:
    if same(measured):
        assert measured.opponent is not None
        why = f"the candidate is the champion itself, version {measured.opponent.version}"
        yield {"name": "unchanged", "outcome": "unchanged", "why": why}


def _ranking(measured: Measured, rules: Rules) -> Check:
    """Average precision against its floor, or else against the base rate."""
    if rules.floor is not None:
        return _floor(measured, "average_precision", rules.floor)
    value, bound = measured.metrics.get("average_precision"), measured.metrics.get("base_rate")
    check: Check = {"name": "average_precision", "value": value, "bound": bound}
    if why := measured.scarce:
        return {**check, "outcome": "not-enough-data", "why": why}
    assert value is not None
    assert bound is not None
    if measured.lift is None:
        why = "all positives are of one block (day, entity), which tells skill from luck nowhere else"
        return {**check, "outcome": "not-enough-data", "why": why}
    check["lift_lower_bound"] = measured.lift
    if measured.lift > 0:
        return {**check, "outcome": "pass"}
    why = f"average precision {value:.4g} is not above the base rate {bound:.4g} by more than chance explains"
    return {**check, "outcome": "fail", "why": f"{why} (at worst {measured.lift:+.4f})"}


def _floor(measured: Measured, name: str, bound: float) -> Check:
    value = measured.metrics.get(name)
    check: Check = {"name": name, "value": value, "bound": bound}
    if why := measured.scarce:
        return {**check, "outcome": "not-enough-data", "why": why}
    if value is None:
        return {**check, "outcome": "not-enough-data", "why": f"{name} is not defined on these rows"}
    low = name in LOWER_IS_BETTER
    if value <= bound if low else value >= bound:
        return {**check, "outcome": "pass"}
    why = f"{name} {value:,.4g} is {'above' if low else 'below'} {bound:,.4g}, the {'most' if low else 'least'} allowed"
    return {**check, "outcome": "fail", "why": why}


def _comparison(measured: Measured, rules: Rules) -> Iterator[Check]:
    opponent = measured.opponent
    if opponent is None or rules.compare == "none" or same(measured):
        return
    bound = 0.0 if rules.compare == "superior" else -rules.margin
    check: Check = {"name": "champion", "value": None, "bound": bound}
    found = opponent.difference
    if why := opponent.trouble or measured.scarce:
        yield {**check, "outcome": "not-enough-data", "why": why}
    elif found is None:
        why = "all positives are of one block (day, entity), so that nothing tells a difference from chance"
        yield {**check, "outcome": "not-enough-data", "why": why}
    else:
        passed = found.low > bound
        if rules.compare == "superior":
            said = "surely better" if passed else "not surely better"
        else:
            said = f"surely not worse by {rules.margin:g}" if passed else f"it may be worse by {rules.margin:g} or more"
        span = f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        why = f"average precision against version {opponent.version}: {span}; {said}"
        outcome = "pass" if passed else "fail"
        yield {**check, "value": found.value, "low": found.low, "high": found.high, "outcome": outcome, "why": why}


def _slice(part: Part, rules: Rules) -> Check:
    """A slice fails only where there is evidence of harm; where there are few rows nothing is concluded."""
    against = part.champion is not None
    bound = -rules.slice_margin if against else 0.0
    check: Check = {"name": part.name, "group": SLICES, "value": None, "bound": bound}
    why = "" if part.rows >= rules.slice_rows else f"{part.rows:,} rows; it takes {rules.slice_rows:,}"
    why = why or scarce(part.rows, part.positives)
    if why or part.difference is None:
        why = why or "all positives are of one block (day, entity)"
        return {**check, "outcome": "not-enough-data", "why": why, "decisive": False}
    low, high = part.difference.low, part.difference.high
    check |= {"value": part.difference.value, "low": low, "high": high}
    if high >= bound:
        return {**check, "outcome": "pass"}
    than = f"the champion's, by more than {rules.slice_margin:g}" if against else "the base rate of these rows"
    why = f"average precision is lower than {than}: {part.difference.value:+.4f} ({low:+.4f} to {high:+.4f})"
    return {**check, "outcome": "fail", "why": why}


def _calibration(measured: Measured, rules: Rules) -> Iterator[Check]:
    bound = rules.max_calibration_error
    if bound is None or not measured.tells_probabilities or "calibration_error" in rules.floors:
        return
    yield _floor(measured, "calibration_error", bound)


def _limit(name: str, value: float | None, bound: float | None, what: str) -> Iterator[Check]:
    if bound is None:
        return
    check: Check = {"name": name, "value": value, "bound": bound}
    if value is None:
        yield {**check, "outcome": "not-enough-data", "why": f"nobody knows how many {what}"}
    elif value <= bound:
        yield {**check, "outcome": "pass"}
    else:
        yield {**check, "outcome": "fail", "why": f"{value:,.4g} {what}, {bound:,.4g} allowed"}

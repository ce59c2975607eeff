"""The decision about a candidate: from what was measured to named checks. Pure functions, without models or tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ostinato.errors import ParameterError, suggest
from ostinato.wording import metric

from .bootstrap import Interval

Compare = Literal["noninferior", "superior", "none"]
Check = dict[str, Any]

FEWEST_POSITIVES = 10
LOWER_IS_BETTER = frozenset({"alerts", "calibration_error", "cost"})
VARYING = ("latency_ms", "size_mb")  # checks whose value differs from run to run
SLICES = "slices"


def scarce(rows: int, positives: int) -> str:
    """Why rows are too few to say anything about a ranking; empty where they are enough."""
    if positives < FEWEST_POSITIVES:
        word = "positive" if positives == 1 else "positives"
        return f"{positives} {word} among {rows:,} rows; it takes {FEWEST_POSITIVES} to tell skill from luck"
    return f"all {rows:,} rows are positive; there is nothing to tell them from" if positives == rows else ""


def _few_positives(metrics: Mapping[str, float]) -> str:
    return scarce(int(metrics["rows"]), int(metrics["positives"]))


@dataclass(frozen=True)
class Measure:
    """What a judgement turns on.

    Attributes:
        name: the metric; more of it is better.
        baseline: the metric that it must exceed by more than chance explains.
        beaten: what that is called in a sentence.
        unit: what it is a mean over, and parts are made of.
        alike: why chance cannot be told from skill where no interval could be found.
        scarce: tells from the metrics why there is too little to say anything; empty where there is enough.
    """

    name: str = "average_precision"
    baseline: str = "base_rate"
    beaten: str = "the base rate"
    unit: str = "rows"
    alike: str = "all positives are of one block (day, entity)"
    scarce: Callable[[Mapping[str, float]], str] = _few_positives


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
        difference: the candidate's metric less its own; None where chance cannot be told from skill.
    """

    version: str
    digest: str
    trouble: str = ""
    difference: Interval | None = None


@dataclass(frozen=True)
class Part:
    """A slice: the rows (or users) with one value of a column, and the metric of the models on them.

    Attributes:
        positives: how many of them are positive; None where there is no such thing.
        difference: the candidate's less the champion's; without a champion, less the baseline.
    """

    column: str
    value: str
    rows: int
    positives: int | None
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
        lift: the lower bound of what its metric exceeds the baseline by.
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
    measure: Measure = Measure()

    @property
    def scarce(self) -> str:
        """Why there is too little to say anything; empty where there is enough."""
        return self.measure.scarce(self.metrics)


def refuse_unknown(rules: Rules, measure: Measure, known: Sequence[str]) -> None:
    """Refuse a comparison or floors that there are not, before anything is read.

    Args:
        known: the names of the metrics there may be.

    Raises:
        ParameterError: with the nearest that there is.
    """
    if rules.compare not in get_args(Compare):
        raise ParameterError(f"Unknown compare={rules.compare!r}. {suggest(rules.compare, get_args(Compare))}")
    for name in rules.floors:
        if name not in known:
            raise ParameterError(f"floors names {name!r}, which is no metric here. {suggest(name, known)}")
    if rules.floor is not None and measure.name in rules.floors:
        raise ParameterError(f"floor and floors[{measure.name!r}] say the same thing: give one of them.")


def judge(measured: Measured, rules: Rules) -> list[Check]:
    """The checks of a candidate, in the order in which people ask."""
    return [
        *_unchanged(measured),
        _ranking(measured, rules),
        *(_floor(measured, name, bound) for name, bound in rules.floors.items()),
        *_comparison(measured, rules),
        *(_slice(part, rules, measured.measure) for part in measured.parts),
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
    """The metric against its floor, or else against the baseline."""
    measure = measured.measure
    if rules.floor is not None:
        return _floor(measured, measure.name, rules.floor)
    value, bound = measured.metrics.get(measure.name), measured.metrics.get(measure.baseline)
    check: Check = {"name": measure.name, "value": value, "bound": bound}
    if why := measured.scarce:
        return {**check, "outcome": "not-enough-data", "why": why}
    assert value is not None
    assert bound is not None
    if measured.lift is None:
        return {
            **check,
            "outcome": "not-enough-data",
            "why": f"{measure.alike}, which tells skill from luck nowhere else",
        }
    check["lift_lower_bound"] = measured.lift
    if measured.lift > 0:
        return {**check, "outcome": "pass"}
    why = f"{metric(measure.name)} {value:.4g} is not above {measure.beaten} {bound:.4g} by more than chance explains"
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
    check: Check = {"name": "champion", "metric": measured.measure.name, "value": None, "bound": bound}
    found = opponent.difference
    if why := opponent.trouble or measured.scarce:
        yield {**check, "outcome": "not-enough-data", "why": why}
    elif found is None:
        why = f"{measured.measure.alike}, so that nothing tells a difference from chance"
        yield {**check, "outcome": "not-enough-data", "why": why}
    else:
        passed = found.low > bound
        if rules.compare == "superior":
            said = "surely better" if passed else "not surely better"
        else:
            said = f"surely not worse by {rules.margin:g}" if passed else f"it may be worse by {rules.margin:g} or more"
        span = f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        why = f"{metric(measured.measure.name)} against version {opponent.version}: {span}; {said}"
        outcome = "pass" if passed else "fail"
        yield {**check, "value": found.value, "low": found.low, "high": found.high, "outcome": outcome, "why": why}


def _slice(part: Part, rules: Rules, measure: Measure) -> Check:
    """A slice fails only where there is evidence of harm; where there are few rows nothing is concluded."""
    against = part.champion is not None
    bound = -rules.slice_margin if against else 0.0
    check: Check = {"name": part.name, "group": SLICES, "value": None, "bound": bound}
    why = "" if part.rows >= rules.slice_rows else f"{part.rows:,} {measure.unit}; it takes {rules.slice_rows:,}"
    why = why or ("" if part.positives is None else scarce(part.rows, part.positives))
    if why or part.difference is None:
        return {**check, "outcome": "not-enough-data", "why": why or measure.alike, "decisive": False}
    low, high = part.difference.low, part.difference.high
    check |= {"value": part.difference.value, "low": low, "high": high}
    if high >= bound:
        return {**check, "outcome": "pass"}
    than = (
        f"the champion's, by more than {rules.slice_margin:g}"
        if against
        else f"{measure.beaten} of these {measure.unit}"
    )
    why = f"{metric(measure.name)} is lower than {than}: {part.difference.value:+.4f} ({low:+.4f} to {high:+.4f})"
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


# --- telling ------------------------------------------------------------------------------------------------------


def listed(parts: Sequence[Part], checks: Sequence[Check]) -> list[dict[str, Any]]:
    """All slices with what was found, for tables and plots."""
    outcomes = [check["outcome"] for check in checks if check.get("group") == SLICES]
    found = []
    for part, outcome in zip(parts, outcomes, strict=True):
        value, low, high = part.difference or (None, None, None)
        about = {"column": part.column, "value": part.value, "rows": part.rows, "positives": part.positives}
        told = {"candidate": part.candidate, "champion": part.champion, "difference": value, "low": low, "high": high}
        found.append({**about, **told, "outcome": outcome})
    return found


def comparison(checks: Sequence[Check]) -> dict[str, float] | None:
    """The difference to the champion with its interval, where there is one."""
    for check in checks:
        if check["name"] == "champion" and check["value"] is not None:
            return {"difference": check["value"], **{name: check[name] for name in ("low", "high", "bound")}}
    return None


def summary(checks: Sequence[Check], outcome: str, *shown: str) -> str:
    """`average precision 0.513, champion 0.498: pass`, and of what is no pass the first reason."""
    why = next((check["why"] for check in checks if check["outcome"] == outcome and check.get("why")), "")
    return f"{', '.join(shown)}: {outcome}" + (f" ({why})" if why and outcome != "pass" else "")

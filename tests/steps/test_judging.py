"""The decision table: what was measured, what was asked, and what it comes to."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.artifacts import outcome_of
from ostinato.steps.bootstrap import Interval
from ostinato.steps.judging import Measured, Opponent, Part, Rules, judge

PASS, FAIL, UNSURE, SAME = "pass", "fail", "not-enough-data", "unchanged"

METRICS = {
    "rows": 20_000,
    "positives": 200,
    "base_rate": 0.01,
    "average_precision": 0.5,
    "roc_auc": 0.9,
    "cost": 400.0,
    "calibration_error": 0.01,
}
ALONE = Measured("sha256:new", METRICS, lift=0.4, latency_ms=5.0, size_mb=2.0)


def against(low: float, value: float, high: float) -> Measured:
    """A candidate that differs from the champion by that much."""
    return replace(ALONE, opponent=Opponent("3", "sha256:old", difference=Interval(value, low, high)))


BETTER = against(0.01, 0.03, 0.05)
EQUAL = against(-0.005, 0.001, 0.007)
UNCLEAR = against(-0.03, 0.001, 0.032)
SLIGHTLY_WORSE = against(-0.009, -0.006, -0.003)
WORSE = against(-0.08, -0.05, -0.02)


def trouble(why: str) -> Measured:
    return replace(ALONE, opponent=Opponent("3", "sha256:old", trouble=f"version 3 {why}"))


OVERLAPPING = trouble("was trained on rows up to 2026-01-10")
UNLOADABLE = trouble("cannot be loaded: its files are gone")
UNSCORABLE = trouble("cannot be scored: the test has no column 'x'")
ITSELF = replace(ALONE, opponent=Opponent("3", "sha256:new"))
ONE_BLOCK = replace(ALONE, opponent=Opponent("3", "sha256:old"))
NOISE = replace(ALONE, lift=-0.001, metrics={**METRICS, "average_precision": 0.012})


def but(measured: Measured, **metrics: float | None) -> Measured:
    """The same with other metrics; None takes one away."""
    changed = {name: value for name, value in {**measured.metrics, **metrics}.items() if value is not None}
    return replace(measured, metrics=changed)


def few(measured: Measured) -> Measured:
    """Nine positives; nothing was drawn from them."""
    opponent = measured.opponent and replace(measured.opponent, difference=None)
    return replace(but(measured, positives=9), lift=None, opponent=opponent)


def slices(measured: Measured, *parts: Part) -> Measured:
    return replace(measured, parts=parts)


def part(
    low: float, value: float, high: float, rows: int = 5000, positives: int = 50, champion: float | None = 0.5
) -> Part:
    return Part("country", "FR", rows, positives, 0.4, champion, Interval(value, low, high))


FINE = part(-0.04, 0.0, 0.04)
HARMED = part(-0.3, -0.2, -0.06)
DOUBTFUL = part(-0.3, -0.1, -0.04)
SMALL = replace(HARMED, rows=499)
POOR = replace(HARMED, positives=9)
IN_ONE_BLOCK = replace(HARMED, difference=None)
BELOW_BASE = part(-0.03, -0.02, -0.001, champion=None)
AT_BASE = part(-0.03, -0.02, 0.001, champion=None)


class Case(NamedTuple):
    """Who is judged, what is asked, what it comes to, and the checks that do not pass."""

    measured: Measured
    asked: dict[str, Any]
    comes_to: str
    because: dict[str, str]


BOUNDS = {"max_calibration_error": 0.1, "max_latency_ms": 10.0, "max_size_mb": 5.0}
SUPERIOR: dict[str, Any] = {"compare": "superior"}
NONE: dict[str, Any] = {"compare": "none"}
AP, CHAMPION, FR = "average_precision", "champion", "slice country = FR"

TABLE = {
    # nobody is champion
    "first, better than the base rate": Case(ALONE, {}, PASS, {}),
    "first, no better than the base rate": Case(NOISE, {}, FAIL, {AP: FAIL}),
    "first, exactly at the base rate": Case(replace(ALONE, lift=0.0), {}, FAIL, {AP: FAIL}),
    "first, all positives in one block": Case(replace(ALONE, lift=None), {}, UNSURE, {AP: UNSURE}),
    "first, few positives": Case(few(ALONE), {}, UNSURE, {AP: UNSURE}),
    "first, ten positives": Case(but(ALONE, positives=10), {}, PASS, {}),
    "first, no rows": Case(but(few(ALONE), rows=0, positives=0, average_precision=None), {}, UNSURE, {AP: UNSURE}),
    "first, nothing but positives": Case(but(ALONE, rows=200), {}, UNSURE, {AP: UNSURE}),
    "first, superior is asked": Case(ALONE, SUPERIOR, PASS, {}),
    "first, no comparison is asked": Case(ALONE, NONE, PASS, {}),
    # floors
    "floor reached": Case(ALONE, {"floor": 0.5}, PASS, {}),
    "floor missed by a hair": Case(ALONE, {"floor": 0.5 + 1e-9}, FAIL, {AP: FAIL}),
    "floor instead of the base rate": Case(NOISE, {"floor": 0.01}, PASS, {}),
    "floor, few positives": Case(few(ALONE), {"floor": 0.0}, UNSURE, {AP: UNSURE}),
    "another floor reached": Case(ALONE, {"floors": {"roc_auc": 0.9}}, PASS, {}),
    "another floor missed": Case(ALONE, {"floors": {"roc_auc": 0.91}}, FAIL, {"roc_auc": FAIL}),
    "another floor, not defined": Case(
        but(ALONE, roc_auc=None), {"floors": {"roc_auc": 0.5}}, UNSURE, {"roc_auc": UNSURE}
    ),
    "cost at its ceiling": Case(ALONE, {"floors": {"cost": 400.0}}, PASS, {}),
    "cost above its ceiling": Case(ALONE, {"floors": {"cost": 399.0}}, FAIL, {"cost": FAIL}),
    "one floor missed, one not defined": Case(
        but(ALONE, roc_auc=None), {"floor": 0.6, "floors": {"roc_auc": 0.5}}, FAIL, {AP: FAIL, "roc_auc": UNSURE}
    ),
    # against a champion
    "better": Case(BETTER, {}, PASS, {}),
    "better, superior is asked": Case(BETTER, SUPERIOR, PASS, {}),
    "equal": Case(EQUAL, {}, PASS, {}),
    "equal, superior is asked": Case(EQUAL, SUPERIOR, FAIL, {CHAMPION: FAIL}),
    "a little worse, within the margin": Case(SLIGHTLY_WORSE, {}, PASS, {}),
    "a little worse, superior is asked": Case(SLIGHTLY_WORSE, SUPERIOR, FAIL, {CHAMPION: FAIL}),
    "a little worse, no margin": Case(SLIGHTLY_WORSE, {"margin": 0.0}, FAIL, {CHAMPION: FAIL}),
    "worst case exactly at the margin": Case(against(-0.01, 0.0, 0.01), {}, FAIL, {CHAMPION: FAIL}),
    "worst case exactly none, superior is asked": Case(against(0.0, 0.0, 0.0), SUPERIOR, FAIL, {CHAMPION: FAIL}),
    "scores of the same order": Case(against(0.0, 0.0, 0.0), {}, PASS, {}),
    "unclear": Case(UNCLEAR, {}, FAIL, {CHAMPION: FAIL}),
    "unclear, wide margin": Case(UNCLEAR, {"margin": 0.05}, PASS, {}),
    "worse": Case(WORSE, {}, FAIL, {CHAMPION: FAIL}),
    "worse, no comparison is asked": Case(WORSE, NONE, PASS, {}),
    "better, but below the floor": Case(BETTER, {"floor": 0.6}, FAIL, {AP: FAIL}),
    "better, but no better than the base rate": Case(replace(BETTER, lift=-0.1), {}, FAIL, {AP: FAIL}),
    "few positives": Case(few(BETTER), {}, UNSURE, {AP: UNSURE, CHAMPION: UNSURE}),
    "all positives in one block": Case(ONE_BLOCK, {}, UNSURE, {CHAMPION: UNSURE}),
    # a champion that is no measure
    "overlapping": Case(OVERLAPPING, {}, UNSURE, {CHAMPION: UNSURE}),
    "overlapping, superior is asked": Case(OVERLAPPING, SUPERIOR, UNSURE, {CHAMPION: UNSURE}),
    "overlapping, no comparison is asked": Case(OVERLAPPING, NONE, PASS, {}),
    "overlapping, below the floor": Case(OVERLAPPING, {"floor": 0.6}, FAIL, {AP: FAIL, CHAMPION: UNSURE}),
    "unloadable": Case(UNLOADABLE, {}, UNSURE, {CHAMPION: UNSURE}),
    "unloadable, few positives": Case(few(UNLOADABLE), {}, UNSURE, {AP: UNSURE, CHAMPION: UNSURE}),
    "unscorable": Case(UNSCORABLE, {}, UNSURE, {CHAMPION: UNSURE}),
    "unscorable, wide margin": Case(UNSCORABLE, {"margin": 1.0}, UNSURE, {CHAMPION: UNSURE}),
    # the champion itself
    "unchanged": Case(ITSELF, {}, SAME, {SAME: SAME}),
    "unchanged, superior is asked": Case(ITSELF, SUPERIOR, SAME, {SAME: SAME}),
    "unchanged, no comparison is asked": Case(ITSELF, NONE, SAME, {SAME: SAME}),
    "unchanged, below the floor": Case(ITSELF, {"floor": 0.6}, SAME, {SAME: SAME, AP: FAIL}),
    "unchanged, few positives": Case(few(ITSELF), {}, SAME, {SAME: SAME, AP: UNSURE}),
    # slices
    "slice as before": Case(slices(BETTER, FINE), {}, PASS, {}),
    "slice harmed": Case(slices(BETTER, HARMED), {}, FAIL, {FR: FAIL}),
    "slice harmed within its margin": Case(slices(BETTER, HARMED), {"slice_margin": 0.1}, PASS, {}),
    "slice exactly at its margin": Case(slices(BETTER, part(-0.3, -0.2, -0.05)), {}, PASS, {}),
    "slice in doubt": Case(slices(BETTER, DOUBTFUL), {}, PASS, {}),
    "slice of few rows": Case(slices(BETTER, SMALL), {}, PASS, {FR: UNSURE}),
    "slice of few rows, fewer are asked": Case(slices(BETTER, SMALL), {"slice_rows": 499}, FAIL, {FR: FAIL}),
    "slice of few positives": Case(slices(BETTER, POOR), {}, PASS, {FR: UNSURE}),
    "slice in one block": Case(slices(BETTER, IN_ONE_BLOCK), {}, PASS, {FR: UNSURE}),
    "slice below its base rate": Case(slices(ALONE, BELOW_BASE), {}, FAIL, {FR: FAIL}),
    "slice at its base rate": Case(slices(ALONE, AT_BASE), {}, PASS, {}),
    "slice fine, candidate worse": Case(slices(WORSE, FINE), {}, FAIL, {CHAMPION: FAIL}),
    "slice harmed, champion overlapping": Case(slices(OVERLAPPING, BELOW_BASE), {}, FAIL, {CHAMPION: UNSURE, FR: FAIL}),
    # calibration, latency, size
    "all bounds kept": Case(BETTER, BOUNDS, PASS, {}),
    "badly calibrated": Case(but(BETTER, calibration_error=0.11), BOUNDS, FAIL, {"calibration_error": FAIL}),
    "badly calibrated, not asked": Case(but(BETTER, calibration_error=0.9), {}, PASS, {}),
    "no probabilities": Case(but(replace(BETTER, tells_probabilities=False), calibration_error=None), BOUNDS, PASS, {}),
    "calibration, few positives": Case(few(ALONE), BOUNDS, UNSURE, {AP: UNSURE, "calibration_error": UNSURE}),
    "a floor of calibration is the bound": Case(
        but(ALONE, calibration_error=0.3), {**BOUNDS, "floors": {"calibration_error": 0.4}}, PASS, {}
    ),
    "slow": Case(replace(BETTER, latency_ms=10.1), BOUNDS, FAIL, {"latency_ms": FAIL}),
    "slow, not asked": Case(replace(BETTER, latency_ms=1e6), {}, PASS, {}),
    "nobody knows how slow": Case(replace(BETTER, latency_ms=None), BOUNDS, UNSURE, {"latency_ms": UNSURE}),
    "large": Case(replace(BETTER, size_mb=5.1), BOUNDS, FAIL, {"size_mb": FAIL}),
    "nobody knows how large": Case(replace(BETTER, size_mb=None), BOUNDS, UNSURE, {"size_mb": UNSURE}),
    "slow and overlapping": Case(
        replace(OVERLAPPING, latency_ms=99.0), BOUNDS, FAIL, {"latency_ms": FAIL, CHAMPION: UNSURE}
    ),
    "slow and unchanged": Case(replace(ITSELF, latency_ms=99.0), BOUNDS, SAME, {SAME: SAME, "latency_ms": FAIL}),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_was_measured_comes_to(name: str) -> None:
    """The verdict's outcome, and the checks that stand in its way; each of them says why."""
    case = TABLE[name]
    checks = judge(case.measured, Rules(**case.asked))
    assert outcome_of(checks) == case.comes_to
    wanting = [check for check in checks if check["outcome"] != PASS]
    assert {check["name"]: check["outcome"] for check in wanting} == case.because
    assert all(check["why"] for check in wanting)


def test_checks_come_in_the_order_in_which_people_ask() -> None:
    """What is cheap to know stands first, slices behind what is said of all rows."""
    rules = Rules(floors={"roc_auc": 0.5}, **BOUNDS)
    names = [check["name"] for check in judge(slices(BETTER, FINE), rules)]
    assert names == [AP, "roc_auc", CHAMPION, FR, "calibration_error", "latency_ms", "size_mb"]


@pytest.mark.parametrize(
    ("measured", "asked", "name", "said"),
    [
        (NOISE, {}, AP, "average precision 0.012 is not above the base rate 0.01 by more than chance explains"),
        (few(ALONE), {}, AP, "9 positives among 20,000 rows; it takes 10"),
        (but(few(ALONE), positives=1), {}, AP, "1 positive among 20,000 rows"),
        (ALONE, {"floor": 0.6}, AP, "average_precision 0.5 is below 0.6, the least allowed"),
        (ALONE, {"floors": {"cost": 100.0}}, "cost", "cost 400 is above 100, the most allowed"),
        (WORSE, {}, CHAMPION, r"against version 3: -0.0500 \(-0.0800 to -0.0200\); it may be worse by 0.01 or more"),
        (UNCLEAR, SUPERIOR, CHAMPION, r"3: \+0.0010 \(-0.0300 to \+0.0320\); not surely better"),
        (UNLOADABLE, {}, CHAMPION, "version 3 cannot be loaded"),
        (slices(BETTER, HARMED), {}, FR, r"lower than the champion's, by more than 0.05: -0.2000"),
        (slices(ALONE, BELOW_BASE), {}, FR, "lower than the base rate of these rows"),
        (slices(BETTER, SMALL), {}, FR, "499 rows; it takes 500"),
        (ITSELF, {}, SAME, "the candidate is the champion itself, version 3"),
        (replace(ALONE, latency_ms=12.5), BOUNDS, "latency_ms", "12.5 ms to score a row, 10 allowed"),
    ],
)
def test_a_check_says_why_in_a_sentence(measured: Measured, asked: dict[str, Any], name: str, said: str) -> None:
    """With the numbers, for a person."""
    (check,) = [check for check in judge(measured, Rules(**asked)) if check["name"] == name]
    assert re.search(said, check["why"])


@given(
    st.floats(-1, 1),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.sampled_from(["noninferior", "superior"]),
    st.integers(0, 20),
    st.booleans(),
)
def test_a_candidate_passes_only_if_its_worst_case_is_good_enough(
    value: float, off: float, margin: float, compare: Any, positives: int, reachable: bool
) -> None:
    """No pass without a champion that was scored, ten positives, and a lower end above the bound."""
    found = Interval(value, value - off, value + off) if reachable else None
    opponent = Opponent("3", "sha256:old", "" if reachable else "is away", found)
    measured = but(replace(ALONE, opponent=opponent), positives=positives)
    passed = outcome_of(judge(measured, Rules(compare=compare, margin=margin))) == PASS
    good = reachable and positives >= 10 and value - off > (0 if compare == "superior" else -margin)
    assert passed == good

"""Judgements: what follows from what was found of each rule."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.integrations.gx_validator import judged
from ostinato.suites.judgement import Judged, Judgement, Outcome
from ostinato.suites.suite import SEVERITIES, Rule, Suite

OUTCOMES = get_args(Outcome)


def rule(name: str = "amounts", **more: Any) -> Rule:
    arguments = more.pop("arguments", {"column": "amount", "min_value": 0})
    return Rule(name, "expect_column_values_to_be_between", arguments, **more)


def suite(*rules: Rule, most: float = 0.01, source: str = "") -> Suite:
    return Suite("payments", rules, source=source, max_quarantine=most)


def judgement(*found: Judged, rows: int = 1000, quarantined: int = 0, **more: Any) -> Judgement:
    return Judgement(suite(*(one.rule for one in found), **more), found, rows, quarantined)


# --- one rule -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "severity"), list(itertools.product(OUTCOMES, SEVERITIES)))
def test_severity_decides_what_a_broken_rule_does(outcome: Outcome, severity: Any) -> None:
    """Critical ones stop, warnings warn, the rest is noted; a rule that could not be evaluated stops whatever it is."""
    one = Judged(rule(severity=severity), outcome)
    assert one.stops == (outcome == "error" or (outcome, severity) == ("fail", "critical"))
    assert one.warns == ((outcome, severity) == ("fail", "warning"))
    result = "stopped" if one.stops else "warned" if one.warns else "passed"
    assert judgement(one).outcome == result


def raw(success: Any, unexpected: int | None = None, error: str | None = None, **result: Any) -> dict[str, Any]:
    """A result as Great Expectations gives it."""
    counts = {} if unexpected is None else {"unexpected_count": unexpected, "element_count": 100}
    info = {"raised_exception": error is not None, "exception_message": error}
    return {"success": success, "result": {**counts, **result}, "exception_info": info}


@pytest.mark.parametrize(
    ("quarantine", "mostly", "success", "unexpected", "outcome"),
    [
        (False, 1, True, 0, "pass"),
        (False, 1, False, 3, "fail"),
        (False, 0.9, True, 3, "pass"),
        (False, 0.9, False, 30, "fail"),
        (True, 1, True, 0, "pass"),
        (True, 1, False, 3, "quarantined"),
        (True, 0.9, True, 3, "quarantined"),
        (True, 0.9, True, 0, "pass"),
        (True, 0.9, False, 30, "fail"),
    ],
)
def test_rows_are_set_aside_where_the_rule_says_so_and_enough_are_good(
    quarantine: bool, mostly: float, success: bool, unexpected: int, outcome: str
) -> None:
    """A rule that passes by `mostly` still has bad rows; one that more rows break than may has failed."""
    asked = rule(quarantine=quarantine, rows_judged=True, arguments={"column": "amount", "mostly": mostly})
    found = judged(asked, raw(success, unexpected))
    assert (found.outcome, found.judged, found.unexpected) == (outcome, 100, unexpected)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(
    "result",
    [
        raw(False, error="Conversion Error: no"),
        raw(True, error="it raised, and yet"),
        raw(None),
        raw("true"),
        raw(False, error=""),
        {**raw(False), "exception_info": {"('metric', 1)": {"raised_exception": True, "exception_message": "no"}}},
    ],
    ids=["raised", "raised and passed", "no verdict", "text", "no message", "by metric"],
)
def test_what_raised_or_gave_no_verdict_is_an_error_and_never_a_pass(severity: Any, result: dict[str, Any]) -> None:
    """Whatever the severity: nobody knows whether the rule is met."""
    found = judged(rule(severity=severity), result)
    assert found.outcome == "error"
    assert (found.error or "").startswith("could not be evaluated: ")
    assert found.stops


def test_a_rule_that_quarantines_and_was_not_counted_is_an_error() -> None:
    """Without a count nobody can say that the right rows were set aside."""
    found = judged(rule(quarantine=True, rows_judged=True), raw(True))
    assert (found.outcome, found.error) == (
        "error",
        "could not be evaluated: Great Expectations counted no rows",
    )


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "quarantined", "most", "too_many"),
    [
        (1000, 0, 0.01, False),
        (1000, 10, 0.01, False),
        (1000, 11, 0.01, True),
        (1000, 1, 0.0, True),
        (1000, 0, 0.0, False),
        (1000, 999, 1.0, False),
        (1000, 1000, 1.0, True),
        (1, 1, 1.0, True),
        (0, 0, 0.01, False),
    ],
)
def test_a_run_stops_when_more_is_set_aside_than_may_be_or_everything(
    rows: int, quarantined: int, most: float, too_many: bool
) -> None:
    """Or a broken feed would be thrown away in silence."""
    found = judgement(Judged(rule(quarantine=True), "pass"), rows=rows, quarantined=quarantined, most=most)
    assert found.too_many is too_many
    assert found.outcome == ("stopped" if too_many else "passed")


JUDGED = st.builds(
    Judged,
    st.builds(rule, severity=st.sampled_from(SEVERITIES), quarantine=st.booleans()),
    st.sampled_from(OUTCOMES),
    unexpected=st.none() | st.integers(0, 9),
)


@given(st.lists(JUDGED, max_size=9), st.integers(0, 50), st.integers(0, 50))
def test_a_table_is_as_good_as_its_gravest_finding(found: list[Judged], rows: int, quarantined: int) -> None:
    """It passes only where nothing stops and nothing warns, and then there is nothing to say."""
    whole = judgement(*found, rows=rows, quarantined=min(rows, quarantined))
    stops = any(one.stops for one in found) or whole.too_many
    warns = any(one.warns for one in found)
    assert whole.outcome == ("stopped" if stops else "warned" if warns else "passed")
    assert bool(whole.said()) == (stops or warns)
    assert 0 <= whole.share <= 1
    assert "\n" not in whole.said()


# --- what is said -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (Judged(rule(), "fail", 100, 3), "3 of 100 rows break it"),
        (Judged(rule(), "fail", 1_000_000, 1), "1 of 1,000,000 rows breaks it"),
        (Judged(rule(), "fail", None, 2000), "2,000 rows break it"),
        (Judged(rule(), "fail", None, 1), "1 row breaks it"),
        (Judged(rule(), "fail", observed=0.123456789), "found 0.123457, wanted min value 0"),
        (Judged(rule(), "fail", observed=12345.0), "found 12,345, wanted min value 0"),
        (Judged(rule(), "fail", observed="2026-03-01"), "found 2026-03-01, wanted min value 0"),
        (Judged(rule(), "fail"), "not met, wanted min value 0"),
        (Judged(rule(arguments={"column": "amount"}), "fail"), "not met"),
        (Judged(rule(), "error", 100, 3, error="could not be evaluated: no"), "could not be evaluated: no"),
    ],
)
def test_a_finding_is_one_sentence(one: Judged, sentence: str) -> None:
    """With numbers as people read them."""
    assert one.sentence() == sentence


def test_why_a_run_stops_is_said_with_the_place_of_each_rule() -> None:
    """File and line, and only what stops."""
    found = judgement(
        Judged(rule("ids", line=7), "fail", 10, 3),
        Judged(rule("amounts", line=9), "error", error="could not be evaluated: no."),
        Judged(rule("late", line=11, severity="warning"), "fail", 10, 1),
        source="suites/payments.yaml",
    )
    assert found.said() == (
        "suites/payments.yaml:7: ids: 3 of 10 rows break it; "
        "suites/payments.yaml:9: amounts: could not be evaluated: no"
    )


def test_what_is_only_a_warning_is_said_where_nothing_stops() -> None:
    """In the same words, without a place: nobody has to look there now."""
    late = Judged(rule("late", line=11, severity="warning"), "fail", 10, 1)
    noted = Judged(rule("noted", severity="info"), "fail", 10, 1)
    assert judgement(late, noted, source="s.yaml").said() == "late: 1 of 10 rows breaks it"
    assert judgement(noted).said() == ""


def test_too_many_bad_rows_are_said_first_with_the_rules_that_most_of_them_break() -> None:
    """Three of them, by how many rows break each."""
    aside = [
        Judged(rule(name, quarantine=True), "quarantined", 100, count)
        for name, count in zip("abcd", (1, 4, 3, 2), strict=True)
    ]
    found = judgement(*aside, Judged(rule("ids"), "fail", 100, 5), rows=100, quarantined=9)
    assert found.said() == (
        "9 of 100 rows (9.00%) would be quarantined, more than max_quarantine = 1.00%: b (4), c (3), d (2); "
        "ids: 5 of 100 rows break it"
    )


def test_a_run_with_nothing_left_says_so() -> None:
    """However much may be set aside."""
    found = judgement(Judged(rule(quarantine=True), "quarantined", 9, 9), rows=9, quarantined=9, most=1.0)
    assert found.said() == "9 of 9 rows (100.00%) would be quarantined, and none would be left: amounts (9)"


def test_a_hundred_reasons_are_cut_after_five() -> None:
    """And the rest is counted."""
    said = judgement(*(Judged(rule(f"rule {i}"), "fail", 9, 1) for i in range(100))).said()
    assert said.count("breaks it") == 5
    assert said.endswith("; and 95 more")

"""Wording: what numbers and terms are called where people read them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ostinato.evidence import Comparison
from ostinato.glossary import GLOSSARY, terms
from ostinato.wording import (
    Yardstick,
    capital,
    day,
    demanded,
    distance,
    interval,
    measured,
    metric,
    named,
    quantity,
    signed,
)
from pages import EVIL, LISTS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("average_precision", "average precision"),
        ("recall_at_fpr_0.01", "recall at 1% false alarms"),
        ("recall_at_fpr_1e-05", "recall at 0.001% false alarms"),
        ("recall_at_fpr_", "recall at fpr "),
        ("recall_at_fpr_1..2", "recall at fpr 1..2"),
        (f"card_precision_at_{'9' * 5000}", f"card precision at {'9' * 5000}"),
        ("card_precision_at_1000", "card precision at 1,000 a day"),
        ("roc_auc", "ROC AUC"),
        ("champion", "against the champion"),
        ("ndcg_at_10", "nDCG@10"),
        ("recall_at_5", "recall@5"),
        ("precision_at_100", "precision@100"),
        ("map_at_10", "MAP@10"),
        ("popularity_ndcg_at_10", "popularity's nDCG@10"),
        ("ndcg_at_", "ndcg at "),
        ("coverage", "coverage of the catalogue"),
        ("cold_users_share", "cold users"),
        ("latency_ms", "milliseconds for one answer"),
        ("anything_else", "anything else"),
    ],
)
def test_metrics_and_checks_have_names_in_words(name: str, said: str) -> None:
    """Known ones and those with a number in them; others lose their underscores."""
    assert metric(name) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("base_rate", 0.004852, "0.49%"),
        ("recall_at_fpr_0.01", 0.8, "80.0%"),
        ("cost_saved_share", -0.5, "-50.0%"),
        ("base_rate", 0.0, "0.0%"),
        ("average_precision", 0.654784, "0.655"),
        ("cost", 1302.46, "1,302"),
        ("ndcg_at_10", 0.19963, "0.200"),
        ("popularity_ndcg_at_10", 0.0, "0.000"),
        ("map_at_10", 0.0004321, "0.000432"),
        ("coverage", 0.4123, "41.2%"),
        ("cold_items_share", 0.021, "2.1%"),
        ("novelty", 9.3141, "9.314"),
        ("positives", 35, "35"),
        ("base_rate", 1, "1"),
        ("roc_auc", None, "–"),
        ("roc_auc", "high", "high"),
    ],
)
def test_shares_are_percents_and_other_numbers_have_three_digits_that_count(name: str, value: Any, said: str) -> None:
    """Counts stay whole."""
    assert quantity(name, value) == said


def test_what_a_check_found_is_a_number_or_a_difference_with_its_interval() -> None:
    """As it stands in tables."""
    check = {"name": "champion", "value": 0.01, "low": -0.004, "high": 0.03}
    assert measured(check) == "+0.010 (−0.004 to +0.030)"
    assert measured({**check, "low": None}) == "0.01"
    assert measured({"name": "base_rate", "value": 0.01}) == "1%"
    assert measured({"name": "unchanged"}) == "–"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"name": "average_precision", "bound": 0.6}, "≥ 0.6"),
        ({"name": "latency_ms", "bound": 1000.0}, "≤ 1,000"),
        ({"name": "calibration_error", "bound": 0.2}, "≤ 0.2"),
        ({"name": "ndcg_at_10", "bound": 0.1512}, "≥ 0.151"),
        ({"name": "coverage", "bound": 0.1}, "≥ 10.0%"),
        ({"name": "champion", "bound": -0.01}, "≥ −0.010"),
        ({"name": "champion", "bound": 0.0, "low": 0.1}, "≥ +0.000"),
        ({"name": "unchanged"}, "–"),
        ({"name": "x", "bound": "much"}, "much"),
    ],
)
def test_what_a_check_asks_for_is_at_least_or_at_most(check: dict[str, Any], said: str) -> None:
    """Costs, errors, times and sizes are to be small, the rest large."""
    assert demanded(check) == said


def test_differences_carry_their_sign() -> None:
    """As typographers write it."""
    assert [signed(value) for value in (0.0123, -0.5, 0)] == ["+0.012", "−0.500", "+0.000"]
    assert interval(Comparison(0, -0.1, 0.1, 0)) == "−0.100 to +0.100"


def test_a_distance_of_shares_is_in_points() -> None:
    """A percent of a percent would be misread."""
    assert distance("base_rate", 0.5, 0.25) == "25 points"
    assert distance("average_precision", 0.25, 0.5) == "0.25"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2026-04-30", "30 April 2026"),
        ("2026-04-01T00:00:00+00:00", "1 April 2026"),
        ("2026-04-30 23:58:42.170302", "30 April 2026, 23:58"),
        ("2026-05-01T01:30:00+02:00", "30 April 2026, 23:30"),
        ("soon", "soon"),
        ("", ""),
    ],
)
def test_a_moment_is_written_as_people_write_it(moment: str, said: str) -> None:
    """In UTC, the time of day only where there is one; what is no moment stays as it is."""
    assert day(moment) == said


def test_every_term_is_told_in_a_line_without_a_full_stop() -> None:
    """In alphabetical order, as in a glossary."""
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.lower)
    assert all(not said.endswith(".") and re.match(r"[a-z]", said) for said in GLOSSARY.values())
    assert capital("") == ""
    assert capital("a b") == "A b"
    assert capital("nDCG@10") == "nDCG@10"


def test_a_comparison_is_named_with_its_metric() -> None:
    """Where the check tells it; no other check is."""
    assert named({"name": "champion", "metric": "ndcg_at_10"}) == "nDCG@10 against the champion"
    assert named({"name": "champion"}) == "against the champion"
    assert named({"name": "coverage", "metric": "ndcg_at_10"}) == "coverage of the catalogue"


def test_a_verdict_tells_by_what_it_judges() -> None:
    """Metric, model without skill, and what is counted; one that does not tell judges rows by average precision."""
    found = Yardstick.of({"metric": "ndcg_at_5", "baseline": "popularity_ndcg_at_5", "units": "users"})
    assert (found.said, found.against, found.rival) == ("nDCG@5", "popularity", "popularity")
    assert (found.beside, found.unskilled) == ("popularity", "showing everybody what is most popular")
    assert found.events == "interactions"
    usual = Yardstick.of(None)
    assert (usual.said, usual.against, usual.rival) == ("average precision", "the base rate", "base rate")
    assert (usual.beside, usual.unskilled, usual.events) == ("by guessing", "guessing", "rows")
    assert Yardstick.of({"metric": 3, "baseline": None, "units": []}) == usual
    other = Yardstick.of({"metric": EVIL, "baseline": "mean_of_last_week"})
    assert (other.said, other.rival, other.beside) == (EVIL, "mean of last week", "mean of last week")


def test_terms_are_told_only_where_they_are_spoken_of() -> None:
    """A classifier's on its page, a recommender's on its own; those of every judgement on both."""
    frauds = terms(["average_precision", "base_rate", "card_precision_at_100", "recall_at_fpr_0.01", "calibration"])
    lists = terms([*LISTS, "activity", "candidates", "exposure"])
    everywhere = {"Candidate", "Champion", "Digest", "Interval", "Ledger", "Margin", "Not enough data", "Quarantine"}
    assert frauds.keys() & lists.keys() == everywhere | {"Slice"} == terms([]).keys()
    assert {"Alert", "Base rate", "Card precision", "Positive", "Recall", "Calibration"} <= frauds.keys()
    assert {"nDCG@k", "Recall@k", "MAP@k", "Coverage", "Novelty", "Cold", "Activity", "Popularity"} <= lists.keys()
    assert frauds.keys() | lists.keys() | {"ROC AUC"} == GLOSSARY.keys()
    assert list(lists) == [term for term in GLOSSARY if term in lists]

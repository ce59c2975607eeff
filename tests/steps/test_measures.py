"""The measures agree with scikit-learn, and with the Fraud Detection Handbook read word for word."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from ostinato.steps import measures

Rows = tuple[Any, Any]


@st.composite
def labelled(draw: st.DrawFn, least: int = 2) -> Rows:
    """Labels with both classes and scores with many ties."""
    size = draw(st.integers(least, 60))
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    label[0], label[-1] = 0, 1
    score = np.array(draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), min_size=size, max_size=size)))
    return label, score


@given(labelled())
def test_average_precision_is_that_of_scikit_learn(rows: Rows) -> None:
    """Ties are one threshold, not several."""
    label, score = rows
    expected = average_precision_score(label, score)
    assert measures.average_precision(measures.rank(label, score)) == pytest.approx(expected, abs=1e-12)


@given(labelled())
def test_roc_auc_is_that_of_scikit_learn(rows: Rows) -> None:
    """Ties count half."""
    label, score = rows
    assert measures.roc_auc(measures.rank(label, score)) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


@given(labelled(), st.sampled_from([0.0, 0.01, 0.07, 0.25, 0.29, 0.5, 1.0]))
def test_recall_at_a_false_positive_rate_is_the_best_allowed_point_of_the_roc_curve(rows: Rows, rate: float) -> None:
    """A threshold that flags exactly the allowed share is allowed."""
    label, score = rows
    false, true, _ = roc_curve(label, score, drop_intermediate=False)
    expected = true[false <= rate].max()
    assert measures.recall_at_false_positive_rate(measures.rank(label, score), rate) == pytest.approx(expected)


@given(labelled(), st.floats(0, 50), st.integers(0, 2**32 - 1))
def test_the_cheapest_threshold_is_the_cheapest_of_all(rows: Rows, review_cost: float, seed: int) -> None:
    """Every threshold is tried one by one, flagging nothing among them."""
    label, score = rows
    amount = np.random.default_rng(seed).gamma(2, 30, len(label))
    costs = {}
    for threshold in [*np.unique(score), math.inf]:
        flagged = score >= threshold
        costs[int(flagged.sum())] = amount[(label == 1) & ~flagged].sum() + review_cost * flagged.sum()
    found = measures.cheapest(measures.rank(label, score), label, amount, review_cost)
    assert found.cost == pytest.approx(min(costs.values()), abs=1e-9)
    assert costs[found.alerts] == pytest.approx(found.cost, abs=1e-9)
    assert found.nothing == pytest.approx(amount[label == 1].sum())
    assert found.saved_share == pytest.approx(1 - found.cost / found.nothing)


def test_a_missing_or_negative_amount_counts_as_no_money() -> None:
    """A refund is not a gain of fraud, and a gap does not spoil the sum."""
    label, score = np.array([1, 1, 1]), np.array([0.9, 0.8, 0.7])
    found = measures.cheapest(measures.rank(label, score), label, np.array([np.nan, -5.0, 10.0]), 1.0)
    assert (found.nothing, found.cost, found.alerts) == (10.0, 3.0, 3)


def handbook_card_precision_top_k(predictions: pd.DataFrame, top_k: int) -> dict[int, float]:
    """The Handbook's `card_precision_top_k`, word for word, with ties broken by CUSTOMER_ID."""
    list_days = sorted(predictions["TX_TIME_DAYS"].unique())
    list_detected_compromised_cards: list[Any] = []
    card_precision_top_k_per_day = {}
    for day in list_days:
        df_day = predictions[predictions["TX_TIME_DAYS"] == day]
        df_day = df_day[["predictions", "CUSTOMER_ID", "TX_FRAUD"]]
        df_day = df_day[df_day.CUSTOMER_ID.isin(list_detected_compromised_cards) == False]  # noqa: E712
        df_day = df_day.groupby("CUSTOMER_ID").max().reset_index(drop=False)
        df_day = df_day.sort_values(by=["predictions", "CUSTOMER_ID"], ascending=[False, True])
        df_day_top_k = df_day.head(top_k)
        detected = list(df_day_top_k[df_day_top_k.TX_FRAUD == 1].CUSTOMER_ID)
        card_precision_top_k_per_day[int(day)] = len(detected) / top_k
        list_detected_compromised_cards.extend(detected)
    return card_precision_top_k_per_day


@st.composite
def payments(draw: st.DrawFn) -> pd.DataFrame:
    """Few days, few or many cards, many equal scores."""
    size = draw(st.integers(1, 80))
    cards = draw(st.integers(1, 30))
    row = st.tuples(
        st.integers(0, 4), st.integers(0, cards), st.integers(0, 1), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    )
    rows = draw(st.lists(row, min_size=size, max_size=size))
    return pd.DataFrame(rows, columns=["TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD", "predictions"])


@settings(max_examples=200)
@given(payments(), st.integers(1, 40))
def test_card_precision_is_that_of_the_handbook(table: pd.DataFrame, k: int) -> None:
    """Ties, cards found earlier, and k larger than the number of cards included."""
    found = measures.card_precision_at_k(
        table.TX_FRAUD.to_numpy(),
        table.predictions.to_numpy(),
        table.TX_TIME_DAYS.to_numpy(),
        table.CUSTOMER_ID.to_numpy(),
        k,
    )
    assert found == pytest.approx(handbook_card_precision_top_k(table, k))


def test_a_card_found_compromised_is_not_looked_for_again() -> None:
    """Card 1 is caught on day 0, so that day 1 has a place for card 2."""
    label, score = np.array([1, 1, 1]), np.array([0.9, 0.9, 0.1])
    day, card = np.array([0, 1, 1]), np.array([1, 1, 2])
    assert measures.card_precision_at_k(label, score, day, card, 1) == {0: 1.0, 1: 1.0}


def test_the_order_of_rows_changes_no_measure() -> None:
    """Rows come back from storage in any order."""
    random = np.random.default_rng(0)
    label, score = random.integers(0, 2, 500), random.integers(0, 20, 500) / 20
    day, card = random.integers(0, 5, 500), random.integers(0, 40, 500)
    mixed = random.permutation(500)

    def measured(order: Any) -> Any:
        ranking = measures.rank(label[order], score[order])
        cards = measures.card_precision_at_k(label[order], score[order], day[order], card[order], 10)
        curve = measures.precision_recall(ranking)
        return measures.average_precision(ranking), measures.roc_auc(ranking), cards, curve

    assert measured(np.arange(500)) == measured(mixed)


@pytest.mark.parametrize("label", [[], [0, 0], [1, 1]])
def test_what_is_not_defined_is_not_a_number(label: list[int]) -> None:
    """With one class there is no ROC curve; without positives there is nothing to find."""
    labels, score = np.array(label, dtype=int), np.linspace(0, 1, len(label))
    ranking = measures.rank(labels, score)
    assert math.isnan(measures.roc_auc(ranking))
    assert math.isnan(measures.recall_at_false_positive_rate(ranking, 0.1))
    assert math.isnan(measures.average_precision(ranking)) == (sum(label) == 0)


@given(labelled(), st.integers(2, 70))
def test_the_curve_is_that_of_scikit_learn_at_fewer_points(rows: Rows, most: int) -> None:
    """Every point is one of the whole curve; it ends at full recall."""
    label, score = rows
    precision, recall, _ = precision_recall_curve(label, score)
    whole = {(round(float(at), 6), round(float(value), 6)) for at, value in zip(recall, precision, strict=True)}
    curve = measures.precision_recall(measures.rank(label, score), most)
    assert {(at, value) for at, value in curve} <= whole
    assert 1 <= len(curve) <= most
    assert curve[-1][0] == 1
    assert all(one[0] < two[0] for one, two in itertools.pairwise(curve))


def test_a_curve_without_positives_is_empty() -> None:
    """There is nothing to find."""
    assert measures.precision_recall(measures.rank(np.array([0, 0]), np.array([0.1, 0.2]))) == []


@given(labelled(), st.integers(1, 12))
def test_every_row_is_in_one_bin_and_equal_probabilities_share_one(rows: Rows, bins: int) -> None:
    """Bins rise, hold all rows and all positives, and their means are those of their rows."""
    label, score = rows
    found = measures.calibration(label, score, bins)
    assert len(found) <= bins
    assert sum(each.rows for each in found) == len(label)
    assert sum(each.rows * each.observed for each in found) == pytest.approx(label.sum())
    assert sum(each.rows * each.predicted for each in found) == pytest.approx(score.sum())
    assert [each.predicted for each in found] == sorted({each.predicted for each in found})
    assert len(found) <= len(np.unique(score))


def test_bins_are_of_equal_size_where_probabilities_differ() -> None:
    """A hundred rows in ten bins are ten each."""
    random = np.random.default_rng(0)
    found = measures.calibration(random.integers(0, 2, 1000), random.random(1000))
    assert {each.rows for each in found} == {100}


def test_bins_of_equal_risk_expect_as_many_positives_each() -> None:
    """Among many harmless rows the few risky ones get most of the bins."""
    random = np.random.default_rng(5)
    probability = random.random(20_000) * np.where(random.random(20_000) < 0.01, 1, 0.002)
    found = measures.calibration((random.random(20_000) < probability).astype(int), probability, weight=probability)
    expected = [each.predicted * each.rows for each in found]
    assert len(found) == 10
    assert max(expected) < 1.5 * min(expected)
    assert sum(each.rows for each in found) == 20_000


def test_the_calibration_error_is_by_how_much_probabilities_are_off_on_average() -> None:
    """Half of the rows off by 0.2 and half by 0.1 are 0.15; honest probabilities are hardly off."""
    probability = np.repeat([0.2, 0.6], 500)
    label = np.concatenate((np.repeat([1, 0], [200, 300]), np.repeat([1, 0], [250, 250])))
    bins = measures.calibration(label, probability, 2)
    assert measures.calibration_error(bins) == pytest.approx(0.15)
    honest = np.random.default_rng(0).random(100_000)
    drawn = (np.random.default_rng(1).random(100_000) < honest).astype(int)
    assert measures.calibration_error(measures.calibration(drawn, honest)) < 0.01
    assert math.isnan(measures.calibration_error(measures.calibration(label[:0], probability[:0])))

"""The measures of lists: worked out on paper, read word for word, and by scikit-learn."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from ostinato.recommenders import ranking
from ostinato.recommenders.histories import of_rows
from recommenders.tastes import lists_of

CATALOGUE = 30
Case = tuple[Any, Any]


@st.composite
def cases(draw: st.DrawFn, full: bool = False) -> Case:
    """Lists of one length, some with empty places at the end, and what is relevant: one item at least."""
    k = draw(st.integers(1, 12))
    users = draw(st.integers(1, 6))
    items, relevant = [], []
    for _ in range(users):
        order = draw(st.permutations(range(CATALOGUE)))
        filled = k if full else draw(st.integers(0, k))
        items.append(list(order[:filled]) + [-1] * (k - filled))
        relevant.append(np.array(draw(st.lists(st.integers(0, CATALOGUE - 1), min_size=1, max_size=20))))
    return np.array(items, np.int32), of_rows(relevant, CATALOGUE)


def counts_of(relevant: Any) -> Any:
    return np.diff(relevant.indptr)


def slow_ndcg(items: list[int], wanted: set[int]) -> float:
    """Järvelin and Kekäläinen, gains 0 and 1."""
    gain = sum(1 / math.log2(rank + 1) for rank, item in enumerate(items, 1) if item in wanted)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(items), len(wanted)) + 1))
    return gain / ideal


def slow_average_precision(items: list[int], wanted: set[int]) -> float:
    """Manning, Raghavan and Schütze, over the first k ranks."""
    precisions = [
        len(wanted & set(items[:rank])) / rank for rank in range(1, len(items) + 1) if items[rank - 1] in wanted
    ]
    return sum(precisions) / min(len(items), len(wanted))


@given(cases())
def test_hits_are_the_relevant_items_of_each_list(case: Case) -> None:
    """An empty place is none."""
    items, relevant = case
    expected = [[item in wanted for item in row] for row, wanted in zip(items, lists_of(relevant), strict=True)]
    assert ranking.hits(items, relevant).tolist() == expected


def test_there_are_no_hits_where_nothing_is_relevant_or_nobody_is_there() -> None:
    """The last item of one row is not the first of the next either."""
    assert not ranking.hits(np.array([[0, 1]]), of_rows([np.array([])], 2)).any()
    assert ranking.hits(np.empty((0, 3), np.int32), of_rows([], 5)).shape == (0, 3)
    assert ranking.hits(np.array([[-1], [0]]), of_rows([np.array([4]), np.array([1])], 5)).sum() == 0
    assert ranking.hits(np.array([[4], [-1]]), of_rows([np.array([0]), np.array([0])], 5)).sum() == 0


def test_hits_are_right_where_users_by_items_are_more_than_32_bits_can_count() -> None:
    """Fifty thousand users and a hundred thousand items."""
    users, catalogue = 50_000, 100_000
    wanted = np.arange(users) * 7 % catalogue
    relevant = of_rows(list(wanted[:, None]), catalogue)
    items = np.stack([(wanted + 1) % catalogue, wanted], axis=1).astype(np.int32)
    assert (ranking.hits(items, relevant) == [False, True]).all()


@pytest.mark.parametrize(
    ("hit", "relevant", "expected"),
    [
        ([1, 1, 0, 0], 2, 1.0),
        ([0, 0, 0, 0], 2, 0.0),
        ([0, 1, 0, 0], 1, 1 / math.log2(3)),
        ([1, 0, 1, 0], 2, (1 + 1 / 2) / (1 + 1 / math.log2(3))),
        ([1, 1, 1, 1], 100, 1.0),
    ],
)
def test_ndcg_as_worked_out_on_paper(hit: list[int], relevant: int, expected: float) -> None:
    """A hit at rank r gains 1 / log2(r + 1): 1, 0.631, 0.5, 0.431; divided by the gain of the best possible list.

    With one of one relevant at rank 2: 0.631 / 1. With two of two at ranks 1 and 3: 1.5 / 1.631 = 0.920. With four
    hits of a hundred relevant there is no better list of four.
    """
    assert ranking.ndcg(np.array([hit], bool), np.array([relevant])) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("hit", "relevant", "expected"),
    [
        ([1, 1, 0, 0], 2, 1.0),
        ([0, 0, 0, 0], 3, 0.0),
        ([0, 1, 0, 0], 1, 1 / 2),
        ([1, 0, 1, 0], 2, (1 + 2 / 3) / 2),
        ([1, 0, 1, 0], 3, (1 + 2 / 3) / 3),
        ([1, 0, 1, 0], 9, (1 + 2 / 3) / 4),
    ],
)
def test_average_precision_as_worked_out_on_paper(hit: list[int], relevant: int, expected: float) -> None:
    """Hits at ranks 1 and 3 have the precisions 1/1 and 2/3, in sum 5/3.

    Divided by 2 where two were relevant: 0.833; by 3 where three were: 0.556; by 4, and not by 9, where nine were and
    the list has room for four: 0.417.
    """
    assert ranking.average_precision(np.array([hit], bool), np.array([relevant])) == pytest.approx([expected])


def test_precision_and_recall_as_worked_out_on_paper() -> None:
    """Two hits in four places are a precision of 2/4; of five relevant items they are a recall of 2/5."""
    hit = np.array([[True, False, True, False], [False] * 4])
    assert ranking.precision(hit, np.array([5, 1])).tolist() == [0.5, 0.0]
    assert ranking.recall(hit, np.array([5, 1])).tolist() == [0.4, 0.0]


@given(cases())
def test_measures_of_each_list_are_those_of_their_definitions(case: Case) -> None:
    """Read word for word, one list after the other."""
    items, relevant = case
    hit, counts = ranking.hits(items, relevant), counts_of(relevant)
    found = {name: getattr(ranking, name)(hit, counts) for name in ("ndcg", "recall", "precision", "average_precision")}
    for row, (listed, wanted) in enumerate(zip(items.tolist(), map(set, lists_of(relevant)), strict=True)):
        assert found["ndcg"][row] == pytest.approx(slow_ndcg(listed, wanted))
        assert found["recall"][row] == pytest.approx(len(wanted & set(listed)) / len(wanted))
        assert found["precision"][row] == pytest.approx(len(wanted & set(listed)) / len(listed))
        assert found["average_precision"][row] == pytest.approx(slow_average_precision(listed, wanted))
    for values in found.values():
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@given(cases(full=True))
def test_ndcg_is_that_of_scikit_learn(case: Case) -> None:
    """Where every place is filled: there an item that is not in the list has a rank, too, and the last."""
    items, relevant = case
    score = np.zeros((len(items), CATALOGUE))
    score[np.arange(len(items))[:, None], items] = np.arange(items.shape[1], 0, -1)
    found = ranking.ndcg(ranking.hits(items, relevant), counts_of(relevant))
    expected = ndcg_score(relevant.toarray(), score, k=items.shape[1])
    assert found.mean() == pytest.approx(expected)


@given(st.permutations(range(CATALOGUE)), st.sets(st.integers(0, CATALOGUE - 1), min_size=1))
def test_average_precision_of_a_whole_catalogue_is_that_of_scikit_learn(order: list[int], wanted: set[int]) -> None:
    """With k as long as the catalogue the definitions agree."""
    relevant = of_rows([np.array(sorted(wanted))], CATALOGUE)
    found = ranking.average_precision(ranking.hits(np.array([order]), relevant), np.array([len(wanted)]))
    expected = average_precision_score([item in wanted for item in order], range(CATALOGUE, 0, -1))
    assert found[0] == pytest.approx(expected)


def test_coverage_as_worked_out_on_paper() -> None:
    """Items 0, 1 and 4 of a catalogue of 6 are shown to somebody: 3/6."""
    items = np.array([[0, 1], [1, -1], [4, 0]])
    assert ranking.coverage(items, 6) == 0.5
    assert ranking.coverage(np.full((2, 2), -1), 6) == 0
    assert ranking.coverage(np.empty((0, 2), int), 0) == 0


def test_novelty_as_worked_out_on_paper() -> None:
    """Shown are items that a half, a half and an eighth of the users took: (1 + 1 + 3) / 3 bits.

    An item that nobody took would be of endless novelty, and is left out.
    """
    shares = np.array([0.5, 0.125, 0.0, 1.0])
    assert ranking.novelty(np.array([[0, 1], [0, -1]]), shares) == pytest.approx(5 / 3)
    assert ranking.novelty(np.array([[0, 2]]), shares) == pytest.approx(1)
    assert ranking.novelty(np.array([[3]]), shares) == 0
    assert ranking.novelty(np.array([[2, -1]]), shares) == 0


def test_concentration_as_worked_out_on_paper() -> None:
    """Item 3 is shown three times, item 0 twice, item 1 once, and item 2 to nobody.

    So the first quarter of the catalogue has 3/6 of the recommendations, the half 5/6, three quarters all.
    """
    items = np.array([[3, 0], [3, 0], [3, 1], [-1, -1]])
    assert ranking.concentration(items, 4) == [[0, 0], [0.25, 0.5], [0.5, 0.8333], [0.75, 1], [1, 1]]
    assert ranking.concentration(items, 4, points=3) == [[0, 0], [0.5, 0.8333], [1, 1]]
    assert ranking.concentration(np.full((1, 2), -1), 2) == [[0, 0], [0.5, 0], [1, 0]]


@given(cases(), st.lists(st.floats(0, 1), min_size=CATALOGUE, max_size=CATALOGUE))
def test_measures_of_all_lists_are_those_of_their_definitions(case: Case, shares: list[float]) -> None:
    """Read word for word."""
    items, _ = case
    shown = Counter(item for row in items.tolist() for item in row if item >= 0)
    assert ranking.coverage(items, CATALOGUE) == pytest.approx(len(shown) / CATALOGUE)
    bits = [-math.log2(shares[item]) for item in shown.elements() if shares[item] > 0]
    assert ranking.novelty(items, np.array(shares)) == pytest.approx(sum(bits) / len(bits) if bits else 0, abs=1e-9)
    most = sorted((shown[item] for item in range(CATALOGUE)), reverse=True)
    total = max(1, sum(most))
    for share, held in ranking.concentration(items, CATALOGUE):
        assert held == pytest.approx(sum(most[: round(share * CATALOGUE)]) / total, abs=1e-4)


@given(st.integers(1, 5000), st.integers(2, 60))
def test_a_curve_has_no_more_points_than_wanted_and_both_ends(catalogue: int, points: int) -> None:
    """However large the catalogue."""
    found = ranking.concentration(np.array([[0]]), catalogue, points)
    assert len(found) <= points
    assert found[0] == [0, 0]
    assert found[-1] == [1, 1]

"""Item-based neighbours: what `implicit` itself recommends."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from ostinato.recommenders.item_knn import WEIGHTINGS, ItemKnn
from recommenders.tastes import few_histories, kept, lists_of, taken_by

implicit = pytest.importorskip("implicit")

CLASSES = {"cosine": "CosineRecommender", "tfidf": "TFIDFRecommender", "bm25": "BM25Recommender"}


def theirs(found: Any, neighbours: int, weighting: str) -> Any:
    """The library's own model of these histories."""
    from implicit import nearest_neighbours

    model = getattr(nearest_neighbours, CLASSES[weighting])(K=neighbours)
    with warnings.catch_warnings(action="ignore"):  # of its own matrices
        model.fit(found.astype(np.float64), show_progress=False)
    return model


def fitted(found: Any, neighbours: int = 20, weighting: str = "cosine") -> ItemKnn:
    return ItemKnn.fit(found, {"neighbours": neighbours, "weighting": weighting}, 0)


def nothing_of(found: Any) -> Any:
    return csr_matrix(found.shape, dtype=np.float32)


def assert_alike(items: Any, scores: Any, their_items: Any, their_scores: Any) -> None:
    """The same scores in each place, and the same items but for those that tie with the last."""
    count = int((their_scores > 0).sum())
    assert (items >= 0).sum() == count
    assert np.allclose(scores[:count], their_scores[:count], rtol=1e-5)
    if count:
        sure = {int(item) for item, score in zip(items, scores, strict=True) if score > scores[count - 1] * 1.0001}
        assert sure <= set(their_items[:count].tolist())


@pytest.mark.parametrize("skipping", [True, False])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("neighbours", [5, 60])
def test_users_get_what_the_library_recommends(neighbours: int, weighting: str, skipping: bool) -> None:
    """Ids and scores, by each way of weighting; only what scores 0 is left to popularity."""
    found = taken_by()
    library = theirs(found, neighbours, weighting)
    skip = found if skipping else nothing_of(found)
    items, scores = fitted(found, neighbours, weighting).top(np.arange(300), found, 10, skip)
    for row in range(300):
        best = library.recommend(row, found[row], N=10, filter_already_liked_items=skipping)
        assert_alike(items[row], scores[row], *best)


@given(few_histories(), st.sampled_from(WEIGHTINGS), st.integers(1, 5), st.integers(1, 15))
def test_a_score_is_the_sum_of_similarities_to_what_was_taken(
    found: Any, weighting: str, neighbours: int, k: int
) -> None:
    """And what was taken never comes, not even with the score 0."""
    model = fitted(found, neighbours, weighting)
    items, scores = model.top(np.full(found.shape[0], -1), found, k, found)
    sums = found @ model.similarity.toarray()
    for row, taken in enumerate(lists_of(found)):
        sums[row, taken] = 0
        best = np.sort(sums[row][sums[row] > 0])[::-1][:k]
        assert np.allclose(scores[row, : len(best)], best, rtol=1e-4)
        assert np.allclose(sums[row, items[row, : len(best)]], best, rtol=1e-4)
        assert (items[row, len(best) :] == -1).all()
        assert (scores[row, len(best) :] == 0).all()


def test_what_was_taken_does_not_come_although_there_is_nothing_else() -> None:
    """The library would offer it with the score 0."""
    found = csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 1]], np.float32))
    items, _ = fitted(found).top(np.arange(2), found, 3, found)
    assert kept(items) == [[], []]


def test_each_item_keeps_so_many_neighbours() -> None:
    """Itself among them."""
    similarity = fitted(taken_by(), neighbours=7).similarity
    assert np.diff(similarity.indptr).max() == 7
    assert similarity.dtype == np.float32


def test_the_weightings_differ() -> None:
    """No name stands for another's similarities."""
    found = taken_by()
    first, second, third = (fitted(found, 200, weighting).similarity.toarray() for weighting in WEIGHTINGS)
    assert not np.allclose(first, second)
    assert not np.allclose(first, third)
    assert not np.allclose(second, third)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_fitting_warns_of_nothing(weighting: str) -> None:
    """Neither of the library's own matrices nor of an item that only users took who took all."""
    found = csr_matrix(np.array([[1, 1, 1, 0, 1], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], np.float32))
    with warnings.catch_warnings(action="error"):
        model = fitted(found, 3, weighting)
    assert np.isfinite(model.similarity.data).all()


def test_nobody_gets_nothing() -> None:
    """No rows in, no rows out."""
    items, scores = fitted(taken_by(20, 10)).top(np.empty(0), csr_matrix((0, 10)), 3, csr_matrix((0, 10)))
    assert items.shape == scores.shape == (0, 3)


def test_item_knn_comes_back_from_its_arrays() -> None:
    """They are all there is to it."""
    found = taken_by()
    model = fitted(found)
    again = ItemKnn.from_arrays(model.arrays(), {})
    for ours, other in zip(model.top(None, found, 5, found), again.top(None, found, 5, found), strict=True):
        assert (ours == other).all()

"""EASE against its closed form in double precision."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from ostinato.errors import DataError
from ostinato.recommenders.ease import Ease
from recommenders.tastes import few_histories, lists_of, taken_by


def closed_form(found: Any, regularization: float) -> Any:
    """As in the paper: B = I - P · diag(1 / diag(P)), P = (XᵀX + λI)⁻¹."""
    dense = found.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + regularization * np.eye(dense.shape[1]))
    weights = np.eye(dense.shape[1]) - inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


@given(few_histories(), st.sampled_from([0.5, 3.0, 400.0]))
def test_weights_are_those_of_the_closed_form(found: Any, regularization: float) -> None:
    """Row by column, not the other way round, and zero on the diagonal."""
    weights = Ease.fit(found, {"regularization": regularization}, 0).weights
    assert weights.dtype == np.float32
    assert np.allclose(weights, closed_form(found, regularization), atol=1e-4)
    assert (weights.diagonal() == 0).all()


def test_a_catalogue_of_several_blocks_has_the_same_weights() -> None:
    """Beyond 1,024 items the matrix is made, completed and divided in strips of fewer than all rows."""
    found = taken_by(800, 1100, most=60)
    weights = Ease.fit(found, {"regularization": 20.0}, 0).weights
    assert np.abs(weights - closed_form(found, 20.0)).max() < 1e-4


def test_weights_take_the_memory_of_one_matrix_and_of_strips() -> None:
    """Once items² · 4 bytes: neither the Gram matrix nor its inverse is there a second time."""
    found = taken_by(500, 4000)
    Ease.fit(taken_by(20, 10), {"regularization": 20.0}, 0)  # imports are no part of it
    tracemalloc.start()
    model = Ease.fit(found, {"regularization": 20.0}, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert model.weights.nbytes == 4000**2 * 4
    assert peak < 1.6 * model.weights.nbytes


@pytest.mark.parametrize("seed", range(20))
def test_what_cannot_be_inverted_is_refused_and_the_remedy_named(seed: int) -> None:
    """Two items that the same users took, to the last one; rounding hides it from the factorisation."""
    random = np.random.default_rng(seed)
    dense = random.random((random.integers(5, 40), random.integers(3, 20))) < 0.4
    dense[0], dense[:, -1] = True, dense[:, 0]
    with pytest.raises(DataError, match=r"regularization=0: write a larger one"):
        Ease.fit(csr_matrix(dense.astype(np.float32)), {"regularization": 0.0}, 0)
    Ease.fit(csr_matrix(dense.astype(np.float32)), {"regularization": 0.1}, 0)


def test_an_item_of_nobody_cannot_be_inverted_either() -> None:
    """A zero on the diagonal."""
    with pytest.raises(DataError, match="write a larger one"):
        Ease.fit(csr_matrix(np.array([[1, 0], [1, 0]], np.float32)), {"regularization": 0}, 0)


@pytest.mark.parametrize("skipping", [True, False])
def test_the_best_items_have_the_largest_sums_of_weights(skipping: bool) -> None:
    """Over what the user took, which does not come again if it is skipped."""
    found = taken_by(1200, 80)
    model = Ease.fit(found, {"regularization": 5.0}, 0)
    items, scores = model.top(np.full(1200, -1), found, 7, found if skipping else csr_matrix(found.shape))
    sums = found.toarray() @ model.weights
    for row, taken in enumerate(lists_of(found)):
        left = sums[row].copy()
        if skipping:
            left[taken] = -np.inf
            assert not set(items[row]) & set(taken)
        assert np.allclose(scores[row], np.sort(left)[::-1][:7], atol=1e-5)
        assert np.allclose(scores[row], left[items[row]], atol=1e-5)


def test_what_is_skipped_never_comes_and_its_place_stays_empty() -> None:
    """Although all that is left scores below 0, or nothing is left."""
    found = csr_matrix(np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]], np.float32))
    model = Ease(-np.abs(closed_form(found, 1.0)).astype(np.float32))
    items, scores = model.top(np.full(4, -1), found, 4, found)
    assert [sorted(row) for row in items.tolist()] == [[-1, -1, 3, 4], [-1, 1, 2, 3], [-1] * 4, [0, 1, 2, 4]]
    assert (scores[items < 0] == 0).all()


def test_nobody_gets_nothing() -> None:
    """No rows in, no rows out."""
    model = Ease.fit(taken_by(20, 10), {"regularization": 5.0}, 0)
    items, scores = model.top(np.empty(0, np.int32), csr_matrix((0, 10)), 3, csr_matrix((0, 10)))
    assert items.shape == scores.shape == (0, 3)


def test_ease_comes_back_from_its_arrays() -> None:
    """They are all there is to it."""
    found = taken_by(60, 30)
    model = Ease.fit(found, {"regularization": 5.0}, 0)
    again = Ease.from_arrays(model.arrays(), {})
    for ours, theirs in zip(model.top(None, found, 5, found), again.top(None, found, 5, found), strict=True):
        assert (ours == theirs).all()

"""Alternating least squares: what `implicit` itself recommends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ostinato.recommenders.als import Als
from ostinato.recommenders.recommender import one_thread
from recommenders.tastes import lists_of, taken_by

implicit = pytest.importorskip("implicit")

OPTIONS = {"factors": 12, "regularization": 0.05, "alpha": 8.0, "iterations": 6}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As whoever fits and asks does."""
    with one_thread():
        yield


def theirs(found: Any, seed: int = 3) -> Any:
    """The library's own model of these histories."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(**OPTIONS, random_state=seed)
    model.fit(found, show_progress=False)
    return model


def nothing_of(found: Any) -> Any:
    return csr_matrix(found.shape, dtype=np.float32)


def test_factors_are_those_of_the_library_with_the_same_seed() -> None:
    """And others with another seed."""
    found = taken_by()
    ours = Als.fit(found, OPTIONS, 3)
    assert np.allclose(ours.users, theirs(found).user_factors, atol=1e-5)
    assert np.allclose(ours.items, theirs(found).item_factors, atol=1e-5)
    assert not np.allclose(ours.users, Als.fit(found, OPTIONS, 4).users, atol=1e-3)


@pytest.mark.parametrize("skipping", [True, False])
def test_users_as_learnt_get_what_the_library_recommends(skipping: bool) -> None:
    """Ids and scores, for more users than one block holds."""
    found = taken_by(1300, 150)
    ours, library = Als.fit(found, OPTIONS, 3), theirs(found)
    items, scores = ours.top(np.arange(1300), found, 10, found if skipping else nothing_of(found))
    their_items, their_scores = library.recommend(np.arange(1300), found, N=10, filter_already_liked_items=skipping)
    assert np.allclose(scores, their_scores, atol=1e-4)
    assert (items == their_items).mean() > 0.999  # of two whose scores differ in the last digit either may be first
    assert all(set(row) == set(other) for row, other in zip(items[:50], their_items[:50], strict=True))


def test_a_stranger_is_solved_for_as_the_library_recalculates_a_user() -> None:
    """Whether alone or among users as learnt."""
    found, others = taken_by(), taken_by(300, seed=9)
    ours, library = Als.fit(found, OPTIONS, 3), theirs(found)
    users = np.where(np.arange(300) % 3 == 0, np.arange(300), -1)
    shown = csr_matrix(np.where((users >= 0)[:, None], found.toarray(), others.toarray()))
    items, scores = ours.top(users, shown, 10, shown)
    factors = library.recalculate_user(np.arange(300), others)
    for row in range(300):
        factor = library.user_factors[row] if users[row] >= 0 else factors[row]
        expected = factor @ library.item_factors.T
        assert np.allclose(scores[row], expected[items[row]], atol=1e-4)
        expected[lists_of(shown)[row]] = -np.inf
        assert np.allclose(scores[row], np.sort(expected)[::-1][:10], atol=1e-4)


def test_solving_for_a_stranger_leaves_what_was_learnt_as_it_was() -> None:
    """Nobody's factors are written over."""
    found = taken_by()
    model = Als.fit(found, OPTIONS, 3)
    before = model.users.copy(), model.items.copy()
    model.top(np.full(300, -1), found, 10, found)
    assert (model.users == before[0]).all()
    assert (model.items == before[1]).all()


def test_what_is_skipped_never_comes_and_its_place_stays_empty() -> None:
    """Not even for who has taken nearly all there is."""
    found = csr_matrix(np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], np.float32))
    items, scores = Als.fit(found, OPTIONS, 3).top(np.array([0, 1, -1]), found, 4, found)
    assert items[0].tolist() == [4, -1, -1, -1]
    assert sorted(items[1]) == [-1, 2, 3, 4]
    assert items[2].tolist() == [-1] * 4
    assert (scores[items < 0] == 0).all()


def test_more_may_be_wanted_than_there_are() -> None:
    """The rest of the places is empty."""
    found = taken_by(30, 6, most=2)
    items, scores = Als.fit(found, OPTIONS, 3).top(np.arange(30), found, 20, nothing_of(found))
    assert items.shape == scores.shape == (30, 20)
    assert all(sorted(row[:6]) == list(range(6)) for row in items)
    assert (items[:, 6:] == -1).all()


def test_nobody_gets_nothing() -> None:
    """No rows in, no rows out."""
    model = Als.fit(taken_by(20, 10), OPTIONS, 3)
    items, scores = model.top(np.empty(0, np.int32), csr_matrix((0, 10)), 3, csr_matrix((0, 10)))
    assert items.shape == scores.shape == (0, 3)


def test_als_comes_back_from_its_arrays() -> None:
    """Strangers are solved for as before."""
    found = taken_by()
    model = Als.fit(found, OPTIONS, 3)
    again = Als.from_arrays(model.arrays(), OPTIONS)
    users = np.where(np.arange(300) % 2, np.arange(300), -1)
    for ours, other in zip(model.top(users, found, 5, found), again.top(users, found, 5, found), strict=True):
        assert (ours == other).all()

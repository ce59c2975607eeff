"""What is popular, and what of it a user has not taken."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ostinato.recommenders.histories import of_rows
from ostinato.recommenders.popularity import Popularity, most_popular, order_of
from recommenders.tastes import few_histories, kept, lists_of, taken_by


def by_hand(found: Any) -> list[int]:
    """All items by how many users took them, then by place."""
    counts = Counter(item for row in lists_of(found) for item in row)
    return sorted(range(found.shape[1]), key=lambda item: (-counts[item], item))


@given(few_histories())
def test_items_are_ordered_by_how_many_took_them(found: Any) -> None:
    """Of equals the lower place is first, and what nobody took is last."""
    assert order_of(found).tolist() == by_hand(found)


@given(few_histories(), st.integers(1, 15))
def test_the_most_popular_are_those_that_were_not_taken(found: Any, k: int) -> None:
    """For each user in the order of all, -1 where nothing is left."""
    order = by_hand(found)
    expected = [[item for item in order if item not in row][:k] for row in lists_of(found)]
    items = most_popular(np.array(order, np.int32), found, k)
    assert items.shape == (found.shape[0], k)
    assert kept(items) == expected
    assert all((row[len(left) :] == -1).all() for row, left in zip(items, expected, strict=True))


def test_many_users_are_served_in_blocks_of_which_one_may_have_taken_much() -> None:
    """A robot among them changes nobody's list but its own."""
    people = lists_of(taken_by(2500, 300))
    people[1500] = list(range(295))
    found = of_rows([np.array(row) for row in people], 300)
    order = order_of(found)
    items = most_popular(order, found, 10)
    assert kept(items) == [[int(item) for item in order if item not in set(row)][:10] for row in people]
    assert items[1500].tolist()[5:] == [-1] * 5


@given(few_histories(), st.integers(1, 15))
def test_popularity_scores_an_item_by_the_share_of_users_that_took_it(found: Any, k: int) -> None:
    """The order is that of the counts; an empty place scores 0."""
    model = Popularity.fit(found, {}, 0)
    items, scores = model.top(np.full(found.shape[0], -1), found, k, found)
    counts = np.asarray(found.sum(axis=0)).ravel()
    assert items.tolist() == most_popular(order_of(found), found, k).tolist()
    assert scores.dtype == np.float32
    assert np.allclose(scores, np.where(items >= 0, counts[items] / found.shape[0], 0))


def test_popularity_comes_back_from_its_arrays() -> None:
    """They are all there is to it."""
    found = taken_by(40, 20)
    model = Popularity.fit(found, {}, 0)
    again = Popularity.from_arrays(model.arrays(), {})
    for theirs, ours in zip(model.top(None, found, 5, found), again.top(None, found, 5, found), strict=True):
        assert (theirs == ours).all()

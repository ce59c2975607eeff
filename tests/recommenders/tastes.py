"""Histories to learn from: users of some tastes, among items some of which everybody takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from ostinato.recommenders.histories import of_rows
from ostinato.recommenders.ids import Ids


def taken_by(user_count: int = 300, item_count: int = 120, seed: int = 5, most: int = 25) -> Any:
    """Histories in which a user of one of five tastes takes from 1 to `most` items, mostly of that taste."""
    random = np.random.default_rng(seed)
    liked = random.gamma(0.4, 1, item_count) + 1e-3
    taste_of_item = random.integers(0, 5, item_count)
    lists = []
    for taste in random.integers(0, 5, user_count):
        chance = liked * np.where(taste_of_item == taste, 8, 1)
        count = min(int(random.integers(1, most + 1)), item_count)
        lists.append(random.choice(item_count, count, replace=False, p=chance / chance.sum()))
    return of_rows(lists, item_count)


def numbered(count: int, first: int = 0) -> Ids:
    """Ids that are numbers, and other numbers than the places unless `first` is 0."""
    return Ids(pa.array(range(first, first + count), pa.int64()))


def named(count: int, prefix: str) -> Ids:
    """Ids that are text."""
    return Ids(pa.array([f"{prefix}{place:05}" for place in range(count)], pa.string()))


def lists_of(histories: Any) -> list[list[int]]:
    """The items of each row."""
    ends = histories.indptr
    return [histories.indices[ends[row] : ends[row + 1]].tolist() for row in range(histories.shape[0])]


def kept(items: Any) -> list[list[int]]:
    """Lists of places without the empty ones at their ends."""
    return [[int(item) for item in row if item >= 0] for row in items]


@st.composite
def few_histories(draw: st.DrawFn, most_items: int = 12) -> Any:
    """A small matrix: some users with nothing, some items of nobody."""
    count = draw(st.integers(1, most_items))
    lists = draw(st.lists(st.lists(st.integers(0, count - 1), max_size=15), min_size=1, max_size=8))
    return of_rows([np.array(each, np.int32) for each in lists], count)

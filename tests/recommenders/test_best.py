"""The best few of each row, against sorting all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostinato.recommenders.best import best_of


def sorted_best(scores: Any, k: int) -> tuple[list[list[int]], list[list[float]]]:
    """The same by sorting: largest first, of equals the lower place, -1 and 0 where there is nothing."""
    items, values = [], []
    for row in scores:
        order = [place for place in sorted(range(len(row)), key=lambda at: -row[at]) if row[place] > -np.inf][:k]
        items.append(order + [-1] * (k - len(order)))
        values.append([float(np.float32(row[place])) for place in order] + [0.0] * (k - len(order)))
    return items, values


@given(
    rows=st.integers(0, 4),
    width=st.integers(0, 70) | st.sampled_from([127, 128, 129, 640, 703, 704, 705, 1000]),
    k=st.integers(1, 12) | st.sampled_from([63, 64, 65, 1200]),
    distinct=st.sampled_from([1, 2, 5, 10**6]),
    missing=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    kind=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
@example(rows=2, width=704, k=10, distinct=2, missing=0.0, kind=np.float32, seed=0)  # a chunk more than k
@example(rows=2, width=640, k=10, distinct=2, missing=0.0, kind=np.float32, seed=0)  # as many chunks as k
@example(rows=2, width=5, k=10, distinct=5, missing=0.0, kind=np.float32, seed=0)  # fewer places than k
def test_the_best_are_those_of_sorting(
    rows: int, width: int, k: int, distinct: int, missing: float, kind: Any, seed: int
) -> None:
    """Whatever the width, the ties and what is left out."""
    random = np.random.default_rng(seed)
    scores = (random.integers(-distinct, distinct, (rows, width)) / 3).astype(kind)
    scores[random.random((rows, width)) < missing] = -np.inf
    items, values = best_of(scores, k)
    assert (items.dtype, values.dtype) == (np.int32, np.float32)
    assert (items.tolist(), values.tolist()) == sorted_best(scores, k)


@pytest.mark.parametrize("at", [0, 63, 64, 703, 704, 749])
def test_a_single_best_is_found_wherever_it_is(at: int) -> None:
    """In the last places too, which fill no chunk."""
    scores = np.zeros((1, 750), np.float32)
    scores[0, at] = 1
    items, values = best_of(scores, 2)
    assert items.tolist() == [[at, 0 if at else 1]]
    assert values.tolist() == [[1, 0]]


def test_the_scores_are_left_as_they_were() -> None:
    """They are looked at only."""
    scores = np.random.default_rng(0).random((3, 2000))
    before = scores.copy()
    best_of(scores, 5)
    assert (scores == before).all()

"""Every row is in one slice, and slices are called what people call them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.steps import slices


def cut(values: Any, kind: Any = None) -> dict[str, int]:
    """Names of the slices and how many rows each has."""
    return {name: len(rows) for name, rows in slices.slices(pa.table({"x": pa.array(values, kind)}), "x")}


@given(
    st.one_of(
        st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1),
        st.lists(st.one_of(st.none(), st.integers(-50, 50)), min_size=1),
        st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), min_size=1),
        st.lists(st.one_of(st.none(), st.booleans()), min_size=1),
    )
)
def test_every_row_is_in_exactly_one_slice(values: list[Any]) -> None:
    """Missing ones and infinite ones too; no slice is empty."""
    kind = pa.string() if all(value is None for value in values) else None
    found = slices.slices(pa.table({"x": pa.array(values, kind)}), "x")
    assert sorted(np.concatenate([rows for _, rows in found])) == list(range(len(values)))
    assert all(len(rows) for _, rows in found)
    assert len(found) <= slices.MOST_VALUES + 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["GB", "DE", "GB", None], {"DE": 1, "GB": 2, "missing": 1}),
        ([True, False, True, None], {"false": 1, "true": 2, "missing": 1}),
        ([3, 1, 3], {"1": 1, "3": 2}),
        ([0.5, float("nan"), 0.5], {"0.5": 2, "missing": 1}),
        ([datetime(2026, 1, 2, 3), datetime(2026, 1, 2, 4), datetime(2026, 1, 1)], {"2026-01-01": 1, "2026-01-02": 2}),
        ([None, None], {"missing": 2}),
        ([], {}),
    ],
)
def test_few_values_are_slices_by_name(values: list[Any], expected: dict[str, int]) -> None:
    """In their order; a moment counts as its day."""
    assert list(cut(values).items()) == list(expected.items())


def test_many_numbers_are_cut_at_their_quartiles() -> None:
    """An edge belongs to the slice below it."""
    found = cut([*range(1, 101), None])
    expected = {"up to 25": 25, "above 25, up to 50": 25, "above 50, up to 75": 25, "above 75": 25, "missing": 1}
    assert found == expected


def test_many_equal_numbers_make_fewer_slices() -> None:
    """Where half of them are zero the lowest two quartiles are one."""
    found = cut([0] * 60 + list(range(1, 41)))
    assert found == {"up to 0": 60, "above 0, up to 15": 15, "above 15": 25}


def test_of_many_words_the_most_frequent_are_slices_and_the_rest_is_one() -> None:
    """Equally frequent ones count in their order."""
    words = [f"w{number:02}" for number in range(30)] + ["w29", "w28"]
    found = cut(words)
    assert len(found) == 21
    assert (found["w29"], found["w28"], found["w00"]) == (2, 2, 1)
    assert found["all others"] == 10


def test_a_long_word_is_cut() -> None:
    """A name of a check has an end."""
    assert list(cut(["x" * 500])) == ["x" * 59 + "…"]

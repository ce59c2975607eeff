"""Ids and their places: whatever people call their users and items."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.recommenders.ids import UNKNOWN, Ids

LEAST, MOST = -(2**63), 2**63 - 1
HOSTILE = [
    "",
    " ",
    "\0",
    "a\0b",
    "x" * 100_000,
    "🙈",
    "e\u0301",
    "é",
    "\u202eדג\u202c",
    "'; DROP TABLE users; --",
    '"',
    "<script>alert(1)</script>",
    "None",
    "nan",
    "-1",
    "a\nb",
]

texts = st.text(st.characters(exclude_categories=["Cs"]))


def ids(values: list[Any]) -> Ids:
    return Ids.of(pa.array(values))


def test_ids_are_the_distinct_values_in_their_order() -> None:
    """Missing ones are none."""
    assert ids([30, 7, None, 30, -2]).values.to_pylist() == [-2, 7, 30]
    assert ids(["b", None, "a", "b", ""]).values.to_pylist() == ["", "a", "b"]


def test_ids_in_several_chunks_and_of_a_narrow_type_are_ids_too() -> None:
    """As a scan gives them."""
    found = Ids.of(pa.chunked_array([pa.array([3, 1], pa.int16()), pa.array([2, 3], pa.int16())]))
    assert found.numbers
    assert found.values.to_pylist() == [1, 2, 3]


def test_only_whole_numbers_are_numbers() -> None:
    """Everything else is text."""
    assert ids([1]).numbers
    assert not ids(["1"]).numbers


def test_the_place_of_an_id_is_its_rank_and_of_an_unknown_one_minus_one() -> None:
    """From 0 on."""
    known = ids([10, 20, 30])
    assert known.places([30, 10, 15]).tolist() == [2, 0, UNKNOWN]
    assert known.places([]).tolist() == []
    assert known.places([30]).dtype == np.int32


def test_numbers_may_be_given_as_text_and_text_as_numbers() -> None:
    """What is written alike is the same."""
    assert ids([7, 12]).places(["12", "7", "8"]).tolist() == [1, 0, UNKNOWN]
    assert ids(["12", "7", "a"]).places([7, 12, 8]).tolist() == [1, 0, UNKNOWN]


@pytest.mark.parametrize(
    "other", ["007", "7.0", "+7", " 7", "7 ", "7\n", "٧", "-0", "1e3", "0x7", "1_000", "seven", ""]
)
def test_what_is_written_otherwise_than_a_number_is_no_number(other: str) -> None:
    """An article "007" is not article 7."""
    assert ids([0, 7, 1000]).places([other]).tolist() == [UNKNOWN]


def test_a_whole_float_is_a_whole_number() -> None:
    """So pandas gives a column of numbers with a gap."""
    given = pd.Series([7, None, 12]).tolist()
    assert isinstance(given[0], float)
    assert ids([7, 12]).places(given).tolist() == [0, UNKNOWN, 1]
    assert ids(["7", "12"]).places(given).tolist() == [1, UNKNOWN, 0]
    assert ids([7, 10**15]).places(pa.array([7.0, None, 1e15])).tolist() == [0, UNKNOWN, 1]
    assert ids([7, 12]).places(list(np.array([12, 7], np.float32))).tolist() == [1, 0]


@pytest.mark.parametrize("broken", [7.5, math.inf, -math.inf, math.nan, 1e300, -1e19])
def test_a_float_that_is_no_id_is_unknown(broken: float) -> None:
    """And those beside it are known all the same."""
    assert ids([7]).places([broken, 7]).tolist() == [UNKNOWN, 0]


@pytest.mark.parametrize("nothing", [None, math.nan, np.nan, pd.NA, pd.NaT, np.float32("nan")])
def test_what_is_missing_is_unknown(nothing: Any) -> None:
    """Even where ids are called like it."""
    assert ids([7]).places([nothing, 7]).tolist() == [UNKNOWN, 0]
    assert ids(["None", "nan", "<NA>", "NaT", "7"]).places([nothing, "7"]).tolist() == [UNKNOWN, 0]


def test_a_list_of_several_types_is_looked_up_one_by_one() -> None:
    """A number beside text is the number it was."""
    mixed = [7, "7", 7.0, np.int64(7), Decimal(7), True, None, "a", ["7"], b"7"]
    where = [0, 0, 0, 0, 0, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]
    assert ids([7]).places(mixed).tolist() == where
    assert ids(["7", "True"]).places(mixed).tolist() == [0, 0, 0, 0, 0, 1, *where[6:]]


@pytest.mark.parametrize("beside", [None, "a", 2**64, 0.5])
@pytest.mark.parametrize("number", [LEAST, MOST, 10**18, 1_700_000_000_123_456_789, -(10**18)])
def test_a_long_number_is_found_whatever_is_beside_it(number: int, beside: Any) -> None:
    """Nineteen digits are usual, and no float ever comes between."""
    known = ids([number, 5])
    place = known.values.to_pylist().index(number)
    assert known.places([number, beside]).tolist() == [place, UNKNOWN]
    assert known.places([str(number), beside]).tolist() == [place, UNKNOWN]


@pytest.mark.parametrize("number", [MOST + 1, LEAST - 1, 2**64 + 5, 2**64 - 1, 9_999_999_999_999_999_999, 10**40])
def test_a_number_too_long_for_64_bits_is_unknown(number: int) -> None:
    """And is not taken for what it would be modulo 2**64."""
    known = ids([LEAST, -1, 5, MOST])
    assert known.places([number]).tolist() == [UNKNOWN]
    assert known.places([str(number), "5"]).tolist() == [UNKNOWN, 2]


def test_hostile_text_has_its_place_like_any_other() -> None:
    """Nothing is trimmed, folded, normalised or run."""
    known = ids(HOSTILE)
    assert len(known) == len(HOSTILE)
    assert known.at(known.places(HOSTILE)).to_pylist() == HOSTILE


@pytest.mark.parametrize("known", [[7], ["7", "?", "\\ud800"]])
def test_half_a_surrogate_pair_is_unknown(known: list[Any]) -> None:
    """JSON can carry one, and no file of text can."""
    assert ids(known).places(["\ud800", "7"]).tolist() == [UNKNOWN, 0]


@pytest.mark.parametrize("kind", [pa.int32(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_ids_may_be_given_as_arrow_of_any_type(kind: Any) -> None:
    """And in chunks."""
    given = pa.array([12, None, 7, 8], pa.int32()).cast(pa.int32() if kind == pa.int32() else pa.string()).cast(kind)
    for known, places in ((ids([7, 12]), [1, UNKNOWN, 0, UNKNOWN]), (ids(["12", "7"]), [0, UNKNOWN, 1, UNKNOWN])):
        assert known.places(given).tolist() == places
        assert known.places(pa.chunked_array([given, given])).tolist() == places * 2


@given(st.lists(st.integers(LEAST, MOST)) | st.lists(texts), st.data())
def test_places_are_those_of_a_dictionary(values: list[Any], data: st.DataObject) -> None:
    """Over whatever numbers or text."""
    known = Ids.of(pa.array(values, pa.int64() if values and isinstance(values[0], int) else pa.string()))
    place = {value: at for at, value in enumerate(known.values.to_pylist())}
    asked = data.draw(st.lists(st.sampled_from([*values, None]) if values else st.none()))
    assert known.places(asked).tolist() == [place.get(value, UNKNOWN) for value in asked]
    assert known.places([None if value is None else str(value) for value in asked]).tolist() == [
        place.get(value, UNKNOWN) for value in asked
    ]


@given(st.lists(st.integers(LEAST, MOST) | texts | st.none() | st.floats() | st.booleans()))
def test_the_place_of_an_id_does_not_hang_on_what_else_is_asked(asked: list[Any]) -> None:
    """A batch is looked up as each of its rows alone."""
    for known in (ids([LEAST, -1, 0, 1, 2, MOST]), ids(["", "0", "1", "True", "a", str(MOST)])):
        assert known.places(asked).tolist() == [int(known.places([one])[0]) for one in asked]


def test_the_ids_at_places_are_given_back_and_nothing_at_minus_one() -> None:
    """Null, that is."""
    assert ids(["a", "b"]).at(np.array([1, -1, 0], np.int32)).to_pylist() == ["b", None, "a"]
    assert ids([5]).at(np.array([], np.int32)).to_pylist() == []


@given(st.lists(st.integers(LEAST, MOST)) | st.lists(texts), st.booleans())
def test_ids_come_back_from_arrays(values: list[Any], as_text: bool) -> None:
    """All of them, in their order and of their type."""
    kind = pa.string() if as_text or (values and isinstance(values[0], str)) else pa.int64()
    known = Ids.of(pa.array([str(value) for value in values] if kind == pa.string() else values, kind))
    again = Ids.from_arrays(known.arrays())
    assert again.values.equals(known.values)
    assert again.numbers is known.numbers


def test_arrays_of_ids_hold_no_objects(tmp_path: Path) -> None:
    """A file of them can be read without trusting it."""
    for known in (ids(HOSTILE), ids([1, 2]), Ids.of(pa.array([], pa.string())), Ids.of(pa.array([], pa.int64()))):
        np.savez(tmp_path / "ids.npz", **known.arrays())
        with np.load(tmp_path / "ids.npz", allow_pickle=False) as read:
            assert Ids.from_arrays(dict(read)).values.equals(known.values)

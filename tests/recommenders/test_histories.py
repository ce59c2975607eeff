"""Who took what, as a table and as a matrix."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.recommenders.histories import blocks, histories, ids_of, matrix, of_rows, row_marks
from ostinato.recommenders.ids import Ids
from recommenders.tastes import few_histories, lists_of, numbered, taken_by

small = st.integers(0, 6)
names = st.sampled_from(["", "a", "b", "A", "'", '"', "7", "007", "é", "🙈"])


def table_of(rows: list[tuple[Any, Any]], user: Any, item: Any) -> duckdb.DuckDBPyConnection:
    """A connection with a table `taken`."""
    connection = duckdb.connect()
    columns = {
        "user": pa.array([row[0] for row in rows], user),
        "item": pa.array([row[1] for row in rows], item),
    }
    connection.register("taken", pa.table(columns))
    return connection


@settings(max_examples=40)  # a connection each
@given(
    st.lists(st.tuples(small, names)) | st.lists(st.tuples(small | st.none(), names | st.none())),
    st.sets(small),
    st.sets(names),
)
def test_a_table_becomes_a_matrix_of_the_pairs_among_the_ids(
    rows: list[tuple[Any, Any]], users: set[int], items: set[str]
) -> None:
    """Each pair once, however often it happened; who and what is unknown or missing is left out."""
    known = Ids.of(pa.array(sorted(users), pa.int64())), Ids.of(pa.array(sorted(items), pa.string()))
    with table_of(rows, pa.int64(), pa.string()) as connection:
        found = histories(connection, "taken", *known)
    expected: dict[int, set[str]] = {user: set() for user in users}
    for user, item in rows:
        if user in users and item in items:
            expected[user].add(item)
    assert found.shape == (len(users), len(items))
    names_of_items = known[1].values.to_pylist()
    read = [{names_of_items[place] for place in row} for row in lists_of(found)]
    assert dict(zip(known[0].values.to_pylist(), read, strict=True)) == expected
    assert found.has_canonical_format
    assert (found.data == 1).all()
    assert found.dtype == np.float32


def test_ids_are_read_from_a_column_of_any_name() -> None:
    """Missing ones are left out."""
    with duckdb.connect() as connection:
        connection.execute(
            """CREATE TABLE t AS SELECT * FROM (VALUES ('b'), ('a'), ('b'), (NULL)) AS v("a ""b"", --")"""
        )
        assert ids_of(connection, "t", 'a "b", --').values.to_pylist() == ["a", "b"]


def test_a_part_of_a_table_is_read_by_a_query_in_brackets() -> None:
    """What is selected from may be anything."""
    with table_of([(1, 1), (2, 2), (3, 3)], pa.int64(), pa.int64()) as connection:
        assert ids_of(connection, "(FROM taken WHERE user > 1)", "user").values.to_pylist() == [2, 3]
        found = histories(connection, "(FROM taken WHERE user > 1)", numbered(4), numbered(4))
    assert lists_of(found) == [[], [], [2], [3]]


def test_a_table_of_text_is_compared_with_ids_that_are_numbers_as_it_is_written() -> None:
    """Yesterday's ids were numbers, and today's table has one that is none."""
    with table_of([("1", "1"), ("x", "1"), ("1", "002"), ("1", "2")], pa.string(), pa.string()) as connection:
        found = histories(connection, "taken", numbered(3), numbered(3))
    assert lists_of(found) == [[], [1, 2], []]


def test_a_table_of_numbers_is_compared_with_ids_that_are_text_as_it_is_written() -> None:
    """And the other way round."""
    texts = Ids.of(pa.array(["1", "02", "x"]))
    with table_of([(1, 2), (2, 1)], pa.int64(), pa.int32()) as connection:
        found = histories(connection, "taken", texts, texts)
    assert found.nnz == 0
    with table_of([(1, 1)], pa.int64(), pa.int32()) as connection:
        assert lists_of(histories(connection, "taken", texts, texts)) == [[], [1], []]


def test_reading_leaves_no_table_behind() -> None:
    """The connection is as it was."""
    with table_of([(1, 1)], pa.int64(), pa.int64()) as connection:
        before = connection.execute("SELECT view_name FROM duckdb_views() ORDER BY 1").fetchall()
        histories(connection, "taken", numbered(2), numbered(2))
        assert connection.execute("SELECT view_name FROM duckdb_views() ORDER BY 1").fetchall() == before


def test_pairs_of_places_become_a_matrix_of_ones() -> None:
    """In whatever order they come."""
    found = matrix(np.array([1, 0, 1]), np.array([2, 1, 0]), 2, 3)
    assert found.toarray().tolist() == [[0, 1, 0], [1, 0, 1]]
    assert found.indices.tolist() == [1, 0, 2]


@given(st.lists(st.lists(st.integers(-1, 9))), st.sampled_from([np.int32, np.int64]))
def test_lists_of_places_become_rows_without_the_unknown_and_the_repeated(lists: list[list[int]], kind: Any) -> None:
    """An empty list is an empty row."""
    found = of_rows([np.array(each, kind) for each in lists], 10)
    assert found.shape == (len(lists), 10)
    assert lists_of(found) == [sorted(set(each) - {-1}) for each in lists]
    assert (found.data == 1).all()


def test_rows_over_no_items_are_empty() -> None:
    """Nothing can be known where there is nothing."""
    assert of_rows([np.array([-1]), np.array([], np.int32)], 0).shape == (2, 0)


@given(st.integers(0, 5000), st.integers(0, 10**8))
def test_blocks_cover_every_row_once_and_are_small(rows: int, width: int) -> None:
    """At most 1,024 rows and 32 MB of float32, but one row at least."""
    found = list(blocks(rows, width))
    assert [row for each in found for row in range(each.start, each.stop)] == list(range(rows))
    assert all(each.stop - each.start <= 1024 for each in found)
    assert all((each.stop - each.start) * width * 4 <= 32 << 20 or each.stop - each.start == 1 for each in found)


@given(few_histories())
def test_rows_have_the_same_mark_exactly_if_they_have_the_same_items(found: Any) -> None:
    """So that a history is recognised without being compared."""
    marks, lists = row_marks(found).tolist(), lists_of(found)
    for mark, row in zip(marks, lists, strict=True):
        assert [other == mark for other in marks] == [other == row for other in lists]


def test_the_mark_of_a_row_hangs_on_its_own_items_only() -> None:
    """Wherever it stands, and among whichever rows."""
    found = taken_by(50)
    order = np.random.default_rng(1).permutation(50)
    assert (row_marks(found[order]) == row_marks(found)[order]).all()
    assert row_marks(found[7])[0] == row_marks(found)[7]
    assert row_marks(found[:0]).tolist() == []


def test_rows_that_are_alike_in_count_and_sum_have_marks_of_their_own() -> None:
    """A million pairs of items, of a catalogue of 20,000, that add up to few sums."""
    first, total = (each.ravel() for each in np.meshgrid(np.arange(9_000), np.arange(18_500, 19_500, 9)))
    rows = np.arange(len(first))
    found = matrix(np.repeat(rows, 2), np.stack([first, total - first], axis=1).ravel(), len(rows), 20_000)
    assert len(rows) > 1_000_000 - 10_000
    assert len(np.unique(row_marks(found))) == len(rows)

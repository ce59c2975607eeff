"""Strangers' logs become interactions, and are split into what is learnt from and what is judged on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import DataError, ParameterError
from ostinato.steps.interaction_tables import InteractionColumns, interactions, split_interactions
from ostinato.tables import Dataset, quote
from steps.tastes import AS_OF, here, said, saved, selected, tastes

NAMES = InteractionColumns()
RATED = InteractionColumns(weight="rating")


def taken(data: Dataset, **options: Any) -> list[tuple[Any, ...]]:
    """The interactions of a table, in order."""
    with here("interactions"):
        found = interactions(data, **options)
    assert list(found.schema) == ["user", "item", "time"]
    assert found.schema["time"] == "TIMESTAMP"
    return [tuple(row.values()) for row in found.to_arrow(order_by=["user", "item", "time"]).to_pylist()]


def of_ids(kind: str, *values: Any) -> Dataset:
    """A table whose users have ids of a type of DuckDB's, written as SQL."""
    listed = ", ".join(f"({value}::{kind})" for value in values)
    return selected(
        f"SELECT id AS user_id, 'i' AS item_id, TIMESTAMP '2026-01-01' AS ts FROM (VALUES {listed}) AS t(id)"
    )


def users_of(data: Dataset) -> list[Any]:
    return [user for user, _, _ in taken(data)]


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", "TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT".split())
def test_whole_numbers_of_any_width_stay_numbers(kind: str) -> None:
    """So that 7 of one table is 7 of another, however it was stored."""
    assert users_of(of_ids(kind, 7, 120)) == [7, 120]


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "DECIMAL(9,2)"])
def test_whole_numbers_with_a_decimal_point_are_whole_numbers(kind: str) -> None:
    """Tools that know no missing integers write them so."""
    assert users_of(of_ids(kind, 7, 120, "NULL")) == [7, 120]


def test_numbers_beyond_sixty_four_bits_become_text_without_losing_a_digit() -> None:
    """All of the column do, so that they are of one kind."""
    large = 2**64 - 1
    assert users_of(of_ids("UBIGINT", 7, large)) == [str(large), "7"]
    assert users_of(of_ids("DECIMAL(38,1)", 7, 10**30)) == [str(10**30), "7"]


@pytest.mark.parametrize(("kind", "value"), [("DOUBLE", "'nan'"), ("FLOAT", "'nan'")])
def test_an_id_that_is_no_number_is_missing(kind: str, value: str) -> None:
    """That is how a missing id gets into a column of doubles."""
    assert users_of(of_ids(kind, 7, value)) == [7]
    assert "1 of 2 rows do not count: no user, item or time" in said()


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("VARCHAR", ["'007'", "''", "'Zoë \"x\"'"], ["", "007", 'Zoë "x"']),
        ("UUID", ["'6F9619FF-8B86-D011-B42D-00CF4FC964FF'"], ["6f9619ff-8b86-d011-b42d-00cf4fc964ff"]),
        ("ENUM('new', 'o''ld]')", ["'o''ld]'", "'new'"], ["new", "o'ld]"]),
    ],
)
def test_text_of_any_kind_stays_as_it_is_written(kind: str, values: list[str], text: list[str]) -> None:
    """Leading zeros, the empty text and quotes among it."""
    assert users_of(of_ids(kind, *values)) == text


def test_categories_of_pandas_are_text() -> None:
    """They are written as such."""
    data = pd.DataFrame({"user_id": pd.Categorical(["b", "a"]), "item_id": [1, 2], "ts": [AS_OF, AS_OF]})
    assert users_of(saved(data)) == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("DOUBLE", "1.5", "1 of the ids in 'user_id' of .* DOUBLE to hold exactly, such as 1.5: ids are whole numbers"),
        ("DOUBLE", "'inf'", "such as inf"),
        ("DOUBLE", "9007199254740994", "too large for DOUBLE to hold exactly, such as 9007199254740994"),
        ("FLOAT", "16777218", "too large for FLOAT"),
        ("DECIMAL(4,2)", "1.25", "such as 1.25"),
        ("BOOLEAN", "true", "'user_id' of .* is BOOLEAN: ids are whole numbers or text"),
        ("INTEGER[]", "[1]", r"is INTEGER\[\]: ids"),
        ("VARCHAR[]", "['a']", r"is VARCHAR\[\]: ids"),
        ("DATE", "'2026-01-01'", "is DATE: ids"),
        ("BLOB", "'a'", "is BLOB: ids"),
    ],
)
def test_what_can_be_no_id_is_refused_with_an_example(kind: str, value: str, shown: str) -> None:
    """The column, its type, and what ids are."""
    with pytest.raises(DataError, match=shown):
        taken(of_ids(kind, value))


# --- columns --------------------------------------------------------------------------------------------------------

HOSTILE = ['the "user"', "user", "select", "it's; --", "time", "item", " ", "Zoë", "item_id", "as_of", "{user}", "a\nb"]


@settings(max_examples=15)  # each writes tables
@given(st.permutations(HOSTILE), st.integers(0, 4))
def test_columns_may_be_called_anything(names: list[str], others: int) -> None:
    """Even what the result calls its own, with other columns of such names beside them."""
    user, item, time, weight, *more = names
    # what others have is missing, as a name that is taken for another's would show
    columns = {user: "1", item: "'i'", time: "TIMESTAMP '2026-01-01'", weight: "5"} | dict.fromkeys(
        more[:others], "NULL::INTEGER"
    )
    listed = ", ".join(f"{value} AS {quote(name)}" for name, value in columns.items())
    named = InteractionColumns(user=user, item=item, time=time, weight=weight)
    assert taken(selected(f"SELECT {listed}"), columns=named, positive_from=5) == [(1, "i", datetime(2026, 1, 1))]


def test_a_missing_column_is_named_with_the_nearest() -> None:
    """Of the weights, too."""
    data = selected("SELECT 1 AS usr_id, 2 AS item_id, TIMESTAMP '2026-01-01' AS ts")
    with pytest.raises(DataError, match=r"has no column 'user_id'\. Did you mean 'usr_id'"):
        taken(data)
    with pytest.raises(DataError, match="has no column 'rating'"):
        taken(data, columns=InteractionColumns(user="usr_id", weight="rating"))


def test_one_column_cannot_be_two_things() -> None:
    """Which is a slip nobody would find in the results."""
    named = InteractionColumns(user="item_id")
    with pytest.raises(ParameterError, match=r"three columns: not columns\.user='item_id', columns\.item='item_id'"):
        taken(of_ids("INTEGER", 1), columns=named)


def test_a_time_that_is_none_is_refused() -> None:
    """`load` makes times of what can be read as one."""
    data = selected("SELECT 1 AS user_id, 2 AS item_id, 'yesterday' AS ts")
    with pytest.raises(DataError, match=r"'ts' of .* is VARCHAR, no time: load it with time="):
        taken(data)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("DATE '2026-01-02'", datetime(2026, 1, 2)),
        ("TIMESTAMPTZ '2026-01-02 01:00:00+02:00'", datetime(2026, 1, 1, 23)),
    ],
)
def test_dates_and_zoned_times_become_utc(time: str, expected: datetime) -> None:
    """A date is its first moment."""
    data = selected(f"SELECT 1 AS user_id, 2 AS item_id, {time} AS ts")
    assert taken(data) == [(1, 2, expected)]


# --- what counts ----------------------------------------------------------------------------------------------------


def rated(kind: str = "DOUBLE", *weights: str) -> Dataset:
    """A user for each weight."""
    listed = ", ".join(f"({user}, {weight}::{kind})" for user, weight in enumerate(weights))
    moment = "TIMESTAMP '2026-01-01'"
    return selected(f"SELECT u AS user_id, 1 AS item_id, {moment} AS ts, w AS rating FROM (VALUES {listed}) AS t(u, w)")


@pytest.mark.parametrize("kind", ["TINYINT", "BIGINT", "UINTEGER", "FLOAT", "DOUBLE", "DECIMAL(6,2)"])
def test_an_interaction_counts_from_a_weight_on(kind: str) -> None:
    """The weight itself included; a missing one does not count, and all that is said."""
    data = rated(kind, "5", "4", "3", "NULL", "0")
    assert [user for user, *_ in taken(data, columns=RATED, positive_from=4)] == [0, 1]
    assert "3 of 5 rows do not count: rating below 4 or missing, or no user, item or time" in said()
    assert "2 interactions" in said()


def test_a_weight_that_is_no_number_does_not_count() -> None:
    """SQL would take NaN for the largest of all."""
    assert [user for user, *_ in taken(rated("DOUBLE", "'nan'", "'inf'", "4"), columns=RATED, positive_from=4)] == [
        1,
        2,
    ]


def test_without_a_least_weight_all_count() -> None:
    """Whether the weights are named or not, and whatever they are."""
    data = rated("VARCHAR", "'good'", "NULL")
    assert len(taken(data)) == len(taken(data, columns=RATED)) == 2
    assert "do not count" not in said()


@pytest.mark.parametrize("kind", ["VARCHAR", "BOOLEAN", "INTEGER[]"])
def test_weights_that_are_no_numbers_are_refused(kind: str) -> None:
    """With their type."""
    data = rated(kind, "[1]" if kind.endswith("]") else "'1'")
    with pytest.raises(DataError, match=r"The weights in 'rating' of .* are .*, not numbers"):
        taken(data, columns=RATED, positive_from=1)


@pytest.mark.parametrize(
    ("columns", "least", "sentence"),
    [
        (NAMES, 4.0, "positive_from=4 needs the column of weights: give columns.weight"),
        (RATED, float("nan"), "positive_from=nan is no weight"),
        (RATED, float("inf"), "positive_from=inf is no weight"),
    ],
)
def test_a_least_weight_must_be_one(columns: InteractionColumns, least: float, sentence: str) -> None:
    """And needs weights."""
    with pytest.raises(ParameterError, match=sentence):
        taken(rated("DOUBLE", "4"), columns=columns, positive_from=least)


def test_where_nothing_counts_the_reason_is_in_words() -> None:
    """Not in SQL."""
    sentence = r"^None of the 2 rows of file://\S+ is an interaction that counts: rating below 4 or missing, or no user"
    with pytest.raises(DataError, match=sentence):
        taken(rated("DOUBLE", "1", "2"), columns=RATED, positive_from=4)


def test_rows_without_a_user_an_item_or_a_time_are_left_out_and_counted() -> None:
    """They would be nobody's."""
    moment = "TIMESTAMP '2026-01-01'"
    rows = f"(1, 2, {moment}), (NULL, 2, {moment}), (1, NULL, {moment}), (1, 2, NULL)"
    data = selected(f"FROM (VALUES {rows}) AS t(user_id, item_id, ts)")
    assert len(taken(data)) == 1
    assert "3 of 4 rows do not count" in said()


# --- the temporal split ---------------------------------------------------------------------------------------------


def at(days: Iterable[float]) -> Dataset:
    """An interaction so many days before 1 March, by a user of that number of hours."""
    moments = [AS_OF.replace(tzinfo=None) - timedelta(days=day) for day in days]
    return saved(pd.DataFrame({"user": [round(day * 24) for day in days], "item": 1, "time": moments}))


def halves(data: Dataset, as_of: datetime | None = AS_OF, **options: Any) -> tuple[Dataset, Dataset]:
    with here("split", as_of=as_of):
        return split_interactions(data, **options)


def refused(data: Dataset, **options: Any) -> str:
    """What is said of a table that cannot be split."""
    with pytest.raises(DataError) as raised:
        halves(data, **options)
    return str(raised.value)


def days_of(data: Dataset) -> list[float]:
    return [hours / 24 for hours in data.to_arrow(order_by=["user"])["user"].to_pylist()]


def test_the_last_days_are_the_test_and_a_moment_belongs_to_what_begins_there() -> None:
    """What is at the moment the run stands for, or after, is in neither."""
    data = at([-1, 0, 0.5, 7, 7.5, 17, 17.5])
    train, test = halves(data, test_days=7)
    assert (days_of(train), days_of(test)) == ([7.5, 17, 17.5], [0.5, 7])
    train, test = halves(data, test_days=7, train_days=10)
    assert (days_of(train), days_of(test)) == ([7.5, 17], [0.5, 7])
    assert "split into 2 interactions to learn from and 2 to judge on" in said()
    assert train.facts["time"]["until"] == "2026-02-21 12:00:00"


def test_a_temporal_split_copies_nothing() -> None:
    """The halves are parts of one file."""
    data = at([1, 10])
    train, test = halves(data)
    assert train.uri == test.uri == data.uri


def test_a_half_without_rows_names_the_dates_and_what_to_change() -> None:
    """Both of them, whether training has a beginning or not."""
    old = refused(at([30, 40]))
    assert "nothing to judge on: the test is from 2026-02-22 until 2026-03-01" in old
    assert "the 2 interactions are from 2026-01-20 00:00:00 to 2026-01-30 00:00:00" in old
    new = refused(at([1, 2]), test_days=3)
    assert "nothing to learn from: the test is from 2026-02-26 until 2026-03-01" in new
    gap = refused(at([1, 40]), train_days=10)
    assert "nothing to learn from: the test is from 2026-02-22 until 2026-03-01, training on the 10 days before" in gap
    for message in (old, new, gap):
        assert message.endswith("Choose another --as-of, test_days or train_days, or split=random.")


# --- the random split -----------------------------------------------------------------------------------------------


def pairs(data: Dataset) -> set[tuple[Any, Any]]:
    return {(row["user"], row["item"]) for row in data.to_arrow().to_pylist()}


def test_a_random_split_has_about_the_share_asked_for_and_every_row_once() -> None:
    """A pair that is there more than once is on one side."""
    table = tastes()
    train, test = halves(saved(table), split="random", test_share=0.25)
    assert train.rows + test.rows == len(table)
    assert not pairs(train) & pairs(test)
    assert len(pairs(test)) / len(pairs(train) | pairs(test)) == pytest.approx(0.25, abs=0.03)
    assert train.facts["time"]["column"] == "time"


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    """In any order of the rows."""
    table = tastes(2000)
    first = halves(saved(table), split="random", seed=3)
    again = halves(saved(table.sample(frac=1, random_state=1)), split="random", seed=3)
    other = halves(saved(table), split="random", seed=4)
    assert [half.digest for half in first] == [half.digest for half in again]
    share = len(pairs(first[1]) & pairs(other[1])) / len(pairs(first[1]))
    assert share == pytest.approx(0.25, abs=0.06)  # two draws know nothing of one another


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.floats(0.05, 0.9))
def test_a_pair_keeps_its_side_when_rows_are_added_later(seed: int, share: float) -> None:
    """So a champion of the same split has not seen what its successor is judged on."""
    early, late = tastes(300, users=20), tastes(300, users=30, seed=2)
    options: dict[str, Any] = {"split": "random", "seed": seed, "test_share": share}
    train, test = halves(saved(early), **options)
    later_train, later_test = halves(saved(pd.concat([early, late])), **options)
    assert pairs(train) <= pairs(later_train)
    assert pairs(test) <= pairs(later_test)


def test_ids_as_text_are_drawn_like_the_same_numbers() -> None:
    """The side hangs on what is written, and users and items are told apart."""
    table = tastes(500)
    words = table.assign(user=table.user.astype(str), item=table.item.astype(str))
    sides = [halves(saved(given), split="random")[1] for given in (table, words)]
    assert {(str(user), str(item)) for user, item in pairs(sides[0])} == pairs(sides[1])
    glued = saved(
        pd.DataFrame(
            {
                "user": ["1", "11"] * 300,
                "item": [f"1{n}" for n in range(300) for _ in "ab"],
                "time": AS_OF - timedelta(days=1),
            }
        )
    )
    assert len({user for user, _ in pairs(halves(glued, split="random")[1])}) == 2


def test_a_random_split_ends_where_the_run_stands_and_may_have_a_beginning() -> None:
    """What is later does not exist yet."""
    data = saved(tastes(1000))
    middle = AS_OF - timedelta(days=20)
    train, test = halves(data, middle, split="random", train_days=10)
    for half in (train, test):
        assert half.facts["time"]["from"] >= "2026-01-30"
        assert half.facts["time"]["until"] < "2026-02-09"


def test_a_random_half_without_rows_says_why() -> None:
    """With the dates there are."""
    one = saved(pd.DataFrame({"user": [1], "item": [1], "time": [AS_OF - timedelta(days=1)]}))
    few = refused(one, split="random")
    assert few.startswith("There is nothing to judge on with test_share=0.25 of what was before 2026-03-01")
    early = refused(one, as_of=AS_OF - timedelta(days=9), split="random", train_days=3)
    assert "nothing to learn from with test_share=0.25 of what was before 2026-02-20, of the 3 days before," in early
    assert "the 1 interactions are from 2026-02-28 00:00:00" in early


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"split": "tempral"}, "Unknown split='tempral'. Did you mean 'temporal'"),
        ({"split": "random", "test_share": 0}, "test_share=0 is no share above 0 and below 1"),
        ({"split": "random", "test_share": 1.0}, "test_share=1 is no share"),
        ({"test_share": float("nan")}, "test_share=nan is no share"),
        ({"test_days": 0}, "test_days=0 must be 1 or more"),
        ({"train_days": 0}, "train_days=0 must be 1 or more"),
        ({"split": "random", "train_days": -1}, "train_days=-1 must be 1 or more"),
        ({"as_of": None}, "--as-of DATE"),
    ],
)
def test_impossible_splits_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    """With what was given and what would do."""
    with pytest.raises(ParameterError, match=sentence):
        halves(at([1, 10]), **wrong)


def test_a_table_that_is_none_of_interactions_is_refused() -> None:
    """By the name of what is missing."""
    with pytest.raises(DataError, match="no column 'item'"):
        halves(selected("SELECT 1 AS user, TIMESTAMP '2026-02-01' AS time"))

"""Who took what, and when: a stranger's log as the interactions a recommender learns from and is judged on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from ostinato.context import current
from ostinato.errors import DataError, ParameterError, suggest
from ostinato.graph import step
from ostinato.tables import Dataset, duck, literal, quote, require_columns, timestamp

from .windows import time_windows

if TYPE_CHECKING:
    import duckdb

Split = Literal["temporal", "random"]
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FLOATS = {"FLOAT": 2**24, "DOUBLE": 2**53}  # up to where each whole number differs from the next
_NUMBERS = (*_WHOLE, *_FLOATS, "DECIMAL")
_TEXT = ("VARCHAR", "UUID", "ENUM")
_LEAST, _MOST = -(2**63), 2**63 - 1
_FINEST = 1 << 32  # steps of a draw


@dataclass(frozen=True)
class InteractionColumns:
    """What the columns of a table of interactions are called; `weight` tells how much a user liked an item."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "ts"
    weight: str | None = None


@step(retries=2)
def interactions(
    data: Dataset, *, columns: InteractionColumns = InteractionColumns(), positive_from: float | None = None
) -> Dataset:
    """Bring a table of any names and ids into the form recommenders read: `user`, `item`, `time`.

    Ids that are whole numbers stay numbers; all others become text. Rows without a user, an item or a time, and rows
    that do not count, are left out, and how many is said.

    Args:
        positive_from: the weight from which an interaction counts; all count by default.

    Raises:
        DataError: a missing column, ids, times or weights of no use, nothing that counts.
        ParameterError: `positive_from` without a column of weights, or no number; one column for two things.
    """
    _check(data, columns, positive_from)
    counts = _counts(data, columns, positive_from)
    with duck() as connection:
        table = data.sql(connection)
        user, item = (_id(connection, table, data, column) for column in (columns.user, columns.item))
        chosen = f"SELECT {user} AS user, {item} AS item, {quote(columns.time)}::TIMESTAMP AS time FROM {table}"
        # The names outside: inside, `time` would be a stranger's own column of that name.
        query = f"FROM ({chosen} WHERE {counts}) WHERE user IS NOT NULL AND item IS NOT NULL AND time IS NOT NULL"
        found = Dataset.save(connection, query, time="time")
    why = _why(columns, positive_from)
    if found.rows == 0:
        raise DataError(f"None of the {data.rows:,} rows of {data.uri} is an interaction that counts: {why}.")
    if left := data.rows - found.rows:
        current().log(f"{left:,} of {data.rows:,} rows do not count: {why}")
    current().log(f"{found.rows:,} interactions")
    return found


def _check(data: Dataset, columns: InteractionColumns, positive_from: float | None) -> None:
    """Refuse what cannot be used before anything is read."""
    named = {"user": columns.user, "item": columns.item, "time": columns.time}
    if len(set(named.values())) < len(named):
        listed = ", ".join(f"columns.{name}={column!r}" for name, column in named.items())
        raise ParameterError(f"A user, an item and a time are three columns: not {listed}.")
    require_columns(data.schema, [*named.values(), *([columns.weight] if columns.weight else [])], data.uri)
    if not (kind := data.schema[columns.time]).startswith(("TIMESTAMP", "DATE")):
        raise DataError(f"The column {columns.time!r} of {data.uri} is {kind}, no time: load it with time=….")
    if positive_from is None:
        return
    if columns.weight is None:
        raise ParameterError(f"positive_from={positive_from:g} needs the column of weights: give columns.weight, too.")
    if not math.isfinite(positive_from):
        raise ParameterError(f"positive_from={positive_from:g} is no weight from which anything could count.")


def _counts(data: Dataset, columns: InteractionColumns, positive_from: float | None) -> str:
    """The condition of rows that count."""
    if positive_from is None or columns.weight is None:
        return "true"
    kind = data.schema[columns.weight]
    if not _is(kind, _NUMBERS):
        raise DataError(f"The weights in {columns.weight!r} of {data.uri} are {kind}, not numbers.")
    weight = quote(columns.weight)
    return f"({weight} >= {literal(float(positive_from))} AND NOT isnan({weight}::DOUBLE))"


def _is(kind: str, kinds: Iterable[str]) -> bool:
    """Whether a type of DuckDB's is one of these, and no list of them."""
    return kind.startswith(tuple(kinds)) and not kind.endswith("]")


def _why(columns: InteractionColumns, positive_from: float | None) -> str:
    missing = "no user, item or time"
    return missing if positive_from is None else f"{columns.weight} below {positive_from:g} or missing, or {missing}"


def _id(connection: duckdb.DuckDBPyConnection, table: str, data: Dataset, column: str) -> str:
    """An SQL expression of a column of ids: whole numbers, or text; what is no number (NaN) is missing."""
    kind, name = data.schema[column], quote(column)
    if not _is(kind, (*_NUMBERS, *_TEXT)):
        raise DataError(f"The column {column!r} of {data.uri} is {kind}: ids are whole numbers or text.")
    if _is(kind, _TEXT):
        return f"{name}::VARCHAR"
    if not _is(kind, _WHOLE):
        _refuse_fractions(connection, table, data, column)
    if kind in _FLOATS:
        return f"CASE WHEN NOT isnan({name}) THEN {name}::BIGINT END"
    return f"{name}::BIGINT" if _within(connection, table, name) else f"{name}::HUGEINT::VARCHAR"


def _refuse_fractions(connection: duckdb.DuckDBPyConnection, table: str, data: Dataset, column: str) -> None:
    """Refuse numbers that are not whole, or so large that their type has rounded them."""
    kind, name = data.schema[column], quote(column)
    wrong = f"{name} <> trunc({name})"
    if kind in _FLOATS:
        wrong = f"NOT isnan({name}) AND ({wrong} OR abs({name}) > {_FLOATS[kind]})"
    count, example = connection.execute(
        f"SELECT count(*), first({name}::VARCHAR) FROM {table} WHERE {wrong}"
    ).fetchall()[0]
    if count:
        raise DataError(
            f"{count:,} of the ids in {column!r} of {data.uri} are no whole numbers, or too large for {kind} to hold "
            f"exactly, such as {example}: ids are whole numbers or text."
        )


def _within(connection: duckdb.DuckDBPyConnection, table: str, name: str) -> bool:
    """Whether all numbers of a column are within 64 bits."""
    least, most = connection.execute(f"SELECT min({name}), max({name}) FROM {table}").fetchall()[0]
    return least is None or (least >= _LEAST and most <= _MOST)


@step
def split_interactions(
    data: Dataset,
    *,
    split: Split = "temporal",
    test_days: int = 7,
    train_days: int | None = None,
    test_share: float = 0.25,
    seed: int = 7,
) -> tuple[Dataset, Dataset]:
    """Split interactions into those to learn from and those to judge on.

    Args:
        split: "temporal": the last `test_days` before the moment the run stands for are the test, as in production;
            "random": a share of each user's items, drawn by `seed`. An item that is in a user's test once is there in
            every later run of the same seed, so that a champion of the same split has not seen it either.
        test_days: the length of a temporal test.
        train_days: the length of what is learnt from; all before the test by default.
        test_share: the share of a random test, above 0 and below 1.
        seed: of the draw.

    Returns:
        What to learn from, and what to judge on.

    Raises:
        DataError: one of them has no rows.
        ParameterError: an argument is none that can be used.
    """
    if split not in get_args(Split):
        raise ParameterError(f"Unknown split={split!r}. {suggest(split, get_args(Split))}")
    if not 0 < test_share < 1:
        raise ParameterError(f"test_share={test_share:g} is no share above 0 and below 1.")
    if train_days is not None and train_days < 1:
        raise ParameterError(f"train_days={train_days} must be 1 or more.")
    as_of = current().as_of
    if as_of is None:
        raise ParameterError('split_interactions must know the moment that the run stands for. Write "--as-of DATE".')
    data.require(["user", "item", "time"])
    with duck() as connection:
        if split == "random":
            train, test = _drawn(connection, data, as_of, train_days, test_share, seed)
        else:
            train, test = _by_time(connection, data, as_of, test_days, train_days)
    current().log(f"split into {train.rows:,} interactions to learn from and {test.rows:,} to judge on")
    return train, test


def _by_time(
    connection: duckdb.DuckDBPyConnection, data: Dataset, as_of: datetime, test_days: int, train_days: int | None
) -> tuple[Dataset, Dataset]:
    windows = time_windows(as_of, test_days=test_days, train_days=train_days, label_delay_days=0, labels="complete")
    start = [] if windows.train_from is None else [_moment(">=", windows.train_from)]
    train = data.part(connection, [*start, _moment("<", windows.train_until)])
    test = data.part(connection, [_moment(">=", windows.test_from), _moment("<", windows.test_until)])
    for half, part in (("to learn from", train), ("to judge on", test)):
        if part.rows == 0:
            days = "" if windows.train_from is None else f", training on the {train_days} days before"
            raise DataError(
                f"There is nothing {half}: the test is from {_text(windows.test_from)} until "
                f"{_text(windows.test_until)}{days}, and {_span(data)}. "
                "Choose another --as-of, test_days or train_days, or split=random."
            )
    return train, test


def _text(moment: datetime) -> str:
    return timestamp(moment).removesuffix(" 00:00:00")


def _span(data: Dataset) -> str:
    span = data.facts.get("time", {})
    return f"the {data.rows:,} interactions are from {span.get('from')} to {span.get('until')}"


def _moment(op: str, moment: datetime) -> dict[str, Any]:
    return {"column": "time", "op": op, "value": timestamp(moment), "type": "timestamp"}


def _drawn(
    connection: duckdb.DuckDBPyConnection,
    data: Dataset,
    as_of: datetime,
    train_days: int | None,
    share: float,
    seed: int,
) -> tuple[Dataset, Dataset]:
    start = "" if train_days is None else f" AND time >= {literal(as_of - timedelta(days=train_days))}"
    table = f"(SELECT * FROM {data.sql(connection)} WHERE time < {literal(as_of)}{start})"
    halves = {name: f"SELECT * FROM {table} WHERE {draw(seed)} {sign} {share!r}" for name, sign in _SIGNS.items()}
    train, test = (Dataset.save(connection, query, name, time="time") for name, query in halves.items())
    for half, part in (("to learn from", train), ("to judge on", test)):
        if part.rows == 0:
            days = "" if train_days is None else f", of the {train_days} days before,"
            raise DataError(
                f"There is nothing {half} with test_share={share:g} of what was before {_text(as_of)}{days} for "
                f"{_span(data)}. Choose another --as-of, train_days or test_share."
            )
    return train, test


_SIGNS = {"train": ">=", "test": "<"}


def draw(seed: int, salt: str = "test") -> str:
    """An SQL expression giving a number from 0 to 1 for a user and an item, the same one each time."""
    key = f"concat({literal(f'{salt} {seed} ')}, user::VARCHAR, chr(0), item::VARCHAR)"
    return f"((md5_number_lower({key}) % {_FINEST}) / {_FINEST}.0)"

"""The time windows of a run: what is trained on, what is tested on, and the gap that a label needs to arrive.

history_from      train_from            train_until   test_from        test_until      as_of
     │  30 d + d      │     train_days       │    d       │   test_days    │      d       │
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from ostinato.context import current
from ostinato.errors import DataError, ParameterError, suggest
from ostinato.graph import step
from ostinato.tables import Dataset, duck, literal, quote, timestamp

if TYPE_CHECKING:
    import duckdb

Labels = Literal["delayed", "complete"]
LABEL_TIME = "label_time"
KNOWN_FRAUD = "card_known_fraud_at"
LOOK_BACK_DAYS = 30


@dataclass(frozen=True)
class Windows:
    """Half-open windows in UTC; a start of None means that there is none.

    A model that is tested from `test_from` on was trained at that moment: labels that were not known by then do not
    count. `history_from` is the earliest row that features of the training window look at.
    """

    as_of: datetime
    train_from: datetime | None
    train_until: datetime
    test_from: datetime
    test_until: datetime
    history_from: datetime | None


def time_windows(
    as_of: datetime,
    *,
    test_days: int = 7,
    train_days: int | None = None,
    label_delay_days: int = 7,
    labels: Labels = "delayed",
) -> Windows:
    """The windows of a run that stands for the moment `as_of`.

    Args:
        as_of: an aware time.
        test_days: length of the test window.
        train_days: length of the training window; all that lies before its end by default.
        label_delay_days: how long a label takes to arrive; also the gap between training and test.
        labels: "delayed" ends the test `label_delay_days` before `as_of`; "complete" ends it at `as_of`, for tables
            whose labels are already final.

    Raises:
        ParameterError: a length that cannot be, or a time without its zone.
    """
    _check(as_of, test_days, train_days, label_delay_days, labels)
    moment, delay = as_of.astimezone(UTC), timedelta(days=label_delay_days)
    test_until = moment - delay if labels == "delayed" else moment
    test_from = test_until - timedelta(days=test_days)
    train_until = test_from - delay
    train_from = None if train_days is None else train_until - timedelta(days=train_days)
    history_from = None if train_from is None else train_from - delay - timedelta(days=LOOK_BACK_DAYS)
    return Windows(moment, train_from, train_until, test_from, test_until, history_from)


def _check(as_of: datetime, test_days: int, train_days: int | None, delay: int, labels: str) -> None:
    if as_of.tzinfo is None:
        raise ParameterError(f"as_of={as_of} has no time zone. Write datetime(…, tzinfo=UTC).")
    if labels not in get_args(Labels):
        raise ParameterError(f"Unknown labels={labels!r}. {suggest(labels, get_args(Labels))}")
    lengths = {"test_days": (test_days, 1), "train_days": (train_days, 1), "label_delay_days": (delay, 0)}
    for name, (days, least) in lengths.items():
        if days is not None and days < least:
            raise ParameterError(f"{name}={days} must be {least} or more.")


@step
def split_by_time(
    data: Dataset,
    *,
    time: str = "time",
    test_days: int = 7,
    train_days: int | None = None,
    label_delay_days: int = 7,
    labels: Labels = "delayed",
    label: str = "label",
    label_time: str | None = None,
    drop_known: bool = False,
) -> tuple[Dataset, Dataset]:
    """Split a table into training and test rows, later in time and a label delay apart (see `time_windows`).

    The halves are parts of `data`, not copies, unless it tells when labels became known: then they are written anew
    with the labels that were known at the time. A label counts in training when it was known at the start of the
    test, and in the test when it was known at `as_of` (with `labels="complete"`, always); other rows are negative,
    since all of them are older than the label delay.

    Args:
        time: the event-time column.
        label: the label column, 0/1 or true/false; only touched where labels have a time.
        label_time: the column that tells when a label became known; "label_time" where the table has it.
        drop_known: leave cards out of the test that were known as defrauded, in training or at the start of the
            test row's day (the Fraud Detection Handbook's `get_train_test_set`); needs `fraud_features`' column
            `card_known_fraud_at`.

    Returns:
        The training and the test rows.

    Raises:
        DataError: a missing column, or a window without rows.
    """
    as_of = current().as_of
    if as_of is None:
        raise ParameterError(
            'split_by_time must know the moment that the run stands for. Write "--as-of DATE", or in Python '
            '"with context.running(Context(…, as_of=…))".'
        )
    windows = time_windows(
        as_of, test_days=test_days, train_days=train_days, label_delay_days=label_delay_days, labels=labels
    )
    label_time = label_time or (LABEL_TIME if LABEL_TIME in data.schema else None)
    data.require([time, *([KNOWN_FRAUD] if drop_known else []), *([label, label_time] if label_time else [])])
    halves = {"training": _train_rows(windows, time), "test": _test_rows(windows, time, drop_known)}
    moments = {"training": windows.test_from, "test": windows.as_of if labels == "delayed" else None}
    with duck() as connection:
        made = []
        for half, conditions in halves.items():
            if label_time and (known_at := moments[half]):
                part = _save_known(connection, data, half, conditions, time, label, label_time, known_at)
            else:
                part = data.part(connection, conditions)
            if part.rows == 0:
                raise DataError(_nothing(connection, data, half, windows, time))
            made.append(part)
    train, test = made
    current().log(f"split into {train.rows:,} training and {test.rows:,} test rows")
    return train, test


def _moment(column: str, op: str, moment: datetime) -> dict[str, Any]:
    return {"column": column, "op": op, "value": timestamp(moment), "type": "timestamp"}


def _train_rows(windows: Windows, time: str) -> list[dict[str, Any]]:
    start = [] if windows.train_from is None else [_moment(time, ">=", windows.train_from)]
    return [*start, _moment(time, "<", windows.train_until)]


def _test_rows(windows: Windows, time: str, drop_known: bool) -> list[dict[str, Any]]:
    # Without a start of the training window any earlier fraud is in it: no time is before the year 1.
    known_before = windows.train_from or datetime(1, 1, 1, tzinfo=UTC)
    known = [_moment(KNOWN_FRAUD, "null or <", known_before)] if drop_known else []
    return [_moment(time, ">=", windows.test_from), _moment(time, "<", windows.test_until), *known]


def _save_known(
    connection: duckdb.DuckDBPyConnection,
    data: Dataset,
    half: str,
    conditions: Sequence[Mapping[str, Any]],
    time: str,
    label: str,
    label_time: str,
    known_at: datetime,
) -> Dataset:
    chosen = replace(data, facts={**data.facts, "where": [*data.facts.get("where", ()), *conditions]})
    negative = f"CAST(0 AS {data.schema[label]})"
    known = (
        f"CASE WHEN {quote(label_time)} <= {literal(known_at)} THEN coalesce({quote(label)}, {negative}) "
        f"ELSE {negative} END AS {quote(label)}"
    )
    query = f"SELECT * REPLACE ({known}) FROM {chosen.sql(connection)}"
    return Dataset.save(connection, query, half, time=time)


def _nothing(connection: duckdb.DuckDBPyConnection, data: Dataset, half: str, windows: Windows, time: str) -> str:
    start, end = (
        (windows.train_from, windows.train_until) if half == "training" else (windows.test_from, windows.test_until)
    )
    window = f"[{_day(start)}, {_day(end)})" if start else f"before {_day(end)}"
    row = connection.execute(f"SELECT min({quote(time)}), max({quote(time)}) FROM {data.sql(connection)}").fetchone()
    first, last = row or (None, None)
    table = f"its times run from {_day(first)} to {_day(last)}" if first else "it has no rows at all"
    length = "train_days" if half == "training" else "test_days"
    return (
        f"No rows for the {half} window {window} of column {time!r}: {table}. "
        f"Change as_of ({_day(windows.as_of)}), {length}, label_delay_days or labels."
    )


def _day(moment: datetime | None) -> str:
    return "" if moment is None else timestamp(moment).removesuffix(" 00:00:00")

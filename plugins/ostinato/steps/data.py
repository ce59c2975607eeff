"""Load a table as it was at the moment the run stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from ostinato.context import current
from ostinato.errors import DataError
from ostinato.graph import step
from ostinato.suites.reading import read_suite
from ostinato.tables import Dataset, duck, free_name, literal, quote

from .sources import Source, opened, select

if TYPE_CHECKING:
    import duckdb

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
BrokenTimes = Literal["refuse", "keep"]
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")
_MICROSECONDS = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}


@step(retries=2)
def load(
    source: str,
    *,
    query: str | None = None,
    columns: Sequence[str | None] | None = None,
    more_columns: Sequence[str] = (),
    suite: str | None = None,
    time: str | None = None,
    time_unit: TimeUnit = "auto",
    broken_times: BrokenTimes = "refuse",
) -> Dataset:
    """Take a snapshot of a table; rows at or after the run's `as_of` are left out.

    Args:
        source: a Parquet or CSV file, a folder or a glob of them, a DuckDB or SQLite file, an SQLAlchemy URL, or an
            fsspec URL.
        query: SQL, for a database that holds more than one table.
        columns: the columns to read (None among them is ignored); all by default.
        more_columns: columns to read beside those.
        suite: where one is named, all columns are read, for its rules may speak of any; a slip in it stops the run
            before anything is read.
        time: the event-time column: timestamps, dates, ISO text or epochs; becomes a timestamp in UTC.
        time_unit: of epochs; "auto" goes by their size.
        broken_times: "refuse" a table with times that are missing or cannot be read; or "keep" such rows, with NULL for
            a time and what stood there in a further column `<time>_as_found`, and with them rows of a time that has
            not come yet when the run begins, so that `validate` can set them aside.

    Raises:
        DataError: no such file or column, no rows, times that cannot be read.
        SuiteError: there is no such suite, or it is not well-formed.
    """
    if suite is not None:
        read_suite(suite)
    named = None if columns is None or suite is not None else [*columns, *more_columns, time]
    wanted = None if named is None else [column for column in named if column is not None]
    with duck() as connection, opened(connection, source, query, wanted) as found:
        chosen = select(found, wanted)
        if time is None:
            data = Dataset.save(connection, f"SELECT {', '.join(map(quote, chosen))} FROM {found.table}")
        else:
            data = _save_until(connection, found, chosen, time, time_unit, broken_times)
    if data.rows == 0:
        raise DataError(f"{found.name} has no rows{_before(time)}.")
    current().log(f"loaded {data.rows:,} rows{_span(data)}")
    return data


def batches_of(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[str],
    *,
    query: str | None = None,
    time: str | None = None,
    time_unit: TimeUnit = "auto",
) -> list[tuple[str, str]]:
    """Whole tables with their times as `load` would read them: the name of each and what stands behind FROM.

    Args:
        sources, query, time, time_unit: as in `load`.

    Raises:
        DataError: no such file or column.
    """
    batches = []
    for place, source in enumerate(sources):
        name = f"batch {place}"
        with opened(connection, source, query) as found:
            columns = [quote(column) for column in select(found, None) if column != time]
            if time is not None:
                select(found, [time])
                columns.insert(0, f"{moment(connection, found, time, time_unit)} AS {quote(time)}")
            found.keep(connection, name, columns)
            batches.append((found.name, quote(name)))
    return batches


def day_after_last_event(source: str, *, time: str, query: str | None = None, time_unit: TimeUnit = "auto") -> str:
    """The UTC day after a table's last event that is not later than today; what a run by hand stands for.

    Later dates are broken rows, not events.
    """
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) + timedelta(days=1)
    with duck() as connection, opened(connection, source, query, [time]) as found:
        select(found, [time])
        expression = moment(connection, found, time, time_unit)
        row = connection.execute(
            f"SELECT max(t) FILTER (t < {literal(tomorrow)}) FROM (SELECT {expression} AS t FROM {found.table})"
        ).fetchone()
    if row is None or row[0] is None:
        raise DataError(f"{found.name} has no row with a time in {time!r} up to today.")
    return f"{row[0].date() + timedelta(days=1):%Y-%m-%d}"


def _save_until(
    connection: duckdb.DuckDBPyConnection,
    found: Source,
    chosen: Sequence[str],
    time: str,
    unit: TimeUnit,
    broken_times: BrokenTimes,
) -> Dataset:
    context, name = current(), quote(time)
    expression = moment(connection, found, time, unit)
    columns = [f"{expression} AS {name}", *(quote(column) for column in chosen if column != time)]
    unreadable = _broken_times(connection, found, time, expression, refuse=broken_times == "refuse")
    if unreadable:
        as_found = f"CASE WHEN {expression} IS NULL THEN {name}::VARCHAR END"
        columns.append(f"{as_found} AS {quote(free_name(f'{time}_as_found', chosen))}")
    selected = f"SELECT {', '.join(columns)} FROM {found.table}"
    if context.as_of is None:
        return Dataset.save(connection, selected, time=time)
    kept = f"{name} < {literal(context.as_of)}"
    if broken_times == "keep":
        kept += f" OR {name} IS NULL OR {name} >= {literal(context.horizon)}"
    return Dataset.save(connection, f"SELECT * FROM ({selected}) WHERE {kept}", time=time)


def _broken_times(
    connection: duckdb.DuckDBPyConnection, found: Source, column: str, expression: str, *, refuse: bool
) -> int:
    """How many values of a column are there and are no times, after a look at every one.

    Raises:
        DataError: where these are refused, or missing times; how many, and the first of them.
    """
    import duckdb

    name = quote(column)
    if not refuse and found.columns[column].startswith(("TIMESTAMP", "DATE")):
        return 0
    try:
        row = connection.execute(
            f"SELECT count(*), count({name}), count(t), "
            f"first({name}::VARCHAR) FILTER ({name} IS NOT NULL AND t IS NULL) "
            f"FROM (SELECT {name}, {expression} AS t FROM {found.table})"
        ).fetchone()
    except duckdb.Error as error:
        raise DataError(f"{found.name}: {column!r} cannot be read as a time: {str(error).splitlines()[0]}") from error
    assert row is not None  # an aggregate without GROUP BY has one row
    rows, filled, parsed, example = row
    if not refuse:
        return int(filled - parsed)
    if parsed < filled:
        raise DataError(
            f"{found.name}: {filled - parsed:,} of {rows:,} values of {column!r} are no times, such as "
            f"{str(example)[:40]!r}. Times are timestamps, dates, ISO text or epochs."
        )
    if filled < rows:
        raise DataError(f"{found.name}: {rows - filled:,} of {rows:,} rows have no time in {column!r}.")
    return 0


def moment(connection: duckdb.DuckDBPyConnection, found: Source, column: str, unit: TimeUnit) -> str:
    """An SQL expression giving a column as a UTC timestamp, NULL where a value is no time."""
    kind, name = found.columns[column], quote(column)
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"{name}::TIMESTAMP"  # the session's zone is UTC, so zoned times become UTC
    if kind == "VARCHAR" and unit == "auto":
        return f"try_cast({name} AS TIMESTAMPTZ)::TIMESTAMP"
    if kind != "VARCHAR" and not _NUMBER.fullmatch(kind):
        raise DataError(
            f"{found.name}: {column!r} is {kind}, which is no time. Times are timestamps, dates, ISO text or epochs."
        )
    chosen = _unit_by_size(connection, found, name) if unit == "auto" else unit
    # NaN and what lies beyond a timestamp become NULL and are counted as no time
    scaled = f"try_cast({name} AS DOUBLE) * {_MICROSECONDS[chosen]}"
    if kind != "VARCHAR" and not kind.startswith(("FLOAT", "D")) and chosen != "ns":
        scaled = f"try_cast({name} AS HUGEINT) * {int(_MICROSECONDS[chosen])}"
    return f"CASE WHEN abs({scaled}) < 9e18 THEN make_timestamp(try_cast(round({scaled}) AS BIGINT)) END"


def _unit_by_size(connection: duckdb.DuckDBPyConnection, found: Source, name: str) -> str:
    """Seconds reach 1e11 in the year 5138, milliseconds 1e14, microseconds 1e17: the median, which no odd value moves,
    tells."""
    row = connection.execute(f"SELECT approx_quantile(abs({name}), 0.5) FROM {found.table}").fetchone()
    usual = 0.0 if row is None or row[0] is None else float(row[0])
    return "s" if usual < 1e11 else "ms" if usual < 1e14 else "us" if usual < 1e17 else "ns"


def _before(time: str | None) -> str:
    as_of = current().as_of
    return f" before {as_of:%Y-%m-%d %H:%M} in {time!r}" if time and as_of else ""


def _span(data: Dataset) -> str:
    known = data.facts.get("time")
    return f", {known['from'][:10]} to {known['until'][:10]}" if known and known["from"] else ""

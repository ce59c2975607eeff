"""What one scan of a whole table tells: how many rows, on which days, how many positives, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from ostinato.suites.writing import shown
from ostinato.tables import literal, quote

from .roles import NUMBERS, kind_of

if TYPE_CHECKING:
    import duckdb

FEWEST_POSITIVES = 50
LONGEST_GAP = 7  # days without a row
_FIRST_SENSIBLE = date(1990, 1, 1)


@dataclass(frozen=True)
class Coverage:
    """Counts of a whole table.

    Attributes:
        filled: by column, how many values are not null.
        readable: how many of the times can be read as such.
        future: how many of them lie after today.
        days: how many rows there are on each day from 1900 to 2200.
        positives, negatives: how many labels are 1 or true, and 0 or false.
    """

    rows: int
    filled: dict[str, int] = field(default_factory=dict)
    readable: int = 0
    future: int = 0
    days: dict[date, int] = field(default_factory=dict)
    positives: int = 0
    negatives: int = 0


def label_sql(name: str, type_: str) -> str:
    """SQL for a label: 1, 0, or NULL for whatever else there is."""
    column = quote(name)
    if kind_of(name, type_) == "boolean":
        return f"{column}::TINYINT"
    number = column if kind_of(name, type_) in NUMBERS else f"try_cast({column}::VARCHAR AS DOUBLE)"
    return f"CASE WHEN {number} IN (0, 1) THEN {number}::TINYINT END"


def covered(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    *,
    moment: str | None = None,
    label: str | None = None,
) -> Coverage:
    """Read a table once.

    Args:
        table: what stands behind FROM.
        columns: the columns in which missing values are counted, and their types.
        moment: SQL for the time of a row.
        label: SQL for its label, see `label_sql`.
    """
    names = list(columns)
    parts = [f"{moment or 'NULL::TIMESTAMP'} AS t", f"{label or 'NULL::TINYINT'} AS y"]
    parts += [f"{quote(name)} AS c{place}" for place, name in enumerate(names)]
    counts = [
        "count(*)",
        "count(t)",
        f"count(*) FILTER (t >= {literal(_tomorrow())})",
        "count(*) FILTER (y = 1)",
        "count(*) FILTER (y = 0)",
        *(f"count(c{place})" for place in range(len(names))),
    ]
    day = "CASE WHEN t >= TIMESTAMP '1900-01-01' AND t < TIMESTAMP '2200-01-01' THEN t::DATE END"
    groups = connection.execute(
        f"SELECT {day}, {', '.join(counts)} FROM (SELECT {', '.join(parts)} FROM {table}) GROUP BY 1"
    ).fetchall()
    rows, readable, future, positives, negatives, *filled = (
        sum(group[place] for group in groups) for place in range(1, len(counts) + 1)
    )
    days = {group[0]: group[1] for group in groups if group[0] is not None}
    return Coverage(rows, dict(zip(names, filled, strict=True)), readable, future, days, positives, negatives)


def _tomorrow() -> datetime:
    today = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def missing_values(coverage: Coverage, columns: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each column that has a role and gaps.

    Args:
        columns: by role.
    """
    for role, name in columns.items():
        if lacking := coverage.rows - coverage.filled[name]:
            yield f"{shown(name)} ({role}) is missing in {lacking:,} of {coverage.rows:,} rows."


def balance(coverage: Coverage, label: str) -> tuple[str, list[str]]:
    """How many rows are positive, and what is amiss with that."""
    name, rows, positives = shown(label), coverage.rows, coverage.positives
    amiss = []
    if odd := coverage.filled[label] - positives - coverage.negatives:
        amiss.append(f"{name}: {odd:,} of {rows:,} labels are neither 0 nor 1, neither true nor false; map them first.")
    if positives < FEWEST_POSITIVES:
        amiss.append(
            f"{name}: {'no row is' if not positives else f'only {positives:,} of {rows:,} rows are'} positive; "
            f"below {FEWEST_POSITIVES} nothing can be judged."
        )
    elif 2 * positives > rows:
        amiss.append(
            f"{name}: {positives / rows:.1%} of the rows are positive: is 1 what is to be found, not the rest?"
        )
    return f"{name}: {positives:,} of {rows:,} rows are positive ({_percent(positives / rows)}).", amiss


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.1f} %"


def period(coverage: Coverage, time: str, needs_days: int | None) -> tuple[list[str], list[str]]:
    """Which days have rows, and what is amiss with that.

    Args:
        time: the column.
        needs_days: how many days the pipeline needs.
    """
    name, amiss = shown(time), []
    if unreadable := coverage.filled[time] - coverage.readable:
        amiss.append(
            f"{name}: {unreadable:,} of {coverage.rows:,} values cannot be read as times, which are timestamps, dates, "
            "ISO text or epochs."
        )
    if coverage.future:
        amiss.append(f"{name}: {coverage.future:,} rows lie in the future.")
    today = _tomorrow().date()
    days = sorted(day for day in coverage.days if day < today)
    if not days:
        return [], amiss
    length = (days[-1] - days[0]).days + 1
    amiss += _of_days(name, days, length, needs_days)
    without = length - len(days)
    all_have = "each with rows" if not without else f"{without:,} of them without rows"
    return [f"{name}: {days[0]} to {days[-1]}, {length:,} {'days' if length > 1 else 'day'}, {all_have}."], amiss


def _of_days(name: str, days: list[date], length: int, needs_days: int | None) -> Iterator[str]:
    if days[-1] < _FIRST_SENSIBLE:
        yield f"{name} reads as {days[0]} to {days[-1]}: are its values seconds since 1970, or counted from elsewhere?"
    if needs_days and length < needs_days:
        yield f"{name}: {length:,} days are too few; with its usual parameters the pipeline needs {needs_days:,}."
    before, after = max(pairwise(days), key=lambda pair: pair[1] - pair[0], default=(days[0], days[0]))
    if (after - before).days - 1 > LONGEST_GAP:
        yield f"{name}: no rows between {before} and {after}."

"""Load a table, check it, and do one step of our own with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from ostinato import Dataset, pipeline, step
from ostinato.context import current
from ostinato.steps.data import TimeUnit, day_after_last_event, load
from ostinato.steps.validation import validate
from ostinato.tables import duck, quote

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Columns:
    """What the table calls the columns that the pipeline speaks of.

    Attributes:
        time: when a row happened: timestamps, dates, ISO text or epochs.
    """

    time: str = "ts"


@step
def totals(data: Dataset, *, time: str) -> Dataset:
    """Count the rows of each day; replace this by what the pipeline is for.

    Args:
        data: the checked table.
        time: the column of timestamps.

    Returns:
        A table of `day` and `rows`.

    Raises:
        DataError: there is no such column.
    """
    data.require([time])
    moment = quote(time)  # a column may be called anything
    with duck() as connection:
        made = Dataset.save(
            connection,
            f"SELECT {moment}::DATE AS day, count(*) AS rows FROM {data.sql(connection)} "
            f"WHERE {moment} IS NOT NULL GROUP BY 1",
            "totals",
            time="day",
        )
    current().log(f"counted {data.rows:,} rows on {made.rows:,} days")
    return made


def day_after_last_row(source: str, columns: Columns, query: str | None, time_unit: TimeUnit) -> str:
    """What a run by hand stands for when nobody says."""
    return day_after_last_event(source, time=columns.time, query=query, time_unit=time_unit)


@pipeline(default_as_of=day_after_last_row)
def project_name(
    source: str,
    query: str | None = None,
    columns: Columns = Columns(),
    time_unit: TimeUnit = "auto",
    suite: str = "project_name:suite.yaml",
    max_quarantine: Share | None = None,
) -> None:
    """Load a table, check it, and do one step of our own with it.

    Args:
        source: the table: a file, folder, glob, database or URL (see `load`).
        query: SQL, where the source is a database with more than one table.
        columns: what the columns are called.
        time_unit: of times given as epochs.
        suite: the rules the table must meet, a YAML file.
        max_quarantine: the largest share of rows that may be set aside for breaking them, 0 to 1; the suite's own by
            default.
    """
    table = load(source, query=query, suite=suite, time=columns.time, time_unit=time_unit, broken_times="keep")
    checked = validate(table, suite=suite, subject=source, max_quarantine=max_quarantine)
    totals(checked, time=columns.time)

"""Check a table against a suite of rules, and nothing more."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from ostinato.graph import pipeline
from ostinato.steps.data import TimeUnit, load
from ostinato.steps.validation import validate


@pipeline(tags=("data quality",))
def data_validation(
    source: str,
    suite: str,
    query: str | None = None,
    time: str | None = None,
    time_unit: TimeUnit = "auto",
    max_quarantine: Annotated[float, Ge(0), Le(1)] | None = None,
    samples: Annotated[int, Ge(0)] = 0,
) -> None:
    """Check a table against a suite of rules; set rows aside that break one.

    Args:
        source: the table: a file, folder, glob, database or URL (see `load`).
        suite: the rules, a YAML file (see `ostinato suite draft`).
        query: SQL, where the source is a database with more than one table.
        time: the event-time column, if there is one: rows at or after the moment the run stands for are left out.
        time_unit: of times given as epochs.
        max_quarantine: the largest share of rows that may be set aside, 0 to 1; the suite's own by default.
        samples: how many values that broke a rule are shown on the page; never of sensitive columns.
    """
    table = load(source, query=query, time=time, time_unit=time_unit, broken_times="keep")
    validate(table, suite=suite, subject=source, max_quarantine=max_quarantine, samples=samples)

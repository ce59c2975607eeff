"""What our own steps promise, each called like any function: no server, no database, no run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from ostinato import Dataset
from ostinato.context import Context, running
from ostinato.errors import DataError
from ostinato.workspace import Workspace

from project_name import pipeline

TIMES = [datetime(2026, 3, 1, 9), datetime(2026, 3, 1, 23, 59), datetime(2026, 3, 2), None]


@pytest.fixture(autouse=True)
def context(tmp_path: Path) -> Iterator[None]:
    """A workspace for what the steps write."""
    with running(Context(Workspace.here(tmp_path), run_id="test", step="own")):
        yield


def test_totals_counts_the_rows_of_each_day() -> None:
    """A row without a time belongs to no day."""
    counted = pipeline.totals(Dataset.of(pa.table({"when": TIMES})), time="when")
    assert counted.to_arrow(order_by=["day"]).to_pylist() == [
        {"day": date(2026, 3, 1), "rows": 2},
        {"day": date(2026, 3, 2), "rows": 1},
    ]


@pytest.mark.parametrize("name", ["day", "rows", 'the "time" of day; --', "Zeit €"])
def test_totals_takes_a_column_of_any_name(name: str) -> None:
    """The table's names are its own."""
    assert pipeline.totals(Dataset.of(pa.table({name: TIMES})), time=name).rows == 2


def test_totals_of_the_same_rows_have_the_same_digest() -> None:
    """In whatever order the rows come."""
    first, again = (Dataset.of(pa.table({"when": times}), "given") for times in (TIMES, TIMES[::-1]))
    assert pipeline.totals(first, time="when").digest == pipeline.totals(again, time="when").digest


def test_a_missing_column_is_named_with_the_nearest_one() -> None:
    """A typing error costs one look."""
    with pytest.raises(DataError, match=r"no column 'whne'\. Did you mean 'when'\?"):
        pipeline.totals(Dataset.of(pa.table({"when": TIMES})), time="whne")

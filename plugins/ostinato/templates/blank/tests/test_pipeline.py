"""The whole pipeline on a small made-up table, run here as on any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from ostinato.artifacts import Artifact
from ostinato.engines.local_run import run
from ostinato.parameters import default
from ostinato.samples import transactions
from ostinato.steps.data import load
from ostinato.tables import Dataset, quote

from project_name import pipeline

# The project's suite is about its own table; the made-up one only needs rows.
SUITE = '{"dataset": "made up", "expectations": [{"table_row_count_to_be_between": {"min_value": 1}}]}'


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Made-up rows whose columns are called as the project's, and rules for them."""
    transactions.write(tmp_path / "sample.parquet", rows=2_000, days=40)
    time = quote(default(pipeline.project_name, "columns.time"))
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(tmp_path / "sample.parquet"))
        table.project(f"ts AS {time}").write_parquet(str(tmp_path / "table.parquet"))
    (tmp_path / "suite.yaml").write_text(SUITE)
    return {"source": str(tmp_path / "table.parquet"), "suite": str(tmp_path / "suite.yaml"), "query": None}


def test_the_pipeline_counts_every_row(given: dict[str, Any]) -> None:
    """Each of the forty days has its rows, and a step called by hand comes to the same as in a run."""
    result = run(pipeline.project_name, given)
    assert result["state"] == "succeeded", result["steps"]
    assert result["as_of"] == "2026-02-10T00:00:00+00:00"
    made = Artifact.from_json(result["steps"][-1]["outputs"])
    assert isinstance(made, Dataset)
    assert made.rows == 40
    assert sum(made.to_pandas()["rows"]) == 2_000
    time = default(pipeline.project_name, "columns.time")
    assert pipeline.totals(load(given["source"], time=time), time=time).digest == made.digest

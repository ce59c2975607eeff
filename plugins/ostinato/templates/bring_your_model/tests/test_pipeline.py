"""The whole pipeline on small made-up data, run here as on any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from ostinato.engines.local_run import run
from ostinato.parameters import default
from ostinato.samples import transactions
from ostinato.tables import quote

from project_name import pipeline

# The project's suite is about its own table; the made-up one only needs rows.
SUITE = '{"dataset": "made up", "expectations": [{"table_row_count_to_be_between": {"min_value": 1}}]}'
SAMPLE = ["amount", "mcc", "channel", "country"]


def renamed(columns: dict[str, Any]) -> str:
    """The sample under the project's names, with a label to be learnt; change it where training needs other values."""
    names = {columns["id"]: "tx_id", columns["time"]: "ts", columns["label"]: "(amount > 100)::INTEGER"}
    names |= {name: SAMPLE[place % len(SAMPLE)] for place, name in enumerate(columns["features"])}
    return ", ".join(f"{theirs} AS {quote(ours)}" for ours, theirs in names.items())


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Made-up rows whose columns are called as the project's, and what does not depend on its own table."""
    transactions.write(tmp_path / "sample.parquet", rows=5_000, days=40)
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(tmp_path / "sample.parquet"))
        names = renamed(default(pipeline.project_name, "columns"))
        table.project(names).write_parquet(str(tmp_path / "table.parquet"))
    (tmp_path / "suite.yaml").write_text(SUITE)
    return {
        "source": str(tmp_path / "table.parquet"),
        "suite": str(tmp_path / "suite.yaml"),
        "query": None,
        "floor": None,
        "approval": True,
        "target": None,
    }


def test_a_model_is_trained_judged_and_registered_and_waits_for_a_person(given: dict[str, Any]) -> None:
    """It is better than the base rate, and there is nobody to ask."""
    result = run(pipeline.project_name, given)
    assert result["state"] == "succeeded", result["steps"]
    assert result["verdict"]["passed"], result["verdict"]["checks"]
    assert result["model"]["facts"]["version"] == "1"
    assert result["approval"]["by"] == "nobody"
    assert result["promotion"] is None

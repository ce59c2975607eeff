"""The whole pipeline on small made-up data, run here as on any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ostinato.engines.local_run import run
from ostinato.parameters import default
from ostinato.samples import transactions
from ostinato.tables import duck, quote

from project_name.pipeline import project_name as pipeline

SAMPLE = {
    "id": "tx_id",
    "time": "ts",
    "card": "card_id",
    "terminal": "terminal_id",
    "amount": "amount",
    "label": "is_fraud",
    "label_time": "fraud_reported_at",
}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Made-up transactions under the project's names, the usual rules, and nothing that only its own table has."""
    transactions.write(tmp_path / "sample.parquet", rows=40_000, days=60)
    names = {SAMPLE[role]: name for role, name in default(pipeline, "columns").items() if name}
    chosen = ", ".join(f"{theirs} AS {quote(ours)}" for theirs, ours in names.items())
    with duck() as connection:
        table = connection.read_parquet(str(tmp_path / "sample.parquet"))
        table.project(chosen).write_parquet(str(tmp_path / "table.parquet"))
    return {
        "source": str(tmp_path / "table.parquet"),
        "suite": None,
        "query": None,
        "time_unit": "auto",
        "features.extra": [],
        "test_days": 21,
        "floor": None,
        "slices": [],
        "approval": False,
        "target": None,
    }


def test_a_model_is_trained_judged_registered_and_promoted(given: dict[str, Any]) -> None:
    """The first that is better than the base rate becomes the champion."""
    result = run(pipeline, given)
    assert result["state"] == "succeeded", result["steps"]
    assert result["verdict"]["passed"], result["verdict"]["checks"]
    assert result["promotion"]["promoted"]

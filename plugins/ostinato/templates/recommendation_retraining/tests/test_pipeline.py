"""The whole pipeline on small made-up data, run here as on any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ostinato.engines.local_run import run
from ostinato.parameters import default
from ostinato.samples import interactions
from ostinato.tables import duck, quote

from project_name.pipeline import project_name as pipeline

SAMPLE = {"user": "user_id", "item": "item_id", "time": "ts", "weight": "rating"}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Made-up interactions under the project's names, the usual rules, and a search that is soon done."""
    interactions.write(tmp_path / "sample.parquet", rows=20_000)
    names = {SAMPLE[role]: name for role, name in default(pipeline, "columns").items() if name}
    chosen = ", ".join(f"{theirs} AS {quote(ours)}" for theirs, ours in names.items())
    with duck() as connection:
        table = connection.read_parquet(str(tmp_path / "sample.parquet"))
        table.project(chosen).write_parquet(str(tmp_path / "table.parquet"))
    quick = {"trials": 1, "candidates": ["ease", "popularity"], "options": {"ease": {"regularization": 100.0}}}
    return {
        "source": str(tmp_path / "table.parquet"),
        "suite": None,
        "query": None,
        "time_unit": "auto",
        "positive_from": None,
        "floor": None,
        "approval": False,
        "target": None,
        "output": str(tmp_path / "lists"),
        **quick,
    }


def test_the_best_is_released_and_everybody_gets_a_list(given: dict[str, Any], tmp_path: Path) -> None:
    """The first that is better than what is most popular becomes the champion."""
    result = run(pipeline, given)
    assert result["state"] == "succeeded", result["steps"]
    assert result["verdict"]["passed"], result["verdict"]["checks"]
    assert result["promotion"]["promoted"]
    assert list((tmp_path / "lists").rglob("*.parquet"))

"""The DAG file, loaded as Airflow loads it; neither its database nor a server is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.checks import check_all

ROOT = Path(__file__).parents[1]


def test_airflow_finds_one_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without import errors, with a task for each step."""
    pytest.importorskip("airflow", reason="Airflow is not installed here")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    dag = next(found for found in check_all(str(ROOT / "dags")) if "_dag.py" in found.subject)
    assert dag.ok, dag.message
    assert dag.message.startswith("1 DAG")

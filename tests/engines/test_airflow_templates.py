"""Projects made for Airflow pass their own tests where Airflow is."""

from __future__ import annotations

from pathlib import Path

import pytest

from templates.projects import TEMPLATES, made, ordered

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")
pytestmark = [pytest.mark.airflow, pytest.mark.slow]


@pytest.mark.parametrize("template", TEMPLATES)
def test_its_dag_is_found(template: str, tmp_path: Path, types_learnt: Path) -> None:
    """None of the project's tests is skipped for want of an engine."""
    said = ordered("test", made(template, "airflow", tmp_path / "card_fraud"), types_learnt)
    assert " passed" in said
    assert "not installed" not in said

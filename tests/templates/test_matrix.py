"""Every template for every choice of engine is a whole project; with an engine: `engines/test_*_templates.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from templates.projects import TEMPLATES, made, ordered


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_without_an_engine_passes_its_own_tests_and_runs(
    template: str, tmp_path: Path, types_learnt: Path
) -> None:
    """`make test` and `make run`, as the first page of its README says; no DAG and no flow lie about."""
    project = made(template, "neither", tmp_path / "card_fraud")
    assert " passed" in ordered("test", project, types_learnt)
    assert "decision" in ordered("run", project, types_learnt)
    assert not {"dags", "flows", "prefect.yaml"} & {place.name for place in project.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_for_both_engines_skips_with_a_reason_where_they_are_not(
    template: str, tmp_path: Path, types_learnt: Path
) -> None:
    """Style, types and tests are green where neither engine is installed."""
    said = ordered("test", made(template, "both", tmp_path / "card_fraud"), types_learnt)
    assert "Airflow is not installed here" in said
    assert "Prefect is not installed here" in said

"""What a run leaves in MLflow at its end: its pages, whatever came of it; and nothing of that can fail the run."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from integrations.mlflow_store import client, put_store
from ostinato import Model, pipeline, step
from ostinato.engines.local_run import run
from ostinato.errors import DataError


@step
def fit() -> Model:
    """Learn that more is more."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    return Model.of(LogisticRegression().fit(rows, [0, 0, 1, 1]), rows)


@step
def refuse(model: Model) -> None:
    """Fail for good."""
    raise DataError("not today")


@step
def break_store(model: Model, database: str) -> None:
    """Let MLflow's database be no database any more."""
    Path(database).write_text("gone")


@pipeline
def learning() -> None:
    """Learn a little.

    And nothing else.
    """
    fit()


@pipeline
def failing() -> None:
    """Learn in vain."""
    refuse(fit())


@pipeline
def unlucky(database: str) -> None:
    """Lose the store on the way."""
    break_store(fit(), database)


@pytest.fixture(autouse=True)
def store(home: Path) -> None:
    """MLflow's real one."""
    put_store(home)


def left(result: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The status of a run in MLflow, and the texts beside it."""
    experiment = client().get_experiment_by_name(result["pipeline"])
    (found,) = client().search_runs([experiment.experiment_id])
    names = [item.path for item in client().list_artifacts(found.info.run_id) if not item.is_dir]
    texts = {name: Path(client().download_artifacts(found.info.run_id, name)).read_text() for name in names}
    return found.info.status, texts


@pytest.mark.parametrize(
    ("chosen", "state", "status"), [(learning, "succeeded", "FINISHED"), (failing, "failed", "FAILED")]
)
def test_a_runs_pages_are_in_mlflow(chosen: Any, state: str, status: str) -> None:
    """The same as in the workspace, of runs that failed too."""
    result = run(chosen)
    assert result["state"] == state
    page = Path(result["report"])
    card = page.with_name("model_card.md")
    assert left(result) == (status, {"report.html": page.read_text(), "model_card.md": card.read_text()})
    assert "Learn" in page.read_text()
    assert "And nothing else" not in page.read_text()


def test_a_store_that_goes_away_does_not_fail_the_run(home: Path) -> None:
    """The pages are in the workspace, and what happened is said."""
    heard: list[dict[str, Any]] = []
    result = run(unlucky, {"database": str(home / "mlflow.db")}, listener=heard.append)
    assert result["state"] == "succeeded"
    assert Path(result["report"]).is_file()
    (said,) = [event["message"] for event in heard if event["event"] == "log" and not event["step"]]
    assert "MLflow at sqlite" in said
    with pytest.raises(sqlite3.DatabaseError), sqlite3.connect(home / "mlflow.db") as connection:
        connection.execute("SELECT * FROM runs")

"""A run's pages in MLflow: the report and the card among its artifacts, the card as the version's description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integrations.mlflow_server import mlflow_server
from integrations.mlflow_store import client, context, one_thread, put_store, transactions
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.errors import Unavailable
from ostinato.integrations import mlflow_registry
from ostinato.model_card import LONGEST


@pytest.fixture(autouse=True)
def store(home: Path) -> None:
    """MLflow's real one."""
    put_store(home)


def registered(run_id: str = "r1") -> Model:
    """A version that a run has made."""
    from sklearn.linear_model import LogisticRegression

    table = transactions(300)[["risk", "speed", "label"]]
    features = table[["risk", "speed"]]
    with running(context(run_id=run_id)), one_thread():
        model = Model.of(LogisticRegression().fit(features, table["label"]), features.head(5))
        made: Model = mlflow_registry.register(model, "fraud", f"{run_id}/register", {})
        return made


def closed(files: dict[str, str], model: Model | None = None, **more: Any) -> None:
    with running(context("close", **more)):
        mlflow_registry.close_run("succeeded", files, model)


def run_named(run_id: str = "r1") -> Any:
    experiment = client().get_experiment_by_name("fraud")
    return client().search_runs([experiment.experiment_id], f"tags.`ostinato.run_id` = '{run_id}'")[0]


def artifacts(run_id: str = "r1") -> dict[str, str]:
    """The texts beside a run, by name."""
    run = run_named(run_id).info
    names = [item.path for item in client().list_artifacts(run.run_id) if not item.is_dir]
    return {name: Path(client().download_artifacts(run.run_id, name)).read_text() for name in names}


def written(folder: Path, **texts: str) -> dict[str, str]:
    files = {"report.html": texts.get("report", "<p>ü</p>"), "model_card.md": texts.get("card", "# Card ü\n")}
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in files}


def test_a_closed_run_has_its_report_and_its_card(tmp_path: Path) -> None:
    """As they are, beside the run; the card is the version's description too."""
    model = registered()
    closed(written(tmp_path), model)
    assert artifacts() == {"report.html": "<p>ü</p>", "model_card.md": "# Card ü\n"}
    assert run_named().info.status == "FINISHED"
    assert client().get_model_version("fraud", "1").description == "# Card ü\n"


def test_a_resumed_run_has_its_last_report(tmp_path: Path) -> None:
    """Written over, not beside."""
    model = registered()
    closed(written(tmp_path), model)
    closed(written(tmp_path, report="<p>later</p>", card="# Later\n"), model)
    assert artifacts()["report.html"] == "<p>later</p>"
    assert client().get_model_version("fraud", "1").description == "# Later\n"


def test_a_long_card_is_cut_to_what_the_store_takes(tmp_path: Path) -> None:
    """The whole one is the artifact."""
    card = "# Card\n\n## Limitations\n\n- few\n\n## Slices\n\n" + "| x | y |\n" * 2000
    closed(written(tmp_path, card=card), registered())
    described = client().get_model_version("fraud", "1").description
    assert described.startswith("# Card\n\n## Limitations")
    assert len(described) <= LONGEST
    assert artifacts()["model_card.md"] == card


def test_the_card_of_a_version_stays_that_of_the_run_that_made_it(tmp_path: Path) -> None:
    """A later run that comes to the same model describes nothing anew."""
    closed(written(tmp_path), registered())
    again = registered("r2")
    assert again.facts["unchanged"]
    closed(written(tmp_path, card="# Of the second run\n"), again, run_id="r2")
    assert client().get_model_version("fraud", "1").description == "# Card ü\n"
    assert artifacts("r2")["model_card.md"] == "# Of the second run\n"


def test_a_candidate_without_a_version_is_described_nowhere(tmp_path: Path) -> None:
    """Its card is beside the run; without a card there is no description."""
    made = registered()
    logged = Model("models:/m-1", made.digest, {})
    closed(written(tmp_path), logged)
    assert not client().get_model_version("fraud", "1").description
    closed({}, made)
    assert not client().get_model_version("fraud", "1").description


@pytest.mark.slow
def test_a_server_takes_the_pages_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP, artifacts included; a server that has gone away is said to be."""
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", workers=1) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        model = registered()
        closed(written(tmp_path), model)
        assert artifacts() == {"report.html": "<p>ü</p>", "model_card.md": "# Card ü\n"}
        assert client().get_model_version("fraud", "1").description == "# Card ü\n"
        server.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            closed(written(tmp_path), model)

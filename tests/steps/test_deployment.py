"""A champion is put where it serves, and answers there as it did when it was judged."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest

from integrations.mlflow_server import mlflow_server
from integrations.mlflow_store import client, context, one_thread, put_store, saved, transactions
from integrations.taste_model import asking, taste
from ostinato.artifacts import Deployment, Model, Promotion, Verdict
from ostinato.context import running
from ostinato.errors import ContractError, DataError, ParameterError
from ostinato.integrations import mlflow_registry
from ostinato.steps import deploy, register, train
from ostinato.steps.release import promote, rollback
from ostinato.workspace import local_path

FEATURES = ["country", "risk", "speed"]


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[Path]:
    put_store(home)
    with one_thread():
        yield home


def payments(rows: int = 600) -> pd.DataFrame:
    """Payments with a word and gaps in it and in a number."""
    table, random = transactions(rows), np.random.default_rng(5)
    table["country"] = random.choice(["AT", "DE", "FR", None], rows)
    table["label"] |= table.country.isna() & (random.random(rows) < 0.3)
    table.loc[::7, "risk"] = np.nan
    return table


def verdict_on(model: Model, head: int = 0) -> Verdict:
    check = {"name": "average_precision", "value": 0.5, "bound": 0.1, "outcome": "pass"}
    made = Verdict.of([check], {"average_precision": 0.5}, model=model.digest, data="sha256:test")
    return replace(made, facts={**made.facts, "ledger": {"name": "fraud", "entry": head}})


def released(seed: int = 7, estimator: str = "hist_gradient_boosting", **options: Any) -> Model:
    """A version of a model trained on payments."""
    where = {"run_id": f"{estimator}-{seed}"}
    with running(context("train", **where)):
        model = train(saved(payments()), features=FEATURES, estimator=estimator, options=options, seed=seed)
    with running(context("register", **where)):
        return register(model, verdict_on(model))


def promoted(version: Model) -> Promotion:
    with running(context("promote", run_id=f"promotes-{version.facts['version']}")):
        return promote(version, verdict_on(version, mlflow_registry.read("fraud").head))


def put(version: Model, promotion: Promotion | None = None, **more: Any) -> tuple[Deployment, list[str]]:
    """What `deploy` makes of it, and what it says."""
    said: list[str] = []
    with running(context("deploy", run_id=f"r{version.uri[-1]}", emit=lambda event: said.append(event["message"]))):
        return deploy(version, promotion, **more), said


def test_a_promoted_version_is_deployed_and_the_log_says_how_to_serve_it(home: Path) -> None:
    """The reference tells what is where, and what was there before."""
    place = f"{home}/bundles/fraud/current"
    first = released(max_iter=3)
    deployment, said = put(first, promoted(first))
    assert deployment.deployed
    facts = {"deployed": True, "target": "bundle", "name": "fraud", "version": "1", "place": place, "previous": None}
    assert deployment.facts == facts == deployment.read()
    assert said == [
        f"version 1 of 'fraud' is now in place at {place}; "
        f"serve it with: mlflow models serve -m {place} --env-manager local"
    ]
    second = released(8, max_iter=3)
    deployment, _ = put(second, promoted(second))
    assert deployment.facts == {**facts, "version": "2", "previous": "1"}


def test_run_again_it_finds_its_version_in_place_and_says_the_same() -> None:
    """A retry after a crash leaves the document an undisturbed run leaves."""
    put(released(max_iter=3))
    version = released(8, max_iter=3)
    first, _ = put(version)
    again, said = put(version)
    assert again == first
    assert said[0].startswith("version 2 of 'fraud' is already in place at ")


def test_a_version_that_was_not_promoted_is_not_deployed() -> None:
    """The run goes on, and says why; what serves is named."""
    first = released(max_iter=3)
    put(first, promoted(first))
    second = released(8, max_iter=3)
    with running(context("promote")):
        refused = promote(second, verdict_on(second, 0))
    assert not refused.promoted
    deployment, said = put(second, refused)
    assert not deployment.deployed
    assert deployment.facts["why"] == f"it was not promoted: {refused.facts['why']}"
    assert deployment.facts["previous"] == "1"
    assert said == [f"version 2 of 'fraud' was not deployed: {deployment.facts['why']}"]


def test_without_a_target_nothing_is_deployed(home: Path) -> None:
    """That is a choice, not an error."""
    deployment, _ = put(released(max_iter=3), target=None)
    assert deployment.facts == {
        "deployed": False,
        "target": None,
        "name": "fraud",
        "version": "1",
        "place": None,
        "previous": None,
        "why": "no target is named",
    }
    assert not (home / "bundles").exists()


def test_a_promotion_that_was_overtaken_deploys_nothing() -> None:
    """Between a run's promotion and its deployment another run's champion may have come: it stays."""
    first, second = released(max_iter=3), released(8, max_iter=3)
    earlier, later = promoted(first), promoted(second)
    put(second, later)
    deployment, _ = put(first, earlier)
    assert (deployment.deployed, deployment.facts["previous"]) == (False, "2")
    assert deployment.facts["why"] == "version 2 is the champion by now"
    assert mlflow_registry.deployed("fraud")["version"] == "2"  # type: ignore[index]


def test_a_promotion_of_another_version_is_no_reason_to_deploy_this_one() -> None:
    """A pass cannot be lent."""
    first, second = released(max_iter=3), released(8, max_iter=3)
    with pytest.raises(ContractError, match=r"The promotion is about fraud/1, not about models:/fraud/2"):
        put(second, promoted(first))


def test_a_model_that_is_not_registered_is_refused() -> None:
    """A logged one, wherever it is to go."""
    with running(context("train")):
        model = train(saved(payments()), features=FEATURES, options={"max_iter": 3})
    for target in ("bundle", None):
        with pytest.raises(ContractError, match="Only a registered version is deployed"):
            put(model, target=target)


def test_an_unknown_target_is_refused() -> None:
    """With those there are."""
    with pytest.raises(ParameterError, match=r"no deployment target 'sagemakr' here. Did you mean 'sagemaker'\?"):
        put(released(max_iter=3), target="sagemakr")


def test_a_rollback_is_followed_by_what_serves(home: Path) -> None:
    """The bundle of the version before is still there."""
    for seed in (7, 8):
        version = released(seed, max_iter=3)
        put(version, promoted(version))
    with running(context("rollback")):
        back = rollback("fraud", why="too many alarms")
        moved = mlflow_registry.follow("fraud", back.facts["version"])
    assert moved is not None
    assert (moved["version"], moved["previous"]) == ("1", "2")
    assert os.readlink(home / "bundles" / "fraud" / "current") == "1"
    assert mlflow_registry.follow("fraud", "2")["why"] == "version 1 is the champion by now"  # type: ignore[index]


def test_the_ledger_is_believed_before_a_tag_that_was_changed() -> None:
    """Files and tag exchanged together do not agree with the entry, whose hash would tell if it were changed too."""
    first, second = released(max_iter=3), released(8, max_iter=3)
    promotion = promoted(second)
    client().set_model_version_tag("fraud", "2", "ostinato.files", first.facts["files"])
    with pytest.raises(DataError, match=r"not certain which files models:/fraud/2 has.*entry 1 of the ledger says"):
        put(replace(second, facts={**second.facts, "files": first.facts["files"]}), promotion)


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "sklearn.linear_model:LogisticRegression"])
def test_a_missing_word_scores_the_same_alone_and_among_others(estimator: str) -> None:
    """A server that is asked for one row has None where a table has NaN: both are the same gap to the model."""
    version = released(estimator=estimator)
    rows = payments()[FEATURES].head(60)
    model = version.load()
    alone = rows.iloc[[rows.country.isna().argmax()]].astype({"country": object})
    alone["country"] = None
    assert (model.predict_proba(alone) == model.predict_proba(rows)[rows.country.isna().argmax()]).all()
    recorded = json.loads((folder_of(version) / "smoke.json").read_text())["dataframe_split"]["data"]
    assert any(row[0] is None for row in recorded)
    assert put(version)[0].deployed


def folder_of(version: Model) -> Path:
    return local_path(client().get_model_version_download_uri("fraud", version.facts["version"]))


# --- served -------------------------------------------------------------------------------------------------------


@contextmanager
def served(folder: str, cwd: Path, path: str = "") -> Iterator[str]:
    """`mlflow models serve` as the log line says, on a free port, in an empty folder, with no store anywhere.

    `path` leads to the modules of the tests, where the model is of one of them.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    cwd.mkdir()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", folder, "--env-manager", "local"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "OSTINATO_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # it calls uvicorn
    with open(cwd.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=cwd,
            env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, cwd.with_suffix(".log"))
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
    _gone(port)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{url}/ping", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def _gone(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise AssertionError(f"something still listens on port {port}")


def ask(url: str, body: str) -> Any:
    request = Request(f"{url}/invocations", body.encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
def test_mlflow_models_serve_answers_for_the_bundle_with_the_estimators_probabilities(
    home: Path, tmp_path: Path
) -> None:
    """Words, gaps, rows alone and together; the recorded rows can be posted as they lie there; no store is needed."""
    version = released()
    deployment, _ = put(version)
    rows = payments()[FEATURES].tail(50)
    expected = version.load().predict_proba(rows)
    assert rows.country.isna().any()
    assert rows.risk.isna().any()
    plain = rows.astype(object).where(rows.notna(), None).to_numpy().tolist()  # to_json would round
    (home / "mlflow.db").rename(tmp_path / "away.db")
    with served(deployment.facts["place"], tmp_path / "empty") as url:
        together = ask(url, json.dumps({"dataframe_split": {"columns": FEATURES, "data": plain}}))
        assert together == expected.tolist()
        for row, probabilities in list(zip(plain, expected, strict=True))[:20]:
            alone = ask(url, json.dumps({"dataframe_split": {"columns": FEATURES, "data": [row]}}))
            assert alone == [probabilities.tolist()]
        smoke = (Path(deployment.facts["place"]) / "smoke.json").read_text()
        assert ask(url, smoke) == json.loads(smoke)["answers"]
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("ids", ["words", "numbers"])
def test_mlflow_models_serve_answers_for_a_recommender(ids: str, tmp_path: Path) -> None:
    """For users it knows and strangers, of whom it is told what they took lately or is not, all in one request."""
    model = taste(ids)
    with running(context("train")):
        logged = Model.of(model, asking(model))
        version = mlflow_registry.register(logged, "shop", "train", {})
    deployment, _ = put(version)
    known, recent = (3, [100, 101]) if ids == "numbers" else ("u3", ["i1", "i2"])
    stranger = 999_999 if ids == "numbers" else "x"
    with served(deployment.facts["place"], tmp_path / "empty", str(Path(__file__).parents[1])) as url:
        body = {"dataframe_records": [{"user": known}, {"user": stranger, "recent": recent}]}
        expected = model.predict(pd.DataFrame({"user": [known, stranger], "recent": [None, recent]}))
        assert ask(url, json.dumps(body)) == expected.to_dict("records")
        (alone,) = ask(url, json.dumps({"dataframe_records": [{"user": known}]}))
        assert alone["items"] == expected["items"][0]
        assert alone["scores"] == pytest.approx(expected["scores"][0], rel=model.tolerance)
        smoke = (Path(deployment.facts["place"]) / "smoke.json").read_text()
        assert ask(url, smoke) == json.loads(smoke)["answers"]
        with pytest.raises(HTTPError, match="400"):
            ask(url, json.dumps({"dataframe_records": [{"recent": recent}]}))
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.slow
def test_files_come_from_a_server_too_and_are_checked(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An MLflow server hands out what it likes: what is not on record is not deployed."""
    with mlflow_server(tmp_path / "server", workers=1) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        version = released(max_iter=3)
        deployment, _ = put(version, promoted(version))
        assert deployment.deployed
        rows = payments()[FEATURES].head(20)
        found = mlflow_registry.load_model(version).predict_proba(rows)
        import mlflow.pyfunc

        assert (mlflow.pyfunc.load_model(deployment.facts["place"]).predict(rows) == found).all()
        second = released(8, max_iter=3)
        for stored in (tmp_path / "server" / "served").rglob("model.skops"):
            stored.write_bytes(stored.read_bytes() + b" ")
        with pytest.raises(DataError, match="are not those that were logged"):
            put(second, promoted(second))
    assert os.readlink(home / "bundles" / "fraud" / "current") == "1"
    assert {path.name for path in (home / "bundles" / "fraud").iterdir()} == {".lock", "1", "current"}
    assert list((home / "tmp").iterdir()) == []

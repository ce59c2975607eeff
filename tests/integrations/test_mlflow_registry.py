"""MLflow as it really is: runs, models and their files, and a store that is away."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from integrations.mlflow_store import client, context, one_thread, put_store, run_python, transactions
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.errors import ConfigurationError, ContractError, DataError, Unavailable
from ostinato.integrations import mlflow_connection, mlflow_models, mlflow_registry, mlflow_runs
from ostinato.workspace import Workspace, local_path

FEATURES = ["risk", "speed"]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def store(home: Path) -> Path:
    put_store(home)
    return home


def fitted(kind: str = "hist", seed: int = 7, **options: Any) -> tuple[Any, pd.DataFrame]:
    table = transactions(400)
    rows = table[FEATURES].astype(float)
    if kind == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=5, random_state=seed, verbose=-1).fit(rows, table.label), rows
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=3, random_state=seed, **options).fit(rows, table.label), rows


def logged(seed: int = 7, *, step: str = "train", facts: Any = None, **where: Any) -> Model:
    estimator, rows = fitted(seed=seed)
    with running(context(step, **where)):
        return Model.of(estimator, rows.head(50), **(facts or {}))


def folder_of(model: Model) -> Path:
    location = client().get_logged_model(model.uri.removeprefix("models:/")).artifact_location
    return local_path(location)


def models_ready() -> list[Any]:
    experiment = client().get_experiment_by_name("fraud").experiment_id
    return [model for model in client().search_logged_models([experiment]) if str(model.status) == "READY"]


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hist", "lightgbm"])
@pytest.mark.usefixtures("store")
def test_mlflows_own_loader_returns_probabilities_without_pickle(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `mlflow models serve` would answer: both classes' chances; the files are skops and text."""
    estimator, rows = fitted(kind)
    with running(context()):
        model = Model.of(estimator, rows.head(50))
    mlflow = mlflow_connection.import_mlflow()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", Workspace.here().tracking_uri)
    served = mlflow.pyfunc.load_model(model.uri)
    assert (served.predict(rows) == estimator.predict_proba(rows)).all()
    assert [column.name for column in served.metadata.signature.inputs] == FEATURES
    assert (model.load().predict_proba(rows) == estimator.predict_proba(rows)).all()
    names = {path.name for path in folder_of(model).iterdir()} - {"registered_model_meta"}
    assert names == {"MLmodel", "model.skops", "smoke.json", "requirements.txt", "conda.yaml", "python_env.yaml"}


@pytest.mark.usefixtures("store")
def test_the_requirements_are_pinned_to_what_is_installed() -> None:
    """A server elsewhere installs the same versions; LightGBM's only where it is needed."""
    from importlib.metadata import version

    estimator, rows = fitted("lightgbm")
    with running(context()):
        model = Model.of(estimator, rows.head())
    lines = (folder_of(model) / "requirements.txt").read_text().split()
    assert f"scikit-learn=={version('scikit-learn')}" in lines
    assert f"lightgbm=={version('lightgbm')}" in lines
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines)
    assert "lightgbm" not in (folder_of(logged()) / "requirements.txt").read_text()


def test_files_lie_in_the_workspace_and_nothing_in_the_current_folder(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ./mlruns, no ./mlflow.db, no scratch left over."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    model = logged()
    model.load()
    assert folder_of(model).is_relative_to(store / "mlartifacts" / "fraud")
    assert list(here.iterdir()) == []
    assert list((store / "tmp").iterdir()) == []


@pytest.mark.usefixtures("store")
def test_a_model_logged_without_an_example_still_has_a_digest_of_its_content() -> None:
    """The README's `Model.of(estimator)`: the same fit is the same model, another seed or other data is not."""

    def digest(estimator: Any) -> str:
        with running(context(run_id=os.urandom(4).hex())):
            model = Model.of(estimator)
            assert model.features == FEATURES
            model.load()
            return model.digest

    estimator, rows = fitted()
    other = type(estimator)(max_iter=3, random_state=7).fit(rows, np.arange(len(rows)) % 2)
    assert digest(estimator) == digest(fitted()[0])
    assert len({digest(estimator), digest(other), digest(fitted(seed=8)[0])}) == 3


@pytest.mark.usefixtures("store")
def test_facts_travel_with_the_reference() -> None:
    """The caller's beside ours."""
    model = logged(facts={"rows": 400, "window": {"from": "2026-01-01"}})
    assert model.facts["window"] == {"from": "2026-01-01"}
    assert model.facts["size"] == sum(path.stat().st_size for path in folder_of(model).iterdir())
    assert set(model.facts) == {"rows", "window", "estimator", "features", "files", "size", "mlflow_run"}


@pytest.mark.usefixtures("store")
def test_a_thousand_features_do_not_make_the_reference_too_large() -> None:
    """The estimator knows their names; the reference says nothing of them."""
    from sklearn.dummy import DummyClassifier

    rows = pd.DataFrame(np.zeros((4, 1000)), columns=[f"feature number {number}" for number in range(1000)])
    with running(context()):
        model = Model.of(DummyClassifier().fit(rows, [0, 1, 0, 1]), rows)
    assert len(json.dumps(model.to_json())) < 2048
    assert model.features == []


@pytest.mark.usefixtures("store")
def test_what_is_no_json_is_no_fact() -> None:
    """Said before anything is stored."""
    with pytest.raises(ContractError, match="facts must be JSON"):
        logged(facts={"score": float("nan")})


@pytest.mark.usefixtures("store")
def test_an_estimator_with_a_lambda_cannot_be_stored() -> None:
    """skops loads without running code, so it stores no code."""
    from sklearn.preprocessing import FunctionTransformer

    with running(context()), pytest.raises(ContractError, match=r"FunctionTransformer cannot be stored: .*not lambdas"):
        Model.of(FunctionTransformer(lambda rows: rows).fit([[1]]))


@pytest.mark.parametrize("change", ["model.skops", "MLmodel", "new", "requirements.txt"])
@pytest.mark.usefixtures("store")
def test_a_model_whose_files_were_changed_is_not_loaded(change: str) -> None:
    """One byte more, or one file more, and it is not the model that was judged."""
    model = logged()
    file = folder_of(model) / change
    file.write_bytes(file.read_bytes() + b"\n" if file.exists() else b"import os")
    with pytest.raises(DataError, match=r"The files of models:/m-\w+ are not those that were logged"):
        model.load()


@pytest.mark.usefixtures("store")
def test_a_model_changed_after_it_was_checked_is_loaded_as_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to the store may do so at any moment: what is parsed is a copy of what was checked."""
    estimator, rows = fitted()
    with running(context("train_2")):
        other = folder_of(Model.of(type(estimator)(max_iter=9).fit(rows, rows.risk > 0), rows))
    model, load = logged(), mlflow_models._skops().load

    def change_and_load(*arguments: Any, **options: Any) -> Any:
        for file in folder_of(model).iterdir():
            file.write_bytes((other / file.name).read_bytes())
        return load(*arguments, **options)

    monkeypatch.setattr(mlflow_models._skops(), "load", change_and_load)
    assert (model.load().predict_proba(rows) == estimator.predict_proba(rows)).all()
    with pytest.raises(DataError, match="not those that were logged"):
        model.load()


def test_the_digest_of_files_is_what_it_always_was(tmp_path: Path) -> None:
    """Every version in production is known by it; what MLflow adds on the way is no part of it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_bytes(b"flavors: {}\n")
    (tmp_path / "data" / "model.skops").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "registered_model_meta").write_bytes(b"model_name: fraud\n")
    digest = "sha256:be8f7af2352815750441ed4c7d485e2e2f1852ea9862da40a083b2fa686ef5e1"
    assert mlflow_models.digest_of_files(tmp_path) == (digest, 12 + 1_280_000)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux how much memory it takes")
@pytest.mark.usefixtures("store")
def test_a_large_model_takes_twice_its_size_to_log_to_load_and_to_deploy() -> None:
    """Once as skops' buffers, once as what is written or read; the files are never in memory whole."""
    done = run_python(
        """
import numpy as np, pandas as pd
from integrations.taste_model import taste
from integrations.test_mlflow_registry import peak
from integrations.mlflow_store import context
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.integrations.mlflow_registry import deploy, register

def through(megabytes):
    model, users = taste(seed=megabytes), pd.DataFrame({"user": ["u1", "x"]})
    model.spelling = np.random.default_rng(0).integers(0, 255, megabytes * 2**20, dtype=np.uint8)
    with running(context(run_id=str(megabytes))):
        log, stored = peak(lambda: Model.of(model, users))
        version = register(stored, "shop", str(megabytes), {})
        del model
        load, _ = peak(version.load)
        put, _ = peak(lambda: deploy(version))
        again, _ = peak(lambda: deploy(version))
    return [log, load, put, again]

through(1)
print(through(100))
"""
    )
    assert done.returncode == 0, done.stderr
    log, load, put, again = json.loads(done.stdout)
    assert max(log, load, put) < 230
    assert again < 30


def peak(act: Any) -> tuple[int, Any]:
    """How many megabytes of memory something takes at most, beside what there was; and what it returns."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    made = act()
    return memory("VmHWM") - before, made


def memory(which: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(which))


@pytest.mark.usefixtures("store")
def test_a_model_whose_files_are_gone_says_so() -> None:
    """As does one that never was."""
    model = logged()
    for file in folder_of(model).iterdir():
        file.unlink()
    with pytest.raises(DataError, match="are gone from"):
        model.load()
    with pytest.raises(DataError, match="models:/m-0000 is not in the model store"):
        Model("models:/m-0000", "sha256:0", {"files": "sha256:0"}).load()
    with pytest.raises(DataError, match="models:/fraud/7 is not in the model store"):
        Model("models:/fraud/7", "sha256:0", {"files": "sha256:0"}).load()


@pytest.mark.usefixtures("store")
def test_a_reference_without_a_digest_of_files_is_not_loaded() -> None:
    """Nothing to check against is not a reason to trust."""
    with pytest.raises(DataError, match="no digest of its files on record"):
        Model("models:/m-0000", "sha256:0").load()


@pytest.mark.usefixtures("store")
def test_a_retry_returns_the_model_that_is_already_there() -> None:
    """The same key and the same content: one model."""
    assert logged(attempt=2) == logged(attempt=1)
    assert len(models_ready()) == 1


@pytest.mark.usefixtures("store")
def test_a_retry_does_not_bless_files_that_were_changed_in_between() -> None:
    """What counts is what was logged, not what lies there now."""
    model = logged(attempt=1)
    with (folder_of(model) / "model.skops").open("ab") as file:
        file.write(b"\n")
    again = logged(attempt=2)
    assert again == model
    with pytest.raises(DataError, match="not those that were logged"):
        again.load()


@pytest.mark.usefixtures("store")
def test_a_retry_that_trains_another_model_replaces_the_first() -> None:
    """Two usable models of one piece of work would be one too many."""
    first, second = logged(seed=1, attempt=1), logged(seed=2, attempt=2)
    assert [f"models:/{model.model_id}" for model in models_ready()] == [second.uri]
    assert first.uri != second.uri


@pytest.mark.usefixtures("store")
def test_a_step_may_log_several_models() -> None:
    """They are one attempt's own; another step's are none of its business either."""
    made = {logged(seed=1).uri, logged(seed=2).uri, logged(seed=1, step="train_2").uri}
    assert {f"models:/{model.model_id}" for model in models_ready()} == made
    assert len(made) == 3


@pytest.mark.usefixtures("store")
def test_killed_while_writing_a_model_leaves_nothing_usable() -> None:
    """SIGKILL between the first file and the last: the next attempt deletes the half and writes a whole one."""
    done = run_python(
        """
import os, signal
from integrations import test_mlflow_registry
from ostinato.integrations import mlflow_connection

def write_and_die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

mlflow_connection.import_mlflow().MlflowClient.finalize_logged_model = write_and_die
test_mlflow_registry.logged()
"""
    )
    assert done.returncode == -9, done.stderr
    assert list(Workspace.here().scratch().iterdir()) != []
    Workspace.here().prepare()
    assert list(Workspace.here().scratch().iterdir()) == []
    experiment = client().get_experiment_by_name("fraud").experiment_id
    (half,) = client().search_logged_models([experiment])
    assert str(half.status) == "PENDING"
    whole = logged(attempt=2)
    whole.load()
    (left,) = client().search_logged_models([experiment])
    assert f"models:/{left.model_id}" == whole.uri
    assert str(left.status) == "READY"


# --- runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store")
def test_all_steps_of_a_run_share_one_mlflow_run() -> None:
    """Parameters flattened and without passwords, the code's version and the environment as tags."""
    where: dict[str, Any] = {
        "parameters": {"floor": 0.6, "columns": {"time": "ts"}, "source": "postgresql://me:secret@bank/tx", "tags": []},
        "tags": {"code": "git:abc", "environment": "sha256:1"},
    }
    model = logged(**where)
    with running(context("evaluate", **where)):
        mlflow_registry.log_metrics({"average_precision": 0.5, "cost": 12}, {"outcome": "pass"})
    run = client().get_run(model.facts["mlflow_run"])
    assert run.data.params == {
        "floor": "0.6",
        "columns.time": "ts",
        "source": "postgresql://***@bank/tx",
        "tags": "[]",
    }
    assert run.data.metrics == {"average_precision": 0.5, "cost": 12.0}
    told = {name: value for name, value in run.data.tags.items() if name.startswith("ostinato.")}
    assert told == {
        "ostinato.run_id": "r1",
        "ostinato.pipeline": "fraud",
        "ostinato.engine": "none",
        "ostinato.code": "git:abc",
        "ostinato.environment": "sha256:1",
        "ostinato.outcome": "pass",
    }
    assert len(client().search_runs([run.info.experiment_id])) == 1
    assert [output.model_id for output in run.outputs.model_outputs] == [model.uri.removeprefix("models:/")]


@pytest.mark.usefixtures("store")
def test_two_steps_that_start_at_once_settle_on_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each looks, sees nothing and makes one; whoever was later takes its own back."""
    first = logged().facts["mlflow_run"]
    look, looked = mlflow_runs._runs, []

    def look_too_early(*arguments: Any) -> Any:
        looked.append(arguments)
        return look(*arguments) if len(looked) > 1 else []

    monkeypatch.setattr(mlflow_runs, "_runs", look_too_early)
    assert logged(step="train_2").facts["mlflow_run"] == first
    experiment = client().get_experiment_by_name("fraud").experiment_id
    assert [run.info.run_id for run in client().search_runs([experiment])] == [first]


@pytest.mark.usefixtures("store")
def test_a_hundred_and_more_parameters_are_logged() -> None:
    """MLflow takes a hundred at a time, and few characters in a name."""
    logged(parameters={f"p{number} (%)": number for number in range(150)})
    run = client().search_runs([client().get_experiment_by_name("fraud").experiment_id])[0]
    assert len(run.data.params) == 150
    assert run.data.params["p7 ___"] == "7"


@pytest.mark.parametrize(
    ("state", "status"), [("succeeded", "FINISHED"), ("failed", "FAILED"), ("cancelled", "KILLED")]
)
@pytest.mark.usefixtures("store")
def test_a_closed_run_is_over_and_a_resumed_one_runs_again(state: str, status: str) -> None:
    """The same run, not a second one."""
    run_id = logged().facts["mlflow_run"]
    assert client().get_run(run_id).info.status == "RUNNING"
    with running(context("close")):
        mlflow_registry.close_run(state)
    assert client().get_run(run_id).info.status == status
    assert logged(step="train_2").facts["mlflow_run"] == run_id
    assert client().get_run(run_id).info.status == "RUNNING"


@pytest.mark.usefixtures("store")
def test_closing_a_run_that_logged_nothing_beside_one_that_did_changes_nothing() -> None:
    """The other run stays as it is."""
    run_id = logged().facts["mlflow_run"]
    for other in ({"run_id": "r2"}, {"pipeline": "another pipeline"}):
        with running(context("close", **other)):
            mlflow_registry.close_run("failed")
    assert client().get_run(run_id).info.status == "RUNNING"


@pytest.mark.usefixtures("store")
def test_a_deleted_experiment_comes_back_when_the_pipeline_runs_again() -> None:
    """Whoever tidied up did not mean to stop the pipeline."""
    logged()
    experiment = client().get_experiment_by_name("fraud").experiment_id
    client().delete_experiment(experiment)
    logged(run_id="r2")
    assert client().get_experiment(experiment).lifecycle_stage == "active"


@pytest.mark.usefixtures("store")
def test_names_with_quotes_and_percent_signs_find_themselves_again() -> None:
    """A map key may be any text."""
    odd: dict[str, Any] = {"run_id": 'o\'brien "50 %"', "map_key": "x' OR tags.a = 'b"}
    assert logged(**odd) == logged(**odd, attempt=2)
    assert len(models_ready()) == 1


@pytest.mark.parametrize("name", ["Jürgens Ordner", "a#b&c=d", "50%20off?"])
def test_a_workspace_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Database and files lie where the workspace is, and nowhere else (but for an empty folder MLflow makes)."""
    home = tmp_path / "places" / name / "home"
    monkeypatch.setenv("OSTINATO_HOME", str(home))
    if "?" not in name:
        put_store(home)
    model = logged()
    model.load()
    assert folder_of(model).is_relative_to(home)
    assert {path.name for path in home.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlartifacts", "tmp"}
    if "?" not in name:
        assert [path.name for path in (tmp_path / "places").iterdir()] == [name]


def test_processes_racing_for_a_fresh_store_make_one_database_and_one_run(home: Path) -> None:
    """Both migrate, both look for the run of their pipeline; one does each."""
    code = (
        "from integrations.mlflow_store import context\n"
        "from ostinato.context import running\n"
        "from ostinato.integrations import mlflow_registry\n"
        "with running(context('{}', parameters=dict(a=1))):\n"
        "    mlflow_registry.log_metrics(dict({}=1.0), dict())\n"
    )
    both = [run_python(code.format(name, name), wait=False) for name in ("one", "two", "three")]
    for each in both:
        _, errors = each.communicate(timeout=120)
        assert each.returncode == 0, errors
        assert errors == ""
    experiments = client().search_experiments()
    assert sorted(each.name for each in experiments) == ["Default", "fraud"]
    assert all(each.artifact_location.startswith((home / "mlartifacts").as_uri()) for each in experiments)
    (run,) = client().search_runs([each.experiment_id for each in experiments])
    assert run.data.metrics == {"one": 1.0, "two": 1.0, "three": 1.0}
    assert {path.name for path in home.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


# --- a store that is away or wrong --------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_store_that_does_not_answer_is_unavailable_at_once(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after MLflow's minutes of retries; the address is told, the password is not."""
    port = closed_port()
    mlflow_connection.import_mlflow()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:secret@127.0.0.1:{port}/x")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer") as caught:
        logged()
    assert time.monotonic() - began < 2
    assert f"{scheme}://***@127.0.0.1:{port}" in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_host_that_says_nothing_at_all_is_unavailable_soon(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that are swallowed, as by a firewall or a host that is off: here, a queue that is full."""
    mlflow_connection.import_mlflow()
    monkeypatch.setattr(mlflow_connection, "_CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://127.0.0.1:{port}")
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"does not answer \(timed out\)"):
            logged()
        assert time.monotonic() - began < 2
        for each in waiting:
            each.close()


class _Answer(BaseHTTPRequestHandler):
    status = 503

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    do_POST = do_GET  # noqa: N815 -- the name http.server wants

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, Unavailable), (404, ConfigurationError), (401, ConfigurationError)],
)
def test_a_server_that_refuses_is_busy_or_not_the_right_one(
    status: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy may pass in seconds; a page that is not MLflow's, or a missing password, will not."""
    began = time.monotonic()
    server = HTTPServer(("127.0.0.1", 0), type("_Server", (_Answer,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(error, match=f"MLflow at http://127.0.0.1:{server.server_port} "):
            logged()
    finally:
        server.shutdown()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "uri",
    [
        "redis://localhost/0",
        "http://localhost:port",
        "file:///tmp/mlruns",
        "sqlite:////proc/nowhere/mlflow.db",
        "sqlite:////tmp",
        "postgresql+psycopg9://localhost:1/x",
    ],
)
def test_a_wrong_address_is_a_matter_of_configuration(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again would not help, and MLflow's hundred seconds of trying do not either."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI"):
        logged()
    assert time.monotonic() - began < 10


def test_a_file_that_is_no_database_is_a_matter_of_configuration(home: Path) -> None:
    """As is a database of another version of MLflow."""
    home.mkdir()
    (home / "mlflow.db").write_text("no database at all, but long enough to be read as one" * 100)
    with pytest.raises(ConfigurationError, match="file is not a database"):
        logged()


def test_an_outdated_database_names_the_command_that_upgrades_it(store: Path) -> None:
    """MLflow's own advice is passed on."""
    with sqlite3.connect(store / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    with pytest.raises(ConfigurationError, match="out-of-date database schema"):
        logged()


@pytest.mark.slow
def test_a_database_that_somebody_keeps_locked_is_unavailable(store: Path) -> None:
    """SQLite waits some seconds for its turn, then the engine decides."""
    with sqlite3.connect(store / "mlflow.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match=r"database is locked\): another process may be writing"):
            logged()
    holder.close()
    logged()

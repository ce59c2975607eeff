"""A version is made once, and only of a model that passed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from integrations.mlflow_store import client, context, one_thread, put_store, run_python, saved, transactions
from ostinato.artifacts import Model, Verdict
from ostinato.context import running
from ostinato.errors import ContractError, ParameterError
from ostinato.steps import register, train


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[None]:
    put_store(home)
    with one_thread():
        yield


def trained(seed: int = 7, run_id: str = "r1") -> Model:
    with running(context("train", run_id=run_id)):
        return train(saved(transactions(500)), options={"max_iter": 3}, seed=seed)


def judged(model: Model, outcome: str = "pass") -> Verdict:
    with running(context("evaluate")):
        check = {"name": "average_precision", "value": 0.5, "bound": 0.1, "outcome": outcome}
        return Verdict.of([check], {"average_precision": 0.5}, model=model.digest, data="sha256:test")


def released(model: Model, name: str | None = None, **where: Any) -> Model:
    with running(context("register", **where)):
        return register(model, judged(model), name=name)


def versions(name: str = "fraud") -> list[Any]:
    return sorted(client().search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))


def test_a_passed_model_becomes_a_version_that_tells_where_it_comes_from() -> None:
    """Data, verdict, code, run and the model's digest stand in the version's tags; the number is text."""
    model = trained()
    version = released(model, tags={"code": "git:abc"})
    assert version.uri == "models:/fraud/1"
    assert version.facts["version"] == "1"
    assert version.digest == model.digest
    (made,) = versions()
    told = {name.removeprefix("ostinato."): value for name, value in made.tags.items()}
    assert told == {
        "data": model.facts["data"],
        "test_data": "sha256:test",
        "verdict": judged(model).digest,
        "code": "git:abc",
        "run_id": "r1",
        "pipeline": "fraud",
        "key": "r1/register",
        "model": model.digest,
        "files": model.facts["files"],
        "logged_model": model.uri.removeprefix("models:/"),
    }
    assert made.run_id == model.facts["mlflow_run"]


def test_a_version_loads_as_the_model_it_was_made_of() -> None:
    """Also by MLflow's own pyfunc, which returns probabilities."""
    model = trained()
    version = released(model)
    rows = transactions(20)[model.features].astype(float)
    expected = model.load().predict_proba(rows)
    assert (version.load().predict_proba(rows) == expected).all()
    assert version.load().get_params() == model.load().get_params()


def test_the_name_is_the_pipelines_unless_one_is_given() -> None:
    """Outside of a pipeline it is `model`."""
    model = trained()
    assert released(model).facts["name"] == "fraud"
    assert released(model, "cards").uri == "models:/cards/1"
    assert released(model, pipeline="").uri == "models:/model/1"


@pytest.mark.parametrize("outcome", ["fail", "not-enough-data"])
def test_a_model_that_did_not_pass_is_refused(outcome: str) -> None:
    """Whatever the graph says."""
    model = trained()
    with running(context("register")), pytest.raises(ContractError, match=r"did not pass \(average_precision\)"):
        register(model, judged(model, outcome))
    assert versions() == []


def test_a_verdict_about_another_model_is_refused() -> None:
    """A pass cannot be lent."""
    model = trained()
    with running(context("register")), pytest.raises(ContractError, match="about another model"):
        register(replace(model, digest="sha256:other"), judged(model))
    assert versions() == []


@pytest.mark.parametrize("name", ["a/b", "a:b", "o'brien"])
def test_a_name_that_mlflow_cannot_take_is_refused(name: str) -> None:
    """A slash would make it another address."""
    with pytest.raises(ParameterError, match="has no slash, colon"):
        released(trained(), name)


def test_the_same_step_registers_once_however_often_it_runs() -> None:
    """A retry or a cleared task reports its earlier effect, even when other versions came later."""
    model = trained()
    first = released(model)
    released(trained(seed=8), run_id="r2")
    assert released(model) == first
    assert [version.version for version in versions()] == [1, 2]


def test_the_same_model_from_a_later_run_makes_no_version() -> None:
    """Identical inputs: unchanged."""
    first = released(trained())
    again = released(trained(run_id="r2"), run_id="r2")
    assert again.uri == first.uri
    assert again.facts["unchanged"] is True
    assert "unchanged" not in first.facts
    assert len(versions()) == 1
    assert again.load().get_params()["random_state"] == 7


def test_another_model_makes_the_next_version() -> None:
    """And going back to the first is a version again: only the newest counts as unchanged."""
    released(trained())
    assert released(trained(seed=8), run_id="r2").facts["version"] == "2"
    assert released(trained(), run_id="r3").facts["version"] == "3"


def test_another_model_under_the_same_key_is_not_taken_for_the_first() -> None:
    """A cleared run that trains anew must not report the version of the model it replaced."""
    released(trained())
    second = trained(seed=8)
    assert released(second).facts["version"] == "2"
    assert second.digest == versions()[1].tags["ostinato.model"]


def test_killed_between_making_the_version_and_recording_it_makes_one_version(home: Path) -> None:
    """SIGKILL right after MLflow made it; the step is run again and finds it."""
    model = trained()
    done = run_python(
        f"""
import os, signal
from integrations.mlflow_store import context
from ostinato.artifacts import Model, Verdict
from ostinato.context import running
from ostinato.integrations import mlflow_connection
from ostinato.steps import register

create = mlflow_connection.import_mlflow().MlflowClient.create_model_version

def create_and_die(*arguments, **options):
    print(create(*arguments, **options).version, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

mlflow_connection.import_mlflow().MlflowClient.create_model_version = create_and_die
model = Model.from_json({model.to_json()!r})
with running(context("register")):
    register(model, Verdict.from_json({judged(model).to_json()!r}))
"""
    )
    assert (done.returncode, done.stdout.strip()) == (-9, "1"), done.stderr
    version = released(model)
    assert version.facts["version"] == "1"
    assert "unchanged" not in version.facts
    assert len(versions()) == 1
    assert version.load().get_params() == model.load().get_params()

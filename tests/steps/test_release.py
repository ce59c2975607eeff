"""A version is made once, and only of a model that passed; a champion is replaced only by one judged against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.mlflow_store import client, context, one_thread, put_store, run_python, saved, transactions
from integrations.releases import alias_of, promotes, put_versions, rolls_back, verdict_on, version_of
from ostinato.artifacts import Approval, Model, Promotion, Verdict
from ostinato.context import running
from ostinato.errors import ContractError, ParameterError
from ostinato.integrations import mlflow_registry
from ostinato.steps import register, train
from ostinato.steps.release import promote, rollback


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
        "data_from": model.facts["window"]["from"],
        "data_until": model.facts["window"]["until"],
        "rows": "500",
        "positives": str(model.facts["positives"]),
        "estimator": model.facts["estimator"],
        "features": json.dumps(model.features, separators=(",", ":")),
        "size": str(model.facts["size"]),
        "test_data": "sha256:test",
        "verdict": judged(model).digest,
        "outcome": "pass",
        "checks": '[{"name":"average_precision","value":0.5,"bound":0.1,"outcome":"pass"}]',
        "metrics": '{"average_precision":0.5}',
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


@pytest.mark.parametrize("name", ["a/b", "a:b", "o'brien", "a?b", "a#b", "50%", "fraud.promotions"])
def test_a_name_that_mlflow_cannot_take_is_refused(name: str) -> None:
    """A slash would make it another address, and a ledger is no model."""
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
from integrations.releases import alias_of, promotes, put_versions, rolls_back, verdict_on, version_of
from ostinato.artifacts import Approval, Model, Promotion, Verdict
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


def test_what_came_of_the_suite_is_kept_with_the_version() -> None:
    """Where the caller hands in the validated table."""
    model = trained()
    found = {"facts": {"outcome": "passed", "suite": "transactions", "rows": 1200, "quarantined": 3}}
    with running(context("register")):
        table = saved(transactions(20))
        table = replace(table, facts={**table.facts, "validation": found})
        version = register(model, judged(model), validated=table)
    assert versions()[0].tags["ostinato.suite"] == "passed: suite transactions, 1,200 rows, 3 set aside"
    assert version.facts["suite"] == versions()[0].tags["ostinato.suite"]


# --- promote ------------------------------------------------------------------------------------------------------


def approval(*, granted: bool = True, by: str = "ann", why: str = "looks fine") -> Approval:
    with running(context("approve")):
        return Approval.of(granted=granted, by=by, why=why)


def test_a_registered_model_is_promoted_loaded_and_rolled_back() -> None:
    """The whole way with real models: what is champion is the estimator that was judged."""
    for seed in (7, 8):
        model = trained(seed=seed, run_id=f"r{seed}")
        version = released(model, run_id=f"r{seed}")
        with running(context("promote", run_id=f"r{seed}")):
            champion = mlflow_registry.champion("fraud")
            verdict = judged(model)
            against = {"ledger": {"name": "fraud", "entry": champion.entry if champion else 0}}
            assert promote(version, replace(verdict, facts={**verdict.facts, **against})).promoted
            placed = mlflow_registry.champion("fraud")
        assert placed is not None
        assert placed.model.digest == model.digest
        assert placed.model.load().get_params()["random_state"] == seed
    assert rolls_back("fraud").facts["version"] == "1"
    with running(context()):
        back = mlflow_registry.champion("fraud")
    assert back is not None
    assert back.model.load().get_params()["random_state"] == 7


@pytest.fixture
def name() -> str:
    put_versions("fraud", 4)
    return "fraud"


def refused(promotion: Promotion) -> str:
    """The sentence of a refusal, of which nothing is left but the sentence."""
    assert not promotion.promoted
    assert (promotion.facts["entry"], promotion.facts["replaced"], promotion.facts["kind"]) == (None, None, "promote")
    return str(promotion.facts["why"])


def test_a_promotion_tells_the_run_what_it_did(name: str) -> None:
    """Equal runs leave equal documents: the run's id stands in the ledger, not in the result."""
    promotes(name, 1)
    done = promotes(name, 2)
    assert done.facts == {
        "promoted": True,
        "name": "fraud",
        "version": "2",
        "replaced": "1",
        "entry": 2,
        "kind": "promote",
        "who": "fraud",
        "why": "1 check passed (noninferior)",
    }
    assert mlflow_registry.read(name).effective[-1].who == "fraud, run r2"
    assert done.read() == done.facts


def test_a_stale_verdict_does_not_promote(name: str) -> None:
    """Another champion came between judging and promoting: the run goes on, and nothing was replaced."""
    promotes(name, 1)
    promotes(name, 2)
    assert "the verdict was reached against entry 1 of 'fraud', but entry 2" in refused(promotes(name, 3, against=1))
    assert alias_of(name) == "2"


def test_a_backfill_does_not_promote(name: str) -> None:
    """Neither one the engine calls so, nor one for a moment that is not later than the champion's."""
    day = datetime(2026, 1, 8, tzinfo=UTC)
    assert promotes(name, 1, as_of=day).promoted
    assert "a backfill: the run stands for 2026-01-08" in refused(promotes(name, 2, as_of=day))
    assert "a backfill: the run stands for 2026-01-01" in refused(promotes(name, 2, as_of=day - timedelta(7)))
    later = day + timedelta(7)
    assert "works off the past" in refused(promotes(name, 2, as_of=later, tags={"backfill": "true"}))
    with running(context("promote", as_of=later)):
        model = version_of(name, 2)
        assert "works off the past" in refused(promote(model, verdict_on(model, 1), backfill=True))
    assert promotes(name, 2, as_of=later, tags={"backfill": "false"}).promoted


def test_after_a_rollback_the_same_moment_is_still_a_backfill(name: str) -> None:
    """Running the day again must not undo what a person decided."""
    for number in (1, 2):
        promotes(name, number, as_of=datetime(2026, 1, 7 + number, tzinfo=UTC))
    rolls_back(name)
    assert "a backfill" in refused(promotes(name, 3, as_of=datetime(2026, 1, 9, tzinfo=UTC)))
    assert promotes(name, 3, as_of=datetime(2026, 1, 10, tzinfo=UTC)).facts["replaced"] == "1"


def test_without_approval_nothing_is_promoted(name: str) -> None:
    """And the sentence says who did not agree, and why."""
    said = refused(promotes(name, 1, approval=approval(granted=False, why="too many false alarms")))
    assert said == "not approved by ann: too many false alarms"
    assert mlflow_registry.head(name) == 0


@pytest.mark.parametrize(("by", "who"), [("ann", "ann"), ("policy", "fraud, run r1")])
def test_who_promoted_is_the_person_who_approved_else_the_run(name: str, by: str, who: str) -> None:
    """A policy is nobody."""
    assert promotes(name, 1, approval=approval(by=by)).promoted
    entry = mlflow_registry.read(name).effective[-1]
    assert (entry.who, entry.evidence["approver"], entry.evidence["approval"]) == (who, by, "looks fine")


def test_what_was_rolled_back_is_not_promoted_by_a_run(name: str) -> None:
    """The same data trains the same model, and the newest version is that one."""
    promotes(name, 1)
    promotes(name, 2)
    rolls_back(name)
    assert "version 2 of 'fraud' was rolled back" in refused(promotes(name, 2, run_id="r9"))


def test_a_verdict_that_did_not_pass_or_is_about_something_else_is_a_mistake_of_the_pipeline(name: str) -> None:
    """Not a refusal: the step fails, and says what to write."""
    model = version_of(name, 1)
    good = verdict_on(model, 0)
    failed = replace(good, facts={**good.facts, "passed": False, "checks": [{**good.checks[0], "outcome": "fail"}]})
    elsewhere = verdict_on(model, 0, ledger={"name": "cards", "entry": 0})
    cases: list[tuple[Model, Verdict, str]] = [
        (model, failed, "put promote under when"),
        (replace(model, digest="sha256:other"), good, "about another model"),
        (model, elsewhere, "against the champion of 'cards'"),
        (replace(model, uri="models:/m-1", facts={}), good, "promote what register returned"),
    ]
    for given, verdict, sentence in cases:
        with running(context("promote")), pytest.raises(ContractError, match=sentence):
            promote(given, verdict)
    with running(context("promote")), pytest.raises(ContractError, match="is a version of 'fraud', not of 'cards'"):
        promote(model, good, name="cards")
    assert mlflow_registry.head(name) == 0


def test_a_rollback_wants_a_reason(name: str) -> None:
    """It stands in the ledger."""
    promotes(name, 1)
    promotes(name, 2)
    with pytest.raises(ParameterError, match="Say why"):
        rolls_back(name, why=" ")
    assert rolls_back(name, why="wrong currency").facts["why"] == "wrong currency"


def test_promote_and_rollback_are_done_once_however_often_the_step_runs() -> None:
    """Declared so, with retries for a store that is busy."""
    for each in (register, promote, rollback):
        assert (each.settings.effect, each.settings.retries) == ("once", 2)

"""What `evaluate` promises, on a real store with a real ledger."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from integrations.mlflow_store import client, context, one_thread, put_store, saved, transactions
from ostinato.artifacts import Model, Verdict
from ostinato.context import running
from ostinato.errors import ContractError, DataError, ParameterError, Unavailable, is_transient
from ostinato.ledger import Champion
from ostinato.steps import evaluate, measures, rivals
from ostinato.tables import Dataset
from steps.fitted import FEATURES, Fickle, crown, fit, judge, split


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[None]:
    put_store(home)
    with one_thread():
        yield


def checked(verdict: Verdict, name: str) -> dict[str, Any]:
    """The check of that name, from the file, which has all of them."""
    (found,) = [check for check in verdict.read()["checks"] if check["name"] == name]
    return dict(found)


def evidence(verdict: Verdict) -> dict[str, Any]:
    return dict(verdict.read()["evidence"])


def test_evaluate_measures_what_scikit_learn_and_the_handbook_measure() -> None:
    """The numbers of the verdict, worked out another way from the loaded model."""
    train_set, test_set = split(transactions())
    model = fit(train_set)
    verdict = judge(model, test_set, k=10, review_cost=2.0)

    rows = test_set.to_pandas(order_by=["time", "id"])
    scores = model.load().predict_proba(rows[FEATURES].astype(float))[:, 1]
    label = rows.label.to_numpy()
    days = (rows.time - pd.Timestamp("1970-01-01")).dt.days.to_numpy()
    by_day = measures.card_precision_at_k(label, scores, days, rows.card.to_numpy(), 10)
    ranking = measures.rank(label, scores)
    cost = measures.cheapest(ranking, label, rows.amount.to_numpy(), 2.0)
    expected = {
        "rows": len(rows),
        "positives": label.sum(),
        "base_rate": label.mean(),
        "average_precision": average_precision_score(label, scores),
        "roc_auc": roc_auc_score(label, scores),
        "recall_at_fpr_0.01": measures.recall_at_false_positive_rate(ranking, 0.01),
        "card_precision_at_10": np.mean(list(by_day.values())),
        "cost": cost.cost,
        "cost_of_doing_nothing": cost.nothing,
        "cost_saved_share": cost.saved_share,
        "alerts": cost.alerts,
        "calibration_error": measures.calibration_error(measures.calibration(label, scores)),
    }
    assert verdict.metrics == pytest.approx(expected)
    days = evidence(verdict)["days"]
    assert [day["card_precision"] for day in days] == list(by_day.values())
    assert [day["day"] for day in days] == [f"2026-01-{day:02}" for day in range(6, 11)]
    assert sum(day["rows"] for day in days) == len(rows)
    assert sum(day["positives"] for day in days) == label.sum()


def test_a_model_with_skill_passes_and_says_by_how_much() -> None:
    """Without a floor it must beat the base rate by more than chance."""
    train_set, test_set = split(transactions())
    model = fit(train_set)
    verdict = judge(model, test_set)
    check = checked(verdict, "average_precision")
    assert verdict.passed
    assert [one["name"] for one in verdict.checks] == [
        "average_precision",
        "calibration_error",
        "latency_ms",
        "size_mb",
    ]
    assert {one["outcome"] for one in verdict.checks} == {"pass"}
    assert check["bound"] == verdict.metrics["base_rate"]
    assert 0 < check["lift_lower_bound"] < check["value"] - check["bound"]
    assert (verdict.facts["model"], verdict.facts["data"]) == (model.digest, test_set.digest)


@pytest.mark.parametrize("entity", ["card", None])
def test_a_model_that_knows_nothing_fails(entity: str | None) -> None:
    """Noise ranks by luck."""
    table = transactions().assign(noise=lambda table: np.random.default_rng(5).random(len(table)))
    train_set, test_set = split(table)
    verdict = judge(fit(train_set, features=["noise"]), test_set, entity=entity)
    assert not verdict.passed
    assert verdict.checks[0]["outcome"] == "fail"


def test_a_floor_is_the_bound_when_it_is_given() -> None:
    """Just reached is passed, one hair above is not."""
    train_set, test_set = split(transactions())
    model = fit(train_set)
    value = judge(model, test_set).metrics["average_precision"]
    assert judge(model, test_set, floor=value).passed
    assert not judge(model, test_set, floor=value + 1e-9).passed


@pytest.mark.parametrize("floor", [None, 0.0])
def test_few_positives_are_not_enough_data(floor: float | None) -> None:
    """Nine frauds prove nothing, not even a floor."""
    table = transactions()
    model = fit(table)
    frauds = table.index[table.label == 1]
    verdict = judge(model, table.drop(frauds[9:]), floor=floor)
    assert not verdict.passed
    assert verdict.checks[0]["outcome"] == "not-enough-data"
    assert judge(model, table.drop(frauds[10:]), floor=0.0).passed


@pytest.mark.parametrize("kept", ["none", "good", "fraud"])
def test_a_test_of_one_class_or_none_is_not_enough_data(kept: str) -> None:
    """What is not defined is left out, and the verdict is strict JSON."""
    table = transactions()
    model = fit(table)
    verdict = judge(model, table[table.label == {"none": 2, "good": 0, "fraud": 1}[kept]])
    assert not verdict.passed
    assert verdict.checks[0]["outcome"] == "not-enough-data"
    assert "roc_auc" not in verdict.metrics
    json.dumps(verdict.to_json(), allow_nan=False)


def test_a_verdict_is_small_strict_json_and_the_same_each_time() -> None:
    """A year of days does not make it grow: it crosses a step boundary."""
    table = transactions()
    table["time"] = pd.Timestamp("2025-01-01") + (table.time - table.time.min()) * 36
    model = fit(table)
    verdict = judge(model, table)
    assert len(evidence(verdict)["days"]) == 31
    assert len(json.dumps(verdict.to_json(), allow_nan=False)) < 6000
    assert judge(model, table.sample(frac=1, random_state=2)).digest == verdict.digest


def test_without_card_and_amount_those_measures_are_left_out() -> None:
    """Not every table has them."""
    table = transactions().drop(columns=["card", "amount"])
    verdict = judge(fit(table), table, entity=None, amount=None)
    assert set(verdict.metrics) == {
        "rows",
        "positives",
        "base_rate",
        "average_precision",
        "roc_auc",
        "recall_at_fpr_0.01",
        "calibration_error",
    }


def test_cards_may_be_text() -> None:
    """Names sort as numbers do here, so that the precision is the same."""
    table = transactions()
    model = fit(table)
    named = table.assign(card=table.card.map("card {:04}".format))
    assert judge(model, named).metrics == judge(model, table).metrics


def test_metrics_show_in_mlflow_at_the_run_and_at_the_model() -> None:
    """One run for both steps; the numbers under the names of the verdict."""
    table = transactions()
    model = fit(table)
    verdict = judge(model, table)
    run = client().get_run(model.facts["mlflow_run"])
    assert run.data.metrics == pytest.approx(verdict.metrics)
    assert run.data.tags["ostinato.outcome"] == "pass"
    logged = client().get_logged_model(model.uri.removeprefix("models:/"))
    assert {metric.key for metric in logged.metrics} == set(verdict.metrics)


@pytest.mark.parametrize(
    ("change", "options", "error", "said"),
    [
        ("drop", {}, DataError, r"has no column 'speed'. "),
        ("keep", {"entity": "cart"}, DataError, r"'cart'. Did you mean 'card'\?"),
        ("keep", {"time": "risk"}, DataError, "'risk' of .* is double, not a time"),
        ("gap", {}, DataError, "1 of 1000 rows of .* have no time|1 of 1,000 rows of .* have no time"),
        ("keep", {"k": 0}, ParameterError, "k is at least 1"),
        ("keep", {"false_positive_rate": 1.5}, ParameterError, "a rate from 0 to 1"),
    ],
)
def test_a_test_set_that_does_not_fit_is_refused(
    change: str, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    """Before anything is scored, by the column's name."""
    table = transactions(1000)
    model = fit(table)
    if change == "drop":
        table = table.drop(columns="speed")
    if change == "gap":
        table.loc[3, "time"] = pd.NaT
    with pytest.raises(error, match=said):
        judge(model, saved(table, "test"), **options)


def test_a_model_that_tells_no_scores_is_refused() -> None:
    """Classes alone cannot be ranked."""
    from sklearn.neighbors import KNeighborsRegressor

    table = transactions(300)
    with running(context("train")):
        model = Model.of(KNeighborsRegressor().fit(table[["risk"]], table.label), table[["risk"]].head())
    with pytest.raises(ContractError, match="neither predict_proba nor decision_function"):
        judge(model, table)


# --- against the champion -----------------------------------------------------------------------------------------


def moody(train_set: Dataset) -> Model:
    """A champion-to-be whose scores are its first feature, as long as it is in no mood (see `moody_model`)."""
    rows = train_set.to_pandas(["risk", "speed", "label"], order_by=["time", "id"])
    estimator = Fickle().fit(rows[["risk", "speed"]], rows.label)
    with running(context("train")):
        return Model.of(estimator, rows[["risk", "speed"]].head(), window=train_set.facts["time"])


@pytest.fixture
def halves() -> tuple[Dataset, Dataset]:
    """Five days to train on, and five to judge on."""
    return split(transactions(6000))


def test_the_first_candidate_has_nobody_to_be_compared_with(halves: tuple[Dataset, Dataset]) -> None:
    """It is judged against the empty ledger, which is recorded."""
    train_set, test_set = halves
    verdict = judge(fit(train_set), test_set)
    assert verdict.passed
    assert verdict.facts["mode"] == "bootstrap"
    assert verdict.facts["champion"] is None
    assert verdict.facts["ledger"] == {"name": "fraud", "entry": 0}
    assert verdict.facts["rows"] == {
        "count": test_set.rows,
        "from": test_set.facts["time"]["from"],
        "until": test_set.facts["time"]["until"],
    }


def test_the_champion_is_scored_anew_on_the_same_rows(halves: tuple[Dataset, Dataset]) -> None:
    """Its metrics are those it would get as a candidate today, and the difference is that of the two numbers."""
    train_set, test_set = halves
    old, new = fit(train_set, seed=1, features=["risk", "amount"]), fit(train_set, "r2")
    alone = judge(old, test_set)
    promotion = crown(old, test_set)
    verdict = judge(new, test_set, "r2")
    assert verdict.passed, verdict.checks
    assert verdict.facts["mode"] == "noninferior"
    assert verdict.facts["ledger"] == {"name": "fraud", "entry": promotion.facts["entry"]}
    champion = verdict.facts["champion"]
    assert (champion["version"], champion["digest"]) == ("1", old.digest)
    of_rows = {"rows", "positives", "base_rate", "cost_of_doing_nothing"}
    own = {name: value for name, value in alone.metrics.items() if name not in of_rows}
    assert champion["metrics"] == pytest.approx(own)
    check = checked(verdict, "champion")
    assert check["value"] == pytest.approx(verdict.metrics["average_precision"] - own["average_precision"])
    assert check["low"] < check["value"] < check["high"]
    assert check["bound"] == -0.01
    logged = client().get_run(new.facts["mlflow_run"]).data.metrics
    assert logged == pytest.approx(verdict.metrics | {f"champion_{name}": value for name, value in own.items()})


def test_a_candidate_that_is_worse_fails(halves: tuple[Dataset, Dataset]) -> None:
    """It says by how much, and against which version."""
    train_set, test_set = halves
    crown(fit(train_set), test_set)
    verdict = judge(fit(train_set, "r2", features=["speed"]), test_set, "r2", slices=["night"])
    assert verdict.outcome == "fail"
    check = checked(verdict, "champion")
    assert check["outcome"] == "fail"
    assert check["high"] < -0.01
    assert "version 1" in check["why"]
    slices = evidence(verdict)["slices"]
    assert {one["outcome"] for one in slices} == {"fail"}
    assert all(one["difference"] == pytest.approx(one["candidate"] - one["champion"]) for one in slices)


def test_not_worse_passes_where_better_does_not(halves: tuple[Dataset, Dataset]) -> None:
    """Another seed is another model, and no better one."""
    train_set, test_set = halves
    options = {"max_iter": 15, "max_leaf_nodes": 7, "max_features": 0.9}
    crown(fit(train_set, options=options), test_set)
    other = fit(train_set, "r2", options=options, seed=8)
    assert judge(other, test_set, "r2", margin=0.1).passed
    verdict = judge(other, test_set, "r3", compare="superior")
    assert verdict.outcome == "fail"
    assert verdict.facts["mode"] == "superior"
    assert checked(verdict, "champion")["bound"] == 0


def test_the_champion_trained_again_is_unchanged(halves: tuple[Dataset, Dataset]) -> None:
    """Neither passed nor failed: its metrics are measured, and it is compared with nobody."""
    train_set, test_set = halves
    model = fit(train_set)
    crown(model, test_set)
    again = fit(train_set, "r2")
    verdict = judge(again, test_set, "r2", floor=1.0)
    assert again.uri != model.uri
    assert (verdict.outcome, verdict.passed) == ("unchanged", False)
    assert verdict.checks[0]["outcome"] == "unchanged"
    assert "version 1" in verdict.checks[0]["why"]
    assert verdict.metrics["average_precision"] > 0.1
    assert "champion" not in {check["name"] for check in verdict.checks}
    assert verdict.facts["champion"] == {"version": "1", "digest": model.digest, "metrics": {}}


def test_without_comparison_the_champion_is_only_named(halves: tuple[Dataset, Dataset]) -> None:
    """A worse candidate passes on its own merits."""
    train_set, test_set = halves
    crown(fit(train_set), test_set)
    verdict = judge(fit(train_set, "r2", features=["speed"]), test_set, "r2", compare="none")
    assert verdict.passed
    assert verdict.facts["mode"] == "absolute"
    assert verdict.facts["champion"]["metrics"] == {}


def test_the_champion_of_another_name_is_another_champion(halves: tuple[Dataset, Dataset]) -> None:
    """By default it is the pipeline's."""
    train_set, test_set = halves
    crown(fit(train_set), test_set)
    assert judge(fit(train_set, "r2"), test_set, "r2", name="cards").facts["champion"] is None


def test_a_champion_that_may_have_seen_the_rows_is_no_measure(halves: tuple[Dataset, Dataset]) -> None:
    """Trained on the first half hour of the test, it knows some of the answers; nobody is passed for beating it."""
    train_set, test_set = halves
    table = transactions(6000)
    crown(fit(table[table.time < "2026-01-06 00:30"], features=["risk"]), test_set)
    verdict = judge(fit(train_set, "r2"), test_set, "r2")
    assert verdict.outcome == "not-enough-data"
    why = checked(verdict, "champion")["why"]
    assert "was trained on rows up to 2026-01-06 00:" in why
    assert "the test begins at 2026-01-06" in why
    assert verdict.facts["champion"]["metrics"] == {}


def test_a_champion_that_does_not_say_when_it_was_trained_is_no_measure(halves: tuple[Dataset, Dataset]) -> None:
    """Its training rows may be these."""
    train_set, test_set = halves
    timeless = Dataset.of(train_set.to_pandas(), "timeless")
    crown(fit(timeless), test_set)
    verdict = judge(fit(train_set, "r2", seed=8, features=["risk"]), test_set, "r2")
    assert verdict.outcome == "not-enough-data"
    assert "does not say from when its training rows are" in checked(verdict, "champion")["why"]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("deleted", "cannot be loaded: .* (are gone from|No such)"),
        ("changed", "cannot be loaded: .* are not those that were logged"),
        ("no version", "cannot be loaded: models:/fraud/1 is not in the model store"),
    ],
)
def test_a_champion_whose_files_are_not_there_is_no_measure(
    home: Path, halves: tuple[Dataset, Dataset], harm: str, said: str
) -> None:
    """Its absence is a reason in the verdict, and never a pass."""
    train_set, test_set = halves
    champion = fit(train_set, seed=1, features=["risk"])
    crown(champion, test_set)
    if harm == "no version":
        client().delete_model_version("fraud", "1")
    (folder,) = [each for each in home.rglob("model.skops") if champion.uri.removeprefix("models:/") in str(each)]
    if harm == "changed":
        folder.write_bytes(folder.read_bytes()[:-1] + b"!")
    if harm == "deleted":
        shutil.rmtree(folder.parent)
    verdict = judge(fit(train_set, "r2"), test_set, "r2")
    assert verdict.outcome == "not-enough-data"
    assert re.search(said, checked(verdict, "champion")["why"])
    assert verdict.facts["champion"]["version"] == "1"


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("does not load", "cannot be loaded: not today"),
        ("raises", "cannot be scored: division by a bad mood"),
        ("fickle", "cannot be scored: no answer [0-9a-f]{16}"),
        ("nan", "cannot be scored: version 1 gives .* a score that is no number"),
        ("short", "cannot be scored: version 1 gives scores of shape"),
        ("one column", "cannot be scored: "),
    ],
)
def test_a_champion_that_gives_no_scores_is_no_measure(
    monkeypatch: pytest.MonkeyPatch, halves: tuple[Dataset, Dataset], mood: str, said: str
) -> None:
    """Whatever it raises is a reason in the verdict; two runs that meet it have the same digest."""
    train_set, test_set = halves
    crown(moody(train_set), test_set, max_calibration_error=None)
    candidate = fit(train_set, "r2")
    monkeypatch.setenv("MOOD", mood)
    verdict = judge(candidate, test_set, "r2")
    assert verdict.outcome == "not-enough-data"
    assert re.search(said, checked(verdict, "champion")["why"])
    assert judge(candidate, test_set, "r3").digest == verdict.digest


def test_a_champion_that_lacks_a_column_is_no_measure(halves: tuple[Dataset, Dataset]) -> None:
    """The column is named."""
    train_set, test_set = halves
    crown(fit(train_set), test_set)
    narrow = saved(test_set.to_pandas().drop(columns=["speed"]), "narrow")
    verdict = judge(fit(train_set, "r2", features=["risk"]), narrow, "r2")
    assert verdict.outcome == "not-enough-data"
    assert "cannot be scored: the test has no column 'speed'" in checked(verdict, "champion")["why"]


@pytest.mark.parametrize("when", ["looked up", "loaded", "scored"])
def test_a_store_that_is_away_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, halves: tuple[Dataset, Dataset], when: str
) -> None:
    """The step fails and may be tried again: the champion is not to blame."""
    train_set, test_set = halves
    candidate = moody(train_set)
    other = fit(train_set, "r2")
    if when == "scored":
        crown(candidate, test_set, max_calibration_error=None)
        monkeypatch.setenv("MOOD", "gone")
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises((Unavailable, ConnectionError)) as caught, running(context("evaluate", run_id="r2")):
        rivals.loaded(Champion(1, "1", candidate), FEATURES) if when == "loaded" else evaluate(other, test_set)
    assert is_transient(caught.value)


def test_few_positives_leave_the_comparison_open(halves: tuple[Dataset, Dataset]) -> None:
    """Nine frauds do not tell which model is better."""
    train_set, test_set = halves
    crown(fit(train_set), test_set)
    table = test_set.to_pandas()
    few = table.drop(table.index[table.label == 1][9:])
    verdict = judge(fit(train_set, "r2", seed=8, features=["risk"]), few, "r2", slices=["night"])
    assert verdict.outcome == "not-enough-data"
    assert "9 positives" in checked(verdict, "champion")["why"]
    assert checked(verdict, "average_precision")["outcome"] == "not-enough-data"
    assert {one["outcome"] for one in evidence(verdict)["slices"]} == {"not-enough-data"}


# --- slices -------------------------------------------------------------------------------------------------------


def test_a_candidate_that_harms_a_slice_fails(halves: tuple[Dataset, Dataset]) -> None:
    """Better on the whole, and blind where nobody looked: at night it gives its scores upside down."""
    train_set, test_set = halves
    crown(fit(train_set, features=["risk", "night"]), test_set)
    blind = train_set.to_pandas(order_by=["time", "id"])
    at_night = blind.night.to_numpy()
    blind["risk"] = np.where(at_night, -blind.risk, blind.risk)
    verdict = judge(fit(blind, "r2", features=["risk", "night"]), test_set, "r2", slices=["night"])
    assert checked(verdict, "slice night = true")["outcome"] == "fail"
    assert checked(verdict, "slice night = false")["outcome"] == "pass"
    assert verdict.outcome == "fail"
    assert verdict.facts["counts"] == {"slices": {"fail": 1, "not-enough-data": 0, "pass": 1}}
    assert [check["name"] for check in verdict.checks if check.get("group")] == ["slice night = true"]


def test_without_a_champion_a_slice_is_held_against_its_base_rate(halves: tuple[Dataset, Dataset]) -> None:
    """Scores that are upside down in it are worse than none."""
    train_set, test_set = halves
    blind = train_set.to_pandas()
    for column in ("risk", "speed"):
        blind[column] = np.where(blind.night, -blind[column], blind[column])
    test = test_set.to_pandas()
    mixed = test.assign(label=np.where(test.night, test.risk < 1.5, test.label == 1).astype(int))
    verdict = judge(fit(train_set), mixed, slices=["night"])
    assert checked(verdict, "slice night = true")["outcome"] == "fail"
    assert checked(verdict, "slice night = true")["bound"] == 0
    assert checked(verdict, "slice night = false")["outcome"] == "pass"


def test_a_slice_of_few_rows_decides_nothing(halves: tuple[Dataset, Dataset]) -> None:
    """It is listed, says why, and the candidate passes."""
    train_set, test_set = halves
    test = test_set.to_pandas()
    test["country"] = np.where(test.index < 5, "LI", "DE")
    verdict = judge(fit(train_set), test, slices=["country"])
    check = checked(verdict, "slice country = LI")
    assert (check["outcome"], check["decisive"]) == ("not-enough-data", False)
    assert check["why"].startswith("5 rows; it takes 500")
    assert verdict.passed


def test_of_more_slices_each_is_given_less_to_chance(halves: tuple[Dataset, Dataset]) -> None:
    """All together have one chance in twenty to look harmed where none is."""
    train_set, test_set = halves
    model = fit(train_set)
    few, more = (evidence(judge(model, test_set, slices=names))["slices"] for names in (["night"], ["night", "amount"]))
    assert (few[0]["value"], few[0]["difference"]) == (more[0]["value"], more[0]["difference"])
    assert more[0]["high"] - more[0]["low"] > 1.1 * (few[0]["high"] - few[0]["low"])


def test_however_many_slices_there_are_the_verdict_stays_small() -> None:
    """All are in its file; of those that travel the ones that failed come first."""
    table = transactions()
    columns = [f"a rather long name of a column {number}" for number in range(12)]
    random = np.random.default_rng(0)
    for column in columns:
        table[column] = [f"{'a value as long as values are ' * 3}{each}" for each in random.integers(0, 30, len(table))]
    model = fit(table, features=FEATURES)
    verdict = judge(model, table, slices=columns)
    assert len(evidence(verdict)["slices"]) == 12 * 21
    assert len(json.dumps(verdict.to_json())) < 6000
    assert verdict.facts["counts"]["slices"]["not-enough-data"] > 0
    assert [check["name"] for check in verdict.checks][:4] == [
        "average_precision",
        "calibration_error",
        "latency_ms",
        "size_mb",
    ]


# --- the other checks ---------------------------------------------------------------------------------------------


def test_a_digest_leaves_out_how_long_it_took(halves: tuple[Dataset, Dataset]) -> None:
    """Two runs on the same inputs give the same verdict, however fast the machine is at the time."""
    train_set, test_set = halves
    crown(fit(train_set, features=["risk"]), test_set)
    first, second = (
        judge(fit(train_set, run_id), test_set, run_id, slices=["night", "risk"]) for run_id in ("r2", "r3")
    )
    assert first.digest == second.digest
    assert checked(first, "latency_ms")["value"] != checked(second, "latency_ms")["value"]


def test_the_file_tells_what_plots_are_made_of(halves: tuple[Dataset, Dataset]) -> None:
    """Curves and bins of both models, costs, and how the bootstrap was done."""
    train_set, test_set = halves
    crown(fit(train_set, features=["risk"]), test_set)
    verdict = judge(fit(train_set, "r2"), test_set, "r2")
    found = evidence(verdict)
    for model in ("candidate", "champion"):
        curve = found["precision_recall"][model]
        assert 2 <= len(curve) <= 200
        assert curve[-1][0] == 1
        assert [recall for recall, _ in curve] == sorted(recall for recall, _ in curve)
        assert sum(each["rows"] for each in found["calibration"][model]) == test_set.rows
    assert found["costs"]["candidate"] == verdict.metrics["cost"]
    assert found["costs"]["champion"] == verdict.facts["champion"]["metrics"]["cost"]
    assert found["costs"]["nothing"] == verdict.metrics["cost_of_doing_nothing"]
    told = found["bootstrap"]
    assert (told["replicates"], told["block"], told["level"]) == (500, "day and entity", 0.05)
    assert told["blocks"]["day"] == 5
    check = checked(verdict, "champion")
    assert found["comparison"] == {
        "difference": check["value"],
        "low": check["low"],
        "high": check["high"],
        "bound": check["bound"],
    }


@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        ({"floors": {"roc_auc": 0.999}}, "roc_auc", "is below 0.999, the least allowed"),
        ({"floors": {"cost": 1.0}}, "cost", "is above 1, the most allowed"),
        ({"max_calibration_error": 0.0}, "calibration_error", "is above 0, the most allowed"),
        ({"max_latency_ms": 0.0}, "latency_ms", "ms to score a row, 0 allowed"),
        ({"max_size_mb": 0.0}, "size_mb", "MB of files, 0 allowed"),
    ],
)
def test_a_bound_that_is_not_met_fails_and_says_so(
    halves: tuple[Dataset, Dataset], options: dict[str, Any], name: str, said: str
) -> None:
    """Each by its name; what is better when lower has a ceiling for a floor."""
    train_set, test_set = halves
    verdict = judge(fit(train_set), test_set, **options)
    assert [check["name"] for check in verdict.checks if check["outcome"] == "fail"] == [name]
    assert said in checked(verdict, name)["why"]
    assert verdict.outcome == "fail"


def test_a_bound_of_none_is_not_asked(halves: tuple[Dataset, Dataset]) -> None:
    """Then nobody looks."""
    train_set, test_set = halves
    free = {"max_calibration_error": None, "max_latency_ms": None, "max_size_mb": None}
    assert [check["name"] for check in judge(fit(train_set), test_set, **free).checks] == ["average_precision"]


def test_scores_that_are_no_probabilities_are_not_asked_to_be_calibrated(halves: tuple[Dataset, Dataset]) -> None:
    """A distance from a plane has no unit."""
    train_set, test_set = halves
    model = fit(train_set, estimator="sklearn.svm:LinearSVC", options={})
    verdict = judge(model, test_set)
    assert verdict.passed
    assert "calibration_error" not in {check["name"] for check in verdict.checks} | set(verdict.metrics)


def test_what_is_said_while_it_runs_tells_both_numbers_and_the_reason(halves: tuple[Dataset, Dataset]) -> None:
    """One line, for whoever watches."""
    train_set, test_set = halves
    crown(fit(train_set), test_set)
    candidate, said = fit(train_set, "r2", features=["speed"]), []
    with running(context("evaluate", run_id="r2", emit=said.append)):
        evaluate(candidate, test_set)
    (line,) = [each["message"] for each in said]
    assert re.match(r"average precision 0\.\d{3}, champion 0\.\d{3}: fail \(average precision against version", line)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compare": "noninferiour"}, r"Unknown compare='noninferiour'. Did you mean 'noninferior'\?"),
        ({"block": "days"}, r"Unknown block='days'. Did you mean 'day'\?"),
        ({"block": "entity", "entity": None}, "needs the column of the entity"),
        ({"margin": -0.1}, "margin=-0.1 is no bound"),
        ({"margin": float("nan")}, "margin=nan is no bound"),
        ({"slice_margin": float("inf")}, "slice_margin=inf is no bound"),
        ({"max_latency_ms": -1.0}, "max_latency_ms=-1.0 is no bound"),
        ({"floor": float("nan")}, "floor=nan is no bound"),
        ({"floors": {"roc_acu": 0.5}}, r"names 'roc_acu', which is no metric here. Did you mean 'roc_auc'\?"),
        ({"floors": {"cost": 1.0}, "amount": None}, "names 'cost', which is no metric here"),
        ({"floors": {"roc_auc": float("nan")}}, "roc_auc=nan is no bound"),
        ({"floors": {"average_precision": 0.1}, "floor": 0.1}, "say the same thing"),
        ({"replicates": 10}, "replicates=10 must be 100 or more"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    """Before anything is read: there is neither model nor table."""
    nowhere = Dataset("file:///nowhere", "sha256:0", {"rows": 0})
    with pytest.raises(ParameterError, match=said):
        judge(Model("models:/m-0", "sha256:0", {}), nowhere, **options)


@pytest.mark.parametrize(
    ("options", "days", "drawn"),
    [
        ({}, 5, {"day", "entity", "row"}),
        ({}, 4, {"entity"}),
        ({"entity": None}, 5, {"day"}),
        ({"entity": None}, 4, {"row"}),
        ({"block": "day"}, 4, {"day"}),
        ({"block": "entity"}, 5, {"entity"}),
        ({"block": "row"}, 5, {"row"}),
    ],
)
def test_days_and_entities_are_drawn_whole_where_there_are_enough(
    halves: tuple[Dataset, Dataset], options: dict[str, Any], days: int, drawn: set[str]
) -> None:
    """Of four days nothing can be learned about days; rows are drawn where nothing else is known of them."""
    train_set, test_set = halves
    test = test_set.to_pandas()
    test = test[test.time < pd.Timestamp("2026-01-06") + pd.Timedelta(days=days)]
    assert set(evidence(judge(fit(train_set), test, **options))["bootstrap"]["blocks"]) == drawn


def test_a_row_without_a_card_is_a_block_of_its_own(halves: tuple[Dataset, Dataset]) -> None:
    """Otherwise all of them would be drawn together, as if one card had made them."""
    train_set, test_set = halves
    test = test_set.to_pandas()
    frauds = int(test.label.sum())
    unknown = test.assign(card=pd.array([None] * len(test), dtype="Int64"))
    blocks = evidence(judge(fit(train_set), unknown, block="entity"))["bootstrap"]["blocks"]
    assert blocks == {"entity": frauds}


def test_a_slice_by_a_column_that_is_not_there_is_refused() -> None:
    """With the nearest name."""
    table = transactions(500)
    with pytest.raises(DataError, match=r"no column 'nigth'. Did you mean 'night'\?"):
        judge(fit(table), table, slices=["nigth"])

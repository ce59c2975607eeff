"""What `train` and `evaluate` promise, on a real store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from integrations.mlflow_store import client, context, one_thread, put_store, run_python, saved, transactions
from ostinato.artifacts import Model, Verdict
from ostinato.context import running
from ostinato.errors import ContractError, DataError, MissingPackage, ParameterError
from ostinato.steps import evaluate, measures, train
from ostinato.tables import Dataset

FAST = {"max_iter": 15, "max_leaf_nodes": 7}
FEATURES = ["amount", "risk", "speed", "night"]


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[None]:
    put_store(home)
    with one_thread():
        yield


def split(table: pd.DataFrame) -> tuple[Dataset, Dataset]:
    late = table.time >= "2026-01-06"
    return saved(table[~late], "train"), saved(table[late], "test")


def fit(table: pd.DataFrame | Dataset, **options: Any) -> Model:
    data = table if isinstance(table, Dataset) else saved(table)
    with running(context("train")):
        return train(data, **{"options": FAST, **options})


def judge(model: Model, test: pd.DataFrame | Dataset, **options: Any) -> Verdict:
    data = test if isinstance(test, Dataset) else saved(test, "test")
    with running(context("evaluate")):
        return evaluate(model, data, **options)


# --- train --------------------------------------------------------------------------------------------------------


def test_train_logs_a_model_that_knows_what_it_was_trained_on() -> None:
    """The reference tells rows, positives, the data's digest and the window of time."""
    table = transactions()
    data = saved(table)
    model = fit(data)
    assert model.uri.startswith("models:/m-")
    assert model.features == FEATURES
    assert model.facts["estimator"].endswith(":HistGradientBoostingClassifier")
    assert (model.facts["rows"], model.facts["positives"]) == (3000, table.label.sum())
    assert model.facts["data"] == data.digest
    assert model.facts["window"] == data.facts["time"]
    assert len(json.dumps(model.to_json())) < 2048


def test_the_loaded_model_is_the_estimator_fitted_on_these_rows_in_order() -> None:
    """Nothing but the order of time and id decides, whatever order the rows are stored in."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = transactions()
    expected = HistGradientBoostingClassifier(random_state=7, **FAST).fit(table[FEATURES].astype(float), table.label)
    loaded = fit(table.sample(frac=1, random_state=1)).load()
    rows = table[FEATURES].astype(float)
    assert (loaded.predict_proba(rows) == expected.predict_proba(rows)).all()


def test_the_same_rows_give_the_same_digest_in_another_process_too() -> None:
    """Shuffled rows, another run and another process: still the same model; another seed is another one."""
    table = transactions(1000)
    ways: list[dict[str, Any]] = [{"options": FAST}, {"estimator": "lightgbm", "options": {"n_estimators": 10}}]
    for way in ways:
        first = fit(table, **way)
        with running(context("train", run_id="another")):
            again = train(saved(table.sample(frac=1, random_state=3)), **way)
        assert again.digest == first.digest
        assert again.uri != first.uri
        assert fit(table, **way, seed=8).digest != first.digest
    done = run_python(
        "from integrations.mlflow_store import saved, transactions\n"
        "from ostinato.steps import train\n"
        f"for way in {ways!r}: print(train(saved(transactions(1000)), **way).digest)"
    )
    assert done.stdout.split() == [fit(table, **way).digest for way in ways], done.stderr


def test_other_rows_give_another_digest() -> None:
    """One label turned is another model, even with the same parameters."""
    table = transactions(1000)
    first = fit(table)
    table.loc[table.label.idxmax(), "label"] = 0
    assert fit(table).digest != first.digest


def test_identifiers_times_and_labels_are_not_learned_from() -> None:
    """By default every column is a feature but those that say who, when and the answer."""
    late = pd.Timestamp("2026-02-01")
    table = transactions(500).assign(label_time=late, card_known_fraud_at=late)
    assert fit(table).features == FEATURES
    renamed = table.drop(columns=["label_time", "card_known_fraud_at"]).rename(columns={"time": "ts", "id": "number"})
    assert fit(renamed, order_by=["ts", "number"]).features == FEATURES


def test_named_features_are_taken_in_the_order_they_are_named() -> None:
    """The order of features is part of the model."""
    model = fit(transactions(500), features=["speed", "risk"])
    assert model.features == ["speed", "risk"]
    assert list(model.load().feature_names_in_) == ["speed", "risk"]


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "lightgbm", "sklearn.linear_model:LogisticRegression"])
def test_text_gaps_and_new_words_are_handled_inside_the_model(estimator: str) -> None:
    """A word never seen, a missing word and a missing number get a score after a round trip through the store."""
    table = transactions(1500)
    table["country"] = ["GB", None, "GB"] * 500
    table.loc[table.label == 1, "country"] = "XX"
    table.loc[table.index[::7], "risk"] = np.nan
    model = fit(table, estimator=estimator, options={})
    loaded = model.load()
    rows = table[model.features].head(4).astype(dict.fromkeys(FEATURES, float))
    rows["country"] = ["XX", "GB", "never seen", None]
    scores = loaded.predict_proba(rows)[:, 1]
    assert np.isfinite(scores).all()
    assert scores[0] > scores[1:].max()
    test = table.assign(country="never seen")
    assert judge(model, test).metrics["rows"] == 1500


def test_booleans_whole_numbers_decimals_and_gaps_are_numbers() -> None:
    """Each becomes float64; a missing one becomes NaN."""
    table = transactions(500)[["id", "time", "label", "risk", "night"]]
    table["count"] = pd.array([None, *range(499)], dtype="Int32")
    table["money"] = pd.Series([Decimal(number) / 100 for number in range(500)])
    model = fit(table)
    assert model.features == ["risk", "night", "count", "money"]
    assert judge(model, table, entity=None, amount=None).metrics["rows"] == 500


def test_an_estimator_that_takes_no_gaps_gets_the_median() -> None:
    """Numbers are scaled too, so that a logistic regression converges."""
    table = transactions()
    table.loc[table.index[::5], "risk"] = np.nan
    train_set, test_set = split(table)
    model = fit(train_set, estimator="sklearn.linear_model.LogisticRegression", options={"C": 0.5})
    assert judge(model, test_set).passed


def test_a_boolean_label_is_a_label() -> None:
    """`true` is 1."""
    table = transactions(500)
    assert fit(table.assign(label=table.label == 1)).digest == fit(table).digest


def test_one_class_is_refused_with_counts() -> None:
    """A classifier of one class would score everything alike."""
    with pytest.raises(DataError, match=r"All 500 rows of file://.* have label=0; a classifier learns from both"):
        fit(transactions(500).assign(label=0))


def test_no_rows_are_refused() -> None:
    """An empty table is not a model."""
    with pytest.raises(DataError, match="has no rows to learn from"):
        fit(transactions(10).head(0))


def test_a_missing_label_is_refused_with_counts() -> None:
    """Rows whose answer is not known yet must be left out by whoever knows why."""
    table = transactions(500)
    table["label"] = table.label.astype("Int64")
    table.loc[:2, "label"] = None
    with pytest.raises(DataError, match=r"3 of 500 rows of .* have no label"):
        fit(table)


def test_a_label_of_more_than_two_values_is_refused() -> None:
    """The values found are told."""
    with pytest.raises(DataError, match=r"is 0 or 1; found \[2.0, 3.0\] too"):
        fit(transactions(500).assign(label=lambda table: table.id % 4))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"features": ["amuont"]}, "'amuont'. Did you mean 'amount'"),
        ({"label": "labl"}, "'labl'. Did you mean 'label'"),
        ({"order_by": ["tiem"]}, "'tiem'. Did you mean 'time'"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest_one(options: dict[str, Any], named: str) -> None:
    """A typing error costs one look."""
    with pytest.raises(DataError, match=named.replace("?", r"\?")):
        fit(transactions(100), **options)


def test_a_time_is_not_a_feature() -> None:
    """What a model cannot read is refused by name and type."""
    with pytest.raises(DataError, match=r"'opened' is timestamp.*: a feature is a number, a boolean or text"):
        fit(transactions(100).assign(opened=pd.Timestamp("2020-01-01")))


def test_the_label_among_the_features_is_refused() -> None:
    """It would be a perfect and useless model."""
    with pytest.raises(ParameterError, match="would learn to copy it"):
        fit(transactions(100), features=["risk", "label"])


def test_a_table_without_features_is_refused() -> None:
    """Identifiers alone teach nothing."""
    with pytest.raises(DataError, match="no column to learn from, only 'id', 'time', 'label'"):
        fit(transactions(100)[["id", "time", "label"]])


@pytest.mark.parametrize(
    ("estimator", "name", "nearest"),
    [
        ("hist_gradient_boosting", "learning_rat", "learning_rate"),
        ("lightgbm", "num_leavs", "num_leaves"),
        ("lightgbm", "bagging_fractoin", "bagging_fraction"),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest_one(estimator: str, name: str, nearest: str) -> None:
    """LightGBM's own names count too; left alone it would ignore an unknown one."""
    with pytest.raises(ParameterError, match=rf"no option '{name}'. Did you mean '{nearest}'\?"):
        fit(transactions(100), estimator=estimator, options={name: 1})


def test_a_native_option_of_lightgbm_is_taken() -> None:
    """`scale_pos_weight` stands in no signature."""
    model = fit(transactions(500), estimator="lightgbm", options={"n_estimators": 5, "scale_pos_weight": 10.0})
    assert model.load().get_params()["scale_pos_weight"] == 10.0


def test_a_wrong_value_of_an_option_is_told() -> None:
    """What scikit-learn says about it is passed on."""
    with pytest.raises(ParameterError, match=r"HistGradientBoostingClassifier refuses its options: .*max_iter"):
        fit(transactions(200), options={"max_iter": -1})


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sklearn.ensemble:HistGradientBostingClassifier", "Did you mean 'HistGradientBoostingClassifier'"),
        ("no_such_package:Thing", "cannot be imported .* Write module:Class"),
        ("json:loads", "json has no estimator 'loads'"),
        ("nothing", "cannot be imported"),
    ],
)
def test_an_unknown_estimator_is_refused(path: str, said: str) -> None:
    """By name, with the nearest one where there is one."""
    with pytest.raises(ParameterError, match=said):
        fit(transactions(100), estimator=path)


def test_lightgbm_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command to type."""
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingPackage, match=r'pip install "ostinato\[lightgbm\]"'):
        fit(transactions(100), estimator="lightgbm")


# --- evaluate -----------------------------------------------------------------------------------------------------


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
    }
    assert verdict.metrics == pytest.approx(expected)
    (check,) = verdict.checks
    assert [day["card_precision"] for day in check["days"]] == list(by_day.values())
    assert [day["day"] for day in check["days"]] == [f"2026-01-{day:02}" for day in range(6, 11)]
    assert sum(day["rows"] for day in check["days"]) == len(rows)
    assert sum(day["positives"] for day in check["days"]) == label.sum()


def test_a_model_with_skill_passes_and_says_by_how_much() -> None:
    """Without a floor it must beat the base rate by more than chance."""
    train_set, test_set = split(transactions())
    model = fit(train_set)
    verdict = judge(model, test_set)
    (check,) = verdict.checks
    assert verdict.passed
    assert check["outcome"] == "pass"
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
    assert len(verdict.checks[0]["days"]) == 31
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

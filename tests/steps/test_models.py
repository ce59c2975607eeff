"""What `train` promises, on a real store."""

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

from integrations.mlflow_store import context, one_thread, put_store, run_python, saved, transactions
from ostinato.context import running
from ostinato.errors import DataError, MissingPackage, ParameterError
from ostinato.steps import train
from steps.fitted import FAST, FEATURES, fit, judge, split


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[None]:
    put_store(home)
    with one_thread():
        yield


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

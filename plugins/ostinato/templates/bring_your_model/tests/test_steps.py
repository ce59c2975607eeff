"""What our own steps promise, each called like any function: no server, no database, no run."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ostinato import Dataset
from ostinato.context import Context, running
from ostinato.errors import DataError, ParameterError
from ostinato.tables import duck
from ostinato.workspace import Workspace

from project_name import pipeline, training

COLUMNS = pipeline.Columns(id="number", time="when", label="gone", features=['the "price"', "label"])
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def context(tmp_path: Path) -> Iterator[None]:
    """A workspace for what the steps write; small models are trained faster by one thread than by several."""
    with running(Context(Workspace.here(tmp_path), run_id="test", step="own")), threadpool_limits(1):
        yield


def table(labels: list[Any]) -> Dataset:
    """A row a day for each label, with a column that nobody asked for."""
    count = len(labels)
    times = [(START + timedelta(days=day)).replace(tzinfo=None) for day in range(count)]
    made = {"number": range(count), "when": times, "gone": labels, "leak": labels}
    return Dataset.of(pd.DataFrame({**made, 'the "price"': np.arange(count) / 2, "label": "EMI"}), time="when")


def prepared(labels: list[Any], columns: pipeline.Columns = COLUMNS) -> Dataset:
    return pipeline.prepare(table(labels), columns=columns)


# --- prepare ---------------------------------------------------------------------------------------------------------


def test_prepare_hands_on_the_named_columns_of_rows_whose_label_is_known() -> None:
    """Names are the table's own, whatever they are."""
    made = prepared([0, None, 1])
    assert list(made.schema) == ["number", "when", 'the "price"', "label", "gone"]
    assert made.to_pandas(["number", "gone"], order_by=["number"]).to_numpy().tolist() == [[0, 0], [2, 1]]


@pytest.mark.parametrize("labels", [[False, True], [0.0, 1.0], ["0", "1"]])
def test_labels_of_any_type_become_0_and_1(labels: list[Any]) -> None:
    """As long as they say so."""
    assert prepared(labels).to_pandas(["gone"], order_by=["number"])["gone"].tolist() == [0, 1]


@pytest.mark.parametrize(("labels", "found"), [(["yes", "no"], "'no', 'yes'"), ([0, 1, 2], "'2'"), ([0.5, 1], "'0.5'")])
def test_other_labels_are_refused_by_value(labels: list[Any], found: str) -> None:
    """Which of them is meant is for people to say."""
    with pytest.raises(DataError, match=rf"The label 'gone' is 0 or 1; found {found}\."):
        prepared(labels)


@pytest.mark.parametrize(
    ("features", "said"),
    [([], "features is empty"), (["gone"], "'gone' is named twice"), (["leak", "leak"], "'leak' is named twice")],
)
def test_features_are_neither_none_nor_the_answer(features: list[str], said: str) -> None:
    """A model of its own label would be perfect, and useless."""
    columns = pipeline.Columns(id="number", time="when", label="gone", features=features)
    with pytest.raises(ParameterError, match=said):
        prepared([0, 1], columns)


# --- training --------------------------------------------------------------------------------------------------------


def rows(count: int = 300) -> tuple[pd.DataFrame, pd.Series[int]]:
    """Features as `fit_model` hands them over: numbers, words and gaps; and labels that follow from them."""
    random = np.random.default_rng(7)
    made = pd.DataFrame({"price": random.normal(size=count), "kind": random.choice(["new", "old"], count)})
    labels = pd.Series(((made.price > 0) & (made.kind == "new")).astype("int8"))
    made.loc[made.index[::10], ["price", "kind"]] = np.nan
    made["nothing"] = np.nan
    return made, labels


def test_what_fit_makes_scores_every_row_and_tells_the_labels_apart() -> None:
    """Words, words never seen, gaps and columns of nothing else get a score, too."""
    known, labels = rows()
    model = training.fit(known, labels, seed=7)
    scores = model.predict_proba(known)[:, 1]
    assert scores[labels == 1].min() > scores[labels == 0].mean()
    strange = pd.DataFrame({"price": [np.nan, 1.0], "kind": ["never seen", np.nan], "nothing": [1.0, np.nan]})
    assert np.isfinite(model.predict_proba(strange)).all()


def test_the_same_rows_and_seed_give_the_same_model() -> None:
    """Else a run could not be repeated."""
    first, again = (training.fit(*rows(), seed=7).predict_proba(rows()[0]) for _ in range(2))
    assert (first == again).all()


# --- a fitted estimator ----------------------------------------------------------------------------------------------


def fitted() -> LogisticRegression:
    known, labels = rows()
    return LogisticRegression().fit(known[["price"]].fillna(0), labels)


def test_a_fitted_estimator_is_brought_in_a_skops_file(tmp_path: Path) -> None:
    """It scores as it did."""
    skops.io.dump(fitted(), tmp_path / "model.skops")
    brought = training.bring(str(tmp_path / "model.skops"), ["kind", "price"])
    assert brought.coef_.tolist() == fitted().coef_.tolist()


def test_types_that_nobody_vouched_for_are_named_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they are in TRUSTED."""
    place = tmp_path / "model.skops"
    skops.io.dump(FunctionTransformer(rows), place)
    unknown = skops.io.get_untrusted_types(file=place)
    with pytest.raises(ParameterError, match=f"nobody vouched for: {unknown[0]}"):
        training.bring(str(place), [])
    monkeypatch.setattr(training, "TRUSTED", unknown)
    assert training.bring(str(place), []).func is rows


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    """Reading it would run whatever is in it."""
    place = tmp_path / "model.skops"
    place.write_bytes(pickle.dumps(fitted()))
    with pytest.raises(ParameterError, match="is no skops file"):
        training.bring(str(place), ["price"])


def test_a_file_that_is_not_there_and_a_column_that_is_not_there_are_told(tmp_path: Path) -> None:
    """With what to do."""
    place = tmp_path / "model.skops"
    with pytest.raises(ParameterError, match="There is no file"):
        training.bring(str(place), [])
    skops.io.dump(fitted(), place)
    with pytest.raises(ParameterError, match=r"a column 'price' that the table lacks\. Did you mean 'prices'\?"):
        training.bring(str(place), ["prices", "kind"])


def before(end: str) -> Dataset:
    """The rows to learn from, as a split makes them."""
    condition = {"column": "when", "op": "<", "value": end, "type": "timestamp"}
    with duck() as connection:
        return prepared([0, 1] * 10).part(connection, [condition])


MIDNIGHT, NOON = "2026-03-15 00:00:00", "2026-03-15 12:00:00"


@pytest.mark.parametrize(
    ("until", "end"), [("2026-03-14", MIDNIGHT), ("2026-03-15 11:59", NOON), ("2026-03-15T12:30:00+01:00", NOON)]
)
def test_a_fitted_estimator_may_have_learnt_from_rows_before_the_test(until: str, end: str) -> None:
    """Times are in UTC unless they say otherwise."""
    assert pipeline.learnt(before(end), until)["until"] < end


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (None, "Give fitted_until"),
        ("soon", "'soon' is no time"),
        ("2026-03-15", "training ends before 2026-03-15 12:00"),
        ("2026-03-15 12:00", "training ends before 2026-03-15 12:00"),
    ],
)
def test_a_fitted_estimator_that_may_know_the_answers_is_refused(until: str | None, said: str) -> None:
    """It must not be judged on what it learnt from; a date is the whole of that day."""
    with pytest.raises(ParameterError, match=said):
        pipeline.learnt(before(NOON), until)

"""A model that answers with a table, as a recommender does, is stored, tried out and served like any other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations import little_target
from integrations.mlflow_store import client, context, one_thread, put_store
from integrations.taste_model import Taste, asking, taste
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.errors import ContractError, PermanentError
from ostinato.integrations import mlflow_connection, mlflow_registry, mlflow_smoke
from ostinato.integrations.mlflow_deployment import deploy, deployed
from ostinato.workspace import Workspace, local_path


@pytest.fixture(autouse=True)
def store(home: Path) -> Iterator[Path]:
    put_store(home)
    with one_thread():
        yield home


def logged(model: Any, example: pd.DataFrame | None = None) -> Model:
    with running(context("train", run_id=os.urandom(4).hex())):
        return Model.of(model, asking(model) if example is None else example)


def released(seed: int = 0, ids: str = "words", **options: Any) -> Model:
    model = logged(taste(ids, seed, **options))
    with running(context("register", run_id=os.urandom(4).hex())):
        return mlflow_registry.register(model, "shop", os.urandom(4).hex(), {})


def folder_of(model: Model) -> Path:
    name, _, number = model.uri.removeprefix("models:/").rpartition("/")
    if not name:
        return local_path(client().get_logged_model(number).artifact_location)
    return local_path(client().get_model_version_download_uri(name, number))


def served(model: Model) -> Any:
    return mlflow_connection.import_mlflow().pyfunc.load_model(str(folder_of(model)))


def posted(model: Model, body: Any) -> Any:
    """What `mlflow models serve` would answer to a request."""
    loaded = served(model)
    answer = mlflow_smoke._server().invocations(
        json.dumps(body), "application/json", loaded, loaded.metadata.get_input_schema()
    )
    return json.loads(answer.response)["predictions"]


def recorded(model: Model) -> dict[str, Any]:
    return dict(json.loads((folder_of(model) / "smoke.json").read_text()))


IDS = pytest.mark.parametrize("ids", ["words", "numbers"])


# --- stored -------------------------------------------------------------------------------------------------------


@IDS
def test_a_recommender_comes_back_as_it_was(ids: str) -> None:
    """Matrices of single precision to the last bit, sparse ones, whole numbers and bytes; and so do its answers."""
    model = taste(ids)
    found = logged(model).load()
    for name in ("users", "items", "tastes", "traits", "order", "spelling"):
        kept, fitted = getattr(found, name), getattr(model, name)
        assert (kept.dtype, kept.shape, kept.tobytes()) == (fitted.dtype, fitted.shape, fitted.tobytes())
    for name in ("data", "indices", "indptr"):
        kept, fitted = getattr(found.taken, name), getattr(model.taken, name)
        assert (kept.dtype, kept.tobytes()) == (fitted.dtype, fitted.tobytes())
    assert found.predict(asking(model)).equals(model.predict(asking(model)))


@IDS
def test_the_same_recommender_has_the_same_digest_again(ids: str) -> None:
    """And another one another: fitted otherwise, told otherwise, or with other answers."""
    digest = logged(taste(ids)).digest
    assert logged(taste(ids)).digest == digest
    numb = taste(ids)
    numb.tastes[7] = 0
    others = [logged(other).digest for other in (taste(ids, seed=1), taste(ids, k=4), numb)]
    assert len({digest, *others}) == 4


def test_a_list_of_arrays_is_the_same_answer_as_a_list_of_lists() -> None:
    """What a table's cells are made of is no part of what it says."""
    table = pd.DataFrame({"items": [["a", "b"], []], "scores": [[0.5, 0.25], []], "n": [2, 0], "why": ["new", None]})
    arrays = pd.DataFrame(
        {**table, "items": [np.array(["a", "b"]), ()], "scores": [np.array([0.5, 0.25]), np.array([])]}
    )
    assert mlflow_smoke.records(arrays) == mlflow_smoke.records(table)
    assert mlflow_smoke.records(table) == [
        {"items": ["a", "b"], "scores": [0.5, 0.25], "n": 2, "why": "new"},
        {"items": [], "scores": [], "n": 0, "why": None},
    ]


@IDS
def test_the_signature_has_lists_and_one_of_them_may_be_left_out(ids: str) -> None:
    """What comes out has types; `recent` is of any, as MLflow's arrays refuse a record that leaves it out."""
    described = served(logged(taste(ids))).metadata.signature
    user, item = ("string", "string") if ids == "words" else ("long", "long")
    assert str(described.inputs) == f"['user': {user} (required), 'recent': Any (optional)]"
    assert str(described.outputs) == f"['items': Array({item}) (required), 'scores': Array(double) (required)]"


def test_what_an_estimator_says_it_needs_is_pinned() -> None:
    """Beside what its types tell."""
    from importlib.metadata import version

    lines = (folder_of(logged(taste())) / "requirements.txt").read_text().split()
    assert f"threadpoolctl=={version('threadpoolctl')}" in lines
    assert f"scipy=={version('scipy')}" in lines


def test_what_is_needed_and_not_installed_is_said() -> None:
    """It could not be pinned, and a server without it would fail later."""
    model = taste()
    model.requirements = ("threadpoolctl", "implict")  # type: ignore[assignment]
    with pytest.raises(ContractError, match="The Taste says that it needs 'implict', which is not installed here"):
        logged(model)


@pytest.mark.parametrize("tolerance", [float("inf"), 0, -1e-5, 1, True, "1e-5"])
def test_a_tolerance_that_would_let_anything_pass_is_refused(tolerance: Any) -> None:
    """Or nothing."""
    model = taste()
    model.tolerance = tolerance
    with pytest.raises(ContractError, match="it must be a number between 0 and 1"):
        logged(model)


class Stopping(Taste):
    """Whose fit has a parameter called as what an estimator may say of itself."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"k": self.k, "tolerance": 0.1}


def test_a_parameter_of_that_name_is_none() -> None:
    """When to stop fitting is no word about answers."""
    model = Stopping().fit(["u1"], ["i1", "i2", "i3"])
    model.tolerance = 0.1
    assert "tolerance" not in recorded(logged(model, pd.DataFrame({"user": ["u1", "u2"]})))


def test_a_table_of_another_length_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell whose answer is whose."""
    monkeypatch.setenv("MOOD", "short")
    with pytest.raises(ContractError, match="The Taste answers 50 rows with a table of 1: it must have one row for"):
        logged(taste())


# --- asked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dataframe_records", "dataframe_split", "inputs"])
@IDS
def test_a_server_takes_users_with_and_without_recent_items(ids: str, form: str) -> None:
    """In one request, whether the rest is null or not there; the answer is a list of records."""
    model = taste(ids)
    version = logged(model)
    known, stranger = (3, 999_999) if ids == "numbers" else ("u3", "x")
    recent = model.items[:2].tolist()
    expected = mlflow_smoke.records(
        model.predict(pd.DataFrame({"user": [known, stranger], "recent": pd.Series([None, recent], dtype=object)}))
    )
    body = {
        "dataframe_records": [{"user": known}, {"user": stranger, "recent": recent}],
        "dataframe_split": {"columns": ["user", "recent"], "data": [[known, None], [stranger, recent]]},
        "inputs": {"user": [known, stranger], "recent": [None, recent]},
    }[form]
    assert posted(version, {form: body}) == expected
    assert [list(answer) for answer in expected] == [["items", "scores"]] * 2


@IDS
def test_a_request_may_name_users_alone(ids: str) -> None:
    """What may be left out may be left out of all rows."""
    model = taste(ids)
    users = model.users[:4].tolist()
    answer = posted(logged(model), {"dataframe_records": [{"user": user} for user in users]})
    assert answer == mlflow_smoke.records(model.predict(pd.DataFrame({"user": users})))


# --- tried out ----------------------------------------------------------------------------------------------------


@IDS
def test_rows_are_recorded_from_the_whole_length_of_the_example(ids: str) -> None:
    """Twenty, from its first to its last, with what the model answers to each and how far it may be off."""
    model = taste(ids)
    smoke = recorded(logged(model))
    asked = asking(model)
    rows = [[user, recent] for user, recent in zip(asked.user.tolist(), asked.recent.tolist(), strict=True)]
    assert smoke["dataframe_split"]["columns"] == ["user", "recent"]
    assert len(smoke["dataframe_split"]["data"]) == 20
    assert [rows.index(row) for row in smoke["dataframe_split"]["data"]] == np.linspace(0, 49, 20).astype(int).tolist()
    every = mlflow_smoke.records(model.predict(asked))
    assert smoke["answers"] == [every[rows.index(row)] for row in smoke["dataframe_split"]["data"]]
    assert smoke["tolerance"] == 1e-5


def test_recent_items_are_recorded_as_the_numbers_they_are() -> None:
    """Of whatever kind: an id that turned into a word would be another's."""
    example = pd.DataFrame({"user": [1, 2], "recent": pd.Series([np.array([7, 8]), [np.int32(9)]], dtype=object)})
    content = json.loads(mlflow_smoke.written(example, pd.DataFrame({"items": [[np.int64(1)], [2]]}), "predict"))
    assert content["dataframe_split"]["data"] == [[1, [7, 8]], [2, [9]]]
    assert content["answers"] == [{"items": [1]}, {"items": [2]}]


@IDS
def test_a_recommender_is_deployed_after_it_has_answered_as_recorded(ids: str) -> None:
    """All rows at once and each alone, whose sums may differ in the last digits of single precision."""
    assert deploy(released(ids=ids))["version"] == "1"
    assert deploy(released(1, ids=ids))["previous"] == "1"


def test_scores_may_differ_by_the_models_own_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is wider than that of a classifier."""
    version = released()
    monkeypatch.setenv("MOOD", "nearly the same")
    assert deploy(version)["deployed"]


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        (
            "another order",
            r"row 1 of smoke.json should give \{'items': \['i\d+', .*\]\}, and gave \{'items': \['i\d+', ",
        ),
        ("other ids", r"row 1 of smoke.json should give \{'items': \['i\d+', .*\]\}, and gave \{'items': \['i\d+\?', "),
        ("one fewer", r"row 1 of smoke.json should give \{'items': \['i\d+', 'i\d+', 'i\d+'\], 'scores'"),
        ("other scores", r"row 1 of smoke.json should give \{'scores': \[\d.*\]\}, and gave \{'scores': \["),
        ("no number", r"row 1 of smoke.json should give \{'scores': .*, and gave \{'scores': \[nan, nan, nan\]\}"),
        ("another column", r"row 1 of smoke.json should give \{'items': .*, and gave \{'articles': "),
        ("short", r"was asked for 20 rows and answered \[\{"),
    ],
)
def test_a_recommender_that_answers_otherwise_is_not_deployed(
    mood: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the columns that differ."""
    deploy(released(1))
    second = released(2)
    monkeypatch.setenv("MOOD", mood)
    with pytest.raises(PermanentError, match=told):
        deploy(second)
    assert deployed("shop") == {"target": "bundle", "name": "shop", "version": "1", "previous": None} | {
        "place": str(Path(Workspace.here().home, "bundles", "shop", "current"))
    }


def compared(expected: Any, found: Any, tolerance: float = 1e-5) -> bool:
    """Whether an answer passes for what was recorded."""
    smoke = mlflow_smoke.Smoke(["user"], [[1]], [expected], probabilities=False, tolerance=tolerance)
    try:
        mlflow_smoke.compare(smoke, lambda _: [found], "It")
    except ContractError:
        return False
    return True


# Runs of scores that are the same but for the last digits, far from one another.
RUNS = st.lists(st.integers(1, 4), min_size=2, max_size=5)
IDS_OF_ITEMS = st.sampled_from(["words", "numbers"])


@given(RUNS, st.sampled_from([1e-3, 1.0, 1e5]), st.randoms(use_true_random=False), IDS_OF_ITEMS)
def test_what_ties_may_come_in_another_order_and_nothing_else(
    sizes: list[int], scale: float, random: Any, ids: str
) -> None:
    """Two machines add in another order; at the end of the list others may have tied who found no room on it."""
    ranks = [rank for rank, size in enumerate(sizes) for _ in range(size)]
    scores = [scale * (1.0 - rank / 10 + random.uniform(-4e-6, 4e-6)) for rank in ranks]
    items: list[Any] = list(range(100, 100 + len(ranks)))
    items = items if ids == "numbers" else [f"i{item}" for item in items]
    expected = {"items": items, "scores": scores}
    shuffled = sorted(range(len(ranks)), key=lambda place: (ranks[place], random.random()))
    again = [score + scale * random.uniform(-4e-6, 4e-6) for score in scores]
    assert compared(expected, {"scores": again, "items": [items[place] for place in shuffled]})
    newcomer = [*items[:-1], 99 if ids == "numbers" else "new"]
    assert compared(expected, {"items": newcomer, "scores": again})
    first = sizes[0]
    moved = [*items[: first - 1], items[first], items[first - 1], *items[first + 1 :]]
    assert not compared(expected, {"items": moved, "scores": again})
    assert not compared(expected, {"items": [newcomer[-1], *items[1:]], "scores": again})
    assert not compared(expected, {"items": items, "scores": [*again[:-1], again[-1] + scale * 3e-5]})


def test_a_model_without_a_tolerance_of_its_own_keeps_its_order() -> None:
    """As a whole number, a word, truth and nothing stay what they are."""
    expected = {"items": ["a", "b"], "scores": [0.5, 0.5], "n": 2, "good": True, "why": None}
    assert compared(expected, dict(expected), mlflow_smoke.TOLERANCE)
    assert compared(expected, {**expected, "items": ["b", "a"]})
    assert not compared(expected, {**expected, "items": ["b", "a"]}, mlflow_smoke.TOLERANCE)
    for change in ({"n": 3}, {"n": True}, {"good": 1}, {"why": "x"}, {"scores": [0.5, None]}, {"items": "ab"}):
        assert not compared(expected, {**expected, **change})
    for one, next_one in ((10_000_000, 10_000_001), ([10_000_000], [10_000_001]), ([10_000_000, 7], [10_000_001, 7])):
        assert not compared({"items": one, "scores": [0.5]}, {"items": next_one, "scores": [0.5]})


def test_a_list_that_ties_throughout_has_what_it_had() -> None:
    """A stranger gets what is popular, with no scores to tell it apart: other items are another answer."""
    expected = {"items": ["a", "b", "c"], "scores": [0.0, 0.0, 0.0]}
    assert compared(expected, {**expected, "items": ["c", "a", "b"]})
    for wrong in (1e-6, float("nan"), float("inf"), None, "0"):
        assert not compared(expected, {**expected, "scores": [0.0, wrong, 0.0]})
    assert not compared({"scores": [float("inf")]}, {"scores": [float("inf")]})
    assert not compared(expected, {**expected, "items": ["a", "b", "d"]})


# --- other targets ------------------------------------------------------------------------------------------------


@IDS
def test_a_target_serves_a_recommender_too(ids: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is asked before it counts."""
    with little_target.installed(tmp_path / "site", monkeypatch) as serving:
        deploy(released(1, ids=ids), "little:/here")
        second = released(2, ids=ids)
        with pytest.raises(
            ContractError, match=r"row 1 of smoke.json should give \{'scores': .*Version 1 was put back"
        ):
            deploy(second, "little:/here", {"digits": {"models:/shop/2": 1}})
        assert serving["shop"].model_uri == "models:/shop/1"
        assert deploy(second, "little:/here")["previous"] == "1"


@pytest.mark.parametrize("form", ["text", "response", "records", "rows", "table"])
def test_a_target_may_answer_in_any_form(form: str) -> None:
    """By name, in whatever order, or without names in the order recorded."""
    model, version = taste(), released()
    smoke, schema = mlflow_smoke.try_out(folder_of(version), "It")

    def predict(rows: pd.DataFrame) -> Any:
        answers = model.predict(rows)[["scores", "items"]]
        records = mlflow_smoke.records(answers)
        return {
            "text": json.dumps({"predictions": records}),
            "response": {"predictions": records},
            "records": records,
            "rows": [[each["items"], each["scores"]] for each in records],
            "table": answers,
        }[form]

    mlflow_smoke.try_remote(smoke, schema, predict, "It")
    with pytest.raises(ContractError, match=r"row 1 of smoke.json should give"):
        mlflow_smoke.try_remote(smoke, schema, lambda rows: model.predict(rows).iloc[:, [0]], "It")

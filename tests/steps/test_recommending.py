"""Every user's best items in a table, whole and once, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import pytest

from integrations.mlflow_store import context, put_store, run_python
from ostinato.artifacts import Model
from ostinato.context import running
from ostinato.errors import ContractError, ParameterError
from ostinato.recommenders.recommender import Recommender
from ostinato.steps import recommending
from ostinato.steps.recommending import recommend
from ostinato.tables import Dataset
from ostinato.workspace import Workspace, local_path
from steps.tastes import AS_OF, fit, heard, here, said, saved, tastes

COLUMNS = {"user": "BIGINT", "rank": "INTEGER", "item": "BIGINT", "score": "FLOAT", "version": "VARCHAR"}


@pytest.fixture(autouse=True)
def store(home: Path) -> None:
    put_store(home)


def recommended(model: Model, data: Dataset, as_of: datetime | None = AS_OF, **options: Any) -> Dataset:
    with here("recommend", as_of=as_of):
        return recommend(model, data, **options)


def lists(table: Dataset) -> dict[Any, list[tuple[Any, float]]]:
    """Each user's items with their scores, in the order of the ranks, which go from 1 on."""
    found: dict[Any, list[tuple[Any, float]]] = {}
    for row in table.to_arrow(order_by=["user", "rank"]).to_pylist():
        found.setdefault(row["user"], []).append((row["item"], row["score"]))
        assert row["rank"] == len(found[row["user"]])
    return found


# --- what is written ------------------------------------------------------------------------------------------------


def test_every_user_gets_the_best_items_not_taken_yet() -> None:
    """The same that the model would answer, by all that is known of the user by now."""
    table = tastes(2000)
    model = fit(saved(table[table.time < AS_OF.replace(tzinfo=None) - timedelta(days=7)]))
    made = recommended(model, saved(table), k=10)
    assert made.schema == COLUMNS
    found, taken = lists(made), table.groupby("user").item.agg(set)
    assert set(found) == set(taken.index)
    for user, offered in found.items():
        items, scores = zip(*offered, strict=True)
        assert len(items) == len(set(items)) == 10
        assert not set(items) & taken[user]
        assert list(scores) == sorted(scores, reverse=True)
    recommender = model.load()
    assert isinstance(recommender, Recommender)
    asked = pd.DataFrame({"user": list(found), "recent": [sorted(taken[user]) for user in found]})
    answered = recommender.predict(asked)
    for items, (user, offered) in zip(answered["items"], found.items(), strict=True):
        assert items == [item for item, _ in offered], user


def test_the_file_lies_in_a_folder_of_its_moment(home: Path) -> None:
    """In the workspace, by the model's name; the time of day only where there is one."""
    data = saved(tastes(300))
    model = fit(data)
    made = recommended(model, data)
    assert local_path(made.uri) == home / "recommendations/shop/window=2026-03-01/recommendations.parquet"
    noon = recommended(model, data, AS_OF + timedelta(hours=12, minutes=5))
    assert local_path(noon.uri) == home / "recommendations/shop/window=2026-03-01T1205/recommendations.parquet"
    named = Model(model.uri, model.digest, {**model.facts, "name": "other shop", "version": "3"})
    assert "/recommendations/other shop/" in str(local_path(recommended(named, data).uri))
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT DISTINCT \"window\" FROM '{home}/recommendations/shop/**/*.parquet'"
        ).fetchall()
    assert len(rows) == 2


def test_a_window_is_replaced_and_not_doubled(home: Path) -> None:
    """The other windows stay as they were."""
    first, second = saved(tastes(300)), saved(tastes(300, users=150, seed=8))
    model = fit(first)
    before = recommended(model, first, AS_OF - timedelta(days=7))
    recommended(model, first)
    made = recommended(model, second, k=3)
    assert set(lists(made)) == set(second.to_pandas().user)
    assert made.manifest()["digest"] == made.digest
    assert lists(before).keys() == set(first.to_pandas().user)
    assert {path.name for path in local_path(made.uri).parent.iterdir()} == {
        "recommendations.parquet",
        ".recommendations.parquet.manifest.json",
    }
    read = pd.read_parquet(local_path(made.uri).parents[1])  # the folder, as anybody would
    assert len(read) == made.rows + before.rows
    assert not list((home / "tmp").glob("recommending-*"))


def test_the_version_that_was_registered_is_in_every_row() -> None:
    """Whoever is promoted meanwhile; without a version it is the model itself."""
    data = saved(tastes(300))
    model = fit(data)
    assert set(recommended(model, data).to_pandas().version) == {model.uri}
    version = Model(model.uri, model.digest, {**model.facts, "name": "shop", "version": "7"})
    assert set(recommended(version, data).to_pandas().version) == {"7"}
    assert "by version 7 are in file://" in said()


def test_what_was_taken_is_recommended_again_where_that_is_wanted() -> None:
    """Then a user's own items come, too."""
    table = tastes(600)
    data = saved(table)
    found, taken = lists(recommended(fit(data), data, exclude_seen=False)), table.groupby("user").item.agg(set)
    assert any({item for item, _ in offered} & taken[user] for user, offered in found.items())


def test_who_took_nothing_that_is_known_gets_what_is_popular() -> None:
    """Scored nought: it says nothing of that user."""
    table = tastes(600)
    new = pd.DataFrame({"user": [9001, 9002], "item": [777, 778], "time": AS_OF.replace(tzinfo=None)})
    found = lists(recommended(fit(saved(table)), saved(pd.concat([table, new])), k=5))
    often = table.drop_duplicates(["user", "item"]).item.value_counts()
    popular = sorted(often.index, key=lambda item: (-often[item], item))[:5]
    assert found[9001] == found[9002] == [(item, 0.0) for item in popular]


def test_who_took_nearly_everything_gets_fewer() -> None:
    """And who took all of it gets none, rather than something twice."""
    table = tastes(600, items=12).assign(user=lambda rows: rows.user + 10)
    full = pd.DataFrame({"user": [1] * 12 + [2] * 10, "item": [*range(12), *range(10)], "time": table.time[0]})
    data = saved(pd.concat([table, full]))
    found = lists(recommended(fit(data), data, k=5))
    assert 1 not in found
    assert sorted(item for item, _ in found[2]) == [10, 11]
    assert max(len(offered) for offered in found.values()) == 5


def test_ids_are_written_as_they_came() -> None:
    """Text stays text."""
    table = tastes(300).assign(
        user=lambda rows: rows.user.map("ü{}".format), item=lambda rows: rows.item.map("0{}".format)
    )
    made = recommended(fit(saved(table)), saved(table), k=2)
    assert made.schema == {**COLUMNS, "user": "VARCHAR", "item": "VARCHAR"}
    assert set(made.to_pandas().user) == set(table.user)
    assert set(made.to_pandas().item) <= set(table.item)


def test_the_same_users_get_the_same_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how far it is is told part by part."""
    data = saved(tastes(600))
    model = fit(data)
    whole = recommended(model, data)
    count = data.to_pandas().user.nunique()
    assert [event["done"] for event in heard if event["event"] == "progress"] == [count]
    monkeypatch.setattr(recommending, "USERS_AT_ONCE", 64)
    parts = recommended(model, data)
    assert parts.digest == whole.digest
    progress = [(event["done"], event["total"]) for event in heard if event["event"] == "progress"]
    assert progress == [(done, count) for done in (*range(64, count, 64), count)]


# --- where it is written --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["the \"best\" of 'all'", "a [b] *?{c}", "k=3", "100%25 #1", "Zoë/ends/"])
def test_a_folder_may_be_called_anything(name: str, tmp_path: Path) -> None:
    """Nothing in it is taken for a pattern or a partition."""
    data = saved(tastes(300))
    made = recommended(fit(data), data, output=f"{tmp_path}/{name}", k=2)
    assert (tmp_path / name / "window=2026-03-01" / "recommendations.parquet").exists()
    assert len(lists(made)) == data.to_pandas().user.nunique()


def test_a_folder_may_be_relative_or_a_file_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are places on this disk."""
    monkeypatch.chdir(tmp_path)
    data = saved(tastes(300))
    model = fit(data)
    relative = recommended(model, data, output="out")
    as_url = recommended(model, data, output=(tmp_path / "a b").as_uri())
    assert local_path(relative.uri) == tmp_path / "out/window=2026-03-01/recommendations.parquet"
    assert local_path(as_url.uri) == tmp_path / "a b/window=2026-03-01/recommendations.parquet"
    assert relative.digest == as_url.digest
    assert lists(relative) == lists(as_url)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "out", "a b"}


def test_a_bucket_holds_the_same_and_is_replaced_as_well() -> None:
    """Any URL that fsspec knows."""
    data = saved(tastes(300))
    model = fit(data)
    local = recommended(model, data)
    for _ in range(2):
        made = recommended(model, data, output="memory://recommended/lists/")
    assert made.uri == "memory://recommended/lists/window=2026-03-01/recommendations.parquet"
    assert made.digest == local.digest
    assert lists(made) == lists(local)
    files = fsspec.filesystem("memory").find("/recommended")
    assert sorted(Path(file).name for file in files) == [
        ".recommendations.parquet.manifest.json",
        "recommendations.parquet",
    ]


def test_a_workspace_may_lie_in_a_folder_that_looks_like_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`user=me` is a folder's name, and no user's."""
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path / "user=me" / "item=5"))
    put_store(Workspace.here() and Path(Workspace.here().home))
    data = saved(tastes(300))
    made = recommended(fit(data), data)
    assert set(made.to_pandas().user) == set(data.to_pandas().user)
    assert made.to_pandas().item.nunique() > 10


# --- killed on the way ----------------------------------------------------------------------------------------------

KILLED = """
import time
from ostinato.artifacts import Artifact
from ostinato.context import running
from ostinato.recommenders.recommender import Recommender
from ostinato.steps import recommending
from steps.test_recommending import of_run
recommending.USERS_AT_ONCE = 16
best = Recommender.top
def slowly(*args, **options):
    time.sleep(0.2)
    return best(*args, **options)
Recommender.top = slowly
model, data = (Artifact.from_json(one) for one in {given!r})
with running(of_run()):
    recommending.recommend(model, data)
"""


def of_run() -> Any:
    """The step as it is begun, and begun again when the run is resumed."""
    return context("recommend", run_id="r1", pipeline="shop", as_of=AS_OF, emit=heard.append)


@pytest.mark.slow
def test_after_a_kill_it_goes_on_where_it_was(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is not done again, and the end is that of a run that nobody killed."""
    data = saved(tastes(2000))
    model = fit(data)
    monkeypatch.setattr(recommending, "USERS_AT_ONCE", 16)
    undisturbed = recommended(model, data, output=f"{home}/undisturbed")
    process = run_python(KILLED.format(given=[model.to_json(), data.to_json()]), wait=False)
    ended = time.monotonic() + 60
    while len(there := sorted((home / "tmp").glob("recommending-*/part-*.parquet"))) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < ended
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = sorted((home / "tmp").glob("recommending-*/part-*.parquet"))
    assert not (home / "recommendations").exists()
    assert 2 <= len(there) < 12

    heard.clear()
    with running(of_run()):
        made = recommend(model, data)
    assert f"{len(there)} of 13 parts were there already" in said()
    assert made.digest == undisturbed.digest
    assert lists(made) == lists(undisturbed)
    assert not list((home / "tmp").glob("recommending-*"))


def test_what_was_done_of_other_work_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts belong to one model, one table and one k; old ones of others are removed after a week."""
    data = saved(tastes(600))
    model = fit(data)
    monkeypatch.setattr(recommending, "USERS_AT_ONCE", 64)
    stale, fresh = home / "tmp/recommending-stale", home / "tmp/recommending-fresh"
    for folder in (stale, fresh):
        folder.mkdir(parents=True)
        (folder / "part-00000.parquet").write_text("of another")
    week = time.time() - 8 * 86_400
    os.utime(stale, (week, week))
    made = recommended(model, data)
    assert "were there already" not in said()
    assert len(lists(made)) == data.to_pandas().user.nunique()
    assert [path.name for path in (home / "tmp").glob("recommending-*")] == ["recommending-fresh"]


# --- what it refuses ------------------------------------------------------------------------------------------------


def test_impossible_lists_are_refused() -> None:
    """Before a model is loaded."""
    model, data = Model("models:/m-0", "sha256:0"), Dataset("file:///nowhere.parquet", "sha256:0", {"rows": 1})
    with pytest.raises(ParameterError, match="k=0 must be 1 or more"):
        recommended(model, data, k=0)
    with pytest.raises(ParameterError, match="--as-of DATE"):
        recommended(model, data, None)


def test_a_model_that_is_no_recommender_is_refused() -> None:
    """By what it is."""
    from sklearn.linear_model import LogisticRegression

    with here("train"):
        rows = pd.DataFrame({"x": [0.0, 1.0]})
        model = Model.of(LogisticRegression().fit(rows, [0, 1]), rows)
    with pytest.raises(ContractError, match="is a LogisticRegression, no recommender"):
        recommended(model, saved(tastes(300)))

"""The recommendation pipeline, end to end, with everything real: DuckDB, implicit, optuna, GX, MLflow on sqlite."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engines.stories import digests
from integrations.mlflow_store import one_thread, put_store
from ostinato.artifacts import Artifact
from ostinato.context import Context, running
from ostinato.engines.local_run import run
from ostinato.errors import ValidationFailed
from ostinato.graph import Step
from ostinato.pipelines.recommendation_retraining import recommendation_retraining
from ostinato.samples.interactions import write
from ostinato.steps.validation import validate
from ostinato.suites.usual import INTERACTIONS
from ostinato.tables import Dataset
from ostinato.workspace import Workspace, local_path

QUICK: dict[str, Any] = {"trials": 1, "options": {"als": {"iterations": 3, "factors": 16}}}
QUICKEST: dict[str, Any] = {"candidates": "ease", "options": {"ease": {"regularization": 100.0}}, "target": "none"}
AS_OF = "2026-05-01"
WEEK_BEFORE = "2026-04-24"


@pytest.fixture(autouse=True)
def in_this_process(home: Path) -> Iterator[None]:
    """A store, and steps that run here, as those of a notebook do: a process for each would import all anew."""
    put_store(home)
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(Step, "importable", False)
        yield


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty thousand interactions as the sample writes them."""
    place = tmp_path_factory.mktemp("sample") / "interactions.parquet"
    write(place, rows=20_000, seed=7)
    return place


@pytest.fixture(scope="session")
def before(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a first champion was crowned a week before; to be copied, and not to be changed."""
    place = tmp_path_factory.mktemp("before")
    put_store(place)
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(Step, "importable", False)
        result = run(recommendation_retraining, {"source": str(sample), **QUICK}, as_of=WEEK_BEFORE, home=place)
    assert result["state"] == "succeeded", result["steps"]
    return place


@pytest.fixture(scope="session")
def reference(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An undisturbed run, to compare the others with."""
    place = tmp_path_factory.mktemp("reference")
    put_store(place)
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(Step, "importable", False)
        result = run(recommendation_retraining, {"source": str(sample), **QUICK}, home=place)
    assert result["state"] == "succeeded", result["steps"]
    return result


@pytest.fixture
def week_later(before: Path, home: Path) -> Path:
    """The workspace of a champion, a week later."""
    shutil.rmtree(home)
    shutil.copytree(before, home, symlinks=True)
    return home


def runs(source: Path | str, given: Mapping[str, Any] | None = None, as_of: str | None = None) -> dict[str, Any]:
    return run(recommendation_retraining, {"source": str(source), **QUICKEST, **(given or {})}, as_of=as_of)


def changed(sample: Path, place: Path, query: str) -> Path:
    """The sample as a query leaves it."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW sample AS FROM '{sample}'")
        connection.execute(f"COPY ({query}) TO '{place}'")
    return place


def error_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What ended a run, which is told in a sentence and not to be tried again."""
    assert result["state"] == "failed"
    errors = [step["error"] for step in result["steps"] if step.get("error")] + [result["error"]]
    error = dict(errors[0])
    assert error["transient"] is False
    assert str(error["type"]).split(".")[-1] in (
        "DataError",
        "ParameterError",
        "ValidationFailed",
        "RuleBroken",
        "SuiteError",
    ), error
    for word in ("Traceback", "duckdb", "Exception", "Binder", "numpy"):
        assert word not in str(error["message"])
    return error


def champion_check(result: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = [check for check in result["verdict"]["checks"] if check["name"] == "champion"]
    return dict(found)


def versions(home: Path) -> int:
    with sqlite3.connect(home / "mlflow.db") as connection:
        return int(
            connection.execute(
                "SELECT count(*) FROM model_versions WHERE name = 'recommendation_retraining'"
            ).fetchone()[0]
        )


def lists(home: Path) -> list[Path]:
    return sorted((home / "recommendations").rglob("*.parquet"))


# --- a run ----------------------------------------------------------------------------------------------------------


def test_the_pipeline_ends_in_a_decision_a_model_and_a_list_for_every_user(
    reference: dict[str, Any], sample: Path
) -> None:
    """Each candidate tried, the best one judged, registered, deployed and asked."""
    assert reference["as_of"] == "2026-05-01T00:00:00+00:00"
    assert {step["state"] for step in reference["steps"]} == {"succeeded"}
    assert [step["map_key"] for step in reference["steps"] if step["name"] == "search_recommender"] == list("0123")
    assert reference["verdict"]["passed"] is True
    assert reference["model"]["uri"] == "models:/recommendation_retraining/1"
    assert 0.1 < reference["metrics"]["popularity_ndcg_at_10"] + 0.05 < reference["metrics"]["ndcg_at_10"] < 0.5
    assert "recommendation_retraining version 1" in Path(reference["report"]).read_text()
    candidates = {one["name"]: one for one in reference["model"]["facts"]["candidates"]}
    assert set(candidates) == {"ease", "als", "item_knn", "popularity"}
    assert [one["score"] for one in candidates.values() if one["chosen"]] == [
        max(one["score"] for one in candidates.values())
    ]
    (made,) = [step["outputs"] for step in reference["steps"] if step["name"] == "recommend"]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW made AS FROM '{local_path(made['uri'])}'")
        connection.execute(f"CREATE VIEW sample AS FROM '{sample}'")
        columns = [row[0] for row in connection.execute("DESCRIBE made").fetchall()]
        users, most, wrong = connection.execute(
            "SELECT count(DISTINCT user), max(rank), count(*) FILTER (version <> '1') FROM made"
        ).fetchall()[0]
        seen = connection.execute(
            "SELECT count(*) FROM made JOIN sample ON user = user_id AND item = item_id"
        ).fetchall()[0][0]
        everybody = connection.execute("SELECT count(DISTINCT user_id) FROM sample").fetchall()[0][0]
    assert columns[:5] == ["user", "rank", "item", "score", "version"]
    assert (users, most, wrong, seen) == (everybody, 10, 0, 0)


def test_the_same_rows_and_seed_give_the_same_digests_and_metrics(
    reference: dict[str, Any], sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content does not depend on the run, the order of the rows, or the number of threads."""
    monkeypatch.setenv("OSTINATO_THREADS", "1")
    mixed = changed(sample, tmp_path / "mixed.parquet", "FROM sample ORDER BY hash(user_id, item_id, ts)")
    again = run(recommendation_retraining, {"source": str(mixed), **QUICK})
    assert digests(again) == digests(reference)
    assert again["metrics"] == reference["metrics"]


@pytest.mark.slow
def test_steps_in_processes_of_their_own_give_the_same(
    reference: dict[str, Any], sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every run by the command line is."""
    monkeypatch.setattr(Step, "importable", True)
    again = run(recommendation_retraining, {"source": str(sample), **QUICK})
    assert digests(again) == digests(reference)
    assert again["metrics"] == reference["metrics"]


def test_a_week_later_the_champion_of_the_week_before_is_the_rival(sample: Path, week_later: Path) -> None:
    """On the same users; then the same again is unchanged."""
    second = run(recommendation_retraining, {"source": str(sample), **QUICK})
    assert (second["verdict"]["mode"], second["verdict"]["champion"]["version"]) == ("noninferior", "1")
    assert champion_check(second)["outcome"] == "pass", champion_check(second)
    assert second["promotion"]["replaced"] == "1"
    assert [place.parent.name for place in lists(week_later)] == [f"window={WEEK_BEFORE}", f"window={AS_OF}"]
    third = run(recommendation_retraining, {"source": str(sample), **QUICK})
    assert (third["verdict"]["outcome"], third["promotion"]) == ("unchanged", None)
    assert versions(week_later) == 2


def test_a_strangers_ratings_run_by_naming_their_columns(sample: Path, tmp_path: Path, home: Path) -> None:
    """A CSV file with a header of its own and epochs, of which high ratings count, split at random."""
    place = tmp_path / "ratings.csv"
    with duckdb.connect() as connection:
        connection.execute(
            f'COPY (SELECT user_id AS "userId", item_id[2:]::INT AS "movieId", rating, epoch(ts)::BIGINT AS timestamp '
            f"FROM '{sample}' ORDER BY ts) TO '{place}' (HEADER)"
        )
        liked = connection.execute(f"SELECT count(*) FROM '{sample}' WHERE rating >= 4").fetchall()[0][0]
    named = {"user": "userId", "item": "movieId", "time": "timestamp", "weight": "rating"}
    result = runs(place, {"columns": named, "positive_from": 4, "split": "random"})
    assert result["state"] == "succeeded", result["steps"]
    assert result["as_of"] == "2026-05-01T00:00:00+00:00"
    outputs = {step["name"]: step["outputs"] for step in result["steps"]}
    assert outputs["interactions"]["facts"]["rows"] == liked
    train, test = outputs["split_interactions"]
    assert train["facts"]["rows"] + test["facts"]["rows"] == liked
    assert test["facts"]["rows"] / liked == pytest.approx(0.25, abs=0.02)
    assert outputs["validate"]["facts"]["validation"]["facts"]["counts"]["pass"] >= 8
    assert result["model"]["facts"]["split"] == "random, share 0.25, seed 7"
    assert result["verdict"]["passed"] is True
    (file,) = lists(home)
    assert pq.read_schema(file).field("item").type == pa.int64()


@pytest.mark.slow
def test_below_the_floor_nothing_is_registered_and_nobody_gets_a_list(sample: Path, home: Path) -> None:
    """A rejection is a completed run."""
    result = runs(sample, {"floor": 0.99})
    assert (result["state"], result["verdict"]["passed"]) == ("succeeded", False)
    assert "ndcg_at_10" in result["verdict"]["checks"][0]["name"]
    assert versions(home) == 0
    assert lists(home) == []


@pytest.mark.slow
def test_without_a_persons_yes_nobody_gets_a_list(sample: Path, home: Path) -> None:
    """The version waits."""
    result = runs(sample, {"approval": True})
    assert (result["state"], result["approval"]["granted"]) == ("succeeded", False)
    assert (versions(home), result["promotion"], lists(home)) == (1, None, [])


@pytest.mark.slow
def test_lists_go_where_they_are_wanted(sample: Path, tmp_path: Path, home: Path) -> None:
    """With as many items as asked for."""
    result = runs(sample, {"output": f"{tmp_path}/lists", "k": 3, "model": "shop"})
    assert result["state"] == "succeeded", result["steps"]
    assert result["verdict"]["metric"] == "ndcg_at_3"
    assert lists(home) == []
    table = pq.read_table(tmp_path / f"lists/window={AS_OF}/recommendations.parquet", partitioning=None)
    assert max(table["rank"].to_pylist()) == 3


# --- what interactions must be like ---------------------------------------------------------------------------------

DAY = datetime(2026, 3, 1, tzinfo=UTC)
NOON = datetime(2026, 2, 27, 12)
HOSTILE = {"user": 'the "user"', "item": "it's; --", "time": "select", "weight": "{item}"}
PLAIN = {"user": "user_id", "item": "item_id", "time": "ts", "weight": "rating"}


def good(count: int = 400) -> list[tuple[Any, ...]]:
    """Users of ten interactions each."""
    return [(place // 10, f"i{place}", NOON - timedelta(hours=place), 1.0) for place in range(count)]


def kept(
    rows: list[tuple[Any, ...]], names: Mapping[str, str | None] = PLAIN, most_a_day: int = 1000, **more: Any
) -> Dataset:
    """What goes on of a table."""
    kinds = {"user": pa.int64(), "item": pa.string(), "time": pa.timestamp("us"), "weight": pa.float64()}
    columns = {
        called: pa.array([row[place] for row in rows], kinds[what])
        for place, (what, called) in enumerate(names.items())
        if called is not None
    }
    place = Workspace.here()
    place.prepare()
    with running(Context(place, run_id="r1", step="load", as_of=DAY, day=DAY)):
        data = Dataset.of(pa.table(columns), "given", time=names["time"])
    with running(Context(place, run_id="r1", step="validate", pipeline="shop", as_of=DAY, day=DAY)):
        given = {"default": INTERACTIONS, "names": {**names, "most_a_day": most_a_day}, "max_quarantine": 1, **more}
        return validate.function(data, **given)


def findings(data: Dataset) -> dict[str, tuple[str, int]]:
    """What came of each rule, and how many rows broke it."""
    found: Any = Artifact.from_json(data.facts["validation"])
    return {rule["name"]: (rule["outcome"], rule["unexpected"] or 0) for rule in found.read()["rules"]}


@pytest.mark.parametrize("names", [PLAIN, HOSTILE], ids=["plain", "hostile"])
def test_bad_rows_are_set_aside_and_no_others(names: Mapping[str, str]) -> None:
    """Each by its rule, with exact counts, whatever the columns are called."""
    robot = [(9000, f"i{place}", NOON - timedelta(minutes=place), 1.0) for place in range(30)]
    busy = [(9001, f"i{place}", NOON - timedelta(days=place % 2, minutes=place), 1.0) for place in range(30)]
    twice = good()[:5]
    bad = [
        *twice,
        *robot,
        *[(None, "i1", NOON, 1.0)] * 3,
        *[(1, None, NOON - timedelta(seconds=place), 1.0) for place in range(2)],
        *[(2, f"n{place}", None, 1.0) for place in range(4)],
        *[(3, f"f{place}", datetime(2026, 3, 4), 1.0) for place in range(6)],
        *[(4, f"w{place}", NOON, -0.5) for place in range(7)],
    ]
    fine = [
        *good(),
        *busy,
        (5, "no weight", NOON, None),
        (6, "zero", NOON, 0.0),
        (7, "today", datetime(2026, 3, 1, 23), 1.0),
    ]
    left = kept([*fine, *bad], names, most_a_day=20)
    assert left.rows == len(fine)
    rules = findings(left)
    by_rule = {name: count for name, (outcome, count) in rules.items() if outcome == "quarantined"}
    assert by_rule == {
        f"column_values_to_not_be_null: {names['user']}": 3,
        f"column_values_to_not_be_null: {names['item']}": 2,
        f"column_values_to_not_be_null: {names['time']}": 4,
        f"column_values_to_be_between: {names['time']}": 6,
        "an interaction is there once": 5 + 2,  # of three rows of nobody two are second ones
        "nobody has more than 20 interactions a day": 30,
        f"column_values_to_be_between: {names['weight']}": 7,
    }
    users = left.to_pandas()[names["user"]]
    assert (9000 in set(users), (users == 9001).sum()) == (False, 30)


def test_of_two_weights_at_one_moment_the_larger_goes_on() -> None:
    """The same one each time, in whatever order they come."""
    rows = [(place, "i", NOON, weight) for place in range(200) for weight in (1.0, 5.0, 3.0)]
    for given in (rows, rows[::-1]):
        left = kept(given).to_pandas()
        assert len(left) == 200
        assert set(left.rating) == {5.0}


def test_without_weights_nothing_is_asked_of_them() -> None:
    """The rule is left out, and all others are there."""
    with_weights, without = (set(findings(kept(good(), names))) for names in (PLAIN, {**PLAIN, "weight": None}))
    assert with_weights - without == {"column_values_to_be_between: rating"}
    assert without < with_weights


def test_too_many_bad_rows_stop_the_run_with_the_reason() -> None:
    """And with the share there is and may be."""
    rows = [*good(), *[(3, f"f{place}", datetime(2026, 4, 4), 1.0) for place in range(50)]]
    with pytest.raises(
        ValidationFailed, match=r"50 of 450 rows \(11\.11%\) would be quarantined, more than max_quarantine = 5\.00%"
    ):
        kept(rows, max_quarantine=None)


def test_a_table_that_ends_early_is_a_warning() -> None:
    """It is not as fresh as it should be."""
    rows = [(user, item, time - timedelta(days=9), weight) for user, item, time, weight in good()]
    left = kept(rows)
    assert findings(left)["column_max_to_be_between: ts"][0] == "fail"
    assert left.facts["validation"]["facts"]["warnings"][0].startswith("column_max_to_be_between: ts: found 2026-02-18")
    assert left.rows == len(rows)


# --- what cannot be made a recommender of ---------------------------------------------------------------------------

BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a missing file": ("", {"source": "nowhere.parquet"}, "There is no file or folder nowhere.parquet"),
    "a missing column": ("FROM sample", {"columns.user": "userid"}, "has no column 'userid'. Did you mean 'user_id'"),
    "a missing weight": ("FROM sample", {"columns.weight": "ratings"}, "'ratings'. Did you mean 'rating'"),
    "weights that are text": ("FROM sample", {"columns.weight": "item_id"}, "item_id"),
    "text that counts from a number on": (
        "SELECT user_id, item_id, ts, 'good' AS rating FROM sample",
        {"columns.weight": "rating", "positive_from": 3},
        "rating",
    ),
    "a bound without weights": ("FROM sample", {"positive_from": 4}, "give columns.weight, too"),
    "nothing that counts": (
        "FROM sample",
        {"columns.weight": "rating", "positive_from": 50},
        "is an interaction that counts: rating below 50 or missing",
    ),
    "missing times": (
        "SELECT user_id, item_id, CASE WHEN hash(item_id, user_id) % 4 > 0 THEN ts END AS ts FROM sample",
        {},
        "would be quarantined, more than max_quarantine = 5.00%",
    ),
    "times that are none": ("SELECT user_id, item_id, 'soon' AS ts FROM sample", {"as_of": AS_OF}, "ts"),
    "negative weights": (
        "SELECT user_id, item_id, ts, rating - 3 AS rating FROM sample",
        {"columns.weight": "rating"},
        "would be quarantined, more than max_quarantine = 5.00%",
    ),
    "one item for all": ("SELECT user_id, 'one' AS item_id, ts FROM sample", {}, "interactions of file"),
    "ids that are true or false": ("SELECT user_id > 100 AS user_id, item_id, ts FROM sample", {}, "BOOLEAN"),
    "ids that are fractions": ("SELECT user_id + 0.5 AS user_id, item_id, ts FROM sample", {}, "no whole numbers"),
    "ids that are lists": ("SELECT [user_id] AS user_id, item_id, ts FROM sample", {}, "[]: ids are whole numbers"),
    "a day without a week before": ("FROM sample", {"as_of": "2026-01-03"}, "There is nothing to learn from: the test"),
    "a day long after": ("FROM sample", {"as_of": "2026-09-01"}, "There is nothing to judge on: the test"),
    "a catalogue above the cap": ("FROM sample", {"ease_items": 20}, "items are more than the 20 that EASE may have"),
    "an unknown candidate": (
        "FROM sample",
        {"candidates": "ease,knn"},
        "Unknown candidate 'knn'. Did you mean 'item_knn'",
    ),
    "no candidate": ("FROM sample", {"candidates": []}, "There are no candidates"),
    "an unknown option": ("FROM sample", {"options": {"ease": {"lambda": 3}}}, "ease has no option 'lambda'"),
    "an unknown floor": ("FROM sample", {"floors.ndgc_at_10": 0.1}, "Did you mean 'ndcg_at_10'"),
    "a suite that is nowhere": ("FROM sample", {"suite": "nowhere.yaml"}, "There is no suite nowhere.yaml"),
}


QUICKLY = {  # of the others the steps' own tests tell, too
    "a missing column",
    "a bound without weights",
    "missing times",
    "negative weights",
    "one item for all",
    "a day long after",
    "a catalogue above the cap",
}


@pytest.mark.parametrize(
    "name", [name if name in QUICKLY else pytest.param(name, marks=pytest.mark.slow) for name in BAD]
)
def test_bad_input_fails_with_a_sentence(name: str, sample: Path, tmp_path: Path) -> None:
    """What happened, with which value, and what to do; nothing after it runs."""
    query, given, message = BAD[name]
    given = dict(given)
    as_of = given.pop("as_of", None)
    source = changed(sample, tmp_path / "bad.parquet", query) if query else tmp_path / "none"
    assert message in error_of(runs(source, given, as_of))["message"]


@pytest.mark.parametrize("split", ["temporal", pytest.param("random", marks=pytest.mark.slow)])
def test_one_interaction_each_ends_in_a_rejection(split: str, sample: Path, tmp_path: Path) -> None:
    """Nobody has a history, so that nothing can be better than what is popular."""
    query = "SELECT row_number() OVER () AS user_id, item_id, ts FROM sample"
    result = runs(changed(sample, tmp_path / "once.parquet", query), {"split": split})
    assert (result["state"], result["verdict"]["outcome"]) == ("succeeded", "fail")
    assert "is not above what the most popular items reach" in result["verdict"]["checks"][0]["why"]


def test_where_no_user_is_left_to_judge_on_nothing_passes(sample: Path, tmp_path: Path) -> None:
    """In the last week all took what they had already."""
    query = (
        "SELECT user_id, item_id, ts FROM sample WHERE ts < '2026-04-24' UNION ALL "
        "SELECT user_id, first(item_id), TIMESTAMP '2026-04-29' FROM sample WHERE ts < '2026-04-24' GROUP BY user_id"
    )
    result = runs(changed(sample, tmp_path / "again.parquet", query), as_of=AS_OF)
    assert (result["state"], result["verdict"]["outcome"]) == ("succeeded", "not-enough-data")
    assert "0 users took something new in the test; it takes 30" in result["verdict"]["checks"][0]["why"]


@pytest.mark.slow
def test_numbers_and_text_in_one_column_are_text(sample: Path, tmp_path: Path, home: Path) -> None:
    """As in a CSV file of two sources."""
    user = "CASE WHEN user_id % 2 = 0 THEN user_id::VARCHAR ELSE 'web-' || user_id END"
    result = runs(changed(sample, tmp_path / "mixed.csv", f"SELECT {user} AS user_id, item_id, ts FROM sample"))
    assert (result["state"], result["verdict"]["passed"]) == ("succeeded", True)
    assert pq.read_schema(lists(home)[0]).field("user").type == pa.string()


@pytest.mark.slow
def test_above_the_cap_the_others_compete(sample: Path) -> None:
    """And it is told why one did not."""
    result = runs(sample, {"ease_items": 20, "candidates": "ease,item_knn", "trials": 1, "options": {}})
    assert result["state"] == "succeeded"
    ease, knn = result["model"]["facts"]["candidates"]
    assert (ease["name"], ease["score"], ease["chosen"], knn["chosen"]) == ("ease", None, False, True)
    assert "more than the 20 that EASE may have here (ease_items)" in ease["why"]


def test_a_champion_whose_items_are_no_more_stands_in_the_way_of_a_silent_pass(
    sample: Path, tmp_path: Path, week_later: Path
) -> None:
    """The ids may have been changed: nobody knows who is better, until one says not to compare."""
    renamed = changed(
        sample, tmp_path / "renamed.parquet", "SELECT user_id, 'sku' || item_id AS item_id, ts FROM sample"
    )
    result = runs(renamed)
    assert (result["state"], result["verdict"]["outcome"]) == ("succeeded", "not-enough-data")
    assert "knows none of these" in champion_check(result)["why"]
    assert 'compare="none"' in champion_check(result)["why"]
    assert versions(week_later) == 1
    assert runs(renamed, {"compare": "none"})["promotion"]["promoted"] is True


def test_users_of_other_ids_are_strangers_to_the_champion_who_is_asked_all_the_same(
    sample: Path, tmp_path: Path, week_later: Path
) -> None:
    """What they took is known, and the items are the same: a champion of numbers, a table of text."""
    words = changed(sample, tmp_path / "words.parquet", "SELECT 'u' || user_id AS user_id, item_id, ts FROM sample")
    result = runs(words, {"margin": 0.1})
    assert champion_check(result)["outcome"] == "pass", champion_check(result)
    theirs = result["verdict"]["champion"]["metrics"]["ndcg_at_10"]
    assert theirs > result["metrics"]["popularity_ndcg_at_10"]

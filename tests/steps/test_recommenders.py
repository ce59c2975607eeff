"""The search for the best recommender, and its training on all there is."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from integrations.mlflow_store import put_store
from ostinato.artifacts import Search
from ostinato.errors import DataError, ParameterError
from ostinato.steps import recommenders
from ostinato.steps.interaction_tables import split_interactions
from ostinato.steps.recommenders import CANDIDATES, search_recommender, train_recommender
from ostinato.tables import Dataset, duck
from steps.tastes import AS_OF, fit, found, heard, here, said, saved, tastes

END = AS_OF.replace(tzinfo=None)


@pytest.fixture
def store(home: Path) -> None:
    put_store(home)


def search(candidate: str, data: Dataset | pd.DataFrame, **options: Any) -> Search:
    data = data if isinstance(data, Dataset) else saved(data)
    with here("search", map_key=candidate):
        return search_recommender(candidate, data, **{"trials": 2, **options})


def score(candidate: str, data: Dataset | pd.DataFrame, **options: Any) -> float:
    value = search(candidate, data, **options).score
    assert value is not None
    return value


# --- the search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["temporal", "random"])
def test_where_there_are_tastes_they_are_found(split: Any) -> None:
    """Every candidate that can learn ranks better than what is popular."""
    data = saved(tastes(8000, users=500, items=200))
    scores = {name: score(name, data, split=split) for name in CANDIDATES}
    assert min(scores.values()) == scores["popularity"]
    assert scores["ease"] > 1.3 * scores["popularity"]


def test_what_was_found_travels_with_its_candidate() -> None:
    """The options, the score and what it is, and how many were tried."""
    facts = search("item_knn", tastes(1500), k=5, options={"item_knn": {"neighbours": 7}}).facts
    assert facts["candidate"] == "item_knn"
    assert facts["options"]["neighbours"] == 7
    assert facts["options"]["weighting"] in ("cosine", "tfidf", "bm25")
    assert (facts["metric"], facts["trials"]) == ("ndcg_at_5", 2)
    assert 0 < facts["score"] < 1
    assert "item_knn, trial 2: ndcg_at_5 0." in said()


def test_the_search_tells_how_far_it_is() -> None:
    """Trial by trial."""
    search("ease", tastes(800), trials=3)
    progress = [(event["done"], event["total"]) for event in heard if event["event"] == "progress"]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_where_nothing_is_to_be_chosen_there_is_one_trial() -> None:
    """Popularity has no options, and EASE has none left."""
    data = saved(tastes(800))
    assert search("popularity", data).facts["trials"] == 1
    chosen = search("ease", data, trials=5, options={"ease": {"regularization": 9.0}}).facts
    assert (chosen["trials"], chosen["options"]) == (1, {"regularization": 9.0})


def test_the_budget_ends_the_search_after_a_trial() -> None:
    """There is always one."""
    assert search("ease", tastes(800), trials=500, budget=1e-6).facts["trials"] == 1


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_same_data_and_seed_find_the_same(candidate: str) -> None:
    """In any order of the rows; digests are of what was found, not of where."""
    table = tastes(1500)
    first = search(candidate, table, seed=5)
    assert search(candidate, table.sample(frac=1, random_state=1), seed=5).digest == first.digest


def test_another_seed_draws_other_options() -> None:
    """After the usual ones."""
    data, fixed = saved(tastes(1500)), {"als": {"iterations": 2}}
    tried = [search("als", data, seed=seed, trials=4, options=fixed).facts["options"] for seed in (1, 2)]
    assert tried[0] != tried[1]


def test_the_score_is_what_a_plain_count_gives() -> None:
    """Popularity of what was taken before, asked of who took something new in the last days."""
    table = tastes(1500, users=150, items=40)
    late = table.time > table.time.max() - timedelta(days=3)
    taken = {user: set(rows.item) for user, rows in table[~late].groupby("user")}
    often = Counter(item for items in taken.values() for item in items)
    ranked = sorted(range(40), key=lambda item: (-often[item], item))
    scores = []
    for user, rows in table[late].groupby("user"):
        if new := set(rows.item) - taken.get(user, set()):
            shown = [item for item in ranked if item not in taken.get(user, set())][:4]
            gain = sum(1 / math.log2(rank + 2) for rank, item in enumerate(shown) if item in new)
            scores.append(gain / sum(1 / math.log2(rank + 2) for rank in range(min(4, len(new)))))
    assert len(scores) > 20
    assert score("popularity", table, k=4, validation_days=3) == pytest.approx(sum(scores) / len(scores))


def test_ease_is_left_out_above_its_most_items_and_says_why() -> None:
    """It would take the memory of a matrix of items by items; just so many are none too many."""
    data = saved(tastes(800, items=40))
    left = search("ease", data, ease_items=39)
    assert left.score is None
    assert left.facts["why"] == "40 items are more than the 39 that EASE may have here (ease_items)"
    assert "ease is left out: 40 items" in said()
    assert left.facts["trials"] == 0
    assert search("ease", data, ease_items=40).score is not None
    assert search("item_knn", data, ease_items=1).score is not None


def test_users_may_be_few_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many as it takes are drawn, the same each time."""
    data = saved(tastes(3000))
    everybody = score("popularity", data)
    monkeypatch.setattr(recommenders, "MOST_JUDGED", 40)
    some = [score("popularity", data, seed=seed) for seed in (1, 1, 2)]
    assert some[0] == some[1]
    assert len({everybody, *some}) == 3


def test_the_score_of_nearly_all_users_is_nearly_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing users changes who is judged, and nothing else."""
    data = saved(tastes(6000))
    everybody = score("ease", data)
    monkeypatch.setattr(recommenders, "MOST_JUDGED", 110)
    assert score("ease", data) == pytest.approx(everybody, rel=0.1)


def test_what_was_taken_before_counts_where_it_may_be_recommended_again() -> None:
    """Users who take the same day by day are served with just that."""
    daily = [
        {"user": user, "item": user % 7, "time": END - timedelta(days=day)}
        for user in range(40)
        for day in range(1, 15)
    ]
    once = [{"user": user, "item": 7 + user % 3, "time": END - timedelta(days=20)} for user in range(40)]
    table = pd.DataFrame(daily + once)
    with pytest.raises(DataError, match="where users take the same again, exclude_seen=false"):
        search("item_knn", table)
    assert score("item_knn", table, exclude_seen=False) > 0.6


# --- the part that is held back -------------------------------------------------------------------------------------


def held_back(table: pd.DataFrame, split: Any = "temporal", days: int = 7, seed: int = 7) -> list[datetime]:
    """The moments of what options are chosen by."""
    with here("search"), duck() as connection:
        data = saved(table).sql(connection)
        condition = recommenders._held_back(connection, data, split, days, seed)
        return [row[0] for row in connection.execute(f"SELECT time FROM {data} WHERE {condition}").fetchall()]


@settings(max_examples=20)  # each writes a table
@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(1, 90))
@example([3] * 20, 7)
def test_the_last_days_are_held_back_but_never_more_than_a_fifth(days: list[int], length: int) -> None:
    """Whatever the times are."""
    moments = [END - timedelta(days=day) for day in days]
    held = held_back(pd.DataFrame({"user": 1, "item": range(len(days)), "time": moments}), days=length)
    assert len(held) <= len(days) / 5
    assert all(moment > max(moments) - timedelta(days=length) for moment in held)
    rest = sorted(moments)[: len(moments) - len(held)]
    assert not held or min(held) > max(rest)


def test_a_few_last_days_are_held_back_whole() -> None:
    """Where they are less than a fifth."""
    table = tastes(2000)
    assert len(held_back(table, days=3)) == (table.time > table.time.max() - timedelta(days=3)).sum()


def test_a_random_part_is_a_fifth_of_what_the_test_has_left() -> None:
    """Drawn anew: what was drawn for the test says nothing about it."""
    with here("split"):
        train, _ = split_interactions(saved(tastes(4000)), split="random")
    assert len(held_back(train.to_pandas(), "random")) / train.rows == pytest.approx(0.2, abs=0.03)


# --- what cannot be searched ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "wrong", "sentence"),
    [
        ("eese", {}, "Unknown candidate 'eese'. Did you mean 'ease'"),
        ("ease", {"options": {"als": {"factor": 3}}}, "als has no option 'factor'. Did you mean 'factors'"),
        ("ease", {"options": {"alz": {}}}, "Unknown candidate 'alz'. Did you mean 'als'"),
        ("ease", {"trials": 0}, "trials and k are 1 or more: not trials=0, k=10"),
        ("ease", {"k": 0}, "not trials=2, k=0"),
    ],
)
def test_a_slip_is_named(candidate: str, wrong: dict[str, Any], sentence: str) -> None:
    """With what it may have meant."""
    with pytest.raises(ParameterError, match=sentence):
        search(candidate, tastes(100), **wrong)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_one_item_for_all_is_nothing_to_choose_from(candidate: str) -> None:
    """And said so, with how often it was taken."""
    with pytest.raises(DataError, match=r"All 100 interactions of file.* are with one item"):
        search(candidate, tastes(100).assign(item="the only one"))


@pytest.mark.parametrize("split", ["temporal", "random"])
def test_one_interaction_each_leaves_nothing_but_what_is_popular(split: Any) -> None:
    """Nobody has a history, and all candidates are alike."""
    table = tastes(600).assign(user=range(600))
    data = saved(table)
    assert len({score(name, data, split=split, trials=1) for name in CANDIDATES}) == 1


def test_where_nothing_new_happened_it_says_what_to_do() -> None:
    """Such as one moment for all."""
    table = tastes(500).assign(time=END - timedelta(days=9))
    with pytest.raises(DataError, match=r"learn from more days \(train_days, test_days\), or write split=random"):
        search("ease", table)
    assert search("ease", table, split="random").score is not None


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store")
def test_the_best_is_trained_on_everything_there_is() -> None:
    """Also on what was held back; a pair counts once."""
    table = tastes(1000)
    data = saved(table)
    with here("train"):
        tried = [found("popularity", 0.2), found("ease", 0.4), found("als", None, why="no library")]
        model = train_recommender(tried, data)
    assert "trained ease (regularization 50.0) on" in said()
    assert "ndcg_at_10 0.4000 on the validation part" in said()
    recommender = model.load()
    assert (recommender.kind, recommender.options) == ("ease", {"regularization": 50.0})
    assert recommender.users.values.to_pylist() == sorted(set(table.user))
    assert recommender.items.values.to_pylist() == sorted(set(table.item))
    pairs = table[["user", "item"]].drop_duplicates()
    assert recommender.taken.nnz == len(pairs)


@pytest.mark.usefixtures("store")
def test_a_model_knows_what_it_was_made_of() -> None:
    """Rows, users, items, the window, the side of the split, and what else was tried."""
    table = tastes(1000)
    data = saved(table)
    with here("train"):
        tried = [found("ease", None, why="too many items", trials=0), found("popularity", 0.2)]
        facts = train_recommender(tried, data, split="random", test_share=0.3, seed=4).facts
    assert (facts["rows"], facts["users"], facts["items"]) == (1000, table.user.nunique(), table.item.nunique())
    assert facts["data"] == data.digest
    assert facts["window"] == data.facts["time"]
    assert facts["split"] == "random, share 0.3, seed 4"
    assert [(one["name"], one["chosen"], one["score"]) for one in facts["candidates"]] == [
        ("ease", False, None),
        ("popularity", True, 0.2),
    ]
    assert facts["candidates"][0]["why"] == "too many items"


@pytest.mark.usefixtures("store")
def test_of_equals_the_first_is_taken() -> None:
    """A score of nought is one."""
    with here("train"):
        tried = [found("als", None), found("popularity", 0.0), found("ease", 0.0)]
        assert train_recommender(tried, saved(tastes(300))).load().kind == "popularity"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("ids", ["numbers", "words"])
def test_the_same_rows_give_the_same_model(ids: str) -> None:
    """In any order, in any run; other rows give another."""
    table = tastes(600)
    table = table if ids == "numbers" else table.assign(user=table.user.map("u{}".format), item=table.item.astype(str))
    first = fit(saved(table))
    assert fit(saved(table.sample(frac=1, random_state=3)), run_id="r2").digest == first.digest
    assert fit(saved(table[:599]), run_id="r3").digest != first.digest


@pytest.mark.usefixtures("store")
def test_what_a_model_is_tried_out_with_are_users_and_strangers() -> None:
    """Strangers come with what they took, and none is called like a user of the table."""
    words = tastes(600).assign(user=lambda table: table.user.map("u{}".format))
    for table in (tastes(600), words):
        asked = recommenders._example(fit(saved(table), run_id=str(table.user[0])).load())
        known = asked.user.isin(table.user)
        assert known.sum() == 20
        assert asked.recent[known].isna().all()
        assert [len(listed) for listed in asked.recent[~known]] == [1, 3, 5]


@pytest.mark.usefixtures("store")
def test_without_anything_fitted_there_is_no_model() -> None:
    """Each candidate's reason is told."""
    data = saved(tastes(300))
    with here("train"):
        with pytest.raises(DataError, match="could be fitted: ease: 9 items are too many; als: no library"):
            train_recommender(
                [found(score=None, why="9 items are too many"), found("als", None, why="no library")], data
            )
        with pytest.raises(DataError, match="no candidates: write some of ease, als, item_knn, popularity"):
            train_recommender([], data)

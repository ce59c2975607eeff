"""What `judge_recommender` promises, on a real store with a real ledger."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from integrations.mlflow_store import client, put_store
from ostinato.artifacts import Model, Verdict
from ostinato.errors import ContractError, ParameterError
from ostinato.recommenders.als import Als
from ostinato.recommenders.histories import matrix
from ostinato.recommenders.ids import Ids
from ostinato.recommenders.recommender import Recommender
from ostinato.steps.interaction_tables import split_interactions
from ostinato.tables import Dataset
from ostinato.workspace import local_path
from steps.tastes import AS_OF, crown, fit, halves, here, judge, said, saved, tastes, version_of

END = AS_OF.replace(tzinfo=None)
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def store(home: Path) -> None:
    put_store(home)


@pytest.fixture
def shop() -> tuple[Dataset, Dataset]:
    """What was taken until the last week, and in it."""
    return halves(tastes())


def older(table: pd.DataFrame) -> pd.DataFrame:
    """What a champion had learnt two weeks ago."""
    return table[table.time < END - 2 * WEEK]


def checked(verdict: Verdict, name: str) -> dict[str, Any]:
    """The check of that name, from the file, which has all of them."""
    (found,) = [check for check in verdict.read()["checks"] if check["name"] == name]
    return dict(found)


def evidence(verdict: Verdict) -> dict[str, Any]:
    return dict(verdict.read()["evidence"])


def slices(verdict: Verdict, column: str) -> dict[str, dict[str, Any]]:
    return {one["value"]: one for one in evidence(verdict)["slices"] if one["column"] == column}


def random_halves(table: pd.DataFrame, seed: int = 7, share: float = 0.25) -> tuple[Dataset, Dataset]:
    with here("split"):
        return split_interactions(saved(table), split="random", seed=seed, test_share=share)


# --- what is measured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_numbers_are_those_of_a_plain_count(exclude_seen: bool) -> None:
    """Of EASE, by numpy's own inverse and a loop over users; strangers and new items included."""
    table = tastes(1500, users=60, items=30)
    new = pd.DataFrame({"user": [1, 2, 900, 901], "item": [777, 3, 4, 777], "time": END - timedelta(days=1)})
    train, test = halves(pd.concat([table, new]))
    verdict = judge(fit(train), train, test, k=4, exclude_seen=exclude_seen)

    early, late = table[table.time < END - WEEK], pd.concat([table[table.time >= END - WEEK], new])
    users, items = sorted(set(early.user)), sorted(set(early.item))
    taken = np.zeros((len(users), len(items)))
    taken[[users.index(user) for user in early.user], [items.index(item) for item in early.item]] = 1
    inverse = np.linalg.inv(taken.T @ taken + 50 * np.eye(len(items)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    popular = taken.sum(axis=0)
    plain: dict[str, list[float]] = {name: [] for name in ("ndcg", "recall", "precision", "map", "popular")}
    shown, strangers, unknown = [], 0, []
    for user, rows in late.groupby("user"):
        history = taken[users.index(user)] if user in users else np.zeros(len(items))
        had = {item for item, there in zip(items, history, strict=True) if there}
        wanted = set(rows.item) - (had if exclude_seen else set())
        if not wanted:
            continue
        strangers += not had
        unknown += [item not in items for item in wanted]
        score = history @ weights if had else popular
        lists = []
        for number in (score, popular):
            free = [place for place, item in enumerate(items) if not (exclude_seen and item in had)]
            best = sorted(free, key=lambda place: (-number[place], place))[:4]
            lists.append([items[place] in wanted for place in best])
        shown += [items[place] for place in sorted(free, key=lambda place: (-score[place], place))[:4]]
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(4, len(wanted))))
        gains = [sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit) / ideal for hits in lists]
        plain["ndcg"].append(gains[0])
        plain["popular"].append(gains[1])
        plain["recall"].append(sum(lists[0]) / len(wanted))
        plain["precision"].append(sum(lists[0]) / 4)
        running = [sum(lists[0][: rank + 1]) / (rank + 1) for rank, hit in enumerate(lists[0]) if hit]
        plain["map"].append(sum(running) / min(4, len(wanted)))
    share = {item: popular[place] / len(users) for place, item in enumerate(items)}
    assert verdict.metrics == pytest.approx(
        {
            "users": len(plain["ndcg"]),
            "interactions": len(unknown),
            **{f"{name}_at_4": np.mean(plain[name]) for name in ("ndcg", "recall", "precision", "map")},
            "popularity_ndcg_at_4": np.mean(plain["popular"]),
            "coverage": len(set(shown)) / len(items),
            "novelty": np.mean([-math.log2(share[item]) for item in shown]),
            "cold_users_share": strangers / len(plain["ndcg"]),
            "cold_items_share": np.mean(unknown),
        }
    )
    assert strangers == 2
    assert sum(unknown) == 2


def test_a_recommender_with_skill_passes_and_says_by_how_much(shop: tuple[Dataset, Dataset]) -> None:
    """Without a floor it must beat what is popular by more than chance."""
    train, test = shop
    model = fit(train)
    verdict = judge(model, train, test)
    assert verdict.passed
    check = checked(verdict, "ndcg_at_10")
    assert check["bound"] == verdict.metrics["popularity_ndcg_at_10"]
    assert 0 < check["lift_lower_bound"] < check["value"] - check["bound"]
    assert (verdict.facts["model"], verdict.facts["data"]) == (model.digest, test.digest)
    assert (verdict.facts["mode"], verdict.facts["champion"]) == ("bootstrap", None)
    assert verdict.facts["ledger"] == {"name": "shop", "entry": 0}
    assert verdict.facts["rows"]["count"] == test.rows
    assert verdict.facts["rows"]["from"] >= "2026-02-22"
    assert "nDCG" in said()
    assert "popularity 0." in said()


@pytest.mark.parametrize("what", ["popularity", "chance"])
def test_what_is_no_better_than_popular_fails(what: str) -> None:
    """Popularity itself, and a model of users without tastes."""
    table = tastes()
    if what == "chance":
        table = table.assign(item=np.random.default_rng(4).integers(0, 60, len(table)))
    train, test = halves(table)
    verdict = judge(fit(train, "ease" if what == "chance" else "popularity"), train, test)
    assert verdict.outcome == "fail"
    assert "is not above what the most popular items reach, 0." in checked(verdict, "ndcg_at_10")["why"]


def test_one_interaction_each_proves_nothing() -> None:
    """Where nobody has a history, all get what is popular, and no skill is seen."""
    table = tastes(1200)
    train, test = halves(table.assign(user=range(len(table))))
    verdict = judge(fit(train), train, test)
    assert verdict.metrics["cold_users_share"] == 1
    assert verdict.outcome == "fail"


def test_a_floor_is_the_bound_when_it_is_given(shop: tuple[Dataset, Dataset]) -> None:
    """Just reached is passed, one hair above is not; so are those of other metrics."""
    train, test = shop
    model = fit(train)
    metrics = judge(model, train, test).metrics
    value, coverage = metrics["ndcg_at_10"], metrics["coverage"]
    assert judge(model, train, test, floor=value, floors={"coverage": coverage}).passed
    assert checked(judge(model, train, test, floor=value + 1e-9), "ndcg_at_10")["outcome"] == "fail"
    verdict = judge(model, train, test, floors={"precision_at_10": 0.9, "recall_at_10": 0.0})
    assert [checked(verdict, name)["outcome"] for name in ("precision_at_10", "recall_at_10")] == ["fail", "pass"]


@pytest.mark.parametrize("floor", [None, 0.0])
def test_few_users_are_not_enough_data(shop: tuple[Dataset, Dataset], floor: float | None) -> None:
    """Twenty-nine prove nothing, not even a floor; thirty may."""
    train, test = shop
    model = fit(train)
    few = judge(model, train, test, most_users=29, floor=floor)
    assert few.outcome == "not-enough-data"
    assert "29 users took something new in the test; it takes 30" in checked(few, "ndcg_at_10")["why"]
    assert judge(model, train, test, most_users=30, floor=0.0).passed


@pytest.mark.parametrize("candidate", ["ease", "popularity"])
def test_where_no_user_is_left_there_is_no_verdict(candidate: str) -> None:
    """Everybody took again what they had: nothing is measured, and nothing passes."""
    table = tastes(800)
    again = table.groupby("user").head(1).assign(time=END - timedelta(days=1))
    train, test = halves(pd.concat([table[table.time < END - WEEK], again[again.user.isin(older(table).user)]]))
    known = saved(pd.concat([train.to_pandas(), test.to_pandas().assign(time=END - 3 * WEEK)]), "train")
    verdict = judge(fit(known, candidate), known, test, floor=0.0)
    assert verdict.outcome == "not-enough-data"
    assert "0 users took something new" in checked(verdict, "ndcg_at_10")["why"]
    assert verdict.metrics == {"users": 0, "interactions": 0}
    assert evidence(verdict)["shown"] == []
    json.dumps(verdict.to_json(), allow_nan=False)


def test_too_slow_or_too_large_fails(shop: tuple[Dataset, Dataset]) -> None:
    """Unless nobody asks."""
    train, test = shop
    model = fit(train)
    strict = judge(model, train, test, max_latency_ms=1e-6, max_size_mb=1e-6)
    assert [checked(strict, name)["outcome"] for name in ("latency_ms", "size_mb")] == ["fail", "fail"]
    assert judge(model, train, test, max_latency_ms=None, max_size_mb=None).passed


def test_a_verdict_is_small_strict_json_and_the_same_each_time() -> None:
    """In any order of the rows, whatever time it took."""
    table = tastes(6000, users=700, items=300)
    train, test = halves(table)
    model = fit(train)
    verdict = judge(model, train, test)
    assert len(json.dumps(verdict.to_json(), allow_nan=False)) < 6000
    assert judge(model, *halves(table.sample(frac=1, random_state=2))).digest == verdict.digest
    assert judge(model, train, test, k=5).digest != verdict.digest


def test_metrics_show_in_mlflow_at_the_run_and_at_the_model(shop: tuple[Dataset, Dataset]) -> None:
    """The numbers under the names of the verdict."""
    train, test = shop
    model = fit(train)
    verdict = judge(model, train, test)
    logged = client().get_logged_model(model.uri.removeprefix("models:/"))
    assert {metric.key: metric.value for metric in logged.metrics} == pytest.approx(verdict.metrics)


# --- parts ----------------------------------------------------------------------------------------------------------


def test_without_a_champion_parts_of_users_are_compared_with_what_is_popular(shop: tuple[Dataset, Dataset]) -> None:
    """And parts of the items are told, but not judged: nothing beats popularity at what is popular."""
    train, test = shop
    verdict = judge(fit(train), train, test)
    users, items = slices(verdict, "activity"), slices(verdict, "popularity")
    assert len(users) >= 4
    assert {one["outcome"] for one in users.values()} <= {"pass", "not-enough-data"}
    assert list(items) == ["most popular third", "middle third", "least popular third"]
    for one in items.values():
        assert one["outcome"] == ""
        assert 0 <= one["candidate"] <= 1
        assert one["champion"] is None
    assert items["most popular third"]["baseline"] > items["least popular third"]["baseline"]
    assert not [check for check in verdict.read()["checks"] if "popularity =" in check["name"]]


def test_a_part_of_the_users_that_is_served_worse_than_by_popularity_fails() -> None:
    """Even where the whole reaches its floor: here some who took much of one kind, and then what all take."""
    table = tastes(8000, users=400)
    liked = table[table.time < END - WEEK].groupby("item").user.nunique().sort_values().index[-5:]
    rows = [(5000 + user, 100 + item) for user in range(25) for item in range(30) if (item + user) % 5]
    later = [(5000 + user, item) for user in range(25) for item in liked]
    devoted = [
        pd.DataFrame(pairs, columns=["user", "item"]).assign(time=END - timedelta(days=days))
        for pairs, days in ((rows, 30), (later, 1))
    ]
    train, test = halves(pd.concat([table, *devoted]))
    verdict = judge(fit(train), train, test, k=5, floor=0.05)
    assert checked(verdict, "ndcg_at_5")["outcome"] == "pass"
    assert verdict.outcome == "fail"
    worse = {name: one for name, one in slices(verdict, "activity").items() if one["outcome"] == "fail"}
    assert len(worse) == 1
    for one in worse.values():
        assert one["candidate"] < one["baseline"]
        assert one["high"] < 0
    assert "nDCG@5 is lower than what the most popular items reach, of these users" in str(verdict.checks)


def test_nothing_is_concluded_about_a_part_of_few_users(shop: tuple[Dataset, Dataset]) -> None:
    """It is told, and decides nothing."""
    train, test = shop
    verdict = judge(fit(train), train, test, slice_users=1000)
    assert verdict.passed
    assert {one["outcome"] for one in slices(verdict, "activity").values()} == {"not-enough-data"}
    told = [check for check in verdict.read()["checks"] if check.get("group") == "slices"]
    assert all("users; it takes 1,000" in check["why"] for check in told)


def test_strangers_are_a_part_of_their_own() -> None:
    """They are served what is popular, which is no harm."""
    table = tastes()
    strangers = tastes(300, users=50, seed=9).assign(user=lambda rows: rows.user + 1000, time=END - timedelta(days=2))
    train, test = halves(pd.concat([table, strangers]))
    cold = slices(judge(fit(train), train, test), "activity")["cold"]
    assert cold["rows"] == 50
    assert (cold["candidate"], cold["outcome"]) == (pytest.approx(cold["baseline"]), "pass")


def test_a_few_users_are_shown_without_their_ids() -> None:
    """From those who took little to those who took much: what they took last, are offered, and then took."""
    table = tastes(2000).assign(
        user=lambda rows: rows.user.map("secret-{}".format), item=lambda rows: rows.item.map("i{}".format)
    )
    train, test = halves(table)
    verdict = judge(fit(train), train, test, k=6)
    assert "secret-" not in Path(local_path(verdict.uri)).read_text()
    shown = evidence(verdict)["shown"]
    assert len(shown) == 5
    assert [one["history"] for one in shown] == sorted(one["history"] for one in shown)
    for one in shown:
        assert set(one) == {"history", "recent", "recommended", "found"}
        assert len(one["recommended"]) == 6
        assert set(one["found"]) <= set(one["recommended"])
        assert not set(one["recent"]) & set(one["recommended"])
        assert len(one["recent"]) == min(5, one["history"])


def test_evidence_tells_candidates_spread_and_catalogue(shop: tuple[Dataset, Dataset]) -> None:
    """What a page is made of."""
    train, test = shop
    told = evidence(judge(fit(train), train, test))
    assert [one["name"] for one in told["candidates"]] == ["ease"]
    assert set(told["exposure"]) == {"candidate", "popularity"}
    for curve in told["exposure"].values():
        assert curve[0] == [0.0, 0.0]
        assert curve[-1] == [1.0, 1.0]
        shares = [share for _, share in curve]
        assert shares == sorted(shares)
    assert told["catalogue"] == {"items": 60, "new": 0}


# --- against the champion -------------------------------------------------------------------------------------------


def test_the_champion_recommends_anew_to_the_same_users_from_the_same_histories() -> None:
    """What it would offer today, not what it once scored; the difference is that of the means."""
    table = tastes()
    train, test = halves(table)
    champion = fit(saved(older(table)), "popularity", run_id="early")
    crown(champion, train, test, "early")
    verdict = judge(fit(train), train, test)
    assert (verdict.facts["mode"], verdict.facts["champion"]["version"]) == ("noninferior", "1")
    assert verdict.facts["ledger"]["entry"] == 1
    # the champion's popularity is older, and what is known of users is new: it skips what they took since
    theirs, ours = verdict.facts["champion"]["metrics"], verdict.metrics
    assert theirs["ndcg_at_10"] == pytest.approx(ours["popularity_ndcg_at_10"], abs=0.05)
    check = checked(verdict, "champion")
    assert check["outcome"] == "pass"
    assert check["value"] == pytest.approx(ours["ndcg_at_10"] - theirs["ndcg_at_10"])
    assert check["low"] < check["value"] < check["high"]
    assert "surely not worse by 0.01" in check["why"]
    assert evidence(verdict)["comparison"]["difference"] == check["value"]
    assert set(evidence(verdict)["exposure"]) == {"candidate", "champion", "popularity"}
    run = client().get_run(fit(train).facts["mlflow_run"])
    assert run.data.metrics["champion_ndcg_at_10"] == pytest.approx(theirs["ndcg_at_10"])


def test_a_worse_candidate_fails_and_an_equal_one_is_not_superior() -> None:
    """Not worse by the margin, or surely better, as was asked."""
    table = tastes()
    train, test = halves(table)
    crown(fit(saved(older(table)), run_id="early"), train, test, "early")
    worse = judge(fit(train, "popularity"), train, test)
    assert checked(worse, "champion")["outcome"] == "fail"
    assert "it may be worse by 0.01 or more" in checked(worse, "champion")["why"]
    assert checked(judge(fit(train, "popularity"), train, test, margin=1.0), "champion")["outcome"] == "pass"
    equal = fit(train, run_id="r3")
    assert judge(equal, train, test, margin=0.05).outcome == "pass"
    superior = judge(equal, train, test, compare="superior")
    assert (superior.facts["mode"], superior.outcome) == ("superior", "fail")
    absolute = judge(equal, train, test, compare="none")
    assert (absolute.facts["mode"], absolute.outcome) == ("absolute", "pass")
    assert absolute.facts["champion"]["metrics"] == {}


def test_parts_are_compared_with_the_champion() -> None:
    """Of the users and of the items; where one is worse by more than the margin, it fails."""
    table = tastes()
    train, test = halves(table)
    crown(fit(saved(older(table)), run_id="early"), train, test, "early")
    worse = judge(fit(train, "popularity"), train, test, margin=1.0)
    items = slices(worse, "popularity")
    assert items["least popular third"]["outcome"] == "fail"
    assert items["least popular third"]["champion"] > items["least popular third"]["candidate"]
    assert "lower than the champion's, by more than 0.02" in str(worse.read()["checks"])
    assert {one["outcome"] for one in slices(judge(fit(train), train, test), "popularity").values()} == {"pass"}


def test_the_champion_itself_trained_again_is_unchanged(shop: tuple[Dataset, Dataset]) -> None:
    """There is nothing to compare."""
    train, test = shop
    crown(fit(train, run_id="early"), train, test, "early")
    verdict = judge(fit(train), train, test)
    assert verdict.outcome == "unchanged"
    assert "the candidate is the champion itself, version 1" in str(verdict.checks)


def troubled(verdict: Verdict) -> str:
    """Why there is no comparison, where that alone is in the way."""
    assert verdict.outcome == "not-enough-data", verdict.checks
    (check,) = [
        check for check in verdict.read()["checks"] if check["outcome"] != "pass" and check.get("decisive", True)
    ]
    assert check["name"] == "champion"
    assert verdict.facts["champion"]["metrics"] == {}
    return str(check["why"])


def test_a_champion_that_may_have_seen_the_test_is_no_rival(shop: tuple[Dataset, Dataset]) -> None:
    """It learnt from rows as late as those of the test."""
    train, test = shop
    crown(fit(saved(tastes()), run_id="early"), train, test, "early")
    assert "it may have seen the answers" in troubled(judge(fit(train), train, test))


def test_a_champion_of_the_same_random_split_is_a_fair_rival_and_of_another_it_is_none() -> None:
    """The same draw has kept the test of today from it."""
    table = tastes()
    options: dict[str, Any] = {"split": "random", "test_share": 0.25}
    train, test = random_halves(table)
    early, _ = random_halves(older(table))
    crown(fit(early, run_id="early", **options), train, test, "early")
    assert judge(fit(train, **options), train, test, margin=0.1).outcome == "pass"
    for seed, share in ((8, 0.25), (7, 0.3)):
        options = {"split": "random", "test_share": share, "seed": seed}
        train, test = random_halves(table, seed, share)
        model = fit(train, run_id=f"r{seed}{share}", **options)
        why = troubled(judge(model, train, test, margin=0.1))
        assert "was trained on another split (random, share 0.25, seed 7), so that it may have seen the test" in why


def test_a_champion_of_a_temporal_split_is_no_rival_on_a_random_test() -> None:
    """Its rows were not drawn."""
    table = tastes()
    train, test = random_halves(table)
    crown(fit(saved(older(table)), run_id="early"), train, test, "early")
    model = fit(train, split="random")
    assert "was trained on another split (temporal)" in troubled(judge(model, train, test))


def test_a_champion_that_knows_none_of_the_items_is_no_rival() -> None:
    """As when a shop has given its items other ids."""
    table = tastes()
    crown(fit(saved(older(table)), run_id="early"), *halves(table), "early")
    renamed = halves(table.assign(item=table.item.map("sku-{}".format)))
    why = troubled(judge(fit(renamed[0]), *renamed))
    assert "knows none of these 60 items: were they given other ids?" in why
    assert 'compare="none"' in why


def test_a_champion_that_knows_few_of_the_items_is_judged_on_what_it_would_show() -> None:
    """What is no more is a miss."""
    table = tastes()
    crown(fit(saved(older(table)), run_id="early"), *halves(table), "early")
    renamed = table.assign(item=table.item + table.item % 2 * 1000)
    train, test = halves(renamed)
    verdict = judge(fit(train), train, test)
    theirs = verdict.facts["champion"]["metrics"]
    assert 0 < theirs["ndcg_at_10"] < verdict.metrics["ndcg_at_10"]
    assert theirs["coverage"] <= 0.5
    assert checked(verdict, "champion")["outcome"] == "pass"


def test_ids_that_became_text_are_still_the_same() -> None:
    """A champion of numbers is compared on a table that writes them as text."""
    table = tastes()
    crown(fit(saved(older(table)), run_id="early"), *halves(table), "early")
    words = halves(table.assign(user=table.user.astype(str), item=table.item.astype(str)))
    theirs = judge(fit(words[0]), *words).facts["champion"]["metrics"]
    numbers = judge(fit(halves(table)[0], run_id="r2"), *halves(table)).facts["champion"]["metrics"]
    assert theirs["ndcg_at_10"] == pytest.approx(numbers["ndcg_at_10"])


def test_a_champion_that_is_no_recommender_is_no_rival(shop: tuple[Dataset, Dataset]) -> None:
    """A model of another pipeline under the same name."""
    from sklearn.linear_model import LogisticRegression

    train, test = shop
    with here("train", run_id="early"):
        rows = pd.DataFrame({"x": [0.0, 1.0]})
        other = Model.of(LogisticRegression().fit(rows, [0, 1]), rows)
    replaced(other, train, test)
    assert "version 1 is a LogisticRegression, no recommender" in troubled(judge(fit(train), train, test))


def replaced(model: Model, train: Dataset, test: Dataset) -> None:
    """Make any model the champion, on a verdict about a recommender."""
    from ostinato.steps.release import promote

    verdict = judge(fit(train, run_id="early"), train, test, "early", compare="none", floor=0.0)
    verdict = replace(verdict, facts={**verdict.facts, "model": model.digest})
    version = version_of(model, verdict, "early")
    with here("promote", run_id="early"):
        assert promote(version, verdict).promoted


def test_a_champion_that_cannot_recommend_is_no_rival(shop: tuple[Dataset, Dataset]) -> None:
    """What it raises is told in a line."""
    train, test = shop
    users, items = Ids(saved_ids(5)), Ids(saved_ids(4))
    options = {"factors": 3, "regularization": 0.1, "alpha": 1.0, "iterations": 1}
    broken = Als(np.ones((5, 3), np.float32), np.ones((4, 2), np.float32), options)
    taken = matrix(np.arange(4), np.arange(4), 5, 4)
    with here("train", run_id="early"):
        window = {"column": "time", "from": "2026-01-01 00:00:00", "until": "2026-01-31 00:00:00"}
        model = Model.of(Recommender("als", options, broken, users, items, taken), window=window, split="temporal")
    replaced(model, train, test)
    assert "version 1 cannot be asked: " in troubled(judge(fit(train), train, test))


def saved_ids(count: int) -> Any:
    import pyarrow as pa

    return pa.array(range(count), pa.int64())


def test_a_champion_whose_files_are_gone_is_no_rival(shop: tuple[Dataset, Dataset]) -> None:
    """Which is said."""
    train, test = shop
    champion = fit(saved(older(tastes())), run_id="early")
    crown(champion, train, test, "early")
    shutil.rmtree(local_path(client().get_logged_model(champion.uri.removeprefix("models:/")).artifact_location))
    assert "version 1 cannot be loaded: " in troubled(judge(fit(train), train, test))


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"k": 0}, "k=0 must be 1 or more"),
        ({"compare": "noniferior"}, "Unknown compare='noniferior'. Did you mean 'noninferior'"),
        (
            {"floors": {"ndcg_at_5": 0.1}},
            "floors names 'ndcg_at_5', which is no metric here. Did you mean 'ndcg_at_10'",
        ),
        ({"floors": {"users": 100}}, "floors names 'users', which is no metric here"),
        ({"floor": 0.1, "floors": {"ndcg_at_10": 0.1}}, "say the same thing"),
        ({"floor": float("nan")}, "floor=nan is no bound"),
        ({"floors": {"coverage": -0.1}}, "coverage=-0.1 is no bound"),
        ({"margin": float("inf")}, "margin=inf is no bound"),
        ({"slice_margin": -1}, "slice_margin=-1 is no bound"),
    ],
)
def test_impossible_rules_are_refused_before_anything_is_read(wrong: Mapping[str, Any], sentence: str) -> None:
    """With what was given and what would do."""
    nowhere = Dataset("file:///nowhere.parquet", "sha256:0", {"rows": 1})
    with pytest.raises(ParameterError, match=sentence):
        judge(Model("models:/m-0", "sha256:0"), nowhere, nowhere, **wrong)


def test_a_model_that_is_no_recommender_is_refused(shop: tuple[Dataset, Dataset]) -> None:
    """By what it is, and what to judge it with."""
    from sklearn.linear_model import LogisticRegression

    with here("train"):
        rows = pd.DataFrame({"x": [0.0, 1.0]})
        model = Model.of(LogisticRegression().fit(rows, [0, 1]), rows)
    with pytest.raises(ContractError, match="is a LogisticRegression, no recommender: judge it with evaluate"):
        judge(model, *shop)

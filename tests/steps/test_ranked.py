"""What is offered to the users of a test, against the same numbers worked out slowly in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.recommenders.histories import histories, ids_of
from ostinato.recommenders.recommender import Recommender
from ostinato.steps import ranked
from ostinato.steps.ranked import Judged, Offered
from ostinato.tables import Dataset, duck
from steps.tastes import AS_OF, halves, here, saved, tastes

Pair = tuple[Any, Any]


def of_pairs(pairs: Iterable[Pair], name: str) -> Dataset:
    """Interactions, an hour from one to the next."""
    rows = [
        {"user": user, "item": item, "time": AS_OF.replace(tzinfo=None) + timedelta(hours=hour)}
        for hour, (user, item) in enumerate(pairs)
    ]
    return saved(pd.DataFrame(rows), name)


def fitted(train: Dataset, kind: str = "popularity", **options: Any) -> Recommender:
    with here("train"), duck() as connection:
        table = train.sql(connection)
        users, items = ids_of(connection, table, "user"), ids_of(connection, table, "item")
        return Recommender.fit(kind, options, users, items, histories(connection, table, users, items), 0)


def read(train: Dataset, test: Dataset, **options: Any) -> Judged:
    with here("judge"):
        return Judged.read(train, test, **{"exclude_seen": True, "most": 10_000, "seed": 7, **options})


def lists_of(judged: Judged, items: Any) -> dict[Any, list[Any]]:
    """Who is offered what, by ids; None where it is an item that is no more."""
    rows = [judged.items.at(row).to_pylist() for row in items]
    return dict(zip(judged.users.values.to_pylist(), rows, strict=True))


# --- everything, slowly ---------------------------------------------------------------------------------------------


def plainly(train: Sequence[Pair], test: Sequence[Pair], k: int, exclude_seen: bool) -> dict[str, Any]:
    """The most popular items for each user of the test, and how good they are."""
    users = sorted({user for user, _ in test})
    before = {user: {item for who, item in train if who == user} for user in users}
    relevant = {user: {item for who, item in test if who == user} for user in users}
    if exclude_seen:
        relevant = {user: items - before[user] for user, items in relevant.items()}
    relevant = {user: items for user, items in relevant.items() if items}
    took = Counter(item for _, item in set(train))
    order = sorted(took, key=lambda item: (-took[item], item))
    offered = {
        user: [item for item in order if not (exclude_seen and item in before[user])][:k] for user in sorted(relevant)
    }
    measured: dict[str, list[float]] = {name: [] for name in ("ndcg", "recall", "precision", "map")}
    for user, items in offered.items():
        found = [rank for rank, item in enumerate(items, start=1) if item in relevant[user]]
        best = range(1, min(k, len(relevant[user])) + 1)
        gain = sum(1 / math.log2(rank + 1) for rank in found)
        measured["ndcg"].append(gain / sum(1 / math.log2(rank + 1) for rank in best))
        measured["recall"].append(len(found) / len(relevant[user]))
        measured["precision"].append(len(found) / k)
        so_far = [number / rank for number, rank in enumerate(found, start=1)]
        measured["map"].append(sum(so_far) / len(best))
    return {
        "offered": offered,
        "relevant": relevant,
        "before": before,
        "by_user": measured,
        "took": took,
        "training": len({user for user, _ in train}),
    }


PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), min_size=1, max_size=30)
NDCG = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)  # finer differences drown in rounding


@settings(max_examples=15)  # each writes two tables
@given(PAIRS, PAIRS, st.integers(1, 6), st.booleans(), st.booleans())
def test_lists_and_their_numbers_are_those_of_a_plain_count(
    train: list[Pair], test: list[Pair], k: int, exclude_seen: bool, words: bool
) -> None:
    """For known users and new ones, known items and new ones, and where there are fewer items than places."""
    if words:
        train, test = ([(f"user {user}", f"item {item}") for user, item in pairs] for pairs in (train, test))
    known, later = of_pairs(train, "train"), of_pairs(test, "test")
    judged = read(known, later, exclude_seen=exclude_seen)
    plain = plainly(train, test, k, exclude_seen)
    assert len(judged) == len(plain["offered"])
    model = fitted(known)
    offered = Offered.of(judged.offered(model, k, exclude_seen=exclude_seen), judged)
    shown = {
        user: [item for item in items if item is not None] for user, items in lists_of(judged, offered.items).items()
    }
    assert shown == plain["offered"]
    for name, values in plain["by_user"].items():
        assert offered.by_user[name] == pytest.approx(values)
    if not len(judged):
        assert offered.metrics(judged, len(model.items)) == ranked.cold(judged) == {}
        return
    everything = [item for items in plain["offered"].values() for item in items]
    information = [-math.log2(plain["took"][item] / plain["training"]) for item in everything]
    wanted = [item for items in plain["relevant"].values() for item in items]
    assert offered.metrics(judged, len(model.items)) == pytest.approx(
        {
            **{f"{name}_at_{k}": sum(values) / len(values) for name, values in plain["by_user"].items()},
            "coverage": len(set(everything)) / len(plain["took"]),
            "novelty": sum(information) / len(information) if information else 0.0,
        }
    )
    strangers = [user for user in plain["relevant"] if not plain["before"][user]]
    assert ranked.cold(judged) == pytest.approx(
        {
            "cold_users_share": len(strangers) / len(plain["relevant"]),
            "cold_items_share": sum(item not in plain["took"] for item in wanted) / len(wanted),
        }
    )


@settings(max_examples=8)
@given(PAIRS, PAIRS, st.integers(1, 6), st.sets(st.integers(0, 8)))
def test_ndcg_on_some_items_forgets_the_others(train: list[Pair], test: list[Pair], k: int, some: set[int]) -> None:
    """Only users who took one of them are asked, and only these are hits; places stay what they are."""
    known, later = of_pairs(train, "train"), of_pairs(test, "test")
    judged, plain = read(known, later), plainly(train, test, k, True)
    offered = Offered.of(judged.offered(fitted(known), k, exclude_seen=True), judged)
    places = judged.items.places(sorted(some & set(judged.items.values.to_pylist())))
    users, values = ranked.ndcg_of(offered, judged, places)
    expected = {}
    for user, items in plain["offered"].items():
        if wanted := plain["relevant"][user] & some:
            gain = sum(1 / math.log2(rank + 2) for rank, item in enumerate(items) if item in wanted)
            expected[user] = gain / sum(1 / math.log2(rank + 2) for rank in range(min(k, len(wanted))))
    assert dict(zip(judged.users.at(users.astype(np.int32)).to_pylist(), values, strict=True)) == pytest.approx(
        expected
    )


# --- histories ------------------------------------------------------------------------------------------------------


def test_every_model_looks_at_what_was_taken_since_it_learnt() -> None:
    """As far as it knows the items: nothing that training has is offered again."""
    pairs = [(user, item) for user in range(12) for item in range(8) if (user + item) % 3]
    older = fitted(of_pairs([*pairs[:30], *((user, 99) for user in range(12))], "older"), "ease", regularization=5.0)
    judged = read(of_pairs(pairs, "train"), of_pairs([(user, item) for user in range(12) for item in range(8)], "test"))
    offered = judged.offered(older, 4, exclude_seen=True)  # 99 is no more, and takes a place
    assert [sorted(judged.items.at(row[row >= 0]).to_pylist()) for row in offered] == [
        [item for item in range(8) if (user + item) % 3 == 0 and item in older.items.values.to_pylist()]
        for user in range(12)
    ]


def test_an_item_that_is_no_more_is_a_miss_in_its_place() -> None:
    """A model is not spared what it would show."""
    older = fitted(of_pairs([(user, "gone") for user in range(5)] + [(0, "a"), (1, "a"), (0, "b")], "older"))
    judged = read(of_pairs([(7, "b")], "train"), of_pairs([(8, "a"), (8, "b")], "test"))
    assert lists_of(judged, judged.offered(older, 4, exclude_seen=True)) == {8: [None, "a", "b", None]}


def test_numbers_and_the_same_written_as_text_are_the_same_items() -> None:
    """A champion may have learnt from a table in which ids were text."""
    pairs = [(user, item) for user in range(20) for item in range(10) if (user * item) % 7 < 3]
    words = fitted(of_pairs([(str(user), str(item)) for user, item in pairs], "words"), "ease", regularization=5.0)
    numbers = fitted(of_pairs(pairs, "numbers"), "ease", regularization=5.0)
    judged = read(
        of_pairs(pairs, "train"), of_pairs([(user, item) for user in range(20) for item in range(10)], "test")
    )
    assert (judged.offered(words, 4, exclude_seen=True) == judged.offered(numbers, 4, exclude_seen=True)).all()


def test_of_many_users_so_many_as_are_wanted_are_drawn() -> None:
    """By the seed; those who took nothing new are none of them."""
    train, test = halves(tastes(3000))
    everybody = read(train, test)
    some = [read(train, test, most=30, seed=seed) for seed in (1, 1, 2)]
    drawn = [judged.users.values.to_pylist() for judged in some]
    assert [len(judged) for judged in some] == [30, 30, 30]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[2]) < set(everybody.users.values.to_pylist())
    assert (everybody.counts > 0).all()
    assert len(read(train, test, most=len(everybody))) == len(everybody)


def test_what_was_taken_last_comes_first_and_once() -> None:
    """For each user asked about, in their order."""
    train = of_pairs([(1, "a"), (1, "b"), (2, "c"), (1, "a"), (1, "d"), (3, "a")], "train")
    judged = read(train, of_pairs([(user, "new") for user in (1, 2, 3, 4)], "test"))
    with here("judge"):
        assert ranked.latest(train, judged.users, 2) == [["d", "a"], ["c"], ["a"], []]


# --- parts ----------------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(PAIRS, PAIRS)
def test_every_user_is_in_one_part_by_activity(train: list[Pair], test: list[Pair]) -> None:
    """Strangers apart; the names tell how many items, and are in order."""
    judged = read(of_pairs(train, "train"), of_pairs(test, "test"))
    parts = ranked.by_activity(judged)
    assert sorted(user for _, users in parts for user in users) == list(range(len(judged)))
    assert len(parts) <= 5
    for name, users in parts:
        least, most = (0, 0) if name == "cold" else (int(name.split(" to ")[0]), int(name.split(" to ")[-1]))
        assert ((judged.activity[users] >= least) & (judged.activity[users] <= most)).all()


def test_parts_by_activity_are_about_of_one_size() -> None:
    """A quarter each."""
    judged = read(*halves(tastes(6000, users=400, items=100)))
    sizes = [len(users) / len(judged) for _, users in ranked.by_activity(judged)]
    assert (len(sizes), sum(sizes)) == (4, pytest.approx(1))
    assert sizes == pytest.approx([0.25] * 4, abs=0.08)


def test_parts_by_popularity_were_taken_about_equally_often() -> None:
    """Each item that training has seen is in one; what it has not seen is in none."""
    train, test = halves(tastes(6000, items=200))
    extra = of_pairs([(1, 10_000)], "more")
    for later in (test, extra):
        judged = read(train, later)
        parts = ranked.by_popularity(judged)
        assert [name for name, _ in parts] == ["most popular third", "middle third", "least popular third"]
        assert sorted(item for _, items in parts for item in items) == np.flatnonzero(judged.taken).tolist()
        shares = [judged.taken[items].sum() / judged.taken.sum() for _, items in parts]
        assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
        least = [judged.taken[items].min() for _, items in parts]
        assert least == sorted(least, reverse=True)


def test_without_training_items_there_are_no_parts_by_popularity() -> None:
    """Nothing is divided by nought."""
    judged = read(of_pairs([(1, "a")], "train"), of_pairs([(1, "b")], "test"))
    assert [name for name, _ in ranked.by_popularity(judged)] == ["most popular third"]
    assert [name for name, _ in ranked.by_activity(judged)] == ["1"]


# --- intervals ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(NDCG, NDCG), min_size=2, max_size=40), st.floats(0.001, 0.4))
def test_the_interval_is_that_of_students_test(pairs: list[tuple[float, float]], level: float) -> None:
    """As scipy has it, and never beyond what nDCG can differ by."""
    from scipy import stats

    one, other = (np.array(values) for values in zip(*pairs, strict=True))
    found = ranked.paired(one, other, level)
    assert found is not None
    if np.ptp(one - other) < 1e-12:
        assert found.low == pytest.approx(found.high) == pytest.approx(found.value)
        return
    expected = stats.ttest_rel(one, other).confidence_interval(1 - 2 * level)
    assert found.value == pytest.approx(float((one - other).mean()))
    assert found.low == pytest.approx(max(-1, expected.low), abs=1e-9)
    assert found.high == pytest.approx(min(1, expected.high), abs=1e-9)


@pytest.mark.parametrize("count", [0, 1])
def test_one_user_alone_tells_nothing(count: int) -> None:
    """Chance cannot be told from skill."""
    assert ranked.paired(np.ones(count), np.zeros(count), 0.05) is None


def test_the_interval_misses_the_truth_as_rarely_as_it_says() -> None:
    """On each side one time in twenty."""
    random = np.random.default_rng(0)
    lower = higher = 0
    for _ in range(1000):
        found = ranked.paired(random.random(40), random.random(40), 0.05)
        assert found is not None
        lower, higher = lower + (found.low > 0), higher + (found.high < 0)
    assert 30 <= lower <= 75
    assert 30 <= higher <= 75

"""The sample of interactions: exact, repeatable, with tastes to learn, and honest about what it broke."""

from __future__ import annotations

import os
import weakref
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ostinato.errors import ParameterError, UsageError
from ostinato.samples import _feed
from ostinato.samples._catalogue import GENRES
from ostinato.samples._feed import Feed, Recipe
from ostinato.samples._flaws import FEWEST, REASONS
from ostinato.samples._recipe import DRIFTS_AFTER
from ostinato.samples.interactions import Sample, write
from samples.reading import parts_of, query, rows_of, scratch

DAYS = 120
DRIFT_DAY = int(DAYS * DRIFTS_AFTER)
TEST_DAY = DAYS - 14
START = datetime(2026, 1, 1)
COLUMNS: dict[str, pa.DataType] = {
    "user_id": pa.int64(),
    "item_id": pa.string(),
    "ts": pa.timestamp("us"),
    "rating": pa.float64(),
}

# What a suite for this table would say, by the reason the truth gives.
RULES = {
    "duplicate": "count(*) over (partition by user_id, item_id, ts, rating) > 1",
    "null_user": "user_id is null",
    "null_item": "item_id is null",
    "null_time": "ts is null",
    "negative_rating": "rating < 0",
    "future_time": "ts >= timestamp '2036-01-01'",
    "robot": "user_id is not null and count(*) over (partition by user_id, ts::date) >= 100",
}


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write(tmp_path_factory.mktemp("steady") / "seen")


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write(tmp_path_factory.mktemp("drifted") / "seen", drift=True)


def frame(sample: Sample) -> pd.DataFrame:
    """The rows with their day, and the genre and launch of their item."""
    assert sample.truth is not None
    table = rows_of(sample.path).to_pandas()
    table["day"] = (table["ts"] - pd.Timestamp(START)).dt.days
    return table.merge(pq.read_table(sample.truth / "items.parquet").to_pandas(), on="item_id", how="left")


def flagged(table: pa.Table) -> list[tuple[Any, ...]]:
    """(user_id, item_id, row, reason) for each rule that each row breaks, in the order of the rows."""
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    tests = ", ".join(f"{rule} as {reason}" for reason, rule in RULES.items())
    verdicts = f"select user_id, item_id, row, {tests} from rows_"
    broken = (f"select user_id, item_id, row, '{reason}' from verdicts where {reason}" for reason in RULES)
    return query(f"with verdicts as ({verdicts}) {' union all '.join(broken)} order by row", rows_=numbered)


def told(truth: Path) -> list[tuple[Any, ...]]:
    table = pq.read_table(truth / "broken.parquet")
    assert table.schema.names == ["user_id", "item_id", "row", "reason"]
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


# The table


def test_the_columns_have_the_names_and_types_of_the_recommendation_pipeline(steady: Sample) -> None:
    """A number for users, a text for items: ids of both kinds are tried; nothing in the table tells the truth."""
    table = rows_of(steady.path)
    assert table.schema.equals(pa.schema(COLUMNS))
    assert set(table["item_id"].to_pandas().str.fullmatch(r"i\d{5}")) == {True}
    assert set(table["rating"].to_pylist()) == {1.0, 2.0, 3.0, 4.0, 5.0}


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1000, 6000), seed=st.integers(0, 2**40), days=st.integers(40, 500), drift=st.booleans())
@example(rows=1000, seed=0, days=3650, drift=True)
def test_a_clean_sample_is_exact_and_breaks_no_rule(rows: int, seed: int, days: int, drift: bool) -> None:
    """Whatever is asked: so many rows, time order, counts that are true, and nothing a rule would flag."""
    with scratch() as path:
        sample = write(path, rows=rows, seed=seed, days=days, drift=drift)
        table = rows_of(path)
    times = table["ts"].to_numpy()
    assert table.num_rows == sample.rows == rows
    assert sample.users == len(table["user_id"].unique())
    assert sample.items == len(table["item_id"].unique())
    assert (np.diff(times) >= np.timedelta64(0, "us")).all()
    assert START <= sample.first == times[0].item()
    assert times[-1].item() == sample.last < START + timedelta(days)
    assert flagged(table) == []


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1000, 20_000), days=st.integers(40, 200), drift=st.booleans())
def test_nothing_is_chosen_before_its_launch(rows: int, days: int, drift: bool) -> None:
    """The truth gives every item once, by launch, and no row is older than the launch of its item."""
    with scratch() as path:
        sample = write(path, rows=rows, days=days, drift=drift, broken=0.3)
        items = pq.read_table(path / "_truth" / "items.parquet").to_pandas()
        table = frame(sample)
    assert items["item_id"].tolist() == [f"i{number:05}" for number in range(1, 301)]
    assert items["launched_at"].is_monotonic_increasing
    assert items["launched_at"].max() < pd.Timestamp(START) + pd.Timedelta(days=days)
    assert set(items["genre"]) == set(GENRES)
    assert not (table["ts"] < table["launched_at"]).any()


def test_the_same_arguments_give_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    """A sample is decided by its arguments, not by the clock or the place."""
    first, again, other = (
        rows_of(write(tmp_path / name, rows=3000, seed=seed, drift=True, broken=0.2).path)
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first.equals(again)
    for column in COLUMNS:
        assert not first[column].equals(other[column])


def test_a_file_and_a_folder_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ending of the name decides how the rows lie, not what they are."""
    monkeypatch.setattr(_feed, "ROWS_PER_PART", 2000)
    folder = write(tmp_path / "seen", rows=10_000, broken=0.01)
    file = write(tmp_path / "seen.parquet", rows=10_000, broken=0.01)
    assert [Path(part).name for part in parts_of(folder.path)] == [f"part-{n:05}.parquet" for n in range(5)]
    assert file.path.is_file()
    assert rows_of(file.path).equals(rows_of(folder.path))
    assert sorted(os.listdir(folder.truth or "")) == ["broken.parquet", "items.parquet"]
    assert sorted(os.listdir(file.truth or "")) == ["broken.parquet"]


def test_the_size_of_the_parts_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean rows are the same in one part or in many, and so are the launches."""
    one = write(tmp_path / "one", rows=10_000)
    monkeypatch.setattr(_feed, "ROWS_PER_PART", 700)
    many = write(tmp_path / "many", rows=10_000)
    assert len(parts_of(many.path)) == 14
    assert rows_of(many.path).equals(rows_of(one.path))
    launches = [pq.read_table(sample.path / "_truth" / "items.parquet") for sample in (one, many)]
    assert launches[0].equals(launches[1])


def test_one_part_at_a_time_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are made when they are asked for, none is much larger than it should be, and none is kept."""
    monkeypatch.setattr(_feed, "ROWS_PER_PART", 5000)
    feed = Feed(Recipe(rows=50_000, seed=7, days=120, drift=True, broken=0.1))
    earlier: list[weakref.ref[pa.Table]] = []
    rows = 0
    for part in feed.parts():
        assert all(table() is None for table in earlier)
        assert part.table.num_rows < 1.3 * 5000
        earlier.append(weakref.ref(part.table))
        rows += part.table.num_rows
        assert feed.users < 1.1 * rows
        del part
    assert len(earlier) == 10
    assert rows == 50_000


def test_progress_is_told_the_rows_written_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers rise, part by part, to the number of rows."""
    monkeypatch.setattr(_feed, "ROWS_PER_PART", 2000)
    seen: list[int] = []
    write(tmp_path / "seen", rows=10_000, progress=seen.append)
    assert len(seen) == 5
    assert seen == sorted(set(seen))
    assert seen[-1] == 10_000


def test_a_sample_reads_as_a_sentence(tmp_path: Path) -> None:
    """What the command line prints says how many rows, users and items, from when to when, where, and how many bad."""
    sample = write(tmp_path / "seen.parquet", rows=2000, broken=0.01)
    assert str(sample) == (
        f"2,000 interactions of {sample.users} users with {sample.items} items from 01 January 2026 to 30 April 2026 "
        f"in {tmp_path / 'seen.parquet'}: 20 of them broken on purpose. The truth is in {tmp_path / '_truth'}."
    )
    assert str(write(tmp_path / "clean.parquet", rows=2000)).endswith("clean.parquet: 0 of them broken on purpose.")


# What it looks like


def test_nights_are_quiet_and_weekends_are_busy(steady: Sample) -> None:
    """Interactions follow the day, of which the evening is the busiest time, and the week."""
    times = rows_of(steady.path).to_pandas()["ts"]
    assert times.dt.hour.between(2, 6).mean() < 0.06
    assert times.dt.hour.between(19, 22).mean() > 0.3
    weekday = times.dt.day_of_week.value_counts()
    assert weekday[5] > 1.3 * weekday[1]


def test_the_numbers_of_users_and_items_follow_the_rows(steady: Sample, tmp_path: Path) -> None:
    """About 50 rows a user and 400 an item, though never fewer than there must be for tastes to differ."""
    small = write(tmp_path / "seen", rows=1000)
    assert 0.95 * 4000 < steady.users <= 4000
    assert 0.95 * 500 < steady.items <= 500
    assert 100 < small.users <= 200
    assert 200 < small.items <= 300


def test_a_few_items_are_far_more_popular_than_most(tmp_path: Path) -> None:
    """Popularity is skewed as Zipf has it, the more so the larger the catalogue."""
    counts = frame(write(tmp_path / "seen", rows=600_000))["item_id"].value_counts()
    assert counts.iloc[: len(counts) // 10].sum() > 0.3 * counts.sum()
    assert counts.iloc[0] > 8 * counts.median()
    assert counts.iloc[-len(counts) // 2 :].sum() < 0.25 * counts.sum()


def test_users_differ_in_how_much_they_do_and_hardly_repeat_themselves(steady: Sample) -> None:
    """The busiest tenth does more than thirty times what the laziest does; nearly every pair is there once."""
    table = frame(steady)
    rows = table["user_id"].value_counts()
    assert rows.quantile(0.9) > 30 * rows.quantile(0.1)
    assert rows.quantile(0.1) <= 5
    assert table.duplicated(["user_id", "item_id"]).mean() < 0.001
    assert table.groupby(["user_id", "day"]).size().max() < 50


def test_users_and_items_keep_coming(steady: Sample) -> None:
    """In every fortnight new users and new items appear, and items draw far more when they are new."""
    table = frame(steady)
    users = table.groupby("user_id")["day"].min() // 15
    assert (users.value_counts().sort_index().loc[1:] > 0.02 * steady.users).all()
    launched = table.drop_duplicates("item_id").query("launched_at >= '2026-01-01'")
    fortnight = (launched["launched_at"] - pd.Timestamp(START)).dt.days // 15
    assert (fortnight.value_counts().reindex(range(8), fill_value=0) > 0.02 * steady.items).all()
    age = (table["ts"] - table["launched_at"]).dt.days[table["launched_at"].between("2026-01-01", "2026-03-01")]
    assert age.between(0, 6).sum() > 2.6 * age.between(41, 47).sum()


def test_on_a_temporal_split_some_are_cold_and_most_have_something_new(steady: Sample) -> None:
    """There are new users and items to count, yet few; the others choose what they have not chosen before."""
    table = frame(steady)
    train, test = table[table["day"] < TEST_DAY], table[table["day"] >= TEST_DAY]
    known = test.merge(train[["user_id", "item_id"]].drop_duplicates(), on=["user_id", "item_id"])
    users, items = test["user_id"].unique(), test["item_id"].unique()
    assert 0.01 < 1 - np.isin(users, train["user_id"].unique()).mean() < 0.1
    assert 0.01 < 1 - np.isin(items, train["item_id"].unique()).mean() < 0.05
    assert len(users) > 0.75 * steady.users
    assert len(known) < 0.01 * len(test)


def test_ratings_tell_what_fits_a_taste(steady: Sample) -> None:
    """People prefer some genres, and rate what is of these better; every number of stars is in use."""
    table = frame(steady)
    each = table.groupby("user_id")["genre"]
    share = table.groupby(["user_id", "genre"])["day"].transform("size") / each.transform("size")
    busy = each.transform("size") > 30
    assert table[busy & (share > 0.3)]["rating"].mean() > table[busy & (share < 0.05)]["rating"].mean() + 0.4
    assert (
        table[busy].groupby("user_id")["genre"].agg(lambda genre: genre.value_counts(normalize=True).iloc[0]).median()
        > 0.2
    )
    assert 0.4 < (table["rating"] >= 4).mean() < 0.7
    assert (table["rating"].value_counts(normalize=True) > 0.01).all()


# What can be learnt


def matrix(table: pd.DataFrame, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Users by items: 1 where there is a row."""
    filled = np.zeros(shape, "f4")
    filled[table["user_id"] - 1, table["item_id"].str[1:].astype(int) - 1] = 1
    return filled


def cosine(past: NDArray[np.float32]) -> NDArray[np.float32]:
    """Items by items: how like they are, by who has them."""
    norms = np.maximum(np.sqrt((past**2).sum(0)), 1)
    likeness = past.T @ past / norms / norms[:, None]
    np.fill_diagonal(likeness, 0)
    return np.asarray(likeness)


def ndcg(scores: NDArray[np.float32], past: NDArray[np.float32], truth: NDArray[np.float32], k: int = 10) -> float:
    """nDCG@k over the users with a past and something new, who are not offered what they know."""
    new = np.where(past > 0, 0, truth)
    judged = (new.sum(1) > 0) & (past.sum(1) > 0)
    best = np.argsort(-np.where(past > 0, -np.inf, scores)[judged], axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(new[judged].sum(1), k).astype(int) - 1]
    gain = (np.take_along_axis(new[judged], best, 1) * discount).sum(1)
    return float((gain / ideal).mean())


def learnt(table: pd.DataFrame, until: int, since: int, liked: float = 0) -> tuple[float, float]:
    """nDCG@10 since that day of what was learnt until this one: of likeness, and of popularity."""
    shape = table["user_id"].max(), table["item_id"].str[1:].astype(int).max()
    table = table[table["rating"] >= liked]
    past, future = matrix(table[table["day"] < until], shape), matrix(table[table["day"] >= since], shape)
    popular = np.broadcast_to(past.sum(0), past.shape)
    return ndcg(past @ cosine(past), past, future), ndcg(popular, past, future)


def test_who_learns_tastes_is_far_better_than_popularity(steady: Sample) -> None:
    """There is something to learn from others, from all interactions and from the well rated ones alone."""
    table = frame(steady)
    for liked in (0, 4):
        taste, popularity = learnt(table, until=TEST_DAY, since=TEST_DAY, liked=liked)
        assert taste > 1.5 * popularity
        assert popularity > 0.03


def test_drift_makes_what_was_learnt_before_worse_and_retraining_helps(steady: Sample, drifted: Sample) -> None:
    """Tastes move in the last quarter: a model from before falls towards popularity, a new one recovers in part."""
    fresh, _ = learnt(frame(steady), until=DRIFT_DAY, since=DRIFT_DAY)
    stale, _ = learnt(frame(drifted), until=DRIFT_DAY, since=DRIFT_DAY)
    assert stale < 0.8 * fresh
    old, _ = learnt(frame(drifted), until=DRIFT_DAY, since=TEST_DAY)
    retrained, popularity = learnt(frame(drifted), until=TEST_DAY, since=TEST_DAY)
    assert retrained > 1.2 * old
    assert retrained > 1.1 * popularity


def test_drift_moves_people_to_other_genres_and_everybody_to_new_items(steady: Sample, drifted: Sample) -> None:
    """Until the day the rows are those without drift; after it genres change, and the newest items are the fashion."""
    tables = [frame(sample) for sample in (steady, drifted)]
    before = [table[table["day"] < DRIFT_DAY].reset_index(drop=True) for table in tables]
    pd.testing.assert_frame_equal(*before)
    moved, newest = [], []
    for table in tables:
        late = table["day"] >= DRIFT_DAY + 10
        shares = table.groupby(["user_id", late, "genre"]).size().unstack(fill_value=0)
        shares = shares.div(shares.sum(axis=1), axis=0)
        moved.append((shares.xs(False, level=1) - shares.xs(True, level=1)).abs().sum(axis=1).mean() / 2)
        newest.append((table[late]["launched_at"] >= pd.Timestamp(START) + pd.Timedelta(days=DRIFT_DAY)).mean())
    assert moved[1] > moved[0] + 0.1
    assert newest[1] > 1.4 * newest[0]


# What is broken on purpose


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1000, 4000), broken=st.floats(0, 0.5), seed=st.integers(0, 1000), drift=st.booleans())
def test_the_truth_names_exactly_the_rows_that_rules_flag(rows: int, broken: float, seed: int, drift: bool) -> None:
    """The share is met to the row, each broken row breaks one rule, and the truth gives that reason and no other."""
    with scratch() as path:
        sample = write(path, rows=rows, broken=broken, seed=seed, drift=drift)
        truth = told(path / "_truth") if broken else []
        table = rows_of(path)
    assert len(truth) == sample.broken == round(broken * rows)
    assert len({row for _, _, row, _ in truth}) == len(truth)
    assert flagged(table) == truth
    assert table.num_rows == rows
    assert sample.users == len(table["user_id"].drop_null().unique())
    assert sample.items == len(table["item_id"].drop_null().unique())


def test_every_way_of_breaking_is_used_and_times_stay_in_order(tmp_path: Path) -> None:
    """Each reason occurs, half of all rows may be broken, and only the times that are broken are out of order."""
    sample = write(tmp_path / "seen", rows=5000, broken=0.5)
    truth = told(tmp_path / "seen" / "_truth")
    assert {reason for *_, reason in truth} == set(REASONS) == set(RULES)
    times = rows_of(sample.path)["ts"].to_pandas()
    late = [row for _, _, row, reason in truth if reason in ("future_time", "null_time")]
    assert times.drop(late).is_monotonic_increasing
    assert sample.last < datetime(2026, 5, 1) < times.max()


def test_robots_are_users_of_their_own_who_do_hundreds_of_things_within_hours(tmp_path: Path) -> None:
    """Their ids are nobody else's; too few of their rows would be no robot, so that there is none."""
    sample = write(tmp_path / "seen", broken=0.05)
    table = frame(sample)
    robots = [user for user, _, _, reason in told(tmp_path / "seen" / "_truth") if reason == "robot"]
    assert len(robots) == 0.4 * sample.broken
    work = table[table["user_id"].isin(robots)]
    assert len(work) == len(robots)
    days = work.groupby("user_id")["ts"].agg(["size", "min", "max"])
    assert 2 <= len(days) <= 15
    assert days["size"].between(FEWEST, 6000).all()
    assert ((days["max"] - days["min"]) <= pd.Timedelta(hours=6)).all()
    assert (days["max"].dt.date == days["min"].dt.date).all()
    assert work["user_id"].min() > table[~table["user_id"].isin(robots)]["user_id"].max()
    write(tmp_path / "few", rows=2000, broken=0.1)
    assert "robot" not in {reason for *_, reason in told(tmp_path / "few" / "_truth")}


def test_duplicates_are_pairs_of_neighbours(tmp_path: Path) -> None:
    """Both rows of a pair are told, for nobody can say which came first."""
    write(tmp_path / "seen", rows=5000, broken=0.1)
    table = rows_of(tmp_path / "seen").to_pandas()
    twins = [row for _, _, row, reason in told(tmp_path / "seen" / "_truth") if reason == "duplicate"]
    assert len(twins) > 50
    assert table.loc[twins[::2]].reset_index(drop=True).equals(table.loc[twins[1::2]].reset_index(drop=True))
    assert [first + 1 for first in twins[::2]] == twins[1::2]


@pytest.mark.parametrize("broken", [0.01, 0.3])
def test_breaking_rows_changes_no_other_row(tmp_path: Path, broken: float) -> None:
    """The rest of a broken sample are rows of the clean sample of the same seed, in the same order."""
    clean = rows_of(write(tmp_path / "clean", rows=3000).path).to_pandas()
    spoiled = rows_of(write(tmp_path / "broken", rows=3000, broken=broken).path).to_pandas()
    kept = spoiled.drop([row for _, _, row, _ in told(tmp_path / "broken" / "_truth")])
    places = kept.merge(clean.reset_index(), on=list(COLUMNS), how="left")["index"]
    assert len(kept) == round(3000 * (1 - broken))
    assert places.is_monotonic_increasing
    assert places.is_unique


def test_the_truth_counts_rows_across_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sample of many parts the total is exact, a row number counts from the first part, robots do not clash."""
    monkeypatch.setattr(_feed, "ROWS_PER_PART", 1500)
    sample = write(tmp_path / "seen", rows=10_007, broken=0.4)
    truth = told(tmp_path / "seen" / "_truth")
    table = rows_of(sample.path)
    assert len(parts_of(sample.path)) == 7
    assert len(truth) == sample.broken == round(0.4 * 10_007)
    assert flagged(table) == truth
    assert len({user for user, _, _, reason in truth if reason == "robot"}) >= 6
    assert sample.users == len(table["user_id"].drop_null().unique())


def test_a_file_has_its_truth_beside_it_only_when_rows_are_broken(tmp_path: Path) -> None:
    """A clean file stands alone; the truth about a broken one goes when a clean one takes its place."""
    file, truth = tmp_path / "seen.parquet", tmp_path / "_truth" / "broken.parquet"
    assert write(file, rows=1000).truth is None
    assert [path.name for path in tmp_path.iterdir()] == ["seen.parquet"]
    assert write(file, rows=1000, broken=0.02).truth == truth.parent
    assert flagged(rows_of(file)) == told(truth.parent)
    assert write(file, rows=1000).truth is None
    assert not truth.exists()


# Where it is written


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rows": 999}, "rows=999 is too few for tastes to show. Ask for 1000 rows or more."),
        ({"seed": -3}, "seed=-3 is negative. Write a whole number of 0 or more."),
        ({"days": 39}, "days=39 is not between 40 and 3650: training, choosing and testing need 40. Ask for 120, say."),
        ({"days": 3651}, "days=3651 is not between 40 and 3650"),
        ({"broken": 0.51}, "broken=0.51 is not a share between 0 and 0.5. For 1 % write 0.01."),
        ({"broken": float("nan")}, "broken=nan is not a share"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_to_write(
    tmp_path: Path, arguments: dict[str, Any], sentence: str
) -> None:
    """Nothing is written, and the sentence carries the value and the bounds."""
    with pytest.raises(ParameterError) as refusal:
        write(tmp_path / "seen", **arguments)
    assert sentence in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_sample_takes_the_place_of_a_sample_and_of_nothing_else(tmp_path: Path) -> None:
    """Even another kind of sample may be replaced, with its truth; a stranger's file is safe."""
    from ostinato.samples import transactions

    transactions.write(tmp_path / "data", rows=1000)
    write(tmp_path / "data", rows=1000)
    assert sorted(os.listdir(tmp_path / "data" / "_truth")) == ["items.parquet"]
    (tmp_path / "data" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"already holds 'thesis\.tex', which is no part of a sample\. Name a new"):
        write(tmp_path / "data", rows=1000)
    with pytest.raises(UsageError, match="not on this machine's disk"):
        write("s3://shop/seen", rows=1000)

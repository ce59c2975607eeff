"""The sample of transactions: exact, repeatable, learnable, and honest about what it broke."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ostinato.errors import ConfigurationError, ParameterError, UsageError
from ostinato.samples import _parts
from ostinato.samples._broken import REASONS
from ostinato.samples._recipe import DRIFTS_AFTER
from ostinato.samples.transactions import Sample, write
from samples.reading import parts_of, query, rows_of, scratch

DAYS = 120
DRIFT_DAY = int(DAYS * DRIFTS_AFTER)
COLUMNS: dict[str, pa.DataType] = {
    "tx_id": pa.int64(),
    "ts": pa.timestamp("us"),
    "card_id": pa.int64(),
    "terminal_id": pa.int64(),
    "amount": pa.float64(),
    "is_fraud": pa.int16(),
    "fraud_reported_at": pa.timestamp("us"),
    "currency": pa.string(),
    "country": pa.string(),
    "channel": pa.string(),
    "mcc": pa.int16(),
}

# What a suite for this table would say, by the reason the truth gives. DuckDB sorts NaN above every number, so that
# "amount >= 0" lets it pass: it needs a rule of its own.
RULES = {
    "duplicate_id": "count(*) over (partition by tx_id) > 1",
    "null_card": "card_id is null",
    "null_terminal": "terminal_id is null",
    "null_amount": "amount is null",
    "nan_amount": "isnan(amount)",
    "negative_amount": "amount < 0",
    "bad_label": "is_fraud not in (0, 1)",
    "future_time": "ts >= timestamp '2036-01-01'",
}

# What the pipeline would compute: the past of the card and of the terminal, and the terminal's fraud known by then.
FEATURES = """
with payments as (from read_parquet(?)),
known as (
    select terminal_id, fraud_reported_at as since, 1 as fraud, null as tx_id from payments where is_fraud = 1
    union all select terminal_id, ts, 0, tx_id from payments
),
risk as (
    select tx_id, sum(fraud) over (
        partition by terminal_id order by since range between interval 28 day preceding and current row
    ) as known_fraud from known
)
select ts, is_fraud, amount, hour(ts) as hour, known_fraud, known_fraud / count(*) over terminal_month as known_share,
    count(*) over card_day as card_1d, sum(amount) over card_day as spent_1d,
    count(*) over card_month as card_30d, amount / avg(amount) over card_month as ratio_30d,
    count(*) over terminal_week as terminal_7d, avg(amount) over terminal_month as terminal_mean
from payments join risk using (tx_id)
window
    card_day as (partition by card_id order by ts range between interval 1 day preceding and current row),
    card_month as (partition by card_id order by ts range between interval 30 day preceding and current row),
    terminal_week as (partition by terminal_id order by ts range between interval 7 day preceding and current row),
    terminal_month as (partition by terminal_id order by ts range between interval 28 day preceding and current row)
order by ts, tx_id
"""


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write(tmp_path_factory.mktemp("steady") / "tx")


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write(tmp_path_factory.mktemp("drifted") / "tx", drift=True)


def with_kinds(sample: Sample) -> pd.DataFrame:
    assert sample.truth is not None
    table = rows_of(sample.path).to_pandas()
    kinds = pq.read_table(sample.truth / "fraud.parquet").to_pandas()
    table["day"] = (table["ts"] - pd.Timestamp("2026-01-01")).dt.days
    return table.merge(kinds, on="tx_id", how="left")


def flagged(table: pa.Table) -> list[tuple[int, int, str]]:
    """(tx_id, row, reason) for each rule that each row breaks, in the order of the rows."""
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    tests = ", ".join(f"{rule} as {reason}" for reason, rule in RULES.items())
    verdicts = f"select tx_id, row, {tests} from rows_"
    broken = " union all ".join(f"select tx_id, row, '{reason}' from verdicts where {reason}" for reason in RULES)
    return query(f"with verdicts as ({verdicts}) {broken} order by row", rows_=numbered)


def told(truth: Path) -> list[tuple[int, int, str]]:
    table = pq.read_table(truth / "broken.parquet")
    assert table.schema.names == ["tx_id", "row", "reason"]
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


# The table


def test_the_columns_have_the_names_types_and_order_of_the_fraud_pipeline(steady: Sample) -> None:
    """Nothing in the table tells the truth: the kind of fraud is kept apart."""
    assert rows_of(steady.path).schema.equals(pa.schema(COLUMNS))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1000, 6000),
    seed=st.integers(0, 2**40),
    days=st.integers(40, 500),
    drift=st.booleans(),
)
def test_a_clean_sample_is_exact_and_breaks_no_rule(rows: int, seed: int, days: int, drift: bool) -> None:
    """Whatever is asked: so many rows, unique ids, time order, fraud to the row, and nothing a rule would flag."""
    with scratch() as path:
        sample = write(path, rows=rows, seed=seed, days=days, drift=drift)
        table = rows_of(path)
    times = table["ts"].to_numpy()
    frauds = table["is_fraud"].to_numpy()
    amounts = table["amount"].to_numpy()
    reported = table["fraud_reported_at"].to_numpy()
    assert table.num_rows == sample.rows == rows
    assert len(np.unique(table["tx_id"].to_numpy())) == rows
    assert (np.diff(times) >= np.timedelta64(0, "us")).all()
    assert times[0] == np.datetime64(sample.first)
    assert times[-1] == np.datetime64(sample.last)
    assert times[0] >= np.datetime64("2026-01-01")
    assert times[-1] < np.datetime64("2026-01-01") + np.timedelta64(days, "D")
    assert frauds.sum() == sample.fraud == round(rows * 0.008)
    assert amounts.min() > 0
    assert (np.round(amounts, 2) == amounts).all()
    assert (np.isnat(reported) == (frauds == 0)).all()
    assert (reported > times)[frauds == 1].all()
    assert flagged(table) == []


def test_the_same_arguments_give_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    """A sample is decided by its arguments, not by the clock or the place."""
    first, again, other = (
        rows_of(write(tmp_path / name, rows=3000, seed=seed, drift=True, broken=0.01).path)
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first.drop_columns("amount").equals(again.drop_columns("amount"))
    assert np.array_equal(first["amount"].to_numpy(), again["amount"].to_numpy(), equal_nan=True)
    assert not first["ts"].equals(other["ts"])
    assert not first["card_id"].equals(other["card_id"])


def test_a_file_and_a_folder_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ending of the name decides how the rows lie, not what they are."""
    monkeypatch.setattr(_parts, "ROWS_PER_PART", 2000)
    folder = write(tmp_path / "tx", rows=10_000)
    file = write(tmp_path / "tx.parquet", rows=10_000)
    assert [Path(part).name for part in parts_of(folder.path)] == [f"part-{n:05}.parquet" for n in range(5)]
    assert file.path.is_file()
    assert rows_of(file.path).equals(rows_of(folder.path))


def test_progress_is_told_the_rows_written_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers rise, part by part, to the number of rows."""
    monkeypatch.setattr(_parts, "ROWS_PER_PART", 2000)
    seen: list[int] = []
    write(tmp_path / "tx", rows=10_000, progress=seen.append)
    assert len(seen) == 5
    assert seen == sorted(set(seen))
    assert seen[-1] == 10_000


def test_a_sample_reads_as_a_sentence(tmp_path: Path) -> None:
    """What the command line prints says how many, how many bad, from when to when and where."""
    sample = write(tmp_path / "tx.parquet", rows=2000, broken=0.01)
    assert str(sample) == (
        f"2,000 transactions from 01 January 2026 to 30 April 2026 in {tmp_path / 'tx.parquet'}: 16 of them fraud, "
        f"20 broken on purpose; the truth about them is in {tmp_path / '_truth'}."
    )


def test_a_dense_sample_loses_no_row_at_its_end(tmp_path: Path) -> None:
    """Spells of fraud that begin on the last evening still end within the sample."""
    sample = write(tmp_path / "tx", rows=400_000, days=40)
    table = rows_of(sample.path)
    assert table.num_rows == 400_000
    assert table["is_fraud"].to_numpy().sum() == sample.fraud == 3200


# What it looks like


def test_nights_are_quiet_and_weekends_are_busy(steady: Sample) -> None:
    """Payments follow the day and the week."""
    times = rows_of(steady.path).to_pandas()["ts"]
    assert times.dt.hour.between(0, 5).mean() < 0.05
    weekday = times.dt.day_of_week.value_counts()
    assert weekday[5] > 1.2 * weekday[1]


def test_cards_keep_to_their_terminals_and_their_country(steady: Sample) -> None:
    """A card with many payments makes most of them at a few terminals and in one country."""
    table = rows_of(steady.path).to_pandas()
    counts = table.groupby(["card_id", "terminal_id"]).size().groupby("card_id")
    busy = counts.sum()[lambda payments: payments > 100].index
    favourites = counts.apply(lambda visits: visits.nlargest(8).sum() / visits.sum())
    home = table.groupby("card_id")["country"].agg(lambda where: where.value_counts(normalize=True).iloc[0])
    assert favourites[busy].median() > 0.7
    assert home[busy].median() > 0.6


def test_cards_differ_in_how_often_and_how_dear_they_pay(steady: Sample) -> None:
    """Habits are worth learning: between cards activity and amounts spread widely."""
    cards = rows_of(steady.path).to_pandas().groupby("card_id")["amount"].agg(["size", "median"])
    assert cards["size"].quantile(0.9) > 5 * cards["size"].quantile(0.1)
    assert cards["median"].quantile(0.9) > 2 * cards["median"].quantile(0.1)


def test_labels_arrive_days_later_and_mostly_within_a_week(steady: Sample) -> None:
    """About 4 days in the median; a model at T does not know the frauds of the last days."""
    frauds = rows_of(steady.path).to_pandas().query("is_fraud == 1")
    delay = (frauds["fraud_reported_at"] - frauds["ts"]).dt.total_seconds() / 86_400
    assert delay.median() == pytest.approx(4, rel=0.1)
    assert 0.85 < (delay < 7).mean() < 0.97


def test_each_kind_of_fraud_has_its_shape(steady: Sample) -> None:
    """Thieves buy dear, testers try tiny amounts within minutes, skimmed terminals rob many cards for weeks."""
    table = with_kinds(steady)
    usual = table["amount"].median()
    kinds = dict(iter(table[table["is_fraud"] == 1].groupby("kind")))
    assert set(kinds) == {"stolen_card", "card_testing", "compromised_terminal"}
    assert min(len(kind) for kind in kinds.values()) > 250
    assert kinds["stolen_card"]["amount"].median() > 4 * usual
    assert kinds["card_testing"]["amount"].median() < 2
    assert kinds["card_testing"]["amount"].quantile(0.95) > 2 * usual
    pauses = {name: kind.groupby("card_id")["ts"].diff().dt.total_seconds() / 60 for name, kind in kinds.items()}
    assert 15 < pauses["stolen_card"].median() < 180
    assert pauses["card_testing"].median() < 10
    assert kinds["compromised_terminal"].groupby("terminal_id").size().median() > 20
    assert kinds["compromised_terminal"].groupby("terminal_id")["card_id"].nunique().median() > 5
    honest = table[table["is_fraud"] == 0][["card_id", "terminal_id"]].drop_duplicates()
    assert len(kinds["compromised_terminal"].merge(honest)) > 0.5 * len(kinds["compromised_terminal"])


def test_without_drift_fraud_keeps_its_share(steady: Sample) -> None:
    """The control is quiet: no fortnight is without fraud, and none has several times its share."""
    table = with_kinds(steady)
    share = table.groupby(table["day"] // 15)["is_fraud"].mean()
    assert share.between(0.004, 0.014).all()


def test_drift_turns_fraud_into_account_takeover_on_its_day(steady: Sample, drifted: Sample) -> None:
    """Before the day there is no takeover; after it most fraud is, at usual amounts and by night."""
    table = with_kinds(drifted)
    frauds = table[table["is_fraud"] == 1]
    taken_over = frauds["kind"] == "account_takeover"
    after = frauds["day"] >= DRIFT_DAY
    assert not (taken_over & ~after).any()
    assert taken_over[after].mean() == pytest.approx(0.85, abs=0.01)
    assert after.mean() == pytest.approx(0.25, abs=0.01)
    assert frauds[taken_over]["amount"].median() == pytest.approx(table["amount"].median(), rel=0.3)
    assert (frauds[taken_over]["ts"].dt.hour < 8).mean() > 0.9
    assert not (with_kinds(steady)["kind"] == "account_takeover").any()


# What can be learnt


def learnt(sample: Sample, train: tuple[int, int], test: tuple[int, int]) -> tuple[float, float]:
    """Average precision on the test days after training on the train days, and the base rate."""
    with duckdb.connect(config={"threads": 1}) as database:
        table = database.execute(FEATURES, [parts_of(sample.path)]).df()
    day = (table.pop("ts") - pd.Timestamp("2026-01-01")).dt.days
    fraud = table.pop("is_fraud")
    fitting, testing = day.between(*train), day.between(*test)
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(random_state=0, max_iter=60).fit(table[fitting], fraud[fitting])
        scores = model.predict_proba(table[testing])[:, 1]
    return average_precision_score(fraud[testing], scores), fraud[testing].mean()


def test_window_features_find_much_of_the_fraud_but_not_all(steady: Sample) -> None:
    """A plain model is far better than chance, and there is room for a better one."""
    precision, base = learnt(steady, train=(30, 96), test=(104, 119))
    assert 0.35 < precision < 0.85
    assert precision > 30 * base


def test_a_model_of_the_old_fraud_misses_the_new_and_retraining_helps(drifted: Sample) -> None:
    """Drift does what it is for: performance falls, and comes back in part."""
    before, _ = learnt(drifted, train=(20, 69), test=(77, DRIFT_DAY - 1))
    stale, _ = learnt(drifted, train=(30, DRIFT_DAY - 1), test=(112, 119))
    retrained, _ = learnt(drifted, train=(30, 111), test=(112, 119))
    assert stale < before / 2
    assert retrained > 1.5 * stale


# What is broken on purpose


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1000, 4000),
    broken=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
    drift=st.booleans(),
)
def test_the_truth_names_exactly_the_rows_that_rules_flag(rows: int, broken: float, seed: int, drift: bool) -> None:
    """The share is met to the row, each broken row breaks one rule, and the truth gives that reason and no other."""
    with scratch() as path:
        sample = write(path, rows=rows, broken=broken, seed=seed, drift=drift)
        truth = told(path / "_truth") if broken else []
        table = rows_of(path)
    assert len(truth) == sample.broken == round(broken * rows)
    assert len({row for _, row, _ in truth}) == len(truth)
    assert flagged(table) == truth
    assert table.num_rows == rows


def test_every_way_of_breaking_is_used_and_fraud_is_spared(tmp_path: Path) -> None:
    """Each reason occurs, and even where half of all rows are broken the fraud and its truth stay complete."""
    sample = write(tmp_path / "tx", rows=5000, broken=0.5)
    assert {reason for _, _, reason in told(tmp_path / "tx" / "_truth")} == set(REASONS) == set(RULES)
    ids = pq.read_table(tmp_path / "tx" / "_truth" / "fraud.parquet")["tx_id"]
    frauds = query("select tx_id from t where is_fraud = 1 order by 1", t=rows_of(sample.path))
    assert set(ids.to_pylist()) == {tx_id for (tx_id,) in frauds}
    assert len(frauds) == sample.fraud == 40
    assert sample.last < datetime(2026, 5, 1) < rows_of(sample.path)["ts"].to_numpy().max().item()


def test_breaking_rows_changes_no_other_row(tmp_path: Path) -> None:
    """The rest of a broken sample is the clean sample of the same seed."""
    clean = rows_of(write(tmp_path / "clean", rows=3000).path)
    broken = rows_of(write(tmp_path / "broken", rows=3000, broken=0.1).path)
    spoiled = {row for _, row, _ in told(tmp_path / "broken" / "_truth")}
    kept = [row for row in range(3000) if row not in spoiled]
    assert broken.take(kept).equals(clean.take(kept))
    assert len(kept) == 2700


def test_the_truth_counts_rows_across_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sample of many parts the total is still exact, and a row number counts from the first part."""
    monkeypatch.setattr(_parts, "ROWS_PER_PART", 1500)
    sample = write(tmp_path / "tx", rows=10_007, broken=0.0123)
    truth = told(tmp_path / "tx" / "_truth")
    assert len(parts_of(sample.path)) == 7
    assert len(truth) == sample.broken == round(0.0123 * 10_007)
    assert flagged(rows_of(sample.path)) == truth


def test_a_file_has_its_truth_beside_it_only_when_rows_are_broken(tmp_path: Path) -> None:
    """A clean file stands alone; the truth about a broken one goes when a clean one takes its place."""
    file, truth = tmp_path / "tx.parquet", tmp_path / "_truth" / "broken.parquet"
    assert write(file, rows=1000).truth is None
    assert [path.name for path in tmp_path.iterdir()] == ["tx.parquet"]
    assert write(file, rows=1000, broken=0.02).truth == truth.parent
    assert flagged(rows_of(file)) == told(truth.parent)
    assert write(file, rows=1000).truth is None
    assert not truth.exists()


def test_the_truth_about_one_file_is_not_overwritten_by_another(tmp_path: Path) -> None:
    """Two broken files cannot share a folder; a clean one may join."""
    write(tmp_path / "one.parquet", rows=1000, broken=0.02)
    with pytest.raises(UsageError, match=r"truth about another table\. Write two\.parquet to a folder of its own"):
        write(tmp_path / "two.parquet", rows=1000, broken=0.02)
    write(tmp_path / "two.parquet", rows=1000)
    assert flagged(rows_of(tmp_path / "one.parquet")) == told(tmp_path / "_truth")


# Where it is written


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rows": 999}, "rows=999 is too few for fraud to show. Ask for 1000 rows or more."),
        ({"rows": -1}, "rows=-1 is too few"),
        ({"seed": -3}, "seed=-3 is negative"),
        ({"days": 39}, "days=39 is not between 40 and 3650"),
        ({"days": 3651}, "days=3651 is not between 40 and 3650"),
        ({"broken": 0.51}, "broken=0.51 is not a share between 0 and 0.5. For 1 % write 0.01."),
        ({"broken": -0.01}, "broken=-0.01 is not a share"),
        ({"broken": float("nan")}, "broken=nan is not a share"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_to_write(
    tmp_path: Path, arguments: dict[str, Any], sentence: str
) -> None:
    """Nothing is written, and the sentence carries the value and the bounds."""
    with pytest.raises(ParameterError) as refusal:
        write(tmp_path / "tx", **arguments)
    assert sentence in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    ["with spaces", "naïve – 交易 💳", 'it\'s "quoted"', "100% #1 [a-z]* ?", "new\nline", ".hidden", "-o", "a;b&&c|d"],
)
@pytest.mark.parametrize("ending", ["", ".parquet", ".PARQUET"])
def test_any_name_a_disk_takes_will_do(tmp_path: Path, name: str, ending: str) -> None:
    """Hostile names are only names, for folders, files and the folders above."""
    sample = write(tmp_path / name / (name + ending), rows=1000, broken=0.01)
    assert sample.path == tmp_path / name / (name + ending)
    assert sample.path.is_file() == bool(ending)
    assert rows_of(sample.path).num_rows == 1000
    assert sample.truth is not None
    assert len(told(sample.truth)) == 10


def test_a_sample_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller sample leaves no part of the larger one behind; an empty folder may be filled."""
    (tmp_path / "tx").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(_parts, "ROWS_PER_PART", 1000)
        write(tmp_path / "tx", rows=5000, broken=0.1)
    write(tmp_path / "tx", rows=1000)
    assert len(parts_of(tmp_path / "tx")) == 1
    assert sorted(os.listdir(tmp_path / "tx" / "_truth")) == ["fraud.parquet"]


def test_behind_a_link_the_folder_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    """Samples may live on another disk."""
    (tmp_path / "big").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "big")
    write(tmp_path / "link", rows=1000)
    assert (tmp_path / "link").is_symlink()
    assert rows_of(tmp_path / "big").num_rows == 1000


@pytest.mark.parametrize("beside", [[], ["_truth/fraud.parquet", "part-00000.parquet"]])
def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, beside: list[str]) -> None:
    """Even in a folder with a sample in it a stranger's file is safe."""
    for name in [*beside, "thesis.tex"]:
        (tmp_path / "tx" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tx" / name).write_text("mine")
    with pytest.raises(UsageError, match=r"already holds 'thesis\.tex', which is no part of a sample\. Name a new"):
        write(tmp_path / "tx", rows=1000)
    assert (tmp_path / "tx" / "thesis.tex").read_text() == "mine"


def test_a_folder_of_parquet_that_is_no_sample_is_left_alone(tmp_path: Path) -> None:
    """Parts without a truth are somebody's data, whatever their names."""
    (tmp_path / "tx").mkdir()
    (tmp_path / "tx" / "part-00000.parquet").write_text("mine")
    with pytest.raises(UsageError, match=r"it has no _truth\. Name a new folder"):
        write(tmp_path / "tx", rows=1000)
    assert (tmp_path / "tx" / "part-00000.parquet").read_text() == "mine"


def test_a_file_is_not_replaced_by_a_folder_nor_a_folder_by_a_file(tmp_path: Path) -> None:
    """The name says which it becomes; the other kind in its place is a mistake."""
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "set.parquet").mkdir()
    with pytest.raises(UsageError, match=r"notes is a file\. Name a folder"):
        write(tmp_path / "notes", rows=1000)
    with pytest.raises(UsageError, match=r"set\.parquet is a folder, but a name that ends in \.parquet becomes one"):
        write(tmp_path / "set.parquet", rows=1000)
    assert (tmp_path / "notes").read_text() == "mine"


def test_the_folder_one_stands_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell would be left in a folder that is gone."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (".", "..", ""):
        with pytest.raises(UsageError, match="holds the folder you are in"):
            write(name, rows=1000)


def test_a_path_that_cannot_be_written_is_a_matter_of_configuration(tmp_path: Path) -> None:
    """A file where a folder should be, or another machine: a sentence, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be written \(.+\)\. Choose a path that can"):
        write(tmp_path / "file" / "tx", rows=1000)
    with pytest.raises(UsageError, match="not on this machine's disk"):
        write("s3://bank/tx", rows=1000)


@pytest.mark.parametrize("name", ["tx", "tx.parquet"])
def test_a_writer_that_dies_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whole or not at all: half a sample is never seen, and no rubbish stays."""

    def interrupt(rows: int) -> None:
        if rows > 2000:
            raise KeyboardInterrupt

    write(tmp_path / name, rows=1000, seed=1)
    before = rows_of(tmp_path / name)
    monkeypatch.setattr(_parts, "ROWS_PER_PART", 1000)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / name, rows=5000, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert rows_of(tmp_path / name).equals(before)

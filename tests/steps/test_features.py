"""Fraud features: exact, known at the time, the same on every run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato.context import Context, running
from ostinato.errors import DataError, ParameterError
from ostinato.steps.features import FEATURES, Columns, fraud_features
from ostinato.steps.windows import time_windows
from ostinato.tables import Dataset, duck
from ostinato.workspace import Workspace

START = datetime(2026, 3, 1)
DAYS = (1, 7, 30)
INSTANT = timedelta(microseconds=1)
REPORTED = Columns(label_time="reported_at")
KNOWN = "card_known_fraud_at"

Row = dict[str, Any]


def arrow(rows: Sequence[Row], columns: Columns = REPORTED) -> pa.Table:
    """Rows with canonical keys as a stranger's table."""
    text = isinstance(rows[0]["id"], str)
    identity = pa.string() if text else pa.int64()
    moment = pa.timestamp("us")
    types = [identity, moment, identity, identity, pa.float64(), pa.int32(), moment]
    keys = ["id", "time", "card", "terminal", "amount", "label", "reported"]
    names = [name for name in astuple(columns) if name is not None]
    arrays = [pa.array([row[key] for row in rows], kind) for key, kind in zip(keys, types, strict=True)]
    return pa.table(arrays[: len(names)], names)


def described(data: Dataset) -> list[Row]:
    """The table's rows, in the order of their ids."""
    return sorted(data.to_arrow().to_pylist(), key=lambda row: str(row["id"]))


def features(rows: Sequence[Row], columns: Columns = REPORTED, **options: Any) -> list[Row]:
    """What the step makes of a few rows."""
    return described(fraud_features(Dataset.of(arrow(rows, columns), "given"), columns=columns, **options))


@contextmanager
def as_of(moment: datetime) -> Iterator[None]:
    """A run that stands for `moment`."""
    with running(Context(Workspace.here(), run_id="test", step="features", as_of=moment.replace(tzinfo=UTC))):
        yield


# --- the definition of every feature, in plain Python, looking at every pair of rows --------------------------------


def usable(amount: float | None) -> bool:
    return amount is not None and math.isfinite(amount)


def known_at(row: Row, delay: timedelta, reported: bool) -> datetime | None:
    """When a row's fraud became known, None if never."""
    if row["label"] != 1 or (reported and row["reported"] is None):
        return None
    moment: datetime = row["time"] + max(delay, INSTANT)
    return max(moment, row["reported"]) if reported else moment


def expected(row: Row, rows: Sequence[Row], delay: timedelta, reported: bool) -> Row:
    """One row's features by their definitions."""
    return {
        **{key: row[key] for key in ("id", "time", "card", "terminal")},
        "label": int(row["label"] == 1),
        "amount": row["amount"] if usable(row["amount"]) else None,
        "hour": row["time"].hour,
        "night": int(row["time"].hour < 6),
        "weekend": int(row["time"].weekday() >= 5),
        **of_card(row, [other for other in rows if other["card"] == row["card"]]),
        **of_terminal(row, [other for other in rows if other["terminal"] == row["terminal"]], delay, reported),
        KNOWN: known_fraud(row, rows, delay, reported),
        **({"label_time": row["reported"]} if reported else {}),
    }


def within(rows: Sequence[Row], after: datetime, until: datetime) -> list[Row]:
    return [row for row in rows if after < row["time"] <= until]


def of_card(row: Row, rows: Sequence[Row]) -> Row:
    names = [f"card_{what}_{days}d" for what in ("count", "sum", "mean") for days in DAYS]
    if row["card"] is None:
        return dict.fromkeys([*names, "card_ratio", "card_seconds_since"])
    now: datetime = row["time"]
    found: Row = {}
    for days in DAYS:
        recent = within(rows, now - timedelta(days=days), now)
        amounts = [round(other["amount"] * 10_000) for other in recent if usable(other["amount"])]
        found[f"card_count_{days}d"] = len(recent)
        found[f"card_sum_{days}d"] = float(sum(amounts)) / 10_000
        found[f"card_mean_{days}d"] = float(sum(amounts)) / 10_000 / len(amounts) if amounts else None
    mean = found["card_mean_30d"]
    found["card_ratio"] = row["amount"] / mean if mean and usable(row["amount"]) else None
    before = [other["time"] for other in within(rows, now - timedelta(days=30), now - INSTANT)]
    found["card_seconds_since"] = (now - max(before)) / timedelta(seconds=1) if before else None
    return found


def of_terminal(row: Row, rows: Sequence[Row], delay: timedelta, reported: bool) -> Row:
    if row["terminal"] is None:
        return dict.fromkeys([f"terminal_{what}_{days}d" for what in ("count", "fraud") for days in DAYS])
    now: datetime = row["time"]
    found: Row = {}
    for days in DAYS:
        found[f"terminal_count_{days}d"] = len(within(rows, now - timedelta(days=days), now))
        old = within(rows, now - delay - timedelta(days=days), now - max(delay, INSTANT))
        frauds = [other for other in old if (known := known_at(other, delay, reported)) and known <= now]
        found[f"terminal_fraud_{days}d"] = len(frauds) / len(old) if old else None
    return found


def known_fraud(row: Row, rows: Sequence[Row], delay: timedelta, reported: bool) -> datetime | None:
    midnight = row["time"].replace(hour=0, minute=0, second=0, microsecond=0)
    known = [
        other["time"]
        for other in rows
        if other["card"] == row["card"] is not None
        and (moment := known_at(other, delay, reported))
        and other["time"] + delay < midnight
        and (not reported or max(moment, other["reported"]) <= midnight)
    ]
    return max(known, default=None)


# --- tables with ties, gaps and strange names ----------------------------------------------------------------------

_NAMES = [
    ["tx_id", "ts", "card_id", "terminal_id", "amount", "is_fraud", "reported_at"],
    ["label", "card", "terminal", "id", "time", "amount", "us"],  # our own names, crossed over
    ["a b", 'say "when"', "x; DROP TABLE tx --", "Größe", "'", "%s {0}", "select"],
]
_STEPS = [timedelta(0), INSTANT, timedelta(hours=5), timedelta(days=1), timedelta(days=7), timedelta(days=30)]


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Few cards and terminals, and times that tie or lie exactly on the edges of windows."""
    texts = draw(st.booleans())
    ids = ['it\'s "1"', "1; --", "ü", None] if texts else [1, 2, -3, None]
    amounts = st.sampled_from(
        [None, math.nan, math.inf, -12.34, 0.0, 0.00004, 19.99, 0.1, 1234.5678, 899_999_999_999.5]
    )
    times = st.lists(st.sampled_from(_STEPS), min_size=1, max_size=4).map(lambda steps: sum(steps, timedelta(0)))
    rows = []
    for row in range(draw(st.integers(1, 25))):
        time = START + draw(times)
        late = draw(st.sampled_from([None, timedelta(0), -timedelta(days=1), *_STEPS, timedelta(days=90)]))
        rows.append(
            {
                "id": f"{row:02}" if texts else row + 10,
                "time": time,
                "card": draw(st.sampled_from(ids)),
                "terminal": draw(st.sampled_from(ids)),
                "amount": draw(amounts),
                "label": draw(st.sampled_from([0, 1, 1, None])),
                "reported": None if late is None else time + late,
            }
        )
    return rows


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=tables(), names=st.sampled_from(_NAMES), delay=st.sampled_from([0, 1, 3, 7, 30]), reported=st.booleans())
def test_every_feature_is_its_definition(rows: list[Row], names: list[str], delay: int, reported: bool) -> None:
    """Ties, gaps, strange names: each value equals what looking at every pair of rows gives, to the bit."""
    columns = Columns(*names) if reported else replace(Columns(*names), label_time=None)
    found = features(rows, columns, label_delay_days=delay)
    assert found == [expected(row, rows, timedelta(days=delay), reported) for row in rows]


@pytest.mark.parametrize(
    ("time", "clock"),
    [
        (datetime(2026, 3, 6, 23, 59, 59, 999_999), (23, 0, 0)),  # a Friday
        (datetime(2026, 3, 7), (0, 1, 1)),
        (datetime(2026, 3, 8, 5, 59, 59, 999_999), (5, 1, 1)),
        (datetime(2026, 3, 9, 6), (6, 0, 0)),
        (datetime(1969, 12, 28, 3), (3, 1, 1)),
    ],
)
def test_the_clock_is_utc(time: datetime, clock: tuple[int, int, int]) -> None:
    """Night is from 0 to 6 h, the weekend Saturday and Sunday."""
    row = features([{**history(2)[0], "time": time}], Columns())[0]
    assert (row["hour"], row["night"], row["weekend"]) == clock


@pytest.mark.parametrize(
    ("fraud_hours", "reported", "knows"),
    [
        (10, None, 4),  # 3 days old in the course of day 3
        (0, None, 4),  # 3 days old just as day 3 begins: too late for it, as in the handbook
        (10, timedelta(days=5), 5),  # reported at midnight
        (10, timedelta(days=5) + INSTANT, 6),
        (10, timedelta(days=1), 4),  # early reports do not shorten the delay
    ],
)
def test_a_day_knows_what_was_known_at_midnight(fraud_hours: int, reported: timedelta | None, knows: int) -> None:
    """`card_known_fraud_at` is the same all day long."""
    fraud = START + timedelta(hours=fraud_hours)
    days = [START + timedelta(days=number, hours=hour) for number in range(8) for hour in (0, 23)]
    rows = [
        {"id": number, "time": time, "card": 1, "terminal": 1, "amount": 1.0, "label": 0, "reported": None}
        for number, time in enumerate([fraud, *days])
    ]
    rows[0] |= {"label": 1, "reported": START + reported if reported else None}
    found = features(rows, REPORTED if reported else Columns(), label_delay_days=3)[1:]
    assert [row[KNOWN] for row in sorted(found, key=lambda row: row["time"])] == [
        fraud if number >= knows else None for number in range(8) for _ in (0, 23)
    ]


# --- nothing that was unknown at the time ---------------------------------------------------------------------------


def history(rows: int = 400, days: int = 90) -> list[Row]:
    """A busy quarter of 12 cards and 8 terminals, one transaction in ten a fraud, reported after 0 to 20 days."""
    made = []
    for number in range(rows):
        mixed = number * 2_654_435_761 % 4_294_967_291
        time = START + timedelta(seconds=number // 2 * (days * 86_400 // (rows // 2)))  # every instant is a tie of two
        made.append(
            {
                "id": number + 1_000,
                "time": time,
                "card": mixed % 12,
                "terminal": mixed // 12 % 8,
                "amount": mixed // 100 % 50_000 / 100,
                "label": int(mixed // 7 % 10 == 0),
                "reported": time + timedelta(hours=mixed // 1_000 % 480),
            }
        )
    return made


def seen_at(moment: datetime, rows: Sequence[Row], delay: timedelta, reported: bool) -> list[Row]:
    """The table as it stood at `moment`: later rows are gone, labels that were not known yet are negative."""
    seen = []
    for row in rows:
        if row["time"] <= moment:
            known = known_at(row, delay, reported)
            unknown = {"label": 0, "reported": None} if known is None or known > moment else {}
            seen.append({**row, **unknown})
    return seen


@pytest.mark.parametrize("delay", [0, 7])
@pytest.mark.parametrize("columns", [Columns(), REPORTED], ids=["delay", "reported"])
def test_features_know_nothing_later(columns: Columns, delay: int) -> None:
    """Cutting the table at a row's instant, with the labels known by then, changes none of its features."""
    rows = history()
    full = features(rows, columns, label_delay_days=delay)
    for number in (17, 120, 251, 330, 398):
        seen = seen_at(rows[number]["time"], rows, timedelta(days=delay), columns.label_time is not None)
        cut = features(seen, columns, label_delay_days=delay)[number]
        assert {name: cut[name] for name in (*FEATURES, KNOWN)} == {
            name: full[number][name] for name in (*FEATURES, KNOWN)
        }


def test_the_truncation_test_would_see_a_leak() -> None:
    """The history has frauds whose features change as soon as labels are known too early."""
    rows = history()
    honest, early = (features(rows, REPORTED, label_delay_days=delay) for delay in (7, 6))
    assert [row["terminal_fraud_7d"] for row in honest] != [row["terminal_fraud_7d"] for row in early]
    assert any(row["terminal_fraud_7d"] for row in honest)
    assert any(row[KNOWN] for row in honest)


@pytest.mark.parametrize("columns", [Columns(), REPORTED], ids=["delay", "reported"])
def test_rows_before_the_history_change_nothing(columns: Columns) -> None:
    """With a training window only its history is read: 30 days and the label delay before it."""
    rows, delay, moment = history(800, 120), 5, START + timedelta(days=100, hours=7)
    rows[0] |= {"card": 99, "label": 1, "reported": START}  # long forgotten
    rows[700] |= {"card": 99}
    windows = time_windows(
        moment.replace(tzinfo=UTC), test_days=7, train_days=20, label_delay_days=delay, labels="delayed"
    )
    history_from, train_from = (
        start.replace(tzinfo=None) for start in (windows.history_from, windows.train_from) if start
    )
    options: dict[str, Any] = {"label_delay_days": delay, "train_days": 20}
    with as_of(moment):
        full = features(rows, columns, **options)
        cut = features([row for row in rows if row["time"] >= history_from], columns, **options)
    unbounded = features(rows, columns, label_delay_days=delay)
    assert full == cut
    assert full[0]["time"] >= train_from > unbounded[0]["time"]
    learnt = [{name: row[name] for name in ("id", *FEATURES)} for row in unbounded if row["time"] >= train_from]
    assert [{name: row[name] for name in ("id", *FEATURES)} for row in full] == learnt


def test_without_a_training_window_all_rows_are_described() -> None:
    """Outside a run, and without `train_days`, nothing is cut."""
    rows = history(60)
    with as_of(START + timedelta(days=80)):
        assert len(features(rows, Columns())) == len(rows)
    assert len(features(rows, Columns(), train_days=3)) == len(rows)


def test_a_report_on_the_spot_is_the_label_delay_alone() -> None:
    """A fraud reported at once is known after the label delay, as if there were no report."""
    rows = [{**row, "reported": row["time"]} for row in history(200)]
    told, untold = features(rows, REPORTED), features(rows, Columns())
    assert [{**row, "label_time": None} for row in told] == [{**row, "label_time": None} for row in untold]


# --- the same on every run -----------------------------------------------------------------------------------------


def many(rows: int, more: str = "") -> Dataset:
    """A larger table straight from DuckDB, its amounts of very different sizes, so that floating sums would differ."""
    query = f"""
        SELECT i AS tx_id, TIMESTAMP '2026-01-01' + to_seconds(i // 3 * 40) AS ts, hash(i) % 97 AS card_id,
               hash(i + 1) % 61 AS terminal_id, (hash(i + 2) % 1000000007) / power(10, hash(i + 3) % 7) AS amount,
               hash(i + 4) % 50 = 0 AS is_fraud {more}
        FROM range({rows}) AS r(i)"""
    with duck() as connection:
        return Dataset.save(connection, query, "given", time="ts")


def test_the_same_rows_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads there are, and in whatever order the rows lie."""
    data, digests = many(150_000), set()
    with duck() as connection:
        mixed = Dataset.save(connection, f"FROM {data.sql(connection)} ORDER BY hash(tx_id)", "mixed", time="ts")
    for given_data, threads in ((data, "1"), (data, "2"), (mixed, "2")):
        monkeypatch.setenv("OSTINATO_THREADS", threads)
        digests.add(fraud_features(given_data).digest)
    assert len(digests) == 1


def test_a_column_that_is_not_named_changes_nothing() -> None:
    """A stranger's leaky column never slips in."""
    leak = ", is_fraud AS chargeback, is_fraud AS label, is_fraud::INTEGER AS terminal_fraud_30d"
    assert fraud_features(many(2_000)).digest == fraud_features(many(2_000, leak)).digest


# --- the table it makes --------------------------------------------------------------------------------------------


def test_columns_have_canonical_names() -> None:
    """Whatever the table called them; what was named as extra is handed on under its own prefix."""
    table = arrow(history(20)).append_column("label", pa.array(["web"] * 20)).append_column("a;b", pa.array(range(20)))
    made = fraud_features(Dataset.of(table), columns=REPORTED, extra=["label", "a;b", "ts"])
    others = [name for name in FEATURES if name != "amount"]
    head = ["id", "time", "card", "terminal", "amount", "label", "label_time", KNOWN]
    assert list(made.schema) == [*head, *others, "extra_label", "extra_a;b", "extra_ts"]
    assert made.facts["time"]["column"] == "time"
    assert {row["extra_label"] for row in described(made)} == {"web"}


def test_features_are_numbers() -> None:
    """Each feature is a whole number or a double, which every estimator takes."""
    schema = fraud_features(Dataset.of(arrow(history(20), Columns()))).schema
    assert {schema[name] for name in FEATURES} == {"INTEGER", "DOUBLE"}


def test_text_and_numbers_identify_alike() -> None:
    """Ids as strings give the features that ids as numbers give."""
    rows = history(100)
    texts = [{**row, **{key: str(row[key]) for key in ("id", "card", "terminal")}} for row in rows]
    numbers, strings = features(rows, Columns()), features(texts, Columns())
    assert [{name: row[name] for name in FEATURES} for row in numbers] == [
        {name: row[name] for name in FEATURES} for row in strings
    ]


def test_cards_with_gaps_are_missing_cards() -> None:
    """Whole numbers with gaps come from pandas as floats with NaN: no card, so no card features."""
    table = arrow(history(30), Columns())
    gaps = pa.array([math.nan if number % 3 == 0 else 5.0 for number in range(30)])
    rows = described(fraud_features(Dataset.of(table.set_column(2, "card_id", gaps))))
    assert [row["card_count_30d"] is None for row in rows] == [number % 3 == 0 for number in range(30)]
    assert [row["card"] for row in rows[:2]] == [None, 5.0]


@pytest.mark.parametrize(
    "labels", [pa.array([True, False, None]), pa.array([1.0, 0.0, math.nan]), pa.array(["1", "0", None])]
)
def test_labels_may_be_of_any_kind(labels: pa.Array[Any]) -> None:
    """True and 1 are fraud; a missing label is negative."""
    table = arrow(history(3), Columns()).set_column(5, "is_fraud", labels)
    assert [row["label"] for row in described(fraud_features(Dataset.of(table)))] == [1, 0, 0]


# --- what it refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "values", "sentence"),
    [
        (1, pa.array([None, START, START]), r"1 values of 'ts' cannot be used, missing. Every row needs a timestamp"),
        (
            4,
            pa.array([1.0, 2e12, -3e12]),
            r"2 values of 'amount' .*such as '.*'. Amounts are numbers up to 900,000,000",
        ),
        (4, pa.array(["1", "2", "three"]), r"1 values of 'amount' cannot be used, such as 'three'"),
        (5, pa.array([0, 1, 2]), r"1 values of 'is_fraud' cannot be used, such as '2'. Labels are 0 and 1"),
        (5, pa.array(["no", "yes", None]), r"2 values of 'is_fraud'"),
    ],
)
def test_unusable_values_are_refused(position: int, values: pa.Array[Any], sentence: str) -> None:
    """With the column, how many, one of them, and what would do."""
    table = arrow(history(3), Columns())
    data = Dataset.of(table.set_column(position, table.column_names[position], values))
    with pytest.raises(DataError, match=sentence):
        fraud_features(data)


def test_unreadable_report_times_are_refused() -> None:
    """A report without a time is never known; one that is no time is a mistake."""
    table = arrow(history(3)).set_column(6, "reported_at", pa.array([None, "2026-03-01", "soon"]))
    with pytest.raises(
        DataError, match=r"1 values of 'reported_at' cannot be used, such as 'soon'\. Labels have times"
    ):
        fraud_features(Dataset.of(table), columns=REPORTED)


def test_sums_beyond_exactness_are_refused() -> None:
    """More than 128 bits can hold is an error, never a wrong sum."""
    with duck() as connection:
        query = """
            SELECT i AS tx_id, TIMESTAMP '2026-01-01' AS ts, 1 AS card_id, i AS terminal_id, 9e11 AS amount,
                   0 AS is_fraud
            FROM range(270000) AS r(i)"""
        data = Dataset.save(connection, query)
    with pytest.raises(DataError, match="Overflow"):
        fraud_features(data)


def test_a_missing_column_is_named() -> None:
    """With the nearest name the table has."""
    data = Dataset.of(arrow(history(3), Columns()))
    with pytest.raises(DataError, match=r"no column 'card'\. Did you mean 'card_id'\?"):
        fraud_features(data, columns=Columns(card="card"))
    with pytest.raises(DataError, match="no column 'shop'"):
        fraud_features(data, extra=["shop"])


def test_a_negative_delay_is_refused() -> None:
    """Nobody knows a fraud before it happened."""
    with pytest.raises(ParameterError, match="label_delay_days=-1 must be 0 or more"):
        fraud_features(Dataset.of(arrow(history(3), Columns())), label_delay_days=-1)

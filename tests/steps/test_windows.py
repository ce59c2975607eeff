"""Time windows: test after training, a label delay apart, with the labels known at the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.context import Context, running
from ostinato.errors import DataError, ParameterError
from ostinato.steps.features import Columns, fraud_features
from ostinato.steps.windows import KNOWN_FRAUD, LOOK_BACK_DAYS, Labels, split_by_time, time_windows
from ostinato.tables import Dataset, duck
from ostinato.workspace import Workspace

AS_OF = datetime(2026, 3, 31, tzinfo=UTC)
START = datetime(2026, 3, 1)


def day(number: float) -> datetime:
    """So many days after 1 March, as tables hold it."""
    return START + timedelta(days=number)


@contextmanager
def as_of(moment: datetime = AS_OF) -> Iterator[None]:
    """A run that stands for `moment`."""
    with running(Context(Workspace.here(), run_id="test", step="split", as_of=moment)):
        yield


def table(days: Sequence[float], **columns: Sequence[Any]) -> Dataset:
    """A row at each of the days, numbered."""
    kinds = {"label_time": pa.timestamp("us"), "reported_at": pa.timestamp("us"), KNOWN_FRAUD: pa.timestamp("us")}
    times = pa.array([day(number) for number in days], pa.timestamp("us"))
    more = {name: pa.array(values, kinds.get(name)) for name, values in columns.items()}
    return Dataset.of(pa.table({"id": range(len(days)), "time": times, **more}), time="time")


def ids(data: Dataset) -> list[int]:
    """Which rows there are."""
    return labels_of(data, "id")


def labels_of(data: Dataset, name: str = "label") -> list[Any]:
    """The labels, in the order of the ids."""
    found: list[Any] = data.to_arrow(order_by=["id"])[name].to_pylist()
    return found


# --- the windows ----------------------------------------------------------------------------------------------------


def test_delayed_labels_end_the_test_a_delay_ago() -> None:
    """Test, gap and training follow one another backwards from as_of less the label delay."""
    windows = time_windows(AS_OF, test_days=7, train_days=10, label_delay_days=3)
    assert windows.test_until == datetime(2026, 3, 28, tzinfo=UTC)
    assert windows.test_from == datetime(2026, 3, 21, tzinfo=UTC)
    assert windows.train_until == datetime(2026, 3, 18, tzinfo=UTC)
    assert windows.train_from == datetime(2026, 3, 8, tzinfo=UTC)
    assert windows.history_from == datetime(2026, 2, 3, tzinfo=UTC)


def test_complete_labels_end_the_test_now() -> None:
    """The gap between training and test stays."""
    windows = time_windows(AS_OF, test_days=7, train_days=10, label_delay_days=3, labels="complete")
    assert (windows.test_from, windows.test_until) == (datetime(2026, 3, 24, tzinfo=UTC), AS_OF)
    assert windows.train_until == datetime(2026, 3, 21, tzinfo=UTC)


def test_training_may_begin_with_the_table() -> None:
    """Without `train_days` there is no start, and so no start of the history."""
    windows = time_windows(AS_OF)
    assert (windows.train_from, windows.history_from) == (None, None)


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    test_days=st.integers(1, 400),
    train_days=st.integers(1, 4000),
    delay=st.integers(0, 400),
    labels=st.sampled_from(["delayed", "complete"]),
)
def test_windows_follow_one_another(
    moment: datetime, test_days: int, train_days: int, delay: int, labels: Labels
) -> None:
    """History, training, gap, test, as_of: in this order and of the lengths asked for."""
    windows = time_windows(moment, test_days=test_days, train_days=train_days, label_delay_days=delay, labels=labels)
    assert windows.history_from
    assert windows.train_from
    assert windows.as_of - windows.test_until == timedelta(days=delay if labels == "delayed" else 0)
    assert windows.test_until - windows.test_from == timedelta(days=test_days)
    assert windows.test_from - windows.train_until == timedelta(days=delay)
    assert windows.train_until - windows.train_from == timedelta(days=train_days)
    assert windows.train_from - windows.history_from == timedelta(days=LOOK_BACK_DAYS + delay)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"as_of": datetime(2026, 3, 31)}, "has no time zone"),
        ({"test_days": 0}, "test_days=0 must be 1 or more"),
        ({"train_days": 0}, "train_days=0 must be 1 or more"),
        ({"label_delay_days": -1}, "label_delay_days=-1 must be 0 or more"),
        ({"labels": "late"}, r"Unknown labels='late'\. .*Valid: 'delayed', 'complete'"),
    ],
)
def test_impossible_windows_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    """With what was given and what would do."""
    with pytest.raises(ParameterError, match=sentence):
        time_windows(**{"as_of": AS_OF, **wrong})


# --- the split ------------------------------------------------------------------------------------------------------

# as_of is day 30: with a delay of 3 days and a test of 7, training ends at day 17 and the test is [20, 27).
SHORT: dict[str, Any] = {"test_days": 7, "label_delay_days": 3}


def test_the_halves_are_half_open() -> None:
    """A row at the start of a window is in it, a row at its end is not; rows of the gap are in neither."""
    data = table([0, 6.99, 7, 16.99, 17, 19.99, 20, 26.99, 27, 29])
    with as_of():
        train, test = split_by_time(data, train_days=10, **SHORT)
        everything, _ = split_by_time(data, **SHORT)
        _, complete = split_by_time(data, labels="complete", **SHORT)
    assert (ids(train), ids(test), ids(everything), ids(complete)) == ([2, 3], [6, 7], [0, 1, 2, 3], [7, 8, 9])


def test_the_halves_are_not_copies() -> None:
    """They are the same file with conditions, and digests of their own rows."""
    data = table(range(30))
    with as_of():
        train, test = split_by_time(data, **SHORT)
        again, _ = split_by_time(data, **SHORT)
    assert train.uri == test.uri == data.uri
    assert len({train.digest, test.digest, data.digest}) == 3
    assert train.digest == again.digest
    assert (train.rows, test.rows) == (17, 7)


@pytest.mark.parametrize("known", [{}, {"label": [0] * 30, "label_time": [day(0)] * 30}], ids=["part", "written"])
def test_a_part_stays_a_part(known: dict[str, Any]) -> None:
    """Splitting a part keeps the conditions that make it one."""
    late = {"column": "time", "op": ">=", "value": "2026-03-06", "type": "timestamp"}
    with duck() as connection:
        part = table(range(30), **known).part(connection, [late])
    with as_of():
        train, test = split_by_time(part, **SHORT)
    assert (ids(train), ids(test)) == (list(range(5, 17)), list(range(20, 27)))


def test_other_names_may_hold_the_time() -> None:
    """The time column is the one named."""
    data = table(range(30), **{'t"s;': [day(number) for number in reversed(range(30))]})
    with as_of():
        train, _ = split_by_time(data, time='t"s;', **SHORT)
    assert ids(train) == list(range(13, 30))


# --- labels with a time ---------------------------------------------------------------------------------------------

DAYS = [1, 2, 3, 4, 5, 21, 22, 23, 24]
LABELS = [1, 1, 1, 0, None, 1, 1, 1, 0]
KNOWN = [day(20), day(20) + timedelta(microseconds=1), None, day(5), day(10), day(30), day(31), None, day(25)]


def test_training_counts_labels_known_when_it_happened() -> None:
    """A label counts in training when it was known at the start of the test, in the test when known at as_of."""
    with as_of():
        train, test = split_by_time(table(DAYS, label=LABELS, label_time=KNOWN), **SHORT)
    assert labels_of(train) == [1, 0, 0, 0, 0]
    assert labels_of(test) == [1, 0, 0, 0]


def test_complete_labels_count_in_the_test_as_they_are() -> None:
    """But training still knows what was known when the test began."""
    days = [number + 3 for number in DAYS]
    known = [moment + timedelta(days=3) if moment else None for moment in KNOWN]
    with as_of():
        train, test = split_by_time(table(days, label=LABELS, label_time=known), labels="complete", **SHORT)
    assert labels_of(train) == [1, 0, 0, 0, 0]
    assert labels_of(test) == [1, 1, 1, 0]


def test_label_columns_keep_their_type_and_their_neighbours() -> None:
    """True and false stay so, under any name, and every other column is handed on."""
    truths = [None if label is None else bool(label) for label in LABELS]
    data = table(DAYS, fraud=truths, reported_at=KNOWN, amount=[float(number) for number in DAYS])
    with as_of():
        train, _ = split_by_time(data, label="fraud", label_time="reported_at", **SHORT)
    assert labels_of(train, "fraud") == [True, False, False, False, False]
    assert train.schema == data.schema
    assert labels_of(train, "amount") == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_without_a_label_time_labels_are_taken_as_they_are() -> None:
    """They are older than the delay, after which they are taken to be final."""
    with as_of():
        train, _ = split_by_time(table(DAYS, label=LABELS), **SHORT)
    assert labels_of(train) == LABELS[:5]


# --- cards known as defrauded ---------------------------------------------------------------------------------------


def test_known_cards_leave_the_test() -> None:
    """Cards defrauded since training began are dropped from the test, and only from the test."""
    data = table([8, 9, 21, 22, 23], **{KNOWN_FRAUD: [None, day(8), None, day(6), day(7)]})
    with as_of():
        train, test = split_by_time(data, train_days=10, drop_known=True, **SHORT)
        _, unbounded = split_by_time(data, drop_known=True, **SHORT)
    assert (ids(train), ids(test), ids(unbounded)) == ([0, 1], [2, 3], [2])


def handbook_test_rows(rows: Sequence[dict[str, Any]], train_days: int, delay: int, test_days: int) -> list[int]:
    """The Fraud Detection Handbook's `get_train_test_set`, as printed there, without pandas."""
    first = 30 - delay - test_days - delay - train_days
    days = {row["tx_id"]: (row["ts"] - START).days for row in rows}

    def defrauded(start: int, end: int) -> set[int]:
        return {row["card_id"] for row in rows if start <= days[row["tx_id"]] < end and row["is_fraud"]}

    known, chosen = defrauded(first, first + train_days), []
    for number in range(test_days):
        before = first + train_days + number - 1
        known |= defrauded(before, before + 1)
        today = first + train_days + delay + number
        chosen += [row["tx_id"] for row in rows if days[row["tx_id"]] == today and row["card_id"] not in known]
    return sorted(chosen)


@pytest.mark.parametrize("delay", [3, 5])
def test_known_cards_are_those_of_the_handbook(delay: int) -> None:
    """Features and split together choose the very rows that the Handbook's protocol chooses."""
    rows = []
    for number in range(900):
        mixed = number * 2_654_435_761 % 4_294_967_291
        moment = START + timedelta(minutes=48 * number + 1)
        rows.append(
            {
                "tx_id": number,
                "ts": moment,
                "card_id": mixed % 60,
                "terminal_id": mixed // 60 % 9,
                "amount": 1.0,
                "is_fraud": int(mixed // 7 % 25 == 0),
            }
        )
    with as_of():
        made = fraud_features(Dataset.of(pa.Table.from_pylist(rows)), columns=Columns(), label_delay_days=delay)
        _, test = split_by_time(made, train_days=7, test_days=7, label_delay_days=delay, drop_known=True)
    expected = handbook_test_rows(rows, 7, delay, 7)
    assert ids(test) == expected
    assert 50 < len(expected) < 200


# --- what it refuses ------------------------------------------------------------------------------------------------


def test_an_empty_window_says_what_to_change() -> None:
    """With the window, the table's own times, and the settings that move the window."""
    with (
        as_of(),
        pytest.raises(
            DataError,
            match=r"No rows for the test window \[2026-03-21, 2026-03-28\) of column 'time': its times run from "
            r"2026-03-01 to 2026-03-05 12:00:00\. Change as_of \(2026-03-31\), test_days",
        ),
    ):
        split_by_time(table([0, 4.5]), **SHORT)
    with as_of(), pytest.raises(DataError, match=r"training window before 2026-03-18 .*train_days"):
        split_by_time(table([21]), **SHORT)
    with as_of(), pytest.raises(DataError, match="it has no rows at all"):
        split_by_time(table([]), **SHORT)


def test_a_split_needs_a_moment() -> None:
    """Outside a run there is no as_of, and none is made up."""
    with pytest.raises(ParameterError, match="--as-of DATE"):
        split_by_time(table(range(30)))


def test_missing_columns_are_named() -> None:
    """Before anything is written."""
    data = table(range(30), label=[0] * 30)
    with as_of():
        with pytest.raises(DataError, match="no column 'ts'"):
            split_by_time(data, time="ts")
        with pytest.raises(DataError, match="no column 'card_known_fraud_at'"):
            split_by_time(data, drop_known=True)
        with pytest.raises(DataError, match="no column 'reported'"):
            split_by_time(data, label_time="reported")
        with pytest.raises(DataError, match="no column 'fraud'"):
            split_by_time(table(range(30), label_time=[None] * 30), label="fraud")

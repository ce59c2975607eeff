"""Loading a table: every kind of source, times of every kind, and what is wrong said plainly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.context import Context, running
from ostinato.errors import ConfigurationError, DataError, Unavailable
from ostinato.steps import load
from ostinato.steps.data import batches_of, day_after_last_event
from ostinato.tables import Dataset, duck
from ostinato.workspace import Workspace

FRAME = pd.DataFrame(
    {
        "id": ["a'); DROP TABLE x;--", 'b"', "c"],
        "ts": pd.to_datetime(["2026-01-01", "2026-01-02 12:00", "2026-01-03"], format="mixed"),
        "amount": [1.5, 2.0, None],
    }
)


@pytest.fixture
def as_of(home: Path) -> Iterator[None]:
    """A run that stands for the morning of 3 January 2026."""
    with running(Context(Workspace.here(), "run", "load", as_of=datetime(2026, 1, 3, tzinfo=UTC))):
        yield


def rows(data: Dataset, by: str = "ts") -> list[tuple[object, ...]]:
    frame = data.to_pandas(order_by=[by])
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples(index=False)]


def everything(data: Dataset) -> list[tuple[object, ...]]:
    return rows(data, "id")


@pytest.fixture
def expected() -> list[tuple[object, ...]]:
    frame = FRAME.sort_values("id")
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples(index=False)]


def test_a_parquet_file_is_loaded_as_it_is(tmp_path: Path, expected: list[tuple[object, ...]]) -> None:
    """Ids with quotes and SQL in them are just ids."""
    FRAME.to_parquet(tmp_path / "x.parquet")
    assert everything(load(str(tmp_path / "x.parquet"))) == expected


def test_a_folder_is_loaded_whole_but_for_hidden_entries(tmp_path: Path) -> None:
    """Parts and sub-folders count; what begins with _ or . does not."""
    for place in ("a.parquet", "deep/b.parquet", "_truth/c.parquet", ".d.parquet", "_SUCCESS.parquet"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        FRAME.to_parquet(tmp_path / place)
    assert load(str(tmp_path)).rows == 6
    assert load(str(tmp_path / "*.parquet")).rows >= 3


def test_parts_with_columns_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    """A later part may have another order and a wider type."""
    FRAME.to_parquet(tmp_path / "a.parquet")
    FRAME[["amount", "ts", "id"]].astype({"amount": "float32"}).to_parquet(tmp_path / "b.parquet")
    assert load(str(tmp_path)).to_pandas()["amount"].sum() == 7.0


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x [1]*?.csv", "ä 'quoted'.csv"])
def test_a_csv_file_is_loaded_whatever_it_is_called(
    tmp_path: Path, name: str, expected: list[tuple[object, ...]]
) -> None:
    """Nothing in a file's name is taken for a pattern or for SQL."""
    FRAME.to_csv(tmp_path / name, index=False)
    (tmp_path / "x 1.csv").write_text("other\n1\n")
    assert everything(load(str(tmp_path / name), time="ts", columns=["id", "ts", "amount"])) == [
        (row[1], row[0], row[2]) for row in expected
    ]


def test_a_sqlite_file_is_loaded_by_its_only_table_or_a_query(tmp_path: Path) -> None:
    """One table needs no query; two do, and the message lists them."""
    with sqlite3.connect(tmp_path / "x.db") as connection:
        FRAME.to_sql("sales", connection, index=False)
    assert load(str(tmp_path / "x.db"), time="ts").rows == 3
    assert load(f"sqlite:///{tmp_path / 'x.db'}", query="SELECT * FROM sales WHERE amount > 1.9").rows == 1
    with sqlite3.connect(tmp_path / "x.db") as connection:
        FRAME.to_sql("returns", connection, index=False)
    with pytest.raises(DataError, match=r"holds 2 tables \('returns', 'sales'\); say which with a query"):
        load(str(tmp_path / "x.db"))
    with pytest.raises(DataError, match="refuses the query: no such table: missing"):
        load(str(tmp_path / "x.db"), query="SELECT * FROM missing")


def test_a_large_table_of_a_database_arrives_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later chunk may hold what the first had no value or another type of."""
    monkeypatch.setattr("ostinato.steps.databases.CHUNK", 10)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE t (n, maybe)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)", [(i if i < 50 else i + 0.5, None if i < 20 else i) for i in range(100)]
        )
    data = load(str(tmp_path / "x.db"))
    assert data.rows == 100
    assert data.to_pandas()["n"].sum() == sum(range(100)) + 25
    assert data.to_pandas()["maybe"].count() == 80


def test_a_duckdb_file_is_loaded_read_only(tmp_path: Path) -> None:
    """A table or a query of a DuckDB file, and a locked one is worth another try."""
    place = str(tmp_path / "x.duckdb")
    with duckdb.connect(place) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS n FROM range(5)")
    assert load(place).rows == 5
    assert load(place, query="SELECT * FROM t WHERE n > 2;").rows == 2


def test_a_url_of_files_is_read_through_fsspec() -> None:
    """Any fsspec file system will do; folders, globs and hidden entries work as on a disk."""
    for name in ("a", "b", "_truth/c"):
        with fsspec.open(f"memory://bucket/tx/{name}.parquet", "wb") as file:
            FRAME.to_parquet(file)
    assert load("memory://bucket/tx/a.parquet").rows == 3
    assert load("memory://bucket/tx").rows == 6
    assert load("memory://bucket/tx/*.parquet").rows == 6
    with pytest.raises(DataError, match="There is nothing at memory://bucket/ty"):
        load("memory://bucket/ty")


def test_rows_at_or_after_as_of_are_left_out(tmp_path: Path, as_of: None) -> None:
    """What happened later is not known yet."""
    FRAME.to_parquet(tmp_path / "x.parquet")
    data = load(str(tmp_path / "x.parquet"), time="ts")
    assert data.facts["time"] == {"column": "ts", "from": "2026-01-01 00:00:00", "until": "2026-01-02 12:00:00"}


TIMES = pd.Series(pd.to_datetime(["2026-01-01", "2026-01-02 12:00:00.25"], format="mixed"))
EPOCH = TIMES.astype("datetime64[us]").astype("int64")


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(TIMES, id="timestamps"),
        pytest.param(TIMES.dt.tz_localize("UTC"), id="UTC"),
        pytest.param(TIMES.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"), id="zoned"),
        pytest.param(TIMES.astype(str), id="text"),
        pytest.param(TIMES.dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"), id="ISO text"),
        pytest.param(TIMES.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), id="text with Z"),
        pytest.param(EPOCH / 1e6, id="seconds"),
        pytest.param(EPOCH // 1000, id="milliseconds"),
        pytest.param(EPOCH, id="microseconds"),
        pytest.param(EPOCH * 1000, id="nanoseconds"),
        pytest.param(TIMES.astype("datetime64[ns]"), id="timestamps in ns"),
    ],
)
def test_times_of_every_kind_become_the_same_moments(tmp_path: Path, times: pd.Series) -> None:
    """Timestamps, zoned ones, text and epochs are one and the same in UTC."""
    pd.DataFrame({"ts": times}).to_parquet(tmp_path / "x.parquet")
    data = load(str(tmp_path / "x.parquet"), time="ts")
    assert data.facts["time"]["from"] == "2026-01-01 00:00:00"
    assert data.facts["time"]["until"] == "2026-01-02 12:00:00.250000"
    assert data.schema == {"ts": "TIMESTAMP"}


def test_dates_are_midnights(tmp_path: Path) -> None:
    """A column of dates is a column of times."""
    pd.DataFrame({"ts": TIMES.dt.date}).to_parquet(tmp_path / "x.parquet")
    assert load(str(tmp_path / "x.parquet"), time="ts").facts["time"]["until"] == "2026-01-02 00:00:00"


@given(seconds=st.integers(min_value=0, max_value=4_000_000_000))
def test_an_epoch_of_a_given_unit_is_exact(tmp_path_factory: pytest.TempPathFactory, seconds: int) -> None:
    """time_unit beats the guess by size."""
    place = tmp_path_factory.mktemp("epochs") / "x.parquet"
    for unit, factor in (("s", 1), ("ms", 1000), ("us", 1_000_000)):
        pd.DataFrame({"ts": [seconds * factor]}).to_parquet(place)
        data = load(str(place), time="ts", time_unit=unit)  # type: ignore[arg-type]
        wanted = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        assert data.facts["time"]["from"] == wanted.isoformat(sep=" ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2026-01-01", "soon", "later"], r"2 of 3 values of 'ts' are no times, such as 'soon'"),
        ([True, False], "'ts' is BOOLEAN, which is no time"),
        (["2026-01-01", None], "1 of 2 rows have no time in 'ts'"),
        ([1e300, 2.0], "1 of 2 values of 'ts' are no times"),
        ([float("inf"), 2.0], "1 of 2 values of 'ts' are no times"),
    ],
)
def test_what_is_no_time_is_counted_and_shown(tmp_path: Path, values: list[object], message: str) -> None:
    """How many, and the first of them."""
    pd.DataFrame({"ts": values}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=message):
        load(str(tmp_path / "x.parquet"), time="ts")


def test_bad_sources_are_named_with_what_to_do(tmp_path: Path, as_of: None) -> None:
    """Missing, empty, not a table, a missing column: each has its own sentence."""
    FRAME.to_parquet(tmp_path / "transactions.parquet")
    FRAME[:0].to_parquet(tmp_path / "empty.parquet")
    (tmp_path / "notes.txt.bin").write_text("no table")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "nothing").mkdir()
    cases = {
        "transaction.parquet": "Did you mean 'transactions.parquet'",
        "not/here/x.parquet": "There is no folder .* either",
        "empty.parquet": "has no rows",
        "notes.txt.bin": "neither Parquet, CSV, DuckDB nor SQLite",
        "broken.parquet": "cannot be read",
        "nothing": "holds no Parquet or CSV file",
    }
    for name, message in cases.items():
        with pytest.raises(DataError, match=message):
            load(str(tmp_path / name))
    with pytest.raises(DataError, match=r"has no column 'Amount'\. Did you mean 'amount'"):
        load(str(tmp_path / "transactions.parquet"), columns=["id", "Amount"])
    FRAME.assign(ts=pd.Timestamp("2027-01-01")).to_parquet(tmp_path / "later.parquet")
    with pytest.raises(DataError, match="has no rows before 2026-01-03 00:00 in 'ts'"):
        load(str(tmp_path / "later.parquet"), time="ts")
    with pytest.raises(DataError, match="The source is empty"):
        load(" ")


def test_databases_that_are_away_or_unknown_say_so() -> None:
    """A dead server is worth a retry, a wrong URL is not; passwords are not shown."""
    with pytest.raises(Unavailable, match="does not answer") as raised:
        load("postgresql+psycopg://user:geheim@127.0.0.1:9/bank", query="SELECT 1")
    assert "geheim" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="nosuchdb:// is neither a database"):
        load("nosuchdb://host/bank")


def test_a_run_by_hand_stands_for_the_day_after_the_last_event_up_to_today(tmp_path: Path) -> None:
    """Dates in the far future are broken rows, not events."""
    frame = pd.concat([FRAME, FRAME.assign(ts=pd.Timestamp("2099-01-01"))])
    frame.to_parquet(tmp_path / "x.parquet")
    assert day_after_last_event(str(tmp_path / "x.parquet"), time="ts") == "2026-01-04"
    FRAME.assign(ts=pd.Timestamp("2099-01-01")).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(DataError, match="no row with a time in 'ts' up to today"):
        day_after_last_event(str(tmp_path / "y.parquet"), time="ts")


def test_only_the_named_columns_are_read(tmp_path: Path) -> None:
    """A column nobody named does not reach the snapshot."""
    FRAME.assign(secret="x").to_parquet(tmp_path / "x.parquet")
    data = load(str(tmp_path / "x.parquet"), columns=["id", None], more_columns=["amount"], time="ts")
    assert list(data.schema) == ["ts", "id", "amount"]


# --- times that are broken, and kept for the rules to judge -------------------------------------------------------


def kept(tmp_path: Path, frame: pd.DataFrame, **more: object) -> Dataset:
    frame.to_parquet(tmp_path / "x.parquet")
    return load(str(tmp_path / "x.parquet"), time="ts", broken_times="keep", **more)  # type: ignore[arg-type]


def test_a_time_that_cannot_be_read_is_kept_beside_as_it_was_found(tmp_path: Path) -> None:
    """NULL for a time, and the text that stood there; where all can be read there is no further column."""
    frame = pd.DataFrame({"id": [1, 2, 3, 4], "ts": ["2026-01-01", "soon", None, ""]})
    data = kept(tmp_path, frame)
    assert list(data.schema.items()) == [("ts", "TIMESTAMP"), ("id", "BIGINT"), ("ts_as_found", "VARCHAR")]
    found = [
        (row["id"], row["ts"] is not None, row["ts_as_found"]) for row in data.to_arrow(order_by=["id"]).to_pylist()
    ]
    assert found == [(1, True, None), (2, False, "soon"), (3, False, None), (4, False, "")]
    assert data.facts["time"]["from"] == data.facts["time"]["until"] == "2026-01-01 00:00:00"
    assert list(kept(tmp_path, frame[:1]).schema) == ["ts", "id"]
    frame.to_parquet(tmp_path / "y.parquet")
    with pytest.raises(DataError, match="2 of 4 values of 'ts' are no times, such as 'soon'"):
        load(str(tmp_path / "y.parquet"), time="ts")


def test_a_column_that_is_called_like_the_one_beside_keeps_its_name(tmp_path: Path) -> None:
    """The further one gets another."""
    frame = pd.DataFrame({"TS_as_found": ["a", "b"], "ts": ["2026-01-01", "soon"]})
    data = kept(tmp_path, frame)
    assert list(data.schema) == ["ts", "TS_as_found", "_ts_as_found"]
    assert sorted(row["_ts_as_found"] or "" for row in data.to_arrow().to_pylist()) == ["", "soon"]
    assert sorted(row["TS_as_found"] for row in data.to_arrow().to_pylist()) == ["a", "b"]


@pytest.mark.parametrize("as_text", [False, True], ids=["timestamps", "text"])
def test_rows_of_a_time_that_has_not_come_are_kept_and_those_still_to_come_are_cut(
    tmp_path: Path, as_text: bool
) -> None:
    """At or after the horizon they are broken; between `as_of` and it they are merely not known yet."""
    moments = ["2026-01-02 23:59:59", "2026-01-03", "2026-01-09 23:59:59.999999", "2026-01-10", "2099-01-01", None]
    frame = pd.DataFrame({"id": range(6), "ts": moments})
    if not as_text:
        frame["ts"] = pd.to_datetime(frame["ts"], format="mixed")
    here = Context(
        Workspace.here(), "r", "load", as_of=datetime(2026, 1, 3, tzinfo=UTC), day=datetime(2026, 1, 9, tzinfo=UTC)
    )
    with running(here):
        assert kept(tmp_path, frame).to_pandas(order_by=["id"])["id"].tolist() == [0, 3, 4, 5]
    late = Context(
        Workspace.here(), "r", "load", as_of=datetime(2027, 1, 1, tzinfo=UTC), day=datetime(2026, 1, 9, tzinfo=UTC)
    )
    with running(late):
        assert kept(tmp_path, frame).rows == 6


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("junk", [[9e18], [1.0, 0.0], [-9e18, 9e18]])
def test_a_few_odd_values_do_not_change_the_unit_of_epochs(
    tmp_path: Path, unit: str, factor: int, junk: list[float]
) -> None:
    """Most values tell: one that is far too large or small is itself broken."""
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    values = [(start + second) * factor for second in range(20)] + [int(value) for value in junk]
    data = kept(tmp_path, pd.DataFrame({"id": range(len(values)), "ts": values}))
    times = data.to_pandas(order_by=["id"])["ts"].tolist()[:20]
    assert times == [pd.Timestamp("2026-01-01") + pd.Timedelta(seconds=second) for second in range(20)]


def test_where_a_suite_is_named_all_columns_are_read(tmp_path: Path) -> None:
    """Its rules may speak of any."""
    FRAME.assign(secret="x").to_parquet(tmp_path / "x.parquet")
    rules = tmp_path / "rules.yaml"
    rules.write_text("expectations: [column_values_to_be_unique: id]")
    named = {"columns": ["id"], "more_columns": ["amount"], "time": "ts"}
    assert list(load(str(tmp_path / "x.parquet"), suite=str(rules), **named).schema) == [
        "ts",
        "id",
        "amount",
        "secret",
    ]  # type: ignore[arg-type]
    assert list(load(str(tmp_path / "x.parquet"), **named).schema) == ["ts", "id", "amount"]  # type: ignore[arg-type]


def test_batches_are_whole_tables_with_their_times_read(tmp_path: Path) -> None:
    """Of files and databases, side by side; a missing one is named."""
    FRAME.assign(ts=FRAME["ts"].astype("datetime64[us]").astype("int64") // 10**6).to_parquet(tmp_path / "a.parquet")
    with sqlite3.connect(tmp_path / "b.db") as connection:
        FRAME.assign(ts=FRAME["ts"].astype(str)).to_sql("sales", connection, index=False)
    sources = [str(tmp_path / "a.parquet"), str(tmp_path / "b.db")]
    with duck() as opened:
        batches = batches_of(opened, sources, time="ts")
        assert [name for name, _ in batches] == sources
        found = [opened.execute(f"SELECT ts, id FROM {table} ORDER BY ts").fetchall() for _, table in batches]
        assert found[0] == found[1] == [(row.ts.to_pydatetime(), row.id) for row in FRAME.itertuples()]
        assert len(opened.execute(f"DESCRIBE FROM {batches[0][1]}").fetchall()) == 3
    with duck() as opened:
        with pytest.raises(DataError, match=r"has no column 'when'"):
            batches_of(opened, sources, time="when")
        with pytest.raises(DataError, match=r"nothing\.parquet"):
            batches_of(opened, [str(tmp_path / "nothing.parquet")])

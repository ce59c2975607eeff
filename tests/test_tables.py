"""Tables: Parquet behind a reference, whatever its columns are called and whoever dies while writing it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ostinato import Dataset, context
from ostinato.context import Context, running
from ostinato.errors import ConfigurationError, ContractError, DataError
from ostinato.tables import _measure, duck, free_name, literal, parquet_sql, quote, require_columns, timestamp
from ostinato.workspace import Workspace, local_path

HOSTILE_COLUMNS = [
    'double"quote',
    "single'quote",
    "semi;colon",
    "drop table given; --",
    "a\" FROM read_csv('/etc/passwd') --",
    "select",
    "a.b",
    "a b\tc",
    "new\nline",
    "größe",
    "金額",
    "🙂",
    "%s {} $1 ?",
    "x" * 200,
    "h",
    "t",
]
HOSTILE_FOLDERS = [
    "a b", "q'uote", 'd"q', "st*r", "q?m", "[br]", "{a,b}", "h#sh", "p%20c", "b\\s", "größe", "~t", "$x", "**", "day=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def digest(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> str:
    connection.register("measured", table)
    return _measure(connection, "measured", None)[1]


VALUES = {
    "number": st.none() | st.integers(-(2**63), 2**63 - 1),
    "text": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    "flag": st.none() | st.booleans(),
    "share": st.none() | st.floats(allow_nan=False),
}
TYPES = {"number": pa.int64(), "text": pa.string(), "flag": pa.bool_(), "share": pa.float64()}
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=8)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()})


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- the digest ---------------------------------------------------------------------------------------------------


@QUICK
@given(ROWS, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_rows(connection: Any, rows: Any, chance: random.Random) -> None:
    """A parallel write gives them back in any order."""
    shuffled = rows[:]
    chance.shuffle(shuffled)
    assert digest(connection, table(shuffled)) == digest(connection, table(rows))


@QUICK
@given(rows=ROWS, at=st.integers(0), name=st.sampled_from(list(TYPES)), data=st.data())
def test_the_digest_changes_with_any_value(connection: Any, rows: Any, at: int, name: str, data: Any) -> None:
    """One cell is enough, and missing is a value too."""
    at %= len(rows)
    other = data.draw(VALUES[name])
    assume(other != rows[at][name])
    changed = [*rows[:at], {**rows[at], name: other}, *rows[at + 1 :]]
    assert digest(connection, table(changed)) != digest(connection, table(rows))


@QUICK
@given(ROWS, st.integers(0))
def test_the_digest_changes_with_a_repeated_or_a_lost_row(connection: Any, rows: Any, at: int) -> None:
    """Copies of a row do not cancel out."""
    at %= len(rows)
    other = {**rows[at], "text": "another row"}
    assert digest(connection, table([*rows, rows[at], rows[at]])) != digest(connection, table([*rows, other, other]))
    twice = [*rows, rows[at]]
    thrice = [*twice, rows[at]]
    assert len({digest(connection, table(some)) for some in (rows, twice, thrice)}) == 3
    assert digest(connection, table(rows)) != digest(connection, table(rows).slice(1))


@QUICK
@given(ROWS)
def test_the_digest_changes_with_a_name_a_type_or_the_order_of_columns(connection: Any, rows: Any) -> None:
    """The schema is part of the content."""
    made = table(rows)
    others = [
        made.rename_columns(["Number", "text", "flag", "share"]),
        made.rename_columns(["text", "number", "flag", "share"]),
        made.set_column(0, "number", made["number"].cast(pa.decimal128(20))),
        made.select(["text", "number", "flag", "share"]),
        made.drop_columns(["flag"]),
    ]
    assert len({digest(connection, one) for one in [made, *others]}) == 6


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_the_digest_does_not_depend_on_the_layout_of_the_file(connection: Any, tmp_path: Path, rows: Any) -> None:
    """Row groups, compression, encoding, or several files: the same rows are the same content."""
    made = table(rows)
    pq.write_table(made, tmp_path / "one.parquet")
    pq.write_table(made, tmp_path / "small.parquet", row_group_size=1, compression="gzip", use_dictionary=False)
    parts = [str(tmp_path / f"part{number}.parquet") for number in range(2)]
    pq.write_table(made.slice(0, 1), parts[0])
    pq.write_table(made.slice(1), parts[1])
    layouts = [[str(tmp_path / "one.parquet")], [str(tmp_path / "small.parquet")], parts]
    digests = {_measure(connection, parquet_sql(connection, files), None)[1] for files in layouts}
    assert digests == {digest(connection, made)}


def test_the_same_table_from_pandas_arrow_and_a_query_has_the_same_digest() -> None:
    """Also with many threads and row groups."""
    rows = 300_000
    arrow = pa.table({"n": pa.array(range(rows), pa.int64()), "s": pa.array([f"s{n % 7}" for n in range(rows)])})
    with duck() as connection:
        query = f"SELECT range AS n, 's' || (range % 7) AS s FROM range({rows}) ORDER BY hash(range)"
        saved = Dataset.save(connection, query, "query")
    assert saved.digest == Dataset.of(arrow, "arrow").digest == Dataset.of(arrow.to_pandas(), "pandas").digest
    assert saved.rows == rows


# --- writing and reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", HOSTILE_FOLDERS)
def test_a_workspace_may_be_called_anything(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns, quotes, escapes and `key=value` in a path are just letters; what they would match is not read."""
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path / folder))
    data = Dataset.of(pa.table({"a": [1, 2]}))
    decoys = ["star", "quam", "b", "a", "day"]
    for decoy in decoys:
        shutil.copytree(tmp_path / folder, tmp_path / decoy)
    assert Dataset.from_json(data.to_json()).to_json() == data.to_json()
    assert data.to_arrow(order_by=["a"]).to_pydict() == {"a": [1, 2]}
    assert data.schema == {"a": "BIGINT"}
    with duck() as connection:
        assert data.part(connection, [{"column": "a", "op": "<", "value": 2}]).rows == 1
    assert sorted(os.listdir(tmp_path)) == sorted([folder, *decoys])


def test_columns_may_be_called_anything() -> None:
    """Quotes, SQL, 200 letters, any language: written, measured, read, chosen, sorted and filtered."""
    rows = {name: [2, 1, 3] for name in HOSTILE_COLUMNS}
    for time_column in ('double"quote', "h", "t"):
        moments: dict[str, Any] = {**rows, time_column: [datetime(2026, 1, day) for day in (2, 1, 3)]}
        data = Dataset.of(pa.table(moments), time=time_column)
        assert list(data.schema) == list(moments)
        assert data.facts["time"]["from"] == "2026-01-01 00:00:00"
        assert data.to_arrow(columns=HOSTILE_COLUMNS, order_by=[time_column]).column_names == HOSTILE_COLUMNS
        with duck() as connection:
            for name in set(HOSTILE_COLUMNS) - {time_column}:
                assert data.part(connection, [{"column": name, "op": "=", "value": 1}]).rows == 1


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({"a": [1], "A": [2]}),
        pa.table({"a": [1], "A": [2]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.table({"": [1]}),
    ],
    ids=["pandas", "arrow", "twice", "nameless"],
)
def test_columns_that_sql_cannot_tell_apart_are_refused(given: Any) -> None:
    """Renamed silently, the model would be trained on another column."""
    with pytest.raises(ContractError, match="'data' has columns that are called alike or nothing"):
        Dataset.of(given)


def test_numbered_columns_of_pandas_become_text() -> None:
    """SQL has no other names."""
    assert list(Dataset.of(pd.DataFrame([[1, 2]])).schema) == ["0", "1"]


def test_a_table_without_rows_is_a_table() -> None:
    """It has a schema, a digest and no range of times."""
    data = Dataset.of(pa.table({"a": pa.array([], pa.int64()), "t": pa.array([], pa.timestamp("us"))}), time="t")
    assert (data.rows, data.facts["time"]) == (0, {"column": "t", "from": None, "until": None})
    assert data.to_pandas().empty


@pytest.mark.parametrize(
    ("values", "first"),
    [
        (pa.array([datetime(2026, 1, 2, 3), datetime(2026, 1, 1, 1, 2, 3, 4)]), "2026-01-01 01:02:03.000004"),
        (pa.array([date(2026, 1, 2), date(2026, 1, 1)]), "2026-01-01 00:00:00"),
        (
            pa.array(
                [datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))], pa.timestamp("us", tz="Europe/Berlin")
            ),
            "2025-12-31 23:00:00",
        ),
    ],
    ids=["timestamp", "date", "with zone"],
)
def test_the_event_times_range_is_a_fact_in_utc(values: pa.Array[Any], first: str) -> None:
    """Timestamps with and without zone, and dates."""
    data = Dataset.of(pa.table({"t": values}), time="t")
    assert data.facts["time"]["from"] == first


def test_an_event_time_that_is_none_is_refused() -> None:
    """By its type, and by its name."""
    with pytest.raises(DataError, match="the event time 't' is VARCHAR, not a TIMESTAMP or DATE"):
        Dataset.of(pa.table({"t": ["2026-01-01"]}), time="t")
    with pytest.raises(DataError, match=r"has no column 'tim'. Did you mean 'time'\?"):
        Dataset.of(pa.table({"time": [1]}), time="tim")


def test_a_missing_column_gets_the_nearest_name() -> None:
    """Wherever one is asked for."""
    data = Dataset.of(pa.table({"amount": [1], "card": [2]}))
    for ask in (data.require, data.to_pandas, lambda names: require_columns(data.schema, names, "here")):
        with pytest.raises(DataError, match=r"has no column 'amout'. Did you mean 'amount'\?"):
            ask(["amout"])
    data.require(["card", "amount"])


def test_a_gone_file_is_said_to_be_gone() -> None:
    """Not as a pattern that matches nothing."""
    data = Dataset.of(pa.table({"a": [1]}))
    local_path(data.uri).unlink()
    with pytest.raises(DataError, match=r"data\.parquet is gone"):
        data.to_pandas()


def test_reading_takes_columns_and_an_order() -> None:
    """Training reads in a defined order: row order alone moves scores."""
    data = Dataset.of(pa.table({"a": [3, 1, 2], "b": ["x", "y", "z"]}))
    assert data.to_arrow(columns=["b"], order_by=["a"]).to_pydict() == {"b": ["y", "z", "x"]}
    assert list(data.to_pandas(order_by=["b"])["a"]) == [3, 1, 2]


def test_a_table_is_read_as_a_view() -> None:
    """Under any name."""
    data = Dataset.of(pa.table({"a": [1, 2]}))
    with duck() as connection:
        data.view(connection, 'my "view"')
        assert connection.execute('SELECT sum(a) FROM "my ""view"""').fetchone() == (3,)


# --- parts --------------------------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda a, b: a is not None and a >= b,
    "<": lambda a, b: a is not None and a < b,
    "=": lambda a, b: a is not None and a == b,
    "null or <": lambda a, b: a is None or a < b,
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.none() | st.integers(-5, 5), max_size=10),
    st.lists(st.tuples(st.sampled_from(list(OPERATORS)), st.integers(-5, 5)), min_size=1, max_size=3),
)
def test_a_part_is_what_filtering_gives(values: list[int | None], where: list[tuple[str, int]]) -> None:
    """Rows, facts and digest are those of a copy, and no row is copied."""
    data = Dataset.of(pa.table({"a": pa.array(values, pa.int64())}))
    expected = [value for value in values if all(OPERATORS[op](value, bound) for op, bound in where)]
    with duck() as connection:
        part = data
        for op, bound in where:  # one after the other: conditions add up
            part = part.part(connection, [{"column": "a", "op": op, "value": bound}])
    copy = Dataset.of(pa.table({"a": pa.array(expected, pa.int64())}), "copy")
    assert sorted(map(str, part.to_arrow()["a"].to_pylist())) == sorted(map(str, expected))
    assert (part.rows, part.digest, part.uri) == (len(expected), copy.digest, data.uri)


def test_a_part_by_time_has_a_range_of_its_own() -> None:
    """Half-open windows of ISO text, as steps hand them over."""
    data = Dataset.of(pa.table({"t": [datetime(2026, 1, day) for day in range(1, 11)]}), time="t")
    window = [
        {"column": "t", "op": ">=", "value": "2026-01-03T00:00:00", "type": "timestamp"},
        {"column": "t", "op": "<", "value": "2026-01-05T02:00:00+02:00", "type": "timestamp"},
    ]
    with duck() as connection:
        part = data.part(connection, window)
        assert part.facts["time"] == {"column": "t", "from": "2026-01-03 00:00:00", "until": "2026-01-04 00:00:00"}
        with pytest.raises(ContractError, match=r"Unknown operator '=='. Did you mean '='\?"):
            data.part(connection, [{"column": "t", "op": "==", "value": "x"}])


# --- SQL ----------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_quoted_name_is_that_name(connection: Any, name: str) -> None:
    """Whatever a stranger called the column."""
    relation = connection.sql(f"SELECT 1 AS {quote(name)}")
    assert relation.columns == [name]


@given(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    | st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(9999, 1, 1))
)
def test_a_literal_is_that_value(connection: Any, value: Any) -> None:
    """Nothing in it is taken for SQL."""
    (found,) = connection.execute(f"SELECT {literal(value)}").fetchone()
    assert (float(found) if isinstance(found, Decimal) else found) == value


def test_a_moment_with_a_zone_is_written_in_utc() -> None:
    """Tables hold UTC."""
    assert timestamp(datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-03-01 00:00:00"
    assert literal(datetime(2026, 3, 1, tzinfo=UTC)) == "TIMESTAMP '2026-03-01 00:00:00'"


def test_memory_is_bounded_and_spills_into_the_workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`OSTINATO_MEMORY` and `OSTINATO_THREADS` set the bounds."""
    monkeypatch.setenv("OSTINATO_MEMORY", "100MB")
    monkeypatch.setenv("OSTINATO_THREADS", "1")
    with duck() as connection:
        found = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory'), "
            "current_setting('TimeZone')"
        ).fetchone()
    assert found is not None
    assert found[0].startswith("95.3")
    assert (found[1], found[3]) == (1, "UTC")
    assert found[2].startswith(str(home / "tmp"))


@pytest.mark.parametrize(("variable", "value"), [("OSTINATO_MEMORY", "plenty"), ("OSTINATO_THREADS", "many")])
def test_a_wrong_bound_is_a_configuration_error(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by its variable."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match="DuckDB refuses OSTINATO_MEMORY or OSTINATO_THREADS"), duck():
        pass


# --- crashes and races --------------------------------------------------------------------------------------------

SLOW_SAVE = """
import sys
from ostinato import Dataset
from ostinato.context import Context, running
from ostinato.tables import duck
from ostinato.workspace import Workspace
with running(Context(Workspace(sys.argv[1]), run_id="r", step="save")), duck() as connection:
    print("ready", flush=True)
    while True:
        Dataset.save(connection, "SELECT range AS a, hash(range) AS b, 'x' || range AS c FROM range(300000)")
"""


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1, 0.25])
def test_kill_in_the_middle_of_save_leaves_no_half_table(delay: float, home: Path) -> None:
    """At whatever moment: a table is there whole or is said to be unfinished, and the next attempt writes it."""
    writer = subprocess.Popen([sys.executable, "-c", SLOW_SAVE, str(home)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    while not any(home.glob("runs/r/save/.*.part")):
        time.sleep(0.001)
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    place = home / "runs" / "r" / "save" / "data.parquet"
    left = Dataset(place.as_uri(), "unknown")
    if place.exists():
        assert pq.ParquetFile(place).metadata.num_rows == 300_000
    try:
        manifest = left.manifest()
    except DataError as error:
        assert "was never finished" in str(error)  # noqa: PT017  (either may be found)
    else:
        assert manifest["facts"]["rows"] == left.to_arrow().num_rows == 300_000
    with running(Context(Workspace(str(home)), run_id="r", step="save")), duck() as connection:
        again = Dataset.save(connection, "SELECT 1 AS a")
        assert again.to_arrow().to_pydict() == {"a": [1]}


def test_a_crash_of_the_query_leaves_the_earlier_table() -> None:
    """Nothing of the new one, not even a file beside it."""
    data = Dataset.of(pa.table({"a": [1]}))
    with pytest.raises(duckdb.Error), duck() as connection:
        Dataset.save(connection, "SELECT CASE WHEN range > 99999 THEN error('broken') ELSE 'x' END FROM range(200000)")
    assert data.to_arrow().to_pydict() == {"a": [1]}
    assert sorted(os.listdir(local_path(data.uri).parent)) == [".data.parquet.manifest.json", "data.parquet"]


# --- elsewhere ----------------------------------------------------------------------------------------------------


def test_a_table_in_a_remote_workspace_is_written_and_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here fsspec's memory; an object store is the same to us."""
    home = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("OSTINATO_HOME", home)
    data = Dataset.of(pa.table({"a": [3, 1, 2]}))
    assert data.uri.startswith(f"{home}/runs/")
    assert data.uri.endswith("/data.parquet")
    assert data.to_arrow(order_by=["a"]).to_pydict() == {"a": [1, 2, 3]}
    assert data.schema == {"a": "BIGINT"}
    with duck() as connection:
        assert data.part(connection, [{"column": "a", "op": ">=", "value": 2}]).to_arrow().num_rows == 2
    again = Dataset.of(pa.table({"a": [5]}))
    assert again.uri == data.uri
    assert again.to_arrow().to_pydict() == {"a": [5]}


def test_outside_a_run_tables_go_to_a_scratch_run(home: Path) -> None:
    """In a REPL a step works as it stands."""
    data = Dataset.of(pa.table({"a": [1]}))
    assert local_path(data.uri).is_relative_to(home / "runs")
    assert context.current().run_id.startswith("scratch-")


# --- numbered rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_row", 'a"b; --', "größe"])
def test_rows_have_the_same_numbers_in_every_query(name: str) -> None:
    """Each its own, from 0, whatever the query and the threads; of a part those of the whole."""
    with duck() as connection:
        data = Dataset.save(connection, "SELECT range AS id, range % 7 AS k FROM range(300_000)")
        numbered = data.sql(connection, name)
        of = quote(name)
        found = connection.execute(f"SELECT count(DISTINCT {of}), min({of}), max({of}) FROM {numbered}").fetchall()
        assert found == [(300_000, 0, 299_999)]
        differing = f"SELECT count(*) FROM {numbered} AS a JOIN {numbered} AS b USING ({of}) WHERE a.id <> b.id"
        assert connection.execute(differing).fetchall() == [(0,)]
        part = data.part(connection, [{"column": "k", "op": "=", "value": 3}]).sql(connection, name)
        moved = f"SELECT count(*), count(*) FILTER (a.id <> b.id) FROM {part} AS a JOIN {numbered} AS b USING ({of})"
        assert connection.execute(moved).fetchall() == [
            (connection.execute(f"SELECT count(*) FROM {part}").fetchall()[0][0], 0)
        ]
        assert connection.execute(f"DESCRIBE FROM {data.sql(connection)}").fetchall()[-1][0] == "k"


def test_a_column_that_hides_duckdbs_row_numbers_is_said() -> None:
    """However it is spelled; without numbers the table is read as ever."""
    data = Dataset.of(pa.table({"File_Row_Number": [5, 6]}))
    with duck() as connection:
        assert connection.execute(f"SELECT count(*) FROM {data.sql(connection)}").fetchall() == [(2,)]
        with pytest.raises(
            DataError, match="has a column 'file_row_number', so its rows cannot be numbered; rename it"
        ):
            data.sql(connection, "_row")


@given(st.text(max_size=4), st.lists(st.text(max_size=5), max_size=5))
def test_a_free_name_is_none_that_is_taken(wanted: str, taken: list[str]) -> None:
    """SQL does not tell `Age` from `age`; what is free already stays as it is."""
    found = free_name(wanted, taken)
    folded = {name.casefold() for name in taken}
    assert found.casefold() not in folded
    assert found.endswith(wanted)
    assert found == wanted or wanted.casefold() in folded
    assert free_name("_Row", ["_row", "__ROW"]) == "___Row"

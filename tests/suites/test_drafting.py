"""Drafted suites: valid, the same every time, met by their own data, broken by planted faults."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ostinato.errors import DataError
from ostinato.integrations.gx_validator import judged, on_duckdb
from ostinato.samples import transactions
from ostinato.suites.drafting import Batch, draft
from ostinato.suites.families import fits
from ostinato.suites.filling import filled
from ostinato.suites.reading import parse_suite
from ostinato.suites.suite import Suite
from ostinato.tables import quote

AS_OF = dt.datetime(2026, 3, 2)
TODAY = dt.datetime.now(dt.UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with opened() as made:
        yield made


def opened() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"preserve_insertion_order": False})


def drafted(connection: duckdb.DuckDBPyConnection, *tables: str, dataset: str = "things") -> str:
    return draft(connection, [Batch(table, table) for table in tables], dataset=dataset)


def old_yaml(text: str) -> Any:
    """What a reader of YAML 1.1 sees, to whom `no` is false and 1e5 a text."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    return reader.load(text)


def rules(connection: duckdb.DuckDBPyConnection, *tables: str) -> dict[str, dict[str, Any]]:
    """The arguments of the drafted rules, by name."""
    return {rule.name: dict(rule.arguments) for rule in parse_suite(drafted(connection, *tables)).rules}


def outcomes(
    connection: duckdb.DuckDBPyConnection, suite: Suite, table: str, as_of: dt.datetime = AS_OF
) -> dict[str, str]:
    """What Great Expectations says of each rule: pass, fail, quarantined or error."""
    schema = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    ready = [filled(rule, {"as_of": as_of, "day": TODAY}, schema) for rule in suite.rules]
    results = on_duckdb(connection, table, ready)
    return {rule.name: judged(rule, raw).outcome for rule, raw in zip(ready, results, strict=True)}


def broken(
    connection: duckdb.DuckDBPyConnection, suite: Suite, table: str, as_of: dt.datetime = AS_OF
) -> dict[str, str]:
    """The rules a table does not pass."""
    return {name: said for name, said in outcomes(connection, suite, table, as_of).items() if said != "pass"}


# --- the project's own sample ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Payments with codes besides."""
    place = tmp_path_factory.mktemp("sample") / "payments.parquet"
    transactions.write(place, rows=20_000, seed=3, days=60)
    coded = place.with_name("coded.parquet")
    with opened() as connection:
        connection.execute(f"COPY (SELECT *, format('AB-{{:06d}}', tx_id * 7) AS code FROM '{place}') TO '{coded}'")
    return coded


@pytest.fixture
def good(connection: duckdb.DuckDBPyConnection, sample: Path) -> Suite:
    """The suite drafted from the table `good`."""
    connection.execute(f"CREATE TABLE good AS FROM '{sample}'")
    return parse_suite(drafted(connection, "good", dataset="transactions"), "payments.yaml")


def test_a_draft_holds_on_its_own_data(connection: duckdb.DuckDBPyConnection, good: Suite) -> None:
    """Every rule drafted from the sample is met by the sample, as Great Expectations judges."""
    assert (good.name, good.key, good.max_quarantine) == ("transactions", ("tx_id",), 0.01)
    assert len(good.rules) > 25
    assert broken(connection, good, "good") == {}


FAULTS = {
    "duplicates": ("SELECT * REPLACE (tx_id // 2 * 2 AS tx_id) FROM good", "column_values_to_be_unique: tx_id"),
    "nulls": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN card_id END AS card_id) FROM good",
        "column_values_to_not_be_null: card_id",
    ),
    "nan": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN amount ELSE 'nan' END AS amount) FROM good",
        "column_values_to_be_between: amount",
    ),
    "negative amounts": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN amount ELSE -amount END AS amount) FROM good",
        "column_values_to_be_between: amount",
    ),
    "negative ids": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN card_id ELSE -card_id END AS card_id) FROM good",
        "column_values_to_be_between: card_id",
    ),
    "bad label": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN is_fraud ELSE 7 END AS is_fraud) FROM good",
        "column_values_to_be_in_set: is_fraud",
    ),
    "labels gone": ("SELECT * REPLACE (0 AS is_fraud) FROM good", "column_mean_to_be_between: is_fraud"),
    "unknown category": (
        "SELECT * REPLACE (CASE WHEN tx_id > 600 THEN currency ELSE 'XXX' END AS currency) FROM good",
        "column_values_to_be_in_set: currency",
    ),
    "unknown number of a category": (
        "SELECT * REPLACE (CASE WHEN tx_id > 600 THEN mcc ELSE 1 END AS mcc) FROM good",
        "column_values_to_be_in_set: mcc",
    ),
    "another format of codes": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN code ELSE lower(code) END AS code) FROM good",
        "column_values_to_match_regex: code",
    ),
    "cents for euros": (
        "SELECT * REPLACE (amount * 100 AS amount) FROM good",
        "column_quantile_values_to_be_between: amount",
    ),
    "thousands for euros": (
        "SELECT * REPLACE (amount / 1000 AS amount) FROM good",
        "column_quantile_values_to_be_between: amount",
    ),
    "a tenth of the rows": ("FROM good WHERE tx_id % 10 = 0", "table_row_count_to_be_between"),
    "ten times the rows": ("SELECT good.* FROM good, range(10)", "table_row_count_to_be_between"),
    "a time in 2099": (
        "SELECT * REPLACE (CASE WHEN tx_id > 9 THEN ts ELSE '2099-01-01' END AS ts) FROM good",
        "column_values_to_be_between: ts",
    ),
    "one more column": ("SELECT *, 1 AS more FROM good", "table_columns_to_match_set"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(connection: duckdb.DuckDBPyConnection, good: Suite, fault: str) -> None:
    """Each fault breaks the rule that is about it; no rule falls over."""
    query, name = FAULTS[fault]
    connection.execute(f"CREATE TABLE bad AS {query}")
    found = broken(connection, good, "bad")
    rule = next(rule for rule in good.rules if rule.name.startswith(name))
    assert found.get(rule.name) == ("quarantined" if rule.quarantine else "fail")
    assert "error" not in found.values()


def test_a_missing_column_is_caught(connection: duckdb.DuckDBPyConnection, good: Suite) -> None:
    """The set of columns differs, and rules about the column cannot pass."""
    connection.execute("CREATE TABLE bad AS SELECT * EXCLUDE (amount) FROM good")
    found = broken(connection, good, "bad")
    assert "fail" in [said for name, said in found.items() if name.startswith("table_columns_to_match_set")]
    assert found["column_values_to_not_be_null: amount"] == "error"


def test_a_changed_type_is_caught(connection: duckdb.DuckDBPyConnection, good: Suite) -> None:
    """The suite names a family of types for every column; text does not fit where numbers were."""
    described = connection.execute("DESCRIBE SELECT * REPLACE (amount::VARCHAR AS amount) FROM good").fetchall()
    assert [row[0] for row in described if not fits(row[1], good.columns[row[0]])] == ["amount"]


def test_a_stale_table_is_caught(connection: duckdb.DuckDBPyConnection, good: Suite) -> None:
    """Nothing new for three days, where every day had rows."""
    assert list(broken(connection, good, "good", AS_OF + dt.timedelta(days=3))) == ["column_max_to_be_between: ts"]


def test_broken_rows_of_the_sample_are_set_aside(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A draft from a good sample sets aside what the sample breaks on purpose, and stops nothing."""
    for name, share in (("good", 0.0), ("bad", 0.004)):
        transactions.write(tmp_path / name / "rows.parquet", rows=20_000, seed=5, days=60, broken=share)
        connection.execute(f"CREATE TABLE {name} AS FROM '{tmp_path}/{name}/rows.parquet'")
    found = broken(connection, parse_suite(drafted(connection, "good")), "bad")
    assert set(found.values()) == {"quarantined"}
    assert {name.split(": ")[1] for name in found} == {
        *("tx_id", "ts", "card_id", "terminal_id", "amount", "is_fraud"),
    }


# --- any table -------------------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(
        [
            "id",
            "no",
            "null",
            "1e5",
            " a ",
            'a"b',
            "a'b;--",
            '"',
            "`a`",
            "[a]",
            "{{ as_of }}",
            "x{{ day }}",
            "a\nb",
            "é" * 200,
        ]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["yes", "no", "null", "~", "1e5", "2026-01-01", " a ", "", "a: b", "#", "it's", '"', "\n", "{{ x }}"]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    st.from_regex(r"\A[A-Z]{2}-[0-9]{1,4}\Z"),
)
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2110, 1, 1))
KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.one_of(st.integers(0, 1), st.integers(-5, 99), st.integers(-(2**63), 2**63 - 1)),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.int16(): st.integers(0, 1),
    pa.float64(): st.one_of(st.floats(), st.floats(0, 1000)),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.decimal128(12, 3): st.decimals(-100_000, 100_000, places=3).map(Decimal),
    pa.decimal128(38, 0): st.integers(-(10**37), 10**37).map(Decimal),
    pa.string(): TEXTS,
    pa.bool_(): st.booleans(),
    pa.timestamp("us"): MOMENTS,
    pa.timestamp("us", "UTC"): MOMENTS,
    pa.date32(): st.dates(dt.date(1000, 1, 1)),
    pa.time64("us"): st.times(),
    pa.binary(): st.binary(max_size=3),
    pa.list_(pa.int8()): st.lists(st.integers(0, 3), max_size=2),
    pa.struct([("a", pa.int8())]): st.fixed_dictionaries({"a": st.integers(0, 3)}),
    pa.null(): st.none(),
}


@st.composite
def tables(draw: st.DrawFn) -> list[pa.Table]:
    """One to three batches of the same columns; values come again and again in some."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=lambda name: name.strip().casefold()))
    kinds = [draw(st.sampled_from(list(KINDS))) for _ in names]
    batches = []
    for _ in range(draw(st.integers(1, 3))):
        rows, times = draw(st.integers(1, 30)), draw(st.sampled_from([1, 1, 9, 40]))
        arrays = []
        for kind in kinds:
            values = st.one_of(KINDS[kind], st.none()) if draw(st.booleans()) else KINDS[kind]
            arrays.append(pa.array(draw(st.lists(values, min_size=rows, max_size=rows)) * times, kind))
        batches.append(pa.table(arrays, names))
    return batches


@settings(max_examples=25)
@given(tables())
def test_any_table_meets_its_own_draft(batches: list[pa.Table]) -> None:
    """Whatever the types, nulls, names and values: the same valid suite twice, met by each batch."""
    with opened() as connection:
        names = []
        for number, batch in enumerate(batches):
            connection.register("given_rows", batch)
            connection.execute(f"CREATE TABLE batch_{number} AS FROM given_rows")
            names.append(f"batch_{number}")
        text = drafted(connection, *names)
        assert text == drafted(connection, *names)
        suite = parse_suite(text)
        assert list(suite.columns) == [row[0] for row in connection.execute("DESCRIBE batch_0").fetchall()]
        assert max(map(len, re.findall(r"(?m)^ *#.*$", text))) <= 120
        for name in names:
            assert broken(connection, suite, name, newest(connection, suite, name)) == {}, text


def newest(connection: duckdb.DuckDBPyConnection, suite: Suite, table: str) -> dt.datetime:
    """The latest of a table's event times: when it was fresh."""
    fresh = [rule.arguments["column"] for rule in suite.rules if rule.type == "expect_column_max_to_be_between"]
    found = [connection.execute(f"SELECT max({quote(column)})::TIMESTAMP FROM {table}").fetchall() for column in fresh]
    return found[0][0][0] if found else AS_OF


def plain(name: str) -> bool:
    """Whether GX can read the name."""
    return name.isprintable() and "{{" not in name and not set(name) & {'"', "\\"}


@given(st.lists(TEXTS, min_size=1, max_size=20, unique=True), NAMES.filter(plain))
def test_values_and_names_come_back_from_yaml(texts: list[str], name: str) -> None:
    """Every text and name in a draft is read as it was, by readers of YAML 1.1 and 1.2."""
    column = quote(name)
    with opened() as connection:
        connection.register("listed", pa.table({"text": pa.array(texts)}))
        connection.execute(f"CREATE TABLE things AS SELECT text AS {column} FROM listed, range(40)")
        text = drafted(connection, "things", dataset=f"x{texts[0]}")
    kept = not any(re.fullmatch(r"\s*\{\{.*\}\}\s*", value, re.DOTALL) for value in texts)
    told = old_yaml(text)
    suite = parse_suite(text)
    sets = [rule.arguments for rule in suite.rules if rule.type == "expect_column_values_to_be_in_set"]
    again = [
        rule["column_values_to_be_in_set"] for rule in told["expectations"] if "column_values_to_be_in_set" in rule
    ]
    assert told["dataset"] == suite.name == f"x{texts[0]}"
    assert list(told["columns"]) == list(suite.columns) == [name]
    wanted = [{"column": name, "value_set": sorted(texts), "mostly": 0.99}] if kept and not suite.sensitive else []
    assert sets == again == wanted


# --- judgement -------------------------------------------------------------------------------------------------------


def made(connection: duckdb.DuckDBPyConnection, query: str, rows: int = 2000, name: str = "things") -> None:
    """A table of `rows` rows; `i` counts them from 0."""
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {query} FROM range({rows}) AS r(i)")


@pytest.mark.parametrize(
    ("value", "regex"),
    [
        ("format('AB-{:05d}', i)", "^AB-[0-9]{5}$"),
        ("format('tx_{}', i)", "^tx_[0-9]{1,6}$"),
        ("md5(i::VARCHAR)", "^[0-9a-f]{32}$"),
        ("left(md5(i::VARCHAR), 8) || '-' || right(md5(i::VARCHAR), 4)", "^[0-9a-f]{8}-[0-9a-f]{4}$"),
        ("chr((65 + i % 26)::INT) || (i // 26 % 10) || '.' || (i // 260)", r"^[A-Z][0-9]\.[0-9]$"),
        ("(DATE '2020-01-01' + i::INT)::VARCHAR", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        ("format('[{:04d}]$^|(a)', i)", r"^\[[0-9]{4}\]\$\^\|\(a\)$"),
    ],
)
def test_codes_get_a_pattern(connection: duckdb.DuckDBPyConnection, value: str, regex: str) -> None:
    """Classes of characters, in place or by lengths; signs are escaped for RE2 and PostgreSQL."""
    made(connection, f"{value} AS code")
    found = rules(connection, "things")["column_values_to_match_regex: code"]["regex"]
    assert found == regex
    assert connection.execute("SELECT bool_and(regexp_matches(code, $1)) FROM things", [found]).fetchall() == [(True,)]


@pytest.mark.parametrize(
    "value",
    [
        "chr((65 + i % 26)::INT) || repeat('x', (i // 26)::INT)",
        "'Straße ' || i",
        "i || CASE WHEN i % 2 = 0 THEN '-' ELSE '/' END",
        "(TIMESTAMP '2026-01-01' + to_milliseconds(i * 500))::VARCHAR",
        "lpad(i::VARCHAR, 1200, '0')",
    ],
)
def test_other_text_gets_lengths(connection: duckdb.DuckDBPyConnection, value: str) -> None:
    """Words, accents and changing signs have no pattern; how long they are is all that is asked."""
    made(connection, f"{value} AS said")
    found = rules(connection, "things")
    assert "column_value_lengths_to_be_between: said" in found
    assert not [name for name in found if "regex" in name]


def test_a_pattern_is_proven_on_every_row(connection: duckdb.DuckDBPyConnection) -> None:
    """One exception among many rows, which no sample shows, is enough to leave the pattern out."""
    made(connection, "CASE WHEN i = 12345 THEN 'none' ELSE format('AB-{:06d}', i) END AS code", rows=100_000)
    found = rules(connection, "things")
    assert "column_values_to_match_regex: code" not in found
    assert found["column_value_lengths_to_be_between: code"] == {"column": "code", "min_value": 1, "max_value": 18}


def test_identifiers_have_no_limit_but_zero(connection: duckdb.DuckDBPyConnection) -> None:
    """A column of ids will grow; one that is not called so is known by its whole numbers without gaps."""
    made(connection, "i AS row_id, i % 1500 AS customer, i * i AS area, i % 1500 - 20 AS shifted_id")
    found = rules(connection, "things")
    assert found["column_values_to_be_between: row_id"] == {"column": "row_id", "min_value": 0}
    assert found["column_values_to_be_between: customer"] == {"column": "customer", "min_value": 0}
    assert found["column_values_to_be_between: area"] == {"column": "area", "min_value": 0, "max_value": 8_000_000}
    assert "column_values_to_be_between: shifted_id" not in found


def test_what_is_known_to_identify_gets_no_limits_and_what_is_known_later_may_be_null(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """New cards and shops are right, whatever they are called; a label may come later than its row."""
    made(connection, "5000 + i % 700 AS cc_num, 'shop ' || (i % 20) AS merchant, (i % 9 = 0)::INT AS fraud", 8000)
    text = draft(connection, [Batch("things", "things")], dataset="t", ids=["cc_num", "merchant"], late=["fraud"])
    found = {rule.name: dict(rule.arguments) for rule in parse_suite(text).rules}
    assert found["column_values_to_be_between: cc_num"] == {"column": "cc_num", "min_value": 0}
    assert "column_quantile_values_to_be_between: cc_num" not in found
    assert "shop" not in text
    assert "column_values_to_not_be_null: cc_num" in found
    assert "column_values_to_not_be_null: fraud" not in found


def test_the_key_is_called_so(connection: duckdb.DuckDBPyConnection) -> None:
    """Of the columns that identify a row the one named like it; unique floats, times and gappy ids do not."""
    made(connection, "i * 1.5::DOUBLE AS x, TIMESTAMP '2020-01-01' + to_hours(i) AS ts, i AS position, i + 7 AS tx_id")
    suite = parse_suite(drafted(connection, "things"))
    assert suite.key == ("tx_id",)
    unique = [rule.columns for rule in suite.rules if rule.type == "expect_column_values_to_be_unique"]
    assert unique == [("position",), ("tx_id",)]
    made(connection, "nullif(i, 3) AS id, i // 2 AS half_id")
    assert parse_suite(drafted(connection, "things")).key == ()


def test_numbers_are_given_room(connection: duckdb.DuckDBPyConnection) -> None:
    """Limits lie beyond what was seen, by more where there is a long tail; zero stays a limit; whole stays whole."""
    made(
        connection,
        "i / 20 AS even, i // 20 AS count, -i / 7 AS debt, CASE WHEN i = 5 THEN 5000 ELSE i / 20 END AS tail",
    )
    found = rules(connection, "things")
    limits = {name: tuple(of.values())[1:] for name, of in found.items() if name.startswith("column_values_to_be_b")}
    assert limits == {
        "column_values_to_be_between: even": (0, 200),
        "column_values_to_be_between: count": (0, 200),
        "column_values_to_be_between: debt": (-580, 0),
        "column_values_to_be_between: tail": (0, 20_000),
    }
    assert isinstance(found["column_values_to_be_between: count"]["max_value"], int)


def test_many_batches_are_given_less_room(connection: duckdb.DuckDBPyConnection) -> None:
    """Four batches that agree are widened by half as much as one, and every one of them counts."""
    for number in range(4):
        made(connection, f"100 + {number} + i / 20 AS amount", name=f"batch_{number}")
    one = rules(connection, "batch_0")
    four = rules(connection, "batch_0", "batch_1", "batch_2", "batch_3")
    assert one["column_values_to_be_between: amount"] == {"column": "amount", "min_value": 0, "max_value": 300}
    assert four["column_values_to_be_between: amount"] == {"column": "amount", "min_value": 48, "max_value": 260}
    bands = [
        of["column_quantile_values_to_be_between: amount"]["quantile_ranges"]["value_ranges"] for of in (one, four)
    ]
    assert bands[0][1][1] == 320
    assert bands[1][1][1] == 250


def test_a_rule_holds_on_each_batch_or_is_not_drafted(connection: duckdb.DuckDBPyConnection) -> None:
    """What one batch breaks is no rule: nulls, duplicates, another code, a NaN."""
    query = "i AS id, i AS ref, format('A{:04d}', i) AS code, i / 7 AS amount"
    made(connection, query)
    other = "i AS id, greatest(i, 1) AS ref, format('a{:04d}', i) AS code, "
    other += "CASE WHEN i > 2 THEN i / 7 ELSE 'nan' END AS amount"
    made(connection, other, name="others")
    first, both = rules(connection, "things"), rules(connection, "things", "others")
    gone = {"column_values_to_be_unique: ref", "column_quantile_values_to_be_between: amount"}
    assert first.keys() - both.keys() == gone
    assert both["column_values_to_match_regex: code"]["regex"] == "^[A-Za-z][0-9]{4}$"
    assert both["column_values_to_be_between: amount"]["mostly"] == 0.99


def test_nulls_are_judged_by_their_share(connection: duckdb.DuckDBPyConnection) -> None:
    """Never null sets aside, rarely null warns, often or always null is a remark."""
    made(
        connection,
        "i / 7 AS a, CASE WHEN i > 20 THEN i / 7 END AS b, CASE WHEN i > 899 THEN 1.5 END AS c, NULL::INT AS d",
    )
    text = drafted(connection, "things")
    found = {rule.name: rule for rule in parse_suite(text).rules}
    assert found["column_values_to_not_be_null: a"].quarantine
    assert dict(found["column_values_to_not_be_null: b"].arguments) == {"column": "b", "mostly": 0.97}
    assert found["column_values_to_not_be_null: b"].severity == "warning"
    assert "  # c: up to 45.0% of a batch is null: no rule about that" in text
    assert "  # d: always null: no rule" in text


def test_times_have_limits(connection: duckdb.DuckDBPyConnection) -> None:
    """The event's own time must be fresh, by the days between rows; the future is forbidden where it was not seen."""
    week = "TIMESTAMP '2026-01-05' + to_days((i % 8 * 7 + (i % 8 = 3)::INT)::INT)"
    made(
        connection,
        f"{week} AS imported, {week} AS created_at, {week} AS due_date, {week} + INTERVAL 99 YEAR AS planned",
    )
    text = drafted(connection, "things")
    times = {name: of for name, of in rules(connection, "things").items() if "between" in name and "column" in of}
    assert times == {
        "column_values_to_be_between: imported": {"column": "imported", "max_value": "{{ day + 1d }}"},
        "column_values_to_be_between: created_at": {"column": "created_at", "max_value": "{{ day + 1d }}"},
        "column_max_to_be_between: created_at": {"column": "created_at", "min_value": "{{ as_of - 9d }}"},
    }
    assert "# due_date: 2026-01-05 to 2026-02-23 seen; by its name it may lie in the future" in text
    assert "# planned: 2125-01-05 to 2125-02-23 seen, later than today too" in text


def test_values_of_people_stay_out(connection: duckdb.DuckDBPyConnection) -> None:
    """No value that is rare, one of many, or of a column that sounds personal stands in a suite or its comments."""
    made(
        connection,
        "'secret-' || i % 5 AS home_address, 876543 - i AS phone, DATE '1943-01-01' + i::INT AS birth_date, "
        "'secret ' || md5(i::VARCHAR) AS note, "
        "CASE WHEN i < 3 THEN 'secret' ELSE 'shown-' || i % 5 END AS plan",
    )
    text = drafted(connection, "things")
    assert "secret" not in text.replace("secret [0-9a-f]{32}", "")
    assert not re.search("87[0-9]|194[0-9]", text)
    assert "shown-4" in text
    assert "5 values seen (1 rare ones are not listed)" in text
    assert parse_suite(text).sensitive == {"home_address", "phone", "birth_date"}


def test_numbers_are_written_for_every_reader(connection: duckdb.DuckDBPyConnection) -> None:
    """Very small and very large numbers are numbers to readers of YAML 1.1 too."""
    made(connection, "i * 1e-9 AS tiny, i * 1e200 AS large, i * 0.001 AS small")
    found = old_yaml(drafted(connection, "things"))["expectations"]
    bounds = [
        of["max_value"]
        for rule in found
        for of in rule.values()
        if isinstance(of, dict) and "column" in of and "max_value" in of
    ]
    assert bounds == [4e-06, 4e203, 4]


def test_batches_must_be_alike(connection: duckdb.DuckDBPyConnection) -> None:
    """Another column or type, no rows and no batch are told with names."""
    made(connection, "i AS a, i AS b", name="one")
    made(connection, "i AS a, i AS b, i AS c", name="more")
    made(connection, "i::VARCHAR AS a, i AS b", name="other")
    made(connection, "i AS a, i AS b", rows=0, name="empty")
    for names, said in (
        (("one", "more"), "more has a column 'c', one has not"),
        (("more", "one"), "more has a column 'c', one has not"),
        (("one", "other"), "'a' is BIGINT in one and VARCHAR in other"),
        (("one", "empty"), "empty has no rows"),
        ((), "no batch"),
    ):
        with pytest.raises(DataError, match=said):
            drafted(connection, *names)


def test_a_batch_may_be_called_anything(connection: duckdb.DuckDBPyConnection) -> None:
    """Batches are named in a comment; a name with line breaks and signs that YAML forbids does no harm."""
    made(connection, "i AS id")
    names = ["a\nb: c", "d\x07", "e\u2028- f", "x" * 300, "g", "h"]
    text = draft(connection, [Batch(name, "things") for name in names], dataset="things")
    assert text.startswith("# Drafted from 6 batches (a b: c, d , e - f,")
    assert parse_suite(text).key == ("id",)

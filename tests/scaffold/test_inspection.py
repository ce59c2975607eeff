"""What is said of a stranger's table, and the suite that is drafted of it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import DataError, ParameterError
from ostinato.integrations.gx_validator import judged, on_duckdb
from ostinato.samples import transactions
from ostinato.scaffold.inspection import SAMPLE, Inspection, inspect
from ostinato.scaffold.rules import with_needs
from ostinato.suites.filling import filled
from ostinato.suites.naming import named
from ostinato.suites.reading import parse_suite
from ostinato.suites.suite import Suite
from ostinato.suites.usual import INTERACTIONS, TRANSACTIONS
from ostinato.tables import quote
from scaffold.wanted import FRAUD

TODAY = dt.datetime.now(dt.UTC).date()

# A table of payments: a fraud in fifty rows, a row an hour.
PAYMENTS = """
    SELECT i AS tx_id, TIMESTAMP '2026-01-01' + to_hours(i) AS ts, hash(i * 3) % 90 AS card_id,
           hash(i * 5) % 70 AS terminal_id, hash(i * 7) % 9000 / 100.0 AS amount, (i % 50 = 0)::INT AS is_fraud"""


def looked_at(source: Path | str, wanted: dict[str, str | None] = FRAUD, **options: Any) -> Inspection:
    return inspect(str(source), wanted, dataset="things", **options)


def written(place: Path, query: str) -> Path:
    """A Parquet file of a query's rows."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet)")
    return place


def payments(folder: Path, *columns: str, rows: int = 3_000) -> Path:
    """The table of payments; `columns` are SQL beside, or instead of, its own."""
    own = {column.split(" AS ")[1]: column for column in columns}
    kept = [part for part in ("tx_id", "ts", "card_id", "terminal_id", "amount", "is_fraud") if part not in own]
    others = ", ".join([*kept, *own.values()])
    return written(folder / "payments.parquet", f"SELECT {others} FROM ({PAYMENTS}, i FROM range({rows}) AS r(i))")


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sample") / "payments.parquet"
    transactions.write(place, rows=20_000, seed=3, days=60)
    return place


def test_the_projects_own_sample_is_understood(sample: Path) -> None:
    """Every role is found, with reasons; rows, days and positives are counted; nothing is amiss."""
    seen = looked_at(sample, usual=TRANSACTIONS, needs_days=30)
    assert seen.columns == {**FRAUD, "label_time": "fraud_reported_at"}
    assert (seen.rows, seen.missing, seen.warnings) == (20_000, (), ())
    assert seen.found[:2] == ("20,000 rows, 11 columns.", "id: tx_id, by its name, and each value is there once.")
    assert "ts: 2026-01-01 to 2026-03-01, 60 days, each with rows." in seen.found
    assert any(said.startswith("is_fraud: ") and "of 20,000 rows are positive" in said for said in seen.found)
    assert seen.names[:3] == ("tx_id", "ts", "card_id")


def test_roles_that_nothing_fits_are_missing(tmp_path: Path) -> None:
    """One that may be absent is not; one that must be filled is, and has no column."""
    seen = looked_at(written(tmp_path / "one.parquet", "SELECT i % 2 AS is_fraud FROM range(200) AS r(i)"))
    assert seen.missing == ("id", "time", "card", "terminal", "amount")
    assert [role for role, name in seen.columns.items() if name] == ["label"]
    assert seen.found[0] == "200 rows, 1 column."


def test_what_a_person_names_wins(sample: Path) -> None:
    """Named columns are taken as they are, and serve no other role."""
    seen = looked_at(sample, chosen={"card": "terminal_id", "label_time": None})
    assert seen.columns["card"] == "terminal_id"
    assert seen.columns["label_time"] is None
    assert seen.missing == ("terminal",)
    assert "card: terminal_id, as it was named." in seen.found


WRONG = {
    "a slip": ({"card": "cart_id"}, "columns.card='cart_id'.* Did you mean 'card_id'"),
    "no such role": ({"cart": "card_id"}, "no column for 'cart'.* Did you mean 'card'"),
    "one for two": ({"card": "card_id", "terminal": "card_id"}, "'card_id' is named for two roles"),
}


@pytest.mark.parametrize(("chosen", "said"), WRONG.values(), ids=WRONG)
def test_a_slip_in_a_name_is_told_with_the_nearest(sample: Path, chosen: dict[str, str], said: str) -> None:
    """Columns and roles that do not exist stop the inspection."""
    with pytest.raises(ParameterError, match=said):
        looked_at(sample, chosen=chosen)


def test_features_are_the_other_columns_that_a_model_may_see(tmp_path: Path) -> None:
    """No ids, no times, nothing that tells the label; those a person names are taken as they are."""
    table = payments(tmp_path, "is_fraud = 1 AS refunded", "['a', 'b'][1 + i % 2] AS channel")
    wanted = {"id": "tx_id", "time": "ts", "label": "is_fraud", "features": None}
    assert looked_at(table, wanted).columns["features"] == ["amount", "channel"]
    for given_ in ("channel, card_id", ["channel", "card_id"]):
        assert looked_at(table, wanted, chosen={"features": given_}).columns["features"] == ["channel", "card_id"]
    with pytest.raises(ParameterError, match=r"features='chanel'.*Did you mean 'channel'"):
        looked_at(table, wanted, chosen={"features": ["chanel"]})


# --- what is amiss ---------------------------------------------------------------------------------------------------

LEAKS = {
    "a flag": ("(is_fraud = 1 AND i % 100 < 99)::INT AS flag", "flag alone tells is_fraud (AUC "),
    "a text": ("CASE WHEN is_fraud = 1 THEN 'B' ELSE 'A' || i % 3 END AS state", "state alone tells"),
    "a number": ("CASE WHEN is_fraud = 1 THEN -9.5 - i ELSE i END AS balance", "balance alone tells"),
    "being filled": ("CASE WHEN is_fraud = 1 THEN 'x' || i END AS note", "whether note is filled alone tells"),
    "being empty": ("CASE WHEN is_fraud = 0 THEN i END AS settled", "whether settled is filled alone tells"),
    "a later time": ("ts + to_days(is_fraud * 9) AS closed", "closed alone tells"),
    "a later time as text": ("(ts + to_days(is_fraud * 9))::VARCHAR AS closed", "closed alone tells"),
}


@pytest.mark.parametrize(("column", "said"), LEAKS.values(), ids=LEAKS)
def test_what_alone_tells_the_label_is_a_leak(tmp_path: Path, column: str, said: str) -> None:
    """Values, gaps and times that only frauds have: one sentence, with how well it tells and no value of a row."""
    seen = looked_at(payments(tmp_path, column))
    assert [said in warning for warning in seen.warnings] == [True]
    assert seen.warnings[0].endswith("): is it known when a row is judged?")


HONEST = {
    "weak signs": "amount + 50 * is_fraud AS second_amount",
    "codes of their own": "md5(i::VARCHAR) AS remark",
    "few rows a value": "'v' || i // 9 AS batch",
    "gaps by chance": "CASE WHEN hash(i) % 3 = 0 THEN i END AS discount",
    "nothing at all": "NULL::INT AS nothing",
    "lists": "[is_fraud] AS parts",
    "not a number": "'nan'::DOUBLE AS odd",
}


@pytest.mark.parametrize("column", HONEST.values(), ids=HONEST)
def test_honest_columns_are_no_leaks(tmp_path: Path, column: str) -> None:
    """Neither weak signs nor chance, nor what cannot be ranked, raises the alarm."""
    assert looked_at(payments(tmp_path, column)).warnings == ()


def test_a_handful_of_positives_proves_no_leak(tmp_path: Path) -> None:
    """With nine of them chance alone may rank a column; that they are few is what is said."""
    seen = looked_at(payments(tmp_path, "(i < 9)::INT AS is_fraud", "(i < 9)::INT AS flag", "i < 9 AS truth"))
    assert seen.warnings == ("is_fraud: only 9 of 3,000 rows are positive; below 50 nothing can be judged.",)


LABELS = {
    "none": ("0 AS is_fraud", "no row is positive"),
    "most": ("(i % 50 > 0)::INT AS is_fraud", "98.0% of the rows are positive"),
    "neither": (
        "CASE WHEN i % 50 < 2 THEN 1 WHEN i < 6 THEN 7 ELSE 0 END AS is_fraud",
        "4 of 3,000 labels are neither",
    ),
    "missing": ("CASE WHEN i > 4 THEN (i % 50 = 5)::INT END AS is_fraud", "(label) is missing in 5 of 3,000 rows"),
    "words": ("CASE WHEN i % 50 = 0 THEN 'yes' ELSE 'no' END AS is_fraud", "3,000 of 3,000 labels are neither"),
}


@pytest.mark.parametrize(("column", "said"), LABELS.values(), ids=LABELS)
def test_labels_that_cannot_be_learned_are_told(tmp_path: Path, column: str, said: str) -> None:
    """Too few positives, too many, values that are no label, none at all."""
    seen = looked_at(payments(tmp_path, column), chosen={"label": "is_fraud"})
    assert any(said in warning for warning in seen.warnings)


def test_labels_may_be_true_and_false(tmp_path: Path) -> None:
    """As counted as 0 and 1 are."""
    seen = looked_at(payments(tmp_path, "i % 50 = 0 AS is_fraud"))
    assert "is_fraud: 60 of 3,000 rows are positive (2 %)." in seen.found
    assert seen.warnings == ()


TIMES = {
    "too short": ("TIMESTAMP '2026-01-01' + to_minutes(i) AS ts", "ts: 3 days are too few", "2026-01-01 to 2026-01-03"),
    "patchy": (
        "TIMESTAMP '2026-01-01' + to_hours(CASE WHEN i < 900 THEN i ELSE i + 500 END) AS ts",
        "ts: no rows between 2026-02-07 and 2026-02-28",
        "20 of them without rows",
    ),
    "in the future": (
        "TIMESTAMP '2026-01-01' + to_hours(CASE WHEN i < 9 THEN 99999 ELSE i END) AS ts",
        "ts: 9 rows lie in the future",
        "125 days, each with rows",
    ),
    "unreadable": (
        "CASE WHEN i % 300 = 7 THEN 'soon' ELSE (TIMESTAMP '2026-01-01' + to_hours(i))::VARCHAR END AS ts",
        "ts: 10 of 3,000 values cannot be read as times",
        "125 days",
    ),
    "counted from elsewhere": ("7200 * i AS ts", "ts reads as 1970-01-01 to 1970-09-07", "250 days"),
    "of no calendar": (
        "CASE WHEN i < 5 THEN TIMESTAMP '290000-01-01' ELSE TIMESTAMP '2026-01-01' + to_hours(i) END AS ts",
        "ts: 5 rows lie in the future",
        "125 days",
    ),
    "missing": (
        "CASE WHEN i > 4 THEN TIMESTAMP '2026-01-01' + to_hours(i) END AS ts",
        "ts (time) is missing in 5 of 3,000 rows",
        "125 days",
    ),
}


@pytest.mark.parametrize(("column", "warned", "found"), TIMES.values(), ids=TIMES)
def test_times_that_do_not_suffice_are_told(tmp_path: Path, column: str, warned: str, found: str) -> None:
    """Which days there are is found; what is amiss with them is one warning each."""
    seen = looked_at(payments(tmp_path, column), needs_days=30)
    assert [warned in warning for warning in seen.warnings] == [True]
    assert any(found in said for said in seen.found)


def test_ids_that_come_twice_are_told(tmp_path: Path) -> None:
    """With how many rows repeat one."""
    seen = looked_at(payments(tmp_path, "greatest(i, 9) AS tx_id"))
    assert seen.warnings == ("tx_id: 9 of 3,000 rows repeat an id; the pipeline sets such rows aside.",)


def test_a_time_before_the_event_is_no_time_of_the_label(tmp_path: Path) -> None:
    """A report follows what it reports; what comes before is another time."""
    later = looked_at(payments(tmp_path, "ts + to_days(2) AS confirmed_at"))
    earlier = looked_at(payments(tmp_path, "ts - to_days(2) AS confirmed_at"))
    assert (later.columns["label_time"], earlier.columns["label_time"]) == ("confirmed_at", None)


# --- large tables ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples long, with ninety frauds, of which one column knows, and ids of which some come twice."""
    rows, place = 3 * SAMPLE, tmp_path_factory.mktemp("large") / "payments.parquet"
    others = "TIMESTAMP '2026-01-01' + to_seconds(10 * i) AS ts, (i % 6666 = 0)::INT AS is_fraud"
    leak = "CASE WHEN i % 6666 = 0 AND i > 0 THEN 1 END AS case_number"
    query = f"SELECT * REPLACE ({others}, i // 10 * 10 + least(i % 10, 8) AS tx_id), {leak} FROM "
    return written(place, f"{query}({PAYMENTS}, i FROM range({rows}) AS r(i))")


@pytest.fixture(scope="module")
def seen_large(large: Path) -> Inspection:
    return looked_at(large, usual=TRANSACTIONS, needs_days=30)


def test_a_large_table_is_counted_whole_and_looked_at_in_part(seen_large: Inspection) -> None:
    """Rows, days and positives are those of the table, and it is said how many rows the rest comes from."""
    assert seen_large.rows == 3 * SAMPLE
    assert "rows from all over the table were looked at closely, the others counted." in seen_large.found[0]
    assert "is_fraud: 91 of 600,000 rows are positive (0.015 %)." in seen_large.found
    assert "ts: 2026-01-01 to 2026-03-11, 70 days, each with rows." in seen_large.found
    assert "looked at closely" in seen_large.suite.splitlines()[0]


def test_rare_positives_are_fetched_from_all_over_a_large_table(seen_large: Inspection) -> None:
    """The sample alone has too few to tell a leak by."""
    assert any("whether case_number is filled alone tells is_fraud (AUC 0.99" in of for of in seen_large.warnings)


def test_duplicates_in_a_large_table_are_found_by_looking_at_some_ids_whole(seen_large: Inspection) -> None:
    """A tenth of the rows repeats the id before; of some ids all rows are counted."""
    (said,) = [warning for warning in seen_large.warnings if "repeat an id" in warning]
    rows, of = (int(part.replace(",", "")) for part in said.split(": ")[1].split(" rows")[0].split(" of "))
    assert 0.09 < rows / of < 0.11


def test_the_same_large_table_gives_the_same_suite(large: Path, seen_large: Inspection) -> None:
    """Which rows are looked at is no matter of chance."""
    again = looked_at(large, usual=TRANSACTIONS, needs_days=30)
    assert again == seen_large


def test_a_suite_of_a_sample_knows_how_many_rows_there_are(large: Path) -> None:
    """The limits are those of the table, not of the rows looked at."""
    (rule,) = [
        rule
        for rule in parse_suite(looked_at(large).suite).rules
        if rule.type == "expect_table_row_count_to_be_between"
    ]
    assert (rule.arguments["min_value"], rule.arguments["max_value"]) == (300_000, 1_200_000)


# --- where tables come from ------------------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, str]:
    """The same payments as CSV, in a DuckDB file and in SQLite."""
    table = payments(tmp_path)
    with duckdb.connect(str(tmp_path / "payments.duckdb")) as connection:
        connection.execute(f"CREATE TABLE payments AS FROM '{table}'")
        connection.execute(f"COPY payments TO '{tmp_path}/payments.csv'")
        rows = connection.execute("SELECT * REPLACE (ts::VARCHAR AS ts) FROM payments").fetchall()
    with sqlite3.connect(tmp_path / "payments.sqlite") as database:
        database.execute(
            "CREATE TABLE payments (tx_id INT, ts, card_id INT, terminal_id INT, amount REAL, is_fraud INT)"
        )
        database.executemany("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.close()
    return {kind: str(tmp_path / f"payments.{kind}") for kind in ("parquet", "csv", "duckdb", "sqlite")}


def test_every_kind_of_source_tells_the_same(sources: dict[str, str]) -> None:
    """Files and databases of the same rows have the same columns, days and positives."""
    seen = {kind: looked_at(source) for kind, source in sources.items()}
    assert seen["parquet"].warnings == ()
    assert {kind for kind, one in seen.items() if one.found == seen["parquet"].found} == set(sources)
    assert {kind for kind, one in seen.items() if one.columns == seen["parquet"].columns} == set(sources)


def test_nothing_is_left_behind(sources: dict[str, str], home: Path) -> None:
    """The copy of a CSV file goes with the inspection."""
    looked_at(sources["csv"])
    assert [path for path in home.rglob("*") if path.is_file()] == []


BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("empty.csv", b"", "has no rows"),
    "only a head": ("head.csv", b"tx_id,is_fraud\n", "has no rows"),
    "a broken line": ("late.csv", b"a,b\n" + b"1,2\n" * 30_000 + b"x,y,z\n", "cannot be read"),
    "no Parquet": ("torn.parquet", b"PAR1 and no more", "cannot be read"),
    "something else": ("table.xlsx", b"PK\x03\x04", "neither Parquet, CSV"),
}


@pytest.mark.parametrize(("name", "content", "said"), BAD.values(), ids=BAD)
def test_what_is_no_table_is_refused_with_a_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """And the sentence names the file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.*{said}"):
        looked_at(tmp_path / name)


def test_a_source_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    """The nearest name in the folder."""
    payments(tmp_path)
    with pytest.raises(DataError, match=r"no file or folder .*Did you mean 'payments\.parquet'"):
        looked_at(tmp_path / "payment.parquet")


@settings(max_examples=20)
@given(content=st.binary(max_size=2_000))
def test_junk_called_csv_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any bytes: an inspection or a sentence, never a stack of another library's."""
    place = tmp_path_factory.mktemp("junk") / "junk.csv"
    place.write_bytes(content)
    try:
        parse_suite(looked_at(place, usual=TRANSACTIONS).suite)
    except DataError as error:
        said = str(error)
    else:
        said = "junk.csv"
    assert "junk.csv" in said


def test_a_database_of_several_tables_needs_a_query(tmp_path: Path) -> None:
    """Without one the error lists them and says what to write; with one its rows are looked at."""
    place = tmp_path / "bank.duckdb"
    with duckdb.connect(str(place)) as connection:
        connection.execute(f"CREATE TABLE payments AS {PAYMENTS} FROM range(3000) AS r(i)")
        connection.execute("CREATE TABLE cards AS SELECT 1 AS card_id")
    with pytest.raises(DataError, match=r"2 tables .*'main\.payments'.*with a query"):
        looked_at(place)
    assert looked_at(place, query="SELECT * FROM payments WHERE tx_id < 2900;").rows == 2_900


# --- the suite -------------------------------------------------------------------------------------------------------


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"preserve_insertion_order": False}) as made:
        made.execute("SET TimeZone = 'UTC'")
        yield made


def broken(connection: duckdb.DuckDBPyConnection, suite: Suite, table: str) -> dict[str, str]:
    """The rules that a table does not pass, as Great Expectations judges."""
    schema = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    moments = {"as_of": dt.datetime(2026, 3, 2), "day": dt.datetime.combine(TODAY, dt.time()), "last.rows": 20_000}
    ready = [filled(rule, moments, schema) for rule in suite.rules]
    results = on_duckdb(connection, table, ready)
    found = {rule.name: judged(rule, raw).outcome for rule, raw in zip(ready, results, strict=True)}
    return {name: outcome for name, outcome in found.items() if outcome != "pass"}


@pytest.mark.parametrize("label", ["is_fraud", "is_fraud = 1 AS is_fraud"])
def test_a_table_meets_the_suite_drafted_from_it(
    connection: duckdb.DuckDBPyConnection, sample: Path, tmp_path: Path, label: str
) -> None:
    """Drafted rules and what the pipeline needs besides hold on the very table; its id is the key."""
    connection.execute(f"CREATE TABLE good AS SELECT * EXCLUDE (is_fraud), {label} FROM '{sample}'")
    connection.execute(f"COPY good TO '{tmp_path}/good.parquet'")
    suite = parse_suite(looked_at(tmp_path / "good.parquet", usual=TRANSACTIONS).suite)
    assert suite.key == ("tx_id",)
    assert broken(connection, suite, "good") == {}


def test_a_suite_holds_each_rule_of_the_pipeline_once(sample: Path) -> None:
    """Where the draft has a rule as strict it stands alone; by rows before, not by today's, their number is judged."""
    rules = parse_suite(looked_at(sample, usual=TRANSACTIONS).suite).rules
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.endswith("(2)")]
    (rows,) = [rule for rule in rules if rule.type == "expect_table_row_count_to_be_between"]
    assert rows.arguments["max_value"] == "{{ last.rows * 2 }}"


def test_interactions_get_the_rules_of_interactions(tmp_path: Path) -> None:
    """Those in SQL too, with the table's own names, and the limit of what may be set aside."""
    table = written(
        tmp_path / "views.parquet",
        'SELECT hash(i) % 50 AS "User ID", hash(i * 3) % 40 AS item, '
        "TIMESTAMP '2026-01-01' + to_hours(i) AS seen_time FROM range(2000) AS r(i)",
    )
    wanted = {"user": "user_id", "item": "item_id", "time": "ts", "weight": None}
    suite = looked_at(table, wanted, usual=lambda columns: named(INTERACTIONS, {**columns, "most_a_day": 1000})).suite
    assert 'PARTITION BY "User ID", "item", "seen_time" ORDER BY "seen_time" DESC' in suite
    assert parse_suite(suite).max_quarantine == 0.05
    assert "nobody has more than 1,000 interactions a day" in [rule.name for rule in parse_suite(suite).rules]


WEAKER = {
    "only mostly": "  - column_values_to_not_be_null: {column: a, mostly: 0.9}\n    on_fail: quarantine",
    "only a warning": "  - column_values_to_not_be_null: a\n    severity: warning",
    "another column": "  - column_values_to_not_be_null: b\n    on_fail: quarantine",
    "another rule": "  - column_values_to_be_null: a\n    on_fail: quarantine",
}


@pytest.mark.parametrize("rule", WEAKER.values(), ids=WEAKER)
def test_a_weaker_rule_of_the_draft_does_not_stand_for_the_pipelines(rule: str) -> None:
    """What the pipeline needs is written out beside it."""
    needs = {"expectations": [{"column_values_to_not_be_null": ["a"], "on_fail": "quarantine"}]}
    text = with_needs(f"dataset: x\nexpectations:\n{rule}\n", needs, ["a", "b"])
    assert text.endswith("  - column_values_to_not_be_null: a\n    on_fail: quarantine\n")
    assert text.count("  - ") == 2


@pytest.mark.parametrize(("most", "rules"), [(50, 1), (100, 1), (500, 2)])
def test_limits_that_are_as_strict_stand_for_the_pipelines(most: int, rules: int) -> None:
    """A narrower range will do, a wider one will not."""
    drafted = (
        f"  - column_values_to_be_between: {{column: a, min_value: 0, max_value: {most}}}\n    on_fail: quarantine"
    )
    needs = {
        "expectations": [
            {"column_values_to_be_between": {"column": "a", "min_value": 0, "max_value": 100}, "on_fail": "quarantine"}
        ]
    }
    text = with_needs(f"dataset: x\nexpectations:\n{drafted}\n", needs, ["a"])
    assert text.count("  - ") == rules


def test_needs_of_columns_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    """A table without roles has a suite all the same."""
    table = written(tmp_path / "other.parquet", "SELECT i % 3 AS x FROM range(100) AS r(i)")
    seen = looked_at(table, usual=TRANSACTIONS)
    assert "{" + "id" + "}" not in seen.suite
    assert parse_suite(seen.suite).key == ()


def test_a_suite_says_nothing_of_where_the_table_lies(tmp_path: Path) -> None:
    """A project goes to other machines."""
    assert str(tmp_path) not in looked_at(payments(tmp_path)).suite


def test_a_table_of_too_much_width_gets_a_suite_that_can_be_read(tmp_path: Path) -> None:
    """Where rules for all columns would be too long a text, only those with a role have rules."""
    columns = ", ".join(f"i > 5 AS {'c' * 900}{number}" for number in range(350))
    table = written(tmp_path / "wide.parquet", f"{PAYMENTS}, {columns} FROM range(100) AS r(i)")
    suite = looked_at(table, usual=TRANSACTIONS).suite
    assert "The table has 356 columns, too many for one suite" in suite.splitlines()[0]
    assert set(parse_suite(suite).columns) == {"tx_id", "ts", "card_id", "terminal_id", "amount", "is_fraud"}


AWKWARD = st.one_of(
    st.sampled_from(
        [
            'a"b',
            "a'b",
            "new\nline",
            "{id}",
            "{{ day }}",
            "{batch}",
            "a: b",
            "- x",
            "# no",
            "é ü",
            "null",
            "yes",
            "1",
            " ",
            "\t",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30),
)


@settings(max_examples=25)
@given(names=st.lists(AWKWARD, min_size=6, max_size=6, unique_by=str.casefold))
def test_whatever_columns_are_called_the_suite_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    """Quotes, line breaks, braces, colons and other scripts in every role: well-formed YAML, sound rules."""
    place = tmp_path_factory.mktemp("awkward") / "table.parquet"
    start = dt.datetime(2026, 1, 1)
    values: list[list[Any]] = [
        list(range(200)),
        [start + dt.timedelta(hours=number) for number in range(200)],
        [f"c{number % 7}" for number in range(200)],
        [number % 9 for number in range(200)],
        [number * 1.5 for number in range(200)],
        [number % 3 == 0 for number in range(200)],
    ]
    pq.write_table(pa.table(dict(zip(names, values, strict=True))), place)
    with duckdb.connect() as connection:
        there = [row[0] for row in connection.execute(f"DESCRIBE FROM '{place}'").fetchall()]
    chosen = dict(zip(("id", "time", "card", "terminal", "amount", "label"), there, strict=True))
    seen = looked_at(place, chosen=chosen, usual=TRANSACTIONS)
    suite = parse_suite(seen.suite)
    assert suite.key == (there[0],)
    assert set(suite.columns) == set(there)
    assert [*seen.columns.values()][:6] == there
    assert all(quote(name) for name in seen.names)

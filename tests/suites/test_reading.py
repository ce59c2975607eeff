"""Reading suites: short YAML becomes rules, and all that is wrong with it is said at once, with lines."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ostinato.errors import ParameterError, UsageError
from ostinato.suites.reading import SuiteError, find_suite, parse_suite, read_suite
from ostinato.suites.suite import Rule, Suite

FULL = """\
version: 1
dataset: transactions
key: [transaction_id]
max_quarantine: 2%
sensitive: [card_id]
columns:
  transaction_id: integer
  amount: number
tables:
  terminals: terminals.parquet
expectations:
  - column_values_to_not_be_null: [card_id, amount]
  - column_values_to_be_between: {column: amount, min_value: 0, max_value: 10000, mostly: 0.999}
    severity: warning
    why: chargebacks are negative
  - column_values_to_be_in_set: {column: currency, value_set: [EUR, "NO", NO]}
    on_fail: quarantine
    name: known currency
  - foreign_key: {column: terminal_id, table: terminals}
  - rows: SELECT * FROM {batch} WHERE posted_at > {{ as_of }}
"""
MINIMAL: dict[str, Any] = {"expectations": [{"column_to_exist": "x"}]}


def rules(*entries: str) -> tuple[Rule, ...]:
    """The rules of entries written below each other."""
    return parse_suite("expectations:\n" + "".join(f"- {entry}\n" for entry in entries)).rules


def rule(entry: str) -> Rule:
    (only,) = rules(entry)
    return only


def refused(text: str) -> str:
    """What is said of a suite's whole text, in a file called s.yaml."""
    with pytest.raises(SuiteError) as caught:
        parse_suite(text, "s.yaml")
    return str(caught.value)


def refused_rule(entry: str, top: str = "") -> str:
    return refused(f"{top}expectations:\n- {entry}\n")


# --- what a suite says ------------------------------------------------------------------------------------------


def test_a_suite_says_what_a_table_must_be_like() -> None:
    """Every key, as it is meant."""
    suite = parse_suite(FULL, "suites/transactions.yaml")
    assert (suite.name, suite.key, suite.max_quarantine) == ("transactions", ("transaction_id",), 0.02)
    assert suite.columns == {"transaction_id": "integer", "amount": "number"}
    assert suite.tables == {"terminals": "suites/terminals.parquet"}
    assert suite.sensitive == {"card_id"}
    assert [(rule.name, rule.severity, rule.quarantine, rule.rows_judged, rule.line) for rule in suite.rules] == [
        ("column_values_to_not_be_null: card_id", "critical", False, True, 12),
        ("column_values_to_not_be_null: amount", "critical", False, True, 12),
        ("column_values_to_be_between: amount", "warning", False, True, 13),
        ("known currency", "critical", True, True, 16),
        ("foreign_key: terminal_id", "critical", False, True, 19),
        ("unexpected_rows_expectation: rows", "critical", False, True, 20),
    ]
    assert suite.rules[2].why == "chargebacks are negative"
    assert suite.rules[2].mostly == 0.999
    assert suite.rules[3].type == "expect_column_values_to_be_in_set"
    assert suite.rules[4].arguments == {"column": "terminal_id", "table": "terminals", "to": "terminal_id"}


def test_a_suite_needs_nothing_but_one_rule() -> None:
    """The rest has defaults; its name is the file's."""
    suite = parse_suite("expectations: [column_to_exist: x]", "a/shop.yaml")
    assert suite == Suite("shop", suite.rules, source="a/shop.yaml")
    assert parse_suite("expectations: [column_to_exist: x]").name == "table"


def test_a_mapping_reads_like_the_file() -> None:
    """The same rules, without lines."""
    given = YAML(typ="safe", pure=True).load(FULL)
    suite = read_suite(given)
    assert suite.digest == parse_suite(FULL).digest
    assert {rule.line for rule in suite.rules} == {None}
    assert given == YAML(typ="safe", pure=True).load(FULL)


def test_a_person_finds_a_rule_by_file_and_line() -> None:
    """`at` is what a log line begins with."""
    suite = parse_suite(FULL, "t.yaml")
    assert suite.at(suite.rules[3]) == "t.yaml:16: known currency"
    suite = read_suite(MINIMAL)
    assert suite.at(suite.rules[0]) == "column_to_exist: x"


@pytest.mark.parametrize(
    ("entry", "arguments"),
    [
        ("column_values_to_not_be_null: a", [{"column": "a"}]),
        ("column_values_to_not_be_null: [a, b]", [{"column": "a"}, {"column": "b"}]),
        ("column_values_to_not_be_null: {column: a}", [{"column": "a"}]),
        ("expect_column_values_to_not_be_null: a", [{"column": "a"}]),
        ("compound_columns_to_be_unique: [a, b]", [{"column_list": ["a", "b"]}]),
        ("table_columns_to_match_ordered_list: [a, b]", [{"column_list": ["a", "b"]}]),
        ("table_columns_to_match_set: [a, b]", [{"column_set": ["a", "b"]}]),
        ("table_row_count_to_equal: 5", [{"value": 5}]),
        ('table_row_count_to_equal: "{{ last.rows }}"', [{"value": "{{ last.rows }}"}]),
        ("table_row_count_to_equal_other_table: b", [{"other_table_name": "b"}]),
        ('rows: "FROM {batch}"', [{"unexpected_rows_query": "FROM {batch}"}]),
        ('rows: {unexpected_rows_query: "FROM {batch}"}', [{"unexpected_rows_query": "FROM {batch}"}]),
        ('unexpected_rows_expectation: "FROM {batch}"', [{"unexpected_rows_query": "FROM {batch}"}]),
    ],
)  # fmt: skip
def test_a_short_form_stands_for_the_long_one(entry: str, arguments: list[dict[str, Any]]) -> None:
    """A column, a list of columns, or the one value that is needed."""
    assert [dict(rule.arguments) for rule in rules(entry)] == arguments


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("column_values_to_be_in_set: a", "takes {column: …, value_set: …, mostly: …}, not 'a'"),
        ("column_values_to_not_be_null: 5", "takes {column: …, mostly: …}, not '5'"),
        ("column_values_to_not_be_null: [a, 5]", "takes {column: …, mostly: …}, not"),
        ("column_values_to_not_be_null:", "takes {column: …, mostly: …}, not 'None'"),
        ("column_values_to_not_be_null: []", "names no column"),
        ("column_values_to_match_regex: a", "takes {column: …, regex: …, mostly: …}, not 'a'"),
        ("compound_columns_to_be_unique: a", "column_list is 'a': 'a' is not of type 'array'"),
        ("multicolumn_sum_to_equal: [a]", "takes {column_list: …, sum_total: …"),
        ("table_columns_to_match_set:", "takes {column_set: …"),
        ("table_row_count_to_equal: [5]", "takes {value: …}"),
        ("table_row_count_to_be_between:", "needs min_value, max_value or both"),
        ("column_values_to_be_between: a", "needs min_value, max_value or both"),
        ("expect_column_values_to_be_between: {column: a, strict_min: true}", "needs min_value, max_value or both"),
        ("foreign_key: a", "foreign_key takes {column: …, table: …, to: …}, not 'a'"),
        ("foreign_key: {column: a}", "foreign_key takes {column: …"),
        ("foreign_key: {column: a, table: t, too: b}", "foreign_key takes {column: …"),
        ("foreign_key: {column: 5, table: t}", "foreign_key takes names"),
    ],
)
def test_a_short_form_that_says_too_little_is_refused(entry: str, said: str) -> None:
    """With what the expectation takes."""
    assert refused_rule(entry).startswith("s.yaml:2: ")
    assert said in refused_rule(entry)


def test_rules_that_are_called_alike_get_numbers() -> None:
    """A reason beside a row names one rule, whatever names were chosen."""
    found = rules("column_to_exist: x", "column_to_exist: x", 'column_to_exist: y\n  name: "column_to_exist: x (2)"')
    assert [rule.name for rule in found] == [
        "column_to_exist: x",
        "column_to_exist: x (2)",
        "column_to_exist: x (2) (2)",
    ]
    assert [rule.name for rule in rules("column_to_exist: [a, b]\n  name: n")] == ["n", "n (2)"]


@given(st.lists(st.sampled_from(["n", "n (2)", "n (3)", "n (2) (2)", "m"]), min_size=1, max_size=12))
def test_no_two_rules_have_one_name(names: list[str]) -> None:
    """Even where somebody numbers them by hand."""
    suite = read_suite({"expectations": [{"column_to_exist": "x", "name": name} for name in names]})
    assert len({rule.name for rule in suite.rules}) == len(names)


# --- values -----------------------------------------------------------------------------------------------------


def test_words_stay_words() -> None:
    """Norway is no boolean, a version no number, a time no count of seconds."""
    found = rule('column_values_to_be_in_set: {column: x, value_set: [NO, no, yes, off, 1.2.3, 12:30:45, "1", 010]}')
    assert found.arguments["value_set"] == ["NO", "no", "yes", "off", "1.2.3", "12:30:45", "1", 10]


def test_dates_become_iso_text() -> None:
    """Whoever wrote them: YAML, Python, quoted or not."""
    found = rule(
        "column_values_to_be_between: {column: 2026-01-01, min_value: 2026-03-01, max_value: 2026-03-01T10:30:00Z}"
    )
    assert found.arguments == {
        "column": "2026-01-01",
        "min_value": "2026-03-01",
        "max_value": "2026-03-01T10:30:00+00:00",
    }  # fmt: skip
    made = {"column": "x", "min_value": date(2026, 3, 1), "max_value": datetime(2026, 3, 1, 10, 30)}
    suite = read_suite({"expectations": [{"column_values_to_be_between": made}]})
    assert suite.rules[0].arguments == {"column": "x", "min_value": "2026-03-01", "max_value": "2026-03-01T10:30:00"}


def test_values_are_plain_python() -> None:
    """Nothing of the parser stays: anchors, tags, ways of writing numbers."""
    written = "{column: &c x, value_set: [0x1F, 1_000, 1e3, &t true, 'a', \"b\", !odd c]}"
    found = rule(f"column_values_to_be_in_set: {written}")
    assert [type(value) for value in found.arguments["value_set"]] == [int, int, float, bool, str, str, str]
    assert type(found.arguments["column"]) is str
    assert found.arguments["value_set"] == [31, 1000, 1000.0, True, "a", "b", "c"]


def test_numbers_of_other_libraries_are_numbers() -> None:
    """A mapping made by code may hold NumPy's."""
    import numpy

    made = {"column": "x", "min_value": numpy.int64(1), "max_value": numpy.float32(2)}
    found = read_suite({"expectations": [{"column_values_to_be_between": made}]}).rules[0]
    assert found.arguments == {"column": "x", "min_value": 1, "max_value": 2.0}
    assert {type(found.arguments[key]) for key in ("min_value", "max_value")} == {int, float}


@pytest.mark.parametrize("mostly", ["0.999", "1", "0", "0.123456789"])
def test_a_share_may_be_any(mostly: str) -> None:
    """Great Expectations steps by 0.01; one row in a thousand is a share too."""
    assert rule(f"column_values_to_not_be_null: {{column: x, mostly: {mostly}}}").mostly == float(mostly)


BETWEEN = "column_values_to_be_between: {column: x, max_value: 9, "


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (f"{BETWEEN}mostly: 2}}", "mostly is 2: 2 is greater than the maximum of 1"),
        (f'{BETWEEN}mostly: "0.9"}}', "mostly is '0.9': '0.9' is not of type 'number'"),
        (f"{BETWEEN}mostly: true}}", "mostly is True: True is not of type 'number'"),
        (f"{BETWEEN}mostly: .nan}}", "mostly is nan: numbers are finite"),
        (f"{BETWEEN}min_value: -.inf}}", "min_value is -inf: numbers are finite; leave a bound out where there"),
        (f"{BETWEEN}min_value: .nan}}", "min_value is nan: numbers are finite"),
        (f"{BETWEEN}min_value: 1e999}}", "min_value is inf: numbers are finite"),
        (f"{BETWEEN}min_value: null}}", "min_value is None: leave it out where there is none"),
        (f"{BETWEEN}min_value: true}}", "min_value is True: it is a number or a date or time such as 2026-03-01"),
        (f'{BETWEEN}min_value: "5"}}', "min_value is '5': it is a number or a date or time"),
        (f"{BETWEEN}min_value: abc}}", "min_value is 'abc': it is a number or a date or time"),
        (f'{BETWEEN}min_value: "20260301"}}', "it is a number or a date or time"),
        (f"{BETWEEN}min_value: []}}", "min_value is []: it is empty"),
        (f"{BETWEEN}min_value: 10}}", "min_value 10 is greater than max_value 9"),
        (f"{BETWEEN}strict_min: 1}}", "strict_min is 1: 1 is not of type 'boolean'"),
        (f"{BETWEEN}min_value: {{{{ as_of }}}}}}", 'a formula stands in quotes, as in "{{ as_of - 1d }}"'),
        (f'{BETWEEN}min_value: "{{{{ asof }}}}"}}', "unknown name 'asof' in '{{ asof }}'. Did you mean 'as_of'?"),
        (f'{BETWEEN}mostly: "{{{{ last.rows }}}}"}}', "a formula can only stand for max_value, min_value"),
        (f'{BETWEEN}row_condition: "{{{{ as_of }}}}"}}', "a formula can only stand for max_value, min_value"),
        ('column_to_exist: "{{ as_of }}"', "a formula can only stand for max_value, min_value"),
        ('column_values_to_be_in_set: {column: x, value_set: "{{ as_of }}"}', "a formula can only stand for"),
        ('column_values_to_be_in_set: {column: x, value_set: ["{{ noon }}"]}', "unknown name 'noon'"),
        ('column_value_lengths_to_equal: {column: x, value: "{{ as_of }}"}', "is not of type 'number'"),
        ("column_values_to_be_in_set: {column: x, value_set: EUR}", "value_set is 'EUR': it is a list of values"),
        ("column_values_to_be_in_set: {column: x, value_set: [[1]]}", "it is a list of values"),
        ("column_values_to_be_in_set: {column: x, value_set: []}", "value_set is []: it is empty"),
        ("column_values_to_be_in_set: {column: x, value_set: [.nan]}", "numbers are finite"),
        ("column_values_to_match_regex_list: {column: x, regex_list: []}", "regex_list is []: it is empty"),
        ("column_values_to_be_between: {column: '', min_value: 1}", "column is '': a column's name is a text"),
        ("compound_columns_to_be_unique: [a, '']", "a column's name is a text"),
        ("table_columns_to_match_ordered_list: [a, 1]", "a column's name is a text"),
        ("column_to_exist: {column: x, column_index: one}", "column_index is 'one': 'one' is not of type 'integer'"),
        ("column_pair_values_to_be_equal: {column_A: a, column_B: 2}", "column_B is 2: a column's name is a text"),
        (
            "column_values_to_be_between: {column: x, min_value: 2026-03-02, max_value: 2026-03-01}",
            "min_value 2026-03-02 is greater than max_value 2026-03-01",
        ),
        (
            "column_kl_divergence_to_be_less_than: {column: x, threshold: 1, partition_object: {weights: [.inf]}}",
            "numbers are finite",
        ),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused(entry: str, said: str) -> None:
    """Before anything runs, with the value and what may stand there."""
    assert said in refused_rule(entry)
    assert "ordereddict" not in refused_rule(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "column_values_to_be_between: {column: x, min_value: 1, max_value: 1}",
        "column_values_to_be_between: {column: x, min_value: 5, max_value: 2026-03-01}",
        'column_values_to_be_between: {column: x, min_value: "{{ last.rows }}", max_value: "{{ day }}"}',
        "column_values_to_be_between: {column: x, min_value: 2026-03-01, max_value: 2026-03-02T00:00:00Z}",
        "column_values_to_be_in_set: {column: x, value_set: [true, null, '', 1.5, a]}",
        'column_values_to_be_in_set: {column: x, value_set: ["{{ day }}"]}',
        "column_to_exist: {column: x, column_index: 0}",
        "table_row_count_to_equal: 0",
    ],
)
def test_a_value_that_may_be_meant_is_accepted(entry: str) -> None:
    """Mixed, missing and open ones."""
    assert rule(entry)


def test_a_number_that_python_cannot_place_is_refused() -> None:
    """A Decimal is text to us, and says so."""
    made = {"column": "x", "min_value": Decimal("1.5")}
    with pytest.raises(SuiteError, match=r"min_value is '1.5': it is a number or a date"):
        read_suite({"expectations": [{"column_values_to_be_between": made}]})


HOSTILE = [
    'a"b',
    "a'b",
    "a;b",
    "a{b}",
    "{batch}",
    "{{",
    "a}}b",
    "ü 😀",
    "a\nb",
    "x" * 200,
    "a,b",
    ": #",
    "NULL",
    " x ",
    "\u202e",
]


@pytest.mark.parametrize("column", HOSTILE)
def test_a_column_may_be_called_anything(column: str) -> None:
    """Quotes, braces, semicolons, line ends."""
    made = [{"column_to_exist": column}, {"compound_columns_to_be_unique": [column, "b"]}]
    suite = parse_suite(
        json.dumps({"key": column, "sensitive": [column], "columns": {column: "text"}, "expectations": made})
    )
    assert [rule.columns for rule in suite.rules] == [(column,), (column, "b")]
    assert (suite.key, suite.sensitive, dict(suite.columns)) == ((column,), {column}, {column: "text"})


# --- regular expressions and queries ----------------------------------------------------------------------------


@pytest.mark.parametrize("regex", ["(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1", "(", "a{2,1}"])
def test_a_regex_that_might_never_end_is_refused_with_its_line(regex: str) -> None:
    """DuckDB's engine has neither look-around nor back references."""
    text = f"expectations:\n- column_values_to_match_regex:\n    column: x\n    regex: {json.dumps(regex)}\n"
    assert refused(text).startswith(f"s.yaml:4: column_values_to_match_regex: regex is {regex!r}: Invalid Input Error")
    entry = f"column_values_to_not_match_regex_list:\n    column: x\n    regex_list: [a, {json.dumps(regex)}]"
    assert refused_rule(entry).startswith("s.yaml:4: column_values_to_not_match_regex_list: regex_list")


@pytest.mark.parametrize("regex", ["^a+$", r"\d{3}", "(?i)x|y", "", r"\{\{.*\}\}"])
def test_an_ordinary_regex_is_taken_as_it_is(regex: str) -> None:
    """RE2 has all the rest."""
    found = rule(f"column_values_to_match_regex: {{column: x, regex: {json.dumps(regex)}}}")
    assert found.arguments["regex"] == regex


QUERIES = [
    "SELECT * FROM {batch}",
    "select a from {batch} b join zones z on b.x = z.x where a > 1",
    "WITH bad AS (SELECT * FROM {batch} WHERE a < 0) SELECT * FROM bad",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM {batch}, n",
    "SELECT * FROM {batch} UNION ALL SELECT * FROM {batch}",
    "SELECT * FROM {batch} WHERE t > {{ as_of - 1d }} OR n < {{last.rows*0.5}};",
    "SELECT * FROM {batch} WHERE j = {'a': 1} AND r ~ 'x{3}' -- why; not",
    "SELECT * FROM {batch} WHERE d = 'DROP TABLE x; COPY y'",
    "FROM {batch}",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_any_one_select(query: str) -> None:
    """Its text is kept as it was written."""
    assert rule(f"rows: {json.dumps(query)}").arguments == {"unexpected_rows_query": query}


OTHER_STATEMENTS = [
    "DROP TABLE {batch}",
    "SELECT 1 FROM {batch}; SELECT 2",
    "SELECT 1 FROM {batch}; DROP TABLE x",
    "COPY {batch} TO 'x'",
    "COPY (SELECT * FROM {batch}) TO 'x'",
    "ATTACH 'x' AS y -- {batch}",
    "DETACH y -- {batch}",
    "PRAGMA table_info('{batch}')",
    "PRAGMA database_list -- {batch}",
    "DESCRIBE {batch}",
    "SUMMARIZE {batch}",
    "SHOW TABLES -- {batch}",
    "EXPLAIN SELECT * FROM {batch}",
    "INSERT INTO {batch} VALUES (1)",
    "UPDATE {batch} SET x = 1",
    "DELETE FROM {batch}",
    "TRUNCATE {batch}",
    "CREATE TABLE x AS FROM {batch}",
    "EXPORT DATABASE '{batch}'",
    "INSTALL httpfs -- {batch}",
    "LOAD httpfs -- {batch}",
    "SET memory_limit = '{batch}'",
    "CALL pragma_version() -- {batch}",
    "BEGIN -- {batch}",
    "USE x -- {batch}",
    "WITH gone AS (DELETE FROM {batch} RETURNING *) SELECT * FROM gone",
    "WITH more AS (INSERT INTO {batch} VALUES (1) RETURNING *) SELECT * FROM {batch}",
    "-- {batch}",
]


@pytest.mark.parametrize("query", OTHER_STATEMENTS)
def test_a_query_that_is_no_single_select_is_refused(query: str) -> None:
    """Nothing that writes, attaches or sets, and nothing beside it."""
    said = refused_rule(f"rows: {json.dumps(query)}")
    assert said.startswith(f"s.yaml:2: rows: unexpected_rows_query is {repr(query)[:70]}")
    assert said.endswith(": a query is one SELECT")


@pytest.mark.parametrize(
    "query", ["SELECT 1", "", "SELECT '{batch}'", "SELECT 1 -- {batch}", "VALUES ('{batch}')", "5"]
)
def test_a_query_looks_into_the_batch(query: str) -> None:
    """What looks elsewhere would be true of any table."""
    assert "a query selects the rows that break the rule FROM {batch}" in refused_rule(f"rows: {json.dumps(query)}")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FORM {batch}", "Parser Error"),
        ("SELECT * FROM {batch} WHERE a = $1", "a query has no parameters"),
        ("SELECT * FROM {batch} WHERE a = ?", "a query has no parameters"),
        ("SELECT * FROM {batch} WHERE a > {{ now }}", "unknown name 'now'"),
        ("SELECT * FROM {batch} WHERE a > {{ as_of", "Parser Error"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(query: str, said: str) -> None:
    """With what the parser says of it."""
    assert said in refused_rule(f"rows: {json.dumps(query)}")


def test_queries_of_other_rules_are_looked_at_too() -> None:
    """A comparison runs its queries like any."""
    entry = (
        "query_results_to_match_comparison: {{base_query: {}, comparison_data_source_name: x, comparison_query: {}}}"
    )
    assert rule(entry.format("SELECT 1", "SELECT 2"))
    assert "base_query is 'DROP TABLE x': a query is one SELECT" in refused_rule(
        entry.format("DROP TABLE x", "SELECT 2")
    )
    assert "comparison_query is 'COMMIT': a query is one" in refused_rule(entry.format("SELECT 1", "COMMIT"))


# --- what is refused --------------------------------------------------------------------------------------------


def test_everything_that_is_wrong_is_said_at_once_in_its_order() -> None:
    """One line each, with file and line."""
    text = """\
datset: x
expectations:
- column_to_exit: a

- column_values_to_be_between:
    column: b
    min_valeu: 1
    max_value: abc
  severity: high
  on_fail: stop
-
  # a comment
  why: 5
  column_to_exist: c
columns:
  d: integr
max_quarantine: 2
"""
    assert refused(text).split("\n") == [
        "s.yaml:1: unknown key 'datset'. Did you mean 'dataset'? Valid: 'version', 'dataset', 'key', 'max_quarantine', "
        "'sensitive', 'columns', 'tables', 'expectations'.",
        "s.yaml:3: there is no expectation 'column_to_exit'. Did you mean 'column_to_exist'?",
        "s.yaml:7: column_values_to_be_between has no argument 'min_valeu'. Did you mean 'min_value'? Valid: 'column', "
        "'mostly', 'row_condition', 'condition_parser', 'min_value', 'max_value', 'strict_min', 'strict_max'.",
        "s.yaml:8: column_values_to_be_between: max_value is 'abc': "
        "it is a number or a date or time such as 2026-03-01",
        "s.yaml:13: column_to_exist: why is 5; it is a text.",
        "s.yaml:16: column 'd': unknown family 'integr'. Did you mean 'integer'? Valid: 'integer', 'number', 'text', "
        "'boolean', 'timestamp', 'date', 'time', 'binary', 'other', 'any'.",
        "s.yaml:17: max_quarantine is 2; it is a share, such as 0.01 or 1%.",
    ]


def test_an_error_carries_its_problems_and_survives_another_process() -> None:
    """It is wrong usage; `problems` is a list."""
    with pytest.raises(SuiteError) as caught:
        parse_suite("a: 1\nb: 2\nexpectations: [column_to_exist: x]", "s.yaml")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, UsageError)
    assert not isinstance(again, ParameterError)
    assert [problem[:9] for problem in again.problems] == ["s.yaml:1:", "s.yaml:2:"]
    assert str(again) == "\n".join(again.problems)


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("version: 2\n", "s.yaml:1: this suite is of format 2; this ostinato reads 1. Upgrade ostinato."),
        ("version: 99\nnew: 1\n", "s.yaml:1: this suite is of format 99; this ostinato reads 1. Upgrade ostinato."),
        ("version: one\n", "s.yaml:1: version is 'one'; it is a whole number, 1 today."),
        ("version: true\n", "s.yaml:1: version is True; it is a whole number, 1 today."),
        ("version: 0\n", "s.yaml:1: version is 0; it is a whole number, 1 today."),
        ("dataset: [a]\n", "s.yaml:1: dataset is ['a']; it is a text."),
        ("dataset: ' '\n", "s.yaml:1: dataset is ' '; it is a text."),
        ("key: 5\n", "s.yaml:1: key is a column's name or a list of them, not 5."),
        ("key: false\n", "s.yaml:1: key is a column's name or a list of them, not False."),
        ("sensitive: [a, '']\n", "s.yaml:1: sensitive is a column's name or a list of them, not ['a', '']."),
        ("\ncolumns: [a]\n", "s.yaml:2: columns is a mapping from column to family of types, not \"['a']\"."),
        ("columns:\n  a: text\n  7: tekst\n", "s.yaml:3: column '7': unknown family 'tekst'. Did you mean 'text'?"),
        ("tables: a.csv\n", "s.yaml:1: tables is a mapping from name to file, database or URL, not 'a.csv'."),
        ("tables:\n  a-b: x\n", "s.yaml:2: table 'a-b': a name in SQL is letters, digits and _;"),
        ("tables: {Batch: x}\n", "s.yaml:1: table 'Batch': a name in SQL is letters, digits and _; batch is"),
        ("tables: {a: 5}\n", "s.yaml:1: table 'a' is 5; name a file, database or URL."),
        ("max_quarantine: 1.5\n", "s.yaml:1: max_quarantine is 1.5; it is a share, such as 0.01 or 1%."),
        ("max_quarantine: 101%\n", "s.yaml:1: max_quarantine is '101%'; it is a share, such as 0.01 or 1%."),
        ("max_quarantine: .nan\n", "s.yaml:1: max_quarantine is nan; it is a share, such as 0.01 or 1%."),
        ("max_quarantine: true\n", "s.yaml:1: max_quarantine is True; it is a share, such as 0.01 or 1%."),
        ("max_quarantine: -1\n", "s.yaml:1: max_quarantine is -1; it is a share, such as 0.01 or 1%."),
        ("max_quarantine: few\n", "s.yaml:1: max_quarantine is 'few'; it is a share, such as 0.01 or 1%."),
        (f"max_quarantine: {'9' * 400}\n", f"s.yaml:1: max_quarantine is {'9' * 77}…; it is a share"),
    ],
)  # fmt: skip
def test_what_stands_at_the_top_is_checked(top: str, said: str) -> None:
    """Each key with its line."""
    (only,) = refused_rule("column_to_exist: x", top).split("\n")
    assert only.startswith(said)


@pytest.mark.parametrize(
    ("written", "share"), [("0", 0), ("1", 1), ("1%", 0.01), ("0.5 %", 0.005), ("100%", 1), ("0.02", 0.02)]
)
def test_a_share_is_a_number_or_percent(written: str, share: float) -> None:
    """Of the rows that may be set aside."""
    assert parse_suite(f"max_quarantine: {written}\nexpectations: [column_to_exist: x]").max_quarantine == share


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("column_to_exist", "s.yaml:2: a rule is `expectation: arguments`, not 'column_to_exist'."),
        ("", "s.yaml:2: a rule is `expectation: arguments`, not 'None'."),
        ("{}", "s.yaml:2: this rule names no expectation; each has one, and may have severity, on_fail, name, why."),
        ("severity: info", "s.yaml:2: this rule names no expectation"),
        ("column_to_exist: x\n  column_type_to_be: y", "names 2 expectations ('column_to_exist', 'column_type_to_be')"),
        ("column_to_exist: x\n  severty: info", "may have severity, on_fail, name, why. Did you mean 'severity'?"),
        ("rowz: x", "s.yaml:2: there is no expectation 'rowz'. Did you mean 'rows'?"),
        ("foreignkey: x", "s.yaml:2: there is no expectation 'foreignkey'. Did you mean 'foreign_key'?"),
        ("ExpectColumnToExist: x", "there is no expectation 'ExpectColumnToExist'. Did you mean 'column_to_exist'?"),
        ("expect_column_to_exits: x", "no expectation 'expect_column_to_exits'. Did you mean 'column_to_exist'?"),
        ("5: x", "s.yaml:2: there is no expectation '5'."),
        ("column_to_exist: x\n  severity: high", "column_to_exist: unknown severity 'high'. Valid: 'critical'"),
        ("column_to_exist: x\n  severity: [info]", "s.yaml:2: column_to_exist: unknown severity ['info']"),
        ("column_to_exist: x\n  name: 5", "s.yaml:2: column_to_exist: name is 5; it is a text."),
        ("column_to_exist: x\n  name: ''", "s.yaml:2: column_to_exist: name is ''; it is a text."),
        ("column_to_exist: x\n  why:", "s.yaml:2: column_to_exist: why is None; it is a text."),
        ("column_to_exist: x\n  on_fail: stop", "on_fail is 'stop'; it may be quarantine. Severity decides whether"),
        ("column_to_exist: x\n  on_fail: quarantine", "cannot quarantine: it judges the table as a whole"),
        ("column_to_exist: {column: x, if: y}", "s.yaml:2: column_to_exist has no argument 'if'."),
        ("column_to_exist: {}", "s.yaml:2: column_to_exist lacks 'column'; it takes {column: …, column_index: …}."),
        ("column_values_to_match_strftime_format: {column: x}", "SQL engines cannot run it; write the rule as `rows:"),
        ("column_values_to_be_json_parseable: x", "SQL engines cannot run it; write the rule as `rows:"),
        ("foreign_key: {column: a, table: zonse}", "table 'zonse' is not among the suite's tables. Did you mean"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_refused(entry: str, said: str) -> None:
    """With the nearest of what may stand there."""
    found = refused(f"expectations:\n- {entry}\ntables: {{zones: zones.csv}}\n")
    assert len(found.split("\n")) == 1
    assert said in found


def test_a_table_of_a_foreign_key_may_be_handed_to_the_run() -> None:
    """Only a name that is nearly one of the suite's tables is a slip."""
    suite = parse_suite("tables: {zones: z.csv}\nexpectations: [foreign_key: {column: a, table: customers, to: id}]")
    assert suite.rules[0].arguments == {"column": "a", "table": "customers", "to": "id"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("column_values_to_be_null: {column: x, row_condition: y > 1}", "it has a row_condition; write it as `rows:`."),
        ("rows: 'SELECT x FROM {batch}'", "its query must begin with SELECT * FROM {batch}."),
        ("rows: 'SELECT * FROM zones, {batch}'", "its query must begin with SELECT * FROM {batch}."),
        ("column_value_z_scores_to_be_less_than: {column: x, threshold: 3, double_sided: true}", "on the other rows."),
        ("table_row_count_to_equal: 5", "it judges the table as a whole, not row by row."),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_told_apart_are_not_set_aside(entry: str, reason: str) -> None:
    """It says why, and what to write instead."""
    assert refused_rule(f"{entry}\n  on_fail: quarantine").endswith(reason)


def test_rows_that_a_query_finds_may_be_set_aside() -> None:
    """Where it selects whole rows of the table."""
    assert rule("rows: ' select  *\n   from {batch} WHERE a < 0'\n  on_fail: quarantine").quarantine
    assert rule("column_values_to_be_unique: x\n  on_fail: quarantine").quarantine


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "s.yaml: a suite is a mapping with `expectations:`, not empty."),
        ("# nothing\n", "s.yaml: a suite is a mapping with `expectations:`, not empty."),
        ("- column_to_exist: x", "s.yaml: a suite is a mapping with `expectations:`, not"),
        ("hello", "s.yaml: a suite is a mapping with `expectations:`, not 'hello'."),
        ("dataset: x", "s.yaml: expectations is empty: a suite without a rule checks nothing."),
        ("\nexpectations: []", "s.yaml:2: expectations is empty: a suite without a rule checks nothing."),
        ("expectations: {}", "s.yaml:1: expectations is empty: a suite without a rule checks nothing."),
        ("expectations: x", "s.yaml:1: expectations is 'x', not a list: a suite without a rule checks nothing."),
        ("expectations: 0", "s.yaml:1: expectations is '0', not a list: a suite without a rule checks nothing."),
        ("expectations:\n  column_to_exist: x", "s.yaml:1: expectations is \"{'column_to_exist': 'x'}\", not a list"),
        ("\n\ta: 1", "s.yaml:2: this is no YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n\na: 2", 's.yaml:3: this is no YAML: found duplicate key "a"'),
        ("expectations:\n- rows:\n    a: 1\n    a: 2", 's.yaml:4: this is no YAML: found duplicate key "a"'),
        ("a: [1", "s.yaml:1: this is no YAML:"),
        ("a: *b", "s.yaml:1: this is no YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", "s.yaml:2: this is no YAML:"),
        ("a:\n b: 2026-13-45", "s.yaml:2: this is no YAML: month must be in 1..12, in '2026-13-45'"),
        ("a:\n b: !!int x", "s.yaml:2: this is no YAML: invalid literal for int() with base 10: 'x'"),
        (f"a: {'9' * 5000}", "s.yaml:1: this is no YAML: Exceeds the limit"),
        ("a: \0", "s.yaml: this is no YAML: unacceptable character #x0000"),
        ("[" * 3000, "s.yaml: this is no YAML: it is nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "s.yaml: values within values, 50 deep; is it a suite?"),
        ("x" * 1_000_001, "s.yaml: 1,000,001 characters; a suite has at most 1,000,000"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_suite_says_so(text: str, said: str) -> None:
    """With the line, where there is one."""
    assert refused(text).split("\n")[0].startswith(said)


BOMB = "a: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"b{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize("key", ["expectations", "columns", "dataset", "version", "key", "expectations:\n- rows", "b1"])
@pytest.mark.parametrize("use", ["*a11", "[*a11]", "{x: *a11}", "\n    ? *a11\n    : 1", "\n    ? [*a11]\n    : 1"])
def test_aliases_cannot_make_a_short_text_grow(key: str, use: str) -> None:
    """A hundred thousand million values are refused in no time."""
    start = time.monotonic()
    assert refused(f"{BOMB}{key}: {use}") == "s.yaml: more than 100,000 values; is it a suite?"
    assert time.monotonic() - start < 5


def test_a_value_within_itself_is_refused() -> None:
    """YAML can say so, and Python too."""
    assert "values within values" in refused("- &a " + "[" * 50 + "x" + "]" * 50)
    assert refused("a: &a {b: *a}") == refused("- &a [*a]") == "s.yaml: more than 100,000 values; is it a suite?"
    loop: dict[str, Any] = {}
    loop["expectations"] = [loop]
    with pytest.raises(SuiteError, match="values within values"):
        read_suite(loop)


def test_aliases_save_typing() -> None:
    """That is what they are for; the rule's line is where its entry begins."""
    found = rules(
        "column_values_to_be_between: &b {column: x, min_value: 0}", "column_values_to_be_between: {<<: *b, column: y}"
    )
    assert [dict(rule.arguments) for rule in found] == [
        {"column": "x", "min_value": 0},
        {"column": "y", "min_value": 0},
    ]
    assert [rule.line for rule in found] == [2, 3]


def test_a_tag_runs_no_code(tmp_path: Path) -> None:
    """It is only a word before a value."""
    found = rule(f"column_to_exist: !!python/object/apply:os.mkdir ['{tmp_path}/x']")
    assert found.arguments == {"column": f"{tmp_path}/x"}
    assert list(tmp_path.iterdir()) == []


def problems(read: Callable[[], Suite]) -> list[str]:
    """What is wrong, or nothing where there are rules; any other error is a failure of the test."""
    try:
        return [] if read().rules else ["no rules, and no problem"]
    except SuiteError as error:
        return error.problems or ["an error without a problem"]


@given(st.text(st.sampled_from("abc:-[]{}&*!|>'\"%@`?#, \n\t0123.~<\0\u2028\ufeff")) | st.text())
@example("%YAML 1.1\n--- a")
@example("expectations: [? [a] : b]")
def test_any_text_is_read_or_refused(text: str) -> None:
    """Never another error."""
    assert all(problem.startswith("s.yaml") for problem in problems(lambda: parse_suite(text, "s.yaml")))


PIECES = (
    "expectations:|- |column_to_exist: x|rows: |SELECT * FROM {batch}|severity: |foreign_key: |{|}|[|]|\n|  |column: |"
    "'|\"|column_values_to_be_between: |min_value: |{{ as_of }}|tables: |key: |version: 1|columns: |2026-01-01|&a |*a|"
    "<<: |!!set |!!omap |? "
).split("|")


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_pieces_of_a_suite_are_read_or_refused(text: str) -> None:
    """In whatever order a person tries them."""
    problems(lambda: parse_suite(text))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(["x", "{{ as_of }}", "{{ x", "SELECT * FROM {batch}", "quarantine", "critical"])
)
WORDS = st.sampled_from(
    "version dataset key max_quarantine sensitive columns tables expectations severity on_fail name why rows "
    "foreign_key column_to_exist column_values_to_be_between column_values_to_be_in_set column table to min_value "
    "max_value value_set mostly table_row_count_to_equal value compound_columns_to_be_unique column_list".split()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers() | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
ENTRIES = st.dictionaries(WORDS, VALUES, max_size=3) | VALUES


@given(
    st.dictionaries(WORDS | st.integers() | st.none() | st.tuples(st.text()), VALUES, max_size=4),
    st.none() | st.lists(ENTRIES, max_size=4),
)
@example({"max_quarantine": 10**400}, [])
@example({}, [{"column_values_to_be_between": {"column": "x", "min_value": "{{ as_of - 99999999d }}"}}])
def test_any_mapping_is_read_or_refused(given: dict[Any, Any], entries: Any) -> None:
    """Never another error; and the mapping is left as it was."""
    given = given if entries is None else {**given, "expectations": entries}
    before = copy.deepcopy(given)
    problems(lambda: read_suite(given))
    assert repr(given) == repr(before)


@pytest.mark.parametrize("given", [[], None, 5, b"x"])
def test_what_is_no_mapping_is_refused(given: Any) -> None:
    """From Python too."""
    with pytest.raises(SuiteError, match="a suite is a mapping"):
        read_suite(given)


# --- the digest -------------------------------------------------------------------------------------------------


def shuffled(value: Any, draw: st.DrawFn) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    return [shuffled(part, draw) for part in value] if isinstance(value, list) else value


@given(st.data())
def test_the_digest_does_not_depend_on_the_order_of_keys(data: st.DataObject) -> None:
    """Of any mapping in it."""
    given = YAML(typ="safe", pure=True).load(FULL)
    assert read_suite(shuffled(given, data.draw)).digest == parse_suite(FULL).digest


def test_the_digest_does_not_depend_on_comments_or_place(tmp_path: Path) -> None:
    """Nor on ways of writing, reasons, or the folder the suite was copied to."""
    digest = parse_suite(FULL, "suites/transactions.yaml").digest
    assert parse_suite(FULL.replace("\n", "  # said\n"), "t.yaml").digest == digest
    assert parse_suite(FULL.replace("chargebacks are negative", "because")).digest == digest
    assert parse_suite(FULL.replace("[card_id, amount]", "['card_id', 'amount']")).digest == digest
    for place in (
        "t.yaml",
        "./a/b/t.yaml",
        str(tmp_path / "t.yaml"),
        "memory://a/b/t.yaml",
        f"file://{tmp_path}/t.yaml",
    ):
        assert parse_suite(FULL, place).digest == digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_value: 10000", "max_value: 10001"),
        ("mostly: 0.999", "mostly: 0.998"),
        ("min_value: 0, ", ""),
        ("severity: warning", "severity: info"),
        ("    on_fail: quarantine\n", ""),
        ("known currency", "currency"),
        ("[EUR, ", "[USD, "),
        ("[card_id, amount]", "[amount, card_id]"),
        ("key: [transaction_id]", "key: [amount]"),
        ("max_quarantine: 2%", "max_quarantine: 3%"),
        ("sensitive: [card_id]", "sensitive: []"),
        ("amount: number", "amount: integer"),
        ("terminals.parquet", "others.parquet"),
        ("table: terminals}", "table: terminals, to: id}"),
        ("posted_at > ", "posted_at < "),
        ("{{ as_of }}", "{{ day }}"),
    ],
)
def test_the_digest_depends_on_all_that_is_asked_for(old: str, new: str) -> None:
    """Any argument, and any option that decides what happens."""
    assert old in FULL
    assert parse_suite(FULL.replace(old, new)).digest != parse_suite(FULL).digest


# --- files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a suite in `suites/` and others in two folders of OSTINATO_SUITES."""
    for place in (
        "suites/shop.yaml",
        "one/shop.yml",
        "one/bank.yml",
        "two/bank.yaml",
        "two/bank.yml",
        "two/sub/deep.yaml",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f"expectations: [column_to_exist: {place}]")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_is_looked_up_in_the_folders_then_in_suites(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first folder wins; either ending."""
    assert find_suite("shop") == "suites/shop.yaml"
    monkeypatch.setenv("OSTINATO_SUITES", os.pathsep.join(["one", "", "two"]))
    assert find_suite("shop") == "one/shop.yml"
    assert find_suite("bank") == "one/bank.yml"
    monkeypatch.setenv("OSTINATO_SUITES", str(here / "two"))
    assert find_suite("bank") == str(here / "two/bank.yaml")
    assert find_suite("shop") == "suites/shop.yaml"
    assert find_suite("sub/deep") == str(here / "two/sub/deep.yaml")
    assert read_suite("shop").rules[0].columns == ("suites/shop.yaml",)


def test_a_path_is_taken_as_it_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known by its ending, and not looked for elsewhere."""
    for place in ("one/bank.yml", str(here / "one/bank.yml"), f"file://{here}/one/bank.yml"):
        assert find_suite(place) == place
        assert read_suite(place).rules[0].columns == ("one/bank.yml",)
    monkeypatch.setenv("HOME", str(here))
    assert read_suite("~/one/bank.yml").rules[0].columns == ("one/bank.yml",)
    with pytest.raises(SuiteError, match=r"^There is no suite shop.yaml. There are no suites there.$"):
        find_suite("shop.yaml")


def test_a_suite_that_is_not_there_comes_with_those_that_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As names where a name was given, as files where a path was."""
    monkeypatch.setenv("OSTINATO_SUITES", "two")
    (here / "two" / "folder.yaml").mkdir()
    with pytest.raises(SuiteError) as caught:
        read_suite("shpo")
    looked, near = "two, suites; a path ends in .yaml or .yml", "Did you mean 'shop'? Valid: 'bank', 'shop'."
    assert str(caught.value) == f"There is no suite 'shpo' in {looked}. {near}"
    with pytest.raises(
        SuiteError, match=r"^There is no suite one/bnk.yml. Did you mean 'bank.yml'\? Valid: 'bank.yml', 'shop.yml'.$"
    ):
        read_suite("one/bnk.yml")
    monkeypatch.chdir(here / "two" / "sub")
    with pytest.raises(SuiteError, match=r"There are no suites there.$"):
        read_suite("shop")


@pytest.mark.parametrize("name", ["", "a" * 5000, "a\0b", "../../x", "a" * 5000 + ".yaml", "\0.yaml", "/", "."])
def test_a_name_that_no_file_can_have_is_not_found(name: str, here: Path) -> None:
    """As any other that is not there."""
    with pytest.raises(SuiteError, match=r"^There is no suite"):
        read_suite(name)


def test_a_folder_is_no_suite(here: Path) -> None:
    """Whatever it is called; it is not suggested either."""
    (here / "folder.yaml").mkdir()
    with pytest.raises(SuiteError, match=r"^There is no suite folder.yaml. There are no suites there.$"):
        read_suite("folder.yaml")


def test_a_file_that_is_not_text_cannot_be_read(here: Path) -> None:
    """It says which, and why."""
    (here / "x.yaml").write_bytes("dataset: Zürich".encode("latin-1"))
    with pytest.raises(SuiteError, match=r"^x.yaml: it cannot be read: 'utf-8' codec can't decode"):
        read_suite("x.yaml")


def test_a_file_may_begin_with_a_mark(here: Path) -> None:
    """As Windows' editors write it; lines stay what they are."""
    (here / "x.yaml").write_bytes(b"\xef\xbb\xbfexpectations:\r\n- column_to_exist: x\r\n")
    assert read_suite("x.yaml").rules[0].line == 2


def test_a_suite_may_lie_anywhere(here: Path) -> None:
    """On any file system that fsspec knows; its name is the file's."""
    import fsspec

    fsspec.filesystem("memory").pipe_file("/team/shop.yaml", FULL.replace("dataset: transactions\n", "").encode())
    suite = read_suite("memory://team/shop.yaml")
    assert (suite.name, suite.source) == ("shop", "memory://team/shop.yaml")
    assert suite.tables == {"terminals": "memory://team/terminals.parquet"}
    with pytest.raises(SuiteError, match=r"^memory://team/gone.yaml: it cannot be read"):
        read_suite("memory://team/gone.yaml")
    with pytest.raises(SuiteError, match=r"^nothing://x.yaml: it cannot be read"):
        read_suite("nothing://x.yaml")


def test_a_storage_that_is_away_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the suite's."""

    def away(place: str) -> str:
        raise ConnectionResetError(place)

    monkeypatch.setattr("ostinato.suites.reading.read_text", away)
    with pytest.raises(ConnectionResetError):
        read_suite("memory://team/shop.yaml")


@pytest.mark.parametrize(
    ("source", "written", "place"),
    [
        ("a/s.yaml", "z.csv", "a/z.csv"),
        ("a/s.yaml", "../z.csv", "a/../z.csv"),
        ("a/s.yaml", "/z.csv", "/z.csv"),
        ("a/s.yaml", "~/z.csv", "/somebody/z.csv"),
        ("a/s.yaml", "s3://b/z.csv", "s3://b/z.csv"),
        ("a/s.yaml", "postgresql://h/db?table=z", "postgresql://h/db?table=z"),
        ("s.yaml", "z.csv", "z.csv"),
        ("/a/s.yaml", "z.csv", "/a/z.csv"),
        ("file:///a/s.yaml", "z.csv", "/a/z.csv"),
        ("s3://b/a/s.yaml", "z.csv", "s3://b/a/z.csv"),
        ("s3://b/a/s.yaml", "/z.csv", "/z.csv"),
        ("", "z.csv", "z.csv"),
    ],
)
def test_the_files_of_tables_lie_beside_the_suite(
    source: str, written: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the run stands."""
    monkeypatch.setenv("HOME", "/somebody")
    suite = parse_suite(f"tables: {{z: '{written}'}}\nexpectations: [column_to_exist: x]", source)
    assert suite.tables == {"z": place}


def test_reading_loads_no_heavy_library(tmp_path: Path) -> None:
    """Great Expectations alone would take seconds; its schemas are read as files."""
    (tmp_path / "s.yaml").write_text(FULL)
    code = f"""if True:
        import sys
        from ostinato.suites.reading import read_suite
        heavy = {{"great_expectations", "pandas", "sqlalchemy", "sklearn", "mlflow"}}
        early = heavy | {{"duckdb", "ruamel.yaml", "jsonschema", "numpy"}}
        assert not early & set(sys.modules), early & set(sys.modules)
        assert len(read_suite({str(tmp_path / "s.yaml")!r}).rules) == 6
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_suite_may_lie_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found from any folder, also by a package's name of one letter."""
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("rules_of_ours", "x"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "suite.yaml").write_text(
            "dataset: t\nexpectations:\n  - column_values_to_be_unique: id\n"
        )
        assert read_suite(f"{package}:suite.yaml").name == "t"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_package:suite.yaml", "no Python package 'no_such_package'"),
        ("no.such.package:suite.yaml", "no Python package 'no.such.package'"),
        ("ostinato:suite.yaml", "has no suite suite.yaml"),
        ("math:suite.yaml", "no Python package 'math'"),
    ],
)
def test_a_suite_that_is_in_no_package_is_refused(name: str, said: str) -> None:
    """With what is not there."""
    with pytest.raises(SuiteError, match=re.escape(said)):
        read_suite(name)

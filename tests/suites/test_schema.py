"""The schema for editors: what the reader accepts it accepts, and typing errors it underlines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from ostinato.suites.expectations import expectations
from ostinato.suites.families import FAMILIES
from ostinato.suites.reading import SuiteError, parse_suite, read_suite
from ostinato.suites.schema import json_schema
from ostinato.suites.text import load, plain

VALIDATOR = Draft7Validator(json_schema())


def is_valid(text: str) -> bool:
    return bool(VALIDATOR.is_valid(plain(load(text))))


def test_it_is_a_schema_of_draft_7_and_plain_json() -> None:
    """Small enough for an editor to load at every keystroke, and the same every time."""
    Draft7Validator.check_schema(json_schema())
    text = json.dumps(json_schema(), allow_nan=False)
    assert json.loads(text) == json_schema()
    assert len(text) < 400_000


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    """Great Expectations' definitions are shared."""
    text = json.dumps(json_schema())
    for name in json_schema()["definitions"]:
        assert f'"#/definitions/{name}"' in text
    assert text.count('"$ref"') == sum(text.count(f'"#/definitions/{name}"') for name in json_schema()["definitions"])


def test_everything_that_is_typed_has_a_description() -> None:
    """An editor shows it beside the word."""
    schema = json_schema()
    rule = schema["definitions"]["rule"]["properties"]
    shown = [
        *schema["properties"].values(),
        *(schema["definitions"].get(one.get("$ref", "")[14:], one) for one in rule.values()),
    ]
    assert all(one["description"] for one in shown)
    assert "\n" not in "".join(one["description"] for one in shown)


def test_every_expectation_is_offered_under_both_names() -> None:
    """And none that a suite cannot use."""
    offered = json_schema()["definitions"]["rule"]["properties"].keys()
    for name, known in expectations().items():
        assert {known.name, known.type} <= offered if known.sql else not {name, known.type} & offered
    assert {"rows", "foreign_key", "severity", "on_fail", "name", "why"} <= offered


RULES = [
    "column_to_exist: x",
    "column_to_exist: [x, 'a b', \"c\\nd\"]",
    "column_to_exist: {column: x, column_index: 0}",
    "expect_column_to_exist: 2026-01-01",
    "column_values_to_be_between: {column: x, min_value: 0, max_value: 9.5, strict_min: true, mostly: 0.999}",
    "column_values_to_be_between: {column: x, min_value: 2026-03-01, max_value: '2026-03-01 10:00:00'}",
    "column_values_to_be_between: {column: x, min_value: 2026-03-01T10:00:00.5+02:00}",
    'column_values_to_be_between: {column: x, max_value: "{{ as_of + 1d }}"}',
    'table_row_count_to_be_between: {min_value: " {{ last.rows * 0.5 }} "}',
    'table_row_count_to_equal: "{{ last.rows }}"',
    "table_row_count_to_equal: 5",
    "table_row_count_to_equal: {value: 5, row_condition: 'col(\"x\") > 1', condition_parser: great_expectations}",
    "table_row_count_to_equal_other_table: other",
    "compound_columns_to_be_unique: [a, b]",
    "compound_columns_to_be_unique: {column_list: [a, b], ignore_row_if: never}",
    "multicolumn_sum_to_equal: {column_list: [a, b], sum_total: 1.5}",
    "table_columns_to_match_ordered_list: [a, b]",
    "table_columns_to_match_set: {column_set: [a, b], exact_match: false}",
    "column_values_to_be_in_set: {column: x, value_set: [a, 1, 2.5, true, null, '', 2026-01-01, '{{ day }}']}",
    "column_pair_values_to_be_in_set: {column_A: a, column_B: b, value_pairs_set: [[1, x], [2, null]]}",
    "column_pair_values_a_to_be_greater_than_b: {column_A: a, column_B: b, or_equal: true}",
    "column_values_to_match_regex_list: {column: x, regex_list: [a, '^b$'], match_on: all}",
    "column_values_to_match_like_pattern: {column: x, like_pattern: 'a%', escape: '!'}",
    "column_quantile_values_to_be_between: {column: x, quantile_ranges: {quantiles: [0.5], value_ranges: [[0, 1.5]]}}",
    "column_kl_divergence_to_be_less_than: {column: x, partition_object: {values: [a], weights: [1]}, threshold: 0.1}",
    "column_values_to_not_be_outliers: {column: x, method: std, multiplier: 3}",
    "column_values_to_be_null: {column: x, row_condition: {column: {name: y}, operator: '>', parameter: 1}}",
    "rows: SELECT * FROM {batch} WHERE x > {{ as_of }}",
    "rows: {unexpected_rows_query: FROM {batch}}".replace("FROM {batch}", "'FROM {batch}'"),
    "foreign_key: {column: a, table: zones}",
    "foreign_key: {column: a, table: zones, to: b}",
    "column_values_to_be_unique: x\n  severity: warning\n  on_fail: quarantine\n  name: a name\n  why: ''",
]  # fmt: skip
TOPS = [
    "version: 1\ndataset: transactions\nkey: id\nmax_quarantine: 1%\n",
    "key: [a, b]\nsensitive: [c]\nmax_quarantine: 0.02\ncolumns: {a: integer, b c: any}\n",
    "key:\nsensitive: c\ncolumns:\n",
    "key: []\nmax_quarantine: ' 0.5 % '\n",
    "max_quarantine: 100%\n",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_the_reader_accepts_is_valid(rule: str) -> None:
    """The short forms too."""
    text = f"tables: {{zones: zones.csv, _x1: 's3://b/x.parquet'}}\nexpectations:\n- {rule}\n"
    assert parse_suite(text).rules
    assert list(VALIDATOR.iter_errors(plain(load(text)))) == []


@pytest.mark.parametrize("top", TOPS)
def test_a_top_that_the_reader_accepts_is_valid(top: str) -> None:
    """Every key, full or empty."""
    text = f"{top}expectations:\n- column_to_exist: x\n"
    assert parse_suite(text).rules
    assert list(VALIDATOR.iter_errors(plain(load(text)))) == []


TYPOS = [
    "datset: x\n",
    "dataset: 5\n",
    "version: 2\n",
    "version: true\n",
    "key: 5\n",
    "columns: {a: integr}\n",
    "columns: [a]\n",
    "tables: {a-b: x}\n",
    "tables: {batch: x}\n",
    "tables: {a: 5}\n",
    "max_quarantine: 2\n",
    "max_quarantine: 101%\n",
    "max_quarantine: few\n",
]
WRONG_RULES = [
    "column_to_exits: x",
    "expect_column_to_exits: x",
    "ExpectColumnToExist: x",
    "column_to_exist",
    "column_to_exist: 5",
    "column_to_exist: []",
    "column_to_exist: ''",
    "column_to_exist: {}",
    "column_to_exist: {colum: x}",
    "column_to_exist: {column: x, index: 1}",
    "column_to_exist: x\n  column_type_to_be: {column: x, type_: INTEGER}",
    "column_to_exist: x\n  severty: info",
    "column_to_exist: x\n  severity: high",
    "column_to_exist: x\n  on_fail: stop",
    "column_to_exist: x\n  name: ''",
    "severity: info",
    "column_values_to_be_between: x",
    "column_values_to_be_between: {column: x}",
    "column_values_to_be_between: {column: x, min_value: abc}",
    "column_values_to_be_between: {column: x, min_value: true}",
    "column_values_to_be_between: {column: x, min_value: null}",
    "column_values_to_be_between: {column: x, min_value: 1, mostly: 2}",
    "column_values_to_be_between: {column: x, min_value: {{ as_of }}}",
    "column_values_to_be_in_set: x",
    "column_values_to_be_in_set: {column: x, value_set: a}",
    "column_values_to_be_in_set: {column: x, value_set: []}",
    "column_values_to_be_in_set: {column: x, value_set: [[a]]}",
    "column_pair_values_to_be_equal: {column_A: a, column_B: b, ignore_row_if: sometimes}",
    "column_values_to_match_strftime_format: {column: x, strftime_format: '%Y'}",
    "column_values_to_be_json_parseable: x",
    "rows: SELECT 1",
    "rows: {batch}",
    "foreign_key: a",
    "foreign_key: {column: a}",
    "foreign_key: {column: a, table: zones, too: b}",
]


TEXTS = [
    *(f"{top}expectations: [column_to_exist: x]" for top in TYPOS),
    *(f"expectations:\n- {rule}\n" for rule in WRONG_RULES),
    *("", "a: 1", "expectations: []", "expectations: {column_to_exist: x}", "- column_to_exist: x"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_the_reader_refuses_as_a_typing_error_is_underlined(text: str) -> None:
    """Unknown keys, expectations, arguments, severities and families; values of the wrong kind."""
    with pytest.raises(SuiteError):
        parse_suite(text)
    assert not is_valid(text)


WORDS = st.sampled_from(
    "column min_value max_value mostly value_set value column_list sum_total severity on_fail name x".split()
)
VALUES = (
    st.sampled_from(["x", "EUR", "{{ as_of }}", "quarantine", "warning", "2026-03-01", "", 0, 1, 0.5, 7, True, None])
    | st.lists(st.sampled_from(["a", "b", 1, None]), max_size=3)
)  # fmt: skip
SOME = (
    "column_to_exist column_values_to_be_between column_values_to_be_in_set table_row_count_to_equal "
    "compound_columns_to_be_unique"
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(SOME.split()), VALUES | st.dictionaries(WORDS, VALUES), min_size=1, max_size=1),
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(["severity", "on_fail", "why"]), VALUES, max_size=1),
    st.dictionaries(st.sampled_from(["key", "dataset", "max_quarantine", "sensitive"]), VALUES, max_size=2),
    st.dictionaries(st.text(max_size=3), st.sampled_from([*FAMILIES, "int"]), max_size=2),
)
def test_the_schema_refuses_nothing_that_the_reader_accepts(
    rules: list[dict[str, Any]], options: dict[str, Any], top: dict[str, Any], columns: dict[str, str]
) -> None:
    """Whatever is put together."""
    given = {**top, "columns": columns, "expectations": [{**rule, **options} for rule in rules]}
    try:
        read_suite(given)
    except SuiteError:
        return
    assert list(VALIDATOR.iter_errors(given)) == []

"""Expectations: Great Expectations' own schemas say what there is, and suites can write all of it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

import pytest

from ostinato.errors import ConfigurationError
from ostinato.suites import expectations as module
from ostinato.suites.expectations import NOT_IN_SQL, ROWS, Expectation, expectations
from ostinato.suites.predicates import can_split
from ostinato.suites.reading import read_suite
from ostinato.suites.suite import Rule

# A value for each argument that some expectation needs.
VALUES: dict[str, Any] = {
    "column": "a",
    "column_A": "a",
    "column_B": "b",
    "column_list": ["a", "b"],
    "column_set": ["a", "b"],
    "value_set": [1, 2],
    "value_pairs_set": [[1, 2]],
    "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]},
    "partition_object": {"values": ["x"], "weights": [1.0]},
    "threshold": 0.1,
    "type_": "INTEGER",
    "type_list": ["INTEGER"],
    "value": 3,
    "double_sided": True,
    "like_pattern": "a%",
    "like_pattern_list": ["a%"],
    "regex": "a+",
    "regex_list": ["a+"],
    "sum_total": 1,
    "base_query": "SELECT 1",
    "comparison_data_source_name": "other",
    "comparison_query": "SELECT 1",
    "other_table_name": "other",
    "unexpected_rows_query": "SELECT * FROM {batch} WHERE a < 0",
}


def needed(known: Expectation) -> dict[str, Any]:
    """What an expectation needs, and a bound where either will do."""
    bound = {"min_value": 0} if known.name.endswith("_between") and "min_value" in known.arguments else {}
    return {key: VALUES[key] for key in known.required} | bound


IN_SQL = {name: known for name, known in expectations().items() if known.sql}


def test_all_that_great_expectations_documents_is_there() -> None:
    """Those for SQL, and those that need data in memory."""
    assert len(IN_SQL) >= 53
    assert {name for name in expectations() if name not in IN_SQL} == {
        "column_values_to_match_strftime_format",
        "column_values_to_be_dateutil_parseable",
        "column_values_to_be_decreasing",
        "column_values_to_be_increasing",
        "column_values_to_be_json_parseable",
        "column_values_to_match_json_schema",
    }


@pytest.mark.parametrize("name", IN_SQL)
def test_every_expectation_of_sql_can_be_written(name: str) -> None:
    """With what it needs, under both names."""
    known = IN_SQL[name]
    suite = read_suite({"expectations": [{known.name: needed(known)}, {known.type: needed(known)}]})
    assert [(rule.type, rule.arguments) for rule in suite.rules] == [(known.type, needed(known))] * 2


@pytest.mark.slow
def test_what_a_suite_accepts_great_expectations_accepts() -> None:
    """Its own classes take the same arguments."""
    made = {known.type: needed(known) for known in IN_SQL.values()}
    code = f"""if True:
        from great_expectations.expectations.registry import get_expectation_impl
        for kind, arguments in {made!r}.items():
            get_expectation_impl(kind)(**arguments)
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", IN_SQL)
def test_an_expectation_speaks_of_what_it_takes(name: str) -> None:
    """A sentence, and the arguments of suites only: the run's own and GX's book-keeping are not among them."""
    known = IN_SQL[name]
    assert known.description.endswith(".")
    assert known.required <= known.arguments.keys()
    assert not {"meta", "severity", "result_format", "batch_id", "windows", "id"} & known.arguments.keys()
    assert known.type == (ROWS if name == ROWS else f"expect_{name}")


@pytest.mark.parametrize(
    ("name", "required"),
    [
        ("column_values_to_match_regex", {"column", "regex"}),
        ("column_values_to_be_in_type_list", {"column", "type_list"}),
        ("table_columns_to_match_ordered_list", {"column_list"}),
        ("table_columns_to_match_set", {"column_set"}),
        ("column_kl_divergence_to_be_less_than", {"column", "partition_object", "threshold"}),
        ("column_values_to_not_be_outliers", {"column"}),
    ],
)
def test_an_expectation_that_holds_of_anything_is_no_rule(name: str, required: set[str]) -> None:
    """GX lets some arguments be absent, and then checks nothing."""
    assert expectations()[name].required == required


def test_rows_are_judged_where_great_expectations_maps_over_them() -> None:
    """What judges the table as a whole cannot tell bad rows; what can be split judges rows."""
    judged = {name for name, known in expectations().items() if known.rows_judged}
    assert {"column_values_to_be_between", "column_pair_values_to_be_equal", "multicolumn_sum_to_equal"} <= judged
    assert not {"column_mean_to_be_between", "table_row_count_to_equal", "column_to_exist", ROWS} & judged
    split = {name for name, known in IN_SQL.items() if can_split(Rule("", known.type, {}))}
    assert split - {ROWS} <= judged


def test_shares_have_no_steps() -> None:
    """GX's forms step by 0.01, and its engines do not care."""
    assert all("multipleOf" not in json.dumps(known.arguments.get("mostly")) for known in IN_SQL.values())


def test_what_is_for_data_in_memory_says_what_to_write_instead() -> None:
    """It is known, so that its name is no riddle."""
    found = expectations()["column_values_to_be_json_parseable"]
    assert (found.description, found.sql, found.arguments) == (NOT_IN_SQL, False, {})


def test_without_great_expectations_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing, or ships no schemas."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r'pip install "great-expectations>=1.24,<2"'):
        module.expectations.__wrapped__()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: json.__spec__)
    with pytest.raises(ConfigurationError, match="Suites need Great Expectations"):
        module.expectations.__wrapped__()

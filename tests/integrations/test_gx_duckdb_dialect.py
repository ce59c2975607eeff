"""Great Expectations on DuckDB: the same verdicts and counts as on PostgreSQL, whatever the table holds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import great_expectations as gx
import great_expectations.expectations as gxe
import pytest
import sqlalchemy
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.expectations.row_conditions import Column

from integrations.mlflow_store import run_python
from integrations.postgres_server import postgres_server
from ostinato.integrations import gx_duckdb_dialect
from ostinato.integrations.gx_duckdb_dialect import guard_gx, served
from ostinato.tables import duck, literal, quote

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed here")

COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0, "exclude_unexpected_values": True}
SCHEMAS = Path(gx.__file__).parent / "expectations" / "core" / "schemas" / "index.json"

# Types that both engines know by these names. `batch` and `other` hold the same rows, `other` one fewer.
COLUMNS = {
    "id": "BIGINT",
    "twice": "INTEGER",
    "few": "INTEGER",
    "small": "SMALLINT",
    "real": "DOUBLE PRECISION",
    "odd": "DOUBLE PRECISION",
    "price": "NUMERIC(10, 2)",
    "text": "VARCHAR",
    "code": "VARCHAR",
    "flag": "BOOLEAN",
    "at": "TIMESTAMP",
    "moment": "TIMESTAMP WITH TIME ZONE",
    "day": "DATE",
    "low": "INTEGER",
    "high": "INTEGER",
    "rest": "INTEGER",
}
TEXTS = ["a%b", "A_1", "two\nlines", "ünïcödé", "", "back\\slash", "quote'd", "  padded ", "abc", "ABC", "a1", None]
START = datetime(2026, 3, 1, 12)


def _row(i: int) -> tuple[Any, ...]:
    return (
        i,
        None if i % 11 == 5 else i // 2,
        None if i % 7 == 3 else i % 4,
        i % 5 + 1,
        None if i % 13 == 6 else (i * 37 % 101) / 7,
        [1.5, math.nan, None, -2.0, 8.25][i % 5],
        None if i % 17 == 8 else Decimal(i * 31 % 997) / 100,
        TEXTS[i % len(TEXTS)],
        None if i % 19 == 4 else f"{'a' if i % 23 == 9 else 'A'}{i % 10}-{i % 3}",
        None if i % 29 == 7 else i % 3 == 0,
        START + timedelta(hours=i * 5, microseconds=i),
        None if i % 31 == 2 else (START + timedelta(minutes=i * 7)).replace(tzinfo=UTC),
        (START + timedelta(days=i % 40)).date(),
        None if i % 37 == 3 else i % 9,
        None if i % 41 in (3, 5) else i % 9 + (0 if i % 10 else -1),
        10 - i % 9 * 2,
    )


ROWS = [_row(i) for i in range(240)]


TABLES = {
    name: f"CREATE TABLE {name} ({', '.join(f'{quote(column)} {kind}' for column, kind in COLUMNS.items())})"
    for name in ("stored", "other")
}

Q = {"quantiles": [0.0, 0.07, 0.25, 0.5, 0.9, 1.0], "allow_relative_error": False}


def _quantiles(low: float, high: float) -> dict[str, Any]:
    return {"quantiles": Q["quantiles"], "value_ranges": [[low, high]] * len(Q["quantiles"])}


# Every expectation that Great Expectations documents for PostgreSQL: once or more as it holds, once or more as it does
# not. What is new there must come here, too; a test sees to it.
HELD_AND_NOT: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "expect_column_distinct_values_to_be_in_set": (
        [{"column": "few", "value_set": [0, 1, 2, 3, 9]}, {"column": "flag", "value_set": [True, False]}],
        [{"column": "few", "value_set": [0, 1]}, {"column": "text", "value_set": ["abc"]}],
    ),
    "expect_column_distinct_values_to_contain_set": (
        [{"column": "few", "value_set": [0, 3]}],
        [{"column": "few", "value_set": [0, 7]}],
    ),
    "expect_column_distinct_values_to_equal_set": (
        [{"column": "few", "value_set": [3, 2, 1, 0]}],
        [{"column": "few", "value_set": [0, 1, 2]}],
    ),
    "expect_column_kl_divergence_to_be_less_than": (
        [{"column": "small", "partition_object": {"values": [1, 2, 3, 4, 5], "weights": [0.2] * 5}, "threshold": 0.1}],
        [
            {
                "column": "small",
                "partition_object": {"values": [1, 2, 3, 4, 5], "weights": [0.9, 0.04, 0.02, 0.02, 0.02]},
                "threshold": 0.1,
            },
            {
                "column": "real",
                "partition_object": {"bins": [0, 4, 8, 15], "weights": [0.2, 0.2, 0.6]},
                "threshold": 0.01,
            },
        ],
    ),
    "expect_column_max_to_be_between": (
        [
            {"column": "real", "min_value": 14, "max_value": 15},
            {"column": "at", "min_value": "2026-04-01", "max_value": "2026-05-01"},
            {"column": "at", "min_value": datetime(2026, 4, 1), "max_value": datetime(2026, 5, 1)},
            {"column": "moment", "min_value": datetime(2026, 3, 1, tzinfo=UTC)},
            {"column": "price", "max_value": 10},
        ],
        [
            {"column": "id", "max_value": 238},
            {"column": "at", "min_value": "2026-05-01"},
            {"column": "odd", "max_value": 5},
            {"column": "id", "max_value": 239, "strict_max": True},
        ],
    ),
    "expect_column_mean_to_be_between": (
        [{"column": "id", "min_value": 119, "max_value": 120}, {"column": "price", "min_value": 4, "max_value": 6}],
        [{"column": "real", "max_value": 1}, {"column": "odd", "min_value": 0, "max_value": 3}],
    ),
    "expect_column_median_to_be_between": (
        [
            {"column": "id", "min_value": 119.5, "max_value": 119.5},
            {"column": "price", "min_value": 0, "max_value": 10},
            {"column": "real", "min_value": 0, "max_value": 10},
        ],
        [{"column": "id", "max_value": 1}],
    ),
    "expect_column_min_to_be_between": (
        [
            {"column": "id", "min_value": 0},
            {"column": "odd", "max_value": 0},
            {"column": "day", "min_value": "2026-02-01"},
            {"column": "moment", "min_value": datetime(2026, 3, 1, tzinfo=UTC)},
        ],
        [{"column": "price", "min_value": 1}, {"column": "id", "min_value": 0, "strict_min": True}],
    ),
    "expect_column_most_common_value_to_be_in_set": (
        [{"column": "odd", "value_set": [1.5, -2.0, 8.25], "ties_okay": True}],
        [{"column": "text", "value_set": ["nothing"]}, {"column": "small", "value_set": [1], "ties_okay": False}],
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        [
            {"column_A": "high", "column_B": "low", "or_equal": True, "mostly": 0.8},
            {"column_A": "id", "column_B": "twice", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
        ],
        [{"column_A": "high", "column_B": "low"}, {"column_A": "high", "column_B": "low", "ignore_row_if": "neither"}],
    ),
    "expect_column_pair_values_to_be_equal": (
        [{"column_A": "low", "column_B": "high", "mostly": 0.8}],
        [
            {"column_A": "low", "column_B": "high"},
            {"column_A": "low", "column_B": "high", "ignore_row_if": "either_value_is_missing"},
        ],
    ),
    "expect_column_pair_values_to_be_in_set": (
        [
            {
                "column_A": "low",
                "column_B": "rest",
                "value_pairs_set": [(n, 10 - 2 * n) for n in range(9)],
                "mostly": 0.9,
            }
        ],
        [{"column_A": "low", "column_B": "high", "value_pairs_set": [(1, 1), (2, 2), (3, None)]}],
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": (
        [{"column": "twice", "min_value": 0.9, "max_value": 0.95}],
        [{"column": "odd", "min_value": 0.95}],
    ),
    "expect_column_proportion_of_unique_values_to_be_between": (
        [{"column": "id", "min_value": 1, "max_value": 1}],
        [{"column": "twice", "min_value": 0.9}, {"column": "odd", "min_value": 0.9}],
    ),
    "expect_column_quantile_values_to_be_between": (
        [
            {"column": "id", "quantile_ranges": _quantiles(0, 240)},
            {"column": "price", "quantile_ranges": _quantiles(0, 10)},
        ],
        [
            {"column": "real", "quantile_ranges": _quantiles(3, 4)},
            {"column": "odd", "quantile_ranges": _quantiles(0, 2)},
        ],
    ),
    "expect_column_stdev_to_be_between": (
        [{"column": "id", "min_value": 69, "max_value": 70}, {"column": "price", "min_value": 2, "max_value": 4}],
        [{"column": "real", "max_value": 1}, {"column": "odd", "max_value": 1}],
    ),
    "expect_column_sum_to_be_between": (
        [{"column": "id", "min_value": 28680, "max_value": 28680}, {"column": "price", "min_value": 1000}],
        [{"column": "real", "max_value": 1}, {"column": "odd", "max_value": 1}],
    ),
    "expect_column_to_exist": ([{"column": "id", "column_index": 0}], [{"column": "nowhere"}]),
    "expect_column_type_to_be": (
        [
            {"column": "id", "type_": "BIGINT"},
            {"column": "price", "type_": "NUMERIC(10, 2)"},
            {"column": "at", "type_": "TIMESTAMP WITHOUT TIME ZONE"},
        ],
        [{"column": "id", "type_": "VARCHAR"}],
    ),
    "expect_column_unique_value_count_to_be_between": (
        [{"column": "odd", "min_value": 4, "max_value": 4}, {"column": "text", "min_value": 11, "max_value": 11}],
        [{"column": "few", "min_value": 5}],
    ),
    "expect_column_value_lengths_to_be_between": (
        [{"column": "text", "min_value": 0, "max_value": 10}, {"column": "code", "min_value": 4, "mostly": 0.9}],
        [{"column": "text", "min_value": 4, "max_value": 8}, {"column": "text", "min_value": 3, "strict_min": True}],
    ),
    "expect_column_value_lengths_to_equal": ([{"column": "code", "value": 4}], [{"column": "text", "value": 3}]),
    "expect_column_value_z_scores_to_be_less_than": (
        [{"column": "real", "threshold": 4, "double_sided": True}],
        [
            {"column": "real", "threshold": 1, "double_sided": True},
            {"column": "price", "threshold": 1, "double_sided": False},
            {"column": "id", "threshold": 1, "double_sided": True},
        ],
    ),
    "expect_column_values_to_be_between": (
        [
            {"column": "real", "min_value": 0, "max_value": 15},
            {"column": "odd", "min_value": 0, "mostly": 0.5},  # NaN is above every number
            {"column": "at", "min_value": "2026-03-01 12:00:00", "max_value": "2027-01-01 00:00:00"},
            {"column": "day", "min_value": "2026-03-01", "max_value": "2026-04-30"},
            {"column": "moment", "min_value": datetime(2026, 3, 1, tzinfo=UTC)},
        ],
        [
            {"column": "odd", "min_value": 0, "max_value": 100},
            {"column": "price", "min_value": 1, "strict_min": True, "max_value": 5},
            {"column": "at", "max_value": datetime(2026, 3, 20, 2)},
            {"column": "small", "min_value": 1, "max_value": 5, "strict_max": True},
        ],
    ),
    "expect_column_values_to_be_in_set": (
        [
            {"column": "few", "value_set": [0, 1, 2, 3]},
            {"column": "text", "value_set": [text for text in TEXTS if text is not None]},
            {"column": "flag", "value_set": [True, False]},
            {"column": "price", "value_set": [0.31, 0.62, 0], "mostly": 0},
        ],
        [
            {"column": "few", "value_set": [0, 1]},
            {"column": "text", "value_set": ["abc", "quote'd", "a%b", "back\\slash"]},
            {"column": "odd", "value_set": [1.5, 8.25]},
            {"column": "day", "value_set": [date(2026, 3, 1), date(2026, 3, 2)]},
        ],
    ),
    "expect_column_values_to_be_in_type_list": (
        [{"column": "text", "type_list": ["TEXT", "VARCHAR"]}],
        [{"column": "text", "type_list": ["INTEGER", "BIGINT"]}],
    ),
    "expect_column_values_to_be_null": (
        [{"column": "odd", "mostly": 0.2}],
        [{"column": "id"}, {"column": "twice"}],
    ),
    "expect_column_values_to_be_of_type": (
        [
            {"column": "real", "type_": "DOUBLE PRECISION"},
            {"column": "flag", "type_": "BOOLEAN"},
            {"column": "moment", "type_": "TIMESTAMP WITH TIME ZONE"},
        ],
        [{"column": "real", "type_": "INTEGER"}],
    ),
    "expect_column_values_to_be_unique": (
        [{"column": "id"}, {"column": "at"}],
        [{"column": "twice"}, {"column": "text"}, {"column": "odd"}, {"column": "code", "mostly": 0.99}],
    ),
    "expect_column_values_to_match_like_pattern": (
        [{"column": "code", "like_pattern": "__-_"}, {"column": "text", "like_pattern": "%a%", "mostly": 0.3}],
        [
            {"column": "text", "like_pattern": "a\\%b"},
            {"column": "text", "like_pattern": "%\\\\%"},
            {"column": "text", "like_pattern": "A!_1", "escape": "!"},
            {"column": "text", "like_pattern": "A_1"},
        ],
    ),
    "expect_column_values_to_match_like_pattern_list": (
        [{"column": "code", "like_pattern_list": ["A%", "a%"]}],
        [
            {"column": "text", "like_pattern_list": ["a\\%%", "%1"]},
            {"column": "text", "like_pattern_list": ["a%", "%1"], "match_on": "all"},
        ],
    ),
    "expect_column_values_to_match_regex": (
        [{"column": "code", "regex": "[0-9]-[0-9]"}, {"column": "code", "regex": "^[A-Za-z]\\d-\\d$"}],
        [
            {"column": "code", "regex": "^A"},
            {"column": "text", "regex": "two.lines"},
            {"column": "text", "regex": "^lines"},
            {"column": "text", "regex": "(?i)^abc$"},
            {"column": "text", "regex": "^.{3}$"},
            {"column": "text", "regex": "[[:alpha:]]+"},
            {"column": "text", "regex": "\\s"},
            {"column": "text", "regex": "'|\\\\|%"},
        ],
    ),
    "expect_column_values_to_match_regex_list": (
        [{"column": "code", "regex_list": ["^A", "^a"]}],
        [
            {"column": "text", "regex_list": ["^a", "1$"]},
            {"column": "text", "regex_list": ["^a", "1$"], "match_on": "all"},
        ],
    ),
    "expect_column_values_to_not_be_in_set": (
        [{"column": "few", "value_set": [7, 8]}],
        [{"column": "few", "value_set": [0]}, {"column": "text", "value_set": ["", "abc"]}],
    ),
    "expect_column_values_to_not_be_null": (
        [{"column": "id"}, {"column": "twice", "mostly": 0.9}],
        [{"column": "odd"}, {"column": "moment"}, {"column": "flag"}],
    ),
    "expect_column_values_to_not_be_outliers": (
        [{"column": "real", "method": "iqr", "multiplier": 1.5}, {"column": "price", "method": "std", "multiplier": 3}],
        [
            {"column": "real", "method": "iqr", "multiplier": 0.1},
            {"column": "price", "method": "std", "multiplier": 1},
            {"column": "id", "method": "iqr", "multiplier": 0.1},
        ],
    ),
    "expect_column_values_to_not_match_like_pattern": (
        [{"column": "code", "like_pattern": "Z%"}],
        [{"column": "text", "like_pattern": "a\\%%"}, {"column": "text", "like_pattern": "%c"}],
    ),
    "expect_column_values_to_not_match_like_pattern_list": (
        [{"column": "code", "like_pattern_list": ["Z%", "z%"]}],
        [{"column": "text", "like_pattern_list": ["a\\%%", "%c"]}],
    ),
    "expect_column_values_to_not_match_regex": (
        [{"column": "code", "regex": "z"}],
        [{"column": "text", "regex": "b"}, {"column": "text", "regex": "o.l"}],
    ),
    "expect_column_values_to_not_match_regex_list": (
        [{"column": "code", "regex_list": ["z", "Z"]}],
        [{"column": "text", "regex_list": ["b", "^A"]}],
    ),
    "expect_compound_columns_to_be_unique": (
        [{"column_list": ["id", "few"]}],
        [
            {"column_list": ["text", "small"], "mostly": 0.999},
            {"column_list": ["few", "low"]},
            {"column_list": ["few", "low"], "ignore_row_if": "any_value_is_missing"},
            {"column_list": ["few", "odd"], "ignore_row_if": "never"},
        ],
    ),
    "expect_multicolumn_sum_to_equal": (
        [{"column_list": ["low", "low", "rest"], "sum_total": 10, "mostly": 0.9}],
        [
            {"column_list": ["low", "high", "rest"], "sum_total": 10},
            {"column_list": ["low", "high", "rest"], "sum_total": 10, "ignore_row_if": "any_value_is_missing"},
        ],
    ),
    "expect_multicolumn_values_to_be_equal": (
        [{"column_list": ["low", "high"], "mostly": 0.8}],
        [{"column_list": ["low", "high", "rest"]}],
    ),
    "expect_query_results_to_match_comparison": (
        [
            {
                "base_query": "SELECT few, count(*) AS n FROM {batch} GROUP BY few",
                "comparison_data_source_name": "source",
                "comparison_query": "SELECT few, count(*) AS n FROM stored GROUP BY few",
            }
        ],
        [
            {
                "base_query": "SELECT few, price, moment FROM {batch}",
                "comparison_data_source_name": "source",
                "comparison_query": "SELECT few, price, moment FROM other",
            }
        ],
    ),
    "expect_select_column_values_to_be_unique_within_record": (
        [{"column_list": ["id", "rest"], "mostly": 0.9}],
        [{"column_list": ["low", "high", "few"]}, {"column_list": ["low", "high"], "ignore_row_if": "never"}],
    ),
    "expect_table_column_count_to_be_between": ([{"min_value": 16, "max_value": 16}], [{"max_value": 15}]),
    "expect_table_column_count_to_equal": ([{"value": 16}], [{"value": 2}]),
    "expect_table_columns_to_match_ordered_list": (
        [{"column_list": list(COLUMNS)}],
        [{"column_list": list(reversed(COLUMNS))}],
    ),
    "expect_table_columns_to_match_set": (
        [{"column_set": sorted(COLUMNS)}, {"column_set": ["id", "few"], "exact_match": False}],
        [{"column_set": ["id", "few"]}],
    ),
    "expect_table_row_count_to_be_between": ([{"min_value": 240, "max_value": 240}], [{"max_value": 239}]),
    "expect_table_row_count_to_equal": ([{"value": 240}], [{"value": 1}]),
    "expect_table_row_count_to_equal_other_table": (
        [{"other_table_name": "stored"}],
        [{"other_table_name": "other"}],
    ),
    "unexpected_rows_expectation": (
        [{"unexpected_rows_query": "SELECT * FROM {batch} WHERE price < 0"}],
        [
            {"unexpected_rows_query": "SELECT id, moment FROM {batch} WHERE few < (SELECT max(low) FROM other)"},
            {"unexpected_rows_query": "SELECT * FROM {batch} WHERE text LIKE 'a%' AND text <> '{{}}'"},
        ],
    ),
}

FEW = Column("few") == 1
WITH_CONDITION: dict[str, dict[str, Any]] = {
    "expect_column_distinct_values_to_be_in_set": {"column": "low", "value_set": [1, 2]},
    "expect_column_kl_divergence_to_be_less_than": {
        "column": "real",
        "partition_object": {"bins": [0, 4, 8, 15], "weights": [0.2, 0.2, 0.6]},
        "threshold": 0.01,
    },
    "expect_column_median_to_be_between": {"column": "real", "min_value": 3},
    "expect_column_most_common_value_to_be_in_set": {"column": "low", "value_set": [3]},
    "expect_column_pair_values_to_be_equal": {"column_A": "low", "column_B": "high"},
    "expect_column_quantile_values_to_be_between": {"column": "id", "quantile_ranges": _quantiles(0, 9)},
    "expect_column_stdev_to_be_between": {"column": "real", "max_value": 3},
    "expect_column_unique_value_count_to_be_between": {"column": "low", "min_value": 20},
    "expect_column_value_z_scores_to_be_less_than": {"column": "real", "threshold": 1, "double_sided": True},
    "expect_column_values_to_be_between": {"column": "price", "min_value": 3},
    "expect_column_values_to_be_unique": {"column": "text"},
    "expect_column_values_to_not_be_outliers": {"column": "real", "multiplier": 0.1},
    "expect_compound_columns_to_be_unique": {"column_list": ["text", "low"]},
    "expect_multicolumn_sum_to_equal": {"column_list": ["low", "rest"], "sum_total": 9},
    "expect_table_row_count_to_equal": {"value": 3},
}

CASES = [
    pytest.param(name, holds, kwargs, id=f"{name}-{'holds' if holds else 'does not'}-{number}")
    for name, both in HELD_AND_NOT.items()
    for holds, several in zip((True, False), both, strict=True)
    for number, kwargs in enumerate(several)
]

# Where DuckDB answers otherwise, and why it cannot be helped.
DIFFERENT = {
    "looks ahead": (
        "expect_column_values_to_match_regex",
        {"column": "text", "regex": "a(?=b)"},
        "DuckDB searches with RE2, which takes no look-around: it raises rather than count wrongly",
    ),
    "refers back": (
        "expect_column_values_to_match_regex",
        {"column": "text", "regex": "(d)\\1"},
        "DuckDB searches with RE2, which takes no back-references: it raises rather than count wrongly",
    ),
    "word boundary": (
        "expect_column_values_to_match_regex",
        {"column": "text", "regex": "\\babc"},
        r"\b is a word boundary in DuckDB, as in Python; in PostgreSQL it is a backspace, and \y the boundary",
    ),
    "a quantile at the edge of two rows": (
        "expect_column_quantile_values_to_be_between",
        {
            "column": "id",
            "quantile_ranges": {"quantiles": [0.07], "value_ranges": [[0, 99]]},
            "row_condition": Column("id") < 100,
        },
        "0.07 * 100 is 7.000000000000001 for PostgreSQL, which takes the 8th row; DuckDB takes the 7th, exactly",
    ),
    "another type": (
        "expect_column_values_to_be_in_set",
        {"column": "few", "value_set": ["0", "1"]},
        "DuckDB compares numbers with text that holds numbers; PostgreSQL raises",
    ),
    "operator in SQL": (
        "unexpected_rows_expectation",
        {"unexpected_rows_query": "SELECT * FROM {batch} WHERE text ~ 'two.lines'"},
        "Great Expectations passes SQL on as it is written, and a dot is no newline for DuckDB's own ~",
    ),
}


def _expectation(name: str, kwargs: dict[str, Any], case: str) -> Any:
    return get_expectation_impl(name)(**kwargs, meta={"case": case})


def _validated(url: str, expectations: list[Any], result_format: Any = None, table: str = "batch") -> dict[str, Any]:
    """The result of each expectation by its `case`; exceptions are in the results."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    add = context.data_sources.add_postgres if url.startswith("postgresql") else context.data_sources.add_sql
    asset = add("source", connection_string=url).add_table_asset("asset", table_name=table)
    suite = gx.ExpectationSuite(name="suite", expectations=expectations)
    batch = asset.add_batch_definition_whole_table("whole").get_batch()
    found = batch.validate(suite, result_format=result_format or COUNTS)
    return {result.expectation_config.meta["case"]: result for result in found.results}


def _raised(result: Any) -> list[str]:
    """What was raised: Great Expectations tells of one exception, or of one for each metric."""
    info = result.exception_info
    several = [info] if "raised_exception" in info else info.values()
    return [each["exception_message"] for each in several if each["raised_exception"]]


def _told(result: Any) -> dict[str, Any]:
    """What a validation tells apart from rows, which are listed in any order."""
    listed = ("partial_unexpected_list", "partial_unexpected_index_list", "partial_unexpected_counts")
    listed += ("unexpected_list", "unexpected_index_list", "unexpected_index_query", "details")
    return {key: value for key, value in result.result.items() if key not in listed}


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    numbers = (int, float, Decimal)
    if isinstance(ours, numbers) and isinstance(theirs, numbers):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return bool(ours == theirs)


@contextmanager
def _connection(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with `stored` in a Parquet file behind the view `batch`, and `other`."""
    guard_gx()
    with duck() as connection:
        for name, rows in (("stored", ROWS), ("other", ROWS[1:])):
            connection.execute(TABLES[name])
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(COLUMNS))})", rows)
        connection.execute(f"COPY stored TO {literal(str(home / 'stored.parquet'))}")
        connection.execute(f"CREATE VIEW batch AS FROM read_parquet({literal(str(home / 'stored.parquet'))})")
        connection.execute("CREATE VIEW empty AS FROM batch WHERE id < 0")
        yield connection


def _fill_postgresql(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as session:
        for name, rows in (("stored", ROWS), ("other", ROWS[1:])):
            session.execute(TABLES[name])
            places = ", ".join(["%s"] * len(COLUMNS))
            session.cursor().executemany(f"INSERT INTO {name} VALUES ({places})", rows)
        session.execute("CREATE VIEW batch AS SELECT * FROM stored")
        session.execute("CREATE VIEW empty AS SELECT * FROM batch WHERE id < 0")


Found = dict[str, tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """All results: DuckDB's and PostgreSQL's."""
    cases = [_expectation(*case.values[::2], case=case.id) for case in CASES]
    narrowed = [_expectation(name, {**kwargs, "row_condition": FEW}, name) for name, kwargs in WITH_CONDITION.items()]
    different = [_expectation(name, kwargs, case) for case, (name, kwargs, _) in DIFFERENT.items()]
    complete = {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]}
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, postgres_server() as theirs:
        patch.setenv("OSTINATO_HOME", str(home))
        _fill_postgresql(theirs)
        with _connection(home) as connection, served(connection) as ours:
            return {
                "counts": (_validated(ours, cases + narrowed), _validated(theirs, cases + narrowed)),
                "different": (_validated(ours, different), _validated(theirs, different)),
                "complete": (_validated(ours, cases, complete), _validated(theirs, cases, complete)),
                "no rows": (_validated(ours, cases, table="empty"), _validated(theirs, cases, table="empty")),
            }


@pytest.fixture
def case(request: pytest.FixtureRequest) -> str:
    """Which case of the table the test is about."""
    return str(request.node.callspec.id)


@pytest.mark.parametrize(("name", "holds", "kwargs"), CASES)
def test_every_documented_expectation_says_the_same_on_duckdb_as_on_postgresql(
    found: Found, case: str, name: str, holds: bool, kwargs: dict[str, Any]
) -> None:
    """Verdict, counts and observed value are equal, and neither engine raised."""
    ours, theirs = (results[case] for results in found["counts"])
    assert [_raised(ours), _raised(theirs)] == [[], []]
    assert [ours.success, theirs.success] == [holds, holds], (ours.result, theirs.result)
    assert _same(_told(ours), _told(theirs)), (ours.result, theirs.result)


def test_no_documented_expectation_is_left_out() -> None:
    """A new version of Great Expectations may document more for PostgreSQL: they belong into the table above."""
    documented = json.loads(SCHEMAS.read_text())["expectations"]
    supported = {name for name, facts in documented.items() if "PostgreSQL" in facts["supported_data_sources"]}
    assert supported == HELD_AND_NOT.keys()
    assert [name for name, (held, not_held) in HELD_AND_NOT.items() if not held or not not_held] == []


@pytest.mark.parametrize(("name", "holds", "kwargs"), CASES)
def test_complete_results_list_the_same_rows(
    found: Found, case: str, name: str, holds: bool, kwargs: dict[str, Any]
) -> None:
    """COMPLETE lists them by value and by key; Great Expectations stops at 200."""
    ours, theirs = (results[case] for results in found["complete"])
    assert [_raised(ours), _raised(theirs)] == [[], []]
    assert _same(_told(ours), _told(theirs))
    if theirs.result.get("unexpected_count", 0) < 200:
        for key in ("unexpected_list", "unexpected_index_list"):
            listed = [sorted(map(repr, result.result.get(key) or [])) for result in (ours, theirs)]
            assert listed[0] == listed[1]


@pytest.mark.parametrize(("name", "holds", "kwargs"), CASES)
def test_a_table_without_rows_is_judged_alike(
    found: Found, case: str, name: str, holds: bool, kwargs: dict[str, Any]
) -> None:
    """Where nothing is to be counted the results are equal, too; what raises does so on both engines."""
    ours, theirs = (results[case] for results in found["no rows"])
    assert bool(_raised(ours)) == bool(_raised(theirs))
    assert ours.success == theirs.success
    assert _same(_told(ours), _told(theirs)), (ours.result, theirs.result)


@pytest.mark.parametrize("name", WITH_CONDITION)
def test_a_row_condition_narrows_the_rows_alike(found: Found, name: str) -> None:
    """Great Expectations' own conditions reach both engines as SQL."""
    ours, theirs = (results[name] for results in found["counts"])
    assert [_raised(ours), _raised(theirs)] == [[], []]
    assert ours.success == theirs.success
    assert _same(_told(ours), _told(theirs)), (ours.result, theirs.result)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.xfail(reason=reason)) for case, (*_, reason) in DIFFERENT.items()]
)
def test_duckdb_differs_from_postgresql(found: Found, case: str) -> None:
    """Each of these is documented above with its reason; the day it changes, this test says so."""
    ours, theirs = (results[case] for results in found["different"])
    assert [_raised(ours), _raised(theirs)] == [[], []]
    assert _same(_told(ours), _told(theirs))


# One value of each type that DuckDB has.
ODD = {
    "tinyint": "1::TINYINT",
    "utinyint": "1::UTINYINT",
    "usmallint": "1::USMALLINT",
    "uinteger": "1::UINTEGER",
    "ubigint": "18446744073709551615::UBIGINT",
    "hugeint": "170141183460469231731687303715884105727::HUGEINT",
    "uhugeint": "1::UHUGEINT",
    "bignum": "1::BIGNUM",
    "decimal": "1.5::DECIMAL(38, 10)",
    "float": "'inf'::FLOAT",
    "uuid": "'9c4ba31e-2875-4de7-9a0d-c6a922217860'::UUID",
    "date": "'290000-01-01'::DATE",
    "time": "'10:00'::TIME",
    "time_ns": "'10:00'::TIME_NS",
    "timetz": "'10:00:00+01'::TIMETZ",
    "timestamp": "'infinity'::TIMESTAMP",
    "timestamp_s": "'2026-01-01'::TIMESTAMP_S",
    "timestamp_ms": "'2026-01-01'::TIMESTAMP_MS",
    "timestamp_ns": "'2026-01-01'::TIMESTAMP_NS",
    "timestamptz": "'2026-01-01'::TIMESTAMPTZ",
    "timestamptz_ns": "'2026-01-01'::TIMESTAMPTZ_NS",
    "interval": "INTERVAL 1 MONTH",
    "enum": "'x'::ENUM('x', 'y''(z)')",
    "blob": "'a'::BLOB",
    "bit": "'101'::BIT",
    "json": "'{}'::JSON",
    "variant": "1::VARIANT",
    "geometry": "'POINT(0 0)'::GEOMETRY",
    "list": "['2026-01-01'::TIMESTAMPTZ]",
    "array": "array_value(1, 2)",
    "struct": "{'a': '2026-01-01'::TIMESTAMPTZ, 'b \"c': 1}",
    "map": "MAP {'a': 1}",
    "union": "union_value(n := 1)",
    "null": "NULL",
    "own": "'x'::own",
}


@pytest.fixture
def odd() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a table `batch` of 3 rows: a number `n`, and a column of each type, named after it."""
    guard_gx()
    with duck() as connection:
        connection.execute("CREATE TYPE own AS VARCHAR")
        columns = ", ".join(f"{value} AS {quote(name)}" for name, value in ODD.items())
        connection.execute(f"CREATE TABLE batch AS SELECT n, {columns} FROM range(3) AS r(n)")
        yield connection


def test_the_odd_table_has_every_type_of_duckdb(odd: duckdb.DuckDBPyConnection) -> None:
    """A new version of DuckDB may have more types: they belong into the table above."""
    common = {"BIGINT", "BOOLEAN", "DOUBLE", "INTEGER", "SMALLINT", "VARCHAR"}  # in the table of the other tests
    inner = {"TUPLE", "TYPE"}  # of no column in Parquet
    known = {kind for (kind,) in odd.execute("SELECT DISTINCT upper(logical_type) FROM duckdb_types()").fetchall()}
    here = odd.execute("SELECT upper(data_type), upper(column_name) FROM duckdb_columns()").fetchall()
    assert known - common - inner <= {re.sub(r"[(\[].*", "", text.strip('"')) for pair in here for text in pair}


def test_one_odd_column_spoils_no_expectation_on_another(odd: duckdb.DuckDBPyConnection) -> None:
    """Reflection gives every type a name; a row with all of them can be listed; the odd ones themselves are counted."""
    expectations = [
        gxe.ExpectColumnValuesToBeUnique(column="n", meta={"case": "unique"}),
        gxe.ExpectColumnMeanToBeBetween(column="n", min_value=2, meta={"case": "mean"}),
        gxe.ExpectTableColumnsToMatchSet(column_set=["n", *ODD], meta={"case": "set"}),
        gxe.UnexpectedRowsExpectation(unexpected_rows_query="SELECT * FROM {batch} WHERE n = 1", meta={"case": "rows"}),
        gxe.ExpectColumnValuesToBeBetween(column="n", min_value=1, meta={"case": "between"}),
    ]
    expectations += [gxe.ExpectColumnValuesToNotBeNull(column=name, meta={"case": f"{name} null"}) for name in ODD]
    expectations += [gxe.ExpectColumnValuesToBeUnique(column=name, meta={"case": f"{name} unique"}) for name in ODD]
    complete = {"result_format": "COMPLETE", "unexpected_index_column_names": ["timestamptz"]}
    for result_format in (COUNTS, {**complete, "include_unexpected_rows": True}):
        with served(odd) as url:
            found = _validated(url, expectations, result_format)
        assert {case: _raised(result) for case, result in found.items() if _raised(result)} == {}
        assert [found[case].success for case in ("unique", "mean", "set", "rows", "between")] == [1, 0, 1, 0, 0]
        assert found["rows"].result["observed_value"] == found["between"].result["unexpected_count"] == 1
        for name in ODD.keys() - {"null"}:
            assert found[f"{name} null"].success
            assert found[f"{name} unique"].result["unexpected_count"] == 3
        assert found["null null"].result["unexpected_count"] == 3


def test_types_have_the_names_of_postgresql_where_it_has_them(odd: duckdb.DuckDBPyConnection) -> None:
    """So that a suite that names types says the same of both; others keep DuckDB's name."""
    with served(odd) as url:
        engine = sqlalchemy.create_engine(url)
        columns = {column["name"]: column["type"] for column in sqlalchemy.inspect(engine).get_columns("batch")}
    names = {name: kind.compile(dialect=engine.dialect) for name, kind in columns.items()}
    assert names["decimal"] == "NUMERIC(38, 10)"
    assert names["timestamp"] == "TIMESTAMP WITHOUT TIME ZONE"
    assert names["float"] == "REAL"
    assert names["hugeint"] == "HUGEINT"
    assert names["array"] == "INTEGER[2]"


def test_moments_come_with_their_zone_though_pytz_is_missing(odd: duckdb.DuckDBPyConnection) -> None:
    """DuckDB wants pytz for TIMESTAMP WITH TIME ZONE; the rest of such a row is as it always is."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with served(odd) as url, sqlalchemy.create_engine(url).connect() as session:
        row = session.exec_driver_sql(
            "SELECT timestamptz, timestamptz AS timestamptz, timestamptz_ns, hugeint, list, ? FROM batch", (1,)
        ).fetchone()
    assert tuple(row) == (moment, moment, moment, 2**127 - 1, [datetime(2026, 1, 1)], 1)


HOSTILE = [
    'say "hi"',
    "it's",
    "a; DROP TABLE batch; --",
    "50 %",
    "%(x)s",
    "a:b",
    ":param",
    "{}",
    "{batch}",
    "{0[a]!r:>3}",
    "a?b$1",
    "x" * 200,
    "größe 尺寸 🐘",
    "two\nlines",
    "no-break\u00a0space~~",
    "MiXeD",
    "at",
    "select",
    " ",
    "back\\table",
    "a.b",
    "count(*)",
]


def test_hostile_column_names_are_only_names() -> None:
    """Quotes, semicolons, percent signs, colons, braces, 200 characters, reserved words: counts as for any other."""
    guard_gx()
    kinds = {
        "null": lambda column: gxe.ExpectColumnValuesToNotBeNull(column=column),
        "unique": lambda column: gxe.ExpectColumnValuesToBeUnique(column=column),
        "set": lambda column: gxe.ExpectColumnValuesToBeInSet(column=column, value_set=["v1", "v'2", "%(x)s", ":x"]),
        "regex": lambda column: gxe.ExpectColumnValuesToMatchRegex(column=column, regex="v[01]$"),
        "like": lambda column: gxe.ExpectColumnValuesToMatchLikePattern(column=column, like_pattern="v%"),
        "distinct": lambda column: gxe.ExpectColumnUniqueValueCountToBeBetween(column=column, max_value=1),
        "pair": lambda column: gxe.ExpectCompoundColumnsToBeUnique(column_list=[column, "n"]),
    }
    expectations = []
    for column in HOSTILE:
        for kind, made in kinds.items():
            expectation = made(column)
            expectation.meta = {"case": f"{kind} {column}"}
            expectations.append(expectation)
    with duck() as connection:
        columns = ", ".join(f"'v' || (n // 2) AS {quote(name)}" for name in HOSTILE)
        connection.execute(f"CREATE TABLE batch AS SELECT n, {columns} FROM range(8) AS r(n)")
        # Great Expectations' own query for the rows replaces each question mark, be it in a name.
        complete = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
        for result_format in (COUNTS, {**complete, "unexpected_index_column_names": HOSTILE}):
            with served(connection) as url:
                found = _validated(url, expectations, result_format)
            assert {case: _raised(result) for case, result in found.items() if _raised(result)} == {}
            for column in HOSTILE:
                counts = [found[f"{kind} {column}"].result.get("unexpected_count") for kind in kinds]
                assert counts == [0, 8, 6, 4, 0, None, 0]
                assert found[f"distinct {column}"].result["observed_value"] == 4
        assert connection.execute("SELECT count(*) FROM batch").fetchall() == [(8,)]


def test_a_column_is_found_whatever_the_case_of_its_name(odd: duckdb.DuckDBPyConnection) -> None:
    """As SQL has it: `N` is `n`; a name that is not there raises, for that expectation only."""
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(column="N", min_value=1, meta={"case": "N"}),
        gxe.ExpectColumnValuesToBeBetween(column="nowhere", min_value=1, meta={"case": "nowhere"}),
        gxe.ExpectColumnMeanToBeBetween(column="uuid", min_value=1, meta={"case": "no number"}),
        gxe.ExpectColumnMeanToBeBetween(column="n", min_value=1, meta={"case": "n"}),
    ]
    with served(odd) as url:
        found = _validated(url, expectations)
    assert found["N"].result["unexpected_count"] == 1
    assert found["n"].result["observed_value"] == 1
    assert '"nowhere" in BatchData does not exist' in _raised(found["nowhere"])[0]
    assert _raised(found["no number"])
    assert not _raised(found["N"])
    assert not _raised(found["n"])


def test_values_are_bound_and_operators_are_those_of_postgresql() -> None:
    """What SQLAlchemy writes for PostgreSQL is answered so by DuckDB, and no value stands in the statement."""
    column, pattern = sqlalchemy.column("text"), sqlalchemy.literal("'; DROP TABLE batch; --|ab")
    asked = {
        column.op("~")(pattern): True,
        column.op("!~")(pattern): False,
        column.op("~*")(sqlalchemy.literal("AB")): True,
        column.op("!~*")(sqlalchemy.literal("AB")): False,
        column.regexp_match("^b"): False,
        ~column.regexp_match("^b"): True,
        column.regexp_match("^XA", flags="i"): True,
        column.like("xab\\%"): True,
        column.not_like("xab\\_"): True,
        column.ilike("XAB!%", escape="!"): True,
        column.not_ilike("XAB%"): False,
        sqlalchemy.literal(7) // sqlalchemy.literal(2) == 3: True,
    }
    with duck() as connection:
        connection.execute("CREATE TABLE batch AS SELECT 'xab%' AS text")
        with served(connection) as url, sqlalchemy.create_engine(url).connect() as session:
            for condition, answer in asked.items():
                query = sqlalchemy.select(condition).select_from(sqlalchemy.table("batch"))
                assert "DROP" not in str(query.compile(session))
                assert session.execute(query).scalar() is answer, str(condition)


def test_rows_are_fetched_after_the_connection_was_given_back(odd: duckdb.DuckDBPyConnection) -> None:
    """Great Expectations leaves the connection's `with` before it fetches; several results lie open side by side."""
    with served(odd) as url:
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as session:
            first = session.exec_driver_sql("SELECT n FROM batch ORDER BY n")
            second = session.exec_driver_sql("SELECT -n FROM batch ORDER BY n")
            session.rollback()
        assert first.fetchmany(2) == [(0,), (1,)]
        assert second.fetchall() == [(0,), (-1,), (-2,)]
        assert first.fetchone() == (2,)
        assert first.fetchone() is None


def test_nothing_is_served_after_the_body(odd: duckdb.DuckDBPyConnection) -> None:
    """Neither a new connection nor an open result reaches DuckDB, which stays the caller's to use and to close."""
    with served(odd) as url:
        engine = sqlalchemy.create_engine(url)
        session = engine.connect()
        left = session.exec_driver_sql("SELECT n FROM batch")
    assert gx_duckdb_dialect._sessions == {}
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="closed"):
        left.fetchall()
    for use in (engine.connect, lambda: session.exec_driver_sql("SELECT 1")):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="has ended"):
            use()
    assert odd.execute("SELECT count(*) FROM batch").fetchall() == [(3,)]


def test_threads_read_one_instance_side_by_side() -> None:
    """Each SQLAlchemy connection has cursors of its own."""
    with duck() as connection, served(connection) as url:
        connection.execute("CREATE TABLE batch AS SELECT range AS n FROM range(100000)")
        engine = sqlalchemy.create_engine(url)

        def total(least: int) -> Any:
            with engine.connect() as session:
                return session.exec_driver_sql("SELECT count(*) FROM batch WHERE n >= ?", (least,)).scalar()

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(total, range(40))) == [100_000 - least for least in range(40)]


def test_a_long_result_is_not_held_in_memory(home: Path) -> None:
    """COMPLETE asks for all unexpected rows and fetches 200 of them: they stay in DuckDB."""
    told = run_python(
        """
import resource, sqlalchemy
from ostinato.integrations.gx_duckdb_dialect import served
from ostinato.tables import duck
with duck() as connection, served(connection) as url:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as session:
        session.exec_driver_sql("SELECT 1").fetchall()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = session.exec_driver_sql("SELECT range AS n, 'some text ' || range FROM range(5000000)")
    assert len(found.fetchmany(200)) == 200
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) < 100  # MB; some 700 as Python rows


def test_duckdb_complains_of_no_leak_when_the_process_ends(home: Path) -> None:
    """Great Expectations keeps its context in a global: nothing of DuckDB may hang on it."""
    told = run_python(
        """
import great_expectations as gx, great_expectations.expectations as gxe
from ostinato.integrations.gx_duckdb_dialect import guard_gx, served
from ostinato.tables import duck
guard_gx()
with duck() as connection, served(connection) as url:
    connection.execute("CREATE TABLE batch AS SELECT 1 AS n")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_sql("source", connection_string=url).add_table_asset("asset", table_name="batch")
    batch = asset.add_batch_definition_whole_table("whole").get_batch()
    suite = gx.ExpectationSuite(name="suite", expectations=[gxe.ExpectColumnValuesToBeUnique(column="n")])
    assert batch.validate(suite).success
    engine = batch.data.execution_engine.engine
    left = engine.connect().exec_driver_sql("SELECT * FROM range(100000)")
    raise SystemExit(0)
"""
    )
    assert told.returncode == 0, told.stderr
    assert "leaked" not in told.stderr + told.stdout, told.stderr


def test_great_expectations_is_guarded_once(odd: duckdb.DuckDBPyConnection) -> None:
    """Quantiles have a plain bool for a verdict, which can be stored as JSON; guarding again changes nothing."""
    quantiles = gxe.ExpectColumnQuantileValuesToBeBetween
    before = quantiles._validate
    guard_gx()
    assert quantiles._validate is before
    ranges = {"quantiles": [0.5], "value_ranges": [[1, 1]]}
    with served(odd) as url:
        found = _validated(url, [quantiles(column="n", quantile_ranges=ranges, meta={"case": "n"})])
    assert found["n"].success is True
    assert json.loads(json.dumps(found["n"].to_json_dict()))["success"] is True


def test_counts_and_no_values_are_in_a_result_that_asks_for_counts(odd: duckdb.DuckDBPyConnection) -> None:
    """The result format that this module is measured with: no statement lists rows, no list is in the result."""
    with served(odd) as url:
        found = _validated(url, [gxe.ExpectColumnValuesToBeBetween(column="n", max_value=0, meta={"case": "n"})])
    assert found["n"].result["unexpected_count"] == 2
    assert "partial_unexpected_list" not in found["n"].result


def test_the_package_is_light_though_this_module_is_not() -> None:
    """Neither the package nor this module imports Great Expectations."""
    told = run_python("import sys, ostinato.integrations.gx_duckdb_dialect; print('great_expectations' in sys.modules)")
    assert told.stdout.strip() == "False", told.stderr

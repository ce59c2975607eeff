"""Predicates: the rows a rule sets aside are just those that Great Expectations counts, whatever the table holds."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ostinato.integrations import gx_validator
from ostinato.suites.expectations import PREFIX, ROWS, expectations
from ostinato.suites.predicates import _MEANINGS, broken, can_split
from ostinato.suites.suite import FOREIGN_KEY, Rule
from ostinato.tables import duck, quote

START = datetime(2026, 3, 1, 12)
POOLS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "n": (pa.int64(), [0, 1, 2, 3, 4, 5, -1, 2**62]),
    "m": (pa.int64(), [0, 1, 2, 3, 4, 5, -1, 7]),
    "k": (pa.int32(), [0, 1, 2, 3]),
    "x": (pa.float64(), [0.0, -0.0, 0.5, 1.0, 2.5, math.nan, math.inf, -math.inf, 1e300]),
    "y": (pa.float64(), [0.0, 0.5, 1.0, math.nan, math.inf, -3.25]),
    "price": (pa.decimal128(10, 2), [Decimal("0.00"), Decimal("9.99"), Decimal("10.00"), Decimal("-0.01")]),
    "text": (
        pa.string(),
        ["", "a", "A", "ab", "a%b", "a_b", "a\\b", "it's", "ünïcödé", "e\u0301", "🙂🙂", "two\nlines", "100!%", " a "],
    ),
    "other": (pa.string(), ["", "a", "A", "ab", "ünïcödé", "🙂🙂", "null", "NaN"]),
    "at": (pa.timestamp("us"), [START + timedelta(hours=i, microseconds=i) for i in range(6)]),
    "until": (pa.timestamp("us"), [START + timedelta(hours=i) for i in range(6)]),
    "day": (pa.date32(), [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]),
    "flag": (pa.bool_(), [True, False]),
}  # fmt: skip
HOSTILE = [
    'double"quote',
    "semi;colon",
    "{} {0} {batches} %(column)s %s",
    "co:lon :p1 ::int $1 ?",
    "a'); DROP TABLE batch; --",
    "x" * 200,
    "größe 金額 🙂",
    "New\nLine\tand %%",
    "back\\slash",
    "SELECT",
    "a.b[0](c)~d",
    "broken",
]

# Every meaning, in several configurations. What is new there must come here, too; a test sees to it.
CASES: dict[str, list[dict[str, Any]]] = {
    "column_values_to_not_be_null": [{"column": column} for column in POOLS],
    "column_values_to_be_null": [{"column": column} for column in POOLS],
    "column_values_to_be_unique": [{"column": column} for column in POOLS],
    "compound_columns_to_be_unique": [
        {"column_list": ["n", "k"]},
        {"column_list": ["x", "text", "flag"]},
        {"column_list": ["day", "price"], "ignore_row_if": "any_value_is_missing"},
        {"column_list": ["m", "k"], "ignore_row_if": "never"},
    ],
    "column_values_to_be_between": [
        {"column": "n", "min_value": 1, "max_value": 3},
        {"column": "n", "min_value": 1, "max_value": 3, "strict_min": True},
        {"column": "n", "min_value": 1, "max_value": 3, "strict_max": True},
        {"column": "n", "min_value": 1, "max_value": 3, "strict_min": True, "strict_max": True, "mostly": 0.5},
        {"column": "n", "max_value": 2},
        {"column": "x", "min_value": 0},
        {"column": "x", "max_value": 1.0},
        {"column": "x", "min_value": 0.0, "max_value": 2.5, "strict_min": True},
        {"column": "price", "min_value": 0, "max_value": 9.99},
        {"column": "price", "min_value": 9.99, "strict_min": True},
        {"column": "at", "min_value": "2026-03-01T13:00:00", "max_value": "2026-03-01 15:00:00"},
        {"column": "at", "max_value": START + timedelta(hours=2, microseconds=2), "strict_max": True},
        {"column": "day", "min_value": "2026-03-01"},
        {"column": "day", "max_value": datetime(2026, 3, 1)},
    ],
    "column_values_to_be_in_set": [
        {"column": "n", "value_set": [1, 2, 3]},
        {"column": "n", "value_set": [1, None]},
        {"column": "n", "value_set": [None]},
        {"column": "x", "value_set": [0, 0.5, 1]},
        {"column": "price", "value_set": [0, 9.99]},
        {"column": "text", "value_set": ["", "a", "it's", "a\\b", "ünïcödé", "two\nlines"]},
        {"column": "flag", "value_set": [True]},
        {"column": "k", "value_set": [0, 1], "mostly": 0.1},
        {"column": "at", "value_set": [START, "2026-03-01 13:00:00.000001"]},
        {"column": "day", "value_set": ["2026-03-01"]},
    ],
    "column_values_to_not_be_in_set": [
        {"column": "n", "value_set": [1, 2, 3]},
        {"column": "n", "value_set": [1, None]},
        {"column": "n", "value_set": [None]},
        {"column": "text", "value_set": ["", "a", "it's", "🙂🙂"]},
        {"column": "flag", "value_set": [False]},
        {"column": "price", "value_set": [10]},
        {"column": "day", "value_set": ["2026-03-01", None]},
    ],
    "column_value_lengths_to_be_between": [
        {"column": "text", "min_value": 1, "max_value": 2},
        {"column": "text", "min_value": 1},
        {"column": "text", "max_value": 3, "strict_max": True},
        {"column": "text", "min_value": 1, "max_value": 3, "strict_min": True},
    ],
    "column_value_lengths_to_equal": [{"column": "text", "value": 2}, {"column": "other", "value": 0}],
    "column_values_to_match_regex": [
        {"column": "text", "regex": "^a"},
        {"column": "text", "regex": "a"},
        {"column": "text", "regex": "^two.lines$"},
        {"column": "text", "regex": r"^\w*$"},
        {"column": "text", "regex": "'|%|:b"},
        {"column": "text", "regex": "^(a+)+$"},
    ],
    "column_values_to_not_match_regex": [
        {"column": "text", "regex": "b$"},
        {"column": "text", "regex": "^$"},
        {"column": "text", "regex": "o.l"},
    ],
    "column_values_to_match_regex_list": [
        {"column": "text", "regex_list": ["^a", "b$"]},
        {"column": "text", "regex_list": ["^a", "b$"], "match_on": "any"},
        {"column": "text", "regex_list": ["^a", "b$"], "match_on": "all"},
        {"column": "text", "regex_list": ["ü"], "match_on": "all"},
    ],
    "column_values_to_not_match_regex_list": [
        {"column": "text", "regex_list": ["^a", "b$"]},
        {"column": "text", "regex_list": ["^$"]},
    ],
    "column_values_to_match_like_pattern": [
        {"column": "text", "like_pattern": "a%"},
        {"column": "text", "like_pattern": "_"},
        {"column": "text", "like_pattern": r"a\%b"},
        {"column": "text", "like_pattern": "100!!!%", "escape": "!"},
        {"column": "text", "like_pattern": r"a\\b"},
        {"column": "text", "like_pattern": ""},
        {"column": "text", "like_pattern": "it's"},
    ],
    "column_values_to_not_match_like_pattern": [
        {"column": "text", "like_pattern": "a%"},
        {"column": "text", "like_pattern": r"a\_b"},
        {"column": "text", "like_pattern": "100!!!%", "escape": "!"},
    ],
    "column_values_to_match_like_pattern_list": [
        {"column": "text", "like_pattern_list": ["a%", "%b"]},
        {"column": "text", "like_pattern_list": ["a%", "%b"], "match_on": "any"},
        {"column": "text", "like_pattern_list": ["a%", "%b"], "match_on": "all"},
        {"column": "text", "like_pattern_list": ["a!%b"], "escape": "!"},
    ],
    "column_values_to_not_match_like_pattern_list": [
        {"column": "text", "like_pattern_list": ["a%", "%b"]},
        {"column": "text", "like_pattern_list": ["a!_b", "ab"], "escape": "!"},
    ],
    "column_pair_values_a_to_be_greater_than_b": [
        {"column_A": a, "column_B": b, **options}
        for a, b in (("n", "m"), ("x", "y"), ("until", "at"), ("text", "other"))
        for options in (
            {},
            {"or_equal": True},
            {"or_equal": False, "ignore_row_if": "both_values_are_missing"},
            {"or_equal": True, "ignore_row_if": "either_value_is_missing"},
            {"ignore_row_if": "either_value_is_missing"},
            {"ignore_row_if": "neither"},
            {"or_equal": True, "ignore_row_if": "neither"},
        )
    ],
    "column_pair_values_to_be_equal": [
        {"column_A": a, "column_B": b, **options}
        for a, b in (("n", "m"), ("x", "y"), ("text", "other"), ("n", "price"))
        for options in (
            {},
            {"ignore_row_if": "both_values_are_missing"},
            {"ignore_row_if": "either_value_is_missing"},
            {"ignore_row_if": "neither"},
        )
    ],
    "column_pair_values_to_be_in_set": [
        {"column_A": "n", "column_B": "k", "value_pairs_set": pairs, **options}
        for pairs in ([[1, 1], [2, 2], [0, 3]], [[1, None], [2, 2]], [[None, None]])
        for options in ({}, {"ignore_row_if": "either_value_is_missing"}, {"ignore_row_if": "neither"})
    ]
    + [{"column_A": "text", "column_B": "flag", "value_pairs_set": [["it's", True], ["", False]]}],
    "multicolumn_sum_to_equal": [
        {"column_list": columns, "sum_total": total, **options}
        for columns, total in ((["m", "k"], 3), (["x", "y"], 1.0), (["m", "k", "price"], 10))
        for options in (
            {},
            {"ignore_row_if": "all_values_are_missing"},
            {"ignore_row_if": "any_value_is_missing"},
            {"ignore_row_if": "never"},
        )
    ],
    "multicolumn_values_to_be_equal": [
        {"column_list": columns, **options}
        for columns in (["n", "m"], ["m", "k", "n"], ["text", "other"], ["x", "y"])
        for options in (
            {},
            {"ignore_row_if": "all_values_are_missing"},
            {"ignore_row_if": "any_value_is_missing"},
            {"ignore_row_if": "never"},
        )
    ],
    "select_column_values_to_be_unique_within_record": [
        {"column_list": columns, **options}
        for columns in (["n", "m"], ["m", "k", "n"], ["text", "other"], ["x", "y"])
        for options in (
            {},
            {"ignore_row_if": "all_values_are_missing"},
            {"ignore_row_if": "any_value_is_missing"},
            {"ignore_row_if": "never"},
        )
    ],
}


def named(arguments: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Arguments with the columns called otherwise."""
    return {
        key: [names[one] for one in value] if key == "column_list" else names[value] if key.startswith("col") else value
        for key, value in arguments.items()
    }


def all_rules(names: Mapping[str, str]) -> list[Rule]:
    """Every case as a rule that quarantines, two foreign keys and two queries."""
    rules = [
        Rule(f"{kind} {place}", PREFIX + kind, named(arguments, names), rows_judged=True, quarantine=True)
        for kind, cases in CASES.items()
        for place, arguments in enumerate(cases)
    ]
    keys = [{"column": names[one], "table": "others", "to": to} for one, to in (("n", "Key; {1}"), ("text", "te:xt"))]
    queries = [
        f"SELECT * FROM {{batch}} WHERE {quote(names['n'])} > 1 AND {quote(names['text'])} NOT IN ('{{}}', ':', '%');",
        f"select * from {{batch}} where {quote(names['k'])} = 0 or {quote(names['x'])} = 'NaN'::DOUBLE",
    ]
    rules += [Rule(f"key {one['to']}", FOREIGN_KEY, one, rows_judged=True, quarantine=True) for one in keys]
    rules += [
        Rule(query, ROWS, {"unexpected_rows_query": query}, rows_judged=True, quarantine=True) for query in queries
    ]
    return rules


def disagreements(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> dict[str, tuple[Any, int]]:
    """What Great Expectations counts and how many rows the predicate finds, where these differ."""
    raws = gx_validator.on_duckdb(connection, gx_validator.VIEW, rules)
    differing: dict[str, tuple[Any, int]] = {}
    for rule, raw, found in zip(rules, raws, counted(connection, rules), strict=True):
        one = gx_validator.judged(rule, raw)
        if one.outcome == "error" or one.unexpected != found:
            differing[f"{rule.name}: {rule.arguments}"] = (one.error or one.unexpected, found)
    return differing


def counted(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> list[int]:
    """How many rows the predicate of each rule finds."""
    counts = [
        f"(SELECT count(*) FROM ({query_of(rule)}))"
        if rule.type == ROWS
        else f"(SELECT count(*) FILTER (broken) FROM (SELECT {broken(rule)} AS broken FROM {gx_validator.VIEW}))"
        for rule in rules
    ]
    return [int(count) for count in connection.execute(f"SELECT {', '.join(counts)}").fetchall()[0]]


def query_of(rule: Rule) -> str:
    return str(rule.arguments["unexpected_rows_query"]).replace("{batch}", gx_validator.VIEW).rstrip(";")


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """With a table of keys, some of them missing, some twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_HOME", str(tmp_path_factory.mktemp("home")))
        with duck() as opened:
            opened.execute(
                "CREATE TABLE others AS SELECT * FROM (VALUES (1, 'a'), (1, NULL), (NULL, 'it''s'), (3, '')) "
                'AS _("Key; {1}", "te:xt")'
            )
            yield opened


def put(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, Sequence[Any]], names: Mapping[str, str]) -> None:
    made = pa.table({names[name]: pa.array(list(rows[name]), kind) for name, (kind, _) in POOLS.items()})
    connection.register("given", made)
    connection.execute(f"CREATE OR REPLACE TABLE {gx_validator.VIEW} AS FROM given")
    connection.unregister("given")


def sampled(seed: int, count: int, missing: float) -> dict[str, list[Any]]:
    chance = random.Random(seed)
    return {
        name: [None if chance.random() < missing else chance.choice(pool) for _ in range(count)]
        for name, (_, pool) in POOLS.items()
    }


PLAIN = {name: name for name in POOLS}
STRANGE = dict(zip(POOLS, HOSTILE, strict=True))


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        pytest.param(STRANGE, sampled(1, 300, 0.2), id="hostile names"),
        pytest.param(PLAIN, sampled(2, 60, 0), id="nothing missing"),
        pytest.param(PLAIN, sampled(3, 5, 1), id="everything missing"),
    ],
)
def test_a_predicate_finds_as_many_rows_as_great_expectations_counts(
    connection: duckdb.DuckDBPyConnection, names: dict[str, str], rows: dict[str, list[Any]]
) -> None:
    """Of every rule that may quarantine: with NULL, NaN, infinities, empty texts, unicode, copies, and any name."""
    put(connection, rows, names)
    assert disagreements(connection, all_rules(names)) == {}


# an example takes a second or two, and shrinking one minutes
@settings(max_examples=2, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_the_rows_hold_the_counts_agree(connection: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    """Rows that nobody thought of."""
    count = data.draw(st.integers(1, 12))
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
    more = {"n": st.integers(-(2**63), 2**63 - 1), "x": st.floats(), "text": texts, "other": texts}
    column = {name: st.none() | st.sampled_from(pool) | more.get(name, st.none()) for name, (_, pool) in POOLS.items()}
    rows = {name: data.draw(st.lists(one, min_size=count, max_size=count)) for name, one in column.items()}
    put(connection, rows, PLAIN)
    assert disagreements(connection, all_rules(PLAIN)) == {}


def test_the_cases_are_worth_their_while(connection: duckdb.DuckDBPyConnection) -> None:
    """On the table of many rows every meaning tells some rows from others."""
    put(connection, sampled(1, 300, 0.2), PLAIN)
    for kind, cases in CASES.items():
        conditions = [broken(Rule("", PREFIX + kind, arguments)) for arguments in cases]
        marks = [f"coalesce({condition}, false)" for condition in conditions]
        found = connection.execute(f"SELECT {', '.join(marks)} FROM {gx_validator.VIEW}").fetchall()
        told = Counter(flag for row in found for flag in row)
        assert set(told) == {True, False}, kind


def test_no_meaning_is_without_a_case() -> None:
    """A rule that may quarantine is compared with Great Expectations here before it sets a row aside anywhere."""
    assert CASES.keys() == _MEANINGS.keys()
    assert not [kind for kind, cases in CASES.items() if not cases]


def test_every_argument_that_changes_what_a_rule_means_is_tried() -> None:
    """A new argument of Great Expectations' must come here, too."""
    aside = {"mostly", "row_condition", "condition_parser", "meta"}
    for kind, cases in CASES.items():
        tried = {key for arguments in cases for key in arguments}
        assert expectations()[kind].arguments.keys() - aside - tried == set(), kind


def test_rules_that_cannot_tell_rows_apart_are_known() -> None:
    """What judges the table as a whole, and what depends on the order of rows."""
    for kind in ("column_mean_to_be_between", "table_row_count_to_be_between", "column_values_to_be_increasing"):
        assert not can_split(Rule("", PREFIX + kind, {}))
    assert all(can_split(Rule("", kind, {})) for kind in (ROWS, FOREIGN_KEY, *(PREFIX + kind for kind in CASES)))

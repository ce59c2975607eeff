"""Rules written once speak of any table's columns."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.suites.naming import named
from ostinato.suites.reading import read_suite

PER_USER = "SELECT * FROM {batch} QUALIFY count(*) OVER (PARTITION BY {user}) > {most}"
SUITE: dict[str, Any] = {
    "dataset": "{user}",
    "max_quarantine": 0.05,
    "expectations": [
        {"column_values_to_not_be_null": ["{user}", "{time}"], "on_fail": "quarantine"},
        {"column_values_to_be_between": {"column": "{time}", "max_value": "{{ day + 1d }}"}},
        {"rows": PER_USER, "name": "nobody has more than {most} rows", "on_fail": "quarantine"},
        {"column_values_to_be_between": {"column": "{weight}", "min_value": 0}},
    ],
}
NAMES: dict[str, str | int | float | None] = {"user": "who", "time": "when", "weight": "stars", "most": 1000}


def rules(**names: str | int | float | None) -> list[dict[str, Any]]:
    return list(named(SUITE, {**NAMES, **names})["expectations"])


def test_a_name_is_put_where_its_place_is() -> None:
    """In lists, in arguments, in sentences; whatever is no rule, `{batch}` and formulas stay."""
    found = named(SUITE, NAMES)
    assert found["dataset"] == "{user}"
    null, future, busy, weight = found["expectations"]
    assert null["column_values_to_not_be_null"] == ["who", "when"]
    assert future["column_values_to_be_between"] == {"column": "when", "max_value": "{{ day + 1d }}"}
    assert busy["name"] == "nobody has more than 1,000 rows"
    assert busy["rows"] == 'SELECT * FROM {batch} QUALIFY count(*) OVER (PARTITION BY "who") > 1000'
    assert weight["column_values_to_be_between"] == {"column": "stars", "min_value": 0}


def test_a_bound_stays_a_number() -> None:
    """Thousands are told apart in sentences only."""
    suite = {"expectations": [{"column_values_to_be_between": {"column": "{weight}", "max_value": "{most}"}}]}
    (rule,) = named(suite, NAMES)["expectations"]
    assert rule["column_values_to_be_between"]["max_value"] == 1000


def test_a_rule_about_nothing_is_left_out() -> None:
    """Wherever it speaks of it; the others stay."""
    assert len(rules()) == 4
    assert [next(iter(rule)) for rule in rules(weight=None)] == [next(iter(rule)) for rule in SUITE["expectations"][:3]]
    assert len(rules(most=None)) == 3
    assert len(rules(time=None)) == 2
    assert rules(user=None, time=None, weight=None, most=None) == []


def test_a_place_may_take_the_first_of_several_names_that_stands_for_something() -> None:
    """So that a rule need not be left out for want of one of them."""
    suite = {"expectations": [{"rows": "SELECT * FROM {batch} QUALIFY rank() OVER (ORDER BY {weight|time}) > 1"}]}
    for weight, column in (("stars", '"stars"'), (None, '"when"')):
        (rule,) = named(suite, {**NAMES, "weight": weight})["expectations"]
        assert f"ORDER BY {column})" in rule["rows"]
    assert named(suite, {"weight": None, "time": None})["expectations"] == []
    assert named(suite, {"user": "who"})["expectations"] == suite["expectations"]


def test_the_suite_itself_is_not_changed() -> None:
    """It is a module's, and the next run's too."""
    before = repr(SUITE)
    rules(weight=None)
    assert repr(SUITE) == before


@settings(max_examples=40)
@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_a_query_finds_the_column_whatever_it_is_called(name: str) -> None:
    """Quotes, keywords and braces are part of a name; a name that looks like a place is not filled again."""
    query = rules(user=name)[2]["rows"].replace("{batch}", "given")
    with duckdb.connect() as connection:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.execute(f"CREATE TABLE given AS SELECT range % 2 AS {quoted} FROM range(2001)")
        assert len(connection.execute(query).fetchall()) == 1001


@pytest.mark.parametrize("name", ["{time}", "{weight}", "{user}", "o'clock", 'a "user"', "{", "}"])
def test_a_name_is_put_in_once(name: str) -> None:
    """A column may be called like a place."""
    assert rules(user=name)[0]["column_values_to_not_be_null"] == [name, "when"]


def test_values_are_numbers_in_a_query() -> None:
    """Not columns of that name."""
    assert rules(most=0.5)[2]["rows"].endswith("> 0.5")
    assert rules(most=0.5)[2]["name"] == "nobody has more than 0.5 rows"


def test_what_is_made_is_a_suite() -> None:
    """As it would be read from a file."""
    assert len(read_suite({**named(SUITE, NAMES), "dataset": "orders"}).rules) == 5  # one of two columns is two


def test_the_key_is_a_name_too() -> None:
    """A suite without a key stays without."""
    assert named({**SUITE, "key": "{user}"}, NAMES)["key"] == "who"
    assert "key" not in named(SUITE, NAMES)

"""An expectation's arguments: short forms spelled out, and what is wrong with a value, before anything runs."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from . import formulas
from .expectations import Expectation, expectations

BOUNDS = frozenset({"min_value", "max_value"})
MAY_BE_FORMULAS = BOUNDS | {"value", "sum_total", "threshold"}
MAY_HOLD_FORMULAS = frozenset({"value_set", "value_pairs_set"})
MOMENT = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?"
_KINDS = {
    "number": "a number",
    "integer": "a whole number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "date": "a date or time such as 2026-03-01",
    "date-time": "a date or time such as 2026-03-01",
}


def spread(known: Expectation, given: Any) -> list[dict[str, Any]] | None:
    """The arguments of the rules an entry stands for: a short form is spelled out, a list of columns is many rules."""
    if isinstance(given, dict):
        return [given]
    if given is None:
        return [{}] if not known.required else None
    if known.required == {"column"}:
        columns = given if isinstance(given, list) else [given]
        return [{"column": column} for column in columns] if all(isinstance(c, str) for c in columns) else None
    if isinstance(given, list) and (key := list_of_columns(known)):
        return [{key: given}]
    if len(known.required) == 1 and not isinstance(given, list):
        return [{next(iter(known.required)): given}]
    return None


def list_of_columns(known: Expectation) -> str | None:
    """The argument that a bare list stands for, where an expectation needs nothing else."""
    lists = [key for key in ("column_list", "column_set") if key in known.arguments]
    return lists[0] if lists and known.required <= {lists[0]} else None


def needs_a_bound(known: Expectation) -> bool:
    """Whether an expectation holds of anything until it is given one bound or the other."""
    return known.name.endswith("_between") and known.arguments.keys() >= BOUNDS


def taken(known: Expectation) -> str:
    """What an expectation takes, for messages."""
    ordered = sorted(known.arguments, key=lambda key: (key not in known.required, key.startswith("condition")))
    return "{" + ", ".join(f"{key}: …" for key in ordered if key not in ("row_condition", "condition_parser")) + "}"


def wrong_value(known: Expectation, key: str, value: Any) -> list[str]:
    """What is wrong with one argument."""
    if value is None:
        return ["leave it out where there is none"]
    if key.endswith("_query"):
        return _wrong_query(value, batch=key == "unexpected_rows_query")
    if wrong := _wrong_formula(key, value):
        return [wrong]
    if formulas.is_formula(value):
        value = formulas.example(value)
    if not _is_finite(value):
        return ["numbers are finite; leave a bound out where there is none"]
    if value in ([], {}):
        return ["it is empty"]
    if key == "value_set":  # GX's schema knows neither true nor an empty text
        scalars = isinstance(value, list) and not any(isinstance(part, (list, dict)) for part in value)
        return [] if scalars else ["it is a list of values"]
    if (key == "column" or key.startswith("column_")) and key != "column_index":
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and name for name in names):
            return ["a column's name is a text"]
    if wrong := _wrong_kind(known, key, value):
        return [wrong]
    if key.startswith("regex"):
        return [wrong for regex in ([value] if isinstance(value, str) else value) if (wrong := _wrong_regex(regex))]
    return []


def wrong_bounds(given: Mapping[str, Any]) -> str | None:
    """Whether nothing can be between two bounds, each of which is right by itself."""
    low, high = given.get("min_value"), given.get("max_value")
    if formulas.is_formula(low) or formulas.is_formula(high):
        return None
    ends: list[Any] = [datetime.fromisoformat(end) if isinstance(end, str) else end for end in (low, high)]
    try:
        return f"min_value {low} is greater than max_value {high}" if ends[0] > ends[1] else None
    except TypeError:  # there is but one
        return None


def _wrong_formula(key: str, value: Any) -> str | None:
    if key in MAY_BE_FORMULAS and isinstance(value, dict):
        return 'a formula stands in quotes, as in "{{ as_of - 1d }}"'
    wrong = formulas.problem(value)
    if key in MAY_HOLD_FORMULAS and not formulas.is_formula(value):
        return wrong
    if formulas.holds_one(value) and key not in MAY_BE_FORMULAS:
        return f"a formula can only stand for {', '.join(sorted(MAY_BE_FORMULAS))}, or within a value_set"
    return wrong


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return all(_is_finite(part) for part in (value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _is_moment(text: Any) -> bool:
    if not isinstance(text, str):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(MOMENT, text) is not None


def _wrong_kind(known: Expectation, key: str, value: Any) -> str | None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator(known.name, key).iter_errors(value))
    if error is None:
        return None
    if error.validator != "anyOf":
        return str(error.message)[:200]
    kinds = (part.get("format", part.get("type")) for part in error.validator_value)
    return f"it is {' or '.join(dict.fromkeys(_KINDS.get(kind, 'a condition') for kind in kinds))}"


@functools.cache
def _validator(name: str, key: str) -> Any:
    from jsonschema import Draft7Validator, FormatChecker

    formats = FormatChecker(())
    for kind in ("date", "date-time"):
        formats.checks(kind)(_is_moment)
    known = expectations()[name]
    return Draft7Validator({**known.arguments[key], "definitions": known.definitions}, format_checker=formats)


def _wrong_regex(regex: str) -> str | None:
    """What RE2, which never backtracks and so always ends, says against a pattern, or None."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute("SELECT regexp_matches('', $1)", [regex])
        except duckdb.Error as error:
            return str(error).split("\n")[0]
    return None


def _wrong_query(query: Any, *, batch: bool) -> list[str]:
    """A query is one SELECT, over {batch} if it looks for rows, in SQL that DuckDB reads."""
    import duckdb

    if not isinstance(query, str) or (batch and "{batch}" not in query):
        return ["a query selects the rows that break the rule FROM {batch}"]
    if wrong := formulas.query_problem(query):
        return [wrong]
    text = formulas.without(query).replace("{batch}", "batch")
    try:
        statements = duckdb.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            return ["a query is one SELECT"]
        with duckdb.connect(":memory:") as connection:
            tree = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [text]).fetchall()[0][0]
    except duckdb.Error as error:
        return [str(error).split("\n")[0]]
    if re.search(r'"type":"(SHOW_REF|[A-Z]+_QUERY_NODE)"', tree):  # DESCRIBE; WITH gone AS (DELETE …) SELECT …
        return ["a query is one SELECT"]
    if batch and '"table_name":"batch"' not in tree:
        return ["a query selects the rows that break the rule FROM {batch}"]
    return ["a query has no parameters ($1, ?)"] if statements[0].named_parameters else []

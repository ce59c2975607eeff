"""An expectation's arguments: short forms spelled out, and what is wrong with a value, before anything runs."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

from . import formulas
from .expectations import Expectation, expectations


def spread(known: Expectation, given: Any) -> list[dict[str, Any]] | None:
    """The arguments of the rules an entry stands for: a short form is spelled out, a list of columns is many rules."""
    if isinstance(given, dict):
        return [given]
    if given is None:
        return [{}] if not known.required else None
    if known.required == {"column"}:
        columns = given if isinstance(given, list) else [given]
        return [{"column": column} for column in columns] if all(isinstance(c, str) for c in columns) else None
    lists = [key for key in ("column_list", "column_set") if key in known.arguments]
    if isinstance(given, list) and lists and known.required <= {lists[0]}:
        return [{lists[0]: given}]
    if len(known.required) == 1 and not isinstance(given, list):
        return [{next(iter(known.required)): given}]
    return None


def taken(known: Expectation) -> str:
    """What an expectation takes, for messages."""
    ordered = sorted(known.arguments, key=lambda key: (key not in known.required, key.startswith("condition")))
    return "{" + ", ".join(f"{key}: …" for key in ordered if key not in ("row_condition", "condition_parser")) + "}"


def wrong_value(known: Expectation, key: str, value: Any) -> list[str]:
    """What is wrong with one argument."""
    if key == "unexpected_rows_query":
        return _wrong_query(value)
    if wrong := formulas.problem(value):
        return [wrong]
    if formulas.is_formula(value):
        return []
    if isinstance(value, float) and not math.isfinite(value):
        return ["a bound is a finite number; leave it out where there is none"]
    if key == "value_set":  # GX's schema knows neither true nor an empty text
        scalars = isinstance(value, list) and value and not any(isinstance(part, (list, dict)) for part in value)
        return [] if scalars else ["it is a list of values"]
    if (key == "column" or key.startswith("column_")) and isinstance(value, str) and not value:
        return ["a column has a name"]
    errors = sorted(_validator(known.name, key).iter_errors(value), key=str)
    if errors:
        from jsonschema.exceptions import best_match

        return [str(best_match(errors).message)[:200]]
    if key.startswith("regex"):
        return [wrong for regex in ([value] if isinstance(value, str) else value) if (wrong := _wrong_regex(regex))]
    return []


@functools.cache
def _validator(name: str, key: str) -> Any:
    from jsonschema import Draft7Validator

    known = expectations()[name]
    return Draft7Validator({**known.arguments[key], "definitions": known.definitions})


def _wrong_regex(regex: str) -> str | None:
    """What RE2, which never backtracks and so always ends, says against a pattern, or None."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute("SELECT regexp_matches('', $1)", [regex])
        except duckdb.Error as error:
            return str(error).split("\n")[0]
    return None


def _wrong_query(query: Any) -> list[str]:
    """A query is one SELECT over {batch}, in SQL that DuckDB reads."""
    import duckdb

    if not isinstance(query, str) or "{batch}" not in query:
        return ["a query selects the rows that break the rule FROM {batch}"]
    if wrong := formulas.query_problem(query):
        return [wrong]
    text = re.sub(r"\{\{.*?\}\}", "0", query, flags=re.DOTALL).replace("{batch}", "batch")
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        return [str(error).split("\n")[0]]
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        return ["a query is one SELECT"]
    return []

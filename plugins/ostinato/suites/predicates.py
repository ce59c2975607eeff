"""Row-level rules as SQL: a condition that is true of the rows Great Expectations counts as unexpected.

Meanings, of NULL above all, are those of GX's SQL: a missing value breaks no rule but the one that forbids it, of
duplicates every copy is unexpected, and rows that `ignore_row_if` names are none of a rule's business. `validate`
compares the counts at every run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from ostinato.tables import literal, quote

from .expectations import PREFIX, ROWS
from .suite import FOREIGN_KEY, Rule

Arguments = Mapping[str, Any]


def can_split(rule: Rule) -> bool:
    """Whether the rows that break a rule can be told from the others."""
    return rule.type in (ROWS, FOREIGN_KEY) or rule.type.removeprefix(PREFIX) in _MEANINGS


def looks_beyond(rule: Rule) -> bool:
    """Whether a rule's condition looks at other rows or at another table."""
    unique = ("column_values_to_be_unique", "compound_columns_to_be_unique")
    return rule.type == FOREIGN_KEY or rule.type.removeprefix(PREFIX) in unique


def broken(rule: Rule) -> str:
    """The SQL condition (true, false or NULL) of the rows that break a rule; none for `rows:`, which is a query.

    A foreign key reads the view that bears its table's name.
    """
    if rule.type == FOREIGN_KEY:
        return missing_key(rule.arguments)
    return _MEANINGS[rule.type.removeprefix(PREFIX)](rule.arguments)


def missing_key(arguments: Arguments) -> str:
    """The condition of rows whose value is in no row of the other table."""
    column, table, to = (quote(str(arguments[key])) for key in ("column", "table", "to"))
    return f"({column} IS NOT NULL AND {column} NOT IN (SELECT {to} FROM {table} WHERE {to} IS NOT NULL))"


def _of_column(met: Callable[[str, Arguments], str]) -> Callable[[Arguments], str]:
    """A rule about the values of one column, of which missing ones are left alone."""

    def condition(arguments: Arguments) -> str:
        column = quote(arguments["column"])
        return f"({column} IS NOT NULL AND NOT ({met(column, arguments)}))"

    return condition


def _between(what: str, arguments: Arguments) -> str:
    bounds = [
        f"{what} {sign}{'' if arguments.get(f'strict_{end}') else '='} {literal(arguments[f'{end}_value'])}"
        for end, sign in (("min", ">"), ("max", "<"))
        if arguments.get(f"{end}_value") is not None
    ]
    return " AND ".join(bounds)


def _in(column: str, arguments: Arguments) -> str:
    values = [literal(value) for value in arguments["value_set"] if value is not None]
    return f"{column} IN ({', '.join(values)})" if values else "false"


def _matches(column: str, regex: str) -> str:
    return f"regexp_matches({column}, {literal(regex)}, 's')"  # a dot is any character, as in PostgreSQL


def _like(column: str, pattern: str, arguments: Arguments) -> str:
    escape = arguments.get("escape") or "\\"  # PostgreSQL's, unless another is named
    return f"{column} LIKE {literal(pattern)} ESCAPE {literal(escape)}"


def _of_list(conditions: Sequence[str], arguments: Arguments) -> str:
    return (" AND " if arguments.get("match_on") == "all" else " OR ").join(conditions)


def _unique(columns: Sequence[str]) -> str:
    quoted = [quote(column) for column in columns]
    filled = " AND ".join(f"{column} IS NOT NULL" for column in quoted)
    return f"({filled} AND count(*) OVER (PARTITION BY {', '.join(quoted)}) > 1)"


def _of_pair(met: Callable[[str, str, Arguments], str]) -> Callable[[Arguments], str]:
    def condition(arguments: Arguments) -> str:
        a, b = quote(arguments["column_A"]), quote(arguments["column_B"])
        return f"({_minded([a, b], arguments)} AND NOT ({met(a, b, arguments)}))"

    return condition


def _of_record(met: Callable[[Sequence[str], Arguments], str]) -> Callable[[Arguments], str]:
    def condition(arguments: Arguments) -> str:
        columns = [quote(column) for column in arguments["column_list"]]
        return f"({_minded(columns, arguments)} AND NOT ({met(columns, arguments)}))"

    return condition


def _minded(columns: Sequence[str], arguments: Arguments) -> str:
    """The condition of rows that `ignore_row_if` does not take out."""
    ignored = arguments.get("ignore_row_if") or "all"
    if ignored in ("neither", "never"):
        return "true"
    joined = " OR " if ignored.startswith(("either", "any")) else " AND "
    return f"NOT ({joined.join(f'{column} IS NULL' for column in columns)})"


def _greater(a: str, b: str, arguments: Arguments) -> str:
    return f"{a} >= {b} OR ({a} IS NULL AND {b} IS NULL)" if arguments.get("or_equal") else f"{a} > {b}"


def _pair_in(a: str, b: str, arguments: Arguments) -> str:
    return " OR ".join(f"({_is(a, x)} AND {_is(b, y)})" for x, y in arguments["value_pairs_set"])


def _is(column: str, value: Any) -> str:
    return f"{column} IS NULL" if value is None else f"{column} = {literal(value)}"


def _same(a: str, b: str) -> str:
    return f"({a} = {b} OR ({a} IS NULL AND {b} IS NULL))"


_MEANINGS: dict[str, Callable[[Arguments], str]] = {
    "column_values_to_not_be_null": lambda a: f"{quote(a['column'])} IS NULL",
    "column_values_to_be_null": lambda a: f"{quote(a['column'])} IS NOT NULL",
    "column_values_to_be_unique": lambda a: _unique([a["column"]]),
    "compound_columns_to_be_unique": lambda a: _unique(a["column_list"]),
    "column_values_to_be_between": _of_column(_between),
    "column_values_to_be_in_set": _of_column(_in),
    "column_values_to_not_be_in_set": _of_column(lambda c, a: f"NOT ({_in(c, a)})"),
    "column_value_lengths_to_be_between": _of_column(lambda c, a: _between(f"length({c})", a)),
    "column_value_lengths_to_equal": _of_column(lambda c, a: f"length({c}) = {literal(a['value'])}"),
    "column_values_to_match_regex": _of_column(lambda c, a: _matches(c, a["regex"])),
    "column_values_to_not_match_regex": _of_column(lambda c, a: f"NOT {_matches(c, a['regex'])}"),
    "column_values_to_match_regex_list": _of_column(
        lambda c, a: _of_list([_matches(c, regex) for regex in a["regex_list"]], a)
    ),
    "column_values_to_not_match_regex_list": _of_column(
        lambda c, a: " AND ".join(f"NOT {_matches(c, regex)}" for regex in a["regex_list"])
    ),
    "column_values_to_match_like_pattern": _of_column(lambda c, a: _like(c, a["like_pattern"], a)),
    "column_values_to_not_match_like_pattern": _of_column(lambda c, a: f"NOT ({_like(c, a['like_pattern'], a)})"),
    "column_values_to_match_like_pattern_list": _of_column(
        lambda c, a: _of_list([f"({_like(c, pattern, a)})" for pattern in a["like_pattern_list"]], a)
    ),
    "column_values_to_not_match_like_pattern_list": _of_column(
        lambda c, a: " AND ".join(f"NOT ({_like(c, pattern, a)})" for pattern in a["like_pattern_list"])
    ),
    "column_pair_values_a_to_be_greater_than_b": _of_pair(_greater),
    "column_pair_values_to_be_equal": _of_pair(lambda a, b, _: f"{a} = {b} AND {a} IS NOT NULL AND {b} IS NOT NULL"),
    "column_pair_values_to_be_in_set": _of_pair(_pair_in),
    "multicolumn_sum_to_equal": _of_record(lambda columns, a: f"{' + '.join(columns)} = {literal(a['sum_total'])}"),
    "multicolumn_values_to_be_equal": _of_record(
        lambda columns, _: " AND ".join(
            ["true", *(f"{columns[0]} IS NOT DISTINCT FROM {column}" for column in columns[1:])]
        )
    ),
    "select_column_values_to_be_unique_within_record": _of_record(
        lambda columns, _: f"NOT ({' OR '.join(['false', *(_same(a, b) for a, b in combinations(columns, 2))])})"
    ),
}

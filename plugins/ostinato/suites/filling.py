"""A rule as a run asks it: with values where its suite has formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from . import formulas
from .expectations import ROWS
from .families import is_zoned
from .suite import Rule


def filled(rule: Rule, known: formulas.Known, schema: Mapping[str, str]) -> Rule:
    """A rule with its formulas replaced by values.

    Args:
        known: values by name, moments in UTC.
        schema: the table's columns and their types; moments get a zone where the rule's columns have one, for what has
            one cannot be compared with what has none.

    Raises:
        KeyError: with the name of something that is not known.
        ValueError: a moment beyond the calendar.
    """
    zone = UTC if any(is_zoned(schema.get(column, "")) for column in rule.columns) else None
    here = {name: value.replace(tzinfo=zone) if isinstance(value, datetime) else value for name, value in known.items()}
    arguments = formulas.filled(rule.arguments, here)
    if rule.type == ROWS:
        arguments = {"unexpected_rows_query": formulas.filled_query(rule.arguments["unexpected_rows_query"], here)}
    return replace(rule, arguments=arguments)

"""Rows that break a rule, set aside: told from the others once, written with all their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ostinato.suites.expectations import ROWS
from ostinato.suites.predicates import broken, looks_beyond
from ostinato.suites.suite import Rule
from ostinato.tables import Dataset, free_name, literal, quote

if TYPE_CHECKING:
    import duckdb

REASONS = "_reasons"
_TABLE, _BAD = "_numbered", "_bad"


class Apart:
    """A table whose bad rows are known, and still unwritten.

    Attributes:
        rows: how many rows break a rule.
        by_rule: how many break each, by its name; rules that none breaks are left out.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, data: Dataset, rules: Sequence[Rule]) -> None:
        """Tell the rows apart; foreign keys and queries find other tables as views of their names."""
        self._connection = connection
        self._data = data
        self._names = [rule.name for rule in rules]
        number = free_name("_row", data.schema)
        self._number, self._places = quote(number), quote(free_name("_places", data.schema))
        connection.execute(f"CREATE OR REPLACE VIEW {_TABLE} AS FROM {data.sql(connection, number)}")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {_BAD} AS {self._marked(rules)}")
        self.rows = int(connection.execute(f"SELECT count(*) FROM {_BAD}").fetchall()[0][0])
        each = f"SELECT unnest({self._places}) AS place FROM {_BAD}"
        counted = connection.execute(f"SELECT place, count(*) FROM ({each}) GROUP BY place")
        self.by_rule = {self._names[place]: int(count) for place, count in counted.fetchall()}

    def _marked(self, rules: Sequence[Rule]) -> str:
        """A query of the bad rows' numbers, each with the places of the rules it breaks.

        What looks beyond a row is asked by itself: a window carries every column beside it through its partitions.
        """
        together = {
            place: broken(rule) for place, rule in enumerate(rules) if rule.type != ROWS and not looks_beyond(rule)
        }
        parts = []
        if together:
            listed = ", ".join(f"CASE WHEN {condition} THEN {place} END" for place, condition in together.items())
            bad = f"SELECT {self._number}, [{listed}] AS places FROM {_TABLE} WHERE {' OR '.join(together.values())}"
            each = f"SELECT {self._number}, unnest(places) AS place FROM ({bad})"
            parts.append(f"FROM ({each}) WHERE place IS NOT NULL")
        for place, rule in enumerate(rules):
            if place not in together:
                parts.append(f"SELECT DISTINCT {self._number}, {place} AS place FROM ({self._alone(rule)})")
        return (
            f"SELECT {self._number}, list(place ORDER BY place) AS {self._places} "
            f"FROM ({' UNION ALL '.join(parts)}) GROUP BY {self._number}"
        )

    def _alone(self, rule: Rule) -> str:
        """The rows that break one rule, as a query."""
        if rule.type == ROWS:
            return str(rule.arguments["unexpected_rows_query"]).replace("{batch}", _TABLE).rstrip("; \n\t")
        return f"FROM (SELECT {self._number}, {broken(rule)} AS broken FROM {_TABLE}) WHERE broken"

    def save_bad(self) -> Dataset:
        """Write the bad rows, with the names of the rules each breaks as a list in a last column, `_reasons`."""
        names = ", ".join(literal(name) for name in self._names)
        reasons = quote(free_name(REASONS, self._data.schema))
        told = f"list_transform({self._places}, lambda place: [{names}][place + 1]) AS {reasons}"
        query = f"SELECT * EXCLUDE ({self._number}, {self._places}), {told} FROM {_TABLE} JOIN {_BAD}"
        return self._save(query, "quarantined")

    def save_good(self) -> Dataset:
        """Write the other rows."""
        return self._save(f"SELECT * EXCLUDE ({self._number}) FROM {_TABLE} ANTI JOIN {_BAD}", "data")

    def _save(self, query: str, name: str) -> Dataset:
        known = self._data.facts.get("time")
        time = known["column"] if known else None
        return Dataset.save(self._connection, f"{query} USING ({self._number})", name, time=time)

"""Columns that alone tell the label: often they are filled in only after it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ostinato.tables import quote

from .roles import NUMBERS, Candidate

if TYPE_CHECKING:
    import duckdb

TELLS = 0.99  # an AUC that no honest column has
FEWEST = 10  # positives, and negatives, without which chance may tell as much
_ENOUGH_OF_A_VALUE = 10  # rows, without which a value's share of positives says little


@dataclass(frozen=True)
class Leak:
    """A column that tells the label; `filled` if it does so by being there at all."""

    column: str
    auc: float
    filled: bool


def leaks(
    connection: duckdb.DuckDBPyConnection, table: str, label: str, columns: Sequence[Candidate], time: str | None = None
) -> list[Leak]:
    """Which columns alone tell the label, surest first for each: by being filled, or by their values.

    Numbers and times are ranked; what tells of a time is how long after the event it is. Texts and what is true or
    false are ranked by the share of positives, learned from one half of the rows and judged on the other.

    Args:
        table: what stands behind FROM, read once a column.
        label: SQL for 1, 0 or NULL.
        columns: those in question.
        time: SQL for the time of the event.
    """
    if not columns:
        return []
    counts = connection.execute(
        f"SELECT count(*) FILTER ({label} = 1), count(*) FILTER ({label} = 0) FROM {table}"
    ).fetchall()[0]
    if min(counts) < FEWEST:
        return []
    found = []
    for column in columns:
        filled = _filled(connection, table, label, column.name) if column.present < column.rows else 0.5
        if filled >= TELLS:
            found.append(Leak(column.name, filled, filled=True))
        elif (auc := _by_value(connection, table, label, column, time)) >= TELLS:
            found.append(Leak(column.name, auc, filled=False))
    return found


def _filled(connection: duckdb.DuckDBPyConnection, table: str, label: str, name: str) -> float:
    """The AUC of whether a column is filled."""
    return _ranked(connection, f"SELECT {quote(name)} IS NOT NULL AS x, {label} AS y FROM {table}")


def _by_value(
    connection: duckdb.DuckDBPyConnection, table: str, label: str, column: Candidate, time: str | None
) -> float:
    name = quote(column.name)
    if column.kind in NUMBERS:
        return _ranked(connection, f"SELECT {name}::DOUBLE AS x, {label} AS y FROM {table}")
    if column.kind == "moment" or column.times > 0.9:
        moment = f"epoch(try_cast({name} AS TIMESTAMPTZ))"
        after = f"{moment} - epoch({time})" if time else moment
        return _ranked(connection, f"SELECT {after} AS x, {label} AS y FROM {table}")
    if column.kind in ("text", "boolean"):
        return _by_share(connection, f"SELECT {name} AS x, {label} AS y FROM {table}")
    return 0.5


def _ranked(connection: duckdb.DuckDBPyConnection, pairs: str) -> float:
    """The AUC of `x` for `y`, whichever way it points, ties counting half; 0.5 where too few are filled."""
    query = f"""
        WITH counted AS (
            SELECT x, count(*)::DOUBLE AS n, sum(y)::DOUBLE AS p FROM ({pairs})
            WHERE x IS NOT NULL AND y IS NOT NULL GROUP BY x),
        placed AS (SELECT n, p, sum(n - p) OVER (ORDER BY x ROWS UNBOUNDED PRECEDING) - (n - p) AS below FROM counted)
        SELECT sum(p * (below + (n - p) / 2)), sum(p), sum(n - p) FROM placed"""
    return _share(*connection.execute(query).fetchall()[0])


def _by_share(connection: duckdb.DuckDBPyConnection, pairs: str) -> float:
    """The AUC of the share of positives among the rows of a value: learned on one half, judged on the other."""
    query = f"""
        WITH halved AS (SELECT x, y, hash(row_number() OVER ()) % 2 = 0 AS learned FROM ({pairs}) WHERE y IS NOT NULL),
        counted AS (
            SELECT count(*) FILTER (learned) AS seen, sum(y) FILTER (learned) AS hits,
                   count(*) FILTER (NOT learned)::DOUBLE AS n, coalesce(sum(y) FILTER (NOT learned), 0)::DOUBLE AS p
            FROM halved GROUP BY x),
        shares AS (SELECT CASE WHEN seen >= {_ENOUGH_OF_A_VALUE} THEN hits / seen
                               ELSE (SELECT avg(y) FROM halved WHERE learned) END AS x, n, p FROM counted),
        tied AS (SELECT x, sum(n) AS n, sum(p) AS p FROM shares GROUP BY x),
        placed AS (SELECT n, p, sum(n - p) OVER (ORDER BY x ROWS UNBOUNDED PRECEDING) - (n - p) AS below FROM tied)
        SELECT sum(p * (below + (n - p) / 2)), sum(p), sum(n - p) FROM placed"""
    return _share(*connection.execute(query).fetchall()[0])


def _share(won: float | None, positives: float | None, negatives: float | None) -> float:
    if won is None or min(positives or 0, negatives or 0) < FEWEST / 2:
        return 0.5
    auc = won / (positives or 1) / (negatives or 1)
    return max(auc, 1 - auc)

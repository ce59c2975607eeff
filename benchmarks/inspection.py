"""What looking at a table before making a project of it costs beside one scan of the same table.

    python benchmarks/inspection.py [--rows 1000000 10000000] [--repeats 5]

The scan is one DuckDB query that reads every column: how many rows, and of each column the least and greatest value and
how many there are. Parquet files say so themselves, so DuckDB is told not to believe them. Each run is a process of its
own, the two ways taking turns, on the same Parquet file: the sample of transactions, seven of its columns, six of
which have a role in the pipeline. CPU seconds and wall seconds are those of the work without imports; the peak is the
process's. Figures are medians.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import side_by_side

WAYS = ("inspection", "scan")
COLUMNS = ("tx_id", "ts", "card_id", "terminal_id", "amount", "is_fraud", "country")


def measure(rows_list: Sequence[int], repeats: int = 5) -> list[dict[str, Any]]:
    """Medians for each number of rows: `{rows, cpu_ratio, inspection_cpu, scan_cpu, inspection_wall, …}`."""
    return [_measure(rows, repeats) for rows in rows_list]


def _measure(rows: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        path = side_by_side.child(__file__, environment, "table", f"{home}/table.parquet", str(rows))
        runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, path)
    return {"rows": rows, "cpu_ratio": side_by_side.ratio(runs, *WAYS), **side_by_side.medians(runs)}


def _be_child(task: str, path: str, *arguments: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    if task == "table":
        return _write(path, int(arguments[0]))
    return _inspect(path) if task == "inspection" else _scan(path)


def _write(path: str, rows: int) -> str:
    from ostinato.samples import transactions
    from ostinato.tables import duck

    whole = path.replace("table.", "whole.")
    transactions.write(whole, rows=rows, days=120)
    with duck() as connection:
        chosen = f"SELECT {', '.join(COLUMNS)} FROM read_parquet('{whole}')"
        connection.execute(f"COPY ({chosen}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    return path


def _inspect(path: str) -> dict[str, float]:
    import duckdb  # noqa: F401  (its import is no part of the work)
    import ruamel.yaml  # noqa: F401

    from ostinato.scaffold.finding import find_template
    from ostinato.scaffold.inspection import inspect
    from ostinato.scaffold.rendering import questions, usual_columns
    from ostinato.suites.usual import TRANSACTIONS

    wanted = usual_columns(questions(find_template("fraud_detection")))
    with side_by_side.timed() as taken:
        inspect(path, wanted, usual=TRANSACTIONS, dataset="transactions", needs_days=30)
    return taken


def _scan(path: str) -> dict[str, float]:
    from ostinato.tables import duck, parquet_sql

    counted = ", ".join(f"min({name}), max({name}), count({name})" for name in COLUMNS)
    with duck() as connection:
        table = parquet_sql(connection, [path])
        connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        with side_by_side.timed() as taken:
            connection.execute(f"SELECT count(*), {counted} FROM {table}").fetchall()
    return taken


if __name__ == "__main__":
    side_by_side.main(__doc__, _measure, _be_child, [1_000_000, 10_000_000], repeats=5)

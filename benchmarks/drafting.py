"""What drafting a suite costs beside one scan of the same table.

    python benchmarks/drafting.py [--rows 1000000 10000000] [--repeats 3]

The scan is one DuckDB query that reads every column: how many rows, and the least and greatest value of each column.
Parquet files say so themselves, so DuckDB is told not to believe them. Each run is a process of its own, the two ways
taking turns, on the same file of 12 columns, with the same memory limit. CPU seconds and wall seconds are those of the
work without imports; the peak is the process's. Figures are medians.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import side_by_side

WAYS = ("draft", "scan")

# An id, times, foreign keys, a measure, a label, categories and a code, 120 days of them.
TABLE = """
    SELECT i AS tx_id, TIMESTAMP '2026-01-01' + to_microseconds(i * (10368000000000 // {rows})) AS ts,
           (hash(i * 3) % {cards})::BIGINT AS card_id,
           floor(power((hash(i * 5) % 1000003) / 1000003, 2) * {terminals})::BIGINT AS terminal_id,
           round(exp(1.5 + (hash(i * 7) % 4096 + hash(i * 11) % 4096 + hash(i * 13) % 4096) / 4096.0), 2) AS amount,
           (hash(i * 17) % 1000 < 6)::SMALLINT AS is_fraud,
           CASE WHEN hash(i * 17) % 1000 < 6
                THEN TIMESTAMP '2026-01-05' + to_seconds(i * 10368000 // {rows}) END AS fraud_reported_at,
           ['EUR', 'USD', 'GBP'][1 + (hash(i * 19) % 3)::INT] AS currency,
           ['DE', 'US', 'GB', 'NL', 'FR', 'ES', 'IT', 'PL'][1 + (hash(i * 23) % 8)::INT] AS country,
           ['pos', 'web', 'atm', 'app'][1 + (hash(i * 29) % 4)::INT] AS channel,
           [4111, 5411, 5732, 5812, 6011, 7011][1 + (hash(i * 31) % 6)::INT]::SMALLINT AS mcc,
           format('C{{:07d}}', (hash(i * 37) % 1000000)::BIGINT) AS code
    FROM range({rows}) AS r(i)"""


def measure(rows_list: Sequence[int], repeats: int = 3) -> list[dict[str, Any]]:
    """Medians for each number of rows: `{rows, cpu_ratio, draft_cpu, scan_cpu, draft_wall, …, draft_peak_mb, …}`."""
    return [_measure(rows, repeats) for rows in rows_list]


def _measure(rows: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        path = side_by_side.child(__file__, environment, "table", f"{home}/table.parquet", str(rows))
        runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, path)
    return {"rows": rows, "cpu_ratio": side_by_side.ratio(runs, *WAYS), **side_by_side.medians(runs)}


def _be_child(task: str, path: str, *arguments: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    from ostinato.suites.drafting import Batch, draft
    from ostinato.tables import duck, parquet_sql, quote

    with duck() as connection:
        if task == "table":
            rows = int(arguments[0])
            query = TABLE.format(rows=rows, cards=max(rows // 350, 1), terminals=max(rows // 500, 1))
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
            return path
        table = parquet_sql(connection, [path])
        columns = [quote(row[0]) for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()]
        extremes = ", ".join(f"min({column}), max({column})" for column in columns)
        with side_by_side.timed() as taken:
            if task == "draft":
                draft(connection, [Batch("table.parquet", table)], dataset="transactions")
            else:
                connection.execute("SET disabled_optimizers = 'statistics_propagation'")
                connection.execute(f"SELECT count(*), {extremes} FROM {table}").fetchall()
    return taken


if __name__ == "__main__":
    side_by_side.main(__doc__, _measure, _be_child, [1_000_000, 10_000_000])

"""What `fraud_features` costs beside the query that a good engineer would write by hand.

    python benchmarks/features.py [--rows 100000 1000000 10000000] [--repeats 3]

Each run is a process of its own, the two ways taking turns, on the same Parquet file, with the same memory limit,
threads and compression. Ours is the whole step: checks, query, writing and the scan for the digest. CPU seconds and
wall seconds are those of the work without imports; the peak is the process's. Figures are medians.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import side_by_side

WAYS = ("ours", "hand")

# 183 days; a card pays about twice a day, terminals are of very different sizes, 0.6 % of the rows are frauds.
TABLE = """
    SELECT i AS tx_id, TIMESTAMP '2026-01-01' + to_seconds(i * 15811200 // {rows}) AS ts,
           (hash(i * 3) % {cards})::BIGINT AS card_id,
           floor(power((hash(i * 5) % 1000003) / 1000003, 2) * {terminals})::BIGINT AS terminal_id,
           round(exp(1.5 + (hash(i * 7) % 4096 + hash(i * 11) % 4096 + hash(i * 13) % 4096) / 4096.0), 2) AS amount,
           (hash(i * 17) % 1000 < 6)::INTEGER AS is_fraud, hash(i * 19) % 20 AS another_column
    FROM range({rows}) AS r(i)"""

# The same columns as one would write them: RANGE windows, floating sums, means by division.
BY_HAND = """
    SELECT *, card_sum_1d / card_count_1d AS card_mean_1d, card_sum_7d / card_count_7d AS card_mean_7d,
           card_sum_30d / card_count_30d AS card_mean_30d,
           amount / nullif(card_sum_30d / card_count_30d, 0) AS card_ratio
    FROM (
        SELECT tx_id AS id, ts AS time, card_id AS card, terminal_id AS terminal, amount, is_fraud AS label,
               max(CASE WHEN is_fraud = 1 THEN ts END) OVER (
                   PARTITION BY card_id ORDER BY ts
                   RANGE BETWEEN UNBOUNDED PRECEDING AND ts - date_trunc('day', ts) + INTERVAL 7 DAY PRECEDING
               ) AS card_known_fraud_at,
               count(*) OVER c1 AS card_count_1d, count(*) OVER c7 AS card_count_7d,
               count(*) OVER c30 AS card_count_30d,
               sum(amount) OVER c1 AS card_sum_1d, sum(amount) OVER c7 AS card_sum_7d,
               sum(amount) OVER c30 AS card_sum_30d,
               epoch(ts - max(ts) OVER (
                   PARTITION BY card_id ORDER BY ts
                   RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
               )) AS card_seconds_since,
               count(*) OVER t1 AS terminal_count_1d, count(*) OVER t7 AS terminal_count_7d,
               count(*) OVER t30 AS terminal_count_30d,
               avg(is_fraud) OVER f1 AS terminal_fraud_1d, avg(is_fraud) OVER f7 AS terminal_fraud_7d,
               avg(is_fraud) OVER f30 AS terminal_fraud_30d,
               hour(ts) AS hour, hour(ts) < 6 AS night, isodow(ts) >= 6 AS weekend
        FROM read_parquet('{path}')
        WINDOW c1 AS (PARTITION BY card_id ORDER BY ts RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW),
               c7 AS (PARTITION BY card_id ORDER BY ts RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW),
               c30 AS (PARTITION BY card_id ORDER BY ts RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW),
               t1 AS (PARTITION BY terminal_id ORDER BY ts RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW),
               t7 AS (PARTITION BY terminal_id ORDER BY ts RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW),
               t30 AS (PARTITION BY terminal_id ORDER BY ts RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW),
               f1 AS (PARTITION BY terminal_id ORDER BY ts
                      RANGE BETWEEN INTERVAL 8 DAY PRECEDING AND INTERVAL 7 DAY PRECEDING),
               f7 AS (PARTITION BY terminal_id ORDER BY ts
                      RANGE BETWEEN INTERVAL 14 DAY PRECEDING AND INTERVAL 7 DAY PRECEDING),
               f30 AS (PARTITION BY terminal_id ORDER BY ts
                       RANGE BETWEEN INTERVAL 37 DAY PRECEDING AND INTERVAL 7 DAY PRECEDING))"""


def measure(rows_list: Sequence[int], repeats: int = 3) -> list[dict[str, Any]]:
    """Medians for each number of rows: `{rows, cpu_ratio, ours_cpu, hand_cpu, ours_wall, …, ours_peak_mb, …}`."""
    return [_measure(rows, repeats) for rows in rows_list]


def _measure(rows: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        given = json.dumps(side_by_side.child(__file__, environment, "table", str(rows)))
        runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, given)
    return {"rows": rows, "cpu_ratio": side_by_side.ratio(runs, *WAYS), **side_by_side.medians(runs)}


def _be_child(task: str, *arguments: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    if task == "table":
        return _table(int(arguments[0]))
    import duckdb  # noqa: F401  # not part of what is timed

    from ostinato.artifacts import Artifact
    from ostinato.steps.features import fraud_features
    from ostinato.tables import Dataset
    from ostinato.workspace import local_path

    given = Artifact.from_json(json.loads(arguments[0]))
    assert isinstance(given, Dataset)
    with side_by_side.timed() as taken:
        written = str(local_path(fraud_features(given).uri)) if task == "ours" else _by_hand(str(local_path(given.uri)))
    os.remove(written)
    return taken


def _table(rows: int) -> Any:
    from ostinato.tables import Dataset, duck

    query = TABLE.format(rows=rows, cards=max(rows // 350, 1), terminals=max(rows // 500, 1))
    with duck() as connection:
        return Dataset.save(connection, query, "given", time="ts").to_json()


def _by_hand(path: str) -> str:
    import duckdb

    home = os.environ["OSTINATO_HOME"]
    settings: dict[str, Any] = {
        "memory_limit": os.environ.get("OSTINATO_MEMORY", "1500MB"),
        "temp_directory": f"{home}/spilled",
        "preserve_insertion_order": False,
    }
    target = f"{home}/by_hand.parquet"
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY ({BY_HAND.format(path=path)}) TO '{target}' (FORMAT parquet, COMPRESSION lz4)")
    return target


if __name__ == "__main__":
    side_by_side.main(__doc__, _measure, _be_child, [100_000, 1_000_000, 10_000_000])

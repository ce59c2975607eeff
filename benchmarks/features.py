"""What `fraud_features` costs beside the query that a good engineer would write by hand.

    python benchmarks/features.py [--rows 100000 1000000 10000000] [--repeats 3] [--text]

Each run is a process of its own, the two ways taking turns, on the same Parquet file, with the same memory limit,
threads and compression. Ours is the whole step: checks, query, writing and the scan for the digest. CPU seconds and
wall seconds are those of the work without imports; the peak is the process's. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

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


def measure(rows_list: Sequence[int], repeats: int = 3, *, text: bool = False) -> list[dict[str, Any]]:
    """Medians for each number of rows: `{rows, ids, cpu_ratio, ours_cpu, hand_cpu, ours_wall, …, ours_peak_mb, …}`.

    Args:
        text: cards and terminals are identified by strings.
    """
    return [_measure(rows, repeats, text) for rows in rows_list]


def _measure(rows: int, repeats: int, text: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        given = _child(environment, "table", str(rows), "text" if text else "numbers")
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for turn in range(repeats):
            for way in WAYS if turn % 2 == 0 else reversed(WAYS):
                runs[way].append(_child(environment, way, json.dumps(given)))
    found = {
        f"{way}_{what}": round(statistics.median(run[what] for run in runs[way]), 2)
        for what in ("cpu", "wall", "peak_mb")
        for way in WAYS
    }
    ratio = statistics.median(ours["cpu"] / hand["cpu"] for ours, hand in zip(runs["ours"], runs["hand"], strict=True))
    return {"rows": rows, "ids": "text" if text else "numbers", "cpu_ratio": round(ratio, 2), **found}


def _child(environment: dict[str, str], *arguments: str) -> Any:
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _be_child(task: str, *arguments: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    if task == "table":
        return _table(int(arguments[0]), arguments[1] == "text")
    import duckdb  # noqa: F401  # not part of what is timed

    from ostinato.artifacts import Artifact
    from ostinato.steps.features import fraud_features
    from ostinato.tables import Dataset
    from ostinato.workspace import local_path

    given = Artifact.from_json(json.loads(arguments[0]))
    assert isinstance(given, Dataset)
    wall, cpu = time.perf_counter(), time.process_time()
    written = str(local_path(fraud_features(given).uri)) if task == "ours" else _by_hand(str(local_path(given.uri)))
    taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    os.remove(written)
    return {**taken, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _table(rows: int, text: bool) -> Any:
    from ostinato.tables import Dataset, duck

    query = TABLE.format(rows=rows, cards=max(rows // 350, 1), terminals=max(rows // 500, 1))
    if text:
        named = ", ".join(f"format('{column}_{{:07d}}', {column}_id) AS {column}_id" for column in ("card", "terminal"))
        query = f"SELECT * REPLACE ({named}) FROM ({query})"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--text", action="store_true", help="identify cards and terminals by strings")
    chosen = parser.parse_args()
    names: list[str] = []
    for rows in chosen.rows:
        found = measure([rows], chosen.repeats, text=chosen.text)[0]
        if not names:
            names = list(found)
            print(" | ".join(names))
        print(" | ".join(f"{found[name]:>{len(name)}}" for name in names), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_be_child(*sys.argv[2:])))
    else:
        main()

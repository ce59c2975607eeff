"""What Great Expectations on our DuckDB dialect costs beside one exact query by hand, and beside itself on pandas.

    python benchmarks/validation.py [--rows 1000000 10000000] [--repeats 3]

17 expectations on 12 columns of Parquet. Each run is a process of its own, the ways taking turns, with the same memory
limit and threads; pandas runs once, for it takes long. All find the same counts, or the measurement stops. CPU
seconds are those of the work without imports, reading included; the peak is the whole process's, what its imports
take included, which is given beside it. Figures are medians.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import side_by_side

WAYS = ("gx", "hand")

# Payments: identifiers in no order, a few NULLs, a few values outside of what is expected of them.
TABLE = """
    SELECT (i * 7919) % {rows} AS tx_id, TIMESTAMP '2026-01-01' + to_seconds(i * 15811200 // {rows}) AS ts,
           CASE WHEN hash(i * 3) % 100000 > 0 THEN (hash(i * 3) % 30000)::BIGINT END AS card_id,
           (hash(i * 5) % 20000)::BIGINT AS terminal_id,
           round(exp(1.5 + (hash(i * 7) % 4096 + hash(i * 11) % 4096 + hash(i * 13) % 4096) / 4096.0), 2) AS amount,
           ['EUR', 'USD', 'GBP', 'CHF'][1 + (hash(i * 17) % 4)::INTEGER] AS currency,
           ['chip', 'online', 'phone', 'contactless', '??'][1 + (hash(i * 19) % 40001)::INTEGER // 10000] AS channel,
           format('M{{:05d}}-{{}}', (hash(i * 23) % 5000)::INTEGER, chr(65 + (hash(i * 29) % 26)::INTEGER)) AS merchant,
           (hash(i * 31) % 18000) / 100.0 - 90 AS latitude, (hash(i * 37) % 5 + 1)::SMALLINT AS attempts,
           (hash(i * 41) % 1000 < 6)::INTEGER AS is_fraud, (hash(i * 43) % 1000000) / 1e6 AS score
    FROM range({rows}) AS r(i)"""

COLUMNS = "tx_id ts card_id terminal_id amount currency channel merchant latitude attempts is_fraud score".split()
SET = {"currency": ["EUR", "USD", "GBP"], "channel": ["chip", "online", "phone", "contactless"]}
SUITE: list[tuple[str, dict[str, Any]]] = [
    *(("expect_column_values_to_not_be_null", {"column": name}) for name in (*COLUMNS[:3], "amount", "merchant")),
    ("expect_column_values_to_be_unique", {"column": "tx_id"}),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "strict_min": True, "max_value": 80}),
    ("expect_column_values_to_be_between", {"column": "latitude", "min_value": -90, "max_value": 89}),
    ("expect_column_values_to_be_between", {"column": "attempts", "min_value": 1, "max_value": 4}),
    *(("expect_column_values_to_be_in_set", {"column": name, "value_set": values}) for name, values in SET.items()),
    ("expect_column_values_to_match_regex", {"column": "merchant", "regex": "^M[0-9]{5}-[A-Y]$"}),
    ("expect_column_mean_to_be_between", {"column": "is_fraud", "min_value": 0.001, "max_value": 0.01}),
    ("expect_column_max_to_be_between", {"column": "ts", "min_value": "2026-06-01 00:00:00"}),
    (
        "expect_column_quantile_values_to_be_between",
        {
            "column": "amount",
            "quantile_ranges": {"quantiles": [0.05, 0.5, 0.95], "value_ranges": [[0, 50], [10, 60], [20, 100]]},
        },
    ),
    ("expect_table_row_count_to_be_between", {"min_value": 1}),
    ("expect_table_columns_to_match_set", {"column_set": COLUMNS}),
]
COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0}

# The same, in the order of the suite, as one would write it: one scan, and one grouping for the identifiers.
BY_HAND = """
    SELECT count(*) FILTER (tx_id IS NULL), count(*) FILTER (ts IS NULL), count(*) FILTER (card_id IS NULL),
           count(*) FILTER (amount IS NULL), count(*) FILTER (merchant IS NULL),
           (SELECT coalesce(sum(n), 0)
            FROM (SELECT count(*) AS n FROM batch WHERE tx_id IS NOT NULL GROUP BY tx_id HAVING count(*) > 1)),
           count(*) FILTER (NOT (amount > 0 AND amount <= 80)), count(*) FILTER (latitude NOT BETWEEN -90 AND 89),
           count(*) FILTER (attempts NOT BETWEEN 1 AND 4), count(*) FILTER (currency NOT IN ('EUR', 'USD', 'GBP')),
           count(*) FILTER (channel NOT IN ('chip', 'online', 'phone', 'contactless')),
           count(*) FILTER (NOT regexp_matches(merchant, '^M[0-9]{5}-[A-Y]$')),
           avg(is_fraud), max(ts), quantile_disc(amount, [0.05, 0.5, 0.95]), count(*)
    FROM batch"""


def measure(rows_list: Sequence[int], repeats: int = 3) -> list[dict[str, Any]]:
    """Medians for each number of rows: `{rows, cpu_ratio, pandas_ratio, gx_cpu, …, gx_peak_mb, imports_mb, …}`."""
    return [_measure(rows, repeats) for rows in rows_list]


def _measure(rows: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home, "GX_ANALYTICS_ENABLED": "false"}
        path = f"{home}/given.parquet"
        side_by_side.child(__file__, environment, "table", str(rows), path)
        runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, path)
        runs["pandas"] = [side_by_side.child(__file__, environment, "pandas", path)]
    told = {way: several[0].pop("found") for way, several in runs.items()}
    assert told["gx"] == told["hand"], told
    # pandas interpolates quantiles, and reads integers with a NULL as floats
    assert told["gx"][:14] == told["pandas"][:14], told
    found = side_by_side.medians(runs)
    kept = {what: round(statistics.median(run[what] for run in runs["gx"]), 2) for what in ("imports_mb", "import_cpu")}
    pandas_ratio = round(found["gx_cpu"] / found["pandas_cpu"], 2)
    ratio = side_by_side.ratio(runs, *WAYS)
    return {"rows": rows, "cpu_ratio": ratio, "pandas_ratio": pandas_ratio, **found, **kept}


def _be_child(task: str, *arguments: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    if task == "table":
        return _table(int(arguments[0]), arguments[1])
    import duckdb  # noqa: F401  # not part of what is timed

    if task != "hand":
        import great_expectations.expectations  # noqa: F401

        import ostinato.integrations.gx_duckdb_dialect
        import ostinato.integrations.gx_validator  # noqa: F401
    before = {"import_cpu": time.process_time(), "imports_mb": side_by_side.peak_mb()}
    with side_by_side.timed() as taken:
        found = {"gx": _by_gx, "hand": _by_hand, "pandas": _by_pandas}[task](arguments[0])
    return {**before, **taken, "found": json.loads(json.dumps(found, default=str))}


def _table(rows: int, path: str) -> None:
    from ostinato.tables import duck

    with duck() as connection:
        connection.execute(f"COPY ({TABLE.format(rows=rows)}) TO '{path}' (FORMAT parquet, COMPRESSION lz4)")


def _by_gx(path: str) -> list[Any]:
    from ostinato.integrations.gx_validator import on_duckdb
    from ostinato.suites.suite import Rule
    from ostinato.tables import duck

    rules = [Rule(str(place), name, arguments) for place, (name, arguments) in enumerate(SUITE)]
    with duck() as connection:
        connection.execute(f"CREATE VIEW batch AS FROM read_parquet('{path}')")
        results = on_duckdb(connection, "batch", rules)
    assert not any(result["exception_info"].get("raised_exception") for result in results)
    return [_said(result["result"]) for result in results[:-1]]


def _by_pandas(path: str) -> list[Any]:
    import great_expectations as gx
    import pandas

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("a")
    frame = pandas.read_parquet(path)
    return _validated(asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame}))


def _validated(batch: Any) -> list[Any]:
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    made = [get_expectation_impl(name)(**kwargs, meta={"place": n}) for n, (name, kwargs) in enumerate(SUITE)]
    results = batch.validate(gx.ExpectationSuite(name="suite", expectations=made), result_format=COUNTS).results
    assert not any(result.exception_info.get("raised_exception") for result in results)
    results.sort(key=lambda result: result.expectation_config.meta["place"])
    return [_said(result.result) for result in results[:-1]]


def _said(result: dict[str, Any]) -> Any:
    if "unexpected_count" in result:
        return result["unexpected_count"]
    observed = result["observed_value"]
    if isinstance(observed, str):  # a moment
        return observed.replace("T", " ")
    return observed["values"] if isinstance(observed, dict) else observed


def _by_hand(path: str) -> list[Any]:
    from ostinato.tables import duck

    with duck() as connection:
        connection.execute(f"CREATE VIEW batch AS FROM read_parquet('{path}')")
        assert {row[0] for row in connection.execute("DESCRIBE batch").fetchall()} == set(COLUMNS)
        return list(connection.execute(BY_HAND).fetchall()[0])


if __name__ == "__main__":
    side_by_side.main(__doc__, _measure, _be_child, [1_000_000, 10_000_000])

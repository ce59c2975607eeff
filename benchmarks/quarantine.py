"""What setting rows aside costs beside copying the table: one scan and one write.

    python benchmarks/quarantine.py [--rows 1000000] [--repeats 7]

Ours tells the rows apart by the usual rules for transactions, half a percent of which are broken, and writes both
parts with their facts and content digests; beside it, `COPY` of the same file with the same compression. The two take
turns, each in a process of its own; CPU and wall seconds are of the work without imports. Figures are medians.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import side_by_side

WAYS = ("ours", "copy")


def measure(rows: int = 1_000_000, repeats: int = 7) -> dict[str, Any]:
    """Medians: `{rows, quarantined, cpu_ratio, ours_cpu, copy_cpu, ours_wall, …, ours_peak_mb, …}`."""
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        given = json.dumps(side_by_side.child(__file__, environment, "table", str(rows)))
        runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, given)
    counted = runs["ours"][0]["quarantined"]
    ratio = side_by_side.ratio(runs, *WAYS)
    return {"rows": rows, "quarantined": counted, "cpu_ratio": ratio, **side_by_side.medians(runs)}


def _be_child(task: str, given: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    from ostinato.artifacts import Artifact
    from ostinato.tables import Dataset, duck

    if task == "table":
        return _table(int(given))
    data = Artifact.from_json(json.loads(given))
    assert isinstance(data, Dataset)
    rules = _rules()
    with duck() as connection, side_by_side.timed() as taken:
        quarantined = _ours(connection, data, rules) if task == "ours" else _copy(connection, data)
    return {**taken, "quarantined": quarantined}


def _table(rows: int) -> Any:
    from ostinato.samples.transactions import write
    from ostinato.steps.data import load

    source = Path(os.environ["OSTINATO_HOME"], "sample")
    write(source, rows=rows, seed=7, broken=0.005)
    return load.function(str(source)).to_json()  # type: ignore[attr-defined]


def _rules() -> Any:
    from datetime import datetime

    from ostinato.steps.features import Columns
    from ostinato.suites.filling import filled
    from ostinato.suites.naming import named
    from ostinato.suites.reading import read_suite
    from ostinato.suites.usual import TRANSACTIONS

    rules = [rule for rule in read_suite(named(TRANSACTIONS, vars(Columns()))).rules if rule.quarantine]
    return [filled(rule, {"day": datetime(2026, 9, 1)}, {}) for rule in rules]


def _ours(connection: Any, data: Any, rules: Any) -> int:
    from ostinato.steps.quarantine import Apart

    apart = Apart(connection, data, rules)
    apart.save_bad()
    apart.save_good()
    return apart.rows


def _copy(connection: Any, data: Any) -> int:
    target = Path(os.environ["OSTINATO_HOME"], "copied.parquet")
    connection.execute(f"COPY (FROM {data.sql(connection)}) TO '{target}' (FORMAT parquet, COMPRESSION lz4)")
    return 0


if __name__ == "__main__":
    side_by_side.main(__doc__, measure, _be_child, [1_000_000], repeats=7)

"""What setting rows aside costs beside copying the table: one scan and one write.

    python benchmarks/quarantine.py [--rows 1000000] [--repeats 7]

Ours tells the rows apart by the usual rules for transactions, half a percent of which are broken, and writes both
parts with their facts and content digests; beside it, `COPY` of the same file with the same compression. The two take
turns, each in a process of its own; CPU and wall seconds are of the work without imports. Figures are medians.
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
from pathlib import Path
from typing import Any

WAYS = ("ours", "copy")


def measure(rows: int = 1_000_000, repeats: int = 7) -> dict[str, Any]:
    """Medians: `{rows, quarantined, cpu_ratio, ours_cpu, copy_cpu, ours_wall, …, ours_peak_mb, …}`."""
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        given = _child(environment, "table", str(rows))
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for turn in range(repeats):
            for way in WAYS if turn % 2 == 0 else reversed(WAYS):
                runs[way].append(_child(environment, way, json.dumps(given)))
    found = {
        f"{way}_{what}": round(statistics.median(run[what] for run in runs[way]), 2)
        for what in ("cpu", "wall", "peak_mb")
        for way in WAYS
    }
    ratio = statistics.median(ours["cpu"] / copy["cpu"] for ours, copy in zip(runs["ours"], runs["copy"], strict=True))
    return {"rows": rows, "quarantined": runs["ours"][0]["quarantined"], "cpu_ratio": round(ratio, 2), **found}


def _child(environment: dict[str, str], *arguments: str) -> Any:
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _be_child(task: str, given: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    from ostinato.artifacts import Artifact
    from ostinato.tables import Dataset, duck

    if task == "table":
        return _table(int(given))
    data = Artifact.from_json(json.loads(given))
    assert isinstance(data, Dataset)
    rules = _rules()
    with duck() as connection:
        wall, cpu = time.perf_counter(), time.process_time()
        quarantined = _ours(connection, data, rules) if task == "ours" else _copy(connection, data)
        taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**taken, "quarantined": quarantined, "peak_mb": peak}


def _table(rows: int) -> Any:
    from ostinato.samples.transactions import write
    from ostinato.steps.data import load

    source = Path(os.environ["OSTINATO_HOME"], "sample")
    write(source, rows=rows, seed=7, broken=0.005)
    return load.function(str(source)).to_json()  # type: ignore[attr-defined]


def _rules() -> Any:
    from dataclasses import replace
    from datetime import datetime

    from ostinato.pipelines.fraud_detection import usual_rules
    from ostinato.steps.features import Columns
    from ostinato.suites import formulas
    from ostinato.suites.reading import read_suite

    known = {"day": datetime(2026, 9, 1)}
    chosen = [rule for rule in read_suite(usual_rules(Columns())).rules if rule.quarantine]
    return [replace(rule, arguments=formulas.filled(rule.arguments, known)) for rule in chosen]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    for name, value in measure(chosen.rows, chosen.repeats).items():
        print(f"{name:>14} {value}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_be_child(*sys.argv[2:])))
    else:
        main()

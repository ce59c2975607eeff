"""The whole fraud pipeline beside a plain script that gives the same model, metrics and MLflow run.

    python benchmarks/pipeline.py [--rows 1000000] [--repeats 3]

Both run as processes of their own with the same environment, taking turns, each time with a new MLflow database. CPU
seconds are those of the process and all its children, imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import side_by_side

HERE = Path(__file__).parent
OSTINATO = [sys.executable, "-m", "ostinato.cli"]


def measure(rows: int = 1_000_000, repeats: int = 3) -> dict[str, Any]:
    """Medians: `{rows, cpu_ratio, ours_cpu, plain_cpu, ours_wall, plain_wall, ours_metrics, plain_metrics}`."""
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as folder:
        source = f"{folder}/tx"
        subprocess.run([*OSTINATO, "data", "sample", "transactions", "--rows", str(rows), "-o", source], check=True)
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
        for turn in range(repeats):
            for way in ("ours", "plain") if turn % 2 == 0 else ("plain", "ours"):
                runs[way].append(_run(way, source, f"{folder}/{way}-{turn}"))
    return {
        "rows": rows,
        "cpu_ratio": side_by_side.ratio(runs, "ours", "plain"),
        **side_by_side.medians(runs, ("cpu", "wall")),
        "ours_metrics": runs["ours"][0]["metrics"],
        "plain_metrics": runs["plain"][0]["metrics"],
    }


def _run(way: str, source: str, home: str) -> dict[str, Any]:
    Path(home).mkdir()
    command = {
        "ours": [*OSTINATO, "run", "fraud_detection", "-p", f"source={source}", "--json"],
        "plain": [sys.executable, str(HERE / "plain_fraud.py"), source, home],
    }[way]
    # active waiting of OpenMP threads is off for both: it makes CPU seconds depend on what else the machine does
    environment = {**os.environ, "OSTINATO_HOME": home, "OMP_WAIT_POLICY": "PASSIVE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(done.stdout.splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall, "metrics": said["metrics"] if way == "ours" else said}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(json.dumps(measure(given.rows, given.repeats), indent=1))

"""How fast samples are written, in rows a second of wall and of CPU time."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any


def measure(rows: int = 1_000_000, repeats: int = 5, name: str = "transactions") -> dict[str, Any]:
    """Medians over processes of their own: `{rows, wall, cpu, rows_per_second, rows_per_cpu_second}`.

    `name` is the sample's. Start-up is included.
    """
    walls, costs = [], []
    for turn in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "ostinato.cli", "data", "sample", name]
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([*command, "--rows", str(rows), "--seed", str(turn), "-o", f"{folder}/table"], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            walls.append(time.perf_counter() - start)
            costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    wall, cpu = statistics.median(walls), statistics.median(costs)
    speed = {"rows_per_second": round(rows / wall), "rows_per_cpu_second": round(rows / cpu)}
    return {"rows": rows, "wall": round(wall, 2), "cpu": round(cpu, 2), **speed}


if __name__ == "__main__":
    for sample in ("transactions", "interactions"):
        print(sample, measure(name=sample))

"""What the page of a run costs, and how large it is: the last of two runs, so that there is a champion to compare with.

    python benchmarks/report.py [--rows 1000000] [--repeats 5]

The fraud pipeline runs twice on the same sample, a week apart, and the second run's page and model card are written
again, each time in a process of its own: `fresh` seconds are of the whole process, with Python and matplotlib to be
started, `warm` ones of the second writing in it. Figures are medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import side_by_side

OSTINATO = [sys.executable, "-m", "ostinato.cli"]
SLICES = '["hour", "amount"]'
WEEK_APART = ("2026-04-20", "2026-04-27")  # of the sample's days


def measure(rows: int = 1_000_000, repeats: int = 5) -> dict[str, Any]:
    """`{rows, plots, page_kb, card_kb, fresh_cpu, fresh_wall, warm_cpu, warm_wall}`."""
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": home}
        source, run = f"{home}/tx", ""
        subprocess.run([*OSTINATO, "data", "sample", "transactions", "--rows", str(rows), "-o", source], check=True)
        given = ["-p", f"source={source}", "-p", f"slices={SLICES}"]
        for as_of in WEEK_APART:
            command = [*OSTINATO, "run", "fraud_detection", *given, "--as-of", as_of, "--json"]
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            run = json.loads(done.stdout)["run_id"]
        runs = []
        for _ in range(repeats):
            start = time.perf_counter()
            found = side_by_side.child(__file__, environment, run, home)
            runs.append({**found, "fresh_wall": time.perf_counter() - start - found["warm_wall"]})
    known = {name: runs[0][name] for name in ("plots", "page_kb", "card_kb")}
    measured = ("fresh_cpu", "fresh_wall", "warm_cpu", "warm_wall")
    return {
        "rows": rows,
        **known,
        **{name: round(statistics.median(one[name] for one in runs), 2) for name in measured},
    }


def _be_child(run_id: str, home: str) -> dict[str, Any]:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    from ostinato.outcome import outcome
    from ostinato.report import written
    from ostinato.runner import records_of

    result = outcome(records_of(home), run_id)
    written(result, home)
    fresh = time.process_time()
    with side_by_side.timed() as taken:
        places = written(result, home)
    page, card = (Path(places[name]).read_text() for name in ("report.html", "model_card.md"))
    sizes = {"page_kb": round(len(page.encode()) / 1e3, 1), "card_kb": round(len(card.encode()) / 1e3, 1)}
    return {
        "plots": page.count("<figure"),
        **sizes,
        "fresh_cpu": fresh,
        "warm_cpu": taken["cpu"],
        "warm_wall": taken["wall"],
    }


if __name__ == "__main__":
    side_by_side.main(__doc__, measure, _be_child, [1_000_000], repeats=5)

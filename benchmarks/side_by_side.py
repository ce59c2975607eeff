"""What the measurements share: ways of doing the same that take turns, each time in a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
MEASURED = ("cpu", "wall", "peak_mb")


def child(script: str, environment: Mapping[str, str], *arguments: str) -> Any:
    """What `script --child …` answers as JSON, see `main`."""
    command = [sys.executable, script, "--child", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def take_turns(
    script: str, environment: Mapping[str, str], ways: Sequence[str], repeats: int, *arguments: str
) -> dict[str, list[dict[str, Any]]]:
    """Each way's answers; who goes first changes from turn to turn."""
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for turn in range(repeats):
        for way in ways if turn % 2 == 0 else reversed(ways):
            runs[way].append(child(script, environment, way, *arguments))
    return runs


def medians(runs: Runs, measured: Sequence[str] = MEASURED) -> dict[str, float]:
    """`{way_what: median}`, rounded to hundredths."""
    return {
        f"{way}_{what}": round(statistics.median(run[what] for run in several), 2)
        for what in measured
        for way, several in runs.items()
    }


def ratio(runs: Runs, ours: str, other: str) -> float:
    """The median, over the turns, of our CPU seconds to the other's."""
    pairs = zip(runs[ours], runs[other], strict=True)
    return round(statistics.median(one["cpu"] / two["cpu"] for one, two in pairs), 2)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """The CPU and wall seconds of the body, and the peak memory of the process (MB), known after it."""
    taken: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield taken
    taken.update(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall, peak_mb=peak_mb())


def peak_mb() -> float:
    """The most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(
    doc: str | None,
    measure: Callable[[int, int], Mapping[str, Any]],
    be_child: Callable[..., Any],
    rows: Sequence[int],
    repeats: int = 3,
) -> None:
    """The command line of a measurement: a line of figures for each number of rows.

    Args:
        measure: takes the number of rows and of repeats.
        be_child: what runs in a process of its own; its answer goes to stdout as JSON.
    """
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(be_child(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=rows)
    parser.add_argument("--repeats", type=int, default=repeats)
    chosen = parser.parse_args()
    for place, count in enumerate(chosen.rows):
        found = measure(count, chosen.repeats)
        if place == 0:
            print(" | ".join(found))
        print(" | ".join(f"{value:>{len(name)}}" for name, value in found.items()), flush=True)

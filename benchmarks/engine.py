"""What the local engine, tracing and start-up cost beyond the work itself."""

from __future__ import annotations

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

from ostinato import pipeline, step
from ostinato.engines.local_run import run
from ostinato.graph import Pipeline
from ostinato.tracing import trace

FEW, MANY = 10, 60


@step
def add(value: int, more: int) -> int:
    """The least a step can do."""
    return value + more


@pipeline
def short() -> None:
    """Ten steps in a row."""
    _chain(FEW)


@pipeline
def long() -> None:
    """Sixty steps in a row."""
    _chain(MANY)


@pipeline
def fifty() -> None:
    """Fifty steps in a row."""
    _chain(50)


def _chain(length: int) -> None:
    value = add(1, 1)
    for _ in range(length - 1):
        value = add(value, 1)


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _cost(chain: Pipeline[...]) -> tuple[float, float]:
    """CPU and wall seconds of one run."""
    cpu, wall = _cpu(), time.perf_counter()
    result = run(chain)
    assert result["state"] == "succeeded", result
    return _cpu() - cpu, time.perf_counter() - wall


def measure(repeats: int = 7) -> list[dict[str, Any]]:
    """Rows of figures: milliseconds each, medians of `repeats`, interleaved."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["OSTINATO_HOME"] = home
        _cost(short)
        costs = [(_cost(short), _cost(long)) for _ in range(repeats)]
    per_step = [
        statistics.median((many[kind] - few[kind]) / (MANY - FEW) * 1000 for few, many in costs) for kind in (0, 1)
    ]
    traced = []
    for _ in range(50):
        start = time.perf_counter()
        trace(fifty)
        traced.append((time.perf_counter() - start) * 1000)
    return [
        {"what": "a step of the local engine, CPU", "ms": per_step[0], "bound": 20},
        {"what": "a step of the local engine, wall", "ms": per_step[1], "bound": 20},
        {"what": "tracing a pipeline of 50 steps", "ms": statistics.median(traced), "bound": 5},
        {"what": "ostinato --help, warm", "ms": _process(["-m", "ostinato.cli", "--help"], repeats), "bound": 500},
        {"what": "import ostinato, beyond Python's own start", "ms": _import(repeats), "bound": None},
    ]


def _process(arguments: list[str], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[1:])


def _import(repeats: int) -> float:
    return _process(["-c", "import ostinato"], repeats) - _process(["-c", "pass"], repeats)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(measure(), indent=1))

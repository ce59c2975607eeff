"""How long promoting and rolling back takes, and what becomes of eight promoters that race for the same model.

The time is that of the steps `promote` and `rollback` on sqlite, import of MLflow left out. The racers are processes
that look up the champion, take a moment, and promote a version of their own, back to back. Afterwards the ledger is
read and held against what each of them was told.

python benchmarks/promotion.py                 as in the issue: 8 promoters, 100 rounds
python benchmarks/promotion.py --rounds 10
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ostinato.artifacts import Model, Promotion, Verdict
from ostinato.context import Context, running
from ostinato.integrations import mlflow_registry
from ostinato.integrations.mlflow_connection import connected
from ostinato.steps.release import promote, rollback
from ostinato.workspace import Workspace

NAME = "fraud"
THINKING = 0.02  # seconds at most between looking and promoting


def measure(racers: int = 8, rounds: int = 100, repeats: int = 15) -> dict[str, Any]:
    """Seconds of a promotion and a rollback (median), and what came of the race."""
    with tempfile.TemporaryDirectory() as folder:
        calm = _child(f"{folder}/calm", "calm", repeats)
        raced = _race(f"{folder}/raced", racers, rounds)
    return {**calm, **raced}


def _child(home: str, *arguments: object) -> Any:
    return json.loads(_started(home, *arguments).communicate()[0])


def _started(home: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OSTINATO_HOME": home, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _race(home: str, racers: int, rounds: int) -> dict[str, Any]:
    _child(home, "versions", racers * rounds)
    wall = time.perf_counter()
    processes = [_started(home, "racer", 1 + rounds * racer, rounds) for racer in range(racers)]
    told = [one for process in processes for one in json.loads(process.communicate()[0])]
    wall = time.perf_counter() - wall
    won = {one["entry"]: one["against"] for one in told if one["entry"]}
    return {"racers": racers, "rounds": rounds, **_count(told), **_child(home, "audit", json.dumps(won)), "wall": wall}


def _count(told: list[dict[str, Any]]) -> dict[str, int]:
    promoted = sum(one["entry"] is not None for one in told)
    errors = sum("error" in one for one in told)
    return {"attempts": len(told), "promoted": promoted, "refused": len(told) - promoted - errors, "errors": errors}


# --- in a process of its own --------------------------------------------------------------------------------------


def be_child(what: str, *arguments: str) -> Any:
    """One of the parts: `calm`, `versions`, `racer`, `audit`."""
    if what == "calm":
        return _calm(int(arguments[0]))
    if what == "versions":
        return _put_versions(int(arguments[0]))
    if what == "racer":
        return [_attempt(version) for version in range(int(arguments[0]), int(arguments[0]) + int(arguments[1]))]
    return _audit({int(entry): against for entry, against in json.loads(arguments[0]).items()})


def _calm(repeats: int) -> dict[str, float]:
    _put_versions(repeats)
    promoting = [_seconds(lambda version=version: _promote(version, _head())) for version in range(1, repeats + 1)]
    back = [_seconds(lambda turn=turn: _rollback(turn)) for turn in range(repeats - 1)]
    return {"promote": statistics.median(promoting[1:]), "rollback": statistics.median(back)}


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    assert work().promoted
    return time.perf_counter() - began


def _put_versions(count: int) -> int:
    with connected(Workspace.here()) as client:
        client.create_registered_model(NAME)
        for _ in range(count):
            client.create_model_version(NAME, "s3://nowhere/model")
    return count


def _step(run_id: str) -> Any:
    return running(Context(Workspace.here(), run_id=run_id, step="promote", pipeline=NAME))


def _head() -> int:
    with _step("look"):
        return mlflow_registry.head(NAME)


def _promote(version: int, against: int) -> Promotion:
    facts = {"name": NAME, "version": str(version), "files": f"sha256:{version}"}
    model = Model(f"models:/{NAME}/{version}", f"sha256:{version}", facts)
    with _step(f"r{version}"):
        check = {"name": "average_precision", "value": 0.7, "bound": 0.5, "outcome": "pass"}
        verdict = Verdict.of([check], {"average_precision": 0.7}, model=model.digest, data="sha256:test")
        judged = {"outcome": "pass", "ledger": {"name": NAME, "entry": against}}
        return promote(model, replace(verdict, facts={**verdict.facts, **judged}))


def _rollback(turn: int) -> Promotion:
    with _step(f"back{turn}"):
        return rollback(NAME, why="measured")


def _attempt(version: int) -> dict[str, Any]:
    """Look up the champion, judge against it, promote; what one was told."""
    try:
        with _step(f"look{version}"):
            champion = mlflow_registry.champion(NAME)
        time.sleep(random.uniform(0, THINKING))
        done = _promote(version, champion.entry if champion else 0)
    except Exception as error:
        return {"entry": None, "error": f"{type(error).__name__}: {error}"[:200]}
    return {"entry": done.facts["entry"], "against": champion.version if champion else None}


def _audit(won: dict[int, str | None]) -> dict[str, Any]:
    """The ledger against what the winners were told."""
    with _step("audit"):
        found = mlflow_registry.read(NAME)
    heads = [entry.expected for entry in found.effective]
    written = {entry.number: entry.replaced for entry in found.effective}
    numbers = [entry.number for entry in found.entries]
    return {
        "effective": len(found.effective),
        "lost": len(found.entries) - len(found.effective),
        "one_per_head": heads == [0, *written][:-1] and len(set(heads)) == len(heads),
        "replaced_unjudged": sum(written[number] != against for number, against in won.items() if number in written),
        "told_and_written_differ": len(set(won) ^ set(written)),
        "complete": numbers == list(range(1, len(numbers) + 1)) and not found.broken,
        "alias_agrees": found.alias == found.champion,
    }


def main() -> None:
    """The command line."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(be_child(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--racers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=15)
    chosen = parser.parse_args()
    found = measure(chosen.racers, chosen.rounds, chosen.repeats)
    shown = {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in found.items()}
    print(" | ".join(shown))
    print(" | ".join(f"{value:>{len(name)}}" for name, value in shown.items()))


if __name__ == "__main__":
    main()

"""The recommender's retraining: how well it chooses, and what it costs beside the libraries called directly.

    python benchmarks/recommendation.py [--quick]

Four measurements, each way in a process of its own, taking turns where there are two:

* three generated worlds: the chosen model on the test, beside each candidate searched and trained alone;
* from loaded interactions to a champion, in the processes of the local engine (`recommendation_ours.py`), against a
  plain script with the same searches (`plain_recommendation.py`): CPU seconds of all processes, imports included;
* every user's ten best items (`recommendation_batch.py`);
* the cost of an interaction from few to many rows, with a catalogue of one size and with one that grows.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import recommendation_batch
import recommendation_worlds
import side_by_side

HERE = Path(__file__).parent
CANDIDATES = ("ease", "als", "item_knn", "popularity")
WORLDS = (("sample", 300_000, 0), ("heavy", 300_000, 300), ("clusters", 300_000, 6_000))
QUICK_WORLDS = (("sample", 20_000, 0), ("heavy", 20_000, 100), ("clusters", 20_000, 500))
SEEDS = (7, 8, 9)
SIZES = (100_000, 1_000_000, 5_000_000)
ITEMS, ROWS_AN_ITEM = 2_000, 500


def measure(quick: bool = False) -> dict[str, Any]:
    """`{worlds, release, batch, cost}`: see the functions of these names."""
    if quick:
        return {
            "worlds": worlds(QUICK_WORLDS, SEEDS[:1], trials=1),
            "release": release(20_000, 1, trials=1),
            "batch": recommendation_batch.measure(60_000, 1, ["als"]),
            "cost": cost((20_000,), ("fixed",), trials=1),
        }
    return {
        "worlds": worlds(WORLDS, SEEDS),
        "release": release(1_000_000, 3),
        "batch": recommendation_batch.measure(3_000_000, 3),
        "cost": cost(SIZES),
    }


def worlds(
    made: Sequence[tuple[str, int, int]] = WORLDS, seeds: Sequence[int] = SEEDS, trials: int = 6
) -> list[dict[str, Any]]:
    """For each world and seed `{world, seed, rows, users, items, chosen, ndcg, alone, validation}`.

    Args:
        made: kind, rows and items (see `recommendation_worlds`).
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        return [
            {"world": kind, "seed": seed, **_child(home, "world", kind, str(rows), str(items), str(seed), str(trials))}
            for kind, rows, items in made
            for seed in seeds
        ]


def release(rows: int = 1_000_000, repeats: int = 3, trials: int = 6) -> dict[str, Any]:
    """Medians: `{rows, cpu_ratio, ours_cpu, plain_cpu, ours_wall, plain_wall, steps, ndcg, options, validation}`.

    `steps` are the CPU seconds of each step of ours; by way, `ndcg` is what it came to on the test, and `options` and
    `validation` tell what it found of each candidate, and the nDCG reached on what was held back.
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as folder:
        loaded = _child(f"{folder}/loaded", "load", "sample", str(rows), "0", "7")
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
        for turn in range(repeats):
            for way in runs if turn % 2 == 0 else reversed(runs):
                runs[way].append(_released(way, loaded, f"{folder}/{way}-{turn}", trials))
    ours, plain = (runs[way][0]["validation"] for way in ("ours", "plain"))
    assert all(abs(ours[name] / plain[name] - 1) < 0.03 for name in plain), f"the searches disagree: {ours} and {plain}"
    return {
        "rows": rows,
        "cpu_ratio": side_by_side.ratio(runs, "ours", "plain"),
        **side_by_side.medians(runs, ("cpu", "wall")),
        "steps": runs["ours"][0]["steps"],
        **{
            what: {way: several[0][what] for way, several in runs.items()} for what in ("ndcg", "options", "validation")
        },
    }


def _released(way: str, loaded: dict[str, Any], home: str, trials: int) -> dict[str, Any]:
    Path(home).mkdir()
    day, file = f"{recommendation_worlds.AS_OF:%Y-%m-%d}", loaded["uri"].removeprefix("file://")
    script, arguments = {
        "ours": ("recommendation_ours.py", [json.dumps(loaded), str(trials), day]),
        "plain": ("plain_recommendation.py", [file, home, str(trials), day]),
    }[way]
    environment = {**os.environ, **recommendation_worlds.THREADS, "OSTINATO_HOME": home}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall, **_SAID[way](json.loads(done.stdout.splitlines()[-1]))}


def _said_by_ours(said: dict[str, Any]) -> dict[str, Any]:
    steps = {
        step["name"] + (f" {step['label']}" if "label" in step else ""): step["cpu_seconds"]
        for step in said["steps"]
        if step["cpu_seconds"] is not None
    }
    searches = [step["outputs"]["facts"] for step in said["steps"] if step["name"] == "search_recommender"]
    return {
        "ndcg": said["metrics"]["ndcg_at_10"],
        "steps": steps,
        "options": {one["candidate"]: _without_iterations(one["options"]) for one in searches},
        "validation": {one["candidate"]: one["score"] for one in searches},
    }


def _without_iterations(options: dict[str, Any]) -> dict[str, Any]:
    """Options without what is not searched."""
    return {name: value for name, value in options.items() if name != "iterations"}


def _said_by_plain(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "ndcg": said["metrics"]["ndcg_at_10"],
        "options": {kind: options for kind, (_, options) in said["found"].items()},
        "validation": {kind: score for kind, (score, _) in said["found"].items()},
    }


_SAID: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"ours": _said_by_ours, "plain": _said_by_plain}


def cost(
    sizes: Sequence[int] = SIZES, catalogues: Sequence[str] = ("fixed", "growing"), trials: int = 6
) -> list[dict[str, Any]]:
    """For each catalogue and size `{catalogue, rows, items, cpu, micros, steps, chosen, peak_mb}`.

    `micros` are CPU microseconds an interaction, `steps` CPU seconds.
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        asked = {"fixed": [ITEMS] * len(sizes), "growing": [rows // ROWS_AN_ITEM for rows in sizes]}
        pairs = {pair for name in catalogues for pair in zip(sizes, asked[name], strict=True)}
        found = {pair: _child(home, "cost", *map(str, pair), str(trials)) for pair in sorted(pairs)}
    return [
        {"catalogue": catalogue, "rows": rows, "items": items, **found[rows, items]}
        for catalogue in catalogues
        for rows, items in zip(sizes, asked[catalogue], strict=True)
    ]


def _child(home: str, task: str, *arguments: str) -> Any:
    environment = {**os.environ, **recommendation_worlds.THREADS, "OSTINATO_HOME": home}
    return side_by_side.child(__file__, environment, task, *arguments)


# --- what runs in a process of its own --------------------------------------------------------------------------------


def _be_child(task: str, *arguments: str) -> Any:
    return {"load": _load, "world": _world, "cost": _cost}[task](*arguments)


def _load(kind: str, rows: str, items: str, seed: str) -> Any:
    """Make a table, as the step `load` hands it on."""
    with recommendation_worlds.at("load"):
        return recommendation_worlds.written(kind, int(rows), int(items), int(seed)).to_json()


def _world(kind: str, rows: str, items: str, seed: str, trials: str) -> dict[str, Any]:
    """Each candidate searched and trained alone, and what is chosen of all, judged on the test."""
    from ostinato.tables import Dataset

    loaded = recommendation_worlds.opened(json.dumps(_load(kind, rows, items, seed)))
    assert isinstance(loaded, Dataset)
    train, test = _split(loaded)
    found = {name: _searched(name, train, int(trials)) for name in CANDIDATES}
    alone = {name: _judged(_trained([one], train, name), train, test, name) for name, one in found.items()}
    model = _trained(list(found.values()), train, "all")
    metrics = _judged(model, train, test, "all")
    return {
        "rows": loaded.rows,
        "users": model.facts["users"],
        "items": model.facts["items"],
        "judged": metrics["users"],
        "chosen": _chosen(model),
        "ndcg": metrics["ndcg_at_10"],
        "alone": {name: metrics["ndcg_at_10"] for name, metrics in alone.items()},
        "validation": {name: one.score for name, one in found.items()},
    }


def _cost(rows: str, items: str, trials: str) -> dict[str, Any]:
    """The CPU seconds of each step in one process that has imported what they need."""
    import implicit.als  # noqa: F401
    import mlflow.pyfunc  # noqa: F401
    import optuna  # noqa: F401

    _world("tastes", "2000", "50", "7", "1")  # what is set up once in a process
    loaded = recommendation_worlds.opened(json.dumps(_load("tastes", rows, items, "7")))
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        with side_by_side.timed() as taken:
            found = work()
        spent[name] = round(taken["cpu"], 3)
        return found

    train, test = timed("interactions and split", lambda: _split(loaded))
    found = [timed(f"search {name}", lambda n=name: _searched(n, train, int(trials))) for name in CANDIDATES]
    model = timed("train", lambda: _trained(found, train, "all"))
    timed("judge", lambda: _judged(model, train, test, "all"))
    cpu = sum(spent.values())
    return {
        "cpu": round(cpu, 2),
        "micros": round(cpu / loaded.rows * 1e6, 2),
        "steps": spent,
        "chosen": _chosen(model),
        "peak_mb": round(side_by_side.peak_mb()),
    }


def _chosen(model: Any) -> str:
    return next(one["name"] for one in model.facts["candidates"] if one["chosen"])


def _split(loaded: Any) -> Any:
    from ostinato.steps.interaction_tables import interactions, split_interactions

    with recommendation_worlds.at("interactions"):
        found = interactions(loaded)
    with recommendation_worlds.at("split"):
        return split_interactions(found)


def _searched(name: str, train: Any, trials: int) -> Any:
    from ostinato.steps.recommenders import search_recommender

    with recommendation_worlds.at(f"search-{name}"):
        return search_recommender(name, train, trials=trials)


def _trained(found: Sequence[Any], train: Any, name: str) -> Any:
    from ostinato.steps.recommenders import train_recommender

    with recommendation_worlds.at(f"train-{name}"):
        return train_recommender(found, train)


def _judged(model: Any, train: Any, test: Any, name: str) -> dict[str, float]:
    from ostinato.steps.recommender_judgement import judge_recommender

    with recommendation_worlds.at(f"judge-{name}"):
        return judge_recommender(model, train, test, compare="none").metrics


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_be_child(*sys.argv[2:])))
    else:
        print(json.dumps(measure("--quick" in sys.argv), indent=1))

"""What the bootstrap of a verdict costs beside the NumPy loop that a good engineer would write by hand.

    python benchmarks/judgement.py [--rows 1000000] [--repeats 3]

Two models' scores of the same rows, 1 % of them positive, and 500 replicates of the difference in average precision:
with rows as blocks, with seven days as blocks, and with days and cards both, which `evaluate` takes by default. The
loop sorts once for each model and draws a weight for each block and replicate. The ways take turns, each in a process
of its own; CPU and wall seconds are of the work without imports and without making the scores. Figures are medians.
"""

from __future__ import annotations

import os
from typing import Any

import side_by_side

WAYS = ("ours", "hand")
BLOCKS = ("row", "day", "day and card")
REPLICATES = 500


def measure(rows: int = 1_000_000, repeats: int = 3) -> list[dict[str, Any]]:
    """Medians for each kind of block: `{rows, block, cpu_ratio, ours_cpu, hand_cpu, ours_wall, …, ours_peak_mb, …}`."""
    found = []
    for block in BLOCKS:
        runs = side_by_side.take_turns(__file__, {**os.environ}, WAYS, repeats, block, str(rows))
        ours, hand = (runs[way][0]["spread"] for way in WAYS)
        assert abs(ours / hand - 1) < 0.25, f"the two disagree on the spread: {ours} and {hand}"
        ratio = side_by_side.ratio(runs, *WAYS)
        found.append({"rows": rows, "block": block, "cpu_ratio": ratio, **side_by_side.medians(runs)})
    return found


def _be_child(way: str, block: str, rows: str) -> dict[str, float]:
    """What runs in a process of its own."""
    import scipy.sparse
    import scipy.special  # noqa: F401 -- outside of what is measured

    from ostinato.steps import bootstrap  # noqa: F401

    label, scores, blocks = _scored(int(rows), block)
    with side_by_side.timed() as taken:
        spread = (_ours if way == "ours" else _by_hand)(label, scores, blocks)
    return {**taken, "spread": spread}


def _scored(rows: int, block: str) -> tuple[Any, list[Any], dict[str, Any]]:
    import numpy as np

    random = np.random.default_rng(1)
    label = (random.random(rows) < 0.01).astype(np.int8)
    shared = random.normal(size=rows) + 2.2 * label
    scores = [shared + random.normal(0, 0.5, rows) for _ in range(2)]
    ways = {"row": np.arange(rows), "day": np.arange(rows) * 7 // rows, "card": random.integers(0, rows // 10, rows)}
    return label, scores, {way: ways[way] for way in block.split(" and ")}


def _ours(label: Any, scores: list[Any], blocks: dict[str, Any]) -> float:
    """What `evaluate` does: both bounds; gives half the width of the interval in standard errors of many blocks."""
    from scipy.special import stdtrit

    from ostinato.steps import bootstrap

    found = bootstrap.resample(label, scores, blocks, replicates=REPLICATES)
    found.lower_bound(0.3, lambda drawn: drawn.lift, 0.05)
    interval = found.interval(0.0, lambda drawn: drawn.difference, 0.05)
    assert interval is not None
    return float(interval.high / stdtrit(min(found.blocks[way] for way in blocks) - 1, 0.95))


def _by_hand(label: Any, scores: list[Any], blocks: dict[str, Any]) -> float:
    import numpy as np

    ways = dict(blocks)
    if len(ways) > 1:
        ways["row"] = np.arange(len(label))
    orders = [np.argsort(-score, kind="stable") for score in scores]
    hits = [np.flatnonzero(label[order]) for order in orders]
    random = np.random.default_rng(0)
    variances = {}
    for way, block in ways.items():
        count = int(block.max()) + 1
        found = np.empty((REPLICATES, 2))
        for replicate in range(REPLICATES):
            weights = random.poisson(1.0, count).astype(np.float32)
            weights = weights if way == "row" else weights[block]
            for model in range(2):
                falling = weights[orders[model]]
                alerts = np.cumsum(falling, dtype=np.float64)[hits[model]]
                gained = falling[hits[model]]
                caught = np.cumsum(gained, dtype=np.float64)
                found[replicate, model] = (gained * caught / np.maximum(alerts, 1.0)).sum() / max(caught[-1], 1.0)
        groups = len(np.unique(block[label > 0]))
        variances[way] = (found[:, 0] - found[:, 1]).var(ddof=1) * groups / (groups - 1)
    widest = max(variances[way] for way in blocks)
    if len(blocks) > 1:
        widest = max(widest, sum(variances[way] for way in blocks) - variances["row"])
    return float(np.sqrt(widest))


def _lines(rows: int, repeats: int) -> dict[str, Any]:
    """The figures of all kinds of blocks as one line of a table."""
    found = measure(rows, repeats)
    return {"rows": rows} | {
        f"{row['block']} {name}": row[name]
        for row in found
        for name in ("cpu_ratio", "ours_cpu", "hand_cpu", "ours_wall", "hand_wall", "ours_peak_mb")
    }


if __name__ == "__main__":
    side_by_side.main(__doc__, _lines, _be_child, [1_000_000])

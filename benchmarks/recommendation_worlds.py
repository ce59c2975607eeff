"""Made-up interactions of different shapes: users, items and times, as `load` hands a table on."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from ostinato.context import Context
    from ostinato.tables import Dataset

BEGIN, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 120
AS_OF = BEGIN + timedelta(days=DAYS)
# one thread of linear algebra for all that is compared, and no active waiting
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
_SECOND = 1_000_000  # in microseconds
_BLOCK = 1 << 24  # users by items at once


def at(step: str) -> AbstractContextManager[Context]:
    """Call steps in the body as a run calls the one of this name."""
    from ostinato.context import Context, running
    from ostinato.workspace import Workspace

    return running(Context(Workspace.here(), f"benchmark-{os.getpid()}", step, pipeline="benchmark", as_of=AS_OF))


def opened(reference: str) -> Any:
    """What a reference as JSON refers to."""
    from ostinato.artifacts import Artifact

    return Artifact.from_json(json.loads(reference))


def written(kind: str, rows: int, items: int, seed: int, **more: Any) -> Dataset:
    """A world of about so many rows as a dataset with the columns user_id, item_id and ts.

    Args:
        kind: "sample", what `ostinato data sample interactions` writes; "tastes", "heavy" or "clusters" (see below).
        items: how many there are; a sample has its own number.
        more: further arguments of what makes it.
    """
    from ostinato.tables import Dataset

    return _sample(rows, seed) if kind == "sample" else Dataset.of(_MADE[kind](rows, items, seed, **more), time="ts")


def _sample(rows: int, seed: int) -> Dataset:
    import tempfile

    from ostinato.samples.interactions import write
    from ostinato.tables import Dataset, duck

    with tempfile.TemporaryDirectory() as folder, duck() as connection:
        write(f"{folder}/sample", rows=rows, seed=seed, days=DAYS)
        query = f"SELECT user_id, item_id, ts FROM read_parquet('{folder}/sample/*.parquet')"
        return Dataset.save(connection, query, time="ts")


def tastes(rows: int, items: int, seed: int, each: float = 50, rank: int = 12) -> pa.Table:
    """Users choose, without taking anything twice, by how popular an item is and how well its factors fit theirs."""
    import numpy as np

    random = np.random.default_rng(seed)
    users = max(2, round(rows / each))
    counts = _counts(random, users, rows, least=2, most=items // 2)
    popular = random.normal(0, 1.1, items).astype(np.float32)
    theirs, its = (random.normal(0, 1, (count, rank)).astype(np.float32) for count in (users, items))
    taken = []
    step = max(1, _BLOCK // items)
    for start in range(0, users, step):
        part = slice(start, start + step)
        likes = theirs[part] @ its.T * np.float32(1.2 / rank**0.5) + popular
        chance = random.standard_exponential(likes.shape, dtype=np.float32)
        likes -= np.log(np.maximum(chance, np.float32(1e-30)))  # Gumbel's: so they are drawn without repetition
        most = int(counts[part].max())
        best = np.argpartition(-likes, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(likes, best, axis=1), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        taken.append(best[np.arange(most) < counts[part, None]])
    return _table(random, np.repeat(np.arange(users), counts), np.concatenate(taken))


def heavy(rows: int, items: int, seed: int) -> pa.Table:
    """A quarter of a small catalogue taken by each user: tastes of few dimensions."""
    return tastes(rows, items, seed, each=items / 4, rank=4)


def clusters(rows: int, items: int, seed: int, each: float = 8, size: int = 60) -> pa.Table:
    """Items in groups without any structure inside: a user has one or two of them, and takes what is popular there.

    One in eight takes what is popular anywhere.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    users, groups = max(2, round(rows / each)), max(2, items // size)
    counts = _counts(random, users, rows, least=1, most=items // 2)
    user = np.repeat(np.arange(users), counts)
    group = random.integers(0, groups, items)
    weight = random.pareto(1.2, items) + 0.2
    order = np.argsort(group, kind="stable")
    running = np.concatenate(([0.0], np.cumsum(weight[order])))
    ends = np.searchsorted(group[order], np.arange(groups + 1))
    own = random.integers(0, groups, (users, 2))
    own[: users // 2, 1] = own[: users // 2, 0]
    chosen = own[user, random.integers(0, 2, len(user))]
    low, high = running[ends[chosen]], running[ends[chosen + 1]]
    anywhere = (random.random(len(user)) < 1 / 8) | (high <= low)
    low, high = np.where(anywhere, 0, low), np.where(anywhere, running[-1], high)
    drawn = np.searchsorted(running, low + (high - low) * random.random(len(user)), side="right") - 1
    return _table(random, user, order[np.minimum(drawn, items - 1)])


_MADE = {"tastes": tastes, "heavy": heavy, "clusters": clusters}


def _counts(random: np.random.Generator, users: int, rows: int, least: int, most: int) -> Any:
    """How many each user takes: a few take many."""
    import numpy as np

    drawn = random.lognormal(0, 0.8, users)
    return np.clip(np.rint(drawn / drawn.sum() * rows), least, max(least, most)).astype(np.int64)


def _table(random: np.random.Generator, users: Any, items: Any) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    begin = np.datetime64(BEGIN.replace(tzinfo=None), "us")
    times = begin + np.sort(random.integers(0, DAYS * 86_400 * _SECOND, len(users))).astype("timedelta64[us]")
    mixed = random.permutation(len(users))
    return pa.table({"user_id": users[mixed], "item_id": items[mixed], "ts": times})

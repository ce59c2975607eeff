"""Every user's ten best items: the step `recommend` beside implicit's own batch for all users.

    python benchmarks/recommendation_batch.py [--rows 3000000] [--repeats 3]

Both rank with the same fitted numbers and write the same lists to Parquet. "lists" begins with model and histories in
memory; "step" is all of the step, reading the model from MLflow and the interactions from Parquet, against a script
that reads its model from a file and the same table. The ways take turns, each in a process of its own; imports are not
in the seconds. Figures are medians.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import recommendation_worlds
import side_by_side

KINDS: dict[str, dict[str, Any]] = {
    "als": {"factors": 64, "regularization": 0.1, "alpha": 10.0, "iterations": 5},
    "item_knn": {"neighbours": 100, "weighting": "cosine"},
}
PARTS = {"lists": ("lists ours", "lists implicit"), "step": ("step ours", "step implicit")}
WAYS = tuple(way for ways in PARTS.values() for way in ways)
K, EACH = 10, 30
IMPORTED = (
    "duckdb",
    "implicit.als",
    "implicit.nearest_neighbours",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "ostinato.steps.recommending",
    "pandas",
    "pyarrow.parquet",
    "scipy.sparse",
    "skops.io",
)


def measure(rows: int = 3_000_000, repeats: int = 3, kinds: Sequence[str] = tuple(KINDS)) -> list[dict[str, Any]]:
    """Medians for each kind and part: `{kind, part, users, items, pairs, cpu_ratio, ours_cpu, implicit_cpu, …}`.

    Args:
        rows: interactions; there is a user for thirty of them and an item for 150.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, **recommendation_worlds.THREADS, "OSTINATO_HOME": home}
        data = json.dumps(side_by_side.child(__file__, environment, "table", str(rows)))
        for kind in kinds:
            fitted = side_by_side.child(__file__, environment, "fit", kind, data)
            model = json.dumps(fitted.pop("model"))
            runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, kind, data, model)
            same = side_by_side.child(__file__, environment, "same", kind)
            assert same > 0.999, f"of {kind}'s recommendations only {same:.2%} are the same"
            for part, ways in PARTS.items():
                pair = dict(zip(("ours", "implicit"), (runs[way] for way in ways), strict=True))
                ratio = side_by_side.ratio(pair, *pair)
                found.append({"kind": kind, "part": part, **fitted, "cpu_ratio": ratio, **side_by_side.medians(pair)})
    return found


def _be_child(task: str, *arguments: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    if task == "table":
        return _table(int(arguments[0]))
    kind = arguments[0]
    if task == "same":
        return _same(kind)
    data = recommendation_worlds.opened(arguments[1])
    if task == "fit":
        return _fit(kind, data)
    _import()
    return _WORK[task](kind, data, recommendation_worlds.opened(arguments[2]))


def _import() -> None:
    """What is not part of what is timed."""
    for name in IMPORTED:
        importlib.import_module(name)


def _table(rows: int) -> Any:
    from ostinato.steps.interaction_tables import interactions

    with recommendation_worlds.at("load"):
        table = recommendation_worlds.written("clusters", rows, rows // (5 * EACH), 7, each=EACH)
    with recommendation_worlds.at("interactions"):
        return interactions(table).to_json()


def _fit(kind: str, data: Any) -> dict[str, Any]:
    """Fit once, for both: in MLflow, and as a file of arrays."""
    import numpy as np

    from ostinato.artifacts import Model
    from ostinato.recommenders.recommender import Recommender

    users, items, taken = _read(data)
    fitted = Recommender.fit(kind, KINDS[kind], users, items, taken, 7)
    np.savez(_file(kind), **fitted.scorer.arrays())
    with recommendation_worlds.at("train"):
        model = Model.of(fitted)
    return {"model": model.to_json(), "users": len(users), "items": len(items), "pairs": taken.nnz}


def _file(name: str) -> str:
    return f"{os.environ['OSTINATO_HOME']}/{name}.npz"


def _read(data: Any) -> tuple[Any, Any, Any]:
    """Users, items and histories, as the steps read them."""
    from ostinato.recommenders.histories import histories, ids_of
    from ostinato.tables import duck

    with duck() as connection:
        table = data.sql(connection)
        users, items = (ids_of(connection, table, name) for name in ("user", "item"))
        return users, items, histories(connection, table, users, items)


# --- the four ways ----------------------------------------------------------------------------------------------------


def _lists_ours(kind: str, data: Any, model: Any) -> dict[str, float]:
    from ostinato.steps.recommending import USERS_AT_ONCE

    users, _, taken = _read(data)
    recommender = model.load()
    with side_by_side.timed() as spent:
        places = recommender.users.places(users.values)
        with _lists(f"lists-ours-{kind}") as write:
            for start in range(0, len(users), USERS_AT_ONCE):
                part = slice(start, start + USERS_AT_ONCE)
                top = recommender.top(taken[part], K, users=places[part])
                write(users.values[part], recommender.items.values, top.items, top.scores)
    return spent


def _lists_implicit(kind: str, data: Any, model: Any) -> dict[str, float]:
    users, items, taken = _read(data)
    fitted = _implicit(kind)
    with side_by_side.timed() as spent:
        _written_by_implicit(f"lists-implicit-{kind}", fitted, users.values, items.values, taken)
    return spent


def _step_ours(kind: str, data: Any, model: Any) -> dict[str, float]:
    from ostinato.steps.recommending import recommend
    from ostinato.workspace import local_path

    with recommendation_worlds.at("recommend"), side_by_side.timed() as spent:
        found = recommend(model, data, k=K)
    local_path(found.uri).replace(f"{os.environ['OSTINATO_HOME']}/step-ours-{kind}.parquet")
    return spent


def _step_implicit(kind: str, data: Any, model: Any) -> dict[str, float]:
    """The same by a script."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from scipy.sparse import csr_matrix

    from ostinato.workspace import local_path

    with side_by_side.timed() as spent:
        fitted = _implicit(kind)
        table = pd.read_parquet(local_path(data.uri), columns=["user", "item"])
        (row, users), (column, items) = (pd.factorize(table[name], sort=True) for name in ("user", "item"))
        taken = csr_matrix((np.ones(len(table), np.float32), (row, column)), shape=(len(users), len(items)))
        taken.data[:] = 1
        _written_by_implicit(f"step-implicit-{kind}", fitted, pa.array(users), pa.array(items), taken)
    return spent


_WORK = {
    "lists ours": _lists_ours,
    "lists implicit": _lists_implicit,
    "step ours": _step_ours,
    "step implicit": _step_implicit,
}


def _implicit(kind: str) -> Any:
    """A model of implicit with the fitted numbers."""
    import numpy as np
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import CosineRecommender, NearestNeighboursScorer
    from scipy.sparse import csr_matrix

    arrays = np.load(_file(kind))
    if kind == "als":
        model = AlternatingLeastSquares(**KINDS["als"])
        model.user_factors, model.item_factors = arrays["users"], arrays["items"]
        return model
    model = CosineRecommender(K=KINDS[kind]["neighbours"])
    count = len(arrays["indptr"]) - 1
    parts = arrays["data"].astype(np.float64), arrays["indices"], arrays["indptr"]
    model.similarity = csr_matrix(parts, shape=(count, count))
    model.scorer = NearestNeighboursScorer(model.similarity)
    return model


def _written_by_implicit(name: str, model: Any, users: Any, items: Any, taken: Any) -> None:
    import numpy as np

    found, scores = model.recommend(np.arange(len(users)), taken, N=K)
    with _lists(name) as write:
        write(users, items, np.where(scores > -1e30, found, -1), scores.astype(np.float32))


@contextmanager
def _lists(name: str) -> Iterator[Callable[[Any, Any, Any, Any], None]]:
    """Write lists as they come: a row for each user and rank."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = {"user": pa.int64(), "rank": pa.int32(), "item": pa.int64(), "score": pa.float32()}
    with pq.ParquetWriter(f"{os.environ['OSTINATO_HOME']}/{name}.parquet", pa.schema(fields)) as file:

        def write(users: Any, items: Any, best: Any, scores: Any) -> None:
            row, rank = np.nonzero(best >= 0)
            listed = users.take(pa.array(row)), (rank + 1).astype(np.int32), items.take(pa.array(best[row, rank]))
            file.write_table(pa.table(dict(zip(fields, (*listed, scores[row, rank]), strict=True))))

        yield write


def _same(kind: str) -> float:
    """The least share of a way's recommendations, from history, that implicit's own lists have, too."""
    import duckdb

    home = os.environ["OSTINATO_HOME"]
    shares = []
    for way in WAYS:
        mine, theirs = (f"'{home}/{one.replace(' ', '-')}-{kind}.parquet'" for one in (way, "lists implicit"))
        query = f"SELECT count(*) FROM {theirs} AS t SEMI JOIN {mine} AS m USING (user, item)"
        found, asked = duckdb.sql(query).fetchall()[0][0], duckdb.sql(f"SELECT count(*) FROM {theirs}").fetchall()[0][0]
        shares.append(found / asked)
    return min(shares)


def _line(rows: int, repeats: int) -> dict[str, Any]:
    """The figures of all kinds and parts as one line of a table."""
    found = measure(rows, repeats)
    return {"rows": rows} | {
        f"{row['kind']} {row['part']} {name}": row[name]
        for row in found
        for name in ("cpu_ratio", "ours_cpu", "implicit_cpu", "ours_peak_mb", "implicit_peak_mb")
    }


if __name__ == "__main__":
    side_by_side.main(__doc__, _line, _be_child, [3_000_000])

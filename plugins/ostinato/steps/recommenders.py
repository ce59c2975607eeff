"""Find the best recommender on a part of the training data that is held back, and train it on all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ostinato.artifacts import Model, Search
from ostinato.context import current
from ostinato.errors import DataError, ParameterError
from ostinato.graph import step
from ostinato.recommenders.histories import histories, ids_of, without
from ostinato.tables import Dataset, duck, literal

from .interaction_tables import Split, draw

if TYPE_CHECKING:
    import duckdb

    from ostinato.recommenders.ids import Ids

CANDIDATES = ("ease", "als", "item_knn", "popularity")
MOST_JUDGED = 10_000  # users of the validation part
_HELD_BACK = 0.2  # of the training data, at most
_EXAMPLES = 20


@step(retries=2)
def search_recommender(
    candidate: str,
    data: Dataset,
    *,
    split: Split = "temporal",
    validation_days: int = 7,
    k: int = 10,
    trials: int = 6,
    budget: float | None = None,
    options: Mapping[str, Mapping[str, Any]] = {},
    ease_items: int = 10_000,
    exclude_seen: bool = True,
    seed: int = 7,
) -> Search:
    """Find the options with which one candidate ranks best, on the last part of what there is to learn from.

    The usual options are tried first; further ones are drawn at random, from the eleventh on by a tree-structured
    Parzen estimator (optuna).

    Args:
        candidate: "ease", "als", "item_knn" or "popularity".
        data: interactions, as `interactions` writes them.
        split: how the validation part is told: "temporal", the last `validation_days` (a fifth of the interactions at
            most); "random", a fifth of each user's items.
        k: how many are recommended: nDCG@k decides.
        trials: how many sets of options are tried.
        budget: seconds after which no further one is; the same seed may then find another best.
        options: by candidate, options that are not to be chosen, e.g. {"als": {"factors": 128}}.
        ease_items: the most items for EASE, which inverts a matrix of items by items; beyond that it is left out.
        exclude_seen: whether what a user took already is not recommended again.
        seed: of all that is random.

    Raises:
        DataError: one item for all, or nothing in the validation part.
        ParameterError: an unknown candidate or option.
        MissingPackage: `implicit` or `optuna` is not installed.
    """
    from ostinato.recommenders import search

    fixed = options.get(candidate, {})
    for name in options:
        search.check(name, options[name])
    search.check(candidate, fixed)
    if trials < 1 or k < 1:
        raise ParameterError(f"trials and k are 1 or more: not trials={trials}, k={k}.")
    context, metric = current(), f"ndcg_at_{k}"
    known: dict[str, Any] = {"candidate": candidate, "metric": metric, "options": dict(fixed), "trials": 0}
    with duck() as connection:
        table = data.sql(connection)
        users, items = _ids(connection, table, data)
        if candidate == "ease" and len(items) > ease_items:
            why = f"{len(items):,} items are more than the {ease_items:,} that EASE may have here (ease_items)"
            context.log(f"ease is left out: {why}")
            return Search.of({**known, "score": None, "why": why})
        held_back = _held_back(connection, table, split, validation_days, seed)
        taken = histories(connection, f"(FROM {table} WHERE NOT {held_back})", users, items)
        later = histories(connection, f"(FROM {table} WHERE {held_back})", users, items)
    later = _judged(later, taken, exclude_seen, seed)

    def told(trial: int, score: float) -> None:
        context.progress(trial, trials)
        context.log(f"{candidate}, trial {trial}: {metric} {score:.4f}")

    found = search.best_options(
        candidate,
        users,
        items,
        taken,
        later,
        k=k,
        trials=trials,
        budget=budget,
        fixed=fixed,
        exclude_seen=exclude_seen,
        seed=seed,
        told=told,
    )
    return Search.of({**known, "options": found.options, "score": found.score, "trials": found.trials})


def _ids(connection: duckdb.DuckDBPyConnection, table: str, data: Dataset) -> tuple[Ids, Ids]:
    users, items = ids_of(connection, table, "user"), ids_of(connection, table, "item")
    if len(items) < 2:
        raise DataError(
            f"All {data.rows:,} interactions of {data.uri} are with one item: there is nothing to choose from."
        )
    return users, items


def _held_back(connection: duckdb.DuckDBPyConnection, table: str, split: Split, validation_days: int, seed: int) -> str:
    """The condition of the validation part."""
    if split == "random":
        return f"({draw(seed, 'validation')} < {_HELD_BACK})"
    last, fifth = connection.execute(
        f"SELECT max(time), quantile_disc(time, {1 - _HELD_BACK}) FROM {table}"
    ).fetchall()[0]
    moment: datetime = max(last - timedelta(days=validation_days), fifth)
    return f"(time > {literal(moment)})"


def _judged(later: Any, taken: Any, exclude_seen: bool, seed: int) -> Any:
    """What users took later, without what they had, of so many users as it takes."""
    import numpy as np
    from scipy.sparse import diags

    if exclude_seen:
        later = without(later, taken)
    there = np.flatnonzero(np.diff(later.indptr))
    if not len(there):
        raise DataError(
            "No user took anything new in the last part of what there is to learn from, so that there is nothing to "
            "choose options by: learn from more days (train_days, test_days), or write split=random, or, where users "
            "take the same again, exclude_seen=false."
        )
    if len(there) > MOST_JUDGED:
        chosen = np.zeros(later.shape[0], np.float32)
        chosen[np.random.default_rng(seed).choice(there, MOST_JUDGED, replace=False)] = 1
        later = (diags(chosen) @ later).tocsr().astype(np.float32)
        later.eliminate_zeros()
        later.sort_indices()  # a product leaves them as they come
    return later


@step(retries=2)
def train_recommender(
    found: Sequence[Search],
    data: Dataset,
    *,
    split: Split = "temporal",
    test_share: float = 0.25,
    seed: int = 7,
) -> Model:
    """Train the candidate that ranked best on all there is to learn from, and log it.

    Args:
        found: what `search_recommender` found of each candidate; of equals the first is taken.
        data: interactions, as `interactions` writes them.
        split: as given to `split_interactions`.
        test_share: as given there; it is kept with the model, for a champion of the same random split has not seen its
            test.
        seed: as given there, and of all else that is random.

    Raises:
        DataError: no candidate could be fitted.
    """
    from ostinato.recommenders.recommender import Recommender

    fitted = [one for one in found if one.score is not None]
    if not found:
        raise DataError(f"There are no candidates: write some of {', '.join(CANDIDATES)}.")
    if not fitted:
        why = "; ".join(f"{one.candidate}: {one.facts.get('why')}" for one in found)
        raise DataError(f"No candidate could be fitted: {why}.")
    best = max(fitted, key=lambda one: one.score or 0.0)  # the first of equals
    with duck() as connection:
        table = data.sql(connection)
        users, items = _ids(connection, table, data)
        taken = histories(connection, table, users, items)
    model = Recommender.fit(best.candidate, dict(best.facts["options"]), users, items, taken, seed)
    shown = ", ".join(f"{name} {value}" for name, value in best.facts["options"].items())
    current().log(
        f"trained {best.candidate} ({shown or 'without options'}) on {taken.nnz:,} pairs of {len(users):,} users and "
        f"{len(items):,} items; {best.facts['metric']} {best.score:.4f} on the validation part"
    )
    return Model.of(
        model,
        _example(model),
        rows=data.rows,
        users=len(users),
        items=len(items),
        data=data.digest,
        window=data.facts.get("time"),
        candidates=[_brief(one, chosen=one is best) for one in found],
        split=said_of_split(split, test_share, seed),
    )


def said_of_split(split: Split, test_share: float, seed: int) -> str:
    """What tells whether two models were trained on the same side of a split."""
    return split if split == "temporal" else f"{split}, share {test_share}, seed {seed}"


def _brief(one: Search, chosen: bool) -> dict[str, Any]:
    facts = one.facts
    told = {"name": one.candidate, "score": one.score, "trials": facts["trials"], "options": facts["options"]}
    return {**told, "chosen": chosen, **({"why": facts["why"]} if "why" in facts else {})}


def _example(model: Any) -> Any:
    """Some known users, and some strangers with what they took lately."""
    import numpy as np
    import pandas as pd

    known = np.linspace(0, len(model.users) - 1, min(_EXAMPLES, len(model.users))).astype(np.int32)
    users = model.users.at(known).to_pylist()
    recent: list[list[Any] | None] = [None] * len(users)
    items = np.linspace(0, len(model.items) - 1, 5).astype(np.int32)
    for count in (1, 3, 5):
        users.append(-count if model.users.numbers else f"a stranger {count}")
        recent.append(model.items.at(np.unique(items[:count])).to_pylist())
    return pd.DataFrame({"user": users, "recent": recent})

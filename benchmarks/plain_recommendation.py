"""The recommender's retraining as a plain script: what a good data scientist would write in one file.

    python benchmarks/plain_recommendation.py FILE HOME TRIALS DAY

The same split, candidates, searches, metrics and MLflow model as `recommendation_ours.py`, by implicit, optuna, NumPy
and pandas called directly; no steps, records, digests, retries, smoke rows or report. FILE is Parquet with the columns
user_id, item_id and ts, DAY the end of the test. Prints its metrics and what the searches found as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK", "true")

import mlflow
import numpy as np
import optuna
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from mlflow.models import infer_signature
from scipy.sparse import csr_matrix
from scipy.stats import t as student

K, SEED, TEST_DAYS = 10, 7, 7
MOST_SEARCHED, MOST_JUDGED, BLOCK = 10_000, 20_000, 2048
NEIGHBOURS = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}
DEFAULTS: dict[str, dict[str, Any]] = {
    "ease": {"regularization": 400.0},
    "als": {"factors": 64, "regularization": 0.1, "alpha": 10.0},
    "item_knn": {"neighbours": 100, "weighting": "cosine"},
}
DISCOUNT = 1 / np.log2(np.arange(2, K + 2))


# --- models -----------------------------------------------------------------------------------------------------------


class Popularity:
    """The most popular items that a user does not have yet."""

    def __init__(self, taken: csr_matrix) -> None:
        """Count."""
        self.counts = np.bincount(taken.indices, minlength=taken.shape[1]).astype(np.float32)

    def recommend(self, users: Any, seen: csr_matrix, N: int) -> tuple[Any, Any]:  # noqa: N803  (as implicit has it)
        """As implicit's models do."""
        return ranked(lambda part: np.tile(self.counts, (part.shape[0], 1)), seen, N)


class Ease:
    """Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019."""

    def __init__(self, gram: Any, regularization: float) -> None:
        """Invert."""
        gram = gram.copy()
        gram[np.diag_indices_from(gram)] += np.float32(regularization)
        inverse = np.linalg.inv(gram)
        self.weights = inverse / -np.diag(inverse)
        np.fill_diagonal(self.weights, 0)

    def recommend(self, users: Any, seen: csr_matrix, N: int) -> tuple[Any, Any]:  # noqa: N803
        """As implicit's models do."""
        return ranked(lambda part: part @ self.weights, seen, N)


def ranked(score: Any, seen: csr_matrix, k: int) -> tuple[Any, Any]:
    """The best items of each row, some rows at a time."""
    found, values = [], []
    for start in range(0, seen.shape[0], BLOCK):
        part = seen[start : start + BLOCK]
        scores = score(part)
        scores[part.nonzero()] = -np.inf
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        own = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-own, axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
        values.append(np.take_along_axis(own, order, axis=1))
    return np.concatenate(found), np.concatenate(values)


def fit(kind: str, options: dict[str, Any], taken: csr_matrix, gram: Any = None) -> Any:
    """A model of one kind."""
    if kind == "popularity":
        return Popularity(taken)
    if kind == "ease":
        return Ease(gram_of(taken) if gram is None else gram, **options)
    if kind == "als":
        model = AlternatingLeastSquares(**options, iterations=15, random_state=SEED)
    else:
        model = NEIGHBOURS[options["weighting"]](K=options["neighbours"])
    model.fit(taken, show_progress=False)
    return model


def gram_of(taken: csr_matrix) -> Any:
    """How many users any two items have in common."""
    return (taken.T @ taken).toarray()


def offer(model: Any, users: Any, taken: csr_matrix, popular: Popularity) -> Any:
    """The best items of users; where a model has too few, what is popular."""
    items = np.full((taken.shape[0], K), -1)
    known = np.flatnonzero(np.diff(taken.indptr))
    best, scores = model.recommend(users[known], taken[known], N=K)
    items[known] = np.where(scores > -1e30, best, -1)
    short = np.flatnonzero((items < 0).any(axis=1))
    if len(short):
        offered, _ = popular.recommend(None, taken[short], 2 * K)
        for row, more in zip(short, offered, strict=True):
            own = items[row][items[row] >= 0]
            items[row] = np.concatenate([own, more[~np.isin(more, own)]])[:K]
    return items


# --- data and metrics -------------------------------------------------------------------------------------------------


def numbered(train: pd.DataFrame, test: pd.DataFrame, column: str) -> tuple[pd.Index, int]:
    """Ids, those to learn from first, and how many these are."""
    known = pd.Index(train[column].unique()).sort_values()
    return known.append(pd.Index(test[column].unique()).difference(known)), len(known)


def histories(rows: pd.DataFrame, users: pd.Index, items: pd.Index) -> csr_matrix:
    """Users by items, each pair once."""
    places = users.get_indexer(rows["user_id"]), items.get_indexer(rows["item_id"])
    found = csr_matrix((np.ones(len(rows), np.float32), places), shape=(len(users), len(items)))
    found.data[:] = 1
    return found


def new_in(later: csr_matrix, taken: csr_matrix) -> csr_matrix:
    """What users took later and did not have."""
    found = (later - later.multiply(taken)).tocsr()
    found.eliminate_zeros()
    return found


def drawn(later: csr_matrix, most: int) -> Any:
    """Users who took something later; of very many some."""
    there = np.flatnonzero(np.diff(later.indptr))
    return np.sort(np.random.default_rng(SEED).choice(there, most, replace=False)) if len(there) > most else there


def hits(items: Any, relevant: csr_matrix) -> Any:
    """Which recommendations were taken."""
    return np.asarray(relevant[np.arange(len(items))[:, None], items].todense()) > 0


def ndcg(hit: Any, counts: Any) -> Any:
    """Of each user."""
    return hit @ DISCOUNT / np.cumsum(DISCOUNT)[np.minimum(counts, K) - 1]


def lower(difference: Any, level: float = 0.05) -> float:
    """The lower bound of a mean, Student's."""
    if len(difference) < 2:
        return -1.0
    error = difference.std(ddof=1) / len(difference) ** 0.5
    return float(difference.mean() - student.ppf(1 - level, len(difference) - 1) * error)


# --- search -----------------------------------------------------------------------------------------------------------


def search(kind: str, taken: csr_matrix, later: csr_matrix, trials: int) -> tuple[float, dict[str, Any]]:
    """The best options of one kind, and the nDCG they reach on what was held back."""
    users = drawn(later, MOST_SEARCHED)
    before, relevant = taken[users], later[users]
    counts, popular = np.diff(relevant.indptr), Popularity(taken)
    gram = gram_of(taken) if kind == "ease" else None

    def score(options: dict[str, Any]) -> float:
        model = fit(kind, options, taken, gram)
        return float(ndcg(hits(offer(model, users, before, popular), relevant), counts).mean())

    if kind == "popularity":
        return score({}), {}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
    study.enqueue_trial(DEFAULTS[kind])
    study.optimize(lambda trial: score(suggested(kind, trial)), n_trials=trials)
    return study.best_value, suggested(kind, optuna.trial.FixedTrial(study.best_params))


def suggested(kind: str, trial: Any) -> dict[str, Any]:
    """The spaces."""

    def real(name: str, low: float, high: float) -> float:
        return float(f"{trial.suggest_float(name, low, high, log=True):.3g}")

    if kind == "ease":
        return {"regularization": real("regularization", 10, 5000)}
    if kind == "item_knn":
        neighbours = trial.suggest_int("neighbours", 20, 1000, log=True)
        return {"neighbours": neighbours, "weighting": trial.suggest_categorical("weighting", list(NEIGHBOURS))}
    factors = trial.suggest_int("factors", 16, 160, log=True)
    return {"factors": factors, "regularization": real("regularization", 1e-3, 30), "alpha": real("alpha", 0.5, 60)}


# --- judgement --------------------------------------------------------------------------------------------------------


def judge(model: Any, taken: csr_matrix, test: csr_matrix) -> dict[str, float]:
    """All metrics on the test, beside popularity's, of users by activity and items by popularity, too."""
    before = taken.copy()
    before.resize(test.shape)
    relevant = new_in(test, before)
    users = drawn(relevant, MOST_JUDGED)
    before, relevant = before[users][:, : taken.shape[1]], relevant[users]
    counts, popular = np.diff(relevant.indptr), Popularity(taken)
    items, floor_items = offer(model, users, before, popular), offer(popular, users, before, popular)
    hit = hits(items, relevant)
    precision = np.cumsum(hit, axis=1) / np.arange(1, K + 1)
    mine, floor = ndcg(hit, counts), ndcg(hits(floor_items, relevant), counts)
    shown = popular.counts[items] / taken.shape[0]
    known = np.append(popular.counts, np.zeros(relevant.shape[1] - taken.shape[1], np.float32))
    found = {
        "users": len(users),
        "interactions": int(counts.sum()),
        "ndcg_at_10": mine.mean(),
        "recall_at_10": (hit.sum(axis=1) / counts).mean(),
        "precision_at_10": hit.mean(),
        "map_at_10": ((precision * hit).sum(axis=1) / np.minimum(counts, K)).mean(),
        "coverage": len(np.unique(items)) / taken.shape[1],
        "novelty": -np.log2(shown[shown > 0]).mean(),
        "popularity_ndcg_at_10": floor.mean(),
        "lift": lower(mine - floor),
        "cold_users_share": (np.diff(before.indptr) == 0).mean(),
        "cold_items_share": (known[relevant.indices] == 0).mean(),
        **slices(items, floor_items, relevant, np.diff(before.indptr), known),
    }
    begun = time.perf_counter()
    model.recommend(users[:1], before[:1], N=K)
    return {name: float(value) for name, value in found.items()} | {"latency": time.perf_counter() - begun}


def slices(items: Any, floor_items: Any, relevant: csr_matrix, activity: Any, taken: Any) -> dict[str, float]:
    """What is surely won on quarters of the users, and on thirds of the items."""

    def won(rows: Any, wanted: csr_matrix) -> float:
        counts = np.diff(wanted.indptr)
        return lower(ndcg(hits(items[rows], wanted), counts) - ndcg(hits(floor_items[rows], wanted), counts))

    found = {}
    quarter = np.searchsorted(np.quantile(activity[activity > 0], (0.25, 0.5, 0.75)), activity)
    for name in range(4):
        rows = np.flatnonzero((quarter == name) & (activity > 0))
        found[f"activity_{name}"] = won(rows, relevant[rows])
    order = np.argsort(-taken)
    third = np.empty(len(taken), int)
    third[order] = np.cumsum(taken[order]) * 3 // (taken.sum() + 1)
    for name in range(3):
        wanted = relevant.multiply((third == name)[None, :]).tocsr()
        rows = np.flatnonzero(np.diff(wanted.indptr))
        found[f"popularity_{name}"] = won(rows, wanted[rows])
    return found


# --- release ----------------------------------------------------------------------------------------------------------


class Recommender(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Users' ids in, and lists of recent items where there are; lists of items and scores out."""

    def __init__(self, model: Any, taken: csr_matrix, users: pd.Index, items: pd.Index) -> None:
        """Take what was learnt, and the ids."""
        self.model, self.taken, self.users, self.items = model, taken, users, items
        self.popular = Popularity(taken)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Ten items each."""
        recent = model_input["recent"] if "recent" in model_input else [None] * len(model_input)
        asked = zip(self.users.get_indexer(model_input["user"]), recent, strict=True)
        return pd.DataFrame([self.best(user, listed) for user, listed in asked], columns=["items", "scores"])

    def best(self, user: int, recent: Any) -> tuple[list[Any], list[float]]:
        """Ten items for one."""
        since = self.items.get_indexer([] if recent is None else recent)
        own = self.taken[user].indices if user >= 0 else np.empty(0, int)
        seen = np.union1d(own, since[since >= 0]).astype(int)
        row = csr_matrix((np.ones(len(seen), np.float32), (np.zeros(len(seen), int), seen)), (1, len(self.items)))
        anew = {"recalculate_user": True} if len(seen) > len(own) and hasattr(self.model, "user_factors") else {}
        model = self.model if len(seen) else self.popular
        items, scores = model.recommend(np.array([max(user, 0)]), row, N=K, **anew)
        return self.items[items[0]].tolist(), scores[0].tolist()


def release(kind: str, options: dict[str, Any], recommender: Recommender, metrics: dict[str, float], file: str) -> None:
    """Log, register, and make it the champion."""
    example = pd.DataFrame({"user": recommender.users[:20]})
    answers = recommender.predict(None, example)
    with mlflow.start_run():
        mlflow.log_params({"kind": kind, **options, "source": file, "test_days": TEST_DAYS, "k": K})
        mlflow.log_metrics(metrics)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=recommender,
            signature=infer_signature(example, answers),
            pip_requirements=["implicit", "numpy", "pandas", "scipy"],
            registered_model_name="recommendation",
        )
    mlflow.MlflowClient().set_registered_model_alias("recommendation", "champion", logged.registered_model_version)


def main(file: str, home: str, trials: int, day: str) -> None:
    """Read, split, search, train, judge, release."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = pd.read_parquet(file, columns=["user_id", "item_id", "ts"]).dropna()
    end = pd.Timestamp(day)
    rows = rows[rows["ts"] < end]
    in_test = rows["ts"] >= end - pd.Timedelta(days=TEST_DAYS)
    train, test = rows[~in_test], rows[in_test]
    (users, learners), (items, catalogue) = (numbered(train, test, column) for column in ("user_id", "item_id"))
    known = users[:learners], items[:catalogue]
    last, fifth = train["ts"].max(), train["ts"].quantile(0.8, interpolation="lower")
    held_back = train["ts"] > max(last - pd.Timedelta(days=TEST_DAYS), fifth)

    learnt = histories(train[~held_back], *known)
    later = new_in(histories(train[held_back], *known), learnt)
    found = {kind: search(kind, learnt, later, trials) for kind in ("ease", "als", "item_knn", "popularity")}
    kind = max(found, key=lambda each: found[each][0])
    options = found[kind][1]
    taken = histories(train, *known)
    model = fit(kind, options, taken)
    metrics = judge(model, taken, histories(test, users, items))
    if metrics["lift"] <= 0:
        sys.exit("It is no better than popularity.")

    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    mlflow.create_experiment("recommendation", artifact_location=f"file://{home}/mlartifacts")
    mlflow.set_experiment("recommendation")
    release(kind, options, Recommender(model, taken, *known), metrics, file)
    print(json.dumps({"metrics": metrics, "found": found, "chosen": kind}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])

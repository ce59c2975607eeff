"""The options of a recommender, found by trying some on a part of the training data that is held back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ostinato.errors import MissingPackage, ParameterError, suggest

from . import ranking
from .ids import Ids
from .item_knn import WEIGHTINGS
from .recommender import KINDS, Recommender

if TYPE_CHECKING:
    import optuna

# What is tried first: what is usual in the field, or was best on public ratings.
DEFAULTS: dict[str, dict[str, Any]] = {
    "popularity": {},
    "item_knn": {"neighbours": 100, "weighting": "cosine"},
    "als": {"factors": 64, "regularization": 0.1, "alpha": 10.0, "iterations": 15},
    "ease": {"regularization": 400.0},
}


class Found(NamedTuple):
    """The best options of a search, the mean nDCG they reached, and how many were tried."""

    options: dict[str, Any]
    score: float
    trials: int


def check(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what there is not.

    Raises:
        ParameterError: an unknown recommender, an option it does not have, or a value that is none for it.
    """
    if kind not in KINDS:
        raise ParameterError(f"Unknown candidate {kind!r}. {suggest(kind, KINDS)}")
    for name, value in options.items():
        if name not in DEFAULTS[kind]:
            raise ParameterError(f"{kind} has no option {name!r}. {suggest(name, sorted(DEFAULTS[kind]))}")
        _check_value(kind, name, value)


def _check_value(kind: str, name: str, value: Any) -> None:
    usual = DEFAULTS[kind][name]
    if isinstance(usual, str):
        if value not in WEIGHTINGS:
            raise ParameterError(f"Unknown {name} {value!r} of {kind}. {suggest(str(value), WEIGHTINGS)}")
        return
    whole = isinstance(usual, int)
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not (number and 0 < value < math.inf):
        raise ParameterError(f"{kind}'s {name} is a {'whole ' * whole}number above 0, such as {usual}: not {value!r}.")


def best_options(
    kind: str,
    users: Ids,
    items: Ids,
    taken: Any,
    later: Any,
    *,
    k: int,
    trials: int,
    budget: float | None = None,
    fixed: Mapping[str, Any] | None = None,
    exclude_seen: bool = True,
    seed: int = 7,
    told: Callable[[int, float], None] = lambda trial, score: None,
) -> Found:
    """Fit on `taken`, judge on `later`, some times over; the usual options come first.

    Args:
        taken, later: what the users took, and took afterwards (CSR, the same users by the same items).
        trials: how often; once where there is nothing to choose.
        budget: seconds after which no further trial begins; the first always does.
        fixed: options that are not to be chosen.
        told: is called after each trial with its number and score.
    """
    import numpy as np

    judged = np.flatnonzero(np.diff(later.indptr))
    before, after = taken[judged], later[judged]
    counts = np.diff(after.indptr)

    def score(options: dict[str, Any]) -> float:
        model = Recommender.fit(kind, options, users, items, taken, seed)
        top = model.top(before, k, users=judged.astype(np.int32), exclude_seen=exclude_seen)
        return float(ranking.ndcg(ranking.hits(top.items, after), counts).mean()) if len(judged) else 0.0

    given = dict(fixed or {})
    free = set(DEFAULTS[kind]) - set(given) - {"iterations"}
    if not free:
        options = {**DEFAULTS[kind], **given}
        value = score(options)
        told(1, value)
        return Found(options, value, 1)

    def objective(trial: optuna.Trial) -> float:
        options = {**suggested(kind, trial), **given}
        trial.set_user_attr("options", options)
        value = score(options)
        told(trial.number + 1, value)
        return value

    study, began = _study(seed), time.monotonic()
    study.enqueue_trial({name: DEFAULTS[kind][name] for name in free})
    study.optimize(objective, n_trials=1)
    left = None if budget is None else budget - (time.monotonic() - began)
    study.optimize(objective, n_trials=trials - 1, timeout=left)
    best = study.best_trial
    return Found(dict(best.user_attrs["options"]), float(best.value or 0.0), len(study.trials))


def suggested(kind: str, trial: optuna.Trial) -> dict[str, Any]:
    """Options as a trial draws them."""
    if kind == "ease":
        return {"regularization": _round(trial.suggest_float("regularization", 10, 5000, log=True))}
    if kind == "item_knn":
        return {
            "neighbours": trial.suggest_int("neighbours", 20, 1000, log=True),
            "weighting": trial.suggest_categorical("weighting", ["cosine", "tfidf", "bm25"]),
        }
    return {
        "factors": trial.suggest_int("factors", 16, 160, log=True),
        "regularization": _round(trial.suggest_float("regularization", 1e-3, 30, log=True)),
        "alpha": _round(trial.suggest_float("alpha", 0.5, 60, log=True)),
        "iterations": DEFAULTS["als"]["iterations"],
    }


def _round(value: float) -> float:
    """Three digits that count: nobody reads more, and none makes a difference."""
    return float(f"{value:.3g}") if math.isfinite(value) else value


def _study(seed: int) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise MissingPackage("optuna", "recs") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))

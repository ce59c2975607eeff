"""Small tables of who took what, with tastes that a recommender can find, and runs to put the steps into."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ostinato.artifacts import Model, Promotion, Search, Verdict
from ostinato.context import Context, running
from ostinato.steps.recommender_judgement import judge_recommender
from ostinato.steps.recommenders import train_recommender
from ostinato.steps.release import promote, register
from ostinato.tables import Dataset, duck
from ostinato.workspace import Workspace

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 59  # of the made tables, which end there
SHOP = "shop"

heard: list[dict[str, Any]] = []
numbers = itertools.count()


@contextmanager
def here(step: str = "step", run_id: str | None = None, **more: Any) -> Iterator[Context]:
    """A step of a run (by default one of its own) of the pipeline `shop` that stands for 1 March.

    `heard` has what it says.
    """
    heard.clear()
    given = {"pipeline": SHOP, "as_of": AS_OF, "day": AS_OF, "emit": heard.append, **more}
    with running(Context(Workspace.here(), run_id=run_id or f"run-{next(numbers)}", step=step, **given)) as context:
        yield context


def said() -> str:
    """What was logged in the last step."""
    return "\n".join(event["message"] for event in heard if event["event"] == "log")


def tastes(rows: int = 4000, users: int = 200, items: int = 60, seed: int = 3) -> pd.DataFrame:
    """Fifty-nine days of users who mostly take one of ten kinds of items, and the first of a kind more often."""
    random = np.random.default_rng(seed)
    user = random.integers(0, users, rows)
    often = 1 / (1 + np.arange(items) / 10)
    item = random.choice(items, rows, p=often / often.sum())
    item = np.where(random.random(rows) < 0.7, item // 10 * 10 + user % 10, item) % items
    time = pd.Timestamp(AS_OF.replace(tzinfo=None)) - pd.to_timedelta(random.integers(1, DAYS * 86_400, rows), unit="s")
    return pd.DataFrame({"user": user, "item": item, "time": time.astype("datetime64[us]")})


def saved(table: pd.DataFrame, name: str = "given") -> Dataset:
    """A table as a step's output."""
    with here("load"):
        return Dataset.of(table, name, time="time" if "time" in table else None)


def selected(query: str, name: str = "given", time: str | None = None) -> Dataset:
    """What a query selects, as a step's output."""
    with here("load"), duck() as connection:
        return Dataset.save(connection, query, name, time=time)


def halves(table: pd.DataFrame, test_days: int = 7) -> tuple[Dataset, Dataset]:
    """What was before the last days, and what was in them."""
    late = table.time >= pd.Timestamp(AS_OF.replace(tzinfo=None)) - pd.Timedelta(days=test_days)
    return saved(table[~late], "train"), saved(table[late], "test")


def found(candidate: str = "ease", score: float | None = 0.5, **more: Any) -> Search:
    """What a search came to, without one."""
    options: dict[str, Any] = {"ease": {"regularization": 50.0}, "popularity": {}}
    with here("search", map_key=candidate):
        facts = {"candidate": candidate, "options": options.get(candidate, {}), "score": score, "trials": 1}
        return Search.of({"metric": "ndcg_at_10", **facts, **more})


def fit(train: Dataset, candidate: str = "ease", run_id: str = "r1", **options: Any) -> Model:
    """A recommender of all rows, logged."""
    with here("train", run_id=run_id):
        return train_recommender([found(candidate)], train, **options)


def judge(model: Model, train: Dataset, test: Dataset, run_id: str = "r1", **options: Any) -> Verdict:
    """The verdict about a recommender; parts are judged from ten users on."""
    with here("judge", run_id=run_id):
        return judge_recommender(model, train, test, **{"slice_users": 10, **options})


def version_of(model: Model, verdict: Verdict, run_id: str = "r1") -> Model:
    """The version under which it is registered."""
    with here("register", run_id=run_id):
        return register(model, verdict)


def crown(model: Model, train: Dataset, test: Dataset, run_id: str = "r1") -> Promotion:
    """Make a recommender the champion, behind a verdict that passed."""
    verdict = judge(model, train, test, run_id, compare="none", floor=0.0)
    assert verdict.passed, verdict.checks
    version = version_of(model, verdict, run_id)
    with here("promote", run_id=run_id):
        return promote(version, verdict)

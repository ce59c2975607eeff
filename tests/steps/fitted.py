"""Small models of small tables, and their judgement, for tests of both."""

from __future__ import annotations

import os
import secrets
from typing import Any

import pandas as pd

from integrations.mlflow_store import context, saved
from integrations.moody_model import Moody
from ostinato.artifacts import Model, Promotion, Verdict
from ostinato.context import running
from ostinato.steps import evaluate, register, train
from ostinato.steps.release import promote
from ostinato.tables import Dataset


class Fickle(Moody):
    """A model that, in its mood, raises something else each time."""

    def predict_proba(self, rows: Any) -> Any:
        if os.environ.get("MOOD") == "fickle":
            raise ValueError(f"no answer {secrets.token_hex(8)}")
        return super().predict_proba(rows)


FAST = {"max_iter": 15, "max_leaf_nodes": 7}
FEATURES = ["amount", "risk", "speed", "night"]


def split(table: pd.DataFrame) -> tuple[Dataset, Dataset]:
    """The first five days, and the rest."""
    late = table.time >= "2026-01-06"
    return saved(table[~late], "train"), saved(table[late], "test")


def fit(table: pd.DataFrame | Dataset, run_id: str = "r1", **options: Any) -> Model:
    """A model of all rows, logged."""
    data = table if isinstance(table, Dataset) else saved(table)
    with running(context("train", run_id=run_id)):
        return train(data, **{"options": FAST, **options})


def judge(model: Model, test: pd.DataFrame | Dataset, run_id: str = "r1", **options: Any) -> Verdict:
    """The verdict about a model on all rows."""
    data = test if isinstance(test, Dataset) else saved(test, "test")
    with running(context("evaluate", run_id=run_id)):
        return evaluate(model, data, **options)


def crown(model: Model, test: pd.DataFrame | Dataset, run_id: str = "r1", **options: Any) -> Promotion:
    """Make a model the champion, behind a verdict that passed."""
    verdict = judge(model, test, run_id, **options)
    assert verdict.passed, verdict.checks
    with running(context("register", run_id=run_id)):
        version = register(model, verdict)
    with running(context("promote", run_id=run_id)):
        return promote(version, verdict)

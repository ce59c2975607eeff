"""Retrain the card-fraud model on fresh transactions; register it only when it is good enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ostinato.graph import pipeline
from ostinato.steps.data import TimeUnit, day_after_last_event, load
from ostinato.steps.features import Columns, fraud_features
from ostinato.steps.models import evaluate, train
from ostinato.steps.release import register
from ostinato.steps.windows import split_by_time
from ostinato.tracing import when


@dataclass(frozen=True)
class Features:
    """What the model sees beyond the generated features: `extra` names columns of the table."""

    extra: list[str] = field(default_factory=list)


def day_after_last_transaction(source: str, columns: Columns, query: str | None, time_unit: TimeUnit) -> str:
    """What a run by hand stands for when nobody says."""
    return day_after_last_event(source, time=columns.time, query=query, time_unit=time_unit)


@pipeline(tags=("fraud", "classification"), default_as_of=day_after_last_transaction)
def fraud_detection(
    source: str,
    query: str | None = None,
    columns: Columns = Columns(),  # noqa: B008  (frozen)
    time_unit: TimeUnit = "auto",
    label_delay_days: int = 7,
    labels: Literal["delayed", "complete"] = "delayed",
    train_days: int | None = None,
    test_days: int = 7,
    features: Features = Features(),
    drop_known: bool = False,
    estimator: str = "hist_gradient_boosting",
    options: dict[str, Any] = {},  # noqa: B006  (only traced)
    k: int = 100,
    floor: float | None = None,
    model: str = "fraud_detection",
    seed: int = 7,
) -> None:
    """Retrain the card-fraud model on fresh transactions; register it only when it is good enough.

    Args:
        source: the table of transactions: a file, folder, glob, database or URL (see `load`).
        query: SQL, where the source is a database with more than one table.
        columns: what the columns are called; no other column is read.
        time_unit: of times given as epochs.
        label_delay_days: how long it takes until a transaction's label is known.
        labels: "delayed" where the latest labels are still missing; "complete" where all are final.
        train_days: how many days to train on; all there are by default.
        test_days: how many days to judge on.
        features: further columns the model may see.
        drop_known: leave cards known as compromised out of the judgement, as the Fraud Detection Handbook does.
        estimator: "hist_gradient_boosting", "lightgbm", or the import path of a classifier.
        options: its options.
        k: how many cards a day can be reviewed.
        floor: the least average precision; by default it must be better than the base rate.
        model: the name it is registered under.
        seed: of all that is random.
    """
    transactions = load(
        source,
        query=query,
        columns=[
            columns.id,
            columns.card,
            columns.terminal,
            columns.amount,
            columns.label,
            columns.label_time,
        ],
        more_columns=features.extra,
        time=columns.time,
        time_unit=time_unit,
    )
    table = fraud_features(
        transactions,
        columns=columns,
        label_delay_days=label_delay_days,
        test_days=test_days,
        train_days=train_days,
        labels=labels,
        extra=features.extra,
    )
    train_set, test_set = split_by_time(
        table,
        test_days=test_days,
        train_days=train_days,
        label_delay_days=label_delay_days,
        labels=labels,
        drop_known=drop_known,
    )
    candidate = train(train_set, estimator=estimator, options=options, seed=seed)
    verdict = evaluate(candidate, test_set, k=k, floor=floor)
    with when(verdict.passed):
        register(candidate, verdict, name=model)

"""Retrain the card-fraud model on fresh transactions; release it only when it is good enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from ostinato.graph import pipeline
from ostinato.steps.approval import approve
from ostinato.steps.data import TimeUnit, day_after_last_event, load
from ostinato.steps.deployment import deploy
from ostinato.steps.evaluation import evaluate
from ostinato.steps.features import Columns, fraud_features
from ostinato.steps.models import train
from ostinato.steps.release import promote, register
from ostinato.steps.validation import validate
from ostinato.steps.windows import split_by_time
from ostinato.suites.usual import TRANSACTIONS
from ostinato.tracing import when

AtLeastOne = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]


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
    suite: str | None = None,
    max_quarantine: Share | None = None,
    label_delay_days: Annotated[int, Ge(0)] = 7,
    labels: Literal["delayed", "complete"] = "delayed",
    train_days: AtLeastOne | None = None,
    test_days: AtLeastOne = 7,
    features: Features = Features(),
    drop_known: bool = False,
    estimator: str = "hist_gradient_boosting",
    options: dict[str, Any] = {},  # noqa: B006  (only traced)
    k: AtLeastOne = 100,
    floor: float | None = None,
    floors: dict[str, float] = {},  # noqa: B006  (only traced)
    compare: Literal["noninferior", "superior", "none"] = "noninferior",
    margin: Share = 0.01,
    slices: list[str] = ["amount"],  # noqa: B006  (only traced)
    approval: bool = False,
    approval_timeout: str = "24h",
    target: str | None = "bundle",
    model: str = "fraud_detection",
    seed: int = 7,
) -> None:
    """Retrain the card-fraud model on fresh transactions; release it only when it is good enough.

    Args:
        source: the table of transactions: a file, folder, glob, database or URL (see `load`).
        query: SQL, where the source is a database with more than one table.
        columns: what the columns are called; no other column is read.
        time_unit: of times given as epochs.
        suite: the rules the table must meet, a YAML file (see `ostinato suite draft`); by default the usual ones: ids
            unique, times not in the future, amounts from 0, labels 0 or 1, nothing missing, fresh, as long as before.
        max_quarantine: the largest share of rows that may be set aside for breaking them, 0 to 1; the suite's own, or
            0.01, by default.
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
        floors: of other metrics by name, e.g. `-p floors.roc_auc=0.9`; of costs the most.
        compare: with the champion, on the same rows: "noninferior" (not worse by `margin`), "superior", or "none".
        margin: how much average precision may be lost to the champion.
        slices: columns by whose values it must not be worse than the champion either.
        approval: whether a person must agree before it is promoted.
        approval_timeout: how long that person has; no answer means no.
        target: where the champion is deployed: "bundle" (a folder in the workspace that `mlflow models serve` runs), a
            target of `mlflow.deployments`, or none.
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
        suite=suite,
        time=columns.time,
        time_unit=time_unit,
        broken_times="keep",
    )
    checked = validate(
        transactions,
        suite=suite,
        default=TRANSACTIONS,
        names={
            "id": columns.id,
            "time": columns.time,
            "card": columns.card,
            "terminal": columns.terminal,
            "amount": columns.amount,
            "label": columns.label,
        },
        subject=source,
        max_quarantine=max_quarantine,
    )
    table = fraud_features(
        checked,
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
    verdict = evaluate(
        candidate, test_set, name=model, k=k, floor=floor, floors=floors, compare=compare, margin=margin, slices=slices
    )
    with when(verdict.passed):
        version = register(candidate, verdict, name=model, validated=checked)
        answer = approve(verdict, required=approval, timeout=approval_timeout)
        with when(answer.granted):
            promotion = promote(version, verdict, answer)
            with when(promotion.promoted):
                deploy(version, promotion, target=target)

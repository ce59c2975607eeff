"""Train our own model on fresh rows, or take one that is fitted; release it only when it is good enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from ostinato import Dataset, Model, pipeline, step, when
from ostinato.context import current
from ostinato.errors import DataError, ParameterError
from ostinato.steps import frames
from ostinato.steps.approval import approve
from ostinato.steps.data import TimeUnit, day_after_last_event, load
from ostinato.steps.deployment import deploy
from ostinato.steps.evaluation import evaluate
from ostinato.steps.release import promote, register
from ostinato.steps.validation import validate
from ostinato.steps.windows import split_by_time
from ostinato.tables import duck, quote, timestamp

from project_name import training

AtLeastOne = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]

EXAMPLE_ROWS = 200  # stored with the model: its input schema, and what it is tried on before it serves


@dataclass(frozen=True)
class Columns:
    """What the table calls its columns.

    Attributes:
        id: identifies a row, so that rows of the same instant are always read in the same order.
        time: when it happened: timestamps, dates, ISO text or epochs.
        label: what is to be foreseen, 0 or 1; rows where it is missing are left out.
        features: what the model sees: numbers, booleans and text.
    """

    id: str = "tx_id"
    time: str = "ts"
    label: str = "is_fraud"
    features: list[str] = field(default_factory=lambda: ["amount", "mcc"])


@step
def prepare(data: Dataset, *, columns: Columns) -> Dataset:
    """Choose what the model may see, and leave out rows whose label is not known.

    Every column of the result but id, time and label is a feature: make further ones here.

    Args:
        data: the checked table.
        columns: what its columns are called.

    Raises:
        DataError: a column is missing, or a label is neither 0 nor 1.
        ParameterError: there are no features, or a column is named twice.
    """
    named = [columns.id, columns.time, columns.label, *columns.features]
    if not columns.features:
        raise ParameterError("columns.features is empty: name the columns that the model may see.")
    if twice := [name for name, count in Counter(named).items() if count > 1]:
        raise ParameterError(f"The column {twice[0]!r} is named twice in columns: it is one thing only.")
    data.require(named)
    label = quote(columns.label)  # a column may be called anything
    chosen = ", ".join(quote(name) for name in named if name != columns.label)
    with duck() as connection:
        table = data.sql(connection)
        strange = connection.execute(
            f"SELECT DISTINCT {label}::VARCHAR AS value FROM {table} "
            f"WHERE {label} IS NOT NULL AND (TRY_CAST({label} AS DOUBLE) IN (0, 1)) IS NOT TRUE "
            "ORDER BY value LIMIT 3"
        ).fetchall()
        if strange:
            listed = ", ".join(repr(value) for (value,) in strange)
            raise DataError(f"The label {columns.label!r} is 0 or 1; found {listed}. Say in `prepare` which is which.")
        made = Dataset.save(
            connection,
            f"SELECT {chosen}, ({label}::DOUBLE)::INTEGER AS {label} FROM {table} WHERE {label} IS NOT NULL",
            "prepared",
            time=columns.time,
        )
    if unknown := data.rows - made.rows:
        current().log(f"left out {unknown:,} of {data.rows:,} rows whose label is not known")
    return made


@step(retries=2)
def fit_model(
    data: Dataset,
    *,
    columns: Columns,
    fitted: str | None = None,
    fitted_until: str | None = None,
    seed: int = 7,
) -> Model:
    """Fit a model as `training.py` says, or take the fitted one from its file, and log it.

    Args:
        data: the rows to learn from.
        columns: what their columns are called.
        fitted: a `.skops` file with a fitted estimator, to take instead.
        fitted_until: the time of the last row which that one learnt from.
        seed: of all that is random.

    Raises:
        DataError: all labels are the same.
        ParameterError: the fitted estimator cannot be taken, or may have learnt from rows that it is to be judged on.
    """
    import pandas as pd

    features = [name for name in data.schema if name not in (columns.id, columns.time, columns.label)]
    table = data.to_arrow([*features, columns.label], order_by=[columns.time, columns.id])
    rows, _ = frames.frame(table, features)
    if fitted is not None:
        window = learnt(data, fitted_until)
        estimator = training.bring(fitted, features)
        seen = list(getattr(estimator, "feature_names_in_", features))
        return Model.of(estimator, rows[seen].head(EXAMPLE_ROWS), window=window)
    labels: pd.Series[int] = pd.Series(frames.labels(table, columns.label, data.uri), name=columns.label)
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise DataError(f"All {len(labels):,} labels are {int(positives > 0)}; a classifier learns from both.")
    estimator = training.fit(rows, labels, seed)
    current().log(f"fitted on {len(labels):,} rows, {positives:,} of them positive")
    return Model.of(
        estimator,
        rows.head(EXAMPLE_ROWS),
        rows=len(labels),
        positives=positives,
        data=data.digest,
        window=data.facts["time"],
    )


def learnt(data: Dataset, until: str | None) -> dict[str, Any]:
    """The window of a fitted estimator, which must end before the test begins.

    Args:
        data: the rows to learn from, as `split_by_time` made them.
        until: the time of the last row it learnt from; of a date, its end.

    Raises:
        ParameterError: nobody says, it is no time, or it is too late.
    """
    if until is None:
        raise ParameterError(
            "A fitted estimator must not be judged on rows that it learnt from. Give fitted_until, the time of the "
            "last row which that was, such as 2026-03-31."
        )
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        raise ParameterError(f"fitted_until={until!r} is no time: write one such as 2026-03-31.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if len(until) <= len("2026-03-31"):
        moment += timedelta(days=1, microseconds=-1)
    ends = [condition["value"] for condition in data.facts.get("where", ()) if condition["op"] == "<"]
    if any(timestamp(moment) >= end for end in ends):
        raise ParameterError(
            f"The fitted estimator learnt from rows up to {until}, and may so have seen what it is to be judged on: "
            f"training ends before {min(ends)}. Judge it on later rows, or fit it on earlier ones."
        )
    return {"column": data.facts["time"]["column"], "from": None, "until": timestamp(moment)}


def day_after_last_row(source: str, columns: Columns, query: str | None, time_unit: TimeUnit) -> str:
    """What a run by hand stands for when nobody says."""
    return day_after_last_event(source, time=columns.time, query=query, time_unit=time_unit)


@pipeline(tags=("classification",), default_as_of=day_after_last_row)
def project_name(
    source: str,
    query: str | None = None,
    columns: Columns = Columns(),
    time_unit: TimeUnit = "auto",
    suite: str = "project_name:suite.yaml",
    max_quarantine: Share | None = None,
    label_delay_days: Annotated[int, Ge(0)] = 0,
    labels: Literal["delayed", "complete"] = "delayed",
    train_days: AtLeastOne | None = None,
    test_days: AtLeastOne = 7,
    fitted: str | None = None,
    fitted_until: str | None = None,
    floor: float | None = None,
    compare: Literal["noninferior", "superior", "none"] = "noninferior",
    margin: Share = 0.01,
    approval: bool = False,
    approval_timeout: str = "24h",
    target: str | None = "bundle",
    model: str = "project_name",
    seed: int = 7,
) -> None:
    """Train our own model on fresh rows, or take one that is fitted; release it only when it is good enough.

    Args:
        source: the table: a file, folder, glob, database or URL (see `load`).
        query: SQL, where the source is a database with more than one table.
        columns: what the columns are called.
        time_unit: of times given as epochs.
        suite: the rules the table must meet, a YAML file.
        max_quarantine: the largest share of rows that may be set aside for breaking them, 0 to 1; the suite's own by
            default.
        label_delay_days: how long it takes until a row's label is known.
        labels: "delayed" where the latest labels are still missing; "complete" where all are final.
        train_days: how many days to train on; all there are by default.
        test_days: how many days to judge on.
        fitted: a `.skops` file with a fitted estimator, to be judged and released instead of training one.
        fitted_until: the time of the last row which that one learnt from, such as 2026-03-31.
        floor: the least average precision; by default it must be better than the base rate.
        compare: with the champion, on the same rows: "noninferior" (not worse by `margin`), "superior", or "none".
        margin: how much average precision may be lost to the champion.
        approval: whether a person must agree before it is promoted.
        approval_timeout: how long that person has; no answer means no.
        target: where the champion is deployed: "bundle" (a folder in the workspace that `mlflow models serve` runs), a
            target of `mlflow.deployments`, or none.
        model: the name it is registered under.
        seed: of all that is random.
    """
    table = load(source, query=query, suite=suite, time=columns.time, time_unit=time_unit, broken_times="keep")
    checked = validate(table, suite=suite, subject=source, max_quarantine=max_quarantine)
    prepared = prepare(checked, columns=columns)
    train_set, test_set = split_by_time(
        prepared,
        time=columns.time,
        test_days=test_days,
        train_days=train_days,
        label_delay_days=label_delay_days,
        labels=labels,
    )
    candidate = fit_model(train_set, columns=columns, fitted=fitted, fitted_until=fitted_until, seed=seed)
    verdict = evaluate(
        candidate,
        test_set,
        label=columns.label,
        time=columns.time,
        entity=None,  # a column of whom rows belong to, such as a card, tells which rows are alike
        amount=None,  # a column of money tells what the model's errors cost
        order_by=[columns.time, columns.id],
        name=model,
        floor=floor,
        compare=compare,
        margin=margin,
    )
    with when(verdict.passed):
        version = register(candidate, verdict, name=model, validated=checked)
        answer = approve(verdict, required=approval, timeout=approval_timeout)
        with when(answer.granted):
            promotion = promote(version, verdict, answer)
            with when(promotion.promoted):
                deploy(version, promotion, target=target)

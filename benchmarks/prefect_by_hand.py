"""Prefect flows as one writes them by hand: what the building of ours is measured against.

They have the tasks of the flows in `flows/`, and the same forms; only building is measured, nothing here is run.
Nothing of ours is imported for it: the tasks import the steps they call, as one does with what is slow to import.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from pydantic import BaseModel, ConfigDict, Field

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
AGAIN = {"retries": 2, "retry_delay_seconds": [1.0, 2.0], "cache_policy": NO_CACHE}


class Columns(BaseModel):
    """What a table of transactions calls its columns; the rest of the table is not read."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field("tx_id", title="id", description="identifies the transaction; integers or strings, as for `card`.")
    time: str = Field("ts", title="time", description="when it happened, a timestamp in UTC.")
    card: str = Field("card_id", title="card", description="who paid. Rows without one have no card features.")
    terminal: str = Field("terminal_id", title="terminal", description="where. Rows without one have no features.")
    amount: str = Field("amount", title="amount", description="resolution 0.0001, up to 900 billion either way.")
    label: str = Field("is_fraud", title="label", description="1 or true for fraud; a missing label is negative.")
    label_time: str | None = Field(None, title="label_time", description="when a fraud was reported, in UTC.")


class Features(BaseModel):
    """What the model sees beyond the generated features: `extra` names columns of the table."""

    model_config = ConfigDict(extra="forbid")

    extra: list[str] = Field([], title="extra")


# --- fraud detection ----------------------------------------------------------------------------------------------


@task(**AGAIN)
def load(source: str, **more: Any) -> Any:
    """Read a table from wherever it lies."""
    from ostinato.steps import data

    return data.load(source, **more)


@task(cache_policy=NO_CACHE)
def validate(table: Any, **more: Any) -> Any:
    """Check a table against a suite of rules; set rows aside that break one."""
    from ostinato.steps import validation

    return validation.validate(table, **more)


@task(cache_policy=NO_CACHE)
def fraud_features(table: Any, **more: Any) -> Any:
    """Describe each transaction by what its card and its terminal did before, as known at that moment."""
    from ostinato.steps import features

    return features.fraud_features(table, **more)


@task(cache_policy=NO_CACHE)
def split_by_time(table: Any, **more: Any) -> Any:
    """Split into what is learned from and what is judged on."""
    from ostinato.steps import windows

    return windows.split_by_time(table, **more)


@task(**AGAIN)
def train(table: Any, **more: Any) -> Any:
    """Train a classifier."""
    from ostinato.steps import models

    return models.train(table, **more)


@task(**AGAIN)
def evaluate(model: Any, table: Any, **more: Any) -> Any:
    """Judge a model on data it has not seen, and against the champion."""
    from ostinato.steps import evaluation

    return evaluation.evaluate(model, table, **more)


@task(**AGAIN)
def register(model: Any, verdict: Any, **more: Any) -> Any:
    """Make a version of a model that passed its judgement."""
    from ostinato.steps import release

    return release.register(model, verdict, **more)


@task(cache_policy=NO_CACHE)
def approve(verdict: Any, **more: Any) -> Any:
    """Ask a person."""
    from ostinato.steps import approval

    return approval.approve(verdict, **more)


@task(**AGAIN)
def promote(version: Any, verdict: Any, approval: Any) -> Any:
    """Make a version the champion."""
    from ostinato.steps import release

    return release.promote(version, verdict, approval)


@task(**AGAIN)
def deploy(version: Any, promotion: Any, **more: Any) -> Any:
    """Put the champion where it is asked."""
    from ostinato.steps import deployment

    return deployment.deploy(version, promotion, **more)


@task(cache_policy=NO_CACHE)
def report(about: str) -> None:
    """Write the run's pages."""
    print(about)


def tell(flow: Any, flow_run: Any, state: Any) -> None:
    """Tell people of a run that failed."""
    print(flow.name, flow_run.name, state.message)


@flow(on_failure=[tell], on_crashed=[tell], on_cancellation=[tell])
def fraud_detection(
    source: str,
    query: str | None = None,
    columns: Columns = Columns(),  # noqa: B008
    time_unit: TimeUnit = "auto",
    suite: str | None = None,
    max_quarantine: float | None = None,
    label_delay_days: int = 7,
    labels: Literal["delayed", "complete"] = "delayed",
    train_days: int | None = None,
    test_days: int = 7,
    features: Features = Features(),  # noqa: B008
    drop_known: bool = False,
    estimator: str = "hist_gradient_boosting",
    options: dict[str, Any] = {},  # noqa: B006
    k: int = 100,
    floor: float | None = None,
    floors: dict[str, float] = {},  # noqa: B006
    compare: Literal["noninferior", "superior", "none"] = "noninferior",
    margin: float = 0.01,
    slices: list[str] = ["amount"],  # noqa: B006
    approval: bool = False,
    approval_timeout: str = "24h",
    target: str | None = "bundle",
    model: str = "fraud_detection",
    seed: int = 7,
    *,
    as_of: date | datetime | None = None,
) -> None:
    """Retrain the card-fraud model on fresh transactions; release it only when it is good enough.

    Args:
        as_of: the moment the run stands for; by default the tick of its schedule, else the UTC day on which it runs.
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
    table = load.submit(
        source,
        query=query,
        columns=[columns.id, columns.card, columns.terminal, columns.amount, columns.label, columns.label_time],
        more_columns=features.extra,
        suite=suite,
        time=columns.time,
        time_unit=time_unit,
        broken_times="keep",
    )
    checked = validate.submit(table, suite=suite, subject=source, max_quarantine=max_quarantine)
    days = {"test_days": test_days, "train_days": train_days, "label_delay_days": label_delay_days, "labels": labels}
    known = fraud_features.submit(checked, columns=columns, extra=features.extra, **days)
    parts = split_by_time.submit(known, drop_known=drop_known, **days).result()
    candidate = train.submit(parts[0], estimator=estimator, options=options, seed=seed)
    bounds = {"floor": floor, "floors": floors, "compare": compare, "margin": margin, "slices": slices}
    verdict = evaluate.submit(candidate, parts[1], name=model, k=k, **bounds)
    if verdict.result().passed:
        version = register.submit(candidate, verdict, name=model, validated=checked)
        answer = approve.submit(verdict, required=approval, timeout=approval_timeout)
        if answer.result().granted:
            promotion = promote.submit(version, verdict, answer)
            if promotion.result().promoted:
                deploy.submit(version, promotion, target=target).result()
    report(f"fraud_detection as of {as_of}")


# --- data validation ----------------------------------------------------------------------------------------------


@task(name="load", **AGAIN)
def load_table(source: str, **more: Any) -> Any:
    """Read a table from wherever it lies."""
    from ostinato.steps import data

    return data.load(source, **more)


@task(name="validate", cache_policy=NO_CACHE)
def validate_table(table: Any, **more: Any) -> Any:
    """Check a table against a suite of rules; set rows aside that break one."""
    from ostinato.steps import validation

    return validation.validate(table, **more)


@flow(on_failure=[tell], on_crashed=[tell], on_cancellation=[tell])
def data_validation(
    source: str,
    suite: str,
    query: str | None = None,
    time: str | None = None,
    time_unit: TimeUnit = "auto",
    max_quarantine: float | None = None,
    samples: int = 0,
    *,
    as_of: date | datetime | None = None,
) -> None:
    """Check a table against a suite of rules; set rows aside that break one.

    Args:
        as_of: the moment the run stands for; by default the tick of its schedule, else the UTC day on which it runs.
        source: the table: a file, folder, glob, database or URL (see `load`).
        suite: the rules, a YAML file (see `ostinato suite draft`).
        query: SQL, where the source is a database with more than one table.
        time: the event-time column, if there is one: rows at or after the moment the run stands for are left out.
        time_unit: of times given as epochs.
        max_quarantine: the largest share of rows that may be set aside, 0 to 1; the suite's own by default.
        samples: how many values that broke a rule are shown on the page; never of sensitive columns.
    """
    table = load_table.submit(source, query=query, time=time, time_unit=time_unit, broken_times="keep")
    bounds = {"max_quarantine": max_quarantine, "samples": samples}
    validate_table.submit(table, suite=suite, subject=source, **bounds).result()
    report(f"data_validation as of {as_of}")


# --- what looks after them ----------------------------------------------------------------------------------------


@flow
def watch(what: Literal["not started", "silent", "ended"], subject: str, why: str = "", number: str = "0") -> None:
    """Close what has ended without a word, and tell its people.

    Args:
        what: "not started", where an automation could not start its run; "silent", where a run has sent no heartbeat;
            "ended", where it has crashed or failed.
        subject: the automation or flow run, as events name it.
        why: what the automation's action says.
        number: which of the automation's actions.
    """
    with get_client(sync_client=True) as client:
        if what == "not started":
            print(client.request("GET", "/automations/{id}", path_params={"id": subject}).json(), why, number)
        else:
            run = client.read_flow_run(subject)
            tell(client.read_flow(run.flow_id), run, run.state)

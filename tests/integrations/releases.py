"""Versions, verdicts and promotions to test with, without training anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from integrations.mlflow_store import client, context
from ostinato.artifacts import Approval, Model, Promotion, Verdict
from ostinato.context import running
from ostinato.integrations import mlflow_registry
from ostinato.steps.release import promote, rollback


def put_versions(name: str, count: int) -> None:
    """Registered versions 1 to `count`, whose files are nowhere."""
    store = client()
    store.create_registered_model(name)
    for number in range(1, count + 1):
        tags = {"ostinato.model": f"sha256:m{number}", "ostinato.files": f"sha256:f{number}"}
        store.create_model_version(name, "s3://nowhere/model", tags=tags)


def version_of(name: str, number: int) -> Model:
    """The reference `register` returns for such a version."""
    window = {"column": "time", "from": "2026-01-01 00:00:00", "until": "2026-01-31 00:00:00"}
    facts = {"name": name, "version": str(number), "files": f"sha256:f{number}", "data": "sha256:d", "window": window}
    return Model(f"models:/{name}/{number}", f"sha256:m{number}", {**facts, "rows": 1200, "features": ["a", "b"]})


def verdict_on(model: Model, against: int, **more: Any) -> Verdict:
    """A verdict that passed against a certain entry of the model's ledger."""
    check = {"name": "average_precision", "value": 0.71, "bound": 0.5, "outcome": "pass"}
    made = Verdict.of([check], {"average_precision": 0.71}, model=model.digest, data="sha256:t")
    judged = {"ledger": {"name": model.facts["name"], "entry": against}, "outcome": "pass", "mode": "noninferior"}
    return replace(made, facts={**made.facts, **judged, **more})


def promotes(
    name: str, number: int, *, against: int | None = None, approval: Approval | None = None, **where: Any
) -> Promotion:
    """What the step `promote` says of a version judged against an entry, by default against the head there is."""
    where = {"run_id": f"r{number}", **where}
    with running(context("promote", **where)):
        model = version_of(name, number)
        seen = mlflow_registry.read(name).head if against is None else against
        return promote(model, verdict_on(model, seen), approval)


def rolls_back(name: str, run_id: str = "back", **options: Any) -> Promotion:
    """What the step `rollback` says."""
    with running(context("rollback", run_id=run_id)):
        return rollback(name, **{"why": "faulty", **options})


def alias_of(name: str) -> str | None:
    """The version MLflow's own alias names."""
    found = client().get_registered_model(name).aliases.get("champion")
    return None if found is None else str(found)

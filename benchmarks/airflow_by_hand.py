"""Airflow DAGs as one writes them by hand, with TaskFlow: what ours are measured against.

`fraud_by_hand` has the tasks of `dags/fraud_detection.py`, and the same fields in its form where `FORM` names a file of
them; its bodies do nothing, for only parsing is measured. `chain_by_hand` runs.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, task

FORM = json.loads(Path(os.environ["FORM"]).read_text()) if "FORM" in os.environ else {}
START = datetime(2020, 1, 1, tzinfo=UTC)
LENGTH = int(os.environ.get("LENGTH", "20"))


@dag(schedule=None, start_date=START, max_active_runs=1, params={name: Param(**one) for name, one in FORM.items()})
def fraud_by_hand() -> None:
    @task(retries=2, retry_delay=timedelta(seconds=1))
    def load(source: str) -> dict[str, Any]:
        return {}

    @task
    def validate(table: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task
    def fraud_features(table: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task
    def split_by_time(table: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task(retries=2)
    def train(parts: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task
    def evaluate(model: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task.branch
    def when_passed(verdict: dict[str, Any]) -> list[str]:
        return ["register", "approve"]

    @task(retries=2)
    def register(model: dict[str, Any], verdict: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task
    def approve(verdict: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task.branch
    def when_granted(approval: dict[str, Any]) -> str:
        return "promote"

    @task(retries=2)
    def promote(version: dict[str, Any], verdict: dict[str, Any], approval: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task.branch
    def when_promoted(promotion: dict[str, Any]) -> str:
        return "deploy"

    @task(retries=2)
    def deploy(version: dict[str, Any], promotion: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task(trigger_rule="all_done")
    def report() -> None: ...

    parts = split_by_time(fraud_features(validate(load("{{ params.source }}"))))
    model = train(parts)
    verdict = evaluate(model, parts)
    version, approval = register(model, verdict), approve(verdict)
    when_passed(verdict) >> [version, approval]
    promotion = promote(version, verdict, approval)
    when_granted(approval) >> promotion
    deployment = deploy(version, promotion)
    when_promoted(promotion) >> deployment
    deployment >> report()


@dag(schedule=None, start_date=START)
def chain_by_hand() -> None:
    @task
    def add(value: int, more: int) -> int:
        return value + more

    value = add(1, 1)
    for _ in range(LENGTH - 1):
        value = add(value, 1)


fraud = fraud_by_hand()
chain = chain_by_hand()

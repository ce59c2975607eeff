"""An Airflow DAG of a chain of our steps, each of which does the least a step can do."""

from __future__ import annotations

import os

from ostinato import pipeline, step
from ostinato.engines.airflow_dag import to_dag

LENGTH = int(os.environ.get("LENGTH", "20"))


@step
def add(value: int, more: int) -> int:
    """The least a step can do."""
    return value + more


@pipeline
def chain() -> None:
    """Steps in a row."""
    value = add(1, 1)
    for _ in range(LENGTH - 1):
        value = add(value, 1)


chain_by_us = to_dag(chain, dag_id="chain_by_us")

"""The chain of tasks as one writes it by hand for Prefect: submitted as ours are, or called one after the other."""

from __future__ import annotations

import os

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

LENGTH = int(os.environ.get("LENGTH", "20"))


@task(cache_policy=NO_CACHE, retries=0)
def add(value: int, more: int) -> int:
    """The least a task can do."""
    return value + more


@flow
def chain_by_hand() -> int:
    """Tasks in a row."""
    value = add.submit(1, 1)
    for _ in range(LENGTH - 1):
        value = add.submit(value, 1)
    return value.result()


@flow
def chain_called() -> int:
    """The same without futures: each ends before the next begins."""
    value = add(1, 1)
    for _ in range(LENGTH - 1):
        value = add(value, 1)
    return value

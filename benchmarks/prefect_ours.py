"""A Prefect flow of a chain of our steps, each of which does the least a step can do.

As with the ready-made pipelines, its step is in a file of its own, which a worker process imports without Prefect.
"""

from __future__ import annotations

import os

from engine import add
from ostinato import pipeline
from ostinato.engines.prefect_flow import to_flow

LENGTH = int(os.environ.get("LENGTH", "20"))


@pipeline
def chain() -> None:
    """Steps in a row."""
    value = add(1, 1)
    for _ in range(LENGTH - 1):
        value = add(value, 1)


chain_by_us = to_flow(chain, name="chain_by_us")

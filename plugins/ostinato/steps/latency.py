"""How long a model takes to answer one question."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

_CALLS, _SECONDS = 15, 2.0


def median_ms(ask: Callable[[], Any]) -> float:
    """The median milliseconds of some calls, after a first one that sets things up."""
    ask()
    taken = list[float]()
    begun = time.perf_counter()
    while len(taken) < _CALLS and time.perf_counter() - begun < _SECONDS:
        before = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - before) * 1000)
    return round(statistics.median(taken), 3)

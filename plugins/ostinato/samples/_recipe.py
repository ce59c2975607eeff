"""What every sample is made with: its recipe, its calendar, and decks to draw from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from ..errors import ParameterError

Array = NDArray[Any]

HOUR = 3_600_000_000  # microseconds, as every time here
DAY = 24 * HOUR
START = datetime(2026, 1, 1)  # fixed: a sample that looked at the clock would differ from day to day
EPOCH = int(np.datetime64(START, "us").astype("i8"))  # the same, in microseconds since 1970
FAR_FUTURE = int(np.datetime64("2099-01-01", "us").astype("i8"))
DRIFTS_AFTER = 0.75  # of the days


@dataclass(frozen=True)
class Recipe:
    """All that decides what a sample looks like."""

    rows: int
    seed: int
    days: int
    drift: bool
    broken: float

    SHOWS: ClassVar[str] = "habits"
    NEEDS: ClassVar[str] = "a training window and a test window"

    def __post_init__(self) -> None:
        if self.rows < 1000:
            raise ParameterError(f"rows={self.rows} is too few for {self.SHOWS} to show. Ask for 1000 rows or more.")
        if self.seed < 0:
            raise ParameterError(f"seed={self.seed} is negative. Write a whole number of 0 or more.")
        if not 40 <= self.days <= 3650:
            raise ParameterError(
                f"days={self.days} is not between 40 and 3650: {self.NEEDS} need 40. Ask for 120, say."
            )
        if not 0 <= self.broken <= 0.5:
            raise ParameterError(f"broken={self.broken} is not a share between 0 and 0.5. For 1 % write 0.01.")

    def dice(self, *use: int) -> Generator:
        """Random numbers for one use: drawing more of them for one thing changes nothing else."""
        return default_rng([self.seed, *use])

    def broken_until(self, row: int) -> int:
        """How many of the first `row` rows are broken."""
        return round(self.broken * self.rows * (row / self.rows))


def drift_day(days: int) -> int:
    """The first day, counted from 0, that shows drift."""
    return int(days * DRIFTS_AFTER)


def busyness(days: int, hours: Array, weekdays: Array) -> Array:
    """How busy each hour of the `days` is, from the hours of a day and the days of a week that begins on Thursday,
    as the sample does; sums to 1."""
    weights = np.outer(weekdays[np.arange(days) % 7], hours).ravel()
    return np.asarray(weights / weights.sum())


def stretches(counts: Array, size: int) -> Iterator[tuple[int, int]]:
    """The counts in stretches of about `size` each: the first place of each, and the one after its last."""
    before, total = np.cumsum(counts) - counts, counts.sum()
    number = max(round(total / size), 1)
    stretch = np.minimum(before * number // total, number - 1)  # zeros at the end belong to the last one
    starts = np.flatnonzero(np.diff(stretch, prepend=-1)).tolist()
    return zip(starts, [*starts[1:], len(counts)], strict=True)


def as_deck(weights: Array, copies: int = 8) -> Array:
    """Each position as often as its weight says: `copies` times on average, at least once.

    A fair draw from a deck is a weighted draw of positions: many times faster than searching cumulated weights.
    """
    times = np.maximum(np.rint(copies * weights / weights.mean()), 1).astype("i8")
    return np.repeat(np.arange(len(weights), dtype="i4"), times)


def drawn(rng: Generator, cards: Array, count: int) -> Array:
    """`count` fair draws from a deck."""
    return np.asarray(cards[rng.integers(0, len(cards), count, dtype="i4")])


def each_at_least_once(rng: Generator, count: int, shares: Array) -> Array:
    """`count` draws by share, in which no value is missing."""
    chosen = rng.choice(len(shares), count, p=shares / shares.sum()).astype("i1")
    chosen[: len(shares)] = np.arange(len(shares))
    rng.shuffle(chosen)
    return chosen


def words(positions: Array, names: tuple[str, ...]) -> pa.DictionaryArray[Any, Any]:
    """The names at these positions, each stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(positions, pa.int8()), pa.array(names))

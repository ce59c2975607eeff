"""Card payments with fraud in them: rows in time order, labels that arrive days later, and the truth kept apart."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ._parts import Recipe, parts
from ._writing import BROKEN, written


@dataclass(frozen=True)
class Sample:
    """What was written: where, how many rows, how many of them fraud or broken, and the times they span.

    `first` and `last` leave out times that are broken on purpose. `truth` is the folder that says which rows are
    broken and of which kind each fraud is; None where there is none.
    """

    path: Path
    rows: int
    fraud: int
    broken: int
    first: datetime
    last: datetime
    truth: Path | None

    def __str__(self) -> str:
        told = f"; the truth about them is in {self.truth}" if self.truth else ""
        return (
            f"{self.rows:,} transactions from {self.first:%d %B %Y} to {self.last:%d %B %Y} in {self.path}: "
            f"{self.fraud:,} of them fraud, {self.broken:,} broken on purpose{told}."
        )


def write(
    path: str | os.PathLike[str],
    *,
    rows: int = 200_000,
    seed: int = 7,
    days: int = 120,
    drift: bool = False,
    broken: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Sample:
    """Write `rows` card payments over `days` days from 1 January 2026, 0.8 % of them fraud.

    A `path` that ends in `.parquet` becomes one file, any other a folder of files of about a million rows each.
    Columns: `tx_id`, `ts`, `card_id`, `terminal_id`, `amount` (in `currency`), `is_fraud` (0 or 1),
    `fraud_reported_at` (about 4 days after `ts`; null where not fraud), `currency`, `country`, `channel`, `mcc`.
    Times are UTC.

    With `drift`, fraud changes its shape after three quarters of the days: accounts are taken over, and the thief
    pays at the usual terminals in the usual amounts, which what was learnt from the old fraud misses.

    `broken` is the share of the rows that are spoiled, 0 to 0.5. Each breaks one rule, and `_truth/broken.parquet`, in
    the folder or beside the file, names exactly those rows and their reasons; a folder also holds the kind of every
    fraud in `_truth/fraud.parquet`.

    `progress` is told the number of rows written so far. The same arguments give the same rows. Raises ParameterError
    for a value out of range, and UsageError where `path` holds something that is no such sample.
    """
    recipe = Recipe(rows, seed, days, drift, broken)
    made = written(path, parts(recipe), broken=broken > 0, progress=progress)
    fraud, spoiled = made.told["fraud"], made.told.get(BROKEN, 0)
    return Sample(made.path, made.rows, fraud, spoiled, made.first, made.last, made.truth)

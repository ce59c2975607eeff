"""Interactions of users with a catalogue that grows: tastes to learn, favourites of all, and the truth kept apart."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ._feed import Feed, Recipe
from ._writing import BROKEN, written


@dataclass(frozen=True)
class Sample:
    """What was written: where, how many rows, users and items, how many rows broken, and the times they span.

    `first` and `last` leave out times that are broken on purpose. `truth` is the folder that says which rows are
    broken and when each item was launched; None where there is none.
    """

    path: Path
    rows: int
    users: int
    items: int
    broken: int
    first: datetime
    last: datetime
    truth: Path | None

    def __str__(self) -> str:
        truth = f" The truth is in {self.truth}." if self.truth else ""
        return (
            f"{self.rows:,} interactions of {self.users:,} users with {self.items:,} items from "
            f"{self.first:%d %B %Y} to {self.last:%d %B %Y} in {self.path}: {self.broken:,} of them broken on "
            f"purpose.{truth}"
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
    """Write `rows` interactions of users with items over `days` days from 1 January 2026.

    A `path` that ends in `.parquet` becomes one file, any other a folder of files of about a million rows each.
    Columns: `user_id` (a number), `item_id` (a text such as `i00042`), `ts` (UTC), `rating` (1 to 5, whole: how well
    the item fits the user's taste, with much chance in it). A user makes about 50 of them, some far more, and hardly
    ever two with one item; an item has about 400, few have far more. A third of the users joins, and a quarter of the
    items is launched, while the sample runs.

    With `drift`, after three quarters of the days the tastes of most users move to other genres within some days, new
    items become the fashion and old favourites fall from it, so that what was learnt before fits worse.

    `broken` is the share of the rows that are spoiled, 0 to 0.5. Each breaks one rule, and `_truth/broken.parquet`, in
    the folder or beside the file, names exactly those rows and their reasons: `duplicate` (both rows of a pair),
    `null_user`, `null_item`, `null_time`, `negative_rating`, `future_time`, and `robot`: users with ids of their own
    and hundreds or thousands of rows within hours; none where they would have fewer than 150. A folder also holds
    when each item was launched, and its genre, in `_truth/items.parquet`.

    `progress` is told the number of rows written so far. The same arguments give the same rows. Raises ParameterError
    for a value out of range, and UsageError where `path` holds something that is no such sample.
    """
    feed = Feed(Recipe(rows, seed, days, drift, broken))
    made = written(path, feed.parts(), broken=broken > 0, progress=progress)
    spoiled = made.told.get(BROKEN, 0)
    return Sample(made.path, made.rows, feed.users, feed.items, spoiled, made.first, made.last, made.truth)

"""From a recipe to tables: the sample of interactions part by part, with the truth about each part beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pyarrow as pa

from . import _recipe
from ._catalogue import GENRES
from ._choices import Choices, World
from ._flaws import REASONS, Flaws, among, planted, robots, robots_share, spoil
from ._recipe import EPOCH, HOUR, START, Array, stretches, words
from ._writing import BROKEN, Part

ROWS_PER_PART = 1_000_000
_MOST_PER_BLOCK = 1 << 16  # rows: few enough for the processor's cache
_FEWEST_PER_BLOCK = 100
_BLOCKS = 256  # or as many as there are days, unless these bounds call for others
_WORLD, _HOURS, _CHOICES, _FLAWS = range(4)


class Recipe(_recipe.Recipe):
    """All that decides what the sample looks like."""

    SHOWS: ClassVar[str] = "tastes"
    NEEDS: ClassVar[str] = "training, choosing and testing"


class Feed:
    """The interactions of a recipe, told once, from the first to the last."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._world = World.built(recipe, _WORLD)
        self._ids = _ids(self._world.catalogue.order)
        self._people = np.zeros(len(self._world.audience), bool)  # those told of
        self._items = np.zeros(len(self._world.catalogue), bool)
        self._robots = 0
        self._row = 0

    @property
    def users(self) -> int:
        """How many different users the parts told so far hold, robots among them."""
        return int(np.count_nonzero(self._people)) + self._robots

    @property
    def items(self) -> int:
        """How many different items they hold."""
        return int(np.count_nonzero(self._items))

    def parts(self) -> Iterator[Part]:
        """The table in parts of whole hours, about ROWS_PER_PART rows each, of which only one is in memory at a time.

        What can be had and what it draws changes from block to block of hours. A row depends on its block, not on
        the part.
        """
        recipe, borders = self._recipe, _borders(self._recipe)
        hourly = recipe.dice(_HOURS).multinomial(recipe.rows, self._world.busyness(recipe.days))
        for first, last in stretches(np.add.reduceat(hourly, borders[:-1]), ROWS_PER_PART):
            hours = borders[first : last + 1].tolist()
            blocks = [
                self._world.choices(recipe.dice(_CHOICES, start), start, hourly[start:end])
                for start, end in pairwise(hours)
            ]
            yield self._part(Choices.joined(*blocks), hours[0], hours[-1])

    def _part(self, choices: Choices, start: int, end: int) -> Part:
        """The choices between these two hours as the next part of the table."""
        row = self._row
        self._row += len(choices)
        choices, flaws = self._flawed(choices, row, start, end)
        columns = {
            "user_id": choices.person.astype("i8") + 1,
            "item_id": choices.item.copy(),
            "ts": choices.time + EPOCH,
            "rating": choices.stars.astype("f8"),
        }
        missing = {name: np.zeros(len(choices), bool) for name in ("user_id", "item_id", "ts")}
        spoil(columns, missing, flaws)
        self._tell(columns, missing)
        table = self._table(columns, missing)
        truth = {"items": self._launches(start, end)}
        if self._recipe.broken:
            truth[BROKEN] = _broken_truth(table, flaws, row)
        first, last = (START + timedelta(microseconds=int(choices.time[place])) for place in (0, -1))
        return Part(table, truth, first, last)

    def _flawed(self, choices: Choices, row: int, start: int, end: int) -> tuple[Choices, Flaws]:
        """The choices with robots among them, and what is to be spoiled; `row` is the first one's in the table."""
        rng = self._recipe.dice(_FLAWS, row)
        count = self._recipe.broken_until(row + len(choices)) - self._recipe.broken_until(row)
        share = robots_share(count)
        places = np.zeros(0, "i8")
        if share:
            nobody = len(self._people) + self._robots
            work = robots(rng, self._world.catalogue, share, nobody, start, end)
            self._robots += len(np.unique(work.person))
            choices, places = among(rng, choices, work)
        return choices, planted(rng, len(choices), places, count - share)

    def _tell(self, columns: dict[str, Array], missing: dict[str, Array]) -> None:
        """Remember who and what the table holds."""
        people = columns["user_id"][~missing["user_id"]] - 1
        self._people[people[people < len(self._people)]] = True
        self._items[columns["item_id"][~missing["item_id"]]] = True

    def _table(self, columns: dict[str, Array], missing: dict[str, Array]) -> pa.Table:
        item = pa.array(columns["item_id"], pa.int32(), mask=missing["item_id"])
        return pa.table(
            {
                "user_id": pa.array(columns["user_id"], mask=missing["user_id"]),
                "item_id": pa.DictionaryArray.from_arrays(item, self._ids),
                "ts": pa.array(columns["ts"], pa.timestamp("us"), mask=missing["ts"]),
                "rating": pa.array(columns["rating"]),
            }
        )

    def _launches(self, start: int, end: int) -> pa.Table:
        """The items launched between these two hours, and before them where they are the first."""
        catalogue = self._world.catalogue
        first, last = catalogue.launched_by(np.array([start, end]) - 1) * [start > 0, 1]
        items = catalogue.order[first:last]
        return pa.table(
            {
                "item_id": self._ids.take(pa.array(items, pa.int32())),
                "launched_at": pa.array(catalogue.launched[items] * HOUR + EPOCH, pa.timestamp("us")),
                "genre": words(catalogue.genre[items], GENRES),
            }
        )


def _borders(recipe: Recipe) -> Array:
    """The hours at which blocks begin, and the one after the last."""
    hours = 24 * recipe.days
    few = min(_BLOCKS, recipe.days, recipe.rows // _FEWEST_PER_BLOCK)
    blocks = min(max(few, recipe.rows // _MOST_PER_BLOCK), hours)
    return np.arange(blocks + 1) * hours // blocks


def _ids(order: Array) -> pa.StringArray:
    """The ids of the items by position: they are numbered in the order of their launch."""
    ids = np.empty(len(order), object)
    ids[order] = [f"i{number:05}" for number in range(1, len(order) + 1)]
    return pa.array(ids, pa.string())


def _broken_truth(table: pa.Table, flaws: Flaws, row: int) -> pa.Table:
    """The broken rows by their place in the whole table, counted from 0: a row of its pair is like the other."""
    told = table.select(["user_id", "item_id"]).take(pa.array(flaws.rows, pa.int64()))
    return told.append_column("row", pa.array(flaws.rows + row)).append_column("reason", words(flaws.reasons, REASONS))

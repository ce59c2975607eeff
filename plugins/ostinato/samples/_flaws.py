"""Interactions that are spoiled on purpose, and the robots among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ._catalogue import Catalogue
from ._choices import Choices
from ._recipe import DAY, EPOCH, FAR_FUTURE, HOUR, Array

REASONS = (
    "duplicate",  # both rows of a pair: they are the same in every column
    "null_user",
    "null_item",
    "null_time",
    "negative_rating",
    "future_time",
    "robot",
)
_DUPLICATE, _NO_USER, _NO_ITEM, _NO_TIME, _NEGATIVE, _FUTURE, _ROBOT = range(len(REASONS))
_IN_TURN = np.array([_DUPLICATE, *range(_ROBOT)])  # duplicates come in twos

_ROBOTS = 0.4  # the share of spoiled rows that robots make
FEWEST, _MOST = 150, 1500  # rows of a robot; a part in which all its robots would make fewer has none
_SPELL = 6 * HOUR  # for which a robot is at work, all of it on one day


@dataclass(frozen=True)
class Flaws:
    """Which rows of a part are spoiled, in order, and how: positions in REASONS."""

    rows: Array
    reasons: Array

    def rows_with(self, reason: int) -> Array:
        """The spoiled rows with this reason."""
        return np.asarray(self.rows[self.reasons == reason])


def robots_share(count: int) -> int:
    """How many of so many spoiled rows robots make."""
    share = round(_ROBOTS * count)
    return share if share >= FEWEST else 0


def robots(rng: Generator, catalogue: Catalogue, count: int, first_robot: int, start: int, end: int) -> Choices:
    """What robots, the first of them numbered so, do in `count` rows between these two hours.

    Within hours each goes through hundreds or thousands of items as they come, and rates them all the same.
    """
    sizes = rng.integers(2 * FEWEST, _MOST, count // FEWEST)
    number = max(int(np.searchsorted(np.cumsum(sizes), count, side="right")), 1)
    sizes[number - 1] += count - sizes[:number].sum()  # what is left over, the last one does as well
    robot = np.repeat(np.arange(number), sizes[:number])
    begin = rng.integers(start, end, number) * HOUR
    stop = np.minimum(np.minimum(begin + _SPELL, (begin // DAY + 1) * DAY), end * HOUR)
    return Choices(
        time=begin[robot] + (rng.random(count) * (stop - begin)[robot]).astype("i8"),
        person=(first_robot + robot).astype("i4"),
        item=catalogue.anything(rng, begin[robot] // HOUR),
        stars=rng.integers(1, 6, number, "i1")[robot],
    )


def among(rng: Generator, choices: Choices, others: Choices) -> tuple[Choices, Array]:
    """The choices with the others in the place of as many of them, in time order, and the rows of the others."""
    kept = np.ones(len(choices), bool)
    kept[rng.choice(len(choices), len(others), replace=False)] = False
    every = Choices.joined(choices.take(kept), others)
    order = np.argsort(every.time, kind="stable")
    return every.take(order), np.flatnonzero(order >= len(choices) - len(others))


def planted(rng: Generator, rows: int, robots: Array, count: int) -> Flaws:
    """The flaws of a part of so many `rows`: what the `robots` did, and `count` more of the other rows."""
    turn = _IN_TURN[np.arange(count) % len(_IN_TURN)]
    twins, single = np.count_nonzero(turn == _DUPLICATE), turn[turn != _DUPLICATE]
    if twins % 2:
        single = np.append(single, _NO_USER)  # the last one found no twin
    free = np.ones(rows, bool)
    free[robots] = False
    first = 2 * rng.choice(np.flatnonzero(free[:-1:2] & free[1::2]), twins // 2, replace=False)
    free[first] = free[first + 1] = False
    alone = rng.choice(np.flatnonzero(free), len(single), replace=False)
    places = np.concatenate([robots, first, first + 1, alone])
    reasons = np.concatenate([np.full(len(robots), _ROBOT), np.full(2 * len(first), _DUPLICATE), single])
    order = np.argsort(places)
    return Flaws(places[order], reasons[order])


def spoil(columns: Mapping[str, Array], missing: Mapping[str, Array], flaws: Flaws) -> None:
    """Spoil the rows in place; `missing` says per column which values are null."""
    twins = flaws.rows_with(_DUPLICATE)
    for column in columns.values():
        column[twins[1::2]] = column[twins[::2]]
    for name, reason in (("user_id", _NO_USER), ("item_id", _NO_ITEM), ("ts", _NO_TIME)):
        missing[name][flaws.rows_with(reason)] = True
    columns["rating"][flaws.rows_with(_NEGATIVE)] *= -1
    columns["ts"][flaws.rows_with(_FUTURE)] += FAR_FUTURE - EPOCH

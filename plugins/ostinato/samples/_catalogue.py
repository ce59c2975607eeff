"""A catalogue that grows: items of genres, some far more popular than others, the newest most of all.

Factors, here and in tastes, are small whole numbers: their sums are the same on every machine, and so is who likes
what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ._recipe import Array, as_deck, each_at_least_once

GENRES = (
    "drama",
    "comedy",
    "thriller",
    "action",
    "romance",
    "documentary",
    "science fiction",
    "animation",
    "crime",
    "fantasy",
    "horror",
    "family",
    "music",
    "history",
    "sport",
    "western",
)
GENRE_SHARES = 1 / np.arange(4, 4 + len(GENRES))
GENRE_SHARES /= GENRE_SHARES.sum()
FACTORS = 8  # of what an item is made, and what somebody likes or dislikes
MOST = 15  # of a factor: the product of two sets of them fits two bytes

_ZIPF = 1.0
_LAUNCHED = 0.25  # the share of the items that is launched while the sample runs
_YEAR = 365 * 24  # hours before the sample in which the rest was launched
_BOOST, _BOOST_HOURS = 3.0, 7 * 24  # a new item draws so many times more on top, which fades within so many hours
_FASHION = 6.0  # how many times more the newest items draw when fashion changes
_CHANGED = 0.5  # the share of the items that then trade their places in it


class Shop(NamedTuple):
    """What can be had at some time: a deck of items, and where in it each genre begins and how long it is."""

    deck: Array
    first: Array
    size: Array


@dataclass(frozen=True)
class Catalogue:
    """Items by position, sorted by genre; times in hours since the start, negative before it."""

    genre: Array
    factors: Array  # (items, FACTORS)
    quality: Array  # in hundredths of a star
    draws: Array  # how much, but for the boost of its launch
    draws_then: Array  # the same from the turn on
    turn: int
    launched: Array
    order: Array  # the positions in the order of launch

    def __len__(self) -> int:
        return len(self.genre)

    @classmethod
    def built(cls, rng: Generator, centres: Array, count: int, hours: int, turn: int) -> Catalogue:
        """A catalogue of which a part is launched within the `hours`; of each genre something is there before.

        From the `turn` on the fashion is another: much of what was popular is not, and the newest draw more.
        """
        genre = np.sort(each_at_least_once(rng, count, GENRE_SHARES))
        launched = -rng.integers(0, _YEAR, count)
        already = np.searchsorted(genre, np.arange(len(GENRES)))
        later = rng.choice(np.delete(np.arange(count), already), round(_LAUNCHED * count), replace=False)
        evenly = (np.arange(len(later)) + rng.random(len(later))) / len(later)  # at random there are months of nothing
        launched[later] = 1 + evenly * (hours - 1)
        draws = rng.permutation(1 / np.arange(1, count + 1) ** _ZIPF)
        draws_then, changed = draws.copy(), np.flatnonzero(rng.random(count) < _CHANGED)
        draws_then[changed] = draws[rng.permutation(changed)]
        draws_then[launched >= turn] *= _FASHION
        return cls(
            genre=genre,
            factors=small(centres[genre] + rng.normal(0, 3.5, (count, FACTORS))),
            quality=rng.normal(0, 25, count).astype("i2"),
            draws=draws,
            draws_then=draws_then,
            turn=turn,
            launched=launched,
            order=np.argsort(launched, kind="stable").astype("i4"),
        )

    def launched_by(self, hour: Array) -> Array:
        """How many items have been launched by each of these hours."""
        return np.searchsorted(self.launched[self.order], hour, side="right")

    def anything(self, rng: Generator, hour: Array) -> Array:
        """For each of these hours an item that has been launched by then, the unpopular as often as the popular."""
        return np.asarray(self.order[(rng.random(len(hour)) * self.launched_by(hour)).astype("i8")])

    def shop(self, hour: int) -> Shop:
        """What has been launched by the `hour`, each item as often as it draws then."""
        there = np.flatnonzero(self.launched <= hour)
        new = np.exp((self.launched[there] - hour) / _BOOST_HOURS)
        draws = (self.draws if hour < self.turn else self.draws_then)[there]
        deck = there[as_deck(draws * (1 + _BOOST * new), copies=16)].astype("i4")
        borders = np.searchsorted(self.genre[deck], np.arange(len(GENRES) + 1))
        return Shop(deck, borders[:-1].astype("i4"), np.diff(borders).astype("f4"))


def small(factors: Array) -> Array:
    """Factors as small whole numbers."""
    return np.clip(np.rint(factors), -MOST, MOST).astype("i2")

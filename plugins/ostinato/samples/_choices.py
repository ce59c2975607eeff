"""Who chooses what and when, and how they rate it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ._audience import SHELF, Audience, Groups
from ._catalogue import FACTORS, GENRES, Catalogue, Shop
from ._recipe import HOUR, Array, Recipe, busyness, drift_day

# How busy each hour of a day is, and each day of a week that begins on Thursday.
_HOURS = np.array([24, 13, 7, 4, 3, 4, 8, 14, 18, 20, 21, 24, 28, 27, 25, 26, 30, 38, 48, 60, 70, 72, 60, 40], float)
_WEEKDAYS = np.array([0.9, 1.15, 1.35, 1.25, 0.85, 0.85, 0.9])

_SEEN = 14  # items somebody looks at before choosing one
_TRIES, _TO_TASTE = 5, 2  # to find something new, and how many of them keep to one's genres
_ANYTHING = 0.06  # how often people look at what everybody looks at
_FACES = 4096  # of the dice for whims and moods: a table of what each face means is faster than logarithms
_WHIM = 8.0  # how much chance decides, in the unit of the products of factors
# In hundredths of a star: what an item gets that neither fits nor displeases, what each place of its genre on the shelf
# adds, and how much chance does. A unit of the products of factors adds one.
_PLAIN, _GENRE, _MOOD = np.int16(300), np.int16(12), 75.0

_EVENLY = (np.arange(_FACES) + 0.5) / _FACES
_WHIMS = np.rint(-_WHIM * np.log(-np.log(_EVENLY))).astype("i2")  # Gumbel's: the choices are those of a logit model
_MOODS = np.rint(_MOOD * (2 * _EVENLY - 1) * np.sqrt(3)).astype("i2")  # even, of that standard deviation
_KNOWN = np.int16(1 << 13)  # takes the appeal from anything


@dataclass(frozen=True)
class Choices:
    """Columns of equal length, in time order: microseconds since the start, positions of person and item, stars."""

    time: Array
    person: Array
    item: Array
    stars: Array

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Array) -> Choices:
        """These rows, in this order."""
        return Choices(*(column[rows] for column in vars(self).values()))

    @classmethod
    def joined(cls, *several: Choices) -> Choices:
        """One after the other."""
        return cls(*(np.concatenate(column) for column in zip(*(vars(each).values() for each in several), strict=True)))


class Acquaintance:
    """Who knows what: a Bloom filter of one hash, so that its size has a bound.

    It never forgets. Sometimes it takes strangers for acquainted, and somebody chooses something else.
    """

    def __init__(self, rows: int, items: int) -> None:
        bits = min((4 * rows).bit_length(), 27)
        self._known = np.zeros(1 << bits, bool)
        self._shift = np.uint64(64 - bits)
        self._items = np.int64(items)

    def known(self, person: Array, item: Array) -> Array:
        """Whether each of them knows the item."""
        return np.asarray(self._known.take(self._places(person, item)))

    def made(self, person: Array, item: Array) -> Array:
        """Make these acquaintances; says of each whether it was new."""
        places = self._places(person, item)
        new = np.zeros(len(places), bool)
        new[np.unique(places, return_index=True)[1]] = True
        new &= ~self._known[places]
        self._known[places] = True
        return new

    def _places(self, person: Array, item: Array) -> Array:
        hashed = (person * self._items + item).view("u8") * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci's
        return np.asarray((hashed >> self._shift).view("i8"))


@dataclass(frozen=True)
class World:
    """What there is, who likes what, and who knows what already."""

    catalogue: Catalogue
    audience: Audience
    acquaintance: Acquaintance

    @classmethod
    def built(cls, recipe: Recipe, use: int) -> World:
        """A world where somebody makes about 50 choices, and an item is chosen about 400 times."""
        people, items = max(recipe.rows // 50, 200), min(max(recipe.rows // 400, 300), 20_000)
        hours, turn = 24 * recipe.days, 24 * drift_day(recipe.days)
        centres = recipe.dice(use, 0).normal(0, 2.5, (len(GENRES), FACTORS))
        fashion = turn if recipe.drift else hours
        catalogue = Catalogue.built(recipe.dice(use, 1), centres, items, hours, fashion)
        groups = Groups.built(recipe.dice(use, 2), centres)
        busiest = items / 4 * people / recipe.rows  # who knows everything has nothing left to choose
        audience = Audience.built(recipe.dice(use, 3), groups, people, hours, busiest)
        if recipe.drift:
            audience = audience.drifting(recipe.dice(use, 4), groups, turn, turn + (hours - turn) // 3)
        return cls(catalogue, audience, Acquaintance(recipe.rows, items))

    def busyness(self, days: int) -> Array:
        """How busy each hour of the `days` is; sums to 1. The more people have joined, the busier."""
        weights = busyness(days, _HOURS, _WEEKDAYS) * self.audience.present
        return np.asarray(weights / weights.sum())

    def choices(self, rng: Generator, first_hour: int, counts: Array) -> Choices:
        """What people choose: `counts[i]` times in the hour `first_hour + i`. Ask for hours in their order."""
        hour = np.repeat(np.arange(first_hour, first_hour + len(counts)), counts)
        time = np.sort(hour * HOUR + rng.integers(0, HOUR, len(hour)))
        person = self.audience.somebody(rng, hour)
        taste = self.audience.taste(person, hour)
        item, fit = self._chosen(rng, self.catalogue.shop(first_hour), person, taste)
        return Choices(time, person, item, self._stars(rng, item, taste, fit))

    def _chosen(self, rng: Generator, shop: Shop, person: Array, taste: Array) -> tuple[Array, Array]:
        """What each chooses, something new wherever that is to be found, and how well it fits."""
        item, fit = np.empty(len(person), "i4"), np.empty(len(person), "i2")
        seeking = np.arange(len(person))
        for turn in range(_TRIES):
            who = person[seeking]
            item[seeking], fit[seeking] = self._best(
                rng, shop, who, taste[seeking], _ANYTHING if turn < _TO_TASTE else 1
            )
            seeking = seeking[~self.acquaintance.made(who, item[seeking])]
        return item, fit

    def _best(self, rng: Generator, shop: Shop, person: Array, taste: Array, anything: float) -> tuple[Array, Array]:
        """The item that appeals most of a few that each looks at, and how well it fits.

        They are all of one genre, or, as often as `anything` says, of any.
        """
        count, tastes = len(person), self.audience.tastes
        genre = tastes.shelf[taste, rng.integers(0, SHELF, count, "i1")]
        widely = rng.random(count, "f4") < anything
        first = np.where(widely, 0, shop.first[genre])
        size = np.where(widely, np.float32(len(shop.deck)), shop.size[genre])
        likes = tastes.factors[taste]
        best = np.full(count, np.iinfo("i2").min), np.zeros(count, "i4"), np.zeros(count, "i2")
        for _ in range(_SEEN):
            item = shop.deck[first + (rng.random(count, "f4") * size).astype("i4")]
            fit = np.einsum("nk,nk->n", self.catalogue.factors.take(item, 0), likes)
            appeal = fit + _WHIMS.take(rng.integers(0, _FACES, count, "u2"))
            appeal -= _KNOWN * self.acquaintance.known(person, item)
            better = appeal > best[0]
            for old, new in zip(best, (appeal, item, fit), strict=True):
                np.copyto(old, new, where=better)
        return best[1:]

    def _stars(self, rng: Generator, item: Array, taste: Array, fit: Array) -> Array:
        """How each rates what was chosen: the better it fits, the better, but for quality, kindness and mood."""
        tastes, genre = self.audience.tastes, self.catalogue.genre[item]
        liked = np.count_nonzero(tastes.shelf[taste] == genre[:, None], axis=1).astype("i2")
        mood = _MOODS.take(rng.integers(0, _FACES, len(item), "u2"))
        hundredths = _PLAIN + fit + _GENRE * liked + self.catalogue.quality[item] + tastes.kindness[taste] + mood
        return np.asarray(np.clip((hundredths + 50) // 100, 1, 5).astype("i1"))

"""People with tastes: in groups that like the same genres, yet each with a taste of their own, that drift moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ._catalogue import FACTORS, GENRE_SHARES, small
from ._recipe import Array, as_deck

SHELF = 16  # genres a taste is made of, each as often as it is liked
_GROUPS = 12
_OWN, _SECOND = 11, 15
_CARDS = 128  # of genres that a group has: enough for shares of a hundredth
_JOINED = 0.35  # the share of the people that joins while the sample runs
_MOVED = 0.6  # the share of the people whose taste moves with drift


@dataclass(frozen=True)
class Groups:
    """People with like tastes: a deck of genres for each group, and for everybody after the last; and factors."""

    genres: Array  # (_GROUPS + 1, _CARDS)
    factors: Array  # (_GROUPS, FACTORS)
    centres: Array  # (genres, FACTORS): what items of a genre have in common

    @classmethod
    def built(cls, rng: Generator, centres: Array) -> Groups:
        """Groups that each like a few genres best."""
        likings = [*rng.dirichlet(4 * GENRE_SHARES, _GROUPS), GENRE_SHARES]
        evenly = (np.arange(_CARDS) + 0.5) / _CARDS
        genres = [np.searchsorted(np.cumsum(liking)[:-1], evenly) for liking in likings]
        return cls(np.array(genres, "i1"), rng.normal(0, 2.5, (_GROUPS, FACTORS)), centres)


@dataclass(frozen=True)
class Tastes:
    """What people like: their genres, their factors, and how kindly they rate (in hundredths of a star)."""

    shelf: Array  # (people, SHELF)
    factors: Array  # (people, FACTORS)
    kindness: Array

    @classmethod
    def built(cls, rng: Generator, groups: Groups, group: Array) -> Tastes:
        """The tastes of people of these groups: mostly the group's, some of another, some their own."""
        people = len(group)
        second = rng.integers(0, _GROUPS, people, "i1")
        shelf = np.empty((people, SHELF), "i1")
        factors = groups.factors[group] + rng.normal(0, 3, (people, FACTORS))
        for place in range(SHELF):
            whose = group if place < _OWN else second if place < _SECOND else _GROUPS
            shelf[:, place] = groups.genres[whose, rng.integers(0, _CARDS, people, "i2")]
            factors += groups.centres[shelf[:, place]] / SHELF
        return cls(shelf, small(factors), rng.normal(0, 35, people).astype("i2"))

    def followed_by(self, others: Tastes) -> Tastes:
        """These, and the others after them."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return Tastes(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class Audience:
    """People by position, in the order in which they join; times in hours since the start."""

    deck: Array
    present: Array  # per hour, how many cards of the deck have joined
    tastes: Tastes
    moves: Array  # per person, the hour in which the taste moves
    moved: Array  # per person, the position in `tastes` from then on

    def __len__(self) -> int:
        return len(self.moves)

    @classmethod
    def built(cls, rng: Generator, groups: Groups, count: int, hours: int, busiest: float) -> Audience:
        """People of whom the busiest is so many times as busy as the average; of these tastes do not move."""
        joined = np.sort(rng.integers(1, hours, count) * (rng.random(count) < _JOINED))
        activity = np.minimum(rng.gamma(0.8, 1.0, count) / 0.8, busiest)
        deck = as_deck(activity, copies=16)
        tastes = Tastes.built(rng, groups, rng.integers(0, _GROUPS, count, "i1"))
        present = np.searchsorted(joined[deck], np.arange(hours), side="right")
        return cls(deck, present, tastes, np.full(count, hours, "i4"), np.arange(count, dtype="i4"))

    def drifting(self, rng: Generator, groups: Groups, turn: int, settled: int) -> Audience:
        """The same people, of whom most get another taste between these two hours."""
        movers = np.flatnonzero(rng.random(len(self)) < _MOVED)
        moves, moved = self.moves.copy(), self.moved.copy()
        moves[movers] = rng.integers(turn, settled, len(movers))
        moved[movers] = len(self) + np.arange(len(movers))
        others = Tastes.built(rng, groups, rng.integers(0, _GROUPS, len(movers), "i1"))
        return Audience(self.deck, self.present, self.tastes.followed_by(others), moves, moved)

    def somebody(self, rng: Generator, hour: Array) -> Array:
        """For each of these hours somebody who has joined by then, the busy ones more often."""
        return np.asarray(self.deck[(rng.random(len(hour)) * self.present[hour]).astype("i8")])

    def taste(self, person: Array, hour: Array) -> Array:
        """The positions in `tastes` of these people in these hours."""
        return np.where(hour < self.moves[person], person, self.moved[person])

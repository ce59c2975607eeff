"""A small town of cards and terminals with habits, and the payments they make on ordinary days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ._recipe import HOUR, Array, as_deck, drawn, each_at_least_once

FAVOURITES = 8  # terminals a card keeps going back to; the last two are remote


class Category(NamedTuple):
    """A kind of shop: merchant category code, how one pays there, its share of all terminals, its median price."""

    mcc: int
    channel: str
    share: float
    price: float


ELECTRONICS, JEWELLERY = 5732, 5944
CATEGORIES = (
    Category(5411, "pos", 0.16, 28),  # groceries
    Category(5812, "pos", 0.13, 26),  # restaurants
    Category(5814, "pos", 0.08, 9),  # fast food
    Category(5541, "pos", 0.07, 45),  # fuel
    Category(5912, "pos", 0.06, 17),  # pharmacies
    Category(4111, "pos", 0.05, 4),  # local transport
    Category(5651, "pos", 0.08, 48),  # clothing
    Category(5311, "pos", 0.06, 40),  # department stores
    Category(ELECTRONICS, "pos", 0.04, 120),
    Category(JEWELLERY, "pos", 0.02, 150),
    Category(7011, "pos", 0.03, 130),  # hotels
    Category(6011, "atm", 0.06, 80),  # cash
    Category(5999, "online", 0.08, 32),  # web shops
    Category(5816, "online", 0.04, 7),  # games
    Category(4511, "online", 0.02, 170),  # airlines
    Category(5964, "phone", 0.02, 42),  # mail order
)
CHANNELS = ("pos", "online", "atm", "phone")
COUNTRIES = ("GB", "US", "DE", "FR", "ES", "IT", "NL", "IE")
COUNTRY_SHARES = np.array([0.36, 0.2, 0.12, 0.1, 0.07, 0.06, 0.05, 0.04])
CURRENCIES = ("GBP", "USD", "EUR")
CURRENCY_OF_COUNTRY = np.array([0, 1, 2, 2, 2, 2, 2, 2], "i1")

# How busy each hour of a day is, and each day of a week that begins on Thursday.
HOURS = np.array([9, 5, 3, 2, 2, 4, 10, 22, 36, 42, 46, 52, 60, 54, 48, 46, 52, 62, 66, 58, 46, 36, 26, 16], float)
WEEKDAYS = np.array([1.0, 1.3, 1.4, 0.9, 0.95, 0.95, 1.0])


def categories_where(wanted: Callable[[Category], bool]) -> Array:
    """For each category whether it is wanted."""
    return np.array([wanted(each) for each in CATEGORIES])


@dataclass(frozen=True)
class Payments:
    """Columns of equal length, in time order: microseconds since the start, positions of card and terminal,
    amount, and the kind of fraud (0: none)."""

    time: Array
    card: Array
    terminal: Array
    amount: Array
    kind: Array

    def __len__(self) -> int:
        return len(self.time)

    def between(self, start: int, end: int) -> Payments:
        """The payments at or after `start` and before `end`."""
        first, last = np.searchsorted(self.time, [start, end])
        return Payments(*(column[first:last] for column in self._columns()))

    def merged(self, others: Payments) -> Payments:
        """These and the others, in time order."""
        places = np.searchsorted(self.time, others.time)
        pairs = zip(self._columns(), others._columns(), strict=True)
        return Payments(*(np.insert(ours, places, theirs) for ours, theirs in pairs))

    def _columns(self) -> tuple[Array, ...]:
        return self.time, self.card, self.terminal, self.amount, self.kind

    @classmethod
    def in_order(cls, *several: Payments) -> Payments:
        """All of them, sorted by time."""
        columns = [np.concatenate(column) for column in zip(*(each._columns() for each in several), strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return cls(*(column[order] for column in columns))


@dataclass(frozen=True)
class Town:
    """Cards and terminals by position. A deck holds each position as often as it is likely, so that a fair draw
    from it is a weighted draw of cards or terminals: many times faster than searching cumulated weights."""

    spend: Array  # per card: log of how dear it buys, 0 is the usual
    home: Array  # per card: country
    favourites: Array  # per card: FAVOURITES terminals, the most visited first
    card_deck: Array
    category: Array  # per terminal
    country: Array  # per terminal; terminals are sorted by it
    price: Array  # per terminal: log of its median amount
    terminal_deck: Array
    hour_deck: Array

    @classmethod
    def built(cls, rng: Generator, rows: int, days: int) -> Town:
        """A town where a card pays about 1.2 times a day and a terminal is paid about 2.5 times."""
        cards, terminals = max(rows // days * 4 // 5, 25), max(rows // days * 2 // 5, 40)
        country = np.sort(each_at_least_once(rng, terminals, COUNTRY_SHARES))
        category = each_at_least_once(rng, terminals, np.array([each.share for each in CATEGORIES]))
        prices = np.log([each.price for each in CATEGORIES])
        deck = as_deck(rng.lognormal(0, 0.6, terminals))
        home = rng.choice(len(COUNTRIES), cards, p=COUNTRY_SHARES).astype("i1")
        town = cls(
            spend=rng.normal(0, 0.45, cards).astype("f4"),
            home=home,
            favourites=np.empty((cards, FAVOURITES), "i4"),
            card_deck=as_deck(rng.gamma(1.1, 1.0, cards) + 0.03),
            category=category,
            country=country,
            price=(prices[category] + rng.normal(0, 0.3, terminals)).astype("f4"),
            terminal_deck=deck,
            hour_deck=as_deck(HOURS),
        )
        remote = categories_where(lambda each: each.channel in ("online", "phone"))
        owners = np.repeat(np.arange(cards), FAVOURITES - 2)
        town.favourites[:, :-2] = town.near_home(rng, owners).reshape(cards, -1)
        town.favourites[:, -2:] = town.somewhere(rng, 2 * cards, town.deck(remote)).reshape(cards, 2)
        return town

    def deck(self, categories: Array) -> Array:
        """The deck of the terminals of these categories."""
        return np.asarray(self.terminal_deck[categories[self.category[self.terminal_deck]]])

    def traffic(self) -> Array:
        """About which share of all payments each terminal gets."""
        return np.asarray(np.bincount(self.terminal_deck) / len(self.terminal_deck))

    def somebody(self, rng: Generator, count: int) -> Array:
        """Cards, the busy ones more often."""
        return drawn(rng, self.card_deck, count)

    def somewhere(self, rng: Generator, count: int, deck: Array | None = None) -> Array:
        """Terminals anywhere, the popular ones more often."""
        return drawn(rng, self.terminal_deck if deck is None else deck, count)

    def near_home(self, rng: Generator, card: Array) -> Array:
        """For each card a terminal in its country."""
        borders = np.searchsorted(self.country[self.terminal_deck], np.arange(len(COUNTRIES) + 1))
        first, size = borders[:-1], np.diff(borders)
        home = self.home[card]
        return np.asarray(self.terminal_deck[first[home] + (rng.random(len(card)) * size[home]).astype("i8")])

    def favourite(self, rng: Generator, card: Array, most: int = FAVOURITES) -> Array:
        """For each card one of its first `most` favourites, the first ones more often."""
        return np.asarray(self.favourites[card, (most * rng.random(len(card)) ** 1.5).astype("i1")])

    def customer(self, rng: Generator, terminal: Array) -> Array:
        """For each terminal a card that has it among its favourites; any card where there is none."""
        visited = self.favourites.ravel()
        owners = np.argsort(visited, kind="stable") // FAVOURITES
        count = np.bincount(visited, minlength=len(self.category))
        first = np.cumsum(count) - count
        chosen = first[terminal] + (rng.random(len(terminal)) * count[terminal]).astype("i8")
        known = owners[np.minimum(chosen, len(owners) - 1)].astype("i4")
        return np.where(count[terminal] > 0, known, self.somebody(rng, len(terminal)))

    def prices(self, rng: Generator, card: Array, terminal: Array) -> Array:
        """What each card would usually pay at the terminal; cash comes in tens."""
        scatter = 0.5 * rng.standard_normal(len(card), dtype="f4")
        amount = np.exp(self.spend[card] + self.price[terminal] + scatter)
        cash = categories_where(lambda each: each.channel == "atm")[self.category[terminal]]
        amount[cash] = np.maximum(np.rint(amount[cash] / 10), 1) * 10
        return np.asarray(amount)

    def clock(self, rng: Generator, count: int) -> Array:
        """Times of day, busy hours more often."""
        return drawn(rng, self.hour_deck, count).astype("i8") * HOUR + rng.integers(0, HOUR, count)


def ordinary(town: Town, rng: Generator, first_hour: int, counts: Array) -> Payments:
    """Honest payments: `counts[i]` of them in the hour `first_hour + i`."""
    count = int(counts.sum())
    hour = np.repeat(np.arange(first_hour, first_hour + len(counts), dtype="i8"), counts)
    card = town.somebody(rng, count)
    terminal = town.favourite(rng, card)
    chance = rng.random(count, dtype="f4")  # 84 % go where they always go
    nearby, away = np.flatnonzero(chance < 0.12), np.flatnonzero(chance > 0.96)
    terminal[nearby] = town.near_home(rng, card[nearby])
    terminal[away] = town.somewhere(rng, len(away))
    return Payments(
        time=np.sort(hour * HOUR + rng.integers(0, HOUR, count)),
        card=card,
        terminal=terminal,
        amount=town.prices(rng, card, terminal),
        kind=np.zeros(count, "i1"),
    )

"""Fraud in spells, after the scenarios of the Fraud Detection Handbook (Le Borgne et al., 2022), and the honest
payments that look like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ._cards import ELECTRONICS, JEWELLERY, Payments, Town, categories_where
from ._recipe import DAY, HOUR, Array, drift_day

KINDS = ("none", "stolen_card", "card_testing", "compromised_terminal", "account_takeover")
_STOLEN, _TESTING, _COMPROMISED, _TAKEOVER = range(1, len(KINDS))

FRAUD_SHARE = 0.008
# If nobody ever went shopping, every spree would be a stolen card: honest look-alikes keep the task a task.
_SPREE_SHARE, _GAMING_SHARE = 0.006, 0.002
_THIEF, _SHOPPER = 2.2, 0.4  # how dear they buy: log of the ratio to what the card usually pays
_USUAL = 3.4  # log of a usual amount: 30
_FRAUD_PER_PAYMENT = 1.2  # at a skimmed terminal, for each honest payment there
_MIX = {_STOLEN: 0.35, _TESTING: 0.2, _COMPROMISED: 0.45}
_DRIFTED_MIX = {_STOLEN: 0.1, _TESTING: 0.05, _TAKEOVER: 0.85}


class Period(NamedTuple):
    """A stretch of time in which fraud keeps its shape: microseconds since the start, payments per day."""

    start: int
    end: int
    per_day: float


class Spells(NamedTuple):
    """Payments in spells: for each payment its spell, its time, and whether it is the last one of its spell."""

    spell: Array
    time: Array
    last: Array


def planned(town: Town, rng: Generator, rows: int, days: int, drift: bool) -> Payments:
    """The fraud among `rows` payments, exactly FRAUD_SHARE of them, and the honest payments that look like it."""
    whole = Period(0, days * DAY, rows / days)
    turn = drift_day(days) * DAY if drift else whole.end
    fraud = round(rows * FRAUD_SHARE)
    before = round(fraud * turn / whole.end)
    return Payments.in_order(
        *_fraud(town, rng, whole._replace(end=turn), before, _MIX),
        *_fraud(town, rng, whole._replace(start=turn), fraud - before, _DRIFTED_MIX),
        _spree(town, rng, whole, round(rows * _SPREE_SHARE)),
        _gaming(town, rng, whole, round(rows * _GAMING_SHARE)),
    )


def _fraud(town: Town, rng: Generator, period: Period, count: int, mix: Mapping[int, float]) -> list[Payments]:
    """`count` fraudulent payments, divided among the kinds of fraud as `mix` says."""
    if not count:
        return []
    ends = np.rint(count * np.cumsum(list(mix.values()))).astype(int)
    numbers = np.diff(ends, prepend=0).tolist()
    made = [_SCENARIOS[kind](town, rng, period, number) for kind, number in zip(mix, numbers, strict=True)]
    for kind, payments in zip(mix, made, strict=True):
        payments.kind[:] = kind
    return made


def _stolen(town: Town, rng: Generator, period: Period, count: int) -> Payments:
    """A stolen card: within hours, large amounts, at terminals its owner never goes to."""
    return _shopping(town, rng, period, count, _THIEF)


def _spree(town: Town, rng: Generator, period: Period, count: int) -> Payments:
    """An honest day of shopping: as fast as a thief, though less dear."""
    return _shopping(town, rng, period, count, _SHOPPER)


def _shopping(town: Town, rng: Generator, period: Period, count: int, dearness: float) -> Payments:
    lengths = _lengths(rng, count, 3, 8)
    spells = _spells(rng, period, lengths, town.clock(rng, len(lengths)), pause=1.2 * HOUR)
    card = town.somebody(rng, len(lengths))[spells.spell]
    dear = town.deck(categories_where(lambda each: each.mcc in (ELECTRONICS, JEWELLERY) or each.channel == "online"))
    terminal = np.where(rng.random(count) < 0.5, town.somewhere(rng, count, dear), town.somewhere(rng, count))
    amount = np.exp(_USUAL + town.spend[card] + rng.normal(dearness, 0.6, count))
    return _payments(spells.time, card, terminal, amount)


def _testing(town: Town, rng: Generator, period: Period, count: int) -> Payments:
    """A stolen number is tried online with tiny amounts, minutes apart, then used once for a big one."""
    lengths = _lengths(rng, count, 4, 9)
    spells = _spells(rng, period, lengths, rng.integers(0, DAY, len(lengths)), pause=HOUR / 15)
    card = town.somebody(rng, len(lengths))[spells.spell]
    terminal = town.somewhere(rng, count, town.deck(categories_where(lambda each: each.channel == "online")))
    amount = np.where(spells.last, np.exp(town.spend[card] + rng.normal(5, 0.6, count)), rng.uniform(0.2, 1.5, count))
    return _payments(spells.time, card, terminal, amount)


def _gaming(town: Town, rng: Generator, period: Period, count: int) -> Payments:
    """An honest evening of small purchases in one game, minutes apart."""
    lengths = _lengths(rng, count, 3, 8)
    spells = _spells(rng, period, lengths, town.clock(rng, len(lengths)), pause=HOUR / 8)
    card = town.somebody(rng, len(lengths))[spells.spell]
    online = town.deck(categories_where(lambda each: each.channel == "online"))
    terminal = town.somewhere(rng, len(lengths), online)[spells.spell]
    return _payments(spells.time, card, terminal, rng.lognormal(1.6, 0.8, count))


def _compromised(town: Town, rng: Generator, period: Period, count: int) -> Payments:
    """A skimmed terminal: for some weeks its customers are robbed there, in amounts a little above the usual."""
    fewest = 3
    enough = count // fewest + 1
    place = rng.integers(0, len(town.category), enough)
    length = rng.integers(14 * DAY, 35 * DAY, enough)
    begin = period.start - length + (_evenly(rng, enough) * (period.end - period.start + length)).astype("i8")
    start, end = np.maximum(begin, period.start), np.minimum(begin + length, period.end)
    honest = town.traffic()[place] * period.per_day * (end - start) / DAY
    spell = _numbered(np.maximum(np.rint(_FRAUD_PER_PAYMENT * honest), fewest).astype("i8"), count)
    terminal = place[spell]
    time = rng.integers(start[spell], end[spell]) // DAY * DAY + town.clock(rng, count)
    card = town.customer(rng, terminal)
    return _payments(time, card, terminal, town.prices(rng, card, terminal) * rng.lognormal(0.4, 0.4, count))


def _takeover(town: Town, rng: Generator, period: Period, count: int) -> Payments:
    """Somebody else pays in the owner's name, by night: usual terminals, usual amounts."""
    lengths = _lengths(rng, count, 3, 7)
    spells = _spells(rng, period, lengths, rng.integers(0, 4 * HOUR, len(lengths)), pause=0.7 * HOUR)
    card = town.somebody(rng, len(lengths))[spells.spell]
    terminal = town.favourite(rng, card, most=4)
    return _payments(spells.time, card, terminal, town.prices(rng, card, terminal))


_SCENARIOS: dict[int, Callable[[Town, Generator, Period, int], Payments]] = {
    _STOLEN: _stolen,
    _TESTING: _testing,
    _COMPROMISED: _compromised,
    _TAKEOVER: _takeover,
}


def _payments(time: Array, card: Array, terminal: Array, amount: Array) -> Payments:
    return Payments(time, card, terminal.astype("i4"), amount.astype("f4"), np.zeros(len(time), "i1"))


def _evenly(rng: Generator, count: int) -> Array:
    """Numbers in [0, 1) of which any first few lie evenly: steps of the golden ratio. A sample has few skimmed
    terminals, and at random they would make quiet months and loud ones."""
    return np.asarray((rng.random() + np.arange(count) * 0.6180339887498949) % 1)


def _lengths(rng: Generator, count: int, low: int, high: int) -> Array:
    """Lengths of spells, `low` to `high` each but for a shorter last one; together `count`."""
    spell = _numbered(rng.integers(low, high + 1, count // low + 1), count)
    return np.bincount(spell)


def _numbered(lengths: Array, count: int) -> Array:
    """The number of its spell for each of the first `count` payments in spells of these lengths."""
    return np.asarray(np.searchsorted(np.cumsum(lengths), np.arange(count), side="right"))


def _spells(rng: Generator, period: Period, lengths: Array, clock: Array, pause: float) -> Spells:
    """Spells that lie within the period, start at these times of day, and pause this long on average (microseconds)."""
    spell = np.repeat(np.arange(len(lengths)), lengths)
    end = np.cumsum(lengths)
    elapsed = np.cumsum(rng.exponential(pause, len(spell)).astype("i8"))
    elapsed -= elapsed[end - lengths][spell]
    start = rng.integers(period.start // DAY, period.end // DAY, len(lengths)) * DAY + clock
    beyond = start + elapsed[end - 1] - period.end
    start -= np.maximum(beyond // DAY + 1, 0) * DAY  # what would end too late begins whole days earlier
    last = np.zeros(len(spell), bool)
    last[end - 1] = True
    return Spells(spell, start[spell] + elapsed, last)

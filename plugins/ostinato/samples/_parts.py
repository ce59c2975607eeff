"""From a recipe to tables: the sample of transactions part by part, with the truth about each part beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.random import Generator, default_rng

from ..errors import ParameterError
from ._broken import REASONS, Planted, plant, spoil
from ._cards import (
    CATEGORIES,
    CHANNELS,
    COUNTRIES,
    CURRENCIES,
    CURRENCY_OF_COUNTRY,
    DAY,
    HOUR,
    Array,
    Payments,
    Town,
    busyness,
    ordinary,
)
from ._fraud import KINDS, planned

ROWS_PER_PART = 1_000_000
START = datetime(2026, 1, 1)  # fixed: a sample that looked at the clock would differ from day to day
_START = np.datetime64(START, "us").astype("i8")  # microseconds since 1970
_LABEL_DELAY = 4 * DAY, 0.4  # median, and sigma of its logarithm: nine labels in ten arrive within a week
_TOWN, _HOURS, _HONEST, _LABELS, _SPOILED = range(5)


@dataclass(frozen=True)
class Recipe:
    """All that decides what the sample looks like."""

    rows: int
    seed: int
    days: int
    drift: bool
    broken: float

    def __post_init__(self) -> None:
        if self.rows < 1000:
            raise ParameterError(f"rows={self.rows} is too few for fraud to show. Ask for 1000 rows or more.")
        if self.seed < 0:
            raise ParameterError(f"seed={self.seed} is negative. Write a whole number of 0 or more.")
        if not 40 <= self.days <= 3650:
            raise ParameterError(
                f"days={self.days} is not between 40 and 3650: a training window, a test window and the delay of the "
                "labels need 40. Ask for 120, say."
            )
        if not 0 <= self.broken <= 0.5:
            raise ParameterError(f"broken={self.broken} is not a share between 0 and 0.5. For 1 % write 0.01.")

    def dice(self, *use: int) -> Generator:
        """Random numbers for one use: drawing more of them for one thing changes nothing else."""
        return default_rng([self.seed, *use])

    def broken_until(self, row: int) -> int:
        """How many of the first `row` rows are broken."""
        return round(self.broken * self.rows * (row / self.rows))


@dataclass(frozen=True)
class Part:
    """Consecutive rows of the table, the truth about them, and the times of the first and the last."""

    table: pa.Table
    fraud: pa.Table
    broken: pa.Table
    first: datetime
    last: datetime


def parts(recipe: Recipe) -> Iterator[Part]:
    """The table in parts of whole hours, about ROWS_PER_PART rows each, of which only one is in memory at a time."""
    town = Town.built(recipe.dice(_TOWN, 0), recipe.rows, recipe.days)
    plan = planned(town, recipe.dice(_TOWN, 1), recipe.rows, recipe.days, recipe.drift)
    hourly = recipe.dice(_HOURS).multinomial(recipe.rows - len(plan), busyness(recipe.days))
    row = 0
    for start, end in _hours_of_parts(hourly):
        honest = ordinary(town, recipe.dice(_HONEST, start), start, hourly[start:end])
        payments = honest.merged(plan.between(start * HOUR, end * HOUR))
        yield _part(recipe, town, payments, row)
        row += len(payments)


def _hours_of_parts(hourly: Array) -> Iterator[tuple[int, int]]:
    """The first hour of each part and the one after its last; the parts are about equally large."""
    before, rows = np.cumsum(hourly) - hourly, hourly.sum()
    count = max(round(rows / ROWS_PER_PART), 1)
    part = np.minimum(before * count // rows, count - 1)  # empty hours at the end belong to the last part
    starts = np.flatnonzero(np.diff(part, prepend=-1)).tolist()
    return zip(starts, [*starts[1:], len(hourly)], strict=True)


def _part(recipe: Recipe, town: Town, payments: Payments, row: int) -> Part:
    """The payments as the part of the table that begins with this `row`, counted from 0."""
    end = row + len(payments)
    columns = {
        "tx_id": np.arange(row + 1, end + 1),
        "ts": payments.time + _START,
        "amount": np.maximum(np.rint(payments.amount.astype("f8") * 100), 1) / 100,
        "is_fraud": (payments.kind > 0).astype("i2"),
    }
    missing = {name: np.zeros(len(payments), bool) for name in ("card_id", "terminal_id", "amount")}
    honest = np.flatnonzero(payments.kind == 0)
    planted = plant(recipe.dice(_SPOILED, row), honest, recipe.broken_until(end) - recipe.broken_until(row))
    spoil(columns, missing, planted)
    fraud = np.flatnonzero(payments.kind)
    return Part(
        table=_table(town, payments, columns, missing, _reported(recipe.dice(_LABELS, row), payments, fraud)),
        fraud=pa.table({"tx_id": pa.array(columns["tx_id"][fraud]), "kind": _words(payments.kind[fraud], KINDS)}),
        broken=_broken_truth(columns["tx_id"], planted, row),
        first=START + timedelta(microseconds=int(payments.time[0])),
        last=START + timedelta(microseconds=int(payments.time[-1])),
    )


def _reported(rng: Generator, payments: Payments, fraud: Array) -> Array:
    """When each fraud was reported, in microseconds since 1970; 0 where there was none."""
    median, sigma = _LABEL_DELAY
    reported = np.zeros(len(payments), "i8")
    reported[fraud] = payments.time[fraud] + rng.lognormal(np.log(median), sigma, len(fraud)).astype("i8") + _START
    return reported


def _table(
    town: Town, payments: Payments, columns: dict[str, Array], missing: dict[str, Array], reported: Array
) -> pa.Table:
    country, category = town.country[payments.terminal], town.category[payments.terminal]
    channel = np.array([CHANNELS.index(each.channel) for each in CATEGORIES], "i1")
    mcc = np.array([each.mcc for each in CATEGORIES], "i2")
    return pa.table(
        {
            "tx_id": pa.array(columns["tx_id"]),
            "ts": pa.array(columns["ts"], pa.timestamp("us")),
            "card_id": pa.array(payments.card.astype("i8") + 1, mask=missing["card_id"]),
            "terminal_id": pa.array(payments.terminal.astype("i8") + 1, mask=missing["terminal_id"]),
            "amount": pa.array(columns["amount"], mask=missing["amount"]),
            "is_fraud": pa.array(columns["is_fraud"]),
            "fraud_reported_at": pa.array(reported, pa.timestamp("us"), mask=payments.kind == 0),
            "currency": _words(CURRENCY_OF_COUNTRY[country], CURRENCIES),
            "country": _words(country, COUNTRIES),
            "channel": _words(channel[category], CHANNELS),
            "mcc": pa.array(mcc[category]),
        }
    )


def _broken_truth(ids: Array, planted: Planted, row: int) -> pa.Table:
    """The broken rows by their place in the whole table, counted from 0: an id may be there twice."""
    place, reason = pa.array(planted.rows + row), _words(planted.reasons, REASONS)
    return pa.table({"tx_id": pa.array(ids[planted.rows]), "row": place, "reason": reason})


def _words(positions: Array, words: tuple[str, ...]) -> pa.DictionaryArray[Any, Any]:
    return pa.DictionaryArray.from_arrays(pa.array(positions, pa.int8()), pa.array(words))

"""From a recipe to tables: the sample of transactions part by part, with the truth about each part beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from . import _recipe
from ._broken import REASONS, Planted, plant, spoil
from ._cards import (
    CATEGORIES,
    CHANNELS,
    COUNTRIES,
    CURRENCIES,
    CURRENCY_OF_COUNTRY,
    HOURS,
    WEEKDAYS,
    Payments,
    Town,
    ordinary,
)
from ._fraud import KINDS, planned
from ._recipe import DAY, EPOCH, HOUR, START, Array, busyness, stretches, words
from ._writing import BROKEN, Part

ROWS_PER_PART = 1_000_000
_LABEL_DELAY = 4 * DAY, 0.4  # median, and sigma of its logarithm: nine labels in ten arrive within a week
_TOWN, _HOURS, _HONEST, _LABELS, _SPOILED = range(5)


class Recipe(_recipe.Recipe):
    """All that decides what the sample looks like."""

    SHOWS: ClassVar[str] = "fraud"
    NEEDS: ClassVar[str] = "a training window, a test window and the delay of the labels"


def parts(recipe: Recipe) -> Iterator[Part]:
    """The table in parts of whole hours, about ROWS_PER_PART rows each, of which only one is in memory at a time."""
    town = Town.built(recipe.dice(_TOWN, 0), recipe.rows, recipe.days)
    plan = planned(town, recipe.dice(_TOWN, 1), recipe.rows, recipe.days, recipe.drift)
    hourly = recipe.dice(_HOURS).multinomial(recipe.rows - len(plan), busyness(recipe.days, HOURS, WEEKDAYS))
    row = 0
    for start, end in stretches(hourly, ROWS_PER_PART):
        honest = ordinary(town, recipe.dice(_HONEST, start), start, hourly[start:end])
        payments = honest.merged(plan.between(start * HOUR, end * HOUR))
        yield _part(recipe, town, payments, row)
        row += len(payments)


def _part(recipe: Recipe, town: Town, payments: Payments, row: int) -> Part:
    """The payments as the part of the table that begins with this `row`, counted from 0."""
    end = row + len(payments)
    columns = {
        "tx_id": np.arange(row + 1, end + 1),
        "ts": payments.time + EPOCH,
        "amount": np.maximum(np.rint(payments.amount.astype("f8") * 100), 1) / 100,
        "is_fraud": (payments.kind > 0).astype("i2"),
    }
    missing = {name: np.zeros(len(payments), bool) for name in ("card_id", "terminal_id", "amount")}
    honest = np.flatnonzero(payments.kind == 0)
    planted = plant(recipe.dice(_SPOILED, row), honest, recipe.broken_until(end) - recipe.broken_until(row))
    spoil(columns, missing, planted)
    fraud = np.flatnonzero(payments.kind)
    truth = {"fraud": pa.table({"tx_id": columns["tx_id"][fraud], "kind": words(payments.kind[fraud], KINDS)})}
    if recipe.broken:
        truth[BROKEN] = _broken_truth(columns["tx_id"], planted, row)
    return Part(
        table=_table(town, payments, columns, missing, _reported(recipe.dice(_LABELS, row), payments, fraud)),
        truth=truth,
        first=START + timedelta(microseconds=int(payments.time[0])),
        last=START + timedelta(microseconds=int(payments.time[-1])),
    )


def _reported(rng: Generator, payments: Payments, fraud: Array) -> Array:
    """When each fraud was reported, in microseconds since 1970; 0 where there was none."""
    median, sigma = _LABEL_DELAY
    reported = np.zeros(len(payments), "i8")
    reported[fraud] = payments.time[fraud] + rng.lognormal(np.log(median), sigma, len(fraud)).astype("i8") + EPOCH
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
            "currency": words(CURRENCY_OF_COUNTRY[country], CURRENCIES),
            "country": words(country, COUNTRIES),
            "channel": words(channel[category], CHANNELS),
            "mcc": pa.array(mcc[category]),
        }
    )


def _broken_truth(ids: Array, planted: Planted, row: int) -> pa.Table:
    """The broken rows by their place in the whole table, counted from 0: an id may be there twice."""
    place, reason = pa.array(planted.rows + row), words(planted.reasons, REASONS)
    return pa.table({"tx_id": pa.array(ids[planted.rows]), "row": place, "reason": reason})

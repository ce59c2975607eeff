"""Rows spoiled on purpose, and the truth about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ._recipe import FAR_FUTURE, Array

REASONS = (
    "duplicate_id",  # both rows of a pair: a rule of uniqueness cannot know which came first
    "null_card",
    "null_terminal",
    "null_amount",
    "nan_amount",
    "negative_amount",
    "bad_label",
    "future_time",
)
_IN_TURN = np.array([0, 0, *range(1, len(REASONS))])  # duplicates come in twos
BAD_LABEL = 7


@dataclass(frozen=True)
class Planted:
    """Which rows of a part are spoiled, in order, and how: positions in REASONS."""

    rows: Array
    reasons: Array

    def rows_with(self, reason: str) -> Array:
        """The spoiled rows with this reason."""
        return np.asarray(self.rows[self.reasons == REASONS.index(reason)])


def plant(rng: Generator, honest: Array, count: int) -> Planted:
    """Choose `count` of the `honest` rows. Fraud is never spoiled, so that its count and truth stay exact."""
    reasons = _IN_TURN[np.arange(count) % len(_IN_TURN)]
    if np.count_nonzero(reasons == 0) % 2:
        reasons[-1] = 1  # the last one found no twin
    rows = rng.choice(honest, count, replace=False)
    order = np.argsort(rows)
    return Planted(rows[order], reasons[order])


def spoil(columns: Mapping[str, Array], missing: Mapping[str, Array], planted: Planted) -> None:
    """Spoil the planted rows in place; `missing` says per column which values are null."""
    twins = planted.rows_with("duplicate_id")
    columns["tx_id"][twins[1::2]] = columns["tx_id"][twins[::2]]
    for column in missing:
        missing[column][planted.rows_with(f"null_{column.removesuffix('_id')}")] = True
    columns["amount"][planted.rows_with("nan_amount")] = np.nan
    negative = planted.rows_with("negative_amount")
    columns["amount"][negative] *= -1
    columns["is_fraud"][planted.rows_with("bad_label")] = BAD_LABEL
    future = planted.rows_with("future_time")
    columns["ts"][future] += FAR_FUTURE - columns["ts"][0]

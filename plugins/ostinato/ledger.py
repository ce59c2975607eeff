"""The ledger of promotions: who became champion, why, on what evidence. Pure functions over its entries."""

from __future__ import annotations

from dataclasses import dataclass

from .artifacts import Model


@dataclass(frozen=True)
class Champion:
    """The version in place: the ledger's `entry` that says so, its `version`, and the `model` to load."""

    entry: int
    version: str
    model: Model

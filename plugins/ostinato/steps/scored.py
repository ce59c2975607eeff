"""Rows of a test with their labels, and what a model's scores on them come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ostinato.tables import timestamp

from . import frames, measures

if TYPE_CHECKING:
    import pyarrow

MOST_DAYS = 31  # that are listed; all of them count
OF_ROWS = ("rows", "positives", "base_rate", "cost_of_doing_nothing")  # metrics that say nothing of a model


@dataclass(frozen=True)
class Asked:
    """What the measures need to know: cards a day, the share of false alarms, what a review costs."""

    k: int
    rate: float
    review_cost: float

    def metrics(self, entity: bool, amount: bool) -> list[str]:
        """The names of the metrics there may be."""
        names = ["rows", "positives", "base_rate", "average_precision", "roc_auc", f"recall_at_fpr_{self.rate:g}"]
        names += [f"card_precision_at_{self.k}"] if entity else []
        names += ["cost", "cost_of_doing_nothing", "alerts", "cost_saved_share"] if amount else []
        return [*names, "calibration_error"]


@dataclass(frozen=True)
class Rows:
    """The rows of a test: 0 or 1, days since 1970, cards as numbers and money, where there are some."""

    label: Any
    days: Any
    cards: Any
    money: Any
    facts: Mapping[str, Any]

    @classmethod
    def read(
        cls, table: pyarrow.Table, where: str, *, label: str, time: str, entity: str | None, amount: str | None
    ) -> Rows:
        """The columns of a table; `facts` tell how many rows there are, and from when until when."""
        import pyarrow.compute as pc

        target, days = frames.labels(table, label, where), frames.days(table, time, where)
        ends: Any = pc.min_max(table[time]).as_py()
        return cls(
            target,
            days,
            frames.codes(table, entity) if entity else None,
            frames.floats(table, amount) if amount else None,
            {"count": len(table), "from": _text(ends["min"]), "until": _text(ends["max"])},
        )

    @property
    def positives(self) -> int:
        return int(self.label.sum())

    def __len__(self) -> int:
        return len(self.label)


def _text(moment: Any) -> str | None:
    if moment is None:
        return None
    whole = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
    return timestamp(whole)


@dataclass(frozen=True)
class Scored:
    """A model's scores on the rows of a test, and the metrics that are defined on them."""

    scores: Any
    ranking: measures.Ranking
    metrics: Mapping[str, float]
    by_day: Mapping[int, float]
    bins: list[measures.Bin] | None
    risks: Sequence[measures.Bin] = ()  # bins that should hold as many positives each

    @classmethod
    def of(cls, scores: Any, rows: Rows, asked: Asked, *, probabilities: bool) -> Scored:
        """Measure scores; only of probabilities calibration is asked."""
        ranking = measures.rank(rows.label, scores)
        bins = measures.calibration(rows.label, scores) if probabilities else None
        metrics: dict[str, float] = {
            "rows": len(rows),
            "positives": ranking.positives,
            "base_rate": ranking.positives / len(rows) if len(rows) else math.nan,
            "average_precision": measures.average_precision(ranking),
            "roc_auc": measures.roc_auc(ranking),
            f"recall_at_fpr_{asked.rate:g}": measures.recall_at_false_positive_rate(ranking, asked.rate),
        }
        by_day: dict[int, float] = {}
        if rows.cards is not None and ranking.positives:
            by_day = measures.card_precision_at_k(rows.label, scores, rows.days, rows.cards, asked.k)
            metrics[f"card_precision_at_{asked.k}"] = math.fsum(by_day.values()) / len(by_day)
        if rows.money is not None and ranking.positives:
            cost = measures.cheapest(ranking, rows.label, rows.money, asked.review_cost)
            metrics |= {"cost": cost.cost, "cost_of_doing_nothing": cost.nothing, "alerts": cost.alerts}
            metrics["cost_saved_share"] = cost.saved_share
        if bins:
            metrics["calibration_error"] = measures.calibration_error(bins)
        known = {name: value for name, value in metrics.items() if math.isfinite(value)}
        risks = measures.calibration(rows.label, scores, weight=scores) if probabilities else ()
        return cls(scores, ranking, known, by_day, bins, risks)

    @property
    def own(self) -> dict[str, float]:
        """The metrics that say something of the model, not of the rows."""
        return {name: value for name, value in self.metrics.items() if name not in OF_ROWS}

    def daily(self, rows: Rows) -> list[dict[str, Any]]:
        """What each of the last days had."""
        import numpy as np

        found, index = np.unique(rows.days, return_inverse=True)
        count, positives = np.bincount(index), np.bincount(index, weights=rows.label)
        listed = []
        for place in range(max(0, len(found) - MOST_DAYS), len(found)):
            day = int(found[place])
            one = {"day": str(np.datetime64(day, "D")), "rows": int(count[place]), "positives": int(positives[place])}
            listed.append({**one, "card_precision": self.by_day[day]} if day in self.by_day else one)
        return listed

"""How good scores are: pure functions over arrays.

A label is 0 or 1, a score is any finite number, higher meaning more suspicious. What is not defined, such as recall
without a positive, is NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

NAN = float("nan")


class Ranking(NamedTuple):
    """Rows by falling score. At each distinct score: how many rows have at least it, and how many are positive."""

    order: Array
    ends: Array
    alerts: Array
    caught: Array

    @property
    def positives(self) -> int:
        return int(self.caught[-1]) if len(self.caught) else 0

    @property
    def negatives(self) -> int:
        return len(self.order) - self.positives


def rank(label: Array, score: Array) -> Ranking:
    """Sort once; most measures read the result."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    falling = score[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = falling[1:] != falling[:-1]
    ends = np.flatnonzero(last)
    return Ranking(order, ends, ends + 1, np.cumsum(label[order], dtype=np.int64)[ends])


def average_precision(ranking: Ranking) -> float:
    """Precision at every distinct score, weighted by the recall gained there (as scikit-learn defines it)."""
    import numpy as np

    if not ranking.positives:
        return NAN
    gained = np.diff(ranking.caught, prepend=0)
    return float(np.sum(gained * (ranking.caught / ranking.alerts)) / ranking.positives)


def roc_auc(ranking: Ranking) -> float:
    """The chance that a positive scores above a negative; ties count half."""
    import numpy as np

    if not ranking.positives or not ranking.negatives:
        return NAN
    false = np.diff(ranking.alerts - ranking.caught, prepend=0)
    before = np.concatenate(([0], ranking.caught[:-1]))
    return float(np.sum(false * ((before + ranking.caught) / 2)) / ranking.positives / ranking.negatives)


def recall_at_false_positive_rate(ranking: Ranking, rate: float) -> float:
    """The largest share of positives found by a threshold that flags at most `rate` of the negatives."""
    import numpy as np

    if not ranking.positives or not ranking.negatives:
        return NAN
    allowed = int(np.count_nonzero((ranking.alerts - ranking.caught) / ranking.negatives <= rate))
    return float(ranking.caught[allowed - 1] / ranking.positives) if allowed else 0.0


class Cost(NamedTuple):
    """The cheapest threshold: `cost` is money missed plus money spent on `alerts`; `nothing` is all fraud missed."""

    cost: float
    nothing: float
    alerts: int

    @property
    def saved_share(self) -> float:
        return 1 - self.cost / self.nothing if self.nothing > 0 else NAN


def cheapest(ranking: Ranking, label: Array, amount: Array, review_cost: float) -> Cost:
    """The least that fraud and its reviews can cost, over all thresholds; flagging nothing is one of them.

    Args:
        amount: money per row; missing or negative counts as none.
        review_cost: money per row that is flagged.
    """
    import numpy as np

    at_risk = np.where(label[ranking.order] > 0, np.nan_to_num(amount[ranking.order]).clip(min=0), 0.0)
    saved = np.cumsum(at_risk)
    nothing = float(saved[-1]) if len(saved) else 0.0
    costs = np.concatenate(([nothing], nothing - saved[ranking.ends] + review_cost * ranking.alerts))
    best = int(np.argmin(costs))
    return Cost(float(costs[best]), nothing, int(ranking.alerts[best - 1]) if best else 0)


def card_precision_at_k(label: Array, score: Array, day: Array, card: Array, k: int) -> dict[int, float]:
    """Of the k most suspicious cards of each day, the share that is compromised, by day.

    As the Fraud Detection Handbook defines it: a card's score and label are its highest of the day, a card that was
    found compromised is blocked and leaves all later days, and the divisor is k even where fewer cards are left.
    Equal scores are taken in the order of `card`.
    """
    import numpy as np

    order = np.lexsort((card, day))
    day, card = day[order], card[order]
    if not len(order):
        return {}
    starts = np.flatnonzero(np.concatenate(([True], (day[1:] != day[:-1]) | (card[1:] != card[:-1]))))
    card_score = np.maximum.reduceat(score[order], starts)
    card_label = np.maximum.reduceat(label[order], starts)
    days, cards = day[starts], np.unique(card[starts], return_inverse=True)[1]

    blocked = np.zeros(int(cards.max()) + 1, dtype=bool)
    precision: dict[int, float] = {}
    edges = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1], [True])))
    for start, end in itertools.pairwise(edges):
        rows = np.arange(start, end)[~blocked[cards[start:end]]]
        top = rows[np.lexsort((cards[rows], -card_score[rows]))[:k]]
        found = cards[top[card_label[top] > 0]]
        blocked[found] = True
        precision[int(days[start])] = len(found) / k
    return precision


def precision_recall(ranking: Ranking, most: int = 200) -> list[list[float]]:
    """Recall and precision at falling thresholds: `most` of them at most, from the first found to the last."""
    import numpy as np

    if not ranking.positives:
        return []
    gained = np.flatnonzero(np.diff(ranking.caught, prepend=0))
    if len(gained) > most:
        wanted = np.linspace(ranking.caught[gained[0]], ranking.positives, most)
        gained = np.unique(gained[np.searchsorted(ranking.caught[gained], wanted)])
    recall = ranking.caught[gained] / ranking.positives
    precision = ranking.caught[gained] / ranking.alerts[gained]
    return [[round(float(at), 6), round(float(value), 6)] for at, value in zip(recall, precision, strict=True)]


class Bin(NamedTuple):
    """Rows that were given about the same probability: the one given on average, the share that is positive."""

    predicted: float
    observed: float
    rows: int


def calibration(label: Array, probability: Array, bins: int = 10, *, weight: Array | None = None) -> list[Bin]:
    """Rows in bins of equal weight by rising probability; rows of equal probability share a bin.

    Args:
        weight: of each row, 1 by default. With the probability itself each bin should hold as many positives, which
            shows the rare where the many would hide it.
    """
    import numpy as np

    if not len(label):
        return []
    order = np.argsort(probability, kind="stable")
    reached = np.cumsum(np.ones(len(label)) if weight is None else weight[order])
    edges = np.unique(probability[order][np.searchsorted(reached, reached[-1] * np.arange(1, bins) / bins)])
    place = np.searchsorted(edges, probability, side="left")
    rows, found = np.bincount(place), np.unique(place)
    told, positive = np.bincount(place, probability), np.bincount(place, label)
    return [Bin(float(told[at] / rows[at]), float(positive[at] / rows[at]), int(rows[at])) for at in found]


def calibration_error(bins: Sequence[Bin]) -> float:
    """By how much probabilities are off, on average over the rows (expected calibration error)."""
    rows = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.predicted - each.observed) for each in bins) / rows if rows else NAN

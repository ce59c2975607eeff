"""How good scores are: pure functions over arrays.

A label is 0 or 1, a score is any finite number, higher meaning more suspicious. What is not defined, such as recall
without a positive, is NaN.
"""

from __future__ import annotations

import itertools
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


def lift_lower_bound(
    label: Array, score: Array, group: Array, *, replicates: int = 500, level: float = 0.05, seed: int = 0
) -> float:
    """The lower end of how much average precision exceeds the base rate, by the basic bootstrap.

    Whole groups (days: their rows are not independent) are drawn again with Poisson weights. A positive drawn twice
    helps itself, so that replicates lie too high: of scores that are pure noise a third would pass by their lower
    quantile. The basic bootstrap turns the distribution around, and about one in twenty passes.

    Returns:
        Twice the lift minus the upper `level` quantile of the replicates' lifts.
    """
    import numpy as np

    positive = label > 0
    cuts = np.unique(score[positive])[::-1]
    group = np.unique(group, return_inverse=True)[1]
    groups = int(group.max()) + 1 if len(group) else 0
    if not len(cuts) or positive.all():
        return NAN
    # Counts per group at each positive's score are all that is needed: a replicate is a product of small matrices.
    rows = np.bincount(group, minlength=groups).astype(float)
    alerts = np.empty((len(cuts), groups))
    caught = np.empty((len(cuts), groups))
    for each in range(groups):
        mine = group == each
        alerts[:, each] = _at_least(score[mine], cuts)
        caught[:, each] = _at_least(score[mine & positive], cuts)

    def lifts(weights: Array) -> Array:
        weights = weights[:, caught[-1] @ weights > 0]
        found = caught @ weights
        precision = found / np.maximum(alerts @ weights, 1.0)
        average: Array = np.sum(np.diff(found, axis=0, prepend=0.0) * precision, axis=0) / found[-1]
        base_rate: Array = found[-1] / (rows @ weights)
        return average - base_rate

    drawn = np.random.default_rng(seed).poisson(1.0, (groups, replicates)).astype(float)
    at_once = max(1, 4_000_000 // len(cuts))  # of a few dozen megabytes
    drawn_lifts = [lifts(drawn[:, start : start + at_once]) for start in range(0, replicates, at_once)]
    lift = lifts(np.ones((groups, 1)))[0]
    return float(2 * lift - np.quantile(np.concatenate(drawn_lifts), 1 - level))


def _at_least(score: Array, cuts: Array) -> Array:
    """How many scores are at least each cut."""
    import numpy as np

    return len(score) - np.searchsorted(np.sort(score), cuts, side="left")

"""How far average precision may be off: the paired Poisson bootstrap, exact and quick.

A replicate weighs each block of rows (a row, a day, a card) by a draw from the Poisson distribution of mean 1, the
same for all models. Only rows' places among the positives' scores matter, so rows are binned there once; a replicate
is then a column of a product of small matrices, and a running sum over the bins gives its average precision.

**What is a block, and which bound.** Rows of a day, and rows of a card, are alike: whole days make one model look
better than another, and so do a few cards. Of 2,000 simulated pairs of equal models (20,000 rows of seven days, 200
frauds on 66 cards; beside a noise of 0.5 each model is off by 0.3 for each day, by 0.7 for each card) the bound at a
nominal 5 % calls the candidate better in so many percent:

| blocks         | bound     | no effects | of days | of cards | of both |
|----------------|-----------|-----------:|--------:|---------:|--------:|
| rows           | basic     |        5.6 |    24.9 |     13.9 |    20.0 |
| days           | basic     |        7.9 |     8.6 |     15.2 |    11.8 |
| days           | Student's |        3.9 |     4.0 |      9.4 |     6.6 |
| cards          | basic     |        5.9 |    25.2 |      6.5 |    12.3 |
| cards          | Student's |        4.7 |    24.0 |      5.3 |    11.9 |
| days and cards | Student's |        1.8 |     3.9 |      2.6 |     3.1 |

Of candidates that are worse by exactly the margin as many are called not worse. So days and cards are taken together
(`evaluate`'s block="auto"): the variance is that of days and that of cards less that of rows, which is in both
(Cameron, Gelbach and Miller's two-way clustering), never less than either; the bound is Student's, its degrees of
freedom one less than the days or the cards with a positive, whichever are fewer. Of less than five days nothing can be
learned about days: then cards alone are drawn, or rows, and days that differ go unseen.

**Better than the base rate** is another matter: a positive drawn twice helps itself, so that replicates lie too high,
and by their lower quantile 7 to 31 % of the scores that are pure noise would pass. The basic bootstrap turns the
distribution around. By days alone up to 8 % of the noise that has a level for each card still passes, by the lower
of the bounds by days and by cards less than 1 %.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

FEWEST_DAYS = 5  # to draw days from
_WEIGHTS_AT_ONCE = 1 << 18  # a megabyte: what stays in a core's cache
_COUNTS_AT_ONCE = 1 << 23  # 64 megabytes a model
_COLUMNS_AT_ONCE = 64


class Drawn(NamedTuple):
    """Of each replicate: the average precision of each model (a row each) and the base rate; NaN without positives."""

    precision: Array
    base_rate: Array

    @property
    def difference(self) -> Array:
        """By how much the first model is better than the second."""
        found: Array = self.precision[0] - self.precision[1]
        return found

    @property
    def lift(self) -> Array:
        """By how much the first model is better than the base rate."""
        found: Array = self.precision[0] - self.base_rate
        return found


class Interval(NamedTuple):
    """A value and how low and how high it may really be."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """Replicates by what was drawn whole ("day", "entity", "row"), and how many blocks of it have a positive.

    Where there are two ways there is a third, rows, which stands for what both have in common.
    """

    ways: tuple[str, ...]
    drawn: Mapping[str, Drawn]
    blocks: Mapping[str, int]

    def interval(self, value: float, statistic: Callable[[Drawn], Array], level: float) -> Interval | None:
        """Student's interval around a difference of average precisions, `level` off at each end.

        None where all positives are in one block.
        """
        from scipy.special import stdtrit

        degrees = min(self.blocks[way] for way in self.ways) - 1
        if degrees < 1:
            return None
        variances = {way: self._variance(way, statistic) for way in self.drawn}
        variance = max(variances[way] for way in self.ways)
        if len(self.ways) > 1:
            variance = max(variance, sum(variances[way] for way in self.ways) - variances["row"])
        off = float(stdtrit(degrees, 1 - level)) * math.sqrt(variance)
        return Interval(value, max(value - off, -1.0), min(value + off, 1.0))

    def _variance(self, way: str, statistic: Callable[[Drawn], Array]) -> float:
        """That of the replicates, enlarged where there are few blocks."""
        blocks = self.blocks[way]
        return float(_known(statistic(self.drawn[way])).var(ddof=1)) * blocks / max(1, blocks - 1)

    def lower_bound(self, value: float, statistic: Callable[[Drawn], Array], level: float) -> float:
        """The lower end by the basic bootstrap: twice the value less the replicates' upper quantile."""
        import numpy as np

        found = [_known(statistic(self.drawn[way])) for way in self.ways]
        return min((float(2 * value - np.quantile(each, 1 - level)) for each in found if len(each)), default=math.nan)


def _known(values: Array) -> Array:
    import numpy as np

    found: Array = values[np.isfinite(values)]
    return found


def resample(
    label: Array, scores: Sequence[Array], blocks: Mapping[str, Array], *, replicates: int = 500, seed: int = 0
) -> Resampled:
    """Draw blocks of rows anew, in each way that is named.

    Args:
        label: 0 or 1.
        scores: of each model on the same rows.
        blocks: at most two ways to tell which rows belong together; equal numbers are one block.
    """
    import numpy as np

    rows = _binned(label, scores)
    ways = dict(blocks)
    if len(ways) > 1:
        ways["row"] = np.arange(len(label))
    drawn = {way: _draw(rows, block, replicates, seed) for way, block in ways.items()}
    held = {way: len(np.unique(block[rows.positive])) for way, block in ways.items()}
    return Resampled(tuple(blocks), drawn, held)


def draw(label: Array, scores: Sequence[Array], block: Array, *, replicates: int = 500, seed: int = 0) -> Drawn:
    """Weighted average precisions of models on the same rows, as scikit-learn defines them, `replicates` times.

    Args:
        label: 0 or 1.
        scores: of each model, finite, higher meaning more suspicious.
        block: what is drawn whole; equal numbers are one block.
        seed: of the weights; the same rows in the same blocks get the same.

    Raises:
        ValueError: a score is not a number.
    """
    return _draw(_binned(label, scores), block, replicates, seed)


class _Binned(NamedTuple):
    """Rows by what a replicate must know of them: positive or not, and for each model the cell and how many bins."""

    positive: Array
    cells: list[Array]
    bins: list[int]


def _binned(label: Array, scores: Sequence[Array]) -> _Binned:
    import numpy as np

    if any(not np.isfinite(score).all() for score in scores):
        raise ValueError("A score that is not a number has no place in a ranking.")
    positive = np.asarray(label) > 0
    cells = [_cells(positive, score) for score in scores]
    return _Binned(positive, [cell for cell, _ in cells], [count for _, count in cells])


def _cells(positive: Array, score: Array) -> tuple[Array, int]:
    """Each row's cell and how many bins there are: twice its bin by falling score, one more for a positive.

    A bin begins below a positive's score and reaches down to the next one's; rows below all of them are in cell -1.
    """
    import numpy as np

    cuts = np.unique(score[positive])
    bins = len(cuts) - np.searchsorted(cuts, score, side="right")
    return np.where(bins < len(cuts), 2 * bins + positive, -1), len(cuts)


def _draw(rows: _Binned, block: Array, replicates: int, seed: int) -> Drawn:
    import numpy as np

    found = Drawn(np.full((len(rows.cells), replicates), math.nan), np.full(replicates, math.nan))
    if not rows.positive.any():
        return found
    blocks, numbered = np.unique(block, return_inverse=True)
    order = np.argsort(numbered, kind="stable")
    numbered, positive = numbered[order], rows.positive[order]
    cells = [cell[order] for cell in rows.cells]
    edges = np.searchsorted(numbered, np.arange(len(blocks) + 1))
    size, caught = np.diff(edges).astype(np.float32), np.bincount(numbered, positive, len(blocks)).astype(np.float32)

    stream = np.random.SFC64(seed)
    width = max(1, min(replicates, _COUNTS_AT_ONCE // max(rows.bins)))
    for start in range(0, replicates, width):
        chosen = slice(start, min(start + width, replicates))
        wide = chosen.stop - start
        sums = [np.zeros((2 * bins, wide), np.float32) for bins in rows.bins]
        total, hits = np.zeros(wide), np.zeros(wide)
        for first, last, weights in _weights(stream, len(blocks), wide):
            mine = slice(edges[first], edges[last])
            total += size[first:last] @ weights
            hits += caught[first:last] @ weights
            for each, cell in zip(sums, cells, strict=True):
                _add(each, cell[mine], numbered[mine] - first, weights)
        with np.errstate(invalid="ignore"):
            found.base_rate[chosen] = np.where(hits > 0, hits / total, math.nan)
        for place, each in enumerate(sums):
            found.precision[place, chosen] = _average_precision(each)
    return found


def _weights(stream: Any, blocks: int, replicates: int) -> Iterator[tuple[int, int, Array]]:
    """Some blocks at a time, from the first to before the last, with their weights: a row each."""
    import numpy as np

    table = _poisson_table()
    at_once = max(1, _WEIGHTS_AT_ONCE // replicates)
    for first in range(0, blocks, at_once):
        last = min(first + at_once, blocks)
        wanted = (last - first) * replicates
        random = stream.random_raw(-(-wanted // 4)).view(np.uint16)[:wanted]
        yield first, last, np.take(table, random, mode="wrap").reshape(last - first, replicates)


@functools.cache
def _poisson_table() -> Array:
    """The Poisson distribution of mean 1 as 65,536 equally likely values.

    Half a billion draws by `Generator.poisson` take twelve seconds, by this table less than one.
    """
    import numpy as np

    below = np.cumsum([math.exp(-1) / math.factorial(value) for value in range(12)])
    return np.searchsorted(below, (np.arange(65_536) + 0.5) / 65_536).astype(np.float32)


def _add(sums: Array, cell: Array, block: Array, weights: Array) -> None:
    """Add the weights of rows to the sums of their cells."""
    import numpy as np
    from scipy.sparse import csr_array

    kept = np.flatnonzero(cell >= 0)
    if not len(kept):
        return
    kept = kept[np.argsort(cell[kept], kind="stable")]
    cell = cell[kept]
    starts = np.flatnonzero(np.concatenate(([True], cell[1:] != cell[:-1])))
    ones = np.ones(len(kept), np.float32)
    matrix = csr_array((ones, block[kept], np.append(starts, len(kept))), shape=(len(starts), len(weights)))
    sums[cell[starts]] += matrix @ weights


def _average_precision(sums: Array) -> Array:
    """Of each replicate, from its weights by cell (float32 holds whole numbers up to 16 million exactly)."""
    import numpy as np

    found = np.empty(sums.shape[1])
    for start in range(0, sums.shape[1], _COLUMNS_AT_ONCE):
        chosen = slice(start, start + _COLUMNS_AT_ONCE)
        gained = sums[1::2, chosen].astype(np.float64)
        alerts = np.cumsum(sums[::2, chosen] + gained, axis=0)
        caught = np.cumsum(gained, axis=0)
        with np.errstate(invalid="ignore"):
            found[chosen] = np.sum(gained * (caught / np.maximum(alerts, 1.0)), axis=0) / caught[-1]
    return found

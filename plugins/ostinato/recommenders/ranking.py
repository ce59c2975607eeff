"""How good lists of recommendations are: one number for each user and measure, on binary relevance.

nDCG by Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, gains 0 and 1, discount
log2(rank + 1), the ideal list holding as many relevant items as there are places for; precision, recall and average
precision by Manning, Raghavan and Schütze, "Introduction to Information Retrieval", chapter 8, average precision over
the first k ranks and divided by the relevant items there is room for; novelty as the mean self-information of what is
recommended, by Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hits(items: NDArray[Any], relevant: Any) -> NDArray[Any]:
    """Which recommended items are relevant: rows by ranks, true or false.

    Args:
        items: places, best first, -1 where there is none.
        relevant: the items each row's user took (CSR, over the same places, indices sorted).

    Raises:
        ValueError: they are not.
    """
    import numpy as np

    if not relevant.has_sorted_indices:
        raise ValueError("Items in no order would be looked up in vain: sort the indices of each row.")
    width = np.int64(max(1, relevant.shape[1]))
    rows = np.repeat(np.arange(relevant.shape[0], dtype=np.int64), np.diff(relevant.indptr))
    pairs = rows * width + relevant.indices  # in rising order, as the rows and the indices in each are
    wanted = np.arange(len(items), dtype=np.int64)[:, None] * width + items
    found: NDArray[Any] = (items >= 0) & _among(wanted, pairs)
    return found


def _among(wanted: NDArray[Any], rising: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if not len(rising):
        return np.zeros(wanted.shape, bool)
    at = np.searchsorted(rising, wanted)
    found: NDArray[Any] = rising[np.minimum(at, len(rising) - 1)] == wanted
    return found


def ndcg(hit: NDArray[Any], relevant: NDArray[Any]) -> NDArray[Any]:
    """Normalised discounted cumulative gain of each row.

    Args:
        hit: rows by ranks (see `hits`).
        relevant: how many items are relevant in each row, 1 or more.
    """
    import numpy as np

    k = hit.shape[1]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)
    found: NDArray[Any] = (hit @ discount) / ideal[np.minimum(relevant, k) - 1]
    return found


def recall(hit: NDArray[Any], relevant: NDArray[Any]) -> NDArray[Any]:
    """The share of the relevant items that was recommended."""
    found: NDArray[Any] = hit.sum(axis=1) / relevant
    return found


def precision(hit: NDArray[Any], relevant: NDArray[Any]) -> NDArray[Any]:
    """The share of the k places that hold a relevant item; empty places count as misses."""
    found: NDArray[Any] = hit.mean(axis=1)
    return found


def average_precision(hit: NDArray[Any], relevant: NDArray[Any]) -> NDArray[Any]:
    """The mean, over the relevant items there is room for, of the precision at the rank where each was found."""
    import numpy as np

    k = hit.shape[1]
    so_far = np.cumsum(hit, axis=1) / np.arange(1, k + 1)
    found: NDArray[Any] = (so_far * hit).sum(axis=1) / np.minimum(relevant, k)
    return found


def coverage(items: NDArray[Any], catalogue: int) -> float:
    """The share of the catalogue that is recommended to anybody."""
    import numpy as np

    shown = np.unique(items[items >= 0])
    return len(shown) / catalogue if catalogue else 0.0


def novelty(items: NDArray[Any], shares: NDArray[Any]) -> float:
    """The mean self-information in bits of what is recommended: -log2 of the share of users that took an item."""
    import numpy as np

    shown = items[items >= 0]
    known = shares[shown]
    return float(-np.log2(known[known > 0]).mean()) if (known > 0).any() else 0.0


def concentration(items: NDArray[Any], catalogue: int, points: int = 51) -> list[list[float]]:
    """How many of all recommendations go to which share of the catalogue, the most recommended items first."""
    import numpy as np

    counts = np.sort(np.bincount(items[items >= 0], minlength=catalogue))[::-1]
    running = np.concatenate(([0], np.cumsum(counts)))
    at = np.unique(np.linspace(0, len(counts), points).astype(int))
    total = max(1, int(running[-1]))
    return [[round(float(place / max(1, len(counts))), 4), round(float(running[place] / total), 4)] for place in at]

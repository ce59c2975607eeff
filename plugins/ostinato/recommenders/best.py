"""The best few of each row of scores, without sorting the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 64


def best_of(scores: NDArray[Any], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places and values of the k largest of each row, largest first, of equals the lower place; -1 for -inf.

    Only what reaches a bound need be sorted. A long row is cut into chunks: the k-th largest of the chunks' maxima is
    no larger than the k-th largest of the row, and found sooner.
    """
    import numpy as np

    rows, width = scores.shape
    items, values = np.full((rows, k), -1, np.int32), np.zeros((rows, k), np.float32)
    chunks = width // _CHUNK
    least = np.full(rows, -np.inf, scores.dtype)
    if chunks > k:
        highest = scores[:, : chunks * _CHUNK].reshape(rows, chunks, _CHUNK).max(axis=2)
        least = np.partition(highest, chunks - k, axis=1)[:, chunks - k]
    elif width > k:
        least = np.partition(scores, width - k, axis=1)[:, width - k]
    row, item = np.nonzero((scores >= least[:, None]) & (scores > -np.inf))
    value = scores[row, item]
    order = np.lexsort((-value, row))  # stable: of equals the lower place stays first
    row, item, value = row[order], item[order], value[order]
    nth = np.arange(len(row)) - np.searchsorted(row, row)
    kept = nth < k
    items[row[kept], nth[kept]], values[row[kept], nth[kept]] = item[kept], value[kept]
    return items, values

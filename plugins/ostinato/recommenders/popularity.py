"""The most popular items a user has not taken yet: the floor for every recommender, and what it falls back on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .histories import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def order_of(histories: Any) -> NDArray[Any]:
    """Items from the most to the least often taken; of equals the one with the lower place first."""
    import numpy as np

    counts = np.bincount(histories.indices, minlength=histories.shape[1])
    return np.argsort(-counts, kind="stable").astype(np.int32)


def most_popular(order: NDArray[Any], skip: Any, k: int) -> NDArray[Any]:
    """The first k items of an order that are not among the `skip` of each row (CSR); -1 where there are no more."""
    import numpy as np

    found = np.full((skip.shape[0], k), -1, np.int32)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    for chosen in blocks(skip.shape[0], k + int(np.diff(skip.indptr).max(initial=0))):
        part = skip[chosen]
        width = min(len(order), k + int(np.diff(part.indptr).max(initial=0)))
        free = np.ones((part.shape[0], width), bool)
        rows, at = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr)), place[part.indices]
        free[rows[at < width], at[at < width]] = False
        nth = np.cumsum(free, axis=1)
        row, column = np.nonzero(free & (nth <= k))
        found[chosen][row, nth[row, column] - 1] = order[column]
    return found


class Popularity:
    """Recommends what is popular, and has learnt nothing else."""

    def __init__(self, shares: NDArray[Any]) -> None:
        """Take the share of the users that took each item."""
        self.shares = shares

    @classmethod
    def fit(cls, histories: Any, options: dict[str, Any], seed: int) -> Popularity:
        """Count who took what."""
        import numpy as np

        counts = np.bincount(histories.indices, minlength=histories.shape[1])
        return cls((counts / max(1, histories.shape[0])).astype(np.float32))

    def arrays(self) -> dict[str, Any]:
        return {"shares": self.shares}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], options: dict[str, Any]) -> Popularity:
        return cls(arrays["shares"])

    def top(self, users: NDArray[Any], histories: Any, k: int, skip: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `recommender.Scorer`."""
        import numpy as np

        items = most_popular(np.argsort(-self.shares, kind="stable").astype(np.int32), skip, k)
        return items, np.where(items >= 0, self.shares[items], 0).astype(np.float32)

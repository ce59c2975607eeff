"""EASE: a ridge regression of every item on all others, in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: with G the items' matrix of common users,
P = (G + λI)⁻¹ and the weights are -P[i, j] / P[j, j], zero on the diagonal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato.errors import DataError

from .best import best_of
from .histories import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LEFT = 1e-6  # of an item, what the others must leave unexplained: float32 cannot tell less from nothing


class Ease:
    """A user's score of an item: the sum of its weights with what the user took."""

    def __init__(self, weights: NDArray[Any]) -> None:
        """Take the weights, items by items, float32."""
        self.weights = weights

    @classmethod
    def fit(cls, histories: Any, options: dict[str, Any], seed: int) -> Ease:
        """Invert the items' Gram matrix: once items² · 4 bytes, nothing larger.

        Args:
            options: `regularization`, λ.
        """
        import numpy as np
        from scipy.linalg import lapack

        inverse = _gram(histories)
        inverse[np.diag_indices_from(inverse)] += np.float32(options["regularization"])
        whole = inverse.diagonal().copy()
        factor, wrong = lapack.spotrf(inverse, lower=1, overwrite_a=1, clean=0)
        if wrong or (factor.diagonal() ** 2 < whole * _LEFT).any():
            raise DataError(
                f"The items' matrix cannot be inverted with regularization={options['regularization']:g}: "
                "write a larger one."
            )
        inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
        weights = _mirrored(inverse).T  # symmetric: rows now lie one after the other
        diagonal = weights.diagonal().copy()
        for chosen in blocks(len(weights), len(weights)):
            weights[chosen] /= -diagonal
        np.fill_diagonal(weights, 0)
        return cls(weights)

    def arrays(self) -> dict[str, Any]:
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], options: dict[str, Any]) -> Ease:
        return cls(arrays["weights"])

    def top(self, users: NDArray[Any], histories: Any, k: int, skip: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `recommender.Scorer`."""
        import numpy as np

        items, values = np.empty((histories.shape[0], k), np.int32), np.empty((histories.shape[0], k), np.float32)
        for chosen in blocks(histories.shape[0], histories.shape[1]):
            scores, left_out = histories[chosen] @ self.weights, skip[chosen]
            scores[np.repeat(np.arange(len(scores)), np.diff(left_out.indptr)), left_out.indices] = -np.inf
            items[chosen], values[chosen] = best_of(scores, k)
        return items, values


def _gram(histories: Any) -> NDArray[Any]:
    """How many users any two items have in common, float32, columns one after the other; made in strips."""
    import numpy as np

    count = histories.shape[1]
    found = np.empty((count, count), np.float32, order="F")
    across, columns = histories.T.tocsr(), histories.tocsc()
    for chosen in blocks(count, count):
        found[:, chosen] = (across @ columns[:, chosen]).toarray()
    return found


def _mirrored(lower: NDArray[Any]) -> NDArray[Any]:
    """A symmetric matrix of which the lower triangle is known, completed where it lies."""
    for chosen in blocks(len(lower), len(lower)):
        after = slice(chosen.stop, None)
        lower[chosen, after] = lower[after, chosen].T
        square = lower[chosen, chosen]
        for row in range(len(square)):
            square[row, row + 1 :] = square[row + 1 :, row]
    return lower

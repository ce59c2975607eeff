"""Matrix factorisation by alternating least squares, by `implicit`.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008; solved by conjugate
gradients as in Takács, Pilászy and Tikk, RecSys 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato.errors import MissingPackage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLOOR = -1e38  # what the library gives to places it has nothing for


class Als:
    """A user's score of an item: the product of their factors.

    The factors of a user whose history has changed since, or who was not there, are solved for in closed form.
    """

    def __init__(self, users: NDArray[Any], items: NDArray[Any], options: dict[str, Any]) -> None:
        """Take the factors of users and items, one row each, float32."""
        self.users, self.items, self._options = users, items, options
        self._solver: Any = None

    @classmethod
    def fit(cls, histories: Any, options: dict[str, Any], seed: int) -> Als:
        """Factorise.

        Args:
            options: `factors`, `regularization`, `alpha` (the confidence in what was taken), `iterations`.
        """
        model = _model(options, seed)
        model.fit(histories, show_progress=False)
        return cls(model.user_factors, model.item_factors, options)

    def arrays(self) -> dict[str, Any]:
        return {"users": self.users, "items": self.items}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], options: dict[str, Any]) -> Als:
        return cls(arrays["users"], arrays["items"], options)

    def top(self, users: NDArray[Any], histories: Any, k: int, skip: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `recommender.Scorer`."""
        import numpy as np

        topk, width = _topk(), min(k, len(self.items))
        items, scores = np.full((len(users), k), -1, np.int32), np.full((len(users), k), -np.inf, np.float32)
        found = topk(self.items, self._factors(users, histories), width, filter_query_items=skip)  # by hundreds of rows
        items[:, :width], scores[:, :width] = found
        missing = scores < _FLOOR
        items[missing], scores[missing] = -1, 0
        return items, scores

    def _factors(self, users: NDArray[Any], histories: Any) -> NDArray[Any]:
        import numpy as np

        found: NDArray[Any] = self.users[users]
        anew = np.flatnonzero(users < 0)
        if len(anew):
            found[anew] = self._ready().recalculate_user(anew, histories[anew])
        return found

    def _ready(self) -> Any:
        """The library's model around these factors."""
        if self._solver is None:
            self._solver = _model(self._options, 0)
            self._solver.item_factors = self.items
        return self._solver


def _model(options: dict[str, Any], seed: int) -> Any:
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError as error:
        raise MissingPackage("implicit", "recs") from error
    return AlternatingLeastSquares(**options, random_state=seed)


def _topk() -> Any:
    from implicit.cpu.topk import topk

    return topk

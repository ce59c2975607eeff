"""Item-based nearest neighbours: items that the same users took, by `implicit`.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001; weights by TF-IDF and BM25 as
in Manning, Raghavan and Schütze, "Introduction to Information Retrieval", chapters 6 and 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato.errors import MissingPackage

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTINGS = ("cosine", "tfidf", "bm25")


class ItemKnn:
    """A user's score of an item: the sum of its similarities to what the user took."""

    def __init__(self, similarity: Any) -> None:
        """Take the similarities, items by items, of each item to its neighbours only (CSR)."""
        self.similarity = similarity
        self._scorer: Any = None

    @classmethod
    def fit(cls, histories: Any, options: dict[str, Any], seed: int) -> ItemKnn:
        """Find each item's neighbours.

        Args:
            options: `neighbours`, how many of each item; `weighting`, one of `WEIGHTINGS`.
        """
        import numpy as np
        from scipy.sparse import csr_matrix

        model = _implicit().ItemItemRecommender(K=options["neighbours"])
        model.fit(_weighted(histories, options["weighting"]), show_progress=False)
        found = csr_matrix(model.similarity, dtype=np.float32)
        found.sort_indices()
        return cls(found)

    def arrays(self) -> dict[str, Any]:
        return {"indptr": self.similarity.indptr, "indices": self.similarity.indices, "data": self.similarity.data}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], options: dict[str, Any]) -> ItemKnn:
        from scipy.sparse import csr_matrix

        count = len(arrays["indptr"]) - 1
        return cls(csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(count, count)))

    def top(self, users: NDArray[Any], histories: Any, k: int, skip: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `recommender.Scorer`."""
        import numpy as np

        scorer = self._ready()
        items = np.full((histories.shape[0], k), -1, np.int32)
        scores = np.zeros((histories.shape[0], k), np.float32)
        taken, ends, ones = histories.indices, histories.indptr, histories.data.astype(np.float64)
        own = skip.nnz > 0  # what is skipped is the history itself, or nothing
        whole = np.zeros(2, np.int32)
        for row in range(len(items)):
            start, end = ends[row], ends[row + 1]
            if start == end:
                continue
            whole[1] = end - start
            found, value = scorer.recommend(whole, taken[start:end], ones[start:end], K=k, remove_own_likes=own)
            count = np.count_nonzero(value > 0)  # what was taken, and has nothing in common with it, comes last, with 0
            items[row, :count], scores[row, :count] = found[:count], value[:count]
        return items, scores

    def _ready(self) -> Any:
        if self._scorer is None:
            self._scorer = _implicit().NearestNeighboursScorer(self.similarity.astype("f8"))
        return self._scorer


def _weighted(histories: Any, weighting: str) -> Any:
    """Histories weighted as the library's recommenders of these names do; an item that tells nothing weighs nothing."""
    import numpy as np
    from scipy.sparse import csr_matrix

    by, across = _implicit(), csr_matrix(histories, dtype=np.float64).T
    with np.errstate(invalid="ignore"):  # 0 / 0
        if weighting == "bm25":
            found = by.bm25_weight(across, K1=1.2, B=0.75)
        else:
            found = by.normalize(across if weighting == "cosine" else by.tfidf_weight(across))
    found.data = np.nan_to_num(found.data)
    return found.T.tocsr()


def _implicit() -> Any:
    try:
        import implicit.nearest_neighbours
    except ImportError as error:
        raise MissingPackage("implicit", "recs") from error
    return implicit.nearest_neighbours

"""A fitted recommender: ids in, ids out; what MLflow stores and serves."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ostinato.errors import DataError

from .als import Als
from .ease import Ease
from .histories import of_rows, row_marks
from .ids import Ids
from .item_knn import ItemKnn
from .popularity import Popularity, most_popular, order_of

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

KINDS: dict[str, Any] = {"ease": Ease, "als": Als, "item_knn": ItemKnn, "popularity": Popularity}


class Scorer(Protocol):
    """What was learnt, over places."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to it, for a file."""

    def top(self, users: NDArray[Any], histories: Any, k: int, skip: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """The k best items of each row and their scores, best first; -1 and 0 where there are fewer.

        Args:
            users: the place of a user who has exactly the history learnt from; -1 of others.
            histories: what each took (CSR).
            skip: what must not come (CSR): the histories, or nothing.
        """


class Top(NamedTuple):
    """The best items of each row, as places (-1 where there are no more), and their scores."""

    items: NDArray[Any]
    scores: NDArray[Any]


class Recommender:
    """The k best items for a user, by what the user took.

    Who took nothing that is known gets what is most popular; and so does, after what is scored, who has fewer than k
    items scored. What comes from popularity alone scores 0.
    """

    tolerance = 1e-4  # of a score, which is a float32 and summed in another order in another company
    requirements = ("implicit", "threadpoolctl")

    def __init__(self, kind: str, options: dict[str, Any], scorer: Scorer, users: Ids, items: Ids, taken: Any) -> None:
        """Put together what was learnt.

        Args:
            kind: one of `KINDS`.
            options: what it was fitted with.
            scorer: what it learnt.
            users, items: their ids, by place.
            taken: the histories it learnt from (CSR, users by items).
        """
        self.kind, self.options, self.scorer = kind, options, scorer
        self.users, self.items, self.taken = users, items, taken
        self.order = order_of(taken)
        self._marks = row_marks(taken)

    @classmethod
    def fit(cls, kind: str, options: dict[str, Any], users: Ids, items: Ids, taken: Any, seed: int) -> Recommender:
        """Learn from histories (see `KINDS` for what there is)."""
        with one_thread():
            scorer = KINDS[kind].fit(taken, options, seed)
        return cls(kind, options, scorer, users, items, taken)

    def get_params(self, deep: bool = False) -> dict[str, Any]:
        """What it was fitted with."""
        return {"kind": self.kind, **self.options}

    def top(self, histories: Any, k: int, *, users: NDArray[Any] | None = None, exclude_seen: bool = True) -> Top:
        """The k best items for each row of histories (CSR over this recommender's items).

        Args:
            users: the place of each row's user, -1 of strangers: where a history is the one learnt from, what was
                learnt of the user is used as it is.
        """
        import numpy as np
        from scipy.sparse import csr_matrix

        rows = histories.shape[0]
        known = np.full(rows, -1, np.int32) if users is None else np.array(users, np.int32)
        there = np.flatnonzero(known >= 0)
        same = row_marks(histories)[there] == self._marks[known[there]]
        known[there[~same]] = -1
        skip = histories if exclude_seen else csr_matrix(histories.shape, dtype=np.float32)
        with one_thread():
            items, scores = self.scorer.top(known, histories, k, skip)
        if self.kind != "popularity":
            nothing = np.diff(histories.indptr) == 0
            items[nothing], scores[nothing] = -1, 0
        self._fill(items, skip, k)
        return Top(items, scores)

    def _fill(self, items: NDArray[Any], skip: Any, k: int) -> None:
        """Put the most popular items where there are none."""
        import numpy as np

        short = np.flatnonzero((items < 0).any(axis=1))
        if not len(short):
            return
        popular = most_popular(self.order, skip[short], k)
        for row, offered in zip(short, popular, strict=True):
            chosen = items[row][items[row] >= 0]
            more = offered[(offered >= 0) & ~np.isin(offered, chosen)][: k - len(chosen)]
            items[row, len(chosen) : len(chosen) + len(more)] = more

    def histories_of(self, users: NDArray[Any]) -> Any:
        """What users at these places took, as learnt from; nothing at -1."""
        import numpy as np

        ends = self.taken.indptr
        taken = [self.taken.indices[ends[user] : ends[user + 1]] if user >= 0 else np.empty(0) for user in users]
        return of_rows(taken, len(self.items))

    def predict(self, frame: pandas.DataFrame, params: dict[str, Any] | None = None) -> pandas.DataFrame:
        """The ten best items that each user has not taken yet.

        Args:
            frame: a column `user`, and where wanted a column `recent`, of lists of items' ids: what a stranger took, or
                a known user since. Unknown items in it count for nothing.

        Returns:
            `items`, a list of ids, and `scores`, a list of numbers, a row for each row.

        Raises:
            DataError: there is no column `user`, or something else than lists in `recent`.
        """
        import numpy as np
        import pandas as pd

        if "user" not in frame.columns:
            raise DataError(f"A recommender wants a column 'user'; there are {', '.join(map(repr, frame.columns))}.")
        recent = [_listed(cell) for cell in frame["recent"]] if "recent" in frame.columns else [[]] * len(frame)
        since = self.items.places([item for listed in recent for item in listed])
        ends = np.cumsum([0, *map(len, recent)])
        found: dict[str, list[Any]] = {"items": [], "scores": []}
        users = self.users.places(frame["user"].tolist())
        for row, user in enumerate(users):  # one by one, so that nobody's answer hangs on others'
            own = self.histories_of(np.array([user])).indices
            taken = of_rows([np.concatenate([own, since[ends[row] : ends[row + 1]]])], len(self.items))
            top = self.top(taken, 10, users=np.array([user]))
            there = top.items[0] >= 0
            found["items"].append(self.items.at(top.items[0][there]).to_pylist())
            found["scores"].append([float(score) for score in top.scores[0][there]])
        return pd.DataFrame(found)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "options": dict(self.options),
            "scorer": self.scorer.arrays(),
            "users": self.users.arrays(),
            "items": self.items.arrays(),
            "taken": {"indptr": self.taken.indptr, "indices": self.taken.indices},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        import numpy as np
        from scipy.sparse import csr_matrix

        users, items = Ids.from_arrays(state["users"]), Ids.from_arrays(state["items"])
        indices = state["taken"]["indices"]
        ones = np.ones(len(indices), np.float32)
        taken = csr_matrix((ones, indices, state["taken"]["indptr"]), shape=(len(users), len(items)))
        scorer = KINDS[state["kind"]].from_arrays(state["scorer"], state["options"])
        whole = Recommender(state["kind"], state["options"], scorer, users, items, taken)
        self.__dict__.update(whole.__dict__)


def _listed(recent: Any) -> list[Any]:
    """The ids in a cell of `recent`; none where it is empty."""
    import pandas as pd

    if pd.isna(recent) is True:
        return []
    if isinstance(recent, (str, bytes, dict)) or not hasattr(recent, "__iter__"):
        raise DataError(f"A recommender wants lists of items' ids in 'recent', not {recent!r}. Write: [{recent!r}]")
    return list(recent)


def one_thread() -> AbstractContextManager[Any]:
    """Let linear algebra use one thread: the same sums in the same order on every machine, and less work in all."""
    limited: AbstractContextManager[Any] = _blas().limit(limits=1)
    return limited


@cache
def _blas() -> Any:
    """The linear algebra there is; looked for once, which takes longer than an answer."""
    import scipy.linalg  # noqa: F401  it brings one of its own, found only once it is loaded
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")

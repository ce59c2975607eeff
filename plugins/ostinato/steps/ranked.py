"""What recommenders offer the users of a test, measured user by user."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ostinato.recommenders import ranking
from ostinato.recommenders.histories import coded, histories, ids_of, matrix, without
from ostinato.recommenders.ids import Ids
from ostinato.tables import Dataset, duck

from .bootstrap import Interval

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

    from ostinato.recommenders.recommender import Recommender

MEASURES = {
    "ndcg": ranking.ndcg,
    "recall": ranking.recall,
    "precision": ranking.precision,
    "map": ranking.average_precision,
}
COLD = "cold"


@dataclass(frozen=True)
class Judged:
    """The users of a test who took something that can be recommended to them, and what they took.

    Attributes:
        users, items: ids; of the judged users, and of all items of training and test together.
        before: what each took before the test (CSR over `items`).
        relevant: what each took in it, and not before, where that is not recommended again.
        taken: how many training users took each item.
        training: how many users there are in training.
    """

    users: Ids
    items: Ids
    before: Any
    relevant: Any
    taken: NDArray[Any]
    training: int

    @classmethod
    def read(cls, train: Dataset, test: Dataset, *, exclude_seen: bool, most: int, seed: int) -> Judged:
        """Read both tables; of more than `most` users so many are drawn by `seed`."""
        import numpy as np

        with duck() as connection:
            known, judged = train.sql(connection), test.sql(connection)
            users = ids_of(connection, judged, "user")
            items = ids_of(connection, f"(SELECT item FROM {known} UNION SELECT item FROM {judged})", "item")
            before = histories(connection, known, users, items)
            relevant = histories(connection, judged, users, items)
            often = f"SELECT item, count(DISTINCT user) AS users FROM {known} GROUP BY item"
            counted = cast("pyarrow.Table", connection.sql(often).to_arrow_table())
            training = connection.execute(f"SELECT count(DISTINCT user) FROM {known}").fetchall()[0][0]
        if exclude_seen:
            relevant = without(relevant, before)
        there = np.flatnonzero(np.diff(relevant.indptr))
        if len(there) > most:
            there = np.sort(np.random.default_rng(seed).choice(there, most, replace=False))
        taken = np.zeros(len(items), np.int64)
        taken[items.places(counted["item"])] = np.asarray(counted["users"])
        return cls(Ids(users.at(there.astype(np.int32))), items, before[there], relevant[there], taken, int(training))

    def __len__(self) -> int:
        return len(self.users)

    @property
    def counts(self) -> NDArray[Any]:
        """How many items are relevant to each user."""
        import numpy as np

        found: NDArray[Any] = np.diff(self.relevant.indptr)
        return found

    @property
    def activity(self) -> NDArray[Any]:
        """How many items each user took before."""
        import numpy as np

        found: NDArray[Any] = np.diff(self.before.indptr)
        return found

    def offered(self, model: Recommender, k: int, *, exclude_seen: bool) -> NDArray[Any]:
        """The k best items for each user, as places among these items; -1 where there is none.

        Every model looks at the same histories, as far as it knows the items.
        """
        import numpy as np

        place = model.items.places(self.items.values)
        rows = np.repeat(np.arange(len(self), dtype=np.int64), self.activity)
        columns = place[self.before.indices]
        seen = matrix(rows[columns >= 0], columns[columns >= 0], len(self), len(model.items))
        top = model.top(seen, k, users=model.users.places(self.users.values), exclude_seen=exclude_seen)
        back = np.append(self.items.places(model.items.values), -1)  # the last for -1 itself
        found: NDArray[Any] = back[top.items]
        return found


@dataclass(frozen=True)
class Offered:
    """What a model offers each judged user, and how good each of these lists is.

    Attributes:
        items: places, best first, -1 where there is none.
        hit: which of them the user took.
        by_user: nDCG, recall, precision and average precision of each user, by name.
    """

    items: NDArray[Any]
    hit: NDArray[Any]
    by_user: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, items: NDArray[Any], judged: Judged) -> Offered:
        """Measure lists."""
        hit = ranking.hits(items, judged.relevant)
        return cls(items, hit, {name: measure(hit, judged.counts) for name, measure in MEASURES.items()})

    def metrics(self, judged: Judged, catalogue: int) -> dict[str, float]:
        """The means over users, and what is said of all lists together.

        Args:
            catalogue: how many items the model could recommend.
        """
        if not len(judged):
            return {}
        k = self.items.shape[1]
        found = {f"{name}_at_{k}": float(values.mean()) for name, values in self.by_user.items()}
        found["coverage"] = ranking.coverage(self.items, catalogue)
        found["novelty"] = ranking.novelty(self.items, judged.taken / max(1, judged.training))
        return found


def latest(train: Dataset, users: Ids, most: int) -> list[list[str]]:
    """What each user took last, the latest first."""
    with duck() as connection:
        connection.register("asked", coded(users))
        found = connection.execute(
            f"SELECT a.place, list(t.item::VARCHAR ORDER BY t.time DESC, t.item) FROM {train.sql(connection)} AS t "
            "JOIN asked AS a ON t.user = a.id GROUP BY a.place"
        ).fetchall()
    by_place = dict(found)
    return [list(dict.fromkeys(by_place.get(place, ())))[:most] for place in range(len(users))]


def cold(judged: Judged) -> dict[str, float]:
    """Which share of the judged users, and of what they took, training has never seen."""
    if not len(judged):
        return {}
    unseen = judged.taken[judged.relevant.indices] == 0
    return {"cold_users_share": float((judged.activity == 0).mean()), "cold_items_share": float(unseen.mean())}


def paired(one: NDArray[Any], other: NDArray[Any], level: float) -> Interval | None:
    """Student's interval around the mean difference of the same users' numbers, `level` off at each end."""
    import numpy as np
    from scipy.special import stdtrit

    off = one - other
    if len(off) < 2:
        return None
    value, error = float(off.mean()), float(off.std(ddof=1)) / math.sqrt(len(off))
    wide = float(stdtrit(len(off) - 1, 1 - level)) * error
    return Interval(value, float(np.clip(value - wide, -1, 1)), float(np.clip(value + wide, -1, 1)))


def by_activity(judged: Judged) -> list[tuple[str, NDArray[Any]]]:
    """The users by how many items they took before: those training has not seen, and four parts of about equal size."""
    import numpy as np

    activity = judged.activity
    found = [(COLD, np.flatnonzero(activity == 0))]
    known = activity[activity > 0]
    edges: Any = np.unique(np.quantile(known, (0.25, 0.5, 0.75, 1), method="lower")) if len(known) else ()
    least = 1
    for edge in edges:
        name = str(least) if least == edge else f"{least} to {edge}"
        found.append((name, np.flatnonzero((activity >= least) & (activity <= edge))))
        least = int(edge) + 1
    return [(name, rows) for name, rows in found if len(rows)]


def by_popularity(judged: Judged) -> list[tuple[str, NDArray[Any]]]:
    """The items training has seen, in three parts that were taken about equally often, the most popular first."""
    import numpy as np

    order = np.argsort(-judged.taken, kind="stable")
    order = order[judged.taken[order] > 0]
    running = np.cumsum(judged.taken[order])
    third = np.minimum((running - 1) * 3 // max(1, int(running[-1]) if len(running) else 1), 2)
    names = ("most popular third", "middle third", "least popular third")
    found = [(name, order[third == number]) for number, name in enumerate(names)]
    return [(name, items) for name, items in found if len(items)]


def ndcg_of(offered: Offered, judged: Judged, items: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """nDCG where only some items count: who took any of them, and how well these are ranked."""
    import numpy as np

    counts_here = np.zeros(len(judged.items) + 1, bool)  # the last for -1
    counts_here[items] = True
    kept = counts_here[judged.relevant.indices]
    rows = np.repeat(np.arange(len(judged)), judged.counts)[kept]
    relevant = np.bincount(rows, minlength=len(judged))
    users = np.flatnonzero(relevant)
    hit = offered.hit[users] & counts_here[offered.items[users]]
    return users, ranking.ndcg(hit, relevant[users])

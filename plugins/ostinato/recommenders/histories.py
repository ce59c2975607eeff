"""Who took what: a table of interactions as a sparse matrix of users by items, whatever its size read in one scan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ostinato.tables import quote

from .ids import Ids

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    Histories = Any  # scipy.sparse.csr_matrix of float32: rows are users, columns items, indices sorted, all ones

_CELLS_AT_ONCE = 1 << 23  # of a dense block of users by items: 32 MB


def ids_of(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> Ids:
    """The distinct ids of a column of something to select FROM."""
    query = f"SELECT DISTINCT {quote(column)} AS id FROM {table} WHERE {quote(column)} IS NOT NULL"
    return Ids.of(connection.sql(query).to_arrow_table()["id"])


def histories(connection: duckdb.DuckDBPyConnection, table: str, users: Ids, items: Ids) -> Histories:
    """The pairs of a table with columns `user` and `item`, each once; users and items not among the ids are left out.

    Args:
        table: something to select FROM.
    """
    import numpy as np

    for name, ids in (("known_users", users), ("known_items", items)):
        connection.register(name, coded(ids))
    kinds = connection.sql(f"SELECT t.user, t.item FROM {table} AS t").types
    same_user, same_item = (_same(str(kind), ids) for kind, ids in zip(kinds, (users, items), strict=True))
    found = connection.sql(
        f"SELECT DISTINCT u.place AS u, i.place AS i FROM {table} AS t "
        f"JOIN known_users AS u ON {same_user.format('t.user', 'u.id')} "
        f"JOIN known_items AS i ON {same_item.format('t.item', 'i.id')}"
    ).to_arrow_table()
    for name in ("known_users", "known_items"):
        connection.unregister(name)
    return matrix(np.asarray(found["u"]), np.asarray(found["i"]), len(users), len(items))


def coded(ids: Ids) -> Any:
    """Ids with their places, as a table to join with."""
    import numpy as np
    import pyarrow as pa

    return pa.table({"id": ids.values, "place": pa.array(np.arange(len(ids), dtype=np.int32))})


def _same(kind: str, ids: Ids) -> str:
    """How a column of a kind is compared with ids: as text where one of them is text and the other numbers."""
    return "{}::VARCHAR = {}::VARCHAR" if (kind == "VARCHAR") == ids.numbers else "{} = {}"


def matrix(users: NDArray[Any], items: NDArray[Any], user_count: int, item_count: int) -> Histories:
    """Distinct pairs of places as a matrix of ones."""
    import numpy as np
    from scipy.sparse import csr_matrix

    ones = np.ones(len(users), np.float32)
    found = csr_matrix((ones, (users, items)), shape=(user_count, item_count))
    found.sort_indices()
    return found


def without(later: Histories, taken: Histories) -> Histories:
    """What stands in the one matrix and not in the other, of the same users and items."""
    found = (later - later.multiply(taken)).tocsr()
    found.eliminate_zeros()
    found.sort_indices()
    return found


def of_rows(lists: list[NDArray[Any]], item_count: int) -> Histories:
    """A matrix with a row for each list of items' places; unknown ones (-1) and repetitions are left out."""
    import numpy as np

    rows = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    items = np.concatenate([*lists, []]).astype(np.int64)
    known = items >= 0
    pairs = np.unique(rows[known] * item_count + items[known])
    return matrix(*np.divmod(pairs, item_count), len(lists), item_count)


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Rows a few at a time, so that a dense block of them is small."""
    step = max(1, min(1024, _CELLS_AT_ONCE // max(1, width)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def row_marks(found: Histories) -> NDArray[Any]:
    """A number for each row that tells rows of different items from one another."""
    import numpy as np

    mixed = (found.indices.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)  # or sums of different items were alike too often
    sums = np.concatenate(([np.uint64(0)], np.cumsum(mixed, dtype=np.uint64)))
    marks: NDArray[Any] = sums[found.indptr[1:]] - sums[found.indptr[:-1]]
    return marks

"""The parts of a table by the values of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import frames

if TYPE_CHECKING:
    import pyarrow

MOST_VALUES = 20
OTHERS, MISSING = "all others", "missing"
LONGEST_VALUE = 60  # characters


def slices(table: pyarrow.Table, column: str) -> list[tuple[str, Any]]:
    """Name and rows (their places) of each part; every row is in one.

    Numbers of many values are cut at their quartiles. Of other columns the 20 most frequent values are parts, and all
    others are one; so are the rows without a value.
    """
    if frames.is_number(table.schema.field(column).type):
        return _by_number(frames.floats(table, column))
    return _by_word(table, column)


def _by_number(values: Any) -> list[tuple[str, Any]]:
    import numpy as np

    missing = np.isnan(values)
    known = values[~missing]
    distinct = np.unique(known)
    if len(distinct) <= MOST_VALUES:
        found = [(f"{value:.12g}", np.flatnonzero(values == value)) for value in distinct]
    else:
        edges = np.unique(np.quantile(known, (0.25, 0.5, 0.75), method="lower"))
        place = np.where(missing, -1, np.searchsorted(edges, values, side="left"))
        found = [(_between(edges, part), np.flatnonzero(place == part)) for part in range(len(edges) + 1)]
    found = [(name, rows) for name, rows in found if len(rows)]
    return [*found, (MISSING, np.flatnonzero(missing))] if missing.any() else found


def _between(edges: Any, part: int) -> str:
    """What the numbers of a part are like; a part reaches up to its edge and includes it."""
    if part == 0:
        return f"up to {edges[0]:.6g}"
    if part == len(edges):
        return f"above {edges[-1]:.6g}"
    return f"above {edges[part - 1]:.6g}, up to {edges[part]:.6g}"


def _by_word(table: pyarrow.Table, column: str) -> list[tuple[str, Any]]:
    import numpy as np
    import pyarrow as pa

    kind = table.schema.field(column).type
    values = table[column].cast(pa.date32(), safe=False) if pa.types.is_timestamp(kind) else table[column]
    coded: Any = values.cast(pa.string()).combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    place = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    counts = np.bincount(place, minlength=len(names) + 1)
    frequent = sorted(range(len(names)), key=lambda each: (-counts[each], names[each]))[:MOST_VALUES]
    found = [(_short(names[each]), np.flatnonzero(place == each)) for each in sorted(frequent, key=names.__getitem__)]
    if len(names) > len(frequent):
        found.append((OTHERS, np.flatnonzero(~np.isin(place, [len(names), *frequent]))))
    return [*found, (MISSING, np.flatnonzero(place == len(names)))] if counts[-1] else found


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"

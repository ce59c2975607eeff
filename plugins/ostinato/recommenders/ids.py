"""Ids of users or items, and their places: numbers from 0 on in the order of the ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    Places = NDArray[np.int32]

UNKNOWN = -1


class Ids:
    """Distinct ids in their order: whole numbers, or text."""

    def __init__(self, values: pyarrow.Array[Any]) -> None:
        """Take ids that are sorted and distinct, as int64 or string."""
        self.values = values

    @classmethod
    def of(cls, column: pyarrow.ChunkedArray[Any] | pyarrow.Array[Any]) -> Ids:
        """The distinct values of a column of whole numbers or text; missing ones are left out."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = pa.int64() if pa.types.is_integer(column.type) else pa.string()
        distinct: Any = pc.drop_null(pc.unique(column.cast(kind)))
        return cls(distinct.take(pc.sort_indices(distinct)))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbers(self) -> bool:
        """Whether the ids are whole numbers."""
        import pyarrow as pa

        return bool(pa.types.is_integer(self.values.type))

    def places(self, wanted: Iterable[Any] | pyarrow.Array[Any] | pyarrow.ChunkedArray[Any]) -> Places:
        """The place of each id, -1 where it is not known.

        An id may come as text where ids are numbers, and the other way round: what is written alike is the same.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        given: Any = wanted if isinstance(wanted, (pa.Array, pa.ChunkedArray)) else _array(list(wanted))
        if pa.types.is_floating(given.type):
            given = _array(given.to_pylist())
        if given.type != self.values.type:
            given = _numbers(given) if self.numbers else given.cast(pa.string())
        found: Any = pc.fill_null(pc.index_in(given, value_set=self.values), UNKNOWN)
        places: Places = np.asarray(found, dtype=np.int32)
        return places

    def at(self, places: Places) -> pyarrow.Array[Any]:
        """The ids at these places; null where the place is -1."""
        import pyarrow as pa

        wanted: Any = pa.array(places, mask=places < 0)
        return self.values.take(wanted)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The ids as arrays that a file can hold: the numbers, or the text's bytes and where each ends."""
        import numpy as np

        if self.numbers:
            return {"numbers": np.asarray(self.values)}
        texts = [str(value).encode() for value in self.values.to_pylist()]
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        return {"text": np.frombuffer(b"".join(texts), dtype=np.uint8), "ends": ends}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Ids:
        """What `arrays` gave."""
        import numpy as np
        import pyarrow as pa

        if "numbers" in arrays:
            return cls(pa.array(arrays["numbers"], pa.int64()))
        ends, text = arrays["ends"], arrays["text"].tobytes()
        starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
        return cls(pa.array([text[start:end].decode() for start, end in zip(starts, ends, strict=True)], pa.string()))


def _array(wanted: list[Any]) -> Any:
    """A list as Arrow: whole numbers, or text if anything else is among them."""
    import pyarrow as pa

    whole = [_whole(value) for value in wanted]
    if all(value is None or (type(value) is int and -(2**63) <= value < 2**63) for value in whole):
        return pa.array(whole, pa.int64())
    return pa.array([None if value is None else _text(value) for value in whole], pa.string())


def _whole(value: Any) -> Any:
    """A float that is a whole number as one, as in a column with gaps; None for what is missing."""
    import numpy as np
    import pandas as pd

    if pd.isna(value) is True:
        return None
    return int(value) if isinstance(value, (float, np.floating)) and value.is_integer() else value


def _text(value: Any) -> str | None:
    """A value as text; None where that is none that a file could hold (half of a surrogate pair)."""
    text = str(value)
    return text if text.encode(errors="ignore").decode() == text else None


def _numbers(given: Any) -> Any:
    """Numbers written as text; null where they are none, or are written otherwise than numbers are (`007`)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text: Any = given.cast(pa.string())
    digits = pc.match_substring_regex(text, "^-?[0-9]{1,19}$")
    wide: Any = pc.if_else(digits, text, pa.scalar(None, pa.string())).cast(pa.decimal128(19))
    found = wide.cast(options=pc.CastOptions(pa.int64(), allow_int_overflow=True))
    return pc.if_else(pc.equal(found.cast(pa.string()), text), found, pa.scalar(None, pa.int64()))

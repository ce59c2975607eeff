"""Columns as the arrays and frames that models and measures take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ostinato.errors import ContractError, DataError

if TYPE_CHECKING:
    import pandas
    import pyarrow


def frame(table: pyarrow.Table, columns: Sequence[str]) -> tuple[pandas.DataFrame, list[str]]:
    """Features as one float64 block, without a second copy, and text beside it; and the names of the text columns."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    words = [name for name in columns if is_text(table.schema.field(name).type)]
    for name in columns:
        kind = table.schema.field(name).type
        if name not in words and not (pa.types.is_boolean(kind) or is_number(kind)):
            raise DataError(f"The column {name!r} is {kind}: a feature is a number, a boolean or text.")
    numbers = [name for name in columns if name not in words]
    block = np.empty((len(table), len(numbers)), order="F")
    for index, name in enumerate(numbers):
        block[:, index] = floats(table, name)
    found = pd.DataFrame(block, columns=numbers, copy=False)
    for name in words:
        values = table[name].cast(pa.string()).to_numpy(zero_copy_only=False)
        found[name] = np.where(values == None, np.nan, values)  # noqa: E711 -- elementwise
    return (found[list(columns)] if words else found), words


def is_text(kind: pyarrow.DataType) -> bool:
    """Whether a column of this type holds words."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: pyarrow.DataType) -> bool:
    """Whether a column of this type holds numbers; a boolean is none."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def floats(table: pyarrow.Table, name: str) -> Any:
    """A column as float64, NaN where it is missing."""
    import pyarrow as pa

    column = table[name]
    if not (pa.types.is_boolean(column.type) or is_number(column.type)):
        raise DataError(f"The column {name!r} is {column.type}, not a number.")
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False)


def labels(table: pyarrow.Table, name: str, where: str) -> Any:
    """A column of 0 and 1 as int8; anything else is refused."""
    import numpy as np

    values = floats(table, name)
    if missing := int(np.isnan(values).sum()):
        raise DataError(f"{missing:,} of {len(values):,} rows of {where} have no {name}.")
    if strange := sorted({float(value) for value in np.unique(values)} - {0.0, 1.0}):
        raise DataError(f"The column {name!r} of {where} is 0 or 1; found {strange[:5]} too.")
    return values.astype(np.int8)


def days(table: pyarrow.Table, name: str, where: str) -> Any:
    """Days since 1970 of a time column."""
    import pyarrow as pa

    column = table[name]
    if not pa.types.is_timestamp(column.type) and not pa.types.is_date(column.type):
        raise DataError(f"The column {name!r} of {where} is {column.type}, not a time.")
    if column.null_count:
        raise DataError(f"{column.null_count:,} of {len(column):,} rows of {where} have no {name}.")
    return column.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy()


def codes(table: pyarrow.Table, name: str) -> Any:
    """A column as numbers from 0 on, in the order of its values; missing ones are -1."""
    import pandas as pd

    return pd.factorize(table[name].to_pandas(), sort=True)[0]


def scores(estimator: Any, rows: pandas.DataFrame, who: str) -> Any:
    """How suspicious each row is to an estimator, as float64: its probability where it tells one.

    Raises:
        ContractError: it tells no scores, or not one number for each row.
    """
    import numpy as np

    if not len(rows):
        return np.empty(0)
    if hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(rows)[:, 1]
    elif hasattr(estimator, "decision_function"):
        found = estimator.decision_function(rows)
    else:
        raise ContractError(f"{who} gives no scores: its estimator has neither predict_proba nor decision_function.")
    if np.shape(found) != (len(rows),):
        raise ContractError(f"{who} gives scores of shape {np.shape(found)} to {len(rows):,} rows.")
    if strange := int((~np.isfinite(found)).sum()):
        raise ContractError(f"{who} gives {strange:,} of {len(found):,} rows a score that is no number.")
    return np.asarray(found, dtype=np.float64)

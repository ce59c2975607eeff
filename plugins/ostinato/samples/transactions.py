"""Card payments with fraud in them: rows in time order, labels that arrive days later, and the truth kept apart."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ConfigurationError, UsageError
from ..workspace import is_remote, local_path, whole
from ._parts import Part, Recipe, parts

TRUTH = "_truth"
_ROWS_PER_GROUP = 1 << 17  # several groups to a file: readers share them among their threads
_TABLE = "ostinato.sample"  # in the truth beside a file: the name of that file


@dataclass(frozen=True)
class Sample:
    """What was written: where, how many rows, how many of them fraud or broken, and the times they span.

    `first` and `last` leave out times that are broken on purpose. `truth` is the folder that says which rows are
    broken and of which kind each fraud is; None where there is none.
    """

    path: Path
    rows: int
    fraud: int
    broken: int
    first: datetime
    last: datetime
    truth: Path | None

    def __str__(self) -> str:
        told = f"; the truth about them is in {self.truth}" if self.truth else ""
        return (
            f"{self.rows:,} transactions from {self.first:%d %B %Y} to {self.last:%d %B %Y} in {self.path}: "
            f"{self.fraud:,} of them fraud, {self.broken:,} broken on purpose{told}."
        )


def write(
    path: str | os.PathLike[str],
    *,
    rows: int = 200_000,
    seed: int = 7,
    days: int = 120,
    drift: bool = False,
    broken: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Sample:
    """Write `rows` card payments over `days` days from 1 January 2026, 0.8 % of them fraud.

    A `path` that ends in `.parquet` becomes one file, any other a folder of files of about a million rows each.
    Columns: `tx_id`, `ts`, `card_id`, `terminal_id`, `amount` (in `currency`), `is_fraud` (0 or 1),
    `fraud_reported_at` (about 4 days after `ts`; null where not fraud), `currency`, `country`, `channel`, `mcc`.
    Times are UTC.

    With `drift`, fraud changes its shape after three quarters of the days: accounts are taken over, and the thief
    pays at the usual terminals in the usual amounts, which what was learnt from the old fraud misses.

    `broken` is the share of the rows that are spoiled, 0 to 0.5. Each breaks one rule, and `_truth/broken.parquet`, in
    the folder or beside the file, names exactly those rows and their reasons; a folder also holds the kind of every
    fraud in `_truth/fraud.parquet`.

    `progress` is told the number of rows written so far. The same arguments give the same rows. Raises ParameterError
    for a value out of range, and UsageError where `path` holds something that is no such sample.
    """
    recipe = Recipe(rows, seed, days, drift, broken)
    place = _local(os.fspath(path))
    tally = _Tally(progress or (lambda _: None))
    with _explained(place):
        truth = (_write_file if _is_file(place) else _write_folder)(place, recipe, tally)
    return tally.sample(place, truth)


class _Tally:
    """What has been written so far."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self._times: list[datetime] = []
        self._rows = 0
        self.fraud: list[pa.Table] = []
        self.broken: list[pa.Table] = []

    def tables(self, made: Iterable[Part]) -> Iterator[pa.Table]:
        """The table of each part, which counts as written when the next one is asked for."""
        for part in made:
            yield part.table
            self._rows += part.table.num_rows
            self._times += [part.first, part.last]
            self.fraud.append(part.fraud)
            self.broken.append(part.broken)
            self._progress(self._rows)

    def sample(self, path: Path, truth: Path | None) -> Sample:
        fraud, broken = (sum(table.num_rows for table in tables) for tables in (self.fraud, self.broken))
        return Sample(path, self._rows, fraud, broken, self._times[0], self._times[-1], truth)


def _write_folder(place: Path, recipe: Recipe, tally: _Tally) -> Path:
    target = place.resolve()  # behind a link the folder is replaced, not the link
    _check_folder(target)
    with whole(str(target)) as folder:
        (folder / TRUTH).mkdir(parents=True)
        for number, table in enumerate(tally.tables(parts(recipe))):
            _save(folder / f"part-{number:05}.parquet", [table])
        _save(folder / TRUTH / "fraud.parquet", tally.fraud)
        if recipe.broken:
            _save(folder / TRUTH / "broken.parquet", tally.broken)
    return place / TRUTH


def _write_file(place: Path, recipe: Recipe, tally: _Tally) -> Path | None:
    target = place.resolve()
    truth = place.parent / TRUTH / "broken.parquet"
    told = _table_told_of(truth)
    if target.is_dir():
        raise UsageError(f"{target} is a folder, but a name that ends in .parquet becomes one file. Name another file.")
    if recipe.broken and told not in (None, place.name):
        raise UsageError(f"{truth} is the truth about another table. Write {place.name} to a folder of its own.")
    with whole(str(target)) as file:
        _save(file, tally.tables(parts(recipe)))
    if recipe.broken:
        with whole(str(truth)) as file:
            _save(file, tally.broken, {_TABLE: place.name})
        return truth.parent
    if told == place.name:
        truth.unlink()  # it told of the table that was here before
    return None


def _save(path: Path, tables: Iterable[pa.Table], metadata: dict[str, str] | None = None) -> None:
    """One Parquet file from tables of the same columns. No Arrow schema: codes come back as plain strings."""
    with ExitStack() as stack:
        file: pq.ParquetWriter | None = None
        for table in tables:
            file = file or stack.enter_context(
                pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1, store_schema=False)
            )
            file.write_table(table, _ROWS_PER_GROUP)
        if file and metadata:
            file.add_key_value_metadata(metadata)


def _local(path: str) -> Path:
    if is_remote(path):
        raise UsageError(f"{path} is not on this machine's disk. Write the sample to a local path, then upload it.")
    return local_path(path)


def _is_file(place: Path) -> bool:
    return place.name.lower().endswith(".parquet")


def _check_folder(target: Path) -> None:
    """Refuse a folder that holds anything a sample does not: it is replaced as a whole."""
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file. Name a folder, or a file that ends in .parquet.")
    if Path.cwd().is_relative_to(target):
        raise UsageError(f"{target} holds the folder you are in, and is replaced as a whole. Name a new folder.")
    names = {entry.name for entry in target.iterdir()} if target.exists() else set()
    strange = sorted(name for name in names if name != TRUTH and not re.fullmatch(r"part-\d{5,}\.parquet", name))
    if strange:
        raise UsageError(f"{target} already holds {strange[0]!r}, which is no part of a sample. Name a new folder.")
    if names and TRUTH not in names:
        raise UsageError(f"{target} already holds data that is no sample: it has no {TRUTH}. Name a new folder.")


def _table_told_of(truth: Path) -> str | None:
    """The name of the file the truth beside it tells of; None where there is no truth, "" where it is not ours."""
    if not truth.exists():
        return None
    try:
        return (pq.read_metadata(truth).metadata or {}).get(_TABLE.encode(), b"").decode()
    except pa.ArrowInvalid:
        return ""


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{place} cannot be written ({error.strerror or error}). Choose a path that can."
        ) from error

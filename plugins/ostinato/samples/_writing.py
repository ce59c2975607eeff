"""A sample on the disk: one file, or a folder of parts, whole or not at all, with the truth about it kept apart."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ConfigurationError, UsageError
from ..workspace import is_remote, local_path, whole

TRUTH = "_truth"
BROKEN = "broken"  # the one truth that a lone file has too, beside it
_ROWS_PER_GROUP = 1 << 17  # several groups to a file: readers share them among their threads
_TABLE = "ostinato.sample"  # in the truth beside a file: the name of that file


@dataclass(frozen=True)
class Part:
    """Consecutive rows of the table, the truths about them by name, and the times of the first and the last."""

    table: pa.Table
    truth: Mapping[str, pa.Table]
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Written:
    """Where a sample lies, where its truth (None where there is none), how many rows each has, and their span."""

    path: Path
    truth: Path | None
    rows: int
    told: Mapping[str, int]
    first: datetime
    last: datetime


def written(
    path: str | os.PathLike[str], parts: Iterable[Part], *, broken: bool, progress: Callable[[int], None] | None
) -> Written:
    """Write the parts, of which only one is asked for at a time, to a file or a folder as the `path` says.

    A folder holds all truths, a file has beside it only the one about its broken rows, where `broken` says that there
    are any. `progress` is told the number of rows written so far. Raises UsageError where `path` holds something that
    is no sample, and ConfigurationError where it cannot be written.
    """
    place = _local(os.fspath(path))
    tally = _Tally(progress or (lambda _: None))
    with _explained(place):
        truth = _write_file(place, parts, broken, tally) if _is_file(place) else _write_folder(place, parts, tally)
    told = {name: sum(table.num_rows for table in tables) for name, tables in tally.truth.items()}
    return Written(place, truth, tally.rows, told, tally.times[0], tally.times[-1])


class _Tally:
    """What has been written so far."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self.times: list[datetime] = []
        self.rows = 0
        self.truth: dict[str, list[pa.Table]] = {}

    def tables(self, made: Iterable[Part]) -> Iterator[pa.Table]:
        """The table of each part, which counts as written when the next one is asked for."""
        for part in made:
            yield part.table
            self.rows += part.table.num_rows
            self.times += [part.first, part.last]
            for name, table in part.truth.items():
                self.truth.setdefault(name, []).append(table)
            self._progress(self.rows)


def _write_folder(place: Path, parts: Iterable[Part], tally: _Tally) -> Path:
    target = place.resolve()  # behind a link the folder is replaced, not the link
    _check_folder(target)
    with whole(str(target)) as folder:
        (folder / TRUTH).mkdir(parents=True)
        for number, table in enumerate(tally.tables(parts)):
            _save(folder / f"part-{number:05}.parquet", [table])
        for name, tables in tally.truth.items():
            _save(folder / TRUTH / f"{name}.parquet", tables)
    return place / TRUTH


def _write_file(place: Path, parts: Iterable[Part], broken: bool, tally: _Tally) -> Path | None:
    target = place.resolve()
    truth = place.parent / TRUTH / f"{BROKEN}.parquet"
    told = _table_told_of(truth)
    if target.is_dir():
        raise UsageError(f"{target} is a folder, but a name that ends in .parquet becomes one file. Name another file.")
    if broken and told not in (None, place.name):
        raise UsageError(f"{truth} is the truth about another table. Write {place.name} to a folder of its own.")
    with whole(str(target)) as file:
        _save(file, tally.tables(parts))
    if broken:
        with whole(str(truth)) as file:
            _save(file, tally.truth[BROKEN], {_TABLE: place.name})
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

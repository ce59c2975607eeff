"""How the tests of samples read what was written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def parts_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.iterdir() if path.name.startswith("part-"))


def rows_of(path: Path) -> pa.Table:
    """The whole table, in the order in which it lies on the disk."""
    files = parts_of(path) if path.is_dir() else [str(path)]
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files])


def query(sql: str, **tables: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        for name, table in tables.items():
            database.register(name, table)
        return database.execute(sql).fetchall()


@contextmanager
def scratch(name: str = "tx") -> Iterator[Path]:
    """A fresh path for each example: hypothesis runs many inside one test."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, name)

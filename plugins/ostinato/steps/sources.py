"""Where tables come from: files, folders, databases and URLs, all opened as something DuckDB can select from."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.errors import DataError, Unavailable, suggest
from ostinato.tables import literal, parquet_sql, quote, require_columns
from ostinato.workspace import filesystem, is_remote, local_path, public

from .databases import fetched, only

if TYPE_CHECKING:
    import duckdb

CSV_ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".txt")


@dataclass(frozen=True)
class Source:
    """An opened source: `table` is what stands behind FROM, `columns` its names and DuckDB types.

    `lasting`: it can be read after it was closed, as files can.
    """

    name: str
    table: str
    columns: dict[str, str]
    lasting: bool = True

    def keep(self, connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str] = ("*",)) -> None:
        """Make it readable as `name` for as long as the connection lives.

        Args:
            columns: SQL expressions.
        """
        kind = "VIEW" if self.lasting else "TABLE"
        connection.execute(f"CREATE {kind} memory.main.{quote(name)} AS SELECT {', '.join(columns)} FROM {self.table}")


@contextlib.contextmanager
def opened(
    connection: duckdb.DuckDBPyConnection, source: str, query: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[Source]:
    """Open a table for the body.

    Args:
        source: a Parquet or CSV file, a folder of them, a glob, a DuckDB or SQLite file, an SQLAlchemy URL, or an
            fsspec URL (`s3://…`) of files. Entries that begin with `_` or `.` are left out of folders.
        query: SQL for a database; without one it must hold a single table.
        columns: the columns wanted; databases are asked for these only.

    Raises:
        DataError: nothing there, or not what it should be.
        Unavailable: a database that does not answer.
    """
    import duckdb

    shown = public(source)
    try:
        with _table(connection, source, query, columns) as (table, lasting):
            rows = connection.execute(f"DESCRIBE FROM {table}").fetchall()
            yield Source(shown, table, {str(row[0]): str(row[1]) for row in rows}, lasting)
    except duckdb.Error as error:
        raise DataError(f"{shown} cannot be read: {_first_line(error)}") from error


@contextlib.contextmanager
def _table(
    connection: duckdb.DuckDBPyConnection, source: str, query: str | None, columns: Sequence[str] | None
) -> Iterator[tuple[str, bool]]:
    """What stands behind FROM, and whether it can still be read after the body."""
    if not source.strip():
        raise DataError("The source is empty: name a file, a folder, a database or a URL.")
    is_database = "://" in source and not _is_file_url(source)
    files = [] if is_database else _files(source)
    kind = "database" if is_database else _kind(files[0])
    if kind in ("duckdb", "sqlite") and len(files) > 1:
        raise DataError(f"{source} names {len(files)} databases; name one.")
    if kind in ("parquet", "csv") and query is not None:
        raise DataError(f"{source} is no database, so a query cannot be put to it.")
    if kind == "duckdb":
        with _attached(connection, files[0], query) as table:
            yield table, False
    elif kind in ("sqlite", "database"):
        url = source if is_database else f"sqlite:///{local_path(files[0]).absolute()}"
        with fetched(connection, url, query, columns) as parts:
            yield parquet_sql(connection, parts, union=True), False
    else:
        yield parquet_sql(connection, files, union=True) if kind == "parquet" else _csv(connection, files), True


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_file_url(source: str) -> bool:
    """Whether a URL is one of files (fsspec's) rather than of a database (SQLAlchemy's)."""
    import fsspec

    protocol = source.split("://", 1)[0].split("+", 1)[0]
    return "::" in source or protocol in fsspec.available_protocols()


# --- files ------------------------------------------------------------------------------------------------------


def _files(source: str) -> list[str]:
    """The files a source names, sorted; those of one kind where a folder holds several."""
    found = _remote_files(source) if is_remote(source) else _local_files(source)
    if not found:
        raise DataError(f"{public(source)} holds no Parquet or CSV file.")
    kinds = {file: _kind(file) for file in found}
    for kind in ("parquet", "csv", "duckdb", "sqlite"):
        chosen = sorted(file for file in found if kinds[file] == kind)
        if chosen:
            return chosen
    raise DataError(f"{found[0]} is neither Parquet, CSV, DuckDB nor SQLite.")


def _local_files(source: str) -> list[str]:
    path = local_path(source)
    if path.is_dir():
        return [str(file) for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path).parts)]
    if path.exists():
        return [str(path)]
    matches = [name for name in glob.glob(str(path), recursive=True) if os.path.isfile(name)]
    if matches:
        return matches
    there = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = f" {suggest(path.name, there, most=5)}" if there else f" There is no folder {path.parent} either."
    raise DataError(f"There is no file or folder {source}.{near}")


def _remote_files(source: str) -> list[str]:
    files, path = filesystem(source)
    protocol = source.split("://", 1)[0]
    try:
        if files.isdir(path):
            names = [name for name in files.find(path) if not _hidden(Path(name[len(path) :]).parts)]
        else:
            names = files.glob(path) if any(char in path for char in "*?[") else [path] if files.exists(path) else []
    except (OSError, ImportError) as error:
        raise Unavailable(f"{public(source)} cannot be reached: {_first_line(error)}") from error
    if not names:
        raise DataError(f"There is nothing at {public(source)}.")
    return [name if "://" in name else f"{protocol}://{name}" for name in names]


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(("_", ".")) for part in parts)


def _kind(file: str) -> str:
    """parquet, csv, duckdb, sqlite or other, by what the file begins with, then by its name."""
    head = _head(file)
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:15] == b"SQLite format 3":
        return "sqlite"
    if head[8:12] == b"DUCK":
        return "duckdb"
    return "csv" if file.casefold().endswith(CSV_ENDINGS) else "other"


def _head(file: str) -> bytes:
    if is_remote(file):
        files, path = filesystem(file)
        with files.open(path, "rb") as stream:
            return bytes(stream.read(16))
    try:
        with local_path(file).open("rb") as stream:
            return stream.read(16)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error


def _csv(connection: duckdb.DuckDBPyConnection, files: list[str]) -> str:
    # the same escaping of paths as for Parquet
    listed = parquet_sql(connection, files).removeprefix("read_parquet(").removesuffix(")")
    return f"read_csv({listed}, union_by_name = true)"


@contextlib.contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, file: str, query: str | None) -> Iterator[str]:
    import duckdb

    if is_remote(file):
        raise DataError(f"{file}: copy the DuckDB file here first; it cannot be opened from a URL.")
    try:
        connection.execute(f"ATTACH {literal(str(local_path(file)))} AS source (READ_ONLY)")
    except duckdb.Error as error:
        if "lock" in str(error).casefold():
            raise Unavailable(f"{file} is being written by another process.") from error
        raise DataError(f"{file} cannot be opened: {_first_line(error)}") from error
    try:
        connection.execute("USE source")
        yield f"({query.rstrip().rstrip(';')})" if query else _only_table(connection, file)
    finally:
        connection.execute("USE memory")
        connection.execute("DETACH source")


def _only_table(connection: duckdb.DuckDBPyConnection, file: str) -> str:
    rows = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'source' ORDER BY ALL"
    ).fetchall()
    schema, table = only([(str(row[0]), str(row[1])) for row in rows], file)
    return f"{quote(schema)}.{quote(table)}"


def select(source: Source, columns: Sequence[str] | None) -> list[str]:
    """The columns to read, each once: all, or those named, which must be there."""
    if columns is None:
        return list(source.columns)
    wanted = list(dict.fromkeys(columns))
    require_columns(source.columns, wanted, source.name)
    return wanted

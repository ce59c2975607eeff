"""Tables of any database that SQLAlchemy speaks to, fetched in chunks into Parquet files for DuckDB."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.context import current
from ostinato.errors import ConfigurationError, DataError, Unavailable
from ostinato.tables import require_columns

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy import Connection, Engine

CHUNK = 100_000  # rows fetched at once


@contextlib.contextmanager
def fetched(
    connection: duckdb.DuckDBPyConnection, url: str, query: str | None, columns: Sequence[str] | None
) -> Iterator[list[str]]:
    """Fetch a query's rows into Parquet files that are there for the body; bounded memory.

    Raises:
        Unavailable: the database does not answer or is locked.
        DataError: it refuses the query.
    """
    import sqlalchemy as sa

    engine = engine_of(url)
    shown = engine.url.render_as_string(hide_password=True)
    workspace = current().workspace
    with tempfile.TemporaryDirectory(prefix=f"{workspace.scratch_name('fetch')}.", dir=workspace.scratch()) as folder:
        try:
            with engine.connect().execution_options(stream_results=True) as open_connection:
                statement = sa.text(query) if query else _whole_table(open_connection, shown, columns)
                parts = list(_parts(open_connection, statement, Path(folder)))
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            if _refused_query(error):
                raise DataError(f"{shown} refuses the query: {error.orig}") from error
            raise Unavailable(f"{shown} does not answer: {error.orig}") from error
        except sa.exc.DBAPIError as error:
            raise DataError(f"{shown} refuses the query: {error.orig}") from error
        finally:
            engine.dispose()
        yield parts


def engine_of(url: str) -> Engine:
    """The SQLAlchemy engine of a URL, not yet connected.

    Raises:
        ConfigurationError: no such kind of database, or its driver is not installed.
        DataError: a SQLite file that is not there.
    """
    import sqlalchemy as sa

    try:
        parsed = sa.engine.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists():
            raise DataError(f"There is no file {parsed.database}.")  # sqlite would make an empty one
        return sa.create_engine(parsed)
    except sa.exc.NoSuchModuleError:
        raise ConfigurationError(
            f"{url.split('://', 1)[0]}:// is neither a database SQLAlchemy knows nor a file system fsspec knows."
        ) from None
    except ImportError as error:
        raise ConfigurationError(f"The driver of {url.split('://', 1)[0]}:// is not installed: {error}.") from None
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"The source is no database URL that SQLAlchemy reads: {error}") from None


def _refused_query(error: Any) -> bool:
    """sqlite calls a missing table an operational error, as it does a locked file."""
    return any(phrase in str(error.orig) for phrase in ("no such", "syntax error", "near "))


def _whole_table(connection: Connection, shown: str, columns: Sequence[str] | None) -> Any:
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    name = only([*inspector.get_table_names(), *inspector.get_view_names()], shown)
    there = [str(column["name"]) for column in inspector.get_columns(name)]
    wanted = there if columns is None else list(dict.fromkeys(columns))
    require_columns(there, wanted, f"{shown}, table {name!r},")
    return sa.select(*(sa.column(column) for column in wanted)).select_from(sa.table(name))


def _parts(connection: Connection, statement: Any, folder: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    result = connection.execute(statement)
    names = [str(name) for name in list(result.keys())]
    done = 0
    for number, rows in enumerate(result.partitions(CHUNK)):
        table = pa.table([_array(column) for column in zip(*rows, strict=True)], names=names)
        place = folder / f"part-{number:06d}.parquet"
        pq.write_table(table, place, compression="lz4")
        done += len(rows)
        current().progress(done)
        yield str(place)
    if not done:
        raise DataError("The query gives no rows.")


def _array(values: Sequence[Any]) -> Any:
    """One column of a chunk; Decimals as floats, and what has no common type as text."""
    import decimal

    import pyarrow as pa

    if any(isinstance(value, decimal.Decimal) for value in values):
        values = [float(value) if isinstance(value, decimal.Decimal) else value for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def only(tables: list[Any], where: str) -> Any:
    """The single table of a database, or a sentence that lists what there is."""
    if len(tables) != 1:
        listed = ", ".join(repr(".".join(t) if isinstance(t, tuple) else t) for t in tables[:20]) or "none"
        raise DataError(f"{where} holds {len(tables)} tables ({listed}); say which with a query: SELECT * FROM …")
    return tables[0]

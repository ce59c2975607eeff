"""Tables that are judged where they lie: in a database, or in Spark."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.errors import DataError, Unavailable, suggest
from ostinato.suites.suite import Rule

from .databases import engine_of, only


@dataclass(frozen=True)
class Place:
    """A table: how many rows it has, its columns with their types, and Great Expectations' results on it."""

    rows: int
    schema: Mapping[str, str]
    ask: Callable[[Sequence[Rule]], list[dict[str, Any]]]


@contextlib.contextmanager
def in_database(url: str, table: str | None, schema: str | None) -> Iterator[Place]:
    """A table of a database that SQLAlchemy speaks to, for the body; the only one where none is named.

    Raises:
        DataError: no such table.
        Unavailable: the database does not answer.
    """
    import sqlalchemy as sa

    from ostinato.integrations import gx_validator

    engine = engine_of(url)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            inspector = sa.inspect(connection)
            there = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
            name = table or only(there, shown)
            if name not in there:
                raise DataError(f"{shown} has no table {name!r}. {suggest(name, there)}")
            columns = {
                str(column["name"]): _spelled(column["type"], engine.dialect)
                for column in inspector.get_columns(name, schema)
            }
            found = connection.execute(sa.select(sa.func.count()).select_from(sa.table(name, schema=schema)))
            rows = int(found.scalar_one())
        yield Place(rows, columns, lambda rules: gx_validator.on_database(url, name, rules, schema=schema))
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise Unavailable(f"{shown} does not answer: {error.orig}") from error
    finally:
        engine.dispose()


def _spelled(kind: Any, dialect: Any) -> str:
    """A column's type as its database calls it."""
    import sqlalchemy as sa

    try:
        return str(kind.compile(dialect=dialect))
    except sa.exc.CompileError:  # one that SQLAlchemy does not know
        return str(kind)


@contextlib.contextmanager
def in_spark(source: str) -> Iterator[Place]:
    """A Parquet path or a table of the running Spark session, or of a local one, for the body.

    Raises:
        DataError: Spark cannot read it.
    """
    from ostinato.integrations import gx_validator, spark_tables

    frame = spark_tables.frame(source)
    yield Place(frame.count(), dict(frame.dtypes), lambda rules: gx_validator.on_spark(frame, rules))

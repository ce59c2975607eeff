"""Tables in Parquet, read and written with DuckDB: bounded memory, nothing loaded before it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .artifacts import Artifact, digest_of, forget_manifest, write_manifest
from .context import current
from .errors import ConfigurationError, ContractError, DataError, suggest
from .workspace import filesystem, is_remote, local_path, to_uri, whole

if TYPE_CHECKING:
    import duckdb
    import pandas
    import pyarrow


Scalar = str | int | float | bool | None


def quote(identifier: str) -> str:
    """An SQL identifier, whatever a stranger called the column."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: Scalar | datetime) -> str:
    """An SQL literal, for the places where DuckDB takes no parameter."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{timestamp(value)}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def timestamp(moment: datetime) -> str:
    """A moment in UTC as tables hold it: `2026-03-01 00:00:00`, microseconds where there are some."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(sep=" ")


@contextmanager
def duck(memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with bounded memory that spills into the workspace; times are UTC.

    Args:
        memory: DuckDB's limit, e.g. "1GB"; default `OSTINATO_MEMORY`, else 1500MB. `OSTINATO_THREADS` bounds threads.
    """
    import duckdb

    context = current()
    config: dict[str, Any] = {
        "memory_limit": memory or os.environ.get("OSTINATO_MEMORY", "1500MB"),
        "temp_directory": str(context.workspace.scratch() / context.workspace.scratch_name("duckdb")),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
    }
    if threads := os.environ.get("OSTINATO_THREADS"):
        config["threads"] = threads
    try:
        connection = duckdb.connect(":memory:", config=config)
    except duckdb.Error as error:
        raise ConfigurationError(f"DuckDB refuses OSTINATO_MEMORY or OSTINATO_THREADS: {error}") from error
    try:
        connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def parquet_sql(
    connection: duckdb.DuckDBPyConnection, places: Iterable[str], union: bool = False, partitions: bool = True
) -> str:
    """`read_parquet([...])` over exactly these files: nothing in a path is taken for a pattern.

    Args:
        union: columns are matched by name, for files that were not written together.
        partitions: a folder called `day=3` is a column `day`.
    """
    files = []
    for place in places:
        if is_remote(place):
            storage, path = filesystem(place)
            protocol = place.split("://", 1)[0]
            if not connection.filesystem_is_registered(protocol):
                connection.register_filesystem(storage)
            files.append(f"{protocol}://{path}" if "://" not in path else path)
        else:
            files.append(_verbatim(str(local_path(place))))
    listed = ", ".join(literal(name) for name in files)
    by_name = ", union_by_name = true" if union and len(files) > 1 else ""
    return f"read_parquet([{listed}]{by_name}{'' if partitions else ', hive_partitioning = false'})"


def _verbatim(path: str) -> str:
    """A path with glob's special characters bracketed, so that DuckDB takes them as they are."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)


@dataclass(frozen=True)
class Dataset(Artifact):
    """A table in Parquet, or a part of one.

    `facts`: `rows`; where known `time` `{column, from, until}`; `where`, the conditions that make it a part
    (`[{column, op, value}]`, see `part`).
    """

    @classmethod
    def save(
        cls,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        name: str = "data",
        *,
        time: str | None = None,
        place: str | None = None,
    ) -> Dataset:
        """Write the rows of `query` as this step's output `name`, whole or not at all.

        Args:
            time: the event-time column; its range becomes a fact.
            place: the path or URL of a Parquet file to write instead, for tables that outlive the run.
        """
        context = current()
        place = place or f"{context.folder}/{name}.parquet"
        with whole(place, context.workspace.scratch()) as part:
            connection.execute(f"COPY ({query}) TO {literal(str(part))} (FORMAT parquet, COMPRESSION lz4)")
            measured = _measure(connection, parquet_sql(connection, [str(part)], partitions=False), time)
            forget_manifest(place)  # an old one must not vouch for the new data
        facts, digest, schema = measured
        write_manifest(place, "Dataset", digest, facts, schema=schema)
        return cls(to_uri(place), digest, facts)

    @classmethod
    def of(cls, table: pandas.DataFrame | pyarrow.Table, name: str = "data", *, time: str | None = None) -> Dataset:
        """Write a pandas or Arrow table as this step's output `name`."""
        with duck() as connection:
            connection.register("given", table)
            given: Any = table
            names = given.column_names if hasattr(type(table), "column_names") else given.columns
            if connection.table("given").columns != [str(column) for column in names]:
                listed = ", ".join(repr(str(column)) for column in names)  # SQL does not tell `Age` from `age`
                raise ContractError(f"{name!r} has columns that are called alike or nothing: {listed[:200]}")
            return cls.save(connection, "FROM given", name, time=time)

    def part(self, connection: duckdb.DuckDBPyConnection, where: Sequence[Mapping[str, Any]]) -> Dataset:
        """The rows that meet every condition, without copying them.

        Args:
            where: `{column, op, value}` with op one of `>=`, `<`, `=`, `null or <`; times as ISO text with
                `"type": "timestamp"`.
        """
        conditions = [*self.facts.get("where", ()), *(dict(condition) for condition in where)]
        narrowed = replace(self, facts={**self.facts, "where": conditions})
        column = self.facts.get("time", {}).get("column")
        facts, digest, _ = _measure(connection, narrowed.sql(connection), column)
        return Dataset(self.uri, digest, {**facts, "where": conditions})

    def sql(self, connection: duckdb.DuckDBPyConnection, number: str | None = None) -> str:
        """The table as something to select FROM.

        Args:
            number: a further column of this name tells the row's place in its file, the same in every query.

        Raises:
            DataError: the data is gone; or the table has a column `file_row_number`, which hides DuckDB's own.
        """
        if not is_remote(self.uri) and not local_path(self.uri).exists():
            raise DataError(f"{self.uri} is gone.")
        table = parquet_sql(connection, [self.uri], partitions=False)
        conditions = [_condition(condition) for condition in self.facts.get("where", ())]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        if number is None:
            return f"(FROM {table}{where})" if where else table
        if "file_row_number" in map(str.casefold, self.schema):
            raise DataError(f"{self.uri} has a column 'file_row_number', so its rows cannot be numbered; rename it.")
        return f"(SELECT *, file_row_number AS {quote(number)} FROM {table}{where})"

    def view(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Make the table readable as the view `name`."""
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS FROM {self.sql(connection)}")

    @property
    def rows(self) -> int:
        return int(self.facts["rows"])

    @cached_property  # no property: those are what a pipeline may name, and this lies beside the reference
    def schema(self) -> dict[str, str]:
        """Column names and DuckDB types, in order, from the manifest."""
        return dict(self.manifest()["schema"])

    def require(self, columns: Iterable[str]) -> None:
        """Raise DataError, with the nearest name, when a column is missing."""
        require_columns(self.schema, columns, self.uri)

    def to_arrow(self, columns: Sequence[str] | None = None, order_by: Sequence[str] = ()) -> pyarrow.Table:
        """All rows in memory, as Arrow; in no defined order unless `order_by` is given."""
        chosen = ", ".join(quote(column) for column in columns) if columns is not None else "*"
        order = f" ORDER BY {', '.join(quote(column) for column in order_by)}" if order_by else ""
        if columns is not None:
            self.require(columns)
        with duck() as connection:
            table: pyarrow.Table = connection.sql(
                f"SELECT {chosen} FROM {self.sql(connection)}{order}"
            ).to_arrow_table()
            return table

    def to_pandas(self, columns: Sequence[str] | None = None, order_by: Sequence[str] = ()) -> pandas.DataFrame:
        """All rows in memory, as pandas; in no defined order unless `order_by` is given."""
        return self.to_arrow(columns, order_by).to_pandas()


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """A column's name like `wanted` that none of `taken` has; SQL does not tell `Age` from `age`."""
    folded = {name.casefold() for name in taken}
    while wanted.casefold() in folded:
        wanted = f"_{wanted}"
    return wanted


def require_columns(have: Iterable[str], wanted: Iterable[str], where: str) -> None:
    """Raise DataError naming the first column of `wanted` that is not among `have`."""
    names = list(have)
    for column in wanted:
        if column not in names:
            raise DataError(f"{where} has no column {column!r}. {suggest(column, names)}")


_OPERATORS = {">=": "{0} >= {1}", "<": "{0} < {1}", "=": "{0} = {1}", "null or <": "({0} IS NULL OR {0} < {1})"}


def _condition(condition: Mapping[str, Any]) -> str:
    if condition["op"] not in _OPERATORS:
        raise ContractError(f"Unknown operator {condition['op']!r}. {suggest(condition['op'], _OPERATORS)}")
    value = condition["value"]
    if condition.get("type") == "timestamp":
        value = datetime.fromisoformat(value)
    return _OPERATORS[condition["op"]].format(quote(condition["column"]), literal(value))


def _measure(
    connection: duckdb.DuckDBPyConnection, table: str, time: str | None
) -> tuple[dict[str, Any], str, list[list[str]]]:
    """Facts, content digest and schema of a table, in one scan.

    The digest is of the schema, the row count and two order-free sums of row hashes: rows come back from a parallel
    write in any order.
    """
    described = connection.execute(f"DESCRIBE FROM {table}").fetchall()
    schema = [[str(row[0]), str(row[1])] for row in described]
    columns = ", ".join(quote(name) for name, _ in schema)
    if time:
        kinds = dict(schema)
        require_columns(kinds, [time], "the table to save")
        if not kinds[time].startswith(("TIMESTAMP", "DATE")):
            raise DataError(f"the event time {time!r} is {kinds[time]}, not a TIMESTAMP or DATE.")
    found = connection.execute(
        f"SELECT count(*), sum(h), sum(hash(h, 1)), min(t), max(t) FROM "
        f"(SELECT hash({columns}) AS h, {quote(time) if time else 'NULL'}::TIMESTAMP AS t FROM {table})"
    ).fetchall()  # all: an unfinished result blocks the connection
    count, first, second, earliest, latest = found[0]
    facts: dict[str, Any] = {"rows": count}
    if time:
        facts["time"] = {"column": time, "from": _text(earliest), "until": _text(latest)}
    return facts, digest_of([schema, count, str(first), str(second)]), schema


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)

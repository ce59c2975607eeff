"""Typed references to what steps make: all that crosses a step boundary.

A reference is `{kind, uri, digest, facts}`, a few hundred bytes of JSON. The data lies at the uri, with a manifest
beside it. A digest says *same content*, not same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .context import current
from .errors import ConfigurationError, ContractError, DataError, suggest
from .workspace import filesystem, is_remote, local_path, read_text, to_uri, whole, write_json, write_text

if TYPE_CHECKING:
    import duckdb
    import pandas
    import pyarrow

MANIFEST = ".manifest.json"


def digest_of(value: Any) -> str:
    """The SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A reference: where a thing lies, what its content is, and a few facts about it."""

    uri: str
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    kinds: ClassVar[dict[str, type[Artifact]]] = {}

    def __init_subclass__(cls) -> None:
        Artifact.kinds[cls.__name__] = cls

    @property
    def kind(self) -> str:
        return type(self).__name__

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "uri": self.uri, "digest": self.digest, "facts": dict(self.facts)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Artifact:
        """The typed reference behind its JSON.

        Raises:
            ContractError: `value` is not a reference, or of a kind this version does not know.
        """
        if not is_reference(value):
            raise ContractError(f"not a reference: {str(value)[:120]!r}")
        kind = Artifact.kinds.get(value["kind"])
        if kind is None:
            raise ContractError(f"Unknown artifact kind {value['kind']!r}. {suggest(value['kind'], Artifact.kinds)}")
        return kind(value["uri"], value["digest"], value.get("facts") or {})

    def manifest(self) -> dict[str, Any]:
        """What is recorded beside the data: schema, rows, producer."""
        place = str(local_path(self.uri)) if not is_remote(self.uri) else self.uri
        try:
            found: dict[str, Any] = json.loads(read_text(place + MANIFEST))
        except FileNotFoundError:
            raise DataError(f"{self.uri} is gone, or was never finished: it has no manifest.") from None
        return found


def is_reference(value: Any) -> bool:
    """Whether a JSON value is a reference to an artifact."""
    return isinstance(value, Mapping) and {"kind", "uri", "digest"} <= value.keys()


def _write_manifest(place: str, kind: str, digest: str, facts: Mapping[str, Any], **more: Any) -> None:
    context = current()
    producer = {"run": context.run_id, "pipeline": context.pipeline, "step": context.step}
    write_json(place + MANIFEST, {"kind": kind, "digest": digest, "facts": dict(facts), "producer": producer, **more})


@dataclass(frozen=True)
class _Document(Artifact):
    """An artifact that is one JSON file; `digest` is that of its content."""

    @classmethod
    def _save(cls, name: str, content: Any, facts: Mapping[str, Any]) -> Self:
        place = f"{current().folder}/{name}.json"
        digest = digest_of(content)
        write_json(place, content)
        _write_manifest(place, cls.__name__, digest, facts)
        return cls(to_uri(place), digest, facts)

    def read(self) -> Any:
        """The file's content."""
        return json.loads(read_text(self.uri))


@dataclass(frozen=True)
class Metrics(_Document):
    """Named numbers; all of them travel with the reference."""

    @classmethod
    def of(cls, values: Mapping[str, float], name: str = "metrics") -> Metrics:
        return cls._save(name, dict(values), {"values": dict(values)})

    @property
    def values(self) -> dict[str, float]:
        return dict(self.facts["values"])


@dataclass(frozen=True)
class Verdict(_Document):
    """The judgement of a candidate: named checks with value and bound, and whether all passed."""

    @classmethod
    def of(
        cls,
        checks: Sequence[Mapping[str, Any]],
        metrics: Mapping[str, float],
        *,
        model: str,
        data: str,
        name: str = "verdict",
    ) -> Verdict:
        """Judge `checks` (`{name, value, bound, outcome: pass | fail | not-enough-data}`).

        Args:
            metrics: the candidate's numbers, for people and for records.
            model: the digest of the model judged.
            data: the digest of the rows it was judged on.
        """
        if not checks:
            raise ContractError("a verdict without a check would pass anything")
        passed = all(check["outcome"] == "pass" for check in checks)
        judged = {"model": model, "data": data}
        content = {"passed": passed, "checks": [dict(check) for check in checks], "metrics": dict(metrics), **judged}
        return cls._save(name, content, content)

    @property
    def passed(self) -> bool:
        return bool(self.facts["passed"])

    @property
    def checks(self) -> list[dict[str, Any]]:
        return list(self.facts["checks"])

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self.facts["metrics"])


@dataclass(frozen=True)
class Report(Artifact):
    """A page for people."""

    @classmethod
    def of(cls, html: str, name: str = "report") -> Report:
        place = f"{current().folder}/{name}.html"
        digest = "sha256:" + hashlib.sha256(html.encode()).hexdigest()
        write_text(place, html)
        _write_manifest(place, "Report", digest, {})
        return cls(to_uri(place), digest)


@dataclass(frozen=True)
class Model(Artifact):
    """A fitted model, logged and pinned (`models:/m-…` or `models:/name/7`, never an alias).

    `facts`: `estimator` (import path), `features` (names, in order), `files` (digest of the stored files), `size`
    (bytes), `version` once it is registered.
    """

    @classmethod
    def of(cls, estimator: Any, example: pandas.DataFrame | None = None, **facts: Any) -> Model:
        """Log a fitted estimator to the model store.

        Args:
            estimator: a fitted scikit-learn style estimator.
            example: a few rows of features, in the order of training: the input schema and the digest's probe.
            facts: more to record with it; must be JSON.
        """
        from . import catalog

        stored = catalog.find("store", "mlflow").log_model(estimator, example, facts)
        return cls(**stored)

    def load(self) -> Any:
        """The estimator itself; refuses files other than those that were logged."""
        from . import catalog

        return catalog.find("store", "mlflow").load_model(self)

    @property
    def features(self) -> list[str]:
        return list(self.facts.get("features", ()))


# --- tables -----------------------------------------------------------------------------------------------------

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
        "temp_directory": str(context.workspace.scratch() / f"duckdb-{os.getpid()}"),
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


def parquet_sql(connection: duckdb.DuckDBPyConnection, places: Iterable[str]) -> str:
    """`read_parquet([...])` over exactly these files: nothing in a path is taken for a pattern."""
    files = []
    for place in places:
        if is_remote(place):
            storage, path = filesystem(place)
            protocol = place.split("://", 1)[0]
            if not connection.filesystem_is_registered(storage.protocol if isinstance(storage.protocol, str) else protocol):
                connection.register_filesystem(storage)
            files.append(f"{protocol}://{path}" if "://" not in path else path)
        else:
            files.append(_verbatim(str(local_path(place))))
    return f"read_parquet([{', '.join(literal(name) for name in files)}])"


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
        cls, connection: duckdb.DuckDBPyConnection, query: str, name: str = "data", *, time: str | None = None
    ) -> Dataset:
        """Write the rows of `query` as this step's output `name`, whole or not at all.

        Args:
            time: the event-time column; its range becomes a fact.
        """
        context = current()
        place = f"{context.folder}/{name}.parquet"
        with whole(place, context.workspace.scratch()) as part:
            connection.execute(f"COPY ({query}) TO {literal(str(part))} (FORMAT parquet, COMPRESSION lz4)")
            measured = _measure(connection, parquet_sql(connection, [str(part)]), time)
        facts, digest, schema = measured
        _write_manifest(place, "Dataset", digest, facts, schema=schema)
        return cls(to_uri(place), digest, facts)

    @classmethod
    def of(cls, table: pandas.DataFrame | pyarrow.Table, name: str = "data", *, time: str | None = None) -> Dataset:
        """Write a pandas or Arrow table as this step's output `name`."""
        with duck() as connection:
            connection.register("given", table)
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

    def sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The table as something to select FROM."""
        table = parquet_sql(connection, [self.uri])
        conditions = [_condition(condition) for condition in self.facts.get("where", ())]
        return f"(FROM {table} WHERE {' AND '.join(conditions)})" if conditions else table

    def view(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Make the table readable as the view `name`."""
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS FROM {self.sql(connection)}")

    @property
    def rows(self) -> int:
        return int(self.facts["rows"])

    @property
    def schema(self) -> dict[str, str]:
        """Column names and DuckDB types, in order, from the manifest."""
        return {name: kind for name, kind in self.manifest()["schema"]}

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
            return connection.sql(f"SELECT {chosen} FROM {self.sql(connection)}{order}").to_arrow_table()

    def to_pandas(self, columns: Sequence[str] | None = None, order_by: Sequence[str] = ()) -> pandas.DataFrame:
        """All rows in memory, as pandas; in no defined order unless `order_by` is given."""
        return self.to_arrow(columns, order_by).to_pandas()


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
    row = connection.execute(
        f"SELECT count(*), sum(h), sum(hash(h, 1)), min(t), max(t) FROM "
        f"(SELECT hash({columns}) AS h, {quote(time) if time else 'NULL::TIMESTAMP'} AS t FROM {table})"
    ).fetchone()
    assert row is not None  # an aggregate without GROUP BY has one row
    count, first, second, earliest, latest = row
    facts: dict[str, Any] = {"rows": count}
    if time:
        facts["time"] = {"column": time, "from": _text(earliest), "until": _text(latest)}
    return facts, digest_of([schema, count, str(first), str(second)]), schema


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)

"""DuckDB for Great Expectations: an SQLAlchemy dialect that DuckDB answers as PostgreSQL would.

Great Expectations has no DuckDB branch. The dialect calls itself `postgresql`, so that the best-tested one is taken,
and puts right what DuckDB reads otherwise: in a regular expression a dot is a newline, too, and a backslash escapes
in LIKE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from types import ModuleType
from typing import Any, ClassVar
from uuid import uuid4
from weakref import WeakSet

import duckdb
import sqlalchemy
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect, PGIdentifierPreparer

from ostinato.tables import literal, quote

__all__ = ["guard_gx", "served"]

_SCHEME = "ostinatoduck"


@contextmanager
def served(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """An SQLAlchemy URL under which Great Expectations reads this very DuckDB instance for the body.

    It sees tables and ordinary views, not those made with TEMP.
    """
    registry.register(_SCHEME, __name__, _DuckDialect.__name__)
    name, session = uuid4().hex, _Session(connection)
    _sessions[name] = session
    try:
        yield f"{_SCHEME}:///{name}"
    finally:
        del _sessions[name]
        session.end()


class _Session:
    """A DB-API connection: DuckDB's, which is the caller's to open and close. It has no transactions."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = connection
        self._cursors: WeakSet[_Cursor] = WeakSet()

    def cursor(self) -> _Cursor:
        if self._connection is None:
            raise duckdb.ConnectionException("The body of served() has ended.")
        cursor = _Cursor(self._connection.cursor())
        self._cursors.add(cursor)
        return cursor

    def end(self) -> None:
        """Let go of DuckDB's objects even where somebody keeps ours."""
        self._connection = None
        for cursor in list(self._cursors):
            cursor.close()

    def close(self) -> None:
        """Nothing: rows are still fetched after Great Expectations has given its connection back."""

    commit = rollback = close


class _Cursor:
    """A DB-API cursor with a DuckDB cursor of its own: rows stay in DuckDB until they are fetched."""

    arraysize = 1
    rowcount = -1

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor: duckdb.DuckDBPyConnection | None = cursor
        self._zoned: set[int] = set()
        self.description: Any = None
        cursor.execute("SET enable_progress_bar = false")  # a cursor does not inherit it

    @property
    def _duck(self) -> duckdb.DuckDBPyConnection:
        if self._cursor is None:
            raise duckdb.ProgrammingError("The cursor is closed.")
        return self._cursor

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        self._duck.execute(statement, parameters)
        self.description = self._duck.description
        kinds = [str(column[1]) for column in self.description or ()]
        if _ZONED.search(" ".join(kinds)):
            # DuckDB hands such moments out with the help of pytz, which nothing else here needs. Without their zone,
            # which is UTC, they need no help.
            names = [f"c{place}" for place in range(len(kinds))]
            bare = [f"{name}::{_ZONED.sub(_bare, kind)}" for name, kind in zip(names, kinds, strict=True)]
            self._duck.execute(f"SELECT {', '.join(bare)} FROM ({statement}) AS _({', '.join(names)})", parameters)
        self._zoned = {place for place, kind in enumerate(kinds) if _ZONED.fullmatch(kind)}

    def fetchone(self) -> Any:
        row = self._duck.fetchone()
        return row and self._with_zones(row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._with_zones(row) for row in self._duck.fetchmany(size or self.arraysize)]

    def fetchall(self) -> list[Any]:
        return [self._with_zones(row) for row in self._duck.fetchall()]

    def _with_zones(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self._zoned:
            return row
        return tuple(
            value.replace(tzinfo=UTC) if place in self._zoned and isinstance(value, datetime) else value
            for place, value in enumerate(row)
        )

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


_ZONED = re.compile(r"TIMESTAMP(?: WITH TIME ZONE|TZ_NS)")


def _bare(zoned: re.Match[str]) -> str:
    return "TIMESTAMP_NS" if zoned[0].endswith("_NS") else "TIMESTAMP"


_sessions: dict[str, _Session] = {}  # those of the bodies that run now


class _Compiler(PGCompiler):
    """PostgreSQL's SQL with the operators that DuckDB understands otherwise."""

    # Parameters are named after their columns, and SQLAlchemy finds them again by a pattern that stops at these.
    bindname_escape_characters: ClassVar[Mapping[str, str]] = {
        **PGCompiler.bindname_escape_characters,
        **{char: "_" for char in map(chr, range(0x3001)) if char.isspace() or char == "~"},
    }

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        searched = re.fullmatch(r"(!?)~(\*?)", operator.opstring)
        if not searched:
            return str(super().visit_custom_op_binary(element, operator, **kw))  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
        # A search whatever `~` is (in DuckDB 1 it matched the whole text); 's': a dot is a newline, too.
        negated, caseless = searched.groups()
        text, pattern = self.process(element.left, **kw), self.process(element.right, **kw)
        found = f"regexp_matches({text}, {pattern}, '{'si' if caseless else 's'}')"
        return f"(NOT {found})" if negated else found

    def _like(self, operator: str, element: Any, **kw: Any) -> str:
        escape = element.modifiers.get("escape")
        text, pattern = self.process(element.left, **kw), self.process(element.right, **kw)
        # PostgreSQL's backslash escapes unless another character is named, DuckDB's does not
        return f"{text} {operator} {pattern} ESCAPE {literal(escape or chr(92))}"

    def visit_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("LIKE", binary, **kw)

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("NOT LIKE", binary, **kw)

    def visit_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("ILIKE", binary, **kw)

    def visit_not_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("NOT ILIKE", binary, **kw)


class _Preparer(PGIdentifierPreparer):
    """Every name is quoted: DuckDB reserves other words than PostgreSQL, `at` for one."""

    def _requires_quotes(self, value: str) -> bool:
        return True


class _Named(sqlalchemy.types.UserDefinedType[Any]):
    """A column's type, known by its name only: values come from DuckDB as they should be."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **kw: Any) -> str:
        return self.name


# As PostgreSQL spells them; what it has not keeps DuckDB's name. None may be missing: a type without a name makes
# every expectation on the table raise.
_SPELLED = {
    "BLOB": "BYTEA",
    "DOUBLE": "DOUBLE PRECISION",
    "FLOAT": "REAL",
    "TIME": "TIME WITHOUT TIME ZONE",
    "TIMESTAMP": "TIMESTAMP WITHOUT TIME ZONE",
}


def _spelled(name: str) -> str:
    return _SPELLED.get(name) or re.sub(r"^DECIMAL\((\d+),(\d+)\)$", r"NUMERIC(\1, \2)", name)


class _DuckDialect(PGDialect):
    name = "postgresql"  # by which Great Expectations chooses its SQL
    driver = _SCHEME
    statement_compiler = _Compiler
    preparer = _Preparer
    supports_statement_cache = True
    div_is_floordiv = False
    max_identifier_length = 10_000

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        module: ModuleType = duckdb
        return module

    @classmethod
    def get_pool_class(cls, url: Any) -> type[sqlalchemy.Pool]:
        return sqlalchemy.NullPool  # a session costs nothing, and none must be kept

    def create_connect_args(self, url: sqlalchemy.URL) -> Any:
        return [url.database], {}

    def connect(self, *names: Any, **more: Any) -> Any:
        if names[0] not in _sessions:
            raise duckdb.ConnectionException("The body of served() has ended.")
        return _sessions[names[0]]

    def initialize(self, connection: Any) -> None:
        self.server_version_info, self.default_schema_name = (16, 0), "main"

    def on_connect(self) -> None:
        return None

    def do_ping(self, dbapi_connection: Any) -> bool:
        return True

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "AUTOCOMMIT"

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        return table_name in (*self.get_table_names(connection), *self.get_view_names(connection))

    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        return ["main"]

    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        return list(connection.exec_driver_sql("SELECT table_name FROM duckdb_tables()").scalars())

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        return list(connection.exec_driver_sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").scalars())

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        described = connection.exec_driver_sql(f"DESCRIBE {quote(table_name)}")
        return [
            {"name": row[0], "type": _Named(_spelled(row[1])), "nullable": True, "default": None} for row in described
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        return {"constrained_columns": [], "name": None}

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return []

    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return []

    def get_unique_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        return []


def guard_gx() -> None:
    """Put right what Great Expectations 1.24 does wrong, or dearly on DuckDB. Once is enough, more does no harm."""
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine
    from great_expectations.expectations import registry as known
    from great_expectations.expectations.core import ExpectColumnQuantileValuesToBeBetween as Quantiles
    from great_expectations.expectations.metrics.column_aggregate_metrics import column_quantile_values as quantiles

    known.register_core_metrics()
    Quantiles._validate = _guarded(Quantiles._validate, _with_plain_success)
    kind = engine.SqlAlchemyExecutionEngine
    kind.get_compute_domain = _guarded(kind.get_compute_domain, _with_subquery)
    engine.parse_condition_to_sqlalchemy = _guarded(engine.parse_condition_to_sqlalchemy, _with_any_name)
    generic = quantiles._get_column_quantiles_generic_sqlalchemy
    quantiles._get_column_quantiles_generic_sqlalchemy = _guarded(generic, _all_quantiles)
    for metric in ("column_values.unique.unexpected_count", "compound_columns.unique.unexpected_count"):
        providers = known._registered_metrics[metric]["providers"]
        provider, count = providers["SqlAlchemyExecutionEngine"]
        providers["SqlAlchemyExecutionEngine"] = (provider, _guarded(count, _count_of_duplicates))


def _guarded(original: Any, better: Any) -> Any:
    """`original`, called by `better`; the same when it is guarded already."""
    if hasattr(original, "guarded"):
        return original

    @wraps(original)  # with the attributes by which Great Expectations knows what kind of function it is
    def guarded(*arguments: Any, **named: Any) -> Any:
        return better(original, *arguments, **named)

    guarded.guarded = True  # type: ignore[attr-defined]  # a mark on a function
    return guarded


def _with_plain_success(original: Any, *arguments: Any, **named: Any) -> Any:
    result = original(*arguments, **named)
    result["success"] = bool(result["success"])  # a numpy.bool, at which storing the result fails
    return result


def _with_subquery(original: Any, *arguments: Any, **named: Any) -> Any:
    rows, *kwargs = original(*arguments, **named)
    # With a row condition it is a SELECT, of which SQLAlchemy 2.1 makes no FROM: quantiles and others would raise.
    return (rows.subquery() if isinstance(rows, sqlalchemy.Select) else rows, *kwargs)


def _with_any_name(original: Any, condition: str) -> Any:
    # Where NULLs are left out, it is by a condition in a language whose names take no quotes, newlines and backslashes.
    found = re.fullmatch(r'col\("(.+)"\)\.notnull\(\)', condition, re.DOTALL)
    return sqlalchemy.column(found[1]).is_not(None) if found else original(condition)


def _all_quantiles(original: Any, *, column: Any, quantiles: Any, execution_engine: Any, **named: Any) -> list[Any]:
    """All from one ordering of the values; the same as `percentile_disc` gives for each."""
    if execution_engine.engine.driver != _SCHEME:
        return list(original(column=column, quantiles=quantiles, execution_engine=execution_engine, **named))
    asked = sqlalchemy.select(sqlalchemy.func.quantile_disc(column, sqlalchemy.literal(list(quantiles))))
    found = execution_engine.execute_query(asked.select_from(named["selectable"])).scalar()
    return [None] * len(quantiles) if found is None else list(found)


def _count_of_duplicates(original: Any, *, execution_engine: Any, metrics: Any, **named: Any) -> Any:
    """How many rows hold a value that another row holds too: by groups, for a third of what a window costs."""
    if execution_engine.engine.driver != _SCHEME:
        return original(execution_engine=execution_engine, metrics=metrics, **named)
    _, computed, accessed = metrics["unexpected_condition"]
    rows = execution_engine.get_domain_records(domain_kwargs={**computed, **accessed})
    rows = rows.subquery() if isinstance(rows, sqlalchemy.Select) else rows
    columns: list[Any] = [sqlalchemy.column(name) for name in accessed.get("column_list") or [accessed["column"]]]
    groups = (
        sqlalchemy.select(sqlalchemy.func.count().label("size"))
        .select_from(rows)
        .where(*(column.is_not(None) for column in columns))
        .group_by(*columns)
        .having(sqlalchemy.func.count() > 1)
        .subquery()
    )
    count = execution_engine.execute_query(sqlalchemy.select(sqlalchemy.func.sum(groups.c.size))).scalar()
    return int(count or 0)

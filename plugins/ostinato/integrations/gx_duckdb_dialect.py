"""DuckDB for Great Expectations: an SQLAlchemy dialect that DuckDB answers as PostgreSQL would.

Great Expectations has no DuckDB branch. The dialect calls itself `postgresql`, so that the best-tested one is taken,
and puts right what DuckDB reads otherwise: `~` is a search, a backslash escapes in LIKE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from uuid import uuid4
from weakref import WeakSet

import duckdb
import sqlalchemy
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect

from ostinato.tables import quote

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
        # DuckDB's cursors do not inherit settings
        cursor.execute("SET enable_progress_bar = false")

    @property
    def description(self) -> Any:
        return self._duck.description

    @property
    def _duck(self) -> duckdb.DuckDBPyConnection:
        if self._cursor is None:
            raise duckdb.ProgrammingError("The cursor is closed.")
        return self._cursor

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        self._duck.execute(statement, parameters)

    def fetchone(self) -> Any:
        return self._duck.fetchone()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return self._duck.fetchmany(size or self.arraysize)

    def fetchall(self) -> list[Any]:
        return self._duck.fetchall()

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


_sessions: dict[str, _Session] = {}  # those of the bodies that run now


class _Compiler(PGCompiler):
    """PostgreSQL's SQL with the operators that DuckDB understands otherwise."""

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        searched = re.fullmatch(r"(!?)~(\*?)", operator.opstring)
        if not searched:
            return super().visit_custom_op_binary(element, operator, **kw)
        # `~` matches the whole string in DuckDB. 's': a dot matches a newline, as in PostgreSQL.
        negated, caseless = searched.groups()
        text, pattern = self.process(element.left, **kw), self.process(element.right, **kw)
        found = f"regexp_matches({text}, {pattern}, '{'si' if caseless else 's'}')"
        return f"(NOT {found})" if negated else found

    def _like(self, operator: str, element: Any, **kw: Any) -> str:
        escape = element.modifiers.get("escape")
        text, pattern = self.process(element.left, **kw), self.process(element.right, **kw)
        # PostgreSQL's backslash escapes unless another character is named, DuckDB's does not
        return f"{text} {operator} {pattern} ESCAPE {self.render_literal_value(escape or chr(92), sqlalchemy.String())}"

    def visit_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("LIKE", binary, **kw)

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("NOT LIKE", binary, **kw)

    def visit_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("ILIKE", binary, **kw)

    def visit_not_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._like("NOT ILIKE", binary, **kw)


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
        return [{"name": row[0], "type": _Named(_spelled(row[1])), "nullable": True, "default": None} for row in described]

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
    """Put right what Great Expectations 1.24 does wrong or expensively. Call it as often as you like."""
    from great_expectations.expectations.core import ExpectColumnQuantileValuesToBeBetween as Quantiles

    original = Quantiles._validate
    if getattr(original, "guarded", False):
        return

    def validate(self: Any, *arguments: Any, **named: Any) -> Any:
        result = original(self, *arguments, **named)
        result["success"] = bool(result["success"])  # a numpy.bool, at which storing the result fails
        return result

    validate.guarded = True  # type: ignore[attr-defined]
    Quantiles._validate = validate

"""Families of column types: what a suite says of a column, whatever the engine calls its type."""

from __future__ import annotations

import re

# By the first word of the type's name in DuckDB, PostgreSQL, SQLite, Spark and the SQL standard.
_WORDS = {
    "integer": "tinyint smallint integer int int2 int4 int8 bigint hugeint utinyint usmallint uinteger ubigint "
    "uhugeint long short byte serial bigserial bignum varint",
    "number": "decimal numeric real float float4 float8 double double_precision number money",
    "text": "varchar char character text string nvarchar bpchar clob enum uuid json jsonb",
    "boolean": "boolean bool bit",
    "timestamp": "timestamp timestamptz timestamp_s timestamp_ms timestamp_ns datetime datetime2 timestamp_ntz "
    "timestamp_ltz",
    "date": "date",
    "time": "time timetz interval",
    "binary": "blob bytea binary varbinary",
}
FAMILIES = (*_WORDS, "other", "any")
_BY_WORD = {word: family for family, words in _WORDS.items() for word in words.split()}


def family(kind: str) -> str:
    """The family of a type by its name, such as `DECIMAL(10,2)` or `timestamp without time zone`.

    >>> family("DECIMAL(10,2)"), family("VARCHAR[]"), family("TIMESTAMP WITH TIME ZONE")
    ('number', 'other', 'timestamp')
    """
    if kind.endswith("]") or "<" in kind.split("(")[0]:  # lists, maps; an ENUM's values may hold anything
        return "other"
    word = re.match(r"\w+", kind.casefold())
    return _BY_WORD.get(word[0], "other") if word else "other"


def fits(kind: str, wanted: str) -> bool:
    """Whether a column of type `kind` is what a suite calls `wanted`; whole numbers are numbers too."""
    found = family(kind)
    return wanted in ("any", found) or (wanted == "number" and found == "integer")


def is_zoned(kind: str) -> bool:
    """Whether the moments in a column of type `kind` have a time zone."""
    return re.fullmatch(r"timestamp(tz\w*|(\(\d\))? with time zone)", kind.casefold()) is not None

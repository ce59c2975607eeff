"""Families: what a column is, whatever the engine calls its type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.suites.families import FAMILIES, family, fits

TYPES = {
    "integer": ["INTEGER", "int", "bigint", "HUGEINT", "UBIGINT", "INT8", "smallint", "serial", "INT(11)", "long"],
    "number": ["DECIMAL(10,2)", "numeric", "double precision", "DOUBLE", "FLOAT", "real", "money"],
    "text": ["VARCHAR", "character varying(20)", "text", "STRING", "ENUM('a', 'b')", "ENUM('<18', '18+]')", "uuid"],
    "boolean": ["BOOLEAN", "bool"],
    "timestamp": ["TIMESTAMP", "timestamp without time zone", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS", "datetime"],
    "date": ["DATE", "date"],
    "time": ["TIME", "time with time zone", "INTERVAL"],
    "binary": ["BLOB", "bytea"],
    "other": ["VARCHAR[]", "INTEGER[3]", "DECIMAL(10,2)[]", "STRUCT(a INTEGER)", "MAP(VARCHAR, INTEGER)", "array<int>",
              "map<string,decimal(10,2)>", "geometry", "", "?", "ENUM('a')[]"],
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "kind"), [(wanted, kind) for wanted, kinds in TYPES.items() for kind in kinds])
def test_a_type_is_of_one_family(wanted: str, kind: str) -> None:
    """In any engine's spelling."""
    assert family(kind) == wanted


def test_the_families_are_these() -> None:
    """They are what `columns:` of a suite may say."""
    assert (*TYPES, "any") == FAMILIES


@pytest.mark.parametrize(
    ("kind", "wanted", "does"),
    [
        ("BIGINT", "integer", True),
        ("BIGINT", "number", True),
        ("DOUBLE", "integer", False),
        ("DATE", "timestamp", False),
        ("VARCHAR[]", "any", True),
        ("VARCHAR[]", "other", True),
        ("VARCHAR", "other", False),
    ],
)
def test_a_column_fits_what_a_suite_calls_it(kind: str, wanted: str, does: bool) -> None:
    """Whole numbers are numbers; anything is `any`."""
    assert fits(kind, wanted) is does


@given(st.text())
def test_any_type_has_a_family(kind: str) -> None:
    """One that nobody knows is `other`; every column fits its own family, and `any`."""
    assert family(kind) in FAMILIES
    assert fits(kind, family(kind))
    assert fits(kind, "any")

"""The project is whole: its pipeline can be traced, its suite is sound, its table has the columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ostinato.checks import check_all
from ostinato.parameters import default
from ostinato.steps.sources import opened
from ostinato.tables import duck
from ostinato.workspace import is_remote

from project_name.pipeline import project_name as pipeline

PACKAGE = Path(__file__).parents[1] / "project_name"


@pytest.mark.parametrize("file", ["pipeline.py", "suite.yaml"])
def test_ostinato_finds_nothing_wrong_with(file: str) -> None:
    """Every slip in a step's call or in a rule is told with its line, before anything runs."""
    wrong = [f"{found.subject}: {found.message}" for found in check_all(str(PACKAGE / file)) if not found.ok]
    assert [finding for finding in wrong if file in finding] == []


def test_the_table_has_the_columns() -> None:
    """Only where the table is: elsewhere, as in continuous integration, nothing can be said."""
    source: str = default(pipeline, "source")
    if is_remote(source) or not (PACKAGE.parent / source).exists():
        pytest.skip(f"{source} is not here")
    place, query = str(PACKAGE.parent / source), default(pipeline, "query")
    with duck() as connection, opened(connection, place, query) as table:
        assert [name for name in named(default(pipeline, "columns")) if name not in table.columns] == []


def named(columns: dict[str, Any]) -> list[str]:
    """The columns of all roles, those of a list among them."""
    found: list[str] = []
    for name in columns.values():
        found += name if isinstance(name, list) else [name] if name else []
    return found

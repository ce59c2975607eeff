"""The expectations Great Expectations has, read from the schemas it ships: importing it would take seconds."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.errors import ConfigurationError

PREFIX = "expect_"
ROWS = "unexpected_rows_expectation"
# Arguments of every expectation that a suite says in its own way, or that belong to the run.
_NOT_ARGUMENTS = frozenset(
    "id meta notes result_format description catch_exceptions rendered_content severity windows batch_id metadata "
    "library_metadata type".split()
)
# Without these GX lets an expectation hold of anything: what checks nothing is no rule.
_NEEDED = frozenset("regex type_list column_list column_set partition_object threshold".split())
# They are documented, and no SQL engine can run them.
NOT_IN_SQL = 'SQL engines cannot run it; write the rule as `rows: "SELECT * FROM {batch} WHERE …"`.'


@dataclass(frozen=True)
class Expectation:
    """One of GX's expectations: its `type`, its arguments as JSON schemas, and what it speaks about.

    `rows_judged` says whether it judges row by row (and so can tell the bad ones), rather than the table as a whole.
    """

    type: str
    description: str
    arguments: Mapping[str, Mapping[str, Any]]
    required: frozenset[str]
    definitions: Mapping[str, Any]
    rows_judged: bool
    sql: bool

    @property
    def name(self) -> str:
        """The name suites use."""
        return self.type.removeprefix(PREFIX)


@functools.cache
def expectations() -> dict[str, Expectation]:
    """All of them, by the name without `expect_`.

    Raises:
        ConfigurationError: Great Expectations is not installed, or does not ship its schemas.
    """
    folder = _schemas()
    index = json.loads(Path(folder, "index.json").read_text(encoding="utf-8"))
    known = {}
    for kind, entry in index["expectations"].items():
        schema = json.loads(Path(folder, entry["schema_file"]).read_text(encoding="utf-8"))
        sql = "PostgreSQL" in entry["supported_data_sources"]
        found = _expectation(kind, entry["short_description"], schema, sql)
        known[found.name] = found
    for kind in index["documented_absent"]:  # for data in memory only
        found = Expectation(kind, NOT_IN_SQL, {}, frozenset(), {}, rows_judged=True, sql=False)
        known[found.name] = found
    return known


def _schemas() -> Path:
    spec = importlib.util.find_spec("great_expectations")
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place, "expectations", "core", "schemas")
        if (folder / "index.json").is_file():
            return folder
    raise ConfigurationError('Suites need Great Expectations. Write: pip install "great-expectations>=1.24,<2"')


def _expectation(kind: str, description: str, schema: Mapping[str, Any], sql: bool) -> Expectation:
    properties = schema["properties"]
    domain = properties["metadata"]["properties"].get("domain_type", {}).get("description", "")
    return Expectation(
        kind,
        description,
        {name: _loosened(value) for name, value in properties.items() if name not in _NOT_ARGUMENTS},
        (frozenset(schema.get("required", ())) | _NEEDED & properties.keys()) - _NOT_ARGUMENTS,
        schema.get("definitions", {}),
        rows_judged=domain.endswith("Map"),
        sql=sql,
    )


def _loosened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without what is GX's own way of saying: its parameter objects, and its steps of 0.01 for `mostly`."""
    loosened = {key: value for key, value in schema.items() if key not in ("multipleOf", "title")}
    if "anyOf" in schema:
        loosened["anyOf"] = [part for part in schema["anyOf"] if part != {"type": "object"}]
    return loosened

"""Suites as a JSON Schema, with which editors complete what is typed and underline what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .arguments import BOUNDS, MAY_BE_FORMULAS, MOMENT, list_of_columns, needs_a_bound
from .expectations import PREFIX, ROWS, Expectation, expectations
from .families import FAMILIES
from .formulas import NAMES
from .reading import KEYS, PERCENT, TABLE, VERSION
from .suite import FOREIGN_KEY, SEVERITIES, Suite

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "pattern": r"\S"}
_COLUMN: Schema = {"type": "string", "minLength": 1, "description": "A column's name."}
_COLUMNS: Schema = {"type": "array", "items": _COLUMN, "minItems": 1, "description": "Names of columns."}
_VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
_FORMULA: Schema = {
    "type": "string",
    "pattern": r"^\s*\{\{.*\}\}\s*$",
    "description": f'A value of the run, such as "{{{{ as_of - 1d }}}}". It may name {", ".join(NAMES)}.',
}
_MOMENT: Schema = {"type": "string", "pattern": f"^{MOMENT}$", "description": "A date or time such as 2026-03-01."}
_QUERY: Schema = {"type": "string", "pattern": r"\{batch\}"}
_ROWS = 'A query that selects the rows that break the rule: "SELECT * FROM {batch} WHERE …".'
_OPTIONS: Schema = {
    "severity": {
        "enum": list(SEVERITIES),
        "default": SEVERITIES[0],
        "description": "What follows when the rule is broken: critical stops the run, warning alerts, info is noted.",
    },
    "on_fail": {
        "const": "quarantine",
        "description": "Set the rows that break the rule aside, with their reasons, and go on with the others.",
    },
    "name": {**_TEXT, "description": "What the rule is called; the reason beside a row that is set aside."},
    "why": {"type": "string", "description": "Why there is this rule, for who sees it broken."},
}


def json_schema() -> dict[str, Any]:
    """What a suite may hold, as a JSON Schema of draft 7.

    It is for typing: `read_suite` finds more than a schema can say, and accepts nothing that the schema refuses.
    """
    writable = {name: known for name, known in expectations().items() if known.sql}
    definitions: Schema = {"column": _COLUMN, "columns": _COLUMNS, "formula": _FORMULA, FOREIGN_KEY: _foreign_key()}
    for known in writable.values():
        definitions |= _needed_by(known)
    definitions |= {name: _expectation(known) for name, known in writable.items()}
    definitions["rule"] = _rule(
        {name: name for name in writable}
        | {f"{PREFIX}{name}": name for name in writable if name != ROWS}
        | {"rows": ROWS, FOREIGN_KEY: FOREIGN_KEY}
    )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ostinato suite",
        "description": "The rules a table must meet, with the names of Great Expectations.",
        **_closed(_top(), required=["expectations"]),
        "definitions": definitions,
    }


def _closed(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _top() -> Schema:
    names = {"anyOf": [{"$ref": "#/definitions/column"}, {"type": "array", "items": _COLUMN}, {"type": "null"}]}
    said: Schema = {
        "version": {"type": "integer", "minimum": 1, "maximum": VERSION, "description": "Of this format."},
        "dataset": {**_TEXT, "description": "What the table holds; the file's name where it is left out."},
        "key": {**names, "description": "The columns that identify a row."},
        "max_quarantine": {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": f"^{PERCENT}$"}],
            "default": Suite.max_quarantine,
            "description": "The largest share of rows that may be set aside, such as 0.01 or 1%.",
        },
        "sensitive": {**names, "description": "Columns of which no value is ever shown."},
        "columns": {
            "type": ["object", "null"],
            "additionalProperties": {"enum": list(FAMILIES)},
            "description": "The family of types each named column must have.",
        },
        "tables": {
            "type": ["object", "null"],
            "propertyNames": {"pattern": f"^{TABLE}$"},
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "Other tables that rules look into: files beside the suite, databases or URLs.",
        },
        "expectations": {
            "type": "array",
            "items": {"$ref": "#/definitions/rule"},
            "minItems": 1,
            "description": "The rules.",
        },
    }
    return {key: said[key] for key in KEYS}


def _rule(names: Mapping[str, str]) -> Schema:
    """One expectation, and options; `names` are what it may be called, and the definition behind each."""
    properties = {name: {"$ref": f"#/definitions/{behind}"} for name, behind in names.items()}
    return {**_closed(_OPTIONS | properties, required=[]), "oneOf": [{"required": [name]} for name in names]}


def _foreign_key() -> Schema:
    column = {"$ref": "#/definitions/column"}
    table = {"type": "string", "minLength": 1, "description": "The other table, by its name in `tables`."}
    to = {**_COLUMN, "description": "The column of the other table; called alike where it is left out."}
    said = "Every value of a column is one of another table's column."
    return {"description": said, **_closed({"column": column, "table": table, "to": to}, ["column", "table"])}


def _expectation(known: Expectation) -> Schema:
    arguments = {key: _argument(key, schema) for key, schema in known.arguments.items()}
    full = _closed(arguments, sorted(known.required))
    description = _ROWS if known.type == ROWS else known.description.split(". ")[0]
    if needs_a_bound(known):
        bounded = [{"required": [bound]} for bound in sorted(BOUNDS)]
        return {"description": description, **full, "anyOf": bounded}
    return {"description": description, "anyOf": [*_short_forms(known, arguments), full]}


def _short_forms(known: Expectation, arguments: Schema) -> list[Schema]:
    """What may stand instead of the arguments; `arguments.spread` spells it out."""
    if known.required == {"column"}:
        return [{"$ref": "#/definitions/column"}, {"$ref": "#/definitions/columns"}]
    if list_of_columns(known):
        return [{"$ref": "#/definitions/columns"}]
    return [arguments[key] for key in known.required] if len(known.required) == 1 else []


def _argument(key: str, schema: Mapping[str, Any]) -> Schema:
    said = {"description": schema["description"]} if "description" in schema else {}
    if key in ("column", "column_A", "column_B"):
        return {"$ref": "#/definitions/column"}
    if key in ("column_list", "column_set"):
        return {"$ref": "#/definitions/columns"}
    if key == "unexpected_rows_query":
        return {**_QUERY, "description": _ROWS}
    if key == "value_set":
        return {**said, "type": "array", "items": _VALUE, "minItems": 1}
    found = {**_shared(schema), **said}
    if key in MAY_BE_FORMULAS:
        found["anyOf"] = [*found["anyOf"], {"$ref": "#/definitions/formula"}]
    return found


def _shared(schema: Any) -> Any:
    """A schema of GX's without titles, with moments spelled as suites spell them."""
    if isinstance(schema, list):
        alike = {json.dumps(part, sort_keys=True): part for part in map(_shared, schema)}
        return list(alike.values())
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("format") in ("date", "date-time"):
        return _MOMENT
    return {key: _shared(part) for key, part in schema.items() if key != "title" or not isinstance(part, str)}


def _needed_by(known: Expectation) -> Schema:
    """GX's definitions that the arguments speak of, and those that these speak of."""
    needed: Schema = {}
    left: list[Any] = [known.arguments]
    while left:
        text = json.dumps(left.pop())
        for name, schema in known.definitions.items():
            if name not in needed and f'"#/definitions/{name}"' in text:
                needed[name] = _shared(schema)
                left.append(schema)
    return needed

"""A pipeline's parameters as Airflow's: a form with a field for each, checked by Airflow when a run is triggered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from ostinato import parameters
from ostinato.graph import Pipeline
from ostinato.workspace import presentable

_AS_OF = "The moment the run stands for; by default the end of its data interval, else the day on which it runs."


def params_of(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Param]:
    """A Param for each parameter, members of groups by their dotted names.

    Args:
        given: values, by name, in place of the pipeline's defaults.
    """
    schema = parameters.schema(pipeline)
    known = parameters.names(pipeline)
    help_ = parameters.described(pipeline)
    values = parameters.flat(pipeline, parameters.check(pipeline, given))
    found = {}
    for name in known:
        if any(other.startswith(f"{name}.") for other in known):
            continue  # a group is shown by its members
        group = name.rpartition(".")[0]
        form = {**_schema_of(schema, name), **({"section": group} if group else {}), "title": name}
        value = values.get(name, parameters.default(pipeline, name))
        first = help_.get(name) or help_.get(name.partition(".")[0])
        default = {} if value is parameters.MISSING else {"default": presentable(value)}
        found[name] = Param(**default, description=first, **form)
    found["as_of"] = Param(None, description=_AS_OF, type=["null", "string"], format="date", title="as of")
    return found


def _schema_of(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The JSON schema of a parameter, references resolved, without what Airflow's form does not know."""
    place: Mapping[str, Any] = schema
    for part in name.split("."):
        place = _resolved(schema, place)["properties"][part]
    return _formed(_inlined(schema, place))


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def _inlined(schema: Mapping[str, Any], part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: _inlined(schema, value) for key, value in _resolved(schema, part).items()}
    return [_inlined(schema, value) for value in part] if isinstance(part, list) else part


def _formed(found: dict[str, Any]) -> dict[str, Any]:
    """A type that may be absent as a list of types, which the form has fields for."""
    found = {key: value for key, value in found.items() if key not in ("default", "title")}
    sides = found.get("anyOf", ())
    others = [side for side in sides if side != {"type": "null"}]
    if len(others) == 1 and len(sides) == 2 and isinstance(others[0].get("type"), str):
        return {
            **{key: value for key, value in others[0].items() if key != "title"},
            "type": ["null", others[0]["type"]],
        }
    return found

"""A pipeline's parameters as Airflow's: a form with a field for each, checked by Airflow when a run is triggered."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from ostinato import parameters
from ostinato.errors import ParameterError
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
    help_ = described(inspect.getdoc(pipeline.function) or "")
    values = _values(pipeline, given)
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


def _values(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the form shows: values as the pipeline takes them, text for a number as the number, if none is missing."""
    try:
        return flat(pipeline, parameters.resolve(pipeline, given))
    except ParameterError:
        return flat(pipeline, given)


def flat(pipeline: Pipeline[...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON by dotted names, in place of a group its members; what is said of a member alone wins."""
    import pydantic_core

    groups = {name.rpartition(".")[0] for name in parameters.names(pipeline)}
    found: dict[str, Any] = {}
    for name in sorted(values, key=lambda name: name.count(".")):
        value = pydantic_core.to_jsonable_python(values[name])
        if name in groups and isinstance(value, Mapping):
            found |= flat(pipeline, {f"{name}.{member}": one for member, one in value.items()})
        else:
            found[name] = value
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


def described(text: str) -> dict[str, str]:
    """What the section `Args:` of a docstring says of each argument."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    found: dict[str, str] = {}
    for one in re.finditer(r"^    ([\w, ]+): (.*(?:\n {6,}.*)*)", section[1] if section else "", re.MULTILINE):
        found |= {name.strip(): " ".join(one[2].split()) for name in one[1].split(",")}
    return found

"""A pipeline's signature as its parameters: JSON schema, defaults, checked and coerced values."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from .errors import ParameterError, suggest
from .graph import Pipeline
from .handle import bare, fields_of

RESERVED = ("as_of",)


class _Missing:
    def __repr__(self) -> str:
        return "(needed)"


MISSING = _Missing()


@lru_cache(maxsize=64)
def model_of(pipeline: Pipeline[...]) -> Any:
    """The pydantic model of a pipeline's parameters: strict about names, lax about text for numbers."""
    import pydantic

    hints = typing.get_type_hints(pipeline.function)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(pipeline.function).parameters.items():
        if name in RESERVED:
            raise ParameterError(f"{pipeline.name}: {name!r} is given by the engine and cannot be a parameter.")
        if name.startswith("_"):
            raise ParameterError(f"{pipeline.name}: a parameter's name starts with a letter: {name!r}")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    return pydantic.create_model(pipeline.name, __config__=config, **fields)


def schema(pipeline: Pipeline[...]) -> dict[str, Any]:
    """The JSON schema of a pipeline's parameters."""
    found: dict[str, Any] = model_of(pipeline).model_json_schema()
    return found


def resolve(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters as JSON: the given values checked and coerced, defaults for the rest.

    Args:
        given: values by name; nested ones as dicts or dotted (`{"columns.time": "ts"}`); numbers, booleans and lists
            may be text, as from a command line.

    Raises:
        ParameterError: unknown, missing or ill-typed; all of them at once, with the nearest name.
    """
    import pydantic

    _check_names(pipeline, given)
    try:
        model = model_of(pipeline)(**_nested(pipeline, given))
    except pydantic.ValidationError as error:
        raise ParameterError(_explain(pipeline, error)) from None
    values: dict[str, Any] = model.model_dump(mode="json")
    return values


def names(pipeline: Pipeline[...]) -> dict[str, Any]:
    """Every parameter's name, nested ones dotted, with its type."""
    hints = typing.get_type_hints(pipeline.function)
    return {
        dotted: kind
        for name in inspect.signature(pipeline.function).parameters
        for dotted, kind in _dotted(name, hints.get(name, Any))
    }


def default(pipeline: Pipeline[...], name: str) -> Any:
    """A parameter's default as JSON, `MISSING` where there is none; `name` may be dotted."""
    import pydantic_core

    head, *rest = name.split(".")
    found = inspect.signature(pipeline.function).parameters[head].default
    if found is inspect.Parameter.empty:
        return MISSING
    value = pydantic_core.to_jsonable_python(found)
    for part in rest:
        value = value[part] if isinstance(value, Mapping) else None
    return value


def spelled(kind: Any) -> str:
    """A type as a person reads it: `int | None`, `"delayed" or "complete"`."""
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(json.dumps(value) for value in typing.get_args(kind))
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "")


def _dotted(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    inner = fields_of(bare(kind)) if isinstance(bare(kind), type) else {}
    yield name, kind
    for field, field_kind in inner.items():
        yield from _dotted(f"{name}.{field}", field_kind)


def _check_names(pipeline: Pipeline[...], given: Mapping[str, Any]) -> None:
    known = names(pipeline)
    for name in given:
        if name in RESERVED:
            raise ParameterError(f"{name!r} is not a parameter of {pipeline.name}: write --as-of DATE.")
        if name not in known and not _is_open(name, known):
            leaves = [leaf for leaf in known if not any(other.startswith(f"{leaf}.") for other in known)]
            raise ParameterError(f"{pipeline.name} has no parameter {name!r}. {suggest(name, leaves)}")


def _is_open(name: str, known: Mapping[str, Any]) -> bool:
    """Whether a dotted name lies in a parameter that is a free mapping."""
    head = name.rsplit(".", 1)[0]
    return head != name and (typing.get_origin(known.get(head)) or known.get(head)) in (dict, Mapping, Any)


def _nested(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Any]:
    known = names(pipeline)
    result: dict[str, Any] = {}
    for name, value in given.items():
        *parents, leaf = name.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        value = _from_text(value, known.get(name, Any)) if isinstance(value, str) else value
        place[leaf] = {**place.get(leaf, {}), **value} if isinstance(value, Mapping) else value
    return result


def _from_text(text: str, kind: Any) -> Any:
    """What a person typed for a value that is not text: JSON, `a,b` for a list, `none` for an absent one."""
    sides = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    if type(None) in sides and text.casefold() in ("none", "null", ""):
        return None
    plain = bare(kind)
    outer = typing.get_origin(plain) or plain
    if outer in (list, tuple) or (isinstance(outer, type) and issubclass(outer, (typing.Sequence, list))):
        if outer is str:
            return text
        return json.loads(text) if text.lstrip().startswith("[") else [part.strip() for part in text.split(",") if part]
    if outer in (dict, Mapping) or (isinstance(plain, type) and fields_of(plain)):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ParameterError(f"{text!r} is not a JSON object ({error}).") from None
    return text


def _explain(pipeline: Pipeline[...], error: Any) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            lines.append(f"{pipeline.name} needs {name}: write -p {name}=…")
        else:
            reason = problem["msg"][0].lower() + problem["msg"][1:]
            lines.append(f"{pipeline.name}: {name}={problem['input']!r} is refused: {reason}.")
    return "\n".join(lines)

"""A pipeline's signature as its parameters: JSON schema, defaults, checked and coerced values."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from .errors import ParameterError, suggest
from .graph import Pipeline, hints_of
from .handle import bare, fields_of
from .workspace import presentable

RESERVED = ("as_of",)


class _Missing:
    def __repr__(self) -> str:
        return "(needed)"


MISSING = _Missing()


@lru_cache(maxsize=64)
def _adapter(pipeline: Pipeline[...], partly: bool = False) -> Any:
    """What checks a pipeline's parameters: strict about names, lax about text for numbers.

    A dataclass rather than a model, whose own attributes a parameter called `schema` or `json` would shadow.

    Args:
        partly: whether those without a default may be missing.
    """
    import pydantic

    hints, fields = hints_of(pipeline.function, limits=True), []
    for name, parameter in inspect.signature(pipeline.function).parameters.items():
        if name in RESERVED:
            raise ParameterError(f"{pipeline.name}: {name!r} is given by the engine and cannot be a parameter.")
        if name.startswith("_"):
            raise ParameterError(f"{pipeline.name}: a parameter's name starts with a letter: {name!r}")
        default = parameter.default
        if default is not inspect.Parameter.empty:
            field = pydantic.Field(default)
        else:
            field = pydantic.Field(None, validate_default=False) if partly else pydantic.Field(...)
        fields.append((name, hints.get(name, Any), field))
    config = pydantic.ConfigDict(
        extra="forbid", validate_default=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )
    kind = dataclasses.make_dataclass(pipeline.name, fields, kw_only=True)
    try:
        return pydantic.TypeAdapter(pydantic.dataclasses.dataclass(kind, config=config))
    except pydantic.PydanticUserError as error:
        reason = str(error).partition(". ")[0]
        raise ParameterError(f"{pipeline.name} has a parameter of a type that no form can ask for: {reason}.") from None


def schema(pipeline: Pipeline[...]) -> dict[str, Any]:
    """The JSON schema of a pipeline's parameters."""
    found: dict[str, Any] = _adapter(pipeline).json_schema()
    return found


def check(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse values that `resolve` would refuse; gives all that is known without those that may come later.

    Raises:
        ParameterError: as `resolve`, but for what is missing.
    """
    values, wrong = _resolved(pipeline, given, partly=True)
    if wrong:
        raise ParameterError("\n".join(wrong.values()))
    return values


def resolve(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters as JSON: the given values checked and coerced, defaults for the rest.

    Args:
        given: values by name; nested ones as dicts or dotted (`{"columns.time": "ts"}`); numbers, booleans and lists
            may be text, as from a command line.

    Raises:
        ParameterError: unknown, missing or ill-typed; all of them at once, with the nearest name.
    """
    values, wrong = _resolved(pipeline, given)
    if wrong:
        raise ParameterError("\n".join(wrong.values()))
    return values


def _resolved(
    pipeline: Pipeline[...], given: Mapping[str, Any], *, partly: bool = False
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values, and why some of them were refused, by name; `partly` lets them be missing."""
    import pydantic

    adapter = _adapter(pipeline, partly)
    wrong = _misnamed(pipeline, given)
    values: dict[str, Any] = {}
    try:
        named = {name: value for name, value in given.items() if name not in wrong}
        nested = _nested(pipeline, named)
        later = {name for name in _without_default(pipeline) if partly and name not in nested}
        values = adapter.dump_python(adapter.validate_python(nested), mode="json", exclude=later)
        json.dumps(values, allow_nan=False)
    except pydantic.ValidationError as error:
        wrong |= _refused(pipeline, error, partly)
    except ValueError as error:
        raise ParameterError(f"{pipeline.name}: a parameter is not JSON: {error}.") from None
    return values, wrong


def taken(pipeline: Pipeline[...], more: dict[str, Any]) -> dict[str, Any]:
    """Values out of the keywords of `to_dag` and `to_flow`, which lose them, and of the environment.

    Raises:
        ParameterError: as `check`.
    """
    known, given = names(pipeline), dict(more.pop("parameters", {}))
    given |= {name: more.pop(name) for name in list(more) if name in known}
    given = with_source(pipeline, given, os.environ.get)
    check(pipeline, given)
    return given


def with_source(
    pipeline: Pipeline[...], given: Mapping[str, Any], setting: Callable[[str], str | None]
) -> dict[str, Any]:
    """Values with the setting `OSTINATO_<PIPELINE>_SOURCE` as `source`, where that is a parameter and not given."""
    source = setting(f"OSTINATO_{pipeline.name.upper()}_SOURCE") if "source" in names(pipeline) else None
    return {"source": source, **given} if source else dict(given)


def over_given(pipeline: Pipeline[...], given: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a form asks for over what a file gives, both by dotted names.

    A value that the form shows without its password, and that comes back as it was shown, is the file's or the default.
    """
    shown = {name: presentable(value) for name, value in flat(pipeline, check(pipeline, given)).items()}
    new = {name: value for name, value in flat(pipeline, asked).items() if name not in shown or value != shown[name]}
    return {**flat(pipeline, given), **new}


def flat(pipeline: Pipeline[...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON by dotted names, in place of a group its members; what is said of a member alone wins."""
    import pydantic_core

    groups = {name.rpartition(".")[0] for name in names(pipeline)}
    found: dict[str, Any] = {}
    for name in sorted(values, key=lambda name: name.count(".")):
        value = pydantic_core.to_jsonable_python(values[name])
        if name in groups and isinstance(value, Mapping):
            found |= flat(pipeline, {f"{name}.{member}": one for member, one in value.items()})
        else:
            found[name] = value
    return found


def _without_default(pipeline: Pipeline[...]) -> list[str]:
    signature = inspect.signature(pipeline.function)
    return [name for name, one in signature.parameters.items() if one.default is one.empty]


def described(pipeline: Pipeline[...]) -> dict[str, str]:
    """What the docstrings of a pipeline and of its groups say of each parameter, by dotted name."""
    found = _arguments(inspect.getdoc(pipeline.function) or "")
    for name, kind in names(pipeline).items():
        if isinstance(bare(kind), type) and fields_of(bare(kind)):
            members = _arguments(inspect.getdoc(bare(kind)) or "")
            found |= {f"{name}.{member}": said for member, said in members.items()}
    return found


def _arguments(text: str) -> dict[str, str]:
    """What the section `Args:` or `Attributes:` of a docstring says of each name."""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    found: dict[str, str] = {}
    for one in re.finditer(r"^    ([\w, ]+): (.*(?:\n {6,}.*)*)", section[1] if section else "", re.MULTILINE):
        found |= {name.strip(): " ".join(one[2].split()) for name in one[1].split(",")}
    return found


def names(pipeline: Pipeline[...]) -> dict[str, Any]:
    """Every parameter's name, nested ones dotted, with its type."""
    hints = hints_of(pipeline.function)
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
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        sides = [side for side in typing.get_args(kind) if side is not type(None)]
        return " | ".join([*map(spelled, sides), *["None"] * (type(None) in typing.get_args(kind))])
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "")


def _dotted(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    inner = fields_of(bare(kind)) if isinstance(bare(kind), type) else {}
    yield name, kind
    for field, field_kind in inner.items():
        yield from _dotted(f"{name}.{field}", field_kind)


def _misnamed(pipeline: Pipeline[...], given: Iterable[str]) -> dict[str, str]:
    """Why a name is none of a pipeline's parameters, by name."""
    known, wrong = names(pipeline), {}
    for name in given:
        if name in RESERVED:
            wrong[name] = f"{name!r} is not a parameter of {pipeline.name}: write --as-of DATE."
        elif name not in known and not _is_open(name, known):
            leaves = [leaf for leaf in known if not any(other.startswith(f"{leaf}.") for other in known)]
            wrong[name] = f"{pipeline.name} has no parameter {name!r}. {suggest(name, leaves)}"
    return wrong


def _is_open(name: str, known: Mapping[str, Any]) -> bool:
    """Whether a dotted name lies in a parameter that is a free mapping."""
    group = name.rpartition(".")[0]
    kind = bare(known.get(group))
    return bool(group) and (typing.get_origin(kind) or kind) in (dict, Mapping, Any)


def _nested(pipeline: Pipeline[...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested dicts; what is not given of a group is as in the group's default."""
    known = names(pipeline)
    result: dict[str, Any] = {}
    for name in sorted(given, key=lambda name: name.count(".")):  # a group, then its members
        *groups, leaf = name.split(".")
        place = result
        for depth, group in enumerate(groups, start=1):
            if not isinstance(place.get(group), dict):
                place[group] = _over(default(pipeline, ".".join(groups[:depth])), {})
            place = place[group]
        value = given[name]
        if isinstance(value, str):
            value = _from_text(value, known[name]) if name in known else _member(value, known[".".join(groups)])
        if isinstance(value, Mapping):
            grouped = name in known and isinstance(bare(known[name]), type) and fields_of(bare(known[name]))
            value = _over(default(pipeline, name), value) if grouped else dict(value)
        place[leaf] = value
    return result


def _over(group: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """A group's default with the given members, at any depth, in place of its own."""
    base = group if isinstance(group, Mapping) else {}
    return dict(base) | {
        name: _over(base[name], value) if isinstance(value, Mapping) and name in base else value
        for name, value in given.items()
    }


def _member(text: str, group: Any) -> Any:
    """What a person typed for a member of a free mapping: by its type, else JSON, else text."""
    kinds = typing.get_args(bare(group))
    return _json(text) if not kinds or kinds[-1] is Any else _from_text(text, kinds[-1])


def _json(text: str) -> Any:
    """JSON where it is, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


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
        parts = [part.strip() for part in text.split(",")]
        return _json(text) if text.lstrip().startswith("[") else [part for part in parts if part]
    if outer in (dict, Mapping) or (isinstance(plain, type) and fields_of(plain)):
        return _json(text)
    return text


def _refused(pipeline: Pipeline[...], error: Any, partly: bool) -> dict[str, str]:
    """Why values were refused, by name; `partly`: for another reason than that they are missing."""
    wrong = {}
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            if not partly:
                wrong[name] = f"{pipeline.name} needs {name}: write -p {name}=…"
        elif problem["type"] == "unexpected_keyword_argument":
            wrong |= _misnamed(pipeline, [name])
        else:
            reason = problem["msg"][0].lower() + problem["msg"][1:]
            wrong.setdefault(name, f"{pipeline.name}: {name}={problem['input']!r} is refused: {reason}.")
    return wrong

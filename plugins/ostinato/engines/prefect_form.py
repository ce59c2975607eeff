"""A pipeline's signature as that of its flow, from which Prefect makes the form of a run and checks what comes in."""

from __future__ import annotations

import datetime as dt
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import pydantic

from ostinato import parameters
from ostinato.graph import Pipeline, hints_of
from ostinato.handle import bare, fields_of
from ostinato.workspace import presentable

_AS_OF = "the moment the run stands for; by default the tick of its schedule, else the UTC day on which it runs."


def signature_of(pipeline: Pipeline[...], given: Mapping[str, Any]) -> inspect.Signature:
    """The signature of the flow: that of the pipeline with its types resolved, and `as_of`.

    Args:
        given: values, by name, in place of the pipeline's defaults.
    """
    hints, help_ = hints_of(pipeline.function, limits=True), parameters.described(pipeline)
    values = {name: presentable(value) for name, value in parameters.check(pipeline, given).items()}
    found = []
    for name, one in inspect.signature(pipeline.function).parameters.items():
        kind, default = hints.get(name, Any), one.default
        group = bare(kind)
        if isinstance(group, type) and fields_of(group):
            kind = _model(group, values.get(name), name, help_)
            default = one.empty if name not in values else values[name] and kind(**values[name])
        elif name in given or values.get(name) != parameters.default(pipeline, name):  # the latter shows a password
            default = values.get(name, default)
        found.append(one.replace(annotation=kind, default=default))
    moment = dt.date | dt.datetime | None
    as_of = inspect.Parameter("as_of", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=moment)
    try:
        return inspect.Signature([*found, as_of])
    except ValueError:  # a value was given for one before another that has none
        return inspect.Signature([*(one.replace(kind=one.KEYWORD_ONLY) for one in found), as_of])


def _model(kind: type, values: Any, name: str, help_: Mapping[str, str]) -> Any:
    """A group of parameters as a model whose defaults are the pipeline's, and whose members say what they are."""
    fields: dict[str, Any] = {}
    hints = hints_of(kind, limits=True)
    for member in fields_of(kind):
        inner, dotted = hints[member], f"{name}.{member}"
        value = values[member] if isinstance(values, Mapping) and member in values else ...
        group = bare(inner)
        if isinstance(group, type) and fields_of(group):
            inner = _model(group, value, dotted, help_)
            value = inner(**value) if isinstance(value, Mapping) else value
        fields[member] = (inner, pydantic.Field(value, title=member, description=help_.get(dotted)))
    config = pydantic.ConfigDict(extra="forbid")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a member may be called `schema` or `copy`
        return pydantic.create_model(kind.__name__, __config__=config, __doc__=_first(kind), **fields)


def _first(kind: type) -> str:
    """What a group is, without what its members are: they say so themselves."""
    return (inspect.getdoc(kind) or "").partition("\n\n")[0]


def documented(pipeline: Pipeline[...]) -> str:
    """The docstring with a line for `as_of`: Prefect reads from it what each field means."""
    text = inspect.getdoc(pipeline.function) or ""
    lines = f"\nArgs:\n    as_of: {_AS_OF}\n"
    return text.replace("\nArgs:\n", lines, 1) if "\nArgs:\n" in text else f"{text}\n{lines}"


def asked_for(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was given, as JSON."""
    import pydantic_core

    found: dict[str, Any] = pydantic_core.to_jsonable_python(dict(values))
    return found

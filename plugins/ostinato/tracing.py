"""What a pipeline function may say while it is traced, and the graph made of what it said. Standard library only."""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import date
from pathlib import PurePath
from typing import Any, TypeVar, cast

from .artifacts import Artifact
from .errors import PipelineError
from .graph import NAME, Graph, Guard, Node, Options, Pipeline, Step, hints_of, owners, tracing
from .handle import Handle, bare, describe, where

R = TypeVar("R")
T = TypeVar("T")


class _Trace:
    """The graph while the pipeline function is being called."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.guards: list[Guard] = []
        self.closed: tuple[Guard, int, int] | None = None  # the last `when`, and where it ended

    def call(self, called: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Handle:
        inputs = self._bind(called, args, kwargs)
        return self.add(called, inputs, called.hints.get("return", Any))

    def add(self, called: Step[..., Any], inputs: Mapping[str, Any], returns: Any, **more: Any) -> Handle:
        options = called.settings
        name = self._name(options.name, more.pop("name", called.__name__))
        waits = options.after if isinstance(options.after, (tuple, list)) else [None]
        if not all(isinstance(result, Handle) and result._owner for result in waits):
            raise PipelineError(
                f"{where()}after= is a tuple of steps' results, such as (loaded,): not {options.after!r}."
            )
        after = tuple(owners([_spec(result) for result in options.after]))
        self.nodes[name] = Node(name, called, inputs, guards=tuple(self.guards), after=after, **more)
        return Handle(name, (), returns)

    def _bind(self, called: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = called.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise PipelineError(f"{where()}{called.__name__}{called.signature}: {error}") from None
        for name, value in bound.arguments.items():
            _check_type(called, name, value)
        if not _all_named(called.signature):
            raise PipelineError(f"{where()}{called.__name__}: a step names its arguments; it has no *, ** or /.")
        return {name: _spec(value) for name, value in bound.arguments.items()}

    def _name(self, chosen: str | None, default: str) -> str:
        if chosen is not None:
            if chosen in self.nodes:
                raise PipelineError(f"{where()}two steps are called {chosen!r}; give one another name.")
            return chosen
        if not NAME.fullmatch(default):
            raise PipelineError(f"{where()}{default} is no name for a step: write def, or with_options(name=…).")
        name, count = default, 1
        while name in self.nodes:
            count += 1
            name = f"{default}_{count}"
        return name


def _all_named(signature: inspect.Signature) -> bool:
    """Whether every argument can be given by its name, as engines do."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return all(parameter.kind in named for parameter in signature.parameters.values())


def _now(word: str) -> _Trace:
    trace = tracing.get()
    if not isinstance(trace, _Trace):
        raise PipelineError(f"{word} belongs inside a pipeline function.")
    return trace


def _check_type(called: Step[..., Any], name: str, value: Any) -> None:
    """Refuse a Model where a Dataset is wanted already while tracing."""
    if not isinstance(value, Handle):
        return
    wanted, got = bare(called.hints.get(name, Any)), bare(value._type)
    kinds = [kind for kind in (wanted, got) if isinstance(kind, type) and issubclass(kind, Artifact)]
    if len(kinds) == 2 and not issubclass(got, wanted):
        raise PipelineError(
            f"{where()}{called.__name__!r} wants {name}: {wanted.__name__}, but {describe(value)} is a {got.__name__}."
        )


def _spec(value: Any) -> Any:
    """A call's argument as JSON, promises as `$step` and `$parameter`."""
    if isinstance(value, Handle):
        path = list(value._path)
        return {"$step": value._owner, "path": path} if value._owner else {"$parameter": path[0], "path": path[1:]}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [_spec(item) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise PipelineError(
                    f"{where()}the key {key!r} cannot be handed to a step: keys are text without a '$'."
                )
        return {key: _spec(item) for key, item in value.items()}
    if isinstance(value, Artifact):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each_field.name: _spec(getattr(value, each_field.name)) for each_field in dataclasses.fields(value)}
    if isinstance(value, (date, PurePath)):
        return value.isoformat() if isinstance(value, date) else str(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise PipelineError(
        f"{where()}{type(value).__name__} cannot be handed to a step: {str(value)[:80]}. "
        "Hand over JSON or a step's result, and build the object inside the step."
    )


@contextmanager
def when(flag: bool) -> Iterator[None]:
    """Run the steps of the body only where a boolean of a step's result, or a parameter, is true."""
    with _guarded("when", flag):
        yield


@contextmanager
def _guarded(word: str, flag: Any) -> Iterator[None]:
    trace = _now(word)
    if not isinstance(flag, Handle):
        raise PipelineError(
            f"{where()}{word} wants a boolean of a step's result, such as verdict.passed: not {flag!r}."
        )
    if flag._type is not bool:
        raise PipelineError(f"{where()}{word} wants a boolean; {describe(flag)} is {_type_name(flag._type)}.")
    with _inside(trace, Guard(_spec(flag), True)):
        yield


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


@contextmanager
def _inside(trace: _Trace, guard: Guard) -> Iterator[None]:
    trace.guards.append(guard)
    try:
        yield
    finally:
        trace.guards.pop()
    trace.closed = (guard, len(trace.nodes), len(trace.guards))


@contextmanager
def otherwise() -> Iterator[None]:
    """Directly after `with when(…)`: run the steps of the body only where that flag is false."""
    trace = _now("otherwise")
    if (
        trace.closed is None
        or trace.closed[1:] != (len(trace.nodes), len(trace.guards))
        or not trace.closed[0].expected
    ):
        raise PipelineError(f'{where()}"with otherwise():" stands directly after a "with when(…):".')
    with _inside(trace, Guard(trace.closed[0].flag, False)):
        yield


def _either(first: Any = None, second: Any = None) -> Any:
    """The side that ran; the engine hands in None for the other."""
    return second if first is None else first


def _collect(items: list[Any]) -> list[Any]:
    """A map's results as a plain list."""
    return items


def either(first: T, second: T) -> T:
    """The result of the one of two sides that ran: one under `when`, the other under its `otherwise`."""
    trace = _now("either")
    if not isinstance(first, Handle) or not isinstance(second, Handle):
        raise PipelineError(f"{where()}either joins the results of two steps.")
    sides = [trace.nodes.get(side._owner) for side in (first, second)]
    guards = [set() if side is None else {(str(g.flag), g.expected) for g in side.guards} for side in sides]
    if not any((flag, not expected) in guards[1] for flag, expected in guards[0]):
        raise PipelineError(
            f"{where()}either joins a step under when and one under its otherwise; "
            f"{describe(first)} and {describe(second)} are not."
        )
    step_of_join = Step(_either, Options())
    inputs = {"first": _spec(first), "second": _spec(second)}
    return cast(T, trace.add(step_of_join, inputs, first._type, kind="either", name="either"))


def each(mapped: Callable[..., R], over: Iterable[Any], **fixed: Any) -> list[R]:
    """Call a step once for every item of a list and collect the results, in order.

    Args:
        mapped: the step; an item becomes its first argument that `fixed` does not give.
        over: a literal list, or a step's result that is a list.
        fixed: the other arguments, the same for every call.
    """
    trace = _now("each")
    if not isinstance(mapped, Step):
        raise PipelineError(f"{where()}each calls a step; {mapped!r} is none.")
    if trace.guards:
        raise PipelineError(
            f"{where()}each cannot stand under when; let the step itself decide, or map over an empty list."
        )
    free = [name for name in mapped.signature.parameters if name not in fixed]
    if not free:
        raise PipelineError(f"{where()}each gives all arguments of {mapped.__name__}; leave one for the item.")
    if isinstance(over, Handle):
        kind = bare(over._type)
        if (typing.get_origin(kind) or kind) not in (list, tuple, Any):
            raise PipelineError(f"{where()}each runs over a list; {describe(over)} is {_type_name(kind)}.")
    elif isinstance(over, (str, bytes, Mapping, Set)) or not isinstance(over, Iterable):  # a set has no order
        raise PipelineError(f"{where()}each runs over a list, not {over!r}.")
    else:
        over = list(over)
    placeholder = Handle("", (free[0],), Any)
    inputs = trace._bind(mapped, (), {free[0]: placeholder, **fixed})
    del inputs[free[0]]
    returns: Any = mapped.hints.get("return", Any)
    results = trace.add(mapped, inputs, returns, kind="map", over=_spec(over), item=free[0])
    collector = Step(_collect, Options())
    listed = types.GenericAlias(list, (returns,))
    inputs = {"items": _spec(results)}
    collected = trace.add(collector, inputs, listed, kind="collect", name=f"collect_{results._owner}")
    return cast(list[R], collected)


def trace(given: Pipeline[...]) -> Graph:
    """Call the pipeline function once with promises for its parameters and keep what it called."""
    if tracing.get() is not None:
        raise PipelineError(f"{where()}a pipeline cannot call a pipeline.")
    hints, signature = hints_of(given.function), inspect.signature(given.function)
    if not _all_named(signature):
        raise PipelineError(f"{given.path}: a pipeline names its parameters; it has no *, ** or /.")
    recorded = _Trace()
    token = tracing.set(recorded)
    try:
        returned = given.function(**{name: Handle("", (name,), hints.get(name, Any)) for name in signature.parameters})
    finally:
        tracing.reset(token)
    if not recorded.nodes:
        raise PipelineError(f"{given.path} calls no step.")
    if returned is not None:
        raise PipelineError(f"{given.path} returns something; a pipeline returns nothing, its steps leave artifacts.")
    return Graph(given.name, tuple(recorded.nodes.values()))

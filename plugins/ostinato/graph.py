"""Steps, the pipelines that call them, and the graph traced from those calls. Standard library only.

@pipeline
def fraud(source: str) -> None:
    data = load(source)
    verdict = evaluate(train(data), data)
    with when(verdict.passed):
        promote(verdict)
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, cast, get_args, overload

from .artifacts import digest_of
from .errors import PipelineError, UnknownName, UsageError, suggest

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Effect = Literal["none", "idempotent", "once"]
NodeKind = Literal["step", "either", "map", "collect"]
LOADED = ("unusual_prefix_", "__prefect_loader_")  # how Airflow and Prefect call the module of a file they load
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True)
class Options:
    """How a step is scheduled; what it does is in its function.

    Attributes:
        name: its name in the graph; by default the function's, with `_2`, `_3` where it is called again.
        after: results of other steps this one waits for without reading them.
        retries: how often the engine tries again after a transient error.
        backoff: seconds before the first retry; doubled for each further one.
        timeout: seconds, or text like "90s", "15m", "1h30m"; the step is killed when it takes longer.
        effect: what happens outside the workspace: "none", "idempotent" (may be repeated) or "once" (must not). A step
            that is recorded as done once is not called again; one that was killed before its record was written is, and
            finds its effect by `context.current().key`.
        python: another interpreter, the one named by `OSTINATO_PYTHON_<NAME>`.
        asks: a person decides. Where the step's argument `required` is true the engine asks, waits for at most its
            argument `timeout`, and hands in `answer`: `{granted, by, why}`, or None where nobody answered.
        airflow: options passed to Airflow's operator as they are.
        prefect: options passed to Prefect's task as they are.
    """

    name: str | None = None
    after: tuple[Any, ...] = ()
    retries: int = 0
    backoff: float = 1.0
    timeout: float | str | None = None
    effect: Effect = "none"
    python: str | None = None
    asks: bool = False
    airflow: Mapping[str, Any] = field(default_factory=dict)
    prefect: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name is not None and not NAME.fullmatch(self.name):
            raise UsageError(f"A step's name is letters, digits and underscores, at most 100: not {self.name!r}.")
        if self.effect not in get_args(Effect):
            raise UsageError(f"Unknown effect {self.effect!r}. {suggest(str(self.effect), get_args(Effect))}")
        if not isinstance(self.retries, int) or self.retries < 0:
            raise UsageError(f"retries is a whole number from 0 on, not {self.retries!r}.")
        object.__setattr__(self, "timeout", seconds(self.timeout))

    @classmethod
    def of(cls, given: Mapping[str, Any], base: Options | None = None) -> Options:
        known = [each_field.name for each_field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise UsageError(f"Unknown step option {name!r}. {suggest(name, known)}")
        return replace(base or cls(), **given)


def seconds(given: float | str | None) -> float | None:
    """A span of time in seconds: as it is, or of text like "90s", "15m", "1h30m".

    Raises:
        UsageError: it is neither, or nothing.
    """
    if isinstance(given, str):
        parts = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", given.replace(" ", ""))
        if not given or parts is None:
            raise UsageError(f'A timeout is seconds or text like "90s", "15m", "1h30m": not {given!r}.')
        days, hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        given = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if given is not None and not 0 < given < math.inf:
        raise UsageError(f"A timeout is longer than nothing: not {given!r}.")
    return given


class Recorder(Protocol):
    """What hears the calls of steps while a pipeline is traced."""

    def call(self, called: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...


tracing: ContextVar[Recorder | None] = ContextVar("ostinato_tracing", default=None)


class Step(Generic[P, R]):
    """A typed function that a pipeline can call; outside a pipeline it is just that function."""

    __name__: str

    def __init__(self, function: Callable[P, R], options: Options) -> None:
        if inspect.iscoroutinefunction(function):
            raise UsageError(f"{function.__name__} is async; a step is a plain function.")
        self.function = function
        self.settings = options
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        trace = tracing.get()
        if trace is None:
            return self.function(*args, **kwargs)
        return cast(R, trace.call(self, args, kwargs))

    def with_options(self, **changes: Any) -> Step[P, R]:
        """The same step, scheduled otherwise: `train.with_options(name="train_eu", retries=3)(data)`."""
        return Step(self.function, Options.of(changes, self.settings))

    @property
    def path(self) -> str:
        """Where another process finds the function: `module:name`, or `file.py:name` for a script."""
        return reference(self.function)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The types of its arguments and, under "return", of its result."""
        return hints_of(self.function)

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @property
    def importable(self) -> bool:
        """Whether another process can find it; a notebook's cannot be found."""
        place, _, name = reference(self.function).rpartition(":")
        return place != "__main__" and "<" not in name

    def __repr__(self) -> str:
        return f"<step {self.path}>"


def reference(function: Callable[..., Any]) -> str:
    """`module:name`, or `file.py:name` where the module is a script that was run, or a file that an engine loaded."""
    module = function.__module__
    if module == "__main__" or module.startswith(("ostinato_file_", *LOADED)):
        module = getattr(sys.modules.get(module), "__file__", None) or module
        module = os.path.abspath(module) if module.endswith(".py") else module
    return f"{module}:{function.__qualname__}"


def hints_of(function: Callable[..., Any], *, limits: bool = False) -> dict[str, Any]:
    """A function's annotations as types.

    Args:
        limits: whether `Annotated[int, Ge(1)]` stays what it is, or becomes `int`.
    """
    try:
        return typing.get_type_hints(function, include_extras=limits)
    except NameError as error:
        raise PipelineError(
            f"{reference(function)}: the annotation {error.name!r} is not defined where it is read."
        ) from None


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(**options: Any) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a plain typed function a step: `@step`, or `@step(retries=2, timeout="1h")` (see `Options`)."""
    if function is None:
        chosen = Options.of(options)
        return lambda given: Step(given, chosen)
    return Step(function, Options())


@dataclass(frozen=True)
class Guard:
    """A node runs only where the value at `flag` is `expected`."""

    flag: Mapping[str, Any]
    expected: bool


@dataclass(frozen=True)
class Node:
    """One call in a pipeline. `inputs` is JSON: literals, `{"$step": name, "path": […]}` and `{"$parameter": …}`.

    Kinds: "step"; "map", called for every item of `over`, handed in as the argument `item`; "collect", the list of a
    map's results; "either", the one of two sides that ran.
    """

    name: str
    step: Step[..., Any]
    inputs: Mapping[str, Any]
    kind: NodeKind = "step"
    guards: tuple[Guard, ...] = ()
    after: tuple[str, ...] = ()
    over: Any = None
    item: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes that must have ended before this one can start."""
        found = [*self.after, *owners([self.inputs, self.over, [guard.flag for guard in self.guards]])]
        return tuple(dict.fromkeys(found))

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "step": self.step.path,
            "inputs": dict(self.inputs),
        }
        if self.guards:
            value["guards"] = [{"flag": guard.flag, "expected": guard.expected} for guard in self.guards]
        if self.after:
            value["after"] = list(self.after)
        if self.kind == "map":
            value |= {"over": self.over, "item": self.item}
        return value


def owners(spec: Any) -> Iterator[str]:
    """The names of the nodes that a JSON spec reads."""
    if isinstance(spec, Mapping):
        if "$step" in spec:
            yield spec["$step"]
        else:
            for value in spec.values():
                yield from owners(value)
    elif isinstance(spec, (list, tuple)):
        for value in spec:
            yield from owners(value)


@dataclass(frozen=True)
class Graph:
    """What a pipeline does, as data: the nodes in the order of their calls, each after all it needs."""

    pipeline: str
    nodes: tuple[Node, ...]

    def __getitem__(self, name: str) -> Node:
        found = {node.name: node for node in self.nodes}
        if name not in found:
            raise UnknownName("node", name, found)
        return found[name]

    def to_json(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "nodes": [node.to_json() for node in self.nodes]}

    @functools.cached_property
    def digest(self) -> str:
        return digest_of(self.to_json())


class Pipeline(Generic[P]):
    """A pipeline function with its name and schedule; `graph` is what it does."""

    def __init__(self, function: Callable[P, None], **options: Any) -> None:
        self.function = function
        self.options = _PipelineOptions(**_known(options))
        functools.update_wrapper(self, function)
        self.name: str = function.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        raise PipelineError(
            f"{self.name} is a pipeline, to be run by an engine: "
            f"from ostinato.engines.local_run import run; run({self.name}, …)"
        )

    @property
    def path(self) -> str:
        return reference(self.function)

    @functools.cached_property
    def graph(self) -> Graph:
        from .tracing import trace

        return trace(self)

    def __repr__(self) -> str:
        return f"<pipeline {self.path}>"


@dataclass(frozen=True)
class _PipelineOptions:
    """How a pipeline is run.

    `schedule`: a cron line or preset for engines that schedule; `owner`, `tags`: for people; `on_failure`: where a
    failure is told, e.g. "slack:#ml-ops"; `default_as_of`: a function of some of the pipeline's parameters giving the
    moment a run by hand stands for.
    """

    schedule: str | None = None
    owner: str = ""
    tags: tuple[str, ...] = ()
    on_failure: str | None = None
    default_as_of: Callable[..., Any] | None = None


def _known(options: Mapping[str, Any]) -> Mapping[str, Any]:
    valid = [each_field.name for each_field in dataclasses.fields(_PipelineOptions)]
    for name in options:
        if name not in valid:
            raise UsageError(f"Unknown pipeline option {name!r}. {suggest(name, valid)}")
    return options


@overload
def pipeline(function: Callable[P, None], /) -> Pipeline[P]: ...
@overload
def pipeline(**options: Any) -> Callable[[Callable[P, None]], Pipeline[P]]: ...
def pipeline(function: Callable[..., None] | None = None, /, **options: Any) -> Any:
    """Make a function that calls steps a pipeline: `@pipeline`, or `@pipeline(schedule="@daily", owner="risk")`."""
    if function is None:
        return lambda given: Pipeline(given, **options)
    return Pipeline(function)

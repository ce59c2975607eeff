"""The one place where a step is executed: inputs opened and checked, outputs checked and written down, cost measured.

Every engine comes through `execute`; only the engine decides when, and whether to try again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import os
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from . import context as running_context
from .artifacts import Artifact, is_reference
from .catalog import import_path
from .context import Context, Emit, Resolve, from_environment, today
from .errors import ContractError, ParameterError, UsageError
from .graph import Effect, Options, Step
from .handle import bare
from .records import Records, RunRecord, day_of, describe_error
from .workspace import Workspace

LARGEST_RESULT = 8 * 1024  # bytes of JSON that may cross a step boundary


@dataclass(frozen=True)
class Request:
    """One execution of a step, as JSON: what an engine hands to a worker process, a pod or itself.

    `function` is an import path; `inputs` are literals and references, all promises filled; `as_of` and `day` (the UTC
    day on which the run began) are ISO text; `recorded` False leaves no trace (a question to a function rather than a
    step); `secrets` tells a worker process where to look for them: in its environment, or by asking its engine.
    """

    function: str
    inputs: Mapping[str, Any]
    run_id: str
    step: str
    home: str
    pipeline: str = ""
    engine: str = "local"
    map_key: str = ""
    attempt: int = 1
    as_of: str | None = None
    day: str | None = None
    effect: Effect = "none"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    log: str | None = None
    recorded: bool = True
    secrets: Literal["environment", "engine"] = "environment"

    @classmethod
    def of(cls, run: RunRecord, home: str, function: str, inputs: Mapping[str, Any], **more: Any) -> Request:
        """A request that belongs to a run; by default a question, which leaves no trace."""
        known: dict[str, Any] = {
            "run_id": run.run_id,
            "step": function.rpartition(":")[2],
            "pipeline": run.pipeline,
            "engine": run.engine,
            "as_of": run.as_of,
            "day": day_of(run.started),
            "parameters": run.parameters,
            "tags": run.tags,
            "recorded": False,
        }
        return cls(function=function, inputs=inputs, home=home, **{**known, **more})


def fill(spec: Any, results: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    """A JSON spec of a graph with its promises replaced by values."""
    if isinstance(spec, Mapping):
        if "$step" in spec:
            return dig(results[spec["$step"]], spec["path"])
        if "$parameter" in spec:
            return dig(parameters[spec["$parameter"]], spec["path"])
        return {key: fill(value, results, parameters) for key, value in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [fill(value, results, parameters) for value in spec]
    return spec


def dig(value: Any, path: Sequence[str | int]) -> Any:
    """The part of a JSON value that a path leads to; an artifact's own facts are its parts."""
    for key in path:
        if is_reference(value) and key not in value:
            value = value.get("facts")
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise ContractError(f"a step's result has no {key!r}: {str(value)[:200]}") from None
    return value


def execute(
    request: Request,
    *,
    emit: Emit = lambda _: None,
    resolve: Resolve = from_environment,
    function: Callable[..., Any] | None = None,
) -> Any:
    """Run one step and give its result as JSON; whatever it raises is recorded and raised on.

    Args:
        emit: hears the step's log lines and progress.
        resolve: finds secrets; each engine hands in its own.
        function: the step itself, where it cannot be imported by another process.
    """
    records = records_of(request.home)
    if request.effect == "once" and request.recorded:
        earlier = records.step(request.run_id, request.step, request.map_key)
        if earlier is not None and earlier.state == "succeeded":
            return earlier.output
    if not request.recorded:
        return _call(request, emit, resolve, function)
    write = functools.partial(records.write_step, request.run_id, request.step, request.map_key)
    started, cost = time.time(), _Cost()
    write(
        state="running",
        attempts=request.attempt,
        started=started,
        ended=None,
        error=None,
        inputs=request.inputs,
        log=request.log,
    )
    try:
        output = _call(request, emit, resolve, function)
    except BaseException as error:
        write(state="failed", ended=time.time(), error=describe_error(error), **cost.so_far())
        raise
    write(state="succeeded", ended=time.time(), output=output, error=None, **cost.so_far())
    return output


def records_of(home: str) -> Records:
    """The records of a workspace, connected once in a process."""
    return _connected(Workspace(home).records_url)


@functools.lru_cache(maxsize=8)
def _connected(url: str) -> Records:
    return Records(url)


def _call(request: Request, emit: Emit, resolve: Resolve, function: Callable[..., Any] | None) -> Any:
    found = function or import_path(request.function)
    called = found if isinstance(found, Step) else Step(found, _NO_OPTIONS)
    context = Context(
        workspace=Workspace(request.home),
        run_id=request.run_id,
        step=request.step,
        pipeline=request.pipeline,
        engine=request.engine,
        map_key=request.map_key,
        attempt=request.attempt,
        as_of=None if request.as_of is None else moment(request.as_of),
        day=today() if request.day is None else moment(request.day),
        parameters=request.parameters,
        tags=request.tags,
        emit=emit,
        resolve=resolve,
    )
    _sweep(context)
    # before a step loads OpenMP: threads that wait actively multiply the CPU of training on a busy machine
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        called.signature.bind(**request.inputs)
    except TypeError as error:
        raise UsageError(f"{called.__name__}{called.signature}: {error}") from None
    arguments = {name: _open(called, name, value) for name, value in request.inputs.items()}
    with running_context.running(context):
        result = called.function(**arguments)
    return _checked(request.step, result, called.hints.get("return", Any))


_NO_OPTIONS = Options()


def moment(given: str | date) -> datetime:
    """A date or ISO time as an aware UTC time.

    Raises:
        ParameterError: it is neither.
    """
    try:
        parsed = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise ParameterError(f"{given!r} is no date: write 2026-03-01 or 2026-03-01T06:00:00+00:00.") from None
    if not isinstance(parsed, datetime):
        parsed = datetime(parsed.year, parsed.month, parsed.day)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _sweep(context: Context) -> None:
    """Remove what a killed attempt of this very step left half-written."""
    if not context.workspace.remote:
        for part in Path(context.folder).glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)


@functools.lru_cache(maxsize=256)
def _adapter(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)


def _open(called: Step[..., Any], name: str, value: Any) -> Any:
    """An input as the function's annotation wants it: references typed, JSON coerced."""
    import pydantic

    wanted = called.hints.get(name, Any)
    plain = bare(wanted)
    value = _typed(value)
    if isinstance(value, Artifact):
        if isinstance(plain, type) and plain is not Any and not isinstance(value, plain):
            raise ContractError(f"{called.__name__!r} wants {name}: {plain.__name__}, got a {value.kind}.")
        return value
    if wanted is Any:
        return value
    try:
        return _adapter(wanted).validate_python(value)
    except pydantic.PydanticUserError:  # a type that pydantic cannot check
        return value
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in (name, *first["loc"]))
        raise ContractError(f"{called.__name__!r} refuses {where}={first['input']!r}: {first['msg']}.") from None


def _typed(value: Any) -> Any:
    if is_reference(value):
        return Artifact.from_json(value)
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return value


def _checked(step: str, result: Any, wanted: Any) -> Any:
    """A result as JSON of at most 8 KiB, or a sentence on what it should have been."""
    plain = bare(wanted)
    is_artifact = isinstance(plain, type) and issubclass(plain, Artifact)
    if is_artifact and not isinstance(result, plain) and (result is not None or plain is wanted):
        raise ContractError(f"{step!r} promises a {plain.__name__} and returned {_named(result)}.")
    parts = get_args(plain) if get_origin(plain) is tuple else ()
    if parts and Ellipsis not in parts and (not isinstance(result, tuple) or len(result) != len(parts)):
        raise ContractError(f"{step!r} promises {len(parts)} results and returned {_named(result)}.")
    output = _plain(step, result)
    if plain is bool and not isinstance(output, bool) and (output is not None or plain is wanted):
        raise ContractError(f"{step!r} promises True or False and returned {_named(result)}.")
    size = len(json.dumps(output).encode())
    if size > LARGEST_RESULT:
        raise ContractError(
            f"{step!r} returned {size:,} bytes; at most {LARGEST_RESULT:,} may cross a step boundary. "
            "Write the data as a Dataset or Metrics and return the reference."
        )
    return output


def _named(value: Any) -> str:
    name = type(value).__name__
    return "nothing" if value is None else f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def _plain(step: str, value: Any) -> Any:
    if isinstance(value, Artifact):
        return _plain(step, value.to_json())
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # without what an enum or a library has made of it
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ContractError(
                f"{step!r} returned a whole number of {value.bit_length()} bits; at most 64 cross a step."
            )
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ContractError(f"{step!r} returned {value}, which is not JSON; return None where there is no number.")
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(step, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(step, item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(step, getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return _plain(step, value.model_dump(mode="json"))
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return _plain(step, value.item())
    advice = (
        "Dataset.of(table)" if hasattr(value, "columns") or hasattr(value, "column_names") else "a reference or JSON"
    )
    raise ContractError(f"{step!r} returned {_named(value)}; return {advice}: only references and JSON cross steps.")


class _Cost:
    """CPU seconds and peak memory since it was made, of this process and its children."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text(
                "5"
            )  # Linux: start the peak anew, for a process that runs many steps
        self._cpu = self._cpu_now()

    @staticmethod
    def _cpu_now() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    def so_far(self) -> dict[str, Any]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        with contextlib.suppress(OSError, StopIteration):
            lines = Path("/proc/self/status").read_text().splitlines()
            peak = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
        return {"cpu_seconds": self._cpu_now() - self._cpu, "peak_bytes": peak}

"""The ready-made steps as tasks for flows of your own, and a hook that tells of their failures.

    @flow(on_failure=[incident], on_crashed=[incident], on_cancellation=[incident], on_completion=[incident])
    def churn(source: str) -> None:
        checked = validate_data(load_data(source, time="time"), suite="suites/churn.yaml")
        train_set, test_set = split_by_time(checked, label="churned", test_days=7)
        train_model(train_set, label="churned")

A task takes what its step takes, and gives the result as JSON: a reference, a number, a list. Where the flow has a
parameter `as_of`, the run stands for that moment.
"""

from __future__ import annotations

import inspect
import itertools
import re
import threading
from collections.abc import Callable, Collection
from typing import Any

from prefect import Task
from prefect.context import FlowRunContext, TaskRunContext

from ostinato import steps
from ostinato.errors import UsageError
from ostinato.graph import Step
from ostinato.records import RunRecord

from .prefect_closing import RunEnded
from .prefect_run import opened, records_here
from .prefect_tasks import failing, perform, pool, scheduled

_ENGINES_OWN = "answer"  # what a person said is handed in by the engine


def task(step: Step[..., Any] | Callable[..., Any], **options: Any) -> Task[..., Any]:
    """The task of a step, yours or ours: its arguments are the step's.

    Args:
        step: what `@step` made.
        options: whatever else a task takes (`name`, `retries`, `tags` …).

    Raises:
        UsageError: it is no step.
    """
    if not isinstance(step, Step):
        raise UsageError(f"{step!r} is no step: write @step above the function.")
    own = [one for one in step.signature.parameters.values() if one.name != _ENGINES_OWN]
    types = {one.name: step.hints.get(one.name, Any) for one in own}  # as types: Prefect reads none that are text
    signature = inspect.Signature([one.replace(annotation=types[one.name]) for one in own])

    def play(*args: Any, **more: Any) -> Any:
        inputs = dict(signature.bind(*args, **more).arguments)
        run, name = _placed(step)
        with failing(run, name):
            return perform(step, run, name, inputs)

    play.__name__ = play.__qualname__ = step.__name__
    play.__doc__, play.__module__ = inspect.getdoc(step.function), step.function.__module__
    play.__signature__ = signature  # type: ignore[attr-defined]
    play.__annotations__ = types
    return Task(play, **{"name": step.__name__, **scheduled(step), **options})


_placing = threading.Lock()
_names: dict[tuple[Any, int], dict[Any, str]] = {}  # of an attempt at a flow run, what its task runs are called


def _placed(step: Step[..., Any]) -> tuple[RunRecord, str]:
    """The run that the task belongs to, and its name there, with a number from the second call on."""
    flow, task_run = FlowRunContext.get(), TaskRunContext.get()
    if flow is None or flow.flow_run is None or flow.flow is None or task_run is None:
        raise UsageError(f"{step.__name__!r} is called outside a flow: call it in one, or call the step itself.")
    with _placing:
        asked = _plain(flow.parameters)
        run = opened(flow.flow.name, flow.flow_run, None, {}, asked, asked.get("as_of")).record
        attempt = (flow.flow_run.id, flow.flow_run.run_count)
        if attempt not in _names:
            pool.begin()
        names = _names.setdefault(attempt, {})
        wanted = re.sub(r"[^A-Za-z0-9_.-]+", "-", task_run.task.name).strip(".-") or "step"  # it names a folder, too
        name = names.setdefault(task_run.task_run.id, _free(wanted, names.values()))
        nodes = list(run.graph["nodes"])
        if name not in [node["name"] for node in nodes]:
            nodes.append({"name": name, "kind": "step", "step": step.path, "inputs": {}})
            records_here().change_run(run.run_id, graph={**run.graph, "nodes": nodes})
    return run, name


def _free(wanted: str, taken: Collection[str]) -> str:
    numbers = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
    return next(name for number in numbers if (name := f"{wanted}{number}") not in taken)


def _plain(values: Any) -> dict[str, Any]:
    """What a flow was called with, as far as it is JSON; of the rest, which may be tables, the kind."""
    import pydantic_core

    found: dict[str, Any] = pydantic_core.to_jsonable_python(
        values or {}, fallback=lambda one: f"<{type(one).__name__}>"
    )
    return found


incident = RunEnded()
"""A hook for every end of a flow written by hand: one incident a run, to where `OSTINATO_ALERTS` says."""
alert = task(steps.alert)
approve = task(steps.approve)
deploy_model = task(steps.deploy, name="deploy_model")
evaluate_model = task(steps.evaluate, name="evaluate_model")
fraud_features = task(steps.fraud_features)
load_data = task(steps.load, name="load_data")
promote_model = task(steps.promote, name="promote_model")
register_model = task(steps.register, name="register_model")
rollback_model = task(steps.rollback, name="rollback_model")
split_by_time = task(steps.split_by_time)
train_model = task(steps.train, name="train_model")
validate_data = task(steps.validate, name="validate_data")

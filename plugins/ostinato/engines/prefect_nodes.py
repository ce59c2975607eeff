"""The nodes of a graph as Prefect tasks, named after them: each judges for itself whether it runs.

A task gets whole results, of the steps it reads, of those whose flags guard it and of those it only waits for; so
Prefect's page draws every edge, nothing waits in the flow itself, and a skip travels as a result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from ostinato.artifacts import all_there
from ostinato.drawing import spell
from ostinato.errors import ContractError, DataError
from ostinato.graph import Guard, Node
from ostinato.records import RunRecord
from ostinato.runner import fill

from .prefect_run import Opened, records_here
from .prefect_tasks import failing, perform, scheduled

SKIP = {"$ostinato": "skipped"}
"""What stands for the result of a step that was skipped."""
Results = Mapping[str, Any]


def task_of(node: Node) -> Task[..., Any]:
    """The task of a node.

    It takes `run` (an `Opened`, quoted), the results it `needs`, those it is guarded by (`when`) and waits for
    (`after`); for an item of a mapped step also `item` and its place `map_key`; and its `label`, the task run's name.
    """

    def play(
        run: Opened,
        needs: Results,
        label: str,
        when: Results | None = None,
        after: Results | None = None,
        item: Any = None,
        map_key: str = "",
    ) -> Any:
        return _played(node, run, needs, when or {}, after or {}, item, map_key)

    play.__name__ = play.__qualname__ = node.name
    play.__doc__ = node.step.function.__doc__
    options = scheduled(node.step) if node.kind in ("step", "map") else {"cache_policy": NO_CACHE}
    return Task(play, **{"name": node.name, "task_run_name": "{label}", **options})


def _played(node: Node, run: Opened, needs: Results, when: Results, after: Results, item: Any, map_key: str) -> Any:
    record = run.record
    if run.again and (earlier := _kept(node, record, map_key)) is not None:
        return Completed(name="Resumed", message="as the earlier attempt left it", data=earlier[0])
    with failing(record, node.name, map_key):
        if why := _reason_to_skip(node, record, needs, when, after):
            return _skipped(node, record, why, SKIP)
        if node.kind == "either":
            taken = next(side for side in node.inputs.values() if needs[side["$step"]] != SKIP)
            return _written(node, record, fill(taken, needs, record.parameters))
        if node.kind == "collect":
            return _written(node, record, fill(node.inputs, needs, record.parameters)["items"])
        if node.kind == "map" and not map_key:
            items_of(node, needs, record.parameters)  # raises unless it is a list
            return _skipped(node, record, "there is no item", [])
        inputs = fill(node.inputs, needs, record.parameters)
        if map_key:
            inputs[node.item] = item
        return perform(node.step, record, node.name, inputs, map_key)


def items_of(node: Node, results: Results, parameters: Mapping[str, Any]) -> list[Any]:
    """What a mapped step runs over."""
    over = fill(node.over, results, parameters)
    if not isinstance(over, list):
        raise DataError(f"{node.name!r} runs over a list, and got {str(over)[:80]}.")
    return over


def _kept(node: Node, run: RunRecord, map_key: str) -> tuple[Any] | None:
    """What an earlier attempt at the run has made, where all of it is still there."""
    earlier = records_here().step(run.run_id, node.name, map_key)
    if earlier is None or earlier.state != "succeeded" or not all_there(earlier.output):
        return None
    return (earlier.output,)


def _reason_to_skip(node: Node, run: RunRecord, needs: Results, when: Results, after: Results) -> str:
    """Why a node does not run; empty where it does."""
    skipped = [name for name, result in {**needs, **after}.items() if result == SKIP]
    if node.kind == "either":
        if len(skipped) == len(needs):
            return "neither side ran"
    elif skipped:
        return f"{skipped[0]} was skipped"
    return next((why for guard in node.guards if (why := _closed(guard, when, run.parameters))), "")


def _closed(guard: Guard, when: Results, parameters: Mapping[str, Any]) -> str:
    """Why a guard lets nothing through; empty where it does."""
    named = spell(guard.flag)
    if when.get(guard.flag.get("$step", "")) == SKIP:
        return f"{named} was skipped"
    flag = fill(guard.flag, when, parameters)
    if not isinstance(flag, bool):
        raise ContractError(f"{named} decides what runs, and is {flag!r} instead of true or false.")
    return "" if flag is guard.expected else f"{named} is {'true' if flag else 'false'}"


def _skipped(node: Node, run: RunRecord, why: str, result: Any) -> Any:
    now = time.time()
    records_here().write_step(run.run_id, node.name, state="skipped", started=now, ended=now)
    return Completed(name="Skipped", message=why, data=result)


def _written(node: Node, run: RunRecord, output: Any) -> Any:
    """A result that was put together rather than calculated, on record."""
    now = time.time()
    values: dict[str, Any] = {"state": "succeeded", "attempts": 1, "started": now, "ended": now, "error": None}
    records_here().write_step(run.run_id, node.name, **values, output=output)
    return output

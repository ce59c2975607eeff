"""What a generated flow does: submit every node, wait for all of them, write the report, say how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import as_completed, wait
from prefect.logging import get_run_logger
from prefect.states import Failed, State
from prefect.utilities.annotations import quote

from ostinato.closing import publish
from ostinato.errors import OstinatoError, PermanentError
from ostinato.graph import Node, Pipeline, owners
from ostinato.outcome import label, outcome, title
from ostinato.records import RunRecord, sentence

from .prefect_artifacts import show_report
from .prefect_closing import tell, will_run_again
from .prefect_nodes import SKIP, items_of
from .prefect_run import Opened, opened, records_here, workspace_here
from .prefect_tasks import ask_store, pool

_CAUSES = 3  # that a failed run's message names


@dataclass
class Play:
    """One run of a pipeline's graph."""

    pipeline: Pipeline[...]
    tasks: Mapping[str, Task[..., Any]]
    run: Opened
    futures: dict[str, Any] = field(default_factory=dict)  # of a mapped step a list of them

    def play(self) -> Any:
        """Run it; gives the outcome (see `ostinato.outcome`), or a failed state that names the cause."""
        pool.begin()
        try:
            self._submit_all()
            wait(self._all())
            return self._end()
        except BaseException as error:
            if not isinstance(error, Exception):  # the run was cancelled, or its process is to end
                pool.end()
            raise
        finally:
            pool.close()

    def _submit_all(self) -> None:
        """Submit each node as soon as it can be: behind a mapped step only when its items are known."""
        left = list(self.pipeline.graph.nodes)
        while left:
            left = [node for node in left if not self._submit(node)]
            lists = [self.futures[name] for node in left for name in self._lists(node)]
            if left:
                next(as_completed(_flat(lists)), None)  # none where all of them have just ended

    def _lists(self, node: Node) -> list[str]:
        """What a mapped step needs and that has been submitted and has not ended: only then its items are known."""
        names = [name for name in node.needs if name in self.futures] if node.kind == "map" else []
        return [name for name in names if not all(map(_has_ended, _flat([self.futures[name]])))]

    def _submit(self, node: Node) -> bool:
        if any(name not in self.futures for name in node.needs) or self._lists(node):
            return False
        given: dict[str, Any] = {"run": quote(self.run), "needs": self._results(owners([node.inputs, node.over]))}
        # Prefect walks through every argument more than once, so what is empty is left out
        given |= {"when": self._results(owners([one.flag for one in node.guards]))} if node.guards else {}
        given |= {"after": self._results(node.after)} if node.after else {}
        submit, items = self.tasks[node.name].submit, self._items(node)
        if items:
            self.futures[node.name] = [
                submit(**given, label=f"{node.name}[{label(item, str(number))}]", item=item, map_key=str(number))
                for number, item in enumerate(items)
            ]
        else:
            self.futures[node.name] = submit(**given, label=node.name)
        return True

    def _results(self, names: Any) -> dict[str, Any]:
        return {name: self.futures[name] for name in names}

    def _items(self, node: Node) -> list[Any]:
        """What a mapped step runs over; empty where there is nothing, or nothing that can be run over."""
        if node.kind != "map":
            return []
        found = {name: self._result(name) for name in node.needs}
        if any(result is None or result == (SKIP,) for result in found.values()):
            return []
        results = {name: result[0] for name, result in found.items() if result}
        try:
            return items_of(node, results, self.run.record.parameters)
        except OstinatoError:
            return []  # its one task will say so

    def _result(self, name: str) -> tuple[Any] | None:
        """The result of a step that has ended, None where it has none."""
        futures = self.futures[name]
        if not all(one.state.is_completed() for one in _flat([futures])):
            return None
        return ([one.result() for one in futures] if isinstance(futures, list) else futures.result(),)

    def _all(self) -> list[Any]:
        return _flat(list(self.futures.values()))

    def _end(self) -> Any:
        record, records = self.run.record, records_here()
        failed = [one for one in self._all() if not one.state.is_completed()]
        records.close_run(record.run_id, "failed" if failed else "succeeded")
        written = _report(quote(record), self.pipeline.__doc__ or "", return_state=True)
        if not (failed and will_run_again()):
            tell("ended", record.run_id)
        result = written.result() if written.is_completed() else outcome(records, record.run_id)
        return Failed(message=_cause(result, failed)) if failed else result


def _cause(result: Mapping[str, Any], failed: list[Any]) -> str:
    """What failed and why, rather than what could not run for it."""
    known = [
        f"step {title(one)}: {sentence(one['error'])}"
        for one in result["steps"]
        if one["state"] == "failed" and one.get("error")
    ]
    others = [one.state.message for one in failed if not one.state.is_pending() and one.state.message]
    said = known or others or ["a step did not end"]
    return "; ".join([*said[:_CAUSES], *([f"and {len(said) - _CAUSES} more"] if len(said) > _CAUSES else [])])


@task(name="report", task_run_name="report", cache_policy=NO_CACHE)
def _report(run: RunRecord, about: str) -> dict[str, Any]:
    """Write the run's pages, and show on Prefect's what fits."""
    log = get_run_logger()

    def call(function: str, inputs: dict[str, Any]) -> Any:
        return ask_store(run, function, inputs)

    found = publish(records_here(), workspace_here(), run.run_id, about, call=call, say=log.warning)
    show_report(found)
    return found


def play(
    pipeline: Pipeline[...],
    tasks: Mapping[str, Task[..., Any]],
    given: Mapping[str, Any],
    asked: Mapping[str, Any],
    as_of: Any,
) -> Any:
    """Run a pipeline in the flow run that is going on."""
    context = FlowRunContext.get()
    assert context is not None  # it is called by a flow
    assert context.flow_run is not None
    run = opened(context.flow.name, context.flow_run, pipeline, given, asked, as_of)
    result = Play(pipeline, tasks, run).play()
    if isinstance(result, State) and will_run_again():
        raise PermanentError(str(result.message))  # Prefect tries again after an exception, not after a state
    return result


def _has_ended(future: Any) -> bool:
    """Whether a task has ended; one that is blocked stays in a state that is not final."""
    return bool(future.state.is_final() or future.state.name == "NotReady")


def _flat(futures: list[Any]) -> list[Any]:
    return [one for found in futures for one in (found if isinstance(found, list) else [found])]

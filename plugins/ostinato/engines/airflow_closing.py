"""How a DAG run ends: what became of each step on record, the report, and word of it; once, whoever comes first.

A task's own hook tells of a failure at once. The report is a teardown, which runs whatever happened and does not count
for the run's state; where even that was killed, the hook of the run closes the record.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow.sdk import BaseOperator

from ostinato.catalog import find_pipeline
from ostinato.errors import StepLost
from ostinato.records import ENDED, Records, RunRecord, describe_error
from ostinato.runner import Request, execute

from .airflow_link import RunReportLink
from .airflow_operators import OfRun, failing_for_good, item_of
from .airflow_run import opened, record_id, records_here, states_of, workspace_here
from .airflow_secrets import resolve

_log = logging.getLogger(__name__)
_FROM_HOOK = 5.0  # seconds that telling may take where others wait


class ReportOperator(OfRun, BaseOperator):
    """Closes a run's record, writes its report and tells how it ended."""

    operator_extra_links = (RunReportLink(),)
    ui_color = "#eef1f5"

    def __init__(self, *, pipeline: str, given: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.pipeline, self.given = pipeline, given

    def execute(self, context: Any) -> str:
        """Close, report, tell; gives the report's place."""
        records = records_here()
        run = opened_anyhow(context, self.pipeline, self.given)
        states = list(self._states(context))
        for node, item, state in states:
            _settle(records, run, node, item, state)
        failed = any(state in ("failed", "upstream_failed") for _, _, state in states)
        records.close_run(run.run_id, "failed" if failed else "succeeded")
        try:
            with failing_for_good():
                return str(self._published(records, run)["report"])
        finally:
            _tell("ended", records, run.run_id)

    def _states(self, context: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Node, item and Airflow's state of all that the pipeline is made of.

        Mapped ones are asked for alone: Airflow calls item 2 of `square` `square_2`, as another node may be called.
        """
        nodes = find_pipeline(str(self.pipeline)).graph.nodes
        plain = [node.name for node in nodes if node.kind != "map"]
        for name, state in states_of(context, plain).items() if plain else ():
            yield name, "", state
        for node in (node.name for node in nodes if node.kind == "map"):
            for name, state in states_of(context, [node]).items():
                yield node, name.removeprefix(node).removeprefix("_"), state

    def _published(self, records: Records, run: RunRecord) -> dict[str, Any]:
        from ostinato.closing import publish  # here, as in _tell: a DAG file is loaded every half minute

        home = workspace_here().home

        def call(function: str, inputs: dict[str, Any]) -> Any:
            return execute(Request.of(run, home, function, inputs), resolve=resolve)

        about = find_pipeline(str(self.pipeline)).__doc__ or ""
        return publish(records, workspace_here(), run.run_id, about, call=call, say=self.log.warning)


def _settle(records: Records, run: RunRecord, node: str, item: str, state: str) -> None:
    """Put on record what Airflow alone knows of a step: skipped, killed, given up, or set so by a person."""
    known = records.step(run.run_id, node, item)
    now = time.time()
    if state == "skipped" and (known is None or known.state != "skipped"):
        records.write_step(run.run_id, node, item, state="skipped", started=now, ended=now)
    elif state == "failed" and (known is None or known.state != "failed" or known.error is None):
        error = describe_error(StepLost(f"The process of {node!r} ended without a word: see the task's log."))
        found = {"error": error} if known is None or known.error is None else {}
        began = {} if known is not None and known.started else {"started": now}
        records.write_step(run.run_id, node, item, state="failed", ended=now, **began, **found)
    elif state == "upstream_failed" and known is not None:  # what it did before it was cleared counts no more
        records.write_step(run.run_id, node, item, state="pending")
    elif state == "success" and known is not None and known.state not in ("succeeded", "skipped"):
        records.write_step(run.run_id, node, item, state="succeeded", ended=now, error=None)


def opened_anyhow(
    context: Mapping[str, Any], pipeline: str | None, given: Mapping[str, Any], to: str | None = None
) -> RunRecord:
    """The run's record, whatever is wrong with its parameters: that has been said by the task that failed for it.

    Args:
        to: where its alerts go, unless that has been said.
    """
    with contextlib.suppress(Exception):
        opened(context, pipeline, given, reopen=False)
    records, dag_run = records_here(), context.get("dag_run")  # a run's hook may get no more than names
    names = (dag_run.dag_id, dag_run.run_id) if dag_run else (context["dag"].dag_id, context["run_id"])
    run = records.run(record_id(*names))
    if to is not None and "on_failure" not in run.tags:
        run = replace(run, tags={**run.tags, "on_failure": to})
        records.change_run(run.run_id, tags=run.tags)
    return run


# --- hooks --------------------------------------------------------------------------------------------------------


class StepFailed:
    """The hook of a task that has failed for good: opens the run's incident, and never fails a task itself."""

    def __init__(self, pipeline: str | None, given: Mapping[str, Any], to: str | None = None) -> None:
        self.pipeline, self.given, self.to = pipeline, given, to

    def __call__(self, context: Any) -> None:
        with _never_failing():
            records, run = records_here(), opened_anyhow(context, self.pipeline, self.given, self.to)
            ti = context["ti"]
            item = item_of(ti)
            known = records.step(run.run_id, ti.task_id, item)
            if known is None or known.error is None:  # it failed before its step began
                error = describe_error(_cause(context.get("exception")))
                now = time.time()
                records.write_step(run.run_id, ti.task_id, item, state="failed", started=now, ended=now, error=error)
            _tell("failed", records, run.run_id, ti.task_id, item)


def _cause(error: BaseException | None) -> BaseException:
    found = (error and error.__cause__) or error
    return found or StepLost("The task failed before its step began: see its log.")


class RunEnded:
    """The hook of a run: closes a record that is still open, and tells what has not been told."""

    def __init__(self, pipeline: str | None, given: Mapping[str, Any], state: str, to: str | None = None) -> None:
        self.pipeline, self.given, self.state, self.to = pipeline, given, state, to

    def __call__(self, context: Any) -> None:
        with _never_failing():
            records, run = records_here(), opened_anyhow(context, self.pipeline, self.given, self.to)
            if run.state not in ENDED:
                error, known = None, any(step.error for step in records.steps(run.run_id) if step.state == "failed")
                if self.state == "failed" and not known:
                    reason = context.get("reason") or "no reason is known"
                    error = describe_error(StepLost(f"The run was ended by Airflow: {reason}."))
                records.close_run(run.run_id, self.state, error=error)
            _tell("ended", records, run.run_id, seconds=_FROM_HOOK)


def _tell(what: str, records: Records, run_id: str, *more: str, seconds: float = 10.0) -> None:
    """Write down what is told of a run (`failed`, `ended`), and send it."""
    from ostinato import alerts
    from ostinato.delivery import deliver

    getattr(alerts, what)(records, run_id, *more)
    deliver(records, workspace_here(), resolve=resolve, seconds=seconds)


@contextlib.contextmanager
def _never_failing() -> Iterator[None]:
    try:
        yield
    except Exception:
        _log.exception("No alert could be written down.")

"""How a DAG run ends on record: what Airflow alone knows is written down, and nothing is told twice or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from datetime import UTC, datetime

from engines import stories
from ostinato import each, pipeline
from ostinato.engines.airflow_closing import ReportOperator, RunEnded, StepFailed
from ostinato.engines.airflow_run import opened, record_id, records_here
from ostinato.errors import DataError, Unavailable
from ostinato.records import describe_error

pytestmark = pytest.mark.airflow

RUN = ("by_hand", "manual__1")
RECORD = record_id(*RUN)


@pipeline
def twice() -> None:
    """The same step mapped and called again, as the second of that name."""
    stories.total(each(stories.square, over=[1, 2, 3]))
    stories.square(4)
    stories.total.with_options(name="total_of_two")(each(stories.square.with_options(name="square_4"), over=[1, 2]))


def context(states: dict[str, str] | None = None, *, task: str = "fit", **more: Any) -> dict[str, Any]:
    """What Airflow tells a task or a hook.

    Args:
        states: by the task's id, of an item `square#2`, which Airflow calls `square_2`.
    """
    run = {"dag_id": RUN[0], "run_id": RUN[1], "conf": {}, "run_type": "manual", "triggering_user_name": None}
    run |= {"data_interval_start": None, "data_interval_end": None, "run_after": datetime(2026, 3, 1, 5, tzinfo=UTC)}

    def asked(task_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        known = {tuple(key.split("#")): state for key, state in (states or {}).items()}
        return {RUN[1]: {"_".join(key): state for key, state in known.items() if key[0] in task_ids}}

    ti = SimpleNamespace(task_id=task, map_index=-1, try_number=1, max_tries=0, get_task_states=asked)
    dag = SimpleNamespace(dag_id=RUN[0], owner="ada", tasks=[], schedule=None)
    return {"dag_run": SimpleNamespace(**run), "dag": dag, "ti": ti, **more}


def titles() -> list[str]:
    return [message.body["title"] for message in records_here().outbox.messages()]


def report(pipeline_path: str) -> ReportOperator:
    return ReportOperator(task_id="report", pipeline=pipeline_path, given={})


def test_an_item_is_not_taken_for_another_step_of_that_name() -> None:
    """Item 2 of `square`, the step `square_2`, and the items of `square_4`."""
    asked = {"square#0": "success", "square#1": "success", "square#2": "failed", "square_2": "success"}
    asked |= {"square_4": "skipped"}
    found = list(report(twice.path)._states(context(asked)))
    assert ("square", "2", "failed") in found
    assert ("square", "0", "success") in found
    assert ("square_4", "", "skipped") in found
    assert ("square_2", "", "success") in found


def test_what_a_cleared_step_did_before_counts_no_more_once_it_was_given_up() -> None:
    """Else the report would show the old candidate in a run that failed before it."""
    run = opened(context(), stories.failing.path, {})
    records = records_here()
    records.write_step(run.run_id, "square", state="succeeded", attempts=1, output=4)
    states = {"refuse": "failed", "square": "upstream_failed", "number": "success"}
    report(stories.failing.path).execute(context(states))
    assert {step.step: step.state for step in records.steps(run.run_id)} == {"square": "pending", "refuse": "failed"}
    assert records.run(run.run_id).state == "failed"
    assert titles() == ["failing failed at refuse"]


def test_an_ending_that_was_not_told_is_told_by_the_runs_hook() -> None:
    """The report closed the record and was killed before it could tell."""
    run = opened(context(), None, {})
    records = records_here()
    error = describe_error(DataError("no rows"))
    records.write_step(run.run_id, "fit", state="failed", attempts=1, started=1.0, ended=2.0, error=error)
    records.close_run(run.run_id, "failed")
    for _ in range(2):
        RunEnded(None, {}, "failed")(context())
    assert titles() == ["by_hand failed at fit"]


def test_a_failure_that_was_told_is_not_told_again_as_airflows_own() -> None:
    """A task's hook, then the run's: one message, and the step's error is the run's."""
    opened(context(), None, {})
    StepFailed(None, {})(context(exception=DataError("no rows")))
    RunEnded(None, {}, "failed")(context(reason="task_failure"))
    assert titles() == ["by_hand failed at fit"]
    assert records_here().run(RECORD).error is None
    assert records_here().run(RECORD).state == "failed"


def test_a_run_that_airflow_ended_has_airflows_reason() -> None:
    """No step has failed: somebody or a time-out has ended it."""
    opened(context(), None, {})
    RunEnded(None, {}, "failed")(context(reason="timed_out"))
    assert "timed_out" in str(records_here().run(RECORD).error)
    assert len(titles()) == 1


def test_a_hook_that_gets_no_more_than_names_closes_the_record() -> None:
    """Airflow tells little where the run's last task is no longer in its file."""
    opened(context(), None, {})
    little = {"dag": context()["dag"], "run_id": RUN[1], "reason": "task_failure"}
    RunEnded(None, {}, "failed")(little)
    assert records_here().run(RECORD).state == "failed"


def test_a_cause_of_an_earlier_attempt_is_not_that_of_a_later_one() -> None:
    """The first attempt met a service that was away, the second was killed."""
    run = opened(context(), stories.failing.path, {})
    records = records_here()
    away = describe_error(Unavailable("the service is away"))
    records.write_step(run.run_id, "refuse", state="retrying", attempts=1, started=1.0, error=away)
    records.write_step(run.run_id, "refuse", state="running", attempts=2, started=2.0, error=None)
    report(stories.failing.path).execute(context({"refuse": "failed"}))
    (found,) = records.steps(run.run_id)
    assert found.error is not None
    assert "ended without a word" in found.error["message"]


def test_a_backfill_that_takes_over_a_run_is_known_as_one() -> None:
    """Airflow clears the run that failed and calls it a backfill: it promotes nothing from then on."""
    assert "backfill" not in opened(context(), None, {}).tags
    taken_over = context()
    taken_over["dag_run"].run_type = "backfill"
    assert opened(taken_over, None, {}).tags["backfill"] == "true"
    assert records_here().run(RECORD).tags["backfill"] == "true"

"""The ready-made steps as tasks of a flow that somebody writes by hand, and the hook that tells of it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

from prefect import Task, flow
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from engines import stories
from engines.stories import output_of, states_of
from engines.test_prefect_run import Player, ran
from integrations.mlflow_store import put_store
from ostinato import steps
from ostinato.engines import prefect_flow
from ostinato.engines.prefect_flow import incident, load_data, split_by_time, task, train_model, validate_data
from ostinato.engines.prefect_run import records_here
from ostinato.engines.prefect_tasks import may_help
from ostinato.errors import DataError, UsageError

pytestmark = pytest.mark.prefect
__all__ = ["ran"]

TASKS: dict[str, Any] = {
    "alert": steps.alert,
    "approve": steps.approve,
    "deploy_model": steps.deploy,
    "evaluate_model": steps.evaluate,
    "fraud_features": steps.fraud_features,
    "load_data": steps.load,
    "promote_model": steps.promote,
    "register_model": steps.register,
    "rollback_model": steps.rollback,
    "split_by_time": steps.split_by_time,
    "train_model": steps.train,
    "validate_data": steps.validate,
}
HOOKS: dict[str, Any] = {name: [incident] for name in ("on_failure", "on_crashed", "on_cancellation", "on_completion")}

number = task(stories.number)
refuse = task(stories.refuse)
square = task(stories.square)
lucky = task(stories.third_time_lucky)


def test_every_task_that_is_offered_is_known_here() -> None:
    """And no other name is, but for what makes flows and tasks."""
    assert {*TASKS, "incident", "task", "to_flow"} == set(prefect_flow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_dta'"):
        prefect_flow.load_dta  # noqa: B018


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_arguments_of_its_step(name: str) -> None:
    """Signature and text are the step's, less what the engine hands in; no annotation is text."""
    made, of = getattr(prefect_flow, name), TASKS[name]
    assert isinstance(made, Task)
    own = inspect.signature(made.fn).parameters
    theirs = {key: one for key, one in inspect.signature(of.function).parameters.items() if key != "answer"}
    assert {key: (one.default, one.kind) for key, one in own.items()} == {
        key: (one.default, one.kind) for key, one in theirs.items()
    }
    assert not [one for one in own.values() if isinstance(one.annotation, str)]
    assert made.fn.__doc__ == inspect.getdoc(of.function)
    assert (made.name, made.retries) == (name, of.settings.retries)
    assert made.retry_condition_fn is may_help
    assert made.cache_policy == NO_CACHE


@pytest.mark.parametrize("name", TASKS)
def test_no_argument_is_called_like_one_of_prefects(name: str) -> None:
    """`return_state` and `wait_for` are Prefect's: a step's of that name would never get its value."""
    assert not {"return_state", "wait_for"} & set(inspect.signature(TASKS[name].function).parameters)


def test_a_task_of_a_step_of_ones_own() -> None:
    """Named after it, scheduled as it says, unless the flow says otherwise."""
    assert (lucky.name, lucky.retries) == ("third_time_lucky", 2)
    made = task(stories.third_time_lucky, name="lucky", retries=0, tags=["gpu"])
    assert (made.name, made.retries, made.tags) == ("lucky", 0, {"gpu"})
    with pytest.raises(UsageError, match="is no step: write @step above the function"):
        task(len)


@flow(**HOOKS)
def churn(source: str, as_of: str = "2026-01-09") -> Any:
    """Somebody's own flow."""
    checked = validate_data(
        load_data(source, time="time"),
        suite={"dataset": "customers", "expectations": [{"column_values_to_be_unique": "id"}]},
    )
    train_set, _ = split_by_time(checked, label="churned", test_days=2, label_delay_days=0)
    return train_model(train_set, label="churned", options={"max_iter": 3})


@pytest.fixture
def customers(tmp_path: Path, home: Path) -> str:
    """A small table, and a store for the model."""
    put_store(home)
    rows = 400
    table = pd.DataFrame(
        {
            "id": range(rows),
            "time": pd.Timestamp("2026-01-01") + pd.to_timedelta([number * 1800 for number in range(rows)], unit="s"),
            "visits": [number % 7 for number in range(rows)],
            "churned": [int(number % 7 < 2) for number in range(rows)],
        }
    )
    table.to_parquet(tmp_path / "customers.parquet")
    return str(tmp_path / "customers.parquet")


def test_a_flow_of_single_tasks_runs(ran: Player, customers: str) -> None:
    """Loaded, validated, split, trained; on record like any other run, with the report left to its author."""
    found = ran(churn, source=customers)
    assert found.state.is_completed(), found.state
    result = found.outcome
    assert states_of(result) == dict.fromkeys(
        ["load_data", "validate_data", "split_by_time", "train_model"], "succeeded"
    )
    assert output_of(result, "train_model")["kind"] == "Model"
    assert found.state.result()["digest"] == output_of(result, "train_model")["digest"]
    assert found.records.run(found.run_id).state == "succeeded"
    assert found.records.run(found.run_id).parameters == {"source": customers, "as_of": "2026-01-09"}
    assert found.records.run(found.run_id).as_of == "2026-01-09T00:00:00+00:00"
    assert found.titles == []


def test_a_failure_in_somebodys_own_flow_is_one_incident(ran: Player) -> None:
    """The task tells, and the hook knows."""
    found = ran(churn, source="/nowhere/at/all.parquet")
    assert found.state.is_failed()
    assert found.titles == ["churn failed at load_data"]
    assert found.records.run(found.run_id).state == "failed"


def test_calls_of_one_task_have_names_of_their_own(ran: Player) -> None:
    """As in a pipeline; a name that the flow gives is kept."""

    @flow(**HOOKS)
    def calling() -> int:
        number(1)
        number(2)
        number.with_options(name="third")(3)
        return int(number.submit(4).result())

    found = ran(calling)
    assert found.state.result() == 4
    assert {one["name"]: one["outputs"] for one in found.outcome["steps"]} == {
        "number": 1,
        "number_2": 2,
        "third": 3,
        "number_3": 4,
    }


def test_a_task_that_is_tried_again_keeps_its_name(ran: Player) -> None:
    """Three attempts, one step on record, as a call by position and by name."""

    @flow(**HOOKS)
    def trying() -> int:
        return int(square(lucky(value=7)))

    found = ran(trying)
    assert found.state.result() == 49
    assert [(one["name"], one["attempts"]) for one in found.outcome["steps"]] == [
        ("third_time_lucky", 3),
        ("square", 1),
    ]


def test_a_flow_that_takes_a_failure_in_its_stride_has_succeeded(ran: Player) -> None:
    """Its people hear of the step; Prefect's state is the run's."""

    @flow(**HOOKS)
    def forgiving() -> int:
        state = refuse(1, return_state=True)
        return 1 if state.is_failed() else 0

    found = ran(forgiving)
    assert found.state.result() == 1
    assert found.records.run(found.run_id).state == "succeeded"


def test_a_failure_outside_the_steps_is_told_too(ran: Player) -> None:
    """Of the flow's own code, after a step of ours or without any."""

    @flow(**HOOKS)
    def broken() -> None:
        raise RuntimeError("a slip of mine")

    found = ran(broken)
    assert found.records.run(found.run_id).state == "failed"
    assert "a slip of mine" in str(found.records.run(found.run_id).error)
    assert len(found.titles) == 1


def test_a_task_outside_a_flow_says_what_to_do(prefect_api: str) -> None:
    """Prefect would run it; the record of a run is a flow's."""
    with pytest.raises(UsageError, match="'number' is called outside a flow: call it in one, or call the step itself"):
        number(1)
    assert stories.number(1) == 1


def test_wrong_arguments_are_told(ran: Player) -> None:
    """By name, before anything runs."""

    @flow(**HOOKS)
    def mistyped() -> None:
        number(vlaue=1)

    found = ran(mistyped)
    assert found.state.is_failed()
    assert "vlaue" in found.state.message
    assert records_here().run(found.run_id).state == "failed"


def test_what_a_step_raises_is_what_the_flow_can_catch(ran: Player) -> None:
    """As an error of ours, whatever process it happened in."""
    caught: list[Exception] = []

    @flow(**HOOKS)
    def catching() -> None:
        try:
            refuse(1)
        except Exception as error:
            caught.append(error)

    ran(catching)
    assert "1 is not wanted" in str(caught[0])
    assert DataError("1 is not wanted").args[0] in str(caught[0])


def test_a_flow_by_hand_that_is_tried_again_does_once_what_is_to_be_done_once(ran: Player, tmp_path: Path) -> None:
    """Its tasks bear the same names again, by which a step finds what it has done."""
    file, to = tmp_path / "there", tmp_path / "posts"
    file.touch()
    post, fail_while = task(stories.post), task(stories.fail_while)

    @flow(retries=1, **HOOKS)
    def own(file: str, to: str) -> None:
        """Do something once, then fail at first."""
        if flow_run.run_count > 1:
            Path(file).unlink()
        post(to)
        post(to)
        fail_while(file)

    found = ran(own, str(file), str(to))
    assert found.state.is_completed(), found.state
    assert states_of(found.outcome) == {"post": "succeeded", "post_2": "succeeded", "fail_while": "succeeded"}
    assert len(to.read_text().splitlines()) == 2
    assert found.titles == []


def test_what_a_flow_by_hand_was_called_with_is_kept_without_the_rows(ran: Player) -> None:
    """A table among the arguments is named, not quoted."""

    @flow
    def own(frame: Any) -> None:
        """Takes a table."""
        number(1)

    found = ran(own, pd.DataFrame({"iban": ["DE8937"]}))
    assert found.outcome["parameters"] == {"frame": "<DataFrame>"}


def test_a_task_is_called_what_can_be_a_folder(ran: Player) -> None:
    """Its name is a part of paths."""

    @flow
    def own() -> None:
        """One task with a name that leads elsewhere."""
        task(stories.number, name="../../elsewhere")(1)

    assert states_of(ran(own).outcome) == {"elsewhere": "succeeded"}

"""The tasks: what reaches a step is what the graph says, what it gives and how it fails reaches Airflow and records."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import hypothesis
import hypothesis.strategies as st
import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, AssetAlias, BaseOperator, TriggerRule
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    DownstreamTasksSkipped,
    TaskAwaitingInput,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.timeout import timeout

from engines import stories
from engines.test_airflow_dag import join_in_a_branch
from engines.test_airflow_run import context as run_context
from ostinato import Promotion, each, pipeline, secret, step
from ostinato.engines import airflow_steps
from ostinato.engines.airflow_dag import to_dag
from ostinato.engines.airflow_joints import CollectOperator, GateOperator, JoinOperator, SpreadOperator
from ostinato.engines.airflow_operators import (
    NAMED_BY_ITEM,
    PART,
    AskOperator,
    StepOperator,
    _Heard,
    failing_for_good,
    filled,
    item_of,
    model_asset,
    parts,
    scheduled,
)
from ostinato.engines.airflow_run import record_id, records_here
from ostinato.engines.airflow_steps import SlackIncidentNotifier, operator_of
from ostinato.errors import ContractError, DataError, StepLost, StepTimedOut, Unavailable, UsageError
from ostinato.graph import Pipeline
from ostinato.records import StepRecord
from ostinato.runner import fill
from ostinato.steps import approve, train

pytestmark = pytest.mark.airflow


class Ti(SimpleNamespace):
    """A task instance, as far as ours look at one: what others have left, and what this one leaves."""

    def __init__(self, task_id: str, results: Mapping[str, Any] | None = None, **more: Any) -> None:
        known = {"map_index": -1, "try_number": 1, "max_tries": 0, "states": {}, "id": uuid4()}
        super().__init__(task_id=task_id, results=results or {}, pushed=[], **{**known, **more})

    def xcom_pull(self, task_ids: str, **_: Any) -> Any:
        return self.results[task_ids]

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed.append((key, value))

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run_ids[0]: {name: state for name, state in self.states.items() if name in task_ids}}


def context_of(task: Any, ti: Ti | None = None, **more: Any) -> dict[str, Any]:
    """What Airflow hands this task when it runs."""
    ti = ti or Ti(task.task_id)
    return {**run_context(), "task": task, "ti": ti, "task_instance": ti, **more}


def recorded(name: str, map_key: str = "") -> StepRecord:
    found = records_here().step(record_id("fraud", "manual__2026-11-22"), name, map_key)
    assert found is not None
    return found


# --- arguments --------------------------------------------------------------------------------------------------------

RESULT = {"a": [1, {"b": None}], "text": "{{ 1/0 }}", "c": {}}
PLACES: list[tuple[str | int, ...]] = [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("text",), ("c",)]
TEXTS = ["{{ 1/0 }}", "{{ params }}", "{% raw %}", "{# ü #}", "$step", "'\"\n\\", "\u2028", "null"]
LITERALS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(TEXTS)
PROMISES = st.tuples(st.sampled_from(["of first", "of second", "text", "more", "time"]), st.sampled_from(PLACES))
SPECS = st.recursive(
    LITERALS | PROMISES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "z z"]), inner, max_size=3),
    max_leaves=8,
)


@step
def anything(value: Any = None) -> Any:
    """Give it back."""
    return value


def taking(spec: Any, other: Any) -> Pipeline[...]:
    """A pipeline that hands a step literals and promises, mixed."""

    def make(text: str, more: dict[str, Any]) -> None:
        first = anything.with_options(name="first")(1)
        second = anything.with_options(name="second")(2)
        roots = {"of first": first, "of second": second, "text": text, "more": more, "time": text}

        def built(one: Any) -> Any:
            if isinstance(one, tuple):
                name, place = one
                found: Any = roots[name]
                for key in place if name.startswith("of") else ():
                    found = found[key]
                return found
            if isinstance(one, dict):
                return {key: built(value) for key, value in one.items()}
            return [built(value) for value in one] if isinstance(one, list) else one

        both.with_options(name="taken")(built(spec), built(other))

    return pipeline(make)


@step
def both(value: Any, other: Any = None) -> Any:
    """Give both back."""
    return [value, other]


@hypothesis.given(
    spec=SPECS, other=SPECS, text=st.sampled_from(TEXTS) | st.text(), more=st.dictionaries(st.text(), LITERALS)
)
@hypothesis.settings(max_examples=100)
def test_what_airflow_renders_becomes_the_arguments_that_the_graph_means(
    spec: Any, other: Any, text: str, more: dict[str, Any]
) -> None:
    """As on every engine: literals are never evaluated, and of a result only the part that is meant is read."""
    made = taking(spec, other)
    params = {"text": text, "more": more}
    results = {"first": RESULT, "second": {**RESULT, "a": [2, {"b": 3}]}}
    task = to_dag(made).get_task("taken")
    task.render_template_fields({"params": params, "ti": Ti("taken", results)})
    run: Any = SimpleNamespace(parameters=params)
    found = task.arguments(run)
    assert found == fill(made.graph["taken"].inputs, results, params)
    assert json.dumps(task.inputs)  # what Airflow keeps to show


def test_of_what_is_rendered_nothing_is_a_literal() -> None:
    """A template in a literal would be evaluated; Airflow shows what was asked for instead."""
    task = to_dag(taking(["{{ 1/0 }}", ("text", ()), {"x": "{{ params }}"}], "{{ 1/0 }}")).get_task("taken")
    assert task.inputs == {"value": [None, "{{ params['text'] | tojson }}", {"x": None}]}
    assert task.template_fields == ("inputs",)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({PART: ["facts", "rows"], "of": {"facts": {"rows": 3}}}, 3),
        ([{PART: [1], "of": [1, 2]}, "{{ x }}"], [2, "{{ x }}"]),
        ({"a": {PART: [], "of": None}}, {"a": None}),
        ((1, 2), [1, 2]),
        ("text", "text"),
    ],
)
def test_parts_are_taken_out_of_results(value: Any, found: Any) -> None:
    """In operators written by hand, at any depth."""
    assert parts(value) == found


def test_a_part_that_is_not_there_is_a_sentence() -> None:
    """And fails for good."""
    with pytest.raises(ContractError, match="a step's result has no 'rows'"):
        parts({PART: ["rows"], "of": {}})
    assert filled([], [], {}) == []


# --- how a task ends --------------------------------------------------------------------------------------------------


@step(retries=2)
def fails(kind: str) -> None:
    """Fail in some way."""
    kinds = {
        "data": DataError("no rows"),
        "away": Unavailable("try later"),
        "exit": SystemExit(3),
        "network": ConnectionError("gone"),
    }
    raise kinds.get(kind) or KeyError(kind)


def task_of(given: Any, **inputs: Any) -> StepOperator:
    return StepOperator(task_id=given.__name__, function=given.path, inputs=inputs)


@pytest.mark.parametrize(
    ("kind", "sentence"), [("data", "no rows"), ("bug", "KeyError: 'bug'"), ("exit", "SystemExit: 3")]
)
def test_what_no_retry_cures_fails_a_task_for_good(kind: str, sentence: str) -> None:
    """Whatever its retries; the cause is kept for the incident."""
    task = task_of(fails, kind=kind)
    with pytest.raises(AirflowFailException) as failure:
        task.execute(context_of(task, Ti("fails", max_tries=2)))
    assert str(failure.value) == sentence
    assert failure.value.__cause__ is not None
    assert (recorded("fails").state, recorded("fails").attempts) == ("failed", 1)


@pytest.mark.parametrize(("kind", "error"), [("away", Unavailable), ("network", ConnectionError)])
def test_what_may_heal_is_airflows_to_try_again(kind: str, error: type[Exception]) -> None:
    """The record says so, until the last attempt."""
    task = task_of(fails, kind=kind)
    with pytest.raises(error):
        task.execute(context_of(task, Ti("fails", try_number=2, max_tries=2)))
    assert (recorded("fails").state, recorded("fails").attempts) == ("retrying", 2)
    with pytest.raises(error):
        task.execute(context_of(task, Ti("fails", try_number=3, max_tries=2)))
    assert (recorded("fails").state, recorded("fails").attempts) == ("failed", 3)


def test_airflows_own_ways_to_end_a_task_pass() -> None:
    """A skip stays a skip."""
    for kind in (AirflowSkipException, AirflowFailException):
        with pytest.raises(kind, match="as it is"), failing_for_good():
            raise kind("as it is")


@step(timeout=0.2, retries=1)
def slow() -> None:
    """Take too long."""
    time.sleep(20)


def test_a_step_that_airflow_stops_in_time_is_recorded_as_late() -> None:
    """Airflow knows it as its own time-out; people read how long it may have taken."""
    task = task_of(slow)
    with pytest.raises(AirflowTaskTimeout), timeout(0.2):
        task.execute(context_of(task, Ti("slow", max_tries=1)))
    error = recorded("slow").error
    assert error is not None
    assert (error["type"], recorded("slow").state) == (StepTimedOut.__name__, "retrying")
    assert error["message"] == "'slow' took longer than 0:00:00.200000 and was killed."


@step
def gives(what: str) -> Any:
    """Give what may not cross."""
    import numpy

    return {"object": object(), "large": "x" * 10_000, "nan": float("nan"), "numpy": numpy.int64(7), "tuple": (1, 2)}[
        what
    ]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [("object", "returned an object; return"), ("large", "at most 8,192 may cross"), ("nan", "which is not JSON")],
)
def test_what_may_not_cross_fails_a_task_for_good_with_a_sentence(what: str, sentence: str) -> None:
    """Rather than somewhere in Airflow's serialisation."""
    task = task_of(gives, what=what)
    with pytest.raises(AirflowFailException, match=sentence):
        task.execute(context_of(task))


@pytest.mark.parametrize(("what", "found"), [("numpy", 7), ("tuple", [1, 2])])
def test_a_result_is_plain_json(what: str, found: Any) -> None:
    """Scalars of libraries and tuples are made so before Airflow sees them."""
    task = task_of(gives, what=what)
    result = task.execute(context_of(task))
    assert (result, type(result)) == (found, type(found))


def test_an_item_without_a_result_still_counts() -> None:
    """Airflow leaves out items that gave nothing; whoever collects would count one less."""
    task = StepOperator(task_id="anything", function=anything.path, inputs={}, item=None, item_name="value")
    ti = Ti("anything", map_index=2)
    assert task.execute(context_of(task, ti)) is None
    assert ti.pushed == [("return_value", None)]
    assert recorded("anything", "2").state == "succeeded"
    single = Ti("anything")
    task.execute(context_of(task, single))
    assert single.pushed == []


@pytest.mark.parametrize(("index", "item"), [(None, ""), (-1, ""), (0, "0"), (12, "12")])
def test_an_item_is_named_by_its_place(index: int | None, item: str) -> None:
    """A task that is not mapped has none."""
    assert item_of(SimpleNamespace(map_index=index)) == item


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("item", "name"),
    [("ease", "ease"), (5, "5"), ("5", "5"), (True, "true"), ("None", "None"), ("{{ 1/0 }}", "{{ 1/0 }}"),
     ("it's", "it's"), (None, "7"), ("", "7"), ("x" * 61, "7"), ({"a": 1}, "7")],
)  # fmt: skip
def test_airflow_names_an_instance_by_its_item(item: Any, name: str, native: bool) -> None:
    """Or by its place; as text, whatever templates are otherwise made into in that DAG."""
    with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
        task = StepOperator(task_id="anything", function=anything.path, inputs={}, item=item, item_name="value")
    template = dag.get_template_env().from_string(NAMED_BY_ITEM)
    assert template.render(task=task, ti=Ti("anything", map_index=7)) == name


def test_a_task_logs_what_its_step_says_and_every_tenth() -> None:
    """A line for each step of progress would be a thousand."""
    lines: list[str] = []
    hear = _Heard(lambda text, *values: lines.append(text % values))
    for event in [
        {"event": "log", "message": "100 % of 3"},
        *({"event": "progress", "done": n, "total": 1000} for n in range(1001)),
    ]:
        hear(event)
    hear({"event": "progress", "done": 5, "total": None})
    assert lines == ["100 % of 3", *(f"{10 * tenth} % done" for tenth in range(11))]


@step
def promotes(promoted: bool) -> Promotion:
    """Say that something is the champion now."""
    return Promotion.of(
        {"promoted": promoted, "name": "fraud", "version": "7", "kind": "promote", "who": "ada", "why": ""}
    )


def test_a_promotion_updates_the_models_asset() -> None:
    """For DAGs that wait for it; a refusal updates nothing, and a task without the alias says nothing."""
    with DAG("fraud", schedule=None):
        task = operator_of(promotes)(task_id="promotes", promoted=True)
    for promoted, outlets, told in [(True, task.outlets, 1), (False, task.outlets, 0), (True, [], 0)]:
        task.inputs, task.outlets = {"promoted": promoted}, outlets
        events = OutletEventAccessors()
        task.execute(context_of(task, outlet_events=events))
        found = [one for accessor in events._dict.values() for one in accessor.asset_alias_events]
        assert len(found) == told
        for one in found:
            assert one.dest_asset_key.uri == model_asset("fraud").uri == "ostinato://models/fraud"
            assert one.extra == {"name": "fraud", "version": "7", "kind": "promote"}


# --- another interpreter ----------------------------------------------------------------------------------------------


@step(python="ml", retries=1)
def elsewhere(what: str, place: str = "") -> str:
    """Do something in another interpreter."""
    if what == "secret":
        return secret("ELSEWHERE")[::-1]
    if what == "refuse":
        raise DataError("no rows")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        Path(place).write_text(str(os.getpid()))
        time.sleep(600)
    return os.environ.get("INSIDE", "")


@pytest.fixture
def ml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrapper = tmp_path / "python-ml"
    wrapper.write_text(f'#!/bin/sh\nINSIDE=ml exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("OSTINATO_PYTHON_ML", str(wrapper))


@pytest.mark.usefixtures("ml")
def test_a_step_in_another_interpreter_is_a_step_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its result, its failures and its secrets, which only Airflow keeps."""
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", json.dumps({"conn_type": "generic", "password": "of Airflow"}))
    for what, found in (("where", "ml"), ("secret", "wolfriA fo")):
        task = task_of(elsewhere, what=what)
        assert task.execute(context_of(task)) == found
    task = task_of(elsewhere, what="refuse")
    with pytest.raises(AirflowFailException, match="no rows"):
        task.execute(context_of(task))
    assert recorded("elsewhere").state == "failed"


@pytest.mark.usefixtures("ml")
def test_a_step_in_another_interpreter_that_dies_may_be_tried_again() -> None:
    """Out of memory once is not out of memory for ever; what happened is on record."""
    task = task_of(elsewhere, what="die")
    with pytest.raises(StepLost, match="The process ended without a word"):
        task.execute(context_of(task, Ti("elsewhere", max_tries=1)))
    error = recorded("elsewhere").error
    assert error is not None
    assert (error["type"], recorded("elsewhere").state) == ("StepLost", "retrying")


@contextmanager
def signalled(place: Path, handler: Callable[[], None]) -> Iterator[None]:
    """Have a signal's handler called in this thread as soon as a step has written to a file."""

    def send() -> None:
        until = time.monotonic() + 60
        while not (place.exists() and place.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: handler())
    sending = threading.Thread(target=send)
    sending.start()
    try:
        with timeout(90):
            yield
    finally:
        sending.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("ml")
def test_a_task_that_is_ended_ends_its_process_and_does_not_wait_for_it(tmp_path: Path) -> None:
    """Airflow calls `on_kill` in the handler of a signal."""
    place = tmp_path / "pid"
    task = task_of(elsewhere, what="hang", place=str(place))
    with pytest.raises(StepLost, match="The task was ended from outside"), signalled(place, task.on_kill):
        task.execute(context_of(task, Ti("elsewhere", max_tries=1)))
    assert not Path(f"/proc/{place.read_text()}").exists()
    assert recorded("elsewhere").state == "retrying"
    task.on_kill()  # of a task that runs nothing


@pytest.mark.usefixtures("ml")
def test_a_task_whose_time_is_over_ends_its_process(tmp_path: Path) -> None:
    """And stays a time-out, though Airflow calls `on_kill` after it."""
    place = tmp_path / "pid"
    task = task_of(elsewhere, what="hang", place=str(place))

    def ring() -> None:
        raise AirflowTaskTimeout

    with pytest.raises(AirflowTaskTimeout), signalled(place, ring):
        task.execute(context_of(task))
    task.on_kill()
    assert not Path(f"/proc/{place.read_text()}").exists()
    error = recorded("elsewhere").error
    assert error is not None
    assert error["type"] == "StepTimedOut"


def test_an_interpreter_that_nobody_named_fails_for_good() -> None:
    """With the variable to set."""
    task = task_of(elsewhere, what="where")
    with pytest.raises(AirflowFailException, match="set OSTINATO_PYTHON_ML"):
        task.execute(context_of(task))


# --- a person is asked ------------------------------------------------------------------------------------------------


def asking(**inputs: Any) -> AskOperator:
    return AskOperator(task_id="approve", function=approve.path, inputs=inputs)


def verdict_of() -> dict[str, Any]:
    """A reference to a verdict, as another task left it."""
    task = StepOperator(task_id="judge", function=stories.judge.path, inputs={"good": True})
    found: dict[str, Any] = task.execute(context_of(task))
    return found


def test_where_nobody_must_agree_nobody_is_asked() -> None:
    """Granted by policy, and recorded as that."""
    task = asking(verdict=verdict_of(), required=False)
    assert task.execute(context_of(task))["facts"]["by"] == "policy"


def test_a_person_is_shown_the_verdict_and_has_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile the run waits, and no slot is taken."""
    sent: list[Any] = []
    monkeypatch.setattr(
        task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=lambda msg: sent.append(msg)), raising=False
    )
    task = asking(verdict=verdict_of(), required=True, timeout="90m")
    with pytest.raises(TaskAwaitingInput):
        task.execute(context_of(task))
    (asked,) = sent
    assert (asked.options, asked.defaults, asked.multiple) == (["Approve", "Reject"], ["Reject"], False)
    assert asked.subject == "approve: may this go on?"
    for part in ("`fraud`, as of `2026-11-22`", "- outcome: `pass`", "- `good`: `–`, `pass`"):
        assert part in asked.body
    assert task.response_timeout == timedelta(minutes=90)
    assert task.execution_timeout is None
    assert recorded("approve").state == "waiting"
    assert records_here().runs()[0].state == "waiting"


ADA = {"id": "7", "name": "ada"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"chosen_options": ["Approve"], "responded_by_user": ADA, "params_input": {"why": "fine"}},
            (True, "ada", "fine"),
        ),
        (
            {"chosen_options": ["Approve"], "responded_by_user": SimpleNamespace(**ADA), "params_input": {"why": ""}},
            (True, "ada", "no reason given"),
        ),
        (
            {"chosen_options": ["Reject"], "responded_by_user": ADA, "params_input": {}},
            (False, "ada", "no reason given"),
        ),
        (
            {"chosen_options": ["Reject"], "responded_by_user": None, "params_input": {}, "timedout": True},
            (False, "nobody", "timed out: no answer within 24h"),
        ),
        (
            {"chosen_options": ["Reject"], "responded_by_user": None, "params_input": None},
            (False, "nobody", "timed out: no answer within 24h"),
        ),
    ],
    ids=["granted", "granted without a reason", "rejected", "timed out", "nobody"],
)
def test_the_answer_is_the_steps_and_no_answer_is_no(event: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Who and why are kept; the run goes on either way, and a gate decides."""
    task = asking(verdict=verdict_of(), required=True)
    found = task.execute_complete(context_of(task), {"responded_at": datetime.now(UTC), "timedout": False, **event})
    assert tuple(found["facts"][name] for name in ("granted", "by", "why")) == expected
    assert records_here().runs()[0].state == "running"


def test_an_answer_that_nobody_offered_fails() -> None:
    """Airflow's own check stays."""
    task = asking(verdict=verdict_of(), required=True)
    with pytest.raises(ValueError, match="Perhaps"):
        task.execute_complete(context_of(task), {"chosen_options": ["Perhaps"], "params_input": {}})


# --- between steps ----------------------------------------------------------------------------------------------------


def gate_of(flag: Any) -> tuple[GateOperator, dict[str, Any]]:
    with DAG("fraud", schedule=None) as dag:
        gate = GateOperator(
            task_id="gate",
            sides={True: ["a"], False: ["b", "c"]},
            inputs=flag,
            spec={"$step": "flag", "path": []},
        )
        for name in "abc":
            gate >> BaseOperator(task_id=name)
    return gate, {**context_of(gate), "dag": dag}


@pytest.mark.parametrize(("flag", "skipped"), [(True, ["b", "c"]), (False, ["a"])])
def test_a_gate_skips_the_side_that_is_not_chosen(flag: bool, skipped: list[str]) -> None:
    """As Airflow's own branches do, also when it is cleared."""
    gate, told = gate_of(flag)
    with pytest.raises(DownstreamTasksSkipped) as end:
        gate.execute(told)
    assert end.value.tasks == skipped
    assert told["ti"].pushed == [("skipmixin_key", {"skipped": skipped})]
    gate.sides = {True: [], False: []}
    assert gate.execute(told) is flag


@pytest.mark.parametrize("flag", ["perhaps", None, 1])
def test_a_flag_that_is_neither_fails_for_good(flag: Any) -> None:
    """No side may be skipped silently."""
    gate, told = gate_of(flag)
    with pytest.raises(
        AirflowFailException, match=rf"flag decides what runs, and is {flag!r} instead of true or false"
    ):
        gate.execute(told)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ({"left": "success", "right": "skipped"}, 1),
        ({"left": "skipped", "right": "success"}, None),
        ({"left": "skipped", "right": "skipped"}, AirflowSkipException),
        ({}, AirflowSkipException),
    ],
)
def test_a_join_gives_the_side_that_ran(states: dict[str, str], found: Any) -> None:
    """By Airflow's states: a result may be None. Its own is on record."""
    spec = {"first": {"$step": "left", "path": ["a", 0]}, "second": {"$step": "right", "path": []}}
    join = JoinOperator(
        task_id="either",
        inputs={"first": RESULT, "second": None},
        spec=spec,
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    )
    told = context_of(join, Ti("either", states=states))
    if found is AirflowSkipException:
        with pytest.raises(AirflowSkipException):
            join.execute(told)
    else:
        assert join.execute(told) == found
        assert (recorded("either").state, recorded("either").output) == ("succeeded", found)


def test_a_list_is_put_together_or_refused() -> None:
    """A mapped step runs over nothing else."""
    spec = [1, {"$step": "a", "path": ["x"]}]
    spread = SpreadOperator(task_id="items", inputs=[None, {"x": [2]}], spec=spec)
    assert spread.execute(context_of(spread)) == [1, [2]]
    spread = SpreadOperator(task_id="items", inputs={"x": "text"}, spec={"$step": "a", "path": ["x"]})
    with pytest.raises(AirflowFailException, match=r"a step runs over the list a\.x, and got text\."):
        spread.execute(context_of(spread))


@pytest.mark.parametrize(
    ("over", "items", "found"),
    [([1, 2], (3, None), [3, None]), ([], None, []), ([], [], []), (None, None, AirflowSkipException)],
)
def test_a_collector_gives_a_list(over: Any, items: Any, found: Any) -> None:
    """Of nothing where there were no items, none at all where there was no list."""
    collector = CollectOperator(task_id="collect", inputs={"over": over, "items": items}, spec={})
    if found is AirflowSkipException:
        with pytest.raises(AirflowSkipException):
            collector.execute(context_of(collector))
    else:
        assert collector.execute(context_of(collector)) == found
        assert recorded("collect").output == found


# --- single operators -------------------------------------------------------------------------------------------------

OPERATORS = [
    one
    for name, one in sorted(vars(airflow_steps).items())
    if name.endswith("Operator") and one.__module__ == airflow_steps.__name__
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda one: one.__name__)
def test_an_operator_has_the_arguments_of_its_step_and_none_of_airflows(operator: Any) -> None:
    """Signature and text are the step's, less what the engine hands in; no name means two things."""
    own = {name: one for name, one in inspect.signature(operator).parameters.items() if one.kind is one.KEYWORD_ONLY}
    with DAG("d", schedule=None):
        needed = {name: "x" for name, one in own.items() if one.default is one.empty}
        task = operator(task_id="t", retries=7, **needed)
    arguments = set(inspect.signature(task.step.function).parameters) - {"answer"}
    assert set(own) == arguments
    assert operator.__doc__ == operator.__init__.__doc__ == inspect.getdoc(task.step.function)
    assert (task.inputs, task.retries, task.spec) == (needed, 7, None)
    theirs = {
        name
        for kind in operator.__mro__[1:]
        if issubclass(kind, BaseOperator)
        for name in inspect.signature(kind.__init__).parameters
    } - {"self", "options", "kwargs"}
    if issubclass(operator, HITLOperator):
        theirs |= {"options"}
    assert not arguments & theirs


def test_an_operator_of_a_step_of_ones_own() -> None:
    """Named after it, scheduled as it says, unless the DAG says otherwise."""
    operator = operator_of(fails)
    assert operator.__name__ == "FailsOperator"
    assert operator_of(fails, "Other").__name__ == "Other"
    with DAG("d", schedule=None):
        assert operator(task_id="a", kind="data").retries == 2
        assert operator(task_id="b", kind="data", retries=0).retries == 0
        assert isinstance(operator_of(approve)(task_id="c", verdict={}), AskOperator)
    assert scheduled(promotes)["outlets"] == [AssetAlias("ostinato promotions")]
    assert scheduled(fails.with_options(timeout="90s", airflow={"retries": 9}))["retries"] == 9


def test_wrong_arguments_are_told() -> None:
    """By name, when the file is read."""
    with DAG("d", schedule=None):
        with pytest.raises(TypeError, match="kidn"):
            operator_of(fails)(task_id="a", kind="data", kidn="data")
        with pytest.raises(TypeError, match="missing keyword argument 'kind'"):
            operator_of(fails)(task_id="b")


def test_an_operator_is_mapped_over_one_argument() -> None:
    """As Airflow's own: `partial(…).expand(…)`; a step that asks is not."""
    with DAG("d", schedule=None) as dag:
        first = operator_of(anything)(task_id="first", value=[1, 2])
        airflow_steps.TrainModelOperator.partial(task_id="t", data=first.part(0), pool="gpu").expand(seed=[1, 2])
        operator_of(anything).partial(task_id="u").expand(value=first.output)
    mapped = dag.get_task("t")
    assert (mapped.is_mapped, mapped.pool) == (True, "gpu")
    assert (mapped.partial_kwargs["item_name"], mapped.partial_kwargs["inputs"]["data"][PART]) == ("seed", [0])
    assert mapped.partial_kwargs["function"] == train.path
    assert mapped.partial_kwargs["map_index_template"] == NAMED_BY_ITEM
    assert mapped.upstream_task_ids == dag.get_task("u").upstream_task_ids == {"first"}
    with pytest.raises(UsageError, match="Map one argument"):
        operator_of(anything).partial(task_id="x").expand(value=[1], other=[2])
    with pytest.raises(UsageError, match="ApproveOperator asks a person, and cannot be mapped"):
        airflow_steps.ApproveOperator.partial(task_id="x")


def test_a_notifier_wants_a_channel() -> None:
    """Said when the file is read."""
    with pytest.raises(UsageError, match="wants a channel"):
        SlackIncidentNotifier(channel=" ")
    assert SlackIncidentNotifier(channel="#ml-ops").template_fields == ("channel",)


# --- Airflow runs them ------------------------------------------------------------------------------------------------

HOSTILE = ["{{ 1/0 }}", "{{ params }}", "{% raw %}", "\"'\n\\ü"]


@step
def copy(value: Any) -> Any:
    """Give it back."""
    return value


@pipeline
def literal(text: str = "{{ 1/0 }}") -> None:
    """Literals and parameters that look like templates, as an argument, in a mixed list, as items."""
    alone = copy(HOSTILE[0])
    copy([*HOSTILE, text, alone, {"x": "{{ params }}"}])
    each(copy, over=HOSTILE)
    each(copy, over=["{{ 1/0 }}", alone, text])


@pytest.fixture
def play(airflow_database: Path) -> Any:
    """Let Airflow run a pipeline of this file or its neighbours; gives the record of the run."""
    files = []

    def made(given: Pipeline[...], conf: dict[str, Any] | None = None) -> Any:
        module, _, name = given.path.partition(":")
        file = airflow_database / "dags" / f"{name}.py"
        lines = [f"from {module} import {name} as made", "from ostinato.engines.airflow_dag import to_dag"]
        file.write_text("\n".join(["# an airflow dag", *lines, f"{name} = to_dag(made)\n"]))
        files.append(file)
        run = to_dag(given).test(run_conf=conf)
        records = records_here()
        found = records.run(record_id(name, run.run_id))
        steps = {(one.step, one.map_key): one for one in records.steps(found.run_id)}
        return SimpleNamespace(state=str(run.state), record=found, steps=steps)

    yield made
    for file in files:
        file.unlink()


def test_airflow_evaluates_no_literal_and_no_parameter(play: Any) -> None:
    """Neither alone, nor in a list with promises, nor as the items of a mapped step."""
    text = "{{ ds }} 'ü'\n"
    found = play(literal, {"text": text})
    assert found.state == "success"
    outputs = {name: one.output for name, one in found.steps.items()}
    assert outputs["copy", ""] == HOSTILE[0]
    assert outputs["copy_2", ""] == [*HOSTILE, text, HOSTILE[0], {"x": "{{ params }}"}]
    assert outputs["collect_copy_3", ""] == [outputs["copy_3", str(item)] for item in range(4)] == HOSTILE
    assert outputs["collect_copy_4", ""] == ["{{ 1/0 }}", HOSTILE[0], text]


def test_airflow_skips_a_join_that_stands_on_a_side_that_is_not_chosen(play: Any) -> None:
    """Though the side that it would take has run."""
    found = play(join_in_a_branch, {"value": 200})
    assert (found.state, found.record.state) == ("success", "succeeded")
    states = {name: one.state for (name, _), one in found.steps.items()}
    assert states == {"is_large": "succeeded", "square": "succeeded", "number": "skipped", "either": "skipped"}

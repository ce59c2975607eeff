"""A pipeline as a DAG: its shape for every story, its times, its form, and that two parses are one version."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import hypothesis
import hypothesis.strategies as st
import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from airflow.sdk import Asset, AssetAlias, CronDataIntervalTimetable, CronTriggerTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from engines import stories
from ostinato import Promotion, each, either, otherwise, parameters, pipeline, step, when
from ostinato.engines import airflow_dag
from ostinato.engines.airflow_dag import on_file, to_dag
from ostinato.engines.airflow_joints import CollectOperator, GateOperator, JoinOperator
from ostinato.engines.airflow_operators import NAMED_BY_ITEM, AskOperator, StepOperator
from ostinato.errors import ParameterError, PipelineError, UsageError
from ostinato.graph import Graph, Pipeline
from ostinato.pipelines.data_validation import data_validation
from ostinato.pipelines.fraud_detection import fraud_detection
from ostinato.pipelines.recommendation_retraining import recommendation_retraining

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
DONE = ("success", "failed", "upstream_failed", "skipped")
READY_MADE = [fraud_detection, recommendation_retraining]
PIPELINES = [*{story.pipeline.name: story.pipeline for story in stories.STORIES}.values(), *READY_MADE]

# --- shapes ---------------------------------------------------------------------------------------------------------

SHAPES = {
    "success": "table; halves < table; rows_of < halves; rows_of_2 < halves; report < rows_of rows_of_2",
    "failing": "refuse; square < refuse; number; report < square number",
    "retried": "third_time_lucky; square < third_time_lucky; report < square",
    "exhausted": "never_there; report < never_there",
    "programming_error": "mistaken; report < mistaken",
    "branch": "is_large; when_is_large < is_large; square < when_is_large; number < when_is_large; "
    "either < square number; joined < either; report < square number joined",
    "failing_side": "is_large; when_is_large < is_large; refuse < when_is_large; number < when_is_large; "
    "either < refuse number; square < either; report < refuse number square",
    "nested": "is_large; when_is_large < is_large; inner < when_is_large; when_inner < inner; square < when_inner; "
    "number < when_inner; report < square number",
    "untaken": "is_large; when_is_large < is_large; square < when_is_large; number < square; after < square; free; "
    "report < number after free",
    "fan_out": "numbers; square < numbers; collect_square < numbers square; total < collect_square; "
    "report < square total",
    "fan_out_of_literals": "square; collect_square < square; total < collect_square; report < square total",
    "fan_out_of_names": "length; collect_length < length; total < collect_length; report < length total",
    "fan_out_of_tables": "table; collect_table < table; rows_of < collect_table; "
    "collect_rows_of < collect_table rows_of; total < collect_rows_of; report < table rows_of total",
    "failing_item": "numbers; refuse_two < numbers; collect_refuse_two < numbers refuse_two; "
    "total < collect_refuse_two; report < refuse_two total",
    "fan_out_behind_skip": "is_large; when_is_large < is_large; numbers < when_is_large; square < numbers; "
    "collect_square < numbers square; total < collect_square; report < square total",
    "fan_out_with_skip": "is_large; when_is_large < is_large; number < when_is_large; numbers; "
    "square < number numbers; collect_square < numbers square; total < collect_square; "
    "report < number numbers square total",
    "fan_out_behind_failure": "refuse; numbers < refuse; square < numbers; collect_square < numbers square; "
    "total < collect_square; report < square total",
    "approved": "judge; when_judge_passed < judge; approve < judge when_judge_passed; "
    "when_approve_granted < approve; number < when_approve_granted; report < number",
    "killed": "die; square < die; number; report < square number",
    "killed_once": "die_at_first; square < die_at_first; report < square",
    "left_early": "leave; square < leave; report < square",
    "fraud_detection": "load; validate < load; fraud_features < validate; split_by_time < fraud_features; "
    "train < split_by_time; evaluate < split_by_time train; when_evaluate_passed < evaluate; "
    "register < train evaluate validate when_evaluate_passed; approve < evaluate when_evaluate_passed; "
    "when_approve_granted < approve; promote < register evaluate approve when_approve_granted; "
    "when_promote_promoted < promote; deploy < register promote when_promote_promoted; "
    "report < deploy register when_approve_granted",
    "recommendation_retraining": "load; validate < load; interactions < validate; split_interactions < interactions; "
    "items_of_search_recommender; search_recommender < items_of_search_recommender split_interactions; "
    "collect_search_recommender < items_of_search_recommender search_recommender; "
    "train_recommender < collect_search_recommender split_interactions; "
    "judge_recommender < split_interactions train_recommender; when_judge_recommender_passed < judge_recommender; "
    "register < train_recommender judge_recommender validate when_judge_recommender_passed; "
    "approve < judge_recommender when_judge_recommender_passed; when_approve_granted < approve; "
    "promote < register judge_recommender approve when_approve_granted; when_promote_promoted < promote; "
    "deploy < register promote when_promote_promoted; recommend < register interactions when_promote_promoted; "
    "report < collect_search_recommender deploy items_of_search_recommender recommend register search_recommender "
    "split_interactions when_approve_granted",
}


def edges(dag: Any) -> dict[str, set[str]]:
    return {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}


@pytest.mark.parametrize("made", PIPELINES, ids=lambda made: made.name)
def test_a_pipeline_becomes_tasks_named_after_its_steps(made: Pipeline[...]) -> None:
    """What each waits for is what it reads, its gate, and nothing else; the report waits for the last."""
    shape = [part.partition(" < ") for part in SHAPES[made.name].split("; ")]
    assert edges(to_dag(made)) == {name: set(ups.split()) for name, _, ups in shape}


@pytest.mark.parametrize("made", PIPELINES, ids=lambda made: made.name)
def test_only_joins_collectors_and_the_report_have_a_rule_of_their_own(made: Pipeline[...]) -> None:
    """A join reads its two sides and nothing else; the report is a teardown whose end decides nothing."""
    for task in to_dag(made).tasks:
        rule, teardown = "all_success", False
        if isinstance(task, JoinOperator):
            rule = "none_failed_min_one_success"
            assert task.upstream_task_ids == {side["$step"] for side in task.spec.values()}
        elif isinstance(task, CollectOperator):
            rule = "none_failed"
        elif task.task_id == "report":
            rule, teardown = "all_done_setup_success", True
            assert not task.on_failure_fail_dagrun
        assert (task.trigger_rule.value, task.is_teardown) == (rule, teardown)


def test_a_flag_has_one_gate_with_named_ways_out() -> None:
    """However many nodes it guards; the edges say which side they are."""
    dag = to_dag(two_sides)
    (gate,) = [task for task in dag.tasks if isinstance(task, GateOperator)]
    assert gate.sides == {True: ["square", "square_2"], False: ["number"]}
    labels = {name: dag.edge_info[gate.task_id][name]["label"] for name in gate.downstream_task_ids}
    assert labels == {"square": "is_large", "square_2": "is_large", "number": "not is_large"}


def test_a_flag_that_is_a_parameter_has_a_gate_that_waits_for_nothing() -> None:
    """The run's own form decides."""
    dag = to_dag(by_parameter)
    assert edges(dag) == {"number": {"when_on"}, "when_on": set(), "report": {"number"}}


def test_a_join_is_kept_by_a_flag_that_only_one_of_its_sides_has() -> None:
    """It then has a gate of its own, and looks at it: its rule would take the gate for a side."""
    join = to_dag(join_in_a_branch).get_task("either")
    assert isinstance(join, JoinOperator)
    assert (join.upstream_task_ids, join.gates) == ({"square", "number", "when_is_large"}, ["when_is_large"])
    states = {"square": "skipped", "number": "success", "when_is_large": "success"}
    assert join.side_that_ran(states) == "second"
    assert join.side_that_ran({**states, "when_is_large": "skipped"}) is None
    assert join.side_that_ran({**states, "number": "skipped"}) is None


def test_tasks_of_ours_take_no_steps_name() -> None:
    """Steps may be called report, when_is_large or items_of_square."""
    names = set(edges(to_dag(named_like_ours)))
    assert {"report", "when_is_large", "items_of_square"} < names
    assert {"report_", "when_is_large_", "items_of_square_"} < names


def test_a_list_with_promises_is_put_together_by_a_task_of_its_own() -> None:
    """What a mapped step runs over is a task's whole result, or known beforehand."""
    dag = to_dag(named_like_ours)
    assert edges(dag)["square"] == {"items_of_square_"}
    assert edges(dag)["items_of_square_"] == {"is_large_number"}
    assert edges(dag)["collect_square"] == {"square", "items_of_square_"}
    assert dag.get_task("collect_square").inputs["over"].operator.task_id == "items_of_square_"


# --- what a DAG does: Airflow's rules in small, against what the graph means -----------------------------------------

Plan = list[tuple[Any, ...]]


def _plans(depth: int) -> st.SearchStrategy[Plan]:
    pick = st.integers(0, 9)
    kinds: list[st.SearchStrategy[tuple[Any, ...]]] = [
        st.tuples(st.sampled_from(["number", "flag", "join"]), pick),
        st.tuples(st.sampled_from(["both", "after"]), pick, pick),
    ]
    if depth == 2:
        kinds.append(st.tuples(st.just("each"), pick))
    if depth:
        inner = _plans(depth - 1)
        kinds.append(st.tuples(st.just("when"), pick, inner, inner))
    return st.lists(st.one_of(kinds), max_size=4)


def drawn(plan: Plan) -> Pipeline[...]:
    """A pipeline after a plan: every pick counts back through what there is by then, in whatever scope."""

    def write(part: Plan, values: list[Any], flags: list[Any]) -> None:
        for kind, first, *rest in part:
            value = values[-1 - first % len(values)]
            other = values[-1 - rest[0] % len(values)] if kind in ("both", "after") else None
            if kind == "number":
                values.append(stories.number(value))
            elif kind == "both":
                values.append(stories.total([value, other]))
            elif kind == "after":
                values.append(stories.number.with_options(after=[other])(value))
            elif kind == "flag":
                flags.append(stories.is_large(value))
            elif kind == "each":
                values.append(stories.total(each(stories.square, over=stories.numbers(value))))
            elif kind == "join":
                values += joined(values, first)
            else:
                with when(flags[-1 - first % len(flags)]):
                    values.append(stories.number(value))
                    write(rest[0], values, flags)
                with otherwise():
                    values.append(stories.number(value))
                    write(rest[1], values, flags)

    def plan_of(on: bool = True) -> None:
        write(plan, [stories.number(1)], [on, stories.is_large(1)])

    return pipeline(plan_of)


def joined(values: list[Any], first: int) -> list[Any]:
    """A join of any two that are sides of one flag."""
    for left, right in list(itertools.permutations(reversed(values), 2))[first:]:
        with contextlib.suppress(PipelineError):
            return [either(left, right)]
    return []


class World:
    """What the steps of a run would do: which fail, what a flag says, how long a list is."""

    def __init__(self, seed: int, failing: bool) -> None:
        self.seed, self.failing = seed, failing

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    def fails(self, name: str) -> bool:
        return self.failing and self._chance(name).random() < 0.2

    def says(self, name: str) -> bool:
        return self._chance(name).random() < 0.5

    def items(self, name: str) -> int:
        return self._chance(name).randrange(4)

    def flag(self, spec: Mapping[str, Any]) -> bool:
        return self.says(spec.get("$step", "on"))


def meant(graph: Graph, world: World) -> dict[str, str]:
    """How each node ends where none fails, as the local engine has it."""
    states: dict[str, str] = {}

    def is_open(guards: Iterable[Any]) -> bool:
        flags = [(states.get(guard.flag.get("$step", ""), "success"), guard) for guard in guards]
        return all(state == "success" and world.flag(guard.flag) is guard.expected for state, guard in flags)

    for node in graph.nodes:
        needs = [states[need] for need in node.needs]
        if node.kind == "either":
            runs = any(states[side["$step"]] == "success" for side in node.inputs.values())
        elif node.kind == "collect":
            runs = all(states[need] == "success" for need in graph[node.inputs["items"]["$step"]].needs)
        else:
            runs = all(state == "success" for state in needs)
            runs = runs and (node.kind != "map" or world.items(node.over["$step"]) > 0)
        states[node.name] = "success" if runs and is_open(node.guards) else "skipped"
    return states


class Scheduler:
    """Airflow's rules for a DAG of ours, in an order that chance decides; `late` is what ran beside the report."""

    def __init__(self, dag: Any, world: World, seed: int) -> None:
        self.tasks = {task.task_id: task for task in dag.tasks}
        self.world, self.chance = world, random.Random(seed)
        self.states: dict[tuple[str, int], str] = {(name, -1): "none" for name in self.tasks}
        self.late: list[str] = []
        while self._step():
            pass

    def of(self, name: str) -> list[str]:
        return [state for (task, _), state in self.states.items() if task == name]

    def all(self) -> dict[str, str]:
        """Each task's state; of a mapped one that of its worst item."""
        return {name: min(self.of(name), key=(*reversed(DONE[:3]), "skipped", "success").index) for name in self.tasks}

    def _step(self) -> bool:
        """Something that can happen does."""
        can = [unit for unit in self.states if self.states[unit] == "running" or self._verdict(unit) is not None]
        if not can:
            return False
        unit = self.chance.choice(can)
        if self.states[unit] == "running":
            self.states[unit] = self._run(unit[0])
        else:
            self._enter(unit)
        return True

    def _verdict(self, unit: tuple[str, int]) -> str | None:
        """What becomes of a task that waits: None where it goes on waiting."""
        if self.states[unit] != "none":
            return None
        task = self.tasks[unit[0]]
        ups = [state for up in task.upstream_task_ids for state in self.of(up)]
        failed, ended = {"failed", "upstream_failed"} & set(ups), all(state in DONE for state in ups)
        rule = task.trigger_rule.value
        if rule == "all_done_setup_success":
            return "running" if ended else None
        if failed:
            return "upstream_failed"
        if rule == "all_success" and "skipped" in ups:
            return "skipped"
        if rule == "none_failed_min_one_success" and ended and set(ups) == {"skipped"}:
            return "skipped"
        return "running" if ended else None

    def _enter(self, unit: tuple[str, int]) -> None:
        name, verdict = unit[0], self._verdict(unit)
        assert verdict is not None
        if verdict == "running" and name != "report" and self.states["report", -1] != "none":
            self.late.append(name)
        if verdict == "running" and name == "report":
            self.late += [other for (other, _), state in self.states.items() if state == "running"]
        if verdict == "running" and self.tasks[name].is_mapped:
            (source,) = self.tasks[name].upstream_task_ids & {up for up in self.tasks if up.startswith("numbers")}
            del self.states[unit]
            self.states |= {(name, item): "running" for item in range(self.world.items(source))}
            self.states |= {} if self.of(name) else {unit: "skipped"}
        else:
            self.states[unit] = verdict

    def _run(self, name: str) -> str:
        task = self.tasks[name]
        if isinstance(task, GateOperator):
            for other in task.sides[not self.world.flag(task.spec)]:
                if self.states[other, -1] in ("none", "skipped"):
                    self.states[other, -1] = "skipped"
            return "success"
        if isinstance(task, JoinOperator):
            return (
                "success" if task.side_that_ran({up: min(self.of(up)) for up in task.upstream_task_ids}) else "skipped"
            )
        if isinstance(task, CollectOperator):
            (source,) = (up for up in task.upstream_task_ids if up.startswith("numbers"))
            return "success" if self.of(source) == ["success"] else "skipped"
        fails = name != "report" and self.world.fails(f"{name} {self.chance.random()}")
        return "failed" if fails else "success"


@hypothesis.given(plan=_plans(2), seed=st.integers(0, 2**32))
@hypothesis.settings(max_examples=100)
def test_any_pipeline_of_branches_joins_and_lists_ends_as_its_graph_says(plan: Plan, seed: int) -> None:
    """In whatever order things happen: what runs here runs there, and the rest is skipped."""
    made = drawn(plan)
    world = World(seed, failing=False)
    found = Scheduler(to_dag(made), world, seed).all()
    assert {node.name: found[node.name] for node in made.graph.nodes} == meant(made.graph, world)


@hypothesis.given(plan=_plans(2), seed=st.integers(0, 2**32))
@hypothesis.settings(max_examples=100)
def test_the_report_comes_after_all_else_whatever_fails_or_is_skipped(plan: Plan, seed: int) -> None:
    """A task is given up as soon as one of those before it fails, while the others still run."""
    scheduler = Scheduler(to_dag(drawn(plan)), World(seed, failing=True), seed)
    assert scheduler.late == []
    assert scheduler.states["report", -1] == "success"


@pytest.mark.parametrize("seed", range(40))
def test_the_report_comes_after_what_runs_beside_a_step_that_was_skipped_early(seed: int) -> None:
    """A step behind a join and one of its sides is skipped with that side, while the join still waits."""
    scheduler = Scheduler(to_dag(side_and_join), World(seed, failing=False), seed)
    assert scheduler.late == []


# --- one version ----------------------------------------------------------------------------------------------------


def serialized(dag: Any) -> str:
    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)


@pytest.mark.parametrize("made", PIPELINES, ids=lambda made: made.name)
def test_two_parses_are_one_version_and_survive_serialisation(made: Pipeline[...]) -> None:
    """Airflow makes a new version of a DAG from the least difference, and reads it back from JSON."""
    text = serialized(to_dag(made))
    assert text == serialized(to_dag(made))
    again = DagSerialization.from_dict(json.loads(text))
    assert edges(again) == edges(to_dag(made))
    assert again.start_date == datetime(2020, 1, 1, tzinfo=UTC)


PARSE = """
import json
from airflow.serialization.serialized_objects import DagSerialization
from engines.test_airflow_dag import PIPELINES
from ostinato.engines.airflow_dag import to_dag
for made in PIPELINES:
    print(json.dumps(DagSerialization.to_dict(to_dag(made)), sort_keys=True))
"""


def test_two_processes_parse_the_same_version() -> None:
    """The order of sets, which differs between processes, shows nowhere; nor does the clock."""
    path = os.pathsep.join(str(ROOT / name) for name in ("plugins", "tests"))
    parses = [
        subprocess.Popen(
            [sys.executable, "-c", PARSE],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate()[0] for process in parses)
    assert first.count("\n") == len(PIPELINES)
    assert first == second


# --- what Airflow shows and schedules ---------------------------------------------------------------------------------


def test_the_dag_says_what_the_pipeline_is() -> None:
    """Name, first line, whole text, graph and source; its tags and ours; the step's own text at its task."""
    dag = to_dag(fraud_detection)
    assert dag.dag_id == "fraud_detection"
    assert dag.description == str(fraud_detection.__doc__).partition("\n")[0]
    for part in ("source: the table of transactions", "\n  split_by_time  ", "def fraud_detection(\n    source: str,"):
        assert part in dag.doc_md
    assert dag.tags == {"ostinato", "fraud", "classification"}
    assert {task.doc_md for task in to_dag(stories.branch).tasks} >= {"Square, and add.", "Give the number back."}


def test_a_pipeline_without_source_at_hand_shows_its_path() -> None:
    """Made by exec, for instance: the DAG is none the worse."""
    place: dict[str, Any] = {"pipeline": pipeline, "number": stories.number, "__name__": "elsewhere"}
    exec("@pipeline\ndef made() -> None:\n    number(1)", place)
    assert to_dag(place["made"]).doc_md.endswith("`elsewhere:made`")


def test_how_a_step_is_scheduled_reaches_its_task() -> None:
    """Retries, waits, time limits, the owner, and Airflow's own options as they are, last."""
    dag = to_dag(scheduled_otherwise)
    task = dag.get_task("careful")
    assert (task.retries, task.retry_delay, task.max_retry_delay) == (3, timedelta(seconds=5), timedelta(minutes=5))
    assert task.retry_exponential_backoff == 2.0
    assert task.execution_timeout == timedelta(minutes=90)
    assert (task.pool, task.priority_weight, task.doc_md) == ("gpu", 7, "Another text.")
    assert {one.owner for one in dag.tasks} == {"risk-ml"}
    assert dag.get_task("number").execution_timeout is None
    mapped = dag.get_task("careful_2")
    assert mapped.is_mapped
    assert (mapped.pool, mapped.retries) == ("gpu", 3)
    assert mapped.partial_kwargs["execution_timeout"] == timedelta(minutes=90)
    assert mapped.partial_kwargs["map_index_template"] == NAMED_BY_ITEM


def test_a_step_may_say_itself_how_its_items_are_named() -> None:
    """As it may of all else that Airflow alone knows."""

    @pipeline
    def named() -> None:
        each(stories.number.with_options(airflow={"map_index_template": "number {{ ti.map_index }}"}), over=[1, 2])

    mapped = to_dag(named).get_task("number")
    assert mapped.partial_kwargs["map_index_template"] == "number {{ ti.map_index }}"


def test_a_pipeline_that_releases_runs_once_at_a_time() -> None:
    """Others may run side by side; either can be said otherwise."""
    assert to_dag(fraud_detection).max_active_runs == 1
    assert to_dag(fraud_detection, max_active_runs=3).max_active_runs == 3
    assert to_dag(stories.success).max_active_runs == 16


def test_nothing_is_caught_up_and_what_a_dag_takes_passes_untouched() -> None:
    """Every keyword of a DAG is at hand."""
    assert to_dag(stories.success).catchup is False
    dag = to_dag(stories.success, dag_id="other", catchup=True, tags={"mine"}, default_args={"pool": "small"})
    assert (dag.dag_id, dag.catchup, dag.tags) == ("other", True, {"mine"})
    assert dag.get_task("table").pool == "small"


def test_a_promotion_is_told_to_other_dags() -> None:
    """By an alias of the Assets of all models, on the task that promotes alone."""
    outlets = {task.task_id: task.outlets for task in to_dag(fraud_detection).tasks if task.outlets}
    assert outlets == {"promote": [AssetAlias("ostinato promotions")]}


def test_a_step_that_asks_becomes_a_task_that_asks() -> None:
    """And every other step one that runs."""
    kinds = {task.task_id: type(task) for task in to_dag(stories.approved).tasks}
    assert (kinds["approve"], kinds["judge"]) == (AskOperator, StepOperator)


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_a_cron_line_becomes_a_timetable_of_intervals() -> None:
    """The bare text would give intervals of no width, and runs that stand for the day before."""
    for dag in (to_dag(nightly), to_dag(stories.success, schedule="@daily")):
        assert isinstance(dag.schedule, CronDataIntervalTimetable)
        assert serialized(dag).count("CronDataIntervalTimetable") == 1
        assert dag.schedule == CronDataIntervalTimetable("@daily", timezone="UTC")


def test_the_environment_schedules_a_pipeline_and_gives_it_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """For DAG files that are deployed as they are."""
    monkeypatch.setenv("OSTINATO_FRAUD_DETECTION_SCHEDULE", "0 6 * * *")
    assert to_dag(fraud_detection).schedule is None
    monkeypatch.setenv("OSTINATO_FRAUD_DETECTION_SOURCE", "s3://bank/tx")
    dag = to_dag(fraud_detection)
    assert dag.schedule == CronDataIntervalTimetable("0 6 * * *", timezone="UTC")
    assert dag.params["source"] == "s3://bank/tx"
    assert to_dag(fraud_detection, source="mine").params["source"] == "mine"
    assert to_dag(fraud_detection, schedule=None).schedule is None


def test_a_pipeline_without_a_source_has_no_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped DAG file loads before anybody has configured it; asked for expressly, it is refused with a sentence."""
    assert to_dag(nightly_of).schedule is None
    assert to_dag(nightly_of, source="x").schedule == CronDataIntervalTimetable("@daily", timezone="UTC")
    with pytest.raises(UsageError, match=r"source has no value\. Write to_dag\(nightly_of, source=…, schedule=…\)"):
        to_dag(nightly_of, schedule="@weekly")


def test_a_flag_file_starts_runs(tmp_path: Path) -> None:
    """A file URL as schedule is an Asset that is watched."""
    (asset,) = to_dag(stories.success, schedule=f"file://{tmp_path}/new%20data").schedule
    (watcher,) = asset.watchers
    assert asset.uri == (tmp_path / "new data").as_uri()
    assert watcher.trigger.serialize()[1] == {"filepath": f"{tmp_path}/new data", "poke_interval": 60.0}
    assert "AssetTriggeredTimetable" in serialized(to_dag(stories.success, schedule=f"file://{tmp_path}/x"))


@pytest.mark.parametrize("place", ["s3://bank/ready", "ready"])
def test_a_flag_is_a_file_on_this_machine(place: str) -> None:
    """Anything else would never arrive."""
    with pytest.raises(UsageError, match="A flag file is an absolute path"):
        on_file(place)


def test_timetables_and_assets_pass_as_they_are() -> None:
    """Whoever knows Airflow says it in Airflow's words."""
    timetable, assets = CronTriggerTimetable("@hourly", timezone="UTC"), [Asset("a"), Asset("b")]
    assert to_dag(stories.success, schedule=timetable).schedule is timetable
    assert to_dag(stories.success, schedule=assets).schedule is assets
    assert to_dag(stories.success, schedule=timedelta(hours=1)).schedule == timedelta(hours=1)


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [({"sourec": "x"}, "Did you mean 'source'"), ({"shedule": "@daily"}, "Did you mean 'schedule'")],
)
def test_an_unknown_keyword_is_refused_with_the_nearest_name(wrong: dict[str, Any], hint: str) -> None:
    """Be it a parameter's or a DAG's."""
    with pytest.raises(UsageError, match=f"neither a parameter of fraud_detection nor an option of a DAG. {hint}"):
        to_dag(fraud_detection, **wrong)


def test_a_wrong_value_is_refused_when_the_file_is_read() -> None:
    """Not at three in the morning."""
    with pytest.raises(ParameterError, match="test_days='many' is refused"):
        to_dag(fraud_detection, test_days="many")
    with pytest.raises(ParameterError, match=r"has no parameter 'columns\.tiem'"):
        to_dag(fraud_detection, parameters={"columns.tiem": "ts"})


@dataclass(frozen=True)
class Inner:
    """A group in a group."""

    depth: int = 1
    names: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class Group:
    """A group."""

    time: str = "ts"
    inner: Inner = Inner()


@pipeline
def formed(
    source: str,
    group: Group = Group(),
    day: date = date(2026, 1, 1),
    count: int | None = None,
    share: float = 0.5,
    labels: list[str] = ["x"],  # noqa: B006
    options: dict[str, float] = {},  # noqa: B006
    how: Literal["fast", "well"] = "well",
    on: bool = True,
) -> None:
    """Take all kinds.

    Args:
        source: where it comes from.
        group: what belongs
            together.
        count, share: numbers.
    """
    stories.number(1)


def test_every_parameter_is_a_field_of_the_form() -> None:
    """With its text, type and default; groups as sections; the moment a run stands for as a date."""
    params = to_dag(formed).params
    found = {name: params.get_param(name) for name in params}
    assert list(found) == (
        "source group.time group.inner.depth group.inner.names day count share labels options how on as_of".split()
    )
    kinds = {name: param.schema["type"] for name, param in found.items()}
    assert kinds == {
        "source": "string",
        "group.time": "string",
        "group.inner.depth": "integer",
        "group.inner.names": "array",
        "day": "string",
        "count": ["null", "integer"],
        "share": "number",
        "labels": "array",
        "options": "object",
        "how": "string",
        "on": "boolean",
        "as_of": ["null", "string"],
    }
    assert all(param.schema["title"] for param in found.values())
    assert found["how"].schema["enum"] == ["fast", "well"]
    assert (found["day"].schema["format"], found["as_of"].schema["format"]) == ("date", "date")
    assert {name: param.schema["section"] for name, param in found.items() if "section" in param.schema} == {
        "group.time": "group",
        "group.inner.depth": "group.inner",
        "group.inner.names": "group.inner",
    }
    texts = {name: param.description for name, param in found.items()}
    assert texts["source"] == "where it comes from."
    assert texts["group.time"] == texts["group.inner.depth"] == "what belongs together."
    assert texts["count"] == texts["share"] == "numbers."
    assert "data interval" in texts["as_of"]


@pytest.mark.parametrize("made", [formed, fraud_detection, data_validation], ids=lambda made: made.name)
def test_airflow_accepts_every_default_and_asks_for_what_has_none(made: Pipeline[...]) -> None:
    """Its own validation, which a run by hand passes through."""
    params = to_dag(made).params
    needed = {name for name in params if _has_no_value(params.get_param(name))}
    assert needed == {name for name in parameters.names(made) if parameters.default(made, name) is parameters.MISSING}


def _has_no_value(param: Any) -> bool:
    try:
        param.resolve()
    except ParamValidationError as error:
        if "no default value" not in str(error):
            raise
        return True
    return False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", 1),
        ("group.inner.depth", "deep"),
        ("day", "soon"),
        ("count", 1.5),
        ("share", "half"),
        ("labels", "x"),
        ("labels", [1]),
        ("options", {"a": "b"}),
        ("how", "badly"),
        ("on", "yes"),
        ("as_of", "soon"),
    ],
)
def test_airflow_refuses_a_wrong_value_in_the_form(name: str, value: Any) -> None:
    """Before there is a run."""
    with pytest.raises(ParamValidationError):
        to_dag(formed).params.get_param(name).resolve(value)


GIVEN: list[tuple[dict[str, Any], str, Any]] = [
    ({"group": {"time": "when"}}, "group.time", "when"),
    ({"group": Group(time="when")}, "group.time", "when"),
    ({"group": Group(inner=Inner(names=("b", "c")))}, "group.inner.names", ["b", "c"]),
    ({"group": {"time": "when"}}, "group.inner.depth", 1),
    ({"parameters": {"group.time": "when"}}, "group.time", "when"),
    ({"parameters": {"group.inner": {"depth": 4}}}, "group.inner.depth", 4),
    ({"group": {"time": "a"}, "parameters": {"group.time": "b"}}, "group.time", "b"),
    ({"options": {"a": 0.5}}, "options", {"a": 0.5}),
    ({"day": date(2026, 2, 1)}, "day", "2026-02-01"),
    ({"day": "2026-02-01"}, "day", "2026-02-01"),
]
AS_TEXT: list[tuple[dict[str, Any], str, Any]] = [
    ({"count": "3"}, "count", 3),
    ({"labels": "a,b"}, "labels", ["a", "b"]),
    ({"options": {"a": "0.5"}}, "options", {"a": 0.5}),
    ({"parameters": {"options.a": 0.5}}, "options", {"a": 0.5}),
]


@pytest.mark.parametrize(("given", "name", "value"), GIVEN, ids=str)
@pytest.mark.parametrize("source", [{}, {"source": "s"}], ids=["unfinished", "complete"])
def test_a_value_given_by_the_dag_file_is_the_forms_default(
    given: dict[str, Any], name: str, value: Any, source: dict[str, Any]
) -> None:
    """Whole groups and dates included: what a form shows it also sends."""
    assert to_dag(formed, **given, **source).params[name] == value


@pytest.mark.parametrize(("given", "name", "value"), AS_TEXT, ids=str)
def test_text_for_a_number_or_list_is_shown_as_that(given: dict[str, Any], name: str, value: Any) -> None:
    """As the pipeline takes it; from the environment there is nothing but text."""
    assert to_dag(formed, source="s", **given).params[name] == value


# --- what a file of dags/ costs ---------------------------------------------------------------------------------------

HEAVY = "mlflow great_expectations sklearn pandas numpy duckdb torch prefect kfp pyarrow matplotlib slack_sdk".split()
LOAD = """
import runpy, sys, warnings
from airflow.exceptions import RemovedInAirflow4Warning
from airflow.utils.deprecation_tools import DeprecatedImportWarning
warnings.simplefilter("error", DeprecatedImportWarning)
warnings.simplefilter("error", RemovedInAirflow4Warning)
for file in sys.argv[1:]:
    runpy.run_path(file)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_a_dag_file_loads_no_vendor_and_nothing_that_airflow_gives_up() -> None:
    """Airflow parses it every half minute, in a process of its own."""
    files = sorted(map(str, (ROOT / "dags").glob("*.py")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", LOAD, *files], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "ostinato" in loaded
    assert not loaded & set(HEAVY)


def test_the_engine_uses_airflows_public_names_only() -> None:
    """`airflow.sdk` and the standard provider; all else may change from one release to the next."""
    import airflow.sdk

    files = [file for file in Path(airflow_dag.__file__).parent.glob("airflow_*.py") if file.stem != "airflow_pages"]
    assert len(files) > 8
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            named = [one.name for one in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            place = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if isinstance(node, ast.Import):
                assert not any(name.partition(".")[0] == "airflow" for name in named), f"{file.name}:{node.lineno}"
            elif place == "airflow.sdk":
                assert set(named) <= set(airflow.sdk.__all__), f"{file.name}:{node.lineno}"
            elif place.partition(".")[0] == "airflow" and not getattr(node, "level", 0):
                allowed = (
                    "airflow.sdk.exceptions",
                    "airflow.sdk.log",
                    "airflow.sdk.types",
                    "airflow.providers.standard.",
                )
                assert place.startswith(allowed), f"{file.name}:{node.lineno}: {place}"


def test_single_operators_are_there_when_asked_for() -> None:
    """Every name that `airflow_dag` lists, and no other."""
    assert all(getattr(airflow_dag, name) for name in airflow_dag.__all__)
    with pytest.raises(AttributeError, match="'Nothing'"):
        _ = airflow_dag.Nothing


# --- pipelines of these tests -----------------------------------------------------------------------------------------


@pipeline
def two_sides(value: int = 1) -> None:
    """Two nodes on one side."""
    large = stories.is_large(value)
    with when(large):
        stories.square(value)
        stories.square(value)
    with otherwise():
        stories.number(value)


@pipeline
def by_parameter(on: bool = True) -> None:
    """The form decides."""
    with when(on):
        stories.number(1)


@pipeline
def join_in_a_branch(value: int = 1) -> None:
    """The join stands under `otherwise`, one of its sides does not."""
    large = stories.is_large(value)
    with when(large):
        left = stories.square(value)
    with otherwise():
        right = stories.number(value)
        either(left, right)


@pipeline
def side_and_join(value: int = 1) -> None:
    """A step reads a side and, through another, the join."""
    large = stories.is_large(value)
    with when(large):
        left = stories.square(value)
    with otherwise():
        right = stories.number(value)
    later = stories.number.with_options(name="later")(either(left, right))
    stories.total([left, later])


@pipeline
def named_like_ours(value: int = 1) -> None:
    """Steps with names that this engine would use."""
    large = stories.is_large(value)
    with when(large):
        stories.number.with_options(name="report")(1)
    stories.number.with_options(name="when_is_large")(1)
    stories.number.with_options(name="items_of_square")(1)
    inner = stories.number.with_options(name="is_large_number")(1)
    each(stories.square, over=[inner, 2])


@step(retries=3, backoff=5, timeout="1h30m", airflow={"pool": "gpu", "priority_weight": 7, "doc_md": "Another text."})
def careful(value: int) -> int:
    """Take care."""
    return value


@step
def praised() -> Promotion | None:
    """Perhaps a promotion."""
    return None


@pipeline(owner="risk-ml")
def scheduled_otherwise() -> None:
    """Options at steps."""
    careful(1)
    stories.number(1)
    each(careful, over=[1, 2])
    praised()


@pipeline(schedule="@daily")
def nightly() -> None:
    """Every day."""
    stories.number(1)


@pipeline(schedule="@daily")
def nightly_of(source: str) -> None:
    """Every day, of something."""
    stories.number(1)


DATABASE = "postgresql+psycopg://db/ostinato"


@pytest.mark.parametrize(
    ("executor", "home", "shared", "records", "refused"),
    [
        ("CeleryExecutor", "/mnt/ostinato", "", DATABASE, "share no disk"),
        ("LocalExecutor,team:KubernetesExecutor", "/mnt/ostinato", "", DATABASE, "share no disk"),
        ("CeleryExecutor", "", "", DATABASE, "share no disk"),
        ("CeleryExecutor", "/mnt/ostinato", "1", DATABASE, ""),
        ("CeleryExecutor", "/mnt/ostinato", "1", "", "set OSTINATO_RECORDS to a database"),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor", "s3://bucket/x", "", DATABASE, ""),
        ("LocalExecutor", "s3://bucket/x", "", "", "set OSTINATO_RECORDS to a database"),
        ("LocalExecutor", "/mnt/ostinato", "", "", ""),
    ],
)
def test_what_workers_do_not_share_is_refused(
    monkeypatch: pytest.MonkeyPatch, executor: str, home: str, shared: str, records: str, refused: str
) -> None:
    """What one worker writes there no other could read: said when the DAG is made, before anything runs."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    monkeypatch.setenv("OSTINATO_HOME", home)
    monkeypatch.setenv("OSTINATO_SHARED", shared)
    monkeypatch.setenv("OSTINATO_RECORDS", records)
    if not refused:
        assert to_dag(stories.success).dag_id == "success"
        return
    with pytest.raises(UsageError, match=refused):
        to_dag(stories.success)

"""A pipeline as an Airflow DAG of native tasks, named after its steps.

    from ostinato.engines.airflow_dag import to_dag
    from ostinato.pipelines.fraud_detection import fraud_detection as pipeline

    fraud_detection = to_dag(pipeline)

For DAGs of your own there are single operators, importable from here: see `airflow_steps.py`.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Label, ParamsDict, conf

from ostinato import parameters
from ostinato.artifacts import Deployment, Promotion
from ostinato.drawing import spell
from ostinato.drawing import text as drawn
from ostinato.errors import UsageError, suggest
from ostinato.graph import Graph, Guard, Node, Pipeline
from ostinato.workspace import is_remote

from .airflow_closing import ReportOperator, RunEnded, StepFailed
from .airflow_events import on_file
from .airflow_joints import CollectOperator, GateOperator, JoinOperator, SpreadOperator
from .airflow_operators import NAMED_BY_ITEM, AskOperator, StepOperator, model_asset, returns, scheduled
from .airflow_params import params_of

if TYPE_CHECKING:
    from .airflow_steps import (
        AlertOperator,
        ApproveOperator,
        DeployModelOperator,
        EvaluateModelOperator,
        FraudFeaturesOperator,
        IncidentNotifier,
        LoadDataOperator,
        PromoteModelOperator,
        RegisterModelOperator,
        RollbackModelOperator,
        SlackIncidentNotifier,
        SplitByTimeOperator,
        TrainModelOperator,
        ValidateDataOperator,
        operator_of,
    )

__all__ = [
    "AlertOperator",
    "ApproveOperator",
    "AskOperator",
    "DeployModelOperator",
    "EvaluateModelOperator",
    "FraudFeaturesOperator",
    "IncidentNotifier",
    "LoadDataOperator",
    "PromoteModelOperator",
    "RegisterModelOperator",
    "RollbackModelOperator",
    "SlackIncidentNotifier",
    "SplitByTimeOperator",
    "StepOperator",
    "TrainModelOperator",
    "ValidateDataOperator",
    "model_asset",
    "on_file",
    "operator_of",
    "to_dag",
]


def __getattr__(name: str) -> Any:
    """The single operators, made when one is asked for: a DAG file of a pipeline does without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import airflow_steps

    return getattr(airflow_steps, name)


START = datetime(2020, 1, 1, tzinfo=UTC)  # fixed: a date that moves would make every parse a new version of the DAG
_NOT_GIVEN = object()
_ON_ONE_MACHINE = frozenset({"LocalExecutor", "SequentialExecutor"})


def to_dag(pipeline: Pipeline[...], *, schedule: Any = _NOT_GIVEN, **more: Any) -> DAG:
    """The DAG of a pipeline.

    Args:
        schedule: a cron line or preset (of its intervals the end is the moment a run stands for), a timetable, or
            Assets (see `on_file`). By default what `OSTINATO_<PIPELINE>_SCHEDULE` says (a cron line, or `file:///…`
            for a flag file), else the pipeline's own; none as long as a parameter has no value.
        more: values for the pipeline's parameters by name (`source=…`; `parameters={"columns.time": "ts"}` for members
            of groups), and whatever else a DAG takes. `OSTINATO_<PIPELINE>_SOURCE` gives `source` a value, too.

    Raises:
        UsageError: a keyword is neither; it is to be scheduled and a parameter has no value; a step cannot run here.
    """
    _refuse_a_folder_nobody_shares()
    given = parameters.taken(pipeline, more)
    missing = _without_value(pipeline, given)
    chosen = _schedule(pipeline, schedule, missing)
    releases = any(returns(node.step, Promotion, Deployment) for node in pipeline.graph.nodes)
    told: dict[str, Any] = {"pipeline": pipeline.path, "given": given}
    options: dict[str, Any] = {
        "dag_id": pipeline.name,
        "schedule": chosen,
        "start_date": START,
        "catchup": False,
        "auto_register": False,  # what a file binds to a name counts, and counts once
        "doc_md": _documented(pipeline),
        "tags": {"ostinato", *pipeline.options.tags},
        "max_active_runs": 1 if releases else 16,
        "on_failure_callback": RunEnded(state="failed", **told),
        "on_success_callback": RunEnded(state="succeeded", **told),
        "description": (inspect.getdoc(pipeline.function) or "").partition("\n")[0] or None,
    }
    try:
        dag = DAG(**{**options, **more})
    except TypeError as error:
        raise _unknown(pipeline, more, error) from None
    form = params_of(pipeline, given)
    with dag:  # where mapped tasks look for it
        _Tasks(dag, pipeline, told, form.keys()).add()
    # only now: a task would take a copy of each, which Airflow checks at every parse, task by task
    dag.params = ParamsDict({**form, **dag.params})
    return dag


def _refuse_a_folder_nobody_shares() -> None:
    """Refuse a workspace that is a folder where workers are elsewhere: what one writes there no other can read."""
    home = os.environ.get("OSTINATO_HOME", "")
    named = str(conf.get("core", "executor", fallback="") or "LocalExecutor").split(",")
    away = [name for name in (re.split(r"[.:]", one.strip())[-1] for one in named) if name not in _ON_ONE_MACHINE]
    if away and not is_remote(home) and os.environ.get("OSTINATO_SHARED") != "1":
        raise UsageError(
            f"The workers of {away[0]} share no disk, and the workspace {home or '(by default)'} is a folder: set "
            "OSTINATO_HOME to a URL such as s3://…, or OSTINATO_SHARED=1 where that folder is mounted on all of them."
        )
    if (away or is_remote(home)) and not os.environ.get("OSTINATO_RECORDS"):
        raise UsageError(
            "Workers on several machines need records that all of them reach: set OSTINATO_RECORDS to a database, such "
            "as postgresql+psycopg://host/ostinato. A file in a shared folder is none."
        )


def _without_value(pipeline: Pipeline[...], given: Mapping[str, Any]) -> list[str]:
    names = inspect.signature(pipeline.function).parameters
    return [name for name, one in names.items() if one.default is one.empty and name not in given]


def _schedule(pipeline: Pipeline[...], asked: Any, missing: list[str]) -> Any:
    """The schedule; explicit ones are refused rather than dropped where a parameter has no value."""
    chosen = asked
    if asked is _NOT_GIVEN:
        chosen = os.environ.get(f"OSTINATO_{pipeline.name.upper()}_SCHEDULE") or pipeline.options.schedule
        if missing:
            return None
    if missing and chosen is not None:
        raise UsageError(
            f"{pipeline.name} cannot be scheduled: {', '.join(missing)} has no value. Write "
            f"to_dag({pipeline.name}, {missing[0]}=…, schedule=…)."
        )
    if not isinstance(chosen, str) or chosen in ("@once", "@continuous"):
        return chosen
    if chosen.startswith("file:"):
        return [on_file(chosen)]
    # the bare text would give intervals of no width, whose end is not the end of any day
    return CronDataIntervalTimetable(chosen, timezone="UTC")


def _unknown(pipeline: Pipeline[...], more: Mapping[str, Any], error: TypeError) -> UsageError:
    known = [*parameters.names(pipeline), *inspect.signature(DAG.__init__).parameters]
    wrong = [name for name in more if name not in known]
    if not wrong:
        return UsageError(f"{pipeline.name}: {error}")
    return UsageError(
        f"{wrong[0]!r} is neither a parameter of {pipeline.name} nor an option of a DAG. {suggest(wrong[0], known)}"
    )


def _documented(pipeline: Pipeline[...]) -> str:
    """What Airflow shows of the DAG: the docstring, the graph, the source."""
    parts = [inspect.getdoc(pipeline.function) or "", f"```text\n{drawn(pipeline.graph)}\n```"]
    try:
        parts.append(f"```python\n{inspect.getsource(pipeline.function)}```")
    except (OSError, TypeError):
        parts.append(f"`{pipeline.path}`")
    return "\n\n".join(parts)


class _Tasks:
    """The tasks of a DAG while they are made, each after all it needs."""

    def __init__(self, dag: DAG, pipeline: Pipeline[...], told: Mapping[str, Any], fields: Collection[str]) -> None:
        self.dag, self.pipeline, self.told = dag, pipeline, dict(told)
        self.graph: Graph = pipeline.graph
        self.tasks: dict[str, Any] = {}
        self.gates: dict[str, GateOperator] = {}
        self.lists: dict[str, SpreadOperator] = {}
        self.fields = fields
        self.common = {
            "dag": dag,
            "owner": pipeline.options.owner or "airflow",
            "on_failure_callback": StepFailed(**self.told),
        }
        self.joint = {**self.common, "retries": 2, "retry_delay": timedelta(seconds=5)}  # for a database that is away

    def add(self) -> None:
        """Add all of them, and the report."""
        for node in self.graph.nodes:
            self.tasks[node.name] = task = self._task(node)
            for name in node.after:
                self.tasks[name] >> task
            for guard in self._own_guards(node):
                gate = self._gate(guard)
                gate >> Label(spell(guard.flag) if guard.expected else f"not {spell(guard.flag)}") >> task
                if isinstance(task, JoinOperator):
                    task.gates.append(gate.task_id)
        last, options = _last(self.dag.tasks), {**self.joint, "on_failure_callback": None}
        report = ReportOperator(task_id=self._free("report"), **self.told, **options).as_teardown()
        for task in last:
            task >> report

    def _own_guards(self, node: Node) -> list[Guard]:
        """The guards of a node that nothing it needs has too: from those a skip travels by itself.

        To a join it travels only where both sides have the guard.
        """
        join = node.kind == "either"
        needs = [side["$step"] for side in node.inputs.values()] if join else node.needs
        known = [self.graph[need].guards for need in needs]
        return [guard for guard in node.guards if not (all if join else any)(guard in one for one in known)]

    def _task(self, node: Node) -> Any:
        if node.kind == "either":
            rule: dict[str, Any] = {"trigger_rule": "none_failed_min_one_success"}
            return JoinOperator(task_id=node.name, **self._read(node.inputs), **rule, **self.told, **self.joint)
        if node.kind == "collect":
            return self._collector(node)
        return self._mapped(node) if node.kind == "map" else self._step(node)

    def _step(self, node: Node) -> BaseOperator:
        kind = AskOperator if node.step.settings.asks else StepOperator
        return kind(function=node.step.path, **self._read(node.inputs), **self._options(node), **self.told)

    def _mapped(self, node: Node) -> Any:
        known = {"function": node.step.path, "item_name": node.item, **self._read(node.inputs), **self.told}
        own = {name: value for name, value in self._options(node).items() if name != "dag"}
        options = {"map_index_template": NAMED_BY_ITEM, **own}
        return StepOperator.partial(**known, **options).expand(item=self._over(node))

    def _over(self, node: Node) -> Any:
        """What a mapped step runs over: a literal list, a step's whole list, else one put together by a task."""
        over = node.over
        if isinstance(over, list) and not list(_promises(over)):
            return over
        if isinstance(over, Mapping) and "$step" in over and not over["path"]:
            source = self.graph[over["$step"]]
            if source.kind == "collect" or str(source.step.hints.get("return")).startswith("list["):
                return self.tasks[over["$step"]].output
        name = self._free(f"items_of_{node.name}")
        spread = SpreadOperator(task_id=name, inputs=self._asked(over), spec=over, **self.told, **self.joint)
        self.lists[node.name] = spread
        return spread.output

    def _collector(self, node: Node) -> CollectOperator:
        mapped = self.graph[node.inputs["items"]["$step"]]
        over = self.lists[mapped.name].output if mapped.name in self.lists else self._asked(mapped.over)
        inputs = {"items": self.tasks[mapped.name].output, "over": over}
        rule: dict[str, Any] = {"trigger_rule": "none_failed"}
        return CollectOperator(task_id=node.name, inputs=inputs, spec=node.inputs, **rule, **self.told, **self.joint)

    def _gate(self, guard: Guard) -> GateOperator:
        """The task that reads a flag, one for each flag however many nodes it guards."""
        name = spell(guard.flag)
        if name not in self.gates:
            sides: dict[bool, list[str]] = {True: [], False: []}
            for node in self.graph.nodes:
                for other in self._own_guards(node):
                    if other.flag == guard.flag:
                        sides[other.expected].append(node.name)
            self.gates[name] = GateOperator(
                task_id=self._free(f"when_{''.join(c if c.isalnum() else '_' for c in name)}"),
                sides=sides,
                inputs=self._asked(guard.flag),
                spec=guard.flag,
                **self.told,
                **self.joint,
            )
        return self.gates[name]

    def _read(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A node's arguments: as the graph has them, and of those with promises what Airflow is to fill in."""
        return {"spec": dict(spec), "inputs": {name: self._asked(one) for name, one in spec.items() if _has(one)}}

    def _asked(self, spec: Any) -> Any:
        """A spec with XComArgs and templates for its promises; literals stay out of what is rendered."""
        if isinstance(spec, Mapping):
            if "$step" in spec:
                return self.tasks[spec["$step"]].output
            if "$parameter" in spec:
                name = ".".join(str(part) for part in (spec["$parameter"], *spec["path"]))
                return self._shown(name)
            return {name: self._asked(one) for name, one in spec.items()}
        return [self._asked(one) for one in spec] if isinstance(spec, list) else None

    def _shown(self, name: str) -> Any:
        """The template of a parameter, or those of a group's members."""
        if name in self.fields:
            return f"{{{{ params[{name!r}] | tojson }}}}"
        members = [field for field in self.fields if field.startswith(f"{name}.")]
        return {field.removeprefix(f"{name}."): self._shown(field) for field in members} or None

    def _options(self, node: Node) -> dict[str, Any]:
        return {**self.common, "task_id": node.name, **scheduled(node.step)}

    def _free(self, name: str) -> str:
        """A task's name that no step has."""
        while name in {node.name for node in self.graph.nodes} | set(self.dag.task_ids):
            name += "_"
        return name


def _has(spec: Any) -> bool:
    return next(iter(_promises(spec)), None) is not None


def _promises(spec: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(spec, Mapping):
        if "$step" in spec or "$parameter" in spec:
            yield spec
        else:
            for value in spec.values():
                yield from _promises(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _promises(value)


def _last(tasks: list[Any]) -> list[Any]:
    """The tasks after which all have ended.

    Leaves alone would not do: one behind two others is given up as soon as either fails or is skipped, and one behind a
    mapped task as soon as one item fails, while the others still run.
    """
    known = {task.task_id: task for task in tasks}
    behind: dict[str, set[str]] = {}

    def before(name: str) -> set[str]:
        """The tasks that it follows for sure: a join may do without a side, a collector without items, and a gate skips
        what it guards at once.
        """
        if name not in behind:
            task = known[name]
            ups = task.upstream_task_ids if task.trigger_rule == "all_success" else set()
            sure = {up for up in ups if not isinstance(known[up], GateOperator)}
            behind[name] = sure.union(*(before(up) for up in ups))
        return behind[name]

    found = {name for name, task in known.items() if task.is_mapped or not task.downstream_task_ids}
    for task in tasks:
        ups = task.upstream_task_ids
        side_by_side = {up for up in ups if not any(up in before(other) for other in ups)}
        found |= side_by_side if len(side_by_side) > 1 else set()
    return [known[name] for name in sorted(found)]

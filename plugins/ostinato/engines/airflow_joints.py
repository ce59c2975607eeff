"""What stands between steps: the choice of a side, the join of two, the list to map over, the list of what came of it.

Each is a task of its own, so that a graph in Airflow reads as the pipeline does, and trigger rules are needed nowhere
else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, SkipMixin
from airflow.sdk.exceptions import AirflowSkipException

from ostinato.drawing import spell
from ostinato.errors import ContractError, DataError
from ostinato.runner import dig

from .airflow_link import RunReportLink
from .airflow_operators import OfRun, failing_for_good, filled
from .airflow_run import records_here, states_of


class _Joint(OfRun, BaseOperator):
    """A task that reads results and runs no step."""

    template_fields: Sequence[str] = ("inputs",)
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012  (Airflow's own way)
    operator_extra_links = (RunReportLink(),)

    def __init__(
        self,
        *,
        inputs: Any,
        spec: Any,
        pipeline: str | None = None,
        given: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.inputs, self.spec = inputs, spec
        self.pipeline, self.given = pipeline, given or {}

    def written(self, context: Mapping[str, Any], output: Any) -> Any:
        """A result that was put together rather than calculated, on record."""
        run, now = self.record(context), time.time()
        values: dict[str, Any] = {"state": "succeeded", "attempts": 1, "started": now, "ended": now, "error": None}
        records_here().write_step(run.run_id, self.task_id, **values, output=output)
        return output


class GateOperator(_Joint, SkipMixin):
    """Reads a flag and skips the nodes of the side that it does not choose."""

    inherits_from_skipmixin = True
    ui_color = "#f1eafa"

    def __init__(self, *, sides: Mapping[bool, list[str]], **options: Any) -> None:
        super().__init__(**options)
        self.sides = dict(sides)

    def execute(self, context: Any) -> bool:
        """Skip the other side, if there is one; else give the flag."""
        run = self.record(context)
        with failing_for_good():
            flag = filled(self.spec, self.inputs, run.parameters)
            if not isinstance(flag, bool):
                raise ContractError(f"{spell(self.spec)} decides what runs, and is {flag!r} instead of true or false.")
        dag = context["dag"]
        self.log.info("%s is %s", spell(self.spec), "true" if flag else "false")
        self.skip(context["ti"], [dag.get_task(name) for name in self.sides[not flag]])
        return flag


class JoinOperator(_Joint):
    """The result of the one of two sides that ran; skipped where none did, or where it stands under a flag itself.

    Its trigger rule counts a gate as it counts the sides, so it looks at its gates itself.
    """

    ui_color = "#f1eafa"

    def __init__(self, *, gates: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self.gates = list(gates)

    def execute(self, context: Any) -> Any:
        """Give the result of the side that ran."""
        sides = [side["$step"] for side in self.spec.values()]
        name = self.side_that_ran(states_of(context, [*sides, *self.gates]))
        if name is None:
            raise AirflowSkipException("neither side ran")
        return self.written(context, dig(self.inputs[name], self.spec[name]["path"]))

    def side_that_ran(self, states: Mapping[str, str]) -> str | None:
        """The argument whose step has succeeded, by the states of tasks; None where the join is not to run."""
        if any(states.get(gate) != "success" for gate in self.gates):
            return None
        return next((name for name, side in self.spec.items() if states.get(side["$step"]) == "success"), None)


class SpreadOperator(_Joint):
    """The list that a mapped step runs over, where it is not a step's whole result."""

    ui_color = "#f1eafa"

    def execute(self, context: Any) -> list[Any]:
        """Give the list."""
        run = self.record(context)
        with failing_for_good():
            found = filled(self.spec, self.inputs, run.parameters)
            if not isinstance(found, list):
                raise DataError(f"a step runs over the list {spell(self.spec)}, and got {str(found)[:80]}.")
        return found


class CollectOperator(_Joint):
    """The results of a mapped step as a plain list: `[]` where it had no items, skipped where it had no list at all."""

    ui_color = "#f1eafa"

    def execute(self, context: Any) -> list[Any]:
        """Give the results in the order of their items."""
        if self.inputs["over"] is None:
            raise AirflowSkipException("there was no list to run over")
        if self.inputs["over"] and not self.inputs["items"]:
            raise AirflowSkipException("the mapped step was skipped")
        found: list[Any] = self.written(context, list(self.inputs["items"] or ()))
        return found

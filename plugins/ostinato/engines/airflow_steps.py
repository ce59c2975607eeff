"""The ready-made steps as operators for DAGs of your own, and a notifier that tells of their failures.

    tell = SlackIncidentNotifier(channel="#ml-ops")

    with DAG("churn", on_failure_callback=tell, on_success_callback=tell):
        table = LoadDataOperator(task_id="load", source="s3://bank/churn", time="ts")
        checked = ValidateDataOperator(task_id="validate", data=table.output, suite="suites/churn.yaml")
        split = SplitByTimeOperator(task_id="split", data=checked.output, test_days=7)
        model = TrainModelOperator(task_id="train", data=split.part(0), label="churned")

An argument of a step is one of its operator; another task's result is `task.output`, a part of one `task.part(0)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from airflow.sdk import BaseNotifier

from ostinato.errors import UsageError, suggest
from ostinato.graph import Step
from ostinato.steps import (
    alert,
    approve,
    deploy,
    evaluate,
    fraud_features,
    load,
    promote,
    register,
    rollback,
    split_by_time,
    train,
    validate,
)

from .airflow_closing import RunEnded, StepFailed
from .airflow_operators import NAMED_BY_ITEM, AskOperator, StepOperator, scheduled

_ENGINES_OWN = "answer"  # what a person said is handed in by the operator


def operator_of(step: Step[..., Any], name: str | None = None) -> type[Any]:
    """The operator of a step, yours or ours: its arguments are the step's, and whatever else an operator takes.

    Args:
        name: of the class; by default the step's in capitals, and Operator.
    """
    base: type[Any] = AskOperator if step.settings.asks else StepOperator
    called = name or "".join(part.capitalize() for part in step.__name__.split("_")) + "Operator"
    own = [one.replace(kind=one.KEYWORD_ONLY) for one in step.signature.parameters.values() if one.name != _ENGINES_OWN]
    names = {one.name for one in own}

    def split(options: dict[str, Any]) -> dict[str, Any]:
        inputs = {key: options.pop(key) for key in list(options) if key in names}
        return {"function": step.path, "inputs": inputs, **scheduled(step), **options}

    def __init__(self: Any, **options: Any) -> None:  # noqa: N807  (that of the class made below)
        base.__init__(self, **split(options))

    def partial(**options: Any) -> _Partial:
        if base is AskOperator:
            raise UsageError(f"{called} asks a person, and cannot be mapped.")
        return _Partial(split(options), names)

    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    others = inspect.Parameter("of_operator", inspect.Parameter.VAR_KEYWORD, annotation=Any)
    __init__.__signature__ = inspect.Signature([itself, *own, others])  # type: ignore[attr-defined]
    __init__.__doc__ = __doc__ = inspect.getdoc(step.function)
    members = {"__init__": __init__, "__doc__": __doc__, "__module__": __name__, "partial": staticmethod(partial)}
    return type(called, (base,), members)


class _Partial:
    """A mapped operator without its items: `TrainModelOperator.partial(task_id=…, data=…).expand(seed=[1, 2, 3])`."""

    def __init__(self, known: dict[str, Any], names: Collection[str]) -> None:
        self._known, self._names = known, names

    def expand(self, **mapped: Any) -> Any:
        """Run once for each item of a list, or of another task's output that is one.

        Raises:
            UsageError: not just one argument of the step is mapped.
        """
        if len(mapped) != 1:
            raise UsageError(f"Map one argument: expand(seed=[1, 2]), not {len(mapped)} of them.")
        ((name, items),) = mapped.items()
        if name not in self._names:
            raise UsageError(f"There is no argument {name!r} to map. {suggest(name, self._names)}")
        known = {"map_index_template": NAMED_BY_ITEM, **self._known}
        return StepOperator.partial(**known, item_name=name).expand(item=items)


AlertOperator = operator_of(alert)
ApproveOperator = operator_of(approve)
DeployModelOperator = operator_of(deploy, "DeployModelOperator")
EvaluateModelOperator = operator_of(evaluate, "EvaluateModelOperator")
FraudFeaturesOperator = operator_of(fraud_features)
LoadDataOperator = operator_of(load, "LoadDataOperator")
PromoteModelOperator = operator_of(promote, "PromoteModelOperator")
RegisterModelOperator = operator_of(register, "RegisterModelOperator")
RollbackModelOperator = operator_of(rollback, "RollbackModelOperator")
SplitByTimeOperator = operator_of(split_by_time)
TrainModelOperator = operator_of(train, "TrainModelOperator")
ValidateDataOperator = operator_of(validate, "ValidateDataOperator")


class IncidentNotifier(BaseNotifier):
    """One incident a run, of whatever task fails, to where `OSTINATO_ALERTS` says.

    It belongs on a DAG twice, for it also closes the run's record: as `on_failure_callback` and as
    `on_success_callback`, where it tells of recovery and promotion. On a task it tells at once. What cannot be sent is
    kept, and sent by whatever of ours runs next.
    """

    to: str | None = None

    def notify(self, context: Any) -> None:
        """Open the run's incident, or tell how the run ended."""
        if context.get("exception") is not None:
            return StepFailed(None, {}, self.to)(context)
        state = "succeeded" if str(context["dag_run"].state) == "success" else "failed"
        return RunEnded(None, {}, state, self.to)(context)


class SlackIncidentNotifier(IncidentNotifier):
    """The same to a channel of Slack."""

    template_fields = ("channel",)

    def __init__(self, channel: str, **options: Any) -> None:
        """Make it.

        Args:
            channel: where the bot of the Connection `slack_default` writes; a webhook has a channel of its own.

        Raises:
            UsageError: the channel is no name.
        """
        if not channel.strip():
            raise UsageError("SlackIncidentNotifier wants a channel, such as '#ml-ops'.")
        super().__init__(**options)
        self.channel = channel

    @property
    def to(self) -> str:  # type: ignore[override]
        """The channel as settings write it."""
        return f"slack:{self.channel}"

"""The tasks that run steps: one that runs a step, and one that asks a person first."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Asset, AssetAlias, BaseOperator, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from ostinato.artifacts import Promotion, is_reference
from ostinato.catalog import import_path
from ostinato.errors import PermanentError, StepLost, StepTimedOut, TransientError, UsageError, is_transient
from ostinato.graph import Step, seconds
from ostinato.handle import bare
from ostinato.outcome import label
from ostinato.records import RunRecord, describe_error, sentence
from ostinato.runner import Request, dig, execute

from .airflow_link import RunReportLink
from .airflow_run import opened, records_here, workspace_here
from .airflow_secrets import resolve
from .worker import Worker, interpreter_of

PART = "$part"
PROMOTIONS = "ostinato promotions"
"""The alias of the Assets of all models: a DAG that waits for it hears of every promotion."""
NAMED_BY_ITEM = "{{ task.item_label(ti.map_index) }}"
"""How Airflow names the instances of a mapped task of ours, where it would number them."""
_LONGEST_BACKOFF = timedelta(minutes=5)
APPROVE, REJECT = "Approve", "Reject"


@contextlib.contextmanager
def failing_for_good() -> Iterator[None]:
    """Fail a task at once, whatever its retries, where none of them can help; the rest is Airflow's to try again."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if is_transient(error) or isinstance(error, (AirflowFailException, AirflowSkipException)):
            raise
        raise AirflowFailException(sentence(describe_error(error))) from error


def item_of(ti: Any) -> str:
    """Which item of a mapped task it is; empty for another task."""
    return str(ti.map_index) if ti.map_index is not None and ti.map_index >= 0 else ""


def scheduled(step: Step[..., Any]) -> dict[str, Any]:
    """How a step is scheduled, in Airflow's words; what it says of Airflow itself comes last."""
    settings = step.settings
    options: dict[str, Any] = {
        "doc_md": inspect.getdoc(step.function),
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.backoff),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": _LONGEST_BACKOFF,
    }
    if settings.timeout is not None:
        options["execution_timeout"] = timedelta(seconds=float(settings.timeout))
    own = [AssetAlias(PROMOTIONS)] if returns(step, Promotion) else []
    outlets = [*own, *settings.airflow.get("outlets", ())]
    return {**options, **settings.airflow, **({"outlets": outlets} if outlets else {})}


def returns(step: Step[..., Any], *kinds: type) -> bool:
    """Whether a step's result is of one of these kinds."""
    found = bare(step.hints.get("return"))
    return isinstance(found, type) and issubclass(found, kinds)


class OfRun:
    """A task of ours: it knows its pipeline's path (None in a DAG written by hand) and what the DAG file gives it."""

    pipeline: str | None
    given: Mapping[str, Any]

    def record(self, context: Mapping[str, Any]) -> RunRecord:
        """The record of the run it belongs to; parameters that are none fail it for good."""
        with failing_for_good():
            return opened(context, self.pipeline, self.given)


def filled(spec: Any, found: Any, parameters: Mapping[str, Any]) -> Any:
    """A graph's spec of an argument with its promises kept.

    Args:
        found: the same shape, with the whole result of a step where a promise of it, or of a part of it, stands.
        parameters: the run's.
    """
    if isinstance(spec, Mapping):
        if "$step" in spec:
            return dig(found, spec["path"])
        if "$parameter" in spec:
            return dig(parameters[spec["$parameter"]], spec["path"])
        return {name: filled(value, (found or {}).get(name), parameters) for name, value in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [filled(value, one, parameters) for value, one in zip(spec, found or [None] * len(spec), strict=True)]
    return spec


def parts(value: Any) -> Any:
    """Arguments of an operator written by hand, with `operator.part(…)` taken out of the results they are parts of."""
    if isinstance(value, Mapping):
        if PART in value:
            return dig(value["of"], value[PART])
        return {name: parts(one) for name, one in value.items()}
    return [parts(one) for one in value] if isinstance(value, (list, tuple)) else value


class _RunsStep(OfRun):
    """What runs a step.

    Attributes:
        function: the step's import path.
        spec: its arguments as the graph has them, literals and promises; None where `inputs` are the arguments.
        inputs: what Airflow fills in and shows: results of other tasks, and parameters as the form had them.
        item: of a mapped step its item, for the argument called `item_name`.
    """

    function: str
    spec: Mapping[str, Any] | None
    inputs: dict[str, Any]
    item: Any
    item_name: str | None
    _worker: Worker | None = None

    def _settle(
        self,
        function: str,
        inputs: dict[str, Any],
        spec: Mapping[str, Any] | None,
        item: Any,
        item_name: str | None,
        pipeline: str | None,
        given: Mapping[str, Any] | None,
    ) -> None:
        self.function, self.inputs, self.spec = function, inputs, spec
        self.item, self.item_name = item, item_name
        self.pipeline, self.given = pipeline, given or {}

    @property
    def step(self) -> Step[..., Any]:
        """The step itself, imported now."""
        found = import_path(self.function)
        if not isinstance(found, Step):
            raise UsageError(f"{self.function} is no step: write @step above the function.")
        return found

    def arguments(self, run: RunRecord) -> dict[str, Any]:
        """The step's arguments, all of them known now."""
        if self.spec is None:
            known = {name: parts(value) for name, value in self.inputs.items()}
        else:
            known = {name: filled(spec, self.inputs.get(name), run.parameters) for name, spec in self.spec.items()}
        return known if self.item_name is None else {**known, self.item_name: self.item}

    def item_label(self, index: int) -> str:
        """What Airflow's pages call this instance of a mapped task."""
        text = label(self.item, str(index))
        # where templates give Python's values, a text that reads as one would become it, and Airflow fail for it
        return repr(text) if self.dag.render_template_as_native_obj else text  # type: ignore[attr-defined]

    def run_step(self, context: Mapping[str, Any], **more: Any) -> Any:
        """Run the step as every engine does, and give its result as JSON.

        Args:
            more: arguments that only the engine knows.
        """
        run, ti = self.record(context), context["ti"]
        with failing_for_good():
            request = self._request(run, ti, {**self.arguments(run), **more})
            try:
                output = self._execute(request)
            except (Exception, SystemExit, AirflowTaskTimeout) as error:
                self._amend(request, error, again=ti.try_number <= ti.max_tries)
                raise
        if is_reference(output) and output["facts"].get("promoted"):
            _tell_others(context, output["facts"])
        if output is None and request.map_key:
            ti.xcom_push("return_value", None)  # else whoever collects would count one item less
        return output

    def _request(self, run: RunRecord, ti: Any, inputs: dict[str, Any]) -> Request:
        return Request.of(
            run,
            workspace_here().home,
            self.function,
            inputs,
            step=ti.task_id,
            map_key=item_of(ti),
            attempt=ti.try_number,
            effect=self.step.settings.effect,
            secrets="engine",
            recorded=True,
        )

    def _execute(self, request: Request) -> Any:
        hear = _Heard(self.log.info)  # type: ignore[attr-defined]
        name = self.step.settings.python
        if name is None:
            return execute(request, emit=hear, resolve=resolve)
        self._worker = worker = Worker(interpreter_of(name))
        try:
            worker.send(request)
            event = worker.wait(hear, resolve=resolve)
        finally:
            self._worker = None
            worker.kill()
        if event["event"] == "done":
            return event["output"]
        kind = TransientError if event["error"]["transient"] else PermanentError
        raise kind(sentence(event["error"]))

    def on_kill(self) -> None:
        """End what runs in another interpreter, and all it has started."""
        if self._worker is not None:
            self._worker.kill()
            # Airflow calls this in a signal's handler, behind which the waiting for the worker would go on for ever
            raise StepLost("The task was ended from outside, and its process with it.")

    def _amend(self, request: Request, error: BaseException, *, again: bool) -> None:
        """Put on record what only the engine knows: that the step was stopped, or will be tried again."""
        late = isinstance(error, AirflowTaskTimeout)
        if late:
            span = timedelta(seconds=float(self.step.settings.timeout or 0))
            error = StepTimedOut(f"{request.step!r} took longer than {span} and was killed.")
        more = {"error": describe_error(error)} if late or isinstance(error, StepLost) else {}
        state = "retrying" if again and is_transient(error) else "failed"
        records_here().write_step(request.run_id, request.step, request.map_key, state=state, **more)


class _Heard:
    """What a running step says, as lines of the task's log; of its progress every tenth."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log, self._tenths = log, -1

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "log":
            self._log("%s", event["message"])
        elif event["event"] == "progress" and event["total"]:
            tenths = int(10 * event["done"] / event["total"])
            if tenths > self._tenths:
                self._tenths = tenths
                self._log("%d %% done", 10 * tenths)


class StepOperator(_RunsStep, BaseOperator):
    """Runs a step by its import path; what it returns, a reference or other JSON, is the task's result."""

    template_fields: Sequence[str] = ("inputs",)
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012  (Airflow's own way)
    operator_extra_links = (RunReportLink(),)
    ui_color = "#e8f1fb"

    def __init__(
        self,
        *,
        function: str,
        inputs: dict[str, Any],
        spec: Mapping[str, Any] | None = None,
        item: Any = None,
        item_name: str | None = None,
        pipeline: str | None = None,
        given: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.inputs, self.item = inputs, item
        self._settle(function, inputs, spec, item, item_name, pipeline, given)

    def execute(self, context: Any) -> Any:
        """Run the step."""
        return self.run_step(context)

    def part(self, *path: str | int) -> dict[str, Any]:
        """A part of this task's result as another one's argument: `split.part(0)`, `load.part("facts", "rows")`."""
        return {PART: list(path), "of": self.output}


class AskOperator(_RunsStep, HITLOperator):
    """A step before which a person is asked, where its argument `required` is true; nobody's time is held meanwhile.

    The answer is the step's argument `answer`. No answer in time is one, too: nobody said yes.
    """

    template_fields: Sequence[str] = ("inputs", "subject", "body")
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012
    operator_extra_links = (RunReportLink(),)
    ui_color = "#fdf3dc"

    def __init__(
        self,
        *,
        function: str,
        inputs: dict[str, Any],
        spec: Mapping[str, Any] | None = None,
        pipeline: str | None = None,
        given: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        asked = {
            "subject": f"{options['task_id']}: may this go on?",
            "options": [APPROVE, REJECT],
            "defaults": [REJECT],
            "params": {"why": Param("", type="string", title="Why", description="kept with the decision")},
        }
        super().__init__(**{**asked, **options})
        self.inputs = inputs
        self._settle(function, inputs, spec, None, None, pipeline, given)

    def execute(self, context: Any) -> Any:
        """Run the step, or wait for a person first."""
        from ostinato.decision import (
            question,  # only now: a DAG file, which loads this one, is loaded every half minute
        )

        run = self.record(context)
        with failing_for_good():
            arguments = self.arguments(run)
            step = self.step
            defaults = {name: one.default for name, one in step.signature.parameters.items()}
            asked = {**defaults, **arguments}
            if not asked["required"]:
                return self.run_step(context)
            longest = seconds(asked["timeout"])
            self.response_timeout = None if longest is None else timedelta(seconds=longest)
            self.body = question(run.pipeline, run.as_of, arguments)
        records_here().write_step(run.run_id, context["ti"].task_id, state="waiting", inputs=arguments)
        records_here().change_run(run.run_id, state="waiting")
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Go on with what was answered."""
        run = self.record(context)
        records_here().change_run(run.run_id, state="running")
        return self.run_step(context, answer=_answer(super().execute_complete(context, event), event))


def _answer(given: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a person said as the step wants it; None where the time was over."""
    by = given["responded_by_user"]
    if event.get("timedout") or by is None:
        return None
    return {
        "granted": given["chosen_options"] == [APPROVE],
        "by": str(by["name"] if isinstance(by, Mapping) else by.name),
        "why": str((given["params_input"] or {}).get("why") or "no reason given"),
    }


def model_asset(name: str) -> Asset:
    """The Asset that is updated when a version of a model becomes the champion: other DAGs may wait for it."""
    return Asset(name=f"model {name}", uri=f"ostinato://models/{name}")


def _tell_others(context: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Update the Asset of a model that was promoted."""
    known = {name: facts[name] for name in ("name", "version", "kind") if name in facts}
    alias = AssetAlias(PROMOTIONS)
    if alias in context["task"].outlets:
        context["outlet_events"][alias].add(model_asset(facts["name"]), extra=known)

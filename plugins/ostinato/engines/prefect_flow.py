"""A pipeline as a Prefect flow of native tasks, named after its steps.

    from ostinato.engines.prefect_flow import to_flow
    from ostinato.pipelines.fraud_detection import fraud_detection as pipeline

    fraud_detection = to_flow(pipeline)

For flows of your own there are single tasks, importable from here: see `prefect_steps.py`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prefect import Flow

from ostinato import parameters
from ostinato.drawing import text as drawn
from ostinato.errors import UsageError, suggest
from ostinato.graph import Pipeline

from .prefect_closing import RunEnded
from .prefect_form import asked_for, documented, signature_of
from .prefect_nodes import task_of
from .prefect_play import play

if TYPE_CHECKING:
    from .prefect_steps import (
        alert,
        approve,
        deploy_model,
        evaluate_model,
        fraud_features,
        incident,
        load_data,
        promote_model,
        register_model,
        rollback_model,
        split_by_time,
        task,
        train_model,
        validate_data,
    )

__all__ = [
    "alert",
    "approve",
    "deploy_model",
    "evaluate_model",
    "fraud_features",
    "incident",
    "load_data",
    "promote_model",
    "register_model",
    "rollback_model",
    "split_by_time",
    "task",
    "to_flow",
    "train_model",
    "validate_data",
]


def __getattr__(name: str) -> Any:
    """The single tasks, made when one is asked for: a flow file of a pipeline does without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import prefect_steps

    return getattr(prefect_steps, name)


def to_flow(pipeline: Pipeline[...], **more: Any) -> Flow[..., Any]:
    """The flow of a pipeline; called, it gives the run's outcome (see `ostinato.outcome`).

    Bind it to a name at the top of a file, the pipeline's own or that of `name=`: Prefect finds it by that.

    Args:
        more: values for the pipeline's parameters by name (`source=…`; `parameters={"columns.time": "ts"}` for members
            of groups), and whatever else a flow takes. `OSTINATO_<PIPELINE>_SOURCE` gives `source` a value, too.

    Raises:
        UsageError: a keyword is neither, or a value is none of the parameter's.
    """
    given = parameters.taken(pipeline, more)
    _refuse_unknown(pipeline, more)
    tasks = {node.name: task_of(node) for node in pipeline.graph.nodes}
    hooks = {name: [*(more.pop(name, None) or ()), RunEnded(pipeline)] for name in _HOOKS}
    name = more.setdefault("name", pipeline.name)
    body = _body(pipeline, given, tasks, name.replace("-", "_"), sys._getframe(1).f_globals["__name__"])
    graph = f"```text\n{drawn(pipeline.graph)}\n```"
    described = f"{inspect.getdoc(pipeline.function) or ''}\n\n{graph}"
    own = {"version": pipeline.graph.digest, "description": described}
    return Flow(body, **{**own, **more, **hooks})


_HOOKS = ("on_failure", "on_crashed", "on_cancellation")


def _refuse_unknown(pipeline: Pipeline[...], more: Mapping[str, Any]) -> None:
    options = [name for name in inspect.signature(Flow.__init__).parameters if name not in ("self", "fn")]
    for name in more:
        if name not in options:
            known = [*parameters.names(pipeline), *options]
            raise UsageError(
                f"{name!r} is neither a parameter of {pipeline.name} nor an option of a flow. {suggest(name, known)}"
            )
    for name in ("return_state", "wait_for"):
        if name in parameters.names(pipeline):
            raise UsageError(
                f"{pipeline.name}: Prefect keeps the name {name!r} for itself; call the parameter otherwise."
            )


def _body(
    pipeline: Pipeline[...], given: Mapping[str, Any], tasks: Mapping[str, Any], name: str, module: str
) -> Callable[..., Any]:
    """The function of the flow, which Prefect looks at: its signature, its docstring, where it says it stands."""

    signature = signature_of(pipeline, given)

    def run(*args: Any, **more: Any) -> Any:
        values = dict(signature.bind(*args, **more).arguments)
        as_of = values.pop("as_of", None)
        return play(pipeline, tasks, given, asked_for(values), as_of)

    run.__name__ = run.__qualname__ = name
    run.__module__, run.__doc__ = module, documented(pipeline)
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {key: one.annotation for key, one in signature.parameters.items()}
    return run

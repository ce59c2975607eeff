"""How a flow run ends: its record is closed and its people are told, once, whoever comes first."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from ostinato.errors import UnknownName
from ostinato.records import ENDED, Records
from ostinato.scrubbing import hide

from .prefect_run import opened, record_id, records_here, workspace_here
from .prefect_secrets import resolve

_log = logging.getLogger(__name__)
_STATES = {"COMPLETED": "succeeded", "CANCELLED": "cancelled", "CANCELLING": "cancelled"}
_LONGEST = 400  # characters of a cause
_TELLING = 10.0  # seconds a delivery may take


def tell(what: str, run_id: str, *more: str) -> None:
    """Write down what is told of a run (`failed`, `ended`), and send it; never at the cost of the run."""
    from ostinato import alerts
    from ostinato.delivery import deliver

    with never_failing():
        records = records_here()
        getattr(alerts, what)(records, run_id, *more)
        deliver(records, workspace_here(), resolve=resolve, seconds=_TELLING)


def will_run_again() -> bool:
    """Whether the flow run that is going on is tried again by its flow, should it fail."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        return False
    return bool(context.flow_run.run_count <= (context.flow.retries or 0))


class RunEnded:
    """A hook of a flow: closes the record of a run that has ended before it could do so itself, and tells.

    A run that was refused before it began gets a record that says why. Whoever knows more of a run than its state says
    gives that as `why`.
    """

    def __init__(self, pipeline: Any = None) -> None:
        self.pipeline = pipeline
        self.__name__ = "incident"  # Prefect's log calls hooks by their names

    def __call__(self, flow: Any, flow_run: Any, state: Any, why: str = "") -> None:
        with never_failing():
            records, run_id = records_here(), record_id(flow.name, flow_run.id)
            try:
                run = records.run(run_id)
            except UnknownName:
                run = self._refused(flow, flow_run, records)
            if run.state not in ENDED:
                cause = why or (_last_error(flow_run.id) if state.is_crashed() else "") or state.message or state.name
                close(records, run_id, _STATES.get(state.type.value, "failed"), cause)
            tell("ended", run_id)

    def _refused(self, flow: Any, flow_run: Any, records: Records) -> Any:
        """A run that has not begun, for its parameters are none of its flow."""
        with contextlib.suppress(Exception):
            opened(flow.name, flow_run, self.pipeline, {}, flow_run.parameters)
        return records.run(record_id(flow.name, flow_run.id))


def _last_error(flow_run_id: Any) -> str:
    """What a run that has crashed logged last as an error: its state says no more than that its process has ended."""
    wanted = {
        "logs": {"flow_run_id": {"any_": [str(flow_run_id)]}, "level": {"ge_": logging.ERROR}},
        "sort": "TIMESTAMP_DESC",
        "limit": 1,
    }
    with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
        for entry in client.request("POST", "/logs/filter", json=wanted).json():
            lines = [line for line in hide(str(entry["message"])).splitlines() if line.strip()]
            return _shortened(lines[-1].strip()) if lines else ""
    return ""


def _shortened(text: str) -> str:
    """The beginning and the end of a long text: what is wrong stands at either."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def close(records: Records, run_id: str, state: str, why: str) -> None:
    """Close a record; of a failure that no step stands for, with its cause."""
    known = any(step.error for step in records.steps(run_id) if step.state == "failed")
    error = None if state != "failed" or known else {"type": "FlowEnded", "message": why, "transient": False}
    records.close_run(run_id, state, error=error)


@contextlib.contextmanager
def never_failing() -> Iterator[None]:
    """Log what goes wrong in the body rather than raise it: no alert may cost a run."""
    try:
        yield
    except Exception:
        _log.exception("No alert could be written down.")

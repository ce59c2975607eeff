"""Asking a person: the flow run pauses, its page shows a form, and silence means no."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

from prefect import pause_flow_run
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.input import RunInput
from pydantic import Field

from ostinato.decision import question
from ostinato.errors import UsageError
from ostinato.graph import seconds
from ostinato.records import RunRecord

from .prefect_run import records_here

_BEYOND = 120  # seconds by which Prefect's own limit, which fails the run, lies behind ours
_EVER = 10 * 365 * 86_400  # seconds; Prefect knows no pause without an end
_asking: dict[Any, threading.Lock] = {}  # by flow run, which can pause for one question only


class Answer(RunInput):
    """What a person says."""

    decision: Literal["approve", "reject"] = Field(title="Decision")
    why: str = Field("", title="Why", description="kept with the decision", max_length=2000)
    by: str = Field(
        "", title="Your name", description="kept with the decision; Prefect does not know who you are", max_length=200
    )


def answered(run: RunRecord, name: str, map_key: str, inputs: Mapping[str, Any], timeout: Any) -> dict[str, Any] | None:
    """What a person answers: `{granted, by, why}`, or None where nobody did in time.

    Args:
        name: of the step that asks.
        map_key: which item of a mapped step it is.
        inputs: its arguments; the facts of verdicts among them are what the person is shown.
        timeout: how long to wait, as steps write it.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise UsageError(f"{name!r} asks a person, and can do so in a flow only.")
    flow_run, longest = context.flow_run, seconds(timeout)
    shown = question(run.pipeline, run.as_of, inputs)
    with _asking.setdefault(flow_run.id, threading.Lock()), _waiting(run, name, map_key, inputs):
        clock = _Clock(flow_run.id, longest)
        with clock:
            answer = pause_flow_run(
                wait_for_input=Answer.with_initial_data(description=f"## May this go on?\n\n{shown}"),
                timeout=int((longest or _EVER) + _BEYOND),
                poll_interval=1 if longest is not None and longest < 60 else 5,
                key=f"{name}-{map_key}-{flow_run.run_count}",
            )
    if clock.rang:
        return None
    by, why = answer.by.strip() or "somebody at Prefect", answer.why.strip() or "no reason given"
    return {"granted": answer.decision == "approve", "by": by, "why": why}


@contextlib.contextmanager
def _waiting(run: RunRecord, name: str, map_key: str, inputs: Mapping[str, Any]) -> Any:
    """The run's and the step's state on record, for as long as it takes."""
    records = records_here()
    records.write_step(run.run_id, name, map_key, state="waiting", started=time.time(), inputs=dict(inputs))
    records.change_run(run.run_id, state="waiting")
    try:
        yield
    finally:
        records.change_run(run.run_id, state="running")


class _Clock:
    """Answers no in a person's place when the time is over: a pause that times out by itself fails the whole run."""

    def __init__(self, flow_run_id: Any, longest: float | None) -> None:
        self.flow_run_id, self.longest = flow_run_id, longest
        self.rang = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="approval", daemon=True)

    def __enter__(self) -> None:
        if self.longest is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.longest is not None:
            self._thread.join()

    def _wait(self) -> None:
        pause = self.longest
        while not self._over.wait(pause):
            pause = 1.0  # not yet paused, or nobody is at the other end
            with contextlib.suppress(Exception), get_client(sync_client=True) as client:
                said = {"decision": "reject", "why": "", "by": ""}
                done = client.resume_flow_run(self.flow_run_id, run_input=said)
                if done.status.value == "ACCEPT":
                    self.rang = True
                    return
                if (state := client.read_flow_run(self.flow_run_id).state) and state.is_final():
                    return  # it was cancelled

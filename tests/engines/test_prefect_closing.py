"""How a flow run ends on record: what Prefect alone knows is written down, and nothing is told twice or not at all."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

import httpx
from prefect import flow
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed

from engines import stories
from engines.test_prefect_run import Player, flow_run, ran
from ostinato import pipeline
from ostinato.engines.prefect_closing import RunEnded, tell
from ostinato.engines.prefect_flow import to_flow
from ostinato.engines.prefect_run import opened, record_id, records_here
from ostinato.errors import DataError
from ostinato.records import RunRecord, describe_error

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]
__all__ = ["ran"]

FLOW = SimpleNamespace(name="by_hand")
RECORD = record_id("by_hand", flow_run().id)


def titles() -> list[str]:
    return [message.body["title"] for message in records_here().outbox.messages()]


def open_here(pipeline: Any = None) -> RunRecord:
    return opened("by_hand", flow_run(), pipeline, {}, {}).record


@pytest.mark.parametrize(
    ("state", "ours", "told"),
    [
        (Failed(message="the loop is over"), "failed", 1),
        (Crashed(message="the process was killed"), "failed", 1),
        (Cancelled(message="by ada"), "cancelled", 0),
        (Cancelling(message="by ada"), "cancelled", 0),
        (Completed(), "succeeded", 0),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_run_that_prefect_ended_is_closed_and_told(state: Any, ours: str, told: int) -> None:
    """A failure with Prefect's reason, for no step has one; nobody is called for what somebody has cancelled."""
    open_here()
    for _ in range(3):
        RunEnded()(FLOW, flow_run(), state)
    found = records_here().run(RECORD)
    assert found.state == ours
    assert found.ended is not None
    assert len(titles()) == told
    assert (state.message in str(found.error)) if ours == "failed" else found.error is None


def test_a_run_that_has_closed_its_record_keeps_it() -> None:
    """The hook comes afterwards."""
    run = open_here()
    records_here().close_run(run.run_id, "succeeded")
    RunEnded()(FLOW, flow_run(), Crashed(message="too late"))
    assert records_here().run(RECORD).state == "succeeded"
    assert titles() == []


def test_an_ending_that_was_not_told_is_told_by_the_hook() -> None:
    """The flow closed the record and was killed before it could tell."""
    run = open_here()
    error = describe_error(DataError("no rows"))
    records_here().write_step(run.run_id, "fit", state="failed", attempts=1, started=1.0, ended=2.0, error=error)
    records_here().close_run(run.run_id, "failed")
    for _ in range(2):
        RunEnded()(FLOW, flow_run(), Failed())
    assert titles() == ["by_hand failed at fit"]


def test_a_failure_that_was_told_is_not_told_again_as_prefects_own() -> None:
    """The task, then the flow's hook: one message, and the step's error is the run's."""
    run = open_here()
    error = describe_error(DataError("no rows"))
    records_here().write_step(run.run_id, "fit", state="failed", attempts=1, started=1.0, ended=2.0, error=error)
    tell("failed", run.run_id, "fit", "")
    RunEnded()(FLOW, flow_run(), Failed(message="step fit: no rows"))
    assert titles() == ["by_hand failed at fit"]
    assert records_here().run(RECORD).error is None
    assert records_here().run(RECORD).state == "failed"


def test_a_run_that_never_began_gets_a_record_that_says_why() -> None:
    """Its parameters are none of its pipeline, or its process died at once."""
    RunEnded(stories.failing)(FLOW, flow_run(parameters={"value": "many"}), Failed(message="value: not a number"))
    found = records_here().run(RECORD)
    assert (found.pipeline, found.state, found.parameters) == ("failing", "failed", {"value": "many"})
    assert "value: not a number" in str(found.error)
    assert len(titles()) == 1


def test_a_run_that_crashed_has_the_last_error_of_its_log_as_its_cause(prefect_api: str) -> None:
    """Prefect's state says no more than that its process has ended; of a long traceback the last line tells."""
    crashed = flow_run(id=uuid.uuid4())
    entry = {"name": "prefect.flow_runs", "flow_run_id": str(crashed.id), "timestamp": "2026-11-22T12:00:00Z"}
    said = [(20, "all is well"), (40, "Traceback\n  File x\nImportError: no module named payments"), (20, "bye")]
    told = [{**entry, "level": level, "message": message} for level, message in said]
    httpx.post(f"{prefect_api}/logs/", json=told).raise_for_status()
    RunEnded()(FLOW, crashed, Crashed(message="the process exited with status 1"))
    error = str(records_here().run(record_id("by_hand", crashed.id)).error)
    assert "ImportError: no module named payments" in error
    assert "Traceback" not in error


def test_a_hook_never_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Where nothing can be written down the log says so, and the run's state stays what it is."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path / "file" / "below"))
    with caplog.at_level(logging.ERROR):
        RunEnded()(FLOW, flow_run(), Failed())
        tell("failed", RECORD)
    assert caplog.text.count("No alert could be written down.") == 2


def test_a_hook_of_ones_own_that_fails_keeps_ours_from_nothing(ran: Player) -> None:
    """Prefect calls each for itself."""

    def broken(flow: Any, flow_run: Any, state: Any) -> None:
        raise RuntimeError("a hook of mine")

    found = ran(to_flow(stories.failing, on_failure=[broken]), as_of="2026-05-01")
    assert found.records.run(found.run_id).state == "failed"
    assert found.titles == ["failing failed at refuse"]


def test_a_flow_whose_time_is_over_is_a_failed_run(ran: Player, tmp_path: Path) -> None:
    """With Prefect's reason; its record does not run for ever."""

    @pipeline
    def slow(at: str) -> None:
        """Takes its time."""
        stories.rest(2.0, at)

    found = ran(to_flow(slow, timeout_seconds=0.5), at=str(tmp_path / "times"), as_of="2026-05-01")
    assert found.state.is_failed()
    assert found.records.run(found.run_id).state == "failed"
    assert len([title for title in found.titles if "failed" in title]) == 1


def test_a_name_that_is_a_flow_of_prefects_own_is_none_of_ours() -> None:
    """A flow without steps of ours that calls the hook all the same has a record."""

    @flow(name="by_hand")
    def by_hand() -> None: ...

    RunEnded()(by_hand, flow_run(), Failed(message="nothing of ours"))
    assert records_here().run(RECORD).pipeline == "by_hand"

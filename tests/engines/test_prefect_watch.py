"""What no run can tell of itself is told by the flow `watch`, and what it may not touch it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

import httpx
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Paused, Running, Suspended

from engines import stories
from ostinato.engines.prefect_flow import to_flow
from ostinato.engines.prefect_run import record_id, records_here
from ostinato.engines.prefect_watch import watch

pytestmark = pytest.mark.prefect


@flow
def somebodys() -> None:
    """A flow of nobody in particular."""


def run_in(state: Any) -> Any:
    """The id of a new flow run in a state."""
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(somebodys)
        client.set_flow_run_state(made.id, state, force=True)
        return made.id


def state_of(flow_run_id: Any) -> str:
    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(flow_run_id).state.name)


def said_of(run_id: str) -> str:
    return str([message.body for message in records_here().outbox.messages(run_id=run_id)])


@pytest.mark.parametrize("state", [Running(), Paused(timeout_seconds=600)], ids=["running", "paused"])
def test_a_run_that_says_nothing_any_more_is_closed_and_told(prefect_api: str, state: Any) -> None:
    """Its place is free again, and there is one incident of it, however often it is noticed."""
    found = run_in(state)
    for _ in range(2):
        watch(what="silent", subject=f"prefect.flow-run.{found}")
    assert state_of(found) == "Crashed"
    record = records_here().run(record_id("somebodys", found))
    assert record.state == "failed"
    assert "heartbeat" in str(record.error)
    assert len(records_here().outbox.messages(run_id=record.run_id)) == 1


@pytest.mark.parametrize("state", [Suspended(timeout_seconds=600), Completed()], ids=["suspended", "completed"])
def test_a_run_without_a_process_is_left_alone(prefect_api: str, state: Any) -> None:
    """One that is suspended has none, and sends no heartbeat for that; one that has ended is no news."""
    found = run_in(state)
    watch(what="silent", subject=f"prefect.flow-run.{found}")
    assert state_of(found) == state.name
    assert records_here().runs("somebodys") == []


@pytest.fixture
def automation(prefect_api: str, request: pytest.FixtureRequest) -> str:
    """The id of an automation that is to run a deployment, with the tags of the test."""
    deployment = to_flow(stories.success).to_deployment("watched", tags=request.param).apply()
    action = {"type": "run-deployment", "source": "selected", "deployment_id": str(deployment)}
    trigger = {"type": "event", "posture": "Reactive", "expect": ["never.happens"], "threshold": 1, "within": 0}
    made = httpx.post(
        f"{prefect_api}/automations/", json={"name": "watched", "trigger": trigger, "actions": [action]}, timeout=60
    )
    made.raise_for_status()
    return str(made.json()["id"])


@pytest.mark.parametrize("automation", [["ostinato"]], indirect=True)
def test_each_event_that_could_start_nothing_is_a_failed_run_of_its_own(automation: str) -> None:
    """However many come at once; what was in an event, which may be anything, is on record and not told."""
    for _ in range(2):
        why = "Validation failed for field 'count'. Failure reason: 'Jane Doe' is not of type 'integer'"
        watch(what="not started", subject=f"prefect.automation.{automation}", why=why, number="0")
    first, second = records_here().runs("success")
    assert first.run_id != second.run_id
    assert {first.state, second.state} == {"failed"}
    for run in (first, second):
        assert "Jane Doe" in str(run.error)
        assert "Prefect refused" in said_of(run.run_id)
        assert "Jane Doe" not in said_of(run.run_id)
        assert "press Retry" not in said_of(run.run_id)


@pytest.mark.parametrize("automation", [["others"]], indirect=True)
def test_what_others_deploy_is_none_of_ours(automation: str) -> None:
    """It is looked after only what has the tag."""
    watch(what="not started", subject=f"prefect.automation.{automation}", why="no")
    assert records_here().runs() == []


def test_a_flow_file_that_exits_is_told_of_and_ends_nobody(prefect_api: str, tmp_path: Path) -> None:
    """It is loaded in a process of its own."""
    file = tmp_path / "leaving.py"
    file.write_text("import sys\nsys.exit('DATABASE is not set')\n")
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("leaving")
        deployment = client.create_deployment(flow_id, "test", entrypoint="leaving.py:leaving", pull_steps=pull)
        made = client.create_flow_run_from_deployment(deployment)
        client.set_flow_run_state(made.id, Crashed(message="Process exited with status code: 1"), force=True)
    watch(what="ended", subject=f"prefect.flow-run.{made.id}")
    error = str(records_here().run(record_id("leaving", made.id)).error)
    assert "leaving.py cannot be loaded" in error
    assert "DATABASE is not set" in error
    assert os.getcwd() != str(tmp_path)

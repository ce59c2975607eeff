"""A flow run as one run of ours: its name, the moment it stands for, its parameters, whoever comes first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

import httpx
import prefect
from prefect.client.orchestration import get_client

from engines import mishaps, stories
from ostinato.engines.prefect_flow import to_flow
from ostinato.engines.prefect_run import opened, record_id, records_here, workspace_here
from ostinato.errors import ConfigurationError, ParameterError
from ostinato.outcome import outcome
from ostinato.records import Records

pytestmark = pytest.mark.prefect

FINAL = ("Completed", "Failed", "Skipped", "NotReady", "Crashed", "Resumed")
NOON = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
DAY = NOON.replace(hour=0, minute=0)


@dataclass(frozen=True)
class Ran:
    """A flow run that has ended, as Prefect and as our records have it."""

    api: str
    flow_name: str
    state: Any
    records: Records

    @property
    def id(self) -> str:
        return str(self.state.state_details.flow_run_id)

    @property
    def run_id(self) -> str:
        return record_id(self.flow_name, self.id)

    @property
    def outcome(self) -> dict[str, Any]:
        return outcome(self.records, self.run_id)

    @property
    def titles(self) -> list[str]:
        """The first lines of what was told of it, in the order in which it was."""
        return [message.body["title"] for message in self.records.outbox.messages(run_id=self.run_id)]

    def asked(self, path: str, **wanted: Any) -> Any:
        """What Prefect's API says of this run."""
        return asked(self.api, path, flow_runs={"id": {"any_": [self.id]}}, **wanted)

    def tasks(self, *, seconds: float = 30) -> dict[str, str]:
        """The names of the task runs' states, by the task runs' names, when all that have come are in their last."""
        until = time.monotonic() + seconds
        while True:
            before = self._tasks()
            time.sleep(0.1)
            found = self._tasks()
            if before == found and len(found) and all(state in FINAL for _, state in found):
                assert len(dict(found)) == len(found), found
                return dict(found)
            assert time.monotonic() < until, found

    def _tasks(self) -> list[tuple[str, str]]:
        return sorted((one["name"], one["state_name"]) for one in self.asked("/task_runs/filter"))

    def logs(self, *awaited: str, seconds: float = 20) -> str:
        """What the run and its tasks have logged, once all that is awaited stands in it."""
        until = time.monotonic() + seconds
        while True:
            wanted = {"logs": {"flow_run_id": {"any_": [self.id]}}, "sort": "TIMESTAMP_ASC"}
            found = "\n".join(one["message"] for one in asked(self.api, "/logs/filter", **wanted))
            if all(text in found for text in awaited):
                return found
            assert time.monotonic() < until, found
            time.sleep(0.2)


def asked(api: str, path: str, **wanted: Any) -> Any:
    """What Prefect's API answers."""
    for _ in range(5):
        answer = httpx.post(f"{api}{path}", json=wanted, timeout=60)
        if answer.status_code != 503:  # its sqlite was locked
            break
        time.sleep(1)
    answer.raise_for_status()
    return answer.json()


Player = Callable[..., Ran]


@pytest.fixture
def ran(prefect_api: str) -> Player:
    """Run a flow to its end, in the workspace of the test."""

    def play(flow: Any, *args: Any, **given: Any) -> Ran:
        state = flow(*args, **given, return_state=True)
        return Ran(prefect_api, flow.name, state, records_here())

    return play


def flow_run(**more: Any) -> Any:
    """A flow run as Prefect describes it, as far as it is read."""
    known = {
        "id": uuid.UUID("0b0e8ba4-6b6f-4a41-8d1f-0c1b7a3d9e10"),
        "name": "fleet-otter",
        "tags": [],
        "run_count": 1,
        "auto_scheduled": False,
        "expected_start_time": NOON,
        "created": NOON,
        "start_time": NOON,
        "created_by": None,
        "deployment_id": None,
        "parameters": {},
    }
    return SimpleNamespace(**{**known, **more})


# --- names ------------------------------------------------------------------------------------------------------------


@hypothesis.given(st.text(min_size=1, max_size=250))
def test_the_name_of_a_run_is_safe_and_short(flow_name: str) -> None:
    """As a folder, in a URL, as a key of the records."""
    name = record_id(flow_name, flow_run().id)
    assert len(name) <= 100
    assert re.fullmatch(r"[A-Za-z0-9_-]?[A-Za-z0-9._-]*", name)
    assert name == record_id(flow_name, str(flow_run().id))


def test_the_name_of_a_run_reads_as_prefects() -> None:
    """Flow first, then what Prefect calls the run."""
    assert record_id("fraud_detection", flow_run().id) == f"fraud_detection.{flow_run().id}"


def test_the_name_of_a_run_of_a_flow_without_a_latin_letter_is_no_hidden_folder() -> None:
    """It would not show in listings."""
    assert not record_id("денежные операции", flow_run().id).startswith(".")


# --- the moment -------------------------------------------------------------------------------------------------------

ELSEWHERE = timezone(timedelta(hours=2))
MOMENTS: dict[str, tuple[Any, dict[str, Any], datetime]] = {
    "a date": (date(2026, 5, 1), {}, datetime(2026, 5, 1, tzinfo=UTC)),
    "a date as text": ("2026-05-01", {}, datetime(2026, 5, 1, tzinfo=UTC)),
    "a time": (datetime(2026, 5, 1, 6, tzinfo=ELSEWHERE), {}, datetime(2026, 5, 1, 4, tzinfo=UTC)),
    "a time without a zone": (datetime(2026, 5, 1, 6), {}, datetime(2026, 5, 1, 6, tzinfo=UTC)),
    "a time as text": ("2026-05-01T06:00:00+02:00", {}, datetime(2026, 5, 1, 4, tzinfo=UTC)),
    "a date against a schedule": (date(2026, 5, 1), {"auto_scheduled": True}, datetime(2026, 5, 1, tzinfo=UTC)),
    "the tick of a schedule": (None, {"auto_scheduled": True, "start_time": NOON + timedelta(hours=1)}, NOON),
    "by hand": (None, {}, DAY),
    "by hand, long after it was asked for": (None, {"start_time": NOON + timedelta(days=2)}, DAY),
    "by hand elsewhere": (
        None,
        {"expected_start_time": datetime(2026, 11, 23, 1, tzinfo=ELSEWHERE)},
        DAY,
    ),
    "an empty field of the form": ("", {}, DAY),
}


@pytest.mark.parametrize("case", MOMENTS)
def test_a_run_stands_for_what_it_was_given_else_its_tick_else_its_day(case: str) -> None:
    """In UTC, whatever clock it was said by; a run by hand stands for the day on which it was to run."""
    given, more, expected = MOMENTS[case]
    found = opened("fraud", flow_run(**more), None, {}, {}, given).record
    assert found.as_of == expected.isoformat()


def test_a_moment_that_is_none_is_refused_and_on_record() -> None:
    """With what to write instead; the run is known, and stands for its day."""
    with pytest.raises(ParameterError, match="'yesterday' is no date: write 2026-03-01"):
        opened("fraud", flow_run(), None, {}, {}, "yesterday")
    assert records_here().run(record_id("fraud", flow_run().id)).as_of == DAY.isoformat()


# --- the record -------------------------------------------------------------------------------------------------------


def test_the_record_says_what_runs_and_where_prefect_has_it() -> None:
    """Engine, pipeline, parameters, graph; the ids and the page that people look for."""
    run = flow_run(tags=["nightly"], created_by=SimpleNamespace(display_value="weekly"))
    found = opened("fraud", run, stories.failing, {}, {"value": 3}).record
    assert (found.engine, found.pipeline, found.state) == ("prefect", "failing", "running")
    assert found.parameters == {"value": 3}
    assert found.graph == stories.failing.graph.to_json()
    assert found.path == stories.failing.path
    assert found.tags["flow_run_id"] == str(run.id)
    assert found.tags["flow_run_name"] == "fleet-otter"
    assert found.tags["triggered_by"] == "weekly"
    assert "backfill" not in found.tags


def test_a_run_tagged_as_backfill_is_one() -> None:
    """It will promote nothing."""
    assert opened("fraud", flow_run(tags=["backfill"]), None, {}, {}).record.tags["backfill"] == "true"


def test_the_page_of_a_run_is_linked(prefect_api: str) -> None:
    """Where there is one: the address of Prefect's own."""
    found = opened("fraud", flow_run(), None, {}, {}).record
    assert found.tags["page"] == f"{prefect_api.removesuffix('/api')}/runs/flow-run/{flow_run().id}"


def test_whoever_comes_first_opens_the_record() -> None:
    """Tasks of one run start at once: the others find it as it is."""
    first = opened("fraud", flow_run(), None, {}, {"a": 1})
    second = opened("fraud", flow_run(), None, {}, {"a": 1})
    assert first.record == second.record
    assert not second.again
    assert len(records_here().runs()) == 1


def test_a_run_that_is_tried_again_goes_on_in_its_record() -> None:
    """Its moment and its start stay; what it is to do is what was deployed since, and old failures count no more."""
    first = opened("fraud", flow_run(), stories.failing, {}, {"value": 3}).record
    records_here().write_step(first.run_id, "refuse", state="failed", error={"type": "X", "message": "old"})
    records_here().close_run(first.run_id, "failed")
    later = flow_run(run_count=2, expected_start_time=NOON + timedelta(days=3))
    second = opened("fraud", later, stories.failing, {}, {"value": 4})
    assert second.again
    assert (second.record.state, second.record.ended) == ("running", None)
    assert (second.record.as_of, second.record.started) == (first.as_of, first.started)
    kept = records_here().run(first.run_id)
    assert (kept.state, kept.parameters) == ("running", {"value": 4})
    (step,) = records_here().steps(first.run_id)
    assert (step.state, step.error) == ("pending", None)


def test_a_run_whose_file_could_not_be_loaded_can_be_tried_again() -> None:
    """Its record was opened by somebody who knew nothing of it; now it has its parameters and its graph."""
    first = opened("failing", flow_run(), None, {}, {}).record
    records_here().close_run(first.run_id, "failed", error={"type": "FlowEnded", "message": "no module"})
    opened("failing", flow_run(run_count=2), stories.failing, {}, {"value": 3})
    found = records_here().run(first.run_id)
    assert (found.parameters, found.graph, found.path) == (
        {"value": 3},
        stories.failing.graph.to_json(),
        stories.failing.path,
    )


def test_parameters_outside_the_schema_are_refused_and_on_record() -> None:
    """The record shows what came."""
    with pytest.raises(ParameterError, match="count"):
        opened("typed", flow_run(), mishaps.typed, {}, {"count": "many"})
    found = records_here().run(record_id("typed", flow_run().id))
    assert found.parameters == {"count": "many"}


# --- the workspace ----------------------------------------------------------------------------------------------------


@pytest.fixture
def passing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder such as a worker makes for one run, and the run that it is for."""
    monkeypatch.delenv("OSTINATO_HOME")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(flow_run().id))
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        yield folder
        monkeypatch.chdir(tmp_path)


def test_a_workspace_in_a_passing_folder_is_refused(passing: str) -> None:
    """With the run's end all would be gone, which nobody would notice before the second run."""
    with pytest.raises(ConfigurationError, match=r"is removed afterwards: set OSTINATO_HOME.*set_working_directory"):
        workspace_here()
    assert not Path(passing, ".ostinato").exists()


def test_a_workspace_of_its_own_name_may_be_used_from_anywhere(passing: str, home: Path, monkeypatch: Any) -> None:
    """The worker's folder does not matter then."""
    monkeypatch.setenv("OSTINATO_HOME", str(home))
    assert workspace_here().home == str(home)


def test_who_runs_a_flow_by_hand_in_a_folder_below_tmp_may_do_so(passing: str, monkeypatch: Any) -> None:
    """It is theirs, and no worker removes it."""
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")
    assert Path(workspace_here().home).resolve() == Path(passing, ".ostinato").resolve()


def test_what_lies_about_in_a_folder_leads_no_test_to_another_prefect(tmp_path: Path) -> None:
    """A `.env` with somebody's API: the environment of the tests wins, though it says nothing."""
    (tmp_path / ".env").write_text("PREFECT_API_URL=http://prefect.example/api\n")
    code = "from prefect.settings import PREFECT_API_URL; print(repr(PREFECT_API_URL.value()))"
    here = {**os.environ, "PREFECT_API_URL": ""}
    done = subprocess.run([sys.executable, "-c", code], env=here, cwd=tmp_path, capture_output=True, text=True)
    assert "example" not in done.stdout, done
    without = {key: value for key, value in here.items() if key != "PREFECT_API_URL"}
    done = subprocess.run([sys.executable, "-c", code], env=without, cwd=tmp_path, capture_output=True, text=True)
    assert "example" in done.stdout, done
    assert os.environ["PREFECT_API_URL"] == ""


# --- in a run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-05-01", "2026-05-01T00:00:00+00:00"),
        (date(2026, 5, 1), "2026-05-01T00:00:00+00:00"),
        (datetime(2026, 5, 1, 6, tzinfo=ELSEWHERE), "2026-05-01T04:00:00+00:00"),
    ],
)
def test_a_step_sees_the_moment_that_the_form_says(ran: Player, given: Any, expected: str) -> None:
    """Prefect makes a date of what is typed."""
    found = ran(to_flow(mishaps.dated), as_of=given)
    assert stories.output_of(found.outcome, "moment") == expected


def test_a_step_of_a_run_by_hand_sees_the_utc_day(ran: Player) -> None:
    """Where nobody says."""
    before = datetime.now(UTC).date()
    found = ran(to_flow(mishaps.dated)).outcome
    assert stories.output_of(found, "moment")[:10] in (str(before), str(datetime.now(UTC).date()))
    assert stories.output_of(found, "moment")[10:] == "T00:00:00+00:00"


def test_a_run_with_the_tag_is_a_backfill(ran: Player) -> None:
    """As people tag runs: in a block, or in the form."""
    with prefect.tags("backfill"):
        found = ran(to_flow(mishaps.dated))
    assert found.records.run(found.run_id).tags["backfill"] == "true"


def test_prefect_and_the_record_name_each_other(ran: Player) -> None:
    """From either one finds the other."""
    found = ran(to_flow(stories.branch), as_of="2026-05-01")
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(uuid.UUID(found.id))
    tags = found.records.run(found.run_id).tags
    assert (tags["flow_run_id"], tags["flow_run_name"]) == (str(run.id), run.name)
    assert tags["page"].endswith(f"/runs/flow-run/{run.id}")

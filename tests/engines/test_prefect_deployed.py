"""A real Prefect server and a worker run what `prefect.yaml` deploys: on events, with people, and when things break."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

from engines.browser import browser
from engines.fresh_interactions import CANDIDATES, write_fresh
from engines.prefect_server import Refused, prefect_server
from engines.stories import digests, output_of, states_of
from integrations.mlflow_store import put_store
from ostinato.engines.local_run import run as run_here
from ostinato.engines.prefect_run import record_id
from ostinato.outcome import outcome
from ostinato.pipelines.recommendation_retraining import recommendation_retraining
from ostinato.records import Records
from ostinato.runner import records_of
from ostinato.samples.transactions import write

if TYPE_CHECKING:
    from engines.prefect_server import Server

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "engines" / "prefect_flows"
NEW_DATA = ("dataset.updated", "dataset.transactions")


@dataclass(frozen=True)
class Here:
    """The running Prefect, with what it works on."""

    server: Server
    home: Path
    sample: Path
    folder: Path

    @property
    def records(self) -> Records:
        return records_of(str(self.home))

    def outcome(self, flow: str, run_id: str) -> dict[str, Any]:
        return outcome(self.records, record_id(flow, run_id))

    def ended(self, flow: str, run_id: str, seconds: float = 240) -> dict[str, Any]:
        """The outcome of a run that Prefect has brought to its end."""
        self.server.wait_for(run_id, seconds)
        return self.outcome(flow, run_id)

    def told(self, run_id: str) -> list[str]:
        """The first lines of what was told of a run, in the order in which it was."""
        return [message.body["title"] for message in self.records.outbox.messages(run_id=run_id)]

    def incident_of(self, flow: str, besides: set[str], seconds: float = 120) -> tuple[str, str]:
        """The next run of a flow on record that has an incident, and all that was said in it."""

        def found() -> list[str]:
            runs = [run.run_id for run in self.records.runs(flow) if run.run_id not in besides]
            return [run_id for run_id in runs if self.told(run_id)]

        self.until(found, f"no incident of {flow}", seconds)
        (run_id,) = found()
        return run_id, str([message.body for message in self.records.outbox.messages(run_id=run_id)])

    def until(self, done: Callable[[], Any], complaint: str, seconds: float = 120) -> None:
        self.server.wait_until(done, lambda: f"{complaint}\n{self.server.tail('worker')}", seconds)

    def flow_runs(self, deployment: str) -> set[str]:
        return {run["id"] for run in self.server.flow_runs(deployment)}

    def ids(self, flow: str) -> set[str]:
        return {run.run_id for run in self.records.runs(flow)}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """One server and one worker for all of these tests, with the repository's deployments and some of their own."""
    folder = tmp_path_factory.mktemp("prefect")
    home, sample, project = folder / "ostinato", folder / "tx", folder / "project"
    home.mkdir()
    put_store(home)
    write(sample, rows=20_000, seed=7)
    shutil.copytree(ROOT / "flows", project / "flows")
    for file in OWN.glob("*.py"):
        shutil.copy(file, project / "flows")
    plan = (ROOT / "prefect.yaml").read_text() + (OWN / "prefect.yaml").read_text()
    assert "within: 600" in plan
    (project / "prefect.yaml").write_text(plan.replace("within: 600", "within: 40"))
    environment = {
        "OSTINATO_HOME": str(home),
        "OSTINATO_ALERTS": "file",
        "OSTINATO_FRAUD_DETECTION_SOURCE": str(sample),
        "FRAGILE": str(folder / "breaks"),
        "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT / 'tests'}",
    }
    with prefect_server(folder, project=project, environment=environment) as server:
        server.keep_secret("deep-thought", "unter-uns-gesagt")
        yield Here(server, home, sample, folder)
    records_of(str(home)).close()


# --- what is deployed ---------------------------------------------------------------------------------------------


def test_the_form_of_a_deployment_knows_types_defaults_limits_and_help(here: Here) -> None:
    """The server has the schema from which its page makes the form, and by which it refuses what does not fit."""
    found = here.server.deployment("fraud_detection/production")
    schema = found["parameter_openapi_schema"]
    fields = schema["properties"]
    assert next(iter(fields)) == "source"
    assert fields["source"]["default"] == str(here.sample)
    assert {key: fields["test_days"][key] for key in ("type", "minimum", "default", "description")} == {
        "type": "integer",
        "minimum": 1,
        "default": 7,
        "description": "how many days to judge on.",
    }
    assert fields["labels"]["enum"] == ["delayed", "complete"]
    assert fields["columns"]["default"]["time"] == "ts"
    assert schema["definitions"]["Columns"]["properties"]["card"]["description"].startswith("who paid")
    assert fields["as_of"]["default"] is None
    assert found["enforce_parameter_schema"]
    assert found["global_concurrency_limit"]["limit"] == 1
    assert [one["slug"] for one in found["schedules"]] == ["daily"]
    assert "validate" in found["description"]


def test_the_triggers_keep_their_parameters(here: Here) -> None:
    """A server that empties them would start runs with defaults, and nobody would see it."""
    (found,) = [one for one in here.server.automations() if one["name"] == "fraud_detection / new transactions"]
    (action,) = found["actions"]
    assert set(action["parameters"]) == {"source", "as_of", "test_days"}
    assert action["parameters"]["test_days"]["__prefect_kind"] == "json"


@pytest.mark.parametrize("wrong", [{"test_days": "many"}, {"test_days": 0}, {"labels": "none"}])
def test_a_run_with_wrong_parameters_is_refused_at_once(here: Here, wrong: dict[str, Any]) -> None:
    """By the server, before there is a run."""
    with pytest.raises(Refused) as refused:
        here.server.run("fraud_detection/production", wrong)
    assert refused.value.status in (409, 422)


def test_a_parameter_nobody_knows_fails_the_run_with_its_name(here: Here) -> None:
    """Prefect's server lets it through; the run ends before any task, and is told of."""
    before = here.ids("fraud_detection")
    run_id = here.server.run("fraud_detection/production", {"nonsense": 1})
    assert here.server.wait_for(run_id) in ("Failed", "Crashed")
    assert here.server.tasks(run_id) == []
    name, said = here.incident_of("fraud_detection", before)
    assert name == record_id("fraud_detection", run_id)
    assert "SignatureMismatchError" in said
    assert "nonsense" in str(here.records.run(name).error)


# --- events -------------------------------------------------------------------------------------------------------


def test_new_data_starts_a_run_with_typed_parameters_that_promotes_and_says_so(here: Here) -> None:
    """The event's payload is the run's parameters; the model's release is an event, too."""
    told = {"source": str(here.sample), "as_of": "2026-05-01", "test_days": 8}
    before = here.flow_runs("fraud_detection/production")
    here.server.emit(*NEW_DATA, told)
    here.until(lambda: here.flow_runs("fraud_detection/production") - before, "no run")
    (run_id,) = here.flow_runs("fraud_detection/production") - before
    found = here.ended("fraud_detection", run_id)
    assert found["state"] == "succeeded", here.server.logs(run_id)
    assert found["parameters"]["test_days"] == 8
    assert found["as_of"] == "2026-05-01T00:00:00+00:00"
    assert found["promotion"]["promoted"]
    here.until(lambda: here.server.events("ostinato.model.promoted"), "nobody heard of the model")
    (event,) = here.server.events("ostinato.model.promoted")
    assert event["resource"]["prefect.resource.id"] == "ostinato.model.fraud_detection"
    assert event["payload"]["version"] == found["promotion"]["version"]
    shown = {one["key"]: one for one in here.server.artifacts(run_id)}
    assert "data:image/png;base64," in shown["fraud-detection-report"]["data"]
    assert "average precision" in shown["fraud-detection-evaluate"]["data"]


def test_new_interactions_retrain_the_recommender_as_they_do_here(here: Here, home: Path) -> None:
    """The same searches, model, verdict, champion and lists; the searches' task runs bear their candidates' names."""
    name, taken = "recommendation_retraining/production", write_fresh(here.folder / "taken.parquet")
    here.server.emit("dataset.updated", "dataset.interactions", {"source": str(taken)})
    here.until(lambda: here.flow_runs(name), "no run")
    (run_id,) = here.flow_runs(name)
    found = here.ended("recommendation_retraining", run_id)
    assert found["state"] == "succeeded", here.server.logs(run_id)
    assert found["promotion"]["promoted"] is True
    put_store(home)
    expected = run_here(recommendation_retraining, source=str(taken), as_of=found["as_of"])
    assert states_of(found) == states_of(expected)
    assert digests(found) == digests(expected)
    assert found["metrics"] == expected["metrics"]
    assert {f"search_recommender[{one}]" for one in CANDIDATES} <= {one["name"] for one in here.server.tasks(run_id)}


def test_an_event_with_a_malformed_payload_is_an_incident(here: Here) -> None:
    """Prefect starts nothing and says nothing; the deployment that watches puts the run that was to be on record."""
    before, runs = here.ids("fraud_detection"), here.flow_runs("fraud_detection/production")
    here.server.emit(*NEW_DATA, {"source": str(here.sample), "test_days": "many"})
    run_id, said = here.incident_of("fraud_detection", before)
    assert here.records.run(run_id).state == "failed"
    assert "Prefect refused" in said
    assert "'many' is not of type 'integer'" in str(here.records.run(run_id).error)
    assert here.flow_runs("fraud_detection/production") == runs


def test_an_automation_of_others_is_none_of_ours(here: Here) -> None:
    """The deployment that watches leaves alone what has no tag of ours."""
    watch = here.server.deployment("watch/production")
    assert watch["tags"] == []
    run_id = here.server.run("watch/production", {"what": "ended", "subject": f"prefect.flow-run.{watch['id']}"})
    assert here.server.wait_for(run_id) == "Failed"  # there is no such run, and nothing is told of this one
    assert here.ids("watch") == set()


# --- people -------------------------------------------------------------------------------------------------------


def test_a_person_approves_a_paused_run_over_the_api(here: Here) -> None:
    """The run shows a form, refuses an answer that does not fit, and keeps who said yes and why."""
    run_id = here.server.run("approved/test", {"required": True})
    here.server.wait_for_state(run_id, "Paused", 120)
    keyset = here.server.flow_run(run_id)["state"]["state_details"]["run_input_keyset"]
    assert keyset["schema"]
    with pytest.raises((Refused, AssertionError)):
        here.server.resume(run_id, {"decision": "perhaps"})
    here.server.resume(run_id, {"decision": "approve", "why": "looks right", "by": "ada"})
    found = here.ended("approved", run_id)
    assert states_of(found) == {"judge": "succeeded", "approve": "succeeded", "number": "succeeded"}
    assert {key: found["approval"][key] for key in ("granted", "by", "why")} == {
        "granted": True,
        "by": "ada",
        "why": "looks right",
    }


def test_a_secret_comes_from_a_block_and_stands_in_no_log(here: Here) -> None:
    """The step has it, and where it says it there are dots."""
    run_id = here.server.run("kept_secret/test")
    found = here.ended("kept_secret", run_id)
    assert output_of(found, "initiated") == "16 characters"
    log = here.server.logs(run_id)
    assert "psst: " in log
    assert "unter-uns" not in log


# --- when things break --------------------------------------------------------------------------------------------


def test_a_deployment_never_runs_twice_at_once_and_its_runs_wait(here: Here) -> None:
    """The second waits for the place of the first, then runs."""
    at = here.folder / "twice"
    first, second = (here.server.run("slow/test", {"at": str(at), "seconds": 6}) for _ in range(2))
    assert here.ended("slow", first)["state"] == "succeeded"
    assert here.ended("slow", second)["state"] == "succeeded"
    states = here.server.request("GET", f"/flow_run_states/?flow_run_id={second}")
    states += here.server.request("GET", f"/flow_run_states/?flow_run_id={first}")
    assert "AwaitingConcurrencySlot" in [one["name"] for one in states]
    (_, end), (start, _) = (map(float, line.split()) for line in sorted(at.read_text().splitlines()))
    assert start >= end


def test_a_run_that_is_cancelled_ends_its_step_and_is_no_incident(here: Here) -> None:
    """The step's process is gone at once, the record says what became of the run and of the step."""
    run_id = here.server.run("slow/test", {"at": str(here.folder / "cancelled"), "seconds": 300})
    name = record_id("slow", run_id)
    here.until(lambda: name in here.ids("slow") and here.records.steps(name), "the step does not begin")
    time.sleep(1)
    here.server.request("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    assert here.server.wait_for(run_id, 60) == "Cancelled"
    here.until(lambda: here.records.run(name).state == "cancelled", "its record is open", 30)
    assert states_of(here.outcome("slow", run_id)) == {"rest": "cancelled", "number": "pending"}
    assert here.told(name) == []


def test_retry_on_the_page_resumes_a_failed_run(here: Here) -> None:
    """What succeeded is not done again; the incident's thread says that it was resumed, and that all is well."""
    file, to = here.folder / "unlucky", here.folder / "posted"
    file.touch()
    run_id = here.server.run("unlucky/test", {"file": str(file), "to": str(to)})
    found = here.ended("unlucky", run_id)
    assert found["state"] == "failed"
    assert here.server.flow_run(run_id)["state"]["message"] == "step fail_while: not yet"
    file.unlink()
    again = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    here.server.request("POST", f"/flow_runs/{run_id}/set_state", again)
    here.until(lambda: here.outcome("unlucky", run_id)["state"] == "succeeded", "it was not tried again")
    here.server.wait_for(run_id)
    assert to.read_text().count("\n") == 1
    assert here.server.flow_run(run_id)["state_type"] == "COMPLETED"
    told = here.told(record_id("unlucky", run_id))
    assert len([one for one in told if "unlucky_pipeline failed at fail_while" in one]) == 1
    assert any(one.startswith("Resumed") for one in told)
    assert any(one.startswith("Recovered") for one in told)


def test_a_flow_file_that_can_no_longer_be_imported_is_an_incident(here: Here) -> None:
    """The run never begins, so only who watches can tell, with the cause."""
    (here.folder / "breaks").touch()
    run_id = here.server.run("fragile/test")
    assert here.server.wait_for(run_id) in ("Failed", "Crashed")
    name, said = here.incident_of("fragile", set())
    assert name == record_id("fragile", run_id)
    assert "ModuleNotFoundError" in said
    assert "not_there_at_all" in str(here.records.run(name).error)
    (here.folder / "breaks").unlink()


def test_a_worker_killed_in_the_middle_of_a_step_leaves_no_run_that_never_ends(here: Here) -> None:
    """The run is closed for want of heartbeats, once told of, and its place is free again."""
    at = here.folder / "killed"
    run_id = here.server.run("slow/test", {"at": str(at), "seconds": 300})
    name = record_id("slow", run_id)

    def is_resting() -> bool:
        return name in here.ids("slow") and any(step.state == "running" for step in here.records.steps(name))

    here.until(is_resting, "the step does not begin")
    time.sleep(1)
    # a heartbeat is what its absence is measured from
    here.until(
        lambda: here.server.events("prefect.flow-run.heartbeat", f"prefect.flow-run.{run_id}"), "no heartbeat", 60
    )
    children = here.server.worker_pids
    for pid in children:
        with pytest.MonkeyPatch.context():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    here.server.running["worker"].wait()
    here.server.start_one("worker")
    here.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "processes are left", 30)
    here.until(lambda: here.server.flow_run(run_id)["state_type"] == "CRASHED", "it still counts as running", 240)
    here.until(lambda: here.records.run(name).state == "failed", "its record is open")
    here.until(lambda: here.told(name), "nobody was told")
    assert len([one for one in here.told(name) if one.startswith("slow failed")]) == 1
    after = here.server.run("slow/test", {"at": str(at), "seconds": 0.1})
    assert here.ended("slow", after)["state"] == "succeeded"


def test_a_server_that_goes_away_in_the_middle_costs_no_result(here: Here) -> None:
    """The run goes on to its end, its record is closed and its report written; Prefect itself learns nothing of it."""
    at = here.folder / "alone"
    script = (
        "from engines.mishaps import slow as pipeline\n"
        "from ostinato.engines.prefect_flow import to_flow\n"
        f"to_flow(pipeline, name='alone')(at={str(at)!r}, seconds=8)\n"
    )
    quick = {"PREFECT_CLIENT_MAX_RETRIES": "2", "PREFECT_CLIENT_RETRY_JITTER_FACTOR": "0"}
    environment = {**here.server.environment, **quick}
    with open(here.folder / "alone.log", "wb") as log:
        flow = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=log, stderr=log)
        try:

            def is_resting() -> bool:
                runs = here.records.runs("slow")
                return bool(runs) and runs[0].run_id.startswith("alone.") and bool(here.records.steps(runs[0].run_id))

            here.until(is_resting, "the flow does not begin")
            here.server.running["server"].kill()
            here.server.running["server"].wait()
            until = time.monotonic() + 180  # Prefect's own attempts to reach its server go on after that
            while flow.poll() is None and not here.records.runs("slow")[0].report:
                assert time.monotonic() < until, "the flow does not end"
                time.sleep(0.2)
        finally:
            flow.kill()
            flow.wait()
            here.server.start_one("server")
            here.server.running["worker"].poll() is None or here.server.start_one("worker")
    record = here.records.runs("slow")[0]
    found = outcome(here.records, record.run_id)
    assert found["state"] == "succeeded", (here.folder / "alone.log").read_text()[-3000:]
    assert Path(found["report"]).exists()
    here.server.wait_until(lambda: here.server._answers(), lambda: "the server does not come back", 120)


# --- looked at ----------------------------------------------------------------------------------------------------


def test_a_person_finds_graph_and_report_on_the_page_of_the_run(here: Here, tmp_path: Path) -> None:
    """In a real browser, after the log-in."""
    (run_id, *_) = [one["id"] for one in here.server.flow_runs("fraud_detection/production") if one["run_count"]]
    (report,) = [one for one in here.server.artifacts(run_id) if one["key"] == "fraud-detection-report"]
    with browser(tmp_path, 1400, 1000) as page:
        page.go(here.server.url)
        page.fill("input", f"admin:{here.server.password}")
        page.wait("!!document.querySelector('button[type=submit]')")
        page.ask("document.querySelector('button[type=submit]').click()")
        page.wait("document.body.innerText.includes('Deployments')", 60)
        page.go(f"{here.server.url}/runs/flow-run/{run_id}")
        page.wait("document.body.innerText.includes('11 Task runs')", 60)
        page.wait("!!document.querySelector('canvas')", 60)  # the graph
        page.go(f"{here.server.url}/artifacts/artifact/{report['id']}")
        page.wait("document.body.innerText.includes('average precision')", 60)
        page.wait(
            "[...document.images].some(one => one.src.startsWith('data:image/png') && one.naturalWidth > 300)", 60
        )

"""Airflow itself runs what the local engine runs: the same states, results and verdicts, and it keeps its promises."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from engines.airflow_server import Refused, airflow_server
from engines.browser import browser
from engines.fresh_interactions import CANDIDATES, write_fresh
from engines.stories import STORIES, Story, content_of, digests, labels_of, output_of, states_of
from integrations.mlflow_store import put_store
from integrations.slack_server import Slack, slack_server
from ostinato.engines.airflow_run import record_id
from ostinato.engines.local_run import run as run_here
from ostinato.outcome import outcome
from ostinato.pipelines.fraud_detection import fraud_detection
from ostinato.pipelines.recommendation_retraining import recommendation_retraining
from ostinato.records import Records
from ostinato.runner import records_of
from ostinato.samples.transactions import write

if TYPE_CHECKING:
    from engines.airflow_server import Server

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
QUICK = {"options": {"max_iter": 15}}
AS_OF = "2026-05-01"
ML = ROOT / ".venv" / "bin" / "python"
ASKED = "DEEP_THOUGHT"


@dataclass(frozen=True)
class Here:
    """The running Airflow, with what it works on and whom it tells."""

    server: Server
    home: Path
    sample: Path
    taken: Path
    slack: Slack
    flag: Path

    @property
    def records(self) -> Records:
        return records_of(str(self.home))

    def outcome(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return outcome(self.records, record_id(dag_id, run_id))

    def ended(self, dag_id: str, run_id: str, seconds: float = 300) -> dict[str, Any]:
        """The outcome of a run that Airflow has brought to its end."""
        self.server.wait_for(dag_id, run_id, seconds)
        return self.outcome(dag_id, run_id)

    def arrived(self, dag_id: str) -> dict[str, Any]:
        """The outcome of the first run of a DAG that nobody has triggered."""
        until = time.monotonic() + 180
        while not (runs := self.server.runs(dag_id)):
            assert time.monotonic() < until, f"no run of {dag_id}"
            time.sleep(0.5)
        assert runs[0]["run_type"] == "asset_triggered"
        return self.ended(dag_id, runs[0]["dag_run_id"])

    def result(self, dag_id: str, conf: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.ended(dag_id, self.server.trigger(dag_id, conf))

    def logs(self, dag_id: str, run_id: str) -> str:
        """What the tasks that failed have said last."""
        failed = [task for task in self.server.tasks(dag_id, run_id) if task["state"] == "failed"]
        found = [(task["task_id"], task["try_number"], task["map_index"]) for task in failed]
        return "\n".join(self.server.task_log(dag_id, run_id, *one)[-3000:] for one in found)

    def told(self, run_id: str) -> list[str]:
        """The first lines of what was told of a run, in the order in which it was."""
        return [message.body["title"] for message in self.records.outbox.messages(run_id=run_id)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """One Airflow for all of these tests: api-server, scheduler, dag-processor, triggerer."""
    folder = tmp_path_factory.mktemp("airflow")
    home, sample, dags = folder / "ostinato", folder / "tx", folder / "dags"
    home.mkdir()
    put_store(home)
    write(sample, rows=20_000, seed=7)
    taken, ready = write_fresh(folder / "taken.parquet"), folder / "taken.ready"
    shutil.copytree(ROOT / "dags", dags)
    for file in (ROOT / "tests" / "engines" / "airflow_dags").glob("*.py"):
        shutil.copy(file, dags)
    with slack_server() as slack:
        environment = {
            "OSTINATO_HOME": str(home),
            "OSTINATO_ALERTS": "slack:#ml-ops",
            "OSTINATO_FRAUD_DETECTION_SOURCE": str(sample),
            "OSTINATO_RECOMMENDATION_RETRAINING_SOURCE": str(taken),
            "OSTINATO_RECOMMENDATION_RETRAINING_SCHEDULE": ready.as_uri(),
            "OSTINATO_PYTHON_ML": str(ML if ML.exists() else sys.executable),
            "AIRFLOW_CONN_SLACK_DEFAULT": json.dumps(
                {"conn_type": "slack", "password": "xoxb-tiefgeheim", "extra": {"base_url": slack.url}}
            ),
            "FLAG": str(folder / "flag"),
            f"AIRFLOW_VAR_{ASKED}": "unter-uns-gesagt",
            "PYTHONPATH": str(ROOT / "tests"),
        }
        with airflow_server(folder, dags=dags, plugins=ROOT / "plugins", environment=environment) as server:
            server.wait_for_dag("recommendation_retraining")
            server.unpause("recommendation_retraining")
            ready.touch()  # now: Airflow looks once a minute
            yield Here(server, home, sample, taken, slack, folder / "flag")
    records_of(str(home)).close()


# --- the conformance suite ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(here: Here) -> dict[int, str]:
    """Every story's run, all of them under way at once, and who is asked answered; by the story's place."""
    runs = {STORIES.index(story): here.server.trigger(story.pipeline.name, story.given) for story in STORIES}
    for story in STORIES:
        if story.answer is not None:
            choice = "Approve" if story.answer["granted"] else "Reject"
            here.server.hitl(
                story.pipeline.name, runs[STORIES.index(story)], "approve", choice, {"why": story.answer["why"]}
            )
    return runs


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_story_ends_in_airflow_as_it_does_here(here: Here, told: dict[int, str], story: Story) -> None:
    """States, attempts, results and their digests are those of the local engine; Airflow shows the same states."""
    found = here.ended(story.pipeline.name, told[STORIES.index(story)])
    answer = story.answer and {**story.answer, "by": "admin"}
    expected = run_here(story.pipeline, story.given, ask=lambda _: answer)
    assert states_of(found) == states_of(expected), here.logs(story.pipeline.name, told[STORIES.index(story)])
    assert found["state"] == expected["state"] == story.state
    kept = ("name", "map_key", "state", "outputs")
    as_here, as_there = ([[step.get(key) for key in kept] for step in result["steps"]] for result in (expected, found))
    assert content_of(as_there) == content_of(as_here)
    assert content_of(found["verdict"]) == content_of(expected["verdict"])
    assert found["metrics"] == expected["metrics"]
    for name, attempts in story.attempts.items():
        assert next(one["attempts"] for one in found["steps"] if one["name"] == name) == attempts
    shown = here.server.states(story.pipeline.name, told[STORIES.index(story)])
    ours = {"success": "succeeded", "upstream_failed": "pending"}
    assert {name: ours.get(shown[name], shown[name]) for name in states_of(found)} == states_of(found)


def test_airflows_pages_name_the_items_of_a_fan_out(here: Here, told: dict[int, str]) -> None:
    """By what they are where that is short, by their place where it is not."""
    number = next(number for number, story in enumerate(STORIES) if story.labels)
    name, labels = STORIES[number].pipeline.name, STORIES[number].labels
    assert labels_of(here.ended(name, told[number])) == labels
    items = [task for task in here.server.tasks(name, told[number]) if task["map_index"] >= 0]
    assert [task["rendered_map_index"] for task in sorted(items, key=lambda task: task["map_index"])] == labels


def test_a_failed_run_opens_one_incident_and_no_other_run_any(here: Here, told: dict[int, str]) -> None:
    """Hooks of tasks, report and run all tell; the team hears once."""
    for story in STORIES:
        found = here.ended(story.pipeline.name, told[STORIES.index(story)])
        titles = here.told(found["run_id"])
        assert sum(" failed" in title for title in titles) == (story.state == "failed"), (str(story), titles)
    assert len([post for post in here.slack.roots if "failing failed at refuse" in str(post)]) == 1


# --- the fraud pipeline -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(here: Here) -> dict[str, Any]:
    """A run of the fraud pipeline that asks a person, who agrees."""
    here.server.wait_for_dag("followed")
    here.server.unpause("followed")
    run_id = here.server.trigger("fraud_detection", {"as_of": AS_OF, "approval": True, **QUICK})
    here.server.hitl("fraud_detection", run_id, "approve", "Approve", {"why": "looks right"})
    return here.ended("fraud_detection", run_id)


def test_fraud_detection_gives_in_airflow_what_it_gives_here(here: Here, released: dict[str, Any]) -> None:
    """The same data, model, verdict and champion, approved over the API."""
    answer = {"granted": True, "by": "admin", "why": "looks right"}
    given = {"source": str(here.sample), "approval": True, **QUICK}
    put_store(Path(os.environ["OSTINATO_HOME"]))
    expected = run_here(fraud_detection, given, as_of=AS_OF, ask=lambda _: answer)
    assert expected["state"] == released["state"] == "succeeded"
    assert released["promotion"]["promoted"] is True
    assert released["approval"]["by"] == "admin"
    assert digests(released) == digests(expected)
    assert released["metrics"] == pytest.approx(
        {**expected["metrics"], **{name: released["metrics"][name] for name in varying(released)}}
    )
    assert Path(released["report"]).exists()


def varying(result: dict[str, Any]) -> list[str]:
    """Metrics that no two runs share."""
    return [name for name in result["metrics"] if "seconds" in name or "latency" in name or name.endswith("_ms")]


def test_a_promotion_updates_the_asset_of_the_model(here: Here, released: dict[str, Any]) -> None:
    """Other DAGs can wait for it."""
    events = here.server.request("GET", "/api/v2/assets/events?limit=50")["asset_events"]
    told = [one["extra"] for one in events if one["name"] == "model fraud_detection"]
    assert {"name": "fraud_detection", "version": "1", "kind": "promote"} in [
        {key: extra.get(key) for key in ("name", "version", "kind")} for extra in told
    ]
    assert released["promotion"]["version"] == "1"


def test_a_dag_that_waits_for_the_model_runs_after_its_promotion(here: Here, released: dict[str, Any]) -> None:
    """A new champion sets others going."""
    assert released["promotion"]["promoted"] is True
    found = here.arrived("followed")
    assert found["state"] == "succeeded"


def test_new_data_starts_a_run_that_stands_for_the_day(here: Here) -> None:
    """A flag file arrives, is seen once, and is gone."""
    here.server.wait_for_dag("arrived")
    here.server.unpause("arrived")
    here.flag.touch()
    found = here.arrived("arrived")
    assert output_of(found, "moment") == f"{datetime.now(UTC):%Y-%m-%d}T00:00:00+00:00"
    assert not here.flag.exists()


@pytest.fixture(scope="module")
def retrained(here: Here) -> dict[str, Any]:
    """A run of the recommender that new interactions have started."""
    return here.arrived("recommendation_retraining")


def test_new_interactions_retrain_the_recommender_as_they_do_here(here: Here, retrained: dict[str, Any]) -> None:
    """The same searches, model, verdict, champion and lists."""
    put_store(Path(os.environ["OSTINATO_HOME"]))
    expected = run_here(recommendation_retraining, source=str(here.taken), as_of=retrained["as_of"])
    run_id = here.records.run(retrained["run_id"]).tags["dag_run_id"]
    assert expected["state"] == retrained["state"] == "succeeded", here.logs("recommendation_retraining", run_id)
    assert retrained["promotion"]["promoted"] is True
    assert states_of(retrained) == states_of(expected)
    assert digests(retrained) == digests(expected)
    assert retrained["metrics"] == expected["metrics"]


def test_airflow_names_the_searches_by_their_candidates(here: Here, retrained: dict[str, Any]) -> None:
    """In the grid a task of the fan-out is called after what it searches for."""
    run_id = here.records.run(retrained["run_id"]).tags["dag_run_id"]
    items = [task for task in here.server.tasks("recommendation_retraining", run_id) if task["map_index"] >= 0]
    assert {task["task_id"] for task in items} == {"search_recommender"}
    assert [one["rendered_map_index"] for one in sorted(items, key=lambda one: one["map_index"])] == CANDIDATES


def test_a_backfill_promotes_nothing_and_says_so(here: Here) -> None:
    """Whatever its verdict is: a run that works off the past replaces no champion, nor becomes the first."""
    (run_id,) = here.server.backfill("past", "2026-04-30", "2026-04-30", QUICK)
    found = here.ended("past", run_id)
    assert found["as_of"] == f"{AS_OF}T00:00:00+00:00"
    assert found["verdict"]["passed"] is True
    assert found["promotion"]["promoted"] is False
    assert "a backfill" in found["promotion"]["why"]
    assert states_of(found)["deploy"] == "skipped"


def test_a_person_finds_champion_and_report_in_the_browser(
    here: Here, released: dict[str, Any], tmp_path: Path
) -> None:
    """Log in, open the page in the navigation, read the champion; open the report of the run."""
    url, run_id = here.server.url, here.records.run(released["run_id"]).tags["dag_run_id"]
    with browser(tmp_path / "profile") as page:
        page.go(f"{url}/plugin/ostinato")
        page.fill('input[name="username"]', "admin")
        page.fill('input[name="password"]', "admin")
        page.ask("document.querySelector('button[type=submit]').click()")
        page.wait("location.pathname.endsWith('/plugin/ostinato') && !!document.querySelector('iframe')")
        inside = "document.querySelector('iframe').contentDocument"
        said = page.wait(f"{inside}?.body?.innerText.includes('fraud_detection') && {inside}.body.innerText")
        assert "version 1" in said
        assert page.wait("document.body.innerText.includes('Models') || document.body.innerText.includes('Browse')")
        page.picture(tmp_path / "overview.png")
        page.go(f"{url}/dags/fraud_detection/runs/{quote(run_id, safe='')}/plugin/ostinato-run")
        said = page.wait(f"{inside}?.body?.innerText.includes('Promoted') && {inside}.body.innerText")
        assert "looks right" in said
        page.picture(tmp_path / "report.png")
        assert page.complaints == []


# --- when things break --------------------------------------------------------------------------------------------


def pid_of(here: Here, dag_id: str, run_id: str, task_id: str) -> int:
    here.server.wait_for_task(dag_id, run_id, task_id, "running", 120)
    until = time.monotonic() + 60
    while True:  # it runs before it is known by which process
        (task,) = [task for task in here.server.tasks(dag_id, run_id) if task["task_id"] == task_id]
        if task["pid"]:
            return int(task["pid"])
        assert time.monotonic() < until, task
        time.sleep(0.1)


def test_a_worker_killed_in_the_middle_of_a_step_fails_it_and_is_told_once(here: Here, tmp_path: Path) -> None:
    """Process and supervisor die together: no hook of the task runs, and yet the run ends and the team hears."""
    run_id = here.server.trigger("slow", {"at": str(tmp_path / "times"), "seconds": 120})
    until = time.monotonic() + 60
    pid = pid_of(here, "slow", run_id, "rest")
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    for victim in (parent, pid):
        with contextlib.suppress(ProcessLookupError):  # the task may have ended with its supervisor
            os.kill(victim, signal.SIGKILL)
    found = here.ended("slow", run_id, seconds=until - time.monotonic() + 120)
    assert states_of(found) == {"rest": "failed", "number": "pending"}
    assert found["state"] == "failed"
    assert [title for title in here.told(found["run_id"]) if " failed" in title] == ["slow failed at rest"]


@pytest.mark.parametrize(
    ("dag_id", "step", "message"),
    [
        ("not_json", "speechless", "'speechless' returned an object"),
        ("too_large", "long_winded", "at most 8,192 may cross a step boundary"),
        ("no_secret", "confidential", "The secret 'NOBODY_KEEPS_THIS' is not set"),
        ("store_away", "storing", "MLflow at http://127.0.0.1:9 does not answer"),
    ],
)
def test_what_is_wrong_stands_in_the_tasks_log_and_is_told_once(
    here: Here, dag_id: str, step: str, message: str
) -> None:
    """A clear sentence, no retries where none can help, one incident."""
    run_id = here.server.trigger(dag_id)
    found = here.ended(dag_id, run_id)
    tries = 2 if dag_id == "store_away" else 1
    assert states_of(found) == {step: "failed"}
    assert found["steps"][0]["attempts"] == tries
    assert message in here.server.task_log(dag_id, run_id, step, tries)
    assert here.told(found["run_id"]) == [f"{dag_id} failed at {step}"]


def test_a_broken_suite_stops_the_run_with_its_line(here: Here, tmp_path: Path) -> None:
    """A clear sentence, no retry, one incident."""
    suite = tmp_path / "broken.yaml"
    suite.write_text("dataset: payments\nexpectations:\n  - column_values_to_be_uniqe: id\n")
    run_id = here.server.trigger("data_validation", {"source": str(here.sample), "suite": str(suite)})
    found = here.ended("data_validation", run_id)
    assert states_of(found) == {"load": "succeeded", "validate": "failed"}
    log = here.server.task_log("data_validation", run_id, "validate")
    assert "broken.yaml:3" in log
    assert "column_values_to_be_unique" in log
    assert here.told(found["run_id"]) == ["data_validation failed at validate"]


def test_parameters_outside_their_schema_never_start_a_run(here: Here) -> None:
    """Airflow itself refuses them."""
    with pytest.raises(Refused, match="count"):
        here.server.trigger("typed", {"count": "many"})


def test_a_parameter_nobody_knows_fails_the_run_with_its_name(here: Here) -> None:
    """A typo is not ignored."""
    run_id = here.server.trigger("typed", {"cuont": 3})
    found = here.ended("typed", run_id)
    assert states_of(found) == {"echo": "failed"}
    assert "Did you mean 'count'?" in here.server.task_log("typed", run_id, "echo")
    assert len(here.told(found["run_id"])) == 1


@pytest.mark.parametrize("text", ["{{ params }}", "{% raw %}", 'quote " and \\', "ü\nzwei"])
def test_a_parameter_arrives_as_it_was_whatever_it_holds(here: Here, text: str) -> None:
    """Text that looks like a template is text; nested values stay nested."""
    given = {"text": text, "names": {"a": [1, None, {"b": text}]}}
    found = here.result("typed", given)
    assert output_of(found, "echo") == {**given, "count": 1}


# --- secrets, other interpreters, events --------------------------------------------------------------------------


def test_a_secret_comes_from_airflow_and_stands_in_no_log(here: Here) -> None:
    """From a Variable of an innocent name; the step has it, and where it says it there are asterisks."""
    run_id = here.server.trigger("kept_secret")
    found = here.ended("kept_secret", run_id)
    assert output_of(found, "initiated") == "16 characters"
    log = here.server.task_log("kept_secret", run_id, "initiated")
    assert "psst: ***" in log
    assert "unter-uns" not in log


def test_a_step_in_another_interpreter_leaves_the_same_record(here: Here) -> None:
    """Its prints and messages are in the task's log, its secrets come from Airflow."""
    run_id = here.server.trigger("in_another_interpreter")
    found = here.ended("in_another_interpreter", run_id)
    expected = str(ML.parents[1]) if ML.exists() else sys.prefix
    assert output_of(found, "elsewhere") == {"interpreter": expected, "secret": 16, "engine": "airflow"}
    log = here.server.task_log("in_another_interpreter", run_id, "elsewhere")
    assert "printed elsewhere" in log
    assert "logged elsewhere" in log
    assert found["steps"][0]["cpu_seconds"] > 0


def test_a_dag_of_single_operators_runs(here: Here) -> None:
    """Somebody's own DAG: loaded, validated, split, trained, and said so in Slack."""
    run_id = here.server.trigger("own", {"source": str(here.sample), "as_of": AS_OF})
    assert here.server.wait_for("own", run_id, 300) == "success"
    found = here.outcome("own", run_id)
    assert set(states_of(found).values()) == {"succeeded"}
    assert output_of(found, "train")["kind"] == "Model"
    assert any("a model was trained" in str(post) for post in here.slack.posts)


def test_a_failure_in_somebodys_own_dag_is_one_incident_in_their_channel(here: Here) -> None:
    """The notifier opens it, whatever the pipelines' own channel is."""
    run_id = here.server.trigger("own", {"source": "/nowhere/at/all.parquet"})
    assert here.server.wait_for("own", run_id, 300) == "failed"
    until = time.monotonic() + 60
    while not (found := [post for post in here.slack.roots if post["channel"] == "#own"]):
        assert time.monotonic() < until
        time.sleep(0.5)
    assert len([post for post in found if "own failed at load" in str(post)]) == 1


def test_a_dag_file_that_cannot_be_imported_is_an_import_error_and_no_other_suffers(here: Here) -> None:
    """Airflow shows what is missing."""
    broken = here.home.parent / "dags" / "broken_dag.py"
    broken.write_text('"""An Airflow DAG."""\nimport not_there_at_all\n')
    try:
        until = time.monotonic() + 60
        while not any("not_there_at_all" in error for error in here.server.import_errors().values()):
            assert time.monotonic() < until
            time.sleep(0.5)
        assert "fraud_detection" in here.server.dags()
    finally:
        broken.unlink()

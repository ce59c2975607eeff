"""Prefect itself runs what the local engine runs: the same states, results and verdicts, and its pages say so."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

import httpx
from prefect.client.orchestration import get_client

from engines.stories import STORIES, Story, content_of, digests, judge, states_of, worst
from engines.test_prefect_run import Ran, asked
from integrations.mlflow_store import put_store
from ostinato import each, pipeline
from ostinato.engines.local_run import run as run_here
from ostinato.engines.prefect_flow import to_flow
from ostinato.engines.prefect_run import records_here
from ostinato.outcome import title
from ostinato.pipelines.fraud_detection import fraud_detection
from ostinato.runner import records_of
from ostinato.samples.transactions import write
from ostinato.steps import approve

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

QUICK = {"options": {"max_iter": 15}}
AS_OF = "2026-05-01"
SHOWN = {"Completed": "succeeded", "Failed": "failed", "Skipped": "skipped", "NotReady": "pending"}


@contextmanager
def workspace(home: Path) -> Iterator[Path]:
    """The workspace of runs that many tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OSTINATO_")]:
            patch.delenv(name)
        patch.setenv("OSTINATO_HOME", str(home))
        yield home


def paused(api: str, flow_run_name: str, *, seconds: float = 120) -> Any:
    """A run that asks a person, once it does, as the API has it."""
    until = time.monotonic() + seconds
    wanted = {"flow_runs": {"name": {"any_": [flow_run_name]}, "state": {"name": {"any_": ["Paused"]}}}}
    while not (found := asked(api, "/flow_runs/filter", **wanted)):
        assert time.monotonic() < until, f"{flow_run_name} does not ask"
        time.sleep(0.2)
    return found[0]


def answer(api: str, flow_run_name: str, said: dict[str, Any]) -> None:
    """Answer it, as the form in the browser does."""
    with get_client(sync_client=True) as client:
        done = client.resume_flow_run(paused(api, flow_run_name)["id"], run_input=said)
    assert done.status.value == "ACCEPT", done


@pipeline
def panel() -> None:
    """Two verdicts, and a person who is asked about each."""
    each(approve, over=each(judge, over=[True, False]), required=True, timeout="3m")


def test_each_item_of_a_mapped_question_has_an_answer_of_its_own(prefect_api: str, home: Path) -> None:
    """Who agrees to one has agreed to no other."""
    flow = to_flow(panel, flow_run_name="panel")
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(flow, as_of=AS_OF, return_state=True)
        for decision in ("approve", "reject"):
            answer(prefect_api, "panel", {"decision": decision, "by": "ada", "why": decision})
        found = Ran(prefect_api, flow.name, run.result(), records_here()).outcome
    asked = [one for one in found["steps"] if one["name"] == "approve"]
    assert [one["map_key"] for one in asked] == ["0", "1"]
    assert sorted(one["outputs"]["facts"]["why"] for one in asked) == ["approve", "reject"]
    assert sorted(one["outputs"]["facts"]["granted"] for one in asked) == [False, True]


# --- the conformance suite --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Future[Ran]]]:
    """Every story's run, some of them under way at once, and who is asked answered; by the story's place."""

    def play(number: int) -> Ran:
        flow = to_flow(STORIES[number].pipeline, flow_run_name=f"story {number}")
        given = {"timeout": "3m"} if STORIES[number].answer else {}  # not for ever, should the answer fail
        state = flow(**given, **STORIES[number].given, as_of=AS_OF, return_state=True)
        return Ran(prefect_api, flow.name, state, records_of(str(home)))

    asking_first = sorted(range(len(STORIES)), key=lambda number: STORIES[number].pipeline.name != "approved")
    with workspace(tmp_path_factory.mktemp("told")) as home, ThreadPoolExecutor(5) as threads:
        runs = {number: threads.submit(play, number) for number in asking_first}
        for number, story in enumerate(STORIES):
            if story.answer:
                paused(prefect_api, f"story {number}")  # all of them at once: none waits for another's answer
        for number, story in enumerate(STORIES):
            if said := story.answer:
                decision = "approve" if said["granted"] else "reject"
                answer(prefect_api, f"story {number}", {"decision": decision, "by": said["by"], "why": said["why"]})
        for run in runs.values():
            run.exception()
        yield runs
    records_of(str(home)).close()


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_story_ends_in_prefect_as_it_does_here(told: dict[int, Future[Ran]], story: Story) -> None:
    """States, attempts, results and their digests are those of the local engine; Prefect shows the same states."""
    ran = told[STORIES.index(story)].result()
    found, expected = ran.outcome, run_here(story.pipeline, story.given, as_of=AS_OF, ask=lambda _: story.answer)
    assert states_of(found) == states_of(expected) == story.states
    assert found["state"] == expected["state"] == story.state
    kept = ("name", "map_key", "state", "outputs")
    as_here, as_there = ([[step.get(key) for key in kept] for step in result["steps"]] for result in (expected, found))
    assert content_of(as_there) == content_of(as_here)
    assert digests(found) == digests(expected)
    assert content_of(found["verdict"]) == content_of(expected["verdict"])
    assert found["metrics"] == expected["metrics"]
    assert found["as_of"] == expected["as_of"]
    for name, attempts in story.attempts.items():
        assert next(one["attempts"] for one in found["steps"] if one["name"] == name) == attempts


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_prefects_own_page_tells_the_same_story(told: dict[int, Future[Ran]], story: Story) -> None:
    """One task run for each step and each item, named after it, in the state that the record has; and the report."""
    ran = told[STORIES.index(story)].result()
    shown = ran.tasks()
    assert shown.pop("report") == "Completed"
    states: dict[str, list[str]] = {}
    for name, state in shown.items():
        ending = r"-[0-9a-f]{3}$" if state == "NotReady" else r"\[.+\]$"  # Prefect names what has begun
        states.setdefault(re.sub(ending, "", name), []).append(SHOWN[state])
    assert {name: worst(found) for name, found in states.items()} == story.states
    items = {title(one) for one in ran.outcome["steps"] if "map_key" in one}
    assert {name for name in shown if "[" in name} == items
    assert {f"length[{label}]" for label in story.labels} <= items
    assert ran.state.is_completed() == (story.state == "succeeded")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "step refuse: 7 is not wanted"),
        ("failing_item", "step refuse_two[2]: two is not wanted"),
        ("exhausted", "step never_there: the service is away"),
        ("programming_error", "step mistaken: TypeError: unsupported operand"),
        ("killed", "step die: 'die': The process ended without a word (SIGKILL: out of memory?)"),
        ("left_early", "step leave: "),
    ],
)
def test_a_failed_run_says_what_failed_and_why(told: dict[int, Future[Ran]], name: str, message: str) -> None:
    """The cause, rather than how many tasks could not run for it."""
    (ran,) = [told[number].result() for number, story in enumerate(STORIES) if story.pipeline.name == name]
    assert ran.state.is_failed()
    assert message in ran.state.message


def test_a_failed_run_opens_one_incident_and_no_other_run_any(told: dict[int, Future[Ran]]) -> None:
    """Tasks, flow and hooks all tell; the team hears once."""
    for number, story in enumerate(STORIES):
        titles = told[number].result().titles
        assert sum(" failed" in title for title in titles) == (story.state == "failed"), (str(story), titles)
        if story.state != "failed":
            assert titles == []


def test_a_run_that_nobody_answers_ends_well_and_says_so(told: dict[int, Future[Ran]]) -> None:
    """Prefect itself would fail the whole run; here silence means no, and the rest goes on."""
    (number,) = [number for number, story in enumerate(STORIES) if story.given == {"timeout": "15s"}]
    ran = told[number].result()
    assert ran.state.is_completed()
    assert ran.outcome["approval"]["granted"] is False
    assert ran.outcome["approval"]["by"] == "nobody"


# --- the fraud pipeline -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sample") / "tx"
    write(place, rows=20_000, seed=7)
    return place


@pytest.fixture(scope="module")
def release(
    prefect_api: str, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ran, dict[str, Any]]]:
    """A run of the fraud pipeline that asks a person, who agrees; and how it asked."""
    with workspace(tmp_path_factory.mktemp("released")) as home, ThreadPoolExecutor(1) as thread:
        put_store(home)
        flow = to_flow(fraud_detection, source=str(sample), flow_run_name="released")
        given = {"approval": True, "approval_timeout": "5m", **QUICK}
        run = thread.submit(flow, as_of=AS_OF, **given, return_state=True)
        asking = paused(prefect_api, "released")
        (record,) = records_of(str(home)).runs()
        shown = {
            part: httpx.get(f"{prefect_api}/flow_runs/{asking['id']}/input/{key}").json()
            for part, key in asking["state"]["state_details"]["run_input_keyset"].items()
            if part != "response"
        }
        waiting = {step.step for step in records_of(str(home)).steps(record.run_id) if step.state == "waiting"}
        with get_client(sync_client=True) as client:
            odd = client.resume_flow_run(asking["id"], run_input={"decision": "perhaps"})
        answer(prefect_api, "released", {"decision": "approve", "why": "looks right", "by": "ada"})
        how = {**shown, "run": record.state, "steps": waiting, "odd": odd.status.value}
        yield Ran(prefect_api, flow.name, run.result(), records_of(str(home))), how
    records_of(str(home)).close()


@pytest.fixture(scope="module")
def released(release: tuple[Ran, dict[str, Any]]) -> Ran:
    return release[0]


def test_a_person_who_is_asked_sees_the_verdict_and_three_fields(release: tuple[Ran, dict[str, Any]]) -> None:
    """Yes or no, why, and who; meanwhile run and step wait, and an answer that is neither is refused."""
    _, how = release
    assert how["schema"]["properties"]["decision"]["enum"] == ["approve", "reject"]
    assert list(how["schema"]["properties"]) == ["decision", "why", "by"]
    assert how["schema"]["required"] == ["decision"]
    assert "fraud_detection" in str(how["description"])
    assert "average" in str(how["description"])
    assert (how["run"], how["steps"], how["odd"]) == ("waiting", {"approve"}, "REJECT")


def _judged(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(check["name"], check["outcome"]) for check in result["verdict"]["checks"]]


def varying(result: dict[str, Any]) -> list[str]:
    """Metrics that no two runs share."""
    return [name for name in result["metrics"] if "seconds" in name or "latency" in name or name.endswith("_ms")]


def test_fraud_detection_gives_in_prefect_what_it_gives_here(released: Ran, sample: Path, home: Path) -> None:
    """The same data, model, verdict and champion, approved over the API."""
    said = {"granted": True, "by": "ada", "why": "looks right"}
    put_store(home)
    expected = run_here(fraud_detection, source=str(sample), approval=True, **QUICK, as_of=AS_OF, ask=lambda _: said)
    found = released.outcome
    assert expected["state"] == found["state"] == "succeeded"
    assert states_of(found) == states_of(expected)
    assert found["promotion"]["promoted"] is True
    assert found["approval"]["by"] == "ada"
    assert digests(found) == digests(expected)
    assert _judged(found) == _judged(expected)
    assert found["metrics"] == pytest.approx(
        {**expected["metrics"], **{name: found["metrics"][name] for name in varying(found)}}
    )
    assert Path(found["report"]).exists()


def test_the_verdict_is_a_table_on_the_page_of_its_step(released: Ran) -> None:
    """A row for each check, with what was found, what was wanted and what came of it."""
    (table,) = [one for one in released.asked("/artifacts/filter") if one["type"] == "table"]
    assert table["key"] == "fraud-detection-evaluate"
    assert table["task_run_id"]
    assert "pass" in table["description"]
    rows = json.loads(table["data"])
    assert [row["outcome"] for row in rows] == [outcome for _, outcome in _judged(released.outcome)]
    assert rows[0]["check"] == "average precision"
    assert set(rows[0]) == {"check", "found", "wanted", "outcome"}


def test_the_report_is_on_the_page_with_its_plots(released: Ran) -> None:
    """The decision, the measures, pictures that any browser shows; small enough for Prefect's database."""
    (report,) = [one for one in released.asked("/artifacts/filter") if one["type"] == "markdown"]
    assert report["key"] == "fraud-detection-report"
    assert len(report["data"]) < 200_000
    assert "# Promoted" in report["data"]
    assert released.outcome["report"] in report["data"]
    pictures = re.findall(r"\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", report["data"])
    assert pictures
    assert all(base64.b64decode(one).startswith(b"\x89PNG") for one in pictures)


def test_a_promotion_is_an_event_that_others_can_wait_for(released: Ran, prefect_api: str) -> None:
    """Of the model, with what it replaced and who made it."""
    until = time.monotonic() + 30
    while not (found := _events(prefect_api)):
        assert time.monotonic() < until
        time.sleep(0.2)
    (event,) = found
    assert event["resource"]["prefect.resource.id"] == "ostinato.model.fraud_detection"
    assert event["payload"]["version"] == released.outcome["promotion"]["version"] == "1"
    assert event["payload"]["run_id"] == released.run_id
    assert released.id in str(event["related"])


def _events(api: str) -> list[dict[str, Any]]:
    wanted = {"event": {"name": ["ostinato.model.promoted"]}}
    return list(asked(api, "/events/filter", filter=wanted, limit=50)["events"])

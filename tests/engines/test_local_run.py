"""The local engine: the reference of what a graph means, and what it promises when things break."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engines import stories
from engines.stories import STORIES, Story, labels_of, output_of, states_of
from ostinato import each, pipeline, step, when
from ostinato.artifacts import manifest_of
from ostinato.engines.local_run import bury, resume, run
from ostinato.errors import ParameterError, PipelineError, UnknownName, UsageError
from ostinato.runner import records_of
from ostinato.steps import approve
from ostinato.workspace import Workspace


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_story_ends_as_it_must(story: Story) -> None:
    """States, results and attempts are the same on every engine; here they are set."""
    result = run(story.pipeline, story.given, ask=lambda _: story.answer)
    assert states_of(result) == story.states
    assert result["state"] == story.state
    for name, expected in story.results.items():
        assert output_of(result, name) == expected
    for name, expected in story.attempts.items():
        assert next(one["attempts"] for one in result["steps"] if one["name"] == name) == expected
    if story.labels:
        assert labels_of(result) == story.labels


def test_whoever_listens_hears_of_items_by_place_and_by_name() -> None:
    """The place tells them apart, the name tells people which it is."""
    heard: list[dict[str, Any]] = []
    run(stories.fan_out_of_names, listener=heard.append)
    of_items = {(one["map_key"], one["label"]) for one in heard if one["event"] == "step" and one["map_key"]}
    assert of_items == {(str(place), label) for place, label in enumerate(stories.LABELS)}


def test_the_same_run_twice_gives_the_same_digests() -> None:
    """Nothing of the run, the clock or the order of threads reaches the content."""
    first, second = (run(stories.success, count=50) for _ in range(2))
    digests = [[ref["digest"] for ref in output_of(result, "halves")] for result in (first, second)]
    assert digests[0] == digests[1]
    assert first["run_id"] != second["run_id"]


def test_independent_steps_run_side_by_side(tmp_path: Path) -> None:
    """Two steps that wait a second each overlap."""
    result = run(two_rests, at=str(tmp_path / "times"))
    assert result["state"] == "succeeded"
    (start, end), (other_start, other_end) = (
        map(float, line.split()) for line in (tmp_path / "times").read_text().splitlines()
    )
    assert max(start, other_start) < min(end, other_end)


def test_a_hung_step_is_killed_with_its_children_when_its_time_is_over(tmp_path: Path) -> None:
    """A time-out ends what the step started, too, and says what happened."""
    pids = tmp_path / "pids"
    started = time.monotonic()
    result = run(hanging, pid_file=str(pids))
    assert time.monotonic() - started < 20
    assert result["state"] == "failed"
    assert result["steps"][0]["error"]["type"] == "StepTimedOut"
    assert "took longer than 0:00:02" in result["steps"][0]["error"]["message"]
    assert not any(is_alive(int(pid)) for pid in pids.read_text().split())


def test_a_step_whose_process_dies_is_a_failure_with_the_signals_name() -> None:
    """Nobody waits for a process that is gone."""
    result = run(dying)
    assert result["state"] == "failed"
    assert result["steps"][0]["error"]["type"] == "StepLost"
    assert "SIGKILL" in result["steps"][0]["error"]["message"]


def test_a_lost_process_is_worth_a_retry(tmp_path: Path) -> None:
    """Out of memory once is not out of memory for ever."""
    result = run(dying_once, marker=str(tmp_path / "marker"))
    assert result["state"] == "succeeded"
    assert result["steps"][0]["attempts"] == 2


def test_a_step_that_calls_exit_fails_for_good() -> None:
    """sys.exit in a step is a mistake, not an end of the run."""
    result = run(leaving)
    assert result["state"] == "failed"
    assert result["steps"][0]["error"]["type"] == "SystemExit"


def test_what_a_step_prints_is_in_its_log(home: Path) -> None:
    """Prints, children's output and tracebacks are kept by step."""
    result = run(stories.programming_error)
    log = Path(result["steps"][0]["log"]).read_text()
    assert "Traceback" in log
    assert "TypeError" in log


def test_a_function_of_a_notebook_runs_in_this_process() -> None:
    """What no other process can import is still a step."""
    here = os.getpid()

    @step
    def where_am_i() -> int:
        return os.getpid()

    @pipeline
    def local() -> None:
        where_am_i()

    assert output_of(run(local), "where_am_i") == here


def test_as_of_is_the_day_the_caller_names_else_today() -> None:
    """Dates mean midnight UTC, and the run records what it stands for."""
    assert output_of(run(asking, as_of="2026-03-01"), "moment") == "2026-03-01T00:00:00+00:00"
    assert output_of(run(asking, as_of="2026-03-01T06:00+02:00"), "moment") == "2026-03-01T04:00:00+00:00"
    today = run(asking)["as_of"]
    assert today[:10] == time.strftime("%Y-%m-%d", time.gmtime())
    with pytest.raises(ParameterError, match="'soon' is no date"):
        run(asking, as_of="soon")


def test_a_pipeline_chooses_what_a_run_by_hand_stands_for() -> None:
    """default_as_of is asked with the run's parameters, in a worker."""
    assert run(choosing, year=2025)["as_of"] == "2025-06-01T00:00:00+00:00"


def test_wrong_parameters_are_refused_before_anything_is_written(home: Path) -> None:
    """A usage error leaves no run behind."""
    with pytest.raises(ParameterError, match=r"has no parameter 'coutn'\. Did you mean 'count'"):
        run(stories.success, coutn=3)
    with pytest.raises(ParameterError, match="count='many' is refused"):
        run(stories.success, count="many")
    assert not home.exists()


def test_the_outcome_is_strict_json_with_the_promised_keys() -> None:
    """What --json prints can be read by anyone."""
    result = run(stories.success)
    promised = "run_id pipeline engine state as_of parameters steps metrics verdict model report".split()
    assert set(promised) <= set(result)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert Path(result["report"]).read_text().startswith("<!doctype html>")


def test_a_password_in_a_parameter_is_shown_nowhere(home: Path) -> None:
    """The outcome, the report and the list of runs hide it; the record keeps what a resumed run needs."""
    url = "postgresql://ada:geheim@db/bank"
    result = run(obstructed, obstacle=url, to=str(home / "posts"))
    assert result["parameters"]["obstacle"] == "postgresql://***@db/bank"
    assert "geheim" not in json.dumps(result) + Path(result["report"]).read_text()
    assert records_of(str(home)).run(result["run_id"]).parameters["obstacle"] == url


def test_resume_runs_only_what_did_not_finish(tmp_path: Path) -> None:
    """What succeeded is taken as it is; what failed and what waited behind it run."""
    obstacle, posts = tmp_path / "obstacle", tmp_path / "posts"
    obstacle.touch()
    first = run(obstructed, obstacle=str(obstacle), to=str(posts))
    assert states_of(first) == {"post": "succeeded", "fail_while": "failed", "square": "pending"}
    obstacle.unlink()
    second = resume(first["run_id"])
    assert second["run_id"] == first["run_id"]
    assert states_of(second) == {"post": "succeeded", "fail_while": "succeeded", "square": "succeeded"}
    assert len(posts.read_text().splitlines()) == 1


def test_resume_runs_a_step_again_whose_output_is_gone(tmp_path: Path) -> None:
    """A record without its data is no result."""
    first = run(stories.success)
    uri = output_of(first, "table")["uri"].removeprefix("file://")
    Path(manifest_of(uri)).unlink()
    records_of(os.environ["OSTINATO_HOME"]).change_run(first["run_id"], state="failed")
    again = resume(first["run_id"])
    assert again["state"] == "succeeded"
    assert Path(manifest_of(uri)).exists()


def test_resume_of_a_finished_run_gives_its_outcome() -> None:
    """Resuming twice does no harm."""
    first = run(stories.success)
    assert resume(first["run_id"])["steps"] == first["steps"]


def test_resume_of_a_run_killed_before_its_report_writes_it_and_runs_nothing_again(home: Path) -> None:
    """Everything had succeeded, and nobody had heard of it."""
    first = run(stories.success)
    records = records_of(str(home))
    before = records.steps(first["run_id"])
    records.change_run(first["run_id"], report=None)
    Path(first["report"]).unlink()
    again = resume(first["run_id"])
    assert "The run succeeded." in Path(again["report"]).read_text()
    assert again["report"] == first["report"] == records.run(first["run_id"]).report
    assert records.steps(first["run_id"]) == before


def test_resume_refuses_a_changed_pipeline_and_an_unknown_run() -> None:
    """Half of one pipeline and half of another is neither."""
    first = run(stories.failing)
    with pytest.raises(UsageError, match="has changed since"):
        resume(first["run_id"], stories.success)
    with pytest.raises(UnknownName, match=f"Valid: '{first['run_id']}'"):
        resume("yesterday")


def test_resume_of_a_mapped_step_runs_the_missing_items_only() -> None:
    """Items that are done stay done."""
    first = run(stories.failing_item)
    second = resume(first["run_id"])
    starts = [
        {
            one["map_key"]: one["seconds"]
            for one in result["steps"]
            if one["name"] == "refuse_two" and one["state"] == "succeeded"
        }
        for result in (first, second)
    ]
    assert starts[0] == starts[1]
    assert len(starts[0]) == 3


def test_a_person_is_asked_with_the_verdict_and_the_answer_is_kept() -> None:
    """While the question is open the run waits; who answered and why stand in the result."""
    heard: dict[str, Any] = {}

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        records = records_of(os.environ["OSTINATO_HOME"])
        run_state = records.run(question["run_id"]).state
        step_state = next(one.state for one in records.steps(question["run_id"]) if one.step == "approve")
        heard.update(question, states=(run_state, step_state))
        return {"granted": True, "by": "ada", "why": "looks right"}

    result = run(stories.approved, ask=ask)
    assert heard["states"] == ("waiting", "waiting")
    assert heard["inputs"]["verdict"]["facts"]["metrics"] == {"goodness": 1.0}
    assert (heard["pipeline"], heard["step"], heard["seconds"]) == ("approved", "approve", 86_400)
    assert output_of(result, "approve")["facts"] == {"granted": True, "by": "ada", "why": "looks right"}


def test_where_nobody_can_be_asked_the_answer_is_no_and_says_so() -> None:
    """Neither terminal nor flag: timed out, by nobody; the run itself has succeeded."""
    result = run(stories.approved)
    assert result["state"] == "succeeded"
    approval = output_of(result, "approve")["facts"]
    assert (approval["granted"], approval["by"]) == (False, "nobody")
    assert "timed out" in approval["why"]


def test_nobody_is_asked_before_all_else_is_done(tmp_path: Path) -> None:
    """A branch that runs beside the question does not wait for its answer."""
    at = tmp_path / "times"
    seen: list[bool] = []
    run(asking_beside, at=str(at), ask=lambda _: seen.append(at.exists()))
    assert seen == [True]


STEP_DONE = ("refuse_two", "succeeded")

SLOW_RUN = """
import sys
from engines import stories
from engines.test_local_run import resting
from ostinato.engines.local_run import run
run(resting, at=sys.argv[1], seconds=float(sys.argv[2]))
"""


@pytest.fixture
def killed_run(tmp_path: Path) -> tuple[str, Path]:
    """A run whose process was killed by `kill -9` in the middle of its second step."""
    at = tmp_path / "times"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", SLOW_RUN, str(at), "2"], env=environment)
    deadline = time.monotonic() + 30
    while not at.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return records_of(os.environ["OSTINATO_HOME"]).runs()[0].run_id, at


def test_a_run_whose_process_was_killed_is_found_and_resumed(killed_run: tuple[str, Path]) -> None:
    """Its workers die with it, its record says so, and the finished step is not run again."""
    run_id, at = killed_run
    records = records_of(os.environ["OSTINATO_HOME"])
    assert records.run(run_id).state == "running"
    assert bury(os.environ["OSTINATO_HOME"]) == [run_id]
    assert records.run(run_id).state == "failed"
    result = resume(run_id)
    assert result["state"] == "succeeded"
    assert len(at.read_text().splitlines()) == 2


def test_two_runs_racing_in_one_workspace_both_succeed(home: Path) -> None:
    """Runs share the records and nothing else."""
    code = (
        "from engines import stories; from ostinato.engines.local_run import run; print(run(stories.fan_out)['state'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["succeeded"] * 3


def test_a_run_that_is_still_running_cannot_be_resumed(tmp_path: Path) -> None:
    """Racing resumes: the one that holds the run wins."""
    at = tmp_path / "times"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", SLOW_RUN, str(at), "60"], env=environment)
    while not at.exists():
        time.sleep(0.02)
    run_id = records_of(os.environ["OSTINATO_HOME"]).runs()[0].run_id
    assert bury(os.environ["OSTINATO_HOME"]) == []
    with pytest.raises(UsageError, match="still running"):
        resume(run_id)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert records_of(os.environ["OSTINATO_HOME"]).run(run_id).state == "cancelled"


def test_another_interpreter_runs_a_step_that_asks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """step(python="ml") goes to the Python that OSTINATO_PYTHON_ML names."""
    wrapper = tmp_path / "python-ml"
    wrapper.write_text(f'#!/bin/sh\nINSIDE=ml exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("OSTINATO_PYTHON_ML", str(wrapper))
    assert output_of(run(elsewhere), "environment") == "ml"
    monkeypatch.delenv("OSTINATO_PYTHON_ML")
    result = run(elsewhere)
    assert result["state"] == "failed"
    assert "set OSTINATO_PYTHON_ML" in result["steps"][0]["error"]["message"]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_and_resumed_tells_the_same_story(tmp_path: Path) -> None:
    """kill -9 at random moments: resuming until it is done gives the undisturbed results, and posts once."""
    chance = random.Random(11)
    code = (
        "import sys; from engines.test_local_run import posting; from ostinato.engines.local_run import run, resume\n"
        "resume(sys.argv[2]) if len(sys.argv) > 2 else run(posting, to=sys.argv[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    Workspace.here().prepare()
    records = records_of(os.environ["OSTINATO_HOME"])
    for attempt in range(6):
        to, extra, known = tmp_path / f"posts-{attempt}", [], {one.run_id for one in records.runs(most=100)}
        for tries in range(20):
            process = subprocess.Popen([sys.executable, "-c", code, str(to), *extra], env=environment)
            try:
                process.wait(timeout=chance.uniform(0.3, 1.2) * (1 + tries / 4))  # a busy machine is given longer
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            new = [one for one in records.runs(most=100) if one.run_id not in known]
            extra = [new[0].run_id] if new else []
            if new and new[0].state == "succeeded":
                break
        assert new[0].state == "succeeded"
        assert states_of(resume(new[0].run_id))["total"] == "succeeded"
        assert output_of(resume(new[0].run_id), "total") == 14


@step
def opinion() -> dict[str, bool]:
    """A flag that is none."""
    return {"good": "perhaps"}  # type: ignore[dict-item]


@pipeline
def undecided() -> None:
    """Branches on what is neither true nor false."""
    with when(opinion()["good"]):
        stories.number(1)
    stories.number.with_options(name="free")(2)


def test_a_flag_that_is_neither_true_nor_false_fails_its_branch_and_nothing_else() -> None:
    """No side may be skipped silently."""
    result = run(undecided)
    assert states_of(result) == {"opinion": "succeeded", "number": "failed", "free": "succeeded"}
    message = next(one["error"]["message"] for one in result["steps"] if one["name"] == "number")
    assert message == "opinion.good decides what runs, and is 'perhaps' instead of true or false."


@pipeline
def asking_beside(at: str) -> None:
    """A question, and something that takes its time."""
    approve(stories.judge(True), required=True)
    stories.rest(0.5, at)


@pipeline
def two_rests(at: str) -> None:
    """Two steps that need nothing of one another."""
    stories.rest(1.0, at)
    stories.rest(1.0, at)


@pipeline
def resting(at: str, seconds: float) -> None:
    """One after the other."""
    first = stories.rest(0.1, at)
    stories.rest.with_options(after=[first])(seconds, at)


@pipeline
def hanging(pid_file: str) -> None:
    """Never ends."""
    stories.hang(pid_file)


@pipeline
def dying() -> None:
    """Is killed."""
    stories.die(1)


@pipeline
def dying_once(marker: str) -> None:
    """Is killed once."""
    stories.die_once(marker)


@pipeline
def leaving() -> None:
    """Calls exit."""
    stories.leave(1)


@pipeline
def asking() -> None:
    """Asks what it stands for."""
    stories.moment()


def first_of_june(year: int) -> str:
    return f"{year}-06-01"


@pipeline(default_as_of=first_of_june)
def choosing(year: int) -> None:
    """Stands for a day of its own choice."""
    stories.moment()


@pipeline
def obstructed(obstacle: str, to: str) -> None:
    """Fails while there is an obstacle."""
    stories.post(to)
    stories.square(stories.fail_while(obstacle, 3))


@pipeline
def posting(to: str) -> None:
    """Does something outside in the middle."""
    posted = stories.post(to)
    squares = each(stories.square, over=[1, 2, 3])
    stories.total.with_options(after=[posted])(squares)


@step(python="ml")
def environment() -> str:
    """Which environment it runs in."""
    return os.environ.get("INSIDE", "the engine's own")


@pipeline
def elsewhere() -> None:
    """A step in another interpreter."""
    environment()


def test_a_pipeline_is_not_called_but_run() -> None:
    """Calling it directly says what to write instead."""
    with pytest.raises(PipelineError, match=r"import run; run\(success"):
        stories.success()

"""How local runs tell of themselves: at once, in the background, after a kill, and never at the cost of the run."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import stories
from integrations import slack_server as answers
from integrations.slack_server import Slack, slack_server
from ostinato import each, pipeline, step
from ostinato.engines.local_alerts import look
from ostinato.engines.local_run import bury, resume, run, tend
from ostinato.records import Records
from ostinato.runner import records_of
from ostinato.workspace import Workspace


@step
def number_all(count: int) -> list[int]:
    return list(range(count))


@step
def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


@step
def fail_while(obstacle: str) -> int:
    if Path(obstacle).exists():
        raise ValueError("there it is")
    return 1


@step
def rest(at: str, seconds: float) -> str:
    Path(at).touch()
    time.sleep(seconds)
    return at


@step
def square(number: int) -> int:
    return number * number


@pipeline(owner="risk-ml")
def all_refused(count: int = 50) -> None:
    each(refuse, over=number_all(count))


@pipeline
def obstructed(obstacle: str) -> None:
    square(fail_while(obstacle))


@pipeline
def resting(at: str, seconds: float = 60.0) -> None:
    rest(at, seconds)


@pipeline
def failing_early(obstacle: str, at: str, seconds: float = 3.0) -> None:
    fail_while(obstacle)
    rest(rest(at, seconds), 0.0)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    """Slack, with a bot's token."""
    with slack_server() as served:
        monkeypatch.setenv("SLACK_API_URL", served.url)
        monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-geheim")
        monkeypatch.setenv("OSTINATO_ALERTS", "slack:#ml-ops")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served


@pytest.fixture
def obstacle(tmp_path: Path) -> str:
    (tmp_path / "obstacle").touch()
    return str(tmp_path / "obstacle")


def records() -> Records:
    return records_of(os.environ["OSTINATO_HOME"])


def heads(posts: list[dict[str, Any]]) -> list[str]:
    """First lines, without their sign."""
    return [post["blocks"][0]["text"]["text"].split("\n")[0].strip("*")[2:] for post in posts]


# --- told ---------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_told_when_it_has_ended(slack: Slack) -> None:
    """Who called `run` need not do anything else; the report of fifty failures is one update."""
    assert run(all_refused)["state"] == "failed"
    assert len(slack.posts) == 2
    assert heads(slack.roots)[0].startswith("all_refused failed at refuse, item ")
    assert heads(slack.replies) == ["The run has ended: 50 failures"]
    assert "*owner* risk-ml" in slack.roots[0]["blocks"][1]["text"]["text"]


def test_a_failure_is_told_while_the_rest_of_the_run_goes_on(slack: Slack, obstacle: str, tmp_path: Path) -> None:
    """Nobody waits for the slowest branch to hear that another one has failed."""
    begun = time.time()
    result = run(failing_early, obstacle=obstacle, at=str(tmp_path / "at"))
    resting = next(one for one in records().steps(result["run_id"]) if one.step == "rest")
    assert slack.times[0] < (resting.ended or 0) - 1.0
    assert begun < slack.times[0]
    assert heads(slack.posts) == ["failing_early failed at fail_while"]


def test_a_retry_that_helps_tells_nothing(slack: Slack) -> None:
    """Retried and recovered is no page; retried in vain is one, and says how often."""
    assert run(stories.retried)["state"] == "succeeded"
    assert slack.requests == []
    assert run(stories.exhausted)["state"] == "failed"
    assert len(slack.posts) == 1
    assert "*attempts* 2" in slack.posts[0]["blocks"][1]["text"]["text"]


def test_resume_speaks_in_the_thread_of_the_run(slack: Slack, obstacle: str) -> None:
    """Failed, resumed, recovered: one message in the channel."""
    first = run(obstructed, obstacle=obstacle)
    os.unlink(obstacle)
    assert resume(first["run_id"])["state"] == "succeeded"
    assert heads(slack.roots) == ["obstructed failed at fail_while"]
    assert heads(slack.replies) == ["Resumed: what did not finish runs again", "Recovered: the run has succeeded"]
    assert {post["thread_ts"] for post in slack.replies} == {slack.roots[0]["ts"]}


def test_without_a_setting_there_is_a_file_and_a_line_on_stderr(
    home: Path, obstacle: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing to set up to have a record of what failed."""
    run(obstructed, obstacle=obstacle)
    (line,) = (home / "alerts.jsonl").read_text().splitlines()
    assert json.loads(line)["title"] == "obstructed failed at fail_while"
    assert capfd.readouterr().err == "🔴 obstructed failed at fail_while: ValueError: there it is\n"


def test_none_means_none(home: Path, obstacle: str, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Not even the file; the incident is on record all the same."""
    monkeypatch.setenv("OSTINATO_ALERTS", "none")
    result = run(obstructed, obstacle=obstacle)
    assert not (home / "alerts.jsonl").exists()
    assert capfd.readouterr().err == ""
    assert records().outbox.incident(result["run_id"]) is not None
    assert records().outbox.pending() == []


# --- Slack away ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("answer", [answers.hang(60), answers.trickle(60)], ids=["silent", "endless"])
def test_a_slack_that_hangs_neither_fails_nor_stalls_a_run(
    slack: Slack, obstacle: str, tmp_path: Path, answer: answers.Answer
) -> None:
    """The other branch runs on beside it; the end waits about ten seconds at most."""
    slack.always = answer
    result = run(failing_early, obstacle=obstacle, at=str(tmp_path / "at"), seconds=1.0)
    ended = records().run(result["run_id"]).ended or 0
    assert time.time() - ended < 20
    by_name = {one.step: one for one in records().steps(result["run_id"])}
    assert by_name["rest_2"].state == "succeeded"
    assert (by_name["rest_2"].started or 0) - (by_name["rest"].ended or 0) < 3
    assert result["state"] == "failed"


def test_what_slack_did_not_take_is_sent_by_the_next_run_in_order(slack: Slack, obstacle: str) -> None:
    """Also by one that succeeds and has nothing to tell itself."""
    slack.always = answers.broken(503)
    first = run(obstructed, obstacle=obstacle)
    resume(first["run_id"])
    assert slack.posts == []
    slack.always = None
    assert run(stories.success)["state"] == "succeeded"
    assert heads(slack.posts) == [
        "obstructed failed at fail_while",
        "Resumed: what did not finish runs again",
        "Failed again at fail_while",
    ]
    assert len(slack.roots) == 1


def test_what_slack_did_not_take_is_sent_by_the_next_command(slack: Slack, obstacle: str) -> None:
    """Whatever it is for."""
    slack.always = answers.busy("2")
    slack.answers = [answers.busy("15")]
    run(obstructed, obstacle=obstacle)
    slack.always = None
    tend()
    assert slack.posts == []  # Slack asked for a pause
    with records()._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ostinato_messages SET not_before = 0")
    tend()
    assert heads(slack.posts) == ["obstructed failed at fail_while"]


@pytest.mark.parametrize("table", ["incidents", "messages"])
def test_a_fault_of_the_outbox_is_no_fault_of_the_run(table: str, obstacle: str, capfd: Any) -> None:
    """Whoever watches is told; the outcome is the run's own."""
    run(stories.success)
    with sqlite3.connect(Path(os.environ["OSTINATO_HOME"], "records.db")) as connection:
        connection.execute(f"DROP TABLE ostinato_{table}")
    connection.close()
    heard: list[dict[str, Any]] = []
    assert run(obstructed, obstacle=obstacle, listener=heard.append)["state"] == "failed"
    assert any("No alert" in event.get("message", "") for event in heard)
    assert run(stories.success)["state"] == "succeeded"


# --- killed -------------------------------------------------------------------------------------------------------


def started(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    head = (
        "import sys\nfrom engines import test_local_alerts as cases\n"
        "from ostinato.engines.local_run import resume, run, tend\n"
    )
    return subprocess.Popen([sys.executable, "-c", head + code, *arguments], env=environment)


def killed_run(at: Path) -> str:
    """A run killed by `kill -9` in the middle of its step."""
    process = started("run(cases.resting, at=sys.argv[1])", str(at))
    deadline = time.monotonic() + 60
    while not at.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return records().runs()[0].run_id


def test_a_killed_run_is_told_by_the_next_command_once(slack: Slack, tmp_path: Path) -> None:
    """Closed as failed, at the step that ran; by any command, even where two race."""
    run_id = killed_run(tmp_path / "at")
    assert slack.requests == []
    processes = [started("tend()") for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    tend()
    assert records().run(run_id).state == "failed"
    assert heads(slack.posts) == ["resting failed at rest"]
    assert "The process of the run was killed." in slack.posts[0]["text"]


def test_a_killed_run_is_told_by_the_next_run(slack: Slack, tmp_path: Path) -> None:
    """Nobody has to look for it."""
    killed_run(tmp_path / "at")
    run(stories.success)
    assert heads(slack.posts) == ["resting failed at rest"]


def test_resuming_a_killed_run_tells_both_in_one_thread(slack: Slack, tmp_path: Path) -> None:
    """That it was killed, and that it runs again."""
    run_id = killed_run(tmp_path / "at")
    process = started("resume(sys.argv[1])", run_id)
    deadline = time.monotonic() + 60
    while len(slack.posts) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert heads(slack.roots) == ["resting failed at rest"]
    assert heads(slack.replies) == ["Resumed: what did not finish runs again", "The run was cancelled"]


def test_a_run_that_is_alive_is_not_buried_and_not_waited_for(tmp_path: Path) -> None:
    """A command beside a long run costs nothing."""
    process = started("run(cases.resting, at=sys.argv[1])", str(tmp_path / "at"))
    while not (tmp_path / "at").exists():
        time.sleep(0.02)
    assert bury(os.environ["OSTINATO_HOME"]) == []
    tend()
    assert records().runs()[0].state == "running"
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def test_a_run_of_another_machine_is_not_buried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records may be shared; only who has the run's lock file can tell whether it lives."""
    run(stories.success)
    record = records().runs()[0]
    records().change_run(record.run_id, state="running")
    for lock in Path(os.environ["OSTINATO_HOME"]).rglob("*.lock"):
        lock.unlink()
    assert bury(os.environ["OSTINATO_HOME"]) == []
    assert records().run(record.run_id).state == "running"


def test_a_failure_whose_telling_was_lost_is_told_later(slack: Slack, obstacle: str) -> None:
    """Killed between the end of the run and its alert."""
    run(obstructed, obstacle=obstacle)
    slack.posts.clear()
    for table in ("incidents", "messages"):
        with records()._engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM ostinato_{table}")
    tend()
    assert heads(slack.posts) == ["obstructed failed at fail_while"]


@pytest.mark.slow
def test_a_failing_run_killed_at_any_moment_is_told(slack: Slack, obstacle: str, tmp_path: Path) -> None:
    """kill -9 at random moments, then the next command: at least one alert for each that failed or was killed."""
    import random

    chance = random.Random(4)
    slack.always = answers.slowly(0.1)
    os.environ["OSTINATO_ALERT_COOLDOWN"] = "0"
    try:
        for number in range(12):
            process = started(
                "run(cases.failing_early, obstacle=sys.argv[1], at=sys.argv[2])",
                obstacle,
                str(tmp_path / f"at{number}"),
            )
            time.sleep(chance.uniform(0.8, 3.0))
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(2.5)
        tend(seconds=30)
        tend(seconds=30)
    finally:
        del os.environ["OSTINATO_ALERT_COOLDOWN"]
    told = json.dumps(slack.posts)
    for record in records().runs(most=50):
        assert record.state == "failed"
        assert record.run_id in told
        first = [post for post in slack.roots if record.run_id in json.dumps(post)]
        assert sum("repeat" not in json.dumps(post) for post in first) <= 1


# --- cost ---------------------------------------------------------------------------------------------------------


def test_tending_loads_nothing_where_nothing_is_to_do(home: Path) -> None:
    """No database library, no Slack, no thread; also in a workspace that is not there yet."""
    code = (
        "import sys; from ostinato.engines.local_run import tend; before = set(sys.modules); tend()\n"
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('_')))"
    )
    for _ in range(2):
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert not any(name in said for name in ("sqlalchemy", "slack_sdk", "ostinato.steps"))
        run(stories.success)
    assert look(Workspace.here()) is not None
    assert threading.active_count() < 20


def test_a_look_at_older_broken_or_foreign_records_finds_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs them says what is wrong."""
    home.mkdir()
    file = home / "records.db"
    file.write_text("dear diary, " * 1000)
    tend()
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE ostinato_version (version INTEGER)")
        connection.execute("INSERT INTO ostinato_version VALUES (1)")
        connection.execute("CREATE TABLE ostinato_runs (run_id, engine, state, started, ended)")
        connection.execute("INSERT INTO ostinato_runs VALUES ('r', 'local', 'failed', 1, 9e12)")
    connection.close()
    found = look(Workspace.here())
    assert found is not None
    assert (found.running, found.untold, found.unsent) == ((), (), False)
    monkeypatch.setenv("OSTINATO_RECORDS", "postgresql+psycopg://ada@127.0.0.1:1/x")
    assert look(Workspace.here()) is None
    tend()

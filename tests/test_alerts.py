"""Alerts: what is told of a run, how often, and in which thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from alert_cases import (
    close_run,
    fail_step,
    open_run,
    promotion,
    records,
    succeed_step,
    texts,
    titles,
    validation,
)
from integrations.postgres_server import postgres_server
from ostinato import alerts
from ostinato.delivery import deliver
from ostinato.graph import pipeline
from ostinato.outbox import LEASE, this_process
from ostinato.workspace import Workspace

# --- one incident a run -------------------------------------------------------------------------------------------


def test_an_incident_says_what_failed_why_whose_it_is_and_what_to_do() -> None:
    """Cause, owner, as_of, engine, last good run, log and next command, in at most ten lines."""
    open_run("r0", started=1_772_000_000.0)
    close_run("r0", "succeeded")
    open_run("r1")
    fail_step("r1")
    assert alerts.failed(records(), "r1")
    (message,) = records().outbox.messages()
    assert message.body["title"] == "fraud failed at fit"
    assert message.body["text"] == ["No rows before 2026-03-01."]
    told = {word: value for line in message.body["lines"] for word, value in line}
    assert told == {
        "owner": "risk-ml",
        "as of": "2026-03-01",
        "engine": "local",
        "run": "r1",
        "last good run": "r0 (2026-02-25)",
        "log": "fit.log",
        "next": "ostinato run --resume r1",
    }
    assert 2 + len(message.body["lines"]) <= 10


def test_a_run_has_one_incident_however_often_its_failure_is_told() -> None:
    """Hooks of the task and of the run both call; the second finds it told."""
    open_run()
    fail_step()
    assert alerts.failed(records(), "r1")
    assert not alerts.failed(records(), "r1")
    close_run()
    for _ in range(2):
        alerts.ended(records(), "r1")
    assert titles() == ["fraud failed at fit"]


RACE = """
import sys, time
from ostinato import alerts
from ostinato.runner import records_of
records = records_of(sys.argv[1])
records.runs()
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
for run_id in sys.argv[4:]:
    getattr(alerts, sys.argv[3])(records, run_id)
"""


def race(hooks: list[str], *run_ids: str) -> None:
    """Call hooks in processes of their own, all at the same moment."""
    start = str(time.time() + 2.5)
    command = [sys.executable, "-c", RACE, os.environ["OSTINATO_HOME"], start]
    racers = [subprocess.Popen([*command, hook, *run_ids]) for hook in hooks]
    assert [racer.wait(timeout=60) for racer in racers] == [0] * len(hooks)


def test_racing_hooks_open_one_incident() -> None:
    """Of task and run level, in processes of their own, for twenty runs; one message each."""
    run_ids = [f"r{number}" for number in range(20)]
    for run_id in run_ids:
        open_run(run_id, pipeline=run_id)
        fail_step(run_id)
        close_run(run_id)
    race(["failed", "ended", "failed", "ended"], *run_ids)
    assert sorted(titles()) == sorted(f"{run_id} failed at fit" for run_id in run_ids)


def test_racing_runs_of_one_pipeline_that_fail_alike_share_one_thread() -> None:
    """Each sees the one that came before, even in the same moment."""
    run_ids = [f"r{number}" for number in range(12)]
    for run_id in run_ids:
        open_run(run_id)
        fail_step(run_id)
    race(["failed"] * 4, *run_ids)
    messages = records().outbox.messages()
    assert len(messages) == 12
    assert {message.thread for message in messages} == {messages[0].run_id}
    assert sorted(title.rpartition(": ")[2].split(" times")[0] for title in titles()[1:]) == sorted(
        str(number) for number in range(2, 13)
    )


SLOW_RACE = """
import sys, time
from ostinato.runner import records_of
def compose(earlier, count):
    time.sleep(0.3)
    return str(count), {"title": str(count)}
outbox = records_of(sys.argv[1]).outbox
outbox.open(sys.argv[2], "fraud", "fit: KeyError", compose, key=sys.argv[2], cooldown=60)
"""


def test_racing_incidents_of_one_pipeline_are_opened_one_after_the_other() -> None:
    """However long each takes: none is composed before the one ahead of it is written."""
    records().runs()
    command = [sys.executable, "-c", SLOW_RACE, os.environ["OSTINATO_HOME"]]
    racers = [subprocess.Popen([*command, run_id]) for run_id in "abcdef"]
    assert [racer.wait(timeout=60) for racer in racers] == [0] * 6
    assert titles() == list("123456")


def test_fifty_items_that_fail_are_one_message_and_one_update() -> None:
    """The first opens the incident; the end of the run counts them."""
    open_run(nodes="fit")
    for number in range(50):
        fail_step("r1", "fit", str(number))
        alerts.failed(records(), "r1", "fit", str(number))
    close_run()
    alerts.ended(records(), "r1")
    alerts.ended(records(), "r1")
    assert titles() == ["fraud failed at fit, item 1", "The run has ended: 50 failures"]
    assert records().outbox.messages()[1].body["text"] == ["fit (50 of 50 items): No rows before 2026-03-01."]


def test_the_incident_names_the_step_that_the_engine_says_has_failed() -> None:
    """Another one, failed for now and about to be tried again, is not it."""
    open_run(nodes="load fit")
    fail_step("r1", "load", ended=1.0)
    fail_step("r1", "fit")
    alerts.failed(records(), "r1", "fit")
    assert titles() == ["fraud failed at fit"]


def test_a_run_that_failed_between_its_steps_has_its_own_cause() -> None:
    """No step failed; the run's error is told."""
    open_run()
    close_run(error={"type": "UsageError", "message": "The worker cannot be started.", "transient": False})
    alerts.ended(records(), "r1")
    alerts.ended(records(), "r1")
    assert titles() == ["fraud failed"]
    assert records().outbox.messages()[0].body["text"] == ["The worker cannot be started."]


def test_a_killed_run_is_an_incident_at_the_step_that_ran() -> None:
    """And where something had failed before, the kill is an update of that."""
    killed = {"type": "StepLost", "message": "The process of the run was killed.", "transient": True}
    open_run("r1")
    records().write_step("r1", "fit", state="running", attempts=1, started=1.0)
    close_run("r1", error=killed)
    alerts.ended(records(), "r1")
    open_run("r2", pipeline="other")
    fail_step("r2")
    alerts.failed(records(), "r2")
    close_run("r2", error=killed)
    alerts.ended(records(), "r2")
    assert titles() == ["fraud failed at fit", "other failed at fit", "The run has ended at fit"]
    assert [message.body["text"][-1] for message in records().outbox.messages()] == [
        "The process of the run was killed.",
        "No rows before 2026-03-01.",
        "The process of the run was killed.",
    ]


# --- its thread ---------------------------------------------------------------------------------------------------


def test_resume_failure_and_recovery_are_updates_of_the_same_thread() -> None:
    """One thread from the first failure to the end of the trouble."""
    open_run()
    fail_step()
    alerts.failed(records(), "r1")
    close_run()
    alerts.ended(records(), "r1")
    for state in ("failed", "succeeded"):
        records().change_run("r1", state="running", error=None)
        alerts.resumed(records(), "r1")
        records().write_step("r1", "fit", state=state)
        close_run("r1", state)
        alerts.ended(records(), "r1")
        alerts.ended(records(), "r1")
    assert titles() == [
        "fraud failed at fit",
        "Resumed: what did not finish runs again",
        "Failed again at fit",
        "Resumed: what did not finish runs again",
        "Recovered: the run has succeeded",
    ]
    assert {message.thread for message in records().outbox.messages()} == {"r1"}


def test_updates_of_a_run_stand_where_its_failure_was_told() -> None:
    """Also where that is the thread of an earlier run."""
    for run_id in ("r1", "r2"):
        open_run(run_id)
        fail_step(run_id)
        alerts.failed(records(), run_id)
    alerts.resumed(records(), "r2")
    close_run("r2", "succeeded")
    alerts.ended(records(), "r2")
    assert titles("r2")[1:] == ["Resumed: what did not finish runs again", "Recovered: the run has succeeded"]
    assert {message.thread for message in records().outbox.messages()} == {"r1"}


def test_a_run_that_was_cancelled_is_no_incident_and_ends_one() -> None:
    """Whoever pressed Ctrl-C knows."""
    open_run("r1")
    close_run("r1", "cancelled")
    alerts.ended(records(), "r1")
    assert titles() == []
    open_run("r2")
    fail_step("r2")
    alerts.failed(records(), "r2")
    close_run("r2", "cancelled")
    alerts.ended(records(), "r2")
    assert titles() == ["fraud failed at fit", "The run was cancelled"]


def test_a_later_run_that_succeeds_ends_the_trouble_once() -> None:
    """The next good run of the pipeline is told in the thread; the one after it is not, nor is an earlier one."""
    open_run("r1", started=time.time() - 50)
    open_run("early", started=time.time() - 60)
    fail_step("r1")
    alerts.failed(records(), "r1")
    close_run("r1")
    for run_id in ("early", "r2", "r3"):
        if run_id != "early":
            open_run(run_id)
        close_run(run_id, "succeeded")
        alerts.ended(records(), run_id)
    assert titles() == ["fraud failed at fit", "Recovered: a later run of fraud has succeeded"]
    assert [message.run_id for message in records().outbox.messages()] == ["r1", "r2"]


def test_the_same_failure_within_the_cool_down_goes_to_the_same_thread_with_a_count() -> None:
    """Another step, another type of error, another pipeline is another incident."""
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("r1", {}, {}),
        ("r2", {}, {}),
        ("r3", {}, {}),
        ("r4", {}, {"step": "load"}),
        ("r5", {}, {"error": {"type": "KeyError", "message": "'x'", "transient": False}}),
        ("r6", {"pipeline": "other"}, {}),
    ]
    for run_id, run, step in cases:
        open_run(run_id, **run)
        fail_step(run_id, **step)
        alerts.failed(records(), run_id)
    threads = [message.thread for message in records().outbox.messages()]
    assert threads == ["r1", "r1", "r1", "r4", "r5", "r6"]
    assert [title.split(" since")[0] for title in titles()[:3]] == [
        "fraud failed at fit",
        "fraud failed at fit again: 2 times",
        "fraud failed at fit again: 3 times",
    ]


@pytest.mark.parametrize(("setting", "threads"), [("0", 2), ("0.2", 2), ("1h30m", 1), ("90", 1), ("soon", 1)])
def test_the_cool_down_is_a_setting(monkeypatch: pytest.MonkeyPatch, setting: str, threads: int) -> None:
    """Seconds or text like 90s; what is neither counts as none."""
    monkeypatch.setenv("OSTINATO_ALERT_COOLDOWN", setting)
    for run_id in ("r1", "r2"):
        open_run(run_id)
        fail_step(run_id)
        alerts.failed(records(), run_id)
        time.sleep(0.25)
    assert len({message.thread for message in records().outbox.messages()}) == threads


# --- news that is no failure --------------------------------------------------------------------------------------


def test_a_run_as_it_should_be_tells_nothing() -> None:
    """Nor does one whose candidate was rejected or unchanged, or not promoted."""
    for run_id, output in (("r1", None), ("r2", promotion(promoted=False)), ("r3", validation())):
        open_run(run_id)
        succeed_step(run_id, "fit", output)
        close_run(run_id, "succeeded")
        alerts.ended(records(), run_id)
    assert titles() == []


def test_a_promotion_is_told_once_and_quietly() -> None:
    """Who, what it replaced, where to read on."""
    open_run()
    succeed_step("r1", "fit", promotion())
    close_run("r1", "succeeded")
    for _ in range(2):
        alerts.ended(records(), "r1")
    (message,) = records().outbox.messages()
    assert (message.body["kind"], message.body["title"]) == ("note", "fraud: version 7 is the champion")
    told = {word: value for line in message.body["lines"] for word, value in line}
    assert (told["replaced"], told["by"], told["report"]) == ("version 6", "ada", "r1.html")


def test_warnings_stand_under_one_quiet_message() -> None:
    """Two of them are one line in the channel; what they are is in the thread."""
    open_run()
    succeed_step("r1", "load", validation("amount_mean: found 3, wanted 1 to 2", "late: 12 of 1,000 rows break it"))
    close_run("r1", "succeeded")
    for _ in range(2):
        alerts.ended(records(), "r1")
    root, reply = records().outbox.messages()
    assert (root.body["kind"], root.body["title"]) == ("note", "fraud: 2 warnings about the data")
    assert root.body["text"] == []
    assert reply.body["text"] == ["amount_mean: found 3, wanted 1 to 2", "late: 12 of 1,000 rows break it"]
    assert reply.thread == root.thread == "r1"


def test_promotion_and_warnings_of_a_run_share_its_thread() -> None:
    """Also where it failed later, or had failed before."""
    open_run("r1")
    succeed_step("r1", "load", [validation("odd: found 3"), promotion()])
    close_run("r1", "succeeded")
    alerts.ended(records(), "r1")
    assert titles() == ["fraud: version 7 is the champion", "1 warning about the data"]
    open_run("r2")
    succeed_step("r2", "load", [validation("odd: found 3"), promotion("8")])
    fail_step("r2", "fit")
    alerts.failed(records(), "r2", "fit")
    close_run("r2")
    alerts.ended(records(), "r2")
    assert titles("r2") == ["fraud failed at fit", "fraud: version 8 is the champion", "1 warning about the data"]
    assert len({message.thread for message in records().outbox.messages(run_id="r2")}) == 1


# --- the outbox ---------------------------------------------------------------------------------------------------


def test_an_incident_and_its_first_message_are_written_together() -> None:
    """Where the message cannot be, there is no incident either, and the next try opens it."""
    open_run()
    records().outbox.post("taken", "r0", "r0", {"title": "earlier"})
    assert not records().outbox.open("r1", "fraud", "fit: X", lambda *_: ("t", {}), key="taken")
    assert records().outbox.incident("r1") is None
    assert records().outbox.open("r1", "fraud", "fit: X", lambda *_: ("t", {}), key="free")


def test_one_delivery_at_a_time_has_a_thread_and_a_dead_one_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is held by a living process until it gives it back, dies, or lets it run out."""
    outbox = records().outbox
    outbox.open("r1", "fraud", "", lambda *_: ("t", {}), key="a")
    assert outbox.lease("r1", f"{this_process()}.a")
    assert not outbox.lease("r1", f"{this_process()}.b")
    outbox.release("r1", f"{this_process()}.b")
    assert not outbox.lease("r1", f"{this_process()}.b")
    outbox.release("r1", f"{this_process()}.a")
    node = this_process().rsplit(":", 2)[0]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    assert outbox.lease("r1", f"{node}:{dead.pid}:0000.a")
    assert outbox.lease("r1", f"elsewhere:{dead.pid}:0000.a")
    assert not outbox.lease("r1", f"{this_process()}.b")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE + 1)
    assert outbox.lease("r1", f"{this_process()}.b")


def test_the_pipelines_options_that_alerts_need_are_recorded_with_a_run() -> None:
    """Only where they say something."""

    @pipeline(owner="risk-ml", on_failure="slack:#ml")
    def one() -> None: ...

    @pipeline
    def another() -> None: ...

    assert alerts.addressed(one) == {"owner": "risk-ml", "on_failure": "slack:#ml"}
    assert alerts.addressed(another) == {}


def test_nothing_of_parameters_and_results_is_told(tmp_path: Path) -> None:
    """They may hold anything."""
    open_run(parameters={"source": "s3://bank/geheim", "note": "Ada Lovelace"})
    succeed_step("r1", "load", {"first": "Ada Lovelace"})
    fail_step()
    close_run()
    alerts.ended(records(), "r1")
    assert "Ada" not in texts()
    assert "geheim" not in texts()


@pytest.mark.slow
def test_a_teams_outbox_in_postgresql_is_no_different(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """One incident a run, racing ones in one thread, delivered in order by whoever holds the lease."""
    with postgres_server() as url:
        monkeypatch.setenv("OSTINATO_RECORDS", url)
        monkeypatch.setenv("OSTINATO_ALERTS", "file")
        try:
            for run_id in ("r1", "r2"):
                open_run(run_id)
                fail_step(run_id)
            race(["failed", "failed"], "r1", "r2")
            close_run("r1", "succeeded")
            alerts.ended(records(), "r1")
            assert deliver(records(), Workspace.here()) == 3
            told = [json.loads(line) for line in (home / "alerts.jsonl").read_text().splitlines()]
            assert [line["title"].split(":")[0] for line in told] == [
                "fraud failed at fit",
                "fraud failed at fit again",
                "Recovered",
            ]
            command = [sys.executable, "-c", SLOW_RACE, str(home)]
            racers = [subprocess.Popen([*command, run_id]) for run_id in "abc"]
            assert [racer.wait(timeout=60) for racer in racers] == [0] * 3
            assert titles()[3:] == list("123")
        finally:
            records().close()

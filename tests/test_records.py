"""Records: what happened, written by many processes at once and read by every view."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigurationError, DataError, Unavailable, UnknownName
from ostinato.records import SCHEMA_VERSION, Records, RunRecord, StepRecord, describe_error, sentence

HOSTILE = [
    "'; DROP TABLE ostinato_runs; --",
    '"',
    "%",
    "_",
    "\\",
    "größe 金額 🙂",
    "<script>",
    "\0",
    "\ud800",
    "a\nb",
    "",
]
RUN = RunRecord(
    run_id="20260301-000000-aaaaaa",
    pipeline="fraud",
    engine="local",
    state="running",
    as_of="2026-03-01T00:00:00+00:00",
    started=1000.0,
    ended=None,
    parameters={"source": "s"},
    graph={"pipeline": "fraud", "nodes": []},
    path="m:fraud",
    tags={"code": "git:1"},
    report=None,
    error=None,
)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(f"sqlite:///{tmp_path}/records.db")
    yield made
    made.close()


# --- runs ---------------------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(records: Records) -> None:
    """Every field."""
    records.open_run(RUN)
    assert records.run(RUN.run_id) == RUN
    assert records.run(RUN.run_id).moment == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_run_is_opened_and_closed(records: Records) -> None:
    """Its end is written with its state."""
    records.open_run(RUN)
    records.close_run(RUN.run_id, "succeeded", report="r.html")
    ended = records.run(RUN.run_id)
    assert (ended.state, ended.report) == ("succeeded", "r.html")
    assert ended.ended is not None
    assert ended.seconds == ended.ended - RUN.started


def test_a_run_opened_again_is_running_with_its_first_start(records: Records) -> None:
    """A resumed run is the same run; what it was made of when it began stays on record."""
    records.open_run(RUN)
    records.close_run(RUN.run_id, "failed", error={"type": "StepLost", "message": "x"})
    records.open_run(replace(RUN, started=2000.0, tags={"code": "git:2"}))
    again = records.run(RUN.run_id)
    assert (again.state, again.ended, again.error) == ("running", None, None)
    assert (again.started, again.tags) == (1000.0, {"code": "git:1"})


def test_racing_to_open_a_run_wakes_none_that_has_ended(records: Records) -> None:
    """Who looked before another process opened the run may write after a third has closed it."""
    assert records.open_once(RUN) == RUN
    records.close_run(RUN.run_id, "failed", error={"type": "StepLost", "message": "x"})
    late = records.open_once(replace(RUN, started=2000.0, tags={"code": "git:2"}))
    assert (late.state, late.started, late.tags) == ("failed", 1000.0, {"code": "git:1"})
    assert late.error == {"type": "StepLost", "message": "x"}
    assert records.run(RUN.run_id) == late


@pytest.mark.parametrize(("state", "left"), [("failed", "failed"), ("cancelled", "cancelled")])
def test_what_still_counted_as_running_ends_with_its_run(records: Records, state: str, left: str) -> None:
    """A killed step runs no hook of its own; what had ended stays as it was."""
    records.open_run(RUN)
    for step in ("running", "retrying", "waiting", "succeeded", "skipped"):
        records.write_step(RUN.run_id, step, state=step, attempts=1, started=1.0)
    records.write_step("another-run", "running", state="running", attempts=1)
    records.close_run(RUN.run_id, state)
    states = {step.step: step.state for step in records.steps(RUN.run_id)}
    assert states == {
        "running": left,
        "retrying": left,
        "waiting": left,
        "succeeded": "succeeded",
        "skipped": "skipped",
    }
    assert records.steps("another-run")[0].state == "running"


def test_a_run_is_found_by_the_beginning_of_its_id(records: Records) -> None:
    """As with git; a whole id wins over longer ones."""
    for run_id in ("ab", "abc", "abcd", "b%c", "b_c"):
        records.open_run(replace(RUN, run_id=run_id))
    assert records.run("ab").run_id == "ab"
    assert records.run("abc").run_id == "abc"
    assert records.run("abcd").run_id == "abcd"
    assert records.run("b%").run_id == "b%c"


@pytest.mark.parametrize("asked", ["a", "", "x", "%", "abce"])
def test_an_ambiguous_or_unknown_beginning_gets_the_latest_runs(records: Records, asked: str) -> None:
    """Nothing is guessed."""
    for run_id in ("ab1", "ab2"):
        records.open_run(replace(RUN, run_id=run_id))
    with pytest.raises(UnknownName, match=rf"Unknown run '{asked}'.*Valid: 'ab1', 'ab2'"):
        records.run(asked)


def test_runs_come_newest_first(records: Records) -> None:
    """Of one pipeline or of all, at most so many."""
    for number in range(5):
        made = replace(RUN, run_id=f"r{number}", started=float(number), pipeline=f"p{number % 2}")
        records.open_run(made)
    assert [run.run_id for run in records.runs(most=3)] == ["r4", "r3", "r2"]
    assert [run.run_id for run in records.runs("p1")] == ["r3", "r1"]


# --- steps --------------------------------------------------------------------------------------------------------


def test_a_step_keeps_what_is_not_written_again(records: Records) -> None:
    """An end does not forget the start."""
    records.write_step("r", "train", state="running", attempts=2, started=5.0, inputs={"rate": 0.1}, log="x.log")
    records.write_step("r", "train", state="succeeded", ended=7.5, output=[1], cpu_seconds=2.0, peak_bytes=10)
    assert records.step("r", "train") == StepRecord(
        "train", "", "succeeded", 2, 5.0, 7.5, 2.0, 10, {"rate": 0.1}, [1], None, "x.log"
    )
    assert records.steps("r")[0].seconds == 2.5


def test_every_item_of_a_mapped_step_has_a_record(records: Records) -> None:
    """Told apart by the map key."""
    for key in ("0", "1"):
        records.write_step("r", "fit", key, state="succeeded", output=int(key))
    assert [(step.map_key, step.output) for step in records.steps("r")] == [("0", 0), ("1", 1)]
    found = records.step("r", "fit", "1")
    assert found is not None
    assert found.output == 1
    assert records.step("r", "fit") is None


def test_a_result_of_none_is_a_result(records: Records) -> None:
    """JSON null, not a missing value."""
    records.write_step("r", "note", state="succeeded", output=None)
    (step,) = records.steps("r")
    assert step.output is None
    assert step.seconds is None


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_stored_verbatim(records: Records, value: str) -> None:
    """Parameters, results, errors and claims are data, never SQL."""
    document = {"text": value, value: [value]}
    records.open_run(replace(RUN, parameters=document))
    records.write_step(RUN.run_id, "note", state="failed", output=document, error={"message": value})
    assert records.run(RUN.run_id).parameters == document
    assert records.steps(RUN.run_id)[0].output == document
    assert records.steps(RUN.run_id)[0].error == {"message": value}
    if "\ud800" not in value:
        assert records.claim(f"k{value}", by=value)
        assert not records.claim(f"k{value}", by="another")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_json_is_read_as_it_was_written(records: Records, value: Any) -> None:
    """Whatever a step gives."""
    records.write_step("r", "note", state="succeeded", output=value)
    assert records.steps("r")[0].output == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_json_is_refused(records: Records, value: float) -> None:
    """It would be unreadable elsewhere."""
    with pytest.raises(sa.exc.StatementError, match="not JSON compliant"):
        records.write_step("r", "note", state="succeeded", output={"auc": value})
    assert records.steps("r") == []


# --- claims -------------------------------------------------------------------------------------------------------


def test_the_first_claim_wins(records: Records) -> None:
    """And keeps winning."""
    assert records.claim("incident/r1", by="task hook")
    assert not records.claim("incident/r1", by="run hook")
    assert records.claim("incident/r2", by="run hook")


RACE = """
import os, sys, time
import sqlalchemy.dialects.sqlite
from ostinato.records import Records

def race(url, start):
    time.sleep(max(0.0, start - time.time()))
    return 10 if Records(url).claim("incident/r1", by=str(os.getpid())) else 11

for round_ in range(5):
    start, racers = time.time() + 0.1, []
    for _ in range(12):
        racer = os.fork()
        if racer == 0:
            code = 1
            try:
                code = race(f"sqlite:///{sys.argv[1]}/{round_}.db", start)
            finally:
                os._exit(code)
        racers.append(racer)
    print(*sorted(os.waitstatus_to_exitcode(os.waitpid(racer, 0)[1]) for racer in racers))
"""


def test_racing_processes_make_one_schema_and_one_claim(tmp_path: Path) -> None:
    """Twelve start at once on a file that is not there yet: all of them work, exactly one wins; five times."""
    said = subprocess.check_output([sys.executable, "-c", RACE, str(tmp_path)], text=True)
    assert said.splitlines() == [" ".join(["10", *["11"] * 11])] * 5


def test_racing_with_a_writer_on_a_fresh_file_waits_for_it(tmp_path: Path) -> None:
    """SQLite does not wait by itself for the one lock that makes readers and writers live side by side."""
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE of_another (a)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO of_another VALUES (1)")
    done = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    done.start()
    made = Records(f"sqlite:///{tmp_path}/records.db")
    assert made.claim("incident/r1", by="me")
    made.close()
    done.join()
    other.close()


def test_racing_writers_of_steps_lose_nothing(tmp_path: Path) -> None:
    """Writers wait for one another; a reader sees every row."""
    code = """
import sys
from ostinato.records import Records
records = Records(sys.argv[1])
for number in range(20):
    records.write_step("r", sys.argv[2], str(number), state="running", attempts=1)
    records.write_step("r", sys.argv[2], str(number), state="succeeded", output=number)
"""
    url = f"sqlite:///{tmp_path}/records.db"
    writers = [subprocess.Popen([sys.executable, "-c", code, url, name]) for name in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    made = Records(url)
    assert sum(step.state == "succeeded" for step in made.steps("r")) == 80
    made.close()


# --- the database -------------------------------------------------------------------------------------------------


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    """Making the object touches no file, and closing it twice is fine."""
    made = Records(f"sqlite:///{tmp_path}/records.db")
    made.close()
    assert list(tmp_path.iterdir()) == []
    assert made.runs() == []
    made.close()
    made.close()
    assert made.runs() == []
    made.close()


def test_records_of_a_newer_version_are_refused(tmp_path: Path, records: Records) -> None:
    """Nothing is written into what this version does not understand."""
    records.runs()
    records.close()
    with sqlite3.connect(tmp_path / "records.db") as connection:
        connection.execute("UPDATE ostinato_version SET version = ?", (SCHEMA_VERSION + 1,))
    connection.close()
    message = (
        rf"written by a newer ostinato \(schema {SCHEMA_VERSION + 1}, this one reads {SCHEMA_VERSION}\). Upgrade: pip"
    )
    with pytest.raises(ConfigurationError, match=message):
        records.runs()


OLDER = """
CREATE TABLE ostinato_version (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO ostinato_version VALUES (1);
CREATE TABLE ostinato_runs (run_id VARCHAR(100) NOT NULL PRIMARY KEY, pipeline TEXT NOT NULL, engine TEXT NOT NULL,
  state TEXT NOT NULL, as_of TEXT, started FLOAT NOT NULL, ended FLOAT, parameters JSON NOT NULL, graph JSON NOT NULL,
  path TEXT NOT NULL, tags JSON NOT NULL, report TEXT, error JSON);
INSERT INTO ostinato_runs
  VALUES ('r1', 'fraud', 'local', 'succeeded', NULL, 1.0, 2.0, '{}', '{}', 'm:f', '{}', NULL, 'null');
"""


def test_racing_upgrades_of_older_records_keep_what_they_hold(tmp_path: Path) -> None:
    """Eight processes open a database of the first version at once: all of them work, and it is one of this version."""
    with sqlite3.connect(tmp_path / "records.db") as connection:
        connection.executescript(OLDER)
    connection.close()
    code = """
import sys
from ostinato.records import Records
records = Records(sys.argv[1])
assert records.run("r1").state == "succeeded"
records.outbox.open(sys.argv[2], "fraud", "fit: KeyError", lambda *_: ("t", {}), key=sys.argv[2], cooldown=60)
"""
    url = f"sqlite:///{tmp_path}/records.db"
    racers = [subprocess.Popen([sys.executable, "-c", code, url, name]) for name in "abcdefgh"]
    assert [racer.wait() for racer in racers] == [0] * 8
    made = Records(url)
    messages = made.outbox.messages()
    assert sorted(message.run_id for message in messages) == list("abcdefgh")
    assert len({message.thread for message in messages}) == 1
    made.close()
    with sqlite3.connect(tmp_path / "records.db") as connection:
        assert connection.execute("SELECT version FROM ostinato_version").fetchall() == [(SCHEMA_VERSION,)]
    connection.close()


def test_records_of_a_newer_version_get_no_table_of_ours(tmp_path: Path) -> None:
    """They are refused before anything is written."""
    with sqlite3.connect(tmp_path / "records.db") as connection:
        connection.execute("CREATE TABLE ostinato_version (version INTEGER NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO ostinato_version VALUES (?)", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(ConfigurationError, match="written by a newer ostinato"):
        Records(f"sqlite:///{tmp_path}/records.db").runs()
    with sqlite3.connect(tmp_path / "records.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [
            ("ostinato_version",)
        ]
    connection.close()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    """And stays as it is."""
    file = tmp_path / "records.db"
    file.write_text("dear diary, " * 1000)
    with pytest.raises(ConfigurationError, match=r"records.db are not a database of ours: file is not a database"):
        Records(f"sqlite:///{file}").runs()
    assert file.read_text() == "dear diary, " * 1000


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """It may be there in a moment; its password is not shown."""
    with pytest.raises(Unavailable, match=r"records at sqlite:///.*cannot be opened"):
        Records(f"sqlite:///{tmp_path}/no/records.db").runs()
    with pytest.raises(Unavailable, match=r"postgresql\+psycopg://ada:\*\*\*@127.0.0.1:1/x cannot be opened") as caught:
        Records("postgresql+psycopg://ada:lovelace@127.0.0.1:1/x").runs()
    assert "lovelace" not in str(caught.value)


@pytest.mark.parametrize("url", ["records", "oracle+nothing://x", "postgresql+nothing://ada@x/y"])
def test_a_url_that_is_none_is_a_configuration_error(url: str) -> None:
    """Named by its variable."""
    with pytest.raises(ConfigurationError, match="OSTINATO_RECORDS is not a database URL that works here"):
        Records(url).runs()


# --- errors -------------------------------------------------------------------------------------------------------


def test_an_error_is_recorded_with_type_message_and_place() -> None:
    """Ours by short name, others by full name; whether a retry may help is decided here."""
    try:
        raise Unavailable("busy")
    except Unavailable as error:
        described = describe_error(error)
    assert (described["type"], described["message"], described["transient"]) == ("Unavailable", "busy", True)
    assert described["where"].startswith(f"{__file__}:")
    assert describe_error(ValueError("x"))["type"] == "ValueError"
    assert describe_error(sa.exc.ArgumentError("x"))["type"] == "sqlalchemy.exc.ArgumentError"
    assert describe_error(KeyError())["where"] is None
    assert len(describe_error(ValueError("x" * 9999))["message"]) == 4000


def test_an_error_reads_as_a_sentence() -> None:
    """Ours explain themselves; others need their type's name."""
    assert sentence(describe_error(DataError("no rows"))) == "no rows"
    assert sentence(describe_error(KeyError("x"))) == "KeyError: 'x'"
    assert sentence(describe_error(sa.exc.ArgumentError("odd"))) == "ArgumentError: odd"

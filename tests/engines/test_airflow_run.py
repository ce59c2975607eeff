"""A DAG run as one run of ours: its name, the moment it stands for, its parameters, whoever comes first."""

from __future__ import annotations

import json
import multiprocessing
import re
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
)
from airflow.serialization.serialized_objects import DagSerialization

from engines.test_airflow_dag import Group, formed
from integrations.postgres_server import postgres_server
from ostinato import alerts
from ostinato.engines.airflow_dag import to_dag
from ostinato.engines.airflow_run import _parameters, moment_of, opened, record_id, records_here, workspace_here
from ostinato.errors import ParameterError
from ostinato.pipelines.fraud_detection import fraud_detection
from ostinato.records import Records
from ostinato.workspace import Workspace

pytestmark = pytest.mark.airflow

DAY = datetime(2026, 11, 22, tzinfo=UTC)
NOON = DAY.replace(hour=12, minute=30)


def context(schedule: Any = None, *, events: Any = None, **run: Any) -> dict[str, Any]:
    """What Airflow hands a task, as far as it is read."""
    known = {
        "dag_id": "fraud",
        "run_id": "manual__2026-11-22",
        "conf": {},
        "run_type": "manual",
        "run_after": NOON,
        "data_interval_start": None,
        "data_interval_end": None,
        "triggering_user_name": None,
    }
    dag = SimpleNamespace(dag_id="fraud", owner="risk-ml", tasks=[], schedule=schedule)
    found = {"dag_run": SimpleNamespace(**{**known, **run}), "dag": dag}
    return found if events is None else {**found, "triggering_asset_events": events}


# --- names ------------------------------------------------------------------------------------------------------------


@hypothesis.given(st.text(min_size=1, max_size=250), st.text(min_size=1, max_size=250))
def test_the_name_of_a_run_is_safe_and_short(dag_id: str, run_id: str) -> None:
    """As a folder, in a URL, as a key of the records."""
    name = record_id(dag_id, run_id)
    assert len(name) <= 100
    assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    assert name[0] != "."
    assert record_id(dag_id, run_id) == name


@hypothesis.given(st.lists(st.tuples(st.text("ab_./-:ü"), st.text("ab_./-:ü")), unique=True, max_size=20))
def test_two_runs_never_share_a_name(runs: list[tuple[str, str]]) -> None:
    """However alike they are once they are made safe."""
    assert len({record_id(*run).casefold() for run in runs}) == len(runs)


def test_the_name_of_a_run_reads_as_airflows() -> None:
    """DAG first, then what Airflow calls the run."""
    name = record_id("fraud_detection", "scheduled__2026-03-01T00:00:00+00:00")
    assert re.fullmatch(r"fraud_detection\.scheduled-2026-03-01T00-00-00-00-00-[0-9a-f]{10}", name)


# --- the moment -------------------------------------------------------------------------------------------------------

WIDE = {"data_interval_start": DAY - timedelta(days=1), "data_interval_end": DAY}
NARROW = {"data_interval_start": DAY + timedelta(hours=6), "data_interval_end": DAY + timedelta(hours=6)}
SIX = DAY.replace(hour=6)
INTERVALS = CronDataIntervalTimetable("@daily", timezone="UTC")
EVENT = SimpleNamespace(extra={"as_of": "2026-11-20"})
LATER = SimpleNamespace(extra={"as_of": "2026-11-21T06:00:00+02:00"})
SILENT = SimpleNamespace(extra={})

MOMENTS: dict[str, tuple[dict[str, Any], datetime]] = {
    "an interval of a day": (context(INTERVALS, run_type="scheduled", **WIDE), DAY),
    "a backfill of it": (context(INTERVALS, run_type="backfill", run_after=DAY + timedelta(days=90), **WIDE), DAY),
    "a run by hand of it, with a date": (context(INTERVALS, **WIDE), DAY),
    "the bare text, whose interval has no width": (context("0 6 * * *", run_type="scheduled", **NARROW), SIX),
    "a tick": (context(CronTriggerTimetable("0 6 * * *", timezone="UTC"), run_type="scheduled", **NARROW), SIX),
    "a span": (context(DeltaDataIntervalTimetable(timedelta(days=1)), run_type="scheduled", **WIDE), DAY),
    "a span as such": (context(timedelta(days=1), run_type="scheduled", **NARROW), SIX),
    "the clock of a schedule that waits for data, too": (
        context(
            AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 6 * * *", timezone="UTC"), assets=[Asset("a")]),
            run_type="scheduled",
            **NARROW,
        ),
        SIX,
    ),
    "by hand without a date": (context(INTERVALS), DAY),
    "by hand with a date, without a schedule": (context(None, **NARROW), DAY),
    "new data that says nothing": (context([Asset("a")], run_type="asset_triggered", events={"a": [SILENT]}), DAY),
    "new data that says which": (
        context([Asset("a")], run_type="asset_triggered", events={"a": [SILENT, EVENT]}),
        datetime(2026, 11, 20, tzinfo=UTC),
    ),
    "much new data": (
        context([Asset("a")], run_type="asset_triggered", events={"a": [EVENT], "b": [LATER]}),
        datetime(2026, 11, 21, 4, tzinfo=UTC),
    ),
    "new data that says it as a number": (
        context(run_type="asset_triggered", events={"a": [SimpleNamespace(extra={"as_of": 20261120})]}),
        datetime(2026, 11, 20, tzinfo=UTC),
    ),
    "a date in the form": (
        context(INTERVALS, run_type="scheduled", conf={"as_of": "2026-01-02"}, **WIDE),
        datetime(2026, 1, 2, tzinfo=UTC),
    ),
    "a time in the form, against new data": (
        context(conf={"as_of": "2026-01-02T03:00:00-01:00"}, events={"a": [EVENT]}),
        datetime(2026, 1, 2, 4, tzinfo=UTC),
    ),
    "an empty field of the form": (context(INTERVALS, run_type="scheduled", conf={"as_of": None}, **WIDE), DAY),
    "no form at all": (context(INTERVALS, run_type="scheduled", conf=None, **WIDE), DAY),
    "a clock elsewhere": (
        context(
            INTERVALS,
            run_type="scheduled",
            data_interval_start=datetime.fromisoformat("2026-11-21T00:00+01:00"),
            data_interval_end=datetime.fromisoformat("2026-11-22T00:00+01:00"),
        ),
        datetime(2026, 11, 21, 23, tzinfo=UTC),
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_run_stands_for_one_moment_however_it_was_started(name: str) -> None:
    """What was said; else the end of its interval; else what the new data says; else its tick; else its day."""
    given, moment = MOMENTS[name]
    found = moment_of(given)
    assert found == moment
    assert found.utcoffset() == timedelta(0)


# --- the record -------------------------------------------------------------------------------------------------------

FRAUD = {"source": "s3://bank/tx"}


def test_the_first_task_opens_the_record() -> None:
    """With all that a person looks for: parameters, moment, Airflow's names and page, who started it."""
    record = opened(
        context(triggering_user_name="ada", conf={"test_days": 3, "as_of": "2026-03-01"}), fraud_detection.path, FRAUD
    )
    assert (record.run_id, record.pipeline) == (record_id("fraud", "manual__2026-11-22"), "fraud_detection")
    assert (record.engine, record.state, record.as_of) == ("airflow", "running", "2026-03-01T00:00:00+00:00")
    assert (record.parameters["source"], record.parameters["test_days"]) == ("s3://bank/tx", 3)
    assert "as_of" not in record.parameters
    assert record.graph == fraud_detection.graph.to_json()
    tags = record.tags
    assert (tags["dag_id"], tags["dag_run_id"], tags["triggered_by"]) == ("fraud", "manual__2026-11-22", "ada")
    assert tags["page"] == "http://localhost:8080/dags/fraud/runs/manual__2026-11-22"
    assert "backfill" not in tags


def test_the_next_task_finds_it(home: Path) -> None:
    """And what it finds is the same, whatever has become of the form since."""
    first = opened(context(), fraud_detection.path, FRAUD)
    second = opened(context(conf={"test_days": 1}, run_after=NOON + timedelta(days=1)), fraud_detection.path, FRAUD)
    assert second == first
    assert len(records_here().runs()) == 1


def test_a_backfill_is_known_as_one() -> None:
    """It never promotes, and that is read from the run's tags."""
    record = opened(context(INTERVALS, run_type="backfill", **WIDE), fraud_detection.path, FRAUD)
    assert record.tags["backfill"] == "true"


def test_a_dag_written_by_hand_has_a_record_too() -> None:
    """Of the tasks that are ours, with its owner; whatever its form says are the parameters."""
    given = context(conf={"anything": [1], "as_of": "2026-01-01"})
    given["dag"].tasks = [
        SimpleNamespace(task_id="load", function="ostinato.steps.data:load"),
        SimpleNamespace(task_id="theirs"),
    ]
    record = opened(given, None, {})
    assert (record.pipeline, record.path, record.parameters) == ("fraud", "", {"anything": [1]})
    assert [node["name"] for node in record.graph["nodes"]] == ["load"]
    assert (record.tags["owner"], record.as_of) == ("risk-ml", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"as_of": "soon"}, "'soon' is no date"),
        ({"as_of": 7}, "'7' is no date"),
        ({"test_days": "many"}, "test_days='many' is refused"),
        ({"tset_days": 3}, "Did you mean 'test_days'"),
        ({"columns": {"tiem": "ts"}}, r"has no parameter 'columns\.tiem'"),
    ],
)
def test_a_run_with_a_wrong_form_fails_with_a_sentence_and_has_a_record(conf: dict[str, Any], message: str) -> None:
    """Else nobody could be told of it: it stands for its day, and holds what it was given."""
    with pytest.raises(ParameterError, match=message):
        opened(context(conf=conf), fraud_detection.path, FRAUD)
    (record,) = records_here().runs()
    assert (record.state, record.as_of) == ("running", DAY.isoformat())
    with pytest.raises(ParameterError, match=message):
        opened(context(conf=conf), fraud_detection.path, FRAUD)


def test_a_wrong_moment_in_an_event_fails_the_run_with_a_sentence() -> None:
    """Whoever wrote the event hears of it."""
    events = {"a": [SimpleNamespace(extra={"as_of": "yesterday"})]}
    with pytest.raises(ParameterError, match="'yesterday' is no date"):
        opened(context(events=events), fraud_detection.path, FRAUD)
    assert len(records_here().runs()) == 1


GIVEN: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {"count": None, "day": "2026-05-01"}, {"count": None, "day": "2026-05-01"}),
    ({"count": 4}, {"count": None}, {"count": None}),
    ({"count": 4}, {"count": "5"}, {"count": 5}),
    ({"labels": ["a"]}, {"labels": []}, {"labels": []}),
    ({}, {"on": "false", "share": "0.25", "labels": "a, b"}, {"on": False, "share": 0.25, "labels": ["a", "b"]}),
    ({"group.time": "a"}, {"group": {"time": "b"}}, {"group": {"time": "b", "inner": {"depth": 1, "names": ["a"]}}}),
    ({"group": {"time": "a"}}, {"group.time": "b"}, {"group": {"time": "b", "inner": {"depth": 1, "names": ["a"]}}}),
    (
        {"group": Group(time="a")},
        {"group": {"inner": {"depth": 2}}},
        {"group": {"time": "a", "inner": {"depth": 2, "names": ["a"]}}},
    ),
    (
        {"group.inner": {"depth": 3}},
        {"group.inner.names": ["z"]},
        {"group": {"time": "ts", "inner": {"depth": 3, "names": ["z"]}}},
    ),
    ({"day": date(2026, 2, 1)}, {}, {"day": "2026-02-01"}),
    ({"options": {"a": 1.0}}, {"options": {"b": 2.0}}, {"options": {"b": 2.0}}),
]


@pytest.mark.parametrize(("given", "conf", "expected"), GIVEN, ids=str)
def test_what_a_run_is_started_with_wins_over_the_dag_file(
    given: dict[str, Any], conf: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Member by member of a group, however either is written; None is a value."""
    record = opened(context(conf={"source": "s", **conf}), formed.path, given)
    assert {name: record.parameters[name] for name in expected} == expected


NASTY = st.text() | st.sampled_from(["{{ 1/0 }}", "{% raw %}", "'\"\n\t\\", "None", "null", "1", "[1]", "ü\u2028"])


def test_a_password_in_an_address_is_in_no_form_and_in_the_step_all_the_same() -> None:
    """The form shows the address without it, and what comes back from the form means the whole."""
    url = "postgresql://ada:tiefgeheim@db/bank"
    dag = to_dag(fraud_detection, source=url)
    field = dag.params.get_param("source").value
    assert field == "postgresql://***@db/bank"
    assert "tiefgeheim" not in json.dumps(DagSerialization.to_dict(dag), default=str)
    for conf in ({}, {"source": field}):
        assert _parameters(SimpleNamespace(conf=conf), fraud_detection, {"source": url})[0]["source"] == url
    other = _parameters(SimpleNamespace(conf={"source": "tx/"}), fraud_detection, {"source": url})[0]
    assert other["source"] == "tx/"


@hypothesis.given(source=NASTY, time=NASTY, labels=st.lists(NASTY))
def test_text_is_what_it_was(source: str, time: str, labels: list[str]) -> None:
    """Through the form's JSON into the record, in groups and lists, templates and numbers in it included."""
    conf = json.loads(json.dumps({"source": source, "group.time": time, "labels": labels}))
    values, wrong = _parameters(SimpleNamespace(conf=conf), formed, {})
    assert wrong is None
    assert (values["source"], values["group"]["time"], values["labels"]) == (source, time, labels)


# --- more than one at once --------------------------------------------------------------------------------------------


def _open(barrier: Any, queue: Any) -> None:
    barrier.wait()
    record = opened(context(), fraud_detection.path, FRAUD)
    queue.put((record.run_id, record.as_of, record.started))


def test_tasks_that_start_together_open_one_record(home: Path) -> None:
    """Each in a process of its own, into a workspace that does not exist yet; all see the same."""
    forked = multiprocessing.get_context("fork")  # as Airflow's own tasks
    barrier, queue = forked.Barrier(5), forked.Queue()
    tasks = [forked.Process(target=_open, args=(barrier, queue)) for _ in range(5)]
    for task in tasks:
        task.start()
    said = {queue.get(timeout=60) for _ in tasks}
    for task in tasks:
        task.join()
    assert len(said) == 1
    assert len(records_here().runs()) == 1


def test_tasks_that_start_together_open_one_record_in_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two inserts can pass one another; the slower one finds the record of the faster."""
    pytest.importorskip("psycopg")
    with postgres_server() as url:
        monkeypatch.setenv("OSTINATO_RECORDS", url)
        records_here().runs()
        try:
            for round_ in range(10):
                said = together(lambda: opened(context(run_id=f"r{round_}"), fraud_detection.path, FRAUD).run_id)  # noqa: B023
                assert said == [record_id("fraud", f"r{round_}")] * 5
        finally:
            records_here().close()


def together(call: Any, times: int = 5) -> list[Any]:
    """What threads get or raise that call at once."""
    barrier, found = threading.Barrier(times), []

    def go() -> None:
        barrier.wait()
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=go) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def failed_run(records: Records) -> str:
    run = opened(context(), fraud_detection.path, FRAUD)
    records.write_step(run.run_id, "load", state="failed", error={"type": "DataError", "message": "no rows"})
    records.close_run(run.run_id, "failed")
    alerts.failed(records, run.run_id, "load")
    return run.run_id


def test_a_run_whose_tasks_were_cleared_goes_on_and_says_so_once(home: Path) -> None:
    """However many of its tasks start together; and again the next time."""
    workspace_here()
    records = records_here()
    run_id = failed_run(records)
    for times in (1, 2):
        together(lambda: opened(context(), fraud_detection.path, FRAUD))
        assert records.run(run_id).state == "running"
        titles = [message.body["title"] for message in records.outbox.messages(run_id=run_id)]
        assert sum(title.startswith("Resumed") for title in titles) == times
        records.close_run(run_id, "failed")


def test_a_hook_does_not_open_again_what_has_ended(home: Path) -> None:
    """The report and the run's own hook come last."""
    workspace_here()
    run_id = failed_run(records_here())
    assert opened(context(), fraud_detection.path, FRAUD, reopen=False).state == "failed"
    assert records_here().run(run_id).state == "failed"


# --- where it lies ----------------------------------------------------------------------------------------------------


def test_the_workspace_is_the_one_that_is_named_else_lies_beside_airflow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never below the current folder: each process of Airflow has another."""
    assert workspace_here() == Workspace.here()
    monkeypatch.delenv("OSTINATO_HOME")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    assert workspace_here().home == str(tmp_path / "airflow" / "ostinato")
    records_here()
    assert Path(workspace_here().home).is_dir()
    monkeypatch.setenv("OSTINATO_HOME", "s3://bank/ostinato")
    assert workspace_here().home == "s3://bank/ostinato"

"""The Airflow that tests run: it runs what it is given, says what went wrong, and goes without a trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from engines.airflow_server import Refused, Server, airflow_server

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

GREETING = """
from airflow.sdk import dag, task

@dag(schedule=None, params={"name": "you"})
def greeting():
    @task
    def greet(params):
        print("hello", params["name"])
        return params["name"]

    @task
    def count(name: str, times: int):
        return len(name) * times

    count.partial(name=greet()).expand(times=[1, 2])

greeting()
"""
TROUBLE = """
from airflow.sdk import dag, task

@dag(schedule=None)
def trouble():
    @task
    def fall():
        raise ValueError("the floor is wet")

    @task
    def follow(_):
        pass

    follow(fall())

trouble()
"""
ASK = """
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG

with DAG("ask", schedule=None):
    HITLOperator(task_id="ask", subject="Shall we?", options=["Approve", "Reject"], params={"why": ""})
"""
DAILY = """
from airflow.sdk import CronDataIntervalTimetable, dag, task

@dag(schedule=CronDataIntervalTimetable("@daily", timezone="UTC"))
def daily():
    @task
    def tell(data_interval_end=None):
        return data_interval_end.date().isoformat()

    tell()

daily()
"""
SLEEP = """
import time
from airflow.sdk import dag, task

@dag(schedule=None)
def sleep():
    @task(task_id="sleep")
    def wait():
        time.sleep(600)

    wait()

sleep()
"""


DAGS = {"greeting": GREETING, "trouble": TROUBLE, "ask": ASK, "daily": DAILY, "sleep": SLEEP}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    dags = tmp_path_factory.mktemp("dags")
    for name, text in {**DAGS, "broken": "from airflow.sdk import dag\n\nnonsense\n"}.items():
        (dags / f"{name}.py").write_text(text)
    with airflow_server(tmp_path_factory.mktemp("airflow"), dags=dags) as server:
        yield server


def test_a_run_succeeds_and_can_be_read(server: Server) -> None:
    """States, outputs and logs come through the API, those of mapped tasks too."""
    run_id = server.trigger("greeting", conf={"name": "Ada"})
    assert server.wait_for("greeting", run_id) == "success"
    assert server.states("greeting", run_id) == {"greet": "success", "count": "success"}
    assert server.output("greeting", run_id, "greet") == "Ada"
    assert [server.output("greeting", run_id, "count", item) for item in (0, 1)] == [3, 6]
    assert "hello Ada" in server.task_log("greeting", run_id, "greet")


def test_a_failing_task_fails_its_run(server: Server) -> None:
    """What follows it is `upstream_failed`, and its log says why."""
    run_id = server.trigger("trouble")
    assert server.wait_for("trouble", run_id) == "failed"
    assert server.states("trouble", run_id) == {"fall": "failed", "follow": "upstream_failed"}
    assert "ValueError: the floor is wet" in server.task_log("trouble", run_id, "fall")


def test_a_broken_file_is_an_import_error(server: Server) -> None:
    """The other DAGs are there all the same."""
    for name in DAGS:
        server.wait_for_dag(name)
    [(name, error)] = server.import_errors().items()
    assert name == "broken.py"
    assert "NameError: name 'nonsense' is not defined" in error
    assert server.dags() == set(DAGS)


def test_a_task_that_asks_gets_its_answer(server: Server) -> None:
    """Choice and remarks arrive, and by whom; a viewer may not answer."""
    run_id = server.trigger("ask")
    with pytest.raises(Refused, match="403"):
        server.hitl("ask", run_id, "ask", "Approve", user="vic")
    server.hitl("ask", run_id, "ask", "Approve", {"why": "it is better"})
    assert server.wait_for("ask", run_id) == "success"
    answer = server.output("ask", run_id, "ask")
    assert answer["chosen_options"] == ["Approve"]
    assert answer["params_input"] == {"why": "it is better"}
    assert answer["responded_by_user"]["id"] == "admin"


def test_a_backfill_runs_each_interval(server: Server) -> None:
    """The runs come in the order of their dates, and know them."""
    run_ids = server.backfill("daily", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    assert [server.wait_for("daily", run_id) for run_id in run_ids] == ["success", "success"]
    assert [server.output("daily", run_id, "tell") for run_id in run_ids] == ["2026-03-02", "2026-03-03"]


def test_a_viewer_may_look_and_not_touch(server: Server) -> None:
    """There are two users, and the refusal carries its status."""
    server.wait_for_dag("greeting")
    assert server.request("GET", "/api/v2/dags/greeting", user="vic")["dag_id"] == "greeting"
    with pytest.raises(Refused) as refusal:
        server.request("POST", "/api/v2/dags/greeting/dagRuns", {"logical_date": None}, user="vic")
    assert refusal.value.status == 403


def test_nothing_stays_behind(server: Server) -> None:
    """Stopped in the middle of a task, all processes go, and none has to be killed. (It is the last test: it stops.)"""
    run_id = server.trigger("sleep")
    server.wait_for_task("sleep", run_id, "sleep", "running")
    assert len(server.processes()) > 4
    assert server.stop() == set()
    assert server.processes() == set()

"""Airflow and our records on PostgreSQL, as a company has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from engines.airflow_server import airflow_server
from engines.stories import states_of
from integrations.postgres_server import postgres_server
from ostinato.engines.airflow_run import record_id
from ostinato.outcome import outcome
from ostinato.records import Records

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ASKED = {"branch": {}, "failing": {}, "retried": {}, "fan_out": {"count": 6}}


def test_runs_end_on_postgresql_as_on_sqlite(tmp_path: Path) -> None:
    """Branches, failures, retries, a fan-out side by side: one record each, one incident for what failed."""
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "tests" / "engines" / "airflow_dags" / "stories_dags.py", dags)
    with postgres_server(connections=100) as url:
        environment = {"OSTINATO_RECORDS": url, "OSTINATO_ALERTS": "file", "PYTHONPATH": str(ROOT / "tests")}
        with airflow_server(
            tmp_path, dags=dags, plugins=ROOT / "plugins", environment=environment, database=url
        ) as server:
            runs = {name: server.trigger(name, given) for name, given in ASKED.items()}
            ends = {name: server.wait_for(name, run_id) for name, run_id in runs.items()}
        records = Records(url)
        found = {name: outcome(records, record_id(name, run_id)) for name, run_id in runs.items()}
        told = [message.body["title"] for message in records.outbox.messages()]
        records.close()
    assert ends == {"branch": "success", "failing": "failed", "retried": "success", "fan_out": "success"}
    assert states_of(found["branch"])["square"] == "skipped"
    assert states_of(found["failing"]) == {"refuse": "failed", "square": "pending", "number": "succeeded"}
    assert [one["attempts"] for one in found["retried"]["steps"]] == [3, 1]
    assert sum(one["name"] == "square" for one in found["fan_out"]["steps"]) == 6
    assert [title for title in told if " failed" in title] == ["failing failed at refuse"]

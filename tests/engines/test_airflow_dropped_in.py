"""The two folders, copied into an Airflow of one's own as the README says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from test_readme import ROOT, SHELL

pytestmark = pytest.mark.airflow

HEAVY = "mlflow great_expectations sklearn pandas duckdb pyarrow torch prefect kfp".split()
LOADED = """
import json, sys, types
import airflow
before = {"airflow": airflow.__file__, "types": types.__file__}
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
names = [plugin.name for plugin in plugins_manager._get_plugins()[0]]
errors = plugins_manager._get_plugins()[1]
bag = DagBag()
after = {name: sys.modules[name].__file__ for name in before}
heavy = sorted({name.split(".")[0] for name in sys.modules} & set(HEAVY))
print(json.dumps([names, errors, bag.import_errors, sorted(bag.dags), before == after, heavy]))
"""


@pytest.fixture
def dropped_in(tmp_path: Path) -> dict[str, str]:
    """A new AIRFLOW_HOME after the README's lines, and the environment of somebody who has just that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "OSTINATO", "PYTHON"))}
    environment = {**kept, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", SHELL[8]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert "3 DAGs" in done.stdout or done.stdout.count("1 DAG") == 3, done.stdout
    return environment


@pytest.mark.slow
def test_the_folders_load_without_an_error_and_touch_nothing_of_airflows(dropped_in: dict[str, str]) -> None:
    """One plugin, the DAGs, no import errors; no module of Airflow's or Python's replaced, nothing heavy loaded."""
    code = f"HEAVY = {HEAVY!r}\n{LOADED}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=dropped_in, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names, errors, import_errors, dags, untouched, heavy = json.loads(done.stdout.strip().splitlines()[-1])
    assert names.count("ostinato") == 1
    assert (errors, import_errors, heavy) == ({}, {}, [])
    assert dags == ["data_validation", "fraud_detection", "recommendation_retraining"]
    assert untouched is True

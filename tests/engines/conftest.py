"""Airflow and Prefect in the process of the tests: they read their settings when imported, so these are made before."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="ostinato-airflow-")) if importlib.util.find_spec("airflow") else None
PREFECT_HOME = Path(tempfile.mkdtemp(prefix="ostinato-prefect-")) if importlib.util.find_spec("prefect") else None


def _settings(home: Path) -> dict[str, str]:
    settings = {
        "API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the full name may have to wait for a name server
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PLUGINS_FOLDER": str(PLUGINS),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,vic:viewer",
        "CORE__UNIT_TEST_MODE": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {"AIRFLOW_HOME": str(home)} | {f"AIRFLOW__{name}": value for name, value in settings.items()}


if AIRFLOW_HOME:
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ.update(_settings(AIRFLOW_HOME))
    (AIRFLOW_HOME / "dags").mkdir()
    (AIRFLOW_HOME / "passwords.json").write_text('{"admin": "admin", "vic": "vic"}')

if PREFECT_HOME:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ.update(
        PREFECT_HOME=str(PREFECT_HOME),
        PREFECT_API_URL="",  # set, though empty: else that of a .env or a pyproject.toml in the folder would count
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_DATABASE_TIMEOUT="60",  # a slow disk may lock sqlite for longer than the usual ten seconds
        PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL="0.5",
        PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL="0.5",
        PREFECT_LOGGING_TO_API_BATCH_INTERVAL="0.5",
        DO_NOT_TRACK="1",
    )


def pytest_unconfigure() -> None:
    for place in (AIRFLOW_HOME, PREFECT_HOME):
        if place:
            shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_database() -> Path:
    """Airflow's tables, made once for all tests that let it run something; the answer is its home."""
    pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")
    from airflow.utils.db import initdb

    assert AIRFLOW_HOME
    initdb()  # in this process, which imports Airflow anyway: `airflow db migrate` would do so once more
    return AIRFLOW_HOME


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """Prefect's API with a database of its own, started once for all tests that run flows; gives its address."""
    pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())

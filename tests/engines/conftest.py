"""Airflow in the process of the tests: it reads its settings when it is imported, so they are made before."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="ostinato-airflow-")) if importlib.util.find_spec("airflow") else None


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


def pytest_unconfigure() -> None:
    if AIRFLOW_HOME:
        shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_database() -> Path:
    """Airflow's tables, made once for all tests that let it run something; the answer is its home."""
    pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")
    from airflow.utils.db import initdb

    assert AIRFLOW_HOME
    initdb()  # in this process, which imports Airflow anyway: `airflow db migrate` would do so once more
    return AIRFLOW_HOME

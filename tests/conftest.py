"""What every test stands on: a workspace of its own, and no telemetry."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from integrations.mlflow_server import Server

hypothesis.settings.register_profile("here", deadline=None)  # the machine is shared; slowness is no fault of an example
hypothesis.settings.load_profile("here")
os.environ.update(
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    GX_ANALYTICS_ENABLED="false",
)


PARTS = {"pipelines": ("pipelines",), "projects": ("scaffold", "templates")}  # folders, and "others": all else


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test` runs the tests that need no engine in parts, see `run_all.py`."""
    parser.addoption("--part", choices=[*PARTS, "others"], help="whole pipelines, projects from templates, all others")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not of the part."""
    if part := config.getoption("--part"):
        part_of = {Path(__file__).with_name(folder): name for name, folders in PARTS.items() for folder in folders}
        left_out = [item for item in items if part_of.get(item.path.parent, "others") != part]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, named by OSTINATO_HOME, and nothing of the caller's configuration."""
    from ostinato import context

    for name in list(os.environ):
        if name.startswith("OSTINATO_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    place = tmp_path / "home"
    monkeypatch.setenv("OSTINATO_HOME", str(place))
    context._current.set(None)
    return place


@pytest.fixture(autouse=True)
def stores_of_its_own() -> Iterator[None]:
    """MLflow keeps the connections to every store it has seen; each test has another, and files are not endless."""
    yield
    for part in ("tracking", "model_registry"):
        store = sys.modules.get(f"mlflow.store.{part}.sqlalchemy_store")
        for engine in list(store.SqlAlchemyStore._engine_map.values()) if store else ():
            engine.dispose()


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One MLflow server for all tests that want one; each uses names of its own."""
    from integrations.mlflow_server import mlflow_server

    with mlflow_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def types_learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the type checker learnt of libraries in one project, for the others."""
    return tmp_path_factory.mktemp("mypy")

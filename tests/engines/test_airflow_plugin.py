"""The Airflow plugin: found by Airflow, light enough for every task's process, its links where they should lead."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")
pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
VENDORS = "duckdb great_expectations matplotlib mlflow numpy pandas prefect pyarrow sklearn torch".split()
DISCOVERY = """
import json, sys, types
import airflow
before = airflow, types
from {loader} import _load_plugins_from_plugin_directory
from airflow import plugins_manager
from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse
from airflow.sdk import BaseOperatorLink
known = set(sys.modules)
plugins, errors = _load_plugins_from_plugin_directory({folder!r})
said = {{
    "plugins": [plugin.name for plugin in plugins],
    "errors": errors,
    "new": sorted(set(sys.modules) - known - set(sys.stdlib_module_names)),
    "untouched": (sys.modules["airflow"], sys.modules["types"]) == before,
    "views": [ExternalViewResponse(**view).model_dump() for plugin in plugins for view in plugin.external_views],
    "links": [link.name for plugin in plugins for link in plugin.operator_extra_links],
}}
print("said:" + json.dumps(said))
"""


@cache
def discovered(loader: str = "airflow._shared.plugins_manager.plugins_manager") -> Any:
    """What Airflow's own discovery finds in the plugins folder, in a fresh process."""
    code = DISCOVERY.format(loader=loader, folder=str(ROOT / "plugins"))
    environment = {**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.rpartition("said:")[2])


@pytest.mark.parametrize("process", ["airflow._shared", "airflow.sdk._shared"])
def test_airflow_finds_the_plugin_and_nothing_else_in_the_folder(process: str) -> None:
    """In the server's process as in a task's: one plugin, no import error, no module in another's place."""
    found = discovered(f"{process}.plugins_manager.plugins_manager")
    assert (found["plugins"], found["errors"], found["untouched"]) == (["ostinato"], {}, True)


@pytest.mark.parametrize("process", ["airflow._shared", "airflow.sdk._shared"])
def test_a_task_pays_nearly_nothing_for_the_plugin(process: str) -> None:
    """Nothing of a vendor is loaded for it, and of ours only the link and what `import ostinato` loads."""
    new = discovered(f"{process}.plugins_manager.plugins_manager")["new"]
    light = (ROOT / "tests" / "imports.txt").read_text().split()
    ours = {"ostinato_airflow_plugin", "ostinato.engines", "ostinato.engines.airflow_link"}
    allowed = {*light, *ours, "airflow.plugins_manager"}
    assert [name for name in new if name not in allowed and name.split(".")[0] not in sys.stdlib_module_names] == []
    assert not {name.split(".")[0] for name in new} & set(VENDORS)


def test_the_link_needs_only_the_task_sdk_and_the_standard_library() -> None:
    """Its module is imported wherever a task of ours is defined."""
    tree = ast.parse((ROOT / "plugins" / "ostinato" / "engines" / "airflow_link.py").read_text())
    named = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in named if name.split(".")[0] not in sys.stdlib_module_names} <= {
        "airflow.sdk",
        "airflow.sdk.types",
    }


def test_the_pages_have_their_places_in_airflows_navigation() -> None:
    """One entry in the menu, and the report beside a run and beside a task; Airflow takes them as they are."""
    views = discovered()["views"]
    assert [(view["destination"], view["category"]) for view in views] == [
        ("nav", "browse"),
        ("dag_run", None),
        ("task_instance", None),
    ]
    assert len({view["url_route"] for view in views}) == 3  # Airflow drops a second one
    assert all(len(view["name"]) <= 8 for view in views)  # longer names are cut
    assert all(view["icon"].startswith("data:image/svg+xml,%3Csvg") for view in views)
    assert [view["href"] for view in views] == ["/ostinato/", *["/ostinato/report/{DAG_ID}/{RUN_ID}"] * 2]


def test_airflows_pages_know_the_names_in_our_addresses() -> None:
    """They are replaced in the browser; a name that no longer is would stay as it stands."""
    import airflow

    scripts = Path(airflow.__path__[0], "ui", "dist", "assets").glob("*.js")
    text = "".join(script.read_text(encoding="utf-8") for script in scripts)
    for view in discovered()["views"]:
        for name in re.findall(r"\{\w+\}", view["href"]):
            assert f"replaceAll(`{name}`,encodeURIComponent(" in text


def link_of(dag_id: str, run_id: str) -> str:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from ostinato.engines.airflow_link import RunReportLink

    return RunReportLink().get_link(BaseOperator(task_id="t"), ti_key=TaskInstanceKey(dag_id, "t", run_id))


def test_a_task_leads_to_its_runs_report() -> None:
    """Under Airflow's own name of the run, however odd."""
    found = link_of("fraud", "scheduled__2026-03-01T00:00:00+00:00")
    assert found == "/ostinato/report/fraud/scheduled__2026-03-01T00%3A00%3A00%2B00%3A00"
    assert link_of("a/b", "?#<&") == "/ostinato/report/a%2Fb/%3F%23%3C%26"
    assert discovered()["links"] == ["Run report"]


def test_links_follow_an_api_server_that_lies_below_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `[api] base_url` says."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://ml.bank/airflow/")
    assert link_of("fraud", "r") == "/airflow/ostinato/report/fraud/r"

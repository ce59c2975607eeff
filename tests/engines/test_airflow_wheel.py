"""The wheel in Airflow: its plugin and provider are found by entry points, and a second copy is found out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")
pytestmark = [pytest.mark.airflow, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PLUGINS = """
import json
from airflow import plugins_manager
import ostinato
plugins, errors = plugins_manager._get_plugins()
print(json.dumps({"from": ostinato.__file__, "errors": list(errors.values()),
    "plugins": {plugin.name: str(plugin.source) for plugin in plugins if plugin.name == "ostinato"}}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed: unpacked, as a wheel of plain Python may be."""
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    zipfile.ZipFile(next(place.glob("*.whl"))).extractall(place / "site")
    return place / "site"


def run(site: Path, home: Path, *arguments: str, plugins: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python with the wheel installed, and an Airflow of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env |= {"PYTHONPATH": str(site), "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
    env |= {"AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins or home / "plugins")}
    return subprocess.run([sys.executable, *arguments], env=env, cwd=home, capture_output=True, text=True, check=False)


def test_airflow_finds_the_plugin_of_an_installed_wheel(site: Path, tmp_path: Path) -> None:
    """By its entry point, with an empty plugins folder."""
    found = json.loads(run(site, tmp_path, "-c", PLUGINS).stdout.splitlines()[-1])
    assert found["from"] == str(site / "ostinato" / "__init__.py")
    assert found["errors"] == []
    assert "EntryPoint" in found["plugins"]["ostinato"]


def test_airflow_lists_the_wheel_as_a_provider(site: Path, tmp_path: Path) -> None:
    """With its version and what it is."""
    said = run(site, tmp_path, "-m", "airflow", "providers", "list", "-o", "json")
    assert said.returncode == 0, said.stderr
    listed = {each["package_name"]: each for each in json.loads(said.stdout.splitlines()[-1])}
    assert listed["ostinato"]["description"].startswith("Reusable machine-learning pipelines")
    assert listed["ostinato"]["version"] == "0.1.0"


def test_the_ready_made_dags_load_from_the_wheel(site: Path, tmp_path: Path) -> None:
    """Nothing is dropped in; `ostinato check` finds the installation whole."""
    said = run(site, tmp_path, "-m", "ostinato.cli", "check", str(ROOT / "dags"))
    assert said.returncode == 0, said.stdout
    assert f"ostinato 0.1.0 at {site / 'ostinato'}" in said.stdout
    assert said.stdout.count(": 1 DAG, ") == len(list((ROOT / "dags").glob("*.py")))


def test_wheel_and_folder_together_are_found_out(site: Path, tmp_path: Path) -> None:
    """Airflow reports the plugin as registered already; `ostinato check` says what to remove."""
    found = json.loads(run(site, tmp_path, "-c", PLUGINS, plugins=ROOT / "plugins").stdout.splitlines()[-1])
    assert found["errors"] == ["Plugin 'ostinato' already registered, skipping"]
    assert found["from"].startswith(str(site))
    said = run(site, tmp_path, "-m", "ostinato.cli", "check", str(ROOT / "dags"), plugins=ROOT / "plugins")
    assert said.returncode == 2
    folder = ROOT / "plugins" / "ostinato"
    assert f"ostinato 0.1.0 at {site / 'ostinato'} is live, and there is ostinato 0.1.0 at {folder}: " in said.stdout
    assert f"delete {folder} and the ostinato_airflow_plugin.py beside it, or `pip uninstall ostinato`." in said.stdout

"""The installation: where ostinato lies, whether it lies there once, and whether what it needs is there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ostinato import __version__, installation
from ostinato.installation import LIVE, described, doubled, prefect_unfit, unguarded, unmet


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Airflow's plugins folder, still empty, where Airflow looks by default."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AIRFLOW_HOME", "AIRFLOW__CORE__PLUGINS_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "airflow" / "plugins"


def dropped_into(folder: Path, version: str = "0.0.1", ignored: bool = True) -> Path:
    """As much of a package as tells that it is one."""
    place = folder / "ostinato"
    place.mkdir(parents=True)
    (place / "graph.py").touch()
    (place / "__init__.py").write_text(f'__version__ = "{version}"\n')
    if ignored:
        shutil.copy(LIVE / ".airflowignore", place)
    return place


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These distributions, and no others."""
    monkeypatch.setattr(installation, "version_of", lambda name: __version__ if name in names else None)


def test_what_is_installed_once_is_sound() -> None:
    """This one is."""
    assert doubled() is None
    assert unguarded() is None
    assert unmet() is None
    assert prefect_unfit() is None


def test_the_live_copy_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its version and how it came here."""
    installed(monkeypatch, "ostinato")
    assert described() == f"ostinato {__version__} at {LIVE}"
    installed(monkeypatch)
    assert described() == f"ostinato {__version__}, a folder that was dropped in at {LIVE}"


def test_a_wheel_and_a_folder_in_airflows_plugins_are_told_apart(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them is live, both versions, and what to remove."""
    other = dropped_into(plugins)
    installed(monkeypatch, "ostinato")
    assert doubled() == (
        f"ostinato {__version__} at {LIVE} is live, and there is ostinato 0.0.1 at {other}: "
        f"delete {other} and the ostinato_airflow_plugin.py beside it, or `pip uninstall ostinato`."
    )


@pytest.mark.parametrize(
    ("name", "value", "below"),
    [("AIRFLOW_HOME", "there", "there/plugins"), ("AIRFLOW__CORE__PLUGINS_FOLDER", "~/mine", "mine")],
)
def test_airflows_plugins_folder_is_where_airflow_is_told_to_look(
    name: str, value: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own variables."""
    other = dropped_into(tmp_path / below)
    monkeypatch.chdir(tmp_path)
    assert doubled() is None
    monkeypatch.setenv(name, value)
    assert str(other) in str(doubled())


def test_a_folder_that_is_installed_as_well_reaches_airflow_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install and Airflow's plugins folder may be one place; without Airflow it does no harm."""
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(LIVE.parent))
    for names in ((), ("ostinato",), ("apache-airflow-core",)):
        installed(monkeypatch, *names)
        assert doubled() is None
    installed(monkeypatch, "ostinato", "apache-airflow-core")
    assert str(doubled()).startswith(f"{LIVE} lies in Airflow's plugins folder and is installed as well")


def test_two_copies_on_the_path_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they came there; a file that tells no version is named all the same."""
    other = dropped_into(tmp_path / "elsewhere")
    (other / "__init__.py").unlink()
    monkeypatch.setattr(sys, "path", [*sys.path, str(other.parent)])
    installed(monkeypatch)
    assert doubled() == (
        f"ostinato {__version__} at {LIVE} is live, and there is ostinato of an unknown version at {other}: "
        f"delete {other} and the ostinato_airflow_plugin.py beside it."
    )


def test_a_folder_of_the_same_name_is_no_installation(
    tmp_path: Path, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace or a checkout may be called ostinato."""
    (tmp_path / "ostinato").mkdir()
    (plugins / "ostinato").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert doubled() is None


def test_a_copy_without_its_ignore_file_is_named(plugins: Path) -> None:
    """Copied as *.py, it would be run by Airflow file by file; the line that mends it is said."""
    place = dropped_into(plugins, ignored=False)
    said = unguarded()
    assert said is not None
    assert said.startswith(f"{place} has no .airflowignore")
    assert said.endswith(rf"printf '*\n.*\n' > {place}/.airflowignore")
    shutil.copy(LIVE / ".airflowignore", place)
    assert unguarded() is None


def test_all_that_is_missing_or_too_old_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the one line that installs it, bounds and all."""
    versions = {"duckdb": "1.9.9", "rich": "14.0.0.post1", "pandas": "4.0"}
    monkeypatch.setattr(installation, "NEEDS", ("duckdb>=2,<3", "rich>=14", "pandas>=2.2,<4", "skops>=0.16"))
    monkeypatch.setattr(installation, "version_of", versions.get)
    assert unmet() == (
        "duckdb is 1.9.9, pandas is 4.0, skops is not installed. "
        'Run: pip install "duckdb>=2,<3" "pandas>=2.2,<4" "skops>=0.16"'
    )


def test_a_fastapi_that_prefects_server_does_not_start_with_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs another; without Prefect it does no harm."""
    versions = {"prefect": "3.8.8", "fastapi": "0.165.0"}
    monkeypatch.setattr(installation, "version_of", versions.get)
    assert prefect_unfit() == (
        "Prefect 3.8.8 runs with fastapi below 0.151, and 0.165.0 is installed: its server may not start. "
        'Run: pip install "fastapi<0.151"'
    )
    versions["fastapi"] = "0.150.3"
    assert prefect_unfit() is None
    monkeypatch.setattr(installation, "version_of", {"fastapi": "0.165.0"}.get)
    assert prefect_unfit() is None


@pytest.mark.parametrize(
    ("version", "need", "fits"),
    [
        ("2.0.44", "a>=2.0.44,<3", True),
        ("2.0.43", "a>=2.0.44,<3", False),
        ("2.10", "a>=2.9", True),
        ("3", "a>=2.9,<3", False),
        ("3.0rc1", "a>=2.9,<3", False),
        ("2026.1.0", "a>=2026.1", True),
        ("1.4.dev3+g12", "a>=1.4", True),
    ],
)
def test_versions_are_compared_by_number(version: str, need: str, fits: bool) -> None:
    """2.10 is later than 2.9, and a candidate for 3 is no 2."""
    assert installation._fits(version, need) is fits

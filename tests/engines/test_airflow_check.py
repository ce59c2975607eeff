"""`ostinato check` on DAG files: Airflow itself loads them, and its own error is what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.checks import Finding, check_all

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")
pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
GOOD = """
from ostinato import pipeline, step
from ostinato.engines.airflow_dag import to_dag

@step
def note(text: str = "x") -> str:
    return text

@pipeline
def nightly(source: str = "x") -> None:
    note(source)

nightly_dag = to_dag(nightly)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of DAG files, and an Airflow that was never started."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    place = tmp_path / "dags"
    place.mkdir()
    return place


def dags(path: Path) -> list[Finding]:
    """What is said of the files."""
    return [finding for finding in check_all(str(path)) if finding.subject.startswith(str(path))]


def test_the_ready_made_dags_load() -> None:
    """One DAG a file."""
    findings = dags(ROOT / "dags")
    assert all(finding.ok and finding.message.startswith("1 DAG, ") for finding in findings), findings
    assert len(findings) == len(list((ROOT / "dags").glob("*.py")))


def test_each_file_is_counted_or_shows_its_error_at_its_line(folder: Path) -> None:
    """A module that is missing, a pipeline that cannot be traced, an exit, a slip, a value; none hides the next."""
    (folder / "a_good.py").write_text(GOOD)
    (folder / "b_missing.py").write_text(GOOD + "import nonesuch\n")
    (folder / "c_untraced.py").write_text(GOOD.replace("note(source)", "note(sauce)"))
    (folder / "d_exit.py").write_text(GOOD + "raise SystemExit('no')\n")
    (folder / "e_slip.py").write_text(GOOD + "def (:\n")
    (folder / "f_unbound.py").write_text(GOOD.replace("nightly_dag = ", ""))
    (folder / "g_twice.py").write_text(GOOD)
    (folder / "h_option.py").write_text(GOOD.replace("to_dag(nightly)", "to_dag(nightly, source=[1])"))
    found = {Path(finding.subject).name: finding for finding in dags(folder)}
    assert {name: (finding.ok, finding.message) for name, finding in found.items() if name[0] in "bcde"} == {
        "b_missing.py:14": (False, "ModuleNotFoundError: No module named 'nonesuch'"),
        "c_untraced.py:11": (False, "NameError: name 'sauce' is not defined"),
        "d_exit.py:14": (False, "SystemExit: no"),
        "e_slip.py:14": (False, "SyntaxError: invalid syntax"),
    }
    assert found["a_good.py"].ok
    assert "source=[1] is refused" in found["h_option.py:13"].message  # raised far below
    assert found["f_unbound.py"].message.startswith("makes no DAG that Airflow finds")
    assert "also found in" in found["g_twice.py"].message
    assert not found["g_twice.py"].ok


def test_a_dag_file_may_import_from_its_folder(folder: Path) -> None:
    """As in Airflow."""
    (folder / "mine.py").write_text(GOOD.replace("nightly_dag = to_dag(nightly)", ""))
    start = "from mine import nightly\nfrom ostinato.engines.airflow_dag import to_dag\n"
    (folder / "nightly.py").write_text(f"{start}nightly_dag = to_dag(nightly)\n")
    (finding,) = dags(folder / "nightly.py")
    assert finding.ok, finding


def test_a_file_in_the_way_is_not_taken_for_airflow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies where `ostinato check` is called."""
    (folder / "airflow.py").write_text("raise SystemExit('not me')")
    (folder / "nightly.py").write_text(GOOD)
    monkeypatch.chdir(folder)
    assert [finding.ok for finding in dags(folder / "nightly.py")] == [True]


def test_an_airflow_that_does_not_start_is_a_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last thing it said."""
    (folder / "nightly.py").write_text(GOOD)
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS", "perhaps")
    (finding,) = dags(folder)
    assert not finding.ok
    assert finding.message.startswith("Airflow cannot load DAG files here: ")
    assert "perhaps" in finding.message


def test_no_airflow_is_set_up_by_looking(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home yet, Airflow gets a passing one."""
    monkeypatch.delenv("AIRFLOW_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    (folder / "nightly.py").write_text(GOOD)
    assert [finding.ok for finding in dags(folder)] == [True]
    assert not (tmp_path / "person" / "airflow").exists()

"""Checks: what can be wrong before anything runs, looked at offline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostinato import installation
from ostinato.checks import Finding, check_all
from ostinato.errors import ConfigurationError, UsageError

GOOD = """
from ostinato import pipeline, step
@step
def note(text: str = "x") -> str:
    return text
@pipeline
def nightly(source: str = "x") -> None:
    note(source)
"""


@pytest.fixture(autouse=True)
def no_airflow_of_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in somebody's plugins folder is not looked at."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.delenv("AIRFLOW__CORE__PLUGINS_FOLDER", raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of strangers' files; what they import is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    place = tmp_path / "dags"
    place.mkdir()
    yield place
    for name in set(sys.modules) - before:
        if name.startswith("ostinato_file_"):
            del sys.modules[name]


def found(path: Path) -> list[Finding]:
    """What is said of the pipelines; the installation is looked at elsewhere."""
    return list(check_all(str(path)))[2:]


def problem(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    (finding,) = found(folder)
    assert not finding.ok
    return finding.message


def test_the_ready_made_pipelines_are_sound() -> None:
    """And so is this installation."""
    findings = list(check_all())
    assert [finding.subject for finding in findings[:2]] == ["installation", "Python"]
    assert "fraud_detection" in [finding.subject for finding in findings]
    assert [finding for finding in findings if not finding.ok] == []


def test_a_sound_pipeline_is_counted(folder: Path) -> None:
    """Its steps and its parameters."""
    (folder / "mine.py").write_text(GOOD)
    assert found(folder) == [Finding(f"{folder}/mine.py:nightly", True, "1 steps, 1 parameters")]
    assert found(folder / "mine.py") == found(folder)


def test_every_pipeline_of_a_folder_is_looked_at(folder: Path) -> None:
    """Below it too, one after the other, and one that is broken does not hide the next."""
    (folder / "a.py").write_text("from ostinato import pipeline\nraise KeyError\n@pipeline\ndef x(): ...")
    (folder / "below").mkdir()
    (folder / "below" / "b.py").write_text(GOOD + GOOD.replace("nightly", "weekly").replace("@pipeline", "@pipeline()"))
    (folder / "plain.py").write_text("raise SystemExit('must not be imported')")
    assert [finding.ok for finding in found(folder)] == [False, True, True]


@pytest.mark.parametrize("decorator", ["@pipeline", "@pipeline(tags=('x',))", "@o.pipeline", "    @o.pipeline()"])
def test_a_pipeline_is_recognised_however_it_is_decorated(decorator: str, folder: Path) -> None:
    """By a module's name, with options, inside an `if`."""
    start = "import ostinato as o\nfrom ostinato import pipeline\n@o.step\ndef note() -> None: ...\n"
    indent = " " * (len(decorator) - len(decorator.lstrip()))
    body = f"{decorator}\n{indent}def nightly() -> None:\n{indent}    note()\n"
    (folder / "mine.py").write_text(start + ("if True:\n" if indent else "") + body)
    assert [finding.ok for finding in found(folder)] == [True]


def test_environments_and_hidden_folders_are_not_imported(folder: Path) -> None:
    """`ostinato check .` in a project with a virtualenv looks at the project."""
    for place in (".venv/lib", "venv/lib/site-packages/kit", ".git"):
        (folder / place).mkdir(parents=True)
        (folder / place / "x.py").write_text("@pipeline\nraise SystemExit('must not be imported')")
    (folder / "mine.py").write_text(GOOD)
    assert [finding.ok for finding in found(folder)] == [True]


def test_a_file_that_is_not_text_is_passed_over(folder: Path) -> None:
    """In a folder of anything."""
    (folder / "binary.py").write_bytes(b"\xff\xfe\0@pipe")
    (folder / "mine.py").write_text(GOOD)
    assert [finding.ok for finding in found(folder)] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@pipeline\ndef x(): ...", "cannot be imported: NameError"),
        ("import sys\nsys.exit(3)\n@pipeline\ndef x(): ...", "cannot be imported: SystemExit: 3"),
        ("@pipeline\ndef x(: ...", "cannot be imported: SyntaxError"),
        ("def pipeline(f): return f\n@pipeline\ndef x(): ...", "defines no pipeline"),
        (GOOD.replace("note(source)", "note(sauce)"), "cannot be traced: NameError: name 'sauce' is not defined"),
        (GOOD.replace("note(source)", "note(tex=source)"), "got an unexpected keyword argument 'tex'"),
        (GOOD.replace("note(source)", "pass"), "nightly calls no step"),
        (
            GOOD.replace('source: str = "x"', 'as_of: str = "x"').replace("note(source)", "note()"),
            "'as_of' is given by",
        ),
        (
            GOOD.replace('source: str = "x"', "source: Odd").replace("@step", "class Odd: ...\n@step"),
            "a type that no form",
        ),
        (
            GOOD.replace("@pipeline", '@pipeline(schedule="@daily")').replace(
                'source: str = "x"', "source: str, n: int"
            ),
            "it has a schedule, and no default for source, n",
        ),
    ],
)
def test_what_is_wrong_with_a_pipeline_is_said(text: str, message: str, folder: Path) -> None:
    """One finding, and no traceback."""
    assert message in problem(folder, text)


def test_a_scheduled_pipeline_with_defaults_is_sound(folder: Path) -> None:
    """A clock fills in no form."""
    (folder / "mine.py").write_text(GOOD.replace("@pipeline", '@pipeline(schedule="@daily")'))
    assert [finding.ok for finding in found(folder)] == [True]


def test_a_folder_without_a_pipeline_or_suite_is_a_problem(folder: Path) -> None:
    """Most likely the wrong folder."""
    (finding,) = found(folder)
    assert finding == Finding(
        str(folder), False, "no file in it defines a pipeline, makes a DAG or a flow, or is a suite"
    )


@pytest.mark.parametrize(
    ("text", "said"), [("[column_to_exist: x]", "1 rule"), ("[column_to_exist: [x, y]]", "2 rules")]
)
def test_a_sound_suite_is_counted(text: str, said: str, folder: Path) -> None:
    """Given directly, or found in a folder."""
    (folder / "shop.yml").write_text(f"dataset: shop\nexpectations: {text}\n")
    assert found(folder) == found(folder / "shop.yml") == [Finding(f"{folder}/shop.yml", True, said)]


def test_each_problem_of_a_suite_is_a_finding_with_its_line(folder: Path) -> None:
    """The file is said once."""
    (folder / "shop.yaml").write_text("datset: x\nexpectations:\n- column_to_exit: a\n- column_to_exist: {}\n")
    findings = found(folder / "shop.yaml")
    assert not any(finding.ok for finding in findings)
    assert [(Path(finding.subject).name, finding.message.split(". ")[0]) for finding in findings] == [
        ("shop.yaml:1", "unknown key 'datset'"),
        ("shop.yaml:3", "there is no expectation 'column_to_exit'"),
        ("shop.yaml:4", "column_to_exist lacks 'column'; it takes {column: …, column_index: …}."),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "a suite is a mapping with `expectations:`, not empty."),
        (b"dataset: Z\xfcrich", "it cannot be read: 'utf-8' codec can't decode byte"),
        (b"a: [", "this is no YAML"),
    ],
)
def test_a_file_given_directly_is_read_as_a_suite(text: bytes, message: str, folder: Path) -> None:
    """Whatever it says."""
    (folder / "shop.yaml").write_bytes(text)
    (finding,) = found(folder / "shop.yaml")
    assert finding.subject.startswith(f"{folder}/shop.yaml")
    assert not finding.ok
    assert finding.message.startswith(message)


def test_suites_stand_beside_pipelines(folder: Path) -> None:
    """In their order, and one that is broken does not hide the next."""
    (folder / "suites").mkdir()
    (folder / "mine.py").write_text(GOOD)
    (folder / "a.yaml").write_text("expectations: []")
    (folder / "suites" / "b.yml").write_text('# rules\n"expectations" :\n- column_to_exist: x')
    (folder / "suites" / "c.yaml").write_bytes(b"\xef\xbb\xbfexpectations: [column_to_exist: x]")
    assert [(Path(finding.subject).name, finding.ok) for finding in found(folder)] == [
        ("a.yaml:1", False),
        ("mine.py:nightly", True),
        ("b.yml", True),
        ("c.yaml", True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "deployments:\n- name: x",
        "services:\n  a:\n    expectations: []",
        "# expectations:\na: 1",
        "great_expectations: 1",
        "\0",
    ],
)
def test_other_yaml_is_not_a_suite(text: str, folder: Path) -> None:
    """Docker's and others' files lie in the same folder."""
    (folder / "compose.yaml").write_text(text)
    (folder / "expectations.yaml").mkdir()
    (folder / "gone.yaml").symlink_to(folder / "nowhere")
    (folder / "mine.py").write_text(GOOD)
    assert [finding.ok for finding in found(folder)] == [True]


@pytest.mark.parametrize("place", [".venv", ".github", "venv/lib/site-packages/kit", "node_modules/kit", "a/.b/c"])
def test_suites_of_others_are_not_looked_at(place: str, folder: Path) -> None:
    """Hidden folders and environments are no part of the project."""
    (folder / place).mkdir(parents=True)
    (folder / place / "x.yaml").write_text("expectations: []")
    (folder / "mine.py").write_text(GOOD)
    assert [finding.ok for finding in found(folder)] == [True]


def test_a_suite_needs_great_expectations(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is a finding too."""
    from ostinato.suites import reading

    def missing() -> None:
        raise ConfigurationError("Suites need Great Expectations.")

    monkeypatch.setattr(reading, "expectations", missing)
    (folder / "shop.yaml").write_text("expectations: [column_to_exist: x]")
    assert found(folder) == [Finding(f"{folder}/shop.yaml", False, "Suites need Great Expectations.")]


def test_importing_checks_is_light() -> None:
    """Suites are read only where there are some."""
    code = "import sys, ostinato.checks; sys.exit('ostinato.suites.reading' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_place_that_is_not_there_is_wrong_usage(folder: Path) -> None:
    """Before anything else is said."""
    with pytest.raises(UsageError, match=r"There is no file or folder .*gone"):
        next(check_all(str(folder / "gone")))


def test_the_installation_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies, a missing ignore file, missing packages and an unfit Prefect are findings of their own."""
    for name in ("doubled", "unguarded", "unmet", "prefect_unfit"):
        monkeypatch.setattr(installation, name, lambda name=name: name)
    findings = [finding for finding in check_all() if not finding.ok]
    assert findings == [
        Finding("installation", False, "doubled"),
        Finding("plugins folder", False, "unguarded"),
        Finding("requirements", False, "unmet"),
        Finding("Prefect", False, "prefect_unfit"),
    ]


@pytest.fixture
def without_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Airflow's environment as well."""
    real = installation.version_of
    monkeypatch.setattr(installation, "version_of", lambda name: None if "airflow" in name else real(name))


DAG = "from ostinato.engines.airflow_dag import to_dag\nraise SystemExit('must not be imported')"


@pytest.mark.usefixtures("without_airflow")
def test_dag_files_are_not_loaded_without_airflow(folder: Path) -> None:
    """Which is said, and no problem; pipelines beside them are looked at."""
    (folder / "a.py").write_text(DAG)
    (folder / "b.py").write_text(GOOD)
    why = "a DAG file, not loaded: Airflow is not installed here"
    dag, pipeline = (
        Finding(f"{folder}/a.py", True, why),
        Finding(f"{folder}/b.py:nightly", True, "1 steps, 1 parameters"),
    )
    assert found(folder) == [pipeline, dag]
    assert found(folder / "a.py") == [dag]


@pytest.mark.usefixtures("without_airflow")
@pytest.mark.parametrize(
    ("text", "is_dag"),
    [
        ("from ostinato.engines.airflow_dag import to_dag", True),
        ("import ostinato.engines.airflow_dag as mine", True),
        ("from ostinato.engines import airflow_dag", True),
        ("from airflow.sdk import DAG", False),
        ("# from ostinato.engines.airflow_dag import to_dag", False),
        ("def f():\n    from ostinato.engines.airflow_dag import to_dag", False),
        ("from ostinato.engines.airflow_run import record_id", False),
    ],
)
def test_a_dag_file_is_known_by_what_it_imports(text: str, is_dag: bool, folder: Path) -> None:
    """Others' DAGs are theirs to check."""
    (folder / "mine.py").write_text(text)
    assert [finding.ok for finding in found(folder)] == [is_dag]


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Prefect's environment as well."""
    real = installation.version_of
    monkeypatch.setattr(installation, "version_of", lambda name: None if name == "prefect" else real(name))


FLOW = "nightly = to_flow(pipeline)\nraise SystemExit('must not be imported')"


@pytest.mark.usefixtures("without_prefect")
def test_flow_files_are_not_loaded_without_prefect(folder: Path) -> None:
    """Nor deployments looked at, which is said, and no problem; pipelines beside them are looked at."""
    (folder / "a.py").write_text(FLOW)
    (folder / "b.py").write_text(GOOD)
    (folder / "prefect.yaml").write_text("expectations: [")
    flow = Finding(f"{folder}/a.py", True, "a flow file, not loaded: Prefect is not installed here")
    plan = Finding(f"{folder}/prefect.yaml", True, "deployments, not looked at: Prefect is not installed here")
    assert found(folder) == [Finding(f"{folder}/b.py:nightly", True, "1 steps, 1 parameters"), flow, plan]
    assert found(folder / "a.py") == [flow]
    assert found(folder / "prefect.yaml") == [plan]


@pytest.mark.usefixtures("without_prefect")
@pytest.mark.parametrize(
    ("text", "is_flow"),
    [
        ("nightly = to_flow(pipeline)", True),
        ("flows = [\n    prefect_flow.to_flow(each) for each in pipelines]", True),
        ("from ostinato.engines.prefect_flow import to_flow", False),
        ("# nightly = to_flow(pipeline)", False),
        ('"""nightly = to_flow(pipeline)"""\ndef to_flow(pipeline): ...', False),
        ("@flow\ndef nightly(): ...", False),
    ],
)
def test_a_flow_file_is_known_by_its_call(text: str, is_flow: bool, folder: Path) -> None:
    """Others' flows are theirs to check."""
    (folder / "mine.py").write_text(text)
    assert [finding.ok for finding in found(folder)] == [is_flow]


@pytest.mark.parametrize("place", [".venv/lib", "node_modules/kit", "venv/lib/site-packages/prefect"])
def test_deployments_of_others_are_not_looked_at(place: str, folder: Path) -> None:
    """Prefect itself brings a few."""
    (folder / place).mkdir(parents=True)
    (folder / place / "prefect.yaml").write_text("deployments: [")
    (folder / "mine.py").write_text(GOOD)
    assert [finding.ok for finding in found(folder)] == [True]

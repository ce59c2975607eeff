"""Checks: what can be wrong before anything runs, looked at offline."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ostinato
from ostinato.checks import Finding, check_all
from ostinato.errors import UsageError

GOOD = """
from ostinato import pipeline, step
@step
def note(text: str = "x") -> str:
    return text
@pipeline
def nightly(source: str = "x") -> None:
    note(source)
"""


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


def test_a_folder_without_a_pipeline_is_a_problem(folder: Path) -> None:
    """Most likely the wrong folder."""
    (finding,) = found(folder)
    assert (finding.ok, finding.message) == (False, "no file in it defines a pipeline")


def test_a_place_that_is_not_there_is_wrong_usage(folder: Path) -> None:
    """Before anything else is said."""
    with pytest.raises(UsageError, match=r"There is no file or folder .*gone"):
        next(check_all(str(folder / "gone")))


def test_two_installations_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was dropped in and an installed wheel shadow each other."""
    live = Path(ostinato.__file__).parent
    other = tmp_path / "plugins" / "ostinato"
    other.mkdir(parents=True)
    shutil.copy(live / "graph.py", other)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "plugins")])
    first = next(check_all())
    assert not first.ok
    assert first.message == f"{live} is live, and there is another copy at {other}; remove one."


def test_a_folder_of_the_same_name_is_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace or a checkout may be called ostinato."""
    (tmp_path / "ostinato").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert next(check_all()).ok

"""The catalogue: names, import paths and files lead to pipelines and steps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ostinato import catalog
from ostinato.catalog import BUILT_IN, find, find_pipeline, import_path, names, pipelines_in
from ostinato.errors import UnknownName, UsageError
from ostinato.graph import Pipeline, step

ONE = """
from ostinato import pipeline, step
from beside import NAME

@step
def note(text: str = NAME) -> str:
    return text

@pipeline
def nightly() -> None:
    note()
"""
TWO = (
    ONE
    + """
@pipeline
def weekly() -> None:
    note()
"""
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of strange files; what they import is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside.py").write_text("NAME = 'from beside'")
    yield tmp_path
    for name in set(sys.modules) - before:
        if isinstance(sys.modules[name], ModuleType) and str(tmp_path) in (
            getattr(sys.modules[name], "__file__", "") or ""
        ):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_built_in_name_leads_somewhere(kind: str) -> None:
    """The table is not ahead of the code."""
    for name in BUILT_IN[kind]:
        assert find(kind, name) is not None
    if kind == "pipelines":
        assert all(find_pipeline(name).name == name for name in BUILT_IN[kind])


def test_an_unknown_name_gets_the_nearest() -> None:
    """Of its kind."""
    with pytest.raises(UnknownName, match=r"Unknown pipeline 'fraud_detecton'. Did you mean 'fraud_detection'\?"):
        find_pipeline("fraud_detecton")
    with pytest.raises(UnknownName, match=r"Unknown chat 'slack'. Valid: none"):
        find("chats", "slack")


def third_party(folder: Path, name: str, target: str, kind: str = "pipelines") -> None:
    """Install a package as pip would: a `.dist-info` with entry points."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ostinato.{kind}]\n{name} = {target}\n")
    sys.path.insert(0, str(folder))


def test_a_third_partys_pipeline_is_found_by_its_entry_point(folder: Path) -> None:
    """Listed with ours, imported when asked for."""
    write(folder, "acme_pipelines.py", ONE)
    third_party(folder, "acme", "acme_pipelines:nightly")
    assert names("pipelines")["acme"] == "acme_pipelines:nightly"
    assert "acme_pipelines" not in sys.modules
    assert find_pipeline("acme").name == "nightly"


def test_a_third_party_cannot_take_a_built_in_name(folder: Path) -> None:
    """Ours come first."""
    third_party(folder, "fraud_detection", "evil:pipeline")
    assert names("pipelines")["fraud_detection"] == BUILT_IN["pipelines"]["fraud_detection"]


def test_a_third_partys_broken_entry_is_a_sentence(folder: Path) -> None:
    """A module that is gone, a name that is gone, a thing that is no pipeline."""
    write(folder, "acme_broken.py", "nightly = 5")
    third_party(folder, "gone", "acme_gone:nightly")
    third_party(folder, "nameless", "acme_broken:nightyl")
    third_party(folder, "number", "acme_broken:nightly")
    with pytest.raises(UsageError, match="There is no module 'acme_gone'"):
        find_pipeline("gone")
    with pytest.raises(UsageError, match=r"acme_broken has no 'nightyl'. Did you mean 'nightly'\?"):
        find_pipeline("nameless")
    with pytest.raises(UsageError, match="number is no pipeline: write @pipeline above the function"):
        find_pipeline("number")


# --- import paths -------------------------------------------------------------------------------------------------


def test_a_module_and_an_attribute_lead_to_the_object() -> None:
    """Attributes of attributes too."""
    assert import_path("ostinato.graph:step") is step
    assert import_path("ostinato.graph:Pipeline.graph") is Pipeline.graph


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "'nothing' is no import path: write module:name or file.py:name"),
        (":step", "':step' is no import path"),
        (".graph:step", "'.graph:step' is no import path"),
        ("nowhere.at_all:x", "There is no module 'nowhere.at_all' in"),
        ("ostinato.grph:step", "There is no module 'ostinato.grph' in"),
        ("ostinato.graph:stpe", r"ostinato.graph has no 'stpe'. Did you mean 'step'\?"),
        ("ostinato.graph:", "ostinato.graph has no ''"),
        ("gone.py:x", "There is no file /.*gone.py"),
    ],
)
def test_a_wrong_import_path_says_what_is_wrong(path: str, message: str) -> None:
    """The module, the file or the name."""
    with pytest.raises(UsageError, match=message):
        import_path(path)


def test_a_module_that_needs_a_missing_one_says_which(folder: Path) -> None:
    """Not that the module itself is missing."""
    write(folder, "needy.py", "import not_installed_anywhere")
    sys.path.insert(0, str(folder))
    with pytest.raises(UsageError, match="needy needs the module 'not_installed_anywhere', which is not installed"):
        import_path("needy:x")


def test_what_a_module_raises_is_not_hidden(folder: Path) -> None:
    """A bug in a user's file keeps its traceback, and a second try finds the file mended."""
    file = write(folder, "broken.py", "raise KeyError('mine')")
    with pytest.raises(KeyError, match="mine"):
        import_path(f"{file}:x")
    write(folder, "broken.py", "x = 5")
    assert import_path(f"{file}:x") == 5


# --- files --------------------------------------------------------------------------------------------------------


def test_a_file_that_has_one_pipeline_needs_no_name(folder: Path) -> None:
    """And may import what lies beside it."""
    found = find_pipeline(write(folder, "one.py", ONE))
    assert found.name == "nightly"
    assert find_pipeline(found.path) is found


def test_a_file_that_has_two_pipelines_needs_a_name(folder: Path) -> None:
    """The message lists them."""
    file = write(folder, "two.py", TWO)
    with pytest.raises(UsageError, match=rf"two.py holds 2 pipelines \(nightly, weekly\); write {file}:NAME for one"):
        find_pipeline(file)
    assert find_pipeline(f"{file}:weekly").name == "weekly"
    assert sorted(pipelines_in(file)) == ["nightly", "weekly"]


def test_a_file_without_a_pipeline_is_a_usage_error(folder: Path) -> None:
    """Also one that only imports somebody else's."""
    file = write(folder, "none.py", "from ostinato.pipelines.fraud_detection import fraud_detection")
    with pytest.raises(UsageError, match=r"none.py holds 0 pipelines \(none\)"):
        find_pipeline(file)


def test_a_plain_function_is_no_pipeline(folder: Path) -> None:
    """The decorator is missing."""
    file = write(folder, "plain.py", "def nightly(): ...")
    with pytest.raises(UsageError, match="is no pipeline: write @pipeline above the function"):
        find_pipeline(f"{file}:nightly")


def test_two_files_of_one_name_are_two_modules(folder: Path) -> None:
    """Every team has a `pipeline.py`."""
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    files = [write(folder / name, "pipeline.py", f"x = {name!r}") for name in "ab"]
    assert [import_path(f"{file}:x") for file in files] == ["a", "b"]


def test_a_file_has_the_same_module_name_in_every_process(folder: Path) -> None:
    """A worker finds what the engine traced, from whatever folder it was started."""
    file = write(folder, "one.py", ONE)
    here = find_pipeline(file)
    code = "import sys; from ostinato.catalog import *; print(find_pipeline(sys.argv[1]).function.__module__)"
    there = subprocess.check_output([sys.executable, "-c", code, "one.py"], cwd=folder, text=True).strip()
    assert there == here.function.__module__
    assert here.path == f"{file}:nightly"
    assert here.graph["note"].step.path == f"{file}:note"


def test_a_file_is_imported_once(folder: Path) -> None:
    """Two steps of one file share its state."""
    file = write(folder, "once.py", "class Thing: ...")
    assert import_path(f"{file}:Thing") is import_path(f"{file}:Thing")


def test_the_catalogue_imports_nothing_it_lists() -> None:
    """Names are strings until one is asked for."""
    code = (
        "import sys; from ostinato.catalog import names; names('pipelines'); print('ostinato.pipelines' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
    assert catalog.__doc__

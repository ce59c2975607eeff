"""The rules of the house: what importing costs, what is public, what the tree may hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ostinato
from ostinato.catalog import BUILT_IN
from ostinato.installation import NEEDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plugins" / "ostinato"
VENDORS = (
    "airflow alembic apprise duckdb fsspec great_expectations jsonschema kfp lightgbm matplotlib mlflow numpy pandas "
    "prefect pyarrow pydantic pyspark rich ruamel scipy sklearn skops slack_sdk sqlalchemy torch typer"
).split()


def package() -> list[Path]:
    """The package's Python files; those of templates are of the projects that they become."""
    return [path for path in PACKAGE.rglob("*.py") if PACKAGE / "templates" not in path.parents]


def modules() -> list[str]:
    """Every module but those that need a vendor wherever they are used: command line, samples, dialect, Copier's…"""
    found = [path.relative_to(ROOT / "plugins").with_suffix("") for path in package()]
    names = [".".join(path.parts).removesuffix(".__init__") for path in found]
    bound = r"\.cli$|\.printing$|_commands$|\.samples\.|_dialect$|\.copier_|\.engines\.(airflow|prefect)_"
    return sorted(name for name in names if not re.search(bound, name))


def loaded_by(code: str) -> set[str]:
    """The modules a fresh interpreter has loaded after running code, standard library left out."""
    report = "import sys, json; print(json.dumps([m for m in sys.modules]))"
    bare = json.loads(subprocess.check_output([sys.executable, "-c", report]))
    after = json.loads(subprocess.check_output([sys.executable, "-c", f"{code}; {report}"]))
    return {name for name in set(after) - set(bare) if name.split(".")[0] not in sys.stdlib_module_names}


def test_importing_ostinato_loads_only_the_listed_modules() -> None:
    """The list is committed beside this test; a longer one is a decision."""
    listed = (ROOT / "tests" / "imports.txt").read_text().split()
    assert sorted(loaded_by("import ostinato")) == listed


def test_no_module_needs_a_vendor_to_be_imported() -> None:
    """With every vendor gone, every module still imports: vendors are loaded where they are used."""
    block = f"import sys; sys.modules.update(dict.fromkeys({VENDORS!r}))"
    code = "; ".join([block, *(f"import {name}" for name in modules())])
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_these() -> None:
    """`__all__` is the contract."""
    assert sorted(ostinato.__all__) == [
        "Approval",
        "Dataset",
        "Deployment",
        "Metrics",
        "Model",
        "Promotion",
        "Report",
        "Verdict",
        "each",
        "either",
        "otherwise",
        "pipeline",
        "secret",
        "step",
        "when",
    ]
    assert all(hasattr(ostinato, name) for name in ostinato.__all__)


def test_steps_offers_every_ready_made_step_by_name() -> None:
    """What `ostinato.steps` lists is there, and is a step."""
    from ostinato import steps
    from ostinato.graph import Step

    assert all(isinstance(getattr(steps, name), Step) for name in steps.__all__)
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = steps.nothing


def test_airflow_is_told_to_leave_the_package_alone() -> None:
    """Two lines: one for each of Airflow's ignore syntaxes."""
    assert (PACKAGE / ".airflowignore").read_text() == "*\n.*\n"


def test_no_file_is_called_like_a_library() -> None:
    """A dropped-in folder may be executed file by file: a name must not shadow a library."""
    stems = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not stems & {*VENDORS, "types", "slack_sdk"}


def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_every_test_says_in_a_sentence_what_it_shows() -> None:
    """The suite reads as a specification."""
    silent = [
        f"{path.name}:{function.lineno} {function.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for function in functions(ast.parse(path.read_text()))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_every_public_function_of_the_package_has_a_docstring() -> None:
    """What has no underscore is for others to read."""
    silent = []
    for path in [*package(), *(ROOT / "plugins").glob("*.py")]:
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                continue
            overloaded = any(ast.unparse(each) == "overload" for each in node.decorator_list)
            if not overloaded and not ast.get_docstring(node):
                silent.append(f"{path.name}:{node.lineno}")
    assert silent == []


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file()]


def test_nothing_in_the_tree_names_a_machine_or_a_package_index() -> None:
    """Paths of one machine and addresses of registries are nobody else's."""
    pattern = re.compile(r"(?<![\w.$}/-])/(work|root|home)/[a-z]|https?://[^ \"]+/(simple|packages)/|--index-url")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix not in {".png", ".svg", ".parquet"} and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["airflow", "base", "dev", "prefect", "uv"])
def test_requirements_are_pinned_and_hashed_and_carry_no_addresses(name: str) -> None:
    """One file an environment; every line a version and its hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if entry]
    assert all(re.match(r"[\w.-]+(\[[\w,]+\])?==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize(("name", "extras"), [("base", []), ("airflow", ["airflow"]), ("prefect", ["prefect"])])
def test_requirements_satisfy_what_the_package_declares(name: str, extras: list[str]) -> None:
    """`make lock` was run after the last change of a bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    for line in sum((project["optional-dependencies"][extra] for extra in extras), project["dependencies"]):
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[wanted.name.lower().replace(".", "-")]), line
        assert any(each.operator in (">=", "==") for each in wanted.specifier), f"{line} has no lower bound"


def test_a_dropped_in_folder_knows_what_it_needs() -> None:
    """It has no metadata; its own list says what pyproject says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(NEEDS) == project["dependencies"]
    assert all(re.fullmatch(r"[\w.-]+>=[\d.]+(,<[\d.]+)?", need) for need in NEEDS)


@pytest.mark.parametrize(
    ("folder", "words", "module", "make"),
    [("dags", {"dag", "airflow"}, "airflow_dag", "to_dag"), ("flows", {"flow", "prefect"}, "prefect_flow", "to_flow")],
)
def test_every_ready_made_pipeline_has_its_file_for_an_engine(
    folder: str, words: set[str], module: str, make: str
) -> None:
    """Three lines that the engine finds: file, variable, pipeline, DAG and flow bear one name; all imports are ours."""
    files = {path.stem: path.read_text() for path in (ROOT / folder).glob("*.py") if path.stem != "watch"}
    assert sorted(files) == sorted(BUILT_IN["pipelines"])
    for name, text in files.items():
        assert words <= set(re.findall(r"[a-z]+", text.lower())), name  # Airflow reads no file without its own
        docstring, *imports, last = ast.parse(text).body
        assert isinstance(docstring, ast.Expr)
        assert [ast.unparse(line) for line in imports] == [
            f"from ostinato.engines.{module} import {make}",
            f"from ostinato.pipelines.{name} import {name} as pipeline",
        ]
        assert ast.unparse(last) == f"{name} = {make}(pipeline)"


def test_the_version_is_the_same_everywhere() -> None:
    """pyproject, package and changelog agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ostinato.__version__
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_the_makefile_has_at_most_eight_verbs_and_explains_them() -> None:
    """`make` alone tells what there is: help, and what it helps with."""
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^  make (\S+)", said, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert sorted(verbs) == sorted(phony[1].split())
    assert len(verbs) <= 1 + 8


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Installed or dropped in, it is the same tree, ignore file and type marker included."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {str(path.relative_to(ROOT / "plugins")) for path in PACKAGE.rglob("*") if path.is_file()}
    assert names == {"ostinato_airflow_plugin.py", *(name for name in there if "__pycache__" not in name)}
    assert {"ostinato/.airflowignore", "ostinato/py.typed"} <= names

"""What can be wrong before anything runs: looked at offline."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import dag_files, flow_files, installation, parameters
from .catalog import find_pipeline, names, pipelines_in
from .errors import OstinatoError, UsageError
from .flow_files import count
from .graph import Pipeline

SUITES = (".yaml", ".yml")
_DAG = r"^(from|import)\s+ostinato\.engines\b.*\bairflow_dag\b"
_FLOW = r"\A(?![\s\S]*^def to_flow\b)[\s\S]*^[^#\n]*\bto_flow\("  # called, not made
_PLAN = "prefect.yaml"
# What a file must say to be looked at, by how its name ends.
_SAID = {
    ".py": rf"^\s*@(\w+\.)?pipeline\b|{_DAG}|{_FLOW}",
    **dict.fromkeys(SUITES, r"^\ufeff?[\"']?expectations[\"']?\s*:"),
}
_OTHERS = frozenset({"site-packages", "node_modules", "__pycache__"})


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    message: str


def check_all(path: str | None = None) -> Iterator[Finding]:
    """The installation, then the pipelines and suites of `path` (a file or folder), or the ready-made pipelines."""
    if path is not None and not Path(path).exists():
        raise UsageError(f"There is no file or folder {path}.")
    yield from _installation()
    if path is None:
        for name in names("pipelines"):
            yield _pipeline(name)
    else:
        yield from _files(Path(path))


def _installation() -> Iterator[Finding]:
    """One copy, shielded from Airflow's plugin search, with all that it needs."""
    twice = installation.doubled()
    yield Finding("installation", twice is None, twice or installation.described())
    yield _python()
    for subject, problem in (
        ("plugins folder", installation.unguarded()),
        ("requirements", installation.unmet()),
        ("Prefect", installation.prefect_unfit()),
    ):
        if problem:
            yield Finding(subject, False, problem)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", (3, 11) <= sys.version_info < (3, 14), f"{found} (3.11 to 3.13 are supported)")


def _files(path: Path) -> Iterator[Finding]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if _is_ours(file, path))
    folder = path if path.is_dir() else path.parent
    dags = [file for file in files if file.suffix == ".py" and _says(file, _DAG)]
    flows = [file for file in files if file.name == _PLAN or (file.suffix == ".py" and _says(file, _FLOW))]
    if not files:
        yield Finding(str(path), False, "no file in it defines a pipeline, makes a DAG or a flow, or is a suite")
    for file in files:
        if file not in dags and file not in flows:
            yield from _suite(file) if file.suffix in SUITES else _pipelines(file)
    if dags:
        yield from _dags(dags, folder)
    if flows:
        yield from _flows(flows, folder)


def _is_ours(file: Path, folder: Path) -> bool:
    """Only a file with @pipeline, to_dag or to_flow is imported, or `expectations:` read, and none of others."""
    said = "" if file.name == _PLAN else _SAID.get(file.suffix)
    folders = file.relative_to(folder).parts
    if said is None or _OTHERS.intersection(folders) or any(part.startswith(".") for part in folders):
        return False
    return file.is_file() and _says(file, said)


def _says(file: Path, pattern: str) -> bool:
    return re.search(pattern, file.read_text(errors="replace"), re.MULTILINE) is not None


def _dags(files: list[Path], folder: Path) -> Iterator[Finding]:
    """How many DAGs and tasks Airflow finds in each, or the error it would show, at its line."""
    if installation.version_of(installation.AIRFLOW) is None:
        why = "a DAG file, not loaded: Airflow is not installed here"
        yield from (Finding(str(file), True, why) for file in files)
        return
    try:
        for loaded in dag_files.load(files, folder):
            place = f"{loaded.file}:{loaded.line}" if loaded.line else str(loaded.file)
            if loaded.error:
                yield Finding(place, False, loaded.error)
            elif loaded.tasks:
                yield Finding(place, True, f"{count(len(loaded.tasks), 'DAG')}, {count(sum(loaded.tasks), 'task')}")
            else:
                yield Finding(place, False, "makes no DAG that Airflow finds: write name = to_dag(…) at its top level")
    except RuntimeError as error:
        yield Finding(str(folder), False, f"Airflow cannot load DAG files here: {error}")


def _flows(files: list[Path], folder: Path) -> Iterator[Finding]:
    """Name, parameters and deployments of each flow, or the error that Prefect hides, at its line."""
    plans = [file for file in files if file.name == _PLAN]
    if installation.version_of(installation.PREFECT) is None:
        for file in files:
            what = "deployments, not looked at" if file in plans else "a flow file, not loaded"
            yield Finding(str(file), True, f"{what}: Prefect is not installed here")
        return
    for said in flow_files.check([file for file in files if file not in plans], plans, folder):
        yield Finding(*said)


def _pipelines(file: Path) -> Iterator[Finding]:
    try:
        found = pipelines_in(str(file))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # some leave: sys.exit, pytest.skip
        yield Finding(str(file), False, f"cannot be imported: {type(error).__name__}: {error}")
        return
    if not found:
        yield Finding(str(file), False, "defines no pipeline")
    for name in found:
        yield _pipeline(f"{file}:{name}")


def _suite(file: Path) -> Iterator[Finding]:
    """Each problem of a suite, with its line, or how many rules it has."""
    from .suites.reading import SuiteError, read_suite

    try:
        rules = len(read_suite(str(file)).rules)
    except SuiteError as error:
        for problem in error.problems:
            said = problem.removeprefix(str(file))
            line = re.match(r":\d+(?=: )", said)
            yield Finding(f"{file}{line[0] if line else ''}", False, said.removeprefix(line[0] if line else "")[2:])
    except OstinatoError as error:
        yield Finding(str(file), False, str(error))
    else:
        yield Finding(str(file), True, count(rules, "rule"))


def _pipeline(name: str) -> Finding:
    try:
        found = find_pipeline(name)
        steps = len(found.graph.nodes)
        parameters.schema(found)
        _schedulable(found)
    except OstinatoError as error:
        return Finding(name, False, str(error))
    except Exception as error:  # a stranger's pipeline raises what it likes
        return Finding(name, False, f"cannot be traced: {type(error).__name__}: {error}")
    return Finding(name, True, f"{steps} steps, {len(parameters.names(found))} parameters")


def _schedulable(pipeline: Pipeline[...]) -> None:
    """A clock fills in no form: what is scheduled needs a default for every parameter."""
    missing = [name for name in parameters.names(pipeline) if parameters.default(pipeline, name) is parameters.MISSING]
    if pipeline.options.schedule and missing:
        raise UsageError(f"it has a schedule, and no default for {', '.join(missing)}")

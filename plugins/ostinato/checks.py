"""What can be wrong before anything runs: looked at offline."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import __version__, parameters
from .catalog import find_pipeline, names, pipelines_in
from .errors import OstinatoError, UsageError
from .graph import Pipeline

SUITES = (".yaml", ".yml")
# What a file must say to be looked at, by how its name ends.
_SAID = {".py": r"^\s*@(\w+\.)?pipeline\b", **dict.fromkeys(SUITES, r"^\ufeff?[\"']?expectations[\"']?\s*:")}
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
    yield _installation()
    yield _python()
    if path is None:
        for name in names("pipelines"):
            yield _pipeline(name)
    else:
        yield from _files(Path(path))


def _installation() -> Finding:
    """A folder that was dropped in and an installed wheel shadow each other: one must go."""
    live = str(Path(__file__).parent)
    copies = {live} | {str(place) for entry in sys.path if (place := Path(entry or ".", "ostinato").resolve()).is_dir()}
    copies = {copy for copy in copies if Path(copy, "graph.py").exists()}
    try:
        installed = f"ostinato {metadata.version('ostinato')}"
    except metadata.PackageNotFoundError:
        installed = f"ostinato {__version__}, a folder that was dropped in"
    if len(copies) > 1:
        others = ", ".join(sorted(copies - {live}))
        return Finding("installation", False, f"{live} is live, and there is another copy at {others}; remove one.")
    return Finding("installation", True, f"{installed} at {live}")


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", (3, 11) <= sys.version_info < (3, 14), f"{found} (3.11 to 3.13 are supported)")


def _files(path: Path) -> Iterator[Finding]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if _is_ours(file, path))
    if not files:
        yield Finding(str(path), False, "no file in it defines a pipeline or is a suite")
    for file in files:
        yield from _suite(file) if file.suffix in SUITES else _pipelines(file)


def _is_ours(file: Path, folder: Path) -> bool:
    """Only a file that says @pipeline is imported, or `expectations:` read, and none of an environment's."""
    said = _SAID.get(file.suffix)
    folders = file.relative_to(folder).parts
    if said is None or _OTHERS.intersection(folders) or any(part.startswith(".") for part in folders):
        return False
    return file.is_file() and re.search(said, file.read_text(errors="replace"), re.MULTILINE) is not None


def _pipelines(file: Path) -> Iterator[Finding]:
    try:
        found = pipelines_in(str(file))
    except (Exception, SystemExit) as error:
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
        yield Finding(str(file), True, f"{rules} rule{'s' if rules > 1 else ''}")


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

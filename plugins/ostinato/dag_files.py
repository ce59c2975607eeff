"""DAG files, loaded as Airflow loads them: in a process of their own; its database is not needed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .separate import answer

_LOAD = """
import os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.devnull, collect_dags=False)
found = {file: [len(dag.tasks) for dag in bag.process_file(file)] for file in asked}
said = [found, bag.import_errors]
"""
# What stands between an exception's chain and its own words.
_FRAMES = re.compile(r"^Traceback \(most recent call last\):\n(?: .*\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Loaded:
    """What came of a file: the number of tasks in each of its DAGs, or the error and its line."""

    file: Path
    tasks: Sequence[int] = ()
    error: str | None = None
    line: int | None = None


def load(files: Sequence[Path], folder: Path) -> Iterator[Loaded]:
    """Each file's DAGs; `folder` is where they may import from.

    Raises:
        RuntimeError: Airflow gave no answer; the last thing it said.
    """
    paths = [str(file.resolve()) for file in files]
    with tempfile.TemporaryDirectory(prefix="ostinato-") as home:
        found, errors = answer(_LOAD, paths, path=[folder], environment=_environment(home))
    for file, path in zip(files, paths, strict=True):
        yield _failed(file, errors[path]) if path in errors else Loaded(file, tasks=found[path])


def _failed(file: Path, trace: str) -> Loaded:
    """The words of the last exception, at the last line of the file that led to it."""
    lines = re.findall(rf'^  File "{re.escape(str(file.resolve()))}", line (\d+)', trace, re.MULTILINE)
    return Loaded(file, error=_FRAMES.split(trace)[-1].strip(), line=int(lines[-1]) if lines else None)


def _environment(home: str) -> dict[str, str]:
    """The caller's Airflow; where there is none yet, a passing one instead of a new folder in the home directory."""
    own = {} if Path("~/airflow").expanduser().is_dir() else {"AIRFLOW_HOME": home}
    # as deep as it goes: by default the two frames that are kept may not be the file's own
    return {**own, **os.environ, "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "1000"}

"""DAG files, loaded as Airflow loads them: in a process of their own; its database is not needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Like Airflow, which appends the plugins folder and the folder of the DAGs, it looks there last.
_LOAD = """
import json, os, sys
answer, *places = sys.argv[1:4]
sys.path += places
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.devnull, collect_dags=False)
found = {file: [len(dag.tasks) for dag in bag.process_file(file)] for file in sys.argv[4:]}
with open(answer, "w") as out:
    json.dump([found, bag.import_errors], out)
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
    with tempfile.TemporaryDirectory(prefix="ostinato-") as place:
        answer = Path(place, "answer.json")
        paths = [str(file.resolve()) for file in files]
        command = [sys.executable, "-P", "-c", _LOAD, str(answer), str(Path(__file__).parents[1]), str(folder), *paths]
        env = _environment(place)
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 -- Python itself
        if not answer.exists():
            raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        found, errors = json.loads(answer.read_text())
    for file, path in zip(files, paths, strict=True):
        yield _failed(file, errors[path]) if path in errors else Loaded(file, tasks=found[path])


def _failed(file: Path, trace: str) -> Loaded:
    """The words of the last exception, at the last line of the file that led to it."""
    lines = re.findall(rf'^  File "{re.escape(str(file.resolve()))}", line (\d+)', trace, re.MULTILINE)
    return Loaded(file, error=_FRAMES.split(trace)[-1].strip(), line=int(lines[-1]) if lines else None)


def _environment(place: str) -> dict[str, str]:
    """The caller's Airflow; where there is none yet, a passing one instead of a new folder in the home directory."""
    home = {} if Path("~/airflow").expanduser().is_dir() else {"AIRFLOW_HOME": place}
    # as deep as it goes: by default the two frames that are kept may not be the file's own
    return {**home, **os.environ, "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "1000"}

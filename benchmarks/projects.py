"""What making a project costs, beside Copier's own command on the same files, and how long the project's tests take.

    python benchmarks/projects.py [--repeats 5]

Each run is a process of its own, the two ways taking turns; seconds are those of the process from its start to its end,
imports and all, with compiled modules on disk. Copier's command renders the template as it is laid out for it, and does
none of what is done to Python files, suite and answers. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import side_by_side

WAYS = ("ostinato", "copier")


def measure(repeats: int = 5) -> list[dict[str, Any]]:
    """Medians for each template: `{template, cpu_ratio, ostinato_cpu, copier_cpu, ostinato_wall, …, tests_wall}`."""
    from ostinato.scaffold.finding import built_in

    return [_measure(template, repeats) for template in built_in()]


def _measure(template: str, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ostinato-benchmark-") as home:
        environment = {**os.environ, "OSTINATO_HOME": f"{home}/workspace"}
        side_by_side.child(__file__, environment, "lay_out", template, home)
        runs = side_by_side.take_turns(__file__, environment, WAYS, repeats, template, home)
        tests = [side_by_side.child(__file__, environment, "tests", template, home) for _ in range(min(repeats, 3))]
    tested = side_by_side.medians({"tests": tests}, ("cpu", "wall"))
    measured = side_by_side.medians(runs, ("cpu", "wall"))
    return {"template": template, "cpu_ratio": side_by_side.ratio(runs, *WAYS), **measured, **tested}


def _be_child(task: str, template: str, home: str) -> Any:
    """What runs in a process of its own; the answer goes to stdout as JSON."""
    python = [sys.executable, "-m"]
    if task == "lay_out":
        return _lay_out(template, home)
    if task == "tests":
        return _took([*python, "pytest", "-q"], f"{home}/by_ostinato")
    project = f"{home}/by_{task}"
    shutil.rmtree(project, ignore_errors=True)
    if task == "copier":
        given = ["--defaults", "--quiet", "--data", "name=by_copier"]
        return _took([*python, "copier", "copy", *given, f"{home}/template", project], home)
    return _took([*python, "ostinato.cli", "new", template, project, "--defaults"], home)


def _lay_out(template: str, home: str) -> str:
    """The template's files over those it shares, as Copier is given them."""
    from ostinato.scaffold.finding import find_template
    from ostinato.scaffold.rendering import put_together

    with put_together(find_template(template)) as source:
        shutil.copytree(source, f"{home}/template")
    return home


def _took(command: Sequence[str], folder: str) -> dict[str, float]:
    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, began = cpu(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {"cpu": cpu() - before, "wall": time.perf_counter() - began}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_be_child(*sys.argv[2:])))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--repeats", type=int, default=5)
        for found in measure(parser.parse_args().repeats):
            print(found, flush=True)

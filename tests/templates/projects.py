"""Projects made from the ready-made templates, and what their owners would do with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ostinato.scaffold.finding import find_template
from ostinato.scaffold.making import make

TEMPLATES = ("blank", "bring_your_model", "fraud_detection", "recommendation_retraining")
PLUGINS = Path(__file__).parents[2] / "plugins"


def made(template: str, engine: str, folder: Path) -> Path:
    """A project on made-up data, as `ostinato new --defaults -a engine=…` makes it."""
    make(find_template(template), folder, {"engine": engine, "owner": "risk & co", "schedule": "0 5 * * *"})
    return folder


def ordered(target: str, project: Path, cache: Path) -> str:
    """What `make TARGET` says in a project, by this interpreter; the type checker's cache is for all projects.

    ostinato is found where these tests have it: in some environments it is not installed.
    """
    here = {
        "MYPY_CACHE_DIR": str(cache),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PLUGINS),
        "MYPYPATH": str(PLUGINS),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OSTINATO_")}
    done = subprocess.run(
        ["make", target, f"PYTHON={sys.executable}"],
        cwd=project,
        env={**environment, **here},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said

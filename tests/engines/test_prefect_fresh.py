"""A fresh environment with nothing but Prefect and ostinato, after the README's lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

from test_readme import ROOT, SHELL

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


def _of_somebody_new(home: Path) -> dict[str, str]:
    """An environment in which nothing was set up, but that ostinato can be imported."""
    left_out = ("PREFECT_", "OSTINATO_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "PYTHONPATH": str(ROOT / "plugins")}


def test_the_readmes_block_deploys_everything(prefect_api: str, tmp_path: Path) -> None:
    """A work pool, then all that prefect.yaml lists, from a folder that was copied."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    environment = {**_of_somebody_new(tmp_path), "PREFECT_API_URL": prefect_api, "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        ["sh", "-eu", "-c", SHELL[10]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("fraud_detection", "recommendation_retraining", "data_validation", "watch"):
        assert f"Deployment '{name}/production' successfully created" in " ".join(done.stdout.split()), done.stdout


def test_what_is_deployed_passes_the_check(tmp_path: Path) -> None:
    """`ostinato check` on the copied folder finds every flow, and nothing to complain of."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    command = [sys.executable, "-m", "ostinato.cli", "check", str(tmp_path)]
    environment = _of_somebody_new(tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert len(re.findall(r"flow \w+, \d+ parameters, 1 deployment\b", done.stdout)) == 3
    assert "prefect.yaml: 4 deployments" in done.stdout


def test_the_handbooks_own_flow_can_be_built() -> None:
    """What people copy from the handbook is a flow."""
    text = (ROOT / "docs" / "prefect.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (own,) = [block for block in blocks if "@flow" in block]
    found: dict[str, object] = {}
    exec(own, found)
    assert type(found["churn"]).__name__ == "Flow"

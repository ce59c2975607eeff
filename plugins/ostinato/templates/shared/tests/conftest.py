"""What every test stands on: a workspace of its own, nothing of the caller's settings, no telemetry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.update(DO_NOT_TRACK="1", GX_ANALYTICS_ENABLED="false", MLFLOW_DISABLE_TELEMETRY="true")
os.environ["OMP_NUM_THREADS"] = "1"  # small models are trained faster by one thread than by several


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment or `.env` says, nothing is kept, served or told elsewhere."""
    for name in list(os.environ):
        if name.startswith(("OSTINATO_", "SLACK_")) or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

"""A store to test against: MLflow's real one on sqlite, migrated once a session and copied."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl  # type: ignore[import-untyped]

import ostinato
from ostinato.context import Context
from ostinato.integrations import mlflow_connection
from ostinato.tables import Dataset
from ostinato.workspace import Workspace


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        mlflow_connection.import_mlflow()
        mlflow_connection._make_database(Path(folder, "mlflow.db"), Path(folder, "mlartifacts").as_uri())
        return Path(folder, "mlflow.db").read_bytes()


def put_store(home: Path) -> None:
    """A fresh, migrated mlflow.db in the workspace."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "mlflow.db").write_bytes(_migrated())


def context(step: str = "train", **more: Any) -> Context:
    """A step of the run `r1` of the pipeline `fraud` in the workspace here."""
    return Context(Workspace.here(), **{"run_id": "r1", "step": step, "pipeline": "fraud", **more})


def client() -> Any:
    """MLflow's own client of the workspace here."""
    uri = mlflow_connection.address(Workspace.here())
    return mlflow_connection.import_mlflow().MlflowClient(uri, registry_uri=uri)


def one_thread() -> Any:
    """Small models are trained faster by one thread than by several that wait for each other."""
    return threadpoolctl.threadpool_limits(1)


def run_python(code: str, *, wait: bool = True) -> Any:
    """Run code in a fresh process in the same workspace."""
    plugins, tests = Path(ostinato.__file__).parents[1], Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{plugins}{os.pathsep}{tests}"}
    started = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if not wait:
        return started
    out, err = started.communicate(timeout=120)
    return subprocess.CompletedProcess([], started.returncode, out, err)


def transactions(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Ten days of payments of 200 cards; `risk` and `speed` tell fraud, `night` tells nothing."""
    random = np.random.default_rng(seed)
    seconds = np.sort(random.integers(0, 10 * 86_400, rows))
    table = pd.DataFrame(
        {
            "id": np.arange(rows),
            "time": pd.Timestamp("2026-01-01") + pd.to_timedelta(seconds, unit="s"),
            "card": random.integers(0, 200, rows),
            "terminal": random.integers(0, 50, rows),
            "amount": random.gamma(2, 30, rows).round(2),
            "risk": random.normal(size=rows),
            "speed": random.normal(size=rows),
            "night": random.random(rows) < 0.3,
        }
    )
    table["label"] = (table.risk + table.speed / 2 + random.normal(size=rows) * 0.7 > 2.2).astype("int64")
    return table


def saved(table: pd.DataFrame, name: str = "data") -> Dataset:
    """A table as a step's output, outside of the run under test."""
    return Dataset.of(table, name, time="time" if "time" in table else None)

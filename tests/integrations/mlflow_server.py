"""An MLflow server of our own for a while: on a free loopback port, in a folder, stopped by its own pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integrations.mlflow_store import put_store


@dataclass
class Server:
    """A running `mlflow server`; it can be stopped and started again on the same port and database."""

    folder: Path
    port: int
    workers: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it with all its workers, and see that they are gone."""
        children = _family(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)
        _end(children)

    def start(self) -> None:
        """Run it again where it was."""
        self.process = _started(self.folder, self.port, self.workers)


@contextmanager
def mlflow_server(folder: Path, workers: int = 2) -> Iterator[Server]:
    """A server with a fresh sqlite database, that hands out artifacts itself."""
    put_store(folder)
    port = _free_port()
    server = Server(folder, port, workers, _started(folder, port, workers))
    try:
        yield server
    finally:
        server.stop()


def _started(folder: Path, port: int, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/served"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    with open(folder / "server.log", "ab") as log:
        process = subprocess.Popen(
            [*command, *store, "--workers", str(workers)],
            env={**environment, **settings},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return process
        except OSError:
            time.sleep(0.2)
    children = _family(process.pid)
    process.kill()
    process.wait(timeout=20)
    _end(children)
    raise AssertionError(f"the MLflow server did not start: {(folder / 'server.log').read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _family(pid: int) -> list[int]:
    """A process's children, and theirs."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            child = int(stat.parent.name)
            found += [child, *_family(child)]
    return found


def _end(pids: list[int]) -> None:
    until = time.monotonic() + 10
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > until:
            for pid in pids:
                if _alive(pid):
                    os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + 10
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

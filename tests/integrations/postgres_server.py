"""A PostgreSQL of our own for a while: on a free loopback port, in a temporary folder, stopped by its own pid."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def postgres_server(connections: int = 20) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database in the C locale and UTC; the test is skipped where none can be.

    Args:
        connections: how many it takes at once.
    """
    programs, user = _programs(), _user()
    with tempfile.TemporaryDirectory(prefix="ostinato-postgres-") as folder:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        started: dict[str, Any] = {"cwd": folder, "stderr": subprocess.STDOUT}
        if user is not None:
            started |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = f"{folder}/data"
        command = [programs / "initdb", "-D", data, "-U", "ostinato", "--auth=trust", "--locale=C", "--encoding=UTF8"]
        made = subprocess.run([*command, "--no-sync"], stdout=subprocess.PIPE, text=True, check=False, **started)
        assert made.returncode == 0, made.stdout
        port = _free_port()
        # No Unix socket, and nothing survives: no write has to reach the disk.
        settings = [
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            "",
            "-F",
            "-c",
            "timezone=UTC",
            "-c",
            f"max_connections={connections}",
        ]
        with open(Path(folder, "log"), "w+") as log:
            process = subprocess.Popen([programs / "postgres", "-D", data, *settings], stdout=log, **started)
            try:
                _wait(Path(data), process, log)
                yield f"postgresql+psycopg://ostinato@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(signal.SIGINT)  # disconnects everybody
                process.wait(timeout=30)


def _programs() -> Path:
    folders = [*os.get_exec_path(), *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    for folder in folders:
        if all(shutil.which(name, path=folder) for name in ("initdb", "postgres")):
            return Path(folder)
    pytest.skip("No PostgreSQL here: neither PATH nor /usr/lib/postgresql has initdb and postgres.")


def _user() -> pwd.struct_passwd | None:
    """Whom to run it as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`.")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(data: Path, process: subprocess.Popen[bytes], log: Any) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        status = data / "postmaster.pid"
        if status.exists() and status.read_text().rstrip().endswith("ready"):
            return
        time.sleep(0.05)
    log.seek(0)
    raise AssertionError(f"PostgreSQL did not start: {log.read()}")

"""A process that runs steps for the local engine, one after the other, and can be killed at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ostinato.errors import ConfigurationError
from ostinato.runner import Request


class Worker:
    """Starts at once; `send` a request, then read `events` whenever its `output` is readable."""

    def __init__(self, interpreter: str, held: int) -> None:
        """Start the process.

        Args:
            interpreter: the Python to run.
            held: a file descriptor it keeps open as long as it lives (the run's lock).
        """
        self.interpreter = interpreter
        self._rest = b""
        command = [interpreter, "-m", "ostinato.run_step", "--serve"]
        self._process = subprocess.Popen(  # noqa: S603  (the interpreter is ours or the user's own choice)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(held,),
            start_new_session=True,  # a group of its own: what a step starts is killed with it
            env={**os.environ, "PYTHONPATH": _import_path()},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self.output = self._process.stdin, self._process.stdout
        os.set_blocking(self.output.fileno(), False)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, request: Request) -> None:
        """Hand over the next step; a process that has died shows by the end of its output."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(json.dumps(asdict(request)).encode() + b"\n")
            self._input.flush()

    def events(self) -> Iterator[dict[str, Any] | None]:
        """What it has said since; None once it has died."""
        while True:
            try:
                chunk = os.read(self.output.fileno(), 1 << 16)
            except BlockingIOError:
                return
            if not chunk:
                yield None
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)

    def kill(self) -> int:
        """End it and everything its step has started; gives the exit code it had or gets."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self.output.close()
        return code


def interpreter_of(name: str | None) -> str:
    """The interpreter for `step(python=name)`; this one for None."""
    if name is None:
        return sys.executable
    variable = f"OSTINATO_PYTHON_{name.upper()}"
    chosen = os.environ.get(variable)
    if not chosen or not os.access(chosen, os.X_OK):
        raise ConfigurationError(
            f"A step wants the interpreter {name!r}: set {variable} to a Python that has ostinato's core and the "
            f"step's libraries (it is {chosen!r})."
        )
    return chosen


def _import_path() -> str:
    """What this process can import beyond its own installation, so that a worker finds the same steps."""
    standard = {os.path.realpath(place) for place in sysconfig.get_paths().values()}
    entries = [os.path.abspath(entry) for entry in sys.path if not entry.endswith(".zip")]
    extra = [entry for entry in entries if not any(_within(entry, place) for place in standard)]
    source = str(Path(__file__).parents[2])
    if "site-packages" not in source:
        extra.append(source)
    return os.pathsep.join(dict.fromkeys(extra))


def _within(entry: str, place: str) -> bool:
    return os.path.commonpath([os.path.realpath(entry), place]) == place

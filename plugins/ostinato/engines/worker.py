"""A process that runs steps, one after the other, in this or another interpreter, and can be killed at any moment."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ostinato.context import Resolve, from_environment
from ostinato.errors import ConfigurationError, StepLost, StepTimedOut
from ostinato.runner import Request


class Worker:
    """Starts at once; `send` a request, then read `events` whenever its `output` is readable."""

    def __init__(self, interpreter: str, *held: int) -> None:
        """Start the process.

        Args:
            interpreter: the Python to run.
            held: file descriptors it keeps open as long as it lives (the run's lock).
        """
        self.interpreter = interpreter
        self._rest = b""
        command = [interpreter, "-m", "ostinato.run_step", "--serve"]
        self._process = subprocess.Popen(  # noqa: S603  (the interpreter is ours or the user's own choice)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=held,
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
        self._tell(vars(request))

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._input.write(json.dumps(message).encode() + b"\n")
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

    def wait(
        self,
        hear: Callable[[dict[str, Any]], None] = lambda _: None,
        *,
        resolve: Resolve = from_environment,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Its last word on what it was sent: the event "done" or "failed".

        Args:
            hear: hears what it says before.
            resolve: finds the secrets it asks for.
            seconds: the longest that may take.

        Raises:
            StepLost: it has died.
            StepTimedOut: it took longer, and was killed.
        """

        def left(deadline: float | None) -> float:
            return math.inf if deadline is None else deadline - time.monotonic()

        deadline = None if seconds is None else time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            while left(deadline) > 0 and selector.select(None if deadline is None else left(deadline)):
                for event in self.events():
                    if left(deadline) <= 0:  # it may talk for ever
                        break
                    if event is None:
                        raise StepLost(f"The process ended without a word ({exit_of(self.kill())}).")
                    if event["event"] in ("done", "failed"):
                        return event
                    if event["event"] == "secret":
                        self._tell({"secret": resolve(event["name"])})
                    else:
                        hear(event)
        self.kill()
        raise StepTimedOut(f"It took longer than {seconds:.0f} seconds and was killed.")

    def end(self) -> None:
        """Have it end, and everything its step has started; who waits for it in another thread hears of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> int:
        """End it and everything its step has started; gives the exit code it had or gets."""
        self.end()
        code = self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self.output.close()
        return code


class Pool:
    """Workers for threads that each want one for a while.

    Attributes:
        ended: whether all of them were ended while they worked; until the next `begin`.
    """

    def __init__(self) -> None:
        self.ended = False
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._free = threading.Semaphore(side_by_side())

    @contextlib.contextmanager
    def worker(self, interpreter: str) -> Iterator[Worker]:
        """One of that interpreter, as soon as there may be another; whatever is raised in the body ends it."""
        with self._free:
            if self.ended:
                raise StepLost("The run was ended from outside.")
            worker = self._taken(interpreter) or Worker(interpreter)
            self._busy.add(worker)
            try:
                yield worker
            except BaseException:
                worker.kill()
                raise
            finally:
                self._busy.discard(worker)
            self._idle.append(worker)

    def _taken(self, interpreter: str) -> Worker | None:
        """The one that worked last and has most imported."""
        for worker in [one for one in reversed(self._idle) if one.interpreter == interpreter]:
            with contextlib.suppress(ValueError):  # another thread was faster
                self._idle.remove(worker)
                if worker.alive:
                    return worker
                worker.kill()
        return None

    def begin(self) -> None:
        """There is work again."""
        self.ended = False

    def end(self) -> None:
        """End all of them, whatever they do."""
        self.ended = True
        for worker in list(self._busy):
            worker.end()
        self.close()

    def close(self) -> None:
        """End those that have nothing to do."""
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().kill()


def side_by_side() -> int:
    """How many steps run at once: `OSTINATO_PARALLEL`, else one a core, at most four."""
    return int(os.environ.get("OSTINATO_PARALLEL") or min(4, os.cpu_count() or 1))


def exit_of(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"{name}: out of memory?" if name == "SIGKILL" else name
    return f"signal {-code}"


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

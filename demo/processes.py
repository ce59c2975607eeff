"""What a demo needs to start processes that belong together, to watch them, and to end every one of them.

The standard library is enough for that, with the help of /proc, which Linux has.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / ".ostinato/sample/transactions"  # of `make run`
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MARK = "STARTED_TOGETHER"


class Died(Exception):
    """A process ended by itself or never got ready; the text ends with its log."""


class InUse(Exception):
    """Others of the kind, or what is left of them, run in the same home."""


class Refused(Exception):
    """The API answered with an error; `status` is its code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


@dataclass(kw_only=True)
class Ensemble:
    """Processes on loopback that share a home: each has its log there, and all of them end together."""

    program: ClassVar[str]  # as it is called in messages
    server: ClassVar[str]  # the one that the others report to
    home: Path
    port: int
    environment: Mapping[str, str] = field(repr=False)  # it holds secrets
    lock: IO[str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def url(self) -> str:
        """Where people and programs find it."""
        return f"http://127.0.0.1:{self.port}"

    def launch(
        self, name: str, command: Sequence[str], folder: Path | None = None, more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own: Ctrl-C is for us alone, and its family can be found.

        `more` is of the environment.
        """
        with open(self.home / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command,
                env={**self.environment, **(more or {}), MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder or self.home,
                start_new_session=True,
                pass_fds=[self.lock.fileno()],  # held as long as one of them lives, whatever becomes of us
            )
        self.started.add(process.pid)
        print(process.pid, end=" ", file=self.lock, flush=True)
        return process

    def carry_out(
        self,
        name: str,
        command: Sequence[str],
        folder: Path | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a command to its end; raise if it fails, or if one of the others ends."""
        process = self.launch(name, command, folder)
        while process.poll() is None:
            self.check_alive()
            meanwhile()
            time.sleep(0.1)
        self.started.discard(process.pid)  # the number may be somebody else's by now
        if process.returncode:
            raise Died(f"`{self.program} {name}` failed.\n{self.tail(name)}")

    def check_alive(self) -> None:
        """Raise if one of those that shall run has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise Died(f"`{self.program} {name}` ended with {process.returncode}.\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 30) -> str:
        """The end of a log, under its path."""
        log = self.home / f"{name}.log"
        text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        return "\n".join([f"--- {log}", *text])

    def processes(self) -> set[int]:
        """The pids of all that lives of it: those started here, their workers, and the tasks with their children."""
        return family(self.started | marked(MARK, self.mark))

    def stop(self, grace: float = 5) -> set[int]:
        """End all of it and see that it is gone; the pids that only SIGKILL could end are returned.

        The server goes last, because tasks report to it.
        """
        last = {self.running[self.server].pid} if self.server in self.running else set()
        forced = self._end(last, grace) | self._end(set(), grace)
        self.lock.close()
        return forced

    def is_deaf(self, pid: int) -> bool:
        """Whether that process will never hear of it and must be killed, which counts as no force."""
        return False

    def _end(self, spared: set[int], grace: float) -> set[int]:
        alive, forced = self.processes() - family(spared), set[int]()
        for number in (None, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            forced = alive if number == signal.SIGKILL else forced
            told = alive if number else alive & self.started  # first those that end the others
            for pid in told:
                send_signal(pid, number or signal.SIGINT)
            if not told:
                continue
            until = time.monotonic() + grace
            while alive and time.monotonic() < until:
                time.sleep(0.05)
                for process in self.running.values():
                    process.poll()  # a process nobody has waited for stays as a zombie
                alive = (self.processes() | family(alive)) - family(spared)
                for pid in filter(self.is_deaf, alive):
                    send_signal(pid, signal.SIGKILL)
        return forced


def free_port(wanted: int = 0) -> int:
    """The wanted port, or any that is free if it is taken."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger take no port
        try:
            taken.bind(("127.0.0.1", wanted))
        except OSError:
            taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def family(pids: set[int]) -> set[int]:
    """Those of the processes that live, all in their sessions, and the descendants of both."""
    parents, found = {}, set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it ended just now
        pid = int(stat.parent.name)
        if state != "Z":
            parents[pid] = int(parent)
            if pid in pids or int(session) in pids:
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def marked(name: str, value: str) -> set[int]:
    """Whose environment has this: an orphan in a session of its own is found by nothing else."""
    wanted, found = f"{name}={value}".encode(), set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # another user's, or it ended just now
            if wanted in environment.read_bytes().split(b"\0"):
                found.add(int(environment.parent.name))
    return found


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def send(method: str, url: str, body: Any = None, authorization: str | None = None) -> Any:
    """Ask an API; the answer is parsed JSON."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from None


def lock_home(home: Path, name: str) -> IO[str]:
    """Make the home, which nobody else may look into, and take it: `stop()` gives it back."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = open(home / "lock", "a+")  # noqa: SIM115 -- stop() closes it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise InUse(f"{name} runs in {home} already: stop it first (processes {lock.read().strip()}).") from None
    lock.truncate(0)
    return lock


def keep(path: Path, text: str) -> str:
    """Write a file nobody else may read."""
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)
    return text


def kept(path: Path, make: Callable[[], str]) -> str:
    """The text of a private file, which is made once."""
    return path.read_text() if path.exists() else keep(path, make())


def places(home: Path) -> dict[str, str]:
    """The workspace, and the sample where there is one, unless the caller's environment names others."""
    found = {"OSTINATO_HOME": home / "ostinato"}
    if SAMPLE.exists():
        found["OSTINATO_FRAUD_DETECTION_SOURCE"] = SAMPLE
    return {name: os.environ.get(name) or str(place) for name, place in found.items()}


def outer_environment(*left_out: str) -> dict[str, str]:
    """The caller's environment but for what begins so, and for what slows every process down."""
    left_out = (*left_out, "PYTHONDONTWRITEBYTECODE")  # without .pyc files each compiles all it imports anew
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def progress(title: str, parts: int) -> Callable[[int], None]:
    """A function that says how many parts are ready and how long it took: on a terminal always on the same line."""
    begun, said = time.monotonic(), -1
    beginning, end = ("\r", "") if sys.stderr.isatty() else ("", "\n")

    def tell(ready: int) -> None:
        nonlocal said
        if ready != said or end == "":
            said, line = ready, f"Starting {title}: {ready} of {parts} ready"
            print(f"{beginning}{line}, {time.monotonic() - begun:.0f} s", end=end, file=sys.stderr, flush=True)

    return tell


def listen_for_endings() -> None:
    """Let the first signal to end raise KeyboardInterrupt, and no later one disturb the stopping."""
    for number in ENDING:
        signal.signal(number, _interrupt)


def run_until_ended(ensemble: Ensemble, name: str, play: Callable[[], int]) -> int:
    """Let it play, then end it whatever happened and verify that nothing is left; the answer is an exit code."""
    code = 0
    try:
        code = play()
    except Died as error:
        print(f"\n{error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nStopping …", file=sys.stderr)
    finally:
        _turn_deaf()
        forced = ensemble.stop()
    if left := ensemble.processes():
        print(f"These processes do not end: {sorted(left)}.", file=sys.stderr)
        return 1
    print(f"{name} has stopped{f'; {len(forced)} processes had to be killed' if forced else ''}.", file=sys.stderr)
    return code


def _interrupt(*_: Any) -> None:
    _turn_deaf()
    raise KeyboardInterrupt


def _turn_deaf() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # stopping takes seconds, and must not be stopped itself

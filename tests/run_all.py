"""All tests, in sessions of pytest, two at a time: those on Airflow, then on Prefect, beside those without an engine.

    make test                          all of them
    make test PYTEST="-k something"    some; a session may then have nothing to do

Those without an engine have three parts, so that both cores are used to the end. What was run beside is shown when the
others have ended. Ctrl-C ends all of them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SESSIONS = {  # in the order in which they begin; the short ones last, for whichever side is ready first
    ".venv": "others",
    ".venv-airflow": "airflow",
    ".venv-prefect": "prefect",
    ".venv, pipelines": "pipelines",
    ".venv, projects": "projects",
}
NOTHING_CHOSEN = 5  # pytest's exit code


class Sessions:
    """Runs of pytest: one for each engine's environment, and one for each part of the tests that need none."""

    def __init__(self, chosen: Sequence[str]) -> None:
        self.chosen = list(chosen)
        self.waiting = deque(SESSIONS)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ended_by_hand = False

    def begin_next(self, **where: Any) -> subprocess.Popen[bytes]:
        """Start a session in the environment that its name begins with."""
        name = self.waiting.popleft()
        command = [str(ROOT / name.partition(",")[0] / "bin" / "pytest"), *self.options(SESSIONS[name])]
        self.processes[name] = process = subprocess.Popen(command, cwd=ROOT, **where)
        if self.ended_by_hand:  # just before it could hear of that
            process.send_signal(signal.SIGINT)
        return process

    def run_waiting(self, **where: Any) -> None:
        """One after the other, as long as any is waiting; one whose environment is not there is told of at the end."""
        while not self.ended_by_hand:
            try:
                self.begin_next(**where).wait()
            except FileNotFoundError:
                continue
            except IndexError:
                break

    def options(self, which: str) -> list[str]:
        """What pytest is told: whose tests, whatever else was chosen, and a memory of its own."""
        memory = ["-o", f"cache_dir=.pytest_cache/{which}"]
        if which in ("airflow", "prefect"):
            return [*memory, "-o", "testpaths=tests/engines", *self.chosen, "-m", which]
        return [*memory, "--part", which, *self.chosen]

    def interrupted(self, *_: Any) -> None:
        """A terminal's Ctrl-C reaches every session by itself: wait until they have tidied up."""
        self.ended_by_hand = True

    def terminated(self, *_: Any) -> None:
        """A polite kill reaches nobody else: pass it on as what lets pytest tidy up."""
        self.ended_by_hand = True
        for process in list(self.processes.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    def failed(self) -> list[str]:
        """How the sessions ended whose tests did not pass."""
        fine = (0, NOTHING_CHOSEN) if self.chosen else (0,)
        codes = {name: one.returncode for name, one in self.processes.items()}
        ended = {name: codes.get(name) for name in SESSIONS}
        return [
            f"{name}: {'did not run' if code is None else f'pytest ended with {code}'}"
            for name, code in ended.items()
            if code not in fine
        ]


def main(chosen: Sequence[str]) -> int:
    """Run them all; what is chosen is in pytest's words."""
    sessions = Sessions(chosen)
    signal.signal(signal.SIGINT, sessions.interrupted)
    signal.signal(signal.SIGTERM, sessions.terminated)
    print("Beside these run the tests on Airflow, on Prefect, and more; what they say follows.", flush=True)
    with tempfile.NamedTemporaryFile() as said:
        first = sessions.begin_next()
        unseen = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
        beside = threading.Thread(target=sessions.run_waiting, kwargs=unseen)
        beside.start()
        first.wait()
        sessions.run_waiting()
        follow(Path(said.name), beside)
    failed = sessions.failed()
    print("\n".join(failed or ["All tests passed."]), flush=True)
    return 130 if sessions.ended_by_hand else 1 if failed else 0


def follow(file: Path, writer: threading.Thread) -> None:
    """Show what a file holds, and what is still written to it."""
    with file.open("rb") as text:
        going_on = True
        while going_on:
            going_on = writer.is_alive()  # asked before reading: what comes later is read the next time
            sys.stdout.buffer.write(text.read())
            sys.stdout.buffer.flush()
            time.sleep(0.2 if going_on else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

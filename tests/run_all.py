"""All tests: those that need no engine, and beside them Airflow's, then Prefect's, then those of projects.

    make test                          all of them
    make test PYTEST="-k something"    some; a session may then have nothing to do

What those beside say is shown when the others have ended. Ctrl-C ends all of them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HERE, PROJECTS, ENGINES = ".venv", ".venv, projects", {".venv-airflow": "airflow", ".venv-prefect": "prefect"}
NOTHING_CHOSEN = 5  # pytest's exit code


class Sessions:
    """Runs of pytest: one for each engine's environment, two for the other, so that both cores are used to the end."""

    def __init__(self, chosen: Sequence[str]) -> None:
        self.chosen = list(chosen)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ended_by_hand = False

    def begin(self, name: str, options: Sequence[str] = (), **where: Any) -> subprocess.Popen[bytes]:
        """Start a session in the environment that its name begins with; only the caller's goes to the terminal."""
        command = [str(ROOT / name.partition(",")[0] / "bin" / "pytest"), *options]
        self.processes[name] = process = subprocess.Popen(command, cwd=ROOT, **where)
        if self.ended_by_hand:  # just before it could hear of that
            process.send_signal(signal.SIGINT)
        return process

    def run_beside(self, said: Any) -> None:
        """Each engine's tests alone, whatever was chosen, and those of projects, one after the other: on one core."""
        for name in (*ENGINES, PROJECTS):
            if not self.ended_by_hand:
                options = self.of_engine(name) if name in ENGINES else self.of_part("projects")
                self.begin(name, options, stdin=subprocess.DEVNULL, stdout=said, stderr=said).wait()

    def of_engine(self, environment: str) -> list[str]:
        """What pytest is told for an engine: its tests, and a memory of its own."""
        engine = ENGINES[environment]
        own = ["-o", "testpaths=tests/engines", "-o", f"cache_dir=.pytest_cache/{engine}"]
        return [*own, *self.chosen, "-m", engine]

    def of_part(self, part: str) -> list[str]:
        """What pytest is told for a part of the tests that need no engine."""
        return ["-o", f"cache_dir=.pytest_cache/{part}", "--part", part, *self.chosen]

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
        ended = {name: codes.get(name) for name in (HERE, *ENGINES, PROJECTS)}
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
    print("Beside these run the tests on Airflow, on Prefect, and of projects; what they say follows.", flush=True)
    with tempfile.NamedTemporaryFile() as said:
        beside = threading.Thread(target=sessions.run_beside, args=(said,))
        beside.start()
        sessions.begin(HERE, sessions.of_part("others")).wait()
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

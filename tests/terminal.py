"""A command at a terminal, and a person who reads and types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import selectors
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from typing import NamedTuple

COMMAND = (sys.executable, "-m", "ostinato.cli")
CTRL_C = "\x03"
_SECONDS = 90.0
_PATIENCE = 10.0  # of a person after Ctrl-C: one that comes just before the command reads its answer is heard too late


class Ended(NamedTuple):
    """A command that has ended: what was shown, without colours and cursor, what went into its pipe, its exit code."""

    said: str
    printed: str
    code: int


def at_a_terminal(
    *arguments: str, answers: Sequence[tuple[str, str]] = (), piped: bool = False, width: int = 200
) -> Ended:
    """Run `ostinato` and type each answer when its question is there.

    Args:
        arguments: the command's.
        answers: question and answer, in the order in which they are asked.
        piped: whether what it prints goes into a pipe, and only the rest to the terminal.
        width: of the terminal, in characters.

    Raises:
        AssertionError: it has not ended in time (it is killed), or a question was not asked.
    """
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width), "PROMPT_TOOLKIT_NO_CPR": "1"}
    said, seen, left, deadline = "", 0, list(answers), time.monotonic() + _SECONDS
    interrupted: float | None = None
    with (
        tempfile.TemporaryFile() as pipe,
        os.fdopen(master, "r+b", buffering=0) as terminal,
        selectors.DefaultSelector() as waiting,
        subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=slave,
            stdout=pipe if piped else slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is one
        ) as process,
    ):
        os.close(slave)
        waiting.register(terminal, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if waiting.select(0.2):
                try:
                    said += terminal.read(4096).decode(errors="replace")
                except OSError:  # the last one has hung up
                    break
            if left and left[0][0] in said[seen:]:
                question, answer = left.pop(0)
                seen = said.index(question, seen) + len(question)
                terminal.write(answer.encode())
                interrupted = time.monotonic() if answer == CTRL_C else None
            elif interrupted and time.monotonic() > interrupted + _PATIENCE:
                terminal.write(CTRL_C.encode())
                interrupted = time.monotonic()
        else:
            process.kill()
        code = process.wait()
        pipe.seek(0)
        printed = pipe.read().decode()
    assert time.monotonic() < deadline, f"It did not end: {said}"
    assert not left, f"{left[0][0]!r} was not asked: {said}"
    return Ended(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said), printed, code)

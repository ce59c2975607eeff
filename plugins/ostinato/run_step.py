"""A step as a process: for another interpreter, a pod, or a worker of the local engine.

    python -m ostinato.run_step module:function --inputs in.json --out out.json

`in.json` holds the arguments: literals and references. `out.json` gets `{"output": …}` or `{"error": …}`. Exit codes:
0 done, 1 failed for good, 2 wrong usage, 75 failed but worth another try.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .context import from_environment
from .errors import OstinatoError, UsageError, is_transient
from .records import describe_error
from .runner import Request, execute
from .workspace import Workspace, write_json

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; see the module's text."""
    parser = argparse.ArgumentParser("python -m ostinato.run_step", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("function", nargs="?", help="import path of the step: module:function or file.py:function")
    parser.add_argument("--inputs", metavar="FILE", help="the arguments as a JSON object")
    parser.add_argument("--out", metavar="FILE", help="where the result goes")
    parser.add_argument("--run", metavar="ID", help="the run it belongs to (default: a new one)")
    parser.add_argument("--step", metavar="NAME", help="its name in the run (default: the function's)")
    parser.add_argument("--map-key", metavar="KEY", default="", help="which item of a mapped step")
    parser.add_argument("--as-of", metavar="TIME", help="the moment the run stands for, ISO 8601")
    parser.add_argument("--day", metavar="DATE", help="the UTC day on which the run began (default: today)")
    parser.add_argument("--effect", choices=("none", "idempotent", "once"), default="none")
    parser.add_argument("--home", metavar="PLACE", help="the workspace (default: OSTINATO_HOME or .ostinato)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        return serve()
    if not (given.function and given.inputs and given.out):
        parser.error("function, --inputs and --out are needed")
    try:
        inputs = _read_inputs(given.inputs)
    except UsageError as error:
        parser.error(str(error))
    workspace = Workspace.here(given.home)
    request = Request(
        function=given.function,
        inputs=inputs,
        run_id=given.run or f"step-{secrets.token_hex(6)}",
        step=given.step or given.function.rpartition(":")[2].replace(".", "_"),
        home=workspace.home,
        map_key=given.map_key,
        as_of=given.as_of,
        day=given.day,
        effect=given.effect,
        engine="process",
    )
    try:
        workspace.prepare()
        result: dict[str, Any] = {"output": execute(request, emit=_say)}
    except (Exception, SystemExit) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        write_json(given.out, {"error": describe_error(error)})
        return 2 if isinstance(error, UsageError) else TRY_AGAIN if is_transient(error) else 1
    write_json(given.out, result)
    return 0


def _read_inputs(file: str) -> dict[str, Any]:
    try:
        inputs = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--inputs {file} cannot be read: {error}") from None
    if not isinstance(inputs, dict):
        raise UsageError(f"--inputs {file} holds a {type(inputs).__name__}; an object of arguments by name is wanted")
    return inputs


def _say(event: dict[str, Any]) -> None:
    if event["event"] == "log":
        print(event["message"], file=sys.stderr)


# --- a worker of the local engine: a request a line on stdin, events and results as lines on the first stdout ---------


def serve() -> int:
    """Run the requests that come in on stdin, one after the other, until it closes."""
    _guard()
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what a step prints must not be taken for a reply
    lock = threading.Lock()

    def reply(message: dict[str, Any]) -> None:
        line = json.dumps(message)
        with lock:
            replies.write(line + "\n")

    lines = _lines()

    asking = threading.Lock()  # a step may have threads, and each wants its own answer

    def ask(name: str) -> str | None:
        with asking:
            reply({"event": "secret", "name": name})
            found: str | None = json.loads(next(lines))["secret"]
        return found

    for line in lines:
        request = Request(**json.loads(line))
        resolve = ask if request.secrets == "engine" else from_environment
        with _captured(request.log):
            try:
                message = {"event": "done", "output": execute(request, emit=reply, resolve=resolve)}
            except (Exception, SystemExit) as error:
                if not isinstance(error, OstinatoError):
                    _print_traceback()
                message = {"event": "failed", "error": describe_error(error)}
        reply(message)
    return 0


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _lines() -> Iterator[str]:
    """Lines of stdin, read by a thread that ends this process and its children when the parent is gone."""
    import queue

    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os.killpg(0, signal.SIGKILL) if os.getpgrp() == os.getpid() else os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield lines.get()


def _guard() -> None:
    """Linux: a process that ends this one and its children with their parent, even where a step holds the interpreter.

    The kernel's own signal at a parent's death would end this process alone.
    """
    if os.getpgrp() != os.getpid():
        return
    with contextlib.suppress(OSError, AttributeError):
        watched = [os.pidfd_open(os.getppid()), os.pidfd_open(os.getpid())]
        if os.fork() == 0:
            for number, descriptor in enumerate(watched):
                os.dup2(descriptor, number)
            os.closerange(2, os.sysconf("SC_OPEN_MAX"))  # the run's lock and its parent's pipes are not the guard's
            select.select([0, 1], [], [])
            os.killpg(0, signal.SIGKILL)
        for descriptor in watched:
            os.close(descriptor)


@contextlib.contextmanager
def _captured(log: str | None) -> Iterator[None]:
    """Send what the step and its children print to the step's log file."""
    if log is None:
        yield
        return
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), saved, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(target)


if __name__ == "__main__":
    sys.exit(main())

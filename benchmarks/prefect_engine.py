"""What a pipeline costs in Prefect beside a flow written by hand: to build, and to run.

Run by the Python of `.venv-prefect`. Flows are built in a fresh process; they run in processes that live on, one for
each way, against one server. Ours run their steps in worker processes, and have one task more, the report.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = ROOT / ".venv-prefect" / "bin" / "python"
LENGTH = 20
OURS, BY_HAND = sorted((ROOT / "flows").glob("*.py")), [HERE / "prefect_by_hand.py"]
_STEPS = "approval data deployment evaluation features models release validation windows"
BUILDS: dict[str, list[Any]] = {  # what a process loads
    "ours": OURS,
    "by hand": BY_HAND,
    "by hand, our steps imported": [*(f"ostinato.steps.{name}" for name in _STEPS.split()), *BY_HAND],
}
RUNS = {  # the flow, and how many tasks it has
    "ours": ("prefect_ours:chain_by_us", LENGTH),
    "by hand": ("prefect_chain:chain_by_hand", LENGTH),
    "by hand, called": ("prefect_chain:chain_called", LENGTH),
    "ours, one task": ("prefect_ours:chain_by_us", 1),
    "by hand, one task": ("prefect_chain:chain_by_hand", 1),
}
HEAVY = "pandas numpy pyarrow mlflow great_expectations sklearn duckdb sqlalchemy matplotlib slack_sdk".split()


def measure(repeats: int = 9) -> dict[str, Any]:
    """Medians of `repeats` interleaved turns in milliseconds; empty without Prefect.

    `build` has for each way its `cpu` and `wall` beyond `from prefect import flow, task`, and of the `whole` process;
    `run` for each way `cpu` of the process of the flow, `workers`, the CPU of those it started, and `wall` until the
    flow's last state.
    """
    if not PYTHON.exists():
        return {}
    with tempfile.TemporaryDirectory(prefix="pfb-") as folder:
        home = Path(folder)
        built: dict[str, list[dict[str, float]]] = {way: [] for way in BUILDS}
        for way in _turns(BUILDS, repeats + 1):
            started = repr(time.monotonic())  # the same clock in all processes
            built[way].append(_child(home, "build", started, *map(str, BUILDS[way])))
        return {
            "prefect": _child(home, "version"),
            "build": {way: _medians(turns[1:]) for way, turns in built.items()},
            "heavy": _child(home, "heavy"),
            "run": {way: _medians(turns[1:]) for way, turns in _child(home, "run", str(repeats + 1)).items()},
        }


def _turns(ways: Mapping[str, Any], repeats: int) -> Iterator[str]:
    """Each of the ways as often as asked, taking turns, now forward and now backward."""
    for turn in range(repeats):
        yield from ways if turn % 2 else reversed(list(ways))


def _medians(turns: list[dict[str, float]]) -> dict[str, float]:
    return {what: 1000 * statistics.median(turn[what] for turn in turns) for what in turns[0]}


def _environment(home: Path) -> dict[str, str]:
    settings = {
        "DO_NOT_TRACK": "1",
        "OSTINATO_ALERTS": "none",
        "OSTINATO_HOME": str(home / "ostinato"),
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(HERE)]),
    }
    left_out = ("PREFECT", "OSTINATO", "PYTHONDONTWRITEBYTECODE")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(left_out)}, **settings}


def _child(home: Path, *arguments: str) -> Any:
    """What another process finds out; nothing that it starts outlives it, a server least of all."""
    command = [str(PYTHON), __file__, *arguments]
    # where it is started Prefect would read .env, pyproject.toml and prefect.toml: at home there are none
    more: Any = {"cwd": home, "env": _environment(home), "text": True, "start_new_session": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more) as process:
        try:
            told, complaints = process.communicate()
        finally:
            _end_all(process.pid)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{complaints[-4000:]}")
    return json.loads(told.splitlines()[-1])


def _end_all(group: int) -> None:
    """End whatever is left of a group of processes, and see it gone."""
    for _ in range(100):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(group, os.WNOHANG)
        time.sleep(0.1)
    raise RuntimeError(f"Processes of the group {group} are still there.")


# --- in the environment of Prefect --------------------------------------------------------------------------------


def _load(place: str) -> Any:
    """A module by its name, or a file as Prefect's own loader calls it."""
    from importlib.util import module_from_spec, spec_from_file_location

    if not place.endswith(".py"):
        return import_module(place)
    spec = spec_from_file_location(f"__prefect_loader_{Path(place).stem}", place)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _build(started: str, *places: str) -> dict[str, float]:
    """Seconds to load these beyond Prefect's import, and of the whole process since it was started."""
    from prefect import flow, task  # noqa: F401

    cpu, wall = time.process_time(), time.monotonic()
    for place in places:
        _load(place)
    whole_cpu, whole_wall = time.process_time(), time.monotonic()
    return {
        "cpu": whole_cpu - cpu,
        "wall": whole_wall - wall,
        "whole cpu": whole_cpu,
        "whole wall": whole_wall - float(started),
        "prefect cpu": cpu,
        "prefect wall": wall - float(started),
    }


def _heavy() -> dict[str, list[str]]:
    """What is slow to import and yet has been: by Prefect itself, and by all of our flow files beyond that."""
    from prefect import flow, task  # noqa: F401

    before = [name for name in HEAVY if name in sys.modules]
    for place in OURS:
        _load(str(place))
    return {"prefect": before, "ours": [name for name in HEAVY if name in sys.modules and name not in before]}


def _run(repeats: str) -> dict[str, list[dict[str, float]]]:
    """Run all of the ways in turns, each in a process of its own, against a server."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    turns: dict[str, list[dict[str, float]]] = {way: [] for way in RUNS}
    with prefect_test_harness(server_startup_timeout=300), contextlib.ExitStack() as stack:
        environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        clients = {way: stack.enter_context(_client(environment, *RUNS[way])) for way in RUNS}
        for way in _turns(RUNS, int(repeats)):
            turns[way].append(_ask(clients[way], way))
    return turns


@contextlib.contextmanager
def _client(environment: Mapping[str, str], flow: str, length: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, "serve", flow]
    more: Any = {"env": {**environment, "LENGTH": str(length)}, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, text=True, stderr=log, **more) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        assert process.stdin is not None
        process.stdin.close()  # which ends it


def _ask(client: subprocess.Popen[str], way: str) -> dict[str, float]:
    """Have a client run its flow once."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("run\n")
    client.stdin.flush()
    told = client.stdout.readline()
    assert told, f"the client of {way} has died"
    found: dict[str, float] = json.loads(told)
    return found


def _serve(flow: str) -> None:
    """Run a flow each time a line comes in, and say what it took this process and the workers it has started."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    module, _, name = flow.partition(":")
    run = getattr(import_module(module), name)
    answers, sys.stdout = sys.stdout, sys.stderr
    for _ in sys.stdin:
        cpu, workers, started = _used(resource.RUSAGE_SELF), _used(resource.RUSAGE_CHILDREN), time.time()
        state = run(return_state=True)
        wall = state.timestamp.timestamp() - started  # Prefect then waits for its heartbeat, which sleeps whole seconds
        assert state.is_completed(), state.message
        APILogWorker.drain_all()  # logs and events are sent in the background: they belong to this run
        EventsWorker.drain_all()
        taken = {"cpu": _used(resource.RUSAGE_SELF) - cpu, "wall": wall}
        print(json.dumps({**taken, "workers": _used(resource.RUSAGE_CHILDREN) - workers}), file=answers, flush=True)


def _used(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def _version() -> str:
    return version("prefect")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(measure(), indent=1))
    elif sys.argv[1] == "serve":
        _serve(sys.argv[2])
    else:
        what = {"build": _build, "heavy": _heavy, "run": _run, "version": _version}[sys.argv[1]]
        print(json.dumps(what(*sys.argv[2:])))

"""A step as a process: files in, files out, exit codes that say whether to try again; and the local engine's worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from ostinato.runner import Request, execute, records_of
from ostinato.workspace import Workspace

STEPS = '''
import ctypes, os, subprocess, sys, time
from pathlib import Path
from ostinato import Dataset, Metrics, context, secret, step
from ostinato.errors import DataError, Unavailable
from ostinato.tables import duck

def double(value: int) -> int:
    """Twice as much."""
    print("printed")
    print("said", file=sys.stderr)
    context.current().log("logged")
    return 2 * value

@step
def table(rows: int) -> Dataset:
    with duck() as connection:
        return Dataset.save(connection, f"SELECT range AS a, range % 3 AS b FROM range({rows})")

def count(data: Dataset) -> Metrics:
    return Metrics.of({"rows": data.rows})

def refuse() -> None:
    raise DataError("no rows")

def busy() -> None:
    raise Unavailable("try later")

def bug() -> None:
    raise KeyError("mine")

def leave(code: int) -> None:
    sys.exit(code)

def when() -> str:
    return str(context.current().as_of)

def day() -> str:
    return str(context.current().day)

def key() -> str:
    return context.current().key

def send(place: str) -> str:
    with open(place, "a") as file:
        file.write("sent")
    return "receipt"

def shout() -> None:
    os.write(1, b"from below\\n")
    subprocess.run(["echo", "from a child"], check=True)

def sign() -> str:
    return secret("TOKEN")

def hang(place: str, hold: bool) -> None:
    child = subprocess.Popen(["sleep", "600"])
    Path(place + ".part").write_text(f"{os.getpid()} {child.pid}")
    os.rename(place + ".part", place)
    ctypes.PyDLL(None).sleep(600) if hold else time.sleep(600)

def vanish(place: str) -> None:
    child = subprocess.Popen(["sleep", "600"])
    Path(place).write_text(f"{os.getpid()} {child.pid}")
    os._exit(3)
'''


@pytest.fixture
def steps(tmp_path: Path) -> str:
    file = tmp_path / "my_steps.py"
    file.write_text(STEPS)
    return str(file)


def run_step(
    function: str, inputs: Any, tmp_path: Path, *more: str, **environment: str
) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Run the command line; gives the process and what lies in out.json."""
    (tmp_path / "in.json").write_text(inputs if isinstance(inputs, str) else json.dumps(inputs))
    out = tmp_path / "out.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ostinato.run_step", function, "--inputs", "in.json", "--out", "out.json", *more]
    process = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return process, json.loads(out.read_text()) if out.exists() else None


# --- the command line -----------------------------------------------------------------------------------------------


def test_a_step_runs_as_a_process(steps: str, tmp_path: Path) -> None:
    """The result in out.json, exit code 0; what the step prints is the process's output, its log lines go to stderr."""
    process, out = run_step(f"{steps}:double", {"value": 4}, tmp_path)
    assert (process.returncode, out) == (0, {"output": 8})
    assert process.stdout == "printed\n"
    assert process.stderr.splitlines() == ["said", "logged"]


@pytest.mark.parametrize(
    ("function", "inputs", "code", "error"),
    [
        ("refuse", {}, 1, ("DataError", "no rows", False)),
        ("bug", {}, 1, ("KeyError", "'mine'", False)),
        ("leave", {"code": 0}, 1, ("SystemExit", "0", False)),
        ("busy", {}, 75, ("Unavailable", "try later", True)),
        ("gone", {}, 2, ("UsageError", "has no 'gone'", False)),
        ("double", {"valeu": 4}, 2, ("UsageError", "missing a required argument: 'value'", False)),
        ("double", {"value": "x"}, 1, ("ContractError", "'double' refuses value='x'", False)),
        ("sign", {}, 2, ("ConfigurationError", "The secret 'TOKEN' is not set", False)),
    ],
)
def test_a_failure_has_an_exit_code_and_lies_in_the_file(
    function: str, inputs: Any, code: int, error: tuple[str, str, bool], steps: str, tmp_path: Path
) -> None:
    """1 for good, 2 wrong usage, 75 worth another try; and a line for people."""
    process, out = run_step(f"{steps}:{function}", inputs, tmp_path)
    kind, message, transient = error
    assert process.returncode == code
    assert (out["error"]["type"], out["error"]["transient"]) == (kind, transient)
    assert message in out["error"]["message"]
    assert f"{kind}: " in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("inputs", "message"),
    [("{", "--inputs in.json cannot be read"), ("[1]", "holds a list; an object of arguments by name is wanted")],
)
def test_inputs_that_are_no_object_are_wrong_usage(inputs: str, message: str, steps: str, tmp_path: Path) -> None:
    """Nothing ran."""
    process, out = run_step(f"{steps}:double", inputs, tmp_path)
    assert (process.returncode, out) == (2, None)
    assert message in process.stderr


def test_the_day_a_run_began_is_handed_in_or_today(steps: Path, tmp_path: Path) -> None:
    """In UTC, wherever the machine is; another word is wrong usage."""
    _, out = run_step(f"{steps}:day", {}, tmp_path, "--day", "2026-03-01", TZ="Asia/Tokyo")
    assert out["output"] == "2026-03-01 00:00:00+00:00"
    process, out = run_step(f"{steps}:day", {}, tmp_path, "--day", "someday")
    assert process.returncode == 2
    assert "'someday' is no date" in out["error"]["message"]
    before = time.gmtime()
    _, out = run_step(f"{steps}:day", {}, tmp_path)
    assert out["output"] in {time.strftime("%Y-%m-%d 00:00:00+00:00", moment) for moment in (before, time.gmtime())}


def test_a_date_that_is_none_is_wrong_usage(steps: str, tmp_path: Path) -> None:
    """And one without a zone is UTC, wherever the machine stands."""
    process, out = run_step(f"{steps}:when", {}, tmp_path, "--as-of", "yesterday")
    assert process.returncode == 2
    assert "'yesterday' is no date" in out["error"]["message"]
    _, out = run_step(f"{steps}:when", {}, tmp_path, "--as-of", "2026-03-01", TZ="Asia/Tokyo")
    assert out == {"output": "2026-03-01 00:00:00+00:00"}


def test_help_says_how_it_is_called() -> None:
    """Without the worker's own flag."""
    said = subprocess.check_output([sys.executable, "-m", "ostinato.run_step", "--help"], text=True)
    for word in ("--inputs FILE", "--out FILE", "--as-of TIME", "import path of the step"):
        assert word in said
    assert "--serve" not in said
    bare = subprocess.run([sys.executable, "-m", "ostinato.run_step"], capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert "function, --inputs and --out are needed" in bare.stderr


def test_a_step_gives_the_same_as_in_this_process(steps: str, tmp_path: Path, home: Path) -> None:
    """The same reference, digest and facts, down to the place."""
    process, out = run_step(f"{steps}:table", {"rows": 1000}, tmp_path, "--run", "r1", "--step", "made")
    assert process.returncode == 0, process.stderr
    request = Request(f"{steps}:table", {"rows": 1000}, run_id="r1", step="made", home=str(home))
    assert execute(request) == out["output"]
    _, counted = run_step(f"{steps}:count", {"data": out["output"]}, tmp_path)
    assert counted["output"]["facts"] == {"values": {"rows": 1000}}


def test_a_process_belongs_to_a_run_and_its_workspace(steps: str, tmp_path: Path) -> None:
    """Named by its options; the record is there for every view."""
    home = tmp_path / "elsewhere"
    options = ("--run", "r9", "--step", "named", "--map-key", "3", "--home", str(home))
    _, out = run_step(f"{steps}:key", {}, tmp_path, *options)
    assert out == {"output": "r9/named/3"}
    found = records_of(str(home)).step("r9", "named", "3")
    assert found is not None
    assert (found.state, found.output) == ("succeeded", "r9/named/3")


def test_an_effect_that_must_happen_once_happens_once_in_two_processes(steps: str, tmp_path: Path) -> None:
    """A pod that is started again reports the earlier result."""
    place = tmp_path / "sent"
    for _ in range(2):
        _, out = run_step(f"{steps}:send", {"place": str(place)}, tmp_path, "--run", "r1", "--effect", "once")
        assert out == {"output": "receipt"}
    assert place.read_text() == "sent"


def test_a_workspace_that_cannot_be_written_is_wrong_usage(steps: str, tmp_path: Path) -> None:
    """Said before the step runs."""
    (tmp_path / "file").write_text("x")
    process, out = run_step(f"{steps}:double", {"value": 1}, tmp_path, "--home", str(tmp_path / "file" / "home"))
    assert process.returncode == 2
    assert "cannot be written" in out["error"]["message"]
    assert process.stdout == ""


# --- the worker -----------------------------------------------------------------------------------------------------


class Worker:
    """A `--serve` process as the local engine starts it."""

    def __init__(self, steps: str, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.steps, self.home = steps, home
        command = [sys.executable, "-m", "ostinato.run_step", "--serve"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def send(self, name: str, inputs: dict[str, Any], **more: Any) -> None:
        request = {"function": f"{self.steps}:{name}", "inputs": inputs, "run_id": "r1", "step": name, **more}
        pipe = self._pipe(self.process.stdin)
        pipe.write(json.dumps({"home": str(self.home), **request}).encode() + b"\n")
        pipe.flush()

    def events(self) -> list[dict[str, Any]]:
        """All events up to the end of one request."""
        heard = []
        for line in self._pipe(self.process.stdout):
            heard.append(json.loads(line))
            if heard[-1]["event"] in ("done", "failed"):
                break
        return heard

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            self._pipe(pipe).close()
        self.process.wait(10)


@pytest.fixture
def worker(steps: str, home: Path) -> Iterator[Worker]:
    made = Worker(steps, home)
    yield made
    made.end()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(pids: list[int], within: float = 20.0) -> bool:
    until = time.monotonic() + within
    while any(map(is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(is_alive, pids))


def pids_in(place: Path) -> list[int]:
    until = time.monotonic() + 60
    while not place.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return [int(pid) for pid in place.read_text().split()]


def test_a_worker_runs_one_request_after_the_other(worker: Worker) -> None:
    """Each ends with `done` and the result, or with `failed` and the error."""
    worker.send("double", {"value": 4})
    assert worker.events() == [
        {"event": "log", "step": "double", "map_key": "", "message": "logged"},
        {"event": "done", "output": 8},
    ]
    worker.send("busy", {})
    (failed,) = worker.events()
    assert (failed["event"], failed["error"]["type"], failed["error"]["transient"]) == ("failed", "Unavailable", True)
    worker.send("leave", {"code": 3})
    assert worker.events()[0]["error"]["type"] == "SystemExit"
    worker.send("double", {"value": 5})
    assert worker.events()[-1] == {"event": "done", "output": 10}


def test_what_a_step_prints_goes_to_its_log(worker: Worker, tmp_path: Path) -> None:
    """Also from below Python and from children; none of it is taken for a reply."""
    log = tmp_path / "logs" / "step.log"
    worker.send("double", {"value": 4}, log=str(log))
    assert [event["event"] for event in worker.events()] == ["log", "done"]
    worker.send("shout", {}, log=str(log))
    assert [event["event"] for event in worker.events()] == ["done"]
    assert sorted(log.read_text().splitlines()) == ["from a child", "from below", "printed", "said"]


def test_what_a_step_prints_without_a_log_is_no_reply(worker: Worker) -> None:
    """It goes where the engine's own errors go."""
    worker.send("shout", {})
    assert worker.events() == [{"event": "done", "output": None}]


def test_a_strangers_error_leaves_its_traceback_in_the_log(worker: Worker, tmp_path: Path) -> None:
    """Ours explain themselves."""
    log = tmp_path / "step.log"
    worker.send("refuse", {}, log=str(log))
    worker.events()
    assert log.read_text() == ""
    worker.send("bug", {}, log=str(log))
    worker.events()
    assert "Traceback" in log.read_text()
    assert "KeyError: 'mine'" in log.read_text()


def test_a_worker_ends_when_its_input_closes(worker: Worker) -> None:
    """Idle or not."""
    worker.send("double", {"value": 4})
    assert worker.events()[-1]["event"] == "done"
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    worker.process.wait(5)


ENGINE = """
import json, subprocess, sys, time
command = [sys.executable, "-m", "ostinato.run_step", "--serve"]
worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
worker.stdin.write(sys.argv[1].encode() + b"\\n")
worker.stdin.flush()
time.sleep(600)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's word is Linux's")
@pytest.mark.parametrize("hold", [False, True], ids=["a waiting step", "a step that holds the interpreter"])
def test_kill_of_the_engine_ends_its_worker_and_the_workers_children(
    hold: bool, steps: str, tmp_path: Path, home: Path
) -> None:
    """Nothing goes on writing behind the back of a resumed run."""
    home.mkdir()
    place = tmp_path / "pids"
    request = {
        "function": f"{steps}:hang",
        "inputs": {"place": str(place), "hold": hold},
        "run_id": "r1",
        "step": "hang",
        "home": str(home),
    }
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, json.dumps(request)])
    pids = pids_in(place)
    assert all(map(is_alive, pids))
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    try:
        assert ended(pids)
    finally:
        for pid in filter(is_alive, pids):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's word is Linux's")
def test_crash_of_a_worker_shows_at_once_and_leaves_no_child(worker: Worker, tmp_path: Path) -> None:
    """Its output ends, so the engine need not wait; what its step had started ends with it."""
    place = tmp_path / "pids"
    worker.send("vanish", {"place": str(place)})
    assert worker.events() == []
    assert worker.process.wait(5) == 3
    assert ended(pids_in(place))


def test_a_remote_workspace_asks_for_its_records(steps: str, tmp_path: Path) -> None:
    """A pod that was not told where they are does not start."""
    process, out = run_step(f"{steps}:double", {"value": 1}, tmp_path, "--home", "memory://bank")
    assert process.returncode == 2
    assert "OSTINATO_RECORDS must name a database" in out["error"]["message"]
    assert Workspace("memory://bank").remote

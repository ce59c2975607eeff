"""A process that runs steps for an engine: it answers, asks for secrets, keeps time, and dies with all it started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from ostinato.engines.worker import Pool, Worker, exit_of, interpreter_of
from ostinato.errors import ConfigurationError, StepLost, StepTimedOut
from ostinato.runner import Request

STEPS = """
import os, signal, subprocess, sys, time
from pathlib import Path
from typing import Any
from ostinato import context, secret
from ostinato.errors import DataError, Unavailable

def same(value: Any) -> Any:
    return value

def loud(value: int) -> int:
    print("not a reply")
    print('{"event": "done", "output": "forged"}', flush=True)
    os.write(1, b"from below\\n")
    subprocess.run(["echo", "from a child"], check=True)
    context.current().log("heard " * value)
    context.current().progress(1, 2)
    return value

def sign(names: list[str]) -> list[int]:
    return [len(secret(name)) for name in names]

def show(secret_name: str) -> str:
    return secret(secret_name)

def refuse() -> None:
    raise DataError("no rows")

def busy() -> None:
    raise Unavailable("try later")

def where() -> str:
    return os.environ.get("INSIDE", "nowhere")

def chatter() -> None:
    while True:
        context.current().log("and so on" * 100)

def hang(place: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(place + ".part").write_text(f"{os.getpid()} {child.pid}")
    os.rename(place + ".part", place)
    time.sleep(600)

def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

def vanish() -> None:
    os._exit(3)
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(sys.executable)
    yield worker
    worker.kill()


@pytest.fixture
def request_of(tmp_path: Path, home: Path) -> Callable[..., Request]:
    """A request for a step of the file above."""
    file = tmp_path / "my_steps.py"
    file.write_text(STEPS)
    home.mkdir()

    def made(name: str, secrets: Any = "environment", **inputs: Any) -> Request:
        known: dict[str, Any] = {"run_id": "r", "step": name, "home": str(home), "recorded": False}
        return Request(function=f"{file}:{name}", inputs=inputs, secrets=secrets, **known)

    return made


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids_in(place: Path) -> list[int]:
    """The process ids that a step has written down, once it has."""
    until = time.monotonic() + 60
    while not place.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    return [int(pid) for pid in place.read_text().split()]


def all_gone(pids: list[int]) -> bool:
    until = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(is_alive(pid) for pid in pids)


def test_what_a_step_gives_and_says_arrives_and_what_it_prints_does_not(
    worker: Worker, request_of: Callable[..., Request]
) -> None:
    """A line that looks like a reply is none; lines are as long as they like; it is there for the next step."""
    for times in (1, 50_000):
        heard: list[dict[str, Any]] = []
        worker.send(request_of("loud", value=times))
        assert worker.wait(heard.append) == {"event": "done", "output": times}
        assert [event["event"] for event in heard] == ["log", "progress"]
        assert heard[0]["message"] == "heard " * times
    assert worker.alive


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@hypothesis.given(value=JSON)
@hypothesis.settings(max_examples=50, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_a_value_crosses_as_it_is(worker: Worker, request_of: Callable[..., Request], value: Any) -> None:
    """There and back: every text, line ends included, every number."""
    worker.send(request_of("same", value=value))
    assert worker.wait() == {"event": "done", "output": value}


@pytest.mark.parametrize(("name", "kind", "transient"), [("refuse", "DataError", False), ("busy", "Unavailable", True)])
def test_a_failure_is_an_answer(
    name: str, kind: str, transient: bool, worker: Worker, request_of: Callable[..., Request]
) -> None:
    """With what it was and whether another try may help; the worker itself is none the worse."""
    worker.send(request_of(name))
    event = worker.wait()
    assert (event["event"], event["error"]["type"], event["error"]["transient"]) == ("failed", kind, transient)
    worker.send(request_of("same", value=1))
    assert worker.wait()["output"] == 1


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_step_elsewhere_asks_its_engine_for_secrets(
    worker: Worker, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each when it is wanted, whatever its own environment says; in the next step again."""
    monkeypatch.setenv("FIRST", "of this process")
    kept, asked = {"FIRST": "a", "SECOND": "bb\n\u2028'\"ü"}, []

    def resolve(name: str) -> str | None:
        asked.append(name)
        return kept.get(name)

    for _ in range(2):
        worker.send(request_of("sign", "engine", names=["SECOND", "FIRST"]))
        assert worker.wait(resolve=resolve)["output"] == [len(kept["SECOND"]), 1]
    assert asked == ["SECOND", "FIRST"] * 2


def test_a_secret_that_the_engine_does_not_have_fails_the_step_with_its_name(
    worker: Worker, request_of: Callable[..., Request]
) -> None:
    """The environment of the other process is not asked instead."""
    worker.send(request_of("sign", "engine", names=["HOME"]))
    event = worker.wait(resolve=lambda name: None)
    assert event["error"]["type"] == "ConfigurationError"
    assert "The secret 'HOME' is not set" in event["error"]["message"]


def test_an_engine_that_keeps_secrets_in_the_environment_is_not_asked(
    request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has that environment itself."""
    monkeypatch.setenv("TOKEN", "tiefgeheim")
    worker = Worker(sys.executable)

    def resolve(name: str) -> str | None:
        raise AssertionError(name)

    worker.send(request_of("sign", names=["TOKEN"]))
    assert worker.wait(resolve=resolve)["output"] == [10]
    worker.kill()


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_worker_is_killed_with_all_that_its_step_has_started(
    worker: Worker, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    """At any moment, and a second time without harm."""
    worker.send(request_of("hang", place=str(tmp_path / "pids")))
    pids = pids_in(tmp_path / "pids")
    assert all(is_alive(pid) for pid in pids)
    assert worker.kill() == -9
    assert all_gone(pids)
    assert not worker.alive
    assert worker.kill() == -9


def test_a_step_that_takes_too_long_is_ended(
    worker: Worker, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    """With its children, and with a sentence."""
    worker.send(request_of("hang", place=str(tmp_path / "pids")))
    pids = pids_in(tmp_path / "pids")
    started = time.monotonic()
    with pytest.raises(StepTimedOut, match="It took longer than 1 seconds and was killed"):
        worker.wait(seconds=1)
    assert 0.9 < time.monotonic() - started < 10
    assert all_gone(pids)


@pytest.mark.parametrize(("name", "how"), [("die", "SIGKILL: out of memory?"), ("vanish", "exit code 3")])
def test_a_process_that_is_gone_is_a_step_lost(
    name: str, how: str, worker: Worker, request_of: Callable[..., Request]
) -> None:
    """Nobody waits for it, and how it ended is said; what is sent to it then is lost as well."""
    worker.send(request_of(name))
    with pytest.raises(StepLost, match=re.escape(f"The process ended without a word ({how}).")):
        worker.wait(seconds=60)
    assert not worker.alive


def test_a_step_that_never_stops_talking_is_killed_when_its_time_is_over(
    worker: Worker, request_of: Callable[..., Request]
) -> None:
    """What it says keeps nobody from looking at the clock."""
    worker.send(request_of("chatter"))
    began = time.monotonic()
    with pytest.raises(StepTimedOut):
        worker.wait(seconds=1.5)
    assert time.monotonic() - began < 10
    assert not worker.alive


def test_a_step_that_is_killed_while_another_thread_waits_for_it_is_lost(
    worker: Worker, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    """Whoever waits hears of it."""
    found: list[str] = []

    def wait() -> None:
        try:
            worker.wait()
        except StepLost as error:
            found.append(str(error))

    worker.send(request_of("hang", place=str(tmp_path / "pids")))
    pids = pids_in(tmp_path / "pids")
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    time.sleep(0.2)
    os.killpg(pids[0], signal.SIGKILL)
    waiting.join(timeout=30)
    assert found == ["The process ended without a word (SIGKILL: out of memory?)."]
    assert all_gone(pids)


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "exit code 0"), (2, "exit code 2"), (-9, "SIGKILL: out of memory?"), (-11, "SIGSEGV"), (-200, "signal 200")],
)
def test_an_exit_is_named_for_people(code: int, said: str) -> None:
    """Numbers of signals mean nothing to most."""
    assert exit_of(code) == said


# --- another interpreter ----------------------------------------------------------------------------------------------


def test_a_step_runs_in_the_interpreter_that_is_named(
    request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whichever it is, it finds the step's file and ostinato, and asks for its secrets here."""
    wrapper = tmp_path / "python-ml"
    wrapper.write_text(f'#!/bin/sh\nINSIDE=ml exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("OSTINATO_PYTHON_ML", str(wrapper))
    worker = Worker(interpreter_of("ml"))
    worker.send(request_of("where"))
    assert worker.wait()["output"] == "ml"
    worker.send(request_of("show", "engine", secret_name="DEEP"))
    assert worker.wait(resolve=str.lower)["output"] == "deep"
    worker.kill()


def test_an_interpreter_that_is_not_there_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the name of the variable; None is this one."""
    assert interpreter_of(None) == sys.executable
    with pytest.raises(
        ConfigurationError, match=r"wants the interpreter 'ml': set OSTINATO_PYTHON_ML .*\(it is None\)"
    ):
        interpreter_of("ml")
    (tmp_path / "python").write_text("no program")
    monkeypatch.setenv("OSTINATO_PYTHON_ML", str(tmp_path / "python"))
    with pytest.raises(ConfigurationError, match=r"\(it is '.*/python'\)"):
        interpreter_of("ml")


# --- workers that threads share -----------------------------------------------------------------------------------


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """With room for two."""
    monkeypatch.setenv("OSTINATO_PARALLEL", "2")
    pool = Pool()
    yield pool
    pool.end()


def test_a_worker_is_used_again_unless_it_had_an_accident(pool: Pool, request_of: Callable[..., Request]) -> None:
    """It has imported what the next step needs, too; a worker that had an accident is not."""
    with pool.worker(sys.executable) as first:
        first.send(request_of("same", value=1))
        assert first.wait()["output"] == 1
    with pool.worker(sys.executable) as second:
        assert second is first
    with contextlib.suppress(StepLost), pool.worker(sys.executable):
        raise StepLost("an accident")
    assert not first.alive
    with pool.worker(sys.executable) as fourth:
        assert fourth is not first
    pool.close()
    assert not fourth.alive


def test_no_more_work_at_once_than_there_is_room_for(pool: Pool) -> None:
    """The third waits for one of the two."""
    began: list[int] = []
    leave = threading.Event()

    def work(number: int) -> None:
        with pool.worker(sys.executable):
            began.append(number)
            leave.wait(60)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(began) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    assert len(began) == 2
    leave.set()
    for thread in threads:
        thread.join(30)
    assert sorted(began) == [0, 1, 2]


def test_ending_a_pool_ends_what_its_workers_do_and_what_still_waits(
    pool: Pool, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    """Each thread hears that its step is lost, until there is work again."""
    heard: list[str] = []

    def work(place: str) -> None:
        try:
            with pool.worker(sys.executable) as worker:
                worker.send(request_of("hang", place=place))
                worker.wait()
        except StepLost as error:
            heard.append(str(error))

    places = [tmp_path / name for name in ("first", "second", "third")]
    threads = [threading.Thread(target=work, args=(str(place),), daemon=True) for place in places]
    for thread, place in zip(threads[:2], places[:2], strict=True):
        thread.start()
        pids_in(place)
    threads[2].start()
    pids = [pid for place in places[:2] for pid in pids_in(place)]
    pool.end()
    for thread in threads:
        thread.join(30)
    assert len(heard) == 3
    assert all_gone(pids)
    assert not places[2].exists()
    pool.begin()
    with pool.worker(sys.executable) as worker:
        assert worker.alive

"""One run of a graph on this machine, from the first step to the last: the reference of what a graph means."""

from __future__ import annotations

import contextlib
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ostinato.artifacts import all_there
from ostinato.closing import publish
from ostinato.drawing import spell
from ostinato.errors import (
    ContractError,
    DataError,
    OstinatoError,
    PermanentError,
    StepLost,
    StepTimedOut,
    UsageError,
)
from ostinato.graph import Guard, Node, Options, Pipeline, Step, seconds
from ostinato.outcome import label
from ostinato.records import Records, RunRecord, describe_error
from ostinato.runner import Request, execute, fill, moment, records_of
from ostinato.workspace import Workspace

from .worker import Worker, exit_of, interpreter_of, side_by_side

Listener = Callable[[dict[str, Any]], None]
Ask = Callable[[dict[str, Any]], dict[str, Any] | None]
NOBODY = {"granted": False, "by": "nobody", "why": "timed out: there is no terminal to ask at, and no answer was given"}
LONGEST_BACKOFF = 300.0  # seconds
LONGEST_CALL = 300.0  # seconds for a question outside the records
ENDED = ("succeeded", "failed", "skipped", "blocked")


@dataclass
class Task:
    """One execution an engine must bring about: a step, or one item of a mapped one."""

    node: Node
    inputs: dict[str, Any]
    map_key: str = ""
    attempt: int = 0
    not_before: float = 0.0
    deadline: float | None = None
    started: float = 0.0

    def argument(self, name: str) -> Any:
        """What the step is given under a name, or its default."""
        return self.inputs.get(name, self.node.step.signature.parameters[name].default)


@dataclass
class Play:
    """The state of one run while it is played."""

    pipeline: Pipeline[...]
    record: RunRecord
    workspace: Workspace
    lock: int
    listener: Listener | None
    ask: Ask | None = None
    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)  # of a mapped step: results by map key
    missing: dict[str, int] = field(default_factory=dict)  # of a mapped step: items still to end
    waiting: list[Task] = field(default_factory=list)
    questions: list[Task] = field(default_factory=list)  # that a person is to answer
    busy: dict[Worker, Task] = field(default_factory=dict)
    idle: list[Worker] = field(default_factory=list)

    @property
    def records(self) -> Records:
        return records_of(self.workspace.home)

    def play(self) -> dict[str, Any]:
        self.records.open_run(self.record)
        self.records.change_run(self.record.run_id, report=None)
        self._say({"event": "run", "run_id": self.record.run_id, "nodes": [n.name for n in self.pipeline.graph.nodes]})
        state, error = "failed", None
        try:
            with _interrupted_by_sigterm():
                self._take_over()
                self._settle_as_of()
                self._loop()
            state = "failed" if {"failed", "blocked"} & set(self.states.values()) else "succeeded"
        except KeyboardInterrupt:
            state = "cancelled"
        except OstinatoError as raised:
            error = describe_error(raised)
        finally:
            for worker in self.busy:
                worker.kill()
            self.records.close_run(self.record.run_id, state, error=error)
            try:
                result = self._report()
            finally:
                for worker in self.idle:
                    worker.kill()
        return result

    def _report(self) -> dict[str, Any]:
        """Write the run's pages and hand them on; a run whose record names a report is finished with that, too."""

        def say(message: str) -> None:
            self._say({"event": "log", "step": "", "map_key": "", "message": message})

        about = self.pipeline.__doc__ or ""
        result = publish(self.records, self.workspace, self.record.run_id, about, call=self._call, say=say)
        self._say({"event": "end", "state": result["state"]})
        return result

    def _say(self, event: dict[str, Any]) -> None:
        if self.listener is not None:
            self.listener(event)

    def _enter(self, name: str, state: str, **more: Any) -> None:
        self._say({"event": "step", "step": name, "map_key": "", "state": state, **more})

    def _enter_task(self, task: Task, state: str, **more: Any) -> None:
        """The same of a task: an item of a mapped step is told by what people call it, too."""
        named = {"label": label(task.inputs[task.node.item], task.map_key)} if task.map_key else {}
        self._enter(task.node.name, state, map_key=task.map_key, **named, **more)

    # before the first step

    def _take_over(self) -> None:
        """From an earlier attempt at this run: what succeeded or was skipped, if it is still there."""
        for step in self.records.steps(self.record.run_id):
            if step.state == "succeeded" and not all_there(step.output):
                continue
            if step.map_key and step.state == "succeeded":
                self.items.setdefault(step.step, {})[step.map_key] = step.output
            elif step.state == "succeeded":
                self.results[step.step] = step.output
                self.states[step.step] = "succeeded"
                self._enter(step.step, "succeeded", resumed=True)

    def _settle_as_of(self) -> None:
        """Where nobody said what moment the run stands for: the pipeline's choice, else today, UTC."""
        if self.record.as_of is None:
            chosen = self._ask(self.pipeline.options.default_as_of) or f"{datetime.now(UTC):%Y-%m-%d}"
            self.record = replace(self.record, as_of=moment(chosen).isoformat())
            self.records.change_run(self.record.run_id, as_of=self.record.as_of)
        self._say({"event": "as_of", "as_of": self.record.as_of})

    def _ask(self, question: Callable[..., Any] | None) -> str | None:
        """What a function of the pipeline's parameters says."""
        if question is None:
            return None
        asked = Step(question, Options())
        inputs = {name: self.record.parameters[name] for name in asked.signature.parameters}
        if not asked.importable:
            return str(execute(self._question(asked.path, inputs), function=question))
        return str(self._call(asked.path, inputs))

    def _call(self, function: str, inputs: dict[str, Any]) -> Any:
        """Call a function in a worker, outside the records; raises what it raises."""
        worker = self._worker(interpreter_of(None))
        worker.send(self._question(function, inputs))
        event = worker.wait(seconds=LONGEST_CALL)
        self.idle.append(worker)
        if event["event"] == "failed":
            raise _raised(event["error"])
        return event["output"]

    def _question(self, function: str, inputs: dict[str, Any]) -> Request:
        """A request that leaves no trace in the records."""
        return Request.of(self.record, self.workspace.home, function, inputs)

    # the loop

    def _loop(self) -> None:
        while self._advance() or self.waiting or self.busy or self.questions:
            if self.questions and not self.waiting and not self.busy:  # a person is asked when all else is done
                self.waiting.append(self._answered(self.questions.pop(0)))
            self._start()
            self._listen()

    def _advance(self) -> bool:
        """Decide about every node whose needs have ended; whether that changed anything."""
        changed = False
        for node in self.pipeline.graph.nodes:
            if node.name in self.states or not all(self.states.get(need) in ENDED for need in node.needs):
                continue
            self._decide(node)
            changed = True
        return changed

    def _decide(self, node: Node) -> None:
        try:
            self._begin(node)
        except OstinatoError as error:  # what it reads is not there, or no flag
            self.records.write_step(self.record.run_id, node.name, state="failed", error=describe_error(error))
            self._end(node, "failed")

    def _begin(self, node: Node) -> None:
        verdict = self._fate(node)
        if verdict is not None:
            self._end(node, verdict)
        elif node.kind == "either":
            ran = next(side for side in node.inputs.values() if self.states[side["$step"]] == "succeeded")
            self._finish(node, self._fill(ran))
        elif node.kind == "collect":
            self._finish(node, self._fill(node.inputs)["items"])
        elif node.kind == "map":
            self._spread(node)
        else:
            self.states[node.name] = "running"
            self._line_up(Task(node, self._fill(node.inputs)))

    def _fate(self, node: Node) -> str | None:
        """`blocked` behind a failure, `skipped` where a guard or an input says so, None where it is to run."""
        needs = {need: self.states[need] for need in node.needs}
        if {"failed", "blocked"} & set(needs.values()):
            return "blocked"
        if node.kind == "either":
            return None if "succeeded" in needs.values() and self._open(node.guards) else "skipped"
        # an empty fan-out is skipped and still has a result, the empty list
        if any(state == "skipped" and need not in self.results for need, state in needs.items()):
            return "skipped"
        return None if self._open(node.guards) else "skipped"

    def _open(self, guards: tuple[Guard, ...]) -> bool:
        for guard in guards:
            if self.states.get(guard.flag.get("$step", ""), "succeeded") != "succeeded":
                return False
            flag = self._fill(guard.flag)
            if not isinstance(flag, bool):
                raise ContractError(f"{spell(guard.flag)} decides what runs, and is {flag!r} instead of true or false.")
            if flag is not guard.expected:
                return False
        return True

    def _spread(self, node: Node) -> None:
        over = self._fill(node.over)
        if not isinstance(over, list):
            raise DataError(f"{node.name!r} runs over a list, and got {str(over)[:80]}.")
        if not over:
            self.results[node.name] = []
            return self._end(node, "skipped")
        fixed, done = self._fill(node.inputs), self.items.setdefault(node.name, {})
        self.states[node.name] = "running"
        self.missing[node.name] = len(over)
        for index, item in enumerate(over):
            if str(index) in done:
                self._item_ended(node)
            else:
                self._line_up(Task(node, {**fixed, node.item: item}, map_key=str(index)))
        return None

    def _line_up(self, task: Task) -> None:
        if task.node.step.settings.asks and task.argument("required"):
            self.questions.append(task)
        else:
            self.waiting.append(task)

    def _answered(self, task: Task) -> Task:
        """Wait for a person, with the run's state saying so."""
        name, run_id = task.node.name, self.record.run_id
        longest = seconds(task.argument("timeout"))
        question = {"run_id": run_id, "pipeline": self.record.pipeline, "step": name, "inputs": task.inputs}
        self.records.write_step(run_id, name, task.map_key, state="waiting", started=time.time())
        self.records.change_run(run_id, state="waiting")
        self._enter_task(task, "waiting")
        answer = self.ask({**question, "seconds": longest}) if self.ask else dict(NOBODY)
        self.records.change_run(run_id, state="running")
        return replace(task, inputs={**task.inputs, "answer": answer})

    def _fill(self, spec: Any) -> Any:
        return fill(spec, self.results, self.record.parameters)

    def _start(self) -> None:
        """Give tasks that are due to workers that are free."""
        now = time.monotonic()
        for task in [task for task in self.waiting if task.not_before <= now]:
            if not task.node.step.importable:
                self.waiting.remove(task)
                self._run_here(task)
            elif len(self.busy) < side_by_side():
                self.waiting.remove(task)
                self._hand_over(task)

    def _hand_over(self, task: Task) -> None:
        settings = task.node.step.settings
        try:
            worker = self._worker(interpreter_of(settings.python))
        except OstinatoError as error:
            return self._failed(task, describe_error(error), written=False)
        task.attempt += 1
        task.started = time.time()
        task.deadline = None if settings.timeout is None else time.monotonic() + float(settings.timeout)
        self.busy[worker] = task
        self._enter_task(task, "running", attempt=task.attempt)
        worker.send(self._request(task))
        return None

    def _worker(self, interpreter: str) -> Worker:
        """A free worker of that interpreter, the one that worked last and has most imported; else a new one."""
        for worker in [each for each in reversed(self.idle) if each.interpreter == interpreter]:
            self.idle.remove(worker)
            if worker.alive:
                return worker
            worker.kill()
        return Worker(interpreter, self.lock)

    def _request(self, task: Task) -> Request:
        node, tail = task.node, f".{task.map_key}" if task.map_key else ""
        log = f"{self.workspace.run_folder(self.record.run_id)}/logs/{node.name}{tail}.log"
        return replace(
            self._question(node.step.path, task.inputs),
            step=node.name,
            map_key=task.map_key,
            attempt=task.attempt,
            effect=node.step.settings.effect,
            log=None if self.workspace.remote else log,
            recorded=True,
        )

    def _run_here(self, task: Task) -> None:
        task.attempt += 1
        self._enter_task(task, "running", attempt=task.attempt)
        try:
            output = execute(self._request(task), emit=self._say, function=task.node.step.function)
        except Exception as error:
            self._failed(task, describe_error(error))
        else:
            self._succeeded(task, output)

    def _listen(self) -> None:
        """Wait until a worker says something, a time is over or a retry is due."""
        if not self.busy:
            due = [task.not_before for task in self.waiting]
            if due:
                time.sleep(max(0.0, min(due) - time.monotonic()))
            return
        with selectors.DefaultSelector() as selector:
            for worker in self.busy:
                selector.register(worker.output, selectors.EVENT_READ, worker)
            ready = [key.data for key, _ in selector.select(self._patience())]
        for worker in ready:
            for event in worker.events():
                self._hear(worker, event)
        for worker, task in list(self.busy.items()):
            if task.deadline is not None and task.deadline <= time.monotonic():
                self._kill(
                    worker, task, StepTimedOut(f"{task.node.name!r} took longer than {_span(task)} and was killed.")
                )

    def _patience(self) -> float | None:
        times = [task.deadline for task in self.busy.values() if task.deadline is not None]
        if len(self.busy) < side_by_side():
            times += [task.not_before for task in self.waiting]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _hear(self, worker: Worker, event: dict[str, Any] | None) -> None:
        if event is None:
            task = self.busy[worker]
            self._kill(worker, task, None)
        elif event["event"] == "done":
            self._free(worker)
            self._succeeded(self.busy.pop(worker), event["output"])
        elif event["event"] == "failed":
            self._free(worker)
            self._failed(self.busy.pop(worker), event["error"])
        else:
            self._say(event)

    def _free(self, worker: Worker) -> None:
        self.idle.append(worker)

    def _kill(self, worker: Worker, task: Task, error: OstinatoError | None) -> None:
        code = worker.kill()
        del self.busy[worker]
        lost = StepLost(f"The process of {task.node.name!r} ended without a word ({exit_of(code)}).")
        self._failed(task, describe_error(error or lost), written=False)

    # ends

    def _succeeded(self, task: Task, output: Any) -> None:
        if task.map_key:
            self.items[task.node.name][task.map_key] = output
            self._enter_task(task, "succeeded")
            self._item_ended(task.node)
        else:
            self.results[task.node.name] = output
            self._end(task.node, "succeeded", recorded=True)

    def _failed(self, task: Task, error: dict[str, Any], written: bool = True) -> None:
        """Try again where that may help and is allowed; else the step has failed."""
        settings, name = task.node.step.settings, task.node.name
        retry = error["transient"] and task.attempt <= settings.retries
        state = "retrying" if retry else "failed"
        if retry or not written:
            more = {} if written else {"ended": time.time(), "error": error}
            start = {} if written else {"started": task.started or time.time(), "attempts": task.attempt}
            self.records.write_step(self.record.run_id, name, task.map_key, state=state, **start, **more)
        self._enter_task(task, state, error=error, attempt=task.attempt)
        if retry:
            pause = min(settings.backoff * 2 ** (task.attempt - 1), LONGEST_BACKOFF)
            task.not_before = time.monotonic() + pause
            self.waiting.append(task)
        elif task.map_key:
            self._item_ended(task.node, failed=True)
        else:
            self._end(task.node, "failed", recorded=True)

    def _item_ended(self, node: Node, failed: bool = False) -> None:
        self.missing[node.name] -= 1
        self.states[node.name] = "failing" if failed or self.states[node.name] == "failing" else "running"
        if self.missing[node.name] == 0:
            done = self.items[node.name]
            self.results[node.name] = [done[key] for key in sorted(done, key=int)]
            self._end(node, "failed" if self.states[node.name] == "failing" else "succeeded", recorded=True)

    def _finish(self, node: Node, output: Any) -> None:
        """A join or a collector: the engine's own work."""
        now = time.time()
        values = {"state": "succeeded", "attempts": 1, "started": now, "ended": now, "output": output}
        self.records.write_step(self.record.run_id, node.name, **values)
        self.results[node.name] = output
        self._end(node, "succeeded", recorded=True)

    def _end(self, node: Node, state: str, recorded: bool = False) -> None:
        self.states[node.name] = state
        if state == "skipped" and not recorded:
            now = time.time()
            self.records.write_step(self.record.run_id, node.name, state="skipped", started=now, ended=now)
        self._enter(node.name, "pending" if state == "blocked" else state)


def _raised(error: dict[str, Any]) -> OstinatoError:
    """A recorded error as an exception again."""
    kind = {"DataError": DataError, "UnknownName": UsageError}.get(error["type"], PermanentError)
    return kind(error["message"])


def _span(task: Task) -> str:
    return str(timedelta(seconds=float(task.node.step.settings.timeout or 0)))


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let a polite kill end a run as Ctrl-C does: workers stopped, records closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

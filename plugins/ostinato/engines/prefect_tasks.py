"""A step as a Prefect task: it runs in a worker process of ours, and its failure is on record and told at once.

A worker process can be killed when its time is over, and what a step imports, holds or breaks is its own; the flow's
process only schedules.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

from ostinato.errors import OstinatoError, PermanentError, StepLost, StepTimedOut, TransientError, is_transient
from ostinato.graph import Step
from ostinato.records import RunRecord, describe_error, sentence
from ostinato.runner import Request, execute
from ostinato.scrubbing import hide

from .prefect_approval import answered
from .prefect_artifacts import Progress, show
from .prefect_closing import tell, will_run_again
from .prefect_run import records_here, workspace_here
from .prefect_secrets import resolve
from .worker import Pool, interpreter_of

_LONGEST_BACKOFF = 300.0  # seconds
_LONGEST_CALL = 300.0  # seconds for a question outside the records
_MOST_DELAYS = 50  # Prefect takes no more, and goes on with the last
_PRINTED = 4000  # characters of what a step printed that its log shows

pool = Pool()
atexit.register(pool.close)


def scheduled(step: Step[..., Any]) -> dict[str, Any]:
    """How a step is scheduled, in Prefect's words; what it says of Prefect itself comes last."""
    settings = step.settings
    delays = [min(settings.backoff * 2**again, _LONGEST_BACKOFF) for again in range(settings.retries)]
    return {
        "retries": settings.retries,
        "retry_delay_seconds": delays[:_MOST_DELAYS] or None,
        "retry_condition_fn": may_help,
        "cache_policy": NO_CACHE,
        **settings.prefect,
    }


def may_help(task: Any, task_run: Any, state: Any) -> bool:
    """Whether to try a failed task again: Prefect itself would repeat programming errors, too."""
    try:
        state.result()
    except Exception as error:
        return is_transient(error) and not pool.ended
    return False


def perform(step: Step[..., Any], run: RunRecord, name: str, inputs: Mapping[str, Any], map_key: str = "") -> Any:
    """Run a step as every engine does, in the task that is running, and give its result as JSON.

    Args:
        name: what it is called in its run.
        map_key: which item of a mapped step it is.
    """
    request = Request.of(
        run,
        workspace_here().home,
        step.path,
        dict(inputs),
        step=name,
        map_key=map_key,
        attempt=_attempt(),
        effect=step.settings.effect,
        secrets="engine",
        log=_log_file(run, name, map_key),
        recorded=True,
    )
    asked = {**{key: one.default for key, one in step.signature.parameters.items()}, **inputs}
    if step.settings.asks and asked["required"]:
        request = replace(request, inputs={**inputs, "answer": answered(run, name, map_key, inputs, asked["timeout"])})
    output = _executed(step, request)
    show(run, name, output)
    return output


def _attempt() -> int:
    context = TaskRunContext.get()
    return context.task_run.run_count if context else 1


def _log_file(run: RunRecord, name: str, map_key: str) -> str | None:
    workspace = workspace_here()
    tail = f".{map_key}" if map_key else ""
    return None if workspace.remote else f"{workspace.run_folder(run.run_id)}/logs/{name}{tail}.log"


@contextlib.contextmanager
def failing(run: RunRecord, name: str, map_key: str = "") -> Iterator[None]:
    """Have a failure of what the running task does on record, and told unless it will be tried again."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if pool.ended:  # that is no failure of the step: whoever ended the run says what became of it
            raise
        context = TaskRunContext.get()
        again = is_transient(error) and context is not None and context.task_run.run_count <= context.task.retries
        _amend(run, name, map_key, error, again=again)
        if not again and not will_run_again():
            tell("failed", run.run_id, name, map_key)
        if isinstance(error, SystemExit):  # it would end the whole flow
            raise PermanentError(sentence(describe_error(error))) from error
        raise


def _amend(run: RunRecord, name: str, map_key: str, error: BaseException, *, again: bool) -> None:
    """Put on record what only the engine knows: that a step failed before it began, was killed, or is tried again."""
    records, now = records_here(), time.time()
    known = records.step(run.run_id, name, map_key)
    attempts, more = _attempt(), dict[str, Any]()
    if known is None or known.attempts < attempts or known.error is None:
        began = {} if known is not None and known.attempts == attempts else {"started": now}
        more = {"error": describe_error(error), "ended": now, "attempts": attempts, **began}
    records.write_step(run.run_id, name, map_key, state="retrying" if again else "failed", **more)


def _executed(step: Step[..., Any], request: Request) -> Any:
    log = get_run_logger()
    progress = Progress(request.step)

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "log":
            log.info("%s", hide(event["message"]))
        elif event["event"] == "progress":
            progress.show(event["done"], event["total"])

    if not step.importable:
        try:
            return execute(request, emit=hear, resolve=resolve, function=step.function)
        except Exception as error:  # of this process, so Prefect would show all that it says
            log.error("%s", hide("".join(traceback.format_exception(error))))
            raise raised(describe_error(error)) from None
    longest = step.settings.timeout
    printed = _size(request.log)
    try:
        with pool.worker(interpreter_of(step.settings.python)) as worker:
            worker.send(request)
            event = worker.wait(hear, resolve=resolve, seconds=None if longest is None else float(longest))
    except StepTimedOut:
        span = timedelta(seconds=float(longest or 0))
        raise StepTimedOut(f"{request.step!r} took longer than {span} and was killed.") from None
    except StepLost as error:
        raise StepLost(f"{request.step!r}: {error}") from None
    finally:
        _show_printed(request.log, printed)
    if event["event"] == "done":
        return event["output"]
    raise raised(event["error"])


def raised(error: Mapping[str, Any]) -> OstinatoError:
    """An error of another process as an exception of this one."""
    return (TransientError if error["transient"] else PermanentError)(sentence(error))


def _size(file: str | None) -> int:
    return os.path.getsize(file) if file and os.path.exists(file) else 0


def _show_printed(file: str | None, start: int) -> None:
    """What a step and its children have printed, in the task's log: of much the end."""
    if file is None or _size(file) <= start:
        return
    with Path(file).open("rb") as printed:
        printed.seek(max(start, _size(file) - 8 * _PRINTED))
        text = hide(printed.read().decode(errors="replace"))  # before it is cut: half a secret is not known as one
    left_out = f"… (all of it is in {file})\n" if len(text) > _PRINTED else ""
    get_run_logger().info("%s", f"printed:\n{left_out}{text[-_PRINTED:].rstrip()}")


def ask_store(run: RunRecord, function: str, inputs: dict[str, Any]) -> Any:
    """Call a function in a worker, outside the records; raises what it raises."""
    request = Request.of(run, workspace_here().home, function, inputs, secrets="engine")
    with pool.worker(interpreter_of(None)) as worker:
        worker.send(request)
        event = worker.wait(resolve=resolve, seconds=_LONGEST_CALL)
    if event["event"] == "failed":
        raise raised(event["error"])
    return event["output"]

"""What a running step may know and say.

from ostinato import context

context.current().log("kept 1,200 of 1,300 rows")
context.current().as_of          # the moment the run stands for; never read the clock inside a step
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .errors import ConfigurationError
from .scrubbing import remember
from .workspace import Workspace

Emit = Callable[[dict[str, Any]], None]
Resolve = Callable[[str], str | None]


def today() -> datetime:
    """The UTC day it is, 0:00; for whoever starts a run, never for a step."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _say_nothing(_: dict[str, Any]) -> None:
    """Outside a run nobody listens."""


def from_environment(name: str) -> str | None:
    """A secret from the environment, else from a `.env` file in the current folder."""
    if name in os.environ or not os.path.exists(".env"):
        return os.environ.get(name)
    from dotenv import dotenv_values

    return dotenv_values(".env").get(name)


@dataclass(frozen=True)
class Context:
    """The running step, as the step sees it.

    `as_of` is an aware UTC time or None outside a run; `day` is the UTC day on which the run began, 0:00, and `horizon`
    the moment before which everything that has happened lies; `key` identifies this piece of work across retries and
    resumes; `folder` is where its outputs belong; `tags` are the run's code version and environment.
    """

    workspace: Workspace
    run_id: str
    step: str
    pipeline: str = ""
    engine: str = "none"
    map_key: str = ""
    attempt: int = 1
    as_of: datetime | None = None
    day: datetime = field(default_factory=lambda: today())
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    emit: Emit = _say_nothing
    resolve: Resolve = from_environment

    @property
    def key(self) -> str:
        """Run, step and map key: the idempotency key of an effect."""
        return "/".join(part for part in (self.run_id, self.step, self.map_key) if part)

    @property
    def horizon(self) -> datetime:
        """The end of `day`, or `as_of` where that is later: a row of a later time is broken."""
        tomorrow = self.day + timedelta(days=1)
        return max(tomorrow, self.as_of) if self.as_of else tomorrow

    @property
    def folder(self) -> str:
        """Where this step's outputs are written; nothing else writes there."""
        tail = f"/{self.map_key}" if self.map_key else ""
        return f"{self.workspace.run_folder(self.run_id)}/{self.step}{tail}"

    def log(self, message: str) -> None:
        """Say one line to whoever watches the run."""
        self.emit({"event": "log", "step": self.step, "map_key": self.map_key, "message": message})

    def progress(self, done: float, total: float | None = None) -> None:
        """Tell how far the step is; `total` None means unknown."""
        self.emit({"event": "progress", "step": self.step, "map_key": self.map_key, "done": done, "total": total})

    def secret(self, name: str) -> str:
        """The secret called `name`, from the engine's own store.

        Raises:
            ConfigurationError: no such secret.
        """
        value = self.resolve(name)
        if value is None:
            raise ConfigurationError(
                f"The secret {name!r} is not set. Locally write {name}=… in the environment or in a .env file; "
                "in Airflow keep it as a Variable or Connection of that name; "
                f"in Prefect as a Secret block called {block_of(name)}."
            )
        remember(value)
        return value


def block_of(name: str) -> str:
    """Prefect's names of blocks are lower case and dashes."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


_current: ContextVar[Context | None] = ContextVar("ostinato_context", default=None)


def current() -> Context:
    """The running step's context; in a REPL or a unit test, a scratch one in the workspace here."""
    running = _current.get()
    if running is None:
        running = Context(Workspace.here(), run_id=f"scratch-{secrets.token_hex(4)}", step="scratch")
        _current.set(running)
    return running


@contextmanager
def running(context: Context) -> Iterator[Context]:
    """Make `context` the current one for the body."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def secret(name: str) -> str:
    """The secret called `name`, from the running engine's own store (see `Context.secret`)."""
    return current().secret(name)

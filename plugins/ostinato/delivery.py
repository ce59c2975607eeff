"""Bringing what is written in the outbox to where a team reads it: Slack, Apprise, a file, a terminal.

A pipeline's `on_failure="slack:#channel"` says where to, else `OSTINATO_ALERTS` (`slack:#channel`, `slack`,
`apprise:NAME`, `file`, `console`, `none`); without either, and where the channel is not set up, it is the file
`alerts.jsonl` in the workspace and one line on stderr. Delivery is at least once and never raises; what does not arrive
stays and is tried by whatever runs next.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import catalog
from .context import Resolve, from_environment
from .errors import OstinatoError, Unavailable, UsageError
from .outbox import Incident, Message, this_process
from .records import Records, RunRecord
from .scrubbing import hide, is_secret, remember, scrub
from .workspace import Workspace

LONGEST = 10.0  # seconds a delivery may take
_PAUSE = 0.5  # seconds before the second and last try of one delivery
_FALLBACK = "file+console"


class NotNow(Unavailable):
    """A channel could not take a message now.

    Attributes:
        after: seconds it asked to be left alone.
        doubtful: whether the message may have arrived all the same.
    """

    def __init__(self, message: str, after: float | None = None, *, doubtful: bool = False) -> None:
        super().__init__(message)
        self.after, self.doubtful = after, doubtful


@dataclass(frozen=True)
class Letter:
    """A message on its way, as a channel gets it.

    Attributes:
        to: what the setting says behind the colon.
        mark: a sign for the eye.
        text: whole sentences.
        lines: of each line the words and their values.
        under: the first line of the incident it belongs to; None for a first message.
        place: what the channel gave back for the incident's first message.
        repeat: whether it may have arrived before.
    """

    to: str
    kind: str
    mark: str
    title: str
    text: tuple[str, ...]
    lines: tuple[tuple[tuple[str, str], ...], ...]
    pipeline: str
    run_id: str
    under: str | None
    place: Mapping[str, Any] | None
    repeat: bool
    at: float
    folder: Path

    @property
    def headline(self) -> str:
        """Its first line."""
        return f"{self.mark} {self.title}{' (may be a repeat)' if self.repeat else ''}"

    def plain(self) -> str:
        """All of it as text."""
        lines = (" · ".join(f"{word}: {value}" for word, value in line) for line in self.lines)
        return "\n".join([self.headline, *self.text, *lines])


Send = Callable[[Letter, Resolve, float], Mapping[str, Any]]
"""A channel: a function of a letter, the secrets and the seconds it may take, that gives the letter's place.

It raises UsageError where it is not set up, NotNow where a later try may help, anything else where it was refused.
"""


def deliver(
    records: Records, workspace: Workspace, *, resolve: Resolve = from_environment, seconds: float = LONGEST
) -> int:
    """Send what waits, in the order of each thread, for at most about so many seconds; gives how much arrived."""
    try:
        round_ = _Round(records, workspace, resolve, time.monotonic() + seconds)
        while round_.left > 0 and (threads := [one for one in round_.outbox.pending() if one not in round_.done]):
            round_.send_thread(threads[0])
    except Exception as error:  # whatever is wrong with alerts is no fault of the run
        _stderr(scrub(f"Alerts could not be sent now: {type(error).__name__}: {error}"))
        return 0
    return round_.arrived


def destination(run: RunRecord | None, resolve: Resolve = from_environment) -> str:
    """Where a run's messages go, as it is written in settings; empty where nothing is set."""
    chosen = run.tags.get("on_failure") if run else None
    return (chosen or resolve("OSTINATO_ALERTS") or "").strip()


class _Round:
    """One delivery: who sends, until when, and what has been tried in it."""

    def __init__(self, records: Records, workspace: Workspace, resolve: Resolve, until: float) -> None:
        self.records, self.outbox, self.workspace = records, records.outbox, workspace
        self.resolve = _remembering(resolve)
        self.until, self.arrived = until, 0
        self.name = f"{this_process()}.{secrets.token_hex(4)}"
        self.done: set[str] = set()  # threads that wait for another time
        self.shut: set[str] = set()  # channels that take nothing now
        self.complained: set[str] = set()  # about channels

    @property
    def left(self) -> float:
        return self.until - time.monotonic()

    def send_thread(self, thread: str) -> None:
        """Send a thread's messages until one does not arrive; what a second try may bring gets one."""
        if not self.outbox.lease(thread, self.name):
            self.done.add(thread)
            return
        try:
            if not self._send_all(thread):
                self.done.add(thread)
        finally:
            self.outbox.release(thread, self.name)

    def _send_all(self, thread: str) -> bool:
        """Whether nothing was left. What another process adds until the lease is given back is seen after that."""
        incident = self.outbox.incident(thread)
        assert incident is not None  # it was written with its first message
        channel = incident.channel or destination(self._run(thread), self.resolve) or _FALLBACK
        tries = 0
        while message := self.outbox.next(thread):
            if message.state == "refused" and message.by == this_process():
                return False
            if self.left <= 0 or channel in self.shut or not self._wait(message.not_before - time.time()):
                return False
            pause = self._send(message, channel)
            tries = 0 if pause == 0 else tries + 1
            if pause is not None and (tries > 1 or not self._wait(pause)):
                self.shut.add(channel)
        return True

    def _send(self, message: Message, channel: str) -> float | None:
        """Send a message; 0 where it arrived, else after how many seconds another try may help, None where none may."""
        doubtful = message.doubtful or message.state == "sending"
        if not self.outbox.sending(message, self.name):
            return math.inf  # another process has taken over
        try:
            self._bring(message, channel, doubtful)
        except NotNow as error:
            not_before = 0.0 if error.after is None else time.time() + error.after
            self.outbox.kept(message, scrub(str(error)), not_before=not_before, doubtful=doubtful or error.doubtful)
            return math.inf if error.doubtful else _PAUSE if error.after is None else error.after
        except Exception as error:  # a channel is anybody's code
            why = scrub(str(error) if isinstance(error, OstinatoError) else f"{type(error).__name__}: {error}")
            self.outbox.kept(message, why, refused=True, doubtful=doubtful)
            self._complain(channel, f"An alert cannot be sent to {channel}: {why} It is kept, and tried again later.")
            return None
        self.outbox.delivered(message)
        self.arrived += 1
        return 0.0

    def _bring(self, message: Message, channel: str, repeat: bool) -> None:
        """Send by the channel, or into the file where it is not set up."""
        incident = self.outbox.incident(message.thread)
        assert incident is not None  # as above
        try:
            place = self._by(channel, message, incident, repeat)
        except UsageError as error:
            self._complain(channel, f"Alerts cannot go to {channel}: {error} They go to {_file(self.workspace)}.")
            channel, place = _FALLBACK, self._by(_FALLBACK, message, incident, repeat)
        if incident.channel is None:
            self.outbox.settle(message.thread, channel, place)

    def _by(self, channel: str, message: Message, incident: Incident, repeat: bool) -> Mapping[str, Any]:
        place: Mapping[str, Any] = {}
        kinds, _, to = channel.partition(":")
        for kind in kinds.split("+"):
            if kind != "none":
                send: Send = catalog.find("alerts", kind)
                letter = _letter(message, incident, to, repeat, _file(self.workspace).parent)
                place = send(letter, self.resolve, max(1.0, self.left))
        return place

    def _run(self, run_id: str) -> RunRecord | None:
        with contextlib.suppress(UsageError):
            return self.records.run(run_id)
        return None

    def _wait(self, seconds: float) -> bool:
        """Wait, where that leaves time to send something."""
        if seconds >= self.left:
            return False
        time.sleep(max(0.0, seconds))
        return True

    def _complain(self, channel: str, text: str) -> None:
        if channel not in self.complained:
            self.complained.add(channel)
            _stderr(scrub(text))


def _remembering(resolve: Resolve) -> Resolve:
    """The same look-up; a secret that it finds is hidden from then on."""

    def found(name: str) -> str | None:
        value = resolve(name)
        if value and is_secret(name):
            remember(value)
        return value

    return found


def _letter(message: Message, incident: Incident, to: str, repeat: bool, folder: Path) -> Letter:
    """A message as it leaves; secrets that became known since it was written are hidden, too."""
    body = message.body
    return Letter(
        to=to,
        kind=body["kind"],
        mark=body["mark"],
        title=hide(body["title"]),
        text=tuple(hide(text) for text in body["text"]),
        lines=tuple(tuple((word, hide(value)) for word, value in line) for line in body["lines"]),
        pipeline=body["pipeline"],
        run_id=body["run_id"],
        under=body["under"] and hide(body["under"]),
        place=incident.place,
        repeat=repeat,
        at=message.at,
        folder=folder,
    )


def _file(workspace: Workspace) -> Path:
    """The file of alerts: in the workspace, or on this machine where that is remote."""
    return (workspace.scratch() if workspace.remote else Path(workspace.home)) / "alerts.jsonl"


# --- the channels that need nothing -----------------------------------------------------------------------------


def to_file(letter: Letter, resolve: Resolve, seconds: float) -> dict[str, Any]:
    """Append one JSON line to `alerts.jsonl` in the workspace."""
    told = {
        "at": letter.at,
        "kind": letter.kind,
        "pipeline": letter.pipeline,
        "run_id": letter.run_id,
        "under": letter.under,
        "title": letter.title,
        "text": list(letter.text),
        **{word: value for line in letter.lines for word, value in line if word != "run"},
        **({"repeat": True} if letter.repeat else {}),
    }
    line = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    letter.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(letter.folder / "alerts.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # in one call: whole among those of others
    finally:
        os.close(descriptor)
    return {}


def to_console(letter: Letter, resolve: Resolve, seconds: float) -> dict[str, Any]:
    """Write one line to stderr."""
    _stderr(": ".join([letter.headline, *letter.text[:1]]))
    return {}


def _stderr(text: str) -> None:
    line = " ".join(text.split())
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody may be there to read it
        sys.stderr.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stderr.flush()

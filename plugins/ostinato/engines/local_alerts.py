"""How a local run tells of itself: at once where it fails, in the background, and never at the cost of the run."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ostinato import alerts
from ostinato.delivery import LONGEST, deliver
from ostinato.records import SCHEMA_VERSION, Records
from ostinato.runner import records_of
from ostinato.workspace import Workspace

from .local_play import Listener

UNTOLD = 86_400.0  # seconds for which a failure nobody was told of is still news


@dataclass(frozen=True)
class Look:
    """What a short look at the records found: local runs that count as running, failures untold, messages unsent."""

    running: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    unsent: bool = False


def look(workspace: Workspace) -> Look | None:
    """What may be to do, seen without loading a database library; None where the records are no sqlite file here."""
    file = _sqlite_file(workspace)
    if file is None:
        return None
    if not file.exists():
        return Look()
    since = time.time() - UNTOLD
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=2)) as connection:
            (version,) = connection.execute("SELECT max(version) FROM ostinato_version").fetchone()
            running = connection.execute(_RUNNING).fetchall()
            untold = connection.execute(_UNTOLD, (since,)).fetchall() if version == SCHEMA_VERSION else []
            unsent = connection.execute(_UNSENT, (time.time(),)).fetchone() if version == SCHEMA_VERSION else None
    except sqlite3.Error:  # whoever needs the records will say what is wrong
        return Look()
    return Look(tuple(row[0] for row in running), tuple(row[0] for row in untold), unsent is not None)


_RUNNING = """
SELECT run_id FROM ostinato_runs WHERE engine = 'local' AND state IN ('running', 'waiting')
ORDER BY started DESC LIMIT 50"""
_UNTOLD = """
SELECT run_id FROM ostinato_runs AS run WHERE engine = 'local' AND state = 'failed' AND ended > ?
AND NOT EXISTS (SELECT 1 FROM ostinato_incidents AS told WHERE told.run_id = run.run_id) ORDER BY ended"""
_UNSENT = "SELECT 1 FROM ostinato_messages WHERE state <> 'delivered' AND not_before <= ? LIMIT 1"


def look_thoroughly(workspace: Workspace) -> Look:
    """The same in whatever database the records are."""
    records = records_of(workspace.home)
    runs = [run for run in records.runs(most=50) if run.engine == "local"]
    failed = [run for run in runs if run.state == "failed" and (run.ended or 0) > time.time() - UNTOLD]
    return Look(
        tuple(run.run_id for run in runs if run.state in ("running", "waiting")),
        tuple(run.run_id for run in failed if records.outbox.incident(run.run_id) is None),
        bool(records.outbox.pending()),
    )


def _sqlite_file(workspace: Workspace) -> Path | None:
    url = os.environ.get("OSTINATO_RECORDS")
    if url is None or not url:
        return None if workspace.remote else Path(workspace.home, "records.db")
    place = url.removeprefix("sqlite:///")
    return None if place == url or "?" in place or "%" in place else Path(place)


@contextlib.contextmanager
def telling(workspace: Workspace, run_id: str, listener: Listener | None, unsent: bool) -> Iterator[Listener]:
    """A listener that tells a team of the run it hears, then passes each event on to `listener`.

    Args:
        unsent: whether messages of earlier runs wait to be sent.
    """
    teller = _Teller(workspace, run_id, listener)
    if unsent:
        teller.courier.send()
    try:
        yield teller.hear
    finally:
        teller.tell(alerts.ended)
        teller.courier.finish()


class _Teller:
    def __init__(self, workspace: Workspace, run_id: str, listener: Listener | None) -> None:
        self.records, self.run_id, self.listener = records_of(workspace.home), run_id, listener
        self.courier = Courier(self.records, workspace)

    def hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "run":
            self.tell(alerts.resumed)
        elif event["event"] == "step" and event["state"] == "failed":
            self.tell(alerts.failed, event["step"], event["map_key"])
        if self.listener is not None:
            self.listener(event)

    def tell(self, what: Callable[..., Any], *more: str) -> None:
        """Write down what is to be told; a fault in that is told to whoever watches, and to nobody else."""
        try:
            what(self.records, self.run_id, *more)
            if self.records.outbox.pending():
                self.courier.send()
        except Exception as error:
            if self.listener is not None:
                self.listener({"event": "log", "step": "", "map_key": "", "message": f"No alert: {error}"})


class Courier:
    """Delivers in the background; `finish` waits for it, and not for long."""

    def __init__(self, records: Records, workspace: Workspace, seconds: float = LONGEST) -> None:
        """Make it; nothing is sent yet.

        Args:
            seconds: the longest that sending, and waiting for it in the end, may take.
        """
        self.records, self.workspace, self.seconds = records, workspace, seconds
        self._wanted, self._over = threading.Event(), threading.Event()
        self._until = float("inf")
        self._thread: threading.Thread | None = None

    def send(self) -> None:
        """Have all that waits sent, soon."""
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait until everything is sent, and no longer than it may take."""
        self._until = time.monotonic() + self.seconds
        self._over.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(self.seconds + 1)

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            deliver(self.records, self.workspace, seconds=min(self.seconds, self._until - time.monotonic()))
            if self._over.is_set() and not self._wanted.is_set():
                return

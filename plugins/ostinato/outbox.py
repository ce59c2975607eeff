"""What is told of runs: one incident a run, its messages in the order of a thread, and whether each has arrived.

A message is written here before it is sent, so that no crash loses it. One process at a time sends those of a thread:
it holds a lease, which ends by itself should the process die.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

    from .records import Records

LEASE = 60.0  # seconds; more than any one delivery takes


@dataclass(frozen=True)
class Incident:
    """What is told of a run, and where.

    Attributes:
        thread: the run whose first message all of it stands under; another one where this pipeline has failed for the
            same reason shortly before.
        reason: step and type of error; empty where nothing failed and there is still something to tell.
        title: its first line.
        resolved: the run that succeeded since.
        channel: of a thread: where its first message went.
        place: of a thread: what that channel calls it.
    """

    run_id: str
    thread: str
    pipeline: str
    reason: str
    title: str
    at: float
    resolved: str | None = None
    channel: str | None = None
    place: dict[str, Any] | None = None


@dataclass(frozen=True)
class Message:
    """One message; states: waiting, sending, refused (kept until another process tries), delivered.

    Attributes:
        doubtful: it may have arrived in an earlier try; so may one that is found sending.
        by: the process that tried last.
        why: why it has not arrived.
    """

    number: int
    key: str
    thread: str
    run_id: str
    body: dict[str, Any]
    state: str
    at: float
    not_before: float
    tries: int
    doubtful: bool
    by: str | None
    why: str | None
    delivered: float | None


Compose = Callable[[Incident | None, int], tuple[str, dict[str, Any]]]
"""From the earlier incident of the same reason and how many there were: the title and the message."""


@functools.cache
def _process(pid: int) -> str:
    return f"{platform.node()}:{pid}:{secrets.token_hex(4)}"


def this_process() -> str:
    """A name that no other process has, and that tells whether it still lives."""
    return _process(os.getpid())


class Outbox:
    """The incidents and messages of a database of records."""

    def __init__(self, records: Records, engine: Engine, tables: Mapping[str, Table]) -> None:
        self._records, self._engine = records, engine
        self._incidents, self._messages, self._claims = tables["incidents"], tables["messages"], tables["claims"]

    # incidents

    def open(
        self, run_id: str, pipeline: str, reason: str, compose: Compose, *, key: str, cooldown: float = 0.0
    ) -> bool:
        """Open a run's incident and write its first message; of any number that race, one does and gets True.

        Args:
            key: the message's own; what has been posted under it is not posted again.
            cooldown: for how many seconds a thread takes what fails for its reason.
        """
        import sqlalchemy as sa

        queue = f"alerts/{pipeline}"[:400]
        self._records.claim(queue, by=run_id)  # where it stands already, all the better
        try:
            with self._engine.begin() as connection:
                self._pass(connection, queue, run_id)
                now = time.time()
                earlier = self._recent(connection, pipeline, reason, now - cooldown) if reason else None
                thread = earlier.thread if earlier else run_id
                title, body = compose(earlier, self._count(connection, thread, reason) + 1)
                values = {"run_id": run_id, "thread": thread, "pipeline": pipeline, "reason": reason, "title": title}
                connection.execute(self._incidents.insert().values(**values, at=now))
                self._post(connection, key, thread, run_id, body)
        except sa.exc.IntegrityError:  # the run has one
            return False
        return True

    def _pass(self, connection: Connection, queue: str, by: str) -> None:
        """Let those that open incidents of one pipeline pass one after the other, so that each sees the one before."""
        connection.execute(self._claims.update().where(self._claims.c.key == queue).values(by=by))

    def _find(self, connection: Connection, run_id: str) -> Incident | None:
        table = self._incidents
        row = connection.execute(self._chosen().where(table.c.run_id == run_id)).mappings().first()
        return None if row is None else Incident(**row)

    def _recent(self, connection: Connection, pipeline: str, reason: str, since: float) -> Incident | None:
        """The thread of this reason, where it was opened since then."""
        table = self._incidents
        same = (table.c.pipeline == pipeline) & (table.c.reason == reason) & (table.c.thread == table.c.run_id)
        query = self._chosen().where(same, table.c.at > since).order_by(table.c.at.desc())
        row = connection.execute(query).mappings().first()
        return None if row is None else Incident(**row)

    def _count(self, connection: Connection, thread: str, reason: str) -> int:
        import sqlalchemy as sa

        table = self._incidents
        same = (table.c.thread == thread) & (table.c.reason == reason)
        return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(same)).scalar_one())

    def _chosen(self) -> Any:
        import sqlalchemy as sa

        return sa.select(*(column for column in self._incidents.c if not column.name.startswith("leased")))

    def incident(self, run_id: str) -> Incident | None:
        """A run's incident, if it has one."""
        with self._engine.connect() as connection:
            return self._find(connection, run_id)

    def unresolved(self, pipeline: str) -> list[Incident]:
        """The threads in which something failed and nothing has succeeded since, oldest first."""
        import sqlalchemy as sa

        table = self._incidents
        still = sa.select(table.c.thread).where(
            table.c.pipeline == pipeline, table.c.reason != "", table.c.resolved.is_(None)
        )
        query = self._chosen().where(table.c.run_id.in_(still)).order_by(table.c.at)
        with self._engine.connect() as connection:
            return [Incident(**row) for row in connection.execute(query).mappings()]

    def resolve(self, thread: str, by: str) -> None:
        """Write down that a run has succeeded; all incidents of the thread are over."""
        self._change_incidents(self._incidents.c.thread == thread, resolved=by)

    def settle(self, thread: str, channel: str, place: Mapping[str, Any]) -> None:
        """Write down where a thread's first message went, and what it is called there."""
        self._change_incidents(self._incidents.c.run_id == thread, channel=channel, place=dict(place))

    def _change_incidents(self, which: Any, **values: Any) -> int:
        with self._engine.begin() as connection:
            return connection.execute(self._incidents.update().where(which).values(**values)).rowcount

    # messages

    def post(self, key: str, thread: str, run_id: str, body: Mapping[str, Any]) -> bool:
        """Write a further message of a thread; False where the key has been used before."""
        import sqlalchemy as sa

        try:
            with self._engine.begin() as connection:
                self._post(connection, key, thread, run_id, body)
        except sa.exc.IntegrityError:
            return False
        return True

    def _post(self, connection: Connection, key: str, thread: str, run_id: str, body: Mapping[str, Any]) -> None:
        values = {"key": key, "thread": thread, "run_id": run_id, "body": dict(body), "at": time.time()}
        connection.execute(
            self._messages.insert().values(**values, state="waiting", not_before=0.0, tries=0, doubtful=False)
        )

    def messages(self, thread: str | None = None, run_id: str | None = None) -> list[Message]:
        """All messages, or those of a thread or run, in their order."""
        import sqlalchemy as sa

        table = self._messages
        query = sa.select(table).order_by(table.c.number)
        if thread is not None:
            query = query.where(table.c.thread == thread)
        if run_id is not None:
            query = query.where(table.c.run_id == run_id)
        with self._engine.connect() as connection:
            return [Message(**row) for row in connection.execute(query).mappings()]

    def pending(self) -> list[str]:
        """The threads that have undelivered messages, the one that waits longest first."""
        import sqlalchemy as sa

        table = self._messages
        first = sa.func.min(table.c.number)
        query = sa.select(table.c.thread).where(table.c.state != "delivered").group_by(table.c.thread).order_by(first)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def next(self, thread: str) -> Message | None:
        """The first message of a thread that has not arrived."""
        return next((one for one in self.messages(thread) if one.state != "delivered"), None)

    # delivery

    def lease(self, thread: str, by: str) -> bool:
        """Take the sole right to send a thread's messages; False while another living process has it."""
        table = self._incidents
        with self._engine.connect() as connection:
            held = connection.execute(self._leased(thread)).scalar()
        free = table.c.leased_by.is_(None) | (table.c.leased_until < time.time())
        if held is not None and is_gone(held):
            free |= table.c.leased_by == held
        here = (table.c.run_id == thread) & free
        return self._change_incidents(here, leased_by=by, leased_until=time.time() + LEASE) == 1

    def _leased(self, thread: str) -> Any:
        import sqlalchemy as sa

        return sa.select(self._incidents.c.leased_by).where(self._incidents.c.run_id == thread)

    def release(self, thread: str, by: str) -> None:
        """Give the right back."""
        table = self._incidents
        self._change_incidents((table.c.run_id == thread) & (table.c.leased_by == by), leased_by=None)

    def sending(self, message: Message, by: str) -> bool:
        """Write down that a message goes out now; False where the lease was lost."""
        table = self._incidents
        here = (table.c.run_id == message.thread) & (table.c.leased_by == by)
        if self._change_incidents(here, leased_until=time.time() + LEASE) == 0:
            return False
        self._change(message, state="sending", tries=message.tries + 1, by=this_process())
        return True

    def delivered(self, message: Message) -> None:
        """Write down that it has arrived."""
        self._change(message, state="delivered", delivered=time.time(), why=None)

    def kept(
        self, message: Message, why: str, *, not_before: float = 0.0, refused: bool = False, doubtful: bool = False
    ) -> None:
        """Write down why it has not arrived, or may not have, and when to try again, or that another process should."""
        state = "refused" if refused else "waiting"
        self._change(message, state=state, why=why[:500], not_before=not_before, doubtful=doubtful)

    def _change(self, message: Message, **values: Any) -> None:
        table = self._messages
        with self._engine.begin() as connection:
            connection.execute(table.update().where(table.c.number == message.number).values(**values))


def is_gone(process: str) -> bool:
    """Whether a process of this machine has ended; of another machine's nothing is known."""
    node, pid, _ = process.rsplit(":", 2) if process.count(":") > 1 else ("", "0", "")
    if node != platform.node() or process.startswith(this_process()):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()  # the number was given to us since

"""What happened: runs, their steps, claims, and what was told of them, in a small SQL database that every view reads.

sqlite in the workspace by default; `OSTINATO_RECORDS=postgresql+psycopg://…` for teams.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import ConfigurationError, Unavailable, UnknownName, is_transient
from .scrubbing import hide

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, Table

    from .outbox import Outbox

ENDED = ("succeeded", "failed", "cancelled")
"""The states of a run that has ended."""
SCHEMA_VERSION = 2  # 2: incidents and messages


@functools.cache
def _schema() -> tuple[MetaData, dict[str, Table]]:
    import sqlalchemy as sa

    meta = sa.MetaData()
    text, number, moment, document = sa.Text, sa.Float, sa.Float, sa.JSON  # moments are seconds since 1970
    sa.Table("ostinato_version", meta, sa.Column("version", sa.Integer, primary_key=True))
    sa.Table(
        "ostinato_runs",
        meta,
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("pipeline", text, nullable=False),
        sa.Column("engine", text, nullable=False),
        sa.Column("state", text, nullable=False),
        sa.Column("as_of", text),
        sa.Column("started", moment, nullable=False),
        sa.Column("ended", moment),
        sa.Column("parameters", document, nullable=False),
        sa.Column("graph", document, nullable=False),
        sa.Column("path", text, nullable=False),
        sa.Column("tags", document, nullable=False),
        sa.Column("report", text),
        sa.Column("error", document),
    )
    sa.Table(
        "ostinato_steps",
        meta,
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("step", sa.String(120), primary_key=True),
        sa.Column("map_key", sa.String(120), primary_key=True),
        sa.Column("state", text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started", moment),
        sa.Column("ended", moment),
        sa.Column("cpu_seconds", number),
        sa.Column("peak_bytes", sa.BigInteger),
        sa.Column("inputs", document),
        sa.Column("output", document),
        sa.Column("error", document),
        sa.Column("log", text),
    )
    sa.Table(
        "ostinato_claims",
        meta,
        sa.Column("key", sa.String(400), primary_key=True),
        sa.Column("by", text, nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    sa.Table(
        "ostinato_incidents",
        meta,
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("thread", sa.String(100), nullable=False),
        sa.Column("pipeline", text, nullable=False),
        sa.Column("reason", text, nullable=False),
        sa.Column("title", text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("resolved", text),
        sa.Column("channel", text),
        sa.Column("place", document),
        sa.Column("leased_by", text),
        sa.Column("leased_until", moment),
    )
    sa.Table(
        "ostinato_messages",
        meta,
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(400), nullable=False, unique=True),
        sa.Column("thread", sa.String(100), nullable=False),
        sa.Column("run_id", sa.String(100), nullable=False),
        sa.Column("body", document, nullable=False),
        sa.Column("state", text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("not_before", moment, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("doubtful", sa.Boolean, nullable=False),
        sa.Column("by", text),
        sa.Column("why", text),
        sa.Column("delivered", moment),
    )
    return meta, {name.removeprefix("ostinato_"): table for name, table in meta.tables.items()}


@dataclass(frozen=True)
class StepRecord:
    """One step of a run, or one item of a mapped step; `output` is the step's result as JSON.

    States: pending, running, waiting, retrying, succeeded, failed, skipped, cancelled.
    """

    step: str
    map_key: str
    state: str
    attempts: int
    started: float | None
    ended: float | None
    cpu_seconds: float | None
    peak_bytes: int | None
    inputs: Any
    output: Any
    error: dict[str, Any] | None
    log: str | None

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt, until now while it runs."""
        return None if self.started is None else (self.ended or time.time()) - self.started


@dataclass(frozen=True)
class RunRecord:
    """One run of a pipeline; states: running, waiting, succeeded, failed, cancelled."""

    run_id: str
    pipeline: str
    engine: str
    state: str
    as_of: str | None
    started: float
    ended: float | None
    parameters: dict[str, Any]
    graph: dict[str, Any]
    path: str
    tags: dict[str, str]
    report: str | None
    error: dict[str, Any] | None

    @property
    def seconds(self) -> float:
        return (self.ended or time.time()) - self.started

    @property
    def moment(self) -> datetime | None:
        """`as_of` as an aware UTC time."""
        return None if self.as_of is None else datetime.fromisoformat(self.as_of).astimezone(UTC)


class Records:
    """The database of runs. Cheap to make; connects when first used."""

    def __init__(self, url: str) -> None:
        self.url = url

    @functools.cached_property
    def _engine(self) -> Engine:
        import sqlalchemy as sa

        try:
            engine = sa.create_engine(self.url, json_serializer=_dump)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise ConfigurationError(f"OSTINATO_RECORDS is not a database URL that works here: {error}") from error
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _sqlite_settings)
        self._create(engine)
        return engine

    def _create(self, engine: Engine) -> None:
        import sqlalchemy as sa

        meta, tables = _schema()
        shown = engine.url.render_as_string(hide_password=True)
        for attempt in (1, 2, 3):
            try:
                with engine.begin() as connection:
                    connection.execute(sa.schema.CreateTable(tables["version"], if_not_exists=True))
                    found = max(connection.execute(sa.select(tables["version"].c.version)).scalars(), default=0)
                    if found < SCHEMA_VERSION:
                        for table in meta.sorted_tables:
                            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                        _settle_version(connection, found)
                break
            except (sa.exc.IntegrityError, sa.exc.ProgrammingError):  # another process makes them now
                if attempt == 3:
                    raise
                time.sleep(0.1 * attempt)
            except sa.exc.OperationalError as error:
                raise Unavailable(f"The records at {shown} cannot be opened: {error.orig}") from error
            except sa.exc.DatabaseError as error:
                raise ConfigurationError(f"The records at {shown} are not a database of ours: {error.orig}") from error
        if found > SCHEMA_VERSION:
            raise ConfigurationError(
                f"The records at {shown} were written by a newer ostinato (schema {found}, this one reads "
                f"{SCHEMA_VERSION}). Upgrade: pip install -U ostinato"
            )

    def close(self) -> None:
        """Let the connections go."""
        if "_engine" in self.__dict__:
            self._engine.dispose()
            del self.__dict__["_engine"]

    # runs

    def open_run(self, run: RunRecord) -> None:
        """Write a new run; an existing one is set running again, its tags and start as they were."""
        runs = _schema()[1]["runs"]
        with self._engine.begin() as connection:
            again = runs.update().where(runs.c.run_id == run.run_id).values(state="running", ended=None, error=None)
            if connection.execute(again).rowcount == 0:
                connection.execute(runs.insert().values(**vars(run)))

    def open_once(self, run: RunRecord) -> RunRecord:
        """Write a new run unless another process was faster; gives what is on record, which may have ended by now."""
        import sqlalchemy as sa

        with contextlib.suppress(sa.exc.IntegrityError), self._engine.begin() as connection:
            connection.execute(_schema()[1]["runs"].insert().values(**vars(run)))
        return self.run(run.run_id)

    def change_run(self, run_id: str, **values: Any) -> None:
        runs = _schema()[1]["runs"]
        with self._engine.begin() as connection:
            connection.execute(runs.update().where(runs.c.run_id == run_id).values(**values))

    def close_run(self, run_id: str, state: str, **values: Any) -> None:
        """Write a run's end; what still counted as running in it ends with it."""
        steps = _schema()[1]["steps"]
        now = time.time()
        left = "cancelled" if state == "cancelled" else "failed"
        with self._engine.begin() as connection:
            open_steps = (steps.c.run_id == run_id) & steps.c.state.in_(("running", "retrying", "waiting"))
            connection.execute(steps.update().where(open_steps).values(state=left, ended=now))
        self.change_run(run_id, state=state, ended=now, **values)

    def run(self, run_id: str) -> RunRecord:
        """A run by its id, or by an unambiguous beginning of it.

        Raises:
            UnknownName: no such run, with the latest ones.
        """
        import sqlalchemy as sa

        runs = _schema()[1]["runs"]
        prefix = sa.func.substr(runs.c.run_id, 1, len(run_id)) == run_id
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(runs).where(prefix).order_by(runs.c.run_id).limit(2)).mappings().all()
        exact = [row for row in found if row["run_id"] == run_id] or found
        if len(exact) != 1:
            raise UnknownName("run", run_id, [recent.run_id for recent in self.runs(most=10)])
        return RunRecord(**exact[0])

    def runs(self, pipeline: str | None = None, most: int = 20, state: str | None = None) -> list[RunRecord]:
        """The latest runs, newest first."""
        import sqlalchemy as sa

        table = _schema()[1]["runs"]
        query = sa.select(table).order_by(table.c.started.desc()).limit(most)
        if pipeline is not None:
            query = query.where(table.c.pipeline == pipeline)
        if state is not None:
            query = query.where(table.c.state == state)
        with self._engine.connect() as connection:
            return [RunRecord(**row) for row in connection.execute(query).mappings()]

    def pipelines(self) -> list[str]:
        """The pipelines that have runs, the one that ran last first."""
        import sqlalchemy as sa

        table = _schema()[1]["runs"]
        query = sa.select(table.c.pipeline).group_by(table.c.pipeline).order_by(sa.func.max(table.c.started).desc())
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    # steps

    def write_step(self, run_id: str, step: str, map_key: str = "", **values: Any) -> None:
        """Write what is now known of a step; the rest stays as it was."""
        steps = _schema()[1]["steps"]
        here = (steps.c.run_id == run_id) & (steps.c.step == step) & (steps.c.map_key == map_key)
        with self._engine.begin() as connection:
            if connection.execute(steps.update().where(here).values(**values)).rowcount == 0:
                known = {"state": "pending", "attempts": 0, **values}
                connection.execute(steps.insert().values(run_id=run_id, step=step, map_key=map_key, **known))

    def steps(self, run_id: str) -> list[StepRecord]:
        """The steps of a run that have started or were skipped, in the order of their start."""
        import sqlalchemy as sa

        table = _schema()[1]["steps"]
        chosen = [column for column in table.c if column.name != "run_id"]
        query = sa.select(*chosen).where(table.c.run_id == run_id).order_by(table.c.started, table.c.map_key)
        with self._engine.connect() as connection:
            return [StepRecord(**row) for row in connection.execute(query).mappings()]

    def step(self, run_id: str, step: str, map_key: str = "") -> StepRecord | None:
        return next((s for s in self.steps(run_id) if (s.step, s.map_key) == (step, map_key)), None)

    # claims

    def claim(self, key: str, by: str) -> bool:
        """Whether this call is the first to claim `key`; of any number that race, one gets True."""
        import sqlalchemy as sa

        claims = _schema()[1]["claims"]
        try:
            with self._engine.begin() as connection:
                connection.execute(claims.insert().values(key=key, by=by, at=time.time()))
        except sa.exc.IntegrityError:
            return False
        return True

    # alerts

    @property
    def outbox(self) -> Outbox:
        """What is told of runs, and whether it has arrived."""
        from .outbox import Outbox

        return Outbox(self, self._engine, _schema()[1])


def _settle_version(connection: Connection, found: int) -> None:
    """Write down that the tables are those of this version; `found` is the version there was, 0 for none."""
    version = _schema()[1]["version"]
    if found:  # where another process was faster this changes nothing
        connection.execute(version.update().where(version.c.version == found).values(version=SCHEMA_VERSION))
    else:
        connection.execute(version.insert().values(version=SCHEMA_VERSION))


def _dump(value: Any) -> str:
    """Strict JSON: a NaN in a record would be unreadable elsewhere."""
    return json.dumps(value, allow_nan=False)


def _sqlite_settings(connection: Any, _: Any) -> None:
    """Readers do not wait for writers, writers wait for one another; a commit survives a killed process."""
    connection.execute("PRAGMA busy_timeout = 30000")
    for last in [False] * 300 + [True]:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:  # for this one lock SQLite does not wait by itself
            if last or "locked" not in str(error):
                raise
            time.sleep(0.1)
    connection.execute("PRAGMA synchronous = NORMAL")


def describe_error(error: BaseException) -> dict[str, Any]:
    """An exception as a record: its type, its message, whether a retry may help, where it was raised."""
    import traceback

    kind = type(error)
    frames = traceback.extract_tb(error.__traceback__)
    evidence = getattr(error, "evidence", None)
    return {
        "type": kind.__qualname__ if kind.__module__ in ("builtins", "ostinato.errors") else _full_name(kind),
        "message": hide(str(error))[:4000],
        "transient": is_transient(error),
        "where": f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None,
        **({"evidence": evidence} if evidence else {}),
    }


def day_of(moment: float) -> str:
    """The UTC day of a recorded moment."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def sentence(error: Mapping[str, Any]) -> str:
    """A recorded error for people: our own errors explain themselves, others need their type's name."""
    ours = hasattr(errors, error["type"])
    return str(error["message"]) if ours else f"{error['type'].rpartition('.')[2]}: {error['message']}"


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"

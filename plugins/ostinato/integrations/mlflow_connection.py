"""The way to MLflow: imported quietly, reached quickly or not at all, its database made once, its errors made ours."""

from __future__ import annotations

import functools
import gc
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ostinato.context import Resolve, current
from ostinato.errors import ConfigurationError, OstinatoError, Unavailable, is_transient
from ostinato.scrubbing import is_secret, remember
from ostinato.workspace import Workspace, public, whole

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    # The engine owns retries; MLflow's own take four minutes to say that a server is away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_CONNECT_SECONDS = 5
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


def import_mlflow() -> Any:
    """MLflow, imported quietly: no telemetry, no log handlers, no minutes of retries."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not (log := logging.getLogger("mlflow")).handlers:
        log.addHandler(logging.NullHandler())  # what it logs is for the engine's handlers, not for standard error
    with without_collecting():
        import mlflow

    return mlflow


@contextmanager
def without_collecting() -> Iterator[None]:
    """Without garbage collection: importing makes a million objects that stay, and searching them doubles its cost."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def connected(workspace: Workspace) -> Iterator[Any]:
    """A client of the workspace's store; what goes wrong with the store becomes our errors.

    Raises:
        Unavailable: it does not answer, or is busy.
        ConfigurationError: its address is wrong, or it lets us not in.
    """
    _take_over(current().resolve)
    uri = address(workspace)
    try:
        mlflow = import_mlflow()
        with without_collecting():
            _prepare(uri, artifact_root(workspace))
            client = mlflow.MlflowClient(uri, registry_uri=uri)
        yield client
    except Exception as error:
        ours = _translated(error, uri)
        if ours is None:
            raise
        raise ours from error


@functools.lru_cache(maxsize=8)
def _take_over(resolve: Resolve) -> None:
    """Put address and credentials that an engine keeps where MLflow looks for them; the environment's own win."""
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN"):
        variable = f"MLFLOW_TRACKING_{name}"
        if variable not in os.environ and (found := resolve(variable)):
            if is_secret(variable):
                remember(found)
            os.environ[variable] = found


@functools.lru_cache(maxsize=8)
def _prepare(uri: str, artifact_root: str | None) -> None:
    """Once in a process: see that the store answers, and make its database where there is none yet."""
    engine = _engine(uri) if artifact_root is not None else None
    _knock(uri)
    if engine is not None:
        if (file := _sqlite_file(uri)) is not None:
            _make_database(file, artifact_root)
        with engine.connect():  # MLflow itself tries for 100 seconds, whatever is wrong
            pass


def _knock(uri: str) -> None:
    """Try to reach the host now: MLflow itself waits minutes for a server that is away."""
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    try:
        host, port = parts.hostname, parts.port or _PORTS.get(scheme)
    except ValueError as error:
        raise _wrong(uri, str(error)) from error
    if not host or not port or (scheme in getproxies() and not proxy_bypass(host)):
        return
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise _away(uri, str(error.strerror or error)) from error


def _engine(uri: str) -> Any:
    import sqlalchemy

    try:
        return sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    except ImportError as error:
        raise _wrong(uri, f'{error}; for PostgreSQL write: pip install "ostinato[postgres]"') from error
    except sqlalchemy.exc.ArgumentError as error:
        raise _wrong(uri, str(error)) from error


def _make_database(file: Path, artifact_root: str | None) -> None:
    """Migrate a fresh sqlite database aside and move it into place, once even when processes race.

    MLflow runs 50 migrations on an empty file, and two processes at it at once fail.
    """
    import fcntl

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{file}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if file.exists() and file.stat().st_size:
                return
            with whole(str(file)) as part:
                from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

                store: Any = SqlAlchemyStore
                store(_sqlite_uri(part), artifact_root).engine.dispose()
    except OSError as error:
        raise ConfigurationError(
            f"MLflow's database {file} cannot be made ({error.strerror or error}). "
            "Set OSTINATO_HOME to a folder that can be written, or MLFLOW_TRACKING_URI to another store."
        ) from error


def _sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite database; None for another database, and for one in memory."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy import make_url

    name = make_url(uri).database
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def _sqlite_uri(file: Path) -> str:
    """The URI of a sqlite file, with its name as it is wherever it can be.

    MLflow makes the folder of the file, and takes percent signs of the URI for part of its name.
    """
    from sqlalchemy import URL

    plain = f"sqlite:///{file}"
    return plain if _sqlite_file(plain) == file else URL.create("sqlite", database=str(file)).render_as_string()


def address(workspace: Workspace) -> str:
    """The store's URI as MLflow wants it."""
    uri = workspace.tracking_uri
    file = _sqlite_file(uri)
    return uri if file is None or "?" in uri else _sqlite_uri(file)


def artifact_root(workspace: Workspace) -> str | None:
    """Where a store that is a bare database puts files; a server knows its own place (None)."""
    if urlsplit(workspace.tracking_uri).scheme.split("+")[0] not in {"sqlite", "postgresql", "mysql", "mssql"}:
        return None
    return f"{workspace.home}/mlartifacts" if workspace.remote else Path(workspace.home, "mlartifacts").as_uri()


_MISCONFIGURED = re.compile(
    r"unable to open database|not a database|readonly database|no such (table|column)|out-of-date database schema"
    r"|authentication failed|database .* does not exist|role .* does not exist|maintenance mode|[Uu]nsupported URI"
    r"|[Ii]nvalid (url|model name)|No module named",
)
_STORES_OWN = frozenset({"mlflow", "sqlalchemy", "requests", "urllib3"})
_REFUSED = frozenset(
    "PERMISSION_DENIED CUSTOMER_UNAUTHORIZED UNAUTHENTICATED ENDPOINT_NOT_FOUND NOT_FOUND NOT_IMPLEMENTED".split()
)
_BUSY = frozenset("TEMPORARILY_UNAVAILABLE REQUEST_LIMIT_EXCEEDED DEADLINE_EXCEEDED RESOURCE_EXHAUSTED".split())


def _translated(error: Exception, uri: str) -> OstinatoError | None:
    """Our error for what MLflow, its database or its server raised; None for what is none of the store's doing."""
    if isinstance(error, OstinatoError):
        return None
    chain = list(_chain(error))
    if not any(type(each).__module__.split(".")[0] in _STORES_OWN for each in chain):
        return None
    first = str(error).strip().split("\n")[0].removesuffix(".")[:300]
    code = getattr(error, "error_code", "")
    if code in _REFUSED or any(_MISCONFIGURED.search(str(each)) for each in chain):
        return _wrong(uri, first)
    return _away(uri, first) if code in _BUSY or any(is_transient(each) for each in chain) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _away(uri: str, why: str) -> Unavailable:
    check = (
        "another process may be writing to it"
        if uri.startswith("sqlite")
        else "is it running, and does MLFLOW_TRACKING_URI name its host and port?"
    )
    return Unavailable(f"MLflow at {public(uri)} does not answer ({public(why)}): {check}")


def _wrong(uri: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"MLflow at {public(uri)} cannot be used: {public(why)}. Check MLFLOW_TRACKING_URI: "
        "sqlite:///<path>, postgresql+psycopg://…, or the http(s) address of an MLflow server."
    )


def if_new(create: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Create something unless somebody else has just done so (then: None)."""
    from mlflow.exceptions import MlflowException

    try:
        return create(*arguments, **options)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}:
            raise
        return None

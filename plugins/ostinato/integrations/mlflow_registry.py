"""Runs, models and versions in MLflow: the only file that speaks to it.

One MLflow run stands for one ostinato run, found again by its tag `ostinato.run_id`. Everything goes through a client
with an explicit address, never through MLflow's global state: steps run side by side in threads and processes.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import logging
import os
import platform
import re
import secrets
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ostinato.artifacts import Model, digest_of
from ostinato.context import Context, current
from ostinato.errors import (
    ConfigurationError,
    ContractError,
    DataError,
    OstinatoError,
    ParameterError,
    Unavailable,
    is_transient,
)
from ostinato.workspace import Workspace, local_path, whole

if TYPE_CHECKING:
    import pandas

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    # The engine owns retries; MLflow's own take four minutes to say that a server is away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "OMP_WAIT_POLICY": "PASSIVE",  # a loaded model's threads sleep while they wait; see steps/models.py
}
_CONNECT_SECONDS = 5
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_MODEL_FILE = "model.skops"
_REWRITTEN = frozenset({"registered_model_meta"})  # MLflow puts it beside a model when it is downloaded as a version
_LARGEST_FEATURE_LIST = 4096  # bytes of a reference; the estimator knows its features too


# --- models -----------------------------------------------------------------------------------------------------


def log_model(estimator: Any, example: pandas.DataFrame | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Store a fitted estimator as skops, a format that loads without running code.

    Logged again under the same key (a retry), the model that is already there is returned when it has the same
    digest; what earlier attempts left behind is deleted.

    Returns:
        `uri`, `digest` and `facts`, of which `Model` is made.

    Raises:
        ContractError: the estimator cannot be stored, or `facts` are not JSON.
        Unavailable: the store does not answer.
    """
    context = current()
    described = _json(facts)
    names = _feature_names(estimator, example)
    stored, types = _dump(estimator)
    digest = digest_of(_content(estimator, example, names, stored))
    with connected(context.workspace) as client:
        run = _run(client, context).info
        logged = _already_logged(client, run, context, digest)
        logged = logged or _log(client, run, context, estimator, example, stored, types, digest)
        if facts.get("data"):
            client.set_tag(run.run_id, "ostinato.data", str(facts["data"]))
        with _files(logged.artifact_location, context.workspace) as folder:
            files, size = _digest_of(_contents(folder))
    known = {
        "estimator": _path(estimator),
        "features": names if len(json.dumps(names)) <= _LARGEST_FEATURE_LIST else [],
        "files": files,
        "size": size,
        "mlflow_run": run.run_id,
    }
    return {"uri": f"models:/{logged.model_id}", "digest": digest, "facts": {**described, **known}}


def load_model(model: Model) -> Any:
    """The estimator behind a reference, of exactly the types it was logged with.

    Raises:
        DataError: there is no such model, or its files are not those that were logged.
    """
    recorded = model.facts.get("files")
    if recorded is None:
        raise DataError(f"{model.uri} has no digest of its files on record, so it is not loaded.")
    workspace = current().workspace
    with connected(workspace) as client, _files(_place(client, model.uri).location, workspace) as folder:
        from mlflow.models import Model as Description

        content = _contents(folder)
        if not content:
            raise DataError(f"The files of {model.uri} are gone from {folder}.")
        found, _ = _digest_of(content)
        if found != recorded:
            raise DataError(
                f"The files of {model.uri} are not those that were logged ({found[:19]}…, recorded {recorded[:19]}…), "
                "so it is not loaded. Train again, or restore the files."
            )
        with tempfile.TemporaryDirectory() as checked:  # what is parsed is what was checked
            Path(checked, "MLmodel").write_bytes(content["MLmodel"])
            flavor = Description.load(checked).flavors["sklearn"]
        return _skops().loads(content[flavor["pickled_model"]], trusted=flavor["skops_trusted_types"])


def _skops() -> Any:
    with _no_collecting():
        import skops.io

    return skops.io


def _dump(estimator: Any) -> tuple[bytes, list[str]]:
    """An estimator in skops' format, and the types it takes to load it; loaded once to see that it can be."""
    skops = _skops()
    try:
        stored = bytes(skops.dumps(estimator))
        types = sorted(skops.get_untrusted_types(data=stored))
        skops.loads(stored, trusted=types)
    except Exception as error:  # skops raises whatever the estimator's parts raise
        raise ContractError(
            f"The {type(estimator).__name__} cannot be stored: {error}. "
            "Its parts must be classes and functions of importable modules, not lambdas."
        ) from error
    return stored, types


def _feature_names(estimator: Any, example: pandas.DataFrame | None) -> list[str]:
    names = getattr(estimator, "feature_names_in_", ()) if example is None else example.columns
    return [str(name) for name in names]


def _content(estimator: Any, example: pandas.DataFrame | None, names: list[str], stored: bytes) -> dict[str, Any]:
    """What makes two models the same: what they are, what they were told, and what they predict on a fixed probe."""
    answers = None
    probe = _made_up(estimator, names) if example is None else example
    if probe is not None:
        answers = hashlib.sha256(_predict(estimator, probe).tobytes()).hexdigest()
    return {
        "estimator": _path(estimator),
        "parameters": _canonical(estimator),
        "features": names,
        "answers": answers or hashlib.sha256(stored).hexdigest(),
    }


def _made_up(estimator: Any, names: list[str]) -> Any:
    """Where no example is given: rows of numbers of all sizes, the same each time; None where they do not fit."""
    import numpy as np
    import pandas as pd

    width = len(names) or getattr(estimator, "n_features_in_", 0)
    if not width:
        return None
    random = np.random.default_rng(0)
    rows = random.normal(size=(256, width)) * 10.0 ** random.uniform(-2, 4, size=(256, width))
    probe = pd.DataFrame(rows, columns=names) if names else rows
    try:
        _predict(estimator, probe)
    except Exception:  # text features, a transformer without predict: the stored bytes have to do
        return None
    return probe


def _predict(estimator: Any, rows: Any) -> Any:
    import numpy as np

    answer = np.asarray(getattr(estimator, _answering(estimator))(rows))
    return np.ascontiguousarray(answer, dtype=np.float64 if answer.dtype.kind in "fiub" else np.str_)


def _answering(estimator: Any) -> str:
    return "predict_proba" if hasattr(estimator, "predict_proba") else "predict"


def _path(thing: Any) -> str:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def _canonical(value: Any) -> Any:
    """A parameter as JSON without memory addresses."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _canonical(each) for key, each in sorted(value.items(), key=str)}
    if isinstance(value, (list, tuple)):
        return [_canonical(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_canonical(each) for each in value), key=str)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return [_path(value), _canonical(value.get_params(deep=False))]
    if hasattr(value, "tolist") and not isinstance(value, type):
        return _canonical(value.tolist())
    return _path(value)


def _already_logged(client: Any, run: Any, context: Context, digest: str) -> Any:
    """The finished model of this very piece of work, or None; half-written and outdated ones are deleted."""
    same = None
    for found in client.search_logged_models([run.experiment_id], f"tags.`ostinato.key` = '{_tag(context.key)}'"):
        if found.tags.get("ostinato.digest") == digest and str(found.status) == "READY" and same is None:
            same = found
        elif found.tags.get("ostinato.writer") != _writer(context):  # another attempt's; a step may log several models
            client.delete_logged_model(found.model_id)
    return same


def _writer(context: Context) -> str:
    """This attempt in this process: what it has begun is not to be cleaned up by itself."""
    return f"{_process_name(os.getpid())}/{context.attempt}"


@functools.cache
def _process_name(pid: int) -> str:
    return f"{pid}-{secrets.token_hex(4)}"


def _log(
    client: Any,
    run: Any,
    context: Context,
    estimator: Any,
    example: pandas.DataFrame | None,
    stored: bytes,
    types: list[str],
    digest: str,
) -> Any:
    from mlflow.entities import LoggedModelOutput

    parameters = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    begun = client.create_logged_model(
        run.experiment_id,
        name=context.step,
        source_run_id=run.run_id,
        model_type=_path(estimator),
        params={name: str(_canonical(value))[:500] for name, value in parameters.items()},
        tags=_tags({**context.tags, "digest": digest, "key": _tag(context.key), "writer": _writer(context)}),
    )
    with tempfile.TemporaryDirectory(dir=context.workspace.scratch()) as folder:
        _describe(Path(folder), begun, estimator, example, stored, types)
        client.log_model_artifacts(begun.model_id, folder)
    client.log_outputs(run.run_id, [LoggedModelOutput(begun.model_id, step=0)])
    return client.finalize_logged_model(begun.model_id, "READY")


def _describe(
    folder: Path, begun: Any, estimator: Any, example: pandas.DataFrame | None, stored: bytes, types: list[str]
) -> None:
    """Write an MLflow model folder, as `mlflow.sklearn.save_model` would.

    That one dumps the estimator again and reads the metadata of every installed package: half a second.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    requirements = _requirements(types)
    described = Description(
        artifact_path=begun.artifact_location,
        model_uuid=begun.model_id,
        model_id=begun.model_id,
        run_id=begun.source_run_id,
        signature=None if example is None else _signature(estimator, example),
    )
    if hasattr(estimator, "predict"):
        mlflow.pyfunc.add_to_model(
            described,
            loader_module="mlflow.sklearn",
            model_path=_MODEL_FILE,
            predict_fn=_answering(estimator),
            conda_env="conda.yaml",
            python_env="python_env.yaml",
        )
    described.add_flavor(
        "sklearn",
        pickled_model=_MODEL_FILE,
        sklearn_version=metadata.version("scikit-learn"),
        serialization_format="skops",
        skops_trusted_types=types,
        code=None,
    )
    described.model_size_bytes = len(stored)
    described.save(str(folder / "MLmodel"))
    (folder / _MODEL_FILE).write_bytes(stored)
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")
    python = platform.python_version()
    _write_yaml(folder / "python_env.yaml", {"python": python, "dependencies": ["-r requirements.txt"]})
    conda = {"name": "mlflow-env", "channels": ["conda-forge"]}
    _write_yaml(folder / "conda.yaml", {**conda, "dependencies": [f"python={python}", "pip", {"pip": requirements}]})


def _signature(estimator: Any, example: pandas.DataFrame) -> Any:
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about whole numbers that might once be missing
        return infer_signature(example, _predict(estimator, example))


def _write_yaml(target: Path, value: Mapping[str, Any]) -> None:
    target.write_text(json.dumps(value, indent=1) + "\n")  # JSON is YAML


def _requirements(types: Iterable[str]) -> list[str]:
    """What loading the model needs, pinned to what is installed here."""
    needed = {"mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops", *(name.split(".")[0] for name in types)}
    pinned = []
    for name in sorted(needed - {"sklearn"}):
        try:
            pinned.append(f"{name}=={metadata.version('mlflow-skinny' if name == 'mlflow' else name)}")
        except metadata.PackageNotFoundError:
            continue  # a module of the standard library or of the project itself
    return pinned


@contextmanager
def _files(location: str, workspace: Workspace) -> Iterator[Path]:
    """A model's files on this disk; what had to be downloaded goes away afterwards."""
    from mlflow.artifacts import download_artifacts

    if "://" not in location or location.startswith("file://"):
        yield local_path(location)
        return
    folder = Path(tempfile.mkdtemp(dir=workspace.scratch()))
    try:
        yield Path(download_artifacts(location, dst_path=str(folder), tracking_uri=_address(workspace)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in _REWRITTEN)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _digest_of(content: Mapping[str, bytes]) -> tuple[str, int]:
    digests = {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}
    return digest_of(digests), sum(len(each) for each in content.values())


class _Place(NamedTuple):
    """Where a model lies, and what MLflow calls it."""

    location: str
    model_id: str | None
    run_id: str | None


def _place(client: Any, uri: str) -> _Place:
    """Where `models:/m-…` or `models:/name/7` lies.

    Raises:
        DataError: there is none.
    """
    from mlflow.exceptions import MlflowException

    name, _, version = uri.removeprefix("models:/").rpartition("/")
    try:
        if not name:
            logged = client.get_logged_model(version)
            return _Place(logged.artifact_location, version, logged.source_run_id)
        found = client.get_model_version(name, version)
        location = client.get_model_version_download_uri(name, version)
        return _Place(location, found.tags.get("ostinato.logged_model"), found.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise DataError(f"{uri} is not in the model store {_public(current().workspace.tracking_uri)}.") from error


# --- versions ---------------------------------------------------------------------------------------------------


def register(model: Model, name: str, key: str, tags: Mapping[str, str]) -> Model:
    """Make a version of a logged model, once for each `key` however often it is asked for.

    Where the newest version has the same digest no other is made; the fact `unchanged` says so.

    Raises:
        ParameterError: MLflow does not take the name.
        Unavailable: the store does not answer.
    """
    if not name or set(name) & set("/:'\"%"):
        raise ParameterError(f"A model's name has no slash, colon, quote or percent sign: not {name!r}.")
    context = current()
    with connected(context.workspace) as client:
        for found in client.search_model_versions(f"name = '{name}' AND tags.`ostinato.key` = '{_tag(key)}'"):
            if found.tags["ostinato.model"] == model.digest:
                return _version(model, found)
        newest = client.search_model_versions(f"name = '{name}'", max_results=1, order_by=["version_number DESC"])
        if newest and newest[0].tags.get("ostinato.model") == model.digest:
            return _version(model, newest[0], unchanged=True)
        place = _place(client, model.uri)
        _if_new(client.create_registered_model, name)
        known = {"key": _tag(key), "run_id": context.run_id, "pipeline": context.pipeline, "model": model.digest}
        found_by = {"files": model.facts.get("files"), "logged_model": place.model_id}
        described = _tags({**context.tags, **tags, **known, **found_by})
        # A registry that is a bare database would look the model up at MLflow's global address: it gets the place.
        direct = _artifact_root(context.workspace) is not None or place.model_id is None
        source = place.location if direct else f"models:/{place.model_id}"
        version = client.create_model_version(name, source, place.run_id, tags=described, model_id=place.model_id)
    return _version(model, version)


def _version(model: Model, version: Any, **more: Any) -> Model:
    number = str(version.version)  # int over sqlite, str over HTTP
    facts = {**model.facts, "name": version.name, "version": number, "mlflow_run": version.run_id, **more}
    if files := version.tags.get("ostinato.files"):
        facts["files"] = files  # those of an unchanged version are its own
    return replace(model, uri=f"models:/{version.name}/{number}", facts=facts)


def _if_new(create: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Create something unless somebody else has just done so (then: None)."""
    from mlflow.exceptions import MlflowException

    try:
        return create(*arguments, **options)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}:
            raise
        return None


# --- runs -------------------------------------------------------------------------------------------------------


def log_metrics(values: Mapping[str, float], tags: Mapping[str, str], model: Model | None = None) -> None:
    """Write numbers and tags to this run's MLflow run, in one request; with `model` they show at the model too."""
    context = current()
    with connected(context.workspace) as client:
        from mlflow.entities import Metric, RunTag

        run_id = _run(client, context).info.run_id
        at = int(time.time() * 1000)
        logged = _place(client, model.uri).model_id if model is not None else None
        metrics = [Metric(name, float(value), at, 0, model_id=logged, run_id=run_id) for name, value in values.items()]
        client.log_batch(run_id, metrics=metrics, tags=[RunTag(*each) for each in _tags(tags).items()])


def close_run(state: str) -> None:
    """End the MLflow run that stands for the running ostinato run, if there is one.

    Args:
        state: the run's state (`succeeded`, `failed`, `cancelled`).
    """
    context = current()
    status = {"succeeded": "FINISHED", "cancelled": "KILLED"}.get(state, "FAILED")
    with connected(context.workspace) as client:
        experiment = client.get_experiment_by_name(context.pipeline or "ostinato")
        for run in _runs(client, experiment.experiment_id, context.run_id) if experiment is not None else []:
            client.set_terminated(run.info.run_id, status)


def _run(client: Any, context: Context) -> Any:
    """The MLflow run that stands for this ostinato run: found by its tag, else made."""
    from mlflow.entities import Param

    experiment = _experiment(client, context)
    found = _runs(client, experiment, context.run_id)
    if not found:
        facts = {"engine": context.engine, "as_of": context.as_of.isoformat() if context.as_of else ""}
        known = {**context.tags, "run_id": _tag(context.run_id), "pipeline": context.pipeline, **facts}
        made = client.create_run(experiment, tags=_tags(known), run_name=context.run_id)
        found = _runs(client, experiment, context.run_id) or [made]
        if found[0].info.run_id != made.info.run_id:
            client.delete_run(made.info.run_id)  # another step of this run was quicker
    run = found[0]
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")  # resumed
    wanted = [Param(name, value) for name, value in _parameters(context) if name not in run.data.params]
    for start in range(0, len(wanted), 100):  # MLflow takes 100 at a time
        client.log_batch(run.info.run_id, params=wanted[start : start + 100])
    return run


def _runs(client: Any, experiment: str, run_id: str) -> list[Any]:
    tagged = f"tags.`ostinato.run_id` = '{_tag(run_id)}'"
    found = client.search_runs([experiment], tagged, order_by=["attributes.start_time ASC"])
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def _experiment(client: Any, context: Context) -> str:
    name = context.pipeline or "ostinato"
    found = client.get_experiment_by_name(name)
    if found is None:
        place = _artifact_root(context.workspace)
        _if_new(client.create_experiment, name, artifact_location=place and f"{place}/{quote(name)}")
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _parameters(context: Context) -> Iterator[tuple[str, str]]:
    for name, value in _flat(context.parameters):
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        yield re.sub(r"[^\w\-. /]", "_", name)[:250], _public(text)[:6000]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _tags(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"ostinato.{name}": str(value)[:5000] for name, value in values.items() if value not in (None, "")}


def _tag(value: str) -> str:
    """A tag's value that can stand in a filter, whatever it is made of."""
    return quote(value, safe="/:.,+-_ @=")


def _json(facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(facts), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ContractError(f"A model's facts must be JSON: {error}.") from error


# --- the store itself -------------------------------------------------------------------------------------------


def _mlflow() -> Any:
    """MLflow, imported quietly: no telemetry, no log handlers, no minutes of retries."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not (log := logging.getLogger("mlflow")).handlers:
        log.addHandler(logging.NullHandler())  # what it logs is for the engine's handlers, not for standard error
    with _no_collecting():
        import mlflow

    return mlflow


@contextmanager
def _no_collecting() -> Iterator[None]:
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
    uri = _address(workspace)
    try:
        mlflow = _mlflow()
        with _no_collecting():
            _prepare(uri, _artifact_root(workspace))
            client = mlflow.MlflowClient(uri, registry_uri=uri)
        yield client
    except Exception as error:
        ours = _translated(error, uri)
        if ours is None:
            raise
        raise ours from error


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


def _address(workspace: Workspace) -> str:
    """The store's URI as MLflow wants it."""
    uri = workspace.tracking_uri
    file = _sqlite_file(uri)
    return uri if file is None or "?" in uri else _sqlite_uri(file)


def _artifact_root(workspace: Workspace) -> str | None:
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
    return Unavailable(f"MLflow at {_public(uri)} does not answer ({_public(why)}): {check}")


def _wrong(uri: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"MLflow at {_public(uri)} cannot be used: {_public(why)}. Check MLFLOW_TRACKING_URI: "
        "sqlite:///<path>, postgresql+psycopg://…, or the http(s) address of an MLflow server."
    )


def _public(text: str) -> str:
    """A text without the credentials of the URLs in it."""
    return re.sub(r"(\w://)[^/@\s]*@", r"\1***@", text)

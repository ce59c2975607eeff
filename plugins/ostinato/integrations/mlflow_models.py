"""Estimators in MLflow: stored as skops, which loads without running code, and loaded only as they were stored."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ostinato.artifacts import Model, digest_of
from ostinato.context import Context, current
from ostinato.errors import ContractError, DataError
from ostinato.workspace import Workspace, local_path

from . import mlflow_smoke
from .mlflow_connection import address, connected, without_collecting
from .mlflow_runs import filterable, place_of, run_of, tagged

if TYPE_CHECKING:
    import pandas

_MODEL_FILE = "model.skops"
_REWRITTEN = frozenset({"registered_model_meta"})  # MLflow puts it beside a model when it is downloaded as a version
_LARGEST_FEATURE_LIST = 4096  # bytes of a reference; the estimator knows its features too


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
        run = run_of(client, context).info
        logged = _already_logged(client, run, context, digest)
        logged = logged or _log(client, run, context, estimator, example, stored, types, digest)
        if facts.get("data"):
            client.set_tag(run.run_id, "ostinato.data", str(facts["data"]))
    known = {
        "estimator": _path(estimator),
        "features": names if len(json.dumps(names)) <= _LARGEST_FEATURE_LIST else [],
        "files": logged.tags["ostinato.files"],
        "size": int(logged.tags["ostinato.size"]),
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
    with connected(current().workspace) as client:
        from mlflow.models import Model as Description

        content = verified_files(client, model.uri, recorded)
        with tempfile.TemporaryDirectory() as checked:  # what is parsed is what was checked
            Path(checked, "MLmodel").write_bytes(content["MLmodel"])
            flavor = Description.load(checked).flavors["sklearn"]
        return _skops().loads(content[flavor["pickled_model"]], trusted=flavor["skops_trusted_types"])


def verified_files(client: Any, uri: str, recorded: str) -> dict[str, bytes]:
    """A stored model's files by name, when their digest is the `recorded` one.

    Raises:
        DataError: there is no such model, or its files are not those that were logged.
    """
    with _files(place_of(client, uri).location, current().workspace) as folder:
        content = contents(folder)
        if not content:
            raise DataError(f"The files of {uri} are gone from {folder}.")
    found, _ = digest_of_files(content)
    if found != recorded:
        raise DataError(
            f"The files of {uri} are not those that were logged ({found[:19]}…, recorded {recorded[:19]}…), "
            "so it is not loaded. Train again, or restore the files."
        )
    return content


def _skops() -> Any:
    with without_collecting():
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
    for found in client.search_logged_models([run.experiment_id], f"tags.`ostinato.key` = '{filterable(context.key)}'"):
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
        tags=tagged({**context.tags, "digest": digest, "key": filterable(context.key), "writer": _writer(context)}),
    )
    with tempfile.TemporaryDirectory(dir=context.workspace.scratch()) as folder:
        _describe(Path(folder), begun, estimator, example, stored, types)
        files, size = digest_of_files(contents(Path(folder)))
        client.set_logged_model_tags(begun.model_id, tagged({"files": files, "size": size}))
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
    if example is not None:
        smoke = mlflow_smoke.written(example, _predict(estimator, example), _answering(estimator))
        (folder / mlflow_smoke.FILE).write_text(smoke)
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

    if urlsplit(location).scheme in {"", "file"}:  # a server's own are mlflow-artifacts:/…, with one slash
        yield local_path(location)
        return
    folder = Path(tempfile.mkdtemp(dir=workspace.scratch()))
    try:
        yield Path(download_artifacts(location, dst_path=str(folder), tracking_uri=address(workspace)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def contents(folder: Path) -> dict[str, bytes]:
    """A model folder's files by name; empty where there is none."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in _REWRITTEN)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def digest_of_files(content: Mapping[str, bytes]) -> tuple[str, int]:
    """The digest of a model's files, names included, and their size in bytes."""
    digests = {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}
    return digest_of(digests), sum(len(each) for each in content.values())


def _json(facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(facts), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ContractError(f"A model's facts must be JSON: {error}.") from error

"""Estimators in MLflow: stored as skops, which loads without running code, and loaded only as they were stored."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import secrets
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
_BLOCK = 2**20  # bytes read at a time: a model may be larger than the memory that is left


@dataclass(frozen=True)
class _Fitted:
    """An estimator that is stored in a folder, and what it answers on its example."""

    estimator: Any
    example: pandas.DataFrame | None
    answers: Any  # an array or a table with one row for each of the example's; None without one
    types: list[str]  # what it takes to load it
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / _MODEL_FILE


def log_model(estimator: Any, example: pandas.DataFrame | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Store a fitted estimator as skops, a format that loads without running code.

    Logged again under the same key (a retry), the model that is already there is returned when it has the same
    digest; what earlier attempts left behind is deleted.

    Returns:
        `uri`, `digest` and `facts`, of which `Model` is made.

    Raises:
        ContractError: the estimator cannot be stored, what it says of itself cannot be so, or `facts` are not JSON.
        Unavailable: the store does not answer.
    """
    context = current()
    described = _json(facts)
    names = _feature_names(estimator, example)
    with _passing_folder(context.workspace, "storing") as folder:
        fitted = _stored(estimator, example, folder)
        digest = digest_of(_content(fitted, names))
        with connected(context.workspace) as client:
            run = run_of(client, context).info
            logged = _already_logged(client, run, context, digest) or _log(client, run, context, fitted, digest)
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
    with fetched(model.uri, recorded, "loading") as folder:
        import yaml

        # Not by MLflow, which takes percent signs of a path for codes.
        flavor = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]["sklearn"]
        return _skops().load(folder / flavor["pickled_model"], trusted=flavor["skops_trusted_types"])


@contextmanager
def fetched(uri: str, recorded: str, why: str) -> Iterator[Path]:
    """A folder with a stored model's files for a while, as `fetch` puts them there.

    Args:
        why: what the folder's name begins with.
    """
    with _passing_folder(current().workspace, why) as folder:
        fetch(uri, recorded, folder)
        yield folder


def fetch(uri: str, recorded: str, folder: Path) -> None:
    """Copy a stored model's files into a folder, and see that what was copied has the `recorded` digest.

    What is used is the copy: whoever can change the stored files could do so after they were checked.

    Raises:
        DataError: there is no such model, or its files are not those that were logged.
    """
    workspace = current().workspace
    with connected(workspace) as client, _files(place_of(client, uri).location, workspace) as stored:
        copied = {name: _copied(path, folder / name) for name, path in _named(stored).items()}
        if not copied:
            raise DataError(f"The files of {uri} are gone from {stored}.")
    found = digest_of(copied)
    if found != recorded:
        raise DataError(
            f"The files of {uri} are not those that were logged ({found[:19]}…, recorded {recorded[:19]}…), "
            "so it is not loaded. Train again, or restore the files."
        )


def _copied(source: Path, target: Path) -> str:
    """The SHA-256 of what was written when a file was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while block := read.read(_BLOCK):
            found.update(block)
            written.write(block)
    return found.hexdigest()


def _skops() -> Any:
    with without_collecting():
        import skops.io

    return skops.io


def _stored(estimator: Any, example: pandas.DataFrame | None, folder: Path) -> _Fitted:
    types = _dump(estimator, folder / _MODEL_FILE)
    answers = None if example is None else _predict(estimator, example)
    return _Fitted(estimator, example, answers, types, folder)


def _dump(estimator: Any, file: Path) -> list[str]:
    """Write an estimator in skops' format: the types it takes to load it. Loaded once to see that it can be."""
    skops = _skops()
    try:
        skops.dump(estimator, file)
        types = sorted(skops.get_untrusted_types(file=file))
        skops.load(file, trusted=types)
    except OSError:  # the disk is full
        raise
    except Exception as error:  # skops raises whatever the estimator's parts raise
        raise ContractError(
            f"The {type(estimator).__name__} cannot be stored: {error}. "
            "Its parts must be classes and functions of importable modules, not lambdas."
        ) from error
    return types


def _feature_names(estimator: Any, example: pandas.DataFrame | None) -> list[str]:
    names = getattr(estimator, "feature_names_in_", ()) if example is None else example.columns
    return [str(name) for name in names]


def _content(fitted: _Fitted, names: list[str]) -> dict[str, Any]:
    """What makes two models the same: what they are, what they were told, and what they predict on a fixed probe."""
    answers = fitted.answers
    if fitted.example is None and (probe := _made_up(fitted.estimator, names)) is not None:
        answers = _predict(fitted.estimator, probe)
    return {
        "estimator": _path(fitted.estimator),
        "parameters": _canonical(fitted.estimator),
        "features": names,
        "answers": _sha256(fitted.file) if answers is None else _digest_of_answers(answers),
    }


def _digest_of_answers(answers: Any) -> str:
    if hasattr(answers, "columns"):
        return digest_of(mlflow_smoke.records(answers))
    return hashlib.sha256(answers.tobytes()).hexdigest()


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
    """What an estimator answers: an array of numbers or of words, or the table it returns.

    Raises:
        ContractError: the table has more rows than were asked for, or fewer.
    """
    import numpy as np
    import pandas as pd

    answer = getattr(estimator, _answering(estimator))(rows)
    if isinstance(answer, pd.DataFrame):
        if len(answer) != len(rows):
            raise ContractError(
                f"The {type(estimator).__name__} answers {len(rows)} rows with a table of {len(answer)}: "
                "it must have one row for each, in the same order."
            )
        return answer
    answer = np.asarray(answer)
    return np.ascontiguousarray(answer, dtype=np.float64 if answer.dtype.kind in "fiub" else np.str_)


def _answering(estimator: Any) -> str:
    return "predict_proba" if hasattr(estimator, "predict_proba") else "predict"


def _said(estimator: Any, name: str) -> Any:
    """What an estimator says of itself by an attribute, which is none of the parameters it was fitted with."""
    return None if name in _parameters(estimator) else getattr(estimator, name, None)


def _parameters(estimator: Any) -> dict[str, Any]:
    return dict(estimator.get_params(deep=False)) if hasattr(estimator, "get_params") else {}


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


def _log(client: Any, run: Any, context: Context, fitted: _Fitted, digest: str) -> Any:
    from mlflow.entities import LoggedModelOutput

    begun = client.create_logged_model(
        run.experiment_id,
        name=context.step,
        source_run_id=run.run_id,
        model_type=_path(fitted.estimator),
        params={name: str(_canonical(value))[:500] for name, value in _parameters(fitted.estimator).items()},
        tags=tagged({**context.tags, "digest": digest, "key": filterable(context.key), "writer": _writer(context)}),
    )
    _describe(fitted, begun)
    files, size = digest_of_files(fitted.folder)
    client.set_logged_model_tags(begun.model_id, tagged({"files": files, "size": size}))
    client.log_model_artifacts(begun.model_id, str(fitted.folder))
    client.log_outputs(run.run_id, [LoggedModelOutput(begun.model_id, step=0)])
    return client.finalize_logged_model(begun.model_id, "READY")


def _describe(fitted: _Fitted, begun: Any) -> None:
    """Make an MLflow model folder of the one that holds the estimator, as `mlflow.sklearn.save_model` would.

    That one dumps the estimator again and reads the metadata of every installed package: half a second.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    folder, answering = fitted.folder, _answering(fitted.estimator)
    requirements = _requirements(fitted)
    described = Description(
        artifact_path=begun.artifact_location,
        model_uuid=begun.model_id,
        model_id=begun.model_id,
        run_id=begun.source_run_id,
        signature=None if fitted.example is None else _signature(fitted.example, fitted.answers),
    )
    if hasattr(fitted.estimator, "predict"):
        mlflow.pyfunc.add_to_model(
            described,
            loader_module="mlflow.sklearn",
            model_path=_MODEL_FILE,
            predict_fn=answering,
            conda_env="conda.yaml",
            python_env="python_env.yaml",
        )
    described.add_flavor(
        "sklearn",
        pickled_model=_MODEL_FILE,
        sklearn_version=metadata.version("scikit-learn"),
        serialization_format="skops",
        skops_trusted_types=fitted.types,
        code=None,
    )
    described.model_size_bytes = fitted.file.stat().st_size
    described.save(str(folder / "MLmodel"))
    if fitted.example is not None:
        smoke = mlflow_smoke.written(fitted.example, fitted.answers, answering, _tolerance(fitted.estimator))
        (folder / mlflow_smoke.FILE).write_text(smoke)
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")
    python = platform.python_version()
    _write_yaml(folder / "python_env.yaml", {"python": python, "dependencies": ["-r requirements.txt"]})
    conda = {"name": "mlflow-env", "channels": ["conda-forge"]}
    _write_yaml(folder / "conda.yaml", {**conda, "dependencies": [f"python={python}", "pip", {"pip": requirements}]})


def _signature(example: pandas.DataFrame, answers: Any) -> Any:
    """The schema of both; a column of lists may be left out of a request.

    It is of any type: by the time MLflow looks, a record that left it out has NaN there, which its arrays refuse.
    """
    from mlflow.models import infer_signature

    bare = example.copy(deep=False)
    for name in [name for name in example if _has_lists(example[name])]:
        bare[name] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about whole numbers that might once be missing
        return infer_signature(bare, answers)


def _has_lists(column: Any) -> bool:
    import numpy as np

    return column.dtype == object and any(isinstance(value, (list, tuple, np.ndarray)) for value in column)


def _tolerance(estimator: Any) -> float | None:
    """How far, by its own word, an estimator's answers may lie apart from one machine or batch to the next."""
    said = _said(estimator, "tolerance")
    if said is not None and not (isinstance(said, (int, float)) and 0 < said < 1):
        raise ContractError(
            f"The `tolerance` of the {type(estimator).__name__} is {said!r}: it must be a number between 0 and 1, "
            "the part by which a number it answers may differ."
        )
    return said


def _write_yaml(target: Path, value: Mapping[str, Any]) -> None:
    target.write_text(json.dumps(value, indent=1) + "\n")  # JSON is YAML


def _requirements(fitted: _Fitted) -> list[str]:
    """What loading the model needs, pinned to what is installed here.

    Raises:
        ContractError: the estimator names a distribution that is not.
    """
    needed = {"mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops", *(t.split(".")[0] for t in fitted.types)}
    named = set(_said(fitted.estimator, "requirements") or ())
    pinned = []
    for name in sorted((needed - {"sklearn"}) | named):
        try:
            pinned.append(f"{name}=={metadata.version('mlflow-skinny' if name == 'mlflow' else name)}")
        except metadata.PackageNotFoundError as error:
            if name in named:
                raise ContractError(
                    f"The {type(fitted.estimator).__name__} says that it needs {name!r}, which is not installed here."
                ) from error
            continue  # a module of the standard library or of the project itself
    return pinned


@contextmanager
def _files(location: str, workspace: Workspace) -> Iterator[Path]:
    """A model's files on this disk; what had to be downloaded goes away afterwards."""
    from mlflow.artifacts import download_artifacts

    if urlsplit(location).scheme in {"", "file"}:  # a server's own are mlflow-artifacts:/…, with one slash
        yield local_path(location)
        return
    with _passing_folder(workspace, "downloading") as folder:
        yield Path(download_artifacts(location, dst_path=str(folder), tracking_uri=address(workspace)))


@contextmanager
def _passing_folder(workspace: Workspace, why: str) -> Iterator[Path]:
    """A folder of this process alone, which goes away afterwards."""
    prefix = f"{workspace.scratch_name(why)}."
    with tempfile.TemporaryDirectory(prefix=prefix, dir=workspace.scratch()) as folder:
        yield Path(folder)


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each of a model folder's files, by name; empty where there is none."""
    return {name: _sha256(path) for name, path in _named(folder).items()}


def digest_of_files(folder: Path) -> tuple[str, int]:
    """The digest of a model's files, names included, and their size in bytes.

    It is on record for every version there is, so it must stay what it is.
    """
    return digest_of(digests(folder)), sum(path.stat().st_size for path in _named(folder).values())


def _named(folder: Path) -> dict[str, Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in _REWRITTEN)
    return {path.relative_to(folder).as_posix(): path for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(facts), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ContractError(f"A model's facts must be JSON: {error}.") from error

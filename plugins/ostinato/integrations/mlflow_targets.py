"""Targets of `mlflow.deployments`, such as `sagemaker`: what serves there repeats the recorded answers, or is undone.

A target does not say which version it serves. A tag of the registered model does: the version that counts, the one
before, and while a deployment is under way the one that is tried.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ostinato.context import current
from ostinato.errors import (
    ConfigurationError,
    ContractError,
    OstinatoError,
    ParameterError,
    Unavailable,
    is_transient,
    suggest,
)
from ostinato.workspace import public

from . import mlflow_smoke
from .mlflow_connection import address, connected, import_mlflow

T = TypeVar("T")

_GLOBAL = threading.RLock()
_GATEWAYS = frozenset({"databricks", "http", "https", "openai"})  # clients of a server of language models


def deploy(target: str, name: str, version: str, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Create or update the deployment called `name`, and ask it for the recorded rows before it counts.

    Where it fails, the version before is put back; a first deployment is deleted.

    Args:
        folder: a copy of the version's files, checked.
        options: the target's own configuration, as it wants it.

    Returns:
        `place`, `previous` and `already`.

    Raises:
        ParameterError: nobody knows the target.
        ConfigurationError: a deployment of that name is there which was not made here.
        ContractError: it could not be made, or does not answer as recorded.
        Unavailable: the target does not answer now.
    """
    shown = public(target)
    who = f"Version {version} of {name!r} at {shown}"
    with _global_address():
        client = _client_of(target)
        smoke, schema = mlflow_smoke.try_out(folder, f"Version {version} of {name!r}")
        kept = _kept(name, shown)
        there = any(each["name"] == name for each in _ours(client.list_deployments, shown))
        if there and not kept:
            raise ConfigurationError(
                f"{shown} has a deployment {name!r} that was not made here, so nothing could put it back. "
                "Delete it there, or register the model under another name."
            )

        def try_it() -> None:
            mlflow_smoke.try_remote(smoke, schema, lambda rows: client.predict(deployment_name=name, inputs=rows), who)

        previous = kept.get("version") if kept.get("version") != version else kept.get("previous")
        facts = {"place": f"{shown} {name}", "previous": previous}
        if there and kept == {"version": version, "previous": previous} and _passes(try_it):
            return {**facts, "already": True}
        _keep(name, shown, {**kept, "trying": version})
        try:
            put = client.update_deployment if there else client.create_deployment
            _ours(lambda: put(name, model_uri=f"models:/{name}/{version}", config=dict(options)), shown)
            try_it()
        except OstinatoError as error:
            undone = _undo(client, name, kept.get("version") if there else None, options)
            _keep(name, shown, {key: value for key, value in kept.items() if key != "trying"})
            raise type(error)(f"{error} {undone}") from error
        _keep(name, shown, {"version": version, "previous": previous})
    return {**facts, "already": False}


def _undo(client: Any, name: str, version: str | None, options: Mapping[str, Any]) -> str:
    """Put the version before back, or delete what had none; what came of it, in a sentence."""
    try:
        if version is None:
            client.delete_deployment(name)
            return "It was deleted again."
        client.update_deployment(name, model_uri=f"models:/{name}/{version}", config=dict(options))
    except Exception as error:  # whatever the target's plugin raises
        what = f"version {version} could not be put back" if version else "it could not be deleted again"
        return f"And {what} ({error}): look after it by hand."
    return f"Version {version} was put back."


def _passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except ContractError:
        return False
    return True


def _ours(ask: Callable[[], T], shown: str) -> T:
    """What the target's plugin answers; whatever it raises becomes ours."""
    try:
        return ask()
    except NotImplementedError as error:
        raise ParameterError(f"{shown} takes no models. {_known()}") from error
    except ImportError as error:
        raise ConfigurationError(f"The target {shown} cannot be used: {error}. Install what it needs.") from error
    except Exception as error:
        told = public(str(error).strip().split("\n")[0])[:300].removesuffix(".")
        if is_transient(error):
            raise Unavailable(f"The target {shown} does not answer ({told}).") from error
        raise ContractError(f"The target {shown} could not do it ({type(error).__name__}: {told}).") from error


def _client_of(target: str) -> Any:
    from mlflow import deployments
    from mlflow.deployments.interface import plugin_store

    if target.split(":")[0] not in plugin_store.registry:
        raise ParameterError(f"There is no deployment target {public(target)!r} here. {_known(target)}")
    client_of: Any = deployments.get_deploy_client
    return _ours(lambda: client_of(target), public(target))


def _known(target: str = "") -> str:
    from mlflow.deployments.interface import plugin_store

    names = ["bundle", *sorted(set(plugin_store.registry) - _GATEWAYS)]
    return f"{suggest(target, names)} More come as plugins of mlflow.deployments."


@contextmanager
def _global_address() -> Iterator[None]:
    """Make the workspace's store MLflow's own for a while: plugins, and what they start, look `models:/…` up there."""
    mlflow = import_mlflow()
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    with _GLOBAL:
        environment = {name: os.environ.get(name) for name in names}
        given = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        registry = mlflow.get_registry_uri() if mlflow.get_registry_uri() != mlflow.get_tracking_uri() else None
        uri = address(current().workspace)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None if given == environment[names[0]] else given)
            mlflow.set_registry_uri(None if registry == environment[names[1]] else registry)
            for name, value in environment.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


# --- what is there ------------------------------------------------------------------------------------------------


def _tag(shown: str) -> str:
    return "ostinato.deployed." + re.sub(r"[^\w.:/ -]", "_", shown)[:200]


def _kept(name: str, shown: str) -> dict[str, Any]:
    """What is on record about a target's deployment; empty where nothing is."""
    with connected(current().workspace) as client:
        told = client.get_registered_model(name).tags.get(_tag(shown))
    return dict(json.loads(told)) if told else {}


def _keep(name: str, shown: str, facts: Mapping[str, Any]) -> None:
    with connected(current().workspace) as client:
        if facts:
            client.set_registered_model_tag(name, _tag(shown), json.dumps(facts))
        else:
            client.delete_registered_model_tag(name, _tag(shown))

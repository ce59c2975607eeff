"""The model store, as steps and engines see it: log and load models, register versions, write metrics.

Everything goes through a client with an explicit address, never through MLflow's global state: steps run side by
side in threads and processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ostinato.artifacts import Model
from ostinato.context import current
from ostinato.errors import ParameterError

from .mlflow_connection import artifact_root, if_new
from .mlflow_deployment import deploy, deployed, follow, not_deployed, pinned, serve_command
from .mlflow_ledger import SUFFIX, append, champion, head, names, patiently, read, sync, versions
from .mlflow_models import load_model, log_model
from .mlflow_runs import close_run, filterable, log_metrics, place_of, tagged

__all__ = [
    "append",
    "champion",
    "close_run",
    "deploy",
    "deployed",
    "follow",
    "head",
    "load_model",
    "log_metrics",
    "log_model",
    "names",
    "not_deployed",
    "pinned",
    "read",
    "register",
    "serve_command",
    "sync",
    "versions",
]


def register(model: Model, name: str, key: str, tags: Mapping[str, str]) -> Model:
    """Make a version of a logged model, once for each `key` however often it is asked for.

    Where the newest version has the same digest no other is made; the fact `unchanged` says so.

    Raises:
        ParameterError: MLflow does not take the name.
        Unavailable: the store does not answer.
    """
    if not name or set(name) & set("/:'\"%?#") or name.endswith(SUFFIX):
        raise ParameterError(
            f"A model's name has no slash, colon, quote, percent sign, question mark or hash, and does not end in "
            f"{SUFFIX!r}: not {name!r}."
        )
    return patiently(lambda client: _registered(client, model, name, key, tags))


def _registered(client: Any, model: Model, name: str, key: str, tags: Mapping[str, str]) -> Model:
    context = current()
    for found in client.search_model_versions(f"name = '{name}' AND tags.`ostinato.key` = '{filterable(key)}'"):
        if found.tags["ostinato.model"] == model.digest:
            return _version(model, found)
    newest = client.search_model_versions(f"name = '{name}'", max_results=1, order_by=["version_number DESC"])
    if newest and newest[0].tags.get("ostinato.model") == model.digest:
        return _version(model, newest[0], unchanged=True)
    place = place_of(client, model.uri)
    if_new(client.create_registered_model, name)
    known = {"key": filterable(key), "run_id": context.run_id, "pipeline": context.pipeline, "model": model.digest}
    found_by = {"files": model.facts.get("files"), "logged_model": place.model_id}
    described = tagged({**context.tags, **tags, **known, **found_by})
    # A registry that is a bare database would look the model up at MLflow's global address: it gets the place.
    direct = artifact_root(context.workspace) is not None or place.model_id is None
    source = place.location if direct else f"models:/{place.model_id}"
    version = client.create_model_version(name, source, place.run_id, tags=described, model_id=place.model_id)
    return _version(model, version)


def _version(model: Model, version: Any, **more: Any) -> Model:
    number = str(version.version)  # int over sqlite, str over HTTP
    facts = {**model.facts, "name": version.name, "version": number, "mlflow_run": version.run_id, **more}
    if files := version.tags.get("ostinato.files"):
        facts["files"] = files  # those of an unchanged version are its own
    return replace(model, uri=f"models:/{version.name}/{number}", facts=facts)

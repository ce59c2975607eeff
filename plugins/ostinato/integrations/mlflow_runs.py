"""The MLflow run that stands for an ostinato run: found by its tag `ostinato.run_id`, else made."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from ostinato.artifacts import Model
from ostinato.context import Context, current
from ostinato.errors import DataError
from ostinato.model_card import CARD, shortened
from ostinato.workspace import public, read_text

from .mlflow_connection import artifact_root, connected, if_new


def log_metrics(values: Mapping[str, float], tags: Mapping[str, str], model: Model | None = None) -> None:
    """Write numbers and tags to this run's MLflow run, in one request; with `model` they show at the model too."""
    context = current()
    with connected(context.workspace) as client:
        from mlflow.entities import Metric, RunTag

        run_id = run_of(client, context).info.run_id
        at = int(time.time() * 1000)
        logged = place_of(client, model.uri).model_id if model is not None else None
        metrics = [Metric(name, float(value), at, 0, model_id=logged, run_id=run_id) for name, value in values.items()]
        client.log_batch(run_id, metrics=metrics, tags=[RunTag(*each) for each in tagged(tags).items()])


def close_run(state: str, files: Mapping[str, str] = {}, model: Model | None = None) -> None:
    """End the MLflow run that stands for the running ostinato run, if there is one, and put the run's pages into it.

    Args:
        state: the run's state (`succeeded`, `failed`, `cancelled`).
        files: where texts lie that become artifacts of the run, by their names there.
        model: a version this run made; `model_card.md` among the files becomes its description.
    """
    context = current()
    status = {"succeeded": "FINISHED", "cancelled": "KILLED"}.get(state, "FAILED")
    texts = {name: read_text(place) for name, place in files.items()}
    with connected(context.workspace) as client:
        experiment = client.get_experiment_by_name(context.pipeline or "ostinato")
        for run in _runs(client, experiment.experiment_id, context.run_id) if experiment is not None else []:
            client.set_terminated(run.info.run_id, status)
            for name, text in texts.items():
                client.log_text(run.info.run_id, text, name)
        if model is not None and "version" in model.facts and not model.facts.get("unchanged") and CARD in texts:
            client.update_model_version(model.facts["name"], model.facts["version"], shortened(texts[CARD]))


def run_of(client: Any, context: Context) -> Any:
    """The MLflow run that stands for this ostinato run: found by its tag, else made."""
    from mlflow.entities import Param

    experiment = _experiment(client, context)
    found = _runs(client, experiment, context.run_id)
    if not found:
        facts = {"engine": context.engine, "as_of": context.as_of.isoformat() if context.as_of else ""}
        known = {**context.tags, "run_id": filterable(context.run_id), "pipeline": context.pipeline, **facts}
        made = client.create_run(experiment, tags=tagged(known), run_name=context.run_id)
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
    tagged = f"tags.`ostinato.run_id` = '{filterable(run_id)}'"
    found = client.search_runs([experiment], tagged, order_by=["attributes.start_time ASC"])
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def _experiment(client: Any, context: Context) -> str:
    name = context.pipeline or "ostinato"
    found = client.get_experiment_by_name(name)
    if found is None:
        place = artifact_root(context.workspace)
        if_new(client.create_experiment, name, artifact_location=place and f"{place}/{quote(name)}")
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _parameters(context: Context) -> Iterator[tuple[str, str]]:
    for name, value in _flat(context.parameters):
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        yield re.sub(r"[^\w\-. /]", "_", name)[:250], public(text)[:6000]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def tagged(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as tags of ours; empty ones are left out."""
    return {f"ostinato.{name}": str(value)[:5000] for name, value in values.items() if value not in (None, "")}


def filterable(value: str) -> str:
    """A tag's value that can stand in a filter, whatever it is made of."""
    return quote(value, safe="/:.,+-_ @=")


class Place(NamedTuple):
    """Where a model lies, and what MLflow calls it."""

    location: str
    model_id: str | None
    run_id: str | None


def place_of(client: Any, uri: str) -> Place:
    """Where `models:/m-…` or `models:/name/7` lies.

    Raises:
        DataError: there is none.
    """
    from mlflow.exceptions import MlflowException

    name, _, version = uri.removeprefix("models:/").rpartition("/")
    try:
        if not name:
            logged = client.get_logged_model(version)
            return Place(logged.artifact_location, version, logged.source_run_id)
        found = client.get_model_version(name, version)
        location = client.get_model_version_download_uri(name, version)
        return Place(location, found.tags.get("ostinato.logged_model"), found.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise DataError(f"{uri} is not in the model store {public(current().workspace.tracking_uri)}.") from error

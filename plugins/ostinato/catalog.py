"""Names to things: `mlflow` to the module that speaks to MLflow, `fraud_detection` to the pipeline.

A built-in table comes first, because a folder that was dropped into a plugins folder has no entry points; third
parties add theirs as entry points in the group `ostinato.<kind>`.
"""

from __future__ import annotations

import importlib
from typing import Any

from .errors import UnknownName

BUILT_IN: dict[str, dict[str, str]] = {
    "pipelines": {"fraud_detection": "ostinato.pipelines.fraud_detection:fraud_detection"},
    "samples": {"transactions": "ostinato.samples.transactions:write"},
    "store": {"mlflow": "ostinato.integrations.mlflow_registry"},
}


def names(kind: str) -> dict[str, str]:
    """All known names of a kind and where each lives (`module` or `module:attribute`)."""
    from importlib.metadata import entry_points

    third_party = {entry.name: entry.value for entry in entry_points(group=f"ostinato.{kind}")}
    return {**third_party, **BUILT_IN.get(kind, {})}


def find(kind: str, name: str) -> Any:
    """The module or object behind a name, imported now.

    Raises:
        UnknownName: with the nearest valid one.
    """
    place = BUILT_IN.get(kind, {}).get(name) or names(kind).get(name)
    if place is None:
        raise UnknownName(kind.rstrip("s"), name, names(kind))
    module, _, attribute = place.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found

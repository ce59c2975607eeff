"""Names to things: `mlflow` to the module that speaks to MLflow, `fraud_detection` to the pipeline.

A built-in table comes first, because a folder that was dropped into a plugins folder has no entry points; third
parties add theirs as entry points in the group `ostinato.<kind>`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UnknownName, UsageError, suggest
from .graph import LOADED, Pipeline

BUILT_IN: dict[str, dict[str, str]] = {
    "alerts": {
        "apprise": "ostinato.integrations.apprise_alerts:send",
        "console": "ostinato.delivery:to_console",
        "file": "ostinato.delivery:to_file",
        "slack": "ostinato.integrations.slack_alerts:send",
    },
    "pipelines": {
        "data_validation": "ostinato.pipelines.data_validation:data_validation",
        "fraud_detection": "ostinato.pipelines.fraud_detection:fraud_detection",
        "recommendation_retraining": "ostinato.pipelines.recommendation_retraining:recommendation_retraining",
    },
    "samples": {
        "interactions": "ostinato.samples.interactions:write",
        "transactions": "ostinato.samples.transactions:write",
    },
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
    return import_path(place) if ":" in place else _from_name(place, place)


def import_path(path: str) -> Any:
    """The object at `module:name` or `file.py:name`.

    Raises:
        UsageError: no such module, file or name; the message says which and, for a name, the nearest.
    """
    place, _, name = path.rpartition(":")
    module = _from_file(place) if place.endswith(".py") else _from_name(place, path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{place} has no {name!r}. {suggest(part, [n for n in vars(found) if n[0] != '_'])}")
        found = getattr(found, part)
    return found


def _from_name(name: str, path: str) -> ModuleType:
    if not name or name.startswith("."):
        raise UsageError(f"{path!r} is no import path: write module:name or file.py:name.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"There is no module {name!r} in {sys.executable}'s path.") from None
        raise UsageError(f"{name} needs the module {error.name!r}, which is not installed.") from error


def _from_file(file: str) -> ModuleType:
    """Import a script under a name of its own, the same in every process, with its folder importable."""
    place = Path(file).absolute()
    name = f"ostinato_file_{place.stem}_{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if (known := _loaded(str(place))) is not None:
        return known
    if not place.is_file():
        raise UsageError(f"There is no file {place}.")
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _loaded(place: str) -> ModuleType | None:
    """The module that an engine has made of a file: importing it anew would make its DAGs twice."""
    named = [module for name, module in list(sys.modules.items()) if name.startswith(LOADED)]
    return next((module for module in named if getattr(module, "__file__", None) == place), None)


def find_pipeline(name: str) -> Pipeline[...]:
    """A pipeline by catalogue name, `module:function`, `file.py:function`, or `file.py` that has just one."""
    if name.endswith(".py"):
        there = pipelines_in(name)
        if len(there) != 1:
            listed = ", ".join(sorted(there)) or "none"
            raise UsageError(f"{name} holds {len(there)} pipelines ({listed}); write {name}:NAME for one.")
        return next(iter(there.values()))
    found = import_path(name) if ":" in name else find("pipelines", name)
    if not isinstance(found, Pipeline):
        raise UsageError(f"{name} is no pipeline: write @pipeline above the function.")
    return found


def pipelines_in(file: str) -> dict[str, Pipeline[...]]:
    """The pipelines a file defines, by name."""
    module = _from_file(file)
    return {key: value for key, value in vars(module).items() if _is_own_pipeline(value, module)}


def _is_own_pipeline(value: Any, module: ModuleType) -> bool:
    return isinstance(value, Pipeline) and value.function.__module__ == module.__name__

"""Reusable steps. Each name is looked up when it is used, so that importing one step does not import all."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import load
    from .features import fraud_features
    from .models import evaluate, train
    from .release import register
    from .validation import validate, validate_in_place
    from .windows import split_by_time

__all__ = ["evaluate", "fraud_features", "load", "register", "split_by_time", "train", "validate", "validate_in_place"]

_PLACES = {
    "evaluate": "models",
    "fraud_features": "features",
    "load": "data",
    "register": "release",
    "split_by_time": "windows",
    "train": "models",
    "validate": "validation",
    "validate_in_place": "validation",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

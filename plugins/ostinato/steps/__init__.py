"""Reusable steps. Each name is looked up when it is used, so that importing one step does not import all."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .alerting import alert
    from .approval import approve
    from .data import load
    from .deployment import deploy
    from .evaluation import evaluate
    from .features import fraud_features
    from .models import train
    from .release import promote, register, rollback
    from .validation import validate, validate_in_place
    from .windows import split_by_time

__all__ = [
    "alert",
    "approve",
    "deploy",
    "evaluate",
    "fraud_features",
    "load",
    "promote",
    "register",
    "rollback",
    "split_by_time",
    "train",
    "validate",
    "validate_in_place",
]

_PLACES = {
    "alert": "alerting",
    "approve": "approval",
    "deploy": "deployment",
    "evaluate": "evaluation",
    "fraud_features": "features",
    "load": "data",
    "promote": "release",
    "register": "release",
    "rollback": "release",
    "split_by_time": "windows",
    "train": "models",
    "validate": "validation",
    "validate_in_place": "validation",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

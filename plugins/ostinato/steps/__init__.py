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
    from .interaction_tables import interactions, split_interactions
    from .models import train
    from .recommender_judgement import judge_recommender
    from .recommenders import search_recommender, train_recommender
    from .recommending import recommend
    from .release import promote, register, rollback
    from .validation import validate, validate_in_place
    from .windows import split_by_time

__all__ = [
    "alert",
    "approve",
    "deploy",
    "evaluate",
    "fraud_features",
    "interactions",
    "judge_recommender",
    "load",
    "promote",
    "recommend",
    "register",
    "rollback",
    "search_recommender",
    "split_by_time",
    "split_interactions",
    "train",
    "train_recommender",
    "validate",
    "validate_in_place",
]

_PLACES = {
    "alert": "alerting",
    "approve": "approval",
    "deploy": "deployment",
    "evaluate": "evaluation",
    "fraud_features": "features",
    "interactions": "interaction_tables",
    "judge_recommender": "recommender_judgement",
    "load": "data",
    "promote": "release",
    "recommend": "recommending",
    "register": "release",
    "rollback": "release",
    "search_recommender": "recommenders",
    "split_by_time": "windows",
    "split_interactions": "interaction_tables",
    "train": "models",
    "train_recommender": "recommenders",
    "validate": "validation",
    "validate_in_place": "validation",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

"""Pipelines in which something goes wrong that an engine must tell plainly, and some that look at their engine."""

from __future__ import annotations

import os
import sys
from typing import Any

from engines import stories
from ostinato import Model, context, pipeline, secret, step


@step(retries=3)
def speechless() -> Any:
    """Return what is no JSON."""
    return object()


@step(retries=3)
def long_winded() -> str:
    """Return more than may cross."""
    return "x" * 10_000


@step(retries=3)
def confidential() -> str:
    """Want a secret that nobody keeps."""
    return secret("NOBODY_KEEPS_THIS")


@step
def initiated() -> str:
    """Find a secret where the engine keeps it, and be careless with it."""
    found = secret("DEEP_THOUGHT")
    context.current().log(f"psst: {found}")
    return f"{len(found)} characters"


@step(retries=1, backoff=0.01)
def storing() -> Model:
    """Log a model to a store that is away."""
    from sklearn.dummy import DummyClassifier

    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    return Model.of(DummyClassifier().fit([[0], [1]], [0, 1]))


@step(python="ml")
def elsewhere() -> dict[str, Any]:
    """Say which interpreter it is, what it is told, and print."""
    print("printed elsewhere", flush=True)
    context.current().log("logged elsewhere")
    return {"interpreter": sys.prefix, "secret": len(secret("DEEP_THOUGHT")), "engine": context.current().engine}


@pipeline
def not_json() -> None:
    """A step that returns what is no JSON."""
    speechless()


@pipeline
def too_large() -> None:
    """A step that returns too much."""
    long_winded()


@pipeline
def no_secret() -> None:
    """A step whose secret is nowhere."""
    confidential()


@pipeline
def kept_secret() -> None:
    """A step whose secret is kept by the engine."""
    initiated()


@pipeline
def store_away() -> None:
    """A step whose model store does not answer."""
    storing()


@pipeline
def in_another_interpreter() -> None:
    """A step in an environment of its own."""
    elsewhere()


@pipeline
def slow(at: str, seconds: float = 60.0) -> None:
    """A step that takes its time, and one behind it."""
    stories.number.with_options(after=[stories.rest(seconds, at)])(1)


@pipeline(schedule="@daily")
def dated() -> None:
    """What a run stands for."""
    stories.moment()


@pipeline
def typed(text: str = "", count: int = 1, names: dict[str, Any] = {}) -> None:  # noqa: B006  (only traced)
    """Parameters of several kinds, handed on as they are."""
    echo(text=text, count=count, names=names)


@step
def echo(text: str, count: int, names: dict[str, Any]) -> dict[str, Any]:
    """Give back what came."""
    return {"text": text, "count": count, "names": names}

"""Secrets from where Prefect keeps them: blocks, Variables, then the environment."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from ostinato.context import block_of, from_environment
from ostinato.errors import Unavailable
from ostinato.scrubbing import remember

_NO_SECRETS = frozenset("OSTINATO_ALERTS SLACK_API_URL MLFLOW_TRACKING_URI MLFLOW_TRACKING_USERNAME".split())
_IN_BLOCKS = {
    "SLACK_WEBHOOK_URL": ("slack-webhook", "slack-default", "url"),
    "SLACK_BOT_TOKEN": ("slack-credentials", "slack-default", "token"),
}
"""What has a block of its own kind in Prefect: the kind, the block's name, the field."""


def resolve(name: str) -> str | None:
    """The secret `name`, None where it is nowhere.

    First from the block that is known to hold it, then from a Secret block called `name` in small letters and dashes,
    a Variable called `name` in small letters, and the environment.

    Raises:
        Unavailable: Prefect gives no answer.
    """
    try:
        found = _found(name)
    except httpx.HTTPError as error:
        raise Unavailable(f"Prefect does not say whether it keeps {name!r}: {error}") from error
    if found and name not in _NO_SECRETS:
        remember(found)
    return found


def _found(name: str) -> str | None:
    places = [_IN_BLOCKS[name]] if name in _IN_BLOCKS else []
    with get_client(sync_client=True) as client:
        for kind, block, field in [*places, ("secret", block_of(name), "value")]:
            with contextlib.suppress(ObjectNotFound):
                found = client.read_block_document_by_name(block, kind).data.get(field)
                if found:
                    return _text(found)
        variable = client.read_variable_by_name(name.lower())
    return from_environment(name) if variable is None else _text(variable.value)


def _text(value: Any) -> str:
    """A secret as text: what is none is JSON."""
    return value if isinstance(value, str) else json.dumps(value)

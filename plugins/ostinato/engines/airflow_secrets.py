"""Secrets from where Airflow keeps them: Connections by their usual names, Variables, then the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError
from airflow.sdk.log import mask_secret

from ostinato.context import from_environment
from ostinato.errors import Unavailable

_NO_SECRETS = frozenset("OSTINATO_ALERTS SLACK_API_URL MLFLOW_TRACKING_URI MLFLOW_TRACKING_USERNAME".split())


def resolve(name: str) -> str | None:
    """The secret `name`: from the Connection that is known to hold it, a Variable or Connection of that very name, the
    environment. None where it is nowhere.

    Airflow masks it in its logs from then on, wherever it was kept.

    Raises:
        Unavailable: Airflow gives no answer.
    """
    try:
        found = _found(name)
    except AirflowRuntimeError as error:
        raise Unavailable(f"Airflow does not say whether it keeps {name!r}: {error}") from error
    if found and name not in _NO_SECRETS:
        mask_secret(found)
    return found


def _found(name: str) -> str | None:
    if name in _IN_CONNECTIONS:
        place, part = _IN_CONNECTIONS[name]
        found = _connection(place)
        if found is not None and (value := part(found)):
            return value
    variable = Variable.get(name, default=None)
    if variable is not None:
        return str(variable)
    named = _connection(name)
    return (named.password or named.get_uri()) if named is not None else from_environment(name)


def _connection(name: str) -> Any:
    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        return None


def _address(connection: Any) -> str | None:
    """`host` as a URL: as it stands there, or put together from scheme, host, port and path.

    Of a Connection that is itself written as a URL, the scheme is its type, and the path its "schema".
    """
    host, schemes = connection.host, ("http", "https")
    if not host or "://" in host:
        return host or None
    said = (connection.schema, connection.extra_dejson.get("scheme"), connection.conn_type)
    scheme = next((one for one in said if one in schemes), "https")
    port = f":{connection.port}" if connection.port else ""
    path = f"/{connection.schema}" if connection.schema and connection.schema not in schemes else ""
    return f"{scheme}://{host}{port}{path}"


def _webhook(connection: Any) -> str | None:
    """Slack's address of a webhook: the password alone where it is all of it, else behind the host."""
    secret = connection.password or ""
    if secret.startswith("http"):
        return secret
    place = (_address(connection) or "https://hooks.slack.com/services").rstrip("/")
    return f"{place}/{secret.lstrip('/')}" if secret else None


def _extra(name: str) -> Callable[[Any], str | None]:
    return lambda connection: connection.extra_dejson.get(name)


_IN_CONNECTIONS: dict[str, tuple[str, Callable[[Any], str | None]]] = {
    "SLACK_BOT_TOKEN": ("slack_default", lambda connection: connection.password),
    "SLACK_API_URL": ("slack_default", _extra("base_url")),
    "SLACK_WEBHOOK_URL": ("slackwebhook_default", _webhook),
    "MLFLOW_TRACKING_URI": ("mlflow_default", _address),
    "MLFLOW_TRACKING_USERNAME": ("mlflow_default", lambda connection: connection.login),
    "MLFLOW_TRACKING_PASSWORD": ("mlflow_default", lambda connection: connection.password),
    "MLFLOW_TRACKING_TOKEN": ("mlflow_default", _extra("token")),
}
"""What is called otherwise in Airflow: the Connection, and what of it is meant."""

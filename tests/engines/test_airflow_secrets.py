"""Secrets from where Airflow keeps them, by the names that steps and alerts ask for."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from engines.test_airflow_run import context
from ostinato import secret, step
from ostinato.engines.airflow_operators import StepOperator
from ostinato.engines.airflow_run import record_id, records_here
from ostinato.engines.airflow_secrets import resolve
from ostinato.errors import ConfigurationError
from ostinato.runner import Request, execute

pytestmark = pytest.mark.airflow

HOOK = "https://hooks.slack.com/services/T00/B00/geheimgeheim"


def connection(**fields: Any) -> str:
    return json.dumps({"conn_type": "generic", **fields})


@pytest.mark.parametrize(
    ("kept", "name", "found"),
    [
        ({"CONN_SLACK_DEFAULT": connection(password="xoxb-tiefgeheim")}, "SLACK_BOT_TOKEN", "xoxb-tiefgeheim"),
        ({"CONN_SLACK_DEFAULT": "slack://:xoxb-tiefgeheim@"}, "SLACK_BOT_TOKEN", "xoxb-tiefgeheim"),
        ({"CONN_SLACK_DEFAULT": connection(password="xoxb-tiefgeheim")}, "SLACK_API_URL", None),
        ({"CONN_SLACK_DEFAULT": connection(extra={"base_url": "http://s:1/"})}, "SLACK_API_URL", "http://s:1/"),
        ({"CONN_SLACK_DEFAULT": connection(login="no password")}, "SLACK_BOT_TOKEN", None),
        ({"CONN_SLACKWEBHOOK_DEFAULT": connection(password=HOOK)}, "SLACK_WEBHOOK_URL", HOOK),
        ({"CONN_SLACKWEBHOOK_DEFAULT": connection(password="/T00/B00/geheimgeheim")}, "SLACK_WEBHOOK_URL", HOOK),
        (
            {
                "CONN_SLACKWEBHOOK_DEFAULT": connection(
                    conn_type="slackwebhook", host="hooks.slack.com/services/", password="T00/B00/geheimgeheim"
                )
            },
            "SLACK_WEBHOOK_URL",
            HOOK,
        ),
        (
            {
                "CONN_SLACKWEBHOOK_DEFAULT": connection(
                    host="https://hooks.slack.com/services", password="T00/B00/geheimgeheim"
                )
            },
            "SLACK_WEBHOOK_URL",
            HOOK,
        ),
        ({"CONN_SLACKWEBHOOK_DEFAULT": connection(host="https://hooks.slack.com")}, "SLACK_WEBHOOK_URL", None),
        ({"CONN_MLFLOW_DEFAULT": connection(host="http://ml:5000")}, "MLFLOW_TRACKING_URI", "http://ml:5000"),
        ({"CONN_MLFLOW_DEFAULT": connection(host="ml.bank")}, "MLFLOW_TRACKING_URI", "https://ml.bank"),
        (
            {"CONN_MLFLOW_DEFAULT": connection(conn_type="http", host="ml", port=5000)},
            "MLFLOW_TRACKING_URI",
            "http://ml:5000",
        ),
        (
            {"CONN_MLFLOW_DEFAULT": connection(conn_type="http", schema="https", host="ml", port=5000)},
            "MLFLOW_TRACKING_URI",
            "https://ml:5000",
        ),
        (
            {"CONN_MLFLOW_DEFAULT": connection(host="ml", extra={"scheme": "http"})},
            "MLFLOW_TRACKING_URI",
            "http://ml",
        ),
        ({"CONN_MLFLOW_DEFAULT": "http://ada:geheim1@ml:5000"}, "MLFLOW_TRACKING_URI", "http://ml:5000"),
        ({"CONN_MLFLOW_DEFAULT": "https://ml.bank/mlflow"}, "MLFLOW_TRACKING_URI", "https://ml.bank/mlflow"),
        ({"CONN_MLFLOW_DEFAULT": "http://ada:geheim1@ml:5000"}, "MLFLOW_TRACKING_USERNAME", "ada"),
        ({"CONN_MLFLOW_DEFAULT": "http://ada:geheim1@ml:5000"}, "MLFLOW_TRACKING_PASSWORD", "geheim1"),
        ({"CONN_MLFLOW_DEFAULT": connection(extra={"token": "t0ken"})}, "MLFLOW_TRACKING_TOKEN", "t0ken"),
        ({"CONN_MLFLOW_DEFAULT": connection(login="ada")}, "MLFLOW_TRACKING_URI", None),
        ({"VAR_SLACK_BOT_TOKEN": "xoxb-variable"}, "SLACK_BOT_TOKEN", "xoxb-variable"),
        ({"VAR_API_KEY": "of a variable"}, "API_KEY", "of a variable"),
        ({"VAR_API_KEY": '{"key": 1}'}, "API_KEY", '{"key": 1}'),
        ({"CONN_API_KEY": connection(password="of a connection")}, "API_KEY", "of a connection"),
        ({"CONN_API_KEY": "postgres://ada@db:5432/bank"}, "API_KEY", "postgres://ada@db:5432/bank"),
        ({"VAR_API_KEY": "of a variable", "CONN_API_KEY": connection(password="other")}, "API_KEY", "of a variable"),
        ({}, "API_KEY", None),
    ],
)
def test_a_secret_is_found_where_airflow_keeps_it(
    kept: dict[str, str], name: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known Connections first, then a Variable or a Connection of that very name; None where it is nowhere."""
    for where, value in kept.items():
        monkeypatch.setenv(f"AIRFLOW_{where}", value)
    assert resolve(name) == found


def test_the_environment_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's own environment, for those who keep secrets there."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-environment")
    assert resolve("SLACK_BOT_TOKEN") == "xoxb-environment"
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", connection(login="ada"))
    assert resolve("SLACK_BOT_TOKEN") == "xoxb-environment"
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", connection(password="xoxb-connection"))
    assert resolve("SLACK_BOT_TOKEN") == "xoxb-connection"


@hypothesis.given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_a_password_arrives_as_it_is(password: str) -> None:
    """With every character that JSON can hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_API_KEY", connection(password=password))
        assert resolve("API_KEY") == password


@step
def sign() -> int:
    """Use a secret."""
    return len(secret("API_KEY"))


def test_a_step_finds_its_secret_in_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """`secret("NAME")` asks the engine it runs on; neither result nor record holds it."""
    monkeypatch.setenv("AIRFLOW_VAR_API_KEY", "unter-uns-gesagt")
    task = StepOperator(task_id="sign", function=sign.path, inputs={})
    told = {**context(), "ti": SimpleNamespace(task_id="sign", map_index=-1, try_number=1, max_tries=0)}
    assert task.execute(told) == len("unter-uns-gesagt")
    record = records_here().step(record_id("fraud", "manual__2026-11-22"), "sign")
    assert "unter-uns" not in str(record)


def test_a_step_whose_secret_is_nowhere_fails_with_its_name(home: Any) -> None:
    """For good, and with a sentence."""
    request = Request(function=sign.path, inputs={}, run_id="r", step="sign", home=str(home), recorded=False)
    with pytest.raises(ConfigurationError, match="The secret 'API_KEY' is not set"):
        execute(request, resolve=resolve)

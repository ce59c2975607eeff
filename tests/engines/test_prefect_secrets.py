"""Secrets from where Prefect keeps them, by the names that steps and alerts ask for."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.variables import Variable

from engines import mishaps
from engines.stories import output_of, states_of
from engines.test_prefect_run import Player, ran
from ostinato import secret, step
from ostinato.engines.prefect_flow import to_flow
from ostinato.engines.prefect_secrets import resolve
from ostinato.errors import ConfigurationError, Unavailable
from ostinato.runner import Request, execute

pytestmark = pytest.mark.prefect
__all__ = ["ran"]

HOOK = "https://hooks.slack.com/services/T00/B00/geheimgeheim"


@pytest.fixture
def name(prefect_api: str) -> str:
    """A name that no other test has kept anything under."""
    return f"API_KEY_{uuid.uuid4().hex[:8].upper()}"


def dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def keep_block(name: str, value: str) -> None:
    Secret(value=value).save(dashed(name))


def keep_variable(name: str, value: Any) -> None:
    Variable.set(name.lower(), value)


def test_a_secret_block_has_the_name_in_small_letters_and_dashes(name: str) -> None:
    """Prefect allows no others."""
    keep_block(name, "of a block")
    assert resolve(name) == "of a block"


@pytest.mark.parametrize(("kept", "found"), [("of a variable", "of a variable"), (7, "7")])
def test_a_variable_has_the_name_in_small_letters(name: str, kept: Any, found: str) -> None:
    """What is no text becomes one."""
    keep_variable(name, kept)
    assert resolve(name) == found


def test_a_block_comes_before_a_variable_and_the_environment_last(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first is kept in secret."""
    monkeypatch.setenv(name, "of the environment")
    assert resolve(name) == "of the environment"
    keep_variable(name, "of a variable")
    assert resolve(name) == "of a variable"
    keep_block(name, "of a block")
    assert resolve(name) == "of a block"


def test_what_is_kept_nowhere_is_none(name: str) -> None:
    """Who asks for it says so."""
    assert resolve(name) is None


@pytest.fixture
def slack_block(prefect_api: str) -> Iterator[None]:
    """Prefect's own block of a Slack webhook."""
    SlackWebhook(url=HOOK).save("slack-default", overwrite=True)
    yield
    SlackWebhook.delete("slack-default")


def test_the_address_of_slack_comes_from_its_own_block(slack_block: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which people have made for Prefect's own notifications."""
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "of the environment")
    assert resolve("SLACK_WEBHOOK_URL") == HOOK


def test_the_address_of_slack_may_be_a_secret_like_any_other(prefect_api: str) -> None:
    """For those who keep all of theirs as Secret blocks."""
    assert resolve("SLACK_WEBHOOK_URL") is None
    keep_block("SLACK_WEBHOOK_URL", HOOK)
    try:
        assert resolve("SLACK_WEBHOOK_URL") == HOOK
    finally:
        Secret.delete("slack-webhook-url")


@step
def sign(name: str) -> int:
    """Use a secret."""
    return len(secret(name))


def test_a_step_whose_secret_is_nowhere_fails_with_its_name(name: str, home: Any) -> None:
    """For good, and with a sentence."""
    request = Request(
        function=sign.path, inputs={"name": name}, run_id="r", step="sign", home=str(home), recorded=False
    )
    with pytest.raises(ConfigurationError, match=f"The secret '{name}' is not set"):
        execute(request, resolve=resolve)


def test_a_prefect_that_does_not_answer_is_no_missing_secret(prefect_api: str) -> None:
    """Else a run would fail for good, though all is as it should be."""
    away = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(away), pytest.raises(Unavailable, match="does not say whether it keeps 'API_KEY'"):
        resolve("API_KEY")


def test_a_step_has_a_secret_of_prefects_and_no_log_has_it(ran: Player, home: Any) -> None:
    """Where the step says it there are asterisks, in Prefect's log as in ours; the record does not hold it."""
    keep_block("DEEP_THOUGHT", "unter-uns-gesagt")
    found = ran(to_flow(mishaps.kept_secret), as_of="2026-05-01")
    assert output_of(found.outcome, "initiated") == "16 characters"
    assert "unter-uns" not in found.logs("psst: ***")
    assert "unter-uns" not in str(found.records.steps(found.run_id))
    assert not [file for file in home.rglob("*.log") if b"unter-uns" in file.read_bytes()]


@pytest.mark.parametrize(
    ("made", "step_name", "attempts", "message"),
    [
        (mishaps.not_json, "speechless", 1, "'speechless' returned an object"),
        (mishaps.too_large, "long_winded", 1, "at most 8,192 may cross a step boundary"),
        (mishaps.no_secret, "confidential", 1, "The secret 'NOBODY_KEEPS_THIS' is not set"),
        (mishaps.store_away, "storing", 2, "MLflow at http://127.0.0.1:9 does not answer"),
    ],
    ids=lambda made: getattr(made, "name", ""),
)
def test_what_is_wrong_is_said_in_one_sentence_and_told_once(
    ran: Player, made: Any, step_name: str, attempts: int, message: str
) -> None:
    """No retries where none can help, one incident."""
    found = ran(to_flow(made), as_of="2026-05-01")
    assert states_of(found.outcome) == {step_name: "failed"}
    assert found.outcome["steps"][0]["attempts"] == attempts
    assert message in found.state.message
    assert found.titles == [f"{made.name} failed at {step_name}"]


def test_a_step_in_another_interpreter_leaves_the_same_record(ran: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prints and messages are in the task's log, its secrets come from Prefect."""
    keep = "sixteen letters!"
    Secret(value=keep).save("deep-thought", overwrite=True)
    monkeypatch.setenv("OSTINATO_PYTHON_ML", sys.executable)
    found = ran(to_flow(mishaps.in_another_interpreter), as_of="2026-05-01")
    assert output_of(found.outcome, "elsewhere") == {"interpreter": sys.prefix, "secret": 16, "engine": "prefect"}
    found.logs("printed elsewhere", "logged elsewhere")

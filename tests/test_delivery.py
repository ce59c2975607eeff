"""Delivery, whatever the channel: what it is handed, what becomes of its faults, what stays out of sight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from alert_cases import fail_step, open_run, records
from ostinato import alerts, catalog, delivery
from ostinato.context import Resolve
from ostinato.delivery import Letter, deliver
from ostinato.workspace import Workspace

SECRETS = {"ODD_TOKEN": "handed-in-by-an-engine", "OSTINATO_ALERTS": "odd:place"}
heard: list[Letter] = []


def odd(letter: Letter, resolve: Resolve, seconds: float) -> Mapping[str, Any]:
    """A channel of a third party, that says in its error what it should not."""
    heard.append(letter)
    if letter.to == "broken":
        raise ValueError(f"cannot log in with {resolve('ODD_TOKEN')} as ada, password=swordfish")
    return {"id": len(heard)}


@pytest.fixture(autouse=True)
def channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue knows it, and it has heard nothing yet."""
    monkeypatch.setitem(catalog.BUILT_IN["alerts"], "odd", f"{__name__}:odd")
    heard.clear()


def tell(run_id: str = "r1") -> None:
    open_run(run_id)
    fail_step(run_id)
    alerts.failed(records(), run_id)


def send(resolve: Resolve = SECRETS.get) -> int:
    return deliver(records(), Workspace.here(), resolve=resolve, seconds=5)


def test_a_channel_of_a_third_party_gets_letters_and_gives_places() -> None:
    """Settings and secrets come from the engine's own look-up; the place of the first message comes back with each."""
    tell()
    alerts.resumed(records(), "r1")
    assert send() == 2
    first, update = heard
    assert (first.to, first.kind, first.under, first.place) == ("place", "incident", None, None)
    assert (update.kind, update.under, update.place) == ("update", "fraud failed at fit", {"id": 1})
    assert first.plain().splitlines()[:2] == ["🔴 fraud failed at fit", "No rows before 2026-03-01."]


def test_what_a_channel_says_in_its_error_is_kept_without_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    """Also those that only the engine's look-up knows."""
    tell()
    assert send({**SECRETS, "OSTINATO_ALERTS": "odd:broken"}.get) == 0
    (message,) = records().outbox.messages()
    for text in (str(message.why), capfd.readouterr().err):
        assert "ValueError: cannot log in with *** as ada, password=***" in text
    assert message.state == "refused"


def test_a_fault_of_delivery_itself_is_said_and_not_raised(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with alerts is no fault of the run."""
    tell()

    def lost(_: str) -> str:
        raise OSError("the vault is away")

    assert send(lost) == 0
    assert capfd.readouterr().err == "Alerts could not be sent now: OSError: the vault is away\n"
    assert send() == 1


def test_the_file_has_one_whole_line_a_message(home: Path) -> None:
    """With everything that was told."""
    tell()
    alerts.resumed(records(), "r1")
    assert send({"OSTINATO_ALERTS": "file"}.get) == 2
    first, update = (json.loads(line) for line in (home / "alerts.jsonl").read_text().splitlines())
    assert first["title"] == "fraud failed at fit"
    assert first["text"] == ["No rows before 2026-03-01."]
    assert (first["run_id"], first["owner"], first["next"]) == ("r1", "risk-ml", "ostinato run --resume r1")
    assert (update["under"], update["run_id"]) == ("fraud failed at fit", "r1")
    assert (home / "alerts.jsonl").stat().st_mode & 0o077 == 0


def test_a_console_that_cannot_write_it_or_is_gone_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stderr, or one of another alphabet."""
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    delivery._stderr("🔴 größe")
    assert raw.getvalue() == b"? gr??e\n"
    sys.stderr.close()
    delivery._stderr("gone")
    monkeypatch.setattr(sys, "stderr", None)
    delivery._stderr("never there")


def test_a_remote_workspace_has_its_file_on_this_machine() -> None:
    """Nothing can be appended to an object in a store."""
    assert delivery._file(Workspace("memory://bucket/home")).name == "alerts.jsonl"

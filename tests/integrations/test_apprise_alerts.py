"""Alerts through Apprise, the real one, to a server that takes its JSON."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from alert_cases import fail_step, open_run, records
from ostinato import alerts
from ostinato.delivery import deliver
from ostinato.workspace import Workspace

pytest.importorskip("apprise")


class Service:
    """What a team's service was told; it answers with `status`."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service on a free loopback port, known as `team`."""
    known = Service()

    class Channel(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            known.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(known.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Channel)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("APPRISE_TEAM", f"json://ada:geheim@127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setenv("OSTINATO_ALERTS", "apprise:team")
    yield known
    server.shutdown()
    server.server_close()
    thread.join()


def send() -> int:
    return deliver(records(), Workspace.here(), seconds=5)


def tell() -> None:
    """A failure, and that it is tried again."""
    open_run()
    fail_step()
    alerts.failed(records(), "r1")
    alerts.resumed(records(), "r1")


def test_a_service_gets_the_incident_and_updates_that_name_it(service: Service) -> None:
    """There are no threads, so each says what it belongs to."""
    tell()
    assert send() == 2
    first, update = service.heard
    assert first["title"] == "🔴 fraud failed at fit"
    assert first["message"].startswith("No rows before 2026-03-01.\n")
    assert "next: ostinato run --resume r1" in first["message"]
    assert update["message"].startswith("(fraud failed at fit)")


def test_a_service_that_refuses_is_tried_again_later(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost, and no address is said."""
    service.status = 500
    tell()
    assert send() == 0
    service.status = 200
    assert send() == 2
    assert "geheim" not in capfd.readouterr().err + str(records().outbox.messages())


def test_an_address_that_apprise_does_not_know_gives_way_to_the_file(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path
) -> None:
    """Said, without the address."""
    monkeypatch.setenv("APPRISE_TEAM", "nonsense://geheim")
    tell()
    assert send() == 2
    said = capfd.readouterr().err
    assert "APPRISE_TEAM holds no URL that Apprise knows" in said
    assert "geheim" not in said
    assert len((home / "alerts.jsonl").read_text().splitlines()) == 2


def test_without_apprise_its_extra_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is not installed by default."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    tell()
    assert send() == 2
    assert 'apprise is not installed. Write: pip install "ostinato[apprise]"' in capfd.readouterr().err

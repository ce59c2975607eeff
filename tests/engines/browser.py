"""A real browser for a while: headless Chromium, driven over its own protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# nobody is asked for updates, and nothing but the page is fetched
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --remote-debugging-port=0"
).split()


class Page:
    """One page of a browser: go somewhere, ask it something in JavaScript, take its picture."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **given: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what the page complains of meanwhile is kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            heard = json.loads(self._socket.recv(timeout=60))
            if heard.get("id") == number:
                assert "error" not in heard, heard
                return dict(heard["result"])
            if heard.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(heard["params"]["exceptionDetails"].get("text")))

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    def go(self, url: str) -> None:
        """Open an address."""
        self.send("Page.navigate", url=url)

    def wait(self, script: str, seconds: float = 30) -> Any:
        """The first value of an expression that counts as true."""
        until = time.monotonic() + seconds
        while not (found := self.ask(script)):
            assert time.monotonic() < until, f"{script} is {found!r} at {self.ask('location.href')}"
            time.sleep(0.1)
        return found

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.wait(f"!!document.querySelector({selector!r})")
        self.ask(f"document.querySelector({selector!r}).focus()")
        self.send("Input.insertText", text=text)

    def picture(self, file: Path) -> None:
        """Write what is seen as a PNG."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(folder: Path, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A page of a new browser; the test is skipped where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("No browser here: install Debian's `chromium`.")
    from websockets.sync.client import connect

    command = [program, *QUIET, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(folder, process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            (target,) = [one for one in json.load(answer) if one["type"] == "page"]
        with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        if process.poll() is None:
            process.kill()
            process.wait()


def _port(folder: Path, process: subprocess.Popen[bytes]) -> int:
    until, file = time.monotonic() + 30, folder / "DevToolsActivePort"
    while not file.exists() or not file.read_text().strip():
        assert process.poll() is None, "the browser ended at once"
        assert time.monotonic() < until, "the browser does not answer"
        time.sleep(0.05)
    return int(file.read_text().split()[0])

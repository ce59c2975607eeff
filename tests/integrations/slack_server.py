"""A server that speaks Slack's API, as far as alerts need it: remembers what it is told, answers as it is bidden."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Slack:
    """`posts` are the messages that a channel shows, `requests` all bodies that came in, in the order they came.

    `answers` are used up one a request, before the ordinary answer; one that is not `shown` posts nothing.
    """

    url: str
    posts: list[dict[str, Any]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def roots(self) -> list[dict[str, Any]]:
        return [post for post in self.posts if "thread_ts" not in post]

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [post for post in self.posts if "thread_ts" in post]

    @property
    def webhook(self) -> str:
        return f"{self.url}services/T000/B000/geheimgeheim"

    def hear(self, body: bytes) -> tuple[int, Answer | None]:
        with self.lock:
            self.requests.append(body)
            self.times.append(time.time())
            return len(self.requests), self.answers.pop(0) if self.answers else self.always

    def post(self, number: int, body: bytes) -> dict[str, Any]:
        """Show a message, and what Slack says then."""
        said = json.loads(body)
        with self.lock:
            post = {**said, "ts": f"17000000{number:02}.000100"}
            self.posts.append(post)
        return {"ok": True, "channel": f"C{said.get('channel', '').strip('#')}", "ts": post["ts"]}


def respond(to: BaseHTTPRequestHandler, status: int, body: str, kind: str = "application/json", **headers: str) -> None:
    data = body.encode()
    to.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(data)


def busy(after: str | None = "1") -> Answer:
    """429, with Retry-After."""
    headers = {} if after is None else {"Retry_After": after}
    return lambda to: respond(to, 429, '{"ok": false, "error": "ratelimited"}', **headers)


def broken(status: int = 500) -> Answer:
    return lambda to: respond(to, status, "upstream connect error", "text/plain")


def no(error: str) -> Answer:
    return lambda to: respond(to, 200, json.dumps({"ok": False, "error": error}))


def page(to: BaseHTTPRequestHandler) -> None:
    """What a proxy or a captive portal says."""
    respond(to, 200, "<html><body>Welcome to the airport</body></html>", "text/html")


def empty(to: BaseHTTPRequestHandler) -> None:
    respond(to, 200, "")


def odd(body: str) -> Answer:
    return lambda to: respond(to, 200, body)


def cut_off(to: BaseHTTPRequestHandler) -> None:
    """Half of an answer."""
    to.send_response(200)
    to.send_header("Content-Length", "500")
    to.end_headers()
    to.wfile.write(b'{"ok": true, "ch')
    to.close_connection = True


def hang(seconds: float) -> Answer:
    """No answer for a while, and then none."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        to.close_connection = True

    return answer


def trickle(seconds: float) -> Answer:
    """An answer that begins at once and does not end for a while."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", "100000")
        to.end_headers()
        for _ in range(int(seconds * 5)):
            to.wfile.write(b" ")
            to.wfile.flush()
            time.sleep(0.2)

    return answer


def slowly(seconds: float) -> Answer:
    """The ordinary answer, after a while: the message is shown."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        to.ordinary()  # type: ignore[attr-defined]

    return answer


@contextmanager
def slack_server() -> Iterator[Slack]:
    """A server on a free loopback port, for as long as the body runs."""

    class Channel(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.body = self.rfile.read(int(self.headers["Content-Length"]))
            self.number, answer = slack.hear(self.body)
            with contextlib.suppress(OSError):  # nobody may wait for it any more
                self.ordinary() if answer is None else answer(self)

        def ordinary(self) -> None:
            said = slack.post(self.number, self.body)
            if self.path.startswith("/services/"):
                respond(self, 200, "ok", "text/html")
            else:
                respond(self, 200, json.dumps(said))

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Channel)
    server.daemon_threads = True
    slack = Slack(f"http://127.0.0.1:{server.server_address[1]}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

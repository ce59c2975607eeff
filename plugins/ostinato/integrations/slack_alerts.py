"""Alerts in Slack: by a bot's token, which can thread, or by an incoming webhook, which cannot.

Secrets: `SLACK_BOT_TOKEN` (xoxb-…, with chat:write) or `SLACK_WEBHOOK_URL`; `SLACK_API_URL` names another API than
Slack's own, as GovSlack's.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ostinato.context import Resolve
from ostinato.delivery import Letter, NotNow
from ostinato.errors import ConfigurationError, PermanentError

LONGEST_BLOCK = 3000  # characters that Slack takes in one block
LONGEST_TEXT = 1000  # characters of the line shown in notifications
PATIENCE = 5.0  # seconds one request may take
PAUSE = 30.0  # seconds, where Slack asks for one without saying how long
_CODE = frozenset({"log", "next", "page", "report", "run", "last good run", "serves"})
# What Slack says of itself rather than of the message.
_BUSY = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"})
_UNSURE = frozenset({"internal_error", "fatal_error"})
_NO_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "block_mismatch"})
_NO_THREAD = frozenset({"thread_not_found", "message_not_found", "invalid_thread_ts", "cannot_reply_to_message"})


def send(letter: Letter, resolve: Resolve, seconds: float) -> dict[str, Any]:
    """Send a letter to a channel; gives `{channel, ts}`, or nothing where it went through a webhook.

    Raises:
        ConfigurationError: no credentials, or a token without a channel.
        NotNow: Slack is busy, away or answers nonsense.
        PermanentError: Slack refuses it, with the reason.
    """
    token, webhook = resolve("SLACK_BOT_TOKEN"), resolve("SLACK_WEBHOOK_URL")
    patience = max(1.0, min(PATIENCE, seconds))
    if token and (letter.to or letter.place or not webhook):
        if not letter.to:
            raise ConfigurationError('With SLACK_BOT_TOKEN a channel is needed: write "slack:#channel".')
        return _post(letter, token, resolve("SLACK_API_URL"), patience)
    if webhook:
        return _push(letter, webhook, patience)
    raise ConfigurationError("Neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set.")


def _post(letter: Letter, token: str, api: str | None, patience: float, *, plain: bool = False) -> dict[str, Any]:
    """By chat.postMessage; what Slack finds wrong with threads or blocks is sent without them."""
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.base_client import BaseClient

    address = api or BaseClient.BASE_URL
    client = WebClient(token, address, math.ceil(patience), logger=_silent(), retry_handlers=[])
    client.proxy = _proxy(address, client.proxy)
    place = letter.place or {}
    thread = {"thread_ts": place["ts"]} if place.get("ts") else {}
    try:
        said = _asked(
            client.chat_postMessage,
            channel=place.get("channel") or letter.to,
            text=_notification(letter, threaded=bool(thread)),
            blocks=None if plain else _blocks(letter, threaded=bool(thread)),
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
            **thread,
        )
    except SlackApiError as error:
        answer = error.response
        data = answer.data if isinstance(answer.data, dict) else {}
        reason = str(data.get("error") or "") if data.get("ok") is False else ""
        if thread and reason in _NO_THREAD:
            return _post(_without_thread(letter), token, api, patience, plain=plain)
        if reason in _NO_BLOCKS and not plain:
            return _post(letter, token, api, patience, plain=True)
        raise _refused(answer.status_code, answer.headers, reason) from None
    if not isinstance(said.data, dict) or not said.data.get("ts"):
        raise NotNow("Slack's answer cannot be read.", doubtful=True)
    return {"channel": str(said.data.get("channel") or letter.to), "ts": str(said.data["ts"])}


def _push(letter: Letter, webhook: str, patience: float) -> dict[str, Any]:
    """By an incoming webhook."""
    from slack_sdk import WebhookClient

    client = WebhookClient(webhook, math.ceil(patience), logger=_silent(), retry_handlers=[])
    client.proxy = _proxy(webhook, client.proxy)
    said = _asked(
        client.send,
        text=_notification(letter, threaded=False),
        blocks=_blocks(letter, threaded=False),
        unfurl_links=False,
        unfurl_media=False,
    )
    if said.status_code != 200:
        raise _refused(said.status_code, said.headers, _word(said.body))
    if said.body.strip() != "ok":
        raise NotNow("Slack's answer cannot be read.", doubtful=True)
    return {}


def _asked(call: Any, **arguments: Any) -> Any:
    """What Slack answers; what is no answer leaves in doubt whether it has heard, unless nobody was there."""
    from http.client import HTTPException
    from urllib.error import URLError

    try:
        return call(**arguments)
    except URLError as error:  # before the request was out
        raise NotNow(f"Slack cannot be reached: {error.reason}") from None
    except (OSError, HTTPException, ValueError, LookupError, AttributeError) as error:
        raise NotNow(f"Slack did not answer: {type(error).__name__}: {error}", doubtful=True) from None


def _refused(status: int, headers: Mapping[str, Any], reason: str) -> Exception:
    """What an answer other than yes means."""
    if status == 429 or reason in ("ratelimited", "rate_limited"):
        return NotNow("Slack asks for a pause.", _pause(headers))
    if reason in _UNSURE:
        return NotNow(f"Slack failed: {reason}", doubtful=True)
    if status >= 500 or status in (408, 425) or reason in _BUSY:
        return NotNow(f"Slack is not available: {reason or status}")
    if status == 200 and not _word(reason):
        return NotNow("Slack's answer cannot be read.", doubtful=True)
    return PermanentError(f"Slack refuses: {_word(reason) or status}.")


def _pause(headers: Mapping[str, Any]) -> float:
    """The seconds of Retry-After; an odd one counts as half a minute, a long one as an hour."""
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        seconds = float(given if isinstance(given, str) else given[0])  # type: ignore[index]  # or TypeError
    except (TypeError, ValueError, IndexError):
        return PAUSE
    return min(seconds, 3600.0) if 0 <= seconds < math.inf else PAUSE


def _word(text: str) -> str:
    """Slack's own name of an error; empty for anything else, such as a page of a proxy."""
    found = text.strip()
    return found if found.replace("_", "").isalnum() and len(found) <= 60 else ""


def _without_thread(letter: Letter) -> Letter:
    return replace(letter, place={name: value for name, value in (letter.place or {}).items() if name != "ts"})


def _silent() -> logging.Logger:
    """The client's own words would put addresses and messages on stderr."""
    logger = logging.Logger("slack", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    return logger


def _proxy(address: str, found: str | None) -> str | None:
    """The environment's proxy, but not for what `no_proxy` excepts, which the client does not read."""
    from urllib.parse import urlsplit
    from urllib.request import proxy_bypass

    return None if proxy_bypass(urlsplit(address).hostname or "") else found


# --- the text ---------------------------------------------------------------------------------------------------


def _notification(letter: Letter, *, threaded: bool) -> str:
    """The one line that phones and screen readers show."""
    return _cut(": ".join([*_named(letter, threaded), letter.headline, *letter.text[:1]]), LONGEST_TEXT)


def _named(letter: Letter, threaded: bool) -> list[str]:
    """An update that stands alone says what it belongs to."""
    return [letter.under] if letter.under and not threaded else []


def _blocks(letter: Letter, *, threaded: bool) -> list[dict[str, Any]]:
    head = [*(f"_{_cut(name, 200)}_" for name in _named(letter, threaded)), f"*{_bold(letter.headline)}*"]
    most = max(100, 2300 // max(1, len(letter.text)))
    told = "\n".join([*head, *(_cut(text, most) for text in letter.text)])
    lines = "\n".join(" · ".join(_pair(*pair) for pair in line) for line in letter.lines)
    return [_section(text) for text in (told, lines) if text]


def _section(text: str) -> dict[str, Any]:
    # verbatim: addresses, channels and names within it stay text
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:LONGEST_BLOCK], "verbatim": True}}


def _pair(word: str, value: str) -> str:
    shown = _cut(value, 250)
    return f"*{word}* `{shown.replace('`', chr(39))}`" if word in _CODE else f"*{word}* {shown}"


def _bold(text: str) -> str:
    return _cut(text.replace("*", "∗"), 300)


def _cut(text: str, most: int) -> str:
    """A text on one line, escaped as Slack wants it, at most so long, and no entity cut in two."""
    line = " ".join(text[: 2 * most].split()).replace("```", "'''")
    escaped = [_ENTITIES.get(char, char) for char in line]
    if sum(map(len, escaped)) <= most:
        return "".join(escaped)
    ends = itertools.accumulate(map(len, escaped))
    return "".join(part for part, end in zip(escaped, ends, strict=True) if end < most) + "…"


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

"""Alerts in Slack, through the real client, to a server that speaks Slack's API: what arrives, how often, in order."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alert_cases import close_run, fail_step, open_run, records, succeed_step, titles, validation
from integrations import slack_server as slack_answers
from integrations.slack_server import Answer, Slack, slack_server
from ostinato import alerts
from ostinato.delivery import deliver
from ostinato.integrations import slack_alerts
from ostinato.workspace import Workspace

TOKEN = "xoxb-1234567890-geheim"
BEGIN = "fraud failed at fit"


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    """Slack, with a bot's token, and a pause that costs no time."""
    with slack_server() as served:
        monkeypatch.setenv("SLACK_API_URL", served.url)
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("OSTINATO_ALERTS", "slack:#ml-ops")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served


def send(seconds: float = 10.0) -> int:
    """One delivery."""
    return deliver(records(), Workspace.here(), seconds=seconds)


def tell_failure(run_id: str = "r1", **run: Any) -> None:
    """A run that fails, and its incident in the outbox."""
    open_run(run_id, **run)
    fail_step(run_id)
    alerts.failed(records(), run_id)


def tell_resume(run_id: str = "r1") -> None:
    alerts.resumed(records(), run_id)


def said(post: dict[str, Any]) -> str:
    """What a message shows."""
    return "\n".join(block["text"]["text"] for block in post["blocks"])


def states() -> list[str]:
    return [message.state for message in records().outbox.messages()]


def later(seconds: float = 120.0) -> None:
    """Let what was put off be due, and count as tried by another process."""
    from sqlalchemy import text

    with records()._engine.begin() as connection:
        connection.execute(text("UPDATE ostinato_messages SET \"by\" = 'another:1:x', not_before = 0"))


# --- messages -----------------------------------------------------------------------------------------------------


def test_an_incident_is_a_message_and_what_follows_stands_in_its_thread(slack: Slack) -> None:
    """By the channel and the time stamp that Slack gave."""
    tell_failure()
    tell_resume()
    assert send() == 2
    root, reply = slack.posts
    assert (root["channel"], "thread_ts" in root) == ("#ml-ops", False)
    assert (reply["channel"], reply["thread_ts"]) == ("Cml-ops", root["ts"])
    assert send() == 0
    assert len(slack.requests) == 2


def test_a_message_reads_well(slack: Slack) -> None:
    """What failed, why, whose it is, what to do: in ten lines; the phone shows the first."""
    tell_failure()
    send()
    (post,) = slack.posts
    assert said(post).split("\n") == [
        "*🔴 fraud failed at fit*",
        "No rows before 2026-03-01.",
        "*owner* risk-ml · *as of* 2026-03-01 · *engine* local",
        "*run* `r1` · *last good run* `none on record`",
        "*log* `fit.log`",
        "*next* `ostinato run --resume r1`",
    ]
    assert post["text"] == "🔴 fraud failed at fit: No rows before 2026-03-01."


def test_nothing_from_outside_can_shout_link_or_format(slack: Slack) -> None:
    """Slack's markup is escaped, addresses stay text, and nobody is woken."""
    hostile = "<!channel> & <https://evil.example|click> ```code``` *x*"
    open_run()
    fail_step("r1", error={"type": "DataError", "message": hostile, "transient": False}, log="a`b<!here>.log")
    alerts.failed(records(), "r1")
    send()
    (post,) = slack.posts
    everything = json.dumps(post)
    assert "<!" not in everything
    assert "<http" not in everything
    assert "```" not in everything
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in said(post)
    assert "`a'b&lt;!here&gt;.log`" in said(post)
    assert all(block["text"]["verbatim"] for block in post["blocks"])
    assert (post["parse"], post["link_names"], post["unfurl_links"]) == ("none", False, False)


@pytest.mark.parametrize("length", [100, 700, 3000, 100_000])
@pytest.mark.parametrize("char", ["a", "&", "<", "🙂", "\n"])
def test_overlong_texts_stay_within_slacks_limits(slack: Slack, length: int, char: str) -> None:
    """3,000 characters a block, escaped ones counted as they are sent; no entity is cut in two."""
    warnings = [f"w{number}: {char * length}" for number in range(20)]
    open_run(tags={"owner": char * length})
    fail_step("r1", error={"type": "DataError", "message": char * length, "transient": False}, log=char * length)
    succeed_step("r1", "load", validation(*warnings))
    alerts.failed(records(), "r1")
    close_run()
    alerts.ended(records(), "r1")
    assert send() == 2
    for post in slack.posts:
        for text in [post["text"], *(block["text"]["text"] for block in post["blocks"])]:
            assert 0 < len(text) < slack_alerts.LONGEST_BLOCK
            assert text.count("&") == text.count("&amp;") + text.count("&lt;") + text.count("&gt;")
        assert len(said(post).split("\n")) <= 12


def test_a_webhook_cannot_thread_so_updates_name_their_incident(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """And say it in words."""
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
    tell_failure()
    tell_resume()
    assert send() == 2
    root, reply = slack.posts
    assert said(root).startswith("*🔴 fraud failed at fit*")
    assert said(reply).startswith("_fraud failed at fit_\n*🔵 Resumed")
    assert reply["text"].startswith("fraud failed at fit: 🔵 Resumed")
    assert "thread_ts" not in reply


def test_a_thread_that_was_deleted_is_followed_by_a_message_that_names_it(slack: Slack) -> None:
    """Nothing is lost because somebody tidied up."""
    tell_failure()
    send()
    tell_resume()
    slack.answers = [slack_answers.no("thread_not_found")]
    assert send() == 1
    assert "thread_ts" not in slack.posts[-1]
    assert said(slack.posts[-1]).startswith("_fraud failed at fit_")


def test_what_slack_finds_wrong_with_blocks_is_sent_as_a_line(slack: Slack) -> None:
    """A message that can never arrive would hold up all behind it."""
    slack.answers = [slack_answers.no("invalid_blocks")]
    tell_failure()
    tell_resume()
    assert send() == 2
    assert slack.posts[0]["text"] == "🔴 fraud failed at fit: No rows before 2026-03-01."
    assert "blocks" not in slack.posts[0]
    assert "blocks" in slack.posts[1]


def test_a_refused_thread_holds_up_no_other(slack: Slack) -> None:
    """Each thread has its own queue."""
    slack.answers = [slack_answers.no("restricted_action")]
    tell_failure("r1")
    tell_failure("r2", pipeline="other")
    assert send() == 1
    assert "other failed" in said(slack.posts[0])


def test_the_pipelines_own_channel_wins(slack: Slack) -> None:
    """`on_failure` is on record with the run."""
    tell_failure(tags={"on_failure": "slack:#risk"})
    send()
    assert slack.posts[0]["channel"] == "#risk"


# --- faults -------------------------------------------------------------------------------------------------------


FAULTS: dict[str, tuple[Answer, bool]] = {  # and whether the message may have been shown all the same
    "a 500": (slack_answers.broken(500), False),
    "a 503": (slack_answers.broken(503), False),
    "busy, long": (slack_answers.busy("600"), False),
    "busy, no word for how long": (slack_answers.busy(None), False),
    "busy, nonsense": (slack_answers.busy("soon"), False),
    "busy, endless": (slack_answers.busy("inf"), False),
    "a page": (slack_answers.page, True),
    "nothing": (slack_answers.empty, True),
    "cut off": (slack_answers.cut_off, True),
    "hung up": (slack_answers.hang(0), True),
    "null": (slack_answers.odd("null"), True),
    "a list": (slack_answers.odd("[1]"), True),
    "yes without a place": (slack_answers.odd('{"ok": true}'), True),
    "no without a reason": (slack_answers.odd('{"ok": false}'), True),
    "its own failure": (slack_answers.no("fatal_error"), True),
}


OF_A_BOT = ("null", "a list", "yes without a place", "no without a reason", "its own failure")  # a webhook says "ok"
CASES = [(fault, False) for fault in FAULTS] + [(fault, True) for fault in FAULTS if fault not in OF_A_BOT]


@pytest.mark.parametrize(("fault", "webhook"), CASES)
def test_what_does_not_arrive_is_kept_and_sent_later(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, fault: str, webhook: bool
) -> None:
    """In order, once, and marked where it may be a repeat; a delivery never raises."""
    if webhook:
        monkeypatch.delenv("SLACK_BOT_TOKEN")
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
    slack.always, doubtful = FAULTS[fault]
    tell_failure()
    tell_resume()
    assert send() == 0
    assert slack.posts == []
    assert states() == ["waiting", "waiting"]
    assert len(slack.requests) == (1 if doubtful or "busy" in fault else 2)
    slack.always = None
    later()
    assert send() == 2
    repeats = ["(may be a repeat)" in said(post) for post in slack.posts]
    assert repeats == [doubtful, False]


def test_a_hanging_slack_is_waited_for_a_few_seconds_only(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is that of a request, not that of the server."""
    monkeypatch.setattr(slack_alerts, "PATIENCE", 1.0)
    slack.always = slack_answers.hang(60)
    tell_failure()
    tell_failure("r2", pipeline="other")
    begun = time.monotonic()
    assert send() == 0
    assert time.monotonic() - begun < 10
    assert len(slack.requests) == 1


def test_slack_that_is_not_there_costs_next_to_nothing(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused connections are tried twice; nothing is in doubt."""
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:1/")
    tell_failure()
    assert send() == 0
    (message,) = records().outbox.messages()
    assert (message.state, message.doubtful, message.tries) == ("waiting", False, 2)
    assert "cannot be reached" in str(message.why)
    monkeypatch.setenv("SLACK_API_URL", slack.url)
    assert send() == 1
    assert "repeat" not in said(slack.posts[0])


def test_a_pause_that_slack_asks_for_is_kept(slack: Slack) -> None:
    """Waited for where there is time, else left to a later command, which does not ask before."""
    slack.answers = [slack_answers.busy("1")]
    tell_failure()
    assert send() == 1
    assert slack.times[1] - slack.times[0] >= 1.0
    slack.answers = [slack_answers.busy("30")]
    tell_resume()
    assert send(3) == 0
    assert send(3) == 0
    assert len(slack.requests) == 3
    later()
    assert send() == 1


@pytest.mark.parametrize("reason", ["invalid_auth", "channel_not_found", "not_in_channel", "is_archived"])
def test_a_refusal_is_kept_with_its_reason_and_tried_by_later_commands(
    slack: Slack, capfd: pytest.CaptureFixture[str], reason: str
) -> None:
    """Not again by this process; the next one may find the bot invited. Whoever watches is told."""
    slack.always = slack_answers.no(reason)
    tell_failure()
    assert send() + send() == 0
    assert len(slack.requests) == 1
    assert reason in str(records().outbox.messages()[0].why)
    assert f"slack:#ml-ops: Slack refuses: {reason}." in capfd.readouterr().err
    slack.always = None
    later()
    assert send() == 1
    assert "repeat" not in said(slack.posts[0])


@pytest.mark.parametrize(
    ("setting", "missing"),
    [
        ("slack:#ml", "SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set"),
        ("slak:#ml", "Did you mean 'slack'"),
        ("apprise:team", "APPRISE_TEAM is not set"),
    ],
)
def test_a_channel_that_is_not_set_up_gives_way_to_the_file_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, setting: str, missing: str
) -> None:
    """The incident and its thread stay together there, also once Slack is set up."""
    monkeypatch.setenv("OSTINATO_ALERTS", setting)
    tell_failure()
    assert send() == 1
    said_ = capfd.readouterr().err
    assert f"Alerts cannot go to {setting}:" in said_
    assert missing in said_
    assert f"🔴 {BEGIN}" in said_
    monkeypatch.setenv("OSTINATO_ALERTS", "slack:#ml")
    tell_resume()
    assert send() == 1
    lines = [json.loads(line) for line in (home / "alerts.jsonl").read_text().splitlines()]
    assert [line["title"] for line in lines] == titles()


def test_a_token_without_a_channel_is_told_to_need_one(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a webhook beside it, that is taken: it has a channel of its own."""
    monkeypatch.setenv("OSTINATO_ALERTS", "slack")
    tell_failure()
    assert send() == 1
    assert 'write "slack:#channel"' in capfd.readouterr().err
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
    tell_failure("r2", pipeline="other")
    assert send() == 1
    assert len(slack.posts) == 1


# --- at least once ------------------------------------------------------------------------------------------------


def test_what_was_left_is_sent_in_order_within_each_thread(slack: Slack) -> None:
    """Any order of faults, five threads of four messages: each arrives once, after those before it."""
    chance = random.Random(5)
    for number in range(5):
        tell_failure(f"r{number}", pipeline=f"p{number}")
        for _ in range(3):
            tell_resume(f"r{number}")
    faults = [slack_answers.broken(503), slack_answers.busy("0.1"), slack_answers.no("channel_not_found")]
    for _ in range(30):
        slack.answers = chance.choices([*faults, lambda to: to.ordinary()], k=6)  # type: ignore[attr-defined]
        send(3)
        later()
    slack.answers = []
    send()
    assert states() == ["delivered"] * 20
    assert len(slack.posts) == 20
    for root in slack.roots:
        under = [slack.posts.index(post) for post in slack.replies if post["thread_ts"] == root["ts"]]
        assert len(under) == 3
        assert said(root).startswith("*🔴")
        assert slack.posts.index(root) < min(under)


DELIVER = """
import sys
from ostinato.delivery import deliver
from ostinato.runner import records_of
from ostinato.workspace import Workspace
deliver(records_of(Workspace.here().home), Workspace.here(), seconds=20)
"""


def start_delivery() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DELIVER])


def test_racing_deliveries_send_nothing_twice(slack: Slack) -> None:
    """Four processes at once, a server that takes its time: every message is shown once, and in order."""
    slack.always = slack_answers.slowly(0.1)
    for number in range(5):
        tell_failure(f"r{number}", pipeline=f"p{number}")
        tell_resume(f"r{number}")
    processes = [start_delivery() for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    send()
    assert len(slack.posts) == 10
    assert not any("repeat" in said(post) for post in slack.posts)


def test_a_delivery_killed_before_the_answer_is_repeated_and_marked(slack: Slack) -> None:
    """kill -9 between request and acknowledgement: shown twice, the second says so; the thread is the second's."""
    slack.answers = [slack_answers.slowly(1.0)]
    tell_failure()
    tell_resume()
    process = start_delivery()
    while not slack.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert states() == ["sending", "waiting"]
    while not slack.posts:
        time.sleep(0.01)
    assert send() == 2
    first, repeat, reply = slack.posts
    assert "(may be a repeat)" not in said(first)
    assert said(repeat).startswith("*🔴 fraud failed at fit (may be a repeat)*")
    assert reply["thread_ts"] == repeat["ts"]


@pytest.mark.slow
def test_deliveries_killed_at_any_moment_lose_nothing(slack: Slack) -> None:
    """kill -9 at twenty random moments: each message is shown at least once, every further time marked."""
    chance = random.Random(3)
    slack.always = slack_answers.slowly(0.05)
    for number in range(20):
        tell_failure(f"r{number}", pipeline=f"p{number}")
        process = start_delivery()
        time.sleep(chance.uniform(0.3, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert send(60) >= 0
    assert states() == ["delivered"] * 20
    for number in range(20):
        shown = [said(post) for post in slack.posts if f"p{number} failed" in said(post)]
        assert shown
        assert sum("repeat" not in text for text in shown) <= 1


def test_the_client_is_loaded_only_where_it_is_used(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has nothing to tell, or tells it elsewhere, does not pay for it."""
    monkeypatch.setenv("OSTINATO_ALERTS", "file")
    tell_failure()
    code = f"{DELIVER}\nprint('slack_sdk' in sys.modules)"
    said_ = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said_.stdout == "False\n"
    assert states() == ["delivered"]


@pytest.mark.parametrize("webhook", [False, True], ids=["bot", "webhook"])
def test_nothing_of_the_client_reaches_a_log(slack: Slack, monkeypatch: pytest.MonkeyPatch, webhook: bool) -> None:
    """It would log what it sends and where to: the webhook's address is a secret. Engines log everything."""
    if webhook:
        monkeypatch.delenv("SLACK_BOT_TOKEN")
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
    tell_failure()
    code = f"import logging; logging.basicConfig(level=logging.DEBUG)\n{DELIVER}"
    for slack.always in (slack_answers.page, slack_answers.broken(500), slack_answers.hang(0), None):
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert process.stdout + process.stderr == ""
    assert len(slack.posts) == 1
    assert TOKEN.encode() not in b"".join(slack.requests)

"""What may not leave: a seeded corpus of secrets and people's data, searched for in every byte that does."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from alert_cases import close_run, fail_step, open_run, records, succeed_step, validation
from integrations.slack_server import Slack, no, slack_server
from ostinato import alerts, scrubbing
from ostinato.context import Context, running
from ostinato.delivery import deliver
from ostinato.records import describe_error
from ostinato.scrubbing import hide, said, scrub
from ostinato.workspace import Workspace

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAxVYt\nq2Zk0o9dJ1aQ8w==\n-----END RSA PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What one test looks up is no secret of the next."""
    before = set(scrubbing._resolved)
    yield
    scrubbing._resolved.clear()
    scrubbing._resolved.update(before)


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://ada:p@ss/wo@rd@db/bank is down", "postgresql://***@db/bank is down"),
        ("call https://hooks.slack.com/services/T0/B0/x1Y2 failed", "call https://*** failed"),
        ("token xoxb-12-34-abcDEF and xapp-1-A2", "token *** and ***"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
        ("Authorization: Bearer abcdef.ghi", "Authorization: ***"),
        ("got eyJhbGciOi.eyJzdWIi.sig-x back", "got *** back"),
        ("password=hunter2, user=ada", "password=***, user=ada"),
        ("PGPASSWORD: 'two words' next", "PGPASSWORD: *** next"),
        ('{"api_key": "a\\"b c", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("the secret is swordfish", "the secret is ***"),
        ("https://x/y?sig=abc%3D&n=1", "https://x/y?sig=***&n=1"),
        (f"before {KEY} after", "before *** after"),
        (f"cut {KEY[:60]}", "cut ***"),
        ("ghp_abcdefghijkl0123 sk-proj-abcdefghijkl", "*** ***"),
        ("Aa0Bb1Cc2Dd3Ee4Ff5Gg6Hh7Ii8Jj9Kk0", "***"),
        ("\x1b[31mred\x1b[0m \u202eturned\u200b", "red turned"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, left: str) -> None:
    """And the rest can still be read."""
    assert scrub(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "transactions:42 amount_positive: 312 of 20,000 rows break it",
        "models:/fraud/7 replaces version 6 (average precision 0.5088)",
        "No rows before 2026-03-01T00:00:00+00:00.",
        "Set OSTINATO_HOME to a folder that can: .ostinato/runs/20260301-120000-a1b2c3/logs/fit.0.log",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "The column 'amount' is missing. Did you mean 'Amount'?",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    """A message that hides everything helps nobody."""
    assert said(text, ours=True) == text


@pytest.mark.parametrize("write", [str, repr, json.dumps, quote_plus, lambda v: base64.b64encode(v.encode()).decode()])
@pytest.mark.parametrize("value", ["s3same, öffne dich!", 'a"b\\c/d', "K%y=1 &x", "short"])
def test_a_known_secret_is_hidden_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[str], str], value: str
) -> None:
    """In JSON, Python, a URL, a header."""
    monkeypatch.setenv("BANK_API_KEY", value)
    assert value not in hide(f"refused {write(value)} there")
    assert hide(f"refused {write(value)} there").startswith("refused ")
    assert "***" in hide(f"refused {write(value)} there")


def test_a_secret_that_a_step_looked_up_is_hidden_in_its_error() -> None:
    """Whatever it was called, and before the error is recorded; a cut leaves no part of it."""
    context = Context(Workspace.here(), "r1", "fit", resolve={"region": "swordfish"}.get)
    with running(context):
        value = context.secret("region")
        described = describe_error(ValueError(f"cannot open with {value}"))
        cut = describe_error(ValueError(f"{'x' * 3995}{value}"))
    assert described["message"] == "cannot open with ***"
    assert cut["message"].endswith("x***")


def test_secrets_of_a_dotenv_file_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked up there, too; a new value counts at once."""
    monkeypatch.chdir(tmp_path)
    for value in ("first-value", "second-value-here"):
        Path(".env").write_text(f"MY_TOKEN={value}\n")
        assert hide(f"x {value} y") == "x *** y"


# --- people's data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("could not convert string to float: 'Ada Lovelace'", "could not convert string to float: '…'"),
        ("can't read 'O'Brien' or \"Ada\"", "can't read '…' or \"…\""),
        ("Key (email)=(ada lovelace) already exists", "Key …=… already exists"),
        ("row (1, ('Ada', [2, 3]), null) is bad", "row … is bad"),
        ("cut off in 'Ada Lov", "cut off in '…"),
        ("born 1984-05-23 with card 4111 1111 1111 1111", "born … with card …"),
        ("iban DE89 3704 0044 0532 0130 00, tel. +49 170 1234567", "iban …, tel. …"),
        ("ada@bank.example has no account 12345", "… has no account …"),
        ("first line\nAda Lovelace", "first line"),
        ("int() takes 2 arguments, 3 given", "int() takes 2 arguments, 3 given"),
    ],
)
def test_what_others_say_loses_what_may_be_somebodys(text: str, left: str) -> None:
    """Libraries quote rows in their errors."""
    assert said(text, ours=False) == left


def test_what_we_say_keeps_its_quotes_and_loses_people() -> None:
    """Names of columns help; addresses, accounts and cards do not."""
    text = "'amount' of ada@bank.example is 4111-1111-1111-1111 on DE89370400440532013000; 123-45-6789 or 123456789"
    assert said(text, ours=True) == "'amount' of … is … on …; … or …"


@pytest.mark.parametrize("unit", ["a", "(", "'", "1 ", "a.b-", KEY[:31], "key=", "e@e", "password"])
def test_a_hostile_text_takes_no_time(unit: str) -> None:
    """A hundred thousand characters that almost match; the time-out of the suite would tell."""
    text = unit * (100_000 // len(unit))
    for ours in (True, False):
        assert len(said(text, ours=ours)) <= scrubbing.LONGEST + 100


# --- the corpus ---------------------------------------------------------------------------------------------------


def corpus(chance: random.Random) -> list[str]:
    """Secrets and personal data that may stand nowhere."""
    word = lambda n, letters=string.ascii_letters + string.digits: "".join(chance.choices(letters, k=n))  # noqa: E731
    digits = lambda n: word(n, string.digits)  # noqa: E731
    return [
        f"xoxb-{digits(11)}-{word(24)}",
        f"AKIA{word(16, string.ascii_uppercase + string.digits)}",
        f"eyJ{word(20)}.eyJ{word(30)}.{word(40)}",
        f"ghp_{word(36)}",
        f"{word(6).lower()}@{word(8).lower()}.example.com",
        f"DE{digits(2)} {digits(4)} {digits(4)} {digits(4)} {digits(4)} {digits(2)}",
        " ".join(digits(4) for _ in range(4)),
        f"+49 170 {digits(7)}",
        digits(12),
    ]


def templates(chance: random.Random, piece: str, secret: str, name: str) -> list[tuple[str, str]]:
    """Errors, by type and message, that quote them: ours, and those of libraries."""
    return [
        ("DataError", f"The row of {piece} is broken."),
        ("UsageError", f"No answer from https://user:{secret}@host/x?token={secret}"),
        ("ValueError", f"could not convert string to float: '{name}' ({piece})"),
        ("KeyError", repr(f"{name} {piece}")),
        (
            "sqlalchemy.exc.IntegrityError",
            f'Key (name)=({name}) exists: "{piece}"\n[parameters: ({name!r}, {secret!r})]',
        ),
        ("requests.exceptions.HTTPError", f"401 for Authorization: Bearer {secret} password={secret}"),
        ("duckdb.ConversionException", f'Could not convert string "{name}" to DOUBLE, {piece}\n{name}'),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_of_a_seeded_corpus_nothing_leaves(
    seed: int, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in a request, the file of alerts, the outbox or on stderr; by Slack, its webhook, the file, or refused."""
    chance = random.Random(seed)
    secret = "".join(chance.choices(string.ascii_letters + "!/+&<'\"", k=18)) + "Z9"
    name = f"{chance.choice(['Ada', 'Grace'])} {''.join(chance.choices(string.ascii_letters, k=9))}"
    pieces = corpus(chance)
    with slack_server() as slack:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("SLACK_API_URL", slack.url)
        monkeypatch.setenv("WAREHOUSE_PASSWORD", secret)
        token = f"xoxb-{seed}-{'t' * 20}"
        monkeypatch.setenv("SLACK_BOT_TOKEN", token)
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.webhook)
        cases = [case for piece in pieces for case in templates(chance, piece, secret, name)]
        for number, (kind, message) in enumerate(cases):
            tell_everything(f"s{seed}-{number}", kind, message, name, chance.choice(pieces), secret)
            monkeypatch.setenv("OSTINATO_ALERTS", chance.choice(["slack:#x", "slack", "file", "console", "odd"]))
            if chance.random() < 0.2:
                slack.answers = [no(f"odd {message}"), no("channel_not_found")]
            deliver(records(), Workspace.here(), seconds=5)
        heard = read_all(home, slack) + capfd.readouterr().err
    assert len(slack.requests) > len(cases) / 2
    for word in [*pieces, secret, *name.split()[1:], token, "geheimgeheim"]:
        for spelling in {word, json.dumps(word)[1:-1], word.replace(" ", ""), quote_plus(word)}:
            assert spelling not in heard, (spelling, heard[heard.index(spelling) - 300 : heard.index(spelling) + 100])


def tell_everything(run_id: str, kind: str, message: str, name: str, piece: str, secret: str) -> None:
    """A run that has secrets and people in all it has, and all that can be told of it."""
    error = {"type": kind, "message": message, "transient": False, "where": "x.py:1"}
    given = {"source": f"postgresql://ada:{secret}@db/bank", "customer": name, "account": piece}
    open_run(run_id, pipeline=run_id.replace("-", "_"), parameters=given, tags={"owner": f"risk {secret}"})
    fail_step(run_id, error=error, inputs={"customer": name}, log=f"/logs/{secret}/fit.log")
    succeed_step(run_id, "load", [validation(f"late: {piece}, {secret}"), {"rows": [name]}])
    alerts.failed(records(), run_id)
    close_run(run_id, error=error)
    alerts.ended(records(), run_id)
    alerts.resumed(records(), run_id)


def read_all(home: Path, slack: Slack) -> str:
    """All that has left, and all that is written down to leave."""
    connection = sqlite3.connect(home / "records.db")
    rows = [
        *connection.execute("SELECT * FROM ostinato_messages"),
        *connection.execute("SELECT * FROM ostinato_incidents"),
    ]
    connection.close()
    sent = [json.dumps(json.loads(request), ensure_ascii=False) for request in slack.requests]
    file = home / "alerts.jsonl"
    return "\n".join([*sent, file.read_text() if file.exists() else "", *map(str, rows)])


def test_reading_it_all_would_find_something(home: Path) -> None:
    """The corpus test looks where it should: what may be told is there."""
    with slack_server() as slack:
        tell_everything("r1", "DataError", "No rows.", "Ada", "x", "y")
        deliver(records(), Workspace.here(), seconds=5)
        heard = read_all(home, slack)
    assert heard.count("No rows.") >= 2
    assert sys.getdefaultencoding() == "utf-8"

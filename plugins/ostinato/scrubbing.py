"""What may not leave the house: secrets anywhere, and people's data in the messages of errors."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import unicodedata
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, quote_plus

LONGEST = 8000  # characters that are worth looking at; of a longer text the rest is left out
MASK = "***"
GAP = "…"  # where a value stood that may be somebody's

_NAMED = re.compile(r"TOKEN|SECRET|PASS(?!IVE)|_PWD|KEY|WEBHOOK|DSN|CREDENTIAL|^APPRISE_", re.IGNORECASE)
_TRIVIAL = frozenset("true false none null yes no on off auto default".split())
_resolved: set[str] = set()


def remember(value: str) -> None:
    """A secret was looked up here: from now on `hide` knows it, whatever it was called."""
    _resolved.add(value)


def is_secret(name: str) -> bool:
    """Whether a setting of that name holds a secret."""
    return _NAMED.search(name) is not None


def hide(text: str) -> str:
    """A text without the values of secrets: those looked up in this process, and those the environment names so."""
    known = _spellings(frozenset(_resolved) | _named_secrets())
    return known.sub(MASK, text) if known else text


def scrub(text: str) -> str:
    """A text that may leave: no secret that is known, nothing that looks like one, nothing that is invisible."""
    text = hide(_visible(hide(text)[:LONGEST]))
    for pattern, kept in _patterns():
        text = pattern.sub(kept, text)
    return text


def said(text: str, *, ours: bool) -> str:
    """An error's message as it may leave: its first lines, without secrets, addresses and numbers of people or cards.

    Args:
        ours: whether we wrote it. What others write may quote rows: of theirs the first line goes out, and nothing
            that stands in quotes or brackets, no date and no longer number.
    """
    text = scrub(text).strip()
    if ours:
        return _without(text, _PERSONAL)
    first = text.split("\n", 1)[0]
    return _without(first, [*_PERSONAL[:1], *_QUOTED, *_BRACKETS, *_PERSONAL[1:], *_NUMBERS])


def _without(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    for pattern in patterns:
        before = None
        while before != text:  # brackets within brackets
            before, text = text, pattern.sub(_gap, text)
    return re.sub(rf"{GAP}[{GAP} ,]*{GAP}", GAP, text)


def _gap(found: re.Match[str]) -> str:
    """A gap, in the quotes that were there."""
    kept = found.groupdict()
    return f"{kept.get('open') or ''}{GAP}{kept.get('close') or ''}"


_PERSONAL = [
    re.compile(r"[\w.+%'-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}"),  # an e-mail address
    re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,4})?\b", re.IGNORECASE),  # an IBAN
    # a card, and no run's id
    re.compile(r"(?<![\d.])(?!\d{8}-\d{6}-[0-9a-f]{6}\b)\d(?:[ .-]?\d){12,18}(?!\d)"),
    re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"),  # a social security number
    re.compile(r"\+\d[\d ()/-]{6,}\d"),  # a telephone
    re.compile(r"(?<![\d.])\d{9,}(?!\d*\.\d)"),  # an account
]
# An apostrophe opens and closes nothing; a quote or bracket that was cut off hides all that follows.
_QUOTED = [re.compile(rf"(?<![\w{GAP}])(?P<open>{mark}).+?(?:(?P<close>{mark})(?!\w)|$)") for mark in "'\"`"] + [
    re.compile(rf"(?P<open>[“‘«])[^{GAP}].*?(?:(?P<close>[”’»])|$)")
]
_BRACKETS = [re.compile(r"\([^()]+\)|\[[^\[\]]+\]|\{[^{}]+\}"), re.compile(r"[(\[{](?![)\]}]).+$")]
_NUMBERS = [re.compile(r"\d[\d .,:/-]{4,}\d"), re.compile(r"\d{5,}")]


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """What looks like a secret, and what is left of it."""
    word = r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|dsn|signature|sig|bearer|authorization|cookie"
    name = rf"[\w.-]{{0,40}}(?:{word}|(?:api|access|account|private|shared|signing|encryption)[_ -]?key)[\w-]{{0,40}}"
    value = r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,;&)\]}]+)"""
    return [
        (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
        (re.compile(r"(\w://)[^\s\"'<>]*@"), rf"\1{MASK}@"),
        (re.compile(r"https?://hooks\.[\w.-]+/[^\s\"'<>|]+", re.IGNORECASE), f"https://{MASK}"),
        (re.compile(r"\bx(?:ox[a-z]|app)-[\w.-]+", re.IGNORECASE), MASK),
        (re.compile(r"\b(?:Bearer|Basic|Negotiate)\s+[\w.~+/=-]{6,}", re.IGNORECASE), MASK),
        (re.compile(rf"(?i)({name}[\"']?\s*(?:=>|[=:]|\bis\b)\s*){value}"), rf"\1{MASK}"),
        (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}"), MASK),
        (re.compile(r"\beyJ[\w-]+(?:\.[\w-]*){0,2}"), MASK),
        (re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|hf_|AIza|dapi|npm_|pypi-|sk[-_]|rk_|SG\.)[\w.-]{12,}"), MASK),
        (re.compile(r"(?<![\w+])(?=[\w+=-]*\d)(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])[\w+=-]{32,}"), MASK),
    ]


def _visible(text: str) -> str:
    """Without colours, control characters, and characters that hide or turn around what is read."""
    text = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
    kept = (" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") and char != "\n" else char for char in text)
    return "".join(char for char in kept if unicodedata.category(char) not in ("Cf", "Cs", "Co"))


def _named_secrets() -> frozenset[str]:
    """Values of the environment, and of a `.env` file here, under names of secrets, and passwords within URLs."""
    found = {value for name, value in os.environ.items() if is_secret(name)}
    found |= {word for value in os.environ.values() for word in re.findall(r"\w://[^/\s:@]*:([^/\s@]+)@", value)}
    return frozenset(found | _dotenv())


def _dotenv() -> frozenset[str]:
    """Values of a `.env` file under names of secrets."""
    if not os.path.exists(".env"):
        return frozenset()
    changed = os.stat(".env")
    return _dotenv_of(os.path.abspath(".env"), changed.st_mtime_ns, changed.st_size)


@functools.lru_cache(maxsize=4)
def _dotenv_of(file: str, changed: int, size: int) -> frozenset[str]:
    from dotenv import dotenv_values

    return frozenset(value for name, value in dotenv_values(file).items() if value and is_secret(name))


@functools.lru_cache(maxsize=8)
def _spellings(values: frozenset[str]) -> re.Pattern[str] | None:
    """Every way a value may have been written down, the longest first; what is short counts as a whole word only."""
    found: set[str] = set()
    for value in values:
        # what has several lines, such as a private key, may be quoted line by line
        for part in {value, value.strip(), *(line.strip() for line in value.splitlines() if len(line.strip()) >= 8)}:
            if len(part) >= 4 and part.casefold() not in _TRIVIAL:
                found |= _written(part)
    if not found:
        return None
    longest_first = sorted(found, key=len, reverse=True)
    whole_word = r"(?<!\w){}(?!\w)"
    return re.compile(
        "|".join(re.escape(text) if len(text) >= 8 else whole_word.format(re.escape(text)) for text in longest_first)
    )


def _written(value: str) -> set[str]:
    """A value as it stands in JSON, Python, URLs, HTML and HTTP headers."""
    data = value.encode("utf-8", "surrogateescape")
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        escape(value),
        base64.b64encode(data).decode(),
    }

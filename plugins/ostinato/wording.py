"""What numbers and terms are called where people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .markup import finite, number

_NAMES = {
    "alerts": "alerts at that cost",
    "champion": "against the champion",
    "latency_ms": "milliseconds to score a row",
    "roc_auc": "ROC AUC",
    "size_mb": "megabytes of files",
    "cost_of_doing_nothing": "cost of doing nothing",
    "cost_saved_share": "share of the cost saved",
    "rows": "rows judged",
}
_RECALL, _CARDS = re.compile(r"recall_at_fpr_(\d[\d.e-]*)"), re.compile(r"card_precision_at_(\d+)")
_AT_MOST = ("alerts", "calibration_error", "cost", "latency_ms", "size_mb")
_SHARES = re.compile(rf"base_rate|{_RECALL.pattern}|{_CARDS.pattern}|.*_share")

GLOSSARY = {
    "Alert": "a row the model flags, to be looked at by a person",
    "Average precision": "how many of the alerts are right, averaged over all thresholds: 1 is perfect, and guessing "
    "reaches the base rate",
    "Base rate": "the share of rows that are positive",
    "Calibration": "whether of the rows given a probability of 20% about one in five is positive",
    "Candidate": "the model trained in this run",
    "Card precision": "of the cards that can be reviewed on a day, the most suspicious first, the share that was "
    "compromised",
    "Champion": "the version in place before this run, scored again on the same rows",
    "Digest": "a fingerprint of content: the same content gives the same digest",
    "Interval": "the range that chance alone explains, found by drawing the rows again many times (bootstrap)",
    "Ledger": "the list of all promotions; entries are added, never changed",
    "Margin": "by how much the candidate may be worse than the champion and still count as not worse",
    "Not enough data": "the check could not be answered from these rows, which never counts as passed",
    "Positive": "a row that is what the model looks for, such as a fraud",
    "Precision": "the share of alerts that are right",
    "Quarantine": "rows set aside before training because they break a rule",
    "Recall": "the share of the positives that are found",
    "ROC AUC": "the chance that a positive is ranked above another row",
    "Slice": "a part of the rows, such as one channel, judged by itself",
}


def metric(name: str) -> str:
    """A number's name in words: `card_precision_at_100` is "card precision at 100 a day"."""
    if found := _RECALL.fullmatch(name):
        return f"recall at {float(found[1]) * 100:g}% false alarms"
    if found := _CARDS.fullmatch(name):
        return f"card precision at {int(found[1]):,} a day"
    return _NAMES.get(name, name.replace("_", " "))


def quantity(name: str, value: Any) -> str:
    """A number as people read it: shares as percent."""
    found = finite(value)
    if found is None or isinstance(value, int):
        return number(value)
    if _SHARES.fullmatch(name):
        return percent(found)
    return f"{found:.3g}" if abs(found) < 1 else number(value)


def distance(name: str, one: float, other: float) -> str:
    """How far two numbers are from each other; shares in points of percent."""
    off = abs(one - other)
    return f"{off * 100:.3g} points" if _SHARES.fullmatch(name) else quantity(name, off)


def measured(check: Mapping[str, Any]) -> str:
    """What a check found: a number, or a difference with its interval."""
    value, low, high = (finite(check.get(name)) for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return quantity(str(check["name"]), check.get("value"))
    return f"{signed(value)} ({signed(low)} to {signed(high)})"


def demanded(check: Mapping[str, Any]) -> str:
    """What a check asks for: at least, or at most."""
    name, bound = str(check["name"]), finite(check.get("bound"))
    if bound is None:
        return quantity(name, check.get("bound"))
    least = "\N{LESS-THAN OR EQUAL TO}" if name in _AT_MOST else "\N{GREATER-THAN OR EQUAL TO}"
    return f"{least} {signed(bound) if 'low' in check or bound < 0 else quantity(name, bound)}"


def interval(one: Any) -> str | None:
    """From where to where a difference may lie by chance."""
    return None if one.low is None or one.high is None else f"{signed(one.low)} to {signed(one.high)}"


def signed(value: float) -> str:
    """A difference, with its sign."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share in percent, with two digits that count, or one decimal."""
    return f"{share:.1%}" if abs(share) >= 0.0995 or not share else f"{share * 100:.2g}%"


def capital(text: str) -> str:
    """A text that begins with a capital."""
    return text[:1].upper() + text[1:]


def day(moment: str) -> str:
    """A moment as people write it: `30 April 2026`, with the time of day (UTC) where it is not midnight."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    found = found.astimezone(UTC) if found.tzinfo else found
    at = f", {found:%H:%M}" if (found.hour, found.minute) != (0, 0) else ""
    return f"{found.day} {found:%B %Y}{at}"

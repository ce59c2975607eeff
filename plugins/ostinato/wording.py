"""What numbers and terms are called where people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .markup import finite, number, printable

_NAMES = {
    "alerts": "alerts at that cost",
    "champion": "against the champion",
    "cold_items_share": "interactions with cold items",
    "cold_users_share": "cold users",
    "cost_of_doing_nothing": "cost of doing nothing",
    "cost_saved_share": "share of the cost saved",
    "coverage": "coverage of the catalogue",
    "interactions": "interactions judged",
    "latency_ms": "milliseconds for one answer",
    "novelty": "novelty in bits",
    "roc_auc": "ROC AUC",
    "rows": "rows judged",
    "size_mb": "megabytes of files",
    "users": "users judged",
}
_RECALL = re.compile(r"recall_at_fpr_(\d+(?:\.\d+)?(?:e-?\d+)?)")
_CARDS = re.compile(r"card_precision_at_(\d{1,9})")
_AT_K = re.compile(r"(popularity_)?(ndcg|recall|precision|map)_at_(\d+)")
_LISTS = {"ndcg": "nDCG", "map": "MAP"}  # measures of a list of k, where small letters will not do
_AT_MOST = ("alerts", "calibration_error", "cost", "latency_ms", "size_mb")
_SHARES = re.compile(rf"base_rate|coverage|{_RECALL.pattern}|{_CARDS.pattern}|.*_share")


class Yardstick(NamedTuple):
    """By what a verdict judges: its first metric, that of a model without skill, and what is counted."""

    metric: str = "average_precision"
    baseline: str = "base_rate"
    units: str = "rows"

    @classmethod
    def of(cls, verdict: Mapping[str, Any] | None) -> Yardstick:
        """That of a verdict's facts; a verdict that does not say judges rows by average precision."""
        told = {name: (verdict or {}).get(name) for name in cls._fields}
        return cls(**{name: printable(value) for name, value in told.items() if value and isinstance(value, str)})

    @property
    def said(self) -> str:
        """The metric in words: "average precision"."""
        return metric(self.metric)

    @property
    def against(self) -> str:
        """What is reached without skill, in words: "the base rate"."""
        return _without_skill(self.baseline)[0]

    @property
    def rival(self) -> str:
        """The same as a name beside candidate and champion: "base rate"."""
        return self.against.removeprefix("the ")

    @property
    def beside(self) -> str:
        """The same beside a number of the candidate's: "by guessing"."""
        return _without_skill(self.baseline)[1]

    @property
    def unskilled(self) -> str:
        """What one does who has no model: "guessing"."""
        return _without_skill(self.baseline)[2]

    @property
    def events(self) -> str:
        """What the table that was judged on has a row of, in words."""
        return _EVENTS.get(self.units, "rows")


_EVENTS = {"users": "interactions"}


def _without_skill(baseline: str) -> tuple[str, str, str]:
    if baseline == "base_rate":
        return "the base rate", "by guessing", "guessing"
    if baseline.startswith("popularity"):
        return "popularity", "popularity", "showing everybody what is most popular"
    return metric(baseline), metric(baseline), metric(baseline)


def metric(name: str) -> str:
    """A number's name in words: `card_precision_at_100` is "card precision at 100 a day", `ndcg_at_10` "nDCG@10"."""
    if found := _RECALL.fullmatch(name):
        return f"recall at {float(found[1]) * 100:g}% false alarms"
    if found := _CARDS.fullmatch(name):
        return f"card precision at {int(found[1]):,} a day"
    if found := _AT_K.fullmatch(name):
        whose = "popularity's " if found[1] else ""
        return f"{whose}{_LISTS.get(found[2], found[2])}@{found[3]}"
    return _NAMES.get(name, name.replace("_", " "))


def named(check: Mapping[str, Any]) -> str:
    """A check's name in words; a comparison says in what, where the check does."""
    said = metric(str(check["name"]))
    return f"{metric(str(check['metric']))} {said}" if check["name"] == "champion" and check.get("metric") else said


def quantity(name: str, value: Any) -> str:
    """A number as people read it: shares as percent."""
    found = finite(value)
    if found is None or isinstance(value, int):
        return number(value)
    if _SHARES.fullmatch(name):
        return percent(found)
    if _AT_K.fullmatch(name) and (abs(found) >= 0.001 or not found):
        return f"{found:.3f}"  # they stand in columns
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
    """A text that begins with a capital, unless it is a name like nDCG."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def day(moment: str) -> str:
    """A moment as people write it: `30 April 2026`, with the time of day (UTC) where it is not midnight."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    found = found.astimezone(UTC) if found.tzinfo else found
    at = f", {found:%H:%M}" if (found.hour, found.minute) != (0, 0) else ""
    return f"{found.day} {found:%B %Y}{at}"

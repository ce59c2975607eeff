"""What tests of pages share: a parser as strict as a careful browser, and runs to make pages of."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

EVIL = "<script>alert('x')</script>\"'&"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a browser makes of it: elements in their order, attributes, text; each is closed where it should."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag in self.tags if re.fullmatch(r"h[1-6]", tag)]

    @property
    def ids(self) -> list[str]:
        return [str(value) for name, value in self.attributes if name == "id"]

    @property
    def references(self) -> set[str]:
        """The ids that something on the page refers to."""
        found: set[str] = set()
        for name, value in self.attributes:
            if name in ("aria-labelledby", "aria-describedby", "headers", "for"):
                found |= set(str(value).split())
            if name in ("href", "xlink:href") and str(value).startswith("#"):
                found.add(str(value)[1:])
            found |= set(re.findall(r"url\(#([^)]+)\)", str(value)))
        return found


def step(**values: Any) -> dict[str, Any]:
    made = {"name": "train", "state": "succeeded", "seconds": 1.5, "attempts": 1, "outputs": None}
    return {**made, "cpu_seconds": 1.25, "peak_bytes": 120_000_000, **values}


def run(**values: Any) -> dict[str, Any]:
    """An outcome; of a pipeline without a verdict, if nothing else is said."""
    made: dict[str, Any] = {
        "run_id": "20260301-000000-aaaaaa",
        "pipeline": "fraud",
        "engine": "local",
        "state": "succeeded",
        "as_of": "2026-03-01T00:00:00+00:00",
        "parameters": {"floor": 0.6},
        "steps": [step()],
        "metrics": {"auc": 0.71234567},
        "verdict": None,
        "model": None,
        "approval": None,
        "promotion": None,
        "deployment": None,
        "validations": [],
        "report": None,
        "started": 1.0,
        "seconds": 2.0,
        "tags": {"code": "git:1"},
        "error": None,
    }
    return {**made, **values}


CHECK = {"name": "floor", "value": 0.71234567, "bound": 0.6, "outcome": "pass"}


def verdict(*checks: dict[str, Any], **values: Any) -> dict[str, Any]:
    listed = list(checks or (CHECK,))
    passed = all(check["outcome"] == "pass" for check in listed)
    return {"passed": passed, "checks": listed, "metrics": {}, "model": "sha256:m", "data": "sha256:d", **values}


def version(number: str = "4", **facts: Any) -> dict[str, Any]:
    named = {"name": "fraud", "version": number, **facts}
    return {"kind": "Model", "uri": f"models:/fraud/{number}", "digest": "sha256:m", "facts": named}


def validation(**values: Any) -> dict[str, Any]:
    made = {
        "step": "validate",
        "subject": "payments",
        "outcome": "warned",
        "rows": 20_000,
        "quarantined": 100,
        "share": 0.005,
        "warnings": ["late: 3 rows break it", "few: found 2"],
        "counts": {"pass": 3, "fail": 2},
        "page": "file:///runs/validation.html",
    }
    return {**made, **values}


def approval(**values: Any) -> dict[str, Any]:
    return {"granted": True, "by": "ada", "why": "it is sound", **values}


def promotion(**values: Any) -> dict[str, Any]:
    made = {"promoted": True, "name": "fraud", "version": "4", "replaced": "3", "entry": 7, "kind": "promote"}
    return {**made, "who": "risk", "why": "not worse than version 3", **values}


def deployment(**values: Any) -> dict[str, Any]:
    made = {"deployed": True, "target": "bundle", "name": "fraud", "version": "4", "place": "/srv/fraud"}
    return {**made, "previous": "3", "why": "", **values}


def curve(falling: float) -> list[list[float]]:
    """A curve of precision and recall, as evidence has it."""
    return [[place / 50, round(max(0.01, 1 - (place / 50) ** falling), 6)] for place in range(1, 51)]


def one_slice(value: Any = "online", outcome: str = "pass", **values: Any) -> dict[str, Any]:
    made = {"column": "channel", "value": value, "rows": 2000, "positives": 20, "candidate": 0.61, "champion": 0.6}
    return {**made, "difference": 0.01, "low": -0.03, "high": 0.05, "outcome": outcome, **values}


def evidence(**values: Any) -> dict[str, Any]:
    """What a verdict's file has as evidence, against a champion."""
    bins = [{"predicted": place / 10, "observed": place / 11, "rows": 100} for place in range(10)]
    found = {
        "comparison": {"difference": 0.013, "low": -0.004, "high": 0.031, "bound": -0.01},
        "slice_margin": 0.05,
        "days": [{"day": "2026-02-09", "rows": 800, "positives": 3, "card_precision": 0.02}],
        "precision_recall": {"candidate": curve(3), "champion": curve(2)},
        "calibration": {"candidate": bins, "champion": bins[:5]},
        "slices": [
            one_slice(),
            one_slice("atm", "fail", difference=-0.08, low=-0.12, high=-0.04),
            one_slice("branch", "not-enough-data", rows=3, positives=0, **dict.fromkeys(UNKNOWN)),
        ],
    }
    return {**found, **values}


UNKNOWN = ("candidate", "champion", "difference", "low", "high")

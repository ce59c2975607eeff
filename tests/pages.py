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

# --- a recommender ------------------------------------------------------------------------------------------------

LISTS = {
    "users": 1840,
    "interactions": 12345,
    "ndcg_at_10": 0.21234,
    "recall_at_10": 0.1871,
    "precision_at_10": 0.0912,
    "map_at_10": 0.1203,
    "coverage": 0.4123,
    "novelty": 9.3145,
    "cold_users_share": 0.063,
    "cold_items_share": 0.021,
    "popularity_ndcg_at_10": 0.1512,
}
_OF_THE_MODEL = ("ndcg_at_10", "recall_at_10", "precision_at_10", "map_at_10", "coverage", "novelty")
_ACTIVITY = {"cold": 116, "1": 502, "2 to 8": 730, "9 to 31": 431, "32 to 214": 461}
_POPULARITY = {"most popular third": 1204, "middle third": 1310, "least popular third": 571}


def listed_slice(value: Any = "2 to 8", outcome: str = "pass", **values: Any) -> dict[str, Any]:
    """A part of a recommender's test."""
    made = {"column": "activity", "value": value, "rows": 500, "candidate": 0.2, "champion": 0.19, "baseline": 0.15}
    return {**made, "difference": 0.01, "low": -0.01, "high": 0.03, "outcome": outcome, **values}


def spread(steep: float, reached: float = 1.0) -> list[list[float]]:
    """A curve of concentration: of shares of the catalogue and of all recommendations."""
    return [[round(reached * place / 40, 4), round((place / 40) ** steep, 6)] for place in range(1, 41)]


def recommended(**values: Any) -> dict[str, Any]:
    """What a recommender's verdict has as evidence, against a champion."""
    parts = []
    for column, counts in (("activity", _ACTIVITY), ("popularity", _POPULARITY)):
        for place, (value, rows) in enumerate(counts.items()):
            score = 0.08 + 0.05 * place
            told = {"candidate": score, "champion": score - 0.012, "baseline": 0.09 + 0.02 * place}
            parts.append(listed_slice(value, column=column, rows=rows, **told))
    parts[0] |= {"outcome": "not-enough-data", "difference": None, "low": None, "high": None}
    found = {
        "comparison": {"difference": 0.0123, "low": 0.002, "high": 0.0226, "bound": -0.01},
        "slice_margin": 0.05,
        "slices": parts,
        "candidates": [
            {"name": "popularity", "score": 0.149, "trials": 1, "options": {}, "chosen": False},
            {"name": "als", "score": 0.1982, "trials": 6, "options": {"factors": 64, "alpha": 8.5}, "chosen": False},
            {
                "name": "ease",
                "score": None,
                "trials": 0,
                "options": {},
                "why": "5,000 items are above the cap of 4,000",
            },
            {"name": "item_knn", "score": 0.2071, "trials": 6, "options": {"neighbours": 100}, "chosen": True},
        ],
        "exposure": {
            "candidate": spread(0.4, 0.41),
            "champion": spread(0.35, 0.33),
            "popularity": [[0.002, 0.91], [0.004, 1]],
        },
        "shown": [
            {
                "history": 37,
                "recent": ["i00042", "i00311", 7],
                "recommended": [f"i{place:05}" for place in range(1, 11)],
                "found": ["i00003", "i00007"],
            },
            {"history": 1, "recent": ["i00042"], "recommended": ["i00001", "i00009"], "found": []},
            {"history": 0, "recent": [], "recommended": ["i00001"], "found": ["i00001"]},
        ],
        "catalogue": {"items": 5000, "new": 130},
    }
    return {**found, **values}


def lists_verdict(*checks: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The verdict of a recommender, against a champion if nothing else is said."""
    listed = checks or (
        {"name": "ndcg_at_10", "value": 0.21234, "bound": 0.1512, "lift_lower_bound": 0.051, "outcome": "pass"},
        {
            "name": "champion",
            "metric": "ndcg_at_10",
            "value": 0.0123,
            "low": 0.002,
            "high": 0.0226,
            "bound": -0.01,
            "outcome": "pass",
            "why": "nDCG@10 against version 3: +0.0123 (+0.0020 to +0.0226); surely not worse by 0.01",
        },
        {"name": "coverage", "value": 0.4123, "bound": 0.1, "outcome": "pass"},
        {"name": "latency_ms", "value": 1.8, "bound": 1000.0, "outcome": "pass"},
    )
    metrics = {name: round(LISTS[name] * 0.94, 5) for name in _OF_THE_MODEL}
    made = {
        "metric": "ndcg_at_10",
        "baseline": "popularity_ndcg_at_10",
        "units": "users",
        "metrics": LISTS,
        "champion": {"version": "3", "digest": "sha256:c", "metrics": metrics},
        "rows": {"count": 12480, "from": "2026-02-09T00:00:05", "until": "2026-02-15T23:59:57"},
        "mode": "noninferior",
        "outcome": "pass",
    }
    return verdict(*listed, **{**made, **values})


def recommending(**values: Any) -> dict[str, Any]:
    """A run of a recommender with all there can be."""
    window = {"from": "2025-11-01 00:05:08", "until": "2026-02-08 23:58:40"}
    trained = {"rows": 482533, "users": 9120, "items": 5000, "window": window, "data": "sha256:t"}
    trained |= {"estimator": "ostinato.recommenders.recommender:Recommender", "size": 2_400_000, "split": "temporal"}
    trained["candidates"] = recommended()["candidates"]
    judged, model = lists_verdict(), {**version(name="shop", **trained), "uri": "models:/shop/4"}
    made: dict[str, Any] = {
        "pipeline": "shop",
        "verdict": judged,
        "metrics": judged["metrics"],
        "model": model,
        "approval": approval(),
        "promotion": promotion(name="shop"),
        "deployment": deployment(name="shop", place="/srv/shop"),
        "validations": [validation(subject="clicks")],
        "steps": [step(name="split"), step(name="search", map_key="2", label="item_knn"), step(outputs=model)],
    }
    return run(**{**made, **values})

"""The report: a run as a page, self-contained, with everything from outside escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.report import decision, page, validated

EVIL = "<script>alert('x')</script>\"'&"
CHECK = {"name": "floor", "value": 0.71234567, "bound": 0.6, "outcome": "pass"}


def step(**values: Any) -> dict[str, Any]:
    made = {"name": "train", "state": "succeeded", "seconds": 1.5, "attempts": 1, "outputs": None}
    return {**made, "cpu_seconds": 1.25, "peak_bytes": 120_000_000, **values}


def run(**values: Any) -> dict[str, Any]:
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
        "validations": [],
        "report": None,
        "started": 1.0,
        "seconds": 2.0,
        "tags": {"code": "git:1"},
        "error": None,
    }
    return {**made, **values}


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


def verdict(*checks: dict[str, Any]) -> dict[str, Any]:
    return {"passed": all(check["outcome"] == "pass" for check in checks), "checks": list(checks), "metrics": {}}


class Page(HTMLParser):
    """What a browser makes of it: the elements, their attributes, the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_shows_the_decision_the_numbers_and_what_they_were_made_of() -> None:
    """All on one page that needs nothing else."""
    model = {"kind": "Model", "uri": "models:/fraud/7", "digest": "x", "facts": {"version": "7"}}
    shown = Page(page(run(verdict=verdict(CHECK), model=model)))
    for text in (
        "The candidate passed and is fraud version 7.",
        "auc0.7123",
        "floor0.7123",
        "0.6",
        "train",
        "120",
        "git:1",
    ):
        assert text in shown.text
    assert "2026-03-01T00:00:00+00:00" in shown.text
    assert not shown.open
    assert not {"script", "link", "img", "iframe"} & set(shown.tags)


@pytest.mark.parametrize(
    "values",
    [
        {"pipeline": EVIL},
        {"run_id": EVIL},
        {"state": EVIL},
        {"as_of": EVIL},
        {"parameters": {EVIL: 1}},
        {"parameters": {"source": EVIL}},
        {"parameters": {"columns": {EVIL: [EVIL]}}},
        {"metrics": {EVIL: 0.5}},
        {"validations": [validation(subject=EVIL)]},
        {"validations": [validation(outcome=EVIL)]},
        {"validations": [validation(warnings=[EVIL])]},
        {"metrics": {"auc": EVIL}},
        {"tags": {EVIL: EVIL}},
        {"steps": [step(name=EVIL)]},
        {"steps": [step(map_key=EVIL)]},
        {"steps": [step(state=EVIL)]},
        {"steps": [step(state="failed", error={"type": "DataError", "message": EVIL})]},
        {"steps": [step(state="failed", error={"type": EVIL, "message": "x"})]},
        {"steps": [step(name=EVIL, state="failed", error={"type": "DataError", "message": "x"})]},
        {"pipeline": EVIL, "error": {"type": "DataError", "message": "x"}},
        {"error": {"type": "DataError", "message": EVIL}},
        {"verdict": verdict({**CHECK, "name": EVIL, "value": EVIL, "bound": EVIL, "outcome": EVIL})},
        {"verdict": verdict(CHECK), "model": {"uri": f"models:/{EVIL}/7", "facts": {"version": "7"}}},
    ],
    ids=str,
)
def test_nothing_from_outside_becomes_html(values: dict[str, Any]) -> None:
    """Names, values and errors of strangers are shown as the text they are."""
    plain, evil = Page(page(run(validations=[validation()]))), Page(page(run(**values)))
    assert "<script" not in page(run(**values))
    assert "script" not in evil.tags
    assert "alert(" in evil.text
    assert not evil.open
    assert {name for name, _ in evil.attributes} <= {name for name, _ in plain.attributes}


@given(st.text(), st.text(), st.text())
def test_no_text_breaks_the_page(name: str, value: str, message: str) -> None:
    """Whatever a stranger's column, parameter or error holds."""
    failed = step(name=name, state="failed", error={"type": "DataError", "message": message})
    shown = Page(page(run(parameters={name: value}, metrics={name: 1.0}, steps=[failed], state="failed")))
    assert not shown.open
    assert set(shown.tags) <= set("html meta title style body h1 h2 p span b pre table tr th td".split())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "The run succeeded."),
        ({"state": "failed"}, "The run failed."),
        ({"state": "failed", "steps": [step(state="failed"), step()]}, "The run failed at train."),
        (
            {"state": "cancelled", "steps": [step(), step(name="fit", state="cancelled")]},
            "The run was cancelled at fit.",
        ),
        ({"state": "running"}, "The run is running."),
        ({"state": "waiting"}, "The run is waiting."),
        ({"verdict": verdict(CHECK)}, "The candidate passed."),
        (
            {
                "verdict": verdict(
                    CHECK, {**CHECK, "name": "auc", "outcome": "fail"}, {**CHECK, "outcome": "not-enough-data"}
                )
            },
            "The candidate was rejected: auc, floor.",
        ),
        ({"verdict": verdict(CHECK), "model": {"uri": "models:/m-1", "facts": {}}}, "The candidate passed."),
        (
            {"verdict": verdict(CHECK), "model": {"uri": "models:/fraud/7", "facts": {"version": "7"}}},
            "The candidate passed and is fraud version 7.",
        ),
        (
            {
                "verdict": verdict(CHECK),
                "model": {"uri": "models:/fraud/7", "facts": {"version": "7", "unchanged": True}},
            },
            "The candidate passed, and is no other than fraud version 7: unchanged.",
        ),
    ],
)
def test_a_decision_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    """What the run came to."""
    assert decision(run(**values)) == sentence


def test_what_went_wrong_is_shown_first() -> None:
    """By step, then of the run; nothing where nothing did."""
    failed = step(state="failed", error={"type": "KeyError", "message": "'x'"})
    text = Page(page(run(steps=[failed], state="failed", error={"type": "StepLost", "message": "killed"}))).text
    assert text.index("What went wrong") < text.index("KeyError: 'x'") < text.index("killed") < text.index("Steps")
    assert "What went wrong" not in page(run())


def test_a_mapped_steps_items_are_told_apart() -> None:
    """By their key; what never ran has no numbers."""
    pending = step(state="pending", seconds=None, cpu_seconds=None, peak_bytes=None, attempts=0)
    text = Page(page(run(steps=[step(map_key="3"), pending]))).text
    assert "train[3]" in text
    assert "trainpending–––0" in text


def test_each_table_that_was_checked_has_a_line_with_the_way_to_its_page() -> None:
    """What was set aside and what was warned of, before the metrics; nothing where nothing was checked."""
    html = page(run(validations=[validation(), validation(subject="refunds", outcome="passed", warnings=[])]))
    text = Page(html).text
    assert "paymentswarned20,000100 (0.50%)late: 3 rows break it; few: found 2all rules" in text
    assert "refundspassed20,000100 (0.50%)–all rules" in text
    assert text.index("Data") < text.index("payments") < text.index("Metrics")
    assert html.count('<a href="file:///runs/validation.html">') == 2
    assert "<h2>Data</h2>" not in page(run())


def test_a_hostile_place_of_a_page_stays_in_its_link() -> None:
    """As an attribute."""
    shown = Page(page(run(validations=[validation(page=f"file:///{EVIL}.html")])))
    assert ("href", f"file:///{EVIL}.html") in shown.attributes
    assert "script" not in shown.tags


def test_what_was_found_of_a_table_is_one_sentence() -> None:
    """For the terminal."""
    assert validated(validation()) == "warned: 3 pass, 2 fail; 100 of 20,000 rows (0.50%) quarantined"

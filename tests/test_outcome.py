"""The outcome: a run as one JSON object, the same for every view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from ostinato import Dataset, Metrics, Model, Verdict, each, pipeline, step, when
from ostinato.artifacts import Approval, Deployment, Promotion, Validation
from ostinato.outcome import label, outcome, references, title
from ostinato.records import Records, RunRecord


@step
def load() -> Dataset: ...  # type: ignore[empty-body]
@step
def fit(region: str) -> Model: ...  # type: ignore[empty-body]
@step
def measure(models: list[Model]) -> Metrics: ...  # type: ignore[empty-body]
@step
def judge(metrics: Metrics) -> Verdict: ...  # type: ignore[empty-body]
@step
def register(verdict: Verdict) -> Model: ...  # type: ignore[empty-body]


@pipeline
def fraud() -> None:
    load()
    verdict = judge(measure(each(fit, over=["eu", "us"])))
    with when(verdict.passed):
        register(verdict)


CONTENT = {"passed": True, "checks": [], "metrics": {"auc": 0.8, "cost": 3.0}, "model": "sha256:m", "data": "sha256:d"}
VERDICT = Verdict("file:///v", "sha256:v", CONTENT).to_json()
EARLY = Model("models:/m-1", "sha256:1").to_json()
LATE = Model("models:/fraud/7", "sha256:1", {"version": "7"}).to_json()
BAD = Dataset("file:///bad", "sha256:b", {"rows": 1}).to_json()
FOUND = Validation("file:///f", "sha256:f", {"outcome": "warned", "rows": 3, "quarantine": BAD}).to_json()
LEFT = Dataset("file:///left", "sha256:l", {"rows": 2, "validation": FOUND}).to_json()
METRICS = Metrics("file:///m", "sha256:m", {"values": {"auc": 0.7, "rows": 3}}).to_json()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(f"sqlite:///{tmp_path}/records.db")
    made.open_run(
        RunRecord("r1", "fraud", "local", "running", "2026-03-01T00:00:00+00:00", 1.0, None, {"floor": 0.6},
                  fraud.graph.to_json(), "m:fraud", {"code": "git:1"}, None, None)
    )  # fmt: skip
    yield made
    made.close()


def test_a_run_has_all_that_the_command_line_promises(records: Records) -> None:
    """Before anything ran there is no model and no verdict, and every step is pending."""
    found = outcome(records, "r1")
    promised = "run_id pipeline engine state as_of parameters steps metrics verdict model".split()
    assert list(found)[: len(promised)] == promised
    assert {"approval", "promotion", "deployment", "validations", "report"} <= set(found)
    assert (found["verdict"], found["model"], found["metrics"]) == (None, None, {})
    assert (found["approval"], found["promotion"], found["deployment"]) == (None, None, None)
    assert {one["state"] for one in found["steps"]} == {"pending"}
    assert found["as_of"] == "2026-03-01T00:00:00+00:00"
    json.dumps(found, allow_nan=False)


def test_a_run_is_found_by_the_beginning_of_its_id(records: Records) -> None:
    """As the records find it."""
    assert outcome(records, "r")["run_id"] == "r1"


def test_steps_stand_in_the_order_of_the_pipeline(records: Records) -> None:
    """Whatever order they ran in; items of a mapped step by number, not by text."""
    records.write_step("r1", "judge", state="succeeded", attempts=1, started=1.0, ended=2.0)
    for key in ("10", "9", "0"):
        records.write_step("r1", "fit", key, state="succeeded", attempts=1, started=float(key))
    records.write_step("r1", "load", state="skipped", started=9.0)
    shown = [(one["name"], one.get("map_key")) for one in outcome(records, "r1")["steps"]]
    assert shown == [
        ("load", None),
        ("fit", "0"),
        ("fit", "9"),
        ("fit", "10"),
        ("collect_fit", None),
        ("measure", None),
        ("judge", None),
        ("register", None),
    ]


# --- items ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "called"),
    [
        ("ease", "ease"),
        ("item_knn ü/ö [1]", "item_knn ü/ö [1]"),
        ("x" * 60, "x" * 60),
        (0, "0"),
        (-0.25, "-0.25"),
        (True, "true"),
        ("x" * 61, "place"),
        (10**60, "place"),
        ("", "place"),
        (" ease", "place"),
        ("two\nlines", "place"),
        ("back\u202ewards", "place"),
        ("\x1b[31mred", "place"),
        ("\ud800", "place"),
        (None, "place"),
        (["ease"], "place"),
        ({"model": "ease"}, "place"),
        ("https://ada:secret@host/x", "https://***@host/x"),
    ],
)
def test_an_item_is_called_what_it_is_where_that_is_short(item: Any, called: str) -> None:
    """Texts of one line that can be seen, numbers and truths; of all else its place is enough."""
    assert label(item, "place") == called


def test_no_item_is_called_by_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines keep the names of what they run, and show them to many."""
    monkeypatch.setenv("SHOP_TOKEN", "tiefgeheim-und-lang")
    assert label("tiefgeheim-und-lang", "0") == "***"


@given(st.text() | st.integers(-(2**63), 2**63) | st.floats() | st.booleans() | st.none() | st.lists(st.text()))
def test_whatever_an_item_is_its_name_fits_a_line(item: Any) -> None:
    """And is never empty."""
    found = label(item, "7")
    assert 0 < len(found) <= 60
    assert found.isprintable()
    assert found.strip() == found


def test_a_mapped_steps_items_are_called_what_they_are(records: Records) -> None:
    """By place until they have begun; two that are the same stay two."""
    for key, item in enumerate(["eu", "us", "us"]):
        records.write_step("r1", "fit", str(key), state="running", started=1.0, inputs={"region": item, "rate": "eu"})
    records.write_step("r1", "fit", "3", state="failed", started=1.0)
    records.write_step("r1", "load", state="running", started=1.0, inputs={"region": "eu"})
    steps = outcome(records, "r1")["steps"]
    assert [title(one) for one in steps][:5] == ["load", "fit[eu]", "fit[us]", "fit[us]", "fit[3]"]
    assert [(one["map_key"], one["label"]) for one in steps[1:4]] == [("0", "eu"), ("1", "us"), ("2", "us")]
    assert title({"name": "fit", "map_key": "3"}) == "fit[3]"


# --- what they left ---------------------------------------------------------------------------------------------------


def test_a_steps_cost_and_result_are_shown(records: Records) -> None:
    """Seconds to the millisecond."""
    values: dict[str, Any] = {"attempts": 2, "cpu_seconds": 0.12345, "peak_bytes": 1000, "output": EARLY}
    records.write_step("r1", "load", state="succeeded", started=1.0, ended=2.23456, **values)
    assert outcome(records, "r1")["steps"][0] == {
        "name": "load",
        "state": "succeeded",
        "seconds": 1.235,
        "attempts": 2,
        "outputs": EARLY,
        "cpu_seconds": 0.123,
        "peak_bytes": 1000,
    }


def test_an_error_is_shown_until_a_retry_cures_it(records: Records) -> None:
    """With the log that has more."""
    error = {"type": "DataError", "message": "no rows", "transient": False, "where": "x.py:1"}
    records.write_step("r1", "load", state="failed", error=error, log="load.log")
    shown = outcome(records, "r1")["steps"][0]
    assert (shown["error"], shown["log"]) == (error, "load.log")
    records.write_step("r1", "load", state="succeeded")
    assert "error" not in outcome(records, "r1")["steps"][0]


def test_metrics_are_all_there_are_with_the_verdicts_last(records: Records) -> None:
    """What was decided on wins over what was measured on the way."""
    records.write_step("r1", "measure", state="succeeded", output={"deep": [METRICS]})
    assert outcome(records, "r1")["metrics"] == {"auc": 0.7, "rows": 3}
    records.write_step("r1", "judge", state="succeeded", output=VERDICT)
    found = outcome(records, "r1")
    assert found["metrics"] == {"auc": 0.8, "rows": 3, "cost": 3.0}
    assert found["verdict"] == {**CONTENT, "digest": "sha256:v", "uri": "file:///v"}


def test_the_model_is_the_last_one_a_step_gave(records: Records) -> None:
    """The registered version, not the candidate."""
    records.write_step("r1", "fit", "0", state="succeeded", output=EARLY)
    assert outcome(records, "r1")["model"] == EARLY
    records.write_step("r1", "register", state="succeeded", output=LATE)
    assert outcome(records, "r1")["model"] == LATE


@pytest.mark.parametrize("kind", [Approval, Promotion, Deployment])
def test_what_was_said_of_the_release_is_the_last_word(
    kind: type[Approval | Promotion | Deployment], records: Records
) -> None:
    """The facts themselves, without a password that stood in one."""
    name = kind.__name__.lower()
    early = kind("file:///a", "sha256:a", {"why": "early"}).to_json()
    late = kind("file:///b", "sha256:b", {"why": "at https://ada:secret@host/x"}).to_json()
    records.write_step("r1", "load", state="succeeded", output=early)
    assert outcome(records, "r1")[name] == {"why": "early"}
    records.write_step("r1", "register", state="succeeded", output=[late])
    assert outcome(records, "r1")[name] == {"why": "at https://***@host/x"}


def test_references_within_references_are_found_in_order() -> None:
    """At any depth: a table, what was found of it, and the rows set aside."""
    assert references(LEFT) == [LEFT, FOUND, BAD]
    assert references({"a": [EARLY, {"b": LEFT}], "c": 3}) == [EARLY, LEFT, FOUND, BAD]
    assert references(None) == references("x") == references([1, {"kind": "Model"}]) == []


def test_what_was_found_of_each_table_is_shown_by_step(records: Records) -> None:
    """Of tables that went on, and of those that stopped the run by the error's evidence."""
    assert outcome(records, "r1")["validations"] == []
    records.write_step("r1", "load", state="succeeded", output=LEFT)
    error = {"type": "ValidationFailed", "message": "no", "transient": False, "evidence": FOUND}
    records.write_step("r1", "measure", state="failed", error=error)
    assert outcome(records, "r1")["validations"] == [
        {"step": "load", **FOUND["facts"]},
        {"step": "measure", **FOUND["facts"]},
    ]


def test_evidence_of_an_attempt_that_a_retry_cured_is_not_shown(records: Records) -> None:
    """Only the last word counts."""
    error = {"type": "ValidationFailed", "message": "no", "transient": False, "evidence": FOUND}
    records.write_step("r1", "load", state="failed", error=error)
    records.write_step("r1", "load", state="succeeded", output=LEFT)
    assert [one["step"] for one in outcome(records, "r1")["validations"]] == ["load"]
    records.write_step("r1", "load", state="succeeded", output=EARLY, error=error)
    assert outcome(records, "r1")["validations"] == []


def test_evidence_that_is_no_validation_is_none(records: Records) -> None:
    """Errors may show anything."""
    for evidence in (EARLY, {"a": 1}, None):
        records.write_step("r1", "load", state="failed", error={"type": "X", "message": "", "evidence": evidence})
        assert outcome(records, "r1")["validations"] == []

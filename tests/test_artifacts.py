"""Artifacts: small typed references; what they refer to is written whole, and its content has a digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato import Dataset, Metrics, Model, Report, Verdict
from ostinato.artifacts import Artifact, digest_of, is_reference, manifest_of
from ostinato.context import Context, running
from ostinato.errors import ContractError, DataError
from ostinato.workspace import Workspace, local_path

PASS = {"name": "floor", "value": 0.7, "bound": 0.6, "outcome": "pass"}
FAIL = {**PASS, "outcome": "fail"}
UNKNOWN = {**PASS, "outcome": "not-enough-data"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def judge(*checks: dict[str, Any]) -> Verdict:
    return Verdict.of(checks, {"auc": 0.7}, model="sha256:m", data="sha256:d")


@given(
    st.sampled_from([Dataset, Model, Metrics, Verdict, Report]), st.text(), st.text(), st.dictionaries(st.text(), JSON)
)
def test_a_reference_makes_the_trip_through_json(kind: type[Artifact], uri: str, digest: str, facts: Any) -> None:
    """Kind, place, digest and facts come back as they were."""
    artifact = kind(uri, digest, facts)
    written = json.loads(json.dumps(artifact.to_json()))
    assert Artifact.from_json(written) == artifact
    assert type(Artifact.from_json(written)) is kind


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    """A reference from a newer version, or a typing mistake."""
    with pytest.raises(ContractError, match=r"Unknown artifact kind 'Modle'. Did you mean 'Model'\?") as caught:
        Artifact.from_json({"kind": "Modle", "uri": "x", "digest": "y"})
    assert "'_" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, "models:/m-1", {"uri": "x"}, {"kind": "Model"}, []])
def test_what_is_no_reference_is_refused(value: Any) -> None:
    """With the beginning of what it is."""
    assert not is_reference(value)
    with pytest.raises(ContractError, match="not a reference"):
        Artifact.from_json(value)


def test_a_digest_is_of_content_not_of_order() -> None:
    """The order of keys says nothing; that of a list does."""
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
    assert digest_of({"a": 1}).startswith("sha256:")


@given(JSON, JSON)
def test_two_values_share_a_digest_only_where_they_are_the_same_json(first: Any, second: Any) -> None:
    """1, 1.0, "1" and true are four values."""
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (digest_of(first) == digest_of(second)) == same


def test_metrics_travel_with_the_reference_and_lie_in_the_file() -> None:
    """Nobody opens a file to compare two numbers."""
    metrics = Metrics.of({"auc": 0.7, "rows": 3})
    assert metrics.values == {"auc": 0.7, "rows": 3}
    assert metrics.read() == {"auc": 0.7, "rows": 3}
    assert Metrics.of({"rows": 3, "auc": 0.7}, "again").digest == metrics.digest


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32(0.5), object()])
def test_a_metric_that_is_not_json_is_refused_and_leaves_no_file(value: Any, home: Path) -> None:
    """NaN would be unreadable elsewhere."""
    with pytest.raises(ContractError, match="the Metrics 'metrics' is not JSON"):
        Metrics.of({"auc": value})
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_verdict_passes_only_if_every_check_does() -> None:
    """Too little data is no pass."""
    assert judge(PASS, PASS).passed
    assert not judge(PASS, FAIL).passed
    assert not judge(UNKNOWN).passed
    assert judge(PASS).metrics == {"auc": 0.7}
    assert judge(PASS).checks == [PASS]


def test_a_verdict_without_a_check_is_refused() -> None:
    """It would pass anything."""
    with pytest.raises(ContractError, match="a verdict without a check would pass anything"):
        judge()


def test_a_verdict_is_about_one_model_and_one_set_of_rows() -> None:
    """Judged on other rows, it is another verdict."""
    first = Verdict.of([PASS], {}, model="sha256:m", data="sha256:d")
    second = Verdict.of([PASS], {}, model="sha256:m", data="sha256:e", name="other")
    assert first.digest != second.digest
    assert first.facts["model"] == "sha256:m"
    assert first.read() == first.facts


@pytest.mark.parametrize(
    ("outcomes", "comes_to"),
    [
        (["pass", "pass"], "pass"),
        (["pass", "not-enough-data"], "not-enough-data"),
        (["not-enough-data", "fail"], "fail"),
        (["fail", "not-enough-data", "unchanged"], "unchanged"),
    ],
)
def test_the_gravest_outcome_is_the_verdicts(outcomes: list[str], comes_to: str) -> None:
    """Only "pass" passes; what does not decide is only told."""
    checks = [{**PASS, "outcome": outcome} for outcome in outcomes]
    verdict = judge(*checks, {**PASS, "outcome": "fail", "decisive": False})
    assert (verdict.outcome, verdict.passed) == (comes_to, comes_to == "pass")


def test_checks_that_decide_nothing_are_no_verdict() -> None:
    """Nor is one whose outcome nobody knows."""
    with pytest.raises(ContractError, match="a verdict without a check would pass anything"):
        judge({**PASS, "decisive": False})
    with pytest.raises(ContractError, match=r"a check's outcome is one of .*: not 'passed'"):
        judge({**PASS, "outcome": "passed"})


def test_what_varies_from_run_to_run_is_told_and_is_no_other_verdict() -> None:
    """The outcome of such a check still counts."""

    def timed(value: float, outcome: str = "pass") -> Verdict:
        check = {"name": "latency", "value": value, "why": f"{value} ms", "outcome": outcome}
        return Verdict.of([PASS, check], {}, model="sha256:m", data="sha256:d", varying=["latency"])

    assert timed(1.0).digest == timed(2.0).digest != timed(2.0, "fail").digest
    assert timed(2.0).checks[1]["value"] == timed(2.0).read()["checks"][1]["value"] == 2.0


def test_of_a_group_of_checks_only_what_did_not_pass_travels_as_far_as_there_is_room() -> None:
    """Those that failed come first; the file has all of them, and what they were made of."""
    group = [
        {**PASS, "name": f"slice {number}", "group": "slices", "outcome": outcome, "why": "because " * 100}
        for number, outcome in enumerate(["pass", "not-enough-data", "fail"] * 30)
    ]
    verdict = Verdict.of([PASS, *group], {}, model="sha256:m", data="sha256:d", evidence={"points": [1] * 9999})
    assert len(json.dumps(verdict.to_json())) < 6000
    assert verdict.facts["counts"] == {"slices": {"fail": 30, "not-enough-data": 30, "pass": 30}}
    assert verdict.checks[0] == PASS
    assert {check["outcome"] for check in verdict.checks[1:]} == {"fail"}
    assert len(verdict.checks) > 5
    assert len(verdict.read()["checks"]) == 91
    assert len(verdict.read()["evidence"]["points"]) == 9999
    assert "evidence" not in verdict.facts


def test_a_manifest_says_who_made_it(home: Path) -> None:
    """Run, pipeline and step stand beside the data."""
    with running(Context(Workspace(str(home)), run_id="r1", step="judge", pipeline="fraud")):
        metrics = Metrics.of({"auc": 0.7})
    assert metrics.manifest() == {
        "kind": "Metrics",
        "digest": metrics.digest,
        "facts": {"values": {"auc": 0.7}},
        "producer": {"run": "r1", "pipeline": "fraud", "step": "judge"},
    }
    assert local_path(metrics.uri).parent == home / "runs" / "r1" / "judge"


def test_what_is_gone_is_said_to_be_gone() -> None:
    """With its place; not as a traceback of the file system."""
    metrics = Metrics.of({"auc": 0.7})
    local_path(metrics.uri).unlink()
    with pytest.raises(DataError, match=r"metrics\.json is gone"):
        metrics.read()
    Path(manifest_of(str(local_path(metrics.uri)))).unlink()
    with pytest.raises(DataError, match=r"metrics\.json is gone, or was never finished: it has no manifest"):
        metrics.manifest()


def test_a_report_is_a_page_with_the_digest_of_its_text() -> None:
    """The same page has the same digest wherever it lies."""
    page = "<p>größer</p>"
    report = Report.of(page)
    assert local_path(report.uri).read_text(encoding="utf-8") == page
    assert Report.of(page, "other").digest == report.digest
    assert Report.of(page + " ", "third").digest != report.digest


def test_an_artifact_cannot_be_changed() -> None:
    """A reference is what was recorded."""
    with pytest.raises(AttributeError):
        Metrics.of({"auc": 0.7}).digest = "sha256:0"  # type: ignore[misc]


def test_a_models_features_are_known_without_loading_it() -> None:
    """They travel with the reference, in the order of training."""
    assert Model("models:/m-1", "sha256:1", {"features": ["b", "a"]}).features == ["b", "a"]
    assert Model("models:/m-1", "sha256:1").features == []

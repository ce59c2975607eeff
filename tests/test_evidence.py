"""Evidence: what a verdict was judged on, read from its file, whatever that looks like."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.evidence import Bin, Catalogue, Day, Evidence, Shown, Tried, evidence_of
from pages import evidence, listed_slice, lists_verdict, one_slice, recommended, run, verdict

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=8,
)


def of(file: Path, **values: Any) -> Evidence:
    return evidence_of(run(verdict=verdict(uri=file.as_uri(), digest="sha256:v", **values)))


def test_it_is_read_from_the_verdicts_file(tmp_path: Path) -> None:
    """Curves and bins by model, slices in their order."""
    file = tmp_path / "verdict.json"
    file.write_text(json.dumps({"passed": True, "evidence": evidence()}))
    found = of(file, metrics={"base_rate": 0.01})
    assert list(found.precision_recall) == list(found.calibration) == ["candidate", "champion"]
    assert found.precision_recall["champion"][49] == (1.0, 0.01)
    assert found.calibration["candidate"][1] == Bin(0.1, 1 / 11, 100.0)
    assert [one.name for one in found.slices] == ["channel = online", "channel = atm", "channel = branch"]
    assert found.base_rate == 0.01


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '"x"', "{}", '{"evidence": 3}', '{"evidence": [1]}', "\x00"])
def test_a_file_that_is_gone_or_broken_is_no_evidence(content: str | None, tmp_path: Path) -> None:
    """And no error: the page goes without plots."""
    file = tmp_path / "verdict.json"
    if content is not None:
        file.write_text(content)
    assert of(file) == Evidence()


def test_a_file_that_is_no_text_is_no_evidence(tmp_path: Path) -> None:
    """Bytes of something else; a folder."""
    file = tmp_path / "verdict.json"
    file.write_bytes(b"\xff\xfe\x00")
    assert of(file) == of(tmp_path) == Evidence()


@pytest.mark.parametrize("found", [None, verdict(), verdict(uri=None), verdict(uri="nowhere://x", digest="d")], ids=str)
def test_a_run_without_a_verdict_or_an_older_one_has_none(found: dict[str, Any] | None) -> None:
    """Nothing is opened."""
    assert evidence_of(run(verdict=found)) == Evidence()


def test_slices_are_called_as_people_call_them() -> None:
    """A value is equal to something; a range is above or up to it."""
    values = ("up to 12.44", "above 12.44, up to 20", "12", 7, "2 to 8", "off to 8")
    names = [one.name for one in Evidence.of({"slices": [{"column": "amount", "value": one} for one in values]}).slices]
    assert names == [
        "amount up to 12.44",
        "amount above 12.44, up to 20",
        "amount = 12",
        "amount = 7",
        "amount 2 to 8",
        "amount = off to 8",
    ]


def test_slices_of_rows_belong_together_and_others_by_what_they_are_parts_of() -> None:
    """Users by their activity are another matter than users by what they like; a label says no more than it must."""
    rows = Evidence.of({"slices": [one_slice("a"), one_slice("b", column="x")]}).groups
    assert [(one.column, [one.label(part) for part in one.slices]) for one in rows] == [("", ["channel = a", "x = b"])]
    parts = [listed_slice("cold"), listed_slice("most popular third", column="popularity"), listed_slice("1 to 9")]
    users = Evidence.of({"slices": parts}, {"units": "users"}).groups
    assert [(one.column, [one.label(part) for part in one.slices]) for one in users] == [
        ("activity", ["cold", "1 to 9"]),
        ("popularity", ["most popular third"]),
    ]
    assert Evidence.of({}).groups == Evidence.of({}, {"units": "users"}).groups == []


def test_what_a_recommender_was_judged_on_is_read_too() -> None:
    """Candidates from the best to those not tried, curves of exposure, examples, the size of the catalogue."""
    found = Evidence.of(recommended(), lists_verdict())
    assert [one.name for one in found.candidates] == ["item_knn", "als", "popularity", "ease"]
    assert found.candidates[1] == Tried("als", 0.1982, 6.0, "factors 64, alpha 8.5", False, "")
    assert found.candidates[3].why == "5,000 items are above the cap of 4,000"
    assert list(found.exposure) == ["candidate", "champion", "popularity"]
    assert found.exposure["popularity"] == [(0.002, 0.91), (0.004, 1.0)]
    assert found.shown[0] == Shown(
        37.0, ["i00042", "i00311", "7"], [f"i{place:05}" for place in range(1, 11)], ["i00003", "i00007"]
    )
    assert found.catalogue == Catalogue(5000.0, 130.0)
    assert (found.slices[0].baseline, found.slices[0].positives) == (0.09, None)
    assert found.yardstick.said == "nDCG@10"
    assert found.names >= {"candidates", "exposure", "shown", "catalogue", "activity", "popularity"}
    assert "calibration" not in found.names


def test_parts_that_are_not_as_they_should_be_are_left_out() -> None:
    """The others are still shown."""
    broken = evidence(
        precision_recall={"candidate": [[0.1, 0.9], [0.2], "x", [math.nan, 1], [True, 1]], "other": [[0, 1]]},
        calibration={"candidate": [{"predicted": 0.1}, {"predicted": 0.2, "observed": 0.3}, 7]},
        days=["x", {"rows": 3}, {"day": 7, "rows": "x"}],
        slices=[3, {"value": "x"}, {"column": "c", "value": {"a": 1}, "rows": "many", "outcome": None}],
    )
    found = Evidence.of(broken)
    assert found.precision_recall == {"candidate": [(0.1, 0.9)]}
    assert found.calibration == {"candidate": [Bin(0.2, 0.3, None)]}
    assert found.days == [Day("7", None, None, None)]
    assert [(one.name, one.rows, one.outcome) for one in found.slices] == [('c = {"a": 1}', None, "")]


def test_parts_of_a_recommender_that_are_not_as_they_should_be_are_left_out() -> None:
    """A candidate without a name, a point that is no share, a user who would be shown nothing, found but not shown."""
    broken = {
        "candidates": [{"score": 1}, 7, {"name": 3, "score": "x", "options": [1], "chosen": "yes", "why": None}],
        "exposure": {"candidate": [[0, 0], [0.5, 1.5], [-1, 0], [math.nan, 1]], "champion": "x", "other": [[0, 1]]},
        "shown": [{}, 3, {"recommended": []}, {"recommended": [1, None], "found": ["1", "9"], "recent": "x"}],
        "catalogue": {"items": "many", "new": 3},
    }
    found = Evidence.of(broken, {"units": "users"})
    assert found.candidates == [Tried("3", None, None, "", False, "")]
    assert found.exposure == {"candidate": [(0.0, 0.0)]}
    assert found.shown == [Shown(None, [], ["1", "–"], ["1"])]
    assert found.catalogue is None


@given(JSON, JSON, JSON)
def test_no_json_is_too_strange(one: Any, two: Any, three: Any) -> None:
    """Whatever stands in a file."""
    for given_ in (
        one,
        evidence(precision_recall=two, calibration=three, slices=one),
        {"slices": [two, {"column": one}], "slice_margin": three, "comparison": two},
        recommended(candidates=one, exposure=two, shown=three, catalogue=one),
        {
            "candidates": [{"name": one, "options": two}],
            "exposure": {"popularity": one},
            "shown": [{"recommended": [one], "found": two}],
        },
    ):
        found = Evidence.of(given_, {"metrics": two, "metric": one, "baseline": two, "units": three})
        assert found.names
        assert sum(len(group.slices) for group in found.groups) == len(found.slices)

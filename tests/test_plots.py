"""Plots: the evidence as pictures, with a text for those who do not see them, and the same bytes every time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.evidence import Comparison, Evidence
from ostinato.plots import MOST_GROUPS, MOST_SLICES, Plot, plots, png, svg
from pages import EVIL, UNKNOWN, Page, evidence, listed_slice, lists_verdict, one_slice, recommended


def of(**values: Any) -> Evidence:
    return Evidence.of(evidence(**values), {"metrics": {"base_rate": 0.01}})


def lists(**values: Any) -> Evidence:
    return Evidence.of(recommended(**values), lists_verdict())


def plot(name: str, found: Evidence) -> Plot:
    return next(one for one in plots(found) if one.name == name)


def texts(drawn: str) -> list[str]:
    """What is written in a picture, title and description first."""
    return [part.text or "" for part in ElementTree.fromstring(drawn).iter() if part.tag in ("title", "desc", "text")]


def test_there_is_a_plot_for_what_there_is() -> None:
    """And none for what is missing; nothing at all of a verdict without evidence."""
    assert [one.name for one in plots(of())] == ["comparison", "precision-recall", "calibration", "slices"]
    assert [one.name for one in plots(of(comparison=None, slices=[]))] == ["precision-recall", "calibration"]
    assert plots(Evidence()) == []
    assert plots(Evidence.of({"slices": [one_slice(**dict.fromkeys(UNKNOWN))]})) == []


def test_a_recommender_has_plots_of_its_own() -> None:
    """For each column that parts it: quality, and the difference to the champion; exposure; candidates."""
    names = ["comparison", "quality", "quality-2", "exposure", "slices", "slices-2", "candidates"]
    assert [one.name for one in plots(lists())] == names
    assert [one.title for one in plots(lists())] == [
        "Against the champion",
        "Quality by activity",
        "Quality by popularity",
        "Exposure of the catalogue",
        "Difference by activity",
        "Difference by popularity",
        "Candidates on the validation part",
    ]
    bare = lists(comparison=None, slices=[], exposure=None, candidates=[{"name": "ease", "score": None}])
    assert plots(bare) == []
    many = lists(slices=[listed_slice(column=f"c{place}") for place in range(9)])
    assert sum(one.name.startswith("quality") for one in plots(many)) == MOST_GROUPS


def test_every_picture_has_a_title_and_a_description_with_the_main_numbers() -> None:
    """For those who cannot see it: what a picture shows, in words."""
    found = of()
    said = {one.name: texts(svg(one))[:2] for one in plots(found)}
    assert said["precision-recall"] == [
        "Precision and recall",
        "Of the alerts that find half of the positives, so many are right: candidate 87.5%, champion 75.0%. "
        "By guessing it would be 1%.",
    ]
    assert said["calibration"][1] == (
        "Furthest from what it says: candidate, where it says 90.0% and 81.8% are positive; "
        "champion, where it says 40.0% and 36.4% are positive."
    )
    assert said["slices"][1] == (
        "Average precision, candidate minus champion in 2 slices: from −0.080 (channel = atm) "
        "to +0.010 (channel = online). Failed: channel = atm."
    )
    assert said["comparison"][1] == (
        "Average precision of the candidate minus that of the champion: +0.013, interval −0.004 to +0.031. "
        "Its lower end must reach −0.010."
    )


def test_pictures_of_a_recommender_are_described_in_its_own_words() -> None:
    """By its metric, against the most popular items."""
    said = {one.name: one.says for one in plots(lists())}
    assert said["comparison"] == (
        "nDCG@10 of the candidate minus that of the champion: +0.012, interval +0.002 to +0.023. "
        "Its lower end must reach −0.010."
    )
    assert said["quality-2"] == (
        "nDCG@10 by popularity: most popular third candidate 0.080, champion 0.068, popularity 0.090; "
        "middle third candidate 0.130, champion 0.118, popularity 0.110; "
        "least popular third candidate 0.180, champion 0.168, popularity 0.130."
    )
    assert said["slices"].startswith("nDCG@10, candidate minus champion in 4 slices: from +0.010 (activity = 1)")
    assert said["exposure"] == (
        "Of all recommendations, so many fall on the tenth of the catalogue shown most: "
        "candidate 56.9%, champion 65.8%, popularity 100.0%."
    )
    assert said["candidates"] == (
        "nDCG@10 on the validation part: item_knn 0.207, chosen; als 0.198; popularity 0.149. Not tried: ease."
    )
    assert "took in the training data" in plot("quality", lists()).hint


def test_a_first_recommender_is_held_against_popularity() -> None:
    """Without a champion nothing speaks of one."""
    parts = [listed_slice(champion=None), listed_slice("cold", champion=None, difference=0.4)]
    found = lists(comparison=None, slices=parts, exposure={"candidate": [[0.1, 0.5]], "popularity": [[0.01, 1]]})
    assert not any("champion" in text for one in plots(found) for text in texts(svg(one)))
    assert "nDCG@10, candidate minus popularity" in texts(svg(plot("slices", found)))
    assert "popularity" in texts(svg(plot("quality", found)))


def test_models_of_a_recommender_are_told_apart_without_colour() -> None:
    """Each has a marker of its own; on curves a line of its own; of the bars only the chosen one is filled."""
    drawn = ElementTree.fromstring(svg(plot("quality", lists())))
    shapes = {part.get("id"): re.sub(r"[^A-Z]", "", str(part.get("d"))) for part in drawn.iter("path")}
    used = [str(part.get("href"))[1:] for part in drawn.iter("use")]
    markers = [shape for name, shape in shapes.items() if name and used.count(name) == 6]  # five, and the legend
    assert len(set(markers)) == len(markers) == 3
    lines = svg(plot("exposure", lists()))
    dashes = {
        part.get("style") for part in ElementTree.fromstring(lines).iter("path") if "dasharray" in str(part.attrib)
    }
    assert len({str(style).partition("stroke-dasharray")[2] for style in dashes}) >= 2
    bars = svg(plot("candidates", lists()))
    assert bars.count("fill: #0b5cad") == 1
    assert "0.207 chosen" in texts(bars)


def test_a_curve_of_exposure_runs_from_nothing_to_all() -> None:
    """Also where it was given in part; between two points it is a line."""
    found = lists(exposure={"candidate": [[0.2, 0.6], [0.05, 0.4]]})
    assert "candidate 46.7%" in plot("exposure", found).says
    assert "candidate 10.0%" in plot("exposure", lists(exposure={"candidate": [[1, 1]]})).says


def test_a_first_model_is_drawn_alone() -> None:
    """Without a champion there is one line, and slices are held against the base rate."""
    found = of(
        comparison=None,
        precision_recall={"candidate": [[0.5, 0.9]]},
        calibration={"candidate": [{"predicted": 0.0, "observed": 0.0}]},
        slices=[one_slice(champion=None), one_slice("atm", champion=None, difference=0.4)],
    )
    assert not any("champion" in text for one in plots(found) for text in texts(svg(one)))
    assert (
        "minus base rate in 2 slices: from +0.010 (channel = online) to +0.400 (channel = atm)"
        in plot("slices", found).says
    )


def test_what_is_demanded_is_drawn_as_a_line() -> None:
    """For slices only where it is not nought."""
    found = of()
    assert found.comparison == Comparison(0.013, -0.004, 0.031, -0.01)
    assert "at least −0.010" in texts(svg(plot("comparison", found)))
    assert "at least −0.050" in texts(svg(plot("slices", found)))
    alone = of(comparison=None, slices=[one_slice(champion=None)])
    assert alone.comparison is None
    assert not [text for text in texts(svg(plot("slices", alone))) if text.startswith("at least")]


def test_candidate_and_champion_are_told_apart_without_colour() -> None:
    """By the dashes of the line and by the marker."""
    drawn = svg(plot("calibration", of()))
    assert drawn.count("stroke-dasharray") >= 4  # the champion and the diagonal, drawn and in the legend
    markers = {part.get("id") for part in ElementTree.fromstring(drawn).iter("path") if part.get("id")}
    used = {part.get("href") for part in ElementTree.fromstring(drawn).iter("use")}
    assert used == {f"#{name}" for name in markers}


def test_the_same_evidence_gives_the_same_bytes_in_any_process() -> None:
    """Whatever else the process has drawn, and whatever a user has set."""
    ours = [svg(one) for one in plots(of())]
    code = (
        "import matplotlib; matplotlib.rcParams.update({'font.size': 30, 'svg.fonttype': 'path'});"
        "from pages import evidence; from ostinato.evidence import Evidence; from ostinato.plots import plots, svg;"
        "print(*[svg(one) for one in plots(Evidence.of(evidence(), {'metrics': {'base_rate': 0.01}}))], sep='\\n')"
    )
    path = {**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path, check=True).stdout
    assert theirs.splitlines() == ours
    assert [svg(one) for one in plots(of())] == ours


def test_drawing_leaves_the_settings_as_they_were() -> None:
    """matplotlib's settings belong to the process, and pyplot is never loaded."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    svg(plots(of())[0])
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys; from pages import evidence; from ostinato.evidence import Evidence;"
        "from ostinato.plots import plots, svg; [svg(one) for one in plots(Evidence.of(evidence()))];"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, check=True)


def test_pictures_on_one_page_share_no_id_and_refer_to_nothing_else() -> None:
    """Each one's ids begin with its name."""
    page = Page("".join(svg(one) for one in plots(of())))
    assert not page.open
    assert len(page.ids) == len(set(page.ids)) > 6
    assert page.references <= set(page.ids)
    assert {name.partition("-")[0] for name in page.ids} == {"comparison", "precision", "calibration", "slices"}
    lists_page = Page("".join(svg(one) for one in plots(lists())))
    assert len(lists_page.ids) == len(set(lists_page.ids)) > 6
    assert lists_page.references <= set(lists_page.ids)


def test_a_picture_needs_nothing_from_outside() -> None:
    """No addresses, no fonts but the reader's, no style that would be the page's, text as text."""
    for one in [*plots(of()), *plots(lists())]:
        drawn = svg(one)
        assert "http" not in drawn
        assert "<style" not in drawn
        assert "system-ui" in drawn
        assert "DejaVu" not in drawn
        assert len(drawn) < 40_000
    assert "channel = online" in texts(svg(plot("slices", of())))


STRANGE = [EVIL, "$\\x$", "$1$", "a\x00b\x1b", "\ud800", "汉字 ✓", "]]>", "&amp;", "-->", "x" * 5000, "", "a\nb"]


@pytest.mark.parametrize("value", STRANGE, ids=range(len(STRANGE)))
def test_a_strangers_value_is_a_text_in_the_picture(value: str) -> None:
    """Never markup, never a formula, never a reason to fail; long ones are cut."""
    drawn = svg(plot("slices", of(slices=[one_slice(value, "fail")])))
    page = Page(drawn)
    assert set(page.tags) <= {"svg", "title", "desc", "g", "path", "defs", "use", "text", "tspan", "clippath", "rect"}
    assert not page.open
    label = next(text for text in texts(drawn) if text.startswith("channel = "))
    assert len(label) <= 22 or label in texts(drawn)[:2]


def test_a_strangers_candidates_and_columns_are_texts_in_the_picture() -> None:
    """A recommender's, too: names of candidates, columns, values, the metric itself."""
    tried = [{"name": value, "score": 0.1, "options": {value: value}} for value in STRANGE]
    parts = [listed_slice(value, column=column) for column in (EVIL, "$\\x$", "\ud800", "") for value in STRANGE]
    found = Evidence.of(recommended(candidates=tried, slices=parts), {"metric": EVIL, "baseline": EVIL, "units": EVIL})
    for one in plots(found):
        page = Page(svg(one))
        assert not page.open
        assert "script" not in page.tags
    assert png(plot("quality", found)).startswith(b"\x89PNG")


@given(value=st.text(max_size=30), number=st.floats(-1, 1))
@settings(max_examples=15)
def test_any_text_and_number_can_be_drawn(value: str, number: float) -> None:
    """As a picture that is well-formed XML, and as PNG."""
    found = of(slices=[one_slice(value, difference=number, low=number - 1e-9, high=number + 1)])
    ElementTree.fromstring(svg(plot("slices", found)))
    tried = [{"name": value, "score": number}, {"name": "b", "score": -number, "chosen": True}]
    other = lists(slices=[listed_slice(value, candidate=number, baseline=-number)], candidates=tried)
    for name in ("quality", "candidates"):
        ElementTree.fromstring(svg(plot(name, other)))


@pytest.mark.parametrize(
    "found",
    [
        Evidence(comparison=Comparison(0, 0, 0, 0)),
        Evidence(comparison=Comparison(-1e-12, -1e300, 1e300, -0.01)),
        Evidence(precision_recall={"candidate": [(0.0, 0.0)]}),
        Evidence(precision_recall={"champion": [(1.0, 1.0)]}, base_rate=1.0),
        Evidence.of({"calibration": {"candidate": [{"predicted": 0, "observed": 0}]}}),
        Evidence.of({"calibration": {"champion": [{"predicted": -5, "observed": 1e9}]}}),
        Evidence.of({"slices": [one_slice(str(place)) for place in range(300)]}),
        Evidence.of({"candidates": [{"name": "a", "score": 0.0}]}),
        Evidence.of({"candidates": [{"name": str(place), "score": -1e300} for place in range(300)]}),
        Evidence.of({"exposure": {"champion": [[0, 1]]}}),
        Evidence.of({"slices": [listed_slice(difference=None, candidate=1e-12, baseline=1e300, champion=None)]}),
    ],
    ids=range(11),
)
def test_edges_can_be_drawn(found: Evidence) -> None:
    """One point, nothing but noughts, numbers far apart, more slices than fit."""
    (one,) = plots(found)
    ElementTree.fromstring(svg(one))
    assert one.height <= 50 + 26 * MOST_SLICES

"""The report: a run as a page, self-contained, the decision first, with everything from outside escaped."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.evidence import Catalogue, Evidence
from ostinato.judgement_page import figures
from ostinato.report import page, validated, written
from pages import (
    CHECK,
    EVIL,
    Page,
    approval,
    deployment,
    evidence,
    listed_slice,
    lists_verdict,
    one_slice,
    promotion,
    recommended,
    recommending,
    run,
    step,
    validation,
    verdict,
    version,
)

METRICS = {
    "rows": 5851,
    "positives": 35,
    "base_rate": 0.005982,
    "average_precision": 0.65478,
    "recall_at_fpr_0.01": 0.8,
    "card_precision_at_100": 0.0114,
    "cost": 1302.46,
    "cost_of_doing_nothing": 8846.31,
    "cost_saved_share": 0.8527,
    "alerts": 159,
}
TRAINING = {
    "rows": 82533,
    "positives": 704,
    "data": "sha256:t",
    "window": {"from": "2026-01-01 00:05:08", "until": "2026-02-01 23:58:40"},
    "estimator": "sklearn.ensemble:HistGradientBoostingClassifier",
    "features": ["amount", "hour"],
}
ROWS = {
    "kind": "Dataset",
    "uri": "file:///test",
    "digest": "sha256:d",
    "facts": {"rows": 5851, "time": {"from": "2026-02-09 00:00:05", "until": "2026-02-15 23:59:57"}},
}


def whole(**values: Any) -> dict[str, Any]:
    """A run with all there can be."""
    champion = {"version": "3", "digest": "sha256:c", "metrics": {"average_precision": 0.642, "cost": 1500.5}}
    window = {"count": 5851, "from": "2026-02-09T00:00:05", "until": "2026-02-15T23:59:57"}
    judged = verdict(CHECK, metrics=METRICS, champion=champion, rows=window, outcome="pass")
    made: dict[str, Any] = {
        "verdict": judged,
        "metrics": METRICS,
        "model": version(**TRAINING),
        "approval": approval(),
        "promotion": promotion(),
        "deployment": deployment(),
        "validations": [validation()],
        "steps": [step(name="split", outputs=[ROWS]), step(outputs=version(**TRAINING))],
    }
    return run(**{**made, **values})


def shown(outcome: dict[str, Any], **given_: Any) -> Page:
    found = Evidence.of(evidence(**given_), outcome["verdict"]) if outcome["verdict"] else Evidence()
    return Page(page(outcome, found, "Keep fraud out."))


def shown_lists(outcome: dict[str, Any] | None = None, **given_: Any) -> Page:
    """The page of a recommender."""
    chosen = outcome or recommending()
    return Page(page(chosen, Evidence.of(recommended(**given_), chosen["verdict"]), "Show what fits."))


def test_a_page_begins_with_the_decision_and_ends_with_the_small_print() -> None:
    """Decision, figures, checks, plots, slices, money, data, lineage, steps, details, terms: in this order."""
    text = shown(whole()).text
    parts = (
        "fraud, as of 1 March 2026",
        "Promoted",
        "fraud version 4 is the new champion, in place of version 3. It serves at /srv/fraud (bundle).",
        "Approved by",
        "Keep fraud out.",
        "0.655",
        "ChecksA candidate is released only if all pass.",
        "Floor0.712≥ 0.6pass",
        "How good it is",
        "Precision and recall",
        "Slices",
        "Money",
        "Data",
        "paymentswarned20,000100 (0.50%)",
        "Training82,5337041 January 20261 February 2026",
        "Judgement5,851359 February 202615 February 2026",
        "Lineage",
        "code git:1",
        "ledger entry 7 (promote)",
        "deployed /srv/fraud (bundle)",
        "Steps2.0 seconds, 2.5 of CPU, at most 120 MB",
        "Details",
        "9 February 202680032%",
        "as_of2026-03-01T00:00:00+00:00",
        "Terms",
        "Average precision",
        "Run 20260301-000000-aaaaaa",
    )
    place = text.index("fraud, as of")
    for part in parts:
        assert part in text[place:], part
        place = text.index(part, place) + len(part)


def test_a_recommenders_page_speaks_of_users_and_items() -> None:
    """In a classifier's order: figures, checks, plots, examples, slices, candidates, data; no fraud, no money."""
    text = shown_lists().text
    parts = (
        "shop, as of 1 March 2026",
        "Judged against",
        "version 3, scored again on the same users",
        "12,345 interactions of 1,840 users from 9 February 2026 to 15 February 2026, all of them later",
        "0.212nDCG@10champion 0.200 · popularity 0.151",
        "0.187recall@10champion 0.176",
        "41.2%coverage of the cataloguechampion 38.8% · of 5,000 items (130 new ones aside)",
        "6.3%cold users2.1% of the interactions with cold items",
        "1,840users judgedwith 12,345 interactions",
        "nDCG@100.212≥ 0.151pass",
        "nDCG@10 against the champion+0.012 (+0.002 to +0.023)≥ −0.010pass",
        "Coverage of the catalogue41.2%≥ 10.0%pass",
        "How good it is",
        "Quality by activity",
        "Exposure of the catalogue",
        "What a few users would be shown",
        "A user who took 37 items before",
        "Slices",
        "by activityuserscandidatechampionpopularitydifferenceintervaloutcome",
        "cold1160.0800.0680.090––not enough data",
        "by popularityuserscandidate",
        "Candidates",
        "candidatenDCG@10trialsoptionscame to",
        "item_knn0.2076neighbours 100chosen",
        "als0.1986factors 64, alpha 8.5–",
        "ease–0–not tried: 5,000 items are above the cap of 4,000",
        "Data",
        "windowrowsusersitemsfirst daylast day",
        "Training482,5339,1205,0001 November 20258 February 2026",
        "Judgement12,4801,840–9 February 202615 February 2026",
        "train Recommender (item_knn), shop/4",
        "search[item_knn]",
        "Terms",
        "nDCG@k",
    )
    place = text.index("shop, as of")
    for part in parts:
        assert part in text[place:], part
        place = text.index(part, place) + len(part)
    for absent in ("Money", "fraud", "positive", "Positive", "Card precision", "card", "verage precision is", "guess"):
        assert absent not in text[text.index("shop, as of") :], absent


def test_what_a_few_users_would_be_shown_is_told_without_telling_who_they_are() -> None:
    """What they took, what they would get, and what of it they then took, which is marked."""
    html = page(recommending(), Evidence.of(recommended(), lists_verdict()))
    assert html.count('class="found"') == 3
    assert '<li class="found"><bdi>i00007</bdi> ✓</li>' in html
    text = Page(html).text
    assert "Took latelyi00042i003117Would be showni00001i00002i00003 ✓i00004" in text
    assert "i00010Then took2 of them" in text
    assert "A user who took 1 item beforeTook latelyi00042Would be showni00001i00009Then tooknone of them" in text
    assert "A cold user, whom training has never seenWould be showni00001 ✓Then took1 of them" in text
    assert "would be shown" not in shown_lists(shown=[]).text


HOSTILE = [
    EVIL,
    "x" * 5000,
    "\u202egnp.exe",
    "שלום",
    "",
    " ",
    "a\x00b",
    "汉" * 200,
    7,
    None,
    {"a": [EVIL]},
    "</bdi></li>",
]


def test_ids_of_items_are_strangers_texts() -> None:
    """Never markup, of a length that fits, each with its own direction of writing, none that turns another's."""
    given_ = [{"history": 3, "recent": HOSTILE, "recommended": HOSTILE, "found": [EVIL, "שלום"]}]
    html = page(recommending(), Evidence.of(recommended(shown=given_), lists_verdict()))
    found = Page(html)
    assert not found.open
    assert "script" not in found.tags
    assert found.tags.count("bdi") == 2 * len(HOSTILE)
    assert found.text.count("alert(") >= 2
    assert "\u202e" not in html
    assert "x" * 100 not in html
    assert '" "' in found.text
    many = [{"history": 1, "recommended": [str(place) for place in range(100)]}] * 50
    long = shown_lists(shown=many)
    assert "and 80 more" in long.text
    assert long.text.count("A user who took 1 item before") == 8
    assert long.tags.count("bdi") == 8 * 20


@given(st.text(), st.text())
@settings(max_examples=20)
def test_no_id_breaks_the_page(item: str, name: str) -> None:
    """Whatever a stranger's catalogue holds, and whatever candidates and parts are called."""
    examples = [{"history": 1, "recent": [item], "recommended": [item], "found": [item]}]
    bare = {"comparison": None, "exposure": None, "slices": [listed_slice(name, difference=None, baseline=None)]}
    found = shown_lists(shown=examples, candidates=[{"name": name, "options": {item: name}, "why": item}], **bare)
    assert not found.open
    assert found.tags.count("bdi") == 2
    assert "svg" not in found.tags


def test_a_page_needs_nothing_else() -> None:
    """No script, no style or picture from elsewhere, no address that a browser would ask."""
    html = page(whole(), Evidence.of(evidence(), whole()["verdict"]))
    html += page(recommending(), Evidence.of(recommended(), lists_verdict()))
    found = Page(html)
    assert not found.open
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    assert not re.search(r"https?:|url\((?!#)|@import|\bon\w+=", html)
    addresses = [value for name, value in found.attributes if name in ("href", "src")]
    assert all(str(value).startswith(("#", "file:///runs/")) for value in addresses)
    assert len(html.encode()) < 200_000


def test_a_page_is_made_for_everyone() -> None:
    """A language, headings without gaps, captions and scopes, a text for each picture, ids used once."""
    for found, drawn in ((shown(whole()), 4), (shown_lists(), 7)):
        assert ("lang", "en") in found.attributes
        assert ("name", "viewport") in found.attributes
        assert found.headings[0] == 1
        assert found.headings.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
        assert found.tags.count("caption") == found.tags.count("table") > 6
        assert found.tags.count("th") == [name for name, _ in found.attributes].count("scope")
        pictures = found.tags.count("svg")
        assert pictures == found.tags.count("figure") == found.attributes.count(("role", "img")) == drawn
        assert found.tags.count("desc") == pictures
        assert len(found.ids) == len(set(found.ids))
        assert found.references <= set(found.ids)


def test_every_text_can_be_read_on_what_is_behind_it() -> None:
    """A contrast of at least 4.5 to 1, as WCAG wants it."""
    from ostinato import judgement_page, markup, report

    ours = report.STYLE + judgement_page.STYLE
    style = markup.STYLE + ours
    behind = ["#ffffff", *re.findall(r"background:(#[0-9a-f]{6})", ours)]
    light = [color for color in behind if _luminance(color) > 0.7]
    inks = set(re.findall(r"(?<![-\w])color:(#[0-9a-f]{6})", style))
    assert len(inks) >= 4
    for ink in inks:
        assert min(_contrast(ink, color) for color in light) >= 4.5, ink
    for badge in re.findall(r"\.[\w.,-]+\{background:(#[0-9a-f]{6})\}", markup.STYLE):
        assert _contrast("#ffffff", badge) >= 4.5, badge


def _luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_same_outcome_gives_the_same_bytes() -> None:
    """Nothing on a page is the moment at which it was written."""
    found = Evidence.of(evidence(), whole()["verdict"])
    assert page(whole(), found) == page(whole(), found)


PLACES = {
    "pipeline": {"pipeline": EVIL},
    "run": {"run_id": EVIL},
    "engine": {"engine": EVIL},
    "as_of": {"as_of": EVIL},
    "parameter's name": {"parameters": {EVIL: 1}},
    "parameter": {"parameters": {"columns": {EVIL: [EVIL]}}},
    "metric's name": {"metrics": {EVIL: 0.5}},
    "metric": {"metrics": {"auc": EVIL}},
    "table": {"validations": [validation(subject=EVIL)]},
    "table's outcome": {"validations": [validation(outcome=EVIL)]},
    "warning": {"validations": [validation(warnings=[EVIL])]},
    "page": {"validations": [validation(page=f"file:///{EVIL}.html")]},
    "page that is code": {"validations": [validation(page=f"javascript:{EVIL}")]},
    "tags": {"tags": {"code": EVIL, "ostinato": EVIL, EVIL: EVIL}},
    "step": {"steps": [step(name=EVIL, map_key=EVIL)]},
    "step's state": {"steps": [step(state=EVIL)]},
    "error": {"steps": [step(name=EVIL, state="failed", error={"type": EVIL, "message": EVIL}, log=EVIL)]},
    "run's error": {"error": {"type": "DataError", "message": EVIL}},
    "check": {"verdict": verdict({**CHECK, "name": EVIL, "value": EVIL, "bound": EVIL, "outcome": EVIL, "why": EVIL})},
    "verdict": {"verdict": verdict(outcome=EVIL, champion={"version": EVIL, "metrics": {}}, metrics=METRICS)},
    "yardstick": {"verdict": lists_verdict(metric=EVIL, baseline=EVIL, units=EVIL), "metrics": {EVIL: 0.5}},
    "compared metric": {"verdict": verdict({**CHECK, "name": "champion", "metric": EVIL})},
    "judged rows": {"verdict": verdict(rows={"count": EVIL, "from": EVIL, "until": EVIL})},
    "model": {"verdict": verdict(), "model": version(EVIL, **TRAINING)},
    "model's facts": {"model": version(**dict.fromkeys(TRAINING, EVIL) | {"window": None})},
    "outputs": {"steps": [step(outputs={**ROWS, "digest": EVIL, "uri": EVIL, "facts": {"rows": EVIL}})]},
    "approval": {"verdict": verdict(), "approval": approval(by=EVIL, why=EVIL)},
    "refusal": {"verdict": verdict(), "approval": approval(granted=False, by=EVIL, why=EVIL)},
    "promotion": {"promotion": dict.fromkeys(promotion(), EVIL)},
    "refused promotion": {"promotion": dict.fromkeys(promotion(), EVIL) | {"promoted": False}},
    "deployment": {"deployment": dict.fromkeys(deployment(), EVIL)},
    "refused deployment": {"deployment": dict.fromkeys(deployment(), EVIL) | {"deployed": False}},
}


@pytest.mark.parametrize("place", PLACES)
def test_nothing_from_outside_becomes_html(place: str) -> None:
    """Names, values and errors of strangers are shown as the text they are."""
    plain, found = shown(whole()), Page(page(run(**PLACES[place])))
    assert "script" not in found.tags
    assert "alert(" in found.text + "".join(str(value) for name, value in found.attributes if name == "href")
    assert not found.open
    assert {name for name, _ in found.attributes} <= {name for name, _ in plain.attributes}
    assert not [value for name, value in found.attributes if name == "href" and str(value).startswith("javascript:")]


def test_nothing_in_the_evidence_becomes_html() -> None:
    """A slice's value is a stranger's, too, in the table and in the picture."""
    found = shown(whole(), slices=[one_slice(EVIL, EVIL, column=EVIL)])
    assert "script" not in found.tags
    assert not found.open
    assert found.text.count("alert(") >= 3
    tried = [{"name": EVIL, "score": 0.2, "options": {EVIL: EVIL}}, {"name": EVIL, "why": EVIL}]
    other = shown_lists(slices=[listed_slice(EVIL, EVIL, column=EVIL)], candidates=tried)
    assert "script" not in other.tags
    assert not other.open
    assert other.text.count("alert(") >= 8


@given(st.text(), st.text(), st.text())
@settings(max_examples=30)
def test_no_text_breaks_the_page(name: str, value: str, message: str) -> None:
    """Whatever a stranger's column, parameter or error holds."""
    failed = step(name=name, state="failed", error={"type": "DataError", "message": message})
    found = Page(page(run(parameters={name: value}, metrics={name: 1.0}, steps=[failed], state="failed")))
    assert not found.open
    allowed = "html head meta title style body main header footer section div h1 h2 h3 p span b pre table caption thead"
    assert set(found.tags) <= {*f"{allowed} tbody tr th td ul ol li small details summary dl dt dd code".split()}


def test_the_few_numbers_to_know_stand_in_a_row() -> None:
    """With what to compare them with; of other pipelines their first five."""
    assert figures(whole()) == [
        ("0.655", "average precision", "champion 0.642 · by guessing 0.006"),
        ("80.0%", "recall at 1% false alarms", ""),
        ("1.1%", "card precision at 100 a day", ""),
        ("85.3%", "share of the cost saved", "1,302 instead of 8,846"),
        ("5,851", "rows judged", "35 of them positive"),
    ]
    assert figures(run()) == [("0.712", "auc", "")]
    assert figures(recommending(verdict=lists_verdict(champion=None)), Catalogue(400, 0)) == [
        ("0.212", "nDCG@10", "popularity 0.151"),
        ("0.187", "recall@10", ""),
        ("41.2%", "coverage of the catalogue", "of 400 items"),
        ("6.3%", "cold users", "2.1% of the interactions with cold items"),
        ("1,840", "users judged", "with 12,345 interactions"),
    ]
    assert len(figures(run(metrics={f"m{place}": place for place in range(9)}))) == 5
    assert figures(run(metrics={}, validations=[validation()])) == [
        ("20,000", "rows of payments", "100 set aside (0.50%)")
    ]


def test_what_went_wrong_stands_before_the_rest() -> None:
    """By step, then of the run, with the log; nothing where nothing did."""
    failed = step(state="failed", error={"type": "KeyError", "message": "'x'"}, log="/logs/train.log")
    lost = {"type": "StepLost", "message": "killed"}
    text = Page(page(run(steps=[failed], state="failed", error=lost, validations=[validation()]))).text
    places = [
        text.index(part) for part in ("What went wrong", "KeyError: 'x'", "/logs/train.log", "killed", "payments")
    ]
    assert places[:4] == sorted(places[:4])
    assert text.index("What went wrong") < text.index("Tables that were checked")
    assert "What went wrong" not in page(run())


def test_a_run_that_only_checks_data_is_a_page_too() -> None:
    """Without a verdict there are no checks, plots, money and terms."""
    found = Page(
        page(run(metrics={}, validations=[validation(), validation(subject="refunds", outcome="passed", warnings=[])]))
    )
    assert "paymentswarned20,000100 (0.50%)late: 3 rows break it; few: found 2all rules" in found.text
    assert "refundspassed20,000100 (0.50%)–all rules" in found.text
    for absent in ("Checks", "How good it is", "Slices", "Money", "Terms", "Training"):
        assert absent not in found.text
    assert found.attributes.count(("href", "file:///runs/validation.html")) == 2


def test_a_first_model_has_no_empty_columns_for_a_champion() -> None:
    """Neither among the slices nor for the money."""
    judged = verdict(CHECK, metrics=METRICS, champion=None)
    found = shown(whole(verdict=judged), slices=[one_slice(champion=None)])
    assert "slicerowspositivescandidatedifferenceintervaloutcome" in found.text
    assert "whatcandidateCost of doing nothing8,846Cost1,302" in found.text
    assert "slicerowspositivescandidatechampiondifference" in shown(whole()).text
    assert "whatcandidatechampionCost of doing nothing8,846–Cost1,3021,500" in shown(whole()).text


@pytest.mark.parametrize("state", ["running", "waiting", "failed", "cancelled"])
def test_a_run_that_has_not_ended_well_is_a_page_too(state: str) -> None:
    """With steps that never began."""
    pending = step(state="pending", seconds=None, cpu_seconds=None, peak_bytes=None, attempts=0)
    found = Page(page(run(state=state, as_of=None, steps=[step(map_key="3"), pending], metrics={})))
    assert not found.open
    assert "train[3]" in found.text
    assert "trainpending–––0" in found.text


def test_a_verdict_of_an_older_version_is_a_page_without_plots() -> None:
    """It says nothing of champion, rows or outcome, and has no evidence."""
    found = Page(page(run(verdict=verdict(CHECK), metrics=METRICS)))
    assert "Floor0.712≥ 0.6pass" in found.text
    assert "svg" not in found.tags


def test_rows_that_were_judged_are_told_also_where_their_table_is_not_among_the_runs() -> None:
    """From the verdict itself."""
    assert "Judgement5,851359 February 202615 February 2026" in shown(whole(steps=[step()])).text


def test_a_part_of_which_nothing_was_asked_has_no_outcome() -> None:
    """A dash, and no badge without a word."""
    found = shown_lists(slices=[listed_slice("a"), listed_slice("b", "", difference=None)])
    assert "b5000.2000.1900.150–−0.010 to +0.030–" in found.text
    assert ("class", "badge ") not in found.attributes


def test_page_and_card_are_written_beside_one_another(tmp_path: Path) -> None:
    """The card only where there is a model; the first paragraph of the docstring says what it is for."""
    about = """Keep fraud
    out.

    Args:
        source: the table.
    """
    places = written(whole(), str(tmp_path), about)
    assert places == {"report.html": f"{tmp_path}/report.html", "model_card.md": f"{tmp_path}/model_card.md"}
    html = (tmp_path / "report.html").read_text()
    assert "Keep fraud out." in html
    assert "the table." not in html
    assert "Keep fraud out." in (tmp_path / "model_card.md").read_text()
    (tmp_path / "other").mkdir()
    assert list(written(run(), str(tmp_path / "other"))) == ["report.html"]


def test_what_was_found_of_a_table_is_one_sentence() -> None:
    """For the terminal."""
    assert validated(validation()) == "warned: 3 pass, 2 fail; 100 of 20,000 rows (0.50%) quarantined"


# --- in a browser -------------------------------------------------------------------------------------------------

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
OFFLINE = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"


def browse(file: Path, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A page in a real browser, whose every request would go to a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"--proxy-server=127.0.0.1:{taken.getsockname()[1]}"
        command = [CHROMIUM, *OFFLINE.split(), proxy, "--enable-logging=stderr", f"--user-data-dir={profile}", *more]
        environment = {**os.environ, "HOME": str(profile)}
        return subprocess.run(
            [*command, file.as_uri()], env=environment, capture_output=True, text=True, timeout=120, check=True
        )


def _classifier(**values: Any) -> str:
    return page(whole(**values), Evidence.of(evidence(), whole()["verdict"]), "Keep fraud out.")


def _recommender(**values: Any) -> str:
    examples = [*recommended()["shown"], {"history": 9, "recent": HOSTILE, "recommended": HOSTILE, "found": [EVIL]}]
    return page(recommending(**values), Evidence.of(recommended(shown=examples), lists_verdict()), "Show what fits.")


@pytest.fixture(params=[_classifier, _recommender])
def made(request: pytest.FixtureRequest) -> Any:
    """What makes a page with everything on it, of a classifier and of a recommender."""
    return request.param


@pytest.fixture
def file(made: Any, tmp_path: Path) -> Path:
    """Such a page."""
    place = tmp_path / "report.html"
    place.write_text(made())
    return place


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_a_browser_reads_the_page_as_it_was_written(file: Path, tmp_path: Path) -> None:
    """No word on the console, and the tree it makes has every element we wrote, in our order."""
    done = browse(file, tmp_path / "profile", "--dump-dom")
    assert "CONSOLE" not in done.stderr
    ours, its = Page(file.read_text()), Page(done.stdout)
    assert its.tags == ours.tags
    assert its.text.split() == ours.text.split()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_a_printed_page_shows_what_is_folded_on_the_screen(made: Any, file: Path, tmp_path: Path) -> None:
    """On a few sheets, with parameters and all."""
    target = tmp_path / "report.pdf"
    browse(file, tmp_path / "profile", f"--print-to-pdf={target}", "--no-pdf-header-footer")
    printed = target.read_bytes()
    assert printed.startswith(b"%PDF")
    sheets = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 2 <= sheets <= 8
    words = _words(printed)
    many = {f"parameter_{place}": place for place in range(60)}
    file.write_text(made(parameters=many))
    browse(file, tmp_path / "profile", f"--print-to-pdf={target}", "--no-pdf-header-footer")
    assert _words(target.read_bytes()) > words + 100


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
@pytest.mark.parametrize(("width", "printed"), [(400, False), (1200, False), (690, True)])
def test_nothing_is_cut_off(width: int, printed: bool, file: Path, tmp_path: Path) -> None:
    """On a phone and a screen only tables are moved sideways, each by itself; on paper every table fits."""
    html = file.read_text()
    if printed:
        html = html.replace("@page{margin:16mm 14mm}", "").replace("@media print{", "@media all{")
    asked = (
        "const wide = one => one.scrollWidth - one.clientWidth;"
        "document.body.dataset.page = wide(document.documentElement);"
        "document.body.dataset.tables = Math.max(...[...document.querySelectorAll('.scroll')].map(wide));"
    )
    file.write_text(html.replace("</main>", f"</main><script>{asked}</script>"))
    done = browse(file, tmp_path / "profile", f"--window-size={width},900", "--dump-dom")
    found = dict(Page(done.stdout).attributes)
    assert found["data-page"] == "0"
    assert not printed or found["data-tables"] == "0"


def _words(pdf: bytes) -> int:
    """How many texts are drawn."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    drawn = 0
    for stream in streams:
        try:
            drawn += zlib.decompress(stream).count(b"Tj")
        except zlib.error:
            continue
    return drawn

"""The model card: what a model is, what it learnt from, how it was judged and where it falls short."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.evidence import Evidence
from ostinato.model_card import LONGEST, card, limitations, shortened
from pages import (
    CHECK,
    EVIL,
    LISTS,
    evidence,
    listed_slice,
    lists_verdict,
    one_slice,
    recommended,
    recommending,
    run,
    step,
    validation,
    verdict,
    version,
)
from test_report import TRAINING, whole

UNKNOWN = {"name": "latency", "value": None, "bound": 5, "outcome": "not-enough-data", "why": "nobody measured it"}


def of(outcome: dict[str, Any] | None = None, **given_: Any) -> str:
    chosen = outcome or whole()
    return card(chosen, Evidence.of(evidence(**given_), chosen["verdict"]), "Keep fraud out.")


def test_a_card_tells_all_that_is_known_of_a_model() -> None:
    """The decision first, what falls short before the small print."""
    text = of()
    assert re.findall(r"^#+ (.*)$", text, re.MULTILINE) == [
        "fraud version 4",
        "Model",
        "Intended use",
        "Data",
        "Evaluation",
        "Checks",
        "Limitations",
        "Decision",
        "Slices",
        "Calibration",
        "Lineage",
    ]
    for part in (
        "**Promoted.** fraud version 4 is the new champion, in place of version 3. It serves at /srv/fraud (bundle).",
        "- Estimator: sklearn.ensemble:HistGradientBoostingClassifier",
        "- Features: 2: amount, hour",
        "Keep fraud out.",
        "| training | 82,533 | 704 | 1 January 2026 | 1 February 2026 |",
        "| average precision | 0.655 | 0.642 |",
        "| floor | 0.712 | ≥ 0.6 | pass |",
        "- Approved by: ada: it is sound",
        "| channel = atm | 2,000 | 20 | 0.61 | 0.6 | −0.080 | −0.120 to −0.040 | fail |",
        "| 0.1 | 0.09091 | 100 |",
        "- code: git:1",
        "- ledger: entry 7 (promote)",
    ):
        assert part in text


def of_lists(outcome: dict[str, Any] | None = None, **given_: Any) -> str:
    """The card of a recommender."""
    chosen = outcome or recommending()
    return card(chosen, Evidence.of(recommended(**given_), chosen["verdict"]), "Show what fits.")


def test_a_recommenders_card_speaks_of_users_and_items() -> None:
    """Which candidate was chosen and how it came to that; nothing of positives, probabilities and frauds."""
    text = of_lists()
    assert re.findall(r"^#+ (.*)$", text, re.MULTILINE) == [
        "shop version 4",
        "Model",
        "Intended use",
        "Data",
        "Evaluation",
        "Checks",
        "Limitations",
        "Decision",
        "Slices",
        "Candidates",
        "Lineage",
    ]
    for part in (
        "- Chosen among the candidates: item\\_knn",
        "- Split: temporal",
        "| window | rows | users | items | first day | last day |",
        "| training | 482,533 | 9,120 | 5,000 | 1 November 2025 | 8 February 2026 |",
        "| nDCG@10 | 0.212 | 0.200 |",
        "| coverage of the catalogue | 41.2% | 38.8% |",
        "| nDCG@10 against the champion | +0.012 (+0.002 to +0.023) | ≥ −0.010 | pass |",
        "| by activity | users | candidate | champion | popularity | difference | interval | outcome |",
        "| 2 to 8 | 730 | 0.180 | 0.168 | 0.130 | +0.010 | −0.010 to +0.030 | pass |",
        "| by popularity | users |",
        "| candidate | nDCG@10 | trials | options | came to |",
        "| ease | – | 0 | – | not tried: 5,000 items are above the cap of 4,000 |",
        "- train: Recommender (item\\_knn), shop/4",
    ):
        assert part in text, part
    assert not re.search(r"positive|fraud|average precision|guess|i0000", text)


def test_what_a_recommender_could_know_nothing_of_is_a_limitation() -> None:
    """Where much of what it was judged on is cold; without a champion it is held against the most popular."""
    metrics = {**LISTS, "cold_users_share": 0.312, "cold_items_share": 0.27}
    told = limitations(recommending(verdict=lists_verdict(metrics=metrics, champion=None)), Evidence())
    assert told[:3] == [
        "There was no champion to compare with: the model is only known to be better than showing everybody what is "
        "most popular.",
        "Training has never seen 31.2% of the users it was judged on: it knows nothing of their taste.",
        "Training has never seen the items of 27.0% of the interactions it was judged on: it could find none of these.",
    ]
    assert not any("Training has" in line for line in limitations(recommending(), Evidence()))
    odd = lists_verdict(metrics={"cold_users_share": "many", "cold_items_share": None})
    assert not any("Training has" in line for line in limitations(recommending(verdict=odd), Evidence()))


def test_a_slice_that_fell_short_is_listed_once() -> None:
    """By its name; where the evidence is gone, as its check tells it."""
    check = {"name": "slice activity = cold", "group": "slices", "value": None, "bound": -0.05}
    judged = lists_verdict(CHECK, {**check, "outcome": "not-enough-data", "why": "9 users", "decisive": False})
    found = recommending(verdict=judged)
    told = limitations(found, Evidence.of(recommended(), judged))
    assert [line for line in told if "cold" in line] == ["Not enough data to judge this slice: activity = cold."]
    assert "Slice activity = cold: 9 users." in limitations(found, Evidence())


def test_a_card_without_a_champion_compares_with_nothing() -> None:
    """One column of numbers, and it is said what that means."""
    first = whole(verdict=verdict(CHECK, metrics={}, champion=None))
    assert "| metric | value |" in of(first)
    assert "no champion to compare with" in of(first)


def test_a_run_without_a_model_has_no_card() -> None:
    """There is nothing to describe."""
    assert card(run()) == ""


def test_a_candidate_that_was_not_judged_says_so() -> None:
    """Its card is that of a candidate of the pipeline."""
    text = card(run(model={"uri": "models:/m-1", "digest": "sha256:m", "facts": {}}))
    assert text.startswith("# fraud, candidate\n")
    assert "- The model has not been judged." in text


def test_what_falls_short_is_listed() -> None:
    """Failed and unanswered checks, slices with too few rows, warnings, rows set aside."""
    judged = verdict(CHECK, {**CHECK, "name": "average_precision", "value": 0.4, "outcome": "fail"}, UNKNOWN)
    found = run(verdict=judged, model=version(), validations=[validation()])
    assert limitations(found, Evidence.of(evidence())) == [
        "Average precision is 0.4, 0.2 below 0.6.",
        "Latency: nobody measured it.",
        "Failed in this slice: channel = atm.",
        "Not enough data to judge this slice: channel = branch.",
        "Data, payments: late: 3 rows break it.",
        "Data, payments: few: found 2.",
        "Data, payments: 100 rows (0.50%) were set aside.",
        "It is known for the time it was judged on, and for data like it.",
    ]
    more = evidence(slices=[one_slice("a", "fail"), one_slice("b", "fail")])
    assert "Failed in these slices: channel = a, channel = b." in limitations(found, Evidence.of(more))


def test_a_description_is_as_long_as_the_store_allows_and_says_that_it_was_cut() -> None:
    """The last sections go first; a short card stays as it is."""
    text = of(slices=[one_slice(f"value {place}") for place in range(200)])
    assert len(text) > LONGEST
    cut = shortened(text)
    assert len(cut) <= LONGEST
    assert "## Limitations" in cut
    assert "## Slices" not in cut
    assert cut.endswith("*The whole card is `model_card.md` among the run's artifacts.*\n")
    assert shortened(of()) == of()
    assert len(shortened("x" * 9000)) == LONGEST
    assert len(shortened(f"# x\n\n## y\n\n{'z' * 9000}")) <= LONGEST


@pytest.mark.parametrize(
    "evil", [EVIL, "[x](javascript:alert(1))", "![x](y)", "| a | b |", "# x", "**x**", "`x`", "\n\n## x"]
)
def test_nothing_from_outside_becomes_markup(evil: str) -> None:
    """A stranger's text stays in its line and its cell, as text."""
    outcome = whole(pipeline=evil, run_id=evil, validations=[validation(subject=evil, warnings=[evil])])
    outcome["verdict"] = verdict({**CHECK, "name": evil, "value": evil, "why": evil})
    outcome["metrics"] = {evil: evil}
    outcome["model"] = version(**{**TRAINING, "features": [evil], "estimator": evil})
    outcome["steps"] = [step(name=evil, outputs=outcome["model"])]
    outcome["tags"] = {"code": evil}
    plain, text = of(), of(outcome, slices=[one_slice(evil, evil)])
    assert _shape(text) == _shape(of({**outcome, **_tame()}, slices=[one_slice("x", "x")]))
    assert re.findall(r"^#+ .*$", text, re.MULTILINE)[1:] == re.findall(r"^#+ .*$", plain, re.MULTILINE)[1:]
    parts = [listed_slice(evil, evil, column=evil)]
    tried = [{"name": evil, "score": 0.1, "options": {evil: evil}, "why": evil}]
    lists = recommending(verdict=lists_verdict(metric=evil, baseline=evil, units=evil))
    more = of_lists(lists, slices=parts, candidates=tried)
    assert re.findall(r"^#+ .*$", more, re.MULTILINE) == re.findall(r"^#+ .*$", of_lists(), re.MULTILINE)
    for said in (text, more):
        bare = re.sub(r"\\.", "", said)
        assert not re.search(r"<|\]\(|!\[", bare)


def _tame() -> dict[str, Any]:
    """The same outcome with a word in place of the stranger's text."""
    return {
        "pipeline": "x",
        "run_id": "x",
        "validations": [validation(subject="x", warnings=["x"])],
        "verdict": verdict({**CHECK, "name": "x", "value": "x", "why": "x"}),
        "metrics": {"x": "x"},
        "model": version(**{**TRAINING, "features": ["x"], "estimator": "x"}),
        "steps": [step(name="x", outputs=version(**{**TRAINING, "features": ["x"], "estimator": "x"}))],
        "tags": {"code": "x"},
    }


def _shape(text: str) -> list[tuple[str, int]]:
    """How each line begins, and how many cells it has."""
    return [(line[:2], len(re.findall(r"(?<!\\)\|", line))) for line in text.splitlines()]


@given(st.text())
def test_no_text_breaks_a_card(value: str) -> None:
    """It has the same lines whatever stands in them."""
    found, plain = card(whole(run_id=value, metrics={value: 1.0})), card(whole(run_id="x", metrics={"x": 1.0}))
    assert len(found.splitlines()) in (len(plain.splitlines()), len(plain.splitlines()) - 1)  # without an empty id

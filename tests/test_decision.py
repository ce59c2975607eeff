"""The decision: what a run came to, in plain words, for every way it can end."""

from __future__ import annotations

from typing import Any

import pytest

from ostinato.decision import circumstances, decided, decision, missed, question
from pages import CHECK, approval, deployment, lists_verdict, promotion, recommending, run, step, verdict, version

FAILED = {"name": "average_precision", "value": 0.41234, "bound": 0.6, "outcome": "fail"}
UNKNOWN = {"name": "slice", "value": None, "bound": None, "outcome": "not-enough-data", "why": "no positives"}
CHAMPION = {"version": "3", "digest": "sha256:c", "metrics": {}}

CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no verdict": ({}, "Done", "good", "The run succeeded."),
    "failed": ({"state": "failed"}, "Failed", "bad", "The run failed."),
    "failed at a step": (
        {"state": "failed", "steps": [step(state="failed"), step()]},
        "Failed",
        "bad",
        "The run failed at train.",
    ),
    "cancelled": (
        {"state": "cancelled", "steps": [step(), step(name="fit", state="cancelled")]},
        "Cancelled",
        "bad",
        "The run was cancelled at fit.",
    ),
    "failed after a promotion": (
        {"state": "failed", "steps": [step(name="deploy", state="failed")], "promotion": promotion()},
        "Failed",
        "bad",
        "The run failed at deploy. Before that: fraud version 4 is the new champion, in place of version 3.",
    ),
    "failed after a refusal": (
        {"state": "failed", "promotion": promotion(promoted=False)},
        "Failed",
        "bad",
        "The run failed.",
    ),
    "running": ({"state": "running"}, "Running", "quiet", "The run is running."),
    "waiting": ({"state": "waiting"}, "Waiting", "quiet", "The run is waiting."),
    "waiting for approval": (
        {"state": "waiting", "verdict": verdict(CHECK), "steps": [step(name="approve", state="waiting")]},
        "Waiting for approval",
        "quiet",
        "The candidate passed and waits for approval at approve.",
    ),
    "passed": ({"verdict": verdict(CHECK)}, "Passed", "good", "The candidate passed."),
    "passed and logged": (
        {"verdict": verdict(CHECK), "model": {"uri": "models:/m-1", "facts": {}}},
        "Passed",
        "good",
        "The candidate passed.",
    ),
    "passed and registered": (
        {"verdict": verdict(CHECK), "model": version("7")},
        "Passed",
        "good",
        "The candidate passed and is fraud version 7.",
    ),
    "registered before": (
        {"verdict": verdict(CHECK), "model": version("7", unchanged=True)},
        "Unchanged",
        "quiet",
        "The candidate passed, and is no other than fraud version 7: unchanged.",
    ),
    "unchanged": (
        {"verdict": verdict(CHECK, outcome="unchanged", champion=CHAMPION)},
        "Unchanged",
        "quiet",
        "The candidate is no other than version 3, which stays in place: nothing was promoted.",
    ),
    "unchanged without a champion": (
        {"verdict": verdict(FAILED, outcome="unchanged", champion=None)},
        "Unchanged",
        "quiet",
        "The candidate is no other than the one before: nothing was promoted.",
    ),
    "rejected": (
        {"verdict": verdict(CHECK, FAILED, UNKNOWN)},
        "Rejected",
        "bad",
        "The candidate was rejected: average precision is 0.412, 0.188 below 0.6; slice: no positives.",
    ),
    "rejected for much": (
        {"verdict": verdict(FAILED, FAILED, FAILED, FAILED, UNKNOWN)},
        "Rejected",
        "bad",
        f"The candidate was rejected: {'average precision is 0.412, 0.188 below 0.6; ' * 3}and 2 more.",
    ),
    "not enough data": (
        {"verdict": verdict(CHECK, UNKNOWN)},
        "Not promoted",
        "bad",
        "The candidate could not be judged, and does not count as passed: slice: no positives.",
    ),
    "not enough data that need not be": (
        {"verdict": verdict(UNKNOWN, {**UNKNOWN, "decisive": False, "name": "slice b"})},
        "Not promoted",
        "bad",
        "The candidate could not be judged, and does not count as passed: slice: no positives.",
    ),
    "refused by a person": (
        {"verdict": verdict(CHECK), "approval": approval(granted=False, by="ada", why="too early.")},
        "Not promoted",
        "bad",
        "The candidate passed, and was not promoted: approval was refused by ada (too early).",
    ),
    "timed out": (
        {"verdict": verdict(CHECK), "approval": approval(granted=False, by="nobody", why="timed out: no answer")},
        "Not promoted",
        "bad",
        "The candidate passed, and was not promoted: approval was refused by nobody (timed out: no answer).",
    ),
    "promoted": (
        {"verdict": verdict(CHECK), "approval": approval(), "promotion": promotion(), "model": version()},
        "Promoted",
        "good",
        "fraud version 4 is the new champion, in place of version 3.",
    ),
    "the first one": (
        {"verdict": verdict(CHECK), "promotion": promotion(replaced=None)},
        "Promoted",
        "good",
        "fraud version 4 is the new champion; there was none before.",
    ),
    "promoted, though registered before": (
        {"verdict": verdict(CHECK), "promotion": promotion(), "model": version(unchanged=True)},
        "Promoted",
        "good",
        "fraud version 4 is the new champion, in place of version 3.",
    ),
    "refused as stale": (
        {"verdict": verdict(CHECK), "promotion": promotion(promoted=False, why="judged against entry 6, not 7.")},
        "Not promoted",
        "bad",
        "The candidate passed and is fraud version 4, and was not promoted: judged against entry 6, not 7.",
    ),
    "refused without a word": (
        {"verdict": verdict(CHECK), "promotion": promotion(promoted=False, why="")},
        "Not promoted",
        "bad",
        "The candidate passed and is fraud version 4, and was not promoted: no reason is given.",
    ),
    "refused, so not deployed": (
        {
            "verdict": verdict(CHECK),
            "promotion": promotion(promoted=False, why="a backfill"),
            "deployment": deployment(deployed=False, why="it was not promoted"),
        },
        "Not promoted",
        "bad",
        "The candidate passed and is fraud version 4, and was not promoted: a backfill.",
    ),
    "promoted and deployed": (
        {"verdict": verdict(CHECK), "promotion": promotion(), "deployment": deployment()},
        "Promoted",
        "good",
        "fraud version 4 is the new champion, in place of version 3. It serves at /srv/fraud (bundle).",
    ),
    "promoted, not deployed": (
        {"verdict": verdict(CHECK), "promotion": promotion(), "deployment": deployment(deployed=False, why="no room")},
        "Promoted, not deployed",
        "bad",
        "fraud version 4 is the new champion, in place of version 3. "
        "It was not deployed: no room; version 3 serves on.",
    ),
    "promoted, nowhere to deploy": (
        {"promotion": promotion(), "deployment": deployment(deployed=False, target=None, why="no target was given")},
        "Promoted",
        "good",
        "fraud version 4 is the new champion, in place of version 3. It was not deployed: no target is named.",
    ),
    "rolled back": (
        {"promotion": promotion(kind="rollback", version="3", replaced="4")},
        "Rolled back",
        "good",
        "fraud version 3 is the champion again, in place of version 4.",
    ),
    "deployed alone": (
        {"deployment": deployment()},
        "Deployed",
        "good",
        "fraud version 4 serves at /srv/fraud (bundle).",
    ),
    "not deployed alone": (
        {"deployment": deployment(deployed=False, why=None, previous=None)},
        "Not deployed",
        "bad",
        "fraud version 4 was not deployed: no reason is given.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_decision_is_one_sentence(name: str) -> None:
    """A word, a tone and a sentence for every end of a run."""
    values, word, tone, sentence = CASES[name]
    found = decided(run(**values))
    assert (found.word, found.tone, found.sentence) == (word, tone, sentence)
    assert decision(run(**values)) == sentence


def test_an_outcome_of_an_older_version_is_understood() -> None:
    """It has no approval, promotion or deployment at all."""
    older = {name: value for name, value in run().items() if name not in ("approval", "promotion", "deployment")}
    assert decision(older) == "The run succeeded."
    assert circumstances({**older, "verdict": verdict(CHECK)}) == [("Judged against", None), ("Judged on", None)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "average precision is 0.412, 0.188 below 0.6"),
        ({"name": "latency", "value": 0.09, "bound": 0.05}, "latency is 0.09, 0.04 above 0.05"),
        ({"name": "base_rate", "bound": 0.75}, "base rate is 41.2%, 33.8 points below 75.0%"),
        ({"value": None}, "average precision"),
        ({"bound": "much"}, "average precision"),
        ({"value": 0.6}, "average precision"),
        ({"value": float("nan")}, "average precision"),
        ({"why": "average_precision 0.41 is below 0.6"}, "average precision is 0.412, 0.188 below 0.6"),
        (
            {"bound": 0.1, "lift_lower_bound": -0.1, "why": "average precision 0.4 is not above the base rate"},
            "average precision 0.4 is not above the base rate",
        ),
        (
            {
                "name": "champion",
                "value": -0.02,
                "low": -0.1,
                "high": 0.1,
                "bound": 0.0,
                "why": "not sure to be better",
            },
            "its average precision is not surely better than the champion's "
            "(the difference is −0.020, by chance −0.100 to +0.100)",
        ),
        (
            {"name": "champion", "value": 0.02, "low": -0.034, "high": 0.1, "bound": -0.01, "why": "x"},
            "its average precision may be 0.034 worse than the champion's, where 0.01 is allowed "
            "(the difference is +0.020, by chance −0.034 to +0.100)",
        ),
        (
            {"name": "champion", "metric": "ndcg_at_10", "value": -0.02, "low": -0.034, "high": 0.1, "bound": -0.01},
            "its nDCG@10 may be 0.034 worse than the champion's, where 0.01 is allowed "
            "(the difference is −0.020, by chance −0.034 to +0.100)",
        ),
        (
            {"name": "champion", "metric": "ndcg_at_10", "value": 0.0, "low": -0.01, "high": 0.01, "bound": 0.0},
            "its nDCG@10 is not surely better than the champion's "
            "(the difference is +0.000, by chance −0.010 to +0.010)",
        ),
        ({"name": "coverage", "value": 0.04, "bound": 0.1}, "coverage of the catalogue is 4%, 6 points below 10.0%"),
        (
            {"name": "ndcg_at_10", "outcome": "not-enough-data", "why": "3 users took something new"},
            "nDCG@10: 3 users took something new",
        ),
        (
            {"name": "slice channel = atm", "low": -0.1, "high": -0.07, "why": "it is lower than the champion's"},
            "slice channel = atm: it is lower than the champion's",
        ),
        (
            {"name": "champion", "outcome": "not-enough-data", "why": "version 3 cannot be loaded"},
            "version 3 cannot be loaded",
        ),
        (
            {"name": "roc_auc", "value": None, "outcome": "not-enough-data", "why": "roc_auc is not defined"},
            "ROC AUC: is not defined",
        ),
        ({"outcome": "not-enough-data"}, "average precision: not enough data"),
        ({"outcome": "not-enough-data", "why": "3 positives"}, "average precision: 3 positives"),
    ],
)
def test_what_a_check_found_wanting_is_said_with_by_how_much(values: dict[str, Any], said: str) -> None:
    """Above or below, in its own unit; its own reason wins."""
    assert missed({**FAILED, **values}) == said


def test_who_stood_behind_a_decision_is_named() -> None:
    """Against what and on what, who agreed, where it serves and what it replaced."""
    rows = {"count": 5851, "from": "2026-02-01T00:00:01", "until": "2026-02-07T23:59:59"}
    judged = verdict(CHECK, champion={**CHAMPION, "metrics": {"roc_auc": 0.9}}, rows=rows)
    model = version(window={"from": "2026-01-01 00:00:01", "until": "2026-01-24 23:59:59"})
    found = run(verdict=judged, model=model, approval=approval(), promotion=promotion(), deployment=deployment())
    assert circumstances(found) == [
        ("Judged against", "version 3, scored again on the same rows"),
        (
            "Judged on",
            "5,851 rows from 1 February 2026 to 7 February 2026, all of them later than those it learnt from",
        ),
        ("Approved by", "ada: it is sound"),
        ("Promoted by", "risk: not worse than version 3"),
        ("Ledger entry", 7),
        ("Serves at", "/srv/fraud"),
        ("Before it", "version 3"),
    ]
    refused = run(approval=approval(granted=False), promotion=promotion(promoted=False, entry=None))
    assert dict(circumstances(refused)) == {
        "Refused by": "ada: it is sound",
        "Promotion refused": "not worse than version 3",
        "Ledger entry": None,
    }
    assert circumstances(run(verdict=verdict(CHECK, champion=None)))[0] == ("Judged against", "no champion yet")


def test_users_and_their_interactions_are_what_a_recommender_was_judged_on() -> None:
    """Counted as the verdict counts them."""
    found = dict(circumstances(recommending()))
    assert found["Judged against"] == "version 3, scored again on the same users"
    assert found["Judged on"] == (
        "12,345 interactions of 1,840 users from 9 February 2026 to 15 February 2026, "
        "all of them later than those it learnt from"
    )
    bare = run(verdict=lists_verdict(metrics={}, rows={"count": 7}))
    assert dict(circumstances(bare))["Judged on"] == "7 interactions"


def test_who_is_to_decide_is_shown_the_checks_in_words() -> None:
    """A comparison with what it compares."""
    facts = lists_verdict()
    shown = question("shop", "2026-03-01", {"verdict": {"kind": "Verdict", "uri": "x", "digest": "d", "facts": facts}})
    assert shown.splitlines() == [
        "`shop`, as of `2026-03-01`",
        "- outcome: `pass`",
        "- `nDCG@10`: `0.212` (≥ 0.151), `pass`",
        "- `nDCG@10 against the champion`: `+0.012 (+0.002 to +0.023)` (≥ −0.010), `pass`",
        "- `coverage of the catalogue`: `41.2%` (≥ 10.0%), `pass`",
        "- `milliseconds for one answer`: `1.8` (≤ 1,000), `pass`",
    ]


@pytest.mark.parametrize("until", [None, "2026-02-01 00:00:00", "2026-03-01"])
def test_rows_are_called_unseen_only_where_that_is_known(until: str | None) -> None:
    """Where the model learnt from days before all of them."""
    rows = {"count": 10, "from": "2026-02-01T00:00:01", "until": "2026-02-07T23:59:59"}
    found = run(verdict=verdict(CHECK, rows=rows, champion=CHAMPION), model=version(window={"until": until}))
    assert circumstances(found) == [
        ("Judged against", "version 3, which was not scored here"),
        ("Judged on", "10 rows from 1 February 2026 to 7 February 2026"),
    ]
    assert circumstances(run(verdict=verdict(rows={"count": 10})))[1] == ("Judged on", "10 rows")

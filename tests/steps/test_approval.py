"""What `approve` makes of an answer."""

from __future__ import annotations

from ostinato import Verdict
from ostinato.steps import approve


def verdict() -> Verdict:
    return Verdict.of([{"name": "good", "outcome": "pass"}], {}, model="m", data="d")


def test_what_needs_no_approval_is_granted_by_policy() -> None:
    """Nobody was asked, and that is on record."""
    approval = approve(verdict())
    assert approval.granted
    assert (approval.by, approval.why) == ("policy", "no approval is required")


def test_an_answer_is_kept_with_who_gave_it_and_why() -> None:
    """Yes and no alike."""
    for granted in (True, False):
        answer = {"granted": granted, "by": "ada", "why": "because"}
        approval = approve(verdict(), required=True, answer=answer)
        assert approval.facts == answer


def test_no_answer_in_time_means_no() -> None:
    """Also where the step runs on an engine that asks nobody."""
    approval = approve(verdict(), required=True, timeout="2h")
    assert not approval.granted
    assert approval.facts == {"granted": False, "by": "nobody", "why": "timed out: no answer within 2h"}


def test_only_a_plain_true_is_a_yes() -> None:
    """An engine's "false" as text must not let anything through."""
    assert not approve(verdict(), required=True, answer={"granted": "false", "by": "x", "why": ""}).granted

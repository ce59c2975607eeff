"""How a person is asked at a terminal, and what the flags say in their place; in processes of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ostinato.asking import described
from pages import CHECK, lists_verdict, verdict
from terminal import COMMAND, at_a_terminal

PIPELINE = """
from ostinato import Verdict, pipeline, step, when
from ostinato.steps import approve

@step
def judge() -> Verdict:
    checks = [{"name": "floor", "outcome": "pass", "value": 0.7, "bound": 0.6}]
    return Verdict.of(checks, {"average_precision": 0.7}, model="m", data="d")

@step
def release() -> str:
    return "out"

@pipeline
def asking(wait: str = "1h") -> None:
    approval = approve(judge(), required=True, timeout=wait)
    with when(approval.granted):
        release()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a pipeline that asks."""
    (tmp_path / "asking.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)


def command(*more: str) -> list[str]:
    return [*COMMAND, "run", "asking.py", *more]


def answered(typed: str, *more: str) -> tuple[str, dict[str, Any]]:
    """Run at a terminal and type when asked; gives what was shown, and the approval."""
    run = at_a_terminal("run", "asking.py", *more, "--json", answers=[("[y/n]", typed)], piped=True)
    return run.said, approval_of(run.printed)


def approval_of(printed: str) -> dict[str, Any]:
    steps = {step["name"]: step for step in json.loads(printed)["steps"]}
    facts: dict[str, Any] = steps["approve"]["outputs"]["facts"]
    assert steps["release"]["state"] == ("succeeded" if facts["granted"] else "skipped")
    return facts


def test_a_person_at_the_terminal_is_shown_the_verdict_and_asked() -> None:
    """Yes with a reason: both are kept, and who said it; what is no answer is asked again."""
    said, approval = answered("perhaps\nyes it looks right\n")
    assert "asking asks whether its candidate may be released" in said
    assert "average precision 0.7" in said
    assert "Write y or n" in said
    assert approval["granted"]
    assert approval["why"] == "it looks right"
    assert approval["by"] not in ("", "nobody")


def test_a_person_may_say_no() -> None:
    """The run succeeds, and nothing is released."""
    assert answered("n\n")[1] == {"granted": False, "by": approval_by(), "why": "answered 'n'"}


def approval_by() -> str:
    """The name of the person at this terminal."""
    done = subprocess.run(command("--approve", "--json"), capture_output=True, text=True, timeout=120)
    return str(approval_of(done.stdout)["by"])


def test_a_question_nobody_answers_times_out() -> None:
    """After the time the pipeline gives, the answer is no."""
    _, approval = answered("", "-p", "wait=1s")
    assert approval == {"granted": False, "by": "nobody", "why": "timed out: no answer within 1s"}


def test_flags_answer_in_a_persons_place_and_exclude_one_another() -> None:
    """--approve and --reject, in the name of the user; both is an error of usage."""
    for flag, granted in (("--approve", True), ("--reject", False)):
        done = subprocess.run(command(flag, "--json"), capture_output=True, text=True, timeout=120)
        assert (approval_of(done.stdout)["granted"], approval_of(done.stdout)["why"]) == (granted, flag)
    both = subprocess.run(command("--approve", "--reject"), capture_output=True, text=True, timeout=120)
    assert both.returncode == 2
    assert "exclude one another" in both.stderr


def test_without_terminal_or_flag_the_answer_is_no() -> None:
    """A script that nobody watches releases nothing."""
    done = subprocess.run(command("--json"), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0
    approval = approval_of(done.stdout)
    assert (approval["granted"], approval["by"]) == (False, "nobody")
    assert "timed out" in approval["why"]


def test_a_question_names_every_check_that_counts() -> None:
    """What a person decides on: checks with bounds, both models, the time there is."""
    checks = [{"name": "floor", "outcome": "pass", "value": 0.7, "bound": 0.6}, {"name": "odd", "outcome": "fail"}]
    facts = {"checks": checks, "metrics": {}, "champion": None}
    asked = {"pipeline": "p", "run_id": "r", "inputs": {"verdict": {"facts": facts}}, "seconds": 3600.0}
    text = "\n".join(described(asked))
    assert "pass             floor 0.7, bound 0.6" in text
    assert "fail             odd –" in text
    assert "1:00:00 means no" in text


def test_a_question_speaks_of_what_the_verdict_judges_by() -> None:
    """A classifier's average precision where the verdict says nothing else."""
    asked = {"pipeline": "p", "run_id": "r", "inputs": {"verdict": {"facts": lists_verdict()}}, "seconds": 60.0}
    assert "  nDCG@10 0.2123; champion: 0.1996" in described(asked)
    facts = verdict(CHECK, metrics={"average_precision": 0.7}, champion=None)
    assert "  average precision 0.7" in described({**asked, "inputs": {"verdict": {"facts": facts}}})

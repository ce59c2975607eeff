"""The handbook of templates is true: every command in it is run, one after the other, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HANDBOOK = Path(__file__).parents[2] / "docs" / "templates.md"
TEXT = HANDBOOK.read_text(encoding="utf-8")
COMMANDS = "\n".join(re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
GIT = {f"GIT_{who}_{what}": "reader@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def read_and_run(folder: Path) -> str:
    """All blocks in one shell; `make test` is only tried dry, for it is run elsewhere in a project of each template."""
    environment = {**os.environ, **GIT, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("OSTINATO_HOME")
    commands = COMMANDS.replace("make test ", "make -n test ")
    done = subprocess.run(
        ["sh", "-eu", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_commands_of_the_handbook_run_one_after_the_other(tmp_path: Path) -> None:
    """A project of a table, other answers, a template of one's own, an update of that one's project."""
    said = read_and_run(tmp_path)
    assert "card: card_id" in said
    assert "-m pytest" in said
    assert "card_fraud version 1 is the new champion" in said
    assert "Up to date with fraud_detection" in said
    assert "added     flows/card_fraud_flow.py" in said
    assert "added     README.md" in said
    assert 'on_failure="slack:#ml-ops"' in (tmp_path / "card_fraud" / "card_fraud" / "pipeline.py").read_text()
    assert 'source: str = "payments/"' in (tmp_path / "churn" / "churn" / "pipeline.py").read_text()
    assert (tmp_path / "churn" / "README.md").read_text() == "# churn, looked after by pricing\n"


def test_the_handbook_names_every_template_answer_and_fate() -> None:
    """What is there is told."""
    from typing import get_args

    from ostinato.scaffold.answers import COLUMNS, KEYS
    from ostinato.scaffold.finding import built_in
    from ostinato.scaffold.merging import Fate

    answers = [f"{key}.ROLE" if key == COLUMNS else key for key in KEYS]
    assert [word for word in (*built_in(), *answers, *get_args(Fate)) if f"`{word}`" not in TEXT] == []


def test_the_pages_that_the_handbook_leads_to_are_there() -> None:
    """A link leads somewhere."""
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (HANDBOOK.parent / target).exists(), target

"""What a project remembers of its template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostinato.errors import UsageError
from ostinato.scaffold.origin import ANSWERS, Origin, origin_of
from scaffold.little_template import written

ORIGIN = Origin("blank", "1.2", {"name": "mine", "columns": {"time": "ts"}}, ("mine/suite.yaml",), {"a": b"1"})
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200)


@example({"a": "?0", "b": ["?0", ": ", "- x"]})
@given(st.dictionaries(st.sampled_from("abc"), TEXTS | st.lists(TEXTS) | st.none() | st.integers() | st.booleans()))
def test_a_project_remembers_every_answer(tmp_path_factory: pytest.TempPathFactory, answers: dict[str, Any]) -> None:
    """As it was given: `no` and `0x1` are texts, where they were."""
    said = Origin("../my template", None, {**answers, "x": "no", "y": "0x1", "z": "{{ 1 }}"})
    folder = written(tmp_path_factory.mktemp("project", numbered=True), dict(said.written()))
    assert origin_of(folder) == said


def test_the_same_origin_is_written_in_the_same_way(tmp_path: Path) -> None:
    """So that git shows only what is new; people are told what the file is."""
    assert ORIGIN.written() == Origin(**vars(ORIGIN)).written()
    assert origin_of(written(tmp_path, dict(ORIGIN.written()))) == ORIGIN
    assert b"`ostinato update` reads it" in ORIGIN.written()[ANSWERS]


def test_what_is_no_project_of_a_template_is_told(tmp_path: Path) -> None:
    """And a project that has lost half of its memory."""
    with pytest.raises(UsageError, match=r"was not made by `ostinato new`: it has no .*answers\.yaml"):
        origin_of(tmp_path)
    written(tmp_path, {ANSWERS: ORIGIN.written()[ANSWERS]})
    with pytest.raises(UsageError, match=r"pristine\.tar\.xz is not there; .* git checkout"):
        origin_of(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n",
        "just text\n",
        "template: blank\nversion: 1\n",
        "template: a\nanswers: {}\n",
        "template: a\nversion: 1\nanswers: 5\n",
        "template: a\nversion: 1\nanswers: {}\ndrawn: 5\n",
        "<<<<<<< HEAD\ntemplate: a\n=======\ntemplate: b\n>>>>>>> x\n",
        "template: !!python/object/apply:os.system [id]\nversion: 1\nanswers: {}\n",
        "a: &a [*a]\n",
        b"\xff\xfe",
    ],
)
def test_a_file_of_answers_that_cannot_be_read_is_told(tmp_path: Path, text: str | bytes) -> None:
    """Emptied, edited, left in a conflict of git's: with how to get it back."""
    written(tmp_path, {**ORIGIN.written(), ANSWERS: text})
    with pytest.raises(UsageError, match=r"answers\.yaml cannot be read .* git checkout -- "):
        origin_of(tmp_path)


def test_a_version_may_look_like_a_number(tmp_path: Path) -> None:
    """Where somebody has taken its quotes off."""
    written(tmp_path, {**ORIGIN.written(), ANSWERS: "template: blank\nversion: 1.5\nanswers: {}\n"})
    assert origin_of(tmp_path).version == "1.5"

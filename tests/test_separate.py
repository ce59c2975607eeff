"""Python in a process of its own: what it answers, and what it says where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ostinato.separate import answer


def test_the_answer_comes_back_whatever_is_printed() -> None:
    """Strangers' files print, and read what is typed."""
    assert answer("print('noise'); said = [asked, sys.stdin.read()]", {"a": 1}, path=[], environment={}) == [
        {"a": 1},
        "",
    ]


def test_ostinato_and_the_given_folders_can_be_imported(tmp_path: Path) -> None:
    """Last of all, so that nothing there is taken for a library."""
    (tmp_path / "mine.py").write_text("x = 3")
    (tmp_path / "string.py").write_text("raise SystemExit('not me')")
    code = "import ostinato, string, mine; said = mine.x"
    assert answer(code, None, path=[tmp_path], environment={}) == 3


def test_what_lies_where_it_is_called_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself would look there first."""
    (tmp_path / "string.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    assert answer("import string; said = string.digits", None, path=[], environment={}) == "0123456789"


def test_the_environment_is_the_given_one() -> None:
    """Nothing of it reaches the caller's."""
    assert answer("import os; os.environ['B'] = '2'; said = os.environ['A']", 0, path=[], environment={"A": "1"}) == "1"
    assert "B" not in os.environ


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("import os; os._exit(3)", "exit code 3"),
        ("sys.exit('wrong value\\n    For further information visit https://example.org')", "wrong value"),
    ],
)
def test_without_an_answer_the_last_thing_it_said_is_the_error(code: str, message: str) -> None:
    """Below pydantic's messages there is an address, which says nothing."""
    with pytest.raises(RuntimeError, match=f"^{message}$"):
        answer(code, None, path=[], environment={})

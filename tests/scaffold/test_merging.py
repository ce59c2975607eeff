"""Three versions made one: nothing of the owner's is lost, and what only the template changed arrives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigurationError
from ostinato.scaffold.merging import Change, changes
from scaffold.little_template import git

LINES = [b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eight"]
CONTENTS = st.none() | st.lists(st.sampled_from("abcde"), max_size=7).map(
    lambda lines: "".join(f"{x}\n" for x in lines)
)
VERSIONS = st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.tuples(CONTENTS, CONTENTS, CONTENTS))


def text(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def one(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> Change | None:
    """What becomes of one file."""
    versions = ({} if version is None else {"f": version} for version in (base, ours, theirs))
    found = changes(*versions)
    return found[0] if found else None


@settings(max_examples=60)
@given(VERSIONS)
def test_what_one_side_changed_stands(versions: dict[str, tuple[str | None, str | None, str | None]]) -> None:
    """What only the owner changed stays, what only the template changed arrives, and no line of the owner's is lost."""
    sides = [
        {path: content.encode() for path, each in versions.items() if (content := each[side]) is not None}
        for side in range(3)
    ]
    base, ours, theirs = sides
    after = dict(ours)
    for change in changes(base, ours, theirs):
        if change.fate == "removed":
            del after[change.path]
        elif change.content is not None:
            after[change.path] = change.content
    for path in versions:
        was, own, new = base.get(path), ours.get(path), theirs.get(path)
        if new in (was, own):
            assert after.get(path) == own  # the template has nothing new to say
        elif own == was:
            assert after.get(path) == new  # nobody had touched it
        elif own is not None:
            assert after.get(path) is not None
            added = set(own.splitlines()) - set((was or b"").splitlines())
            assert added <= set(after[path].splitlines())


def test_edits_in_different_places_are_merged() -> None:
    """Each side's, without a question."""
    ours, theirs = text(b"ONE", *LINES[1:]), text(*LINES[:-1], b"EIGHT")
    assert one(text(*LINES), ours, theirs) == Change("f", "merged", text(b"ONE", *LINES[1:-1], b"EIGHT"))


def test_edits_in_the_same_place_are_a_conflict_with_all_three() -> None:
    """Marked as git marks it, so that editors know it."""
    found = one(b"a\n", b"b\n", b"c\n")
    assert found == Change(
        "f",
        "conflict",
        b"<<<<<<< yours\nb\n||||||| as it was made\na\n=======\nc\n>>>>>>> the template\n",
    )


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "fate"),
    [
        (b"a", b"a", b"b", "written"),
        (None, None, b"b", "added"),
        (b"a", b"a", None, "removed"),
        (b"a", b"A", None, "kept"),
        (b"a", None, b"b", "kept"),
        (b"a", None, None, None),
        (b"a", b"b", b"b", None),
        (None, b"b", b"b", None),
        (None, b"A\n", b"b\n", "conflict"),
        (b"\0a", b"\0b", b"\0c", "kept"),
        (b"\0a", b"text", b"other", "kept"),
        (b"\0a", b"\0a", b"\0c", "written"),
        (b"", b"a\n", b"b\n", "conflict"),
    ],
)
def test_each_case_has_its_fate(base: bytes | None, ours: bytes | None, theirs: bytes | None, fate: str | None) -> None:
    """A file that its owner removed or edited is theirs; a picture cannot be merged."""
    found = one(base, ours, theirs)
    assert (found.fate if found else None) == fate


def test_a_file_with_the_ends_of_lines_of_windows_keeps_them() -> None:
    """Git may have written it so; that is no edit, and no conflict on every line."""

    def crlf(content: bytes) -> bytes:
        return content.replace(b"\n", b"\r\n")

    base, theirs = text(*LINES), text(*LINES[:-1], b"EIGHT")
    assert one(base, crlf(base), theirs) == Change("f", "written", crlf(theirs))
    assert one(base, crlf(base), None) == Change("f", "removed")
    ours = text(b"ONE", *LINES[1:])
    assert one(base, crlf(ours), theirs) == Change("f", "merged", crlf(text(b"ONE", *LINES[1:-1], b"EIGHT")))


@pytest.mark.parametrize("settings_", ["merge.conflictStyle=merge", "core.autocrlf=true", "diff.algorithm=minimal"])
def test_a_persons_git_settings_change_nothing(settings_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what a hook tells git of another repository."""
    expected = one(b"a\n", b"b\n", b"c\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    git(tmp_path, "config", "-f", str(tmp_path / ".gitconfig"), *settings_.split("="))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert one(b"a\n", b"b\n", b"c\n") == expected


@pytest.mark.parametrize(("script", "said"), [(None, "needs? git"), ("kill -9 $$", "failed"), ("exit 255", "failed")])
def test_without_a_git_that_works_nothing_is_merged(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not there, was killed, or refuses: half a merge would be taken for the whole."""
    if script:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) if script is None else f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ConfigurationError, match=said):
        one(b"a\n", b"b\n", b"c\n")

"""Three versions of a project made one: as it was made, as it is now, as the template would make it today."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ostinato.errors import ConfigurationError

from .pristine import Files

Fate = Literal["written", "added", "removed", "merged", "conflict", "kept"]


@dataclass(frozen=True)
class Change:
    """What becomes of a file that the template makes otherwise now.

    Attributes:
        fate: "written" (nobody had touched it), "added", "removed", "merged" (both had changed it, in different
            places), "conflict" (in the same), or "kept" (what its owner did to it stands, whatever the template says).
        content: None for a file that goes, or stays as it is.
    """

    path: str
    fate: Fate
    content: bytes | None = None


def changes(base: Files, ours: Files, theirs: Files) -> list[Change]:
    """What is to be done to a project, by path: only where the template changed, and never at its owner's cost.

    Args:
        base: as the template once made it.
        ours: the same paths, and those of `theirs`, as they are.
        theirs: as the template makes it now.
    """
    touched = sorted(path for path in {*base, *theirs} if base.get(path) != theirs.get(path))
    found = (_change(path, base.get(path), ours.get(path), theirs.get(path)) for path in touched)
    return [change for change in found if change is not None]


def _change(path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None) -> Change | None:
    if ours == theirs:
        return None
    if ours is not None and base is not None and _has_crlf(ours) and not _has_crlf(base):
        return _with_crlf(_change(path, base, ours.replace(b"\r\n", b"\n"), theirs))
    if theirs is None:  # the template has it no more
        return Change(path, "removed") if ours == base else Change(path, "kept")
    if ours is None:  # new, or taken out by its owner
        return Change(path, "added", theirs) if base is None else Change(path, "kept")
    if ours == base:
        return Change(path, "written", theirs)
    if any(_is_binary(version) for version in (base or b"", ours, theirs)):
        return Change(path, "kept")
    merged, clean = _merged(base or b"", ours, theirs)
    return Change(path, "merged" if clean else "conflict", merged)


def _is_binary(content: bytes) -> bool:
    return b"\0" in content


def _has_crlf(content: bytes) -> bool:
    """Whether all lines end as on Windows, where git may write them so."""
    return b"\r\n" in content and content.count(b"\r\n") == content.count(b"\n")


def _with_crlf(change: Change | None) -> Change | None:
    if change is None or change.content is None:
        return change
    return replace(change, content=change.content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def _merged(base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Git's merge of a file, which needs no repository; and whether it is without conflicts."""
    versions = {"yours": ours, "as it was made": base, "the template": theirs}
    with tempfile.TemporaryDirectory(prefix="ostinato-") as scratch:
        paths = [Path(scratch, str(place)) for place in range(3)]
        for path, content in zip(paths, versions.values(), strict=True):
            path.write_bytes(content)
        labels = [part for label in versions for part in ("-L", label)]
        done = git("merge-file", "-p", "--diff3", *labels, *map(str, paths))
    if not 0 <= done.returncode <= 127:  # else it is the number of conflicts
        raise ConfigurationError(f"git merge-file failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout, done.returncode == 0


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git, in English, and without what a hook or a rebase tells it of another repository.

    Raises:
        ConfigurationError: there is none.
    """
    of_callers = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "LANGUAGE")
    environment = {key: value for key, value in os.environ.items() if key not in of_callers} | {"LC_ALL": "C"}
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False, env=environment)  # noqa: S603, S607
    except FileNotFoundError:
        raise ConfigurationError("Updates need git, which is not installed here.") from None

"""What a run was made of: the version of its code and of its environment."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import platform
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from . import __version__
from .artifacts import digest_of


def tags(function: Callable[..., Any]) -> dict[str, str]:
    """`code` (git commit, `+dirty` where edited; else the source's digest), `environment`, `python`, `ostinato`."""
    return {
        "code": code_version(function),
        "environment": digest_of(packages()),
        "python": platform.python_version(),
        "ostinato": __version__,
    }


def code_version(function: Callable[..., Any]) -> str:
    """The version of the code a function stands in: `git:<commit>[+dirty]`, else `sha256:<digest of its file>`."""
    try:
        file = Path(inspect.getsourcefile(function) or "<typed>").resolve(strict=True)
    except (OSError, TypeError):
        return "unknown"
    if (commit := _git(file.parent, "rev-parse", "HEAD")) and _git(file.parent, "ls-files", file.name):
        return f"git:{commit}{'+dirty' if _git(file.parent, 'status', '--porcelain', '-uno') else ''}"
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603 -- git
    except (OSError, subprocess.SubprocessError):
        return ""


@functools.cache
def packages() -> dict[str, str]:
    """Every installed distribution and its version."""
    found = {}
    for distribution in metadata.distributions():
        # an interrupted installation leaves nameless folders behind; what asking them raises depends on the finder
        with contextlib.suppress(AttributeError, KeyError, OSError, TypeError):
            found[distribution.name] = distribution.version
    return dict(sorted((name, version) for name, version in found.items() if name))

"""Python in a process of its own: strangers' files are run there, with what they print, change and end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Like an engine, which appends its folders, it looks in them last.
_AROUND = """
import json, sys
asked = json.load(sys.stdin)
sys.path += sys.argv[2:]
{code}
with open(sys.argv[1], "w") as out:
    json.dump(said, out)
"""


def answer(code: str, asked: Any, *, path: Sequence[Path], environment: Mapping[str, str]) -> Any:
    """What `code` binds to `said`; it finds the question as `asked`, and may import ostinato and from `path`.

    Raises:
        RuntimeError: it gave no answer; the last thing it said.
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-") as place:
        out = Path(place, "answer.json")
        folders = [str(folder) for folder in (Path(__file__).parents[1], *path)]
        command = [sys.executable, "-P", "-c", _AROUND.format(code=code), str(out), *folders]
        done = subprocess.run(  # noqa: S603 -- Python itself
            command, input=json.dumps(asked), env={**environment}, capture_output=True, text=True, check=False
        )
        if not out.exists():
            raise RuntimeError(_last(done.stderr) or f"exit code {done.returncode}")
        return json.loads(out.read_text())


def _last(said: str) -> str:
    """The last line that says something: below pydantic's own there is an address."""
    lines = [line.strip() for line in said.splitlines() if "For further information visit" not in line]
    return next((line for line in reversed(lines) if line), "")

"""Ask a person before something is released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato.artifacts import Approval, Verdict
from ostinato.context import current
from ostinato.graph import step


@step(asks=True)
def approve(
    verdict: Verdict,
    *,
    required: bool = False,
    timeout: float | str = "24h",
    answer: Mapping[str, Any] | None = None,
) -> Approval:
    """Ask whether a candidate may be released; its verdict is what the person is shown.

    Not required means granted by policy, and is recorded as that. No answer in time means no.

    Args:
        required: whether a person must agree.
        timeout: how long the engine waits: seconds, or text like "90s", "15m", "24h".
        answer: handed in by the engine: `{granted, by, why}`, or None where nobody answered.
    """
    if not required:
        approval = Approval.of(granted=True, by="policy", why="no approval is required")
    elif answer is None:
        approval = Approval.of(granted=False, by="nobody", why=f"timed out: no answer within {timeout}")
    else:
        approval = Approval.of(granted=answer["granted"] is True, by=str(answer["by"]), why=str(answer["why"]))
    word = "granted" if approval.granted else "not granted"
    current().log(f"{word} by {approval.by}: {approval.why}")
    return approval

"""How earlier runs of the same pipeline found the same table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.context import current
from ostinato.outcome import validations
from ostinato.records import RunRecord
from ostinato.runner import records_of

_MOST = 30  # runs


def shortened(text: str, most: int) -> str:
    """A text that takes at most so many bytes of JSON, in which a character may be twelve; references stay small."""
    while len(json.dumps(text)) > most:
        text = text[: len(text) * 9 // 10]
    return text


@dataclass(frozen=True)
class History:
    """Earlier validations of one subject, newest first, each with its run."""

    subject: str
    entries: Sequence[tuple[RunRecord, dict[str, Any]]] = ()

    @classmethod
    def of(cls, subject: str) -> History:
        """Of the running pipeline, this run left out."""
        context, subject = current(), shortened(subject, 600)
        if not context.pipeline:
            return cls(subject)
        records = records_of(context.workspace.home)
        found = [
            (run, reference["facts"])
            for run in records.runs(pipeline=context.pipeline, most=_MOST)
            if run.run_id != context.run_id
            for recorded in records.steps(run.run_id)
            for reference in validations(recorded)
            if recorded.step == context.step and reference["facts"].get("subject") == subject
        ]
        return cls(subject, found)

    def last_rows(self) -> int | None:
        """How many rows were left in the latest run that succeeded and stands for no later moment than this one."""
        as_of = current().as_of
        for run, facts in self.entries:
            if run.state == "succeeded" and (as_of is None or run.moment is None or run.moment <= as_of):
                return int(facts["rows"]) - int(facts["quarantined"])
        return None

    def for_page(self) -> list[dict[str, Any]]:
        """What the page shows of them, oldest first."""
        kept = ("rows", "quarantined", "share", "outcome")
        return [
            {"started": run.started, **{name: facts[name] for name in kept}} for run, facts in reversed(self.entries)
        ]

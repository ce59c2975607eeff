"""What Prefect's pages show of a run: the verdict as a table, the report with its plots, how far a long step is.

None of it is needed by the run: where Prefect does not take it, the log says so, and the run goes on.
"""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event
from prefect.logging import get_run_logger

from ostinato.artifacts import is_reference
from ostinato.decision import decided
from ostinato.evidence import evidence_of
from ostinato.plots import plots, png
from ostinato.records import RunRecord
from ostinato.wording import demanded, measured, metric, quantity
from ostinato.workspace import is_remote

LARGEST = 200_000  # bytes of an artifact, which Prefect keeps in its database
PROMOTED = "ostinato.model.promoted"
"""The event of a model that has become the champion; its resource is `ostinato.model.<name>`."""
_LONG = 2.0  # seconds from which a step's progress is worth showing, and between two looks at it


def show(run: RunRecord, name: str, output: Any) -> None:
    """What people and other deployments want to know of a step's result."""
    if not is_reference(output):
        return
    facts = output["facts"]
    if output["kind"] == "Verdict":
        with _optional("verdict"):
            create_table_artifact(_checks(facts), key_of(run.pipeline, name), f"The verdict: {facts['outcome']}.")
    if facts.get("promoted"):
        with _optional("promotion"):
            resource = {
                "prefect.resource.id": f"ostinato.model.{facts['name']}",
                "prefect.resource.name": facts["name"],
            }
            told = {key: facts[key] for key in ("name", "version", "kind", "replaced") if key in facts}
            emit_event(PROMOTED, resource, payload={**told, "pipeline": run.pipeline, "run_id": run.run_id})


def _checks(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "check": _plain(metric(str(check["name"]))),  # text is Markdown there
            "found": _plain(measured(check)),
            "wanted": _plain(demanded(check)),
            "outcome": _plain(check["outcome"]),
        }
        for check in facts["checks"]
    ]


def show_report(outcome: Mapping[str, Any]) -> None:
    """The decision, the numbers and the plots of a run on its page, as far as they fit; and where the report lies."""
    with _optional("report"):
        key = key_of(outcome["pipeline"], "report")
        create_markdown_artifact(_page(outcome), key, f"The report of {outcome['run_id']}")
        if is_remote(outcome["report"]):
            create_link_artifact(outcome["report"], "The whole report", f"{key}-page")


def _page(outcome: Mapping[str, Any]) -> str:
    decision = decided(outcome)
    lines = [f"# {_plain(decision.word)}", "", _plain(decision.sentence), "", f"The report: `{outcome['report']}`", ""]
    numbers = outcome["metrics"].items()
    if numbers:
        lines += ["| measure | value |", "| --- | --- |"]
        lines += [f"| {_plain(metric(name))} | {_plain(quantity(name, value))} |" for name, value in numbers]
    text = "\n".join(lines)
    for plot in plots(evidence_of(outcome)):
        drawn = f"data:image/png;base64,{base64.b64encode(png(plot)).decode()}"
        image = f"\n\n## {_plain(plot.title)}\n\n{_plain(plot.hint)}\n\n![{_plain(plot.says)}]({drawn})"
        if len(text) + len(image) > LARGEST:
            return f"{text}\n\nThere are more plots in the report itself."
        text += image
    return text


def _plain(text: Any) -> str:
    """A text of others in Markdown as it is written."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", " ".join(str(text).split()))


def key_of(*parts: str) -> str:
    """The key of an artifact: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-") or "ostinato"


class Progress:
    """How far a step is, on its page, where it takes longer than a moment."""

    def __init__(self, step: str) -> None:
        self.step, self._last, self._artifact = step, time.monotonic(), None

    def show(self, done: float, total: float | None) -> None:
        """Show it, unless it has just been shown; `total` None means that nobody knows."""
        if not total or time.monotonic() - self._last < _LONG:
            return
        self._last, share = time.monotonic(), max(0.0, min(100.0, 100.0 * done / total))
        with _optional("progress"):
            if self._artifact is None:
                self._artifact = create_progress_artifact(share, description=self.step)
            else:
                update_progress_artifact(self._artifact, share)


@contextlib.contextmanager
def _optional(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        get_run_logger().warning("Prefect was not told of the %s: %s", what, error)

"""What a team is told of a run: one incident where it fails, and all that follows in the incident's thread.

Every engine calls these from its hooks, as often and from as many processes as it likes; each thing is told once. They
only write messages down, from the records alone; `ostinato.delivery` brings them where they belong.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from . import errors
from .errors import UsageError
from .graph import Pipeline, seconds
from .outbox import Incident
from .outcome import outcome, validations
from .records import Records, RunRecord, StepRecord, day_of, sentence
from .scrubbing import said, scrub
from .workspace import is_remote, local_path

COOLDOWN = 3600.0  # seconds
LONGEST_CAUSE = 600  # characters
_LINES = 6  # of one kind in a message

Line = list[tuple[str, str]]
"""What a message says in one line: pairs of a word and a value."""


def addressed(pipeline: Pipeline[...]) -> dict[str, str]:
    """What a run's tags must hold of its pipeline so that its alerts find their way: `owner` and `on_failure`."""
    known = {"owner": pipeline.options.owner, "on_failure": pipeline.options.on_failure}
    return {name: value for name, value in known.items() if value}


def failed(records: Records, run_id: str, step: str = "", map_key: str = "") -> bool:
    """Open a run's incident; True where it had none. To be called as soon as a step has failed for good.

    Where the pipeline has failed for the same reason within `OSTINATO_ALERT_COOLDOWN` (1h), it goes to that thread.

    Args:
        step: the one that failed, where the engine knows; else the first on record.
        map_key: its item, of a mapped step.
    """
    run, failures = records.run(run_id), _failures(records, run_id)
    known = [one for one in failures if (one.step, one.map_key) == (step, map_key)]
    first = next(iter(known or failures), None)
    reason = f"{first.step if first else ''}: {(_error(run, first) or {}).get('type', '')}"
    about = _about(records, run, first)

    def compose(earlier: Incident | None, count: int) -> tuple[str, dict[str, Any]]:
        title = f"{run.pipeline} failed{_at(first)}"
        if earlier is not None:
            title += f" again: {count} times since {datetime.fromtimestamp(earlier.at, UTC):%H:%M} UTC"
        return title, _message("incident", "🔴", title, [_cause(run, first)], about, run, earlier)

    return records.outbox.open(run.run_id, run.pipeline, reason, compose, key=f"{run_id}/failed", cooldown=_cooldown())


def resumed(records: Records, run_id: str) -> bool:
    """Tell that what did not finish in a run is tried again, where its failure was told."""
    outbox = records.outbox
    incident = outbox.incident(run_id)
    if incident is None or not incident.reason:
        return False
    run, title = records.run(run_id), "Resumed: what did not finish runs again"
    body = _message("update", "🔵", title, [], [[("run", run_id)]], run, incident)
    return outbox.post(f"{run_id}/resumed/{_times_resumed(records, run_id) + 1}", incident.thread, run_id, body)


def ended(records: Records, run_id: str) -> None:
    """Tell how a run ended, as far as that is news: what else failed, recovery, promotion, warnings.

    A run that ended as it should has nothing to tell; nor has one that rejected its candidate.
    """
    run = records.run(run_id)
    if run.state == "failed":
        failed(records, run_id)
        _tell_failures(records, run)
    elif run.state == "cancelled":
        what = f"cancelled/{_times_resumed(records, run_id)}"
        _tell(records, run, what, "⚪", "The run was cancelled", [], [[("run", run.run_id)]])
    elif run.state == "succeeded":
        _tell_recovery(records, run)
    if run.state in ("failed", "succeeded"):
        found = outcome(records, run_id)
        _tell_promotion(records, run, found)
        _tell_warnings(records, run, found)


def noted(records: Records, run_id: str, key: str, title: str, text: str) -> None:
    """Tell what a step has to say, once for each `key`, in the run's thread; where it has none, it opens one."""
    run = records.run(run_id)
    lines = [said(text, ours=True)] if text else []
    _tell(records, run, f"note/{key}", "💬", said(title, ours=True), lines, [*_people(run), *_place(run)], opens=True)


# --- what is told -----------------------------------------------------------------------------------------------


def _tell_failures(records: Records, run: RunRecord) -> None:
    """What failed beside that which opened the incident, or again in a run that was resumed."""
    failures, again = _failures(records, run.run_id), _times_resumed(records, run.run_id)
    ended_otherwise = bool(run.error and failures and failures[0].error)
    incident = records.outbox.incident(run.run_id)
    if len(failures) < 2 and not again and not ended_otherwise and incident and incident.reason:
        return  # the incident has said it all
    title = f"{'Failed again' if again else 'The run has ended'}"
    title += f": {len(failures)} failures" if len(failures) > 1 else _at(failures[0] if failures else None)
    text = _summary(records, run, failures) + ([_cause(run, None)] if ended_otherwise else [])
    _tell(records, run, f"failures/{again}", "🔴", title, text, [[("run", run.run_id)], *_place(run), *_next(run)])


def _tell_recovery(records: Records, run: RunRecord) -> None:
    """In this run's thread, and in those of earlier runs of the pipeline that failed."""
    own = records.outbox.incident(run.run_id)
    if own is not None and own.reason and own.resolved is None:
        title = "Recovered: the run has succeeded"
        what = f"recovered/{_times_resumed(records, run.run_id)}"
        _tell(records, run, what, "🟢", title, [], [[("run", run.run_id)], *_place(run)])
        records.outbox.resolve(own.thread, run.run_id)
    for incident in records.outbox.unresolved(run.pipeline):
        if run.started < incident.at:
            continue
        title = f"Recovered: a later run of {run.pipeline} has succeeded"
        body = _message("update", "🟢", title, [], [[("run", run.run_id)], *_place(run)], run, incident)
        records.outbox.post(f"{run.run_id}/recovered/{incident.thread}", incident.thread, run.run_id, body)
        records.outbox.resolve(incident.thread, run.run_id)


def _tell_promotion(records: Records, run: RunRecord, found: Mapping[str, Any]) -> None:
    promotion, deployment = found["promotion"], found["deployment"]
    if not promotion or not promotion["promoted"]:
        return
    back = promotion.get("kind") == "rollback"
    title = f"{promotion['name']}: {'back to ' if back else ''}version {promotion['version']} is the champion"
    how = [("replaced", f"version {promotion['replaced']}")] if promotion.get("replaced") else []
    how += [("by", str(promotion["who"]))] if promotion.get("who") else []
    lines: list[Line] = [how] if how else []
    if deployment and deployment["deployed"]:
        lines += [[("serves", str(deployment.get("place") or deployment["target"]))]]
    text = [str(promotion["why"])] if promotion.get("why") else []
    _tell(
        records,
        run,
        f"promotion/{promotion['version']}",
        "🏆",
        title,
        text,
        [*lines, *_people(run), *_place(run)],
        opens=True,
    )


def _tell_warnings(records: Records, run: RunRecord, found: Mapping[str, Any]) -> None:
    """The warnings of validations, under one quiet message where nothing else was told."""
    warnings = [said(text, ours=True) for facts in found["validations"] for text in facts["warnings"]]
    if not warnings:
        return
    title = f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''} about the data"
    pages: list[Line] = [[("page", _path(facts["page"]))] for facts in found["validations"] if facts["warnings"]]
    if records.outbox.incident(run.run_id) is None:
        quiet: list[Line] = [*_people(run), *_place(run)]
        _tell(records, run, "warned", "🟡", f"{run.pipeline}: {title}", [], quiet, opens=True)
    _tell(records, run, "warnings", "🟡", title, _shortened(warnings), pages[:_LINES])


def _tell(
    records: Records,
    run: RunRecord,
    what: str,
    mark: str,
    title: str,
    text: Sequence[str],
    lines: Sequence[Line],
    *,
    opens: bool = False,
) -> None:
    """Write an update of a run's thread, once for each `what`; without a thread only where it `opens` one."""
    outbox, key = records.outbox, f"{run.run_id}/{what}"
    if opens:
        note = _message("note", mark, title, text, lines, run, None)
        if outbox.open(run.run_id, run.pipeline, "", lambda *_: (title, note), key=key):
            return
    incident = outbox.incident(run.run_id)
    if incident is not None:
        body = _message("update", mark, title, text, lines, run, incident)
        outbox.post(key, incident.thread, run.run_id, body)


def _message(
    kind: str,
    mark: str,
    title: str,
    text: Iterable[str],
    lines: Iterable[Line],
    run: RunRecord,
    under: Incident | None,
) -> dict[str, Any]:
    """A message as it is written down; nothing comes in that may not leave."""
    return {
        "kind": kind,
        "mark": mark,
        "title": scrub(title),
        "text": [scrub(one) for one in text],
        "lines": [[[word, scrub(value)] for word, value in line] for line in lines],
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "under": scrub(under.title) if under else None,
    }


# --- what it is made of -----------------------------------------------------------------------------------------


def _failures(records: Records, run_id: str) -> list[StepRecord]:
    """The steps and items that have failed, in the order in which they did."""
    found = [step for step in records.steps(run_id) if step.state == "failed"]
    return sorted(found, key=lambda step: (step.ended or 0, step.step, len(step.map_key), step.map_key))


def _times_resumed(records: Records, run_id: str) -> int:
    sign = f"{run_id}/resumed/"
    return sum(message.key.startswith(sign) for message in records.outbox.messages(run_id=run_id))


def _error(run: RunRecord, step: StepRecord | None) -> dict[str, Any] | None:
    return (step.error if step else None) or run.error


def _at(step: StepRecord | None) -> str:
    return f" at {_name(step)}" if step else ""


def _name(step: StepRecord) -> str:
    return f"{step.step}, item {int(step.map_key) + 1}" if step.map_key.isdigit() else step.step


def _cause(run: RunRecord, step: StepRecord | None) -> str:
    error = _error(run, step)
    if error is None:
        return "No cause is on record."
    text = said(sentence(error), ours=hasattr(errors, error["type"]))
    return text if len(text) <= LONGEST_CAUSE else f"{text[:LONGEST_CAUSE]}…"


def _summary(records: Records, run: RunRecord, failures: Sequence[StepRecord]) -> list[str]:
    """One line a step that failed: how many of its items, and why the first of them did."""
    by_step: dict[str, list[StepRecord]] = {}
    for step in failures:
        by_step.setdefault(step.step, []).append(step)
    items = [step.step for step in records.steps(run.run_id) if step.map_key]
    lines = []
    for name, found in by_step.items():
        many = f" ({len(found)} of {items.count(name)} items)" if found[0].map_key else ""
        lines.append(f"{name}{many}: {_cause(run, found[0])}")
    return _shortened(lines or [_cause(run, None)])


def _shortened(lines: Sequence[str]) -> list[str]:
    more = [f"… and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return [*lines[:_LINES], *more]


def _about(records: Records, run: RunRecord, step: StepRecord | None) -> list[Line]:
    """Whose run it was, where to look, what to do."""
    good = [one for one in records.runs(run.pipeline, most=5, state="succeeded") if one.run_id != run.run_id]
    last = f"{good[0].run_id} ({day_of(good[0].started)})" if good else "none on record"
    lines: list[Line] = [
        [*([("attempts", str(step.attempts))] if step and step.attempts > 1 else []), *_people(run)[0]],
        [("run", run.run_id), ("last good run", last)],
    ]
    page = next((facts["page"] for facts in _pages(step) if facts.get("page")), None)
    lines += [[("page", _path(page))]] if page else []
    lines += [[("log", step.log)]] if step and step.log else []
    return [*lines, *_place(run), *_next(run)]


def _pages(step: StepRecord | None) -> list[dict[str, Any]]:
    return [reference["facts"] for reference in validations(step)] if step else []


def _path(uri: str) -> str:
    """A page's place as people open it."""
    return uri if is_remote(uri) else str(local_path(uri))


def _people(run: RunRecord) -> list[Line]:
    """Whom to ask, and what the run stands for."""
    owner = run.tags.get("owner")
    as_of = (run.as_of or "").removesuffix("+00:00").removesuffix("T00:00:00")
    return [
        [
            *([("owner", owner)] if owner else []),
            *([("as of", as_of)] if as_of else []),
            ("engine", run.engine),
        ]
    ]


def _place(run: RunRecord) -> list[Line]:
    report: list[Line] = [[("report", run.report)]] if run.report else []
    page: list[Line] = [[("see", run.tags["page"])]] if "page" in run.tags else []
    return [*report, *page]


def _next(run: RunRecord) -> list[Line]:
    """The command to write, where one helps."""
    known = {
        "local": f"ostinato run --resume {run.run_id}",
        "airflow": "clear what failed, and it runs again",
        "prefect": "press Retry on its page: what succeeded is taken as it is",
    }
    has_button = run.engine != "prefect" or ("deployment" in run.tags and run.path)
    return [[("next", known[run.engine])]] if run.engine in known and has_button else []


def _cooldown() -> float:
    """How long one thread takes all that fails for the same reason, in seconds; an odd setting counts as none."""
    given = os.environ.get("OSTINATO_ALERT_COOLDOWN") or "1h"
    with contextlib.suppress(ValueError):
        return max(0.0, float(given))
    with contextlib.suppress(UsageError):
        return seconds(given) or COOLDOWN
    return COOLDOWN

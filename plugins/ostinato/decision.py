"""What a run came to, in plain words: promoted or not, why, and where it serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .artifacts import is_reference
from .markup import finite, number
from .wording import Yardstick, day, demanded, distance, measured, metric, named, quantity, signed


@dataclass(frozen=True)
class Decision:
    """A run's end: in a word or two, in one sentence, and how it is to be taken."""

    word: str
    sentence: str
    tone: Literal["good", "bad", "quiet"] = "quiet"


def decision(outcome: Mapping[str, Any]) -> str:
    """What a run came to, in one sentence."""
    return decided(outcome).sentence


def decided(outcome: Mapping[str, Any]) -> Decision:
    """What a run came to (see `ostinato.outcome`)."""
    state, verdict = outcome["state"], outcome["verdict"]
    if state == "waiting":
        return _waiting(outcome)
    if state == "running":
        return Decision("Running", "The run is running.")
    if state != "succeeded":
        return _failed(outcome)
    if verdict is None:
        return _moved(outcome) or Decision("Done", "The run succeeded.", "good")
    if verdict.get("outcome") == "unchanged":
        return _unchanged(outcome)
    if not verdict["passed"]:
        return _rejected(verdict)
    approval = outcome.get("approval")
    if approval is not None and not approval["granted"]:
        said = f"The candidate passed, and was not promoted: approval was refused by {approval['by']}"
        return Decision("Not promoted", f"{said} ({_bare(approval['why'])}).", "bad")
    return _moved(outcome) or _passed(outcome)


def question(pipeline: str, as_of: str | None, arguments: Mapping[str, Any]) -> str:
    """What a person is shown who is to decide, in Markdown: the checks of the verdict among a step's arguments.

    Each is written as code: names and numbers are others' text.
    """
    lines = [f"{_code(pipeline)}, as of {_code((as_of or '')[:10])}"]
    for value in arguments.values():
        facts = value["facts"] if is_reference(value) else {}
        lines += [f"- outcome: {_code(facts['outcome'])}"] if "outcome" in facts else []
        for check in facts.get("checks", ()):
            found, wanted = _code(measured(check)), f" ({demanded(check)})" if check.get("bound") is not None else ""
            lines.append(f"- {_code(named(check))}: {found}{wanted}, {_code(check['outcome'])}")
    return "\n".join(lines)


def _code(text: Any) -> str:
    """A text of others in Markdown, in which nothing is a link or a picture."""
    return f"`{' '.join(str(text).replace('`', chr(39)).split())}`"


def _waiting(outcome: Mapping[str, Any]) -> Decision:
    at = _named(outcome, "waiting")
    if outcome["verdict"] and outcome["verdict"]["passed"] and at:
        return Decision("Waiting for approval", f"The candidate passed and waits for approval{at}.")
    return Decision("Waiting", f"The run is waiting{at}.")


def _failed(outcome: Mapping[str, Any]) -> Decision:
    verb = "was cancelled" if outcome["state"] == "cancelled" else "failed"
    moved = _moved(outcome)
    before = f" Before that: {moved.sentence}" if moved is not None and moved.tone == "good" else ""
    word = "Cancelled" if outcome["state"] == "cancelled" else "Failed"
    return Decision(word, f"The run {verb}{_named(outcome, 'failed', 'cancelled')}.{before}", "bad")


def _unchanged(outcome: Mapping[str, Any]) -> Decision:
    model, champion = outcome["model"], outcome["verdict"].get("champion")
    what = version_of(model["uri"]) if model is not None and "version" in model["facts"] else "the one before"
    if champion:
        what = f"version {champion['version']}, which stays in place"
    return Decision("Unchanged", f"The candidate is no other than {what}: nothing was promoted.")


def _rejected(verdict: Mapping[str, Any]) -> Decision:
    failed = [check for check in verdict["checks"] if check["outcome"] == "fail"]
    unknown = [check for check in decisive(verdict["checks"]) if check["outcome"] not in ("pass", "fail")]
    said = _listed(map(missed, [*failed, *unknown]))
    if failed:
        return Decision("Rejected", f"The candidate was rejected: {said}.", "bad")
    return Decision("Not promoted", f"The candidate could not be judged, and does not count as passed: {said}.", "bad")


def decisive(checks: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The checks that must pass; a part with too few rows to be judged, for one, need not."""
    return [check for check in checks if check.get("decisive", True)]


def _moved(outcome: Mapping[str, Any]) -> Decision | None:
    """What was promoted and deployed, or refused."""
    promotion, deployment = outcome.get("promotion"), outcome.get("deployment")
    if promotion is None and deployment is None:
        return None
    if promotion is None:
        assert deployment is not None
        word = "Deployed" if deployment["deployed"] else "Not deployed"
        return Decision(word, *_deployed(deployment, f"{deployment['name']} version {deployment['version']}"))
    version = f"{promotion['name']} version {promotion['version']}"
    if not promotion["promoted"]:
        said = f"The candidate passed and is {version}, and was not promoted: {_bare(promotion['why'])}."
        return Decision("Not promoted", said, "bad")
    back = promotion.get("kind") == "rollback"
    before = promotion.get("replaced")
    replaced = f", in place of version {before}" if before else "; there was none before"
    said = f"{version} {'is the champion again' if back else 'is the new champion'}{replaced}."
    word = "Rolled back" if back else "Promoted"
    if deployment is None:
        return Decision(word, said, "good")
    there, tone = _deployed(deployment, "It")
    return Decision(word if tone == "good" else f"{word}, not deployed", f"{said} {there}", tone)


def _deployed(deployment: Mapping[str, Any], what: str) -> tuple[str, Literal["good", "bad"]]:
    if deployment["deployed"]:
        return f"{what} serves at {deployment['place']} ({deployment['target']}).", "good"
    if deployment.get("target") is None:
        return f"{what} was not deployed: no target is named.", "good"
    kept = f"; version {deployment['previous']} serves on" if deployment.get("previous") else ""
    return f"{what} was not deployed: {_bare(deployment.get('why'))}{kept}.", "bad"


def _passed(outcome: Mapping[str, Any]) -> Decision:
    model = outcome["model"]
    if model is None or "version" not in model["facts"]:
        return Decision("Passed", "The candidate passed.", "good")
    version = version_of(model["uri"])
    if model["facts"].get("unchanged"):
        return Decision("Unchanged", f"The candidate passed, and is no other than {version}: unchanged.")
    return Decision("Passed", f"The candidate passed and is {version}.", "good")


def circumstances(outcome: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Who and what stood behind the decision, by name."""
    verdict = outcome["verdict"] or {}
    approval, promotion, deployment = (outcome.get(kind) or {} for kind in ("approval", "promotion", "deployment"))
    said: list[tuple[str, Any]] = []
    if verdict:
        said += [("Judged against", _against(verdict)), ("Judged on", _judged_on(outcome))]
    if approval:
        word = "Approved by" if approval["granted"] else "Refused by"
        said.append((word, f"{approval['by']}: {approval['why']}"))
    if promotion:
        why = promotion.get("why")
        who = f"{promotion['who']}: {why}" if promotion["promoted"] and promotion.get("who") else why
        said += [("Promoted by" if promotion["promoted"] else "Promotion refused", who)]
        said += [("Ledger entry", promotion.get("entry"))]
    if deployment:
        said += [("Serves at", deployment["place"] if deployment["deployed"] else None)]
        said += [("Before it", f"version {deployment['previous']}" if deployment.get("previous") else None)]
    return said


def _against(verdict: Mapping[str, Any]) -> str | None:
    if "champion" not in verdict:
        return None
    champion = verdict["champion"]
    if not champion:
        return "no champion yet"
    same = f"scored again on the same {Yardstick.of(verdict).units}"
    scored = same if champion.get("metrics") else "which was not scored here"
    return f"version {champion['version']}, {scored}"


def _judged_on(outcome: Mapping[str, Any]) -> str | None:
    """The rows, when they are of, and that the model had not seen them, where that is known."""
    verdict = outcome["verdict"] or {}
    rows, yardstick = verdict.get("rows") or {}, Yardstick.of(verdict)
    if not rows.get("count"):
        return None
    metrics = verdict.get("metrics") or {}
    said = f"{number(metrics.get(yardstick.events, rows['count']))} {yardstick.events}"
    if yardstick.units != "rows" and yardstick.units in metrics:
        said += f" of {number(metrics[yardstick.units])} {yardstick.units}"
    if rows.get("from"):
        said += f" from {day(rows['from'][:10])} to {day(rows['until'][:10])}"
    learnt = (((outcome["model"] or {}).get("facts") or {}).get("window") or {}).get("until")
    later = learnt and rows.get("from") and str(learnt)[:10] < rows["from"][:10]
    return f"{said}, all of them later than those it learnt from" if later else said


def version_of(uri: str) -> str:
    """`models:/fraud/7` as people say it: "fraud version 7"."""
    return uri.removeprefix("models:/").replace("/", " version ")


def missed(check: Mapping[str, Any]) -> str:
    """What a check found wanting, and by how much."""
    if check["name"] == "champion" and check["outcome"] == "fail" and "low" in check:
        return _worse(check)
    key, why = str(check["name"]), check.get("why")
    name, value, bound = metric(key), finite(check.get("value")), finite(check.get("bound"))
    if why and (check["outcome"] != "fail" or value is None or bound is None or _explained(check)):
        said = _bare(why)
        return said if key == "champion" or said.startswith(name) else f"{name}: {said.removeprefix(f'{key} ')}"
    if check["outcome"] != "fail":
        return f"{name}: not enough data"
    if value is None or bound is None or value == bound:
        return name
    found, wanted = quantity(key, value), quantity(key, bound)
    return f"{name} is {found}, {distance(key, value, bound)} {'below' if value < bound else 'above'} {wanted}"


def _worse(check: Mapping[str, Any]) -> str:
    """By how much the candidate may be worse than the champion, or that it is not surely better."""
    value, low, high, bound = (finite(check.get(name)) or 0.0 for name in ("value", "low", "high", "bound"))
    found = f"(the difference is {signed(value)}, by chance {signed(low)} to {signed(high)})"
    what = metric(str(check.get("metric") or Yardstick().metric))
    if bound >= 0:
        return f"its {what} is not surely better than the champion's {found}"
    return f"its {what} may be {-low:.3f} worse than the champion's, where {-bound:g} is allowed {found}"


def _explained(check: Mapping[str, Any]) -> bool:
    """Whether more than the value decided: then only the check's own words tell what."""
    return "low" in check or "lift_lower_bound" in check


def _named(outcome: Mapping[str, Any], *states: str) -> str:
    names = dict.fromkeys(step["name"] for step in outcome["steps"] if step["state"] in states)
    return f" at {', '.join(names)}" if names else ""


def _listed(said: Iterable[str], most: int = 3) -> str:
    parts = list(said)
    more = f"; and {len(parts) - most} more" if len(parts) > most else ""
    return "; ".join(parts[:most]) + more


def _bare(why: Any) -> str:
    """A reason as a part of a sentence."""
    return str(why or "no reason is given").strip().rstrip(".")

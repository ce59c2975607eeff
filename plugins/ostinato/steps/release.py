"""From a judged model to the champion, and back."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ostinato import catalog, ledger
from ostinato.artifacts import Approval, Model, Promotion, Verdict
from ostinato.context import Context, current
from ostinato.errors import ContractError, PermanentError
from ostinato.graph import step
from ostinato.ledger import Entry
from ostinato.tables import Dataset


@step(retries=2, effect="once")
def register(model: Model, verdict: Verdict, *, name: str | None = None, validated: Dataset | None = None) -> Model:
    """Make a version of a model that passed its judgement.

    Run again after a crash it finds the version it made. Where the newest version is this very model no other is made,
    and the fact `unchanged` says so.

    Args:
        name: under which it is registered; by default the pipeline's.
        validated: the table as `validate` handed it on; what came of its suite is kept with the version.

    Raises:
        ContractError: the verdict is not a pass, or is about another model.
    """
    context = current()
    _check(model, verdict, "register")
    if validated is not None:
        model = ledger.with_suite(model, validated.facts.get("validation"))
    store = catalog.find("store", "mlflow")
    tags = ledger.evidence(model, verdict, context)
    version: Model = store.register(model, name or context.pipeline or "model", context.key, tags)
    word = "is already" if version.facts.get("unchanged") else "is now"
    context.log(f"{model.uri} {word} version {version.facts['version']} of {version.facts['name']!r}")
    return version


@step(retries=2, effect="once")
def promote(
    model: Model,
    verdict: Verdict,
    approval: Approval | None = None,
    *,
    name: str | None = None,
    backfill: bool = False,
) -> Promotion:
    """Make a registered version the champion, if it was judged against the one it replaces.

    It is refused, and the run goes on, when approval was not granted, when another champion came meanwhile, and when
    the run is a backfill: the engine says so, or it stands for a moment not later than the champion's. Run again after
    a crash it finds the entry it wrote.

    Args:
        model: as `register` returned it.
        approval: what was said about it; None where nobody was to be asked.
        name: of the registered model; the one the version belongs to.
        backfill: that this run works off the past.

    Raises:
        ContractError: the verdict is not a pass, is about another model or another name, or the model is no version.
        PermanentError: entries of the ledger are gone or were changed.
    """
    context = current()
    _check(model, verdict, "promote")
    version = _version(model, verdict, name)
    who = _who(context, approval)
    asked = {**version, "kind": "promote", "who": who}
    if approval is not None and not approval.granted:
        return _refused(asked, f"not approved by {approval.by}: {approval.why}")
    if backfill or context.tags.get("backfill", "").lower() in {"true", "1", "yes"}:
        return _refused(asked, "a backfill: a run that works off the past replaces no champion")
    evidence = ledger.evidence(model, verdict, context)
    if approval is not None:
        evidence |= {"approver": approval.by, "approval": ledger.reason(approval.why or "no reason given")}
    draft = functools.partial(
        ledger.promotion,
        to=version["version"],
        who=_in_full(who, context),
        why=ledger.summary(verdict),
        key=context.key,
        evidence=evidence,
    )
    entry = catalog.find("store", "mlflow").append(version["name"], context.key, draft, to=version["version"])
    return _refused(asked, entry) if isinstance(entry, str) else _done(version["name"], entry, who)


@step(retries=2, effect="once")
def rollback(name: str, *, why: str, to: str | None = None) -> Promotion:
    """Put the champion before back in its place, or a certain earlier one.

    A second rollback goes further back. Run again after a crash it finds the entry it wrote.

    Args:
        to: the version to go back to.

    Raises:
        PermanentError: there is nothing to go back to, or entries of the ledger are gone or were changed.
        ParameterError: there is no reason, or a whole document of it.
    """
    context = current()
    who = _who(context)
    draft = functools.partial(ledger.rollback, to=to, who=_in_full(who, context), why=why, key=context.key)
    entry = catalog.find("store", "mlflow").append(name, context.key, draft)
    if isinstance(entry, str):
        raise PermanentError(f"{entry[0].upper()}{entry[1:]}.")
    return _done(name, entry, who)


def _check(model: Model, verdict: Verdict, step_name: str) -> None:
    if not verdict.passed:
        decisive = [check for check in verdict.checks if check.get("decisive", True)]
        failed = [check["name"] for check in decisive if check["outcome"] != "pass"]
        raise ContractError(
            f"{model.uri} did not pass ({', '.join(failed)}); put {step_name} under when(verdict.passed)."
        )
    if verdict.facts["model"] != model.digest:
        raise ContractError(
            f"The verdict is about another model ({verdict.facts['model'][:19]}…), not about {model.uri} "
            f"({model.digest[:19]}…)."
        )


def _version(model: Model, verdict: Verdict, name: str | None) -> Mapping[str, str]:
    """Name and number of the version, of which the verdict must speak too."""
    facts = model.facts
    if "version" not in facts or "name" not in facts:
        raise ContractError(f"{model.uri} is no registered version: promote what register returned.")
    if name not in (None, facts["name"]):
        raise ContractError(f"{model.uri} is a version of {facts['name']!r}, not of {name!r}.")
    judged = (verdict.facts.get("ledger") or {}).get("name")
    if judged not in (None, facts["name"]):
        raise ContractError(
            f"The verdict was reached against the champion of {judged!r}, but {model.uri} is a version of "
            f"{facts['name']!r}: give evaluate and register the same name."
        )
    return {"name": facts["name"], "version": facts["version"]}


def _who(context: Context, approval: Approval | None = None) -> str:
    """The person who approved, else the pipeline: without the run, so that equal runs leave equal documents."""
    if approval is not None and approval.by not in {"policy", "nobody"}:
        return approval.by
    return context.pipeline or "a run"


def _in_full(who: str, context: Context) -> str:
    return who if who not in {context.pipeline, "a run"} else f"{who}, run {context.run_id}"


def _refused(asked: Mapping[str, Any], why: str) -> Promotion:
    current().log(f"version {asked['version']} of {asked['name']!r} was not promoted: {why}")
    return Promotion.of({**asked, "promoted": False, "replaced": None, "entry": None, "why": why})


def _done(name: str, entry: Entry, who: str) -> Promotion:
    before = f", after version {entry.replaced}" if entry.replaced else ""
    current().log(f"version {entry.to} of {name!r} is the champion{before}: {entry.why} (entry {entry.number})")
    facts = {"name": name, "version": entry.to, "kind": entry.kind, "who": who, "why": entry.why}
    return Promotion.of({**facts, "promoted": True, "replaced": entry.replaced, "entry": entry.number})

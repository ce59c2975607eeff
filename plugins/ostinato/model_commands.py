"""`ostinato model`: who is champion and why, promote and roll back by hand, verify the ledger."""

from __future__ import annotations

import functools
import getpass
import json
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from . import catalog, ledger
from .context import Context, running
from .errors import OstinatoError, PermanentError, UnknownName, UsageError
from .ledger import Entry, Finding, Ledger
from .markup import number
from .printing import print_json, print_table
from .workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Models: which is champion and why; promote, roll back.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="a registered model, see `list`")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="the reason; it stands in the ledger")]
By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="whose decision it is; you by default")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]

MOST_CHECKS, MOST_METRICS = 10, 8  # that fit one screen


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The registered models and their champions."""
    with _store() as store:
        found = {name: (store.read(name), count) for name, count in store.names().items()}
    if as_json:
        return print_json({"models": [_summary(each, count) for each, count in found.values()]})
    if not found:
        return typer.echo("No model is registered in this workspace yet.")
    rows = [_row(each, count) for each, count in found.values()]
    return print_table(("model", "champion", "since", "by", "versions", "alias"), rows)


@app.command()
def history(name: Name, as_json: AsJson = False) -> None:
    """All entries of a model's ledger, also those that did not count."""
    with _store() as store:
        found, _ = _known(store, name)
    if as_json:
        return print_json({"name": name, "head": found.head, "entries": [_told(found, each) for each in found.entries]})
    if not found.entries:
        return typer.echo(f"Nothing was promoted yet: the ledger of {name!r} is empty.")
    head = ("entry", "when", "what", "version", "after", "by", "why", "counts")
    print_table(head, [_line(found, entry) for entry in found.entries])
    for place, what in found.broken.items():
        typer.echo(f"entry {place} {what}")
    return None


@app.command()
def why(name: Name, as_json: AsJson = False) -> None:
    """Why a model's champion is in its place: who, when, on what evidence, from which data."""
    with _store() as store:
        found, versions = _known(store, name)
    wrong = [finding.what for finding in ledger.findings(found, versions)]
    if as_json:
        entry = _told(found, found.effective[-1]) if found.effective else None
        made = _told(found, found.stack[-1]) if found.stack else None
        return print_json({**_summary(found, len(versions)), "entry": entry, "promoted": made, "findings": wrong})
    if not found.effective:
        typer.echo(f"{name} has no champion: " + ("; ".join(wrong) or "nothing was promoted yet") + ".")
        return None
    lines = list(_reasons(found))
    lines += [("ledger", f"{len(found.entries)} entries; " + ("; ".join(wrong) or "all is as it says"))]
    typer.echo(f"{name}: version {found.champion} is the champion\n")
    for label, text in lines:
        typer.echo(f"{label:<12} {text}".rstrip())
    return None


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="the number of a registered version")],
    why: Why,
    unjudged: Annotated[
        bool, typer.Option("--unjudged", help="without a verdict, or against it; also to adopt what is in place")
    ] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="go on after entries of the ledger were lost or changed")
    ] = False,
    by: By = None,
) -> None:
    """Make a version the champion: on its recorded verdict, or on your word.

    Refused where the verdict was reached against another champion than there is now.
    """
    with _store() as store:
        _, versions = _known(store, name)
        if version not in versions:
            raise UnknownName("version", version, reversed(list(versions)))
        make = ledger.mend if mend else ledger.override if unjudged else ledger.promotion
        key, who, evidence = _key(), by or _me(), ledger.recorded(versions[version])
        draft = functools.partial(make, to=version, who=who, why=ledger.reason(why), key=key, evidence=evidence)
        _settle(store, name, store.append(name, key, draft))


@app.command()
def rollback(
    name: Name,
    why: Why,
    to: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="a certain earlier champion")] = None,
    by: By = None,
) -> None:
    """Put the champion before back in its place; a second time goes further back."""
    with _store() as store:
        _known(store, name)
        key = _key()
        draft = functools.partial(ledger.rollback, to=to, who=by or _me(), why=ledger.reason(why), key=key)
        _settle(store, name, store.append(name, key, draft))


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="a registered model; all by default")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="let the alias name the champion again")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that ledger, alias and versions agree; exit code 1 where they do not."""
    wrong: dict[str, list[Finding]] = {}
    counts: dict[str, int] = {}
    with _store() as store:
        for each in [name] if name is not None else store.names():
            found, versions = _known(store, each)
            if repair and not found.broken and found.alias != found.champion and found.effective:
                store.sync(found)
                found = store.read(each)
                typer.echo(f"the alias champion of {each} is set to version {found.champion}", err=True)
            wrong[each], counts[each] = ledger.findings(found, versions), len(found.entries)
    if as_json:
        print_json({"findings": {each: [asdict(finding) for finding in listed] for each, listed in wrong.items()}})
    else:
        _say(wrong, counts)
    if any(wrong.values()):
        sys.exit(1)


def _say(wrong: Mapping[str, Sequence[Finding]], counts: Mapping[str, int]) -> None:
    for name, listed in wrong.items():
        for finding in listed:
            typer.echo(f"FAIL  {name}: {finding.what}. Do: {finding.do}")
        if not listed:
            typer.echo(f"ok    {name}: {counts[name]} entries, and all is as they say")


# --- the store ----------------------------------------------------------------------------------------------------


@contextmanager
def _store() -> Iterator[Any]:
    """The model store, spoken to as by a step; what it says is shown."""
    context = Context(Workspace.here(), run_id=_key(), step="model", engine="none", emit=_show)
    with running(context):
        yield catalog.find("store", "mlflow")


def _show(event: Mapping[str, Any]) -> None:
    if event["event"] == "log":
        typer.echo(event["message"], err=True)


def _known(store: Any, name: str) -> tuple[Ledger, dict[str, dict[str, str]]]:
    """A model's ledger and what its versions say of themselves; of one that is gone, the ledger it left."""
    found: Ledger = store.read(name)
    try:
        return found, store.versions(name)
    except UnknownName:
        if not found.entries:
            raise
        return found, {}


def _settle(store: Any, name: str, entry: Entry | str) -> None:
    """Say how it went, and let what is deployed follow."""
    if isinstance(entry, str):
        raise PermanentError(f"Refused: {entry}.")
    before = f", after version {entry.replaced}" if entry.replaced else ""
    typer.echo(f"version {entry.to} of {name} is the champion{before} (entry {entry.number}, by {entry.who})")
    try:
        deployed = store.follow(name, entry.to)
    except OstinatoError as error:
        raise PermanentError(f"The champion is changed, but not what is deployed: {error}") from error
    if deployed is not None:
        typer.echo(f"deployed: {deployed['place']}" if deployed["deployed"] else f"not deployed: {deployed['why']}")


def _key() -> str:
    return f"by-hand-{secrets.token_hex(8)}"


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        raise UsageError("Nobody knows who you are here: say it with --by.") from None


# --- telling ------------------------------------------------------------------------------------------------------


def _summary(found: Ledger, versions: int) -> dict[str, Any]:
    head = found.effective[-1] if found.effective else None
    return {
        "name": found.name,
        "champion": found.champion,
        "since": head and head.at,
        "by": head and head.who,
        "versions": versions,
        "alias": found.alias,
        "alias_agrees": found.alias == found.champion,
        "trouble": ledger.trouble(found),
    }


def _row(found: Ledger, versions: int) -> tuple[str, ...]:
    head = found.effective[-1] if found.effective else None
    alias = "agrees" if found.alias == found.champion else f"names {found.alias}" if found.alias else "is gone"
    alias = "ledger broken" if found.broken else alias if head or found.alias else "-"
    since, by = (_minute(head.at), head.who) if head else ("-", "-")
    return found.name, found.champion or "-", since, by, str(versions), alias


def _told(found: Ledger, entry: Entry) -> dict[str, Any]:
    """An entry as JSON."""
    said = {**asdict(entry), "counts": found.counts(entry.number), "intact": entry.intact}
    evidence = dict(entry.evidence)
    for name in ("checks", "metrics", "features"):
        if name in evidence:
            evidence[name] = _parsed(evidence[name])
    return {**said, "evidence": evidence}


def _line(found: Ledger, entry: Entry) -> tuple[str, ...]:
    said = " ".join(entry.why.split())
    short = said if len(said) <= 60 else said[:59] + "…"
    counts = "yes" if found.counts(entry.number) else f"no: written against entry {entry.expected}"
    head = " (head)" if entry.number == found.head else ""
    after = entry.replaced or "-"
    return str(entry.number), _minute(entry.at), entry.kind, entry.to, after, entry.who, short, counts + head


def _reasons(found: Ledger) -> Iterator[tuple[str, str]]:
    """What stands behind the champion, as lines with a label."""
    head, told = found.effective[-1], found.effective[-1].evidence
    word = {"promote": "promoted", "override": "on a word", "rollback": "rolled back", "mend": "mended"}[head.kind]
    yield word, f"{_minute(head.at)} by {head.who}, entry {head.number}"
    yield "why", " ".join(head.why.split())
    yield "replaced", f"version {head.replaced}" if head.replaced else "nothing: it is the first champion"
    if (first := found.stack[-1]).number != head.number:
        yield "before that", f"promoted {_minute(first.at)} by {first.who}, entry {first.number}: {first.why}"
    if "approver" in (given := first.evidence):
        yield "approved by", f"{given['approver']}: {given.get('approval', '')}"
    yield "verdict", _verdict(told)
    checks = list(_parsed(told.get("checks", "[]")))
    for check in checks[:MOST_CHECKS]:
        bound = "" if check.get("bound") is None else f"bound {number(check['bound'])}"
        yield "", f"{check['name']:<28} {number(check['value']):>10}  {bound:<16} {check['outcome']}"
    if len(checks) > MOST_CHECKS:
        yield "", f"and {len(checks) - MOST_CHECKS} more"
    metrics = _parsed(told.get("metrics", "{}"))
    yield (
        "metrics",
        ", ".join(f"{name} {number(value)}" for name, value in list(metrics.items())[:8]) or "none on record",
    )
    yield "trained on", _rows(told, "data", "rows", "data")
    yield "judged on", _rows(told, "test", "test_rows", "test_data")
    yield "validation", told.get("suite", "not on record")
    yield "code", told.get("code", "not on record")
    run = f"{told['run_id']} of {told.get('pipeline', 'no pipeline')}" if "run_id" in told else "not on record"
    yield "run", run + (f", as of {told['as_of']}" if "as_of" in told else "")
    yield "model", told.get("model", "not on record")
    yield "hash", head.hash
    agrees = "as the ledger says" if found.alias == found.champion else f"but the ledger version {found.champion}"
    yield "alias", f"champion names version {found.alias}, {agrees}" if found.alias else "champion is gone"


def _verdict(told: Mapping[str, str]) -> str:
    if "verdict" not in told:
        return "none on record"
    against = told.get("judged_against")
    judged = "" if against is None else " without a champion" if against == "0" else f" against entry {against}"
    return f"{told.get('outcome')}{judged} ({told.get('mode', 'no mode')}), {told['verdict']}"


def _rows(told: Mapping[str, str], prefix: str, count: str, digest: str) -> str:
    span = [told.get(f"{prefix}_{end}", "?") for end in ("from", "until")]
    parts = [
        f"{span[0]} to {span[1]}" if span != ["?", "?"] else "",
        f"{int(told[count]):,} rows" if told.get(count, "").isdecimal() else "",
        told.get(digest, ""),
    ]
    return ", ".join(part for part in parts if part) or "not on record"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # somebody has edited it; verify says so
        return {}


def _minute(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return at

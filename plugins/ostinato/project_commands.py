"""`ostinato new` and `ostinato update`: projects from templates."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .scaffold.inspection import Inspection
    from .scaffold.updating import Update

Answer = Annotated[
    list[str] | None,
    typer.Option(
        "-a",
        "--answer",
        metavar="KEY=VALUE",
        help="name, engine (airflow, prefect, both, neither), source, columns.ROLE, schedule (cron), slack, owner",
    ),
]


def new(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="a name from `list`, or a template's folder")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder; it names the project")],
    answer: Answer = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="ask nothing: what is not answered takes its default")
    ] = False,
) -> None:
    """Make a project of your own from a template.

    It has a pipeline, a suite, a DAG, a flow and tests that pass at once: on made-up data, for both engines, unless you
    answer otherwise. With -a source=… the table is looked at: columns are proposed, a suite is drafted, and you are
    told of what may leak, is rare or is missing. Without a terminal nothing is asked.
    """
    from .scaffold.answers import named_after, parsed, without_password
    from .scaffold.finding import find_template
    from .scaffold.making import look, make, refuse_full
    from .scaffold.rendering import questions, usual_columns

    refuse_full(directory)
    found, given = find_template(template), parsed(answer or [])
    ask = not defaults and sys.stdin.isatty() and sys.stderr.isatty()
    asked = questions(found)
    if ask and "source" not in given and "source" in asked:
        given["source"] = _prompt("Which table? (Enter for made-up data)").strip()
    if source := given.get("source"):
        _say(f"{without_password(source)}:")
        if source != without_password(source):
            _say("  warning: the password is left out of the project: keep the whole address in its .env")
    seen = look(found, {"name": named_after(directory.resolve().name), **given})
    if seen is not None:
        _tell(seen)
        if ask:
            given["columns"] = _asked_columns(seen, given.get("columns", {}), usual_columns(asked))
            if given["columns"] != {role: seen.columns[role] for role in given["columns"]}:
                seen = look(found, {"name": named_after(directory.resolve().name), **given})
    make(found, directory, given, seen=seen, ask=ask)
    _say(f"Made {directory} from the template {found.name}.")
    if (directory / "Makefile").exists():
        there = directory.resolve() == Path.cwd()
        _say(f"next: {'' if there else f'cd {shlex.quote(str(directory))} && '}make test && make run")


def update(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="the project", show_default=False)] = Path("."),
    answer: Annotated[
        list[str] | None, typer.Option("-a", "--answer", metavar="KEY=VALUE", help="an answer that is to change")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 1 if something is new")] = False,
    template: Annotated[
        str | None, typer.Option(metavar="PATH", help="your template's folder, if it was moved")
    ] = None,
) -> None:
    """Bring a project up to date with its template.

    What you changed stays. It needs git, and everything committed, so that `git diff` shows what came. Conflicts arise
    only where you and the template changed the same lines; they are marked as git marks them.
    """
    from .scaffold.answers import parsed
    from .scaffold.updating import apply, planned, refuse_uncommitted

    found = planned(directory, parsed(answer or []), template=template)
    if not check:
        refuse_uncommitted(directory)
    _tell_changes(found, done=not check)
    if check:
        sys.exit(1 if found.changes else 0)
    apply(directory, found)
    if found.conflicts:
        _say("Conflicts are marked with <<<<<<< and >>>>>>>: choose, then commit.")
        sys.exit(1)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _prompt(question: str, default: str = "") -> str:
    """What a person types. Ctrl-C ends the command as it does at the template's own questions."""
    try:
        return str(typer.prompt(question, default=default, show_default=bool(default), err=True))
    except typer.Abort:
        raise KeyboardInterrupt from None


def _tell(seen: Inspection) -> None:
    for sentence in seen.found:
        _say(f"  {sentence}")
    for sentence in seen.warnings:
        _say(f"  warning: {sentence}")


def _asked_columns(seen: Inspection, chosen: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The column of each role, as proposed or as typed; a role without a usual one may have none."""
    columns = dict(chosen)
    for role, proposed in seen.columns.items():
        if role in chosen or isinstance(proposed, list):
            continue
        while True:
            optional = not usual.get(role)
            hint = f" ({'- for none' if proposed else 'Enter for none'})" if optional else ""
            question = f"Column of the {role}{hint}"
            said = _prompt(question, proposed or "") or None
            if said == "-" and optional and "-" not in seen.names:
                said = None
            if said in seen.names or (said is None and optional):
                break
            _say(f"There is no column {said or ''!r}; there are {', '.join(seen.names)}.")
        columns[role] = said
    return columns


def _tell_changes(found: Update, *, done: bool) -> None:
    """Each file and what becomes of it, then the template's notes."""
    before, after = found.before or "an earlier state", found.origin.version or "what it is now"
    moved = f"{before} to {after}" if before != after else f"{after}, with other answers or a newer build"
    if not found.changes:
        return _say(f"Up to date with {found.origin.template} {found.origin.version or ''}".rstrip() + ".")
    _say(f"{found.origin.template}: {moved}" + ("" if done else "; nothing was written"))
    for change in found.changes:
        _say(f"  {change.fate:<8}  {change.path}")
    if found.notes:
        _say(f"\n{found.notes}")
    return None

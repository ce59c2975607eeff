"""The command line: what there is, run it, look at what ran."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand

from . import model_commands, project_commands
from .errors import OstinatoError, ParameterError, UsageError
from .printing import print_json, print_table

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Machine-learning pipelines, written once: run them here, on Airflow, on Prefect.",
    epilog="Exit codes: 0 done (a rejected candidate is done), 1 a step failed, 2 wrong usage or configuration.",
)
data_app = typer.Typer(no_args_is_help=True, help="Sample data to try a pipeline on.")
app.add_typer(data_app, name="data")
suite_app = typer.Typer(no_args_is_help=True, help="Suites: the rules a table must meet.")
app.add_typer(suite_app, name="suite")
app.add_typer(model_commands.app, name="model")

PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="a name from `list`, module:function or file.py")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]


@app.callback()
def before(context: typer.Context) -> None:
    """What every command does first: close runs that were found dead, send alerts that wait."""
    if context.invoked_subcommand != "run" and "--help" not in sys.argv:  # a run does so itself
        from .engines.local_run import tend

        tend()


def main() -> None:
    """The `ostinato` command."""
    # environment first: the libraries a step loads must not phone home
    for name, value in (("DO_NOT_TRACK", "1"), ("GX_ANALYTICS_ENABLED", "false"), ("MLFLOW_DISABLE_TELEMETRY", "true")):
        os.environ.setdefault(name, value)
    sys.path.insert(0, os.getcwd())  # module:function means one here, as with `python -m`
    try:
        app()
    except OstinatoError as error:
        _people().print(f"[bold red]ostinato:[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def _people() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _place(uri: str) -> str:
    """A URI as people open it: a path, where it is one."""
    from .workspace import is_remote, local_path

    return uri if is_remote(uri) else str(local_path(uri))


# --- what there is ----------------------------------------------------------------------------------------------


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The pipelines and the templates there are."""
    from .catalog import find_pipeline, names
    from .scaffold.finding import described

    found = {name: (find_pipeline(name).__doc__ or "").strip().split("\n")[0] for name in names("pipelines")}
    templates = described()
    if as_json:
        return print_json({"pipelines": found, "templates": templates})
    print_table(("pipeline", "what it does"), list(found.items()))
    typer.echo()
    return print_table(("template", "what `ostinato new` makes of it"), list(templates.items()))


@app.command()
def show(
    pipeline: PipelineName,
    form: Annotated[str, typer.Option("--format", help="text, mermaid or json")] = "text",
) -> None:
    """A pipeline's graph and its parameters."""
    from . import drawing, parameters
    from .catalog import find_pipeline

    found = find_pipeline(pipeline)
    if form == "json":
        return print_json({**found.graph.to_json(), "parameters": parameters.schema(found)})
    if form == "mermaid":
        return typer.echo(drawing.mermaid(found.graph))
    if form != "text":
        raise ParameterError(f"There is no format {form!r}: write text, mermaid or json.")
    typer.echo(drawing.text(found.graph) + "\n")
    print_table(("parameter", "default", "type"), _parameter_rows(found))
    return None


def _parameter_rows(pipeline: Any) -> list[tuple[str, str, str]]:
    from . import parameters

    rows = []
    for name, kind in parameters.names(pipeline).items():
        default = parameters.default(pipeline, name)
        if not isinstance(default, Mapping) or not default:  # a group is shown by its members
            shown = default if isinstance(default, str) else json.dumps(default, default=str)
            rows.append((name, shown, parameters.spelled(kind)))
    return rows


# --- run --------------------------------------------------------------------------------------------------------


@app.command()
def run(
    pipeline: Annotated[str | None, typer.Argument(metavar="PIPELINE", help="as in `show`; not with --resume")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="e.g. -p columns.time=ts")
    ] = None,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="the moment the run stands for")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="run only what did not finish in that run")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="agree, should the run ask for approval")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="refuse, should it ask")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline here, to its end.

    The run, its artifacts and its report are kept in the workspace (OSTINATO_HOME, by default .ostinato/). The table
    may be named by OSTINATO_<PIPELINE>_SOURCE, too, in the environment or in .env.
    """
    from .asking import answering
    from .catalog import find_pipeline
    from .context import from_environment
    from .display import shown
    from .engines import local_run
    from .parameters import with_source

    people = _people()
    ask = answering(people, approve=approve, reject=reject)
    if resume is not None and (parameter or as_of):
        raise ParameterError("--resume takes parameters and date from the run; give neither -p nor --as-of.")
    if resume is None and pipeline is None:
        raise ParameterError("Name a pipeline (see `ostinato list`) or a run to --resume.")
    found = None if pipeline is None else find_pipeline(pipeline)
    with shown(people) as listener:
        if resume is not None:
            result = local_run.resume(resume, found, listener=listener, ask=ask)
        else:
            assert found is not None  # refused above
            given = with_source(found, _parameters(parameter or []), from_environment)
            result = local_run.run(found, given, as_of=as_of, listener=listener, ask=ask)
    _tell(people, result)
    if as_json:
        print_json(result)
    if result["state"] != "succeeded":
        sys.exit(1)


def _parameters(given: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParameterError(f"-p {text!r} lacks a name or a value: write -p name=value.")
        if name in values:
            raise ParameterError(f"-p {name} is given twice.")
        values[name] = value
    return values


def _tell(people: Console, result: Mapping[str, Any]) -> None:
    """How a run ended, for people: failures first, the report's place last."""
    from .decision import decision
    from .markup import number
    from .outcome import title
    from .records import sentence
    from .report import validated

    for step in result["steps"]:
        if step.get("error"):
            people.print(f"[red]{_escaped(title(step))}[/] {_escaped(sentence(step['error']))}", soft_wrap=True)
            if step.get("log"):
                people.print(f"  log: {_escaped(step['log'])}", soft_wrap=True)
    if result["error"]:
        people.print(f"[red]{_escaped(sentence(result['error']))}[/]", soft_wrap=True)
    width = max((len(name) for name in result["metrics"]), default=0)
    for name, value in result["metrics"].items():
        people.print(f"{_escaped(name):<{width}}  [bold]{number(value)}[/]", soft_wrap=True)
    for facts in result["validations"]:
        people.print(f"[bold]data[/]      {_escaped(validated(facts))}", soft_wrap=True)
        for warning in facts["warnings"]:
            people.print(f"[yellow]warning[/]   {_escaped(warning)}", soft_wrap=True)
        people.print(f"          {_escaped(_place(facts['page']))}", soft_wrap=True)
    people.print(f"[bold]decision[/]  {_escaped(decision(result))}", soft_wrap=True)
    people.print(f"[bold]report[/]    {_escaped(result['report'])}", soft_wrap=True)
    if result["state"] != "succeeded":
        people.print(f"[bold]next[/]      ostinato run --resume {result['run_id']}", soft_wrap=True)


# --- what ran ---------------------------------------------------------------------------------------------------


@app.command()
def runs(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="a run's id, or the beginning of it")] = None,
    most: Annotated[int, typer.Option(min=1, help="how many runs to list")] = 20,
    as_json: AsJson = False,
) -> None:
    """What ran, how it ended, what it cost."""
    from .engines.local_run import bury
    from .outcome import outcome
    from .runner import records_of
    from .workspace import Workspace

    workspace = Workspace.here()
    workspace.prepare()
    bury(workspace.home)
    records = records_of(workspace.home)
    if run_id is not None:
        result = outcome(records, run_id)
        return print_json(result) if as_json else _show_run(result)
    found = [outcome(records, run.run_id) for run in records.runs(most=most)]
    if as_json:
        return print_json({"runs": found})
    if not found:
        return typer.echo("Nothing has run in this workspace yet.")
    return print_table(
        ("run", "pipeline", "state", "started", "seconds", "steps"), [_run_row(result) for result in found]
    )


def _run_row(result: Mapping[str, Any]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for step in result["steps"]:
        counts[step["state"]] = counts.get(step["state"], 0) + 1
    steps = ", ".join(f"{count} {state}" for state, count in counts.items())
    started = datetime.fromtimestamp(result["started"], UTC).strftime("%Y-%m-%d %H:%M")
    return result["run_id"], result["pipeline"], result["state"], started, f"{result['seconds']:.1f}", steps


def _show_run(result: Mapping[str, Any]) -> None:
    from .decision import decision
    from .outcome import title
    from .records import sentence
    from .report import validated

    typer.echo(f"{result['run_id']}  {result['pipeline']}  {result['state']}  as of {result['as_of']}\n")
    rows = [
        (
            title(step),
            step["state"],
            "" if step["seconds"] is None else f"{step['seconds']:.2f}",
            "" if step["cpu_seconds"] is None else f"{step['cpu_seconds']:.2f}",
            "" if step["peak_bytes"] is None else f"{step['peak_bytes'] / 1e6:.0f}",
            str(step["attempts"]),
        )
        for step in result["steps"]
    ]
    print_table(("step", "state", "seconds", "CPU s", "peak MB", "attempts"), rows)
    for step in result["steps"]:
        if step.get("error"):
            typer.echo(f"\n{title(step)}: {sentence(step['error'])}")
    for facts in result["validations"]:
        typer.echo(f"\ndata: {validated(facts)}\n{_place(facts['page'])}")
    typer.echo(f"\n{decision(result)}\nreport: {result['report']}")


# --- projects of one's own --------------------------------------------------------------------------------------


app.command()(project_commands.new)
app.command()(project_commands.update)


# --- check ------------------------------------------------------------------------------------------------------


@app.command()
def check(
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="pipelines, DAGs or suites: a file or a folder")
    ] = None,
) -> None:
    """Check pipelines, suites, DAG and flow files offline.

    Pipelines are traced, rules read, DAG files loaded as Airflow loads them, flows as Prefect does; the installation is
    looked at, too.
    """
    from .checks import check_all

    failed = 0
    for finding in check_all(path):
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject}: {finding.message}")
        failed += not finding.ok
    if failed:
        typer.echo(f"{failed} problem{'s' if failed > 1 else ''} found")
        sys.exit(2)


# --- suites -----------------------------------------------------------------------------------------------------


@suite_app.command()
def draft(
    data: Annotated[list[str], typer.Argument(metavar="DATA…", help="good batches: files, folders, databases, URLs")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="where to; stdout if left out")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="what the table holds; the file's name by default")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="the event-time column, as `load` reads it")
    ] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="for a database of more than one table")] = None,
    force: Annotated[bool, typer.Option("--force", help="write over a file that is there")] = False,
) -> None:
    """Draft a suite from batches that are known to be good, to be read and changed by a person."""
    from pathlib import Path

    from .steps.data import batches_of
    from .suites.drafting import Batch
    from .suites.drafting import draft as drafted
    from .tables import duck
    from .workspace import write_text

    if output is not None and Path(output).exists() and not force:
        raise ParameterError(f"{output} is there already, and may hold somebody's changes; --force writes over it.")
    name = dataset or Path((output or data[0]).rstrip("/")).stem or "table"
    with duck() as connection:
        batches = [Batch(*batch) for batch in batches_of(connection, data, query=query, time=time)]
        text = drafted(connection, batches, dataset=name)
    if output is None:
        return typer.echo(text, nl=False)
    write_text(output, text)
    rules = sum(line.startswith("  - ") for line in text.splitlines())
    return _people().print(f"{rules} rules: {_escaped(output)}. Read each, then: -p suite={_escaped(output)}")


@suite_app.command()
def schema(
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="stdout if left out")] = None,
) -> None:
    """The JSON Schema of suites, for editors: completion, help, typos underlined."""
    from .suites.schema import json_schema
    from .workspace import write_text

    text = json.dumps(json_schema(), indent=1) + "\n"
    if output is None:
        return typer.echo(text, nl=False)
    return write_text(output, text)


# --- sample data ------------------------------------------------------------------------------------------------


class _SampleCommand(TyperCommand):
    """A command that lists the samples there are, third parties' too, and looks for them only when it is asked."""

    def format_help(self, context: Any, formatter: Any) -> None:
        from .catalog import names

        for each in self.params:
            if isinstance(each, TyperArgument):
                each.help = ", ".join(sorted(names("samples")))
        super().format_help(context, formatter)


@data_app.command(cls=_SampleCommand)
def sample(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="PATH", help="a folder, or a file ending in .parquet")
    ],
    rows: Annotated[int, typer.Option(help="how many rows")] = 200_000,
    seed: Annotated[int, typer.Option(help="the same seed gives the same rows")] = 7,
    days: Annotated[int, typer.Option(help="how many days they span")] = 120,
    drift: Annotated[bool, typer.Option("--drift", help="let fraud, or tastes, change in the last quarter")] = False,
    broken: Annotated[float, typer.Option(metavar="SHARE", help="the share of rows to spoil, 0 to 0.5")] = 0.0,
) -> None:
    """Write made-up data, with habits worth learning, to try a pipeline on."""
    from .catalog import find

    write, people = find("samples", name), _people()
    with _counted(people, rows) as progress:
        made = write(output, rows=rows, seed=seed, days=days, drift=drift, broken=broken, progress=progress)
    people.print(_escaped(str(made)), soft_wrap=True)


@contextmanager
def _counted(people: Console, rows: int) -> Iterator[Callable[[int], None]]:
    """A listener that draws how many of the rows are written, where they are many and somebody looks on."""
    if rows < 1_000_000 or not people.is_terminal:
        yield lambda _: None
        return
    from rich.progress import Progress

    with Progress(console=people, transient=True) as progress:
        line = progress.add_task("writing", total=rows)
        yield lambda written: progress.update(line, completed=written)


if __name__ == "__main__":
    main()

"""The command line, as a person or a script meets it: in a process of its own."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from ostinato.display import shown
from terminal import at_a_terminal

PIPELINE = '''
"""A pipeline of a user's own."""
from ostinato import pipeline, step

@step
def double(value: int) -> int:
    print("doubling")
    if value == 13:
        raise ValueError("thirteen brings bad luck")
    return value * 2

@pipeline
def mine(value: int, note: str = "none") -> None:
    """Doubles a value."""
    double(value)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with one pipeline file in it."""
    (tmp_path / "mine.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ostinato(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ostinato.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_help_names_every_command_and_the_exit_codes() -> None:
    """A newcomer finds the way from --help alone."""
    said = ostinato("--help").stdout
    for command in ("list", "show", "run", "runs", "new", "update", "check", "suite", "data"):
        assert f"\n  {command} " in said
    assert "Exit codes" in said
    for command in ("list", "show", "run", "runs", "check", "data sample", "suite draft", "suite schema"):
        assert "Usage:" in ostinato(*command.split(), "--help").stdout


def test_list_names_the_ready_made_pipelines_and_templates_with_what_they_do() -> None:
    """One line each, also as JSON."""
    tables = ostinato("list").stdout.split("\n\n")
    pipelines, templates = (dict(line.split(maxsplit=1) for line in table.splitlines()) for table in tables)
    assert pipelines["fraud_detection"].startswith("Retrain the card-fraud model")
    assert templates["bring_your_model"].startswith("Your training script")
    as_json = json.loads(ostinato("list", "--json").stdout)
    assert set(as_json["pipelines"]) == set(pipelines) - {"pipeline"}
    assert set(as_json["templates"]) == set(templates) - {"template"}


def test_a_table_is_named_by_a_setting_unless_it_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In .env, where an address with a password belongs, in the environment before it, and by -p before both."""
    (folder / "takes.py").write_text(
        "from ostinato import pipeline, step\n\n@step\ndef tell(source: str) -> str:\n    return source\n\n"
        "@pipeline\ndef takes(source: str = 'default') -> None:\n    tell(source)\n"
    )

    def told(*arguments: str) -> str:
        ran = json.loads(ostinato("run", "takes.py", *arguments, "--json").stdout)
        return str(ran["parameters"]["source"])

    assert told() == "default"
    (folder / ".env").write_text("OSTINATO_TAKES_SOURCE=of a file\n")
    assert told() == "of a file"
    monkeypatch.setenv("OSTINATO_TAKES_SOURCE", "of the environment")
    assert told() == "of the environment"
    assert told("-p", "source=given") == "given"


def test_show_gives_the_graph_and_every_parameter(folder: Path) -> None:
    """As text, as a Mermaid diagram, as JSON."""
    text = ostinato("show", "fraud_detection").stdout
    assert "register        " in text
    assert "when evaluate.passed" in text
    assert "columns.label_time" in text
    assert ostinato("show", "mine.py", "--format", "mermaid").stdout.startswith("flowchart LR\n    double[double]")
    shown = json.loads(ostinato("show", "mine.py:mine", "--format", "json").stdout)
    assert shown["nodes"][0]["name"] == "double"
    assert shown["parameters"]["required"] == ["value"]
    assert ostinato("show", "mine.py", "--format", "pdf").returncode == 2


def test_run_prints_one_json_object_on_stdout_and_the_rest_on_stderr(folder: Path) -> None:
    """A script reads stdout, a person stderr."""
    done = ostinato("run", "mine.py", "-p", "value=4", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["steps"][0]["outputs"] == 8
    assert "decision" in done.stderr
    assert "doubling" not in done.stdout + done.stderr
    quiet = ostinato("run", "mine.py:mine", "-p", "value=4")
    assert quiet.stdout == ""


def test_a_pipeline_of_the_current_folder_is_found_by_module_and_function(folder: Path) -> None:
    """module:function means one here."""
    assert ostinato("run", "mine:mine", "-p", "value=4").returncode == 0


def test_a_failed_step_is_exit_code_1_with_the_error_the_log_and_the_next_command(folder: Path) -> None:
    """And --json still prints its object."""
    failed = ostinato("run", "mine.py", "-p", "value=13", "--json")
    assert failed.returncode == 1
    assert "ValueError: thirteen brings bad luck" in failed.stderr
    result = json.loads(failed.stdout)
    assert result["state"] == "failed"
    assert f"ostinato run --resume {result['run_id']}" in failed.stderr
    assert "doubling" in Path(result["steps"][0]["log"]).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "fraud"], "Unknown pipeline 'fraud'. Did you mean 'fraud_detection'"),
        (["run", "mine.py"], "mine needs value: write -p value="),
        (["run", "mine.py", "-p", "value"], "lacks a name or a value"),
        (["run", "mine.py", "-p", "value=4", "-p", "value=5"], "given twice"),
        (["run", "mine.py", "-p", "value=four"], "value='four' is refused"),
        (["run", "mine.py", "-p", "valu=4"], "no parameter 'valu'. Did you mean 'value'"),
        (["run", "mine.py", "-p", "value=4", "--as-of", "soon"], "'soon' is no date"),
        (["run", "--resume", "x", "-p", "value=4"], "give neither -p nor --as-of"),
        (["run", "--resume", "x"], "Unknown run 'x'"),
        (["run"], "Name a pipeline"),
        (["run", "nothing.py"], "There is no file"),
        (["run", "no.such.module:f"], "There is no module 'no.such.module'"),
        (["run", "mine.py:double"], "is no pipeline: write @pipeline"),
        (["runs", "nobody"], "Unknown run 'nobody'"),
        (["data", "sample", "transaction", "-o", "x"], "Did you mean 'transactions'"),
        (["data", "sample", "transactions", "-o", "x", "--rows", "3"], "rows"),
        (["check", "nowhere"], "There is no file or folder nowhere"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_sentence(folder: Path, arguments: list[str], message: str) -> None:
    """What is wrong, with which value, what to write instead; never a traceback."""
    refused = ostinato(*arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


def test_an_unwritable_workspace_is_exit_code_2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything runs, with what to set."""
    (folder / "file").touch()
    monkeypatch.setenv("OSTINATO_HOME", str(folder / "file" / "home"))
    refused = ostinato("run", "mine.py", "-p", "value=4")
    assert refused.returncode == 2
    assert "cannot be written" in refused.stderr
    assert "Set OSTINATO_HOME" in refused.stderr


def test_runs_lists_states_and_durations_and_shows_one_run(folder: Path) -> None:
    """Newest first; one run in full by the beginning of its id."""
    assert "Nothing has run" in ostinato("runs").stdout
    for value in ("4", "13"):
        ostinato("run", "mine.py", "-p", f"value={value}")
    head, newest, oldest = ostinato("runs").stdout.splitlines()
    assert head.split() == ["run", "pipeline", "state", "started", "seconds", "steps"]
    assert "failed" in newest
    assert "succeeded" in oldest
    shown = ostinato("runs", newest.split()[0]).stdout
    assert "ValueError: thirteen brings bad luck" in shown
    assert "report: " in shown
    assert [run["state"] for run in json.loads(ostinato("runs", "--json").stdout)["runs"]] == ["failed", "succeeded"]


FAN_OUT = '''
from ostinato import each, pipeline, step

@step
def tell(name: str) -> int:
    if name == "red":
        raise ValueError("red is no name")
    return len(name)

@pipeline
def some() -> None:
    """One step for each of some names."""
    each(tell, over=["ease", "als", "red"])
'''


def test_items_of_a_fan_out_are_shown_by_name(folder: Path) -> None:
    """When one fails, and afterwards."""
    (folder / "some.py").write_text(FAN_OUT)
    said = ostinato("run", "some.py")
    assert "tell[red] ValueError: red is no name" in said.stderr
    shown = ostinato("runs", json.loads(ostinato("runs", "--json").stdout)["runs"][0]["run_id"]).stdout
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("tell[")] == [
        *("tell[ease]", "tell[als]", "tell[red]"),
        "tell[red]:",
    ]


def test_check_finds_what_is_wrong_with_pipelines_offline(folder: Path) -> None:
    """A sound file passes, an `if` on a promise is named with its line."""
    assert ostinato("check", "mine.py").returncode == 0
    (folder / "bad.py").write_text(
        PIPELINE.replace("    double(value)\n", "    if double(value):\n        double(1)\n")
    )
    found = ostinato("check", str(folder))
    assert found.returncode == 2
    assert "FAIL" in found.stdout
    assert 'Use "with when' in found.stdout
    assert "1 problem found" in found.stdout


def test_a_terminal_gets_a_live_display(folder: Path) -> None:
    """On a terminal every step has a line that ends with a mark."""
    run = at_a_terminal("run", "mine.py", "-p", "value=4", width=100)
    assert run.code == 0
    assert "double" in run.said
    assert "✓" in run.said


@pytest.mark.parametrize(
    ("event", "note"),
    [
        ({"event": "step", "state": "running"}, "1 of 3 started, now als, [red]"),
        ({"event": "step", "state": "succeeded"}, "2 of 3 started, now als"),
        ({"event": "log", "message": "half of [it]"}, "[red]: half of [it]"),
    ],
)
def test_the_live_display_names_the_items_that_run(
    event: dict[str, str], note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped step has one line, however many items it has."""
    monkeypatch.setenv("TERM", "xterm")  # on a dumb terminal nothing is live
    console = Console(file=io.StringIO(), force_terminal=True, width=100, no_color=True)
    with shown(console) as hear:
        hear({"event": "run", "nodes": ["search"]})
        for key, (label, state) in enumerate([("ease", "succeeded"), ("als", "running"), ("[red]", "running")]):
            hear({"event": "step", "step": "search", "map_key": str(key), "label": label, "state": state})
        hear({"step": "search", "map_key": "2", "label": "[red]", **event})
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())  # type: ignore[attr-defined]
    assert said.splitlines()[-1].rstrip() == f"● search  {note}"


def test_sample_data_is_written_and_described(folder: Path) -> None:
    """A folder of Parquet the pipeline runs on as it is."""
    made = ostinato("data", "sample", "transactions", "--rows", "2000", "-o", "tx")
    assert made.returncode == 0
    assert "2,000 transactions" in made.stderr
    assert list((folder / "tx").glob("*.parquet"))
    again = ostinato("data", "sample", "transactions", "--rows", "2000", "-o", "mine.py")
    assert again.returncode == 2


# --- suites -------------------------------------------------------------------------------------------------------


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A small good batch."""
    place = tmp_path / "orders.csv"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT i AS id, 'EUR' AS currency, epoch(TIMESTAMP '2026-01-01' + to_hours(i))::BIGINT AS at "
            f"FROM range(2000) r(i)) TO '{place}'"
        )
    return place


def test_a_drafted_suite_goes_to_stdout_or_to_a_file_and_never_over_somebodys_changes(
    batch: Path, tmp_path: Path
) -> None:
    """The same text both ways; a file that is there is left alone unless it is said otherwise."""
    drafted = ostinato("suite", "draft", str(batch))
    assert drafted.returncode == 0
    assert "dataset: orders" in drafted.stdout
    target = tmp_path / "suites" / "orders.yaml"
    assert ostinato("suite", "draft", str(batch), "-o", str(target)).returncode == 0
    assert target.read_text() == drafted.stdout
    target.write_text("mine")
    refused = ostinato("suite", "draft", str(batch), "-o", str(target))
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert target.read_text() == "mine"
    assert ostinato("suite", "draft", str(batch), "-o", str(target), "--force").returncode == 0
    assert ostinato("check", str(target)).returncode == 0


def test_a_draft_reads_times_as_load_does(batch: Path) -> None:
    """Epochs are times where the column is named, and numbers where it is not."""
    named = ostinato("suite", "draft", str(batch), "--time", "at").stdout
    assert "at: timestamp" in named
    assert "as_of" in named
    assert "at: integer" in ostinato("suite", "draft", str(batch)).stdout
    wrong = ostinato("suite", "draft", str(batch), "--time", "att")
    assert "Did you mean 'at'" in wrong.stderr


def test_the_schema_for_editors_is_json(tmp_path: Path) -> None:
    """On stdout, or in a file."""
    shown = json.loads(ostinato("suite", "schema").stdout)
    assert "expectations" in shown["properties"]
    ostinato("suite", "schema", "-o", str(tmp_path / "s.json"))
    assert json.loads((tmp_path / "s.json").read_text()) == shown


def test_a_broken_suite_fails_the_check_with_its_line(tmp_path: Path) -> None:
    """Exit code 2, and where to look."""
    (tmp_path / "bad.yaml").write_text("expectations:\n  - column_values_to_be_unque: id\n")
    checked = ostinato("check", str(tmp_path))
    assert checked.returncode == 2
    assert "bad.yaml:2: there is no expectation 'column_values_to_be_unque'. Did you mean" in checked.stdout


def test_what_was_found_of_a_table_is_printed_with_its_warnings(batch: Path, tmp_path: Path) -> None:
    """How many rules, how many rows, which warnings, and where the page is; also later, by `runs`."""
    suite = tmp_path / "orders.yaml"
    suite.write_text(
        "expectations:\n  - column_values_to_be_unique: id\n"
        "  - {table_row_count_to_equal: 5, severity: warning}\n"
        "  - {column_values_to_be_between: {column: id, min_value: 10}, on_fail: quarantine}\n"
    )
    ran = ostinato("run", "data_validation", "-p", f"source={batch}", "-p", f"suite={suite}")
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stderr.split())
    assert "data warned: 1 pass, 1 fail, 1 quarantined; 10 of 2,000 rows (0.50%) quarantined" in said
    assert "warning table_row_count_to_equal: found 1,990, wanted value 5" in said
    page = re.search(r"^ +(/\S+/validation\.html)$", ran.stderr, re.MULTILINE)
    assert page is not None
    assert "<b>id</b> values to be between" in Path(page[1]).read_text()
    (run,) = json.loads(ostinato("runs", "--json").stdout)["runs"]
    assert run["validations"][0]["quarantined"] == 10
    assert "10 of 2,000 rows (0.50%) quarantined" in ostinato("runs", run["run_id"]).stdout

"""The command line, as a person or a script meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

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
    for command in ("list", "show", "run", "runs", "check", "data"):
        assert f"\n  {command} " in said
    assert "Exit codes" in said
    for command in ("list", "show", "run", "runs", "check", "data sample"):
        assert "Usage:" in ostinato(*command.split(), "--help").stdout


def test_list_names_the_ready_made_pipelines_with_what_they_do() -> None:
    """One line each, also as JSON."""
    assert "fraud_detection  Retrain the card-fraud model" in ostinato("list").stdout
    assert "fraud_detection" in json.loads(ostinato("list", "--json").stdout)["pipelines"]


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
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "ostinato.cli", "run", "mine.py", "-p", "value=4"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(command, stderr=slave, stdout=slave, stdin=slave, env=environment)
    os.close(slave)
    said = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        if not chunk:
            break
        said += chunk
    assert process.wait(timeout=60) == 0
    assert "double" in said.decode()
    assert "✓" in said.decode()


def test_sample_data_is_written_and_described(folder: Path) -> None:
    """A folder of Parquet the pipeline runs on as it is."""
    made = ostinato("data", "sample", "transactions", "--rows", "2000", "-o", "tx")
    assert made.returncode == 0
    assert "2,000 transactions" in made.stderr
    assert list((folder / "tx").glob("*.parquet"))
    again = ostinato("data", "sample", "transactions", "--rows", "2000", "-o", "mine.py")
    assert again.returncode == 2

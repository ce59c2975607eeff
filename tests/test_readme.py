"""The README is true: every block in it is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from jsonschema import Draft7Validator

from ostinato.suites.reading import parse_suite
from ostinato.suites.schema import json_schema
from ostinato.suites.text import load, plain

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
SHELL = [text for kind, text in BLOCKS if kind == "sh"]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]


def sh(command: str, folder: Path) -> str:
    """Run a block as a person would paste it, with this environment's commands first."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("OSTINATO_HOME")
    done = subprocess.run(
        ["sh", "-eu", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_block_is_of_a_kind_that_is_run_here() -> None:
    """A block nobody runs would rot."""
    assert {kind for kind, _ in BLOCKS} == {"sh", "python"}
    assert len(SHELL) == 11
    assert len(PYTHON) == 1


@pytest.mark.slow
def test_make_run_ends_with_the_decision_the_metrics_and_the_report() -> None:
    """The first command; the second is what runs this test, so only its recipe is looked at."""
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("the set-up of `make` is not here")
    assert "make run" in SHELL[0]
    assert "make test" in SHELL[0]
    said = sh("make run && make -n test", ROOT)
    assert "average_precision" in said
    assert "decision" in said
    report = re.search(r"report\s+(\S+/report\.html)", said)
    assert report is not None
    assert Path(report[1]).exists()


@pytest.mark.slow
def test_the_blocks_on_your_own_data_run_one_after_the_other(tmp_path: Path) -> None:
    """The installation is tried dry, the commands for real."""
    install, *commands = SHELL[1].strip().split("\n")
    assert install == "pip install -r requirements/base.txt && pip install --no-deps ."
    said = sh("\n".join(commands), tmp_path)
    assert "50,000 transactions" in said
    assert "fraud_detection  succeeded" in said
    said = sh(SHELL[2], tmp_path)
    assert "decision" in said
    assert "columns.label_time" in said
    said = sh(SHELL[3], tmp_path)
    assert "suites/transactions.yaml: " in said
    assert said.count("0 of 50,000 rows (0.00%) quarantined") == 2
    said = sh(SHELL[4], tmp_path)
    assert "fraud_detection: version 1 is the champion" in said
    assert "as the ledger says" in said
    shutil.rmtree(tmp_path / ".ostinato")


@pytest.mark.slow
def test_the_block_of_the_recommender_and_its_handbook_run(tmp_path: Path) -> None:
    """The installation is tried dry; the handbook's second block is run on ratings of that shape."""
    install, *commands = SHELL[5].strip().split("\n")
    assert install == 'pip install ".[recs]"'
    said = sh("\n".join(commands), tmp_path)
    assert "recommendation_retraining: version 1 is the champion" in said
    handbook = (ROOT / "docs" / "recommendation.md").read_text(encoding="utf-8")
    sample, ratings = re.findall(r"^```sh\n(.*?)^```$", handbook, re.MULTILINE | re.DOTALL)
    assert sample.split("\n")[0] in SHELL[5]  # so that it is run
    rating = "user_id AS userId, item_id AS movieId, rating, epoch(ts)::BIGINT AS timestamp"
    duckdb.sql(f"COPY (SELECT {rating} FROM '{tmp_path}/taken/*.parquet') TO '{tmp_path}/ratings.csv'")
    assert "films version 1 is the new champion" in sh(ratings, tmp_path)


@pytest.mark.slow
def test_the_block_of_the_templates_makes_a_project_that_is_green_and_runs(tmp_path: Path) -> None:
    """From a table to a project, its tests and its first champion; the installation is tried dry."""
    install, *commands = SHELL[6].strip().split("\n")
    assert install == 'pip install ".[templates]"'
    here = tmp_path / "here"
    here.mkdir()
    sh("ostinato data sample transactions --rows 50000 -o tx/", here)
    said = sh("\n".join(commands), here)
    assert "label: is_fraud" in said
    assert " passed" in said
    assert "card_fraud version 1 is the new champion" in said


def test_make_airflow_starts_the_demo() -> None:
    """Only its recipe is looked at here: the demo and the block below it are run where Airflow is."""
    assert "make airflow" in SHELL[7]
    assert "demo/start_airflow.py" in sh("make -n airflow", ROOT)


def test_make_prefect_starts_the_demo() -> None:
    """As with Airflow's."""
    assert "make prefect" in SHELL[9]
    assert "demo/start_prefect.py" in sh("make -n prefect", ROOT)


def test_the_python_block_runs_as_a_script_and_by_the_command_line(tmp_path: Path) -> None:
    """The same file both ways."""
    (tmp_path / "demo.py").write_text(PYTHON[0])
    assert sh("python demo.py", tmp_path).strip() == "succeeded"
    assert "decision" in sh("ostinato run demo.py -p count=10", tmp_path)


def test_the_readmes_picture_and_pages_are_there() -> None:
    """A link in the README leads somewhere."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)|`(benchmarks/\S+?)`", text):
        assert (ROOT / (target[0] or target[1])).exists(), target


def test_the_suite_in_the_handbook_is_one() -> None:
    """What people copy is read without a word."""
    text = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(parse_suite(example).rules) == 9
    assert not list(Draft7Validator(json_schema()).iter_errors(plain(load(example))))

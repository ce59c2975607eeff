"""The fraud pipeline, end to end, with everything real: DuckDB, scikit-learn, MLflow on sqlite."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from integrations.mlflow_store import put_store
from ostinato.engines.local_run import run
from ostinato.outcome import outcome
from ostinato.pipelines.fraud_detection import fraud_detection
from ostinato.runner import records_of
from ostinato.samples.transactions import write

QUICK = {"options.max_iter": 15}
KEYS = "run_id pipeline engine state as_of parameters steps metrics verdict model report".split()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty thousand transactions as the sample writes them."""
    place = tmp_path_factory.mktemp("sample") / "tx"
    write(place, rows=20_000, seed=7)
    return place


@pytest.fixture(autouse=True)
def store(home: Path) -> None:
    """Making MLflow's database takes seconds; once is enough."""
    put_store(home)


@pytest.fixture(scope="session")
def reference(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An undisturbed run, to compare the others with."""
    place = tmp_path_factory.mktemp("reference")
    put_store(place)
    result = run(fraud_detection, {"source": str(sample), **QUICK}, home=place)
    assert result["state"] == "succeeded", result
    return result


def digests(result: dict[str, Any]) -> dict[str, Any]:
    """What each step made, by content."""

    def content(output: Any) -> Any:
        if isinstance(output, dict) and "digest" in output:
            return output["kind"], output["digest"]
        return [content(part) for part in output] if isinstance(output, list) else output

    return {step["name"]: content(step["outputs"]) for step in result["steps"]}


def versions(home: Path, name: str = "fraud_detection") -> int:
    with sqlite3.connect(home / "mlflow.db") as connection:
        rows = connection.execute("SELECT count(*) FROM model_versions WHERE name = ?", (name,)).fetchone()
    return int(rows[0])


def test_the_pipeline_ends_in_a_decision_a_model_and_a_report(reference: dict[str, Any]) -> None:
    """The promised keys, a passed verdict, one registered version, a page."""
    assert set(KEYS) <= reference.keys()
    assert reference["verdict"]["passed"] is True
    assert reference["model"]["uri"] == "models:/fraud_detection/1"
    assert reference["as_of"] == "2026-05-01T00:00:00+00:00"
    assert 0.1 < reference["metrics"]["average_precision"] < 1.0
    assert "fraud_detection version 1" in Path(reference["report"]).read_text()
    assert {step["state"] for step in reference["steps"]} == {"succeeded"}


def test_the_same_data_seed_and_parameters_give_the_same_digests_and_metrics(
    reference: dict[str, Any], sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content does not depend on the run, nor on the number of threads."""
    monkeypatch.setenv("OSTINATO_THREADS", "1")
    again = run(fraud_detection, {"source": str(sample), **QUICK})
    assert digests(again) == digests(reference)
    assert again["metrics"] == reference["metrics"]


def test_a_strangers_table_runs_by_naming_its_columns(
    reference: dict[str, Any], sample: Path, tmp_path: Path, home: Path
) -> None:
    """Other names, another order, text ids, epoch times, a leak nobody named: the same model quality."""
    with duckdb.connect() as connection:
        connection.execute(
            f'''COPY (
                SELECT is_fraud AS leak, 'T-' || terminal_id AS "the ""till""", is_fraud = 1 AS "TX_FRAUD; --",
                       amount AS "Betrag €", epoch_ms(ts) AS "when", 'it''s ' || tx_id AS id, 'C' || card_id AS Kunde
                FROM '{sample}/*.parquet' ORDER BY hash(tx_id)
            ) TO '{tmp_path}/stranger.csv' (HEADER)'''
        )
    columns = {
        "id": "id",
        "time": "when",
        "card": "Kunde",
        "terminal": 'the "till"',
        "amount": "Betrag €",
        "label": "TX_FRAUD; --",
    }
    result = run(fraud_detection, {"source": f"{tmp_path}/stranger.csv", "columns": columns, **QUICK})
    assert result["state"] == "succeeded", result["steps"]
    assert result["model"]["facts"]["features"] == reference["model"]["facts"]["features"]
    for name in ("rows", "positives"):
        assert result["metrics"][name] == reference["metrics"][name]
    # milliseconds instead of microseconds move a few window edges
    assert result["metrics"]["average_precision"] == pytest.approx(reference["metrics"]["average_precision"], abs=0.05)


def test_an_unnamed_leak_changes_nothing_and_a_named_extra_is_used(
    reference: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    """Only generated features and explicitly named columns reach the model."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT *, is_fraud AS leak FROM '{sample}/*.parquet') TO '{tmp_path}/leaky.parquet'")
    blind = run(fraud_detection, {"source": f"{tmp_path}/leaky.parquet", **QUICK})
    assert digests(blind)["train"] == digests(reference)["train"]
    told = run(fraud_detection, {"source": f"{tmp_path}/leaky.parquet", "features.extra": "leak,channel", **QUICK})
    assert told["metrics"]["average_precision"] > 0.99
    assert {"extra_leak", "extra_channel"} <= set(told["model"]["facts"]["features"])


def test_label_times_known_cards_and_complete_labels_are_ways_to_judge(sample: Path) -> None:
    """The optional protocols run, and judge on other rows or labels."""
    late = run(fraud_detection, {"source": str(sample), "columns.label_time": "fraud_reported_at", **QUICK})
    assert late["state"] == "succeeded", late["steps"]
    known = run(fraud_detection, {"source": str(sample), "drop_known": "true", **QUICK})
    complete = run(fraud_detection, {"source": str(sample), "labels": "complete", "train_days": "40", **QUICK})
    plain = run(fraud_detection, {"source": str(sample), **QUICK})
    rows = [result["metrics"]["rows"] for result in (known, complete, plain)]
    assert rows[0] < rows[2]
    assert len(set(rows)) == 3


def test_a_candidate_below_the_floor_is_rejected_and_the_run_is_done(sample: Path, home: Path) -> None:
    """A rejection is a completed run: no version, a reason, exit code 0."""
    result = run(fraud_detection, {"source": str(sample), "floor": 0.999, **QUICK})
    assert result["state"] == "succeeded"
    assert result["verdict"]["passed"] is False
    assert result["steps"][-1]["state"] == "skipped"
    assert versions(home) == 0


def test_a_second_run_on_the_same_data_makes_no_second_version(sample: Path, home: Path) -> None:
    """Identical content is one version, however often it is trained."""
    for _ in range(2):
        assert run(fraud_detection, {"source": str(sample), **QUICK})["model"]["facts"]["version"] == "1"
    assert versions(home) == 1


BAD = {
    "a missing file": ({"source": "nowhere.parquet"}, "There is no file or folder nowhere.parquet"),
    "a missing column": ({"columns.card": "card"}, "has no column 'card'. Did you mean 'card_id'"),
    "an amount that is text": ({"columns.amount": "channel"}, "channel"),
    "a label that is none": ({"columns.label": "mcc"}, "of 'mcc' cannot be used, such as '5"),
    "a window without rows": ({"test_days": 200}, "No rows for the training window before"),
    "an unknown option": ({"options": {"max_itr": 3}}, "Did you mean 'max_iter'"),
    "an unknown estimator": ({"estimator": "sklearn.ensemble:HistGradientBosting"}, "HistGradientBosting"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_fails_one_step_with_a_sentence(name: str, sample: Path) -> None:
    """What happened, with which value, and what to do; nothing after it runs."""
    given, message = BAD[name]
    result = run(fraud_detection, {"source": str(sample), **given})
    assert result["state"] == "failed"
    errors = [step["error"] for step in result["steps"] if step.get("error")] + [result["error"]]
    assert message in str(errors[0]["message"])
    assert errors[0]["transient"] is False
    assert "Traceback" not in str(errors[0]["message"])


def test_one_class_only_is_named(sample: Path, tmp_path: Path) -> None:
    """Without a fraud there is nothing to learn, and the message counts the rows."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM '{sample}/*.parquet' WHERE is_fraud = 0) TO '{tmp_path}/good.parquet'")
    result = run(fraud_detection, {"source": f"{tmp_path}/good.parquet", **QUICK})
    failed = next(step for step in result["steps"] if step["state"] == "failed")
    assert failed["name"] == "train"
    assert "0" in failed["error"]["message"]


def test_an_mlflow_server_that_is_away_is_worth_a_retry(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that needs it fails as transient, and names the address."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = run(fraud_detection, {"source": str(sample), **QUICK})
    failed = next(step for step in result["steps"] if step["state"] == "failed")
    assert failed["error"]["transient"] is True
    assert "127.0.0.1:9" in failed["error"]["message"]


def test_a_step_run_as_a_process_gives_the_same_digests(
    reference: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    """python -m ostinato.run_step is the same step."""
    inputs = tmp_path / "in.json"
    columns = {"id": "tx_id", "card": "card_id", "terminal": "terminal_id", "amount": "amount", "label": "is_fraud"}
    inputs.write_text(json.dumps({"source": str(sample), "columns": list(columns.values()), "time": "ts"}))
    load = _as_process("ostinato.steps.data:load", inputs, tmp_path)
    assert load["digest"] == digests(reference)["load"][1]
    inputs.write_text(json.dumps({"transactions": load, "columns": reference["parameters"]["columns"]}))
    features = _as_process("ostinato.steps.features:fraud_features", inputs, tmp_path)
    assert features["digest"] == digests(reference)["fraud_features"][1]
    train_set = next(step["outputs"][0] for step in reference["steps"] if step["name"] == "split_by_time")
    inputs.write_text(json.dumps({"data": train_set, "options": {"max_iter": 15}}))
    model = _as_process("ostinato.steps.models:train", inputs, tmp_path)
    assert model["digest"] == digests(reference)["train"][1]


def _as_process(function: str, inputs: Path, tmp_path: Path) -> Any:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "ostinato.run_step", function, "--inputs", str(inputs), "--out", str(out)]
    subprocess.run([*command, "--as-of", "2026-05-01"], check=True, timeout=120)
    return json.loads(out.read_text())["output"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments_and_resumed_it_gives_one_version_and_the_same_results(
    reference: dict[str, Any], sample: Path, home: Path
) -> None:
    """kill -9 of the whole run, again and again; `--resume` ends where an undisturbed run ends."""
    chance = random.Random(5)
    records = records_of(str(home))
    kills = 0
    while kills < 20:
        known = {one.run_id for one in records.runs(most=100)}
        arguments = ["fraud_detection", "-p", f"source={sample}", "-p", "options.max_iter=15"]
        state, run_id = "running", ""
        while state != "succeeded":
            process = subprocess.Popen(
                [sys.executable, "-m", "ostinato.cli", "run", *arguments], stderr=subprocess.PIPE, text=True
            )
            try:
                # while kills are left, die at any moment of a run that takes some ten seconds
                _, said = process.communicate(timeout=chance.uniform(0.5, 9.0) if kills < 20 else 240)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
            else:
                assert process.returncode == 0, said
            new = [one for one in records.runs(most=100) if one.run_id not in known]
            if new:
                run_id, state = new[0].run_id, records.run(new[0].run_id).state
                arguments = ["--resume", run_id]
        result = outcome(records, run_id)
        assert digests(result) == digests(reference)
        assert result["metrics"] == reference["metrics"]
        assert versions(home) == 1


def test_the_environment_and_the_code_are_recorded(reference: dict[str, Any]) -> None:
    """Every run says what it was made of, and MLflow knows it too."""
    assert set(reference["tags"]) == {"code", "environment", "python", "ostinato"}
    place = Path(reference["report"]).parents[2] / "mlflow.db"
    with sqlite3.connect(place) as connection:
        tags = dict(connection.execute("SELECT key, value FROM tags").fetchall())
        status = connection.execute("SELECT status FROM runs").fetchone()[0]
        parameters = dict(connection.execute("SELECT key, value FROM params").fetchall())
    assert tags["ostinato.run_id"] == reference["run_id"]
    assert reference["tags"]["code"] in tags.values()
    assert reference["tags"]["environment"] in tags.values()
    assert tags["ostinato.data"] == digests(reference)["split_by_time"][0][1]
    assert status == "FINISHED"
    assert parameters["label_delay_days"] == "7"
    assert Path(reference["report"]).name == "report.html"

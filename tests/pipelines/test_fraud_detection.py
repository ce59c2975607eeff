"""The fraud pipeline, end to end, with everything real: DuckDB, scikit-learn, MLflow on sqlite."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from engines.stories import digests
from integrations.mlflow_store import put_store
from ostinato.cli import app
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
    first, second = (run(fraud_detection, {"source": str(sample), **QUICK}) for _ in range(2))
    assert first["promotion"]["version"] == "1"
    assert (second["verdict"]["outcome"], second["promotion"]) == ("unchanged", None)
    assert versions(home) == 1


def champions(home: Path) -> list[str]:
    """The versions that became champion, in order."""
    arguments = ["model", "history", "fraud_detection", "--json"]
    done = CliRunner().invoke(app, arguments, env={"OSTINATO_HOME": str(home)})
    return [entry["to"] for entry in json.loads(done.stdout)["entries"] if entry["counts"]]


def test_weeks_go_by_and_each_candidate_is_judged_against_the_champion_of_its_day(tmp_path: Path, home: Path) -> None:
    """Bootstrap first, then a comparison on the same rows; an earlier day replaces nobody, a rollback restores."""
    write(tmp_path / "tx", rows=60_000, seed=7)
    bold = {"source": str(tmp_path / "tx"), "margin": 0.5, **QUICK}
    first = run(fraud_detection, bold, as_of="2026-04-24")
    assert (first["verdict"]["mode"], first["promotion"]["promoted"]) == ("bootstrap", True)
    assert first["deployment"]["deployed"] is True
    second = run(fraud_detection, bold, as_of="2026-05-01")
    assert (second["verdict"]["mode"], second["verdict"]["champion"]["version"]) == ("noninferior", "1")
    assert second["promotion"]["replaced"] == "1"
    earlier = run(fraud_detection, bold, as_of="2026-04-03")
    assert earlier["state"] == "succeeded"
    assert earlier["verdict"]["outcome"] == "not-enough-data"  # the champion has learned from these rows
    assert champions(home) == ["1", "2"]
    done = CliRunner().invoke(app, ["model", "rollback", "fraud_detection", "--why", "chargebacks doubled"])
    assert done.exit_code == 0, done.output
    assert champions(home) == ["1", "2", "1"]
    bundle = home / "bundles" / "fraud_detection" / "current"
    assert bundle.resolve().name == "1"
    why = CliRunner().invoke(app, ["model", "why", "fraud_detection"]).output
    for told in ("chargebacks doubled", "average_precision", first["tags"]["code"][:12]):
        assert told in why
    assert len(why.splitlines()) <= 40


def test_where_approval_is_required_and_nobody_is_there_nothing_is_promoted(sample: Path, home: Path) -> None:
    """The version stays registered, and a person may promote it later on its recorded verdict."""
    result = run(fraud_detection, {"source": str(sample), "approval": True, **QUICK})
    assert result["state"] == "succeeded"
    assert (result["approval"]["granted"], result["approval"]["by"]) == (False, "nobody")
    assert (result["promotion"], versions(home)) == (None, 1)
    done = CliRunner().invoke(app, ["model", "promote", "fraud_detection", "1", "--why", "the committee agreed"])
    assert done.exit_code == 0, done.output
    assert champions(home) == ["1"]


BAD = {
    "a missing file": ({"source": "nowhere.parquet"}, "There is no file or folder nowhere.parquet"),
    "a missing column": ({"columns.card": "card"}, "has no column 'card'. Did you mean 'card_id'"),
    "an amount that is text": ({"columns.amount": "channel"}, "channel"),
    "a label that is none": (
        {"columns.label": "mcc"},
        "rows (100.00%) would be quarantined, more than",
    ),
    "a suite that is nowhere": ({"suite": "nowhere.yaml"}, "There is no suite nowhere.yaml"),
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
@pytest.mark.timeout(1500)
def test_killed_at_twenty_random_moments_and_resumed_it_gives_one_version_one_promotion_and_the_same_results(
    reference: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    """kill -9 of the whole run, again and again; `--resume` ends where an undisturbed run ends, and the team hears."""
    chance = random.Random(5)
    kills = 0
    for number in range(40):
        place = tmp_path / f"home-{number}"
        put_store(place)
        result, killed = _disturbed(place, sample, chance)
        assert digests(result) == digests(reference)
        assert result["metrics"] == reference["metrics"]
        assert versions(place) == 1
        assert champions(place) == ["1"]
        assert (place / "bundles" / "fraud_detection" / "current").resolve().name == "1"
        told = (place / "alerts.jsonl").read_text()
        assert len([line for line in told.splitlines() if "failed" in line]) >= min(killed, 1)
        assert "version 1 is the champion" in told
        kills += killed
        if kills >= 20:
            return
    pytest.fail(f"only {kills} kills met a running process")


def _disturbed(place: Path, sample: Path, chance: random.Random) -> tuple[dict[str, Any], int]:
    """A run that is killed now and then and resumed until it ends by itself; and how many kills left steps to do.

    One that was killed between its last step and its report, or before that was told, has not failed.
    """
    records, kills = records_of(str(place)), 0
    arguments = ["fraud_detection", "-p", f"source={sample}", "-p", "options.max_iter=15"]
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "ostinato.cli", "run", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OSTINATO_HOME": str(place)},
        )
        try:
            _, said = process.communicate(timeout=chance.uniform(0.5, 9.0) * (1 + kills / 10))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += any(run.state != "succeeded" for run in records.runs())
        else:
            assert process.returncode == 0, said
            return outcome(records, records.runs()[0].run_id), kills
        if found := records.runs():
            arguments = ["--resume", found[0].run_id]


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


# --- what the data must be like -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40,000 rows of which one in 200 is spoiled, in each of the ways there are."""
    folder = tmp_path_factory.mktemp("broken") / "tx"
    write(str(folder), rows=40_000, seed=11, days=60, broken=0.005)
    return folder


def told(result: dict[str, Any]) -> dict[str, Any]:
    (validation,) = result["validations"]
    return validation


def test_just_the_planted_rows_are_quarantined_with_their_reasons(broken: Path) -> None:
    """Not one too few, not one too many, both copies of a duplicate, each for what was done to it."""
    result = run(fraud_detection, {"source": str(broken), **QUICK})
    assert result["state"] == "succeeded", result["steps"]
    found = told(result)
    assert (found["rows"], found["quarantined"], found["outcome"]) == (40_000, 200, "passed")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW bad AS FROM '{found['quarantine']['uri'].removeprefix('file://')}'")
        connection.execute(f"CREATE VIEW truth AS FROM '{broken}/_truth/broken.parquet'")
        for one, other in (("bad", "truth"), ("truth", "bad")):
            left = connection.execute(f"SELECT tx_id FROM {one} EXCEPT ALL SELECT tx_id FROM {other}").fetchall()
            assert left == []
        pairs = connection.execute(
            "SELECT DISTINCT reason, unnest(_reasons) FROM bad JOIN truth USING (tx_id) WHERE len(_reasons) = 1"
        ).fetchall()
    assert {reason: rule.removeprefix("column_values_to_") for reason, rule in pairs} == {
        "duplicate_id": "be_unique: tx_id",
        "null_card": "not_be_null: card_id",
        "null_terminal": "not_be_null: terminal_id",
        "null_amount": "not_be_null: amount",
        "nan_amount": "be_between: amount",
        "negative_amount": "be_between: amount",
        "bad_label": "be_in_set: is_fraud",
        "future_time": "be_between: ts",
    }
    with duckdb.connect() as connection:
        last = connection.execute(f"SELECT max(ts) FROM '{broken}/*.parquet' WHERE ts < '2090-01-01'").fetchone()
    assert last is not None
    assert result["as_of"][:10] == str((last[0] + timedelta(days=1)).date())  # no broken time moves it


def test_a_drafted_suite_passes_on_its_own_data_and_sets_aside_what_is_planted(
    sample: Path, broken: Path, tmp_path: Path
) -> None:
    """Drafted from a good batch, it holds on that batch and finds the faults in another."""
    good, suite = tmp_path / "good", tmp_path / "transactions.yaml"
    write(str(good), rows=40_000, seed=11, days=60)
    assert CliRunner().invoke(app, ["suite", "draft", str(good), "-o", str(suite)]).exit_code == 0
    own = told(run(fraud_detection, {"source": str(good), "suite": str(suite), **QUICK}))
    assert (own["outcome"], own["quarantined"]) == ("passed", 0)
    assert set(own["counts"]) == {"pass"}
    other = told(run(fraud_detection, {"source": str(broken), "suite": str(suite), **QUICK}))
    assert other["quarantined"] == 200


def test_a_changed_schema_stops_the_run_with_one_readable_sentence(sample: Path, tmp_path: Path) -> None:
    """A column of another type is named with what it is and what it should be; nothing is learnt from it."""
    suite = tmp_path / "transactions.yaml"
    CliRunner().invoke(app, ["suite", "draft", str(sample), "-o", str(suite)])
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE (amount::VARCHAR || ' EUR' AS amount) FROM '{sample}/*.parquet') "
            f"TO '{tmp_path}/changed.parquet'"
        )
    result = run(fraud_detection, {"source": f"{tmp_path}/changed.parquet", "suite": str(suite), **QUICK})
    assert result["state"] == "failed"
    failed = next(step for step in result["steps"] if step["state"] == "failed")
    assert failed["name"] == "validate"
    assert failed["error"]["message"] == ("columns: amount: 'amount' is text (VARCHAR); the suite wants number")
    assert told(result)["outcome"] == "stopped"
    assert {step["state"] for step in result["steps"] if step["name"] in ("train", "register")} == {"pending"}


def test_more_broken_rows_than_may_be_stop_the_run_unless_it_is_said_that_they_may(broken: Path) -> None:
    """A broken feed is not silently thrown away."""
    result = run(fraud_detection, {"source": str(broken), "max_quarantine": 0.004, **QUICK})
    assert result["state"] == "failed"
    message = next(step["error"]["message"] for step in result["steps"] if step.get("error"))
    assert message.startswith("200 of 40,000 rows (0.50%) would be quarantined, more than max_quarantine = 0.40%: ")
    assert told(result)["quarantine"]["facts"]["rows"] == 200  # to be looked at


def test_times_that_are_none_are_set_aside_as_they_were_found(sample: Path, tmp_path: Path) -> None:
    """A few unreadable times do not stop a run, and nobody has to guess what stood there."""
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE (CASE WHEN tx_id % 1000 = 7 THEN 'yesterday' ELSE ts::VARCHAR END AS ts) "
            f"FROM '{sample}/*.parquet') TO '{tmp_path}/garbled.parquet'"
        )
    result = run(fraud_detection, {"source": f"{tmp_path}/garbled.parquet", **QUICK})
    assert result["state"] == "succeeded", result["steps"]
    place = told(result)["quarantine"]["uri"].removeprefix("file://")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT DISTINCT tx_id % 1000, ts, ts_as_found, _reasons FROM '{place}'").fetchall()
    assert found == [(7, None, "yesterday", ["column_values_to_not_be_null: ts"])]


def test_a_table_much_shorter_than_last_time_is_warned_of(sample: Path, tmp_path: Path) -> None:
    """The row count is held against the last run that succeeded, of the same source."""
    source = tmp_path / "tx.parquet"
    for share, wanted in ((1, "passed"), (3, "warned")):
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (FROM '{sample}/*.parquet' WHERE card_id % {share} = 0) TO '{source}' (FORMAT parquet)"
            )
        result = run(fraud_detection, {"source": str(source), **QUICK})
        assert result["state"] == "succeeded", result["steps"]
        assert told(result)["outcome"] == wanted
    assert told(result)["warnings"][0].startswith("table_row_count_to_be_between: found ")

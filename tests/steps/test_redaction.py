"""Redaction: no value of a row leaves its table, unless somebody asked for samples, and then only onto the page."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ostinato
from ostinato.context import Context, running
from ostinato.errors import OstinatoError, RuleBroken
from ostinato.runner import Request, execute, records_of
from ostinato.steps.validation import validate, validate_in_place
from ostinato.tables import Dataset
from ostinato.workspace import Workspace

CHANCE = random.Random(20260301)
PAGE = {"validation.json", "validation.html"}
ASIDE = {"on_fail": "quarantine"}
SENSITIVE = ("card", "salary")
TEXTS = ("name", "card", "key", "code", "born")


def secret(column: str) -> Any:
    """Something that is nowhere else in the world."""
    if column in ("amount", "salary"):
        return CHANCE.randrange(10**11, 10**12)
    return f"geheim{CHANCE.getrandbits(64):016x}"


COLUMNS = (*TEXTS, "amount", "salary")
SECRETS: dict[str, list[Any]] = {column: [secret(column) for _ in range(4)] for column in COLUMNS}
GOOD = {"name": "a", "card": "b", "key": "k", "code": "c", "born": "2000-01-01", "amount": 5, "salary": 6}


OFTEN = secret("often")  # in every row


def secrets(columns: Iterable[str] = COLUMNS) -> list[str]:
    return [OFTEN, *(str(value) for column in columns for value in SECRETS[column])]


def content() -> dict[str, list[Any]]:
    """Twenty good rows, and in each column four secrets, one of them twice; their times are secrets, too."""
    columns = {name: [*[GOOD[name]] * 20, *SECRETS[name], SECRETS[name][0]] for name in COLUMNS}
    columns["id"] = list(range(25))
    columns["often"] = [OFTEN] * 25
    columns["ts"] = [datetime(2026, 2, 1) + timedelta(hours=hour) for hour in range(25)]
    return columns


def rules(more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rules of every kind that break on the secrets."""
    found: list[dict[str, Any]] = []
    ends = {"quantiles": [0, 1], "value_ranges": [[0, 1], [0, 1]]}
    soft = {"severity": "warning"} if more == ASIDE else more  # of rules that good rows break, too
    for column in TEXTS:
        found += [
            {
                "column_values_to_be_in_set": {
                    "column": column,
                    "value_set": list({str(value) for value in GOOD.values()}),
                },
                **more,
            },
            {"column_values_to_match_regex": {"column": column, "regex": "^.$|-"}, **more},
            {"column_values_to_match_like_pattern": {"column": column, "like_pattern": "_"}, **soft},
            {"column_value_lengths_to_be_between": {"column": column, "max_value": 10}, **more},
            {"column_distinct_values_to_be_in_set": {"column": column, "value_set": ["a"]}, "severity": "warning"},
            {"column_distinct_values_to_equal_set": {"column": column, "value_set": ["a"]}, "severity": "warning"},
            {"column_distinct_values_to_contain_set": {"column": column, "value_set": ["z"]}, "severity": "warning"},
            {"column_most_common_value_to_be_in_set": {"column": column, "value_set": ["z"]}, "severity": "warning"},
            {"column_max_to_be_between": {"column": column, "max_value": "2026-01-01"}, "severity": "warning"},
        ]
    for column in ("amount", "salary"):
        found += [
            {"column_values_to_be_between": {"column": column, "max_value": 1000}, **more},
            {"column_values_to_be_null": column, **soft},
            {"column_distinct_values_to_be_in_set": {"column": column, "value_set": [1]}, "severity": "warning"},
        ]
    found += [
        {"column_most_common_value_to_be_in_set": {"column": "often", "value_set": ["z"]}, "severity": "warning"},
        {"column_max_to_be_between": {"column": "salary", "max_value": 1}, "severity": "warning"},
        {"column_min_to_be_between": {"column": "salary", "max_value": 1}, "severity": "warning"},
        {"column_quantile_values_to_be_between": {"column": "salary", "quantile_ranges": ends}, "severity": "warning"},
        {"compound_columns_to_be_unique": ["card", "name"], **soft},
        {"column_pair_values_to_be_equal": {"column_A": "name", "column_B": "card"}, **soft},
        {"column_pair_values_a_to_be_greater_than_b": {"column_A": "id", "column_B": "salary"}, **soft},
        {"multicolumn_sum_to_equal": {"column_list": ["amount", "id"], "sum_total": 11}, **soft},
        {"rows": "SELECT * FROM {batch} WHERE length(name) > 5", **more},
        {"foreign_key": {"column": "key", "table": "keys", "to": "k"}, **more},
    ]  # fmt: skip
    return found


RAISING: list[dict[str, Any]] = [
    {"rows": "SELECT * FROM {batch} WHERE name::INTEGER > 1"},
    {"rows": "SELECT * FROM {batch} WHERE born::DATE > '2026-01-01'"},
    {"rows": "SELECT * FROM {batch} WHERE born::TIMESTAMP > '2026-01-01'"},
    {"rows": "SELECT * FROM {batch} WHERE card::BOOLEAN"},
    {"rows": "SELECT * FROM {batch} WHERE code::UUID IS NULL"},
    {"rows": "SELECT * FROM {batch} WHERE code::JSON IS NULL"},
    {"rows": "SELECT * FROM {batch} WHERE code::INTERVAL IS NULL"},
    {"rows": "SELECT * FROM {batch} WHERE name::INTEGER[] IS NULL"},
    {"rows": "SELECT * FROM {batch} WHERE amount::INTEGER > 1"},
    {"rows": "SELECT * FROM {batch} WHERE salary::TINYINT > 1"},
    {"rows": "SELECT * FROM {batch} WHERE amount::DECIMAL(4, 2) > 1"},
    {"rows": "SELECT * FROM {batch} WHERE salary * 100000000000 > 1"},
    {"rows": "SELECT * FROM {batch} WHERE name::BLOB = 'a' OR ('\\x' || code)::BLOB = 'a'"},
    {"rows": "SELECT * FROM {batch} WHERE error(card) IS NULL"},
    {"rows": "SELECT * FROM {batch} WHERE strptime(born, '%Y') IS NULL"},
    {"rows": "SELECT * FROM {batch} WHERE regexp_matches('a', '(' || name)"},
    {"column_values_to_be_between": {"column": "name", "min_value": 1}},
    {"column_values_to_be_between": {"column": "born", "min_value": "2026-01-01T00:00:00"}},
    {"column_values_to_be_in_set": {"column": "key", "value_set": [1]}},
    {"column_mean_to_be_between": {"column": "card", "min_value": 1}},
]


def suite(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"dataset": "people", "sensitive": list(SENSITIVE), "max_quarantine": 1, "expectations": list(entries)}


def found_in(home: Path, wanted: Sequence[str]) -> dict[str, set[str]]:
    """The files of a workspace that hold some of the texts, the tables themselves aside."""
    found = {}
    for path in home.rglob("*"):
        if path.is_file() and not path.name.endswith(".parquet"):
            held = path.read_bytes().decode("utf-8", "replace")
            if there := {text for text in wanted if text in held or f"{text[:3]},{text[3:6]}" in held}:
                found[path.name] = there
    return found


@pytest.fixture
def data(home: Path) -> Dataset:
    Workspace.here().prepare()
    with running(Context(Workspace.here(), "r1", "load")):
        Dataset.of(pa.table({"k": ["k"]}), "keys")
        return Dataset.of(pa.table(content()), "data", time="ts")


def keys() -> dict[str, Any]:
    place = Path(Workspace.here().home, "runs/r1/load/keys.parquet")
    return {"keys": Dataset(place.as_uri(), "sha256:k", {"rows": 1}).to_json()}


def asked(data: Dataset, entries: Sequence[Mapping[str, Any]], **more: Any) -> str:
    """All that the step says: its lines, its reference, its error."""
    heard: list[Any] = []
    inputs = {"data": data.to_json(), "suite": suite(entries), "tables": keys(), **more}
    request = Request("m:validate", inputs, "r1", "validate", os.environ["OSTINATO_HOME"], pipeline="people")
    try:
        heard.append(execute(request, emit=heard.append, function=validate))
    except OstinatoError as error:
        heard += [str(error), repr(error), error.evidence]
    finally:
        records_of(os.environ["OSTINATO_HOME"]).close()
    return json.dumps(heard)


@pytest.mark.parametrize("more", [ASIDE, {"severity": "warning"}, {}], ids=["set aside", "warned", "stopped"])
def test_without_samples_no_value_is_shown_anywhere(
    home: Path, data: Dataset, more: dict[str, Any], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in findings, pages, Great Expectations' own documents, records, manifests, logs, nor in what is printed."""
    said = asked(data, rules(more))
    out, err = capfd.readouterr()
    assert found_in(home, secrets()) == {}
    assert not [text for text in secrets() if text in said + out + err + caplog.text]


@pytest.mark.parametrize("more", [ASIDE, {"severity": "warning"}], ids=["set aside", "warned"])
def test_samples_are_on_the_page_and_in_the_findings_and_never_of_a_sensitive_column(
    home: Path, data: Dataset, more: dict[str, Any], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asked for them looks there; nobody else sees them."""
    said = asked(data, rules(more), samples=5)
    out, err = capfd.readouterr()
    found = found_in(home, secrets())
    assert found.keys() == PAGE
    open_columns = [column for column in COLUMNS if column not in SENSITIVE]
    for texts in found.values():
        assert not texts & set(secrets(SENSITIVE))
        assert all(texts & set(secrets([column])) for column in open_columns)
    assert not [text for text in secrets() if text in said + out + err + caplog.text]


def test_samples_are_as_many_as_were_asked_for(home: Path, data: Dataset) -> None:
    """Of each rule, and each of them once."""
    entry = {"column_values_to_be_in_set": {"column": "name", "value_set": ["a"]}, **ASIDE}
    for samples in (0, 1, 3, 50):
        asked(data, [entry], samples=samples)
        (rule,) = json.loads(Path(home, "runs/r1/validate/validation.json").read_text())["rules"]
        examples = rule.get("examples", [])
        assert len(examples) == len(set(examples)) == min(samples, 4)
        assert set(examples) <= set(secrets(["name"]))


@pytest.mark.parametrize("samples", [0, 5])
def test_an_error_does_not_tell_the_value_it_stumbled_over(
    home: Path, data: Dataset, samples: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Databases quote what they cannot convert; each of these rules raises, and none of them says it."""
    said = asked(data, RAISING, samples=samples)
    out, err = capfd.readouterr()
    findings = json.loads(Path(home, "runs/r1/validate/validation.json").read_text())
    assert found_in(home, secrets()) == {}
    assert not [text for text in secrets() if text in said + out + err + caplog.text]
    raised = [rule["outcome"] for rule in findings["rules"]]
    assert raised.count("error") >= 15, [rule["expected"] for rule in findings["rules"] if rule["outcome"] != "error"]


def test_in_place_nothing_is_shown_either(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """By Great Expectations on a database of somebody else's."""
    import sqlite3
    from contextlib import closing

    Workspace.here().prepare()
    place = tmp_path / "people.db"
    with closing(sqlite3.connect(place)) as connection:
        pa.table(content()).to_pandas().to_sql("people", connection, index=False)
        connection.execute("CREATE TABLE keys AS SELECT 'k' AS k")
        connection.commit()
    heard: list[Any] = []
    context = Context(Workspace.here(), "r1", "validate", "people", emit=heard.append)
    with running(context):
        try:
            heard.append(
                validate_in_place.function(
                    f"sqlite:///{place}", table="people", suite=suite(rules({"severity": "warning"}))
                ).to_json()
            )
        except RuleBroken as error:  # SQLite cannot do all of it
            heard += [str(error), error.evidence]
    out, err = capfd.readouterr()
    assert found_in(home, secrets()) == {}
    assert not [text for text in secrets() if text in json.dumps(heard) + out + err + caplog.text]


@pytest.mark.parametrize("samples", [0, 5])
def test_a_run_by_the_command_line_shows_nothing_but_the_samples(home: Path, tmp_path: Path, samples: int) -> None:
    """Workers, their logs, the records and the terminal, with rules that break and rules that raise."""
    pq.write_table(pa.table(content()), tmp_path / "people.parquet")
    pq.write_table(pa.table({"k": ["k"]}), tmp_path / "keys.parquet")
    place = tmp_path / "people.yaml"
    place.write_text(
        json.dumps({**suite([*rules({"severity": "warning"}), *RAISING]), "tables": {"keys": "keys.parquet"}})
    )
    parameters = {"source": tmp_path / "people.parquet", "suite": place, "time": "ts", "samples": samples}
    command = [sys.executable, "-m", "ostinato.cli", "run", "data_validation"]
    for name, value in parameters.items():
        command += ["-p", f"{name}={value}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(ostinato.__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert "could not be evaluated" in done.stdout + done.stderr
    assert not [text for text in secrets() if text in done.stdout + done.stderr]
    found = found_in(home, secrets())
    assert found.keys() == (PAGE if samples else set())
    assert not {text for texts in found.values() for text in texts} & set(secrets(SENSITIVE))

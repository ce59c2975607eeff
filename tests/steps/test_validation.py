"""Validation, end to end with Great Expectations: what goes on, what is set aside, what stops a run, what is said."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy

from integrations.postgres_server import postgres_server
from ostinato.artifacts import Artifact, Validation
from ostinato.context import Context, running
from ostinato.engines.local_run import run
from ostinato.errors import DataError, OstinatoError, RuleBroken, Unavailable, ValidationFailed
from ostinato.graph import pipeline
from ostinato.records import RunRecord
from ostinato.runner import LARGEST_RESULT, records_of
from ostinato.steps import load
from ostinato.steps.validation import validate, validate_in_place
from ostinato.suites.reading import SuiteError
from ostinato.tables import Dataset, duck
from ostinato.workspace import Workspace, local_path

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ASIDE = {"on_fail": "quarantine"}

heard: list[str] = []
numbers = itertools.count()


def hear(event: dict[str, Any]) -> None:
    if event["event"] == "log":
        heard.append(event["message"])


@pytest.fixture(autouse=True)
def prepared(home: Path) -> Iterator[None]:
    """The workspace as an engine has prepared it, and nothing heard yet."""
    heard.clear()
    Workspace.here().prepare()
    yield
    records_of(str(home)).close()


def context(**more: Any) -> Context:
    given = {"run_id": "r1", "step": "validate", "pipeline": "payments", "as_of": DAY, "day": DAY, "emit": hear}
    return Context(Workspace.here(), **{**given, **more})


def table(time: str | None = None, **columns: Any) -> Dataset:
    """A table as an earlier step has written it."""
    with running(context(step=f"load{next(numbers)}")):
        return Dataset.of(pa.table(columns), "given", time=time)


def suite(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"dataset": "payments", "expectations": list(rules), "max_quarantine": 1, **more}


def check(data: Dataset, given: Any, *, here: Mapping[str, Any] | None = None, **more: Any) -> Dataset:
    """The step, in a run of its own."""
    with running(context(**(here or {}))):
        return validate.function(data, suite=given, **more)


def refused(data: Dataset, given: Any, kind: type[OstinatoError] = ValidationFailed, **more: Any) -> OstinatoError:
    """What the step raises; of no other kind."""
    with pytest.raises(kind) as raised:
        check(data, given, **more)
    assert type(raised.value) is kind
    return raised.value


def reference(of: Dataset | OstinatoError) -> Artifact:
    """The Validation that a step left behind, however it ended."""
    found = of.facts["validation"] if isinstance(of, Dataset) else of.evidence
    return Artifact.from_json(found or {})


def findings(of: Dataset | OstinatoError | Artifact) -> dict[str, Any]:
    found = of if isinstance(of, Validation) else reference(of)  # type: ignore[arg-type]
    assert isinstance(found, Validation)
    content: dict[str, Any] = found.read()
    return content


def outcomes(of: Dataset | OstinatoError | Artifact) -> dict[str, str]:
    return {rule["name"]: rule["outcome"] for rule in findings(of)["rules"]}


def set_aside(of: Dataset | OstinatoError) -> Dataset:
    bad = Artifact.from_json(reference(of).facts["quarantine"])
    assert isinstance(bad, Dataset)
    return bad


def rows(data: Dataset) -> list[dict[str, Any]]:
    return data.to_arrow().to_pylist()


def reasons(of: Dataset | OstinatoError, key: str = "id") -> dict[Any, list[str]]:
    return {row[key]: row["_reasons"] for row in rows(set_aside(of))}


# --- what goes on, and what does not ------------------------------------------------------------------------------


def test_a_clean_table_goes_on_as_it_is() -> None:
    """Nothing is copied; its facts carry what was found."""
    data = table(time="ts", id=[1, 2, 3], ts=pa.array([datetime(2026, 2, day) for day in (1, 2, 3)]))
    left = check(
        data,
        suite(
            {"column_values_to_be_unique": "id", **ASIDE},
            {"column_max_to_be_between": {"column": "id", "max_value": 3}},
        ),
    )
    assert (left.uri, left.digest) == (data.uri, data.digest)
    assert left.facts["time"] == data.facts["time"]
    facts = left.facts["validation"]["facts"]
    assert (facts["outcome"], facts["rows"], facts["quarantined"], facts["share"]) == ("passed", 3, 0, 0)
    assert facts["counts"] == {"pass": 2}
    assert "quarantine" not in facts
    assert not list(local_path(facts["page"]).parent.glob("*.parquet"))
    assert {path.name for path in local_path(facts["page"]).parent.iterdir()} == {
        "validation.json",
        ".validation.json.manifest.json",
        "validation.html",
        "gx_result.json",
        "data_docs.html",
    }


RULES: list[dict[str, Any]] = [
    {"column_values_to_not_be_null": "card", "name": "card is there", **ASIDE},
    {"column_values_to_be_unique": "id", "name": "ids differ", **ASIDE},
    {"column_values_to_be_between": {"column": "amount", "min_value": 0, "max_value": 100}, "name": "amounts", **ASIDE},
    {"column_values_to_be_in_set": {"column": "kind", "value_set": ["in", "out"]}, "name": "kinds", **ASIDE},
]


def planted(seed: int, count: int = 300) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "place": place,
            "id": chance.choice([place, place, place, 1000 + place // 2]),
            "card": chance.choice(["a", "b", "", "ü", None]) if chance.random() < 0.2 else "c",
            "amount": chance.choice([0.0, 100.0, -0.5, 100.5, float("nan"), float("inf"), None]),
            "kind": chance.choice(["in", "out", "in", "out", "", None, "In"]),
            "ts": datetime(2026, 2, 1) + timedelta(hours=place),
        }
        for place in range(count)
    ]


def expected_reasons(given: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    """The same rules in plain Python."""
    ids = Counter(row["id"] for row in given)
    found = {}
    for row in given:
        broken = {
            "card is there": row["card"] is None,
            "ids differ": ids[row["id"]] > 1,
            "amounts": row["amount"] is not None and not 0 <= row["amount"] <= 100,
            "kinds": row["kind"] not in ("in", "out", None),
        }
        if any(broken.values()):
            found[row["place"]] = [name for name, is_broken in broken.items() if is_broken]
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_bad_rows_are_set_aside_with_all_their_reasons(seed: int) -> None:
    """Good and bad together are the table; no good row is bad; and nothing depends on the order of the rows."""
    given = planted(seed)
    wanted = expected_reasons(given)
    columns = ["place", "id", "card", "amount", "kind", "ts"]
    results = []
    for number in (1, 2):
        data = table(time="ts", **{name: [row[name] for row in given] for name in columns})
        left = check(data, suite(*RULES), here={"run_id": f"r{number}"})
        results.append(left)
        assert reasons(left, "place") == wanted
        assert {row["place"] for row in rows(left)} == {row["place"] for row in given} - wanted.keys()
        assert left.rows + set_aside(left).rows == len(given)
        assert list(left.schema) == columns
        assert list(set_aside(left).schema) == [*columns, "_reasons"]
        good = [row["ts"] for row in given if row["place"] not in wanted]
        assert left.facts["time"] == {"column": "ts", "from": str(min(good)), "until": str(max(good))}
        random.Random(seed).shuffle(given)
    first, second = results
    assert first.digest == second.digest
    assert set_aside(first).digest == set_aside(second).digest
    assert reference(first).digest == reference(second).digest
    counts = Counter(reason for found in wanted.values() for reason in found)
    told = {rule["name"]: rule["unexpected"] for rule in findings(first)["rules"]}
    assert told == {"card is there": 0, "ids differ": 0, "amounts": 0, "kinds": 0} | counts
    assert reference(first).facts["quarantined"] == len(wanted)
    assert reference(first).facts["share"] == len(wanted) / len(given)
    assert any(f"{len(wanted)} of 300 rows" in line for line in heard)


def test_rows_that_are_the_same_in_every_column_are_set_aside_each() -> None:
    """They are counted, not merged."""
    data = table(id=[7, 7, 7, 8], amount=[1, 1, 1, 1])
    left = check(data, suite({"column_values_to_be_unique": "id", **ASIDE}))
    assert rows(left) == [{"id": 8, "amount": 1}]
    assert [row["id"] for row in rows(set_aside(left))] == [7, 7, 7]


def test_the_run_stops_when_too_many_rows_would_be_set_aside() -> None:
    """The bad rows are written for whoever has to look, the good ones are not; other rules are not asked."""
    data = table(id=list(range(100)), amount=[-1.0] * 2 + [1.0] * 98)
    rules = [
        {"column_values_to_be_between": {"column": "amount", "min_value": 0}, "name": "amounts", **ASIDE},
        {"column_max_to_be_between": {"column": "id", "max_value": 5}, "name": "ids"},
    ]
    error = refused(data, suite(*rules, max_quarantine=0.01))
    assert str(error) == ("2 of 100 rows (2.00%) would be quarantined, more than max_quarantine = 1.00%: amounts (2)")
    assert outcomes(error) == {"amounts": "quarantined", "ids": "skipped"}
    assert reference(error).facts["outcome"] == "stopped"
    assert reasons(error) == {0: ["amounts"], 1: ["amounts"]}
    assert not Path(context().folder, "data.parquet").exists()
    assert check(data, suite(*rules[:1], max_quarantine=0.01), max_quarantine=0.02).rows == 98
    assert check(data, suite(*rules[:1], max_quarantine="2%")).rows == 98


def test_a_table_of_bad_rows_only_stops_the_run_however_many_may_be_set_aside() -> None:
    """Nothing would be left to go on with."""
    data = table(id=[1, 2], amount=[-1, -2])
    error = refused(data, suite({"column_values_to_be_between": {"column": "amount", "min_value": 0}, **ASIDE}))
    assert "2 of 2 rows (100.00%) would be quarantined, and none would be left" in str(error)
    assert set_aside(error).rows == 2


@pytest.mark.slow
def test_a_million_distinct_bad_values_leave_a_small_record() -> None:
    """What crosses a step's boundary is bounded, whatever the rows hold."""
    with running(context(step="load")), duck() as connection:
        data = Dataset.save(connection, "SELECT range AS id, md5(range::VARCHAR) AS code FROM range(1_000_100)")
    rule = {"column_values_to_be_in_set": {"column": "code", "value_set": ["a"]}, **ASIDE}
    error = refused(data, suite(rule), samples=3)
    assert set_aside(error).rows == 1_000_100
    assert len(json.dumps(error.evidence)) <= LARGEST_RESULT
    assert len(json.dumps(findings(error))) <= LARGEST_RESULT


def test_hundreds_of_long_rules_leave_a_small_record() -> None:
    """Names, warnings and the suite's own name are cut; the findings have all of them."""
    long = "ü" * 3000
    data = table(id=[1, 2, 3])
    rules = [
        {
            "column_values_to_be_between": {"column": "id", "min_value": place},
            "name": f"{place}{long}",
            "severity": "warning",
        }
        for place in range(10, 70)
    ]
    left = check(data, suite(*rules, dataset=long), subject=long)
    assert len(json.dumps(left.to_json())) <= LARGEST_RESULT
    assert len(findings(left)["rules"]) == 60
    assert left.facts["validation"]["facts"]["outcome"] == "warned"


def test_a_rule_that_passes_by_mostly_still_sets_its_bad_rows_aside() -> None:
    """And one that too few rows meet stops the run."""
    data = table(id=list(range(10)), amount=[-1] * 2 + [1] * 8)

    def asking(mostly: float) -> dict[str, Any]:
        return suite(
            {
                "column_values_to_be_between": {"column": "amount", "min_value": 0, "mostly": mostly},
                "name": "amounts",
                **ASIDE,
            }
        )

    left = check(data, asking(0.8))
    assert (left.rows, outcomes(left)) == (8, {"amounts": "quarantined"})
    error = refused(data, asking(0.9))
    assert str(error) == "amounts: 2 of 10 rows break it"


def test_other_rules_are_asked_only_of_the_rows_that_are_left() -> None:
    """The greatest amount is that of the good rows."""
    data = table(id=[1, 2, 3], amount=[5, 6, 10**6])
    rules = [
        {"column_max_to_be_between": {"column": "amount", "max_value": 6}, "name": "greatest"},
        {"table_row_count_to_equal": {"value": 2}, "name": "count"},
        {"column_values_to_be_between": {"column": "amount", "max_value": 100}, "name": "amounts", **ASIDE},
    ]
    assert outcomes(check(data, suite(*rules))) == {"greatest": "pass", "count": "pass", "amounts": "quarantined"}


# --- what stops a run, and what only warns ------------------------------------------------------------------------


def test_a_critical_rule_that_is_not_met_stops_the_run_with_its_place(tmp_path: Path) -> None:
    """File, line, name and counts, in one line."""
    place = tmp_path / "payments.yaml"
    place.write_text(
        "dataset: payments\nexpectations:\n  - column_values_to_be_unique: id\n"
        "  - column_max_to_be_between: {column: id, max_value: 2}\n"
    )
    error = refused(table(id=[1, 1, 3]), str(place))
    assert str(error) == (
        f"{place}:3: column_values_to_be_unique: id: 2 of 3 rows break it; "
        f"{place}:4: column_max_to_be_between: id: found 3, wanted max value 2"
    )
    assert findings(error)["said"] == str(error)
    assert findings(error)["source"] == str(place)


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_a_rule_that_cannot_be_evaluated_stops_the_run_whatever_its_severity(severity: str) -> None:
    """A wrong type is no pass; the other rules' findings are there."""
    data = table(id=[1, 2], name=["geheim", "x"])
    rules = [
        {
            "column_mean_to_be_between": {"column": "name", "min_value": 0},
            "severity": severity,
            "name": "mean of names",
        },
        {"column_values_to_be_unique": "id", "name": "ids"},
    ]
    error = refused(data, suite(*rules), RuleBroken)
    assert str(error).startswith("mean of names: could not be evaluated: ")
    assert "geheim" not in str(error)
    assert outcomes(error) == {"mean of names": "error", "ids": "pass"}


def test_a_rule_that_raises_beside_one_that_sets_rows_aside_is_said_plainly() -> None:
    """The rows of the other one are set aside; the run stops for the broken rule, in words without values."""
    data = table(id=[1, 2], name=["geheim", "x"], amount=[-1, 1])
    rules = [
        {"column_values_to_be_between": {"column": "name", "min_value": 0}, "name": "wrong type", **ASIDE},
        {"column_values_to_be_between": {"column": "amount", "min_value": 0}, "name": "amounts", **ASIDE},
    ]
    error = refused(data, suite(*rules), RuleBroken)
    assert str(error).startswith("wrong type: could not be evaluated: ")
    assert "geheim" not in str(error)
    assert outcomes(error) == {"wrong type": "error", "amounts": "quarantined"}
    assert reasons(error) == {1: ["amounts"]}


def test_a_type_that_great_expectations_does_not_know_is_no_obstacle() -> None:
    """DECIMAL, lists, structs, times, bytes: rules about any column are judged."""
    data = table(
        id=[1, 2, 3],
        price=pa.array([Decimal("1.50"), Decimal("-2.25"), None], pa.decimal128(10, 2)),
        tags=[["a"], [], None],
        point=[{"x": 1}, {"x": 2}, None],
        raw=[b"a", b"b", None],
        clock=pa.array([1, 2, None], pa.time64("us")),
        wide=pa.array([1, 2, 3], pa.uint64()),
        zoned=pa.array([DAY, DAY, None]),
        word=pa.array(["a", "b", None]).dictionary_encode(),
    )
    rules = [
        *({"column_values_to_not_be_null": {"column": column, "mostly": 0.5}} for column in data.schema),
        {"column_values_to_be_between": {"column": "price", "min_value": 0}, "name": "prices", **ASIDE},
        {"column_max_to_be_between": {"column": "price", "max_value": 1.5}},
        {"column_sum_to_be_between": {"column": "price", "min_value": 1.5, "max_value": 1.5}},
    ]
    left = check(data, suite(*rules))
    assert Counter(outcomes(left).values()) == {"pass": len(rules) - 1, "quarantined": 1}
    assert reasons(left) == {2: ["prices"]}


def test_a_warning_is_logged_and_recorded_and_the_run_goes_on() -> None:
    """It is neither a success nor a failure; what is only for information is not even a warning."""
    data = table(id=[1, 1, 3])
    rules = [
        {"column_values_to_be_unique": "id", "severity": "warning", "name": "ids"},
        {"column_max_to_be_between": {"column": "id", "max_value": 2}, "severity": "info", "name": "greatest"},
    ]
    left = check(data, suite(*rules))
    facts = left.facts["validation"]["facts"]
    assert (facts["outcome"], facts["counts"]) == ("warned", {"fail": 2})
    assert facts["warnings"] == ["ids: 2 of 3 rows break it"]
    assert "warning: ids: 2 of 3 rows break it" in heard
    assert not any("greatest" in line for line in heard)


def test_two_rules_that_ask_the_same_are_both_judged() -> None:
    """Great Expectations would take them for one."""
    rule = {"column_values_to_be_between": {"column": "id", "min_value": 2}}
    data = table(id=[1, 2, 3])
    left = check(data, suite({**rule, "name": "a", **ASIDE}, {**rule, "name": "b", **ASIDE}))
    assert reasons(left) == {1: ["a", "b"]}


# --- what depends on the run --------------------------------------------------------------------------------------


def write_run(run_id: str, left: Dataset, state: str = "succeeded", as_of: datetime = DAY, **more: Any) -> None:
    """A run in the records that validated a table."""
    records = records_of(os.environ["OSTINATO_HOME"])
    started = time.time() + len(records.runs(most=100))
    record = RunRecord(run_id, more.get("pipeline", "payments"), "local", state, as_of.isoformat(), started, None, {},
                       {"nodes": []}, "m:p", {}, None, None)  # fmt: skip
    records.open_run(record)
    records.change_run(run_id, state=state)
    records.write_step(run_id, more.get("step", "validate"), state="succeeded", started=1.0, output=left.to_json())


def test_the_row_count_is_compared_with_the_last_good_run() -> None:
    """Skipped, aloud, where there is none; of the same pipeline, step and subject, and of no later moment."""
    rule = {"table_row_count_to_be_between": {"min_value": "{{ last.rows * 0.5 }}"}, "name": "enough rows"}
    other = {"column_values_to_be_between": {"column": "id", "min_value": 0}, "name": "ids", **ASIDE}
    first = check(table(id=[-1, *range(10)]), suite(rule, other), here={"run_id": "a"})
    assert outcomes(first) == {"enough rows": "skipped", "ids": "quarantined"}
    assert "skipped: enough rows: last.rows is not known in the first run" in heard
    small, enough = table(id=[1, 2, 3, 4]), table(id=[1, 2, 3, 4, 5])
    for wrong in ({"pipeline": "other"}, {"step": "other"}, {"as_of": DAY + timedelta(days=1)}, {"state": "failed"}):
        write_run(f"x{len(heard)}{wrong}", first, **wrong)
    assert outcomes(check(small, suite(rule, other), here={"run_id": "b"}))["enough rows"] == "skipped"
    write_run("good", first)
    assert outcomes(check(enough, suite(rule, other), here={"run_id": "c"}))["enough rows"] == "pass"
    error = refused(small, suite(rule, other), here={"run_id": "d"})
    assert str(error) == "enough rows: found 4, wanted min value 5"
    assert outcomes(check(small, suite(rule), subject="other", here={"run_id": "e"}))["enough rows"] == "skipped"
    # resumed, a run is not its own past
    assert outcomes(check(small, suite(rule), here={"run_id": "good"}))["enough rows"] == "skipped"


def test_the_page_shows_earlier_runs_of_the_same_table() -> None:
    """Those that stopped, too: with a bar for each."""
    rule = {"column_values_to_be_between": {"column": "id", "min_value": 0}, "name": "ids", **ASIDE}
    first = check(table(id=[-1, 1, 2, 3]), suite(rule), here={"run_id": "a"})
    write_run("a", first)
    error = refused(table(id=[-1, -1, 2, 3]), suite(rule, max_quarantine=0.3), here={"run_id": "b"})
    write_run("b", first, state="failed")
    records_of(os.environ["OSTINATO_HOME"]).write_step(
        "b",
        "validate",
        state="failed",
        output=None,
        error={"type": "ValidationFailed", "message": "", "evidence": error.evidence},
    )
    page = local_path(reference(check(table(id=[1]), suite(rule), here={"run_id": "c"})).facts["page"]).read_text()
    assert "Share quarantined in the last 3 runs" in page
    assert [page.count(f'class="{outcome}"') for outcome in ("passed", "stopped")] == [2, 1]
    assert "2 of 4 rows, 50.00%" in page


@pytest.mark.parametrize(("hours", "outcome"), [(23, "pass"), (24, "pass"), (25, "fail")])
def test_freshness_is_counted_from_the_moment_the_run_stands_for(hours: int, outcome: str) -> None:
    """Not from the clock."""
    rule = {
        "column_max_to_be_between": {"column": "ts", "min_value": "{{ as_of - 1d }}"},
        "severity": "warning",
        "name": "fresh",
    }
    data = table(ts=pa.array([DAY.replace(tzinfo=None) - timedelta(hours=hours)]))
    assert outcomes(check(data, suite(rule))) == {"fresh": outcome}


def test_times_of_the_future_are_set_aside_by_the_day_on_which_the_run_began() -> None:
    """`{{ day + 1d }}` is handed in, not read from a clock."""
    rule = {
        "column_values_to_be_between": {"column": "ts", "max_value": "{{ day + 1d }}", "strict_max": True},
        "name": "not yet",
        **ASIDE,
    }
    moments = [datetime(2026, 3, 1, 23, 59, 59, 999_999), datetime(2026, 3, 2), datetime(2099, 1, 1), None]
    left = check(table(id=[1, 2, 3, 4], ts=pa.array(moments)), suite(rule))
    assert reasons(left) == {2: ["not yet"], 3: ["not yet"]}


def test_a_moment_outside_the_calendar_is_the_suites_mistake() -> None:
    """With the rule's name."""
    rule = {"column_max_to_be_between": {"column": "ts", "min_value": "{{ as_of + 2d }}"}, "name": "fresh"}
    last = datetime(9999, 12, 31, tzinfo=UTC)
    with pytest.raises(SuiteError, match=r"fresh: .* is beyond all times"):
        check(table(ts=pa.array([datetime(2026, 3, 1)])), suite(rule), here={"as_of": last})


# --- other tables, and rules in SQL -------------------------------------------------------------------------------


def put_terminals(folder: Path, kind: str) -> str:
    frame = pd.DataFrame({"terminal": ["a", "b", None, "it's", "b"], "more": range(5)})
    place = folder / f"terminals {kind}.{kind}"
    if kind == "parquet":
        frame.to_parquet(place)
    elif kind == "csv":
        frame.to_csv(place, index=False)
    elif kind == "db":
        with closing(sqlite3.connect(place)) as connection:
            frame.to_sql("t", connection, index=False)
    else:
        with duckdb.connect(str(place)) as connection:
            connection.execute("CREATE TABLE t AS FROM frame")
    return str(place)


KEY = {"foreign_key": {"column": "at", "table": "terminals", "to": "terminal"}, "name": "known", **ASIDE}
AT = ["a", "it's", "c", "", None, "A"]
UNKNOWN = {2: ["known"], 3: ["known"], 5: ["known"]}


@pytest.mark.parametrize("kind", ["parquet", "csv", "db", "duckdb"])
def test_a_foreign_key_looks_into_a_table_that_the_suite_names(tmp_path: Path, kind: str) -> None:
    """A file or a database beside the suite; a missing value breaks no rule, and missing keys are none."""
    put_terminals(tmp_path, kind)
    place = tmp_path / "payments.yaml"
    content = suite(KEY, tables={"terminals": f"terminals {kind}.{kind}"})
    place.write_text(json.dumps(content))
    left = check(table(id=[0, 1, 2, 3, 4, 5], at=AT), str(place))
    assert reasons(left) == UNKNOWN


def test_a_foreign_key_looks_into_a_table_that_is_handed_in() -> None:
    """Before one of the suite's own; without any there is a sentence."""
    data = table(id=[0, 1, 2, 3, 4, 5], at=AT)
    with running(context(step="terminals")):
        terminals = Dataset.of(pa.table({"terminal": ["a", "it's", None]}), "terminals")
    assert reasons(check(data, suite(KEY), tables={"terminals": terminals})) == UNKNOWN
    left = check(data, suite(KEY, tables={"terminals": "nothing/there.parquet"}), tables={"terminals": terminals})
    assert reasons(left) == UNKNOWN
    with pytest.raises(
        SuiteError, match=r"known: there is no table 'terminals' under `tables:`\. Did you mean 'terminal'"
    ):
        check(data, suite(KEY), tables={"terminal": terminals})
    error = refused(
        data,
        suite({**KEY, "severity": "warning"} | {"foreign_key": {**KEY["foreign_key"], "to": "nope"}}),
        RuleBroken,
        tables={"terminals": terminals},
    )  # type: ignore[dict-item]
    assert "could not be evaluated" in str(error)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM {batch} WHERE name IN ('{}', ':a', '%s', ';', '{0}', 'it''s')",
        "select *\nfrom {batch}\nwhere name in ('{}', ':a', '%s', ';', '{0}', 'it''s') ;\n",
        "SELECT * FROM {batch} WHERE name::VARCHAR IN ('{}', ':a', '%s', ';', /* {done}: 100 % */ '{0}', 'it''s')",
    ],
    ids=["plain", "semicolon", "comment"],
)
def test_a_query_sets_aside_the_rows_it_finds_whatever_is_in_it(query: str) -> None:
    """Braces, colons, per cent, quotes and semicolons are text."""
    names = ["{}", ":a", "%s", ";", "{0}", "it's", "a", "", "%", None]
    left = check(table(id=list(range(10)), name=names), suite({"rows": query, "name": "odd names", **ASIDE}))
    assert reasons(left) == {place: ["odd names"] for place in range(6)}


def test_a_query_that_gives_a_row_twice_stops_the_run() -> None:
    """Two numbers that should be one: nobody knows what went on."""
    query = "SELECT * FROM {batch} JOIN (VALUES (1), (1)) AS twice(id) USING (id)"
    error = refused(table(id=[1, 2, 3]), suite({"rows": query, "name": "twice", **ASIDE}), RuleBroken)
    assert "Great Expectations counts 2 rows that break it, and 1 are found" in str(error)
    assert outcomes(error) == {"twice": "error"}


def test_a_query_may_look_into_other_tables_and_the_run() -> None:
    """Formulas within it become literals."""
    with running(context(step="terminals")):
        closed = Dataset.of(pa.table({"terminal": ["a"], "until": pa.array([DAY.replace(tzinfo=None)])}), "closed")
    query = "SELECT * FROM {batch} WHERE terminal IN (SELECT terminal FROM closed WHERE until >= {{ as_of - 1d }})"
    left = check(
        table(id=[1, 2], terminal=["a", "b"]),
        suite({"rows": query, "name": "closed", **ASIDE}),
        tables={"closed": closed},
    )
    assert reasons(left) == {1: ["closed"]}


def test_a_query_that_judges_by_its_count_stops_the_run() -> None:
    """Without quarantine, a row that it finds breaks the rule."""
    error = refused(table(id=[1, 2]), suite({"rows": "SELECT * FROM {batch} WHERE id > 1", "name": "small"}))
    assert str(error) == "small: 1 row breaks it"


# --- another table than the suite is about ------------------------------------------------------------------------


def test_columns_that_are_not_there_are_named_with_the_nearest() -> None:
    """In one readable sentence, whatever the rule's severity; nothing else is asked."""
    data = table(id=[1], amount=[1.0])
    rules = [{"column_values_to_not_be_null": ["id", "Amount"], "severity": "info"}]
    error = refused(data, suite(*rules))
    assert str(error) == (
        "column_values_to_not_be_null: Amount: the table has no column 'Amount'. "
        "Did you mean 'amount'? Valid: 'id', 'amount'"
    )
    assert Counter(rule["outcome"] for rule in findings(error)["rules"]) == {"fail": 1, "skipped": 2}
    assert "no column 'ID'" in str(refused(data, suite({"column_values_to_be_unique": "id"}, key="ID")))
    assert "no column 'cent'" in str(
        refused(data, suite({"column_values_to_be_unique": "id"}, columns={"cent": "number"}))
    )
    assert outcomes(check(data, suite({"column_to_exist": "nope", "severity": "warning"}))) == {
        "column_to_exist: nope": "fail"
    }


def test_a_change_of_type_stops_the_run_with_one_sentence() -> None:
    """By family, with the type that was found."""
    data = table(id=["1"], amount=[1.0], ts=["2026-03-01"])
    columns = {"id": "integer", "amount": "number", "ts": "timestamp"}
    error = refused(data, suite({"column_values_to_be_between": {"column": "id", "min_value": 0}}, columns=columns))
    assert str(error) == (
        "columns: id: 'id' is text (VARCHAR); the suite wants integer; "
        "columns: ts: 'ts' is text (VARCHAR); the suite wants timestamp"
    )


def test_a_table_without_rows_or_without_rules_is_refused() -> None:
    """Nothing that could be wrong is no pass."""
    with pytest.raises(ValidationFailed, match="payments: the table has no rows"):
        check(table(id=pa.array([], pa.int64())), suite({"column_values_to_be_unique": "id"}))
    data = table(id=[1])
    for empty in (None, {}, {"dataset": "payments"}, {"expectations": []}):
        with pytest.raises(SuiteError, match="a suite without a rule checks nothing"):
            check(data, empty)
    with pytest.raises(SuiteError, match=r"nothing_here\.yaml"):
        check(data, "nothing_here.yaml")


def test_the_default_is_the_suite_where_none_is_named(tmp_path: Path) -> None:
    """And a suite that is named wins."""
    default = suite({"column_values_to_be_unique": "id", "name": "default"})
    assert outcomes(check(table(id=[1]), None, default=default)) == {"default": "pass"}
    named = suite({"column_values_to_be_unique": "id", "name": "named"})
    assert outcomes(check(table(id=[1]), named, default=default)) == {"named": "pass"}


# --- whatever columns are called, whatever rows hold --------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["_reasons", "_row", "_places"],
        ["__reasons", "_REASONS", "_Row"],
        ["batch", "place", "broken"],
        ["Batch", "_numbered", "_bad"],
        ["data", "t", "h"],
        ['a"b', "a';--", "{batch}"],
        ["x" * 200, "größe 🙂", "a:b %s {0}"],
        ["select", "new\nline", "semi;colon"],
    ],
    ids=lambda names: " ".join(names)[:40],
)
def test_columns_may_be_called_anything(names: list[str]) -> None:
    """The helpers' own names, too: no column is lost or mixed up."""
    a, b, c = names
    data = table(**{a: [1, 2, 2, 4], b: ["x", "", None, "y"], c: [1.0, -1.0, 2.0, float("nan")]})
    rules = [
        {"column_values_to_be_unique": a, "name": "unique", **ASIDE},
        {"column_values_to_not_be_null": b, "name": "there", **ASIDE},
        {"column_values_to_be_between": {"column": c, "max_value": 5}, "name": "below", **ASIDE},
        {"column_values_to_match_regex": {"column": b, "regex": "^[xy]?$"}, "name": "like", **ASIDE},
        {"compound_columns_to_be_unique": [a, b], "name": "both"},
    ]
    left = check(data, suite(*rules))
    assert rows(left) == [{a: 1, b: "x", c: 1.0}]
    bad = set_aside(left)
    assert list(bad.schema)[:3] == names
    added = list(bad.schema)[3]
    told = sorted((row[b] or "", row[added]) for row in rows(bad))
    assert told == [("", ["unique"]), ("", ["unique", "there"]), ("y", ["below"])]


def test_a_column_that_hides_the_rows_numbers_is_said() -> None:
    """`file_row_number` is DuckDB's own word; without bad rows nothing needs it."""
    rule = {"column_values_to_be_between": {"column": "File_Row_Number", "min_value": 0}, **ASIDE}
    assert check(table(File_Row_Number=[1, 2]), suite(rule)).rows == 2
    with pytest.raises(DataError, match=r"has a column 'file_row_number', so its rows cannot be numbered; rename it"):
        check(table(File_Row_Number=[1, -2]), suite(rule))


def test_a_part_of_a_table_is_judged_and_split_as_a_table() -> None:
    """Rows outside of it are neither counted nor written."""
    data = table(
        time="ts",
        id=list(range(10)),
        amount=[-1, 1] * 5,
        ts=pa.array([datetime(2026, 2, 1 + day) for day in range(10)]),
    )
    where = [{"column": "ts", "op": "<", "value": "2026-02-05T00:00:00", "type": "timestamp"}]
    with running(context()), duck() as connection:
        part = data.part(connection, where)
    rules = [{"column_values_to_be_between": {"column": "amount", "min_value": 0}, "name": "amounts", **ASIDE}]
    left = check(part, suite(*rules, {"column_max_to_be_between": {"column": "id", "max_value": 4}}))
    assert [row["id"] for row in rows(left)] == [1, 3]
    assert reasons(left) == {0: ["amounts"], 2: ["amounts"]}
    assert left.facts["time"]["until"] == "2026-02-04 00:00:00"
    assert check(part, suite({"table_row_count_to_equal": {"value": 4}})).facts["where"] == part.facts["where"]


def test_a_regex_that_would_backtrack_for_ever_ends() -> None:
    """Patterns are RE2's, which reads each character once."""
    rule = {"column_values_to_match_regex": {"column": "text", "regex": "(a+)+$"}, "name": "endless", **ASIDE}
    started = time.process_time()
    left = check(table(id=[1, 2], text=["a" * 50_000 + "b", "aa"]), suite(rule))
    assert time.process_time() - started < 10
    assert reasons(left) == {1: ["endless"]}


def test_two_validations_at_once_find_what_each_finds_alone() -> None:
    """Threads share nothing: not the connection, not Great Expectations' context."""
    tables = [table(place=list(range(40)), id=[i % (20 + n) for i in range(40)]) for n in range(2)]
    given = []
    for number, (name, data) in enumerate(zip("ab", tables, strict=True)):
        given.append((data, {"run_id": name, "step": f"validate{number}"}))
    rule = {"column_values_to_be_unique": "id", "name": "ids", **ASIDE}

    def work(one: tuple[Dataset, dict[str, str]]) -> tuple[str, dict[Any, list[str]]]:
        left = check(one[0], suite(rule), here=one[1])
        return left.digest, reasons(left, "place")

    data = [table(place=list(range(40)), id=[place % modulus for place in range(39)] + [99]) for modulus in (20, 30)]
    given = [(one, {"run_id": f"run{place}"}) for place, one in enumerate(data)]
    alone = [work(one) for one in given]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(work, given * 2)) == alone * 2


# --- one suite, many engines --------------------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "id": [1, 2, 3, 4, 4, 6],
        "amount": [1.5, -2.0, None, 8.25, 100.5, 3.0],
        "code": ["A1", "b2", "", None, "A-9", "ü'%"],
        "ts": ["2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04", "2026-02-05", "2026-02-06"],
    }
)
SAME = """
dataset: payments
key: id
max_quarantine: 1
columns: {id: integer, amount: number, code: text}
expectations:
  - column_values_to_be_unique: id
    name: ids
    on_fail: quarantine
  - column_values_to_be_between: {column: amount, min_value: 0, max_value: 100}
    name: amounts
    on_fail: quarantine
  - column_values_to_match_regex: {column: code, regex: "^[A-Z].?[0-9]$"}
    name: codes
    severity: warning
  - column_values_to_not_be_null: {column: code, mostly: 0.5}
    name: code is there
  - rows: "SELECT * FROM {batch} WHERE code LIKE '%''%' OR id = 2"
    name: odd rows
    on_fail: quarantine
  - column_distinct_values_to_contain_set: {column: id, value_set: [3]}
    name: three
  - table_row_count_to_be_between: {min_value: 1, max_value: 6}
    name: count
"""


def same_suite(folder: Path, *, aside: bool) -> str:
    """The one suite; without quarantine, what would be set aside only warns."""
    place = folder / "same.yaml"
    place.write_text(SAME if aside else SAME.replace("on_fail: quarantine", "severity: warning"))
    return str(place)


def put(folder: Path, kind: str) -> str:
    place = folder / f"payments.{kind}"
    if kind == "parquet":
        FRAME.to_parquet(place)
    elif kind == "csv":
        FRAME.to_csv(place, index=False)
    elif kind == "db":
        with closing(sqlite3.connect(place)) as connection:
            FRAME.to_sql("payments", connection, index=False)
    else:
        with duckdb.connect(str(place)) as connection:
            connection.register("frame", FRAME)
            connection.execute("CREATE TABLE payments AS FROM frame")
    return str(place)


LOADED = {
    "ids": ("quarantined", 2),
    "amounts": ("quarantined", 2),
    "codes": ("fail", 1),
    "code is there": ("pass", 0),
    "odd rows": ("quarantined", 2),
    "three": ("pass", None),
    "count": ("pass", None),
}


@pytest.mark.parametrize("kind", ["parquet", "db", "duckdb", "csv"])
def test_the_same_suite_finds_the_same_in_every_kind_of_source(tmp_path: Path, kind: str) -> None:
    """Loaded from a file or a database, and judged by DuckDB; CSV cannot hold an empty text beside a missing one."""
    with running(context(step="load")):
        data = load.function(put(tmp_path, kind))
    left = check(data, same_suite(tmp_path, aside=True))
    without_text = {"codes": ("pass", 0), "code is there": ("pass", 1)}
    assert counts_of(reference(left)) == {**LOADED, **(without_text if kind == "csv" else {})}
    aside = {tuple(row["_reasons"]) for row in rows(set_aside(left))}
    assert aside == {("ids",), ("amounts", "odd rows"), ("ids", "amounts"), ("odd rows",)}
    assert [row["id"] for row in rows(left)] == [1, 3]


IN_PLACE = {
    "ids": ("fail", 2),
    "amounts": ("fail", 2),
    "codes": ("fail", 3),
    "code is there": ("pass", 1),
    "odd rows": ("fail", 2),
    "three": ("pass", None),
    "count": ("pass", None),
}


def in_place(source: str, given: Any, here: Mapping[str, Any] | None = None, **more: Any) -> Validation:
    with running(context(**(here or {}))):
        return validate_in_place.function(source, suite=given, **more)


def counts_of(found: Artifact) -> dict[str, tuple[str, int | None]]:
    return {rule["name"]: (rule["outcome"], rule["unexpected"]) for rule in findings(found)["rules"]}


def test_a_table_is_judged_where_it_lies_in_sqlite(tmp_path: Path) -> None:
    """The same counts as on DuckDB; nothing is copied or set aside, and severity decides."""
    url = f"sqlite:///{put(tmp_path, 'db')}"
    found = in_place(url, same_suite(tmp_path, aside=False))
    assert counts_of(found) == IN_PLACE
    assert (found.facts["outcome"], found.facts["rows"], found.facts["quarantined"]) == ("warned", 6, 0)
    assert not list(Path(context().folder).glob("*.parquet"))
    with pytest.raises(ValidationFailed, match="column_values_to_be_unique: id: 2 of 6 rows break it"):
        in_place(url, suite({"column_values_to_be_unique": "id", **ASIDE}))
    with pytest.raises(RuleBroken, match="could not be evaluated"):
        in_place(url, suite({"rows": "SELECT * FROM {batch} WHERE nope(id)", "severity": "info"}))


def test_a_table_is_judged_where_it_lies_in_postgresql_and_loaded_from_it(tmp_path: Path) -> None:
    """In a schema of its own, with the regular expressions of PostgreSQL; loaded, as from any other source."""
    with postgres_server() as url:
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql('CREATE SCHEMA "Bank"')
            FRAME.to_sql("Payments", connection, schema="Bank", index=False)
        found = in_place(url, same_suite(tmp_path, aside=False), schema="Bank")
        assert counts_of(found) == IN_PLACE
        with pytest.raises(DataError, match=r"has no table 'payments'\. Did you mean 'Payments'"):
            in_place(url, same_suite(tmp_path, aside=False), table="payments", schema="Bank")
        with running(context(step="load")):
            data = load.function(url, query='SELECT * FROM "Bank"."Payments"')
        assert counts_of(reference(check(data, same_suite(tmp_path, aside=True)))) == LOADED
        engine.dispose()


def test_what_is_not_there_in_place_is_said(tmp_path: Path) -> None:
    """A missing table, two tables, a column that is gone, a server that is away."""
    url = f"sqlite:///{put(tmp_path, 'db')}"
    rule = suite({"column_values_to_be_unique": "id"})
    with pytest.raises(DataError, match=r"has no table 'payment'\. Did you mean 'payments'"):
        in_place(url, rule, table="payment")
    with pytest.raises(ValidationFailed, match=r"no column 'idd'\. Did you mean 'id'"):
        in_place(url, suite({"column_values_to_be_unique": "idd"}))
    with closing(sqlite3.connect(tmp_path / "payments.db")) as connection:
        connection.execute("CREATE TABLE empty (id)")
    with pytest.raises(DataError, match="holds 2 tables"):
        in_place(url, rule)
    with pytest.raises(ValidationFailed, match="the table has no rows"):
        in_place(url, rule, table="empty")
    with pytest.raises(Unavailable, match="does not answer") as raised:
        in_place("postgresql+psycopg://user:geheim@127.0.0.1:9/bank", rule)
    assert "geheim" not in str(raised.value)


def test_a_spark_table_is_judged_by_spark(tmp_path: Path) -> None:
    """The same suite and the same counts, where Spark is installed."""
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    place = put(tmp_path, "parquet")
    found = in_place(place, same_suite(tmp_path, aside=False), engine="spark")
    assert {name: IN_PLACE[name] for name in ("ids", "amounts", "count")}.items() <= counts_of(found).items()


# --- in a run -----------------------------------------------------------------------------------------------------


@pipeline
def checking(source: str, suite: str) -> None:
    """Load and check, twice in one pipeline."""
    validate(load(source), suite=suite, subject=source)


def test_in_a_run_the_second_knows_the_first_and_says_the_same(tmp_path: Path) -> None:
    """By the records; the same table gives the same digests, and a run that stopped keeps its evidence."""
    source, place = put(tmp_path, "parquet"), tmp_path / "p.yaml"
    rules = [
        {"table_row_count_to_be_between": {"min_value": "{{ last.rows }}"}, "name": "count"},
        {"column_values_to_be_unique": "id", "name": "ids", **ASIDE},
    ]
    place.write_text(json.dumps(suite(*rules)))
    first, second = (run(checking, source=source, suite=str(place), as_of="2026-03-01") for _ in range(2))
    assert [result["state"] for result in (first, second)] == ["succeeded", "succeeded"], second["steps"]
    assert [result["validations"][0]["counts"] for result in (first, second)] == [
        {"skipped": 1, "quarantined": 1},
        {"pass": 1, "quarantined": 1},
    ]
    outputs = [result["steps"][-1]["outputs"] for result in (first, second)]
    assert outputs[0]["digest"] == outputs[1]["digest"]
    assert len({output["facts"]["validation"]["facts"]["quarantine"]["digest"] for output in outputs}) == 1
    FRAME[:3].to_parquet(source)
    third = run(checking, source=source, suite=str(place), as_of="2026-03-01")
    assert third["state"] == "failed"
    assert third["steps"][-1]["error"]["message"] == f"{place}:1: count: found 3, wanted min value 4"
    assert third["validations"][0]["outcome"] == "stopped"

"""The runner: the one place where a step is executed, on every engine in the same way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato import Dataset, Metrics, Model, Verdict, context, secret, step
from ostinato.errors import ConfigurationError, ContractError, DataError, ParameterError, Unavailable, UsageError
from ostinato.records import StepRecord
from ostinato.runner import LARGEST_RESULT, Request, dig, execute, fill, moment, records_of

DATA = Dataset("file:///data.parquet", "sha256:d", {"rows": 3})
MODEL = Model("models:/m-1", "sha256:m", {"features": ["a"]})
VERDICT = Verdict("file:///v.json", "sha256:v", {"passed": True, "metrics": {"auc": 0.7}, "checks": []})


@dataclass
class Columns:
    """What the columns are called."""

    time: str = "ts"
    sizes: list[int] = field(default_factory=list)


@dataclass
class Trained:
    """A model and what it cost."""

    model: Model
    seconds: float
    parts: list[Dataset] = field(default_factory=list)


class Split(TypedDict):
    """Two tables."""

    train: Dataset
    test: Dataset


class Limits(pydantic.BaseModel):
    """Bounds."""

    low: int = 0
    high: int = 1


class Strange:
    """Pydantic knows nothing of it."""


class Colour(Enum):
    """A choice that is no text."""

    RED = 1


class Word(str, Enum):  # noqa: UP042  (the older kind is the harder one)
    """A choice that is text."""

    RED = "red"


class Size(IntEnum):
    """A choice that is a number."""

    LARGE = 3


@pytest.fixture(autouse=True)
def prepared(home: Path) -> Iterator[None]:
    """The workspace as an engine has prepared it."""
    home.mkdir()
    yield
    records_of(str(home)).close()


def request(name: str, inputs: dict[str, Any], **more: Any) -> Request:
    return Request(
        function=f"m:{name}", inputs=inputs, run_id="r1", step=name, home=os.environ["OSTINATO_HOME"], **more
    )


def run(function: Callable[..., Any], inputs: dict[str, Any] | None = None, **more: Any) -> Any:
    """Execute a function as the step of its name."""
    engine = {name: more.pop(name) for name in ("emit", "resolve") if name in more}
    return execute(request(function.__name__, inputs or {}, **more), function=function, **engine)


def record(function: Callable[..., Any], map_key: str = "") -> StepRecord:
    found = records_of(os.environ["OSTINATO_HOME"]).step("r1", function.__name__, map_key)
    assert found is not None
    return found


def taking(kind: Any) -> Callable[[Any], None]:
    """A step whose argument is of a kind; what it got lies in `got`."""

    def take(value: Any) -> None:
        got.append(value)

    take.__annotations__["value"] = kind
    got.clear()
    return take


got: list[Any] = []


# --- inputs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (Dataset, DATA.to_json(), DATA),
        (Dataset | None, DATA.to_json(), DATA),
        (Dataset | None, None, None),
        (Dataset | Model, MODEL.to_json(), MODEL),
        (Any, DATA.to_json(), DATA),
        (object, DATA.to_json(), DATA),
        (list[Dataset], [DATA.to_json()], [DATA]),
        (dict[str, Model], {"a": MODEL.to_json()}, {"a": MODEL}),
        (Split, {"train": DATA.to_json(), "test": DATA.to_json()}, {"train": DATA, "test": DATA}),
        (Trained, {"model": MODEL.to_json(), "seconds": 1}, Trained(MODEL, 1.0)),
        (int, 5, 5),
        (int, "5", 5),
        (float, 1, 1.0),
        (bool, "yes", True),
        (date, "2026-03-01", date(2026, 3, 1)),
        (datetime, "2026-03-01T06:00:00+00:00", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        (Path, "/a/b", Path("/a/b")),
        (Columns, {"time": "when", "sizes": ["1"]}, Columns("when", [1])),
        (Limits, {"high": "7"}, Limits(high=7)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Literal["a", "b"], "b", "b"),
        (Any, {"a": [1]}, {"a": [1]}),
        (Strange, "left as it is", "left as it is"),
    ],
    ids=str,
)  # fmt: skip
def test_an_input_is_opened_as_the_function_wants_it(kind: Any, given: Any, value: Any) -> None:
    """References typed, JSON coerced; what pydantic does not know is handed over as it is."""
    run(taking(kind), {"value": given})
    assert got == [value]
    assert type(got[0]) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (Model, DATA.to_json(), "'take' wants value: Model, got a Dataset"),
        (Model | None, DATA.to_json(), "'take' wants value: Model, got a Dataset"),
        (int, DATA.to_json(), "'take' wants value: int, got a Dataset"),
        (Dataset, 5, "'take' refuses value=5"),
        (Dataset, None, "'take' refuses value=None"),
        (list[Dataset], [DATA.to_json(), 5], "'take' refuses value.1=5"),
        (int, "five", "'take' refuses value='five': Input should be a valid integer"),
        (Columns, {"sizes": ["x"]}, "'take' refuses value.sizes.0='x'"),
        (Literal["a"], "b", "'take' refuses value='b': Input should be 'a'"),
        (Any, {"kind": "Modle", "uri": "x", "digest": "y"}, "Unknown artifact kind 'Modle'"),
    ],
    ids=str,
)
def test_a_wrong_input_is_refused_before_the_step_runs(kind: Any, given: Any, message: str) -> None:
    """With the step, the argument and the value."""
    with pytest.raises(ContractError, match=message):
        run(taking(kind), {"value": given})
    assert got == []


def test_an_argument_that_is_missing_or_too_many_is_wrong_usage() -> None:
    """Not a TypeError that a step might have raised itself."""

    def train(data: int) -> None: ...

    for inputs in ({}, {"data": 1, "rate": 2}):
        with pytest.raises(UsageError, match=r"train\(data: 'int'\) -> 'None': "):
            run(train, inputs)


def test_a_function_without_annotations_takes_anything() -> None:
    """A lambda in a test, a builtin in a template."""

    def take(value, other=2):  # type: ignore[no-untyped-def]
        return [value.rows, other]

    assert run(take, {"value": DATA.to_json()}) == [3, 2]


# --- results ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "output"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (2**63 - 1, 2**63 - 1),
        (0.5, 0.5),
        ([1, (2, None)], [1, [2, None]]),
        ({"a": {1: 2}}, {"a": {"1": 2}}),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
        (pd.Timestamp("2026-03-01"), "2026-03-01T00:00:00"),
        (Columns("when", [1]), {"time": "when", "sizes": [1]}),
        (Limits(high=7), {"low": 0, "high": 7}),
        (np.int64(5), 5),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.array(5), 5),
        (Word.RED, "red"),
        (Size.LARGE, 3),
        ({"n": [np.int8(1)]}, {"n": [1]}),
        (MODEL, MODEL.to_json()),
        ([DATA, MODEL], [DATA.to_json(), MODEL.to_json()]),
        (
            Trained(MODEL, 1.5, [DATA]),
            {"model": MODEL.to_json(), "seconds": 1.5, "parts": [DATA.to_json()]},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_becomes_json(result: Any, output: Any) -> None:
    """Dataclasses with the references in them, dates, numpy's scalars; the record holds the same."""

    def give():  # type: ignore[no-untyped-def]
        return result

    found = run(give)
    assert found == output
    assert type(found) is type(output)
    assert record(give).output == output


def test_a_dataclass_of_artifacts_feeds_the_next_step() -> None:
    """Its references are references still."""

    def train() -> Trained:
        return Trained(MODEL, 1.5, [DATA])

    def take(trained: Trained, model: Model) -> str:
        assert trained == Trained(MODEL, 1.5, [DATA])
        return model.uri

    output = run(train)
    assert run(take, {"trained": output, "model": dig(output, ["model"])}) == "models:/m-1"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (float("nan"), "'give' returned nan, which is not JSON; return None where there is no number"),
        ({"auc": [float("inf")]}, "'give' returned inf"),
        (np.float32("nan"), "'give' returned nan"),
        (2**63, "'give' returned a whole number of 64 bits; at most 64 cross a step"),
        (
            pd.DataFrame({"a": [1]}),
            r"'give' returned a DataFrame; return Dataset.of\(table\): only references and JSON",
        ),
        (pa.table({"a": [1]}), r"'give' returned a Table; return Dataset.of\(table\)"),
        (pd.Series([1]), "'give' returned a Series; return a reference or JSON"),
        (np.array([1, 2]), "'give' returned a ndarray; return a reference or JSON"),
        ({1, 2}, "'give' returned a set"),
        (b"x", "'give' returned a bytes"),
        (object(), "'give' returned an object"),
        (Colour.RED, "'give' returned a Colour"),
        (Decimal("1.5"), "'give' returned a Decimal"),
        (lambda: 1, "'give' returned a function"),
        ([{"a": object()}], "'give' returned an object"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_that_is_not_json_is_refused_with_advice(result: Any, message: str) -> None:
    """What to return instead; the failure is on record."""

    def give():  # type: ignore[no-untyped-def]
        return result

    with pytest.raises(ContractError, match=message):
        run(give)
    assert (record(give).state, record(give).output) == ("failed", None)


def test_a_result_that_is_too_large_is_refused_with_advice() -> None:
    """8 KiB of JSON cross a step boundary, and not one byte more."""

    def give(letters: int) -> str:
        return "x" * letters

    assert len(run(give, {"letters": LARGEST_RESULT - 2})) == LARGEST_RESULT - 2
    with pytest.raises(
        ContractError, match=r"returned 8,193 bytes; at most 8,192 may cross.*Write the data as a Dataset"
    ):
        run(give, {"letters": LARGEST_RESULT - 1})


def none_for_a_model() -> Model:
    return None  # type: ignore[return-value]


def data_for_a_model() -> Model:
    return DATA  # type: ignore[return-value]


def one_for_two() -> tuple[Dataset, Model]:
    return DATA  # type: ignore[return-value]


def three_for_two() -> tuple[int, int]:
    return 1, 2, 3  # type: ignore[return-value]


def list_for_two() -> tuple[int, int]:
    return [1, 2]  # type: ignore[return-value]


def one_for_true() -> bool:
    return 1  # type: ignore[return-value]


def none_for_true() -> bool:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (none_for_a_model, "promises a Model and returned nothing"),
        (data_for_a_model, "promises a Model and returned a Dataset"),
        (one_for_two, "promises 2 results and returned a Dataset"),
        (three_for_two, "promises 2 results and returned a tuple"),
        (list_for_two, "promises 2 results and returned a list"),
        (one_for_true, "promises True or False and returned an int"),
        (none_for_true, "promises True or False and returned nothing"),
    ],
)
def test_a_broken_promise_is_refused(function: Callable[[], Any], message: str) -> None:
    """The annotation is what the pipeline was traced with: kinds, how many, and flags a `when` reads."""
    with pytest.raises(ContractError, match=message):
        run(function)


def maybe_model() -> Model | None:
    return None


def numpy_flag() -> bool:
    return np.bool_(False)  # type: ignore[return-value]


def any_number() -> tuple[int, ...]:
    return 1, 2, 3


@pytest.mark.parametrize(("function", "output"), [(maybe_model, None), (numpy_flag, False), (any_number, [1, 2, 3])])
def test_a_promise_that_leaves_room_is_kept(function: Callable[[], Any], output: Any) -> None:
    """`X | None` may be None, a numpy flag is a flag, a tuple of any length is one."""
    assert run(function) is output if output in (None, False) else run(function) == output


# --- the context --------------------------------------------------------------------------------------------------


def test_a_step_knows_its_run() -> None:
    """What the engine said about it, and nothing of another."""

    def look() -> dict[str, Any]:
        here = context.current()
        return {
            "key": here.key,
            "as_of": here.as_of,
            "attempt": here.attempt,
            "parameters": dict(here.parameters),
            "folder": here.folder.removeprefix(here.workspace.home),
            "engine": here.engine,
        }

    found = run(
        look, as_of="2026-03-01T02:00:00+02:00", map_key="3", attempt=2, parameters={"floor": 0.6}, engine="test"
    )
    assert found == {
        "key": "r1/look/3",
        "as_of": "2026-03-01T00:00:00+00:00",
        "attempt": 2,
        "parameters": {"floor": 0.6},
        "folder": "/runs/r1/look/3",
        "engine": "test",
    }
    assert context._current.get() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        (date(2026, 3, 1), datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T06:00:00", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-03-01T06:00:00+02:00", datetime(2026, 3, 1, 4, tzinfo=UTC)),
        (datetime(2026, 3, 1, 6, tzinfo=timezone(timedelta(hours=-6))), datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(
    given: Any, expected: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment(given) == expected
        assert moment(given).tzinfo is UTC
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_moment_that_is_none_is_refused() -> None:
    """With how to write one."""
    with pytest.raises(ParameterError, match="'yesterday' is no date: write 2026-03-01 or 2026-03-01T06:00:00"):
        moment("yesterday")


def test_a_secret_comes_through_the_engines_resolver() -> None:
    """And is in no record."""

    def sign() -> int:
        return len(secret("token"))

    assert run(sign, resolve={"token": "s3cret"}.get) == 6
    assert "s3cret" not in str(record(sign))


def test_a_secret_comes_from_the_env_file_where_nobody_else_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local engine's resolver; a missing one is a configuration error."""
    monkeypatch.chdir(tmp_path)

    def sign(name: str) -> str:
        return secret(name)

    (tmp_path / ".env").write_text("BANK_TOKEN=abc\n")
    assert run(sign, {"name": "BANK_TOKEN"}) == "abc"
    with pytest.raises(ConfigurationError, match="The secret 'OTHER' is not set"):
        run(sign, {"name": "OTHER"})


def test_what_a_step_says_reaches_the_engine() -> None:
    """Lines and progress, as events."""
    heard: list[dict[str, Any]] = []

    def talk() -> None:
        context.current().log("hello")
        context.current().progress(1, 2)

    run(talk, emit=heard.append)
    assert [event["event"] for event in heard] == ["log", "progress"]


# --- the record ---------------------------------------------------------------------------------------------------


def test_a_success_is_recorded_with_inputs_output_and_cost() -> None:
    """CPU seconds of all threads, and the most memory it held."""

    def burn(size: int) -> int:
        block = np.ones(size)
        until = time.process_time() + 0.1
        while time.process_time() < until:
            block.sum()
        return size

    run(burn, {"size": 20_000_000}, attempt=2, log="burn.log")
    found = record(burn)
    assert (found.state, found.attempts, found.output, found.log) == ("succeeded", 2, 20_000_000, "burn.log")
    assert found.inputs == {"size": 20_000_000}
    assert found.cpu_seconds is not None
    assert 0.1 <= found.cpu_seconds < 5
    assert found.peak_bytes is not None
    assert found.peak_bytes > 160_000_000
    assert found.seconds is not None
    assert found.seconds >= 0.05


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux starts the peak anew")
def test_the_cost_of_one_step_is_not_that_of_the_one_before() -> None:
    """A worker runs many."""

    def large() -> int:
        return int(np.ones(30_000_000).sum())

    def small() -> int:
        return 1

    run(large)
    run(small)
    assert (record(small).peak_bytes or 0) < (record(large).peak_bytes or 0) - 100_000_000
    assert (record(small).cpu_seconds or 0) < 0.5


def test_a_failure_is_recorded_and_raised_on() -> None:
    """With its type, its message, where it happened and what it cost."""

    def fail() -> None:
        raise DataError("no rows")

    with pytest.raises(DataError, match="no rows"):
        run(fail)
    found = record(fail)
    assert found.state == "failed"
    assert found.ended is not None
    assert found.cpu_seconds is not None
    assert found.error is not None
    assert found.error["type"] == "DataError"
    assert found.error["message"] == "no rows"
    assert found.error["transient"] is False
    assert found.error["where"].startswith(__file__)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_whatever_ends_a_step_is_recorded(error: BaseException) -> None:
    """Also what is no Exception."""

    def leave() -> None:
        raise error

    with pytest.raises(type(error)):
        run(leave)
    assert record(leave).state == "failed"


def test_a_retry_that_succeeds_takes_the_error_away() -> None:
    """The record shows the last attempt."""
    tries = iter([Unavailable("busy"), None])

    def fetch() -> int:
        if error := next(tries):
            raise error
        return 1

    with pytest.raises(Unavailable):
        run(fetch, attempt=1)
    assert (record(fetch).error or {})["transient"] is True
    run(fetch, attempt=2)
    assert (record(fetch).state, record(fetch).attempts, record(fetch).error) == ("succeeded", 2, None)


def test_an_unrecorded_call_leaves_no_trace() -> None:
    """A question to a function is no step."""

    def ask() -> int:
        return 1

    assert run(ask, recorded=False) == 1
    assert records_of(os.environ["OSTINATO_HOME"]).steps("r1") == []


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T00:00:00+00:00", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T01:00:00+01:00", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_the_day_a_run_began_is_handed_to_every_step(given: str, day: datetime) -> None:
    """A step that runs after midnight, or again tomorrow, does not see another one."""
    seen: list[datetime] = []

    def look() -> None:
        seen.append(context.current().day)

    run(look, day=given)
    run(look, day=given, attempt=2, as_of="2020-01-01")
    assert seen == [day, day]


def test_without_a_day_it_is_the_one_it_is() -> None:
    """UTC, midnight."""

    def look() -> str:
        return context.current().day.isoformat()

    before = datetime.now(UTC)
    assert run(look) in {f"{moment:%Y-%m-%d}T00:00:00+00:00" for moment in (before, datetime.now(UTC))}


def test_a_day_that_is_none_is_refused() -> None:
    """With what to write."""

    def look() -> None: ...

    with pytest.raises(ParameterError, match="'soon' is no date"):
        run(look, day="soon")


# --- effects ------------------------------------------------------------------------------------------------------


def test_an_effect_that_must_happen_once_does_not_happen_again() -> None:
    """After a crash of the engine or a cleared task, the earlier result is reported."""
    sent: list[str] = []

    def send(text: str) -> str:
        sent.append(text)
        return f"receipt {len(sent)}"

    first = run(send, {"text": "a"}, effect="once")
    assert run(send, {"text": "b"}, effect="once", attempt=2) == first == "receipt 1"
    assert run(send, {"text": "c"}, effect="once", map_key="1") == "receipt 2"
    assert sent == ["a", "c"]


@pytest.mark.parametrize("effect", ["none", "idempotent"])
def test_any_other_step_runs_again(effect: Any) -> None:
    """Asked twice, it works twice."""
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    assert [run(count, effect=effect), run(count, effect=effect)] == [1, 2]


def test_an_effect_that_failed_is_tried_again() -> None:
    """Only a success is final."""
    tries = iter([Unavailable("busy"), None])

    def send() -> int:
        if error := next(tries):
            raise error
        return 1

    with pytest.raises(Unavailable):
        run(send, effect="once")
    assert run(send, effect="once", attempt=2) == 1


# --- outputs ------------------------------------------------------------------------------------------------------


def test_a_step_writes_into_a_folder_of_its_own(home: Path) -> None:
    """Two steps may give their outputs the same name."""

    def one() -> Metrics:
        return Metrics.of({"a": 1})

    def two() -> Metrics:
        return Metrics.of({"a": 2})

    assert run(one)["uri"] == (home / "runs/r1/one/metrics.json").as_uri()
    assert run(two)["uri"] == (home / "runs/r1/two/metrics.json").as_uri()


def test_what_a_killed_attempt_left_half_written_is_swept(home: Path) -> None:
    """Of this very step; finished outputs and other steps' are left alone."""
    for name, kept in (("save", False), ("other", True), ("save/1", True)):
        part = home / "runs" / "r1" / name / ".data.parquet.abc.part"
        part.mkdir(parents=True)
        (part / "data.parquet").write_text("half")
        assert part.exists(), kept
    (home / "runs/r1/save/data.parquet").write_text("whole")

    def save() -> None: ...

    run(save)
    left = sorted(str(path.relative_to(home / "runs/r1")) for path in home.rglob("*.part"))
    assert left == ["other/.data.parquet.abc.part", "save/1/.data.parquet.abc.part"]
    assert (home / "runs/r1/save/data.parquet").read_text() == "whole"


def test_a_step_is_found_by_its_import_path(tmp_path: Path) -> None:
    """As a worker, a pod or another interpreter finds it; decorated or plain."""
    file = tmp_path / "steps_here.py"
    file.write_text(
        "from ostinato import step\n"
        "def plain(a: int) -> int: return a + 1\n"
        "@step\ndef decorated(a: int) -> int: return a + 2\n"
    )
    made = request("plain", {"a": "1"})
    for name, result in (("plain", 2), ("decorated", 3)):
        assert execute(Request(**{**vars(made), "function": f"{file}:{name}", "step": name})) == result


def test_a_step_that_cannot_be_imported_is_a_recorded_failure() -> None:
    """Not a crash of the engine."""
    with pytest.raises(UsageError, match="There is no module 'm' in"):
        execute(request("gone", {}))
    found = records_of(os.environ["OSTINATO_HOME"]).step("r1", "gone")
    assert found is not None
    assert found.state == "failed"


# --- promises -----------------------------------------------------------------------------------------------------


def test_promises_are_filled_with_results_and_parameters() -> None:
    """At any depth; the rest stays as it is."""
    spec = {
        "data": {"$step": "load", "path": []},
        "rows": {"$step": "load", "path": ["rows"]},
        "more": [{"$parameter": "columns", "path": ["time"]}, 1, {"a": {"$step": "split", "path": [1, "uri"]}}],
    }
    results = {"load": DATA.to_json(), "split": [DATA.to_json(), MODEL.to_json()]}
    assert fill(spec, results, {"columns": {"time": "ts"}}) == {
        "data": DATA.to_json(),
        "rows": 3,
        "more": ["ts", 1, {"a": "models:/m-1"}],
    }


@pytest.mark.parametrize(
    ("value", "path", "part"),
    [
        (VERDICT.to_json(), ["passed"], True),
        (VERDICT.to_json(), ["metrics", "auc"], 0.7),
        (VERDICT.to_json(), ["uri"], "file:///v.json"),
        (VERDICT.to_json(), ["kind"], "Verdict"),
        ([[1, 2], [3]], [0, -1], 2),
        ({"a": None}, ["a"], None),
        (5, [], 5),
    ],
)
def test_a_part_of_a_result_is_dug_out(value: Any, path: list[Any], part: Any) -> None:
    """The facts of a reference are its parts."""
    assert dig(value, path) == part


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (VERDICT.to_json(), ["grade"]),
        ({"kind": "Model", "uri": "x", "digest": "y"}, ["features"]),
        ([1], [1]),
        ({"a": 1}, ["b"]),
        (None, ["granted"]),
        (5, [0]),
    ],
)
def test_a_part_that_is_not_there_is_a_broken_contract(value: Any, path: list[Any]) -> None:
    """An optional result that turned out to be None, a list that is shorter."""
    with pytest.raises(ContractError, match=f"a step's result has no {path[0]!r}"):
        dig(value, path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text().filter(lambda k: k[:1] != "$"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_without_promises_is_filled_with_itself(value: Any) -> None:
    """Literals cross as they are."""
    assert fill(value, {}, {}) == value


def test_a_decorated_step_runs_as_its_function() -> None:
    """Options say when, never what."""

    @step(retries=5, timeout="1h", effect="once")
    def double(value: int) -> int:
        return 2 * value

    assert execute(request("double", {"value": "4"}), function=double) == 8

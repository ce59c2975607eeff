"""The conformance suite's pipelines: small, and every engine must tell the same story of each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato import Dataset, Verdict, context, each, either, otherwise, pipeline, step, when
from ostinato.errors import DataError, Unavailable
from ostinato.graph import Pipeline
from ostinato.steps import approve


@step
def number(value: int) -> int:
    """Give the number back."""
    return value


@step
def numbers(count: int) -> list[int]:
    """Count from nought."""
    return list(range(count))


@step
def square(value: int, plus: int = 0) -> int:
    """Square, and add."""
    return value * value + plus


@step
def length(name: str | float | bool) -> int:
    """How long a name is as text."""
    return len(str(name))


@step
def total(values: list[int]) -> int:
    """Add up."""
    return sum(values)


@step
def is_large(value: int) -> bool:
    """Whether a number is over a hundred."""
    return value > 100


@step
def refuse(value: int) -> int:
    """Fail for good."""
    raise DataError(f"{value} is not wanted")


@step
def refuse_two(value: int) -> int:
    """Fail for the number two only."""
    if value == 2:
        raise DataError("two is not wanted")
    return value


@step(retries=2, backoff=0.01)
def third_time_lucky(value: int) -> int:
    """Be away at first."""
    if context.current().attempt < 3:
        raise Unavailable("the service is away")
    return value


@step(retries=1, backoff=0.01)
def never_there(value: int) -> int:
    """Be away always."""
    raise Unavailable("the service is away")


@step(retries=5, backoff=0.01)
def mistaken(value: int) -> int:
    """A programming error, which no retry cures."""
    return value + None  # type: ignore[operator]


@step
def table(rows: int) -> Dataset:
    """Write a small table."""
    import pandas

    return Dataset.of(pandas.DataFrame({"value": range(rows)}))


@step
def halves(data: Dataset) -> tuple[Dataset, Dataset]:
    """Two tables from one."""
    frame = data.to_pandas(order_by=["value"])
    middle = len(frame) // 2
    return Dataset.of(frame[:middle], "first"), Dataset.of(frame[middle:], "second")


@step
def rows_of(data: Dataset) -> int:
    """Count rows."""
    return data.rows


@step(timeout=2.0)
def hang(pid_file: str) -> int:
    """Never end, and start a child that never ends."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(f"{os.getpid()} {child.pid}")
    while True:
        pass


@step
def die(value: int) -> int:
    """Be killed by the machine."""
    os.kill(os.getpid(), signal.SIGKILL)
    return value


@step(retries=2, backoff=0.01)
def die_at_first(value: int) -> int:
    """Be killed by the machine at the first attempt."""
    if context.current().attempt < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


@step(retries=2, backoff=0.01)
def die_once(marker: str) -> int:
    """Be killed by the machine, the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@step
def leave(value: int) -> int:
    """Leave as a script would."""
    sys.exit(3)


@step
def rest(seconds: float, at: str) -> float:
    """Wait, and write down when it was so."""
    start = time.time()
    time.sleep(seconds)
    with Path(at).open("a") as file:
        file.write(f"{start} {time.time()}\n")
    return seconds


@step(effect="once")
def post(to: str, after: int = 0) -> str:
    """Do something outside that must not be done twice."""
    with Path(to).open("a") as file:
        file.write(context.current().key + "\n")
    return "posted"


@step
def fail_while(file: str, value: int = 0) -> int:
    """Fail for good as long as a file is there."""
    if Path(file).exists():
        raise DataError("not yet")
    return value


@step
def judge(good: bool) -> Verdict:
    """Judge something by what it is told."""
    check = {"name": "good", "outcome": "pass" if good else "fail"}
    return Verdict.of([check], {"goodness": float(good)}, model="m", data="d")


@step
def moment() -> str | None:
    """What the run stands for."""
    as_of = context.current().as_of
    return None if as_of is None else as_of.isoformat()


@pipeline
def success(count: int = 4) -> None:
    """Tables and numbers."""
    first, second = halves(table(count))
    rows_of(first)
    rows_of(second)


@pipeline
def failing(value: int = 7) -> None:
    """A failure blocks what follows and nothing else."""
    square(refuse(value))
    number(value)


@pipeline
def retried(value: int = 7) -> None:
    """A transient failure is tried again."""
    square(third_time_lucky(value))


@pipeline
def exhausted(value: int = 7) -> None:
    """Transient for too long."""
    never_there(value)


@pipeline
def programming_error(value: int = 7) -> None:
    """Never retried."""
    mistaken(value)


@pipeline
def branch(value: int = 7) -> None:
    """One side runs, and the join takes it."""
    large = is_large(value)
    with when(large):
        left = square(value)
    with otherwise():
        right = number(value)
    number.with_options(name="joined")(either(left, right))


@pipeline
def failing_side(value: int = 700) -> None:
    """A join behind a failed side does not run."""
    large = is_large(value)
    with when(large):
        left = refuse(value)
    with otherwise():
        right = number(value)
    square(either(left, right))


@pipeline
def nested(value: int = 7) -> None:
    """A branch in a branch."""
    large = is_large(value)
    with otherwise_of(large):
        inner = is_large.with_options(name="inner")(value)
        with when(inner):
            square(value)
        with otherwise():
            number(value)


@pipeline
def untaken(value: int = 7) -> None:
    """What reads a skipped step is skipped."""
    large = is_large(value)
    with when(large):
        left = square(value)
    number(left)
    number.with_options(name="after", after=[left])(value)
    number.with_options(name="free")(value)


@pipeline
def fan_out(count: int = 3) -> None:
    """Once for every item, collected in order."""
    total(each(square, over=numbers(count), plus=1))


@pipeline
def fan_out_of_literals() -> None:
    """Over a list that is known beforehand."""
    total(each(square, over=[1, 2, 3]))


NAMES = ["ease", "item_knn", "../a/b", "{{ 1/0 }} <b>", "5", 0.5, True, "", " a", "two\nlines", "x" * 10_000]
LABELS = ["ease", "item_knn", "../a/b", "{{ 1/0 }} <b>", "5", "0.5", "true", *("7", "8", "9", "10")]


@pipeline
def fan_out_of_names() -> None:
    """Over what people would call the items: short ones name them, the others are numbered."""
    total(each(length, over=NAMES))


@pipeline
def fan_out_of_tables() -> None:
    """References in a collected list."""
    total(each(rows_of, over=each(table, over=[1, 2, 3])))


@pipeline
def failing_item(count: int = 4) -> None:
    """One item fails: the others run, the collector does not."""
    total(each(refuse_two, over=numbers(count)))


@pipeline
def fan_out_behind_skip(value: int = 7) -> None:
    """A fan-out over a skipped source is skipped, and so is its collector."""
    large = is_large(value)
    with when(large):
        source = numbers(value)
    total(each(square, over=source))


@pipeline
def fan_out_with_skip(value: int = 7) -> None:
    """A fan-out that is handed a skipped result is skipped, and so is what reads its list."""
    large = is_large(value)
    with when(large):
        plus = number(value)
    total(each(square, over=numbers(value), plus=plus))


@pipeline
def fan_out_behind_failure(value: int = 7) -> None:
    """A fan-out over what is blocked is blocked."""
    total(each(square, over=numbers(refuse(value))))


@pipeline
def approved(required: bool = True, good: bool = True, timeout: str = "24h") -> None:
    """Released when the verdict is a pass and, where it is required, a person agrees."""
    verdict = judge(good)
    with when(verdict.passed):
        approval = approve(verdict, required=required, timeout=timeout)
        with when(approval.granted):
            number(1)


@pipeline
def killed(value: int = 7) -> None:
    """A step whose process is killed has failed, and blocks what follows."""
    square(die(value))
    number(value)


@pipeline
def killed_once(value: int = 7) -> None:
    """It is tried again."""
    square(die_at_first(value))


@pipeline
def left_early(value: int = 7) -> None:
    """A step that calls exit has failed."""
    square(leave(value))


def otherwise_of(flag: bool) -> Any:
    """`with otherwise():` of a `when` without a body."""
    with when(flag):
        pass
    return otherwise()


@dataclass(frozen=True)
class Story:
    """A pipeline, what it is given, and what must come of it on every engine."""

    pipeline: Pipeline[...]
    states: dict[str, str]
    given: dict[str, Any] = field(default_factory=dict)
    state: str = "succeeded"
    results: dict[str, Any] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    answer: dict[str, Any] | None = None  # what a person says who is asked
    labels: list[str] = field(default_factory=list)  # what people call the items of its mapped step, in order

    def __str__(self) -> str:
        said = [] if self.answer is None else [self.answer["why"]]
        return "-".join([self.pipeline.name, *(f"{value}" for value in self.given.values()), *said])


def worst(states: list[str]) -> str:
    """A mapped step's state is that of its worst item."""
    order = ("failed", "cancelled", "running", "pending", "skipped", "succeeded")
    return min(states, key=order.index)


def states_of(result: dict[str, Any]) -> dict[str, str]:
    """The states of an outcome's steps by name."""
    found: dict[str, list[str]] = {}
    for one in result["steps"]:
        found.setdefault(one["name"], []).append(one["state"])
    return {name: worst(states) for name, states in found.items()}


def output_of(result: dict[str, Any], name: str) -> Any:
    """What a step of an outcome left."""
    return next(one["outputs"] for one in result["steps"] if one["name"] == name)


def labels_of(result: dict[str, Any]) -> list[str]:
    """What people call the items of an outcome's mapped steps."""
    return [one["label"] for one in result["steps"] if "label" in one]


def content_of(value: Any) -> Any:
    """A result without where it lies and who made it: what must be the same on every engine."""
    if isinstance(value, dict):
        return {key: content_of(one) for key, one in value.items() if key not in ("uri", "page", "docs", "place")}
    return [content_of(one) for one in value] if isinstance(value, list) else value


def digests(result: dict[str, Any]) -> dict[str, Any]:
    """What each step made, by content."""

    def content(output: Any) -> Any:
        if isinstance(output, dict) and "digest" in output:
            return output["kind"], output["digest"]
        return [content(part) for part in output] if isinstance(output, list) else output

    return {step["name"]: content(step["outputs"]) for step in result["steps"]}


def _all(names: str, state: str = "succeeded") -> dict[str, str]:
    return dict.fromkeys(names.split(), state)


STORIES = [
    Story(success, _all("table halves rows_of rows_of_2"), results={"rows_of": 2, "rows_of_2": 2}),
    Story(failing, {"refuse": "failed", "square": "pending", "number": "succeeded"}, state="failed"),
    Story(retried, _all("third_time_lucky square"), results={"square": 49}, attempts={"third_time_lucky": 3}),
    Story(exhausted, {"never_there": "failed"}, state="failed", attempts={"never_there": 2}),
    Story(programming_error, {"mistaken": "failed"}, state="failed", attempts={"mistaken": 1}),
    Story(
        branch,
        {**_all("is_large number either joined"), "square": "skipped"},
        results={"either": 7, "joined": 7},
    ),
    Story(
        branch,
        {**_all("is_large square either joined"), "number": "skipped"},
        given={"value": 200},
        results={"either": 40_000, "joined": 40_000},
    ),
    Story(
        failing_side,
        {"is_large": "succeeded", "refuse": "failed", "number": "skipped", "either": "pending", "square": "pending"},
        state="failed",
    ),
    Story(nested, {**_all("is_large inner number"), "square": "skipped"}),
    Story(
        nested,
        {"is_large": "succeeded", **_all("inner square number", "skipped")},
        given={"value": 200},
    ),
    Story(untaken, {**_all("is_large free"), **_all("square number after", "skipped")}, results={"free": 7}),
    Story(fan_out, _all("numbers square collect_square total"), results={"total": 8, "collect_square": [1, 2, 5]}),
    Story(
        fan_out,
        {**_all("numbers collect_square total"), "square": "skipped"},
        given={"count": 0},
        results={"total": 0, "collect_square": []},
    ),
    Story(fan_out_of_literals, _all("square collect_square total"), results={"total": 14}),
    Story(fan_out_of_names, _all("length collect_length total"), results={"total": 10_050}, labels=LABELS),
    Story(fan_out_of_tables, _all("table collect_table rows_of collect_rows_of total"), results={"total": 6}),
    Story(
        failing_item,
        {"numbers": "succeeded", "refuse_two": "failed", "collect_refuse_two": "pending", "total": "pending"},
        state="failed",
    ),
    Story(approved, _all("judge approve number"), answer={"granted": True, "by": "ada", "why": "fine"}),
    Story(
        approved,
        {**_all("judge approve"), "number": "skipped"},
        answer={"granted": False, "by": "ada", "why": "not-now"},
    ),
    Story(approved, {**_all("judge approve"), "number": "skipped"}, given={"timeout": "15s"}),
    Story(approved, _all("judge approve number"), given={"required": False}),
    Story(approved, {"judge": "succeeded", **_all("approve number", "skipped")}, given={"good": False}),
    Story(killed, {"die": "failed", "square": "pending", "number": "succeeded"}, state="failed"),
    Story(killed_once, _all("die_at_first square"), results={"square": 49}, attempts={"die_at_first": 2}),
    Story(left_early, {"leave": "failed", "square": "pending"}, state="failed"),
    Story(fan_out_with_skip, {**_all("is_large numbers"), **_all("number square collect_square total", "skipped")}),
    Story(
        fan_out_behind_failure,
        {"refuse": "failed", **_all("numbers square collect_square total", "pending")},
        state="failed",
    ),
    Story(fan_out_behind_skip, {"is_large": "succeeded", **_all("numbers square collect_square total", "skipped")}),
]

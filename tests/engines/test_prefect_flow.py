"""A pipeline as a flow: what Prefect shows and checks of it, where it finds it, and how its runs behave."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal

import annotated_types
import pytest

pytest.importorskip("prefect", reason="Prefect is not installed here; its tests run in .venv-prefect")

import cloudpickle
from prefect import flow
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectException
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from engines import mishaps, stories
from engines.stories import output_of, states_of
from engines.test_prefect_run import Player, Ran, asked, ran
from engines.test_worker import all_gone
from ostinato import each, pipeline, secret, step
from ostinato.drawing import text as drawn
from ostinato.engines.prefect_flow import to_flow
from ostinato.engines.prefect_nodes import task_of
from ostinato.engines.prefect_run import records_here
from ostinato.engines.prefect_tasks import may_help
from ostinato.engines.worker import Pool, side_by_side
from ostinato.errors import DataError, ParameterError, StepLost, Unavailable, UsageError
from ostinato.graph import Pipeline
from ostinato.pipelines.fraud_detection import fraud_detection
from ostinato.pipelines.recommendation_retraining import recommendation_retraining

pytestmark = pytest.mark.prefect
__all__ = ["ran"]

ROOT = Path(__file__).parents[2]
AS_OF = "2026-05-01"


@dataclass(frozen=True)
class Window:
    """A stretch of time.

    Attributes:
        days: how long it is.
    """

    days: Annotated[int, annotated_types.Ge(1)] = 7


@dataclass(frozen=True)
class Table:
    """What a table is like.

    Attributes:
        time: the column of the event time.
        window: how much of it is read.
    """

    time: str = "ts"
    window: Window = Window()


@pipeline
def formed(
    source: str,
    count: Annotated[int, annotated_types.Ge(1), annotated_types.Le(9)] = 3,
    kind: Literal["fast", "slow"] = "fast",
    share: float | None = None,
    table: Table = Table(time="when", window=Window(days=14)),
    names: dict[str, Any] = {},  # noqa: B006  (only traced)
) -> None:
    """Parameters of every kind.

    Args:
        source: where the table is.
        count: how often
            it is read.
        table: what it is like.
    """
    mishaps.echo(text=source, count=count, names=names)


def form(flow: Any) -> dict[str, Any]:
    """The schema from which Prefect draws the form of a run."""
    found: dict[str, Any] = flow.parameters.model_dump()
    return found


# --- the form ---------------------------------------------------------------------------------------------------------


def test_the_form_asks_for_the_pipelines_parameters_and_the_moment() -> None:
    """In their order, the moment last; only what has no default must be filled in."""
    found = form(to_flow(formed))
    assert list(found["properties"]) == ["source", "count", "kind", "share", "table", "names", "as_of"]
    assert found["required"] == ["source"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("source", {"type": "string", "description": "where the table is."}),
        (
            "count",
            {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "how often it is read."},
        ),
        ("kind", {"enum": ["fast", "slow"], "default": "fast"}),
        ("share", {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None}),
        ("names", {"type": "object", "default": {}}),
        ("table", {"default": {"time": "when", "window": {"days": 14}}, "description": "what it is like."}),
    ],
)
def test_a_field_has_type_limits_default_and_help(name: str, expected: dict[str, Any]) -> None:
    """Those of the pipeline's signature and of its docstring."""
    found = form(to_flow(formed))["properties"][name]
    told = {key: found.get(key) for key in expected}
    if "description" in told:
        told["description"] = " ".join(told["description"].split())
    assert told == expected


def test_a_group_has_a_field_for_each_member() -> None:
    """With limits and help of its own, and as default what the pipeline says rather than the type."""
    found = form(to_flow(formed))["definitions"]
    time, days = found["Table"]["properties"]["time"], found["Window"]["properties"]["days"]
    assert (time["default"], time["description"]) == ("when", "the column of the event time.")
    assert (days["default"], days["minimum"], days["description"]) == (14, 1, "how long it is.")


def test_the_moment_is_a_date_a_time_or_nothing() -> None:
    """With what it means, and what happens where it is left empty."""
    found = form(to_flow(formed))["properties"]["as_of"]
    kinds = {one.get("format", one["type"]) for one in found["anyOf"]}
    assert (kinds, found["default"]) == ({"date", "date-time", "null"}, None)
    assert "the moment the run stands for" in found["description"]


def test_values_that_the_file_gives_are_the_forms_defaults() -> None:
    """Of members of groups, too; what has got a value must not be filled in."""
    made = to_flow(formed, source="s3://bank/tx", parameters={"table.window.days": 30}, kind="slow")
    found = form(made)
    assert "required" not in found or "source" not in found["required"]
    assert found["properties"]["source"]["default"] == "s3://bank/tx"
    assert found["properties"]["kind"]["default"] == "slow"
    assert found["properties"]["table"]["default"] == {"time": "when", "window": {"days": 30}}


def test_a_value_for_one_parameter_before_another_without_leaves_a_signature() -> None:
    """Python wants those with a default last; Prefect calls by name."""

    @pipeline
    def two(first: str, second: str) -> None:
        """Two that are needed."""
        stories.number(1)

    found = form(to_flow(two, first="x"))
    assert found["required"] == ["second"]
    assert found["properties"]["first"]["default"] == "x"


def test_the_environment_names_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a file that is the same everywhere; what the file itself says wins."""
    monkeypatch.setenv("OSTINATO_FORMED_SOURCE", "s3://there/tx")
    assert form(to_flow(formed))["properties"]["source"]["default"] == "s3://there/tx"
    assert form(to_flow(formed, source="here"))["properties"]["source"]["default"] == "here"


@pytest.mark.parametrize(
    "made",
    [formed, fraud_detection, recommendation_retraining, mishaps.typed, stories.fan_out],
    ids=lambda made: made.name,
)
def test_no_annotation_that_prefect_reads_is_text(made: Pipeline[...]) -> None:
    """With `from __future__ import annotations` the flow would be built, and every run of it would fail."""
    function = to_flow(made).fn
    kinds = [one.annotation for one in inspect.signature(function).parameters.values()]
    assert not [kind for kind in [*kinds, *function.__annotations__.values()] if isinstance(kind, str)]


def test_the_flow_of_fraud_detection_has_all_its_help() -> None:
    """Every field says what it is for."""
    found = form(to_flow(fraud_detection, source="tx/"))["properties"]
    assert [name for name, one in found.items() if not one.get("description")] == []
    assert found["columns"]["default"]["time"]


def test_values_are_checked_by_prefect_before_a_run() -> None:
    """Positionally, by name, nested; an unknown name is refused."""
    made = to_flow(formed)
    checked = made.validate_parameters({"source": "tx", "count": "4", "table": {"time": "t"}})
    assert (checked["count"], checked["table"].time, checked["table"].window.days) == (4, "t", 14)
    for wrong in ({"count": 0}, {"kind": "quick"}, {"table": {"tmie": "t"}}, {"as_of": "yesterday"}, {"cuont": 1}):
        with pytest.raises(PrefectException):
            made.validate_parameters({"source": "tx", **wrong})


# --- what it is called, and where it is found -------------------------------------------------------------------------


@pytest.mark.parametrize("made", [formed, fraud_detection, stories.approved], ids=lambda made: made.name)
def test_the_flow_says_what_the_pipeline_is(made: Pipeline[...]) -> None:
    """Its name, its text, its graph; its version changes when the graph does, and only then."""
    found = to_flow(made)
    assert (found.name, found.version) == (made.name, made.graph.digest)
    assert found.description.startswith(inspect.getdoc(made.function))
    assert drawn(made.graph) in found.description
    assert found.fn.__doc__.startswith(made.function.__doc__.strip().splitlines()[0])


def test_two_pipelines_have_two_versions() -> None:
    """Prefect's own would be a hash of the file of our engine."""
    assert to_flow(stories.branch).version != to_flow(stories.nested).version


FILE = '''
from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from ostinato import pipeline, step
from ostinato.engines.prefect_flow import to_flow


@step
def note(text: str, days: int) -> str:
    """Give it back."""
    return f"{text} {days}"


@pipeline
def nightly(source: str = "x", days: Annotated[int, Ge(1)] = 7) -> None:
    """Every night."""
    note(source, days)


of_the_eu = nightly
nightly = to_flow(of_the_eu)
nightly_eu = to_flow(of_the_eu, source="eu", name="nightly-eu")
'''


@pytest.fixture
def flow_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of flows in the folder in which Prefect works."""
    file = tmp_path / "flows" / "mine.py"
    file.parent.mkdir()
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return file


@pytest.mark.parametrize(("bound", "name"), [("nightly", "nightly"), ("nightly_eu", "nightly-eu")])
def test_prefect_finds_a_flow_by_its_file_and_name(flow_file: Path, bound: str, name: str) -> None:
    """As a worker does; the function is called what the file calls it, for `to_deployment` asks the function."""
    found = load_flow_from_entrypoint(f"flows/mine.py:{bound}")
    assert (found.name, found.fn.__name__, found.fn.__qualname__) == (name, bound, bound)
    assert found.to_deployment("production").entrypoint == f"flows/mine.py:{bound}"


@pytest.mark.parametrize("bound", ["nightly", "nightly_eu"])
def test_a_deployment_made_in_the_file_leads_back_to_the_flow(flow_file: Path, bound: str) -> None:
    """`serve` and `deploy` ask module and qualified name where they are."""
    spec = importlib.util.spec_from_file_location("mine", flow_file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["mine"] = module
    try:
        spec.loader.exec_module(module)
        made = getattr(module, bound)
        assert made.fn.__module__ == "mine"
        entrypoint = made.to_deployment("production").entrypoint
    finally:
        del sys.modules["mine"]
    found = load_flow_from_entrypoint(entrypoint)
    assert (found.name, found.version) == (made.name, made.version)


def test_a_flow_of_a_loaded_file_runs(flow_file: Path, ran: Player) -> None:
    """Its steps are found again by the processes that run them."""
    found = ran(load_flow_from_entrypoint("flows/mine.py:nightly_eu"), days=2, as_of=AS_OF)
    assert found.state.is_completed(), found.state
    assert output_of(found.outcome, "note") == "eu 2"


@pytest.mark.parametrize("made", [formed, fraud_detection, recommendation_retraining], ids=lambda made: made.name)
def test_a_flow_survives_the_pickle(made: Pipeline[...]) -> None:
    """Some of Prefect's task runners and infrastructures send it so."""
    before = to_flow(made)
    after = cloudpickle.loads(cloudpickle.dumps(before))
    assert (after.name, after.version, form(after)) == (before.name, before.version, form(before))


def test_a_file_of_flows_imports_nothing_heavy() -> None:
    """A worker loads it for every run, and `prefect deploy` on machines that have none of it."""
    files = sorted(str(file) for file in (ROOT / "flows").glob("*.py"))
    heavy = "mlflow sklearn pandas pyarrow duckdb matplotlib great_expectations lightgbm torch scipy slack_sdk".split()
    code = f"""
        import json, runpy, sys
        import prefect.flows
        before = set(sys.modules)
        for file in {files!r}:
            runpy.run_path(file)
        print(json.dumps([name for name in {heavy!r} if name in set(sys.modules) - before]))
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "OSTINATO_FRAUD_DETECTION_SOURCE": "tx/"}
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_a_file_of_flows_uses_the_name_that_it_binds() -> None:
    """Else `to_deployment()` would lead nowhere."""
    for file in (ROOT / "flows").glob("*.py"):
        tree = ast.parse(file.read_text())
        bound = [one.targets[0].id for one in tree.body if isinstance(one, ast.Assign) and "to_flow" in ast.dump(one)]
        for name in bound:
            assert load_flow_from_entrypoint(f"{file}:{name}").fn.__qualname__ == name


# --- what is refused when it is made ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"soruce": "x"}, "'soruce' is neither a parameter of formed nor an option of a flow. Did you mean 'source'"),
        ({"retry_delay": 1}, "Did you mean 'retry_delay_seconds'"),
    ],
)
def test_a_keyword_that_is_neither_is_refused_with_the_nearest(more: dict[str, Any], sentence: str) -> None:
    """When the file is read."""
    with pytest.raises(UsageError, match=sentence):
        to_flow(formed, **more)


@pytest.mark.parametrize(
    "more", [{"count": 0}, {"count": "many"}, {"kind": "quick"}, {"parameters": {"table.window.days": 0}}]
)
def test_a_value_outside_the_schema_is_refused(more: dict[str, Any]) -> None:
    """When the file is read, rather than in every run."""
    with pytest.raises(ParameterError):
        to_flow(formed, source="tx", **more)


def test_a_parameter_and_an_option_of_one_name_are_the_parameter() -> None:
    """Which is what the pipeline's author sees."""

    @pipeline
    def tried(retries: int = 1) -> None:
        """A parameter that is called like an option."""
        stories.number(retries)

    made = to_flow(tried, retries=5)
    assert form(made)["properties"]["retries"]["default"] == 5


# --- Prefect's own options --------------------------------------------------------------------------------------------


def test_what_a_flow_takes_passes_untouched() -> None:
    """Prefect's own power stays at hand."""
    runner = ThreadPoolTaskRunner(max_workers=3)
    made = to_flow(
        stories.branch, retries=2, retry_delay_seconds=5, timeout_seconds=60, task_runner=runner, log_prints=True
    )
    assert (made.retries, made.retry_delay_seconds, made.timeout_seconds, made.log_prints) == (2, 5, 60, True)
    assert made.task_runner is runner
    assert to_flow(stories.branch, version="7", description="mine").version == "7"


@pytest.mark.parametrize("kind", ["on_failure", "on_crashed", "on_cancellation"])
def test_hooks_of_ones_own_come_first_and_ours_stays(kind: str) -> None:
    """Nobody loses the incident by adding a hook."""

    def mine(flow: Any, flow_run: Any, state: Any) -> None: ...

    hooks = getattr(to_flow(stories.branch, **{kind: [mine]}), f"{kind}_hooks")
    assert [hook.__name__ for hook in hooks] == ["mine", "incident"]


@step(retries=3, backoff=2.0, prefect={"tags": ["gpu"], "viz_return_value": 1})
def scheduled_so(value: int) -> int:
    """Be scheduled in a way of its own."""
    return value


@step(retries=3, backoff=200, prefect={"retries": 7})
def otherwise_scheduled(value: int) -> int:
    """Say of Prefect itself what was said for all engines."""
    return value


@pipeline
def scheduled(value: int = 1) -> None:
    """Steps that are scheduled in ways of their own."""
    scheduled_so(value)
    otherwise_scheduled(value)


def test_how_a_step_is_scheduled_reaches_its_task() -> None:
    """Retries, waits that double up to five minutes, and what was said of Prefect alone, last."""
    first, second = (task_of(node) for node in scheduled.graph.nodes)
    assert (first.retries, first.retry_delay_seconds, first.tags) == (3, [2.0, 4.0, 8.0], {"gpu"})
    assert (second.retries, second.retry_delay_seconds) == (7, [200, 300, 300])
    assert first.retry_condition_fn is second.retry_condition_fn is may_help


@pytest.mark.parametrize(
    "made", [stories.fan_out, stories.branch, fraud_detection, recommendation_retraining], ids=lambda made: made.name
)
def test_no_task_takes_an_earlier_result_for_its_own(made: Pipeline[...]) -> None:
    """Prefect's default would, for the same inputs, once results are persisted."""
    assert {repr(task_of(node).cache_policy) for node in made.graph.nodes} == {repr(NO_CACHE)}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Unavailable("away"), True),
        (StepLost("killed"), True),
        (DataError("no rows"), False),
        (TypeError("a slip"), False),
        (ValueError("a slip"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, again: bool) -> None:
    """Prefect itself would repeat programming errors, too."""
    assert may_help(None, None, Failed(data=error)) is again


def test_a_pool_runs_as_many_workers_side_by_side_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OSTINATO_PARALLEL=1 the second waits until the first is free, and is then the same."""
    monkeypatch.setenv("OSTINATO_PARALLEL", "1")
    pool, order, worked = Pool(), [], []

    def second() -> None:
        with pool.worker(sys.executable) as worker:
            order.append("second")
            worked.append(worker)

    try:
        with pool.worker(sys.executable) as worker:
            thread = threading.Thread(target=second)
            thread.start()
            time.sleep(0.3)
            order.append("first")
        thread.join(30)
        assert order == ["first", "second"]
        assert worked == [worker]
    finally:
        pool.close()
    assert not worker.alive


# --- runs -------------------------------------------------------------------------------------------------------------


@pipeline
def with_password(text: str = "") -> None:
    """Shows a source."""
    mishaps.echo(text=text, count=1, names={})


SOURCE = "postgresql://ada:tiefgeheim@db:5432/bank"


@pytest.mark.parametrize("given", [{}, {"text": "postgresql://db:5432/bank"}], ids=["as it is", "typed as shown"])
def test_a_password_that_the_file_gives_is_used_and_not_shown(ran: Player, given: dict[str, Any]) -> None:
    """Not in the form, not among the run's parameters, not in its logs; the step has it."""
    made = to_flow(with_password, text=SOURCE)
    assert "tiefgeheim" not in str(form(made))
    if given:
        given = {"text": form(made)["properties"]["text"]["default"]}
    found = ran(made, **given, as_of=AS_OF)
    assert found.records.step(found.run_id, "echo").output["text"] == SOURCE
    (shown,) = found.asked("/flow_runs/filter")
    assert "tiefgeheim" not in str(shown)
    assert "tiefgeheim" not in found.logs("Finished in state")
    assert "tiefgeheim" not in str(asked(found.api, "/flows/filter", flows={"name": {"any_": ["with_password"]}}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": "many"}, "count"),
        ({"count": 10}, "less than or equal to 9"),
        ({"table": {"tmie": "t"}}, "tmie"),
        ({"as_of": "yesterday"}, "as_of"),
    ],
)
def test_parameters_outside_the_schema_end_a_run_before_any_step(
    ran: Player, given: dict[str, Any], message: str
) -> None:
    """Prefect's state says which; the run is on record as failed, and its people hear of it once."""
    found = ran(to_flow(formed), source="tx", **given)
    assert found.state.is_failed()
    assert message in found.state.message
    assert found.asked("/task_runs/filter") == []
    assert found.records.run(found.run_id).state == "failed"
    assert message in str(found.records.run(found.run_id).error)
    assert len(found.titles) == 1
    assert found.titles[0].startswith("formed failed")


@pipeline
def twice_refused(value: int = 1) -> None:
    """Two that fail, and one that does not."""
    stories.square(stories.refuse(value))
    stories.refuse(value + 0 if isinstance(value, int) else value)
    stories.number(value)


def test_a_run_with_several_causes_names_them_all(ran: Player) -> None:
    """And none of the steps that could not run for them."""
    found = ran(to_flow(twice_refused), as_of=AS_OF)
    assert found.state.message == "step refuse: 1 is not wanted; step refuse_2: 1 is not wanted"
    assert len([title for title in found.titles if " failed" in title]) <= 2


@pipeline
def posting(to: str) -> None:
    """The same step twice, with the same inputs."""
    stories.post(to)
    stories.post(to)


def test_the_same_inputs_run_again(ran: Player, tmp_path: Path) -> None:
    """Within a run and in the next; nothing is taken for done that is not on record as done."""
    made = to_flow(posting, persist_result=True)
    for _ in range(2):
        assert ran(made, to=str(tmp_path / "posts"), as_of=AS_OF).state.is_completed()
    assert len(set((tmp_path / "posts").read_text().splitlines())) == 4


@pipeline
def beside(at: str) -> None:
    """A list that takes its time, and a branch that has nothing to do with it."""
    slow = stories.rest(1.5, at)
    counted = stories.numbers.with_options(after=[slow])(2)
    stories.total(each(stories.square, over=counted))
    stories.rest(1.5, at)


@pytest.mark.skipif(side_by_side() < 2, reason="steps run one after the other here")
def test_a_step_beside_a_list_that_is_not_known_yet_does_not_wait_for_it(ran: Player, tmp_path: Path) -> None:
    """Only what is behind the mapped step waits until its items are known."""
    found = ran(to_flow(beside), at=str(tmp_path / "times"), as_of=AS_OF)
    assert found.state.is_completed(), found.state
    lines = [line.split() for line in (tmp_path / "times").read_text().splitlines()]
    (start, end), (other_start, other_end) = sorted((float(a), float(b)) for a, b in lines)
    assert other_start < end, (start, end, other_start, other_end)


def test_a_step_of_a_notebook_runs_in_the_flows_process(ran: Player) -> None:
    """No other process could import it; its programming errors are not tried again."""
    pids: list[int] = []

    @step
    def here(value: int) -> int:
        """Say where."""
        pids.append(os.getpid())
        return value + 1

    @step(retries=5, backoff=0.01)
    def slip(value: int) -> int:
        """A programming error."""
        pids.append(os.getpid())
        raise ValueError("no such thing")

    @pipeline
    def notebook(value: int = 1) -> None:
        """Of functions that only this process knows."""
        slip(here(value))

    found = ran(to_flow(notebook), as_of=AS_OF)
    assert pids == [os.getpid()] * 2
    assert output_of(found.outcome, "here") == 2
    assert "step slip: ValueError: no such thing" in found.state.message


def test_two_runs_at_once_in_one_process_keep_apart(prefect_api: str, home: Path) -> None:
    """They share workers and records, and nothing else."""
    made = to_flow(stories.fan_out)
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(made, count=count, as_of=AS_OF, return_state=True) for count in (3, 5)]
    found = [Ran(prefect_api, made.name, run.result(), records_here()).outcome for run in runs]
    assert [output_of(one, "total") for one in found] == [8, 35]


def test_a_flow_can_be_called_in_another(ran: Player) -> None:
    """Its outcome is what the other gets; its run is one of its own."""

    @flow
    def outer(count: int) -> int:
        return int(output_of(to_flow(stories.fan_out)(count=count, as_of=AS_OF), "total"))

    state = outer(3, return_state=True)
    assert state.result() == 8
    (record,) = records_here().runs()
    assert (record.pipeline, record.state) == ("fan_out", "succeeded")


def test_a_flow_that_is_tried_again_takes_what_succeeded_as_it_was(ran: Player, tmp_path: Path) -> None:
    """What failed and what waited for it run; as it was going to be tried again, nobody was called."""
    tries: list[int] = []

    @step
    def second_time_lucky(value: int) -> int:
        """Fail for good, once."""
        tries.append(value)
        if len(tries) < 2:
            raise DataError("not yet")
        return value

    done: list[int] = []

    @step
    def noted(value: int) -> int:
        """Succeed at once."""
        done.append(value)
        return value

    @pipeline
    def again(to: str) -> None:
        """Something that is done, and something that fails at first."""
        stories.post(to)
        noted(1)
        stories.square(second_time_lucky(3))

    found = ran(to_flow(again, retries=1), to=str(tmp_path / "posts"), as_of=AS_OF)
    assert found.state.is_completed(), found.state
    assert len((tmp_path / "posts").read_text().splitlines()) == 1
    assert (done, tries) == ([1], [3, 3])
    assert set(states_of(found.outcome).values()) == {"succeeded"}
    assert output_of(found.outcome, "square") == 9
    assert {one["name"]: one["attempts"] for one in found.outcome["steps"]}["post"] == 1
    assert found.outcome["state"] == "succeeded"
    assert found.state.result()["state"] == "succeeded"
    assert found.titles == []


def test_a_flow_that_fails_again_is_one_incident(ran: Player, tmp_path: Path) -> None:
    """Its thread tells of both attempts; nobody is called twice as if it were new."""
    (tmp_path / "there").touch()

    @pipeline
    def hopeless(file: str) -> None:
        """Fails as long as a file is there."""
        stories.fail_while(file)

    found = ran(to_flow(hopeless, retries=1), file=str(tmp_path / "there"), as_of=AS_OF)
    assert found.state.message == "step fail_while: not yet"
    assert found.outcome["state"] == "failed"
    threads = {message.thread for message in found.records.outbox.messages(run_id=found.run_id)}
    assert len(threads) == 1


def test_parameters_arrive_as_they_were_whatever_they_hold(ran: Player) -> None:
    """Text that looks like a template is text; nested values stay nested."""
    text = "{{ params }} {% raw %} \"' \\ ü\n"
    given = {"text": text, "count": 2, "names": {"a": [1, None, {"b": text, "$step": 1}], "{{ b }}": {}}}
    found = ran(to_flow(mishaps.typed), **given, as_of=AS_OF)
    assert output_of(found.outcome, "echo") == given


def test_one_thread_of_prefects_is_enough(ran: Player) -> None:
    """No task waits in another's place; else a bounded task runner would stand still."""
    found = ran(to_flow(stories.fan_out, task_runner=ThreadPoolTaskRunner(max_workers=1)), as_of=AS_OF)
    assert output_of(found.outcome, "total") == 8


@pipeline
def hung(pid_file: str) -> None:
    """A step that never ends."""
    stories.square(stories.hang(pid_file))


def test_a_hung_step_is_killed_with_its_children_when_its_time_is_over(ran: Player, tmp_path: Path) -> None:
    """Prefect's own limit would leave a thread at work; the run says how long it may have taken."""
    found = ran(to_flow(hung), pid_file=str(tmp_path / "pids"), as_of=AS_OF)
    assert found.state.message == "step hang: 'hang' took longer than 0:00:02 and was killed."
    assert states_of(found.outcome) == {"hang": "failed", "square": "pending"}
    assert all_gone([int(pid) for pid in (tmp_path / "pids").read_text().split()])


def workers() -> list[str]:
    """The processes that run steps for this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if int((place / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [command for command in found if "ostinato.run_step" in command]


@pytest.mark.parametrize("made", [stories.branch, stories.failing, stories.killed], ids=lambda made: made.name)
def test_no_process_is_left_behind(ran: Player, made: Pipeline[...]) -> None:
    """However the run ended."""
    ran(to_flow(made), as_of=AS_OF)
    assert workers() == []


def test_a_secret_in_what_a_step_of_this_process_raises_is_not_shown(
    ran: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of a notebook runs in the flow's process, and Prefect shows what it raises."""
    monkeypatch.setenv("DEEP_THOUGHT", "unter-uns-gesagt")

    @step
    def careless() -> None:
        """Say what it was told."""
        raise DataError(f"it said {secret('DEEP_THOUGHT')}")

    @pipeline
    def gossip() -> None:
        """One careless step."""
        careless()

    found = ran(to_flow(gossip), as_of=AS_OF)
    (task_run,) = [one for one in found.asked("/task_runs/filter") if one["name"] == "careless"]
    assert "unter-uns" not in str(task_run)
    assert "unter-uns" not in str(found.state.message)
    assert "unter-uns" not in found.logs("it said")

"""Steps, pipelines and tracing: what a pipeline function may say, and the graph made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato import Dataset, Metrics, Model, Verdict, context, each, either, otherwise, pipeline, step, when
from ostinato.errors import PipelineError, UnknownName, UsageError
from ostinato.graph import Graph, Options, Pipeline, Step

if TYPE_CHECKING:
    from nowhere import Nothing  # type: ignore[import-not-found]

ROOT = Path(__file__).parents[1]


@dataclass
class Columns:
    """What the columns are called."""

    time: str = "ts"
    amount: str = "amount"


@dataclass
class Answer:
    """A decision."""

    granted: bool
    why: str = ""


@step
def load(source: str = "data") -> Dataset: ...  # type: ignore[empty-body]
@step
def split(data: Dataset) -> tuple[Dataset, Dataset]: ...  # type: ignore[empty-body]
@step
def train(data: Dataset, *, rate: float = 0.1) -> Model: ...  # type: ignore[empty-body]
@step
def evaluate(model: Model, data: Dataset) -> Verdict: ...  # type: ignore[empty-body]
@step
def promote(model: Model) -> None: ...
@step
def approve(verdict: Verdict) -> Answer: ...  # type: ignore[empty-body]
@step
def is_large(data: Dataset) -> bool: ...  # type: ignore[empty-body]
@step
def regions(data: Dataset) -> list[str]: ...  # type: ignore[empty-body]
@step
def fit(region: str, data: Dataset | None = None) -> Model: ...  # type: ignore[empty-body]
@step
def take(value: Any) -> Any: ...
@step
def compare(models: list[Model]) -> Metrics: ...  # type: ignore[empty-body]


def traced(body: Callable[..., None]) -> Graph:
    return pipeline(body).graph


def names(body: Callable[..., None]) -> list[str]:
    return [node.name for node in traced(body).nodes]


def refused(body: Callable[..., None], match: str) -> str:
    with pytest.raises(PipelineError, match=match) as caught:
        traced(body)
    return str(caught.value)


# --- steps ------------------------------------------------------------------------------------------------------


def test_a_step_is_its_function_with_its_name_and_text() -> None:
    """The decorator adds scheduling, never behaviour."""

    @step(retries=2)
    def double(value: int) -> int:
        """Twice as much."""
        return 2 * value

    assert double(4) == 8
    assert (double.__name__, double.__doc__, double.settings.retries) == ("double", "Twice as much.", 2)


def test_an_async_function_is_no_step() -> None:
    """A coroutine nobody awaits would count as done."""

    async def later() -> int:
        return 1

    with pytest.raises(UsageError, match="later is async; a step is a plain function"):
        step(later)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("1d 2h", 93600), ("0.5s", 0.5), (12, 12), (1.5, 1.5), (None, None)],
)
def test_a_timeout_is_seconds_or_text(given: Any, seconds: float | None) -> None:
    """As people write it."""
    assert Options(timeout=given).timeout == seconds


@pytest.mark.parametrize("given", ["", "soon", "90", "1h30", "-5s", 0, -1, "0s", float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(given: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises(UsageError, match="A timeout is"):
        Options(timeout=given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retires": 2}, r"Unknown step option 'retires'. Did you mean 'retries'\?"),
        ({"effect": "twice"}, "Unknown effect 'twice'.*'idempotent'"),
        ({"retries": -1}, "retries is a whole number from 0 on, not -1"),
        ({"retries": 1.5}, "not 1.5"),
        ({"name": "train model"}, "A step's name is letters, digits and underscores"),
        ({"name": "x" * 101}, "at most 100"),
        ({"name": "1st"}, "A step's name is letters"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_written(options: dict[str, Any], message: str) -> None:
    """At the decorator and at `with_options` alike."""
    with pytest.raises(UsageError, match=message):
        step(**options)
    with pytest.raises(UsageError, match=message):
        load.with_options(**options)


def test_with_options_leaves_the_step_as_it_was() -> None:
    """It gives another step of the same function."""
    other = step(retries=2)(train.function).with_options(name="train_eu")
    assert (other.settings.name, other.settings.retries, train.settings.name) == ("train_eu", 2, None)


def test_a_steps_path_leads_another_process_to_it() -> None:
    """`module:name`."""
    assert load.path == f"{__name__}:load"


# --- calls ------------------------------------------------------------------------------------------------------


def test_a_call_becomes_a_node_with_its_arguments_as_json() -> None:
    """Literals as they are, results as `$step`, parameters as `$parameter`; defaults are left to the function."""

    def fraud(source: str = "s3://bank") -> None:
        train(load(source), rate=0.2)

    assert traced(fraud).to_json() == {
        "pipeline": "fraud",
        "nodes": [
            {
                "name": "load",
                "kind": "step",
                "step": f"{__name__}:load",
                "inputs": {"source": {"$parameter": "source", "path": []}},
            },
            {
                "name": "train",
                "kind": "step",
                "step": f"{__name__}:train",
                "inputs": {"data": {"$step": "load", "path": []}, "rate": 0.2},
            },
        ],
    }


def test_a_second_call_of_a_step_is_name_2() -> None:
    """And the third name_3."""

    def thrice() -> None:
        load()
        load()
        load()

    assert names(thrice) == ["load", "load_2", "load_3"]


def test_a_step_is_called_as_with_options_says() -> None:
    """Automatic names keep clear of it."""

    def two() -> None:
        load.with_options(name="load_2")()
        load()
        load()

    assert names(two) == ["load_2", "load", "load_3"]


def test_two_steps_of_the_same_explicit_name_are_refused() -> None:
    """Which of them is meant would be anybody's guess."""

    def twins() -> None:
        load.with_options(name="data")()
        load.with_options(name="data")()

    message = refused(twins, "two steps are called 'data'; give one another name")
    assert message.startswith("test_graph.py:")


def test_an_explicit_name_that_an_automatic_one_has_taken_is_refused() -> None:
    """The order of the calls does not matter."""

    def twins() -> None:
        load()
        train.with_options(name="load")(load())

    refused(twins, "two steps are called 'load'")


def test_after_orders_steps_that_share_nothing() -> None:
    """The node waits, and reads nothing."""

    def ordered() -> None:
        first = load()
        load.with_options(after=(first,))("other")

    node = traced(ordered)["load_2"]
    assert (node.after, node.needs, node.inputs) == (("load",), ("load",), {"source": "other"})
    assert node.to_json()["after"] == ["load"]


@pytest.mark.parametrize("given", ["load", ("load",), 5, (None,)])
def test_after_takes_results_of_steps_only(given: Any) -> None:
    """A name would be ignored silently."""

    def ordered() -> None:
        load()
        load.with_options(after=given)("other")

    refused(ordered, "after= is a tuple of steps' results")


def test_after_a_single_result_is_told_to_be_a_tuple() -> None:
    """The likeliest slip has a sentence of its own."""

    def ordered() -> None:
        load.with_options(after=load())("other")

    refused(ordered, r"after= is a tuple of steps' results, such as \(loaded,\): not <promise of 'load'>")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train(), "train.*missing a required argument: 'data'"),  # type: ignore[call-arg]
        (lambda: train(load(), 0.2), "too many positional arguments"),  # type: ignore[call-arg]
        (lambda: train(load(), rat=0.2), "got an unexpected keyword argument 'rat'"),  # type: ignore[call-arg]
        (lambda: load("a", source="b"), "multiple values for argument 'source'"),  # type: ignore[misc]
    ],
)
def test_wrong_arguments_are_refused_while_tracing(call: Callable[[], Any], message: str) -> None:
    """With the line, the step and its signature."""

    def wrong() -> None:
        call()

    text = refused(wrong, message)
    assert text.startswith("test_graph.py:")


def test_a_model_where_a_dataset_is_wanted_is_refused_while_tracing() -> None:
    """Kinds of artifacts are checked before anything runs."""

    def wrong() -> None:
        train(train(load()))  # type: ignore[arg-type]

    refused(wrong, "'train' wants data: Dataset, but 'train' is a Model")


def test_a_part_of_the_wrong_kind_is_refused_too() -> None:
    """Through a tuple's annotation."""

    def wrong() -> None:
        first, _ = split(load())
        evaluate(first, first)  # type: ignore[arg-type]

    refused(wrong, r"'evaluate' wants model: Model, but 'split'\[0\] is a Dataset")


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", float("nan"), float("inf"), [1, {"a": object()}], lambda: 1, int],
    ids=lambda value: str(value)[:12],
)
def test_what_is_not_json_cannot_be_handed_to_a_step(value: Any) -> None:
    """The object is built inside the step."""

    def wrong() -> None:
        take(value)

    text = refused(wrong, "cannot be handed to a step: .*build the object inside the step")
    assert text.startswith("test_graph.py:")


@pytest.mark.parametrize("key", ["$step", "$parameter", "$anything", 5, None])
def test_a_key_that_is_no_text_or_begins_with_a_dollar_is_refused(key: Any) -> None:
    """A literal cannot pass for a promise."""

    def wrong() -> None:
        take({"options": [{key: "load", "path": []}]})

    refused(wrong, r"cannot be handed to a step: keys are text without a '\$'")


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        (Columns(time="when"), {"time": "when", "amount": "amount"}),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 6, tzinfo=UTC), "2026-03-01T06:00:00+00:00"),
        (PurePosixPath("a/b"), "a/b"),
        ((1, 2), [1, 2]),
        ({"a": [None, True]}, {"a": [None, True]}),
        (Model("models:/m-1", "sha256:1"), {"kind": "Model", "uri": "models:/m-1", "digest": "sha256:1", "facts": {}}),
    ],
)
def test_a_literal_is_written_as_json(value: Any, spec: Any) -> None:
    """Dataclasses, dates, paths and references among them."""

    def given() -> None:
        take(value)

    assert traced(given)["take"].inputs == {"value": spec}


def test_promises_inside_lists_and_dicts_are_found() -> None:
    """A node needs all it reads, however deep."""

    def deep(source: str = "x") -> None:
        data = load(source)
        take({"options": [data.rows, {"columns": source}]})

    node = traced(deep)["take"]
    assert node.needs == ("load",)
    assert node.inputs["value"] == {
        "options": [{"$step": "load", "path": ["rows"]}, {"columns": {"$parameter": "source", "path": []}}]
    }


def of_any_number(*values: int) -> int:
    return sum(values)


def of_any_name(**values: int) -> int:
    return sum(values.values())


def of_no_name(value: int = 1, /) -> int:
    return value


@pytest.mark.parametrize("function", [of_any_number, of_any_name, of_no_name])
def test_a_step_and_a_pipeline_name_their_arguments(function: Callable[..., int]) -> None:
    """Engines hand every argument over by its name."""

    def calling() -> None:
        Step(function, Options())()

    refused(calling, rf"{function.__name__}: a step names its arguments; it has no \*, \*\* or /")
    refused(function, rf"{function.__name__}: a pipeline names its parameters; it has no \*, \*\* or /")  # type: ignore[arg-type]


def test_an_annotation_that_is_nowhere_defined_is_named() -> None:
    """An import under TYPE_CHECKING is not there when the graph is made."""

    def lost(value: Nothing) -> None:
        load()

    refused(lost, "lost: the annotation 'Nothing' is not defined")

    def calling() -> None:
        step(lost)(1)

    refused(calling, "lost: the annotation 'Nothing' is not defined")


# --- when, otherwise, either --------------------------------------------------------------------------------------


def test_when_and_otherwise_guard_their_steps() -> None:
    """Both read the same flag; the guarded node waits for it."""

    def gated() -> None:
        data = load()
        model = train(data)
        verdict = evaluate(model, data)
        with when(verdict.passed):
            promote(model)
        with otherwise():
            take(1)

    graph = traced(gated)
    flag = {"$step": "evaluate", "path": ["passed"]}
    assert graph["promote"].to_json()["guards"] == [{"flag": flag, "expected": True}]
    assert graph["take"].to_json()["guards"] == [{"flag": flag, "expected": False}]
    assert graph["take"].needs == ("evaluate",)
    assert "guards" not in graph["evaluate"].to_json()


def test_nested_whens_add_up() -> None:
    """The inner step runs where both are true; `otherwise` of the inner one keeps the outer guard."""

    def nested(wanted: bool = True) -> None:
        data = load()
        with when(wanted):
            with when(is_large(data)):
                take(1)
            with otherwise():
                take(2)
        with otherwise():
            take(3)

    graph = traced(nested)
    sides = [[guard.expected for guard in graph[name].guards] for name in ("take", "take_2", "take_3")]
    assert sides == [[True, True], [True, False], [False]]
    assert graph["take"].guards[0].flag == {"$parameter": "wanted", "path": []}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (lambda: True, "when wants a boolean of a step's result, such as verdict.passed: not True"),
        (lambda: load(), "when wants a boolean; 'load' is Dataset"),
        (lambda: load().rows, "when wants a boolean; 'load'.rows is int"),
        (lambda: take(1), "when wants a boolean; 'take' is Any"),
    ],
)
def test_when_wants_a_boolean(flag: Callable[[], Any], message: str) -> None:
    """Known by its type to be one; the message names the line of the `with`."""

    def wrong() -> None:
        with when(flag()):
            load()

    text = refused(wrong, message)
    assert text.startswith("test_graph.py:")
    assert "with when(flag()):" in text


def test_when_takes_a_flag_of_a_dataclass() -> None:
    """`approve` returns an answer with a reason; its flag opens the gate."""

    def gated() -> None:
        model = train(load())
        with when(approve(evaluate(model, load())).granted):
            promote(model)

    assert traced(gated)["promote"].guards[0].flag == {"$step": "approve", "path": ["granted"]}


def otherwise_alone() -> None:
    load()
    with otherwise():
        load()


def otherwise_after_a_step() -> None:
    with when(is_large(load())):
        load()
    load()
    with otherwise():
        load()


def otherwise_twice() -> None:
    with when(is_large(load())):
        load()
    with otherwise():
        load()
    with otherwise():
        load()


def otherwise_inside_its_when() -> None:
    with when(is_large(load())):
        load()
        with otherwise():
            load()


def otherwise_inside_another_when() -> None:
    flag = is_large(load())
    other = is_large(load())
    with when(flag):
        load()
    with when(other), otherwise():
        load()


def otherwise_inside_otherwise() -> None:
    with when(is_large(load())):
        load()
    with otherwise(), otherwise():
        load()


def otherwise_of_an_inner_when() -> None:
    flag = is_large(load())
    with when(flag), when(flag):
        load()
        load()
    with when(flag):
        load()
    load()
    with when(flag), otherwise():
        load()


@pytest.mark.parametrize(
    "body",
    [
        otherwise_alone,
        otherwise_after_a_step,
        otherwise_twice,
        otherwise_inside_its_when,
        otherwise_inside_another_when,
        otherwise_inside_otherwise,
        otherwise_of_an_inner_when,
    ],
)
def test_otherwise_stands_directly_after_its_when(body: Callable[[], None]) -> None:
    """Anywhere else a reader could not tell what it is the other side of."""
    text = refused(body, r'"with otherwise\(\):" stands directly after a "with when\(…\):"')
    assert text.startswith("test_graph.py:")


def test_a_broken_body_closes_its_when() -> None:
    """An error that a pipeline catches leaves no guard behind."""

    def caught() -> None:
        flag = is_large(load())
        try:
            with when(flag):
                raise KeyError
        except KeyError:
            take(1)

    assert traced(caught)["take"].guards == ()


def test_either_joins_the_side_that_ran() -> None:
    """A node of its own that reads the two sides and stands under no guard."""

    def joined() -> None:
        data = load()
        with when(is_large(data)):
            first = train(data)
        with otherwise():
            second = train(data, rate=0.5)
        promote(either(first, second))

    graph = traced(joined)
    assert graph["either"].kind == "either"
    assert graph["either"].inputs == {
        "first": {"$step": "train", "path": []},
        "second": {"$step": "train_2", "path": []},
    }
    assert graph["either"].guards == ()
    assert graph["promote"].needs == ("either",)


def test_either_inside_a_when_keeps_the_outer_guard() -> None:
    """A join of an inner fork still depends on the outer flag."""

    def joined(wanted: bool = True) -> None:
        data = load()
        with when(wanted):
            with when(is_large(data)):
                first = train(data)
            with otherwise():
                second = train(data)
            either(first, second)

    assert [guard.flag["$parameter"] for guard in traced(joined)["either"].guards] == ["wanted"]


def either_of_one_side() -> None:
    data = load()
    with when(is_large(data)):
        either(train(data), train(data))


def either_of_the_unguarded() -> None:
    data = load()
    either(train(data), train(data))


def either_of_two_whens() -> None:
    data = load()
    with when(is_large(data)):
        first = train(data)
    with when(is_large(data)):
        second = train(data)
    either(first, second)


def either_of_a_guarded_and_a_free_step() -> None:
    data = load()
    with when(is_large(data)):
        first = train(data)
    either(first, train(data))


@pytest.mark.parametrize(
    "body", [either_of_one_side, either_of_the_unguarded, either_of_two_whens, either_of_a_guarded_and_a_free_step]
)
def test_either_needs_opposite_sides(body: Callable[[], None]) -> None:
    """Where both or neither may have run there is nothing to choose."""
    refused(body, "either joins a step under when and one under its otherwise; 'train")


def test_either_joins_results_of_steps() -> None:
    """Not literals, not parameters."""

    def literal() -> None:
        either(load(), 5)

    def parameter(first: str = "a", second: str = "b") -> None:
        take(either(first, second))

    refused(literal, "either joins the results of two steps")
    refused(parameter, "the parameter 'first' and the parameter 'second' are not")


# --- each ---------------------------------------------------------------------------------------------------------


def test_each_maps_a_step_over_a_literal_list() -> None:
    """A mapped node, and a collector whose result is a plain list."""

    def mapped() -> None:
        data = load()
        compare(each(fit, over=["eu", "us"], data=data))

    graph = traced(mapped)
    assert [node.name for node in graph.nodes] == ["load", "fit", "collect_fit", "compare"]
    assert graph["fit"].to_json() == {
        "name": "fit",
        "kind": "map",
        "step": f"{__name__}:fit",
        "inputs": {"data": {"$step": "load", "path": []}},
        "over": ["eu", "us"],
        "item": "region",
    }
    assert graph["collect_fit"].kind == "collect"
    assert graph["compare"].inputs == {"models": {"$step": "collect_fit", "path": []}}


def test_each_maps_over_a_steps_list_or_a_parameter() -> None:
    """The node needs the list's step."""

    def mapped(wanted: list[str] = ["eu"]) -> None:  # noqa: B006
        each(fit, over=regions(load()))
        each(fit, over=wanted)

    graph = traced(mapped)
    assert graph["fit"].needs == ("regions",)
    assert graph["fit_2"].over == {"$parameter": "wanted", "path": []}
    assert "collect_fit_2" in [node.name for node in graph.nodes]


def test_the_item_becomes_the_first_argument_that_is_not_fixed() -> None:
    """Wherever it stands."""

    def mapped() -> None:
        each(evaluate, over=[Dataset("file:///a", "sha256:1")], model=train(load()))

    assert traced(mapped)["evaluate"].item == "data"


def test_what_each_collects_is_a_list_of_what_the_step_gives() -> None:
    """Its items have the step's type."""

    def mapped() -> None:
        models = each(fit, over=["eu", "us"])
        evaluate(models[0], models[1])  # type: ignore[arg-type]

    refused(mapped, r"'evaluate' wants data: Dataset, but 'collect_fit'\[1\] is a Model")


def test_each_of_a_step_with_options_is_called_so() -> None:
    """The collector's name follows."""

    def mapped() -> None:
        each(fit.with_options(name="fit_region"), over=["eu"])

    assert names(mapped) == ["fit_region", "collect_fit_region"]


def test_each_under_when_is_refused() -> None:
    """Engines cannot skip a fan-out and still collect it."""

    def mapped() -> None:
        data = load()
        with when(is_large(data)):
            each(fit, over=["eu"])

    refused(mapped, "each cannot stand under when")


def test_each_without_a_free_argument_is_refused() -> None:
    """There must be one for the item."""

    def mapped() -> None:
        each(fit, over=["eu"], region="us", data=load())

    refused(mapped, "each gives all arguments of fit; leave one for the item")


@pytest.mark.parametrize("over", ["text", b"bytes", {"a": 1}, {"eu", "us"}, 5, None], ids=repr)
def test_each_runs_over_a_list_and_nothing_else(over: Any) -> None:
    """Text is no list of letters, and a set has an order of its own in every process."""

    def mapped() -> None:
        each(fit, over=over)

    refused(mapped, "each runs over a list, not")


def test_each_over_a_result_that_is_no_list_is_refused() -> None:
    """By its type, while tracing."""

    def mapped() -> None:
        each(fit, over=load())  # type: ignore[arg-type]

    refused(mapped, "each runs over a list; 'load' is Dataset")


def test_each_calls_a_step_and_nothing_else() -> None:
    """A plain function would run while tracing."""

    def mapped() -> None:
        each(len, over=["a"])

    refused(mapped, "each calls a step; <built-in function len> is none")


def test_each_with_a_wrong_argument_is_refused() -> None:
    """As a call is."""

    def mapped() -> None:
        each(fit, over=["eu"], dat=load())

    refused(mapped, "got an unexpected keyword argument 'dat'")


@pytest.mark.parametrize(
    "word",
    [lambda: when(True).__enter__(), lambda: otherwise().__enter__(), lambda: either(1, 2), lambda: each(fit, [])],
)
def test_the_words_belong_inside_a_pipeline(word: Callable[[], Any]) -> None:
    """Elsewhere there is no graph to write into."""
    with pytest.raises(PipelineError, match="belongs inside a pipeline function"):
        word()


# --- pipelines ----------------------------------------------------------------------------------------------------


def test_a_pipeline_is_called_by_an_engine() -> None:
    """Calling it says how to run it."""
    fraud = pipeline(otherwise_alone)
    with pytest.raises(PipelineError, match=r"from ostinato.engines.local_run import run; run\(otherwise_alone, …\)"):
        fraud()


def test_a_pipeline_that_returns_something_is_refused() -> None:
    """Its steps leave artifacts."""

    def returning() -> None:
        return load()  # type: ignore[return-value]

    refused(returning, "returns something; a pipeline returns nothing")


def test_a_pipeline_that_calls_no_step_is_refused() -> None:
    """A graph of nothing is a mistake."""

    def idle() -> None: ...

    refused(idle, "idle calls no step")


def test_a_pipeline_inside_a_pipeline_is_refused() -> None:
    """Called or looked into."""

    @pipeline
    def inner() -> None:
        load()

    def calls() -> None:
        load()
        inner()

    def looks() -> None:
        take(inner.graph.digest)

    refused(calls, "inner is a pipeline, to be run by an engine")
    refused(looks, "a pipeline cannot call a pipeline")


def test_a_failed_trace_leaves_nothing_behind() -> None:
    """Steps are plain functions again afterwards."""

    def broken() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        traced(broken)
    assert step(lambda: 5)() == 5


def test_an_unknown_pipeline_option_is_refused_with_the_nearest() -> None:
    """As a step's is."""
    with pytest.raises(UsageError, match=r"Unknown pipeline option 'shedule'. Did you mean 'schedule'\?"):
        pipeline(shedule="@daily")(otherwise_alone)


def test_an_unknown_node_is_named_with_those_there_are() -> None:
    """Looking into a graph is forgiving to nobody."""
    with pytest.raises(UnknownName, match=r"Unknown node 'laod'. Did you mean 'load'\?"):
        traced(everything)["laod"]


def test_tracing_opens_no_context_and_reads_no_clock() -> None:
    """An engine may trace at every parse."""
    traced(everything)
    assert context._current.get() is None


# --- the graph ----------------------------------------------------------------------------------------------------


def everything(source: str = "x", wanted: bool = True) -> None:
    """All words of the language in one pipeline."""
    data = load(source)
    train_set, test_set = split(data)
    with when(wanted):
        first = train(train_set, rate=0.2)
    with otherwise():
        second = train(train_set)
    model = either(first, second)
    models = each(fit, over=["eu", "us"], data=train_set)
    metrics = compare(models)
    verdict = evaluate.with_options(after=(metrics,))(model, test_set)
    with when(verdict.passed), when(approve(verdict).granted):
        promote(model)
    take({"b": 1, "a": [data.rows, 0.5, None, "ü"]})


def test_tracing_twice_gives_the_same_graph() -> None:
    """The function is pure, and so is tracing."""
    first, second = traced(everything), traced(everything)
    assert first is not second
    assert first.to_json() == second.to_json()
    assert first.digest == second.digest


def test_tracing_gives_the_same_graph_in_every_process() -> None:
    """Whatever the order of sets and dicts there."""
    code = "import test_graph; print(test_graph.traced(test_graph.everything).digest)"
    digests = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "tests")}, text=True
        )
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1


def test_a_changed_pipeline_has_another_digest() -> None:
    """One literal is enough."""

    def once() -> None:
        train(load(), rate=0.1)

    def again() -> None:
        train(load(), rate=0.2)

    again.__name__ = "once"
    assert traced(once).digest != traced(again).digest


def test_a_graph_is_json_and_comes_back_as_it_was() -> None:
    """It is recorded with every run."""
    written = traced(everything).to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written


def in_order(graph: Graph) -> bool:
    seen: set[str] = set()
    for node in graph.nodes:
        if not seen >= set(node.needs):
            return False
        seen.add(node.name)
    return True


def test_every_node_comes_after_all_it_needs() -> None:
    """Engines may walk the nodes as they stand."""
    assert in_order(traced(everything))
    assert traced(everything)["evaluate"].needs == ("compare", "either", "split")


@given(st.data())
def test_every_node_of_any_pipeline_comes_after_all_it_needs(data: st.DataObject) -> None:
    """Random pipelines of calls, gates, joins and fan-outs."""

    def random() -> None:
        made = [load()]
        for _ in range(data.draw(st.integers(0, 12))):
            before = made[data.draw(st.integers(0, len(made) - 1))]
            word = data.draw(st.sampled_from(["call", "when", "either", "each", "after"]))
            if word == "call":
                made.append(take({"a": [before]}))
            elif word == "after":
                made.append(take.with_options(after=(before,))(1))
            elif word == "each":
                made.append(each(take, over=[1, before]))  # type: ignore[arg-type]
            else:
                with when(is_large.with_options(after=(before,))(load())):
                    first = take(before)
                with otherwise():
                    second = take(before)
                made.append(first if word == "when" else either(first, second))

    graph = traced(random)
    assert in_order(graph)
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
    assert json.loads(json.dumps(graph.to_json())) == graph.to_json()


def test_a_pipeline_of_fifty_steps_is_traced() -> None:
    """Fan-out and fan-in by hand."""

    def wide() -> None:
        data = load()
        models = [train.with_options(name=f"train_{number}")(data, rate=number / 10) for number in range(48)]
        compare(models)

    graph = traced(wide)
    assert len(graph.nodes) == 50
    assert graph["compare"].needs == tuple(f"train_{number}" for number in range(48))


TYPED = """
from ostinato import Dataset, Model, Verdict, each, either, otherwise, pipeline, step, when

@step
def load(source: str) -> Dataset:
    return Dataset(source, "sha256:1")

@step(retries=2, timeout="1h")
def train(data: Dataset, *, rate: float = 0.1) -> Model:
    return Model(data.uri, data.digest)

@step
def evaluate(model: Model, data: Dataset) -> Verdict:
    return Verdict(model.uri, data.digest)

@pipeline(schedule="@daily")
def right(source: str = "x", rate: float = 0.2) -> None:
    data = load(source)
    verdict = evaluate(train(data, rate=rate), data)
    with when(verdict.passed):
        first = train(data)
    with otherwise():
        second = train.with_options(name="slow")(data)
    evaluate(model=either(first, second), data=data)
    models = each(train, over=[data], rate=0.3)
    evaluate(models[0], data)

@pipeline
def wrong(source: str = "x") -> None:
    data = load(5)  # wrong
    train(data, rat=0.2)  # wrong
    train(data, 0.2)  # wrong
    train(train(data))  # wrong
    train()  # wrong
    data.passed  # wrong
    with when(data):  # wrong
        evaluate(each(train, over=[data]), data)  # wrong
    load.with_options(name="y")(5)  # wrong
"""


def test_mypy_finds_every_wrong_call_and_no_other(tmp_path: Path) -> None:
    """`step` keeps the signature: a type checker sees pipelines as plain Python."""
    file = tmp_path / "typed.py"
    file.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(file)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {int(line.split(":")[1]) for line in said.stdout.splitlines() if ": error:" in line}
    expected = {number for number, line in enumerate(TYPED.splitlines(), 1) if line.endswith("# wrong")}
    assert found == expected, said.stdout + said.stderr


def test_pipelines_and_steps_show_where_they_live() -> None:
    """In a REPL and in messages."""
    assert repr(load) == f"<step {__name__}:load>"
    assert repr(pipeline(everything)) == f"<pipeline {__name__}:everything>"
    assert isinstance(pipeline(everything), Pipeline)


def test_a_lambda_needs_a_name_in_a_pipeline() -> None:
    """A name is what people see in every engine."""
    nameless = step(lambda: 5)
    with pytest.raises(PipelineError, match="<lambda> is no name for a step"):
        traced(lambda: nameless())

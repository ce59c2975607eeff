"""Handles: a promised value refuses what it cannot know yet, and says where and what to write instead."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato import Approval, Dataset, Deployment, Metrics, Model, Promotion, Verdict, step
from ostinato.errors import PipelineError
from ostinato.handle import Handle, bare, fields_of
from ostinato.runner import dig


@dataclass
class Answer:
    """A decision with its reason."""

    granted: bool
    why: str


class Split(TypedDict):
    """Two tables and a number."""

    train: Dataset
    share: float


def promise(kind: Any = Any, name: str = "evaluate") -> Any:
    return Handle(name, (), kind)


def each_in(value: Any) -> None:
    for _ in value:
        pass


def branch(value: Any) -> None:
    if value:
        pass


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "if": (branch, 'Use "with when(…):" instead of "if"'),
    "and": (lambda value: value and 1, 'instead of "if", "and", "or", "not"'),
    "or": (lambda value: value or 1, 'instead of "if", "and", "or", "not"'),
    "not": (lambda value: not value, 'instead of "if", "and", "or", "not"'),
    "for": (each_in, 'Use "each(step, over=…)" instead of "for"'),
    "star": (lambda value: [*value], 'Use "each(step, over=…)" instead of "for"'),
    "==": (lambda value: value == 1, "Compare inside a step"),
    "!=": (lambda value: value != 1, "Compare inside a step"),
    "<": (lambda value: value < 1, "Compare inside a step"),
    "<=": (lambda value: value >= 1, "Compare inside a step"),
    "len": (lambda value: len(value), "Count inside a step"),
    "in": (lambda value: 1 in value, 'Write what needs "in" inside a step'),
    "in a list": (lambda value: value in [1, 2], "Compare inside a step"),
    "in a set": (lambda value: value in {"a", "b"}, "Look it up inside a step"),
    "as a key": (lambda value: {"a": 1}[value], "Look it up inside a step"),
    "f-string": (lambda value: f"s3://{value}", "Build the text inside a step"),
    "f-string with format": (lambda value: f"{value:.3f}", "Build the text inside a step"),
    "%": (lambda value: "%s" % value, "Build the text inside a step"),  # noqa: UP031
    "str": (lambda value: str(value), "Build the text inside a step"),
    "str +": (lambda value: "s3://" + value, "Calculate inside a step"),
    "float": (lambda value: float(value), "Calculate inside a step"),
    "int": (lambda value: int(value), "Calculate inside a step"),
    "complex": (lambda value: complex(value), "Calculate inside a step"),
    "bytes": (lambda value: bytes(value), "Calculate inside a step"),
    "round": (lambda value: round(value), "Calculate inside a step"),
    "floor": (lambda value: math.floor(value), "Calculate inside a step"),
    "index": (lambda value: [1, 2][value], "Calculate inside a step"),
    "range": (lambda value: range(value), "Calculate inside a step"),
    "+": (lambda value: value + 1, "Calculate inside a step"),
    "- from the right": (lambda value: 1 - value, "Calculate inside a step"),
    "negative": (lambda value: -value, "Calculate inside a step"),
    "**": (lambda value: value**2, "Calculate inside a step"),
    "&": (lambda value: value & True, "Calculate inside a step"),
    "~": (lambda value: ~value, "Calculate inside a step"),
    "sum": (lambda value: sum([value, value]), "Calculate inside a step"),
    "max": (lambda value: max(value, 1), "Compare inside a step"),
    "sorted": (lambda value: sorted([value, value]), "Compare inside a step"),
    "reversed": (lambda value: reversed(value), "Calculate inside a step"),
    "call": (lambda value: value(), "Call it inside a step"),
    "slice": (lambda value: value[1:2], "Look inside it in a step"),
    "a promised key": (lambda value: value[promise(str)], "Look inside it in a step"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_handle_refuses_and_names_the_line_and_the_fix(what: str) -> None:
    """`test_handle.py:55: the line`, whose value is missing, and what to write instead."""
    act, advice = REFUSED[what]
    with pytest.raises(PipelineError) as caught:
        act(promise())
    first, last = act.__code__.co_firstlineno, act.__code__.co_firstlineno + 2
    place, _, rest = str(caught.value).partition(": ")
    assert place in [f"test_handle.py:{line}" for line in range(first, last)]
    assert "'evaluate' has no value yet: a pipeline is traced before it runs." in rest
    assert advice in rest


def test_a_refusal_shows_the_line_itself() -> None:
    """Nobody has to open the file to see what is meant."""
    with pytest.raises(PipelineError, match=r"bool\(promise\(\)\)  # this very line"):
        bool(promise())  # this very line


def test_a_call_of_a_method_is_refused_with_its_name() -> None:
    """Model.load exists, but not yet."""
    with pytest.raises(PipelineError, match=r"'train' has no value yet.*Call load\(\) inside a step"):
        promise(Model, "train").load()


def test_an_unknown_attribute_gets_the_nearest_name() -> None:
    """A slip of the finger is found before anything runs."""
    with pytest.raises(PipelineError, match=r"'evaluate' is a Verdict and has no 'pased'\. Did you mean 'passed'\?"):
        _ = promise(Verdict).pased
    with pytest.raises(PipelineError, match="Did you mean 'granted'"):
        _ = promise(Answer).grantd


def test_a_parameter_is_called_a_parameter() -> None:
    """A message about the pipeline's own argument says so."""
    with pytest.raises(PipelineError, match="the parameter 'source' has no value yet"):
        bool(Handle("", ("source",), str))
    with pytest.raises(PipelineError, match=r"the parameter 'columns'\.time has no value yet"):
        bool(Handle("", ("columns", "time"), str))


@pytest.mark.parametrize(
    ("kind", "path", "part"),
    [
        (Verdict, "passed", bool),
        (Verdict, "metrics", dict[str, float]),
        (Model, "features", list[str]),
        (Dataset, "rows", int),
        (Dataset, "uri", str),
        (Answer, "granted", bool),
        (Answer | None, "granted", bool),
        (Optional[Verdict], "passed", bool),  # noqa: UP045
        (Any, "anything", Any),
    ],
)
def test_a_named_part_has_the_type_of_its_attribute(kind: Any, path: str, part: Any) -> None:
    """Of an artifact its facts, of a dataclass its fields, also where None is possible."""
    found = getattr(promise(kind), path)
    assert found._path == (path,)
    assert found._type == part


@pytest.mark.parametrize(
    ("kind", "key", "part"),
    [
        (Split, "train", Dataset),
        (Split | None, "share", float),
        (dict[str, int], "a", int),
        (Mapping[str, Model], "a", Model),
        (list[Dataset], 0, Dataset),
        (list[Dataset], -1, Dataset),
        (Sequence[int], 3, int),
        (tuple[Dataset, Model], 1, Model),
        (tuple[Dataset, Model], -2, Dataset),
        (tuple[int, ...], 7, int),
        (dict, "a", Any),
        (Any, "a", Any),
    ],
)
def test_a_part_by_key_has_the_type_of_the_item(kind: Any, key: str | int, part: Any) -> None:
    """Of a TypedDict, a dict, a list and a tuple."""
    found = promise(kind)[key]
    assert found._path == (key,)
    assert found._type == part


def test_parts_of_parts_are_followed() -> None:
    """`split["train"].rows` leads two steps down."""
    found = promise(Split)["train"].rows
    assert (found._path, found._type) == (("train", "rows"), int)


def test_a_missing_key_of_a_typed_dict_gets_the_nearest_name() -> None:
    """As an attribute does."""
    with pytest.raises(PipelineError, match=r"'evaluate' has no 'trian'\. Did you mean 'train'\?"):
        promise(Split)["trian"]


def test_a_part_beyond_the_tuple_is_refused() -> None:
    """The annotation says how many there are."""
    with pytest.raises(PipelineError, match="'evaluate' has 2 parts, not one at 2"):
        promise(tuple[int, int])[2]


def test_a_part_of_a_plain_value_is_refused() -> None:
    """A number has no parts."""
    with pytest.raises(PipelineError, match="Look inside it in a step"):
        promise(int)[0]


def test_a_tuple_unpacks_as_its_annotation_says() -> None:
    """`train_set, test_set = split(data)` gives two handles of the right types."""
    first, second = promise(tuple[Dataset, Model])
    assert [(part._path, part._type) for part in (first, second)] == [((0,), Dataset), ((1,), Model)]


def test_unpacking_into_the_wrong_number_of_names_fails_as_in_python() -> None:
    """Two parts do not make three."""
    with pytest.raises(ValueError, match="not enough values"):
        _first, _second, _third = promise(tuple[int, int])


def test_a_tuple_of_any_length_is_not_unpacked() -> None:
    """How many there are is not known before the run."""
    with pytest.raises(PipelineError, match=r"each\(step, over=…\)"):
        _first, _second = promise(tuple[int, ...])


def test_a_handle_shows_what_it_promises() -> None:
    """In a REPL it says where the value will come from."""
    assert repr(promise(Verdict).passed) == "<promise of 'evaluate'.passed>"
    assert repr(promise(list[int])[2]) == "<promise of 'evaluate'[2]>"


def test_copying_a_handle_asks_for_nothing_it_does_not_have() -> None:
    """What the standard library looks for on any object is answered as Python expects."""
    assert not hasattr(promise(), "__deepcopy__")
    assert copy.copy(promise(int))._type is int


@given(
    st.text().filter(lambda name: name.isidentifier() and not name.startswith("_") and name not in fields_of(Verdict))
)
def test_no_unknown_name_is_ever_taken_for_a_part(name: str) -> None:
    """Whatever a person mistypes is refused while tracing, not when the step runs."""
    with pytest.raises(PipelineError):
        getattr(promise(Verdict), name)


@pytest.mark.parametrize(
    "kind", [Dataset, Model, Metrics, Verdict, Approval, Promotion, Deployment], ids=lambda kind: kind.__name__
)
def test_every_part_a_pipeline_may_name_is_in_the_reference(kind: Any) -> None:
    """A part that lies elsewhere would trace and then fail when it runs."""
    facts = {
        "rows": 3,
        "features": ["a"],
        "values": {"auc": 0.5},
        "passed": True,
        "outcome": "pass",
        "granted": True,
        "by": "ada",
        "why": "fine",
        "promoted": True,
        "deployed": True,
        "checks": [],
        "metrics": {"auc": 0.5},
    }
    reference = kind("models:/m-1", "sha256:1", facts).to_json()
    for name in fields_of(kind):
        assert dig(reference, [name]) == getattr(kind("models:/m-1", "sha256:1", facts), name)


def test_a_type_with_nothing_is_itself() -> None:
    """`X | None` is X; a choice of two types is anything."""
    assert bare(int | None) is int
    assert bare(int | str) is Any
    assert bare(list[int]) == list[int]


def test_outside_a_pipeline_there_are_no_handles() -> None:
    """A step called in a REPL is just its function."""

    @step
    def double(value: int) -> int:
        return 2 * value

    assert double(2) + 1 == 5

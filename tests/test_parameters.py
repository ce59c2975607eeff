"""Parameters: a pipeline's signature, checked before anything runs, whatever spells the values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato import parameters, pipeline, step
from ostinato.errors import ParameterError
from ostinato.graph import Pipeline, Step
from ostinato.parameters import MISSING, default, names, resolve, schema, spelled


@dataclass(frozen=True)
class Zone:
    """A part of a part."""

    name: str = "UTC"
    offset: int = 0


@dataclass(frozen=True)
class Columns:
    """What the columns are called."""

    time: str = "ts"
    amount: str = "amount"
    zone: Zone = field(default_factory=Zone)


@step
def note(value: Any = None) -> None: ...


@pipeline
def fraud(
    source: str,
    test_days: int = 7,
    floor: float = 0.6,
    labels: Literal["delayed", "complete"] = "delayed",
    columns: Columns = Columns(amount="AMT", zone=Zone("CET", 1)),
    extra: list[str] = [],  # noqa: B006
    sizes: list[int] = [1, 2],  # noqa: B006
    drop: bool = False,
    query: str | None = None,
    limit: int | None = None,
    options: dict[str, Any] = {"depth": 3},  # noqa: B006
    weights: dict[str, float] = {},  # noqa: B006
    colours: dict[str, str] = {},  # noqa: B006
    since: date | None = None,
) -> None:
    note(source)


def resolved(**given: Any) -> dict[str, Any]:
    return resolve(fraud, {"source": "s", **given})


def refused(given: dict[str, Any]) -> str:
    with pytest.raises(ParameterError) as caught:
        resolve(fraud, given)
    return str(caught.value)


def made_of(body: Callable[..., None]) -> Pipeline[...]:
    return pipeline(body)


DEFAULTS = {
    "source": "s",
    "test_days": 7,
    "floor": 0.6,
    "labels": "delayed",
    "columns": {"time": "ts", "amount": "AMT", "zone": {"name": "CET", "offset": 1}},
    "extra": [],
    "sizes": [1, 2],
    "drop": False,
    "query": None,
    "limit": None,
    "options": {"depth": 3},
    "weights": {},
    "colours": {},
    "since": None,
}


def test_what_is_not_given_is_the_default() -> None:
    """As JSON, in the order of the signature."""
    assert resolved() == DEFAULTS
    assert list(resolved()) == list(DEFAULTS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("test_days", "14", 14),
        ("floor", "0.75", 0.75),
        ("floor", "1", 1.0),
        ("labels", "complete", "complete"),
        ("drop", "true", True),
        ("drop", "no", False),
        ("extra", "a,b", ["a", "b"]),
        ("extra", " a , b ,, ", ["a", "b"]),
        ("extra", '["a,b", "c"]', ["a,b", "c"]),
        ("extra", "", []),
        ("sizes", "1,2,3", [1, 2, 3]),
        ("sizes", "[4]", [4]),
        ("query", "none", None),
        ("query", "", None),
        ("query", "SELECT 1", "SELECT 1"),
        ("limit", "None", None),
        ("limit", "5", 5),
        ("source", "none", "none"),
        ("source", "", ""),
        ("source", "[1]", "[1]"),
        ("options", '{"a": [1, null]}', {"a": [1, None]}),
        ("since", "2026-03-01", "2026-03-01"),
        ("columns", '{"time": "when"}', {**DEFAULTS["columns"], "time": "when"}),  # type: ignore[dict-item]
    ],
)
def test_text_becomes_what_the_signature_says(name: str, text: str, value: Any) -> None:
    """From a command line everything is text: numbers, yes and no, lists, JSON, and none where it may be."""
    assert resolved(**{name: text})[name] == value


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ({"columns.time": "when"}, {"time": "when", "amount": "AMT", "zone": {"name": "CET", "offset": 1}}),
        ({"columns.zone.name": "EET"}, {"time": "ts", "amount": "AMT", "zone": {"name": "EET", "offset": 1}}),
        ({"columns.zone.offset": "2"}, {"time": "ts", "amount": "AMT", "zone": {"name": "CET", "offset": 2}}),
        ({"columns": {"time": "when"}}, {"time": "when", "amount": "AMT", "zone": {"name": "CET", "offset": 1}}),
        (
            {"columns": {"zone": {"offset": 5}}, "columns.time": "when"},
            {"time": "when", "amount": "AMT", "zone": {"name": "CET", "offset": 5}},
        ),
        (
            {"columns.time": "b", "columns": {"time": "a"}},
            {"time": "b", "amount": "AMT", "zone": {"name": "CET", "offset": 1}},
        ),
        ({"columns": Columns(time="x")}, {"time": "x", "amount": "amount", "zone": {"name": "UTC", "offset": 0}}),
    ],
)
def test_what_is_not_given_of_a_group_is_as_in_its_default(given: dict[str, Any], columns: dict[str, Any]) -> None:
    """Dotted, as a dict, or both: the members given take the place of the default's, in whatever order."""
    assert resolved(**given)["columns"] == columns


def test_a_free_mapping_takes_members_by_dotted_names() -> None:
    """Over its default; given whole, it replaces it."""
    assert resolved(**{"options.rate": "0.1"})["options"] == {"depth": 3, "rate": 0.1}
    assert resolved(**{"options.kind": "gbm"})["options"] == {"depth": 3, "kind": "gbm"}
    assert resolved(options={"rate": 0.1})["options"] == {"rate": 0.1}


def test_a_member_of_a_typed_mapping_is_read_by_its_type() -> None:
    """A year that is text stays text."""
    assert resolved(**{"weights.eu": "2"})["weights"] == {"eu": 2.0}
    assert resolved(**{"colours.2024": "1"})["colours"] == {"2024": "1"}


def test_a_group_given_as_none_and_a_member_of_it_make_a_group() -> None:
    """The member wins."""

    @pipeline
    def optional(columns: Columns | None = None) -> None:
        note()

    assert resolve(optional, {})["columns"] is None
    assert resolve(optional, {"columns": "none"})["columns"] is None
    assert resolve(optional, {"columns": None, "columns.time": "x"})["columns"]["time"] == "x"


def test_an_unknown_name_gets_the_nearest() -> None:
    """Among the names a person can give."""
    assert "fraud has no parameter 'flor'. Did you mean 'floor'?" in refused({"source": "s", "flor": 1})
    assert "Did you mean 'columns.time'?" in refused({"source": "s", "columns.tme": "x"})
    assert "Did you mean 'columns.time'?" in refused({"source": "s", "columns": {"tme": "x"}})
    assert "has no parameter 'source.x'" in refused({"source": "s", "source.x": "x"})


def test_a_missing_parameter_is_asked_for_as_it_is_written() -> None:
    """The flag can be pasted."""
    assert refused({}) == "fraud needs source: write -p source=…"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("test_days", "soon", "valid integer"),
        ("test_days", 1.5, "valid integer"),
        ("floor", "high", "valid number"),
        ("floor", "nan", "finite number"),
        ("floor", float("inf"), "finite number"),
        ("labels", "late", "'delayed' or 'complete'"),
        ("drop", "perhaps", "valid boolean"),
        ("sizes", "1,b", "valid integer"),
        ("sizes", "[1", "valid list"),
        ("options", "{1", "valid dictionary"),
        ("columns", "[1", "dictionary or an instance of Columns"),
        ("query", 5, "valid string"),
        ("columns.zone.offset", "far", "valid integer"),
        ("weights.eu", "nan", "finite number"),
    ],
)
def test_a_wrong_type_is_refused_with_name_value_and_reason(name: str, value: Any, reason: str) -> None:
    """Before anything runs."""
    message = refused({"source": "s", name: value})
    assert message.startswith(f"fraud: {name}")
    assert reason in message


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody fixes a command line one error at a time."""
    given = {
        "floor": "high",
        "test_days": "x",
        "flor": 1,
        "lables": "late",
        "columns": {"tme": 1},
        "as_of": "2026-01-01",
    }
    lines = refused(given).splitlines()
    assert len(lines) == 7
    for part in (
        "floor='high'",
        "test_days='x'",
        "'flor'",
        "'lables'",
        "'columns.tme'",
        "needs source",
        "--as-of DATE",
    ):
        assert sum(part in line for line in lines) == 1, part


def test_what_is_not_json_in_a_free_mapping_is_refused() -> None:
    """The records could not hold it."""
    assert "a parameter is not JSON" in refused({"source": "s", "options": {"x": float("nan")}})
    assert "a parameter is not JSON" in refused({"source": "s", "options.x": "Infinity"})


def test_as_of_is_given_by_the_engine() -> None:
    """Not a parameter, and no pipeline may declare it."""
    assert refused({"source": "s", "as_of": "2026-03-01"}) == "'as_of' is not a parameter of fraud: write --as-of DATE."

    def timed(as_of: str = "x") -> None:
        note()

    with pytest.raises(ParameterError, match="timed: 'as_of' is given by the engine"):
        schema(made_of(timed))


def test_a_hidden_parameter_is_refused() -> None:
    """A form cannot show what starts with an underscore."""

    def hidden(_source: str = "x") -> None:
        note()

    with pytest.raises(ParameterError, match="a parameter's name starts with a letter: '_source'"):
        schema(made_of(hidden))


def test_a_default_of_the_wrong_type_is_refused() -> None:
    """Before the first run by hand or by clock, not inside a step."""

    def careless(days: int = "seven") -> None:  # type: ignore[assignment]
        note()

    with pytest.raises(ParameterError, match="days='seven' is refused"):
        resolve(made_of(careless), {})


def test_a_type_that_is_not_json_is_refused() -> None:
    """No form can ask for it, and no record could hold it."""

    def strange(thing: Step[..., Any]) -> None:
        note()

    with pytest.raises(ParameterError, match=r"strange has a parameter of a type that no form can ask for: .*Step"):
        schema(made_of(strange))


@pytest.mark.filterwarnings("error")
def test_no_name_is_taken() -> None:
    """What pydantic's models call their own attributes is free for a pipeline's parameters."""

    def named(
        schema: str = "a", json: str = "b", copy: bool = True, model_dump: int = 1, model_config: int = 2
    ) -> None:
        note()

    assert resolve(made_of(named), {"schema": "x", "model_dump": "3"}) == {
        "schema": "x",
        "json": "b",
        "copy": True,
        "model_dump": 3,
        "model_config": 2,
    }


def test_what_is_given_is_left_as_it_was() -> None:
    """Nor does one run's default leak into the next."""
    given: dict[str, Any] = {"source": "s", "columns": {"zone": {}}, "columns.zone.name": "x", "extra": ["a"]}
    before = json.dumps(given)
    resolve(fraud, given)["extra"].append("b")
    assert json.dumps(given) == before
    resolved()["extra"].append("b")
    assert resolved() == DEFAULTS


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
GIVEN = st.fixed_dictionaries(
    {"source": st.text()},
    optional={
        "test_days": st.integers() | st.integers().map(str),
        "floor": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        "labels": st.sampled_from(["delayed", "complete"]),
        "columns": st.fixed_dictionaries({}, optional={"time": st.text(), "zone": st.just({"offset": 3})}),
        "columns.zone.name": st.text(),
        "extra": st.lists(st.text()),
        "drop": st.sampled_from([True, False, "yes", "off"]),
        "query": st.none() | st.text(),
        "options": st.dictionaries(st.text(), JSON, max_size=3),
        "weights": st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        "since": st.none() | st.dates() | st.dates().map(str),
    },
)


@given(GIVEN)
def test_resolving_what_was_resolved_changes_nothing(given: dict[str, Any]) -> None:
    """A recorded run's parameters give the same run again, also after a trip through JSON."""
    once = resolve(fraud, given)
    assert resolve(fraud, once) == once
    assert resolve(fraud, json.loads(json.dumps(once))) == once


@given(st.dictionaries(st.text(), JSON | st.floats() | st.binary(), max_size=4))
def test_whatever_is_given_is_resolved_or_refused_with_a_sentence(given: dict[str, Any]) -> None:
    """No input makes anything else of it."""
    with contextlib.suppress(ParameterError):
        json.dumps(resolve(fraud, {"source": "s", **given}), allow_nan=False)


def test_the_schema_is_json_schema_with_defaults() -> None:
    """Forms are made of it: closed, required where there is no default, choices listed."""
    found = schema(fraud)
    assert json.loads(json.dumps(found)) == found
    assert found["type"] == "object"
    assert found["required"] == ["source"]
    assert found["additionalProperties"] is False
    assert list(found["properties"]) == list(DEFAULTS)
    properties = found["properties"]
    assert properties["test_days"] == {"default": 7, "title": "Test Days", "type": "integer"}
    assert properties["labels"]["enum"] == ["delayed", "complete"]
    assert properties["columns"]["default"] == DEFAULTS["columns"]
    assert set(found["$defs"]) == {"Columns", "Zone"}


def test_the_schema_and_the_check_agree() -> None:
    """The default parameters fit the schema they are shown with."""
    model = pydantic.TypeAdapter(dict[str, Any])
    shown = {name: one.get("default", "s") for name, one in schema(fraud)["properties"].items()}
    assert model.validate_python(shown) == resolved()


def test_names_are_dotted_and_typed() -> None:
    """Nested ones behind their group."""
    found = names(fraud)
    assert list(found)[4:10] == [
        "columns",
        "columns.time",
        "columns.amount",
        "columns.zone",
        "columns.zone.name",
        "columns.zone.offset",
    ]
    assert found["columns.zone.offset"] is int
    assert found["query"] == str | None


def test_a_default_is_found_by_its_dotted_name() -> None:
    """As JSON; MISSING where a person must give a value."""
    assert default(fraud, "source") is MISSING
    assert repr(MISSING) == "(needed)"
    assert default(fraud, "columns.zone.name") == "CET"
    assert default(fraud, "columns") == DEFAULTS["columns"]
    assert default(fraud, "query") is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (Literal["a", "b"], '"a" or "b"'),
        (int | None, "int | None"),
        (list[str], "list[str]"),
        (Columns, "Columns"),
        (dict[str, Any], "dict[str, Any]"),
    ],
)
def test_a_type_is_spelled_as_people_read_it(kind: Any, text: str) -> None:
    """In the command line's table."""
    assert spelled(kind) == text


def test_parameters_have_a_text() -> None:
    """The module says what it is."""
    assert parameters.__doc__

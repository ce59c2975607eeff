"""Formulas: what a suite leaves open until the run, read early and filled in late."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostinato.suites.formulas import (
    NAMES,
    filled,
    filled_query,
    holds_one,
    is_formula,
    problem,
    query_problem,
    without,
)  # fmt: skip
from ostinato.suites.formulas import (
    example as example_of,
)

AS_OF = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
KNOWN = {"as_of": AS_OF, "day": datetime(2026, 3, 2, tzinfo=UTC), "last.rows": 1001}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("{{ as_of }}", AS_OF),
        ("{{as_of}}", AS_OF),
        ("  {{ day }}\n", datetime(2026, 3, 2, tzinfo=UTC)),
        ("{{ as_of - 1d }}", AS_OF - timedelta(days=1)),
        ("{{ as_of+2w-3h }}", AS_OF + timedelta(days=14, hours=-3)),
        ("{{ day - 1.5h + 30m - 5s }}", datetime(2026, 3, 1, 22, 59, 55, tzinfo=UTC)),
        ("{{ last.rows }}", 1001),
        ("{{ last.rows * 0.5 }}", 500),
        ("{{ last.rows / 2 + 10 }}", 510),
        ("{{ last.rows - 1 * 2 }}", 2000),
    ],
)
def test_a_formula_comes_to_a_moment_or_a_number(formula: str, value: Any) -> None:
    """From left to right; numbers are whole."""
    assert problem(formula) is None
    assert filled(formula, KNOWN) == value
    assert type(filled(formula, KNOWN)) is type(value)


def test_formulas_are_filled_in_wherever_they_stand() -> None:
    """In lists and mappings; other values stay what they are."""
    given = {"min_value": "{{ day }}", "value_set": ["a", "{{ last.rows }}", 5, None], "note": "see {{ day }}"}
    assert filled(given, KNOWN) == {**given, "min_value": KNOWN["day"], "value_set": ["a", 1001, 5, None]}


def test_what_is_not_known_yet_is_named() -> None:
    """There are no last rows in the first run."""
    with pytest.raises(KeyError, match=r"last.rows"):
        filled("{{ last.rows * 2 }}", {**KNOWN, "last.rows": None})
    with pytest.raises(KeyError, match="day"):
        filled_query("SELECT {{ day }}", {})


def test_a_query_gets_literals_and_keeps_the_rest() -> None:
    """Several in one text; braces of other meaning are left alone."""
    query = "SELECT * FROM {batch} WHERE t > {{ day - 1d }} AND n < {{last.rows}} AND j = {'a': {'b': 1}}"
    assert query_problem(query) is None
    assert filled_query(query, KNOWN) == (
        "SELECT * FROM {batch} WHERE t > TIMESTAMP '2026-03-01 00:00:00' AND n < 1001 AND j = {'a': {'b': 1}}"
    )
    assert without(query) == "SELECT * FROM {batch} WHERE t > 0 AND n < 0 AND j = {'a': {'b': 1}}"


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("{{ asof }}", "unknown name 'asof' in '{{ asof }}'. Did you mean 'as_of'? Valid: 'as_of', 'day'"),
        ("{{ }}", "unknown name '' in '{{ }}'. Valid: 'as_of', 'day', 'last.rows'."),
        ("{{ 5 }}", "unknown name '5' in '{{ 5 }}'. Valid:"),
        ("{{ last.row }}", "unknown name 'last.row' in '{{ last.row }}'. Did you mean 'last.rows'?"),
        ("{{ as_of - 1 }}", "'- 1' in '{{ as_of - 1 }}': as_of takes a duration, as in as_of - 1d"),
        ("{{ as_of * 2d }}", "'* 2d' in '{{ as_of * 2d }}': as_of takes a duration, as in as_of - 1d"),
        ("{{ last.rows - 1d }}", "'- 1d' in '{{ last.rows - 1d }}': last.rows takes a number, as in last.rows * 0.5"),
        ("{{ as_of - 1x }}", "'- 1x' in '{{ as_of - 1x }}' is not understood: write {{ as_of - 1d }}"),
        ("{{ as_of 1d }}", "'1d' in '{{ as_of 1d }}' is not understood"),
        ("{{ last.rows % 2 }}", "'% 2' in '{{ last.rows % 2 }}' is not understood"),
        ("{{ last.rows / 0 }}", "'{{ last.rows / 0 }}' divides by zero"),
        ("{{ last.rows / 0.0 }}", "'{{ last.rows / 0.0 }}' divides by zero"),
        ("{{ day }} {{ day }}", "'}} {{ day' in '{{ day }} {{ day }}' is not understood"),
        ("{{ as_of - 99999999999d }}", "'- 99999999999d' in '{{ as_of - 99999999999d }}' is too long a time"),
        ("{{ as_of - 999999d }}", "'{{ as_of - 999999d }}' is beyond all times and numbers"),
        (f"{{{{ last.rows * {'9' * 400} }}}}", "is beyond all times and numbers"),
        (f"{{{{ last.rows / 0.{'0' * 400}1 }}}}", "divides by zero"),
        (f"{{{{ last.rows / 0.{'0' * 310}1 }}}}", "is beyond all times and numbers"),
    ],
)  # fmt: skip
def test_a_formula_that_cannot_be_meant_is_refused(formula: str, said: str) -> None:
    """Before the run, with what may stand there; at the run it would be a ValueError."""
    assert said in (problem(formula) or "")
    assert said in (problem({"a": ["x", formula]}) or "")
    with pytest.raises(ValueError, match=r".") as caught:
        filled(formula, KNOWN)
    assert said in str(caught.value)


def test_a_query_is_refused_for_any_of_its_formulas() -> None:
    """The second too."""
    assert "unknown name 'now'" in (query_problem("SELECT {{ day }}, {{ now }}") or "")


@pytest.mark.parametrize("value", ["x", "{{ day", "day }}", "{ day }", "at {{ day }}", 5, None, [], ["a"], {"a": 1.5}])
def test_what_is_no_formula_is_a_plain_value(value: Any) -> None:
    """Nothing is wrong with it, and nothing is filled in."""
    assert not is_formula(value)
    assert not holds_one(value)
    assert problem(value) is None
    assert filled(value, {}) == value


@pytest.mark.parametrize("value", ["{{ day }}", ["a", "{{ day }}"], {"a": {"b": ["{{ nothing }}"]}}])
def test_a_value_holds_a_formula_wherever_it_stands(value: Any) -> None:
    """Right or wrong."""
    assert holds_one(value)


def test_an_example_is_of_the_formulas_kind() -> None:
    """A moment as ISO text, or a whole number."""
    assert example_of("{{ as_of - 1d }}") == "2026-02-28T00:00:00+00:00"
    assert example_of("{{ last.rows * 0.5 }}") == 500


TEXTS = st.text(st.sampled_from("{} asofdyltrw.019+-*/x\n")) | st.text()
PIECES = st.sampled_from(
    [*NAMES, " ", "+", "-", "*", "/", "1", "0", "2.5", "9" * 30, "d", "w", "h", "m", "s", "{{", "}}", "٣"]
)


@given(TEXTS | st.lists(PIECES).map("".join), st.booleans())
@example("{{ last.rows * 9" + "9" * 400 + " - 1 }}", False)
def test_formulas_raise_nothing_but_two_errors(text: str, bare: bool) -> None:
    """A ValueError for what is wrong, a KeyError for what is not known; and `problem` knows of the first."""
    formula = text if bare else f"{{{{{text}}}}}"
    wrong, wrong_query = problem(formula), query_problem(formula)
    try:
        filled(formula, KNOWN)
    except ValueError as error:
        assert wrong == str(error)  # noqa: PT017  # only some raise
    else:
        assert wrong is None
    try:
        filled_query(formula, KNOWN)
    except ValueError:
        assert wrong_query is not None
    for fill in (filled, filled_query):
        try:
            fill(formula, {})
        except KeyError as error:
            assert error.args[0] in NAMES  # noqa: PT017
        except ValueError:
            pass


@pytest.mark.parametrize(
    "text", ["{{" * 200_000, "{{ as_of" + " " * 200_000, "{{ as_of - 1d" + "}" * 200_000, "{{ as_of" + " - 1d" * 20_000]
)
def test_a_long_text_is_looked_at_once(text: str) -> None:
    """No pattern makes it take forever."""
    start = time.monotonic()
    problem(text)
    query_problem(text)
    without(text)
    assert time.monotonic() - start < 5

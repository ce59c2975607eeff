"""Values a suite leaves open until the run: `{{ as_of - 1d }}`, `{{ last.rows * 0.5 }}`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ostinato.errors import suggest
from ostinato.tables import literal

NAMES = {
    "as_of": "the moment the run stands for",
    "day": "the UTC day on which the run began, 0:00",
    "last.rows": "how many rows of the table were left in the last run that succeeded",
}
_WHOLE = re.compile(r"\s*\{\{(.*)\}\}\s*", re.DOTALL)
_WITHIN = re.compile(r"\{\{([^{}]*)\}\}")
_TERM = re.compile(r"\s*(?P<op>[-+*/])\s*(?P<number>\d+(?:\.\d+)?)(?P<unit>[wdhms])?\b")
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}

Known = Mapping[str, datetime | int | None]
_EXAMPLES: Known = {
    "as_of": datetime(2026, 3, 1, tzinfo=UTC),
    "day": datetime(2026, 3, 1, tzinfo=UTC),
    "last.rows": 1000,
}


def is_formula(value: Any) -> bool:
    """Whether a value is nothing but a formula."""
    return isinstance(value, str) and _WHOLE.fullmatch(value) is not None


def holds_one(value: Any) -> bool:
    """Whether an argument is a formula, or holds one."""
    return bool(_texts(value))


def problem(value: Any) -> str | None:
    """What is wrong with the formulas in an argument, or None."""
    for text in _texts(value):
        try:
            _value(text, _EXAMPLES)
        except ValueError as error:
            return str(error)
    return None


def example(formula: str) -> int | str:
    """Something a formula may come to; a moment as ISO text."""
    value = filled(formula, _EXAMPLES)
    return value.isoformat() if isinstance(value, datetime) else int(value)


def filled(value: Any, known: Known) -> Any:
    """An argument with its formulas replaced by values.

    Raises:
        KeyError: with the name of something not known in this run, such as `last.rows` in the first one.
        ValueError: it is no formula, or is beyond all times and numbers.
    """
    if isinstance(value, Mapping):
        return {key: filled(part, known) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [filled(part, known) for part in value]
    if is_formula(value):
        return _value(str(_WHOLE.fullmatch(value)[1]), known)  # type: ignore[index]  # it matches
    return value


def filled_query(query: str, known: Known) -> str:
    """SQL with its formulas replaced by literals; the rest of the text stays as it is."""
    return _WITHIN.sub(lambda match: literal(_value(match[1], known)), query)


def without(query: str) -> str:
    """SQL with zeros for its formulas, to be read rather than run."""
    return _WITHIN.sub("0", query)


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in _texts(part)]
    if isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return [whole[1]]
    return []


def query_problem(query: str) -> str | None:
    """What is wrong with the formulas in a query, or None."""
    return problem([match[0] for match in _WITHIN.finditer(query)])


def _parsed(text: str) -> tuple[str, list[tuple[str, float | timedelta]]]:
    name = re.match(r"\s*([a-z_.]+)", text)
    if name is None or name[1] not in NAMES:
        said = text.strip() if name is None else name[1]
        raise ValueError(f"unknown name {said!r} in '{{{{{text}}}}}'. {suggest(said, NAMES)}")
    terms: list[tuple[str, float | timedelta]] = []
    at, is_number = name.end(), name[1] == "last.rows"
    while text[at:].strip():
        term = _TERM.match(text, at)
        if term is None:
            raise ValueError(f"{text[at:].strip()!r} in '{{{{{text}}}}}' is not understood: write {{{{ as_of - 1d }}}}")
        if is_number != (term["unit"] is None) or (term["unit"] and term["op"] in "*/"):
            wanted = "a number, as in last.rows * 0.5" if is_number else "a duration, as in as_of - 1d"
            raise ValueError(f"{term[0].strip()!r} in '{{{{{text}}}}}': {name[1]} takes {wanted}")
        amount = float(term["number"])
        if amount == 0 and term["op"] == "/":
            raise ValueError(f"'{{{{{text}}}}}' divides by zero")
        try:
            terms.append((term["op"], timedelta(**{_UNITS[term["unit"]]: amount}) if term["unit"] else amount))
        except OverflowError:
            raise ValueError(f"{term[0].strip()!r} in '{{{{{text}}}}}' is too long a time") from None
        at = term.end()
    return name[1], terms


def _value(text: str, known: Known) -> datetime | int:
    name, terms = _parsed(text)
    value: Any = known.get(name)
    if value is None:
        raise KeyError(name)
    try:
        for op, amount in terms:
            value = _OPERATORS[op](value, amount)
        return value if isinstance(value, datetime) else round(value)
    except (OverflowError, ValueError):
        raise ValueError(f"'{{{{{text}}}}}' is beyond all times and numbers") from None

"""Rules written once for tables of any names: `{user}` in them stands for what a table calls its users."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ostinato.tables import literal, quote

Names = Mapping[str, str | int | float | None]
_PLACE = re.compile(r"(?<!\{)\{(\w+(?:\|\w+)*)\}(?!\})")


def named(suite: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """A suite, as a mapping, with names put into its key and its rules.

    Rules that speak of one that stands for nothing (None) are left out. `{weight|time}` is the first of them that
    stands for something. In a query a text is a column, quoted; in a sentence it is taken as it is, and thousands are
    told apart. A value that is nothing but a place becomes what is put there, a number too. `{batch}` and formulas
    stay.
    """
    rules = [rule for rule in suite["expectations"] if None not in _put_in(rule, names)]
    spoken_of = {"expectations": rules, **{key: suite[key] for key in ("key",) if key in suite}}
    return {**suite, **_filled(spoken_of, names, query=False)}


def _put_in(value: Any, names: Names) -> Iterator[Any]:
    """All that is to be put into a rule."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _put_in(part, names)
    elif isinstance(value, str):
        yield from (_meant(hit[1], names) for hit in _PLACE.finditer(value) if _known(hit[1], names))


def _filled(value: Any, names: Names, *, query: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(part, names, query=key == "rows") for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, names, query=query) for part in value]
    if not isinstance(value, str):
        return value
    whole = _PLACE.fullmatch(value)
    if whole and not query and _known(whole[1], names):
        return _meant(whole[1], names)
    return _PLACE.sub(
        lambda hit: _spelled(_meant(hit[1], names), query) if _known(hit[1], names) else hit[0],
        value,
    )


def _known(place: str, names: Names) -> bool:
    return any(name in names for name in place.split("|"))


def _meant(place: str, names: Names) -> str | int | float | None:
    """What the first name of a place that stands for something stands for."""
    found = (names.get(name) for name in place.split("|"))
    return next((value for value in found if value is not None), None)


def _spelled(value: Any, query: bool) -> str:
    if not query:
        return f"{value:,}" if isinstance(value, int) else str(value)
    return quote(value) if isinstance(value, str) else literal(value)

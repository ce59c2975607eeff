"""The text of a suite: YAML 1.2, of whose values the lines are known, and which cannot grow beyond bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from numbers import Integral, Real
from typing import Any

_LARGEST = 1_000_000  # characters; what is longer is no suite
_MOST = 100_000  # values, once aliases are followed
_DEEPEST = 50
_TOO_MUCH = f"more than {_MOST:,} values; is it a suite?"


class NoSuite(ValueError):
    """A text or value that is no suite at all; `line` is where, if that is known."""

    def __init__(self, said: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(said)


def load(text: str) -> Any:
    """What a YAML text says, with places that `line_of` reads.

    Raises:
        NoSuite: it is no YAML, or too long.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
    from ruamel.yaml.error import MarkedYAMLError

    class Constructor(RoundTripConstructor):
        def construct_document(self, node: Any) -> Any:
            if _size(node, {}) > _MOST:  # before anything prints it: the parser's own messages may
                raise NoSuite(_TOO_MUCH)
            return super().construct_document(node)

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, TypeError) as error:  # 2026-13-45, say, is to have a line too
                said = f", in {node.value[:80]!r}" if isinstance(node.value, str) else ""
                raise ConstructorError(None, None, f"{error}{said}", node.start_mark) from None

    if len(text) > _LARGEST:
        raise NoSuite(f"{len(text):,} characters; a suite has at most {_LARGEST:,}")
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = Constructor
    try:
        return yaml.load(text)
    except NoSuite:
        raise
    except RecursionError:
        raise NoSuite("this is no YAML: it is nested too deeply") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise NoSuite(f"this is no YAML: {error.problem}", line) from None
    except Exception as error:  # what is not YAML at all makes its parser stumble in many ways
        raise NoSuite(f"this is no YAML: {str(error).split(chr(10))[0]}") from None


def _size(node: Any, known: dict[int, int]) -> int:
    """How many values a YAML node stands for, its aliases followed."""
    if id(node) not in known:
        known[id(node)] = _MOST  # what is met again within itself has no end
        inner = [] if isinstance(node.value, str) else node.value
        parts = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def check_size(value: Any) -> None:
    """Whether a value can be a suite: code may make one that is within itself.

    Raises:
        NoSuite: it is too large, or too deep.
    """
    left, seen = [(value, 1)], 0
    while left:
        part, depth = left.pop()
        seen += 1
        if depth > _DEEPEST:
            raise NoSuite(f"values within values, {_DEEPEST} deep; is it a suite?")
        if seen > _MOST:
            raise NoSuite(_TOO_MUCH)
        left += [(inner, depth + 1) for inner in _inside(part)]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple, set, frozenset)) else ()


def plain(value: Any) -> Any:
    """A value as plain Python; dates and times as ISO text."""
    if isinstance(value, Mapping):
        return {_whole(str(plain(key))): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Integral):
        return (
            bool(value) if type(value).__name__ == "ScalarBoolean" else int(value)
        )  # ruamel's, where it has an anchor
    if isinstance(value, Real):
        return float(value)
    return value.isoformat() if isinstance(value, date) else _whole(str(value))


def _whole(text: str) -> str:
    """A text in which JSON's pairs of escapes, such as `\\ud83d\\ude00`, are the one character they stand for."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def line_of(node: Any, key: Any) -> int | None:
    """The line of a key of a YAML mapping, or of an item of a YAML list, from 1."""
    places = getattr(getattr(node, "lc", None), "data", None) or {}
    place = next((place for known, place in places.items() if known == key or str(known) == key), None)
    return None if place is None else int(place[0]) + 1

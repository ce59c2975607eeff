"""YAML as a person would have written it: short lines, nothing quoted without need, nothing that reads as another."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

_WIDTH = 120
_PLAIN = re.compile(r"(?!(y|n|yes|no|on|off|true|false|null)$)[a-z_][a-z0-9_]*", re.IGNORECASE | re.ASCII)
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def entry(expectation: str, arguments: Any, options: Mapping[str, str]) -> Iterator[str]:
    """The lines of a rule."""
    line = f"  - {expectation}: {spelled(arguments)}"
    if len(line) <= _WIDTH or not isinstance(arguments, dict):
        yield line
    else:
        yield f"  - {expectation}:"
        for key, value in arguments.items():
            yield from _filled(f"      {key}: ", value)
    for key, value in options.items():
        yield f"    {key}: {value}"


def rule(said: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a rule given as a suite's YAML gives it: the expectation first, then its options."""
    (expectation, arguments), *options = said.items()
    yield from entry(expectation, arguments, {key: spelled(value) for key, value in options})


def suite_text(suite: Mapping[str, Any]) -> str:
    """The YAML text of a suite given as a mapping."""
    head = [f"{key}: {spelled(value)}" for key, value in suite.items() if key != "expectations"]
    rules = [line for said in suite["expectations"] for line in rule(said)]
    return "\n".join(["version: 1", *head, "expectations:", *rules]) + "\n"


def key_and_value(key: str, value: str, indent: str) -> str:
    """An entry of a mapping; a longer key must say that it is one."""
    name = spelled(key)
    return f"{indent}{name}: {value}" if len(name) < 1000 else f"{indent}? {name}\n{indent}: {value}"


def _filled(line: str, value: Any) -> Iterator[str]:
    """A key and its value, over many lines where one is too short."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    if len(whole := line + spelled(value)) <= _WIDTH or not isinstance(value, (list, Mapping)):
        yield whole
    elif isinstance(value, Mapping):
        yield line.rstrip()
        for key, part in value.items():
            yield from _filled(f"{indent}{key}: ", part)
    else:
        *items, last = map(spelled, value)
        line += "["
        for text in (*(f"{item}," for item in items), f"{last}]"):
            if len(line) + len(text) > _WIDTH:
                yield line.rstrip()
                line = indent
            line += f"{text} "
        yield line.rstrip()


def comment(text: str, indent: str = "") -> list[str]:
    """A comment of whole lines, whatever is in it."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_on_hyphens=False,
    )


def shown(name: str) -> str:
    """A column's name in a comment."""
    text = spelled(name)
    return text if len(text) <= 60 else f"{text[:59]}…"


def spelled(value: Any) -> str:
    """A value on one line, as every reader of YAML understands it."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{spelled(key)}: {spelled(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(spelled, value)) + "]"
    if isinstance(value, Decimal):
        if value == 0:
            return "0"
        return f"{value.normalize():f}" if -5 < value.adjusted() < 15 else f"{value:.1e}"
    return str(value)


def _quoted(text: str) -> str:
    """A text, plain only where nobody can take it for anything else."""
    if _PLAIN.fullmatch(text):
        return text
    if "\\" in text and "'" not in text and text.isprintable():  # patterns
        return f"'{text}'"
    return '"' + "".join(char if char.isprintable() and char not in _ESCAPED else _escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    return _ESCAPED.get(char) or f"\\U{ord(char):08x}"

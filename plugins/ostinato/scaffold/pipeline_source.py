"""A pipeline's Python source made a project's own: its name, and answers as defaults, put in by the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

PLACEHOLDER = "project_name"  # in the Python files of templates
_LINE = 120

_Place = tuple[int, int]  # a line from 1 and a byte in it from 0, as `ast` counts
_Edit = tuple[_Place, _Place, str]


def renamed(source: str, old: str, new: str) -> str:
    """Source with one name for another, wherever it stands as a word."""
    return re.sub(rf"\b{re.escape(old)}\b", new, source)


def names_in(source: str) -> set[str]:
    """What names stand for something in a module: variables, parameters, functions, classes, what is imported."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
    return found


def with_answers(source: str, name: str, defaults: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """The source of a pipeline with other defaults, and further options of `@pipeline`, laid out as formatters do.

    Args:
        name: the pipeline's function; where there is none of that name the source stays.
        defaults: by parameter, a value; a mapping stands for the arguments of the dataclass that is the default. What
            the function does not take is left out.
        options: by keyword of `@pipeline`.
    """
    function = next((node for node in _functions(source) if node.name == name and _decorator(node)), None)
    if function is None:
        return source
    edits = [_option_edit(source, function, options)] if options else []
    for parameter, default in _parameters(function):
        if parameter.arg in defaults:
            edits += _default_edit(parameter, default, defaults[parameter.arg])
    return _edited(source, edits)


def literal(value: Any) -> str:
    """A value as Python source, texts in double quotes unless that takes more backslashes."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    if not isinstance(value, str):
        return repr(value)
    signs = [sign[1:] if sign in ("\\'", '\\"') else sign for sign in re.findall(r"\\.|[^\\]", repr(value)[1:-1])]
    quote = "'" if signs.count('"') > signs.count("'") else '"'
    return quote + "".join(f"\\{sign}" if sign == quote else sign for sign in signs) + quote


def _functions(source: str) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def _decorator(function: ast.FunctionDef) -> ast.expr | None:
    found = (each for each in function.decorator_list if re.match(r"([\w.]+\.)?pipeline\b", ast.unparse(each)))
    return next(found, None)


def _parameters(function: ast.FunctionDef) -> list[tuple[ast.arg, ast.expr | None]]:
    """Each parameter with its default."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [*zip(plain, [*missing, *arguments.defaults], strict=True), *named]


def _option_edit(source: str, function: ast.FunctionDef, options: Mapping[str, str]) -> _Edit:
    decorator = _decorator(function)
    assert decorator is not None  # asked before
    call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
    first = [_segment(source, each) for each in call.args]
    kept = [
        f"{f'{each.arg}=' if each.arg else '**'}{_segment(source, each.value)}"
        for each in call.keywords
        if each.arg not in options
    ]
    given = [_keyword(key, value, indent=4) for key, value in options.items()]
    return *_span(decorator), _call(ast.unparse(call.func), [*first, *given, *kept], indent=0, before=1, after=0)


def _default_edit(parameter: ast.arg, default: ast.expr | None, value: Any) -> list[_Edit]:
    head = ast.unparse(parameter)
    if isinstance(value, Mapping):
        if not isinstance(default, ast.Call):
            return []
        members = [_keyword(key, each, indent=8) for key, each in value.items() if each is not None]
        return [(*_span(default), _call(ast.unparse(default.func), members, indent=4, before=len(head) + 7, after=1))]
    if default is not None:
        return [(*_span(default), literal(value))]
    end = _span(parameter)[1]
    return [(end, end, f" = {literal(value)}" if parameter.annotation else f"={literal(value)}")]


def _call(function: str, arguments: Sequence[str], *, indent: int, before: int, after: int) -> str:
    """A call on one line, or with an argument a line where it would be too long."""
    short = f"{function}({', '.join(arguments)})"
    if "\n" not in short and before + _width(short) + after <= _LINE:
        return short
    return f"{function}({_a_line_each(arguments, indent)})"


def _keyword(key: str, value: Any, *, indent: int) -> str:
    """An argument of a call; a list too long for a line has an entry a line."""
    short = f"{key}={literal(value)}"
    if not isinstance(value, (list, tuple)) or indent + _width(short) + 1 <= _LINE:
        return short
    return f"{key}=[{_a_line_each([literal(each) for each in value], indent)}]"


def _a_line_each(entries: Sequence[str], indent: int) -> str:
    pad = " " * indent
    return "\n" + "".join(f"{pad}    {entry},\n" for entry in entries) + pad


def _width(text: str) -> int:
    """In columns, as formatters count: some letters take two, accents that stand alone none."""
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _segment(source: str, node: ast.expr) -> str:
    return ast.get_source_segment(source, node) or ""


def _span(node: ast.expr | ast.arg) -> tuple[_Place, _Place]:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _edited(source: str, edits: Sequence[_Edit]) -> str:
    raw, starts = source.encode(), [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for (first, column), (last, end), text in sorted(edits, reverse=True):
        raw = raw[: starts[first - 1] + column] + text.encode() + raw[starts[last - 1] + end :]
    return raw.decode()

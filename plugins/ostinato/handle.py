"""A promise: what a step call returns while its pipeline is traced. Standard library only."""

from __future__ import annotations

import contextlib
import dataclasses
import linecache
import os
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, get_args, get_origin

from .artifacts import Artifact
from .errors import PipelineError, suggest

_HERE = {os.path.join(os.path.dirname(__file__), name) for name in ("handle.py", "graph.py", "tracing.py")}
_HERE.add(contextlib.__file__)  # stands between a `with` and `when`


def where() -> str:
    """`fraud.py:14: if verdict.passed:`, the line of the pipeline that is being traced."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in _HERE:
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(file, line).strip()
    return f"{os.path.basename(file)}:{line}: {source}\n  " if source else f"{os.path.basename(file)}:{line}: "


class Handle:
    """The result of a step, or a part of it, or a pipeline parameter: has a type, but no value yet.

    `owner` is a node's name, "" for the parameters; `path` leads from there to the part.
    """

    __slots__ = ("_owner", "_path", "_type")

    def __init__(self, owner: str, path: tuple[str | int, ...], type_: Any) -> None:
        self._owner, self._path, self._type = owner, path, type_

    def __getattr__(self, name: str) -> Handle:
        if name.startswith("__"):  # copy, pickle, inspect and the like ask for what they may do
            raise AttributeError(name)
        return Handle(self._owner, (*self._path, name), _attribute(self, name))

    def __getitem__(self, key: str | int) -> Handle:
        return Handle(self._owner, (*self._path, key), _item(self, key))

    def __iter__(self) -> Iterator[Handle]:
        parts = get_args(self._type) if get_origin(self._type) is tuple else ()
        if not parts or Ellipsis in parts:
            _refuse(self, 'Use "each(step, over=…)" instead of "for".')
        return (Handle(self._owner, (*self._path, index), part) for index, part in enumerate(parts))

    def __repr__(self) -> str:
        return f"<promise of {describe(self)}>"


def describe(handle: Handle) -> str:
    """`'evaluate'`, `'evaluate'.passed` or `the parameter 'source'`, for messages."""
    owner, path = handle._owner, handle._path
    if not owner:
        owner, path = str(path[0]), path[1:]
    name = repr(owner) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return name if handle._owner else f"the parameter {name}"


def _refuse(handle: Handle, advice: str) -> NoReturn:
    raise PipelineError(f"{where()}{describe(handle)} has no value yet: a pipeline is traced before it runs. {advice}")


_INSTEAD = {
    "__bool__": 'Use "with when(…):" instead of "if", "and", "or", "not".',
    "__len__": "Count inside a step.",
    "__contains__": 'Write what needs "in" inside a step.',
    "__format__": "Build the text inside a step and hand it the value.",
    "__str__": "Build the text inside a step and hand it the value.",
    "__call__": "Call it inside a step.",
    "__hash__": "Look it up inside a step.",  # else `source in {"a", "b"}` is silently false
}
_ARITHMETIC = (
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__ __rfloordiv__ __mod__ "
    "__rmod__ __pow__ __rpow__ __neg__ __pos__ __abs__ __invert__ __and__ __or__ __xor__ __lshift__ __rshift__ "
    "__float__ __int__ __index__ __complex__ __round__ __bytes__ __reversed__"
).split()
_COMPARISONS = "__eq__ __ne__ __lt__ __le__ __gt__ __ge__".split()


def _armour() -> None:
    """Without these an f-string is silently wrong, `in` compares promises, and `if` is always true."""

    def refuser(advice: str) -> Any:
        return lambda self, *_: _refuse(self, advice)

    for name, advice in _INSTEAD.items():
        setattr(Handle, name, refuser(advice))
    for name in _ARITHMETIC:
        setattr(Handle, name, refuser("Calculate inside a step."))
    for name in _COMPARISONS:
        setattr(Handle, name, refuser('Compare inside a step that returns the answer, then "with when(…):".'))


_armour()


def bare(annotation: Any) -> Any:
    """`X` of `X | None` and of `Annotated[X, …]`; anything else as it is."""
    if get_origin(annotation) is typing.Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (typing.Union, types.UnionType):
        sides = [side for side in get_args(annotation) if side is not type(None)]
        return sides[0] if len(sides) == 1 else Any
    return annotation


def _attribute(handle: Handle, name: str) -> Any:
    """The type of an attribute of a promised value; refuses names that its type does not have."""
    owner = bare(handle._type)
    if owner is Any or not isinstance(owner, type):
        return Any
    known = fields_of(owner)
    if name in known:
        return known[name]
    if callable(getattr(owner, name, None)):
        _refuse(handle, f"Call {name}() inside a step.")
    raise PipelineError(
        f"{where()}{describe(handle)} is a {owner.__name__} and has no {name!r}. {suggest(name, known)}"
    )


def _item(handle: Handle, key: str | int) -> Any:
    if not isinstance(key, (str, int)):
        _refuse(handle, "Look inside it in a step.")
    owner = bare(handle._type)
    origin, arguments = get_origin(owner), get_args(owner)
    if typing.is_typeddict(owner):
        hints = typing.get_type_hints(owner)
        if key not in hints:
            raise PipelineError(f"{where()}{describe(handle)} has no {key!r}. {suggest(str(key), hints)}")
        return hints[str(key)]
    if origin is tuple and isinstance(key, int) and Ellipsis not in arguments:
        if not -len(arguments) <= key < len(arguments):
            raise PipelineError(f"{where()}{describe(handle)} has {len(arguments)} parts, not one at {key}.")
        return arguments[key]
    if isinstance(origin, type) and issubclass(origin, (Mapping, Sequence)) and arguments:
        return next(kind for kind in reversed(arguments) if kind is not Ellipsis)  # tuple[int, ...] has one
    if owner in (Any, dict, list, tuple):
        return Any
    _refuse(handle, "Look inside it in a step.")


def fields_of(kind: type) -> dict[str, Any]:
    """The data attributes of a class a pipeline may name, with their types."""
    if issubclass(kind, Artifact):
        properties = {
            name: typing.get_type_hints(value.fget).get("return", Any)
            for base in reversed(kind.__mro__)
            for name, value in vars(base).items()
            if isinstance(value, property) and value.fget is not None
        }
        return {"uri": str, "digest": str, **properties}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields"):
        return typing.get_type_hints(kind)
    return {}

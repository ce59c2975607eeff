"""What Prefect makes of flow files, seen in the process that `flow_files` starts for it."""

from __future__ import annotations

import ast
import os
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def look(folder: str, files: Sequence[str], uses: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The flows of each file or its error, and the flow of each entrypoint with why it refuses the values for it.

    Prefect itself hides the error behind "Could not find object", and looks for entrypoints from `folder`.
    """
    os.chdir(folder)
    modules = {file: _loaded(file) for file in files}
    return {
        "files": {file: _flows(file, *modules[file]) for file in files},
        "entrypoints": [_entrypoint(place, values, modules) for place, values in uses],
    }


def _loaded(place: str) -> tuple[Any, BaseException | None]:
    """The module of a file or of a dotted name, as Prefect makes it, or what went wrong."""
    from prefect.exceptions import ScriptError
    from prefect.utilities.importtools import load_module, load_script_as_module

    try:
        return (load_script_as_module if place.endswith(".py") else load_module)(place), None
    except ScriptError as error:
        return None, error.user_exc
    except BaseException as error:  # a stranger's file may exit, too
        return None, error


def _flows(file: str, module: Any, error: BaseException | None) -> dict[str, Any]:
    from prefect import Flow

    if error is not None:
        return {"flows": {}, **_failure(error, file)}
    there = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    imported = _imported(file)
    return {"flows": {name: _described(flow) for name, flow in there.items() if name not in imported}}


def _imported(file: str) -> set[str]:
    """The names that a file has from elsewhere only; a flow made of an imported pipeline says that it is from there."""
    nodes = list(ast.walk(ast.parse(Path(file).read_bytes())))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for line in imports for alias in line.names} - bound


def _described(flow: Any) -> dict[str, Any]:
    called = getattr(flow.fn, "__qualname__", flow.fn.__name__)
    return {"name": flow.name, "function": called, "schema": flow.parameters.model_dump(mode="json")}


def _entrypoint(place: str, values: Mapping[str, Any], modules: Mapping[str, Any]) -> dict[str, Any]:
    """`file.py:flow`, `module:flow` or `module.flow`."""
    from prefect import Flow

    where, _, name = place.rpartition(":" if ":" in place else ".")
    file = str(Path(where).resolve()) if where.endswith(".py") else where
    module, error = modules[file] if file in modules else _loaded(file)
    if error is not None:
        return _failure(error, file)
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Flow):
        known = [key for key, value in vars(module).items() if isinstance(value, Flow)]
        return {"is": None if found is None else type(found).__name__, "known": known}
    at = [getattr(module, "__file__", None), name]
    return {"at": at, "flow": _described(found), "refused": _refused(found, values)}


def _refused(flow: Any, values: Mapping[str, Any]) -> list[str]:
    """What the flow says of values that it would get; others may come later, and unknown names are no matter here."""
    known = {name: value for name, value in values.items() if name in flow.parameters.properties}
    try:
        flow.validate_parameters(known)
    except Exception as error:  # its types may raise what they like
        said = [line.removeprefix(" - ") for line in str(error).split("\n") if line.startswith(" - ")]
        late = [f"{name}: Field required" for name in flow.parameters.required if name not in known]
        return [line for line in said or [str(error)] if line not in late]
    return []


def _failure(error: BaseException, file: str) -> dict[str, Any]:
    """The exception's own words, and the last line of the file that led to it."""
    said = "".join(traceback.format_exception_only(error)).strip()
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if isinstance(error, SyntaxError):
        said = said.rpartition("\n")[2]
        lines += [error.lineno] if error.filename == file else []
    return {"error": said, "line": lines[-1] if lines else None}

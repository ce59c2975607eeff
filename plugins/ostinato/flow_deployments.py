"""The deployments of a `prefect.yaml`: does the flow take what they, their schedules and their triggers give it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .errors import suggest
from .suites.text import plain

Problem = tuple[int | None, str]  # a line of the file, and what is wrong there
_KIND = "__prefect_kind"


class NotRead(Exception):
    """A file that is no `prefect.yaml` at all; `line` is where, if that is known."""

    def __init__(self, said: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(said)


@dataclass(frozen=True)
class Use:
    """A place that gives parameters to a flow: a deployment, or one of its schedules or triggers."""

    called: str
    entrypoint: str
    line: int | None
    parameters: Mapping[str, Any]
    part: bool = False  # of a deployment, which is a use of its own
    before: Mapping[str, Any] | None = None  # what the deployment gives already
    event: bool = False  # is there, to fill in templates
    starts: bool = False  # runs, without anybody who could fill in what is missing

    @property
    def settled(self) -> dict[str, Any]:
        """The values that are what they say, without those that come when it is deployed or an event happens."""
        return {name: plain(value) for name, value in self.parameters.items() if not _opens(plain(value))}


def read(file: Path) -> tuple[list[Use], list[Problem]]:
    """Each deployment, followed by its schedules and triggers, and what is wrong with their form.

    Raises:
        NotRead: it is no YAML, or no mapping.
    """
    given = _parsed(file)
    if not isinstance(given, Mapping):
        raise NotRead(f"a prefect.yaml is a mapping with `deployments:`, not {str(given)[:80]!r}")
    if not isinstance(given.get("deployments") or [], list):
        raise NotRead("deployments is a list", _line_of(given, "deployments"))
    uses: list[Use] = []
    misshapen: list[Problem] = []
    for place, deployment in _listed(given, "deployments"):
        line = _line_of(given["deployments"], place)
        if not isinstance(deployment, Mapping):
            misshapen.append((line, f"a deployment is a mapping, not {str(deployment)[:80]!r}"))
        elif not (entrypoint := deployment.get("entrypoint")):
            name = deployment.get("name") or f"deployment {place + 1}"
            misshapen.append((line, f"{name} names no flow: write `entrypoint: flows/file.py:flow`"))
        elif "{{" not in str(entrypoint):  # else only whoever deploys knows
            uses += _uses(deployment, str(entrypoint), place)
    return uses, misshapen


def problems(use: Use, schema: Mapping[str, Any], refused: Sequence[str]) -> Iterator[Problem]:
    """What of a use the flow or the server would refuse: names, values, and templates that give a text."""
    known, wrong = schema["properties"], set()
    for name, value in use.parameters.items():
        if name not in known:
            hint = suggest(str(name), known)
            yield _at(use, name, f"the flow has no parameter {name!r}; Prefect takes it, and every run fails. {hint}")
        for said in _unfit(name, plain(value), schema, event=use.event) if name in known else ():
            wrong.add(name)
            yield _at(use, name, said)
    for said in refused:
        name = re.split("[.:]", said)[0]
        if name not in wrong:
            yield _at(use, name, said)
    missing = [name for name in schema["required"] if name not in {**(use.before or {}), **use.parameters}]
    if use.starts and missing:
        yield use.line, f"{use.called}: starts runs without {', '.join(missing)}, and there is no default"


def _at(use: Use, name: str, said: str) -> Problem:
    return _line_of(use.parameters, name) or use.line, f"{use.called}: {said}"


class _Map(dict[Any, Any]):
    """A mapping of the file; `lines` are those of its keys."""

    lines: Mapping[Any, int] = MappingProxyType({})


class _List(list[Any]):
    """A list of the file; `lines` are those of its items."""

    lines: Mapping[Any, int] = MappingProxyType({})


def _line_of(given: Any, key: Any) -> int | None:
    return getattr(given, "lines", {}).get(key)


def _parsed(file: Path) -> Any:
    """What Prefect reads, with Prefect's reader: to it `on` is true, 1e-3 a text, and `n` a name."""
    import yaml

    def mapping(loader: Any, node: Any) -> _Map:
        found = _Map(loader.construct_mapping(node, deep=True))  # merges what is merged in
        found.lines = {loader.construct_object(key, deep=True): key.start_mark.line + 1 for key, _ in node.value}
        return found

    def sequence(loader: Any, node: Any) -> _List:
        found = _List(loader.construct_sequence(node, deep=True))
        found.lines = {place: item.start_mark.line + 1 for place, item in enumerate(node.value)}
        return found

    kind: Any = type("Loader", (yaml.SafeLoader,), {})
    kind.add_constructor("tag:yaml.org,2002:map", mapping)
    kind.add_constructor("tag:yaml.org,2002:seq", sequence)
    try:
        return yaml.load(file.read_text(encoding="utf-8"), kind)  # noqa: S506 -- it is a SafeLoader
    except OSError as error:
        raise NotRead(f"it cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        raise NotRead(f"this is no YAML: {error.problem}", error.problem_mark and error.problem_mark.line + 1) from None
    except Exception as error:  # what is not YAML at all makes its parser stumble in many ways
        raise NotRead(f"this is no YAML: {str(error).split(chr(10))[0]}") from None


def _uses(deployment: Mapping[str, Any], entrypoint: str, place: int) -> Iterator[Use]:
    name = deployment.get("name") or f"deployment {place + 1}"
    own = _mapping(deployment, "parameters")
    yield Use(str(name), entrypoint, _line_of(deployment, "entrypoint"), own)
    for key, event in (("schedules", False), ("triggers", True)):
        for at, entry in _listed(deployment, key):
            if isinstance(entry, Mapping):
                called = entry.get("name") or entry.get("slug") or at + 1
                line, given = _line_of(deployment[key], at), _mapping(entry, "parameters")
                starts = entry.get("active", entry.get("enabled", True)) is not False
                yield Use(f"{name}, {key[:-1]} {called}", entrypoint, line, given, True, own, event, starts)


def _listed(given: Mapping[str, Any], key: str) -> list[tuple[int, Any]]:
    return list(enumerate(given[key])) if isinstance(given.get(key), list) else []


def _mapping(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return given[key] if isinstance(given.get(key), Mapping) else {}


# --- values and templates ---------------------------------------------------------------------------------------------


class _Text(str):
    """What a template gives that can give nothing but a text; for what it is worth, the template itself."""

    __slots__ = ()


class _Open(Exception):
    """What a value will be is not in the file."""


def _opens(value: Any) -> bool:
    try:
        _filled(value, event=False)
    except _Open:
        return True
    return False


def _unfit(name: str, value: Any, schema: Mapping[str, Any], *, event: bool) -> Iterator[str]:
    """Why the server refuses a parameter's value; it judges by the schema."""
    from jsonschema import Draft202012Validator

    try:
        filled = _filled(value, event)
    except _Open:
        return
    for error in Draft202012Validator({**schema, "required": []}).iter_errors({name: filled}):
        path = ".".join(map(str, error.absolute_path))
        if not isinstance(error.instance, _Text):
            yield f"{path}: {error.message}"
        elif _by_type(error):
            yield f"{path}: {_text_only(error.instance)}"


def _by_type(error: Any) -> bool:
    """Whether no text would do, rather than not this one."""
    return error.validator == "type" or (bool(error.context) and all(map(_by_type, error.context)))


def _text_only(template: str) -> str:
    inner = re.fullmatch(r"\s*\{\{(.*?)(\|\s*tojson\s*)?\}\}\s*", template)
    form = f"{{{{ {inner[1].strip() if inner else '…'} | tojson }}}}"
    return (
        f"{template!r} gives a text, which the flow does not take: the server would refuse each run (409), and only "
        f'its log would tell. Write {{{_KIND}: json, value: {{{_KIND}: jinja, template: "{form}"}}}}'
    )


def _filled(value: Any, event: bool) -> Any:
    """The value with its templates as `_Text`.

    Raises:
        _Open: what it will be is not in the file.
    """
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        if event and _always_text(value):
            return _Text(value)
        raise _Open
    if isinstance(value, Mapping):
        if event and value.get(_KIND) == "jinja":
            return _Text(value.get("template", ""))
        if _KIND in value or "$ref" in value:
            raise _Open
        return {key: _filled(part, event) for key, part in value.items()}
    return [_filled(part, event) for part in value] if isinstance(value, list) else value


def _always_text(template: str) -> bool:
    """Prefect keeps the type of what is one expression alone, unless that makes JSON of it by itself."""
    alone = re.fullmatch(r"\s*\{\{((?!\{\{).)*\}\}\s*", template, re.DOTALL)
    return alone is None or re.search(r"\|\s*tojson\s*\}\}\s*$", template) is not None

"""What a template asks and a person answers: read from the command line, checked, kept in the project."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ostinato.errors import ParameterError, suggest
from ostinato.scrubbing import is_secret

ENGINES = ("airflow", "prefect", "both", "neither")
COLUMNS = "columns"
# Their answers; a template may ask for more.
KEYS = ("name", "engine", "source", COLUMNS, "schedule", "slack", "owner")
_TEXTS = frozenset(KEYS) - {COLUMNS}

_FIELD = r"[\w*/,?#-]+"
_SCHEDULE = re.compile(rf"@(hourly|daily|weekly|monthly|quarterly|yearly)|{_FIELD}( +{_FIELD}){{4}}")
_CHANNEL = re.compile(r"[#@]?[\w.-]{1,80}")
# Line breaks and their like; also halves of characters, of which no file can be made.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def parsed(given: Sequence[str]) -> dict[str, Any]:
    """The answers of `-a key=value`; `columns.card=cc_num` are gathered under `columns`.

    Raises:
        ParameterError: no key, no `=`, or the same key twice.
    """
    answers: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ParameterError(f"-a {text!r} lacks a key or a value: write -a key=value.")
        group, dot, role = key.partition(".")
        place = answers.setdefault(COLUMNS, {}) if dot and group == COLUMNS else answers
        name = role if place is not answers else key
        if not name:
            raise ParameterError(f"-a {text!r} lacks a role: write -a columns.ROLE=NAME.")
        if name in place or name == COLUMNS:
            raise ParameterError(
                f"-a {key} is given twice." if name in place else "Name columns one by one: -a columns.ROLE=NAME."
            )
        place[name] = value
    return answers


def checked(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Answers as they may stand in files, the channel of Slack with its `#`.

    Raises:
        ParameterError: one of them is not of its kind, or holds a line break or another control character.
    """
    found = dict(answers)
    for key, value in found.items():
        _refuse_control_characters(key, value)
        if key in _TEXTS and not isinstance(value, str):
            raise ParameterError(f"{key}={value!r} is no text.")
    if "name" in found:
        refuse_name(found["name"])
    if found.get("engine", ENGINES[0]) not in ENGINES:
        raise ParameterError(f"There is no engine {found['engine']!r}. {suggest(found['engine'], ENGINES)}")
    if (schedule := found.get("schedule")) and not _SCHEDULE.fullmatch(schedule):
        raise ParameterError(f'schedule={schedule!r} is no cron line: write five fields ("0 5 * * *") or "@daily".')
    if (source := found.get("source", "")) != without_password(source):
        raise ParameterError(
            f"source={without_password(source)!r} holds a password, which would stand in code: leave it out, and keep "
            "the whole address in the environment (see .env.example)."
        )
    if channel := found.get("slack"):
        if not _CHANNEL.fullmatch(channel):
            raise ParameterError(f"slack={channel!r} is no channel: write a name such as #ml-ops.")
        found["slack"] = channel if channel[0] in "#@" else f"#{channel}"
    return found


def without_password(source: str) -> str:
    """The address of a table without what is secret in it."""
    address = re.sub(r"(://[^:/@]*):[^@]*@(?:[^/@?]*@)*", r"\1@", source)
    place, mark, query = address.partition("?")
    kept = [part for part in query.split("&") if not ("://" in place and is_secret(part.partition("=")[0]))]
    return f"{place}{mark if kept else ''}{'&'.join(kept)}"


def refuse_name(name: str) -> None:
    """A project's name is that of its package, function, DAG and model.

    Raises:
        ParameterError: it is no such name, or would hide a module of Python's.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise ParameterError(
            f"name={name!r} cannot name a Python package: write small letters, digits and _, a letter first, "
            f"such as {named_after(name)!r}, 40 of them at most."
        )
    if _is_taken(name):
        raise ParameterError(
            f"name={name!r} is that of a module or folder, which the project would hide: choose another, "
            f"such as -a name={named_after(name)}."
        )


_TAKEN = frozenset(
    """
    airflow alembic copier dags data dist duckdb flows fsspec great_expectations implicit jsonschema lightgbm
    matplotlib mlflow mypy numpy optuna ostinato pandas pipeline prefect project_name pyarrow pydantic pytest rich ruff
    scipy sklearn skops slack_sdk sqlalchemy tests typer yaml
    """.split()
)


def columns_of(usual: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The column of each role: the usual one, where no other was chosen; an empty answer is none.

    Raises:
        ParameterError: a role that the template does not speak of, or no column for one that it needs.
    """
    found = dict(usual)
    for role, name in chosen.items():
        if role not in usual:
            raise ParameterError(f"There is no column for {role!r} in this template. {suggest(role, usual)}")
        if not name and usual[role]:
            raise ParameterError(f"columns.{role} is empty: the template needs that column.")
        several = isinstance(usual[role], list) and isinstance(name, str)
        found[role] = [part.strip() for part in name.split(",")] if several else name or None
    return found


def named_after(folder: str) -> str:
    """The name of a project in a folder, one that `refuse_name` accepts: `Card Fraud-2` gives `card_fraud_2`."""
    name = re.sub(r"\W+|_+", "_", folder, flags=re.ASCII).strip("_").lower()
    if not name or not name[0].isalpha():
        name = f"project_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or _is_taken(name) else name[:40].rstrip("_")


def _is_taken(name: str) -> bool:
    return name in sys.stdlib_module_names or name in _TAKEN


def is_unwritable(text: str) -> bool:
    """Whether a text holds what could end a line in a file, or has no place in one."""
    return _CONTROL.search(text) is not None


def _refuse_control_characters(key: str, value: Any) -> None:
    """What could end a line in a file ends nothing but the command."""
    if isinstance(value, Mapping):
        for role, part in value.items():
            _refuse_control_characters(f"{key}.{role}", part)
    elif isinstance(value, list):
        for part in value:
            _refuse_control_characters(key, part)
    elif isinstance(value, str) and is_unwritable(value):
        raise ParameterError(f"{key}={value!r} holds a line break or another control character: leave it out.")

"""Read a suite from YAML, or from a mapping of the same shape, and say all that is wrong with it, with lines."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from ostinato.errors import UsageError, suggest
from ostinato.workspace import is_remote, local_path, read_text

from .arguments import spread, taken, wrong_value
from .expectations import PREFIX, ROWS, Expectation, expectations
from .families import FAMILIES
from .suite import FOREIGN_KEY, SEVERITIES, Rule, Severity, Suite

VERSION = 1
FOLDERS = "OSTINATO_SUITES"
ENDINGS = (".yaml", ".yml")
_KEYS = ("version", "dataset", "key", "max_quarantine", "sensitive", "columns", "tables", "expectations")
_OPTIONS = ("severity", "on_fail", "name", "why")
_LARGEST = 1_000_000  # characters; what is longer is no suite
_MOST_VALUES = 100_000  # of a suite once its aliases are followed


class SuiteError(UsageError):
    """A suite that cannot be used; `problems` are all of them, each with its place."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def find_suite(name: str) -> str:
    """The file behind a suite's path, or behind a name: `NAME.yaml` in a folder of `OSTINATO_SUITES` or in `suites/`.

    Raises:
        SuiteError: no such file, with where it was looked for and what is there.
    """
    if name.endswith(ENDINGS):
        if is_remote(name) or local_path(name).is_file():
            return name
        raise SuiteError([f"There is no suite {name}. {_near(local_path(name).parent, local_path(name).name)}"])
    folders = [Path(part) for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part] + [Path("suites")]
    for folder in folders:
        for ending in ENDINGS:
            if (found := folder / f"{name}{ending}").is_file():
                return str(found)
    looked = ", ".join(str(folder) for folder in folders)
    raise SuiteError([f"There is no suite {name!r} in {looked} (nor a file of that path). {_near(folders[0], name)}"])


def _near(folder: Path, name: str) -> str:
    there = sorted(file.name for ending in ENDINGS for file in folder.glob(f"*{ending}")) if folder.is_dir() else []
    return suggest(name, there, most=10) if there else f"There are no suites in {folder.absolute()}."


def read_suite(given: str | Mapping[str, Any]) -> Suite:
    """A suite by path or name (see `find_suite`), or from a mapping.

    Raises:
        SuiteError: whatever is wrong with it, all at once.
    """
    if not isinstance(given, str):
        return _Reading("").suite(given)
    place = find_suite(given)
    try:
        return parse_suite(read_text(place), place)
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError([f"{place} cannot be read: {error}"]) from error


def parse_suite(text: str, source: str = "") -> Suite:
    """A suite from the text of its file."""
    return _Reading(source).suite(_yaml(text, source or "the suite"))


def _yaml(text: str, source: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > _LARGEST:
        raise SuiteError([f"{source} has {len(text):,} characters; a suite has at most {_LARGEST:,}."])
    try:
        return YAML(typ="rt", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}" if mark else source
        said = str(getattr(error, "problem", None) or error).split("\n")[0]
        raise SuiteError([f"{place}: this is no YAML: {said}"]) from None
    except (ValueError, RecursionError) as error:
        raise SuiteError([f"{source}: this is no YAML: {error or 'nested too deeply'}"]) from None


class _Reading:
    """One reading of one suite: it goes on after a problem, so that a person sees all of them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[tuple[int, str]] = []
        self.values = 0

    def suite(self, given: Any) -> Suite:
        if not isinstance(given, Mapping):
            raise SuiteError([f"{self._at(None)}a suite is a mapping with `expectations:`, not {_named(given)}."])
        self._version(given)
        for key in given:
            if key not in _KEYS:
                self._wrong(_line(given, key), f"unknown key {key!r}. {suggest(str(key), _KEYS)}")
        found = Suite(
            name=self._text(given, "dataset", Path(self.source).stem or "table"),
            rules=tuple(self._rules(given)),
            source=self.source,
            key=tuple(self._names(given, "key")),
            columns=self._columns(given),
            tables=self._tables(given),
            sensitive=frozenset(self._names(given, "sensitive")),
            max_quarantine=self._share(given),
        )
        if self.found:
            raise SuiteError(message for _, message in sorted(self.found, key=lambda pair: pair[0]))
        return found

    def _version(self, given: Mapping[str, Any]) -> None:
        version = given.get("version", VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            self._wrong(_line(given, "version"), f"version is {version!r}; it is a whole number, {VERSION} today.")
        elif version > VERSION:  # nothing else in it can be trusted to mean what it seems to
            at = self._at(_line(given, "version"))
            raise SuiteError(
                [f"{at}this suite is of format {version}; this ostinato reads {VERSION}. Upgrade ostinato."]
            )

    def _at(self, line: int | None) -> str:
        return f"{self.source}:{line}: " if self.source and line else f"{self.source}: " if self.source else ""

    def _wrong(self, line: int | None, message: str) -> None:
        self.found.append((line or 0, self._at(line) + message))

    def _plain(self, value: Any) -> Any:
        """A YAML value as plain Python; times as ISO text."""
        self.values += 1
        if self.values > _MOST_VALUES:
            raise SuiteError([f"{self._at(None)}more than {_MOST_VALUES:,} values; is it a suite?"])
        if isinstance(value, Mapping):
            return {str(key): self._plain(part) for key, part in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._plain(part) for part in value]
        if isinstance(value, bool) or value is None:
            return value
        for kind in (int, float, str):
            if isinstance(value, kind):
                return kind(value)
        return value.isoformat() if isinstance(value, date) else str(value)

    # what stands at the top

    def _text(self, given: Mapping[str, Any], key: str, default: str) -> str:
        value = given.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self._wrong(_line(given, key), f"{key} is {value!r}; it is a text.")
            return default
        return str(value)

    def _names(self, given: Mapping[str, Any], key: str) -> list[str]:
        value = self._plain(given.get(key) or [])
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._wrong(_line(given, key), f"{key} is a column's name or a list of them, not {value!r}.")
            return []
        return names

    def _columns(self, given: Mapping[str, Any]) -> dict[str, str]:
        columns = self._mapping(given, "columns", "a mapping from column to family of types")
        for name, kind in columns.items():
            if kind not in FAMILIES:
                line = _line(given["columns"], name)
                self._wrong(line, f"column {name!r}: unknown family {kind!r}. {suggest(str(kind), FAMILIES)}")
        return columns

    def _tables(self, given: Mapping[str, Any]) -> dict[str, str]:
        tables = self._mapping(given, "tables", "a mapping from name to file, database or URL")
        folder = Path(self.source).parent
        for name, place in tables.items():
            if not re.fullmatch(r"[A-Za-z_]\w*", name) or name == "batch":
                self._wrong(_line(given["tables"], name), f"table {name!r}: a name in SQL is letters, digits and _.")
            elif not isinstance(place, str) or not place:
                self._wrong(_line(given["tables"], name), f"table {name!r} is {place!r}; name a file, database or URL.")
            elif "://" not in place and self.source and not is_remote(self.source):
                tables[name] = str(folder / place)  # files lie beside the suite
        return tables

    def _mapping(self, given: Mapping[str, Any], key: str, what: str) -> dict[str, Any]:
        value = given.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._wrong(_line(given, key), f"{key} is {what}, not {_named(value)}.")
            return {}
        plain: dict[str, Any] = self._plain(value)
        return plain

    def _share(self, given: Mapping[str, Any]) -> float:
        value = self._plain(given.get("max_quarantine", Suite.max_quarantine))
        try:
            percent = isinstance(value, str) and value.rstrip().endswith("%")
            share = float(value.rstrip().rstrip("%")) / 100 if percent else float(value)
        except (TypeError, ValueError):
            share = math.nan
        if isinstance(value, bool) or not 0 <= share <= 1:
            self._wrong(
                _line(given, "max_quarantine"), f"max_quarantine is {value!r}; it is a share, such as 0.01 or 1%."
            )
            return Suite.max_quarantine
        return share

    # rules

    def _rules(self, given: Mapping[str, Any]) -> list[Rule]:
        entries = given.get("expectations")
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            said = "is empty" if not entries else f"is {_named(entries)}, not a list"
            self._wrong(_line(given, "expectations"), f"expectations {said}: a suite without a rule checks nothing.")
            return []
        rules: list[Rule] = []
        for place, entry in enumerate(entries):
            line = _line(entry, next(iter(entry), None)) if isinstance(entry, Mapping) else _line(entries, place)
            rules += self._entry(entry, line)
        self._distinct(rules)
        return rules

    def _entry(self, entry: Any, line: int | None) -> list[Rule]:
        if not isinstance(entry, Mapping):
            self._wrong(line, f"a rule is `expectation: arguments`, not {str(entry)[:80]!r}.")
            return []
        said = {str(key): key for key in entry}
        named = [key for key in said if key not in _OPTIONS]
        if len(named) != 1:
            what = (
                f"names {len(named)} expectations ({', '.join(map(repr, named))})" if named else "names no expectation"
            )
            unknown = [key for key in named[1:] if self._known(key) is None]
            near = f" {suggest(unknown[0], _OPTIONS)}" if unknown else ""
            self._wrong(line, f"this rule {what}; each has one, and may have {', '.join(_OPTIONS)}.{near}")
            return []
        name = named[0]
        options = {key: self._plain(entry[said[key]]) for key in said if key in _OPTIONS}
        arguments = self._plain(entry[said[name]])
        before = len(self.found)
        rules = self._rule(name, arguments, options, line)
        if not rules and len(self.found) == before:
            self._wrong(line, f"{name} names no column.")
        return rules

    def _known(self, name: str) -> Expectation | None:
        return expectations().get(name.removeprefix(PREFIX)) or (expectations()[ROWS] if name == "rows" else None)

    def _rule(self, name: str, arguments: Any, options: Mapping[str, Any], line: int | None) -> list[Rule]:
        if name == FOREIGN_KEY:
            made = self._foreign_key(arguments, line)
            return [self._with_options(made, options, name, line)] if made else []
        known = self._known(name)
        if known is None:
            valid = [*expectations(), "rows", FOREIGN_KEY]
            self._wrong(line, f"there is no expectation {name!r}. {suggest(name.removeprefix(PREFIX), valid, most=0)}")
            return []
        if not known.sql:
            self._wrong(line, f"{name}: {known.description}")
            return []
        spelled = spread(known, arguments)
        if spelled is None:
            self._wrong(line, f"{name} takes {taken(known)}, not {str(arguments)[:80]!r}.")
            return []
        rules = []
        for one in spelled:
            if self._arguments(known, name, one, line):
                what = "rows" if known.type == ROWS else ", ".join(_columns_of(one))
                rule = Rule(f"{known.name}: {what}" if what else known.name, known.type, one, line=line)
                rules.append(self._with_options(rule, options, name, line, known))
        return rules

    def _arguments(self, known: Expectation, name: str, given: Mapping[str, Any], line: int | None) -> bool:
        before = len(self.found)
        for key in given:
            if key not in known.arguments:
                self._wrong(line, f"{name} has no argument {key!r}. {suggest(key, known.arguments)}")
        for key in sorted(known.required - given.keys()):
            self._wrong(line, f"{name} lacks {key!r}; it takes {taken(known)}.")
        for key, value in given.items():
            if key in known.arguments:
                for message in wrong_value(known, key, value):
                    self._wrong(line, f"{name}: {key} is {_short(value)}: {message}")
        low, high = given.get("min_value"), given.get("max_value")
        if {"min_value", "max_value"} <= known.arguments.keys() and low is None and high is None:
            self._wrong(line, f"{name} needs min_value, max_value or both.")
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
            self._wrong(line, f"{name}: min_value {low} is greater than max_value {high}.")
        return len(self.found) == before

    def _foreign_key(self, given: Any, line: int | None) -> Rule | None:
        wanted = ("column", "table", "to")
        if not isinstance(given, Mapping) or not {"column", "table"} <= given.keys() or not given.keys() <= set(wanted):
            self._wrong(line, f"foreign_key takes {{column: …, table: …, to: …}}, not {str(given)[:80]!r}.")
            return None
        if not all(isinstance(value, str) and value for value in given.values()):
            self._wrong(line, f"foreign_key takes names, not {str(given)[:80]!r}.")
            return None
        arguments = {"to": given["column"], **given}
        return Rule(f"{FOREIGN_KEY}: {given['column']}", FOREIGN_KEY, arguments, line=line)

    def _with_options(
        self, rule: Rule, options: Mapping[str, Any], name: str, line: int | None, known: Expectation | None = None
    ) -> Rule:
        severity = options.get("severity", "critical")
        if severity not in SEVERITIES:
            self._wrong(line, f"{name}: unknown severity {severity!r}. {suggest(str(severity), SEVERITIES)}")
            severity = "critical"
        rows_judged = known is None or known.rows_judged or known.type == ROWS
        quarantine = "on_fail" in options
        if quarantine and options["on_fail"] != "quarantine":
            said = options["on_fail"]
            self._wrong(
                line, f"{name}: on_fail is {said!r}; it may be quarantine. Severity decides whether a run stops."
            )
        elif quarantine and (reason := _cannot_set_aside(rule, rows_judged)):
            self._wrong(line, f"{name} cannot quarantine: {reason}")
        chosen = options.get("name", rule.name)
        for key, value in (("name", chosen), ("why", options.get("why", ""))):
            if not isinstance(value, str) or (key == "name" and not value.strip()):
                self._wrong(line, f"{name}: {key} is {value!r}; it is a text.")
        return replace(
            rule,
            name=str(chosen),
            severity=_severity(severity),
            rows_judged=rows_judged,
            quarantine=quarantine,
            why=str(options.get("why", "")),
        )

    def _distinct(self, rules: list[Rule]) -> None:
        """Give rules that are called alike numbers."""
        seen: dict[str, int] = {}
        for place, rule in enumerate(rules):
            seen[rule.name] = number = seen.get(rule.name, 0) + 1
            if number > 1:
                rules[place] = replace(rule, name=f"{rule.name} ({number})")


def _severity(text: str) -> Severity:
    return next(known for known in SEVERITIES if known == text)


def _line(node: Any, key: Any) -> int | None:
    """The line of a key of a YAML mapping, or of an item of a YAML list, from 1."""
    places = getattr(getattr(node, "lc", None), "data", None) or {}
    place = places.get(key)
    return None if place is None else int(place[0]) + 1


def _named(value: Any) -> str:
    return "empty" if value is None else f"{str(value)[:80]!r}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _columns_of(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(column) for column in Rule("", "", arguments).columns)


def _cannot_set_aside(rule: Rule, rows_judged: bool) -> str | None:
    """Why rows that break a rule cannot be told from the others, or None."""
    from .predicates import can_split

    if not rows_judged:
        return "it judges the table as a whole, not row by row."
    if rule.arguments.get("row_condition") is not None:
        return "it has a row_condition; write it as `rows:`."
    if rule.type == ROWS and not re.match(r"\s*select\s+\*\s+from\b", rule.arguments["unexpected_rows_query"], re.I):
        return "its query must begin with SELECT * FROM {batch}."
    return None if can_split(rule) else "whether a row meets it depends on the other rows."

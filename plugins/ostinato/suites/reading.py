"""Read a suite from YAML, or from a mapping of the same shape, and say all that is wrong with it, with lines."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from ostinato.errors import ConfigurationError, UsageError, is_transient, suggest
from ostinato.workspace import is_remote, local_path, read_text

from .arguments import BOUNDS, needs_a_bound, spread, taken, wrong_bounds, wrong_value
from .expectations import NOT_IN_SQL, PREFIX, ROWS, Expectation, expectations
from .families import FAMILIES
from .suite import FOREIGN_KEY, SEVERITIES, Rule, Severity, Suite, folder_of
from .text import NoSuite, check_size, line_of, load, plain

VERSION = 1
FOLDERS = "OSTINATO_SUITES"
ENDINGS = (".yaml", ".yml")
KEYS = ("version", "dataset", "key", "max_quarantine", "sensitive", "columns", "tables", "expectations")
OPTIONS = ("severity", "on_fail", "name", "why")
PERCENT = r"\s*(100(\.0+)?|\d{1,2}(\.\d+)?)\s*%\s*"
TABLE = r"(?![Bb][Aa][Tt][Cc][Hh]$)[A-Za-z_][A-Za-z0-9_]*"  # a name in SQL; `batch` is the table itself

_IN_PACKAGE = re.compile(r"(?P<package>[A-Za-z_]\w*(\.\w+)*):(?P<file>[\w-]+\.\w+)")
_OF_BATCH = r"\s*select\s+\*\s+from\s+\{batch\}"


class SuiteError(UsageError):
    """A suite that cannot be used; `problems` are all of them, each with its place."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def find_suite(name: str) -> str:
    """The file behind a suite's path, or behind a name: `NAME.yaml` in a folder of `OSTINATO_SUITES` or in `suites/`.

    `package:file.yaml` is a file of a Python package, the same from any folder.

    Raises:
        SuiteError: no such file, with where it was looked for and what is there.
    """
    if name.endswith(ENDINGS) and (inside := _IN_PACKAGE.fullmatch(name)):
        return _find_in_package(inside["package"], inside["file"])
    if name.endswith(ENDINGS):
        if is_remote(name) or os.path.isfile(local_path(name)):
            return name
        folder = local_path(name).parent
        raise SuiteError([f"There is no suite {name}. {_near(local_path(name).name, [folder], whole=True)}"])
    folders = [Path(part) for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part] + [Path("suites")]
    for folder in folders:
        for ending in ENDINGS:
            if os.path.isfile(found := folder / f"{name}{ending}"):  # no error for a name that no file can have
                return str(found)
    looked = ", ".join(str(folder) for folder in folders)
    near = _near(name, folders, whole=False)
    raise SuiteError([f"There is no suite {name!r} in {looked}; a path ends in .yaml or .yml. {near}"])


def _find_in_package(package: str, file: str) -> str:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # of a package above it
        spec = None
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    if not folders:
        raise SuiteError([f"There is no Python package {package!r} to be imported here, so no suite {package}:{file}."])
    for folder in folders:
        if (folder / file).is_file():
            return str(folder / file)
    raise SuiteError([f"The package {package} has no suite {file}. {_near(file, folders, whole=True)}"])


def _near(name: str, folders: Iterable[Path], *, whole: bool) -> str:
    there = [file for folder in folders for ending in ENDINGS for file in folder.glob(f"*{ending}") if file.is_file()]
    names = sorted(file.name if whole else file.stem for file in there)
    return suggest(name, names, most=10) if names else "There are no suites there."


def read_suite(given: str | Mapping[str, Any]) -> Suite:
    """A suite by path or name (see `find_suite`), or from a mapping.

    Raises:
        SuiteError: whatever is wrong with it, all at once.
    """
    if not isinstance(given, str):
        return _read(lambda: given, "")
    place = find_suite(given)
    try:
        text = read_text(place)
    except (OSError, UnicodeDecodeError, ConfigurationError) as error:
        if is_transient(error):
            raise
        said = (isinstance(error, OSError) and error.strerror) or error
        raise SuiteError([f"{place}: it cannot be read: {said}"]) from error
    return parse_suite(text, place)


def parse_suite(text: str, source: str = "") -> Suite:
    """A suite from the text of its file."""
    return _read(lambda: load(text), source)


def _read(given: Callable[[], Any], source: str) -> Suite:
    reading = _Reading(source)
    try:
        check_size(value := given())
    except NoSuite as error:
        raise SuiteError([f"{reading.at(error.line)}{error}"]) from None
    return reading.suite(value)


class _Reading:
    """One reading of one suite: it goes on after a problem, so that a person sees all of them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[tuple[int, str]] = []
        self.tables: Mapping[str, str] = {}

    def suite(self, given: Any) -> Suite:
        if not isinstance(given, Mapping):
            raise SuiteError([f"{self.at(None)}a suite is a mapping with `expectations:`, not {_named(given)}."])
        self._version(given)
        for key in given:
            if key not in KEYS:
                self._wrong(line_of(given, key), f"unknown key {key!r}. {suggest(str(key), KEYS)}")
        self.tables = self._tables(given)
        found = Suite(
            name=self._text(given, "dataset", Path(self.source).stem or "table"),
            rules=tuple(self._rules(given)),
            source=self.source,
            key=tuple(self._names(given, "key")),
            columns=self._columns(given),
            tables=self.tables,
            sensitive=frozenset(self._names(given, "sensitive")),
            max_quarantine=self._share(given),
        )
        if self.found:
            raise SuiteError(message for _, message in sorted(self.found, key=lambda pair: pair[0]))
        return found

    def _version(self, given: Mapping[str, Any]) -> None:
        version = given.get("version", VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            self._wrong(line_of(given, "version"), f"version is {version!r}; it is a whole number, {VERSION} today.")
        elif version > VERSION:  # nothing else in it can be trusted to mean what it seems to
            at = self.at(line_of(given, "version"))
            raise SuiteError(
                [f"{at}this suite is of format {version}; this ostinato reads {VERSION}. Upgrade ostinato."]
            )

    def at(self, line: int | None) -> str:
        return f"{self.source}:{line}: " if self.source and line else f"{self.source}: " if self.source else ""

    def _wrong(self, line: int | None, message: str) -> None:
        self.found.append((line or 0, self.at(line) + message.rstrip()))

    # what stands at the top

    def _text(self, given: Mapping[str, Any], key: str, default: str) -> str:
        value = plain(given.get(key, default))
        if not isinstance(value, str) or not value.strip():
            self._wrong(line_of(given, key), f"{key} is {_short(value)}; it is a text.")
            return default
        return value

    def _names(self, given: Mapping[str, Any], key: str) -> list[str]:
        value = plain(given.get(key))
        names = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            self._wrong(line_of(given, key), f"{key} is a column's name or a list of them, not {_short(value)}.")
            return []
        return names

    def _columns(self, given: Mapping[str, Any]) -> dict[str, str]:
        columns = self._mapping(given, "columns", "a mapping from column to family of types")
        for name, kind in columns.items():
            if kind not in FAMILIES:
                line = line_of(given["columns"], name)
                self._wrong(line, f"column {name!r}: unknown family {kind!r}. {suggest(str(kind), FAMILIES)}")
        return columns

    def _tables(self, given: Mapping[str, Any]) -> dict[str, str]:
        tables = self._mapping(given, "tables", "a mapping from name to file, database or URL")
        for name, place in tables.items():
            line = line_of(given["tables"], name)
            if not re.fullmatch(TABLE, name):
                self._wrong(line, f"table {name!r}: a name in SQL is letters, digits and _; batch is the table itself.")
            elif not isinstance(place, str) or not place:
                self._wrong(line, f"table {name!r} is {_short(place)}; name a file, database or URL.")
            else:
                tables[name] = self._beside(place)
        return tables

    def _beside(self, place: str) -> str:
        """A table's file lies beside the suite, wherever that is."""
        if "://" in place or not self.source:
            return place
        if is_remote(self.source):
            return place if place.startswith("/") else folder_of(self.source) + place
        return str(Path(folder_of(self.source), local_path(place)))

    def _mapping(self, given: Mapping[str, Any], key: str, what: str) -> dict[str, Any]:
        value = given.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._wrong(line_of(given, key), f"{key} is {what}, not {_named(value)}.")
            return {}
        found: dict[str, Any] = plain(value)
        return found

    def _share(self, given: Mapping[str, Any]) -> float:
        value = plain(given.get("max_quarantine", Suite.max_quarantine))
        if isinstance(value, str) and re.fullmatch(PERCENT, value):
            return float(value.strip().rstrip("%")) / 100
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            line = line_of(given, "max_quarantine")
            self._wrong(line, f"max_quarantine is {_short(value)}; it is a share, such as 0.01 or 1%.")
            return Suite.max_quarantine
        return value

    # rules

    def _rules(self, given: Mapping[str, Any]) -> list[Rule]:
        entries = given.get("expectations")
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            said = "is empty" if entries in (None, [], "", {}) else f"is {_named(entries)}, not a list"
            self._wrong(line_of(given, "expectations"), f"expectations {said}: a suite without a rule checks nothing.")
            return []
        rules: list[Rule] = []
        for place, entry in enumerate(entries):
            own = line_of(entry, next(iter(entry), None)) if isinstance(entry, Mapping) else None
            rules += self._entry(entry, own or line_of(entries, place))
        self._distinct(rules)
        return rules

    def _entry(self, entry: Any, line: int | None) -> list[Rule]:
        if not isinstance(entry, Mapping):
            self._wrong(line, f"a rule is `expectation: arguments`, not {str(entry)[:80]!r}.")
            return []
        said = {str(key): key for key in entry}
        named = [key for key in said if key not in OPTIONS]
        if len(named) != 1:
            what = (
                f"names {len(named)} expectations ({', '.join(map(repr, named))})" if named else "names no expectation"
            )
            unknown = [key for key in named[1:] if self._known(key) is None]
            near = f" {suggest(unknown[0], OPTIONS)}" if unknown else ""
            self._wrong(line, f"this rule {what}; each has one, and may have {', '.join(OPTIONS)}.{near}")
            return []
        name = named[0]
        options = {key: plain(entry[said[key]]) for key in said if key in OPTIONS}
        before = len(self.found)
        rules = self._rule(name, entry[said[name]], options, line)
        if not rules and len(self.found) == before:
            self._wrong(line, f"{name} names no column.")
        return rules

    def _known(self, name: str) -> Expectation | None:
        return expectations().get(name.removeprefix(PREFIX)) or (expectations()[ROWS] if name == "rows" else None)

    def _rule(self, name: str, written: Any, options: Mapping[str, Any], line: int | None) -> list[Rule]:
        arguments = plain(written)
        if name == FOREIGN_KEY:
            made = self._foreign_key(arguments, line)
            return [self._with_options(made, options, name, line)] if made else []
        known = self._known(name)
        if known is None:
            valid = [*expectations(), "rows", FOREIGN_KEY]
            self._wrong(line, f"there is no expectation {name!r}. {suggest(name.removeprefix(PREFIX), valid, most=0)}")
            return []
        if not known.sql:
            self._wrong(line, f"{name}: {NOT_IN_SQL}")
            return []
        spelled = spread(known, arguments)
        if spelled is None:
            self._wrong(line, f"{name} takes {taken(known)}, not {str(arguments)[:80]!r}.")
            return []
        rules = []
        for one in spelled:
            if self._arguments(known, name, one, line, written):
                what = "rows" if known.type == ROWS else ", ".join(_columns_of(one))
                rule = Rule(f"{known.name}: {what}" if what else known.name, known.type, one, line=line)
                rules.append(self._with_options(rule, options, name, line, known))
        return rules

    def _arguments(
        self, known: Expectation, name: str, given: Mapping[str, Any], line: int | None, written: Any
    ) -> bool:
        before = len(self.found)
        for key, value in given.items():
            at = line_of(written, key) or line
            if key not in known.arguments:
                self._wrong(at, f"{name} has no argument {key!r}. {suggest(key, known.arguments)}")
                continue
            for message in wrong_value(known, key, value):
                self._wrong(at, f"{name}: {key} is {_short(value)}: {message}")
        for key in sorted(known.required - given.keys()):
            self._wrong(line, f"{name} lacks {key!r}; it takes {taken(known)}.")
        if needs_a_bound(known) and not BOUNDS & given.keys():
            self._wrong(line, f"{name} needs min_value, max_value or both.")
        if len(self.found) == before and (wrong := wrong_bounds(given)):
            self._wrong(line, f"{name}: {wrong}.")
        return len(self.found) == before

    def _foreign_key(self, given: Any, line: int | None) -> Rule | None:
        wanted = ("column", "table", "to")
        if not isinstance(given, Mapping) or not {"column", "table"} <= given.keys() or not given.keys() <= set(wanted):
            self._wrong(line, f"foreign_key takes {{column: …, table: …, to: …}}, not {str(given)[:80]!r}.")
            return None
        if not all(isinstance(value, str) and value for value in given.values()):
            self._wrong(line, f"foreign_key takes names, not {str(given)[:80]!r}.")
            return None
        # others may be handed to the run; a name that is nearly one of these is a slip
        if given["table"] not in self.tables and (near := suggest(given["table"], self.tables, most=0)):
            self._wrong(line, f"foreign_key: table {given['table']!r} is not among the suite's tables. {near}")
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
        taken_names: set[str] = set()
        for place, rule in enumerate(rules):
            names = (f"{rule.name} ({number})" if number > 1 else rule.name for number in count(1))
            name = next(name for name in names if name not in taken_names)
            taken_names.add(name)
            rules[place] = replace(rule, name=name)


def _severity(text: str) -> Severity:
    return next(known for known in SEVERITIES if known == text)


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
    if rule.type == ROWS and not re.match(_OF_BATCH, rule.arguments["unexpected_rows_query"], re.I):
        return "its query must begin with SELECT * FROM {batch}."
    return None if can_split(rule) else "whether a row meets it depends on the other rows."

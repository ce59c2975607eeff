"""A suite: the rules a table must meet, and what happens to rows and runs that break them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ostinato.artifacts import digest_of
from ostinato.workspace import is_remote, local_path

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
FOREIGN_KEY = "foreign_key"


@dataclass(frozen=True)
class Rule:
    """One rule: an expectation of GX's, by its `type`, or a foreign key.

    Attributes:
        name: tells it from the others of its suite; the reason that stands beside a row set aside.
        arguments: the expectation's own, with formulas (`{{ as_of - 1d }}`) as text until a run fills them in.
        rows_judged: whether it judges row by row.
        quarantine: rows that break it are set aside instead of stopping the run.
        line: where it stands in the suite's file, from 1.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    severity: Severity = "critical"
    rows_judged: bool = False
    quarantine: bool = False
    why: str = ""
    line: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of."""
        single = [self.arguments[key] for key in ("column", "column_A", "column_B") if key in self.arguments]
        return (*single, *self.arguments.get("column_list", ()))

    @property
    def wanted(self) -> str:
        """Its arguments as a person reads them, without the columns."""
        shown = {key: value for key, value in self.arguments.items() if not key.startswith("column")}
        return ", ".join(f"{key.replace('_', ' ')} {_spelled(value)}" for key, value in shown.items())[:500]

    @property
    def mostly(self) -> float:
        """The share of rows that must meet it, 0 to 1."""
        return float(self.arguments.get("mostly", 1))


def folder_of(source: str) -> str:
    """Where a suite's file lies, with a slash at its end: the files of its tables lie there too."""
    if not source:
        return ""
    return f"{source.rpartition('/')[0] if is_remote(source) else local_path(source).parent}/"


def _spelled(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Suite:
    """The rules for one kind of table.

    Attributes:
        name: what the table holds.
        source: the file it was read from, for messages; "" where it came as a mapping.
        key: the columns that identify a row.
        columns: the family of types each named column must have, see `ostinato.suites.families`.
        tables: other tables that rules look into, by the name used in them: files, databases or URLs.
        sensitive: columns of which no value is ever shown.
        max_quarantine: the largest share of rows that may be set aside, 0 to 1.
    """

    name: str
    rules: tuple[Rule, ...]
    source: str = ""
    key: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    sensitive: frozenset[str] = frozenset()
    max_quarantine: float = 0.01

    @property
    def digest(self) -> str:
        """Of what it asks for; not of comments, order of keys or place."""
        rules = [[r.name, r.type, r.arguments, r.severity, r.quarantine] for r in self.rules]
        tables = {name: place.removeprefix(folder_of(self.source)) for name, place in self.tables.items()}
        content = [self.key, self.columns, tables, sorted(self.sensitive), self.max_quarantine, rules]
        return digest_of(content)

    def at(self, rule: Rule) -> str:
        """`suite.yaml:12: name`, where a person finds the rule."""
        place = f"{self.source}:{rule.line}: " if self.source and rule.line else ""
        return f"{place}{rule.name}"

"""The suite of a new project: drafted from its table, with what the pipeline needs besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ostinato.suites.formulas import holds_one, is_formula
from ostinato.suites.text import load, plain
from ostinato.suites.writing import comment, entry, spelled

_OPTIONS = ("severity", "on_fail", "name", "why")
_ROW_COUNT = "table_row_count_to_be_between"
_NEEDED = "What the pipeline needs besides, whatever the table looked like when this was drafted:"


@dataclass(frozen=True)
class _Rule:
    """A rule as YAML has it, of one column where it speaks of columns."""

    expectation: str
    arguments: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def column(self) -> Any:
        return self.arguments.get("column") if isinstance(self.arguments, Mapping) else None

    def covers(self, other: _Rule) -> bool:
        """Whether what meets this rule meets the other, as far as can be told without running either."""
        if self.expectation != other.expectation or self.column != other.column or "mostly" in _given(self.arguments):
            return False
        if other.options.get("severity") == "warning":  # the draft knows the table: its limits are as good
            return self.column is not None or self.arguments == other.arguments
        if other.options.get("on_fail") != self.options.get("on_fail"):
            return False
        given = _given(self.arguments)
        return all(_as_strict(key, given.get(key), value) for key, value in _given(other.arguments).items())


def with_needs(text: str, needs: Mapping[str, Any] | None, names: Sequence[str]) -> str:
    """A drafted suite with the rules that it lacks, and the key and limit of what a pipeline needs.

    Args:
        text: the draft.
        needs: a suite of the pipeline's as a mapping; rules about columns that the table lacks are left out.
        names: the columns of the table.
    """
    if needs is None:
        return text
    drafted = list(_rules(plain(load(text))))
    needed = [rule for rule in _rules(needs) if _can_be_written(rule, names)]
    lacking = [rule for rule in needed if not any(known.covers(rule) for known in drafted)]
    lines = list(_with_facts(text.splitlines(), _facts(needs, names)))
    if any(rule.expectation == _ROW_COUNT for rule in needed):  # one that goes by the runs before is the better one
        lines = without(_ROW_COUNT, lines)
    if lacking:
        lines += ["", *comment(_NEEDED, "  ")]
        lines += [line for rule in lacking for line in _written(rule)]
    return "\n".join(lines) + "\n"


def _can_be_written(rule: _Rule, names: Sequence[str]) -> bool:
    """Whether the table has the rule's column, and nothing in it reads as a formula only because of a column's name."""
    if rule.column is not None:
        return rule.column in names and rule.column != "" and not is_formula(rule.column)
    return not (isinstance(rule.arguments, str) and holds_one(rule.arguments))


def of_whole_table(text: str, rows: int) -> str:
    """A suite drafted from a part of the rows, with the limits on their number of the whole table."""
    lines = without(_ROW_COUNT, text.splitlines())
    limits = {"min_value": _rounded(rows / 2), "max_value": _rounded(rows * 2)}
    place = lines.index("expectations:") + 1
    why = comment(f"{rows:,} rows seen: half to twice as many", "  ")
    rule = entry(_ROW_COUNT, limits, {"severity": "warning"})
    return "\n".join([*lines[:place], *why, *rule, *lines[place:]]) + "\n"


def of_whole_width(text: str, columns: int) -> str:
    """A suite drafted from a part of the columns, without the rule that there are no others."""
    head = f"The table has {columns:,} columns, too many for one suite: there are rules only for those with a role."
    return "\n".join([*comment(head), *without("table_columns_to_match_set", text.splitlines())]) + "\n"


def _rounded(number: float) -> int:
    """Two digits of a number say enough."""
    return int(float(f"{number:.2g}")) if number >= 100 else int(number)


def without(expectation: str, lines: Sequence[str]) -> list[str]:
    """The lines of a draft but those of the first such rule, with the comment before it and its options."""
    first = next((at for at, line in enumerate(lines) if line.startswith(f"  - {expectation}:")), None)
    if first is None:
        return list(lines)
    end = next((at for at in range(first + 1, len(lines)) if not lines[at].startswith("    ")), len(lines))
    while lines[first - 1].startswith("  # "):
        first -= 1
    return [*lines[:first], *lines[end:]]


def _facts(needs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What of a suite's top a pipeline needs; of the key only what the table has."""
    return {
        key: needs[key] for key in ("key", "max_quarantine") if key in needs and (key != "key" or needs[key] in names)
    }


def _with_facts(lines: Sequence[str], facts: Mapping[str, Any]) -> Iterator[str]:
    """The lines with other values for what stands at the top."""
    top = True
    for line in lines:
        top = top and line != "columns:"
        if top and line.split(":")[0] in facts:
            continue
        yield line
        if top and line.startswith("dataset:"):
            yield from (f"{key}: {spelled(value)}" for key, value in facts.items())


def _rules(suite: Mapping[str, Any]) -> Iterator[_Rule]:
    """The rules of a suite, those of several columns one by one."""
    for given in suite["expectations"]:
        options = {key: value for key, value in given.items() if key in _OPTIONS}
        for expectation, arguments in given.items():
            if expectation not in _OPTIONS:
                several = arguments if _lists_columns(expectation, arguments) else [arguments]
                yield from (_Rule(expectation, _of_column(expectation, one), options) for one in several)


def _lists_columns(expectation: str, arguments: Any) -> bool:
    return isinstance(arguments, list) and expectation.startswith(("column_value", "column_m"))


def _of_column(expectation: str, arguments: Any) -> Any:
    is_name = isinstance(arguments, str) and expectation.startswith("column_")
    return {"column": arguments} if is_name else arguments


def _given(arguments: Any) -> Mapping[str, Any]:
    return arguments if isinstance(arguments, Mapping) else {"": arguments}


def _as_strict(key: str, ours: Any, theirs: Any) -> bool:
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return ours >= theirs if key == "min_value" else ours <= theirs if key == "max_value" else ours == theirs
    if isinstance(ours, list) and isinstance(theirs, list):
        return set(ours) <= set(theirs)
    return bool(ours == theirs)


def _written(rule: _Rule) -> Iterator[str]:
    options = {key: spelled(value) for key, value in rule.options.items()}
    arguments = rule.arguments
    if isinstance(arguments, str) and arguments.isprintable() and arguments == arguments.strip():
        yield f"  - {rule.expectation}: |-"  # a query: its quotes stay as they are
        yield f"      {arguments}"
        yield from (f"    {key}: {value}" for key, value in options.items())
        return
    bare = rule.column if rule.column is not None and len(arguments) == 1 else arguments
    yield from entry(rule.expectation, bare, options)

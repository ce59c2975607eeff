"""Look at a table before a project is made of it: what its columns are, what is amiss, which rules it meets."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.context import current
from ostinato.errors import DataError, ParameterError, suggest
from ostinato.steps.data import moment
from ostinato.steps.sources import Source, opened
from ostinato.suites.drafting import Batch, draft
from ostinato.suites.naming import named
from ostinato.suites.writing import comment, shown
from ostinato.tables import duck, literal, parquet_sql, quote

from .answers import is_unwritable
from .coverage import Coverage, balance, covered, label_sql, missing_values, period
from .leakage import leaks
from .roles import ROLES, Candidate, Proposal, could_be_feature, looked_at, proposed
from .rules import of_whole_table, of_whole_width, with_needs

if TYPE_CHECKING:
    import duckdb

SAMPLE = 200_000  # rows that are looked at closely
_CELLS = 10_000_000  # values in the sample, at most: a wide table has fewer rows there
_ENOUGH_POSITIVES = 500
_MOST_POSITIVES = 20_000  # fetched beside the sample where it has few
_LONGEST_SUITE = 900_000  # characters: with 1,000,000 it is not read
FEATURES = "features"
_LISTED = 12  # features that are named
_IDS = ("id", "card", "terminal", "user", "item")
_LATE = ("label", "label_time")

Columns = Mapping[str, str | list[str] | None]
Needs = Mapping[str, Any] | Callable[[Columns], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Inspection:
    """What a table is like.

    Attributes:
        columns: the column of each role, None where there is none; `features` is a list.
        missing: roles that must be filled and that no column fits.
        found: sentences on what was seen.
        warnings: sentences on what may be amiss.
        names: all columns.
        suite: the YAML of a suite drafted from the table, with what the pipeline needs.
    """

    rows: int
    columns: dict[str, Any]
    missing: tuple[str, ...]
    found: tuple[str, ...]
    warnings: tuple[str, ...]
    names: tuple[str, ...]
    suite: str


def inspect(
    source: str,
    wanted: Mapping[str, str | None],
    *,
    chosen: Mapping[str, str | Sequence[str] | None] | None = None,
    query: str | None = None,
    usual: Needs | None = None,
    dataset: str,
    needs_days: int | None = None,
) -> Inspection:
    """Find the columns a pipeline needs in a table, and what speaks against making a model of it.

    A large table is read twice: for a sample of rows from all over it, of which roles, leakage candidates and the suite
    come, and for its counts. What is neither Parquet nor in a database is copied into Parquet first.

    Args:
        source: a file, folder, glob, database or URL (see `load`).
        wanted: the roles, and what each column is usually called; None for one that may be absent.
        chosen: columns that a person named, by role.
        query: SQL, for a database that holds more than one table.
        usual: the suite that the pipeline has where none is named, as a mapping in which `{id}` is the column of the
            role `id`; or what makes one of the columns found.
        dataset: what the table holds; the suite's name.
        needs_days: how many days the pipeline needs.

    Raises:
        DataError: nothing there, no rows, or not what it should be.
        ParameterError: a chosen column or role that does not exist.
    """
    with duck() as connection, opened(connection, source, query) as given, _in_parquet(connection, given) as table:
        return _Look(connection, table, wanted, chosen or {}).inspection(usual, dataset, needs_days)


@contextlib.contextmanager
def _in_parquet(connection: duckdb.DuckDBPyConnection, given: Source) -> Iterator[Source]:
    """The table where it can be read more than once for little, for the body."""
    if given.table.startswith("read_parquet("):
        yield given
        return
    workspace = current().workspace
    with tempfile.TemporaryDirectory(prefix=f"{workspace.scratch_name('inspect')}.", dir=workspace.scratch()) as folder:
        place = str(Path(folder, "table.parquet"))
        connection.execute(f"COPY (FROM {given.table}) TO {literal(place)} (FORMAT parquet, COMPRESSION lz4)")
        table = parquet_sql(connection, [place], partitions=False)
        described = connection.execute(f"DESCRIBE FROM {table}").fetchall()
        yield Source(given.name, table, {str(row[0]): str(row[1]) for row in described})


class _Look:
    """One look at one table: a sample of it, the columns with a role, and counts of all rows."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Source,
        wanted: Mapping[str, str | None],
        chosen: Mapping[str, str | Sequence[str] | None],
    ) -> None:
        self._connection, self._table, self._wanted = connection, table, wanted
        self._chosen = _checked(chosen, wanted, table)
        self._rows = int(connection.execute(f"SELECT count(*) FROM {table.table}").fetchall()[0][0])
        if not self._rows:
            raise DataError(f"{table.name} has no rows: there is nothing to see in it.")
        close = max(1, min(SAMPLE, _CELLS // len(table.columns)))
        self._every = math.ceil(self._rows / close)
        some = f" USING SAMPLE bernoulli({100 * close / self._rows:f}%) REPEATABLE (1)" if self._every > 1 else ""
        connection.execute(f"CREATE TEMP TABLE sampled AS SELECT * FROM {table.table}{some}")
        self._sample = Source(table.name, "sampled", table.columns)
        self._candidates = looked_at(connection, "sampled", table.columns)

    def inspection(self, usual: Needs | None, dataset: str, needs_days: int | None) -> Inspection:
        """All of it."""
        leaking = list(self._leaking())
        columns = self._columns({leak for leak, _ in leaking})
        found, warnings = (
            [self._size(), *self._roles(), *self._features(columns)],
            [*missing_values(self._coverage, self._required)],
        )
        if "time" in self._names:
            seen, amiss = period(self._coverage, self._names["time"], needs_days)
            found, warnings = [*found, *seen], [*warnings, *amiss]
        if "label" in self._names:
            seen_label, amiss = balance(self._coverage, self._names["label"])
            found, warnings = [*found, seen_label], [*warnings, *amiss]
        warnings += [*self._duplicates(), *(sentence for _, sentence in leaking)]
        return Inspection(
            rows=self._rows,
            columns=columns,
            missing=tuple(role for role in self._wanted if columns[role] is None and role not in self._optional),
            found=tuple(found),
            warnings=tuple(warnings),
            names=tuple(self._table.columns),
            suite=self._suite(usual, dataset, columns),
        )

    # --- roles -------------------------------------------------------------------------------------------------------

    @property
    def _optional(self) -> set[str]:
        return {role for role, usual in self._wanted.items() if usual is None}

    @cached_property
    def _proposals(self) -> dict[str, Proposal]:
        """What has a role, named or found; `features` has many and is left out."""
        known = {column.name: column for column in self._candidates}
        named_ = {role: str(name) for role, name in self._chosen.items() if role != FEATURES and name is not None}
        taken = {*named_.values(), *(self._chosen.get(FEATURES) or ())}
        free = [column for column in self._candidates if column.name not in taken and not is_unwritable(column.name)]
        open_ = {role: usual for role, usual in self._wanted.items() if role not in self._chosen}
        found = {role: Proposal(known[name], "as it was named") for role, name in named_.items()}
        found.update(proposed(free, open_))
        return self._without_early_label_time(found)

    def _without_early_label_time(self, found: dict[str, Proposal]) -> dict[str, Proposal]:
        """A label is known after the event: a time that is not later is that of something else."""
        if "label_time" in self._chosen or "label_time" not in found or "time" not in found:
            return found
        reported, event = (
            moment(self._connection, self._sample, found[role].column.name, "auto") for role in ("label_time", "time")
        )
        share = self._one(f"SELECT avg(({reported} >= {event})::INT) FROM sampled")
        return found if share is not None and share > 0.95 else {k: v for k, v in found.items() if k != "label_time"}

    @cached_property
    def _names(self) -> dict[str, str]:
        return {role: proposal.column.name for role, proposal in self._proposals.items()}

    @property
    def _required(self) -> dict[str, str]:
        return {role: name for role, name in self._names.items() if role not in self._optional}

    def _columns(self, leaking: set[str]) -> dict[str, Any]:
        """The column of each role, in the order of the roles."""
        columns: dict[str, Any] = {role: self._names.get(role) for role in self._wanted}
        if FEATURES in self._wanted:
            free = [each.name for each in self._free if could_be_feature(each) and not is_unwritable(each.name)]
            known = [name for name in free if name not in leaking]
            columns[FEATURES] = self._chosen.get(FEATURES) or known or None
        return columns

    @cached_property
    def _free(self) -> list[Candidate]:
        """Columns without a role."""
        return [column for column in self._candidates if column.name not in self._names.values()]

    def _roles(self) -> Iterator[str]:
        for role in self._wanted:
            if role in self._proposals:
                yield f"{role}: {shown(self._names[role])}, {self._proposals[role].why}."

    def _features(self, columns: Mapping[str, Any]) -> Iterator[str]:
        if features := columns.get(FEATURES):
            listed = ", ".join(shown(name) for name in features[:_LISTED])
            more = f" and {len(features) - _LISTED:,} more" if len(features) > _LISTED else ""
            advice = "" if FEATURES in self._chosen else "; take out what is not known in time"
            yield f"features: {listed}{more}{advice}."

    # --- all rows ----------------------------------------------------------------------------------------------------

    @cached_property
    def _moment(self) -> str | None:
        """SQL for the time of a row, as `load` reads it."""
        time = self._names.get("time")
        return moment(self._connection, self._sample, time, "auto") if time else None

    @cached_property
    def _label(self) -> str | None:
        label = self._names.get("label")
        return label_sql(label, self._table.columns[label]) if label else None

    @cached_property
    def _coverage(self) -> Coverage:
        table = self._table.table if self._every > 1 else "sampled"
        types = {name: self._table.columns[name] for name in self._names.values()}
        return covered(self._connection, table, types, moment=self._moment, label=self._label)

    def _size(self) -> str:
        width = len(self._table.columns)
        size = f"{self._rows:,} rows, {width:,} {'columns' if width > 1 else 'column'}"
        return f"{size}{f'; {self._looked_closely()}' if self._every > 1 else ''}."

    def _looked_closely(self) -> str:
        sampled = self._candidates[0].rows
        return f"{sampled:,} rows from all over the table were looked at closely, the others counted"

    def _duplicates(self) -> Iterator[str]:
        """Whether ids come twice: of some ids, where there are many, all rows are looked at."""
        if "id" not in self._names:
            return
        name = quote(self._names["id"])
        table = self._table.table if self._every > 1 else "sampled"
        some = f"{name} IS NOT NULL" + (f" AND hash({name}) % {self._every} = 0" if self._every > 1 else "")
        rows, ids = self._connection.execute(
            f"SELECT count(*), count(DISTINCT {name}) FROM {table} WHERE {some}"
        ).fetchall()[0]
        if rows > ids:
            of = f"{rows:,} rows looked at, one id in {self._every:,}," if self._every > 1 else f"{rows:,} rows"
            yield f"{shown(self._names['id'])}: {rows - ids:,} of {of} repeat an id; the pipeline sets such rows aside."

    # --- leakage -----------------------------------------------------------------------------------------------------

    def _leaking(self) -> Iterator[tuple[str, str]]:
        """Columns that alone tell the label, with a sentence on each."""
        if self._label is None:
            return
        label = shown(self._names["label"])
        table = self._with_positives()
        for leak in leaks(self._connection, table, self._label, self._free, self._moment):
            what = f"whether {shown(leak.column)} is filled" if leak.filled else shown(leak.column)
            figure = f"AUC {math.floor(leak.auc * 1000) / 1000:.3f}"
            yield leak.column, f"{what} alone tells {label} ({figure}): is it known when a row is judged?"

    def _with_positives(self) -> str:
        """The sample, with more positives where it has few of those there are."""
        seen = self._one(f"SELECT count(*) FILTER ({self._label} = 1) FROM sampled")
        if seen >= min(_ENOUGH_POSITIVES, self._coverage.positives):
            return "sampled"
        self._connection.execute(
            f"CREATE TEMP TABLE judged AS FROM sampled WHERE {self._label} = 0 UNION ALL "
            f"(SELECT * FROM {self._table.table} WHERE {self._label} = 1 LIMIT {_MOST_POSITIVES})"
        )
        return "judged"

    # --- the suite ---------------------------------------------------------------------------------------------------

    def _suite(self, usual: Needs | None, dataset: str, columns: Mapping[str, Any]) -> str:
        text = self._drafted(dataset, list(self._table.columns))
        if len(text) > _LONGEST_SUITE:
            roles = [name for name in self._table.columns if name in self._names.values()]
            text = of_whole_width(
                self._drafted(dataset, roles or list(self._table.columns)[:1]), len(self._table.columns)
            )
        if self._every > 1:
            head = f"{self._looked_closely()}: what is rare may break a rule below."
            text = "\n".join(comment(head)) + "\n" + of_whole_table(text, self._rows)
        needs = usual(columns) if callable(usual) else named(usual, columns) if usual else None
        return with_needs(text, needs, list(self._table.columns))

    def _drafted(self, dataset: str, names: Sequence[str]) -> str:
        """A suite for some columns of the sample as `load` hands it on: the time first, as moments."""
        time = self._names.get("time")
        listed = [quote(name) for name in names if name != time]
        if time is not None:
            listed.insert(0, f"{self._moment} AS {quote(time)}")
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW loaded AS SELECT {', '.join(listed)} FROM sampled")
        batch = Batch(_last_part(self._table.name), "loaded")
        ids, late = ([self._names[role] for role in roles if role in self._names] for roles in (_IDS, _LATE))
        return draft(self._connection, [batch], dataset=dataset, ids=ids, late=late)

    def _one(self, query: str) -> Any:
        return self._connection.execute(query).fetchall()[0][0]


def _checked(
    chosen: Mapping[str, str | Sequence[str] | None], wanted: Mapping[str, str | None], table: Source
) -> dict[str, Any]:
    """What a person named, each column there and none with two roles; features as a list."""
    found: dict[str, Any] = {}
    for role, given in chosen.items():
        if role not in wanted:
            raise ParameterError(f"There is no column for {role!r} in this template. {suggest(role, wanted)}")
        found[role] = _several(given, table) if role == FEATURES else given or None
        for name in found[role] if role == FEATURES else [given]:
            if name and name not in table.columns:
                raise ParameterError(
                    f"columns.{role}={name!r}: {table.name} has none. {suggest(str(name), table.columns)}"
                )
    single = [name for role, name in found.items() if role != FEATURES and name is not None]
    if twice := next((name for name in single if single.count(name) > 1), None):
        raise ParameterError(f"The column {twice!r} is named for two roles; each has one of its own.")
    return found


def _several(given: str | Sequence[str] | None, table: Source) -> list[str]:
    """Names, given one by one or between commas."""
    if given is None or (isinstance(given, str) and given in table.columns):
        return [given] if given else []
    return [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)


def _last_part(source: str) -> str:
    """A table's name without its place, which is nobody else's."""
    return re.split(r"[/\\]", source.split("?")[0].rstrip("/\\"))[-1] or "table"


__all__ = ["ROLES", "Inspection", "inspect"]

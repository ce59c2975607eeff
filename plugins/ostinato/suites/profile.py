"""What batches of a table are like, measured in few scans: what a suite is drafted from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ostinato.errors import DataError
from ostinato.tables import literal, quote

if TYPE_CHECKING:
    import duckdb

FEW = 50  # so many different values can be listed
FEW_ROWS = 1000  # what fewer rows show is easily chance
PERCENTILES = (0.03, 0.07, 0.4, 0.5, 0.6, 0.93, 0.97)
_ENOUGH = 200  # values, without which percentiles say little
_SAMPLED_TEXTS = 5_000
_SAMPLED_NUMBERS = 5_000_000  # beyond, percentiles are those of a sample: they take memory

_INTEGERS = "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT".split()
_KINDS = {
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "float"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"), "moment"),
    "TIMESTAMP WITH TIME ZONE": "moment",
    "DECIMAL": "decimal",
    "VARCHAR": "text",
    "ENUM": "text",
    "UUID": "uuid",
}
_COUNTABLE = ("integer", "text", "uuid")

# Words in the names of columns.
IDENTITY = frozenset("id key uuid guid pk fk ref".split())
EVENT = frozenset("ts time timestamp date datetime created event occurred".split())
FUTURE = frozenset(
    "due expiry expires expiration valid until end ends scheduled planned deadline maturity delivery".split()
)
OTHER_TIME = FUTURE | frozenset("birth birthday birthdate born dob updated deleted".split())
_PERSONAL = frozenset(
    "email mail phone mobile telephone address street iban passport ssn ip surname firstname lastname fullname "
    "forename username password birth birthday birthdate dob".split()
)


@dataclass(frozen=True)
class Batch:
    """One delivery of a table: its `name` in comments, and what stands behind FROM in DuckDB."""

    name: str
    table: str


@dataclass
class Seen:
    """One column in one batch; what its kind does not have stays empty.

    Attributes:
        present: how many values are not null.
        distinct: how many different ones, within a few percent.
        low, high: of finite numbers; of the lengths of texts; of moments, as text.
        odd: how many numbers are NaN or infinite, how many moments are in the future.
        values: how often each is there, where they are few.
        unique: whether no value is there twice.
        percentiles: of the numbers, see PERCENTILES.
        texts: some of many.
    """

    rows: int
    present: int
    distinct: int = 0
    low: Any = None
    high: Any = None
    odd: int = 0
    values: dict[Any, int] | None = None
    unique: bool = False
    percentiles: list[Decimal] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """One column in all batches.

    Attributes:
        is_id: said by somebody who knows: its values tell things apart.
        is_late: likewise: its latest values may not be known yet.
    """

    name: str
    type: str
    batches: tuple[Seen, ...]
    is_id: bool = False
    is_late: bool = False

    @property
    def kind(self) -> str:
        """`integer`, `float`, `decimal`, `text`, `moment`, `uuid`, or `other`: what can be measured of it."""
        return "other" if self.type.endswith("]") else _KINDS.get(self.type.split("(")[0], "other")

    @property
    def rows(self) -> int:
        return sum(seen.rows for seen in self.batches)

    @property
    def present(self) -> int:
        return sum(seen.present for seen in self.batches)

    @property
    def absent(self) -> float:
        """The largest share of nulls in a batch."""
        return max(1 - seen.present / seen.rows for seen in self.batches)

    @property
    def odd(self) -> int:
        return sum(seen.odd for seen in self.batches)

    @property
    def distinct(self) -> int:
        return max(seen.distinct for seen in self.batches)

    @property
    def low(self) -> Any:
        return min((seen.low for seen in self.batches if seen.low is not None), default=None)

    @property
    def high(self) -> Any:
        return max((seen.high for seen in self.batches if seen.high is not None), default=None)

    @property
    def unique(self) -> bool:
        return self.present > 0 and all(seen.unique for seen in self.batches)

    @property
    def values(self) -> dict[Any, int] | None:
        """How often each value is there, in the order of the values, where they are few in all batches together."""
        counts: dict[Any, int] = {}
        for seen in self.batches:
            if seen.values is None:
                return None
            for value, count in seen.values.items():
                counts[value] = counts.get(value, 0) + count
        return dict(sorted(counts.items())) if len(counts) <= FEW else None

    @property
    def texts(self) -> list[str]:
        return sorted({text for seen in self.batches for text in seen.texts})

    @property
    def percentiles(self) -> dict[float, tuple[Decimal, Decimal]]:
        """For each of PERCENTILES the lowest and the highest of a batch; empty where a batch has none."""
        if not all(seen.percentiles for seen in self.batches):
            return {}
        found = zip(*(seen.percentiles for seen in self.batches), strict=True)
        return {share: (min(of), max(of)) for share, of in zip(PERCENTILES, found, strict=True)}

    def is_called(self, words: frozenset[str]) -> bool:
        """Whether one of these is among the words of the name: card, holder and id of `cardHolderID`."""
        parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", self.name).casefold()
        return not words.isdisjoint(re.findall(r"[a-z]+", parts))

    @property
    def is_personal(self) -> bool:
        """Whether it sounds like something about a person."""
        return self.is_called(_PERSONAL)

    @property
    def is_identity(self) -> bool:
        """Whether values tell things apart: by the name, or as whole numbers as close to each other as if given out."""
        if self.is_id:
            return True
        if self.kind not in _COUNTABLE:
            return False
        if self.kind == "uuid" or self.is_called(IDENTITY):
            return True
        if self.kind == "text":
            return self.present >= FEW_ROWS and bool(self.high <= 64)
        return self.distinct > FEW_ROWS and bool(self.distinct > (self.high - self.low) / 2)

    @property
    def is_codes(self) -> bool:
        """Whether few whole numbers leave gaps between them, as those of categories do and counts do not."""
        values = list(self.values or ())
        return self.kind == "integer" and len(values) > 1 and len(values) < (values[-1] - values[0] + 1) / 2

    @property
    def is_measure(self) -> bool:
        """Whether its percentiles say something."""
        if any(seen.present < _ENOUGH for seen in self.batches):
            return False
        if self.kind == "integer":
            return self.values is None and not self.is_identity
        return self.kind in ("float", "decimal") and not self.odd


def profiled(connection: duckdb.DuckDBPyConnection, batches: Sequence[Batch], until: datetime) -> list[Column]:
    """The columns of the batches, in the order of the first batch: the same batches give the same answer.

    One scan of each batch finds counts and extremes; what is dear is asked only of the columns that need it.

    Args:
        until: moments later than this are odd.

    Raises:
        DataError: no batch, no rows, or batches of different columns or types.
    """
    types = _types(connection, batches)
    scans = [_scan(connection, batch, types, until) for batch in batches]
    columns = [Column(name, kind, tuple(scan[name] for scan in scans)) for name, kind in types.items()]
    looks = [_Look(connection, batch.table, columns, place) for place, batch in enumerate(batches)]
    for column in columns:
        for look in looks:
            look.at(column)
        if column.is_measure:
            for look in looks:
                look.percentiles(column)
    return columns


def holding(connection: duckdb.DuckDBPyConnection, batches: Sequence[Batch], claims: Sequence[str]) -> list[bool]:
    """Which claims, SQL aggregates that are true or false, are true of every batch; one scan of each."""
    if not claims:
        return []
    answers = [connection.execute(f"SELECT {', '.join(claims)} FROM {batch.table}").fetchall()[0] for batch in batches]
    return [all(of) for of in zip(*answers, strict=True)]


def largest_gap(connection: duckdb.DuckDBPyConnection, batches: Sequence[Batch], column: str) -> int:
    """Days from one day with rows to the next one, at most; 0 where there is one day."""
    day = f"{quote(column)}::DATE"
    days: set[int] = set()
    for batch in batches:
        query = f"SELECT DISTINCT date_diff('day', DATE '1970-01-01', {day}) FROM {batch.table} WHERE isfinite({day})"
        days.update(of for (of,) in connection.execute(query).fetchall())
    return max((later - earlier for earlier, later in pairwise(sorted(days))), default=0)


def _types(connection: duckdb.DuckDBPyConnection, batches: Sequence[Batch]) -> dict[str, str]:
    """Names and types of the columns, the same in all batches."""
    if not batches:
        raise DataError("There is no batch to draft a suite from.")
    described = [
        {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {batch.table}").fetchall()} for batch in batches
    ]
    if not described[0]:
        raise DataError(f"{batches[0].name} has no columns.")
    for (one, these), (other, those) in pairwise(zip(batches, described, strict=True)):
        for column in (*these, *those):
            if column not in these or column not in those:
                has, lacks = (one, other) if column in these else (other, one)
                raise DataError(f"{has.name} has a column {column!r}, {lacks.name} has not. Draft from one table.")
            if these[column] != those[column]:
                raise DataError(f"{column!r} is {these[column]} in {one.name} and {those[column]} in {other.name}.")
    return described[0]


def _scan(
    connection: duckdb.DuckDBPyConnection, batch: Batch, types: dict[str, str], until: datetime
) -> dict[str, Seen]:
    asked = [(name, what, sql) for name, kind in types.items() for what, sql in _facts(name, kind, until)]
    listed = ", ".join(["count(*)", *(sql for _, _, sql in asked)])
    rows, *found = connection.execute(f"SELECT {listed} FROM {batch.table}").fetchall()[0]
    if not rows:
        raise DataError(f"{batch.name} has no rows: a suite is drafted from good data.")
    facts: dict[str, dict[str, Any]] = {name: {} for name in types}
    for (name, what, _), value in zip(asked, found, strict=True):
        facts[name][what] = value
    return {name: Seen(rows, **of) for name, of in facts.items()}


def _facts(name: str, type_: str, until: datetime) -> Iterator[tuple[str, str]]:
    """What one scan asks of a column, and the SQL for it.

    Conditions are within what is counted: each FILTER would hold a chunk of all columns, too much for many.
    """
    kind, column = Column(name, type_, ()).kind, quote(name)
    yield "present", f"count({column})"
    if kind in _COUNTABLE:
        yield "distinct", f"approx_count_distinct({column})"
    if kind in ("integer", "decimal"):
        yield from _extremes(column)
    if kind == "text":
        yield from _extremes(f"length({column})")
    if kind == "float":
        yield from _extremes(f"CASE WHEN isfinite({column}) THEN {column} END")
        yield "odd", f"count(CASE WHEN NOT isfinite({column}) THEN 1 END)"
    if kind == "moment":
        moment = f"({column} AT TIME ZONE 'UTC')" if type_.endswith("ZONE") else f"{column}::TIMESTAMP"
        yield from ((end, f"strftime({sql}, '%Y-%m-%d')") for end, sql in _extremes(moment))
        yield "odd", f"count(CASE WHEN {moment} > {literal(until)} THEN 1 END)"


def _extremes(column: str) -> Iterable[tuple[str, str]]:
    return (("low", f"min({column})"), ("high", f"max({column})"))


class _Look:
    """A closer look at the columns of one batch."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Column], place: int
    ) -> None:
        self._connection, self._table, self._place = connection, table, place
        spine = max(columns, key=lambda column: column.batches[place].distinct)
        seen = spine.batches[place]
        self._different = seen.distinct or seen.rows
        self._hash = f"hash({', '.join(quote(of.name) for of in ([spine] if seen.distinct else columns))})"

    def at(self, column: Column) -> None:
        """Complete what is known of a column that may have few values, or none twice, or a shape."""
        seen, name = column.batches[self._place], quote(column.name)
        if column.kind not in _COUNTABLE or not seen.present:
            return
        if column.distinct <= FEW * 1.2 and column.kind != "uuid":
            grouped = self._rows(f"SELECT {name}, count(*) FROM {self._table} WHERE {name} IS NOT NULL GROUP BY 1")
            seen.values, seen.distinct = dict(grouped), len(grouped)
        elif column.kind == "text":
            found = f"SELECT DISTINCT {name} FROM {self._sample(_SAMPLED_TEXTS)} AND {name} IS NOT NULL"
            seen.texts = [text for (text,) in self._rows(f"{found} ORDER BY 1 LIMIT {_SAMPLED_TEXTS}")]
        if all(batch.distinct > 0.8 * batch.present for batch in column.batches):
            values = f"SELECT {name} FROM {self._table} WHERE {name} IS NOT NULL GROUP BY 1"
            seen.unique = self._rows(f"SELECT count(*) FROM ({values})") == [(seen.present,)]

    def percentiles(self, column: Column) -> None:
        """The percentiles of a column of numbers."""
        shares = ", ".join(map(str, PERCENTILES))
        quantiles = f"SELECT quantile_disc({quote(column.name)}, [{shares}]) FROM {self._sample(_SAMPLED_NUMBERS)}"
        found = self._rows(quantiles)[0][0] or []
        column.batches[self._place].percentiles = [Decimal(number) for number in found]

    def _sample(self, size: int) -> str:
        """A table and a condition that the same rows meet every time."""
        every = self._different // size
        return f"{self._table} WHERE {f'{self._hash} % {every} = 0' if every > 1 else 'true'}"

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return rows

"""Which column of a stranger's table is the id, the time, the label: by names, types, and what the values are like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ostinato.suites.profile import EVENT, IDENTITY, OTHER_TIME, Column
from ostinato.tables import quote

if TYPE_CHECKING:
    import duckdb

NUMBERS = ("integer", "float", "decimal")
_Any = TypeVar("_Any")

_TEXTS_LOOKED_AT = 10_000  # to find out whether they are times
_ASKED_AT_ONCE = 300  # figures: planning takes the square of that
_COUNTED_AT_ONCE = 20  # columns: each takes megabytes
_LONGEST_ID = 128  # characters
_FEW_TEXTS = 1_000  # different texts that a model can learn as categories
_EPOCHS = (631_152_000.0, 4_102_444_800.0)  # seconds: the years 1990 to 2100


@dataclass(frozen=True)
class Candidate:
    """A column, and what its values are like.

    Attributes:
        present: how many values are not null.
        distinct: how many different ones; within a few percent where they are not nearly as many as the values.
        low, high: of finite numbers; of the lengths of texts.
        fractions: how many numbers are not whole.
        times: the share of texts that can be read as times.
    """

    name: str
    type: str
    rows: int
    present: int
    distinct: int = 0
    low: float | None = None
    high: float | None = None
    fractions: int = 0
    times: float = 0.0

    @cached_property
    def kind(self) -> str:
        """`integer`, `float`, `decimal`, `text`, `moment`, `uuid`, `boolean` or `other`."""
        return kind_of(self.name, self.type)

    @property
    def is_unique(self) -> bool:
        """Whether nearly every row has a value of its own: a few twice are a fault of the data, not another role."""
        return self.present > 0.9 * self.rows and self.distinct > 0.9 * self.present

    @property
    def is_binary(self) -> bool:
        """Whether the values are true and false, 0 and 1, or two texts."""
        if self.kind in NUMBERS:
            return self.low is not None and self.low in (0, 1) and self.high in (0, 1) and not self.fractions
        return self.kind == "boolean" or (self.kind == "text" and 0 < self.distinct <= 2)

    @property
    def is_epoch(self) -> bool:
        """Whether the numbers, as seconds or parts of them, are times of these decades."""
        if self.kind not in NUMBERS or self.low is None or self.high is None:
            return False
        return any(_EPOCHS[0] <= self.low / unit <= self.high / unit <= _EPOCHS[1] for unit in (1, 1e3, 1e6, 1e9))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the name: `is` and `fraud` of isFraud, `user` and `id` of USER_ID and userid."""
        parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", self.name).casefold()
        return tuple(word for part in re.findall(r"[^\W\d_]+", parts) for word in _apart(part))

    def is_called(self, words: frozenset[str]) -> bool:
        """Whether one of these is among the words of the name."""
        return not words.isdisjoint(self.words)


@dataclass(frozen=True)
class Proposal:
    """A column for a role, and why."""

    column: Candidate
    why: str


def kind_of(name: str, type_: str) -> str:
    """The kind of a column by its type in DuckDB, see `Candidate.kind`."""
    return "boolean" if type_ == "BOOLEAN" else Column(name, type_, ()).kind


def looked_at(connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str]) -> list[Candidate]:
    """What the columns of a table are like: two scans, and some more of columns that may be ids.

    Args:
        table: what stands behind FROM; small enough to be read more than once.
        types: the columns and their types in DuckDB.
    """
    facts: dict[str, dict[str, Any]] = {name: {} for name in types}
    asked = [(name, what, sql) for name, kind in types.items() for what, sql in _facts(name, kind)]
    for some in _parts(asked, _ASKED_AT_ONCE):
        found = _row(connection, [sql for _, _, sql in some], table)
        for (name, what, _), value in zip(some, found, strict=True):
            facts[name][what] = value
    (rows,) = _row(connection, ["count(*)"], table)
    _count_again(connection, table, types, facts)
    _read_as_times(connection, table, types, facts)
    return [Candidate(name, types[name], rows, **of) for name, of in facts.items()]


def _facts(name: str, type_: str) -> Iterator[tuple[str, str]]:
    """What is asked of a column, and the SQL for it."""
    kind, column = kind_of(name, type_), quote(name)
    yield "present", f"count({column})"
    if kind != "other":
        yield "distinct", f"approx_count_distinct({column})"
    if kind in NUMBERS:
        number = f"{column}::DOUBLE"  # conditions within: each FILTER holds a chunk of all columns, too much for many
        finite = f"CASE WHEN isfinite({number}) THEN {number} END"
        yield "low", f"min({finite})"
        yield "high", f"max({finite})"
        yield "fractions", f"count(CASE WHEN {number} <> floor({number}) THEN 1 END)"
    if kind == "text":
        yield "low", f"min(length({column}))"
        yield "high", f"max(length({column}))"


def _count_again(
    connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], facts: Mapping[str, dict[str, Any]]
) -> None:
    """Count exactly where there may be a value for every row, or so few that one more or less matters."""
    close = [
        name
        for name, of in facts.items()
        if of.get("distinct", 0) in (3, 4)
        or (of.get("distinct", 0) > 0.8 * of["present"] and kind_of(name, types[name]) in ("integer", "text", "uuid"))
    ]
    for some in _parts(close, _COUNTED_AT_ONCE):
        counts = _row(connection, [f"count(DISTINCT {quote(name)})" for name in some], table)
        for name, count in zip(some, counts, strict=True):
            facts[name]["distinct"] = count


def _read_as_times(
    connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], facts: Mapping[str, dict[str, Any]]
) -> None:
    texts = [name for name, kind in types.items() if kind_of(name, kind) == "text" and facts[name]["present"]]
    for some in _parts(texts, _ASKED_AT_ONCE):
        first = f"(SELECT {', '.join(map(quote, some))} FROM {table} LIMIT {_TEXTS_LOOKED_AT})"
        shares = [f"count(try_cast({name} AS TIMESTAMPTZ)) / greatest(count({name}), 1)" for name in map(quote, some)]
        for name, share in zip(some, _row(connection, shares, first), strict=True):
            facts[name]["times"] = share


def _parts(several: Sequence[_Any], size: int) -> Iterator[Sequence[_Any]]:
    return (several[start : start + size] for start in range(0, len(several), size))


def _row(connection: duckdb.DuckDBPyConnection, asked: Sequence[str], table: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] = connection.execute(f"SELECT {', '.join(asked)} FROM {table}").fetchall()[0]
    return found


# --- what suits a role, from 0, not at all, to 1 -----------------------------------------------------------------


def _as_id(column: Candidate) -> float:
    if column.kind not in ("integer", "text", "uuid") or not column.is_unique or column.times > 0.5:
        return 0
    if column.kind == "text" and (column.high or 0) > _LONGEST_ID:
        return 0
    return 1 if column.distinct == column.rows else 0.5


def _as_time(column: Candidate) -> float:
    filled = 1 if column.present > 0.9 * column.rows else 0.3
    if column.is_called(OTHER_TIME) or not column.present:
        return 0
    if column.kind == "moment":
        return filled
    if column.times > 0.9:
        return 0.9 * filled
    if column.is_epoch:
        return 0.6 * filled
    plain = (
        column.kind in NUMBERS and column.is_called(EVENT | {"dt"}) and (column.low or 0) >= 0 and column.distinct > 2
    )
    return 0.1 * filled if plain else 0


def _as_party(column: Candidate) -> float:
    """Cards, terminals, users, items: ids that come again."""
    whole = column.kind == "float" and not column.fractions  # as pandas makes of ids where some are missing
    if not (whole or column.kind in ("integer", "text", "uuid")) or column.distinct < 2 or column.times > 0.5:
        return 0
    again = column.distinct < 0.9 * column.present or column.rows < 100
    return (1 if column.distinct > 20 else 0.7) if again else 0.3


def _as_amount(column: Candidate) -> float:
    if column.kind not in NUMBERS or column.low is None or column.is_binary or column.is_called(IDENTITY):
        return 0
    return 1 if column.fractions else 0.6


def _as_label(column: Candidate) -> float:
    if not column.is_binary:
        return 0
    return 0.4 if column.kind == "text" else 1 if column.distinct == 2 else 0.5


def _as_later_time(column: Candidate) -> float:
    return 1 if column.kind == "moment" else 0.9 if column.times > 0.9 else 0


def _as_weight(column: Candidate) -> float:
    if column.kind not in NUMBERS or column.low is None or column.is_called(IDENTITY | EVENT) or column.is_epoch:
        return 0
    return 1 if column.low >= 0 else 0.5


# --- what it is called ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Role:
    """How a role is recognised.

    Attributes:
        called: words that name it, the surest first.
        beside: words that may stand beside these and say nothing against it; any other does.
        never: words that say it is something else.
        fits: how well the values suit.
        nameless: whether the only column whose values suit may have any name.
    """

    called: str
    fits: Callable[[Candidate], float]
    beside: str = ""
    never: str = ""
    nameless: bool = False

    def by_name(self, column: Candidate) -> float:
        """From 0, not called so, to 1."""
        words = set(column.words)
        called = self.called.split()
        if words & set(self.never.split()) or not words & set(called):
            return 0
        first = min(called.index(word) for word in words & set(called))
        strange = len(words - set(called) - set(self.beside.split()))
        return max(1 - 0.02 * first - 0.15 * strange, 0.05)


_IDS = "id ids key uuid guid number num no nr hash code token ref"
_DESCRIBED = (
    "type kind brand category class country currency city state zip lat long lon latitude longitude group segment "
    "level status age gender date time datetime timestamp amount amt limit balance flag fraud lost stolen score"
)
_PAYMENT = "tx txn trans transaction transactions payment purchase order"
_ROLES: Mapping[str, _Role] = {
    "id": _Role(
        "id uuid guid key number num no nr ref reference transaction",
        _as_id,
        f"{_PAYMENT} event record row hash",
        nameless=True,
    ),
    "time": _Role(
        "timestamp datetime ts time date dt created occurred event when at",
        _as_time,
        f"{_PAYMENT} unix utc local epoch of on review",
        nameless=True,
    ),
    "card": _Role(
        "card cc pan cardholder account customer client user payer sender orig buyer consumer member iban",
        _as_party,
        f"{_IDS} {_PAYMENT} name",
        _DESCRIBED,
    ),
    "terminal": _Role(
        "terminal merchant merch shop store pos device atm vendor seller payee dest recipient beneficiary receiver "
        "machine location",
        _as_party,
        f"{_IDS} {_PAYMENT} name",
        _DESCRIBED,
    ),
    "amount": _Role(
        "amount amt value price total sum paid charge gross",
        _as_amount,
        f"{_PAYMENT} eur usd gbp in of",
        "avg mean average median old new balance count limit",
        nameless=True,
    ),
    "label": _Role(
        "fraud fraudulent label target class chargeback churn churned default defaulted outcome response y",
        _as_label,
        f"{_PAYMENT} is has was flag",
        "scenario type probability predicted prediction date",
        nameless=True,
    ),
    "label_time": _Role(
        "reported report confirmed confirmation chargeback disputed dispute labelled labeled detected investigated "
        "label fraud",
        _as_later_time,
        f"{_PAYMENT} is at on {' '.join(EVENT)}",
    ),
    "user": _Role(
        "user customer client visitor member reviewer account subscriber listener viewer person profile household "
        "buyer reader player session",
        _as_party,
        _IDS,
        _DESCRIBED,
    ),
    "item": _Role(
        "item product movie article asin sku song track artist book film game content listing offer video business "
        "restaurant course isbn recipe show episode story title",
        _as_party,
        _IDS,
        _DESCRIBED,
    ),
    "weight": _Role(
        "rating score stars overall weight grade rate plays quantity qty listens watched count",
        _as_weight,
        "user review item",
        "mean avg average total",
    ),
}
ROLES = (*_ROLES, "features")
_KNOWN = frozenset(word for role in _ROLES.values() for word in f"{role.called} {role.beside}".split()) | IDENTITY
_ENDINGS = "timestamp datetime date time amount id num no".split()


def _apart(word: str) -> tuple[str, ...]:
    """`userid` and `isfraud` are two words each; others are one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and word.removesuffix(ending) in _KNOWN:
            return word.removesuffix(ending), ending
    return ("is", word[2:]) if word.startswith("is") and word[2:] in _KNOWN else (word,)


def proposed(candidates: Sequence[Candidate], wanted: Mapping[str, str | None]) -> dict[str, Proposal]:
    """A column for each of the roles that one fits; no column has two.

    Args:
        candidates: the columns that are free.
        wanted: the roles, and the name that is usual for each; `features` is none of these.
    """
    found: dict[str, Proposal] = {}
    for _, role, column, why in _by_name(candidates, wanted):
        if role not in found and all(other.column is not column for other in found.values()):
            found[role] = Proposal(column, why)
    for role in wanted:
        if role not in found and role in _ROLES and _ROLES[role].nameless:
            free = [column for column in candidates if all(other.column is not column for other in found.values())]
            suiting = [
                column for column in free if _ROLES[role].fits(column) >= 0.9 and not _is_called_else(role, column)
            ]
            if len(suiting) == 1:
                found[role] = Proposal(suiting[0], "no other column could be")
    return found


def _is_called_else(role: str, column: Candidate) -> bool:
    """Whether a name speaks of another role."""
    return any(other.by_name(column) > 0 for name, other in _ROLES.items() if name != role)


def _by_name(
    candidates: Sequence[Candidate], wanted: Mapping[str, str | None]
) -> list[tuple[float, str, Candidate, str]]:
    """Every role with every column that suits it by name and values, the surest first."""
    pairs = []
    for role, usual in wanted.items():
        for column in candidates if role in _ROLES else ():
            if (fit := _ROLES[role].fits(column)) and (called := _called(role, usual, column)):
                pairs.append((called + 0.3 * fit, role, column, f"by its name{_said(role, column)}"))
    return sorted(pairs, key=lambda pair: -pair[0])  # stable: of equals the first column


def _called(role: str, usual: str | None, column: Candidate) -> float:
    is_usual = usual is not None and column.name.casefold() == usual.casefold()
    return 2 if is_usual else _ROLES[role].by_name(column)


def _said(role: str, column: Candidate) -> str:
    """What the values say for a role, where they say something."""
    if role == "id":
        return f", and {'each' if column.distinct == column.present else 'nearly each'} value is there once"
    if role == "label":
        return ", and it has two values" if column.distinct == 2 else ""
    if role in ("card", "terminal", "user", "item") and column.distinct < column.present:
        return ", and its values come again"
    return ""


def could_be_feature(column: Candidate) -> bool:
    """Whether a model may learn from it: numbers, true or false, few texts; neither ids nor constants nor people."""
    if column.distinct < 2 or column.is_called(IDENTITY) or Column(column.name, column.type, ()).is_personal:
        return False
    if column.kind == "integer" and column.distinct == column.rows > 2:  # numbers given out one after the other
        return False
    if column.kind == "integer" and any(_ROLES[role].by_name(column) > 0 for role in ("card", "user")):
        return False  # a number like another: it says who, not how much
    if column.kind == "text":
        return column.times < 0.5 and column.distinct <= _FEW_TEXTS and column.distinct < 0.5 * column.present
    return column.kind in (*NUMBERS, "boolean")


__all__ = ["NUMBERS", "ROLES", "Candidate", "Proposal", "could_be_feature", "kind_of", "looked_at", "proposed"]

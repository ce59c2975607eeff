"""Draft a suite from good data: rules with the reasons for them, for a person to keep, loosen or delete."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ostinato.tables import literal, quote

from .families import family
from .formulas import is_formula
from .profile import EVENT, FEW_ROWS, FUTURE, IDENTITY, OTHER_TIME, Batch, Column, holding, largest_gap, profiled
from .writing import comment, entry, key_and_value, shown, spelled

if TYPE_CHECKING:
    import duckdb

__all__ = ["Batch", "draft"]

_BETWEEN = "column_values_to_be_between"
_SETS_ASIDE = {"on_fail": "quarantine"}
_WARNS = {"severity": "warning"}
_LONGEST_CODE = 100  # characters; PostgreSQL counts to 255 in a pattern
_LONG = 400  # days; what comes less often than once a year is not waited for
_RARE = 5  # a value seen less often is listed nowhere: it may say something about a person
_LARGEST = {"integer": Decimal(2**63 - 1), "float": Decimal("1.7e308"), "decimal": Decimal("1e38")}


@dataclass(frozen=True)
class _Draft:
    """A rule and why it is drafted, or only a remark.

    `claim`, if any, is SQL that must be true of each batch, see `holding`; `otherwise` takes its place where it is not.
    """

    why: str
    expectation: str = ""
    arguments: Any = None
    options: Mapping[str, str] | None = None
    claim: str = ""
    otherwise: _Draft | None = None


def draft(
    connection: duckdb.DuckDBPyConnection,
    batches: Sequence[Batch],
    *,
    dataset: str,
    ids: Collection[str] = (),
    late: Collection[str] = (),
) -> str:
    """The YAML text of a suite that good batches meet; the same batches give the same text.

    A rule is drafted only if it holds on each batch. Bounds come from the extremes over the batches, widened outwards:
    by the range seen over the square root of the number of batches (three times that where values are few or have a
    long tail), and percentiles by the factor 1 + 1/√batches, so that four batches that agree are let stray half as
    far as one. Percentiles come from at most some millions of rows, and are proven on all.

    Nothing is listed but values that are few and each seen again and again, and none of a column that sounds personal.
    "Today" is the day of the draft: rules against future times are left out where the data has such times.

    Args:
        dataset: what the table holds; becomes the suite's name.
        ids: columns that tell things apart, whatever they are called: new values are right.
        late: columns whose latest values may not be known yet: nulls are right.

    Raises:
        DataError: no batch, no rows, or batches of different columns or types.
    """
    until = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    columns = [
        replace(column, is_id=column.name in ids, is_late=column.name in late)
        for column in profiled(connection, batches, until)
    ]
    event = _event_time(columns)
    drafts = [*_of_table(columns)]
    for column in columns:
        if _can_be_named(column.name):
            drafts += _of_column(column)
            if column is event:
                drafts.append(_freshness(column, largest_gap(connection, batches, column.name)))
        else:
            drafts.append(_Draft(f"{shown(column.name)}: no rule can speak of a column of this name"))
    claims = [rule.claim for rule in drafts if rule.claim]
    held = {"": True, **dict(zip(claims, holding(connection, batches, claims), strict=True))}
    kept = [rule if held[rule.claim] else rule.otherwise for rule in drafts]
    facts = {"version": 1, "dataset": dataset, **_key(columns), "max_quarantine": 0.01, **_sensitive(columns)}
    return "\n".join(_written(_head(batches, columns), facts, columns, [rule for rule in kept if rule])) + "\n"


def _head(batches: Sequence[Batch], columns: Sequence[Column]) -> str:
    names = [batch.name for batch in batches]
    listed = ", ".join(names if len(names) <= 5 else [*names[:4], f"… {names[-1]}"])
    what = "1 batch" if len(batches) == 1 else f"{len(batches)} batches"
    return (
        f"Drafted from {what} ({listed}; {columns[0].rows:,} rows). Every rule below held on "
        f"{'it' if len(batches) == 1 else 'all of them'}: keep what must hold, loosen what may change, delete the rest."
    )


def _key(columns: Sequence[Column]) -> dict[str, str]:
    """The column that identifies a row: never null, unique, best called so."""
    keys = [
        column
        for column in columns
        if column.unique and not column.absent and column.is_identity and _can_be_named(column.name)
    ]
    keys.sort(key=lambda column: not column.is_called(IDENTITY))
    return {"key": keys[0].name} if keys else {}


def _sensitive(columns: Sequence[Column]) -> dict[str, list[str]]:
    personal = [column.name for column in columns if column.is_personal]
    return {"sensitive": personal} if personal else {}


def _of_table(columns: Sequence[Column]) -> Iterator[_Draft]:
    counts = [seen.rows for seen in columns[0].batches]
    low, high = min(counts), max(counts)
    yield _Draft(
        f"{_range(low, high)} rows a batch seen: half of the fewest to twice the most",
        "table_row_count_to_be_between",
        {"min_value": _outwards(Decimal(low) / 2, False, "integer"), "max_value": _outwards(high * 2, True, "integer")},
        _WARNS,
    )
    names = [column.name for column in columns]
    if all(_can_be_named(name) and '"' not in name for name in names):  # GX takes quotes off names in a list
        arguments = {"column_set": names, "exact_match": True}
        why = "the columns seen: one more may be right, but somebody should know"
        yield _Draft(why, "table_columns_to_match_set", arguments, _WARNS)


def _of_column(column: Column) -> Iterator[_Draft]:
    if not column.present:
        yield _Draft(f"{shown(column.name)}: always null: no rule")
        return
    yield _nulls(column)
    if column.unique and column.is_identity:
        count = f"each of {column.present:,} values is there once"
        why = f"{count}{', batch by batch' if len(column.batches) > 1 else ''}; of duplicates all are set aside"
        yield _Draft(why, "column_values_to_be_unique", column.name, _SETS_ASIDE)
    if column.kind == "text":
        yield _of_text(column)
    elif column.kind in ("integer", "float", "decimal"):
        yield from _of_number(column)
    elif column.kind == "moment":
        yield _not_later(column)


def _nulls(column: Column) -> _Draft:
    rule = "column_values_to_not_be_null"
    if column.is_late:
        return _Draft(f"{shown(column.name)}: known later than the rest of its row: null until then")
    if not column.absent:
        return _Draft(f"never null in {column.rows:,} rows", rule, column.name, _SETS_ASIDE)
    if column.absent > 0.05:
        return _Draft(f"{shown(column.name)}: up to {column.absent:.1%} of a batch is null: no rule about that")
    mostly = _share(1 - 2 * column.absent)
    why = f"{column.rows - column.present:,} of {column.rows:,} values null, up to {column.absent:.2%} of a batch"
    return _Draft(why, rule, {"column": column.name, "mostly": mostly}, _WARNS)


# text


def _of_text(column: Column) -> _Draft:
    if not column.is_id and (found := _listed(column)):
        return found
    most = _outwards(2 * column.high, True, "integer") or 1
    lengths = _Draft(
        f"{_range(column.low, column.high)} characters seen: up to twice as many",
        "column_value_lengths_to_be_between",
        {"column": column.name, "min_value": min(column.low, 1), "max_value": most},
        _SETS_ASIDE,
    )
    if column.is_id or column.high > _LONGEST_CODE or not (regex := _shape(column.texts)):
        return lengths
    name = quote(column.name)
    return _Draft(
        f"a code: about {column.distinct:,} different ones, all of this shape",
        "column_values_to_match_regex",
        {"column": column.name, "regex": regex},
        _SETS_ASIDE,
        claim=f"count(CASE WHEN NOT regexp_matches({name}, {literal(regex)}) THEN 1 END) = 0",
        otherwise=lengths,
    )


def _listed(column: Column) -> _Draft | None:
    """The values of a column that has few; those of texts are let change, for new ones appear rightly."""
    values = column.values
    if not values or column.is_personal or 20 * len(values) > column.present:
        return None
    often = [value for value, count in values.items() if count >= _RARE]
    covered = min(
        sum(of.get(value, 0) for value in often) / seen.present
        for seen in column.batches
        if (of := seen.values) and seen.present
    )
    if covered < 0.995 or any(is_formula(value) for value in often):
        return None
    rare = f" ({len(values) - len(often)} rare ones are not listed)" if len(values) > len(often) else ""
    return _Draft(
        f"{len(often)} value{'' if len(often) == 1 else 's'} seen{rare}. New ones may be right, so they warn when they "
        "are more than 1 %; if the list is closed, write on_fail: quarantine instead",
        "column_values_to_be_in_set",
        {"column": column.name, "value_set": often, "mostly": 0.99},
        _WARNS,
    )


def _shape(texts: Sequence[str]) -> str | None:
    """The pattern of codes such as `AB-1234`: classes of characters and the signs between them; None for other text.

    A letter that all have stays, digits may be any. Codes are of one length, or have a digit each and no blank. Runs
    of varying length may be one shorter and two longer than seen. RE2 and PostgreSQL read the pattern alike.
    """
    pieces = [re.findall(r"[A-Za-z0-9]+|[^A-Za-z0-9]+", text) for text in texts]
    signs = {tuple("" if piece[0].isalnum() and piece.isascii() else piece for piece in of) for of in pieces}
    if len(texts) < 20 or len(signs) != 1:
        return None
    (layout,) = signs
    between = "".join(layout)
    same_length = len({len(text) for text in texts}) == 1
    have_digits = all(any(char.isdigit() for char in text) for text in texts)
    if not (between.isascii() and (between == "" or between.isprintable())):
        return None
    if not same_length and (" " in between or not have_digits):
        return None
    parts = (
        re.sub(r"([][.{}()*+?^$|\\])", r"\\\1", sign) if sign else _classes([of[place] for of in pieces])
        for place, sign in enumerate(layout)
    )
    return f"^{''.join(parts)}$"


def _classes(runs: Sequence[str]) -> str:
    """The pattern of runs of ASCII letters and digits."""
    lengths = {len(run) for run in runs}
    if len(lengths) > 1:
        return f"{_class(set().union(*runs))}{{{max(min(lengths) - 1, 1)},{max(lengths) + 2}}}"
    places = [_class(set(chars)) for chars in zip(*runs, strict=True)]
    starts = [0, *(place for place in range(1, len(places)) if places[place] != places[place - 1]), len(places)]
    return "".join(places[a] + (f"{{{b - a}}}" if b - a > 1 else "") for a, b in pairwise(starts))


def _class(chars: set[str]) -> str:
    kinds = {
        "A-Z": any(char.isupper() for char in chars),
        "a-z": any(char.islower() for char in chars),
        "0-9": any(char.isdigit() for char in chars),
    }
    if len(chars) == 1 and not kinds["0-9"]:
        return next(iter(chars))
    if len(chars) > 12 and kinds["0-9"] and chars <= set("0123456789abcdef"):
        return "[0-9a-f]"
    return f"[{''.join(kind for kind, there in kinds.items() if there)}]"


# numbers


def _of_number(column: Column) -> Iterator[_Draft]:
    values = column.values
    if column.kind == "integer" and values and values.keys() <= {0, 1}:
        seen = "0 and 1" if len(values) == 2 else f"only {next(iter(values))}"
        label = {"column": column.name, "value_set": [0, 1]}
        yield _Draft(f"{seen} seen: a label", "column_values_to_be_in_set", label, _SETS_ASIDE)
        yield _share_of_ones(column)
    elif column.is_id or (column.kind == "integer" and column.is_identity):
        if column.low is not None and column.low >= 0 and not column.odd:
            arguments = {"column": column.name, "min_value": 0}
            yield _Draft("identifies something: no limit but zero", _BETWEEN, arguments, _SETS_ASIDE)
    elif column.kind == "integer" and column.is_codes and (found := _listed(column)):
        yield found
    elif column.is_personal:
        yield _Draft(f"{shown(column.name)}: by its name about people: no rule that shows values")
    elif column.low is not None:
        yield _limits(column)
        if column.percentiles:
            yield from _percentiles(column)
    else:
        yield _Draft(f"{shown(column.name)}: no finite number seen: no rule about the values")


def _share_of_ones(column: Column) -> _Draft:
    ones = [(seen.values or {}).get(1, 0) for seen in column.batches]
    rarer = min(min(one, seen.present - one) for one, seen in zip(ones, column.batches, strict=True))
    if rarer < 2 * _RARE:
        return _Draft(f"{shown(column.name)}: 0 or 1 is too rare to judge their shares")
    means = [one / seen.present for one, seen in zip(ones, column.batches, strict=True)]
    low, high = min(means), max(means)
    return _Draft(
        f"{_range(low, high)} is the share of 1 seen: a third to three times that",
        "column_mean_to_be_between",
        {
            "column": column.name,
            "min_value": _outwards(low / 3, False),
            "max_value": min(_outwards(min(3 * high, 1 - (1 - high) / 3), True), Decimal(1)),
        },
        _WARNS,
    )


def _limits(column: Column) -> _Draft:
    """The range seen, widened; zero is a limit where nothing lay beyond it."""
    low, high, of = Decimal(column.low), Decimal(column.high), column.percentiles
    body = (of[0.03][0], of[0.97][1]) if of else (low, high)
    reach = (high - low or abs(high) or 1) / Decimal(len(column.batches)).sqrt()
    below, above = (
        reach * (3 if column.present < FEW_ROWS or tail > body[1] - body[0] else 1)
        for tail in (body[0] - low, high - body[1])
    )
    least = _outwards(Decimal(0) if low >= 0 and low - below < low / 10 else low - below, False, column.kind)
    most = _outwards(min(high + above, Decimal(0)) if low < 0 >= high else high + above, True, column.kind)
    arguments = {"column": column.name, "min_value": least, "max_value": most}
    room = f", and {above / (high - low):.2g} times that range beyond" if high > low else ", and room beyond"
    why = f"{_range(column.low, column.high)} seen{room}"
    limited = {key: value for key, value in arguments.items() if value is not None}
    if not column.odd and len(limited) > 1:
        nan = "; NaN is above every limit" if column.kind == "float" and most is not None else ""
        return _Draft(f"{why}{nan}", _BETWEEN, limited, _SETS_ASIDE)
    odd = max(seen.odd / seen.present for seen in column.batches if seen.present)
    if odd > 0.05 or len(limited) == 1:
        what = f"{odd:.1%} of a batch is NaN or infinite" if odd else "numbers as large as their type allows"
        return _Draft(f"{shown(column.name)}: {what}: no rule about the values")
    mostly = f"{why}; {column.odd:,} of {column.present:,} are NaN or infinite, which fall outside"
    return _Draft(mostly, _BETWEEN, {**limited, "mostly": _share(1 - 2 * odd)}, _WARNS)


def _percentiles(column: Column) -> Iterator[_Draft]:
    """Bands for the percentiles 5, 50 and 95, wide enough for their neighbours: another unit falls out of them."""
    of, factor = column.percentiles, 1 + 1 / math.sqrt(len(column.batches))
    room = (of[0.97][1] - of[0.03][0]) * Decimal(factor - 1) / 3
    name, claims = quote(column.name), []
    bands: dict[float, list[Any]] = {}
    for share, below, above in ((0.05, 0.03, 0.07), (0.5, 0.4, 0.6), (0.95, 0.93, 0.97)):
        low, high = of[below][0], of[above][1]
        if column.low >= 0:
            least, most = low / Decimal(factor), high * Decimal(factor)
        else:
            least, most = low - room, high + room
        band = [_outwards(least, False), _outwards(most, True)]
        if least == most or None in band:  # nothing but zeros says nothing of units
            continue
        bands[share] = band
        under, upto = (
            f"count(CASE WHEN {name} {sign} {bound} THEN 1 END)" for sign, bound in zip(("<", "<="), band, strict=True)
        )
        claims.append(f"{under} < {share} * count({name}) AND {upto} >= {share} * count({name})")
    if bands:
        ranges = {"quantiles": list(bands), "value_ranges": list(bands.values())}
        middle = _range(*of[0.5])
        yield _Draft(
            f"{middle} is the median seen: far from these percentiles the unit may have changed",
            "column_quantile_values_to_be_between",
            {"column": column.name, "quantile_ranges": ranges},
            _WARNS,
            claim=" AND ".join(claims),
        )


# times


def _not_later(column: Column) -> _Draft:
    times = f"{_range(column.low, column.high)} seen" if column.low and not column.is_personal else "times seen"
    if column.odd or column.low is None:
        return _Draft(f"{shown(column.name)}: {times}, later than today too: no rule against the future")
    if column.is_called(FUTURE):
        return _Draft(f"{shown(column.name)}: {times}; by its name it may lie in the future: no rule against that")
    arguments = {"column": column.name, "max_value": "{{ day + 1d }}"}
    return _Draft(f"{times}: not later than the day of the run", _BETWEEN, arguments, _SETS_ASIDE)


def _event_time(columns: Sequence[Column]) -> Column | None:
    """The column that says when a row happened: one without gaps, best called so, and the first of those."""
    times = [
        column
        for column in columns
        if column.kind == "moment" and all(seen.low for seen in column.batches) and not column.odd
        if not column.is_called(OTHER_TIME)
    ]
    times.sort(key=lambda column: (column.absent > 0, not column.is_called(EVENT)))
    return next((column for column in times if _can_be_named(column.name)), None)


def _freshness(column: Column, gap: int) -> _Draft:
    if gap > _LONG:
        return _Draft(f"{shown(column.name)}: up to {gap:,} days from one day with rows to the next: never stale")
    usual = {0: "one day seen, so perhaps there are rows every day", 1: "every day seen has rows"}
    often = usual.get(gap, f"up to {gap} days seen from one day with rows to the next")
    arguments = {"column": column.name, "min_value": f"{{{{ as_of - {max(2, gap + 1)}d }}}}"}
    return _Draft(f"{often}: older data is stale", "column_max_to_be_between", arguments, _WARNS)


def _can_be_named(name: str) -> bool:
    """Whether a rule can name a column: it has a name, and one that is no formula."""
    return name != "" and not is_formula(name)


# numbers for people


def _outwards(number: Decimal | float, up: bool, kind: str = "float") -> Any:
    """A limit of two significant digits beyond `number`; whole for whole numbers, None beyond what the kind holds."""
    exact = Decimal(number)
    if kind == "integer":
        exact = Decimal(math.ceil(exact) if up else math.floor(exact))
    place = exact.adjusted() - 1
    step = Decimal(1).scaleb(max(place, 0) if kind == "integer" else place)
    rounded = exact.quantize(step, "ROUND_CEILING" if up else "ROUND_FLOOR") if exact else exact
    if abs(rounded) > _LARGEST[kind]:
        return None
    return int(rounded) if kind == "integer" else rounded


def _share(number: float) -> float:
    return math.floor(number * 100) / 100


def _range(low: Any, high: Any) -> str:
    first, last = _number(low), _number(high)
    return first if first == last else f"{first} to {last}"


def _number(value: Any) -> str:
    if isinstance(value, str):  # a day
        return value
    number = float(value)
    if number and not 1e-4 <= abs(number) < 1e15:
        return f"{number:.3g}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number + 0.0:.4g}"  # never -0


def _written(head: str, facts: Mapping[str, Any], columns: Sequence[Column], drafts: Sequence[_Draft]) -> Iterator[str]:
    """The lines of the suite."""
    yield from comment(head)
    for key, value in facts.items():
        yield f"{key}: {spelled(value)}"
    yield "columns:"
    for column in columns:
        yield key_and_value(column.name, family(column.type), "  ")
    yield "expectations:"
    for rule in drafts:
        yield from comment(rule.why, "  ")
        if rule.expectation:
            yield from entry(rule.expectation, rule.arguments, rule.options or {})

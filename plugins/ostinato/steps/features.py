"""Point-in-time features of card transactions, in one DuckDB query.

Every window of a row looks at rows up to and including the row's own instant, so the order of ties does not matter,
and reaches back 30 days at most (delayed windows: 30 days and the label delay). Each feature is exact: counts and
sums are integers, amounts being summed in units of 1/10,000, because floating sums depend on the order in which
threads add. So the same rows give the same bits on every machine.

Two things make it fast. DuckDB searches the start of a RANGE frame for every row, function and frame, which costs more
than sorting: so each frame has one function, whose sum holds several numbers in one wide integer. And frauds, being
few, enter and leave a running sum as events of their own, which needs no search at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ostinato.context import current
from ostinato.errors import DataError
from ostinato.graph import step
from ostinato.tables import Dataset, duck, literal, quote

from .windows import KNOWN_FRAUD, LABEL_TIME, LOOK_BACK_DAYS, Labels, time_windows

if TYPE_CHECKING:
    import duckdb

_WINDOW_DAYS = (1, 7, 30)
_DAY = 86_400_000_000  # microseconds
_UNITS = 10_000  # an amount is summed in units of 1/10,000
_LARGEST = 900_000_000_000  # in units still exact in a double
# A card's frame is one 128-bit sum: the amount above bit 56, the rows above bit 28, the rows without an amount below.
_ROWS, _AMOUNT = 28, 56
# A terminal's active frauds are one 128-bit sum too, 40 bits for each length of window.
_FRAUDS = {days: 40 * place for place, days in enumerate(_WINDOW_DAYS)}
_FRAUDS_MASK = (1 << 40) - 1


@dataclass(frozen=True)
class Columns:
    """What a table of transactions calls its columns; the rest of the table is not read.

    Attributes:
        id: identifies the transaction; integers or strings, as for `card` and `terminal`.
        time: when it happened, a timestamp in UTC.
        card: who paid. Rows without one have no card features.
        terminal: where. Rows without one have no terminal features.
        amount: resolution 0.0001, up to 900 billion either way; NaN and infinities count as missing.
        label: 1 or true for fraud; a missing label is negative.
        label_time: when a fraud was reported, in UTC; a fraud without it is never known. None: after the label delay.
    """

    id: str = "tx_id"
    time: str = "ts"
    card: str = "card_id"
    terminal: str = "terminal_id"
    amount: str = "amount"
    label: str = "is_fraud"
    label_time: str | None = None


def _each(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.format(days) for days in _WINDOW_DAYS)


FEATURES: tuple[str, ...] = (
    "amount",
    *_each("card_count_{}d"),
    *_each("card_sum_{}d"),
    *_each("card_mean_{}d"),
    "card_ratio",
    "card_seconds_since",
    *_each("terminal_count_{}d"),
    *_each("terminal_fraud_{}d"),
    "hour",
    "night",
    "weekend",
)
"""What a model may learn from, in order.

`card_count_7d`, `card_sum_7d`, `card_mean_7d`: number, sum and mean of the card's transactions in (t − 7 d, t]; the
mean is over those with an amount. `card_ratio`: the amount over the card's 30-day mean. `card_seconds_since`: since the
card's last transaction at an earlier instant, NULL if none within 30 days. `terminal_count_7d`: the terminal's
transactions in (t − 7 d, t]. `terminal_fraud_7d`: of its transactions in (t − d − 7 d, t − d], the share known at t to
be fraud; NULL if there was none. `hour` (UTC), `night` (0–6 h) and `weekend` are whole numbers.
"""


@step
def fraud_features(
    transactions: Dataset,
    *,
    columns: Columns = Columns(),
    label_delay_days: int = 7,
    test_days: int = 7,
    train_days: int | None = None,
    labels: Labels = "delayed",
    extra: Sequence[str] = (),
) -> Dataset:
    """Describe each transaction by what its card and its terminal did before, as known at that moment.

    The columns are `id, time, card, terminal, amount, label`, `label_time` where there is one, `card_known_fraud_at`
    (the card's latest fraud, of those read, that was known as the row's day began in UTC), the other `FEATURES`, and
    `extra_<name>` for each extra column. The method is that of the Fraud Detection Handbook (Le Borgne et al.,
    chapter 3), with windows by the microsecond.

    Args:
        columns: the table's own names.
        label_delay_days: a fraud is known so many days after it happened, or when reported if that is later.
        test_days, train_days, labels: the run's windows, see `time_windows`. With `train_days` rows before the
            training window are looked at as far as features reach back, and left out.
        extra: more columns to hand on as they are. Nothing else of the table is read.

    Raises:
        DataError: a missing column, a label other than 0 and 1, an amount too large to add exactly, a missing time.
    """
    import duckdb

    extra = list(dict.fromkeys(extra))
    transactions.require([*_named(columns), *extra])
    history_from, train_from = _starts(label_delay_days, test_days, train_days, labels)
    with duck() as connection:
        table = transactions.sql(connection)
        _check(connection, transactions.uri, table, columns, history_from)
        chain = [
            f"tx AS ({_read(table, transactions.schema, columns, extra, history_from)})",
            f"fraud AS MATERIALIZED ({_frauds(label_delay_days, columns.label_time is not None)})",
            f"by_terminal AS ({_by_terminal(label_delay_days)})",
            f"by_card AS ({_by_card()})",
            f"known AS ({_known()})",
        ]
        chosen = _select(columns.label_time is not None, extra, train_from)
        try:
            made = Dataset.save(connection, f"WITH {', '.join(chain)} {chosen}", "features", time="time")
        except duckdb.DataError as error:  # the amounts of one card exceed 128 bits, times the range of microseconds
            raise DataError(f"{transactions.uri}: {str(error).splitlines()[0]}") from error
    current().log(f"described {made.rows:,} transactions by {len(FEATURES)} features")
    return made


def _starts(
    label_delay_days: int, test_days: int, train_days: int | None, labels: Labels
) -> tuple[datetime | None, datetime | None]:
    """The earliest rows to look at and to hand on; without a moment there is neither."""
    as_of = current().as_of
    windows = time_windows(
        as_of or datetime(9999, 1, 1, tzinfo=UTC),
        test_days=test_days,
        train_days=train_days,
        label_delay_days=label_delay_days,
        labels=labels,
    )
    return (windows.history_from, windows.train_from) if as_of else (None, None)


def _named(columns: Columns) -> list[str]:
    return [name for name in astuple(columns) if name is not None]


def _check(
    connection: duckdb.DuckDBPyConnection, uri: str, table: str, columns: Columns, history_from: datetime | None
) -> None:
    """Refuse what has no place in time, cannot be added exactly, or is neither fraud nor not: in one cheap scan."""
    time, amount, label = (quote(name) for name in (columns.time, columns.amount, columns.label))
    moment, number, mark = (
        f"TRY_CAST({time} AS TIMESTAMP)",
        *(f"TRY_CAST({name} AS DOUBLE)" for name in (amount, label)),
    )
    rules = {
        columns.time: (f"isfinite({moment})", "Every row needs a timestamp: load(…, time=…) makes one."),
        columns.amount: (
            f"{amount} IS NULL OR NOT isfinite({number}) OR abs({number}) <= {_LARGEST}",
            f"Amounts are numbers up to {_LARGEST:,} either way.",
        ),
        columns.label: (f"{label} IS NULL OR isnan({mark}) OR {mark} IN (0, 1)", "Labels are 0 and 1."),
    }
    if columns.label_time is not None:
        reported = quote(columns.label_time)
        readable = f"{reported} IS NULL OR TRY_CAST({reported} AS TIMESTAMP) IS NOT NULL"
        rules[columns.label_time] = (readable, "Labels have timestamps, or none.")
    asked = []
    for name, (rule, _) in rules.items():
        broken = f"FILTER (NOT coalesce({rule}, false))"
        asked += [f"count(*) {broken}", f"any_value({quote(name)}::VARCHAR) {broken}"]
    within = f" WHERE coalesce({moment} >= {literal(history_from)}, true)" if history_from else ""
    row = connection.execute(f"SELECT {', '.join(asked)} FROM {table}{within}").fetchone()
    assert row is not None  # an aggregate without GROUP BY has one row
    for position, (name, (_, sentence)) in enumerate(rules.items()):
        count, example = row[2 * position : 2 * position + 2]
        if count:
            such = "missing" if example is None else f"such as {str(example)[:40]!r}"
            raise DataError(f"{uri}: {count:,} values of {name!r} cannot be used, {such}. {sentence}")


def _read(
    table: str, schema: Mapping[str, str], columns: Columns, extra: Sequence[str], history_from: datetime | None
) -> str:
    """The stranger's table under our names: the only place where its own are read."""
    amount, time = f"{quote(columns.amount)}::DOUBLE", f"{quote(columns.time)}::TIMESTAMP"
    chosen = {
        **{ours: _identity(theirs, schema) for ours, theirs in _ids(columns).items()},
        "us": f"epoch_us({time})",
        "amount": f"CASE WHEN isfinite({amount}) THEN {amount} END",
        "label": f"coalesce(TRY_CAST({quote(columns.label)} AS DOUBLE) = 1, false)::INTEGER",
        **{f"extra_{name}": quote(name) for name in extra},
    }
    if columns.label_time is not None:
        reported = f"{quote(columns.label_time)}::TIMESTAMP"
        chosen["reported"] = f"CASE WHEN isfinite({reported}) THEN epoch_us({reported}) END"
    listed = ", ".join(f"{expression} AS {quote(name)}" for name, expression in chosen.items())
    within = f" WHERE {time} >= {literal(history_from)}" if history_from else ""
    return f"SELECT {listed} FROM {table}{within}"


def _ids(columns: Columns) -> dict[str, str]:
    return {"id": columns.id, "card": columns.card, "terminal": columns.terminal}


def _identity(name: str, schema: Mapping[str, str]) -> str:
    # Whole numbers with gaps arrive as floats from pandas, the gaps as NaN.
    if schema[name] in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN NOT isnan({quote(name)}) THEN {quote(name)} END"
    return quote(name)


def _frauds(delay_days: int, reported: bool) -> str:
    """Each fraud, when it became known (never at its own instant), and the first day that began with it known.

    As in the Fraud Detection Handbook, a day does not know of a fraud that became `delay_days` old as it began.
    """
    known, settled, where = f"us + {max(delay_days * _DAY, 1)}", f"us + {delay_days * _DAY}", "label = 1"
    if reported:
        known, settled = f"greatest({known}, reported)", f"greatest({settled}, reported - 1)"
        where += " AND reported IS NOT NULL"
    day = f"date_trunc('day', make_timestamp({settled})) + INTERVAL 1 DAY"
    return f"SELECT card, terminal, us, {known} AS known, {day} AS day FROM tx WHERE {where}"


def _by_terminal(delay_days: int) -> str:
    """Transactions with their terminal's counts and its share of known frauds.

    A fraud counts from the moment it is known until it leaves the delayed window. Coming and going are rows of their
    own, with a `change` to a running sum, and are dropped afterwards.
    """
    leaves = {days: f"us + {(delay_days + days) * _DAY}" for days in _WINDOW_DAYS}
    change = {days: f"(known < {leaves[days]})::HUGEINT * {1 << shift}" for days, shift in _FRAUDS.items()}
    events = [f"{{'us': known, 'change': {' + '.join(change.values())}}}"]
    events += [f"{{'us': {leaves[days]}, 'change': -({change[days]})}}" for days in _WINDOW_DAYS]
    # (t - d - w, t - d] is (t - d - w, t] less (t - d, t]; a frame between two earlier moments costs two searches.
    delay = max(delay_days * _DAY, 1)
    lengths = {delay, *(days * _DAY for days in _WINDOW_DAYS), *((delay_days + days) * _DAY for days in _WINDOW_DAYS)}
    counts = [f"count(here) OVER {_trailing('terminal', length)} AS n{length}" for length in sorted(lengths)]
    features = []
    for days in _WINDOW_DAYS:
        frauds = f"((coalesce(active, 0) >> {_FRAUDS[days]}) & {_FRAUDS_MASK})"
        delayed = f"nullif(n{(delay_days + days) * _DAY} - n{delay}, 0)"
        features += [
            f"CASE WHEN terminal IS NOT NULL THEN n{days * _DAY}::INTEGER END AS terminal_count_{days}d",
            f"CASE WHEN terminal IS NOT NULL THEN {frauds} / {delayed} END AS terminal_fraud_{days}d",
        ]
    scaffold = ", ".join(["here", "change", "active", *(f"n{length}" for length in sorted(lengths))])
    return (
        f"SELECT * EXCLUDE ({scaffold}), {', '.join(features)} FROM ("
        f"SELECT *, {', '.join(counts)}, sum(change) OVER ({_in_order('terminal')}) AS active FROM ("
        f"SELECT *, 1::UTINYINT AS here, 0::HUGEINT AS change FROM tx UNION ALL BY NAME "
        f"SELECT terminal, unnest([{', '.join(events)}], recursive := true) FROM fraud)) "
        "WHERE here = 1"
    )


def _trailing(who: str, length: int) -> str:
    return f"({_in_order(who)} RANGE BETWEEN {length - 1} PRECEDING AND CURRENT ROW)"


def _in_order(who: str) -> str:
    # Rows of nobody would make one partition so large that a single thread must sort it in memory: each instant is
    # a partition of its own. What their windows hold is not handed on.
    return f"PARTITION BY {who}, CASE WHEN {who} IS NULL THEN us END ORDER BY us"


def _by_card() -> str:
    """Transactions with their card's sums, still packed, and the instant before."""
    packed = (
        f"coalesce(round(amount * {_UNITS}), 0)::BIGINT::HUGEINT * {1 << _AMOUNT} "
        f"+ {1 << _ROWS} + (amount IS NULL)::INTEGER"
    )
    found = {f"card_{days}": f"sum({packed}) OVER {_trailing('card', days * _DAY)}" for days in _WINDOW_DAYS}
    found["before"] = f"first_value(us) OVER ({_in_order('card')} GROUPS BETWEEN 1 PRECEDING AND 1 PRECEDING)"
    listed = ", ".join(f"CASE WHEN card IS NOT NULL THEN {value} END AS {name}" for name, value in found.items())
    return f"SELECT *, {listed} FROM by_terminal"


def _known() -> str:
    """For each card its frauds worth remembering: the latest of those that are known from the same day on."""
    return (
        "SELECT card, list({'us': us, 'day': day}) AS frauds FROM "
        "(SELECT card, day, max(us) AS us FROM fraud GROUP BY ALL) GROUP BY card"
    )


def _select(reported: bool, extra: Sequence[str], train_from: datetime | None) -> str:
    """The columns of the result, the packed sums taken apart."""
    expressions = _feature_sql()
    chosen = {
        **{name: name for name in ("id", "time", "card", "terminal", "amount", "label")},
        **({LABEL_TIME: "make_timestamp(reported)"} if reported else {}),
        KNOWN_FRAUD: "make_timestamp(list_max([f.us for f in frauds if f.day <= time]))",
        **{name: expressions.get(name, name) for name in FEATURES},
        **{f"extra_{name}": quote(f"extra_{name}") for name in extra},
    }
    listed = ", ".join(f"{expression} AS {quote(name)}" for name, expression in chosen.items())
    within = f" WHERE us >= epoch_us({literal(train_from)})" if train_from else ""
    return (
        f"SELECT {listed} FROM (SELECT *, make_timestamp(us) AS time FROM by_card LEFT JOIN known USING (card){within})"
    )


def _feature_sql() -> dict[str, str]:
    mask = (1 << _ROWS) - 1
    made = {
        "card_ratio": "amount / nullif(card_mean_30d, 0)",
        "card_seconds_since": f"CASE WHEN before > us - {LOOK_BACK_DAYS * _DAY} THEN (us - before) / 1000000 END",
        "hour": "hour(time)::INTEGER",
        "night": "(hour(time) < 6)::INTEGER",
        "weekend": "(isodow(time) >= 6)::INTEGER",
    }
    for days in _WINDOW_DAYS:
        packed = f"card_{days}"
        made[f"card_count_{days}d"] = f"(({packed} >> {_ROWS}) & {mask})::INTEGER"
        made[f"card_sum_{days}d"] = f"({packed} >> {_AMOUNT})::DOUBLE / {_UNITS}"
        made[f"card_mean_{days}d"] = f"card_sum_{days}d / nullif(card_count_{days}d - ({packed} & {mask})::INTEGER, 0)"
    return made

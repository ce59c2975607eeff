"""Check a table against a suite of rules before anything is learnt from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ostinato.artifacts import Validation
from ostinato.context import current
from ostinato.errors import RuleBroken, ValidationFailed, suggest
from ostinato.graph import step
from ostinato.suites import naming
from ostinato.suites.expectations import ROWS
from ostinato.suites.families import family, fits
from ostinato.suites.filling import filled
from ostinato.suites.judgement import Judged, Judgement
from ostinato.suites.predicates import broken, can_split
from ostinato.suites.reading import SuiteError, read_suite
from ostinato.suites.suite import Rule, Suite
from ostinato.tables import Dataset, duck, free_name, quote
from ostinato.workspace import public

from .places import Place, in_database, in_spark
from .quarantine import Apart
from .sources import opened
from .validation_history import History
from .validation_record import written

if TYPE_CHECKING:
    import duckdb

_SCHEMA = "columns"  # the type of rules that a suite's `columns:` stands for


@step
def validate(
    data: Dataset,
    *,
    suite: str | Mapping[str, Any] | None = None,
    default: Mapping[str, Any] | None = None,
    names: Mapping[str, str | int | float | None] | None = None,
    tables: Mapping[str, Dataset] | None = None,
    subject: str | None = None,
    max_quarantine: float | None = None,
    samples: int = 0,
) -> Dataset:
    """Check a table against a suite, set bad rows aside, and hand on the rest.

    Rows that break a rule with `on_fail: quarantine` are written beside, with their reasons; every other rule is asked
    of the rows that are left. Great Expectations judges, on DuckDB. The run stops when a critical rule is not met, when
    a rule of any severity cannot be evaluated, or when more than `max_quarantine` of the rows would be set aside.

    Args:
        suite: the path or name of a suite's YAML file, or a mapping of the same shape.
        default: the suite where none is named.
        names: what `{name}` stands for in that one (see `suites.naming`).
        tables: tables that rules look into, by name, beside those the suite names itself.
        subject: whose history this belongs to, and what `last.rows` is compared with; the suite's dataset by default.
        max_quarantine: instead of the suite's.
        samples: how many values that broke a rule are shown on the page; never of sensitive columns.

    Returns:
        The table that is left: the one given, where no row was set aside. Its facts carry the `validation`.

    Raises:
        SuiteError: the suite is not well-formed, or there is none.
        ValidationFailed: the table does not meet it.
        RuleBroken: a rule could not be evaluated.
    """
    chosen = read_suite(suite if suite is not None else naming.named(default, names or {}) if default else {})
    if max_quarantine is not None:
        chosen = replace(chosen, max_quarantine=max_quarantine)
    history = History.of(public(subject or chosen.name))
    with duck() as connection:
        found = _found(connection, data, chosen, tables or {}, history, samples)
    reference = _settled(found, history)
    assert found.left is not None  # it is, where the run goes on
    return replace(found.left, facts={**found.left.facts, "validation": reference.to_json()})


@step(retries=2)
def validate_in_place(
    source: str,
    *,
    table: str | None = None,
    schema: str | None = None,
    suite: str | Mapping[str, Any],
    subject: str | None = None,
    engine: Literal["sql", "spark"] = "sql",
) -> Validation:
    """Check a table where it lies, by Great Expectations' own SQL or Spark engine; no row is copied or set aside.

    A rule that would quarantine is asked like any other: its severity decides. The tables that rules look into are
    those of the same database.

    Args:
        source: an SQLAlchemy URL; for Spark a Parquet path or a table's name.
        table, schema: the table, and the database schema it is in; not for Spark.
        suite: the path or name of a suite's YAML file, or a mapping of the same shape.
        subject: whose history this belongs to; the suite's dataset by default.
        engine: "sql" or "spark".

    Raises:
        SuiteError, ValidationFailed, RuleBroken: as `validate` does.
        Unavailable: the database does not answer.
    """
    chosen = read_suite(suite)
    chosen = replace(chosen, rules=tuple(replace(rule, quarantine=False) for rule in chosen.rules))
    history = History.of(public(subject or chosen.name))
    with in_spark(source) if engine == "spark" else in_database(source, table, schema) as place:
        found = _Found(Judgement(chosen, [], place.rows))
        _asked_in_place(found, place, history)
    return _settled(found, history)


@dataclass
class _Found:
    """What came of a table.

    Attributes:
        left: the rows that may go on, None where they may not.
        bad: the rows set aside, where there are some.
        raws: GX's results, without values.
        examples: values that broke a rule, by its name, where they were asked for.
    """

    judgement: Judgement
    left: Dataset | None = None
    bad: Dataset | None = None
    raws: list[dict[str, Any]] = field(default_factory=list)
    examples: dict[str, list[str]] = field(default_factory=dict)


def _found(
    connection: duckdb.DuckDBPyConnection,
    data: Dataset,
    suite: Suite,
    tables: Mapping[str, Dataset],
    history: History,
    samples: int,
) -> _Found:
    if wrong := _not_this_table(suite, data.rows, data.schema):
        return _Found(Judgement(suite, wrong, data.rows))
    rules, judged = _filled(suite, history, data.schema)
    splitting = [rule for rule in rules if rule.quarantine]
    others = [rule for rule in rules if not rule.quarantine]
    found = _Found(Judgement(suite, [], data.rows), left=data)
    _look_into(connection, suite, tables)
    asking = _Asking(connection, suite, samples, judged, found)
    asking.ask(data, splitting)
    if any(judged[rule.name].unexpected for rule in splitting):
        apart = Apart(connection, data, [rule for rule in splitting if judged[rule.name].outcome != "error"])
        asking.compare(apart)
        found.judgement = replace(found.judgement, quarantined=apart.rows)
        found.bad = apart.save_bad() if apart.rows else None
        found.left = None if found.judgement.too_many else apart.save_good()
    if found.left is None:
        late = "asked of the rows that are left, and too many would be quarantined"
        judged.update({rule.name: Judged(rule, "skipped", error=late) for rule in others})
    else:
        asking.ask(found.left, others)
    found.judgement = replace(found.judgement, judged=[judged[rule.name] for rule in suite.rules])
    return found


class _Asking:
    """Great Expectations asked on one connection; what it says goes into `judged` and into what was found."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        suite: Suite,
        samples: int,
        judged: dict[str, Judged],
        found: _Found,
    ) -> None:
        self.connection = connection
        self.suite = suite
        self.samples = samples
        self.judged = judged
        self.found = found

    def ask(self, data: Dataset, rules: Sequence[Rule]) -> None:
        from ostinato.integrations import gx_validator

        if not rules:
            return
        view = gx_validator.VIEW
        self.connection.execute(f"CREATE OR REPLACE VIEW {quote(view)} AS FROM {data.sql(self.connection)}")
        for rule, raw in zip(rules, gx_validator.on_duckdb(self.connection, view, rules), strict=True):
            one = gx_validator.judged(rule, raw, self.suite.sensitive)
            self.judged[rule.name] = one
            self.found.raws.append(gx_validator.redacted(raw, self.suite.sensitive, rule))
            if self.samples and one.unexpected and not self.suite.sensitive.intersection(rule.columns):
                self.found.examples[rule.name] = _examples(self.connection, view, rule, self.samples)

    def compare(self, apart: Apart) -> None:
        """Set aside must be just what Great Expectations counted; if not, nobody knows what went on."""
        for name, one in list(self.judged.items()):
            if one.rule.quarantine and one.outcome in ("pass", "fail", "quarantined"):
                there = apart.by_rule.get(name, 0)
                if there != one.unexpected:
                    said = f"Great Expectations counts {one.unexpected:,} rows that break it, and {there:,} are found"
                    self.judged[name] = replace(one, outcome="error", error=f"could not be evaluated: {said}")


def _asked_in_place(found: _Found, place: Place, history: History) -> None:
    from ostinato.integrations import gx_validator

    suite = found.judgement.suite
    if wrong := _not_this_table(suite, place.rows, place.schema):
        found.judgement = replace(found.judgement, judged=wrong)
        return
    rules, judged = _filled(suite, history, place.schema)
    for rule, raw in zip(rules, place.ask(rules), strict=True):
        judged[rule.name] = gx_validator.judged(rule, raw, suite.sensitive)
        found.raws.append(gx_validator.redacted(raw, suite.sensitive, rule))
    found.judgement = replace(found.judgement, judged=[judged[rule.name] for rule in suite.rules])


def _settled(found: _Found, history: History) -> Validation:
    """Write down and say what was found; stop the run where it has to.

    Raises:
        ValidationFailed: the table does not meet its suite.
        RuleBroken: a rule could not be evaluated.
    """
    reference = written(found.judgement, history, found.raws, found.examples, found.bad)
    _tell(found.judgement)
    if found.judgement.outcome == "stopped":
        error = (RuleBroken if found.judgement.broken else ValidationFailed)(found.judgement.said())
        error.evidence = reference.to_json()
        raise error
    return reference


def _not_this_table(suite: Suite, rows: int, schema: Mapping[str, str]) -> list[Judged]:
    """What shows that this is another table than the suite is about; its rules would only raise, and are skipped.

    Raises:
        ValidationFailed: the table has no rows.
    """
    if rows == 0:
        raise ValidationFailed(f"{suite.name}: the table has no rows.")
    wrong = list(_wrong_columns(suite, schema))
    later = [Judged(rule, "skipped", error="the columns are not as they should be") for rule in suite.rules]
    return [*wrong, *later] if wrong else []


def _wrong_columns(suite: Suite, schema: Mapping[str, str]) -> Iterator[Judged]:
    """What is not as the suite says: columns that it or a rule names, and their types."""
    for column, wanted in suite.columns.items():
        rule = Rule(f"{_SCHEMA}: {column}", _SCHEMA, {"column": column})
        if column not in schema:
            yield Judged(rule, "fail", error=_missing(column, schema))
        elif not fits(schema[column], wanted):
            found = family(schema[column])
            yield Judged(rule, "fail", error=f"{column!r} is {found} ({schema[column]}); the suite wants {wanted}.")
    named = [(rule, column) for rule in suite.rules for column in rule.columns]
    key = Rule("key", _SCHEMA, {})
    for rule, column in [*named, *((key, column) for column in suite.key)]:
        if column not in schema and column not in suite.columns and rule.type != "expect_column_to_exist":
            yield Judged(replace(rule, severity="critical"), "fail", error=_missing(column, schema))


def _missing(column: str, schema: Mapping[str, str]) -> str:
    return f"the table has no column {column!r}. {suggest(column, schema)}"


def _filled(suite: Suite, history: History, schema: Mapping[str, str]) -> tuple[list[Rule], dict[str, Judged]]:
    """The rules with their formulas filled in, and those that ask for what is not known yet."""
    context = current()
    known = {"as_of": context.as_of or context.day, "day": context.day, "last.rows": history.last_rows()}
    rules: list[Rule] = []
    skipped: dict[str, Judged] = {}
    for rule in suite.rules:
        try:
            rules.append(filled(rule, known, schema))
        except KeyError as error:
            skipped[rule.name] = Judged(rule, "skipped", error=f"{error.args[0]} is not known in the first run")
        except ValueError as error:
            raise SuiteError([f"{suite.at(rule)}: {error}."]) from None
    return rules, skipped


def _look_into(connection: duckdb.DuckDBPyConnection, suite: Suite, tables: Mapping[str, Dataset]) -> None:
    """Make the other tables readable under their names."""
    for name, place in suite.tables.items():
        if name not in tables:
            with opened(connection, place) as source:
                source.keep(connection, name)
    for name, data in tables.items():
        connection.execute(f"CREATE VIEW {quote(name)} AS FROM {data.sql(connection)}")
    wanted = {str(rule.arguments["table"]): rule for rule in suite.rules if "table" in rule.arguments}
    for name, rule in wanted.items():
        if name not in suite.tables and name not in tables:
            there = [*suite.tables, *tables]
            raise SuiteError([f"{suite.at(rule)}: there is no table {name!r} under `tables:`. {suggest(name, there)}"])


def _examples(connection: duckdb.DuckDBPyConnection, view: str, rule: Rule, most: int) -> list[str]:
    """A few of the values that broke a rule."""
    if rule.type == ROWS or not can_split(rule):
        return []
    columns, mark = ", ".join(quote(column) for column in rule.columns), quote(free_name("broken", rule.columns))
    marked = f"SELECT {columns}, {broken(rule)} AS {mark} FROM {quote(view)}"
    rows = connection.execute(f"SELECT DISTINCT {columns} FROM ({marked}) WHERE {mark} LIMIT {int(most)}")
    return [", ".join(str(value)[:80] for value in row) for row in rows.fetchall()]


def _tell(judgement: Judgement) -> None:
    """Say what was found, in counts."""
    context = current()
    counts = Counter(one.outcome for one in judgement.judged)
    context.log(f"{len(judgement.judged)} rules: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for one in judgement.warnings:
        context.log(f"warning: {one.rule.name}: {one.sentence()}")
    for one in judgement.judged:
        if one.outcome == "skipped":
            context.log(f"skipped: {one.rule.name}: {one.error}")
    if judgement.quarantined:
        why = [f"{one.rule.name} ({one.unexpected:,})" for one in judgement.judged if one.outcome == "quarantined"]
        context.log(
            f"{judgement.quarantined:,} of {judgement.rows:,} rows ({judgement.share:.2%}) break a rule that "
            f"quarantines: {', '.join(why)}"
        )

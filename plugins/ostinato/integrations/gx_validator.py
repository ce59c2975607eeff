"""Great Expectations: rules become its objects, its engines judge a table, its results come back without values."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from ostinato.errors import ContractError, Unavailable
from ostinato.suites.expectations import ROWS
from ostinato.suites.judgement import Judged
from ostinato.suites.predicates import missing_key
from ostinato.suites.suite import FOREIGN_KEY, Rule

if TYPE_CHECKING:
    import duckdb
    from great_expectations.core.batch_definition import BatchDefinition

VIEW = "batch"
# Counts, and none of the values behind them.
_COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0}
# What GX finds that is a number about many rows; lists of distinct values, most common ones and the like are values.
_KEPT = frozenset(
    "element_count unexpected_count unexpected_percent unexpected_percent_total unexpected_percent_nonmissing "
    "missing_count missing_percent".split()
)
_AWAY = ("OperationalError", "InterfaceError", "ConnectionError", "Py4JNetworkError")
_REFUSED = ("no such", "syntax error")  # which SQLite calls operational, too
# What is raised before a row is read speaks of the query and of columns: it holds nobody's value.
_BEFORE_ROWS = re.compile(
    r"\((_duckdb\.(Binder|Parser|Catalog|Syntax|NotImplemented)Exception|\w+\.(OperationalError|InterfaceError)|"
    r"psycopg\.errors\.(Undefined\w+|Ambiguous\w+|SyntaxError|DatatypeMismatch|WrongObjectType))\) .*|"
    r"\w+ metrics cannot be computed on column of type .*"
)

Raw = dict[str, Any]
"""One expectation's result as GX's JSON."""


def on_duckdb(connection: duckdb.DuckDBPyConnection, view: str, rules: Sequence[Rule]) -> list[Raw]:
    """GX's results on a view of this DuckDB instance, one for each rule, in their order."""
    from .gx_duckdb_dialect import served

    with served(connection) as url:
        return on_database(url, view, rules)


def on_database(url: str, table: str, rules: Sequence[Rule], *, schema: str | None = None) -> list[Raw]:
    """GX's results on a table of any database it knows, by its own SQL engine."""

    def batch(sources: Any) -> BatchDefinition:
        kinds = {"postgresql": sources.add_postgres, "sqlite": sources.add_sqlite, "snowflake": sources.add_snowflake}
        add = kinds.get(re.split(r"[+:]", url, maxsplit=1)[0], sources.add_sql)
        names = {"table_name": _cased(table), "schema_name": schema and _cased(schema)}
        asset = add("source", connection_string=url).add_table_asset(table, **names)
        return asset.add_batch_definition_whole_table("all")

    return _results(batch, rules)


def _cased(name: str) -> str:
    """A name as SQLAlchemy quotes it where it has to: GX would leave `Payments` bare, which is another table."""
    from sqlalchemy.sql import quoted_name

    return quoted_name(name, True if name != name.lower() else None)


def on_spark(frame: Any, rules: Sequence[Rule]) -> list[Raw]:
    """GX's results on a Spark DataFrame, by its own Spark engine."""

    def batch(sources: Any) -> BatchDefinition:
        return sources.add_spark("source").add_dataframe_asset(VIEW).add_batch_definition_whole_dataframe("all")

    return _results(batch, rules, {"dataframe": frame})


def _results(
    batch: Callable[[Any], BatchDefinition], rules: Sequence[Rule], parameters: Mapping[str, Any] | None = None
) -> list[Raw]:
    if not rules:
        return []
    with _quiet():
        import great_expectations as gx
        from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
        from great_expectations.expectations.registry import get_expectation_impl

        from .gx_duckdb_dialect import guard_gx

        guard_gx()
        nothing_kept = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults())  # no folder for docs
        context = gx.get_context(mode="ephemeral", project_config=nothing_kept)
        context.variables.progress_bars = {"globally": False}
        asked = []
        for place, rule in enumerate(rules):
            kind, arguments = _spelled(rule)
            asked.append(get_expectation_impl(kind)(**arguments, severity=rule.severity, meta={"place": place}))
        suite = gx.ExpectationSuite(name="suite", expectations=asked)  # all: adding one by one drops what is alike
        found = batch(context.data_sources).get_batch(dict(parameters) if parameters else None)
        results = found.validate(suite, result_format=dict(_COUNTS)).to_json_dict()["results"]
    by_place = {result["expectation_config"]["meta"]["place"]: result for result in results}
    if len(by_place) != len(rules) or len(results) != len(rules):
        raise ContractError(f"Great Expectations gave {len(results)} results for {len(rules)} rules.")
    return [by_place[place] for place in range(len(rules))]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """GX without telemetry, and with its log shut: what it writes when an expectation raises may hold values."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    log = logging.getLogger("great_expectations")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _spelled(rule: Rule) -> tuple[str, dict[str, Any]]:
    """A rule as GX's type and arguments."""
    if rule.type == FOREIGN_KEY:
        return ROWS, {"unexpected_rows_query": _escaped(f"SELECT * FROM {{batch}} WHERE {missing_key(rule.arguments)}")}
    if rule.type == ROWS:
        return ROWS, {"unexpected_rows_query": _escaped(rule.arguments["unexpected_rows_query"])}
    return rule.type, dict(rule.arguments)


def _escaped(query: str) -> str:
    """A query as GX's `str.format` and SQLAlchemy's `text` leave it what it is: only {batch} is a place to fill."""
    parts = query.split("{batch}")
    return "{batch}".join(part.replace("{", "{{").replace("}", "}}").replace(":", r"\:") for part in parts)


# --- what was found ---------------------------------------------------------------------------------------------


def judged(rule: Rule, raw: Raw, sensitive: frozenset[str] = frozenset()) -> Judged:
    """A rule with what GX found of it; what raised, or gave no verdict, is an error and never a pass.

    Args:
        sensitive: columns of which no value is shown, be it the greatest of all.

    Raises:
        Unavailable: the database went away.
    """
    if (error := _raised(raw)) is not None:
        if any(name in error for name in _AWAY) and not any(phrase in error for phrase in _REFUSED):
            raise Unavailable(f"{rule.name}: {_without_values(error)}")
        return Judged(rule, "error", error=f"could not be evaluated: {_without_values(error)}")
    result, success = raw["result"], raw["success"]
    if not isinstance(success, bool):
        return Judged(rule, "error", error="could not be evaluated: Great Expectations gave no verdict")
    counts = _counts(rule, result)
    unexpected = counts[1]
    if rule.quarantine and unexpected is None:
        return Judged(rule, "error", error="could not be evaluated: Great Expectations counted no rows")
    if rule.quarantine and unexpected and (success or rule.mostly == 1):
        return Judged(rule, "quarantined", *counts)
    return Judged(rule, "pass" if success else "fail", *counts, observed=_observed(rule, result, sensitive))


def _counts(rule: Rule, result: Mapping[str, Any]) -> tuple[int | None, int | None]:
    if not rule.rows_judged:
        return None, None
    if rule.type in (ROWS, FOREIGN_KEY):
        found = result.get("observed_value")
        return None, None if found is None else int(found)
    unexpected, elements = result.get("unexpected_count"), result.get("element_count")
    return elements, None if unexpected is None else int(unexpected)


def _observed(rule: Rule, result: Mapping[str, Any], sensitive: frozenset[str]) -> float | str | None:
    """A number or a moment that says something of many rows."""
    value = result.get("observed_value")
    if rule.rows_judged or isinstance(value, (bool, dict)) or sensitive.intersection(rule.columns):
        return None
    return value if _is_about_many(value) else None


def _raised(raw: Raw) -> str | None:
    """The message of what an expectation raised, or None."""
    info = raw.get("exception_info") or {}
    parts = [info] if "raised_exception" in info else list(info.values())
    for part in parts:
        if part.get("raised_exception"):
            return str(part.get("exception_message") or "it raised without a message")
    return None


def _without_values(message: str) -> str:
    """The first line of an error that can hold no value of a row, without what it quotes; of any other its kind.

    Databases quote what they cannot convert in more ways than can be told from the rest.
    """
    first = next((line for line in message.splitlines() if line.strip()), "")
    if _BEFORE_ROWS.fullmatch(first):
        return re.sub(r"'(?:[^'\\]|\\.)*'", "'…'", first)[:300]
    kind = re.match(r"\((?:\w+\.)*(\w+)\)", first)
    return f"{kind[1] if kind else 'an error'}, of which no more is shown, as it may hold values"


def redacted(raw: Raw, sensitive: frozenset[str], rule: Rule) -> Raw:
    """GX's result without anybody's values: counts, shares, and numbers about columns that are not sensitive."""
    result = {key: value for key, value in raw["result"].items() if key in _KEPT}
    if "unexpected_percent" not in result:
        result.pop("unexpected_count", None)  # GX's own page cannot render the one without the other
    observed = raw["result"].get("observed_value")
    if _is_about_many(observed) and not sensitive.intersection(rule.columns):
        result["observed_value"] = observed
    error = _raised(raw)
    info = {
        "raised_exception": error is not None,
        "exception_message": None if error is None else _without_values(error),
        "exception_traceback": "",
    }
    config = {**raw["expectation_config"], "meta": {"rule": rule.name, **({"why": rule.why} if rule.why else {})}}
    config["kwargs"] = {key: value for key, value in config["kwargs"].items() if key != "batch_id"}
    return {**raw, "result": result, "exception_info": info, "expectation_config": config}


def _is_about_many(observed: Any) -> bool:
    """Whether an observed value is a number or a moment, rather than a list of what stands in rows."""
    if isinstance(observed, dict):  # quantiles
        return set(observed) == {"quantiles", "values"}
    if isinstance(observed, float):
        return math.isfinite(observed)  # JSON has no other
    return isinstance(observed, (int, date)) or (isinstance(observed, str) and _is_time(observed))


def _is_time(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-][\d:]+)?)?", text) is not None


# --- GX's own documents -----------------------------------------------------------------------------------------


def result_json(name: str, raws: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Redacted results as GX's validation result."""
    import great_expectations

    passed = sum(bool(raw["success"]) for raw in raws)
    statistics = {
        "evaluated_expectations": len(raws),
        "successful_expectations": passed,
        "unsuccessful_expectations": len(raws) - passed,
        "success_percent": 100 * passed / len(raws) if raws else None,
    }
    return {
        "success": passed == len(raws),
        "results": list(raws),
        "suite_name": name,
        "suite_parameters": {},
        "statistics": statistics,
        "meta": {"great_expectations_version": great_expectations.__version__, **meta},
        "id": None,
    }


def data_docs(result: Mapping[str, Any]) -> str:
    """GX's Data Docs page of a validation result, which asks nothing of the internet."""
    with _quiet():
        from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        loaded = ExpectationSuiteValidationResultSchema().load(_named_in_words(result))
        document = ValidationResultsPageRenderer(run_info_at_end=True).render(loaded)
        return _offline(str(DefaultJinjaPageView().render(document)))


def _named_in_words(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result whose run's name is no time: GX reads one that begins with digits as a moment, of any odd zone."""
    run = result["meta"]["run_id"]
    return {**result, "meta": {**result["meta"], "run_id": {**run, "run_name": f"run {run['run_name']}"}}}


_OFFLINE = """<meta charset="utf-8"><meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
table{border-collapse:collapse;margin:.5rem 0}td,th{border-bottom:1px solid #e3e7ed;padding:.2rem .8rem .2rem 0;
text-align:left;vertical-align:top}.badge{background:#eef1f5;border-radius:.3rem;padding:0 .3rem}
i.fa-check-circle::before{content:"✔";color:#1a7f4b}i.fa-times::before{content:"✘";color:#b3261e}
i.fa-exclamation-triangle::before{content:"!";color:#b3261e}
button,nav.sticky-top,.sticky>.card:first-child,.modal,.collapse{display:none}</style>"""


def _offline(page: str) -> str:
    """A page without scripts, style sheets and pictures from elsewhere, and with a policy that forbids them."""
    for tag in (r"<(script|iframe|footer)\b.*?</\1>", r"<(link|img)\b[^>]*>"):
        page = re.sub(tag, "", page, flags=re.DOTALL | re.IGNORECASE)
    page = re.sub(r"url\(\s*['\"]?(https?:)?//[^)]*\)", "none", page, flags=re.IGNORECASE)
    return re.sub(r"<head>", f"<head>{_OFFLINE}", page, count=1, flags=re.IGNORECASE)

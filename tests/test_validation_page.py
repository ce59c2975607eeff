"""The page of a validation: self-contained, the gravest first, everything from outside escaped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.integrations import gx_validator
from ostinato.suites.suite import Rule
from ostinato.tables import duck
from ostinato.validation_page import page
from pages import EVIL, Page

DAY = 86_400.0
LINKS = {"the rows set aside": "quarantined.parquet", "Data Docs": "data_docs.html"}


def rule(name: str = "amounts", outcome: str = "pass", **values: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "type": "expect_column_values_to_be_between",
        "columns": ["amount"],
        "severity": "critical",
        "quarantine": False,
        "outcome": outcome,
        "judged": 20000,
        "unexpected": 1234,
        "observed": None,
        "error": None,
        "expected": "min value 0, max value 50,000",
        "why": "",
        "line": 3,
    }
    return {**made, **values}


def found(*rules: dict[str, Any], **values: Any) -> dict[str, Any]:
    made = {
        "outcome": "warned",
        "rows": 20000,
        "quarantined": 100,
        "share": 0.005,
        "max_quarantine": 0.01,
        "suite": "payments",
        "subject": "payments.parquet",
        "said": "late: 3 rows break it",
        "counts": {"pass": 3, "fail": 1},
        "rules": list(rules or (rule(),)),
    }
    return {**made, **values}


def before(day: int, share: float, outcome: str = "passed") -> dict[str, Any]:
    return {"started": day * DAY, "rows": 1000, "quarantined": round(1000 * share), "share": share, "outcome": outcome}


def bars(html: str) -> list[tuple[float, float, str]]:
    """Top, height and class of each bar."""
    drawn = re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" class="(\w+)">', html)
    return [(float(top), float(height), kind) for top, height, kind in drawn]


def test_a_page_shows_the_outcome_the_shares_and_what_each_rule_found() -> None:
    """And where more is to be found."""
    shown = Page(page(found(), [before(1, 0.005, "warned")], LINKS))
    for part in (
        "payments.parquet · payments warned",
        "100 of 20,000 rows (0.50%) quarantined; at most 1.00% may be. 1 rules: 3 pass, 1 fail. late: 3 rows break it",
        "amount values to be between",
        "min value 0, max value 50,000",
        "critical",
        "1,234",
        "6.170%",
        "Share quarantined in this run",
        "quarantined.parquet",
    ):
        assert part in shown.text
    assert not shown.open


def test_the_gravest_rules_come_first() -> None:
    """Errors, failures, what set rows aside, what was skipped, the rest; and in each the order of the suite."""
    given = [rule(f"{name}{n}", name) for n in (1, 2) for name in ("pass", "skipped", "quarantined", "fail", "error")]
    text = Page(page(found(*given), [], {})).text
    names = [f"{name}{n}" for name in ("error", "fail", "quarantined", "skipped", "pass") for n in (1, 2)]
    assert sorted(names, key=text.index) == names


def test_a_rule_tells_its_name_why_it_is_there_and_what_went_wrong() -> None:
    """A name that only repeats the rule is left out; examples stand where there are some."""
    named = rule("in euro", why="cents came once", error="could not be evaluated", examples=["-1", "-2"])
    text = Page(page(found(named), [], {})).text
    assert all(part in text for part in ("in euro", "cents came once", "could not be evaluated", "e.g. -1", "e.g. -2"))
    plain = rule("column_values_to_be_between: amount", quarantine=True)
    text = Page(page(found(plain), [], {})).text
    assert "column_values_to_be_between" not in text
    assert "set rows aside" in text
    about_table = rule("x", type="expect_table_row_count_to_be_between", columns=[], unexpected=None, observed=12345.6)
    text = Page(page(found(about_table), [], {})).text
    assert "table row count to be between" in text
    assert "12,346" in text


def test_numbers_and_their_heads_stand_on_the_right() -> None:
    """Rows and share, and nothing else."""
    html = page(found(), [], {})
    assert "<th scope=col class=n>rows</th><th scope=col class=n>share</th><th scope=col>found</th>" in html


def test_each_run_is_a_bar_as_high_as_its_share() -> None:
    """Oldest first, coloured by outcome, with the share that may be as a line, and the dates at both ends."""
    history = [before(1, 0.01), before(2, 0.02, "stopped"), before(3, 0.0, "warned"), before(400, 0.005)]
    html = page(found(), history, {})
    drawn = bars(html)
    assert [kind for _, _, kind in drawn] == ["passed", "stopped", "warned", "passed"]
    heights = [height for _, height, _ in drawn]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert heights[0] == pytest.approx(2 * heights[3], abs=0.2)
    assert heights[2] == 1
    limit = float(re.findall(r'class="limit"[^>]* y1="([\d.]+)"', html)[0])
    assert limit == pytest.approx(drawn[0][0], abs=0.11)
    text = Page(html).text
    assert "Share quarantined in the last 4 runs" in text
    assert "1970-01-02: 10 of 1,000 rows, 1.00%, passed" in text
    assert re.findall(r"<text[^>]*>(\d{4}-\d\d-\d\d)</text>", html) == ["1970-01-02", "1971-02-05"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 1))
def test_bars_stay_within_the_picture(shares: list[float], limit: float) -> None:
    """However many runs, however much was set aside."""
    html = page(found(max_quarantine=limit), [before(day, share) for day, share in enumerate(shares)], {})
    drawn = bars(html)
    assert len(drawn) == len(shares)
    assert all(0 <= top <= 160 and top + height <= 160 for top, height, _ in drawn)
    places = [
        float(x) + float(width) for x, width in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', html)
    ]
    assert max(places) <= 720


@pytest.mark.parametrize(
    "given",
    [
        found(subject=EVIL),
        found(suite=EVIL),
        found(outcome=EVIL),
        found(said=EVIL),
        found(counts={EVIL: 1}),
        found(rule(EVIL)),
        *(found(rule(**{key: EVIL})) for key in ("type", "severity", "observed", "error", "expected", "why")),
        found(rule(columns=[EVIL])),
        found(rule(examples=[EVIL])),
    ],
    ids=lambda given: next(
        (key for key, value in {**given, **given["rules"][0]}.items() if "script" in str(value)), "none"
    ),
)
def test_nothing_from_outside_becomes_html(given: dict[str, Any]) -> None:
    """Names of columns and rules, values and errors are shown as the text they are."""
    html = page(given, [before(1, 0.5)], LINKS)
    shown = Page(html)
    assert "<script" not in html
    assert "alert(" in shown.text
    assert not shown.open
    plain = Page(page(found(), [before(1, 0.5)], LINKS))
    assert {name for name, _ in shown.attributes} <= {name for name, _ in plain.attributes}


def test_hostile_history_and_links_are_escaped() -> None:
    """The outcome of an earlier run is a class, a link an attribute."""
    html = page(found(), [before(1, 0.5, EVIL)], {EVIL: EVIL})
    assert "<script" not in html
    assert not Page(html).open


OUTSIDE = re.compile(
    r"""(src|href|action|data|srcset)\s*=\s*["']?\s*(https?:)?//|@import|url\(\s*["']?\s*(https?:)?//"""
)


def test_a_page_asks_nothing_of_the_internet() -> None:
    """No script, no style sheet, no picture: a bank's machine may show it."""
    html = page(found(), [before(1, 0.5)], LINKS)
    assert not OUTSIDE.search(html)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(Page(html).tags)


@pytest.fixture(scope="module")
def data_docs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Great Expectations' own page, of rules that pass, fail and raise, with hostile names."""
    hostile = f"{EVIL} http://evil.example/x"
    arguments: list[dict[str, Any]] = [
        {"column": hostile, "min_value": 0},
        {"column": hostile, "max_value": 0},
        {"column": "text", "min_value": 0},
    ]
    rules = [
        Rule(f"{EVIL} {place}", "expect_column_values_to_be_between", one, rows_judged=True, why=EVIL)
        for place, one in enumerate(arguments)
    ]
    more = {"column": "text", "value_set": ["<script>alert(1)</script>"]}
    rules.append(Rule("set", "expect_column_values_to_be_in_set", more, rows_judged=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_HOME", str(tmp_path_factory.mktemp("home")))
        with duck() as connection:
            name = hostile.replace('"', '""')
            connection.execute(f"CREATE TABLE batch AS SELECT 1 AS \"{name}\", 'geheim' AS text")
            raws = gx_validator.on_duckdb(connection, "batch", rules)
    redacted = [gx_validator.redacted(raw, frozenset(), one) for raw, one in zip(raws, rules, strict=True)]
    assert [raw["success"] for raw in redacted] == [True, False, False, False]
    run = {"run_id": {"run_name": "r1", "run_time": None}}
    asset = {"active_batch_definition": {"data_asset_name": EVIL}}
    return gx_validator.data_docs(gx_validator.result_json(EVIL, redacted, {**run, **asset}))


def test_data_docs_ask_nothing_of_the_internet(data_docs: str) -> None:
    """Scripts, style sheets, pictures and the footer are gone, and a policy forbids what might be left."""
    assert not re.search(r"<\s*(script|link|img|iframe|footer|object|embed)\b", data_docs, re.I)
    assert not OUTSIDE.search(data_docs)
    head = data_docs[: data_docs.lower().index("</head>")]
    assert "Content-Security-Policy" in head
    assert "default-src 'none'" in head


def test_data_docs_show_names_as_text_and_no_value(data_docs: str) -> None:
    """As hostile as they are."""
    assert "alert(" in data_docs
    assert "geheim" not in data_docs
    assert not re.search(r"<[^>]*\bon\w+\s*=\s*[\"']?alert", data_docs)


@pytest.mark.parametrize(
    "name", ["20261122-235759-2367ad", "99999999999999999999", "manual__2026-03-01T00:00:00+00:00"]
)
def test_a_run_may_have_a_name_that_reads_like_a_moment(name: str) -> None:
    """Great Expectations takes a name of digits for a time, and fails over zones and years that are none."""
    run = {"run_id": {"run_name": name, "run_time": "2026-03-01T00:00:00+00:00"}}
    asset = {"active_batch_definition": {"data_asset_name": "payments"}}
    assert name in gx_validator.data_docs(gx_validator.result_json("payments", [], {**run, **asset}))

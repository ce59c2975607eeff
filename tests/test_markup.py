"""Markup: the pieces of pages, in which nothing from outside becomes HTML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.markup import badge, cell, document, finite, number, printable, table, text
from ostinato.markup import first as head
from pages import EVIL, Page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        ("a", "a"),
        ("", ""),
        (True, "true"),
        (20790, "20,790"),
        (-20790, "-20,790"),
        (0, "0"),
        (1234.56, "1,235"),
        (0.508812, "0.5088"),
        (0.0, "0"),
        ([1, "ü"], '[1, "ü"]'),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_values_are_written_as_people_read_them(value: Any, shown: str) -> None:
    """Numbers with separators or four digits, a dash for nothing, JSON for the rest."""
    assert number(value) == shown


def test_a_text_that_looks_like_a_number_stays_as_it_is() -> None:
    """An id is not an amount."""
    assert (text("20790"), number("20790"), text(20790)) == ("20790", "20790", "20790")


@given(st.text(), st.text())
def test_no_text_breaks_a_page(name: str, value: str) -> None:
    """Titles, heads, cells and states may hold anything."""
    html = document(name, [badge(value), table((name,), [[cell(value)], [cell(name, right=True)]])])
    shown = Page(html)
    assert not shown.open
    assert set(shown.tags) == set("html head meta title style body main span div table thead tbody tr th td".split())
    known = {"lang", "charset", "class", "name", "content", "role", "tabindex", "aria-label", "scope"}
    assert {key for key, _ in shown.attributes} <= known


def test_nothing_from_outside_becomes_html() -> None:
    """It is shown as the text it is."""
    html = document(EVIL, [badge(EVIL), table((EVIL,), [[cell(EVIL)]])])
    shown = Page(html)
    assert "<script" not in html
    assert shown.text.count(EVIL) == 4


def test_a_head_stands_on_the_right_where_all_its_cells_do() -> None:
    """Numbers and their name in one line; not where one cell is a text."""
    rows = [[cell("a"), cell(1, right=True), cell(1, right=True)], [cell("b"), cell(2, right=True), cell("x")]]
    html = table(("name", "count", "mixed"), rows)
    assert "<th scope=col>name</th><th scope=col class=n>count</th><th scope=col>mixed</th>" in html
    assert html.count("<td class=n>") == 3
    assert "<th scope=col class=n>b</th></tr></thead><tbody></tbody></table>" in table(("a", "b"), [])


def test_a_table_says_what_it_is_about() -> None:
    """Its caption is also the name of the region that can be moved sideways; a row begins with its own head."""
    html = table(("name", "n"), [[head("a < b"), cell(1, right=True)]], "What & why")
    assert "<caption>What &amp; why</caption>" in html
    assert 'role="region" tabindex="0" aria-label="What &amp; why"' in html
    assert "<tr><th scope=row>a &lt; b</th><td class=n>1</td></tr>" in html
    assert 'aria-label="name, n"' in table(("name", "n"), [])


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), (0.5, 0.5), (True, None), ("1", None), (None, None), (float("nan"), None), (float("inf"), None)],
)
def test_a_number_is_told_from_what_only_looks_like_one(value: Any, found: float | None) -> None:
    """What comes from a file may be anything."""
    assert finite(value) == found
    assert finite(10**400) is None


@given(st.text())
def test_what_no_page_may_hold_is_replaced(given_: str) -> None:
    """Control characters, halves of characters, and what turns the direction of a text; the rest stays as it is."""
    shown = printable(given_)
    assert len(shown) == len(given_)
    shown.encode("utf-8")
    assert printable("a\tb\x00\ud800ü") == "a\tb\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}ü"
    assert printable("\u202egnp\u2069 שלום\u200f") == "\N{REPLACEMENT CHARACTER}gnp\N{REPLACEMENT CHARACTER} שלום\u200f"

"""Markup: the pieces of pages, in which nothing from outside becomes HTML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.markup import badge, cell, document, number, table, text
from test_report import EVIL, Page


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
    assert set(shown.tags) == {"html", "meta", "title", "style", "body", "span", "table", "tr", "th", "td"}
    assert {key for key, _ in shown.attributes} <= {"lang", "charset", "class"}


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
    assert "<th>name</th><th class=n>count</th><th>mixed</th>" in html
    assert html.count("<td class=n>") == 3
    assert table(("a", "b"), []) == "<table><tr><th class=n>a</th><th class=n>b</th></tr></table>"

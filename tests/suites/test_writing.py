"""Suites written as YAML read back as they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.suites.naming import named
from ostinato.suites.reading import parse_suite
from ostinato.suites.text import load, plain
from ostinato.suites.usual import INTERACTIONS, TRANSACTIONS
from ostinato.suites.writing import suite_text

NAMES = {name: f'the "{name}" \\ {{x}}' for name in "id time card terminal amount label user item weight".split()}


@pytest.mark.parametrize("suite", [TRANSACTIONS, INTERACTIONS], ids=["transactions", "interactions"])
def test_the_usual_rules_read_back_as_they_are(suite: dict[str, Any]) -> None:
    """For columns of any names; what is read is a sound suite."""
    meant = named(suite, {**NAMES, "most_a_day": 1000})
    text = suite_text(meant)
    assert plain(load(text)) == {"version": 1, **meant}
    assert len(parse_suite(text).rules) >= len(meant["expectations"])


@given(st.text(), st.text())
def test_any_text_reads_back_as_it_is(column: str, why: str) -> None:
    """In a column's name and in an option."""
    meant = {"dataset": column, "expectations": [{"column_values_to_be_unique": column, "why": why}]}
    assert plain(load(suite_text(meant))) == {"version": 1, **meant}

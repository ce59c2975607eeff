"""Rules that any table of events should meet, for pipelines that are given no suite."""

from __future__ import annotations

from typing import Any

AS_LONG_AS_BEFORE: dict[str, Any] = {
    "table_row_count_to_be_between": {"min_value": "{{ last.rows * 0.5 }}", "max_value": "{{ last.rows * 2 }}"},
    "severity": "warning",
    "why": "against the last run that succeeded",
}


def has_happened(time: str) -> dict[str, Any]:
    """No event is later than the day of the run."""
    return {
        "column_values_to_be_between": {"column": time, "max_value": "{{ day + 1d }}"},
        "on_fail": "quarantine",
        "why": "what is later than the day of the run has not happened",
    }


def is_fresh(time: str) -> dict[str, Any]:
    """The last event is near the moment the run stands for."""
    return {
        "column_max_to_be_between": {"column": time, "min_value": "{{ as_of - 2d }}"},
        "severity": "warning",
        "why": "the table should reach up to the moment the run stands for",
    }

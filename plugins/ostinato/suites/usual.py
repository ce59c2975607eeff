"""What the tables of the ready-made pipelines must be like where no suite is named.

They have the shape of a suite's YAML; names such as `{user}` stand for columns, see `naming`.
"""

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


_LARGEST_AMOUNT = 900_000_000_000  # the features' limit; NaN is greater than any number

TRANSACTIONS: dict[str, Any] = {
    "dataset": "transactions",
    "key": "{id}",
    "expectations": [
        {"column_values_to_be_unique": "{id}", "on_fail": "quarantine"},
        {
            "column_values_to_not_be_null": ["{id}", "{time}", "{card}", "{terminal}", "{amount}"],
            "on_fail": "quarantine",
        },
        has_happened("{time}"),
        {
            "column_values_to_be_between": {"column": "{amount}", "min_value": 0, "max_value": _LARGEST_AMOUNT},
            "on_fail": "quarantine",
        },
        {"column_values_to_be_in_set": {"column": "{label}", "value_set": [0, 1]}, "on_fail": "quarantine"},
        is_fresh("{time}"),
        AS_LONG_AS_BEFORE,
    ],
}

INTERACTIONS: dict[str, Any] = {
    "dataset": "interactions",
    "max_quarantine": 0.05,
    "expectations": [
        {"column_values_to_not_be_null": ["{user}", "{item}", "{time}"], "on_fail": "quarantine"},
        has_happened("{time}"),
        {
            # In an order, so that of two weights the same goes on each time: the larger.
            "rows": "SELECT * FROM {batch} QUALIFY row_number() OVER "
            "(PARTITION BY {user}, {item}, {time} ORDER BY {weight|time} DESC) > 1",
            "name": "an interaction is there once",
            "on_fail": "quarantine",
        },
        {
            "rows": "SELECT * FROM {batch} WHERE {user} IN (SELECT {user} FROM {batch} "
            "GROUP BY {user}, date_trunc('day', {time}) HAVING count(*) > {most_a_day})",
            "name": "nobody has more than {most_a_day} interactions a day",
            "on_fail": "quarantine",
            "why": "who has more is no person",
        },
        {"column_values_to_be_between": {"column": "{weight}", "min_value": 0}, "on_fail": "quarantine"},
        is_fresh("{time}"),
        AS_LONG_AS_BEFORE,
    ],
}

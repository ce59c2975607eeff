"""What `airflow providers list` shows of an installed ostinato; a folder that was dropped in is no provider."""

from __future__ import annotations

from . import __version__


def get_provider_info() -> dict[str, str | list[str]]:
    """The name, what it is and its version, in the keys Airflow reads."""
    return {
        "package-name": "ostinato",
        "name": "Ostinato",
        "description": "Reusable machine-learning pipelines: validate, train, judge, release.",
        "versions": [__version__],
    }

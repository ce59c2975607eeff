"""The way from a task to its run's report. Airflow loads this in every task's process: it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

PREFIX = "/ostinato"


def pages() -> str:
    """Where our pages lie on the API server, which itself may lie below a path (`[api] base_url`)."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + PREFIX


class RunReportLink(BaseOperatorLink):
    """The report of the run that a task belongs to."""

    name = "Run report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address of the report's page."""
        return f"{pages()}/report/{quote(ti_key.dag_id, safe='')}/{quote(ti_key.run_id, safe='')}"

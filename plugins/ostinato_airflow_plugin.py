"""What Airflow shows of ostinato: a page of all pipelines, the report beside each run and task, a link to it.

The one file that Airflow executes in its plugins folder. It is loaded in every task's process, so the pages
themselves are imported when somebody first asks for one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

from ostinato.engines.airflow_link import PREFIX, RunReportLink, pages

_SIGN = '<path d="M2 3h2.5v18H2zM6 3h1.5v18H6zM22 3h-2.5v18H22zM18 3h-1.5v18H18z"/>' + "".join(
    f'<circle cx="{x}" cy="{y}" r="1.7"/>' for x in (10, 14) for y in (9, 15)
)  # repeat what stands between the bars


def _icon(colour: str) -> str:
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="{colour}">{_SIGN}</svg>'
    return f"data:image/svg+xml,{quote(drawn)}"


async def _pages(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    from ostinato.engines.airflow_pages import app

    await app(scope, receive, send)


_ICONS = {"icon": _icon("#0b5cad"), "icon_dark_mode": _icon("#8ec5ff")}
_REPORT = {"name": "Report", "href": f"{pages()}/report/{{DAG_ID}}/{{RUN_ID}}", **_ICONS}  # Airflow encodes both


class OstinatoPlugin(AirflowPlugin):
    """The pages, their places in Airflow's navigation, and the link on a task."""

    name = "ostinato"
    fastapi_apps: ClassVar = [{"app": _pages, "url_prefix": PREFIX, "name": "ostinato"}]
    external_views: ClassVar = [
        {"name": "Models", "href": f"{pages()}/", "category": "browse", "url_route": "ostinato", **_ICONS},
        {**_REPORT, "destination": "dag_run", "url_route": "ostinato-run"},
        {**_REPORT, "destination": "task_instance", "url_route": "ostinato-task"},
    ]
    operator_extra_links: ClassVar = [RunReportLink()]

"""The pages of ostinato on Airflow's API server: the pipelines, a run's report, and what the report refers to.

Airflow mounts them without any protection of its own. So every route asks for the user, and each run for the right to
read the runs of its DAG.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException as Refusal

from ostinato import report
from ostinato.errors import OstinatoError, UnknownName
from ostinato.evidence import evidence_of
from ostinato.markup import document
from ostinato.outcome import outcome
from ostinato.overview import has_records, owner, page, standings
from ostinato.records import RunRecord
from ostinato.runner import records_of
from ostinato.workspace import read_text

from .airflow_run import record_id, workspace_here

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; frame-ancestors 'self'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_KINDS = {".html": "text/html", ".md": "text/plain", ".txt": "text/plain", ".json": "application/json"}
_SAID = {
    401: "Sign in to Airflow to see this page.",
    403: "You may not read the runs of this DAG.",
    404: "There is no such page, or ostinato has no record of this run: it is on record as soon as a step has begun.",
    405: "These pages can only be read.",
}

app = FastAPI(dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)
_MAY_READ = Depends(requires_access_dag("GET", DagAccessEntity.RUN))  # of the DAG in the path


@app.get("/")
def pipelines(request: Request, user: GetUserDep) -> Response:
    """All pipelines whose DAGs the user may read."""
    return _answer(page(standings(workspace_here(), _reader(request, user)), lambda run: _place(request, run)))


@app.get("/report/{dag_id}/{run_id}", dependencies=[_MAY_READ])
def report_of_dag_run(request: Request, dag_id: str, run_id: str) -> Response:
    """The report of a DAG run."""
    return _report(request, _of_dag_run(dag_id, run_id))


@app.get("/report/{dag_id}/{run_id}/{path:path}", dependencies=[_MAY_READ])
def file_of_dag_run(dag_id: str, run_id: str, path: str) -> Response:
    """A page or document that a DAG run has left behind."""
    return _file(_of_dag_run(dag_id, run_id), path)


@app.get("/run/{run_id}")
def report_of_run(request: Request, user: GetUserDep, run_id: str) -> Response:
    """The report of any run in the workspace by its id on record, also of one that Airflow did not start."""
    return _report(request, _readable(request, user, run_id))


@app.get("/run/{run_id}/{path:path}")
def file_of_run(request: Request, user: GetUserDep, run_id: str, path: str) -> Response:
    """A page or document that any run in the workspace has left behind."""
    return _file(_readable(request, user, run_id), path)


# --- who may see what ---------------------------------------------------------------------------------------------


def _reader(request: Request, user: Any) -> Callable[[str], bool]:
    """Whether the user may read a DAG that Airflow knows, and its runs."""
    dags = get_auth_manager().get_authorized_dag_ids(user=user)

    def may_read(dag_id: str) -> bool:
        if dag_id not in dags:
            return False
        try:
            requires_access_dag("GET", DagAccessEntity.RUN, dag_id)(request, user)
        except Refusal:
            return False
        return True

    return may_read


def _of_dag_run(dag_id: str, run_id: str) -> RunRecord:
    found = _recorded(record_id(dag_id, run_id))
    if found is None or owner(found) != dag_id:
        raise Refusal(404)
    return found


def _readable(request: Request, user: Any, run_id: str) -> RunRecord:
    found = _recorded(run_id)
    if found is None or not _reader(request, user)(owner(found)):
        raise Refusal(404)  # not 403: that would tell which runs there are
    return found


def _recorded(run_id: str) -> RunRecord | None:
    if not has_records(workspace := workspace_here()):
        return None
    try:
        found = records_of(workspace.home).run(run_id)
    except UnknownName:
        return None
    return found if found.run_id == run_id else None  # the beginning of an id is not enough here


# --- what is shown ------------------------------------------------------------------------------------------------


def _place(request: Request, run: Mapping[str, Any]) -> str:
    """The address of a run's report on this server."""
    root, tags = request.scope["root_path"], run["tags"]
    names = ("report", tags["dag_id"], tags["dag_run_id"]) if "dag_run_id" in tags else ("run", run["run_id"])
    return "/".join([root, *(quote(name, safe="") for name in names)])


def _report(request: Request, run: RunRecord) -> Response:
    """The report as it was written at the run's end; until then, and where it cannot be read, what is on record."""
    written = None if run.state in ("running", "waiting") else _text(run.run_id, report.PAGE)
    if written is None:
        found = outcome(records_of(workspace_here().home), run.run_id)
        written = report.page(found, evidence_of(found))
    return _answer(_linked(written, run.run_id, _place(request, vars(run))))


def _linked(text: str, run_id: str, place: str) -> str:
    """A report whose links to files of its run lead to this server, wherever the workspace lay when it was written."""
    inside = rf'href="file://[^"]*?/runs/{re.escape(run_id)}/'
    return re.sub(inside, lambda _: f'href="{escape(place)}/', text)


def _file(run: RunRecord, path: str) -> Response:
    text = _text(run.run_id, path)
    if text is None:
        raise Refusal(404)
    return _answer(text, kind=_KINDS[PurePosixPath(path).suffix])


def _text(run_id: str, path: str) -> str | None:
    """A page or document in a run's own folder; None where it is not there, is of another kind, or lies elsewhere."""
    workspace, parts = workspace_here(), path.split("/")
    if PurePosixPath(path).suffix not in _KINDS or {"", ".", ".."} & set(parts) or "::" in path:  # fsspec chains URLs
        return None
    place = f"{workspace.run_folder(run_id)}/{path}"
    try:
        if not workspace.remote:
            folder, file = Path(workspace.run_folder(run_id)).resolve(), Path(place).resolve()
            if not file.is_relative_to(folder) or file.suffix not in _KINDS:  # a link that leads out, or to other data
                return None
            place = str(file)
        return read_text(place)
    except (OSError, ValueError):  # not there, not readable, no text, or no name of a file
        return None


def _answer(text: str, status: int = 200, kind: str = "text/html") -> Response:
    return Response(text, status, {**HEADERS, "Content-Type": f"{kind}; charset=utf-8"})


# --- what goes wrong ----------------------------------------------------------------------------------------------


@app.exception_handler(Refusal)
def refused(_: Request, error: Refusal) -> Response:
    """A page instead of JSON; nothing of what was asked for is repeated in it."""
    return _wrong(error.status_code, _SAID.get(error.status_code, "This cannot be answered."))


@app.exception_handler(OstinatoError)
def unavailable(_: Request, error: OstinatoError) -> Response:
    """Records that cannot be read, in our own words."""
    return _wrong(503, str(error))


@app.exception_handler(Exception)
def broken(_: Request, error: Exception) -> Response:
    """Anything else; the server's log has it."""
    return _wrong(500, "Something went wrong. The API server's log says what.")


def _wrong(status: int, said: str) -> Response:
    return _answer(document(f"ostinato: {status}", [f'<p class="lead">{escape(said)}</p>']), status)

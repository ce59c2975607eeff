"""The pages on Airflow's API server: only for users, only what they may read, only files of the run, only text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed here; its tests run in .venv-airflow")

from starlette.testclient import TestClient

from alert_cases import DATA_ERROR, fail_step, open_run, records, succeed_step, validation
from engines.airflow_doorkeeper import SECRET, STATIC
from ostinato import report
from ostinato.engines.airflow_run import record_id
from ostinato.outcome import outcome
from ostinato.workspace import Workspace, write_text
from pages import EVIL, Page

pytestmark = pytest.mark.airflow

FRAUD, RUN = "pages_fraud", "scheduled__2026-03-01T00:00:00+00:00"
QUOTED = "scheduled__2026-03-01T00%3A00%3A00%2B00%3A00"
DAGS = (FRAUD, SECRET, STATIC)


@pytest.fixture(scope="module")
def server(airflow_database: Path) -> Iterator[Any]:
    """Airflow's real application with our plugin, its database, three DAGs, and a doorkeeper."""
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.add(DagBundleModel(name="pages"))
        session.flush()
        session.add_all([DagModel(dag_id=dag_id, bundle_name="pages", fileloc="pages.py") for dag_id in DAGS])
    purge_cached_app()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "engines.airflow_doorkeeper.Doorkeeper")
        yield create_app()
    purge_cached_app()
    with create_session() as session:
        session.execute(delete(DagModel).where(DagModel.dag_id.in_(DAGS)))
        session.execute(delete(DagBundleModel).where(DagBundleModel.name == "pages"))


def client(server: Any, name: str = "", role: str = "") -> TestClient:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role)) if name else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return TestClient(server, headers=headers, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def anybody(server: Any) -> TestClient:
    return client(server)


@pytest.fixture
def admin(server: Any) -> TestClient:
    return client(server, "admin", "admin")


@pytest.fixture
def viewer(server: Any) -> TestClient:
    return client(server, "vic", "viewer")


def run_of(dag_id: str, run_id: str = RUN, **values: Any) -> str:
    """A DAG run on record; gives its id there."""
    tags = {"dag_id": dag_id, "dag_run_id": run_id}
    return open_run(record_id(dag_id, run_id), engine="airflow", pipeline="fraud", tags=tags, **values).run_id


def put(run_id: str, path: str, text: str) -> str:
    """A file in a run's folder; gives where it lies."""
    place = f"{Workspace.here().run_folder(run_id)}/{path}"
    write_text(place, text)
    return place


def finished(dag_id: str = FRAUD) -> str:
    """A DAG run that has ended, with its report and a validation's page."""
    run_id = run_of(dag_id, nodes="validate")
    checked = validation()
    page = put(run_id, "validate/validation.html", '<p>All rules</p><a href="gx_result.json">more</a>')
    put(run_id, "validate/gx_result.json", '{"success": true}')
    succeed_step(run_id, "validate", {**checked, "facts": {**checked["facts"], "page": Path(page).as_uri()}})
    records().close_run(run_id, "succeeded")
    place = put(run_id, report.PAGE, report.page(outcome(records(), run_id)))
    records().change_run(run_id, report=place)
    return run_id


def links(html: str) -> set[str | None]:
    return {value for name, value in Page(html).attributes if name == "href"}


# --- who may see what ---------------------------------------------------------------------------------------------


def addresses() -> list[str]:
    """One of every route there is, of a run that is on record."""
    from ostinato.engines.airflow_pages import app

    def filled(path: str) -> str:
        run_id = QUOTED if "{dag_id}" in path else record_id(FRAUD, RUN)
        return path.replace("{path:path}", report.PAGE).replace("{dag_id}", FRAUD).replace("{run_id}", run_id)

    routes: list[Any] = app.routes
    return [f"/ostinato{filled(route.path)}" for route in routes]


def test_every_page_asks_for_the_user(anybody: TestClient, admin: TestClient) -> None:
    """All routes there are: 401 without one, the page with one, and the session's cookie will do."""
    finished()
    listed = addresses()
    assert len(listed) == 5
    cookie = {"_token": admin.headers["authorization"].removeprefix("Bearer ")}
    for address in listed:
        assert anybody.get(address).status_code == 401, address
        assert admin.get(address).status_code == 200, address
        assert TestClient(anybody.app, cookies=cookie).get(address).status_code == 200, address


def test_a_token_that_airflow_did_not_sign_is_refused(anybody: TestClient) -> None:
    """Neither in the header nor in the cookie."""
    assert anybody.get("/ostinato/", headers={"Authorization": "Bearer x.y.z"}).status_code == 403
    assert TestClient(anybody.app, cookies={"_token": "x.y.z"}).get("/ostinato/").status_code == 403


def test_a_page_that_is_yet_to_come_asks_for_the_user_too() -> None:
    """Who adds a route need not think of it."""
    from airflow.api_fastapi.core_api.security import get_user

    from ostinato.engines.airflow_pages import app

    assert get_user in [dependency.dependency for dependency in app.router.dependencies]


@pytest.mark.parametrize("place", ["docs", "redoc", "openapi.json", "docs/oauth2-redirect"])
def test_nothing_describes_the_pages_to_strangers(admin: TestClient, place: str) -> None:
    """FastAPI's own documentation pages would need no login."""
    assert admin.get(f"/ostinato/{place}").status_code == 404


def test_pages_can_only_be_read(admin: TestClient) -> None:
    """No address takes anything."""
    finished()
    for address in addresses():
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert admin.request(method, address).status_code == 405, (method, address)


@pytest.mark.parametrize("dag_id", [SECRET, STATIC])
def test_who_may_not_read_a_dags_runs_sees_nothing_of_them(viewer: TestClient, admin: TestClient, dag_id: str) -> None:
    """Not in the overview, not the report, no file of it; who may, sees all three."""
    run_id = finished(dag_id)
    finished(FRAUD)
    report_, file = f"/ostinato/report/{dag_id}/{QUOTED}", f"/ostinato/report/{dag_id}/{QUOTED}/{report.PAGE}"
    assert [viewer.get(address).status_code for address in (report_, file)] == [403, 403]
    assert [admin.get(address).status_code for address in (report_, file)] == [200, 200]
    assert viewer.get(f"/ostinato/run/{run_id}").status_code == 404
    assert viewer.get(f"/ostinato/run/{run_id}/{report.PAGE}").status_code == 404
    seen, all_ = viewer.get("/ostinato/").text, admin.get("/ostinato/").text
    assert FRAUD in seen
    assert dag_id not in seen
    assert dag_id in all_


def test_a_dag_that_may_be_read_opens_no_other_dags_run(viewer: TestClient) -> None:
    """Whatever the address makes of the two names."""
    run_id = finished(SECRET)
    for dag_id in (FRAUD, "~", "", f"{FRAUD}%2F..%2F{SECRET}"):
        for run in (QUOTED, run_id, f"..%2F{SECRET}%2F{QUOTED}", f"%2e%2e/{SECRET}/{QUOTED}"):
            found = viewer.get(f"/ostinato/report/{dag_id}/{run}")
            assert found.status_code in (403, 404), (dag_id, run)


def test_a_record_that_claims_another_dags_name_is_not_shown(viewer: TestClient) -> None:
    """The tags say whose it is, not the address."""
    open_run(record_id(FRAUD, RUN), tags={"dag_id": SECRET, "dag_run_id": RUN})
    assert viewer.get(f"/ostinato/report/{FRAUD}/{QUOTED}").status_code == 404


def test_every_answer_forbids_scripts_frames_guesses_and_copies(
    anybody: TestClient, admin: TestClient, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also refusals and failures."""
    finished(FRAUD)
    finished(SECRET)
    answers = [
        anybody.get("/ostinato/"),
        viewer.get(f"/ostinato/report/{SECRET}/{QUOTED}"),
        *(admin.get(f"/ostinato/{place}") for place in ("", "nothing", f"report/{FRAUD}/{QUOTED}")),
        admin.get(f"/ostinato/report/{FRAUD}/{QUOTED}/validate/validation.html"),
        admin.post("/ostinato/"),
    ]
    monkeypatch.setenv("OSTINATO_RECORDS", "nonsense")
    answers.append(admin.get("/ostinato/"))
    assert [answer.status_code for answer in answers] == [401, 403, 200, 404, 200, 200, 405, 503]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self';")
        assert "frame-ancestors 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


# --- what they show -----------------------------------------------------------------------------------------------


def test_the_overview_leads_to_each_run(admin: TestClient) -> None:
    """Of DAGs and of pipelines of the same name that ran elsewhere, but of nothing Airflow does not know."""
    finished()
    open_run("20260301-local", pipeline=FRAUD)
    open_run("20260301-other", pipeline="no_dag")
    found = admin.get("/ostinato/")
    assert links(found.text) == {f"/ostinato/report/{FRAUD}/{QUOTED}", "/ostinato/run/20260301-local"}
    assert "no_dag" not in found.text
    assert [admin.get(str(address)).status_code for address in links(found.text)] == [200, 200]
    assert admin.get("/ostinato/run/20260301-other").status_code == 404
    assert admin.get("/ostinato/run/20260301-loc").status_code == 404  # an id, not the beginning of one


def test_a_report_leads_to_the_files_of_its_run(admin: TestClient) -> None:
    """Its links to files become addresses, and links between those pages go on working."""
    finished()
    address = f"/ostinato/report/{FRAUD}/{QUOTED}"
    found = admin.get(address)
    assert "The run succeeded." in found.text
    assert links(found.text) == {f"{address}/validate/validation.html"}
    assert "All rules" in admin.get(f"{address}/validate/validation.html").text
    more = admin.get(f"{address}/validate/gx_result.json")
    assert (more.headers["content-type"], more.json()) == ("application/json; charset=utf-8", {"success": True})


def test_links_lead_there_wherever_the_workspace_lay(admin: TestClient) -> None:
    """A worker may see it at another path than the server; links to elsewhere stay as they are."""
    run_id = run_of(FRAUD)
    records().close_run(run_id, "succeeded")
    put(run_id, report.PAGE, f'<a href="file:///mnt/w/runs/{run_id}/a.html">a</a><a href="file:///etc/hosts">b</a>')
    address = f"/ostinato/report/{FRAUD}/{QUOTED}"
    assert links(admin.get(address).text) == {f"{address}/a.html", "file:///etc/hosts"}


def test_links_follow_a_server_that_lies_below_a_path(admin: TestClient) -> None:
    """As a proxy says it, and Airflow's base_url."""
    from ostinato.engines.airflow_pages import app

    finished()
    below = TestClient(app, headers=dict(admin.headers), root_path="/airflow/ostinato")
    address = f"/airflow/ostinato/report/{FRAUD}/{QUOTED}"
    assert links(below.get("/").text) == {address}
    assert links(below.get(f"/report/{FRAUD}/{QUOTED}").text) == {f"{address}/validate/validation.html"}


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(admin: TestClient) -> None:
    """The report of an earlier attempt does not stand for it."""
    run_id = run_of(FRAUD)
    succeed_step(run_id, "load", None)
    put(run_id, report.PAGE, "an earlier attempt")
    found = admin.get(f"/ostinato/report/{FRAUD}/{QUOTED}").text
    assert "The run is running." in found
    assert "pending" in found
    records().close_run(run_id, "failed")
    assert admin.get(f"/ostinato/report/{FRAUD}/{QUOTED}").text == "an earlier attempt"


def test_a_report_that_cannot_be_read_is_made_from_the_records(admin: TestClient) -> None:
    """The server may not reach the worker's disk."""
    run_id = run_of(FRAUD)
    fail_step(run_id)
    records().close_run(run_id, "failed", report="/nowhere/report.html")
    found = admin.get(f"/ostinato/report/{FRAUD}/{QUOTED}").text
    assert "The run failed at fit." in found
    assert DATA_ERROR["message"] in found


@pytest.mark.parametrize("run_id", ["manual__1", "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "a%00b", "x" * 3000])
def test_a_run_that_is_not_on_record_is_a_sentence(admin: TestClient, run_id: str) -> None:
    """A tab stands beside every task of Airflow, ours or not; the page repeats nothing of the address."""
    for address in (f"report/{FRAUD}/{run_id}", f"report/no_dag/{run_id}", f"run/{run_id}"):
        found = admin.get(f"/ostinato/{address}")
        assert found.status_code == 404
        assert "ostinato has no record of this run" in found.text
        assert "script" not in found.text
        assert "manual__1" not in found.text


def test_looking_makes_no_database(admin: TestClient, home: Path) -> None:
    """Neither of records nor of models."""
    assert "No pipeline that you may read has run yet." in admin.get("/ostinato/").text
    assert admin.get(f"/ostinato/report/{FRAUD}/{QUOTED}").status_code == 404
    assert not home.exists()


def test_what_goes_wrong_is_told_without_its_details(
    admin: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that cannot be read say so, with no password in it; anything else is for the log."""
    home.mkdir()
    (home / "records.db").write_text("no database " * 1000)
    found = admin.get("/ostinato/")
    monkeypatch.setenv("OSTINATO_RECORDS", "postgresql+psycopg://me:hunter2@127.0.0.1:9/x")
    hidden = admin.get("/ostinato/")
    assert (found.status_code, hidden.status_code) == (503, 503)
    assert "hunter2" not in hidden.text


def test_a_fault_of_ours_is_a_page_too(admin: TestClient) -> None:
    """A record that nobody foresaw."""
    run_of(FRAUD, graph={})
    found = admin.get("/ostinato/")
    assert found.status_code == 500
    assert "The API server's log says what." in Page(found.text).text
    assert found.headers["cache-control"] == "no-store"


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "",
        "validate",
        "validate/",
        "no.html",
        "../../records.db",
        "../other/report.html",
        "%2e%2e/other/report.html",
        "..%2fother%2freport.html",
        "validate/%2e%2e/%2e%2e/other/report.html",
        "validate%2f..%2f..%2fother%2freport.html",
        "..%5cother%5creport.html",
        "/etc/passwd.html",
        "%2fetc%2fpasswd.html",
        "%2f{home}%2fruns%2fother%2freport.html",
        "file:%2f%2f{home}%2fruns%2fother%2freport.html",
        "validation.html%00.html",
        "rows.parquet",
        "r.lock",
        "script.js",
        "picture.svg",
        "folder.html",
        "out.html",
        "out/report.html",
        "rows.html",
        "odd.txt",
        "a::b.html",
        f"{'x' * 300}.html",
    ],
)
def test_only_text_in_the_runs_own_folder_is_given_out(admin: TestClient, home: Path, path: str) -> None:
    """No way up, no way round, no link out of it, no data, no script, no folder."""
    run_id = finished()
    put("other", report.PAGE, "another run's")
    for name in ("rows.parquet", "r.lock", "script.js", "picture.svg", "folder.html/a.txt", "a::b.html"):
        put(run_id, name, "PAYLOAD")
    folder = home / "runs" / run_id
    (folder / "out.html").symlink_to(home / "runs" / "other" / report.PAGE)
    (folder / "out").symlink_to(home / "runs" / "other")
    (folder / "rows.html").symlink_to(folder / "rows.parquet")
    (folder / "odd.txt").write_bytes(b"\xff\xfe\x00")
    for start in (f"report/{FRAUD}/{QUOTED}", f"run/{run_id}"):
        found = admin.get(f"/ostinato/{start}/{path.format(home=str(home)[1:])}")
        assert found.status_code == 404, start
        assert "another run's" not in found.text
        assert "PAYLOAD" not in found.text


def test_a_workspace_that_is_no_folder_of_this_machine_is_as_closed(
    admin: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are asked for by URL, where some stores follow `..`, too; fsspec's own `local://` is one."""
    monkeypatch.setenv("OSTINATO_RECORDS", f"sqlite:///{home}/records.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    run_id = finished()
    put("other", report.PAGE, "another run's")
    put(run_id, "rows.parquet", "PAYLOAD")
    monkeypatch.setenv("OSTINATO_HOME", f"local://{home}")
    address = f"/ostinato/report/{FRAUD}/{QUOTED}"
    assert "The run succeeded." in admin.get(address).text
    assert "All rules" in admin.get(f"{address}/validate/validation.html").text
    up = ["..%2fother%2freport.html", "%2e%2e/other/report.html", f"a/..%2f..%2f..%2fruns/{run_id}/report.html"]
    for path in [*up, "rows.parquet"]:
        assert admin.get(f"{address}/{path}").status_code == 404, path


def test_text_is_given_out_as_what_it_is(admin: TestClient) -> None:
    """Markdown is text: nothing but our own pages is HTML."""
    run_id = finished()
    put(run_id, "card.md", "<b>bold</b>")
    found = admin.get(f"/ostinato/run/{run_id}/card.md")
    assert (found.headers["content-type"], found.text) == ("text/plain; charset=utf-8", "<b>bold</b>")


# --- hostile text -------------------------------------------------------------------------------------------------


def test_a_strangers_text_stays_text(admin: TestClient) -> None:
    """In names, errors, ids and links, on every page."""
    run_id = run_of(FRAUD)
    fail_step(run_id, error={**DATA_ERROR, "message": EVIL})
    records().close_run(run_id, "failed", error={**DATA_ERROR, "message": f"{EVIL} again"})
    open_run(EVIL, pipeline=FRAUD)
    for address in ("", f"report/{FRAUD}/{QUOTED}"):
        html = admin.get(f"/ostinato/{address}").text
        assert "<script" not in html
        assert Page(html).open == []
    assert EVIL in Page(html).text
    (local,) = (place for place in links(admin.get("/ostinato/").text) if "/run/" in str(place))
    assert "<script" not in str(local)


def test_the_words_of_an_error_are_text(admin: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may hold anything, such as the name of a place."""
    monkeypatch.setenv("OSTINATO_HOME", "s3://<script>")
    found = admin.get("/ostinato/")
    assert (found.status_code, "&lt;script&gt;" in found.text, "<script" in found.text) == (503, True, False)

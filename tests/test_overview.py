"""The overview: the last runs of every pipeline, what they came to, its champion, what was set aside; never written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from alert_cases import close_run, fail_step, open_run, promotion, records, succeed_step, validation
from integrations.mlflow_store import client, put_store
from integrations.releases import alias_of, promotes, put_versions
from ostinato.overview import LOOKED_AT, SHOWN, Standing, champions, owner, page, standings
from ostinato.workspace import Workspace
from pages import EVIL, Page


def everything(_: str) -> bool:
    return True


def here(may_read: Any = everything) -> list[Standing]:
    return standings(Workspace.here(), may_read)


def link(run: Mapping[str, Any]) -> str:
    return f"/run/{run['run_id']}"


def shown(found: list[Standing] | None = None) -> Page:
    return Page(page(here() if found is None else found, link))


# --- what there is ------------------------------------------------------------------------------------------------


def test_pipelines_stand_in_the_order_of_their_last_runs_each_with_a_few() -> None:
    """The newest first, and no more of each than fit."""
    for number in range(SHOWN + 2):
        open_run(f"f{number}", started=100.0 + number)
    open_run("c1", pipeline="cards", started=500.0)
    found = here()
    assert [one.name for one in found] == ["cards", "fraud"]
    assert [run["run_id"] for run in found[1].runs] == [f"f{number}" for number in range(SHOWN + 1, 1, -1)]


def test_a_run_belongs_to_its_dag_and_without_one_to_its_pipeline() -> None:
    """Two DAGs of one pipeline are two things that somebody may read."""
    theirs = open_run("a1", tags={"dag_id": "fraud_uk", "dag_run_id": "manual"}, started=1.0)
    ours = open_run("l1", started=2.0)
    assert (owner(theirs), owner(ours)) == ("fraud_uk", "fraud")
    assert [one.name for one in here()] == ["fraud", "fraud_uk"]


def test_what_somebody_may_not_read_is_not_even_looked_at() -> None:
    """Neither the pipeline nor its model is named."""
    open_run("r1")
    open_run("r2", pipeline="secret")
    asked: list[str] = []
    found = here(lambda name: bool(asked.append(name)) or name == "fraud")
    assert [one.name for one in found] == ["fraud"]
    assert set(asked) == {"fraud", "secret"}
    assert "secret" not in page(found, link)


def test_only_the_latest_runs_of_a_pipeline_are_looked_at_and_no_pipeline_is_pushed_out() -> None:
    """One that runs every minute hides none that runs once a year."""
    open_run("old", pipeline="yearly", started=1.0)
    open_run("older", started=1.5, tags={"dag_id": "fraud_by_another_dag"})
    for number in range(LOOKED_AT):
        open_run(f"r{number}", started=2.0 + number)
    assert [one.name for one in here()] == ["fraud", "yearly"]


def test_looking_leaves_nothing_behind(home: Path) -> None:
    """No folder and no database of records; and where there are records, no database of models."""
    assert here() == []
    assert not home.exists()
    open_run()
    assert here()[0].champions == {}
    assert not (home / "mlflow.db").exists()


# --- champions ----------------------------------------------------------------------------------------------------


def test_a_champion_is_named_with_its_version_its_day_and_whose_decision_it_was(home: Path) -> None:
    """From the ledger; a pipeline whose runs name no model has one of its own name, if any."""
    put_store(home)
    put_versions("fraud", 2)
    promotes("fraud", 1)
    open_run()
    open_run("r2", pipeline="cards")
    known = {one.name: dict(one.champions) for one in here()}
    assert known["cards"] == {}
    assert known["fraud"]["fraud"].startswith("fraud version 1, since ")
    assert ", by " in known["fraud"]["fraud"]


def test_models_are_those_that_the_runs_name(home: Path) -> None:
    """`register(model=…)` gives another name than the pipeline's."""
    put_store(home)
    put_versions("payments", 1)
    promotes("payments", 1)
    open_run(nodes="promote")
    moved = promotion()
    succeed_step("r1", "promote", {**moved, "facts": {**moved["facts"], "name": "payments"}})
    assert list(here()[0].champions) == ["payments"]


def test_looking_moves_no_alias(home: Path) -> None:
    """One that somebody set by hand is for `ostinato model verify` to tell."""
    put_store(home)
    put_versions("fraud", 2)
    promotes("fraud", 1)
    client().set_registered_model_alias("fraud", "champion", "2")
    open_run()
    assert "version 1" in here()[0].champions["fraud"]
    assert alias_of("fraud") == "2"


def test_a_broken_ledger_is_told_instead_of_a_champion(home: Path) -> None:
    """Nobody reads a version off it."""
    put_store(home)
    put_versions("fraud", 2)
    promotes("fraud", 1)
    promotes("fraud", 2)
    client().delete_model_version("fraud.promotions", "1")
    open_run()
    assert "cannot be relied on: entry 1 is gone" in here()[0].champions["fraud"]


def test_a_store_that_is_away_is_said_in_the_cell_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is there all the same."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = champions(Workspace.here(), ["fraud", "cards"])
    assert found["fraud"].startswith("not known now: MLflow at http://127.0.0.1:9 does not answer")
    assert found["cards"] == found["fraud"]
    open_run()
    assert "not known now" in shown().text


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_tells_state_decision_time_cost_and_quarantine() -> None:
    """First how the pipelines stand, then the last runs of each."""
    open_run(nodes="validate promote", started=1_772_323_200.0, ended=1_772_323_290.5, state="succeeded")
    checked = validation()
    checked["facts"] |= {"quarantined": 25}
    succeed_step("r1", "validate", checked)
    succeed_step("r1", "promote", promotion())
    records().write_step("r1", "validate", cpu_seconds=1.5, peak_bytes=200_000_000)
    records().write_step("r1", "promote", cpu_seconds=2.0, peak_bytes=90_000_000)
    text = shown().text
    stands, runs = text.split("The last runs")
    for part in (
        "fraud",
        "1 March 2026",
        "succeeded",
        "Promoted",
        "fraud version 7 is the new champion",
        "25 of 1,000",
    ):
        assert part in stands
    for part in ("1 March 2026", "succeeded", "Promoted", "90.5", "3.5", "200", "25 of 1,000 (2.5%)"):
        assert part in runs


def test_what_is_not_known_yet_is_a_dash() -> None:
    """A run that has just begun has cost nothing that was measured, and checked no rows."""
    open_run()
    assert shown().text.count("–") == 5


def test_the_rows_set_aside_are_those_of_the_last_run_that_checked_any() -> None:
    """A run that failed before its validation does not hide them."""
    open_run("r1", nodes="validate", started=1.0)
    succeed_step("r1", "validate", validation())
    open_run("r2", nodes="validate", started=2.0)
    fail_step("r2", "validate")
    close_run("r2")
    stands, runs = shown().text.split("The last runs")
    assert "0 of 1,000" in stands
    assert "The run failed at validate." in stands
    assert runs.count("0 of 1,000") == 1


def test_every_run_leads_to_its_report() -> None:
    """By the address that the engine gives."""
    open_run("r1")
    open_run("r2", pipeline="cards")
    links = {value for name, value in shown().attributes if name == "href"}
    assert links == {"/run/r1", "/run/r2"}


def test_a_strangers_text_stays_text() -> None:
    """Names, states and addresses are escaped, and the page is whole."""
    open_run(EVIL, pipeline=EVIL, as_of=EVIL, state=EVIL)
    html = page(here(), link)
    assert "<script" not in html
    assert EVIL in Page(html).text
    assert Page(html).open == []


def test_a_page_without_runs_says_so() -> None:
    """In a sentence."""
    assert "No pipeline that you may read has run yet." in shown([]).text

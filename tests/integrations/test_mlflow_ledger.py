"""The ledger in MLflow as it really is: on sqlite and on a server; raced for, killed, tampered with, away."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations.mlflow_server import Server, mlflow_server
from integrations.mlflow_store import client, context, put_store, run_python
from integrations.releases import alias_of, promotes, put_versions, rolls_back, version_of
from ostinato import ledger
from ostinato.artifacts import Approval
from ostinato.context import running
from ostinato.errors import DataError, PermanentError, Unavailable, UnknownName
from ostinato.integrations import mlflow_connection, mlflow_ledger, mlflow_registry


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "server":
        server: Server = request.getfixturevalue("tracking_server")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    else:
        put_store(home)
    return str(request.param)


@pytest.fixture
def name(store: str) -> str:
    """A model of five versions, under a name no other test uses."""
    found = f"fraud {secrets.token_hex(3)}"
    put_versions(found, 5)
    return found


def lines(name: str) -> list[Any]:
    found = client().search_model_versions(f"name = '{name}.promotions'")
    return sorted(found, key=lambda line: int(line.version))


def heard(name: str) -> tuple[Any, list[str]]:
    """The champion, and what was said while it was looked up."""
    said: list[str] = []
    with running(context(emit=lambda event: said.append(event["message"]))):
        return mlflow_registry.champion(name), said


# --- promote and roll back ----------------------------------------------------------------------------------------


def test_a_promotion_is_an_entry_and_the_alias_follows(name: str) -> None:
    """First nothing, then version 1, then version 2 after version 1."""
    assert heard(name)[0] is None
    assert mlflow_registry.head(name) == 0
    first, second = promotes(name, 1), promotes(name, 2)
    assert (first.promoted, first.facts["replaced"], first.facts["entry"]) == (True, None, 1)
    assert (second.promoted, second.facts["replaced"], second.facts["entry"]) == (True, "1", 2)
    assert alias_of(name) == "2"
    champion, said = heard(name)
    assert (champion.entry, champion.version, said) == (2, "2", [])
    assert mlflow_registry.head(name) == 2


def test_an_entry_tells_who_why_and_on_what_evidence(name: str) -> None:
    """In the tags of a version of `<name>.promotions`, for whoever looks with MLflow's own tools."""
    with running(context("approve")):
        approval = Approval.of(granted=True, by="ann", why="looks fine")
    at = datetime(2026, 2, 8, tzinfo=UTC)
    promotes(name, 1)
    promotes(name, 2, approval=approval, as_of=at, tags={"code": "git:abc", "environment": "sha256:e"})
    told = {key.removeprefix("ostinato."): value for key, value in lines(name)[1].tags.items()}
    assert told.pop("hash") != told.pop("previous")
    assert datetime.fromisoformat(told.pop("at")).tzinfo is not None
    assert told.pop("verdict").startswith("sha256:")
    assert json.loads(told.pop("checks"))[0]["name"] == "average_precision"
    assert told == {
        "kind": "promote",
        "from": "1",
        "to": "2",
        "expected": "1",
        "who": "ann",
        "why": "1 check passed (noninferior)",
        "key": "r2/promote",
        "approver": "ann",
        "approval": "looks fine",
        "model": "sha256:m2",
        "files": "sha256:f2",
        "data": "sha256:d",
        "data_from": "2026-01-01 00:00:00",
        "data_until": "2026-01-31 00:00:00",
        "rows": "1200",
        "features": '["a","b"]',
        "test_data": "sha256:t",
        "metrics": '{"average_precision":0.71}',
        "outcome": "pass",
        "mode": "noninferior",
        "judged_against": "1",
        "judged_name": name,
        "as_of": "2026-02-08T00:00:00+00:00",
        "run_id": "r2",
        "pipeline": "fraud",
        "code": "git:abc",
        "environment": "sha256:e",
    }


def test_the_champions_model_is_what_its_entry_says(name: str) -> None:
    """Not what the version's tags say by now: only files whose digest stands in the ledger are loaded."""
    promotes(name, 1)
    client().set_model_version_tag(name, "1", "ostinato.files", "sha256:other")
    model = heard(name)[0].model
    assert (model.uri, model.digest) == (f"models:/{name}/1", "sha256:m1")
    assert model.facts["files"] == "sha256:f1"
    assert model.features == ["a", "b"]
    assert model.facts["window"] == {"from": "2026-01-01 00:00:00", "until": "2026-01-31 00:00:00"}


def test_rolled_back_twice_is_the_champion_before_the_one_before(name: str) -> None:
    """Two entries more, and the alias follows each; a third has nowhere to go."""
    for number in (1, 2, 3):
        promotes(name, number)
    assert rolls_back(name, "b1").facts["version"] == "2"
    assert alias_of(name) == "2"
    assert rolls_back(name, "b2").facts["version"] == "1"
    assert alias_of(name) == "1"
    with pytest.raises(PermanentError, match="There is nothing to roll back to"):
        rolls_back(name, "b3")
    assert [line.tags["ostinato.kind"] for line in lines(name)] == ["promote"] * 3 + ["rollback"] * 2


def test_a_rollback_goes_to_the_version_it_is_told(name: str) -> None:
    """Run again under the same key it finds the entry it wrote, and does not go further."""
    for number in (1, 2, 3):
        promotes(name, number)
    first = rolls_back(name, to="1", why="2 and 3 learnt from broken data")
    assert (first.facts["version"], first.facts["replaced"], first.facts["kind"]) == ("1", "3", "rollback")
    assert rolls_back(name, to="1") == first
    assert rolls_back(name) == first
    assert len(lines(name)) == 4


def test_a_long_ledger_is_read_page_by_page(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost between the pages."""
    monkeypatch.setattr(mlflow_ledger, "_PAGE", 2)
    for number in (1, 2, 3, 4, 5):
        promotes(name, number)
    assert [entry.to for entry in mlflow_registry.read(name).effective] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("odd", ["Betrug – Karten (EU) v2.1 ü", "a;b & c | d", "back\\slash", "x" * 200, "日本", "_%d"])
@pytest.mark.usefixtures("store")
def test_names_may_be_of_any_characters_mlflow_takes(odd: str) -> None:
    """Promoted, rolled back, read again."""
    found = odd.replace("%", "") + secrets.token_hex(3)
    put_versions(found, 2)
    promotes(found, 1)
    promotes(found, 2)
    rolls_back(found)
    assert heard(found)[0].version == alias_of(found) == "1"


@pytest.mark.usefixtures("store")
def test_there_is_no_champion_of_a_model_nobody_knows() -> None:
    """And its ledger is empty; asked for its versions the store lists what there is."""
    put_versions("cards", 1) if "cards" not in mlflow_registry.names() else None
    assert heard("crads")[0] is None
    assert mlflow_registry.head("o'brien") == 0
    with pytest.raises(UnknownName, match="Did you mean 'cards'"):
        mlflow_registry.versions("crads")


def test_a_version_that_is_gone_cannot_be_promoted(name: str) -> None:
    """Nothing is written."""
    client().delete_model_version(name, "3")
    with pytest.raises(DataError, match=f"There is no version 3 of '{name}'"):
        promotes(name, 3)
    assert lines(name) == []


def test_a_champion_whose_version_is_gone_is_named_still_and_does_not_load(name: str) -> None:
    """Whoever judges against it says so; a rollback leads out of it."""
    promotes(name, 1)
    promotes(name, 2)
    client().delete_model_version(name, "2")
    champion, said = heard(name)
    assert champion.version == "2"
    assert any("is gone from the store" in each for each in said)
    with running(context()), pytest.raises(DataError, match="is not in the model store"):
        champion.model.load()
    rolls_back(name)
    assert heard(name)[0].version == "1"


# --- once, whatever happens ---------------------------------------------------------------------------------------


def test_a_retry_finds_the_entry_it_wrote(name: str) -> None:
    """Also after others came: it reports its earlier effect."""
    first = promotes(name, 1)
    assert promotes(name, 1, against=0) == first
    promotes(name, 2)
    assert promotes(name, 1, against=0) == first
    assert [line.tags["ostinato.to"] for line in lines(name)] == ["1", "2"]
    assert alias_of(name) == "2"


def test_an_entry_whose_answer_was_lost_is_found_not_written_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store had written it, and said that it was too busy."""
    mlflow = mlflow_connection.import_mlflow()
    create = mlflow.MlflowClient.create_model_version

    def create_and_complain(*arguments: Any, **options: Any) -> None:
        create(*arguments, **options)
        raise mlflow.exceptions.MlflowException("Model Version creation error (name=x). Giving up after 3 attempts.")

    monkeypatch.setattr(mlflow.MlflowClient, "create_model_version", create_and_complain)
    assert promotes(name, 1).facts["entry"] == 1
    assert len(lines(name)) == 1


def test_a_store_that_stays_busy_is_said_to_be_busy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worth another try, and nothing was promoted."""
    mlflow = mlflow_connection.import_mlflow()

    def complain(*arguments: Any, **options: Any) -> None:
        raise mlflow.exceptions.MlflowException("(sqlite3.OperationalError) database is locked", 2)

    monkeypatch.setattr(mlflow_ledger, "_wait", lambda attempt: None)
    monkeypatch.setattr(mlflow.MlflowClient, "create_model_version", complain)
    with pytest.raises(Unavailable, match="written by too many at once; nothing was promoted"):
        promotes(name, 1)
    assert lines(name) == []


KILLED = """
import os, signal
from integrations.releases import promotes
from ostinato.integrations import mlflow_connection

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

mlflow_connection.import_mlflow().MlflowClient.set_registered_model_alias = die
promotes({name!r}, 2)
"""


@pytest.mark.parametrize("next_is", ["champion", "retry", "promotion"])
def test_killed_between_entry_and_alias_is_put_right_by_whoever_comes_next(name: str, next_is: str) -> None:
    """SIGKILL right after the entry was written: the promotion stands, the alias is set by the next look at it."""
    promotes(name, 1)
    done = run_python(KILLED.format(name=name))
    assert done.returncode == -9, done.stderr
    assert (alias_of(name), len(lines(name))) == ("1", 2)
    if next_is == "champion":
        champion, said = heard(name)
        assert champion.version == "2"
        assert said == [f"the alias champion of {name!r} named version 1; set to version 2, as the ledger says"]
    elif next_is == "retry":
        assert promotes(name, 2, against=1).facts["entry"] == 2
        assert len(lines(name)) == 2
    else:
        assert promotes(name, 3).facts["replaced"] == "2"
    assert alias_of(name) == heard(name)[0].version


# --- racing -------------------------------------------------------------------------------------------------------

RACER = """
import json, sys
from integrations.mlflow_store import context
from integrations.releases import promotes
from ostinato.context import running
from ostinato.integrations import mlflow_registry

told = []
for version in range({first}, {first} + {rounds}):
    with running(context("evaluate", run_id=f"r{{version}}")):
        champion = mlflow_registry.champion({name!r})
    seen = champion.entry if champion else 0
    done = promotes({name!r}, version, against=seen)
    told.append([done.promoted, done.facts["entry"], champion.version if champion else None, done.facts["why"]])
print(json.dumps(told))
"""


def raced(name: str, racers: int, rounds: int) -> list[list[Any]]:
    """What each of the racers was told in each round: promoted, entry, the champion it judged against, why."""
    processes = [
        run_python(RACER.format(name=name, first=1 + rounds * racer, rounds=rounds), wait=False)
        for racer in range(racers)
    ]
    told: list[list[Any]] = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        told += json.loads(out)
    return told


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_of_racing_promoters_one_wins_each_head_and_replaces_what_it_was_judged_against() -> None:
    """Eight processes: who won stands in the ledger, who lost was told, and the history is complete."""
    name, racers, rounds = f"raced {secrets.token_hex(3)}", 8, 4
    put_versions(name, racers * rounds)
    told = raced(name, racers, rounds)
    found = mlflow_registry.read(name)
    won = {entry: against for promoted, entry, against, _ in told if promoted}
    assert {entry.number: entry.replaced for entry in found.effective} == won
    assert [entry.expected for entry in found.effective] == [0, *(entry.number for entry in found.effective)][:-1]
    assert all("the verdict was reached" in why or "meanwhile" in why for promoted, *_, why in told if not promoted)
    assert [entry.number for entry in found.entries] == list(range(1, found.last + 1))
    assert not found.broken
    assert len(won) > 1
    assert alias_of(name) == found.champion


def test_racing_attempts_of_one_step_write_one_entry_that_counts(name: str) -> None:
    """An attempt that was given up for lost, and its retry: both report the same promotion."""
    code = f"""
from integrations.releases import promotes
print(promotes({name!r}, 1, against=0).facts["entry"])
"""
    processes = [run_python(code, wait=False) for _ in range(3)]
    said = [process.communicate(timeout=120) for process in processes]
    found = mlflow_registry.read(name)
    assert [out.strip() for out, _ in said] == [str(found.head)] * 3, said
    assert [entry.to for entry in found.effective] == ["1"]


# --- tampered with ------------------------------------------------------------------------------------------------


def test_an_alias_moved_by_hand_is_found_and_put_back(name: str) -> None:
    """The ledger is what counts, and who looks is told."""
    promotes(name, 1)
    promotes(name, 2)
    client().set_registered_model_alias(name, "champion", "5")
    champion, said = heard(name)
    assert champion.version == alias_of(name) == "2"
    assert said == [f"the alias champion of {name!r} named version 5; set to version 2, as the ledger says"]
    client().delete_registered_model_alias(name, "champion")
    assert "was gone" in heard(name)[1][0]
    assert alias_of(name) == "2"


def test_an_alias_set_by_hand_before_there_was_a_ledger_is_not_lost(name: str) -> None:
    """Refused with a sentence, the alias left alone; adopted by a person, it is replaced as any other."""
    client().set_registered_model_alias(name, "champion", "4")
    assert heard(name) == (None, [])
    refused = promotes(name, 5)
    assert not refused.promoted
    assert "somebody has set the alias champion" in refused.facts["why"]
    assert (alias_of(name), lines(name)) == ("4", [])
    adopt = by_hand(name, "4", ledger.override)
    assert adopt.kind == "override"
    assert promotes(name, 5).facts["replaced"] == "4"


def by_hand(name: str, version: str, make: Any) -> Any:
    def draft(found: ledger.Ledger) -> Any:
        return make(found, version, who="ann", why="it has served since March", key=f"h{version}", evidence={})

    with running(context("by_hand")):
        return mlflow_registry.append(name, f"h{version}", draft)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_deleted_entry_stops_everything_until_a_person_mends_it(name: str, number: int) -> None:
    """The first, one between, and the last one, which leaves no gap."""
    for version in (1, 2, 3):
        promotes(name, version)
    client().delete_model_version(f"{name}.promotions", str(number))
    for ask in (mlflow_registry.champion, mlflow_registry.head):
        with running(context()), pytest.raises(PermanentError, match=f"entry {number} is gone.*--mend"):
            ask(name)
    with pytest.raises(PermanentError, match=f"entry {number} is gone"):
        promotes(name, 4, against=3)
    with pytest.raises(PermanentError, match=f"entry {number} is gone"):
        rolls_back(name)
    entry = by_hand(name, "2", ledger.mend)
    assert (entry.number, entry.evidence["mends"]) == (4, str(number))
    assert heard(name)[0].version == alias_of(name) == "2"
    assert promotes(name, 4).facts["replaced"] == "2"


def test_a_whole_ledger_deleted_is_missed(name: str) -> None:
    """The model remembers how far it went."""
    promotes(name, 1)
    promotes(name, 2)
    client().delete_registered_model(f"{name}.promotions")
    with running(context()), pytest.raises(PermanentError, match="entry 1 is gone; entry 2 is gone"):
        mlflow_registry.champion(name)
    by_hand(name, "2", ledger.mend)
    assert heard(name)[0].version == "2"


def test_an_edited_entry_stops_everything(name: str) -> None:
    """Whatever was edited: who, the version, or the head it was written against."""
    promotes(name, 1)
    promotes(name, 2)
    client().set_model_version_tag(f"{name}.promotions", "1", "ostinato.to", "3")
    with running(context()), pytest.raises(PermanentError, match="entry 1 was changed after it was written"):
        mlflow_registry.champion(name)
    client().set_model_version_tag(f"{name}.promotions", "1", "ostinato.to", "1")
    client().set_model_version_tag(f"{name}.promotions", "1", "theirs", "a tag of somebody else is no harm")
    assert heard(name)[0].version == "2"


# --- a server that goes away --------------------------------------------------------------------------------------


@pytest.fixture
def own_server(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "server"
    with mlflow_server(folder, workers=1) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


@pytest.mark.slow
def test_a_server_that_goes_away_leaves_nothing_half_done(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the entry: nothing is written. After it: the retry finds it and sets the alias. Both are worth a retry."""
    name = "fraud"
    put_versions(name, 2)
    mlflow = mlflow_connection.import_mlflow()
    for method, entries in (("create_model_version", 0), ("set_registered_model_alias", 1)):
        original = getattr(mlflow.MlflowClient, method)

        def stop_first(*arguments: Any, **options: Any) -> Any:
            own_server.stop()
            return original(*arguments, **options)  # noqa: B023

        monkeypatch.setattr(mlflow.MlflowClient, method, stop_first)
        with pytest.raises(Unavailable, match="does not answer"):
            promotes(name, 1, against=0)
        with pytest.raises(Unavailable, match="does not answer"), running(context()):
            mlflow_registry.champion(name)
        monkeypatch.setattr(mlflow.MlflowClient, method, original)
        own_server.start()
        assert (alias_of(name), len(lines(name))) == (None, entries)
    assert promotes(name, 1, against=0).facts["entry"] == 1
    assert (alias_of(name), len(lines(name))) == ("1", 1)
    assert version_of(name, 1).uri == heard(name)[0].model.uri

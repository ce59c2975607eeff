"""`ostinato model`, as a person meets it."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from integrations.mlflow_store import client, context, put_store
from integrations.releases import alias_of, promotes, put_versions, rolls_back
from ostinato.artifacts import Approval
from ostinato.context import running
from ostinato.errors import ParameterError, PermanentError, Unavailable, UnknownName
from ostinato.integrations import mlflow_registry
from ostinato.model_commands import app

NAME = "fraud"


@pytest.fixture(autouse=True)
def store(home: Path) -> None:
    put_store(home)


@pytest.fixture
def model() -> str:
    """Version 2 is champion after version 1; version 3 waits."""
    put_versions(NAME, 4)
    promotes(NAME, 1, as_of=datetime(2026, 1, 1, tzinfo=UTC))
    with running(context("approve")):
        approval = Approval.of(granted=True, by="ann", why="fewer false alarms")
    tags = {"code": "git:abc+dirty"}
    promotes(NAME, 2, approval=approval, as_of=datetime(2026, 1, 8, tzinfo=UTC), tags=tags)
    return NAME


def said(*arguments: str) -> str:
    """What a command says on stdout when all goes well."""
    done = called(*arguments)
    assert done.exception is None, (done.exception, done.output)
    return done.stdout


def called(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refusal(kind: type[Exception], *arguments: str) -> str:
    """The error a command ends with."""
    done = called(*arguments)
    assert isinstance(done.exception, kind), (done.exception, done.output)
    return str(done.exception)


def test_list_shows_each_model_and_its_champion(model: str) -> None:
    """Ledgers are no models; one without a champion has dashes."""
    put_versions("cards", 2)
    lines = said("list").splitlines()
    assert lines[0].split() == ["model", "champion", "since", "by", "versions", "alias"]
    assert lines[1].split() == ["cards", "-", "-", "-", "2", "-"]
    assert lines[2].split()[:2] == [model, "2"]
    assert lines[2].split()[-3:] == ["ann", "4", "agrees"]
    assert len(lines) == 3
    found = json.loads(said("list", "--json"))["models"][1]
    assert (found["name"], found["champion"], found["by"], found["alias_agrees"]) == (model, "2", "ann", True)


def test_list_in_an_empty_workspace_says_so() -> None:
    """And is no error."""
    assert said("list") == "No model is registered in this workspace yet.\n"


def test_list_tells_an_alias_that_names_another_version(model: str) -> None:
    """Looking changes nothing."""
    client().set_registered_model_alias(model, "champion", "4")
    assert said("list").rstrip().endswith("names 4")
    assert alias_of(model) == "4"


def test_history_has_every_entry_and_marks_those_that_do_not_count(model: str) -> None:
    """One that lost a race stays, and is told apart."""
    rolls_back(model, why="too many\nfalse alarms")
    tags = {"ostinato.kind": "promote", "ostinato.expected": "1", "ostinato.to": "4", "ostinato.who": "bob"}
    client().create_model_version(f"{model}.promotions", "s3://nowhere", tags=tags)
    lines = said("history", model).splitlines()
    assert lines[0].split() == ["entry", "when", "what", "version", "after", "by", "why", "counts"]
    assert [line.split()[0] for line in lines[1:5]] == ["1", "2", "3", "4"]
    assert lines[2].split()[3:7] == ["promote", "2", "1", "ann"]
    assert "rollback  1" in lines[3]
    assert "too many false alarms" in lines[3]
    assert lines[3].endswith("yes (head)")
    assert lines[4].endswith("no: written against entry 1")
    assert lines[5] == "entry 4 was not written by ostinato"
    told = json.loads(said("history", model, "--json"))
    assert [entry["counts"] for entry in told["entries"]] == [True, True, True, False]
    assert (told["head"], told["entries"][1]["evidence"]["metrics"]) == (3, {"average_precision": 0.71})


def test_why_answers_on_one_screen(model: str) -> None:
    """Who, when, why, after what, on what evidence, from which data, by which code, and whether the alias agrees."""
    page = said("why", model)
    for part in (
        "fraud: version 2 is the champion",
        " by ann, entry 2",
        "1 check passed (noninferior)",
        "replaced     version 1",
        "approved by  ann: fewer false alarms",
        "pass against entry 1 (noninferior), sha256:",
        "average_precision",
        "0.71  bound 0.5",
        "trained on   2026-01-01 00:00:00 to 2026-01-31 00:00:00, 1,200 rows, sha256:d",
        "judged on    sha256:t",
        "validation   not on record",
        "code         git:abc+dirty",
        "run          r2 of fraud, as of 2026-01-08",
        "champion names version 2, as the ledger says",
        "2 entries; all is as it says",
    ):
        assert part in page, page
    assert len(page.splitlines()) <= 24
    assert max(map(len, page.splitlines())) <= 120
    told = json.loads(said("why", model, "--json"))
    assert (told["champion"], told["alias_agrees"], told["findings"]) == ("2", True, [])
    assert told["entry"]["evidence"]["code"] == "git:abc+dirty"


def test_why_after_a_rollback_tells_both_decisions(model: str) -> None:
    """Why it came back, and why it was promoted in the first place."""
    rolls_back(model, why="wrong currency")
    page = said("why", model)
    assert "fraud: version 1 is the champion" in page
    assert "rolled back" in page
    assert "wrong currency" in page
    assert "by fraud, run r1, entry 1: 1 check passed" in page


def test_why_of_a_model_without_a_champion_says_so() -> None:
    """Also where somebody has set the alias."""
    put_versions("cards", 1)
    assert said("why", "cards") == "cards has no champion: nothing was promoted yet.\n"
    client().set_registered_model_alias("cards", "champion", "1")
    assert "the alias champion names version 1" in said("why", "cards")


@pytest.mark.parametrize("command", [["why"], ["history"], ["rollback", "--why", "x"], ["verify"]])
def test_an_unknown_model_is_answered_with_the_nearest(model: str, command: list[str]) -> None:
    """Whatever is asked of it."""
    assert "Unknown model 'frau'. Did you mean 'fraud'?" in refusal(UnknownName, command[0], "frau", *command[1:])


def test_promote_relies_on_the_recorded_verdict(model: str) -> None:
    """Reached against the champion there is, it promotes; against another, or none at all, it does not."""
    assert "version 3 of 'fraud' has no verdict on record" in refusal(
        PermanentError, "promote", model, "3", "--why", "x"
    )
    verdict = {"verdict": "sha256:v", "outcome": "pass", "judged_against": "1", "as_of": "2026-01-15T00:00:00+00:00"}
    for tag, value in verdict.items():
        client().set_model_version_tag(model, "3", f"ostinato.{tag}", value)
    stale = refusal(PermanentError, "promote", model, "3", "--why", "x")
    assert stale.startswith("Refused: the verdict was reached against entry 1 of 'fraud', but entry 2")
    client().set_model_version_tag(model, "3", "ostinato.judged_against", "2")
    done = said("promote", model, "3", "--why", "approved in the meeting")
    assert done == f"version 3 of fraud is the champion, after version 2 (entry 3, by {getpass.getuser()})\n"
    entry = mlflow_registry.read(model).effective[-1]
    assert (entry.kind, entry.evidence["files"], entry.why) == ("promote", "sha256:f3", "approved in the meeting")


def test_a_person_promotes_without_a_verdict_in_their_own_name(model: str) -> None:
    """The override is an entry like any other, and says whose decision it was."""
    assert "(entry 3, by bob)" in said("promote", model, "4", "--why", "urgent", "--unjudged", "--by", "bob")
    assert "on a word" in said("why", model)
    assert alias_of(model) == "4"
    assert "is the champion already" in refusal(PermanentError, "promote", model, "4", "--why", "x", "--unjudged")


def test_promote_wants_a_version_there_is_and_a_reason(model: str) -> None:
    """With the valid ones listed."""
    assert "Valid: '4', '3', '2', '1'" in refusal(UnknownName, "promote", model, "9", "--why", "x", "--unjudged")
    assert "Say why" in refusal(ParameterError, "promote", model, "4", "--why", " ", "--unjudged")
    assert called("promote", model, "4").exit_code == 2


def test_rollback_goes_back_and_says_when_it_cannot(model: str) -> None:
    """Twice is further back than there is."""
    assert "Valid: '1'" in refusal(PermanentError, "rollback", model, "--why", "x", "--to", "3")
    done = said("rollback", model, "--why", "wrong currency")
    assert done == f"version 1 of fraud is the champion, after version 2 (entry 3, by {getpass.getuser()})\n"
    assert alias_of(model) == "1"
    assert "nothing to roll back to" in refusal(PermanentError, "rollback", model, "--why", "again")


def test_verify_says_that_all_is_well(model: str) -> None:
    """Of one model, or of all."""
    put_versions("cards", 1)
    assert said("verify", model) == "ok    fraud: 2 entries, and all is as they say\n"
    assert len(said("verify").splitlines()) == 2
    assert json.loads(said("verify", "--json")) == {"findings": {"cards": [], "fraud": []}}


def test_verify_finds_an_alias_moved_by_hand_and_repairs_it(model: str) -> None:
    """Finding it is exit code 1; repaired, all is well."""
    client().set_registered_model_alias(model, "champion", "4")
    done = called("verify", model)
    assert done.exit_code == 1
    assert done.stdout == (
        "FAIL  fraud: the alias champion names version 4, the ledger version 2. Do: "
        "ostinato model verify fraud --repair\n"
    )
    assert "ok    fraud" in said("verify", model, "--repair")
    assert alias_of(model) == "2"


def test_verify_finds_an_edited_entry_and_a_deleted_one_and_a_person_mends_them(model: str) -> None:
    """Until then nothing is promoted; afterwards the history says what was mended."""
    client().set_model_version_tag(f"{model}.promotions", "2", "ostinato.who", "somebody else")
    client().delete_model_version(f"{model}.promotions", "1")
    done = called("verify", model)
    assert done.exit_code == 1
    assert "entry 1 is gone. Do: ostinato model promote fraud VERSION --mend --why TEXT" in done.stdout
    assert "entry 2 was changed after it was written: its hash does not fit" in done.stdout
    assert "ledger broken" in said("list")
    assert "entry 1 is gone" in said("why", model)
    assert "cannot be relied on" in refusal(PermanentError, "promote", model, "4", "--why", "x", "--unjudged")
    assert "cannot be relied on" in refusal(PermanentError, "rollback", model, "--why", "x")
    said("promote", model, "2", "--why", "restored from the run's records", "--mend")
    assert said("verify", model).startswith("ok    fraud")
    assert mlflow_registry.read(model).entries[-1].evidence["mends"] == "1,2"
    assert "is whole" in refusal(PermanentError, "promote", model, "2", "--why", "x", "--mend")


def test_verify_finds_a_champion_that_is_gone_or_was_swapped(model: str) -> None:
    """What to do is said, too."""
    client().set_model_version_tag(model, "1", "ostinato.files", "sha256:other")
    done = called("verify", model)
    assert "version 1, a champion before by entry 1, is not what was promoted: its files differ" in done.stdout
    client().delete_model_version(model, "2")
    done = called("verify", model)
    assert "version 2, the champion by entry 2, is gone from the store" in done.stdout
    assert "ostinato model rollback fraud --why TEXT" in done.stdout


def test_verify_finds_a_ledger_whose_model_is_gone(model: str) -> None:
    """Deleting a model does not delete what was decided."""
    client().delete_registered_model(model)
    done = called("verify")
    assert done.exit_code == 1
    assert "version 2, the champion by entry 2, is gone from the store" in done.stdout
    assert said("history", model).count("promote") == 2


def test_a_store_that_is_away_is_a_sentence(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on that port."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "does not answer" in refusal(Unavailable, "list")

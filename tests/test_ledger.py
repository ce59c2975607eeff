"""The ledger as a pure fold: what counts, where a rollback leads, what may be written, what is found broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from integrations.mlflow_store import context
from ostinato import ledger
from ostinato.artifacts import Model, Verdict
from ostinato.context import running
from ostinato.errors import ParameterError
from ostinato.ledger import Entry, Ledger

PASSED = {"verdict": "sha256:v", "outcome": "pass"}


def judged(found: Ledger, **more: str) -> dict[str, str]:
    """The evidence of a verdict that passed against the head there is."""
    return {**PASSED, "judged_against": str(found.head), **more}


def promoted(found: Ledger, to: str, **more: str) -> Entry | str:
    evidence = judged(found, **more)
    return ledger.promotion(found, to, who="fraud, run r1", why="passed", key=f"k{to}", evidence=evidence)


def overridden(found: Ledger, to: str, evidence: Mapping[str, str] | None = None) -> Entry | str:
    return ledger.override(found, to, who="ann", why="because", key=f"o{to}", evidence=evidence or {})


def back(found: Ledger, to: str | None = None) -> Entry | str:
    return ledger.rollback(found, to, who="ann", why="faulty", key="b")


def after(found: Ledger, *entries: Entry | str, written: int = 0) -> Ledger:
    """The ledger with entries written behind it, numbered by the store."""
    lines = list(found.entries)
    for entry in entries:
        assert isinstance(entry, Entry), entry
        lines.append(replace(entry, number=(lines[-1].number if lines else 0) + 1))
    return ledger.fold(found.name, lines, written=max(written, found.written), alias=found.alias)


def history(*versions: str) -> Ledger:
    found = Ledger("fraud")
    for version in versions:
        found = after(found, promoted(found, version))
    return found


def without(found: Ledger, number: int) -> Ledger:
    left = [entry for entry in found.entries if entry.number != number]
    return ledger.fold(found.name, left, written=found.written, alias=found.alias)


def with_changed(found: Ledger, number: int, **changes: str) -> Ledger:
    """The ledger as it is read after somebody has edited the tags of an entry."""
    lines = [Entry.read(entry.number, {**entry.tags(), "hash": entry.hash}) for entry in found.entries]
    tags = {**found.entries[number - 1].tags(), "hash": found.entries[number - 1].hash, **changes}
    lines[number - 1] = Entry.read(number, tags)
    return ledger.fold(found.name, lines, alias=found.alias)


# --- the fold -----------------------------------------------------------------------------------------------------


@given(some.data())
def test_whatever_races_one_entry_counts_for_each_head_and_replaces_what_it_was_written_against(
    data: some.DataObject,
) -> None:
    """Writers look at the ledger at any earlier moment and write when they like; rollbacks are among them."""
    found = Ledger("fraud")
    for turn in range(data.draw(some.integers(0, 25))):
        seen = ledger.fold("fraud", found.entries[: data.draw(some.integers(0, len(found.entries)))])
        wish = back(seen) if data.draw(some.booleans()) else promoted(seen, str(data.draw(some.integers(1, 6))))
        wish = wish if isinstance(wish, Entry) else overridden(seen, str(turn + 10))
        found = after(found, wish)
    heads = [entry.expected for entry in found.effective]
    assert len(set(heads)) == len(heads)
    assert heads == [0, *(entry.number for entry in found.effective)][: len(heads)]
    champions = [None, *(entry.to for entry in found.effective)]
    assert [entry.replaced for entry in found.effective] == champions[:-1]
    assert found.champion == champions[-1]
    assert not found.broken
    assert {entry.number for entry in found.entries} == set(range(1, len(found.entries) + 1))
    if found.stack:
        assert found.stack[-1].to == found.champion
    assert ledger.fold("fraud", reversed(found.entries)) == found


@given(some.data())
def test_an_entry_that_is_removed_or_edited_never_goes_unseen(data: some.DataObject) -> None:
    """Any entry, any field: the fold says which."""
    found = history(*(str(version) for version in range(1, data.draw(some.integers(2, 6)))))
    found = replace(found, written=found.last)
    number = data.draw(some.integers(1, found.last))
    assert number in without(found, number).broken
    entry = found.entries[number - 1]
    name = data.draw(some.sampled_from(sorted({*entry.tags(), "hash"})))
    text = data.draw(some.text(max_size=5))
    if text != {**entry.tags(), "hash": entry.hash}[name]:
        assert number in with_changed(found, number, **{name: text}).broken


def test_an_entry_comes_back_from_its_tags_as_it_was() -> None:
    """Also the first one, which replaced nothing."""
    for entry in history("1", "2").entries:
        again = Entry.read(entry.number, {**entry.tags(), "hash": entry.hash})
        assert again == entry
        assert again.intact


def test_entries_are_chained() -> None:
    """Each names the hash of the entry it was written on, so that one rewritten with a fitting hash shows too."""
    found = history("1", "2", "3")
    assert [entry.previous for entry in found.entries] == ["", found.entries[0].hash, found.entries[1].hash]
    forged = replace(found.entries[1], why="another reason").sealed()
    assert forged.intact
    lines = [found.entries[0], forged, found.entries[2]]
    assert ledger.fold("fraud", lines).broken == {3: "does not fit entry 2, on which it was written"}


def test_a_version_registered_into_the_ledger_by_hand_is_no_entry() -> None:
    """Nobody knows what it means, so nobody relies on what follows."""
    found = ledger.fold("fraud", [*history("1").entries, Entry.read(2, {})])
    assert found.champion == "1"
    assert found.broken == {2: "was not written by ostinato"}


# --- rollback -----------------------------------------------------------------------------------------------------


def test_a_second_rollback_goes_further_back() -> None:
    """It does not toggle; what came between is out of the way for good."""
    found = history("1", "2", "3")
    found = after(found, back(found))
    assert found.champion == "2"
    found = after(found, back(found))
    assert found.champion == "1"
    assert found.withdrawn == {"2", "3"}
    assert back(found) == "there is nothing to roll back to: no champion of 'fraud' before version 1 is known"


def test_a_promotion_after_a_rollback_rolls_back_to_what_it_replaced() -> None:
    """The faulty version between them is not gone back to."""
    found = history("1", "2")
    found = after(found, back(found))
    found = after(found, promoted(found, "3"))
    assert [entry.to for entry in found.stack] == ["1", "3"]
    entry = back(found)
    assert isinstance(entry, Entry)
    assert (entry.to, entry.evidence["restores"]) == ("1", "1")


def test_a_rollback_goes_to_a_certain_earlier_champion() -> None:
    """Only to one that was a champion before."""
    found = history("1", "2", "3", "4")
    found = after(found, back(found, "2"))
    assert (found.champion, found.withdrawn) == ("2", {"3", "4"})
    refused = back(found, "4")
    assert refused == "version 4 of 'fraud' was no champion before version 2. Valid: '1'."


def test_an_empty_ledger_has_nothing_to_roll_back() -> None:
    """Said in a sentence."""
    assert "has no champion on record" in str(back(Ledger("fraud")))


def test_a_rollback_carries_on_the_moment_and_the_restored_models_evidence() -> None:
    """A run as old as what was rolled back stays a backfill; the files' digest is that of the version in place."""
    found = Ledger("fraud")
    found = after(found, promoted(found, "1", as_of="2026-01-01T00:00:00+00:00", files="sha256:1", approver="ann"))
    found = after(found, promoted(found, "2", as_of="2026-01-08T00:00:00+00:00", files="sha256:2"))
    found = after(found, back(found))
    assert found.as_of == "2026-01-08T00:00:00+00:00"
    assert found.effective[-1].evidence["files"] == "sha256:1"
    assert "approver" not in found.effective[-1].evidence
    refused = promoted(found, "3", as_of="2026-01-08T00:00:00+00:00")
    assert "a backfill: the run stands for 2026-01-08" in str(refused)


# --- what may be written ------------------------------------------------------------------------------------------


def test_a_verdict_reached_against_another_head_is_stale() -> None:
    """Whoever is champion now was not judged against."""
    found = history("1", "2")
    evidence = {**PASSED, "judged_against": "1"}
    refused = ledger.promotion(found, "3", who="a", why="b", key="k", evidence=evidence)
    assert refused == (
        "the verdict was reached against entry 1 of 'fraud', but entry 2 has made version 2 the champion. Judge anew"
    )


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        ({}, "has no verdict on record, not a pass"),
        ({"outcome": "pass"}, "has pass on record"),
        ({"verdict": "sha256:v", "outcome": "fail"}, "has fail on record, not a pass"),
        ({**PASSED}, "does not say against which champion"),
        ({**PASSED, "judged_against": "0"}, "was reached without a champion of 'fraud', but entry 2"),
        ({**PASSED, "judged_against": "02"}, "was reached against entry 02"),
    ],
)
def test_a_promotion_without_a_sound_verdict_is_refused(evidence: dict[str, str], sentence: str) -> None:
    """Each in its own words."""
    assert sentence in str(ledger.promotion(history("1", "2"), "3", who="a", why="b", key="k", evidence=evidence))


def test_the_champion_is_not_promoted_again() -> None:
    """Neither behind a verdict nor on a word."""
    found = history("1", "2")
    assert "is the champion already, by entry 2" in str(promoted(found, "2"))
    assert "is the champion already, by entry 2" in str(overridden(found, "2"))


def test_what_was_rolled_back_comes_again_only_by_a_person() -> None:
    """A retraining on the same data must not undo what somebody decided."""
    found = history("1", "2")
    found = after(found, back(found))
    assert "version 2 of 'fraud' was rolled back. A person may promote it again" in str(promoted(found, "2"))
    found = after(found, overridden(found, "2"))
    assert (found.champion, found.withdrawn) == ("2", frozenset())


@pytest.mark.parametrize(
    ("as_of", "later"),
    [
        ("2026-01-07T00:00:00+00:00", False),
        ("2026-01-08T00:00:00+00:00", False),
        ("2026-01-08T00:00:00.000001+00:00", True),
        ("2026-01-09T00:00:00+00:00", True),
    ],
)
def test_only_a_run_for_a_later_moment_replaces_a_champion(as_of: str, later: bool) -> None:
    """Equal is not later."""
    found = Ledger("fraud")
    found = after(found, promoted(found, "1", as_of="2026-01-08T00:00:00+00:00"))
    assert isinstance(promoted(found, "2", as_of=as_of), Entry) is later


def test_an_entry_without_a_moment_carries_on_the_one_before() -> None:
    """What a person promotes in between does not open the door to backfills, even where it is older."""
    found = Ledger("fraud")
    found = after(found, promoted(found, "1", as_of="2026-01-08T00:00:00+00:00"))
    for evidence in ({}, {"as_of": "2025-01-01T00:00:00+00:00"}):
        found = after(found, overridden(found, f"2{len(evidence)}", evidence))
        assert found.as_of == "2026-01-08T00:00:00+00:00"


def test_an_alias_set_by_hand_is_adopted_by_a_person_before_anything_is_promoted() -> None:
    """A team that had a champion must not lose it to the first run."""
    found = replace(Ledger("fraud"), alias="7")
    refused = str(promoted(found, "8"))
    assert "set the alias champion of 'fraud' to version 7" in refused
    assert "ostinato model promote fraud 7 --unjudged --why TEXT" in refused
    found = after(found, overridden(found, "7"))
    assert isinstance(promoted(found, "8"), Entry)


def test_a_ledger_with_a_gap_says_which_entry_and_the_way_out() -> None:
    """Also where the last entry is the one that is gone."""
    gap = without(history("1", "2", "3"), 2)
    assert "entry 2 is gone" in str(ledger.trouble(gap))
    assert "ostinato model promote fraud 1 --mend --why TEXT" in str(ledger.trouble(gap))
    last = without(replace(history("1", "2"), written=2), 2)
    assert last.broken == {2: "is gone"}
    assert ledger.trouble(history("1")) is None


def test_a_mend_is_written_against_the_last_entry_there_is_and_starts_anew() -> None:
    """It names what it mends; what is lost later is seen again."""
    gap = without(history("1", "2", "3"), 2)
    entry = ledger.mend(gap, "3", who="ann", why="restored", key="m", evidence={})
    assert isinstance(entry, Entry)
    assert (entry.expected, entry.evidence["mends"]) == (3, "2")
    mended = after(gap, entry)
    assert (mended.champion, mended.head, mended.broken) == ("3", 4, {})
    assert "nothing to roll back to" in str(back(mended))
    following = after(mended, promoted(mended, "5"))
    assert following.champion == "5"
    assert list(without(following, 1).broken) == [1]
    assert "is whole" in str(ledger.mend(mended, "3", who="a", why="b", key="m", evidence={}))


def test_a_mend_that_was_overtaken_does_not_count() -> None:
    """Somebody else has mended, or written, meanwhile."""
    gap = without(history("1", "2", "3"), 2)
    entry = ledger.mend(gap, "3", who="ann", why="restored", key="m", evidence={})
    other = ledger.mend(gap, "1", who="bob", why="restored", key="n", evidence={})
    assert after(gap, other, entry).champion == "1"


@pytest.mark.parametrize("why", ["", "  \n "])
def test_a_reason_is_given(why: str) -> None:
    """An empty one explains nothing."""
    with pytest.raises(ParameterError, match="Say why"):
        ledger.reason(why)


def test_a_long_reason_is_cut_and_a_document_is_refused() -> None:
    """A tag holds a few sentences."""
    assert ledger.reason("a" * 2000) == "a" * 2000
    assert ledger.reason("a" * 2001) == "a" * 1999 + "…"
    with pytest.raises(ParameterError, match="has 20,001 characters; 2,000 are kept"):
        ledger.reason("a" * 20_001)


# --- verification -------------------------------------------------------------------------------------------------


def named(found: Ledger, alias: str | None) -> Ledger:
    return replace(found, alias=alias)


@pytest.mark.parametrize(
    ("spoil", "found", "do"),
    [
        (lambda found: named(without(found, 1), "2"), "entry 1 is gone", "--mend"),
        (lambda found: with_changed(found, 1, why="x"), "entry 1 was changed", "--mend"),
        (lambda found: named(found, "1"), "names version 1, the ledger version 2", "verify fraud --repair"),
        (lambda found: named(found, None), "the alias champion is gone, the ledger version 2", "--repair"),
        (lambda _: named(Ledger("fraud"), "1"), "which no entry explains", "promote fraud 1 --unjudged"),
    ],
)
def test_each_finding_says_what_is_wrong_and_what_to_do(spoil: Callable[[Ledger], Ledger], found: str, do: str) -> None:
    """A command where there is one."""
    findings = ledger.findings(spoil(named(history("1", "2"), "2")), {"1": {}, "2": {}})
    assert any(found in finding.what and do in finding.do for finding in findings), findings


def test_a_version_that_is_gone_or_another_is_found() -> None:
    """Of the champion, and of those a rollback would go back to."""
    found = Ledger("fraud")
    for version in "12":
        found = after(found, promoted(found, version, model=f"sha256:m{version}", files=f"sha256:f{version}"))
    found = named(found, "2")
    there = {version: {"model": f"sha256:m{version}", "files": f"sha256:f{version}"} for version in "12"}
    assert ledger.findings(found, there) == []
    (gone,) = ledger.findings(found, {"2": there["2"]})
    assert gone.what == "version 1, a champion before by entry 1, is gone from the store"
    (other,) = ledger.findings(found, {**there, "2": {**there["2"], "files": "sha256:x"}})
    assert other.what == "version 2, the champion by entry 2, is not what was promoted: its files differ"
    assert "rollback fraud" in other.do


# --- evidence -----------------------------------------------------------------------------------------------------


def test_evidence_is_what_the_decision_rests_on(home: Path) -> None:
    """Text under names; what nobody knows is left out."""
    model = Model("models:/m-1", "sha256:m", {"files": "sha256:f", "features": ["a"], "size": 7, "data": "sha256:d"})
    model = ledger.with_suite(model, {"facts": {"outcome": "passed", "suite": "s", "rows": 1200, "quarantined": 3}})
    with running(context("promote", as_of=datetime(2026, 1, 8, tzinfo=UTC), tags={"code": "git:abc"})) as here:
        check = {"name": "ap", "value": 0.5, "bound": 0.1, "outcome": "pass", "days": [1, 2]}
        verdict = Verdict.of([check], {"ap": 0.5}, model="sha256:m", data="sha256:t")
        told = ledger.evidence(model, verdict, here)
    assert told == {
        "model": "sha256:m",
        "files": "sha256:f",
        "data": "sha256:d",
        "size": "7",
        "features": '["a"]',
        "suite": "passed: suite s, 1,200 rows, 3 set aside",
        "verdict": verdict.digest,
        "outcome": "pass",
        "checks": '[{"name":"ap","value":0.5,"bound":0.1,"outcome":"pass"}]',
        "metrics": '{"ap":0.5}',
        "test_data": "sha256:t",
        "as_of": "2026-01-08T00:00:00+00:00",
        "run_id": "r1",
        "pipeline": "fraud",
        "code": "git:abc",
    }
    assert ledger.recorded({**told, "key": "x", "logged_model": "m-1"}) == told


def test_the_reason_of_a_promotion_counts_what_passed_and_names_the_champion(home: Path) -> None:
    """Also the checks of a group, which do not travel, and none that only informs."""
    with running(context("evaluate")):
        names = {"ap": {"outcome": "pass"}, "noted": {"outcome": "not-enough-data", "decisive": False}}
        checks = [{"name": name, "value": 0.5, "bound": 0.1, **more} for name, more in names.items()]
        verdict = Verdict.of(checks, {}, model="sha256:m", data="sha256:t")
    assert ledger.summary(verdict) == "1 check passed"
    more = {"mode": "noninferior", "champion": {"version": "3"}, "counts": {"slices": {"pass": 4, "fail": 0}}}
    told = replace(verdict, facts={**verdict.facts, **more})
    assert ledger.summary(told) == "5 checks passed against version 3 (noninferior)"


def test_evidence_fits_a_tag_however_many_checks_there_are(home: Path) -> None:
    """Of a long list the beginning is kept, and it is JSON still."""
    with running(context("promote")) as here:
        checks = [{"name": f"slice_{n}", "value": 0.5, "bound": 0.1, "outcome": "pass"} for n in range(500)]
        verdict = Verdict.of(checks, {}, model="sha256:m", data="sha256:t")
        told = ledger.evidence(Model("models:/m-1", "sha256:m"), verdict, here)
    assert len(told["checks"]) <= ledger.LONGEST_LIST
    assert json.loads(told["checks"])[0]["name"] == "slice_0"


def test_half_a_list_of_features_is_none(home: Path) -> None:
    """Whoever scores by it would leave columns out."""
    with running(context("promote")) as here:
        check = {"name": "ap", "value": 0.5, "bound": 0.1, "outcome": "pass"}
        verdict = Verdict.of([check], {}, model="sha256:m", data="sha256:t")
        wide = Model("models:/m-1", "sha256:m", {"features": [f"column_{n}" for n in range(1000)]})
        assert "features" not in ledger.evidence(wide, verdict, here)


def test_what_people_write_fits_the_store() -> None:
    """Characters no database takes are replaced, and a name is not a novel."""
    found = Ledger("fraud")
    entry = ledger.override(found, "1", who="ann\x00" + "n" * 500, why="so\ud800", key="k", evidence={})
    assert isinstance(entry, Entry)
    assert entry.who.startswith("ann\ufffd")
    assert (len(entry.who), entry.why) == (ledger.LONGEST_WHO, "so\ufffd")

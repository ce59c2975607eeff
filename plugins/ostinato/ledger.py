"""The ledger of promotions: who became champion, why, on what evidence. Pure functions over its entries.

An entry counts if it was written against the head it names; of several that name the same head the first one does.
So for each head there is one entry that replaced it, however many raced, and nobody replaces a champion that was not
judged. Nothing is ever changed or removed: a rollback is one more entry, and so is a mend.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from .artifacts import Model, Verdict, digest_of
from .context import Context
from .errors import ParameterError, suggest
from .markup import printable

_OF_MODELS = ("files", "data", "estimator", "size", "rows", "positives", "split", "suite")
KINDS = ("promote", "override", "rollback", "mend")
LONGEST_WHY = 2000  # characters
LONGEST_WHO = 200
LONGEST_LIST = 4500  # characters of JSON in one tag


@dataclass(frozen=True)
class Champion:
    """The version in place: the ledger's `entry` that says so, its `version`, and the `model` to load."""

    entry: int
    version: str
    model: Model


@dataclass(frozen=True)
class Entry:
    """One line of a ledger.

    Attributes:
        kind: "promote" (behind a verdict), "override" (by a person, without one), "rollback", or "mend" (by a person,
            after entries were lost or changed).
        to: the version that becomes champion.
        replaced: the champion before; None for the first.
        expected: the number of the head it was written against; of a mend, of the last entry there was.
        who, why: in people's words.
        key: of the piece of work that wrote it: a retry finds its entry by it.
        at: when, ISO 8601, by the writer's clock.
        previous: the hash of the entry it was written against.
        evidence: what the decision rests on: digests, window, verdict, suite, code, run, approver.
        number: its place, given by the store; 0 as long as it is not written.
        hash: of all the above but the number, as it stands in the store.
    """

    kind: str
    to: str
    replaced: str | None
    expected: int
    who: str
    why: str
    key: str
    at: str
    previous: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    hash: str = ""

    @classmethod
    def read(cls, number: int, tags: Mapping[str, str]) -> Entry:
        """The entry behind a stored line, whatever somebody has done to it."""
        told = dict(tags)
        expected = told.pop("expected", "")
        known = {name: told.pop(name, "") for name in ("kind", "to", "who", "why", "key", "at", "previous", "hash")}
        before = told.pop("from", None)
        return cls(
            **known,
            replaced=before,
            expected=int(expected) if expected.isdecimal() else -1,
            evidence=told,
            number=number,
        )

    def tags(self) -> dict[str, str]:
        """The entry as it is stored: text under names; what is empty is left out."""
        own = {"kind": self.kind, "to": self.to, "from": self.replaced, "expected": str(self.expected)}
        said = {"who": self.who, "why": self.why, "key": self.key, "at": self.at, "previous": self.previous}
        told = {**self.evidence, **own, **said}
        return {name: str(value) for name, value in told.items() if value not in (None, "")}

    def sealed(self) -> Entry:
        """The entry with its hash, ready to be written."""
        return replace(self, hash=digest_of(self.tags()))

    @property
    def intact(self) -> bool:
        """Whether it is as it was written."""
        return self.hash == digest_of(self.tags())


@dataclass(frozen=True)
class Ledger:
    """What the entries of a model come to.

    Attributes:
        entries: all of them, in order.
        effective: those that count; the last one is the head.
        stack: the entries that made the present champion and, below it, those a rollback would go back to.
        withdrawn: versions that were rolled back and not promoted since.
        broken: number of an entry and what is wrong with it, where nobody has mended it.
        written: the highest number that is known to have been given.
        alias: the version the store's alias names; None where there is none.
    """

    name: str
    entries: tuple[Entry, ...] = ()
    effective: tuple[Entry, ...] = ()
    stack: tuple[Entry, ...] = ()
    withdrawn: frozenset[str] = frozenset()
    broken: Mapping[int, str] = field(default_factory=dict)
    written: int = 0
    alias: str | None = None

    @property
    def head(self) -> int:
        """The number of the last entry that counts; 0 for an empty ledger."""
        return self.effective[-1].number if self.effective else 0

    @property
    def last(self) -> int:
        """The number of the last entry there is."""
        return self.entries[-1].number if self.entries else 0

    @property
    def champion(self) -> str | None:
        return self.effective[-1].to if self.effective else None

    @property
    def as_of(self) -> str:
        """The moment the head stands for, ISO 8601; empty where nobody said."""
        return self.effective[-1].evidence.get("as_of", "") if self.effective else ""

    def earlier(self, key: str, to: str | None = None) -> Entry | None:
        """The entry that counts which a piece of work wrote before, for a certain version or for any."""
        found = (entry for entry in self.effective if entry.key == key and to in (None, entry.to))
        return next(found, None)

    def counts(self, number: int) -> bool:
        """Whether the entry of this number is one that counts."""
        return any(entry.number == number for entry in self.effective)


def fold(name: str, entries: Iterable[Entry], *, written: int = 0, alias: str | None = None) -> Ledger:
    """What entries come to, `written` being the highest number known to have been given."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.number))
    effective = _effective(ordered)
    stack: list[Entry] = []
    withdrawn: set[str] = set()
    for entry in effective:
        _stack(stack, withdrawn, entry)
    mended = {number for entry in effective if entry.kind == "mend" for number in _mended(entry)}
    broken = {number: what for number, what in _broken(ordered, written).items() if number not in mended}
    return Ledger(name, ordered, effective, tuple(stack), frozenset(withdrawn), broken, written, alias)


def _effective(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    found: list[Entry] = []
    last = head = 0
    for entry in entries:
        if entry.expected == (last if entry.kind == "mend" else head):
            found.append(entry)
            head = entry.number
        last = entry.number
    return tuple(found)


def _stack(stack: list[Entry], withdrawn: set[str], entry: Entry) -> None:
    """Put an entry on the stack; a rollback takes off what is above the champion it goes back to."""
    if entry.kind == "rollback":
        below = [place for place, one in enumerate(stack[:-1]) if one.to == entry.to]
        kept = below[-1] + 1 if below else 0
        withdrawn.update(one.to for one in stack[kept:])
        stack[kept:] = [] if below else [entry]
    elif entry.kind == "mend":
        stack[:] = [entry]  # what came before is not certain
    else:
        stack.append(entry)
    withdrawn.discard(entry.to)


def _mended(entry: Entry) -> list[int]:
    return [int(number) for number in entry.evidence.get("mends", "").split(",") if number.isdecimal()]


def _broken(entries: Sequence[Entry], written: int) -> dict[int, str]:
    """Number of an entry to what is wrong with it, in order."""
    found: dict[int, str] = {}
    hashes = {0: ""}
    last = 0
    for entry in entries:
        found |= dict.fromkeys(range(last + 1, entry.number), "is gone")
        if entry.kind not in KINDS or not entry.hash:
            found[entry.number] = "was not written by ostinato"
        elif not entry.intact:
            found[entry.number] = "was changed after it was written: its hash does not fit"
        elif hashes.get(entry.expected, entry.previous) != entry.previous:
            found[entry.number] = f"does not fit entry {entry.expected}, on which it was written"
        hashes[entry.number] = entry.hash
        last = entry.number
    return found | dict.fromkeys(range(last + 1, written + 1), "is gone")


def trouble(found: Ledger) -> str | None:
    """Why nobody can rely on a ledger, and the way out; None where all is well."""
    if not found.broken:
        return None
    listed = "; ".join(f"entry {number} {what}" for number, what in list(found.broken.items())[:5])
    more = f"; and {len(found.broken) - 5} more" if len(found.broken) > 5 else ""
    version = found.alias or found.champion or "VERSION"
    return (
        f"The ledger of {found.name!r} cannot be relied on: {listed}{more}. Say which version is the champion: "
        f"ostinato model promote {found.name} {version} --mend --why TEXT"
    )


# --- what may be written ------------------------------------------------------------------------------------------


def promotion(found: Ledger, to: str, *, who: str, why: str, key: str, evidence: Mapping[str, str]) -> Entry | str:
    """The entry that makes a judged version the champion, or the sentence that says what stands against it.

    Against it stands a verdict that was not a pass or was reached against another head, and a run that stands for a
    moment not later than the champion's: a backfill.
    """
    if against := _objection(found, to, evidence):
        return against
    as_of = evidence.get("as_of") or found.as_of
    return _entry(found, "promote", to, who, why, key, {**evidence, "as_of": as_of})


def override(found: Ledger, to: str, *, who: str, why: str, key: str, evidence: Mapping[str, str]) -> Entry | str:
    """The entry by which a person makes a version the champion without a verdict, also to adopt what is in place."""
    if to == found.champion:
        return f"version {to} of {found.name!r} is the champion already, by entry {found.head}"
    as_of = max(evidence.get("as_of", ""), found.as_of)
    return _entry(found, "override", to, who, why, key, {**evidence, "as_of": as_of})


def rollback(found: Ledger, to: str | None, *, who: str, why: str, key: str) -> Entry | str:
    """The entry that goes back to the champion before, or to a certain earlier one.

    What is rolled back leaves the stack: a second rollback goes further back. The moment the ledger stands for stays.
    """
    if not found.effective:
        return f"{found.name!r} has no champion on record, so there is nothing to roll back"
    below = found.stack[:-1]
    if not below:
        return (
            f"there is nothing to roll back to: no champion of {found.name!r} before version {found.champion} is known"
        )
    chosen = [entry for entry in below if to in (None, entry.to)]
    if not chosen:
        return f"version {to} of {found.name!r} was no champion before version {found.champion}. " + suggest(
            str(to), [entry.to for entry in reversed(below)]
        )
    restored = chosen[-1]
    evidence = {name: value for name, value in restored.evidence.items() if name not in _OF_ONE_DECISION}
    more = {"restores": str(restored.number), "as_of": found.as_of}
    return _entry(found, "rollback", restored.to, who, why, key, {**evidence, **more})


def mend(found: Ledger, to: str, *, who: str, why: str, key: str, evidence: Mapping[str, str]) -> Entry | str:
    """The entry by which a person says who is champion after entries were lost or changed; they are named in it."""
    if not found.broken:
        return f"the ledger of {found.name!r} is whole: there is nothing to mend"
    more = {"mends": ",".join(map(str, found.broken)), "as_of": max(evidence.get("as_of", ""), found.as_of)}
    entry = _entry(found, "mend", to, who, why, key, {**evidence, **more})
    previous = found.entries[-1].hash if found.entries else ""
    return replace(entry, expected=found.last, previous=previous).sealed()


def overtaken(found: Ledger) -> str:
    """The sentence for who meant to replace another champion than there is now."""
    head = found.effective[-1]
    return f"version {head.to} of {found.name!r} became champion meanwhile (entry {head.number}, by {head.who})"


def reason(why: str) -> str:
    """What a person gives as the reason, fit to be kept: cut where it is long.

    Raises:
        ParameterError: there is none, or it is a whole document.
    """
    text = printable(why).strip()
    if not text:
        raise ParameterError("Say why: the reason stands in the ledger.")
    if len(text) > 10 * LONGEST_WHY:
        raise ParameterError(
            f"The reason has {len(text):,} characters; {LONGEST_WHY:,} are kept. Write a few sentences and where to "
            "find the rest."
        )
    return text if len(text) <= LONGEST_WHY else text[: LONGEST_WHY - 1] + "…"


_OF_ONE_DECISION = {"approver", "approval", "restores", "mends"}


def _objection(found: Ledger, to: str, evidence: Mapping[str, str]) -> str | None:
    name, by_hand = found.name, f"ostinato model promote {found.name} {to} --unjudged --why TEXT"
    if not found.effective and found.alias is not None:
        return (
            f"somebody has set the alias champion of {name!r} to version {found.alias}, which no entry of the ledger "
            f"explains. Adopt it: ostinato model promote {name} {found.alias} --unjudged --why TEXT"
        )
    if evidence.get("outcome") != "pass" or "verdict" not in evidence:
        said = evidence.get("outcome", "no verdict")
        return f"version {to} of {name!r} has {said} on record, not a pass. A person may overrule that: {by_hand}"
    against = evidence.get("judged_against", "")
    if against != str(found.head):
        return _stale(found, against)
    if to == found.champion:
        return f"version {to} of {name!r} is the champion already, by entry {found.head}"
    if to in found.withdrawn:
        return f"version {to} of {name!r} was rolled back. A person may promote it again: {by_hand}"
    if evidence.get("as_of") and found.as_of and evidence["as_of"] <= found.as_of:
        return (
            f"a backfill: the run stands for {evidence['as_of']}, and the champion, version {found.champion} of "
            f"{name!r}, for {found.as_of}. Only a later one replaces it"
        )
    return None


def _stale(found: Ledger, against: str) -> str:
    if not against:
        return f"the verdict does not say against which champion of {found.name!r} it was reached"
    then = "without a champion" if against == "0" else f"against entry {against}"
    now = f"entry {found.head} has made version {found.champion} the champion" if found.head else "there is none now"
    return f"the verdict was reached {then} of {found.name!r}, but {now}. Judge anew"


def _entry(found: Ledger, kind: str, to: str, who: str, why: str, key: str, evidence: Mapping[str, str]) -> Entry:
    previous = found.effective[-1].hash if found.effective else ""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    told = {name: value for name, value in evidence.items() if value}
    by = printable(who).strip()[:LONGEST_WHO] or "nobody"
    return Entry(kind, to, found.champion, found.head, by, reason(why), key, at, previous, told).sealed()


# --- verification -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """Something that is not as the ledger says, and what to do about it."""

    what: str
    do: str


def findings(found: Ledger, versions: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """All that is wrong with a ledger, its alias and the versions it names.

    Args:
        versions: what the registered versions say of themselves, by number: `model` and `files` are compared.
    """
    mending = f"ostinato model promote {found.name} VERSION --mend --why TEXT"
    broken = [Finding(f"entry {number} {what}", mending) for number, what in found.broken.items()]
    standing = [finding for entry in found.stack for finding in _unlike(found, entry, versions.get(entry.to))]
    return [*broken, *([] if broken else _misnamed(found)), *standing]


def _misnamed(found: Ledger) -> list[Finding]:
    if found.alias == found.champion:
        return []
    named = f"names version {found.alias}" if found.alias else "is gone"
    if found.champion is None:
        adopt = f"ostinato model promote {found.name} {found.alias} --unjudged --why TEXT"
        return [Finding(f"the alias champion {named}, which no entry explains", f"adopt it: {adopt}")]
    repair = f"ostinato model verify {found.name} --repair"
    return [Finding(f"the alias champion {named}, the ledger version {found.champion}", repair)]


def _unlike(found: Ledger, entry: Entry, version: Mapping[str, str] | None) -> list[Finding]:
    """Where the version of an entry that a champion stands on is gone, or another than was promoted."""
    placed = entry.to == found.champion
    do = f"ostinato model rollback {found.name} --why TEXT" if placed else "nothing, unless you meant to go back to it"
    told = f"version {entry.to}, {'the champion' if placed else 'a champion before'} by entry {entry.number},"
    if version is None:
        return [Finding(f"{told} is gone from the store", do)]
    changed = [name for name in ("model", "files") if entry.evidence.get(name, "") != version.get(name, "")]
    return [Finding(f"{told} is not what was promoted: its {' and '.join(changed)} differ", do)] if changed else []


# --- evidence -----------------------------------------------------------------------------------------------------


def evidence(model: Model, verdict: Verdict, context: Context) -> dict[str, str]:
    """What a decision about a model rests on, as it stands on its version and in the ledger: text under names."""
    window, judged = model.facts.get("window") or {}, verdict.facts
    test = judged.get("rows") or {}
    against = judged.get("ledger") or {}
    found = {
        "model": model.digest,
        **{name: model.facts.get(name) for name in _OF_MODELS},
        "features": _whole(model.features),
        "data_from": window.get("from"),
        "data_until": window.get("until"),
        "verdict": verdict.digest,
        "outcome": judged.get("outcome") or ("pass" if verdict.passed else "fail"),
        "mode": judged.get("mode"),
        "judged_against": against.get("entry"),
        "judged_name": against.get("name"),
        "checks": _listed([_brief(check) for check in verdict.checks]),
        "metrics": _listed(verdict.metrics),
        "test_data": judged["data"],
        "test_rows": test.get("count"),
        "test_from": test.get("from"),
        "test_until": test.get("until"),
        "as_of": context.as_of.astimezone(UTC).isoformat() if context.as_of else None,
        "run_id": context.run_id,
        "pipeline": context.pipeline,
        **{name: context.tags.get(name) for name in ("code", "environment")},
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def recorded(version: Mapping[str, str]) -> dict[str, str]:
    """The evidence among what a registered version says of itself."""
    return {name: value for name, value in version.items() if name in _EVIDENCE}


_EVIDENCE = frozenset(
    "model files data estimator size rows positives split suite features data_from data_until verdict outcome mode "
    "judged_against judged_name checks metrics test_data test_rows test_from test_until as_of run_id pipeline code "
    "environment".split()
)


def with_suite(model: Model, validation: Mapping[str, Any] | None) -> Model:
    """A model that knows what came of validating the table it was made of.

    Args:
        validation: the reference a validated table carries.
    """
    found = (validation or {}).get("facts")
    if not found:
        return model
    told = f"{found.get('outcome')}: suite {found.get('suite')}, {found.get('rows', 0):,} rows"
    aside = f", {found['quarantined']:,} set aside" if found.get("quarantined") else ""
    return replace(model, facts={**model.facts, "suite": told + aside})


def summary(verdict: Verdict) -> str:
    """Why a model that passed is promoted, in a line."""
    groups = verdict.facts.get("counts") or {}  # of which only what did not pass travels
    count = sum(check["outcome"] == "pass" for check in verdict.checks)
    count += sum(group.get("pass", 0) for group in groups.values())
    mode, champion = verdict.facts.get("mode"), verdict.facts.get("champion") or {}
    against = f" against version {champion['version']}" if champion.get("version") else ""
    passed = f"{count} check{'s' if count != 1 else ''} passed{against}"
    return f"{passed} ({mode})" if mode else passed


def _brief(check: Mapping[str, Any]) -> dict[str, Any]:
    return {name: check.get(name) for name in ("name", "value", "bound", "outcome")}


def _listed(value: Any) -> str | None:
    """JSON short enough for a tag; of more than fits the beginning."""
    while (text := _whole(value)) is None and value:
        value = dict(list(value.items())[:-1]) if isinstance(value, Mapping) else value[:-1]
    return text


def _whole(value: Any) -> str | None:
    """JSON short enough for a tag, or nothing: half a list of columns would be taken for all of them."""
    text = json.dumps(value, separators=(",", ":"))
    return text if value and len(text) <= LONGEST_LIST else None

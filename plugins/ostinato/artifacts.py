"""Typed references to what steps make: all that crosses a step boundary.

A reference is `{kind, uri, digest, facts}`, a few hundred bytes of JSON. The data lies at the uri, with a manifest
beside it. A digest says *same content*, not same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .context import current
from .errors import ContractError, DataError, OstinatoError, suggest
from .workspace import filesystem, is_remote, local_path, read_text, to_uri, write_json, write_text

if TYPE_CHECKING:
    import pandas

_MANIFEST = ".manifest.json"


def digest_of(value: Any) -> str:
    """The SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A reference: where a thing lies, what its content is, and a few facts about it."""

    uri: str
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    kinds: ClassVar[dict[str, type[Artifact]]] = {}

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            Artifact.kinds[cls.__name__] = cls

    @property
    def kind(self) -> str:
        return type(self).__name__

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "uri": self.uri, "digest": self.digest, "facts": dict(self.facts)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Artifact:
        """The typed reference behind its JSON.

        Raises:
            ContractError: `value` is not a reference, or of a kind this version does not know.
        """
        if not is_reference(value):
            raise ContractError(f"not a reference: {str(value)[:120]!r}")
        kind = Artifact.kinds.get(value["kind"])
        if kind is None:
            raise ContractError(f"Unknown artifact kind {value['kind']!r}. {suggest(value['kind'], Artifact.kinds)}")
        return kind(value["uri"], value["digest"], value.get("facts") or {})

    def manifest(self) -> dict[str, Any]:
        """What is recorded beside the data: schema, rows, producer."""
        place = str(local_path(self.uri)) if not is_remote(self.uri) else self.uri
        try:
            found: dict[str, Any] = json.loads(read_text(manifest_of(place)))
        except FileNotFoundError:
            raise DataError(f"{self.uri} is gone, or was never finished: it has no manifest.") from None
        return found


def manifest_of(place: str) -> str:
    """Where the manifest of what lies at a path or URL is: beside it, with a name that readers of folders pass over."""
    folder, slash, name = place.rpartition("/")
    return f"{folder}{slash}.{name}{_MANIFEST}"


def is_reference(value: Any) -> bool:
    """Whether a JSON value is a reference to an artifact."""
    return isinstance(value, Mapping) and {"kind", "uri", "digest"} <= value.keys()


def all_there(output: Any) -> bool:
    """Whether everything that a recorded result refers to is still as it was."""
    if is_reference(output):
        if output["uri"].startswith("models:"):
            return True
        try:
            there = bool(Artifact.from_json(output).manifest()["digest"] == output["digest"])
        except OstinatoError:
            return False
        return there or "where" in output["facts"]
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, list) else ()
    return all(all_there(part) for part in parts)


def write_manifest(place: str, kind: str, digest: str, facts: Mapping[str, Any], **more: Any) -> None:
    """Write down beside the data what it is and who made it; data without a manifest was never finished."""
    context = current()
    producer = {"run": context.run_id, "pipeline": context.pipeline, "step": context.step}
    write_json(manifest_of(place), {"kind": kind, "digest": digest, "facts": dict(facts), "producer": producer, **more})


def forget_manifest(place: str) -> None:
    """Let what lies at `place` count as unfinished until its manifest is written anew."""
    if not is_remote(place):
        Path(manifest_of(place)).unlink(missing_ok=True)
        return
    files, path = filesystem(manifest_of(place))
    with contextlib.suppress(FileNotFoundError):
        files.rm_file(path)


@dataclass(frozen=True)
class _Document(Artifact):
    """An artifact that is one JSON file; `digest` is that of its content."""

    @classmethod
    def _save(cls, name: str, content: Any, facts: Mapping[str, Any], digest: str | None = None) -> Self:
        place = f"{current().folder}/{name}.json"
        digest = digest or digest_of(content)
        try:
            write_json(place, content)
        except (TypeError, ValueError) as error:
            raise ContractError(f"the {cls.__name__} {name!r} is not JSON: {error}") from None
        write_manifest(place, cls.__name__, digest, facts)
        return cls(to_uri(place), digest, facts)

    def read(self) -> Any:
        """The file's content."""
        try:
            return json.loads(read_text(self.uri))
        except FileNotFoundError:
            raise DataError(f"{self.uri} is gone.") from None


@dataclass(frozen=True)
class Metrics(_Document):
    """Named numbers; all of them travel with the reference."""

    @classmethod
    def of(cls, values: Mapping[str, float], name: str = "metrics") -> Metrics:
        return cls._save(name, dict(values), {"values": dict(values)})

    @property
    def values(self) -> dict[str, float]:
        return dict(self.facts["values"])


@dataclass(frozen=True)
class Search(_Document):
    """What a search for the options of one candidate came to.

    `facts`: `candidate`, `options` (the best), `score` (None where it could not be fitted, and `why`), `metric` (of the
    score), `trials` (how many were tried); the file has the same.
    """

    @classmethod
    def of(cls, facts: Mapping[str, Any], name: str = "search") -> Search:
        return cls._save(name, dict(facts), facts)

    @property
    def candidate(self) -> str:
        return str(self.facts["candidate"])

    @property
    def score(self) -> float | None:
        return None if self.facts["score"] is None else float(self.facts["score"])


OUTCOMES = ("unchanged", "fail", "not-enough-data", "pass")
_LARGEST_VERDICT = 5120  # bytes of a reference, which has at most 8,192
_LONGEST_TEXT = 240  # characters of a check that travels


@dataclass(frozen=True)
class Verdict(_Document):
    """The judgement of a candidate: named checks with value and bound, and what they come to.

    `facts`: `passed`, `outcome` ("pass", "fail", "not-enough-data", "unchanged"), `checks`, `metrics`, `model` and
    `data` (digests), and what `evaluate` adds: `mode` ("bootstrap" where there was no champion, "noninferior",
    "superior", "absolute"), `ledger` (`{name, entry}`: the promotions the champion was taken from and the entry at
    their head, 0 for none), `champion` (`{version, digest, metrics}` or None), `rows` (`{count, from, until}`).

    The file has all of them, and `evidence`: what plots and tables are made of, too large to travel. Of checks that
    belong to a `group` ("slices") only those that did not pass travel, as many as there is room for; `counts` tells
    how many of a group there are of each outcome.
    """

    @classmethod
    def of(
        cls,
        checks: Sequence[Mapping[str, Any]],
        metrics: Mapping[str, float],
        *,
        model: str,
        data: str,
        evidence: Mapping[str, Any] | None = None,
        varying: Sequence[str] = (),
        name: str = "verdict",
        **facts: Any,
    ) -> Verdict:
        """Judge `checks` (`{name, value, bound, outcome: pass | fail | not-enough-data | unchanged, why, decisive}`).

        Args:
            metrics: the candidate's numbers, for people and for records.
            model: the digest of the model judged.
            data: the digest of the rows it was judged on.
            evidence: what the file has beside the facts.
            varying: names of the checks whose value differs from run to run: it does not enter the digest.
            facts: more to travel with it; must be JSON.
        """
        outcome = outcome_of(checks)
        known = {
            "passed": outcome == "pass",
            "outcome": outcome,
            "metrics": dict(metrics),
            "model": model,
            "data": data,
        }
        known |= facts
        content = {**known, "checks": [dict(check) for check in checks]}
        content |= {} if evidence is None else {"evidence": dict(evidence)}
        settled = [_without(check, "value", "why") if check["name"] in varying else dict(check) for check in checks]
        return cls._save(name, content, _travelling(checks, known), digest_of({**content, "checks": settled}))

    @property
    def passed(self) -> bool:
        return bool(self.facts["passed"])

    @property
    def outcome(self) -> str:
        return str(self.facts["outcome"])

    @property
    def checks(self) -> list[dict[str, Any]]:
        return list(self.facts["checks"])

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self.facts["metrics"])


def outcome_of(checks: Sequence[Mapping[str, Any]]) -> str:
    """What checks come to: the gravest of the outcomes of those that decide.

    Raises:
        ContractError: none of them decides, or one has an outcome that is none.
    """
    found = {check["outcome"] for check in checks if check.get("decisive", True)}
    if not found:
        raise ContractError("a verdict without a check would pass anything: give it one that decides")
    if strange := sorted(found - set(OUTCOMES)):
        raise ContractError(f"a check's outcome is one of {', '.join(OUTCOMES)}: not {strange[0]!r}")
    return next(outcome for outcome in OUTCOMES if outcome in found)


def _travelling(checks: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a verdict: all checks of no group, and of the others what stands in the way first."""
    counts: dict[str, dict[str, int]] = {}
    for check in checks:
        if "group" in check:
            group = counts.setdefault(check["group"], dict.fromkeys(OUTCOMES[1:], 0))
            group[check["outcome"]] = group.get(check["outcome"], 0) + 1
    alone = [_brief(check) for check in checks if "group" not in check]
    others = [_brief(check) for check in checks if "group" in check and check["outcome"] != "pass"]
    facts = {**known, "checks": alone, **({"counts": counts} if counts else {})}
    room = _LARGEST_VERDICT - len(json.dumps(facts, default=str))
    for check in sorted(others, key=lambda check: OUTCOMES.index(check["outcome"])):
        room -= len(json.dumps(check, default=str)) + 2
        if room >= 0:
            alone.append(check)
    return facts


def _brief(check: Mapping[str, Any]) -> dict[str, Any]:
    texts = {key: value for key, value in check.items() if isinstance(value, str) and len(value) > _LONGEST_TEXT}
    return {**check, **{key: value[: _LONGEST_TEXT - 1] + "…" for key, value in texts.items()}}


def _without(check: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in check.items() if key not in keys}


@dataclass(frozen=True)
class Validation(_Document):
    """A table against its suite: what was found of each rule.

    `facts`: `suite`, `subject` (whose history it belongs to), `outcome` (passed, warned or stopped), counts of `rules`
    by outcome, `rows`, `quarantined`, `share`, `warnings`, `page` and `docs` (URIs), and `quarantine`, the Dataset of
    the rows set aside, where there are some.
    """

    @classmethod
    def of(cls, found: Mapping[str, Any], facts: Mapping[str, Any], name: str = "validation") -> Validation:
        """Write down what was found as this step's output `name`."""
        return cls._save(name, dict(found), facts)


@dataclass(frozen=True)
class Approval(_Document):
    """What a person, or the policy where none is asked, said about a candidate."""

    @classmethod
    def of(cls, *, granted: bool, by: str, why: str, name: str = "approval") -> Approval:
        content = {"granted": granted, "by": by, "why": why}
        return cls._save(name, content, content)

    @property
    def granted(self) -> bool:
        return bool(self.facts["granted"])

    @property
    def by(self) -> str:
        return str(self.facts["by"])

    @property
    def why(self) -> str:
        return str(self.facts["why"])


@dataclass(frozen=True)
class Promotion(_Document):
    """Whether a version became the champion, and the ledger's entry that says so.

    `facts`: `promoted`, `name`, `version`, `replaced` (the champion before, or None), `entry` (its number in the
    ledger, None where refused), `kind` ("promote", "rollback"), `who`, `why` (of a refusal: what stood against it).
    """

    @classmethod
    def of(cls, facts: Mapping[str, Any], name: str = "promotion") -> Promotion:
        return cls._save(name, dict(facts), facts)

    @property
    def promoted(self) -> bool:
        return bool(self.facts["promoted"])


@dataclass(frozen=True)
class Deployment(_Document):
    """Where a version serves.

    `facts`: `deployed`, `target`, `name`, `version`, `place` (a folder's path, or the target's name of it), `previous`
    (the version before, or None), `why` (where it was not deployed).
    """

    @classmethod
    def of(cls, facts: Mapping[str, Any], name: str = "deployment") -> Deployment:
        anywhere = {key: value for key, value in facts.items() if key != "place"}
        return cls._save(name, dict(facts), facts, digest_of(anywhere))

    @property
    def deployed(self) -> bool:
        return bool(self.facts["deployed"])


@dataclass(frozen=True)
class Report(Artifact):
    """A page for people."""

    @classmethod
    def of(cls, html: str, name: str = "report") -> Report:
        place = f"{current().folder}/{name}.html"
        digest = "sha256:" + hashlib.sha256(html.encode()).hexdigest()
        write_text(place, html)
        write_manifest(place, "Report", digest, {})
        return cls(to_uri(place), digest)


@dataclass(frozen=True)
class Model(Artifact):
    """A fitted model, logged and pinned (`models:/m-…` or `models:/name/7`, never an alias).

    `facts`: `estimator` (import path), `features` (names, in order), `files` (digest of the stored files), `size`
    (bytes), `version` once it is registered.
    """

    @classmethod
    def of(cls, estimator: Any, example: pandas.DataFrame | None = None, **facts: Any) -> Model:
        """Log a fitted estimator to the model store.

        Args:
            estimator: a fitted scikit-learn style estimator. It answers each row of a table with a number, a word or a
                row of numbers (`predict_proba`, else `predict`), or all rows with a table of as many, as a recommender
                does. It may say of itself, by attributes that are no parameters of it, `requirements` (distributions
                needed beside those of its parts) and `tolerance` (the part by which a number in its answers may differ
                between machines, or alone and among others; 1e-9).
            example: a few rows of features, in the order of training: the input schema and the digest's probe. A
                column with gaps or of lists may be left out of what a served model is asked.
            facts: more to record with it; must be JSON.
        """
        from . import catalog

        stored = catalog.find("store", "mlflow").log_model(estimator, example, facts)
        return cls(**stored)

    def load(self) -> Any:
        """The estimator itself; refuses files other than those that were logged."""
        from . import catalog

        return catalog.find("store", "mlflow").load_model(self)

    @property
    def features(self) -> list[str]:
        return list(self.facts.get("features", ()))

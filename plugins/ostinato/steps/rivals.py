"""The champion as a rival: loaded, and scored anew on rows it has not seen, or the reason why that cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ostinato.artifacts import Model
from ostinato.errors import ConfigurationError, is_transient
from ostinato.ledger import Champion

from . import frames
from .bootstrap import Interval
from .judging import Opponent
from .scored import Asked, Rows, Scored

if TYPE_CHECKING:
    import pandas
    import pyarrow

_LONGEST_REASON = 200


@dataclass(frozen=True)
class Rival:
    """A champion with its estimator and what it was `scored`, or the `trouble` there is with it.

    Neither where nobody asked for a comparison.
    """

    champion: Champion
    estimator: Any = None
    features: tuple[str, ...] = ()
    trouble: str = ""
    scored: Scored | None = None

    @property
    def version(self) -> str:
        return self.champion.version

    def in_trouble(self, why: str) -> Rival:
        return Rival(self.champion, trouble=f"version {self.version} {why}")

    def opponent(self, difference: Interval | None) -> Opponent:
        """What the judgement must know of it."""
        return Opponent(self.version, self.champion.model.digest, self.trouble, difference)

    @property
    def facts(self) -> dict[str, Any]:
        metrics = self.scored.own if self.scored else {}
        return {"version": self.version, "digest": self.champion.model.digest, "metrics": metrics}


def opened(champion: Champion) -> Rival:
    """The champion with its estimator, or why it cannot be loaded.

    Raises:
        Unavailable: the model store does not answer.
        ConfigurationError: it lets us not in.
    """
    rival = Rival(champion)
    try:
        return replace(rival, estimator=champion.model.load())
    except Exception as error:
        return rival.in_trouble(f"cannot be loaded: {reason(error)}")


def loaded(champion: Champion, schema: Iterable[str]) -> Rival:
    """The champion, ready to score a table of these columns (see `opened`)."""
    rival = opened(champion)
    if rival.trouble:
        return rival
    features = columns_of(champion.model, rival.estimator)
    if not features:
        return rival.in_trouble("does not say on which columns it was trained")
    if missing := sorted(set(features) - set(schema)):
        listed = ", ".join(map(repr, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        return rival.in_trouble(f"cannot be scored: the test has no column {listed}")
    return replace(rival, features=tuple(features))


def columns_of(model: Model, estimator: Any) -> list[str]:
    """The columns a model was trained on, in order; none where it does not say."""
    return model.features or [str(name) for name in getattr(estimator, "feature_names_in_", ())]


def scored(
    rival: Rival, table: pyarrow.Table, rows: Rows, asked: Asked, frame: pandas.DataFrame, columns: Sequence[str]
) -> Rival:
    """The rival with its scores, if it has not seen these rows.

    Args:
        frame: of `columns` of the table, so that the same need not be made twice.
    """
    if rival.estimator is None:
        return rival
    if why := seen(rival.champion.model.facts.get("window"), rows.facts):
        return rival.in_trouble(why)
    try:
        same = list(rival.features) == list(columns)
        given = frame if same else frames.frame(table, rival.features)[0]
        found = frames.scores(rival.estimator, given, f"version {rival.version}")
    except Exception as error:
        return rival.in_trouble(f"cannot be scored: {reason(error)}")
    return replace(rival, scored=Scored.of(found, rows, asked, probabilities=hasattr(rival.estimator, "predict_proba")))


def reason(error: Exception) -> str:
    """The first line of what went wrong; a store that is away may be back, which is no fault of the champion."""
    if is_transient(error) or isinstance(error, ConfigurationError):
        raise error
    first = (str(error).strip() or type(error).__name__).split("\n")[0]
    return first if len(first) <= _LONGEST_REASON else first[: _LONGEST_REASON - 1] + "…"


def seen(window: Mapping[str, Any] | None, test: Mapping[str, Any]) -> str:
    """Why a champion may have learned from the rows it is to be judged on; empty where it has not."""
    until = (window or {}).get("until")
    if not until:
        return (
            "does not say from when its training rows are, so that these may be among them; "
            'save them with time=…, or write compare="none"'
        )
    if test["from"] and _moment(until) >= _moment(test["from"]):
        return f"was trained on rows up to {until}, and the test begins at {test['from']}: it may have seen the answers"
    return ""


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

"""What was found of each rule, and what follows from all of it: go on, warn, or stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .suite import Rule, Suite

Outcome = Literal["pass", "fail", "quarantined", "error", "skipped"]
"""Of one rule: `quarantined` where rows broke it and were set aside, `error` where it could not be evaluated, `skipped`
where a formula needs something that is not known yet."""


@dataclass(frozen=True)
class Judged:
    """A rule and what was found.

    Attributes:
        judged: how many rows or values it looked at; None for rules about the table.
        unexpected: how many of them broke it.
        observed: the number a rule about the table found; nothing that could be somebody's value.
        error: why it could not be evaluated, or was skipped.
    """

    rule: Rule
    outcome: Outcome
    judged: int | None = None
    unexpected: int | None = None
    observed: float | str | None = None
    error: str | None = None

    @property
    def stops(self) -> bool:
        """Whether the run may not go on. A rule that could not be evaluated has not been met, whatever its severity."""
        return self.outcome == "error" or (self.outcome == "fail" and self.rule.severity == "critical")

    @property
    def warns(self) -> bool:
        return self.outcome == "fail" and self.rule.severity == "warning"

    def sentence(self) -> str:
        """What was found, for people; no value of any row."""
        if self.error is not None:
            return self.error
        if self.unexpected is not None:
            one = self.unexpected == 1
            rows = f"of {self.judged:,} rows" if self.judged else "row" if one else "rows"
            return f"{self.unexpected:,} {rows} {'breaks' if one else 'break'} it"
        found = "not met" if self.observed is None else f"found {_number(self.observed)}"
        return f"{found}, wanted {self.rule.wanted}" if self.rule.wanted else found


def _number(value: float | str) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.6g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


@dataclass(frozen=True)
class Judgement:
    """A table against its suite.

    Attributes:
        rows: how many rows came in.
        quarantined: how many of them were set aside.
    """

    suite: Suite
    judged: Sequence[Judged]
    rows: int
    quarantined: int = 0

    @property
    def share(self) -> float:
        """The share of rows set aside, 0 to 1."""
        return self.quarantined / self.rows if self.rows else 0.0

    @property
    def too_many(self) -> bool:
        """Whether more was set aside than may be, or everything."""
        return self.share > self.suite.max_quarantine or self.quarantined == self.rows > 0

    @property
    def broken(self) -> list[Judged]:
        """What could not be evaluated."""
        return [one for one in self.judged if one.outcome == "error"]

    @property
    def stopping(self) -> list[Judged]:
        return [one for one in self.judged if one.stops]

    @property
    def warnings(self) -> list[Judged]:
        return [one for one in self.judged if one.warns]

    @property
    def outcome(self) -> Literal["passed", "warned", "stopped"]:
        if self.stopping or self.too_many:
            return "stopped"
        return "warned" if self.warnings else "passed"

    def said(self) -> str:
        """Why the run stops or warns, the gravest first, in one line."""
        reasons = [f"{self.suite.at(one.rule)}: {one.sentence()}" for one in self.stopping]
        if self.too_many:
            reasons.insert(0, self._set_aside())
        return _listed(reasons or [f"{one.rule.name}: {one.sentence()}" for one in self.warnings])

    def _set_aside(self) -> str:
        most = sorted((one for one in self.judged if one.rule.quarantine), key=lambda one: -(one.unexpected or 0))
        why = ", ".join(f"{one.rule.name} ({one.unexpected:,})" for one in most[:3] if one.unexpected)
        more = self.share > self.suite.max_quarantine
        limit = f"more than max_quarantine = {self.suite.max_quarantine:.2%}" if more else "and none would be left"
        return f"{self.quarantined:,} of {self.rows:,} rows ({self.share:.2%}) would be quarantined, {limit}: {why}"


def _listed(reasons: Iterable[str]) -> str:
    shown = [reason.rstrip(".") for reason in reasons]
    more = f"; and {len(shown) - 5} more" if len(shown) > 5 else ""
    return "; ".join(shown[:5]) + more

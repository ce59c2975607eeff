"""Ask the person at the terminal whether a candidate may be released."""

from __future__ import annotations

import getpass
import selectors
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .errors import ParameterError
from .markup import number
from .wording import Yardstick

if TYPE_CHECKING:
    from rich.console import Console

Answer = dict[str, Any]


def answering(people: Console, *, approve: bool, reject: bool) -> Callable[[dict[str, Any]], Answer | None] | None:
    """What answers the run's questions: a flag, else the person at the terminal, else nobody.

    Raises:
        ParameterError: both flags are given.
    """
    if approve and reject:
        raise ParameterError("--approve and --reject exclude one another; give one.")
    if approve or reject:
        return lambda _: {"granted": approve, "by": _user(), "why": "--approve" if approve else "--reject"}
    if sys.stdin.isatty() and people.is_terminal:
        return lambda question: _asked(people, question)
    return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def _asked(people: Console, question: Mapping[str, Any]) -> Answer | None:
    from rich.markup import escape

    deadline = time.monotonic() + question["seconds"]
    for line in described(question):
        people.print(escape(line), soft_wrap=True)
    people.print(r"[bold]Release it?[/] \[y/n] ", end="")
    while (said := _line(deadline)) is not None:
        word, _, why = said.strip().partition(" ")
        if word.lower() in ("y", "yes", "n", "no"):
            granted = word.lower().startswith("y")
            return {"granted": granted, "by": _user(), "why": why.strip() or f"answered {word!r}"}
        people.print("Write y or n, and after it, if you like, why: ", end="")
    people.print()
    return None


def described(question: Mapping[str, Any]) -> list[str]:
    """What a person is shown: what asks, for how long, and the verdict."""
    verdict = question["inputs"]["verdict"]["facts"]
    metrics, champion = verdict["metrics"], verdict.get("champion")
    lines = [f"{question['pipeline']} asks whether its candidate may be released (run {question['run_id']})."]
    for check in verdict["checks"]:
        bound = "" if check.get("bound") is None else f", bound {number(check['bound'])}"
        lines.append(f"  {check['outcome']:<16} {check['name']} {number(check.get('value'))}{bound}")
    yardstick = Yardstick.of(verdict)
    if yardstick.metric in metrics:
        against = f"; champion: {number(champion['metrics'].get(yardstick.metric))}" if champion else ""
        lines.append(f"  {yardstick.said} {number(metrics[yardstick.metric])}{against}")
    lines.append(f"  No answer within {timedelta(seconds=round(question['seconds']))} means no.")
    return lines


def _line(deadline: float) -> str | None:
    """The next line typed, or None when the time is over or the terminal is gone."""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            return None
    return sys.stdin.readline() or None

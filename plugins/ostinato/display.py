"""What a person sees while a pipeline runs: a line a step on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from .records import sentence

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID

_MARKS = {
    "pending": "[dim]·[/]",
    "running": "[cyan]●[/]",
    "waiting": "[yellow]?[/]",
    "retrying": "[yellow]↻[/]",
    "succeeded": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "skipped": "[dim]–[/]",
}


@contextlib.contextmanager
def shown(console: Console) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A listener for a run's events that draws them; draws nothing where the console is no terminal."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import Progress, ProgressColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Seconds(ProgressColumn):
        """How long a step has taken, to a tenth of a second."""

        max_refresh = 0.1

        def render(self, task: Task) -> Text:
            return Text("" if task.elapsed is None else f"{task.elapsed:6.1f} s")

    columns = (
        TextColumn("{task.fields[mark]}"),
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        Seconds(),
        TextColumn("[dim]{task.fields[note]}[/]", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        yield _Lines(progress).hear


class _Lines:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.lines: dict[str, TaskID] = {}
        self.items: dict[str, dict[str, tuple[str, str]]] = {}  # of a mapped step: label and state by map key

    def hear(self, event: dict[str, Any]) -> None:
        if event.get("state") != "waiting" and not self.progress.live.is_started:
            self.progress.start()  # the question is answered
        getattr(self, f"_{event['event']}", lambda _: None)(event)

    def _run(self, event: dict[str, Any]) -> None:
        for name in event["nodes"]:
            self.lines[name] = self.progress.add_task(name, total=1, start=False, mark=_MARKS["pending"], note="")

    def _as_of(self, event: dict[str, Any]) -> None:
        self.progress.console.print(f"[dim]as of {event['as_of'][:16].replace('T00:00', '')}[/]")

    def _step(self, event: dict[str, Any]) -> None:
        from rich.markup import escape

        name, state = event["step"], event["state"]
        line = self.lines[name]
        mark = _MARKS.get(state, "")
        if event["map_key"]:
            items = self.items.setdefault(name, {})
            items[event["map_key"]] = event["label"], state
            self.progress.update(line, mark=_MARKS["running"], note=escape(_spread(items.values())))
            self.progress.start_task(line)
            return
        if state == "running":
            self.progress.start_task(line)
            self.progress.update(line, mark=mark)
        elif state in ("succeeded", "failed", "skipped"):
            self.progress.update(line, mark=mark)
            self.progress.stop_task(line)
        elif state == "waiting":  # somebody is asked, and must see what is asked
            self.progress.update(line, mark=mark)
            self.progress.stop()
        else:
            self.progress.update(line, mark=mark)
        if event.get("error"):
            self.progress.update(line, note=escape(sentence(event["error"]).splitlines()[0]))
        elif event.get("resumed"):
            self.progress.update(line, note="done before")

    def _log(self, event: dict[str, Any]) -> None:
        from rich.markup import escape

        if event["step"] in self.lines:
            label, _ = self.items.get(event["step"], {}).get(event["map_key"], ("", ""))
            said = f"{label}: {event['message']}" if label else event["message"]
            self.progress.update(self.lines[event["step"]], note=escape(said))

    def _progress(self, event: dict[str, Any]) -> None:
        if event["step"] in self.lines and not event["map_key"]:
            done, total = event["done"], event["total"]
            note = f"{done / total:.0%} of {total:,.0f}" if total else f"{done:,.0f}"
            self.progress.update(self.lines[event["step"]], note=note)


def _spread(items: Collection[tuple[str, str]]) -> str:
    """How far a mapped step is: how many of its items are done, and which run now."""
    done = sum(state == "succeeded" for _, state in items)
    now = ", ".join(label for label, state in items if state == "running")
    return f"{done} of {len(items)} started" + (f", now {now}" if now else "")

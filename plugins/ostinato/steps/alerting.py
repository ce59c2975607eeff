"""Say something to the people behind a pipeline."""

from __future__ import annotations

from ostinato import alerts
from ostinato.context import current
from ostinato.delivery import deliver
from ostinato.graph import step
from ostinato.runner import records_of


@step(effect="idempotent")
def alert(title: str, *, text: str = "") -> None:
    """Send a message about this run to where the pipeline's alerts go, in the run's thread.

    It is sent once however often the step is run again, and kept where it cannot be sent now.

    Args:
        title: one line.
        text: more, as whole sentences.
    """
    context = current()
    records = records_of(context.workspace.home)
    alerts.noted(records, context.run_id, context.key, title, text)
    deliver(records, context.workspace, resolve=context.resolve)
    context.log(title)

"""New data as Airflow's events."""

from __future__ import annotations

from airflow.sdk import Asset

from ostinato.errors import UsageError
from ostinato.workspace import is_remote, local_path


def on_file(place: str, *, every: float = 60.0) -> Asset:
    """The Asset that is updated when a flag file arrives; the file is removed, so that the next one counts again.

    Whoever writes the data writes the flag last: `to_dag(pipeline, schedule=[on_file("/data/transactions.ready")])`.

    Args:
        place: an absolute path or `file://` URL of the flag, never of the data itself.
        every: seconds between two looks.

    Raises:
        UsageError: it is no path on this machine.
    """
    from airflow.providers.standard.triggers.file import FileDeleteTrigger
    from airflow.sdk import AssetWatcher

    file = local_path(place)
    if is_remote(place) or not file.is_absolute():
        raise UsageError(f"A flag file is an absolute path on this machine: not {place!r}.")
    trigger = FileDeleteTrigger(filepath=str(file), poke_interval=every)
    return Asset(name=f"flag {file}", uri=file.as_uri(), watchers=[AssetWatcher(name=f"flag {file}", trigger=trigger)])

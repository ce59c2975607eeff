"""The last of a run, the same on every engine: its pages are written, the model store hears of it, its report named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import report
from .catalog import names
from .errors import OstinatoError
from .outcome import outcome
from .records import Records
from .workspace import Workspace

Call = Callable[[str, dict[str, Any]], Any]
"""Calls the function at an import path with arguments, as a question outside the records."""


def publish(
    records: Records, workspace: Workspace, run_id: str, about: str, *, call: Call, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write the pages of a run whose record is closed, and hand them on; gives its outcome.

    A run whose record names a report is finished with that, too. A model store that is away costs the run nothing.

    Args:
        about: the pipeline's docstring.
        call: calls the model store, where the run took part in it.
        say: hears what went wrong with that.
    """
    result = outcome(records, run_id)
    files = report.written(result, workspace.run_folder(run_id), about)
    if result["model"] is not None:
        told = {"state": result["state"], "files": files, "model": result["model"]}
        try:
            call(f"{names('store')['mlflow']}:close_run", told)
        except OstinatoError as error:
            say(str(error))
    records.change_run(run_id, report=files[report.PAGE])
    return {**result, "report": files[report.PAGE]}

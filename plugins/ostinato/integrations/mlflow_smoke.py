"""Smoke rows: a few rows and what a model answered when it was logged. They are kept with it; what serves repeats them.

The file is a request as `mlflow models serve` takes it, in which every missing value is null, with the answers beside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ostinato.errors import ConfigurationError, ContractError, OstinatoError, Unavailable, is_transient

from .mlflow_connection import import_mlflow

if TYPE_CHECKING:
    import pandas

FILE = "smoke.json"
ROWS = 20
TOLERANCE = 1e-9  # of a number, relative above 1 and absolute below

Ask = Callable[["pandas.DataFrame"], Any]


def written(example: pandas.DataFrame, answers: Any, answering: str) -> str:
    """The file's text: of an example the rows from the lowest answer to the highest, and the answers at full precision.

    Args:
        answers: an array with one answer a row.
        answering: the estimator's method that gave them.
    """
    import numpy as np

    lowest_first = np.argsort(answers[:, -1] if answers.ndim > 1 else answers, kind="stable")
    chosen = lowest_first[np.linspace(0, len(answers) - 1, min(ROWS, len(answers))).astype(int)]
    rows = example.iloc[chosen]
    values = rows.astype(object).to_numpy(copy=True)
    values[rows.isna().to_numpy()] = None
    data = {"columns": list(rows.columns), "data": values.tolist()}
    content = {"dataframe_split": data, "answering": answering, "answers": answers[chosen].tolist()}
    return json.dumps(content, default=str) + "\n"


@dataclass(frozen=True)
class Smoke:
    """Rows as JSON has them, and the answer to each; `probabilities` says that those are within 0 and 1."""

    columns: list[str]
    rows: list[list[Any]]
    answers: list[Any]
    probabilities: bool

    @classmethod
    def read(cls, folder: Path, who: str) -> Smoke:
        """The rows recorded in a model's folder.

        Raises:
            ContractError: there are none.
        """
        try:
            content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            content = None
        if not content or not content["answers"]:
            raise ContractError(
                f"{who} has no recorded rows to try it with before it serves: log it with an example, "
                "Model.of(estimator, example), and register it again."
            )
        rows = content["dataframe_split"]
        return cls(rows["columns"], rows["data"], content["answers"], content["answering"] == "predict_proba")


def try_out(folder: Path, who: str) -> tuple[Smoke, Any]:
    """Load a model's folder as `mlflow models serve` does, and ask it for its recorded rows.

    Returns:
        The rows, and the model's input schema.

    Raises:
        ContractError: it does not load, or does not answer as recorded; the message says at which row.
        ConfigurationError: MLflow cannot serve from a folder of this name.
    """
    if unquote(str(folder)) != str(folder):
        raise ConfigurationError(
            f"MLflow takes percent signs of a path for codes, so it cannot serve from {folder}. "
            "Set OSTINATO_HOME to a folder without them."
        )
    smoke = Smoke.read(folder, who)
    mlflow = import_mlflow()
    server = _server()
    try:
        model = mlflow.pyfunc.load_model(str(folder))
    except Exception as error:  # whatever the model's parts raise
        raise ContractError(f"{who} cannot be loaded to serve: {_reason(error)}.") from error
    schema = model.metadata.get_input_schema()

    def ask(rows: list[list[Any]]) -> Any:
        request = json.dumps({"dataframe_split": {"columns": smoke.columns, "data": rows}})
        answer = server.invocations(request, "application/json", model, schema)
        return json.loads(answer.response)["predictions"]

    compare(smoke, ask, who)
    return smoke, schema


def try_remote(smoke: Smoke, schema: Any, predict: Ask, who: str) -> None:
    """Ask whatever serves a model for its recorded rows; `predict` takes them as a table.

    Raises:
        ContractError: it does not answer as recorded.
        Unavailable: it does not answer now.
    """
    server = _server()

    def ask(rows: list[list[Any]]) -> Any:
        request = {"dataframe_split": {"columns": smoke.columns, "data": rows}}
        return _plain(predict(server.infer_and_parse_data(request, schema)))

    compare(smoke, ask, who)


def _server() -> Any:
    """What `mlflow models serve` answers with; it comes with mlflow-skinny too."""
    from mlflow.pyfunc import scoring_server

    return scoring_server


def compare(smoke: Smoke, ask: Callable[[list[list[Any]]], Any], who: str) -> None:
    """Ask for all rows at once, and for each alone, as it comes to a server; compare the answers with those recorded.

    Raises:
        ContractError: an answer is missing, differs by more than `TOLERANCE`, or is no probability where it should be.
        Unavailable: nobody answers now.
    """
    _compare(smoke, _asked(ask, smoke.rows, who), range(len(smoke.rows)), who, "")
    for place, row in enumerate(smoke.rows):
        _compare(smoke, _asked(ask, [row], who), [place], who, " asked alone")


def _asked(ask: Callable[[list[list[Any]]], Any], rows: list[list[Any]], who: str) -> Any:
    try:
        return ask(rows)
    except OstinatoError:
        raise
    except Exception as error:  # whatever the model's parts raise
        if is_transient(error):
            raise Unavailable(f"{who} does not answer: {_reason(error)}.") from error
        raise ContractError(f"{who} fails on the rows recorded with it: {_reason(error)}.") from error


def _compare(smoke: Smoke, found: Any, places: Sequence[int], who: str, how: str) -> None:
    if not isinstance(found, list) or len(found) != len(places):
        raise ContractError(f"{who} was asked for {len(places)} rows and answered {str(found)[:200]}.")
    for place, answer in zip(places, found, strict=True):
        expected = smoke.answers[place]
        if not _same(expected, answer, smoke.probabilities):
            raise ContractError(
                f"{who} does not answer as it did when it was logged: row {place + 1} of {FILE}{how} "
                f"should give {expected}, and gave {str(answer)[:200]}."
            )


def _same(expected: Any, found: Any, probability: bool) -> bool:
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return False
        return all(_same(*each, probability) for each in zip(expected, found, strict=True))
    if isinstance(expected, str):
        return bool(expected == found)
    if not isinstance(found, (int, float)) or not math.isfinite(found):
        return False
    fits = not probability or 0 <= found <= 1
    return fits and math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _plain(answer: Any) -> Any:
    """What a deployment client returns, as lists: a response with `predictions`, a table, an array, or JSON."""
    if isinstance(answer, str):
        answer = json.loads(answer)
    if isinstance(answer, dict):
        answer = answer.get("predictions", answer)
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, list):
        return [list(each.values()) if isinstance(each, dict) else each for each in answer]
    return answer


def _reason(error: BaseException) -> str:
    """The first line of what went wrong; MLflow's own error often hides the one that tells."""
    told = error.__context__ if error.__context__ and type(error).__module__.startswith("mlflow.") else error
    return f"{type(told).__name__}: {(str(told).strip() or 'no reason given').splitlines()[0][:300]}".removesuffix(".")

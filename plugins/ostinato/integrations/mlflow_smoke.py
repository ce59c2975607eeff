"""Smoke rows: a few rows and what a model answered when it was logged. They are kept with it; what serves repeats them.

The file is a request as `mlflow models serve` takes it, in which every missing value is null, with the answers beside:
numbers, lists of numbers, words, or records where the model answers with a table.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
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


def written(example: pandas.DataFrame, answers: Any, answering: str, tolerance: float | None = None) -> str:
    """The file's text: of an example the rows from the lowest answer to the highest, and the answers at full precision.

    Where answers are a table they have no lowest, and rows are taken from the whole length of the example.

    Args:
        answers: an array with one answer a row, or a table.
        answering: the estimator's method that gave them.
        tolerance: the estimator's own; None for `TOLERANCE`.
    """
    import numpy as np

    if is_table := hasattr(answers, "columns"):
        order = np.arange(len(answers))
    else:
        order = np.argsort(answers[:, -1] if answers.ndim > 1 else answers, kind="stable")
    chosen = order[np.linspace(0, len(answers) - 1, min(ROWS, len(answers))).astype(int)]
    rows = example.iloc[chosen]
    content = {
        "dataframe_split": {"columns": list(rows.columns), "data": _values(rows)},
        "answering": answering,
        "answers": records(answers.iloc[chosen]) if is_table else answers[chosen].tolist(),
    }
    return json.dumps(content | ({} if tolerance is None else {"tolerance": tolerance}), default=str) + "\n"


def records(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON has it: a record a row, arrays as lists, what is missing as None."""
    names = [str(name) for name in table.columns]
    return [dict(zip(names, row, strict=True)) for row in _values(table)]


def _values(table: pandas.DataFrame) -> list[list[Any]]:
    values = table.astype(object).to_numpy(copy=True)
    values[table.isna().to_numpy()] = None
    return [[_listed(value) for value in row] for row in values.tolist()]


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [_listed(each) for each in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Smoke:
    """Rows as JSON has them, and the answer to each; `probabilities` says that those are within 0 and 1.

    `tolerance` is by how much a number may differ. Where it is the model's own, it is a part of the largest number of a
    list; and what is ranked by such a list may be in another order where its numbers are that close.
    """

    columns: list[str]
    rows: list[list[Any]]
    answers: list[Any]
    probabilities: bool
    tolerance: float = TOLERANCE

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
        rows, tolerance = content["dataframe_split"], content.get("tolerance", TOLERANCE)
        is_chance = content["answering"] == "predict_proba"
        return cls(rows["columns"], rows["data"], content["answers"], is_chance, tolerance)


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
        ContractError: an answer is missing, differs by more than the tolerance, or is no probability as it should be.
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
        if not _same(smoke, expected, answer):
            expected, answer = _what_differs(smoke, expected, answer)
            raise ContractError(
                f"{who} does not answer as it did when it was logged: row {place + 1} of {FILE}{how} "
                f"should give {str(expected)[:200]}, and gave {str(answer)[:200]}."
            )


def _same(smoke: Smoke, expected: Any, found: Any) -> bool:
    if isinstance(expected, dict):
        named = _named(expected, found)
        return named is not None and all(_same_column(smoke, expected, named, name) for name in expected)
    if isinstance(expected, list):
        found = list(found.values()) if isinstance(found, dict) else found
        if not isinstance(found, list) or len(found) != len(expected):
            return False
        return all(_same(smoke, *each) for each in zip(expected, found, strict=True))
    if not isinstance(expected, float):  # words, ids, truth and None
        return isinstance(expected, bool) == isinstance(found, bool) and bool(expected == found)
    if not isinstance(found, (int, float)) or not math.isfinite(found):
        return False
    fits = not smoke.probabilities or 0 <= found <= 1
    return fits and math.isclose(expected, found, rel_tol=smoke.tolerance, abs_tol=smoke.tolerance)


def _named(expected: Mapping[str, Any], found: Any) -> dict[str, Any] | None:
    """A row's answer by the names recorded, in whose order a target may give it without them; None for another's."""
    if isinstance(found, list) and len(found) == len(expected):
        found = dict(zip(expected, found, strict=True))
    return found if isinstance(found, dict) and found.keys() == expected.keys() else None


def _same_column(smoke: Smoke, expected: Mapping[str, Any], found: Mapping[str, Any], name: str) -> bool:
    ranked, answer = expected[name], found[name]
    scores = _scores_of(smoke, expected, ranked)
    if scores is None or not isinstance(answer, list) or len(answer) != len(ranked):
        return _same(smoke, ranked, answer)
    within = max(smoke.tolerance * max(map(abs, scores)), TOLERANCE)
    if ranked is scores:
        return all(_is_close(*each, within) for each in zip(scores, answer, strict=True))
    *runs, last = _runs(scores, 2 * within)  # of two scores each may differ
    runs = runs or [last]  # but for a last one: it may go on with others for which the list had no room
    return all(sorted(ranked[run], key=str) == sorted(answer[run], key=str) for run in runs)


def _scores_of(smoke: Smoke, record: Mapping[str, Any], ranked: Any) -> list[float] | None:
    """The scores that a column of a record has or is ranked by; None where it must be just as it was."""
    if smoke.tolerance == TOLERANCE or not isinstance(ranked, list):
        return None
    found = [ranked, *record.values()]
    return next((each for each in found if _are_scores(each) and len(each) == len(ranked)), None)


def _is_close(expected: float, found: Any, within: float) -> bool:
    return isinstance(found, (int, float)) and abs(expected - found) <= within


def _are_scores(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, float) for each in value)


def _runs(scores: Sequence[float], apart: float) -> list[slice]:
    """The parts of a ranking within which the order says nothing."""
    pairs = enumerate(itertools.pairwise(scores), start=1)
    cuts = [place for place, (one, other) in pairs if abs(one - other) > apart]
    return [slice(*ends) for ends in itertools.pairwise([0, *cuts, len(scores)])]


def _what_differs(smoke: Smoke, expected: Any, found: Any) -> tuple[Any, Any]:
    """Of two records the columns that differ; other answers as they are."""
    named = _named(expected, found) if isinstance(expected, dict) else None
    if named is None:
        return expected, found
    names = [name for name in expected if not _same_column(smoke, expected, named, name)]
    return {name: expected[name] for name in names}, {name: named[name] for name in names}


def _plain(answer: Any) -> Any:
    """What a deployment client returns, as lists or records: a response with `predictions`, a table, an array, JSON."""
    if isinstance(answer, str):
        answer = json.loads(answer)
    if isinstance(answer, dict):
        answer = answer.get("predictions", answer)
    if hasattr(answer, "columns"):
        return records(answer)
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    return answer.tolist() if hasattr(answer, "tolist") else answer


def _reason(error: BaseException) -> str:
    """The first line of what went wrong; MLflow's own error often hides the one that tells."""
    told = error.__context__ if error.__context__ and type(error).__module__.startswith("mlflow.") else error
    return f"{type(told).__name__}: {(str(told).strip() or 'no reason given').splitlines()[0][:300]}".removesuffix(".")

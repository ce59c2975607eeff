"""Train a classifier of 0 and 1."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ostinato.artifacts import Model
from ostinato.context import current
from ostinato.errors import DataError, MissingPackage, ParameterError, suggest
from ostinato.graph import step
from ostinato.tables import Dataset, require_columns

from . import frames

if TYPE_CHECKING:
    import pandas

# What a table of transactions has beside features: who, when and the answer.
RESERVED = ("id", "time", "card", "terminal", "label", "label_time", "card_known_fraud_at")

SHORT_NAMES = {
    "hist_gradient_boosting": "sklearn.ensemble:HistGradientBoostingClassifier",
    "lightgbm": "lightgbm:LGBMClassifier",
}
_LIGHTGBM_DEFAULTS = {"deterministic": True, "force_row_wise": True, "verbose": -1}

EXAMPLE_ROWS = 200


@step(retries=2)
def train(
    data: Dataset,
    *,
    features: Sequence[str] = (),
    label: str = "label",
    order_by: Sequence[str] = ("time", "id"),
    estimator: str = "sklearn.ensemble:HistGradientBoostingClassifier",
    options: Mapping[str, Any] = {},
    seed: int = 7,
) -> Model:
    """Fit a classifier of 0 and 1, the same one each time for the same rows, and log it.

    Numbers and booleans are read as float64. Text is encoded inside the model, and so is scaling and filling gaps for
    an estimator that cannot take missing values.

    Args:
        features: columns to learn from; by default all but the label, those of `order_by` and identifiers
            (`id, time, card, terminal, label_time, card_known_fraud_at`).
        label: 0 or 1, or a boolean.
        order_by: the order in which rows are read: it alone moves scores, so it must leave no two rows equal.
        estimator: `module:Class` in the manner of scikit-learn, or `hist_gradient_boosting`, `lightgbm`.
        options: the estimator's own parameters.
        seed: its `random_state`, where it has one.

    Raises:
        DataError: a column is missing or of no use, there are no rows, or not both labels.
        ParameterError: the estimator or one of its options does not exist.
        MissingPackage: the estimator's package is not installed.
    """
    kind = _find_estimator(estimator)
    settings = _settings(kind, options, seed)
    schema = data.schema
    require_columns(schema, [*features, label, *order_by], data.uri)
    chosen = list(dict.fromkeys(features)) or [name for name in schema if name not in {*RESERVED, label, *order_by}]
    if label in chosen:
        raise ParameterError(f"The label {label!r} is among the features: the model would learn to copy it.")
    if not chosen:
        raise DataError(f"{data.uri} has no column to learn from, only {', '.join(map(repr, schema))}.")
    table = data.to_arrow([*chosen, label], order_by)
    target = frames.labels(table, label, data.uri)
    positives = int(target.sum())
    if positives in {0, len(target)}:
        raise DataError(
            f"All {len(target):,} rows of {data.uri} have {label}={int(positives > 0)}; a classifier learns from both."
            if len(target)
            else f"{data.uri} has no rows to learn from."
        )
    rows, words = frames.frame(table, chosen)
    del table
    empty = [name for name in rows.columns if name not in words and rows[name].isna().all()]
    rows[empty] = 0.0  # nothing can be learned from it either way, and gradient boosting cannot bin a column of gaps
    fitted = _fit(kind, settings, rows, target, words)
    current().log(f"trained {kind.__name__} on {len(target):,} rows, {positives:,} of them positive")
    return Model.of(
        fitted,
        rows.head(EXAMPLE_ROWS),
        rows=len(target),
        positives=positives,
        data=data.digest,
        window=data.facts.get("time"),
    )


# --- the estimator ------------------------------------------------------------------------------------------------


def _find_estimator(path: str) -> Any:
    """The class behind `module:Class`, `module.Class` or a short name."""
    module_name, _, name = SHORT_NAMES.get(path, path).replace(":", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        if module_name.split(".")[0] == "lightgbm":
            raise MissingPackage("lightgbm", "lightgbm") from error
        raise ParameterError(
            f"The estimator {path!r} cannot be imported ({error}). "
            f"Write module:Class, or one of {', '.join(map(repr, SHORT_NAMES))}."
        ) from error
    found = getattr(module, name, None)
    if not inspect.isclass(found) or not hasattr(found, "fit") or not hasattr(found, "predict"):
        classes = [known for known, value in vars(module).items() if inspect.isclass(value) and hasattr(value, "fit")]
        raise ParameterError(f"{module_name} has no estimator {name!r}. {suggest(name, sorted(classes))}")
    return found


def _settings(kind: Any, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The estimator's arguments, checked by name; what makes it repeatable comes by itself."""
    accepted = inspect.signature(kind).parameters
    known = {name for name, each in accepted.items() if each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}}
    settings: dict[str, Any] = {"random_state": seed} if "random_state" in known else {}
    if kind.__module__.split(".")[0] == "lightgbm":
        settings.update(_LIGHTGBM_DEFAULTS)
        known |= _lightgbm_names()
    for name in options:
        if name not in known:
            raise ParameterError(f"{kind.__name__} has no option {name!r}. {suggest(name, sorted(known))}")
    return {**settings, **options}


def _lightgbm_names() -> set[str]:
    """LightGBM's own parameters and their aliases, which its classes take without naming them."""
    aliases: Any = importlib.import_module("lightgbm.basic")._ConfigAliases._get_all_param_aliases()
    return {*aliases, *(alias for names in aliases.values() for alias in names)}


def _fit(kind: Any, settings: Mapping[str, Any], rows: pandas.DataFrame, target: Any, words: Sequence[str]) -> Any:
    estimator = kind(**settings)
    gaps = _takes_gaps(estimator)
    if words and kind.__name__ == "HistGradientBoostingClassifier" and "categorical_features" not in settings:
        estimator.set_params(categorical_features=list(range(len(words))))
    if words or not gaps:
        estimator = _pipeline(estimator, [name for name in rows.columns if name not in words], words, gaps)
    try:
        return estimator.fit(rows, target)
    except ValueError as error:
        if type(error).__name__ != "InvalidParameterError":
            raise
        raise ParameterError(f"{kind.__name__} refuses its options: {error}") from error


def _takes_gaps(estimator: Any) -> bool:
    """Whether missing values are fine; who does not say is taken at its word when it fits."""
    if not hasattr(estimator, "__sklearn_tags__"):
        return True
    return bool(estimator.__sklearn_tags__().input_tags.allow_nan)


def _pipeline(estimator: Any, numbers: Sequence[str], words: Sequence[str], gaps: bool) -> Any:
    """Encoding in front of the estimator: text comes first, then numbers.

    Trees get codes, rare words sharing one, at most 250 of them (histograms have 255 bins); what was never seen counts
    as missing. Other estimators get a column for each frequent word, and numbers scaled, with gaps at the median.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    nan = math.nan
    if gaps:
        encode_words = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=nan, encoded_missing_value=nan, max_categories=250
        )
        encode_numbers: Any = "passthrough"
    else:
        # A server that is asked for one row gets None where training had NaN; the encoder takes them for two words.
        gap = {"strategy": "constant", "fill_value": "", "keep_empty_features": True}
        encode_words = make_pipeline(
            SimpleImputer(**gap),
            SimpleImputer(missing_values=None, **gap),
            OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False),
        )
        encode_numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    parts = [("words", encode_words, list(words)), ("numbers", encode_numbers, list(numbers))]
    encode = ColumnTransformer([part for part in parts if part[2]], verbose_feature_names_out=False)
    return Pipeline([("encode", encode), ("model", estimator)])

"""Train a classifier, and judge it on rows it has not seen."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ostinato import catalog
from ostinato.artifacts import Model, Verdict
from ostinato.context import current
from ostinato.errors import ContractError, DataError, MissingPackage, ParameterError, suggest
from ostinato.graph import step
from ostinato.tables import Dataset, require_columns

if TYPE_CHECKING:
    import pandas
    import pyarrow

# What a table of transactions has beside features: who, when and the answer.
RESERVED = ("id", "time", "card", "terminal", "label", "label_time", "card_known_fraud_at")

SHORT_NAMES = {
    "hist_gradient_boosting": "sklearn.ensemble:HistGradientBoostingClassifier",
    "lightgbm": "lightgbm:LGBMClassifier",
}
_LIGHTGBM_DEFAULTS = {"deterministic": True, "force_row_wise": True, "verbose": -1}

EXAMPLE_ROWS = 200
FEWEST_POSITIVES = 10
MOST_DAYS = 31  # that a verdict lists; all of them count


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
    target = _labels(table, label, data.uri)
    positives = int(target.sum())
    if positives in {0, len(target)}:
        raise DataError(
            f"All {len(target):,} rows of {data.uri} have {label}={int(positives > 0)}; a classifier learns from both."
            if len(target)
            else f"{data.uri} has no rows to learn from."
        )
    rows, words = _frame(table, chosen)
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


@step(retries=2)
def evaluate(
    model: Model,
    test: Dataset,
    *,
    label: str = "label",
    time: str = "time",
    entity: str | None = "card",
    amount: str | None = "amount",
    order_by: Sequence[str] = ("time", "id"),
    k: int = 100,
    false_positive_rate: float = 0.01,
    review_cost: float = 5.0,
    floor: float | None = None,
) -> Verdict:
    """Score rows the model has not seen and judge its average precision.

    It must reach `floor`; without one it must exceed the share of positives by more than chance explains (the lower
    5 % bound of a bootstrap over days). Fewer than 10 positives are not enough data to say.

    Args:
        entity: the column of the card or account, for `card_precision_at_<k>`: of the k most suspicious a day, the
            share that is compromised, as the Fraud Detection Handbook defines it. None leaves it out.
        amount: money per row, for the cost at the cheapest threshold. None leaves it out.
        order_by: the order in which rows are read; sums of fractions depend on it in their last digit.
        false_positive_rate: the share of good rows that may be flagged, for `recall_at_fpr_<rate>`.
        review_cost: what looking at one flagged row costs, in the unit of `amount`.
        floor: the least average precision that passes.

    Returns:
        A verdict with one check; its `days` tell rows, positives and card precision of the last 31 days.

    Raises:
        DataError: a column is missing or of no use.
        ParameterError: `k` is below 1 or the rate outside 0 to 1.
    """
    if k < 1 or not 0 <= false_positive_rate <= 1:
        raise ParameterError(f"k is at least 1 and a rate from 0 to 1: not k={k}, rate={false_positive_rate}.")
    estimator = model.load()
    chosen = model.features or [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if not chosen:
        raise ContractError(f"{model.uri} does not say on which columns it was trained: log it with an example.")
    beside = [label, time, *(name for name in (entity, amount) if name)]
    require_columns(test.schema, [*chosen, *beside, *order_by], test.uri)
    table = test.to_arrow(list(dict.fromkeys([*chosen, *beside])), order_by)

    target = _labels(table, label, test.uri)
    scores = _scores(estimator, table, chosen, model.uri)
    days = _days(table, time, test.uri)
    cards = _codes(table, entity) if entity else None
    money = _floats(table, amount) if amount else None
    metrics, by_day = _measure(target, scores, days, cards, money, k, false_positive_rate, review_cost)
    check = _judge(metrics, target, scores, days, floor)
    check["days"] = _daily(target, days, by_day)
    found = metrics.get("average_precision")
    current().log(f"average precision {'unknown' if found is None else f'{found:.3f}'}: {check['outcome']}")
    store = catalog.find("store", "mlflow")
    store.log_metrics(metrics, {"test_data": test.digest, "outcome": check["outcome"]}, model)
    return Verdict.of([check], metrics, model=model.digest, data=test.digest)


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
        encode_words = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False)
        encode_numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    parts = [("words", encode_words, list(words)), ("numbers", encode_numbers, list(numbers))]
    encode = ColumnTransformer([part for part in parts if part[2]], verbose_feature_names_out=False)
    return Pipeline([("encode", encode), ("model", estimator)])


# --- reading ------------------------------------------------------------------------------------------------------


def _frame(table: pyarrow.Table, columns: Sequence[str]) -> tuple[pandas.DataFrame, list[str]]:
    """Features as one float64 block, without a second copy, and text beside it; and the names of the text columns."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    words = [name for name in columns if _is_text(table.schema.field(name).type)]
    for name in columns:
        kind = table.schema.field(name).type
        if name not in words and not (pa.types.is_boolean(kind) or _is_number(kind)):
            raise DataError(f"The column {name!r} is {kind}: a feature is a number, a boolean or text.")
    numbers = [name for name in columns if name not in words]
    block = np.empty((len(table), len(numbers)), order="F")
    for index, name in enumerate(numbers):
        block[:, index] = _floats(table, name)
    frame = pd.DataFrame(block, columns=numbers, copy=False)
    for name in words:
        values = table[name].cast(pa.string()).to_numpy(zero_copy_only=False)
        frame[name] = np.where(values == None, np.nan, values)  # noqa: E711 -- elementwise
    return (frame[list(columns)] if words else frame), words


def _is_text(kind: pyarrow.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pyarrow.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _floats(table: pyarrow.Table, name: str) -> Any:
    """A column as float64, NaN where it is missing."""
    import pyarrow as pa

    column = table[name]
    if not (pa.types.is_boolean(column.type) or _is_number(column.type)):
        raise DataError(f"The column {name!r} is {column.type}, not a number.")
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False)


def _labels(table: pyarrow.Table, name: str, where: str) -> Any:
    import numpy as np

    values = _floats(table, name)
    if missing := int(np.isnan(values).sum()):
        raise DataError(f"{missing:,} of {len(values):,} rows of {where} have no {name}.")
    if strange := sorted({float(value) for value in np.unique(values)} - {0.0, 1.0}):
        raise DataError(f"The column {name!r} of {where} is 0 or 1; found {strange[:5]} too.")
    return values.astype(np.int8)


def _days(table: pyarrow.Table, name: str, where: str) -> Any:
    """Days since 1970 of a time column."""
    import pyarrow as pa

    column = table[name]
    if not pa.types.is_timestamp(column.type) and not pa.types.is_date(column.type):
        raise DataError(f"The column {name!r} of {where} is {column.type}, not a time.")
    if column.null_count:
        raise DataError(f"{column.null_count:,} of {len(column):,} rows of {where} have no {name}.")
    return column.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy()


def _codes(table: pyarrow.Table, name: str) -> Any:
    """A column as numbers from 0 on, in the order of its values; missing ones are -1."""
    import pandas as pd

    return pd.factorize(table[name].to_pandas(), sort=True)[0]


def _scores(estimator: Any, table: pyarrow.Table, columns: Sequence[str], who: str) -> Any:
    import numpy as np

    if not len(table):
        return np.empty(0)
    rows, _ = _frame(table, columns)
    if hasattr(estimator, "predict_proba"):
        scores = estimator.predict_proba(rows)[:, 1]
    elif hasattr(estimator, "decision_function"):
        scores = estimator.decision_function(rows)
    else:
        raise ContractError(f"{who} gives no scores: its estimator has neither predict_proba nor decision_function.")
    if strange := int((~np.isfinite(scores)).sum()):
        raise ContractError(f"{who} gives {strange:,} of {len(scores):,} rows a score that is no number.")
    return np.asarray(scores, dtype=np.float64)


# --- judging ------------------------------------------------------------------------------------------------------


def _measure(
    target: Any, scores: Any, days: Any, cards: Any, money: Any, k: int, rate: float, review_cost: float
) -> tuple[dict[str, float], dict[int, float]]:
    """The metrics that are defined on these rows, and card precision by day."""
    from . import measures

    ranking = measures.rank(target, scores)
    metrics: dict[str, float] = {
        "rows": len(target),
        "positives": ranking.positives,
        "base_rate": ranking.positives / len(target) if len(target) else math.nan,
        "average_precision": measures.average_precision(ranking),
        "roc_auc": measures.roc_auc(ranking),
        f"recall_at_fpr_{rate:g}": measures.recall_at_false_positive_rate(ranking, rate),
    }
    by_day: dict[int, float] = {}
    if cards is not None and ranking.positives:
        by_day = measures.card_precision_at_k(target, scores, days, cards, k)
        metrics[f"card_precision_at_{k}"] = math.fsum(by_day.values()) / len(by_day)
    if money is not None and ranking.positives:
        cost = measures.cheapest(ranking, target, money, review_cost)
        metrics |= {"cost": cost.cost, "cost_of_doing_nothing": cost.nothing, "alerts": cost.alerts}
        metrics["cost_saved_share"] = cost.saved_share
    return {name: value for name, value in metrics.items() if math.isfinite(value)}, by_day


def _judge(metrics: Mapping[str, float], target: Any, scores: Any, days: Any, floor: float | None) -> dict[str, Any]:
    from . import measures

    value = metrics.get("average_precision")
    bound = floor if floor is not None else metrics.get("base_rate")
    check: dict[str, Any] = {"name": "average_precision", "value": value, "bound": bound}
    if metrics["positives"] < FEWEST_POSITIVES or metrics["positives"] == metrics["rows"]:
        return {**check, "outcome": "not-enough-data"}
    if floor is not None:
        return {**check, "outcome": "pass" if value is not None and value >= floor else "fail"}
    lift = measures.lift_lower_bound(target, scores, _blocks(days))
    return {**check, "lift_lower_bound": lift, "outcome": "pass" if lift > 0 else "fail"}


def _blocks(days: Any) -> Any:
    """What a bootstrap draws whole: days, or where there are less than five, twentieths of the rows in their order."""
    import numpy as np

    return days if len(np.unique(days)) >= 5 else np.arange(len(days)) * 20 // len(days)


def _daily(target: Any, days: Any, by_day: Mapping[int, float]) -> list[dict[str, Any]]:
    """What each of the last days had."""
    import numpy as np

    found, index = np.unique(days, return_inverse=True)
    rows, positives = np.bincount(index), np.bincount(index, weights=target)
    listed = []
    for place in range(max(0, len(found) - MOST_DAYS), len(found)):
        day = int(found[place])
        one = {"day": str(np.datetime64(day, "D")), "rows": int(rows[place]), "positives": int(positives[place])}
        listed.append({**one, "card_precision": by_day[day]} if day in by_day else one)
    return listed

"""How the model is made: replace `fit` by your own training, or bring an estimator that is fitted already.

Import what is heavy inside the functions: schedulers read this file again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ostinato.errors import ParameterError, suggest
from ostinato.workspace import local_path

if TYPE_CHECKING:
    import pandas

# Types that a brought estimator may be made of, beside those that skops knows to be harmless: "my_package.MyModel".
TRUSTED: list[str] = []


def fit(rows: pandas.DataFrame, labels: pandas.Series[int], seed: int) -> Any:
    """Fit a classifier of 0 and 1.

    Args:
        rows: the features in the order of time: numbers and booleans as float64, text as objects; NaN where missing.
        labels: 0 or 1 for each row.
        seed: of all that is random: the same rows and the same seed should give the same model.

    Returns:
        What scores rows of the same columns by `predict_proba`, in the manner of scikit-learn. It is stored by skops,
        so its parts are classes and functions of importable modules.
    """
    import math

    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    filled = rows.columns[rows.notna().any()]  # from gaps alone there is nothing to learn
    words = list(rows[filled].select_dtypes(exclude="number"))
    numbers = [name for name in filled if name not in words]
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=math.nan,
        encoded_missing_value=math.nan,
        max_categories=250,  # gradient boosting has bins for 255 values
    )
    encode = make_column_transformer((codes, words), ("passthrough", numbers), verbose_feature_names_out=False)
    return make_pipeline(encode, HistGradientBoostingClassifier(max_iter=50, random_state=seed)).fit(rows, labels)


def bring(path: str, features: Sequence[str]) -> Any:
    """Read a fitted estimator from a `.skops` file, which runs no code when it is read, as a pickle does.

    Args:
        path: what `skops.io.dump(estimator, path)` wrote.
        features: the columns there are for it.

    Raises:
        ParameterError: there is no such file, it holds types that nobody vouched for, or it needs other columns.
    """
    import zipfile

    import skops.io

    file = local_path(path)
    if not file.is_file():
        raise ParameterError(f"There is no file {path}. Write one by skops.io.dump(estimator, path).")
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=file)) - set(TRUSTED))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ParameterError(
            f"{path} is no skops file. A pickle runs whatever is in it when it is read, so none is taken: "
            "where you trust it, load it and write it anew by skops.io.dump(estimator, path)."
        ) from error
    if unknown:
        raise ParameterError(
            f"{path} holds types that nobody vouched for: {', '.join(unknown)}. "
            f"Where you trust them, and know who wrote the file, add them to TRUSTED in {__file__}."
        )
    estimator = skops.io.load(file, trusted=TRUSTED)
    for name in getattr(estimator, "feature_names_in_", ()):
        if name not in features:
            raise ParameterError(
                f"The estimator in {path} was fitted on a column {name!r} that the table lacks. "
                f"{suggest(str(name), features)} Name it in columns.features, or make it in `prepare`."
            )
    return estimator

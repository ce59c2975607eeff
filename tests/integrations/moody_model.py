"""A model that does not stay as it was: what it answers depends on its mood, a variable of the environment."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Moody(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Its first feature, squeezed between 0 and 1, is the probability; unless it is in a mood."""

    def fit(self, rows: Any, target: Any) -> Moody:
        self.classes_ = np.unique(target)
        self.feature_names_in_ = np.array(rows.columns, dtype=object)
        return self

    def predict_proba(self, rows: Any) -> Any:
        chance = 1 / (1 + np.exp(-np.asarray(rows.iloc[:, 0], dtype=float)))
        mood = os.environ.get("MOOD", "")
        if mood == "raises":
            raise ZeroDivisionError("division by a bad mood")
        if mood == "gone":
            raise ConnectionError("the feature store is away")
        if mood == "differs":
            chance = chance + 1e-7
        elif mood == "nearly the same":
            chance = chance + 1e-12
        elif mood == "nan":
            chance = chance * np.nan
        elif mood == "alone" and len(rows) == 1:
            chance = chance / 2
        elif mood == "short":
            chance = chance[1:]
        elif mood == "one column":
            return chance
        elif mood == "no probability":
            return np.column_stack([chance + 1, chance])
        return np.column_stack([1 - chance, chance])

    def predict(self, rows: Any) -> Any:
        return self.classes_[(self.predict_proba(rows)[:, 1] > 0.5).astype(int)]

    def __setstate__(self, state: Any) -> None:
        if os.environ.get("MOOD") == "does not load":
            raise ZeroDivisionError("not today")
        super().__setstate__(state)

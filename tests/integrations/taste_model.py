"""A recommender as small as one can be: a product of two matrices. Its mood, as that of `Moody`, spoils its answers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

MOODS: dict[str, Any] = {
    "another order": lambda items, scores: (items[::-1], scores),
    "other ids": lambda items, scores: ([f"{item}?" for item in items], scores),
    "one fewer": lambda items, scores: (items[:-1], scores[:-1]),
    "other scores": lambda items, scores: (items, [score + 0.01 for score in scores]),
    "nearly the same": lambda items, scores: (items, [score * (1 + 3e-6) for score in scores]),
    "no number": lambda items, scores: (items, [float("nan")] * len(scores)),
}


class Taste:
    """Takes users, and of strangers what they took lately; returns for each the items they would like best."""

    tolerance: Any = 1e-5
    requirements = ("threadpoolctl",)

    def __init__(self, k: int = 3) -> None:
        self.k = k

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"k": self.k}

    def fit(self, users: Any, items: Any, seed: int = 0, width: int = 4) -> Taste:
        random = np.random.default_rng(seed)
        self.users, self.items = np.array(users), np.array(items)
        self.tastes = random.normal(size=(len(users), width)).astype(np.float32)
        self.traits = random.normal(size=(len(items), width)).astype(np.float32)
        self.taken = csr_matrix(random.random((len(users), len(items))) < 0.2, dtype=np.float32)
        self.order = np.argsort(self.traits[:, 0]).astype(np.int32)
        self.spelling = np.frombuffer("".join(map(str, items)).encode(), np.uint8)
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        scores = self._tastes_of(rows) @ self.traits.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.k]
        found = [(self.items[each].tolist(), scores[row, each].tolist()) for row, each in enumerate(best)]
        spoil = MOODS.get(os.environ.get("MOOD", ""), lambda *answer: answer)
        table = pd.DataFrame([spoil(*each) for each in found], columns=["items", "scores"])
        if os.environ.get("MOOD") == "another column":
            return table.rename(columns={"items": "articles"})
        return table.head(1) if os.environ.get("MOOD") == "short" else table

    def _tastes_of(self, rows: pd.DataFrame) -> Any:
        places = {user: place for place, user in enumerate(self.users.tolist())}
        known = {item: place for place, item in enumerate(self.items.tolist())}
        tastes = np.zeros((len(rows), self.tastes.shape[1]), np.float32)
        lately = rows["recent"] if "recent" in rows else [None] * len(rows)
        for row, (user, items) in enumerate(zip(rows["user"], lately, strict=True)):
            took = [known[item] for item in items if item in known] if isinstance(items, list) else []
            if user in places:
                tastes[row] = self.tastes[places[user]]
            elif took:
                tastes[row] = self.traits[took].mean(axis=0)
        return tastes


def taste(ids: str = "words", seed: int = 0, **options: Any) -> Taste:
    """A recommender of forty users and twelve items, known by words or by whole numbers."""
    users = range(40) if ids == "numbers" else [f"u{number}" for number in range(40)]
    items = range(100, 112) if ids == "numbers" else [f"i{number}" for number in range(12)]
    return Taste(**options).fit(list(users), list(items), seed)


def asking(model: Taste, count: int = 50) -> pd.DataFrame:
    """Whom it may be asked for: those it knows, then strangers, of whom some took something and some nothing."""
    users, items = model.users.tolist(), model.items.tolist()
    strangers = [9_000 + number if isinstance(users[0], int) else f"x{number}" for number in range(count - len(users))]
    recent = [[items[number % len(items)], items[0]] if number % 2 else None for number in range(len(strangers))]
    lately = pd.Series([None] * len(users) + recent, dtype=object)
    return pd.DataFrame({"user": users + strangers, "recent": lately})

"""The search for the best options of a recommender."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from ostinato.errors import ParameterError
from ostinato.recommenders import ranking, search
from ostinato.recommenders.histories import matrix
from ostinato.recommenders.recommender import KINDS, Recommender
from recommenders.tastes import numbered, taken_by

pytest.importorskip("implicit")
pytest.importorskip("optuna")

USERS, ITEMS = 150, 60


def held_back(seed: int = 5) -> tuple[Any, Any]:
    """What users took, and what they took afterwards; a tenth of them took nothing afterwards."""
    every = taken_by(USERS, ITEMS, seed=seed).tocoo()
    random = np.random.default_rng(seed)
    late = (random.random(every.nnz) < 0.3) & (every.row % 10 > 0)
    taken = matrix(every.row[~late], every.col[~late], USERS, ITEMS)
    return taken, matrix(every.row[late], every.col[late], USERS, ITEMS)


def found_by(kind: str, **changed: Any) -> tuple[search.Found, list[tuple[int, float]]]:
    """What a search finds, and what it told meanwhile."""
    told: list[tuple[int, float]] = []
    given = {"k": 5, "trials": 3, "told": lambda trial, score: told.append((trial, score)), **changed}
    found = search.best_options(kind, numbered(USERS), numbered(ITEMS), *held_back(), **given)
    return found, told


def score_of(kind: str, options: dict[str, Any], k: int = 5, seed: int = 7, exclude_seen: bool = True) -> float:
    """The mean nDCG of the users who took something later, computed from scratch."""
    taken, later = held_back()
    model = Recommender.fit(kind, options, numbered(USERS), numbered(ITEMS), taken, seed)
    top = model.top(taken, k, users=np.arange(USERS), exclude_seen=exclude_seen)
    there = np.diff(later.indptr) > 0
    values = ranking.ndcg(ranking.hits(top.items, later)[there], np.diff(later.indptr)[there])
    return float(values.mean())


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_reports_the_mean_ndcg_its_options_reach(kind: str) -> None:
    """Over those who took something later."""
    found, told = found_by(kind, trials=2)
    assert found.score == pytest.approx(score_of(kind, found.options))
    assert found.score == max(score for _, score in told)


@pytest.mark.parametrize("kind", KINDS)
def test_the_usual_options_come_first(kind: str) -> None:
    """With one trial they are the result."""
    found, told = found_by(kind, trials=1)
    assert found.options == search.DEFAULTS[kind]
    assert found.trials == 1
    assert told == [(1, pytest.approx(score_of(kind, search.DEFAULTS[kind])))]


@pytest.mark.parametrize("kind", ["ease", "item_knn", "als"])
def test_further_options_are_tried_and_the_best_of_all_is_found(kind: str) -> None:
    """Each trial is told of with its number, from 1 on."""
    found, told = found_by(kind, trials=4)
    assert [trial for trial, _ in told] == [1, 2, 3, 4]
    assert len({score for _, score in told}) > 1
    assert (found.trials, found.score) == (4, max(score for _, score in told))
    assert set(found.options) == set(search.DEFAULTS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_finds_the_same(kind: str) -> None:
    """Trial by trial."""
    assert found_by(kind, seed=11) == found_by(kind, seed=11)


def test_another_seed_tries_other_options() -> None:
    """After the usual ones."""
    _, first = found_by("ease", seed=11)
    _, other = found_by("ease", seed=12)
    assert first[0] == other[0]
    assert first[1:] != other[1:]


def test_options_that_are_fixed_are_kept_and_the_others_are_chosen() -> None:
    """Of als only the factors, say, or how often it goes round."""
    found, told = found_by("als", fixed={"factors": 8, "iterations": 2}, trials=3)
    assert (found.options["factors"], found.options["iterations"]) == (8, 2)
    assert told[0][1] == pytest.approx(score_of("als", {**search.DEFAULTS["als"], "factors": 8, "iterations": 2}))
    assert len({score for _, score in told}) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_left_to_choose_there_is_one_trial(kind: str) -> None:
    """However many are allowed."""
    fixed = {name: value for name, value in search.DEFAULTS[kind].items() if name != "iterations"}
    found, told = found_by(kind, fixed=fixed, trials=5)
    assert found.options == search.DEFAULTS[kind]
    assert (found.trials, len(told)) == (1, 1)


@pytest.mark.parametrize("budget", [0, 1e-9])
def test_the_usual_options_are_tried_however_small_the_budget(budget: float) -> None:
    """A search without a result is of no use."""
    found, told = found_by("ease", budget=budget, trials=50)
    assert found.options == search.DEFAULTS["ease"]
    assert (found.trials, len(told)) == (1, 1)


def test_a_budget_ends_a_search() -> None:
    """The trial that is running when it is spent is the last."""
    told = []

    def slowly(trial: int, score: float) -> None:
        told.append(score)
        time.sleep(0.25)

    found, _ = found_by("ease", budget=0.6, trials=50, told=slowly)
    assert found.trials == len(told) <= 3
    assert found.score == max(told)
    assert found_by("ease", budget=600, trials=4)[0].trials == 4


@pytest.mark.parametrize("kind", KINDS)
def test_options_that_were_found_are_plain_json(kind: str) -> None:
    """As a report and a model's record keep them."""
    options = found_by(kind, trials=4)[0].options
    assert json.loads(json.dumps(options)) == options
    assert all(type(value) in {int, float, str} for value in options.values())
    search.check(kind, options)


@pytest.mark.parametrize("kind", ["ease", "item_knn", "als"])
def test_options_as_drawn_are_within_what_is_usual_and_of_three_digits(kind: str) -> None:
    """All that the recommender has, each of them one that it may have."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [search.suggested(kind, study.ask()) for _ in range(50)]
    for options in drawn:
        assert set(options) == set(search.DEFAULTS[kind])
        assert all(value == float(f"{value:.3g}") for value in options.values() if isinstance(value, float))
        search.check(kind, options)
    assert len({json.dumps(options) for options in drawn}) > 40


def test_what_users_have_is_no_hit_where_it_is_not_offered_again() -> None:
    """And may be one where it is."""
    assert found_by("popularity", exclude_seen=False)[0].score == pytest.approx(
        score_of("popularity", {}, exclude_seen=False)
    )
    assert found_by("popularity", exclude_seen=False)[0].score != found_by("popularity")[0].score


def test_a_search_scores_0_where_nobody_took_anything_later() -> None:
    """Instead of not a number."""
    taken, _ = held_back()
    nothing = matrix(np.empty(0, int), np.empty(0, int), USERS, ITEMS)
    found = search.best_options("ease", numbered(USERS), numbered(ITEMS), taken, nothing, k=5, trials=2)
    assert (found.score, found.trials) == (0.0, 2)


FRESH = """
import sys
from recommenders.test_search import found_by
found_by(sys.argv[1])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_says_and_warns_nothing(kind: str) -> None:
    """Neither do the libraries beneath it, in a process of its own."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", FRESH, kind], env=env, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("eaze", {}, r"Unknown candidate 'eaze'\. Did you mean 'ease'\?"),
        ("als", {"factor": 3}, r"als has no option 'factor'\. Did you mean 'factors'\?"),
        ("popularity", {"factors": 3}, r"popularity has no option 'factors'\."),
        ("item_knn", {"weighting": "bm52"}, r"Unknown weighting 'bm52' of item_knn\. Did you mean 'bm25'\?"),
        ("item_knn", {"weighting": None}, r"Unknown weighting None of item_knn\."),
        ("item_knn", {"neighbours": 0}, r"item_knn's neighbours is a whole number above 0, such as 100: not 0\."),
        ("als", {"factors": 32.5}, r"als's factors is a whole number above 0, such as 64: not 32\.5\."),
        ("als", {"iterations": True}, r"als's iterations is a whole number above 0, such as 15: not True\."),
        ("als", {"alpha": float("nan")}, r"als's alpha is a number above 0, such as 10\.0: not nan\."),
        ("ease", {"regularization": "400"}, r"ease's regularization is a number above 0, such as 400\.0: not '400'\."),
        ("ease", {"regularization": -1}, r"ease's regularization is a number above 0, such as 400\.0: not -1\."),
        ("ease", {"regularization": float("inf")}, r"not inf\."),
    ],
)
def test_what_there_is_not_is_refused_and_the_nearest_named(kind: str, options: dict[str, Any], says: str) -> None:
    """Before anything is fitted."""
    with pytest.raises(ParameterError, match=says):
        search.check(kind, options)


@pytest.mark.parametrize("kind", KINDS)
def test_what_there_is_is_let_through(kind: str) -> None:
    """Nothing at all, the usual options, and whole numbers for others."""
    search.check(kind, {})
    search.check(kind, search.DEFAULTS[kind])
    search.check("ease", {"regularization": 300})

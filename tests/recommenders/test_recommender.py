"""A fitted recommender: ids in, ids out."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from ostinato.errors import DataError
from ostinato.recommenders.histories import of_rows
from ostinato.recommenders.popularity import order_of
from ostinato.recommenders.recommender import KINDS, Recommender, one_thread
from recommenders.tastes import few_histories, kept, lists_of, named, numbered, taken_by

pytest.importorskip("implicit")

OPTIONS: dict[str, dict[str, Any]] = {
    "ease": {"regularization": 5.0},
    "als": {"factors": 12, "regularization": 0.05, "alpha": 8.0, "iterations": 6},
    "item_knn": {"neighbours": 20, "weighting": "cosine"},
    "popularity": {},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def fitted(kind: str, found: Any = None, *, text: bool = False, seed: int = 3) -> Recommender:
    """A recommender for users 1000, 1001, … and items 500, 501, …, or u00000, … and i00000, …."""
    taken = taken_by() if found is None else found
    users, items = taken.shape
    ids = (named(users, "u"), named(items, "i")) if text else (numbered(users, 1000), numbered(items, 500))
    return Recommender.fit(kind, OPTIONS[kind], *ids, taken, seed)


def alone(model: Recommender, user: Any, recent: Any = None) -> tuple[list[Any], list[float]]:
    """What one user is recommended."""
    answer = model.predict(pd.DataFrame({"user": [user], "recent": [recent]}))
    return answer["items"][0], answer["scores"][0]


def most_popular(model: Recommender, skip: set[Any], k: int = 10) -> list[Any]:
    """The most popular items but some."""
    return [item for item in model.items.at(order_of(model.taken)).to_pylist() if item not in skip][:k]


@kinds
@pytest.mark.parametrize("text", [False, True])
def test_known_users_get_ten_items_they_have_not_taken(kind: str, text: bool) -> None:
    """Ids of the type they were learnt as, and scores, best first."""
    model = fitted(kind, text=text)
    users = model.users.values.to_pylist()
    answer = model.predict(pd.DataFrame({"user": users}))
    assert list(answer) == ["items", "scores"]
    assert len(answer) == len(users)
    for items, scores, places in zip(answer["items"], answer["scores"], lists_of(model.taken), strict=True):
        own = model.items.at(np.array(places, np.int32)).to_pylist()
        assert len(items) == len(set(items)) == len(scores) == 10
        assert not set(items) & set(own)
        assert {type(item) for item in items} == {str if text else int}
        assert {type(score) for score in scores} == {float}
    assert answer["scores"].map(lambda scores: scores == sorted(scores, reverse=True)).mean() > 0.9


@kinds
def test_users_are_known_as_text_or_numbers_or_whole_floats(kind: str) -> None:
    """As JSON, CSV and pandas give them."""
    model = fitted(kind)
    expected = alone(model, 1007)
    assert alone(model, "1007") == alone(model, 1007.0) == alone(model, np.int64(1007)) == expected
    assert alone(model, "01007") == alone(model, "nobody") != expected


@kinds
def test_a_stranger_with_recent_items_gets_what_the_user_with_these_items_gets(kind: str) -> None:
    """But for als, which learnt the user's factors with everybody else's and solves for the stranger's in one step."""
    model = fitted(kind)
    for user in range(40):
        own = model.items.at(np.array(lists_of(model.taken)[user], np.int32)).to_pylist()
        items, scores = alone(model, "a stranger", own)
        known, known_scores = alone(model, 1000 + user)
        assert not set(items) & set(own)
        if kind == "als":
            assert len(set(items) & set(known)) >= 5
        else:
            assert items == known
            assert scores == pytest.approx(known_scores)


def test_als_solves_for_a_known_user_who_has_taken_more_since() -> None:
    """What was learnt of the user then is not what the user is now."""
    model = fitted("als")
    taken = lists_of(model.taken)[7]
    more = [place for place in range(120) if place not in taken][:4]
    items, scores = alone(model, 1007, model.items.at(np.array(more, np.int32)).to_pylist())
    stranger = alone(model, "x", model.items.at(np.array(taken + more, np.int32)).to_pylist())
    assert (items, scores) == stranger
    assert scores != alone(model, 1007)[1]


@kinds
def test_recent_items_that_were_taken_already_change_nothing(kind: str) -> None:
    """Nor do unknown ones, nor any said twice."""
    model = fitted(kind)
    own = model.items.at(np.array(lists_of(model.taken)[7], np.int32)).to_pylist()
    assert alone(model, 1007, [own[0], own[0], 99, "500x", None, -1]) == alone(model, 1007)


@kinds
def test_recent_items_of_a_known_user_do_not_come_again(kind: str) -> None:
    """The best of the list goes, and the others are still there or better."""
    model = fitted(kind)
    first = alone(model, 1007)[0]
    after = alone(model, 1007, first[:3])[0]
    assert not set(first[:3]) & set(after)
    assert len(after) == 10


@kinds
@pytest.mark.parametrize("recent", [None, [], np.nan, pd.NA, ["unknown", None], np.array([], int), ()])
def test_a_stranger_without_known_items_gets_the_most_popular(kind: str, recent: Any) -> None:
    """Scored 0, for nothing is known; but popularity, which never knows more, scores as ever."""
    model = fitted(kind)
    items, scores = alone(model, None, recent)
    assert items == most_popular(model, set())
    if kind == "popularity":
        assert scores[0] > 0.1
    else:
        assert scores == [0.0] * 10


@kinds
def test_a_list_may_come_as_any_sequence_of_ids(kind: str) -> None:
    """As pandas, Arrow and JSON give them."""
    model = fitted(kind)
    expected = alone(model, "x", [500, 520])
    for recent in ((500, 520), np.array([500, 520]), ["500", "520"], [500.0, "520"], pd.Series([520, 500]), {500, 520}):
        assert alone(model, "x", recent) == expected


@pytest.mark.parametrize("recent", ["500", b"500", 500, 5.5, {"500": 1}, True])
def test_what_is_no_list_is_refused(recent: Any) -> None:
    """And not read letter by letter."""
    with pytest.raises(DataError, match=r"wants lists of items' ids in 'recent', not .*\. Write: \["):
        alone(fitted("popularity"), 1007, recent)


def test_a_frame_without_users_is_refused() -> None:
    """With what there is instead."""
    with pytest.raises(DataError, match=r"wants a column 'user'; there are 'customer', 'recent'\."):
        fitted("popularity").predict(pd.DataFrame({"customer": [1], "recent": [None]}))


@kinds
def test_an_empty_frame_has_an_empty_answer(kind: str) -> None:
    """With the columns of any other."""
    answer = fitted(kind).predict(pd.DataFrame({"user": []}))
    assert (list(answer), len(answer)) == (["items", "scores"], 0)


@kinds
def test_a_tiny_catalogue_gives_short_lists(kind: str) -> None:
    """All there is that was not taken, and nothing where all was."""
    found = of_rows([np.array(each) for each in ([0, 1], [1, 2], [0, 1, 2, 3], [3])], 4)
    model = fitted(kind, found)
    answer = model.predict(pd.DataFrame({"user": [1000, 1001, 1002, 1003, "x"]}))
    assert [sorted(items) for items in answer["items"]] == [
        [502, 503],
        [500, 503],
        [],
        [500, 501, 502],
        [500, 501, 502, 503],
    ]
    assert [len(scores) for scores in answer["scores"]] == [2, 2, 0, 3, 4]


@kinds
def test_an_answer_does_not_hang_on_who_else_is_asked(kind: str) -> None:
    """To the last digit, in whatever company and order; a 19-digit stranger among them."""
    model = fitted(kind)
    users = [1003, "1250", "x", None, 1299.0, 2**63 - 1, 2**70, "", 1003]
    recent = [None, [501], [502, "x"], [], None, [2**63 - 1, 510], [511], ["\ud800"], [503]]
    frame = pd.DataFrame({"user": users, "recent": recent}, dtype=object)
    together = model.predict(frame)
    backwards = model.predict(frame[::-1])[::-1].reset_index(drop=True)
    for row, (user, since) in enumerate(zip(users, recent, strict=True)):
        items, scores = alone(model, user, since)
        assert (together["items"][row], together["scores"][row]) == (items, scores)
        assert (backwards["items"][row], backwards["scores"][row]) == (items, scores)


@kinds
def test_a_batch_gives_what_each_user_is_given_alone(kind: str) -> None:
    """Within the tolerance of a score, and the same items but where two scores are that close."""
    found = taken_by(1500, 150)
    model = fitted(kind, found)
    top = model.top(found, 10, users=np.arange(1500))
    answer = model.predict(pd.DataFrame({"user": range(1000, 2500)}))
    for row in range(1500):
        items = np.array(answer["items"][row]) - 500
        assert np.allclose(top.scores[row], answer["scores"][row], atol=model.tolerance)
        for place in np.flatnonzero(top.items[row] != items):
            assert np.abs(np.delete(top.scores[row], place) - top.scores[row][place]).min() < model.tolerance


@kinds
@settings(max_examples=25)
@given(found=few_histories(), k=st.integers(1, 15), known=st.booleans())
def test_a_list_has_all_there_is_and_nothing_that_was_taken(kind: str, found: Any, k: int, known: bool) -> None:
    """As many different items as there are places and items left, whatever the histories."""
    model = fitted(kind, found)
    top = model.top(found, k, users=np.arange(found.shape[0]) if known else None)
    for items, scores, taken in zip(top.items, top.scores, lists_of(found), strict=True):
        shown = kept([items])[0]
        assert len(shown) == len(set(shown)) == min(k, found.shape[1] - len(taken))
        assert not set(shown) & set(taken)
        assert (scores[len(shown) :] == 0).all()
        assert np.isfinite(scores).all()


@kinds
def test_what_was_taken_may_come_again_where_that_is_wanted(kind: str) -> None:
    """It is what a user likes, after all."""
    found = taken_by()
    model = fitted(kind, found)
    again = model.top(found, 10, users=np.arange(300), exclude_seen=False)
    new = model.top(found, 10, users=np.arange(300))
    seen = [len(set(row) & set(taken)) for row, taken in zip(kept(again.items), lists_of(found), strict=True)]
    assert np.mean(seen) > 1
    assert (again.scores[:, 0] >= new.scores[:, 0]).all()
    assert all(len(set(row)) == 10 for row in kept(again.items))


@kinds
def test_who_is_scored_fewer_items_than_wanted_gets_the_most_popular_after_them(kind: str) -> None:
    """Without what is in the list already, and scored 0."""
    found = of_rows([np.array(each) for each in ([0, 1], [1, 2], [3, 4], [3, 4], [3, 5], [3], [5])], 6)
    model = fitted(kind, found)
    top = model.top(found[:1], 4, users=np.array([0]))
    if kind == "item_knn":
        assert top.items.tolist() == [[2, 3, 4, 5]]
        assert top.scores[0, 0] > 0
        assert top.scores[0, 1:].tolist() == [0, 0, 0]
    assert sorted(top.items[0]) == [2, 3, 4, 5]


def test_what_was_learnt_of_a_user_serves_only_who_has_that_very_history() -> None:
    """A user's place with another history is a stranger's."""
    found = taken_by()
    model = fitted("als", found)
    other = found[np.roll(np.arange(300), 1)]
    there = model.top(other, 5, users=np.arange(300))
    strangers = model.top(other, 5)
    assert (there.items == strangers.items).all()
    assert (there.scores == strangers.scores).all()
    assert not np.allclose(model.top(found, 5, users=np.arange(300)).scores, model.top(found, 5).scores, atol=1e-5)


def test_asking_changes_nothing_that_was_given() -> None:
    """Neither the users' places nor the histories."""
    found, users = taken_by(), np.arange(300)
    model = fitted("als", found)
    before = found.copy()
    model.top(found[::-1], 5, users=users)
    assert (users == np.arange(300)).all()
    assert (found != before).nnz == 0


@kinds
def test_no_rows_in_no_rows_out(kind: str) -> None:
    """Of k columns."""
    top = fitted(kind).top(csr_matrix((0, 120), dtype=np.float32), 7, users=np.empty(0, np.int32))
    assert top.items.shape == top.scores.shape == (0, 7)


def test_the_histories_of_users_are_those_learnt_from() -> None:
    """At -1 there is nothing."""
    model = fitted("popularity")
    found = model.histories_of(np.array([7, -1, 299, 7]))
    own = lists_of(model.taken)
    assert lists_of(found) == [own[7], [], own[299], own[7]]
    assert model.histories_of(np.empty(0, np.int32)).shape == (0, 120)


@kinds
def test_a_recommender_says_how_it_was_fitted(kind: str) -> None:
    """As estimators do."""
    assert fitted(kind).get_params() == {"kind": kind, **OPTIONS[kind]}


@kinds
@pytest.mark.parametrize("text", [False, True])
def test_a_recommender_kept_by_skops_answers_as_before(kind: str, text: bool) -> None:
    """Trusting this one class, and no other."""
    from skops import io

    model = fitted(kind, text=text)
    data = io.dumps(model)
    name = "ostinato.recommenders.recommender.Recommender"
    assert io.get_untrusted_types(data=data) == [name]
    again = io.loads(data, trusted=[name])
    users = [*model.users.values.to_pylist()[::30], "x", None]
    recent = [None] * (len(users) - 2) + [model.items.values.to_pylist()[:3], []]
    frame = pd.DataFrame({"user": users, "recent": recent}, dtype=object)
    pd.testing.assert_frame_equal(again.predict(frame), model.predict(frame))
    assert again.get_params() == model.get_params()
    assert again.taken.shape == model.taken.shape
    assert (again.taken != model.taken).nnz == 0


@kinds
def test_a_recommender_pickles_and_copies(kind: str) -> None:
    """Once it has answered, too."""
    model = fitted(kind)
    before = alone(model, 1007)
    assert alone(pickle.loads(pickle.dumps(model)), 1007) == before


@kinds
def test_the_same_seed_learns_the_same(kind: str) -> None:
    """To the last digit."""
    frame = pd.DataFrame({"user": range(1000, 1030)})
    pd.testing.assert_frame_equal(fitted(kind).predict(frame), fitted(kind).predict(frame))


FRESH = """
import json, sys
import pandas as pd
from ostinato.recommenders.recommender import Recommender
from recommenders.tastes import numbered, taken_by
taken = taken_by(1500, 900, most=60)
model = Recommender.fit(sys.argv[1], json.loads(sys.argv[2]), numbered(1500), numbered(900), taken, 3)
answer = model.predict(pd.DataFrame({"user": range(60), "recent": [None, [500, 501]] * 30}))
print(json.dumps(answer.to_dict("list")))
"""


@kinds
@pytest.mark.slow
def test_the_answers_are_the_same_however_many_threads_there_are(kind: str) -> None:
    """To the last digit, and nothing is warned of in a process that has loaded nothing yet."""
    answers = []
    for threads in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-W", "error", "-c", FRESH, kind, json.dumps(OPTIONS[kind])],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (found.returncode, found.stderr) == (0, "")
        answers.append(json.loads(found.stdout))
    assert answers[0] == answers[1]


SERVING = """
import sys
import pandas as pd
from skops import io
model = io.load(sys.argv[1], trusted=["ostinato.recommenders.recommender.Recommender"])
print(model.predict(pd.DataFrame({"user": ["x"], "recent": [[500, 501]]})).to_json())
"""


@kinds
@pytest.mark.slow
def test_a_recommender_in_a_process_of_its_own_answers_as_here_and_warns_of_nothing(kind: str, tmp_path: Path) -> None:
    """So it is served."""
    from skops import io

    model = fitted(kind)
    io.dump(model, tmp_path / "model.skops")
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", SERVING, str(tmp_path / "model.skops")],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.strip() == model.predict(pd.DataFrame({"user": ["x"], "recent": [[500, 501]]})).to_json()


def test_linear_algebra_has_one_thread_only_as_long_as_it_is_asked_to() -> None:
    """Every one that is loaded: numpy's and SciPy's."""
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads() -> list[int]:
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    with threadpool_limits(2, "blas"):
        with one_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {2}

"""Retrain the recommender on what users took lately; release it only when it is good enough."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from ostinato.graph import pipeline
from ostinato.steps.approval import approve
from ostinato.steps.data import TimeUnit, day_after_last_event, load
from ostinato.steps.deployment import deploy
from ostinato.steps.interaction_tables import InteractionColumns, Split, interactions, split_interactions
from ostinato.steps.recommender_judgement import judge_recommender
from ostinato.steps.recommenders import CANDIDATES, search_recommender, train_recommender
from ostinato.steps.recommending import recommend
from ostinato.steps.release import promote, register
from ostinato.steps.validation import validate
from ostinato.suites.usual import INTERACTIONS
from ostinato.tracing import each, when

AtLeastOne = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]


def day_after_last_interaction(source: str, columns: InteractionColumns, query: str | None, time_unit: TimeUnit) -> str:
    """What a run by hand stands for when nobody says."""
    return day_after_last_event(source, time=columns.time, query=query, time_unit=time_unit)


@pipeline(tags=("recommendation", "implicit feedback"), default_as_of=day_after_last_interaction)
def recommendation_retraining(
    source: str,
    query: str | None = None,
    columns: InteractionColumns = InteractionColumns(),  # noqa: B008  (frozen)
    time_unit: TimeUnit = "auto",
    positive_from: float | None = None,
    suite: str | None = None,
    max_quarantine: Share | None = None,
    most_a_day: AtLeastOne = 1000,
    split: Split = "temporal",
    test_days: AtLeastOne = 7,
    train_days: AtLeastOne | None = None,
    test_share: Annotated[float, Gt(0), Lt(1)] = 0.25,
    candidates: list[str] = list(CANDIDATES),  # noqa: B006  (only traced)
    options: dict[str, dict[str, Any]] = {},  # noqa: B006  (only traced)
    trials: AtLeastOne = 6,
    budget: Annotated[float, Gt(0)] | None = None,
    ease_items: AtLeastOne = 10_000,
    k: AtLeastOne = 10,
    exclude_seen: bool = True,
    floor: float | None = None,
    floors: dict[str, float] = {},  # noqa: B006  (only traced)
    compare: Literal["noninferior", "superior", "none"] = "noninferior",
    margin: Share = 0.01,
    approval: bool = False,
    approval_timeout: str = "24h",
    target: str | None = "bundle",
    output: str | None = None,
    model: str = "recommendation_retraining",
    seed: int = 7,
) -> None:
    """Retrain the recommender on what users took lately; release it only when it is good enough.

    Args:
        source: the table of interactions: a file, folder, glob, database or URL (see `load`).
        query: SQL, where the source is a database with more than one table.
        columns: what the columns are called; no other column is read. `weight` (a rating, a count, a share watched) is
            needed only for `positive_from`.
        time_unit: of times given as epochs.
        positive_from: the weight from which an interaction counts; all count by default.
        suite: the rules the table must meet, a YAML file (see `ostinato suite draft`); by default the usual ones:
            nothing missing, times not in the future, nothing twice, no robots, weights from 0, fresh, as long as
            before.
        max_quarantine: the largest share of rows that may be set aside for breaking them, 0 to 1; the suite's own, or
            0.05, by default.
        most_a_day: by the usual rules a user with more interactions on any day is a robot, and set aside.
        split: "temporal" judges on the last `test_days`, as in production; "random" on a share of each user's items.
        test_days: how many days to judge on.
        train_days: how many days to train on; all there are by default.
        test_share: the share of a random test.
        candidates: what is tried: "ease", "als", "item_knn", "popularity".
        options: by candidate, options that are not to be searched, e.g. {"als": {"factors": 128}}.
        trials: how many sets of options are tried of each candidate.
        budget: seconds of search for each candidate; its end, unlike the number of trials, is not the same each time.
        ease_items: the most items for "ease", which inverts a matrix of items by items (10,000 take 2 GB at the peak).
        k: how many items are recommended, and judged.
        exclude_seen: whether what a user took already is not recommended again.
        floor: the least nDCG@k; by default it must be better than recommending what is most popular.
        floors: of other metrics by name, e.g. `-p floors.coverage=0.1`.
        compare: with the champion, for the same users: "noninferior" (not worse by `margin`), "superior", or "none".
        margin: how much nDCG@k may be lost to the champion.
        approval: whether a person must agree before it is promoted.
        approval_timeout: how long that person has; no answer means no.
        target: where the champion is deployed: "bundle" (a folder in the workspace that `mlflow models serve` runs), a
            target of `mlflow.deployments`, or none.
        output: the folder or URL for every user's recommendations; in the workspace by default.
        model: the name it is registered under.
        seed: of all that is random.
    """
    table = load(
        source,
        query=query,
        columns=[columns.user, columns.item, columns.weight],
        suite=suite,
        time=columns.time,
        time_unit=time_unit,
        broken_times="keep",
    )
    checked = validate(
        table,
        suite=suite,
        default=INTERACTIONS,
        names={
            "user": columns.user,
            "item": columns.item,
            "time": columns.time,
            "weight": columns.weight,
            "most_a_day": most_a_day,
        },
        subject=source,
        max_quarantine=max_quarantine,
    )
    taken = interactions(checked, columns=columns, positive_from=positive_from)
    train_set, test_set = split_interactions(
        taken, split=split, test_days=test_days, train_days=train_days, test_share=test_share, seed=seed
    )
    found = each(
        search_recommender,
        over=candidates,
        data=train_set,
        split=split,
        validation_days=test_days,
        k=k,
        trials=trials,
        budget=budget,
        options=options,
        ease_items=ease_items,
        exclude_seen=exclude_seen,
        seed=seed,
    )
    candidate = train_recommender(found, train_set, split=split, test_share=test_share, seed=seed)
    verdict = judge_recommender(
        candidate,
        train_set,
        test_set,
        name=model,
        k=k,
        floor=floor,
        floors=floors,
        compare=compare,
        margin=margin,
        exclude_seen=exclude_seen,
        seed=seed,
    )
    with when(verdict.passed):
        version = register(candidate, verdict, name=model, validated=checked)
        answer = approve(verdict, required=approval, timeout=approval_timeout)
        with when(answer.granted):
            promotion = promote(version, verdict, answer)
            with when(promotion.promoted):
                deploy(version, promotion, target=target)
                recommend(version, taken, k=k, exclude_seen=exclude_seen, output=output)

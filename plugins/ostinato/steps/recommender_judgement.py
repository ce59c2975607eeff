"""Judge a recommender on what users took later, beside the most popular items and beside the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ostinato import catalog
from ostinato.artifacts import Model, Verdict
from ostinato.context import current
from ostinato.errors import ContractError, ParameterError
from ostinato.graph import step
from ostinato.ledger import Champion
from ostinato.recommenders.ids import Ids
from ostinato.tables import Dataset

from . import judging, latency, ranked, rivals
from .judging import Compare, Measure, Measured, Part, Rules
from .ranked import Judged, Offered
from .rivals import Rival

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ostinato.recommenders.recommender import Recommender

LEVEL = 0.05  # how often chance may pass for skill; in all slices together, for harm
FEWEST_USERS = 30
MOST_SHOWN = 5
_OWN = ("coverage", "novelty")


@step(retries=2)
def judge_recommender(
    model: Model,
    train: Dataset,
    test: Dataset,
    *,
    name: str | None = None,
    k: int = 10,
    floor: float | None = None,
    floors: Mapping[str, float] = {},
    compare: Compare = "noninferior",
    margin: float = 0.01,
    slice_users: int = 200,
    slice_margin: float = 0.02,
    exclude_seen: bool = True,
    most_users: int = 20_000,
    max_latency_ms: float | None = 1000.0,
    max_size_mb: float | None = 1000.0,
    seed: int = 7,
) -> Verdict:
    """Recommend k items to every user of the test, beside the champion where there is one, and judge the lists.

    Its mean nDCG@k must reach `floor`; without one it must exceed what the most popular items reach by more than chance
    explains. Against the champion, which recommends anew from the same histories, it must be surely not worse by
    `margin`, or surely better: by the lower 5 % bound of the mean difference over users (Student's t, paired). Users
    whom training has not seen, and items it has not, count: nobody can find the latter. Nothing passes for want of
    data: fewer than 30 users, a champion that cannot be loaded or asked, that knows none of the items, or that may have
    seen the test, are "not-enough-data". The champion itself, trained again, is "unchanged".

    Args:
        model: as `train_recommender` logged it.
        train: what it learnt from; the users' histories.
        test: what users took afterwards.
        name: of the registered model with whose champion it is compared; by default the pipeline's.
        k: how many items are recommended.
        floor: the least mean nDCG@k that passes.
        floors: the least of further metrics, by name, e.g. {"coverage": 0.1}.
        compare: "noninferior" or "superior" to the champion; "none" does not compare.
        margin: by how much nDCG@k may be lower than the champion's.
        slice_users: the users below which nothing is concluded about a part.
        slice_margin: by how much a part of the users, or of the items, may be worse than with the champion.
        exclude_seen: whether what a user took before is not recommended, and does not count.
        most_users: of more users so many are drawn.
        max_latency_ms: the longest that recommending to one user may take, in the median. None leaves it out.
        max_size_mb: the largest that the model's files may be. None leaves it out.
        seed: of the draw.

    Returns:
        A verdict; its file tells all slices, the candidates, and what a few users would be shown.

    Raises:
        ContractError: the model is no recommender.
        ParameterError: an argument is none that can be used.
        PermanentError: the ledger of promotions cannot be relied on.
        Unavailable: the model store does not answer.
    """
    rules = Rules(
        floor=floor,
        floors=dict(floors),
        compare=compare,
        margin=margin,
        slice_rows=slice_users,
        slice_margin=slice_margin,
        max_latency_ms=max_latency_ms,
        max_size_mb=max_size_mb,
    )
    measure = _measure(k)
    _check(rules, measure, k)
    store = catalog.find("store", "mlflow")
    name = name or current().pipeline or "model"
    champion: Champion | None = store.champion(name)
    own = model.load()
    if not _is_recommender(own):
        raise ContractError(f"{model.uri} is a {type(own).__name__}, no recommender: judge it with evaluate.")
    judged = Judged.read(train, test, exclude_seen=exclude_seen, most=most_users, seed=seed)
    rows = _rows(test)
    rival = _rival(champion, model, rules, judged, rows)
    candidate = Offered.of(judged.offered(own, k, exclude_seen=exclude_seen), judged)
    popular = Offered.of(judged.offered(_popularity(own), k, exclude_seen=exclude_seen), judged)
    rival, against = _asked(rival, judged, k, exclude_seen)
    metrics = _metrics(candidate, popular, judged, measure, len(own.items))
    rival_metrics = against.metrics(judged, len(rival.estimator.items)) if against and rival else {}
    parts = _parts(candidate, against or popular, judged, against is not None, slice_users)
    asked = [part for part, among in parts if against or among[1] is None]  # popularity is best at what is popular
    measured = Measured(
        model.digest,
        metrics,
        _lift(candidate, popular),
        None if rival is None else rival.opponent(_difference(candidate, against)),
        asked,
        tells_probabilities=False,
        latency_ms=_latency_ms(own),
        size_mb=model.facts["size"] / 1e6 if "size" in model.facts else None,
        measure=measure,
    )
    checks = judging.judge(measured, rules)
    verdict = Verdict.of(
        checks,
        metrics,
        model=model.digest,
        data=test.digest,
        metric=measure.name,
        baseline=measure.baseline,
        units=measure.unit,
        varying=[*judging.VARYING, *(["champion"] if rival and rival.trouble else [])],
        mode="absolute" if compare == "none" else compare if champion else "bootstrap",
        ledger={"name": name, "entry": champion.entry if champion else 0},
        champion={**rival.facts, "metrics": rival_metrics} if rival else None,
        rows=rows,
        evidence={
            "slices": _slices(parts, judging.listed(asked, checks), popular, judged),
            "slice_margin": slice_margin,
            "comparison": judging.comparison(checks),
            "candidates": model.facts.get("candidates", []),
            "exposure": _exposure(candidate, popular, against, judged),
            "catalogue": {"items": len(own.items), "new": int((judged.taken == 0).sum())},
            "shown": _shown(candidate, judged, train),
        },
    )
    logged = {f"champion_{metric}": value for metric, value in rival_metrics.items()}
    store.log_metrics({**metrics, **logged}, {"test_data": test.digest, "outcome": verdict.outcome}, model)
    current().log(_said(metrics, rival_metrics, measure, verdict.outcome, checks))
    return verdict


def _measure(k: int) -> Measure:
    return Measure(
        name=f"ndcg_at_{k}",
        baseline=f"popularity_ndcg_at_{k}",
        beaten="what the most popular items reach,",
        unit="users",
        alike="there is one user alone",
        scarce=_few_users,
    )


def _few_users(metrics: Mapping[str, float]) -> str:
    count = int(metrics["users"])
    word = "user" if count == 1 else "users"
    few = f"{count:,} {word} took something new in the test; it takes {FEWEST_USERS} to tell skill from luck"
    return few if count < FEWEST_USERS else ""


def _check(rules: Rules, measure: Measure, k: int) -> None:
    """Refuse what cannot be used before anything is read."""
    if k < 1:
        raise ParameterError(f"k={k} must be 1 or more.")
    judging.refuse_unknown(rules, measure, [*(f"{name}_at_{k}" for name in ranked.MEASURES), *_OWN])
    bounds = {"floor": rules.floor, "margin": rules.margin, "slice_margin": rules.slice_margin, **rules.floors}
    for name, value in bounds.items():
        if value is not None and (not math.isfinite(value) or value < 0):
            raise ParameterError(f"{name}={value} is no bound: write a number from 0 up.")


def _is_recommender(estimator: Any) -> bool:
    from ostinato.recommenders.recommender import Recommender

    return isinstance(estimator, Recommender)


def _rows(test: Dataset) -> dict[str, Any]:
    span = test.facts.get("time") or {}
    return {"count": test.rows, "from": span.get("from"), "until": span.get("until")}


def _rival(
    champion: Champion | None, model: Model, rules: Rules, judged: Judged, rows: Mapping[str, Any]
) -> Rival | None:
    """The champion, ready to recommend, if it is to be compared with; or what stands against that."""
    if champion is None:
        return None
    if rules.compare == "none" or champion.model.digest == model.digest:
        return Rival(champion)
    rival = rivals.opened(champion)
    if rival.trouble:
        return rival
    if not _is_recommender(rival.estimator):
        return rival.in_trouble(f"is a {type(rival.estimator).__name__}, no recommender")
    if why := _seen(champion.model, model, rows):
        return rival.in_trouble(why)
    known = rival.estimator.items.places(judged.items.values)
    if not (known >= 0).any():
        return rival.in_trouble(
            f"knows none of these {len(judged.items):,} items: were they given other ids? "
            'To judge without it write compare="none"'
        )
    return rival


def _asked(rival: Rival | None, judged: Judged, k: int, exclude_seen: bool) -> tuple[Rival | None, Offered | None]:
    """The champion and what it offers, or what stands against that."""
    if rival is None or rival.estimator is None:
        return rival, None
    try:
        return rival, Offered.of(judged.offered(rival.estimator, k, exclude_seen=exclude_seen), judged)
    except Exception as error:
        return rival.in_trouble(f"cannot be asked: {rivals.reason(error)}"), None


def _seen(champion: Model, model: Model, rows: Mapping[str, Any]) -> str:
    """Why a champion may have learnt from the test; those of the same random split have left it out."""
    split = model.facts.get("split", "")
    if split.startswith("random"):
        said = champion.facts.get("split")
        return "" if said == split else f"was trained on another split ({said}), so that it may have seen the test"
    return rivals.seen(champion.facts.get("window"), rows)


def _popularity(model: Recommender) -> Recommender:
    """What is popular, in the same catalogue by the same histories."""
    from ostinato.recommenders.recommender import Recommender

    return Recommender.fit("popularity", {}, model.users, model.items, model.taken, 0)


# --- measuring ----------------------------------------------------------------------------------------------------


def _metrics(
    candidate: Offered, popular: Offered, judged: Judged, measure: Measure, catalogue: int
) -> dict[str, float]:
    found: dict[str, float] = {"users": len(judged), "interactions": int(judged.counts.sum())}
    found |= candidate.metrics(judged, catalogue)
    floor = popular.metrics(judged, catalogue)
    return {**found, **({measure.baseline: floor[measure.name]} if floor else {}), **ranked.cold(judged)}


def _lift(candidate: Offered, popular: Offered) -> float | None:
    found = ranked.paired(candidate.by_user["ndcg"], popular.by_user["ndcg"], LEVEL)
    return None if found is None else found.low


def _difference(candidate: Offered, against: Offered | None) -> Any:
    return None if against is None else ranked.paired(candidate.by_user["ndcg"], against.by_user["ndcg"], LEVEL)


Among = tuple["NDArray[Any] | None", "NDArray[Any] | None"]  # users of a part, or its items


def _parts(
    candidate: Offered, other: Offered, judged: Judged, is_champion: bool, fewest: int
) -> list[tuple[Part, Among]]:
    """The users by their activity, and the items by their popularity, each part judged by itself.

    The more parts there are, the more likely is one in which chance looks like harm: each gets its share of the level.
    """
    cut: list[tuple[str, str, Among]] = [
        ("activity", name, (users, None)) for name, users in ranked.by_activity(judged)
    ]
    cut += [("popularity", name, (None, items)) for name, items in ranked.by_popularity(judged)]
    numbers = [(_ndcg(candidate, judged, among), _ndcg(other, judged, among)) for *_, among in cut]
    level = LEVEL / max(1, sum(len(mine) >= fewest for mine, _ in numbers))
    found = []
    for (column, value, among), (mine, theirs) in zip(cut, numbers, strict=True):
        means = [float(each.mean()) if len(each) else None for each in (mine, theirs)]
        interval = ranked.paired(mine, theirs, level)
        part = Part(column, value, len(mine), None, means[0], means[1] if is_champion else None, interval)
        found.append((part, among))
    return found


def _ndcg(offered: Offered, judged: Judged, among: Among) -> NDArray[Any]:
    users, items = among
    if items is not None:
        return ranked.ndcg_of(offered, judged, items)[1]
    found: NDArray[Any] = offered.by_user["ndcg"][users]
    return found


def _latency_ms(model: Recommender) -> float | None:
    """How long it takes to recommend to one user, in the median."""
    import pandas as pd

    if not len(model.users):
        return None
    one = pd.DataFrame({"user": model.users.values.slice(0, 1).to_pylist()})
    return latency.median_ms(lambda: model.predict(one))


# --- telling ------------------------------------------------------------------------------------------------------


def _slices(
    parts: Sequence[tuple[Part, Among]], told: Sequence[Mapping[str, Any]], popular: Offered, judged: Judged
) -> list[dict[str, Any]]:
    """All parts, with what popularity reaches on each; those that nothing was asked of have no outcome."""
    found = []
    outcomes = {(one["column"], one["value"]): one for one in told}
    for part, among in parts:
        one = outcomes.get((part.column, part.value), {"difference": None, "low": None, "high": None, "outcome": ""})
        known = {"column": part.column, "value": part.value, "rows": part.rows, "candidate": part.candidate}
        baseline = float(_ndcg(popular, judged, among).mean()) if part.rows else None
        found.append({**known, "champion": part.champion, **one, "baseline": baseline})
    return found


def _exposure(candidate: Offered, popular: Offered, against: Offered | None, judged: Judged) -> dict[str, Any]:
    """How the lists of each spread over the items, as a curve."""
    from ostinato.recommenders import ranking

    lists = {"candidate": candidate, "champion": against, "popularity": popular}
    return {name: ranking.concentration(one.items, len(judged.items)) for name, one in lists.items() if one is not None}


def _shown(candidate: Offered, judged: Judged, train: Dataset) -> list[dict[str, Any]]:
    """What a few users would be shown: from those who took little to those who took much, without their ids."""
    import numpy as np

    order = np.argsort(judged.activity, kind="stable")
    if not len(order):
        return []
    chosen = order[np.unique(np.linspace(0, len(order) - 1, MOST_SHOWN).astype(int))]
    recent = ranked.latest(train, Ids(judged.users.at(chosen)), MOST_SHOWN)
    listed = []
    for user, last in zip(chosen, recent, strict=True):
        offered, hit = candidate.items[user], candidate.hit[user]
        shown = {"recommended": _texts(judged, offered[offered >= 0]), "found": _texts(judged, offered[hit])}
        listed.append({"history": int(judged.activity[user]), "recent": last, **shown})
    return listed


def _texts(judged: Judged, places: NDArray[Any]) -> list[str]:
    import numpy as np

    return [str(value) for value in judged.items.at(np.asarray(places, np.int32)).to_pylist()]


def _said(
    metrics: Mapping[str, float],
    rival: Mapping[str, float],
    measure: Measure,
    outcome: str,
    checks: Sequence[judging.Check],
) -> str:
    from ostinato.wording import metric

    shown = [f"{metric(measure.name)} {metrics.get(measure.name, math.nan):.3f}"]
    shown += [f"popularity {metrics.get(measure.baseline, math.nan):.3f}"]
    shown += [f"champion {rival[measure.name]:.3f}"] if measure.name in rival else []
    return judging.summary(checks, outcome, *shown)

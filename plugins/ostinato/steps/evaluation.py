"""Judge a model on rows it has not seen, by itself and against the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from ostinato import catalog
from ostinato.artifacts import Model, Verdict
from ostinato.context import current
from ostinato.errors import ContractError, ParameterError, suggest
from ostinato.graph import step
from ostinato.ledger import Champion
from ostinato.tables import Dataset, require_columns

from . import bootstrap, frames, judging, latency, measures, rivals
from . import slices as parts_of
from .bootstrap import Drawn, Interval
from .judging import Check, Compare, Measured, Part, Rules
from .rivals import Rival
from .scored import Asked, Rows, Scored

if TYPE_CHECKING:
    import pandas
    import pyarrow

Block = Literal["auto", "day", "entity", "row"]

LEVEL = 0.05  # how often chance may pass for skill; in all slices together, for harm
SEED = 0
MOST_SLICE_REPLICATES = 200  # an interval by Student's t needs no more


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
    floors: Mapping[str, float] = {},
    name: str | None = None,
    compare: Compare = "noninferior",
    margin: float = 0.01,
    block: Block = "auto",
    replicates: int = 500,
    slices: Sequence[str] = (),
    slice_rows: int = 500,
    slice_margin: float = 0.05,
    max_calibration_error: float | None = 0.2,
    max_latency_ms: float | None = 1000.0,
    max_size_mb: float | None = 1000.0,
) -> Verdict:
    """Score rows the model has not seen, beside the champion where there is one, and judge it.

    Its average precision must reach `floor`; without one it must exceed the share of positives by more than chance
    explains. Against the champion, which is scored anew on the same rows, it must be surely not worse by `margin`, or
    surely better: by the lower 5 % bound of a paired bootstrap. Nothing passes for want of data: fewer than 10
    positives, a champion that cannot be loaded or scored, or one that was trained on rows as late as these, are
    "not-enough-data". The champion itself, trained again, is "unchanged".

    Args:
        entity: the column of the card or account, for `card_precision_at_<k>`: of the k most suspicious a day, the
            share that is compromised, as the Fraud Detection Handbook defines it. None leaves it out.
        amount: money per row, for the cost at the cheapest threshold. None leaves it out.
        order_by: the order in which rows are read; sums of fractions depend on it in their last digit.
        false_positive_rate: the share of good rows that may be flagged, for `recall_at_fpr_<rate>`.
        review_cost: what looking at one flagged row costs, in the unit of `amount`.
        floor: the least average precision that passes.
        floors: the least of further metrics, by name; of `cost`, `alerts` and `calibration_error` the most.
        name: of the registered model with whose champion it is compared; by default the pipeline's.
        compare: "noninferior" or "superior" to the champion; "none" does not compare.
        margin: by how much average precision may be worse than the champion's.
        block: which rows the bootstrap draws together, because they are alike: those of a day, of an entity, or none
            ("row"). By default days and entities both, days where there are five or more of them.
        replicates: how often it draws.
        slices: columns by whose values the test is cut into parts. A part in which the candidate is surely worse than
            the champion by `slice_margin` fails (without a champion: worse than the base rate).
        slice_rows: the rows below which nothing is concluded about a part.
        max_calibration_error: by how much probabilities may be off, on average. None leaves it out.
        max_latency_ms: the longest that scoring one row may take, in the median. None leaves it out.
        max_size_mb: the largest that the model's files may be. None leaves it out.

    Returns:
        A verdict; its file tells all slices, the last 31 days, and what plots are made of.

    Raises:
        DataError: a column is missing or of no use.
        ParameterError: an argument is none that can be used.
        PermanentError: the ledger of promotions cannot be relied on.
        Unavailable: the model store does not answer.
    """
    asked = Asked(k, false_positive_rate, review_cost)
    rules = Rules(
        floor=floor,
        floors=dict(floors),
        compare=compare,
        margin=margin,
        slice_rows=slice_rows,
        slice_margin=slice_margin,
        max_calibration_error=max_calibration_error,
        max_latency_ms=max_latency_ms,
        max_size_mb=max_size_mb,
    )
    _check(rules, asked, block, replicates, entity, amount)
    store = catalog.find("store", "mlflow")
    name = name or current().pipeline or "model"
    champion: Champion | None = store.champion(name)
    estimator = model.load()
    chosen = rivals.columns_of(model, estimator)
    if not chosen:
        raise ContractError(f"{model.uri} does not say on which columns it was trained: log it with an example.")
    beside = [label, time, *(column for column in (entity, amount) if column), *slices]
    require_columns(test.schema, [*chosen, *beside, *order_by], test.uri)
    rival = _rival(champion, model, rules, test)

    wanted = dict.fromkeys([*chosen, *(rival.features if rival else ()), *beside])
    table = test.to_arrow(list(wanted), order_by)
    rows = Rows.read(table, test.uri, label=label, time=time, entity=entity, amount=amount)
    frame, _ = frames.frame(table, chosen)
    scores = frames.scores(estimator, frame, model.uri)
    candidate = Scored.of(scores, rows, asked, probabilities=hasattr(estimator, "predict_proba"))
    latency_ms = _latency_ms(estimator, frame)
    if rival is not None:
        rival = rivals.scored(rival, table, rows, asked, frame, chosen)
    del frame
    against = rival.scored if rival else None
    ways = _ways(block, rows)
    chance = _chance(candidate, against, rows, ways, replicates)
    parts = _parts(table, slices, slice_rows, candidate, against, rows, ways, min(replicates, MOST_SLICE_REPLICATES))
    measured = Measured(
        model.digest,
        candidate.metrics,
        chance.lift,
        None if rival is None else rival.opponent(chance.difference),
        parts,
        candidate.bins is not None,
        latency_ms,
        model.facts["size"] / 1e6 if "size" in model.facts else None,
    )
    checks = judging.judge(measured, rules)
    verdict = Verdict.of(
        checks,
        candidate.metrics,
        model=model.digest,
        data=test.digest,
        metric=judging.Measure.name,
        baseline=judging.Measure.baseline,
        units=judging.Measure.unit,
        varying=[*judging.VARYING, *(["champion"] if rival and rival.trouble else [])],
        mode="absolute" if compare == "none" else compare if champion else "bootstrap",
        ledger={"name": name, "entry": champion.entry if champion else 0},
        champion=rival.facts if rival else None,
        rows=rows.facts,
        evidence={
            **_curves({"candidate": candidate, "champion": against}),
            "slices": judging.listed(parts, checks),
            "slice_margin": slice_margin,
            "days": candidate.daily(rows),
            "comparison": judging.comparison(checks),
            "bootstrap": {
                "replicates": replicates,
                "block": " and ".join(ways),
                "blocks": chance.blocks,
                "level": LEVEL,
                "seed": SEED,
            },
        },
    )
    logged = {f"champion_{metric}": value for metric, value in (against.own if against else {}).items()}
    tags = {"test_data": test.digest, "outcome": verdict.outcome}
    store.log_metrics({**candidate.metrics, **logged}, tags, model)
    current().log(_said(candidate, against, verdict.outcome, checks))
    return verdict


# --- what may be asked --------------------------------------------------------------------------------------------


def _check(rules: Rules, asked: Asked, block: str, replicates: int, entity: str | None, amount: str | None) -> None:
    """Refuse what cannot be used before anything is read."""
    if asked.k < 1 or not 0 <= asked.rate <= 1:
        raise ParameterError(f"k is at least 1 and a rate from 0 to 1: not k={asked.k}, rate={asked.rate}.")
    if block not in get_args(Block):
        raise ParameterError(f"Unknown block={block!r}. {suggest(block, get_args(Block))}")
    if block == "entity" and entity is None:
        raise ParameterError('block="entity" needs the column of the entity: give entity, or another block.')
    if replicates < 100:
        raise ParameterError(
            f"replicates={replicates} must be 100 or more: the end of an interval needs some beyond it."
        )
    least = {"margin": rules.margin, "slice_rows": rules.slice_rows, "slice_margin": rules.slice_margin}
    bounds = {name: getattr(rules, name) for name in ("max_calibration_error", "max_latency_ms", "max_size_mb")}
    for name, value in {**least, **bounds, "floor": rules.floor, **rules.floors}.items():
        if value is not None and (not math.isfinite(value) or (name in (*least, *bounds) and value < 0)):
            raise ParameterError(f"{name}={value} is no bound: write a number{' from 0 up' if name in least else ''}.")
    judging.refuse_unknown(rules, judging.Measure(), asked.metrics(entity is not None, amount is not None))


def _rival(champion: Champion | None, model: Model, rules: Rules, test: Dataset) -> Rival | None:
    """The champion, loaded if it is to be compared with."""
    if champion is None:
        return None
    if rules.compare == "none" or champion.model.digest == model.digest:
        return Rival(champion)
    return rivals.loaded(champion, test.schema)


# --- measuring ----------------------------------------------------------------------------------------------------


class _Chance(NamedTuple):
    """What chance may account for; None where too few rows tell nothing, or there is nothing to compare with."""

    lift: float | None
    difference: Interval | None
    blocks: Mapping[str, int]


def _ways(block: Block, rows: Rows) -> dict[str, Any]:
    """The rows' blocks, by what is drawn whole (see `bootstrap`)."""
    import numpy as np

    every = np.arange(len(rows))
    ways = {"day": rows.days, "entity": _entities(rows.cards), "row": every}
    if block != "auto":
        return {block: ways[block]}
    few = len(np.unique(rows.days)) < bootstrap.FEWEST_DAYS
    chosen = {way: ways[way] for way, left_out in (("day", few), ("entity", rows.cards is None)) if not left_out}
    return chosen or {"row": every}


def _entities(cards: Any) -> Any:
    """Cards as blocks; a row without one is a block of its own."""
    import numpy as np

    return None if cards is None else np.where(cards >= 0, cards, -1 - np.arange(len(cards)))


def _chance(candidate: Scored, against: Scored | None, rows: Rows, ways: Mapping[str, Any], replicates: int) -> _Chance:
    if judging.scarce(len(rows), rows.positives):
        return _Chance(None, None, {})
    scores = [candidate.scores] if against is None else [candidate.scores, against.scores]
    found = bootstrap.resample(rows.label, scores, ways, replicates=replicates, seed=SEED)
    precision = candidate.metrics["average_precision"]
    lift = found.lower_bound(precision - candidate.metrics["base_rate"], _lift, LEVEL)
    off = None if against is None else precision - against.metrics["average_precision"]
    return _Chance(
        None if math.isnan(lift) else lift,
        None if off is None else found.interval(off, _difference, LEVEL),
        found.blocks,
    )


def _difference(drawn: Drawn) -> Any:
    return drawn.difference


def _lift(drawn: Drawn) -> Any:
    return drawn.lift


def _parts(
    table: pyarrow.Table,
    columns: Sequence[str],
    fewest: int,
    candidate: Scored,
    against: Scored | None,
    rows: Rows,
    ways: Mapping[str, Any],
    replicates: int,
) -> list[Part]:
    """The parts of the rows by the values of columns, each measured by itself.

    The more parts there are, the more likely is one in which chance looks like harm: each gets its share of the level.
    """
    cut = [(column, value, mine) for column in columns for value, mine in parts_of.slices(table, column)]
    told = [len(mine) >= fewest and not judging.scarce(len(mine), int(rows.label[mine].sum())) for *_, mine in cut]
    level = LEVEL / max(1, sum(told))
    parts = []
    for (column, value, mine), enough in zip(cut, told, strict=True):
        label, models = rows.label[mine], [candidate, *([against] if against else [])]
        scores = [model.scores[mine] for model in models]
        precisions = [_precision(label, score) for score in scores]
        interval = None
        if enough:
            found = bootstrap.resample(
                label, scores, {way: block[mine] for way, block in ways.items()}, replicates=replicates, seed=SEED
            )
            base = precisions[1] if against else float(label.mean())
            assert precisions[0] is not None
            assert base is not None
            interval = found.interval(precisions[0] - base, _difference if against else _lift, level)
        rival = precisions[1] if against else None
        parts.append(Part(column, value, len(mine), int(label.sum()), precisions[0], rival, interval))
    return parts


def _precision(label: Any, score: Any) -> float | None:
    found = measures.average_precision(measures.rank(label, score))
    return None if math.isnan(found) else found


def _latency_ms(estimator: Any, frame: pandas.DataFrame) -> float | None:
    """How long it takes to score one row, in the median; None without rows."""
    if frame.empty:
        return None
    row = frame.iloc[:1]
    return latency.median_ms(lambda: frames.scores(estimator, row, "the model"))


# --- telling ------------------------------------------------------------------------------------------------------


def _curves(models: Mapping[str, Scored | None]) -> dict[str, Any]:
    """What plots are drawn from, by model."""
    known = {name: model for name, model in models.items() if model is not None}
    costs = {name: model.metrics["cost"] for name, model in known.items() if "cost" in model.metrics}
    nothing = known["candidate"].metrics.get("cost_of_doing_nothing")
    return {
        "precision_recall": {name: measures.precision_recall(model.ranking) for name, model in known.items()},
        "calibration": {name: [each._asdict() for each in model.risks] for name, model in known.items()},
        "costs": costs if nothing is None else {**costs, "nothing": nothing},
    }


def _said(candidate: Scored, against: Scored | None, outcome: str, checks: Sequence[Check]) -> str:
    shown = [f"average precision {_shown(candidate)}", *([f"champion {_shown(against)}"] if against else [])]
    return judging.summary(checks, outcome, *shown)


def _shown(model: Scored) -> str:
    found = model.metrics.get("average_precision")
    return "unknown" if found is None else f"{found:.3f}"

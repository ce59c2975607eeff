"""The bootstrap weighs rows as scikit-learn would, tells skill from luck, and keeps its word about chance."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit
from sklearn.metrics import average_precision_score

from ostinato.steps import bootstrap, measures
from ostinato.steps.bootstrap import Drawn

SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0])


def weights_of(blocks: int, replicates: int, seed: int = 0) -> Any:
    """The weights `draw` uses where all replicates are drawn at once: a row for each block."""
    parts = bootstrap._weights(np.random.SFC64(seed), blocks, replicates)
    return np.concatenate([weights for _, _, weights in parts])


def precision(label: Any, score: Any) -> float:
    return measures.average_precision(measures.rank(label, score))


@st.composite
def rows(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    """Labels, two models' scores with many ties or all alike, and blocks."""
    size = draw(st.integers(1, 60))

    def listed(values: st.SearchStrategy[Any]) -> Any:
        return np.array(draw(st.lists(values, min_size=size, max_size=size)))

    constant = draw(st.booleans())
    return (
        listed(st.integers(0, 1)),
        listed(SCORES),
        np.zeros(size) if constant else listed(SCORES),
        listed(st.integers(-3, draw(st.integers(0, 40)))),
    )


@settings(max_examples=60)
@given(rows(), st.integers(1, 30))
def test_a_replicate_is_the_weighted_average_precision_of_scikit_learn(
    given_rows: tuple[Any, Any, Any, Any], replicates: int
) -> None:
    """Ties, constant scores, one class and blocks of any size; without positives there is none."""
    label, first, second, block = given_rows
    found = bootstrap.draw(label, [first, second], block, replicates=replicates)
    blocks, numbered = np.unique(block, return_inverse=True)
    weights = weights_of(len(blocks), replicates)[numbered]
    for each in range(replicates):
        weight = weights[:, each].astype(float)
        if not (weight * label).sum():
            assert math.isnan(found.base_rate[each])
            assert np.isnan(found.precision[:, each]).all()
            continue
        assert found.base_rate[each] == pytest.approx((weight * label).sum() / weight.sum())
        for place, score in enumerate((first, second)):
            expected = average_precision_score(label, score, sample_weight=weight)
            assert found.precision[place, each] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("way", ["row", "day", "card"])
def test_many_rows_are_weighed_a_part_at_a_time_and_come_to_the_same(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """However few blocks fit into the cache, or replicates into memory, each is what scikit-learn says."""
    random = np.random.default_rng(2)
    label = (random.random(3000) < 0.05).astype(int)
    score = np.round(label * 0.3 + random.random(3000), 2)
    block = {"row": np.arange(3000), "day": np.arange(3000) // 500, "card": random.integers(0, 400, 3000)}[way]
    plain = bootstrap.draw(label, [score], block, replicates=40)
    monkeypatch.setattr(bootstrap, "_WEIGHTS_AT_ONCE", 40 * 64)
    assert (bootstrap.draw(label, [score], block, replicates=40).precision == plain.precision).all()

    bins = len(np.unique(score[label > 0]))
    monkeypatch.setattr(bootstrap, "_COUNTS_AT_ONCE", 7 * bins)
    found = bootstrap.draw(label, [score], block, replicates=40)
    blocks, numbered = np.unique(block, return_inverse=True)
    stream = np.random.SFC64(0)
    for start in range(0, 40, 7):
        wide = min(7, 40 - start)
        weights = np.concatenate([part for _, _, part in bootstrap._weights(stream, len(blocks), wide)])[numbered]
        expected = [average_precision_score(label, score, sample_weight=weights[:, each]) for each in range(wide)]
        assert found.precision[0, start : start + wide] == pytest.approx(expected, abs=1e-9)


def test_both_models_get_the_same_weights() -> None:
    """Scores in the same order differ nowhere, whatever is drawn."""
    random = np.random.default_rng(0)
    label, score = random.integers(0, 2, 500), random.random(500)
    found = bootstrap.draw(label, [score, np.exp(score)], np.arange(500))
    assert (found.difference == 0).all()


def test_the_same_rows_give_the_same_replicates_and_another_seed_gives_others() -> None:
    """A verdict must not hang on the moment; with blocks, not on the order of rows either."""
    random = np.random.default_rng(0)
    label, score, day = random.integers(0, 2, 500), random.integers(0, 30, 500) / 30, random.integers(0, 9, 500)
    mixed = random.permutation(500)
    first = bootstrap.draw(label, [score], day).precision
    again = bootstrap.draw(label[mixed], [score[mixed]], day[mixed]).precision
    assert np.array_equal(again, first, equal_nan=True)
    assert (bootstrap.draw(label, [score], day, seed=1).precision != first).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_refused(value: float) -> None:
    """It would be the highest or the lowest, depending on the sort."""
    with pytest.raises(ValueError, match="no place in a ranking"):
        bootstrap.draw(np.array([0, 1]), [np.array([0.5, value])], np.arange(2))


def test_no_rows_and_no_positives_have_no_average_precision() -> None:
    """All replicates are unknown, and so is what is made of them."""
    for label in ([], [0, 0, 0]):
        labels, score = np.array(label, dtype=int), np.linspace(0, 1, len(label))
        found = bootstrap.resample(labels, [score], {"row": np.arange(len(label))}, replicates=100)
        assert np.isnan(found.drawn["row"].lift).all()
        assert math.isnan(found.lower_bound(0.0, lift, 0.05))
        assert found.interval(0.0, lift, 0.05) is None


def test_weights_are_drawn_from_the_poisson_distribution_of_mean_one() -> None:
    """To one in 65,536; of a million draws mean and variance are one, and the sums of rows are independent."""
    table = bootstrap._poisson_table()
    shares = np.bincount(table.astype(int)) / len(table)
    expected = [math.exp(-1) / math.factorial(value) for value in range(len(shares))]
    assert shares == pytest.approx(expected, abs=2 / len(table))
    weights = weights_of(2000, 500)
    assert weights.mean() == pytest.approx(1, abs=0.005)
    assert weights.var() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(weights[:3])[0, 1:] == pytest.approx(0, abs=0.2)
    assert weights.sum(axis=0).var() == pytest.approx(2000, rel=0.3)


# --- bounds -------------------------------------------------------------------------------------------------------


def lift(drawn: Drawn) -> Any:
    return drawn.lift


def difference(drawn: Drawn) -> Any:
    return drawn.difference


def test_the_lower_bound_of_the_lift_is_that_of_the_basic_bootstrap() -> None:
    """Worked out from scikit-learn's weighted average precision; of two ways to draw, the lower one."""
    random = np.random.default_rng(3)
    day, card = random.integers(0, 6, 400), random.integers(0, 40, 400)
    label = (random.random(400) < 0.1).astype(int)
    score = np.round(label * 0.3 + random.random(400), 2)
    value = average_precision_score(label, score) - label.mean()
    bounds = []
    for block in (day, card):
        blocks, numbered = np.unique(block, return_inverse=True)
        weights = weights_of(len(blocks), 100)[numbered].astype(float)
        lifts = []
        for weight in weights.T:
            base_rate = (label * weight).sum() / weight.sum()
            lifts.append(average_precision_score(label, score, sample_weight=weight) - base_rate)
        bounds.append(2 * value - np.quantile(lifts, 0.95))
    found = bootstrap.resample(label, [score], {"day": day, "entity": card}, replicates=100)
    assert found.lower_bound(value, lift, 0.05) == pytest.approx(min(bounds), abs=1e-9)


def test_the_interval_is_students_with_the_blocks_that_have_a_positive() -> None:
    """Six days with positives are five degrees of freedom, and their variance is a fifth larger."""
    random = np.random.default_rng(3)
    day = random.integers(0, 9, 900)
    label = ((random.random(900) < 0.1) & (day < 6)).astype(int)
    one, two = (label * 0.3 + random.random(900) for _ in range(2))
    found = bootstrap.resample(label, [one, two], {"day": day}, replicates=300)
    assert found.blocks == {"day": 6}
    spread = np.nanstd(found.drawn["day"].difference, ddof=1) * math.sqrt(6 / 5)
    interval = found.interval(0.02, difference, 0.05)
    assert interval is not None
    assert interval.low == pytest.approx(0.02 - stdtrit(5, 0.95) * spread)
    assert interval.high == pytest.approx(0.02 + stdtrit(5, 0.95) * spread)


def test_days_and_cards_together_are_never_surer_than_either() -> None:
    """What both have in common is counted once."""
    sums = 0
    for seed in range(12):
        label, one, two, day, card = World(0.3, 0.7).draw(np.random.default_rng(seed))
        both = bootstrap.resample(label, [one, two], {"day": day, "entity": card}, replicates=200)
        variances = {way: both._variance(way, difference) for way in ("day", "entity", "row")}
        together = variances["day"] + variances["entity"] - variances["row"]
        sums += together > max(variances["day"], variances["entity"])
        interval = both.interval(0.0, difference, 0.05)
        assert interval is not None
        widest = max(together, variances["day"], variances["entity"])
        assert interval.high == pytest.approx(stdtrit(6, 0.95) * math.sqrt(widest))
    assert 0 < sums < 12


def test_positives_of_one_block_tell_nothing() -> None:
    """All frauds on one day: nobody knows how another day would have been."""
    label, score = np.array([1] * 20 + [0] * 80), np.linspace(1, 0, 100)
    found = bootstrap.resample(label, [score, score[::-1]], {"day": np.arange(100) // 50})
    assert found.interval(0.9, difference, 0.05) is None


def test_the_lower_bound_tells_skill_from_luck() -> None:
    """Scores made of noise exceed the base rate by chance, but hardly ever by more than chance explains."""
    lucky = better = passed = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        label = (random.random(4000) < 0.02).astype(int)
        noise, blocks = random.random(4000), {"day": np.arange(4000) // 400}
        base = label.mean()
        lucky += precision(label, noise) > base
        found = bootstrap.resample(label, [noise], blocks, replicates=200)
        passed += found.lower_bound(precision(label, noise) - base, lift, 0.05) > 0
        skilled = noise + label * 0.5
        found = bootstrap.resample(label, [skilled], blocks, replicates=200)
        better += found.lower_bound(precision(label, skilled) - base, lift, 0.05) > 0
    assert lucky > 25
    assert passed <= 6
    assert better == 60


# --- what it promises ---------------------------------------------------------------------------------------------


class World(NamedTuple):
    """Payments of seven days and two models of them: noise, and effects of days and of cards on each model."""

    days: float = 0.0
    cards: float = 0.0
    worse: float = 0.0

    def draw(self, random: np.random.Generator, rows: int = 5_000) -> tuple[Any, Any, Any, Any, Any]:
        cards = rows // 10
        card, day = random.integers(0, cards, rows), np.sort(random.integers(0, 7, rows))
        fraudulent = np.isin(card, random.choice(cards, rows // 200, replace=False))
        label = (fraudulent & (random.random(rows) < 0.3)).astype(int)
        shared, models = random.normal(size=rows), []
        for lower in (self.worse, 0.0):
            signal = 2.2 - lower + random.normal(0, self.days, 7)[day] + random.normal(0, self.cards, cards)[card]
            level = random.normal(0, self.cards / 2, cards)[card]
            models.append(shared + np.where(label == 1, signal, level) + random.normal(0, 0.5, rows))
        return label, models[0], models[1], day, card


# How much lower the first model's signal is when its average precision is lower by 0.01 on average, by the effects of
# days and of cards; found with 150 tables of 50,000 rows.
WORSE = {(0.0, 0.0): 0.0283, (0.3, 0.0): 0.0289, (0.0, 0.7): 0.0331, (0.3, 0.7): 0.0338}
PAIRS = 300
MOST = 25  # of 300 at 5 %: more come in less than one of a hundred such tests


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.0, 0.01], ids=["superior", "noninferior"])
@pytest.mark.parametrize(
    ("days", "cards"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)], ids=["plain", "days", "cards", "both"]
)
def test_false_promotions_stay_within_the_nominal_rate(days: float, cards: float, margin: float) -> None:
    """Of equal models one in twenty is called better, and of those worse by the margin one in twenty not worse."""
    world = World(days, cards, WORSE[days, cards] if margin else 0.0)
    promoted = 0
    for seed in range(PAIRS):
        label, one, two, day, card = world.draw(np.random.default_rng(1000 + seed))
        value = precision(label, one) - precision(label, two)
        found = bootstrap.resample(label, [one, two], {"day": day, "entity": card}, replicates=200, seed=seed)
        interval = found.interval(value, difference, 0.05)
        promoted += interval is not None and interval.low > -margin
    assert promoted <= MOST


@pytest.mark.slow
def test_rows_alone_would_promote_too_many_where_days_differ() -> None:
    """The reason for blocks: the plain bootstrap calls a sixth of equal models better."""
    promoted = 0
    for seed in range(PAIRS):
        label, one, two, *_ = World(0.3, 0.0).draw(np.random.default_rng(1000 + seed))
        value = precision(label, one) - precision(label, two)
        found = bootstrap.resample(label, [one, two], {"row": np.arange(len(label))}, replicates=200, seed=seed)
        promoted += found.lower_bound(value, difference, 0.05) > 0
    assert promoted > PAIRS / 10


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.0, 1.0, 3.0], ids=["noise", "cards have levels", "cards have only levels"])
def test_noise_hardly_ever_passes_for_skill(level: float) -> None:
    """Also where it has a level for each card, and frauds come in cards."""
    passed = 0
    for seed in range(PAIRS):
        random = np.random.default_rng(seed)
        label, _, _, day, card = World().draw(random)
        score = random.normal(size=len(label)) + level * random.normal(size=500)[card]
        found = bootstrap.resample(label, [score], {"day": day, "entity": card}, replicates=200)
        passed += found.lower_bound(precision(label, score) - label.mean(), lift, 0.05) > 0
    assert passed <= MOST

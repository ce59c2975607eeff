"""The plots of a judgement: how candidate and champion compare, and what there is to know of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .evidence import RIVALS, Evidence, Slice
from .glossary import GLOSSARY
from .pictures import INK, Plot, png, svg
from .wording import capital, percent, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST_SLICES", "STYLES", "Plot", "plots", "png", "svg"]

_BLUE, _ORANGE, _GREY, _RED = "#0b5cad", "#c2570c", "#6b7686", "#b3261e"
# Told apart without colour, too: by the line and by the marker.
STYLES: dict[str, dict[str, Any]] = {
    "candidate": {"color": _BLUE, "linestyle": "-"},
    "champion": {"color": _ORANGE, "linestyle": (0, (5, 2))},
    "popularity": {"color": _GREY, "linestyle": (0, (1, 1.5))},
}
_MARKERS = {"candidate": "o", "champion": "s"}
_DOTS: dict[str, dict[str, Any]] = {
    "baseline": {"marker": "v", "color": _GREY, "markersize": 7},
    "champion": {"marker": "s", "color": _ORANGE, "markersize": 9, "markerfacecolor": "none"},
    "candidate": {"marker": "o", "color": _BLUE, "markersize": 6},
}
_OUTCOMES = {"pass": ("o", _BLUE, True), "fail": ("X", _RED, True)}
MOST_SLICES, MOST_GROUPS = 24, 4


def plots(evidence: Evidence) -> list[Plot]:
    """The plots that a verdict's evidence gives."""
    groups = range(len(evidence.groups[:MOST_GROUPS]))
    found = [
        *(make(evidence) for make in (comparison, precision_recall, calibration)),
        *(quality(evidence, place) for place in groups),
        exposure(evidence),
        *(slices(evidence, place) for place in groups),
        candidates(evidence),
    ]
    return [plot for plot in found if plot is not None]


# --- what there is ------------------------------------------------------------------------------------------------


def comparison(evidence: Evidence) -> Plot | None:
    """By how much the candidate is better than the champion, with the interval and what is demanded of it."""
    found, what = evidence.comparison, evidence.yardstick.said
    if found is None:
        return None
    hint = f"The lower end of the interval must reach {signed(found.bound)} (dashed)."
    says = (
        f"{capital(what)} of the candidate minus that of the champion: {signed(found.difference)}, "
        f"interval {signed(found.low)} to {signed(found.high)}. Its lower end must reach {signed(found.bound)}."
    )

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=_GREY, linewidth=1)
        _bound(axes, found.bound)
        axes.plot([found.low, found.high], [0, 0], color=_BLUE, linewidth=4, solid_capstyle="butt")
        axes.plot([found.difference], [0], "D", color=_BLUE, markersize=8, markeredgecolor="white")
        beside: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "bottom"}
        for value in (found.low, found.difference, found.high):
            axes.annotate(signed(value), (value, 0), xytext=(0, 8), **beside)
        axes.set_ylim(-1, 1.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{what}, candidate minus champion")
        _room(axes, [found.low, found.high, found.bound, 0])

    return Plot("comparison", "Against the champion", hint, says, 120, draw)


def precision_recall(evidence: Evidence) -> Plot | None:
    """How many of the alerts are right, for each share of the positives found."""
    curves, base = evidence.precision_recall, evidence.base_rate
    if not curves:
        return None
    half = {name: _at(points, 0.5) for name, points in curves.items()}
    told = [f"{name} {percent(value)}" for name, value in half.items() if value is not None]
    says = f"Of the alerts that find half of the positives, so many are right: {', '.join(told)}." if told else ""
    says += f" By guessing it would be {percent(base)}." if base is not None else ""

    def draw(axes: Axes) -> None:
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), label=name, **STYLES[name])
        if base is not None:
            axes.axhline(base, color=_GREY, linestyle=":", linewidth=1.4, label=f"by guessing ({percent(base)})")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall: share of the positives found")
        axes.set_ylabel("precision: share of the alerts that are right")
        _percents(axes)
        axes.legend(loc="best")

    return Plot("precision-recall", "Precision and recall", "Further up and right is better.", says.strip(), 270, draw)


def calibration(evidence: Evidence) -> Plot | None:
    """What was observed of the rows given each probability; on the diagonal a probability means what it says."""
    bins = evidence.calibration
    if not bins:
        return None
    worst = {name: max(found, key=lambda one: abs(one.predicted - one.observed)) for name, found in bins.items()}
    told = [
        f"{name}, where it says {percent(one.predicted)} and {percent(one.observed)} are positive"
        for name, one in worst.items()
    ]
    says = f"Furthest from what it says: {'; '.join(told)}."
    top = max(max(one.predicted, one.observed) for found in bins.values() for one in found) or 1.0

    def draw(axes: Axes) -> None:
        axes.plot([0, top], [0, top], color=_GREY, linestyle=":", linewidth=1.4, label="what it says is so")
        for name, found in bins.items():
            places = [one.predicted for one in found], [one.observed for one in found]
            axes.plot(*places, marker=_MARKERS[name], markersize=5, label=name, **STYLES[name])
        axes.set_xlim(-0.02 * top, top * 1.04)
        axes.set_ylim(-0.02 * top, top * 1.04)
        axes.set_xlabel("probability that the model gives")
        axes.set_ylabel("share that is positive")
        _percents(axes)
        axes.legend(loc="best")

    return Plot("calibration", "Calibration", "Nearer to the diagonal is better.", says, 270, draw)


def quality(evidence: Evidence, place: int = 0) -> Plot | None:
    """How good the models are in each part, such as for users by their activity, and what is reached without skill."""
    group, what = evidence.groups[place], evidence.yardstick.said
    shown = [one for one in group.slices if one.baseline is not None and one.candidate is not None][:MOST_SLICES]
    if not shown:
        return None
    names, scores = {"baseline": evidence.yardstick.rival}, [_scores(one) for one in shown]
    told = [
        f"{group.label(one)} {', '.join(f'{names.get(name, name)} {_plain(value)}' for name, value in found.items())}"
        for one, found in zip(shown, scores, strict=True)
    ]
    by = group.column or "part"
    meant = GLOSSARY.get(capital(by))
    hint = "Further right is better." + (f" {capital(by)}: {meant.partition(';')[0]}." if meant else "")

    def draw(axes: Axes) -> None:
        for line, found in enumerate(scores):
            axes.plot([min(found.values()), max(found.values())], [line, line], color=_GREY, linewidth=1)
        for name, style in _DOTS.items():
            dots = [(found[name], line) for line, found in enumerate(scores) if name in found]
            if dots:
                axes.plot(*zip(*dots, strict=True), linestyle="", label=names.get(name, name), **style)
        _listed(axes, [group.label(one) for one in shown])
        axes.set_xlabel(what)
        axes.locator_params(axis="x", nbins=6)
        axes.figure.legend(loc="outside upper center", ncols=3, handlelength=1, reverse=True)

    says = f"{capital(what)} by {by}: {'; '.join(told)}."
    return Plot(_one_of("quality", place), f"Quality by {by}", hint, says, 95 + 24 * len(shown), draw)


def _scores(one: Slice) -> dict[str, float]:
    known = {"candidate": one.candidate, "champion": one.champion, "baseline": one.baseline}
    return {name: value for name, value in known.items() if value is not None}


def exposure(evidence: Evidence) -> Plot | None:
    """How the recommendations are spread over the catalogue: all on a few items, or on many."""
    curves = {name: _whole(points) for name, points in evidence.exposure.items()}
    if not curves:
        return None
    told = [f"{name} {percent(_between(points, 0.1))}" for name, points in curves.items()]
    says = f"Of all recommendations, so many fall on the tenth of the catalogue shown most: {', '.join(told)}."
    hint = "Further down, more of the catalogue has its turn; a line that rises at once is the same few items for all."

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#aab2bf", linewidth=1, label="every item as often")
        for name in reversed([name for name in RIVALS if name in curves]):
            axes.plot(*zip(*curves[name], strict=True), label=name, **STYLES[name])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("share of the catalogue, most shown first")
        axes.set_ylabel("share of all recommendations")
        _percents(axes)
        axes.legend(loc="lower right", reverse=True)

    return Plot("exposure", "Exposure of the catalogue", hint, says, 270, draw)


def _whole(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A curve from nothing to all."""
    return sorted({(0.0, 0.0), *points, (1.0, 1.0)})


def _between(points: Sequence[tuple[float, float]], place: float) -> float:
    """The height of a curve at a place, on the line between its points."""
    after = next(index for index, point in enumerate(points) if point[0] >= place)
    (left, low), (right, high) = points[max(0, after - 1)], points[after]
    return high if right == left else low + (high - low) * (place - left) / (right - left)


def candidates(evidence: Evidence) -> Plot | None:
    """How well each kind of model did on the validation part, by which one was chosen."""
    shown = [(one, one.score) for one in evidence.candidates if one.score is not None][:MOST_SLICES]
    if not shown:
        return None
    what = f"{evidence.yardstick.said} on the validation part"
    told = [f"{one.name} {_plain(score)}{', chosen' if one.chosen else ''}" for one, score in shown]
    absent = [one.name for one in evidence.candidates if one.score is None]
    says = f"{capital(what)}: {'; '.join(told)}."
    says += f" Not tried: {', '.join(absent)}." if absent else ""

    def draw(axes: Axes) -> None:
        for place, (one, score) in enumerate(shown):
            axes.barh(place, score, 0.62, color=_BLUE if one.chosen else "white", edgecolor=_BLUE, linewidth=1.4)
            end: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "color": INK}
            axes.annotate(f"{_plain(score)}{' chosen' if one.chosen else ''}", (max(score, 0), place), **end)
        _listed(axes, [one.name for one, _ in shown])
        axes.set_xlabel(what)
        least, most = min(0.0, shown[-1][1]), shown[0][1]  # the best comes first
        axes.set_xlim(1.05 * least, (most if most > 0 else 1.0) * 1.35)

    hint = "Further right is better; the filled one was chosen, and trained again on all training data."
    return Plot("candidates", "Candidates on the validation part", hint, says, 50 + 26 * len(shown), draw)


def slices(evidence: Evidence, place: int = 0) -> Plot | None:
    """The difference in each part, with its interval: to the champion, else to what is reached without skill."""
    group = evidence.groups[place]
    shown = [(one, one.difference) for one in group.slices if one.difference is not None][:MOST_SLICES]
    if not shown:
        return None
    other = "champion" if any(one.champion is not None for one in evidence.slices) else evidence.yardstick.rival
    what, bound = f"{evidence.yardstick.said}, candidate minus {other}", evidence.slice_bound
    least, most = (choose(shown, key=lambda each: each[1]) for choose in (min, max))
    failed = ", ".join(one.name for one in group.slices if one.outcome == "fail")
    says = (
        f"{capital(what)} in {len(shown)} slices: from {signed(least[1])} ({least[0].name}) "
        f"to {signed(most[1])} ({most[0].name}). Failed: {failed or 'none'}."
    )
    hint = "Further right is better: a circle has passed, a cross failed, a hollow one is not decided."

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=_GREY, linewidth=1)
        if bound != 0:
            _bound(axes, bound)
        for line, (one, value) in enumerate(shown):
            marker, color, filled = _OUTCOMES.get(one.outcome, ("o", _GREY, False))
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [line, line], color=color, linewidth=2, solid_capstyle="butt")
            axes.plot([value], [line], marker, color=color, markersize=6, markerfacecolor=color if filled else "white")
        _listed(axes, [group.label(one) for one, _ in shown], room=0.9)
        axes.set_xlabel(what)
        ends = [end for one, _ in shown for end in (one.low, one.high) if end is not None]
        _room(axes, [0, *(value for _, value in shown), *ends, *([] if bound is None else [bound])])

    title = f"Difference by {group.column}" if group.column else "Part by part"
    return Plot(_one_of("slices", place), title, hint, says, 70 + 17 * len(shown), draw)


def _one_of(name: str, place: int) -> str:
    """A plot's name where there are several of a kind."""
    return f"{name}-{place + 1}" if place else name


def _plain(score: float) -> str:
    """A score with as many decimals as it is compared with."""
    return signed(score).removeprefix("+")


def _at(points: Sequence[tuple[float, float]], recall: float) -> float | None:
    """The precision where at least that share is found."""
    return next((precision for found, precision in sorted(points) if found >= recall), None)


def _bound(axes: Axes, bound: float | None) -> None:
    if bound is None:
        return
    axes.axvline(bound, color=_RED, linestyle=(0, (3, 2)), linewidth=1.4)
    where: dict[str, Any] = {
        "xytext": (-4, 0),
        "textcoords": "offset points",
        "ha": "right",
        "va": "top",
        "color": _RED,
    }
    axes.annotate(f"at least {signed(bound)}", (bound, 1), xycoords=("data", "axes fraction"), **where)


def _listed(axes: Axes, names: Sequence[str], room: float = 0.6) -> None:
    """Names from above to below, a line each."""
    axes.set_yticks(range(len(names)), [_cut(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -room)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _room(axes: Axes, values: Sequence[float]) -> None:
    """Some space on both sides, more on the left, where the bound is named."""
    low, high = min(values), max(values)
    wide = high - low or abs(high) or 1.0
    axes.set_xlim(low - 0.25 * wide, high + 0.1 * wide)
    axes.locator_params(axis="x", nbins=6)


def _percents(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _cut(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"

"""The plots of a judgement: how candidate and champion compare, as SVG in a page.

Drawn with matplotlib's objects, never with pyplot, under settings of our own that end with the drawing: the same
evidence gives the same bytes, whatever a user's matplotlibrc says.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, cast

from .evidence import Evidence
from .wording import capital, percent, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY, _INK, _RED = "#0b5cad", "#c2570c", "#6b7686", "#1c2430", "#b3261e"
# Told apart without colour, too: by the line and by the marker.
STYLES: dict[str, dict[str, Any]] = {
    "candidate": {"color": _BLUE, "linestyle": "-"},
    "champion": {"color": _ORANGE, "linestyle": (0, (5, 2))},
}
_MARKERS = {"candidate": "o", "champion": "s"}
_OUTCOMES = {"pass": ("o", _BLUE, True), "fail": ("X", _RED, True)}
_WIDE = 360  # points: on a phone about as many pixels, so that text of 10 points can be read
MOST_SLICES = 24

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#aab2bf",
    "axes.grid": True,
    "axes.labelcolor": "#3a4555",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "font.family": "DejaVu Sans",  # comes with matplotlib, and is wider than what a browser puts in its place
    "font.size": 10,
    "grid.color": "#e6e9ee",
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "ostinato",
    "text.color": _INK,
    "text.parse_math": False,  # a dollar in a stranger's value is a dollar
    "xtick.color": "#55606f",
    "ytick.color": "#55606f",
}
_ALONE = threading.Lock()  # matplotlib's settings are the process's


@dataclass(frozen=True)
class Plot:
    """What can be drawn.

    Attributes:
        name: begins the ids of its parts, and is a file's name; one of a kind on a page.
        hint: how to read it.
        says: the text alternative, with the main numbers.
        height: in points; all are 360 wide.
        draw: draws it.
    """

    name: str
    title: str
    hint: str
    says: str
    height: float
    draw: Callable[[Axes], None]


def plots(evidence: Evidence) -> list[Plot]:
    """The plots that a verdict's evidence gives."""
    found = [make(evidence) for make in (comparison, precision_recall, calibration, slices)]
    return [plot for plot in found if plot is not None]


# --- what there is ------------------------------------------------------------------------------------------------


def comparison(evidence: Evidence) -> Plot | None:
    """By how much the candidate is better than the champion, with the interval and what is demanded of it."""
    found = evidence.comparison
    if found is None:
        return None
    hint = f"The lower end of the interval must reach {signed(found.bound)} (dashed)."
    says = (
        f"Average precision of the candidate minus that of the champion: {signed(found.difference)}, "
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
        axes.set_xlabel("average precision, candidate minus champion")
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


def slices(evidence: Evidence) -> Plot | None:
    """The difference in each part of the rows, with its interval: to the champion, else to the base rate."""
    shown = [(one, one.difference) for one in evidence.slices if one.difference is not None][:MOST_SLICES]
    if not shown:
        return None
    other = "champion" if any(one.champion is not None for one in evidence.slices) else "base rate"
    what, bound = f"average precision, candidate minus {other}", evidence.slice_bound
    least, most = (choose(shown, key=lambda each: each[1]) for choose in (min, max))
    failed = ", ".join(one.name for one in evidence.slices if one.outcome == "fail")
    says = (
        f"{capital(what)} in {len(shown)} slices: from {signed(least[1])} ({least[0].name}) "
        f"to {signed(most[1])} ({most[0].name}). Failed: {failed or 'none'}."
    )
    hint = "Further right is better: a circle has passed, a cross failed, a hollow one is not decided."

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=_GREY, linewidth=1)
        if bound != 0:
            _bound(axes, bound)
        for place, (one, value) in enumerate(shown):
            marker, color, filled = _OUTCOMES.get(one.outcome, ("o", _GREY, False))
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
            axes.plot([value], [place], marker, color=color, markersize=6, markerfacecolor=color if filled else "white")
        axes.set_yticks(range(len(shown)), [_cut(one.name) for one, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.9)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(what)
        ends = [end for one, _ in shown for end in (one.low, one.high) if end is not None]
        _room(axes, [0, *(value for _, value in shown), *ends, *([] if bound is None else [bound])])

    return Plot("slices", "Parts of the rows", hint, says, 70 + 17 * len(shown), draw)


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


def _room(axes: Axes, values: Sequence[float]) -> None:
    """Some space on both sides, more on the left, where the bound is named."""
    low, high = min(values), max(values)
    wide = high - low or abs(high) or 1.0
    axes.set_xlim(low - 0.25 * wide, high + 0.1 * wide)


def _percents(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _cut(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"


# --- drawing ------------------------------------------------------------------------------------------------------


@contextmanager
def _settings() -> Iterator[None]:
    import matplotlib

    with _ALONE, matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph the font lacks is drawn by the browser's
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, _SETTINGS))
        yield


def _figure(plot: Plot) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDE / 72, plot.height / 72), layout="constrained")
    figure.set_facecolor("none")
    axes = figure.subplots()
    plot.draw(axes)
    return figure


def svg(plot: Plot) -> str:
    """The plot as an SVG element to stand in a page: with a text alternative, and ids of its own."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    target = io.StringIO()
    with _settings():
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas: Any = FigureCanvasSVG(_figure(plot))
        canvas.print_svg(target, metadata=nothing)
    return _inline(target.getvalue(), plot)


def png(plot: Plot) -> bytes:
    """The plot as a picture on white, at twice the size, for pages that take no SVG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target = io.BytesIO()
    with _settings():
        figure = _figure(plot)
        figure.set_facecolor("white")
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_figure(target, format="png", dpi=144, metadata={"Software": None})
    return target.getvalue()


def _inline(drawn: str, plot: Plot) -> str:
    """What matplotlib drew without what a page does not need: prolog, namespaces, names of groups, decimals."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(drawn)  # noqa: S314 -- matplotlib wrote it just now
    used = {found for part in root.iter() for value in part.attrib.values() for found in _REFERENCE.findall(value)}
    for part in root.iter():
        part.tag = _local(part.tag)
        told = {_local(name): _attribute(_local(name), value, plot.name, used) for name, value in part.items()}
        part.attrib = {name: value for name, value in told.items() if value is not None}
        part.tail = None
        if part.tag not in ("text", "tspan"):
            part.text = None
    for left in root.findall("defs"):
        if left.find("style") is not None:  # it would be the style of the whole page
            root.remove(left)
    inside = "".join(ElementTree.tostring(part, encoding="unicode") for part in root)
    title, says = f"{plot.name}-title", f"{plot.name}-desc"
    return (
        f'<svg role="img" aria-labelledby="{title} {says}" viewBox="{root.get("viewBox")}" width="{_WIDE}" '
        f'stroke-linejoin="round" stroke-linecap="butt"><title id="{title}">{escape(plot.title)}</title>'
        f'<desc id="{says}">{escape(plot.says)}</desc>{inside}</svg>'
    )


_REFERENCE = re.compile(r"(?:^|url\()#([\w.-]+)")
_FONT = re.compile(r"'DejaVu Sans'[^;]*")
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attribute(name: str, value: str, plot: str, used: set[str]) -> str | None:
    """An attribute as it stands in a page: ids that nothing refers to go, the others begin with the plot's name."""
    if name == "id":
        return f"{plot}-{value}" if value in used else None
    if name == "href":
        return f"#{plot}-{value.removeprefix('#')}"
    value = _FONT.sub(_FONTS, value) if name == "style" else _DECIMALS.sub(r"\1", value)
    return " ".join(value.replace("url(#", f"url(#{plot}-").split())

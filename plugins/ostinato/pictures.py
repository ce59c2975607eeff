"""Pictures in a page: what is to be drawn, and how it becomes SVG or PNG.

Drawn with matplotlib's objects, never with pyplot, under settings of our own that end with the drawing: the same plot
gives the same bytes, whatever a user's matplotlibrc says.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1c2430"
_WIDE = 360  # points: on a phone about as many pixels, so that text of 10 points can be read
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
    "text.color": INK,
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

"""The page's figures: drawn by matplotlib, returned as SVG whose colours and type are the page's
own.

Colours stand for the page's variables, so that one drawing serves light and dark; text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parabench.contracts import Column, Score
from parabench.render.escape import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

INK, MUTED, LINE, ACCENT, PAPER, SOFT = (
    "#010101",
    "#020202",
    "#030303",
    "#040404",
    "#050505",
    "#060606",
)
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    ACCENT: "accent",
    PAPER: "paper",
    SOFT: "soft",
}
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 8.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "grid.color": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify_threshold": 0.2,
}
_MAX_NAME_LENGTH = 24
"""How many characters of a name a figure shows."""
SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class PlanePoint:
    """One system in the plane of change and quality."""

    name: str
    change: Score
    quality: Score
    control: bool


def pareto_front(points: Sequence[PlanePoint], change: Column, quality: Column) -> list[PlanePoint]:
    """The points that no other beats in one column without losing in the other, from most change to
    least.
    """
    signs = tuple(-1.0 if column.better == "down" else 1.0 for column in (change, quality))

    def goods(point: PlanePoint) -> tuple[float, float]:
        return signs[0] * point.change.value, signs[1] * point.quality.value

    front: list[PlanePoint] = []
    for point in sorted(points, key=goods, reverse=True):
        if not front or goods(point)[1] > goods(front[-1])[1]:
            front.append(point)
    return front


def plane_figure(
    points: Sequence[PlanePoint], change: Column, quality: Column, width: float
) -> str:
    """Quality against change with both intervals, the controls as fixed points and the Pareto front
    of the systems.

    Both axes run so that better is up and to the right; ``width`` in inches at 100 pixels.
    """
    front = pareto_front([point for point in points if not point.control], change, quality)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, min(0.72 * width, 4.6)), layout="constrained")
        axes = figure.add_subplot(xlabel=_axis(change), ylabel=_axis(quality))
        axes.grid(True, linewidth=0.6)
        axes.plot(
            [p.change.value for p in front],
            [p.quality.value for p in front],
            color=ACCENT,
            lw=1,
            ls=(0, (4, 3)),
        )
        for point in points:
            _mark(axes, point, point in front)
        axes.margins(0.12)
        axes.xaxis.set_inverted(change.better == "down")
        axes.yaxis.set_inverted(quality.better == "down")
        _place(figure, axes, points)
        return figure_to_svg(figure, f"plane{width}")


def shorten_name(name: str) -> str:
    """A name as a figure has room for it."""
    shown = visible(name)
    return shown if len(shown) <= _MAX_NAME_LENGTH else shown[: _MAX_NAME_LENGTH - 1] + "…"


def _axis(column: Column) -> str:
    return (
        shorten_name(column.name)
        + {"up": " (higher is better)", "down": " (lower is better)", "none": ""}[column.better]
    )


def _mark(axes: Axes, point: PlanePoint, on_front: bool) -> None:
    x, y = point.change, point.quality
    spans = np.array([[[s.value - s.low], [s.high - s.value]] for s in (x, y)])
    spans = np.nan_to_num(np.maximum(spans, 0))
    axes.errorbar(
        x.value,
        y.value,
        xerr=spans[0],
        yerr=spans[1],
        ecolor=LINE if point.control else SOFT,
        lw=1.2,
    )
    color = MUTED if point.control else ACCENT
    filled = on_front or point.control
    marker, size = ("D", 5) if point.control else ("o", 7)
    face = color if filled else PAPER
    axes.plot(
        x.value,
        y.value,
        color=color,
        marker=marker,
        markersize=size,
        markerfacecolor=face,
        zorder=3,
    )


def _place(figure: Figure, axes: Axes, points: Sequence[PlanePoint]) -> None:
    """Write each name beside its point, on the first side where it covers no point and no name."""
    sides = [
        (9, 0),
        (-9, 0),
        (0, 9),
        (0, -9),
        (8, 9),
        (-8, 9),
        (8, -9),
        (-8, -9),
        (8, 20),
        (-8, -20),
        (8, -20),
        (-8, 20),
    ]
    figure.draw_without_rendering()
    taken = [_around(axes.transData.transform((p.change.value, p.quality.value))) for p in points]
    for point in sorted(points, key=lambda point: (-point.quality.value, point.name)):
        labels = (_label(axes, point, side) for side in sides)
        label = _first_free(labels, taken, axes)
        taken.append(_extent(label))


def _label(axes: Axes, point: PlanePoint, side: tuple[int, int]) -> Annotation:
    x, y = side
    return axes.annotate(
        shorten_name(point.name),
        (point.change.value, point.quality.value),
        xytext=side,
        textcoords="offset points",
        ha="left" if x > 0 else "right" if x < 0 else "center",
        va="center" if y == 0 else "bottom" if y > 0 else "top",
        color=MUTED if point.control else INK,
        fontsize=8.5,
        style="italic" if point.control else "normal",
    )


def _first_free(
    labels: Iterator[Annotation], taken: Sequence[mpl.transforms.Bbox], axes: Axes
) -> Annotation:
    first = None
    for label in labels:
        box = _extent(label)
        inside = (
            axes.bbox.x0 <= box.x0
            and box.x1 <= axes.bbox.x1
            and axes.bbox.y0 <= box.y0
            and box.y1 <= axes.bbox.y1
        )
        if inside and not any(box.overlaps(other) for other in taken):
            if first:
                first.remove()
            return label
        if first:
            label.remove()
        first = first or label
    assert first is not None
    return first


def _extent(label: Annotation) -> mpl.transforms.Bbox:
    return label.get_window_extent().padded(1)


def _around(center: np.ndarray) -> mpl.transforms.Bbox:
    return mpl.transforms.Bbox([center - 5, center + 5])


def distribution_figure(
    column: Column, values: Mapping[str, Sequence[float]], controls: frozenset[str]
) -> str:
    """How one column spreads over the examples, a violin for each system with its quartiles,
    undefined left out.
    """
    names = [name for name in values if np.isfinite(values[name]).any()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 0.55 + 0.3 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(reversed(names)):
            data = np.asarray(values[name], float)
            _violin(axes, place, data[np.isfinite(data)], MUTED if name in controls else ACCENT)
        axes.set_yticks(range(len(names)), [shorten_name(name) for name in reversed(names)])
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(True, axis="x", linewidth=0.6)
        axes.set_axisbelow(True)
        return figure_to_svg(figure, visible(f"distribution-{column.name}"))


def _violin(axes: Axes, place: int, data: np.ndarray, color: str) -> None:
    low, middle, high = np.percentile(data, [25, 50, 75])
    if data.max() > data.min():
        drawn: Any = axes.violinplot(
            [data], [place], orientation="horizontal", widths=0.8, showextrema=False, points=60
        )
        drawn["bodies"][0].set(facecolor=color, edgecolor="none", alpha=0.25)
    axes.plot([low, high], [place, place], color=color, lw=2.5, solid_capstyle="butt")
    axes.plot(middle, place, "o", color=color, markerfacecolor=PAPER, markersize=4.5)


def figure_to_svg(figure: Figure, salt: str) -> str:
    """The figure as an SVG element without styles, scripts or links, sized by the page;
    deterministic.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(
            stream,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    root = ElementTree.fromstring(stream.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
        _restyle(parent)
    root.attrib = {"viewBox": root.attrib["viewBox"], "aria-hidden": "true", "focusable": "false"}
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(element: ElementTree.Element) -> None:
    """Styles as attributes, which a content-security policy allows, and stand-in colours as the
    page's variables.
    """
    for pair in element.attrib.pop("style", "").split(";"):
        name, _, value = pair.partition(":")
        if name.strip() == "font":
            element.set("font-size", re.search(r"[\d.]+px", value).group())  # type: ignore[union-attr]
        elif name.strip() and name.strip() != "font-family":
            element.set(name.strip(), value.strip())
    for name, value in list(element.attrib.items()):
        if name in ("fill", "stroke") and value in VARIABLES:
            element.set(name, f"var(--{VARIABLES[value]})")
        if name.startswith("{"):
            element.attrib.pop(name)
            element.set(name.rpartition("}")[2], value)
    if element.tag == f"{{{SVG}}}g":
        element.attrib.pop("id", None)  # several figures stand on one page

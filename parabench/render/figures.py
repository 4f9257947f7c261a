"""The report's figures, drawn by matplotlib in stand-in colours.

``svg`` replaces these by the page's CSS variables, so that one drawing serves light and dark;
``pdf`` by the light ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parabench.contracts import Column, Score
from parabench.render.escape import visible
from parabench.render.labels import PointLabel, Segment, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that nobody would draw with, so that no true colour is taken for a stand-in.
INK, MUTED, LINE = "#010101", "#020202", "#030303"
ACCENT, PAPER, SOFT = "#040404", "#050505", "#060606"
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
_NORMAL, _SMALL = 8.5, 7.0
"""Sizes of names, in points."""
_MAX_NAME_LENGTH = 24
"""Characters of a name that a figure shows."""


@dataclass(frozen=True)
class PlanePoint:
    """One row of the table in the plane of change and quality.

    A ``control`` does not compete; an ``attacker`` is a control that was made to fool metrics, and
    is drawn as a small cross without intervals, and without a name where there is no room for it.
    """

    name: str
    change: Score
    quality: Score
    control: bool
    attacker: bool = False


def pareto_front(
    points: Sequence[PlanePoint],
    change: Column,
    quality: Column,
) -> list[PlanePoint]:
    """The Pareto front, from most change to least.

    A point of ``points`` is on it where no other is better in one column (``change`` or
    ``quality``) and at least as good in the other.
    """
    change_sign = -1.0 if change.better == "down" else 1.0
    quality_sign = -1.0 if quality.better == "down" else 1.0

    def goods(point: PlanePoint) -> tuple[float, float]:
        return change_sign * point.change.value, quality_sign * point.quality.value

    # From most change to least, a point is on the front exactly when its quality is above all
    # that came before it. Of two with equal change the better one comes first.
    front: list[PlanePoint] = []
    for point in sorted(points, key=goods, reverse=True):
        if not front or goods(point)[1] > goods(front[-1])[1]:
            front.append(point)
    return front


def plane_figure(
    points: Sequence[PlanePoint],
    change: Column,
    quality: Column,
    width: float,
) -> Figure:
    """Draw quality against change, with both intervals and the Pareto front.

    Both axes run so that better is up and to the right.

    Args:
        points: systems and controls; controls stand beside the front, not on it.
        change: column of the horizontal axis.
        quality: column of the vertical axis.
        width: inches, of which the page makes 100 pixels each.
    """
    front = pareto_front([point for point in points if not point.control], change, quality)
    with mpl.rc_context(STYLE):
        # A narrow figure is as high as it is wide, so that names have room above each other.
        figure = Figure(figsize=(width, min(width, 4.6)), layout="constrained")
        axes = figure.add_subplot(xlabel=_axis_label(change), ylabel=_axis_label(quality))
        axes.grid(True, linewidth=0.6)
        front_x = [point.change.value for point in front]
        front_y = [point.quality.value for point in front]
        axes.plot(
            front_x,
            front_y,
            color=ACCENT,
            lw=1,
            ls=(0, (4, 3)),
        )
        for point in points:
            _draw_point(axes, point, point in front)
        axes.margins(0.12)
        axes.xaxis.set_inverted(change.better == "down")
        axes.yaxis.set_inverted(quality.better == "down")
        # Names of systems are placed first: where room is short, those of attackers move away.
        labels = sorted(points, key=lambda point: (point.attacker, point.control))
        lines = _front_lines(front) + [bar for point in points for bar in _bar_lines(point)]
        place_labels(figure, axes, list(map(_point_label, labels)), lines)
    return figure


def _front_lines(front: Sequence[PlanePoint]) -> list[Segment]:
    """The dashed line from each point of the front to the next."""
    places = [(point.change.value, point.quality.value) for point in front]
    return list(pairwise(places))


def _bar_lines(point: PlanePoint) -> list[Segment]:
    """The two intervals of a point, as far as they are drawn."""
    x, y = point.change, point.quality
    lines = [((x.low, y.value), (x.high, y.value)), ((x.value, y.low), (x.value, y.high))]
    if point.attacker:
        return []
    return [line for line in lines if np.isfinite(line).all()]


def shorten_name(name: str) -> str:
    """A name cut to what a figure has room for."""
    shown = visible(name)
    return shown if len(shown) <= _MAX_NAME_LENGTH else shown[: _MAX_NAME_LENGTH - 1] + "…"


def _point_label(point: PlanePoint) -> PointLabel:
    return PointLabel(
        text=shorten_name(point.name),
        x=point.change.value,
        y=point.quality.value,
        color=MUTED if point.control else INK,
        style="italic" if point.control else "normal",
        size=_SMALL if point.attacker else _NORMAL,
        optional=point.attacker,
    )


def _axis_label(column: Column) -> str:
    directions = {
        "up": " (higher is better)",
        "down": " (lower is better)",
        "none": "",
    }
    return shorten_name(column.name) + directions[column.better]


def _draw_point(
    axes: Axes,
    point: PlanePoint,
    on_front: bool,
) -> None:
    x, y = point.change.value, point.quality.value
    if point.attacker:
        axes.plot(
            x,
            y,
            color=MUTED,
            marker="x",
            markersize=4,
            zorder=2,
        )
        return
    x_error, y_error = _error_bars(point.change), _error_bars(point.quality)
    bar_color = LINE if point.control else SOFT
    axes.errorbar(
        x,
        y,
        xerr=x_error,
        yerr=y_error,
        ecolor=bar_color,
        lw=1.2,
    )
    color = MUTED if point.control else ACCENT
    is_filled = on_front or point.control
    axes.plot(
        x,
        y,
        color=color,
        marker="D" if point.control else "o",
        markersize=5 if point.control else 7,
        markerfacecolor=color if is_filled else PAPER,
        zorder=3,
    )


def _error_bars(score: Score) -> Float[np.ndarray, "2 1"]:
    """Distances of the ends of an interval from its value, as matplotlib takes them.

    A bootstrap interval need not hold its value, and may be undefined; matplotlib takes neither a
    negative length nor NaN, so both are drawn as no bar.
    """
    distances = np.array([[score.value - score.low], [score.high - score.value]])
    return np.nan_to_num(np.maximum(distances, 0))


def distribution_figure(
    column: Column,
    values: Mapping[str, Sequence[float]],
    controls: frozenset[str],
) -> Figure:
    """Draw how a column spreads over the examples, a violin for each system.

    Args:
        column: what is drawn.
        values: one number an example, by system; undefined ones are left out.
        controls: the systems drawn in grey.
    """
    names = [name for name in values if np.isfinite(values[name]).any()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 0.55 + 0.3 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        # The vertical axis runs upwards, so the first system is drawn last, at the top.
        for place, name in enumerate(reversed(names)):
            numbers = np.asarray(values[name], float)
            defined = numbers[np.isfinite(numbers)]
            _draw_violin(
                axes,
                place,
                defined,
                MUTED if name in controls else ACCENT,
            )
        labels = [shorten_name(name) for name in reversed(names)]
        axes.set_yticks(range(len(names)), labels)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(True, axis="x", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def _draw_violin(
    axes: Axes,
    place: int,
    numbers: Float[np.ndarray, " N"],
    color: str,
) -> None:
    """Draw a violin with its quartiles: a bar over the middle half, a ring at the median."""
    low, middle, high = np.percentile(numbers, [25, 50, 75])
    # A density cannot be estimated from numbers that are all the same.
    if numbers.max() > numbers.min():
        drawn: Any = axes.violinplot(
            [numbers],
            [place],
            orientation="horizontal",
            widths=0.8,
            showextrema=False,
            points=60,
        )
        drawn["bodies"][0].set(facecolor=color, edgecolor="none", alpha=0.25)
    axes.plot(
        [low, high],
        [place, place],
        color=color,
        lw=2.5,
        solid_capstyle="butt",
    )
    axes.plot(
        middle,
        place,
        "o",
        color=color,
        markerfacecolor=PAPER,
        markersize=4.5,
    )

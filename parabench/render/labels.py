"""Names beside the points of a figure, placed so that they cover no point and no other name.

A name that has no room beside its point is put further away, and a thin line leads to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from matplotlib.transforms import Bbox, BboxBase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

_RADII = (8, 13, 20, 29, 40, 53, 68)
"""Distances of a name from its point, in points of 1/72 inch."""
_ANGLES = (35, 145, -35, -145, 0, 180, 90, -90, 60, 120, -60, -120)
"""Directions of a name from its point, in degrees, the best first.

Slanted ones come first: intervals run through the point from left to right and from top to bottom.
"""
_LED = 16
"""From this distance on a line leads from the point to its name."""
_OPTIONAL_RADIUS = 20
"""The farthest that an optional name is put; where there is no room it is left off."""
_MARK = 6
"""Half the side of the square, in pixels, that a mark covers and no name may."""
_CROSSING = 6.0
"""What a name that crosses a line costs, in points of distance."""
_STEP = 4.0
"""Pixels between the places at which a line is looked at."""

Segment = tuple[tuple[float, float], tuple[float, float]]
"""The two ends of a line, each x and y in the units of the axes."""


@dataclass(frozen=True)
class PointLabel:
    """A name and the point that it belongs to.

    ``x`` and ``y`` are in the units of the axes, ``size`` in points. An ``optional`` name is left
    off where there is no room beside its point.
    """

    text: str
    x: float
    y: float
    color: str
    style: Literal["normal", "italic"]
    size: float = 8.5
    optional: bool = False


@dataclass(frozen=True)
class _Place:
    """Where a name may be.

    ``offset`` is from its point, in points of 1/72 inch, ``box`` what it covers, in pixels.
    """

    offset: tuple[float, float]
    box: Bbox
    cost: float


def place_labels(
    figure: Figure,
    axes: Axes,
    labels: Sequence[PointLabel],
    lines: Sequence[Segment] = (),
) -> None:
    """Write each name at the nearest place where it covers nothing.

    Args:
        figure: laid out here, since places on the canvas are known only after that.
        axes: on which the points have been drawn, with limits that no longer change.
        labels: one for each point, in the order in which they are placed: the first have their
            names closest.
        lines: that have been drawn, which names avoid where that costs little.
    """
    figure.draw_without_rendering()
    pixels = figure.dpi / 72
    centers = [axes.transData.transform((label.x, label.y)) for label in labels]
    marks = list(map(_box_around, centers))
    drawn = _points_along(axes, lines)
    names: list[Bbox] = []
    for label, center in zip(labels, centers, strict=True):
        size = _text_size(axes, label)
        places = _places(label, center, size, pixels, drawn)
        others = [other for other in centers if other is not center]
        free = []
        for place in places:
            is_free = _is_free(place, center, marks, names, axes.bbox)
            if is_free and _is_nearest(place, center, others):
                free.append(place)
        if not free and label.optional:
            continue
        # Where nothing is free the nearest place is taken: a name is not left off.
        best = min(free or places, key=lambda place: place.cost)
        _annotate(axes, label, best.offset)
        names.append(best.box)


def _text_size(axes: Axes, label: PointLabel) -> tuple[float, float]:
    """Width and height of a name in pixels; it is drawn for that, and taken off again."""
    annotation = _annotate(axes, label, (_RADII[0], _RADII[0]))
    extent = annotation.get_window_extent()
    annotation.remove()
    return extent.width, extent.height


def _places(
    label: PointLabel,
    center: Float[np.ndarray, " 2"],
    size: tuple[float, float],
    pixels: float,
    drawn: Float[np.ndarray, "M 2"],
) -> list[_Place]:
    """All places that a name may have, with what each costs."""
    _, height = size
    farthest = _OPTIONAL_RADIUS if label.optional else max(_RADII)
    radii = [radius for radius in _RADII if radius <= farthest]
    found = []
    for radius in radii:
        for preference, angle in enumerate(_ANGLES):
            turned = math.radians(angle)
            offset = radius * math.cos(turned), radius * math.sin(turned)
            anchor = center + np.array(offset) * pixels
            box = _box_at(anchor, size, offset)
            # A line counts once for each few pixels of it that the name covers.
            covered = _count_within(box, drawn) * _STEP / height
            cost = radius + 0.2 * preference + _CROSSING * covered
            found.append(_Place(offset, box, cost))
    return found


def _box_at(
    anchor: Float[np.ndarray, " 2"],
    size: tuple[float, float],
    offset: tuple[float, float],
) -> Bbox:
    """What a name of this ``size`` covers that is anchored on the side towards its point."""
    width, height = size
    # From the anchor to the left and lower edges of the box.
    to_left = {"left": 0.0, "center": -width / 2, "right": -width}
    to_bottom = {"bottom": 0.0, "center": -height / 2, "top": -height}
    x = float(anchor[0]) + to_left[_horizontal(offset)]
    y = float(anchor[1]) + to_bottom[_vertical(offset)]
    return Bbox([[x, y], [x + width, y + height]]).padded(1)


def _is_free(
    place: _Place,
    center: Float[np.ndarray, " 2"],
    marks: Sequence[Bbox],
    names: Sequence[Bbox],
    canvas: BboxBase,
) -> bool:
    """Whether a name there is within the axes, covers nothing, and is led to past the others."""
    if not _inside(canvas, place.box):
        return False
    if any(place.box.overlaps(other) for other in (*marks, *names)):
        return False
    if not _is_led(place.offset):
        return True
    # The line ends at the nearest corner or side of the name.
    end = np.clip(center, place.box.min, place.box.max)
    along = _between(center, end)
    return not any(_count_within(other, along) for other in names)


def _is_nearest(
    place: _Place,
    center: Float[np.ndarray, " 2"],
    others: Sequence[Float[np.ndarray, " 2"]],
) -> bool:
    """Whether no other point is nearer to a name that no line leads to."""
    if _is_led(place.offset):
        return True
    own = _distance(place.box, center)
    return all(own < _distance(place.box, other) for other in others)


def _distance(box: BboxBase, point: Float[np.ndarray, " 2"]) -> float:
    nearest = np.clip(point, box.min, box.max)
    return float(np.hypot(*(point - nearest)))


def _is_led(offset: tuple[float, float]) -> bool:
    return math.hypot(*offset) > _LED


def _annotate(
    axes: Axes,
    label: PointLabel,
    offset: tuple[float, float],
) -> Annotation:
    line = None
    if _is_led(offset):
        # The line is as thin as an axis, and ends at the edge of the mark.
        line = {"arrowstyle": "-", "color": label.color, "lw": 0.5, "shrinkA": 0, "shrinkB": 4}
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha=_horizontal(offset),
        va=_vertical(offset),
        color=label.color,
        fontsize=label.size,
        style=label.style,
        arrowprops=line,
    )


def _horizontal(offset: tuple[float, float]) -> Literal["left", "center", "right"]:
    x, y = offset
    if abs(x) < 0.3 * abs(y):
        return "center"
    return "left" if x > 0 else "right"


def _vertical(offset: tuple[float, float]) -> Literal["bottom", "center", "top"]:
    x, y = offset
    if abs(y) < 0.3 * abs(x):
        return "center"
    return "bottom" if y > 0 else "top"


def _points_along(axes: Axes, lines: Sequence[Segment]) -> Float[np.ndarray, "M 2"]:
    """Places in pixels, a few apart, along every line."""
    found = [np.zeros((0, 2))]
    for line in lines:
        start, end = axes.transData.transform(np.asarray(line, float))
        found.append(_between(start, end))
    return np.concatenate(found)


def _between(
    start: Float[np.ndarray, " 2"],
    end: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "M 2"]:
    """Places from ``start`` to ``end``, in pixels, ``_STEP`` or less apart."""
    count = 2 + int(np.hypot(*(end - start)) / _STEP)
    return np.linspace(start, end, count)


def _count_within(box: BboxBase, places: Float[np.ndarray, "M 2"]) -> int:
    within = (places > box.min) & (places < box.max)
    return int(within.all(axis=1).sum())


def _inside(outer: BboxBase, inner: Bbox) -> bool:
    within_width = outer.x0 <= inner.x0 and inner.x1 <= outer.x1
    within_height = outer.y0 <= inner.y0 and inner.y1 <= outer.y1
    return within_width and within_height


def _box_around(center: Float[np.ndarray, " 2"]) -> Bbox:
    """The square that a mark covers."""
    return Bbox([center - _MARK, center + _MARK])

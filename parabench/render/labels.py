"""Names beside the points of a figure, placed so that they cover no point and no other name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matplotlib.transforms import Bbox, BboxBase

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

_OFFSETS = [
    (6, 6),
    (-6, 6),
    (6, -6),
    (-6, -6),
    (9, 0),
    (-9, 0),
    (0, 9),
    (0, -9),
    (8, 18),
    (-8, -18),
    (8, -18),
    (-8, 18),
    (20, 30),
    (-20, -30),
    (20, -30),
    (-20, 30),
]
"""Where a name may stand from its point, x and y in points of 1/72 inch, the best first.

Corners come first: intervals run through the point from left to right and from top to bottom.
"""


@dataclass(frozen=True)
class PointLabel:
    """A name and the point that it belongs to.

    ``x`` and ``y`` are in the units of the axes, ``size`` in points.
    """

    text: str
    x: float
    y: float
    color: str
    style: Literal["normal", "italic"]
    size: float = 8.5


def place_labels(
    figure: Figure,
    axes: Axes,
    labels: Sequence[PointLabel],
) -> None:
    """Write each name at the first offset from its point where it covers nothing.

    Args:
        figure: laid out here, since places on the canvas are known only after that.
        axes: on which the points have been drawn, with limits that no longer change.
        labels: one for each point, in the order in which they are placed: the first have their
            names closest.
    """
    figure.draw_without_rendering()
    centers = [axes.transData.transform((label.x, label.y)) for label in labels]
    taken = list(map(_box_around, centers))
    for label in labels:
        candidates = (_annotate(axes, label, offset) for offset in _OFFSETS)
        annotation = _first_free(candidates, taken, axes)
        taken.append(_extent(annotation))


def _annotate(
    axes: Axes,
    label: PointLabel,
    offset: tuple[int, int],
) -> Annotation:
    x, y = offset
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha="left" if x > 0 else "right" if x < 0 else "center",
        va="center" if y == 0 else "bottom" if y > 0 else "top",
        color=label.color,
        fontsize=label.size,
        style=label.style,
    )


def _first_free(
    candidates: Iterator[Annotation],
    taken: Sequence[Bbox],
    axes: Axes,
) -> Annotation:
    """The first label that is within the axes and covers nothing; the very first where none is.

    Each candidate is drawn when it is asked for, and taken off again where another is chosen.
    """
    fallback = None
    for annotation in candidates:
        box = _extent(annotation)
        covers = any(box.overlaps(other) for other in taken)
        if _inside(axes.bbox, box) and not covers:
            if fallback:
                fallback.remove()
            return annotation
        if fallback:
            annotation.remove()
        else:
            fallback = annotation
    assert fallback is not None
    return fallback


def _inside(outer: BboxBase, inner: Bbox) -> bool:
    within_width = outer.x0 <= inner.x0 and inner.x1 <= outer.x1
    within_height = outer.y0 <= inner.y0 and inner.y1 <= outer.y1
    return within_width and within_height


def _extent(annotation: Annotation) -> Bbox:
    return annotation.get_window_extent().padded(1)


def _box_around(center: Float[np.ndarray, " 2"]) -> Bbox:
    """The ten pixels square that a mark covers, which no name may cover."""
    return Bbox([center - 5, center + 5])

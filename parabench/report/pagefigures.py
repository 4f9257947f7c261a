"""The figures of the report page: quality against change, and how each column spreads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from parabench.contracts import Column
from parabench.render.escape import visible
from parabench.report.board import main_columns, ordered_rows
from parabench.report.cells import interval_ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from parabench.render.figures import PlanePoint
    from parabench.report.board import LeaderboardRow
    from parabench.report.pagedata import PageData

_WIDTHS = (6.6, 3.9)
"""Inches of the plane, wide and narrow; the page shows one of the two, by its own width."""

FEWEST_DRAWN = 10
"""Examples below which the page has no figures: what the few values are stands in its tables."""


@dataclass(frozen=True)
class Plane:
    """What the plane of change and quality shows.

    ``front`` has the systems that no other beats on both axes, ``left_out`` those that lack a
    value, or an answer to some example.
    """

    change: Column
    quality: Column
    points: Sequence[PlanePoint]
    front: Sequence[str]
    left_out: Sequence[str] = ()

    @property
    def has_intervals(self) -> bool:
        """Whether any row has an interval; rows of few examples have none."""
        return any(interval_ends(point.change) for point in self.points)


def page_figures(data: PageData) -> dict[str, Any]:
    """The plane, and a distribution for every main column that has values, as SVG elements.

    Without any figure where fewer than ``FEWEST_DRAWN`` examples were scored.
    """
    if 0 < data.total < FEWEST_DRAWN:
        why = f"{data.total} examples are too few to draw"
        return {"plane": None, "why_no_plane": why, "distributions": []}
    # matplotlib takes a second to import; pages alone need it.
    from parabench.render.figures import plane_figure
    from parabench.render.svg import figure_to_svg

    # Of all columns they would be most of the page, and of the time that it takes.
    drawn = []
    for column, figure in distribution_figures(data, main_columns(data.board)):
        svg = figure_to_svg(figure, visible(f"distribution-{column.name}"))
        drawn.append((column, Markup(svg)))
    plane = find_plane(data)
    if plane is None:
        return {"plane": None, "why_no_plane": _why_no_plane(data), "distributions": drawn}
    drawings = []
    for width in _WIDTHS:
        figure = plane_figure(plane.points, plane.change, plane.quality, width)
        drawings.append(Markup(figure_to_svg(figure, f"plane{width}")))
    return {
        "plane": {
            "change": plane.change,
            "quality": plane.quality,
            "front": plane.front,
            "intervals": plane.has_intervals,
            "left_out": plane.left_out,
            "attackers": any(point.attacker for point in plane.points),
            "drawings": drawings,
        },
        "distributions": drawn,
    }


def distribution_figures(
    data: PageData,
    columns: Sequence[Column],
) -> Iterator[tuple[Column, Figure]]:
    """How each of some columns spreads over the examples; those without values are left out."""
    from parabench.render.figures import distribution_figure

    board = data.board
    controls = frozenset(row.system for row in board.rows if row.control)
    names = []
    for row in ordered_rows(board):
        # Attackers would double the height of every figure, and say nothing about systems.
        if row.system in data.values and data.shows(row):
            names.append(row.system)
    for column in columns:
        values = {name: data.values[name].get(column.name, ()) for name in names}
        if _has_values(values):
            yield column, distribution_figure(column, values, controls)


def _has_values(values: Mapping[str, Sequence[float]]) -> bool:
    return any(np.isfinite(np.asarray(numbers, float)).any() for numbers in values.values())


def find_plane(data: PageData) -> Plane | None:
    """What the plane shows; None where no row has a value on both axes.

    Every control is in it: people and the copied source as marks to compare with, the others as
    attackers. A row that has not answered all examples is left out.
    """
    from parabench.render.figures import pareto_front

    change, quality = plane_axes(data)
    if change is None or quality is None:
        return None
    points = []
    left_out = []
    for row in ordered_rows(data.board):
        point = _plane_point(data, row, change, quality)
        if point is not None:
            points.append(point)
        elif not row.control:
            left_out.append(row.system)
    if not points:
        return None
    # Controls do not compete: people would be the whole front, and nobody could reach it.
    systems = [point for point in points if not point.control]
    front = pareto_front(systems, change, quality)
    return Plane(
        change,
        quality,
        points,
        [point.name for point in front],
        left_out,
    )


def _plane_point(
    data: PageData,
    row: LeaderboardRow,
    change: Column,
    quality: Column,
) -> PlanePoint | None:
    """A row in the plane; None where it is incomplete or a value is undefined."""
    from parabench.render.figures import PlanePoint

    x = row.scores.get(change.name)
    y = row.scores.get(quality.name)
    if row.scored < row.asked or x is None or y is None:
        return None
    if not (math.isfinite(x.value) and math.isfinite(y.value)):
        return None
    is_attacker = row.control and not data.shows(row)
    return PlanePoint(
        row.system,
        x,
        y,
        row.control,
        is_attacker,
    )


def _why_no_plane(data: PageData) -> str:
    change, quality = plane_axes(data)
    if change is None:
        return (
            "no column that says what is better compares texts with their source, as src_bleu does"
        )
    if quality is None:
        return "no column that says what is better compares texts with references, as bleu does"
    return f"no row has a value in both {change.name} and {quality.name}"


def plane_axes(data: PageData) -> tuple[Column | None, Column | None]:
    """The columns of change and of quality.

    They are those that ``data`` names, else the first against the source and the first against
    references. Overlap with the source counts as change when lower is better.
    """
    columns = [*main_columns(data.board), *data.board.columns]

    def first(name: str, against: str) -> Column | None:
        for column in columns:
            is_wanted = column.against == against and column.better != "none"
            if column.name == name if name else is_wanted:
                return column
        return None

    return first(data.change, "source"), first(data.quality, "reference")

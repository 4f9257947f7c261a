"""The report page: one self-contained HTML file of a finished comparison, made from data alone.

Foreign text reaches the page in two ways only: autoescaped by jinja2, or in one block of JSON that
the page's script shows as text. The page may run its own script and style, by their hashes, and
nothing else.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from parabench.contracts import Column, Score
from parabench.render.escape import visible
from parabench.render.templating import (
    CSP_CLOSED,
    csp_hash,
    load_template,
    script_json,
    template_text,
)
from parabench.report import board as boards
from parabench.report.board import Leaderboard, LeaderboardRow, flatten_facts
from parabench.report.pagedata import PageData
from parabench.report.sample_browser import sample_browser_data

SIGNIFICANCE_LEVEL = 0.05
"""A pair of systems whose adjusted p-value is below this is told apart."""


def page_html(data: PageData) -> str:
    """The page as one HTML document; the same data gives the same bytes."""
    style, script = (
        template_text("parabench.render", "page.css"),
        template_text("parabench.report", "page.js"),
    )
    signatures = data.board.signatures
    return load_template(
        "parabench.report",
        "page.html.j2",
        visible=visible,
        rank=boards.rank_text,
        count=boards.count_text,
    ).render(
        data=data,
        board=data.board,
        rows=boards.ordered_rows(data.board),
        main={column.name for column in boards.main_columns(data.board)},
        groups=column_groups(data.board),
        ids={column.name: f"about-{place}" for place, column in enumerate(data.board.columns)},
        cell=lambda row, column: table_cell(data.board, row, column),
        figures=page_figures(data),
        matrix=pairwise_matrix(data),
        level=SIGNIFICANCE_LEVEL,
        gaps=boards.missing_values_note(data.board),
        facts=boards.row_facts(data.board),
        reading=boards.reader_notes(data.board),
        undefined={
            column.name: sum(
                row.scores[column.name].undefined
                for row in data.board.rows
                if column.name in row.scores
            )
            for column in data.board.columns
        },
        shown={row.system for row in data.board.rows if data.shows(row)},
        signed=[
            (name, list(group))
            for name, group in groupby(data.board.columns, lambda c: signatures.get(c.name, ""))
        ],
        provenance=list(flatten_facts(data.board.provenance)),
        against=boards.AGAINST,
        arrows=boards.ARROWS,
        samples=Markup(script_json(sample_browser_data(data))),
        style=Markup(style),
        script=Markup(script),
        policy="; ".join(
            [
                "default-src 'none'",
                f"style-src {csp_hash(style)}",
                f"script-src {csp_hash(script)}",
                *CSP_CLOSED,
            ]
        ),
    )


def column_groups(board: Leaderboard) -> list[tuple[str, list[Column]]]:
    """The headline by itself, then the other columns by what they compare with, main ones first in
    each group.
    """
    main = boards.main_columns(board)
    rest = sorted(board.columns, key=lambda column: column not in main)
    groups = [("headline", [column for column in main if column.name == board.headline])]
    for against in boards.AGAINST:
        groups.append(
            (against, [c for c in rest if c.against == against and c.name != board.headline])
        )
    return [(name, columns) for name, columns in groups if columns]


def table_cell(board: Leaderboard, row: LeaderboardRow, column: Column) -> dict[str, Any]:
    """One cell: text, sorting key, and the ends and middle of its whisker in percent of the
    column's range.
    """
    score = row.scores.get(column.name)
    value, interval = boards.score_text(score, column)
    ends = [
        end
        for other in board.rows
        if column.name in other.scores
        for end in _ends(other.scores[column.name])
    ]
    low, span = (min(ends), max(ends) - min(ends)) if ends else (0.0, 0.0)
    whisker = (
        [round(2 + 96 * (end - low) / span, 1) for end in _ends(score)]
        if score and span > 0
        else []
    )
    key = score.value if score and math.isfinite(score.value) else None
    return {
        "value": value,
        "interval": interval,
        "whisker": whisker,
        "key": key,
        "top": boards.is_top(board, row, column),
    }


def _ends(score: Score) -> list[float]:
    """Low, value, high; nothing where one of them is undefined."""
    ends = [score.low, score.value, score.high]
    return ends if all(map(math.isfinite, ends)) else []


# ---- figures


def page_figures(data: PageData) -> dict[str, Any]:
    """The plane, wide and narrow (None without such values), and a distribution for every column
    that has values.
    """
    from parabench.render.figures import distribution_figure

    controls = frozenset(row.system for row in data.board.rows if row.control)
    names = [
        row.system
        for row in boards.ordered_rows(data.board)
        if row.system in data.values and data.shows(row)
    ]
    main = boards.main_columns(data.board)
    columns = [*main, *(column for column in data.board.columns if column not in main)]
    drawn = []
    for column in columns:
        values = {name: data.values[name].get(column.name, ()) for name in names}
        if any(np.isfinite(np.asarray(numbers, float)).any() for numbers in values.values()):
            drawn.append(
                (column, Markup(distribution_figure(column, values, controls)), column in main)
            )
    return {"plane": _plane(data), "distributions": drawn}


def _plane(data: PageData) -> dict[str, Any] | None:
    from parabench.render.figures import PlanePoint, pareto_front, plane_figure

    change, quality = plane_axes(data)
    if change is None or quality is None:
        return None
    points = [
        PlanePoint(row.system, row.scores[change.name], row.scores[quality.name], row.control)
        for row in boards.ordered_rows(data.board)
        if row.scored == row.asked
        and data.shows(row)
        and all(
            _ends(row.scores[c.name]) if c.name in row.scores else () for c in (change, quality)
        )
    ]
    if not points:
        return None
    front = pareto_front([point for point in points if not point.control], change, quality)
    drawn = [Markup(plane_figure(points, change, quality, width)) for width in (6.6, 4.2)]
    return {
        "change": change,
        "quality": quality,
        "front": [point.name for point in front],
        "drawings": drawn,
    }


def plane_axes(data: PageData) -> tuple[Column | None, Column | None]:
    """The columns of change and of quality: those named, else the first against the source and
    against references.

    Overlap with the source counts as change when lower is better.
    """
    columns = [*boards.main_columns(data.board), *data.board.columns]

    def first(name: str, against: str) -> Column | None:
        wanted = [
            c
            for c in columns
            if (c.name == name if name else c.against == against and c.better != "none")
        ]
        return wanted[0] if wanted else None

    return first(data.change, "source"), first(data.quality, "reference")


# ---- pairs


def pairwise_matrix(data: PageData) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """For every system against every other: the difference on the headline, its interval, p and the
    verdict.
    """
    column = next((c for c in data.board.columns if c.name == data.board.headline), None)
    if column is None:
        return []
    pairs = {(c.first, c.second): (c.difference, c.low, c.high, c.p) for c in data.comparisons}
    pairs |= {(c.second, c.first): (-c.difference, -c.high, -c.low, c.p) for c in data.comparisons}
    names = [
        row.system
        for row in boards.ordered_rows(data.board)
        if any(row.system in pair for pair in pairs)
    ]
    return [(name, [_pair(pairs.get((name, other)), column) for other in names]) for name in names]


def _pair(pair: tuple[float, float, float, float] | None, column: Column) -> dict[str, Any] | None:
    if pair is None or not math.isfinite(pair[3]):
        return None
    difference, low, high, p = pair
    ahead = difference < 0 if column.better == "down" else difference > 0
    verdict = "even" if p >= SIGNIFICANCE_LEVEL else "ahead" if ahead else "behind"
    value, interval = boards.score_text(Score(difference, low, high, ""), column)
    return {
        "value": value if difference < 0 else f"+{value}",
        "interval": interval,
        "p": f"{p:.2g}",
        "verdict": verdict,
    }

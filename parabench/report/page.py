"""The report page: one self-contained HTML file of a finished comparison, made from data alone.

Foreign text reaches the page in two ways only: autoescaped by jinja2, or in one block of JSON that
the page's script shows as text. The page may run its own script and style, by their hashes, and
nothing else.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import groupby
from typing import Any

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
from parabench.report.board import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    Leaderboard,
    LeaderboardRow,
    flatten_facts,
    gives_intervals,
    headline_column,
    main_columns,
    ordered_rows,
)
from parabench.report.cautions import cautions
from parabench.report.cells import (
    AGAINST,
    ARROWS,
    count_text,
    interval_ends,
    is_top,
    rank_text,
    score_text,
    shared_facts_note,
    split_facts,
)
from parabench.report.faults import system_faults
from parabench.report.notes import (
    interval_note,
    missing_values_note,
    reader_notes,
    shown_provenance,
)
from parabench.report.pagedata import PageData
from parabench.report.pagefigures import page_figures
from parabench.report.picks import picked_sentences
from parabench.report.sample_browser import sample_browser_data
from parabench.report.trainings import known_trainings
from parabench.report.verdict import HUMAN, verdict


def page_html(data: PageData) -> str:
    """The page as one HTML document; the same data gives the same bytes."""
    style = template_text("parabench.render", "page.css")
    script = template_text("parabench.report", "page.js")
    allowed = [f"style-src {csp_hash(style)}", f"script-src {csp_hash(script)}"]
    page = load_template(
        "parabench.report",
        "page.html.j2",
        visible=visible,
        rank=rank_text,
        count=count_text,
    )
    return page.render(
        **_table_context(data.board),
        data=data,
        figures=page_figures(data),
        faults=system_faults(data),
        picks=picked_sentences(data),
        trainings=known_trainings(data),
        matrix=pairwise_matrix(data),
        level=SIGNIFICANCE_LEVEL,
        shown={row.system for row in data.board.rows if data.shows(row)},
        samples=Markup(script_json(sample_browser_data(data))),
        style=Markup(style),
        script=Markup(script),
        policy="; ".join(["default-src 'none'", *allowed, *CSP_CLOSED]),
    )


def _table_context(board: Leaderboard) -> dict[str, Any]:
    """What the template says about the leaderboard itself."""
    # Facts that all rows share are a line above the table, the others columns of it.
    facts, _ = split_facts(board)
    signatures = board.signatures
    by_signature = groupby(board.columns, lambda column: signatures.get(column.name, ""))
    return {
        "board": board,
        "verdict": list(map(_unbroken, verdict(board))),
        "cautions": list(map(_unbroken, cautions(board))),
        "rows": ordered_rows(board),
        "main": {column.name for column in main_columns(board)},
        "groups": column_groups(board),
        "ids": {column.name: f"about-{place}" for place, column in enumerate(board.columns)},
        "cell": lambda row, column: table_cell(board, row, column),
        "gaps": missing_values_note(board),
        "facts": facts,
        "shared_facts": shared_facts_note(board),
        "intervals": _unbroken(interval_note(board)),
        "reading": list(map(_unbroken, reader_notes(board))),
        "undefined": {column.name: _undefined_count(board, column) for column in board.columns},
        "signed": [(name, list(columns)) for name, columns in by_signature],
        "provenance": list(flatten_facts(shown_provenance(board))),
        "against": AGAINST,
        "arrows": ARROWS,
    }


def _unbroken(sentence: str) -> str:
    """The sentence with a number and its percent sign on one line."""
    return re.sub(r"(?<=\d) %", "\u00a0%", sentence)


def _undefined_count(board: Leaderboard, column: Column) -> int:
    scores = [row.scores.get(column.name) for row in board.rows]
    return sum(score.undefined for score in scores if score)


def column_groups(board: Leaderboard) -> list[tuple[str, list[Column]]]:
    """The headline by itself, then the other columns by what they compare with.

    Within a group main columns come first.
    """
    main = main_columns(board)
    # Sorting is stable: main columns come first, each part in the order of the board.
    rest = sorted(board.columns, key=lambda column: column not in main)
    groups = [("headline", [column for column in main if column.name == board.headline])]
    for against in AGAINST:
        members = [c for c in rest if c.against == against and c.name != board.headline]
        groups.append((against, members))
    return [(name, columns) for name, columns in groups if columns]


def table_cell(
    board: Leaderboard,
    row: LeaderboardRow,
    column: Column,
) -> dict[str, Any]:
    """One cell: its text, its sorting key, and its whisker.

    ``board`` gives the scale of the whisker: its ends and middle are percent of the range that the
    intervals of the ``column`` span, so that those of different rows can be compared by eye. What
    is below 0 or above 100 is off the scale.
    """
    score = row.scores.get(column.name)
    value, interval = score_text(score, column)
    scale = _whisker_scale(board, column)
    whisker = []
    if score and scale:
        low, high = scale
        # Two percent are left at each side, so that no stroke is cut off.
        whisker = [round(2 + 96 * (end - low) / (high - low), 1) for end in interval_ends(score)]
    return {
        "value": value,
        "interval": interval,
        "whisker": whisker,
        "key": score.value if score and math.isfinite(score.value) else None,
        "top": is_top(board, row, column),
    }


def _whisker_scale(board: Leaderboard, column: Column) -> tuple[float, float] | None:
    """The lowest and the highest end of the intervals of systems and people; None without two.

    Controls that are made to fail are left out: one of them may be so far away that all systems
    would be drawn in one place.
    """
    ends = []
    for row in board.rows:
        score = row.scores.get(column.name)
        if score and (not row.control or row.system == HUMAN):
            ends += interval_ends(score)
    if not ends or max(ends) == min(ends):
        return None
    return min(ends), max(ends)


# ---- pairs


def pairwise_matrix(data: PageData) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """Every system against every other on the headline: difference, interval, p and outcome."""
    column = headline_column(data.board)
    if column is None:
        return []
    pairs = {}
    for one in data.comparisons:
        pairs[one.first, one.second] = one
        # The other way round the interval is mirrored, so that its ends change places.
        pairs[one.second, one.first] = replace(
            one, difference=-one.difference, low=-one.high, high=-one.low
        )
    # Controls but the human are not tested, so they have no row here.
    compared = {name for pair in pairs for name in pair}
    names = [row.system for row in ordered_rows(data.board) if row.system in compared]
    matrix = []
    for name in names:
        cells = [
            _pair(pairs.get((name, other)), column, gives_intervals(data.board)) for other in names
        ]
        matrix.append((name, cells))
    return matrix


def _pair(pair: Comparison | None, column: Column, with_interval: bool) -> dict[str, Any] | None:
    # Without a finite p nothing was tested: the column is undefined for one of the two.
    if pair is None or not math.isfinite(pair.p):
        return None
    is_better = pair.difference < 0 if column.better == "down" else pair.difference > 0
    told_apart = "ahead" if is_better else "behind"
    value, interval = score_text(Score(pair.difference, pair.low, pair.high, ""), column)
    return {
        "value": value if pair.difference < 0 else f"+{value}",
        "interval": interval if with_interval else "",
        "p": f"{pair.p:.2g}",
        "verdict": told_apart if pair.is_real else "even",
    }

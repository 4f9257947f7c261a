"""What the page's sample browser shows: every text as runs of differences from its source, values
and flags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from parabench.contracts import Column
from parabench.render.diff import is_copy, word_diff
from parabench.render.escape import visible
from parabench.report import board as boards

if TYPE_CHECKING:
    from parabench.report.pagedata import PageData


def sample_browser_data(data: PageData) -> dict[str, Any]:
    """All of it as one JSON-ready object; systems in leaderboard order, numbers one digit finer
    than shown.
    """
    rows = [row for row in boards.ordered_rows(data.board) if row.system in data.texts]
    return {
        "headline": data.board.headline,
        "columns": [
            {"name": c.name, "better": c.better, "digits": c.digits} for c in data.board.columns
        ],
        "systems": [
            {"name": visible(row.system), "control": row.control, "shown": data.shows(row)}
            for row in rows
        ],
        "examples": [
            _example(data, place, [row.system for row in rows])
            for place in range(len(data.examples))
        ],
        "values": [
            [_rounded(data, row.system, column) for column in data.board.columns] for row in rows
        ],
        "disagreement": [_disagreement(data, row.system) for row in rows],
    }


def _example(data: PageData, place: int, systems: Sequence[str]) -> dict[str, Any]:
    example = data.examples[place]
    source = visible(example.source)
    return {
        "id": visible(example.id),
        "source": source,
        "references": [word_diff(source, visible(reference)) for reference in example.references],
        "outputs": [
            _output(source, data.texts[name][place], place in data.cut.get(name, ()))
            for name in systems
        ],
    }


def _output(source: str, texts: Sequence[str], cut: bool) -> dict[str, Any]:
    shown = [visible(text) for text in texts if text.strip()]
    flag = "missing" if not texts else "empty" if len(shown) < len(texts) else "cut" if cut else ""
    flag = flag or ("copy" if all(is_copy(source, text) for text in shown) else "")
    return {"texts": [word_diff(source, text) for text in shown], "flag": flag}


def _rounded(data: PageData, system: str, column: Column) -> list[float]:
    return [
        round(float(v), column.digits + 1) for v in data.values.get(system, {}).get(column.name, ())
    ]


def _disagreement(data: PageData, system: str) -> list[float]:
    """How far the main columns part on each example: the largest minus the smallest of its
    percentile ranks, 0 to 1.
    """
    from scipy.stats import rankdata

    ranks = []
    for column in boards.main_columns(data.board):
        values = np.asarray(data.values.get(system, {}).get(column.name, ()), float)
        if column.better != "none" and np.isfinite(values).any():
            rank = rankdata(values if column.better == "up" else -values, nan_policy="omit")
            ranks.append(rank / len(values))
    return (np.fmax.reduce(ranks) - np.fmin.reduce(ranks)).round(3).tolist() if ranks else []

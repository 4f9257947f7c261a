"""Data of the page's sample browser: every text as a word diff, values and flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from parabench.contracts import Column
from parabench.render.diff import is_copy, word_diff
from parabench.render.escape import visible
from parabench.report.board import ordered_rows
from parabench.report.picks import column_ranks

if TYPE_CHECKING:
    from parabench.report.pagedata import PageData


def sample_browser_data(data: PageData) -> dict[str, Any]:
    """All of it as one object that JSON can hold.

    Systems are in the order of the leaderboard; numbers have one digit more than is shown, so that
    sorting by them hardly ever meets a tie that is none.
    """
    rows = [row for row in ordered_rows(data.board) if row.system in data.texts]
    # From here on systems are places in this list, which keeps the JSON small.
    names = [row.system for row in rows]
    columns = data.board.columns
    return {
        "headline": data.board.headline,
        "columns": [
            {
                "name": c.name,
                "better": c.better,
                "digits": c.digits,
            }
            for c in columns
        ],
        "systems": [
            {
                "name": visible(row.system),
                "control": row.control,
                "shown": data.shows(row),
            }
            for row in rows
        ],
        "examples": [_example(data, place, names) for place in range(len(data.examples))],
        "values": [_system_values(data, name) for name in names],
        "disagreement": [_disagreement(data, name) for name in names],
    }


def _example(
    data: PageData,
    place: int,
    systems: Sequence[str],
) -> dict[str, Any]:
    example = data.examples[place]
    source = visible(example.source)
    outputs = []
    for name in systems:
        was_cut = place in data.cut.get(name, ())
        outputs.append(_output(source, data.texts[name][place], was_cut))
    return {
        "id": visible(example.id),
        "source": source,
        "references": [word_diff(source, visible(text)) for text in example.references],
        "outputs": outputs,
    }


def _output(
    source: str,
    texts: Sequence[str],
    was_cut: bool,
) -> dict[str, Any]:
    shown = [visible(text) for text in texts if text.strip()]
    # The gravest first: a missing text is also empty, and an empty one may have been cut.
    if not texts:
        flag = "missing"
    elif len(shown) < len(texts):
        flag = "empty"
    elif was_cut:
        flag = "cut"
    else:
        flag = "copy" if all(is_copy(source, text) for text in shown) else ""
    return {"texts": [word_diff(source, text) for text in shown], "flag": flag}


def _system_values(data: PageData, system: str) -> list[list[float]]:
    return [_rounded(data, system, column) for column in data.board.columns]


def _rounded(
    data: PageData,
    system: str,
    column: Column,
) -> list[float]:
    values = data.values.get(system, {}).get(column.name, ())
    return [round(float(value), column.digits + 1) for value in values]


def _disagreement(data: PageData, system: str) -> list[float]:
    """How far the main columns disagree about each example, 0 to 1.

    It is the largest minus the smallest percentile rank that they give the example among all
    examples of the system.
    """
    ranks = list(column_ranks(data, system).values())
    if not ranks:
        return []
    # fmax and fmin pass over NaN: a column without a value says nothing about the example.
    spread = np.fmax.reduce(ranks) - np.fmin.reduce(ranks)
    return [float(number) for number in spread.round(3)]

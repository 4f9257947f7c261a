"""The paired tests between systems, as lines under a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parabench.contracts import Column
    from parabench.report.board import Comparison, Leaderboard


def paired_test_lines(board: Leaderboard, systems: Sequence[str]) -> Iterator[str]:
    """Difference, 95 % interval and p-value of every pair of ``systems`` in the main columns.

    On the headline people are tested too; a column that is not valid here has its mark. Differences
    are the first system minus the second. p-values are those of the table: paired randomisation
    tests, adjusted for the number of pairs and columns.
    """
    from parabench.report.board import gives_intervals, main_columns

    columns = {column.name: column for column in main_columns(board)}
    people = [row.system for row in board.rows if row.control]
    shown = []
    for one in board.comparisons:
        named = {one.first, one.second}
        # two kinds of people would be no pair of anybody's systems
        known = {*systems, *people} if one.column == board.headline else {*systems}
        if named <= known and named & {*systems} and one.column in columns:
            shown.append(one)
    with_intervals = gives_intervals(board)
    if shown:
        interval = "95 % interval, " if with_intervals else ""
        yield ""
        yield f"Paired tests (difference, {interval}adjusted p):"
    for one in shown:
        mark = " ⚠" if one.column in board.invalid else ""
        yield _line(one, columns[one.column], mark, with_intervals)


def _line(one: Comparison, column: Column, mark: str, with_interval: bool) -> str:
    from parabench.report.cells import interval_text

    digits = column.digits
    ends = interval_text(one.low, one.high, digits, signed=True)
    interval = f" {ends}" if with_interval and ends else ""
    pair = f"{one.first} - {one.second}"
    label = f"{column.name}{mark}"
    # p is undefined where a column is undefined for one of the two.
    if math.isnan(one.p):
        return f"  {pair:<28} {label:<16} undefined"
    return f"  {pair:<28} {label:<16} {one.difference:+.{digits}f}{interval}  p {one.p:.4f}"

"""The paired tests between systems, as lines under a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parabench.contracts import Column
    from parabench.report.board import Comparison, Leaderboard


def paired_test_lines(board: Leaderboard, systems: Sequence[str]) -> Iterator[str]:
    """Difference, 95 % interval and p-value of every pair of ``systems`` in the main columns.

    Differences are the first system minus the second. p-values are those of the table: paired
    randomisation tests, adjusted for the number of pairs and columns.
    """
    from parabench.report.board import main_columns

    columns = {column.name: column for column in main_columns(board)}
    shown = [
        one
        for one in board.comparisons
        if one.first in systems and one.second in systems and one.column in columns
    ]
    if shown:
        yield ""
        yield "Paired tests (difference, 95 % interval, adjusted p):"
    for one in shown:
        yield _line(one, columns[one.column])


def _line(one: Comparison, column: Column) -> str:
    digits = column.digits
    interval = f"[{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
    # p is undefined where a column is undefined for one of the two.
    p = "undefined" if one.p != one.p else f"{one.p:.4f}"
    pair = f"{one.first} - {one.second}"
    return f"  {pair:<28} {column.name:<14} {one.difference:+.{digits}f} {interval}  p {p}"

"""The paired tests of the first system of a leaderboard, a line each."""

from __future__ import annotations

import math

from parabench.contracts import Column
from parabench.report.board import (
    Comparison,
    Leaderboard,
    gives_intervals,
    headline_column,
    ordered_rows,
)
from parabench.report.cells import interval_text, number_text

LINES = 5
"""Tests that are shown at most: those against the next in the table, and people."""


def leader_test_lines(board: Leaderboard) -> list[str]:
    """Difference, 95 % interval and adjusted p-value of the first system against the next ones.

    ``["bart - finetuned  +0.4 [-2.9, +3.6]  p 0.83", …]``; empty where fewer than two are ranked.
    """
    column = headline_column(board)
    if column is None:
        return []
    systems = [row.system for row in ordered_rows(board) if row.rank]
    people = [row.system for row in board.rows if row.control]
    if not systems:
        return []
    # People first: how far they are is asked before which system comes second.
    first = systems[0]
    others = [*people, *systems[1:]]
    lines: list[str] = []
    for other in others:
        test = _test_of(board, first, other)
        if test is not None and len(lines) < LINES:
            lines.append(_line(test, first, other, column, gives_intervals(board)))
    return lines


def _test_of(
    board: Leaderboard,
    first: str,
    other: str,
) -> Comparison | None:
    """The test of two systems on the headline, whichever of them it names first."""
    for one in board.comparisons:
        if one.column == board.headline and {one.first, one.second} == {first, other}:
            return one if math.isfinite(one.p) else None
    return None


def _line(
    test: Comparison,
    first: str,
    other: str,
    column: Column,
    with_interval: bool,
) -> str:
    # Seen from the other side a difference changes its sign, and its interval its ends.
    numbers = [test.difference, test.low, test.high]
    if test.first != first:
        numbers = [-test.difference, -test.high, -test.low]
    difference, low, high = numbers
    p_text = "p < 0.0001" if test.p < 0.0001 else f"p {test.p:.4f}"
    ends = interval_text(low, high, column.digits, signed=True)
    interval = f" {ends}" if with_interval and ends else ""
    return f"{first} - {other}  {_signed(difference, column.digits)}{interval}  {p_text}"


def _signed(number: float, digits: int) -> str:
    text = number_text(number, digits)
    return text if text.startswith("-") else f"+{text}"

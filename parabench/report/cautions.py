"""What to know before believing the verdict on a leaderboard, a sentence each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from parabench.contracts import Column
from parabench.report.board import (
    Leaderboard,
    LeaderboardRow,
    headline_column,
    main_columns,
    ordered_rows,
)
from parabench.report.output_columns import REF_COPIES_COLUMN
from parabench.report.truncation import TRUNCATION_COLUMN
from parabench.report.verdict import HUMAN, NAMES_SHOWN, joined_names, leaders_of

_WORTH_TELLING = 1.0
"""Percent of outputs from which on a fault of the leaders is mentioned."""
_FAULTS = {
    "copies": "copy the source",
    "failures": "fail (empty, echo, talk about the task, run on)",
    TRUNCATION_COLUMN: "were cut by the length limit",
}


def cautions(board: Leaderboard) -> list[str]:
    """What to know before believing the verdict, a sentence each, the gravest first."""
    return [
        *_leakage(board),
        *_controls_on_top(board),
        *_unranked(board),
        *_reference_copies(board),
        *_incomplete(board),
        *_faults_of_leaders(board),
        *_invalid_columns(board),
        *_single_seeds(board),
    ]


def _leakage(board: Leaderboard) -> Iterator[str]:
    """Systems that met test examples in training; ``seen`` is then ``"12/500"``."""
    for row in ordered_rows(board):
        if "/" in row.seen:
            yield f"{row.system} was trained on some of these examples: seen {row.seen}."


def _controls_on_top(board: Leaderboard) -> Iterator[str]:
    """Attackers that have more than every system on a headline that ranks all the same."""
    column = headline_column(board)
    if column is None or column.better == "none" or column.name in board.invalid:
        return
    # Signed values are higher where the column is better.
    sign = 1 if column.better == "up" else -1
    defined = [row for row in ordered_rows(board) if _is_defined(row, column)]
    systems = [sign * row.scores[column.name].value for row in defined if not row.control]
    if not systems:
        return
    above = []
    for row in defined:
        is_attacker = row.control and row.system != HUMAN
        if is_attacker and sign * row.scores[column.name].value >= max(systems):
            above.append(row.system)
    if above:
        verb = "does" if len(above) == 1 else "do"
        noun = "control" if len(above) == 1 else "controls"
        names = joined_names(above)
        yield f"The {noun} {names} {verb} as well as every system, without paraphrasing."


def _unranked(board: Leaderboard) -> Iterator[str]:
    """Systems without a rank by themselves; a reason that all share is the verdict's."""
    ranked = any(row.rank for row in board.rows)
    if not ranked and len(set(board.unranked.values())) < 2:
        return
    for system, reason in board.unranked.items():
        yield f"{system} has no rank: {reason}."


def _reference_copies(board: Leaderboard) -> Iterator[str]:
    """Systems that wrote references, which may have leaked into what they learned from."""
    for row in ordered_rows(board):
        score = row.scores.get(REF_COPIES_COLUMN)
        if not row.control and score and score.value >= _WORTH_TELLING:
            yield (
                f"{row.system} wrote a reference itself in {score.value:.0f} % of its outputs "
                f"({REF_COPIES_COLUMN}): each is scored without that reference, and if they are in "
                "its training data, its rank means little."
            )


def _incomplete(board: Leaderboard) -> Iterator[str]:
    for row in ordered_rows(board):
        if not row.control and row.scored < row.asked:
            yield f"{row.system} has answers to {row.scored} of {row.asked} examples only."


def _faults_of_leaders(board: Leaderboard) -> Iterator[str]:
    measured = {column.name for column in board.columns} & set(_FAULTS)
    leaders = leaders_of([row for row in ordered_rows(board) if not row.control and row.rank])
    # Of many leaders a few are told: the table has the others' numbers.
    for row in leaders[:NAMES_SHOWN]:
        found = []
        for name, meaning in _FAULTS.items():
            score = row.scores.get(name)
            if score and score.value >= _WORTH_TELLING:
                found.append(f"{score.value:.0f} % {meaning}")
        if found:
            yield f"Of the outputs of {row.system}, {joined_names(found)}."
    # Only where both were looked for does their absence say anything.
    both = {"copies", "failures"} <= measured
    spotless = [row for row in leaders if both and not _has_fault(row)]
    if leaders and len(spotless) == len(leaders):
        whose = "Its outputs" if len(leaders) == 1 else "Their outputs"
        yield f"{whose} are hardly ever copies or failures (under {_WORTH_TELLING:.0f} %)."


def _has_fault(row: LeaderboardRow) -> bool:
    shares = [row.scores[name].value for name in _FAULTS if name in row.scores]
    return any(share >= _WORTH_TELLING for share in shares)


def _invalid_columns(board: Leaderboard) -> Iterator[str]:
    main = [column.name for column in main_columns(board)]
    names = [name for name in main if name in board.invalid and name != board.headline]
    # An invalid headline is told by the verdict itself.
    others = len(board.invalid) - len(names) - (board.headline in board.invalid)
    if not names and not others:
        return
    told = list(names)
    if others:
        told.append(f"{others} {'other' if names else 'less important'} columns")
    yield f"Not valid here, as some control does as well as people: {joined_names(told)} (⚠)."


def _single_seeds(board: Leaderboard) -> Iterator[str]:
    ranked = [row for row in ordered_rows(board) if not row.control and row.rank]
    names = [row.system for row in leaders_of(ranked) if row.seeds == 1]
    if names and len(ranked) > 1:
        yield f"{joined_names(names)}: one training seed, another may change the order."


def _is_defined(row: LeaderboardRow, column: Column) -> bool:
    score = row.scores.get(column.name)
    if score is None:
        return False
    return math.isfinite(score.value)

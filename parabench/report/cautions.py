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
    of_systems = []
    of_attackers = {}
    for row in ordered_rows(board):
        if not _is_defined(row, column):
            continue
        value = sign * row.scores[column.name].value
        if not row.control:
            of_systems.append(value)
        elif row.system != HUMAN:
            of_attackers[row.system] = value
    if not of_systems:
        return
    best = max(of_systems)
    above = [name for name, value in of_attackers.items() if value >= best]
    if above:
        verb = "does" if len(above) == 1 else "do"
        noun = "control" if len(above) == 1 else "controls"
        names = joined_names(above)
        yield f"The {noun} {names} {verb} as well as every system, without paraphrasing."


def _unranked(board: Leaderboard) -> Iterator[str]:
    """Systems without a rank by themselves; a reason that all share is the verdict's."""
    is_ranked = any(row.rank for row in board.rows)
    reasons = set(board.unranked.values())
    if not is_ranked and len(reasons) < 2:
        return
    for system, reason in board.unranked.items():
        yield f"{system} has no rank: {reason}."


def _reference_copies(board: Leaderboard) -> Iterator[str]:
    """Systems that wrote references, which may have leaked into what they learned from."""
    for row in _systems(board):
        score = row.scores.get(REF_COPIES_COLUMN)
        if score and score.value >= _WORTH_TELLING:
            yield (
                f"{row.system} wrote a reference itself in {score.value:.0f} % of its outputs "
                f"({REF_COPIES_COLUMN}): each is scored without that reference, and if they are in "
                "its training data, its rank means little."
            )


def _incomplete(board: Leaderboard) -> Iterator[str]:
    for row in _systems(board):
        if row.scored < row.asked:
            yield f"{row.system} has answers to {row.scored} of {row.asked} examples only."


def _faults_of_leaders(board: Leaderboard) -> Iterator[str]:
    leaders = leaders_of(_ranked_systems(board))
    if not leaders:
        return
    # Of many leaders a few are told: the table has the others' numbers.
    for row in leaders[:NAMES_SHOWN]:
        faults = _faults_worth_telling(row)
        if faults:
            yield f"Of the outputs of {row.system}, {joined_names(faults)}."
    # Only where both were looked for does their absence say anything.
    measured = {column.name for column in board.columns}
    if not {"copies", "failures"} <= measured:
        return
    if any(_faults_worth_telling(row) for row in leaders):
        return
    whose = "Its outputs" if len(leaders) == 1 else "Their outputs"
    yield f"{whose} are hardly ever copies or failures (under {_WORTH_TELLING:.0f} %)."


def _faults_worth_telling(row: LeaderboardRow) -> list[str]:
    """The faults that a row has often enough, each with its share of the outputs."""
    found = []
    for name, meaning in _FAULTS.items():
        score = row.scores.get(name)
        if score and score.value >= _WORTH_TELLING:
            found.append(f"{score.value:.0f} % {meaning}")
    return found


def _invalid_columns(board: Leaderboard) -> Iterator[str]:
    # An invalid headline is told by the verdict itself.
    invalid = set(board.invalid) - {board.headline}
    if not invalid:
        return
    told = [column.name for column in main_columns(board) if column.name in invalid]
    others = len(invalid) - len(told)
    if others:
        kind = "other" if told else "less important"
        told.append(f"{others} {kind} columns")
    yield f"Not valid here, as some control does as well as people: {joined_names(told)} (⚠)."


def _single_seeds(board: Leaderboard) -> Iterator[str]:
    ranked = _ranked_systems(board)
    if len(ranked) < 2:
        return
    names = [row.system for row in leaders_of(ranked) if row.seeds == 1]
    if names:
        yield f"{joined_names(names)}: one training seed, another may change the order."


def _systems(board: Leaderboard) -> list[LeaderboardRow]:
    """The rows that are no control, in the order of the table."""
    return [row for row in ordered_rows(board) if not row.control]


def _ranked_systems(board: Leaderboard) -> list[LeaderboardRow]:
    return [row for row in _systems(board) if row.rank]


def _is_defined(row: LeaderboardRow, column: Column) -> bool:
    score = row.scores.get(column.name)
    if score is None:
        return False
    return math.isfinite(score.value)

"""The verdict on a leaderboard in a few sentences, made from its tests and not from its values.

It says who leads, who cannot be told apart, and how far it is to people; ``cautions`` says what not
to believe here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from parabench.contracts import Column
from parabench.report.board import (
    Comparison,
    Leaderboard,
    LeaderboardRow,
    headline_column,
    ordered_rows,
)
from parabench.report.cells import number_text

HUMAN = "human"
"""The control whose texts people wrote."""
NAMES_SHOWN = 4


def verdict(board: Leaderboard) -> list[str]:
    """One or two sentences: who leads, and how far from people."""
    column = headline_column(board)
    systems = [row for row in ordered_rows(board) if not row.control]
    if not systems:
        return ["No system is compared here, only controls."]
    if column is None:
        return ["Nothing was measured that ranks systems."]
    if column.name in board.invalid:
        why = board.invalid[column.name]
        return [f"No winner can be named: {column.name} does not rank here, since {why}."]
    if column.better == "none":
        return [f"No winner can be named: neither direction of {column.name} is better."]
    ranked = [row for row in systems if row.rank]
    if not ranked:
        return [f"No winner can be named: {_why_none_ranks(board)}."]
    return [_lead(board, column, ranked), *_people(board, column, leaders_of(ranked))]


# ---- who leads


def _why_none_ranks(board: Leaderboard) -> str:
    reasons = set(board.unranked.values())
    if len(reasons) == 1:
        return reasons.pop()
    if reasons:
        return "no system is above the controls or free of their faults"
    return "no system has a score on all examples"


def leaders_of(ranked: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """The systems that are beaten by the fewest others, as a rule by none.

    Tests may go in a circle (A beats B, B beats C, C beats A): then no system has rank 1.
    """
    # A rank begins at one more than the number of systems that beat the row.
    best = min((row.rank[0] for row in ranked if row.rank), default=0)
    return [row for row in ranked if row.rank and row.rank[0] == best]


def _lead(
    board: Leaderboard,
    column: Column,
    ranked: Sequence[LeaderboardRow],
) -> str:
    leaders = leaders_of(ranked)
    if len(ranked) == 1:
        only = leaders[0]
        return (
            f"{only.system} reaches {_value(only, column)} {column.name}; "
            "there is no second system to compare it with."
        )
    if len(leaders) == 1:
        return _single_lead(
            board,
            column,
            leaders[0],
            ranked,
        )
    names = joined_names([row.system for row in leaders])
    # Rows are ordered by the headline, so that the first and the last have both ends.
    highest = _value(leaders[0], column)
    lowest = _value(leaders[-1], column)
    values = f"{highest} to {lowest} {column.name}"
    if len(leaders) == len(ranked):
        number = "two" if len(ranked) == 2 else str(len(ranked))
        return f"These examples do not tell the {number} systems apart: {names} ({values})."
    return f"{names} share the lead ({values}): these examples do not tell them apart."


def _single_lead(
    board: Leaderboard,
    column: Column,
    first: LeaderboardRow,
    ranked: Sequence[LeaderboardRow],
) -> str:
    """One system alone is beaten by none, which need not mean that it beats all others.

    B may be beaten by A, and C by B, where A and C are too variable to be told apart.
    """
    lead = f"{first.system} leads with {_value(first, column)} {column.name}"
    others = "the other system" if len(ranked) == 2 else f"all {len(ranked) - 1} other systems"
    tests = _tests_of(board, first.system, ranked)
    open_tests = [one for one in tests if not one.is_real]
    if open_tests:
        names = []
        for one in open_tests:
            names.append(one.second if one.first == first.system else one.first)
        return f"{lead}, but these examples do not tell it from {joined_names(names)}."
    if not tests:
        return f"{lead}, ahead of {others}."
    # The weakest of its wins says how sure all of them are.
    largest_p = max(one.p for one in tests)
    return f"{lead}, ahead of {others} ({_p_text(largest_p)})."


def _tests_of(
    board: Leaderboard,
    system: str,
    others: Sequence[LeaderboardRow],
) -> list[Comparison]:
    """The tests on the headline of one system against each other one."""
    names = {row.system for row in others}
    found = []
    for one in board.comparisons:
        pair = {one.first, one.second}
        is_theirs = system in pair and pair <= names
        # Without a finite p nothing was tested: a column is undefined for one of the two.
        if is_theirs and one.column == board.headline and math.isfinite(one.p):
            found.append(one)
    return found


def _people(
    board: Leaderboard,
    column: Column,
    leaders: Sequence[LeaderboardRow],
) -> Iterator[str]:
    human = next((row for row in board.rows if row.control and row.system == HUMAN), None)
    if human is None:
        yield "No text of people is in the table, so no column could be checked against controls."
        return
    first = leaders[0]
    people = human.scores.get(column.name)
    best = first.scores.get(column.name)
    if people is None or best is None or not math.isfinite(people.value):
        return
    reached = f"People reach {number_text(people.value, column.digits)}"
    test = next(iter(_tests_of(board, first.system, [human, first])), None)
    if test is None:
        yield f"{reached}."
        return
    if not test.is_real:
        yield f"{reached}: {first.system} cannot be told from them ({_p_text(test.p)})."
        return
    # Positive where people are better, whichever way the column runs.
    lead = people.value - best.value if column.better == "up" else best.value - people.value
    distance = number_text(abs(lead), column.digits)
    if lead > 0:
        yield f"{reached}, {distance} better ({_p_text(test.p)})."
    else:
        yield (
            f"{reached}, {distance} worse than {first.system} ({_p_text(test.p)}): "
            "look at its outputs before believing that."
        )


# ---- words


def _value(row: LeaderboardRow, column: Column) -> str:
    score = row.scores[column.name]
    return number_text(score.value, column.digits)


def _p_text(p: float) -> str:
    """``p < 0.001``, ``p = 0.034``: adjusted for all pairs."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def joined_names(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; many are cut and counted."""
    shown = list(names)
    if len(shown) > NAMES_SHOWN + 1:
        shown = [*shown[:NAMES_SHOWN], f"{len(shown) - NAMES_SHOWN} more"]
    if len(shown) < 2:
        return "".join(shown)
    *earlier, last = shown
    return f"{', '.join(earlier)} and {last}"

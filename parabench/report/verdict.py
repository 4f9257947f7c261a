"""The verdict on a leaderboard in a few sentences, made from its tests and not from its values.

``verdict`` says who leads, who cannot be told apart, and how far it is to people; ``cautions`` say
what the leaders' outputs are like and what not to believe here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from parabench.contracts import Column
from parabench.report.board import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    Leaderboard,
    LeaderboardRow,
    headline_column,
    main_columns,
    ordered_rows,
)
from parabench.report.cells import number_text
from parabench.report.output_columns import REF_COPIES_COLUMN
from parabench.report.truncation import TRUNCATION_COLUMN

HUMAN = "human"
"""The control whose texts people wrote."""
_NAMES_SHOWN = 4
_WORTH_TELLING = 1.0
"""Percent of outputs from which on a fault of the leaders is mentioned."""
_FAULTS = {
    "copies": "copy the source",
    "failures": "fail (empty, echo, talk about the task, run on)",
    TRUNCATION_COLUMN: "were cut by the length limit",
}


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
    return [_lead(board, column, ranked), *_people(board, column, _leaders(ranked))]


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


# ---- who leads


def _why_none_ranks(board: Leaderboard) -> str:
    reasons = set(board.unranked.values())
    if len(reasons) == 1:
        return reasons.pop()
    if reasons:
        return "no system is above the controls or free of their faults"
    return "no system has a score on all examples"


def _leaders(ranked: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """The systems that the fewest others beat, as a rule none.

    Tests may go in a circle (A beats B, B beats C, C beats A): then no system has rank 1.
    """
    first = min((row.rank[0] for row in ranked if row.rank), default=0)
    return [row for row in ranked if row.rank and row.rank[0] == first]


def _lead(board: Leaderboard, column: Column, ranked: Sequence[LeaderboardRow]) -> str:
    leaders = _leaders(ranked)
    if len(ranked) == 1:
        only = leaders[0]
        return (
            f"{only.system} reaches {_value(only, column)} {column.name}; "
            "there is no second system to compare it with."
        )
    if len(leaders) == 1:
        return _single_lead(board, column, leaders[0], ranked)
    names = _listed([row.system for row in leaders])
    values = f"{_value(leaders[0], column)} to {_value(leaders[-1], column)} {column.name}"
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
    open_tests = [one for one in tests if not _is_real(one)]
    if open_tests:
        names = [one.second if one.first == first.system else one.first for one in open_tests]
        return f"{lead}, but these examples do not tell it from {_listed(names)}."
    p_text = f" ({_p_text(max(one.p for one in tests))})" if tests else ""
    return f"{lead}, ahead of {others}{p_text}."


def _is_real(test: Comparison) -> bool:
    """Whether a test counts as a difference, by the rule of the ranks.

    The interval draws training seeds too, the test does not: a difference must pass both.
    """
    return test.p < SIGNIFICANCE_LEVEL and not test.low <= 0 <= test.high


def _tests_of(
    board: Leaderboard, system: str, others: Sequence[LeaderboardRow]
) -> list[Comparison]:
    """The tests on the headline of one system against each other one."""
    names = {row.system for row in others}
    return [
        one
        for one in board.comparisons
        if one.column == board.headline
        and system in (one.first, one.second)
        and {one.first, one.second} <= names
        and math.isfinite(one.p)
    ]


def _people(board: Leaderboard, column: Column, leaders: Sequence[LeaderboardRow]) -> Iterator[str]:
    human = next((row for row in board.rows if row.control and row.system == HUMAN), None)
    if human is None:
        yield "No text of people is in the table, so no column could be checked against controls."
        return
    first = leaders[0]
    people, best = human.scores.get(column.name), first.scores.get(column.name)
    if people is None or best is None or not math.isfinite(people.value):
        return
    reached = f"People reach {number_text(people.value, column.digits)}"
    test = next(iter(_tests_of(board, first.system, [human, first])), None)
    if test is None:
        yield f"{reached}."
        return
    if not _is_real(test):
        yield f"{reached}: {first.system} cannot be told from them ({_p_text(test.p)})."
        return
    lead = people.value - best.value if column.better == "up" else best.value - people.value
    distance = number_text(abs(lead), column.digits)
    if lead > 0:
        yield f"{reached}, {distance} better ({_p_text(test.p)})."
    else:
        yield (
            f"{reached}, {distance} worse than {first.system} ({_p_text(test.p)}): "
            "look at its outputs before believing that."
        )


# ---- cautions


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
    sign = 1 if column.better == "up" else -1
    defined = [row for row in ordered_rows(board) if _is_defined(row, column)]
    systems = [sign * row.scores[column.name].value for row in defined if not row.control]
    if not systems:
        return
    above = [
        row.system
        for row in defined
        if row.control
        and row.system != HUMAN
        and sign * row.scores[column.name].value >= max(systems)
    ]
    if above:
        verb = "does" if len(above) == 1 else "do"
        noun = "control" if len(above) == 1 else "controls"
        yield f"The {noun} {_listed(above)} {verb} as well as every system, without paraphrasing."


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
    leaders = _leaders([row for row in ordered_rows(board) if not row.control and row.rank])
    for row in leaders[:_NAMES_SHOWN]:
        found = []
        for name, meaning in _FAULTS.items():
            score = row.scores.get(name)
            if score and score.value >= _WORTH_TELLING:
                found.append(f"{score.value:.0f} % {meaning}")
        if found:
            yield f"Of the outputs of {row.system}, {_listed(found)}."
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
    others = len(board.invalid) - len(names) - (board.headline in board.invalid)
    if not names and not others:
        return
    listed = list(names)
    if others:
        listed.append(f"{others} {'other' if names else 'less important'} columns")
    yield f"Not valid here, as some control does as well as people: {_listed(listed)} (⚠)."


def _single_seeds(board: Leaderboard) -> Iterator[str]:
    ranked = [row for row in ordered_rows(board) if not row.control and row.rank]
    names = [row.system for row in _leaders(ranked) if row.seeds == 1]
    if names and len(ranked) > 1:
        yield f"{_listed(names)}: one training seed, another may change the order."


# ---- words


def _is_defined(row: LeaderboardRow, column: Column) -> bool:
    score = row.scores.get(column.name)
    return score is not None and math.isfinite(score.value)


def _value(row: LeaderboardRow, column: Column) -> str:
    return number_text(row.scores[column.name].value, column.digits)


def _p_text(p: float) -> str:
    """``p < 0.001``, ``p = 0.034``: adjusted for all pairs."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; many are cut and counted."""
    shown = list(names)
    if len(shown) > _NAMES_SHOWN + 1:
        shown = [*shown[:_NAMES_SHOWN], f"{len(shown) - _NAMES_SHOWN} more"]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"

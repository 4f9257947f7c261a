"""Texts of the cells of a leaderboard, the same in every output format."""

from __future__ import annotations

import math
from collections.abc import Callable

from parabench.contracts import Column, Score
from parabench.report.board import Leaderboard, LeaderboardRow

ARROWS = {
    "up": " ↑",
    "down": " ↓",
    "none": "",
}
AGAINST = {
    "reference": "references",
    "source": "source",
    "both": "source and references",
    "output": "output alone",
    "samples": "other samples",
}

NO_INTERVAL = "too few examples for an interval"


def rank_text(row: LeaderboardRow) -> str:
    """The ranks a system may hold: ``"1-3"``, ``"2"``; empty where it is not ranked."""
    if row.rank is None:
        return ""
    low, high = row.rank
    if low == high:
        return str(low)
    return f"{low}-{high}"


def count_text(row: LeaderboardRow) -> str:
    """``"500"``, or ``"312/500"`` where not every example has a score."""
    if row.scored == row.asked:
        return str(row.scored)
    return f"{row.scored}/{row.asked}"


def seeds_text(row: LeaderboardRow) -> str:
    """The number of trainings of a row; ``"1*"`` warns that another seed was not tried."""
    if not row.seeds:
        return ""
    return "1*" if row.seeds == 1 else str(row.seeds)


def row_facts(board: Leaderboard) -> dict[str, Callable[[LeaderboardRow], str]]:
    """Facts of each row beside its scores, by heading: examples, training seeds, leakage.

    The last two are left out where nothing is known of any row.
    """
    facts: dict[str, Callable[[LeaderboardRow], str]] = {"n": count_text}
    if any(row.seeds for row in board.rows):
        facts["seeds"] = seeds_text
    # "3/150" and "clean" are findings; "unknown" of every row would be a column of nothing.
    if any("/" in row.seen or row.seen == "clean" for row in board.rows):
        facts["seen"] = lambda row: row.seen
    return facts


def score_text(score: Score | None, column: Column) -> tuple[str, str]:
    """Value and interval as printed, ``("34.2", "[32.9, 35.6]")``; ``("–", "")`` if undefined."""
    if score is None or not math.isfinite(score.value):
        return "–", ""
    value = number_text(score.value, column.digits)
    return value, interval_text(score.low, score.high, column.digits)


def interval_text(low: float, high: float, digits: int, signed: bool = False) -> str:
    """An interval as printed, ``"[32.9, 35.6]"``, or with signs ``"[-0.1, +0.4]"``.

    Empty where it is undefined. A value may be defined where its interval is not, as that of a few
    examples.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    ends = [number_text(end, digits) for end in (low, high)]
    if signed:
        ends = [end if end.startswith("-") else f"+{end}" for end in ends]
    return f"[{ends[0]}, {ends[1]}]"


def interval_ends(score: Score) -> list[float]:
    """Low, value and high of a score; nothing where one of them is undefined."""
    ends = [score.low, score.value, score.high]
    if not all(map(math.isfinite, ends)):
        return []
    return ends


def lacks_intervals(board: Leaderboard) -> bool:
    """Whether some value that is defined has no interval."""
    scores = (score for row in board.rows for score in row.scores.values())
    return any(math.isfinite(score.value) and not interval_ends(score) for score in scores)


def number_text(number: float, digits: int) -> str:
    """A number with so many decimals; in scientific notation where it would be very long."""
    # A perplexity of nonsense may have three hundred digits before the point.
    if abs(number) >= 1e7:
        return f"{number:.3g}"
    return f"{number:.{digits}f}"


def column_label(board: Leaderboard, column: Column) -> str:
    """The column's name with its direction and, where it does not rank here, a warning sign."""
    warning = " ⚠" if column.name in board.invalid else ""
    arrow = ARROWS[column.better]
    return f"{column.name}{arrow}{warning}"


def is_top(
    board: Leaderboard,
    row: LeaderboardRow,
    column: Column,
) -> bool:
    """Whether a cell is printed bold: it is the headline's, of a row that may be the best."""
    if column.name != board.headline or row.rank is None:
        return False
    first, _ = row.rank
    return first == 1


def split_facts(
    board: Leaderboard,
) -> tuple[dict[str, Callable[[LeaderboardRow], str]], dict[str, str]]:
    """The facts of ``row_facts`` that differ between rows, and those that do not, with their text.

    Where all rows that have a fact agree on it, a column of it tells nothing that a line under the
    table does not. Controls have neither seeds nor training data, which is no disagreement.
    """
    differing: dict[str, Callable[[LeaderboardRow], str]] = {}
    shared: dict[str, str] = {}
    for name, text in row_facts(board).items():
        systems = {text(row) for row in board.rows if not row.control}
        controls = {text(row) for row in board.rows if row.control}
        # A control that says nothing agrees with every system.
        said = systems | (controls - {""})
        if len(said) == 1:
            (shared[name],) = said
        else:
            differing[name] = text
    return differing, shared


def shared_facts_note(board: Leaderboard) -> str:
    """``"All rows: n 150, seeds 1*, seen clean."``; empty where no fact is shared."""
    _, shared = split_facts(board)
    if not shared:
        return ""
    parts = [f"{name} {text}" for name, text in shared.items()]
    return f"All rows: {', '.join(parts)}."

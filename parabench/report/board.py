"""The leaderboard as data: rows, columns, their order, and its JSON form.

Every output format is a rendering of a ``Leaderboard`` and of nothing else; its JSON form reads
back as an equal object.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from parabench.contracts import Column, Score, UserError
from parabench.render.templating import json_ready
from parabench.report.output_columns import RECYCLED_COLUMN
from parabench.report.truncation import TRUNCATION_COLUMN

_BOARD_FORMAT = "parabench leaderboard 1"
CONFIDENCE_LEVEL = 0.95
"""Of every interval in a table."""
SIGNIFICANCE_LEVEL = 0.05
"""Two systems whose adjusted p-value is below this are told apart."""
MAIN_WIDTH = 8
"""Columns of the first table; with more it cannot be read."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One system: its ranks, its scores, and how many examples have them.

    ``rank`` is the first and the last rank that the tests leave open (None: unranked). Of ``asked``
    examples, ``scored`` have an answer. ``seeds`` counts the trainings whose mean the row is (0: it
    was not trained, or that is unknown); ``seen`` says how much of the test set it was trained on
    (empty for controls).
    """

    system: str
    rank: tuple[int, int] | None
    scores: Mapping[str, Score]
    scored: int
    asked: int
    control: bool
    seeds: int = 0
    seen: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two systems in one column: ``first`` minus ``second``, and whether that is more than chance.

    ``low`` and ``high`` are the paired 95 % interval of the difference, NaN where there are too few
    examples for one. ``p`` is adjusted: on the headline after Holm (1979) for all pairs, in the
    other columns after Benjamini and Hochberg (1995) for all pairs of all of them; it is right for
    any number of examples. ``draws_hold_zero`` says whether the middle 95 % of bootstrap samples,
    which draw training seeds too, have 0 among them.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    column: str
    draws_hold_zero: bool = False

    @property
    def is_real(self) -> bool:
        """Whether the two differ by more than chance.

        Bootstrap samples draw training seeds too, the test does not: a difference must pass both.
        They are too narrow where there are few examples, where the test alone keeps its level.
        """
        holds_zero = self.draws_hold_zero or self.low <= 0 <= self.high
        return self.p < SIGNIFICANCE_LEVEL and not holds_zero


@dataclass(frozen=True)
class Leaderboard:
    """All that is known of a finished comparison.

    ``headline`` is the column that ranks. ``invalid`` maps a column to the reason why it does not
    rank here, ``signatures`` a column to its settings. ``main`` names the columns of the first
    table; when empty they are the headline and up to seven others, precisions and recalls apart.
    ``unranked`` maps a system that gets no rank whatever the others do to the reason.
    ``detectable`` is the difference on the headline that the tests of all pairs, corrected for,
    show with a probability of .8, the median over pairs. ``first_repeats`` is the percentage of
    new test sets of this size in which the first is first again.
    """

    title: str
    note: str
    headline: str
    columns: tuple[Column, ...]
    rows: tuple[LeaderboardRow, ...]
    invalid: Mapping[str, str]
    signatures: Mapping[str, str]
    provenance: Mapping[str, Any]
    main: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    detectable: float | None = None
    unranked: Mapping[str, str] = field(default_factory=dict)
    first_repeats: float | None = None


def gives_intervals(board: Leaderboard) -> bool:
    """Whether intervals are printed: below 30 independent examples none keeps its promise."""
    return not str(board.provenance.get("interval", "")).startswith("none")


# ---- order and choice


def headline_column(board: Leaderboard) -> Column | None:
    """The column that ranks; None where the table does not have it."""
    return next((column for column in board.columns if column.name == board.headline), None)


def ordered_rows(board: Leaderboard) -> tuple[LeaderboardRow, ...]:
    """The rows by the headline column, best first.

    Complete rows come before partial ones, whose values are of other examples; within each,
    undefined values come last. Ties go by name, so that a board has one order.
    """
    headline = headline_column(board)
    lower_is_better = headline is not None and headline.better == "down"

    def key(row: LeaderboardRow) -> tuple[bool, bool, float, str]:
        score = row.scores.get(board.headline)
        is_partial = row.scored < row.asked
        if score is None or not math.isfinite(score.value):
            return is_partial, True, 0.0, row.system
        return is_partial, False, score.value if lower_is_better else -score.value, row.system

    return tuple(sorted(board.rows, key=key))


def main_columns(board: Leaderboard) -> tuple[Column, ...]:
    """The columns of the first table, the headline first.

    They are those that the suite names, and at least one of each scorer, so that what a user asked
    for by ``--scorers`` is never out of sight.
    """
    known = {column.name: column for column in board.columns}
    plain = [name for name in known if not re.search(r"[-_.](p|r|precision|recall)$", name)]
    # A scorer has one signature for all its columns, so the first of a signature is the first
    # of a scorer.
    first_of: dict[str, str] = {}
    for name in plain:
        first_of.setdefault(board.signatures.get(name, name), name)
    firsts = list(first_of.values())
    # Precision and recall are left to the second table: their F stands in the first.
    if board.main:
        names = [board.headline, *board.main]
        shown = {board.signatures.get(name) for name in names if name in known}
        names += [
            name
            for name in firsts
            if board.signatures.get(name) not in shown
            and name not in (TRUNCATION_COLUMN, RECYCLED_COLUMN)
        ]
    else:
        # The headline, then firsts of scorers, then the rest, until the table is full; what was
        # chosen is shown in the order of the columns.
        by_weight = sorted(plain, key=lambda name: (name != board.headline, name not in firsts))
        chosen = by_weight[:MAIN_WIDTH]
        names = [board.headline, *(name for name in plain if name in chosen)]
    return tuple(known[name] for name in dict.fromkeys(names) if name in known)


def select(
    board: Leaderboard,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
) -> Leaderboard:
    """The board with these columns and rows alone, the columns in this order; all where empty.

    Ranks, tests and warnings stay those of the whole board.

    Raises:
        UserError: for a column or row that the board does not have.
    """
    known_columns = {column.name: column for column in board.columns}
    known_rows = {row.system: row for row in board.rows}
    for what, names, known in (
        ("column", columns, list(known_columns)),
        ("row", rows, list(known_rows)),
    ):
        for name in names:
            if name not in known:
                raise UserError(f"show the {what} {name!r}", f"the table has no such {what}", known)
    if columns:
        # Named twice, a column is shown once.
        wanted = dict.fromkeys(columns)
        board = replace(
            board,
            columns=tuple(known_columns[name] for name in wanted),
            main=tuple(wanted),
            invalid={name: why for name, why in board.invalid.items() if name in wanted},
            signatures={name: text for name, text in board.signatures.items() if name in wanted},
        )
    if rows:
        board = replace(board, rows=tuple(known_rows[name] for name in dict.fromkeys(rows)))
    return board


# ---- JSON


def board_to_json(board: Leaderboard) -> str:
    """The whole board as JSON, keys sorted, undefined numbers as null.

    The same board gives the same bytes.
    """
    rows = [asdict(row) for row in ordered_rows(board)]
    content = {
        "format": _BOARD_FORMAT,
        **asdict(board),
        "rows": rows,
    }
    return (
        json.dumps(
            json_ready(content),
            sort_keys=True,
            allow_nan=False,
            indent=1,
        )
        + "\n"
    )


def board_from_json(text: str) -> Leaderboard:
    """Read what ``board_to_json`` wrote.

    Raises:
        UserError: where the text is something else.
    """
    try:
        content = json.loads(text)
        if content.pop("format") != _BOARD_FORMAT:
            raise ValueError("another format")
        columns = tuple(Column(**column) for column in content.pop("columns"))
        rows = tuple(_row_from(row) for row in content.pop("rows"))
        comparisons = content.pop("comparisons", ())
        compared = tuple(Comparison(**_nulls_as_nan(one)) for one in comparisons)
        # JSON has lists, the board tuples: equal boards must compare equal.
        content["main"] = tuple(content["main"])
        return Leaderboard(
            **content,
            columns=columns,
            rows=rows,
            comparisons=compared,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            "read a leaderboard",
            str(error),
            [_BOARD_FORMAT],
            "parabench report RUN",
        ) from None


def _row_from(content: dict[str, Any]) -> LeaderboardRow:
    scores = {name: Score(**_nulls_as_nan(one)) for name, one in content.pop("scores").items()}
    rank = content.pop("rank")
    # What is left of the object are the plain fields, by their own names.
    return LeaderboardRow(
        **content, scores=scores, rank=None if rank is None else (rank[0], rank[1])
    )


def _nulls_as_nan(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: ``board_to_json`` writes null for it."""
    return {key: math.nan if value is None else value for key, value in content.items()}


def flatten_facts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as pairs such as ``("versions.torch", "2.13.0")``, keys sorted.

    ``path`` is the dotted name of ``value`` itself. None is left out; what is no text is JSON.
    """
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from flatten_facts(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
    elif value is not None:
        yield path, json.dumps(json_ready(value), ensure_ascii=False, default=str)

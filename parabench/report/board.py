"""What a leaderboard is: rows, columns, their order, and its JSON form, which reads back as an equal object."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from parabench.contracts import Column, Score, UserError

FORMAT = "parabench leaderboard 1"
ARROWS = {"up": " ↑", "down": " ↓", "none": ""}
AGAINST = {"reference": "references", "source": "source", "both": "source and references", "output": "output alone"}
MAIN_WIDTH = 8
"""How many columns a table holds before it is unreadable."""


@dataclass(frozen=True)
class Row:
    """One system: the first and last rank it may hold (None: unranked), its scores, how many examples have them."""

    system: str
    rank: tuple[int, int] | None
    scores: Mapping[str, Score]
    scored: int
    asked: int
    control: bool


@dataclass(frozen=True)
class Leaderboard:
    """All that is known of a finished comparison; every output format is a rendering of this and nothing else.

    ``invalid`` maps a column to why it does not rank here, ``signatures`` a column to its settings. ``main`` names the
    columns of the first table; when empty they are the headline and up to seven others, precisions and recalls apart.
    """

    title: str
    note: str
    headline: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    invalid: Mapping[str, str]
    signatures: Mapping[str, str]
    provenance: Mapping[str, Any]
    main: tuple[str, ...] = ()


def ordered(board: Leaderboard) -> tuple[Row, ...]:
    """The rows by the headline column, best first: complete ones, then partial ones, undefined values last in each."""
    lower_is_better = {column.name: column.better == "down" for column in board.columns}.get(board.headline, False)

    def key(row: Row) -> tuple[bool, bool, float, str]:
        score = row.scores.get(board.headline)
        defined = score is not None and math.isfinite(score.value)
        value = score.value if score and defined else 0.0
        return row.scored < row.asked, not defined, value if lower_is_better else -value, row.system

    return tuple(sorted(board.rows, key=key))


def main_columns(board: Leaderboard) -> tuple[Column, ...]:
    """The columns of the first table, the headline first; chosen so that every scorer has one before any has two."""
    plain = [column.name for column in board.columns if not re.search(r"[-_.](p|r|precision|recall)$", column.name)]
    firsts = {board.signatures.get(name, name): name for name in reversed(plain)}.values()
    wanted = sorted(plain, key=lambda name: (name != board.headline, name not in firsts))[:MAIN_WIDTH]
    names = dict.fromkeys([board.headline, *(board.main or filter(wanted.__contains__, plain))])
    known = {column.name: column for column in board.columns}
    return tuple(known[name] for name in names if name in known)


def rank_text(row: Row) -> str:
    """``"1-3"``: the ranks a system may hold; ``"2"`` where they are one; empty where it is not ranked."""
    if row.rank is None:
        return ""
    low, high = row.rank
    return str(low) if low == high else f"{low}-{high}"


def count_text(row: Row) -> str:
    """``"500"``, or ``"312/500"`` where not every example has a score."""
    return str(row.scored) if row.scored == row.asked else f"{row.scored}/{row.asked}"


def gaps_text(board: Leaderboard) -> str:
    """Which cells leave examples out, ``"empty bertscore: 3 of 500"``; empty where none does."""
    found = [
        f"{row.system} {column.name}: {row.scored - score.undefined} of {row.scored}"
        for row in ordered(board)
        for column in board.columns
        if (score := row.scores.get(column.name)) and score.undefined
    ]
    return "; ".join(found)


def score_text(score: Score | None, column: Column) -> tuple[str, str]:
    """Value and interval as printed, ``("34.2", "[32.9, 35.6]")``; ``("–", "")`` where undefined."""
    if score is None or not math.isfinite(score.value):
        return "–", ""
    value, low, high = (_number(number, column.digits) for number in (score.value, score.low, score.high))
    defined = math.isfinite(score.low) and math.isfinite(score.high)
    return value, f"[{low}, {high}]" if defined else ""


def _number(number: float, digits: int) -> str:
    return f"{number:.{digits}f}" if abs(number) < 1e7 else f"{number:.3g}"


def label(board: Leaderboard, column: Column) -> str:
    """The column's name with its direction and, where it does not rank here, a warning sign."""
    return column.name + ARROWS[column.better] + (" ⚠" if column.name in board.invalid else "")


def is_top(board: Leaderboard, row: Row, column: Column) -> bool:
    """Whether the cell belongs to the headline's first cluster, the only thing printed bold."""
    return column.name == board.headline and row.rank is not None and row.rank[0] == 1


def to_json(board: Leaderboard) -> str:
    """The whole board, keys sorted, undefined numbers as null; the same board gives the same bytes."""
    content = {"format": FORMAT, **asdict(board), "rows": [asdict(row) for row in ordered(board)]}
    return json.dumps(finite(content), sort_keys=True, allow_nan=False, indent=1) + "\n"


def finite(value: Any) -> Any:
    """The value as JSON holds it: sequences as lists, undefined numbers as null."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as ``("versions.torch", "2.13.0")`` pairs, keys sorted; anything else as text."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from flat(value[key], f"{path}.{key}" if path else str(key))
    elif value is not None:
        yield path, value if isinstance(value, str) else json.dumps(finite(value), ensure_ascii=False, default=str)


def from_json(text: str) -> Leaderboard:
    """Read what ``to_json`` wrote; UserError where it is something else."""
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        columns = tuple(Column(**column) for column in content.pop("columns"))
        rows = tuple(_row(row) for row in content.pop("rows"))
        return Leaderboard(**{**content, "main": tuple(content["main"])}, columns=columns, rows=rows)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError("read a leaderboard", str(error), [FORMAT], "parabench report RUN") from None


def _row(content: dict[str, Any]) -> Row:
    scores = {name: _score(score) for name, score in content.pop("scores").items()}
    rank = content.pop("rank")
    return Row(**content, scores=scores, rank=None if rank is None else (rank[0], rank[1]))


def _score(content: dict[str, Any]) -> Score:
    return Score(**{key: cast(Any, math.nan if value is None else value) for key, value in content.items()})

"""What a leaderboard is: rows, columns, their order, and its JSON form, which reads back as an
equal object.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from parabench.contracts import Column, Decoding, Score, UserError
from parabench.render.templating import json_ready
from parabench.report.truncation import TRUNCATION_COLUMN

_BOARD_FORMAT = "parabench leaderboard 1"
ARROWS = {"up": " ↑", "down": " ↓", "none": ""}
AGAINST = {
    "reference": "references",
    "source": "source",
    "both": "source and references",
    "output": "output alone",
    "samples": "other samples",
}
MAIN_WIDTH = 8
"""How many columns a table holds before it is unreadable."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One system: the first and last rank it may hold (None: unranked), its scores, how many
    examples have them.

    ``seeds`` counts the trainings that stand behind it (0: it was not trained, or nobody knows),
    ``seen`` says how much of the test set they have met (empty for controls).
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
    """Two systems in one column: ``first`` minus ``second``, its paired 95 % interval, and the
    adjusted p-value.

    On the headline p is adjusted after Holm (1979) for all pairs; in the other columns after
    Benjamini and Hochberg (1995) for all pairs of all of them.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    column: str


@dataclass(frozen=True)
class Leaderboard:
    """All that is known of a finished comparison; every output format is a rendering of this and
    nothing else.

    ``invalid`` maps a column to why it does not rank here, ``signatures`` a column to its settings.
    ``main`` names the columns of the first table; when empty they are the headline and up to seven
    others, precisions and recalls apart. ``detectable`` is the difference on the headline that
    these examples show four times in five, the median over pairs.
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


def ordered_rows(board: Leaderboard) -> tuple[LeaderboardRow, ...]:
    """The rows by the headline column, best first: complete ones, then partial ones, undefined
    values last in each.
    """
    lower_is_better = {column.name: column.better == "down" for column in board.columns}.get(
        board.headline, False
    )

    def key(row: LeaderboardRow) -> tuple[bool, bool, float, str]:
        score = row.scores.get(board.headline)
        defined = score is not None and math.isfinite(score.value)
        value = score.value if score and defined else 0.0
        return row.scored < row.asked, not defined, value if lower_is_better else -value, row.system

    return tuple(sorted(board.rows, key=key))


def main_columns(board: Leaderboard) -> tuple[Column, ...]:
    """The columns of the first table, the headline first: those the suite names, and one at least
    of each scorer.
    """
    plain = [
        column.name
        for column in board.columns
        if not re.search(r"[-_.](p|r|precision|recall)$", column.name)
    ]
    firsts = [*{board.signatures.get(name, name): name for name in reversed(plain)}.values()][::-1]
    wanted = sorted(plain, key=lambda name: (name != board.headline, name not in firsts))[
        :MAIN_WIDTH
    ]
    names = [board.headline, *(board.main or filter(wanted.__contains__, plain))]
    known = {column.name: column for column in board.columns}
    told = {board.signatures.get(name) for name in names if name in known}
    unnamed = [
        name
        for name in firsts
        if board.signatures.get(name) not in told and name != TRUNCATION_COLUMN
    ]
    return tuple(
        known[name]
        for name in dict.fromkeys([*names, *unnamed * bool(board.main)])
        if name in known
    )


def rank_text(row: LeaderboardRow) -> str:
    """``"1-3"``: the ranks a system may hold; ``"2"`` where they are one; empty where it is not
    ranked.
    """
    if row.rank is None:
        return ""
    low, high = row.rank
    return str(low) if low == high else f"{low}-{high}"


def count_text(row: LeaderboardRow) -> str:
    """``"500"``, or ``"312/500"`` where not every example has a score."""
    return str(row.scored) if row.scored == row.asked else f"{row.scored}/{row.asked}"


def seeds_text(row: LeaderboardRow) -> str:
    """How many trainings stand behind a row; ``"1*"`` warns that nothing is known of another
    seed.
    """
    return "" if not row.seeds else "1*" if row.seeds == 1 else str(row.seeds)


def row_facts(board: Leaderboard) -> dict[str, Callable[[LeaderboardRow], str]]:
    """What stands before the scores of every row, by its heading: how many examples, and what was
    learned from what.
    """
    facts: dict[str, Callable[[LeaderboardRow], str]] = {"n": count_text}
    facts |= {"seeds": seeds_text} if any(row.seeds for row in board.rows) else {}
    return facts | (
        {"seen": lambda row: row.seen}
        if any("/" in row.seen or row.seen == "clean" for row in board.rows)
        else {}
    )


def reader_notes(board: Leaderboard) -> list[str]:
    """What has to be known to read the table, sentence by sentence."""
    ranked = any(row.rank for row in board.rows)
    ranks = "A rank is the range that the paired tests leave open; the first cluster is bold."
    found = [ranks if ranked else "Nothing here ranks."]
    if made := decoding_note(board):
        found.append(f"Texts: {made}.")
    if cut := truncation_note(board):
        found.append(f"The length limit ended some of them: {cut}.")
    if (references := _references(board)) > 1:
        found.append(
            f"Scored against {references - 1} of {references} references, each left out in turn."
        )
    if any(column.against == "samples" for column in board.columns):
        people = (
            f", as are {min(references, _samples(board) or references)} texts of people"
            if references > 1
            else ""
        )
        found.append(
            f"Samples of a source are compared with one another{people}; all else is about the first sample."
        )
    if power := detectable_text(board):
        found.append(
            f"These examples show a difference of {power} {board.headline} four times in five."
        )
    if any(row.seeds == 1 for row in board.rows):
        found.append("* one training seed: another might differ by more than the interval says.")
    if "seen" in row_facts(board):
        found.append(
            "Seen: how many of the test examples share a sentence with what the row was trained on."
        )
    elif any(row.seen for row in board.rows):
        found.append("Whether these examples were trained on is unknown.")
    return found


def decoding_note(board: Leaderboard) -> str:
    """How the texts were made, ``"beam 4, at most 64 new tokens, seed 0"``; empty where that is not
    known.
    """
    decoding, runtime = board.provenance.get("decoding"), board.provenance.get("runtime")
    if not isinstance(decoding, Mapping) or not isinstance(runtime, Mapping):
        return ""
    usual = asdict(Decoding())
    told = {key: value for key, value in decoding.items() if usual.get(key) != value}
    beams, limit = told.pop("num_beams", 1), decoding.get("max_new_tokens")
    told.pop("max_new_tokens", None)
    search = (
        "sampled" if told.pop("do_sample", False) else "greedy" if beams == 1 else f"beam {beams}"
    )
    search = f"{samples} samples a source" if (samples := told.pop("samples", 1)) > 1 else search
    parts = [
        search,
        f"at most {limit} new tokens",
        *(f"{key} {value}" for key, value in sorted(told.items())),
    ]
    return ", ".join([*parts, f"seed {runtime.get('seed')}", *_apart(board)])


def _apart(board: Leaderboard) -> Iterator[str]:
    """The systems that compute in another arithmetic than the rest."""
    for key, signature in board.provenance.items():
        found = re.search(r"\|dtype:([^|]*)", signature) if key.startswith("system ") else None
        if found:
            yield f"{key.removeprefix('system ')} in {found[1]}"


def truncation_note(board: Leaderboard) -> str:
    """Which systems' outputs the length limit ended, ``"bart 12.5 %"``; empty where none were."""
    scores = [
        (row.system, row.scores[TRUNCATION_COLUMN].value)
        for row in ordered_rows(board)
        if TRUNCATION_COLUMN in row.scores
    ]
    return ", ".join(f"{system} {value:.1f} %" for system, value in scores if value > 0)


def _references(board: Leaderboard) -> int:
    data = board.provenance.get("data")
    count = data.get("references") if isinstance(data, Mapping) else 0
    return count if isinstance(count, int) else 0


def _samples(board: Leaderboard) -> int:
    """How many samples a source has; 0 where there is one text, or nobody knows."""
    decoding = board.provenance.get("decoding")
    count = decoding.get("samples") if isinstance(decoding, Mapping) else 0
    return count if isinstance(count, int) and count > 1 else 0


def detectable_text(board: Leaderboard) -> str:
    """What the examples can show on the headline, ``"1.9"``; empty where there are no two systems
    to tell apart.
    """
    column = next((column for column in board.columns if column.name == board.headline), None)
    return (
        ""
        if board.detectable is None or column is None
        else _number(board.detectable, column.digits)
    )


def missing_values_note(board: Leaderboard) -> str:
    """Which cells leave examples out, and why: ``"copy rouge1: 3 of 500 (no reference …)"``; empty
    where none does.
    """
    found: dict[str, list[str]] = {}
    for row, column in product(ordered_rows(board), board.columns):
        if (score := row.scores.get(column.name)) and score.undefined:
            gap = (
                f"{column.name}: {row.scored - score.undefined} of {row.scored}"
                + f" ({score.why})" * bool(score.why)
            )
            found.setdefault(gap, []).append(row.system)
    return "; ".join(f"{', '.join(systems)} {gap}" for gap, systems in found.items())


def score_text(score: Score | None, column: Column) -> tuple[str, str]:
    """Value and interval as printed, ``("34.2", "[32.9, 35.6]")``; ``("–", "")`` where
    undefined.
    """
    if score is None or not math.isfinite(score.value):
        return "–", ""
    value, low, high = (
        _number(number, column.digits) for number in (score.value, score.low, score.high)
    )
    defined = math.isfinite(score.low) and math.isfinite(score.high)
    return value, f"[{low}, {high}]" if defined else ""


def _number(number: float, digits: int) -> str:
    return f"{number:.{digits}f}" if abs(number) < 1e7 else f"{number:.3g}"


def column_label(board: Leaderboard, column: Column) -> str:
    """The column's name with its direction and, where it does not rank here, a warning sign."""
    return column.name + ARROWS[column.better] + (" ⚠" if column.name in board.invalid else "")


def is_top(board: Leaderboard, row: LeaderboardRow, column: Column) -> bool:
    """Whether the cell belongs to the headline's first cluster, the only thing printed bold."""
    return column.name == board.headline and row.rank is not None and row.rank[0] == 1


def board_to_json(board: Leaderboard) -> str:
    """The whole board, keys sorted, undefined numbers as null; the same board gives the same
    bytes.
    """
    content = {
        "format": _BOARD_FORMAT,
        **asdict(board),
        "rows": [asdict(row) for row in ordered_rows(board)],
    }
    return json.dumps(json_ready(content), sort_keys=True, allow_nan=False, indent=1) + "\n"


def flatten_facts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as ``("versions.torch", "2.13.0")`` pairs, keys sorted; anything else as
    text.
    """
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from flatten_facts(value[key], f"{path}.{key}" if path else str(key))
    elif value is not None:
        yield (
            path,
            value
            if isinstance(value, str)
            else json.dumps(json_ready(value), ensure_ascii=False, default=str),
        )


def board_from_json(text: str) -> Leaderboard:
    """Read what ``to_json`` wrote; UserError where it is something else."""
    try:
        content = json.loads(text)
        if content.pop("format") != _BOARD_FORMAT:
            raise ValueError("another format")
        columns = tuple(Column(**column) for column in content.pop("columns"))
        rows = tuple(_row(row) for row in content.pop("rows"))
        compared = tuple(Comparison(**_numbers(one)) for one in content.pop("comparisons", ()))
        kept = {**content, "main": tuple(content["main"])}
        return Leaderboard(**kept, columns=columns, rows=rows, comparisons=compared)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            "read a leaderboard", str(error), [_BOARD_FORMAT], "parabench report RUN"
        ) from None


def _row(content: dict[str, Any]) -> LeaderboardRow:
    scores = {name: _score(score) for name, score in content.pop("scores").items()}
    rank = content.pop("rank")
    return LeaderboardRow(
        **content, scores=scores, rank=None if rank is None else (rank[0], rank[1])
    )


def _score(content: dict[str, Any]) -> Score:
    return Score(**_numbers(content))


def _numbers(content: dict[str, Any]) -> dict[str, Any]:
    """What JSON holds as null is not a number."""
    return {key: math.nan if value is None else value for key, value in content.items()}

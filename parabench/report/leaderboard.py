"""The leaderboard as files that people read: Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from tabulate import tabulate

from parabench.contracts import Column, Score
from parabench.render.escape import csv_text, markdown, markdown_code
from parabench.report.board import (
    MAIN_WIDTH,
    Leaderboard,
    LeaderboardRow,
    flatten_facts,
    main_columns,
    ordered_rows,
)
from parabench.report.cautions import cautions
from parabench.report.cells import (
    AGAINST,
    column_label,
    is_top,
    rank_text,
    row_facts,
    score_text,
)
from parabench.report.notes import (
    interval_note,
    missing_values_note,
    reader_notes,
    shown_provenance,
)
from parabench.report.verdict import verdict

GAPS = "Cells that leave out examples without a value, and why:"


def board_to_csv(board: Leaderboard) -> str:
    """The board as CSV, one line a system, numbers in full.

    Every column has a value, ``.low``, ``.high``, ``.signature`` and ``.undefined``.
    """
    names = [column.name for column in board.columns]
    heads = [csv_text(name) for name in names]
    header = [
        "system",
        "rank.low",
        "rank.high",
        "control",
        "scored",
        "asked",
    ]
    for head in heads:
        header += [head, f"{head}.low", f"{head}.high"]
    header += ["seeds", "seen"]
    header += [f"{head}.signature" for head in heads]
    header += [f"{head}.undefined" for head in heads]
    # Line feeds alone, so that the same board gives the same bytes on every system.
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(_csv_row(row, names) for row in ordered_rows(board))
    return stream.getvalue()


def _csv_row(row: LeaderboardRow, names: Sequence[str]) -> list[str | int | bool]:
    scores = [row.scores.get(name) for name in names]
    cells: list[str] = []
    for score in scores:
        cells += _csv_numbers(score)
    ranks: list[str | int] = ["", ""] if row.rank is None else list(row.rank)
    # Texts that a spreadsheet could take for a formula are made harmless, numbers never are.
    signatures = []
    gaps: list[str | int] = []
    for score in scores:
        signatures.append(csv_text(score.signature) if score else "")
        gaps.append(score.undefined if score else "")
    facts = [
        csv_text(row.system),
        *ranks,
        row.control,
        row.scored,
        row.asked,
    ]
    return [
        *facts,
        *cells,
        row.seeds or "",
        csv_text(row.seen),
        *signatures,
        *gaps,
    ]


def _csv_numbers(score: Score | None) -> list[str]:
    """Value, low and high, each empty where it is undefined."""
    numbers = [math.nan] * 3
    if score:
        numbers = [score.value, score.low, score.high]
    # repr has as many digits as it takes to read the same number back.
    return [repr(float(number)) if math.isfinite(number) else "" for number in numbers]


def board_to_markdown(board: Leaderboard) -> str:
    """The board as GitHub Markdown.

    The verdict, the main table, the other columns by what they compare with, signatures and
    provenance.
    """
    main = main_columns(board)
    parts = [f"# {markdown(board.title)}"]
    if board.note:
        parts.append(f"> {markdown(board.note)}")
    parts.append(f"**{markdown(' '.join(verdict(board)))}**")
    if warnings := cautions(board):
        parts.append("\n".join(f"- {markdown(sentence)}" for sentence in warnings))
    parts.append(_markdown_table(board, main))
    for name, why in sorted(board.invalid.items()):
        parts.append(f"**{markdown(name)} does not rank here:** {markdown(why)}")
    if gaps := missing_values_note(board):
        parts.append(markdown(f"{GAPS} {gaps}"))
    parts.append(_how_to_read(board))
    for heading, columns in _other_tables(board, main):
        parts += [f"## {heading}", _markdown_table(board, columns)]
    if board.signatures:
        pairs = sorted(board.signatures.items())
        parts += ["## Signatures", _markdown_list(pairs)]
    if provenance := list(flatten_facts(shown_provenance(board))):
        parts += ["## Provenance", _markdown_list(provenance)]
    return "\n\n".join(parts) + "\n"


def _markdown_list(pairs: Sequence[tuple[str, str]]) -> str:
    lines = []
    for name, text in pairs:
        lines.append(f"- {markdown(name)}: {markdown_code(text)}")
    return "\n".join(lines)


def _how_to_read(board: Leaderboard) -> str:
    sentences = [f"Ordered by **{markdown(board.headline)}**."]
    if intervals := interval_note(board):
        sentences.append(intervals)
    if any(row.control for row in board.rows):
        sentences.append("† marks a control.")
    if board.invalid:
        sentences.append("⚠ marks a column that does not rank here.")
    sentences += [markdown(sentence) for sentence in reader_notes(board)]
    return f"How to read this. {' '.join(sentences)}"


def _other_tables(
    board: Leaderboard, main: Sequence[Column]
) -> Iterator[tuple[str, Sequence[Column]]]:
    """The columns that are not in the main table, by what they compare with, in readable parts."""
    others = [column for column in board.columns if column not in main]
    # groupby joins neighbours alone, so the columns are brought together first.
    order = list(AGAINST)
    others.sort(key=lambda column: order.index(column.against))
    for against, group in groupby(others, key=lambda column: column.against):
        columns = list(group)
        # A table of more columns cannot be read: it is cut into parts, which are counted.
        starts = range(0, len(columns), MAIN_WIDTH)
        for number, start in enumerate(starts, 1):
            part = f" ({number}/{len(starts)})" if len(starts) > 1 else ""
            yield f"Against {AGAINST[against]}{part}", columns[start : start + MAIN_WIDTH]


def _markdown_table(board: Leaderboard, columns: Sequence[Column]) -> str:
    """Rank, system, the columns and, where no reader looks first, the facts of each row."""
    # All facts, also those that rows share: a table is copied without what stands below it.
    facts = row_facts(board)
    heads = ["rank", "system"]
    for column in columns:
        label = markdown(column_label(board, column))
        heads.append(f"{label} ({AGAINST[column.against]})")
    heads += facts
    rows = []
    for row in ordered_rows(board):
        name = markdown(row.system) + (" †" if row.control else "")
        scores = [_markdown_score(board, row, column) for column in columns]
        shown_facts = [markdown(text(row)) for text in facts.values()]
        rows.append(
            [
                rank_text(row),
                name,
                *scores,
                *shown_facts,
            ]
        )
    align = ["right", "left", *["right"] * (len(columns) + len(facts))]
    return tabulate(
        rows,
        heads,
        "pipe",
        colalign=align,
        disable_numparse=True,
    )


def _markdown_score(
    board: Leaderboard,
    row: LeaderboardRow,
    column: Column,
) -> str:
    value, interval = score_text(row.scores.get(column.name), column)
    # Whoever may be the best is bold, which may be several.
    if is_top(board, row, column):
        value = f"**{value}**"
    return f"{value} {interval}".strip()

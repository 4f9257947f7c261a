"""The leaderboard as people read it: Markdown, CSV and the terminal; ``to_json`` and the types come
from ``board``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from parabench.contracts import Column
from parabench.render.escape import csv_text, markdown, markdown_code, visible
from parabench.report.board import (
    AGAINST,
    MAIN_WIDTH,
    Leaderboard,
    LeaderboardRow,
    column_label,
    flatten_facts,
    is_top,
    main_columns,
    missing_values_note,
    ordered_rows,
    rank_text,
    reader_notes,
    row_facts,
    score_text,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

GAPS = "Cells that leave out examples without a value, and why:"


def board_to_csv(board: Leaderboard) -> str:
    """One line a system: ``name``, ``name.low``, ``name.high`` in full, all ``name.signature``,
    ``name.undefined``.
    """
    names = [column.name for column in board.columns]
    header = ["system", "rank.low", "rank.high", "control", "scored", "asked"]
    header += [csv_text(name) + suffix for name in names for suffix in ("", ".low", ".high")]
    header += ["seeds", "seen"]
    header += [csv_text(name) + suffix for suffix in (".signature", ".undefined") for name in names]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(_csv_row(row, names) for row in ordered_rows(board))
    return stream.getvalue()


def _csv_row(row: LeaderboardRow, names: Sequence[str]) -> list[str | int | bool]:
    scores = [row.scores.get(name) for name in names]
    numbers = [
        [score.value, score.low, score.high] if score else [math.nan] * 3 for score in scores
    ]
    cells = [
        repr(float(number)) if math.isfinite(number) else ""
        for triple in numbers
        for number in triple
    ]
    ranks: list[str | int] = ["", ""] if row.rank is None else list(row.rank)
    signatures = [csv_text(score.signature) if score else "" for score in scores]
    gaps = [score.undefined if score else "" for score in scores]
    facts = [csv_text(row.system), *ranks, row.control, row.scored, row.asked]
    return [*facts, *cells, row.seeds or "", csv_text(row.seen), *signatures, *gaps]


def board_to_markdown(board: Leaderboard) -> str:
    """GitHub-flavoured Markdown: the main table, the other columns by what they compare, signatures
    and provenance.
    """
    main = main_columns(board)
    lines = [
        f"# {markdown(board.title)}",
        *([f"> {markdown(board.note)}"] if board.note else []),
        _reading(board),
    ]
    lines += [_markdown_table(board, main)]
    lines += [
        f"**{markdown(name)} does not rank here:** {markdown(why)}"
        for name, why in sorted(board.invalid.items())
    ]
    lines += [markdown(f"{GAPS} {gaps}")] if (gaps := missing_values_note(board)) else []
    for heading, columns in _other_tables(board, main):
        lines += [f"## {heading}", _markdown_table(board, columns)]
    signatures = [
        f"- {markdown(name)}: {markdown_code(text)}"
        for name, text in sorted(board.signatures.items())
    ]
    provenance = [
        f"- {markdown(key)}: {markdown_code(text)}" for key, text in flatten_facts(board.provenance)
    ]
    lines += ["## Signatures", "\n".join(signatures)] if signatures else []
    lines += ["## Provenance", "\n".join(provenance)] if provenance else []
    return "\n\n".join(lines) + "\n"


def _reading(board: Leaderboard) -> str:
    controls = " † marks a control." if any(row.control for row in board.rows) else ""
    warned = " ⚠ marks a column that does not rank here." if board.invalid else ""
    return (
        f"Ordered by **{markdown(board.headline)}**. Each value stands with its 95 % bootstrap interval."
        f"{controls}{warned} " + " ".join(map(markdown, reader_notes(board)))
    )


def _other_tables(
    board: Leaderboard, main: Sequence[Column]
) -> Iterator[tuple[str, Sequence[Column]]]:
    others = [column for column in board.columns if column not in main]
    others.sort(key=lambda column: list(AGAINST).index(column.against))
    for against, group in groupby(others, key=lambda column: column.against):
        columns = list(group)
        parts = [
            columns[start : start + MAIN_WIDTH] for start in range(0, len(columns), MAIN_WIDTH)
        ]
        for number, part in enumerate(parts, 1):
            yield (
                f"Against {AGAINST[against]}"
                + (f" ({number}/{len(parts)})" if len(parts) > 1 else ""),
                part,
            )


def _markdown_table(board: Leaderboard, columns: Sequence[Column]) -> str:
    from tabulate import tabulate

    heads = [
        f"{markdown(column_label(board, column))} ({AGAINST[column.against]})" for column in columns
    ]
    facts = row_facts(board)
    rows = [
        [
            *(rank_text(row), _markdown_name(row)),
            *(markdown(text(row)) for text in facts.values()),
            *_markdown_scores(board, row, columns),
        ]
        for row in ordered_rows(board)
    ]
    align = ["right", "left", *["right"] * (len(facts) + len(columns))]
    return tabulate(
        rows, ["rank", "system", *facts, *heads], "pipe", colalign=align, disable_numparse=True
    )


def _markdown_name(row: LeaderboardRow) -> str:
    return markdown(row.system) + (" †" if row.control else "")


def _markdown_scores(
    board: Leaderboard, row: LeaderboardRow, columns: Sequence[Column]
) -> Iterator[str]:
    for column in columns:
        value, interval = score_text(row.scores.get(column.name), column)
        value = f"**{value}**" if is_top(board, row, column) else value
        yield f"{value} {interval}".strip()


def print_board(board: Leaderboard, console: Console) -> None:
    """Print the main table, as many columns as the console is wide, then the note and what does not
    rank.
    """
    from rich.text import Text

    columns = list(main_columns(board))
    unbounded = console.options.update(max_width=10_000)
    while (
        console.measure(_terminal_table(board, columns), options=unbounded).maximum > console.width
        and columns[1:]
    ):
        columns.pop()
    console.print(_terminal_table(board, columns))
    shown = [column.name for column in columns]
    for name, why in sorted(board.invalid.items()):
        if name in shown:
            console.print(Text(visible(f"⚠ {name} does not rank here: {why}")))
    if others := sorted(set(board.invalid) - set(shown)):
        console.print(
            Text(visible(f"⚠ nor do these, for reasons in the files: {', '.join(others)}"))
        )
    if gaps := missing_values_note(board):
        console.print(Text(visible(f"{GAPS} {gaps}")))
    for sentence in reader_notes(board):
        console.print(Text(visible(sentence), style="dim"))
    if hidden := [column.name for column in board.columns if column.name not in shown]:
        console.print(
            Text(visible(f"Not shown here, in the files: {', '.join(hidden)}"), style="dim")
        )
    if board.note:
        console.print(Text(visible(board.note), style="dim"))


def _terminal_table(board: Leaderboard, columns: Sequence[Column]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(board.title)), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("system", no_wrap=True)
    facts = row_facts(board)
    for head in facts:
        table.add_column(head, justify="right", no_wrap=True)
    for column in columns:
        table.add_column(
            Text(f"{visible(column_label(board, column))}\n{AGAINST[column.against]}"),
            justify="right",
            no_wrap=True,
        )
    for row in ordered_rows(board):
        cells = [_terminal_cell(board, row, column) for column in columns]
        name = Text(
            visible(row.system) + (" †" if row.control else ""),
            style="italic" if row.control else "",
        )
        table.add_row(
            rank_text(row), name, *(Text(visible(text(row))) for text in facts.values()), *cells
        )
    return table


def _terminal_cell(board: Leaderboard, row: LeaderboardRow, column: Column) -> Text:
    from rich.text import Text

    value, interval = score_text(row.scores.get(column.name), column)
    return Text.assemble(
        (value, "bold" if is_top(board, row, column) else ""),
        (f" {interval}" if interval else "", "dim"),
    )

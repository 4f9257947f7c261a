"""The leaderboard on a terminal, as many columns as it is wide, the headline always among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parabench.render.escape import visible
from parabench.report.board import (
    Leaderboard,
    LeaderboardRow,
    gives_intervals,
    main_columns,
    ordered_rows,
)
from parabench.report.cautions import cautions
from parabench.report.cells import (
    AGAINST,
    column_label,
    is_top,
    rank_text,
    score_text,
    shared_facts_note,
    split_facts,
)
from parabench.report.leader_tests import leader_test_lines
from parabench.report.leaderboard import GAPS
from parabench.report.notes import missing_values_note, reader_notes
from parabench.report.verdict import verdict

if TYPE_CHECKING:
    from parabench.contracts import Column

_Facts = dict[str, Callable[[LeaderboardRow], str]]
_UNBOUNDED = 10_000
"""A width, in characters, that no table has."""
_MIN_NAME = 8
"""Characters of a system's name that are left where a terminal is very narrow."""


def print_board(
    board: Leaderboard,
    console: Console,
    with_verdict: bool = True,
    with_tests: bool = True,
) -> None:
    """Print the verdict, the main table, and what must be known to read it.

    Args:
        board: that is printed.
        console: decides the width and the colours: none where its output is no terminal. There, no
            line ends in blanks.
        with_verdict: False for a table of several runs, which are not ranked together.
        with_tests: False where the caller lists all paired tests below.
    """
    with_tests = with_tests and with_verdict
    if console.is_terminal or console.record:
        _print(board, console, with_verdict, with_tests)
        return
    # rich fills the lines of a table with blanks, which a terminal hides and a file keeps.
    with console.capture() as captured:
        _print(board, console, with_verdict, with_tests)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def _print(
    board: Leaderboard,
    console: Console,
    with_verdict: bool,
    with_tests: bool,
) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(Text(visible(text), style=style))

    say(board.title, "bold")
    if with_verdict:
        say(" ".join(verdict(board)), "bold")
        for sentence in cautions(board):
            say(f"- {sentence}")
    table, columns = _fitting(board, console)
    console.print()
    console.print(table)
    console.print()
    if with_tests and (tests := leader_test_lines(board)):
        interval = "95 % interval, " if gives_intervals(board) else ""
        say(f"{board.headline}, paired tests (difference, {interval}adjusted p):")
        for line in tests:
            say(f"  {line}")
        console.print()
    # Reasons are given for what is seen; the others are named at the end.
    shown = [column.name for column in columns]
    for name, why in sorted(board.invalid.items()):
        if name in shown:
            say(f"⚠ {name} does not rank here: {why}")
    if gaps := missing_values_note(board):
        say(f"{GAPS} {gaps}")
    notes = [shared_facts_note(board), *reader_notes(board), board.note]
    for sentence in filter(None, notes):
        say(sentence, "dim")
    if hidden := [column.name for column in board.columns if column.name not in shown]:
        say(f"Not shown here, in the files: {', '.join(hidden)}", "dim")
    # Columns out of sight that are not valid are named too, without the reasons, which are many.
    if others := sorted(set(board.invalid) - set(shown)):
        say(f"⚠ Of these, not valid here: {', '.join(others)}", "dim")


def _fitting(board: Leaderboard, console: Console) -> tuple[Table, list[Column]]:
    """The table with as many main columns and differing facts as the console is wide.

    Intervals go first, but the headline's, then columns, from the right, then facts. The headline,
    which is the first column, stays.
    """
    columns = list(main_columns(board))
    facts, _ = split_facts(board)
    with_intervals = True
    # Measured without a limit, since rich would say that a table fits by cutting its cells.
    unbounded = console.options.update(max_width=_UNBOUNDED)
    while True:
        table = _table(board, columns, facts, with_intervals)
        if console.measure(table, options=unbounded).maximum <= console.width:
            return table, columns
        if with_intervals:
            with_intervals = False
        elif columns[1:]:
            columns.pop()
        elif facts:
            facts.popitem()
        else:
            return table, columns


def _table(
    board: Leaderboard,
    columns: Sequence[Column],
    facts: _Facts,
    with_intervals: bool,
) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column(
        "rank",
        justify="right",
        no_wrap=True,
        min_width=len("rank"),
    )
    # Where even the headline does not fit, names are cut, never numbers.
    table.add_column(
        "system",
        no_wrap=True,
        overflow="ellipsis",
        min_width=_MIN_NAME,
    )
    cells_of: dict[str, dict[str, Text]] = {}
    for column in columns:
        # "source and references" in two lines is no wider than most values.
        against = AGAINST[column.against].replace("source and ", "source and\n")
        head = f"{visible(column_label(board, column))}\n{against}"
        shows_interval = with_intervals or column.name == board.headline
        cells = {row.system: _cell(board, row, column, shows_interval) for row in board.rows}
        cells_of[column.name] = cells
        texts = [cell.plain for cell in cells.values()]
        # Cells, not characters: some scripts take two cells a character.
        needed = max(map(cell_len, [*head.split("\n"), *texts]))
        table.add_column(
            Text(head),
            justify="right",
            no_wrap=True,
            min_width=needed,
        )
    for head in facts:
        table.add_column(head, justify="right", no_wrap=True)
    for row in ordered_rows(board):
        name = visible(row.system) + (" †" if row.control else "")
        values = [cells_of[column.name][row.system] for column in columns]
        shown_facts = [Text(visible(text(row))) for text in facts.values()]
        style = "italic" if row.control else ""
        table.add_row(
            rank_text(row),
            Text(name, style=style),
            *values,
            *shown_facts,
        )
    return table


def _cell(
    board: Leaderboard,
    row: LeaderboardRow,
    column: Column,
    shows_interval: bool,
) -> Text:
    value, interval = score_text(row.scores.get(column.name), column)
    if not shows_interval:
        interval = ""
    bold = "bold" if is_top(board, row, column) else ""
    return Text.assemble((value, bold), (f" {interval}" if interval else "", "dim"))

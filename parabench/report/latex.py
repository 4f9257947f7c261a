"""The leaderboard as a LaTeX table that can be input into a paper as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from parabench.contracts import Column, UserError
from parabench.render.escape import latex
from parabench.report.board import (
    Leaderboard,
    LeaderboardRow,
    main_columns,
    ordered_rows,
)
from parabench.report.cells import count_text, is_top, rank_text, score_text
from parabench.report.notes import interval_note, reader_notes

_ARROWS = {
    "up": r" $\uparrow$",
    "down": r" $\downarrow$",
    "none": "",
}
_WARNING = r"\parabenchwarning{}"
_PREAMBLE = r"""% Packages, in the preamble: \usepackage{booktabs,graphicx}
% (textcomp too, where LaTeX is older than 2020)
\providecommand{\parabenchwarning}{%
  \ensuremath{^{\triangle\hspace{-0.62em}\raisebox{0.05em}{\tiny !}\hspace{0.35em}}}}
"""
_LABEL = re.compile(r"[A-Za-z0-9:._/+-]+")
_FITTED = r"""\footnotesize\setlength{\tabcolsep}{3pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"""


def to_latex(board: Leaderboard, label: str = "tab:parabench") -> str:
    r"""The main table as LaTeX: intervals under values, the best cluster bold.

    Columns that do not rank are marked, and the notes under it say why. The table is no wider than
    the page, and needs the packages that its first line names. ``label`` is what ``\ref`` calls it.
    Columns and rows are chosen with ``board.select``.

    Raises:
        UserError: for a label that LaTeX could not refer to.
    """
    if not _LABEL.fullmatch(label):
        raise UserError(
            f"label the table {label!r}",
            "other characters than letters, digits and : . _ / + -",
            mend="give a label such as tab:results",
        )
    columns = main_columns(board)
    # booktabs: three horizontal rules and no vertical one.
    heads = [
        "rank",
        "system",
        *(_head(board, column) for column in columns),
        "$n$",
    ]
    lines = [
        r"\begin{table*}",
        r"\centering\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{_caption(board, columns)}}}",
        rf"\label{{{label}}}",
        _FITTED,
        rf"\begin{{tabular}}{{rl{'r' * len(columns)}r}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *(_line(board, row, columns) for row in ordered_rows(board)),
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {_notes(board, columns)}}}",
        r"\end{table*}",
    ]
    return _PREAMBLE + "\n".join(lines) + "\n"


def _head(board: Leaderboard, column: Column) -> str:
    warning = _WARNING if column.name in board.invalid else ""
    return latex(column.name) + _ARROWS[column.better] + warning


def _caption(board: Leaderboard, columns: Sequence[Column]) -> str:
    """What must be known to read the table; the rest stands below it."""
    rank, *_ = reader_notes(board)
    sentences = [f"{board.title}.", rank, interval_note(board)]
    if any(row.control for row in board.rows):
        sentences.append("Controls are in italics.")
    caption = _prose(" ".join(filter(None, sentences)))
    # The mark is a command, and must not be escaped.
    if any(column.name in board.invalid for column in columns):
        caption += f" {_WARNING} marks columns that do not rank here, for the reasons below."
    return caption


def _notes(board: Leaderboard, columns: Sequence[Column]) -> str:
    """What stands under the table: the suite's note, how texts were made and scored, and why some
    columns do not rank.
    """
    _, *notes = reader_notes(board)
    # The table has no column of what was seen in training.
    notes = [sentence for sentence in notes if not sentence.startswith("Seen:")]
    # A board has a note or none.
    parts = [_prose(" ".join(filter(None, [board.note, *notes])))]
    invalid = [column.name for column in columns if column.name in board.invalid]
    for name in invalid:
        parts.append(f"{_WARNING} {_prose(f'{name} does not rank here: {board.invalid[name]}.')}")
    return " ".join(filter(None, parts))


def _prose(text: str) -> str:
    """The text escaped, a number and its percent sign on one line."""
    return re.sub(r"(?<=\d) (?=\\%)", r"\\,", latex(text))


def _line(
    board: Leaderboard,
    row: LeaderboardRow,
    columns: Sequence[Column],
) -> str:
    """Two lines of the table: values, and small under them their intervals."""
    name = latex(row.system)
    if row.control:
        name = rf"\textit{{{name}}}"
    elif row.seeds == 1:
        name += "*"
    cells = [rank_text(row).replace("-", "--"), name]
    # The second line has nothing under rank and name.
    intervals = ["", ""]
    for column in columns:
        value, interval = score_text(row.scores.get(column.name), column)
        cells.append(_value(value, is_top(board, row, column)))
        intervals.append(rf"{{\tiny [${interval[1:-1]}$]}}" if interval else "")
    # Two points less than a line keep the interval close to its value.
    values = " & ".join([*cells, count_text(row)])
    return rf"{values} \\[-2pt]" + "\n" + " & ".join([*intervals, ""]) + r"\\"


def _value(value: str, is_best: bool) -> str:
    """A number in math mode, which sets a minus sign where text would set a hyphen."""
    if value == "–":
        return "--"
    return rf"$\mathbf{{{value}}}$" if is_best else f"${value}$"

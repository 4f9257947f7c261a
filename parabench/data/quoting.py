"""Quotes in tables: the lines of CSV files, cells in quotes, and tabs within them."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from parabench.data.lines import bad_line, check_line_ends, decode_line, encoding_mend
from parabench.data.text_files import raw_lines


def csv_lines(path: Path, longest: int) -> Iterator[str]:
    """Decoded lines with their line ends, which a quoted field may hold.

    ``longest``: bytes that a line may have.

    Raises csv.Error where one is longer: a quoted field may go on in it, so that it is no single
    row's fault; UserError where one is no UTF-8.
    """
    for number, raw in enumerate(raw_lines(str(path), longest), 1):
        try:
            line = decode_line(str(path), raw, number, longest)
        except ValueError as fault:
            mend = encoding_mend(path, fault)
            if mend:
                raise bad_line(path, number, str(fault), mend) from None
            raise csv.Error(str(fault)) from None
        if number == 1:
            check_line_ends(path, line)
        # a quoted field keeps the line ends that the file has
        endings = (end for end in (b"\r\n", b"\n", b"\r") if raw.endswith(end))
        ending = next(endings, b"")
        yield line + ending.decode()


def unquoted(
    path: Path,
    line: int,
    text: str,
) -> list[str]:
    """The cells of a TSV line that a table's writer quoted where it had to, as pandas does.

    ``path``, ``line``: what errors name. ``text``: the line.

    Raises UserError where the quoting breaks.
    """
    try:
        return next(csv.reader(io.StringIO(text), delimiter="\t", strict=True), [])
    except csv.Error as error:
        raise bad_line(
            path,
            line,
            f"a cell in quotes: {error}",
        ) from None


def check_not_csv(
    path: Path,
    line: str,
    is_header: Callable[[Sequence[str]], bool],
) -> None:
    """Raise UserError where the first ``line`` of a TSV file is the header of a CSV file.

    ``is_header``: whether cells are names of columns.
    """
    check_no_markdown(path, line)
    delimiter = delimiter_of_header(line, is_header)
    if "\t" in line or delimiter not in line:
        return
    found = f"a header of cells between {SEPARATORS[delimiter]}, where tabs are read"
    raise bad_line(path, 1, found, "give the file a name that ends in .csv, before any .gz")


def check_no_markdown(path: Path, line: str) -> None:
    """Raise UserError where the first ``line`` of a table is one of Markdown, between bars."""
    if line.count("|") > 2 and line.lstrip().startswith("|") and line.rstrip().endswith("|"):
        mend = "write the table as CSV or JSONL"
        raise bad_line(path, 1, "a table in Markdown, whose ruled lines would be rows", mend)


def check_quotes(
    path: Path,
    line: int,
    cells: Sequence[str],
) -> None:
    """Raise UserError where a tab seems to stand within quotes, in the ``cells`` of a ``line``.

    TSV without a header is read as it is, quotes included. A cell that opens a quote which a
    later cell closes was written by a program that quotes, and would be cut in two.
    """
    if has_quoted_tab(cells):
        mend = f"write {shlex.quote(path.stem)}.jsonl instead, which can hold tabs"
        raise bad_line(path, line, "a cell in quotes seems to hold a tab", mend)


def has_quoted_tab(cells: Sequence[str]) -> bool:
    """Whether one cell opens a quote and a later one closes it."""
    is_open = False
    for cell in cells:
        # quotes within a cell come in pairs, so that an odd one opens or closes the cell
        is_odd = cell.count('"') % 2 == 1
        if is_open and is_odd and cell.endswith('"'):
            return True
        is_open = is_open or (is_odd and cell.startswith('"'))
    return False


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What programs put between the cells of a file whose name ends in .csv."""


def delimiter_of_header(line: str, is_header: Callable[[Sequence[str]], bool]) -> str:
    """What separates the cells of a header: a comma, unless only another mark makes it one.

    ``line``: the first of a CSV file. ``is_header``: whether cells are names of columns.
    """
    for delimiter in SEPARATORS:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        if is_header(cells):
            return delimiter
    return ","


# what pandas writes of a column of lists, or of arrays
_LIST = re.compile(r"\s*\[\s*(['\"]).*\1\s*\]\s*", re.DOTALL)

# what several texts are often joined with, and no sentence holds
_JOINED = re.compile(r"\S\s*\|\|\|\s*\S")


def check_no_list(path: Path, line: int, cell: str) -> None:
    """Raise UserError where a reference is a list that was written as a text, or joined by bars."""
    if _JOINED.search(cell):
        mend = "give each a column of its own: reference_1, reference_2, …"
        raise bad_line(path, line, "several references in one cell, joined by '|||'", mend)
    if _LIST.fullmatch(cell):
        mend = "write JSONL: frame.to_json(path, orient='records', lines=True, force_ascii=False)"
        raise bad_line(path, line, "a list in the place of a reference", mend)

"""Rows of a user's file, whatever its format: JSON lines, TSV, CSV or Parquet, with or without a
header.

What was assumed of columns is reported by ``notice``; what is unclear is refused with its line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from parabench.contracts import Notice
from parabench.data.column_names import FileKind
from parabench.data.headers import Header, looks_like_header
from parabench.data.lines import bad_line, json_record, read_lines
from parabench.data.parquet import parquet_records
from parabench.data.quoting import (
    SEPARATORS,
    check_no_list,
    check_no_markdown,
    check_not_csv,
    check_quotes,
    csv_lines,
    delimiter_of_header,
    unquoted,
)
from parabench.data.text_files import LONGEST_LINE, unpacked_suffix
from parabench.data.user_rows import UserRow, header_of_table, row_of_values, rows_of_records

JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")


def read_user_rows(
    path: Path,
    kind: FileKind,
    notice: Notice,
    longest: int = LONGEST_LINE,
) -> Iterator[UserRow]:
    """Read the rows of a file one by one; its suffix tells the format.

    ``path``: the file, plain or packed.
    ``kind``: decides which columns a file without a header has, and what names mean.
    ``notice``: called once with the columns that were taken for what.
    ``longest``: bytes that a line may have.

    Raises UserError with the line where the format or the columns are not clear.
    """
    suffix = unpacked_suffix(path)
    if suffix in JSON_SUFFIXES:
        lines = read_lines(path, longest)
        records = ((number, json_record(path, number, line)) for number, line in lines)
        return rows_of_records(path, records, kind, notice)
    if suffix == ".parquet":
        return rows_of_records(
            path,
            parquet_records(str(path)),
            kind,
            notice,
        )
    if suffix == ".csv":
        return _from_csv(path, kind, notice, longest)
    return _from_tsv(path, kind, notice, longest)


def _from_csv(
    path: Path,
    kind: FileKind,
    notice: Notice,
    longest: int,
) -> Iterator[UserRow]:
    """Rows of a CSV file by its header; quoted as RFC 4180 says, so that a field may hold lines."""
    lines = csv_lines(path, longest)
    first_line = next(lines, "")
    check_no_markdown(path, first_line)
    # Excel writes semicolons where the comma is in numbers
    delimiter = delimiter_of_header(first_line, lambda cells: looks_like_header(cells, kind))
    reader = csv.reader(chain([first_line], lines), delimiter=delimiter, strict=True)
    # the reader's own limit of 128 KiB holds for the whole process; lines are bounded already
    csv.field_size_limit(max(csv.field_size_limit(), longest))
    try:
        names = next(reader, [])
        if names and not looks_like_header(names, kind):
            found = f"no header, but {', '.join(map(repr, names[:4]))}"
            mend = "give the columns names in the first line, such as source,prediction,reference"
            if names[0].startswith("sep="):
                mend = "delete line 1, which is a note to Excel; the header is then in line 1"
            raise bad_line(path, 1, found, mend)
        header = header_of_table(path, 1, names, kind) if names else None
        if header:
            separated = "" if delimiter == "," else f"cells between {SEPARATORS[delimiter]}; "
            notice(f"{path.name}: {separated}{header.assumptions}")
        for number, cells in enumerate(reader, 1):
            yield _cells_row(path, reader.line_num, number, header, cells)
    except csv.Error as error:
        raise bad_line(path, reader.line_num + 1, str(error)) from None


def _cells_row(
    path: Path,
    line: int,
    number: int,
    header: Header | None,
    cells: Sequence[str],
) -> UserRow:
    """A row by its cells; raises UserError where they are not as many as the header's names."""
    if header is not None and len(cells) == len(header.names):
        if tuple(cells) == header.names:
            mend = f"delete line {line} of {path.name}"
            raise bad_line(path, line, "the header again, as where files were joined", mend)
        for at in header.references:
            check_no_list(path, line, cells[at])
        return row_of_values(line, number, header, cells)
    # the csv module reads a blank line as a row without cells
    if not cells:
        mend = f"delete the blank lines of {path.name}"
        raise bad_line(path, line, "it is blank", mend)
    width = len(header.names) if header else 0
    raise bad_line(
        path,
        line,
        f"{len(cells)} columns instead of the header's {width}",
    )


def _from_tsv(
    path: Path,
    kind: FileKind,
    notice: Notice,
    longest: int,
) -> Iterator[UserRow]:
    """Rows of a TSV file: by its header, or by position where the first line is a row itself."""
    header: Header | None = None
    for line, text in read_lines(path, longest):
        cells = text.split("\t")
        if line == 1 and looks_like_header(cells, kind):
            header = header_of_table(
                path,
                1,
                [cell.strip().strip('"') for cell in cells],
                kind,
            )
            notice(f"{path.name}: a header in line 1: {header.assumptions}")
            continue
        if line == 1:
            check_not_csv(path, text, lambda names: looks_like_header(names, kind))
        if not text.strip():
            mend = f"delete the blank lines of {path.name}"
            raise bad_line(path, line, "1 column, and that is blank", mend)
        if header:
            # with a header a program wrote it, and programs quote; by hand nobody does
            plain_cells = unquoted(path, line, text)
            yield _cells_row(path, line, line - 1, header, plain_cells)
        else:
            check_quotes(path, line, cells)
            for cell in cells[1:]:
                check_no_list(path, line, cell)
            yield _by_position(line, cells, kind)


def _by_position(
    line: int,
    cells: list[str],
    kind: FileKind,
) -> UserRow:
    """A row without a header: the source, of predictions the output, then references."""
    if kind == "predictions":
        prediction = cells[1] if len(cells) > 1 else None
        return UserRow(line, line, cells[0], prediction, tuple(cells[2:]))
    return UserRow(line, line, cells[0], None, tuple(cells[1:]))

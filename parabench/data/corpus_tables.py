"""Corpora in tables, TSV and CSV: rows by the places of their columns, scores as numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from parabench.contracts import UserError
from parabench.data.headers import UnclearHeaderError, looks_like_header, read_header
from parabench.data.lines import sound_lines
from parabench.data.quoting import csv_lines, has_quoted_tab
from parabench.data.skipped import SkipCounts
from parabench.data.text_files import LONGEST_LINE

NO_SCORE = float("nan")
"""The score of a row that should have one and whose value is no number."""
HEADER_LINE = "a header, whose names tell the columns"
"""Why the first line of a corpus is left out."""
_HEADER_AGAIN = "the header again, as where files were joined"
_QUOTED_TAB = "a cell in quotes that holds a tab"


class CorpusRow(NamedTuple):
    """One row of a corpus.

    ``line``: where it ends in its file. ``paraphrases``: best first. ``score``: None where the
    corpus has no scores, NaN where this row's is no number.
    """

    line: int
    source: str
    paraphrases: tuple[str, ...]
    score: float | None = None


@dataclass(frozen=True)
class CorpusColumns:
    """Names of the columns of the two texts and of the score.

    ``split``: which part of a data set of the hub. ``delimiter``: what separates the cells of a
    CSV file; empty for the format's own.
    """

    source: str = ""
    target: str = ""
    score: str = ""
    split: str = "train"
    delimiter: str = ""


class _Places(NamedTuple):
    """Positions of the columns of a table; ``score`` None where none is read."""

    source: int
    target: int
    score: int | None = None


def tsv_corpus(
    path: str,
    columns: CorpusColumns,
    skipped: SkipCounts,
) -> Iterator[CorpusRow]:
    """Rows of tab-separated cells as they stand, quotes included.

    ``columns``: names in the first line; where none is given, source and target come first.
    ``skipped``: counts the rows of ``path`` that are left out.

    Raises UserError where a column is missing, or a header is not clear.
    """
    lines = sound_lines(path, skipped)
    places = _Places(0, 1)
    header: list[str] | None = None
    if columns.source or columns.target or columns.score:
        _, first_line = next(lines, (1, ""))
        header = first_line.split("\t")
        places = _named_places(path, header, columns)
    for number, line in lines:
        # Files that were joined have the header of each.
        cells = line.split("\t")
        if cells == header:
            skipped.count(_HEADER_AGAIN, number)
            continue
        if number == 1 and looks_like_header(cells, "pairs"):
            header = cells
            places = _assumed_places(path, cells)
            skipped.count(HEADER_LINE, number)
            continue
        # Cells beyond the last column that is read may be absent.
        last = max(places.source, places.target, places.score or 0)
        if len(cells) <= last:
            skipped.count("too few columns", number)
        elif has_quoted_tab(cells):
            skipped.count(_QUOTED_TAB, number)
        else:
            yield _row_of_cells(number, cells, places)


def _row_of_cells(
    line: int,
    cells: Sequence[str],
    places: _Places,
) -> CorpusRow:
    score = None
    if places.score is not None:
        score = parse_number(cells[places.score])
    return CorpusRow(
        line,
        cells[places.source],
        (cells[places.target],),
        score,
    )


def _named_places(
    path: str,
    header: list[str],
    columns: CorpusColumns,
) -> _Places:
    """Where the columns that were asked for are; raises UserError where one is missing."""
    score = place_of(path, header, columns.score) if columns.score else None
    source = place_of(path, header, columns.source or "source")
    target = place_of(path, header, columns.target or "target")
    return _Places(source, target, score)


def _assumed_places(path: str, header: list[str]) -> _Places:
    """Where source and target are by the names of a header that nobody asked for.

    Raises UserError where that is not clear.
    """
    asked = f"read {path}, line 1: a header"
    mend = f"tsv:{path}?source=COLUMN&target=COLUMN"
    try:
        found = read_header(header, "pairs")
    except UnclearHeaderError as error:
        raise UserError(
            asked,
            error.found,
            header[:20],
            mend,
        ) from None
    if found.source is None or len(found.references) != 1:
        several = f"{len(found.references)} columns could be the target"
        raise UserError(
            asked,
            several,
            header[:20],
            mend,
        )
    return _Places(found.source, found.references[0])


def csv_corpus(
    path: str,
    columns: CorpusColumns,
    skipped: SkipCounts,
) -> Iterator[CorpusRow]:
    """Rows of a CSV file, quoted as RFC 4180 says, numbered by their last line.

    A quoted field may hold line feeds. ``columns``: names in the header, and the delimiter.
    ``skipped``: counts the rows of ``path`` that are left out.

    Raises UserError where a column is missing, and where the quoting breaks: from there on nothing
    tells where a row begins.
    """
    lines = csv_lines(Path(path), LONGEST_LINE)
    delimiter = delimiter_of(columns.delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        # The whole header as one name is the sign of another delimiter than the comma.
        if len(header) == 1 and not columns.delimiter:
            _check_delimiter(path, header[0])
        places = _named_places(path, header, columns)
        for cells in reader:
            # Here quotes are read, so another number of cells means a mark where none belongs.
            if len(cells) != len(header):
                skipped.count("another number of columns than the header", reader.line_num)
                continue
            if cells == header:
                skipped.count(_HEADER_AGAIN, reader.line_num)
                continue
            yield _row_of_cells(reader.line_num, cells, places)
    except csv.Error as error:
        # the reader counts a line when it is done with it
        found = f"line {reader.line_num + 1}: {error}"
        raise UserError(
            f"read {path}",
            found,
            mend="correct that line",
        ) from None


def _check_delimiter(path: str, name: str) -> None:
    """Raise UserError where a header's only name seems to be several, separated by another mark."""
    for mark, option in ((";", "semicolon"), ("\t", "tab"), ("|", "pipe")):
        if mark in name:
            found = f"one column, {name[:80]!r}, where cells are separated by commas"
            mend = f"csv:{path}?source=COLUMN&target=COLUMN&delimiter={option}"
            raise UserError(f"read {path}", found, mend=mend)


DELIMITERS = {
    "": ",",
    "comma": ",",
    "tab": "\t",
    "\\t": "\t",
    "semicolon": ";",
    "pipe": "|",
    "space": " ",
}
"""Delimiters by the names that a command line can hold."""


def delimiter_of(name: str) -> str:
    """The character that a delimiter's name, or the character itself, stands for.

    Raises UserError where it is neither.
    """
    if name.casefold() in DELIMITERS:
        return DELIMITERS[name.casefold()]
    # quotes, line ends and NUL mean something else in a CSV file
    if len(name) == 1 and name not in '"\r\n\0':
        return name
    choices = [choice for choice in DELIMITERS if choice]
    raise UserError(
        f"read a CSV file with delimiter={name}",
        "neither one character nor a known name",
        [*choices, "any one character"],
        "csv:PATH?delimiter=semicolon",
    )


def place_of(
    path: str,
    header: list[str],
    name: str,
) -> int:
    """Find the position of a column among those of a header.

    ``path``: what errors name. ``header``: the names that there are. ``name``: the one asked for.

    Raises UserError with the columns there are where it is missing.
    """
    if name not in header:
        mend = f"{path}?source=COLUMN&target=COLUMN"
        raise UserError(
            f"read {path}",
            f"no column {name!r}",
            header[:20],
            mend,
        )
    return header.index(name)


def parse_number(text: str) -> float:
    """A finite decimal number; NaN for anything else, ``1_000`` and ``(0,6)`` included."""
    # Python takes the underscores of its own literals, which no file of scores has
    if "_" in text:
        return NO_SCORE
    try:
        number = float(text)
    except ValueError:
        return NO_SCORE
    return number if math.isfinite(number) else NO_SCORE

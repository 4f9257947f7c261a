"""Training corpora in their native formats, read line by line.

Rows left out are counted by reason.

parabank2  ``score TAB reference TAB p1 … p5``, ragged (ParaBank 2.0, Hu et al. 2019)
paranmt    ``reference TAB paraphrase``, with or without a third column of scores
           (ParaNMT, Wieting and Gimpel 2018)
tsv, csv, jsonl, parquet    two named columns; a TSV without names has its two first
hf         a data set of the Hugging Face hub, ``hf:org/name``, streamed

Files may be plain, ``.gz``, ``.zst``, or a ``.zip``, whose member is named behind ``!`` where there
are several.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from parabench.contracts import UserError
from parabench.data.headers import UnclearHeaderError, looks_like_header, read_header
from parabench.data.lines import has_half_surrogate, sound_lines
from parabench.data.parquet import parquet_records
from parabench.data.skipped import SkipCounts
from parabench.data.text_files import LONGEST_LINE
from parabench.data.user_tables import csv_lines, has_quoted_tab

CORPUS_FORMATS = ("parabank2", "paranmt", "tsv", "csv", "jsonl", "parquet", "hf")

NO_SCORE = float("nan")
"""The score of a row that should have one and whose value is no number."""
_HEADER = "a header, whose names tell the columns"
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


def read_rows(
    form: str, path: str, columns: CorpusColumns, skipped: SkipCounts
) -> Iterator[CorpusRow]:
    """Read all rows of a corpus, one by one.

    ``form``: one of ``CORPUS_FORMATS``. ``columns``: which columns are read, where they are named.
    ``skipped``: counts the rows that are not what the format says.

    Raises UserError for an unknown format and where the file as a whole cannot be read.
    """
    readers: Mapping[str, Callable[[], Iterator[CorpusRow]]] = {
        "parabank2": lambda: _parabank2(path, skipped),
        "paranmt": lambda: _paranmt(path, skipped),
        "tsv": lambda: _tsv(path, columns, skipped),
        "csv": lambda: _csv(path, columns, skipped),
        "jsonl": lambda: _named(_json_records(path, skipped), columns, path, skipped),
        "parquet": lambda: _named(parquet_records(path), columns, path, skipped),
        "hf": lambda: _named(_hub_records(path, columns), columns, path, skipped),
    }
    if form not in readers:
        asked = f"read a corpus of the format {form!r}"
        raise UserError(asked, "no such format", CORPUS_FORMATS, "parabank2:PATH")
    return readers[form]()


def _parabank2(path: str, skipped: SkipCounts) -> Iterator[CorpusRow]:
    for number, line in sound_lines(path, skipped):
        score_cell, *texts = line.split("\t")
        score = parse_number(score_cell)
        if not texts or math.isnan(score):
            skipped.count("not score TAB reference TAB paraphrases", number)
            continue
        paraphrases = tuple(text for text in texts[1:] if text.strip())
        if paraphrases:
            yield CorpusRow(number, texts[0], paraphrases, score)
        else:
            skipped.count("no paraphrase", number)


def _paranmt(path: str, skipped: SkipCounts) -> Iterator[CorpusRow]:
    for number, line in sound_lines(path, skipped):
        cells = line.split("\t")
        if number == 1 and looks_like_header(cells, "pairs"):
            skipped.count(_HEADER, number)
            continue
        score = parse_number(cells[2]) if len(cells) == 3 else None
        if len(cells) not in (2, 3) or (score is not None and math.isnan(score)):
            skipped.count("not reference TAB paraphrase (TAB score)", number)
            continue
        yield CorpusRow(number, cells[0], (cells[1],), score)


class _Places(NamedTuple):
    """Positions of the columns of a table; ``score`` None where none is read."""

    source: int
    target: int
    score: int | None = None


def _tsv(path: str, columns: CorpusColumns, skipped: SkipCounts) -> Iterator[CorpusRow]:
    """Rows of tab-separated cells as they stand, quotes included."""
    lines = sound_lines(path, skipped)
    is_named = bool(columns.source or columns.target or columns.score)
    places = _Places(0, 1)
    if is_named:
        header = next(lines, (1, ""))[1].split("\t")
        places = _named_places(path, header, columns)
    for number, line in lines:
        cells = line.split("\t")
        if number == 1 and looks_like_header(cells, "pairs"):
            places = _assumed_places(path, cells)
            skipped.count(_HEADER, number)
            continue
        if len(cells) <= max(places.source, places.target, places.score or 0):
            skipped.count("too few columns", number)
        elif has_quoted_tab(cells):
            skipped.count(_QUOTED_TAB, number)
        else:
            yield _row_of_cells(number, cells, places)


def _row_of_cells(line: int, cells: Sequence[str], places: _Places) -> CorpusRow:
    score = None if places.score is None else parse_number(cells[places.score])
    return CorpusRow(line, cells[places.source], (cells[places.target],), score)


def _named_places(path: str, header: list[str], columns: CorpusColumns) -> _Places:
    """Where the columns that were asked for are; raises UserError where one is missing."""
    score = place_of(path, header, columns.score) if columns.score else None
    source = place_of(path, header, columns.source or "source")
    return _Places(source, place_of(path, header, columns.target or "target"), score)


def _assumed_places(path: str, header: list[str]) -> _Places:
    """Where source and target are by the names of a header that nobody asked for.

    Raises UserError where that is not clear.
    """
    mend = f"tsv:{path}?source=COLUMN&target=COLUMN"
    try:
        found = read_header(header, "pairs")
    except UnclearHeaderError as error:
        raise UserError(f"read {path}, line 1: a header", error.found, header[:20], mend) from None
    if found.source is None or len(found.references) != 1:
        asked = f"{len(found.references)} columns could be the target"
        raise UserError(f"read {path}, line 1: a header", asked, header[:20], mend)
    return _Places(found.source, found.references[0])


def _csv(path: str, columns: CorpusColumns, skipped: SkipCounts) -> Iterator[CorpusRow]:
    """Rows of a CSV file, quoted as RFC 4180 says, numbered by their last line.

    A quoted field may hold line feeds.
    """
    lines = csv_lines(Path(path), LONGEST_LINE)
    reader = csv.reader(lines, delimiter=delimiter_of(columns.delimiter), strict=True)
    try:
        header = next(reader, [])
        places = _named_places(path, header, columns)
        for cells in reader:
            if len(cells) != len(header):
                skipped.count("another number of columns than the header", reader.line_num)
                continue
            yield _row_of_cells(reader.line_num, cells, places)
    except csv.Error as error:
        found = f"line {reader.line_num + 1}: {error}"
        raise UserError(f"read {path}", found, mend="correct that line") from None


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
    if len(name) == 1 and name not in '"\r\n\0':
        return name
    choices = [choice for choice in DELIMITERS if choice]
    raise UserError(
        f"read a CSV file with delimiter={name}",
        "neither one character nor a known name",
        [*choices, "any one character"],
        "csv:PATH?delimiter=semicolon",
    )


def _named(
    records: Iterable[tuple[int, Any]], columns: CorpusColumns, path: str, skipped: SkipCounts
) -> Iterator[CorpusRow]:
    """Rows of records whose values have names; a target may be a list of paraphrases."""
    source, target = columns.source or "source", columns.target or "target"
    wanted = [source, target, *([columns.score] if columns.score else [])]
    are_checked = False
    for number, record in records:
        if not isinstance(record, dict):
            skipped.count("not an object with named values", number)
            continue
        if not are_checked:  # the first record speaks for all: a later one may lack a value
            for name in wanted:
                place_of(path, list(record), name)
            are_checked = True
        text, other = record.get(source), record.get(target)
        several: list[Any] = other if isinstance(other, list) else [other]
        if not several or not all(isinstance(one, str) for one in [text, *several]):
            skipped.count("a value that is no text", number)
            continue
        if any(map(has_half_surrogate, [text, *several])):
            skipped.count("half a character", number)
            continue
        score = _json_number(record.get(columns.score)) if columns.score else None
        yield CorpusRow(number, str(text), tuple(several), score)


def _json_number(value: Any) -> float:
    """A JSON number; NaN for anything else, a number in quotes and a truth value included."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else NO_SCORE


def _json_records(path: str, skipped: SkipCounts) -> Iterator[tuple[int, Any]]:
    for number, line in sound_lines(path, skipped):
        if number == 1 and line.lstrip().startswith("["):
            found = "line 1: an array begins, where every line is to be one object"
            raise UserError(f"read {path}", found, mend="write one record a line (JSONL)")
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            skipped.count("not JSON", number)


def _hub_records(name: str, columns: CorpusColumns) -> Iterator[tuple[int, Any]]:
    from datasets import load_dataset

    try:
        yield from enumerate(load_dataset(name, split=columns.split, streaming=True), 1)
    # datasets, the hub client and httpx raise their own errors, which share no class; each means
    # that the data cannot be had
    except Exception as error:
        found = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        mend = "check its name and the network"
        raise UserError(f"read the data set {name} of the hub", found, mend=mend) from error


def place_of(path: str, header: list[str], name: str) -> int:
    """The position of a column; raises UserError with the columns there are where it is missing."""
    if name not in header:
        mend = f"{path}?source=COLUMN&target=COLUMN"
        raise UserError(f"read {path}", f"no column {name!r}", header[:20], mend)
    return header.index(name)


def parse_number(text: str) -> float:
    """A finite decimal number; NaN for anything else, ``1_000`` and ``(0,6)`` included."""
    try:
        number = float(text) if "_" not in text else NO_SCORE
    except ValueError:
        return NO_SCORE
    return number if math.isfinite(number) else NO_SCORE

"""Training corpora in their native formats, read line by line: pairs out, and every row left out
counted by reason.

parabank2  ``score TAB reference TAB p1 … p5``, ragged (ParaBank 2.0, Hu et al. 2019)
paranmt    ``reference TAB paraphrase``, with or without a third column of scores (ParaNMT, Wieting and Gimpel 2018)
tsv, csv, jsonl, parquet    two named columns; a TSV without names has its two first
hf         a data set of the Hugging Face hub, ``hf:org/name``, streamed
Files may be plain, ``.gz``, ``.zst``, or a ``.zip``, whose member is named behind ``!`` where there are several.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from parabench.contracts import UserError
from parabench.data.text_files import LONGEST_LINE, SkipCounts, decoded, numbered_lines, raw_lines

CORPUS_FORMATS = ("parabank2", "paranmt", "tsv", "csv", "jsonl", "parquet", "hf")


class CorpusRow(NamedTuple):
    """One row of a corpus: its line, the sentence, its paraphrases best first, and the score if it
    has one.
    """

    line: int
    source: str
    paraphrases: tuple[str, ...]
    score: float | None = None


@dataclass(frozen=True)
class CorpusColumns:
    """Which columns hold the two texts and, optionally, a score."""

    source: str = ""
    target: str = ""
    score: str = ""
    split: str = "train"
    delimiter: str = ""


def read_rows(
    form: str, path: str, columns: CorpusColumns, tally: SkipCounts
) -> Iterator[CorpusRow]:
    """All rows of a file; those that are not what the format says are counted in ``tally``."""
    readers: Mapping[str, Callable[[], Iterator[CorpusRow]]] = {
        "parabank2": lambda: _parabank2(path, tally),
        "paranmt": lambda: _paranmt(path, tally),
        "tsv": lambda: _tsv(path, columns, tally),
        "csv": lambda: _csv(path, columns, tally),
        "jsonl": lambda: _named(_json_records(path, tally), columns, path, tally),
        "parquet": lambda: _named(parquet_records(path), columns, path, tally),
        "hf": lambda: _named(_hub_records(path, columns), columns, path, tally),
    }
    if form not in readers:
        raise UserError(
            f"read a corpus of the format {form!r}",
            "no such format",
            CORPUS_FORMATS,
            "parabank2:PATH",
        )
    return readers[form]()


def _parabank2(path: str, tally: SkipCounts) -> Iterator[CorpusRow]:
    for number, line in numbered_lines(path, tally):
        cells = line.split("\t")
        score = _number(cells[0])
        if len(cells) < 2 or score is None:
            tally.count("not score TAB reference TAB paraphrases", number)
            continue
        paraphrases = tuple(cell for cell in cells[2:] if cell.strip())
        if paraphrases:
            yield CorpusRow(number, cells[1], paraphrases, score)
        else:
            tally.count("no paraphrase", number)


def _paranmt(path: str, tally: SkipCounts) -> Iterator[CorpusRow]:
    for number, line in numbered_lines(path, tally):
        cells = line.split("\t")
        score = _number(cells[2]) if len(cells) == 3 else None
        if len(cells) not in (2, 3) or (len(cells) == 3 and score is None):
            tally.count("not reference TAB paraphrase (TAB score)", number)
            continue
        yield CorpusRow(number, cells[0], (cells[1],), score)


def _tsv(path: str, columns: CorpusColumns, tally: SkipCounts) -> Iterator[CorpusRow]:
    lines = numbered_lines(path, tally)
    first, second, scored = 0, 1, None
    if columns.source or columns.target:
        header = next(lines, (1, ""))[1].split("\t")
        first, second = (_place(path, header, name) for name in (columns.source, columns.target))
        scored = _place(path, header, columns.score) if columns.score else None
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) <= max(first, second, scored or 0):
            tally.count("too few columns", number)
            continue
        yield CorpusRow(
            number,
            cells[first],
            (cells[second],),
            None if scored is None else _number(cells[scored]),
        )


def _csv(path: str, columns: CorpusColumns, tally: SkipCounts) -> Iterator[CorpusRow]:
    """Quoted as RFC 4180 says; a field may hold line feeds, so rows are numbered by their last
    line.
    """
    reader = csv.reader(_csv_lines(path), delimiter=columns.delimiter or ",", strict=True)
    try:
        header = next(reader, [])
        first, second = (
            _place(path, header, name or default)
            for name, default in ((columns.source, "source"), (columns.target, "target"))
        )
        scored = _place(path, header, columns.score) if columns.score else None
        for cells in reader:
            if len(cells) != len(header):
                tally.count("another number of columns than the header", reader.line_num)
                continue
            score = None if scored is None else _number(cells[scored])
            yield CorpusRow(reader.line_num, cells[first], (cells[second],), score)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"read {path}", f"line {reader.line_num + 1}: {error}", mend="correct that line"
        ) from None


def _csv_lines(path: str) -> Iterator[str]:
    """A line too long is no single row's fault, since a quoted field may go on in it."""
    for number, raw in enumerate(raw_lines(path), 1):
        if len(raw) > LONGEST_LINE:
            raise csv.Error(f"longer than {LONGEST_LINE} bytes")
        yield decoded(raw, number)


def _named(
    records: Iterable[tuple[int, Any]], columns: CorpusColumns, path: str, tally: SkipCounts
) -> Iterator[CorpusRow]:
    source, target = columns.source or "source", columns.target or "target"
    for number, record in records:
        if not isinstance(record, dict):
            tally.count("not an object with named values", number)
            continue
        if number == 1:
            for name in (source, target):
                _place(path, list(record), name)
        texts = record.get(source), record.get(target)
        several: list[Any] = texts[1] if isinstance(texts[1], list) else [texts[1]]
        if (
            not isinstance(texts[0], str)
            or not several
            or not all(isinstance(text, str) for text in several)
        ):
            tally.count("a value that is no text", number)
            continue
        if any(map(_is_torn, [texts[0], *several])):
            tally.count("half a character", number)
            continue
        score = record.get(columns.score) if columns.score else None
        yield CorpusRow(
            number,
            texts[0],
            tuple(several),
            float(score) if isinstance(score, int | float) else None,
        )


def _json_records(path: str, tally: SkipCounts) -> Iterator[tuple[int, Any]]:
    for number, line in numbered_lines(path, tally):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            tally.count("not JSON", number)


def parquet_records(path: str) -> Iterator[tuple[int, Any]]:
    """Numbered records of a Parquet file, a few thousand in memory."""
    from pyarrow import ArrowException, parquet

    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (OSError, ArrowException, UnicodeDecodeError) as error:
        raise UserError(
            f"read {path}", str(error).splitlines()[0], mend="give the path of a Parquet file"
        ) from None


def _hub_records(name: str, columns: CorpusColumns) -> Iterator[tuple[int, Any]]:
    from datasets import load_dataset

    try:
        yield from enumerate(load_dataset(name, split=columns.split, streaming=True), 1)
    except (
        Exception
    ) as error:  # datasets, the hub client and httpx raise their own; each means "not to be had"
        found = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        raise UserError(
            f"read the data set {name} of the hub", found, mend="check its name and the network"
        ) from error


def _place(path: str, header: list[str], name: str) -> int:
    if name not in header:
        raise UserError(
            f"read {path}",
            f"no column {name!r}",
            header[:20],
            f"{path}?source=COLUMN&target=COLUMN",
        )
    return header.index(name)


def _is_torn(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which JSON can say and UTF-8 cannot."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

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

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from parabench.contracts import UserError
from parabench.data.corpus_tables import (
    HEADER_LINE,
    NO_SCORE,
    CorpusColumns,
    CorpusRow,
    csv_corpus,
    parse_number,
    place_of,
    tsv_corpus,
)
from parabench.data.headers import looks_like_header
from parabench.data.lines import has_half_surrogate, sound_lines
from parabench.data.parquet import parquet_records
from parabench.data.skipped import SkipCounts

CORPUS_FORMATS = ("parabank2", "paranmt", "tsv", "csv", "jsonl", "parquet", "hf")


def read_rows(
    form: str,
    path: str,
    columns: CorpusColumns,
    skipped: SkipCounts,
) -> Iterator[CorpusRow]:
    """Read all rows of a corpus, one by one.

    ``form``: one of ``CORPUS_FORMATS``. ``path``: its file, or its name on the hub.
    ``columns``: which columns are read, where they are named.
    ``skipped``: counts the rows that are not what the format says.

    Raises UserError for an unknown format and where the file as a whole cannot be read.
    """
    # functions, so that only the reader that is asked for opens its file
    readers: Mapping[str, Callable[[], Iterator[CorpusRow]]] = {
        "parabank2": lambda: _parabank2(path, skipped),
        "paranmt": lambda: _paranmt(path, skipped),
        "tsv": lambda: tsv_corpus(path, columns, skipped),
        "csv": lambda: csv_corpus(path, columns, skipped),
        "jsonl": lambda: _named(
            _json_records(path, skipped),
            columns,
            path,
            skipped,
        ),
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
        reference, *others = texts
        # rows are ragged: some end in empty cells, others in fewer cells
        paraphrases = tuple(text for text in others if text.strip())
        if paraphrases:
            yield CorpusRow(number, reference, paraphrases, score)
        else:
            skipped.count("no paraphrase", number)


def _paranmt(path: str, skipped: SkipCounts) -> Iterator[CorpusRow]:
    for number, line in sound_lines(path, skipped):
        cells = line.split("\t")
        # the published files have no header, but copies of them do
        if number == 1 and looks_like_header(cells, "pairs"):
            skipped.count(HEADER_LINE, number)
            continue
        score = parse_number(cells[2]) if len(cells) == 3 else None
        is_scored_badly = score is not None and math.isnan(score)
        if len(cells) not in (2, 3) or is_scored_badly:
            skipped.count("not reference TAB paraphrase (TAB score)", number)
            continue
        yield CorpusRow(number, cells[0], (cells[1],), score)


def _named(
    records: Iterable[tuple[int, Any]],
    columns: CorpusColumns,
    path: str,
    skipped: SkipCounts,
) -> Iterator[CorpusRow]:
    """Rows of records whose values have names; a target may be a list of paraphrases."""
    source = columns.source or "source"
    target = columns.target or "target"
    wanted = [source, target]
    if columns.score:
        wanted.append(columns.score)
    are_checked = False
    for number, record in records:
        if not isinstance(record, dict):
            skipped.count("not an object with named values", number)
            continue
        if not are_checked:  # the first record speaks for all: a later one may lack a value
            for name in wanted:
                place_of(path, list(record), name)
            are_checked = True
        text = record.get(source)
        other = record.get(target)
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
    """A number of a record; NaN for anything else, one in quotes and a truth value included."""
    # a bool is an int to Python; Parquet has decimals
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return NO_SCORE
    try:
        number = float(value)
    # whole numbers have no bound in JSON
    except OverflowError:
        return NO_SCORE
    return number if math.isfinite(number) else NO_SCORE


def _json_records(path: str, skipped: SkipCounts) -> Iterator[tuple[int, Any]]:
    for number, line in sound_lines(path, skipped):
        # each line of an array would be counted as "not JSON": one cause, said once
        if number == 1 and line.lstrip().startswith("["):
            found = "line 1: an array begins, where every line is to be one object"
            raise UserError(
                f"read {path}",
                found,
                mend="write one record a line (JSONL)",
            )
        try:
            record = json.loads(line)
        # brackets within brackets end in a RecursionError
        except (ValueError, RecursionError):
            skipped.count("not JSON", number)
            continue
        yield number, record


def _hub_records(name: str, columns: CorpusColumns) -> Iterator[tuple[int, Any]]:
    from datasets import load_dataset

    try:
        records = load_dataset(name, split=columns.split, streaming=True)
        yield from enumerate(records, 1)
    # datasets, the hub client and httpx raise their own errors, which share no class; each means
    # that the data cannot be had
    except Exception as error:
        # a time-out may come without a word
        lines = str(error).strip().splitlines() or ["no reason given"]
        found = f"{type(error).__name__}: {lines[0]}"
        mend = "check its name and the network"
        raise UserError(
            f"read the data set {name} of the hub",
            found,
            mend=mend,
        ) from error

"""Predictions made elsewhere: anyone's paraphrases, read for scoring without any model of ours.

With the references in the same file:
    JSONL  ``{"source": "…", "prediction": "…", "references": ["…", …]}``
    TSV    ``source TAB prediction TAB reference TAB …`` (every line the same number of columns)
    CSV, TSV or Parquet with named columns: source, prediction, reference or reference_1, …
Beside a test set (``--data``):
    JSONL, CSV or TSV with ``id`` and ``prediction``, or plain text, one prediction a line in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from parabench.contracts import Example, Notice, UserError
from parabench.data.headers import looks_like_header, role_of
from parabench.data.lines import LONGEST_TEXT, bad_line, check_text, has_half_surrogate, read_lines
from parabench.data.skipped import SkipCounts
from parabench.data.test_sets import quiet, row_id
from parabench.data.text_files import unpacked_suffix
from parabench.data.user_tables import JSON_SUFFIXES, UserRow, read_user_rows

LONGEST_PREDICTION_LINE = 4 * 2**20
"""Bytes of a line of predictions: one output that never ended must not cost the file."""
_TABLES = (*JSON_SUFFIXES, ".csv", ".parquet")


@dataclass
class Predictions:
    """What a file of predictions holds, row by row.

    ``examples`` and ``texts`` belong together. ``cut`` are positions of texts that were longer than
    ``LONGEST_TEXT`` and are kept up to there: outputs that did not end, and are scored as such.
    """

    examples: list[Example] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)

    def add(self, example: Example, prediction: Prediction) -> None:
        """Append one row."""
        if prediction.is_cut:
            self.cut.add(len(self.texts))
        self.examples.append(example)
        self.texts.append(prediction.text)

    def __iter__(self) -> Iterator[tuple[Example, str]]:
        return zip(self.examples, self.texts, strict=True)

    def __len__(self) -> int:
        return len(self.texts)


class Prediction(NamedTuple):
    """One output; ``is_cut`` where only its first ``LONGEST_TEXT`` characters are kept."""

    text: str
    is_cut: bool = False


def read_predictions(
    path: Path, examples: Sequence[Example] | None = None, notice: Notice = quiet
) -> Predictions:
    """Pair every prediction with its example.

    ``examples``: the test set beside which the file stands; None where it holds the sources itself.
    ``notice``: is told what was assumed of the file, and which outputs were cut.

    Raises UserError with the line of anything that is missing, occurs twice or is ragged.
    """
    if examples is None:
        found = _with_sources(path, notice)
    elif unpacked_suffix(path) in _TABLES or _has_header(path):
        found = _by_id(path, examples, notice)
    else:
        found = _in_order(path, examples, notice)
    if not len(found):
        raise UserError(f"score {path}", "the file is empty", mend=_forms())
    if found.cut:
        notice(
            f"{path.name}: {len(found.cut)} outputs are longer than {LONGEST_TEXT} characters; "
            "they are cut there and counted as cut off"
        )
    return found


def _forms() -> str:
    return (__doc__ or "").split("\n\n", 1)[1]


def checked_prediction(path: Path, line: int, text: object) -> Prediction:
    """Return an output as it is scored; one that is too long is cut, and does not cost the file.

    Raises UserError where it is no text.
    """
    if isinstance(text, str) and len(text) > LONGEST_TEXT and not has_half_surrogate(text):
        return Prediction(text[:LONGEST_TEXT], is_cut=True)
    return Prediction(check_text(path, line, text, empty=True))


def _with_sources(path: Path, notice: Notice) -> Predictions:
    """Rows that hold source, prediction and references, all of one width in a table."""
    found, lines = Predictions(), dict[str, int]()
    for row in _sound_widths(path, read_user_rows(path, "predictions", notice, _LINE)):
        example = _example(path, row)
        if example.id in lines:
            twice = f"the id {example.id!r} stands in line {lines[example.id]} too"
            raise bad_line(path, row.line, twice)
        lines[example.id] = row.line
        found.add(example, checked_prediction(path, row.line, row.prediction))
    return found


_LINE = LONGEST_PREDICTION_LINE


def _sound_widths(path: Path, rows: Iterator[UserRow]) -> Iterator[UserRow]:
    """Rows of a table by position must have equally many columns; others pass."""
    by_position = unpacked_suffix(path) not in _TABLES and not _has_header(path)
    width = 0
    for row in rows:
        if by_position:
            own = 1 + (row.prediction is not None) + len(row.references or ())
            width = width or own
            if own < 2 or own != width:
                wanted = max(width, 2)
                found = f"{own} columns instead of {wanted}: source, prediction, references…"
                raise bad_line(path, row.line, found)
        yield row


def _has_header(path: Path) -> bool:
    """Whether the first line names several columns; a single name is told from a text by the count
    of lines.
    """
    cells = next(read_lines(path, _LINE), (1, ""))[1].split("\t")
    return len(cells) > 1 and looks_like_header(cells, "predictions")


def _example(path: Path, row: UserRow) -> Example:
    if row.source is None:
        needed = '"source" and "prediction" (and "references": [text, …])'
        mend = "add the sources, or name the test set: --data FILE"
        raise bad_line(path, row.line, f"needs {needed}, or add --data", mend)
    source = check_text(path, row.line, row.source)
    references = tuple(check_text(path, row.line, text) for text in row.references or ())
    return Example(row_id(path, row), source, references)


def stream_predictions(path: Path, skipped: SkipCounts) -> Iterator[tuple[Example, str]]:
    """Rows of a file of any length, one after the other; ids may repeat unnoticed.

    ``skipped``: counts the outputs that are too long to be scored.

    Raises UserError with the line of a row that is faulty in any other way.
    """
    for row in _sound_widths(path, read_user_rows(path, "predictions", quiet, _LINE)):
        example, prediction = (
            _example(path, row),
            checked_prediction(path, row.line, row.prediction),
        )
        if prediction.is_cut:
            skipped.count(f"an output longer than {LONGEST_TEXT} characters", row.line)
        else:
            yield example, prediction.text


def _by_id(path: Path, examples: Sequence[Example], notice: Notice) -> Predictions:
    """Rows that name their example by its id; without ids, one for each example in order."""
    wanted, given = {example.id for example in examples}, dict[str, Prediction]()
    rows = list(read_user_rows(path, "predictions", notice, _LINE))
    if rows and all(row.identifier is None for row in rows):
        return _rows_in_order(path, rows, examples)
    for row in rows:
        if row.identifier is None:
            raise bad_line(path, row.line, 'needs "id" and "prediction"')
        name = row_id(path, row)
        if name not in wanted or name in given:
            fault = "stands twice" if name in given else "is not in the data"
            raise bad_line(path, row.line, f"the id {name!r} {fault}")
        given[name] = checked_prediction(path, row.line, row.prediction)
    missing = [example.id for example in examples if example.id not in given]
    if missing:
        found = f"{len(missing)} examples have no prediction, the first is {missing[0]!r}"
        raise UserError(f"score {path}", found)
    found_rows = Predictions()
    for example in examples:
        found_rows.add(example, given[example.id])
    return found_rows


def _rows_in_order(path: Path, rows: list[UserRow], examples: Sequence[Example]) -> Predictions:
    """Rows without ids belong to the examples in order; a source that they hold must agree."""
    if all(row.source is None for row in rows) and unpacked_suffix(path) in JSON_SUFFIXES:
        raise bad_line(path, rows[0].line, 'needs "id" and "prediction"')
    _check_count(path, len(rows), len(examples), "rows")
    found = Predictions()
    for example, row in zip(examples, rows, strict=True):
        if row.source is not None and row.source != example.source:
            other = f"its source is not that of the example {example.id!r}"
            raise bad_line(path, row.line, other, "give each row the id of its example")
        found.add(example, checked_prediction(path, row.line, row.prediction))
    return found


def _in_order(path: Path, examples: Sequence[Example], notice: Notice) -> Predictions:
    """Plain text: one prediction a line, in the order of the examples."""
    lines = list(read_lines(path, _LINE))
    if not lines:
        return Predictions()
    if len(lines) == len(examples) + 1 and role_of(lines[0][1], "predictions") == "prediction":
        notice(f"{path.name}: line 1 is a header, {lines[0][1]!r}")
        del lines[0]
    blank_at_end = 0
    while blank_at_end < len(lines) and not lines[-1 - blank_at_end][1].strip():
        blank_at_end += 1
    _check_count(path, len(lines), len(examples), "lines", blank_at_end)
    tabs = [number for number, line in lines if "\t" in line]
    if tabs and path.suffix == ".tsv":
        found = "several columns, where each line is one prediction"
        mend = "name the columns in the first line (id TAB prediction), or leave out --data"
        raise bad_line(path, tabs[0], found, mend)
    read = Predictions()
    for example, (number, line) in zip(examples, lines, strict=True):
        read.add(example, checked_prediction(path, number, line))
    return read


def _check_count(path: Path, rows: int, examples: int, what: str, blank_at_end: int = 0) -> None:
    if rows == examples:
        return
    found, mend = f"{rows} {what} for {examples} examples", "give one line for each"
    if blank_at_end and rows > examples:
        found += f"; the last {blank_at_end} are blank"
        mend = f"delete the blank lines at the end of {path.name}"
    raise UserError(f"score {path}", found, mend=mend)

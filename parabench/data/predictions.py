"""Predictions made elsewhere: anyone's paraphrases, read for scoring without any model of ours.

With the references in the same file:
    JSONL  ``{"source": "…", "prediction": "…", "references": ["…", …]}``
    TSV    ``source TAB prediction TAB reference TAB …`` (every line the same number of columns)
    CSV, TSV or Parquet with named columns: source, prediction, reference or reference_1, …
Beside a test set (``--data``):
    JSONL, CSV or TSV with ``id`` and ``prediction``, or plain text, one prediction a line in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from parabench.contracts import Example, Notice, UserError
from parabench.data.headers import looks_like_header
from parabench.data.lines import LONGEST_TEXT, bad_line, check_text, read_lines
from parabench.data.prediction_rows import (
    LONGEST_PREDICTION_LINE,
    Predictions,
    checked_prediction,
    predictions_by_id,
    predictions_in_order,
)
from parabench.data.skipped import SkipCounts
from parabench.data.test_sets import (
    NOT_AVAILABLE,
    MissingTexts,
    quiet,
    row_id,
    tell_of_header,
)
from parabench.data.text_files import unpacked_suffix
from parabench.data.user_rows import UserRow
from parabench.data.user_tables import JSON_SUFFIXES, read_user_rows

_TABLES = (*JSON_SUFFIXES, ".csv", ".parquet")


def read_predictions(
    path: Path,
    examples: Sequence[Example] | None = None,
    notice: Notice = quiet,
) -> Predictions:
    """Pair every prediction of the file at ``path`` with its example.

    ``examples``: the test set that the file belongs to; None where it holds the sources itself.
    ``notice``: called with what was assumed of the file, and which outputs were cut.

    Raises UserError with the line of anything that is missing, occurs twice or is ragged.
    """
    if examples is None:
        found = _with_sources(path, notice)
    elif unpacked_suffix(path) in _TABLES or _has_header(path):
        found = predictions_by_id(path, examples, notice)
    else:
        found = predictions_in_order(path, examples, notice)
    if not len(found):
        raise UserError(
            f"score {path}",
            "the file is empty: there is no row in it",
            mend=_forms(),
        )
    _tell_of_empty(path, found.texts, notice)
    _tell_of_repeated(path, found.texts, notice)
    if found.cut:
        notice(
            f"{path.name}: {len(found.cut)} outputs are longer than {LONGEST_TEXT} characters; "
            "they are cut there and counted as cut off"
        )
    return found


def _tell_of_empty(path: Path, texts: Sequence[str], notice: Notice) -> None:
    """Say how many outputs are blank or may be missing; they are scored as they stand."""
    blank = sum(not text.strip() for text in texts)
    if blank:
        notice(f"{path.name}: empty outputs, which are scored as such: {blank}")
    missing = [text for text in texts if text.strip().casefold() in NOT_AVAILABLE]
    if missing:
        what = f"outputs such as {missing[0]!r}, which may be missing and are scored as texts"
        notice(f"{path.name}: {what}: {len(missing)}")


def _tell_of_repeated(path: Path, texts: Sequence[str], notice: Notice) -> None:
    """Say where one output stands for many sources: an error or a refusal that was written down."""
    ((text, times),) = Counter(filter(str.strip, texts)).most_common(1) or [("", 0)]
    if times >= max(_REPEATED, len(texts) * _REPEATED_SHARE):
        shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
        notice(f"{path.name}: {times} outputs are one text, {shown}; they are scored as they stand")


_REPEATED, _REPEATED_SHARE = 3, 0.01
"""Outputs that are one text, and their part of all, from which on it is told."""
_SHOWN = 80
"""Characters of a text that a message shows."""


def _forms() -> str:
    return (__doc__ or "").split("\n\n", 1)[1]


def _with_sources(path: Path, notice: Notice) -> Predictions:
    """Rows that hold source, prediction and references, all of one width in a table."""
    found = Predictions()
    lines = dict[str, int]()
    rows = read_user_rows(path, "predictions", notice, LONGEST_PREDICTION_LINE)
    for row in _sound_widths(path, rows):
        example = _example(path, row)
        if example.id in lines:
            twice = f"the id {example.id!r} stands in line {lines[example.id]} too"
            raise bad_line(path, row.line, twice)
        lines[example.id] = row.line
        found.add(example, checked_prediction(path, row.line, row.prediction))
    missing = MissingTexts()
    for _ in missing.watched(found.examples):
        pass
    missing.tell(path, notice)
    first = [
        [example.source, text, *example.references]
        for example, text in zip(found.examples[:2], found.texts, strict=False)
    ]
    tell_of_header(path, first, notice)
    return found


def _sound_widths(path: Path, rows: Iterator[UserRow]) -> Iterator[UserRow]:
    """Rows of a table by position must have equally many columns; others pass."""
    by_position = unpacked_suffix(path) not in _TABLES and not _has_header(path)
    width = 0  # the first row decides it
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
    _, first_line = next(read_lines(path, LONGEST_PREDICTION_LINE), (1, ""))
    cells = first_line.split("\t")
    return len(cells) > 1 and looks_like_header(cells, "predictions")


def _example(path: Path, row: UserRow) -> Example:
    if row.source is None:
        needed = '"source" and "prediction" (and "references": [text, …])'
        mend = "add the sources, or name the test set: --data FILE"
        raise bad_line(
            path,
            row.line,
            f"needs {needed}, or add --data",
            mend,
        )
    if not row.references and row.unread:
        # references that nobody has recognised, or a test set beside the file
        found = f"no references; not read: {', '.join(map(repr, row.unread))}"
        mend = "name their columns reference_1, reference_2, …, or name the test set: --data FILE"
        raise bad_line(path, row.line, found, mend)
    source = check_text(path, row.line, row.source)
    references = tuple(check_text(path, row.line, text) for text in row.references or ())
    return Example(row_id(path, row), source, references)


def stream_predictions(path: Path, skipped: SkipCounts) -> Iterator[tuple[Example, str]]:
    """Rows of a file of any length, one after the other; ids may repeat unnoticed.

    ``skipped``: counts the outputs that are too long to be scored.

    Raises UserError with the line of a row that is faulty in any other way.
    """
    rows = read_user_rows(path, "predictions", quiet, LONGEST_PREDICTION_LINE)
    for row in _sound_widths(path, rows):
        example = _example(path, row)
        prediction = checked_prediction(path, row.line, row.prediction)
        if prediction.is_cut:
            skipped.count(f"an output longer than {LONGEST_TEXT} characters", row.line)
        else:
            yield example, prediction.text

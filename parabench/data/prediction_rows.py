"""Outputs as they are scored, and which example each belongs to: by its id, or in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from parabench.contracts import Example, Notice, UserError
from parabench.data.column_names import role_of
from parabench.data.lines import LONGEST_TEXT, bad_line, check_text, has_half_surrogate, read_lines
from parabench.data.test_sets import row_id
from parabench.data.text_files import unpacked_suffix
from parabench.data.user_rows import UserRow
from parabench.data.user_tables import JSON_SUFFIXES, read_user_rows

LONGEST_PREDICTION_LINE = 32 * 2**20
"""Bytes of a line of predictions: one output that never ended must not cost the file."""


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


def checked_prediction(
    path: Path,
    line: int,
    text: object,
) -> Prediction:
    """Return an output as it is scored; one that is too long is cut, and does not cost the file.

    ``path``, ``line``: what errors name. ``text``: the output.

    Raises UserError where it is no text.
    """
    # half a character is refused below, however long the text
    is_long = isinstance(text, str) and len(text) > LONGEST_TEXT
    if isinstance(text, str) and is_long and not has_half_surrogate(text):
        return Prediction(text[:LONGEST_TEXT], is_cut=True)
    # an empty output is an output: it is scored as one
    return Prediction(check_text(path, line, text, empty=True))


def predictions_by_id(
    path: Path,
    examples: Sequence[Example],
    notice: Notice,
) -> Predictions:
    """Rows that name their example by its id; without ids, one for each example in order.

    ``path``: the file. ``examples``: the test set. ``notice``: called with what was assumed of
    columns.

    Raises UserError with the line of an id that is missing, unknown or occurs twice.
    """
    wanted = {example.id for example in examples}
    given = dict[str, Prediction]()
    rows = []
    for row in read_user_rows(path, "predictions", notice, LONGEST_PREDICTION_LINE):
        text = row.prediction
        # all rows are held here, and many outputs may not have ended
        kept = text[: LONGEST_TEXT + 1] if isinstance(text, str) else text
        rows.append(row._replace(prediction=kept))
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
    # in the order of the examples: the file's own does not matter
    ordered = Predictions()
    for example in examples:
        ordered.add(example, given[example.id])
    return ordered


def _rows_in_order(
    path: Path,
    rows: list[UserRow],
    examples: Sequence[Example],
) -> Predictions:
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


def predictions_in_order(
    path: Path,
    examples: Sequence[Example],
    notice: Notice,
) -> Predictions:
    """Plain text: one prediction a line, in the order of the examples.

    ``path``: the file. ``examples``: the test set. ``notice``: called where line 1 is a header.

    Raises UserError where there are not as many lines as examples.
    """
    lines = []
    for number, line in read_lines(path, LONGEST_PREDICTION_LINE, cuts=True):
        # of an output that never ended no more is kept than tells that it is too long
        lines.append((number, line[: LONGEST_TEXT + 1]))
    if not lines:
        return Predictions()
    _, first_line = lines[0]
    # "output" may be an output of one word; a line too many says that it is none
    is_one_too_many = len(lines) == len(examples) + 1
    if is_one_too_many and role_of(first_line, "predictions") == "prediction":
        notice(f"{path.name}: line 1 is a header, {first_line!r}")
        del lines[0]
    blank_at_end = 0
    for _, line in reversed(lines):
        if line.strip():
            break
        blank_at_end += 1
    _check_count(path, len(lines), len(examples), "lines", blank_at_end)
    tabs = [number for number, line in lines if "\t" in line]
    if tabs and path.suffix == ".tsv":
        found = "several columns, where each line is one prediction"
        mend = "name the columns in the first line (id TAB prediction), or leave out --data"
        raise bad_line(path, tabs[0], found, mend)
    found_rows = Predictions()
    for example, (number, line) in zip(examples, lines, strict=True):
        found_rows.add(example, checked_prediction(path, number, line))
    return found_rows


def _check_count(
    path: Path,
    rows: int,
    examples: int,
    what: str,
    blank_at_end: int = 0,
) -> None:
    """Raise UserError where there are not as many ``rows`` as ``examples``."""
    if rows == examples:
        return
    found = f"{rows} {what} for {examples} examples"
    mend = "give one line for each"
    if blank_at_end and rows > examples:
        found += f"; the last {blank_at_end} are blank"
        mend = f"delete the blank lines at the end of {path.name}"
    raise UserError(
        f"score {path}",
        found,
        mend=mend,
    )

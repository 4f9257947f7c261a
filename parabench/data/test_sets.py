"""Test sets from files: a source sentence and its references in every row.

JSONL: ``{"source": "…", "references": ["…", …], "id": "…", "cluster": "…"}`` (all but the source is
optional; columns that compare with references need some). TSV: ``source TAB reference TAB
reference …`` (the number of references may vary), or with a header; CSV and Parquet by their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from parabench.contracts import Example, Notice, UserError
from parabench.data.examples import are_distinct
from parabench.data.headers import header_note, may_be_header
from parabench.data.lines import bad_line, check_text, json_record
from parabench.data.text_files import unpacked_suffix
from parabench.data.user_rows import UserRow, rows_of_records
from parabench.data.user_tables import JSON_SUFFIXES, read_user_rows
from parabench.store.example_store import ExampleStore


def quiet(text: str) -> None:
    """A ``Notice`` that shows nothing."""


def read_test_set(path: Path, notice: Notice = quiet) -> Sequence[Example]:
    """Read a test set; one of many examples is held on disk.

    ``notice``: called with the columns that were taken for what, where that had to be assumed.

    Raises UserError with the line of anything that is not exactly as the formats say.
    """
    missing = MissingTexts()
    rows = read_user_rows(path, "test set", notice)
    examples = ExampleStore.collect(missing.watched(example_of_row(path, row) for row in rows))
    if not examples:
        mend = (__doc__ or "").split("\n\n", 1)[1]
        raise UserError(
            f"read examples from {path}",
            "the file is empty: there is no row in it",
            mend=mend,
        )
    missing.tell(path, notice)
    tell_of_header(path, [example_cells(example) for example in examples[:2]], notice)
    # by hashes; only where two are equal are all ids held to find which
    if not are_distinct(examples.ids):
        raise _repeated_id(path)
    return examples


NOT_AVAILABLE = {"nan", "none", "null", "n/a", "<na>"}
"""What programs write where there is no text."""


class MissingTexts:
    """Counts sources and references that may stand for a text that is missing."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def watched(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The same ``examples``, looked at as they come."""
        for example in examples:
            for text in (example.source, *example.references):
                if text.strip().casefold() in NOT_AVAILABLE:
                    self.count += 1
                    self.first = self.first or text
            yield example

    def tell(self, path: Path, notice: Notice) -> None:
        """Say of the file at ``path`` how many there were."""
        if self.count:
            what = f"sources or references such as {self.first!r}, which may be missing"
            notice(f"{path.name}: {what} and are read as texts: {self.count}")


def example_cells(example: Example) -> list[str]:
    """The texts of an example, as they stand in the line of a table."""
    return [example.source, *example.references]


def tell_of_header(path: Path, first_lines: Sequence[Sequence[str]], notice: Notice) -> None:
    """Say where the first line of a table without a header may be one, in words of its own.

    ``first_lines``: the cells of the first two rows.
    """
    is_named = unpacked_suffix(path) in (*JSON_SUFFIXES, ".csv", ".parquet")
    if not is_named and len(first_lines) > 1 and may_be_header(*first_lines[:2]):
        notice(f"{path.name}: {header_note(first_lines[0])}")


def _repeated_id(path: Path) -> UserError:
    """The error for the first id that occurs twice, found by reading the file once more."""
    lines = dict[str, int]()
    for row in read_user_rows(path, "test set", quiet):
        name = row_id(path, row)
        if name in lines:
            return bad_line(
                path,
                row.line,
                f"the id {name!r} stands in line {lines[name]} too",
            )
        lines[name] = row.line
    return UserError(f"read {path}", "it changes while it is read")


def example_of_row(path: Path, row: UserRow) -> Example:
    """The example that a row of a test set holds.

    Raises UserError where a value is no text, and where a row of a table has no reference at all.
    """
    if row.source is None:
        raise bad_line(
            path,
            row.line,
            'needs "source": text and "references": [text, …]',
        )
    # in JSON an example may have none: columns that need references say so
    if row.references == () and unpacked_suffix(path) not in JSON_SUFFIXES:
        found = "1 column, where source TAB reference (TAB reference …) is needed"
        raise bad_line(path, row.line, found)
    if not row.references and row.unread:
        # a test set without references may be one whose references nobody has recognised
        found = f"no references; not read: {', '.join(map(repr, row.unread))}"
        mend = "name their columns reference_1, reference_2, …, or remove the others"
        raise bad_line(path, row.line, found, mend)
    source = check_text(path, row.line, row.source)
    references = []
    for text in row.references or ():
        references.append(check_text(path, row.line, text))
    cluster = ""
    if row.cluster is not None:
        cluster = check_text(path, row.line, row.cluster)
    return Example(
        row_id(path, row),
        source,
        tuple(references),
        cluster,
    )


def row_id(path: Path, row: UserRow) -> str:
    """The id of a row: a text or a whole number; the row's own number where it has none.

    Raises UserError where it is something else.
    """
    given: Any = row.number if row.identifier is None else row.identifier
    # type() and not isinstance(): a truth value is an int to Python, and no id
    if type(given) is int:
        given = str(given)
    return check_text(path, row.line, given)


def example_from_json(
    path: Path,
    number: int,
    line: str,
) -> Example:
    """The example of one ``line`` of a JSONL test set.

    ``path``, ``number``: the file and line that errors name. Raises UserError where it is none.
    """
    record = json_record(path, number, line)
    (row,) = rows_of_records(
        path,
        iter([(number, record)]),
        "test set",
        quiet,
    )
    return example_of_row(path, row)

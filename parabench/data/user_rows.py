"""Rows of a user's file by the names of their columns, and records of named values.

What was assumed of columns is reported by ``notice``; what is unclear is refused with its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parabench.contracts import Notice, UserError
from parabench.data.column_names import FileKind, role_of
from parabench.data.headers import Header, UnclearHeaderError, read_header
from parabench.data.lines import bad_line


class UserRow(NamedTuple):
    """The values of one row as they stand in the file; None where it has none.

    ``line``: where the row ends in the file, for messages. ``number``: the row's own, from 1.
    ``references``: None where the file has no column for them, empty where this row has none.
    ``unread``: names of the columns that nothing is read from.
    """

    line: int
    number: int
    source: Any = None
    prediction: Any = None
    references: tuple[Any, ...] | None = None
    identifier: Any = None
    cluster: Any = None
    unread: tuple[str, ...] = ()


def rows_of_records(
    path: Path,
    records: Iterator[tuple[int, Any]],
    kind: FileKind,
    notice: Notice,
) -> Iterator[UserRow]:
    """Rows of named values, which may differ in their names.

    ``path``: for errors. ``records``: numbered. ``kind``, ``notice``: as for ``read_user_rows``.

    Raises UserError where a record has no names that are known, or references that are no list.
    """
    # records of one form share their names, so that few headers are read
    headers: dict[tuple[str, ...], Header] = {}
    for number, record in records:
        if not isinstance(record, dict):
            raise bad_line(path, number, "not an object with named values")
        names = tuple(record)
        if len(record) == 1 and _holds_records(*record.values()):
            found = f"one object, whose {names[0]!r} holds all records"
            raise bad_line(path, number, found, "write the records themselves, one a line")
        if names not in headers:
            headers[names] = _record_header(path, number, names, kind)
            # said of the first records of each form, so that a ragged file does not fill the screen
            is_plain = set(names) <= _PLAIN_NAMES
            if not is_plain and len(headers) <= _FORMS_TOLD:
                notice(f"{path.name}: line {number}: {headers[names].assumptions}")
        _check_no_table(path, number, record, kind)
        several = record.get("references")
        if several is not None and not isinstance(several, list):
            form = 'needs "source": text and "references": [text, …]'
            found = form if kind == "test set" else '"references" is no list of texts'
            raise bad_line(path, number, found)
        yield row_of_values(number, number, headers[names], list(record.values()))


def _holds_records(value: Any) -> bool:
    """Whether a value is a list of objects."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _check_no_table(path: Path, line: int, record: dict[str, Any], kind: FileKind) -> None:
    """Raise UserError where a record holds the columns of a whole table, as pandas writes them."""
    for name, value in record.items():
        # a source is a text; {"0": …, "1": …} and […, …] are what frame.to_json() writes
        if role_of(name, kind) == "source" and isinstance(value, (dict, list)):
            found = f"a table by columns: {name!r} holds {len(value)} values where a text is needed"
            mend = "write one record a line: frame.to_json(path, orient='records', lines=True)"
            raise bad_line(path, line, found, mend)


def _record_header(
    path: Path,
    line: int,
    names: Sequence[str],
    kind: FileKind,
) -> Header:
    needs = f"line {line}: needs {_RECORDS[kind]}: "
    mend = f"rename the keys of {path.name}, or remove those that it does not need"
    return _clear_header(names, kind, f"read {path}", needs, mend)


_RECORDS: dict[FileKind, str] = {
    "test set": '"source": text and "references": [text, …]',
    "predictions": '"id" and "prediction", or "source", "prediction" and "references"',
    "pairs": '"source" and "target"',
}
_FORMS_TOLD = 3
"""Different forms of records of which it is told what was assumed."""
_PLAIN_NAMES = {"id", "source", "prediction", "references", "cluster"}
"""Names that the documentation gives: where a file has no others, there is nothing to tell."""


def header_of_table(
    path: Path,
    line: int,
    names: Sequence[str],
    kind: FileKind,
) -> Header:
    """The header of a table in ``line`` of the file at ``path``; UserError where it is unclear."""
    asked = f"read {path}, line {line}, as {_article(kind)}"
    mend = f"rename the columns of {path.name}, or remove those that it does not need"
    return _clear_header(names, kind, asked, "", mend)


def _clear_header(
    names: Sequence[str], kind: FileKind, asked: str, needs: str, mend: str
) -> Header:
    """What ``names`` mean; UserError, which ``needs`` begins, where that is not clear."""
    try:
        return read_header(names, kind)
    except UnclearHeaderError as error:
        raise UserError(asked, needs + error.found, error.choices, mend) from None


def _article(kind: FileKind) -> str:
    return "a test set" if kind == "test set" else kind


def row_of_values(
    line: int,
    number: int,
    header: Header,
    values: Sequence[Any],
) -> UserRow:
    """A row by its ``values``, one for each column of its ``header``.

    ``line``: where it ends in the file. ``number``: the row's own, from 1.
    """

    def value(at: int | None) -> Any:
        return None if at is None else values[at]

    # None, and not empty, where the file has no such column: a test set may come beside it
    references = None
    if header.references:
        references = _references([values[at] for at in header.references])
    return UserRow(
        line=line,
        number=number,
        source=value(header.source),
        prediction=value(header.prediction),
        references=references,
        identifier=value(header.identifier),
        cluster=value(header.cluster),
        unread=tuple(name for name in header.unread if name.strip()),
    )


def _references(values: list[Any]) -> tuple[Any, ...]:
    """One list of references: a column may hold a list of them, a text, or nothing in this row."""
    found = list[Any]()
    for value in values:
        if isinstance(value, list):
            found += value
        elif value is not None and value != "":
            found.append(value)
    return tuple(found)

"""Filled-in rating sheets, checked row by row against their key."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.metaeval.rating import (
    HEAD,
    HIGHEST,
    LOWEST,
    AnonymousText,
    CollectedRatings,
    RatingItem,
)
from parabench.render.escape import csv_text
from parabench.store.files import read_bytes

MEND = "take the sheet as it was written and fill in the ratings alone"

Place = tuple[str, str]
"""Where a text stands in the sheet: the number of its item and its letter, as written there."""


def read_sheets(paths: Sequence[Path], items: Sequence[RatingItem]) -> list[CollectedRatings]:
    """Read the sheets of all raters: every text that somebody rated, ratings in order of ``paths``.

    Raises:
        UserError: with file and line, for a row that is changed, unknown, duplicated or missing,
            and for a rating out of range; also where there is no rating at all.
    """
    # A place is a number and a letter, as a rater sees them; the key says whose text it is.
    known: dict[Place, tuple[RatingItem, AnonymousText]] = {}
    for item in items:
        for shown in item.texts:
            known[str(item.number), shown.letter] = (item, shown)
    ratings: dict[Place, list[float]] = {place: [] for place in known}
    for path in paths:
        for place, rating in _read_sheet(path, known):
            ratings[place].append(rating)
    found = [
        CollectedRatings(*known[place], tuple(given)) for place, given in ratings.items() if given
    ]
    if not found:
        names = ", ".join(map(str, paths))
        raise UserError(f"read {names}", "not one rating", mend='fill in the column "rating"')
    return found


def _read_sheet(
    path: Path, known: Mapping[Place, tuple[RatingItem, AnonymousText]]
) -> Iterator[tuple[Place, float]]:
    """The ratings of one sheet, once all its rows have been checked against the key."""
    line_of: dict[Place, int] = {}
    for line, row in _rows(path):
        item_number, letter = place = row["item"].strip(), row["letter"].strip()
        if place not in known:
            found = f"item {item_number!r}, letter {letter!r}, which the key does not have"
            raise _wrong(path, line, found)
        if place in line_of:
            found = f"item {item_number}, letter {letter} again; it is in line {line_of[place]} too"
            raise _wrong(path, line, found)
        line_of[place] = line
        item, shown = known[place]
        # The sheet holds what ``csv_text`` made of a text, so that is what it must still hold.
        for name, wanted in (("source", item.example.source), ("text", shown.text)):
            if row[name] != csv_text(wanted):
                found = f"another {name} than in the key: {row[name][:60]!r}"
                raise _wrong(path, line, found)
        if row["rating"].strip():
            yield place, _rating(path, line, row["rating"])
    missing = [place for place in known if place not in line_of]
    if missing:
        item_number, letter = missing[0]
        raise UserError(f"read {path}", f"no row of item {item_number}, letter {letter}", mend=MEND)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a sheet by their heads, each with the number of the line that it ends on."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"read {path}", str(error), mend="save it as CSV in UTF-8") from None
    # Spreadsheets of some countries put semicolons between cells, and some save tabs.
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    head = [name.strip() for name in next(reader, [])]
    if set(HEAD[:5]) - set(head):
        raise UserError(
            f"read {path}",
            f"the columns {', '.join(head) or 'none'}",
            HEAD,
            MEND,
        )
    for cells in _guarded(reader, path):
        if any(cell.strip() for cell in cells):
            padded = [*cells, *[""] * len(head)]  # spreadsheets leave off empty cells at the end
            yield reader.line_num, dict(zip(head, padded, strict=False))


def _guarded(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise _wrong(path, reader.line_num, str(error)) from None


def _rating(
    path: Path,
    line: int,
    text: str,
) -> float:
    try:
        value = float(text.strip().replace(",", "."))  # a decimal comma is what many write
    except ValueError:
        value = 0.0  # out of range, and so refused below
    if not LOWEST <= value <= HIGHEST or value * 2 != int(value * 2):
        allowed = f"{LOWEST}, {LOWEST + 0.5}, … {HIGHEST}"
        raise _wrong(path, line, f"the rating {text!r}; it must be one of {allowed}")
    return value


def _wrong(
    path: Path,
    line: int,
    found: str,
) -> UserError:
    return UserError(f"read {path}", f"line {line}: {found}", mend=MEND)

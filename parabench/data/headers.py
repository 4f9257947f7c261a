"""Which column of a user's file holds what, read from its header or its keys.

A name that is known decides, whatever its case and the marks between its words. A first line that
looks like a header and whose names are not known is refused: taken for a sentence, it would be
scored as one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parabench.data.column_names import (
    COLUMN_ROLES,
    NUMBERED_COLUMN,
    FieldRole,
    FileKind,
    known_names,
    nearest_column_name,
    plain_column_name,
    role_of,
    without_quotes,
)

_COLUMN_WORDS = """
    answer candidate cluster col column complex data duplicate en english gold hyp hypothesis id
    index input is label normal orig original output paraphrase paraphrased pred prediction quality
    query question ref reference rewrite rewritten row score sent sentence similarity simple
    simplified source src system target text tgt trg
""".split()  # noqa: SIM905 - a list of words, a line each, would be longer than the file
"""Words of which the names of columns are made; a row of sentences is hardly made of them alone."""

# each character can be matched in one way only: with two the time would double with every letter
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*")
_NUMBERED_NAME = re.compile(r"([^\W\d_][^.!?;:,\d]{1,30}?)[ _-]?(\d{1,2})")
_SHORT_NAME = re.compile(r"[^\s.!?;:,…。！？]+( [^\s.!?;:,…。！？]+)?")
"""One word or two, as names of columns are."""
_SINGLE: tuple[FieldRole, ...] = ("source", "prediction", "id", "cluster")
"""Roles that one column of a file may have at most."""


class UnclearHeaderError(ValueError):
    """Why a header cannot be read, and the names that can."""

    def __init__(self, found: str, choices: Sequence[str]) -> None:
        super().__init__(found)
        self.found, self.choices = found, tuple(choices)


@dataclass(frozen=True)
class Header:
    """Positions of the columns by their role; ``unread`` are names without one.

    ``names`` are the columns as they stand in the file, in order.
    """

    names: tuple[str, ...]
    source: int | None
    prediction: int | None
    references: tuple[int, ...]
    identifier: int | None
    cluster: int | None
    unread: tuple[str, ...]

    @property
    def assumptions(self) -> str:
        """What was assumed, as a sentence for the user."""
        parts = {
            "source": self.source,
            "prediction": self.prediction,
            "id": self.identifier,
        }
        told = []
        for role, at in parts.items():
            if at is not None:
                told.append(f"{role} from {self.names[at]!r}")
        if self.references:
            columns = [self.names[at] for at in self.references]
            told.append(f"references from {_quoted(columns)}")
        # a column of row numbers may have no name to tell
        unread = [name for name in self.unread if name.strip()]
        if unread:
            told.append(f"not read: {_quoted(unread)}")
        return "; ".join(told)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def looks_like_header(cells: Sequence[str], kind: FileKind) -> bool:
    """Whether the first line of a table names its columns rather than being a row of it.

    It does where two names are known, or the first of them is that of the source or of the
    prediction; where all cells are single words of which one is an identifier (``sentence_a``,
    ``text2``); where every cell is made of words that name columns (``English``, ``Simple
    English``); and where two differ in their number alone (``Referenz 1``, ``Referenz 2``).

    ``cells``: those of the first line. ``kind``: of the file.
    """
    roles = [role_of(cell, kind) for cell in cells]
    # the first column of pandas, of row numbers, has an empty name or "index"
    roles = [role for role in roles if role != "index"]
    known = [role for role in roles if role is not None]
    first = roles[0] if roles else None
    if len(known) >= 2 or first in ("source", "prediction"):
        return True
    has_several = len(cells) > 1
    if has_several and all(_is_made_of_column_words(cell) for cell in cells):
        return True
    if _are_numbered(cells):
        return True
    if known and _are_nearly_known(cells, kind):
        return True
    return has_several and _are_identifiers(cells)


def _are_nearly_known(cells: Sequence[str], kind: FileKind) -> bool:
    """Whether each cell is a name that is known, or one with a slip of the pen."""
    for cell in cells:
        is_known = role_of(cell, kind) is not None
        if not is_known and nearest_column_name(cell, kind) is None:
            return False
    return True


def _are_identifiers(cells: Sequence[str]) -> bool:
    """Whether the cells are single words, one of them with an underscore or a number.

    Two words alone may be two short sentences.
    """
    words = [without_quotes(cell) for cell in cells]
    if not all(_IDENTIFIER.fullmatch(word) for word in words):
        return False
    return any(re.search(r"_|[a-z]{2}\d+$", word) for word in words)


def _are_numbered(cells: Sequence[str]) -> bool:
    """Whether two cells are one name, in any language, with the numbers 1 and 2, or 0 and 1."""
    numbers = defaultdict[str, set[int]](set)
    for cell in cells:
        match = _NUMBERED_NAME.fullmatch(without_quotes(cell))
        if match is None:
            continue
        name, number = match.groups()
        # names of columns have one word or two; "We leave at 5" has four
        if len(name.split()) <= 2:
            key = name.strip().casefold()
            numbers[key].add(int(number))
    return any({1, 2} <= found or {0, 1} <= found for found in numbers.values())


def may_be_header(cells: Sequence[str], next_cells: Sequence[str]) -> bool:
    """Whether a first line that was read as a row may name columns, in words that are not known.

    Its cells are one word or two without an end mark, each over one at least twice as long.

    ``cells``: of the first line. ``next_cells``: of the second.
    """
    if len(cells) < 2 or len(cells) != len(next_cells):
        return False
    for cell, below in zip(cells, next_cells, strict=True):
        name = cell.strip()
        length_below = len(below.strip())
        if not _SHORT_NAME.fullmatch(name):
            return False
        if length_below < max(8, 2 * len(name)):
            return False
    return True


def header_note(cells: Sequence[str]) -> str:
    """What is told of a first line that ``may_be_header``."""
    return f"line 1 is read as an example: {_quoted(cells)}; delete it if it names the columns"


def _is_made_of_column_words(cell: str) -> bool:
    words = re.findall(r"[^\W\d_]+", cell.casefold())
    for word in words:
        # "references" as well as "reference"
        singular = word.removesuffix("s")
        if word not in _COLUMN_WORDS and singular not in _COLUMN_WORDS:
            return False
    return bool(words)


def read_header(names: Sequence[str], kind: FileKind) -> Header:
    """Find the role of every column.

    Raises UnclearHeaderError where a name is nearly a known one, two columns have one role, or the
    source (of predictions: the prediction) is missing.
    """
    places: dict[FieldRole, list[int]] = {role: [] for role in COLUMN_ROLES}
    unread = []
    for at, name in enumerate(names):
        role = role_of(name, kind)
        if role is None:
            unread.append(name)
        else:
            places[role].append(at)
    unclear = _unclear(names, kind, places, unread)
    if unclear:
        raise UnclearHeaderError(unclear, known_names(kind))
    single = {role: next(iter(places[role]), None) for role in _SINGLE}
    return Header(
        names=tuple(names),
        source=single["source"],
        prediction=single["prediction"],
        references=_in_their_order(names, places["reference"]),
        identifier=single["id"],
        cluster=single["cluster"],
        unread=tuple(unread),
    )


def _unclear(
    names: Sequence[str],
    kind: FileKind,
    places: Mapping[FieldRole, Sequence[int]],
    unread: Sequence[str],
) -> str:
    """What stands against a header whose roles are at these places; "" where nothing does."""
    for name in unread:
        # a slip of the pen: not read, the column would be missed without a word
        near = nearest_column_name(name, kind)
        if near:
            return f"the name {name!r}; did you mean {near!r}?"
    for role in _SINGLE:
        if len(places[role]) > 1:
            several = " and ".join(repr(names[at]) for at in places[role])
            return f"{several} could each be the {role}"
    needed: FieldRole = "prediction" if kind == "predictions" else "source"
    if not places[needed]:
        return f"no column for the {needed} among {_quoted(names)}"
    return ""


def _in_their_order(names: Sequence[str], places: Sequence[int]) -> tuple[int, ...]:
    """References by their numbers: ``reference_2`` before ``reference_10``."""

    def number(at: int) -> int:
        found = NUMBERED_COLUMN.fullmatch(plain_column_name(names[at]))
        # "reference" without a number comes before "reference_1"
        return int(found[2]) if found else -1

    # columns of one number keep the file's order
    return tuple(sorted(places, key=lambda at: (number(at), at)))

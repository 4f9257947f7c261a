"""Which column of a user's file holds what, read from its header or its keys.

A name that is known decides, whatever its case and the marks between its words. A first line that
looks like a header and whose names are not known is refused: taken for a sentence, it would be
scored as one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

FileKind = Literal["test set", "predictions", "pairs"]
"""Examples with references; outputs of a system, alone or with sources; pairs to train on."""
FieldRole = Literal["source", "prediction", "reference", "id", "cluster", "index"]

_ROLES: Mapping[FieldRole, tuple[str, ...]] = {
    "source": ("source", "src", "input", "sentence", "original", "sentence1", "question1"),
    "prediction": (
        "prediction",
        "pred",
        "hypothesis",
        "hyp",
        "generated",
        "generation",
        "generated_text",
        "candidate",
    ),
    "reference": ("reference", "references", "ref", "refs", "target", "gold"),
    "id": ("id",),
    "cluster": ("cluster",),
    "index": ("", "index", "unnamed: 0", "level_0"),
}
"""Names by role; ``index`` is the row number that pandas writes, which is not read."""

_COLUMN_WORDS = """
    answer candidate cluster col column complex data duplicate en english gold hyp hypothesis id
    index input is label normal orig original output paraphrase paraphrased pred prediction quality
    query question ref reference rewrite rewritten row score sent sentence similarity simple
    simplified source src system target text tgt trg
""".split()  # noqa: SIM905 - a list of words, a line each, would be longer than the file
"""Words of which the names of columns are made; a row of sentences is hardly made of them alone."""

_OF_KIND: Mapping[FileKind, Mapping[str, FieldRole]] = {
    "test set": dict.fromkeys(("paraphrase", "paraphrases", "sentence2", "question2"), "reference"),
    "pairs": dict.fromkeys(("paraphrase", "paraphrases", "sentence2", "question2"), "reference"),
    "predictions": dict.fromkeys(("paraphrase", "predictions", "output"), "prediction"),
}
"""Names that mean one thing in one kind of file and another in the next."""

_NUMBERED = re.compile(r"(reference|ref|target|paraphrase)s?(\d+)")
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
        parts = {"source": self.source, "prediction": self.prediction, "id": self.identifier}
        told = []
        for role, at in parts.items():
            if at is not None:
                told.append(f"{role} from {self.names[at]!r}")
        if self.references:
            several = ", ".join(repr(self.names[at]) for at in self.references)
            told.append(f"references from {several}")
        unread = ", ".join(repr(name) for name in self.unread if name.strip())
        if unread:
            told.append(f"not read: {unread}")
        return "; ".join(told)


def role_of(name: str, kind: FileKind) -> FieldRole | None:
    """What a column of this name holds in a file of this kind; None where that is not known."""
    plain = _plain_name(name)
    of_this_kind = _OF_KIND[kind]
    # first, since it may also be a name that means something else in other files
    if plain in of_this_kind:
        return of_this_kind[plain]
    numbered = _NUMBERED.fullmatch(plain)
    if numbered:
        is_prediction = of_this_kind.get(numbered[1]) == "prediction"
        return "prediction" if is_prediction else "reference"
    for role, names in _ROLES.items():
        if plain in map(_plain_name, names):
            return role
    return None


def _plain_name(name: str) -> str:
    """A name as it is compared: ``Sentence 1`` and ``sentence_1`` are ``sentence1``.

    Quotes that a table's writer may put around it do not count.
    """
    return re.sub(r"[\s_.:-]+", "", name.strip().strip('"')).casefold()


def looks_like_header(cells: Sequence[str], kind: FileKind) -> bool:
    """Whether the first line of a table names its columns rather than being a row of it.

    It does where two names are known, or the first of them is that of the source or of the
    prediction; where all cells are single words of which one is an identifier (``sentence_a``,
    ``text2``); where every cell is made of words that name columns (``English``, ``Simple
    English``); and where two differ in their number alone (``Referenz 1``, ``Referenz 2``).

    ``cells``: those of the first line. ``kind``: of the file.
    """
    # the first column of pandas, of row numbers, has an empty name or "index"
    roles = [role_of(cell, kind) for cell in cells]
    roles = [role for role in roles if role != "index"]
    known = [role for role in roles if role is not None]
    first = roles[0] if roles else None
    if len(known) >= 2 or first in ("source", "prediction"):
        return True
    if len(cells) > 1 and all(_is_made_of_column_words(cell) for cell in cells):
        return True
    if _are_numbered(cells):
        return True
    # one name that is known, and a slip of the pen in each of the others
    if known and all(role_of(cell, kind) or _nearest_name(cell, kind) for cell in cells):
        return True
    words = [cell.strip().strip('"') for cell in cells]
    are_names = len(words) > 1 and all(_IDENTIFIER.fullmatch(word) for word in words)
    # two words alone may be two short sentences: an underscore or a number makes them names
    return are_names and any(re.search(r"_|[a-z]{2}\d+$", word) for word in words)


def _are_numbered(cells: Sequence[str]) -> bool:
    """Whether two cells are one name, in any language, with the numbers 1 and 2, or 0 and 1."""
    numbers: dict[str, set[int]] = {}
    for cell in cells:
        name = _NUMBERED_NAME.fullmatch(cell.strip().strip('"'))
        # names of columns have one word or two; "We leave at 5" has four
        if name and len(name[1].split()) <= 2:
            numbers.setdefault(name[1].strip().casefold(), set()).add(int(name[2]))
    return any({1, 2} <= found or {0, 1} <= found for found in numbers.values())


def may_be_header(cells: Sequence[str], next_cells: Sequence[str]) -> bool:
    """Whether a first line that was read as a row may name columns, in words that are not known.

    Its cells are one word or two without an end mark, each over one at least twice as long.

    ``cells``: of the first line. ``next_cells``: of the second.
    """
    if len(cells) < 2 or len(cells) != len(next_cells):
        return False
    return all(
        _SHORT_NAME.fullmatch(cell.strip()) and len(below.strip()) >= max(8, 2 * len(cell.strip()))
        for cell, below in zip(cells, next_cells, strict=True)
    )


def header_note(cells: Sequence[str]) -> str:
    """What is told of a first line that ``may_be_header``."""
    listed = ", ".join(map(repr, cells))
    return f"line 1 is read as an example: {listed}; delete it if it names the columns"


def _is_made_of_column_words(cell: str) -> bool:
    words = re.findall(r"[^\W\d_]+", cell.casefold())
    # "references" as well as "reference"
    return bool(words) and all(
        word in _COLUMN_WORDS or word.removesuffix("s") in _COLUMN_WORDS for word in words
    )


def _nearest_name(name: str, kind: FileKind) -> str | None:
    """The known name that another one was probably meant to be."""
    near = difflib.get_close_matches(name.casefold(), known_names(kind), 1, cutoff=0.8)
    return near[0] if near else None


def read_header(names: Sequence[str], kind: FileKind) -> Header:
    """Find the role of every column.

    Raises UnclearHeaderError where a name is nearly a known one, two columns have one role, or the
    source (of predictions: the prediction) is missing.
    """
    places: dict[FieldRole, list[int]] = {role: [] for role in _ROLES}
    unread = []
    for at, name in enumerate(names):
        role = role_of(name, kind)
        if role is None:
            unread.append(name)
        else:
            places[role].append(at)
    choices = known_names(kind)
    for name in unread:
        # a slip of the pen: not read, the column would be missed without a word
        near = _nearest_name(name, kind)
        if near:
            raise UnclearHeaderError(f"the name {name!r}; did you mean {near!r}?", choices)
    for role in _SINGLE:
        if len(places[role]) > 1:
            several = " and ".join(repr(names[at]) for at in places[role])
            raise UnclearHeaderError(f"{several} could each be the {role}", choices)
    needed: FieldRole = "prediction" if kind == "predictions" else "source"
    if not places[needed]:
        listed = ", ".join(map(repr, names))
        raise UnclearHeaderError(f"no column for the {needed} among {listed}", choices)
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


def _in_their_order(names: Sequence[str], places: Sequence[int]) -> tuple[int, ...]:
    """References by their numbers: ``reference_2`` before ``reference_10``."""

    def number(at: int) -> int:
        found = _NUMBERED.fullmatch(_plain_name(names[at]))
        # "reference" without a number comes before "reference_1"
        return int(found[2]) if found else -1

    # columns of one number keep the file's order
    return tuple(sorted(places, key=lambda at: (number(at), at)))


def known_names(kind: FileKind) -> list[str]:
    """The names that a column of such a file may have, for messages."""
    roles: dict[FileKind, tuple[FieldRole, ...]] = {
        "test set": ("source", "reference", "id", "cluster"),
        "predictions": ("source", "prediction", "reference", "id"),
        "pairs": ("source", "reference"),
    }
    names = list[str]()
    for role in roles[kind]:
        names += _ROLES[role]
    return [*names, *_OF_KIND[kind], "reference_1"]

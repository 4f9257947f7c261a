"""Which column of a user's file holds what, read from its header or its keys.

A name that is known decides, whatever its case. A first line that looks like a header and whose
names are not known is refused: taken for a sentence, it would be scored as one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

FileKind = Literal["test set", "predictions", "pairs"]
"""Examples with references; outputs of a system, alone or with sources; pairs to train on."""
Role = Literal["source", "prediction", "reference", "id", "cluster", "index"]

_ROLES: Mapping[Role, tuple[str, ...]] = {
    "source": ("source", "src", "input", "sentence", "original", "sentence1", "question1"),
    "prediction": ("prediction", "pred", "hypothesis", "hyp", "generated", "generation"),
    "reference": ("reference", "references", "ref", "refs", "target", "gold"),
    "id": ("id",),
    "cluster": ("cluster",),
    "index": ("", "index", "unnamed: 0"),
}
"""Names by role; ``index`` is the row number that pandas writes, which is not read."""

_OF_KIND: Mapping[FileKind, Mapping[str, Role]] = {
    "test set": dict.fromkeys(("paraphrase", "paraphrases", "sentence2", "question2"), "reference"),
    "pairs": dict.fromkeys(("paraphrase", "paraphrases", "sentence2", "question2"), "reference"),
    "predictions": dict.fromkeys(("paraphrase", "predictions", "output"), "prediction"),
}
"""Names that mean one thing in one kind of file and another in the next."""

_NUMBERED = re.compile(r"(reference|ref|target|paraphrase)s?[ _.-]?(\d+)")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z]*(?:[_-]?[A-Za-z0-9]+)*")
_SINGLE: tuple[Role, ...] = ("source", "prediction", "id", "cluster")
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
    def told(self) -> str:
        """What was assumed, as a sentence for the user."""
        parts = {"source": self.source, "prediction": self.prediction, "id": self.identifier}
        read = [f"{role} from {self.names[at]!r}" for role, at in parts.items() if at is not None]
        if self.references:
            several = ", ".join(repr(self.names[at]) for at in self.references)
            read.append(f"references from {several}")
        unread = [repr(name) for name in self.unread if name.strip()]
        return "; ".join(read) + (f"; not read: {', '.join(unread)}" if unread else "")


def role_of(name: str, kind: FileKind) -> Role | None:
    """What a column of this name holds in a file of this kind; None where that is not known."""
    plain = name.strip().strip('"').casefold()
    if plain in _OF_KIND[kind]:
        return _OF_KIND[kind][plain]
    if numbered := _NUMBERED.fullmatch(plain):
        return "prediction" if _OF_KIND[kind].get(numbered[1]) == "prediction" else "reference"
    return next((role for role, names in _ROLES.items() if plain in names), None)


def looks_like_header(cells: Sequence[str], kind: FileKind) -> bool:
    """Whether the first line of a table names its columns rather than being a row of it.

    It does where two names are known, or the first of them is that of the source or of the
    prediction; and where all cells are single words of which one is an identifier
    (``sentence_a``, ``text2``).
    """
    roles = [role_of(cell, kind) for cell in cells]
    named = [role for role in roles if role is not None and role != "index"]
    first = next((role for role in roles if role != "index"), None)
    if len(named) >= 2 or first in ("source", "prediction"):
        return True
    words = [cell.strip().strip('"') for cell in cells]
    are_names = len(words) > 1 and all(_IDENTIFIER.fullmatch(word) for word in words)
    return are_names and any(re.search(r"_|[a-z]{2}\d+$", word) for word in words)


def read_header(names: Sequence[str], kind: FileKind) -> Header:
    """Find the role of every column.

    Raises UnclearHeaderError where a name is nearly a known one, two columns have one role, or the
    source (of predictions: the prediction) is missing.
    """
    roles = [role_of(name, kind) for name in names]
    places = {role: [at for at, own in enumerate(roles) if own == role] for role in _ROLES}
    unread = tuple(name for name, role in zip(names, roles, strict=True) if role is None)
    for name in unread:
        if near := difflib.get_close_matches(name.casefold(), known_names(kind), 1, cutoff=0.8):
            raise UnclearHeaderError(
                f"the name {name!r}; did you mean {near[0]!r}?", known_names(kind)
            )
    for role in _SINGLE:
        if len(places[role]) > 1:
            several = " and ".join(repr(names[at]) for at in places[role])
            raise UnclearHeaderError(f"{several} could each be the {role}", known_names(kind))
    needed: Role = "prediction" if kind == "predictions" else "source"
    if not places[needed]:
        listed = ", ".join(map(repr, names))
        raise UnclearHeaderError(f"no column for the {needed} among {listed}", known_names(kind))
    single = {role: next(iter(places[role]), None) for role in _SINGLE}
    return Header(
        tuple(names),
        single["source"],
        single["prediction"],
        _in_their_order(names, places["reference"]),
        single["id"],
        single["cluster"],
        unread,
    )


def _in_their_order(names: Sequence[str], places: Sequence[int]) -> tuple[int, ...]:
    """References by their numbers: ``reference_2`` before ``reference_10``."""

    def number(at: int) -> int:
        found = _NUMBERED.fullmatch(names[at].strip().strip('"').casefold())
        return int(found[2]) if found else -1

    return tuple(sorted(places, key=lambda at: (number(at), at)))


def known_names(kind: FileKind) -> list[str]:
    """The names that a column of such a file may have, for messages."""
    roles: dict[FileKind, tuple[Role, ...]] = {
        "test set": ("source", "reference", "id", "cluster"),
        "predictions": ("source", "prediction", "reference", "id"),
        "pairs": ("source", "reference"),
    }
    names = [name for role in roles[kind] for name in _ROLES[role]]
    return [*names, *_OF_KIND[kind], "reference_1"]

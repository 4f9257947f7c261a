"""The names that columns of users' files may have, and what each says its column holds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Literal

FileKind = Literal["test set", "predictions", "pairs"]
"""Examples with references; outputs of a system, alone or with sources; pairs to train on."""
FieldRole = Literal["source", "prediction", "reference", "id", "cluster", "index"]

COLUMN_ROLES: Mapping[FieldRole, tuple[str, ...]] = {
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

_SECOND_TEXTS = ("paraphrase", "paraphrases", "sentence2", "question2")
_OF_KIND: Mapping[FileKind, Mapping[str, FieldRole]] = {
    "test set": dict.fromkeys(_SECOND_TEXTS, "reference"),
    "pairs": dict.fromkeys(_SECOND_TEXTS, "reference"),
    "predictions": dict.fromkeys(("paraphrase", "predictions", "output"), "prediction"),
}
"""Names that mean one thing in one kind of file and another in the next."""

NUMBERED_COLUMN = re.compile(r"(reference|ref|target|paraphrase)s?(\d+)")
"""Names of columns of which a file may have several, as they are compared."""


def role_of(name: str, kind: FileKind) -> FieldRole | None:
    """What a column of this name holds in a file of this kind; None where that is not known."""
    plain = plain_column_name(name)
    of_this_kind = _OF_KIND[kind]
    # first, since it may also be a name that means something else in other files
    if plain in of_this_kind:
        return of_this_kind[plain]
    numbered = NUMBERED_COLUMN.fullmatch(plain)
    if numbered:
        is_prediction = of_this_kind.get(numbered[1]) == "prediction"
        return "prediction" if is_prediction else "reference"
    for role, names in COLUMN_ROLES.items():
        if plain in map(plain_column_name, names):
            return role
    return None


def plain_column_name(name: str) -> str:
    """A name as it is compared: ``Sentence 1`` and ``sentence_1`` are ``sentence1``.

    Quotes that a table's writer may put around it do not count.
    """
    joined = re.sub(r"[\s_.:-]+", "", without_quotes(name))
    return joined.casefold()


def without_quotes(cell: str) -> str:
    """A cell without the blanks and quotes around it."""
    return cell.strip().strip('"')


def nearest_column_name(name: str, kind: FileKind) -> str | None:
    """The known name that another one was probably meant to be."""
    choices = known_names(kind)
    near = difflib.get_close_matches(name.casefold(), choices, 1, cutoff=0.8)
    return near[0] if near else None


def known_names(kind: FileKind) -> list[str]:
    """The names that a column of such a file may have, for messages."""
    roles: dict[FileKind, tuple[FieldRole, ...]] = {
        "test set": ("source", "reference", "id", "cluster"),
        "predictions": ("source", "prediction", "reference", "id"),
        "pairs": ("source", "reference"),
    }
    names = list[str]()
    for role in roles[kind]:
        names += COLUMN_ROLES[role]
    return [*names, *_OF_KIND[kind], "reference_1"]

"""Training seeds: ``softprompt-111-s1``, ``softprompt-111-s2``, … are one row of the table,
``softprompt-111``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from parabench.contracts import UserError

TRAINED_ITEMS = ("adapter", "model")
"""The items of a system's signature in which its seeds may differ: what was trained."""


def row_name(system: str) -> str:
    """The row that a system stands in: its name without the seed."""
    return re.sub(r"(?<=.)-s\d+$", "", system)


def seed_groups(systems: Iterable[str]) -> dict[str, list[str]]:
    """The systems of every row, in order."""
    found: dict[str, list[str]] = {}
    for system in systems:
        found.setdefault(row_name(system), []).append(system)
    return found


def check_seed_groups(signatures: Mapping[str, str]) -> None:
    """UserError unless the systems of a row are the same in all but what was trained."""
    for row, systems in seed_groups(signatures).items():
        first, *others = systems
        for other in others:
            if (one := _recipe(signatures[first])) != (two := _recipe(signatures[other])):
                found = f"{one} and {two}"
                raise UserError(
                    f"put {first} and {other} into one row {row}",
                    found,
                    mend="give them other names",
                )


def _recipe(signature: str) -> str:
    parts = signature.split("|")
    return "|".join(part for part in parts if part.partition(":")[0] not in TRAINED_ITEMS)

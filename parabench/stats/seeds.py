"""Training seeds: ``softprompt-111-s1``, ``softprompt-111-s2``, … are one row of the table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from parabench.contracts import UserError

TRAINED_ITEMS = ("adapter", "model")
"""The items of a system's signature in which its seeds may differ: what was trained."""


def row_name(system: str) -> str:
    """Return the row that a ``system`` belongs to: its name without the seed."""
    # a name that is nothing but a seed stays as it is
    return re.sub(r"(?<=.)-s\d+$", "", system)


def seed_groups(systems: Iterable[str]) -> dict[str, list[str]]:
    """Return the ``systems`` of every row, in their order."""
    groups: dict[str, list[str]] = {}
    for system in systems:
        groups.setdefault(row_name(system), []).append(system)
    return groups


def check_seed_groups(signatures: Mapping[str, str]) -> None:
    """Check that the systems of a row are the same in all but what was trained.

    ``signatures``: the printed signature of each system. Raises UserError where two differ.
    """
    for row, systems in seed_groups(signatures).items():
        first, *others = systems
        expected = _without_trained_items(signatures[first])
        for other in others:
            found = _without_trained_items(signatures[other])
            if found != expected:
                raise UserError(
                    f"put {first} and {other} into one row {row}",
                    f"{expected} and {found}",
                    mend="give them other names",
                )


def _without_trained_items(signature: str) -> str:
    kept = []
    for item in signature.split("|"):
        key, _, _ = item.partition(":")
        if key not in TRAINED_ITEMS:
            kept.append(item)
    return "|".join(kept)

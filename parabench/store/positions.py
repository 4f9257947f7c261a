"""A number for each of many names, such as where an example stands."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence
from typing import Any

from parabench.sequences import text_hash64

_UNSORTED = 1 << 15
"""Names that are held as they are."""


class IdPositions:
    """Numbers by name, in 12 bytes each: names are known by 64 bits, sorted; the latest stand in a
    table.
    """

    def __init__(self) -> None:
        """None yet."""
        self._latest: dict[str, int] = {}
        self._marks: Any = ()
        self._numbers: Any = ()

    def __len__(self) -> int:
        return len(self._marks) + len(self._latest)

    def get(self, name: str) -> int | None:
        """The number of a name."""
        if (found := self._latest.get(name)) is not None or not len(self._marks):
            return found
        wanted = text_hash64(name)
        at = self._marks.searchsorted(self._marks.dtype.type(wanted))
        return (
            int(self._numbers[at]) if at < len(self._marks) and self._marks[at] == wanted else None
        )

    def add(self, name: str, number: int) -> int:
        """The number that a name has already, else this one from now on."""
        if (found := self.get(name)) is not None:
            return found
        self._latest[name] = number
        if len(self._latest) >= _UNSORTED:
            self._sort_in()
        return number

    def _sort_in(self) -> None:
        import numpy as np

        marks = np.fromiter(map(text_hash64, self._latest), np.uint64, len(self._latest))
        numbers = np.fromiter(self._latest.values(), np.uint32, len(self._latest))
        order = np.argsort(marks)
        marks, numbers, self._latest = marks[order], numbers[order], {}
        if len(self._marks):
            places = self._marks.searchsorted(marks)
            marks, numbers = (
                np.insert(self._marks, places, marks),
                np.insert(self._numbers, places, numbers),
            )
        self._marks, self._numbers = marks, numbers


def sorted_positions(ids: Sequence[str], held: int = 20_000) -> Sequence[int]:
    """The positions of all ids in the order of the ids, 4 bytes each.

    At most ``held`` ids are in memory at once: sorted runs of so many positions are merged, and ids
    are read again when they are compared.
    """
    starts = range(0, len(ids), held)
    runs = (
        array("I", sorted(range(start, min(start + held, len(ids))), key=ids.__getitem__))
        for start in starts
    )
    return array("I", heapq.merge(*runs, key=ids.__getitem__))

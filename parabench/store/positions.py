"""Compact map from example ids to their positions, and positions in the order of ids."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence
from typing import Any

from parabench.sequences import text_hash64

_UNSORTED = 1 << 15
"""Names that are held as they are."""


class IdPositions:
    """Numbers by name, in 12 bytes each.

    Names are known by 64 bits (two of a million names have the same with a chance of 3e-8), sorted;
    the latest ones are in a dictionary until they are many.
    """

    def __init__(self) -> None:
        """No names yet."""
        self._latest: dict[str, int] = {}
        self._hashes: Any = ()  # uint64, sorted
        self._numbers: Any = ()  # uint32, in the order of the hashes

    def __len__(self) -> int:
        return len(self._hashes) + len(self._latest)

    def get(self, name: str) -> int | None:
        """The number of a name; None where it has none."""
        found = self._latest.get(name)
        if found is not None or not len(self._hashes):
            return found
        wanted = text_hash64(name)
        # As an integer of Python it would be compared as a float, of 53 bits.
        at = self._hashes.searchsorted(self._hashes.dtype.type(wanted))
        is_within = at < len(self._hashes)
        if is_within and self._hashes[at] == wanted:
            return int(self._numbers[at])
        return None

    def add(self, name: str, number: int) -> int:
        """The number that a name has already, else this one from now on."""
        found = self.get(name)
        if found is not None:
            return found
        self._latest[name] = number
        if len(self._latest) >= _UNSORTED:
            self._sort_in()
        return number

    def _sort_in(self) -> None:
        """Merge the latest names into the sorted arrays."""
        import numpy as np

        count = len(self._latest)
        hashes = np.fromiter(map(text_hash64, self._latest), np.uint64, count)
        numbers = np.fromiter(self._latest.values(), np.uint32, count)
        self._latest = {}
        order = np.argsort(hashes)
        hashes = hashes[order]
        numbers = numbers[order]
        if len(self._hashes):
            # Where in the sorted array each of the new hashes belongs.
            places = self._hashes.searchsorted(hashes)
            hashes = np.insert(self._hashes, places, hashes)
            numbers = np.insert(self._numbers, places, numbers)
        self._hashes, self._numbers = hashes, numbers


def sorted_positions(ids: Sequence[str], held: int = 20_000) -> Sequence[int]:
    """The positions of all ids in the order of the ids, 4 bytes each.

    At most ``held`` ids are in memory at once: sorted runs of so many positions are merged, and ids
    are read again when they are compared.
    """
    runs = []
    for start in range(0, len(ids), held):
        end = min(start + held, len(ids))
        ordered = sorted(range(start, end), key=ids.__getitem__)
        runs.append(array("I", ordered))
    return array("I", heapq.merge(*runs, key=ids.__getitem__))

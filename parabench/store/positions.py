"""Compact map from example ids to their positions, and positions in the order of ids."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from parabench.scratch import blocks, scratch_array, scratch_copy
from parabench.sequences import text_hash64

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt32, UInt64

_UNSORTED = 1 << 15
"""Names that are held as they are."""
_TIMES_LONGER = 4
"""As long as the next run at least is each run of sorted names: names are sorted in a few times,
and are looked for in few runs."""


class _Run(NamedTuple):
    """Sorted hashes of names, and the number of each."""

    hashes: UInt64[np.ndarray, " n"]
    numbers: UInt32[np.ndarray, " n"]


class IdPositions:
    """Numbers by name, in scratch arrays of 12 bytes each.

    Names are known by 64 bits (two of a million names have the same with a chance of 3e-8). The
    latest ones are in a dictionary until they are many; the others in runs that are sorted.
    """

    def __init__(self) -> None:
        """No names yet."""
        self._latest: dict[str, int] = {}
        self._runs: list[_Run] = []  # the longest first

    def __len__(self) -> int:
        sorted_in = sum(len(run.hashes) for run in self._runs)
        return len(self._latest) + sorted_in

    def get(self, name: str) -> int | None:
        """The number of a name; None where it has none."""
        found = self._latest.get(name)
        if found is not None or not self._runs:
            return found
        wanted = text_hash64(name)
        for hashes, numbers in self._runs:
            # As an integer of Python it would be compared as a float, of 53 bits.
            key = hashes.dtype.type(wanted)
            at = hashes.searchsorted(key)
            if at < len(hashes) and hashes[at] == wanted:
                return int(numbers[at])
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
        """Make a run of the latest names, together with runs that are too short to stay."""
        import numpy as np

        count = len(self._latest)
        hashes = np.fromiter(map(text_hash64, self._latest), np.uint64, count)
        numbers = np.fromiter(self._latest.values(), np.uint32, count)
        self._latest = {}
        order = np.argsort(hashes)
        run = _Run(hashes[order], numbers[order])
        while self._runs:
            shortest = self._runs[-1]
            if len(shortest.hashes) >= _TIMES_LONGER * len(run.hashes):
                break
            self._runs.pop()
            run = _merged(shortest, run)
        self._runs.append(run)


def _merged(first: _Run, second: _Run) -> _Run:
    """Two runs without a common name as one."""
    import numpy as np

    count = len(first.hashes) + len(second.hashes)
    merged = _Run(
        hashes=scratch_array(count, np.uint64),
        numbers=scratch_array(count, np.uint32),
    )
    for run, other in ((first, second), (second, first)):
        for block in blocks(len(run.hashes)):
            hashes = run.hashes[block]
            # Before a name stand those of its own run, and those of the other that are smaller.
            before_in_own = np.arange(block.start, block.stop)
            before_in_other = other.hashes.searchsorted(hashes)
            places = before_in_own + before_in_other
            merged.hashes[places] = hashes
            merged.numbers[places] = run.numbers[block]
    return merged


def sorted_positions(ids: Sequence[str], held: int = 20_000) -> UInt32[np.ndarray, " N"]:
    """The positions of all ids in the order of the ids.

    At most ``held`` ids are in memory at once: sorted runs of so many positions are merged, and ids
    are read again when they are compared.
    """
    import numpy as np

    runs = []
    for start in range(0, len(ids), held):
        end = min(start + held, len(ids))
        ordered = sorted(range(start, end), key=ids.__getitem__)
        runs.append(scratch_copy(ordered, len(ordered), np.uint32))
    if len(runs) == 1:
        return runs[0]
    merged = heapq.merge(*runs, key=ids.__getitem__)
    return scratch_copy(merged, len(ids), np.uint32)

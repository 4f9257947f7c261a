"""What there is to know of a corpus besides its counts."""

from __future__ import annotations

from collections.abc import Iterable

from parabench.data.filters import Pair, key


def repeated(pairs: Iterable[Pair]) -> int:
    """How many pairs have come before, in either direction, up to case, spaces and punctuation."""
    seen, again = set[tuple[int, ...]](), 0
    for pair in pairs:
        mark = tuple(sorted(map(key, pair)))
        again += mark in seen
        seen.add(mark)
    return again

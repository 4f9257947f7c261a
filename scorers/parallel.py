"""Counting in many pairs of texts: each distinct one once, and on all cores where that is quicker
than on one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from time import monotonic
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from parabench.contracts import Example

_Item = TypeVar("_Item", bound=Hashable)
_Pair = tuple[str, tuple[str, ...]]
Count = Callable[[str, tuple[str, ...]], Sequence[float]]
"""A row of numbers from a text and its references; it may remember what it made of a text."""

CACHED_TEXTS = 4096
"""Texts, or pairs of them, of which a ``Count`` remembers what it made."""
CHUNK = 512
"""Pairs between two looks at the clock, and in one errand of a process."""
EXAMPLES_PER_CALL = 16384
"""Examples that a run hands over at once: so many that other cores are worth asking."""
PARALLEL_AFTER_SECONDS = 4.0
"""Seconds that one core may have left to do before others are asked: starting them takes about
one.
"""


def count_all(
    begin: Callable[[], Count],
    examples: Sequence[Example],
    texts: Sequence[str],
    patience: float = PARALLEL_AFTER_SECONDS,
) -> Float[np.ndarray, "N K"]:
    """The counts of every text against its example's references, by what ``begin`` makes, once in
    each process.
    """
    pairs = [(text, example.references) for example, text in zip(examples, texts, strict=True)]
    return deduplicated(
        pairs, lambda distinct: np.array(_count(begin, distinct, patience), dtype=float)
    )


def _count(
    begin: Callable[[], Count], pairs: Sequence[_Pair], patience: float
) -> list[Sequence[float]]:
    count, started, made = begin(), monotonic(), list[Sequence[float]]()
    for start in range(0, len(pairs), CHUNK):
        left = len(pairs) - start
        if start and (monotonic() - started) / start * left > patience:
            return made + _count_in_processes(begin, pairs[start:])
        made += [count(*pair) for pair in pairs[start : start + CHUNK]]
    return made


def _count_in_processes(
    begin: Callable[[], Count], pairs: Sequence[_Pair]
) -> list[Sequence[float]]:
    from joblib import Parallel, delayed

    parts = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    found = Parallel(n_jobs=-1)(delayed(_count_chunk)(begin, part) for part in parts)
    return [row for part in found for row in part]


def _count_chunk(begin: Callable[[], Count], pairs: Sequence[_Pair]) -> list[Sequence[float]]:
    count = begin()
    return [count(*pair) for pair in pairs]


def deduplicated(
    items: Sequence[_Item], score: Callable[[list[_Item]], Float[np.ndarray, "M ..."]]
) -> Float[np.ndarray, "N ..."]:
    """The rows of ``score`` for all items, asked once about each distinct one, in order of first
    appearance.
    """
    places = {item: place for place, item in enumerate(dict.fromkeys(items))}
    return score(list(places))[[places[item] for item in items]]

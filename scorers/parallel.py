"""Counting in many pairs of texts: each distinct pair once, on all cores where that is faster."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from time import monotonic
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from parabench.contracts import Example

_Item = TypeVar("_Item", bound=Hashable)
_Pair = tuple[str, tuple[str, ...]]
_Rows = list[Sequence[float]]
Count = Callable[[str, tuple[str, ...]], Sequence[float]]
"""A row of numbers from a text and its references; it may remember what it made of a text."""

CACHED_TEXTS = 4096
"""Texts, or pairs of them, of which a ``Count`` remembers what it made."""
CHUNK = 512
"""Pairs counted between two looks at the clock, and sent to another process at once."""
EXAMPLES_PER_CALL = 16384
"""Examples that a run hands over at once: so many that other cores are worth asking."""
PARALLEL_AFTER_SECONDS = 2.5
"""Seconds that one core may have left to do before others are asked: starting them takes about
one.
"""


def count_all(
    begin: Callable[[], Count],
    examples: Sequence[Example],
    texts: Sequence[str],
    patience: float = PARALLEL_AFTER_SECONDS,
) -> Float[np.ndarray, "N K"]:
    """Return the counts of every text against its example's references.

    ``begin`` makes the function that counts, once in each process. ``texts`` are one for each of
    the ``examples``. Where one core would take more than ``patience`` seconds, all are asked.
    """
    pairs = [(text, example.references) for example, text in zip(examples, texts, strict=True)]

    def count_distinct(distinct: list[_Pair]) -> Float[np.ndarray, "M K"]:
        return np.array(_count(begin, distinct, patience), dtype=float)

    return deduplicated(pairs, count_distinct)


def _count(begin: Callable[[], Count], pairs: Sequence[_Pair], patience: float) -> _Rows:
    """Count here, and hand over what is left as soon as it would take too long."""
    count = begin()
    started = monotonic()
    rows: _Rows = []
    for start in range(0, len(pairs), CHUNK):
        if start:
            left = pairs[start:]
            seconds_a_pair = (monotonic() - started) / start
            if seconds_a_pair * len(left) > patience:
                return rows + _count_in_processes(begin, left)
        chunk = pairs[start : start + CHUNK]
        rows += [count(*pair) for pair in chunk]
    return rows


def _count_in_processes(begin: Callable[[], Count], pairs: Sequence[_Pair]) -> _Rows:
    from joblib import Parallel, delayed

    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    jobs = [delayed(_count_chunk)(begin, chunk) for chunk in chunks]
    counted = Parallel(n_jobs=-1)(jobs)
    return [row for chunk in counted for row in chunk]


def _count_chunk(begin: Callable[[], Count], pairs: Sequence[_Pair]) -> _Rows:
    count = begin()
    return [count(*pair) for pair in pairs]


def deduplicated(
    items: Sequence[_Item], score: Callable[[list[_Item]], Float[np.ndarray, "M ..."]]
) -> Float[np.ndarray, "N ..."]:
    """Return the rows of ``score`` for all ``items``, computed once for each distinct one.

    ``score`` is given the distinct items in order of first appearance.
    """
    distinct = dict.fromkeys(items)
    places = {item: place for place, item in enumerate(distinct)}
    rows = score(list(distinct))
    return rows[[places[item] for item in items]]

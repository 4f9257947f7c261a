"""Corpus columns and their bootstrap intervals, from statistics that are read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from parabench.contracts import Scorer, is_additive
from parabench.stats.intervals import only_of_enough
from parabench.stats.resampling import percentile_ends, resampled

_Block = Float[np.ndarray, "B K"]
_BlockReader = Callable[[], Iterator[_Block]]
"""Reads the statistics from the beginning, a block at a time; always the same blocks."""


def streamed_columns(scorer: Scorer, blocks: _BlockReader) -> Float[np.ndarray, " C"]:
    """Return the columns of all rows together.

    ``blocks`` reads the statistics of the ``scorer``. NaN where its ``combine`` is not additive,
    and so would need all rows at once.
    """
    if not is_additive(scorer.combine):
        return np.full(len(scorer.columns), np.nan)
    total = 0
    for block in blocks():
        total = total + block.sum(axis=0)
    return scorer.combine(np.asarray(total)[None])


def streamed_interval(
    scorer: Scorer, blocks: _BlockReader, seed: int, resamples: int = 1000, level: float = 0.95
) -> Float[np.ndarray, "2 C"]:
    """Return low and high ends of the percentile bootstrap interval of every column.

    ``blocks`` reads the statistics of the ``scorer``, and is called twice. ``seed`` fixes the
    ``resamples`` draws; ``level`` is the share of them between the ends. NaN where ``combine`` is
    not additive, and where there are too few rows for an interval.
    """
    if not is_additive(scorer.combine):
        return np.full((2, len(scorer.columns)), np.nan)
    # the first reading counts the rows: how many each block gets of a draw depends on all
    total = sum(len(block) for block in blocks())
    generator = np.random.default_rng(seed)
    one_system = (block[None] for block in blocks())  # [1, B, K]
    sums = resampled(one_system, total, generator, resamples)  # [R, 1, K]
    return np.stack(only_of_enough(*percentile_ends(scorer.combine(sums), level), total))

"""Corpus columns and their bootstrap intervals from statistics that are read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from parabench.contracts import Scorer, is_additive
from parabench.stats.significance import ends, resampled

_Block = Float[np.ndarray, "B K"]
_BlockReader = Callable[[], Iterator[_Block]]
"""Reads the statistics from the beginning, a block at a time; always the same blocks."""


def streamed_columns(scorer: Scorer, blocks: _BlockReader) -> Float[np.ndarray, " C"]:
    """The columns of all rows together; NaN where a scorer's ``combine`` needs all rows at once."""
    if not is_additive(scorer.combine):
        return np.full(len(scorer.columns), np.nan)
    total = sum(block.sum(axis=0) for block in blocks())
    return scorer.combine(np.asarray(total)[None])


def streamed_interval(
    scorer: Scorer, blocks: _BlockReader, seed: int, resamples: int = 1000, level: float = 0.95
) -> Float[np.ndarray, "2 C"]:
    """Low and high ends of the percentile bootstrap interval of every column; NaN where ``combine``
    is not additive.
    """
    if not is_additive(scorer.combine):
        return np.full((2, len(scorer.columns)), np.nan)
    total, generator = sum(len(block) for block in blocks()), np.random.default_rng(seed)
    sums = resampled((block[None] for block in blocks()), total, generator, resamples)
    return np.stack(ends(scorer.combine(sums), level))

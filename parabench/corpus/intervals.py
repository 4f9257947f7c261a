"""Corpus columns and their bootstrap intervals from statistics that are read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from parabench.contracts import Scorer

Rows = Float[np.ndarray, "B K"]
Blocks = Callable[[], Iterator[Rows]]
"""Reads the statistics from the beginning, a block at a time; always the same blocks."""

CELLS = 1 << 21
"""Counts held at once: draws of one block."""


def each(scorer: Scorer, statistics: Rows) -> Float[np.ndarray, "B C"]:
    """Every row's own columns: ``combine`` of each row by itself."""
    if is_additive(scorer):
        return scorer.combine(statistics[:, None])
    return np.stack([scorer.combine(row[None]) for row in statistics])


def is_additive(scorer: Scorer) -> bool:
    """Whether a scorer's ``combine`` reads only sums of rows, so that blocks can be added up."""
    return bool(getattr(scorer.combine, "additive", False))


def corpus_columns(scorer: Scorer, blocks: Blocks) -> Float[np.ndarray, " C"]:
    """The columns of all rows together; NaN where a scorer's ``combine`` needs all rows at once."""
    if not is_additive(scorer):
        return np.full(len(scorer.columns), np.nan)
    total = sum(block.sum(axis=0) for block in blocks())
    return scorer.combine(np.asarray(total)[None])


def interval(
    scorer: Scorer, blocks: Blocks, seed: int, resamples: int = 1000, level: float = 0.95
) -> Float[np.ndarray, "2 C"]:
    """Low and high ends of the percentile bootstrap interval of every column; NaN where ``combine`` is not additive.

    Each draw's N rows fall into the blocks by a multinomial, and within a block one by one: the bootstrap of all rows
    (Efron and Tibshirani 1993, chapter 6), with one block in memory.
    """
    if not is_additive(scorer):
        return np.full((2, len(scorer.columns)), np.nan)
    sizes = np.array([len(block) for block in blocks()])
    generator = np.random.default_rng(seed)
    shares = generator.multinomial(sizes.sum(), sizes / sizes.sum(), size=resamples)
    sums = sum(_drawn(block, share, generator) for block, share in zip(blocks(), shares.T, strict=True))
    columns = scorer.combine(np.asarray(sums)[:, None])
    tail = 50 * (1 - level)
    ends = np.full((2, columns.shape[1]), np.nan)
    defined = ~np.isnan(columns).all(axis=0)
    ends[:, defined] = np.nanpercentile(columns[:, defined], [tail, 100 - tail], axis=0)
    return ends


def _drawn(block: Rows, share: np.ndarray, generator: np.random.Generator) -> Float[np.ndarray, "R K"]:
    """For each draw the sum of so many rows of one block, drawn with replacement."""
    step = max(1, CELLS // len(block))
    parts = []
    for start in range(0, len(share), step):
        counts = [
            np.bincount(generator.integers(len(block), size=count), minlength=len(block))
            for count in share[start : start + step]
        ]
        parts.append(np.stack(counts).astype(float) @ block)
    return np.concatenate(parts)

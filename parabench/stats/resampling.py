"""Bootstrap: columns of resampled rows, intervals of a number and of a difference.

Works on the statistics that a scorer left behind, one row an example, or one such array a training
seed, and calls the scorer's ``combine`` on resampled rows. An ``additive`` combine, which reads
only column sums, is given all draws of a pass and all systems at once; any other is called once a
draw. Both give the same numbers.

Axes beside those of ``contracts``: S arrays of statistics (systems, times their training seeds), R
draws, M clusters in all, m clusters of one part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int
from numpy.random import Generator

from parabench.contracts import is_additive
from parabench.stats.arrays import (
    ColumnValues,
    Combine,
    StatisticsArray,
    SystemStatistics,
    corpus_value,
    per_seed,
)
from parabench.stats.clusters import ClusterIndex, Clusters, ClusterSums

Draws = Float[np.ndarray, "R C"]
"""Columns of every draw."""
DrawnSums = Float[np.ndarray, "R S K"]
"""Sums of the rows of every draw, of each array of statistics."""
DRAWS_IN_MEMORY = 500
"""Draws held in memory at once, at most."""
COUNTS_IN_MEMORY = 1 << 19
"""Draws times clusters held in memory at once, at most: 4 MB of counts."""


def bootstraps(
    combine: Combine,
    systems: Sequence[SystemStatistics],
    seed: int,
    resamples: int = 1000,
    clusters: Clusters = None,
) -> Float[np.ndarray, "S R C"]:
    """Draw columns of several systems, S here, from ``resamples`` samples with replacement.

    ``systems`` holds the statistics of each, from which ``combine`` makes columns. Samples are of
    rows, or of whole ``clusters`` where they are given; ``seed`` fixes them. All systems are
    sampled alike, so their draws may be subtracted. Training seeds are drawn too, for each system
    by itself.

    Efron and Tibshirani 1993, chapter 6; for corpus metrics Koehn 2004.
    """
    several = [per_seed(rows) for rows in systems]
    index = ClusterIndex.of(len(several[0][0]), clusters)
    row_generator = np.random.default_rng(seed)
    # a stream of its own: whether systems have seeds changes nothing in the rows drawn
    seed_generator = np.random.default_rng([seed, 1])
    if is_additive(combine):
        sums = index.sums(systems)
        passes = []
        for size in draws_a_pass(resamples, len(index), sums):
            weights = _seed_weights(seed_generator, size, several)
            drawn = resampled(sums, len(index), row_generator, size)
            passes.append(_combine_sums(combine, drawn, weights))
    else:
        wholes = [_stack(layers) for layers in several]
        passes = []
        for size in draws_a_pass(resamples, len(index), None):
            weights = _seed_weights(seed_generator, size, several)
            chosen = row_generator.integers(len(index), size=(size, len(index)))
            of_systems = []
            for whole, weight in zip(wholes, weights, strict=True):
                of_systems.append(_combine_one_by_one(combine, whole, weight, index, chosen))
            passes.append(np.stack(of_systems))
    return np.concatenate(passes, axis=1)


def _seed_weights(
    generator: Generator, draws: int, several: Sequence[Sequence[StatisticsArray]]
) -> list[np.ndarray]:
    """For each system ``[R, seeds]``: the share that each training seed has in each draw.

    As many seeds are drawn with replacement as there are.
    """
    weights = []
    for count in map(len, several):
        choices = np.full(draws, count)
        weights.append(_choice_counts(generator, choices, count) / count)
    return weights


def _stack(layers: Sequence[StatisticsArray]) -> Float[np.ndarray, "S N K"]:
    """The arrays of S training seeds in memory."""
    return np.stack([layer[:] for layer in layers])


def _combine_sums(combine: Combine, drawn: DrawnSums, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Columns ``[systems, R, C]`` from each draw's sums of all systems' arrays."""
    # arrays of one system stand side by side on axis 1; these are where each next system begins
    seeds = [weight.shape[1] for weight in weights]
    of_systems = np.split(drawn, np.cumsum(seeds)[:-1], axis=1)
    totals = []
    for weight, sums in zip(weights, of_systems, strict=True):
        totals.append(np.einsum("rs,rsk->rk", weight, sums))
    # an additive combine sums over the last axis but one: one row a draw
    stacked = np.stack(totals)
    return combine(stacked[:, :, None, :])


def _combine_one_by_one(
    combine: Combine,
    whole: Float[np.ndarray, "S N K"],
    weights: Float[np.ndarray, "R S"],
    index: ClusterIndex,
    chosen: Int[np.ndarray, "R M"],
) -> Draws:
    """Columns of one system with S training seeds, one call of ``combine`` a draw."""
    columns = []
    for weight, clusters in zip(weights, chosen, strict=True):
        mean_over_seeds = np.tensordot(weight, whole, axes=1)  # [N, K]
        columns.append(combine(mean_over_seeds[index.rows(clusters)]))
    return np.stack(columns)


def resampled(
    blocks: Iterable[ClusterSums],
    total: int,
    generator: Generator,
    draws: int,
) -> DrawnSums:
    """Return for every draw the sum of ``total`` clusters, drawn with replacement from all blocks.

    ``blocks`` hold the sums of the ``total`` clusters' rows, part by part, one in memory at a time;
    ``generator`` makes ``draws`` samples. How many of a draw fall into each block is a multinomial:
    one binomial a block, of what is left for it and the blocks after it.
    """
    left = np.full(draws, total)  # clusters that each draw still has to choose
    clusters_ahead = total
    sums = np.zeros((draws, 1, 1))
    for block in blocks:
        width = block.shape[1]
        if width == clusters_ahead:
            share = left
        else:
            share = generator.binomial(left, width / clusters_ahead)
        left = left - share
        clusters_ahead -= width
        sums = sums + _resampled_block(block, share, generator)
    return sums


def _resampled_block(
    block: ClusterSums,
    share: Int[np.ndarray, " R"],
    generator: Generator,
) -> DrawnSums:
    """For every draw the sum of ``share`` clusters of one block."""
    width = block.shape[1]
    parts = []
    start = 0
    for size in draw_batches(len(share), width):
        share_of_batch = share[start : start + size]
        counts = _choice_counts(generator, share_of_batch, width)  # [r, m]
        # counts [r, m] times block [S, m, K] -> [r, S, K]
        parts.append(np.tensordot(counts, block, axes=(1, 1)))
        start += size
    return np.concatenate(parts)


def bootstrap(
    combine: Combine,
    statistics: SystemStatistics,
    seed: int,
    resamples: int = 1000,
    clusters: Clusters = None,
) -> Draws:
    """Return the draws of one system; see ``bootstraps``."""
    return bootstraps(combine, [statistics], seed, resamples, clusters)[0]


def interval(
    combine: Combine,
    statistics: SystemStatistics,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Clusters = None,
) -> tuple[ColumnValues, ColumnValues]:
    """Return low and high ends of the percentile bootstrap interval of every column.

    ``combine``, ``statistics``, ``seed``, ``resamples``, ``clusters``: see ``bootstraps``.
    ``level`` is the share of draws between the ends. NaN where no draw is defined.
    """
    return percentile_ends(bootstrap(combine, statistics, seed, resamples, clusters), level)


def difference(
    combine: Combine,
    a: SystemStatistics,
    b: SystemStatistics,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Clusters = None,
) -> tuple[ColumnValues, ColumnValues, ColumnValues]:
    """Return the columns of ``a`` minus those of ``b``, and the ends of the paired interval.

    ``combine``, ``seed``, ``resamples``, ``clusters``: see ``bootstraps``. ``level`` is the share
    of draws between the ends.
    """
    draws_of_a, draws_of_b = bootstraps(combine, [a, b], seed, resamples, clusters)
    value = corpus_value(combine, a) - corpus_value(combine, b)
    low, high = percentile_ends(draws_of_a - draws_of_b, level)
    return value, low, high


def detectable(differences: Draws, level: float = 0.95, power: float = 0.8) -> ColumnValues:
    """Return the smallest true difference that is found, from draws of the ``differences``.

    (z(``level``, two-sided) + z(``power``)) times the bootstrap's standard error: the usual formula
    for the size of a two-sided test.
    """
    normal = NormalDist()
    significant = normal.inv_cdf((1 + level) / 2)
    found = normal.inv_cdf(power)
    return (significant + found) * differences.std(axis=0, ddof=1)


def expanded_level(count: int, level: float = 0.95) -> float:
    """Return the share of draws that an interval of ``count`` examples holds, above ``level``.

    Bootstrap samples of few examples vary too little, by the root of (count - 1) / count, and have
    a normal distribution's tails instead of Student's: the expanded percentile interval (Hesterberg
    2015, The American Statistician 69).
    """
    # scipy.stats has both too, and takes a second to import
    from scipy.special import ndtr, stdtrit

    if count < 2:
        return level
    student = -stdtrit(count - 1, (1 - level) / 2)
    return float(1 - 2 * ndtr(-student * np.sqrt(count / (count - 1))))


def percentile_ends(draws: Draws, level: float = 0.95) -> tuple[ColumnValues, ColumnValues]:
    """Return low and high ends of the middle ``level`` of every column's ``draws``.

    NaN draws are left out; the ends are NaN where none is defined.
    """
    ends = np.full((2, draws.shape[1]), np.nan)
    # nanpercentile warns of columns without any number
    defined = ~np.isnan(draws).all(axis=0)
    tail = 50 * (1 - level)  # percent on each side
    percentiles = [tail, 100 - tail]
    ends[:, defined] = np.nanpercentile(draws[:, defined], percentiles, axis=0)
    return ends[0], ends[1]


def draws_a_pass(total: int, clusters: int, sums: Sequence[object] | None) -> Iterator[int]:
    """Yield how many of ``total`` draws to finish before the next ones are begun.

    ``clusters`` is their number, and ``sums`` the parts that they are read in; None where a combine
    needs whole rows. One part, or none, bounds a pass by its counts. Several parts are read again
    in every pass, so a pass is then as large as it may be.
    """
    in_parts = sums is not None and len(sums) > 1
    return draw_batches(total, 1 if in_parts else clusters)


def draw_batches(total: int, width: int) -> Iterator[int]:
    """Yield how many of ``total`` draws over ``width`` clusters fit into memory at a time."""
    most = max(1, min(DRAWS_IN_MEMORY, COUNTS_IN_MEMORY // width))
    if most > 4:
        # coins come in words of 32 bits: a multiple of 4 bytes leaves no piece of a word over, so
        # that the stream of coins does not depend on the size of a batch
        most -= most % 4
    for start in range(0, total, most):
        yield min(most, total - start)


def _choice_counts(
    generator: Generator, share: Int[np.ndarray, " R"], width: int
) -> Float[np.ndarray, "R m"]:
    """How often each of ``width`` places is chosen in each draw, which makes ``share`` choices."""
    draws = len(share)
    chosen = generator.integers(width, size=share.sum())
    # draw r counts in bins r * width and up, so that one bincount serves all draws
    first_bins = np.arange(0, draws * width, width)
    chosen += np.repeat(first_bins, share)
    counts = np.bincount(chosen, minlength=draws * width)
    return counts.reshape(draws, width).astype(float)

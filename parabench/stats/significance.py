"""How sure a number is: intervals, paired tests, corrections for many tests, rank clusters.

Everything works on the statistics a scorer left behind, one row per example, or one such array for
each training seed, and calls the scorer's ``combine`` on resampled rows. A combine that is marked
``additive`` (it reads only column sums) is given all draws of a block and all systems at once; any
other is called once a draw. Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from parabench.contracts import is_additive
from parabench.stats.arrays import (
    ColumnValues,
    Combine,
    SeedMean,
    SystemStatistics,
    corpus_value,
    per_seed,
)
from parabench.stats.clusters import ClusterIndex, ClusterLabels

Clusters = ClusterIndex | ClusterLabels | None
"""Which rows belong together; none are given where each stands by itself."""

DRAWS_IN_MEMORY = 500
"""Draws held in memory at once, at most,"""
COUNTS_IN_MEMORY = 1 << 19
"""and draws times clusters: 4 MB of counts."""


def bootstraps(
    combine: Combine,
    systems: Sequence[SystemStatistics],
    seed: int,
    resamples: int = 1000,
    clusters: Clusters = None,
) -> Float[np.ndarray, "S R C"]:
    """Columns of ``resamples`` samples with replacement of the rows, or of whole clusters where
    they are given.

    All systems are sampled alike, so their draws may be subtracted. Training seeds are drawn too,
    for each system by itself. Efron and Tibshirani 1993, chapter 6; for corpus metrics Koehn 2004.
    """
    several = [per_seed(rows) for rows in systems]
    groups = ClusterIndex.of(len(several[0][0]), clusters)
    generator, seeds = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    sums = groups.sums(systems) if is_additive(combine) else None
    wholes = [np.stack([one[:] for one in of_one]) for of_one in several] if sums is None else []
    parts = []
    for size in _chunks(resamples, len(groups), sums):
        weights = [_counts(seeds, np.full(size, len(one)), len(one)) / len(one) for one in several]
        if sums is not None:
            drawn = resampled(sums, len(groups), generator, size)
            of_each = np.split(drawn, np.cumsum([len(one) for one in several])[:-1], axis=1)
            totals = [
                np.einsum("rs,rsk->rk", w, total) for w, total in zip(weights, of_each, strict=True)
            ]
            parts.append(combine(np.stack(totals)[:, :, None, :]))
        else:
            chosen = generator.integers(len(groups), size=(size, len(groups)))
            pairs = zip(wholes, weights, strict=True)
            parts.append(np.stack([_one_by_one(combine, *one, groups, chosen) for one in pairs]))
    return np.concatenate(parts, axis=1)


def resampled(
    blocks: Iterable[Float[np.ndarray, "S m K"]],
    total: int,
    generator: np.random.Generator,
    draws: int,
) -> Float[np.ndarray, "R S K"]:
    """For every draw the sum of ``total`` columns, drawn with replacement from all blocks together,
    one in memory.

    Each block gets its share by a binomial of what is left, which makes a multinomial of all.
    """
    left, rest, sums = np.full(draws, total), total, np.zeros((draws, 1, 1))
    for block in blocks:
        width = block.shape[1]
        share = left if width == rest else generator.binomial(left, width / rest)
        left, rest = left - share, rest - width
        sums = sums + _drawn(block, share, generator)
    return sums


def _drawn(
    block: Float[np.ndarray, "S m K"], share: Int[np.ndarray, " R"], generator: np.random.Generator
) -> Float[np.ndarray, "R S K"]:
    parts, start = [], 0
    for size in _blocks(len(share), block.shape[1]):
        counts = _counts(generator, share[start : start + size], block.shape[1])
        parts.append(np.tensordot(counts, block, axes=(1, 1)))
        start += size
    return np.concatenate(parts)


def _one_by_one(
    combine: Combine,
    whole: Float[np.ndarray, "S N K"],
    weights: Float[np.ndarray, "R S"],
    groups: ClusterIndex,
    chosen: Int[np.ndarray, "R M"],
) -> Float[np.ndarray, "R C"]:
    draws = zip(weights, chosen, strict=True)
    return np.stack([combine(np.tensordot(w, whole, axes=1)[groups.rows(row)]) for w, row in draws])


def bootstrap(
    combine: Combine,
    statistics: SystemStatistics,
    seed: int,
    resamples: int = 1000,
    clusters: Clusters = None,
) -> Float[np.ndarray, "R C"]:
    """The draws of one system."""
    return bootstraps(combine, [statistics], seed, resamples, clusters)[0]


def interval(
    combine: Combine,
    statistics: SystemStatistics,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Clusters = None,
) -> tuple[ColumnValues, ColumnValues]:
    """Low and high ends of the percentile bootstrap interval of every column; NaN where no sample
    is defined.
    """
    return ends(bootstrap(combine, statistics, seed, resamples, clusters), level)


def difference(
    combine: Combine,
    a: SystemStatistics,
    b: SystemStatistics,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Clusters = None,
) -> tuple[ColumnValues, ColumnValues, ColumnValues]:
    """Column values of ``a`` minus ``b``, and the ends of the paired bootstrap interval of that
    difference.
    """
    one, other = bootstraps(combine, [a, b], seed, resamples, clusters)
    return corpus_value(combine, a) - corpus_value(combine, b), *ends(one - other, level)


def paired_test(
    combine: Combine,
    a: SystemStatistics,
    b: SystemStatistics,
    seed: int,
    draws: int = 10_000,
    clusters: Clusters = None,
) -> ColumnValues:
    """The p-values of ``paired_tests`` for one pair."""
    return paired_tests(combine, [a, b], [(0, 1)], seed, draws, clusters)[0]


def paired_tests(
    combine: Combine,
    systems: Sequence[SystemStatistics],
    pairs: Sequence[tuple[int, int]],
    seed: int,
    draws: int = 10_000,
    clusters: Clusters = None,
) -> Float[np.ndarray, "P C"]:
    """Two-sided p-values that the two systems of a pair are exchangeable, by approximate
    randomisation.

    Each draw swaps the two systems' statistics in a random half of the examples, or clusters; p =
    (c + 1) / (draws + 1) with ties counted (Noreen 1989; Riezler and Maxwell 2005). NaN where a
    column is undefined for either. Statistics of several training seeds are averaged first: the
    question is about these very checkpoints.
    """
    rows = [SeedMean(one) for one in systems]
    groups = ClusterIndex.of(len(rows[0]), clusters)
    columns = np.stack([corpus_value(combine, one) for one in rows])
    first, second = (columns[[pair[side] for pair in pairs]] for side in (0, 1))
    observed = np.abs(first - second)
    bar = observed - 1e-12 * (
        np.abs(first) + np.abs(second)
    )  # a tie that rounding breaks is still a tie
    sums = groups.sums(rows) if is_additive(combine) else None
    wholes = (
        [one[:] for one in rows]
        if sums is None
        else np.asarray(sum(one.sum(axis=1) for one in sums))
    )
    generator = np.random.default_rng(seed)
    beaten = np.zeros_like(observed)
    for size in _chunks(draws, len(groups), sums):
        if sums is None:
            coins = _coins(generator, size, len(groups))[:, groups.numbers]
            drawn = (_swapped(combine, wholes[one], wholes[other], coins) for one, other in pairs)
        else:
            moved = np.asarray(sum(_flipped(block, size, generator) for block in sums))
            gained = ((one, other, moved[:, other] - moved[:, one]) for one, other in pairs)
            drawn = (
                _exchanged(combine, wholes[one], wholes[other], change)
                for one, other, change in gained
            )
        for place, one in enumerate(drawn):
            beaten[place] += (np.abs(one) >= bar[place]).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (beaten + 1) / (draws + 1))


def _flipped(
    block: Float[np.ndarray, "S m K"], draws: int, generator: np.random.Generator
) -> Float[np.ndarray, "R S K"]:
    """For every draw the sum of those columns whose coin fell on heads."""
    width = block.shape[1]
    coins = (_coins(generator, size, width).astype(float) for size in _blocks(draws, width))
    return np.concatenate([np.tensordot(some, block, axes=(1, 1)) for some in coins])


def holm(p: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """P-values adjusted so that the chance of any false win stays below the level (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """P-values adjusted so that the expected share of false wins stays below the level (Benjamini,
    Hochberg 1995).
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p, method="bh"))


def rank_clusters(
    values: Float[np.ndarray, " S"], worse: Bool[np.ndarray, "S S"], better: str = "up"
) -> list[tuple[int, int]]:
    """First and last rank of the cluster that each system belongs to, ``(1, 3)`` for one of the
    best three.

    ``worse[i, j]`` says that i is significantly worse than j. Down the sorted list, a system opens
    a new cluster as soon as it is significantly worse than any member of the current one
    (google-research/mt-metrics-eval, AssignRanks). Undefined values come last.
    """
    keys = np.where(np.isnan(values), np.inf, -values if better == "up" else values)
    clusters: list[list[int]] = []
    for system in np.argsort(keys, kind="stable"):
        if not clusters or any(worse[system, member] for member in clusters[-1]):
            clusters.append([])
        clusters[-1].append(int(system))
    ranks: dict[int, tuple[int, int]] = {}
    first = 1
    for cluster in clusters:
        ranks |= dict.fromkeys(cluster, (first, first + len(cluster) - 1))
        first += len(cluster)
    return [ranks[system] for system in range(len(values))]


def minimum_detectable(
    combine: Combine,
    a: SystemStatistics,
    b: SystemStatistics,
    seed: int,
    level: float = 0.95,
    power: float = 0.8,
    resamples: int = 1000,
    clusters: Clusters = None,
) -> ColumnValues:
    """The smallest true difference that a paired test of this many examples would find with the
    given power.

    (z(level, two-sided) + z(power)) times the bootstrap standard error of the difference; same
    units as the column.
    """
    one, other = bootstraps(combine, [a, b], seed, resamples, clusters)
    return detectable(one - other, level, power)


def detectable(
    differences: Float[np.ndarray, "R C"], level: float = 0.95, power: float = 0.8
) -> ColumnValues:
    """The same from draws of the difference."""
    from statistics import NormalDist

    normal = NormalDist()
    return (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * differences.std(
        axis=0, ddof=1
    )


def ends(draws: Float[np.ndarray, "R C"], level: float = 0.95) -> tuple[ColumnValues, ColumnValues]:
    """Low and high ends of the middle ``level`` of the draws of every column; NaN where none is
    defined.
    """
    found = np.full((2, draws.shape[1]), np.nan)
    defined = ~np.isnan(draws).all(axis=0)
    tail = 50 * (1 - level)
    found[:, defined] = np.nanpercentile(draws[:, defined], [tail, 100 - tail], axis=0)
    return found[0], found[1]


def _chunks(total: int, clusters: int, sums: Sequence[object] | None) -> Iterator[int]:
    """How many draws to finish at a time; where clusters come in parts, each part is gone through
    for all of these.
    """
    return _blocks(total, clusters if sums is None or len(sums) == 1 else 1)


def _blocks(total: int, width: int) -> Iterator[int]:
    """How many draws to make at a time, over so many clusters."""
    most = max(1, min(DRAWS_IN_MEMORY, COUNTS_IN_MEMORY // width))
    most -= (
        most % 4 if most > 4 else 0
    )  # coins come in words of 32 bits: no block leaves a piece of one over
    for start in range(0, total, most):
        yield min(most, total - start)


def _counts(
    generator: np.random.Generator, share: Int[np.ndarray, " R"], width: int
) -> Float[np.ndarray, "R M"]:
    """How often each of ``width`` places is chosen in each draw, which has so many choices."""
    chosen = generator.integers(width, size=share.sum())
    chosen += np.repeat(np.arange(0, len(share) * width, width), share)
    return (
        np.bincount(chosen, minlength=len(share) * width).reshape(len(share), width).astype(float)
    )


def _coins(generator: np.random.Generator, draws: int, width: int) -> Bool[np.ndarray, "R M"]:
    packed = np.frombuffer(generator.bytes(draws * ((width + 7) // 8)), dtype=np.uint8).reshape(
        draws, -1
    )
    return np.unpackbits(packed, axis=1, count=width).astype(bool)


def _exchanged(
    combine: Combine,
    a: Float[np.ndarray, " K"],
    b: Float[np.ndarray, " K"],
    gained: Float[np.ndarray, "R K"],
) -> Float[np.ndarray, "R C"]:
    """The difference after each draw's swaps, from what they add to the sums of ``a`` and take from
    those of ``b``.
    """
    return combine((a + gained)[:, None]) - combine((b - gained)[:, None])


def _swapped(
    combine: Combine,
    a: Float[np.ndarray, "N K"],
    b: Float[np.ndarray, "N K"],
    swapped: Bool[np.ndarray, "R N"],
) -> Float[np.ndarray, "R C"]:
    """The difference after each draw's swaps, one ``combine`` at a time."""
    chosen = swapped[:, :, None]
    return np.stack(
        [combine(np.where(swap, b, a)) - combine(np.where(swap, a, b)) for swap in chosen]
    )

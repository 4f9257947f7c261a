"""Significance: paired randomisation tests, corrections for many tests, rank clusters.

A test works on the statistics that a scorer left behind, as ``resampling`` does. Axes: S systems, P
pairs of them, R draws, M clusters in all, m clusters of one part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from parabench.contracts import is_additive
from parabench.stats.arrays import (
    ColumnValues,
    Combine,
    SeedMean,
    SystemStatistics,
    corpus_value,
)
from parabench.stats.clusters import ClusterIndex, Clusters, ClusterSums
from parabench.stats.resampling import DrawnSums, Draws, draw_batches, draws_a_pass

_TIE = 1e-12
"""Relative difference up to which a draw counts as equal to what was observed."""

_PValues = Float[np.ndarray, " M"]
_Pairs = Sequence[tuple[int, int]]
"""Numbers of two systems each."""


def paired_test(
    combine: Combine,
    a: SystemStatistics,
    b: SystemStatistics,
    seed: int,
    draws: int = 10_000,
    clusters: Clusters = None,
) -> ColumnValues:
    """Return the p-values of ``paired_tests`` for the pair ``a`` and ``b``.

    ``combine``, ``seed``, ``draws``, ``clusters``: as there.
    """
    return paired_tests(combine, [a, b], [(0, 1)], seed, draws, clusters)[0]


def paired_tests(
    combine: Combine,
    systems: Sequence[SystemStatistics],
    pairs: _Pairs,
    seed: int,
    draws: int = 10_000,
    clusters: Clusters = None,
) -> Float[np.ndarray, "P C"]:
    """Return two-sided p-values that the two systems of each pair are exchangeable.

    Approximate randomisation: each of ``draws`` draws, fixed by ``seed``, swaps the two systems'
    statistics in a random half of the examples, or of the ``clusters`` where they are given. With c
    draws whose columns by ``combine`` differ as much as the observed ones, ties counted, p = (c +
    1) / (draws + 1) (Noreen 1989; Riezler and Maxwell 2005). ``pairs`` are positions in
    ``systems``.

    NaN where a column is undefined for either. Statistics of several training seeds are averaged
    first: the question is about these very checkpoints.
    """
    rows = [SeedMean(one) for one in systems]
    index = ClusterIndex.of(len(rows[0]), clusters)
    columns = np.stack([corpus_value(combine, one) for one in rows])  # [S, C]
    first = columns[[one for one, _ in pairs]]
    second = columns[[other for _, other in pairs]]
    observed = np.abs(first - second)
    # sums in another order round otherwise: a tie that rounding breaks is still a tie
    scale = np.abs(first) + np.abs(second)
    least = observed - _TIE * scale
    generator = np.random.default_rng(seed)
    if is_additive(combine):
        drawn = _swapped_sums(combine, rows, pairs, index, generator, draws)
    else:
        drawn = _swapped_rows(combine, rows, pairs, index, generator, draws)
    as_large = np.zeros_like(observed)
    for place, differences in drawn:
        reached = np.abs(differences) >= least[place]
        as_large[place] += reached.sum(axis=0)
    p = (as_large + 1) / (draws + 1)
    return np.where(np.isnan(observed), np.nan, p)


def _swapped_sums(
    combine: Combine,
    rows: Sequence[SeedMean],
    pairs: _Pairs,
    index: ClusterIndex,
    generator: Generator,
    draws: int,
) -> Iterator[tuple[int, np.ndarray]]:
    """Differences ``[R, C]`` after swaps, pair by pair, by an additive ``combine``.

    A swap moves the sum of the swapped clusters from one system to the other, so that draws need no
    rows.
    """
    sums = index.sums(rows)
    totals = np.zeros(())
    for part in sums:
        totals = totals + part.sum(axis=1)  # [S, K]
    for size in draws_a_pass(draws, len(index), sums):
        # of each draw and system, the sum of the clusters to be swapped: [R, S, K]
        swapped = np.zeros(())
        for part in sums:
            swapped = swapped + _sum_where_heads(part, size, generator)
        for place, (one, other) in enumerate(pairs):
            gained = swapped[:, other] - swapped[:, one]
            differences = _exchange(combine, totals[one], totals[other], gained)
            yield place, differences


def _swapped_rows(
    combine: Combine,
    rows: Sequence[SeedMean],
    pairs: _Pairs,
    index: ClusterIndex,
    generator: Generator,
    draws: int,
) -> Iterator[tuple[int, np.ndarray]]:
    """Differences ``[R, C]`` after swaps, pair by pair, one call of ``combine`` a draw and side."""
    wholes = [one[:] for one in rows]
    for size in draws_a_pass(draws, len(index), None):
        # one coin a cluster, handed on to each of its rows: [R, M] -> [R, N]
        coins = _coins(generator, size, len(index))
        swapped = coins[:, index.numbers]
        for place, (one, other) in enumerate(pairs):
            differences = _swap_rows(combine, wholes[one], wholes[other], swapped)
            yield place, differences


def _sum_where_heads(part: ClusterSums, draws: int, generator: Generator) -> DrawnSums:
    """For every draw the sum of those clusters of a part whose coin fell on heads."""
    width = part.shape[1]
    sums = []
    for size in draw_batches(draws, width):
        coins = _coins(generator, size, width).astype(float)  # [r, m]
        sums.append(np.tensordot(coins, part, axes=(1, 1)))
    return np.concatenate(sums)


def _exchange(
    combine: Combine,
    a: Float[np.ndarray, " K"],
    b: Float[np.ndarray, " K"],
    gained: Float[np.ndarray, "R K"],
) -> Draws:
    """The difference where ``gained`` is added to the sums ``a`` and taken from the sums ``b``."""
    # an additive combine sums over the last axis but one: one row a draw, [R, 1, K]
    first = a + gained
    second = b - gained
    return combine(first[:, None]) - combine(second[:, None])


def _swap_rows(
    combine: Combine,
    a: Float[np.ndarray, "N K"],
    b: Float[np.ndarray, "N K"],
    swapped: Bool[np.ndarray, "R N"],
) -> Draws:
    """The difference where each draw's ``swapped`` rows of ``a`` and ``b`` change places."""
    differences = []
    for swap in swapped[:, :, None]:
        first = combine(np.where(swap, b, a))
        second = combine(np.where(swap, a, b))
        differences.append(first - second)
    return np.stack(differences)


def _coins(generator: Generator, draws: int, width: int) -> Bool[np.ndarray, "R m"]:
    """Fair coins, a bit each: every draw begins at a new byte."""
    bytes_a_draw = (width + 7) // 8
    drawn = generator.bytes(draws * bytes_a_draw)
    packed = np.frombuffer(drawn, dtype=np.uint8).reshape(draws, -1)
    bits = np.unpackbits(packed, axis=1, count=width)
    return bits.astype(bool)


def holm(p: _PValues) -> _PValues:
    """Adjust p-values so that the chance of any false win stays below the level (Holm 1979)."""
    order = np.argsort(p)
    # the smallest is multiplied by M, the next by M - 1, …; adjusted values never fall
    factors = np.arange(len(p), 0, -1)
    steps = np.maximum.accumulate(p[order] * factors)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p: _PValues) -> _PValues:
    """Adjust p-values so that the expected share of false wins stays below the level.

    Benjamini and Hochberg 1995, as ``scipy.stats.false_discovery_control``, whose module takes a
    second to import.
    """
    order = np.argsort(p)[::-1]
    # the largest is multiplied by 1, the next by M / (M - 1), …; adjusted values never rise again
    factors = len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * factors), 1.0)
    return adjusted


def first_again(values: Float[np.ndarray, " S"], draws: Float[np.ndarray, "S R"]) -> float:
    """Return in which share of new test sets of this size the best of S systems is the best again.

    A new test set differs from the truth as much as this one does, so that it has twice the
    variance of a bootstrap sample (Miller 2009, "What is the probability of replicating a
    statistically significant effect?"). And of many systems the first is first by luck too: their
    values are drawn together by the part of their spread that is no more than error (Efron and
    Morris 1973, "Stein's estimation rule and its competitors"). Without that, of ten equal systems
    the first would be said to repeat in 34 %, where 10 are true.

    ``values`` are one column's, the higher the better; ``draws`` the same on bootstrap samples,
    which all systems share.
    """
    deviations = draws - draws.mean(axis=1, keepdims=True)
    # What all systems have in common decides nothing between them.
    between = deviations - deviations.mean(axis=0)
    error = (between**2).sum(axis=0).mean() / (len(values) - 1)
    spread = values.var(ddof=1)
    kept = max(0.0, 1 - error / spread) if spread > 0 else 0.0
    centre = values.mean() + kept * (values - values.mean())
    # the variance of what is still unknown of the truth, and that of a new test set
    again = centre[:, None] + np.sqrt(kept + 1) * deviations
    return float((again.argmax(axis=0) == values.argmax()).mean())


def rank_clusters(
    values: Float[np.ndarray, " S"], worse: Bool[np.ndarray, "S S"], better: str = "up"
) -> list[tuple[int, int]]:
    """Return first and last rank of the cluster of each system: ``(1, 3)`` for one of the best 3.

    ``values`` are one column's, of which ``better`` says whether up or down is better; ``worse[i,
    j]`` says that system i is significantly worse than j. Down the sorted list, a system opens a
    new cluster as soon as it is significantly worse than any member of the current one
    (google-research/mt-metrics-eval, AssignRanks). Undefined values come last.
    """
    ascending = -values if better == "up" else values
    keys = np.where(np.isnan(values), np.inf, ascending)
    clusters: list[list[int]] = []
    for system in np.argsort(keys, kind="stable"):
        if not clusters or worse[system, clusters[-1]].any():
            clusters.append([])
        clusters[-1].append(int(system))

    ranks: dict[int, tuple[int, int]] = {}
    first = 1
    for cluster in clusters:
        last = first + len(cluster) - 1
        ranks |= dict.fromkeys(cluster, (first, last))
        first = last + 1
    return [ranks[system] for system in range(len(values))]

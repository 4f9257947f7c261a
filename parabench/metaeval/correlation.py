"""How two rows of numbers agree, and whether one column agrees better: measures and tests.

Items that share a source are not independent, so every interval and test resamples, or swaps,
whole sources (called clusters here).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from parabench.metaeval.resampled import ResampledCorrelations, Vector
from parabench.metaeval.within_sources import PairsOfSources, correlations_within
from parabench.stats.clusters import ClusterIndex, ClusterLabels
from parabench.stats.resampling import draw_batches, expanded_level, percentile_ends

_TIE = 1e-12
"""Two values closer than this are equal: sums of the same numbers in another order differ so."""


FEWEST_SOURCES = 10
"""Below so many independent sources an agreement has no interval: none keeps its promise."""


@dataclass(frozen=True)
class IntervalEstimate:
    """A value with its 95 % bootstrap interval over sources; NaN ends where there is none."""

    value: float
    low: float
    high: float


def pearson(a: Vector, b: Vector) -> float:
    """Linear correlation; NaN where either side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    matrix = np.corrcoef(a, b)
    return float(matrix[0, 1])


MEASURES = ("pearson", "spearman", "kendall")


def correlations(
    values: Vector,
    people: Vector,
    index: ClusterIndex,
    pairs: PairsOfSources,
    seed: int,
    resamples: int = 1000,
    measures: Sequence[str] = MEASURES,
) -> dict[str, IntervalEstimate]:
    """Pearson, Spearman and Kendall over all items, and each as ``…-within``.

    The latter is the mean of the correlations within single sources, which takes out how hard a
    source is. Sources with one item, or whose items are all rated alike, have none; of a single
    source there is no such mean, and it is left out.

    Args:
        values: a column, one number an item.
        people: the mean rating of each item.
        index: which items are of one source.
        pairs: how the column and people order the items of each source.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.
        measures: which of ``MEASURES`` are taken.
    """
    over_all = _over_all_items(values, people, index, seed, resamples, measures)
    if len(index) < 2:
        return over_all
    within = correlations_within(values, people, index, pairs)
    found = {}
    for name in measures:
        found[name] = over_all[name]
        found[f"{name}-within"] = _mean_with_interval(within[name], seed, resamples)
    return found


def _over_all_items(
    values: Vector,
    people: Vector,
    index: ClusterIndex,
    seed: int,
    resamples: int,
    measures: Sequence[str],
) -> dict[str, IntervalEstimate]:
    """Correlations over all items with their intervals over sources."""
    if np.ptp(values) == 0 or np.ptp(people) == 0:
        return dict.fromkeys(measures, IntervalEstimate(np.nan, np.nan, np.nan))
    sampled = ResampledCorrelations(values, people)
    drawn = []
    for chosen in _draw_clusters(len(index), seed, resamples):
        for sample in chosen:
            times = np.bincount(sample, minlength=len(index))
            drawn.append(sampled.correlations(times[index.numbers], measures))
    of_measures = np.array(drawn).T  # [measures, draws]
    # All items are the sample in which each stands once.
    observed = sampled.correlations(np.ones(len(values), dtype=int), measures)
    found = {}
    for name, value, of_measure in zip(measures, observed, of_measures, strict=True):
        found[name] = with_interval(value, of_measure, len(index))
    return found


def _mean_with_interval(
    of_sources: Float[np.ndarray, " S"], seed: int, resamples: int
) -> IntervalEstimate:
    """The mean over the sources that have a value, with its interval; NaN where none has."""
    if np.isnan(of_sources).all():
        return IntervalEstimate(np.nan, np.nan, np.nan)
    # A source's own value is the same in every sample that it is drawn into: chosen is
    # [draws, sources], and so is of_sources[chosen].
    draws = _draw_clusters(len(of_sources), seed, resamples)
    drawn = [_defined_mean(of_sources[chosen]) for chosen in draws]
    mean = float(_defined_mean(of_sources))
    return with_interval(mean, np.concatenate(drawn), len(of_sources))


def _draw_clusters(
    count: int,
    seed: int,
    resamples: int,
) -> Iterator[Int[np.ndarray, "R S"]]:
    """Places of clusters drawn with replacement, as many as there are, for each sample.

    As many samples at a time as fit into memory: the size of a part does not change what is drawn.
    """
    generator = np.random.default_rng(seed)
    for size in draw_batches(resamples, count):
        yield generator.integers(count, size=(size, count))


def _defined_mean(values: Float[np.ndarray, "*draws M"]) -> Float[np.ndarray, "*draws"]:
    """The mean without NaN; NaN where nothing is defined, and no warning for it."""
    is_defined = ~np.isnan(values)
    count = is_defined.sum(axis=-1)
    total = np.nansum(values, axis=-1)
    # Division by 1 where nothing is defined gives a 0, which is replaced by NaN.
    mean = total / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, mean, np.nan))


def ratio_with_interval(
    parts: Vector,
    wholes: Vector,
    clusters: ClusterLabels | None,
    seed: int,
    resamples: int,
) -> IntervalEstimate:
    """The sum of ``parts`` over the sum of ``wholes``, with its interval over ``clusters``.

    Whole clusters are drawn ``resamples`` times by ``seed``; None makes each row a cluster.
    """
    index = ClusterIndex(len(parts), clusters)
    # Sums by cluster first: a sample is then a sum of a few numbers, whatever the number of rows.
    part_sums = np.bincount(index.numbers, parts, len(index))
    whole_sums = np.bincount(index.numbers, wholes, len(index))
    drawn = []
    for chosen in _draw_clusters(len(index), seed, resamples):
        drawn_parts = part_sums[chosen].sum(axis=1)
        drawn_wholes = whole_sums[chosen].sum(axis=1)
        # A sample of sources without any pair has no ratio; 0 is what it adds.
        drawn.append(drawn_parts / np.maximum(drawn_wholes, 1))
    observed = parts.sum() / wholes.sum()
    return with_interval(float(observed), np.concatenate(drawn), len(index))


def with_interval(value: float, draws: Float[np.ndarray, " R"], sources: int) -> IntervalEstimate:
    """A value and the middle of its bootstrap draws over ``sources``, undefined draws left out.

    The interval is expanded for few sources (``expanded_level``), and both ends are NaN below
    ``FEWEST_SOURCES``: ``benchmarks.agreement_intervals`` counts how often it holds the truth.
    """
    if sources < FEWEST_SOURCES:
        return IntervalEstimate(float(value), np.nan, np.nan)
    low, high = percentile_ends(draws[:, None], expanded_level(sources))
    return IntervalEstimate(float(value), float(low[0]), float(high[0]))


# ---- does one column agree better than another?


def swap_test(
    a: Vector,
    b: Vector,
    people: Vector,
    clusters: ClusterLabels,
    seed: int,
    draws: int = 10_000,
) -> float:
    """Two-sided p that two columns have the same Pearson correlation with people.

    A randomisation test: in each draw the two columns are swapped on a random half of the sources.
    p = (c + 1) / (draws + 1) with c draws as far apart as observed or farther, ties counted. NaN
    where one of the three vectors is constant, and so correlates with nothing.

    Args:
        a: the first column, one number an item.
        b: the second column.
        people: the mean rating of each item.
        clusters: the source of each item; its items are swapped together.
        seed: of the swaps.
        draws: number of swaps.
    """
    if min(np.ptp(a), np.ptp(b), np.ptp(people)) == 0:
        return np.nan
    index = ClusterIndex(len(a), clusters)
    # Columns of different units cannot be exchanged, so both get mean 0 and deviation 1.
    sums_a = _sums_by_cluster(stats.zscore(a), people, index)
    sums_b = _sums_by_cluster(stats.zscore(b), people, index)
    count = len(a)
    total_a = sums_a.sum(axis=0)
    total_b = sums_b.sum(axis=0)
    observed = abs(_pearson_of_sums(total_a, count) - _pearson_of_sums(total_b, count))
    generator = np.random.default_rng(seed)
    as_far = 0
    for size in draw_batches(draws, len(index)):
        # One coin for each draw and source.
        is_swapped = generator.random((size, len(index))) < 0.5
        moved = is_swapped @ (sums_b - sums_a)  # [size, 3]: from the second column to the first
        first = _pearson_of_sums(total_a + moved, count)
        second = _pearson_of_sums(total_b - moved, count)
        as_far += int((np.abs(first - second) >= observed - _TIE).sum())
    # The observed assignment counts as one of the draws, so that p is never 0.
    return (as_far + 1) / (draws + 1)


def _sums_by_cluster(
    column: Vector, people: Vector, index: ClusterIndex
) -> Float[np.ndarray, "S 3"]:
    """For each cluster the sums of a column, of its squares, and of its products with people's."""
    standard_people = stats.zscore(people)
    parts = (column, column**2, column * standard_people)
    return np.stack([np.bincount(index.numbers, part, len(index)) for part in parts], axis=1)


def _pearson_of_sums(
    sums: Float[np.ndarray, "*draws 3"], count: int
) -> Float[np.ndarray, "*draws"]:
    """Pearson with people, whose mean is 0 and deviation 1, from the sums over ``count`` items."""
    mean, square, product = np.moveaxis(sums / count, -1, 0)
    return np.asarray(product / np.sqrt(square - mean**2))

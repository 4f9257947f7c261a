"""How two rows of numbers agree, and whether one column agrees better: measures and tests.

Items that share a source are not independent, so every interval and test resamples, or swaps,
whole sources (called clusters here).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from parabench.stats.clusters import cluster_rows
from parabench.stats.resampling import draw_batches, expanded_level, percentile_ends

Vector = Float[np.ndarray, " N"]

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


def spearman(a: Vector, b: Vector) -> float:
    """Correlation of ranks, tied values sharing the mean of their ranks."""
    ranks_a = stats.rankdata(a)
    ranks_b = stats.rankdata(b)
    return pearson(ranks_a, ranks_b)


def kendall(a: Vector, b: Vector) -> float:
    """Kendall's tau-b: concordant minus discordant pairs, corrected for ties.

    NaN where either side is constant.
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(stats.kendalltau(a, b).statistic)


MEASURES: dict[str, Callable[[Vector, Vector], float]] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
}


def correlations(
    values: Vector,
    people: Vector,
    clusters: Sequence[str],
    seed: int,
    resamples: int = 1000,
) -> dict[str, IntervalEstimate]:
    """Pearson, Spearman and Kendall over all items, and each as ``…-within``.

    The latter is the mean of the correlations within single sources, which takes out how hard a
    source is. Sources with one item, or whose items are all rated alike, have none; of a single
    source there is no such mean, and it is left out.

    Args:
        values: a column, one number an item.
        people: the mean rating of each item.
        clusters: the source of each item.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.
    """
    rows = cluster_rows(len(values), clusters)
    drawn = {name: list[float]() for name in MEASURES}
    for chosen in _draw_clusters(len(rows), seed, resamples):
        for sample in (_rows_of(rows, draw) for draw in chosen):
            for name, measure in MEASURES.items():
                drawn[name].append(measure(values[sample], people[sample]))
    found = {}
    for name, measure in MEASURES.items():
        observed = measure(values, people)
        found[name] = with_interval(observed, np.array(drawn[name]), len(rows))
        if len(rows) < 2:
            continue
        # A source's own correlation is the same in every sample that it is drawn into, so it is
        # computed once: chosen is [draws, clusters], and so is within[chosen].
        within = np.array([measure(values[one], people[one]) for one in rows])
        mean = float(_defined_mean(within))
        draws = _draw_clusters(len(rows), seed, resamples)
        drawn_means = [_defined_mean(within[chosen]) for chosen in draws]
        found[f"{name}-within"] = with_interval(mean, np.concatenate(drawn_means), len(rows))
    return found


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


def _rows_of(
    rows: Sequence[Int[np.ndarray, " _"]], clusters: Int[np.ndarray, " S"]
) -> Int[np.ndarray, " _"]:
    """The rows of all items of the drawn clusters; a cluster drawn twice gives its rows twice."""
    return np.concatenate([rows[cluster] for cluster in clusters])


def _defined_mean(values: Float[np.ndarray, "*draws M"]) -> Float[np.ndarray, "*draws"]:
    """The mean without NaN; NaN where nothing is defined, and no warning for it."""
    is_defined = ~np.isnan(values)
    count = is_defined.sum(axis=-1)
    total = np.nansum(values, axis=-1)
    # Division by 1 where nothing is defined gives a 0, which is replaced by NaN.
    mean = total / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, mean, np.nan))


def pairwise_accuracy(
    values: Vector,
    people: Vector,
    clusters: Sequence[str],
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """How many pairs of one source a column orders as people ordered them, and of how many.

    Returns both counts for each source. A tie in ``values`` counts half; pairs that ``people``
    rated alike are left out. ``clusters`` is the source of each item.
    """
    agreed = []
    compared = []
    for rows in cluster_rows(len(values), clusters):
        # Above the diagonal each pair of items is met once.
        one, other = np.triu_indices(len(rows), 1)
        by_people = people[rows]
        by_column = values[rows]
        wanted = np.sign(by_people[one] - by_people[other])
        found = np.sign(by_column[one] - by_column[other])
        # The product is 1 in agreement, -1 in disagreement, 0 for a tie: scores of 1, 0 and 1/2.
        scores = (1 + wanted * found) / 2
        apart = wanted != 0
        agreed.append(float(scores[apart].sum()))
        compared.append(float(apart.sum()))
    return np.array(agreed), np.array(compared)


def ratio_with_interval(
    parts: Vector,
    wholes: Vector,
    clusters: Sequence[str] | None,
    seed: int,
    resamples: int,
) -> IntervalEstimate:
    """The sum of ``parts`` over the sum of ``wholes``, with its interval over ``clusters``.

    Whole clusters are drawn ``resamples`` times by ``seed``; None makes each row a cluster.
    """
    rows = cluster_rows(len(parts), clusters)
    # Sums by cluster first: a sample is then a sum of a few numbers, whatever the number of rows.
    part_sums = np.array([parts[one].sum() for one in rows])
    whole_sums = np.array([wholes[one].sum() for one in rows])
    drawn = []
    for chosen in _draw_clusters(len(rows), seed, resamples):
        drawn_parts = part_sums[chosen].sum(axis=1)
        drawn_wholes = whole_sums[chosen].sum(axis=1)
        # A sample of sources without any pair has no ratio; 0 is what it adds.
        drawn.append(drawn_parts / np.maximum(drawn_wholes, 1))
    observed = parts.sum() / wholes.sum()
    return with_interval(float(observed), np.concatenate(drawn), len(rows))


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
    clusters: Sequence[str],
    seed: int,
    draws: int = 10_000,
) -> float:
    """Two-sided p that two columns have the same Pearson correlation with people.

    A randomisation test: in each draw the two columns are swapped on a random half of the sources.
    p = (c + 1) / (draws + 1) with c draws as far apart as observed or farther, ties counted.

    Args:
        a: the first column, one number an item.
        b: the second column.
        people: the mean rating of each item.
        clusters: the source of each item; its items are swapped together.
        seed: of the swaps.
        draws: number of swaps.
    """
    rows = cluster_rows(len(a), clusters)
    cluster_of_row = np.empty(len(a), dtype=int)
    for place, members in enumerate(rows):
        cluster_of_row[members] = place
    # Columns of different units cannot be exchanged, so both get mean 0 and deviation 1.
    a = stats.zscore(a)
    b = stats.zscore(b)
    observed = abs(pearson(a, people) - pearson(b, people))
    generator = np.random.default_rng(seed)
    as_far = 0
    for count in draw_batches(draws, len(a)):
        # One coin for each draw and source, [count, clusters], copied to its items, [count, N].
        coins = generator.random((count, len(rows)))
        swapped = coins[:, cluster_of_row] < 0.5
        first = np.where(swapped, b, a)
        second = np.where(swapped, a, b)
        drawn = np.abs(_row_pearson(first, people) - _row_pearson(second, people))
        is_as_far = drawn >= observed - _TIE
        as_far += int(is_as_far.sum())
    # The observed assignment counts as one of the draws, so that p is never 0.
    return (as_far + 1) / (draws + 1)


def _row_pearson(rows: Float[np.ndarray, "R N"], people: Vector) -> Float[np.ndarray, " R"]:
    """The Pearson correlation of each row with ``people``."""
    # Of standardised numbers the mean product is the correlation.
    standard_rows = stats.zscore(rows, axis=1)
    standard_people = stats.zscore(people)
    return standard_rows @ standard_people / len(people)

"""The interval of one score, also of few examples and of rare events.

The percentile bootstrap of a corpus score is biased as often as the score is: a geometric mean of
few matching 4-grams is too low in every sample. A studentised interval divides by the standard
error of each sample, and so widens on the side where the error grows. Of skewed values it is still
too short, and the one that takes skewness out as well is too short elsewhere: given is the hull of
all three. Where a column rests on what hardly any example has, such as a matching 4-gram, none of
them holds the truth often enough, and none is given. ``benchmarks.intervals`` counts.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from parabench.contracts import Column, is_additive
from parabench.stats.arrays import (
    ColumnValues,
    Combine,
    SeedMean,
    SystemStatistics,
    per_example,
    per_seed,
)
from parabench.stats.clusters import ClusterIndex
from parabench.stats.resampling import Draws, percentile_ends
from parabench.stats.studentised import STEP, Rows, influence_moments, studentised_interval

FEWEST_CLUSTERS = 30
"""Below so many independent examples no interval is given: none keeps its promise."""
MOST_CLUSTERS = 2_000
"""From so many on the percentile bootstrap is as good, and cheaper."""
FEWEST_HOLDERS = 10
"""A sum that decides about a column must be other than 0 in so many independent examples."""
_DECISIVE = 0.5
"""A sum decides about a column where its own error is so large a part of the column's."""
_STEPS = 2_000
"""Proportions tried between the ends of Clopper and Pearson's interval and the share itself."""


def score_interval(
    combine: Combine,
    columns: tuple[Column, ...],
    rows: SystemStatistics,
    draws: Draws,
    clusters: ClusterIndex,
    seed: int,
    level: float = 0.95,
) -> tuple[ColumnValues, ColumnValues]:
    """Low and high ends of every column's interval; NaN where there are too few examples for one.

    Shares of outputs get Blaker's interval of a proportion, other columns of sums the hull of the
    percentiles of ``draws`` and of a studentised bootstrap, all else the percentiles alone: several
    training seeds, more examples than ``MOST_CLUSTERS``, columns that are not functions of sums.
    A column of sums has none where it ``rests_on_few``. No end leaves the column's scale: where no
    example and no draw is below 0, neither is the low end, and where none is above 1, or 100,
    neither is the high end.

    Args:
        combine: of the scorer.
        columns: of the scorer.
        rows: statistics of one system.
        draws: its columns on bootstrap samples.
        clusters: which examples belong together.
        seed: of the studentised bootstrap.
        level: the share of such intervals that shall hold the truth.
    """
    count = len(clusters)
    low, high = percentile_ends(draws, level)
    if count < FEWEST_CLUSTERS:
        return only_of_enough(low, high, count)
    few = few_behind(combine, rows, draws, clusters)
    layers = per_seed(rows)
    if count > MOST_CLUSTERS or len(layers) > 1 or not is_additive(combine):
        return np.where(few, np.nan, low), np.where(few, np.nan, high)
    (sums,) = np.concatenate([np.asarray(part) for part in clusters.sums([layers[0]])], axis=1)
    student_low, student_high = studentised_interval(combine, sums, seed, level)
    low = np.where(few, np.nan, np.fmin(low, student_low))
    high = np.where(few, np.nan, np.fmax(high, student_high))
    values = per_example(combine, layers[0][:])
    seen = np.nan_to_num(np.concatenate([values, np.asarray(draws).reshape(-1, values.shape[1])]))
    low = np.where(seen.min(axis=0) >= 0, np.maximum(low, 0.0), low)
    high = np.minimum(high, _scale_end(seen.max(axis=0)))
    for place, column in enumerate(columns):
        if _is_share(column, values[:, place]):
            ends = _share_ends(values[:, place] / 100, clusters, level)
            low[place], high[place] = ends or (low[place], high[place])
    return low, high


def few_behind(
    combine: Combine, rows: SystemStatistics, draws: Draws, clusters: ClusterIndex
) -> Bool[np.ndarray, " C"]:
    """Whether a system's columns rest on few examples, so that they have no interval.

    Not known, and False, of columns that are no functions of sums and of more than
    ``MOST_CLUSTERS`` examples; nor so where all ``draws`` of a column are equal.

    Args:
        combine: of the scorer.
        rows: statistics of one system.
        draws: its columns on bootstrap samples.
        clusters: which examples belong together.
    """
    varies = np.ptp(draws, axis=0) > 0
    if len(clusters) > MOST_CLUSTERS or not is_additive(combine):
        return np.zeros_like(varies)
    parts = clusters.sums([SeedMean(rows)])
    (sums,) = np.concatenate([np.asarray(part) for part in parts], axis=1)
    return rests_on_few(combine, sums) & varies


def rests_on_few(combine: Combine, rows: Rows) -> Bool[np.ndarray, " C"]:
    """Whether columns rest on sums in which fewer than ``FEWEST_HOLDERS`` rows have a part.

    Corpus BLEU may rest on the two sentences that have a matching 4-gram: who has none of them in
    the sample cannot know how large they are. A sum that is 0 counts as what one more would change.

    Args:
        combine: additive.
        rows: one for each independent example or cluster.
    """
    # a column may be undefined where a sum is 0 or one more, as a mean of no value is
    with np.errstate(all="ignore"):
        return _rests_on_few(combine, rows)


def _rests_on_few(combine: Combine, rows: Rows) -> Bool[np.ndarray, " C"]:
    sums = rows.sum(axis=0)
    value = combine(sums[None])
    (error,), _ = influence_moments(combine, rows, np.ones((1, len(rows))))
    few = np.zeros(len(value), dtype=bool)
    for place in np.flatnonzero((rows != 0).sum(axis=0) < FEWEST_HOLDERS):
        step = np.zeros(len(sums))
        own = np.sqrt((rows[:, place] ** 2).sum())
        # a small part of the sum's own error, as the column may bend; one where there is no error
        part = STEP if own > 0 else 1.0
        step[place] = part * (own if own > 0 else 1.0)
        change = np.abs(combine((sums + step)[None]) - value) / part
        few |= change >= _DECISIVE * error
    return few


def _share_ends(
    hits: Float[np.ndarray, " N"], clusters: ClusterIndex, level: float
) -> tuple[float, float] | None:
    """Blaker's interval in percent of a share whose hits are 1; None where clusters decide.

    Of clusters it is that of as many outputs as there are clusters, which covers too much rather
    than too little, where hits or misses are rare; else the bootstrap of clusters is right.
    """
    count = len(clusters)
    share = float(hits.mean())
    rare = min(share, 1 - share) * count < FEWEST_HOLDERS
    if count < len(hits) and not rare:
        return None
    low, high = blaker_interval(round(share * count), count, level)
    return 100 * min(low, share), 100 * max(high, share)


def only_of_enough(
    low: ColumnValues, high: ColumnValues, count: int
) -> tuple[ColumnValues, ColumnValues]:
    """The ends of bootstrap intervals as they are; NaN of fewer than ``FEWEST_CLUSTERS`` examples.

    Args:
        low: ends of the intervals of every column, or of a single number.
        high: likewise.
        count: of independent examples, which are clusters where examples depend on one another.
    """
    if count >= FEWEST_CLUSTERS:
        return low, high
    return np.full_like(low, np.nan), np.full_like(high, np.nan)


def _scale_end(highest: ColumnValues) -> ColumnValues:
    """The greatest value that a column can have, judged by the greatest one seen."""
    return np.where(highest <= 1, 1.0, np.where(highest <= 100, 100.0, np.inf))


def _is_share(column: Column, values: ColumnValues) -> bool:
    """Whether a column is the percentage of outputs that have some property."""
    if column.better != "none" or not np.isin(values, (0.0, 100.0)).all():
        return False
    # Where no output has it, the values alone do not tell: a mean may be 0 everywhere as well.
    return bool((values == 100).any()) or column.describe.startswith("%")


def blaker_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Blaker's interval of a proportion (Blaker 2000, Canadian Journal of Statistics 28).

    All proportions of which ``hits`` of ``count`` is not too unlikely: of a proportion, the results
    whose smaller tail is no larger than that of ``hits`` have a chance above 1 - ``level``. It
    covers at least ``level`` of the samples of any proportion, as Clopper and Pearson's does,
    within which it lies. Shorter ones, such as Jeffreys', fall to 87 % at rare events.
    """
    # the inverse of the beta distribution; scipy.stats has it too, and takes a second to import
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    share = hits / count
    low, high = 0.0, 1.0
    # Blaker's ends lie between Clopper and Pearson's and the share itself.
    if hits > 0:
        exact = betaincinv(hits, count - hits + 1, tail)
        low = _first_likely(np.linspace(exact, share, _STEPS), hits, count, 1 - level)
    if hits < count:
        exact = betaincinv(hits + 1, count - hits, 1 - tail)
        high = _first_likely(np.linspace(exact, share, _STEPS), hits, count, 1 - level)
    return low, high


def _first_likely(
    proportions: Float[np.ndarray, " P"], hits: int, count: int, chance: float
) -> float:
    """The first proportion of which a result such as ``hits`` has more than a ``chance``.

    The results that count are those whose tail, the smaller of P(X <= x) and P(X >= x), is no
    larger than that of ``hits``: its own tail, and as much of the other as is no likelier.
    """
    below = _at_most(hits, count, proportions)
    above = 1 - _at_most(hits - 1, count, proportions)
    # Of the other side the largest tail that does not exceed.
    other_below = _at_most(_reaching(above, count, proportions) - 1, count, proportions)
    other_above = 1 - _at_most(_reaching(1 - below, count, proportions), count, proportions)
    likely = np.minimum(above + other_below, below + other_above) > chance
    return float(proportions[np.argmax(likely)])


def _at_most(
    hits: Float[np.ndarray, " P"] | int, count: int, proportions: Float[np.ndarray, " P"]
) -> Float[np.ndarray, " P"]:
    """The chance of so many hits or fewer, for each proportion."""
    from scipy.special import bdtr

    # ``bdtr`` has no value below 0 hits, where the chance is 0
    chances = bdtr(np.maximum(hits, 0.0), count, proportions)
    return np.asarray(np.where(np.asarray(hits) < 0, 0.0, chances))


def _reaching(
    chances: Float[np.ndarray, " P"], count: int, proportions: Float[np.ndarray, " P"]
) -> Float[np.ndarray, " P"]:
    """The fewest hits with which so great a chance is reached, for each proportion."""
    from scipy.special import bdtrik

    hits = np.ceil(np.nan_to_num(bdtrik(chances, count, proportions)))
    # the inverse is of a continuous function, and may be one hit past the first that reaches it
    one_less = np.maximum(hits - 1, 0.0)
    reached = _at_most(one_less, count, proportions) >= chances
    return np.asarray(np.where(reached & (hits > 0), one_less, hits))

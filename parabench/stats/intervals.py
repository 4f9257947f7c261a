"""The interval of one score, also of few examples and of rare events.

The percentile bootstrap of a corpus score is biased as often as the score is: a geometric mean of
few matching 4-grams is too low in every sample. A studentised interval divides by the standard
error of each sample, and so widens on the side where the error grows.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from parabench.contracts import Column, is_additive
from parabench.stats.arrays import ColumnValues, Combine, SystemStatistics, per_example, per_seed
from parabench.stats.clusters import ClusterIndex
from parabench.stats.resampling import Draws, percentile_ends

FEWEST_CLUSTERS = 30
"""Below so many independent examples no interval is given: none keeps its promise."""
MOST_CLUSTERS = 2_000
"""From so many on the percentile bootstrap is as good, and cheaper."""
STUDENTISED_DRAWS = 1_000
_STEP = 1e-3
"""Of numerical derivatives, in standard deviations of a sum."""

Rows = Float[np.ndarray, "M K"]
"""One row of summed statistics for each cluster."""


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

    Shares of outputs get Jeffreys' interval of a proportion, other columns of sums a studentised
    bootstrap, all else the percentiles of ``draws``: several training seeds, more examples than
    ``MOST_CLUSTERS``, columns that are not functions of sums.

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
        return np.full_like(low, np.nan), np.full_like(high, np.nan)
    layers = per_seed(rows)
    if count > MOST_CLUSTERS or len(layers) > 1 or not is_additive(combine):
        return low, high
    (sums,) = np.concatenate([np.asarray(part) for part in clusters.sums([layers[0]])], axis=1)
    student_low, student_high = studentised_interval(combine, sums, seed, level)
    known = np.isfinite(student_low) & np.isfinite(student_high)
    low, high = np.where(known, student_low, low), np.where(known, student_high, high)
    values = per_example(combine, layers[0][:])
    for place, column in enumerate(columns):
        single = count == len(values)  # of clusters the number of independent outputs is not known
        if single and column.better == "none" and np.isin(values[:, place], (0.0, 100.0)).all():
            hits = int((values[:, place] > 0).sum())
            low[place], high[place] = (100 * end for end in jeffreys_interval(hits, count, level))
    return low, high


def jeffreys_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval of a proportion (Brown, Cai and DasGupta 2001, section 4.3).

    The low end is 0 where nothing was hit, the high end 1 where everything was.
    """
    # the inverse of the beta distribution; scipy.stats has it too, and takes a second to import
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    hit, missed = hits + 0.5, count - hits + 0.5
    low = 0.0 if hits == 0 else float(betaincinv(hit, missed, tail))
    high = 1.0 if hits == count else float(betaincinv(hit, missed, 1 - tail))
    return low, high


def studentised_interval(
    combine: Combine,
    rows: Rows,
    seed: int,
    level: float = 0.95,
    resamples: int = STUDENTISED_DRAWS,
) -> tuple[ColumnValues, ColumnValues]:
    """The bootstrap-t interval of columns of sums (Efron and Tibshirani 1993, chapter 12).

    The standard error of each sample is that of the infinitesimal jackknife: the derivative of the
    column by each sum, times the spread of the sample's rows. NaN where a column does not vary.

    Args:
        combine: additive.
        rows: one for each independent example or cluster.
        seed: of the samples.
        level: of the interval.
        resamples: how many samples are drawn.
    """
    count = len(rows)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    value = combine(rows.sum(axis=0)[None])
    (error,) = _standard_errors(combine, rows, np.ones((1, count)))
    drawn = combine((weights @ rows)[:, None])
    errors = _standard_errors(combine, rows, weights.astype(float))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (drawn - value) / errors
    t[~np.isfinite(t)] = np.nan
    # the upper end of t bounds the truth from below, and the other way round
    lower_t, upper_t = percentile_ends(t, level)
    low, high = value - upper_t * error, value - lower_t * error
    varies = error > 0
    return np.where(varies, low, np.nan), np.where(varies, high, np.nan)


def _standard_errors(
    combine: Combine, rows: Rows, weights: Float[np.ndarray, "R M"]
) -> Float[np.ndarray, "R C"]:
    """The infinitesimal jackknife's standard error of samples in which each row has a weight."""
    sums = weights @ rows
    steps = _STEP * rows.std(axis=0) * np.sqrt(len(rows))
    slopes = []
    for place, step in enumerate(steps):
        if step == 0:  # a sum that does not vary has no part in the error
            continue
        moved = np.zeros(len(steps))
        moved[place] = step
        rise = combine((sums + moved)[:, None]) - combine((sums - moved)[:, None])
        slopes.append((place, rise / (2 * step)))
    if not slopes:
        return np.zeros_like(combine(sums[:, None]))
    varying = rows[:, [place for place, _ in slopes]]  # [M, k]
    by_sum = np.stack([slope for _, slope in slopes], axis=-1)  # [R, C, k]
    errors = []
    for column in range(by_sum.shape[1]):
        influence = by_sum[:, column] @ varying.T  # [R, M]
        mean = (weights * influence).sum(axis=1, keepdims=True) / len(rows)
        errors.append(np.sqrt((weights * (influence - mean) ** 2).sum(axis=1)))
    return np.stack(errors, axis=-1)

"""Bootstrap intervals of studentised differences, for columns that are functions of sums."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from parabench.stats.arrays import ColumnValues, Combine
from parabench.stats.resampling import Draws, percentile_ends

STUDENTISED_DRAWS = 1_000
STEP = 1e-3
"""Of numerical derivatives, in standard deviations of a sum."""
_NO_SKEWNESS = 1e-9
_NO_ERROR = 1e-6
"""Of the score's own standard error: a sample's error below that is rounding."""

Rows = Float[np.ndarray, "M K"]
"""One row of summed statistics for each cluster."""


def studentised_interval(
    combine: Combine,
    rows: Rows,
    seed: int,
    level: float = 0.95,
    resamples: int = STUDENTISED_DRAWS,
) -> tuple[ColumnValues, ColumnValues]:
    """The hull of two bootstrap intervals of columns of sums, both of studentised differences.

    One is the bootstrap-t interval (Efron and Tibshirani 1993, chapter 12), the other that of
    Hall's transformation, which takes out skewness (Hall 1992, "On the removal of skewness by
    transformation", Journal of the Royal Statistical Society B 54). The standard error and skewness
    of each sample are those of the infinitesimal jackknife: the derivative of the column by each
    sum, times the sample's rows. NaN where a column does not vary.

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
    (error,), (skewness,) = influence_moments(combine, rows, np.ones((1, count)))
    drawn = combine((weights @ rows)[:, None])
    # a derivative may try what no sample can be, such as fewer n-grams than none
    with np.errstate(all="ignore"):
        errors, skews = influence_moments(combine, rows, weights.astype(float))
    by_t, by_hall = studentised_ends(value, error, skewness, drawn, errors, skews, count, level)
    varies = error > 0
    low = np.where(varies, np.minimum(by_t[0], by_hall[0]), np.nan)
    high = np.where(varies, np.maximum(by_t[1], by_hall[1]), np.nan)
    return low, high


def studentised_ends(
    value: ColumnValues,
    error: Float[np.ndarray, " C"],
    skewness: Float[np.ndarray, " C"],
    drawn: Draws,
    errors: Float[np.ndarray, "R C"],
    skews: Float[np.ndarray, "R C"],
    count: int,
    level: float = 0.95,
) -> tuple[Float[np.ndarray, "2 C"], Float[np.ndarray, "2 C"]]:
    """Return low and high ends of the bootstrap-t interval, and of Hall's.

    Args:
        value: of every column.
        error: its standard error.
        skewness: of what each row adds to it.
        drawn: the columns of R bootstrap samples.
        errors: the standard errors of these.
        skews: the skewness of these.
        count: how many rows there are.
        level: of the intervals.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (drawn - value) / errors
    # A sample of equal rows has no error but that of rounding, and no studentised difference.
    t[~np.isfinite(t) | (errors <= _NO_ERROR * error)] = np.nan
    # the upper end of t bounds the truth from below, and the other way round
    low_t, high_t = percentile_ends(t, level)
    low_q, high_q = percentile_ends(_without_skewness(t, skews, count), level)
    by_t = value - np.stack([high_t, low_t]) * error
    turned = [_with_skewness(end, skewness, count) for end in (high_q, low_q)]
    return by_t, value - np.stack(turned) * error


def _without_skewness(
    t: Float[np.ndarray, "R C"], skewness: Float[np.ndarray, "R C"], count: int
) -> Float[np.ndarray, "R C"]:
    """Hall's monotone cubic of studentised differences."""
    small = t / np.sqrt(count)
    cubic = small + skewness * small**2 / 3 + skewness**2 * small**3 / 27
    return cubic + skewness / (6 * count)


def _with_skewness(
    cubic: ColumnValues, skewness: Float[np.ndarray, " C"], count: int
) -> ColumnValues:
    """The inverse of ``_without_skewness``."""
    # Without skewness the cubic is the identity, and its inverse a division by 0.
    safe = np.where(np.abs(skewness) < _NO_SKEWNESS, _NO_SKEWNESS, skewness)
    small = 3 * (np.cbrt(1 + safe * (cubic - safe / (6 * count))) - 1) / safe
    return np.asarray(small * np.sqrt(count))


def influence_moments(
    combine: Combine, rows: Rows, weights: Float[np.ndarray, "R M"]
) -> tuple[Float[np.ndarray, "R C"], Float[np.ndarray, "R C"]]:
    """Return standard error and skewness by the infinitesimal jackknife, of weighted rows.

    Args:
        combine: additive.
        rows: one for each independent example or cluster.
        weights: how often each row is in each of R samples.
    """
    sums = weights @ rows
    steps = STEP * rows.std(axis=0) * np.sqrt(len(rows))
    slopes = []
    for place, step in enumerate(steps):
        if step == 0:  # a sum that does not vary has no part in the error
            continue
        moved = np.zeros(len(steps))
        moved[place] = step
        rise = combine((sums + moved)[:, None]) - combine((sums - moved)[:, None])
        slopes.append((place, rise / (2 * step)))
    if not slopes:
        none = np.zeros_like(combine(sums[:, None]))
        return none, none
    varying = rows[:, [place for place, _ in slopes]]  # [M, k]
    by_sum = np.stack([slope for _, slope in slopes], axis=-1)  # [R, C, k]
    errors, skews = [], []
    for column in range(by_sum.shape[1]):
        influence = by_sum[:, column] @ varying.T  # [R, M]
        mean = (weights * influence).sum(axis=1, keepdims=True) / len(rows)
        centred = influence - mean
        squares = (weights * centred**2).sum(axis=1)
        cubes = (weights * centred**3).sum(axis=1)
        errors.append(np.sqrt(squares))
        with np.errstate(divide="ignore", invalid="ignore"):
            # of the rows themselves: mean cube over mean square to the power of 3/2
            skews.append(np.nan_to_num(np.sqrt(len(rows)) * cubes / squares**1.5))
    return np.stack(errors, axis=-1), np.stack(skews, axis=-1)

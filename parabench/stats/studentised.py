"""Bootstrap intervals of studentised differences, for columns that are functions of sums."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from parabench.stats.arrays import ColumnValues, Combine
from parabench.stats.resampling import Draws, percentile_ends

STUDENTISED_DRAWS = 1_000
STEP = 1e-3
"""Of numerical derivatives, in standard deviations of a sum."""
_ROWS_A_CALL = 1_000
"""Of sums that a ``combine`` is given at once: as many as stay in the processor's cache."""
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
    weights = _sample_weights(count, seed, resamples)
    value = combine(rows.sum(axis=0)[None])
    (error,), (skewness,) = influence_moments(combine, rows, np.ones((1, count)))
    drawn = combine((weights @ rows)[:, None])
    # a derivative may try what no sample can be, such as fewer n-grams than none
    with np.errstate(all="ignore"):
        errors, skews = influence_moments(combine, rows, weights)
    by_t, by_hall = studentised_ends(value, error, skewness, drawn, errors, skews, count, level)
    varies = error > 0
    low = np.where(varies, np.minimum(by_t[0], by_hall[0]), np.nan)
    high = np.where(varies, np.maximum(by_t[1], by_hall[1]), np.nan)
    return low, high


@lru_cache(maxsize=1)
def _sample_weights(count: int, seed: int, samples: int) -> Float[np.ndarray, "R M"]:
    """How often each row is in each bootstrap sample: drawn once for all systems and scorers."""
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(count, np.full(count, 1 / count), samples).astype(float)
    weights.setflags(write=False)
    return weights


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
    places = np.flatnonzero(steps)  # a sum that does not vary has no part in the error
    slopes = _slopes(combine, sums, places, steps[places])
    varying = np.ascontiguousarray(rows[:, places].T)  # [k, M]
    errors = np.empty(slopes.shape[1:])
    skews = np.empty(slopes.shape[1:])
    for column in range(slopes.shape[-1]):
        influence = np.ascontiguousarray(slopes[..., column].T) @ varying  # [R, M]
        influence -= _weighted_sums(weights, influence)[:, None] / len(rows)
        weighted_squares = weights * influence
        weighted_squares *= influence
        squares = weighted_squares.sum(axis=1)
        cubes = _weighted_sums(weighted_squares, influence)
        errors[:, column] = np.sqrt(squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            # of the rows themselves: mean cube over mean square to the power of 3/2
            skews[:, column] = np.nan_to_num(np.sqrt(len(rows)) * cubes / squares**1.5)
    return errors, skews


def _slopes(
    combine: Combine,
    sums: Float[np.ndarray, "R K"],
    places: Int[np.ndarray, " k"],
    steps: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "k R C"]:
    """The derivative of every column by the sums at ``places``, from both sides."""
    draws, width = sums.shape
    # several places a call, where there are few draws: a call costs as much as a hundred rows
    at_once = max(1, _ROWS_A_CALL // draws)
    found = [np.empty((0, *combine(sums[:, None]).shape))]
    for start in range(0, len(places), at_once):
        chosen = slice(start, start + at_once)
        moved = np.zeros((len(places[chosen]), 1, width))
        moved[np.arange(len(moved)), 0, places[chosen]] = steps[chosen]
        above = combine((sums + moved)[:, :, None])
        below = combine((sums - moved)[:, :, None])
        found.append((above - below) / (2 * steps[chosen][:, None, None]))
    return np.concatenate(found)


def _weighted_sums(
    weights: Float[np.ndarray, "R M"], values: Float[np.ndarray, "R M"]
) -> Float[np.ndarray, " R"]:
    """The sum of ``weights`` times ``values`` in every sample, without their products in memory."""
    return np.einsum("rm,rm->r", weights, values)

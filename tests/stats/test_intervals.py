"""Intervals of scores at their edges: few examples, rare events, skewed values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from parabench.contracts import Column, additive
from parabench.stats.clusters import ClusterIndex
from parabench.stats.intervals import jeffreys_interval, score_interval, studentised_interval
from parabench.stats.resampling import bootstrap, percentile_ends

SCORE, SHARE = Column("score", "up", "both"), Column("share", "none", "output")


@additive
def mean(statistics):
    sums = statistics.sum(axis=-2)
    return sums[..., :1] / sums[..., 1:]


def rows_of(values) -> np.ndarray:
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=-1)


def ends_of(values, column=SCORE, combine=mean, clusters=None) -> tuple[float, float]:
    rows = rows_of(values)
    draws = bootstrap(mean, rows, 0, 500, clusters)
    index = ClusterIndex.of(len(rows), clusters)
    low, high = score_interval(combine, (column,), rows, draws, index, 0)
    return float(low[0]), float(high[0])


def test_below_30_examples_there_is_none():
    values = np.random.default_rng(0).normal(size=30)
    assert np.isfinite(ends_of(values)).all()
    assert np.isnan(ends_of(values[:29])).all()
    grouped = [str(number // 2) for number in range(30)]  # 15 independent ones
    assert np.isnan(ends_of(values, clusters=grouped)).all()


@pytest.mark.parametrize(("hits", "count"), [(0, 50), (1, 50), (3, 150), (50, 50)])
def test_jeffreys_is_the_beta_quantile(hits, count):
    low, high = jeffreys_interval(hits, count)
    posterior = scipy_stats.beta(hits + 0.5, count - hits + 0.5)
    assert low == (0 if hits == 0 else pytest.approx(posterior.ppf(0.025)))
    assert high == (1 if hits == count else pytest.approx(posterior.ppf(0.975)))


def test_a_rare_event_that_did_not_occur_may_still_occur():
    assert ends_of([0.0] * 50, SHARE) == (0.0, pytest.approx(4.9, abs=0.1))
    assert ends_of([0.0] * 49 + [100.0], SHARE)[0] > 0
    assert np.ptp(ends_of([50.0] * 50, SHARE)) == 0  # no share of outputs


def test_the_studentised_interval_of_normal_values_is_students():
    values = np.random.default_rng(3).normal(5, 2, size=40)
    (low,), (high,) = studentised_interval(mean, rows_of(values), seed=0, resamples=20_000)
    expected = scipy_stats.t.interval(0.95, 39, values.mean(), values.std(ddof=1) / np.sqrt(40))
    assert (low, high) == pytest.approx(expected, abs=0.1)


def test_a_skewed_mean_is_held_more_often_than_by_percentiles():
    """Log-normal values, n = 30: 300 samples, their mean is exp(1/2)."""
    generator, truth = np.random.default_rng(0), np.exp(0.5)
    held = []
    for trial in range(300):
        rows = rows_of(generator.lognormal(size=30))
        before = percentile_ends(bootstrap(mean, rows, trial, 300))
        after = studentised_interval(mean, rows, trial, resamples=300)
        held.append([low[0] <= truth <= high[0] for low, high in (before, after)])
    before, after = np.mean(held, axis=0)
    assert before < 0.88
    assert after > before + 0.03


def test_what_is_no_function_of_sums_keeps_its_percentiles():
    values = np.random.default_rng(0).normal(size=40)

    def plain(statistics):
        return mean(statistics)

    rows = rows_of(values)
    draws = bootstrap(mean, rows, 0, 500)
    assert ends_of(values, combine=plain) == tuple(float(one[0]) for one in percentile_ends(draws))

"""Intervals of scores at their edges: few examples, rare events, skewed values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from parabench.contracts import Column, additive
from parabench.stats.clusters import ClusterIndex
from parabench.stats.intervals import blaker_interval, rests_on_few, score_interval
from parabench.stats.resampling import bootstrap, expanded_level, percentile_ends
from parabench.stats.studentised import studentised_interval

SCORE = Column("score", "up", "both")
SHARE = Column("share", "none", "output", describe="% of outputs")


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


def blaker_by_hand(hits: int, count: int, step: float = 1e-4) -> tuple[float, float]:
    """All proportions whose acceptability, by its definition, is above 5 %."""
    kept = []
    for share in np.arange(step / 2, 1, step):
        chances = scipy_stats.binom.pmf(np.arange(count + 1), count, share)
        tails = np.minimum(np.cumsum(chances), np.cumsum(chances[::-1])[::-1])
        if chances[tails <= tails[hits] * (1 + 1e-7)].sum() > 0.05:
            kept.append(share)
    return kept[0], kept[-1]


@pytest.mark.parametrize(("hits", "count"), [(0, 50), (1, 50), (3, 150), (7, 30), (50, 50)])
def test_blakers_interval_is_that_of_its_definition(hits, count):
    low, high = blaker_interval(hits, count)
    assert (low, high) == pytest.approx(blaker_by_hand(hits, count), abs=3e-4)
    exact = scipy_stats.binomtest(hits, count).proportion_ci(0.95, "exact")
    assert exact.low - 1e-9 <= low < high <= exact.high + 1e-9


@pytest.mark.parametrize("count", [30, 150])
def test_blakers_interval_covers_rare_and_common_events(count):
    """Exactly, by the binomial distribution: nothing is drawn."""
    ends = np.array([blaker_interval(hits, count) for hits in range(count + 1)])
    for share in (0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 0.5):
        holds = (ends[:, 0] <= share) & (share <= ends[:, 1])
        chances = scipy_stats.binom.pmf(np.arange(count + 1), count, share)
        assert chances[holds].sum() >= 0.94


def test_a_rare_event_that_did_not_occur_may_still_occur():
    assert ends_of([0.0] * 50, SHARE) == (0.0, pytest.approx(6.8, abs=0.5))
    assert ends_of([0.0] * 49 + [100.0], SHARE)[0] > 0
    assert np.ptp(ends_of([50.0] * 50, SHARE)) == 0  # no share of outputs


def test_a_mean_that_is_0_everywhere_is_no_share():
    unit = Column("legacy", "none", "source")
    assert ends_of([0.0] * 50, unit) == (0.0, 0.0)
    assert ends_of([0.0] * 49 + [100.0], unit)[0] > 0


@additive
def geometric(statistics):
    """The root of the product of two rates, as BLEU multiplies rates of n-grams."""
    sums = statistics.sum(axis=-2)
    # a derivative may try less than nothing
    product = np.maximum(sums[..., :1] * sums[..., 1:2], 0.0)
    return np.sqrt(product) / sums[..., 2:]


@pytest.mark.parametrize(("holders", "few"), [(0, False), (1, True), (9, True), (10, False)])
def test_a_column_may_rest_on_few_examples(holders, few):
    """The second factor is in some of 60 rows; where in none, all samples are 0."""
    generator = np.random.default_rng(0)
    rows = np.stack([generator.uniform(1, 3, 60), np.zeros(60), np.ones(60)], axis=-1)
    rows[:holders, 1] = 1.0
    draws = bootstrap(geometric, rows, 0, 300)
    ends = score_interval(geometric, (SCORE,), rows, draws, ClusterIndex(60), 0)
    assert np.isnan(ends).all() == few
    seeds = np.stack([rows, rows])
    ends = score_interval(geometric, (SCORE,), seeds, draws, ClusterIndex(60), 0)
    assert np.isnan(ends).all() == few


def test_a_rare_sum_that_decides_nothing_takes_no_interval_away():
    """A thousandth of what the column is made of stands in one example."""

    @additive
    def with_crumbs(statistics):
        sums = statistics.sum(axis=-2)
        return (sums[..., :1] + 0.001 * sums[..., 1:2]) / sums[..., 2:]

    values = np.random.default_rng(0).normal(5, 1, 60)
    rows = np.stack([values, np.eye(60)[0], np.ones(60)], axis=-1)
    assert not rests_on_few(with_crumbs, rows)[0]


def test_a_rare_share_of_clusters_is_that_of_as_many_outputs():
    """Forty clusters of two: no hit in 80 outputs may be what Blaker's says of 40."""
    clusters = [str(number // 2) for number in range(80)]
    low, high = ends_of([0.0] * 80, SHARE, clusters=clusters)
    assert (low, high) == (0.0, pytest.approx(100 * blaker_interval(0, 40)[1]))
    common = ends_of([0.0, 100.0] * 40, SHARE, clusters=clusters)
    assert common == (50.0, 50.0)  # each cluster has one hit: nothing varies


def test_what_is_never_negative_has_no_negative_end():
    values = np.zeros(60)
    values[:12] = [*[0.01] * 11, 40.0]
    assert ends_of(values)[0] >= 0
    assert ends_of(values - 1)[0] < 0


@pytest.mark.parametrize("end", [1.0, 100.0])
def test_what_is_never_above_its_scale_has_no_higher_end(end):
    values = end * np.array([1.0] * 20 + [0.999] * 9 + [0.0])
    for flipped in (values, end - values):
        low, high = ends_of(flipped)
        assert 0.0 <= low < high <= end


def test_samples_of_equal_values_do_not_make_an_endless_interval():
    # of 40 values 38 are equal, so that one bootstrap sample in eight has no spread at all
    values = np.array([1.0] * 38 + [0.9, 0.8])
    low, high = ends_of(values)
    assert 0.97 < low < values.mean() < high <= 1.0
    shifted_low, shifted_high = ends_of(values - 5)  # off the scale, nothing is cut
    assert -4.03 < shifted_low < shifted_high < -3.98


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


@pytest.mark.parametrize("count", [2, 30, 50, 348, 100_000])
def test_intervals_of_few_examples_are_expanded_as_published(count):
    """Hesterberg 2015, section 4.3: the normal distribution's tail at sqrt(n / (n - 1)) times
    Student's quantile.
    """
    quantile = scipy_stats.t.ppf(0.025, count - 1) * np.sqrt(count / (count - 1))
    assert expanded_level(count) == pytest.approx(1 - 2 * scipy_stats.norm.cdf(quantile), rel=1e-12)


def test_one_example_has_the_level_that_was_asked_for():
    assert expanded_level(1, 0.9) == 0.9

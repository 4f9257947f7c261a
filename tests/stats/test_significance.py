"""Intervals and tests against scipy, hand-worked values and simulation; fast and slow paths against
each other.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from parabench.stats import arrays, resampling
from parabench.stats import significance as sig
from parabench.stats.clusters import ClusterIndex
from parabench.stats.undefined import undefined_counts


def plain_mean(rows):
    """A combine that is not marked additive."""
    return rows.mean(axis=0)


def marked_mean(rows):
    sums = rows.sum(axis=-2)
    return sums[..., :-1] / sums[..., -1:]


marked_mean.additive = True


def with_ones(values):
    return np.hstack([values, np.ones((len(values), 1))])


@pytest.fixture
def pair():
    draw = np.random.default_rng(7)
    a = draw.normal(size=(60, 3))
    return a, a + draw.normal([0.0, 0.3, 1.0], 1.0, size=(60, 3))


def unmarked(rows):
    return marked_mean(rows)


@pytest.mark.parametrize("clusters", [None, [str(i // 4) for i in range(60)]])
def test_the_fast_path_equals_the_slow_one(pair, clusters):
    a, b = map(with_ones, pair)
    for function in (resampling.interval, resampling.bootstrap):
        fast, slow = (
            function(combine, a, 3, 40, clusters=clusters) for combine in (marked_mean, unmarked)
        )
        np.testing.assert_allclose(fast, slow, atol=1e-12)
    fast, slow = (
        sig.paired_test(combine, a, b, 3, 200, clusters) for combine in (marked_mean, unmarked)
    )
    np.testing.assert_array_equal(fast, slow)


def test_the_fast_path_equals_the_slow_one_over_training_seeds(pair):
    several = [np.stack([with_ones(one + shift) for shift in (0.0, 0.5, -1.0)]) for one in pair]
    fast, slow = (
        resampling.bootstraps(combine, [*several, with_ones(pair[0])], 3, 40)
        for combine in (marked_mean, unmarked)
    )
    np.testing.assert_allclose(fast, slow, atol=1e-12)
    fast, slow = (sig.paired_test(combine, *several, 3, 200) for combine in (marked_mean, unmarked))
    np.testing.assert_array_equal(fast, slow)


def test_all_pairs_at_once_are_the_pairs_one_by_one(pair):
    systems = [with_ones(one) for one in (*pair, pair[0] + 0.2)]
    pairs = [(0, 1), (0, 2), (2, 1)]
    clusters = [str(i // 4) for i in range(60)]
    together = sig.paired_tests(marked_mean, systems, pairs, 3, 300, clusters)
    for found, (a, b) in zip(together, pairs, strict=True):
        np.testing.assert_array_equal(
            found, sig.paired_test(marked_mean, systems[a], systems[b], 3, 300, clusters)
        )
    samples = resampling.bootstraps(marked_mean, systems, 3, 40, clusters)
    for found, system in zip(samples, systems, strict=True):
        np.testing.assert_allclose(
            found, resampling.bootstrap(marked_mean, system, 3, 40, clusters), atol=1e-12
        )


def test_the_interval_over_seeds_is_that_of_theory():
    """Examples all alike, seeds 0 and 1: means of two drawn seeds are 0, .5, 1 with chances 1/4,
    1/2, 1/4.
    """
    rows = np.stack([with_ones(np.full((30, 1), value)) for value in (0.0, 1.0)])
    values, counts = np.unique(resampling.bootstrap(marked_mean, rows, 0, 4000), return_counts=True)
    assert values == pytest.approx([0.0, 0.5, 1.0])
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_interval_agrees_with_scipy(pair):
    """scipy.stats.bootstrap, percentile method, is another program with other draws: ends agree to
    sampling error.
    """
    low, high = resampling.interval(marked_mean, with_ones(pair[0]), 0, 10_000)
    for column in range(3):
        outside = scipy.stats.bootstrap(
            (pair[0][:, column],), np.mean, method="percentile", rng=1
        ).confidence_interval
        assert (low[column], high[column]) == pytest.approx(tuple(outside), abs=0.02)


def test_paired_test_agrees_with_scipy(pair):
    """scipy.stats.permutation_test with permutation_type="samples" is the same test with other
    draws.
    """
    got = sig.paired_test(marked_mean, *map(with_ones, pair), seed=0)
    for column in range(3):
        outside = scipy.stats.permutation_test(
            (pair[0][:, column], pair[1][:, column]),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            rng=1,
        )
        assert got[column] == pytest.approx(outside.pvalue, abs=0.02)
    assert got[2] < 0.001 < 0.05 < got[0]


def test_paired_test_by_enumeration():
    """Differences 1, 2, 3 have eight sign patterns, two of which reach |sum| >= 6: p = 1/4."""
    a = with_ones(np.array([[1.0], [2.0], [3.0]]))
    p = sig.paired_test(marked_mean, a, with_ones(np.zeros((3, 1))), seed=1, draws=20_000)
    assert p[0] == pytest.approx(0.25, abs=0.01)


def test_equal_systems_are_never_different(pair):
    rows = with_ones(pair[0])
    assert sig.paired_test(marked_mean, rows, rows, 0, 300) == pytest.approx(1.0)
    value, low, high = resampling.difference(marked_mean, rows, rows, 0)
    assert (value == 0).all()
    assert (low == 0).all()
    assert (high == 0).all()


def test_results_depend_on_the_seed_alone(pair):
    rows = with_ones(pair[0])
    np.testing.assert_array_equal(
        resampling.interval(marked_mean, rows, 5), resampling.interval(marked_mean, rows, 5)
    )
    assert not np.array_equal(
        resampling.interval(marked_mean, rows, 5), resampling.interval(marked_mean, rows, 6)
    )


def test_false_positives_stay_at_the_level_only_with_clusters():
    """1,000 true nulls, 25 sources of 8 items, intra-class correlation .5: near 5 % clustered, far
    above it naively.
    """
    draw = np.random.default_rng(0)
    clusters = [str(i // 8) for i in range(200)]
    naive, clustered = [], []
    for _ in range(1000):
        shared = np.repeat(draw.normal(size=25), 8)
        a = with_ones((shared + draw.normal(size=200))[:, None])
        b = with_ones(np.zeros((200, 1)))
        naive.append(sig.paired_test(marked_mean, a, b, 0, 199)[0])
        clustered.append(sig.paired_test(marked_mean, a, b, 0, 199, clusters)[0])
    assert np.mean(np.array(clustered) <= 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(np.array(naive) <= 0.05) > 0.25


def test_coverage_of_the_interval():
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        low, high = resampling.interval(marked_mean, with_ones(draw.normal(size=(80, 1))), 0, 300)
        covered += low[0] <= 0 <= high[0]
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_undefined_columns_stay_undefined():
    rows = np.column_stack([np.zeros(5), np.zeros(5)])
    with np.errstate(invalid="ignore"):
        low, high = resampling.interval(marked_mean, rows, 0, 20)
        p = sig.paired_test(marked_mean, rows, rows, 0, 20)
    assert np.isnan([low[0], high[0], p[0]]).all()


def test_holm_by_hand():
    """Holm 1979 worked by hand: .01 x 4, .02 x 3, .03 x 2, then the running maximum."""
    assert sig.holm(np.array([0.03, 0.01, 0.02, 0.9])) == pytest.approx([0.06, 0.04, 0.06, 0.9])


def test_benjamini_hochberg_by_hand():
    assert sig.benjamini_hochberg(np.array([0.01, 0.02, 0.5])) == pytest.approx([0.03, 0.03, 0.5])


@pytest.mark.parametrize("count", [0, 1, 2, 17, 120])
def test_benjamini_hochberg_is_scipys(count):
    p = np.random.default_rng(count).random(count).round(1)  # with ties, 0 and 1
    np.testing.assert_array_equal(
        sig.benjamini_hochberg(p), scipy.stats.false_discovery_control(p, method="bh")
    )


@pytest.mark.parametrize("systems", [2, 10])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 2.0, 4.0])
def test_the_first_is_first_again_as_often_as_is_said(systems, spread):
    """Truths whose spread is so many standard errors, in 300 boards: within 10 points.

    Draws around the observed values alone would say 70 and 34 % of two and ten equal systems, where
    50 and 10 are true.
    """
    generator = np.random.default_rng(0)
    said, happened = [], []
    for _ in range(300):
        truth = spread * generator.normal(size=systems)
        values = truth + generator.normal(size=systems)
        draws = values[:, None] + generator.normal(size=(systems, 400))
        said.append(sig.first_again(values, draws))
        new = truth[:, None] + generator.normal(size=(systems, 400))
        happened.append((new.argmax(axis=0) == values.argmax()).mean())
    assert np.mean(said) == pytest.approx(np.mean(happened), abs=0.1)


def test_what_all_systems_share_decides_no_place():
    """A hard test set is hard for all: the error that they have in common is none between them."""
    generator = np.random.default_rng(0)
    own = generator.normal(size=(3, 1000))
    values = np.array([0.0, 1.0, 2.0])
    alone, shared = (
        sig.first_again(values, values[:, None] + own + common)
        for common in (0.0, 10 * generator.normal(size=1000))
    )
    assert shared == pytest.approx(alone, abs=0.03)


def test_rank_clusters():
    """mt-metrics-eval's rule: c is worse than a though not than b, and so opens the second
    cluster.
    """
    worse = np.zeros((4, 4), bool)
    worse[2, 0] = worse[3, 0] = worse[3, 1] = True
    values = np.array([9.0, 8.0, 7.0, 6.0])
    assert sig.rank_clusters(values, worse) == [(1, 2), (1, 2), (3, 4), (3, 4)]
    assert sig.rank_clusters(values[::-1], worse[::-1, ::-1]) == [(3, 4), (3, 4), (1, 2), (1, 2)]
    assert sig.rank_clusters(-values, worse, "down") == [(1, 2), (1, 2), (3, 4), (3, 4)]
    assert sig.rank_clusters(np.array([np.nan, 1.0]), np.zeros((2, 2), bool)) == [(1, 2), (1, 2)]


def test_minimum_detectable_effect():
    """Standard deviation 20 over 500 examples: 2.80 x 20 / sqrt(500) = 2.51."""
    values = np.random.default_rng(2).normal(size=(500, 1))
    values = 20 * (values - values.mean()) / values.std(ddof=1)
    pair = [with_ones(values), with_ones(np.zeros((500, 1)))]
    first, second = resampling.bootstraps(marked_mean, pair, 0, 4000)
    found = resampling.detectable(first - second, level=0.95, power=0.8)
    assert found[0] == pytest.approx(2.51, rel=0.05)


@pytest.fixture
def parted(monkeypatch):
    monkeypatch.setattr(arrays, "ROWS_AT_ONCE", 50)
    monkeypatch.setattr(arrays, "ROWS_A_PART", 32)


def members_of(clusters):
    """The rows of each cluster of 400 rows, found one by one."""
    if clusters is None:
        return [[row] for row in range(400)]
    return [np.flatnonzero(clusters == name) for name in dict.fromkeys(clusters)]


CLUSTERED = np.random.default_rng(2).integers(150, size=400)


@pytest.mark.parametrize("clusters", [None, CLUSTERED])
def test_parts_of_many_rows_add_up_to_the_whole(parted, clusters):
    rows = np.random.default_rng(0).normal(size=(2, 400, 3))
    groups = ClusterIndex(400, clusters)
    parts = groups.sums([rows, rows[0]])
    assert len(parts) == -(-len(groups) // 32)
    plain = np.stack(
        [
            [layer[list(some)].sum(axis=0) for some in members_of(clusters)]
            for layer in (*rows, rows[0])
        ]
    )
    np.testing.assert_allclose(np.concatenate(list(parts), axis=1), plain, atol=1e-12)
    with_weight = with_ones(rows[0])
    np.testing.assert_allclose(
        arrays.corpus_value(marked_mean, with_weight), rows[0].mean(axis=0), atol=1e-12
    )


@pytest.mark.parametrize("clusters", [None, CLUSTERED])
def test_draws_over_parts_are_a_bootstrap_of_all(parted, clusters):
    values = np.random.default_rng(1).normal(size=(400, 1)) + CLUSTERED[:, None] % 7
    draws = resampling.bootstrap(marked_mean, with_ones(values), 0, 6000, clusters)[:, 0]
    members = members_of(clusters)
    sums = np.array([[values[some].sum(), len(some)] for some in members])
    deviations = sums[:, 0] - values.mean() * sums[:, 1]  # the delta method for a ratio of sums
    error = np.sqrt((deviations**2).sum()) / 400
    assert draws.mean() == pytest.approx(values.mean(), abs=0.1 * error)
    assert draws.std() == pytest.approx(error, rel=0.05)


def test_every_draw_over_parts_has_as_many_rows_as_there_are():
    blocks = [np.ones((1, size, 1)) for size in (7, 1, 30, 12)]
    assert (resampling.resampled(blocks, 50, np.random.default_rng(0), 300) == 50).all()
    numbered = [np.eye(50)[None, start:end] for start, end in ((0, 7), (7, 8), (8, 38), (38, 50))]
    times = resampling.resampled(numbered, 50, np.random.default_rng(0), 4000)[:, 0]
    np.testing.assert_allclose(
        times.mean(axis=0), 1, atol=0.08
    )  # each row once on average, 5 standard errors
    np.testing.assert_allclose(times.var(axis=0), 49 / 50, atol=0.15)
    np.testing.assert_allclose(np.corrcoef(times[:, 0], times[:, 49])[0, 1], -1 / 49, atol=0.08)


@pytest.mark.parametrize("clusters", [None, CLUSTERED])
def test_swaps_over_parts_tell_what_swaps_of_all_tell(parted, clusters, monkeypatch):
    draw = np.random.default_rng(4)
    a = draw.normal(size=(400, 3))
    b = a + draw.normal([0.0, 0.08, 0.4], 1.0, size=(400, 3))
    few = sig.paired_test(marked_mean, with_ones(a), with_ones(b), 0, 4000, clusters)
    monkeypatch.setattr(arrays, "ROWS_AT_ONCE", 1000)
    whole = sig.paired_test(marked_mean, with_ones(a), with_ones(b), 0, 4000, clusters)
    np.testing.assert_allclose(few, whole, atol=0.04)
    assert few[2] == 1 / 4001


def test_undefined_examples_are_counted_over_parts(parted):
    rows = with_ones(np.zeros((400, 1)))
    rows[[0, 33, 399]] = np.nan
    assert undefined_counts(SimpleNamespace(combine=marked_mean), rows) == [3]

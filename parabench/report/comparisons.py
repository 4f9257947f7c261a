"""Paired tests of the systems of a run, and the ranks that they leave open."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from parabench.contracts import Column
from parabench.report.board import CONFIDENCE_LEVEL, SIGNIFICANCE_LEVEL, Comparison
from parabench.report.results import RunResults, ScorerResults
from parabench.stats.arrays import corpus_value
from parabench.stats.intervals import FEWEST_CLUSTERS, few_behind, only_of_enough
from parabench.stats.resampling import Draws, detectable, expanded_level, percentile_ends
from parabench.stats.significance import (
    benjamini_hochberg,
    first_again,
    holm,
    paired_tests,
    rank_clusters,
)


def pairwise_comparisons(results: RunResults) -> tuple[Comparison, ...]:
    """All pairs of systems and the human, in every column with a better direction.

    Those of the headline come first. Sentinels are left out: they test columns and do not compete.
    """
    found: list[Comparison] = []
    for name in results.measured:
        found += _unadjusted(results, name)
    headline = []
    others = []
    for comparison in found:
        if comparison.column == results.headline:
            headline.append(comparison)
        else:
            others.append(comparison)
    # The headline decides, so it is protected against any false call (Holm 1979); among the many
    # tests of the other columns a share of false ones is put up with (Benjamini, Hochberg 1995).
    return (*_adjusted(headline, holm), *_adjusted(others, benjamini_hochberg))


def _unadjusted(results: RunResults, name: str) -> Iterator[Comparison]:
    """Every pair in every column of one scorer, p-values as they are."""
    one = results.measured[name]
    systems = _competing(results, one, "system", "human")
    pairs = list(combinations(range(len(systems)), 2))
    if not pairs or all(column.better == "none" for column in one.scorer.columns):
        return
    statistics = [one.statistics[system] for system in systems]
    values = [corpus_value(one.scorer.combine, row) for row in statistics]
    # Draws are [rows of the table, resamples, columns], in the order of the scorer's statistics.
    draws_of_row = dict(zip(one.statistics, results.bootstrap_draws[name], strict=True))
    draws = [draws_of_row[system] for system in systems]
    p_values = paired_tests(
        one.scorer.combine,
        statistics,
        pairs,
        results.seed,
        _swaps(results, name),
        results.clusters,
    )
    level = expanded_level(len(results.clusters), CONFIDENCE_LEVEL)
    few = [_few(results, one, system, drawn) for system, drawn in zip(systems, draws, strict=True)]
    for (a, b), p in zip(pairs, p_values, strict=True):
        difference = values[a] - values[b]
        # All rows were resampled alike, so these are draws of the paired difference.
        ends = percentile_ends(draws[a] - draws[b], level)
        holds_zero = (ends[0] <= 0) & (ends[1] >= 0)
        known = [np.where(few[a] | few[b], np.nan, end) for end in ends]
        low, high = only_of_enough(known[0], known[1], len(results.clusters))
        for place, column in enumerate(one.scorer.columns):
            if column.better != "none":
                yield Comparison(
                    systems[a],
                    systems[b],
                    float(difference[place]),
                    float(low[place]),
                    float(high[place]),
                    float(p[place]),
                    column.name,
                    bool(holds_zero[place]),
                )


def _swaps(results: RunResults, name: str) -> int:
    """How many swaps the tests of a scorer's columns draw."""
    if results.ranking is None or results.ranking[0] != name:
        # of many tests a share of false calls is put up with, which needs no p-value as small
        return results.resamples
    return headline_swaps(results)


def headline_swaps(results: RunResults) -> int:
    """How many swaps the tests of the headline draw."""
    if results.ranking is None:
        return results.resamples
    name, _ = results.ranking
    competitors = len(_competing(results, results.measured[name], "system", "human"))
    return results.swaps(competitors * (competitors - 1) // 2)


def _few(
    results: RunResults, one: ScorerResults, system: str, draws: Draws
) -> Bool[np.ndarray, " C"]:
    """The columns of a system that rest on few examples: no difference has an interval there."""
    return few_behind(one.scorer.combine, one.statistics[system], draws, results.clusters)


def _adjusted(
    found: Sequence[Comparison],
    adjust: Callable[[Float[np.ndarray, " M"]], Float[np.ndarray, " M"]],
) -> list[Comparison]:
    """The comparisons with p-values adjusted for one another; undefined ones stay undefined."""
    p_values = np.array([one.p for one in found], dtype=float)
    # A column that one of the two lacks was not tested, so it does not count in the correction.
    defined = ~np.isnan(p_values)
    if defined.any():
        p_values[defined] = adjust(p_values[defined])
    adjusted = []
    for one, p in zip(found, p_values, strict=True):
        adjusted.append(replace(one, p=float(p)))
    return adjusted


def detectable_difference(results: RunResults) -> float | None:
    """The true difference on the headline that the tests find four times in five.

    It is the median over pairs of systems, with a test as strict as the first one of Holm's
    procedure over all pairs that are tested: what holds for it holds for every later one. None
    below ``FEWEST_CLUSTERS`` examples, where a test may not be able to find any difference: of 5
    pairs no p-value is below 1 / 16.
    """
    if results.ranking is None or len(results.clusters) < FEWEST_CLUSTERS:
        return None
    name, place = results.ranking
    one = results.measured[name]
    draws = dict(zip(one.statistics, results.bootstrap_draws[name], strict=True))
    pairs = list(combinations(_competing(results, one, "system"), 2))
    if not pairs:
        return None
    # People are tested too, though no pair with them counts among the differences below.
    competitors = len(_competing(results, one, "system", "human"))
    tests = competitors * (competitors - 1) // 2
    level = 1 - SIGNIFICANCE_LEVEL / tests
    found = []
    for first, second in pairs:
        differences = draws[first] - draws[second]  # [resamples, columns]
        of_headline = detectable(differences[:, [place]], level)[0]
        found.append(of_headline)
    if not np.isfinite(found).all():
        return None
    return float(np.median(found))


def first_place_repeats(results: RunResults, unranked: Container[str] = ()) -> float | None:
    """The percentage of new test sets of this size in which the best system is the best again.

    None where fewer than two systems may rank, and below ``FEWEST_CLUSTERS`` examples. ``unranked``
    are left out.
    """
    if results.ranking is None or len(results.clusters) < FEWEST_CLUSTERS:
        return None
    name, place = results.ranking
    one = results.measured[name]
    column = one.scorer.columns[place]
    sign = 1.0 if column.better == "up" else -1.0
    rows = list(one.statistics)
    systems = [row for row in _competing(results, one, "system") if row not in unranked]
    if len(systems) < 2:
        return None
    values = []
    for system in systems:
        columns = corpus_value(one.scorer.combine, one.statistics[system])
        values.append(sign * columns[place])
    numbers = [rows.index(system) for system in systems]
    draws = sign * results.bootstrap_draws[name][numbers, :, place]  # [systems, resamples]
    if not np.isfinite(values).all() or not np.isfinite(draws).all():
        return None
    return 100 * first_again(np.array(values), draws)


# ---- ranks


def system_ranks(
    results: RunResults, compared: tuple[Comparison, ...], unranked: Container[str] = ()
) -> dict[str, tuple[int, int]]:
    """The first and the last rank that the tests on the headline leave open, by system.

    Those of ``unranked`` are left out: nobody's rank counts them.
    """
    if results.ranking is None:
        return {}
    name, place = results.ranking
    one = results.measured[name]
    column = one.scorer.columns[place]
    systems = [row for row in _competing(results, one, "system") if row not in unranked]
    values = []
    for system in systems:
        columns = corpus_value(one.scorer.combine, one.statistics[system])
        values.append(columns[place])
    worse = _beaten(systems, compared, column)
    ranks = rank_clusters(np.array(values), worse, column.better)
    return dict(zip(systems, ranks, strict=True))


def _beaten(
    systems: Sequence[str],
    compared: Sequence[Comparison],
    column: Column,
) -> Bool[np.ndarray, "S S"]:
    """Whether the system of a row is significantly worse than that of a column of the matrix."""
    worse = np.zeros((len(systems), len(systems)), dtype=bool)
    for pair in compared:
        if pair.column != column.name or not pair.is_real:
            continue
        # The human is tested too, but holds no rank.
        if pair.first not in systems or pair.second not in systems:
            continue
        first = systems.index(pair.first)
        second = systems.index(pair.second)
        first_loses = pair.difference < 0 if column.better == "up" else pair.difference > 0
        loser, winner = (first, second) if first_loses else (second, first)
        worse[loser, winner] = True
    return worse


def _competing(results: RunResults, one: ScorerResults, *roles: str) -> list[str]:
    """The rows that a scorer measured and that have one of these roles, by name."""
    names = [name for name in one.statistics if results.outputs[name].role in roles]
    return sorted(names)

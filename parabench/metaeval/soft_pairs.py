"""Soft pairwise accuracy: does a column tell systems apart as surely as people do?

Thompson, Mathur, Deutsch and Khayrallah 2024, "Improving Statistical Significance in Human
Evaluation of Automatic Metrics via Soft Pairwise Accuracy".
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator

from parabench.metaeval.correlation import IntervalEstimate, with_interval
from parabench.metaeval.human import HumanJudgments
from parabench.metaeval.resampled import Vector
from parabench.stats.clusters import ClusterIndex
from parabench.stats.resampling import draw_batches

PackedFlips = UInt8[np.ndarray, "R bytes"]
"""For each draw a bit a source: 1 where its difference keeps its sign, 0 where it is turned."""
_MIN_SHARED_SOURCES = 10
"""Two systems are compared on at least so many sources that both answered."""
_TIE = 1e-12
"""Two sums closer than this are equal: sums of the same numbers in another order differ so."""


def soft_pairwise_accuracy(
    values: Vector,
    ratings: Vector,
    people: HumanJudgments,
    seed: int,
    draws: int = 1000,
    resamples: int = 200,
) -> IntervalEstimate:
    """Mean over pairs of systems of 1 - |p - q|.

    p says how sure the column, and q how sure people, are that one system beats the other. Both are
    one-sided and come from the same sign flips over the sources that both systems answered, at
    least ten. NaN where no two systems share sources.

    Args:
        values: of the column, one an item.
        ratings: the mean rating of each item.
        people: which say the source and the systems of each text.
        seed: of the flips and of the bootstrap.
        draws: sign flips of each test.
        resamples: bootstrap samples of whole sources.
    """
    by_column = _system_differences(values, people)  # [sources, pairs of systems]
    by_people = _system_differences(ratings, people)
    if not by_column.size:
        return IntervalEstimate(np.nan, np.nan, np.nan)
    sources = len(by_column)
    generator = np.random.default_rng(seed)
    # The same flips for column and people, so that p and q differ by what they say, not by chance.
    flips = _draw_flips(generator, draws, sources)
    differences = np.hstack([by_column, by_people])
    # A bootstrap sample of the sources, as how often each was drawn: a source drawn twice has
    # twice the difference, so the sign flips need not be drawn again.
    equal_chances = np.full(sources, 1 / sources)
    drawn = []
    for _ in range(resamples):
        weights = generator.multinomial(sources, equal_chances)
        drawn.append(_accuracy(flips, weights[:, None] * differences))
    observed = _accuracy(flips, differences)
    return with_interval(observed, np.array(drawn), sources)


def _draw_flips(generator: Generator, draws: int, sources: int) -> PackedFlips:
    """Draw whether each source keeps its sign, eight sources a byte."""
    packed = []
    for size in draw_batches(draws, sources):
        signs = generator.choice([-1.0, 1.0], size=(size, sources))
        packed.append(np.packbits(signs > 0, axis=1))
    return np.concatenate(packed)


def _system_differences(values: Vector, people: HumanJudgments) -> Float[np.ndarray, "S P"]:
    """For each source and pair of systems, the difference of their mean values on it.

    It is 0, which no sign flip changes, where one of the two has no text for the source. Pairs that
    share fewer than ten sources are left out.
    """
    index = ClusterIndex(len(people), people.sources)
    written, systems = people.authors.items, people.authors.systems
    names = len(people.authors.names)
    # A source may have several texts of one system: their mean is taken.
    sums = np.zeros((len(index), names))
    counts = np.zeros_like(sums)
    cells = index.numbers[written], systems
    np.add.at(sums, cells, values[written])
    np.add.at(counts, cells, 1)
    # Above the diagonal each pair of systems is met once.
    one, other = np.triu_indices(names, 1)
    has_text = counts > 0
    shared = has_text[:, one] & has_text[:, other]  # [sources, pairs]
    means = sums / np.maximum(counts, 1)
    gaps = means[:, one] - means[:, other]
    differences = np.where(shared, gaps, 0.0)
    enough = shared.sum(axis=0) >= _MIN_SHARED_SOURCES
    return differences[:, enough]


def _accuracy(flips: PackedFlips, differences: Float[np.ndarray, "S PP"]) -> float:
    """Mean of 1 - |p - q| over pairs of systems, the column's differences before the people's."""
    p, q = np.split(_one_sided(flips, differences), 2)
    return float(np.mean(1 - np.abs(p - q)))


def _one_sided(
    flips: PackedFlips, differences: Float[np.ndarray, "S P"]
) -> Float[np.ndarray, " P"]:
    """For each pair, the share of sign flips whose sum is at least the observed one."""
    observed = differences.sum(axis=0)
    as_large = np.zeros(len(observed))
    start = 0
    for size in draw_batches(len(flips), len(differences)):
        bits = np.unpackbits(flips[start : start + size], axis=1, count=len(differences))
        signs = 2.0 * bits - 1
        drawn = signs @ differences  # [flips, pairs]
        as_large += (drawn >= observed - _TIE).sum(axis=0)
        start += size
    return as_large / len(flips)

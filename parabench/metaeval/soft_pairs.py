"""Soft pairwise accuracy: does a column tell systems apart as surely as people do?

Thompson, Mathur, Deutsch and Khayrallah 2024, "Improving Statistical Significance in Human
Evaluation of Automatic Metrics via Soft Pairwise Accuracy".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from parabench.metaeval.correlation import IntervalEstimate, Vector, with_interval
from parabench.metaeval.judgments import RatedText

_MIN_SHARED_SOURCES = 10
"""Two systems are compared on at least so many sources that both answered."""
_TIE = 1e-12
"""Two sums closer than this are equal: sums of the same numbers in another order differ so."""


def soft_pairwise_accuracy(
    values: Vector,
    people: Vector,
    items: Sequence[RatedText],
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
        people: the mean rating of each item.
        items: which say the source and the systems of each text.
        seed: of the flips and of the bootstrap.
        draws: sign flips of each test.
        resamples: bootstrap samples of whole sources.
    """
    by_column = _system_differences(values, items)  # [sources, pairs of systems]
    by_people = _system_differences(people, items)
    sources = len(by_column)
    generator = np.random.default_rng(seed)
    # The same flips for column and people, so that p and q differ by what they say, not by chance.
    signs = generator.choice([-1.0, 1.0], size=(draws, sources))

    def accuracy(weights: Float[np.ndarray, " S"]) -> float:
        p = _one_sided(signs, weights[:, None] * by_column)
        q = _one_sided(signs, weights[:, None] * by_people)
        if not len(p):
            return np.nan
        agreement = 1 - np.abs(p - q)
        return float(np.mean(agreement))

    # A bootstrap sample of the sources, as how often each was drawn: a source drawn twice has
    # twice the difference, so the sign flips need not be drawn again.
    equal_chances = np.full(sources, 1 / sources)
    weights = generator.multinomial(sources, equal_chances, size=resamples)
    drawn = np.array([accuracy(one.astype(float)) for one in weights])
    observed = accuracy(np.ones(sources))
    return with_interval(observed, drawn, sources)


def _system_differences(values: Vector, items: Sequence[RatedText]) -> Float[np.ndarray, "S P"]:
    """For each source and pair of systems, the difference of their mean values on it.

    It is 0, which no sign flip changes, where one of the two has no text for the source. Pairs that
    share fewer than ten sources are left out.
    """
    cluster_names = dict.fromkeys(item.cluster for item in items)
    source_places = {name: place for place, name in enumerate(cluster_names)}
    system_names = sorted({name for item in items for name in item.systems})
    system_places = {name: place for place, name in enumerate(system_names)}
    # A source may have several texts of one system: their mean is taken.
    sums = np.zeros((len(source_places), len(system_places)))
    counts = np.zeros_like(sums)
    for value, item in zip(values, items, strict=True):
        for name in item.systems:
            cell = source_places[item.cluster], system_places[name]
            sums[cell] += value
            counts[cell] += 1
    # Above the diagonal each pair of systems is met once.
    one, other = np.triu_indices(len(system_places), 1)
    has_text = counts > 0
    shared = has_text[:, one] & has_text[:, other]  # [sources, pairs]
    means = sums / np.maximum(counts, 1)
    gaps = means[:, one] - means[:, other]
    differences = np.where(shared, gaps, 0.0)
    enough = shared.sum(axis=0) >= _MIN_SHARED_SOURCES
    return differences[:, enough]


def _one_sided(
    signs: Float[np.ndarray, "R S"], differences: Float[np.ndarray, "S P"]
) -> Float[np.ndarray, " P"]:
    """For each pair, the share of sign flips whose sum is at least the observed one."""
    drawn = signs @ differences  # [flips, pairs]
    observed = differences.sum(axis=0)
    is_as_large = drawn >= observed - _TIE
    return is_as_large.mean(axis=0)

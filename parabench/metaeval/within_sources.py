"""Correlations within single sources, and pairs in order: all sources at once, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from jaxtyping import Float, Int

from parabench.metaeval.resampled import Vector
from parabench.stats.clusters import ClusterIndex

BySource = Float[np.ndarray, " S"]
"""A number for each source."""


@dataclass(frozen=True)
class PairsOfSources:
    """How two vectors order the pairs of items of each of S sources.

    ``agreement`` counts the pairs that both order alike, less those that they order the other way
    round; ``apart_a`` and ``apart_b`` count the pairs whose two numbers differ in one vector.
    ``ranks_a`` and ``ranks_b`` are the ranks of the N items within their source, tied ones sharing
    the mean, counted from the middle: an item has as many below it as above it at 0.
    """

    agreement: BySource
    apart_a: BySource
    apart_b: BySource
    ranks_a: Vector
    ranks_b: Vector

    @classmethod
    def of(cls, a: Vector, b: Vector, index: ClusterIndex) -> PairsOfSources:
        """Compare the items of every pair; ``index`` says which items are of one source."""
        agreement, apart_a, apart_b = np.zeros((3, len(index)))
        ranks_a, ranks_b = np.zeros((2, len(a)))
        for one, other in _pairs(index):
            source = index.numbers[one]
            above_a = np.sign(a[one] - a[other])
            above_b = np.sign(b[one] - b[other])
            agreement += np.bincount(source, above_a * above_b, len(index))
            apart_a += np.bincount(source, above_a != 0, len(index))
            apart_b += np.bincount(source, above_b != 0, len(index))
            # Half a rank up for one of the two, half a rank down for the other.
            for ranks, above in ((ranks_a, above_a), (ranks_b, above_b)):
                ranks[one] += above / 2
                ranks[other] -= above / 2
        return cls(agreement, apart_a, apart_b, ranks_a, ranks_b)


def _pairs(
    index: ClusterIndex,
) -> Iterator[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    """Every two items of one source, in parts in which no item is on one side twice."""
    rows = index.rows(np.arange(len(index)))
    sources = index.numbers[rows]
    # Where the items of each one's source end, among the rows sorted by source.
    ends = np.searchsorted(sources, sources, side="right")
    places = np.arange(len(rows))
    for gap in count(1):
        places = places[places + gap < ends[places]]
        if not len(places):
            return
        yield rows[places], rows[places + gap]


def correlations_within(
    a: Vector,
    b: Vector,
    index: ClusterIndex,
    pairs: PairsOfSources,
) -> dict[str, BySource]:
    """Pearson, Spearman and Kendall's tau-b of the items of each source, by name.

    NaN where the items of a source are all alike in one of the vectors, as a single one is.
    ``index`` says which items are of one source, ``pairs`` how both vectors order them.
    """
    is_constant = (pairs.apart_a == 0) | (pairs.apart_b == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = pairs.agreement / np.sqrt(pairs.apart_a * pairs.apart_b)
    found = {
        "pearson": _pearson(a, b, index),
        "spearman": _pearson(pairs.ranks_a, pairs.ranks_b, index),
        "kendall": tau,
    }
    return {name: np.where(is_constant, np.nan, values) for name, values in found.items()}


def pairwise_accuracy(pairs: PairsOfSources) -> tuple[BySource, BySource]:
    """How many pairs of one source a column (a) orders as people (b) did, and of how many.

    Returns both counts for each source. A tie of the column counts half; pairs that people rated
    alike are left out.
    """
    compared = pairs.apart_b
    # In agreement less against, of those compared: as many halves above one half each.
    agreed = (compared + pairs.agreement) / 2
    return agreed, compared


def _pearson(a: Vector, b: Vector, index: ClusterIndex) -> BySource:
    """Linear correlation within each source; any number where a vector is constant there."""
    centred_a = a - _means(a, index)[index.numbers]
    centred_b = b - _means(b, index)[index.numbers]
    products = _sums(centred_a * centred_b, index)
    squares = _sums(centred_a**2, index) * _sums(centred_b**2, index)
    with np.errstate(invalid="ignore", divide="ignore"):
        return products / np.sqrt(squares)


def _means(values: Vector, index: ClusterIndex) -> BySource:
    return _sums(values, index) / _sums(np.ones(len(values)), index)


def _sums(values: Vector, index: ClusterIndex) -> BySource:
    return np.bincount(index.numbers, values, len(index))

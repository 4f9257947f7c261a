"""Correlations of bootstrap samples, from how often each item was drawn.

Items are sorted once. The ranks of a sample follow from that order and the numbers of draws, so no
sample is built or sorted again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Int32
from scipy import stats

Vector = Float[np.ndarray, " N"]
TimesDrawn = Int[np.ndarray, " N"]
"""How often each item was drawn into a sample."""
Places = Int32[np.ndarray, " M"]
"""Where the number of each of M items, or drawn items, stands among the different ones."""


class ResampledCorrelations:
    """The correlations of two vectors in samples of their items.

    They are those of the vectors in which each item stands as often as it was drawn, and NaN where
    one of these vectors is constant.
    """

    def __init__(self, a: Vector, b: Vector) -> None:
        """Sort both vectors."""
        self._a = _SortedVector(a)
        self._b = _SortedVector(b)

    def correlations(self, draws: TimesDrawn, measures: Sequence[str]) -> list[float]:
        """The ``measures`` of one sample.

        They are ``pearson``, ``spearman`` (tied items share the mean of their ranks) and
        ``kendall`` (tau-b).
        """
        tied_a = self._a.tied(draws)
        tied_b = self._b.tied(draws)
        if min(np.count_nonzero(tied_a), np.count_nonzero(tied_b)) == 1:
            return [np.nan] * len(measures)
        found = []
        for measure in measures:
            if measure == "pearson":
                found.append(_pearson(self._a.centred, self._b.centred, draws))
            elif measure == "spearman":
                found.append(_pearson(self._a.ranks(tied_a), self._b.ranks(tied_b), draws))
            else:
                found.append(self._kendall(draws))
        return found

    def _kendall(self, draws: TimesDrawn) -> float:
        # Only the p-value would differ by the method, and an exact one takes long.
        found = stats.kendalltau(*self._drawn_places(draws), method="asymptotic")
        return float(found.statistic)

    def _drawn_places(self, draws: TimesDrawn) -> tuple[Places, Places]:
        """Both vectors of a sample, as places, in the order of the first."""
        drawn = np.repeat(self._a.order, draws[self._a.order])
        return self._a.places[drawn], self._b.places[drawn]


class _SortedVector:
    """A vector, and what all samples of it share.

    ``places`` are those of its items among its different numbers, in order; ``order`` sorts it.
    """

    def __init__(self, numbers: Vector) -> None:
        distinct, places = np.unique(numbers, return_inverse=True)
        self._distinct = len(distinct)
        # Half the bytes: such arrays are what is held of many items.
        self.places = places.astype(np.int32)
        self.order = np.argsort(self.places, kind="stable").astype(np.int32)
        # Sums of squares of numbers far from 0 would lose digits.
        self.centred = numbers - numbers.mean()

    def tied(self, draws: TimesDrawn) -> Float[np.ndarray, " D"]:
        """How many drawn items have each of the different numbers."""
        return np.bincount(self.places, draws, self._distinct)

    def ranks(self, tied: Float[np.ndarray, " D"]) -> Vector:
        """The rank of each item in a sample; ``tied`` is that of its draws."""
        last = np.cumsum(tied)
        # Tied items have the ranks last - tied + 1 to last.
        mean = last - (tied - 1) / 2
        return mean[self.places]


def _pearson(a: Vector, b: Vector, draws: TimesDrawn) -> float:
    weights = draws / draws.sum()
    a = a - weights @ a
    b = b - weights @ b
    weighted = weights * a
    return float(weighted @ b / np.sqrt((weighted @ a) * (weights @ (b * b))))

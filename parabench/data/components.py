"""Sentences that paraphrase one another, however indirectly: connected components, the unit that a
split may not cut.

A sentence is the 64-bit ``key`` of its normalised form. A component is known by its smallest key,
so nothing here depends on the order in which pairs come. M counts pairs, S different sentences, R
components.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int32, UInt64

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying by it permutes the 64-bit numbers (Knuth's multiplicative hashing)."""


_BLOCK = 1 << 16
"""Sentences looked up at once."""


class Components:
    """The components of a list of pairs, in arrays: at most about 60 bytes a pair while they are
    made.
    """

    def __init__(self, pairs: UInt64[np.ndarray, "M 2"]) -> None:
        """Find them all, each sentence's and each one's size."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        found = np.sort(pairs, axis=None)
        self.sentences: UInt64[np.ndarray, " S"] = found[
            np.append(True, found[1:] != found[:-1])[: len(found)]
        ]
        del found
        ends, count = [self._places(side) for side in pairs.T], len(self.sentences)
        graph = coo_array((np.ones(len(pairs), bool), ends), shape=(count, count))
        components, self.numbers = connected_components(graph, directed=False)
        self.sizes = np.bincount(self.numbers, minlength=components)
        first = np.empty(components, np.int32)
        first[self.numbers[::-1]] = np.arange(
            count - 1, -1, -1, dtype=np.int32
        )  # the last one written stays
        self.roots: UInt64[np.ndarray, " R"] = self.sentences[first]

    def _places(self, sentences: UInt64[np.ndarray, " M"]) -> Int32[np.ndarray, " M"]:
        """Where they stand among all, a block at a time."""
        places = np.empty(len(sentences), np.int32)
        for start in range(0, len(sentences), _BLOCK):
            block = slice(start, start + _BLOCK)
            places[block] = np.searchsorted(self.sentences, sentences[block])
        return places

    def of(self, sentences: Iterable[int]) -> frozenset[int]:
        """The roots of the components in which these sentences stand."""
        places = np.searchsorted(self.sentences, np.array(sorted(sentences), np.uint64))
        return frozenset(self.roots[self.numbers[places]].tolist())

    def members(self, roots: Iterable[int]) -> frozenset[int]:
        """Every sentence of the components with these roots."""
        wanted = np.isin(self.roots, np.array(sorted(roots), np.uint64))
        return frozenset(self.sentences[wanted[self.numbers]].tolist())

    def draw(
        self,
        count: int,
        seed: int,
        barred: frozenset[int],
        among: UInt64[np.ndarray, "m 2"] | None = None,
    ) -> frozenset[int]:
        """Roots of components for about ``count`` pairs, by the seed: none barred, none larger than
        a tenth of it or 6.

        Only those with a sentence ``among`` some pairs, where these are given. A component of n
        sentences holds at least n - 1 pairs.
        """
        fit = (self.sizes <= max(6, count // 10)) & ~np.isin(
            self.roots, np.array(sorted(barred), np.uint64)
        )
        if among is not None:
            touched = np.zeros(len(fit), bool)
            touched[self.numbers[np.searchsorted(self.sentences, among.ravel())]] = True
            fit &= touched
        roots, pairs = self.roots[fit], self.sizes[fit] - 1
        mask = np.random.default_rng(seed).integers(1 << 64, dtype=np.uint64, endpoint=False)
        order = np.argsort((roots ^ mask) * _SPREAD)
        enough = int(np.searchsorted(np.cumsum(pairs[order]), count)) + 1
        return frozenset(roots[order[:enough]].tolist())

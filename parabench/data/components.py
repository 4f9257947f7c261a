"""Sentences that paraphrase one another, however indirectly: connected components, the unit that a
split may not cut.

A sentence is the 64-bit ``key`` of its normalised form. A component is known by its smallest key,
so nothing here depends on the order in which pairs come. M counts pairs, S different sentences, R
components.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt64

from parabench.scratch import blocks, scratch_array, sort_distinct

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying by it permutes the 64-bit numbers (Knuth's multiplicative hashing)."""
_SMALLEST_LIMIT = 6
"""Sentences of a component that may be drawn whatever the number of pairs asked for."""

_Ends = tuple[Int32[np.ndarray, " M"], Int32[np.ndarray, " M"]]
"""The positions of both sentences of each pair."""


class Components:
    """The components of a list of pairs, in scratch arrays.

    ``sentences``: the keys of all, sorted.
    """

    def __init__(self, pairs: UInt64[np.ndarray, "M 2"]) -> None:
        """Find all components."""
        keys = scratch_array(2 * len(pairs), np.uint64)
        for block in blocks(len(pairs)):
            keys[2 * block.start : 2 * block.stop] = pairs[block].ravel()
        self.sentences: UInt64[np.ndarray, " S"] = sort_distinct(keys)
        ends = self._places(pairs[:, 0]), self._places(pairs[:, 1])
        # Sentences are sorted, so the first of a component is its smallest.
        self._firsts = _connect(ends, len(self.sentences))

    def _places(self, sentences: UInt64[np.ndarray, " M"]) -> Int32[np.ndarray, " M"]:
        """Positions among all sentences."""
        places = scratch_array(len(sentences), np.int32)
        for block in blocks(len(sentences)):
            places[block] = np.searchsorted(self.sentences, sentences[block])
        return places

    @cached_property
    def _is_root(self) -> Bool[np.ndarray, " S"]:
        """Whether a sentence is the smallest of its component."""
        return self._firsts == np.arange(len(self._firsts), dtype=np.int32)

    @cached_property
    def roots(self) -> UInt64[np.ndarray, " R"]:
        """The smallest key of each component, sorted."""
        return self.sentences[self._is_root]

    @cached_property
    def numbers(self) -> Int32[np.ndarray, " S"]:
        """The number of each sentence's component, in the order of ``roots``."""
        roots_so_far = np.cumsum(self._is_root, dtype=np.int32)
        return roots_so_far[self._firsts] - 1

    @cached_property
    def sizes(self) -> Int[np.ndarray, " R"]:
        """How many sentences each component has, in the order of ``roots``."""
        return np.bincount(self.numbers, minlength=len(self.roots))

    def roots_of(self, sentences: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
        """The root of the component of each of these ``sentences``, all of which are in a pair."""
        places = np.searchsorted(self.sentences, sentences)
        return self.sentences[self._firsts[places]]

    def of(self, sentences: Iterable[int]) -> frozenset[int]:
        """The roots of the components that hold these sentences."""
        keys = np.array(sorted(sentences), np.uint64)
        return frozenset(self.roots_of(keys).tolist())

    def members(self, roots: Iterable[int]) -> frozenset[int]:
        """Every sentence of the components with these roots."""
        keys = np.array(sorted(roots), np.uint64)
        is_wanted = np.isin(self.roots, keys)
        found = self.sentences[is_wanted[self.numbers]]
        return frozenset(found.tolist())

    def draw(
        self,
        count: int,
        seed: int,
        barred: frozenset[int],
        among: UInt64[np.ndarray, "m 2"] | None = None,
    ) -> frozenset[int]:
        """Draw the roots of components that hold about ``count`` pairs together.

        ``seed``: decides which. ``barred``: roots that are not drawn. ``among``: pairs of which a
        component must hold a sentence; None for any component.

        No component is larger than a tenth of ``count``, or 6 sentences: a large one would be most
        of what is held out. A component of n sentences holds at least n - 1 pairs.
        """
        largest = max(_SMALLEST_LIMIT, count // 10)
        may_be_drawn = self.sizes <= largest
        barred_keys = np.array(sorted(barred), np.uint64)
        may_be_drawn &= ~np.isin(self.roots, barred_keys)
        if among is not None:
            may_be_drawn &= self._holds_any(among)
        roots = self.roots[may_be_drawn]
        pairs = self.sizes[may_be_drawn] - 1
        # Sorting keys under a seeded permutation of the 64-bit numbers shuffles them, and a
        # component keeps its rank relative to the others whatever else is there.
        generator = np.random.default_rng(seed)
        mask = generator.integers(1 << 64, dtype=np.uint64, endpoint=False)
        permuted = (roots ^ mask) * _SPREAD
        order = np.argsort(permuted)
        drawn_so_far = np.cumsum(pairs[order])
        # the component that reaches the count is drawn too
        enough = int(np.searchsorted(drawn_so_far, count)) + 1
        drawn = roots[order[:enough]]
        return frozenset(drawn.tolist())

    def _holds_any(self, pairs: UInt64[np.ndarray, "m 2"]) -> Bool[np.ndarray, " R"]:
        """Whether each component holds a sentence of these pairs."""
        places = np.searchsorted(self.sentences, pairs.ravel())
        numbers = self.numbers[places]
        holds = np.zeros(len(self.roots), bool)
        holds[numbers] = True
        return holds


def _connect(ends: _Ends, count: int) -> Int32[np.ndarray, " S"]:
    """The position of the first sentence of each sentence's component, of ``count`` sentences.

    Every sentence points to one before it or to itself. In each round, where the two ends of a pair
    point to different sentences, the later of these is made to point to the earlier one; then all
    pointers are followed to their end. It takes at most about log(S) squared rounds (Liu and Tarjan
    2019, "Simple concurrent labeling algorithms for connected components", algorithm S).
    """
    firsts = scratch_array(count, np.int32)
    for block in blocks(count):
        firsts[block] = np.arange(block.start, block.stop)
    while _hook(firsts, ends):
        _follow(firsts)
    return firsts


def _hook(firsts: Int32[np.ndarray, " S"], ends: _Ends) -> bool:
    """Let the later of two first sentences of a pair point to the earlier; whether any differed."""
    have_differed = False
    for block in blocks(len(ends[0])):
        one, other = (firsts[side[block]] for side in ends)
        differ = one != other
        if differ.any():
            have_differed = True
            later = np.maximum(one, other)[differ]
            earlier = np.minimum(one, other)[differ]
            # Of several pairs the earliest counts. Those whose pointer is written over differ
            # again in the next round, so that no pair is forgotten.
            np.minimum.at(firsts, later, earlier)
    return have_differed


def _follow(firsts: Int32[np.ndarray, " S"]) -> None:
    """Let every sentence point to the end of its chain of pointers."""
    for block in blocks(len(firsts)):
        # Pointers lead backwards: those of earlier blocks have arrived already.
        while (firsts[firsts[block]] != firsts[block]).any():
            firsts[block] = firsts[firsts[block]]

"""Sentences that paraphrase one another, however indirectly: connected components, the unit that a
split may not cut.

A sentence is the 64-bit ``key`` of its normalised form. A component is known by its smallest key,
so nothing here depends on the order in which pairs come. M counts pairs, S different sentences, R
components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int32, UInt64

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying by it permutes the 64-bit numbers (Knuth's multiplicative hashing)."""
_BLOCK = 1 << 16
"""Sentences looked up at once."""
_FEW_PAIRS = 1_000
"""Pairs up to which importing scipy's graphs takes longer than connecting them here."""
_SMALLEST_LIMIT = 6
"""Sentences of a component that may be drawn whatever the number of pairs asked for."""

_Numbers = tuple[int, Int32[np.ndarray, " S"]]


class Components:
    """The components of a list of pairs, in arrays: at most about 60 bytes a pair while they are
    made.
    """

    def __init__(self, pairs: UInt64[np.ndarray, "M 2"]) -> None:
        """Find all components, and the size of each."""
        # np.unique would hold two more copies of the keys than this
        ordered = np.sort(pairs, axis=None)
        is_first = np.append(True, ordered[1:] != ordered[:-1])
        # append gives one mark too many where there are no pairs
        self.sentences: UInt64[np.ndarray, " S"] = ordered[is_first[: len(ordered)]]
        del ordered
        count = len(self.sentences)
        ends = [self._places(side) for side in pairs.T]
        connect = _connect_few if len(pairs) <= _FEW_PAIRS else _connect
        components, self.numbers = connect(ends, count)
        self.sizes = np.bincount(self.numbers, minlength=components)
        # Sentences are sorted, so the first of a component is its smallest. Written from the last
        # to the first, each component keeps the position that is written last.
        first = np.empty(components, np.int32)
        backwards = np.arange(count - 1, -1, -1, dtype=np.int32)
        first[self.numbers[::-1]] = backwards
        self.roots: UInt64[np.ndarray, " R"] = self.sentences[first]

    def _places(self, sentences: UInt64[np.ndarray, " M"]) -> Int32[np.ndarray, " M"]:
        """Positions among all sentences, a block at a time.

        searchsorted gives 8 bytes a position; 4 are enough, and a block bounds the 8.
        """
        places = np.empty(len(sentences), np.int32)
        for start in range(0, len(sentences), _BLOCK):
            block = slice(start, start + _BLOCK)
            places[block] = np.searchsorted(self.sentences, sentences[block])
        return places

    def of(self, sentences: Iterable[int]) -> frozenset[int]:
        """The roots of the components that hold these sentences."""
        keys = np.array(sorted(sentences), np.uint64)
        places = np.searchsorted(self.sentences, keys)
        roots = self.roots[self.numbers[places]]
        return frozenset(roots.tolist())

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
        may_be_drawn = self.sizes <= max(_SMALLEST_LIMIT, count // 10)
        may_be_drawn &= ~np.isin(self.roots, np.array(sorted(barred), np.uint64))
        if among is not None:
            touched = np.zeros(len(may_be_drawn), bool)
            places = np.searchsorted(self.sentences, among.ravel())
            touched[self.numbers[places]] = True
            may_be_drawn &= touched
        roots = self.roots[may_be_drawn]
        pairs = self.sizes[may_be_drawn] - 1
        # Sorting keys under a seeded permutation of the 64-bit numbers shuffles them, and a
        # component keeps its rank relative to the others whatever else is there.
        mask = np.random.default_rng(seed).integers(
            1 << 64,
            dtype=np.uint64,
            endpoint=False,
        )
        order = np.argsort((roots ^ mask) * _SPREAD)
        drawn_so_far = np.cumsum(pairs[order])
        enough = int(np.searchsorted(drawn_so_far, count)) + 1
        return frozenset(roots[order[:enough]].tolist())


def _connect(ends: Sequence[Int32[np.ndarray, " M"]], count: int) -> _Numbers:
    """How many components ``count`` sentences have, and the number of each sentence's.

    ``ends``: the two sentences of each pair. Components are numbered by their first sentence.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.ones(len(ends[0]), bool)
    graph = coo_array((links, ends), shape=(count, count))
    components, numbers = connected_components(graph, directed=False)
    return components, numbers


def _connect_few(ends: Sequence[Int32[np.ndarray, " M"]], count: int) -> _Numbers:
    """As ``_connect``, by union and find (Tarjan 1975)."""
    parent = list(range(count))

    def find(at: int) -> int:
        while parent[at] != at:
            # each step halves the way for the next search
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for one, other in zip(*(side.tolist() for side in ends), strict=True):
        low, high = sorted((find(one), find(other)))
        # the smaller is the root, so that a root is its component's first sentence
        parent[high] = low
    roots = np.array([find(at) for at in range(count)], np.int32)
    firsts, numbers = np.unique(roots, return_inverse=True)
    return len(firsts), numbers.astype(np.int32)

"""Sentences that paraphrase one another, however indirectly: connected components, the unit that a split may not cut.

A sentence is the 64-bit ``key`` of its normalised form. A component is known by its smallest key, so nothing here
depends on the order in which pairs come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b


class Components:
    """Union-find over keys, about 100 bytes a sentence."""

    def __init__(self) -> None:
        """No sentences yet."""
        self.parents: dict[int, int] = {}

    def join(self, one: int, two: int) -> None:
        """Two sentences are a pair."""
        low, high = sorted((self.root(one), self.root(two)))
        self.parents[high] = low

    def root(self, sentence: int) -> int:
        """The smallest key of a sentence's component."""
        parents = self.parents
        parents.setdefault(sentence, sentence)
        while parents[sentence] != sentence:
            parents[sentence] = sentence = parents[parents[sentence]]
        return sentence

    def members(self, roots: Iterable[int]) -> frozenset[int]:
        """Every sentence of the components with these roots."""
        wanted = frozenset(roots)
        return frozenset(sentence for sentence in list(self.parents) if self.root(sentence) in wanted)

    def draw(self, count: int, seed: int, barred: frozenset[int]) -> frozenset[int]:
        """Roots of components for about ``count`` pairs, by the seed: none barred, none larger than a tenth of it or 6.

        A component of n sentences holds at least n - 1 pairs.
        """
        sizes = Counter(self.root(sentence) for sentence in list(self.parents))
        small = [root for root, size in sizes.items() if root not in barred and size <= max(6, count // 10)]
        small.sort(key=lambda root: blake2b(f"{seed}-{root}".encode(), digest_size=8).digest())
        chosen, pairs = set[int](), 0
        for root in small:
            if pairs >= count:
                break
            chosen.add(root)
            pairs += sizes[root] - 1
        return frozenset(chosen)

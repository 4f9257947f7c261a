"""How often n-grams match by chance: their frequency in the references of other examples.

A text that says the same for every source matches some reference somewhere. As Cohen's kappa does
of two raters (Cohen 1960, "A coefficient of agreement for nominal scales"), matches that such a
text would have too are subtracted: each n-gram of a text costs the share of *other* examples whose
references hold it, and so earns nothing where it fits its own source no better than any other.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Gram = tuple[str, ...]
Grams = frozenset[Gram]

EXAMPLES_READ = 2_000
"""Examples whose references are counted, from the first on; more would fill the memory."""
ORDERS = 4


@dataclass(frozen=True)
class ReferenceFrequency:
    """In how many of ``count`` examples the references hold an n-gram; see ``turn_weights``.

    ``sources`` are those of the examples, folded. N-grams of one example alone are left out.
    """

    examples: Mapping[Gram, float] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    count: int = 0

    def by_chance(self, grams: Grams, source: str, references: Sequence[Grams]) -> list[float]:
        """How many of ``grams`` of each order the references of another example hold on average.

        Args:
            grams: n-grams of a text.
            source: of its example, folded.
            references: n-grams of each of the example's references, the one left out included;
                the example is no other one to itself.
        """
        is_counted = source in self.sources
        others = self.count - is_counted
        if others < 1:
            return [0.0] * ORDERS
        own = turn_weights(references) if is_counted else {}
        shares: list[list[float]] = [[] for _ in range(ORDERS)]
        for gram in grams:
            # ``get`` first: most n-grams are in no table
            if total := self.examples.get(gram):
                shares[len(gram) - 1].append((total - own.get(gram, 0.0)) / others)
        # exactly rounded sums: the order of a set differs from process to process
        return [math.fsum(order) for order in shares]


def turn_weights(references: Sequence[Grams]) -> Mapping[Gram, float]:
    """Each n-gram of some references, with the share of the turns in which one of them holds it.

    In every turn one reference is left out: an n-gram of a single reference is missing in that turn
    alone.
    """
    holders = Counter(gram for grams in references for gram in grams)
    once = (len(references) - 1) / max(1, len(references))
    return {gram: 1.0 if times > 1 else once for gram, times in holders.items()}


def count_references(examples: Iterable[tuple[str, Sequence[Grams]]]) -> ReferenceFrequency:
    """Count n-grams over ``examples``: a folded source, and the n-grams of each reference."""
    totals = defaultdict[Gram, float](float)
    holders = Counter[Gram]()
    sources = []
    for source, references in examples:
        sources.append(source)
        for gram, weight in turn_weights(references).items():
            totals[gram] += weight
            holders[gram] += 1
    shared = {gram: total for gram, total in totals.items() if holders[gram] > 1}
    return ReferenceFrequency(shared, frozenset(sources), len(sources))

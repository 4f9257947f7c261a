"""Whether a sentence is one of the test set's, in the same words or nearly.

Near means a Jaccard similarity of word sets of at least 0.8, found exactly by prefix filtering
(Bayardo et al. 2007): two sets that similar share a word among their first few, in any one order of
all words; here the rarest come first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import ceil

from parabench.contracts import Example
from parabench.data.filters import jaccard, lower_words, sentence_key

NEAR = 0.8


class TestSentences:
    """An index of the sentences that training must not see."""

    __test__ = False

    def __init__(self, texts: Iterable[str]) -> None:
        """Index every text, each once."""
        texts = list(texts)
        sets = {one: None for text in texts if (one := frozenset(lower_words(text)))}
        self.keys = frozenset(map(sentence_key, texts))
        self.frequency = Counter(word for one in sets for word in one)
        self.prefixes: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
        for one in sets:
            for word in self._prefix(one):
                self.prefixes[word].append(one)

    @classmethod
    def of(cls, examples: Sequence[Example]) -> TestSentences:
        """The sources and references of a test set."""
        return cls(text for example in examples for text in (example.source, *example.references))

    def holds(self, text: str) -> bool:
        """Whether the text or one near to it is among them."""
        if sentence_key(text) in self.keys:
            return True
        one = frozenset(lower_words(text))
        if sum(word in self.frequency for word in one) < NEAR * len(one) - 1e-9:
            return False  # a set that near has that many words that occur in some test sentence
        candidates = {other for word in self._prefix(one) for other in self.prefixes.get(word, ())}
        return any(jaccard(set(one), set(other)) >= NEAR for other in candidates)

    def _prefix(self, one: frozenset[str]) -> list[str]:
        order = sorted(one, key=lambda word: (self.frequency[word], word))
        return order[: len(order) - ceil(NEAR * len(order) - 1e-9) + 1]

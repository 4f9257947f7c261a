"""Whether a sentence is one of the test set's, in the same words or nearly.

Near has two meanings. Word sets that differ by one word on either side, of four words or
more, are found by ``near_keys``. Word sets of a Jaccard similarity of at least 0.8, which allows
more changes to a longer sentence, are found exactly by prefix filtering (Bayardo et al. 2007): two
sets that similar share a word among their first few, in any one order of all words; here the rarest
come first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import ceil

from parabench.contracts import Example
from parabench.data.filters import jaccard, lower_words, sentence_key
from parabench.data.near_keys import are_near, near_keys, word_set

NEAR = 0.8
_ROUNDING = 1e-9
"""Taken off a product with ``NEAR``, so that 0.8 x 5, which is 4.000…, does not count as 5."""

_WordSet = frozenset[str]


class TestSentences:
    """An index of the sentences that training must not see."""

    __test__ = False

    def __init__(self, texts: Iterable[str]) -> None:
        """Index every text, each once."""
        texts = list(texts)
        self.keys = frozenset(map(sentence_key, texts))
        # a dict and not a set: its order, and so that of candidates, is the texts' own
        word_sets = dict.fromkeys(_all_words(text) for text in texts)
        # a text without words is near to none
        word_sets.pop(frozenset(), None)
        self.frequency = Counter[str]()
        for words in word_sets:
            self.frequency.update(words)
        # only now, since the rarest words are told by the frequency in all texts
        self.prefixes = defaultdict[str, list[_WordSet]](list)
        for words in word_sets:
            for word in self._prefix(words):
                self.prefixes[word].append(words)

        self._near = defaultdict[int, list[_WordSet]](list)
        for words in set(map(word_set, texts)):
            for key in near_keys(words):
                self._near[key].append(words)

    @classmethod
    def of(cls, examples: Sequence[Example]) -> TestSentences:
        """Index the sources and references of a test set."""
        texts = list[str]()
        for example in examples:
            texts.append(example.source)
            texts += example.references
        return cls(texts)

    def holds(self, text: str) -> bool:
        """Whether the text or one near to it is among them."""
        if sentence_key(text) in self.keys:
            return True
        if self._has_near(word_set(text)):
            return True
        words = _all_words(text)
        known = sum(word in self.frequency for word in words)
        # a set that similar has at least this many words that occur in some test sentence
        if known < NEAR * len(words) - _ROUNDING:
            return False
        candidates = set[_WordSet]()
        for word in self._prefix(words):
            candidates.update(self.prefixes.get(word, ()))
        return any(jaccard(set(words), set(other)) >= NEAR for other in candidates)

    def _has_near(self, words: _WordSet) -> bool:
        """Whether some test sentence differs by one word on either side at most."""
        for key in near_keys(words):
            candidates = self._near.get(key, ())
            # looked at again, since two sets may have one key by chance
            if any(are_near(words, other) for other in candidates):
                return True
        return False

    def _prefix(self, words: _WordSet) -> list[str]:
        """The rarest words, so many that any set near to this one has one of them too.

        Of n words a near set shares at least ceil(0.8 n), so that it cannot miss all of the first
        n - ceil(0.8 n) + 1.
        """
        # the word breaks ties, so that all sets are ordered by the same rule
        order = sorted(words, key=lambda word: (self.frequency[word], word))
        shared = ceil(NEAR * len(order) - _ROUNDING)
        may_be_missed = len(order) - shared
        return order[: may_be_missed + 1]


def _all_words(text: str) -> _WordSet:
    return frozenset(lower_words(text))

"""Keys that find a sentence again when one of its words was changed, added or left out.

A sentence of four different words or more has a key of its set of words, and one of the set without
each of them in turn. Two sets that differ by one word on either side, or on both, have a key in
common, and no other two have but by chance (one in 2^64): the deletion neighbourhood of a
dictionary of misspellings (Mor and Fraenkel 1982; SymSpell), with words in the place of letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

from parabench.data.filters import lower_words

FEWEST_WORDS = 4
"""Different words of the longer of two sentences: of fewer, too many sentences are near."""
_BITS = (1 << 64) - 1


def word_set(text: str) -> frozenset[str]:
    """The different words of a text between its spaces, by their letters and digits alone.

    ``well-known`` and ``didn't`` are a word each, as for whoever changes one.
    """
    normal = unicodedata.normalize("NFKC", text)
    words = set[str]()
    for part in normal.split():
        words.add("".join(lower_words(part)))
    # of a part without letters and digits nothing is left
    words.discard("")
    return frozenset(words)


def near_keys(words: Iterable[str]) -> Iterator[int]:
    """The 64-bit keys of a set of words; none where it is too small for a near one.

    A set of three words has the key of the whole, since one word more makes it four.
    """
    hashes = [_word_hash(word) for word in words]
    if len(hashes) < FEWEST_WORDS - 1:
        return
    # a sum depends on no order, and a word is taken out by a subtraction
    whole = sum(hashes) & _BITS
    yield whole
    if len(hashes) >= FEWEST_WORDS:
        for one in hashes:
            yield (whole - one) & _BITS


def are_near(one: frozenset[str], two: frozenset[str]) -> bool:
    """Whether two sets differ by at most one word on either side: what equal keys stand for."""
    if max(len(one), len(two)) < FEWEST_WORDS:
        return False
    left_out = len(one - two)
    added = len(two - one)
    return left_out <= 1 and added <= 1


@lru_cache(maxsize=1 << 17)
def _word_hash(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    digest = blake2b(data, digest_size=8).digest()
    return int.from_bytes(digest)

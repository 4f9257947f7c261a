"""From rows to pairs: which paraphrases, in which form; rows left out are counted by their
reason.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from parabench.data.corpora import CorpusRow
from parabench.data.normalise import Case, Normaliser
from parabench.data.text_files import SkipCounts

TextPair = tuple[str, str]
_WORD = re.compile(r"[^\W_]+")
"""Letters and digits as ``str.isalnum`` knows them."""


@dataclass(frozen=True)
class Filters:
    """What is kept of a corpus; a bound of 0 words or a ratio of 0 bounds nothing.

    ``near_copy`` is the share of common words (Jaccard) from which a pair counts as a copy,
    ``max_ratio`` how much longer one side may be. ``which`` of a row's paraphrases are paired: the
    first, one at random, or each of them. ``dedup`` remembers eight bytes of every pair of the
    corpus.
    """

    min_score: float = float("-inf")
    max_score: float = float("inf")
    min_words: int = 1
    max_words: int = 0
    max_ratio: float = 0.0
    near_copy: float = 1.0
    which: Literal["first", "random", "all"] = "first"
    case: Case = "keep"
    treebank: bool = False
    dedup: bool = False


def filtered_pairs(
    rows: Iterable[CorpusRow], filters: Filters, tally: SkipCounts, seed: int
) -> Iterator[tuple[int, TextPair]]:
    """Numbered pairs of the rows that pass; the choice at random follows from the seed and the line
    alone.
    """
    normalise, seen = Normaliser(filters.treebank, filters.case), set[int]()
    for row in rows:
        if row.score is not None and not filters.min_score <= row.score <= filters.max_score:
            tally.count("outside the score range", row.line)
            continue
        for text in _chosen(row, filters, seed):
            pair = normalise(row.source), normalise(text)
            reason = _fault(pair, filters) or _repeated(pair, filters, seen)
            if reason:
                tally.count(reason, row.line)
            else:
                tally.kept += 1
                yield row.line, pair


def sentence_key(text: str) -> int:
    """Eight bytes that are equal for sentences alike but for case, spaces and punctuation (``did
    n't``, ``Didn't``).
    """
    letters = "".join(lower_words(unicodedata.normalize("NFKC", text)))
    return int.from_bytes(blake2b(letters.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def lower_words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return _WORD.findall(text.lower())


def jaccard(one: set[str], two: set[str]) -> float:
    """The share of common words among all words of two texts (Jaccard)."""
    return len(one & two) / len(one | two) if one or two else 1.0


def _chosen(row: CorpusRow, filters: Filters, seed: int) -> tuple[str, ...]:
    if filters.which == "all":
        return row.paraphrases
    if filters.which == "first":
        return row.paraphrases[:1]
    return (random.Random(f"{seed}-{row.line}").choice(row.paraphrases),)


def _fault(pair: TextPair, filters: Filters) -> str | None:
    sides = [lower_words(text) for text in pair]
    shorter, longer = sorted(map(len, sides))
    if not shorter:
        return "a side without words"
    if shorter < filters.min_words:
        return "too few words"
    if filters.max_words and longer > filters.max_words:
        return "too many words"
    if filters.max_ratio and longer > filters.max_ratio * shorter:
        return "too unlike in length"
    if "".join(sides[0]) == "".join(sides[1]):
        return "a copy"
    if filters.near_copy < 1 and jaccard(set(sides[0]), set(sides[1])) >= filters.near_copy:
        return "a near copy"
    return None


def _repeated(pair: TextPair, filters: Filters, seen: set[int]) -> str | None:
    if not filters.dedup:
        return None
    mark = hash((sentence_key(pair[0]), sentence_key(pair[1])))
    if mark in seen:
        return "a duplicate"
    seen.add(mark)
    return None

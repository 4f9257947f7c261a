"""From rows of a corpus to pairs: which paraphrases, in which form.

Rows left out are counted by reason. What cannot be judged does not pass: with a bound on the score,
a row whose score is no number is left out and counted.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from parabench.data.corpus_tables import CorpusRow
from parabench.data.normalise import Case, Normaliser
from parabench.data.skipped import SkipCounts

TextPair = tuple[str, str]
_WORD = re.compile(r"[^\W_]+")
"""Letters and digits as ``str.isalnum`` knows them."""


@dataclass(frozen=True)
class Filters:
    """What is kept of a corpus; a bound of 0 words or a ratio of 0 bounds nothing.

    ``min_score``, ``max_score``: the row's own score. ``min_words``: of the shorter side,
    ``max_words``: of the longer. ``max_ratio``: how many times longer one side may be.
    ``near_copy``: the share of common words (Jaccard) from which a pair counts as a copy.
    ``which``: of a row's paraphrases the first, one at random, or each. ``case``, ``treebank``: see
    ``Normaliser``. ``dedup``: leave out pairs that came before, at eight bytes of memory a pair.
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

    @property
    def bounds_score(self) -> bool:
        """Whether rows are left out by their score."""
        return self.min_score > -math.inf or self.max_score < math.inf


def filtered_pairs(
    rows: Iterable[CorpusRow],
    filters: Filters,
    skipped: SkipCounts,
    seed: int,
) -> Iterator[tuple[int, TextPair]]:
    """Numbered pairs of the ``rows`` that pass.

    ``filters``: what passes, and in which form.
    ``skipped``: counts the rows that do not, by reason.
    ``seed``: with the line alone it decides which paraphrase is drawn.
    """
    normalise = Normaliser(filters.treebank, filters.case)
    seen = set[int]()
    for row in rows:
        reason = _score_fault(row.score, filters)
        if reason is not None:
            skipped.count(reason, row.line)
            continue
        for text in _chosen(row, filters, seed):
            # pairs are judged as training reads them: a filter of raw text would pass copies
            pair = normalise(row.source), normalise(text)
            fault = _fault(pair, filters) or _repeated(pair, filters, seen)
            if fault:
                skipped.count(fault, row.line)
            else:
                skipped.kept += 1
                yield row.line, pair


def _score_fault(score: float | None, filters: Filters) -> str | None:
    """Why a row is left out by its score; None where it passes."""
    if not filters.bounds_score:
        return None
    if score is None:
        return "no score"
    # NaN is neither below nor above a bound
    if math.isnan(score):
        return "a score that is no number"
    if not filters.min_score <= score <= filters.max_score:
        return "outside the score range"
    return None


def sentence_key(text: str) -> int:
    """A 64-bit key, equal for sentences that differ in case, spaces and punctuation alone.

    ``did n't`` and ``Didn't`` have one key.
    """
    letters = "".join(lower_words(unicodedata.normalize("NFKC", text)))
    # half a surrogate pair has a key too: whoever reads the text refuses it with its line
    data = letters.encode("utf-8", "surrogatepass")
    digest = blake2b(data, digest_size=8).digest()
    return int.from_bytes(digest)


def lower_words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return _WORD.findall(text.lower())


def jaccard(one: set[str], two: set[str]) -> float:
    """The share of common words among all words of two texts, 0 to 1; 1 for two empty ones."""
    if not one and not two:
        return 1.0
    return len(one & two) / len(one | two)


def _chosen(
    row: CorpusRow,
    filters: Filters,
    seed: int,
) -> tuple[str, ...]:
    if filters.which == "all":
        return row.paraphrases
    if filters.which == "first":
        return row.paraphrases[:1]
    # seeded by the line, so that a choice does not depend on the rows before it
    draw = random.Random(f"{seed}-{row.line}")
    return (draw.choice(row.paraphrases),)


def _fault(pair: TextPair, filters: Filters) -> str | None:
    """Why a pair is left out; None where it passes."""
    left, right = (lower_words(text) for text in pair)
    shorter, longer = sorted((len(left), len(right)))
    if not shorter:
        return "a side without words"
    if shorter < filters.min_words:
        return "too few words"
    if filters.max_words and longer > filters.max_words:
        return "too many words"
    if filters.max_ratio and longer > filters.max_ratio * shorter:
        return "too unlike in length"
    # letters without spaces, so that "did n't" and "didn't" are copies
    if "".join(left) == "".join(right):
        return "a copy"
    # word sets of 1.0 in common may be in another order, which is no copy
    if filters.near_copy < 1 and jaccard(set(left), set(right)) >= filters.near_copy:
        return "a near copy"
    return None


def _repeated(
    pair: TextPair,
    filters: Filters,
    seen: set[int],
) -> str | None:
    if not filters.dedup:
        return None
    source, target = pair
    # the hash of a tuple of integers is the same in every process
    mark = hash((sentence_key(source), sentence_key(target)))
    if mark in seen:
        return "a duplicate"
    seen.add(mark)
    return None

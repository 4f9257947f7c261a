"""chrF and chrF++: overlap of character n-grams, which forgives inflection; as sacrebleu has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.chrf import CHRF

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, need_references
from .overlap import sacrebleu_items
from .parallel import CACHED_TEXTS, EXAMPLES_PER_CALL, Count, count_all

_ORDERS = (6, 8)
"""N-gram orders of chrF (characters 1 to 6) and of chrF++ (the same, and words 1 and 2)."""
_CACHED_NGRAMS = 256
"""Texts whose n-grams are remembered: about 80 kB each."""


@dataclass(frozen=True)
class Chrf:
    """Corpus chrF and chrF++, 0 to 100, each text against the reference it fits best.

    Statistics: (text, reference, matching) n-grams of each order. Popović 2015, 2017;
    mjpost/sacrebleu.
    """

    lowercase: bool = False

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column("chrf", "up", "reference", 1, "F2 of character 1- to 6-grams, best reference"),
            Column("chrf++", "up", "reference", 1, "chrF with word 1- and 2-grams"),
        )

    @property
    def signature(self) -> Signature:
        items = dict(sacrebleu_items(CHRF(lowercase=self.lowercase)))
        # both orders of words that the two columns have
        items["nw"] = "0,2"
        return Signature("chrf", tuple(items.items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 42"]:
        need_references("chrf", examples)
        return count_all(partial(_counter, self.lowercase), examples, texts)

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 42"]
    ) -> Float[np.ndarray, "*draws 2"]:
        sums = statistics.sum(axis=-2)  # [*draws, 42]
        by_order = sums.reshape(*sums.shape[:-1], -1, 3)  # [*draws, 6 + 8, 3]
        plain, plus = np.split(by_order, [_ORDERS[0]], axis=-2)
        scores = [_f_score(plain), _f_score(plus)]
        return np.stack(scores, axis=-1)


def _counter(lowercase: bool) -> Count:
    """Counts of chrF, then of chrF++, by sacrebleu's own functions.

    It has no public names for the n-grams and counts of one text.
    """
    plain = CHRF(word_order=0, lowercase=lowercase)
    plus = CHRF(word_order=2, lowercase=lowercase)

    @lru_cache(_CACHED_NGRAMS)
    def grams(text: str) -> list[Counter[str]]:
        segment = plus._preprocess_segment(text)
        found = plus._extract_reference_info([segment])
        return found["ref_ngrams"][0]

    @lru_cache(CACHED_TEXTS)
    def matched(text: str, reference: str) -> list[int]:
        counts = list[int]()
        # order by order: 1 to 6 characters, then 1 and 2 words
        for own, theirs in zip(grams(text), grams(reference), strict=True):
            counts += plus._get_match_statistics(own, theirs)
        return counts

    def count(text: str, references: Sequence[str]) -> list[float]:
        with_words = [matched(text, reference) for reference in references]
        # the counts of characters come first, three for each order
        characters = [counts[: 3 * _ORDERS[0]] for counts in with_words]
        best_plain = max(characters, key=plain._compute_f_score)
        best_plus = max(with_words, key=plus._compute_f_score)
        return [*best_plain, *best_plus]

    return count


def _f_score(counts: Float[np.ndarray, "*draws O 3"]) -> Float[np.ndarray, "*draws"]:
    """F2 in percent of precision and recall averaged over the orders that both sides have."""
    hypothesis, reference, match = np.moveaxis(counts, -1, 0)
    used = (hypothesis > 0) & (reference > 0)
    orders = used.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(used, match / hypothesis, 0).sum(axis=-1) / orders
        recall = np.where(used, match / reference, 0).sum(axis=-1) / orders
        # F with beta 2: (1 + 4) P R / (4 P + R); nothing in common is 0, as in sacrebleu
        score = 100 * 5 * precision * recall / (4 * precision + recall)
    # without draws the score is a number of numpy's, and no array
    return np.asarray(np.nan_to_num(score))


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``chrf``; option: ``lowercase``. Raises UserError for any other."""
    scorer_options.no_variant("chrf", variant)
    return Chrf(**scorer_options.checked_options("chrf", setting, lowercase=bool))

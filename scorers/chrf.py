"""chrF and chrF++: overlap of character n-grams, which forgives inflection; equal to sacrebleu's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.chrf import CHRF

from parabench.contracts import Column, Example, Scorer, Setting, Signature

from . import options
from .overlap import settings
from .sums import additive, need_references

ORDERS = (6, 8)
"""N-gram orders of chrF (characters 1 to 6) and of chrF++ (the same, and words 1 and 2)."""


@dataclass(frozen=True)
class Chrf:
    """Corpus chrF and chrF++, 0 to 100, each text against the reference it fits best.

    Statistics: (text, reference, matching) n-grams of each order. Popović 2015, 2017; mjpost/sacrebleu.
    """

    lowercase: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column("chrf", "up", "reference", 1, "F2 of character 1- to 6-grams, best reference"),
            Column("chrf++", "up", "reference", 1, "chrF with word 1- and 2-grams"),
        )

    @property
    def signature(self) -> Signature:
        items = dict(settings(CHRF(lowercase=self.lowercase)))
        return Signature("chrf", tuple((items | {"nw": "0,2"}).items()))

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> Float[np.ndarray, "N 42"]:
        need_references("chrf", examples)
        counters = [CHRF(word_order=words, lowercase=self.lowercase) for words in (0, 2)]
        rows = [
            [count for counter in counters for count in _counts(counter, text, example.references)]
            for example, text in zip(examples, texts, strict=True)
        ]
        return np.array(rows, dtype=float)

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 42"]) -> Float[np.ndarray, "*draws 2"]:
        sums = statistics.sum(axis=-2)
        plain, plus = np.split(sums.reshape(*sums.shape[:-1], -1, 3), [ORDERS[0]], axis=-2)
        return np.stack([_f_score(plain), _f_score(plus)], axis=-1)


def _counts(counter: CHRF, text: str, references: Sequence[str]) -> list[float]:
    # sacrebleu has no public name for the counts of one text
    return counter._extract_corpus_statistics([text], [[reference] for reference in references])[0]


def _f_score(counts: Float[np.ndarray, "*draws O 3"]) -> Float[np.ndarray, "*draws"]:
    """F2 in percent of precision and recall averaged over the orders that both sides have."""
    hypothesis, reference, match = np.moveaxis(counts, -1, 0)
    used = (hypothesis > 0) & (reference > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(used, match / hypothesis, 0).sum(axis=-1) / used.sum(axis=-1)
        recall = np.where(used, match / reference, 0).sum(axis=-1) / used.sum(axis=-1)
        return np.nan_to_num(100 * 5 * precision * recall / (4 * precision + recall))


def build(variant: str, setting: Setting) -> Scorer:
    """Build ``chrf``; option: ``lowercase``."""
    options.no_variant("chrf", variant)
    return Chrf(**options.read("chrf", setting, lowercase=bool))

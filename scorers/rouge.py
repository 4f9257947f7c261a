"""ROUGE-1, 2, L and Lsum: precision, recall and F against the best reference, by rouge-score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer
from rouge_score.scoring import Score, fmeasure
from rouge_score.tokenizers import DefaultTokenizer

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options, segment
from .aggregation import additive, mean_of_defined, need_references, values_and_counts
from .parallel import CACHED_TEXTS, EXAMPLES_PER_CALL, Count, count_all

ROUGE_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
ROUGE_PARTS = (("", "fmeasure", "F"), ("-p", "precision", "precision"), ("-r", "recall", "recall"))


@dataclass(frozen=True)
class Rouge:
    """Mean ROUGE in percent; with several references, the one of the best F counts, for each kind
    by itself.

    It reads the letters a-z and digits alone: a reference without any leaves its example undefined,
    never zero. Lin 2004; google-research/google-research, rouge.
    """

    stemmer: bool = False

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            Column(
                kind + suffix, "up", "reference", 1, f"{kind}, {word}, against the best reference"
            )
            for suffix, _, word in ROUGE_PARTS
            for kind in ROUGE_KINDS
        )

    @property
    def signature(self) -> Signature:
        settings = {
            "stemmer": "yes" if self.stemmer else "no",
            "sentences": segment.RULE,
            "refs": "best-f",
            "version": version("rouge-score"),
        }
        return Signature("rouge", tuple(settings.items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 24"]:
        need_references("rouge", examples)
        return values_and_counts(count_all(partial(_counter, self.stemmer), examples, texts))

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 24"]
    ) -> Float[np.ndarray, "*draws 12"]:
        return mean_of_defined(statistics)

    def why(self, example: Example, text: str) -> str:
        """Why an example has no value."""
        return (
            ""
            if any(map(_is_readable, example.references))
            else "no reference holds a letter a-z or a digit"
        )


def _is_readable(reference: str) -> bool:
    return any(c.isascii() and c.isalnum() for c in reference)


def _counter(stemmer: bool) -> Count:
    """Percentages of every part of every kind; rouge-score has no public names for the scores of
    cut-up texts.
    """
    tokenise = DefaultTokenizer(stemmer).tokenize

    @lru_cache(CACHED_TEXTS)
    def lines(text: str) -> list[list[str]]:
        return [tokenise(sentence) for sentence in segment.split_sentences(text)]

    @lru_cache(CACHED_TEXTS)
    def scores(text: str, reference: str) -> list[Score]:
        theirs, own = lines(reference), lines(text)
        flat, flat_own = ([token for line in side for token in line] for side in (theirs, own))
        grams = [
            [rouge_scorer._create_ngrams(side, order) for side in (flat, flat_own)]
            for order in (1, 2)
        ]
        longest = _longest_common(flat, flat_own)
        one_each = (
            len(theirs) < 2 and len(own) < 2
        )  # then the level of the summary is that of the sentence
        summary = longest if one_each else rouge_scorer._summary_level_lcs(theirs, own)
        return [*(rouge_scorer._score_ngrams(*sides) for sides in grams), longest, summary]

    def count(text: str, references: Sequence[str]) -> list[float]:
        readable = [
            reference
            for reference in references
            if any(c.isascii() and c.isalnum() for c in reference)
        ]
        if not readable:
            return [np.nan] * (len(ROUGE_KINDS) * len(ROUGE_PARTS))
        kinds = zip(*(scores(text, reference) for reference in readable), strict=True)
        best = [max(kind, key=lambda score: score.fmeasure) for kind in kinds]
        return [100 * getattr(score, part) for _, part, _ in ROUGE_PARTS for score in best]

    return count


def _longest_common(reference: Sequence[str], text: Sequence[str]) -> Score:
    """ROUGE-L, as rouge-score has it but for the table that it fills in Python."""
    common = LCSseq.similarity(reference, text)
    precision, recall = common / max(1, len(text)), common / max(1, len(reference))
    return Score(precision, recall, fmeasure(precision, recall))


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``rouge``; option: ``stemmer`` (Porter's, as ``ROUGE-1.5.5.pl -m``)."""
    scorer_options.no_variant("rouge", variant)
    return Rouge(**scorer_options.read_options("rouge", setting, stemmer=bool))

"""BERT-iBLEU: the same meaning as the source in other words, without any reference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.bleu import BLEU

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .matching import Matcher, block_texts, build_matcher

LEAST = 1e-5
"""Both terms are kept above this, so that a copy scores almost 0 and the harmonic mean exists."""


@dataclass(frozen=True)
class BertIBleu:
    """Mean over sentences of the harmonic mean of BERTScore and 1 - BLEU, both to the source.

    BERTScore weighs ``beta`` times as much. Between 0 (copies, garbage) and 1. It hardly sees
    disfluency: shuffled words keep their BERTScore and lose their BLEU. Niu et al. 2021,
    "Unsupervised Paraphrasing with Pretrained Language Models", section 4.3.
    """

    matcher: Matcher
    beta: float = 4.0

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "bertibleu",
                "up",
                "source",
                3,
                "harmonic mean of BERTScore (weight 4) and 1 - BLEU, both to source",
            ),
            Column(
                "bertscore-source",
                "up",
                "source",
                4,
                "BERTScore F against the source: 1 is a copy",
            ),
        )

    @property
    def signature(self) -> Signature:
        rules = (
            ("beta", f"{self.beta:g}"),
            ("bleu", "13a,exp,effective-order"),
        )
        return Signature("bertibleu", (*rules, *self.matcher.settings))

    @property
    def encodings(self) -> Hashable:
        """See ``SharesEncodings``."""
        return self.matcher.encodings

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 4"]:
        pairs = [(text, example.source) for example, text in zip(examples, texts, strict=True)]
        meaning = self.matcher.match(pairs, block_texts(examples, texts))[:, 2]  # F
        # a short sentence has no 4-grams: effective order counts the orders that it has
        counter = BLEU(effective_order=True)
        overlaps = []
        for text, source in pairs:
            percent = counter.sentence_score(text, [source]).score
            overlaps.append(percent / 100)
        kept = np.maximum(meaning, LEAST)
        changed = np.maximum(1 - np.array(overlaps), LEAST)
        harmonic = (self.beta + 1) / (self.beta / kept + 1 / changed)
        return values_and_counts(np.column_stack([harmonic, meaning]))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 4"]) -> Float[np.ndarray, "*draws 2"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model."""
        self.matcher.release()


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``bertibleu``; options as for bertscore. Raises UserError as ``build_matcher`` does."""
    scorer_options.no_variant("bertibleu", variant)
    return BertIBleu(build_matcher("bertibleu", setting))

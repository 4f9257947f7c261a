"""Self-BLEU: how much the samples of one source repeat one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.bleu import BLEU

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive
from .overlap import BLEU_STATISTICS, bleu_counter, bleu_options, corpus_bleu, sacrebleu_items
from .parallel import EXAMPLES_PER_CALL, count_all


@dataclass(frozen=True)
class SelfBleu:
    """BLEU of a sample against the others of its source, 0 to 100 where all are the same.

    Undefined where there are no others. Zhu et al. 2018, "Texygen", who take all texts of a system
    together. Silence and garbage repeat themselves least, so it does not rank; more samples repeat
    one another more. Statistics: BLEU's ten counts, and 1 where they are defined.
    """

    tokenize: str = "13a"
    lowercase: bool = False

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "self_bleu", "none", "samples", 1, "corpus BLEU of each sample against the others"
            ),
        )

    @property
    def signature(self) -> Signature:
        own = sacrebleu_items(BLEU(tokenize=self.tokenize, lowercase=self.lowercase))
        return Signature("selfbleu", (("left-out", "each"), *own))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 11"]:
        statistics = np.zeros((len(examples), BLEU_STATISTICS + 1))
        several = [place for place, example in enumerate(examples) if example.samples]
        if several:
            others = [
                replace(examples[place], references=examples[place].samples) for place in several
            ]
            texts_of_several = [texts[place] for place in several]
            begin = partial(bleu_counter, self.tokenize, self.lowercase)
            counts = count_all(begin, others, texts_of_several)
            statistics[several, :BLEU_STATISTICS] = counts
            statistics[several, BLEU_STATISTICS] = 1
        return statistics

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 11"]
    ) -> Float[np.ndarray, "*draws 1"]:
        sums = statistics.sum(axis=-2)
        # the last sum counts the rows with samples; where it is 0, BLEU would be 0, no value
        is_defined = sums[..., BLEU_STATISTICS:] > 0
        score = corpus_bleu(sums[..., :BLEU_STATISTICS])
        return np.where(is_defined, score[..., None], np.nan)

    def why(self, example: Example, text: str) -> str:
        """Why an example has no value."""
        return "one text of each source, and no sample beside it"


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``selfbleu``; options: ``tokenize`` (sacrebleu's names), ``lowercase``.

    Raises UserError for any other option or tokenizer.
    """
    scorer_options.no_variant("selfbleu", variant)
    return SelfBleu(**bleu_options("selfbleu", setting))

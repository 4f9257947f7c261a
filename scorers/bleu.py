"""Corpus BLEU against the references, equal to sacrebleu's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.bleu import BLEU

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, need_references
from .overlap import bleu_counter, bleu_options, corpus_bleu, sacrebleu_items
from .parallel import EXAMPLES_PER_CALL, count_all


@dataclass(frozen=True)
class Bleu:
    """BLEU of a text against its references, 0 to 100; statistics are sacrebleu's ten counts.

    Papineni et al. 2002; Post 2018; mjpost/sacrebleu.
    """

    tokenize: str = "13a"
    lowercase: bool = False

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("bleu", "up", "reference", 1, "corpus BLEU against the references"),)

    @property
    def signature(self) -> Signature:
        counted = BLEU(tokenize=self.tokenize, lowercase=self.lowercase)
        return Signature("bleu", sacrebleu_items(counted))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 10"]:
        need_references("bleu", examples)
        begin = partial(bleu_counter, self.tokenize, self.lowercase)
        return count_all(begin, examples, texts)

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 10"]
    ) -> Float[np.ndarray, "*draws 1"]:
        return corpus_bleu(statistics.sum(axis=-2))[..., None]


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``bleu``; options: ``tokenize`` (sacrebleu's names), ``lowercase``.

    Raises UserError for any other option or tokenizer.
    """
    scorer_options.no_variant("bleu", variant)
    return Bleu(**bleu_options("bleu", setting))

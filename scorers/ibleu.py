"""iBLEU: near the references and far from the source, in one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.bleu import BLEU

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature, UserError

from .aggregation import additive, need_references
from .overlap import BLEU_STATISTICS, bleu_counter, bleu_options, corpus_bleu, sacrebleu_items
from .parallel import EXAMPLES_PER_CALL, count_all


@dataclass(frozen=True)
class IBleu:
    """``alpha * BLEU(text, references) - (1 - alpha) * BLEU(text, source)``, both corpus BLEU.

    Statistics: ten counts against the references, then ten against the source. Sun and Zhou 2012,
    "Joint Learning of a Dual SMT System for Paraphrase Generation", who suggest 0.7 to 0.9; at 0.9
    copying beats people on news text.
    """

    alpha: float = 0.8
    name: str = "ibleu"
    tokenize: str = "13a"
    lowercase: bool = False

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        mixed = Column(
            self.name,
            "up",
            "both",
            1,
            f"{self.alpha:g} BLEU against references - the rest against source",
        )
        overlap = Column(
            "src_bleu", "down", "source", 1, "corpus BLEU against the source: 100 is a copy"
        )
        return (mixed, overlap) if self.name == "ibleu" else (mixed,)

    @property
    def signature(self) -> Signature:
        counted = BLEU(tokenize=self.tokenize, lowercase=self.lowercase)
        items = (("alpha", f"{self.alpha:g}"), *sacrebleu_items(counted))
        return Signature(self.name, items)

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 20"]:
        need_references(self.name, examples)
        begin = partial(bleu_counter, self.tokenize, self.lowercase)
        sources = [replace(example, references=(example.source,)) for example in examples]
        to_references = count_all(begin, examples, texts)
        to_sources = count_all(begin, sources, texts)
        return np.hstack([to_references, to_sources])

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 20"]
    ) -> Float[np.ndarray, "*draws C"]:
        sums = statistics.sum(axis=-2)
        near = corpus_bleu(sums[..., :BLEU_STATISTICS])
        copied = corpus_bleu(sums[..., BLEU_STATISTICS:])
        mixed = self.alpha * near - (1 - self.alpha) * copied
        # a variant has no column `src_bleu`, which is the same for every alpha
        values = [mixed, copied][: len(self.columns)]
        return np.stack(values, axis=-1)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``ibleu`` (alpha 0.8) or ``ibleu-0.7``; options: ``tokenize``, ``lowercase``.

    Raises UserError for any other option, and where the ``variant`` is no weight.
    """
    given = bleu_options("ibleu", setting)
    if not variant:
        return IBleu(**given)
    return IBleu(_alpha(variant), f"ibleu-{variant}", **given)


def _alpha(variant: str) -> float:
    try:
        alpha = float(variant)
    except ValueError:
        # refused below, with the numbers out of range
        alpha = -1.0
    if not 0 <= alpha <= 1:
        raise UserError(
            f"use the scorer ibleu-{variant}",
            f"{variant!r} is no weight from 0 to 1",
            ["ibleu-0.7"],
        )
    return alpha

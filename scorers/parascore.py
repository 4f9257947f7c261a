"""ParaScore: likeness in meaning to the source or a reference, and a bonus for other characters."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, mean_of_defined, need_references, values_and_counts
from .edits import divergence
from .matching import Matcher, block_texts, build_matcher


@dataclass(frozen=True)
class ParaScore:
    """``max(BERTScore to source, best BERTScore to a reference) + omega * DS``.

    The free form leaves references out. ``gamma`` and ``omega`` are the divergence term's: see
    ``divergence``. With the published weights the divergence term lies between -0.05 and 0.0175, so
    a copy, at 0.95, is rarely beaten. Shen et al. 2022, "On the Evaluation Metrics for Paraphrase
    Generation"; shadowkiller33/ParaScore.
    """

    matcher: Matcher
    gamma: float = 0.35
    omega: float = 0.05

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "parascore",
                "up",
                "both",
                4,
                "best BERTScore to source or reference, plus 0.05 of divergence",
            ),
            Column(
                "parascore-free",
                "up",
                "source",
                4,
                "BERTScore to the source, plus 0.05 of divergence",
            ),
        )

    @property
    def signature(self) -> Signature:
        weights = (
            ("gamma", f"{self.gamma:g}"),
            ("omega", f"{self.omega:g}"),
        )
        return Signature("parascore", (*weights, *self.matcher.settings))

    @property
    def encodings(self) -> Hashable:
        """See ``SharesEncodings``."""
        return self.matcher.encodings

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 4"]:
        need_references("parascore", examples)
        pairs = list[tuple[str, str]]()
        starts = []
        divergences = []
        for example, text in zip(examples, texts, strict=True):
            # of each example the source first, then its references
            starts.append(len(pairs))
            pairs += [(text, other) for other in (example.source, *example.references)]
            divergences.append(divergence(example.source, text, self.gamma))
        first = np.array(starts, dtype=int)
        meaning = self.matcher.match(pairs, block_texts(examples, texts))[:, 2]  # F
        bonus = self.omega * np.array(divergences)
        best = np.maximum.reduceat(meaning, first)
        return values_and_counts(np.column_stack([best + bonus, meaning[first] + bonus]))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 4"]) -> Float[np.ndarray, "*draws 2"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model."""
        self.matcher.release()


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``parascore``; options as for bertscore. Raises UserError as ``build_matcher`` does."""
    scorer_options.no_variant("parascore", variant)
    return ParaScore(build_matcher("parascore", setting))

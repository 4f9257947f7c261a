"""ParaScore: like the source or a reference in meaning, with a small bonus for different
characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, mean_of_defined, need_references, values_and_counts
from .edits import divergence
from .matching import Matcher, build_matcher


@dataclass(frozen=True)
class ParaScore:
    """``max(BERTScore to source, best BERTScore to a reference) + omega * DS``; the free form
    leaves references out.

    With the published weights the divergence term lies between -0.05 and 0.0175, so a copy, at
    0.95, is rarely beaten. Shen et al. 2022, "On the Evaluation Metrics for Paraphrase Generation";
    shadowkiller33/ParaScore.
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
        weights = (("gamma", f"{self.gamma:g}"), ("omega", f"{self.omega:g}"))
        return Signature("parascore", (*weights, *self.matcher.settings))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 4"]:
        need_references("parascore", examples)
        rows = list(zip(examples, texts, strict=True))
        pairs = [
            (text, other)
            for example, text in rows
            for other in (example.source, *example.references)
        ]
        starts = np.cumsum([0, *(1 + len(example.references) for example in examples)])[:-1]
        meaning = self.matcher.match(pairs)[:, 2]
        bonus = self.omega * np.array(
            [divergence(example.source, text, self.gamma) for example, text in rows]
        )
        return values_and_counts(
            np.column_stack([np.maximum.reduceat(meaning, starts) + bonus, meaning[starts] + bonus])
        )

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 4"]) -> Float[np.ndarray, "*draws 2"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Let go of the model."""
        self.matcher.release()


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``parascore``; options as for bertscore."""
    scorer_options.no_variant("parascore", variant)
    return ParaScore(build_matcher("parascore", setting))

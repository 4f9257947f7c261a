"""BERTScore: how well each token of a text finds a similar one in a reference, and in reverse."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, mean_of_defined, need_references, values_and_counts
from .matching import Matcher, block_texts, build_matcher

_COLUMNS = (
    Column("bertscore", "up", "reference", 4, "F of soft token matching, best reference"),
    Column("bertscore-p", "up", "reference", 4, "precision of soft token matching, best reference"),
    Column("bertscore-r", "up", "reference", 4, "recall of soft token matching, best reference"),
)


@dataclass(frozen=True)
class BertScore:
    """Mean BERTScore, at most 1.

    F, precision and recall are each the best over the references, as in bert-score. Zhang et al.
    2020; Tiiiger/bert_score 0.3.13.
    """

    matcher: Matcher

    @property
    def columns(self) -> tuple[Column, ...]:
        return _COLUMNS

    @property
    def signature(self) -> Signature:
        rules = (
            ("refs", "best"),
            ("version", "0.3.13"),
        )
        return Signature("bertscore", (*self.matcher.settings, *rules))

    @property
    def encodings(self) -> Hashable:
        """See ``SharesEncodings``."""
        return self.matcher.encodings

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 6"]:
        need_references("bertscore", examples)
        pairs = list[tuple[str, str]]()
        starts = []
        for example, text in zip(examples, texts, strict=True):
            starts.append(len(pairs))
            pairs += [(text, reference) for reference in example.references]
        # the maximum from each example's start up to the next one's
        matched = self.matcher.match(pairs, block_texts(examples, texts))
        best = np.maximum.reduceat(matched, np.array(starts, dtype=int))
        # a match is (precision, recall, F); the columns begin with F
        return values_and_counts(best[:, [2, 0, 1]])

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 6"]) -> Float[np.ndarray, "*draws 3"]:
        return mean_of_defined(statistics)

    def release(self) -> None:
        """Free the model."""
        self.matcher.release()


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``bertscore``; options: ``model`` with its ``layers``, ``idf``, ``baseline``.

    Raises UserError as ``build_matcher`` does.
    """
    scorer_options.no_variant("bertscore", variant)
    return BertScore(build_matcher("bertscore", setting))

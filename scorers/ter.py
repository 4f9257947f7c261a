"""TER: word edits and shifts that turn a text into its nearest reference, as sacrebleu has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.lib_ter import translation_edit_rate
from sacrebleu.metrics.ter import TER

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, need_references
from .overlap import sacrebleu_items
from .parallel import CACHED_TEXTS, EXAMPLES_PER_CALL, Count, count_all
from .segment import uncached

MAX_SHIFT_WORDS = 200
"""Words up to which shifts are searched for, as in sacrebleu: two texts of 10,000 characters would
take minutes.
"""


@dataclass(frozen=True)
class Ter:
    """Corpus TER: edits over mean reference length, in percent; 0 is a perfect match.

    There is no upper end. In texts of more than ``MAX_SHIFT_WORDS`` words a shift counts as the
    words it deletes and inserts.

    Snover et al. 2006; mjpost/sacrebleu.
    """

    normalized: bool = False
    case_sensitive: bool = False

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "ter",
                "down",
                "reference",
                1,
                "edits to the nearest reference, per 100 reference words",
            ),
        )

    @property
    def signature(self) -> Signature:
        shifts = ("shifts", f"to-{MAX_SHIFT_WORDS}-words")
        return Signature("ter", (*sacrebleu_items(self._metric()), shifts))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 2"]:
        need_references("ter", examples)
        return count_all(partial(_counter, self._metric()), examples, texts)

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        sums = statistics.sum(axis=-2)
        edits, length = np.moveaxis(sums, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            # of empty references any edit is 100 %, as in sacrebleu
            score = np.where(length > 0, edits / length, edits > 0)
        return 100 * score[..., None]

    def _metric(self) -> TER:
        return TER(normalized=self.normalized, case_sensitive=self.case_sensitive)


def _counter(metric: TER) -> Count:
    """The fewest edits to any reference, and the mean length of the references."""
    metric.tokenizer = uncached(metric.tokenizer)  # type: ignore[assignment]
    cut = metric._preprocess_segment

    @lru_cache(CACHED_TEXTS)
    def edits(text: str, reference: str) -> tuple[int, int]:
        words = cut(text).split()
        kept = cut(reference).split()
        # shifts are tried one by one, which is cubic in the number of words
        if max(len(words), len(kept)) > MAX_SHIFT_WORDS:
            return Levenshtein.distance(words, kept), len(kept)
        return translation_edit_rate(words, kept)

    def count(text: str, references: Sequence[str]) -> list[float]:
        of_references = [edits(text, reference) for reference in references]
        numbers, lengths = zip(*of_references, strict=True)
        return [min(numbers), sum(lengths) / len(lengths)]

    return count


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``ter``; options: ``normalized``, ``case_sensitive``. Raises UserError for others."""
    scorer_options.no_variant("ter", variant)
    given = scorer_options.checked_options("ter", setting, normalized=bool, case_sensitive=bool)
    return Ter(**given)

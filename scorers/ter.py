"""TER: how many word edits and shifts turn the text into the nearest reference; equal to sacrebleu's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.ter import TER

from parabench.contracts import Column, Example, Scorer, Setting, Signature

from . import options
from .distinct import once_each
from .overlap import settings
from .sums import additive, need_references


@dataclass(frozen=True)
class Ter:
    """Corpus TER: edits over mean reference length, in percent; 0 is a perfect match and there is no upper end.

    Snover et al. 2006; mjpost/sacrebleu.
    """

    normalized: bool = False
    case_sensitive: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("ter", "down", "reference", 1, "edits to the nearest reference, per 100 reference words"),)

    @property
    def signature(self) -> Signature:
        return Signature("ter", settings(self._counter()))

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> Float[np.ndarray, "N 2"]:
        need_references("ter", examples)
        pairs = [(text, r) for example, text in zip(examples, texts, strict=True) for r in example.references]
        edits, lengths = once_each(pairs, self._edits).T
        counts = [len(example.references) for example in examples]
        starts = np.cumsum([0, *counts])[:-1]
        return np.column_stack([np.minimum.reduceat(edits, starts), np.add.reduceat(lengths, starts) / counts])

    def _edits(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "M 2"]:
        counter = self._counter()
        scores = [counter.sentence_score(text, [reference]) for text, reference in pairs]
        return np.array([[score.num_edits, score.ref_length] for score in scores], dtype=float)

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        edits, length = np.moveaxis(statistics.sum(axis=-2), -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(length > 0, edits / length, edits > 0)
        return 100 * score[..., None]

    def _counter(self) -> TER:
        return TER(normalized=self.normalized, case_sensitive=self.case_sensitive)


def build(variant: str, setting: Setting) -> Scorer:
    """Build ``ter``; options: ``normalized``, ``case_sensitive``."""
    options.no_variant("ter", variant)
    return Ter(**options.read("ter", setting, normalized=bool, case_sensitive=bool))

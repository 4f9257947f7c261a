"""ROUGE-1, 2, L and Lsum: precision, recall and F against the best reference, by rouge-score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from jaxtyping import Float
from rouge_score.rouge_scorer import RougeScorer

from parabench.contracts import Column, Example, Scorer, Setting, Signature

from . import options, segment
from .sums import additive, as_sums, means, need_references

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PARTS = (("", "fmeasure", "F"), ("-p", "precision", "precision"), ("-r", "recall", "recall"))


@dataclass(frozen=True)
class Rouge:
    """Mean ROUGE in percent; with several references, the one of the best F counts, for each kind by itself.

    It reads the letters a-z and digits alone: a reference without any leaves its example undefined, never zero.
    Lin 2004; google-research/google-research, rouge.
    """

    stemmer: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            Column(kind + suffix, "up", "reference", 1, f"{kind}, {word}, against the best reference")
            for suffix, _, word in PARTS
            for kind in KINDS
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

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> Float[np.ndarray, "N 24"]:
        need_references("rouge", examples)
        scorer = RougeScorer(KINDS, use_stemmer=self.stemmer)
        rows = [_row(scorer, example.references, text) for example, text in zip(examples, texts, strict=True)]
        return as_sums(np.array(rows, dtype=float))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 24"]) -> Float[np.ndarray, "*draws 12"]:
        return means(statistics)

    def why(self, example: Example, text: str) -> str:
        """Why an example has no value."""
        return "" if any(map(_is_readable, example.references)) else "no reference holds a letter a-z or a digit"


def _is_readable(reference: str) -> bool:
    return any(c.isascii() and c.isalnum() for c in reference)


def _row(scorer: RougeScorer, references: Sequence[str], text: str) -> list[float]:
    readable = [_by_line(reference) for reference in references if _is_readable(reference)]
    if not readable:
        return [np.nan] * (len(KINDS) * len(PARTS))
    best = scorer.score_multi(readable, _by_line(text))
    return [100 * getattr(best[kind], part) for _, part, _ in PARTS for kind in KINDS]


def _by_line(text: str) -> str:
    return "\n".join(segment.split_sentences(text))


def build(variant: str, setting: Setting) -> Scorer:
    """Build ``rouge``; option: ``stemmer`` (Porter's, as ``ROUGE-1.5.5.pl -m``)."""
    options.no_variant("rouge", variant)
    return Rouge(**options.read("rouge", setting, stemmer=bool))

"""Divergence: how far a text has moved from its source, in new n-grams and in edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, mean_of_defined, values_and_counts
from .edits import normalised_edits
from .segment import lower_tokens

_ORDERS = 4


@dataclass(frozen=True)
class Divergence:
    """Means over examples, in percent: 0 is a copy. Garbage scores highest, so no column here can
    rank by itself.

    PINC: Chen and Dolan 2011, over the orders that the text has; it does not see deletions. The
    edit distances are Levenshtein's over the longer text.
    """

    tokenize: str = "13a"

    @property
    def columns(self) -> tuple[Column, ...]:
        novelty = (
            Column(
                f"novelty{n}",
                "up",
                "source",
                1,
                f"share of the text's {n}-grams that the source has not",
            )
            for n in (1, 2)
        )
        return (
            Column("pinc", "up", "source", 1, "mean share of new n-grams over orders 1 to 4"),
            Column("ned", "up", "source", 1, "character edits over the longer text"),
            Column("ned-words", "up", "source", 1, "word edits over the longer text"),
            *novelty,
        )

    @property
    def signature(self) -> Signature:
        return Signature(
            "divergence", (("tok", self.tokenize), ("case", "lc"), ("ned", "cased-characters"))
        )

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 10"]:
        rows = [
            _row(example.source, text, self.tokenize)
            for example, text in zip(examples, texts, strict=True)
        ]
        return values_and_counts(100 * np.array(rows))

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 10"]
    ) -> Float[np.ndarray, "*draws 5"]:
        return mean_of_defined(statistics)


def _row(source: str, text: str, tokenize: str) -> list[float]:
    before, after = lower_tokens(source, tokenize), lower_tokens(text, tokenize)
    new = [_novelty(before, after, order) for order in range(1, _ORDERS + 1)][: max(1, len(after))]
    edits = [normalised_edits(source, text), normalised_edits(before, after)]
    return [sum(new) / len(new), *edits, *[*new, 0.0][:2]]


def _novelty(before: Sequence[str], after: Sequence[str], order: int) -> float:
    """The share of the distinct n-grams of ``after`` that are not in ``before``; 0 where it has
    none.
    """
    old, new = (
        set(zip(*(side[start:] for start in range(order)), strict=False))
        for side in (before, after)
    )
    return len(new - old) / len(new) if new else 0.0


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``divergence``; option: ``tokenize`` (13a or none)."""
    scorer_options.no_variant("divergence", variant)
    given = scorer_options.read_options("divergence", setting, tokenize=str)
    scorer_options.choose("divergence", "tokenize", given.get("tokenize", "13a"), ("13a", "none"))
    return Divergence(**given)

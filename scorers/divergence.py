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
from .segment import lower_tokens, ngrams

_ORDERS = 4


@dataclass(frozen=True)
class Divergence:
    """Means over examples, in percent: 0 is a copy.

    Garbage scores highest, so no column here can rank by itself. PINC: Chen and Dolan 2011, over
    the orders that the text has; it does not see deletions. The edit distances are Levenshtein's
    over the longer text.
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
    """PINC, character edits, word edits, and novelty of orders 1 and 2, each from 0 to 1."""
    before = lower_tokens(source, tokenize)
    after = lower_tokens(text, tokenize)
    # a text of two words has no order 3, and an empty one counts as order 1 without anything new
    orders = min(_ORDERS, max(1, len(after)))
    novelty = [_novelty(before, after, order) for order in range(1, orders + 1)]
    pinc = sum(novelty) / orders
    characters = normalised_edits(source, text)
    words = normalised_edits(before, after)
    novelty2 = novelty[1] if orders > 1 else 0.0
    return [pinc, characters, words, novelty[0], novelty2]


def _novelty(before: Sequence[str], after: Sequence[str], order: int) -> float:
    """The share of distinct n-grams of ``after`` that ``before`` has not; 0 where it has none."""
    old = set(ngrams(before, order))
    new = set(ngrams(after, order))
    if not new:
        return 0.0
    return len(new - old) / len(new)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``divergence``; option: ``tokenize`` (13a or none). Raises UserError for any other."""
    scorer_options.no_variant("divergence", variant)
    given = scorer_options.checked_options("divergence", setting, tokenize=str)
    chosen = given.get("tokenize", "13a")
    scorer_options.choose("divergence", "tokenize", chosen, ("13a", "none"))
    return Divergence(**given)

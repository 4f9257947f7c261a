"""SARI: are the words that were added, kept and deleted the ones that the references add, keep and
delete?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive, need_references
from .segment import lower_tokens

_ORDERS = 4

Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Sari:
    """SARI, 0 to 100: the mean score of additions, keeps and deletions, over n-grams of order 1 to
    4.

    The variants differ by several points. ``sari`` sums counts over the corpus, then averages F1
    over orders, with F1 for deletions too (feralvam/easse). ``sari-sentence`` is the mean over
    sentences of the first definition, with precision for deletions, on texts cut at spaces (Xu et
    al. 2016; cocoxu/simplification). Neither has its floor at 0: an empty text scores about 25.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "sari",
                "up",
                "both",
                1,
                "F1 of added, kept and deleted n-grams; an empty text scores about 25",
            ),
            Column("sari-sentence", "up", "both", 1, "mean over sentences of the original SARI"),
        )

    @property
    def signature(self) -> Signature:
        items = {
            "corpus": "macro,deletion-f1,13a",
            "sentence": "deletion-precision,spaces",
            "case": "lc",
        }
        return Signature("sari", tuple(items.items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 38"]:
        need_references("sari", examples)
        rows = [
            [
                *(count for row in _operations(example, text, "13a") for count in row[:3]),
                _sentence(example, text),
                1,
            ]
            for example, text in zip(examples, texts, strict=True)
        ]
        return np.array(rows, dtype=float)

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 38"]
    ) -> Float[np.ndarray, "*draws 2"]:
        sums = statistics.sum(axis=-2)
        right, done, wanted = np.moveaxis(
            sums[..., :-2].reshape(*sums.shape[:-1], 3 * _ORDERS, 3), -1, 0
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            f1 = np.nan_to_num(2 * right / (done + wanted))
            return np.stack([100 * f1.mean(axis=-1), sums[..., -2] / sums[..., -1]], axis=-1)


class Operation(NamedTuple):
    """One kind of edit at one order: n-grams rightly edited, edited, to be edited; then the
    original's two ratios.
    """

    right: float
    done: float
    wanted: float
    precision: float
    recall: float


def _operations(example: Example, text: str, tokenize: str) -> list[Operation]:
    """Additions, keeps and deletions of each order; a weighted n-gram counts once for each
    reference that agrees.
    """
    sides = [lower_tokens(side, tokenize) for side in (example.source, text, *example.references)]
    found = []
    for order in range(1, _ORDERS + 1):
        source, hypothesis, *references = (_grams(side, order) for side in sides)
        wanted: Grams = sum(references, Counter())
        weighted, weighed = (_times(side, len(references)) for side in (source, hypothesis))
        found += [
            _operation(
                Counter(hypothesis.keys() - source.keys()), Counter(wanted.keys() - source.keys())
            ),
            _operation(weighted & weighed, weighted & wanted),
            _operation(weighted - weighed, weighted - wanted, weighted - weighed - wanted),
        ]
    return found


def _operation(done: Grams, wanted: Grams, original: Grams | None = None) -> Operation:
    """``original`` is what the first definition holds for right, where it differs: deletions of
    repeated n-grams.
    """
    right = done & wanted
    good = right if original is None else original
    precision = sum(good[gram] / done[gram] for gram in good) / max(1, len(done))
    recall = sum(good[gram] / wanted[gram] for gram in good) / max(1, len(wanted))
    return Operation(right.total(), done.total(), wanted.total(), precision, recall)


def _sentence(example: Example, text: str) -> float:
    """The original's sentence score in percent: F of additions and keeps, precision of
    deletions.
    """
    operations = _operations(example, text, "none")
    scores = [_f1(row) for kind in (0, 1) for row in operations[kind::3]] + [
        row.precision for row in operations[2::3]
    ]
    return 100 * sum(scores) / len(scores)


def _f1(row: Operation) -> float:
    return 2 * row.precision * row.recall / (row.precision + row.recall) if row.right else 0.0


def _times(grams: Grams, factor: int) -> Grams:
    return Counter({gram: count * factor for gram, count in grams.items()})


def _grams(tokens: Sequence[str], order: int) -> Grams:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``sari``; it has no options."""
    scorer_options.no_variant("sari", variant)
    return Sari(**scorer_options.read_options("sari", setting))

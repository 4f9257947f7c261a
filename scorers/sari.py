"""SARI: F1 of the n-grams that a text adds, keeps and deletes, as its references do."""

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
from .segment import lower_tokens, ngrams

_ORDERS = 4

GramCounts = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Sari:
    """SARI, 0 to 100: the mean score of added, kept and deleted n-grams of orders 1 to 4.

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
        rows = []
        for example, text in zip(examples, texts, strict=True):
            counts = list[float]()
            for operation in _operations(example, text, "13a"):
                counts += [operation.right, operation.done, operation.wanted]
            rows.append([*counts, _sentence(example, text), 1])
        return np.array(rows, dtype=float)

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 38"]
    ) -> Float[np.ndarray, "*draws 2"]:
        sums = statistics.sum(axis=-2)
        # three counts of each operation of each order, then the sentence scores and their number
        counts = sums[..., :-2].reshape(*sums.shape[:-1], 3 * _ORDERS, 3)
        right, done, wanted = np.moveaxis(counts, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            # nothing to do and nothing done: 0, as in EASSE
            f1 = np.nan_to_num(2 * right / (done + wanted))
            corpus = 100 * f1.mean(axis=-1)
            sentence = sums[..., -2] / sums[..., -1]
        return np.stack([corpus, sentence], axis=-1)


class Operation(NamedTuple):
    """One kind of edit at one order: how many n-grams were edited, and how well.

    ``right`` n-grams are rightly edited, ``done`` edited, ``wanted`` to be edited; ``precision``
    and ``recall`` are those of the first definition.
    """

    right: float
    done: float
    wanted: float
    precision: float
    recall: float


def _operations(example: Example, text: str, tokenize: str) -> list[Operation]:
    """Additions, keeps and deletions of each order."""
    texts = (example.source, text, *example.references)
    sides = [lower_tokens(side, tokenize) for side in texts]
    operations = []
    for order in range(1, _ORDERS + 1):
        source, hypothesis, *references = [Counter(ngrams(side, order)) for side in sides]
        wanted: GramCounts = sum(references, Counter())
        # a kept or deleted n-gram counts once for each reference that agrees, so that source and
        # hypothesis count as often as there are references; an added one counts once
        before = _times(source, len(references))
        after = _times(hypothesis, len(references))
        added = Counter(hypothesis.keys() - source.keys())
        to_add = Counter(wanted.keys() - source.keys())
        deleted = before - after
        operations += [
            _operation(added, to_add),
            _operation(before & after, before & wanted),
            _operation(deleted, before - wanted, deleted - wanted),
        ]
    return operations


def _operation(
    done: GramCounts, wanted: GramCounts, original: GramCounts | None = None
) -> Operation:
    """Compare what was ``done`` with what was ``wanted``.

    ``original`` is what the first definition takes for right, where it differs: deletions of
    repeated n-grams.
    """
    right = done & wanted
    good = right if original is None else original
    # the first definition averages over distinct n-grams
    shares_of_done = [good[gram] / done[gram] for gram in good]
    shares_of_wanted = [good[gram] / wanted[gram] for gram in good]
    precision = sum(shares_of_done) / max(1, len(done))
    recall = sum(shares_of_wanted) / max(1, len(wanted))
    return Operation(right.total(), done.total(), wanted.total(), precision, recall)


def _sentence(example: Example, text: str) -> float:
    """The original's sentence score in percent: F of additions and keeps, precision of
    deletions.
    """
    operations = _operations(example, text, "none")
    # every third one is an addition, beginning with the first; then keeps, then deletions
    additions = [_f1(one) for one in operations[0::3]]
    keeps = [_f1(one) for one in operations[1::3]]
    deletions = [one.precision for one in operations[2::3]]
    scores = [*additions, *keeps, *deletions]
    return 100 * sum(scores) / len(scores)


def _f1(row: Operation) -> float:
    if not row.right:
        return 0.0
    return 2 * row.precision * row.recall / (row.precision + row.recall)


def _times(grams: GramCounts, factor: int) -> GramCounts:
    return Counter({gram: count * factor for gram, count in grams.items()})


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``sari``; it has no options, and raises UserError for any."""
    scorer_options.no_variant("sari", variant)
    return Sari(**scorer_options.checked_options("sari", setting))

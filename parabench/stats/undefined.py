"""Where a scorer gives an example no value, and why.

A scorer that leaves examples out on purpose may say so: ``why(example, text)`` returns the reason,
empty where it knows of none. What remains is a number that is none: NaN or an infinity, from a
model or from a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from parabench.contracts import NOT_FINITE, Example, Scorer, undefined_reason
from parabench.stats.arrays import SeedMean, SystemStatistics, corpus_value, per_example, row_slices

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def undefined_counts(scorer: Scorer, rows: SystemStatistics) -> list[int]:
    """How many examples have no value in each column; 0 for a column that only many examples
    together have.
    """
    mean = SeedMean(rows)
    lost = sum(
        (~np.isfinite(per_example(scorer.combine, mean[part]))).sum(axis=0)
        for part in row_slices(len(mean))
    )
    corpus = (lost == len(mean)) & np.isfinite(corpus_value(scorer.combine, mean))
    return np.where(corpus, 0, lost).tolist()


def _undefined(scorer: Scorer, statistics: Float[np.ndarray, "N K"]) -> Bool[np.ndarray, "N C"]:
    """Which examples have no value in which columns; none in a column that only many examples
    together have.
    """
    lost = ~np.isfinite(per_example(scorer.combine, statistics))
    return lost & ~(lost.all(axis=0) & np.isfinite(scorer.combine(statistics)))


def undefined_reasons(
    scorer: Scorer,
    examples: Sequence[Example],
    texts: Sequence[Sequence[str]],
    statistics: Float[np.ndarray, "N K"],
) -> dict[str, str]:
    """Why examples have no value in some column, by id; ``texts`` holds one text of each, or one
    for each turn.
    """
    lost = _undefined(scorer, statistics)
    given = zip(examples, texts, map(any, lost.tolist()), strict=True)
    return {
        example.id: _why(scorer, example, several) for example, several, wrong in given if wrong
    }


def _why(scorer: Scorer, example: Example, texts: Sequence[str]) -> str:
    said = [undefined_reason(scorer, example, text) for text in texts]
    return "; ".join(dict.fromkeys(filter(None, said))) or NOT_FINITE

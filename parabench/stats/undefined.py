"""Undefined values: where a scorer gives an example no value, and why.

A scorer that leaves examples out on purpose may say so: ``why(example, text)`` returns the reason,
empty where it knows of none. What remains is a number that is not finite: NaN or an infinity, from
a model or from a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from parabench.contracts import NOT_FINITE, Example, Scorer, undefined_reason
from parabench.stats.arrays import (
    SeedMean,
    SystemStatistics,
    corpus_value,
    per_example,
    row_slices,
)

if TYPE_CHECKING:
    from jaxtyping import Bool

    from parabench.stats.arrays import Statistics


def undefined_counts(scorer: Scorer, rows: SystemStatistics) -> list[int]:
    """Count the examples without a value, for each column of the ``scorer``.

    ``rows`` are the statistics of one system. 0 for a column that only many examples together have.
    """
    mean = SeedMean(rows)
    counts = 0
    for part in row_slices(len(mean)):
        columns = per_example(scorer.combine, mean[part])
        counts = counts + (~np.isfinite(columns)).sum(axis=0)
    # undefined for every example and yet defined for all together, as a correlation is
    together = corpus_value(scorer.combine, mean)
    corpus_only = (counts == len(mean)) & np.isfinite(together)
    return np.where(corpus_only, 0, counts).tolist()


def _undefined(scorer: Scorer, statistics: Statistics) -> Bool[np.ndarray, "N C"]:
    """Which examples have no value in which columns; none in a column of many examples alone."""
    undefined = ~np.isfinite(per_example(scorer.combine, statistics))
    corpus_only = undefined.all(axis=0) & np.isfinite(scorer.combine(statistics))
    return undefined & ~corpus_only


def undefined_reasons(
    scorer: Scorer,
    examples: Sequence[Example],
    texts: Sequence[Sequence[str]],
    statistics: Statistics,
) -> dict[str, str]:
    """Return why examples have no value in some column, by their ids.

    ``texts`` holds one text of each of the ``examples``, or one for each turn, and ``statistics``
    what the ``scorer`` made of them. Examples with a value in every column are left out.
    """
    is_undefined = np.any(_undefined(scorer, statistics), axis=1).tolist()
    reasons = {}
    for example, several, undefined in zip(examples, texts, is_undefined, strict=True):
        if undefined:
            reasons[example.id] = _reason(scorer, example, several)
    return reasons


def _reason(scorer: Scorer, example: Example, texts: Sequence[str]) -> str:
    """The scorer's own reasons, each once; where it has none, that the number is not finite."""
    given = [undefined_reason(scorer, example, text) for text in texts]
    distinct = dict.fromkeys(reason for reason in given if reason)
    return "; ".join(distinct) or NOT_FINITE

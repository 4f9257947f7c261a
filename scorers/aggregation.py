"""Statistics that add up: a combine that reads only the sums of its rows can be resampled fast.

Significance tests draw thousands of samples of the same rows. Where ``combine(rows) == combine(sum
of rows)``, a sample is a weighted sum of rows, and all samples of all columns cost one matrix
product and one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from parabench.contracts import Example, UserError
from parabench.contracts import additive as additive


def values_and_counts(values: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N 2*C"]:
    """Return values of one example a row as sums of defined values, and counts of these.

    ``values`` are NaN or infinite where undefined. The first C columns returned are the values, 0
    where undefined; the last C are 1 where defined, else 0.
    """
    defined = np.isfinite(values)
    return np.hstack([np.where(defined, values, 0.0), defined])


def mean_of_defined(
    statistics: Float[np.ndarray, "*draws N K"],
) -> Float[np.ndarray, "*draws K//2"]:
    """Return the mean of each column's defined values, from rows of ``values_and_counts``.

    K is twice the number of columns. NaN where no value is defined.
    """
    sums = statistics.sum(axis=-2)
    total, count = np.split(sums, 2, axis=-1)
    with np.errstate(invalid="ignore"):
        return total / count


def need_references(scorer: str, examples: Sequence[Example]) -> None:
    """Raise UserError where one of the ``examples`` has no reference for the ``scorer``."""
    for example in examples:
        if not example.references:
            raise UserError(
                f"score example {example.id!r} with {scorer}",
                "it has no references",
                mend="give it one, or choose scorers that read the source alone "
                "(parabench list scorers)",
            )

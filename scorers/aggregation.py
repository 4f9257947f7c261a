"""Statistics that add up: a combine that reads only the sums of its rows can be resampled by one
matrix product.

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


def values_and_counts(values: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N 2C"]:
    """One value per example and column, NaN or infinite where undefined, as values and counts of
    defined values.
    """
    defined = np.isfinite(values)
    return np.hstack([np.where(defined, values, 0.0), defined])


def mean_of_defined(statistics: Float[np.ndarray, "*draws N 2C"]) -> Float[np.ndarray, "*draws C"]:
    """The mean of the defined values of each column, from rows that ``as_sums`` made; NaN where
    there are none.
    """
    total, count = np.split(statistics.sum(axis=-2), 2, axis=-1)
    with np.errstate(invalid="ignore"):
        return total / count


def need_references(scorer: str, examples: Sequence[Example]) -> None:
    """Raise UserError if an example has no reference to be compared with."""
    for example in examples:
        if not example.references:
            raise UserError(
                f"score example {example.id!r} with {scorer}",
                "it has no references",
                mend="give it one, or choose scorers that read the source alone "
                "(parabench list scorers)",
            )

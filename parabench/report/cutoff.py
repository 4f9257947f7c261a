"""The one column that the harness measures itself: how many outputs the length limit ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parabench.contracts import Column, Example, Signature, additive

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

NAME = "cut-off"


@dataclass(frozen=True)
class CutOff:
    """The share of outputs, in percent, that had not come to their end when the limit was reached.

    ``cut`` holds the ids of the examples whose outputs were cut; a text alone does not tell.
    """

    cut: Collection[str] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(NAME, "none", "output", 1, "% of outputs that the length limit ended"),)

    @property
    def signature(self) -> Signature:
        return Signature(NAME, (("by", "no-end-token"),))

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> Float[np.ndarray, "N 2"]:
        return rows([example.id in self.cut for example in examples])

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        sums = statistics.sum(axis=-2)
        return 100 * sums[..., :1] / sums[..., 1:]


def rows(cut: Sequence[bool] | bytearray) -> Float[np.ndarray, "N 2"]:
    """Statistics from whether each output was cut."""
    import numpy as np

    return np.column_stack([np.array(cut, dtype=float), np.ones(len(cut))])

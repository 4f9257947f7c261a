"""The one column that the harness measures itself: how many outputs the length limit ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from parabench.contracts import Column, Example, Signature, additive

TRUNCATION_COLUMN = "cut-off"


@dataclass(frozen=True)
class TruncationScorer:
    """The share of outputs, in percent, that had not ended when the length limit was reached.

    ``cut`` holds the ids of the examples whose outputs were cut: a text alone does not say so.
    """

    cut: Collection[str] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        describe = "% of outputs that the length limit ended"
        return (Column(TRUNCATION_COLUMN, "none", "output", 1, describe),)

    @property
    def signature(self) -> Signature:
        return Signature(TRUNCATION_COLUMN, (("by", "no-end-token"),))

    def measure(
        self,
        examples: Sequence[Example],
        texts: Sequence[str],
    ) -> Float[np.ndarray, "N 2"]:
        """For each example 1 or 0, whether its output was cut, and 1 to count it."""
        was_cut = [example.id in self.cut for example in examples]
        return TruncationStatistics(np.array(was_cut, np.uint8))[:]

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        """Percent of the outputs that were cut."""
        # The last axis holds how many were cut, and of how many.
        sums = statistics.sum(axis=-2)
        return 100 * sums[..., :1] / sums[..., 1:]


class TruncationStatistics:
    """Statistics of ``TruncationScorer``, kept as a byte an output and made when asked for."""

    ndim = 2

    def __init__(self, cut: UInt8[np.ndarray, " N"]) -> None:
        """``cut`` is 1 for each output that the limit ended, 0 for the others."""
        self._cut = cut

    def __len__(self) -> int:
        return len(self._cut)

    def __getitem__(self, at: Any) -> Float[np.ndarray, "n 2"]:
        cut = self._cut[at].astype(float)
        return np.stack([cut, np.ones_like(cut)], axis=-1)

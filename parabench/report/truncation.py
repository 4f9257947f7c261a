"""The one column that the harness measures itself: how many outputs the length limit ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parabench.contracts import Column, Example, Signature, additive

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

TRUNCATION_COLUMN = "cut-off"


@dataclass(frozen=True)
class TruncationScorer:
    """The share of outputs, in percent, that had not come to their end when the limit was reached.

    ``cut`` holds the ids of the examples whose outputs were cut; a text alone does not tell.
    """

    cut: Collection[str] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                TRUNCATION_COLUMN, "none", "output", 1, "% of outputs that the length limit ended"
            ),
        )

    @property
    def signature(self) -> Signature:
        return Signature(TRUNCATION_COLUMN, (("by", "no-end-token"),))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 2"]:
        return TruncationStatistics(bytes(example.id in self.cut for example in examples))[:]

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        sums = statistics.sum(axis=-2)
        return 100 * sums[..., :1] / sums[..., 1:]


class TruncationStatistics:
    """Statistics from whether each output was cut, a byte each: rows of that and of 1, made when
    asked for.
    """

    ndim = 2

    def __init__(self, cut: bytes | bytearray) -> None:
        """One byte for each output."""
        import numpy as np

        self._cut = np.frombuffer(cut, np.uint8)

    def __len__(self) -> int:
        return len(self._cut)

    def __getitem__(self, at: Any) -> Float[np.ndarray, "n 2"]:
        import numpy as np

        cut = self._cut[at].astype(float)
        return np.stack([cut, np.ones_like(cut)], axis=-1)

"""Columns from statistics: of every example by itself, or of all together; where they are many, a
part at a time.

Statistics are rows of float64 ``[N, K]``, one for each example, in memory or on disk; of several
training seeds, such an array for each. A scorer's ``combine`` makes C columns of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from parabench.contracts import is_additive

Combine = Callable[[Float[np.ndarray, "*draws N K"]], Float[np.ndarray, "*draws C"]]
_Positions = slice | Int[np.ndarray, " n"]
ColumnValues = Float[np.ndarray, " C"]


class StatisticsArray(Protocol):
    """An array ``[N, K]``, or what is read or made like one when rows are asked for."""

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, at: Any, /) -> Any: ...


SystemStatistics = StatisticsArray | Sequence[StatisticsArray]
"""Statistics of one system: an array ``[N, K]``, or one for each training seed."""

ROWS_AT_ONCE = 20_000
"""Rows that are taken together."""
ROWS_A_PART = 1 << 14
"""Rows of a part where there are more."""


class SeedMean:
    """The mean over training seeds of every example's statistics, made when it is asked for."""

    ndim = 2

    def __init__(self, rows: SystemStatistics) -> None:
        """Nothing is read yet."""
        self._layers = per_seed(rows)

    def __len__(self) -> int:
        return len(self._layers[0])

    def __getitem__(self, at: _Positions) -> Float[np.ndarray, "n K"]:
        several = [one[at] for one in self._layers]
        return several[0] if len(several) == 1 else np.mean(several, axis=0)


def per_seed(rows: SystemStatistics) -> list[StatisticsArray]:
    """The arrays of the training seeds; one where there are none."""
    return [rows] if getattr(rows, "ndim", 3) == 2 else list(rows)  # type: ignore


def seed_mean(rows: SystemStatistics, at: _Positions = slice(None)) -> Float[np.ndarray, "n K"]:
    """Every example's statistics, or those at some places; the mean over training seeds."""
    return SeedMean(rows)[at]


def row_slices(count: int) -> Iterator[slice]:
    """All of ``count`` rows, or one part after the other."""
    size = max(count, 1) if count <= ROWS_AT_ONCE else ROWS_A_PART
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def per_example(combine: Combine, statistics: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N C"]:
    """Every row's own columns."""
    if is_additive(combine):
        return combine(statistics[:, None])
    return np.stack([combine(row[None]) for row in statistics])


def corpus_value(combine: Combine, rows: SystemStatistics) -> ColumnValues:
    """The columns of all rows, the mean over training seeds."""
    mean = SeedMean(rows)
    if len(mean) <= ROWS_AT_ONCE or not is_additive(combine):
        return combine(mean[:])
    return combine(np.asarray(sum(mean[part].sum(axis=0) for part in row_slices(len(mean))))[None])

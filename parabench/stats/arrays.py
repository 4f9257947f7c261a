"""Columns from statistics: of every example by itself, or of all examples together.

Statistics are rows of float64 ``[N, K]``, one for each example, in memory or on disk; of several
training seeds, such an array for each. A scorer's ``combine`` makes C columns of them. Where there
are many rows, a part of them is read at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from parabench.contracts import is_additive

Statistics = Float[np.ndarray, "N K"]
"""What a scorer's ``measure`` returns: K numbers for each example."""
ColumnValues = Float[np.ndarray, " C"]
"""What a scorer's ``combine`` makes of any rows."""
Combine = Callable[
    [Float[np.ndarray, "*draws N K"]],
    Float[np.ndarray, "*draws C"],
]
_Positions = slice | Int[np.ndarray, " n"]


class StatisticsArray(Protocol):
    """An array ``[N, K]``, or an object that reads or computes its rows when they are asked for."""

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, at: Any, /) -> Any: ...


SystemStatistics = StatisticsArray | Sequence[StatisticsArray]
"""Statistics of one system: an array ``[N, K]``, or one for each training seed."""

ROWS_AT_ONCE = 20_000
"""Rows up to which all are taken together."""
ROWS_A_PART = 1 << 14
"""Rows of a part where there are more."""


class SeedMean:
    """The mean over training seeds of every example's statistics, computed when it is asked for."""

    ndim = 2

    def __init__(self, rows: SystemStatistics) -> None:
        """Keep the arrays; nothing is read yet."""
        self._layers = per_seed(rows)

    def __len__(self) -> int:
        return len(self._layers[0])

    def __getitem__(self, at: _Positions) -> Float[np.ndarray, "n K"]:
        of_each_seed = [layer[at] for layer in self._layers]
        if len(of_each_seed) == 1:
            # the mean of one would be a copy
            return of_each_seed[0]
        return np.mean(of_each_seed, axis=0)


def per_seed(rows: SystemStatistics) -> list[StatisticsArray]:
    """Return the arrays of the training seeds; one where there are none."""
    # a list of arrays has no `ndim`; an array [seeds, N, K] is split like the list
    if getattr(rows, "ndim", 3) == 2:
        return [rows]  # type: ignore[list-item]
    return list(rows)  # type: ignore[arg-type]


def seed_mean(rows: SystemStatistics, at: _Positions = slice(None)) -> Float[np.ndarray, "n K"]:
    """Return the statistics of the examples ``at`` some positions, the mean over training seeds."""
    return SeedMean(rows)[at]


def row_slices(count: int) -> Iterator[slice]:
    """Yield slices that cover ``count`` rows: one, or parts of ``ROWS_A_PART`` where there are
    many.
    """
    size = ROWS_A_PART
    if count <= ROWS_AT_ONCE:
        # a step of 0 is no range
        size = max(count, 1)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def per_example(combine: Combine, statistics: Statistics) -> Float[np.ndarray, "N C"]:
    """Return the columns of every row by itself."""
    if is_additive(combine):
        # each row is a draw of one row: [N, 1, K] -> [N, C]
        return combine(statistics[:, None])
    columns = [combine(row[None]) for row in statistics]
    return np.stack(columns)


def corpus_value(combine: Combine, rows: SystemStatistics) -> ColumnValues:
    """Return the columns of all rows together, of the mean over training seeds.

    Of many rows only sums are held, where ``combine`` is additive.
    """
    mean = SeedMean(rows)
    if len(mean) <= ROWS_AT_ONCE or not is_additive(combine):
        return combine(mean[:])
    total = 0
    for part in row_slices(len(mean)):
        total = total + mean[part].sum(axis=0)
    return combine(np.asarray(total)[None])

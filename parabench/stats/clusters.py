"""Clusters: rows that depend on one another, and so are drawn and swapped together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float, Int, Integer

from parabench.scratch import blocks, scratch_array, sort_distinct
from parabench.sequences import LazyMap
from parabench.stats import arrays
from parabench.stats.arrays import SystemStatistics

RowNumbers = Int[np.ndarray, " _"]
ClusterLabels = Sequence[str] | Integer[np.ndarray, " N"]
"""The cluster of every row, by its name or its number."""
ClusterSums = Float[np.ndarray, "S _ K"]
"""Sums of each cluster's rows: S arrays of statistics, some of the clusters, K numbers."""


class ClusterIndex:
    """The clusters of ``count`` rows, in order of first appearance.

    Without ``clusters`` each row is one by itself. Nothing is held of clusters of one row each, and
    scratch arrays of 12 bytes a row of others.
    """

    def __init__(self, count: int, clusters: ClusterLabels | None = None) -> None:
        """Number the clusters, and sort the rows by them where a cluster has several."""
        self._rows = count
        self._clusters = count
        self._single = True
        numbered = None if clusters is None else _number_by_appearance(clusters)
        if numbered is not None:
            self._numbers, self._clusters = numbered
            self._single = False
            # rows sorted by cluster; cluster c is _order[_bounds[c] : _bounds[c + 1]]
            self._order, self._bounds = _rows_by_cluster(self._numbers, self._clusters)

    @property
    def numbers(self) -> Int[np.ndarray, " N"]:
        """The number of each row's cluster."""
        return np.arange(self._rows, dtype=np.int32) if self._single else self._numbers

    @classmethod
    def of(cls, count: int, clusters: Clusters) -> ClusterIndex:
        """Return the index that is given, or build one.

        ``count`` is the number of rows; ``clusters`` an index, the label of each row, or None.
        """
        if isinstance(clusters, ClusterIndex):
            return clusters
        return cls(count, clusters)

    def __len__(self) -> int:
        return self._clusters

    def members(self, cluster: int) -> RowNumbers:
        """Return the row numbers of one cluster."""
        if self._single:
            return np.array([cluster], np.int32)
        begin, end = self._bounds[cluster : cluster + 2]
        return self._order[begin:end]

    def rows(self, chosen: Int[np.ndarray, " m"]) -> RowNumbers:
        """Return the row numbers of the ``chosen`` clusters, one cluster after the other."""
        if self._single:
            return chosen
        begins = self._bounds[chosen]
        lengths = self._bounds[chosen + 1] - begins
        ends = np.cumsum(lengths)
        # output position p of a cluster that begins at output position s reads its row p - s, so
        # every position is shifted by its cluster's begin minus s; ends - lengths is s
        shifts = np.repeat(begins - (ends - lengths), lengths)
        return self._order[shifts + np.arange(ends[-1])]

    def sums(self, systems: Sequence[SystemStatistics]) -> Sequence[ClusterSums]:
        """Return the sums of each cluster's rows, in parts of m clusters.

        S counts the arrays of all ``systems``, one a training seed. Parts are computed when they
        are asked for, unless there is but one.
        """
        if self._rows <= arrays.ROWS_AT_ONCE:
            parts = [slice(0, len(self))]
        else:
            parts = list(arrays.row_slices(len(self)))
        lazy = LazyMap(partial(self._sums_of_part, systems), parts)
        return lazy if len(parts) > 1 else list(lazy)

    def _sums_of_part(self, systems: Sequence[SystemStatistics], part: slice) -> ClusterSums:
        places: slice | RowNumbers = part
        if not self._single:
            bounds = self._bounds[part.start : part.stop + 1]
            places = self._order[bounds[0] : bounds[-1]]
        layers = []
        for rows in systems:
            layers += [layer[places] for layer in arrays.per_seed(rows)]
        rows_of_part = np.stack(layers)
        if self._single:
            return rows_of_part
        # begins count from the part's own first row
        begins = bounds[:-1] - bounds[0]
        return np.add.reduceat(rows_of_part, begins, axis=1)


def _number_by_appearance(clusters: ClusterLabels) -> tuple[Int[np.ndarray, " N"], int] | None:
    """The clusters' numbers, counted up in order of first appearance, and how many there are.

    None where each row has a label of its own.
    """
    if isinstance(clusters, np.ndarray):
        return _number_integers(clusters)
    numbers: dict[str, int] = {}
    labels = [numbers.setdefault(name, len(numbers)) for name in clusters]
    if len(numbers) == len(labels):
        return None
    return np.array(labels, dtype=np.int32), len(numbers)


def _number_integers(labels: Integer[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " N"], int] | None:
    """As ``_number_by_appearance``, a block of rows at a time."""
    distinct = scratch_array(len(labels), labels.dtype)
    distinct[:] = labels
    distinct = sort_distinct(distinct)
    if len(distinct) == len(labels):
        return None
    appearance = scratch_array(len(distinct), np.int32)
    appearance[:] = -1  # not seen yet
    numbers = scratch_array(len(labels), np.int32)
    seen = 0
    for block in blocks(len(labels)):
        places = np.searchsorted(distinct, labels[block])
        new, first_rows = np.unique(places[appearance[places] < 0], return_index=True)
        new_by_appearance = new[np.argsort(first_rows)]
        appearance[new_by_appearance] = np.arange(seen, seen + len(new))
        seen += len(new)
        numbers[block] = appearance[places]
    return numbers, seen


def _rows_by_cluster(
    numbers: Int[np.ndarray, " N"], count: int
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " M_and_1"]]:
    """The rows sorted by the ``numbers`` of ``count`` clusters, and where each of these begins.

    A counting sort, a block at a time; the rows of a cluster stay in their order. The last bound is
    the end of the last cluster.
    """
    bounds = scratch_array(count + 1, np.int32)
    for block in blocks(len(numbers)):
        np.add.at(bounds, numbers[block] + 1, 1)
    np.cumsum(bounds, dtype=np.int32, out=bounds)
    order = scratch_array(len(numbers), np.int32)
    # where the next row of each cluster goes
    next_places = scratch_array(count, np.int32)
    next_places[:] = bounds[:-1]
    for block in blocks(len(numbers)):
        rows = np.argsort(numbers[block], kind="stable")
        of_rows = numbers[block][rows]
        # of rows of one cluster in this block, the first goes to its next place, the second behind
        rank = np.arange(len(rows)) - np.searchsorted(of_rows, of_rows)
        order[next_places[of_rows] + rank] = block.start + rows
        np.add.at(next_places, of_rows, 1)
    return order, bounds


Clusters = ClusterIndex | ClusterLabels | None
"""Which rows belong together; None where each is a cluster by itself."""

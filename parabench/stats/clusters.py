"""Clusters: rows that depend on one another, and so are drawn and swapped together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float, Int, Integer

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

    ``numbers`` is the number of each row's cluster; without ``clusters`` each row is one by itself.
    Arrays of 4 bytes a row are all that is held, and more than one only where clusters have several
    rows.
    """

    def __init__(self, count: int, clusters: ClusterLabels | None = None) -> None:
        """Number the clusters, and sort the rows by them where a cluster has several."""
        self.numbers: Int[np.ndarray, " N"]
        if clusters is None:
            self.numbers = np.arange(count, dtype=np.int32)
        else:
            self.numbers = _number_by_appearance(clusters)
        # numbers count up from 0 in order of appearance: if the last row's is N - 1, none repeats
        self._single = count == 0 or int(self.numbers[-1]) == count - 1
        # rows sorted by cluster; cluster c is _order[_bounds[c] : _bounds[c + 1]]
        self._order = self._bounds = self.numbers
        if not self._single:
            # a stable sort keeps the rows of a cluster in their order
            self._order = np.argsort(self.numbers, kind="stable").astype(np.int32)
            sorted_numbers = self.numbers[self._order]
            # no cluster has the number -1: so the first begin and the last end count as changes
            changes = np.diff(sorted_numbers, prepend=-1, append=-1) != 0
            self._bounds = np.flatnonzero(changes).astype(np.int32)

    @classmethod
    def of(cls, count: int, clusters: Clusters) -> ClusterIndex:
        """Return the index that is given, or build one.

        ``count`` is the number of rows; ``clusters`` an index, the label of each row, or None.
        """
        if isinstance(clusters, ClusterIndex):
            return clusters
        return cls(count, clusters)

    def __len__(self) -> int:
        if self._single:
            return len(self._bounds)
        # bounds hold the end of the last cluster too
        return len(self._bounds) - 1

    def members(self, cluster: int) -> RowNumbers:
        """Return the row numbers of one cluster."""
        if self._single:
            return self._order[cluster : cluster + 1]
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
        if len(self.numbers) <= arrays.ROWS_AT_ONCE:
            parts = [slice(0, len(self))]
        else:
            parts = list(arrays.row_slices(len(self)))
        lazy = LazyMap(partial(self._sums_of_part, systems), parts)
        return lazy if len(parts) > 1 else list(lazy)

    def _sums_of_part(self, systems: Sequence[SystemStatistics], part: slice) -> ClusterSums:
        bounds = self._bounds[part.start : part.stop + 1]
        places = part if self._single else self._order[bounds[0] : bounds[-1]]
        layers = []
        for rows in systems:
            layers += [layer[places] for layer in arrays.per_seed(rows)]
        rows_of_part = np.stack(layers)
        if self._single:
            return rows_of_part
        # begins count from the part's own first row
        begins = bounds[:-1] - bounds[0]
        return np.add.reduceat(rows_of_part, begins, axis=1)


def _number_by_appearance(clusters: ClusterLabels) -> Int[np.ndarray, " N"]:
    """The clusters' numbers, counted up in order of first appearance."""
    if not isinstance(clusters, np.ndarray):
        numbers: dict[str, int] = {}
        labels = [numbers.setdefault(name, len(numbers)) for name in clusters]
        return np.array(labels, dtype=np.int32)
    # most often no label repeats, which is found with a tenth of the memory of np.unique
    if not _has_repeats(clusters):
        return np.arange(len(clusters), dtype=np.int32)
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    # `inverse` numbers clusters by their labels' order; renumber them by first appearance
    appearance = np.empty(len(first), np.int32)
    by_appearance = np.argsort(first)
    appearance[by_appearance] = np.arange(len(first))
    return appearance[inverse]


def _has_repeats(labels: Integer[np.ndarray, " N"]) -> bool:
    """Whether a label occurs twice; no copy of all labels is made."""
    # equal labels have equal first bytes, so they are in the same of 16 lots
    first_bytes = np.ascontiguousarray(labels).view(np.uint8)[:: labels.itemsize]
    lots = first_bytes % 16  # uint8, 1 byte a row
    for lot in range(16):
        ranked = np.sort(labels[lots == lot])
        if (ranked[1:] == ranked[:-1]).any():
            return True
    return False


def cluster_rows(count: int, clusters: ClusterLabels | None) -> list[RowNumbers]:
    """Return the row numbers of every cluster, in order of first appearance.

    ``count`` is the number of rows; without ``clusters`` each row is one by itself.
    """
    index = ClusterIndex(count, clusters)
    return [index.members(cluster) for cluster in range(len(index))]


Clusters = ClusterIndex | ClusterLabels | None
"""Which rows belong together; None where each is a cluster by itself."""

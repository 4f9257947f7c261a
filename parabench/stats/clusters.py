"""Rows that are not independent of one another, and so are drawn and swapped together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from parabench.sequences import LazyMap
from parabench.stats import arrays
from parabench.stats.arrays import SystemStatistics

ClusterLabels = Sequence[str] | Int[np.ndarray, " N"]
"""The cluster of every row, by its name or its number."""


class ClusterIndex:
    """The clusters of ``count`` rows in order of first appearance; each row by itself where none
    are given.

    ``numbers`` is the number of each row's cluster. Other arrays are made only where clusters have
    several rows.
    """

    def __init__(self, count: int, clusters: ClusterLabels | None = None) -> None:
        """Arrays of 4 bytes a row are all that stays."""
        self.numbers: Int[np.ndarray, " N"] = np.arange(count, dtype=np.int32)
        if clusters is not None:
            self.numbers = _numbered(clusters)
        self._single = count == 0 or int(self.numbers[-1]) == count - 1
        self._order = self._bounds = (
            self.numbers
        )  # rows cluster by cluster, and where each begins, then the end
        if not self._single:
            self._order = np.argsort(self.numbers, kind="stable").astype(np.int32)
            new = np.diff(self.numbers[self._order], prepend=-1, append=-1) != 0
            self._bounds = np.flatnonzero(new).astype(np.int32)

    @classmethod
    def of(cls, count: int, clusters: ClusterIndex | ClusterLabels | None) -> ClusterIndex:
        """Those that are given, or made of what is given."""
        return clusters if isinstance(clusters, ClusterIndex) else cls(count, clusters)

    def __len__(self) -> int:
        return len(self._bounds) - (not self._single)

    def members(self, cluster: int) -> Int[np.ndarray, " _"]:
        """The row numbers of one cluster."""
        if self._single:
            return self._order[cluster : cluster + 1]
        return self._order[self._bounds[cluster] : self._bounds[cluster + 1]]

    def rows(self, chosen: Int[np.ndarray, " m"]) -> Int[np.ndarray, " _"]:
        """The row numbers of these clusters, one cluster after the other."""
        if self._single:
            return chosen
        begins = self._bounds[chosen]
        lengths = self._bounds[chosen + 1] - begins
        ends = np.cumsum(lengths)
        return self._order[np.repeat(begins - (ends - lengths), lengths) + np.arange(ends[-1])]

    def sums(self, systems: Sequence[SystemStatistics]) -> Sequence[Float[np.ndarray, "S m K"]]:
        """The sums of each cluster's rows, all layers of all systems, part by part of the clusters.

        Parts are made when they are asked for, unless there is but one.
        """
        parts = (
            [slice(0, len(self))]
            if len(self.numbers) <= arrays.ROWS_AT_ONCE
            else list(arrays.row_slices(len(self)))
        )
        made = LazyMap(partial(self._sums, systems), parts)
        return made if len(parts) > 1 else list(made)

    def _sums(self, systems: Sequence[SystemStatistics], part: slice) -> Float[np.ndarray, "S m K"]:
        bounds = self._bounds[part.start : part.stop + 1]
        places = part if self._single else self._order[bounds[0] : bounds[-1]]
        rows = np.stack([layer[places] for rows in systems for layer in arrays.per_seed(rows)])
        return rows if self._single else np.add.reduceat(rows, bounds[:-1] - bounds[0], axis=1)


def _numbered(clusters: ClusterLabels) -> Int[np.ndarray, " N"]:
    """Names as numbers in order of first appearance."""
    if not isinstance(clusters, np.ndarray):
        places: dict[str, int] = {}
        return np.array([places.setdefault(one, len(places)) for one in clusters], dtype=np.int32)
    found = np.sort(clusters)
    if (found[1:] != found[:-1]).all():
        return np.arange(len(clusters), dtype=np.int32)
    del found
    _, first, numbers = np.unique(clusters, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int32)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[numbers]


def cluster_rows(count: int, clusters: ClusterLabels | None) -> list[Int[np.ndarray, " _"]]:
    """The row numbers of every cluster, in order of first appearance; each row by itself where
    there are none.
    """
    groups = ClusterIndex(count, clusters)
    return [groups.members(cluster) for cluster in range(len(groups))]

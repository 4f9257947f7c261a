"""Rows that are not independent of one another, and so are drawn and swapped together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

Names = Sequence[str] | Int[np.ndarray, " N"]
"""The cluster of every row, by its name or its number."""

MANY = 20_000
"""Rows beyond which layers are not copied into one array."""


class Groups:
    """The clusters of ``count`` rows in order of first appearance; each row by itself where none are given.

    ``numbers`` is the number of each row's cluster, ``order`` the rows cluster by cluster, ``starts`` where they begin.
    """

    def __init__(self, count: int, clusters: Names | None) -> None:
        """Arrays of 8 bytes a row are all that stays."""
        self.numbers: Int[np.ndarray, " N"] = np.arange(count) if clusters is None else _numbered(clusters)
        self.order: Int[np.ndarray, " N"] = np.argsort(self.numbers, kind="stable")
        number = np.arange(self.numbers.max(initial=-1) + 1)
        self.starts: Int[np.ndarray, " M"] = np.searchsorted(self.numbers[self.order], number)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def members(self) -> list[Int[np.ndarray, " _"]]:
        """The row numbers of every cluster."""
        return np.split(self.order, self.starts[1:]) if len(self) else []

    def sums(self, layers: Sequence[Float[np.ndarray, "S N K"]]) -> list[Float[np.ndarray, "S M K"]]:
        """The sum of each cluster's rows, all layers in one array; where they are long, as they are if possible."""
        joined = [np.concatenate(layers)] if len(self.numbers) <= MANY else layers
        if len(self) == len(self.numbers):
            return list(joined)
        return [np.add.reduceat(one[:, self.order], self.starts, axis=1) for one in joined]


def _numbered(clusters: Names) -> Int[np.ndarray, " N"]:
    """Names as numbers in order of first appearance."""
    if not isinstance(clusters, np.ndarray):
        places: dict[str, int] = {}
        return np.array([places.setdefault(one, len(places)) for one in clusters], dtype=int)
    order = np.argsort(clusters, kind="stable")
    new = np.ones(len(clusters), bool)
    new[1:] = clusters[order[1:]] != clusters[order[:-1]]
    if new.all():
        return np.arange(len(clusters))
    first = order[new]
    ranks = np.empty_like(first)
    ranks[np.argsort(first)] = np.arange(len(first))
    numbers = np.empty_like(order)
    numbers[order] = ranks[np.cumsum(new) - 1]
    return numbers


def cluster_rows(count: int, clusters: Names | None) -> list[Int[np.ndarray, " _"]]:
    """The row numbers of every cluster, in order of first appearance; each row by itself where there are none."""
    return Groups(count, clusters).members

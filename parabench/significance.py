"""How sure a number is: intervals, paired tests, corrections for many tests, rank clusters.

Everything works on the statistics a scorer left behind, one row per example, and calls its ``combine`` on resampled
rows. A combine that is marked ``additive`` (it reads only column sums) is given all draws of a block at once, as
``[draws, 1, K]``; any other is called once a draw. Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

Combine = Callable[[Float[np.ndarray, "*draws N K"]], Float[np.ndarray, "*draws C"]]
Rows = Float[np.ndarray, "N K"]
Columns = Float[np.ndarray, " C"]

BLOCK = 500
"""Draws held in memory at once."""


def bootstrap(
    combine: Combine, statistics: Rows, seed: int, resamples: int = 1000, clusters: Sequence[str] | None = None
) -> Float[np.ndarray, "R C"]:
    """Columns of ``resamples`` samples of the rows with replacement; of whole clusters where they are given.

    The same seed and number of rows give the same samples, so two systems' draws may be subtracted draw by draw.
    Efron and Tibshirani 1993, chapter 6; for corpus metrics Koehn 2004.
    """
    members = cluster_rows(len(statistics), clusters)
    draws = np.random.default_rng(seed)
    parts = []
    for size in _blocks(resamples):
        chosen = draws.integers(len(members), size=(size, len(members)))
        if _additive(combine):
            sums = np.stack([statistics[rows].sum(axis=0) for rows in members]) if clusters is not None else statistics
            parts.append(combine((_counts(chosen) @ sums)[:, None, :]))
        else:
            parts.append(np.stack([combine(statistics[_rows(members, row)]) for row in chosen]))
    return np.concatenate(parts)


def interval(
    combine: Combine,
    statistics: Rows,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Sequence[str] | None = None,
) -> tuple[Columns, Columns]:
    """Low and high ends of the percentile bootstrap interval of every column; NaN where no sample is defined."""
    return _ends(bootstrap(combine, statistics, seed, resamples, clusters), level)


def difference(
    combine: Combine,
    a: Rows,
    b: Rows,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Sequence[str] | None = None,
) -> tuple[Columns, Columns, Columns]:
    """Column values of ``a`` minus ``b``, and the ends of the paired bootstrap interval of that difference."""
    draws = _paired_draws(combine, a, b, seed, resamples, clusters)
    return combine(a) - combine(b), *_ends(draws, level)


def paired_test(
    combine: Combine, a: Rows, b: Rows, seed: int, draws: int = 10_000, clusters: Sequence[str] | None = None
) -> Columns:
    """Two-sided p-value for each column that systems ``a`` and ``b`` are exchangeable, by approximate randomisation.

    Each draw swaps the two systems' statistics in a random half of the examples, or clusters; p = (c + 1) / (draws + 1)
    with ties counted (Noreen 1989; Riezler and Maxwell 2005). NaN where a column is undefined for either.
    """
    members = cluster_rows(len(a), clusters)
    of_row = np.empty(len(a), dtype=int)
    for position, rows in enumerate(members):
        of_row[rows] = position
    first, second = combine(a), combine(b)
    observed = np.abs(first - second)
    bar = observed - 1e-12 * (np.abs(first) + np.abs(second))  # a tie that rounding breaks is still a tie
    generator = np.random.default_rng(seed)
    beaten = np.zeros(len(observed))
    for size in _blocks(draws):
        swapped = _coins(generator, size, len(members))[:, of_row]
        drawn = np.abs(_swapped_difference(combine, a, b, swapped))
        beaten += (drawn >= bar).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (beaten + 1) / (draws + 1))


def holm(p: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """P-values adjusted so that the chance of any false win stays below the level (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """P-values adjusted so that the expected share of false wins stays below the level (Benjamini, Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p, method="bh"))


def rank_clusters(
    values: Float[np.ndarray, " S"], worse: Bool[np.ndarray, "S S"], better: str = "up"
) -> list[tuple[int, int]]:
    """First and last rank of the cluster that each system belongs to, ``(1, 3)`` for one of the best three.

    ``worse[i, j]`` says that i is significantly worse than j. Down the sorted list, a system opens a new cluster as
    soon as it is significantly worse than any member of the current one (google-research/mt-metrics-eval, AssignRanks).
    Undefined values come last.
    """
    keys = np.where(np.isnan(values), np.inf, -values if better == "up" else values)
    clusters: list[list[int]] = []
    for system in np.argsort(keys, kind="stable"):
        if not clusters or any(worse[system, member] for member in clusters[-1]):
            clusters.append([])
        clusters[-1].append(int(system))
    ranks: dict[int, tuple[int, int]] = {}
    first = 1
    for cluster in clusters:
        ranks |= dict.fromkeys(cluster, (first, first + len(cluster) - 1))
        first += len(cluster)
    return [ranks[system] for system in range(len(values))]


def minimum_detectable(
    combine: Combine,
    a: Rows,
    b: Rows,
    seed: int,
    level: float = 0.95,
    power: float = 0.8,
    resamples: int = 1000,
    clusters: Sequence[str] | None = None,
) -> Columns:
    """The smallest true difference that a paired test of this many examples would find with the given power.

    (z(level, two-sided) + z(power)) times the bootstrap standard error of the difference; same units as the column.
    """
    from statistics import NormalDist

    normal = NormalDist()
    error = _paired_draws(combine, a, b, seed, resamples, clusters).std(axis=0, ddof=1)
    return (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * error


def _paired_draws(
    combine: Combine, a: Rows, b: Rows, seed: int, resamples: int, clusters: Sequence[str] | None
) -> Float[np.ndarray, "R C"]:
    return bootstrap(combine, a, seed, resamples, clusters) - bootstrap(combine, b, seed, resamples, clusters)


def _ends(draws: Float[np.ndarray, "R C"], level: float) -> tuple[Columns, Columns]:
    ends = np.full((2, draws.shape[1]), np.nan)
    defined = ~np.isnan(draws).all(axis=0)
    tail = 50 * (1 - level)
    ends[:, defined] = np.nanpercentile(draws[:, defined], [tail, 100 - tail], axis=0)
    return ends[0], ends[1]


def _additive(combine: Combine) -> bool:
    return getattr(combine, "additive", False)


def _blocks(total: int) -> Iterator[int]:
    for start in range(0, total, BLOCK):
        yield min(BLOCK, total - start)


def cluster_rows(count: int, clusters: Sequence[str] | None) -> list[Int[np.ndarray, " _"]]:
    """The row numbers of every cluster, in order of first appearance; each row by itself where there are none."""
    if clusters is None:
        return list(np.arange(count)[:, None])
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(clusters):
        groups.setdefault(name, []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _rows(members: Sequence[Int[np.ndarray, " _"]], chosen: Int[np.ndarray, " M"]) -> Int[np.ndarray, " _"]:
    return np.concatenate([members[position] for position in chosen])


def _counts(chosen: Int[np.ndarray, "R M"]) -> Float[np.ndarray, "R M"]:
    """How often each of the M positions was chosen in each draw."""
    draws, width = chosen.shape
    flat = (chosen + width * np.arange(draws)[:, None]).ravel()
    return np.bincount(flat, minlength=draws * width).reshape(draws, width).astype(float)


def _coins(generator: np.random.Generator, draws: int, width: int) -> Bool[np.ndarray, "R M"]:
    packed = np.frombuffer(generator.bytes(draws * ((width + 7) // 8)), dtype=np.uint8).reshape(draws, -1)
    return np.unpackbits(packed, axis=1, count=width).astype(bool)


def _swapped_difference(
    combine: Combine, a: Rows, b: Rows, swapped: Bool[np.ndarray, "R N"]
) -> Float[np.ndarray, "R C"]:
    if _additive(combine):
        moved = swapped.astype(float) @ (b - a)
        return combine((a.sum(axis=0) + moved)[:, None, :]) - combine((b.sum(axis=0) - moved)[:, None, :])
    chosen = swapped[:, :, None]
    return np.stack([combine(np.where(swap, b, a)) - combine(np.where(swap, a, b)) for swap in chosen])

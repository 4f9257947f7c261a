"""How sure a number is: intervals, paired tests, corrections for many tests, rank clusters.

Everything works on the statistics a scorer left behind, one row per example, or one such array for each training seed,
and calls the scorer's ``combine`` on resampled rows. A combine that is marked ``additive`` (it reads only column sums)
is given all draws of a block and all systems at once; any other is called once a draw. Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from parabench.clusters import Groups, Names

Combine = Callable[[Float[np.ndarray, "*draws N K"]], Float[np.ndarray, "*draws C"]]
Rows = Float[np.ndarray, "*seeds N K"]
"""Statistics of one system, with an axis of training seeds before the others where it has several."""
Columns = Float[np.ndarray, " C"]

BLOCK = 500
"""Draws held in memory at once, at most,"""
CELLS = 1 << 19
"""and draws times clusters: 4 MB of counts."""


def pooled(statistics: Rows) -> Float[np.ndarray, "N K"]:
    """Every example's statistics, the mean over training seeds."""
    return statistics if statistics.ndim == 2 else statistics.mean(axis=0)


def bootstraps(
    combine: Combine, systems: Sequence[Rows], seed: int, resamples: int = 1000, clusters: Names | None = None
) -> Float[np.ndarray, "S R C"]:
    """Columns of ``resamples`` samples with replacement of the rows, or of whole clusters where they are given.

    All systems are sampled alike, so their draws may be subtracted. Training seeds are drawn too, for each system by
    itself. Efron and Tibshirani 1993, chapter 6; for corpus metrics Koehn 2004.
    """
    layers = [rows.reshape(-1, *rows.shape[-2:]) for rows in systems]
    groups = Groups(layers[0].shape[1], clusters)
    generator, seeds = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    sums = groups.sums(layers) if _additive(combine) else None
    parts = []
    for size in _blocks(resamples, len(groups)):
        chosen = generator.integers(len(groups), size=(size, len(groups)))
        weights = [_counts(seeds.integers(len(one), size=(size, len(one)))) / len(one) for one in layers]
        if sums is not None:
            totals = np.split(_weighted(_counts(chosen), sums), _ends_of(layers), axis=1)
            drawn = [np.einsum("rs,rsk->rk", w, total) for w, total in zip(weights, totals, strict=True)]
            parts.append(combine(np.stack(drawn)[:, :, None, :]))
        else:
            pairs = zip(layers, weights, strict=True)
            parts.append(np.stack([_one_by_one(combine, *one, groups.members, chosen) for one in pairs]))
    return np.concatenate(parts, axis=1)


def _one_by_one(
    combine: Combine,
    layers: Float[np.ndarray, "S N K"],
    weights: Float[np.ndarray, "R S"],
    members: Sequence[Int[np.ndarray, " _"]],
    chosen: Int[np.ndarray, "R M"],
) -> Float[np.ndarray, "R C"]:
    draws = zip(weights, chosen, strict=True)
    return np.stack([combine(np.tensordot(w, layers, axes=1)[_rows(members, row)]) for w, row in draws])


def bootstrap(
    combine: Combine, statistics: Rows, seed: int, resamples: int = 1000, clusters: Names | None = None
) -> Float[np.ndarray, "R C"]:
    """The draws of one system."""
    return bootstraps(combine, [statistics], seed, resamples, clusters)[0]


def interval(
    combine: Combine,
    statistics: Rows,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Names | None = None,
) -> tuple[Columns, Columns]:
    """Low and high ends of the percentile bootstrap interval of every column; NaN where no sample is defined."""
    return ends(bootstrap(combine, statistics, seed, resamples, clusters), level)


def difference(
    combine: Combine,
    a: Rows,
    b: Rows,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    clusters: Names | None = None,
) -> tuple[Columns, Columns, Columns]:
    """Column values of ``a`` minus ``b``, and the ends of the paired bootstrap interval of that difference."""
    one, other = bootstraps(combine, [a, b], seed, resamples, clusters)
    return combine(pooled(a)) - combine(pooled(b)), *ends(one - other, level)


def paired_test(
    combine: Combine, a: Rows, b: Rows, seed: int, draws: int = 10_000, clusters: Names | None = None
) -> Columns:
    """The p-values of ``paired_tests`` for one pair."""
    return paired_tests(combine, [a, b], [(0, 1)], seed, draws, clusters)[0]


def paired_tests(
    combine: Combine,
    systems: Sequence[Rows],
    pairs: Sequence[tuple[int, int]],
    seed: int,
    draws: int = 10_000,
    clusters: Names | None = None,
) -> Float[np.ndarray, "P C"]:
    """Two-sided p-values that the two systems of a pair are exchangeable, by approximate randomisation.

    Each draw swaps the two systems' statistics in a random half of the examples, or clusters; p = (c + 1) / (draws + 1)
    with ties counted (Noreen 1989; Riezler and Maxwell 2005). NaN where a column is undefined for either. Statistics of
    several training seeds are averaged first: the question is about these very checkpoints.
    """
    rows = [pooled(one) for one in systems]
    groups = Groups(len(rows[0]), clusters)
    columns = np.stack([combine(one) for one in rows])
    first, second = (columns[[pair[side] for pair in pairs]] for side in (0, 1))
    observed = np.abs(first - second)
    bar = observed - 1e-12 * (np.abs(first) + np.abs(second))  # a tie that rounding breaks is still a tie
    sums = groups.sums([one[None] for one in rows]) if _additive(combine) else None
    wholes = None if sums is None else np.concatenate([one.sum(axis=1) for one in sums])
    generator = np.random.default_rng(seed)
    beaten = np.zeros_like(observed)
    for size in _blocks(draws, len(groups)):
        coins = _coins(generator, size, len(groups))
        moved = None if sums is None else _weighted(coins.astype(float), sums)
        for place, (one, other) in enumerate(pairs):
            if wholes is None or moved is None:
                drawn = _swapped(combine, rows[one], rows[other], coins[:, groups.numbers])
            else:
                gained = moved[:, other] - moved[:, one]
                drawn = combine((wholes[one] + gained)[:, None]) - combine((wholes[other] - gained)[:, None])
            beaten[place] += (np.abs(drawn) >= bar[place]).sum(axis=0)
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
    clusters: Names | None = None,
) -> Columns:
    """The smallest true difference that a paired test of this many examples would find with the given power.

    (z(level, two-sided) + z(power)) times the bootstrap standard error of the difference; same units as the column.
    """
    one, other = bootstraps(combine, [a, b], seed, resamples, clusters)
    return detectable(one - other, level, power)


def detectable(differences: Float[np.ndarray, "R C"], level: float = 0.95, power: float = 0.8) -> Columns:
    """The same from draws of the difference."""
    from statistics import NormalDist

    normal = NormalDist()
    return (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * differences.std(axis=0, ddof=1)


def ends(draws: Float[np.ndarray, "R C"], level: float = 0.95) -> tuple[Columns, Columns]:
    """Low and high ends of the middle ``level`` of the draws of every column; NaN where none is defined."""
    found = np.full((2, draws.shape[1]), np.nan)
    defined = ~np.isnan(draws).all(axis=0)
    tail = 50 * (1 - level)
    found[:, defined] = np.nanpercentile(draws[:, defined], [tail, 100 - tail], axis=0)
    return found[0], found[1]


def _additive(combine: Combine) -> bool:
    return getattr(combine, "additive", False)


def _blocks(total: int, width: int) -> Iterator[int]:
    """How many draws to make at a time, over so many clusters."""
    most = max(1, min(BLOCK, CELLS // width))
    most -= most % 4 if most > 4 else 0  # coins come in words of 32 bits: no block leaves a piece of one over
    for start in range(0, total, most):
        yield min(most, total - start)


def _weighted(
    weights: Float[np.ndarray, "R M"], sums: Sequence[Float[np.ndarray, "_ M K"]]
) -> Float[np.ndarray, "R S K"]:
    """For every draw the weighted sum over clusters, of all layers."""
    return np.concatenate([np.tensordot(weights, one, axes=(1, 1)) for one in sums], axis=1)


def _ends_of(layers: Sequence[Float[np.ndarray, "S N K"]]) -> Int[np.ndarray, " L"]:
    return np.cumsum([len(one) for one in layers])[:-1]


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


def _swapped(
    combine: Combine, a: Float[np.ndarray, "N K"], b: Float[np.ndarray, "N K"], swapped: Bool[np.ndarray, "R N"]
) -> Float[np.ndarray, "R C"]:
    """The difference after each draw's swaps, one ``combine`` at a time."""
    chosen = swapped[:, :, None]
    return np.stack([combine(np.where(swap, b, a)) - combine(np.where(swap, a, b)) for swap in chosen])

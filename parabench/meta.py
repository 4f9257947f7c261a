"""Scorers against people: does a column agree with what raters said, and how sure is that?

Items that share a source are not independent, so every interval and test here resamples whole sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from parabench.contracts import Example, Scorer
from parabench.data.judgments import Item, Judged, Preference
from parabench.significance import BLOCK, cluster_rows

Vector = Float[np.ndarray, " N"]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over sources."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ColumnAgainstPeople:
    """How one column agrees with people, measure by measure, on ``count`` items of ``clusters`` sources."""

    column: str
    count: int
    clusters: int
    agreement: Mapping[str, Estimate]


def against_people(
    scorer: Scorer, items: Sequence[Item], seed: int, resamples: int = 1000
) -> list[ColumnAgainstPeople]:
    """Every column of a scorer against judged texts or against preferences; a column is turned where lower is better.

    Judged texts give the correlations of ``correlations``; preferences the share of pairs ordered as people ordered
    them, a tie counting half, which is .5 by chance.
    """
    clusters = [item.cluster for item in items]
    signs = np.array([-1.0 if column.better == "down" else 1.0 for column in scorer.columns])
    judged = [item for item in items if isinstance(item, Judged)]
    preferred = [item for item in items if isinstance(item, Preference)]
    if judged and preferred:
        raise ValueError("judged texts and preferences cannot be pooled")
    if judged:
        values = signs * per_example(scorer, [i.example for i in judged], [i.text for i in judged])
        people = np.array([item.rating for item in judged])
        found = [correlations(column, people, clusters, seed, resamples) for column in values.T]
    else:
        examples = [item.example for item in preferred]
        chosen = signs * per_example(scorer, examples, [item.chosen for item in preferred])
        rejected = signs * per_example(scorer, examples, [item.rejected for item in preferred])
        wins = (chosen > rejected) + 0.5 * (chosen == rejected)
        found = [{"preference": _mean(column, clusters, seed, resamples)} for column in wins.T]
    names = [column.name for column in scorer.columns]
    return [ColumnAgainstPeople(n, len(items), len(set(clusters)), f) for n, f in zip(names, found, strict=True)]


def per_example(scorer: Scorer, examples: Sequence[Example], texts: Sequence[str]) -> Float[np.ndarray, "N C"]:
    """Every text's own columns: ``combine`` of each row by itself."""
    return np.stack([scorer.combine(row[None]) for row in scorer.measure(examples, texts)])


def correlations(
    values: Vector, people: Vector, clusters: Sequence[str], seed: int, resamples: int = 1000
) -> dict[str, Estimate]:
    """Pearson, Spearman and Kendall (tau-b) over all items, and each as ``…-within``: its mean over single sources.

    The mean within sources takes out how hard a source is; sources with one item, or all alike, have none to give.
    """
    rows = cluster_rows(len(values), clusters)
    chosen = np.random.default_rng(seed).integers(len(rows), size=(resamples, len(rows)))
    samples = [np.concatenate([rows[place] for place in draw]) for draw in chosen]
    found = {}
    for name, measure in MEASURES.items():
        draws = np.array([measure(values[sample], people[sample]) for sample in samples])
        found[name] = _estimate(measure(values, people), draws)
        within = np.array([measure(values[one], people[one]) for one in rows])
        found[f"{name}-within"] = _estimate(float(_defined_mean(within)), _defined_mean(within[chosen]))
    return found


def pearson(a: Vector, b: Vector) -> float:
    """Linear correlation; NaN where either side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def spearman(a: Vector, b: Vector) -> float:
    """Correlation of ranks, ties sharing theirs."""
    return pearson(stats.rankdata(a), stats.rankdata(b))


def kendall(a: Vector, b: Vector) -> float:
    """Tau-b: pairs ordered alike minus pairs ordered unlike, corrected for ties."""
    return np.nan if np.ptp(a) == 0 or np.ptp(b) == 0 else float(stats.kendalltau(a, b).statistic)


MEASURES = {"pearson": pearson, "spearman": spearman, "kendall": kendall}


def williams(r_a: float, r_b: float, r_ab: float, count: int) -> tuple[float, float]:
    """T and two-sided p that two columns correlate equally with people, given how they correlate with each other.

    For independent items (Williams 1959; Steiger 1980, equation 7); with shared sources use ``swap_test``.
    """
    determinant = 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab
    mean = (r_a + r_b) / 2
    spread = 2 * (count - 1) / (count - 3) * determinant + mean**2 * (1 - r_ab) ** 3
    t = (r_a - r_b) * np.sqrt((count - 1) * (1 + r_ab) / spread)
    return float(t), float(2 * stats.t.sf(abs(t), count - 3))


def swap_test(a: Vector, b: Vector, people: Vector, clusters: Sequence[str], seed: int, draws: int = 10_000) -> float:
    """Two-sided p that two columns have the same Pearson correlation with people: values swapped source by source.

    Columns are standardised first, so that swapping is fair; p = (c + 1) / (draws + 1), ties counted.
    """
    rows = cluster_rows(len(a), clusters)
    of_row = np.empty(len(a), dtype=int)
    for place, members in enumerate(rows):
        of_row[members] = place
    a, b = stats.zscore(a), stats.zscore(b)
    observed = abs(pearson(a, people) - pearson(b, people))
    generator, beaten = np.random.default_rng(seed), 0
    for start in range(0, draws, BLOCK):
        swapped = generator.random((min(BLOCK, draws - start), len(rows)))[:, of_row] < 0.5
        first, second = np.where(swapped, b, a), np.where(swapped, a, b)
        drawn = np.abs(_row_pearson(first, people) - _row_pearson(second, people))
        beaten += int((drawn >= observed - 1e-12).sum())
    return (beaten + 1) / (draws + 1)


def fleiss_kappa(counts: Int[np.ndarray, "N L"]) -> float:
    """Agreement of raters beyond chance, from how many gave each label to each item (Fleiss 1971)."""
    raters = counts.sum(axis=1)
    agreed = ((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean()
    expected = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float((agreed - expected) / (1 - expected))


def rater_ceiling(items: Sequence[Judged]) -> float:
    """Mean Pearson correlation of one rater with the mean of the others: about what a scorer can hope for."""
    shared = [item.ratings for item in items if len(item.ratings) > 1]
    seats = range(min(map(len, shared), default=0))
    alone = [np.array([ratings[seat] for ratings in shared]) for seat in seats]
    rest = [np.array([(sum(r) - r[seat]) / (len(r) - 1) for r in shared]) for seat in seats]
    return float(np.mean([pearson(a, b) for a, b in zip(alone, rest, strict=True)])) if shared else np.nan


def _row_pearson(rows: Float[np.ndarray, "R N"], people: Vector) -> Float[np.ndarray, " R"]:
    return stats.zscore(rows, axis=1) @ stats.zscore(people) / len(people)


def _mean(values: Vector, clusters: Sequence[str], seed: int, resamples: int) -> Estimate:
    rows = cluster_rows(len(values), clusters)
    chosen = np.random.default_rng(seed).integers(len(rows), size=(resamples, len(rows)))
    totals, sizes = np.array([values[one].sum() for one in rows]), np.array([len(one) for one in rows])
    return _estimate(float(values.mean()), totals[chosen].sum(axis=1) / sizes[chosen].sum(axis=1))


def _defined_mean(values: Float[np.ndarray, "*draws M"]) -> Float[np.ndarray, "*draws"]:
    count = (~np.isnan(values)).sum(axis=-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)


def _estimate(value: float, draws: Vector) -> Estimate:
    defined = draws[~np.isnan(draws)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))

"""Scorers against people: does a column agree with what raters said, and how sure is that?

Items that share a source are not independent, so every interval and test here resamples whole
sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from parabench.contracts import Example, Scorer, UserError
from parabench.metaeval.judgments import Judgment, Preference, RatedText
from parabench.stats.clusters import cluster_rows
from parabench.stats.significance import DRAWS_IN_MEMORY, paired_test

Vector = Float[np.ndarray, " N"]


@dataclass(frozen=True)
class IntervalEstimate:
    """A value with its 95 % interval over sources."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ColumnAgreement:
    """How one column agrees with people, measure by measure, on ``count`` items of ``clusters``
    sources.

    ``count`` is without the items that have no value in this column.
    """

    column: str
    count: int
    clusters: int
    agreement: Mapping[str, IntervalEstimate]


def scorer_agreement(
    scorer: Scorer, items: Sequence[Judgment], seed: int, resamples: int = 1000
) -> list[ColumnAgreement]:
    """Every column of a scorer against judged texts or against preferences; a column is turned
    where lower is better.

    Judged texts give the measures of ``judged_agreement``; preferences the share of pairs ordered
    as people ordered them, a tie counting half, which is .5 by chance.
    """
    rows = zip(scorer.columns, judgment_values(scorer, items).T, strict=True)
    return [
        column_agreement(column.name, values, items, seed, resamples) for column, values in rows
    ]


def judgment_values(scorer: Scorer, items: Sequence[Judgment]) -> Float[np.ndarray, "N C"]:
    """Every column on every item, more being better: of a judged text its value, of a preference 1
    where the chosen text has more than the other, .5 where they have as much.
    """
    judged = [item for item in items if isinstance(item, RatedText)]
    preferred = [item for item in items if isinstance(item, Preference)]
    if judged and preferred:
        raise UserError(
            "test scorers against people",
            "ratings and preferences in one file",
            mend="make it two files",
        )
    signs = np.array([-1.0 if column.better == "down" else 1.0 for column in scorer.columns])
    examples = [item.example for item in items]
    if judged:
        return signs * per_example(scorer, examples, [item.text for item in judged])
    chosen = signs * per_example(scorer, examples, [item.chosen for item in preferred])
    rejected = signs * per_example(scorer, examples, [item.rejected for item in preferred])
    wins = (chosen > rejected) + 0.5 * (chosen == rejected)
    return np.where(np.isnan(chosen) | np.isnan(rejected), np.nan, wins)


def column_agreement(
    name: str, values: Vector, items: Sequence[Judgment], seed: int, resamples: int = 1000
) -> ColumnAgreement:
    """How one column, as ``on_items`` gives it, agrees with people; items without a value are left
    out and counted.
    """
    defined = ~np.isnan(values)
    kept, values = (
        [item for item, known in zip(items, defined, strict=True) if known],
        values[defined],
    )
    judged, clusters = (
        [item for item in kept if isinstance(item, RatedText)],
        [item.cluster for item in kept],
    )
    found = (
        rating_agreement(values, judged, seed, resamples)
        if judged
        else {"preference": _ratio(values, np.ones(len(values)), clusters, seed, resamples)}
    )
    return ColumnAgreement(name, len(kept), len(set(clusters)), found)


def rating_agreement(
    values: Vector, items: Sequence[RatedText], seed: int, resamples: int = 1000
) -> dict[str, IntervalEstimate]:
    """Correlations, then ``pairs``: of two texts for one source that people rated apart, is the
    better one ahead?

    Where two systems answered the same sources, also ``soft-pairs`` (``soft_pairwise_accuracy``).
    """
    people, clusters = np.array([item.rating for item in items]), [item.cluster for item in items]
    found = correlations(values, people, clusters, seed, resamples)
    alike, counts = pairwise_accuracy(values, people, clusters)
    if counts.any():
        found["pairs"] = _ratio(alike, counts, None, seed, resamples)
    if len({system for item in items for system in item.systems}) > 1:
        found["soft-pairs"] = soft_pairwise_accuracy(
            values, people, items, seed, resamples=min(resamples, 200)
        )
    return found


def per_example(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[str]
) -> Float[np.ndarray, "N C"]:
    """Every text's own columns: ``combine`` of each row by itself."""
    return np.stack([scorer.combine(row[None]) for row in scorer.measure(examples, texts)])


def correlations(
    values: Vector, people: Vector, clusters: Sequence[str], seed: int, resamples: int = 1000
) -> dict[str, IntervalEstimate]:
    """Pearson, Spearman and Kendall (tau-b) over all items, and each as ``…-within``: its mean over
    single sources.

    The mean within sources takes out how hard a source is; sources with one item, or all alike,
    have none to give.
    """
    rows = cluster_rows(len(values), clusters)
    chosen = np.random.default_rng(seed).integers(len(rows), size=(resamples, len(rows)))
    samples = [np.concatenate([rows[place] for place in draw]) for draw in chosen]
    found = {}
    for name, measure in MEASURES.items():
        draws = np.array([measure(values[sample], people[sample]) for sample in samples])
        found[name] = _estimate(measure(values, people), draws)
        within = np.array([measure(values[one], people[one]) for one in rows])
        found[f"{name}-within"] = _estimate(
            float(_defined_mean(within)), _defined_mean(within[chosen])
        )
    return found


def pairwise_accuracy(
    values: Vector, people: Vector, clusters: Sequence[str]
) -> tuple[Vector, Vector]:
    """Of each source, how many pairs of its items are ordered as people ordered them (a tie is
    half), and of how many.

    Pairs that people rated alike are left out.
    """
    counted = []
    for rows in cluster_rows(len(values), clusters):
        one, other = np.triu_indices(len(rows), 1)
        apart = np.sign(people[rows][one] - people[rows][other])
        agreed = (1 + apart * np.sign(values[rows][one] - values[rows][other])) / 2
        counted.append((agreed[apart != 0].sum(), (apart != 0).sum()))
    alike, counts = np.array(counted, dtype=float).T
    return alike, counts


def soft_pairwise_accuracy(
    values: Vector,
    people: Vector,
    items: Sequence[RatedText],
    seed: int,
    draws: int = 1000,
    resamples: int = 200,
) -> IntervalEstimate:
    """Mean over pairs of systems of 1 - |p - q|: how sure the column, and people, are that one
    beats the other.

    Both p are one-sided, from the same sign flips over the sources that both systems answered, at
    least ten. Thompson, Mathur, Deutsch and Khayrallah 2024, "Improving Statistical Significance in
    Human Evaluation of Automatic Metrics via Soft Pairwise Accuracy". NaN where no two systems
    share sources.
    """
    column, judged = (_system_differences(numbers, items) for numbers in (values, people))
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1.0, 1.0], size=(draws, len(column)))

    def accuracy(weights: Vector) -> float:
        p, q = (
            _one_sided(signs, weights[:, None] * differences) for differences in (column, judged)
        )
        return float(np.mean(1 - np.abs(p - q))) if len(p) else np.nan

    weights = generator.multinomial(
        len(column), np.full(len(column), 1 / len(column)), size=resamples
    )
    return _estimate(
        accuracy(np.ones(len(column))), np.array([accuracy(drawn) for drawn in weights])
    )


def _system_differences(values: Vector, items: Sequence[RatedText]) -> Float[np.ndarray, "S P"]:
    """For each source and pair of systems, the difference of their mean values on it; 0 where one
    has none.
    """
    sources = {
        name: place for place, name in enumerate(dict.fromkeys(item.cluster for item in items))
    }
    systems = {
        name: place
        for place, name in enumerate(sorted({name for item in items for name in item.systems}))
    }
    sums, counts = np.zeros((2, len(sources), len(systems)))
    for value, item in zip(values, items, strict=True):
        for name in item.systems:
            sums[sources[item.cluster], systems[name]] += value
            counts[sources[item.cluster], systems[name]] += 1
    one, other = np.triu_indices(len(systems), 1)
    shared = (counts[:, one] > 0) & (counts[:, other] > 0)
    means = sums / np.maximum(counts, 1)
    return np.where(shared, means[:, one] - means[:, other], 0.0)[:, shared.sum(axis=0) >= 10]


def _one_sided(
    signs: Float[np.ndarray, "R S"], differences: Float[np.ndarray, "S P"]
) -> Float[np.ndarray, " P"]:
    drawn, observed = signs @ differences, differences.sum(axis=0)
    return (drawn >= observed - 1e-12).mean(axis=0)


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
    """T and two-sided p that two columns correlate equally with people, given how they correlate
    with each other.

    For independent items (Williams 1959; Steiger 1980, equation 7); with shared sources use
    ``swap_test``.
    """
    determinant = 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab
    mean = (r_a + r_b) / 2
    spread = 2 * (count - 1) / (count - 3) * determinant + mean**2 * (1 - r_ab) ** 3
    t = (r_a - r_b) * np.sqrt((count - 1) * (1 + r_ab) / spread)
    return float(t), float(2 * stats.t.sf(abs(t), count - 3))


def swap_test(
    a: Vector, b: Vector, people: Vector, clusters: Sequence[str], seed: int, draws: int = 10_000
) -> float:
    """Two-sided p that two columns have the same Pearson correlation with people: values swapped
    source by source.

    Columns are standardised first, so that swapping is fair; p = (c + 1) / (draws + 1), ties
    counted.
    """
    rows = cluster_rows(len(a), clusters)
    of_row = np.empty(len(a), dtype=int)
    for place, members in enumerate(rows):
        of_row[members] = place
    a, b = stats.zscore(a), stats.zscore(b)
    observed = abs(pearson(a, people) - pearson(b, people))
    generator, beaten = np.random.default_rng(seed), 0
    for start in range(0, draws, DRAWS_IN_MEMORY):
        swapped = (
            generator.random((min(DRAWS_IN_MEMORY, draws - start), len(rows)))[:, of_row] < 0.5
        )
        first, second = np.where(swapped, b, a), np.where(swapped, a, b)
        drawn = np.abs(_row_pearson(first, people) - _row_pearson(second, people))
        beaten += int((drawn >= observed - 1e-12).sum())
    return (beaten + 1) / (draws + 1)


def fleiss_kappa(counts: Int[np.ndarray, "N L"]) -> float:
    """Agreement of raters beyond chance, from how many gave each label to each item (Fleiss
    1971).
    """
    raters = counts.sum(axis=1)
    agreed = ((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean()
    expected = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float((agreed - expected) / (1 - expected))


def rater_ceiling(items: Sequence[Judgment]) -> float:
    """How well one rater agrees with the others: about what a scorer can hope for; NaN where no
    item has two raters.

    Of judged texts the mean Pearson correlation of one rater with the mean of the others; of
    preferences the share of one rater's votes that are as most of the others', a tie counting half.
    """
    shared = [
        one
        for item in items
        if len(one := item.ratings if isinstance(item, RatedText) else item.votes) > 1
    ]
    seats = range(min(map(len, shared), default=0))
    alone = [np.array([given[seat] for given in shared]) for seat in seats]
    rest = [
        np.array([(sum(given) - given[seat]) / (len(given) - 1) for given in shared])
        for seat in seats
    ]
    agree = pearson if isinstance(next(iter(items), None), RatedText) else _same_side
    return (
        float(np.mean([agree(a, b) for a, b in zip(alone, rest, strict=True)]))
        if shared
        else np.nan
    )


def _same_side(votes: Vector, others: Vector) -> float:
    return float(((1 + np.sign(votes - 0.5) * np.sign(others - 0.5)) / 2).mean())


def agreement_difference_p(
    a: Vector, b: Vector, items: Sequence[Judgment], seed: int, draws: int = 10_000
) -> float:
    """Two-sided p that two columns, as ``on_items`` gives them, agree equally with people; whole
    sources are swapped.

    Of judged texts by ``swap_test``, of preferences by the share of pairs; NaN where a column has
    no value somewhere.
    """
    clusters = [item.cluster for item in items]
    judged = [item.rating for item in items if isinstance(item, RatedText)]
    if np.isnan(a).any() or np.isnan(b).any():
        return np.nan
    if judged:
        return swap_test(a, b, np.array(judged), clusters, seed, draws)
    return float(
        paired_test(lambda rows: rows.mean(axis=-2), a[:, None], b[:, None], seed, draws, clusters)[
            0
        ]
    )


def _row_pearson(rows: Float[np.ndarray, "R N"], people: Vector) -> Float[np.ndarray, " R"]:
    return stats.zscore(rows, axis=1) @ stats.zscore(people) / len(people)


def _ratio(
    parts: Vector, wholes: Vector, clusters: Sequence[str] | None, seed: int, resamples: int
) -> IntervalEstimate:
    """Sum of parts over sum of wholes, with its interval over clusters."""
    rows = cluster_rows(len(parts), clusters)
    chosen = np.random.default_rng(seed).integers(len(rows), size=(resamples, len(rows)))
    part, whole = (np.array([numbers[one].sum() for one in rows]) for numbers in (parts, wholes))
    drawn = np.maximum(whole[chosen].sum(axis=1), 1)
    return _estimate(float(parts.sum() / wholes.sum()), part[chosen].sum(axis=1) / drawn)


def _defined_mean(values: Float[np.ndarray, "*draws M"]) -> Float[np.ndarray, "*draws"]:
    count = (~np.isnan(values)).sum(axis=-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)


def _estimate(value: float, draws: Vector) -> IntervalEstimate:
    defined = draws[~np.isnan(draws)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return IntervalEstimate(float(value), float(low), float(high))

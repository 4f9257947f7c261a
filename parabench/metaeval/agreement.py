"""Meta-evaluation: does a column agree with what people said, and how sure is that?

Judgments are ratings of texts or preferences between two; what agreement means for each is here,
the measures and tests are in ``correlation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import Example, Scorer, UserError
from parabench.metaeval.correlation import (
    IntervalEstimate,
    Vector,
    correlations,
    pairwise_accuracy,
    pearson,
    ratio_with_interval,
    swap_test,
    with_interval,
)
from parabench.metaeval.judgments import Judgment, Preference, RatedText
from parabench.stats.arrays import per_example
from parabench.stats.significance import paired_test

SOFT_RESAMPLES = 200
"""Of soft pairwise accuracy, each of which is a randomisation test of every pair of systems."""
_MIN_SHARED_SOURCES = 10
"""Two systems are compared on at least so many sources that both answered."""
_TIE = 1e-12


@dataclass(frozen=True)
class ColumnAgreement:
    """How one column agrees with people, by name of the measure.

    ``count`` items of ``clusters`` sources have a value in the column; the others are left out.
    """

    column: str
    count: int
    clusters: int
    agreement: Mapping[str, IntervalEstimate]


def scorer_agreement(
    scorer: Scorer, items: Sequence[Judgment], seed: int, resamples: int = 1000
) -> list[ColumnAgreement]:
    """The agreement of every column of a scorer; a column is negated where lower is better.

    Rated texts give the measures of ``rating_agreement``; preferences the share of pairs ordered as
    people ordered them, a tie counting half, which is .5 by chance.

    Args:
        scorer: measures the texts of ``items``.
        items: all ratings, or all preferences.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.

    Raises:
        UserError: where ratings and preferences are mixed.
    """
    values = judgment_values(scorer, items)
    return [
        column_agreement(column.name, row, items, seed, resamples)
        for column, row in zip(scorer.columns, values.T, strict=True)
    ]


def judgment_values(scorer: Scorer, items: Sequence[Judgment]) -> Float[np.ndarray, "N C"]:
    """Every column on every judgment, more being better.

    A rated text has its own value. A preference has 1 where the chosen text has more than the
    rejected one, .5 where both have as much, and 0 otherwise.

    Raises:
        UserError: where ratings and preferences are mixed.
    """
    rated = [item for item in items if isinstance(item, RatedText)]
    preferred = [item for item in items if isinstance(item, Preference)]
    if rated and preferred:
        raise UserError(
            "test scorers against people",
            "ratings and preferences in one file",
            mend="make it two files",
        )
    signs = np.array([-1.0 if column.better == "down" else 1.0 for column in scorer.columns])
    examples = [item.example for item in items]
    if rated:
        return signs * _values(scorer, examples, [item.text for item in rated])
    chosen = signs * _values(scorer, examples, [item.chosen for item in preferred])
    rejected = signs * _values(scorer, examples, [item.rejected for item in preferred])
    wins = (chosen > rejected) + 0.5 * (chosen == rejected)
    # A comparison with NaN is False, which would count as a loss: such a pair has no value.
    undefined = np.isnan(chosen) | np.isnan(rejected)
    return np.where(undefined, np.nan, wins)


def _values(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[str]
) -> Float[np.ndarray, "N C"]:
    return per_example(scorer.combine, scorer.measure(examples, texts))


def column_agreement(
    name: str, values: Vector, items: Sequence[Judgment], seed: int, resamples: int = 1000
) -> ColumnAgreement:
    """The agreement of one column with people; items without a value are left out and counted.

    Args:
        name: of the column.
        values: as ``judgment_values`` gives them, one an item.
        items: all ratings, or all preferences.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.
    """
    defined = ~np.isnan(values)
    kept = [item for item, known in zip(items, defined, strict=True) if known]
    values = values[defined]
    clusters = [item.cluster for item in kept]
    rated = [item for item in kept if isinstance(item, RatedText)]
    if rated:
        found = rating_agreement(values, rated, seed, resamples)
    else:
        share = ratio_with_interval(values, np.ones(len(values)), clusters, seed, resamples)
        found = {"preference": share}
    return ColumnAgreement(name, len(kept), len(set(clusters)), found)


def rating_agreement(
    values: Vector, items: Sequence[RatedText], seed: int, resamples: int = 1000
) -> dict[str, IntervalEstimate]:
    """Correlations with mean ratings, then ``pairs`` and, where systems are known, ``soft-pairs``.

    ``pairs``: of two texts for one source that people rated apart, how often is the better one
    ahead? ``soft-pairs`` is ``soft_pairwise_accuracy``, where two systems answered the same
    sources.

    Args:
        values: of the column, one an item.
        items: the rated texts.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.
    """
    people = np.array([item.rating for item in items])
    clusters = [item.cluster for item in items]
    found = correlations(values, people, clusters, seed, resamples)
    agreed, compared = pairwise_accuracy(values, people, clusters)
    if compared.any():
        found["pairs"] = ratio_with_interval(agreed, compared, None, seed, resamples)
    systems = {system for item in items for system in item.systems}
    if len(systems) > 1:
        soft = min(resamples, SOFT_RESAMPLES)
        found["soft-pairs"] = soft_pairwise_accuracy(values, people, items, seed, resamples=soft)
    return found


def soft_pairwise_accuracy(
    values: Vector,
    people: Vector,
    items: Sequence[RatedText],
    seed: int,
    draws: int = 1000,
    resamples: int = 200,
) -> IntervalEstimate:
    """Mean over pairs of systems of 1 - |p - q|.

    p says how sure the column, and q how sure people, are that one system beats the other. Both are
    one-sided and come from the same sign flips over the sources that both systems answered, at
    least ten. NaN where no two systems share sources. Thompson, Mathur, Deutsch and Khayrallah
    2024, "Improving Statistical Significance in Human Evaluation of Automatic Metrics via Soft
    Pairwise Accuracy".

    Args:
        values: of the column, one an item.
        people: the mean rating of each item.
        items: which say the source and the systems of each text.
        seed: of the flips and of the bootstrap.
        draws: sign flips of each test.
        resamples: bootstrap samples of whole sources.
    """
    by_column = _system_differences(values, items)
    by_people = _system_differences(people, items)
    sources = len(by_column)
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1.0, 1.0], size=(draws, sources))

    def accuracy(weights: Float[np.ndarray, " S"]) -> float:
        p = _one_sided(signs, weights[:, None] * by_column)
        q = _one_sided(signs, weights[:, None] * by_people)
        return float(np.mean(1 - np.abs(p - q))) if len(p) else np.nan

    # A bootstrap sample of the sources, as how often each was drawn: a source drawn twice has
    # twice the difference, so the sign flips need not be drawn again.
    weights = generator.multinomial(sources, np.full(sources, 1 / sources), size=resamples)
    drawn = np.array([accuracy(one.astype(float)) for one in weights])
    return with_interval(accuracy(np.ones(sources)), drawn)


def _system_differences(values: Vector, items: Sequence[RatedText]) -> Float[np.ndarray, "S P"]:
    """For each source and pair of systems, the difference of their mean values on it.

    It is 0, which no sign flip changes, where one of the two has no text for the source. Pairs that
    share fewer than ten sources are left out.
    """
    cluster_names = dict.fromkeys(item.cluster for item in items)
    source_places = {name: place for place, name in enumerate(cluster_names)}
    system_names = sorted({name for item in items for name in item.systems})
    system_places = {name: place for place, name in enumerate(system_names)}
    sums = np.zeros((len(source_places), len(system_places)))
    counts = np.zeros_like(sums)
    for value, item in zip(values, items, strict=True):
        for name in item.systems:
            cell = source_places[item.cluster], system_places[name]
            sums[cell] += value
            counts[cell] += 1
    one, other = np.triu_indices(len(system_places), 1)
    shared = (counts[:, one] > 0) & (counts[:, other] > 0)
    means = sums / np.maximum(counts, 1)
    differences = np.where(shared, means[:, one] - means[:, other], 0.0)
    enough = shared.sum(axis=0) >= _MIN_SHARED_SOURCES
    return differences[:, enough]


def _one_sided(
    signs: Float[np.ndarray, "R S"], differences: Float[np.ndarray, "S P"]
) -> Float[np.ndarray, " P"]:
    """For each pair, the share of sign flips whose sum is at least the observed one."""
    drawn, observed = signs @ differences, differences.sum(axis=0)
    return (drawn >= observed - _TIE).mean(axis=0)


def rater_ceiling(items: Sequence[Judgment]) -> float:
    """How well one rater agrees with the others: about what a scorer can hope for.

    Of rated texts the mean Pearson correlation of one rater with the mean of the others; of
    preferences the share of one rater's votes that are as most of the others', a tie counting half.
    NaN where no item has two raters.
    """
    given = [item.ratings if isinstance(item, RatedText) else item.votes for item in items]
    shared = [one for one in given if len(one) > 1]
    if not shared:
        return np.nan
    agree = pearson if isinstance(items[0], RatedText) else _same_side
    found = []
    # Raters are told apart by their place in the row alone, so as many can be left out in turn
    # as the item with the fewest raters has.
    for seat in range(min(map(len, shared))):
        alone = np.array([one[seat] for one in shared])
        others = np.array([(sum(one) - one[seat]) / (len(one) - 1) for one in shared])
        found.append(agree(alone, others))
    return float(np.mean(found))


def _same_side(votes: Vector, others: Vector) -> float:
    """The share of votes on the same side of .5 as the others' mean, a tie counting half."""
    agreement = np.sign(votes - 0.5) * np.sign(others - 0.5)
    return float(((1 + agreement) / 2).mean())


def agreement_difference_p(
    a: Vector, b: Vector, items: Sequence[Judgment], seed: int, draws: int = 10_000
) -> float:
    """Two-sided p that two columns agree equally with people; whole sources are swapped.

    Of rated texts by ``swap_test``, of preferences by the share of pairs. NaN where a column has no
    value somewhere.

    Args:
        a: the first column, as ``judgment_values`` gives it.
        b: the second column.
        items: all ratings, or all preferences.
        seed: of the swaps.
        draws: number of swaps.
    """
    if np.isnan(a).any() or np.isnan(b).any():
        return np.nan
    clusters = [item.cluster for item in items]
    ratings = [item.rating for item in items if isinstance(item, RatedText)]
    if ratings:
        return swap_test(a, b, np.array(ratings), clusters, seed, draws)
    p = paired_test(_mean_of_rows, a[:, None], b[:, None], seed, draws, clusters)
    return float(p[0])


def _mean_of_rows(rows: Float[np.ndarray, "*draws N 1"]) -> Float[np.ndarray, "*draws 1"]:
    return rows.mean(axis=-2)

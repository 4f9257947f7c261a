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
)
from parabench.metaeval.judgments import Judgment, Preference, RatedText
from parabench.metaeval.soft_pairs import soft_pairwise_accuracy
from parabench.stats.arrays import per_example
from parabench.stats.significance import paired_test

SOFT_RESAMPLES = 200
"""Of soft pairwise accuracy, each of which is a randomisation test of every pair of systems."""


@dataclass(frozen=True)
class ColumnAgreement:
    """How one column agrees with people, by name of the measure.

    ``count`` items of ``clusters`` sources have a value in the column; the others are left out.
    """

    column: str
    count: int
    clusters: int
    agreement: Mapping[str, IntervalEstimate]


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
    # Negated where lower is better, so that more is better in every column.
    signs = np.array([-1.0 if column.better == "down" else 1.0 for column in scorer.columns])  # [C]
    examples = [item.example for item in items]
    if rated:
        texts = [item.text for item in rated]
        return signs * _values(scorer, examples, texts)
    chosen_texts = [item.chosen for item in preferred]
    rejected_texts = [item.rejected for item in preferred]
    chosen = signs * _values(scorer, examples, chosen_texts)
    rejected = signs * _values(scorer, examples, rejected_texts)
    is_tie = chosen == rejected
    wins = (chosen > rejected) + 0.5 * is_tie
    # A comparison with NaN is False, which would count as a loss: such a pair has no value.
    undefined = np.isnan(chosen) | np.isnan(rejected)
    return np.where(undefined, np.nan, wins)


def _values(
    scorer: Scorer,
    examples: Sequence[Example],
    texts: Sequence[str],
) -> Float[np.ndarray, "N C"]:
    statistics = scorer.measure(examples, texts)
    return per_example(scorer.combine, statistics)


def column_agreement(
    name: str,
    values: Vector,
    items: Sequence[Judgment],
    seed: int,
    resamples: int = 1000,
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
        # Each preference counts one, so the ratio is the share that the column orders as people.
        ones = np.ones(len(values))
        share = ratio_with_interval(values, ones, clusters, seed, resamples)
        found = {"preference": share}
    return ColumnAgreement(
        column=name,
        count=len(kept),
        clusters=len(set(clusters)),
        agreement=found,
    )


def rating_agreement(
    values: Vector,
    items: Sequence[RatedText],
    seed: int,
    resamples: int = 1000,
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
    # Both counts are by source already, so no clusters are given: each row is one.
    if compared.any():
        found["pairs"] = ratio_with_interval(agreed, compared, None, seed, resamples)
    systems = {system for item in items for system in item.systems}
    if len(systems) > 1:
        soft = min(resamples, SOFT_RESAMPLES)
        found["soft-pairs"] = soft_pairwise_accuracy(
            values,
            people,
            items,
            seed,
            resamples=soft,
        )
    return found


def rater_ceiling(items: Sequence[Judgment]) -> float:
    """How well one rater agrees with the others: about what a scorer can hope for.

    Of rated texts the mean Pearson correlation of one rater with the mean of the others; of
    preferences the share of one rater's votes that are as most of the others', a tie counting half.
    NaN where no item has two raters.
    """
    shared = []
    for item in items:
        given = item.ratings if isinstance(item, RatedText) else item.votes
        if len(given) > 1:
            shared.append(given)
    if not shared:
        return np.nan
    agree = pearson if isinstance(items[0], RatedText) else _same_side
    found = []
    # Raters are told apart by their place in the row alone, so as many can be left out in turn
    # as the item with the fewest raters has.
    fewest_raters = min(map(len, shared))
    for seat in range(fewest_raters):
        alone = [one[seat] for one in shared]
        rest = [sum(one) - one[seat] for one in shared]
        counts = [len(one) - 1 for one in shared]
        others = np.array(rest) / np.array(counts)
        found.append(agree(np.array(alone, dtype=float), others))
    return float(np.mean(found))


def _same_side(votes: Vector, others: Vector) -> float:
    """The share of votes on the same side of .5 as the others' mean, a tie counting half."""
    # 1 on the same side, -1 on opposite ones, 0 where either is undecided: scores of 1, 0 and 1/2.
    agreement = np.sign(votes - 0.5) * np.sign(others - 0.5)
    scores = (1 + agreement) / 2
    return float(scores.mean())


def agreement_difference_p(
    a: Vector,
    b: Vector,
    items: Sequence[Judgment],
    seed: int,
    draws: int = 10_000,
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
        return swap_test(
            a,
            b,
            np.array(ratings),
            clusters,
            seed,
            draws,
        )
    # The test takes statistics of shape [N, K]; here there is one number an item.
    first = a[:, None]
    second = b[:, None]
    p = paired_test(_mean_of_rows, first, second, seed, draws, clusters)
    return float(p[0])


def _mean_of_rows(rows: Float[np.ndarray, "*draws N 1"]) -> Float[np.ndarray, "*draws 1"]:
    return rows.mean(axis=-2)

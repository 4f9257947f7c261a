"""Meta-evaluation: does a column agree with what people said, and how sure is that?

Judgments are ratings of texts or preferences between two; what agreement means for each is here,
the measures and tests are in ``correlation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import Example, Scorer
from parabench.metaeval.correlation import (
    IntervalEstimate,
    correlations,
    ratio_with_interval,
    swap_test,
)
from parabench.metaeval.human import HumanJudgments
from parabench.metaeval.judgments import Judgment, Preference, RatedText
from parabench.metaeval.resampled import Vector
from parabench.metaeval.soft_pairs import soft_pairwise_accuracy
from parabench.metaeval.within_sources import PairsOfSources, pairwise_accuracy
from parabench.stats.arrays import per_example
from parabench.stats.clusters import ClusterIndex
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

    The ``items`` are all ratings, or all preferences.
    """
    rated = [item for item in items if isinstance(item, RatedText)]
    preferred = [item for item in items if isinstance(item, Preference)]
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
    people: HumanJudgments,
    seed: int,
    resamples: int = 1000,
) -> ColumnAgreement:
    """The agreement of one column with people; items without a value are left out and counted.

    Args:
        name: of the column.
        values: as ``judgment_values`` gives them, one an item.
        people: what they said of the items.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.
    """
    defined = ~np.isnan(values)
    people = people.only(defined)
    values = values[defined]
    if people.ratings is not None:
        found = rating_agreement(values, people, people.ratings, seed, resamples)
    else:
        # Each preference counts one, so the ratio is the share that the column orders as people.
        ones = np.ones(len(values))
        share = ratio_with_interval(values, ones, people.sources, seed, resamples)
        found = {"preference": share}
    return ColumnAgreement(
        column=name,
        count=len(people),
        clusters=people.source_count,
        agreement=found,
    )


def rating_agreement(
    values: Vector,
    people: HumanJudgments,
    ratings: Vector,
    seed: int,
    resamples: int = 1000,
) -> dict[str, IntervalEstimate]:
    """Correlations with mean ratings, then ``pairs`` and, where systems are known, ``soft-pairs``.

    ``pairs``: of two texts for one source that people rated apart, how often is the better one
    ahead? ``soft-pairs`` is ``soft_pairwise_accuracy``, where two systems answered the same
    sources.

    Args:
        values: of the column, one an item.
        people: what they said of the items.
        ratings: those of ``people``.
        seed: of the bootstrap.
        resamples: bootstrap samples of whole sources.
    """
    index = ClusterIndex(len(values), people.sources)
    pairs = PairsOfSources.of(values, ratings, index)
    found = correlations(values, ratings, index, pairs, seed, resamples)
    agreed, compared = pairwise_accuracy(pairs)
    # Both counts are by source already, so no clusters are given: each row is one.
    if compared.any():
        found["pairs"] = ratio_with_interval(agreed, compared, None, seed, resamples)
    if len(np.unique(people.authors.systems)) > 1:
        soft = min(resamples, SOFT_RESAMPLES)
        found["soft-pairs"] = soft_pairwise_accuracy(
            values,
            ratings,
            people,
            seed,
            resamples=soft,
        )
    return found


def agreement_difference_p(
    a: Vector,
    b: Vector,
    people: HumanJudgments,
    seed: int,
    draws: int = 10_000,
) -> float:
    """Two-sided p that two columns agree equally with people; whole sources are swapped.

    Of rated texts by ``swap_test``, of preferences by the share of pairs. NaN where a column has no
    value somewhere, and where it has no correlation with ratings, being constant.

    Args:
        a: the first column, as ``judgment_values`` gives it.
        b: the second column.
        people: what they said of the items.
        seed: of the swaps.
        draws: number of swaps.
    """
    if np.isnan(a).any() or np.isnan(b).any():
        return np.nan
    if people.ratings is not None:
        return swap_test(
            a,
            b,
            people.ratings,
            people.sources,
            seed,
            draws,
        )
    # The test takes statistics of shape [N, K]; here there is one number an item.
    first = a[:, None]
    second = b[:, None]
    p = paired_test(_mean_of_rows, first, second, seed, draws, people.sources)
    return float(p[0])


def _mean_of_rows(rows: Float[np.ndarray, "*draws N 1"]) -> Float[np.ndarray, "*draws 1"]:
    return rows.mean(axis=-2)

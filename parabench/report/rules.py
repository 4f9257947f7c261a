"""What may rank: the columns that pass the rule on controls, and the systems that earn a rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from parabench.report.board import CONFIDENCE_LEVEL, SIGNIFICANCE_LEVEL
from parabench.report.output_columns import OUTPUT_SCORER
from parabench.report.results import RunResults, ScorerResults
from parabench.stats.arrays import corpus_value
from parabench.stats.resampling import percentile_ends
from parabench.stats.significance import holm, paired_tests
from parabench.stats.validity import MIXED_SENTINELS, ControlValues, column_faults, mixtures

NO_HUMAN = (
    "no text of people is in the table, so nothing shows that the column prefers them to the "
    "controls; give every example two references or more (--min-references 2 leaves out the others)"
)
"""Why nothing ranks where there is no human."""
RECYCLED_PERCENT = 10.0
"""From this share of recycled 4-grams on, a row is held against people's share,"""
RECYCLED_TIMES = 3.0
"""of which it may have so many times as much."""


def invalid_columns(results: RunResults) -> dict[str, str]:
    """The columns that break the rule on controls, each with its reason.

    Empty where there is no human, since then no column is checked.
    """
    found: dict[str, str] = {}
    human = _human(results)
    if human is None:
        return found
    for name, one in results.measured.items():
        if human in one.statistics:
            found |= _faults_of_scorer(results, name, human)
    return found


def _faults_of_scorer(results: RunResults, name: str, human: str) -> dict[str, str]:
    one = results.measured[name]
    combine = one.scorer.combine
    draws = dict(zip(one.statistics, results.bootstrap_draws[name], strict=True))
    sentinels = _sentinels(results, one)
    values = {row: corpus_value(combine, one.statistics[row]) for row in (human, *sentinels)}
    controls = {row: ControlValues(values[row], draws[row]) for row in values}
    mixed = {
        row: mixtures(combine, one.statistics[human], one.statistics[row], seed=results.seed)
        for row in MIXED_SENTINELS
        if row in sentinels
    }
    people = controls.pop(human)
    return column_faults(one.scorer.columns, people, controls, mixed, CONFIDENCE_LEVEL)


def unranked_systems(results: RunResults) -> dict[str, str]:
    """The systems that get no rank on the headline whatever the others do, each with its reason.

    A system must be above the best sentinel by more than chance (sentinels are tested like
    systems), and may not fill its outputs with the same word sequences.
    """
    if results.ranking is None:
        return {}
    name, _ = results.ranking
    systems = [
        row for row in results.measured[name].statistics if results.outputs[row].role == "system"
    ]
    if _human(results, name) is None:
        return dict.fromkeys(systems, NO_HUMAN)
    found = dict(_recycling(results))
    for row, reason in _not_above_sentinels(results).items():
        found.setdefault(row, reason)
    return found


def _not_above_sentinels(results: RunResults) -> dict[str, str]:
    """Systems that paired tests do not tell from the best sentinel, or that are below it.

    P-values are adjusted for the number of systems (Holm 1979); the interval of the difference,
    which draws training seeds too, must be above 0 as well.
    """
    assert results.ranking is not None
    name, place = results.ranking
    one = results.measured[name]
    column = one.scorer.columns[place]
    sign = 1 if column.better == "up" else -1
    values = {
        row: float(corpus_value(one.scorer.combine, rows)[place])
        for row, rows in one.statistics.items()
    }
    sentinels = [row for row in _sentinels(results, one) if np.isfinite(values[row])]
    rows = list(one.statistics)
    systems = [
        row for row in rows if results.outputs[row].role == "system" and np.isfinite(values[row])
    ]
    if not sentinels or not systems:
        return {}
    best = max(sentinels, key=lambda row: sign * values[row])
    pairs = [(number, len(systems)) for number in range(len(systems))]
    statistics = [one.statistics[row] for row in (*systems, best)]
    p = paired_tests(
        one.scorer.combine, statistics, pairs, results.seed, results.resamples, results.clusters
    )[:, place]
    adjusted = holm(p)
    draws = results.bootstrap_draws[name][:, :, place]
    found = {}
    for system, chance in zip(systems, adjusted, strict=True):
        ahead = sign * (draws[rows.index(system)] - draws[rows.index(best)])
        low, _ = percentile_ends(ahead[:, None], CONFIDENCE_LEVEL)
        if chance < SIGNIFICANCE_LEVEL and low[0] > 0:
            continue
        own, other = (f"{values[row]:.{column.digits}f}" for row in (system, best))
        found[system] = (
            f"{own} {column.name} is not significantly better than the control {best}, {other} "
            f"(p = {chance:.2g})"
        )
    return found


@dataclass(frozen=True)
class _Share:
    """A share in percent, with its interval."""

    value: float
    low: float
    high: float


def _recycling(results: RunResults) -> Iterator[tuple[str, str]]:
    """Systems whose outputs share far more of their new 4-grams than people's do."""
    shares = _recycled_shares(results)
    human = _human(results, OUTPUT_SCORER)
    if human is None:
        return
    bound = max(RECYCLED_PERCENT, RECYCLED_TIMES * shares[human].high)
    for row, share in shares.items():
        if results.outputs[row].role == "system" and share.low > bound:
            yield (
                row,
                f"{share.value:.0f} % of the new 4-grams of its outputs stand in its other outputs "
                f"too, people's {shares[human].value:.1f} %: it repeats phrases",
            )


def _recycled_shares(results: RunResults) -> Mapping[str, _Share]:
    one = results.measured.get(OUTPUT_SCORER)
    if one is None:
        return {}
    found = {}
    for (row, statistics), draws in zip(
        one.statistics.items(), results.bootstrap_draws[OUTPUT_SCORER], strict=True
    ):
        value = corpus_value(one.scorer.combine, statistics)[0]
        low, high = percentile_ends(draws[:, :1], CONFIDENCE_LEVEL)
        found[row] = _Share(float(value), float(low[0]), float(high[0]))
    return found


def _human(results: RunResults, scorer: str = "") -> str | None:
    """The row of people, where there is one and the scorer, if one is named, measured it."""
    if scorer and scorer not in results.measured:
        return None
    known = results.measured[scorer].statistics if scorer else results.outputs
    rows = (row for row, output in results.outputs.items() if output.role == "human")
    return next((row for row in rows if row in known), None)


def _sentinels(results: RunResults, one: ScorerResults) -> list[str]:
    return [row for row in one.statistics if results.outputs[row].role == "sentinel"]

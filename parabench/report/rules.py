"""What may rank: the columns that pass the rule on controls, and the systems that earn a rank."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import Role
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
    statistics = one.statistics
    draws = dict(zip(statistics, results.bootstrap_draws[name], strict=True))
    people = ControlValues(corpus_value(combine, statistics[human]), draws[human])
    controls = {}
    for row in _sentinels(results, one):
        value = corpus_value(combine, statistics[row])
        controls[row] = ControlValues(value, draws[row])
    mixed = {}
    for row in MIXED_SENTINELS:
        if row in controls:
            mixed[row] = mixtures(combine, statistics[human], statistics[row], seed=results.seed)
    return column_faults(one.scorer.columns, people, controls, mixed, CONFIDENCE_LEVEL)


def unranked_systems(results: RunResults) -> dict[str, str]:
    """The systems that get no rank on the headline whatever the others do, each with its reason.

    A system must be above the best sentinel by more than chance (sentinels are tested like
    systems), in the headline and in the suite's other gates, and may not fill its outputs with the
    same word sequences.
    """
    if results.ranking is None:
        return {}
    name, _ = results.ranking
    if _human(results, name) is None:
        systems = _rows_of_role(results, results.measured[name], "system")
        return dict.fromkeys(systems, NO_HUMAN)
    found = dict(_recycling(results))
    for name, place in results.gates:
        for row, reason in _not_above_sentinels(results, name, place).items():
            found.setdefault(row, reason)
    return found


def _not_above_sentinels(results: RunResults, name: str, place: int) -> dict[str, str]:
    """Systems that paired tests do not tell from the best sentinel, or that are below it.

    The column is that of the scorer ``name`` at ``place``. P-values are adjusted for the number of
    systems (Holm 1979); the interval of the difference, which draws training seeds too, must be
    above 0 as well.
    """
    one = results.measured[name]
    column = one.scorer.columns[place]
    values = _defined_values(one, place)
    systems = [row for row in _rows_of_role(results, one, "system") if row in values]
    sentinels = [row for row in _sentinels(results, one) if row in values]
    if not sentinels or not systems:
        return {}
    # Signed values are higher where the column is better.
    sign = 1 if column.better == "up" else -1
    best = max(sentinels, key=lambda row: sign * values[row])
    p_values = _p_values(results, one, systems, best)[:, place]
    draws = results.bootstrap_draws[name][:, :, place]  # [rows, draws]
    draws_of = dict(zip(one.statistics, draws, strict=True))
    found = {}
    for system, p_value in zip(systems, holm(p_values), strict=True):
        lead = sign * (draws_of[system] - draws_of[best])
        low, _ = percentile_ends(lead[:, None], CONFIDENCE_LEVEL)
        if p_value < SIGNIFICANCE_LEVEL and low[0] > 0:
            continue
        own = f"{values[system]:.{column.digits}f}"
        other = f"{values[best]:.{column.digits}f}"
        found[system] = (
            f"{own} {column.name} is not significantly better than the control {best}, {other} "
            f"(p = {p_value:.2g})"
        )
    return found


def _defined_values(one: ScorerResults, place: int) -> dict[str, float]:
    """The rows that have a number in the column at ``place``, and that number."""
    values = {}
    for row, statistics in one.statistics.items():
        value = float(corpus_value(one.scorer.combine, statistics)[place])
        if np.isfinite(value):
            values[row] = value
    return values


def _p_values(
    results: RunResults, one: ScorerResults, systems: list[str], sentinel: str
) -> Float[np.ndarray, "S C"]:
    """P-values of each system against the sentinel in every column of a scorer."""
    combine = one.scorer.combine
    statistics = [one.statistics[row] for row in (*systems, sentinel)]
    # The sentinel is the last, behind all systems.
    last = len(systems)
    pairs = [(number, last) for number in range(last)]
    swaps = results.swaps(len(pairs))
    return paired_tests(combine, statistics, pairs, results.seed, swaps, results.clusters)


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
    people = shares[human]
    bound = max(RECYCLED_PERCENT, RECYCLED_TIMES * people.high)
    for row, share in shares.items():
        is_system = results.outputs[row].role == "system"
        if is_system and share.low > bound:
            reason = (
                f"{share.value:.0f} % of the new 4-grams of its outputs stand in its other outputs "
                f"too, people's {people.value:.1f} %: it repeats phrases"
            )
            yield row, reason


def _recycled_shares(results: RunResults) -> Mapping[str, _Share]:
    one = results.measured.get(OUTPUT_SCORER)
    if one is None:
        return {}
    draws = results.bootstrap_draws[OUTPUT_SCORER]
    draws_of = dict(zip(one.statistics, draws, strict=True))
    shares = {}
    for row, statistics in one.statistics.items():
        # recycling is the first of the scorer's columns
        value = corpus_value(one.scorer.combine, statistics)[0]
        low, high = percentile_ends(draws_of[row][:, :1], CONFIDENCE_LEVEL)
        shares[row] = _Share(float(value), float(low[0]), float(high[0]))
    return shares


def _human(results: RunResults, scorer: str = "") -> str | None:
    """The row of people, where there is one and the scorer, if one is named, measured it."""
    known: Collection[str] = results.outputs
    if scorer:
        if scorer not in results.measured:
            return None
        known = results.measured[scorer].statistics
    for row, output in results.outputs.items():
        if output.role == "human" and row in known:
            return row
    return None


def _sentinels(results: RunResults, one: ScorerResults) -> list[str]:
    return _rows_of_role(results, one, "sentinel")


def _rows_of_role(results: RunResults, one: ScorerResults, role: Role) -> list[str]:
    """The rows of a role that a scorer measured, in its order."""
    return [row for row in one.statistics if results.outputs[row].role == role]

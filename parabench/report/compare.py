"""Runs compared: one table of all, and what changed from one run to the next.

What comes out is again a leaderboard, so that every format prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from parabench.contracts import Column, Score, Scorer, UserError
from parabench.report.board import SIGNIFICANCE_LEVEL, Leaderboard, gives_intervals
from parabench.report.comparable import check_comparable
from parabench.stats.arrays import SeedMean, SystemStatistics, corpus_value
from parabench.stats.clusters import ClusterIndex, Clusters
from parabench.stats.intervals import few_behind, only_of_enough
from parabench.stats.resampling import bootstraps, expanded_level, percentile_ends
from parabench.stats.significance import holm, paired_test


@dataclass(frozen=True)
class PairedStatistics:
    """What one scorer measured in two runs, by system.

    Each array has one row per example, in the same order in ``before`` and ``after``.
    """

    scorer: Scorer
    before: Mapping[str, SystemStatistics]
    after: Mapping[str, SystemStatistics]


@dataclass(frozen=True)
class Change:
    """One system in one column of two runs.

    ``low`` and ``high`` are the paired 95 % interval of ``after`` minus ``before``, NaN where there
    are too few examples for one; ``p`` is the p-value that nothing changed.
    """

    system: str
    column: Column
    before: float
    after: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        """After minus before, in the column's units."""
        return self.after - self.before

    @property
    def is_loss(self) -> bool:
        """Whether the value went the column's worse way."""
        if self.column.better == "up":
            return self.difference < 0
        return self.column.better == "down" and self.difference > 0


def check_compared(
    found: Sequence[Change],
    board: Leaderboard,
    names: tuple[str, str],
    column: str = "",
) -> None:
    """Check that some system was compared, so that no gate passes by default.

    Args:
        found: all changes between two runs.
        board: of the first run, which says what is a control.
        names: what the user calls the two runs.
        column: in which a system must have been compared; any where empty.

    Raises:
        UserError: where only controls were compared, or nothing.
    """
    controls = {row.system for row in board.rows if row.control}
    known = {change.column.name for change in found}
    # A gate on a column that nobody has would pass whatever happened.
    if column and column not in known:
        raise UserError(f"look for losses in {column!r}", "no such column", sorted(known))
    tested = {one.system for one in found if column in ("", one.column.name)}
    if not tested - controls:
        raise UserError(
            f"find out what changed from {names[0]} to {names[1]}",
            f"no system has {column or 'a column'} on all examples of both runs",
            mend="finish both runs with the same scorers: parabench run",
        )


def check_testable(count: int, column: str) -> None:
    """Raise UserError where no loss in ``column`` could be significant, so that a gate would pass.

    ``count``: independent examples. Swapping each of them or not gives 2 ** ``count`` differences,
    of which the observed one and its mirror image are always among the largest.
    """
    if 2 / 2**count > SIGNIFICANCE_LEVEL:
        found = f"{count} independent examples, of which no difference is ever significant"
        mend = "make both runs with more examples, 30 at least"
        raise UserError(f"look for losses in {column!r}", found, mend=mend)


# ---- what changed?


def side_by_side(boards: Mapping[str, Leaderboard]) -> Leaderboard:
    """One table of all runs, unranked: a row for every system, in the columns that all runs have.

    Raises:
        UserError: where two of them may not be compared.
    """
    check_comparable(boards)
    first = next(iter(boards.values()))
    shared = []
    for column in first.columns:
        if all(column in board.columns for board in boards.values()):
            shared.append(column)
    rows = []
    for name, board in boards.items():
        for row in board.rows:
            rows.append(replace(row, system=f"{row.system} ({name})", rank=None))
    return replace(
        first,
        title=" | ".join(boards),
        note="Rows of several runs; ranks hold within one run only and are left out.",
        columns=tuple(shared),
        rows=tuple(rows),
        provenance={name: board.provenance for name, board in boards.items()},
        comparisons=(),
        detectable=None,
    )


def paired_changes(
    pairs: Sequence[PairedStatistics],
    seed: int,
    resamples: int = 10_000,
    draws: int = 10_000,
    clusters: Clusters = None,
    matched: Mapping[str, str] | None = None,
) -> tuple[Change, ...]:
    """What changed for each system in every column, paired by example.

    Args:
        pairs: what each scorer measured in both runs.
        seed: of the bootstrap and of the test.
        resamples: bootstrap samples of whole clusters.
        draws: swaps of the randomisation test, of whole clusters.
        clusters: of the examples; each is one by itself where it is None.
        matched: the system of the later run by that of the earlier one; equal names where None.

    Raises:
        UserError: where a system has other numbers of examples in the two runs.
    """
    # Scorer by scorer, then system by system: the order of the table that is made of them.
    changes: list[Change] = []
    for pair in pairs:
        names = matched or {name: name for name in pair.before if name in pair.after}
        for before, after in names.items():
            if before in pair.before and after in pair.after:
                one = pair.before[before]
                other = pair.after[after]
                label = before if before == after else f"{before} → {after}"
                how = seed, resamples, draws, clusters
                changes += _changes(
                    label,
                    pair.scorer,
                    one,
                    other,
                    *how,
                )
    return tuple(changes)


def _changes(
    label: str,
    scorer: Scorer,
    before: SystemStatistics,
    after: SystemStatistics,
    seed: int,
    resamples: int,
    draws: int,
    clusters: Clusters,
) -> Iterator[Change]:
    one = SeedMean(before)
    other = SeedMean(after)
    if len(one) != len(other):
        raise UserError(
            f"compare {label} in two runs",
            f"{len(one)} examples in one, {len(other)} in the other",
        )
    combine = scorer.combine
    index = ClusterIndex.of(len(one), clusters)
    systems = (after, before)
    drawn = bootstraps(combine, systems, seed, resamples, index)
    few = np.any(
        [few_behind(combine, *of_one, index) for of_one in zip(systems, drawn, strict=True)],
        axis=0,
    )
    low, high = percentile_ends(drawn[0] - drawn[1], expanded_level(len(index)))
    low, high = np.where(few, np.nan, low), np.where(few, np.nan, high)
    low, high = only_of_enough(low, high, len(index))
    p = paired_test(combine, after, before, seed, draws, clusters)
    # Each [C]: one row for each column of the scorer.
    columns = corpus_value(combine, one), corpus_value(combine, other), low, high, p
    for column, *row in zip(scorer.columns, *columns, strict=True):
        yield Change(label, column, *map(float, row))


def changes_board(
    before: Leaderboard,
    after: Leaderboard,
    found: Sequence[Change],
) -> Leaderboard:
    """The changes as a table: every cell is after minus before, with its paired interval.

    ``before`` and ``after`` are the boards of the two runs, ``found`` what changed between them.
    """
    changed = {change.column for change in found}
    with_intervals = gives_intervals(after)
    # Of a system in both runs the later row stays.
    known = {}
    for board in (before, after):
        known.update({row.system: row for row in board.rows})
    rows = []
    for label in dict.fromkeys(change.system for change in found):
        scores = {}
        for change in found:
            if change.system == label:
                name = change.column.name
                signature = after.signatures.get(name, "")
                cell = Score(
                    change.difference,
                    change.low,
                    change.high,
                    signature,
                )
                scores[name] = cell
        # Of two systems under different names, the row is the later one's.
        row = known[label] if label in known else known[label.rpartition(" → ")[2]]
        rows.append(
            replace(
                row,
                system=label,
                rank=None,
                scores=scores,
            )
        )
    return replace(
        after,
        title=f"{after.title}: what changed",
        note=(
            "Every cell is the later run minus the earlier one"
            f"{', with the paired 95 % interval of that difference' if with_intervals else ''}."
        ),
        columns=tuple(column for column in after.columns if column in changed),
        rows=tuple(rows),
        provenance={"before": before.provenance, "after": after.provenance},
        comparisons=(),
        detectable=None,
    )


def regressions(
    found: Sequence[Change],
    column: str,
    level: float = SIGNIFICANCE_LEVEL,
) -> tuple[Change, ...]:
    """The systems that are significantly worse in a column.

    A value that is no longer defined is a regression; one that was never defined is not.

    Args:
        found: all changes between two runs.
        column: by name.
        level: of significance, p-values corrected after Holm over the systems.

    Raises:
        UserError: where nothing changed in a column of that name.
    """
    tested = [change for change in found if change.column.name == column]
    if not tested:
        known = sorted({change.column.name for change in found})
        raise UserError(f"look for losses in {column!r}", "no such column", known)
    p_values = np.array([change.p for change in tested])
    # An undefined p says nothing against chance; values that are gone are looked at below.
    adjusted = holm(np.nan_to_num(p_values, nan=1.0))
    lost = []
    for change, p in zip(tested, adjusted, strict=True):
        is_gone = np.isnan(change.after) and not np.isnan(change.before)
        if is_gone or (change.is_loss and p < level):
            lost.append(change)
    return tuple(lost)

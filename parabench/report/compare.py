"""Runs compared: what forbids it, one table of all, and what changed from one run to the next.

Two runs are comparable when the same examples were paraphrased with the same decoding and scored
with the same settings. What comes out is again a leaderboard, so that every format prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from parabench.contracts import Column, Score, Scorer, UserError
from parabench.report.board import (
    SIGNIFICANCE_LEVEL,
    Leaderboard,
    flatten_facts,
)
from parabench.report.notes import uses_decoding
from parabench.stats.arrays import SeedMean, SystemStatistics, corpus_value
from parabench.stats.significance import Clusters, difference, holm, paired_test

MUST_AGREE = ("data", "decoding", "normalise", "protocol", "signature")
"""The first part of every field that forbids a comparison when two runs differ in it."""


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

    ``low`` and ``high`` are the paired 95 % interval of ``after`` minus ``before``, ``p`` is the
    p-value that nothing changed.
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


# ---- may they be compared?


def differing_fields(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """All fields in which two boards differ, by dotted name.

    The signature of a column counts only where both have the column, and decoding settings only
    where both runs decoded anything: texts from a file were made by other means.
    """
    facts = [dict(flatten_facts(_facts(board))) for board in (first, second)]
    not_shared = {f"signature.{name}" for name in first.signatures.keys() ^ second.signatures}
    decoded = uses_decoding(first) and uses_decoding(second)
    differing = {}
    for name in sorted(facts[0].keys() | facts[1].keys()):
        pair = facts[0].get(name, "absent"), facts[1].get(name, "absent")
        is_moot = name in not_shared or (name.startswith("decoding.") and not decoded)
        if pair[0] != pair[1] and not is_moot:
            differing[name] = pair
    return differing


def _facts(board: Leaderboard) -> dict[str, object]:
    return {**board.provenance, "headline": board.headline, "signature": board.signatures}


def blocking_differences(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """The fields of ``differing_fields`` that make a comparison of the two meaningless."""
    found = differing_fields(first, second)
    return {name: pair for name, pair in found.items() if name.split(".")[0] in MUST_AGREE}


def check_comparable(boards: Mapping[str, Leaderboard]) -> None:
    """Check that any two of these runs may be compared.

    Raises:
        UserError: naming every field in which two of them differ and may not.
    """
    for (name, board), (other_name, other) in combinations(boards.items(), 2):
        fields = blocking_differences(board, other)
        if not fields:
            continue
        found = [
            f"{field}: {one} in {name}, {two} in {other_name}"
            for field, (one, two) in fields.items()
        ]
        raise UserError(
            f"compare {name} with {other_name}",
            "; ".join(found),
            mend="run both with the same data and settings",
        )


def matched_systems(
    first: Leaderboard, second: Leaderboard, names: tuple[str, str]
) -> dict[str, str]:
    """Which system of the first run is compared with which of the second.

    Systems of one name are. Where the runs share none but controls, and each has one system alone,
    as two scored files have, these two are; controls are compared with themselves.

    Args:
        first: the earlier run.
        second: the later run.
        names: what the user calls the two.

    Raises:
        UserError: where the runs share no system and one of them has several, or none.
    """
    before, after = _systems(first), _systems(second)
    controls = {row.system for row in first.rows if row.control}
    shared_controls = controls & {row.system for row in second.rows if row.control}
    matched = {name: name for name in before if name in after}
    if not matched:
        if len(before) != 1 or len(after) != 1:
            raise UserError(
                f"find out what changed from {names[0]} to {names[1]}",
                "they have no system in common: "
                f"{', '.join(before) or 'none'} in {names[0]}, "
                f"{', '.join(after) or 'none'} in {names[1]}",
                mend="run both with a system of the same name, or each with one system alone",
            )
        matched = {before[0]: after[0]}
    return matched | {name: name for name in sorted(shared_controls)}


def _systems(board: Leaderboard) -> list[str]:
    return sorted(row.system for row in board.rows if not row.control)


def unmatched_note(first: Leaderboard, second: Leaderboard, matched: Mapping[str, str]) -> str:
    """Which systems were not compared, since one run alone has them; empty where all were.

    ``matched`` is what ``matched_systems`` found for ``first`` and ``second``.
    """
    before = [name for name in _systems(first) if name not in matched]
    after = [name for name in _systems(second) if name not in matched.values()]
    parts = []
    if before:
        parts.append(f"only in the earlier run: {', '.join(before)}")
    if after:
        parts.append(f"only in the later run: {', '.join(after)}")
    return f"Not compared: {'; '.join(parts)}." if parts else ""


def check_compared(
    found: Sequence[Change], board: Leaderboard, names: tuple[str, str], column: str = ""
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
    if column and column not in known:
        raise UserError(f"look for losses in {column!r}", "no such column", sorted(known))
    tested = {one.system for one in found if column in ("", one.column.name)}
    if not tested - controls:
        raise UserError(
            f"find out what changed from {names[0]} to {names[1]}",
            f"no system has {column or 'a column'} on all examples of both runs",
            mend="finish both runs with the same scorers: parabench run",
        )


# ---- what changed?


def side_by_side(boards: Mapping[str, Leaderboard]) -> Leaderboard:
    """One table of all runs, unranked: a row for every system, in the columns that all runs have.

    Raises:
        UserError: where two of them may not be compared.
    """
    check_comparable(boards)
    first = next(iter(boards.values()))
    shared = [
        column
        for column in first.columns
        if all(column in board.columns for board in boards.values())
    ]
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
    changes: list[Change] = []
    for pair in pairs:
        names = matched or {name: name for name in pair.before if name in pair.after}
        for before, after in names.items():
            if before in pair.before and after in pair.after:
                one, other = pair.before[before], pair.after[after]
                label = before if before == after else f"{before} → {after}"
                how = seed, resamples, draws, clusters
                changes += _changes(label, pair.scorer, one, other, *how)
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
    one, other = SeedMean(before), SeedMean(after)
    if len(one) != len(other):
        raise UserError(
            f"compare {label} in two runs",
            f"{len(one)} examples in one, {len(other)} in the other",
        )
    combine = scorer.combine
    _, low, high = difference(combine, after, before, seed, resamples, clusters=clusters)
    p = paired_test(combine, after, before, seed, draws, clusters)
    columns = corpus_value(combine, one), corpus_value(combine, other), low, high, p
    for column, *row in zip(scorer.columns, *columns, strict=True):
        yield Change(label, column, *map(float, row))


def changes_board(before: Leaderboard, after: Leaderboard, found: Sequence[Change]) -> Leaderboard:
    """The changes as a table: every cell is after minus before, with its paired interval.

    ``before`` and ``after`` are the boards of the two runs, ``found`` what changed between them.
    """
    changed = {change.column for change in found}
    known = {row.system: row for board in (before, after) for row in board.rows}
    rows = []
    for label in dict.fromkeys(change.system for change in found):
        scores = {}
        for change in found:
            if change.system == label:
                name = change.column.name
                signature = after.signatures.get(name, "")
                cell = Score(change.difference, change.low, change.high, signature)
                scores[name] = cell
        # Of two systems under different names, the row is the later one's.
        row = known[label] if label in known else known[label.rpartition(" → ")[2]]
        rows.append(replace(row, system=label, rank=None, scores=scores))
    return replace(
        after,
        title=f"{after.title}: what changed",
        note=(
            "Every cell is the later run minus the earlier one, with the paired 95 % interval of "
            "that difference."
        ),
        columns=tuple(column for column in after.columns if column in changed),
        rows=tuple(rows),
        provenance={"before": before.provenance, "after": after.provenance},
        comparisons=(),
        detectable=None,
    )


def regressions(
    found: Sequence[Change], column: str, level: float = SIGNIFICANCE_LEVEL
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

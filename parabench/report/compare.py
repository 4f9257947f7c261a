"""Runs beside one another: what forbids the comparison, one table of all, and what changed from one
run to the next.

Two runs are comparable when the same examples were paraphrased with the same decoding and scored
with the same settings. What comes out is again a leaderboard, so that every format prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parabench.contracts import Column, Score, Scorer, UserError
from parabench.report.board import Leaderboard, LeaderboardRow, flatten_facts
from parabench.stats.arrays import SeedMean, SystemStatistics, corpus_value
from parabench.stats.significance import Clusters, difference, holm, paired_test

if TYPE_CHECKING:
    Statistics = Mapping[str, SystemStatistics]

MUST_AGREE = ("data", "decoding", "normalise", "protocol", "signature")
"""The first part of every field that forbids a comparison when two runs differ in it."""


@dataclass(frozen=True)
class PairedStatistics:
    """What one scorer measured in two runs: statistics by system, one row per example in the same
    order.
    """

    scorer: Scorer
    before: Statistics
    after: Statistics


@dataclass(frozen=True)
class Change:
    """One system in one column: ``after`` minus ``before``, the paired 95 % interval of that, and
    its p-value.
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
        return (
            self.difference < 0
            if self.column.better == "up"
            else self.column.better == "down" and self.difference > 0
        )


def differing_fields(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """All fields in which two boards differ, by dotted name; the signature of a column only where
    both have it.
    """
    facts = [dict(flatten_facts(_facts(board))) for board in (first, second)]
    names = sorted(facts[0].keys() | facts[1].keys())
    pairs = {name: (facts[0].get(name, "absent"), facts[1].get(name, "absent")) for name in names}
    one_sided = {f"signature.{name}" for name in first.signatures.keys() ^ second.signatures.keys()}
    return {
        name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in one_sided
    }


def _facts(board: Leaderboard) -> dict[str, object]:
    return {**board.provenance, "headline": board.headline, "signature": board.signatures}


def blocking_differences(first: Leaderboard, second: Leaderboard) -> dict[str, tuple[str, str]]:
    """The fields of ``differing`` that make a comparison of the two meaningless."""
    return {
        name: pair
        for name, pair in differing_fields(first, second).items()
        if name.split(".")[0] in MUST_AGREE
    }


def check_comparable(boards: Mapping[str, Leaderboard]) -> None:
    """UserError that names every differing field, unless any two of the runs may be compared."""
    for (name, board), (other_name, other) in combinations(boards.items(), 2):
        if fields := blocking_differences(board, other):
            found = "; ".join(
                f"{field}: {one} in {name}, {two} in {other_name}"
                for field, (one, two) in fields.items()
            )
            raise UserError(
                f"compare {name} with {other_name}",
                found,
                mend="run both with the same data and settings",
            )


def side_by_side(boards: Mapping[str, Leaderboard]) -> Leaderboard:
    """One table of all runs, a row for every system of every run, unranked, in the columns that all
    of them have.
    """
    check_comparable(boards)
    first = next(iter(boards.values()))
    shared = [
        column
        for column in first.columns
        if all(column in board.columns for board in boards.values())
    ]
    rows = tuple(
        replace(row, system=f"{row.system} ({name})", rank=None)
        for name, board in boards.items()
        for row in board.rows
    )
    provenance = {name: board.provenance for name, board in boards.items()}
    title, note = (
        " | ".join(boards),
        "Rows of several runs; ranks hold within one run only and are left out.",
    )
    whole = replace(first, comparisons=(), detectable=None)
    return replace(
        whole, title=title, note=note, columns=tuple(shared), rows=rows, provenance=provenance
    )


def paired_changes(
    pairs: Sequence[PairedStatistics],
    seed: int,
    resamples: int = 10_000,
    draws: int = 10_000,
    clusters: Clusters = None,
) -> tuple[Change, ...]:
    """What changed for each system that both runs have, in every column, paired by example, by
    whole clusters.
    """
    return tuple(
        change
        for pair in pairs
        for system in pair.before
        if system in pair.after
        for change in _changes(pair, system, seed, resamples, draws, clusters)
    )


def _changes(
    pair: PairedStatistics, system: str, seed: int, resamples: int, draws: int, clusters: Clusters
) -> Iterator[Change]:
    combine, before, after = pair.scorer.combine, pair.before[system], pair.after[system]
    one, other = SeedMean(before), SeedMean(after)
    if len(one) != len(other):
        raise UserError(
            f"compare {system} in two runs",
            f"{len(one)} examples in one, {len(other)} in the other",
        )
    _, low, high = difference(combine, after, before, seed, resamples, clusters=clusters)
    p = paired_test(combine, after, before, seed, draws, clusters)
    numbers = zip(
        corpus_value(combine, one), corpus_value(combine, other), low, high, p, strict=True
    )
    for column, row in zip(pair.scorer.columns, numbers, strict=True):
        yield Change(system, column, *(float(number) for number in row))


def changes_board(before: Leaderboard, after: Leaderboard, found: Sequence[Change]) -> Leaderboard:
    """The changes as a table: every cell is after minus before, with its paired interval."""
    columns = tuple(
        column for column in after.columns if any(change.column == column for change in found)
    )
    names = {row.system: row for board in (before, after) for row in board.rows}
    rows = [
        _row(row, [c for c in found if c.system == name], after.signatures)
        for name, row in names.items()
    ]
    return replace(
        after,
        title=f"{after.title}: what changed",
        note="Every cell is the later run minus the earlier one, with the paired 95 % interval of that difference.",
        columns=columns,
        rows=tuple(row for row in rows if row.scores),
        provenance={"before": before.provenance, "after": after.provenance},
        comparisons=(),
        detectable=None,
    )


def _row(
    row: LeaderboardRow, found: Sequence[Change], signatures: Mapping[str, str]
) -> LeaderboardRow:
    scores = {
        c.column.name: Score(c.difference, c.low, c.high, signatures.get(c.column.name, ""))
        for c in found
    }
    return replace(row, rank=None, scores=scores)


def regressions(found: Sequence[Change], column: str, level: float = 0.05) -> tuple[Change, ...]:
    """The systems that are significantly worse in a column, p-values corrected after Holm over the
    systems.

    A value that is no longer defined is a regression; one that was never defined is not.
    """
    tested = [change for change in found if change.column.name == column]
    if not tested:
        raise UserError(
            f"look for losses in {column!r}",
            "no such column",
            sorted({c.column.name for c in found}),
        )
    adjusted = holm(np.nan_to_num(np.array([change.p for change in tested]), nan=1.0))
    lost = [np.isnan(change.after) and not np.isnan(change.before) for change in tested]
    return tuple(
        change
        for change, p, gone in zip(tested, adjusted, lost, strict=True)
        if gone or (change.is_loss and p < level)
    )

"""``parabench compare``: what changed between runs, and whether a system got worse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands import reports
from parabench.commands.help_pages import examples
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.report.board import Leaderboard
    from parabench.report.compare import Change
    from parabench.report.results import RunResults


@examples(
    "parabench compare results/runs/before results/runs/after",
    "parabench compare RUN OTHER --fail-if-worse headline",
)
def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two run folders or more; the first is what the others changed."),
    ],
    fail_if_worse: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Exit code 1 if a system got significantly worse; or 'headline'."
        ),
    ] = None,
) -> None:
    """Compare runs, with paired tests.

    Side by side; then what changed from the first run to each other, with paired intervals.
    """
    from parabench.report import assemble
    from parabench.report import compare as comparing
    from parabench.report.run_reader import load_results

    if len(runs) < 2:
        raise UserError(
            "compare runs", f"{len(runs)} run folder", mend="parabench compare RUN OTHER"
        )
    # By its path as typed, which is how each is named in the tables; scores need no texts.
    found = {str(run): load_results(run, max_texts=0) for run in runs}
    _check_distinct(runs, fail_if_worse)
    boards = {name: assemble.build_leaderboard(results, ()) for name, results in found.items()}
    reports.show_leaderboard(comparing.side_by_side(boards), None)
    first, *others = found
    worse = [
        name
        for name in others
        if _show_changes(
            (first, name), (found[first], found[name]), (boards[first], boards[name]), fail_if_worse
        )
    ]
    raise SystemExit(1 if worse else 0)


def _check_distinct(runs: list[Path], gate: str | None) -> None:
    """Say that one folder stands more than once; raise UserError where a gate would pass by it."""
    # links and `..` included
    if len({run.resolve() for run in runs}) == len(runs):
        return
    asked, repeated = f"compare {', '.join(map(str, runs))}", "one run folder more than once"
    if gate is not None:
        raise UserError(asked, repeated, mend="parabench compare RUN OTHER --fail-if-worse COLUMN")
    typer.echo(f"note: {repeated}: no difference can show", err=True)


def _show_changes(
    names: tuple[str, str],
    results: tuple[RunResults, RunResults],
    boards: tuple[Leaderboard, Leaderboard],
    gate: str | None,
) -> bool:
    """Show what changed from one run to another.

    Returns whether a system got significantly worse in the column ``gate``, where there is one.
    """
    from parabench.report import comparable
    from parabench.report import compare as comparing

    one, other = results
    matched = comparable.matched_systems(*boards, names)
    pairs = [
        comparing.PairedStatistics(
            one.measured[name].scorer,
            one.measured[name].statistics,
            other.measured[name].statistics,
        )
        for name in one.measured
        if name in other.measured
    ]
    found = comparing.paired_changes(pairs, one.seed, clusters=one.clusters, matched=matched)
    comparing.check_compared(found, boards[0], names)
    reports.show_leaderboard(comparing.changes_board(*boards, found), None)
    if left_out := comparable.unmatched_note(*boards, matched):
        typer.echo(left_out)
    if gate is None:
        return False
    comparable.check_unrenamed(*boards, matched, names)
    column = one.headline if gate == "headline" else gate
    comparing.check_compared(found, boards[0], names, column)
    comparing.check_testable(len(one.clusters), column)
    return _show_regressions(found, boards[0], column)


def _show_regressions(found: Sequence[Change], board: Leaderboard, column: str) -> bool:
    """Name the systems that got significantly worse in a column; returns whether any did."""
    from parabench.report import compare as comparing

    # Controls cannot get worse; among the tests they would only make the correction stricter.
    controls = {row.system for row in board.rows if row.control}
    systems = [change for change in found if change.system not in controls]
    lost = comparing.regressions(systems, column)
    for change in lost:
        amount = f"{abs(change.difference):.3f} (p {change.p:.4f})"
        typer.echo(f"worse: {change.system} {change.column.name} by {amount}")
    return bool(lost)

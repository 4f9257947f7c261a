"""The commands about finished runs: report them again, verify them, compare them. None needs a
model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.lists import split_names
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.report.board import Leaderboard
    from parabench.report.results import RunResults

_RunFolder = Annotated[Path, typer.Argument(help="A run folder.")]
_WIDTH = 160
"""Of a table that is not printed on a terminal."""

_LM_EVAL = "results_parabench.json"
"""lm-evaluation-harness finds results by how the name begins; the rest, a time there, would differ
each time.
"""

_REPORT_FORMATS = ("latex", "lm-eval", "parquet")


def report_command(
    run: _RunFolder,
    also: Annotated[
        str | None, typer.Option(metavar="latex,lm-eval,parquet", help="Further formats.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option(help="A CSV file of published numbers to show beside these.")
    ] = None,
) -> None:
    """Write and print the leaderboard and the page of a run folder again."""
    from parabench.report.assemble import write_reports

    wanted = split_names(also) if also else ()
    for name in wanted:
        if name not in _REPORT_FORMATS:
            raise UserError(f"report as {name!r}", "no such format", _REPORT_FORMATS)
    board = write_reports(run)
    show_leaderboard(board, run)
    for name in wanted:
        typer.echo(export_report(run, name))
    if beside:
        typer.echo(_show_published(board, beside, run))


def export_report(run: Path, form: str) -> Path:
    """Write one further format into the run folder; returns its path, or its folder where there are
    several files.
    """
    from parabench.report import assemble, exports
    from parabench.report.results import load_results
    from parabench.store.files import write_atomically
    from parabench.store.records import slug

    results = load_results(run)
    compared = assemble.pairwise_comparisons(results)
    board = assemble.build_leaderboard(results, compared)
    if form == "latex":
        write_atomically(run / "leaderboard.tex", exports.to_latex(board).encode())
        return run / "leaderboard.tex"
    if form == "parquet":
        statistics = {name: one.statistics for name, one in results.measured.items()}
        exports.to_parquet(
            assemble.page_data(results, board, compared), run / "samples.parquet", statistics
        )
        return run / "samples.parquet"
    for row in board.rows:
        path = run / "lm-eval" / slug(row.system) / _LM_EVAL
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, exports.to_lm_eval(board, row.system).encode())
    return run / "lm-eval"


def _show_published(board: Leaderboard, file: Path, run: Path) -> str:
    """Write ``beside.md`` into the run folder: published numbers and the run's own; returns what it
    says.
    """
    from parabench.report.published import published_comparison, read_published
    from parabench.store.files import write_atomically

    text = published_comparison(board, read_published(file))
    write_atomically(run / "beside.md", text.encode())
    return f"\n{text}"


def verify_command(run: _RunFolder) -> None:
    """Recompute every checksum and count of a run folder; exit code 1 unless it is complete and
    true.
    """
    from parabench.store.run_folder import verify_run

    problems = verify_run(run)
    typer.echo("\n".join(problems) or f"complete: every file of {run} is as its manifest says")
    raise SystemExit(1 if problems else 0)


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
    """Put runs side by side; with two, show what changed, with paired intervals."""
    from parabench.report import assemble
    from parabench.report import compare as comparing
    from parabench.report.results import load_results

    if len(runs) < 2:
        raise UserError("compare runs", f"{len(runs)} run folder", mend="parabench compare RUN RUN")
    found = {str(run): load_results(run) for run in runs}
    boards = {name: assemble.build_leaderboard(results, ()) for name, results in found.items()}
    show_leaderboard(comparing.side_by_side(boards), None)
    first, *others = found
    worse = [
        name
        for name in others
        if _show_changes(found[first], found[name], boards[first], boards[name], fail_if_worse)
    ]
    raise SystemExit(1 if worse else 0)


def _show_changes(
    one: RunResults, other: RunResults, before: Leaderboard, after: Leaderboard, gate: str | None
) -> bool:
    """Show what changed from one run to another; whether a system got significantly worse in the
    gated column.
    """
    from parabench.report import compare as comparing

    pairs = [
        comparing.PairedStatistics(
            one.measured[name].scorer,
            one.measured[name].statistics,
            other.measured[name].statistics,
        )
        for name in one.measured
        if name in other.measured
    ]
    found = comparing.paired_changes(pairs, one.seed, clusters=one.clusters)
    if not found:
        return False
    show_leaderboard(comparing.changes_board(before, after, found), None)
    if gate is None:
        return False
    lost = comparing.regressions(found, one.headline if gate == "headline" else gate)
    for change in lost:
        typer.echo(
            f"worse: {change.system} {change.column.name} by {abs(change.difference):.3f} (p {change.p:.4f})"
        )
    return bool(lost)


def agreement_command(
    file: Annotated[Path, typer.Argument(help="What people said about paraphrases.")],
    layout: Annotated[
        str, typer.Option(metavar="jsonl|twitter-para|strap|apty", help="How the file is laid out.")
    ] = "jsonl",
    scorers: Annotated[
        str, typer.Option(metavar="A,B,…", help="Scorers to test.")
    ] = "bleu,chrf,divergence",
    suite: Annotated[
        str, typer.Option(help="The suite that says which models scorers use.")
    ] = "overlap",
    source: Annotated[
        bool, typer.Option("--source", help="Score against the source instead of references.")
    ] = False,
    rival: Annotated[
        str, typer.Option(metavar="COLUMN", help="Test every column against this one.")
    ] = "",
    resamples: Annotated[
        int, typer.Option(help="Of whole sources, for the intervals.", min=1)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
) -> None:
    """Test scorers against people: correlation with ratings, or agreement with preferences; prints
    Markdown.
    """
    from parabench.contracts import BuildContext, Runtime
    from parabench.metaeval.judgments import read_judgments, with_source_as_reference
    from parabench.metaeval.table import agreement_table
    from parabench.pipeline import plan
    from parabench.suites import suite as suites

    chosen, items = suites.load_suite(suite), read_judgments(file, layout)
    setting = BuildContext(Runtime(seed=seed))
    built = [plan.build_plugin("scorer", name, chosen, setting) for name in split_names(scorers)]
    typer.echo(
        agreement_table(
            built, with_source_as_reference(items) if source else items, rival, seed, resamples
        )
    )


def show_leaderboard(board: Leaderboard, folder: Path | None) -> None:
    """The table on standard output, then where the files are."""
    from rich.console import Console

    from parabench.report.leaderboard import print_board

    print_board(board, Console() if sys.stdout.isatty() else Console(width=_WIDTH))
    if folder:
        typer.echo(f"\n{folder}/report.html  leaderboard.md  leaderboard.csv  leaderboard.json")

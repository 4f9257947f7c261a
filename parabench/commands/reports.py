"""The commands about one finished run: report it again, verify it. Neither needs a model."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import RunArgument
from parabench.commands.help_pages import examples
from parabench.commands.lists import optional_names
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.report.board import Leaderboard
    from parabench.report.index import RunSummary
    from parabench.report.pagedata import PageData

_WIDTH = 160
"""Of a table that is not printed on a terminal."""

_LM_EVAL = "results_parabench.json"
"""lm-evaluation-harness finds results by how the name begins; its rest, a time, is left out."""

_REPORT_FORMATS = ("latex", "markdown", "csv", "pdf", "lm-eval", "parquet")
_TABLE_FILES = {"latex": "table.tex", "markdown": "table.md", "csv": "table.csv"}
"""Formats of which columns and rows can be chosen; ``leaderboard.*`` always hold all of them."""


@examples(
    "parabench report RUN",
    "parabench report RUN --format latex,parquet --published published.csv",
)
def report_command(
    run: RunArgument,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="latex,markdown,csv,pdf,lm-eval,parquet", help="Further formats."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Columns of latex, markdown and csv, in this order."),
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Rows of latex, markdown and csv.")
    ] = None,
    label: Annotated[str, typer.Option(help="What \\ref calls the LaTeX table.")] = "tab:parabench",
    published: Annotated[
        Path | None, typer.Option(help="A CSV file of published numbers to show beside these.")
    ] = None,
) -> None:
    """Write the tables and the page of a run again.

    Of a folder that holds runs, list them with their verdicts, on a page that opens each.
    """
    from parabench.report.assemble import write_reports
    from parabench.report.index import find_runs

    if runs := find_runs(run):
        _list_runs(run, runs)
        return
    wanted = optional_names(formats) or ()
    for name in wanted:
        if name not in _REPORT_FORMATS:
            raise UserError(f"report as {name!r}", "no such format", _REPORT_FORMATS)
    # Refused formats come first, so that a misspelt one costs nothing.
    board = write_reports(run)
    show_leaderboard(board, run)
    for name in wanted:
        if name in _TABLE_FILES:
            chosen = optional_names(columns) or (), optional_names(rows) or ()
            typer.echo(_write_table(board, run / _TABLE_FILES[name], *chosen, label))
        else:
            typer.echo(export_report(run, name))
    if published:
        typer.echo(_show_published(board, published, run))


def export_report(run: Path, form: str) -> Path:
    """Write one further format into the run folder; returns its path, or its folder where there are
    several files.
    """
    from parabench.report import assemble, comparisons, exports
    from parabench.report.run_reader import load_results
    from parabench.store.files import write_atomically
    from parabench.store.records import slug

    results = load_results(run)
    # The tests decide ranks, which every further format shows.
    compared = comparisons.pairwise_comparisons(results)
    board = assemble.build_leaderboard(results, compared)
    if form == "parquet":
        statistics = {name: one.statistics for name, one in results.measured.items()}
        exports.to_parquet(
            assemble.page_data(results, board, compared), run / "samples.parquet", statistics
        )
        return run / "samples.parquet"
    if form == "pdf":
        return _write_figures(assemble.page_data(results, board, compared), run / "figures")
    for row in board.rows:
        path = run / "lm-eval" / slug(row.system) / _LM_EVAL
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, exports.to_lm_eval(board, row.system).encode())
    return run / "lm-eval"


def _write_figures(data: PageData, folder: Path) -> Path:
    """Write the figures of the page as PDF files; returns their folder."""
    from parabench.render.figures import plane_figure
    from parabench.render.pdf import pdf_file
    from parabench.report.pagefigures import distribution_figures, find_plane
    from parabench.store.files import write_atomically
    from parabench.store.records import slug

    folder.mkdir(exist_ok=True)
    for column, figure in distribution_figures(data, data.board.columns):
        write_atomically(folder / f"spread-{slug(column.name)}.pdf", pdf_file(figure))
    if plane := find_plane(data):
        # 5.5 inches are the text width of most papers of one column.
        figure = plane_figure(plane.points, plane.change, plane.quality, 5.5)
        write_atomically(folder / "plane.pdf", pdf_file(figure))
    return folder


def _write_table(
    board: Leaderboard, path: Path, columns: Sequence[str], rows: Sequence[str], label: str
) -> Path:
    """Write the chosen columns and rows in the format of the file's suffix; returns ``path``."""
    from parabench.report.board import select
    from parabench.report.latex import to_latex
    from parabench.report.leaderboard import board_to_csv, board_to_markdown
    from parabench.store.files import write_atomically

    chosen = select(board, columns, rows)
    if path.suffix == ".tex":
        text = to_latex(chosen, label)
    else:
        text = board_to_markdown(chosen) if path.suffix == ".md" else board_to_csv(chosen)
    write_atomically(path, text.encode())
    return path


def _list_runs(folder: Path, runs: Sequence[RunSummary]) -> None:
    """Write ``index.html`` into a folder of runs, and print the runs with their verdicts."""
    from parabench.render.escape import visible
    from parabench.report.index import index_html
    from parabench.store.files import write_atomically

    write_atomically(folder / "index.html", index_html(folder.name, runs).encode())
    for run in runs:
        typer.echo(f"{visible(run.name)}: {visible(run.summary)}")
    typer.echo(f"\n{folder / 'index.html'}")


def _show_published(board: Leaderboard, file: Path, run: Path) -> str:
    """Write ``beside.md`` into the run folder: published numbers and the run's own; returns what it
    says.
    """
    from parabench.report.published import published_comparison, read_published
    from parabench.store.files import write_atomically

    text = published_comparison(board, read_published(file))
    write_atomically(run / "beside.md", text.encode())
    return f"\n{text}"


@examples("parabench verify RUN")
def verify_command(run: RunArgument) -> None:
    """Check every checksum and count of a run folder.

    Exit code 1 unless the folder is complete and as it was written.
    """
    from parabench.store.run_folder import verify_run

    problems = verify_run(run)
    typer.echo("\n".join(problems) or f"complete: every file of {run} is as its manifest says")
    # What report --format wrote is a copy, which no digest covers: say so rather than pass it.
    further = [*_TABLE_FILES.values(), "samples.parquet", "figures", "lm-eval", "beside.md"]
    if present := [name for name in further if (run / name).exists()]:
        typer.echo(
            f"not checked: {', '.join(present)}; parabench report --format writes them again"
        )
    raise SystemExit(1 if problems else 0)


def show_leaderboard(board: Leaderboard, folder: Path | None, with_tests: bool = True) -> None:
    """The table on standard output, then where the files are; ``with_tests`` of the leader's.

    Without a folder it is a comparison of runs, on which there is no verdict. On a pipe it is as
    wide as ``COLUMNS`` says, which rich reads itself.
    """
    from rich.console import Console

    from parabench.report.terminal import print_board

    knows_width = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    console = Console(width=None if knows_width else _WIDTH)
    print_board(board, console, folder is not None, with_tests)
    if folder:
        typer.echo(f"\n{folder}/report.html  leaderboard.md  leaderboard.csv  leaderboard.json")

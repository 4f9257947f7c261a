"""The command that scores a corpus of any size, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import DeviceOption, DtypeOption, ScorersOption, SeedOption
from parabench.commands.help_pages import examples
from parabench.commands.lists import optional_names
from parabench.commands.training_data import fetch_addresses
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.contracts import Runtime, System
    from parabench.filtering.corpus_scores import FilterOutcome
    from parabench.suites.suite import Suite


@examples(
    "parabench data filter mine.jsonl --output scored --keep 'ibleu>=20,src_bleu<=60'",
    "parabench data filter tsv:pairs.tsv --scorers divergence --output part3 --shard 3/8",
)
def filter_command(
    rows: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Predictions as for score (also Parquet), or FORMAT:PATH."
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for the scored rows; the same folder is resumed.")
    ],
    scorers: ScorersOption = None,
    suite: Annotated[
        str, typer.Option(help="The suite whose scorers, models and normalising are used.")
    ] = "overlap",
    system: Annotated[
        str | None, typer.Option(help="Let this system paraphrase the sources first.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="COLUMN>=X,…", help="Write only rows that satisfy all.")
    ] = None,
    shard: Annotated[
        str,
        typer.Option(metavar="K/N", help="Do the K-th of N shards, each in a folder of its own."),
    ] = "1/1",
    form: Annotated[
        str, typer.Option("--format", metavar="parquet|jsonl", help="How rows are written.")
    ] = "parquet",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
) -> None:
    """Score a corpus row by row and keep the good rows.

    Memory stays flat at any size. Every row is written with its columns; run again to resume.
    """
    from parabench.contracts import Runtime
    from parabench.filtering import scoring, writing
    from parabench.filtering.source import Source, part_of
    from parabench.models import downloads
    from parabench.models.loading import resolve_device
    from parabench.render.progress import progress_bars
    from parabench.suites.suite import load_suite

    if form not in writing.OUTPUT_FORMATS:
        raise UserError(f"write rows as {form!r}", "no such format", writing.OUTPUT_FORMATS)
    chosen = load_suite(suite)
    runtime = Runtime(resolve_device(device), dtype or chosen.dtype, None, seed)
    built = scoring.build_scorers(chosen, optional_names(scorers), runtime)
    conditions = writing.conditions(
        keep, [column.name for scorer in built.values() for column in scorer.columns]
    )
    maker = _built_system(system, chosen, runtime) if system else None
    source = Source(fetch_addresses(rows), seed, *part_of(shard))
    job = scoring.Filter(source, built, chosen.normalise, runtime, output, maker, conditions, form)
    downloads.fetch_models(
        [*built.values(), *filter(None, [maker])], lambda text: typer.echo(text, err=True)
    )
    with progress_bars(lines_elsewhere=True) as advance:
        _show_outcome(scoring.run_filter(job, advance))


def _built_system(name: str, suite: Suite, runtime: Runtime) -> System:
    """The system that paraphrases the sources first."""
    from parabench.contracts import BuildContext
    from parabench.pipeline import plan

    return plan.build_plugin(
        "system", name, suite, BuildContext(runtime, plan.with_samples(suite, 1).decoding)
    )


def _show_outcome(outcome: FilterOutcome) -> None:
    """The columns of the whole corpus, and where its rows are."""
    from parabench.report.cells import NO_INTERVAL, interval_text

    for reason, count in outcome.left_out.items():
        typer.echo(f"left out  {count:>12,} {reason}", err=True)
    for cell in outcome.cells:
        digits = cell.column.digits
        value = f"{cell.value:>10.{digits}f}"
        interval = interval_text(cell.low, cell.high, digits) or NO_INTERVAL
        missing = f"  undefined in {cell.undefined:,}" if cell.undefined else ""
        against = f"{cell.column.against}{missing}"
        typer.echo(f"{cell.column.name:<18} {value}  {interval:<22} {against}")
    typer.echo(f"{outcome.rows:,} rows, {outcome.kept:,} kept: {outcome.path}")

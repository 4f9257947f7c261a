"""The command that tests metrics against people's judgments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parabench.commands.arguments import DeviceOption
from parabench.commands.help_pages import examples
from parabench.commands.lists import split_names


@examples(
    "parabench metric agreement judgments.jsonl",
    "parabench metric agreement apty_ranked.json --layout apty --scorers bleu,chrf --against bleu",
)
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
    against: Annotated[
        str, typer.Option(metavar="COLUMN", help="Test every column against this one.")
    ] = "",
    resamples: Annotated[
        int, typer.Option(help="Bootstrap samples of whole sources, for the intervals.", min=1)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Test metrics against people's judgments.

    Correlation with ratings, or agreement with preferences; prints Markdown.
    """
    from parabench.contracts import BuildContext, Runtime
    from parabench.metaeval.judgment_files import JudgmentFile
    from parabench.metaeval.table import INTERVALS, SCORING, agreement_table
    from parabench.models.loading import resolve_device
    from parabench.pipeline import plan
    from parabench.render.progress import overall_progress
    from parabench.suites import suite as suites

    chosen = suites.load_suite(suite)
    items = JudgmentFile(file, layout, against_source=source)
    setting = BuildContext(Runtime(resolve_device(device), chosen.dtype, seed=seed))
    built = [plan.build_plugin("scorer", name, chosen, setting) for name in split_names(scorers)]
    with overall_progress([{SCORING: 1.0}, {INTERVALS: 1.0}]) as advance:
        table = agreement_table(built, items, against, seed, resamples, advance)
    typer.echo(table)

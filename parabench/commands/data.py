"""The commands about training corpora: look into one, fetch a published one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.help_pages import examples
from parabench.commands.terminal import print_text
from parabench.commands.training_data import (
    TestFileOption,
    TrainSuiteOption,
    barred_sentences,
    fetch_addresses,
    warn_of_held_out,
)

if TYPE_CHECKING:
    from parabench.data.skipped import SkipCounts
    from parabench.data.specs import CorpusSpec


@examples(
    "parabench data inspect tsv:pairs.tsv",
    "parabench data inspect 'csv:quora.csv?dedup=yes=0.5,mini=0.5' --samples 5",
)
def inspect_data_command(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="FORMAT:PATH?option=value=SHARE,…")],
    suite: TrainSuiteOption = "mini",
    dev: Annotated[int, typer.Option(help="About how many pairs a training would hold out.")] = 200,
    test: TestFileOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    samples: Annotated[int, typer.Option(help="How many pairs of each corpus to show.")] = 3,
) -> None:
    """Show what a training would see of a corpus.

    Rows kept and left out with their lines, duplicates, overlap with the test set, and samples.
    """
    from parabench.data import specs, training_set
    from parabench.suites.suite import load_suite

    parsed = specs.parse_corpora(fetch_addresses(spec))
    barred = barred_sentences(load_suite(suite), test)
    found = training_set.prepare_training_set(parsed, barred, dev, seed)
    for part, skipped in zip(parsed, found.tallies, strict=True):
        _print_corpus(part, skipped, seed, samples)
    typer.echo(f"held out  {len(found.dev):,} pairs, in no component with a pair to train on")
    warn_of_held_out(len(found.dev), sum(skipped.kept for skipped in found.tallies))
    typer.echo(f"test set  {found.removed:,} pairs taken out, which it or its paraphrases hold")
    typer.echo(f"data      {found.fingerprint}")


def _print_corpus(part: CorpusSpec, skipped: SkipCounts, seed: int, samples: int) -> None:
    """Counts of one corpus by reason, then its first pairs."""
    from parabench.data.training_set import Corpus, count_duplicates

    typer.echo(f"{part.form} {part.path}  share {part.share:.2f}")
    typer.echo(f"  {skipped.kept:>9,} pairs to train on")
    for reason, count in skipped.reasons.most_common():
        # Only the first few line numbers of each reason are kept.
        numbers = skipped.lines[reason]
        more = ", …" if count > len(numbers) else ""
        typer.echo(f"  {count:>9,} {reason}: line {', '.join(map(str, numbers))}{more}")
    repeated = count_duplicates(Corpus(part, seed))
    typer.echo(f"  {repeated:>9,} pairs that occur more than once (dedup=yes removes them)")
    for source, target in islice(Corpus(part, seed), samples):
        print_text(f"            {source}")
        print_text(f"         -> {target}")


@examples("parabench data fetch parabank2", "parabench data fetch https://example.org/pairs.tsv.gz")
def fetch_data_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="parabank2, paranmt, or an https address.")
    ],
    folder: Annotated[Path, typer.Option(help="Where to put it.")] = Path("data"),
) -> None:
    """Download a corpus; run again to resume."""
    from parabench.data import catalogue, fetching
    from parabench.render.progress import progress_bars

    with progress_bars() as advance:
        path = fetching.fetch_corpus(
            catalogue.find_corpus(name), folder, lambda done, total: advance(name, done, total)
        )
    typer.echo(path)

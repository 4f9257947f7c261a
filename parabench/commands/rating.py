"""The commands about people's ratings: a blind sheet out of a run, and filled-in sheets back to
judgments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parabench.commands.help_pages import examples
from parabench.commands.lists import split_names
from parabench.contracts import UserError


@examples("parabench metric sheet RUN --systems human,bart,softprompt-111 --examples 50")
def sheet_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    systems: Annotated[
        str, typer.Option(metavar="A,B,…", help="Whose texts to rate, controls included.")
    ],
    examples: Annotated[int, typer.Option(help="How many sources.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of choice and order.")] = 0,
    output: Annotated[
        Path, typer.Option(help="The sheet; key and instructions are put beside it.")
    ] = Path("sheet.csv"),
) -> None:
    """Make a blind rating sheet from a run.

    Texts in random order without their systems, a key to them, and instructions for raters.
    """
    from parabench.metaeval import rating
    from parabench.report.run_reader import load_results
    from parabench.store.files import write_atomically

    if output.suffix != ".csv":
        raise UserError(
            f"write the sheet {output}",
            "a name that does not end in .csv",
            mend="--output sheet.csv",
        )
    items = rating.draw_rating_items(load_results(run), split_names(systems), examples, seed)
    # The key first: a sheet without one could not be read again.
    own_key = output.with_suffix(".key.json")
    help_text = output.with_suffix(".txt")
    write_atomically(
        own_key, rating.rating_key(items, {"run": run.resolve().name, "seed": seed}).encode()
    )
    write_atomically(help_text, rating.INSTRUCTIONS.encode())
    write_atomically(output, rating.rating_sheet(items).encode())
    texts = sum(len(item.texts) for item in items)
    typer.echo(f"{len(items)} sources, {texts} texts")
    typer.echo(f"for raters    {output}  {help_text}")
    typer.echo(f"keep away     {own_key}")


@examples("parabench metric ratings anna.csv ben.csv --key sheet.key.json")
def read_ratings_command(
    sheets: Annotated[list[Path], typer.Argument(help="Filled-in sheets, one a rater.")],
    key: Annotated[Path, typer.Option(help="The key that was written with the sheet.")],
    output: Annotated[Path, typer.Option(help="Where to put the judgments.")] = Path(
        "judgments.jsonl"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
) -> None:
    """Read filled-in rating sheets.

    They are joined with their key: judgments for ``parabench metric agreement``, and each
    system's mean rating.
    """
    from parabench.metaeval import rating, rating_sheets
    from parabench.render.escape import visible
    from parabench.report.cells import NO_INTERVAL, interval_text
    from parabench.store.files import write_atomically

    items = rating.read_key(key)
    rated = rating_sheets.read_sheets(sheets, items)
    write_atomically(output, rating.judgments_jsonl(rated).encode())
    # A text may have a rating of each rater, or none where all left its cell empty.
    asked = sum(len(item.texts) for item in items)
    given = sum(len(one.ratings) for one in rated)
    typer.echo(f"{given} ratings of {len(rated)} texts; {asked - len(rated)} texts without one")
    for one in rating.mean_ratings(rated, seed):
        interval = interval_text(one.low, one.high, 2) or NO_INTERVAL
        typer.echo(f"{visible(one.system):<20} n={one.count:<4} {one.mean:.2f} {interval}")
    typer.echo(f"{output}")

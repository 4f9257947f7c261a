"""The command that paraphrases a sentence, or the lines of standard input."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from parabench.commands.arguments import DeviceOption, SuiteOption
from parabench.commands.help_pages import examples
from parabench.commands.terminal import print_text
from parabench.contracts import UserError


@examples(
    'parabench paraphrase "The old man sold his boat."',
    "parabench paraphrase --system bart --n 3 < sentences.txt",
)
def paraphrase_command(
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Sentences; standard input's lines if there are none."),
    ] = None,
    system: Annotated[str, typer.Option(help="Who paraphrases.")] = "softprompt-111",
    n: Annotated[
        int, typer.Option(min=1, help="How many of each; more than one are sampled (top-p 0.9).")
    ] = 1,
    suite: SuiteOption = "mini",
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Paraphrase a sentence, or standard input."""
    from parabench import api
    from parabench.render.progress import overall_progress

    sources = texts or [line.rstrip("\n") for line in sys.stdin]
    if not any(source.strip() for source in sources):
        raise UserError(
            "paraphrase nothing",
            "no sentence",
            mend='parabench paraphrase "The old man sold his boat."',
        )
    with overall_progress([{system: 1.0}], shown=len(sources) > 1) as advance:
        all_made = api.paraphrase(
            sources, system, suite=suite, n=n, seed=seed, device=device, advance=advance
        )
    for made in all_made:
        for text in made:
            print_text(text)

"""The command that draws what trainings did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parabench.commands.help_pages import examples


@examples(
    "parabench models figures results/checkpoints/softprompt-20",
    "parabench models figures results/checkpoints/softprompt-20-* --output seeds.svg",
)
def figures_command(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of checkpoints; several are drawn together.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="The SVG; training.svg in the first folder otherwise.")
    ] = None,
) -> None:
    """Draw the losses and scores of trainings.

    One SVG for light and dark: training loss, held-out loss, scores of the validation texts.
    """
    from parabench.store.files import write_atomically
    from parabench.training.figures import draw_training, read_curves

    path = output or folders[0] / "training.svg"
    write_atomically(path, draw_training([read_curves(folder) for folder in folders]))
    typer.echo(path)
